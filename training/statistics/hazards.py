"""The families of time-to-event models: Cox's elastic net and boosted trees, and the risk by a day that they tell.

Both rank patients by log-hazard. An outcome is `y`, (n_samples, 2): days, above 0, and how they end, as in
`features.survival`. A death that precludes the event ends the wait for it as censoring does, so that hazards are those
of the event's own cause; the risk by a day counts the dead among those who never have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from features.survival import CENSORED, DEATH, EVENT

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


class SurvivalFamily(Protocol):
    """A way to fit time-to-event models."""

    @property
    def name(self) -> str:
        """The name it goes by."""

    @property
    def settings(self) -> Sequence[dict[str, Any]]:
        """The grid, fixed beforehand."""

    def margins(self, X: Matrix, y: Matrix, strata: NDArray[np.intp], other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-hazards, (n_settings, n_other).

        They are counted from the mean of the training rows', so that folds compare.
        """


class CoxElasticNet:
    """Cox regression with an elastic net penalty; each stratum has a baseline hazard of its own."""

    name: ClassVar[str] = "cox_elastic_net"
    _l1_ratios: ClassVar[tuple[float, ...]] = (0.1, 0.5, 0.95)
    _ratios: ClassVar[Vector] = np.geomspace(1, 0.1, 12).round(4)
    settings: ClassVar[Sequence[dict[str, Any]]] = [
        {"l1_ratio": l1_ratio, "lambda_ratio": ratio} for l1_ratio, ratio in product(_l1_ratios, _ratios.tolist())
    ]

    def margins(self, X: Matrix, y: Matrix, strata: NDArray[np.intp], other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-hazards, (n_settings, n_other)."""
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        slopes = [cox_elastic_net_path((X - mean) / scale, y, strata, l1, self._ratios) for l1 in self._l1_ratios]
        return np.asarray(np.concatenate(slopes) @ ((other - mean) / scale).T)


class XGBoostSurvival:
    """Boosted trees on Cox's partial likelihood, which XGBoost does not stratify."""

    name: ClassVar[str] = "xgboost_survival"
    _depths: ClassVar[tuple[int, ...]] = (2, 4)
    _rounds: ClassVar[tuple[int, ...]] = (5, 15, 30, 60)
    settings: ClassVar[Sequence[dict[str, Any]]] = [
        {"max_depth": depth, "rounds": rounds} for depth, rounds in product(_depths, _rounds)
    ]

    def margins(self, X: Matrix, y: Matrix, strata: NDArray[np.intp], other: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return `other`'s log-hazards, (n_settings, n_other)."""
        if not X.shape[1]:
            return np.zeros((len(self.settings), len(other)))
        import xgboost

        params = {"objective": "survival:cox", "max_bin": 32, "nthread": 1, "seed": seed, "verbosity": 0}
        params |= {"learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.5, "min_child_weight": 2}
        # XGBoost takes the days of who had no event as negative.
        data = xgboost.DMatrix(X, np.where(y[:, 1] == EVENT, y[:, 0], -y[:, 0]), nthread=1)
        rows, found = xgboost.DMatrix(other, nthread=1), []
        for depth in self._depths:
            booster = xgboost.train({**params, "max_depth": depth}, data, num_boost_round=max(self._rounds))
            for k in self._rounds:
                margin, own = (booster.predict(of, output_margin=True, iteration_range=(0, k)) for of in (rows, data))
                found.append(margin - own.mean())
        return np.asarray(found, dtype=np.float64)


SURVIVAL_FAMILIES: dict[str, SurvivalFamily] = {family.name: family for family in (CoxElasticNet(), XGBoostSurvival())}
"""Every family by its name."""


class _RiskSets:
    """Rows sorted by stratum and from the longest time to the shortest, so that who is at risk stands together."""

    def __init__(self, y: Matrix, strata: NDArray[np.intp]) -> None:
        self.order = np.lexsort((-y[:, 0], strata))
        time, strata = y[self.order, 0], strata[self.order]
        self.event = y[self.order, 1] == EVENT
        stratum = np.append(True, strata[1:] != strata[:-1])
        self._start, self._stop = _runs(stratum)
        self._tie_start, self._tie_stop = _runs(stratum | np.append(True, time[1:] != time[:-1]))

    def at_risk(self, values: Matrix) -> Matrix:
        """Return sums over who is at risk at each row's time, (..., n_rows)."""
        total = _cumulated(values)
        return total[..., self._tie_stop] - total[..., self._start]

    def so_far(self, values: Matrix) -> Matrix:
        """Return sums over the stratum's times up to each row's own, (..., n_rows)."""
        total = _cumulated(values)
        return total[..., self._stop] - total[..., self._tie_start]


def log_partial_likelihood(y: Matrix, strata: NDArray[np.intp], margin: Matrix) -> Vector:
    """Return Cox's log partial likelihood of log-hazards along the last axis, tied events as Breslow has them.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
    strata : ndarray of int, (n_samples,)
    margin : ndarray, (..., n_samples)

    Returns
    -------
    ndarray, (...)

    References
    ----------
    Breslow 1974, Biometrics 30:89-99.
    """
    sets = _RiskSets(y, strata)
    margin = margin[..., sets.order]
    margin = margin - margin.max(axis=-1, keepdims=True)
    at_risk = sets.at_risk(np.exp(margin))[..., sets.event]
    return np.asarray((margin[..., sets.event] - np.log(at_risk)).sum(axis=-1))


def cox_elastic_net_path(
    X: Matrix, y: Matrix, strata: NDArray[np.intp], l1_ratio: float, ratios: Vector, tol: float = 1e-4
) -> Matrix:
    r"""Return slopes of penalised Cox regression along a path of penalties.

    Minimises :math:`-\frac1n \ell(\beta) + \lambda(\rho\lVert\beta\rVert_1 + \frac{1-\rho}2\lVert\beta\rVert_2^2)`,
    with Breslow's partial likelihood :math:`\ell`, by proximal Newton steps on the Hessian's diagonal.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Standardised features.
    y : ndarray, (n_samples, 2)
    strata : ndarray of int, (n_samples,)
    l1_ratio : float
        :math:`\rho`, above 0.
    ratios : ndarray, (n_penalties,)
        Penalties as shares of the smallest one at which every slope is zero, falling by a fifth or so at a time.
    tol : float
        Largest change of a slope at which Newton's steps stop.

    Returns
    -------
    ndarray, (n_penalties, n_features)

    References
    ----------
    Simon, Friedman, Hastie and Tibshirani 2011, Journal of Statistical Software 39(5).
    """
    from sklearn.linear_model import enet_path

    sets = _RiskSets(y, strata)
    X, event = X[sets.order], sets.event.astype(np.float64)
    n, d = X.shape
    expected, _ = _expected_events(sets, np.zeros(n))
    largest = np.abs(X.T @ (event - expected)).max(initial=0) / (n * l1_ratio)
    slopes, path = np.zeros(d), np.zeros((len(ratios), d))
    for k, ratio in enumerate(ratios):
        for _ in range(50 if largest > 0 and ratio < 1 else 0):
            margin = X @ slopes
            expected, curvature = _expected_events(sets, margin)
            # Weights near zero make the working response explode; they are of who left before the first event.
            weight = np.maximum(curvature, 1e-4)
            root = np.sqrt(weight)
            _, solved, _ = enet_path(
                np.asfortranarray(X * root[:, None]),
                (margin + (event - expected) / weight) * root,
                l1_ratio=l1_ratio,
                alphas=[largest * ratio],
                # Solved in place, and what it moved must be measured.
                coef_init=slopes.copy(),
                tol=1e-6,
                max_iter=20_000,
                check_input=False,
                precompute=False,
            )
            moved, slopes = np.abs(solved[:, 0] - slopes).max(initial=0), solved[:, 0]
            if moved < tol:
                break
        path[k] = slopes
    return path


@dataclass(frozen=True)
class RiskCurve:
    """The chance of the event by a day, from log-hazards.

    Attributes
    ----------
    slope : float
        What left-out log-hazards are multiplied by; 0 where they have no skill, and every risk is then the average.
    days : ndarray, (n_days,)
        Days on which someone had the event or died.
    hazard, death : ndarray, (n_days,)
        The event's baseline hazard, and that of a death that precludes it.
    until : float
        The last day that anyone was followed.
    """

    slope: float
    days: Vector
    hazard: Vector
    death: Vector
    until: float

    def risk(self, margin: Vector, day: float) -> Vector:
        r"""Return :math:`\sum_{t \le day} S(t-) (1 - e^{-h(t) e^\eta})`, (n_samples,); NaN beyond the last day.

        :math:`\eta` are the log-hazards times the slope, and :math:`S` the chance of neither event nor death.
        """
        if day > self.until:
            return np.full(len(margin), np.nan)
        by = self.days <= day
        step = np.exp(self.slope * margin)[:, None] * self.hazard[by]
        left = step + self.death[by]
        return np.asarray((np.exp(left - np.cumsum(left, axis=1)) * -np.expm1(-step)).sum(axis=1))


def risk_curve(y: Matrix, strata: NDArray[np.intp], margin: Vector) -> RiskCurve:
    """Return the calibration of left-out log-hazards; its slope is never below 0.

    Parameters
    ----------
    y : ndarray, (n_samples, 2)
    strata : ndarray of int, (n_samples,)
        The slope is found within strata; the baseline is that of all, as for a patient of none of them.
    margin : ndarray, (n_samples,)

    References
    ----------
    Breslow 1972, Journal of the Royal Statistical Society B 34:216-217, for the baseline.
    """

    def loss(at: Vector) -> float:
        return float(-log_partial_likelihood(y, strata, at[0] * margin) / len(y))

    slope = float(minimize(loss, np.array([0.5]), bounds=[(0, None)]).x[0]) if np.ptp(margin) > 0 else 0.0
    days = np.unique(y[y[:, 1] != CENSORED, 0])
    at_risk = y[:, 0] >= days[:, None]
    events, deaths = (((y[:, 0] == days[:, None]) & (y[:, 1] == code)).sum(axis=1) for code in (EVENT, DEATH))
    hazard = events / (at_risk @ np.exp(slope * margin))
    return RiskCurve(slope, days, hazard, deaths / at_risk.sum(axis=1), float(y[:, 0].max()))


def _runs(first: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each row's run starts, and where it stops."""
    starts, run = np.flatnonzero(first), np.cumsum(first) - 1
    return starts[run], np.append(starts[1:], len(first))[run]


def _cumulated(values: Matrix) -> Matrix:
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)


def _expected_events(sets: _RiskSets, margin: Vector) -> tuple[Vector, Vector]:
    """Return each sorted row's expected events, and the diagonal of the information, both (n_samples,)."""
    relative = np.exp(margin - margin.max())
    share = sets.event / sets.at_risk(relative)
    expected = relative * sets.so_far(share)
    return expected, expected - relative**2 * sets.so_far(share**2)
