"""Old bundles load for ever and predict as they did.

`golden/` holds a bundle of each family and each protocol, with its predictions when it was written. They are never
written anew; a new protocol adds its own:

    python -c "from tests.models.test_golden import write_golden; write_golden()"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.batch import numbers_candidate
from models.bundle import PROTOCOL, Model, load_bundle, save_bundle
from models.calibration import Calibration, fit_venn_abers
from models.drift import drift
from models.encoder import BlockEncoder
from models.families import FAMILIES, BlockColumns, ElasticNet, Family, Predictor
from models.patient_input import Candidate
from models.predict import ServedModel, predict
from models.rates import similar_predictions
from models.reference import fit_reference_set
from training.evidence.distributions import training_distributions
from training.evidence.rates import outcomes_by_probability

from .conftest import BLOCKS, EVIDENCE, PROFILER, UNITS, invented, one_stratum, outcome_of, validation_of

Numbers = dict[str, dict[str, float]]
GOLDEN = Path(__file__).with_name("golden")
AVERAGE = "elastic_net_average"
"""The elastic net's average over two representations side by side."""
_SETTING = {"elastic_net": -1, "xgboost_forest": 0, "xgboost": 1}
KEPT = sorted(GOLDEN.glob("protocol_*_*.json"))


def write_golden() -> None:
    """Write a bundle of each family, trained on invented numbers, with predictions for five candidates."""
    for name in (*FAMILIES, AVERAGE):
        folder = GOLDEN / f"protocol_{PROTOCOL}_{name}"
        table = invented(40, 8)
        encoder = BlockEncoder(BLOCKS, ("clr", "genus_presence") if name == AVERAGE else "clr")
        X, y = encoder.fit_transform(table), outcome_of(table)
        counterpart = np.where(np.arange(40) % 4 == 0, np.nan, np.arange(40) % 3 == 0)
        if name == AVERAGE:
            columns = [BlockColumns(tuple(encodings)) for encodings in encoder.encodings_.values()]
            predictor: Predictor = ElasticNet().fit_average(X, y, one_stratum(X), columns, seed=0)
        else:
            family = FAMILIES[name]
            predictor = _small(family).fit(X, y, one_stratum(X), family.settings[_SETTING[name]], seed=0)
        model = Model(
            outcome="objective_response",
            family=name.removesuffix("_average"),
            encoder=encoder,
            predictor=predictor,
            calibration=Calibration(0.9, 0.2, fit_venn_abers(predictor.margin(X), (y + (np.arange(40) % 5 == 0)) % 2)),
            units=dict(UNITS),
            profilers=(PROFILER,),
            evidence=replace(EVIDENCE, outcome="objective_response", simulated=True, auroc_of="probability"),
            card="# A golden bundle\n\nInvented numbers.\n",
            reference=fit_reference_set(
                table.taxa.values,
                table.taxa.names,
                ["invented"] * 20 + ["invented too"] * 20,
                {"objective_response": y, "toxicity_any": counterpart},
            ),
            validation=replace(
                validation_of({}),
                outcomes_by_probability=outcomes_by_probability(y, np.linspace(0.1, 0.9, 40)),
                distributions=training_distributions(table, encoder),
            ),
            card_html="<!doctype html><title>A golden bundle</title><p>Invented numbers.",
        )
        save_bundle(model, folder)
        candidates = [_numbers(i) for i in range(5)]
        golden = {
            "candidates": candidates,
            "answers": [_predict(model, numbers) for numbers in candidates],
            "drift": _drift(model, candidates),
        }
        folder.with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")


def _small(family: Family) -> Family:
    if isinstance(family, ElasticNet):
        return family
    params = {**family.params, "num_parallel_tree": min(family.params.get("num_parallel_tree", 1), 8)}  # type: ignore[attr-defined]
    return replace(family, params=params)  # type: ignore[type-var]


def _numbers(i: int) -> Numbers:
    table = invented(40, 8, seed=1)
    rows = ((block, table.block(block)) for block in BLOCKS)
    return {
        block: {
            n: round(v, 6)
            for n, v in zip(block_table.names, block_table.values[i].tolist(), strict=True)
            if np.isfinite(v)
        }
        for block, block_table in rows
    }


def _candidate(model: Model, numbers: Numbers) -> Candidate:
    return numbers_candidate(*(numbers.get(block, {}) for block in BLOCKS), units=model.units)


