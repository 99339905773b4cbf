"""What became of patients after their predictions, and how the served models perform on them."""
