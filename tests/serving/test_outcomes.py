"""Reports of outcomes, on SQLite and on PostgreSQL: linked to predictions, corrected, erased; performance in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sqlalchemy import delete, update

from features.errors import InputError
from models.patient_input import Candidate
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.database import open_database, outcome_reports
from serving.errors import NotServed
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.performance import MIN_PATIENTS, live_performance
from serving.outcomes.store import OutcomeStore
from serving.record.answer import RecordedProbability
from serving.record.keys import RecordKey
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

from .conftest import running
from .test_openapi import undocumented

KEY, PASSWORD, TODAY = RecordKey(b"k" * 32), "a long enough password", datetime.now(UTC).date()


def question(patient: str, probability: float | None, version: str = "3") -> Question:
    answer = tuple(
        RecordedProbability(outcome, case, outcome, version, value, "ok")
        for outcome, case, value in (
            ("objective_response", "as measured", probability),
            ("toxicity_any", "as measured", 0.25),
            ("disease_control", "as changed", 0.5),
        )
    )
    return Question("key ward-3", "r1", "POST /v1/predictions", patient, Inputs(Candidate()), answer)


@pytest.fixture
def record(uri: str) -> RecordStore:
    record = RecordStore(open_database(uri), KEY)
    record.append([question("p1", 0.4), question("p2", None), question("p1", 0.6)])
    return record


@pytest.fixture
def store(record: RecordStore) -> OutcomeStore:
    return OutcomeStore(record)


def report(store: OutcomeStore, outcomes: Mapping[str, bool | None], assessed: date = TODAY, **link: Any) -> int:
    return store.append("key ward-3", "r9", assessed, outcomes, **link)[0]


def test_a_report_is_an_entry_about_a_prediction_and_a_later_one_corrects_it(
    store: OutcomeStore, record: RecordStore
) -> None:
    assert report(store, {"objective_response": True, "toxicity_any": False}, patient="p1") == 4
    occurrences = {(item.entry, item.prediction.outcome): item.occurred for item in store.reported()}
    # The last prediction until then.
    assert occurrences == {(3, "objective_response"): True, (3, "toxicity_any"): False}
    assert report(store, {"objective_response": False}, number=3) == 5
    assert report(store, {"toxicity_any": None}, number=3) == 6
    (item,) = store.reported()
    assert (item.prediction.probability, item.occurred) == (0.6, False)
    assert [entry.route for entry in record.entries("p1")[-3:]] == ["POST /v1/outcomes"] * 3
    assert record.verify() == []
    with pytest.raises(InputError, match="entry 4 reports an outcome, and is no question"):
        record.open_entry(4)


def test_what_cannot_be_a_report_is_refused(store: OutcomeStore) -> None:
    for outcomes, link, error, message in (
        ({"objective_response": True}, {"number": 99}, NotServed, "the record has no entry 99"),
        ({"objective_response": True}, {"patient": "p9"}, NotServed, "no prediction of objective_response for this"),
        ({"toxicity_3": True}, {"number": 1}, InputError, "entry 1 predicts objective_response, toxicity_any; report"),
        ({"disease_control": True}, {"number": 1}, InputError, "outcomes.disease_control"),
    ):
        with pytest.raises(error, match=message):
            report(store, outcomes, **link)
    with pytest.raises(InputError, match="what was known before tests no prediction"):
        report(store, {"objective_response": True}, TODAY - timedelta(days=3), number=1)
    with pytest.raises(NotServed, match="predicted before it was assessed"):
        report(store, {"objective_response": True}, TODAY - timedelta(days=3), patient="p1")
    with pytest.raises(InputError, match="is in the future"):
        report(store, {"objective_response": True}, TODAY + timedelta(days=3), number=1)
    entry = report(store, {"objective_response": True}, number=1)
    with pytest.raises(InputError, match="predicts no outcome"):
        report(store, {"objective_response": True}, number=entry)
    assert len(list(store.reported())) == 1


def test_erasing_a_patient_erases_the_reports(store: OutcomeStore, record: RecordStore) -> None:
    report(store, {"objective_response": True}, patient="p1")
    report(store, {"toxicity_any": True}, patient="p2")
    record.erase("p1", "shell root")
    assert [item.prediction.outcome for item in store.reported()] == ["toxicity_any"]
    with pytest.raises(InputError, match="its patient was erased"):
        report(store, {"objective_response": True}, number=1)
    assert record.verify() == []


def test_a_report_that_is_moved_to_another_prediction_counts_for_none(store: OutcomeStore, record: RecordStore) -> None:
    report(store, {"objective_response": True}, number=1)
    with record.engine.begin() as connection:
        connection.execute(update(outcome_reports).values(prediction=3))
    assert list(store.reported()) == []


def test_a_report_that_the_table_moves_or_loses_is_found(store: OutcomeStore, record: RecordStore) -> None:
    number = report(store, {"toxicity_any": True}, number=1)
    assert record.verify() == []
    with record.engine.begin() as connection:
        connection.execute(update(outcome_reports).values(prediction=3))
    assert record.verify() == [f"entry {number} reports on another prediction than the table of reports says"]
    with record.engine.begin() as connection:
        connection.execute(delete(outcome_reports))
    assert record.verify() == [f"entry {number} reports an outcome, and its row in the table of reports was removed"]


def test_performance_is_that_of_scikit_learn_and_each_patient_counts_once(tmp_path: Path) -> None:
    record = RecordStore(open_database(f"sqlite:///{tmp_path}/a.db"), KEY)
    store, rng = OutcomeStore(record), np.random.default_rng(2)
    probability = rng.uniform(0.05, 0.95, 60).round(3)
    y = rng.random(60) < probability
    record.append([question(f"p{i}", value) for i, value in enumerate(probability.tolist())])
    record.append([question("p0", 0.999), question("abstained", None), question("other", 0.5, "4")])
    for i, occurred in enumerate(y.tolist()):
        report(store, {"objective_response": occurred}, number=i + 1)
    for number in (62, 63):
        report(store, {"objective_response": True}, number=number)
    third, fourth = live_performance(store.reported())
    assert (third.version, third.reported, third.abstained, third.observed.patients) == ("3", 61, 1, 60)
    assert third.auroc.value == pytest.approx(roc_auc_score(y, probability))
    assert third.auroc.low < third.auroc.value < third.auroc.high
    assert third.brier == pytest.approx(brier_score_loss(y, probability))
    assert third.observed_to_expected.value == pytest.approx(y.sum() / probability.sum())
    ratio = third.observed_to_expected
    assert ratio.low < ratio.value < ratio.high
    # Of one patient nothing is estimated.
    assert (fourth.version, fourth.reported, fourth.auroc.value, fourth.brier) == ("4", 1, None, None)
    assert fourth.unestimated == "fewer than 30 patients, or than 10 with or without the outcome"
    # The later prediction of a patient takes the place of the earlier one, once it is reported on.
    report(store, {"objective_response": bool(y[0])}, number=61)
    assert live_performance(store.reported())[0].observed.patients == 60
    assert live_performance(store.reported())[0].mean_probability > third.mean_probability


@pytest.mark.parametrize("share", [0, 9, 10, 30])
def test_nothing_is_estimated_of_few_patients_of_either_kind(share: int) -> None:
    recorded = RecordedProbability("toxicity_any", "as measured", "toxicity_any", "1", 0.5, "ok")
    from serving.outcomes.store import ReportedPrediction

    patients = [
        ReportedPrediction(i, i, replace(recorded, probability=i / MIN_PATIENTS), i < share)
        for i in range(MIN_PATIENTS)
    ]
    (performance,) = live_performance(patients)
    assert (performance.auroc.value is None) == (share != 10)
    (fewer,) = live_performance(patients[1:])
    assert fewer.unestimated is not None
    assert (fewer.auroc.value, fewer.mean_probability, fewer.brier) == (None, None, None)


@contextmanager
def reporting(models: Mapping[str, list[ServedModel]], tmp_path: Path) -> Iterator[httpx.Client]:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    accounts = Accounts(engine)
    accounts.add_user("anna", "researcher", PASSWORD)
    headers = {"Authorization": f"Bearer {accounts.keys.add('ward-3')}"}
    app = create_app(models, accounts, recorder=Recorder(RecordStore(engine, KEY)))
    with running(app) as address, httpx.Client(base_url=address, headers=headers) as http:
        yield http


def test_outcomes_through_the_api_and_on_the_page(
    tmp_path: Path, models: Mapping[str, list[ServedModel]], candidate: dict[str, Any]
) -> None:
    with reporting(models, tmp_path) as http:
        document = http.get("/openapi.json").json()
        for i in range(32):
            patient = candidate["patient"] | {"id": f"p{i}", "age": 30 + i}
            record = int(http.post("/v1/predictions", json=candidate | {"patient": patient}).headers["Taxokine-Record"])
            link = {"record": record} if i % 2 else {"patient": f"p{i}"}
            body = link | {"assessed": TODAY.isoformat(), "outcomes": {"toxicity_any": i % 3 == 0}}
            response = http.post("/v1/outcomes", json=body, headers={"X-Request-ID": f"o-{i}"})
            assert response.status_code == 201, response.text
            assert response.json()["prediction"] == record
        schema = document["paths"]["/v1/outcomes"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
        assert undocumented(response.json(), schema, document) == []
        performance = http.get("/v1/models/toxicity_any/performance").json()
        path = document["paths"]["/v1/models/{name}/performance"]["get"]["responses"]["200"]
        assert undocumented(performance, path["content"]["application/json"]["schema"], document) == []
        (version,) = performance["versions"]
        assert (version["reported"], version["observed"]["events"]) == (32, 11)
        assert version["auroc"]["low"] < version["auroc"]["value"] < version["auroc"]["high"]
        assert "who may differ from the others" in performance["bias"]
        assert http.get("/v1/models/objective_response/performance").json()["versions"] == []
        assert http.get("/v1/models/luck/performance").status_code == 404
        for body, message in (
            ({"assessed": "2027-02-30", "patient": "p1", "outcomes": {"toxicity_any": True}}, "no day of the calendar"),
            ({"assessed": TODAY.isoformat(), "outcomes": {"toxicity_any": True}}, "send either 'record'"),
            ({"assessed": 20270203, "patient": "p1", "outcomes": {"toxicity_any": True}}, "assessed"),
            ({"assessed": TODAY.isoformat(), "patient": "p1", "outcomes": {"toxicity_any": 1}}, "outcomes"),
            ({"assessed": TODAY.isoformat(), "patient": "p1", "outcomes": {}}, "outcomes"),
        ):
            refused = http.post("/v1/outcomes", json=body)
            assert refused.status_code == 422
            assert message in refused.json()["error"]["message"]
        assert http.post("/v1/outcomes", json=body, headers={"Authorization": ""}).status_code == 401
        http.follow_redirects = True
        page = http.post("/sign-in", data={"name": "anna", "password": PASSWORD, "to": "/models"})
        assert "In use: patients whose outcome was reported" in page.text
        assert "11 of 32 had the outcome" in page.text
        assert page.text.count("Of patients whose outcome somebody reported") == 1


def test_performance_is_read_again_after_a_minute_or_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = RecordStore(open_database(f"sqlite:///{tmp_path}/a.db"), KEY)
    store = OutcomeStore(record)
    record.append([question("p1", 0.4)])
    live = LiveOutcomes(store)
    assert live.performance() == []
    report(store, {"objective_response": True}, number=1)
    assert live.performance() == []
    live.forget()
    assert len(live.performance()) == 1
