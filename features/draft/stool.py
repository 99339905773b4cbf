"""The lines of taxa and samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from features.draft.words import columns_of, in_yaml, is_missing, patient_column, snake, when_taken
from features.tables.text import TextTable
from features.taxa import TaxaTable

_GIVEN = r"donor|^given|(^|_)fmt(_|$)"
CLOCKS = (
    (r"fmt|transplant", "day_fmt", "fecal microbiota transplantation"),
    (r"treatment|therapy|dose|ici|infusion", "day_ici", "first dose of immune checkpoint inhibitors"),
)


class Stool(NamedTuple):
    """The samples' sheet, if one names the profiles; `patients` have stool, and rows of `donors` are none of theirs."""

    sheet: TextTable | None
    patient: str
    patients: frozenset[str]
    donors: pd.Series[bool]
    prefix: str
    clock: tuple[str, str]
    lines: list[str]


def taxa_lines(file: Path, kind: str, taxonomy: Path | None, rank: str, table: TaxaTable, prefix: str) -> list[str]:
    """Return the lines of the taxa table; `prefix` is what its samples' names begin with, and the sheet's do not."""
    format, _, side = kind.partition("/")
    lines = ["taxa:", f"  file: {in_yaml(file.name)}", f"  format: {format}"]
    lines += [f"  sample_axis: {side}  # guessed: the other side names taxa"] if side else []
    lines += [f"  taxonomy: {in_yaml(taxonomy.name)}"] if taxonomy else []
    lines.append(f"  rank: {rank}  # guessed: the finest at which most of the table has a name")
    lines.append(f"  unit: {table.unit}  # guessed: the largest sample sums to {table.values.sum(axis=1).max():g}")
    lines += [f"  prefix: {in_yaml(prefix)}  # guessed: profiles' names begin so, the sheet's do not"] if prefix else []
    if format in ("biom", "qza") and not table.lineages:
        lines.append("  # TODO: features have no taxonomy and keep their ids; name a file of it as 'taxonomy'")
    unknown = "TODO: state 'profiler', the program and database that made the profiles, as in metaphlan4"
    lines.append(f"  # {'the file names its profiler: ' + in_yaml(table.profiler) if table.profiler else unknown}")
    return lines


def stool_sheet(sheets: Sequence[TextTable], profiles: Sequence[str]) -> Stool:
    """Return the sheet that names the profiles, whose stool they are and when it was taken, and the lines of it."""
    named, prefix, sheet, column, separator = _profile_names(sheets, profiles)
    if sheet is None or named < min(len(profiles), len(sheet.frame)) / 2:
        todo = f"samples:  # TODO: no column of any sheet names the profiles, such as {in_yaml(profiles[0])}"
        lines = [todo, *(f"  {key}: TODO" for key in ("file", "sample", "patient", "baseline"))]
        return Stool(None, "TODO", frozenset(), pd.Series(dtype=bool), "", ("day_ici", "TODO"), lines)
    patient = patient_column(sheet)
    lines = ["samples:", f"  file: {in_yaml(sheet.path.name)}"]
    lines.append(
        f"  sample: {in_yaml(column)}  # guessed: {named} of {len(profiles)} profile names found in this column"
    )
    lines += [f"  separator: {in_yaml(separator)}  # guessed: it parts several names in one cell"] if separator else []
    if patient:
        number = sheet.frame[patient].nunique()
        lines.append(f"  patient: {in_yaml(patient)}  # guessed: {number} different values in {len(sheet.frame)} rows")
    else:
        patient = column
        lines.append(f"  patient: {in_yaml(patient)}  # TODO: no column names patients; each sample is taken as one")
    donor_lines, donors = _donors(sheet)
    own = sheet.frame[~donors]
    when = when_taken(own)
    if when is None:
        lines.append("  baseline: TODO  # TODO: the publication's words for when stool was taken")
        if own[patient].duplicated().any():
            lines.append("  # TODO: some patients have several samples; name their 'day' or 'visit'")
    elif when.key == "visit":
        lines.append(f"  visit: {in_yaml(when.column)}  # guessed: numbers under this name")
    else:
        day = {"column": when.column, **({"pattern": when.pattern} if when.pattern else {})}
        lines.append(f"  day: {in_yaml(day)}  # TODO: confirm, and what its day 0 is")
    told = "fmt" if donor_lines else snake(when.column) if when else ""
    fallback = ("visit" if when and when.key == "visit" else "day_ici", "TODO")
    clock = next(((day, index) for pattern, day, index in CLOCKS if re.search(pattern, told)), fallback)
    return Stool(sheet, patient, frozenset(own[patient]), donors, prefix, clock, lines + donor_lines)


def _profile_names(
    sheets: Sequence[TextTable], profiles: Sequence[str]
) -> tuple[int, str, TextTable | None, str, str | None]:
    """Return how many profiles are named by the prefix, sheet, column and separator that name most of them."""
    best: tuple[int, str, TextTable | None, str, str | None] = (0, "", None, "", None)
    prefixes = [profiles[0][:length] for length in range(len(profiles[0]))]
    for prefix in (p for p in prefixes if all(name.startswith(p) for name in profiles)):
        bare = {name.removeprefix(prefix) for name in profiles} - {""}
        for sheet in sheets:
            for column, values in sheet.frame.items():
                for separator in (None, ";", ",", "|"):
                    cells = values.str.split(separator, regex=False).explode().str.strip() if separator else values
                    if (number := len(bare & set(cells))) > best[0]:
                        best = (number, prefix, sheet, str(column), separator)
    return best


def _donors(sheet: TextTable) -> tuple[list[str], pd.Series[bool]]:
    """Return the lines of 'donor' and 'donor_sample', and the rows that are donors'.

    They are those that a column calls so, or else those whose name others were given.
    """
    for other, names in sheet.frame.items():
        rows = names.str.lower() == "donor"
        if rows.any() and not rows.all():
            value = names[rows].iloc[0]
            donor = in_yaml({"column": str(other), "pattern": f"^{value}$"})
            lines = [f"  donor: {donor}  # guessed: {rows.sum()} rows say so; TODO: confirm"]
            return lines + [
                f"  donor_sample: {in_yaml(column)}" for column in columns_of(sheet, _GIVEN) if column != other
            ][:1], rows
    for column in columns_of(sheet, _GIVEN):
        named = sheet.frame.loc[~sheet.frame[column].map(is_missing), column]
        for other, names in sheet.frame.items():
            listed = sorted(set(named) & set(names))
            prefix = re.match(r"[A-Za-z]+[_-]?", listed[0]) if other != column and listed else None
            if prefix is None or not all(name.startswith(prefix[0]) for name in listed):
                continue
            rows = names.str.startswith(prefix[0])
            if not rows[named.index].any():
                donor = in_yaml({"column": str(other), "pattern": f"^{prefix[0]}"})
                why = f"# guessed: {rows.sum()} rows are named as {in_yaml(column)} names donors; TODO: confirm"
                return [f"  donor: {donor}  {why}", f"  donor_sample: {in_yaml(column)}"], rows
    return [], pd.Series(False, index=sheet.frame.index)
