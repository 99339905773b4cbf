"""Stacking: from inner held-out log-odds to the selected setting, the predictors' weights and the calibration.

Every comparison is within strata, the training cohorts. Each stratum has an intercept of its own, so that telling
cohorts apart counts neither for a setting nor for a predictor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit

from features.arrays import Matrix, Positions, Vector
from training.statistics.metrics import log_loss

NEWTON_STEPS = 12
SLOPES = np.linspace(0, 6, 241)
"""Slopes over which an expected slope is taken: log-odds for one standard deviation of a margin."""
SLOPE_PRIOR_SD = 1.0
"""Standard deviation of the normal distribution whose positive half is the prior of a slope."""
CONSTANT_SD = 1e-12
"""Log-odds whose standard deviation is not larger count as constant."""


def stratified_losses(y: Vector, margins: Matrix, strata: Positions) -> Vector:
    """Return each setting's log loss at its best slope, at least 0, and its best intercept in each stratum.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margins : ndarray, (n_settings, n_samples)
        Held-out log-odds.
    strata : ndarray of int, (n_samples,)

    Returns
    -------
    ndarray, (n_settings,)
        Mean log loss over the samples of strata that have both classes.
    """
    members = _indicators(strata)
    events, n = members.T @ y, members.sum(axis=0)
    mixed = (events > 0) & (events < n)
    rows = members[:, mixed].any(axis=1)
    if not rows.any():
        return np.zeros(len(margins))
    members, y, margins, n = members[rows][:, mixed], y[rows], margins[:, rows], n[mixed]
    prevalence = members.T @ y / n
    null_intercept = np.log(prevalence / (1 - prevalence))
    centred = margins - (margins @ members / n) @ members.T
    centred = centred / within_spread(margins, members.argmax(axis=1))[:, None]
    slope, intercept = np.zeros(len(margins)), np.tile(null_intercept, (len(margins), 1))
    for _ in range(NEWTON_STEPS):
        slope_step, intercept_step = _newton_step(y, centred, members, slope, intercept)
        slope, intercept = slope + slope_step, intercept + intercept_step
    slope, intercept = np.maximum(slope, 0), np.where(slope[:, None] > 0, intercept, null_intercept)
    return log_loss(y, slope[:, None] * centred + intercept @ members.T)


def within_spread(margins: Matrix, strata: Positions) -> Vector:
    """Return the standard deviation of each setting's log-odds within strata, (n_settings,); infinite if constant."""
    members = _indicators(strata)
    spread = (margins - (margins @ members / members.sum(axis=0)) @ members.T).std(axis=1)
    return np.where(spread > CONSTANT_SD, spread, np.inf)


def cross_selected_margins(y: Vector, margins: Matrix, strata: Positions, groups: Sequence[Positions]) -> Vector:
    """Return each group's held-out log-odds at the setting that is best on the other groups, (n_samples,).

    The log-odds of the setting that is best on all groups are optimistic, since they were used to select it; these
    are not.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margins : ndarray, (n_settings, n_samples)
    strata : ndarray of int, (n_samples,)
    groups : sequence of ndarray of int
        Positions of the samples that each inner split holds out.
    """
    selected = np.full(len(y), np.nan)
    for group in groups:
        rest = np.isfinite(margins[0])
        rest[group] = False
        best = int(np.argmin(stratified_losses(y[rest], margins[:, rest], strata[rest]))) if rest.any() else 0
        selected[group] = margins[best, group]
    return selected


