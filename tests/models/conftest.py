"""A small invented cohort in which two taxa, an analyte and age matter, and models of every family trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from features.landmark import BLOCKS, Block, FeatureTable
from models.bundle import Calibration, Model
from models.encoder import BlockEncoder, Representation
from models.families import FAMILIES

# A busy machine is no failure.
settings.register_profile("models", deadline=None)
settings.load_profile("models")

PROFILER = "mpa_vOct22_CHOCOPhlAnSGB_202212"
UNITS = {"IL-6": "pg/mL", "IL-8": "ng/mL", "IL-10": "unstated", "CD40L": "NPX", "IL6 mRNA": "log2_expression"}
SIMPLE = {"elastic_net": 20, "random_forest": 0, "xgboost": 7}
"""Which setting of each family the tests fit."""
EVIDENCE: dict[str, Any] = {
    "simulated": False,
    "beats_chance": True,
    "sentence": "on cohorts it had not seen this model did better than chance",
    "clocks": ["day_ici"],
    "landmark": 0.0,
}


def invented(n: int = 60, n_taxa: int = 25, seed: int = 0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    taxa = rng.lognormal(0, 2, (n, n_taxa)) * (rng.random((n, n_taxa)) < np.linspace(1, 0.05, n_taxa))
    taxa[:, 0] += 1e-3
    immune = rng.lognormal(1, 1, (n, len(UNITS)))
    rows = np.arange(0, n, 3)
    immune[rows, rows % len(UNITS)] = np.nan
    immune[:2, 0], immune[2, 1] = -np.inf, np.inf
    female = rng.random(n) < 0.5
    clinical = np.column_stack([rng.normal(60, 10, n), female, ~female])
    clinical[rng.random(n) < 0.1, 0] = np.nan
    return FeatureTable(
        rows=pd.DataFrame({"cohort": "invented", "patient": [f"p{i}" for i in range(n)], "sample_day": -1.0}),
        taxa=Block(tuple(f"Genus{i % 7}_species{i}" for i in range(n_taxa)), taxa / taxa.sum(axis=1, keepdims=True)),
        immune=Block(tuple(UNITS), immune),
        clinical=Block(("age", "sex=female", "sex=male"), clinical),
        units=dict(UNITS),
        cohorts={"invented": {"simulated": True, "profiler": PROFILER, "clock": "day_ici"}},
        notes=(),
    )


def outcome_of(table: FeatureTable) -> NDArray[np.float64]:
    score = np.log(table.taxa.values[:, 0] + 1e-3) - np.log(table.taxa.values[:, 1] + 1e-3)
    score = score + 0.1 * (np.nan_to_num(table.clinical.values[:, 0], nan=60) - 60)
    return (score > np.median(score)).astype(np.float64)


@cache
def trained(
    family: str, blocks: Sequence[str] = BLOCKS, representation: Representation = "clr", outcome: str = "toxicity_any"
) -> Model:
    table = invented()
    encoder = BlockEncoder(blocks, representation)
    X = encoder.fit_transform(table)
    chosen = FAMILIES[family]
    return Model(
        outcome=outcome,
        family=family,
        encoder=encoder,
        predictor=chosen.fit(X, outcome_of(table), chosen.settings[SIMPLE[family]], seed=1),
        calibration=Calibration(0.8, -0.1),
        units={name: UNITS[name] for name in encoder.names_.get("immune", ())},
        profilers=(PROFILER,),
        evidence=dict(EVIDENCE),
        card="# A card\n",
    )


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)
