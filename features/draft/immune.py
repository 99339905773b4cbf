"""Drafted lines of the immune measurements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import pandas as pd

from features.analytes import canonical_analyte, is_known_analyte
from features.draft.cells import is_measurement, is_missing, normalise_word
from features.draft.clinical import CLINICAL_COLUMN
from features.draft.columns import (
    DATE_COLUMN,
    DAY_COLUMN,
    PATIENT_COLUMN,
    VISIT_COLUMN,
    TimeColumn,
    columns_matching,
    find_patient_column,
    find_time_column,
    names_matching,
    snake_case,
)
from features.draft.immune_columns import draft_row_filter, value_column_lines
from features.draft.samples import SamplesDraft
from features.draft.times import date_columns, date_questions, label_column
from features.draft.visit_columns import find_visit_columns
from features.draft.visit_labels import days_of_labels
from features.draft.yaml_lines import in_yaml
from features.gene_dates import gene_date_problem, genes_of_date, is_date
from features.immune import VisitColumn, read_immune_export, split_visit
from features.measured_values import MISSING_MARKS
from features.name_matching import is_match
from features.tables.text import TextTable
from features.units import LOG2_UNITS, PG_PER_ML, ImmuneUnit, parse_unit, split_name_and_unit

ANALYTE_COLUMN = r"^(analyte|cytokine|marker|protein|assay)(_?name)?$"
VALUE_COLUMN = r"^(value|concentration|level|result|npx|quantified_value|(calc|obs)_conc(entration)?)$"
_COMPUTED_VALUE = r"npx|calc|obs"
"""The columns that hold what was found, where another one holds what standards should have."""
_WELL_COLUMN = r"^(well|wells|location|replicate|plate_position)$"
UNIT_COLUMN = r"^units?$"
_SAMPLE_COLUMN = r"^sample(_?(id|name))?$"
_TIME_COLUMN = rf"{DAY_COLUMN}|{VISIT_COLUMN}|{DATE_COLUMN}"
_KEY_COLUMN = rf"{PATIENT_COLUMN}|{_TIME_COLUMN}|{_SAMPLE_COLUMN}"
"""The columns beside which one or two analytes are a table of immune measurements."""
_MANY_ANALYTES = 3
"""Analytes from which a table is one of immune measurements, whatever stands beside them."""
MIN_ANALYTES_COMPARED = 5
"""Analytes of which one may be among the most abundant."""
MIN_RECURRENCES = 3
"""Times that a negative number occurs, from which it may be a code."""
_CONTROLS = ("POS_*", "NEG_*")
_REFERENCE_GENES = {"ACTB", "B2M", "GAPDH", "GUSB", "HPRT1", "PGK1", "RPLP0", "TBP", "UBC", "YWHAZ"}


def find_immune_layout(sheet: TextTable) -> Literal["wide", "long"] | None:
    """Return the layout of a table of immune measurements; None where the sheet is no such table."""
    other_columns = [column for column in sheet.header if not is_known_analyte(column)]
    n_analytes = len(sheet.header) - len(other_columns)
    if len(find_visit_columns(sheet.header)) > n_analytes:
        return "wide"
    if n_analytes >= _MANY_ANALYTES or (
        n_analytes and len(names_matching(other_columns, _KEY_COLUMN)) == len(other_columns)
    ):
        return "wide"
    analyte_columns = columns_matching(sheet, ANALYTE_COLUMN)
    if not analyte_columns or not columns_matching(sheet, VALUE_COLUMN):
        return None
    return "long" if sheet.frame[analyte_columns[0]].map(is_known_analyte).any() else None


def few_analytes(sheet: TextTable) -> list[str]:
    """Return the analytes of a table in the wide layout that has one or two of them; empty for any other table."""
    analytes = [column for column in sheet.header if is_known_analyte(column)]
    visit_columns = find_visit_columns(sheet.header)
    if len(visit_columns) > len(analytes):
        analytes = list(dict.fromkeys(canonical_analyte(part.analyte) for part in visit_columns.values()))
    return analytes if len(analytes) < _MANY_ANALYTES and find_immune_layout(sheet) == "wide" else []


def immune_lines(sheet: TextTable, samples: SamplesDraft, sheets: Sequence[TextTable]) -> list[str]:
    """Return the lines of a table of immune measurements; a date of day 0 may stand in any of the sheets."""
    layout = find_immune_layout(sheet)
    visit_columns = find_visit_columns(sheet.header)
    if len(visit_columns) > sum(map(is_known_analyte, sheet.header)):
        return _lines_of_visits(sheet, samples, list(dict.fromkeys(part.visit for part in visit_columns.values())))
    sheet, filter_lines = draft_row_filter(sheet) if layout == "long" else (sheet, [])
    patient = find_patient_column(sheet, samples.patients)
    frame, time = sheet.frame, find_time_column(sheet.frame, patient)
    sample = None if patient else _find_sample_column(sheet, samples)
    lines = ["immune:", f"  file: {in_yaml(sheet.path.name)}", f"  layout: {layout}"]
    if sample is not None:
        lines.append(f"  sample: {in_yaml(sample)}  # guessed: it names stool samples, whose patients and days count")
        time_columns = {sample}
    else:
        n_patients = len(samples.patients & set(frame.get(patient or "", ())))
        reason = f"guessed: {n_patients} of {len(samples.patients)} patients found here"
        if patient is None:
            names = f", such as {in_yaml(min(samples.patients))}" if samples.patients else ""
            patient, reason = "TODO", f"TODO: no column holds the names of patients alone{names}"
        lines.append(f"  patient: {in_yaml(patient)}  # {reason}")
        line, time_columns = _draft_time(sheet, time, patient, sheets)
        lines.append(line)
    lines += filter_lines
    other_units: dict[str, str] = {}
    if layout == "long":
        analyte, value = (
            columns_matching(sheet, ANALYTE_COLUMN)[0],
            find_value_column(sheet, columns_matching(sheet, VALUE_COLUMN)),
        )
        lines += [f"  analyte: {in_yaml(analyte)}", f"  value: {in_yaml(value)}"]
        cells = {str(name): part for name, part in frame.groupby(analyte, sort=False)[value]}
        unit_column = next(iter(columns_matching(sheet, UNIT_COLUMN)), None)
        if unit_column:
            units = frame.groupby(analyte, sort=False)[unit_column].unique()
            other_units = _other_units({str(name): list(texts) for name, texts in units.items()})
            unit_texts = {text for name, texts in units.items() if name not in other_units for text in texts}
            if {parse_unit(text) for text in unit_texts} <= PG_PER_ML.keys():
                lines.append(f"  unit_column: {in_yaml(unit_column)}")
        else:
            unit_texts = {value, *columns_matching(sheet, r"^olink_?id$")}
        lines += value_column_lines(sheet, patient or sample or "TODO", analyte)
    else:
        cells = {name: frame[name] for name in sheet.header if name not in {patient, *time_columns}}
        units_in_names = {name: unit for name in cells if (unit := split_name_and_unit(name)[1])}
        other_units = _other_units({name: [unit] for name, unit in units_in_names.items()})
        unit_texts = {unit for name, unit in units_in_names.items() if name not in other_units}
        unit_texts = unit_texts or {read_immune_export(sheet.path).unit}
    key = [patient, *time_columns] if patient else [*time_columns]
    # Where the patient alone is known, rows of one patient may be of several draws, unless they are named as samples.
    if time_columns or (names_matching(key, _SAMPLE_COLUMN) and not columns_matching(sheet, _TIME_COLUMN)):
        lines += _replicate_lines(sheet, [*key, *([analyte] if layout == "long" else [])])
    unit = _find_unit(cells, unit_texts, sheet.path.stem)
    lines.append(_unit_line(unit))
    if visit_columns:
        todo = (
            f"{in_yaml(list(visit_columns)[:4])} name a visit, and are dropped; to read them, name each column's visit"
        )
        lines.append(f"  # TODO: {todo} in the file, as in IL6_D0")
    return lines + _measurement_lines(cells, other_units, is_wide=layout == "wide", unit=unit, drop=visit_columns)


def _lines_of_visits(sheet: TextTable, samples: SamplesDraft, visits: Sequence[str]) -> list[str]:
    """Return the lines of a table whose columns are named for an analyte and a visit.

    Columns of a visit without a known day are dropped until it is stated; where no visit has one, the lines are a
    comment. Beside clinical columns, those of known analytes alone are measurements.
    """
    patient = find_patient_column(sheet, samples.patients) or "TODO"
    columns = {
        column: part
        for column in sheet.header
        if column != patient and (part := split_visit(column, visits)) and _is_visit_of_analyte(sheet, column, part)
    }
    days = _distinct_days(visits)
    undated = [visit for visit in visits if days[visit] is None]
    dated = {column: part for column, part in columns.items() if part.visit not in undated}
    in_names = {visit: day if dated else "TODO" for visit, day in days.items() if day is not None or not dated}
    n_patients = len(samples.patients & set(sheet.frame.get(patient, ())))
    lines = [
        "immune:",
        f"  file: {in_yaml(sheet.path.name)}",
        "  layout: wide",
        f"  patient: {in_yaml(patient)}  # guessed: {n_patients} of {len(samples.patients)} patients found here",
        f"  day: {in_yaml({'in_names': in_names})}  # guessed: visits in the names of columns; TODO: confirm each day",
    ]
    drop = [column for column in sheet.header if column != patient and column not in columns]
    if plain := [column for column in drop if is_known_analyte(column)]:
        lines.append(f"  # TODO: {in_yaml(plain)} name no visit, and are dropped; name it in the file to read them")
    if dated and undated:
        todo = f"no day is known of {in_yaml(undated)}; state each in 'in_names', and take its columns from 'drop'"
        lines.append(f"  # TODO: {todo}")
        drop += [column for column in columns if column not in dated]
    cells: dict[str, pd.Series[str]] = {}
    units: dict[str, list[str]] = {}
    spellings: dict[str, str] = {}
    for column, part in (dated or columns).items():
        analyte = spellings.setdefault(canonical_analyte(part.analyte), part.analyte)
        cells[analyte] = pd.concat([cells.get(analyte, pd.Series(dtype="str")), sheet.frame[column]])
        units.setdefault(analyte, []).extend([part.unit] if part.unit else [])
    other_units = _other_units({name: texts for name, texts in units.items() if texts})
    unit = _find_unit(
        cells, {text for name, texts in units.items() if name not in other_units for text in texts}, sheet.path.stem
    )
    lines.append(_unit_line(unit))
    lines += _measurement_lines(cells, other_units, is_wide=True, unit=unit, drop=drop)
    if dated:
        return lines
    todo = f"# TODO: state the day of {in_yaml(undated)}, visits in the names of columns, and take '#' from these lines"
    return [todo, *(f"# {line}" for line in lines)]


def _is_visit_of_analyte(sheet: TextTable, column: str, part: VisitColumn) -> bool:
    """Tell whether a column named for a visit is one of measurements."""
    reported = [cell for cell in sheet.frame[column] if not is_missing(cell)]
    texts = [cell for cell in reported if not is_measurement(cell)]
    if is_known_analyte(part.analyte):
        return 2 * len(texts) <= len(reported) or any(re.search(r"\d", text) for text in texts)
    has_clinical_columns = bool(columns_matching(sheet, CLINICAL_COLUMN))
    return not (has_clinical_columns or texts or _is_no_measurement(part.analyte))


def _distinct_days(visits: Sequence[str]) -> dict[str, float | None]:
    """Return the day of each visit, None where its label states none, or that of another."""
    days: dict[str, float | None] = {}
    for visit, day in days_of_labels(visits).items():
        days[visit] = None if day in days.values() else day
    return days


def find_value_column(sheet: TextTable, columns: Iterable[str]) -> str:
    """Return the column of values: of several, one that is not mostly empty, and that the software computed.

    Parameters
    ----------
    sheet : TextTable
        The table of immune measurements, in the long layout.
    columns : iterable of str
        The columns whose names match `VALUE_COLUMN`.
    """

    def order(column: str) -> tuple[bool, bool]:
        is_empty = 2 * sheet.frame[column].map(is_missing).sum() > len(sheet.rows)
        return bool(is_empty), not re.search(_COMPUTED_VALUE, snake_case(column))

    return min(columns, key=order)


def _replicate_lines(sheet: TextTable, key: list[str]) -> list[str]:
    """Return the line of `duplicates` where blood draws have several wells."""
    if not columns_matching(sheet, _WELL_COLUMN) or not set(key) <= set(sheet.header):
        return []
    n_replicates = int(sheet.frame.duplicated(key).sum())
    note = f"guessed: {n_replicates} rows are further wells of a blood draw; TODO: confirm that no visit parts them"
    return [f"  duplicates: mean  # {note}"] if n_replicates else []


def _other_units(units: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the unit of each analyte in which it is no concentration of mass, where some of the analytes are."""
    other_units = {name: text for name, texts in units.items() for text in texts if parse_unit(text) not in PG_PER_ML}
    return other_units if len(other_units) < len(units) else {}


