"""Gates of promotion: a strong model passes all of them, and each fault fails its own gate and no other."""

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
from scipy.stats import binomtest

from features.columns import BLOCKS
from features.errors import InputError, ModelMissing
from models.bundle import Calibration, Model
from models.encoder import BlockEncoder
from models.evidence import Estimate, Validation, WithoutCohort
from models.families import LinearPredictor
from models.registry import client, log_bundle, register, served_models
from taxokine.cli import main
from training.evidence.promotion import gates, mean_distance_from_prevalence, promote

from .validations import CONTRADICTION, LOCO, NOT_ESTIMABLE, card_of, single, strong

NAMES = [
    "served probability",
    "prediction interval",
    "permutation",
    "gain",
    "drop one cohort",
    "Brier score",
    "calibration",
    "sample size",
    "audit",
]


def failed_gates(validation: Validation) -> dict[str, str]:
    return {gate.name: gate.result for gate in gates(validation) if not gate.passed}


def strong_model_with(**changes: Any) -> Validation:
    """Return the strong model with `part__field=value` replaced at `part.field`."""
    return _with_changes(strong(), changes)


def _with_changes(record: Any, changes: dict[str, Any]) -> Any:
    for path, value in changes.items():
        field, _, rest = path.partition("__")
        record = replace(record, **{field: _with_changes(getattr(record, field), {rest: value}) if rest else value})
    return record


def test_the_gates_are_these():
    assert [gate.name for gate in gates(strong())] == NAMES


def test_a_strong_model_passes_all_and_one_without_skill_none():
    assert failed_gates(strong()) == {}
    assert list(failed_gates(LOCO)) == [name for name in NAMES if name != "served probability"]


def fragile(**changes: Estimate) -> tuple[WithoutCohort, ...]:
    """Return the strong model's performance without each cohort, other without the last one."""
    *rows, last = strong().without_cohort
    return (*rows, replace(last, **changes))


@pytest.mark.parametrize(
    ("gate", "result", "fault"),
    [
        ("prediction interval", "0.500 to 0.880, from 5", {"random_effects__prediction_low": 0.4999}),
        ("prediction interval", "only 2 held-out", {"random_effects__k": 2, "random_effects__prediction_low": None}),
        ("prediction interval", "no cohort was held out", {"evidence__scheme": "cv"}),
        ("permutation", "not computed; train with --permutations 200", {"permutation": None}),
        ("permutation", "p = 0.05, 200 refits of the best of 12", {"permutation__best_of_all__p": 0.05}),
        (
            "permutation",
            "p = 0.0625, the least that 15 refits of the best of 12 models can give",
            {"permutation__best_of_all__n": 15, "permutation__best_of_all__p": 1 / 16},
        ),
        ("gain", "not computed", {"gain": None}),
        ("gain", "-0.001", {"gain__difference__low": -0.001}),
        ("served probability", "of the margin; train it again", {"evidence__auroc_of": "margin"}),
        ("drop one cohort", "not computed", {"without_cohort": ()}),
        (
            "drop one cohort",
            "0.490 to 0.610) without mitox",
            {"without_cohort": fragile(auroc=Estimate(0.55, 0.49, 0.61))},
        ),
        ("drop one cohort", "least gain -0.001", {"without_cohort": fragile(gain=Estimate(-0.001, -0.1, 0.1))}),
        ("drop one cohort", "not computed", {"without_cohort": fragile(auroc=NOT_ESTIMABLE)}),
        ("Brier score", "0.242; 0.241 if each centre's own rate", {"within_centres__brier": 0.242}),
        ("Brier score", "not computed", {"within_centres__brier": None}),
        ("calibration", "slope not estimable", {"calibration_slope": NOT_ESTIMABLE}),
        ("calibration", "slope 1.40", {"calibration_slope": Estimate(1.4, 1.01, 1.8)}),
        ("sample size", "185 patients", {"sample_size__needed": 186}),
        ("sample size", "185 patients", {"sample_size__needed": None}),
        ("sample size", "not computed", {"sample_size": None}),
        ("audit", "outcome-contradiction in frankel", {"audit_findings": (replace(CONTRADICTION, waived=False),)}),
        ("audit", "outcome-contradiction in frankel_2017 (waived)", {"audit_findings": (CONTRADICTION,)}),
        ("audit", "labels of different meaning", {"evidence__pooled_labels": True}),
    ],
)
def test_each_fault_fails_its_gate_alone(gate, result, fault):
    failed = failed_gates(strong_model_with(**fault))
    assert list(failed) == [gate]
    assert result in failed[gate]


def test_a_model_without_competitors_is_compared_with_its_own_null():
    own_null = {"evidence__models_compared": 1, "permutation__best_of_all__p": 0.9}
    assert failed_gates(strong_model_with(**own_null)) == {}
    assert list(failed_gates(strong_model_with(**own_null, permutation__model__p=0.2))) == ["permutation"]
    # A model chosen from many is compared with the null of the best.
    assert failed_gates(strong_model_with(permutation__model__p=0.9)) == {}


