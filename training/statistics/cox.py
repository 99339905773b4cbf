"""Cox's partial likelihood, and its elastic net."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.survival import EVENT
from training.statistics.arrays import Matrix, Positions, Vector


class _RiskSets:
    """Rows sorted by stratum and from the longest time to the shortest, so that who is at risk stands together."""

    def __init__(self, y: Matrix, strata: Positions) -> None:
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


def log_partial_likelihood(y: Matrix, strata: Positions, margin: Matrix) -> Vector:
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
    X: Matrix, y: Matrix, strata: Positions, l1_ratio: float, ratios: Vector, tol: float = 1e-4
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


def _runs(first: NDArray[np.bool_]) -> tuple[Positions, Positions]:
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
