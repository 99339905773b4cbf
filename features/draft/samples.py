"""Drafted lines of the taxa table and of the samples' sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from features.draft.columns import (
    OTHER_PATIENT_COLUMN,
    TimeColumn,
    columns_matching,
    find_patient_column,
    find_time_column,
    holds_dates,
    names_matching,
    patient_column_with_gaps,
    reported_patients,
    snake_case,
)
from features.draft.controls import control_lines, control_rows
from features.draft.covariates import COVARIATE_COLUMN
from features.draft.donors import draft_donors
from features.draft.file_kinds import FileKind
from features.draft.outcomes import BEST_RESPONSE_COLUMN, RESPONSE_COLUMN
from features.draft.times import date_columns, date_questions, label_column
from features.draft.visit_labels import event_of_labels
from features.draft.visit_names import patients_of_names, pattern_of_names
from features.draft.yaml_lines import in_yaml
from features.errors import FileError
from features.manifest import NAME_COLUMN
from features.name_matching import NAME_DIFFERENCES, NameDifference, is_number_of_spreadsheet, simplified
from features.sample_names import sheet_of_names
from features.tables.decimals import is_number
from features.tables.lookup import JoinedTable, join
from features.tables.text import TextTable
from features.taxa import TaxaTable

_SEQUENCER = re.compile(r"_S\d+(_L\d{3})?(_R?[12])?(_001)?$")
"""What Illumina's software adds to a sample's name: its number on the sheet, the lane, the read and 001."""
_CLINICAL_COLUMN = f"{COVARIATE_COLUMN}|{BEST_RESPONSE_COLUMN}|{RESPONSE_COLUMN}"
"""The columns that report something of a patient, and of no technical control."""
_MOST_SAMPLES = 8
"""The most samples of a patient on average, beyond which a column is of groups."""
_MOST_DAYS = 8
"""Days of which a question shows how they would be stated."""
_KEY_COLUMN = r"(^|_)(ids?|no|nr|number|barcode|tube|sample|accession|code|label|run)(_|$)"
"""The columns of numbers by which two sheets may belong together."""
_CLOCKS = (
    (r"fmt|transplant", "day_fmt", "fecal microbiota transplantation"),
    (r"treatment|therapy|dose|ici|infusion", "day_ici", "first dose of immune checkpoint inhibitors"),
)
"""The words by which a clock is recognised, its name, and the event at its day 0."""


@dataclass(frozen=True)
class SamplesDraft:
    """The samples' sheet, and the lines that describe it.

    Attributes
    ----------
    sheet : TextTable or None
        The sheet that names the profiles; None where none does.
    sample_column, patient_column : str
        Its columns of the sample and of the patient.
    patients : frozenset of str
        The patients with stool, without donors.
    other_rows : pandas.Series of bool
        The rows of donor samples and of technical controls, (n_rows,).
    prefix, suffix : str
        The text before and behind every sample name in the taxa table that the sheet does not have.
    clock_name, clock_index : str
        The name of the clock and the event at its day 0, or TODO.
    lines : list of str
        The lines of the manifest.
    is_patient_open : bool
        Whether a column of patients is missing, so that `patient_column` names samples instead.
    is_of_names : bool
        Whether the sheet is no file, and holds what the names of the profiles do.
    """

    sheet: TextTable | None
    sample_column: str
    patient_column: str
    patients: frozenset[str]
    other_rows: pd.Series[bool]
    prefix: str
    suffix: str
    clock_name: str
    clock_index: str
    lines: list[str]
    is_patient_open: bool = False
    is_of_names: bool = False

    @property
    def files(self) -> set[Path]:
        """The files of the samples' sheet and of the one that it looks up."""
        lookup = {self.sheet.lookup.path} if isinstance(self.sheet, JoinedTable) else set()
        return lookup if self.sheet is None else {self.sheet.path, *lookup}


