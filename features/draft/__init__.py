"""Drafts of manifests from a researcher's own files, and how files and columns are recognised."""

from features.draft.clinical import CLINICAL_COLUMN
from features.draft.columns import DAY_COLUMN, PATIENT_COLUMN, VISIT_COLUMN, names_matching
from features.draft.file_kinds import FileKind, find_file_kind, needs_taxonomy, table_at_finest_rank
from features.draft.immune import ANALYTE_COLUMN, UNIT_COLUMN, VALUE_COLUMN, find_immune_layout, find_value_column
from features.draft.immune_columns import LIMIT_COLUMNS, RANGE_COLUMN, draft_row_filter
from features.draft.manifest import draft_manifest
from features.draft.outcomes import outcome_flag, toxicity_flag
from features.draft.progression import find_event_flag, find_survival, is_time_to_event
from features.draft.visit_columns import find_visit_columns
from features.draft.visit_labels import days_of_labels

__all__ = [
    "ANALYTE_COLUMN",
    "CLINICAL_COLUMN",
    "DAY_COLUMN",
    "FileKind",
    "LIMIT_COLUMNS",
    "PATIENT_COLUMN",
    "RANGE_COLUMN",
    "UNIT_COLUMN",
    "VALUE_COLUMN",
    "VISIT_COLUMN",
    "days_of_labels",
    "draft_manifest",
    "draft_row_filter",
    "find_event_flag",
    "find_file_kind",
    "find_immune_layout",
    "find_survival",
    "find_value_column",
    "find_visit_columns",
    "is_time_to_event",
    "names_matching",
    "needs_taxonomy",
    "outcome_flag",
    "table_at_finest_rank",
    "toxicity_flag",
]
