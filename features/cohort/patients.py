"""The patients' sheet: clinical covariates and centres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from features.cohort.samples import donor_rows
from features.cohort.summary_rows import check_no_summary_rows
from features.columns import Column
from features.errors import FileError, InputError
from features.manifest import Arms, ClinicalField, Manifest, ManifestPopulation, Patients, PopulationColumn
from features.name_matching import NameDifference, matching_names, near_misses
from features.tables.text import TextTable


@dataclass(frozen=True)
class PatientSheet:
    """The patients' sheet without donors.

    Attributes
    ----------
    part : Patients
        The part of the manifest that describes it.
    table : TextTable
        Its rows; several for one patient where the sheet is the samples' sheet too.
    by_patient : TextTable
        The first row of each patient.
    is_samples_sheet : bool
        Whether the sheet is the samples' sheet too.
    """

    part: Patients
    table: TextTable
    by_patient: TextTable
    is_samples_sheet: bool

    @property
    def patients(self) -> pd.Index[str]:
        """The patients, in the order of the sheet."""
        return pd.Index(self.by_patient.column(self.part.patient))


@dataclass(frozen=True)
class Clinical:
    """The clinical covariates, numbers only; NaN where missing.

    Attributes
    ----------
    by_sample : pandas.DataFrame
        One row for each stool sample, in the order of the samples.
    by_patient : pandas.DataFrame
        One row for each patient.
    """

    by_sample: pd.DataFrame
    by_patient: pd.DataFrame


def read_patient_sheet(
    manifest: Manifest, table: TextTable | None, samples_table: TextTable, samples: pd.DataFrame
) -> PatientSheet | None:
    """Return the patients of a sheet, None where the manifest names none.

    Raises
    ------
    FileError
        If a patient with stool has no row, or a patient has two values where one is expected.
    """
    part = manifest.patients
    if part is None or table is None:
        return None
    is_samples_sheet = part.file == manifest.samples.file and part.keep_rows == manifest.samples.keep_rows
    if part.file == manifest.samples.file:
        # Donors may have been patients of an earlier trial, with outcomes of their own.
        table = table.select(~donor_rows(manifest.samples, table))
    check_no_summary_rows(table, part.patient, set(samples["patient"]))
    without_row = samples[~samples["donor"] & ~samples["patient"].isin(table.column(part.patient))]
    if not without_row.empty:
        sample = without_row.iloc[0]
        similar = dict(near_misses(without_row["patient"], table.column(part.patient))).get(sample["patient"])
        hint = f"; is it {similar!r}? samples.ignore_in_names states which differences do not count" if similar else ""
        raise FileError(
            f"patient {sample['patient']!r} has stool here and no row in column {part.patient!r} of {part.file}{hint}; "
            "add the row, or leave the sample out by samples.exclude_samples",
            file=samples_table.path,
            column=manifest.samples.patient,
            row=int(sample["line"]),
        )
    constant_columns = list(manifest.outcomes.outcome_columns)
    if part.centre is not None:
        constant_columns.append(part.centre)
    if part.arms is not None:
        constant_columns += arm_columns(part.arms)
    constant_columns += [value.column for _, value in manifest.population if isinstance(value, PopulationColumn)]
    if not is_samples_sheet:
        constant_columns += [field.column for field in part.covariates.values()]
    return PatientSheet(part, table, table.one_row_per(part.patient, constant_columns), is_samples_sheet)


def with_names_of(
    table: TextTable, column: str, patients: Iterable[str], ignored: Sequence[NameDifference]
) -> TextTable:
    """Return a table whose patients are spelt as these are, where they differ only in what is ignored."""
    if not ignored:
        return table
    try:
        spelling = matching_names(table.column(column), patients, ignored)
    except InputError as error:
        raise FileError(str(error), file=table.path, column=column) from error
    i = table.header.index(column)
    return replace(table, rows=tuple((*row[:i], spelling.get(row[i], row[i]), *row[i + 1 :]) for row in table.rows))


def read_clinical(sheet: PatientSheet | None, samples: pd.DataFrame) -> Clinical:
    """Read the clinical covariates: `age`, `sex=male`."""
    if sheet is None:
        return Clinical(pd.DataFrame(index=samples.index), pd.DataFrame())
    columns: dict[str, pd.Series[float]] = {}
    for name, field in sheet.part.covariates.items():
        columns |= _covariate_columns(name, field, sheet.table)
    frame = pd.DataFrame(columns, index=sheet.table.frame.index)
    if sheet.is_samples_sheet:
        by_sample = frame.reindex(samples["line"]).reset_index(drop=True)
        # The sheet may repeat an age with every sample; the first sample's is that at baseline.
        recipients = samples[~samples["donor"]].sort_values("day", kind="stable")
        return Clinical(by_sample, by_sample.loc[recipients.index].groupby(recipients["patient"]).first())
    frame = frame.set_index(pd.Index(sheet.table.column(sheet.part.patient)))
    by_patient = frame[~frame.index.duplicated()]
    return Clinical(by_patient.reindex(samples["patient"]).reset_index(drop=True), by_patient)


def _covariate_columns(name: str, field: ClinicalField, table: TextTable) -> dict[str, pd.Series[float]]:
    values_key = f"patients.covariates.{name}.values"
    if field.values is None:
        return {name: _numbers(field, table, values_key)}
    meanings: dict[str, str | bool | None] = {**dict.fromkeys(field.missing), **field.values}
    category = pd.Series(table.decode(field.column, meanings, values_key), index=table.frame.index, dtype=object)
    if all(isinstance(value, bool) for value in field.values.values()):
        return {name: category.astype(float)}
    # The levels are the manifest's, so that an indicator column for each learns nothing from the data.
    levels = dict.fromkeys(map(str, field.values.values()))
    return {
        Column("clinical", name, level).name: (category == level).astype(float).where(category.notna())
        for level in levels
    }


def _numbers(field: ClinicalField, table: TextTable, values_key: str) -> pd.Series[float]:
    """Return a column of numbers, with the number that the manifest states for a cell such as '>89'."""
    number_by_cell = table.column(field.column).map(dict(field.numbers)).astype(float)
    return number_by_cell.fillna(table.numbers(field.column, [*field.missing, *field.numbers], values_key))


def arm_columns(part: Arms) -> list[str]:
    """Return the columns of the patients' sheet that describe a patient's arm."""
    columns = [part.column, *part.strata]
    columns += [] if part.assigned_on is None else [part.assigned_on]
    return columns if part.per_protocol is None else [*columns, part.per_protocol.column]


def read_arms(sheet: PatientSheet | None) -> pd.Series[str]:
    """Return the arm of each patient in whom it is reported, by patient; empty where the manifest states no arms."""
    if sheet is None or sheet.part.arms is None:
        return pd.Series(dtype="str")
    part = sheet.part.arms
    meanings = {**dict.fromkeys(part.missing, ""), **{name: name for name in part.roles}}
    names = sheet.by_patient.decode(part.column, meanings, "patients.arms.roles")
    arms = pd.Series(names, index=sheet.patients, dtype="str")
    return arms[arms != ""]


def read_assignment(sheet: PatientSheet | None) -> pd.DataFrame:
    """Return how each patient with an arm was assigned, by patient: `day`, `stratum` and `per_protocol`.

    Raises
    ------
    FileError
        The day of a patient with an arm is missing or no number, or a cell of `per_protocol` is not listed.
    """
    arm = read_arms(sheet)
    if sheet is None or sheet.part.arms is None:
        return pd.DataFrame({"day": [], "stratum": [], "per_protocol": []}, index=arm.index)
    part, table = sheet.part.arms, sheet.by_patient
    frame = pd.DataFrame({"day": 0.0, "stratum": "", "per_protocol": "yes"}, index=sheet.patients)
    if part.assigned_on is not None:
        day = table.numbers(part.assigned_on, part.missing, "patients.arms.missing").set_axis(sheet.patients)
        unknown = day.isna() & sheet.patients.isin(arm.index)
        if unknown.any():
            raise table.error(
                "the day of the assignment is missing of a patient with an arm; state it, or leave out the arm",
                part.assigned_on,
                int(unknown.to_numpy().argmax()),
            )
        frame["day"] = day
    if part.strata:
        columns = [table.column(name) for name in part.strata]
        frame["stratum"] = [", ".join(cells) for cells in zip(*columns, strict=True)]
    if part.per_protocol is not None:
        rule = part.per_protocol
        frame["per_protocol"] = table.decode(rule.column, rule.meanings, "patients.arms.per_protocol")
    return frame.loc[arm.index]


def read_population(
    population: ManifestPopulation, sheet: PatientSheet | None, patients: pd.Index[str]
) -> pd.DataFrame:
    """Return the disease and treatment, by patient: a column for each field, "" where it is not reported."""
    columns = {}
    for field, value in population:
        if not isinstance(value, PopulationColumn):
            columns[field] = pd.Series(value or "", index=patients, dtype="str")
        elif sheet is not None:
            meanings = {**dict.fromkeys(value.missing, ""), **value.values}
            cells = sheet.by_patient.decode(value.column, meanings, f"population.{field}.values")
            columns[field] = pd.Series(cells, index=sheet.patients, dtype="str").reindex(patients, fill_value="")
    return pd.DataFrame(columns, index=patients)


def read_centres(cohort: str, sheet: PatientSheet | None, samples: pd.DataFrame) -> pd.Series[str]:
    """Return each patient's centre, as in 'lee_2022/Leeds'; the cohort's name where the manifest names no centre."""
    if sheet is None or sheet.part.centre is None:
        patients = pd.Index(samples["patient"].unique())
        return pd.Series(cohort, index=patients, dtype="str")
    centres = sheet.by_patient.column(sheet.part.centre)
    return pd.Series((cohort + "/" + centres).to_numpy(), index=sheet.patients, dtype="str")