def taxa_lines(
    file: Path, kind: FileKind, taxonomy: Path | None, rank: str, table: TaxaTable, prefix: str, suffix: str
) -> list[str]:
    """Return the lines of the taxa table; `prefix` and `suffix` are those of `SamplesDraft`."""
    format, _, sample_axis = kind.partition("/")
    lines = ["taxa:", f"  file: {in_yaml(file.name)}", f"  format: {format}"]
    if sample_axis:
        lines.append(f"  sample_axis: {sample_axis}  # guessed: the other axis names taxa")
    if taxonomy:
        lines.append(f"  taxonomy: {in_yaml(taxonomy.name)}")
    reason = "the features have ids" if rank == "feature" else "the finest rank at which most of the table has a name"
    lines.append(f"  rank: {rank}  # guessed: {reason}")
    lines.append(f"  unit: {table.unit}  # guessed: the largest sample sums to {table.values.sum(axis=1).max():g}")
    if prefix:
        lines.append(f"  prefix: {in_yaml(prefix)}  # guessed: profiles' names begin with it, the sheet's do not")
    if suffix:
        lines.append(f"  suffix: {in_yaml(suffix)}  # guessed: profiles' names end with it, the sheet's do not")
    if rank == "feature":
        lines.append("  # TODO: the features have ids, no names; add 'taxonomy', the file of it, and state a rank")
    if table.profiler:
        lines.append(f"  # the file names its profiler: {in_yaml(table.profiler)}")
    else:
        lines.append("  # TODO: add 'profiler', the program and database that made the profiles, such as metaphlan4")
    return lines


def draft_samples(
    sheets: Sequence[TextTable],
    taxa_file: Path,
    profiles: Sequence[str],
    kept_rows: Mapping[Path, list[str]] = MappingProxyType({}),
) -> SamplesDraft:
    """Find the sheet that names the profiles, its patients, days and donors, and draft its lines.

    Without one, the names of the profiles in `taxa_file` may hold patients and visits. `kept_rows` are the lines of
    `keep_rows` of the sheets from which rows were left out, by file.
    """
    match = _find_samples(sheets, taxa_file, profiles)
    if (sheet := match.sheet) is None:
        todo = f"samples:  # TODO: no column of any sheet names the profiles, such as {in_yaml(profiles[0])}"
        todo += "; name the sheet that does, or state 'names' instead of 'file', if names hold patient and visit"
        lines = [todo, *(f"  {key}: TODO" for key in ("file", "sample", "patient", "baseline"))]
        lines += [*_spreadsheet_hints(sheets), *_sequencer_hint(sheets, profiles)]
        return SamplesDraft(None, "TODO", "TODO", frozenset(), pd.Series(dtype=bool), "", "", "day_ici", "TODO", lines)
    lines = ["samples:", *_name_lines(match, sheet, len(profiles), kept_rows.get(sheet.path, []))]
    lines += _further_columns(match, sheet, profiles)
    sheet, lookup_lines = _with_lookup(sheet, sheets)
    lines += lookup_lines
    controls = _find_controls(sheet, match.column, sheets)
    people = sheet.select(~controls)
    patient, line = _draft_patient(people, match.column, sheets)
    lines.append(line)
    is_patient_open = lines[-1].startswith("  patient: TODO")
    donor_lines, donor_rows = draft_donors(people, patient, sheets)
    recipients = people.frame[~donor_rows]
    time, dates = find_time_column(recipients, patient), date_columns(sheet, recipients, patient, sheets)
    labels = label_column(recipients)
    repeats = bool(recipients[patient].duplicated().any())
    lines += _time_lines(time, dates, labels, has_repeated_patients=repeats)
    lines += date_questions(sheet, recipients, sheets) if time is None and dates is None else []
    lines += _question_of_day_1(recipients, time)
    lines += [*donor_lines, *control_lines(match.names_in_profiles(sheet.frame[match.column][controls], profiles))]
    clock_name, clock_index = _find_clock(time, dates, labels, has_donors=bool(donor_lines))
    patients = frozenset(recipients[patient])
    other_rows = pd.Series(~sheet.frame.index.isin(recipients.index), index=sheet.frame.index)
    return SamplesDraft(
        sheet,
        match.column,
        patient,
        patients,
        other_rows,
        match.prefix,
        match.suffix,
        clock_name,
        clock_index,
        lines,
        is_patient_open,
        is_of_names=bool(match.pattern),
    )


