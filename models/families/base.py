"""The contract of a family of classifiers, and of what it fits.

A family fits a grid of settings that is fixed beforehand. `margins` fits the whole grid to the training rows and
returns the log-odds of other rows for each setting, so that settings share work; `fit` fits one setting. The fitted
predictor returns log-odds, and contributions that add up to them. A bundle keeps it as arrays or as XGBoost's UBJ,
never as a pickle.

Training rows are stratified by cohort, and each stratum has an intercept of its own. So differences of the response
rate between hospitals do not teach a model how their stool samples differ. A new patient belongs to no stratum: the
log-odds are relative to the training rows' mean, and calibration sets their level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from features.arrays import Matrix, Positions, Vector

Setting = Mapping[str, float]
"""Hyperparameters of one fit, by name."""


class Predictor(Protocol):
    """A fitted classifier."""

    @property
    def n_features(self) -> int:
        """Number of columns that it reads."""

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return SHAP values on the log-odds scale, (n_samples, n_features), and their base value."""


class Family(Protocol):
    """A family of classifiers with its grid of settings."""

    @property
    def name(self) -> str:
        """Name of the family."""

    @property
    def settings(self) -> Sequence[Setting]:
        """The grid."""

    @property
    def by_block(self) -> bool:
        """Whether each block is fitted separately, and the blocks' log-odds are added."""

    @property
    def seeded(self) -> bool:
        """Whether a fit depends on its seed."""

    def margins(self, X: Matrix, y: Vector, strata: Positions, X_new: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return the log-odds of `X_new`, (n_settings, n_new)."""

    def fit(self, X: Matrix, y: Vector, strata: Positions, setting: Setting, seed: int) -> Predictor:
        """Fit one setting."""
