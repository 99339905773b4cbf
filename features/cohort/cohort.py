"""A cohort, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from features.cohort.blood import read_blood
from features.cohort.patients import (
    PatientSheet,
    read_arms,
    read_assignment,
    read_centres,
    read_clinical,
    read_patient_sheet,
    read_population,
    with_names_of,
)
from features.cohort.samples import read_samples, read_samples_sheet, read_technical
from features.errors import ManifestError
from features.fetch import cohort_files
from features.immune import ImmuneTable
from features.label_reading import read_labels
from features.labels import OutcomeLabels
from features.manifest import Manifest, Taxa, load_manifest
from features.tables.text import TextTable, read_text_table
from features.taxa import TaxaTable, read_taxa
from features.trial_course import Course, read_course


@dataclass(frozen=True)
class Cohort:
    """The tables of a cohort, read as its manifest describes them.

    Attributes
    ----------
    manifest : Manifest
        The meaning of the cohort's files.
    paths : dict of str to Path
        The path of each file.
    taxa : TaxaTable
        The stool profiles, (n_samples, n_taxa).
    samples : pandas.DataFrame
        One row for each profiled stool sample, in the order of `taxa`: `sample`, `patient`, `day` (NaN where undated),
        `visit` (NaN where none), `donor` (bool), `donor_sample` (that the patient received, several on a line each, or
        ""), `line` (of the samples' sheet).
    samples_table : TextTable
        The samples' sheet, in which each of `samples` is the row of its `line`.
    clinical : pandas.DataFrame
        The clinical covariates, numbers only, one row for each of `samples`: `age`, `sex=male`; NaN where missing. A
        sheet with a row for each sample may give a patient's age anew each time.
    characteristics : pandas.DataFrame
        The same columns, one row for each patient of the patients' sheet, with stool or without; for descriptions.
    technical : pandas.DataFrame
        How each of `samples` was measured, numbers only: `reads`, `kit=Qiagen`; NaN where missing.
    centre : pandas.Series
        Each patient's centre or subcohort; the cohort's name where it has none.
    arm : pandas.Series
        The arm to which each patient was assigned, by patient; without patients in whom it is not reported, and empty
        where the manifest states no arms.
    assignment : pandas.DataFrame
        How each patient with an arm was assigned, by patient: `day`, `stratum` ("" without strata), and `per_protocol`
        ("yes", "no" or "unknown"; "yes" where the manifest does not tell).
    population : pandas.DataFrame
        Tumour and treatment of each patient with stool, by patient: `tumour_type`, `treatment_line`, `drug_class`; ""
        where it is not reported.
    immune : ImmuneTable or None
        The immune measurements, a row for each.
    labels : OutcomeLabels
        The outcomes, by patient.
    patient_cells : pandas.DataFrame
        The patients' sheet as text, one row for each patient, with the columns that the manifest does not use or
        excludes; for audits.
    course : Course
        Treatments, assessments and repeated measures over time; never features.
    notes : tuple of str
        How many samples and profiles were left out, and why.
    near_misses : tuple of str
        Pairs of names, as 'S1 and S001', of a listed sample and of a profile that are probably one, and not matched.
    donor_near_misses : tuple of str
        Pairs of a donor's name, as a recipient's row states it, and the donor for whom it was taken.
    """

    manifest: Manifest
    paths: dict[str, Path]
    taxa: TaxaTable
    samples: pd.DataFrame
    samples_table: TextTable
    clinical: pd.DataFrame
    characteristics: pd.DataFrame
    technical: pd.DataFrame
    centre: pd.Series[str]
    arm: pd.Series[str]
    assignment: pd.DataFrame
    population: pd.DataFrame
    immune: ImmuneTable | None
    labels: OutcomeLabels
    patient_cells: pd.DataFrame
    course: Course
    notes: tuple[str, ...]
    near_misses: tuple[str, ...]
    donor_near_misses: tuple[str, ...]

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self.manifest.name

    @cached_property
    def donor_samples(self) -> pd.DataFrame:
        """The rows of `samples` that are donor samples."""
        return self.samples[self.samples["donor"]]


def read_cohort(name_or_path: str | Path, data: Path, *, fetch: bool = True) -> Cohort:
    """Find a cohort's files, or fetch them, and read all that its manifest names.

    Parameters
    ----------
    name_or_path : str or Path
        The name or the path of a manifest.
    data : Path
        The folder with one subfolder for each cohort; unused for a manifest given as a path, whose files lie beside it.
    fetch : bool
        Whether to fetch published files that are not there.

    Raises
    ------
    InputError
        If a file does not hold what the manifest says; the message names file, column, row and value.
    DataMissing
        If a file is not there and cannot be fetched.
    """
    manifest = load_manifest(name_or_path)
    required = (manifest.samples.patient, *(file.name for file in manifest.source_files))
    # A file cannot be read without its name, and no day without the date of day 0.
    lacks_index = any(key.endswith((".day.index", ".start.index", ".end.index")) for key in manifest.unfinished)
    if "TODO" in required or lacks_index:
        raise ManifestError(f"{name_or_path}: the draft is not finished; settle {'; '.join(manifest.unfinished)}")
    paths = locate_files(manifest, data, fetch=fetch)
    profiles = _read_profiles(manifest.taxa, paths)
    sheet_table = read_samples_sheet(manifest, paths, profiles.samples)
    samples_table = sheet_table.keep_rows(manifest.samples.keep_rows)
    patients_table = None
    if (part := manifest.patients) is not None:
        is_samples_file = part.file == manifest.samples.file
        patients_table = sheet_table if is_samples_file else read_text_table(paths[part.file])
        patients_table = patients_table.keep_rows(part.keep_rows)
        names = samples_table.column(manifest.samples.patient)
        patients_table = with_names_of(patients_table, part.patient, names, manifest.samples.ignore_in_names)
    patient_key = None if part is None or patients_table is None else (patients_table, part.patient)
    samples = read_samples(manifest.samples, samples_table, profiles, patient_key)
    sheet = read_patient_sheet(manifest, patients_table, samples_table, samples.frame)
    patients = frozenset(samples.frame.loc[~samples.frame["donor"], "patient"] if sheet is None else sheet.patients)
    immune = read_blood(manifest, paths, samples.frame, None if sheet is None else patients, patient_key)
    _check_excluded_columns(manifest, samples_table, sheet, immune)
    clinical = read_clinical(sheet, samples.frame)
    return Cohort(
        manifest=manifest,
        paths=paths,
        taxa=samples.taxa,
        samples=samples.frame,
        samples_table=samples_table,
        clinical=clinical.by_sample,
        characteristics=clinical.by_patient,
        technical=read_technical(manifest, samples_table, samples.frame),
        centre=read_centres(manifest.name, sheet, samples.frame),
        arm=read_arms(sheet),
        assignment=read_assignment(sheet),
        population=read_population(manifest.population, sheet, pd.Index(samples.frame["patient"].unique())),
        immune=immune,
        labels=read_labels(manifest, None if sheet is None else sheet.by_patient, paths),
        patient_cells=pd.DataFrame() if sheet is None else sheet.by_patient.frame.set_axis(sheet.patients, axis=0),
        course=read_course(manifest.course, paths, patients, patient_key),
        notes=(*samples.notes, *samples.taxa.notes, *(() if immune is None else immune.notes)),
        near_misses=samples.near_misses,
        donor_near_misses=samples.donor_near_misses,
    )


def locate_files(manifest: Manifest, data: Path, *, fetch: bool, progress: bool = False) -> dict[str, Path]:
    """Return the path of each file of a manifest, fetched and checked as `features.fetch.cohort_files` does."""
    folder = data / manifest.name if manifest.folder is None else manifest.folder.resolve()
    return cohort_files(folder, manifest.source_files, fetch=fetch, progress=progress)


def _read_profiles(part: Taxa, paths: Mapping[str, Path]) -> TaxaTable:
    return read_taxa(
        paths[part.file],
        format=part.format,
        rank=part.rank,
        unit=part.unit,
        taxonomy=paths[part.taxonomy] if part.taxonomy else None,
        prefix=part.prefix,
        suffix=part.suffix,
        sample_axis=part.sample_axis,
        profiler=part.profiler,
    )


def _check_excluded_columns(
    manifest: Manifest, samples_table: TextTable, sheet: PatientSheet | None, immune: ImmuneTable | None
) -> None:
    """Check that every excluded column exists, and that none is an analyte."""
    analytes = {} if immune is None else immune.synonyms()
    columns = {*samples_table.header, *(() if sheet is None else sheet.table.header), *analytes}
    for column, reason in manifest.exclude_columns.items():
        if column in analytes:
            raise ManifestError(
                f"{manifest.name}: 'exclude_columns' excludes {column!r} ({reason}), which is an analyte of the immune "
                "table; list it under immune.exclude_analytes with the reason"
            )
        if column not in columns:
            raise ManifestError(
                f"{manifest.name}: 'exclude_columns' excludes {column!r}, which is no column of the samples' or the "
                "patients' sheet; correct the name"
            )
