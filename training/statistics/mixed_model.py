"""The linear mixed model of changes that patients differ in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import t as student

from training.statistics.arrays import Matrix, Vector
from training.statistics.sign_flip import MeanChange

LEVEL = 0.95


def mixed_slope(y: Vector, x: Vector, patient: NDArray[Any]) -> MeanChange:
    r"""Return the mean slope of `y` on `x` over patients who each have an intercept and a slope of their own.

    .. math:: y_{it} = \beta_0 + b_{0i} + (\beta_1 + b_{1i})\, x_{it} + e_{it}, \qquad b_i \sim N(0, \sigma^2 \Psi)

    fitted by restricted maximum likelihood (Laird and Ware 1982, Biometrics 38:963-974). A patient with one value of
    `x` tells of the intercept. Where `x` is 0 before and 1 after, the slope is the change, and the random slope lets
    patients differ in it. The slope over its standard error is referred to Student's t with one degree of freedom less
    than the patients who have several values of `x`; with complete pairs this is the paired t test.

    Parameters
    ----------
    y, x : ndarray, (n_draws,)
    patient : ndarray, (n_draws,)
        Whose each is; at least two patients have several values of `x`.
    """
    _, who = np.unique(patient, return_inverse=True)
    n = int(who.max()) + 1
    # The fit is the same on any scale, and quickest on one without units.
    scale, unit = float(np.std(y)) or 1.0, float(np.std(x))
    design = np.column_stack([np.ones(len(x)), (x - x.mean()) / unit])
    a, c = np.zeros((n, 2, 2)), np.zeros((n, 2))
    np.add.at(a, who, design[:, :, None] * design[:, None, :])
    np.add.at(c, who, design * (y / scale)[:, None])
    square, freedom = float((y / scale) @ (y / scale)), len(y) - 2

    def solved(theta: Vector) -> tuple[float, Vector, Matrix]:
        """Return the criterion, the coefficients and their covariance; theta is Cholesky's root of Ψ."""
        root = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        psi = root @ root.T
        # Woodbury: the same as with each patient's covariance matrix inverted, at the size of the design.
        inner = np.eye(2) + a @ psi
        weighted = np.linalg.solve(inner, np.concatenate([a, c[:, :, None]], axis=2))
        precision, moment = weighted[:, :, :2].sum(axis=0), weighted[:, :, 2].sum(axis=0)
        beta = np.linalg.solve(precision, moment)
        left = square - np.einsum("ni,ij,nj->", c, psi, weighted[:, :, 2]) - beta @ moment
        variance = max(float(left), 1e-12) / freedom
        criterion = freedom * np.log(variance) + np.log(np.linalg.det(inner)).sum()
        return float(criterion + np.log(np.linalg.det(precision))), beta, variance * np.linalg.inv(precision)

    bounds = [(0.0, 1e3), (-1e3, 1e3), (0.0, 1e3)]
    starts = (np.array([1.0, 0.0, 0.3]), np.array([0.1, 0.0, 0.1]))
    fits = [minimize(lambda theta: solved(theta)[0], start, method="L-BFGS-B", bounds=bounds) for start in starts]
    _, beta, covariance = solved(min(fits, key=lambda fit: float(fit.fun)).x)
    spread = np.array([np.ptp(x[who == one]) > 0 for one in range(n)])
    informed = int(spread.sum())
    estimate, error = (float(found) * scale / unit for found in (beta[1], np.sqrt(covariance[1, 1])))
    if np.ptp(y) == 0:
        return MeanChange(informed, 0.0, 0.0, 0.0, LEVEL, 1.0, 1.0, 1.0)
    below, greater = (float(student.cdf(side * estimate / error, informed - 1)) for side in (1, -1))
    half = float(student.ppf((1 + LEVEL) / 2, informed - 1)) * error
    return MeanChange(
        informed, estimate, estimate - half, estimate + half, LEVEL, 2 * min(below, greater), greater, below
    )
