"""The parts of a manifest that describe the cohort's clock and its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from features.manifest.base import (
    CellText,
    CellTexts,
    ColumnPattern,
    DayFromDates,
    FileName,
    ManifestPart,
    variant_by_key,
)
from features.manifest.outcomes import YesNo
from features.name_matching import NameDifference
from features.units import ImmuneUnit, TaxaUnit


class Clock(ManifestPart):
    """The clock that counts every day of the cohort."""

    name: str
    """`day_ici` (0 at the first dose), `day_fmt` (0 at the transplant), or the cohort's own."""
    index: str
    """The event at day 0, in words."""
    latest_sample: float | None = None
    """The last day, on this clock, whose stool samples may become features, whatever the landmark."""
    latest_sample_reason: str | None = None
    """Why `latest_sample` is set."""


class Taxa(ManifestPart):
    """The taxa table: the stool profiles. `features.taxa.read_taxa` reads it."""

    file: FileName
    """The file of the taxa table."""
    format: Literal["metaphlan", "kraken", "bracken", "biom", "qza", "table"]
    """A merged MetaPhlAn table, Kraken or Bracken reports, BIOM, a QIIME 2 artifact, or a TSV or CSV table of numbers.
    """
    rank: Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "strain", "feature"] = "species"
    """The taxonomic rank to read; `feature` reads features under their own ids, such as `OTU_12`."""
    unit: TaxaUnit
    """The unit of the numbers in the file."""
    taxonomy: FileName | None = None
    """For `table`, `biom` and `qza`: the file with the taxonomy of the features."""
    prefix: str = ""
    """Text before every sample name of this file that the samples' sheet does not have."""
    suffix: str = ""
    """Text behind every sample name of this file that the samples' sheet does not have, such as `_profile`."""
    sample_axis: Literal["columns", "rows"] | None = None
    """For `table`: whether samples are columns or rows; by default, opposite the names that look like taxa."""
    profiler: str | None = None
    """The program and database that made the profiles, where the file does not name them."""


class DayPattern(ColumnPattern):
    """A column with a day on the cohort's clock: the whole cell, the group named `day` of a pattern, or a label."""

    pattern: str = r"^(?P<day>.*)$"
    """The regular expression with a group named `day`, in Python's syntax; by default, the whole cell."""
    labels: Mapping[CellText, float] = {}
    """The day that each label means, as in `{baseline: -7, T4: 42}`; instead of a pattern."""

    @model_validator(mode="after")
    def _check_group_day(self) -> Self:
        if "day" not in re.compile(self.pattern).groupindex:
            raise ValueError(f"{self.pattern!r} has no group named 'day', as in 'D(?P<day>-?[0-9]+)$'")
        if self.labels and "pattern" in self.model_fields_set:
            raise ValueError("a day is found by 'pattern' or by 'labels'; keep one")
        return self


class DayInNames(ManifestPart):
    """The visits in the names of a `wide` table's columns, of one row for each patient: `IL6_D0`, `IL6_D28`."""

    in_names: Annotated[Mapping[CellText, float], Field(min_length=1)]
    """The day of each visit, as in `{D0: 0, D28: 28}`. A column's name ends with a visit or begins with it, as `pre` in
    `pre IL-10 (pg/mL)`; the rest is the analyte. Columns of no visit, or of two, stand under `drop`."""

    @model_validator(mode="after")
    def _check_days_differ(self) -> Self:
        visits: dict[float, str] = {}
        for visit, day in self.in_names.items():
            if (twin := visits.setdefault(day, visit)) != visit:
                raise ValueError(
                    f"{twin!r} and {visit!r} are both day {day:g}; keep one, and list the columns of the other under "
                    "drop"
                )
        return self


class Lookup(ManifestPart):
    """A further sheet with a row for each that a column of the samples' sheet names, as of BioSamples or tubes."""

    file: FileName
    """The file of the further sheet."""
    column: str
    """Column of the samples' sheet that names a row of the further sheet."""
    key: str
    """Column of the further sheet that holds these names, each once. Its other columns count as columns of the samples'
    sheet; of two of one name, that of the samples' sheet."""


NAME_COLUMN = "sample"
"""The column of the whole name, where the names of profiles hold the patient and the visit."""


