"""Drafted lines of the patients' sheet: centre, covariates, outcomes and excluded columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

import pandas as pd

from features.draft.arms import arm_lines
from features.draft.cells import is_missing
from features.draft.columns import columns_matching, find_patient_column
from features.draft.covariates import (
    draft_covariates,
    reason_in_cells,
    reason_in_name,
)
from features.draft.outcomes import draft_outcomes
from features.draft.samples import SamplesDraft
from features.draft.yaml_lines import in_yaml
from features.tables.text import TextTable

_CENTRE_COLUMN = r"^(sub_?cohort|centre|center|hospital|institution|study_site|site|location)(_?(id|name))?$"


def patient_lines(
    sheet: TextTable, samples: SamplesDraft, events: TextTable | None, kept_rows: Sequence[str] = ()
) -> list[str]:
    """Return the lines of patients and outcomes, and of the columns that may not become features.

    `kept_rows` is the line of `keep_rows` of a sheet from which rows were left out.
    """
    patient, rows = samples.patient_column, sheet.frame
    if sheet is samples.sheet:
        rows = rows[~samples.other_rows]
    else:
        patient = find_patient_column(sheet, samples.patients) or patient
    columns = {
        column: sheet.frame[column]
        for column in sheet.header
        if column != patient and not sheet.frame[column].map(is_missing).all()
    }
    constant = {
        column: cells for column, cells in columns.items() if (rows.groupby(patient)[column].nunique() == 1).all()
    }
    is_open = sheet is samples.sheet and samples.is_patient_open
    outcomes = draft_outcomes(constant, rows[patient], events)
    candidates = {column: cells for column, cells in columns.items() if column not in outcomes.columns}
    excluded = {column: reason for column, cells in candidates.items() if (reason := reason_in_cells(cells))}
    covariates = draft_covariates({column: cells for column, cells in candidates.items() if column not in excluded})
    excluded = _excluded_by_name(columns, outcomes.columns | covariates.columns) | excluded
    centre = _find_centre(sheet, constant, len(rows))
    arms = arm_lines({column: cells[rows.index] for column, cells in constant.items()})
    lines = []
    if covariates.lines or outcomes.lines or centre or arms:
        n_patients = len(samples.patients & set(rows[patient]))
        note = f"guessed: {n_patients} of {len(samples.patients)} patients found here"
        lines += [
            "patients:",
            f"  file: {in_yaml(sheet.path.name)}",
            *kept_rows,
            f"  patient: {in_yaml(patient)}  # {note}" if not is_open else "  patient: TODO  # TODO: as in the samples",
        ]
    if centre:
        lines.append(f"  centre: {in_yaml(centre)}  # guessed: {constant[centre].nunique()} different values")
    lines += arms
    lines += ["  covariates:"] if covariates.columns else []
    lines += covariates.lines
    lines += ["outcomes:"] if outcomes.columns or events else ["# TODO: no outcome was recognised; describe 'outcomes'"]
    lines += outcomes.lines
    lines += ["exclude_columns:"] if excluded else []
    return lines + [f"  {in_yaml(column)}: {in_yaml(reason)}  # TODO: confirm" for column, reason in excluded.items()]


def _excluded_by_name(columns: Iterable[str], drafted: Set[str]) -> dict[str, str]:
    """Return why columns may not become features, by their names, without the columns that were drafted already."""
    reasons = {column: reason_in_name(column) for column in columns if column not in drafted}
    return {column: reason for column, reason in reasons.items() if reason}


def _find_centre(sheet: TextTable, constant: Mapping[str, pd.Series[str]], n_rows: int) -> str | None:
    """Return the column of the centre: it has several values, none of them missing, and not one for each row."""
    for column in columns_matching(sheet, _CENTRE_COLUMN):
        cells = constant.get(column)
        if cells is not None and 1 < cells.nunique() < n_rows and not cells.map(is_missing).any():
            return column
    return None
