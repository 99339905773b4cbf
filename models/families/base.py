"""The contract of a family of classifiers, and of what it fits.

A family fits a grid of settings that is fixed beforehand. `fit_average` fits all that it would choose from, and
averages with weights that are fixed beforehand too: nothing is selected. For selection by inner validation, `margins`
fits the whole grid to the training rows and returns the log-odds of other rows for each setting, so that settings share
work, and `fit` fits one setting. The fitted predictor returns log-odds, and contributions that add up to them. A bundle
keeps it as arrays or as XGBoost's UBJ, never as a pickle.

Training rows are stratified by cohort, and each stratum has an intercept of its own. So differences of the response
rate between hospitals do not teach a model how their stool samples differ. A new patient belongs to no stratum: the
log-odds are relative to the training rows' mean, and calibration sets their level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from features.arrays import Matrix, Positions, Vector

Setting = Mapping[str, float]
"""Hyperparameters of one fit, by name."""


@dataclass(frozen=True)
class BlockColumns:
    """The columns of an encoded matrix that describe one block.

    Attributes
    ----------
    encodings : tuple of slice
        Columns of each encoding of the block.
    signs : tuple of int or None
        Of a block of few covariates, the sign that the slope of each column may have: 1, -1, or 0 for either. None for
        a block of many measurements, none of which is expected to matter.
    """

    encodings: tuple[slice[int, int, int], ...]
    signs: tuple[int, ...] | None = None


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
        """Fit one setting to `X`, (n_samples, n_features), `y` and `strata`, (n_samples,)."""

    def fit_average(
        self, X: Matrix, y: Vector, strata: Positions, blocks: Sequence[BlockColumns], seed: int
    ) -> Predictor:
        """Fit every setting to every representation, and average them with weights fixed beforehand.

        Parameters
        ----------
        X : ndarray, (n_samples, n_features)
        y : ndarray, (n_samples,)
            0 or 1.
        strata : ndarray of int, (n_samples,)
        blocks : sequence of BlockColumns
            Columns of `X`, block by block.
        seed : int
        """
