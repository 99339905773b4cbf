"""A model that reads the donor block predicts alike in batch, through MLflow's interface and from a request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.cohort import read_cohort
from features.errors import InputError
from features.landmark import LandmarkSpec, landmark_table
from models.batch import predictions, table_candidates
from models.bundle import Model, load_bundle, save_bundle
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import ServedModel, predict
from models.registry import synthetic_example
from serving.schemas import PredictionRequest
from taxokine.simulation import Trial, simulate_trial

BLOCKS = ("taxa", "donor")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = simulate_trial(
        tmp_path_factory.mktemp("donor") / "trial", Trial(n_patients=24, n_donors=3, n_taxa=40, seed=4)
    )
    return read_cohort(path, path.parent)


@pytest.fixture(scope="module")
def table(cohort):
    return landmark_table(cohort, LandmarkSpec(landmark=30))


@pytest.fixture(scope="module", params=["elastic_net", "xgboost"])
def served(request, table, tmp_path_factory):
    encoder = BlockEncoder(BLOCKS)
    X = encoder.fit_transform(table)
    y = (np.nan_to_num(table.donor.values[:, 0]) > np.nanmedian(table.donor.values[:, 0])).astype(float)
    family = FAMILIES[request.param]
    evidence = upgrade_evidence(
        {"clocks": ["day_fmt"], "simulated": True, "landmark": 30.0, "sentence": "", "beats_chance": None},
        "objective_response",
    )
    predictor = family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[-1], seed=0)
    model = Model(
        "objective_response", request.param, encoder, predictor, Calibration(1.0, 0.0), {}, ("simulated",), evidence, ""
    )
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(model, folder)
    return ServedModel(load_bundle(folder), "objective_response", "1", "", "candidate")


def request_of(cohort, table, row, unit="proportions"):
    """Return the request for a row of the table, with the profiles as the laboratory has them."""
    profiles = cohort.taxa.proportions()
    samples = cohort.samples
    patient = table.rows["patient"][row]
    stool = samples[(samples["patient"] == patient) & ~samples["donor"]]

    def taxa(position):
        values = {name: float(v) for name, v in zip(profiles.taxa, profiles.values[position], strict=True) if v}
        return {"profiler": "simulated", "unit": unit, "values": values}

    donor = samples.index[samples["sample"] == stool["donor_sample"].iloc[0]][0]
    body = {
        "patient": {"id": patient},
        "taxa": taxa(samples.index[samples["sample"] == table.rows["sample"][row]][0]),
        "donor": {"taxa": taxa(donor)},
    }
    if table.rows["sample_day"][row] > 0:
        body["donor"]["recipient_before"] = taxa(stool.index[stool["day"] <= 0][-1])
    return body


def test_server_batch_and_the_encoded_table_agree(served, cohort, table):
    model = served.model
    margins = model.predictor.margin(model.encoder.transform(table))
    frame = predictions(served, table_candidates(table))
    assert np.allclose(frame["margin"], margins, atol=1e-4)
    for row in range(0, len(table), 5):
        candidate = PredictionRequest.model_validate(request_of(cohort, table, row)).candidate()
        explanation = predict([served], candidate).explanation
        assert explanation.value == pytest.approx(margins[row], abs=1e-4)
        total = explanation.base_value + sum(item.shap for item in explanation.contributions)
        assert total == pytest.approx(explanation.value, abs=1e-4)
        assert {item.block for item in explanation.contributions} == set(BLOCKS)


def test_without_a_donor_the_model_abstains(served, table):
    candidate = replace(next(table_candidates(table)), donor={})
    prediction = predict([served], candidate)
    assert prediction.probability is None
    assert prediction.trust.missing_blocks == ("donor",)
    assert prediction.trust.unknown_blocks == ()
    unheard_of = predict([served], replace(candidate, donor={"height": 1.8})).trust
    assert unheard_of.missing_blocks == unheard_of.unknown_blocks == ("donor",)
    needed = "the model needs distances to the donor's stool, and none"
    assert {f"{needed} was reported"} == set(prediction.trust.reasons) - set(unheard_of.reasons)
    assert {f"{needed} that it knows was reported"} == set(unheard_of.reasons) - set(prediction.trust.reasons)
    assert prediction.donor_part == "the model reads how near the stool is to the donor's, and abstains"


def test_an_answer_says_how_far_the_donor_moves_it(served, table):
    calibrated = replace(served, model=replace(served.model, calibration=Calibration(2.0, 0.0)))
    prediction = predict([calibrated], next(table_candidates(table)))
    # What is left of the log-odds without the distances to the donor.
    explanation = prediction.explanation
    others = sum(item.shap for item in explanation.contributions if item.block != "donor")
    share = 2 * (explanation.value - explanation.base_value - others)
    assert abs(share) > 0.01
    assert f" moves the log-odds by {share:+.2f};" in prediction.donor_part


def test_an_input_example_has_the_donor_block(served):
    example = synthetic_example(served.model.encoder)
    assert set(example["donor"][0]) == set(served.model.encoder.names_["donor"])
    assert isinstance(example, pd.DataFrame)


def test_a_donor_without_stool_and_another_profiler_are_refused(cohort, table):
    body = request_of(cohort, table, 0)
    with pytest.raises(InputError, match="send 'taxa' too"):
        PredictionRequest.model_validate({**body, "taxa": None}).candidate()
    body["donor"]["taxa"]["profiler"] = "another"
    with pytest.raises(InputError, match=r"donor.taxa: another"):
        PredictionRequest.model_validate(body).candidate()
