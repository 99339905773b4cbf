"""XGBoost ensembles: boosted trees, and forests by its forest mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from features.arrays import Matrix, Positions, Vector
from models.families.base import BlockColumns, Predictor, Setting
from models.families.linear import LinearPredictor
from models.families.tree_check import require_sound_trees

if TYPE_CHECKING:
    # Its import takes a second, and a linear model needs none.
    import xgboost


class TreePredictor:
    """A fitted XGBoost ensemble, boosted or a forest.

    Parameters
    ----------
    booster : xgboost.Booster
        The ensemble. It is set to one thread, since serving scales by workers.
    """

    def __init__(self, booster: xgboost.Booster) -> None:
        import xgboost

        self._matrix = xgboost.DMatrix
        self.booster = booster
        booster.set_param({"nthread": 1})

    @property
    def n_features(self) -> int:
        """Number of columns that it reads."""
        return int(self.booster.num_features())

    def margin(self, X: Matrix) -> Vector:
        """Return log-odds, (n_samples,)."""
        return np.asarray(self.booster.predict(self._matrix(X, nthread=1), output_margin=True), dtype=np.float64)

    def contributions(self, X: Matrix) -> tuple[Matrix, float]:
        """Return exact TreeSHAP values, (n_samples, n_features), and their base value.

        They are float32 inside XGBoost, and add up to the margin within about 1e-5.

        References
        ----------
        Lundberg et al. 2020, Nature Machine Intelligence 2:56-67.
        """
        terms = np.asarray(self.booster.predict(self._matrix(X, nthread=1), pred_contribs=True), dtype=np.float64)
        return terms[:, :-1], float(terms[0, -1])

    def ubj(self) -> bytes:
        """Return the ensemble in XGBoost's own UBJ format."""
        return bytes(self.booster.save_raw(raw_format="ubj"))

    @classmethod
    def from_ubj(cls, raw: bytes) -> TreePredictor:
        """Return the ensemble that `ubj` wrote."""
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        require_sound_trees(booster)
        return cls(booster)


@dataclass(frozen=True)
class TreeFamily:
    """A family of XGBoost ensembles.

    Attributes
    ----------
    name : str
    params : mapping of str to float
        Parameters of XGBoost that all settings share.
    depths, rounds : tuple of int
        Depths of the trees and numbers of boosting rounds, which the grid crosses.
    average_setting : mapping of str to float
        The setting of `fit_average`. Each round averages `num_parallel_tree` trees, each grown on its own sample of
        rows and features.
    subsample_features : bool
        Whether each tree draws a quarter of the features, and each node about the square root of all.
    """

    name: str
    params: Mapping[str, float]
    depths: tuple[int, ...]
    rounds: tuple[int, ...]
    average_setting: Setting
    subsample_features: bool = False
    by_block: ClassVar[bool] = False
    seeded: ClassVar[bool] = True

    @property
    def settings(self) -> Sequence[Setting]:
        """The grid."""
        return [{"max_depth": depth, "rounds": rounds} for depth in self.depths for rounds in self.rounds]

    def margins(self, X: Matrix, y: Vector, strata: Positions, X_new: Matrix, seed: int) -> Matrix:
        """Fit every setting to `X` and `y`, and return the log-odds of `X_new`, (n_settings, n_new)."""
        if not X.shape[1]:
            return np.zeros((len(self.settings), len(X_new)))
        import xgboost

        rows = xgboost.DMatrix(X_new, nthread=1)
        margins = []
        for depth in self.depths:
            booster = self._train(X, y, strata, {"max_depth": depth, "rounds": max(self.rounds)}, seed)
            # The first k rounds of a longer fit are the fit of k rounds.
            margins += [booster.predict(rows, output_margin=True, iteration_range=(0, k)) for k in self.rounds]
        return np.asarray(margins, dtype=np.float64)

    def fit(self, X: Matrix, y: Vector, strata: Positions, setting: Setting, seed: int) -> Predictor:
        """Fit one setting."""
        if not X.shape[1]:
            # There is no feature to learn from, and XGBoost refuses a matrix without columns.
            return LinearPredictor(0.0, np.zeros(0), np.zeros(0))
        return TreePredictor(self._train(X, y, strata, setting, seed))

    def fit_average(
        self, X: Matrix, y: Vector, strata: Positions, blocks: Sequence[BlockColumns], seed: int
    ) -> Predictor:
        """Fit one bagged ensemble to the columns of all blocks and encodings.

        References
        ----------
        Breiman 1996, Machine Learning 24:123-140.
        """
        return self.fit(X, y, strata, self.average_setting, seed)

    def _train(self, X: Matrix, y: Vector, strata: Positions, setting: Setting, seed: int) -> xgboost.Booster:
        import xgboost

        # Cohorts have hundreds of patients: 32 bins lose nothing, and fit several times as fast as 256.
        fixed = {"objective": "binary:logistic", "base_score": 0.5, "max_bin": 32, "nthread": 1, "verbosity": 0}
        sampled = {}
        if self.subsample_features:
            # Histograms are built for a tree's features only, so fewer features a tree save time.
            sampled = {"colsample_bytree": 0.25, "colsample_bynode": min(1.0, 4 * X.shape[1] ** -0.5)}
        prevalence = (np.bincount(strata, y) + 0.5) / (np.bincount(strata) + 1)
        data = xgboost.DMatrix(X, y, base_margin=np.log(prevalence / (1 - prevalence))[strata], nthread=1)
        params = {**fixed, **self.params, **sampled, **setting, "seed": seed}
        return xgboost.train(params, data, num_boost_round=int(params.pop("rounds")))
