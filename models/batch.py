"""Answers for many patients at once: the same answers as the server's, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from features.analytes import ImmuneUnit, Reading
from features.landmark import BLOCKS, FeatureTable
from models.answer import Served, answer
from models.candidate import Candidate, Measurement, StoolProfile

TOP = 5
"""How many contributions a table's row names."""


def table_candidates(table: FeatureTable) -> Iterator[Candidate]:
    """Yield each row of a feature table as a candidate."""
    for row, candidate in zip(
        table.rows.itertuples(), frame_candidates(table.to_frame(), table.units), strict=True
    ):
        about = table.cohorts[row.cohort]
        day = None if math.isnan(row.sample_day) else float(row.sample_day)
        assert candidate.taxa is not None
        stool = StoolProfile(candidate.taxa.values, "proportions", about["profiler"], day, about["clock"])
        yield Candidate(candidate.clinical, stool, candidate.immune)


def frame_candidates(frame: pd.DataFrame, units: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield each row of a frame whose columns are named `block:name` as a candidate.

    Parameters
    ----------
    frame : pandas.DataFrame
        Taxa as proportions, immune measurements in `units` with -inf and inf for beyond an unstated limit.
    units : mapping of str to str
        Unit of each immune measurement.
    """
    columns: dict[str, list[str]] = {block: [] for block in BLOCKS}
    for column in map(str, frame.columns):
        block, _, name = column.partition(":")
        if block in columns and name:
            columns[block].append(name)
    values = {
        block: frame[[f"{block}:{name}" for name in names]].to_numpy(dtype=np.float64)
        for block, names in columns.items()
    }
    for i in range(len(frame)):
        yield numbers_candidate(
            *(dict(zip(columns[block], values[block][i].tolist(), strict=True)) for block in BLOCKS), units=units
        )


def numbers_candidate(
    taxa: Mapping[str, float], immune: Mapping[str, float], clinical: Mapping[str, float], *, units: Mapping[str, str]
) -> Candidate:
    """Return a candidate from each block's numbers, named as a feature table names them; NaN is not measured."""
    found = {name: value for name, value in taxa.items() if value > 0}
    return Candidate(
        clinical=_clinical(clinical),
        taxa=StoolProfile(found, "proportions") if found else None,
        immune=tuple(_measurement(name, value, units) for name, value in immune.items() if not math.isnan(value)),
    )


def predictions(served: Served, candidates: Iterable[Candidate]) -> pd.DataFrame:
    """Return one row a candidate: `probability`, `margin`, `verdict`, `reasons`, and the largest contributions."""
    rows = []
    for candidate in candidates:
        said = answer(served, candidate)
        explanation = said["explanation"]
        top = [] if explanation is None else sorted(explanation["contributions"], key=lambda c: -abs(c["shap"]))[:TOP]
        rows.append(
            {
                "probability": math.nan if said["probability"] is None else said["probability"],
                "margin": math.nan if explanation is None else explanation["value"],
                "verdict": said["trust"]["verdict"],
                "reasons": "; ".join(said["trust"]["reasons"]),
                "contributions": "; ".join(f"{c['feature']} {c['shap']:+.3f}" for c in top),
                "model": f"{served.name}/{served.version}",
                "simulated": said["simulated"],
            }
        )
    return pd.DataFrame(rows)


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
    unit: ImmuneUnit = units.get(name, "unstated")  # type: ignore[assignment]
    side = "" if math.isfinite(value) else "below" if value < 0 else "above"
    reading = Reading(value if math.isfinite(value) else math.nan, side)  # type: ignore[arg-type]
    return Measurement(name.removesuffix(" mRNA"), reading, unit)