def _find_samples(sheets: Sequence[TextTable], taxa_file: Path, profiles: Sequence[str]) -> _SampleColumn:
    """Return the column that names at least half of the profiles, or the names themselves; else one without a sheet."""
    match = _with_ignored_differences(_find_sample_column(sheets, profiles), sheets, profiles)
    if match.sheet is not None and match.n_profiles >= min(len(profiles), len(match.sheet.rows)) / 2:
        return match
    if pattern := _pattern_of_names(sheets, profiles):
        sheet = sheet_of_names(pattern, profiles, taxa_file)
        return _SampleColumn(len(profiles), sheet=sheet, column=NAME_COLUMN, pattern=pattern)
    return _SampleColumn()


def _name_lines(match: _SampleColumn, sheet: TextTable, n_profiles: int, kept_rows: Sequence[str]) -> list[str]:
    """Return the lines that say where the names of samples stand."""
    if match.pattern:
        reason = "guessed: the profiles' names hold a patient and a visit; TODO: confirm"
        return [f"  names: {in_yaml(match.pattern)}  # {reason}", f"  sample: {NAME_COLUMN}"]
    reason = f"guessed: {match.n_profiles} of {n_profiles} profile names found in this column"
    lines = [
        f"  file: {in_yaml(sheet.path.name)}",
        *kept_rows,
        f"  sample: {in_yaml(match.column)}  # {reason}",
    ]
    if match.ignored:
        reason = f"{match.n_profiles} names agree but for {' and '.join(match.ignored)}".replace("_", " ")
        lines.append(f"  ignore_in_names: {in_yaml(list(match.ignored))}  # guessed: {reason}; TODO: confirm")
    if match.separator:
        lines.append(f"  separator: {in_yaml(match.separator)}  # guessed: it separates several names in one cell")
    return lines


def _find_controls(sheet: TextTable, sample_column: str, sheets: Sequence[TextTable]) -> pd.Series[bool]:
    """Return which rows are technical controls by their names, but for those of patients with clinical data."""
    controls = control_rows(sheet.frame[sample_column])
    if column := find_patient_column(sheet):
        patients = sheet.frame[column]
        controls &= ~patients.isin(reported_patients(sheets, frozenset(patients[controls]), _CLINICAL_COLUMN))
    return controls


def _draft_patient(sheet: TextTable, sample_column: str, sheets: Sequence[TextTable]) -> tuple[str, str]:
    """Return the column of the patient, or of the sample where none names one for every sample, and its line."""
    if patient := find_patient_column(sheet):
        n_patients = sheet.frame[patient].nunique()
        note = f"guessed: {n_patients} different values in {len(sheet.rows)} rows"
        return patient, f"  patient: {in_yaml(patient)}  # {note}"
    for column in columns_matching(sheet, OTHER_PATIENT_COLUMN):
        cells = sheet.frame[column]
        is_repeated = cells.nunique() < len(cells) <= _MOST_SAMPLES * cells.nunique()
        if column != sample_column and is_repeated and not (cells == "").any():
            note = f"guessed: {cells.nunique()} different values in {len(sheet.rows)} rows; TODO: confirm"
            return column, f"  patient: {in_yaml(column)}  # {note}"
    if link := _find_clinical_link(sheet, sample_column, sheets):
        place = f"{in_yaml(link.sheet)} has clinical columns of these in column {in_yaml(link.patient)}"
        return link.column, f"  patient: {in_yaml(link.column)}  # guessed: {place}; TODO: confirm"
    return sample_column, _patient_question(sheet, sample_column, sheets)


def _patient_question(sheet: TextTable, sample_column: str, sheets: Sequence[TextTable]) -> str:
    """Return the line of the patient where no column names one for every sample."""
    if column := patient_column_with_gaps(sheet):
        row = next(line for line, cell in sheet.frame[column].items() if cell == "")
        return (
            f"  patient: TODO  # TODO: {in_yaml(column)} is empty in rows such as {row}; fill it in, since of merged "
            "cells the first alone holds the text, or leave rows of other things out by keep_rows"
        )
    if patients := patients_of_names(sheet.frame[sample_column]):
        name, patient = next(iter(patients.items()))
        return (
            f"  patient: TODO  # TODO: {in_yaml(name)} holds a patient and a visit; add a column of patients, such as "
            f"{in_yaml(patient)}, and one of days; else each of {len(patients)} samples counts as a patient"
        )
    for other in sheets:
        if other.path != sheet.path and (link := _find_link(sheet, other)):
            return (
                f"  patient: TODO  # TODO: {in_yaml(other.path.name)} names them in column {in_yaml(link.patient)}; "
                "settle 'lookup'"
            )
    return f"  patient: {in_yaml(sample_column)}  # TODO: no column names patients; each sample is taken as one"


