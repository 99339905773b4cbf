"""The families of time-to-event models: Cox regression with an elastic net, and boosted trees.

Both rank patients by log-hazard. An outcome is `y`, (n_samples, 2): days, above 0, and how they end, as in
`features.survival`. A death that precludes the event ends the observation as censoring does, so that hazards are
specific to the event; `training.statistics.risk_curve` takes the dead as patients who never have the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar, Protocol

import numpy as np

from features.arrays import Matrix, Positions, Vector
from features.survival import EVENT
from training.statistics.cox import cox_elastic_net_path

Setting = dict[str, float]
"""Hyperparameters by name."""


class SurvivalFamily(Protocol):
    """A family of time-to-event models with a fixed grid of settings."""

    @property
    def name(self) -> str:
        """Name of the family."""

    @property
    def settings(self) -> Sequence[Setting]:
        """The grid, fixed beforehand."""

    def margins(self, X: Matrix, y: Matrix, strata: Positions, X_held_out: Matrix, seed: int) -> Matrix:
        """Fit every setting, and return the log-hazards of held-out rows, (n_settings, n_held_out).

        Log-hazards are relative to the mean of the training rows, so that folds compare.

        Parameters
        ----------
        X : ndarray, (n_samples, n_features)
        y : ndarray, (n_samples, 2)
        strata : ndarray of int, (n_samples,)
        X_held_out : ndarray, (n_held_out, n_features)
        seed : int
        """


class CoxElasticNet:
    """Cox regression with an elastic net penalty and a baseline hazard for each stratum."""

    name: ClassVar[str] = "cox_elastic_net"
    _l1_ratios: ClassVar[tuple[float, ...]] = (0.1, 0.5, 0.95)
    _lambda_ratios: ClassVar[Vector] = np.geomspace(1, 0.1, 12).round(4)
    settings: ClassVar[Sequence[Setting]] = [
        {"l1_ratio": l1_ratio, "lambda_ratio": ratio}
        for l1_ratio, ratio in product(_l1_ratios, _lambda_ratios.tolist())
    ]

    def margins(self, X: Matrix, y: Matrix, strata: Positions, X_held_out: Matrix, seed: int) -> Matrix:
        """Fit every setting, and return the log-hazards of held-out rows, (n_settings, n_held_out)."""
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        Z = (X - mean) / scale
        slopes = [cox_elastic_net_path(Z, y, strata, l1_ratio, self._lambda_ratios) for l1_ratio in self._l1_ratios]
        return np.asarray(np.concatenate(slopes) @ ((X_held_out - mean) / scale).T)


class XGBoostSurvival:
    """Boosted trees on Cox's partial likelihood, which XGBoost does not stratify."""

    name: ClassVar[str] = "xgboost_survival"
    _depths: ClassVar[tuple[int, ...]] = (2, 4)
    _rounds: ClassVar[tuple[int, ...]] = (5, 15, 30, 60)
    settings: ClassVar[Sequence[Setting]] = [
        {"max_depth": depth, "rounds": rounds} for depth, rounds in product(_depths, _rounds)
    ]

    def margins(self, X: Matrix, y: Matrix, strata: Positions, X_held_out: Matrix, seed: int) -> Matrix:
        """Fit every setting, and return the log-hazards of held-out rows, (n_settings, n_held_out)."""
        if not X.shape[1]:
            return np.zeros((len(self.settings), len(X_held_out)))
        import xgboost

        params = {"objective": "survival:cox", "max_bin": 32, "nthread": 1, "seed": seed, "verbosity": 0}
        params |= {"learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.5, "min_child_weight": 2}
        # XGBoost takes censored times as negative.
        train = xgboost.DMatrix(X, np.where(y[:, 1] == EVENT, y[:, 0], -y[:, 0]), nthread=1)
        test, margins = xgboost.DMatrix(X_held_out, nthread=1), []
        for depth in self._depths:
            booster = xgboost.train({**params, "max_depth": depth}, train, num_boost_round=max(self._rounds))
            for rounds in self._rounds:
                test_margin, train_margin = (
                    booster.predict(rows, output_margin=True, iteration_range=(0, rounds)) for rows in (test, train)
                )
                margins.append(test_margin - train_margin.mean())
        return np.asarray(margins, dtype=np.float64)


SURVIVAL_FAMILIES: dict[str, SurvivalFamily] = {family.name: family for family in (CoxElasticNet(), XGBoostSurvival())}
"""Every family by its name."""
