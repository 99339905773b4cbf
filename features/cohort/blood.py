"""The immune measurements of a cohort: each blood draw has a patient, and the day or visit that the manifest states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from features.cohort.summary_rows import check_no_summary_rows
from features.days import DayRule
from features.errors import ManifestError
from features.immune import VISIT_KEY, ImmuneSpec, ImmuneTable, SideColumn, read_immune
from features.manifest import DayFromDates, DayInNames, Immune, Manifest
from features.name_matching import matching_names
from features.tables.layout import Layout
from features.tables.text import TextTable, finite_numbers


def read_blood(
    manifest: Manifest,
    paths: Mapping[str, Path],
    samples: pd.DataFrame,
    listed_patients: frozenset[str] | None,
    patients: tuple[TextTable, str] | None,
) -> ImmuneTable | None:
    """Read the immune measurements; each is of a patient with stool or of the patients' sheet, where there is one.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    paths : mapping of str to Path
        The path of each file.
    samples : pandas.DataFrame
        The profiled samples, as `features.cohort.Cohort.samples` describes them.
    listed_patients : frozenset of str, optional
        The patients of the patients' sheet.
    patients : tuple of TextTable and str, optional
        The patients' sheet and its column of the patient.

    Returns
    -------
    ImmuneTable or None
        The key of a draw is `patient`, with `day` and `visit` where the manifest states them.

    Raises
    ------
    FileError
        If a draw has no day that the manifest expects, or is of nobody in the cohort.
    ManifestError
        If no draw is of a patient, or a sample, of the cohort.
    """
    part = manifest.immune
    if part is None:
        return None
    path = paths[part.file]
    table = read_immune(path, _specification(part, _key_columns(part, patients)))
    first_rows = table.rows.drop_duplicates(list(table.key))
    cells = tuple(map(tuple, first_rows[list(table.key)].to_numpy()))
    draws = TextTable(path, table.key, cells, tuple(first_rows["row"]), Layout("UTF-8", ""))
    key, notes = (
        _key_of_patients(manifest, part, draws, samples, listed_patients, patients)
        if part.sample is None
        else _key_of_samples(manifest, part.sample, draws, samples)
    )
    _check_unique(draws, key)
    # Draws stand in the order of their first rows.
    draw_index = table.rows.groupby(list(table.key), sort=False).ngroup()
    measurements = table.rows.drop(columns=list(table.key))
    canonical = pd.concat([key.iloc[draw_index].set_axis(table.rows.index, axis=0), measurements], axis=1)
    is_measured = _is_measured(canonical).groupby(draw_index).transform("any")
    if n_empty := int((~is_measured).groupby(draw_index).first().sum()):
        notes = [*notes, f"{n_empty} of {len(draws.rows)} blood draws hold no measurement, and are left out"]
    canonical = canonical[canonical["patient"].notna() & is_measured].reset_index(drop=True)
    return replace(table, rows=canonical, key=tuple(map(str, key)), notes=(*table.notes, *notes))


def _is_measured(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["value"].notna() | (rows["censored"] != "")


def _key_columns(part: Immune, patients: tuple[TextTable, str] | None) -> list[str]:
    """Return the columns of the file that tell one blood draw from another."""
    columns = [part.patient or part.sample, part.visit]
    match part.day:
        case None | str():
            columns.insert(1, part.day)
        case DayInNames():
            pass
        case DayFromDates(date=date, index=index):
            columns.insert(1, date)
            # A date of day 0 stands in the patients' sheet, or else beside the date of the draw.
            columns.insert(2, None if patients is not None and index in patients[0].header else index)
        case rule:
            columns.insert(1, rule.column)
    return list(dict.fromkeys(column for column in columns if column is not None))


def _specification(part: Immune, key: Sequence[str]) -> ImmuneSpec:
    return ImmuneSpec(
        layout=part.layout,
        key=key,
        unit=part.unit,
        below_codes=part.below,
        above_codes=part.above,
        drop=part.drop,
        limits={name: (limits.lloq, limits.uloq) for name, limits in part.limits.items()},
        exclude=part.exclude_analytes,
        duplicates=part.duplicates,
        analyte_column=part.analyte,
        value_column=part.value,
        unit_column=part.unit_column,
        keep_rows=part.keep_rows,
        missing_codes=part.missing,
        rename=part.rename,
        panel_column=part.panel,
        limit_columns=(part.lower_limit, part.upper_limit),
        range_column=None
        if part.range is None
        else SideColumn(part.range.column, part.range.below, part.range.above, part.range.within),
        plate_column=part.plates.column if part.plates else None,
        reference_plate=part.plates.reference if part.plates else None,
        warning_columns=part.warnings,
        visits=tuple(part.day.in_names) if isinstance(part.day, DayInNames) else (),
    )


def _key_of_patients(
    manifest: Manifest,
    part: Immune,
    draws: TextTable,
    samples: pd.DataFrame,
    listed_patients: frozenset[str] | None,
    patients: tuple[TextTable, str] | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Return `patient`, `day` and `visit` of each draw as text, (n_draws, n_key), of those that the manifest states."""
    column = part.patient or ""
    names = draws.column(column)
    if ignored := manifest.samples.ignore_in_names:
        names = names.replace(matching_names(names, [*(listed_patients or ()), *samples["patient"]], ignored))
    _check_patients(draws, column, names, samples, listed_patients)
    key = {"patient": names}
    if isinstance(part.day, str):
        key["day"] = _numbers_as_text(draws, part.day)
    elif isinstance(part.day, DayInNames):
        key["day"] = draws.column(VISIT_KEY).map(dict(part.day.in_names)).map("{:g}".format)
    elif part.day is not None:
        is_donor = ~names.isin(samples["patient"][~samples["donor"]]) & names.isin(samples["patient"])
        key["day"] = DayRule("immune.day", part.day, column).days(draws, is_donor, patients).map("{:g}".format)
    if part.visit is not None:
        key["visit"] = _numbers_as_text(draws, part.visit)
    return pd.DataFrame(key).reset_index(drop=True), []