def _with_lookup(sheet: TextTable, sheets: Sequence[TextTable]) -> tuple[TextTable, list[str]]:
    """Return a sheet that names no patients with the columns of another that does, and the line of `lookup`."""
    if find_patient_column(sheet) or patient_column_with_gaps(sheet):
        return sheet, []
    for other in sheets:
        if other.path == sheet.path or (link := _find_link(sheet, other)) is None:
            continue
        rule = {"file": other.path.name, "column": link.column, "key": link.other_column}
        try:
            joined = join(sheet, link.column, other, link.other_column)
        except FileError as error:
            place = f"{Path(error.file).name}, row {error.row}"
            return sheet, [f"  # TODO: 'lookup: {in_yaml(rule)}' would name the patients, but {place}: {error.problem}"]
        return joined, [f"  lookup: {in_yaml(rule)}  # guessed: it names the patients of these; TODO: confirm"]
    return sheet, []


class _Link(NamedTuple):
    """The columns by which another sheet, of a file, belongs to that of the samples, and its column of patients."""

    column: str
    other_column: str
    patient: str
    sheet: str


def _find_clinical_link(sheet: TextTable, sample_column: str, sheets: Sequence[TextTable]) -> _Link | None:
    """Return the column that names the patients of another sheet with clinical columns; None where none does.

    It is a column that no name tells, as a number of the study, and holds most of what identifies the other's rows:
    no measurement and no date, which may differ between all rows too.
    """
    for other in sheets:
        if other.path == sheet.path or not columns_matching(other, _CLINICAL_COLUMN):
            continue
        for other_column in [patient] if (patient := find_patient_column(other)) else other.header:
            keys = other.frame[other_column]
            is_clinical = names_matching([other_column], _CLINICAL_COLUMN) or holds_dates(keys)
            if is_clinical or keys.duplicated().any() or (keys == "").any():
                continue
            for column in sheet.header:
                names = set(sheet.frame[column])
                is_shared = 2 * len(names & set(keys)) > len(names) and "" not in names
                # Rows of two sheets may be numbered alike, and two measurements be equal.
                is_name = not any(map(is_number, names)) or (column == other_column and all(map(str.isdecimal, names)))
                if is_shared and is_name and column != sample_column:
                    return _Link(column, other_column, other_column, other.path.name)
    return None


def _find_link(sheet: TextTable, other: TextTable) -> _Link | None:
    """Return how another sheet names the patients of most rows of a sheet; None where it does not."""
    patient = find_patient_column(other)
    if patient is None:
        return None
    other_cells = {
        name: set(cells)
        for name in other.header
        if name != patient and not (cells := other.frame[name]).duplicated().any()
    }
    for column in sheet.header:
        names = set(sheet.frame[column])
        # Two measurements, or dates, may be equal by chance.
        is_measured = any(map(is_number, names)) and not names_matching([column], _KEY_COLUMN)
        if len(names) < len(sheet.rows) or is_measured or holds_dates(sheet.frame[column]):
            continue
        # Rows of two sheets may be numbered alike.
        other_columns = {column} & other_cells.keys() if all(map(is_number, names)) else other_cells
        for other_column in other_columns:
            if 2 * len(names & other_cells[other_column]) > len(names):
                return _Link(column, other_column, patient, other.path.name)
    return None


def _pattern_of_names(sheets: Sequence[TextTable], profiles: Sequence[str]) -> str:
    """Return the pattern of profiles' names that hold the patients of a sheet, and visits; empty for other names."""
    columns = [sheet.frame[column] for sheet in sheets if (column := find_patient_column(sheet))]
    known_patients = columns or [pd.Series(dtype="str")]
    return next(filter(None, (pattern_of_names(profiles, patients) for patients in known_patients)), "")


