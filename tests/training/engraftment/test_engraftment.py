"""The engraftment model: fit, held-out accuracy beside the baselines, bundle, registry and command line."""

from __future__ import annotations

import json
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.cohort import read_cohort
from features.errors import BundleError, InputError
from features.transplants import cohort_transplants
from models.engraftment import expect_by_name, load_engraftment, save_engraftment
from models.engraftment_registry import find_engraftment
from taxokine.reports.donors import engraftment_report
from taxokine.simulation import Trial, simulate_trial
from training.engraftment import evaluate_engraftment, train_engraftment
from training.engraftment.accuracy import METHODS, HeldOutAccuracy, best_method, held_out_accuracy, summarise_accuracy
from training.engraftment.fit import fit_engraftment
from training.engraftment.run import validated_bundle
from training.engraftment.sentences import verdict
from training.progress import Progress


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return simulate_trial(
        tmp_path_factory.mktemp("engraftment") / "trial", Trial(n_patients=10, n_donors=4, n_taxa=80, seed=5)
    )


@pytest.fixture(scope="module")
def profiles(path):
    return cohort_transplants(read_cohort(path, path.parent))


@pytest.fixture(scope="module")
def model(profiles):
    return fit_engraftment(profiles, np.arange(len(profiles)))


def test_the_expected_profile_is_a_composition_that_follows_the_donor(profiles, model):
    expected = model.expect(profiles.stool_before[0], profiles.donor[0])
    assert expected.proportion.sum() == pytest.approx(1)
    assert ((expected.presence >= 0) & (expected.presence <= 1)).all()
    donor = np.where(np.arange(80) == 3, 0, profiles.donor[0])
    less = model.expect(profiles.stool_before[0], donor / donor.sum())
    assert less.presence[3] <= expected.presence[3]
    assert less.proportion[3] < expected.proportion[3]


def test_draws_agree_with_the_stated_distribution(profiles, model):
    expected = model.expect(profiles.stool_before[0], profiles.donor[0])
    draws = expected.draws(4000, np.random.default_rng(0))
    assert np.allclose((draws > 0).mean(axis=0), expected.presence, atol=0.03)
    assert np.allclose(draws.sum(axis=1), 1)
    low, high = expected.limits()
    unclosed = np.exp(expected.location + expected.scale * np.random.default_rng(1).standard_normal((4000, 80)))
    unclosed *= np.random.default_rng(2).random((4000, 80)) < expected.presence
    assert ((unclosed >= low) & (unclosed <= high)).mean() == pytest.approx(0.8, abs=0.03) or (low == 0).any()


def test_nothing_is_expected_of_a_taxon_that_no_baseline_detects(profiles, model):
    taxa, expected = expect_by_name(
        model.with_taxa(["Nova_sp"]), {model.taxa[0]: 1.0}, {model.taxa[1]: 2.0, model.taxa[2]: 2.0}
    )
    assert expected.presence[taxa.index("Nova_sp")] == expected.proportion[taxa.index("Nova_sp")] == 0
    with pytest.raises(InputError, match="donor: expected proportions"):
        expect_by_name(model, {model.taxa[0]: 1.0}, {})


def test_held_out_predictions_do_not_know_what_was_left_out(profiles):
    """Another profile after of one recipient changes no prediction for the recipients of that donor."""
    same_donor = profiles.shares_donor[0]
    altered = profiles.stool_after.copy()
    altered[0] = altered[0, ::-1]
    altered_profiles = replace(profiles, stool_after=altered)
    train = np.flatnonzero(~same_donor)
    first, second = (fit_engraftment(item, train) for item in (profiles, altered_profiles))
    for i in np.flatnonzero(same_donor):
        assert np.array_equal(
            first.expect(profiles.stool_before[i], profiles.donor[i]).proportion,
            second.expect(profiles.stool_before[i], profiles.donor[i]).proportion,
        )


def test_accuracy_agrees_with_its_definitions(profiles):
    itself = np.eye(len(profiles), dtype=bool)
    fits = {}

    def model_without(excluded):
        key = excluded.tobytes()
        if key not in fits:
            fits[key] = fit_engraftment(profiles, np.flatnonzero(~excluded))
        return fits[key]

    accuracy = held_out_accuracy(profiles, itself, model_without)
    copied = METHODS.index("donor copied")
    assert np.allclose(accuracy.bray_curtis[copied], np.abs(profiles.donor - profiles.stool_after).sum(axis=1) / 2)
    validation = summarise_accuracy(accuracy, itself, "recipients left out")
    by_method = {item.method: item for item in validation.methods}
    assert by_method["mean of others after"].presence_auroc.value == 0.5
    labels = profiles.stool_after > 0
    informative = [j for j in range(80) if 0 < labels[:, j].sum() < len(labels)]
    weights = [labels[:, j].sum() * (~labels[:, j]).sum() for j in informative]
    aurocs = [roc_auc_score(labels[:, j], profiles.donor[:, j]) for j in informative]
    assert by_method["donor copied"].presence_auroc.value == pytest.approx(np.average(aurocs, weights=weights))
    differences = accuracy.bray_curtis[copied] - accuracy.bray_curtis[0]
    standard_error = differences.std(ddof=1) / np.sqrt(len(profiles))
    excess = by_method["donor copied"].bray_curtis_excess
    assert excess.value == pytest.approx(differences.mean())
    assert excess.high - excess.low == pytest.approx(2 * 2.262 * standard_error, rel=1e-3)
    assert best_method(validation) == min(by_method.values(), key=lambda item: item.bray_curtis.value).method


