"""The record of questions, on SQLite and on PostgreSQL: its chain, its writers, replay and erasure."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx
import pytest
from sqlalchemy import Engine, delete, event, func, insert, select, update

from features.errors import InputError
from features.measured_values import parse_value
from models.patient_input import Candidate, EarlierVisit, Measurement, StoolProfile
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.clinic import read_clinic
from serving.database import open_database, outcome_reports, record_entries, record_patients
from serving.errors import DatabaseError, NotRecorded, NotServed
from serving.record.answer import RecordedProbability
from serving.record.chain import RecordHead
from serving.record.keys import RecordKey, read_key
from serving.record.question import INPUTS, Inputs, Question
from serving.record.recorder import Recorder
from serving.record.replay import replay
from serving.record.store import RecordStore
from serving.schemas import PredictionRequest
from taxokine.simulation import Trial, simulate_trial

from .conftest import running

KEY, PASSWORD = RecordKey(b"k" * 32), "a long enough password"
_WITHOUT_CHECKS = "ALTER TABLE record_patients DROP CONSTRAINT pk_record_patients CASCADE"
ANSWER = (RecordedProbability("toxicity_any", "as measured", "toxicity", "3", 0.25, "ok"),)


def question(patient: str = "p1", request_id: str = "r1") -> Question:
    inputs = Inputs(Candidate({"age": 61.0}, StoolProfile({"Akkermansia_muciniphila": 1.0}, "proportions")))
    return Question("key ward-3", request_id, "POST /v1/predictions", patient, inputs, ANSWER)


@pytest.fixture
def engine(uri: str) -> Engine:
    return open_database(uri)


@pytest.fixture
def store(engine: Engine) -> RecordStore:
    """Return a record of five questions about three patients."""
    store = RecordStore(engine, KEY, "inputs")
    assert store.append([question("p1"), question("p2"), question("p1")]) == [1, 2, 3]
    assert store.append([question("p3"), question("p1")]) == [4, 5]
    return store


def test_a_whole_record_is_found_whole(store: RecordStore) -> None:
    head = store.head()
    assert head.number == 5
    assert store.verify(RecordHead.from_json(head.to_json())) == []
    store.append([question()])
    assert store.verify(head) == []
    assert [entry.number for entry in store.entries("p1")] == [1, 3, 5, 6]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("asker", "key ward-4"),
        ("request_id", "r2"),
        ("route", "GET /"),
        ("patient_id", 3),
        ("models", "[]"),
        ("digest", b"1" * 32),
        ("sealed", b"2" * 40),
        ("link", b"3" * 32),
        ("time", None),
    ],
)
def test_whatever_is_altered_is_found(store: RecordStore, engine: Engine, column: str, value: object) -> None:
    first = select(record_entries.c.time).where(record_entries.c.number == 1).scalar_subquery()
    with engine.begin() as connection:
        connection.execute(
            update(record_entries)
            .where(record_entries.c.number == 2)
            .values({column: first if value is None else value})
        )
    assert any(finding.startswith("entry 2 does not fit") for finding in store.verify())


def test_what_is_removed_reordered_or_inserted_is_found(store: RecordStore, engine: Engine) -> None:
    head = store.head()
    number = record_entries.c.number
    with engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(select(record_entries).order_by(number)).mappings()]

    def rewritten(changed_rows: list[dict[str, object]], earlier: RecordHead | None = None) -> list[str]:
        with engine.begin() as connection:
            connection.execute(delete(record_entries))
            connection.execute(insert(record_entries), changed_rows)
        return store.verify(earlier)

    assert rewritten([*rows[:1], *rows[3:]]) == ["entries 2 to 3 are missing: removed from the record"]
    # Removed, and those that follow numbered anew.
    renumbered = [*rows[:2], *({**row, "number": row["number"] - 1} for row in rows[3:])]
    assert rewritten(renumbered)[0].startswith("entry 3 does not fit")
    swapped = [rows[0], {**rows[2], "number": 2}, {**rows[1], "number": 3}, *rows[3:]]
    misplaced = [finding.split(" does")[0] for finding in rewritten(swapped) if "does not fit" in finding]
    assert misplaced == ["entry 2", "entry 3", "entry 4"]
    assert rewritten([*rows, {**rows[4], "number": 6}])[0].startswith("entry 6 does not fit")
    # The end leaves no trace in the record itself: the head does.
    assert rewritten(rows[:3]) == []
    assert rewritten(rows[:3], head) == ["the record ends at entry 3, and had 5: its end was removed"]
    with engine.begin() as connection:
        connection.execute(delete(record_entries))
    assert store.verify(head) == ["the record ends at entry 0, and had 5: its end was removed"]
    # Removed, and continued by one who has the key.
    rewritten(rows[:4])
    store.append([question("p2")])
    assert store.verify() == []
    assert store.verify(head) == ["entry 5 is not the one whose link the head states: the record was rewritten"]
    assert rewritten(rows, head) == []


def test_a_record_is_not_verified_by_another_key(store: RecordStore, engine: Engine) -> None:
    stranger = RecordStore(engine, RecordKey(b"x" * 32))
    assert len(stranger.verify()) == 5 + 3
    assert stranger.entries("p1") == []
    with pytest.raises(InputError, match="cannot be opened"):
        stranger.open_entry(1)


def test_the_database_alone_tells_nothing_of_a_patient(store: RecordStore, engine: Engine) -> None:
    # A short text may stand in what is encrypted by chance.
    store.append([question("a-patient-with-a-long-id")])
    with engine.begin() as connection:
        rows = [*connection.execute(select(record_entries)), *connection.execute(select(record_patients))]
    assert not any(text in repr(rows) for text in ("a-patient-with-a-long-id", "Akkermansia", "0.25", "61.0"))
    entry, _, content = store.open_entry(1)
    assert (entry.asker, entry.models) == ("key ward-3", '["toxicity/3"]')
    assert content.answer == ANSWER
    assert content.inputs is not None
    assert INPUTS.validate_json(content.inputs) == question().inputs


def test_an_erased_patient_cannot_be_opened_and_the_chain_stays_whole(
    store: RecordStore, engine: Engine, tmp_path: Path
) -> None:
    head = store.head()
    with engine.begin() as connection:
        has_pseudonym = record_patients.c.pseudonym == KEY.pseudonym("p1")
        wrapped = connection.scalar(select(record_patients.c.wrapped_key).where(has_pseudonym))
    assert wrapped
    assert store.erase("p1", "shell root") == 3
    with pytest.raises(InputError, match="entry 3 is of a patient who was erased"):
        store.open_entry(3)
    assert store.entries("p1") == []
    assert store.open_entry(2)[2].answer == ANSWER
    assert store.verify(head) == []
    assert (store.entries()[-1].route, store.entries()[-1].asker) == ("erasure", "shell root")
    for file in tmp_path.glob("home/taxokine.db*"):
        assert wrapped not in file.read_bytes()
    with pytest.raises(InputError, match="no entry of this patient, or the patient was erased already"):
        store.erase("p1", "shell root")
    # A later question about the same patient gets another key.
    assert store.append([question("p1")]) == [7]
    assert store.open_entry(7)[2].answer == ANSWER
    with pytest.raises(InputError, match="erased"):
        store.open_entry(1)


def test_a_key_that_is_destroyed_without_an_entry_is_found(store: RecordStore, engine: Engine) -> None:
    with engine.begin() as connection:
        has_pseudonym = record_patients.c.pseudonym == KEY.pseudonym("p2")
        connection.execute(update(record_patients).where(has_pseudonym).values(wrapped_key=None))
    (finding,) = store.verify()
    assert "the key was removed, and no entry says that it was erased" in finding


def test_patients_who_are_exchanged_or_removed_are_found(store: RecordStore, engine: Engine) -> None:
    row_id = record_patients.c.id
    with engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(select(record_patients).order_by(row_id)).mappings()]
        first, second = (int(row.pop("id")) for row in rows[:2])
        # As a pseudonym is there once, the row that is written first must not meet the other.
        connection.execute(update(record_patients).where(row_id == first).values(pseudonym=b"", wrapped_key=b""))
        connection.execute(update(record_patients).where(row_id == second).values(rows[0]))
        connection.execute(update(record_patients).where(row_id == first).values(rows[1]))
    findings = store.verify()
    assert [finding.split(" does not open")[0] for finding in findings] == [
        f"entry {number}" for number in (1, 2, 3, 5)
    ]
    with closing(engine.raw_connection()) as connection:
        # Who writes to the database may turn off what it checks.
        turn_off = "PRAGMA foreign_keys = OFF" if engine.dialect.name == "sqlite" else _WITHOUT_CHECKS
        cursor = connection.cursor()
        cursor.execute(turn_off)
        cursor.execute(f"DELETE FROM record_patients WHERE id NOT IN ({first}, {second})")
        connection.commit()
    assert "entry 4 cannot be opened: the row of patient 3 was removed" in store.verify()
    with pytest.raises(InputError, match="entry 4 cannot be opened"):
        store.open_entry(4)


def test_an_erasure_that_a_reader_of_the_files_holds_up_says_so_and_is_finished_later(tmp_path: Path) -> None:
    file = tmp_path / "taxokine.db"
    store = RecordStore(open_database(f"sqlite:///{file}"), KEY)
    store.append([question("p1")])
    with closing(sqlite3.connect(file)) as reader:
        (wrapped,) = reader.execute("SELECT wrapped_key FROM record_patients").fetchone()
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM record_patients").fetchone()
        with pytest.raises(DatabaseError, match=r"still hold it.*erase the patient again"):
            store.erase("p1", "shell root")
    with pytest.raises(InputError, match="erased already"):
        store.erase("p1", "shell root")
    assert not any(wrapped in path.read_bytes() for path in tmp_path.glob("taxokine.db*"))
    assert store.verify() == []


def test_simultaneous_processes_leave_neither_gap_nor_double(uri: str, store: RecordStore) -> None:
    # Forked from a process that has imported the libraries, which takes seconds.
    code = """
