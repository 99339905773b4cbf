"""The record under stress: many writers at once, and writers that are killed, on each database.

The short form runs with the others; `TAXOKINE_TEST_SECONDS=60 TAXOKINE_TEST_KILLS=50` runs the long one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.store import RecordStore

SECONDS = float(os.environ.get("TAXOKINE_TEST_SECONDS", "2"))
KILLS = int(os.environ.get("TAXOKINE_TEST_KILLS", "3"))
WRITERS, THREADS = 8, 4
KEY = "k" * 32
_WRITER = """
import sys, threading, time
from models.patient_input import Candidate
from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

uri, name, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
recorder = Recorder(RecordStore(open_database(uri), RecordKey(b"k" * 32)))
output = threading.Lock()
print("ready", flush=True)
input()
end = time.monotonic() + seconds

def ask(thread):
    i = 0
    while time.monotonic() < end:
        request_id, i = f"{name}.{thread}.{i}", i + 1
        question = Question("key a", request_id, "route", f"p{i % 50}", Inputs(Candidate()), ())
        number = recorder.record_in_thread(question)
        # What a client has received, once this line is written.
        with output:
            print(number, request_id, flush=True)

writers = [threading.Thread(target=ask, args=(thread,)) for thread in range(threads)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
"""


@pytest.fixture
def store(uri: str) -> RecordStore:
    return RecordStore(open_database(uri), RecordKey(KEY.encode()))


def test_many_writers_leave_neither_gap_nor_double(uri: str, store: RecordStore, tmp_path: Path) -> None:
    answered: dict[int, str] = {}
    outputs = [tmp_path / f"w{i}" for i in range(WRITERS)]
    writers = [_start(uri, output, SECONDS) for output in outputs]
    for writer, output in zip(writers, outputs, strict=True):
        _wait_until_ready(writer, output)
    _release(*writers)
    assert [writer.wait() for writer in writers] == [0] * WRITERS
    for answers in map(_answers, outputs):
        assert not answered.keys() & answers.keys()
        answered |= answers
    entries = store.entries()
    assert [entry.number for entry in entries] == list(range(1, len(answered) + 1))
    assert {entry.number: entry.request_id for entry in entries} == answered
    assert len({entry.request_id for entry in entries}) == len(entries)
    assert store.verify() == []
    print(f"{len(entries) / SECONDS:.0f} entries a second, {WRITERS} writers of {THREADS} threads")


def test_a_killed_writer_loses_no_answered_question(uri: str, store: RecordStore, tmp_path: Path) -> None:
    chance, answered, unanswered = random.Random(16), dict[int, str](), 0
    for kill in range(KILLS):
        before = len(store.entries())
        output = tmp_path / f"k{kill}"
        writer = _start(uri, output, 600)
        _wait_until_ready(writer, output)
        _release(writer)
        time.sleep(chance.uniform(0.0, 0.5))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        answers = _answers(output)
        # The store opens, its chain is whole, and whatever was answered is recorded as it was answered.
        entries = store.entries()
        assert store.verify() == []
        recorded = {entry.number: entry.request_id for entry in entries}
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        assert answers.items() <= recorded.items()
        answered |= answers
        # Recorded and not answered: at most the questions that waited, one a thread.
        assert len(entries) - before - len(answers) <= THREADS
        unanswered += len(entries) - before - len(answers)
    assert answered
    print(f"{KILLS} kills: {len(answered)} answered and recorded, {unanswered} recorded, whose answers were not sent")


def _start(uri: str, output: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Start a writer, whose requests are named after the file of its answers."""
    command = [sys.executable, "-c", _WRITER, uri, output.name, str(THREADS), str(seconds)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with output.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, env=env)


def _wait_until_ready(writer: subprocess.Popen[bytes], output: Path) -> None:
    while not output.stat().st_size:
        assert writer.poll() is None
        time.sleep(0.01)


def _release(*writers: subprocess.Popen[bytes]) -> None:
    """Let writers begin, all at once."""
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()


def _answers(output: Path) -> dict[int, str]:
    """Return the request of each number, of the lines that were written whole."""
    lines = output.read_text().split("\n")[1:-1]
    return {int(number): request_id for number, request_id in (line.split() for line in lines)}
