"""Drafts of manifests from somebody's own files, and what they are recognised by."""

from features.draft.immune import ANALYTE, VALUE, immune_layout, is_analyte
from features.draft.kinds import are_taxa, file_kind, table_at_finest_rank
from features.draft.manifest import drafted_manifest
from features.draft.patients import CLINICAL
from features.draft.words import DAY, PATIENT, VISIT, columns_named

__all__ = [
    "ANALYTE",
    "CLINICAL",
    "DAY",
    "PATIENT",
    "VALUE",
    "VISIT",
    "are_taxa",
    "columns_named",
    "drafted_manifest",
    "file_kind",
    "immune_layout",
    "is_analyte",
    "table_at_finest_rank",
]
