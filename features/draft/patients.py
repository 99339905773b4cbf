"""Drafted lines of the patients' sheet: centre, covariates, outcomes and excluded columns."""

from __future__ import annotations

import re

from features.draft.cells import is_missing
from features.draft.columns import columns_matching, find_patient_column, snake_case
from features.draft.covariates import (
    COVARIATE_COLUMN,
    EXCLUDED_COLUMN,
    draft_covariates,
    reason_in_cells,
    reason_in_name,
)
from features.draft.outcomes import BEST_RESPONSE_COLUMN, STABLE_SIX_MONTHS_COLUMN, draft_outcomes
from features.draft.samples import SamplesDraft
from features.draft.yaml_lines import in_yaml
from features.tables.text import TextTable

CLINICAL_COLUMN = "|".join([COVARIATE_COLUMN, EXCLUDED_COLUMN, BEST_RESPONSE_COLUMN])
"""The columns by which a sheet of clinical data is recognised."""
_CENTRE_COLUMN = r"^(sub_?cohort|centre|center|hospital|institution|study_site|site|location)(_?(id|name))?$"


def patient_lines(sheet: TextTable, samples: SamplesDraft, events: TextTable | None) -> list[str]:
    """Return the lines of patients and outcomes, and of the columns that may not become features."""
    patient, rows = samples.patient_column, sheet.frame
    if sheet is samples.sheet:
        rows = rows[~samples.donor_rows]
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
    outcomes = draft_outcomes(constant, rows[patient], events)
    excluded = {
        column: reason
        for column, cells in columns.items()
        if column not in outcomes.columns and (reason := reason_in_cells(cells))
    }
    covariates = draft_covariates(
        {column: cells for column, cells in columns.items() if column not in outcomes.columns | excluded.keys()}
    )
    for column in columns:
        # Progression at six months is an outcome of its own, too.
        is_outcome = column in outcomes.columns and not re.search(STABLE_SIX_MONTHS_COLUMN, snake_case(column))
        if column not in covariates.columns and not is_outcome and (reason := reason_in_name(column)):
            excluded.setdefault(column, reason)
    centre = next(
        (
            column
            for column in columns_matching(sheet, _CENTRE_COLUMN)
            if column in constant
            and 1 < constant[column].nunique() < len(rows)
            and not constant[column].map(is_missing).any()
        ),
        None,
    )
    lines = []
    if covariates.lines or outcomes.lines or centre:
        n_patients = len(samples.patients & set(rows[patient]))
        lines += ["patients:", f"  file: {in_yaml(sheet.path.name)}"]
        lines.append(
            f"  patient: {in_yaml(patient)}  # guessed: {n_patients} of {len(samples.patients)} patients found here"
        )
        if centre:
            lines.append(f"  centre: {in_yaml(centre)}  # guessed: {constant[centre].nunique()} different values")
    lines += ["  covariates:"] if covariates.columns else []
    lines += covariates.lines
    if outcomes.lines:
        lines += ["outcomes:", *outcomes.lines]
    else:
        lines.append("# TODO: no outcome was recognised; describe 'outcomes'")
    lines += ["exclude_columns:"] if excluded else []
    return lines + [f"  {in_yaml(column)}: {in_yaml(reason)}  # TODO: confirm" for column, reason in excluded.items()]