class Samples(ManifestPart):
    """The samples' sheet: the patient of every stool profile, and when the sample was taken."""

    file: FileName | None = None
    """The file of the sheet."""
    names: str | None = None
    """Instead of a file, where the profiles' names hold the patient and the visit: a regular expression of the whole
    name, as `(?P<patient>P[0-9]+)_(?P<visit>.+)`. Its named groups are the columns, beside `sample`, the name."""
    keep_rows: Mapping[CellText, CellTexts] = {}
    """The rows to read: by column, the cells of the rows to keep; by default every row."""
    lookup: Lookup | None = None
    """A further sheet that holds what this one lacks, such as the patient of each BioSample, as in
    `{file: biosamples.csv, column: BioSample, key: accession}`."""
    sample: str
    """Column of the sample name, as in the taxa table."""
    patient: str
    """Column of the patient."""
    ignore_in_names: tuple[NameDifference, ...] = ()
    """Differences that do not count where names of samples and patients are compared between files: `case`,
    `separators` (`-._` and blanks) and `leading_zeros`; by default every difference counts."""
    separator: str | None = None
    """The text between several sample names in one cell; the one that has a profile is used."""
    day: (
        Annotated[
            Annotated[DayFromDates, Tag("dates")] | Annotated[DayPattern, Tag("column")],
            variant_by_key("index", "dates", "column"),
        ]
        | None
    ) = None
    """The day of sampling, where samples are dated: a column of days or labels, or two columns of dates."""
    baseline: str | None = None
    """Where no sample is dated: the publication's words for when the samples were taken."""
    visit: str | None = None
    """Column of the visit number."""
    baseline_visit: float | None = None
    """Where visits are not dated: the last visit on or before day 0. It and lower numbers count as taken by day 0;
    without it there is no landmark."""
    donor: ColumnPattern | None = None
    """The rows of donor samples, which never become patients."""
    donor_cleared: YesNo | None = None
    """Whether each donor was cleared by screening, in the rows of donor samples. Without it, a donor counts as cleared
    who gave stool to a recipient of the cohort."""
    donor_sample: str | tuple[str, ...] | None = None
    """Column that names the donor sample, or the donor, that the recipient received; several columns as a list. Where
    the sheet has no such column, it is one of the patients' sheet."""
    donor_separator: str | None = None
    """The text between several donors in one cell of `donor_sample`, as of a pool."""
    exclude_samples: Mapping[CellText, str] = {}
    """Samples to leave out, each with the reason; `*_BRCD` names all that end in `_BRCD`. The reason is published, so
    it must not contain a sample name."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.file is None) == (self.names is None):
            raise ValueError("state the samples' sheet as 'file', or as 'names' what the names of the profiles hold")
        if self.names is None:
            return self
        try:
            groups = re.compile(self.names).groupindex
        except re.error as error:
            raise ValueError(f"{self.names!r} is not a regular expression: {error}") from error
        if self.patient not in groups or NAME_COLUMN in groups or self.sample != NAME_COLUMN:
            raise ValueError(
                f"'names' needs a group named {self.patient!r}, as in '(?P<{self.patient}>P[0-9]+)_.*', and the whole "
                f"name is the column {NAME_COLUMN!r}; got {self.names!r} and 'sample: {self.sample}'"
            )
        return self

    @model_validator(mode="after")
    def _check_sampling_time(self) -> Self:
        if self.day is None and self.baseline is None and self.visit is None:
            raise ValueError("state when stool was sampled: 'day', 'visit', or the publication's words as 'baseline'")
        if self.baseline_visit is not None and (self.visit is None or self.day is not None):
            raise ValueError("baseline_visit is for a 'visit' without a 'day'; remove it, or state the visits' column")
        return self

    @property
    def donor_sample_columns(self) -> tuple[str, ...]:
        """The columns of `donor_sample`."""
        return (self.donor_sample,) if isinstance(self.donor_sample, str) else self.donor_sample or ()

    @property
    def needs_baseline_visit(self) -> bool:
        """Whether visits are numbered but not dated, and nothing tells which of them precede day 0."""
        return self.visit is not None and self.day is None and self.baseline_visit is None


class Technical(ManifestPart):
    """A column of the samples' sheet on how samples were measured: a number with a unit, else a category."""

    column: str
    """The column."""
    unit: str | None = None
    """The unit of a number; without it the column is a category."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""


class ClinicalField(ManifestPart):
    """A clinical column: a number with a unit, or a category whose published values are mapped to their meaning."""

    column: str
    """The column."""
    unit: str | None = None
    """The unit of a number."""
    values: Mapping[CellText, str | bool] | None = None
    """The meaning of each published value: all true or false, or all words."""
    numbers: Mapping[CellText, float] = {}
    """The number that stands for a cell that is none, such as `{">89": 90}` for pooled ages."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""

    @model_validator(mode="after")
    def _check_values_of_one_kind(self) -> Self:
        if len({isinstance(value, bool) for value in (self.values or {}).values()}) > 1:
            raise ValueError("expected values that are all true or false, or all words; got both")
        if self.values is not None and self.numbers:
            raise ValueError("a column holds numbers ('numbers') or categories ('values'); keep one of the two keys")
        return self


