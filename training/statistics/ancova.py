"""Difference of two groups adjusted for the baseline, with recipients of one donor as a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import t as student

from features.arrays import Mask, Matrix, Positions, Vector
from training.statistics.interval_estimate import IntervalEstimate


@dataclass(frozen=True)
class AdjustedDifference:
    """The mean of a group minus that of the other, at equal baseline.

    Attributes
    ----------
    difference : IntervalEstimate
        Without an interval where either group has fewer than two clusters.
    p : float
        Two-sided; NaN without an interval.
    degrees_of_freedom : float
        Of the t distribution of the interval and of p.
    """

    difference: IntervalEstimate
    p: float
    degrees_of_freedom: float


def adjusted_difference(y: Vector, baseline: Vector | None, group: Mask, cluster: Positions) -> AdjustedDifference:
    r"""Return the effect of a group in the analysis of covariance, with cluster-robust standard errors.

    .. math:: y_i = \beta_0 + \beta_1 g_i + \beta_2 x_i + e_i

    is fitted by least squares. The standard error is CR2, whose residuals are adjusted so that it is unbiased where
    errors are independent and of one variance. The degrees of freedom are Satterthwaite's, the smaller of those of
    independent errors and of the two groups' own variances between clusters: few donors who differ leave few. Where
    each patient is a cluster, this is the HC2 error of unequal variances. Where the patients of one group share donors
    and those of the other do not, the donors are the clusters of the first group alone (a partially nested trial).

    Parameters
    ----------
    y : ndarray, (n_patients,)
    baseline : ndarray or None, (n_patients,)
        None for the difference of means.
    group : ndarray of bool, (n_patients,)
        Both groups have patients.
    cluster : ndarray of int, (n_patients,)
        Such as the donor of each treated patient; each control is a cluster alone.

    References
    ----------
    Vickers and Altman 2001, BMJ 323:1123-1124, for the analysis of covariance; Bell and McCaffrey 2002, Survey
    Methodology 28:169-181, and Pustejovsky and Tipton 2018, Journal of Business and Economic Statistics 36:672-683, for
    the error and its degrees of freedom; Roberts and Roberts 2005, Clinical Trials 2:152-162, for partially nested
    trials.
    """
    columns = [np.ones(len(y)), group.astype(float)]
    if baseline is not None and np.ptp(baseline) > 0:
        columns.append((baseline - baseline.mean()) / baseline.std())
    contrast = ClusteredContrast.of_group(np.column_stack(columns), cluster)
    value = float(contrast.weights @ y)
    too_few = min(len(np.unique(cluster[side])) for side in (group, ~group)) < 2
    if too_few or len(y) <= len(columns) or np.ptp(contrast.residuals(y)) <= 1e-12 * np.abs(y).max():
        return AdjustedDifference(IntervalEstimate(value, np.nan, np.nan), np.nan, np.nan)
    (error,), (degrees,) = contrast.errors(y[None])
    half_width = float(student.ppf(0.975, degrees)) * float(error)
    p = float(2 * student.sf(abs(value) / error, degrees)) if error else np.nan
    return AdjustedDifference(IntervalEstimate(value, value - half_width, value + half_width), p, float(degrees))


@dataclass(frozen=True)
class ClusteredContrast:
    """The least-squares coefficient of a group and its CR2 error, as far as the design alone determines them.

    Attributes
    ----------
    weights : ndarray, (n_patients,)
        The coefficient is their product with the outcomes.
    residual_maker : ndarray, (n_patients, n_patients)
    scores : ndarray, (n_patients, n_clusters)
        Column g holds how the outcomes of all patients enter the adjusted score of cluster g.
    in_group : ndarray of bool, (n_clusters,)
        Whether every patient of the cluster is in the group.
    """

    weights: Vector
    residual_maker: Matrix
    scores: Matrix
    in_group: Mask

    @classmethod
    def of_group(cls, X: Matrix, cluster: Positions) -> Self:
        """Return the contrast of the second column of a design, (n_patients, n_columns), which is 1 in the group."""
        gram_inverse = np.linalg.pinv(X.T @ X)
        residual_maker = np.eye(len(X)) - X @ gram_inverse @ X.T
        clusters = [cluster == name for name in np.unique(cluster)]
        scores = [
            residual_maker[:, members] @ _inverse_root(residual_maker[np.ix_(members, members)]) @ X[members]
            @ gram_inverse[:, 1]
            for members in clusters
        ]  # fmt: skip
        in_group = np.array([bool(X[members, 1].all()) for members in clusters])
        return cls(X @ gram_inverse[:, 1], residual_maker, np.column_stack(scores), in_group)

    def residuals(self, y: Vector) -> Vector:
        """Return the residuals of outcomes, (n_patients,), on the design."""
        return np.asarray(self.residual_maker @ y)

    def errors(self, y: Matrix) -> tuple[Vector, Vector]:
        """Return the standard error and its degrees of freedom, NaN without any variance, for each row of outcomes.

        Parameters
        ----------
        y : ndarray, (n_trials, n_patients)

        Returns
        -------
        errors, degrees_of_freedom : ndarray, (n_trials,)
        """
        squares = (y @ self.scores) ** 2
        degrees = np.minimum(_independent_degrees(self.scores), _unequal_degrees(squares, self.in_group))
        return np.sqrt(squares.sum(axis=1)), degrees


def _independent_degrees(scores: Matrix) -> float:
    """Return the degrees of freedom were errors independent and of one variance; scores (n_patients, n_clusters)."""
    inner = scores.T @ scores
    return float(np.trace(inner) ** 2 / (inner**2).sum())


def _unequal_degrees(squares: Matrix, in_group: Mask) -> Vector:
    """Return Welch and Satterthwaite's degrees of freedom from the squared scores of clusters, (..., n_clusters)."""
    variances = np.stack([squares[..., in_group].sum(axis=-1), squares[..., ~in_group].sum(axis=-1)])
    clusters = np.array([in_group.sum(), (~in_group).sum()])
    shape = (2, *[1] * (squares.ndim - 1))
    with np.errstate(invalid="ignore"):
        return np.asarray(variances.sum(axis=0) ** 2 / (variances**2 / (clusters - 1).reshape(shape)).sum(axis=0))


def _inverse_root(symmetric: Matrix) -> Matrix:
    """Return the symmetric square root of the pseudo-inverse of a positive semidefinite matrix, (n, n)."""
    values, vectors = np.linalg.eigh(symmetric)
    roots = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0)
    return np.asarray((vectors * roots) @ vectors.T)
