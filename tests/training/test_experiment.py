"""One experiment against a real MLflow store: its runs, artefacts and registered models, without identifiers."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, OutcomeError
from features.settings import settings
from models.evidence import PriorExperiments
from models.registry import client, served_models
from taxokine.reports.experiments import result_report
from training import tracking
from training.evidence.assemble import ExperimentContext, summarise
from training.evidence.card import model_card
from training.evidence.metrics import HEADLINE
from training.evidence.population import training_population
from training.experiment import Experiment, train
from training.experiment.eligibility import eligible_rows
from training.experiment.validation import validate_block_sets
from training.progress import Progress
from training.run_names import model_run_name
from training.workers import EVERY_CORE

from ..stores import new_store

FAST = {"families": ("elastic_net", "xgboost"), "blocks": ("taxa", "clinical"), "n_folds": 3, "repeats": 1}


@pytest.fixture(scope="module")
def result(trial, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("experiment")
        patch.setenv("TAXOKINE_HOME", str(home / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(home))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(home)
        settings.cache_clear()
        steps = []
        progress = Progress(lambda name, parts: steps.append(name), lambda: None)
        yield train(Experiment((str(trial),), "objective_response", **FAST, permutations=3), progress), home, steps
    settings.cache_clear()


def runs(home):
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    return mlflow.search_runs(search_all_experiments=True)


def test_one_parent_and_one_child_for_each_family_and_set_of_blocks(result):
    experiment, home, steps = result
    frame = runs(home)
    children = frame[frame["tags.mlflow.parentRunId"] == experiment.run_id]
    assert len(frame) == 1 + len(children)
    models = set(zip(children["tags.family"], children["tags.blocks"], strict=True))
    sets = ("taxa", "clinical", "taxa+clinical")
    assert models == {(family, blocks) for family in FAST["families"] for blocks in sets}
    assert set(children["tags.mlflow.runName"]) == {
        model_run_name(family, blocks.split("+")) for family, blocks in models
    }
    assert (frame["status"] == "FINISHED").all()
    assert steps[:2] == ["reading cohorts", "joining and auditing"]
    permutations = [f"refitting 3 permutations of {data}" for data in ("outcomes", "profiles")]
    assert steps[-3:] == [*permutations, "summarising and logging"]
    assert len(steps) == 5 + len(sets)


def test_the_mlflow_ui_shows_the_names_of_columns_whole_and_the_verdict_first_of_the_tags():
    names = [column.partition(".")[2] for column in tracking.MODEL_COLUMNS]
    assert all(len(name) <= 11 for name in names)
    # The UI puts tags after metrics, and shows five columns on a screen of 1280 pixels.
    columns = sorted(tracking.MODEL_COLUMNS, key=lambda column: column.startswith("tags."))
    assert columns.index("tags.skill") < 5


def test_the_parent_run_says_of_its_best_model_whether_skill_was_shown(result):
    experiment, home, _ = result
    runs(home)
    skills = [mlflow.get_run(run_id).data.tags["skill"] for run_id in (experiment.run_id, experiment.trained[0].run_id)]
    assert skills[0] == skills[1]


def test_a_run_carries_metrics_figures_predictions_and_a_card(result):
    experiment, home, _ = result
    runs(home)
    for model in experiment.trained:
        run = mlflow.get_run(model.run_id)
        for metric in (
            "served_auroc_within_centres",
            "served_auprc_within_centres",
            "served_auroc_within_centres_cv",
            "gain",
        ):
            for part in ("", "_lower", "_upper"):
                assert np.isfinite(run.data.metrics[metric + part])
        assert {"brier", "prevalence_brier", "permutation_p", "baseline.clinical.served_auroc_within_centres"} <= set(
            run.data.metrics
        )
        assert (
            run.data.metrics[f"{HEADLINE}_lower"] <= run.data.metrics[HEADLINE] <= run.data.metrics[f"{HEADLINE}_upper"]
        )
        assert ("permutation_conditional_p" in run.data.metrics) == (model.blocks == ("taxa", "clinical"))
        assert run.data.metrics["patients"] == 60
        beats_chance = model.validation.evidence.beats_chance
        assert run.data.tags["skill"] == {True: "shown", None: "unconfirmed", False: "not shown"}[beats_chance]
        names = {file.path for file in mlflow.artifacts.list_artifacts(run_id=model.run_id)}
        figures = (
            "forest",
            "roc",
            "precision_recall",
            "calibration",
            "decision",
            "permutation",
            "shap_bar",
            "shap_beeswarm",
            "shap_waterfall",
        )
        assert names == {
            "card.md",
            "card.html",
            "validation.json",
            "held_out_predictions.parquet",
            "shap_values.parquet",
            *(f"{figure}.svg" for figure in figures),
        }
        assert run.inputs.dataset_inputs[0].dataset.digest
        assert "simulated" in mlflow.artifacts.load_text(f"runs:/{model.run_id}/card.md").lower()


def test_held_out_predictions_cover_every_patient_under_a_masked_name(result, trial):
    experiment, home, _ = result
    runs(home)
    local = mlflow.artifacts.download_artifacts(
        run_id=experiment.trained[0].run_id, artifact_path="held_out_predictions.parquet"
    )
    frame = pd.read_parquet(local)
    patients = pd.read_csv(trial.parent / "patients.csv", dtype=str).iloc[:, 0]
    assert frame["patient"].nunique() == 60
    assert not set(frame["patient"]) & set(patients)


def test_no_patient_identifier_reaches_the_store(result, trial):
    _, home, _ = result
    names = {n.encode() for n in pd.read_csv(trial.parent / "patients.csv", dtype=str).iloc[:, 0]}
    names |= {n.encode() for n in pd.read_csv(trial.parent / "samples.csv", dtype=str).iloc[:, 0]}
    stored = [home / "mlflow.db", *(path for path in (home / "mlartifacts").rglob("*") if path.is_file())]
    assert len(stored) > 20
    for path in stored:
        content = path.read_bytes()
        assert not [name for name in names if name in content], path


def test_the_best_is_the_candidate_and_each_set_of_blocks_has_one(result):
    experiment, _, _ = result
    assert set(experiment.aliases) == {"candidate", "candidate-taxa", "candidate-clinical", "candidate-taxa-clinical"}
    served = served_models()["objective_response"]
    assert served[0].model.family == experiment.trained[0].family
    assert served[0].run_id == experiment.trained[0].run_id
    assert {version.model.blocks for version in served} == {("taxa",), ("clinical",), ("taxa", "clinical")}
    assert all(version.model.simulated for version in served)


def test_the_ui_has_a_view_with_the_columns_to_compare_by(result):
    experiment, home, _ = result
    frame = runs(home)
    stored = mlflow.get_experiment_by_name("objective_response")
    path = tracking.comparison_paths()["objective_response"]
    view = f"workflowType=machine_learning&viewStateShareKey={tracking.VIEW}"
    assert path == f"/#/experiments/{stored.experiment_id}/runs?{view}"
    assert stored.tags["mlflow.experimentKind"] == "custom_model_development"
    assert stored.tags["mlflow.note.content"].startswith("**objective_response**: complete or partial response")
    for column in ("auroc", "gain", "skill"):
        assert f"`{column}`" in stored.tags["mlflow.note.content"]
    view = json.loads(stored.tags[f"mlflow.sharedViewState.{tracking.VIEW}"])
    columns = {column.replace("metrics.", "metrics.`").replace("tags.", "tags.`") + "`" for column in frame.columns}
    assert set(view["selectedColumns"]) - {"attributes.`Created`"} <= columns
    assert view["orderByKey"] in columns
    assert experiment.trained[0].run_id in set(frame["run_id"])


def test_the_parent_run_has_the_metrics_of_the_best_model(result):
    experiment, _, _ = result
    best, store = experiment.trained[0], client()
    parent, best_run = store.get_run(experiment.run_id).data, store.get_run(best.run_id)
    best_name = model_run_name(best.family, best.blocks)
    assert parent.tags["best"] == best_name
    name = parent.tags["mlflow.runName"]
    assert name.startswith(f"best of {len(experiment.trained)}: {best_name} · ")
    link = (
        f"[{best_name}](#/experiments/{best_run.info.experiment_id}/runs/{best.run_id}?workflowType=machine_learning)"
    )
    assert f"are those of its best model, {link}.\n\n" in parent.tags["mlflow.note.content"]
    child = best_run.data
    assert parent.metrics[HEADLINE] == child.metrics[HEADLINE]
    # The scores of a row and the patients in it are of one model; all who could be used are counted apart.
    assert {name: parent.metrics[name] for name in child.metrics} == child.metrics
    assert parent.metrics["eligible_patients"] == 60
    names = {store.get_logged_model(model.model_uri.removeprefix("models:/")).name for model in experiment.trained}
    assert names == {f"objective_response-{model.family}-{'-'.join(model.blocks)}" for model in experiment.trained}


def test_runs_and_versions_link_to_the_card_on_a_known_server(result, monkeypatch):
    experiment, _, _ = result
    best, store = experiment.trained[0], client()
    assert "model_card" not in store.get_run(best.run_id).data.tags
    monkeypatch.setenv("TAXOKINE_SERVER_URL", "http://ward.example/")
    settings.cache_clear()
    tracking.link_model_cards([best.run_id])
    version = experiment.aliases["candidate"]
    address = f"http://ward.example/models/objective_response/{version}/card"
    tags = store.get_run(best.run_id).data.tags
    assert tags["model_card"] == address
    assert tags["mlflow.note.content"].startswith(f"[Model card, version {version}]({address})\n\n")
    assert store.get_model_version("objective_response", version).description.endswith(f"\n\nModel card: {address}")
    with tracking.experiment_run("links", "links", {"mlflow.note.content": "A note."}, {}) as run_id:
        tags = store.get_run(run_id).data.tags
    assert tags["server"] == "http://ward.example/models"
    assert tags["mlflow.note.content"] == "[Models on the server](http://ward.example/models)\n\nA note."
    monkeypatch.undo()
    settings.cache_clear()


def test_the_evidence_reports_patients_models_and_scheme(result):
    experiment, _, _ = result
    evidence = experiment.trained[0].model.evidence
    assert evidence.patients == 60
    assert evidence.models_compared == 6
    assert "simulated" in evidence.sentence
    assert sum(cohort.patients for cohort in evidence.per_centre) == 60
    assert evidence.scheme == "loco"
    assert 0 <= evidence.held_out_auroc.low <= evidence.held_out_auroc.high <= 1


def test_a_bundle_keeps_rates_distributions_and_reference_outcomes(result):
    experiment, _, _ = result
    served = served_models()["objective_response"]
    for version in served:
        model, validation = version.model, version.model.validation
        assert validation.rates.overall.events == validation.evidence.events
        assert sum(group.outcomes.patients for group in validation.outcomes_by_probability) == 60
        toxicities = {table.toxicity for table in validation.response_and_toxicity.tables}
        assert toxicities == {"toxicity_any", "toxicity_2", "toxicity_3"}
        assert validation.distributions.patients == 60
        assert (validation.distributions.taxa != {}) == ("taxa" in model.blocks)
        if model.reference is not None:
            assert model.reference.outcomes[0] == "objective_response"
            assert (model.reference.labels[:, 0] == 1).sum() == validation.evidence.events
    card = experiment.trained[0].model.card
    assert "| all, counted together | 60 |" in card


def test_the_same_patients_are_predicted_without_each_block(result):
    models = {(model.family, model.blocks): model.validation for model in result[0].trained}
    for family in FAST["families"]:
        rows = {row.block: row for row in models[family, ("taxa", "clinical")].without_block}
        # Every patient has both blocks here: what the smaller models predict is not fitted twice.
        assert rows["clinical"].auroc == models[family, ("taxa",)].evidence.held_out_auroc
        assert rows["taxa"].auroc == models[family, ("clinical",)].evidence.held_out_auroc
        assert not models[family, ("taxa",)].without_block


def test_a_cohort_without_clinical_data_is_named_with_the_columns_that_it_lacks(table, store):
    rows, values = table.rows, table.clinical.values.copy()
    names = np.where(np.arange(len(rows)) % 3, "complete", "lacking")
    values[names == "lacking"] = np.nan
    values[np.flatnonzero(names == "complete")[:2]] = np.nan
    cohorts = dict.fromkeys(("complete", "lacking"), next(iter(table.cohorts.values())))
    clinical = replace(table.clinical, values=values)
    partial = replace(table, rows=rows.assign(cohort=names, centre=names), clinical=clinical, cohorts=cohorts)
    experiment = Experiment(("complete", "lacking"), "objective_response", **{**FAST, "families": ("elastic_net",)})
    sets = [("taxa",), ("taxa", "clinical")]
    taxa, both = validate_block_sets(experiment, "objective_response", partial, sets, Progress(), EVERY_CORE)
    assert taxa.incomplete_cohorts == ()
    complete, lacking = both.incomplete_cohorts
    assert (complete.cohort, complete.patients, complete.excluded) == ("complete", 40, 2)
    assert (lacking.cohort, lacking.patients, lacking.excluded) == ("lacking", 20, 20)
    assert lacking.blocks == ("clinical",)
    assert {"age", "sex"} <= set(lacking.columns)
    assert not any("=" in column for column in lacking.columns)
    # The taxa model has other patients, so that its predictions are none of these.
    held_out = [prediction.fold.test for prediction in both.without_block["clinical"]["elastic_net"]]
    assert len(np.concatenate(held_out)) == 38
    context = ExperimentContext("objective_response", 2, False, (), (), PriorExperiments(0, 0), 0)
    card = model_card(summarise(both, "elastic_net", None, context), training_population(both.table))
    assert "- lacking is not in this model: none of its 20 patients has clinical measurements (any of " in card
    assert "- complete: 2 of its 40 patients are not in this model without clinical measurements" in card


def test_the_mask_needs_the_key(table, store, tmp_path):
    first = tracking.masked_patients(table)
    assert first == tracking.masked_patients(table)
    key = tmp_path / "home" / "patient_key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    assert not set(first) & set(tracking.masked_patients(table))


def test_a_digest_follows_measurements_and_labels(table):
    y = table.rows["objective_response"].to_numpy(dtype=float)
    assert tracking.table_digest(table, y) == tracking.table_digest(table.take(np.arange(len(table))), y)
    assert tracking.table_digest(table, y) != tracking.table_digest(table, 1 - y)


def test_unknown_outcomes_and_past_events_are_excluded_and_counted(table):
    rows = table.rows.copy()
    rows.loc[:2, "toxicity_any"] = pd.NA
    rows.loc[0, "at_risk_toxicity_any"] = "no"
    eligible, notes = eligible_rows(replace(table, rows=rows), "toxicity_any")
    assert len(eligible) == len(table) - 3
    assert eligible.rows["toxicity_any"].notna().all()
    assert "2 with unknown outcome, 1 with an event on or before the landmark" in notes[0]


@pytest.mark.parametrize(
    ("cohorts", "outcome", "grade", "message"),
    [
        (("lee_2022", "mitox"), "toxicity", "2", "grade 'any' only"),
        (("lee_2022", "matson_2018"), "objective_response", None, "neither RECIST"),
        (("frankel_2017",), "toxicity", "any", "no toxicity"),
        (("lee_2022", "matson_2018"), "published_response", None, "--pool-labels"),
        (("lee_2022",), "toxicity", None, "needs a grade"),
        (("lee_2022",), "objective_response", "2", "only toxicity has a grade"),
        (("mitox",), "toxicity", "3", "too few patients"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(
    cohorts_dir, absent_store, monkeypatch, cohorts, outcome, grade, message
):
    monkeypatch.setenv("TAXOKINE_DATA", str(cohorts_dir))
    settings.cache_clear()
    with pytest.raises(OutcomeError, match=message):
        train(Experiment(cohorts, outcome, grade))
    assert not Path("mlflow.db").exists()


def test_events_without_days_cannot_count_by_a_day(cohorts_dir, absent_store, monkeypatch):
    monkeypatch.setenv("TAXOKINE_DATA", str(cohorts_dir))
    settings.cache_clear()
    with pytest.raises(
        OutcomeError, match=r"adverse event of any grade by day 90: lee_2022 reports a flag without days"
    ):
        train(Experiment(("lee_2022", "mitox"), "toxicity", "any", by_day=90))
    with pytest.raises(OutcomeError, match="objective_response: adverse events alone count by a day"):
        train(Experiment(("lee_2022",), "objective_response", by_day=90))


def test_leave_one_cohort_out_on_real_cohorts(cohorts_dir, store, monkeypatch):
    monkeypatch.setenv("TAXOKINE_DATA", str(cohorts_dir))
    settings.cache_clear()
    options = {**FAST, "families": ("elastic_net",), "blocks": ("clinical",)}
    result = train(Experiment(("lee_2022", "frankel_2017", "mitox"), "objective_response", **options))
    evidence = result.trained[0].validation.evidence
    patients = {centre.centre: centre.patients for centre in evidence.per_centre}
    assert {name: count for name, count in patients.items() if "/" not in name} == {"frankel_2017": 39, "mitox": 19}
    assert sum(count for name, count in patients.items() if name.startswith("lee_2022/")) == 161
    assert sum(name.startswith("lee_2022/") for name in patients) == 4
    assert "on held-out cohorts" in evidence.sentence
    metrics = mlflow.get_run(result.trained[0].run_id).data.metrics
    assert {
        "served_auroc.lee_2022.Leeds",
        "served_auroc.frankel_2017",
        "served_auroc.mitox",
        "served_auroc_new_centre_upper",
    } <= set(metrics)
    # A leak would raise this AUROC: clinical data do not predict response so well.
    assert evidence.held_out_auroc.value < 0.7
    for path in Path("mlartifacts").rglob("*"):
        assert path.is_dir() or b"PRIMM0" not in path.read_bytes()


def test_a_killed_run_is_marked_at_the_next_start(store, trial, tmp_path):
    script = (
        "import sys, time\nfrom training import tracking\n"
        "with tracking.experiment_run('objective_response', 'doomed', {}, {}):\n"
        "    print('up', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with tracking.experiment_run("objective_response", "next", {}, {}) as run_id:
        statuses = {run.info.run_name: run.info.status for run in _all_runs()}
        assert statuses == {"doomed": "KILLED", "next": "RUNNING"}
        # A run whose process is alive stays running.
        assert tracking.mark_stale_runs_killed(mlflow.MlflowClient()) == 0
    assert mlflow.get_run(run_id).info.status == "FINISHED"
    with sqlite3.connect(tmp_path / "mlflow.db") as opened:
        assert opened.execute("pragma integrity_check").fetchone() == ("ok",)


def _all_runs():
    client = mlflow.MlflowClient()
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def test_mlflow_run_is_joined_as_the_parent(store, trial, monkeypatch):
    client = tracking.client()
    experiment = client.create_experiment("chosen by the user")
    outer = client.create_run(experiment)
    client.log_param(outer.info.run_id, "outcome", "objective_response")
    monkeypatch.setenv("MLFLOW_RUN_ID", outer.info.run_id)
    settings.cache_clear()
    options = {**FAST, "families": ("elastic_net",), "blocks": ("clinical",)}
    result = train(Experiment((str(trial),), "objective_response", **options))
    assert result.run_id == outer.info.run_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{outer.info.run_id}'")
    assert [run.info.run_id for run in children] == [result.trained[0].run_id]
    assert client.get_run(result.run_id).data.params["seed"] == "0"


def test_prior_experiments_on_the_same_cohorts_are_counted(result, trial):
    assert tracking.prior_experiments([trial.stem]) == PriorExperiments(0, 0)
    experiment, _, _ = result
    validation = experiment.trained[0].validation
    name = validation.evidence.cohorts[0].name
    assert tracking.prior_experiments([name, "another"]) == PriorExperiments(1, 6)
    assert validation.prior_experiments == PriorExperiments(0, 0)


def test_an_unknown_waiver_is_refused(trial, store):
    with pytest.raises(InputError, match="'luck' is not a finding of the audit"):
        train(Experiment((str(trial),), "objective_response", waive=("luck",)))


def test_a_scikit_learn_classifier_is_compared_and_never_registered(store, trial):
    families = ("sklearn.naive_bayes:GaussianNB", "elastic_net")
    options = {**FAST, "families": families, "blocks": ("clinical",)}
    result = train(Experiment((str(trial),), "objective_response", **options))
    compared = {model.family: model for model in result.trained}
    assert compared[families[0]].model is None
    assert compared[families[0]].validation.attribution is None
    note = mlflow.get_run(compared[families[0]].run_id).data.tags["mlflow.note.content"]
    assert note.startswith("Compared only, never registered.")
    assert "card.html" in {file.path for file in mlflow.artifacts.list_artifacts(run_id=compared[families[0]].run_id)}
    assert {version.model.family for version in served_models()["objective_response"]} == {"elastic_net"}
    without_native = train(Experiment((str(trial),), "objective_response", **options | {"families": families[:1]}))
    assert without_native.aliases == {}
    report = "\n".join(str(line) for line in result_report(without_native))
    assert "no model is registered" in report
