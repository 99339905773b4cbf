"""Ridge logistic regression of few covariates, with a fixed penalty and the signs that the field agrees on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.arrays import Matrix, Positions, Vector

PRIOR_SD = 0.3
"""Standard deviation of a slope before any data are seen: log-odds for one standard deviation of a covariate."""


def signed_ridge(X: Matrix, y: Vector, strata: Positions, signs: Sequence[int]) -> Vector:
    r"""Return the slopes of a penalised logistic regression with an unpenalised intercept for each stratum.

    Minimises :math:`\sum_i \log(1 + e^{-\tilde y_i \eta_i}) + \lVert\beta\rVert_2^2 / (2\sigma^2)`, where
    :math:`\tilde y_i = 2 y_i - 1` and each :math:`\beta_j` may be restricted to one sign: the most probable slopes
    under independent normal priors of standard deviation :math:`\sigma` (`PRIOR_SD`), cut off at 0 on the side that the
    field excludes.

    Parameters
    ----------
    X : ndarray, (n_samples, n_covariates)
        Standardised covariates.
    y : ndarray, (n_samples,)
        Outcomes, 0 or 1.
    strata : ndarray of int, (n_samples,)
        Each sample's stratum. One of a single outcome tells nothing about slopes.
    signs : sequence of int, (n_covariates,)
        1 or -1 where the slope may not have the other sign, 0 where it may have either.

    References
    ----------
    Le Cessie and van Houwelingen 1992, Applied Statistics 41:191-201, for the penalty.
    """
    from scipy.optimize import minimize

    n_covariates, n_strata = X.shape[1], int(strata.max(initial=-1)) + 1
    size, events = np.bincount(strata, minlength=n_strata), np.bincount(strata, y, minlength=n_strata)

    def loss(parameters: Vector) -> tuple[float, Vector]:
        slopes, intercepts = parameters[:n_covariates], parameters[n_covariates:]
        margin = X @ slopes + intercepts[strata]
        residual = 1 / (1 + np.exp(-margin)) - y
        value = float((np.logaddexp(0, margin) - y * margin).sum() + (slopes**2).sum() / (2 * PRIOR_SD**2))
        gradient = X.T @ residual + slopes / PRIOR_SD**2
        return value, np.concatenate([gradient, np.bincount(strata, residual, minlength=n_strata)])

    prevalence = (events + 0.5) / (size + 1)
    start = np.concatenate([np.zeros(n_covariates), np.log(prevalence / (1 - prevalence))])
    free_side = {1: (0, None), -1: (None, 0), 0: (None, None)}
    # The intercept of a stratum with one outcome has no finite optimum.
    bounds = [*(free_side[sign] for sign in signs), *[(-10, 10)] * n_strata]
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-8})
    return np.asarray(optimum.x[:n_covariates])
