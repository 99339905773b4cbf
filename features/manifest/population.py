"""The part of a manifest that states the patients' disease and treatment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from features.manifest.base import CellText, CellTexts, ManifestPart
from features.population import DrugClass, TreatmentLine, TumourType

Value = TypeVar("Value")


class PopulationColumn(ManifestPart, Generic[Value]):
    """A column of the patients' sheet with one value for each patient."""

    column: str
    """The column."""
    values: Mapping[CellText, Value]
    """The meaning of each cell."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""


OneOrColumn = Annotated[Value | PopulationColumn[Value], Field(union_mode="left_to_right")]


class ManifestPopulation(ManifestPart):
    """The patients' disease and treatment: one value for all, or a column; leave out what is not reported."""

    tumour_type: OneOrColumn[TumourType] | None = None
    """The type of the tumour."""
    treatment_line: OneOrColumn[TreatmentLine] | None = None
    """`first` without systemic therapy of the advanced tumour before, else `later`."""
    drug_class: OneOrColumn[DrugClass] | None = None
    """The class of the immune checkpoint inhibitors."""