ArmRole = Literal["fmt_ici", "ici", "sham"]
"""What an arm received: FMT and ICI, ICI alone, or ICI with a sham transplant (placebo or autologous stool)."""


class Arms(ManifestPart):
    """The arms of a trial, as assigned."""

    column: str
    """Column of the patients' sheet with the arm that each patient was assigned to."""
    roles: Mapping[CellText, ArmRole]
    """What each arm received: `fmt_ici` (FMT and ICI), `ici` (ICI alone), or `sham` (ICI with a placebo or autologous
    transplant). The arms `ici` and `sham` are controls."""
    randomised: bool = False
    """Whether patients were assigned to arms at random."""
    strata: CellTexts = ()
    """Columns of the patients' sheet by which the assignment was stratified."""
    assigned_on: str | None = None
    """Column of the patients' sheet with the day of the assignment on the cohort's clock, from which survival of the
    arms counts; by default it counts from day 0."""
    per_protocol: YesNo | None = None
    """Whether a patient was treated as the protocol requires; these patients are compared beside all as assigned."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        if "fmt_ici" not in self.roles.values() or len({*self.roles.values()}) < 2:
            raise ValueError(
                f"expected an arm with FMT ('fmt_ici') and a control ('ici' or 'sham'); got {dict(self.roles)}"
            )
        return self


class Patients(ManifestPart):
    """The patients' sheet, with the clinical data."""

    file: FileName
    """The file of the sheet."""
    keep_rows: Mapping[CellText, CellTexts] = {}
    """The rows to read: by column, the cells of the rows to keep; by default every row."""
    patient: str
    """Column of the patient."""
    centre: str | None = None
    """Column of the centre or subcohort."""
    arms: Arms | None = None
    """The arms of a trial, which the study compares; they are no features."""
    covariates: Mapping[str, ClinicalField] = {}
    """The clinical columns that may become features, by the name of the feature."""


class Limits(ManifestPart):
    """The limits of quantification of one analyte, in the unit of its table."""

    lloq: float | None = None
    """The lower limit of quantification."""
    uloq: float | None = None
    """The upper limit of quantification."""


Code = Annotated[float | str, Field(union_mode="left_to_right")]
"""A code that stands for a value outside the range of an assay: a number such as -2, or text such as `OOR<`."""


class RangeColumn(ManifestPart):
    """A column that states on which side of the assay's range each value of a `long` table lies."""

    column: str
    """The column."""
    below: CellTexts = ("Below Detection Range", "Below Fit Curve Range")
    """The cells that mean "below the range"."""
    above: CellTexts = ("Above Detection Range", "Above Fit Curve Range")
    """The cells that mean "above the range"."""
    within: CellTexts = ("In Detection Range",)
    """The cells that mean "within the range"."""


class Plates(ManifestPart):
    """The plates of a table on a relative scale, such as NPX."""

    column: str
    """The column that names the plate of each row."""
    reference: CellText | None = None
    """The plate to whose level the others are shifted, by the samples measured on both; each analyte is shifted by the
    median of its differences. Without it, plates are read as they are."""


def _tag_of_day(part: object) -> str:
    if isinstance(part, str):
        return "name"
    keys = part.keys() if isinstance(part, Mapping) else vars(part).keys()
    return "names" if "in_names" in keys else "dates" if "index" in keys else "column"


