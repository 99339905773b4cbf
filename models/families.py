"""The families of classifiers: what each tunes, how it is fitted, and what it says of each feature.

Every family shares one shape. `settings` is its grid, fixed beforehand; `margins` fits the whole grid on training rows
and returns the log-odds of other rows for each setting, sharing work between settings; `fit` fits one setting. What is
fitted gives log-odds (`margin`) and contributions that add up to them (`contributions`), and is kept as arrays or as
XGBoost's UBJ, never as a pickle.

Training rows come in strata, their cohorts, and each stratum has an intercept of its own: how often patients respond at
a hospital is then no reason to learn how that hospital's stool differs from another's. A row to be answered belongs to
no stratum: its log-odds are counted from the training rows' average, and calibration settles the level.
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
Strata = NDArray[np.intp]


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

    @property
    def by_block(self) -> bool:
        """Whether each block has a fit of its own, and the fits' log-odds are added up."""

    @property
    def seeded(self) -> bool:
        """Whether a fit depends on its seed."""

    def margins(self, X: Matrix, y: Vector, strata: Strata, other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-odds, (n_settings, n_other)."""

    def fit(self, X: Matrix, y: Vector, strata: Strata, setting: dict[str, Any], seed: int) -> Predictor:
        """Fit one setting."""


@dataclass(frozen=True)
class LinearPredictor:
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
    by_block: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    _l1_ratios: ClassVar[tuple[float, ...]] = (0.1, 0.5, 0.95)
    _ratios: ClassVar[Vector] = np.geomspace(1, 0.1, 10).round(4)
    settings: ClassVar[Sequence[dict[str, Any]]] = [
        {"l1_ratio": l1_ratio, "lambda_ratio": ratio} for l1_ratio, ratio in product(_l1_ratios, _ratios.tolist())
    ]

    def margins(self, X: Matrix, y: Vector, strata: Strata, other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-odds, (n_settings, n_other)."""
        fits = [fit for l1_ratio in self._l1_ratios for fit in self._path(X, y, strata, l1_ratio, self._ratios)]
        return np.stack([fit.margin(other) for fit in fits])

    def fit(self, X: Matrix, y: Vector, strata: Strata, setting: dict[str, Any], seed: int) -> LinearPredictor:
        """Fit one setting, warm-started along the path that leads to it."""
        ratios = self._ratios[self._ratios > setting["lambda_ratio"]]
        return self._path(X, y, strata, setting["l1_ratio"], np.append(ratios, setting["lambda_ratio"]))[-1]

    def _path(self, X: Matrix, y: Vector, strata: Strata, l1_ratio: float, ratios: Vector) -> list[LinearPredictor]:
        mean = X.mean(axis=0)
        within = X - _stratum_means(X, strata)[strata]
        # What does not vary within a stratum is rounding error there, and must not be blown up to a feature.
        scale = within.std(axis=0)
        scale = np.where(scale > 1e-9, scale, np.inf)
        _, coefs = logistic_elastic_net_path((X - mean) / scale, y, l1_ratio, ratios, strata)
        return [LinearPredictor(float(-w @ mean), w, mean) for w in coefs / scale]


def logistic_elastic_net_path(
    X: Matrix, y: Vector, l1_ratio: float, ratios: Vector, strata: Strata
) -> tuple[Vector, Matrix]:
    r"""Return intercepts and slopes of penalised logistic regression along a path of penalties.

    Minimises :math:`\frac1n\sum_i \log(1 + e^{-\tilde y_i \eta_i}) + \lambda(\rho\lVert\beta\rVert_1 +
    \frac{1-\rho}2\lVert\beta\rVert_2^2)` with an unpenalised intercept for each stratum. A stratum of one outcome only
    tells nothing of slopes and is left out.

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
    strata : ndarray of int, (n_samples,)
        Each sample's stratum.

    Returns
    -------
    intercepts : ndarray, (n_penalties,)
        Means over the samples of their strata's intercepts.
    slopes : ndarray, (n_penalties, n_features)
    """
    from sklearn.linear_model import enet_path

    X, y, strata = _informative(X, y, strata)
    n, d = X.shape
    slopes, path = np.zeros(d), np.zeros((len(ratios), d))
    if not n:
        return np.zeros(len(ratios)), path
    size = np.bincount(strata)
    share = np.bincount(strata, y) / size
    intercept = np.log(share / (1 - share))
    largest = np.abs(X.T @ (y - share[strata])).max(initial=0) / (n * l1_ratio)
    intercepts = np.empty(len(ratios))
    for k, ratio in enumerate(ratios):
        for _ in range(25 if largest > 0 and ratio < 1 else 0):
            margin = intercept[strata] + X @ slopes
            p = 1 / (1 + np.exp(-margin))
            # Weights near zero make the working response explode; glmnet bounds them likewise.
            weight = np.maximum(p * (1 - p), 1e-4)
            working = margin + (y - p) / weight
            x_mean, z_mean = _stratum_means(X, strata, weight), _stratum_means(working, strata, weight)
            root = np.sqrt(weight)
            _, solved, _ = enet_path(
                np.asfortranarray((X - x_mean[strata]) * root[:, None]),
                (working - z_mean[strata]) * root,
                l1_ratio=l1_ratio,
                alphas=[largest * ratio],
                # Solved in place, and what it moved must be measured.
                coef_init=slopes.copy(),
                tol=1e-4,
                max_iter=20_000,
                check_input=False,
                precompute=False,
            )
            new = solved[:, 0]
            new_intercept = z_mean - x_mean @ new
            moved = max(np.abs(new - slopes).max(initial=0), np.abs(new_intercept - intercept).max())
            intercept, slopes = new_intercept, new
            if moved < 1e-3:
                break
        intercepts[k], path[k] = intercept @ size / n, slopes
    return intercepts, path


def _informative(X: Matrix, y: Vector, strata: Strata) -> tuple[Matrix, Vector, Strata]:
    """Return the rows of strata that have both outcomes, the strata numbered anew."""
    events, size = np.bincount(strata, y), np.bincount(strata)
    kept = ((events > 0) & (events < size))[strata]
    return X[kept], y[kept], np.unique(strata[kept], return_inverse=True)[1]


def _stratum_means(values: NDArray[np.float64], strata: Strata, weight: Vector | None = None) -> NDArray[np.float64]:
    """Return weighted means of rows by stratum, (n_strata, ...)."""
    members = np.equal.outer(np.arange(strata.max(initial=-1) + 1), strata) * (1.0 if weight is None else weight)
    total: NDArray[np.float64] = (members / members.sum(axis=1, keepdims=True)) @ values
    return total


class TreePredictor:
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
    def from_ubj(cls, raw: bytes) -> TreePredictor:
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
    by_block: ClassVar[bool] = False
    seeded: ClassVar[bool] = True

    @property
    def settings(self) -> Sequence[dict[str, Any]]:
        return [{"max_depth": depth, "rounds": rounds} for depth in self.depths for rounds in self.rounds]

    def margins(self, X: Matrix, y: Vector, strata: Strata, other: Matrix, seed: int) -> Matrix:
        if not X.shape[1]:
            return np.zeros((len(self.settings), len(other)))
        import xgboost

        rows = xgboost.DMatrix(other, nthread=1)
        found = []
        for depth in self.depths:
            booster = self._train(X, y, strata, depth, max(self.rounds), seed)
            # Fewer rounds are a prefix of more.
            found += [booster.predict(rows, output_margin=True, iteration_range=(0, k)) for k in self.rounds]
        return np.asarray(found, dtype=np.float64)

    def fit(self, X: Matrix, y: Vector, strata: Strata, setting: dict[str, Any], seed: int) -> Predictor:
        if not X.shape[1]:
            # Nothing is left to learn from, and XGBoost refuses a matrix without columns.
            return LinearPredictor(0.0, np.zeros(0), np.zeros(0))
        return TreePredictor(self._train(X, y, strata, setting["max_depth"], setting["rounds"], seed))

    def _train(self, X: Matrix, y: Vector, strata: Strata, depth: int, rounds: int, seed: int) -> Any:
        import xgboost

        # Cohorts count hundreds of patients: 32 bins lose nothing, and fit several times as fast as 256.
        params = {"objective": "binary:logistic", "max_bin": 32, "nthread": 1, "seed": seed, "verbosity": 0}
        colsample = {}
        if self.name == "xgboost_forest":
            # sqrt(d) features a node, of a quarter of them a tree: histograms are built for a tree's features alone.
            colsample = {"colsample_bytree": 0.25, "colsample_bynode": min(1.0, 4 * X.shape[1] ** -0.5)}
        share = (np.bincount(strata, y) + 0.5) / (np.bincount(strata) + 1)
        data = xgboost.DMatrix(X, y, base_margin=np.log(share / (1 - share))[strata], nthread=1)
        given = {**params, **self.params, **colsample, "max_depth": depth, "base_score": 0.5}
        return xgboost.train(given, data, num_boost_round=rounds)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        ElasticNet(),
        # XGBoost's forest mode: it needs no second library to be served, and explains itself exactly.
        _TreeFamily(
            "xgboost_forest",
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