def test_distance_from_the_prevalence_is_the_mean_over_patients():
    *cohorts, last = strong().per_centre
    shifted = replace(last, calibration=replace(last.calibration, in_the_large=-0.35))
    validation = replace(strong(), per_centre=(*cohorts, shifted))
    patients = [cohort.patients for cohort in validation.per_centre]
    mean_distance = np.average([0.02, 0.02, 0.02, 0.02, 0.35], weights=patients)
    assert mean_distance_from_prevalence(validation) == pytest.approx(mean_distance)
    assert list(failed_gates(validation)) == ["calibration"]


def results_of(validation: Validation) -> dict[str, str]:
    return {gate.name: gate.result for gate in gates(validation)}


def test_the_calibration_gate_names_the_worst_centre_with_its_interval():
    first, *others = strong().per_centre
    poor = replace(
        first, patients=40, events=10, calibration=replace(first.calibration, in_the_large=-0.1), centre="mitox/Leeds"
    )
    result = results_of(replace(strong(), per_centre=(poor, *others)))["calibration"]
    exact = binomtest(10, 40).proportion_ci()
    low, high = (limit - 0.35 for limit in (exact.low, exact.high))
    assert f"worst in mitox/Leeds, observed − expected -0.10 ({low:+.2f} to {high:+.2f}, 40 patients)" in result
    assert "worst" not in results_of(replace(strong(), per_centre=(poor,)))["calibration"]


def test_centres_of_one_cohort_are_not_called_cohorts():
    one_cohort = strong_model_with(evidence__cohorts=strong().evidence.cohorts[:1])
    results = results_of(one_cohort)
    assert "drop one cohort" not in results
    assert "drop one centre" in results
    assert results["prediction interval"].endswith("; in a new cohort not assessable: one cohort")
    assert "one cohort" not in results_of(strong())["prediction interval"]
    card = card_of(one_cohort)
    assert "### Without each centre" in card
    assert "Without each cohort" not in card


@pytest.mark.parametrize(("k", "tau2", "warns"), [(4, 0.0, True), (9, 1e-9, True), (4, 0.02, False), (10, 0.0, False)])
def test_no_variation_between_few_centres_is_not_taken_for_agreement(k, tau2, warns):
    validation = strong_model_with(random_effects__k=k, random_effects__tau2=tau2)
    caveat = f"variation between centres not estimable from {k} centres; a new centre may lie outside"
    assert (caveat in results_of(validation)["prediction interval"]) is warns
    assert (caveat in card_of(validation).partition("## Held-out performance")[2]) is warns


@given(st.floats(-1, 1), st.floats(0.001, 1.5), st.floats(0.001, 1.5))
def test_a_slope_passes_if_its_interval_includes_1_or_it_is_near(shift, below, above):
    slope = Estimate(1 + shift, 1 + shift - below, 1 + shift + above)
    includes_1, near = slope.low <= 1 <= slope.high, 0.8 <= slope.value <= 1.25
    assert ("calibration" not in failed_gates(strong_model_with(calibration_slope=slope))) == (includes_1 or near)


def test_results_that_one_cohort_cannot_give_do_not_pass():
    failed = failed_gates(single())
    assert set(failed) == {*NAMES, "drop one centre"} - {"audit", "served probability", "drop one cohort"}
    assert failed["prediction interval"].startswith("no cohort was held out")


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
        evidence=LOCO.evidence,
        card="# A card\n",
    )
    client().create_experiment("e", artifact_location=(Path.cwd() / "artefacts").as_uri())
    for validation in (strong(), LOCO, None):
        evidence = LOCO.evidence if validation is None else validation.evidence
        mlflow.set_experiment("e")
        with mlflow.start_run() as run:
            uri = log_bundle(replace(model, evidence=evidence, validation=validation))
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
    assert "1 of 9 gates passed; refused" in refused.output
    tags = registered.get_model_version("objective_response", "2").tags
    assert tags["gate.gain"] == "fail: AUROC -0.040 (-0.130 to +0.050)"
    assert str(registered.get_registered_model("objective_response").aliases["champion"]) == "1"

    # Without version or alias the reference is the candidate, here the version without a validation record.
    older = CliRunner().invoke(main, ["promote", "objective_response"], catch_exceptions=False)
    assert older.exit_code == 2
    assert "objective_response/3 has no validation record" in older.output
    champion = CliRunner().invoke(main, ["promote", "objective_response@champion"], catch_exceptions=False)
    assert champion.exit_code == 0


def test_a_folder_and_a_stranger_are_refused(registered, tmp_path):
    (folder,) = list((tmp_path / "artefacts").rglob("bundle"))[:1]
    with pytest.raises(InputError, match="only a registered model can be promoted"):
        promote(str(folder))
    with pytest.raises(ModelMissing):
        promote("toxicity_any/1")
