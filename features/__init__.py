"""Features of patients: manifests, tables, taxa, immune measurements, the landmark join and transformers."""