def _find_sample_column(sheet: TextTable, samples: SamplesDraft) -> str | None:
    """Return the column that names stool samples, in a table that names no patients; None where none does."""
    if samples.sheet is None:
        return None
    names = set(samples.sheet.frame[samples.sample_column])
    n_shared = {column: len(names & set(sheet.frame[column])) for column in sheet.header}
    best = max(n_shared, key=lambda column: n_shared[column])
    return best if 2 * n_shared[best] >= min(len(names), sheet.frame[best].nunique()) else None


def _draft_time(
    sheet: TextTable, time: TimeColumn | None, patient: str, sheets: Sequence[TextTable]
) -> tuple[str, set[str]]:
    """Return the line of when blood was drawn, and the columns that it names."""
    if time is not None and not (time.pattern or time.labels):
        return f"  {time.key}: {in_yaml(time.column)}  # guessed: numbers under this name", {time.column}
    if patient in sheet.header and (dates := date_columns(sheet, sheet.frame, patient, sheets)):
        day = {"from": dates[0], "index": dates[1]}
        return f"  day: {in_yaml(day)}  # guessed: dates under these names; TODO: confirm the event at day 0", set(
            dates
        )
    labels = label_column(sheet.frame)
    if labels and None not in labels[1].values():
        rule = {"column": labels[0], "labels": labels[1]}
        return f"  day: {in_yaml(rule)}  # guessed from the labels; TODO: confirm each day", {labels[0]}
    if time is not None and time.labels:
        rule = {"column": time.column, "labels": time.labels}
        return f"  day: {in_yaml(rule)}  # guessed: the days of these weeks or months; TODO: confirm", {time.column}
    line = "  baseline: TODO  # TODO: the publication's words for when blood was drawn"
    if labels is None:
        return "\n".join([line, *date_questions(sheet, sheet.frame, sheets)]), set()
    days = {label: "TODO" if day is None else day for label, day in labels[1].items()}
    stated_days = in_yaml({"column": labels[0], "labels": days})
    return f"{line}\n  # TODO: or state the day of each label: 'day: {stated_days}'", set()


