"""The log of a real server: a whole session leaves JSON lines with ids of requests, and nothing of a patient."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from features.settings import settings
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.cds_hooks.service import SERVICE
from serving.database import open_database
from serving.logs import REQUEST_ID, JsonFormatter, configure_logging
from serving.request_log import RequestLog
from taxokine.processes import background_process, reserved_port
from taxokine.simulation import Trial, simulate_trial

from .ehr import BASE, bearer, write_clients
from .registry import registered

Json = dict[str, Any]
PASSWORD, GUESS, NAME = "a password of nora's", "a guess at it", "Erika Mustermann"
SECRET_VALUE = 61.0234375
# A server like any other, but for one patient whose page crashes with an error that quotes the patient.
CRASHING_SERVER = """
import sys
from serving.pages import routes

view = routes.patient_view

def crash_of_one(catalogue, clinic, patient, *rest):
    if patient.id == "SIM-002":
        raise RuntimeError(f"{patient.id} is Erika Mustermann")
    return view(catalogue, clinic, patient, *rest)

routes.patient_view = crash_of_one
from serving.main import serve
serve(port=int(sys.argv[1]))
"""


class Server(NamedTuple):
    address: str
    key: str
    log: Path

    def lines(self) -> list[Json]:
        """Return the lines of the log that are JSON: all but what `taxokine serve` says to whoever starts it."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def lines_of(self, request: str, count: int = 1) -> list[Json]:
        """Return the lines of a request; the last one is written when the client has its answer."""
        deadline = time.monotonic() + 20
        while len(lines := [line for line in self.lines() if line.get("request") == request]) < count:
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)
        return lines