def _drift(model: Model, candidates: Sequence[Numbers]) -> list[list[Any]]:
    """Return each column's stability and each taxon's p; the draws behind a stability's p are NumPy's to change."""
    report = drift(model, [_candidate(model, numbers) for numbers in candidates])
    return [
        *sorted([column.name, column.psi] for column in report.columns),
        *sorted([taxon.name, taxon.p] for taxon in report.taxa),
    ]


def _predict(model: Model, numbers: Numbers) -> dict[str, Any]:
    """Return the numbers of a prediction, under the names that the kept files give them."""
    prediction = predict([ServedModel(model, "golden", "1", "", "")], _candidate(model, numbers))
    assert prediction.explanation is not None
    assert prediction.probability is not None
    probability_range, trust = prediction.probability_range, prediction.trust
    group = similar_predictions(model.validation, prediction.probability)
    return {
        "probability": prediction.probability,
        "margin": prediction.explanation.value,
        "base_value": prediction.explanation.base_value,
        "shap": {term.feature: term.shap for term in prediction.explanation.contributions},
        "verdict": trust.verdict,
        "range": probability_range and [probability_range.low, probability_range.high],
        "distance": trust.distance,
        "nearest_centre": trust.nearest_centre,
        "nearest": [[row.outcome, row.events, row.patients] for row in prediction.nearest],
        "like": group and [group.outcomes.events, group.outcomes.patients],
    }


def test_every_family_has_a_golden_bundle_of_every_protocol() -> None:
    expected_names = {f"protocol_{protocol}_{name}" for protocol in range(1, PROTOCOL + 1) for name in FAMILIES}
    # Averages came with protocol 3.
    expected_names |= {f"protocol_{protocol}_{AVERAGE}" for protocol in range(3, PROTOCOL + 1)}
    # Before protocol 3, XGBoost's forest was called a random forest.
    expected_names = {
        name.replace("2_xgboost_forest", "2_random_forest").replace("1_xgboost_forest", "1_random_forest")
        for name in expected_names
    }
    assert {path.stem for path in KEPT} == expected_names
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} == expected_names


@pytest.mark.parametrize("golden", KEPT, ids=lambda path: path.stem)
def test_an_old_bundle_predicts_as_it_did(golden: Path) -> None:
    model = load_bundle(golden.with_suffix(""))
    content = json.loads(golden.read_text())
    for numbers, expected_prediction in zip(content["candidates"], content["answers"], strict=True):
        now = _predict(model, numbers)
        assert (now["verdict"], now["nearest_centre"]) == (
            expected_prediction["verdict"],
            expected_prediction.get("nearest_centre"),
        )
        assert (now["nearest"], now["like"]) == (
            expected_prediction.get("nearest", []),
            expected_prediction.get("like"),
        )
        assert now["range"] == (
            expected_prediction.get("range") and pytest.approx(expected_prediction["range"], abs=1e-9)
        )
        assert now["distance"] == (
            expected_prediction.get("distance") and pytest.approx(expected_prediction["distance"], abs=1e-6)
        )
        assert now["probability"] == pytest.approx(expected_prediction["probability"], abs=1e-6)
        assert now["margin"] == pytest.approx(expected_prediction["margin"], abs=1e-6)
        assert now["base_value"] == pytest.approx(expected_prediction["base_value"], abs=1e-6)
        assert now["shap"] == pytest.approx(expected_prediction["shap"], abs=1e-6)
    assert len({expected_prediction["probability"] for expected_prediction in content["answers"]}) > 1
    for now, expected_prediction in zip(_drift(model, content["candidates"]), content.get("drift", []), strict=True):
        assert now == [expected_prediction[0], pytest.approx(expected_prediction[1], abs=1e-9)]


@pytest.mark.parametrize("golden", KEPT, ids=lambda path: path.stem)
def test_a_golden_bundle_is_small(golden: Path) -> None:
    assert sum(path.stat().st_size for path in golden.with_suffix("").iterdir()) < 60_000


@pytest.mark.parametrize("golden", KEPT, ids=lambda path: path.stem)
def test_an_old_bundle_says_that_its_auroc_is_of_the_margin(golden: Path) -> None:
    model = load_bundle(golden.with_suffix(""))
    protocol = int(golden.stem.split("_")[1])
    evidence = model.evidence
    assert evidence.auroc_of == ("margin" if protocol < 4 else "probability")
    if protocol < 4:
        assert evidence.margin_auroc == evidence.held_out_auroc
