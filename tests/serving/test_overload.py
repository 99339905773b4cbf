"""More requests than can be answered: some are refused at once, so that the others are answered."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from models.predict import ServedModel
from serving import database, turns
from serving.accounts import Accounts
from serving.api import route
from serving.app import create_app
from serving.errors import Busy
from serving.fhir.example import EXAMPLE as FHIR_EXAMPLE
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore
from serving.turns import Turns, WaitingRoom

from ..chaos.bursts import Answer, burst
from .conftest import running


class Narrow(NamedTuple):
    """A server with two turns and room for ten who wait, and its database."""

    address: str
    key: str
    room: WaitingRoom
    database: Path

    def overload(self, path: str, question: dict[str, Any]) -> list[Answer]:
        """Send 60 calls, and let none be answered before the room is full."""
        with (
            ThreadPoolExecutor(1) as pool,
            closing(sqlite3.connect(self.database, isolation_level=None)) as connection,
        ):
            # The record cannot be written, so that whoever has a turn keeps it.
            connection.execute("BEGIN IMMEDIATE")
            answers = pool.submit(burst, self.address, self.key, path, question, clients=60)
            deadline = time.monotonic() + 100
            while not self.room.is_full:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.5)
            connection.execute("ROLLBACK")
            return answers.result()


@pytest.fixture
def narrow(models: dict[str, list[ServedModel]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Narrow]:
    monkeypatch.setattr(turns, "MAX_WAITING", 10)
    monkeypatch.setattr(route, "MAX_REQUESTS", 2)
    monkeypatch.setattr(route, "MAX_WAIT", 120)
    monkeypatch.setattr(database, "_WAIT_SECONDS", 120)
    engine = database.open_database(f"sqlite:///{tmp_path}/taxokine.db")
    accounts = Accounts(engine)
    key = accounts.keys.add("tests")
    app = create_app(models, accounts, recorder=Recorder(RecordStore(engine, RecordKey(b"k" * 32))))
    with running(app) as url:
        yield Narrow(url, key, app.state.waiting_room, tmp_path / "taxokine.db")


def test_beyond_the_waiting_ones_calls_are_refused(
    narrow: Narrow, candidate: dict[str, Any], client: httpx.Client
) -> None:
    answers = narrow.overload("/v1/predictions", candidate)
    refused = [answer for answer in answers if answer.status == 503]
    predicted = [answer for answer in answers if answer.status == 200]
    assert len(predicted) >= 12
    assert len(predicted) + len(refused) == 60
    assert refused
    assert all("retry-after: 5" in answer.header.lower() for answer in refused)
    assert {json.loads(answer.body)["error"]["code"] for answer in refused} == {"unavailable"}
    # Whoever is answered gets what they would get alone.
    expected = client.post("/v1/predictions", json=candidate).json()
    assert all(json.loads(answer.body) == expected for answer in predicted)
    headers = {"Authorization": f"Bearer {narrow.key}"}
    assert httpx.post(f"{narrow.address}/v1/predictions", json=candidate, headers=headers).status_code == 200


def test_fhir_refuses_in_its_own_format(narrow: Narrow) -> None:
    answers = narrow.overload("/fhir/R4/RiskAssessment/$predict", FHIR_EXAMPLE)
    refused = [json.loads(answer.body) for answer in answers if answer.status == 503]
    assert refused
    assert {content["resourceType"] for content in refused} == {"OperationOutcome"}
    assert {content["issue"][0]["code"] for content in refused} == {"throttled"}


def test_pages_are_refused_and_health_checks_answered(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING", 0)
    monkeypatch.setattr(turns, "MAX_WAITING_PAGES", 0)
    page = httpx.get(f"{address}/sign-in", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "<h1>The server is busy</h1>" in page.text
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert httpx.get(f"{address}/v1/models").status_code == 503
    for path in ("/healthz", "/readyz", "/static/style.css"):
        assert httpx.get(f"{address}{path}").status_code == 200


def test_nobody_waits_longer_than_the_limit() -> None:
    async def enter(one_turn: Turns, room: WaitingRoom) -> bool:
        try:
            async with one_turn.turn(room):
                return True
        except Busy:
            return False

    async def enter_while_taken() -> list[bool]:
        room, one_turn = WaitingRoom(), Turns(1, 0.05)
        async with one_turn.turn(room):
            # A task of its own, as each request is.
            during = await asyncio.wait_for(asyncio.create_task(enter(one_turn, room)), 5)
        assert room.n_waiting == 0
        return [during, await enter(one_turn, room)]

    # In a thread of its own: that of the tests may run the loop of a browser.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, enter_while_taken()).result() == [False, True]


def test_an_answer_begins_after_those_who_wait_for_the_event_loop() -> None:
    async def n_begun_before_an_answer(n_arriving: int) -> int:
        room = WaitingRoom()

        async def arrive() -> None:
            for _ in range(n_arriving):
                # In each round of the loop, one connection is accepted.
                await asyncio.sleep(0)
                room.n_begun += 1

        arrivals = asyncio.create_task(arrive())
        async with Turns(at_once=1, seconds=1).turn(room):
            n_begun = room.n_begun
        await arrivals
        return n_begun

    with ThreadPoolExecutor(1) as pool:
        few, many = (pool.submit(asyncio.run, n_begun_before_an_answer(n)).result() for n in (20, 1000))
    assert few == 20
    # More arrive than can be refused: the answer does not wait for them all.
    assert turns.MOST_ROUNDS - 1 <= many <= turns.MOST_ROUNDS + 1
