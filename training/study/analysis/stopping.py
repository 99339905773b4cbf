"""A Bayesian stopping boundary for a data safety board, and its operating characteristics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from features.arrays import Vector

LIMIT = 0.3
"""The share of patients with an event of grade 3 or above that a board would not accept."""
CERTAINTY = 0.9
"""Posterior probability of a rate above the limit that stops the trial."""
PLANNED = 20
"""Patients up to which the boundary is shown, if the trial has fewer."""
TRUE_RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Boundary:
    """A stopping rule, applied after each patient.

    Attributes
    ----------
    limit, certainty : float
        Stop once the rate is above `limit` with at least this posterior probability.
    prior : (float, float)
        Parameters of the beta distribution of the rate.
    stop_at : ndarray of int, (n_patients,)
        The fewest patients with an event that stop the trial among 1, 2 ... patients; above their number where none do.
    """

    limit: float
    certainty: float
    prior: tuple[float, float]
    stop_at: NDArray[np.int64]

    @property
    def n_patients(self) -> int:
        """The number of patients for which the boundary is computed."""
        return self.stop_at.size

    def steps(self) -> list[tuple[int, int, int]]:
        """Return (events that stop the trial, first patient, last patient) for each stretch of one boundary."""
        starts = [0, *(np.flatnonzero(np.diff(self.stop_at)) + 1)]
        steps = []
        for start, end in zip(starts, [*starts[1:], self.n_patients], strict=True):
            events = int(self.stop_at[start])
            if events <= end:
                steps.append((events, max(int(start) + 1, events), int(end)))
        return steps


@dataclass(frozen=True)
class StoppingResult:
    """A trial against its stopping boundary.

    Attributes
    ----------
    boundary : Boundary
    n, events : int
        The trial's patients, and those with an event of grade 3 or above.
    stop_at : int
        The patients with an event that stop the trial at its last patient; above n where none do.
    posterior : float
        Posterior probability that the rate is above the limit.
    operating : pandas.DataFrame
        `operating_characteristics` at `TRUE_RATES` and at the limit.
    stopped_at_limit : float
        Probability to stop where the true rate is the limit.
    """

    boundary: Boundary
    n: int
    events: int
    stop_at: int
    posterior: float
    operating: pd.DataFrame
    stopped_at_limit: float


def stopping_result(events: pd.DataFrame, n: int, limit: float = LIMIT) -> StoppingResult:
    """Return the stopping boundary of events of grade 3 or above, and the state of a trial of `n` patients.

    Parameters
    ----------
    events : pandas.DataFrame
        One row an event: `patient`, `grade`.
    n : int
    limit : float
        The share of patients with such an event that a data safety board would not accept.
    """
    severe = int(events.loc[events["grade"] >= 3, "patient"].nunique())
    boundary = stopping_boundary(max(n, PLANNED), limit)
    operating = operating_characteristics(boundary, np.union1d(TRUE_RATES, limit))
    at_limit = operating.loc[np.isclose(operating["true rate"], limit), "stopped"].iloc[0]
    posterior = float(above_limit(severe, n, limit))
    return StoppingResult(boundary, n, severe, int(boundary.stop_at[n - 1]), posterior, operating, float(at_limit))


def stopping_boundary(n: int, limit: float, certainty: float = CERTAINTY) -> Boundary:
    """Return a Bayesian stopping boundary for up to `n` patients.

    The prior, Beta(limit, 1 - limit), has its mean at the limit and the weight of one patient.

    References
    ----------
    Thall and Simon 1994, Biometrics 50:337-349; Geller, Follmann, Leifer and Carter 2003, in Advances in Clinical Trial
    Biostatistics.
    """
    patients = np.arange(1, n + 1)[:, None]
    events = np.arange(n + 2)
    posterior = above_limit(np.minimum(events, patients), patients, limit)
    stops = (posterior >= certainty) & (events <= patients)
    stop_at = np.where(stops.any(axis=1), stops.argmax(axis=1), patients[:, 0] + 1)
    return Boundary(limit, certainty, (limit, 1 - limit), stop_at)


def above_limit(events: NDArray[np.int64] | int, n: NDArray[np.int64] | int, limit: float = LIMIT) -> Vector:
    """Return the posterior probability that the rate is above the limit, under the prior of `stopping_boundary`."""
    return np.asarray(beta.sf(limit, limit + events, 1 - limit + n - events))


def operating_characteristics(boundary: Boundary, rates: Vector) -> pd.DataFrame:
    """Return the exact operating characteristics of a boundary at true rates, by recursion over patients.

    Returns
    -------
    pandas.DataFrame
        `true rate`; `stopped`, the probability to stop by the last patient; on average, `patients` treated and those
        `with event`.
    """
    rows = []
    for rate in rates:
        # Probability of each number of events while the trial goes on.
        continuing, stopped, treated = np.array([1.0]), 0.0, 0.0
        for stop_at in boundary.stop_at:
            treated += continuing.sum()
            continuing = np.append(continuing, 0) * (1 - rate) + np.append(0, continuing) * rate
            stopped += continuing[stop_at:].sum()
            continuing[stop_at:] = 0
        rows.append({"true rate": rate, "stopped": stopped, "patients": treated, "with event": treated * rate})
    return pd.DataFrame(rows)
