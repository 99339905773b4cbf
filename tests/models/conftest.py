"""A small invented cohort in which two taxa, an analyte and age matter, and models of every family trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from features.arrays import Positions
from features.feature_table import Block, FeatureTable
from features.settings import settings
from models.bundle import Model
from models.calibration import Calibration, fit_venn_abers
from models.encoder import BlockEncoder, Representations
from models.evidence import PooledOddsRatio, Validation
from models.evidence_upgrade import upgrade_evidence, upgrade_validation
from models.families import FAMILIES, BlockColumns
from models.prediction import LandmarkChoice, ModelReference, Prediction, Trust
from models.reference import fit_reference_set
from models.registry import client
from training.evidence.distributions import training_distributions

from ..invented import cohort_context
from ..stores import new_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

BLOCKS = ("taxa", "immune", "clinical")
PROFILER = "mpa_vOct22_CHOCOPhlAnSGB_202212"
UNITS = {"IL-6": "pg/mL", "IL-8": "ng/mL", "IL-10": "unstated", "CD40L": "NPX", "IL6 mRNA": "log2_expression"}
SIMPLE = {"elastic_net": 15, "xgboost_forest": 0, "xgboost": 7}
"""Which setting of each family the tests fit."""
EVIDENCE = upgrade_evidence(
    {
        "simulated": False,
        "beats_chance": True,
        "sentence": "on cohorts it had not seen this model did better than chance",
        "clocks": ["day_ici"],
        "landmark": 0.0,
        "per_cohort": [{"cohort": "invented", "auroc": 0.8, "auroc_low": 0.7, "auroc_high": 0.9}],
    },
    "toxicity_any",
)


def validation_of(content: dict[str, Any]) -> Validation:
    """Return a validation record with nothing but this content."""
    validation = upgrade_validation({"seed": 0, **content}, EVIDENCE, "elastic_net")
    assert validation is not None
    return validation


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
    genera = [i % 7 if i < 21 else i for i in range(n_taxa)]
    return FeatureTable(
        rows=pd.DataFrame({"cohort": "invented", "patient": [f"p{i}" for i in range(n)], "sample_day": -1.0}),
        taxa=Block(tuple(f"Genus{g}_species{i}" for i, g in enumerate(genera)), taxa / taxa.sum(axis=1, keepdims=True)),
        immune=Block(tuple(UNITS), immune),
        clinical=Block(("age", "sex=female", "sex=male"), clinical),
        technical=Block((), np.empty((n, 0))),
        units=dict(UNITS),
        cohorts={"invented": cohort_context(profiler=PROFILER)},
        notes=(),
    )


def prediction_of(outcome: str, probability: float | None, odds_ratios: Sequence[PooledOddsRatio] = ()) -> Prediction:
    """Return a prediction of which only the outcome, the probability and the odds ratios matter."""
    trust = Trust("ok", (), (), (), *[None] * 11, (), ())
    landmark = LandmarkChoice(0.0, (0.0,), None, None, "")
    reference = ModelReference("model", "1", "", "", "elastic_net", ("taxa",))
    evidence = replace(EVIDENCE, odds_ratios=tuple(odds_ratios))
    return Prediction(outcome, "", probability, None, None, None, reference, evidence, trust, (), False, landmark, "")


def outcome_of(table: FeatureTable) -> NDArray[np.float64]:
    score = np.log(table.taxa.values[:, 0] + 1e-3) - np.log(table.taxa.values[:, 1] + 1e-3)
    score = score + 0.1 * (np.nan_to_num(table.clinical.values[:, 0], nan=60) - 60)
    return (score > np.median(score)).astype(np.float64)


def one_stratum(X: NDArray[np.float64]) -> Positions:
    return np.zeros(len(X), dtype=np.intp)


@cache
def trained(
    family: str, blocks: Sequence[str] = BLOCKS, representation: Representations = "clr", outcome: str = "toxicity_any"
) -> Model:
    table = invented()
    encoder = BlockEncoder(blocks, representation)
    X = encoder.fit_transform(table)
    family_to_fit, y, strata = FAMILIES[family], outcome_of(table), one_stratum(X)
    if isinstance(representation, tuple):
        columns = [BlockColumns(tuple(encodings)) for encodings in encoder.encodings_.values()]
        predictor = family_to_fit.fit_average(X, y, strata, columns, seed=1)
    else:
        predictor = family_to_fit.fit(X, y, strata, family_to_fit.settings[SIMPLE[family]], seed=1)
    return Model(
        outcome=outcome,
        family=family,
        encoder=encoder,
        predictor=predictor,
        calibration=Calibration(0.8, -0.1),
        units={name: UNITS[name] for name in encoder.names_.get("immune", ())},
        profilers=(PROFILER,),
        evidence=EVIDENCE,
        card="# A card\n",
    )


@cache
def complete(family: str, blocks: Sequence[str] = BLOCKS, representation: Representations = "clr") -> Model:
    """Return a model with all that protocol 2 added."""
    table, base = invented(), trained(family, blocks, representation)
    margin = base.predictor.margin(base.encoder.transform(table))
    taxa = table.taxa if "taxa" in blocks else None
    outcomes = {"toxicity_any": outcome_of(table), "objective_response": np.where(np.arange(60) % 2, np.nan, 1.0)}
    return replace(
        base,
        calibration=replace(base.calibration, venn_abers=fit_venn_abers(margin, 1 - outcome_of(invented(seed=5)))),
        reference=taxa and fit_reference_set(taxa.values, taxa.names, table.rows["cohort"].tolist(), outcomes),
        validation=replace(validation_of({}), distributions=training_distributions(table, base.encoder)),
        card_html="<!doctype html><title>A card</title><p>A card, ünïcode",
    )


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of an SQLite store that the settings name."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
        settings.cache_clear()
        client().create_experiment("models", artifact_location=(folder / "artefacts").as_uri())
        yield folder
    settings.cache_clear()


@pytest.fixture
def store(home: Path) -> Iterator[MlflowClient]:
    """Return a client of the store, whose registry is empty before and after."""
    result = client()
    yield result
    for registered in result.search_registered_models():
        result.delete_registered_model(registered.name)