def _find_unit(cells: Iterable[str], unit_texts: set[str], file_name: str) -> ImmuneUnit:
    """Return the unit that the names of analytes, columns or the file state; "unstated" where none does."""
    words = snake_case(file_name)
    if any(name.startswith(("POS_", "NEG_")) for name in cells) or "expression" in words:
        return "log2_expression"
    units = {parse_unit(text) or text for text in unit_texts if text}
    if units and units <= PG_PER_ML.keys():
        return cast(ImmuneUnit, units.pop()) if len(units) == 1 else "pg/mL"
    if "NPX" in units or any(snake_case(text).replace("_", "") == "olinkid" for text in unit_texts) or "npx" in words:
        return "NPX"
    return "unstated"


def _unit_line(unit: ImmuneUnit) -> str:
    if unit == "unstated":
        return "  unit: unstated  # TODO: state pg/mL, ng/mL, mg/L, mg/dL or NPX, if the source does"
    return f"  unit: {unit}  # guessed from names; TODO: confirm"


def _measurement_lines(
    cells: Mapping[str, pd.Series[str]],
    other_units: Mapping[str, str],
    *,
    is_wide: bool,
    unit: ImmuneUnit,
    drop: Iterable[str] = (),
) -> list[str]:
    """Return the lines of `drop`, `rename`, `exclude_analytes`, and the codes for values out of range."""
    is_expression = unit == "log2_expression"
    drop = [*(pattern for pattern in _CONTROLS if any(is_match(name, pattern) for name in cells)), *drop]
    excluded: dict[str, str] = {}
    renamed: dict[str, str] = {}
    numbers: dict[str, pd.Series[float]] = {}
    unreadable: dict[str, str] = {}
    for name, column in cells.items():
        if any(is_match(name, pattern) for pattern in drop):
            continue
        reported = column[~column.map(is_missing)]
        is_other_column = is_wide and _is_no_measurement(name)
        is_reference_gene = is_expression and name in _REFERENCE_GENES
        texts = [cell for cell in reported if not is_measurement(cell)]
        amount = next((text for text in texts if re.search(r"\d", text)), None)
        if amount and 2 * len(texts) > len(reported) and not is_expression and is_known_analyte(name):
            unreadable[name] = amount
        elif is_other_column or is_reference_gene or 2 * len(texts) > len(reported):
            drop.append(name)
        elif name in other_units:
            excluded[name] = f"in {other_units[name]}, which does not convert to {unit}"
        elif is_date(name) and len(genes := genes_of_date(name)) == 1:
            renamed[name] = genes[0].partition(" ")[0]
        elif is_date(name):
            excluded[name] = gene_date_problem([name])
        elif reported.map(normalise_word).isin(["0"]).all():
            excluded[name] = "zero or missing in every sample"
        else:
            numbers[name] = pd.to_numeric(reported, errors="coerce")
    lines = [f"  drop: {in_yaml(drop)}  # guessed: no measurements; TODO: confirm"] if drop else []
    if unreadable:
        cells_of_analytes = in_yaml(dict(list(unreadable.items())[:3]))
        lines.append(f"  # TODO: {cells_of_analytes} are no numbers; write the number alone, and the unit in a column")
    if renamed:
        lines.append(f"  rename: {in_yaml(renamed)}  # guessed: a spreadsheet made dates of genes; TODO: confirm")
    lines += [f"  exclude_analytes: {in_yaml(excluded)}"] if excluded else []
    lines += _text_lines(sorted({cell for name in numbers for cell in cells[name] if not _is_readable(cell)}))
    return lines if unit in LOG2_UNITS or not numbers else lines + _code_lines(numbers)


