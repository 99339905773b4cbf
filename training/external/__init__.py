"""Validation of a registered model on a cohort that it has not seen."""
