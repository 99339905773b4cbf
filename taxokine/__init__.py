"""Taxokine: who benefits from immunotherapy and whom it harms, from the gut microbiome and the immune system."""