def _time_lines(
    time: TimeColumn | None,
    dates: tuple[str, str] | None,
    labels: tuple[str, dict[str, float | None]] | None,
    *,
    has_repeated_patients: bool,
) -> list[str]:
    weeks = {"column": time.column, "labels": time.labels} if time and time.labels else None
    if time is not None and time.key == "day" and not weeks:
        day = {"column": time.column, **({"pattern": time.pattern} if time.pattern else {})}
        return [f"  day: {in_yaml(day)}  # TODO: confirm, and confirm the event at day 0"]
    if dates is not None:
        day = {"from": dates[0], "index": dates[1]}
        return [f"  day: {in_yaml(day)}  # guessed: dates under these names; TODO: confirm the event at day 0"]
    if time is not None and time.key == "visit":
        return [
            f"  visit: {in_yaml(time.column)}  # guessed: numbers under this name",
            "  # TODO: name the last visit on or before day 0, as in 'baseline_visit: 1', or state days as 'day'",
        ]
    if labels and None not in labels[1].values():
        rule = {"column": labels[0], "labels": labels[1]}
        return [f"  day: {in_yaml(rule)}  # guessed from the labels; TODO: confirm each day"]
    if weeks:
        return [f"  day: {in_yaml(weeks)}  # guessed: the days of these weeks or months; TODO: confirm each"]
    lines = []
    if has_repeated_patients:
        lines = ["  # TODO: some patients have several samples; name the column of their 'day' or 'visit'"]
    if labels:
        label_days = {label: "TODO" if day is None else day for label, day in labels[1].items()}
        lines = [
            f"  # TODO: or state the day of each label: 'day: {in_yaml({'column': labels[0], 'labels': label_days})}'"
        ]
    return ["  baseline: TODO  # TODO: the publication's words for when stool was sampled", *lines]


def _further_columns(match: _SampleColumn, sheet: TextTable, profiles: Sequence[str]) -> list[str]:
    """Return the question what further columns of a sheet are that name other profiles, as of a patient's visits."""
    sample_names = set(match.names_in_profiles(sheet.frame[match.column], profiles))
    unlisted_names = {name.removesuffix(match.suffix).removeprefix(match.prefix) for name in profiles} - sample_names
    columns = [
        name for name in sheet.header if name != match.column and len(unlisted_names & set(sheet.frame[name])) > 1
    ]
    if not columns:
        return []
    return [
        f"  # TODO: {in_yaml(columns)} name further profiles; write a row for each sample, with its patient and day"
    ]


def _question_of_day_1(recipients: pd.DataFrame, time: TimeColumn | None) -> list[str]:
    """Return the question whether day 1 is that of the first dose, where days lead to it and none is 0."""
    if time is None or time.key != "day" or time.pattern or time.labels:
        return []
    cells = list(recipients[time.column].unique())
    days = {cell: float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells}
    if 1 not in days.values() or 0 in days.values() or (min(days.values()) >= 0 and "study" not in time.column.lower()):
        return []
    labels = {cell: day - (day > 0) for cell, day in sorted(days.items(), key=lambda item: item[1])[:_MOST_DAYS]}
    rule = in_yaml({"column": time.column, "labels": labels})
    return [f"  # TODO: no day is 0; if the first dose is on day 1, as in CDISC's study days, state it: 'day: {rule}'"]


def _find_clock(
    time: TimeColumn | None,
    dates: tuple[str, str] | None,
    labels: tuple[str, dict[str, float | None]] | None,
    *,
    has_donors: bool,
) -> tuple[str, str]:
    is_dated = time is not None and time.key == "day" and not time.labels
    is_labelled = labels is not None and (time is None or None not in labels[1].values())
    words = event_of_labels(labels[1]) if labels and is_labelled and not (is_dated or dates) else ""
    words = words or ("fmt" if has_donors else snake_case(dates[1]) if dates and not is_dated else "")
    words = words or (snake_case(time.column) if time else "")
    for pattern, name, index in _CLOCKS:
        if re.search(pattern, words):
            return name, index
    return ("visit" if time and time.key == "visit" else "day_ici"), "TODO"


