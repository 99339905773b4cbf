"""Audits of cohorts before any training: errors that make a model's result wrong, and facts that a reader must know."""

from features.audit.checks import audit
from features.audit.findings import Finding
from features.audit.identities import similar_pairs
from features.audit.kinds import KINDS

__all__ = ["KINDS", "Finding", "audit", "similar_pairs"]
