"""Families of time-to-event models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar, Protocol

import numpy as np

from features.survival import EVENT
from training.statistics.arrays import Matrix, Positions, Vector
from training.statistics.cox import cox_elastic_net_path


class SurvivalFamily(Protocol):
    """A way to fit time-to-event models."""

    @property
    def name(self) -> str:
        """The name it goes by."""

    @property
    def settings(self) -> Sequence[dict[str, Any]]:
        """The grid, fixed beforehand."""

    def margins(self, X: Matrix, y: Matrix, strata: Positions, other: Matrix, seed: int) -> Matrix:
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

    def margins(self, X: Matrix, y: Matrix, strata: Positions, other: Matrix, seed: int) -> Matrix:
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

    def margins(self, X: Matrix, y: Matrix, strata: Positions, other: Matrix, seed: int) -> Matrix:
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