import os, sys
from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.record.store import RecordStore
from concurrent.futures import ThreadPoolExecutor
from models.patient_input import Candidate

def ask_all(name):
    recorder = Recorder(RecordStore(open_database(sys.argv[1]), RecordKey(b"k" * 32)))
    def ask(i):
        return recorder.record_in_thread(Question("key a", name + str(i), "r", f"p{i % 7}", Inputs(Candidate()), ()))
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(50)))) == 50

processes = []
for name in "abc":
    process = os.fork()
    if process == 0:
        ask_all(name)
        os._exit(0)
    processes.append(process)
print(*(os.waitpid(process, 0)[1] for process in processes))
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run([sys.executable, "-c", code, uri], env=env, text=True, capture_output=True)
    assert (finished.stdout, finished.stderr) == ("0 0 0\n", "")
    entries = store.entries()
    assert [entry.number for entry in entries] == list(range(1, 156))
    assert len({entry.request_id for entry in entries[5:]}) == 150
    assert store.verify() == []


def test_questions_that_wait_are_committed_together(engine: Engine) -> None:
    recorder = Recorder(RecordStore(engine, KEY))
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    with ThreadPoolExecutor(40) as pool:
        numbers = list(pool.map(lambda i: recorder.record_in_thread(question(f"p{i}")), range(200)))
    assert sorted(numbers) == list(range(1, 201))
    assert len(commits) < 100


