"""Random-effects meta-analysis of AUROCs over cohorts."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import logit

from training.statistics.arrays import Matrix, Names, Vector
from training.statistics.meta_analysis import RandomEffects, from_log_odds, random_effects
from training.statistics.metrics import Estimate, auroc


def auroc_variance(area: Vector | float, events: Vector | float, others: Vector | float) -> Vector:
    """Return sampling variances of AUROCs.

    They rest on the AUROC and the two counts alone. DeLong's variance, which the patients' ranks would allow, is 0 for
    a cohort ranked without a fault and erratic for one of three events; cohorts are weighted by this.

    Parameters
    ----------
    area : ndarray, (n_cohorts,), or float
    events, others : ndarray, (n_cohorts,), or float
        Patients with the event and without.

    References
    ----------
    Newcombe 2006, method 4, Statistics in Medicine 25:559-573; Debray et al. 2019, Statistical Methods in Medical
    Research 28:2768-2786.
    """
    size = (np.asarray(events) + others) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    variance: Vector = area * (1 - area) * spread / (np.asarray(events) * others)
    return variance


def logit_auroc(area: Vector, events: Vector, others: Vector) -> tuple[Vector, Vector]:
    """Return log-odds of AUROCs and their variances, as `auroc_variance` takes its arrays.

    An AUROC of 0 or 1, whose log-odds are infinite, counts as half of one pair of patients away from it. The variance
    of log-odds grows without end towards both, so that a small cohort ranked almost without a fault weighs little.
    """
    half = 0.5 / (events * others)
    area = np.clip(area, half, 1 - half)
    return logit(area), auroc_variance(area, events, others) / (area * (1 - area)) ** 2


def cohort_aurocs(y: Vector, score: Vector | Matrix, cohorts: Names) -> dict[str, Estimate]:
    """Return each cohort's AUROC with its interval; a cohort of one class has none.

    An end of the interval is the AUROC that is just compatible with the one found, by the variance that it, not the one
    found, would have: few patients ranked without a fault do not make a narrow interval.

    References
    ----------
    Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
    """
    found = zip(*_measurable(y, score, cohorts), strict=True)
    return {
        name: Estimate(float(area), _lowest(area, *counts), 1 - _lowest(1 - area, *counts))
        for name, area, *counts in found
    }


def auroc_random_effects(y: Vector, score: Vector | Matrix, cohorts: Names) -> RandomEffects:
    """Return the random-effects AUROC, combined as log-odds; a cohort of one class is left out.

    Cohorts left out in turn share most of the patients they were predicted from. That they are not quite independent
    shows in a refitted null, not here.
    """
    _, area, events, others = _measurable(y, score, cohorts)
    return from_log_odds(random_effects(*logit_auroc(area, events, others)))


def _lowest(area: float, events: float, others: float) -> float:
    """Return the lowest AUROC whose 95% sampling interval reaches the one found."""

    def gap(at: float) -> float:
        return float(area - at - stats.norm.ppf(0.975) * np.sqrt(auroc_variance(at, events, others)))

    # Just below the AUROC found: at 1 itself the variance is 0, and so would be the gap.
    return float(brentq(gap, 0, area * (1 - 1e-9))) if area else 0.0


def _measurable(y: Vector, score: Vector | Matrix, cohorts: Names) -> tuple[list[str], Vector, Vector, Vector]:
    """Return the cohorts that have both classes: their names, AUROCs (the seeds' mean), events and others."""
    rows = {name: cohorts == name for name in dict.fromkeys(cohorts.tolist())}
    rows = {name: mine for name, mine in rows.items() if 0 < y[mine].sum() < mine.sum()}
    area = np.array([np.mean([auroc(y[mine], one[mine]) for one in np.atleast_2d(score)]) for mine in rows.values()])
    events = np.array([y[mine].sum() for mine in rows.values()])
    return list(rows), area, events, np.array([mine.sum() for mine in rows.values()]) - events
