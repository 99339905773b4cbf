"""Answers for many patients at once: the same answers as the server's, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from features.analytes import ImmuneUnit, MeasuredValue
from features.errors import InputError
from features.landmark import BLOCKS, FeatureTable
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import ServedModel, predict

COLUMNS = ("probability", "margin", "verdict", "reasons", "contributions", "model", "simulated")
"""What `predictions` says of each candidate."""
TOP = 5
"""How many contributions a table's row names."""


def table_candidates(table: FeatureTable) -> Iterator[Candidate]:
    """Yield each row of a feature table as a candidate."""
    cohorts, days = table.rows["cohort"], table.rows["sample_day"].to_numpy(dtype=np.float64)
    candidates = frame_candidates(table.to_frame(), table.units)
    for cohort, day, candidate in zip(cohorts, days.tolist(), candidates, strict=True):
        about = table.cohorts[cohort]
        assert candidate.taxa is not None
        stool = StoolProfile(
            candidate.taxa.values, "proportions", about["profiler"], None if math.isnan(day) else day, about["clock"]
        )
        yield Candidate(candidate.clinical, stool, candidate.immune)


def frame_candidates(frame: pd.DataFrame, units: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield each row of a frame whose columns are named `block:name` as a candidate.

    Parameters
    ----------
    frame : pandas.DataFrame
        Taxa as proportions, immune measurements in `units` with -inf and inf for beyond an unstated limit.
    units : mapping of str to str
        Unit of each immune measurement.

    Raises
    ------
    InputError
        A cell of a block is no number.
    """
    columns: dict[str, list[str]] = {block: [] for block in BLOCKS}
    for column in map(str, frame.columns):
        block, _, name = column.partition(":")
        if block in columns and name:
            columns[block].append(name)
    named = {block: [f"{block}:{name}" for name in names] for block, names in columns.items()}
    try:
        values = {block: frame[names].to_numpy(dtype=np.float64) for block, names in named.items()}
    except (TypeError, ValueError):
        raise _not_a_number(frame[[name for names in named.values() for name in names]]) from None
    for i in range(len(frame)):
        yield numbers_candidate(
            *(dict(zip(columns[block], values[block][i].tolist(), strict=True)) for block in BLOCKS), units=units
        )


def numbers_candidate(
    taxa: Mapping[str, float], immune: Mapping[str, float], clinical: Mapping[str, float], *, units: Mapping[str, str]
) -> Candidate:
    """Return a candidate from each block's numbers, named as a feature table names them; NaN is not measured."""
    # NaN compares false; what is negative stays, to be refused.
    found = {name: value for name, value in taxa.items() if abs(value) > 0}
    return Candidate(
        clinical=_clinical(clinical),
        taxa=StoolProfile(found, "proportions") if found else None,
        immune=tuple(_measurement(name, value, units) for name, value in immune.items() if not math.isnan(value)),
    )


def predictions(served: ServedModel, candidates: Iterable[Candidate]) -> pd.DataFrame:
    """Return one row of `COLUMNS` a candidate; of the contributions the largest.

    Raises
    ------
    InputError
        A candidate cannot be read; it is named by its place, counted from 1.
    """
    rows = []
    for i, candidate in enumerate(candidates, start=1):
        try:
            said = predict([served], candidate)
        except InputError as error:
            raise InputError(f"candidate {i}: {error}") from error
        explanation = said["explanation"]
        top = [] if explanation is None else sorted(explanation["contributions"], key=lambda c: -abs(c["shap"]))[:TOP]
        rows.append(
            (
                math.nan if said["probability"] is None else said["probability"],
                math.nan if explanation is None else explanation["value"],
                said["trust"]["verdict"],
                "; ".join(said["trust"]["reasons"]),
                "; ".join(f"{c['feature']} {c['shap']:+.3f}" for c in top),
                f"{served.name}/{served.version}",
                said["simulated"],
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _not_a_number(frame: pd.DataFrame) -> InputError:
    for name, column in frame.items():
        strange = (pd.to_numeric(column, errors="coerce").isna() & column.notna()).to_numpy()
        if strange.any():
            row = int(strange.argmax())
            return InputError(
                f"candidate {row + 1}, column {name!r}: {column.iloc[row]!r} is no number; give a number, or nothing "
                "where it was not measured"
            )
    return InputError("a column of measurements does not hold numbers")


def _clinical(values: Mapping[str, float]) -> dict[str, float | str | bool | None]:
    fields: dict[str, float | str | bool | None] = {}
    for name, value in values.items():
        column, _, level = name.partition("=")
        if not level and not math.isnan(value):
            fields[column] = value
        elif value == 1:
            fields[column] = level
    return fields


def _measurement(name: str, value: float, units: Mapping[str, str]) -> Measurement:
    # A transcript that the model does not know must not pass for the protein of its name.
    unknown = "log2_expression" if name.endswith(" mRNA") else "unstated"
    unit: ImmuneUnit = units.get(name, unknown)  # type: ignore[assignment]
    side = "" if math.isfinite(value) else "below" if value < 0 else "above"
    reading = MeasuredValue(value if math.isfinite(value) else math.nan, side)  # type: ignore[arg-type]
    return Measurement(name.removesuffix(" mRNA") if unit == "log2_expression" else name, reading, unit)
