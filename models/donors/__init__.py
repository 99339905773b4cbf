"""Donors compared for one recipient."""

from models.donors.compare import DonorStool, compare_donors
from models.donors.records import ComparedDonor, DonorComparison, DonorDifference, OutcomeChange

__all__ = ["ComparedDonor", "DonorComparison", "DonorDifference", "DonorStool", "OutcomeChange", "compare_donors"]
