"""Predictions for many patients at once, as a table: the same predictions as the server's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.columns import BLOCKS, Column
from features.donors import screened_donors, stool_proportions
from features.errors import InputError
from features.feature_table import FeatureTable
from features.measured_values import MeasuredValue
from features.population import POPULATION_FIELDS, population_of
from features.units import ImmuneUnit
from models.donors import DonorStool
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import ServedModel, predict
from models.prediction_rows import COLUMNS, prediction_row


def table_candidates(table: FeatureTable) -> Iterator[Candidate]:
    """Yield each row of a feature table as a candidate as of the row's landmark."""
    rows, blocks = table.rows, [table.block(name) for name in BLOCKS]
    days = rows["sample_day"].to_numpy(dtype=np.float64)
    landmarks = rows["landmark"].astype(float) if "landmark" in rows else [None] * len(table)
    populations = (
        rows[[field for field in POPULATION_FIELDS if field in rows]].fillna("").astype(str).to_dict("records")
    )
    columns = zip(rows["cohort"], days.tolist(), landmarks, populations, strict=True)
    for i, (cohort, day, landmark, population) in enumerate(columns):
        numbers = (dict(zip(block.names, block.values[i].tolist(), strict=True)) for block in blocks)
        candidate, context = numbers_candidate(*numbers, units=table.units), table.cohorts[cohort]
        assert candidate.taxa is not None
        profile = StoolProfile(
            candidate.taxa.values,
            "proportions",
            context.profiler,
            None if math.isnan(day) else day,
            context.clock,
        )
        yield replace(
            candidate,
            taxa=profile,
            immune=_with_limits(candidate.immune, table, i),
            population=population_of(**{str(field): value for field, value in population.items()}),
            day=landmark,
        )


def _with_limits(measurements: Sequence[Measurement], table: FeatureTable, row: int) -> tuple[Measurement, ...]:
    """Return a row's measurements, those beyond a reported limit with its side instead of a number."""
    if table.limits is None:
        return tuple(measurements)
    is_measured = ~np.isnan(table.immune.values[row])
    lower, upper = (limits[row, is_measured].tolist() for limits in (table.limits.lower, table.limits.upper))
    return tuple(
        replace(measurement, reading=_beyond(measurement.reading, low, high))
        for measurement, low, high in zip(measurements, lower, upper, strict=True)
    )


def _beyond(reading: MeasuredValue, low: float, high: float) -> MeasuredValue:
    if not math.isnan(low):
        return MeasuredValue(math.nan, "below", low)
    return reading if math.isnan(high) else MeasuredValue(math.nan, "above", high)


def cohort_donors(cohort: Cohort) -> tuple[DonorStool, ...]:
    """Return a cohort's donors, each with the mean of all samples of the donor's stool."""
    proportions = stool_proportions(cohort)
    donors = []
    for donor in screened_donors(cohort):
        samples = proportions[list(donor.samples)]
        samples = samples[np.isfinite(samples).all(axis=1)]
        mean = samples.mean(axis=0) if len(samples) else np.zeros(len(cohort.taxa.taxa))
        values = {cohort.taxa.taxa[i]: float(mean[i]) for i in np.flatnonzero(mean).tolist()}
        profile = StoolProfile(values, "proportions", cohort.taxa.profiler)
        exclusion = donor.exclusion if values else "no taxon was detected in the donor's stool"
        donors.append(DonorStool(donor.name, profile, exclusion))
    return tuple(donors)


def numbers_candidate(
    taxa: Mapping[str, float],
    immune: Mapping[str, float],
    clinical: Mapping[str, float],
    donor: Mapping[str, float] | None = None,
    over_time: Mapping[str, float] | None = None,
    *,
    units: Mapping[str, str],
) -> Candidate:
    """Return a candidate from numbers by block, named as in a feature table; NaN is not measured."""
    # NaN compares false; a negative abundance stays, so that it is refused later.
    detected = {name: value for name, value in taxa.items() if abs(value) > 0}
    return Candidate(
        clinical=_clinical(clinical),
        taxa=StoolProfile(detected, "proportions") if detected else None,
        immune=tuple(_measurement(name, value, units) for name, value in immune.items() if not math.isnan(value)),
        donor={name: value for name, value in (donor or {}).items() if not math.isnan(value)},
        over_time={name: value for name, value in (over_time or {}).items() if not math.isnan(value)},
    )


def predictions(served: ServedModel, candidates: Iterable[Candidate]) -> pd.DataFrame:
    """Return a table of predictions, one row of `COLUMNS` for each candidate, with its `TOP` largest contributions.

    Raises
    ------
    InputError
        A candidate cannot be read; the error counts candidates from 1.
    """
    rows = []
    for i, candidate in enumerate(candidates, start=1):
        try:
            rows.append(prediction_row(predict([served], candidate)))
        except InputError as error:
            raise InputError(f"candidate {i}: {error}") from error
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # Where the model abstains there is no number.
    return table.astype({"probability": np.float64, "margin": np.float64})


def _clinical(values: Mapping[str, float]) -> dict[str, float | str | bool | None]:
    fields: dict[str, float | str | bool | None] = {}
    for name, value in values.items():
        column = Column.from_name("clinical", name)
        if not column.level and not math.isnan(value):
            fields[column.field] = value
        elif value == 1:
            fields[column.field] = column.level
    return fields


def _measurement(name: str, value: float, units: Mapping[str, str]) -> Measurement:
    # A transcript that the model does not know must not pass for the protein of its name.
    column = Column.from_name("immune", name, units.get(name, ""))
    unit: ImmuneUnit = column.unit or "unstated"  # type: ignore[assignment]
    side = "" if math.isfinite(value) else "below" if value < 0 else "above"
    reading = MeasuredValue(value if math.isfinite(value) else math.nan, side)  # type: ignore[arg-type]
    return Measurement(column.field, reading, unit)
