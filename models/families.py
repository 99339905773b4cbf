"""The families of classifiers: what each tunes, how it is fitted, and what it says of each feature.

Every family shares one shape. `settings` is its grid, fixed beforehand; `margins` fits the whole grid on training rows
and returns the log-odds of other rows for each setting, sharing work between settings; `fit` fits one setting. What is
fitted gives log-odds (`margin`) and contributions that add up to them (`contributions`), and is kept as arrays or as
XGBoost's UBJ, never as a pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


class Predictor(Protocol):
    """A fitted classifier."""

    @property
    def n_features(self) -> int:
        """The number of columns it reads."""

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return SHAP values on the log-odds scale, (n_samples, n_features), and the base value they start from."""


class Family(Protocol):
    """A way to fit classifiers."""

    @property
    def name(self) -> str:
        """The name it goes by."""

    @property
    def settings(self) -> Sequence[dict[str, Any]]:
        """The grid."""

    def margins(self, X: Matrix, y: Vector, other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-odds, (n_settings, n_other)."""

    def fit(self, X: Matrix, y: Vector, setting: dict[str, Any], seed: int) -> Predictor:
        """Fit one setting."""


@dataclass(frozen=True)
class Linear:
    """A linear predictor, with the training means its contributions are measured from.

    Attributes
    ----------
    intercept : float
        Log-odds at zero.
    coef, mean : ndarray, (n_features,)
        Slopes, and training means.
    """

    intercept: float
    coef: Vector
    mean: Vector

    @property
    def n_features(self) -> int:
        """The number of columns it reads."""
        return len(self.coef)

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""
        return self.intercept + X @ self.coef

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return the closed-form SHAP values of independent features.

        References
        ----------
        Štrumbelj and Kononenko 2014, Knowledge and Information Systems 41:647-665.
        """
        return (X - self.mean) * self.coef, float(self.intercept + self.mean @ self.coef)


class ElasticNet:
    """Logistic regression with an elastic net penalty, along a warm-started path.

    Features are standardised on the training rows. The path is solved by proximal Newton steps, each a weighted least
    squares elastic net solved by scikit-learn's coordinate descent.

    References
    ----------
    Friedman, Hastie and Tibshirani 2010, Journal of Statistical Software 33(1).
    """

    name: ClassVar[str] = "elastic_net"
    _l1_ratios: ClassVar[tuple[float, ...]] = (0.1, 0.5, 0.95)
    _ratios: ClassVar[Vector] = np.geomspace(1, 0.05, 15).round(4)
    settings: ClassVar[Sequence[dict[str, Any]]] = [
        {"l1_ratio": l1_ratio, "lambda_ratio": ratio} for l1_ratio, ratio in product(_l1_ratios, _ratios.tolist())
    ]

    def margins(self, X: Matrix, y: Vector, other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-odds, (n_settings, n_other)."""
        fits = [fit for l1_ratio in self._l1_ratios for fit in self._path(X, y, l1_ratio, self._ratios)]
        return np.stack([fit.margin(other) for fit in fits])

    def fit(self, X: Matrix, y: Vector, setting: dict[str, Any], seed: int) -> Linear:
        """Fit one setting, warm-started along the path that leads to it."""
        ratios = self._ratios[self._ratios > setting["lambda_ratio"]]
        return self._path(X, y, setting["l1_ratio"], np.append(ratios, setting["lambda_ratio"]))[-1]

    def _path(self, X: Matrix, y: Vector, l1_ratio: float, ratios: Vector) -> list[Linear]:
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        Z = (X - mean) / scale
        intercepts, coefs = logistic_elastic_net_path(Z, y, l1_ratio, ratios)
        coefs = coefs / scale
        return [Linear(float(b - w @ mean), w, mean) for b, w in zip(intercepts, coefs, strict=True)]


def logistic_elastic_net_path(
    X: Matrix, y: Vector, l1_ratio: float, ratios: Vector, tol: float = 1e-4
) -> tuple[Vector, Matrix]:
    r"""Return intercepts and slopes of penalised logistic regression along a path of penalties.

    Minimises :math:`\frac1n\sum_i \log(1 + e^{-\tilde y_i \eta_i}) + \lambda(\rho\lVert\beta\rVert_1 +
    \frac{1-\rho}2\lVert\beta\rVert_2^2)`, the intercept unpenalised.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Standardised features.
    y : ndarray, (n_samples,)
        0 or 1, both present.
    l1_ratio : float
        :math:`\rho`, above 0.
    ratios : ndarray, (n_penalties,)
        Penalties as shares of the smallest one at which every slope is zero, falling by a fifth or so at a time:
        Newton's steps are not damped, and count on starting near their end.
    tol : float
        Largest change of a slope or the intercept at which Newton's steps stop.

    Returns
    -------
    intercepts : ndarray, (n_penalties,)
    slopes : ndarray, (n_penalties, n_features)
    """
    from sklearn.linear_model import enet_path

    n, d = X.shape
    prevalence = y.mean()
    largest = np.abs(X.T @ (y - prevalence)).max(initial=0) / (n * l1_ratio)
    intercept, slopes = float(np.log(prevalence / (1 - prevalence))), np.zeros(d)
    intercepts, path = np.empty(len(ratios)), np.zeros((len(ratios), d))
    for k, ratio in enumerate(ratios):
        for _ in range(25 if largest > 0 and ratio < 1 else 0):
            margin = intercept + X @ slopes
            p = 1 / (1 + np.exp(-margin))
            # Weights near zero make the working response explode; glmnet bounds them likewise.
            weight = np.maximum(p * (1 - p), 1e-4)
            working = margin + (y - p) / weight
            total = weight.sum()
            x_mean, z_mean = weight @ X / total, weight @ working / total
            root = np.sqrt(weight)
            _, solved, _ = enet_path(
                np.asfortranarray((X - x_mean) * root[:, None]),
                (working - z_mean) * root,
                l1_ratio=l1_ratio,
                alphas=[largest * ratio],
                # Solved in place, and what it moved must be measured.
                coef_init=slopes.copy(),
                tol=1e-6,
                max_iter=20_000,
                check_input=False,
                precompute=False,
            )
            new = solved[:, 0]
            new_intercept = float(z_mean - x_mean @ new)
            moved = max(np.abs(new - slopes).max(initial=0), abs(new_intercept - intercept))
            intercept, slopes = new_intercept, new
            if moved < tol:
                break
        intercepts[k], path[k] = intercept, slopes
    return intercepts, path


class Trees:
    """A fitted XGBoost ensemble, boosted or a forest.

    Parameters
    ----------
    booster : xgboost.Booster
        The ensemble; it is told to use one thread, since serving scales by workers.
    """

    def __init__(self, booster: Any) -> None:
        import xgboost

        self._matrix = xgboost.DMatrix
        self.booster = booster
        booster.set_param({"nthread": 1})

    @property
    def n_features(self) -> int:
        """The number of columns it reads."""
        return int(self.booster.num_features())

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""
        return np.asarray(self.booster.predict(self._matrix(X, nthread=1), output_margin=True), dtype=np.float64)

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return exact TreeSHAP values; float32 inside XGBoost, so they add up within about 1e-5.

        References
        ----------
        Lundberg et al. 2020, Nature Machine Intelligence 2:56-67.
        """
        both = np.asarray(self.booster.predict(self._matrix(X, nthread=1), pred_contribs=True), dtype=np.float64)
        return both[:, :-1], float(both[0, -1])

    def ubj(self) -> bytes:
        """Return the ensemble in XGBoost's own UBJ format."""
        return bytes(self.booster.save_raw(raw_format="ubj"))

    @classmethod
    def from_ubj(cls, raw: bytes) -> Trees:
        """Return the ensemble that `ubj` wrote."""
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        return cls(booster)


@dataclass(frozen=True)
class _TreeFamily:
    name: str
    params: dict[str, Any]
    depths: tuple[int, ...]
    rounds: tuple[int, ...]

    @property
    def settings(self) -> Sequence[dict[str, Any]]:
        return [{"max_depth": depth, "rounds": rounds} for depth in self.depths for rounds in self.rounds]

    def margins(self, X: Matrix, y: Vector, other: Matrix, seed: int) -> Matrix:
        if not X.shape[1]:
            return np.tile(_prevalence(y).margin(other), (len(self.settings), 1))
        import xgboost

        rows = xgboost.DMatrix(other, nthread=1)
        found = []
        for depth in self.depths:
            booster = self._train(X, y, depth, max(self.rounds), seed)
            # Fewer rounds are a prefix of more.
            found += [booster.predict(rows, output_margin=True, iteration_range=(0, k)) for k in self.rounds]
        return np.asarray(found, dtype=np.float64)

    def fit(self, X: Matrix, y: Vector, setting: dict[str, Any], seed: int) -> Predictor:
        return Trees(self._train(X, y, setting["max_depth"], setting["rounds"], seed)) if X.shape[1] else _prevalence(y)

    def _train(self, X: Matrix, y: Vector, depth: int, rounds: int, seed: int) -> Any:
        import xgboost

        # Cohorts count hundreds of patients: 32 bins lose nothing, and fit several times as fast as 256.
        params = {"objective": "binary:logistic", "max_bin": 32, "nthread": 1, "seed": seed, "verbosity": 0}
        colsample = {}
        if self.name == "random_forest":
            # sqrt(d) features a node, of a quarter of them a tree: histograms are built for a tree's features alone.
            colsample = {"colsample_bytree": 0.25, "colsample_bynode": min(1.0, 4 * X.shape[1] ** -0.5)}
        data = xgboost.DMatrix(X, y, nthread=1)
        return xgboost.train({**params, **self.params, **colsample, "max_depth": depth}, data, num_boost_round=rounds)


def _prevalence(y: Vector) -> Linear:
    """Return what is left to say without features, of which XGBoost refuses to make a matrix."""
    return Linear(float(np.log(y.mean() / (1 - y.mean()))), np.zeros(0), np.zeros(0))


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        ElasticNet(),
        # XGBoost's forest mode: it needs no second library to be served, and explains itself exactly.
        _TreeFamily(
            "random_forest",
            {"num_parallel_tree": 200, "learning_rate": 1, "subsample": 0.632},
            depths=(6,),
            rounds=(1,),
        ),
        _TreeFamily(
            "xgboost",
            {"learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.5, "min_child_weight": 2},
            depths=(2, 4),
            rounds=(5, 15, 30, 60),
        ),
    )
}
"""Every family by its name."""
