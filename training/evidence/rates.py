"""Outcome rates: of the training centres, and of held-out patients by predicted probability."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from features.arrays import Names, Vector
from models.evidence import CentreRate, EventRate, OutcomeRates, ProbabilityGroup
from models.rates import event_rate
from training.evidence.disclosure import FEWEST
from training.statistics.meta_analysis import rate_random_effects

MOST_GROUPS = 5
"""Largest number of groups of rising probability."""


def outcome_rates(y: Vector, centres: Names) -> OutcomeRates:
    """Return the outcome rate in each centre, in all patients, and what to expect of a new centre.

    The overall rate counts patients as they are, with an exact interval, so that it can be checked by hand. As an
    estimate for another hospital its interval is too narrow, since hospitals differ by more than chance; the
    random-effects summary tells by how much.

    Parameters
    ----------
    y : ndarray, (n_rows,)
        Outcomes, 0 or 1.
    centres : ndarray of str, (n_rows,)
    """
    outcomes = {name: y[centres == name] for name in dict.fromkeys(centres.tolist())}
    events = np.array([values.sum() for values in outcomes.values()], dtype=np.float64)
    patients = np.array([len(values) for values in outcomes.values()], dtype=np.float64)
    return OutcomeRates(
        centres=tuple(CentreRate(name, count_outcomes(values)) for name, values in outcomes.items()),
        overall=count_outcomes(y),
        random_effects=rate_random_effects(events, patients),
    )


def count_outcomes(y: Vector) -> EventRate:
    """Return the rate of an outcome, (n_rows,)."""
    return event_rate(int(y.sum()), len(y))


def outcomes_by_probability(y: Vector, probability: Vector) -> tuple[ProbabilityGroup, ...]:
    """Return the outcomes of held-out patients in groups of rising probability.

    There are at most `MOST_GROUPS` groups, of about equal size and of at least `FEWEST` patients. Equal probabilities
    stay together, so there may be fewer. Below twice `FEWEST` patients there is none. Together the groups cover 0 to 1.

    Parameters
    ----------
    y, probability : ndarray, (n_rows,)
    """
    n = len(y)
    if n < 2 * FEWEST:
        return ()
    order = np.argsort(probability, kind="stable")
    p, events = probability[order], y[order]
    # A group can only start where the probability rises.
    starts = np.flatnonzero(np.diff(p, prepend=-np.inf) > 0)
    for groups in range(min(MOST_GROUPS, n // FEWEST), 0, -1):
        nearest = [starts[np.abs(starts - n * i / groups).argmin()] for i in range(1, groups)]
        cuts = np.unique([0, *nearest, n])
        if np.diff(cuts).min() >= FEWEST:
            break
    ends = [0.0, *p[cuts[1:-1]].tolist(), 1.0]
    return tuple(
        ProbabilityGroup(ends[i], ends[i + 1], count_outcomes(events[start:stop]), float(p[start:stop].mean()))
        for i, (start, stop) in enumerate(pairwise(cuts))
    )
