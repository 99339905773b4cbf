"""Random-effects meta-analysis of AUROCs over centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from features.arrays import Mask, Matrix, Names, Positions, Vector
from models.auroc import auroc_variance, score_limits
from models.evidence import RandomEffectsSummary
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.meta_analysis import random_effects, to_proportions
from training.statistics.metrics import auroc


@dataclass(frozen=True)
class RankedCentre:
    """The AUROC of a centre that has both classes.

    Attributes
    ----------
    name : str
    area : float
        Mean over seeds.
    events, non_events : ndarray, (n_folds,)
        Patients with and without the event in each fold of the first seed: pairs of different folds are not ranked.
    """

    name: str
    area: float
    events: Vector
    non_events: Vector

    @property
    def patients(self) -> float:
        """Patients of the centre."""
        return float(self.events.sum() + self.non_events.sum())

    def variance(self, area: float) -> float:
        """Return the sampling variance of the centre's AUROC if it is expected to be `area`.

        The AUROC is the mean over folds, weighted by their pairs, of independent AUROCs.
        """
        pairs = self.events * self.non_events
        mixed = pairs > 0
        weights = pairs[mixed] / pairs.sum()
        return float(weights**2 @ auroc_variance(area, self.events[mixed], self.non_events[mixed]))

    def log_odds(self) -> tuple[float, float]:
        """Return the log-odds of the AUROC and their variance, by the delta method.

        An AUROC of 0 or 1, whose log-odds are infinite, is moved inwards by half of one pair of patients. The variance
        of the log-odds grows without bound towards 0 and 1, so that a small centre with a nearly perfect ranking has
        little weight.
        """
        half_pair = 0.5 / float(self.events @ self.non_events)
        area = min(max(self.area, half_pair), 1 - half_pair)
        return float(logit(area)), self.variance(area) / (area * (1 - area)) ** 2

    def interval(self) -> IntervalEstimate:
        """Return the AUROC with its score interval.

        A limit is the AUROC whose own variance, rather than that at the estimate, makes the estimate just compatible
        with it: a perfect ranking of few patients has no narrow interval.

        References
        ----------
        Newcombe 2006, method 5, Statistics in Medicine 25:559-573.
        """
        return IntervalEstimate(self.area, *score_limits(self.area, self.variance))


def ranked_centres(
    y: Vector, score: Vector | Matrix, centres: Names, folds: Positions | None = None
) -> list[RankedCentre]:
    """Return the AUROC of each centre in which a fold has both classes.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    score : ndarray, (n_samples,) or (n_seeds, n_samples)
    centres : ndarray of str, (n_samples,)
    folds : ndarray of int, of the shape of `score`, optional
        Folds of different models, whose scores are not ranked against each other.
    """
    seeds = np.atleast_2d(score)
    seed_folds = np.zeros(seeds.shape, dtype=np.intp) if folds is None else np.atleast_2d(folds)
    ranked = []
    for name in dict.fromkeys(centres.tolist()):
        mask = centres == name
        area = float(
            np.mean(
                [
                    auroc(y[mask], values[mask], folds=groups[mask])
                    for values, groups in zip(seeds, seed_folds, strict=True)
                ]
            )
        )
        if np.isfinite(area):
            events, non_events = _fold_counts(y, seed_folds[0], mask)
            ranked.append(RankedCentre(name, area, events, non_events))
    return ranked


def mean_auroc(ranked: Sequence[RankedCentre]) -> IntervalEstimate | None:
    """Return the mean AUROC of centres, weighted by their patients, with its score interval.

    The interval takes the centres for one population: a limit is an AUROC that all of them may share. A perfect ranking
    of few patients has no narrow interval, as it has by bootstrap, which never sees a wrongly ranked pair.

    Returns
    -------
    IntervalEstimate or None
        None without a centre that has both classes.
    """
    if not ranked:
        return None
    patients = np.array([centre.patients for centre in ranked])
    weights = patients / patients.sum()

    def variance(area: float) -> float:
        return float(weights**2 @ [centre.variance(area) for centre in ranked])

    mean = min(float(weights @ [centre.area for centre in ranked]), 1.0)
    return IntervalEstimate(mean, *score_limits(mean, variance))


def auroc_random_effects(ranked: Sequence[RankedCentre]) -> RandomEffectsSummary:
    """Return the random-effects mean of centres' AUROCs, combined as log-odds.

    Under leave-one-cohort-out the centres' models share most of their training patients, so that the AUROCs are not
    quite independent; a refitted permutation null accounts for this, the interval here does not.
    """
    log_odds = np.array([centre.log_odds() for centre in ranked]).reshape(-1, 2)
    return to_proportions(random_effects(log_odds[:, 0], log_odds[:, 1]))


def _fold_counts(y: Vector, folds: Positions, mask: Mask) -> tuple[Vector, Vector]:
    """Return the events and non-events of each fold among the patients of a mask, both (n_folds,)."""
    _, codes = np.unique(folds[mask], return_inverse=True)
    return np.bincount(codes, y[mask]).astype(np.float64), np.bincount(codes, 1 - y[mask]).astype(np.float64)
