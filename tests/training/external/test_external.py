"""A registered model on cohorts that it had not seen, had seen under another name, or cannot be asked about."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import brier_score_loss, roc_auc_score

from features.cohort import read_cohort
from features.errors import InputError, OutcomeError
from features.feature_table import Block
from features.landmark import LandmarkSpec, landmark_table
from features.settings import settings
from models import registry
from models.batch import table_candidates
from models.bundle import Model, save_bundle
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence import FEWEST_OF_A_CLASS, AbstentionReason, Estimate, ExternalValidation, TrainingCohort
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import predict
from models.reference import fit_reference_set
from taxokine.cli import main
from taxokine.simulation import Trial, simulate_trial
from training import tracking
from training.evidence.population import training_population
from training.external.demotion import contradictions
from training.external.patients import labelled_table, predict_unseen
from training.external.performance import external_performance, recalibrated_performance
from training.external.report import validation_sentence
from training.external.run import validate_elsewhere
from training.progress import Progress

from ...stores import new_store

OUTCOME = "objective_response"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trial, table):
    """Register a model of a simulated trial, in a store of this module."""
    home = tmp_path_factory.mktemp("external")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(home / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(home))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(home)
        settings.cache_clear()
        with tracking.experiment_run(OUTCOME, "training", {}, {}) as run_id:
            uri = registry.log_bundle(model_of(table))
        registry.register(OUTCOME, [(uri, run_id, {"blocks": "taxa"})])
        yield home
    settings.cache_clear()


def model_of(table):
    encoder = BlockEncoder(("taxa",))
    X, y = encoder.fit_transform(table), table.rows[OUTCOME].to_numpy(dtype=float)
    family = FAMILIES["xgboost"]
    (name, context), *_ = table.cohorts.items()
    cohort = TrainingCohort(name, context.title, context.clock, "", None, "", "", True)
    content = {"sentence": "", "beats_chance": None, "simulated": True, "clocks": [context.clock], "landmark": 0.0}
    return Model(
        outcome=OUTCOME,
        family="xgboost",
        encoder=encoder,
        predictor=family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[0], seed=0),
        calibration=Calibration(1.0, 0.0),
        units={},
        profilers=(),
        evidence=replace(upgrade_evidence(content, OUTCOME), cohorts=(cohort,)),
        card="# A card\n",
        population=training_population(table),
        reference=fit_reference_set(table.taxa.values, table.taxa.names, [name] * len(y), {OUTCOME: y}),
    )


@pytest.fixture(scope="module")
def other(folder):
    return simulate_trial(folder / "other", Trial(name="other_hospital", n_patients=50, n_taxa=60, seed=8))


@pytest.fixture(scope="module")
def run(folder, other):
    steps = []
    progress = Progress(lambda name, parts: steps.append((name, parts)), lambda: None)
    return validate_elsewhere(OUTCOME, str(other), progress, recalibrate=True), steps


@pytest.fixture(scope="module")
def served(folder, run):
    return registry.find_model(OUTCOME)


def changed_manifest(path, folder, pattern="", replacement=""):
    """Return the manifest of a copied cohort, with a line that matches a pattern replaced."""
    shutil.copytree(path.parent, folder)
    text, n = re.subn(pattern, replacement, (folder / path.name).read_text(encoding="utf-8"), count=1, flags=re.M)
    assert n
    (folder / path.name).write_text(text, encoding="utf-8")
    return str(folder / path.name)


def test_patients_are_predicted_as_the_server_does_and_all_are_counted(run, served, other):
    validation, steps = run[0].validation, run[1]
    table = landmark_table(read_cohort(other, other.parent))
    predictions = [predict([served], candidate) for candidate in table_candidates(table)]
    y = table.rows[OUTCOME].to_numpy(dtype=float)
    mask = np.array([prediction.probability is not None for prediction in predictions])
    probability = np.array([prediction.probability for prediction in predictions if prediction.probability is not None])
    assert validation.labelled == len(table) == 50
    assert validation.predicted + validation.abstained + validation.training_patients == 50
    assert (validation.predicted, validation.training_patients) == (mask.sum(), 0)
    assert validation.performance.brier.value == pytest.approx(brier_score_loss(y[mask], probability))
    assert validation.performance.prevalence_brier == pytest.approx(y[mask].var())
    assert validation.performance.outcomes.events == y[mask].sum()
    assert validation.performance.in_the_large.value == pytest.approx(y[mask].mean() - probability.mean())
    centres = {row.centre: row for row in validation.performance.by_centre}
    assert set(centres) == set(table.rows["centre"][mask])
    for name, row in centres.items():
        at_centre = (table.rows["centre"] == name).to_numpy()[mask]
        assert row.auroc.value == pytest.approx(roc_auc_score(y[mask][at_centre], probability[at_centre]))
    assert steps[-1] == ("predicting patients of other_hospital", 50)
    assert validation.simulated
    assert validation.sentence.startswith("simulated data: on other_hospital, which it had not seen, ")


def test_the_run_is_linked_to_the_version_and_names_no_patient(run, served, other):
    result = run[0]
    logged = mlflow.get_run(result.run_id)
    assert logged.data.tags["model"] == result.model == f"{OUTCOME}/1"
    assert logged.data.tags["cohort"] == "other_hospital"
    # The UI shows some twenty characters of a name.
    assert logged.info.run_name == f"on other_hospital: {result.model}"
    assert logged.data.metrics["external_predicted"] == result.validation.predicted
    assert "auroc" not in logged.data.metrics
    source = registry.client().get_model_version(OUTCOME, "1").source
    assert [f"models:/{model.model_id}" for model in logged.inputs.model_inputs] == [source]
    assert served.external_validations == (result.validation,)
    local = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id))
    names = {path.name for path in local.iterdir()}
    assert {
        "external_calibration.svg",
        "external_decision.png",
        "external_validation.html",
        "predictions.parquet",
    } <= names
    predictions = pd.read_parquet(local / "predictions.parquet")
    assert len(predictions) == 50
    patients = set(landmark_table(read_cohort(other, other.parent)).rows["patient"])
    texts = "".join(path.read_text() for path in local.iterdir() if path.suffix in {".md", ".html", ".json", ".svg"})
    texts += "".join(predictions["patient"]) + str(logged.to_dictionary())
    assert not [patient for patient in patients if re.search(rf"\b{re.escape(patient)}\b", texts)]
    assert not re.search(r"\b(None|nan|Undefined)\b", (local / "external_validation.md").read_text())


def test_a_validation_reads_as_it_was_written(run):
    validation = run[0].validation
    assert ExternalValidation.from_json(json.loads(json.dumps(validation.to_json()))) == validation


def test_a_damaged_record_of_a_validation_is_no_purged_run(run, monkeypatch):
    def load_damaged_text(uri):
        return text(uri)[:100]

    text = mlflow.artifacts.load_text
    monkeypatch.setattr(mlflow.artifacts, "load_text", load_damaged_text)
    registry._external_validation.cache_clear()
    with pytest.raises(ValueError, match="Unterminated string"):
        registry.external_validations(OUTCOME, "1")
    monkeypatch.undo()
    assert registry.external_validations(OUTCOME, "1") == (run[0].validation,)


def test_a_training_cohort_under_another_name_is_refused(trial, folder, run):
    renamed = changed_manifest(trial, folder / "renamed", r"^name: .*", "name: our_hospital")
    with pytest.raises(InputError, match=r"our_hospital: the stool profiles of 60 of 60 labelled patients are in the"):
        validate_elsewhere(OUTCOME, renamed)


def test_few_training_patients_are_left_out_and_counted(served, other, table):
    cohort = landmark_table(read_cohort(other, other.parent))
    position = {name: i for i, name in enumerate(cohort.taxa.names)}
    assert set(table.taxa.names) <= set(position)
    values = cohort.taxa.values.copy()
    values[:4] = 0
    values[:4, [position[name] for name in table.taxa.names]] = table.taxa.values[:4]
    mixed = replace(cohort, taxa=Block(cohort.taxa.names, values))
    patients = predict_unseen(served, mixed, (), Progress())
    assert (patients.excluded, len(patients.predictions)) == (4, 46)
    assert list(patients.table.rows["patient"]) == list(cohort.rows["patient"][4:])


def test_other_questions_are_refused(other, folder, run, cohorts_dir, monkeypatch):
    other_clock = changed_manifest(other, folder / "clock", r"name: day_\w+", "name: day_surgery")
    with pytest.raises(InputError, match="counts its days on day_surgery, the model on"):
        validate_elsewhere(OUTCOME, other_clock)
    monkeypatch.setattr("training.external.run.settings", lambda: replace(settings(), data=cohorts_dir))
    with pytest.raises(OutcomeError, match="matson_2018 reports neither RECIST"):
        validate_elsewhere(OUTCOME, "matson_2018")


def test_events_count_by_the_day_of_the_model(other, served):
    cohort = read_cohort(other, other.parent)
    evidence = replace(served.model.evidence, by_day=30.0)
    by_day = replace(served, model=replace(served.model, outcome="toxicity_any", evidence=evidence))
    counted, _ = labelled_table(by_day, cohort)
    expected = landmark_table(cohort, LandmarkSpec(by_day=30)).rows["toxicity_any"]
    assert counted.rows["toxicity_any"].sum() == expected.sum()
    assert expected.sum() < landmark_table(cohort).rows["toxicity_any"].sum()
    unknown = replace(by_day, model=replace(by_day.model, evidence=replace(evidence, by_day=None)))
    _, notes = labelled_table(unknown, cohort)
    assert "the model does not report by which day adverse events counted; here they count on any day" in notes


def test_on_another_tumour_type_the_model_abstains_and_nothing_is_measured(other, folder, served):
    save_bundle(served.model, folder / "bundle")
    foreign = changed_manifest(other, folder / "foreign", r"tumour_type: melanoma", "tumour_type: renal_cell")
    validation = validate_elsewhere(str(folder / "bundle"), foreign, recalibrate=True).validation
    assert (validation.predicted, validation.abstained) == (0, 50)
    assert validation.abstentions[0] == AbstentionReason("tumour type", 50)
    assert (validation.performance, validation.recalibration, validation.contradictions) == (None, None, ())
    assert "the model abstained for all 50 labelled patients: nothing was measured" in validation.sentence


def test_without_a_labelled_patient_there_is_nothing_to_validate(other, folder, run):
    unlabelled = changed_manifest(other, folder / "unlabelled", r"PD: \[PD\]", "PD: [PD], unknown: [NE]")
    path = Path(unlabelled).parent / "patients.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["recist"] = "NE"
    frame.to_csv(path, index=False)
    with pytest.raises(OutcomeError, match=f"{OUTCOME} is known of no patient with stool by day"):
        validate_elsewhere(OUTCOME, unlabelled)


def test_a_model_without_profiles_knows_training_cohorts_by_name_alone(served, folder, trial, other):
    save_bundle(replace(served.model, reference=None), folder / "bare")
    with pytest.raises(InputError, match="is one of the cohorts that the model was trained on"):
        validate_elsewhere(str(folder / "bare"), str(trial))
    run = validate_elsewhere(str(folder / "bare"), str(other))
    assert any("recognised by cohort name alone" in note for note in run.validation.notes)
    assert run.model == "bare"


def test_the_command_reports_and_demotes_a_contradicted_champion_alone(run, other, monkeypatch):
    store = registry.client()
    store.set_registered_model_alias(OUTCOME, "champion", "1")
    result = CliRunner().invoke(main, ["validate", f"{OUTCOME}@champion", str(other), "--demote", "--recalibrate"])
    assert result.exit_code == 0, result.output
    texts = ("labelled patients", "of the cohort's own prevalence", "calibration slope", "recalibrated in the large")
    for text in (*texts, "the model is not changed", "it does not contradict the model"):
        assert text in result.output
    assert str(store.get_registered_model(OUTCOME).aliases["champion"]) == "1"
    assert registry.demote(OUTCOME, "1", "other_hospital: wrong way round") is True
    assert registry.demote(OUTCOME, "1", "other_hospital: wrong way round") is False
    assert "champion" not in store.get_registered_model(OUTCOME).aliases
    assert store.get_model_version(OUTCOME, "1").tags["demoted"] == "other_hospital: wrong way round"


def simulated_performance(n, reverse=False, seed=0):
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-2 * log_odds))).astype(float)
    probability = 1 / (1 + np.exp(log_odds if reverse else -log_odds))
    return y, probability, external_performance(y, probability, "c", np.full(n, "c", dtype=object))


def test_a_reversed_model_is_contradicted_and_one_of_few_patients_or_without_skill_is_not():
    assert [reason[:30] for reason in contradictions(simulated_performance(80, reverse=True)[2])] == [
        "the 95% interval of the AUROC,",
        "the 95% interval of the calibr",
    ]
    assert contradictions(simulated_performance(80)[2]) == ()
    assert contradictions(None) == ()
    few = simulated_performance(FEWEST_OF_A_CLASS + 6, reverse=True)[2]
    assert few.auroc.high < 0.5
    assert contradictions(few) == ()
    useless = replace(simulated_performance(80)[2], auroc=Estimate(0.45, 0.33, 0.58), slope=Estimate(-0.2, -0.9, 0.5))
    assert contradictions(useless) == ()


def test_recalibration_restores_the_level_and_no_one_fits_their_own():
    y, probability, _ = simulated_performance(120, seed=3)
    shifted = probability * 0.3
    recalibrated = recalibrated_performance(y, shifted, "c")
    before = external_performance(y, shifted, "c", np.full(120, "c", dtype=object))
    assert recalibrated.shift.low > 0
    assert recalibrated.brier.value < before.brier.value
    constant = recalibrated_performance(y, np.full(120, 0.2), "c")
    assert constant.brier_difference.value == pytest.approx(0, abs=1e-9)
    assert recalibrated_performance(np.array([1.0, 0, 0]), shifted[:3], "c") is None


def test_an_auroc_of_several_centres_is_called_their_mean():
    y, probability, performance = simulated_performance(90)
    assert performance.auroc_unit == ""
    by_centre = external_performance(y, probability, "c", np.repeat(np.array(["a", "b", "c"], dtype=object), 30))
    sentence = validation_sentence("c", by_centre, abstained=0, simulated=False)
    assert re.search(r"\(AUROC of the probability 0\.\d\d, 0\.\d\d-\d\.\d\d, mean of 3 centres\)", sentence)


@pytest.mark.parametrize(
    ("events", "others", "text"),
    [
        (
            3,
            8,
            "24 of 24 pairs of a patient with the outcome and one without were ranked rightly (AUROC of the",
        ),
        (9, 30, "270 of 270 pairs"),
        (30, 9, "39 patients, fewer than 10 of an outcome, are too few to tell from chance"),
    ],
)
def test_a_perfect_ranking_of_few_patients_is_not_better_than_chance(events, others, text):
    y = np.array([1.0] * events + [0.0] * others)
    probability = np.linspace(0.9, 0.1, len(y))
    performance = external_performance(y, probability, "c", np.full(len(y), "c", dtype=object))
    sentence = validation_sentence("c", performance, abstained=0, simulated=False)
    assert text in sentence
    assert "better than chance" not in sentence
    assert performance.slope.value is None
    assert performance.no_slope_reason == "no slope: fewer than 10 patients of an outcome"


def test_pairs_are_counted_within_centres_and_a_tie_counts_half():
    y = np.array([1.0, 0, 0, 1, 0, 1])
    probability = np.array([0.5, 0.5, 0.2, 0.1, 0.9, 0.4])
    centres = np.array(["a", "a", "a", "b", "b", "c"], dtype=object)
    sentence = validation_sentence(
        "c", external_performance(y, probability, "c", centres), abstained=0, simulated=False
    )
    assert "1.5 of 3 pairs" in sentence


def test_complete_separation_has_no_slope_and_says_so():
    y = np.repeat([1.0, 0.0], 15)
    separated = external_performance(y, np.linspace(0.9, 0.1, 30), "c", np.full(30, "c", dtype=object))
    assert separated.no_slope_reason == "no slope: the probabilities separate the outcomes completely"
    assert "better than chance" in validation_sentence("c", separated, abstained=0, simulated=False)
    assert simulated_performance(80)[2].no_slope_reason is None
