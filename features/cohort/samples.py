"""The samples' sheet: the patient, the day and the donor of every profiled stool sample."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.cohort.received_donors import received_donors
from features.columns import Column
from features.days import DayRule
from features.errors import FileError, InputError, ManifestError
from features.manifest import Manifest, Samples
from features.name_matching import is_match, is_number_of_spreadsheet, matching_names, near_misses
from features.sample_names import sheet_of_names
from features.tables.lookup import join
from features.tables.text import TextTable, read_text_table
from features.taxa import TaxaTable


@dataclass(frozen=True)
class ProfiledSamples:
    """The samples that are listed and have a profile.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row for each sample, as `features.cohort.Cohort.samples` describes it.
    taxa : TaxaTable
        Their profiles, in the same order, (n_samples, n_taxa).
    notes : tuple of str
        How many samples were left out, and why; without their names.
    near_misses : tuple of str
        Listed samples without a profile whose names resemble that of a profile that is not listed.
    donor_near_misses : tuple of str
        Names of donors that were taken for another spelling of a donor's.
    """

    frame: pd.DataFrame
    taxa: TaxaTable
    notes: tuple[str, ...]
    near_misses: tuple[str, ...]
    donor_near_misses: tuple[str, ...]


def read_samples_sheet(manifest: Manifest, paths: Mapping[str, Path], profiles: Sequence[str]) -> TextTable:
    """Return the samples' sheet, of its file or of the profiles' names, with the columns of the sheet that it looks up.

    Raises
    ------
    FileError
        A sheet cannot be read, a profile has another name than the manifest says, or a row names none that is looked
        up.
    """
    part = manifest.samples
    if part.file is not None:
        table = read_text_table(paths[part.file])
    else:
        table = sheet_of_names(part.names or "", profiles, paths[manifest.taxa.file], part.exclude_samples)
    if part.lookup is None:
        return table
    return join(table, part.lookup.column, read_text_table(paths[part.lookup.file]), part.lookup.key)


def read_samples(
    part: Samples, table: TextTable, taxa: TaxaTable, patients: tuple[TextTable, str] | None = None
) -> ProfiledSamples:
    """Read the samples' sheet, and match it with the profiles.

    `patients` is the patients' sheet with its column of the patient, which may hold the dates of day 0 and the donors.

    Raises
    ------
    FileError
        If a sample has no name, no patient, no day where days are stated, or two rows.
    ManifestError
        If `exclude_samples` names no sample, or no sample has a profile.
    """
    sample_names = _sample_names(part, table, taxa.samples)
    _check_sample_names(part, table, sample_names)
    # A profile that is excluded need not have a name like the others, which hold the samples.
    names = dict.fromkeys([*sample_names, *(taxa.samples if part.names else ())])
    excluded, reasons = _excluded_samples(part, table, names)
    no_number = pd.Series(np.nan, index=sample_names.index)
    is_donor = donor_rows(part, table)
    received = received_donors(part, table, sample_names, is_donor, patients)
    frame = pd.DataFrame(
        {
            "sample": sample_names,
            "patient": table.column(part.patient),
            "day": no_number
            if part.day is None
            else DayRule("samples.day", part.day, part.patient).days(table, is_donor, patients),
            "visit": no_number if part.visit is None else table.numbers(part.visit, ()),
            "donor": is_donor,
            "donor_sample": received.names,
            "line": sample_names.index,
        }
    )
    frame = frame[~frame["sample"].isin(excluded)]
    profiled = set(taxa.samples) - excluded
    matched = frame[frame["sample"].isin(profiled)].reset_index(drop=True)
    if matched.empty:
        first_name = sample_names.iloc[0]
        spreadsheet = "; a spreadsheet made a number of it, so export it as text" * is_number_of_spreadsheet(first_name)
        raise ManifestError(
            f"{table.path}: no value of column {part.sample!r} (such as {first_name!r}{spreadsheet}) names a profile "
            f"of the taxa table (such as {taxa.samples[0]!r}); check samples.sample and taxa.prefix, or state under "
            "samples.ignore_in_names which differences do not count"
        )
    # Samples are counted, not named: notes go where the names of samples may not.
    notes = [f"{count} sample{'s' * (count > 1)} left out: {reason}" for reason, count in reasons.items()]
    if len(matched) < len(frame):
        notes.append(f"{len(frame) - len(matched)} of {len(frame)} listed samples have no profile and are left out")
    if len(matched) < len(profiled):
        notes.append(f"{len(profiled) - len(matched)} of {len(profiled)} profiles are not listed and are left out")
    unprofiled = [name for name in frame["sample"] if name not in profiled]
    pairs = near_misses(unprofiled, profiled - set(matched["sample"]))
    near = tuple(f"{name} and {profile}" for name, profile in pairs)
    return ProfiledSamples(matched, taxa.take(list(matched["sample"])), tuple(notes), near, received.near_misses)


def donor_rows(part: Samples, table: TextTable) -> pd.Series[bool]:
    """Return which rows of a samples' sheet are donor samples, (n_rows,)."""
    if part.donor is None:
        return pd.Series(False, index=table.frame.index)
    pattern = re.compile(part.donor.pattern)
    is_donor = [pattern.search(text) is not None for text in table.column(part.donor.column)]
    return pd.Series(is_donor, index=table.frame.index)