class Immune(ManifestPart):
    """The table of immune measurements. `features.immune.read_immune` reads it."""

    file: FileName
    """The file of the table."""
    layout: Literal["wide", "long"]
    """`wide`: a row for each blood draw and a column for each analyte; `long`: a row for each measurement."""
    unit: ImmuneUnit
    """The unit of the values, as the source states it."""
    patient: str | None = None
    """Column of the patient."""
    sample: str | None = None
    """Column of the stool sample that was taken with the blood, as in `samples`, where the table names no patients:
    patient, day and visit are those of the sample."""
    day: (
        Annotated[
            Annotated[str, Tag("name")]
            | Annotated[DayFromDates, Tag("dates")]
            | Annotated[DayInNames, Tag("names")]
            | Annotated[DayPattern, Tag("column")],
            Discriminator(_tag_of_day),
        ]
        | None
    ) = None
    """The day of the blood draw: a column of numbers, a column of days or labels with their rule, two columns of dates,
    or the visits in the names of the columns, as in `{in_names: {D0: 0, D28: 28}}`."""
    visit: str | None = None
    """Column of the visit number."""
    baseline: str | None = None
    """Where no blood draw is dated: the publication's words for when blood was drawn."""
    analyte: str = "analyte"
    """For `long`: column of the analyte."""
    value: str = "value"
    """For `long`: column of the value."""
    unit_column: str | None = None
    """For `long`: column of the unit of each row; values are converted to `unit`."""
    keep_rows: Mapping[CellText, CellTexts] = {}
    """The rows to read: by column, the cells of the rows to keep, as `{Sample_Type: [SAMPLE]}` leaves controls out."""
    panel: str | None = None
    """For `long`: column of the panel. An analyte of several panels becomes one for each, `IL-6 (Inflammation)`: the
    scales of panels are not comparable."""
    lower_limit: str | None = None
    """For `long`: column of each value's lower limit of detection or quantification, such as `LOD`."""
    upper_limit: str | None = None
    """For `long`: column of each value's upper limit."""
    range: RangeColumn | None = None
    """For `long`: the column that states whether a value lies below, within or above the range."""
    plates: Plates | None = None
    """For `long`: the plates on which samples were measured."""
    warnings: tuple[str, ...] = ()
    """For `long`: columns that hold PASS, or a warning of quality control; the audit counts the warnings."""
    below: tuple[Code, ...] = ()
    """The codes for values below the range of the assay."""
    above: tuple[Code, ...] = ()
    """The codes for values above the range of the assay."""
    missing: tuple[Code, ...] = ()
    """The codes for values that were not measured, beside empty cells and NA."""
    limits: Mapping[str, Limits] = {}
    """The limits of quantification by analyte."""
    drop: CellTexts = ()
    """Columns (wide) or analytes (long) that are no measurements, such as controls; `POS_*` names all that begin so."""
    exclude_analytes: Mapping[str, str] = {}
    """Analytes to leave out, each with the reason."""
    rename: Mapping[CellText, str] = {}
    """Analytes to read under another name, such as `{2-Sep: SEPTIN2}` for a gene of which a spreadsheet made a date."""
    duplicates: Literal["error", "mean", "last"] = "error"
    """What to do when one analyte of one blood draw has several values."""

    @model_validator(mode="after")
    def _check_draw(self) -> Self:
        times = {"day": self.day, "visit": self.visit, "baseline": self.baseline}
        if self.sample is not None:
            keys = [key for key, value in {"patient": self.patient, **times}.items() if value is not None]
            if keys:
                raise ValueError(f"'{keys[0]}' is that of the sample, which 'sample' names; keep one of the two")
            return self
        if self.patient is None:
            raise ValueError("name the column of the 'patient', or of the 'sample' where the table has none")
        if self.day is None and self.baseline is None and self.visit is None:
            raise ValueError("state when blood was drawn: 'day', 'visit', or the publication's words as 'baseline'")
        if isinstance(self.day, DayInNames) and (self.layout != "wide" or self.visit is not None):
            raise ValueError("'day' finds visits in the names of columns of layout 'wide', and beside no 'visit'")
        return self
