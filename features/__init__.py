"""What a patient's row is: manifests, taxa, immune measurements, the landmark join, transformers."""