def stacking_weights(y: Vector, margins: Matrix, strata: Positions) -> tuple[Vector, float]:
    r"""Return each predictor's weight in the sum of log-odds, and the shrinkage factor of the sum.

    The weights are those of a logistic regression on the predictors' held-out log-odds, with coefficients of at least
    0, an intercept for each stratum and Platt's smoothed targets. The shrinkage factor is van Houwelingen and le
    Cessie's, :math:`\max(0, (\chi^2 - k) / \chi^2)`, where :math:`\chi^2` is the likelihood-ratio statistic of the
    :math:`k` predictors with a positive weight. Where they improve the likelihood no more than chance would, it is 0,
    and every probability is the prevalence.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margins : ndarray, (n_predictors, n_samples)
    strata : ndarray of int, (n_samples,)

    Returns
    -------
    weights : ndarray, (n_predictors,)
        Where every coefficient is 0, each predictor has the same weight per standard deviation, so that the held-out
        ranking is still that of the model.
    shrinkage : float
        From 0 to 1.

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers 61-74. Van Houwelingen and le Cessie 1990, Statistics in Medicine
    9:1303-1325.
    """
    members = _indicators(strata)
    events, size = members.T @ y, members.sum(axis=0)
    target = np.where(y == 1, ((events + 1) / (events + 2)) @ members.T, (1 / (size - events + 2)) @ members.T)
    n_predictors, n = len(margins), len(y)
    spread = margins.std(axis=1)
    scale = np.where(spread > CONSTANT_SD, spread, np.inf)
    scaled = margins / scale[:, None]
    mean_target = (members.T @ target) / size

    def loss(coefficients: Vector) -> tuple[float, Vector]:
        weights, intercepts = coefficients[:n_predictors], coefficients[n_predictors:]
        margin = weights @ scaled + members @ intercepts
        residual = expit(margin) - target
        value = float(np.mean(np.logaddexp(0, margin) - target * margin) + 1e-6 * (weights**2).sum())
        return value, np.concatenate([scaled @ residual / n + 2e-6 * weights, members.T @ residual / n])

    start = np.concatenate([np.zeros(n_predictors), np.log(mean_target / (1 - mean_target))])
    bounds = [(0, None)] * n_predictors + [(None, None)] * len(mean_target)
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = optimum.x[:n_predictors]
    chi2 = 2 * n * (loss(start)[0] - float(optimum.fun))
    k = int((weights > 0).sum())
    shrinkage = max(0.0, (chi2 - k) / chi2) if chi2 > 0 else 0.0
    if not k:
        weights = np.ones(n_predictors)
    return np.asarray(weights / scale), shrinkage


def expected_slope(y: Vector, margin: Vector, strata: Positions) -> float:
    """Return the posterior mean of the slope of held-out log-odds.

    The prior is half-normal, so that the slope is small where the held-out log-odds hardly rank patients, but never 0
    for want of belief: the served probabilities rank patients as the log-odds do. Each stratum has an intercept of its
    own, at its most probable value for each slope.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    margin : ndarray, (n_samples,)
        Held-out log-odds in units of their standard deviation within strata.
    strata : ndarray of int, (n_samples,)

    References
    ----------
    Copas 1983, Journal of the Royal Statistical Society B 45:311-354, for the shrinkage of predictions; Gelman et al.
    2008, Annals of Applied Statistics 2:1360-1383, for weakly informative priors of logistic slopes.
    """
    log_posterior = -(SLOPES**2) / (2 * SLOPE_PRIOR_SD**2)
    for stratum in np.unique(strata):
        labels, scaled = y[strata == stratum], SLOPES[:, None] * margin[strata == stratum]
        events = labels.sum()
        if 0 < events < len(labels):
            # Bisection: at -bound every probability is too small for the number of events, at bound too large.
            bound = 10 + np.abs(scaled).max(axis=1)
            low, high = -bound, bound
            for _ in range(40):
                middle = (low + high) / 2
                is_low = expit(scaled + middle[:, None]).sum(axis=1) < events
                low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
            log_posterior = log_posterior - len(labels) * log_loss(labels, scaled + middle[:, None])
    density = np.exp(log_posterior - log_posterior.max())
    return float(density @ SLOPES / density.sum())


def calibrating_intercept(y: Vector, margin: Vector) -> float:
    """Return the intercept at which the mean probability of log-odds, (n_samples,), equals the prevalence."""
    prevalence = float(y.mean())
    bound = 40 + float(np.abs(margin).max(initial=0))
    return float(brentq(lambda intercept: float(expit(margin + intercept).mean()) - prevalence, -bound, bound))


def _indicators(strata: Positions) -> Matrix:
    """Return 1 where a sample belongs to a stratum, (n_samples, n_strata)."""
    return np.equal.outer(strata, np.unique(strata)).astype(np.float64)


def _newton_step(
    y: Vector, centred: Matrix, members: Matrix, slope: Vector, intercept: Matrix
) -> tuple[Vector, Matrix]:
    """Return Newton's steps of each setting's slope, (n_settings,), and intercepts, (n_settings, n_strata).

    The intercepts are eliminated from the normal equations; steps are at most 2 in size.
    """
    p = expit(slope[:, None] * centred + intercept @ members.T)
    weight, residual = p * (1 - p) + 1e-9, y - p
    intercept_information, cross_information = weight @ members, (weight * centred) @ members
    slope_information = (weight * centred**2).sum(axis=1)
    slope_information = slope_information - (cross_information**2 / intercept_information).sum(axis=1) + 1e-6
    intercept_score = residual @ members
    slope_score = (residual * centred).sum(axis=1)
    slope_score = slope_score - (cross_information * intercept_score / intercept_information).sum(axis=1)
    slope_step = np.clip(slope_score / slope_information, -2, 2)
    intercept_step = (intercept_score - cross_information * slope_step[:, None]) / intercept_information
    return slope_step, np.clip(intercept_step, -2, 2)
