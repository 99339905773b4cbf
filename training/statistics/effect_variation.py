"""Whether the effect of a randomised treatment varies between patients: a global test, then a cross-fitted learner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Mask, Matrix, Vector
from training.statistics.permutations import group_assignments, permutation_p_value

FOLDS = 5
"""Folds of patients, with near equal shares of the groups: the effects in each are predicted from the others."""
_TOO_SMALL = 1e-12


@dataclass(frozen=True)
class EffectVariationTest:
    """A global test of variation of the treatment's effect.

    Attributes
    ----------
    statistic : float
        Sum over covariates of squared z.
    p : float
    z : ndarray, (n_covariates,)
        Covariance of each covariate with the outcome in the group minus that in the others, in standard errors.
    """

    statistic: float
    p: float
    z: Vector


def effect_variation_test(y: Vector, X: Matrix, group: Mask, *, seed: int = 0) -> EffectVariationTest:
    r"""Return a test that no covariate modifies the difference of means of two randomised groups.

    Outcomes minus the mean of their own group, :math:`r_i`, have the same covariance with each covariate in both groups
    where the treatment adds the same to everyone, whatever the covariates predict. With :math:`q_{ij} = (x_{ij} -
    \bar x_j) r_i` of the groups 1 and 0,

    .. math:: T = \sum_j z_j^2, \qquad
       z_j = \frac{\mathrm{cov}_1(x_j, r) - \mathrm{cov}_0(x_j, r)}
                  {\sqrt{\mathrm{var}_1(q_j) / n_1 + \mathrm{var}_0(q_j) / n_0}},

    against the same of permuted groups. Since each z has its standard error, the level holds nearly where the groups'
    variances differ, as those of two response rates do.

    Parameters
    ----------
    y : ndarray, (n_patients,)
    X : ndarray, (n_patients, n_covariates)
        Measured before the treatment, none constant.
    group : ndarray of bool, (n_patients,)
        At least two patients in each.
    seed : int
        Of the permutations, where they are too many to enumerate.

    References
    ----------
    Ding, Feller and Miratrix 2016, Journal of the Royal Statistical Society B 78:655-671, for residuals and
    permutation; Chung and Romano 2013, Annals of Statistics 41:484-507, for the standard errors.
    """
    centred = (X - X.mean(axis=0)) / X.std(axis=0)
    residual = y - np.where(group, y[group].mean(), y[~group].mean())
    z = _studentised_differences(centred, residual, group_assignments(group, seed=seed))
    statistics = (z**2).sum(axis=1)
    return EffectVariationTest(float(statistics[0]), float(permutation_p_value(statistics)), z[0])


def _studentised_differences(X: Matrix, residual: Vector, assignments: Mask) -> Matrix:
    """Return z of each covariate in each assignment to the group, (n_assignments, n_covariates)."""
    products = X * residual[:, None]
    difference, variance = np.zeros((2, len(assignments), X.shape[1]))
    for sign, members in ((1, assignments), (-1, ~assignments)):
        share = members / members.sum(axis=1, keepdims=True)
        mean = share @ products
        difference += sign * (mean - (share @ X) * (share @ residual)[:, None])
        variance += (share @ products**2 - mean**2) / members.sum(axis=1, keepdims=True)
    return np.asarray(difference / np.sqrt(np.maximum(variance, _TOO_SMALL)))


def cross_fitted_effects(y: Vector, X: Matrix, group: Mask) -> Vector:
    r"""Return each patient's predicted effect of the treatment, by a ridge fitted without the patient's fold.

    The R-learner with a known share :math:`\pi` of treated patients: of the other folds,

    .. math:: \sum_i \bigl[ y_i - \hat m_i - (g_i - \pi) (\tau_0 + x_i \beta) \bigr]^2 + \lambda \lVert\beta\rVert^2

    with a ridge :math:`\hat m` of the outcome on the covariates, and penalties by leave-one-out within them.

    Parameters
    ----------
    y : ndarray, (n_patients,)
    X : ndarray, (n_patients, n_covariates)
        Measured before the treatment, none constant.
    group : ndarray of bool, (n_patients,)
        At least `FOLDS` patients in each.

    References
    ----------
    Nie and Wager 2021, Biometrika 108:299-319.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import StratifiedKFold

    penalties, effects = np.logspace(-1, 4, 11), np.empty(len(y))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, group):
        centre, scale = X[train].mean(axis=0), np.maximum(X[train].std(axis=0), _TOO_SMALL)
        x, x_test = (X[train] - centre) / scale, (X[test] - centre) / scale
        outcome, treated = y[train], group[train] - group[train].mean()
        residual = outcome - RidgeCV(penalties).fit(x, outcome).predict(x)
        average = float(treated @ residual / (treated @ treated))
        slopes = RidgeCV(penalties, fit_intercept=False).fit(treated[:, None] * x, residual - average * treated)
        effects[test] = average + slopes.predict(x_test)
    return effects
