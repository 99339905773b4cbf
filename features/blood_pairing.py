"""Pairing blood with stool: the blood draw that goes with each row of a feature table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.arrays import Matrix, Positions, Vector
from features.cohort import Cohort
from features.columns import Column
from features.feature_table import Block, CensoredLimits
from features.measured_values import CensoredPolicy
from features.tables.text import finite_numbers


@dataclass(frozen=True)
class PairedBlood:
    """The blood draw that goes with each row, where there is one.

    Attributes
    ----------
    draws : pandas.DataFrame, (n_rows, 3)
        `draw`, the key of the blood draw in its table; `draw_day`; `gap_days`, from the stool sample to the draw.
    immune : Block
        The measurements, (n_rows, n_analytes); NaN where no draw goes with the row.
    limits : CensoredLimits
        The limits beyond which measurements lie, (n_rows, n_analytes).
    units : dict of str to str
        The unit of each measurement.
    """

    draws: pd.DataFrame
    immune: Block
    limits: CensoredLimits
    units: dict[str, str]


def pair_blood(
    cohort: Cohort,
    samples: pd.DataFrame,
    first_day: Vector,
    last_day: Vector,
    policy: CensoredPolicy,
) -> PairedBlood:
    """Find the blood draw that goes with each stool sample.

    It is of the same visit where visits are numbered, and else the nearest in time. A draw without a day may go with
    any sample.

    Parameters
    ----------
    cohort : Cohort
    samples : pandas.DataFrame, (n_rows, ...)
        `patient`, `sample_day` and `visit` of each row.
    first_day, last_day : ndarray of float64, (n_rows,)
        The days between which a draw counts for each row, both included. What blood shows later is not known yet.
    policy : {"half_limit", "limit", "missing"}
        The number for a value beyond a reported limit of quantification.
    """
    draws = pd.DataFrame({"draw": pd.Series(pd.NA, index=samples.index, dtype="str"), "draw_day": np.nan})
    draws["gap_days"] = np.nan
    table = cohort.immune
    if table is None:
        nothing = np.empty((len(samples), 0))
        return PairedBlood(draws, Block((), nothing), CensoredLimits(nothing, nothing), {})
    measurements = table.wide(policy)
    keys = measurements.index.to_frame(index=False)
    times = pd.DataFrame({"patient": keys["patient"], "day": np.nan, "visit": np.nan})
    for name in table.key[1:]:
        times[name] = finite_numbers(keys[name])
    draw_index = _nearest_draws(times, samples, first_day, last_day)
    has_draw = draw_index >= 0
    values, lower, upper = (
        _rows_at(wide, draw_index) for wide in (measurements, table.wide_limits("below"), table.wide_limits("above"))
    )
    draws.loc[has_draw, "draw"] = [_key_text(measurements.index[i]) for i in draw_index[has_draw]]
    draws.loc[has_draw, "draw_day"] = times["day"].to_numpy()[draw_index[has_draw]]
    draws["gap_days"] = draws["draw_day"] - samples["sample_day"]
    names = tuple(Column("immune", analyte, unit=table.unit).name for analyte in measurements.columns)
    return PairedBlood(draws, Block(names, values), CensoredLimits(lower, upper), dict.fromkeys(names, table.unit))


def _rows_at(wide: pd.DataFrame, positions: Positions) -> Matrix:
    """Return the rows at some positions, NaN for -1."""
    values = np.full((len(positions), wide.shape[1]), np.nan)
    values[positions >= 0] = wide.to_numpy()[positions[positions >= 0]]
    return values


def _nearest_draws(times: pd.DataFrame, samples: pd.DataFrame, first_day: Vector, last_day: Vector) -> Positions:
    """Return the position in `times` of the draw that goes with each sample, (n_rows,); -1 where none does."""
    ordered = times.sort_values(["day", "visit"])
    position, days, visits = (np.asarray(part) for part in (ordered.index, ordered["day"], ordered["visit"]))
    draws_of_patient = ordered.groupby("patient").indices
    draw_index = np.full(len(samples), -1)
    patients_and_times = zip(samples["patient"], samples["sample_day"], samples["visit"], strict=True)
    for i, (patient, day, visit) in enumerate(patients_and_times):
        draws = draws_of_patient.get(patient, np.zeros(0, dtype=np.intp))
        in_window = np.isnan(days[draws]) | ((days[draws] >= first_day[i]) & (days[draws] <= last_day[i]))
        if not np.isnan(visit):
            in_window &= np.isnan(visits[draws]) | (visits[draws] == visit)
        candidates = draws[in_window]
        if candidates.size:
            draw_index[i] = position[_nearest(candidates, days[candidates], day)]
    return draw_index


def _nearest(draws: Positions, days: Vector, day: float) -> int:
    """Return the draw nearest to a day, of draws in the order of time; the latest where days are not known."""
    distance = np.abs(days - day)
    return int(draws[-1 if np.isnan(distance).all() else np.nanargmin(distance)])


def _key_text(key: object) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
