"""Drafted lines of the immune measurements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, cast

import pandas as pd

from features.analytes import SYNONYMS, canonical_analyte
from features.draft.cells import is_measurement, is_missing, normalise_word
from features.draft.columns import (
    DAY_COLUMN,
    VISIT_COLUMN,
    columns_matching,
    find_patient_column,
    find_time_column,
    names_matching,
    snake_case,
)
from features.draft.patients import CLINICAL_COLUMN
from features.draft.samples import SamplesDraft
from features.draft.yaml_lines import in_yaml
from features.tables.text import TextTable

ANALYTE_COLUMN = r"^(analyte|cytokine|marker|protein|assay)(_?name)?$"
VALUE_COLUMN = r"^(value|concentration|level|result|npx)$"
UNIT_COLUMN = r"^units?$"
_UNIT_IN_NAME = r"(?i)[\s_(\[]+(pg|ng)[\s_/]*ml[)\]]*$"
_CONVERTIBLE_UNITS = {"pg/ml", "ng/ml"}
_CONTROLS = ("POS_*", "NEG_*")
_REFERENCE_GENES = {"ACTB", "B2M", "GAPDH", "GUSB", "HPRT1", "PGK1", "RPLP0", "TBP", "UBC", "YWHAZ"}


def find_immune_layout(sheet: TextTable) -> Literal["wide", "long"] | None:
    """Return the layout of a table of immune measurements; None where the sheet is no such table."""
    if sum(is_analyte(column) for column in sheet.header) >= 3:
        return "wide"
    analyte_columns = columns_matching(sheet, ANALYTE_COLUMN)
    if not analyte_columns or not columns_matching(sheet, VALUE_COLUMN):
        return None
    return "long" if sheet.frame[analyte_columns[0]].map(is_analyte).any() else None


def is_analyte(name: str) -> bool:
    """Tell whether a name, with or without a unit after it, is one that `canonical_analyte` knows."""
    analyte = canonical_analyte(re.sub(_UNIT_IN_NAME, "", name))
    return analyte in SYNONYMS or re.fullmatch(r"IL-\d+\w?", analyte) is not None


def immune_lines(sheet: TextTable, samples: SamplesDraft) -> list[str]:
    """Return the lines of a table of immune measurements."""
    layout, frame, time = find_immune_layout(sheet), sheet.frame, find_time_column(sheet.frame)
    patient = find_patient_column(sheet, samples.patients) or "TODO"
    n_patients = len(samples.patients & set(frame.get(patient, ())))
    lines = ["immune:", f"  file: {in_yaml(sheet.path.name)}", f"  layout: {layout}"]
    lines.append(
        f"  patient: {in_yaml(patient)}  # guessed: {n_patients} of {len(samples.patients)} patients found here"
    )
    if time is None or time.pattern:
        lines.append("  baseline: TODO  # TODO: the publication's words for when blood was drawn")
    else:
        lines.append(f"  {time.key}: {in_yaml(time.column)}  # guessed: numbers under this name")
    if layout == "long":
        analyte, value = columns_matching(sheet, ANALYTE_COLUMN)[0], columns_matching(sheet, VALUE_COLUMN)[0]
        lines += [f"  analyte: {in_yaml(analyte)}", f"  value: {in_yaml(value)}"]
        cells = {str(name): part for name, part in frame.groupby(analyte, sort=False)[value]}
        unit_column = next(iter(columns_matching(sheet, UNIT_COLUMN)), None)
        units = set(frame[unit_column].str.casefold()) if unit_column else set()
        if units and units <= _CONVERTIBLE_UNITS:
            lines.append(f"  unit_column: {in_yaml(unit_column)}")
    else:
        cells = {name: frame[name] for name in sheet.header if name not in (patient, time and time.column)}
        units = {unit[1].lower() + "/ml" for name in cells if (unit := re.search(_UNIT_IN_NAME, name))}
    has_controls = any(name.startswith(("POS_", "NEG_")) for name in cells)
    is_expression = has_controls or "expression" in snake_case(sheet.path.stem)
    lines.append(_unit_line(units, is_long=layout == "long", is_expression=is_expression))
    return lines + _measurement_lines(cells, is_wide=layout == "wide", is_expression=is_expression)


def _unit_line(units: set[str], *, is_long: bool, is_expression: bool) -> str:
    if is_expression:
        unit = "log2_expression"
    elif units and units <= _CONVERTIBLE_UNITS and (is_long or len(units) == 1):
        unit = "ng/mL" if units == {"ng/ml"} else "pg/mL"
    else:
        return "  unit: unstated  # TODO: state pg/mL, ng/mL or NPX, if the source does"
    return f"  unit: {unit}  # guessed from names; TODO: confirm"


def _measurement_lines(cells: Mapping[str, pd.Series[str]], *, is_wide: bool, is_expression: bool) -> list[str]:
    """Return the lines of `drop`, `exclude_analytes`, and the codes for values out of range."""
    drop = [pattern for pattern in _CONTROLS if any(fnmatchcase(name, pattern) for name in cells)]
    excluded: dict[str, str] = {}
    numbers: dict[str, pd.Series[float]] = {}
    for name, column in cells.items():
        if any(fnmatchcase(name, pattern) for pattern in drop):
            continue
        reported = column[~column.map(is_missing)]
        is_other_column = is_wide and _is_no_measurement(name)
        is_reference_gene = is_expression and name in _REFERENCE_GENES
        if is_other_column or is_reference_gene or 2 * reported.map(is_measurement).sum() < len(reported):
            drop.append(name)
        elif reported.map(normalise_word).isin(["0"]).all():
            excluded[name] = "zero or missing in every sample"
        else:
            numbers[name] = pd.to_numeric(reported, errors="coerce")
    lines = [f"  drop: {in_yaml(drop)}  # guessed: no measurements; TODO: confirm"] if drop else []
    lines += [f"  exclude_analytes: {in_yaml(excluded)}"] if excluded else []
    return lines if is_expression or not numbers else lines + _code_lines(numbers)


def _is_no_measurement(name: str) -> bool:
    pattern = f"{CLINICAL_COLUMN}|{DAY_COLUMN}|{VISIT_COLUMN}"
    return not is_analyte(name) and bool(names_matching([name], pattern))


def _code_lines(numbers: Mapping[str, pd.Series[float]]) -> list[str]:
    """Return the lines of negative codes, each with the side of the range that it most likely means.

    A code that occurs most in one of the most abundant analytes more likely means above range than below it.
    """
    values = pd.concat(numbers, names=["analyte"]).reset_index(level="analyte", name="number")
    medians = values[values["number"] > 0].groupby("analyte")["number"].median()
    sides: dict[str, list[float]] = {"below": [], "above": []}
    lines = []
    for code, rows in values[values["number"] < 0].groupby("number"):
        analyte = rows["analyte"].mode()[0]
        side = "above" if medians.get(analyte, 0) >= medians.quantile(0.9) else "below"
        sides[side].append(cast(float, code))
        count = f"{code:g} occurs {len(rows)} times, most often in {in_yaml(analyte)}"
        lines.append(f"  # TODO: {count}: does it mean {side} range?")
    return lines + [f"  {side}: {in_yaml(codes)}" for side, codes in sides.items() if codes]
