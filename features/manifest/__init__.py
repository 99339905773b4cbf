"""Cohort manifests: small YAML files that describe published tables as they are.

A manifest never reshapes a file. It names the files, the columns that matter and the meaning of each value; a value
that it does not explain is an error. `load_manifest` takes the name of a manifest that ships with Taxokine, or a path.
"""

from features.manifest.base import DayColumn, DayFromDates, day_column
from features.manifest.course import (
    Assessments,
    CoursePart,
    Cycles,
    Lesions,
    LongMeasures,
    Medications,
    Transplants,
    TrialCourse,
    WideMeasures,
)
from features.manifest.files import (
    load_manifest,
    manifest_digest,
    manifest_folder,
    manifest_names,
    manifest_text,
    manifest_text_without_sample_names,
)
from features.manifest.manifest import Manifest
from features.manifest.outcomes import DatedEvent, Events, Recist, StableSixMonths, Survival, TimeUnit, Toxicity, YesNo
from features.manifest.population import ManifestPopulation, PopulationColumn
from features.manifest.source import SourceFile
from features.manifest.tables import (
    NAME_COLUMN,
    ArmRole,
    Arms,
    ClinicalField,
    DayInNames,
    DayPattern,
    Immune,
    Lookup,
    Patients,
    Samples,
    Taxa,
)

__all__ = [
    "ArmRole",
    "Arms",
    "Assessments",
    "ClinicalField",
    "CoursePart",
    "Cycles",
    "Lesions",
    "DatedEvent",
    "DayColumn",
    "DayFromDates",
    "DayInNames",
    "DayPattern",
    "Events",
    "Immune",
    "LongMeasures",
    "Lookup",
    "Manifest",
    "ManifestPopulation",
    "Medications",
    "Patients",
    "PopulationColumn",
    "Recist",
    "NAME_COLUMN",
    "Samples",
    "SourceFile",
    "StableSixMonths",
    "Survival",
    "Taxa",
    "TimeUnit",
    "Toxicity",
    "Transplants",
    "TrialCourse",
    "WideMeasures",
    "YesNo",
    "day_column",
    "load_manifest",
    "manifest_digest",
    "manifest_folder",
    "manifest_names",
    "manifest_text",
    "manifest_text_without_sample_names",
]
