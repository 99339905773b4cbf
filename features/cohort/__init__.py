"""Cohorts: everything that a manifest names, read, checked and typed."""

from features.cohort.cohort import Cohort, locate_files, read_cohort
from features.cohort.samples import read_samples_sheet

__all__ = ["Cohort", "locate_files", "read_cohort", "read_samples_sheet"]
