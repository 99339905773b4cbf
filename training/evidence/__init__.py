"""What is concluded of a model: evidence, card, figures and the gates of promotion."""
