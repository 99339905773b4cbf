"""The course of a trial: transplants, cycles, assessments, medications and measures, dated on the cohort's clock.

It is for looking at what happened. None of it becomes a feature: most of it comes after the landmark, and much of it,
such as steroids, because of the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.manifest import (
    Assessments,
    CoursePart,
    Cycles,
    LongMeasures,
    Medications,
    Transplants,
    TrialCourse,
    WideMeasures,
)
from features.tables.text import TextTable, read_text_table


def _empty(**kinds: str) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in {"patient": "str", **kinds}.items()})


@dataclass(frozen=True)
class Course:
    """What was done to a cohort's patients and found in them over time.

    A frame has no rows where the cohort does not tell. Rows stand by day. Text that is missing is "", a number NaN.

    Attributes
    ----------
    transplants : pandas.DataFrame
        `patient`, `day`, `donor` (the subject's name), `batch`, `dose`, `unit`, `route`, `preparation` of the bowel.
    cycles : pandas.DataFrame
        `patient`, `day`, `drug`.
    assessments : pandas.DataFrame
        `patient`, `day`, `response` ("CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE" or ""), `sum_mm` (of the target
        lesions' diameters).
    medications : pandas.DataFrame
        `patient`, `name`, `kind` ("antibiotic", "steroid", "ppi" or "other"), `start`, `end`; a day that is NaN is
        unknown, or the medication goes on.
    measures : pandas.DataFrame
        `patient`, `day`, `name`, `value`, `unit`: weight, albumin and whatever else was measured over time. No value is
        NaN.
    """

    transplants: pd.DataFrame = field(
        default_factory=partial(
            _empty, day="float", donor="str", batch="str", dose="float", unit="str", route="str", preparation="str"
        )
    )
    cycles: pd.DataFrame = field(default_factory=partial(_empty, day="float", drug="str"))
    assessments: pd.DataFrame = field(default_factory=partial(_empty, day="float", response="str", sum_mm="float"))
    medications: pd.DataFrame = field(
        default_factory=partial(_empty, name="str", kind="str", start="float", end="float")
    )
    measures: pd.DataFrame = field(default_factory=partial(_empty, day="float", name="str", value="float", unit="str"))


def read_course(said: TrialCourse, paths: Mapping[str, Path], patients: Set[str]) -> Course:
    """Read every table of the course that a manifest names.

    Parameters
    ----------
    said : TrialCourse
        The manifest's part.
    paths : mapping of str to Path
        Where each file named by the manifest lies.
    patients : set of str
        The cohort's patients.

    Raises
    ------
    FileError
        A patient who is not the cohort's, a day or value that is no number, a word that the manifest does not explain,
        an end before its start, a sum of diameters below 0, one measure in two units, or a second row of what
        there can be one of: an assessment or a measure of one day, a dose of one drug on one day.
    """
    read: dict[str, pd.DataFrame] = {}
    for name, part in said:
        if part is None:
            continue
        rows = _Rows(read_text_table(paths[part.file], may_be_empty=True), part, patients)
        match part:
            case Transplants():
                read[name] = _transplants(rows, part)
                rows.once()
            case Cycles():
                read[name] = _dated(rows, part.day, drug=rows.text(part.drug))
                rows.once(part.day, part.drug)
            case Assessments():
                read[name] = _assessments(rows, part)
                rows.once(part.day)
            case Medications():
                read[name] = _medications(rows, part)
                rows.once()
            case LongMeasures():
                read[name] = _long_measures(rows, part)
                rows.once(part.day, part.name)
            case WideMeasures():
                read[name] = _wide_measures(rows, part)
                rows.once(part.day)
    return Course(**read)


@dataclass(frozen=True)
class _Rows:
    """A part's sheet, whose missing cells are empty text or NaN, and so is a column that the manifest does not name."""

    sheet: TextTable
    part: CoursePart
    patients: Set[str]

    def patient(self) -> pd.Series[str]:
        names = self.sheet.column(self.part.patient)
        known = names.isin(self.patients)
        if not known.all():
            at = int((~known).to_numpy().argmax())
            raise self.sheet.error(
                f"patient {names.iloc[at]!r} is not one of the cohort's {len(self.patients)}; correct the name, or "
                "list the patient",
                self.part.patient,
                at,
            )
        return names

    def once(self, *columns: str | None) -> None:
        """Refuse a second row of one patient that is the same in these columns; in all, where none is named."""
        said = [column for column in columns if column is not None]
        again = self.sheet.frame.duplicated([self.part.patient, *said] if said else None)
        if again.any():
            at = int(again.to_numpy().argmax())
            same = " and ".join(repr(column) for column in said) or "every column"
            raise self.sheet.error(
                f"patient {self.patient().iloc[at]!r} has an earlier row that is the same in {same}; expected one row, "
                "so join the two or remove one",
                said[-1] if said else self.part.patient,
                at,
            )

    def text(self, column: str | None) -> pd.Series[str]:
        if column is None:
            return pd.Series("", index=self.sheet.frame.index, dtype="str")
        text = self.sheet.column(column)
        return text.mask(text.isin(self.part.missing), "")

    def numbers(self, column: str | None) -> pd.Series[float]:
        if column is None:
            return pd.Series(np.nan, index=self.sheet.frame.index)
        return self.sheet.numbers(column, self.part.missing)

    def decode(self, column: str, meaning: Mapping[str, str], where: str) -> pd.Series[str]:
        said = self.sheet.decode(column, meaning, f"course.{where}.values")
        return pd.Series(said, index=self.sheet.frame.index, dtype="str")


def _dated(rows: _Rows, day: str, **columns: pd.Series[Any]) -> pd.DataFrame:
    frame = pd.DataFrame({"patient": rows.patient(), "day": rows.sheet.numbers(day, ()), **columns})
    return frame.sort_values("day", kind="stable", ignore_index=True)


def _transplants(rows: _Rows, said: Transplants) -> pd.DataFrame:
    return _dated(
        rows,
        said.day,
        donor=rows.text(said.donor),
        batch=rows.text(said.batch),
        dose=rows.numbers(said.dose),
        unit=rows.text(said.unit),
        route=rows.text(said.route),
        preparation=rows.text(said.preparation),
    )


def _assessments(rows: _Rows, said: Assessments) -> pd.DataFrame:
    total, response = rows.numbers(said.sum_mm), rows.text(None)
    if said.sum_mm is not None and (total < 0).any():
        at = int((total < 0).to_numpy().argmax())
        raise rows.sheet.error(
            f"expected the sum of the target lesions' diameters in mm, got {total.iloc[at]:g}; a change from baseline "
            "is no sum",
            said.sum_mm,
            at,
        )
    if said.response is not None:
        meaning = {**dict.fromkeys(said.missing, ""), **said.response.values}
        response = rows.decode(said.response.column, meaning, "assessments.response")
    return _dated(rows, said.day, response=response, sum_mm=total)


def _medications(rows: _Rows, said: Medications) -> pd.DataFrame:
    start, end = rows.numbers(said.start), rows.numbers(said.end)
    if said.end is not None and (end < start).any():
        at = int((end < start).to_numpy().argmax())
        raise rows.sheet.error(
            f"expected a day from the start on, which is {start.iloc[at]:g}, got {end.iloc[at]:g}", said.end, at
        )
    kind = rows.decode(said.kind.column, said.kind.values, "medications.kind")
    frame = pd.DataFrame(
        {"patient": rows.patient(), "name": rows.text(said.name), "kind": kind, "start": start, "end": end}
    )
    return frame.sort_values("start", kind="stable", ignore_index=True)


def _long_measures(rows: _Rows, said: LongMeasures) -> pd.DataFrame:
    name, unit = rows.text(said.name), rows.text(said.unit)
    first = unit.groupby(name).transform("first")
    if said.unit is not None and (unit != first).any():
        at = int((unit != first).to_numpy().argmax())
        raise rows.sheet.error(
            f"{name.iloc[at]!r} is in {unit.iloc[at]!r} here and in {first.iloc[at]!r} above; expected one unit, so "
            "convert one of them",
            said.unit,
            at,
        )
    return _measured(_dated(rows, said.day, name=name, value=rows.numbers(said.value), unit=unit))


def _wide_measures(rows: _Rows, said: WideMeasures) -> pd.DataFrame:
    blank = rows.text(None)
    columns = [
        _dated(
            rows,
            said.day,
            name=blank.replace("", name),
            value=rows.numbers(measure.column),
            unit=blank.replace("", measure.unit),
        )
        for name, measure in said.columns.items()
    ]
    return _measured(pd.concat(columns).sort_values("day", kind="stable"))


def _measured(long: pd.DataFrame) -> pd.DataFrame:
    return long.dropna(subset="value", ignore_index=True)
