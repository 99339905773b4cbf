"""The course of a trial: transplants, cycles, assessments, medications and measures, dated on the cohort's clock.

It describes what happened, and none of it becomes a feature: most of it comes after the landmark, and some of it, such
as steroids, because of the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from features.days import DayRule
from features.manifest import (
    Assessments,
    CoursePart,
    Cycles,
    DayColumn,
    Lesions,
    LongMeasures,
    Medications,
    Transplants,
    TrialCourse,
    WideMeasures,
    day_column,
)
from features.tables.text import TextTable, read_text_table


def _empty(**kinds: str) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in {"patient": "str", **kinds}.items()})


@dataclass(frozen=True)
class Course:
    """The treatments, assessments and measures of a cohort's patients over time.

    A frame without rows is not reported. Rows are sorted by day. Missing text is "", a missing number NaN.

    Attributes
    ----------
    transplants : pandas.DataFrame
        `patient`, `day`, `donor` (the subject's name), `batch`, `dose`, `unit`, `route`, `preparation` of the bowel.
    cycles : pandas.DataFrame
        `patient`, `day`, `drug`.
    assessments : pandas.DataFrame
        `patient`, `day`, `response` ("CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE" or ""), `sum_mm` (of the target
        lesions' diameters).
    lesions : pandas.DataFrame
        `patient`, `day`, `lesion` (its number or name), `site`, `diameter_mm`.
    medications : pandas.DataFrame
        `patient`, `name`, `kind` ("antibiotic", "steroid", "ppi" or "other"), `start`, `end`; a day that is NaN is
        unknown, or the medication continues.
    measures : pandas.DataFrame
        `patient`, `day`, `name`, `value`, `unit`: weight, albumin and other measures over time. No value is NaN.
    """

    transplants: pd.DataFrame = field(
        default_factory=partial(
            _empty, day="float", donor="str", batch="str", dose="float", unit="str", route="str", preparation="str"
        )
    )
    cycles: pd.DataFrame = field(default_factory=partial(_empty, day="float", drug="str"))
    assessments: pd.DataFrame = field(default_factory=partial(_empty, day="float", response="str", sum_mm="float"))
    lesions: pd.DataFrame = field(
        default_factory=partial(_empty, day="float", lesion="str", site="str", diameter_mm="float")
    )
    medications: pd.DataFrame = field(
        default_factory=partial(_empty, name="str", kind="str", start="float", end="float")
    )
    measures: pd.DataFrame = field(default_factory=partial(_empty, day="float", name="str", value="float", unit="str"))


def read_course(
    course: TrialCourse, paths: Mapping[str, Path], patients: Set[str], sheet: tuple[TextTable, str] | None = None
) -> Course:
    """Read every table of the course that a manifest names.

    Parameters
    ----------
    course : TrialCourse
        The manifest's part.
    paths : mapping of str to Path
        Where each file named by the manifest lies.
    patients : set of str
        The cohort's patients.
    sheet : tuple of TextTable and str, optional
        The patients' sheet and its column of the patient, which may hold the dates of day 0.

    Raises
    ------
    FileError
        A patient is not one of the cohort's, a day or value is no number, the manifest does not explain a word, an end
        precedes its start, a diameter or a sum of them is negative, a lesion has no name or two sites, one measure has
        two units, or a row is a duplicate: a second assessment, measure or size of a lesion of one day, or a second
        dose of one drug on one day.
    """
    tables: dict[str, pd.DataFrame] = {}
    for name, part in course:
        if part is None:
            continue
        table = read_text_table(paths[part.file], may_be_empty=True).keep_rows(part.keep_rows)
        rows = _Rows(table, part, patients, f"course.{name}", sheet)
        match part:
            case Transplants():
                tables[name] = _transplants(rows, part)
                rows.refuse_duplicates()
            case Cycles():
                tables[name] = _dated(rows, part.day, drug=rows.text(part.drug))
                rows.refuse_duplicates(day_column(part.day), part.drug)
            case Assessments():
                tables[name] = _assessments(rows, part)
                rows.refuse_duplicates(day_column(part.day))
            case Lesions():
                tables[name] = _lesions(rows, part)
                rows.refuse_duplicates(day_column(part.day), part.lesion)
            case Medications():
                tables[name] = _medications(rows, part)
                rows.refuse_duplicates()
            case LongMeasures():
                tables[name] = _long_measures(rows, part)
                rows.refuse_duplicates(day_column(part.day), part.name)
            case WideMeasures():
                tables[name] = _wide_measures(rows, part)
                rows.refuse_duplicates(day_column(part.day))
    return Course(**tables)


@dataclass(frozen=True)
class _Rows:
    """The table of one part; missing cells are "" or NaN, and so is a column that the manifest does not name."""

    table: TextTable
    part: CoursePart
    patients: Set[str]
    key: str
    sheet: tuple[TextTable, str] | None

    def patient(self) -> pd.Series[str]:
        names = self.table.column(self.part.patient)
        is_unknown = (~names.isin(self.patients)).to_numpy()
        if is_unknown.any():
            position = int(is_unknown.argmax())
            raise self.table.error(
                f"patient {names.iloc[position]!r} is not one of the cohort's {len(self.patients)}; correct the name, "
                "or list the patient",
                self.part.patient,
                position,
            )
        return names

    def refuse_duplicates(self, *key: str | None) -> None:
        """Refuse a second row of one patient that agrees in these columns, or in all columns where none is named."""
        columns = [column for column in key if column is not None]
        is_duplicate = self.table.frame.duplicated([self.part.patient, *columns] if columns else None).to_numpy()
        if is_duplicate.any():
            position = int(is_duplicate.argmax())
            agreement = " and ".join(repr(column) for column in columns) or "every column"
            raise self.table.error(
                f"patient {self.patient().iloc[position]!r} has an earlier row that is the same in {agreement}; "
                "expected one row, so join the two or remove one",
                columns[-1] if columns else self.part.patient,
                position,
            )

    def text(self, column: str | None) -> pd.Series[str]:
        if column is None:
            return pd.Series("", index=self.table.frame.index, dtype="str")
        text = self.table.column(column)
        return text.mask(text.isin(self.part.missing), "")

    def numbers(self, column: str | None) -> pd.Series[float]:
        if column is None:
            return pd.Series(np.nan, index=self.table.frame.index)
        return self.table.numbers(column, self.part.missing)

    def days(self, rule: DayColumn | None, name: str, *, may_lack: bool = False) -> pd.Series[float]:
        """Return the days of a key of the part, such as `start`; NaN where they may be missing and are."""
        if rule is None or isinstance(rule, str):
            return self.numbers(rule) if may_lack or rule is None else self.table.numbers(rule, ())
        is_missing = self.text(rule.date) == "" if may_lack else pd.Series(False, index=self.table.frame.index)
        return DayRule(f"{self.key}.{name}", rule, self.part.patient).days(self.table, is_missing, self.sheet)

    def decode(self, column: str, meanings: Mapping[str, str], manifest_key: str) -> pd.Series[str]:
        codes = self.table.decode(column, meanings, f"course.{manifest_key}.values")
        return pd.Series(codes, index=self.table.frame.index, dtype="str")


def _dated(rows: _Rows, day: DayColumn, **columns: pd.Series[float] | pd.Series[str] | pd.Series[bool]) -> pd.DataFrame:
    frame = pd.DataFrame({"patient": rows.patient(), "day": rows.days(day, "day"), **columns})
    return frame.sort_values("day", kind="stable", ignore_index=True)


def _transplants(rows: _Rows, part: Transplants) -> pd.DataFrame:
    return _dated(
        rows,
        part.day,
        donor=rows.text(part.donor),
        batch=rows.text(part.batch),
        dose=rows.numbers(part.dose),
        unit=rows.text(part.unit),
        route=rows.text(part.route),
        preparation=rows.text(part.preparation),
    )


def _assessments(rows: _Rows, part: Assessments) -> pd.DataFrame:
    sum_mm, response = rows.numbers(part.sum_mm), rows.text(None)
    is_negative = (sum_mm < 0).to_numpy()
    if part.sum_mm is not None and is_negative.any():
        position = int(is_negative.argmax())
        raise rows.table.error(
            f"expected the sum of the target lesions' diameters in mm, got {sum_mm.iloc[position]:g}; give the sum, "
            "not a change from baseline",
            part.sum_mm,
            position,
        )
    if part.response is not None:
        meanings = {**dict.fromkeys(part.missing, ""), **part.response.values}
        response = rows.decode(part.response.column, meanings, "assessments.response")
    return _dated(rows, part.day, response=response, sum_mm=sum_mm)


def _lesions(rows: _Rows, part: Lesions) -> pd.DataFrame:
    lesion, site, diameter_mm = rows.text(part.lesion), rows.text(part.site), rows.numbers(part.diameter_mm)
    first_site = site.groupby([rows.patient(), lesion]).transform("first")
    for column, is_wrong, expectation in (
        (part.lesion, lesion == "", "the lesion's number or name; give one to each lesion"),
        (part.site, site == "", "the lesion's site; name it, or write 'unknown'"),
        (part.site, site != first_site, "the site of this lesion's first row; a lesion elsewhere has another number"),
        (part.diameter_mm, diameter_mm < 0, "the lesion's diameter in mm, and not a change of it"),
    ):
        if column is not None and is_wrong.any():
            position = int(is_wrong.to_numpy().argmax())
            cell = rows.table.column(column).iloc[position]
            raise rows.table.error(f"expected {expectation}; got {cell!r}", column, position)
    return _dated(rows, part.day, lesion=lesion, site=site, diameter_mm=diameter_mm)


def _medications(rows: _Rows, part: Medications) -> pd.DataFrame:
    start, end = rows.days(part.start, "start", may_lack=True), rows.days(part.end, "end", may_lack=True)
    is_reversed = (end < start).to_numpy()
    if part.end is not None and is_reversed.any():
        position = int(is_reversed.argmax())
        raise rows.table.error(
            f"expected a day on or after the start, day {start.iloc[position]:g}, got {end.iloc[position]:g}",
            day_column(part.end),
            position,
        )
    kind = rows.decode(part.kind.column, part.kind.values, "medications.kind")
    frame = pd.DataFrame(
        {"patient": rows.patient(), "name": rows.text(part.name), "kind": kind, "start": start, "end": end}
    )
    return frame.sort_values("start", kind="stable", ignore_index=True)


def _long_measures(rows: _Rows, part: LongMeasures) -> pd.DataFrame:
    name, unit = rows.text(part.name), rows.text(part.unit)
    expected_unit = unit.groupby(name).transform("first")
    differs = (unit != expected_unit).to_numpy()
    if part.unit is not None and differs.any():
        position = int(differs.argmax())
        raise rows.table.error(
            f"{name.iloc[position]!r} is in {unit.iloc[position]!r} here, in {expected_unit.iloc[position]!r} above; "
            "expected one unit, so convert one of them",
            part.unit,
            position,
        )
    return _without_missing(_dated(rows, part.day, name=name, value=rows.numbers(part.value), unit=unit))


def _wide_measures(rows: _Rows, part: WideMeasures) -> pd.DataFrame:
    blank = rows.text(None)
    columns = [
        _dated(
            rows,
            part.day,
            name=blank.replace("", name),
            value=rows.numbers(measure.column),
            unit=blank.replace("", measure.unit),
        )
        for name, measure in part.columns.items()
    ]
    return _without_missing(pd.concat(columns).sort_values("day", kind="stable"))


def _without_missing(measures: pd.DataFrame) -> pd.DataFrame:
    return measures.dropna(subset="value", ignore_index=True)
