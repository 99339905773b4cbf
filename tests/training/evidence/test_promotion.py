"""Gates: a strong model passes every one, and each single fault closes its own and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from features.columns import BLOCKS
from features.errors import InputError, ModelMissing
from models.bundle import Calibration, Model
from models.encoder import BlockEncoder
from models.evidence import Validation
from models.evidence_upgrade import upgrade_evidence, upgrade_validation
from models.families import LinearPredictor
from models.registry import client, log_bundle, register, served_models
from taxokine.cli import main
from training.evidence.promotion import gates, mean_off, promote

from .validations import loco, single, strong

NAMES = ["prediction interval", "permutation", "gain", "Brier score", "calibration", "sample size", "audit"]


def closed(validation: dict[str, Any]) -> dict[str, str]:
    return {gate.name: gate.found for gate in gates(validation) if not gate.passed}


def changed(**path: Any) -> dict[str, Any]:
    """Return the strong model with `a__b=value` set at `["a"]["b"]`."""
    found = strong()
    for name, value in path.items():
        *parents, last = name.split("__")
        at = found
        for parent in parents:
            at = at[parent]
        at[last] = value
    return found


def record(content: dict[str, Any]) -> Validation:
    """Return a validation record of simulated patients."""
    summary = {**content, "simulated": True, "per_cohort": [], "scheme": "each cohort left out in turn"}
    evidence = upgrade_evidence(summary, "objective_response")
    validation = upgrade_validation(content, evidence, "elastic_net")
    assert validation is not None
    return validation


def error(*, waived: bool) -> dict[str, Any]:
    return {"code": "inverted-outcome", "severity": "error", "cohort": "mitox", "rows": 2, "description": "",
            "consequence": "", "remedy": "", "waived": waived}  # fmt: skip


def test_the_gates_are_these():
    assert [gate.name for gate in gates(strong())] == NAMES


def test_a_strong_model_passes_all_and_one_without_skill_none():
    assert closed(strong()) == {}
    assert list(closed(loco())) == NAMES


@pytest.mark.parametrize(
    ("gate", "said", "fault"),
    [
        ("prediction interval", "0.500 to 0.880, from 5", {"random_effects__prediction_low": 0.4999}),
        ("prediction interval", "only 2 left-out", {"random_effects__k": 2, "random_effects__prediction_low": None}),
        ("prediction interval", "no cohort was left out", {"scheme": "cv"}),
        ("permutation", "not computed; train with --permutations 200", {"permutation": None}),
        ("permutation", "for the best of 12 models; train", {"permutation__best_of": None}),
        ("permutation", "p = 0.05, 200 refits of the best of 12", {"permutation__best_of__p": 0.05}),
        ("gain", "not computed", {"gain": None}),
        ("gain", "-0.001", {"gain__low": -0.001}),
        ("Brier score", "0.242; prevalence 0.241", {"within__brier": 0.242}),
        ("calibration", "slope not estimable", {"calibration__slope": None}),
        ("calibration", "slope 1.40", {"calibration__slope": 1.4, "calibration__slope_low": 1.01}),
        ("sample size", "185 patients", {"sample_size__needed": 186}),
        ("sample size", "185 patients", {"sample_size__needed": None}),
        ("audit", "inverted-outcome in mitox", {"audit": [error(waived=False)]}),
        ("audit", "inverted-outcome in mitox (waived)", {"audit": [error(waived=True)]}),
        ("audit", "labels of different meaning", {"pooled_labels": True}),
    ],
)
def test_each_fault_closes_its_gate_alone(gate, said, fault):
    found = closed(changed(**fault))
    assert list(found) == [gate]
    assert said in found[gate]


def test_a_model_that_was_not_chosen_is_judged_by_its_own_null():
    alone = changed(chosen_from=1, permutation__best_of=None)
    assert closed(alone) == {}
    assert list(closed(changed(chosen_from=1, permutation__best_of=None, permutation__p=0.2))) == ["permutation"]
    # Chosen from many, its own p does not count.
    assert closed(changed(permutation__p=0.9)) == {}


def test_calibration_in_the_large_is_the_mean_over_patients():
    off = strong()
    off["per_cohort"][-1]["calibration"]["in_the_large"] = -0.35
    sizes = [one["patients"] for one in off["per_cohort"]]
    expected = np.average([0.02, 0.02, 0.02, 0.02, 0.35], weights=sizes)
    assert mean_off(off) == pytest.approx(expected)
    assert list(closed(off)) == ["calibration"]


@given(st.floats(-1, 1), st.floats(0.001, 1.5), st.floats(0.001, 1.5))
def test_a_slope_passes_if_its_interval_holds_1_or_stays_near(shift, below, above):
    slope = 1 + shift
    calibration = {"slope": slope, "slope_low": slope - below, "slope_high": slope + above}
    holds, near = slope - below <= 1 <= slope + above, 0.8 <= slope <= 1.25
    assert ("calibration" not in closed(changed(calibration=calibration))) == (holds or near)


def test_what_one_cohort_leaves_open_does_not_pass():
    found = closed(single())
    assert set(found) == {*NAMES} - {"audit"}
    assert found["prediction interval"].startswith("no cohort was left out")


@pytest.fixture
def registered(store, table):
    """Register a strong model, one without skill, and one of an older protocol, as versions 1 to 3."""
    encoder = BlockEncoder(("taxa",)).fit(table)
    d = len(encoder.features_)
    model = Model(
        outcome="objective_response",
        family="elastic_net",
        encoder=encoder,
        predictor=LinearPredictor(0.0, np.zeros(d), np.zeros(d)),
        calibration=Calibration(1.0, 0.0),
        units={},
        profilers=(),
        evidence=record(loco()).evidence,
        card="# A card\n",
    )
    client().create_experiment("e", artifact_location=(Path.cwd() / "artefacts").as_uri())
    for validation in (strong(), loco(), None):
        mlflow.set_experiment("e")
        with mlflow.start_run() as run:
            uri = log_bundle(replace(model, validation=validation and record(validation)))
        register("objective_response", [(uri, run.info.run_id, {"blocks": "+".join(BLOCKS)})])
    return client()


def test_promotion_is_granted_refused_and_logged(registered):
    granted = promote("objective_response/1")
    assert (granted.granted, granted.version, granted.simulated) == (True, "1", True)
    tags = registered.get_model_version("objective_response", "1").tags
    assert {key for key in tags if key.startswith("gate.")} == {f"gate.{name.replace(' ', '_')}" for name in NAMES}
    assert all(tags[key].startswith("pass: ") for key in tags if key.startswith("gate."))
    (served,) = served_models()["objective_response"]
    assert (served.version, served.alias, served.model.simulated) == ("1", "champion", True)

    refused = CliRunner().invoke(main, ["promote", "objective_response/2"], catch_exceptions=False)
    assert refused.exit_code == 1
    assert "0 of 7 gates passed; refused" in refused.output
    tags = registered.get_model_version("objective_response", "2").tags
    assert tags["gate.gain"] == "fail: AUROC -0.040 (-0.130 to +0.050)"
    assert str(registered.get_registered_model("objective_response").aliases["champion"]) == "1"

    # Without version or alias the candidate is meant, although there is a champion: here the one without evidence.
    older = CliRunner().invoke(main, ["promote", "objective_response"], catch_exceptions=False)
    assert older.exit_code == 2
    assert "objective_response/3 was trained before bundles kept the evidence" in older.output
    again = CliRunner().invoke(main, ["promote", "objective_response@champion"], catch_exceptions=False)
    assert again.exit_code == 0


def test_a_folder_and_a_stranger_are_refused(registered, tmp_path):
    (folder,) = list((tmp_path / "artefacts").rglob("bundle"))[:1]
    with pytest.raises(InputError, match="only a registered model can be promoted"):
        promote(str(folder))
    with pytest.raises(ModelMissing):
        promote("toxicity_any/1")