@pytest.fixture(scope="module")
def server(models: dict[str, list[ServedModel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("logged")
    clinic = simulate_trial(home / "clinic", Trial(n_patients=12, n_taxa=40, visits=(-7, 28), seed=2))
    environment = {"TAXOKINE_CLINIC": str(clinic), "TAXOKINE_CDS_CLIENTS": str(write_clients(home))}
    with registered(models, home, TAXOKINE_SERVER_URL=BASE, **environment), reserved_port(0) as (port, release):
        accounts = Accounts(open_database(settings().database))
        accounts.add_user("nora", "researcher", PASSWORD)
        key, log = accounts.keys.add("ward"), home / "server.log"
        release()
        command = [sys.executable, "-c", CRASHING_SERVER, str(port)]
        with background_process("server", command, log, {"PYTHONPATH": os.pathsep.join(sys.path)}) as wait_until_ready:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{address}/readyz")
            yield Server(address, key, log)


def csrf(http: httpx.Client) -> str:
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', http.get("/upload").text)
    assert token is not None
    return token[1]


def test_a_whole_session_leaves_nothing_of_a_patient_and_no_secret(server: Server, candidate: Json, call: Json) -> None:
    candidate["patient"]["id"] = NAME
    candidate["patient"]["age"] = SECRET_VALUE
    bearer_of_key = {"Authorization": f"Bearer {server.key}"}
    statuses = []
    with httpx.Client(base_url=server.address) as http:
        http.post("/sign-in", data={"name": NAME, "password": GUESS})
        http.post("/sign-in", data={"name": "nora", "password": PASSWORD})
        token = csrf(http)
        secrets = [server.key, PASSWORD, GUESS, token, http.cookies["taxokine_session"]]
        for path in ("/", "/patients/SIM-001?worth=2", "/patients/SIM-002", f"/patients/{NAME}", f"/{NAME}", "/models",
                     "/patients/SIM-001?visit=Mustermann", f"/?find={NAME}"):  # fmt: skip
            statuses.append(http.get(path, headers={"Accept": "text/html"}).status_code)
        stool = b"taxon\tabundance\nGenus0_species0\t61.0234375\nMustermann\tErika\n"
        http.post("/upload", data={"csrf": token, "patient": NAME}, files={"taxa": (f"{NAME}.tsv", stool)})
        statuses.append(http.post("/answer", data={"csrf": token, "request": json.dumps(candidate)}).status_code)
    with httpx.Client(base_url=server.address, headers=bearer_of_key) as http:
        response = http.post("/v1/predictions", json=candidate)
        statuses += [response.status_code, http.post("/v1/predictions", json={"Mustermann": NAME}).status_code]
        http.post("/v1/predictions", content=b'{"Mustermann')
        http.post("/v1/predictions?name=Mustermann", json=candidate, headers={"Authorization": f"Bearer {GUESS}"})
        batch = f"patient,taxa:Genus0_species0,clinical:age\n{NAME},1,{SECRET_VALUE}\n{NAME},Mustermann,x\n".encode()
        statuses.append(
            http.post("/v1/predictions/batch", content=batch, headers={"Content-Type": "text/csv"}).status_code
        )
        call["prefetch"]["patient"]["name"] = [{"text": NAME}]
        resources = [{"resource": call["prefetch"]["patient"]}, *call["prefetch"]["stool"]["entry"]]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": resources}
        statuses.append(http.post("/fhir/R4/RiskAssessment/$predict", json=bundle).status_code)
        report = {"patient": NAME, "assessed": "2099-01-01", "outcomes": {"objective_response": True}}
        statuses.append(http.post("/v1/outcomes", json=report).status_code)
        path = f"/cds-services/{SERVICE}"
        headers = bearer(path)
        secrets.append(headers["Authorization"].split()[1])
        statuses.append(http.post(path, json=call, headers=headers).status_code)
        http.post("/v1/predictions", json=candidate, headers={"X-Request-ID": "ward-7"})
    (line,) = server.lines_of("ward-7")
    assert statuses == [200, 200, 500, 404, 404, 200, 422, 200, 200, 200, 422, 200, 200, 422, 200]
    text = server.log.read_text()
    for quoted in (*secrets, NAME, "Erika", "Mustermann", "SIM-0", str(SECRET_VALUE), "Genus", "1964-05-20", "worth="):
        assert quoted not in text, quoted
    assert (line["method"], line["route"], line["status"], line["asker"]) == (
        "POST", "/v1/predictions", 200, "key ward"
    )  # fmt: skip


def test_the_log_of_a_crash_has_its_place_and_the_request(server: Server) -> None:
    with httpx.Client(base_url=server.address) as http:
        http.post("/sign-in", data={"name": "nora", "password": PASSWORD})
        crashed = http.get("/patients/SIM-002", headers={"X-Request-ID": "crash-1"})
    assert (crashed.status_code, crashed.headers["X-Request-ID"]) == (500, "crash-1")
    assert "crash-1" in crashed.text
    failure, answer = server.lines_of("crash-1", 2)
    assert (failure["level"], failure["error"]) == ("error", "RuntimeError")
    assert failure["trace"][-1].endswith("in crash_of_one")
    assert (answer["level"], answer["status"], answer["asker"]) == ("error", 500, "user nora")
    assert answer["route"] == "/patients/{patient_id:path}"


def test_every_line_is_json_with_a_time_and_health_checks_leave_none(server: Server) -> None:
    unformatted = [line for line in server.log.read_text().splitlines() if line and not line.startswith("{")]
    assert unformatted == []
    lines = server.lines()
    assert {"uvicorn.error", "taxokine"} <= {line["logger"] for line in lines}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in lines)
    assert httpx.get(f"{server.address}/healthz").headers["X-Request-ID"]
    assert "/healthz" not in server.log.read_text()


def test_the_id_of_a_request_is_that_of_the_record(server: Server, candidate: Json) -> None:
    for sent, valid in (("ward-8", True), ("a b", False), ("x" * 65, False), ("é", False)):
        response = httpx.post(
            f"{server.address}/v1/predictions",
            json=candidate,
            headers=[("Authorization", f"Bearer {server.key}"), ("X-Request-ID", sent.encode())],
        )
        name = response.headers["X-Request-ID"]
        assert (name == sent) is valid
        assert re.fullmatch(r"[\w.:-]{1,64}", name)
        assert server.lines_of(name)


def test_what_other_libraries_warnings_and_threads_say_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    hook, show = threading.excepthook, warnings.showwarning
    level = root.level
    try:
        configure_logging()
        REQUEST_ID.set("r1")
        logging.getLogger("asyncio").error("Task failed: %s", NAME, exc_info=ValueError(NAME))
        warnings.warn(f"{NAME} has a value", UserWarning, stacklevel=1)
        thread = threading.Thread(target=lambda: [][int("61")])
        thread.start()
        thread.join()
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        root.handlers, threading.excepthook, warnings.showwarning = before, hook, show
        root.setLevel(level)
        logging.captureWarnings(False)
    assert [line["logger"] for line in lines] == ["asyncio", "py.warnings", "taxokine"]
    assert lines[0]["error"] == "ValueError"
    assert lines[0]["place"].startswith("test_logs.py:")
    assert lines[0]["request"] == "r1"
    assert lines[2]["error"] == "IndexError"
    assert NAME not in json.dumps(lines)


def test_the_line_is_written_when_the_client_has_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer"})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        n_lines.append(len(caplog.records))

    n_lines: list[int] = []
    caplog.set_level("INFO", "taxokine")
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    # In a thread of its own: that of the tests may run the browser's loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, RequestLog(answer)(scope, receive, send)).result()
    assert n_lines == [0, 0]
    assert [record.message for record in caplog.records] == ["request"]


def test_a_line_stays_one_line() -> None:
    record = logging.LogRecord("taxokine", 20, "file.py", 1, "first\nsecond\u2028third \x1b[31m", None, None)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"].splitlines()[1] == "second"
