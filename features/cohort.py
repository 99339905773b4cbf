"""A cohort: everything that a manifest names, read, checked and typed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from features.columns import Column
from features.course import Course, read_course
from features.errors import FileError, ManifestError
from features.fetch import cohort_files
from features.immune import ImmuneTable, read_immune
from features.manifest import ClinicalField, Manifest, Samples, load_manifest
from features.outcomes import Labels, read_labels
from features.tables.text import TextTable, finite_numbers, read_text_table
from features.taxa import TaxaTable, read_taxa


@dataclass(frozen=True)
class Cohort:
    """A cohort's tables, as its manifest reads them.

    Attributes
    ----------
    manifest : Manifest
        What the cohort's files mean.
    paths : dict of str to Path
        Where each file lies.
    taxa : TaxaTable
        Every profile, (n_samples, n_taxa).
    samples : pandas.DataFrame
        One row a profiled stool sample, in the order of `taxa`: `sample`, `patient`, `day` (NaN where undated),
        `visit` (NaN where none), `donor` (bool), `given` (the donor sample given, or ""), `line` (its line in the
        sheet).
    clinical : pandas.DataFrame
        Numbers only, one row for each of `samples`: `age`, `sex=male`; NaN where missing. A sheet with a row for each
        sample may give a patient's age anew each time.
    characteristics : pandas.DataFrame
        The same columns, one row for each patient of the patients' sheet, with stool or without; for descriptions.
    technical : pandas.DataFrame
        How each of `samples` was measured, numbers only: `reads`, `kit=Qiagen`; NaN where missing.
    centre : pandas.Series
        Each patient's centre or subcohort; the cohort's name where it has none.
    immune : ImmuneTable or None
        Immune measurements, long.
    labels : Labels
        Outcomes by patient.
    course : Course
        What was done to the patients and found in them over time; never features.
    notes : tuple of str
        What was left out while reading, and how much of it.
    """

    manifest: Manifest
    paths: dict[str, Path]
    taxa: TaxaTable
    samples: pd.DataFrame
    clinical: pd.DataFrame
    characteristics: pd.DataFrame
    technical: pd.DataFrame
    centre: pd.Series[str]
    immune: ImmuneTable | None
    labels: Labels
    course: Course
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self.manifest.name

    @cached_property
    def donors(self) -> pd.DataFrame:
        """The donors' stool samples."""
        return self.samples[self.samples["donor"]]


def read_cohort(name_or_path: str | Path, data: Path, *, fetch: bool = True) -> Cohort:
    """Find a cohort's files, or fetch them, and read all that its manifest names.

    Parameters
    ----------
    name_or_path : str or Path
        A manifest's name or path.
    data : Path
        The folder with one subfolder for each cohort; unused for a manifest given as a path, whose files lie beside it.
    fetch : bool
        Whether to fetch published files that are not there.

    Raises
    ------
    InputError
        A file does not hold what the manifest says; the message names file, column, row and value.
    DataMissing
        A file is not there and cannot be fetched.
    """
    manifest = load_manifest(name_or_path)
    paths = locate(manifest, data, fetch=fetch)
    taxa = _read_profiles(manifest, paths)
    listed = read_text_table(paths[manifest.samples.file])
    samples, taxa, notes = _read_samples(manifest.samples, listed, taxa)
    sheet = _patient_sheet(manifest, paths, listed, samples)
    patients = _one_row_each(manifest, sheet)
    immune = _read_immune(manifest, paths, samples, patients)
    _check_never(manifest, listed, sheet, immune)
    clinical, characteristics = _read_clinical(manifest, sheet, samples)
    return Cohort(
        manifest=manifest,
        paths=paths,
        taxa=taxa,
        samples=samples,
        clinical=clinical,
        characteristics=characteristics,
        technical=_read_technical(manifest, listed, samples),
        centre=_read_centre(manifest, patients, samples),
        immune=immune,
        labels=read_labels(manifest, patients, paths),
        course=read_course(manifest.course, paths, _known(manifest, patients, samples)),
        notes=notes,
    )


