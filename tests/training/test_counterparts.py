"""Which registered models of the other side an experiment joins to its own."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest

from models.registry import ServedVersion
from training import tracking
from training.experiment import counterparts
from training.experiment.model_run import VALIDATION


@pytest.mark.parametrize(("by_day", "joined"), [("any", 1), (90.0, 0)])
def test_a_response_is_joined_to_a_toxicity_of_any_day_alone(table, store, tmp_path, monkeypatch, by_day, joined):
    predictions = pd.DataFrame({"scheme": "cv", "patient": tracking.masked_patients(table), "probability": 0.5})
    predictions.to_parquet(tmp_path / tracking.HELD_OUT)
    with tracking.experiment_run("toxicity_any", "trial", {}, {}) as run_id:
        mlflow.log_artifact(str(tmp_path / tracking.HELD_OUT))
        mlflow.log_dict({"evidence": {"by_day": by_day}}, VALIDATION)
    version = ServedVersion("toxicity_any", "toxicity_any", "1", "", run_id, "candidate", "", ())
    monkeypatch.setattr(counterparts, "served_versions", lambda: [version])
    read = counterparts.registered_counterparts(table, "objective_response", 0.0)
    assert len(read) == joined
    assert all(len(counterpart.probability) == len(table) for counterpart in read)