def read_technical(manifest: Manifest, table: TextTable, samples: pd.DataFrame) -> pd.DataFrame:
    """Return how each sample was measured, one row for each of `samples`: `reads`, `kit=Qiagen`; NaN where missing."""
    columns: dict[str, pd.Series[float]] = {}
    for name, field in manifest.technical.items():
        if field.unit is not None:
            columns[name] = table.numbers(field.column, field.missing).reindex(samples["line"])
            continue
        category = table.column(field.column).reindex(samples["line"])
        is_reported = ~category.isin(field.missing)
        for level in sorted(set(category[is_reported])):
            columns[Column("technical", name, level).name] = (category == level).astype(float).where(is_reported)
    return pd.DataFrame(columns, index=samples["line"]).reset_index(drop=True)


def _sample_names(part: Samples, table: TextTable, profiled: Sequence[str]) -> pd.Series[str]:
    """Return the name of each row's sample, spelt as its profile is, (n_rows,)."""
    cells = table.column(part.sample)
    runs = cells.map(lambda cell: [run.strip() for run in cell.split(part.separator)] if part.separator else [cell])
    try:
        spelling = matching_names((run for names in runs for run in names if run), profiled, part.ignore_in_names)
    except InputError as error:
        raise FileError(str(error), file=table.path, column=part.sample) from error
    # One cell may list several sequencing runs of a sample; the profile carries the name of one of them.
    return runs.map(lambda names: next((spelling[name] for name in names if name in spelling), names[0]))


def _check_sample_names(part: Samples, table: TextTable, sample_names: pd.Series[str]) -> None:
    for column in (part.sample, part.patient):
        is_empty = table.column(column) == ""
        if is_empty.any():
            position = int(is_empty.to_numpy().argmax())
            raise table.error(
                "is empty; a sample needs a name and a patient. Rows of other things are left out by keep_rows",
                column,
                position,
            )
    is_repeated = sample_names.duplicated()
    if is_repeated.any():
        position = int(is_repeated.to_numpy().argmax())
        raise table.error(
            f"sample {sample_names.iloc[position]!r} is listed twice; one sample has one row. Remove one",
            part.sample,
            position,
        )


def _excluded_samples(part: Samples, table: TextTable, sample_names: Iterable[str]) -> tuple[set[str], Counter[str]]:
    """Return the excluded samples, and how many are excluded for each reason."""
    reasons: Counter[str] = Counter()
    excluded: set[str] = set()
    for pattern, reason in part.exclude_samples.items():
        matches = {name for name in sample_names if is_match(name, pattern)}
        if not matches:
            raise ManifestError(
                f"{table.path}: samples.exclude_samples names {pattern!r}, which is no sample; correct the name"
            )
        reasons[reason] += len(matches - excluded)
        excluded |= matches
    return excluded, reasons
