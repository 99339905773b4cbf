"""Donors compared for one recipient."""

from models.donors.compare import DonorStool, compare_donors
from models.donors.records import ComparedDonor, DonorComparison, OutcomeChange

__all__ = ["ComparedDonor", "DonorComparison", "DonorStool", "OutcomeChange", "compare_donors"]
