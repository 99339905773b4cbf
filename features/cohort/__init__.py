"""Cohorts: everything that a manifest names, read, checked and typed."""

from features.cohort.cohort import Cohort, locate_files, read_cohort

__all__ = ["Cohort", "locate_files", "read_cohort"]
