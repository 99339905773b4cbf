"""Serum cytokines and other immune measurements: how a file lays them out, reading it, and the table it becomes."""

from features.immune.exports import ImmuneExport, is_immune_export, read_immune_export
from features.immune.reading import read_immune
from features.immune.specification import ImmuneSpec, SideColumn
from features.immune.table import ImmuneTable
from features.immune.visit_columns import VISIT_KEY, VisitColumn, split_visit

__all__ = [
    "ImmuneExport",
    "VISIT_KEY",
    "ImmuneSpec",
    "ImmuneTable",
    "SideColumn",
    "VisitColumn",
    "is_immune_export",
    "read_immune",
    "read_immune_export",
    "split_visit",
]
