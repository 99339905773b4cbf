"""Time-to-event experiments on simulated cohorts: logged runs, refusals and sentences."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.errors import InputError, OutcomeError
from features.landmark import landmark_table
from features.survival import EVENT
from models.registry import client
from taxokine.simulation import Trial, simulate_trial
from training import tracking
from training.experiment import Experiment
from training.progress import Progress
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.survival import train_survival
from training.survival.eligibility import UNUSED_OPTIONS, rows_at_risk, survival_block_sets


def test_too_few_events_are_refused(trial):
    cohort = read_cohort(trial, None)
    table, y, _ = rows_at_risk([cohort], landmark_table(cohort), "overall_survival")
    times = np.column_stack([y[:, 0], np.zeros(len(y))])
    times[:9, 1] = EVENT
    with pytest.raises(OutcomeError, match="taxa: not trained, 9 events; at least 10 are needed"):
        survival_block_sets(table, times, "overall_survival", ("taxa",))
    times[9, 1] = EVENT
    assert survival_block_sets(table, times, "overall_survival", ("taxa",)) == ([("taxa",)], [])


def experiment(*cohorts: Path, **changes: object) -> Experiment:
    fields = {"outcome": "time_to_toxicity", "grade": "any", "blocks": ("clinical",), "n_folds": 3, "repeats": 1}
    return Experiment(tuple(map(str, cohorts)), **{**fields, **changes})


def test_an_experiment_is_logged_and_nothing_is_registered(trial, store):
    result = train_survival(experiment(trial), Progress())
    params = client().get_run(result.run_id).data.params
    assert set(UNUSED_OPTIONS) & set(params) == {"families"}
    assert params["families"] == ",".join(SURVIVAL_FAMILIES)
    assert result.outcome == "time_to_toxicity_any"
    assert {model.family for model in result.trained} == set(SURVIVAL_FAMILIES)
    assert result.trained[0].concordance.value >= result.trained[1].concordance.value
    ways = result.incidence.groupby("censoring", sort=False)["events"].first()
    assert list(ways.index) == ["at risk until death", "censored at progression", "censored at the end of treatment"]
    assert ways.iloc[0] > ways.iloc[1]
    month_3 = result.incidence[result.incidence["months"] == 3].iloc[0]
    assert 0 < month_3["incidence_low"] < month_3["incidence"] < month_3["incidence_high"] < 1
    assert any("not registered" in note for note in result.notes)
    mlflow.set_tracking_uri(store)
    assert not client().search_registered_models()
    best, run = result.trained[0], client().get_run(result.run_id)
    assert run.info.run_name.startswith(f"best of {len(result.trained)}: ")
    assert [run.data.metrics[f"c{end}"] for end in ("", "_lower", "_upper")] == [
        best.concordance.value, best.concordance.low, best.concordance.high
    ]  # fmt: skip
    view = json.loads(client().get_experiment_by_name(result.outcome).tags[f"mlflow.sharedViewState.{tracking.VIEW}"])
    assert (view["orderByKey"], view["selectedColumns"][2:4]) == (
        "metrics.`c`",
        ["metrics.`c_lower`", "metrics.`c_upper`"],
    )
    parent = {file.path for file in mlflow.artifacts.list_artifacts(run_id=result.run_id)}
    assert parent == {"audit.json", "comparison.csv", "cumulative_incidence.csv",
                      "cumulative_incidence.svg", "simulated_fmt_ici.yaml"}  # fmt: skip
    for model in result.trained:
        assert model.sentence.startswith("simulated data: on held-out centres this model ")
        assert set(model.per_centre["cohort"]) == {f"simulated_fmt_ici/{k}" for k in (1, 2, 3)}
        run = mlflow.get_run(model.run_id)
        assert run.data.tags["mlflow.parentRunId"] == result.run_id
        assert run.data.metrics["c"] == run.data.metrics["loco_c"] == model.concordance.value
        assert {"cv_uno_c_lower", "loco_auroc_3m_upper", "cv_brier_3m"} <= set(run.data.metrics)
        files = {file.path for file in mlflow.artifacts.list_artifacts(run_id=model.run_id)}
        assert files == {"incidence_by_risk.svg", "held_out_predictions.parquet",
                         "per_centre.csv", "settings.csv"}  # fmt: skip
        path = mlflow.artifacts.download_artifacts(run_id=model.run_id, artifact_path="held_out_predictions.parquet")
        predictions = pd.read_parquet(path)
        assert len(predictions) == model.patients
        assert not predictions["patient"].str.contains("SIM").any()


def test_two_trials_are_held_out_in_turn(trial, tmp_path, store):
    second_trial = simulate_trial(tmp_path / "other", Trial(n_patients=60, n_taxa=60, visits=(-7,), seed=9))
    second_trial.write_text(second_trial.read_text().replace("name: simulated_fmt_ici", "name: other"))
    changes = {"outcome": "progression_free_survival", "grade": None}
    result = train_survival(experiment(trial, second_trial, **changes), Progress())
    for model in result.trained:
        assert {name.partition("/")[0] for name in model.per_centre["cohort"]} == {"simulated_fmt_ici", "other"}
        assert "on held-out cohorts" in model.sentence
        assert "2 cohorts, 120 patients" in model.sentence
        assert model.patients == 120


def test_a_cohort_without_dates_is_refused(trial, tmp_path):
    text = trial.read_text()
    bare = text[: text.index("  survival:")] + text[text.index("notes:") :]
    folder = tmp_path / "bare"
    folder.mkdir()
    for file in trial.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "manifest.yaml").write_text(bare)
    with pytest.raises(OutcomeError, match="not dated in every cohort: simulated_fmt_ici does not date it"):
        train_survival(experiment(folder / "manifest.yaml", outcome="overall_survival", grade=None), Progress())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"permutations": 200}, "--permutations changes nothing, since no model is refitted"),
        ({"families": ("xgboost",)}, "--families changes nothing"),
        ({"by_day": 90.0}, "--by-day changes nothing"),
        ({"pool_labels": True}, "--pool-labels changes nothing"),
        ({"representation": ("clr", "rank")}, "one representation"),
        ({"waive": ("tells-outcom",)}, "'tells-outcom' is not a finding of the audit"),
    ],
)
def test_what_would_change_nothing_is_refused_before_anything_is_read(trial, store, options, message):
    with pytest.raises(InputError, match=message):
        train_survival(experiment(trial.parent / "absent.yaml", **options), Progress())
