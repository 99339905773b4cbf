"""Random-effects meta-analysis of AUROCs over cohorts."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import logit

from features.arrays import Matrix, Names, Vector
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.meta_analysis import RandomEffects, random_effects, to_proportions
from training.statistics.metrics import auroc


def auroc_variance(area: Vector | float, events: Vector | float, non_events: Vector | float) -> Vector:
    r"""Return sampling variances of AUROCs from the AUROC and the two numbers of patients alone.

    .. math:: \frac{A (1 - A)}{m n} \left[ 1 + N^* \frac{1 - A}{2 - A} + N^* \frac{A}{1 + A} \right],
        \qquad N^* = \frac{m + n}{2} - 1

    DeLong's variance, which uses the patients' ranks, is 0 in a cohort that is ranked perfectly and unstable with three
    events, so it cannot weight cohorts.

    Parameters
    ----------
    area : ndarray, (n_cohorts,), or float
        :math:`A`.
    events, non_events : ndarray, (n_cohorts,), or float
        :math:`m` and :math:`n`, patients with and without the event.

    References
    ----------
    Newcombe 2006, method 4, Statistics in Medicine 25:559-573; Debray et al. 2019, Statistical Methods in Medical
    Research 28:2768-2786.
    """
    size = (np.asarray(events) + non_events) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    variance: Vector = area * (1 - area) * spread / (np.asarray(events) * non_events)
    return variance


def logit_auroc(area: Vector, events: Vector, non_events: Vector) -> tuple[Vector, Vector]:
    """Return log-odds of AUROCs and their variances, by the delta method from `auroc_variance`.

    An AUROC of 0 or 1, whose log-odds are infinite, is moved inwards by half of one pair of patients. The variance of
    the log-odds grows without bound towards 0 and 1, so that a small cohort with a nearly perfect ranking has little
    weight.
    """
    half_pair = 0.5 / (events * non_events)
    area = np.clip(area, half_pair, 1 - half_pair)
    return logit(area), auroc_variance(area, events, non_events) / (area * (1 - area)) ** 2


def cohort_aurocs(y: Vector, score: Vector | Matrix, cohorts: Names) -> dict[str, IntervalEstimate]:
    """Return the AUROC of each cohort that has both classes, with a score interval.

    A limit is the AUROC whose own variance, rather than that at the estimate, makes the estimate just compatible with
    it: a perfect ranking of few patients has no narrow interval.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    score : ndarray, (n_samples,) or (n_seeds, n_samples)
    cohorts : ndarray of str, (n_samples,)

    References
    ----------
    Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
    """
    return {
        name: IntervalEstimate(float(area), _lower_limit(area, *counts), 1 - _lower_limit(1 - area, *counts))
        for name, area, *counts in zip(*_cohorts_with_both_classes(y, score, cohorts), strict=True)
    }


def auroc_random_effects(y: Vector, score: Vector | Matrix, cohorts: Names) -> RandomEffects:
    """Return the random-effects mean of the cohorts' AUROCs, combined as log-odds.

    Cohorts of one class are dropped. Under leave-one-cohort-out the cohorts' models share most of their training
    patients, so that the AUROCs are not quite independent; a refitted permutation null accounts for this, the
    interval here does not.

    Parameters
    ----------
    y, score, cohorts
        As `cohort_aurocs` takes them.
    """
    _, area, events, non_events = _cohorts_with_both_classes(y, score, cohorts)
    return to_proportions(random_effects(*logit_auroc(area, events, non_events)))


def _lower_limit(area: float, events: float, non_events: float) -> float:
    """Return the smallest AUROC whose 95% sampling interval contains `area`."""

    def gap(limit: float) -> float:
        return float(area - limit - stats.norm.ppf(0.975) * np.sqrt(auroc_variance(limit, events, non_events)))

    # The bracket ends just below the estimate: at 1 the variance is 0, and 1 would be a root.
    return float(brentq(gap, 0, area * (1 - 1e-9))) if area else 0.0


def _cohorts_with_both_classes(
    y: Vector, score: Vector | Matrix, cohorts: Names
) -> tuple[list[str], Vector, Vector, Vector]:
    """Return the names, AUROCs (the mean over seeds), events and non-events of cohorts with both classes."""
    masks = {name: cohorts == name for name in dict.fromkeys(cohorts.tolist())}
    masks = {name: mask for name, mask in masks.items() if 0 < y[mask].sum() < mask.sum()}
    seeds = np.atleast_2d(score)
    area = np.array([np.mean([auroc(y[mask], seed_score[mask]) for seed_score in seeds]) for mask in masks.values()])
    events = np.array([y[mask].sum() for mask in masks.values()])
    return list(masks), area, events, np.array([mask.sum() for mask in masks.values()]) - events