def locate(manifest: Manifest, data: Path, *, fetch: bool, progress: bool = False) -> dict[str, Path]:
    """Return where each of a manifest's files lies, fetching and checking them as `features.fetch` does."""
    folder = data / manifest.name if manifest.folder is None else manifest.folder.resolve()
    return cohort_files(folder.name, manifest.source_files, folder.parent, fetch=fetch, progress=progress)


def _read_profiles(manifest: Manifest, paths: dict[str, Path]) -> TaxaTable:
    said = manifest.taxa
    return read_taxa(
        paths[said.file],
        format=said.format,
        rank=said.rank,
        unit=said.unit,
        taxonomy=paths[said.taxonomy] if said.taxonomy else None,
        prefix=said.prefix,
        sample_axis=said.sample_axis,
        profiler=said.profiler,
    )


def _read_samples(said: Samples, sheet: TextTable, taxa: TaxaTable) -> tuple[pd.DataFrame, TaxaTable, tuple[str, ...]]:
    profiled = set(taxa.samples)
    listed = sheet.column(said.sample)
    if said.separator:
        # Several runs of one sample may be listed; the profile carries the name of one of them.
        runs = listed.str.split(said.separator)
        listed = runs.map(lambda names: next((n.strip() for n in names if n.strip() in profiled), names[0]))
    for column in (said.sample, said.patient):
        empty = sheet.column(column) == ""
        if empty.any():
            raise sheet.error("is empty; a sample needs a name and a patient", column, int(empty.to_numpy().argmax()))
    repeated = listed.duplicated()
    if repeated.any():
        at = int(repeated.to_numpy().argmax())
        raise sheet.error(f"sample {listed.iloc[at]!r} is listed twice; one sample has one row", said.sample, at)
    none = pd.Series(np.nan, index=listed.index)
    frame = pd.DataFrame(
        {
            "sample": listed,
            "patient": sheet.column(said.patient),
            "day": none if said.day is None else _days(sheet, said),
            "visit": none if said.visit is None else sheet.numbers(said.visit, ()),
            "donor": _matches(sheet, said),
            "donor_sample": "" if said.donor_sample is None else sheet.column(said.donor_sample),
            "line": listed.index,
        }
    )
    reasons: Counter[str] = Counter()
    left_out: set[str] = set()
    for name, reason in said.exclude_samples.items():
        named = {one for one in listed if one == name or fnmatchcase(one, name)}
        if not named:
            raise ManifestError(
                f"{sheet.path}: samples.exclude_samples names {name!r}, which is no sample; correct the name"
            )
        reasons[reason] += len(named - left_out)
        left_out |= named
    # Counted, not named: notes go where samples' names may not.
    notes = [f"{count} sample{'s' * (count > 1)} left out: {reason}" for reason, count in reasons.items()]
    frame = frame[~frame["sample"].isin(left_out)]
    profiled -= left_out
    kept = frame[frame["sample"].isin(profiled)]
    if kept.empty:
        raise ManifestError(
            f"{sheet.path}: no value of column {said.sample!r} (such as {listed.iloc[0]!r}) names a profile of the "
            f"taxa table (such as {taxa.samples[0]!r}); check samples.sample and taxa.prefix"
        )
    if len(kept) < len(frame):
        notes.append(f"{len(frame) - len(kept)} of {len(frame)} listed samples have no profile and are left out")
    if len(kept) < len(profiled):
        notes.append(f"{len(profiled) - len(kept)} of {len(profiled)} profiles are not listed and are left out")
    return kept.reset_index(drop=True), taxa.take(list(kept["sample"])), tuple(notes)


