"""Time-to-event experiments on simulated cohorts: what is logged, refused and said."""

from __future__ import annotations

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
from taxokine.simulation import simulate_trial
from training.experiment import Experiment
from training.progress import Progress
from training.statistics.survival_families import SURVIVAL_FAMILIES
from training.survival import (
    UNUSED,
    at_risk,
    block_sets,
    train_survival,
)


def test_too_few_events_are_refused(trial):
    cohort = read_cohort(trial, None)
    table, y, _ = at_risk([cohort], landmark_table(cohort), "overall_survival")
    none = np.column_stack([y[:, 0], np.zeros(len(y))])
    none[:9, 1] = EVENT
    with pytest.raises(OutcomeError, match="taxa: not trained, 9 events; at least 10 are needed"):
        block_sets(table, none, "overall_survival", ("taxa",))
    none[9, 1] = EVENT
    assert block_sets(table, none, "overall_survival", ("taxa",)) == ([("taxa",)], [])


def experiment(*cohorts: Path, **changes: object) -> Experiment:
    fields = {"outcome": "time_to_toxicity", "grade": "any", "blocks": ("clinical",), "n_folds": 3, "repeats": 1}
    return Experiment(tuple(map(str, cohorts)), **{**fields, **changes})


def test_an_experiment_is_logged_and_nothing_is_registered(trial, store):
    found = train_survival(experiment(trial), Progress())
    params = client().get_run(found.run_id).data.params
    assert set(UNUSED) & set(params) == {"families"}
    assert params["families"] == ",".join(SURVIVAL_FAMILIES)
    assert found.outcome == "time_to_toxicity_any"
    assert {one.family for one in found.trained} == set(SURVIVAL_FAMILIES)
    assert found.trained[0].concordance.value >= found.trained[1].concordance.value
    ways = found.incidence.groupby("censoring", sort=False)["events"].first()
    assert list(ways.index) == ["at risk until death", "censored at progression", "censored at the end of treatment"]
    assert ways.iloc[0] > ways.iloc[1]
    three = found.incidence[found.incidence["months"] == 3].iloc[0]
    assert 0 < three["incidence_low"] < three["incidence"] < three["incidence_high"] < 1
    assert any("not registered" in note for note in found.notes)
    mlflow.set_tracking_uri(store)
    assert not client().search_registered_models()
    parent = {file.path for file in mlflow.artifacts.list_artifacts(run_id=found.run_id)}
    assert parent == {"audit.json", "comparison.csv", "cumulative_incidence.csv", "cumulative_incidence.png",
                      "cumulative_incidence.svg", "simulated_fmt_ici.yaml"}  # fmt: skip
    for one in found.trained:
        assert one.sentence.startswith("simulated data: on centres it had not seen")
        assert set(one.per_cohort["cohort"]) == {f"simulated_fmt_ici/{k}" for k in (1, 2, 3)}
        run = mlflow.get_run(one.run_id)
        assert run.data.tags["mlflow.parentRunId"] == found.run_id
        assert run.data.metrics["c"] == run.data.metrics["loco_c"] == one.concordance.value
        assert {"cv_uno_c_low", "loco_auroc_3m_high", "cv_brier_3m"} <= set(run.data.metrics)
        files = {file.path for file in mlflow.artifacts.list_artifacts(run_id=one.run_id)}
        assert files == {"incidence_by_risk.png", "incidence_by_risk.svg", "left_out_predictions.parquet",
                         "per_cohort.csv", "settings.csv"}  # fmt: skip
        path = mlflow.artifacts.download_artifacts(run_id=one.run_id, artifact_path="left_out_predictions.parquet")
        kept = pd.read_parquet(path)
        assert len(kept) == one.patients
        assert not kept["patient"].str.contains("SIM").any()


def test_two_trials_are_left_out_in_turn(trial, tmp_path, store):
    other = simulate_trial(tmp_path / "other", n_patients=60, n_taxa=60, visits=(-7,), seed=9)
    other.write_text(other.read_text().replace("name: simulated_fmt_ici", "name: other"))
    changes = {"outcome": "progression_free_survival", "grade": None}
    found = train_survival(experiment(trial, other, **changes), Progress())
    for one in found.trained:
        assert {name.partition("/")[0] for name in one.per_cohort["cohort"]} == {"simulated_fmt_ici", "other"}
        assert "on cohorts it had not seen" in one.sentence
        assert "2 cohorts, 120 patients" in one.sentence
        assert one.patients == 120


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
    ("asked", "told"),
    [
        ({"permutations": 200}, "--permutations changes nothing, since nothing is refitted"),
        ({"families": ("xgboost",)}, "--families changes nothing"),
        ({"by_day": 90.0}, "--by-day changes nothing"),
        ({"pool_labels": True}, "--pool-labels changes nothing"),
        ({"representation": ("clr", "rank")}, "one representation"),
        ({"waive": ("tells-outcom",)}, "'tells-outcom' is no finding of the audit"),
    ],
)
def test_what_would_change_nothing_is_refused_before_anything_is_read(trial, store, asked, told):
    with pytest.raises(InputError, match=told):
        train_survival(experiment(trial.parent / "absent.yaml", **asked), Progress())
