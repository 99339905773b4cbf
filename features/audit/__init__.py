"""Audits of cohorts before any training: what in them would make a model's result wrong, and what must be known."""

from features.audit.checks import audit
from features.audit.findings import KINDS, SEVERITIES, Finding
from features.audit.identities import similar_profiles

__all__ = ["KINDS", "SEVERITIES", "Finding", "audit", "similar_profiles"]
