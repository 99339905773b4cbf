"""Every kind of model, from training to answers: donor block, features over time, day 28, both outcomes joined.

Each has evidence, a card, an audit and a bundle, its SHAP values add up, and server, batch and MLflow predict alike.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.columns import BLOCKS
from features.landmark import LandmarkSpec, landmark_table
from features.settings import settings
from models.batch import predictions, table_candidates
from models.joint import CELLS, CONTRADICTED_MEANS, HELD_OUT_MEANS, joint_outcome
from models.predict import predict
from models.prediction import Prediction
from models.registry import served_models
from taxokine.simulation import Trial, simulate_trial
from training.experiment import Experiment, train

from ..stores import new_store
from ..undrawn import draw_no_figures

LANDMARK = 28.0
BLOCKS_BY_OUTCOME = {"objective_response": ("donor", "over_time"), "toxicity": ("taxa",)}
KINDS = [
    ("objective_response", ("donor",)),
    ("objective_response", ("over_time",)),
    ("objective_response", ("donor", "over_time")),
    ("toxicity_any", ("taxa",)),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train both outcomes at day 28 in one registry; return its models, and the feature table."""
    folder = tmp_path_factory.mktemp("kinds")
    manifest = simulate_trial(folder / "trial", Trial(n_patients=180, n_donors=6, n_taxa=30, toxicity_rate=0.4, seed=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(folder)
        draw_no_figures(patch)
        settings.cache_clear()
        for outcome, blocks in BLOCKS_BY_OUTCOME.items():
            experiment = Experiment(
                (str(manifest),),
                outcome,
                "any" if outcome == "toxicity" else None,
                families=("elastic_net",),
                blocks=blocks,
                landmark=LANDMARK,
                representation=("clr",),
                n_folds=3,
                repeats=1,
            )
            train(experiment)
        yield served_models(), landmark_table(read_cohort(manifest, Path(manifest).parent), LandmarkSpec(LANDMARK))
    settings.cache_clear()


@pytest.fixture(scope="module", params=KINDS, ids=str)
def served(request, trained):
    outcome, blocks = request.param
    return next(model for model in trained[0][outcome] if tuple(sorted(model.model.blocks)) == blocks)


def test_it_has_evidence_a_card_an_audit_and_a_bundle(served):
    model = served.model
    assert served.name == f"{model.outcome}_day_28"
    assert model.evidence.landmark == LANDMARK
    assert model.evidence.sentence
    assert model.evidence.held_out_auroc.low is not None
    assert "day 28" in model.card
    assert "Response and toxicity together" in model.card
    for block in model.blocks:
        assert block.replace("_", " ") in model.card or block in model.card
    assert model.validation.audit_findings is not None
    assert any("simulated" in note or "stool" in note for note in model.evidence.notes)
    assert len(model.digest) == 64


def test_server_batch_and_mlflow_predict_alike_and_shap_values_add_up(served, trained):
    import mlflow

    table, model = trained[1], served.model
    margins = model.predictor.margin(model.encoder.transform(table))
    frame = predictions(served, table_candidates(table))
    rows = np.flatnonzero(frame["margin"].notna())
    assert len(rows) > 60
    np.testing.assert_allclose(frame["margin"].to_numpy()[rows], margins[rows], atol=1e-4)
    for row, candidate in enumerate(table_candidates(table)):
        if row not in rows[:20]:
            continue
        prediction = predict([served], candidate)
        explanation = prediction.explanation
        total = explanation.base_value + math.fsum(item.shap for item in explanation.contributions)
        assert total == pytest.approx(explanation.value, abs=1e-6)
        assert {item.block for item in explanation.contributions} == set(model.blocks)
        assert prediction.probability == pytest.approx(frame["probability"][row], abs=1e-9)
        assert prediction.landmark.day == LANDMARK
    blocks = {block: table.block(block) for block in BLOCKS}
    records = [
        {
            name: {
                column: float(value)
                for column, value in zip(block.names, block.values[row], strict=True)
                if not np.isnan(value)
            }
            for name, block in blocks.items()
        }
        for row in rows[:20].tolist()
    ]
    loaded = mlflow.pyfunc.load_model(f"models:/{served.name}/{served.version}")
    answers = loaded.unwrap_python_model().predict(None, pd.DataFrame(records))
    np.testing.assert_allclose(answers["margin"], margins[rows[:20]], atol=1e-4)


def as_new_patient(prediction: Prediction) -> Prediction:
    """Return the prediction of a training patient as that of a patient from whom the model did not learn."""
    return replace(prediction, trust=replace(prediction.trust, in_training_set=False))


def test_the_second_outcome_is_joined_to_the_first(trained):
    models, table = trained
    toxicity = models["toxicity_any"][0]
    (ratio,) = (item for item in toxicity.model.evidence.odds_ratios if item.held_out)
    assert (ratio.response, ratio.toxicity) == ("objective_response", "toxicity_any")
    response = models["objective_response"][0]
    assert ratio.held_out.counterpart == f"{response.name}/{response.version}"
    assert ratio.patients >= 100
    assert f"Held-out predictions of this model and of {ratio.held_out.counterpart} together" in toxicity.model.card
    joints = [
        joint_outcome([as_new_patient(predict([model], candidate)) for model in (response, toxicity)])
        for candidate in list(table_candidates(table))[:40]
    ]
    answered = [joint for joint in joints if joint.reason is None]
    assert answered
    for joint in answered:
        assert joint.odds_ratio == ratio
        assert joint.meaning == (HELD_OUT_MEANS if ratio.held_out.calibrated else CONTRADICTED_MEANS)
        cells = [getattr(joint, name).expected for name in CELLS]
        if ratio.held_out.calibrated:
            assert sum(cells) == pytest.approx(1)
        else:
            assert cells == [None] * 4
