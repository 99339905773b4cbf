"""The lines of immune measurements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import cast

import pandas as pd

from features.analytes import SYNONYMS, canonical_analyte
from features.draft.patients import CLINICAL
from features.draft.stool import Stool
from features.draft.words import (
    DAY,
    VISIT,
    columns_named,
    columns_of,
    in_yaml,
    is_missing,
    is_reading,
    patient_column,
    snake,
    when_taken,
    word,
)
from features.tables.text import TextTable

ANALYTE, VALUE = r"^(analyte|cytokine|marker|protein|assay)(_?name)?$", r"^(value|concentration|level|result|npx)$"
UNIT_IN_NAME = r"(?i)[\s_(\[]+(pg|ng)[\s_/]*ml[)\]]*$"
_CONTROLS = ("POS_*", "NEG_*")
_REFERENCE_GENES = {"ACTB", "B2M", "GAPDH", "GUSB", "HPRT1", "PGK1", "RPLP0", "TBP", "UBC", "YWHAZ"}


def immune_layout(sheet: TextTable) -> str | None:
    """Return 'wide' or 'long', if a sheet looks like a table of immune measurements."""
    if sum(is_analyte(str(column)) for column in sheet.frame) >= 3:
        return "wide"
    names = columns_of(sheet, ANALYTE)
    return "long" if names and columns_of(sheet, VALUE) and sheet.frame[names[0]].map(is_analyte).any() else None


def immune_lines(sheet: TextTable, stool: Stool) -> list[str]:
    """Return the lines of a table of immune measurements."""
    layout, frame, when = immune_layout(sheet), sheet.frame, when_taken(sheet.frame)
    patient = patient_column(sheet, stool.patients) or "TODO"
    have = len(stool.patients & set(frame.get(patient, ())))
    lines = ["immune:", f"  file: {in_yaml(sheet.path.name)}", f"  layout: {layout}"]
    lines.append(f"  patient: {in_yaml(patient)}  # guessed: {have} of {len(stool.patients)} patients found here")
    if when is None or when.pattern:
        lines.append("  baseline: TODO  # TODO: the publication's words for when blood was drawn")
    else:
        lines.append(f"  {when.key}: {in_yaml(when.column)}  # guessed: numbers under this name")
    spelled: set[str] = set()
    if layout == "long":
        analyte, value, *unit = (c[0] for p in (ANALYTE, VALUE, r"^units?$") if (c := columns_of(sheet, p)))
        lines += [f"  analyte: {in_yaml(analyte)}", f"  value: {in_yaml(value)}"]
        cells = {str(name): part for name, part in frame.groupby(analyte, sort=False)[value]}
        spelled = {written for column in unit for written in frame[column].str.casefold()}
        lines += [f"  unit_column: {in_yaml(unit[0])}"] if spelled and spelled <= {"pg/ml", "ng/ml"} else []
    else:
        cells = {str(name): v for name, v in frame.items() if name not in (patient, when and when.column)}
        spelled = {found[1].lower() + "/ml" for name in cells if (found := re.search(UNIT_IN_NAME, name))}
    expression = "expression" in snake(sheet.path.stem) or any(name.startswith(("POS_", "NEG_")) for name in cells)
    unit_guess = "log2_expression" if expression else "ng/mL" if spelled == {"ng/ml"} else "pg/mL"
    if expression or (spelled and spelled <= {"pg/ml", "ng/ml"} and (layout == "long" or len(spelled) == 1)):
        lines.append(f"  unit: {unit_guess}  # guessed from names; TODO: confirm")
    else:
        lines.append("  unit: unstated  # TODO: state pg/mL, ng/mL or NPX, if the source does")
    return lines + _measurement_lines(cells, layout == "wide", expression)


def _measurement_lines(cells: Mapping[str, pd.Series[str]], wide: bool, expression: bool) -> list[str]:
    """Return the lines on what is no measurement: controls, other columns, analytes without a value, codes."""
    drop = [pattern for pattern in _CONTROLS if any(fnmatchcase(name, pattern) for name in cells)]
    ignore: dict[str, str] = {}
    kept: dict[str, pd.Series[float]] = {}
    for name, values in cells.items():
        if any(fnmatchcase(name, pattern) for pattern in drop):
            continue
        written = values[~values.map(is_missing)]
        other = wide and not is_analyte(name) and bool(columns_named([name], f"{CLINICAL}|{DAY}|{VISIT}"))
        if other or (expression and name in _REFERENCE_GENES) or 2 * written.map(is_reading).sum() < len(written):
            drop.append(name)
        elif written.map(word).isin(["0"]).all():
            ignore[name] = "zero or missing in every sample"
        else:
            kept[name] = pd.to_numeric(written, errors="coerce")
    lines = [f"  drop: {in_yaml(drop)}  # guessed: no measurements; TODO: confirm"] if drop else []
    lines += [f"  exclude_analytes: {in_yaml(ignore)}"] if ignore else []
    if expression or not kept:
        return lines
    numbers = pd.concat(kept, names=["analyte"]).reset_index(level="analyte", name="number")
    level = numbers[numbers["number"] > 0].groupby("analyte")["number"].median()
    sides: dict[str, list[float]] = {"below": [], "above": []}
    for code, rows in numbers[numbers["number"] < 0].groupby("number"):
        most = rows["analyte"].mode()[0]
        # A code met most in one of the most abundant analytes is likelier to mean above range than below it.
        side = "above" if level.get(most, 0) >= level.quantile(0.9) else "below"
        sides[side].append(cast(float, code))
        lines.append(f"  # TODO: {code:g} stands {len(rows)} times, most in {in_yaml(most)}: is it {side} range?")
    return lines + [f"  {side}: {in_yaml(codes)}" for side, codes in sides.items() if codes]


def is_analyte(name: str) -> bool:
    """Tell whether a name, with or without a unit behind it, is one that `canonical_analyte` knows."""
    known = canonical_analyte(re.sub(UNIT_IN_NAME, "", name))
    return known in SYNONYMS or re.fullmatch(r"IL-\d+\w?", known) is not None