def _numbers_as_text(draws: TextTable, column: str) -> pd.Series[str]:
    is_invalid = finite_numbers(draws.column(column)).isna()
    if is_invalid.any():
        position = int(is_invalid.to_numpy().argmax())
        raise draws.error(f"expected a number, got {draws.column(column).iloc[position]!r}", column, position)
    return draws.column(column)


def _check_patients(
    draws: TextTable, column: str, names: pd.Series[str], samples: pd.DataFrame, listed_patients: frozenset[str] | None
) -> None:
    if not names.isin(samples["patient"]).any():
        raise ManifestError(
            f"{draws.path}: no value of column {column!r} (such as {names.iloc[0]!r}) names a patient with stool "
            f"(such as {samples['patient'].iloc[0]!r}); check immune.patient, or name the column of samples as "
            "immune.sample"
        )
    check_no_summary_rows(draws, column, set(samples["patient"]))
    if listed_patients is None:
        return
    is_unknown = ~names.isin({*listed_patients, *samples["patient"]})
    if is_unknown.any():
        position = int(is_unknown.to_numpy().argmax())
        raise draws.error(
            f"{names.iloc[position]!r} is not one of the cohort's patients; correct the name, list the patient, or "
            "leave out rows of others, such as controls, by immune.keep_rows",
            column,
            position,
        )


def _key_of_samples(
    manifest: Manifest, column: str, draws: TextTable, samples: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Return `patient`, `day` and `visit` of each draw's stool sample as text, (n_draws, n_key); NaN without one."""
    names = draws.column(column)
    names = names.replace(matching_names(names, samples["sample"], manifest.samples.ignore_in_names))
    sample = samples.set_index("sample").reindex(names)
    n_others = int(sample["patient"].isna().sum())
    if n_others == len(sample):
        raise ManifestError(
            f"{draws.path}: no value of column {column!r} (such as {names.iloc[0]!r}) names a stool sample (such as "
            f"{samples['sample'].iloc[0]!r}); check immune.sample"
        )
    key = {"patient": sample["patient"]}
    for name, is_stated in (("day", manifest.samples.day is not None), ("visit", manifest.samples.visit is not None)):
        if is_stated:
            key[name] = sample[name].map("{:g}".format)
    notes = [f"{n_others} of {len(sample)} blood draws are of no profiled stool sample, and are left out"] * (
        n_others > 0
    )
    return pd.DataFrame(key).reset_index(drop=True), notes


def _check_unique(draws: TextTable, key: pd.DataFrame) -> None:
    is_repeated = (key.duplicated() & key["patient"].notna()).to_numpy()
    if is_repeated.any():
        position = int(np.argmax(is_repeated))
        first_row = int(np.argmax((key == key.iloc[position]).all(axis=1)))
        draw = ", ".join(f"{name} {cell!r}" for name, cell in key.iloc[position].items())
        raise draws.error(
            f"the blood draw of {draw} is on row {draws.line_numbers[first_row]} too; expected each draw once. State "
            "days or visits that tell them apart",
            draws.header[0],
            position,
        )
