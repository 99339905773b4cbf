"""CDS Hooks: discovery, cards, feedback, and the tokens of clients."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import Engine, select

from features.errors import InputError
from features.patient_course import PatientCourse
from models.evidence import STRENGTH_WORDS, Strength
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.cds_hooks.cards import summary_text
from serving.cds_hooks.clients import read_clients
from serving.cds_hooks.schemas import MAX_SUMMARY
from serving.cds_hooks.service import SERVICE, CdsHooks
from serving.cds_hooks.tokens import TokenVerifier
from serving.clinic import Clinic, Patient
from serving.database import cds_feedback, open_database
from serving.pages.verdict import Chance, OutcomeVerdict
from serving.pages.views.patient import LEARNT_FROM_COHORT
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

from ...training.evidence.validations import training_cohort
from ..conftest import running, table
from ..ehr import BASE, EC, ORIGIN, RSA, bearer, searchset, token, write_clients

Json = dict[str, Any]
CALL = f"/cds-services/{SERVICE}"


@pytest.fixture(scope="module")
def client_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clients(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return open_database(f"sqlite:///{tmp_path_factory.mktemp('cds')}/taxokine.db")


@pytest.fixture(scope="module")
def store(engine: Engine) -> RecordStore:
    return RecordStore(engine, RecordKey(b"k" * 32), "inputs")


@pytest.fixture(scope="module")
def hospital(
    models: dict[str, list[ServedModel]], engine: Engine, store: RecordStore, client_file: Path
) -> Iterator[httpx.Client]:
    """Yield a client without any key of the API."""
    clients = read_clients(client_file)
    hooks = CdsHooks(clients, TokenVerifier(clients, BASE, engine), BASE, engine)
    app = create_app(models, Accounts(engine), recorder=Recorder(store), cds_hooks=hooks)
    with running(app) as url, httpx.Client(base_url=url) as http:
        yield http


def test_discovery_lists_a_service_and_its_prefetch(hospital: httpx.Client) -> None:
    response = hospital.get("/cds-services", headers=bearer("/cds-services"))
    assert response.status_code == 200
    (service,) = response.json()["services"]
    assert (service["id"], service["hook"]) == (SERVICE, "patient-view")
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert "http://loinc.org|26881-3" in service["prefetch"]["analytes"]


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES384"), (RSA, "RS384")])
def test_a_card_says_what_the_api_says_and_is_recorded(
    hospital: httpx.Client,
    client: httpx.Client,
    store: RecordStore,
    call: Json,
    candidate: Json,
    key: Any,
    algorithm: str,
) -> None:
    response = hospital.post(CALL, json=call, headers=bearer(CALL, key=key, algorithm=algorithm))
    assert response.status_code == 200, response.text
    (card,) = response.json()["cards"]
    assert len(card["summary"]) <= MAX_SUMMARY
    assert card["summary"].startswith("Simulated, not for care. Response: ")
    assert "Toxicity: " in card["summary"]
    assert card["indicator"] == "info"
    assert card["source"] == {"label": "Taxokine", "url": BASE}
    assert "Evidence: " in card["detail"]
    assert "not a medical device" in card["detail"]
    candidate["patient"]["drug_class"] = "anti-PD-1"
    for item in candidate["immune"]:
        item["day"] = -1
    answers = {item["outcome"]: item for item in client.post("/v1/predictions", json=candidate).json()["answers"]}
    predictions = card["extension"]["taxokine_predictions"]
    assert {item["outcome"] for item in predictions} == {"objective_response", "toxicity_any"}
    for item in predictions:
        assert item["probability"] == pytest.approx(answers[item["outcome"]]["probability"], abs=1e-6)
        assert item["verdict"] == answers[item["outcome"]]["trust"]["verdict"]
    entry = store.entries("c1")[-1]
    assert entry.asker == "client ehr"
    assert entry.request_id == card["uuid"] == response.headers["X-Request-ID"]
    assert entry.route == "POST /cds-services/{service}"
    assert store.verify() == []


def test_a_patient_without_measurements_gets_no_card(hospital: httpx.Client, call: Json) -> None:
    call["prefetch"] = {"patient": call["prefetch"]["patient"], "analytes": searchset([]), "stool": None}
    response = hospital.post(CALL, json=call, headers=bearer(CALL))
    assert response.status_code == 200
    assert response.json() == {"cards": []}


def test_a_training_patient_gets_no_forecast(hospital: httpx.Client, call: Json) -> None:
    data = table()
    profile = dict(zip(data.taxa.names, data.taxa.values[3], strict=True))
    call["prefetch"]["stool"]["entry"][0]["resource"]["component"] = [
        {"code": {"text": taxon}, "valueQuantity": {"value": value, "unit": "1", "code": "1"}}
        for taxon, value in profile.items()
        if value
    ]
    (card,) = hospital.post(CALL, json=call, headers=bearer(CALL)).json()["cards"]
    assert "no forecast, a training patient" in card["summary"]
    assert {item["probability"] for item in card["extension"]["taxokine_predictions"]} == {None}


def test_a_patient_of_the_training_cohort_is_cautioned_as_on_the_page(
    models: dict[str, list[ServedModel]], engine: Engine, client_file: Path, call: Json
) -> None:
    cohort = training_cohort("ward", title="The ward")
    served = {}
    for outcome in models:
        best = models[outcome][-1]
        # Without a reference set no profile of a training patient is recognised.
        evidence = replace(best.model.evidence, cohorts=(cohort,))
        served[outcome] = [replace(best, model=replace(best.model, evidence=evidence, reference=None))]
    clients = read_clients(client_file)
    hooks = CdsHooks(clients, TokenVerifier(clients, BASE, engine), BASE, engine)
    details = []
    for patients in ({"c1": Patient("c1", (), 0, PatientCourse())}, {}):
        clinic = Clinic("ward", "The ward", "day_ici", 0.0, True, patients, ())
        app = create_app(served, Accounts(engine), clinic, cds_hooks=hooks)
        with running(app) as url:
            (card,) = httpx.post(f"{url}{CALL}", json=call, headers=bearer(CALL)).json()["cards"]
        details.append(card["detail"])
    assert [f"Reservation: {LEARNT_FROM_COHORT}" in detail for detail in details] == [True, False]


def test_data_that_cannot_be_read_are_named_on_a_card(hospital: httpx.Client, call: Json) -> None:
    call["prefetch"]["analytes"]["entry"][0]["resource"]["valueQuantity"]["code"] = "[IU]/mL"
    (card,) = hospital.post(CALL, json=call, headers=bearer(CALL)).json()["cards"]
    assert card["summary"] == "Taxokine makes no prediction: it cannot read the data of this patient"
    assert "[IU]/mL" in card["detail"]
    assert card["indicator"] == "info"


def test_markup_in_data_of_the_patient_stays_text(hospital: httpx.Client, call: Json) -> None:
    other = call["prefetch"]["analytes"]["entry"][0]["resource"] | {"id": "x", "code": {"text": "<img src=x>"}}
    call["prefetch"]["analytes"]["entry"].append({"resource": other})
    (card,) = hospital.post(CALL, json=call, headers=bearer(CALL)).json()["cards"]
    assert "&lt;img" in card["detail"]
    assert "<img" not in card["detail"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"prefetch": {}}, 412),
        ({"prefetch": {"patient": None}}, 412),
        ({"prefetch": {"patient": {"resourceType": "Patient", "id": "another"}}}, 422),
        ({"hook": "order-sign"}, 422),
        ({"context": {}}, 422),
        ({"prefetch": 3}, 422),
    ],
)
def test_a_call_that_is_not_whole_is_refused(hospital: httpx.Client, call: Json, change: Json, status: int) -> None:
    response = hospital.post(CALL, json=call | change, headers=bearer(CALL))
    assert response.status_code == status, response.text


def test_another_service_is_not_found(hospital: httpx.Client, call: Json) -> None:
    path = "/cds-services/other"
    assert hospital.post(path, json=call, headers=bearer(path)).status_code == 404


STRANGER = ECKey.generate_key("P-384", {"kid": "ec"}, auto_kid=False)
PUBLIC_AS_SECRET = OctKey.import_key({"kty": "oct", "kid": "ec", "k": EC.as_dict(private=False)["x"]})
# The tests may run long after this line.
NOW, DAY = int(time.time()), 86_400
FORGED: dict[str, Json] = {
    "signed by another key": {"key": STRANGER},
    "an unknown key": {"key": ECKey.generate_key("P-384", {"kid": "other"}, auto_kid=False)},
    "another algorithm": {"key": RSA, "algorithm": "RS256"},
    "a shared secret, the public key": {"key": PUBLIC_AS_SECRET, "algorithm": "HS256"},
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "https://evil.example/cds-services"},
    "the audience of another service": {"aud": f"{BASE}/cds-services/other"},
    "expired": {"exp": NOW - 60},
    "valid for a day": {"exp": NOW + DAY},
    "issued in the future": {"iat": NOW + DAY, "exp": NOW + DAY + 60},
    "without an expiry": {"exp": None},
    "without an issue time": {"iat": None},
    "without an id": {"jti": None},
    "an infinite expiry": {"exp": 1e400},
    "keys of its own": {
        "key": STRANGER,
        "header": {"jku": "http://127.0.0.1:1/keys", "jwk": STRANGER.as_dict(private=False)},
    },
}


@pytest.mark.parametrize("options", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(hospital: httpx.Client, call: Json, options: Json) -> None:
    response = hospital.post(CALL, json=call, headers=bearer(CALL, **options))
    assert response.status_code == 401, response.text
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer " + "a" * 9000, "Bearer ..."])
def test_what_is_no_token_is_refused(hospital: httpx.Client, call: Json, value: str) -> None:
    assert hospital.post(CALL, json=call, headers={"Authorization": value}).status_code == 401


def test_an_unsigned_token_is_refused(hospital: httpx.Client, call: Json) -> None:
    _, claims, _ = token(CALL).split(".")
    unsigned = f"eyJhbGciOiJub25lIn0.{claims}."
    assert hospital.post(CALL, json=call, headers={"Authorization": f"Bearer {unsigned}"}).status_code == 401


def test_a_token_works_once(hospital: httpx.Client, call: Json) -> None:
    headers = bearer(CALL)
    assert hospital.post(CALL, json=call, headers=headers).status_code == 200
    response = hospital.post(CALL, json=call, headers=headers)
    assert response.status_code == 401
    assert "was sent before" in response.text


def test_an_api_key_opens_no_cds_hook_and_a_token_no_api(
    hospital: httpx.Client, call: Json, key_and_accounts: tuple[str, Accounts]
) -> None:
    assert hospital.post(CALL, json=call, headers={"Authorization": f"Bearer {key_and_accounts[0]}"}).status_code == 401
    assert hospital.get("/v1/models", headers=bearer("/v1/models")).status_code == 401


def test_feedback_is_kept_without_comments(hospital: httpx.Client, engine: Engine) -> None:
    path = f"{CALL}/feedback"
    feedback = {
        "card": str(uuid4()),
        "outcome": "overridden",
        "overrideReason": {"reason": {"code": "not-applicable"}, "userComment": "Mr Smith is my uncle"},
        "outcomeTimestamp": "2026-03-02T10:00:00Z",
    }
    response = hospital.post(path, json={"feedback": [feedback]}, headers=bearer(path))
    assert response.status_code == 200, response.text
    with engine.connect() as connection:
        (row,) = connection.execute(select(cds_feedback).where(cds_feedback.c.card == feedback["card"]))
    assert (row.client, row.outcome, row.reason) == ("ehr", "overridden", "not-applicable")
    assert "uncle" not in str(row)
    assert hospital.post(path, json={"feedback": []}, headers=bearer(path)).status_code == 422


def test_only_pages_of_clients_may_read_responses(hospital: httpx.Client) -> None:
    def allowed(origin: str, path: str = CALL) -> str | None:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return hospital.options(path, headers=preflight).headers.get("access-control-allow-origin")

    assert allowed(ORIGIN) == ORIGIN
    assert allowed("https://evil.example") is None
    assert allowed(ORIGIN, "/v1/predictions") is None


def test_without_clients_there_are_no_cds_hooks(client: httpx.Client) -> None:
    assert client.get("/cds-services").status_code == 404
    assert client.post(CALL, json={}).status_code == 404
    assert not any("cds" in path for path in client.get("/openapi.json").json()["paths"])


def test_every_summary_is_short_enough() -> None:
    verdicts = [
        OutcomeVerdict(chance, probability, None, agreement, 0.5, strength, False, "cohort", (), True, ())
        for agreement in ("inside", "above")
        for chance in get_args(Chance)
        for strength in get_args(Strength)
        for probability in (0.001, 0.57, 0.999)
    ]
    for response, toxicity in itertools.product(verdicts, verdicts):
        text = summary_text([("response", response), ("toxicity", toxicity)])
        assert len(text) <= MAX_SUMMARY, text
        assert text.startswith("Simulated, not for care. ") == ("simulated" in {response.strength, toxicity.strength})
        # What simulated patients are worth is said first; without a number there is none to weigh.
        without_number = {"no prediction", "training patient", "indistinct"}
        if response.strength != "simulated" and response.chance not in without_number:
            assert STRENGTH_WORDS[response.strength] in text


def test_a_summary_says_that_a_prediction_is_not_confirmed() -> None:
    confirmed = OutcomeVerdict("about average", 0.57, None, "inside", 0.5, "weak", False, "cohort", (), True, ())
    assert summary_text([("response", confirmed)]) == "Response: 57%, about average (weak evidence)"
    unconfirmed = replace(confirmed, agreement="above")
    assert summary_text([("response", unconfirmed)]) == "Response: not confirmed, 57% (weak evidence)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        ('{"clients": []}', "a name of its own"),
        ('{"clients": [{"name": "a", "issuer": "b"}]}', "clients.0.jwks"),
        ('{"clients": [{"name": "a", "issuer": "b", "jwks": "none.json"}]}', "no JSON Web Key Set"),
        ('{"clients": [{"name": "a", "issuer": "b", "jwks": "private.json"}]}', "public keys"),
        ('{"clients": [{"name": "a", "issuer": "b", "jwks": "secret.json"}]}', "public keys"),
        ('{"clients": [{"name": "a", "issuer": "b", "jwks": "empty.json"}]}', "at least one"),
    ],
)
def test_a_file_of_clients_that_cannot_be_used_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "private.json").write_text(json.dumps({"keys": [EC.as_dict(private=True)]}))
    (tmp_path / "secret.json").write_text(json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True)]}))
    (tmp_path / "empty.json").write_text('{"keys": []}')
    (tmp_path / "clients.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_clients(tmp_path / "clients.json")
