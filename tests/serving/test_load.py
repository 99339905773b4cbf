"""Nothing that one client sends, and no database, keeps the others waiting."""

from __future__ import annotations

import gzip
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from models.predict import ServedModel
from serving import database
from serving.accounts import Accounts
from serving.app import create_app
from serving.database import open_database
from serving.pages import routes
from serving.schemas import MAX_ANALYTES, MAX_CLINICAL, MAX_TAXA
from serving.upload import child

from .conftest import PROFILER, running

Json = dict[str, object]


def large_request(n_taxa: int, n_analytes: int) -> Json:
    values = {f"s__Genus{i} species{i}": 1 / n_taxa for i in range(n_taxa)}
    immune = [{"analyte": f"analyte {i}", "value": 1.0, "unit": "pg/mL"} for i in range(n_analytes)]
    taxa = {"profiler": PROFILER, "unit": "proportions", "values": values}
    return {"patient": {"id": "c1"}, "taxa": taxa, "immune": immune}


def slowest_health_check(address: str, send: Callable[[], object]) -> float:
    """Return the longest time, in seconds, of a health check while `send` runs."""
    sender = threading.Thread(target=send)
    times = []
    with httpx.Client(base_url=address) as http:
        http.get("/healthz")
        sender.start()
        while sender.is_alive():
            started = time.perf_counter()
            assert http.get("/healthz").status_code == 200
            times.append(time.perf_counter() - started)
    sender.join()
    return max(times)


def test_a_large_request_keeps_no_other_waiting(address: str, client: httpx.Client) -> None:
    body, statuses = large_request(10_000, 2_000), []
    # The first prediction of a process takes longer.
    assert client.post("/v1/predictions", json=large_request(10, 1)).status_code == 200
    started = time.perf_counter()
    slowest = slowest_health_check(
        address, lambda: statuses.append(client.post("/v1/predictions", json=body).status_code)
    )
    assert statuses == [200]
    # The server, both clients and the garbage collector share one interpreter here; a request that held the event loop
    # would keep a health check waiting nearly to its end.
    assert slowest < 0.7 * (time.perf_counter() - started)


def test_a_large_request_gets_the_same_prediction(client: httpx.Client, candidate: Json) -> None:
    expected = client.post("/v1/predictions", json=candidate)
    padded = client.post("/v1/predictions", content=expected.request.content + b" " * 2**15, headers={
        "Content-Type": "application/json"
    })  # fmt: skip
    assert padded.json() == expected.json()
    assert client.post("/v1/predictions", json={**candidate, "more": "x" * 2**15}).status_code == 422


@contextmanager
def locked(uri: str) -> Iterator[None]:
    """Lock the accounts of a database against every other use, as a backup or a migration may."""
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(url.database), isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    else:
        with psycopg.connect(uri) as connection:
            connection.execute("LOCK TABLE users, sessions, attempts, api_keys IN ACCESS EXCLUSIVE MODE")
            yield


def test_a_locked_database_is_reported_and_comes_back(
    uri: str, models: Mapping[str, list[ServedModel]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT_SECONDS", 2)
    accounts = Accounts(open_database(uri))
    key = accounts.keys.add("tests")
    with running(create_app(models, accounts)) as address, httpx.Client(base_url=address) as http:
        headers = {"Authorization": f"Bearer {key}"}
        accounts._engine.dispose()
        responses: list[httpx.Response] = []
        with locked(uri):

            def send() -> None:
                responses.append(http.get("/v1/models", headers=headers))
                responses.append(http.get("/sign-in", headers={"Accept": "text/html"}))

            # The server waits for either database as long as this.
            assert slowest_health_check(address, send) < 2
        assert [response.status_code for response in responses] == [503, 503]
        assert [response.headers["Retry-After"] for response in responses] == ["5", "5"]
        assert responses[0].json()["error"]["code"] == "unavailable"
        assert "<h1>" in responses[1].text
        assert http.get("/v1/models", headers=headers).status_code == 200


def test_on_sqlite_a_writer_keeps_no_reader_waiting(tmp_path: Path) -> None:
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    key = accounts.keys.add("tests")
    with sqlite3.connect(tmp_path / "taxokine.db", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert accounts.keys.accept(key)
        assert accounts.users() == []


def test_uploads_beyond_those_that_may_wait_are_refused(
    models: Mapping[str, list[ServedModel]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MAX_SECONDS", 1)
    monkeypatch.setattr(routes, "MAX_WAITING_UPLOADS", 1)
    cells = "\t".join(["0.0625"] * 2000)
    table = "taxon\t" + "\t".join(f"S{i}" for i in range(2000)) + "\n"
    table += "".join(f"s__Genus{i}_species{i}\t{cells}\n" for i in range(2000))
    packed_table = gzip.compress(table.encode(), 1)
    accounts = Accounts(open_database(f"sqlite:///{tmp_path}/taxokine.db"))
    accounts.add_user("anna", "clinician", "a long enough password")
    with running(create_app(models, accounts)) as address, httpx.Client(base_url=address) as http:
        http.post("/sign-in", data={"name": "anna", "password": "a long enough password", "to": "/"})
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', http.get("/upload").text)[1]

        def upload(_: int) -> httpx.Response:
            files = {"taxa": ("table.tsv.gz", packed_table)}
            return http.post("/upload", data={"csrf": token}, files=files)

        with ThreadPoolExecutor(6) as pool:
            responses = list(pool.map(upload, range(6)))
        refused = [response for response in responses if response.status_code == 503]
        assert 1 <= len(refused) <= 3
        assert {response.headers["Retry-After"] for response in refused} == {"5"}
        assert "oo many files are being read already" in refused[0].text
        assert upload(0).status_code == 200


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (
            {"patient": {"id": "c1"}, "taxa": {"unit": "counts", "values": {f"t{i}": 1 for i in range(MAX_TAXA + 1)}}},
            "taxa.values",
        ),
        (large_request(1, MAX_ANALYTES + 1), "immune"),
        ({"patient": {"id": "c1", **{f"f{i}": 1 for i in range(MAX_CLINICAL + 1)}}}, "patient"),
        ({"patient": {"id": "c1"}, "outcomes": ["toxicity_any"] * 101}, "outcomes"),
    ],
)
def test_a_request_of_too_many_items_is_refused(client: httpx.Client, body: Json, place: str) -> None:
    response = client.post("/v1/predictions", json=body)
    assert response.status_code == 422
    assert response.json()["error"]["place"] == place
    assert "at most" in response.json()["error"]["message"]
