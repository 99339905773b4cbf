"""What the templates show: numbers and names, typed; the sentences are the templates'."""
