"""As visits come in: clinic, request, FHIR and page predict by the model of the landmark that is due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

import httpx
import numpy as np
import pytest
from pydantic import ValidationError

from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from models.bundle import Model
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import ServedModel, predict
from serving.app import create_app
from serving.clinic import read_clinic
from serving.fhir.routes import read_question
from serving.pages.catalogue import Catalogue
from serving.pages.views.course import course_view
from serving.schemas import PredictionRequest
from taxokine.simulation import Trial, simulate_trial

from .conftest import running
from .fhir.test_predict import PATIENT, bundle, medication, observation, quantity, stool
from .test_pages import PASSWORD

LANDMARKS = (0.0, 28.0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("visits") / "trial", Trial(n_patients=24, n_taxa=30, seed=4))


@pytest.fixture(scope="module")
def cohort(manifest):
    return read_cohort(manifest, manifest.parent)


@pytest.fixture(scope="module")
def tables(cohort):
    return {landmark: landmark_table(cohort, LandmarkSpec(landmark=landmark)) for landmark in LANDMARKS}


def fit_model(table, landmark, outcome):
    encoder = BlockEncoder(("taxa", "immune", "over_time") if landmark else ("taxa", "immune"))
    X = encoder.fit_transform(table)
    y = (X[:, 0] > np.median(X[:, 0])).astype(float)
    family = FAMILIES["elastic_net"]
    content = {"clocks": ["day_fmt"], "simulated": True, "landmark": landmark, "sentence": "", "beats_chance": None}
    evidence = upgrade_evidence({**content, "window": 90.0}, outcome)
    predictor = family.fit(X, y, np.zeros(len(y), dtype=np.intp), family.settings[-1], seed=0)
    model = Model(outcome, "elastic_net", encoder, predictor, Calibration(1.0, 0.0), table.units, (), evidence, "")
    return ServedModel(model, outcome if landmark == 0 else f"{outcome}_day_28", "1", "", "candidate")


@pytest.fixture(scope="module")
def models(tables):
    return {
        outcome: [fit_model(tables[landmark], landmark, outcome) for landmark in LANDMARKS]
        for outcome in ("objective_response", "toxicity_any")
    }


def training_margins(models, tables, outcome):
    """Return by landmark and patient the margin of the row of the feature table."""
    margins = {}
    for served in models[outcome]:
        table = tables[served.model.evidence.landmark]
        row_margins = served.model.predictor.margin(served.model.encoder.transform(table)).tolist()
        margins[served.model.evidence.landmark] = dict(zip(table.rows["patient"], row_margins, strict=True))
    return margins


def test_each_visit_is_predicted_as_the_training_row_of_the_landmark_that_is_due(models, tables, manifest):
    clinic = read_clinic(str(manifest), LANDMARKS)
    margins = training_margins(models, tables, "toxicity_any")
    n_compared = {0.0: 0, 28.0: 0}
    for patient in clinic.patients.values():
        for visit in patient.visits:
            prediction = predict(models["toxicity_any"], visit.candidate)
            landmark = 28.0 if visit.day >= 28 else 0.0
            assert prediction.landmark.day == landmark
            if visit.day >= 0 and patient.id in margins[landmark] and prediction.explanation is not None:
                assert prediction.explanation.value == pytest.approx(margins[landmark][patient.id], abs=1e-4)
                assert prediction.landmark.stool_day <= landmark
                n_compared[landmark] += 1
    assert min(n_compared.values()) > 10


def request_body(cohort, patient, last_day):
    """Return the request with all stool and draws of a patient until a day."""
    samples = cohort.samples[(cohort.samples["patient"] == patient) & (cohort.samples["day"] <= last_day)]
    profiles = [
        {
            "profiler": cohort.taxa.profiler,
            "unit": "proportions",
            "day": float(day),
            "clock": "day_fmt",
            "values": {name: float(value) for name, value in zip(cohort.taxa.taxa, row, strict=True) if value},
        }
        for day, row in zip(
            samples["day"], cohort.taxa.take(list(samples["sample"])).proportions().values.tolist(), strict=True
        )
    ]
    *earlier, stool = sorted(profiles, key=lambda profile: profile["day"])
    rows = cohort.immune.rows
    draws = rows[(rows["patient"] == patient) & (rows["day"].astype(float) <= last_day)]
    immune = [
        {
            "analyte": draw.analyte,
            "value": f"{'<' if draw.censored == 'below' else '>'}{draw.limit!r}"
            if draw.censored
            else float(draw.value),
            "unit": "pg/mL",
            "day": float(draw.day),
        }
        for draw in draws.itertuples()
        if draw.censored or not np.isnan(draw.value)
    ]
    return {"patient": {"id": patient}, "taxa": stool, "earlier_taxa": earlier, "immune": immune, "day": last_day}


def test_a_request_with_all_visits_is_predicted_as_the_training_row(models, tables, cohort):
    margins = training_margins(models, tables, "objective_response")
    n_compared = 0
    for patient in list(margins[28.0])[:12]:
        for last_day, landmark in ((0.0, 0.0), (27.0, 0.0), (28.0, 28.0), (200.0, 28.0)):
            request = PredictionRequest.model_validate(request_body(cohort, patient, last_day))
            prediction = predict(models["objective_response"], request.candidate())
            if "day" in prediction.trust.decisive:
                # The first blood of one patient is later than day 0: it is read with a reservation.
                assert "after the model's prediction day, day 0" in "".join(prediction.trust.reasons)
                continue
            assert prediction.landmark.day == landmark
            if prediction.explanation is not None:
                assert prediction.explanation.value == pytest.approx(margins[landmark][patient], abs=1e-4)
                n_compared += 1
    assert n_compared > 30


@pytest.mark.parametrize(
    ("days", "stool_day", "message"),
    [
        ([None], 5, r"earlier_taxa\.0\.day is missing; earlier stool needs its day"),
        ([1, 1], 5, r"earlier_taxa\.0\.day: expected a day of its own, before that of 'taxa'; got 1"),
        ([7], 5, r"earlier_taxa\.0\.day: expected a day of its own, before that of 'taxa'; got 7"),
        ([1], None, r"taxa\.day is missing; where there is earlier stool, state the day of every profile"),
    ],
)
def test_earlier_stool_needs_days_in_order(days, stool_day, message):
    def profile(day):
        return {"unit": "percent", "values": {"A_b": 100.0}, "day": day}

    body = {"patient": {"id": "p"}, "taxa": profile(stool_day), "earlier_taxa": [profile(day) for day in days]}
    with pytest.raises(ValidationError, match=message):
        PredictionRequest.model_validate(body)


def fhir_bundle(body):
    """Return the Bundle that a request means, with calendar days from the first dose."""

    def day_of(item):
        return str(date(2026, 3, 1) + timedelta(days=int(item["day"])))

    def draw(item):
        number, sign = item["value"], None
        if isinstance(number, str):
            sign, number = number[0], float(number[1:])
        code = {"system": "urn:x-taxokine:analyte", "code": item["analyte"]}
        return observation(code, day_of(item), valueQuantity=quantity(number, item["unit"], sign))

    stools = [stool(item["values"], day_of(item)) for item in (*body["earlier_taxa"], body["taxa"])]
    return bundle(PATIENT, medication("L01FF02", "2026-03-01"), *stools, *map(draw, body["immune"]))


def test_fhir_feeds_all_dated_observations(models, tables, cohort):
    margins = training_margins(models, tables, "toxicity_any")
    n_compared = 0
    for patient in margins[28.0]:
        body = request_body(cohort, patient, 200.0)
        if max(item["day"] for item in [body["taxa"], *body["immune"]]) <= 28:
            continue
        question = read_question(models, fhir_bundle(body))
        prediction = predict(models["toxicity_any"], question.request.candidate())
        if "day" in prediction.trust.decisive:
            continue
        assert prediction.landmark.day == 28
        assert prediction.landmark.last_visit > 28
        assert "over_time" not in prediction.trust.missing_blocks
        if prediction.explanation is not None:
            assert prediction.explanation.value == pytest.approx(margins[28.0][patient], abs=1e-4)
            n_compared += 1
    assert n_compared > 4


def test_the_course_names_the_model_of_each_visit(models, manifest):
    clinic = read_clinic(str(manifest), LANDMARKS)
    views = [course_view(Catalogue(models), clinic, item) for item in clinic.patients.values()]
    view = next(item for item in views if None not in item.visits[-1].probabilities and item.visits[-1].time > 56)
    assert view.visits[0].models[0] == "objective response version 1, prediction day 0"
    assert view.visits[-1].models == (
        "objective response day 28 version 1, prediction day 28",
        "toxicity any day 28 version 1, prediction day 28",
    )
    assert view.visits[-1].reasons[0].startswith("no model predicts from later than day 28")
    lane = next(lane for lane in view.lanes if lane.kind == "prediction")
    labels = [point.label for point in lane.curves[0].points]
    assert labels[-1].endswith("objective response day 28 version 1, prediction day 28")
    assert not view.visits[0].repeats
    for earlier, later in zip(view.visits, view.visits[1:], strict=False):
        if later.repeats:
            assert later.probabilities == earlier.probabilities


@pytest.fixture(scope="module")
def page(models, manifest, key_and_accounts) -> Iterator[str]:
    accounts = key_and_accounts[1]
    accounts.add_user("vera", "researcher", PASSWORD)
    clinic = read_clinic(str(manifest), LANDMARKS)
    app = create_app(models, accounts, clinic, "http://127.0.0.1:5000")
    with running(app) as url, httpx.Client(base_url=url, follow_redirects=True) as client:
        client.post("/sign-in", data={"name": "vera", "password": PASSWORD, "to": "/"})
        yield client.get(f"/patients/{next(iter(clinic.patients))}").text


def test_the_page_tells_the_models_in_a_table(page):
    assert "objective response day 28 version 1, prediction day 28" in page
    assert "why this model" in page
    assert "The model of the latest prediction day by then reads" in page
    assert "Days from the first transplant" in page
    assert not re.search("day_fmt|day fmt|landmark|mpa_v", page)