@dataclass(frozen=True)
class _SampleColumn:
    """A column, and the number of profiles that it names."""

    n_profiles: int = 0
    prefix: str = ""
    suffix: str = ""
    sheet: TextTable | None = None
    column: str = ""
    separator: str | None = None
    ignored: tuple[NameDifference, ...] = ()
    pattern: str = ""
    """Of the profiles' names, where these hold patients and visits, and no sheet lists them."""

    def names_in_profiles(self, cells: Iterable[str], profiles: Sequence[str]) -> list[str]:
        """Return the names of samples as the profiles spell them, by which a manifest names them."""
        names = [name.removesuffix(self.suffix).removeprefix(self.prefix) for name in profiles]
        spellings = {simplified(name, self.ignored): name for name in names}
        runs = [[run.strip() for run in cell.split(self.separator)] if self.separator else [cell] for cell in cells]
        keys = [[simplified(run, self.ignored) for run in cell_runs] for cell_runs in runs]
        return [
            next((spellings[key] for key in cell_keys if key in spellings), cell_runs[0])
            for cell_runs, cell_keys in zip(runs, keys, strict=True)
        ]


def _with_ignored_differences(
    match: _SampleColumn, sheets: Sequence[TextTable], profiles: Sequence[str]
) -> _SampleColumn:
    """Return the column that names more profiles where differences of spelling are ignored, as few as do."""
    choices = [
        choice
        for n in range(1, len(NAME_DIFFERENCES) + 1)
        for choice in combinations(NAME_DIFFERENCES, n)
        if len({simplified(name, choice) for name in profiles}) == len(profiles)
    ]
    for ignored in choices:
        names = {simplified(name, ignored) for name in profiles}
        for sheet in sheets:
            for column, cells in sheet.frame.items():
                keys = {simplified(cell, ignored) for cell in cells.unique()}
                is_distinct = len(keys) == cells.nunique()
                if is_distinct and (n_profiles := len(names & keys)) > match.n_profiles:
                    match = _SampleColumn(n_profiles, sheet=sheet, column=str(column), ignored=ignored)
    return match


def _splits_number(prefix: str, profiles: Sequence[str]) -> bool:
    """Tell whether a prefix ends within a number: the 0 of 001 is no prefix."""
    return prefix[-1:].isdigit() and any(name[len(prefix) :][:1].isdigit() for name in profiles)


def _spreadsheet_hints(sheets: Sequence[TextTable]) -> list[str]:
    """Return a comment for each column in which a spreadsheet made numbers of names."""
    return [
        f"  # TODO: {in_yaml(sheet.path.name)}, column {in_yaml(column)}: a spreadsheet made numbers of names, such as "
        f"{in_yaml(next(cell for cell in cells if is_number_of_spreadsheet(cell)))}; export them as text"
        for sheet in sheets
        for column, cells in sheet.frame.items()
        if cells.map(is_number_of_spreadsheet).any()
    ]


def _sequencer_hint(sheets: Sequence[TextTable], profiles: Sequence[str]) -> list[str]:
    """Return a comment where the profiles have the names of a sheet's samples but for what a sequencer adds to them."""
    names = {_SEQUENCER.sub("", name) for name in profiles}
    for sheet in sheets:
        for column, cells in sheet.frame.items():
            if len(names) == len(profiles) and 2 * len(names & set(cells)) > len(names):
                return [
                    f"  # TODO: {in_yaml(profiles[0])} is {in_yaml(_SEQUENCER.sub('', profiles[0]))} of column "
                    f"{in_yaml(column)} with the sequencer's number and lane behind it; cut these off in the taxa table"
                ]
    return []


def _find_sample_column(sheets: Sequence[TextTable], profiles: Sequence[str]) -> _SampleColumn:
    """Return the column, with the prefix, the suffix and the separator, that names most profiles."""
    best = _SampleColumn()
    profile = profiles[0]
    prefixes = [profile[:n] for n in range(len(profile)) if all(name.startswith(profile[:n]) for name in profiles)]
    ends = [profile[n:] for n in range(len(profile) - 1, 0, -1) if profile[n] in "._-"]
    suffixes = ["", *(end for end in ends if all(name.endswith(end) for name in profiles))]
    for suffix, prefix in product(suffixes, prefixes):
        names = {name.removesuffix(suffix).removeprefix(prefix) for name in profiles} - {""}
        if len(names) <= best.n_profiles or _splits_number(prefix, profiles):
            continue
        for sheet in sheets:
            for column, values in sheet.frame.items():
                for separator in (None, ";", ",", "|"):
                    cells = values.str.split(separator, regex=False).explode().str.strip() if separator else values
                    n_profiles = len(names & set(cells))
                    if n_profiles > best.n_profiles:
                        best = _SampleColumn(n_profiles, prefix, suffix, sheet, str(column), separator)
    return best
