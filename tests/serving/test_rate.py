"""A client that asks too often is told when to ask again, and holds nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.settings import settings
from models.predict import ServedModel
from serving import rate
from serving.accounts import Accounts
from serving.app import create_app
from serving.database import open_database
from serving.errors import TooManyRequests
from serving.fhir.example import EXAMPLE as FHIR_EXAMPLE
from serving.rate import RateLimit, network_of

from .conftest import running

PASSWORD = "a long enough password"


def is_counted(limit: RateLimit, client: str = "ward-3") -> bool:
    try:
        limit.count(client)
    except TooManyRequests:
        return False
    return True


@given(pauses=st.lists(st.floats(0, 30), max_size=60), per_minute=st.integers(1, 20))
def test_over_any_time_no_client_exceeds_the_rate_and_the_requests_of_one_minute(
    pauses: list[float], per_minute: int
) -> None:
    clock, counted = [0.0], []
    limit = RateLimit(per_minute, lambda: clock[0])
    for pause in pauses:
        clock[0] += pause
        if is_counted(limit):
            counted.append(clock[0])
    for i, start in enumerate(counted):
        for j, end in enumerate(counted[i:], 1):
            assert j <= per_minute * (1 + (end - start) / 60) + 1e-6


@given(per_minute=st.integers(1, 600))
def test_a_refused_client_may_ask_after_the_wait(per_minute: int) -> None:
    clock = [0.0]
    limit = RateLimit(per_minute, lambda: clock[0])
    assert sum(is_counted(limit) for _ in range(per_minute + 50)) == per_minute
    with pytest.raises(TooManyRequests) as refusal:
        limit.count("ward-3")
    assert 0 < refusal.value.wait <= 60 / per_minute + 1e-6
    assert is_counted(limit, "ward-4")
    clock[0] += refusal.value.wait
    assert is_counted(limit)


def test_clients_who_left_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_MAX_CLIENTS", 10)
    clock = [0.0]
    limit = RateLimit(2, lambda: clock[0])
    for i in range(100):
        is_counted(limit, str(i))
    assert len(limit._even_times) == 10
    clock[0] += 120
    is_counted(limit, "new")
    assert len(limit._even_times) == 1


def test_a_network_of_ipv6_is_one_client() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert [network_of(name) for name in ("10.0.0.7", "", "testclient")] == ["10.0.0.7", "", "testclient"]


@pytest.fixture
def limited(models: dict[str, list[ServedModel]], tmp_path: Path) -> Iterator[tuple[str, Accounts]]:
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    with running(create_app(models, accounts, key_rate=3)) as url:
        yield url, accounts


def test_a_key_has_its_limit_and_no_other_key_feels_it(limited: tuple[str, Accounts]) -> None:
    address, accounts = limited
    keys = [{"Authorization": f"Bearer {accounts.keys.add(name)}"} for name in ("ward-3", "ward-4")]
    with httpx.Client(base_url=address) as http:
        assert [http.get("/v1/models", headers=keys[0]).status_code for _ in range(4)] == [200, 200, 200, 429]
        refusal = http.get("/v1/models", headers=keys[0])
        assert 1 <= int(refusal.headers["Retry-After"]) <= 20
        assert refusal.json()["error"]["code"] == "too_many_requests"
        assert "only 3 requests are answered in a minute" in refusal.json()["error"]["message"]
        fhir = http.post("/fhir/R4/RiskAssessment/$predict", json=FHIR_EXAMPLE, headers=keys[0])
        assert (fhir.status_code, fhir.json()["issue"][0]["code"]) == (429, "throttled")
        assert "Retry-After" in fhir.headers
        assert http.get("/v1/models", headers=keys[1]).status_code == 200
        assert http.get("/readyz").status_code == 200
        documents = http.get("/openapi.json").json()["paths"]
        routes = [(path, method) for path in documents for method in documents[path] if path.startswith("/v1/")]
        assert [route for route in routes if "429" not in documents[route[0]][route[1]]["responses"]] == []


def test_a_user_and_an_address_have_their_limits(
    models: dict[str, list[ServedModel]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.PAGES_PER_MINUTE", 3)
    monkeypatch.setattr("serving.app.SIGN_INS_PER_MINUTE", 4)
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    for name in ("anna", "boris"):
        accounts.add_user(name, "clinician", PASSWORD)
    with running(create_app(models, accounts)) as address:
        with httpx.Client(base_url=address, headers={"Accept": "text/html"}) as anna:
            anna.post("/sign-in", data={"name": "anna", "password": PASSWORD, "to": "/"})
            assert [anna.get("/upload").status_code for _ in range(4)] == [200, 200, 200, 429]
            refusal = anna.get("/upload")
            assert "<h1>Too many requests</h1>" in refusal.text
            assert "Retry-After" in refusal.headers
        with httpx.Client(base_url=address) as boris:
            boris.post("/sign-in", data={"name": "boris", "password": PASSWORD, "to": "/"})
            assert boris.get("/upload").status_code == 200
            # One password, tried under many names: no name is locked, the address is.
            statuses = [
                boris.post("/sign-in", data={"name": f"user{i}", "password": PASSWORD}).status_code for i in range(4)
            ]
            assert statuses == [401, 401, 429, 429]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²"])
def test_a_rate_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOKINE_KEY_RATE", text)
    settings.cache_clear()
    try:
        with pytest.raises(InputError, match="TAXOKINE_KEY_RATE"):
            settings()
    finally:
        settings.cache_clear()