def test_a_question_that_cannot_be_recorded_is_an_error_unless_the_operator_chose_otherwise(uri: str) -> None:
    engine = open_database(uri)
    with engine.begin() as connection:
        outcome_reports.drop(connection)
        record_entries.drop(connection)
    store = RecordStore(engine, KEY)
    recorder = Recorder(store)
    for _ in range(2):
        with pytest.raises(NotRecorded):
            recorder.record_in_thread(question())
    assert Recorder(store, required=False).record_in_thread(question()) is None
    with engine.begin() as connection:
        record_entries.create(connection)
    # The writer outlives its errors.
    assert recorder.record_in_thread(question()) == 1


def test_the_event_loop_works_while_the_disk_writes_and_nothing_is_given_where_that_fails(engine: Engine) -> None:
    written = Event()

    class FailingDisk(RecordStore):
        def append(self, questions: Sequence[Question], before_commit: Callable[[], None] = lambda: None) -> list[int]:
            before_commit()
            assert written.wait(10)
            raise OSError("no space left on device")

    # The loop of a browser runs in the thread of the tests.
    with pytest.raises(NotRecorded), ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, Recorder(FailingDisk(engine, KEY)).record(question(), written.set)).result()
    assert written.is_set()


def test_an_entry_is_made_though_the_client_and_its_event_loop_are_gone(engine: Engine) -> None:
    begun, loop_end = Event(), Event()

    class SlowDisk(RecordStore):
        def append(self, questions: Sequence[Question], before_commit: Callable[[], None] = lambda: None) -> list[int]:
            begun.set()
            assert loop_end.wait(10)
            return super().append(questions, before_commit)

    recorder = Recorder(SlowDisk(engine, KEY))

    async def leave() -> None:
        asking = asyncio.create_task(recorder.record(question(), list))
        assert await asyncio.to_thread(begun.wait, 10)
        asking.cancel()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, leave()).result()
        loop_end.set()
    assert recorder.record_in_thread(question()) == 2