def _is_readable(cell: str) -> bool:
    return (is_missing(cell) and cell.casefold() in MISSING_MARKS) or is_measurement(cell)


def _text_lines(texts: Sequence[str]) -> list[str]:
    """Return the question what the texts among measurements mean."""
    if not texts:
        return []
    names = in_yaml(list(texts[:6]))
    return [f"  # TODO: does each of {names} mean below range, or not measured? List it under 'below' or 'missing'"]


def _is_no_measurement(name: str) -> bool:
    pattern = f"{CLINICAL_COLUMN}|{DAY_COLUMN}|{VISIT_COLUMN}"
    return not is_known_analyte(name) and bool(names_matching([name], pattern))


def _code_lines(numbers: Mapping[str, pd.Series[float]]) -> list[str]:
    """Return the lines of negative codes, each with the side of the range that it most likely means.

    A code is one value that recurs; negative numbers that mostly differ are values on a log scale. A code that occurs
    most in one of the most abundant analytes more likely means above range than below it.
    """
    numbers = {name: column for name, column in numbers.items() if column.nunique() > 1 or not (column < 0).all()}
    if not numbers:
        return []
    values = pd.concat(numbers, names=["analyte"]).reset_index(level="analyte", name="number")
    counts = values.loc[values["number"] < 0, "number"].value_counts()
    codes = counts[counts >= MIN_RECURRENCES].sort_index()
    if 2 * codes.sum() <= counts.sum():
        if counts.empty:
            return []
        return [
            f"  # TODO: {counts.sum()} values are negative, {len(counts)} of them distinct, and no concentration is: "
            "on a log2 scale the unit is NPX or log2_expression"
        ]
    medians = values[values["number"] > 0].groupby("analyte")["number"].median()
    sides: dict[str, list[float]] = {"below": [], "above": []}
    lines = []
    for code, count in codes.items():
        analyte = values.loc[values["number"] == code, "analyte"].mode()[0]
        is_abundant = len(medians) >= MIN_ANALYTES_COMPARED and medians.get(analyte, 0) >= medians.quantile(0.9)
        side = "above" if is_abundant else "below"
        sides[side].append(float(cast(float, code)))
        occurrences = f"{code:g} occurs {count} times, most often in {in_yaml(analyte)}"
        lines.append(f"  # TODO: {occurrences}: does it mean {side} range?")
    return lines + [f"  {side}: {in_yaml(codes)}" for side, codes in sides.items() if codes]