def _days(sheet: TextTable, said: Samples) -> pd.Series[float]:
    assert said.day is not None
    text = sheet.column(said.day.column)
    values = finite_numbers(text.str.extract(said.day.pattern, expand=True)["day"])
    # A donor's stool has no day on a recipient's clock.
    wrong = values.isna() & ~_matches(sheet, said)
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        raise sheet.error(
            f"no day in {text.iloc[at]!r}; samples.day expects {said.day.pattern!r} to find one", said.day.column, at
        )
    return values


def _matches(sheet: TextTable, said: Samples) -> pd.Series[bool]:
    if said.donor is None:
        return pd.Series(False, index=sheet.frame.index)
    pattern = re.compile(said.donor.pattern)
    matches = [pattern.search(text) is not None for text in sheet.column(said.donor.column)]
    return pd.Series(matches, index=sheet.frame.index)


def _patient_sheet(
    manifest: Manifest, paths: dict[str, Path], listed: TextTable, samples: pd.DataFrame
) -> TextTable | None:
    said = manifest.patients
    if said is None:
        return None
    sheet = read_text_table(paths[said.file])
    if manifest.samples.donor and said.file == manifest.samples.file:
        # Donors were patients once, and carry outcomes of their own.
        sheet = sheet.select(~_matches(sheet, manifest.samples))
    missing = samples[~samples["donor"] & ~samples["patient"].isin(sheet.column(said.patient))]
    if not missing.empty:
        first = missing.iloc[0]
        raise FileError(
            f"patient {first['patient']!r} has stool here and no row in column {said.patient!r} of {said.file}",
            file=listed.path,
            column=manifest.samples.patient,
            row=int(first["line"]),
        )
    return sheet


def _one_row_each(manifest: Manifest, sheet: TextTable | None) -> TextTable | None:
    if sheet is None or manifest.patients is None:
        return None
    columns = list(manifest.outcomes.outcome_columns)
    if manifest.patients.centre is not None:
        columns.append(manifest.patients.centre)
    if manifest.patients.file != manifest.samples.file:
        columns += [field.column for field in manifest.patients.covariates.values()]
    return sheet.one_row_per(manifest.patients.patient, columns)


def _known(manifest: Manifest, sheet: TextTable | None, samples: pd.DataFrame) -> frozenset[str]:
    if sheet is None or manifest.patients is None:
        return frozenset(samples.loc[~samples["donor"], "patient"])
    return frozenset(sheet.column(manifest.patients.patient))


