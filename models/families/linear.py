"""Elastic net: logistic regression along a warm-started path, with an intercept for each stratum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.arrays import Matrix, Positions, Vector
from models.families.base import BlockColumns, Setting
from models.families.signed_ridge import signed_ridge


@dataclass(frozen=True)
class LinearPredictor:
    """A linear predictor, with the training means from which its contributions are measured.

    Attributes
    ----------
    intercept : float
        Log-odds where every feature is 0.
    coef, mean : ndarray, (n_features,)
        Slopes, and training means of the features.
    """

    intercept: float
    coef: Vector
    mean: Vector

    @property
    def n_features(self) -> int:
        """Number of columns that it reads."""
        return len(self.coef)

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""
        return self.intercept + X @ self.coef

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return the closed-form SHAP values of independent features, (n_samples, n_features), and their base value.

        References
        ----------
        Štrumbelj and Kononenko 2014, Knowledge and Information Systems 41:647-665.
        """
        return (X - self.mean) * self.coef, float(self.intercept + self.mean @ self.coef)


class ElasticNet:
    """Logistic regression with an elastic net penalty, along a warm-started path.

    Features are standardised on the training rows. Proximal Newton steps solve the path; scikit-learn's coordinate
    descent solves the weighted least squares elastic net of each step.

    References
    ----------
    Friedman, Hastie and Tibshirani 2010, Journal of Statistical Software 33(1).
    """

    name: ClassVar[str] = "elastic_net"
    by_block: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    _l1_ratios: ClassVar[tuple[float, ...]] = (0.1, 0.5, 0.95)
    _ratios: ClassVar[Vector] = np.geomspace(1, 0.1, 10).round(4)
    settings: ClassVar[Sequence[Setting]] = [
        {"l1_ratio": l1_ratio, "lambda_ratio": ratio} for l1_ratio, ratio in product(_l1_ratios, _ratios.tolist())
    ]

    def margins(self, X: Matrix, y: Vector, strata: Positions, X_new: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return the log-odds of `X_new`, (n_settings, n_new)."""
        fits = [fit for l1_ratio in self._l1_ratios for fit in self._path(X, y, strata, l1_ratio)]
        return np.stack([fit.margin(X_new) for fit in fits])

    def fit(self, X: Matrix, y: Vector, strata: Positions, setting: Setting, seed: int) -> LinearPredictor:
        """Fit one setting, warm-started along the path of stronger penalties."""
        ratios = self._ratios[self._ratios > setting["lambda_ratio"]]
        return self._path(X, y, strata, setting["l1_ratio"], np.append(ratios, setting["lambda_ratio"]))[-1]

    def fit_average(
        self, X: Matrix, y: Vector, strata: Positions, blocks: Sequence[BlockColumns], seed: int
    ) -> LinearPredictor:
        """Average every penalty and encoding of each block, and add the blocks up.

        A block of many measurements is the average of all settings on all of its encodings, each divided by the
        standard deviation of its log-odds within the strata of the training rows, so that each has the same vote,
        strongly penalised or not. A block of covariates is one ridge regression, whose penalty and signs are fixed
        beforehand. The average of linear models is a linear model of all columns.

        References
        ----------
        Dawes 1979, American Psychologist 34:571-582, for equal weights. Genest and Zidek 1986, Statistical Science
        1:114-135, for averages of log-odds.
        """
        coef, mean = np.zeros(X.shape[1]), X.mean(axis=0)
        for block in blocks:
            for encoding in block.encodings:
                coef[encoding] = self._average_slopes(X[:, encoding], y, strata, block.signs) / len(block.encodings)
        return LinearPredictor(float(-coef @ mean), coef, mean)

    def _average_slopes(self, X: Matrix, y: Vector, strata: Positions, signs: tuple[int, ...] | None) -> Vector:
        """Return the average slopes of one encoding, (n_features,)."""
        if signs is not None:
            scale = _within_stratum_spread(X, strata)
            return signed_ridge((X - X.mean(axis=0)) / scale, y, strata, signs) / scale
        fits = [fit.coef for l1_ratio in self._l1_ratios for fit in self._path(X, y, strata, l1_ratio)]
        slopes = np.stack(fits)
        spread = _within_stratum_spread(X @ slopes.T, strata)
        return np.asarray((slopes / spread[:, None]).mean(axis=0))

    def _path(
        self, X: Matrix, y: Vector, strata: Positions, l1_ratio: float, ratios: Vector = _ratios
    ) -> list[LinearPredictor]:
        mean, scale = X.mean(axis=0), _within_stratum_spread(X, strata)
        _, coefs = logistic_elastic_net_path((X - mean) / scale, y, l1_ratio, ratios, strata)
        return [LinearPredictor(float(-w @ mean), w, mean) for w in coefs / scale]


def logistic_elastic_net_path(
    X: Matrix, y: Vector, l1_ratio: float, ratios: Vector, strata: Positions
) -> tuple[Vector, Matrix]:
    r"""Return intercepts and slopes of penalised logistic regression along a path of penalties.

    Minimises :math:`\frac1n\sum_i \log(1 + e^{-\tilde y_i \eta_i}) + \lambda(\rho\lVert\beta\rVert_1 +
    \frac{1-\rho}2\lVert\beta\rVert_2^2)`, where :math:`\tilde y_i = 2 y_i - 1`, with an unpenalised intercept for each
    stratum. A stratum with one outcome only is uninformative about slopes and is dropped.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Standardised features.
    y : ndarray, (n_samples,)
        Outcomes, 0 or 1; both occur.
    l1_ratio : float
        :math:`\rho`, above 0.
    ratios : ndarray, (n_penalties,)
        Penalties as ratios to the smallest penalty at which every slope is 0, each about a fifth below the one before:
        the Newton steps are undamped and must start near the solution.
    strata : ndarray of int, (n_samples,)
        Each sample's stratum.

    Returns
    -------
    intercepts : ndarray, (n_penalties,)
        Intercept of the samples' strata, averaged over samples.
    slopes : ndarray, (n_penalties, n_features)

    References
    ----------
    Tibshirani et al. 2012, Journal of the Royal Statistical Society B 74:245-266, for the strong rule, by which most
    features are left out of a penalty's steps; those that it leaves out wrongly are brought back.
    """
    from sklearn import config_context

    X, y, strata = _informative(X, y, strata)
    n, d = X.shape
    slopes, path = np.zeros(d), np.zeros((len(ratios), d))
    if not n:
        return np.zeros(len(ratios)), path
    size = np.bincount(strata)
    prevalence = np.bincount(strata, y) / size
    intercept = np.log(prevalence / (1 - prevalence))
    gradient = np.abs(X.T @ (y - prevalence[strata])) / n
    largest = gradient.max(initial=0) / l1_ratio
    intercepts, stronger = np.empty(len(ratios)), largest
    # Validating its parameters takes scikit-learn longer than a step on a few hundred samples.
    with config_context(skip_parameter_validation=True):
        for k, penalty in enumerate(largest * ratios):
            if penalty < largest:
                # Few features below this gradient get a slope at the next penalty.
                active = (slopes != 0) | (gradient >= l1_ratio * (2 * penalty - stronger))
                is_solved = False
                while not is_solved:
                    features = X[:, active]
                    intercept, active_slopes = _solve(features, y, strata, intercept, slopes[active], l1_ratio, penalty)
                    slopes[active] = active_slopes
                    gradient = np.abs(X.T @ (y - expit(intercept[strata] + features @ active_slopes))) / n
                    missed = (gradient > l1_ratio * penalty) & ~active
                    active |= missed
                    is_solved = not missed.any()
                stronger = penalty
            intercepts[k], path[k] = intercept @ size / n, slopes
    return intercepts, path


def _solve(
    X: Matrix, y: Vector, strata: Positions, intercept: Vector, slopes: Vector, l1_ratio: float, penalty: float
) -> tuple[Vector, Vector]:
    """Return intercepts and slopes at one penalty, by proximal Newton steps that start from these."""
    for _ in range(25):
        new_intercept, new_slopes = _newton_step(X, y, strata, intercept, slopes, l1_ratio, penalty)
        change = max(np.abs(new_slopes - slopes).max(initial=0), np.abs(new_intercept - intercept).max())
        intercept, slopes = new_intercept, new_slopes
        if change < 1e-3:
            break
    return intercept, slopes


def _newton_step(
    X: Matrix, y: Vector, strata: Positions, intercept: Vector, slopes: Vector, l1_ratio: float, penalty: float
) -> tuple[Vector, Vector]:
    """Return intercepts and slopes after one proximal Newton step: a weighted least squares elastic net."""
    from sklearn.linear_model import enet_path

    margin = intercept[strata] + X @ slopes
    p = 1 / (1 + np.exp(-margin))
    # Weights near 0 make the working response explode; glmnet bounds them likewise.
    weight = np.maximum(p * (1 - p), 1e-4)
    working = margin + (y - p) / weight
    x_mean, z_mean = _stratum_means(X, strata, weight), _stratum_means(working, strata, weight)
    root = np.sqrt(weight)
    _, solved, _ = enet_path(
        np.asfortranarray((X - x_mean[strata]) * root[:, None]),
        (working - z_mean[strata]) * root,
        l1_ratio=l1_ratio,
        alphas=[penalty],
        # A copy, since it is solved in place and the caller measures the change of the slopes.
        coef_init=slopes.copy(),
        tol=1e-4,
        max_iter=20_000,
        check_input=False,
        precompute=False,
    )
    new_slopes = solved[:, 0]
    return z_mean - x_mean @ new_slopes, new_slopes


def _informative(X: Matrix, y: Vector, strata: Positions) -> tuple[Matrix, Vector, Positions]:
    """Return the rows of the strata in which both outcomes occur, with the strata renumbered."""
    events, size = np.bincount(strata, y), np.bincount(strata)
    mask = ((events > 0) & (events < size))[strata]
    return X[mask], y[mask], np.unique(strata[mask], return_inverse=True)[1]


def _within_stratum_spread(X: Matrix, strata: Positions) -> Vector:
    """Return the standard deviation of each column within strata, (n_columns,); infinite where it is constant."""
    scale = (X - _stratum_means(X, strata)[strata]).std(axis=0)
    # The spread of a column that is constant within strata is rounding error, which must not be scaled up.
    return np.where(scale > 1e-9, scale, np.inf)


def _stratum_means(values: NDArray[np.float64], strata: Positions, weight: Vector | None = None) -> NDArray[np.float64]:
    """Return weighted means of rows by stratum, (n_strata, ...)."""
    members = np.equal.outer(np.arange(strata.max(initial=-1) + 1), strata) * (1.0 if weight is None else weight)
    total: NDArray[np.float64] = (members / members.sum(axis=1, keepdims=True)) @ values
    return total