def test_the_digest_is_the_same_in_whatever_order_the_values_are_sent() -> None:
    immune = [Measurement(name, parse_value(text), "pg/mL") for name, text in (("IL-6", "<3.2"), ("IL-8", "7"))]
    taxa = {"A_b": 0.25, "C_d": 0.75}
    first = Candidate({"age": 61, "sex": "female"}, StoolProfile(taxa, "proportions"), tuple(immune))
    second = Candidate(
        {"sex": "female", "age": 61.0}, StoolProfile(dict(reversed(taxa.items())), "proportions"), tuple(immune[::-1])
    )
    assert Inputs(first).to_json() == Inputs(second).to_json()
    assert Inputs(first).to_json() != Inputs(replace(first, clinical={"age": 61.0})).to_json()
    # Fields that a question does not have leave the digests of earlier entries as they are.
    assert b'"earlier"' not in Inputs(first).to_json()
    monitored = replace(first, day=30.0, earlier=(EarlierVisit(-3.0, first), EarlierVisit(14.0, second)))
    reversed_visits = replace(monitored, earlier=monitored.earlier[::-1])
    assert Inputs(monitored).to_json() == Inputs(reversed_visits).to_json() != Inputs(first).to_json()
    assert INPUTS.validate_json(Inputs(monitored).to_json()).candidate.earlier[1].day == 14
    restored = INPUTS.validate_json(Inputs(first).to_json()).candidate
    assert (restored.clinical, restored.taxa) == (first.clinical, first.taxa)
    assert [repr(item) for item in restored.immune] == [repr(item) for item in first.immune]


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "record.key"
    read_key(None, file)
    file.chmod(0o604)
    with pytest.raises(InputError, match=f"open to every user of this machine.*chmod 600 {file}"):
        read_key(None, file)
    # A group, as of a service and its administrators, may share it.
    file.chmod(0o640)
    assert read_key(None, file)


def test_the_key_is_made_once_for_its_owner_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "home" / "record.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: read_key(None, file), range(8)))
    assert len(keys) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert read_key(keys.pop().secret.hex(), tmp_path / "absent") == read_key(None, file)
    file.write_text("secret-but-short")
    with pytest.raises(InputError, match=r"record\.key is not the key of the record; expected 64 hex") as caught:
        read_key(None, file)
    assert "secret" not in str(caught.value)


@contextmanager
def recording(
    models: Mapping[str, list[ServedModel]], uri: str, store: Callable[[Engine], RecordStore]
) -> Iterator[tuple[httpx.Client, RecordStore]]:
    engine = open_database(uri)
    accounts, record = Accounts(engine), store(engine)
    headers = {"Authorization": f"Bearer {accounts.keys.add('ward-3')}"}
    with (
        running(create_app(models, accounts, recorder=Recorder(record))) as address,
        httpx.Client(base_url=address, headers=headers) as http,
    ):
        yield http, record


def test_an_answer_is_recorded_and_replayed(
    uri: str, models: Mapping[str, list[ServedModel]], candidate: dict[str, object]
) -> None:
    by_version = {(served.name, served.version): served for ranked in models.values() for served in ranked}

    def find_model(name: str, version: str) -> ServedModel:
        return by_version[name, version]

    with recording(models, uri, lambda engine: RecordStore(engine, KEY, "inputs")) as (http, store):
        response = http.post("/v1/predictions", json=candidate, headers={"X-Request-ID": "ward-3.77"})
        assert (response.headers["X-Request-ID"], response.headers["Taxokine-Record"]) == ("ward-3.77", "1")
        # A body that is answered in a thread, and an id that is not valid.
        large = http.post("/v1/predictions", content=response.request.content + b" " * 2**15,
                          headers={"Content-Type": "application/json", "X-Request-ID": "a b"})  # fmt: skip
        assert large.headers["Taxokine-Record"] == "2"
        assert len(large.headers["X-Request-ID"]) == 16
        what_if = http.post("/v1/what-if", json={**candidate, "changes": ["immune:IL-6"]})
        assert what_if.status_code in (200, 422)
        http.post("/v1/predictions", json={**candidate, "taxa": 3})
        entries = store.entries("c1")
        assert len(entries) == (3 if what_if.status_code == 200 else 2)
        assert (entries[0].asker, entries[0].route) == ("key ward-3", "POST /v1/predictions")
        result = replay(store, 1, find_model)
        assert result.is_same
        assert [item.probability for item in result.probabilities] == [
            answer["probability"] for answer in response.json()["answers"]
        ]
        assert store.verify() == []
        # A model that is no longer the one of this version.
        other = models["objective_response"][0]
        calibration = replace(other.model.calibration, intercept=other.model.calibration.intercept + 1)
        by_version[other.name, other.version] = replace(other, model=replace(other.model, calibration=calibration))
        assert not replay(store, 1, find_model).is_same
        with pytest.raises(NotServed, match="the record has no entry 99"):
            replay(store, 99, find_model)


