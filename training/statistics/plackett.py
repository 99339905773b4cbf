"""The odds ratio of two binary outcomes given the probability of each, over centres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, logsumexp
from scipy.stats import chi2, norm

from features.arrays import Mask, Matrix, Names, Vector
from models.joint import cell_probabilities

_LOG_RATIOS = np.linspace(-4, 4, 161)
"""Log odds ratios of a centre over which the likelihood is integrated."""
_SPREADS = np.linspace(0, 1.5, 11)
"""Standard deviations of a centre's log odds ratio."""
_MARGIN = 1e-4
"""Probabilities are kept this far from 0 and 1, so that no patient's likelihood is 0."""


class PlackettFit(NamedTuple):
    """The odds ratio with the limits of its 95% interval, and the spread of its logarithm over centres."""

    odds_ratio: float
    low: float
    high: float
    spread: float


def fit_plackett(p: Vector, q: Vector, cells: Mask, centre_names: Names) -> PlackettFit | None:
    """Estimate the odds ratio of two events given the probability of each, by maximum likelihood.

    The log odds ratio of a centre is normal about the mean, with a spread that is 0 for one centre; the likelihood is
    integrated over it on a grid, and the interval is that of the profile likelihood. In each centre the logits of the
    probabilities are shifted so that their means are its rates, lest wrong probabilities pass for dependence.

    Parameters
    ----------
    p, q : ndarray, (n,)
        Probability of each event.
    cells : ndarray of bool, (n, 4)
        Which of the cells each patient is in: the first event alone, both, neither, the second alone.
    centre_names : ndarray of str, (n,)

    Returns
    -------
    PlackettFit or None
        None where the likelihood has no maximum between odds ratios of 1/50 and 50, as where a cell is empty.

    References
    ----------
    Plackett 1965, Journal of the American Statistical Association 60:516-522; Dale 1986, Biometrics 42:909-917.
    """
    likelihoods = np.array([_centre_log_likelihood(p[mask], q[mask], cells[mask]) for mask in _masks(centre_names)])
    spreads = _SPREADS if len(likelihoods) > 1 else _SPREADS[:1]
    # Rows: spreads; columns: means.
    profile = np.array([_log_likelihood_by_mean(likelihoods, spread) for spread in spreads])
    by_mean = profile.max(axis=0)
    best = int(by_mean.argmax())
    if best in (0, len(by_mean) - 1):
        return None
    accepted_means = np.flatnonzero(by_mean >= by_mean[best] - chi2.ppf(0.95, 1) / 2)
    value, low, high = np.exp(_LOG_RATIOS[[best, accepted_means[0], accepted_means[-1]]]).tolist()
    return PlackettFit(value, low, high, float(spreads[int(profile[:, best].argmax())]))


def _masks(centre_names: Names) -> list[Mask]:
    return [centre_names == name for name in dict.fromkeys(centre_names.tolist())]


def _centre_log_likelihood(p: Vector, q: Vector, cells: Mask) -> Vector:
    """Return a centre's log-likelihood at each of `_LOG_RATIOS`."""
    p, q = (
        _with_mean(p, float(cells[:, :2].any(axis=1).mean())),
        _with_mean(q, float(cells[:, [1, 3]].any(axis=1).mean())),
    )
    return np.array(
        [
            np.log(np.stack(cell_probabilities(p, q, ratio), axis=1)[cells]).sum()
            for ratio in np.exp(_LOG_RATIOS).tolist()
        ]
    )


def _with_mean(probability: Vector, rate: float) -> Vector:
    """Return probabilities whose logits are shifted so that their mean is a rate."""
    logits, rate = logit(np.clip(probability, _MARGIN, 1 - _MARGIN)), min(max(rate, _MARGIN), 1 - _MARGIN)
    shift = brentq(lambda shift: float(expit(logits + shift).mean()) - rate, -20, 20)
    shifted: Vector = np.clip(expit(logits + shift), _MARGIN, 1 - _MARGIN)
    return shifted


def _log_likelihood_by_mean(likelihoods: Matrix, spread: float) -> Vector:
    """Return the log-likelihood of all centres at each mean of `_LOG_RATIOS`."""
    if spread == 0:
        return np.asarray(likelihoods.sum(axis=0))
    weights = norm.logpdf(_LOG_RATIOS[None, :], _LOG_RATIOS[:, None], spread)
    weights -= logsumexp(weights, axis=1, keepdims=True)
    integrals: Vector = np.sum([logsumexp(weights + centre[None, :], axis=1) for centre in likelihoods], axis=0)
    return integrals
