from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.evidence import Evidence, TrainingCohort, Validation
from models.evidence.performance import VerdictDifference
from models.evidence_upgrade import upgrade_evidence, upgrade_validation

GOLDEN = Path(__file__).parent / "golden"
BUNDLES = sorted(path for protocol in (1, 2) for path in GOLDEN.glob(f"protocol_{protocol}_*/"))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def evidence(bundle: Path) -> Evidence:
    content = read_json(bundle / "bundle.json")
    return upgrade_evidence(content["evidence"], content["outcome"])


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_evidence_of_old_bundles_is_upgraded(bundle: Path) -> None:
    upgraded = evidence(bundle)
    assert upgraded.beats_chance is True
    assert upgraded.clocks == ("day_ici",)
    assert upgraded.held_out_auroc.value is None
    assert Evidence.from_json(json.loads(json.dumps(upgraded.to_json()))) == upgraded


@pytest.mark.parametrize("bundle", [path for path in BUNDLES if "protocol_2" in path.name], ids=lambda path: path.name)
def test_the_validation_record_of_old_bundles_is_upgraded(bundle: Path) -> None:
    content = read_json(bundle / "validation.json")
    upgraded = upgrade_validation(content, evidence(bundle), "xgboost")
    assert upgraded is not None
    assert upgraded.distributions.patients == 40
    assert upgraded.outcomes_by_probability[0].outcomes.patients == 20
    assert upgraded.random_effects.k == 0
    assert upgraded.permutation is None
    assert Validation.from_json(json.loads(json.dumps(upgraded.to_json()))) == upgraded


def test_a_bundle_without_a_validation_record_has_none() -> None:
    assert upgrade_validation({}, evidence(BUNDLES[0]), "xgboost") is None


def test_a_missing_field_is_named() -> None:
    content = evidence(BUNDLES[0]).to_json()
    del content["sentence"]
    with pytest.raises(ValueError, match=r"sentence\s+Field required"):
        Evidence.from_json(content)


def test_an_unknown_field_is_named() -> None:
    content = evidence(BUNDLES[0]).to_json() | {"verdict": "splendid"}
    with pytest.raises(ValueError, match=r"verdict\s+Unexpected"):
        Evidence.from_json(content)


def test_the_interval_of_a_verdict_difference_has_the_standard_error_of_its_detectable_difference():
    low, high = VerdictDifference(0.005, 2.801585 * 0.01).interval
    assert (low, high) == pytest.approx((0.005 - 0.0195996, 0.005 + 0.0195996), abs=1e-6)


def test_a_centre_is_named_by_its_cohort_s_title():
    lee = TrainingCohort("lee_2022", "Lee 2022, melanoma", "day_ici", "first dose", None, "", "", simulated=False)
    trial_1, trial_2 = (replace(lee, name=f"trial_{i}", title=f"Simulated trial, seed {i}") for i in (1, 2))
    summary = replace(evidence(BUNDLES[0]), cohorts=(lee, trial_1, trial_2))
    assert summary.centre_title("lee_2022/PRIMM-UK") == "PRIMM-UK (Lee 2022)"
    assert summary.centre_title("lee_2022") == "Lee 2022"
    # Both titles begin alike.
    assert summary.centre_title("trial_2") == "Simulated trial, seed 2"
    assert summary.centre_title("elsewhere/A") == "A (elsewhere)"
