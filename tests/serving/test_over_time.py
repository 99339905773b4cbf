"""A model of features over time predicts alike from a table, through MLflow, on the clinic's pages and by request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from models.batch import predictions, table_candidates
from models.bundle import Model, load_bundle, save_bundle
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import ServedModel, predict
from models.registry import synthetic_example
from serving.clinic import read_clinic
from serving.schemas import PredictionRequest
from taxokine.simulation import Trial, simulate_trial

BLOCKS = ("immune", "over_time")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("serial") / "trial", Trial(n_patients=24, n_taxa=30, seed=4))


@pytest.fixture(scope="module")
def cohort(manifest):
    return read_cohort(manifest, manifest.parent)


@pytest.fixture(scope="module")
def table(cohort):
    return landmark_table(cohort, LandmarkSpec(landmark=28))


@pytest.fixture(scope="module", params=["elastic_net", "xgboost"])
def served(request, table, tmp_path_factory):
    encoder = BlockEncoder(BLOCKS)
    X = encoder.fit_transform(table)
    y = (X[:, -1] > np.median(X[:, -1])).astype(float)
    family = FAMILIES[request.param]
    evidence = upgrade_evidence(
        {"clocks": ["day_fmt"], "simulated": True, "landmark": 28.0, "sentence": "", "beats_chance": None},
        "objective_response",
    )
    evidence = replace(evidence, window=90.0)
    predictor = family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[-1], seed=0)
    model = Model(
        "objective_response", request.param, encoder, predictor, Calibration(1.0, 0.0), table.units, (), evidence, ""
    )
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(model, folder)
    return ServedModel(load_bundle(folder), "objective_response_day_28", "1", "", "candidate")


def request_of(cohort, table, row, last_day=np.inf, factor=1.0, unit="pg/mL"):
    """Return the request for a row of the table: all draws of the patient up to a day, as the laboratory has them."""
    rows = cohort.immune.rows
    days = rows["day"].astype(float)
    draws = rows[(rows["patient"] == table.rows["patient"][row]) & (days <= last_day)]
    immune = []
    for draw, day in zip(draws.itertuples(), days[draws.index], strict=True):
        if draw.censored:
            value = f"{'<' if draw.censored == 'below' else '>'}{draw.limit * factor!r}"
        else:
            value = None if np.isnan(draw.value) else draw.value * factor
        immune.append({"analyte": draw.analyte, "value": value, "unit": unit, "day": day})
    stool = {"unit": "percent", "day": float(table.rows["sample_day"][row]), "values": {"Any_species": 100.0}}
    body = {"patient": {"id": "p"}, "taxa": stool, "immune": immune}
    return PredictionRequest.model_validate(body).candidate()


def test_table_batch_mlflow_and_request_agree(served, cohort, table):
    from models.pyfunc import _outcome_table

    model = served.model
    margins = model.predictor.margin(model.encoder.transform(table))
    assert np.ptp(margins) > 0.1
    in_domain = predictions(served, table_candidates(table))["margin"].notna().to_numpy()
    assert in_domain.mean() > 0.7
    rows = np.flatnonzero(in_domain)
    batch = predictions(served, table_candidates(table.take(rows)))
    assert np.allclose(batch["margin"], margins[rows], atol=1e-4)
    blocks = {block: table.block(block) for block in BLOCKS}
    mlflow_rows = [
        {name: dict(zip(block.names, map(float, block.values[row]), strict=True)) for name, block in blocks.items()}
        for row in rows.tolist()
    ]
    assert np.allclose(_outcome_table(served, mlflow_rows)["margin"], margins[rows], atol=1e-4)
    for row in rows[::4].tolist():
        for candidate in (
            request_of(cohort, table, row),
            request_of(cohort, table, row, last_day=28),
            request_of(cohort, table, row, factor=1e-3, unit="ng/mL"),
        ):
            explanation = predict([served], candidate).explanation
            assert explanation.value == pytest.approx(margins[row], abs=1e-4)
            total = explanation.base_value + sum(item.shap for item in explanation.contributions)
            assert total == pytest.approx(explanation.value, abs=1e-4)
            assert {item.block for item in explanation.contributions} == set(BLOCKS)


def test_the_clinic_reads_the_same_draws(served, manifest, table):
    clinic = read_clinic(str(manifest), (28.0,))
    margins = served.model.predictor.margin(served.model.encoder.transform(table))
    for row, patient in enumerate(table.rows["patient"]):
        visits = clinic.patients[patient]
        explanation = predict([served], visits.visits[visits.default_visit].candidate).explanation
        assert explanation is None or explanation.value == pytest.approx(margins[row], abs=1e-4)


def test_without_draws_by_the_landmark_the_model_abstains(served, cohort, table):
    candidate = request_of(cohort, table, 0)
    late = tuple(replace(item, day=item.day + 200) for item in candidate.immune)
    prediction = predict([served], replace(candidate, immune=late))
    assert prediction.probability is None
    assert "over_time" in prediction.trust.missing_blocks


def test_an_undated_draw_is_no_course_and_yet_reported(served, cohort, table):
    candidate = request_of(cohort, table, 0)
    first = min(item.day for item in candidate.immune)
    undated_draw = tuple(replace(item, day=None) for item in candidate.immune if item.day == first)
    needed = "the model needs immune measurements over time, and none"
    trust = predict([served], replace(candidate, immune=undated_draw)).trust
    assert "over_time" in trust.unknown_blocks
    assert f"{needed} that it knows was reported" in trust.reasons
    trust = predict([served], replace(candidate, immune=())).trust
    assert "over_time" in trust.missing_blocks
    assert trust.unknown_blocks == ()
    assert f"{needed} was reported" in trust.reasons


def test_an_input_example_has_the_block(served):
    example = synthetic_example(served.model.encoder)
    assert set(example["over_time"][0]) == set(served.model.encoder.names_["over_time"])
    assert isinstance(example, pd.DataFrame)