def test_a_digest_is_replayed_with_the_request_alone(
    tmp_path: Path, models: Mapping[str, list[ServedModel]], candidate: dict[str, object]
) -> None:
    by_version = {(served.name, served.version): served for ranked in models.values() for served in ranked}
    with recording(models, f"sqlite:///{tmp_path}/a.db", lambda engine: RecordStore(engine, KEY)) as (http, store):
        content = http.post("/v1/predictions", json=candidate).request.content
    sent = PredictionRequest.model_validate_json(content).candidate()
    assert store.open_entry(1)[2].inputs is None
    with pytest.raises(InputError, match="keeps the digest of its inputs only; give the request"):
        replay(store, 1, lambda *name: by_version[name])
    with pytest.raises(InputError, match="the request is not the one of entry 1"):
        replay(store, 1, lambda *name: by_version[name], replace(sent, clinical={"age": 62}))
    assert replay(store, 1, lambda *name: by_version[name], sent).is_same


def test_no_answer_leaves_a_server_whose_record_is_locked(
    uri: str, models: Mapping[str, list[ServedModel]], candidate: dict[str, object]
) -> None:
    with recording(models, uri, lambda engine: RecordStore(engine, KEY)) as (http, store):
        assert http.post("/v1/predictions", json=candidate).status_code == 200
        if uri.startswith("sqlite"):
            with open_database(uri).begin():
                response = http.post("/v1/predictions", json=candidate)
        else:
            with open_database(uri).begin() as connection:
                connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(b"taxokine"))))
                response = http.post("/v1/predictions", json=candidate)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert "cannot be recorded, so it is not answered; try again shortly" in response.json()["error"]["message"]
        assert "answers" not in response.text
        assert http.post("/v1/predictions", json=candidate).headers["Taxokine-Record"] == "2"
        assert store.verify() == []


def test_what_the_pages_predict_is_recorded_as_asked_by_the_user(
    tmp_path: Path, models: Mapping[str, list[ServedModel]], candidate: dict[str, object]
) -> None:
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=9, n_taxa=40, visits=(-7, 28), seed=2))
    clinic = read_clinic(str(path), (0.0,))
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    accounts, store = Accounts(engine), RecordStore(engine, KEY, "inputs")
    accounts.add_user("anna", "clinician", PASSWORD)
    with (
        running(create_app(models, accounts, clinic, recorder=Recorder(store))) as url,
        httpx.Client(base_url=url, follow_redirects=True) as http,
    ):
        http.get("/patients/SIM-001")
        assert store.entries() == []
        page = http.post("/sign-in", data={"name": "anna", "password": PASSWORD, "to": "/"})
        http.get("/patients/SIM-001?visit=1")
        assert http.get("/patients/nobody").status_code == 404
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]
        form = {"csrf": token, "request": json.dumps(candidate)}
        assert http.post("/answer", data=form).status_code == 200
        routes = [(entry.asker, entry.route) for entry in store.entries()]
        assert routes == [
            ("user anna", "GET /"),
            ("user anna", "GET /patients/{patient_id:path}"),
            ("user anna", "POST /answer"),
        ]
        assert [entry.number for entry in store.entries("SIM-001")] == [2]
        assert [entry.number for entry in store.entries("c1")] == [3]
        by_version = {(served.name, served.version): served for ranked in models.values() for served in ranked}
        for number in (2, 3):
            result = replay(store, number, lambda *name: by_version[name])
            assert len(result.probabilities) == 2
            assert result.is_same
        stored = INPUTS.validate_json(store.open_entry(2)[2].inputs or "")
        assert stored.to_json() == Inputs(clinic.patients["SIM-001"].visits[1].candidate).to_json()
        # Without its record, no page.
        with engine.begin():
            response = http.get("/patients/SIM-001")
        assert response.status_code == 503
        assert "cannot be recorded" in response.text