def _read_clinical(
    manifest: Manifest, sheet: TextTable | None, samples: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clinical columns by sample, and by patient."""
    if sheet is None or manifest.patients is None:
        return pd.DataFrame(index=samples.index), pd.DataFrame()
    columns: dict[str, pd.Series[float]] = {}
    for name, field in manifest.patients.covariates.items():
        columns |= _clinical_columns(name, field, sheet)
    frame = pd.DataFrame(columns, index=sheet.frame.index)
    if manifest.patients.file == manifest.samples.file:
        by_sample = frame.reindex(samples["line"]).reset_index(drop=True)
        # An age may stand anew with each sample; the first is the baseline's.
        mine = samples[~samples["donor"]].sort_values("day", kind="stable")
        return by_sample, by_sample.loc[mine.index].groupby(mine["patient"]).first()
    frame = frame.set_index(pd.Index(sheet.column(manifest.patients.patient)))
    by_patient = frame[~frame.index.duplicated()]
    return by_patient.reindex(samples["patient"]).reset_index(drop=True), by_patient


def _clinical_columns(name: str, field: ClinicalField, sheet: TextTable) -> dict[str, pd.Series[float]]:
    if field.values is None:
        return {name: sheet.numbers(field.column, field.missing, f"patients.covariates.{name}.values")}
    meaning: dict[str, str | bool | None] = {**dict.fromkeys(field.missing), **field.values}
    said = pd.Series(
        sheet.decode(field.column, meaning, f"patients.covariates.{name}.values"), index=sheet.frame.index, dtype=object
    )
    if all(isinstance(value, bool) for value in field.values.values()):
        return {name: said.astype(float)}
    # The levels are the manifest's own words, so spelling them out as columns learns nothing from the data.
    levels = dict.fromkeys(map(str, field.values.values()))
    return {Column("clinical", name, level).name: (said == level).astype(float).where(said.notna()) for level in levels}


def _read_technical(manifest: Manifest, listed: TextTable, samples: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series[float]] = {}
    for name, field in manifest.technical.items():
        if field.unit is not None:
            columns[name] = listed.numbers(field.column, field.missing).reindex(samples["line"])
            continue
        said = listed.column(field.column).reindex(samples["line"])
        known = ~said.isin(field.missing)
        for level in sorted(set(said[known])):
            columns[Column("technical", name, level).name] = (said == level).astype(float).where(known)
    return pd.DataFrame(columns, index=samples["line"]).reset_index(drop=True)


def _read_centre(manifest: Manifest, sheet: TextTable | None, samples: pd.DataFrame) -> pd.Series[str]:
    if sheet is None or manifest.patients is None or manifest.patients.centre is None:
        patients = pd.Index(samples["patient"].unique())
        return pd.Series(manifest.name, index=patients, dtype="str")
    names = sheet.column(manifest.patients.centre)
    index = pd.Index(sheet.column(manifest.patients.patient))
    return pd.Series((manifest.name + "/" + names).to_numpy(), index=index, dtype="str")


def _read_immune(
    manifest: Manifest, paths: dict[str, Path], samples: pd.DataFrame, patients: TextTable | None
) -> ImmuneTable | None:
    said = manifest.immune
    if said is None:
        return None
    key = [column for column in (said.patient, said.day, said.visit) if column is not None]
    table = read_immune(
        paths[said.file],
        layout=said.layout,
        key=key,
        unit=said.unit,
        below=said.below,
        above=said.above,
        drop=said.drop,
        limits={name: (limit.lloq, limit.uloq) for name, limit in said.limits.items()},
        ignore=said.exclude_analytes,
        duplicates=said.duplicates,
        analyte_column=said.analyte,
        value_column=said.value,
        unit_column=said.unit_column,
    )
    for column in filter(None, (said.day, said.visit)):
        wrong = finite_numbers(table.rows[column]).isna()
        if wrong.any():
            first = table.rows[wrong].iloc[0]
            raise FileError(
                f"expected a number, got {first[column]!r}", file=paths[said.file], column=column, row=int(first["row"])
            )
    drawn = table.rows[said.patient]
    if not drawn.isin(samples["patient"]).any():
        raise ManifestError(
            f"{paths[said.file]}: no value of column {said.patient!r} (such as {drawn.iloc[0]!r}) names a patient with "
            f"stool (such as {samples['patient'].iloc[0]!r}); check immune.patient"
        )
    if patients is not None:
        unknown = ~drawn.isin({*_known(manifest, patients, samples), *samples["patient"]})
        if unknown.any():
            first = table.rows[unknown].iloc[0]
            raise FileError(
                f"{first[said.patient]!r} is not one of the cohort's patients; correct the name, or list the patient",
                file=paths[said.file],
                column=said.patient,
                row=int(first["row"]),
            )
    return table


def _check_never(manifest: Manifest, listed: TextTable, sheet: TextTable | None, immune: ImmuneTable | None) -> None:
    measured = {} if immune is None else immune.synonyms()
    known = {*listed.frame.columns, *(() if sheet is None else sheet.frame.columns), *measured}
    for column, reason in manifest.exclude_columns.items():
        if column in measured:
            raise ManifestError(
                f"{manifest.name}: 'exclude_columns' excludes {column!r} ({reason}), which is an analyte of the immune "
                "table; list it under immune.exclude_analytes with the reason"
            )
        if column not in known:
            raise ManifestError(
                f"{manifest.name}: 'exclude_columns' excludes {column!r}, which is no column of the samples' or the "
                "patients' sheet; correct the name"
            )
