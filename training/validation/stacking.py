"""From inner left-out log-odds to what is fitted: which setting, how much of it to believe, and at what level.

Every comparison is within strata, the training cohorts: each has an intercept of its own, so that a setting is not
chosen, nor believed, for telling cohorts apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit

from training.statistics.arrays import Matrix, Positions, Vector
from training.statistics.metrics import log_loss


def stratified_losses(y: Vector, margins: Matrix, strata: Positions) -> Vector:
    """Return each setting's log loss at its best slope, at least 0, and its best intercept in each stratum.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margins : ndarray, (n_settings, n_samples)
        Left-out log-odds.
    strata : ndarray of int, (n_samples,)

    Returns
    -------
    ndarray, (n_settings,)
        Mean log loss over the samples of strata that have both outcomes.
    """
    members = np.equal.outer(strata, np.unique(strata)).astype(np.float64)
    events, size = members.T @ y, members.sum(axis=0)
    both = (events > 0) & (events < size)
    rows = members[:, both].any(axis=1)
    if not rows.any():
        return np.zeros(len(margins))
    members, y, margins = members[rows][:, both], y[rows], margins[:, rows]
    share = members.T @ y / size[both]
    null = np.log(share / (1 - share))
    centred = margins - (margins @ members / size[both]) @ members.T
    centred = centred / within_spread(margins, members.argmax(axis=1))[:, None]
    slope, intercept = np.zeros(len(margins)), np.tile(null, (len(margins), 1))
    for _ in range(12):
        p = expit(slope[:, None] * centred + intercept @ members.T)
        weight, residual = p * (1 - p) + 1e-9, y - p
        # Newton's step, the strata's intercepts eliminated.
        to_intercepts, cross = weight @ members, (weight * centred) @ members
        by_slope = (weight * centred**2).sum(axis=1) - (cross**2 / to_intercepts).sum(axis=1) + 1e-6
        pull = residual @ members
        step = ((residual * centred).sum(axis=1) - (cross * pull / to_intercepts).sum(axis=1)) / by_slope
        step = np.clip(step, -2, 2)
        slope = slope + step
        intercept = intercept + np.clip((pull - cross * step[:, None]) / to_intercepts, -2, 2)
    slope, intercept = np.maximum(slope, 0), np.where(slope[:, None] > 0, intercept, null)
    return log_loss(y, slope[:, None] * centred + intercept @ members.T)


def within_spread(margins: Matrix, strata: Positions) -> Vector:
    """Return the standard deviation of each setting's log-odds within strata, (n_settings,); infinite where none."""
    members = np.equal.outer(strata, np.unique(strata)).astype(np.float64)
    spread = (margins - (margins @ members / members.sum(axis=0)) @ members.T).std(axis=1)
    return np.where(spread > 1e-12, spread, np.inf)


def cross_selected_margins(y: Vector, margins: Matrix, strata: Positions, groups: Sequence[Positions]) -> Vector:
    """Return each group's left-out log-odds at the setting that is best on the other groups, (n_samples,).

    The winner's own log-odds flatter it, for it was chosen by them; these do not.
    """
    chosen = np.full(len(y), np.nan)
    for group in groups:
        others = np.isfinite(margins[0])
        others[group] = False
        best = int(np.argmin(stratified_losses(y[others], margins[:, others], strata[others]))) if others.any() else 0
        chosen[group] = margins[best, group]
    return chosen


def stacking_weights(y: Vector, margins: Matrix, strata: Positions) -> tuple[Vector, float]:
    """Return each part's weight, at least 0, (n_parts,), and how much of their sum to believe, from 0 to 1.

    The weights are those of a logistic regression on the parts' left-out log-odds, with an intercept for each stratum
    and Platt's smoothed targets. What is to be believed of them is (chi2 - k) / chi2, where chi2 is twice what they add
    to the log-likelihood and k their number: where they add no more than chance would, nothing, and every probability
    is the prevalence. Parts that all point the wrong way weigh the same, and are not believed.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margins : ndarray, (n_parts, n_samples)
    strata : ndarray of int, (n_samples,)

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers 61-74. Van Houwelingen and le Cessie 1990, Statistics in Medicine
    9:1303-1325.
    """
    members = np.equal.outer(strata, np.unique(strata)).astype(np.float64)
    events, size = members.T @ y, members.sum(axis=0)
    target = np.where(y == 1, ((events + 1) / (events + 2)) @ members.T, (1 / (size - events + 2)) @ members.T)
    parts, n = len(margins), len(y)
    scale = margins.std(axis=1)
    scaled = margins / np.where(scale > 1e-12, scale, np.inf)[:, None]
    share = (members.T @ target) / size
    null = np.log(share / (1 - share))

    def loss(at: Vector) -> tuple[float, Vector]:
        margin = at[:parts] @ scaled + members @ at[parts:]
        residual = expit(margin) - target
        value = float(np.mean(np.logaddexp(0, margin) - target * margin) + 1e-6 * (at[:parts] ** 2).sum())
        return value, np.concatenate([scaled @ residual / n + 2e-6 * at[:parts], members.T @ residual / n])

    start = np.concatenate([np.zeros(parts), null])
    bounds = [(0, None)] * parts + [(None, None)] * len(null)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = found.x[:parts]
    chi2 = 2 * n * (loss(start)[0] - float(found.fun))
    used = int((weights > 0).sum())
    believed = max(0.0, (chi2 - used) / chi2) if chi2 > 0 else 0.0
    if not used:
        # Nothing is believed; how it would rank patients is still told, or a baseline would seem weaker than it is.
        weights = np.ones(parts)
    return np.asarray(weights / np.where(scale > 1e-12, scale, np.inf)), believed


def calibrating_intercept(y: Vector, margin: Vector) -> float:
    """Return the intercept at which log-odds say the prevalence on average."""
    prevalence = float(y.mean())
    bound = 40 + float(np.abs(margin).max(initial=0))
    return float(brentq(lambda at: float(expit(margin + at).mean()) - prevalence, -bound, bound))
