"""The parts of a manifest that describe the course of a trial: treatment, assessments and repeated measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from features.manifest.base import CellText, CellTexts, DayColumn, FileName, ManifestPart, variant_by_key


class CoursePart(ManifestPart):
    """A table with a row for each treatment, assessment or measurement; every other key names one of its columns."""

    file: FileName
    """The file of the table."""
    keep_rows: Mapping[CellText, CellTexts] = {}
    """The rows to read: by column, the cells of the rows to keep; by default every row."""
    patient: str
    """Column of the patient, never missing."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""


class Transplants(CoursePart):
    """The fecal microbiota transplants."""

    day: DayColumn
    """The day of the transplant, never missing: a column of days, or two columns of dates."""
    donor: str | None = None
    """Column of the donor."""
    batch: str | None = None
    """Column of the batch of the preparation."""
    dose: str | None = None
    """Column of the dose, a number."""
    unit: str | None = None
    """Column of the unit of the dose."""
    route: str | None = None
    """Column of the route of administration."""
    preparation: str | None = None
    """Column of how the bowel was prepared."""


class Cycles(CoursePart):
    """The doses of immune checkpoint inhibitors."""

    day: DayColumn
    """The day of the dose, never missing: a column of days, or two columns of dates."""
    drug: str | None = None
    """Column of the drug."""


class AssessedResponse(ManifestPart):
    """A column of the response at an assessment."""

    column: str
    """The column."""
    values: Mapping[CellText, Literal["CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE"]]
    """The meaning of each value, by RECIST or iRECIST."""


class Assessments(CoursePart):
    """The assessments of the tumour."""

    day: DayColumn
    """The day of the assessment, never missing: a column of days, or two columns of dates."""
    response: AssessedResponse | None = None
    """The response at the assessment."""
    sum_mm: str | None = None
    """Column of the sum of the diameters of the target lesions, in mm."""


class Lesions(CoursePart):
    """The tumour's lesions, with a row for each lesion at each assessment."""

    day: DayColumn
    """The day of the assessment, never missing: a column of days, or two columns of dates."""
    lesion: str
    """Column of the lesion's number or name, one for each of a patient's lesions, never missing."""
    site: str
    """Column of where the lesion is, such as brain or lung, never missing."""
    diameter_mm: str | None = None
    """Column of the diameter in mm, 0 where the lesion has gone; missing where it was not measured."""


class MedicationKind(ManifestPart):
    """A column from which the kind of each medication follows, which may be the column of its name."""

    column: str
    """The column."""
    values: Mapping[CellText, Literal["antibiotic", "steroid", "ppi", "other"]]
    """The kind that each value means."""


class Medications(CoursePart):
    """The concomitant medications."""

    name: str
    """Column of the medication's name."""
    kind: MedicationKind
    """The kind of the medication."""
    start: DayColumn
    """The first day, as of `day` in other tables; missing where unknown."""
    end: DayColumn | None = None
    """The last day; missing where unknown, or where the medication goes on."""


class LongMeasures(CoursePart):
    """Repeated measures, such as weight or albumin, with a row for each measurement."""

    day: DayColumn
    """The day of the measurement, never missing: a column of days, or two columns of dates."""
    name: str
    """Column of the measure's name."""
    value: str
    """Column of the value, a number."""
    unit: str | None = None
    """Column of the unit."""


class Measure(ManifestPart):
    """A column with the values of one measure."""

    column: str
    """The column."""
    unit: CellText
    """The unit; "" for a measure without one."""


class WideMeasures(CoursePart):
    """Repeated measures, such as weight or albumin, with a row for each day and a column for each measure."""

    day: DayColumn
    """The day of the measurement, never missing: a column of days, or two columns of dates."""
    columns: Annotated[Mapping[str, Measure], Field(min_length=1)]
    """The measures, by name."""


class TrialCourse(ManifestPart):
    """The course of a trial on the cohort's clock, which never becomes features; `features.trial_course` reads it."""

    transplants: Transplants | None = None
    """The fecal microbiota transplants."""
    cycles: Cycles | None = None
    """The doses of immune checkpoint inhibitors."""
    assessments: Assessments | None = None
    """The assessments of the tumour."""
    lesions: Lesions | None = None
    """The tumour's lesions by site."""
    medications: Medications | None = None
    """The concomitant medications."""
    measures: (
        Annotated[
            Annotated[WideMeasures, Tag("wide")] | Annotated[LongMeasures, Tag("long")],
            variant_by_key("columns", "wide", "long"),
        ]
        | None
    ) = None
    """Repeated measures, in a wide table (`columns`) or a long one."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files of all parts."""
        return tuple(part.file for _, part in self if part is not None)