def test_no_interval_of_three_donors_lies_beyond_what_a_distance_can_be():
    distances = np.tile([0.05, 0.5, 0.95], (len(METHODS), 1))
    distances[1:] = distances[1:, ::-1]
    wins = np.zeros((len(METHODS), 3, 3))
    accuracy = HeldOutAccuracy(distances, distances, wins, np.zeros((3, 3)))
    validation = summarise_accuracy(accuracy, np.eye(3, dtype=bool), "donors left out")
    copied = validation.methods[METHODS.index("donor copied")]
    assert (copied.bray_curtis.low, copied.bray_curtis.high) == (0, 1)
    assert (copied.bray_curtis_excess.low, copied.bray_curtis_excess.high) == (-1, 1)
    assert copied.aitchison.low == 0
    assert copied.aitchison.high > 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_trained_model_is_registered_and_predicts_alike_everywhere(path, store, tmp_path):
    result = train_engraftment([str(path)], Progress())
    assert [item.scheme for item in result.evidence.validations] == ["recipients left out", "donors left out"]
    assert result.evidence.donors_left_out.units == result.evidence.donors == 4
    assert {item.method for item in result.evidence.donors_left_out.methods} == set(METHODS)
    served = find_engraftment()
    assert served.version == result.version == "1"
    assert served.bundle.evidence == result.evidence
    assert any("donors left out" in line for line in engraftment_report(result) if isinstance(line, str))
    run = mlflow.get_run(result.run_id)
    lower, value, upper = (
        run.data.metrics[f"donors_left_out/regression/bray_curtis{end}"] for end in ("_lower", "", "_upper")
    )
    assert 0 <= lower < value < upper <= 1
    assert run.data.tags["mlflow.note.content"].startswith("# Engraftment model\n")
    assert "`bray_curtis`" in mlflow.get_experiment_by_name("engraftment").tags["mlflow.note.content"]
    assert "SIM-0" not in json.dumps([run.data.params, run.data.tags])
    taxa = served.bundle.model.taxa
    stool, donor = {taxa[0]: 0.5, taxa[4]: 0.5}, {taxa[1]: 1.0}
    names, expected = expect_by_name(served.bundle.model, stool, donor)
    frame = mlflow.pyfunc.load_model("models:/engraftment/1").predict(pd.DataFrame([{"before": stool, "donor": donor}]))
    assert frame["expected"][0] == pytest.approx(dict(zip(names, expected.proportion, strict=True)))
    folder = tmp_path / "bundle"
    save_engraftment(served.bundle, folder)
    assert np.array_equal(load_engraftment(folder).held_out.stool_after, served.bundle.held_out.stool_after)
    (folder / "card.md").write_text("changed")
    with pytest.raises(BundleError, match="has changed"):
        load_engraftment(folder)
    with pytest.raises(InputError, match="was trained on"):
        evaluate_engraftment("1", str(path))
    other = simulate_trial(tmp_path / "other", Trial(name="other_trial", n_patients=6, n_donors=3, n_taxa=90, seed=8))
    validation = evaluate_engraftment("1", str(other)).evidence.validations[-1]
    assert validation.scheme == "another trial"
    assert validation.transplants <= 6
    other.write_text(other.read_text().replace("profiler: simulated", "profiler: another"))
    with pytest.raises(InputError, match="the model: simulated; other_trial: another"):
        evaluate_engraftment("1", str(other))


def test_with_one_donor_nothing_is_claimed_of_a_new_donor(tmp_path, store):
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=6, n_donors=1, n_taxa=40, seed=5))
    bundle = validated_bundle(cohort_transplants(read_cohort(path, path.parent)), ("trial",), Progress())
    assert bundle.evidence.donors_left_out is None
    assert "too few donors" in verdict(bundle.evidence)
    small = simulate_trial(tmp_path / "small", Trial(n_patients=3, n_taxa=40, seed=5))
    with pytest.raises(InputError, match="expected at least 5"):
        train_engraftment([str(small)], Progress())


def test_a_model_that_beats_nothing_says_so_and_serves_the_best_baseline(tmp_path):
    """Without engraftment, the recipient unchanged is the truth with the noise of two visits."""
    still = simulate_trial(
        tmp_path / "still", Trial(n_patients=10, n_donors=4, n_taxa=80, transplant_effect=0.0, visit_sd=0.05, seed=5)
    )
    profiles = cohort_transplants(read_cohort(still, still.parent))
    bundle = validated_bundle(profiles, ("still",), Progress())
    assert bundle.model.method == "recipient unchanged"
    assert "not shown to be nearer" in verdict(bundle.evidence)
    assert "*recipient unchanged*" in verdict(bundle.evidence)
    expected = bundle.model.expect(profiles.stool_before[0], profiles.donor[0])
    assert np.array_equal(expected.proportion, profiles.stool_before[0])


def test_davar_2021_is_predicted_beside_the_baselines(cohorts_dir):
    profiles = cohort_transplants(read_cohort("davar_2021", cohorts_dir))
    assert len(profiles) == 15
    assert len(profiles.donor_subjects) == 7
    bundle = validated_bundle(profiles, ("davar_2021",), Progress())
    validation = bundle.evidence.donors_left_out
    assert bundle.model.method == "regression"
    regression = validation.methods[0]
    assert regression.bray_curtis.value == pytest.approx(0.519, abs=0.002)
    assert regression.presence_auroc.value == pytest.approx(0.740, abs=0.005)
    assert validation.beaten_baselines == ("donor copied", "mean of others after")
