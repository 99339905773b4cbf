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
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.store import RecordStore

SECONDS = float(os.environ.get("TAXOKINE_TEST_SECONDS", "2"))
KILLS = int(os.environ.get("TAXOKINE_TEST_KILLS", "3"))
WRITERS, THREADS = 8, 4
KEY = "k" * 32
_WRITERS = """
import os, sys, threading, time
from pathlib import Path
from models.patient_input import Candidate
from serving.database import open_database
from serving.record.keys import RecordKey
from serving.record.question import Inputs, Question
from serving.record.recorder import Recorder
from serving.record.store import RecordStore

uri, threads = sys.argv[1], int(sys.argv[2])

def write(name, seconds, may_begin):
    recorder = Recorder(RecordStore(open_database(uri), RecordKey(b"k" * 32)))
    output = threading.Lock()
    print("ready", flush=True)
    while not may_begin.exists():
        time.sleep(0.001)
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

for line in sys.stdin:
    command, *words = line.split()
    if command == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(int(words[0]), 0)[1]), flush=True)
    else:
        file, seconds, may_begin = Path(words[0]), float(words[1]), Path(words[2])
        writer = os.fork()
        if writer == 0:
            sys.stdout = file.open("w")
            write(file.name, seconds, may_begin)
            os._exit(0)
        print(writer, flush=True)
"""
"""Starts a writer a line, as the libraries take seconds to import, and waits for one."""


class Writers:
    """Processes that write to one record, each from several threads."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-c", _WRITERS, uri, str(THREADS)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def start(self, name: str, seconds: float) -> int:
        """Start a writer of requests with a name, and return its process once it is ready to begin."""
        output = self._folder / name
        writer = self._do(f"start {output} {seconds} {self._folder / 'begun'}")
        while not (output.exists() and output.stat().st_size):
            time.sleep(0.01)
        return writer

    def begin(self) -> None:
        """Let the writers begin, all at once, and those that are started later."""
        (self._folder / "begun").touch()

    def exit_code(self, writer: int) -> int:
        """Wait for a writer, and return its exit code."""
        return self._do(f"wait {writer}")

    def answers(self, name: str) -> dict[int, str]:
        """Return the request of each number that a writer has written out, of the lines that were written whole."""
        lines = (self._folder / name).read_text().split("\n")[1:-1]
        return {int(number): request_id for number, request_id in (line.split() for line in lines)}

    def close(self) -> None:
        """End the process that starts writers."""
        self._parent.communicate()

    def _do(self, command: str) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(command + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


@pytest.fixture
def writers(uri: str, store: RecordStore, tmp_path: Path) -> Iterator[Writers]:
    writers = Writers(uri, tmp_path)
    yield writers
    writers.close()


@pytest.fixture
def store(uri: str) -> RecordStore:
    return RecordStore(open_database(uri), RecordKey(KEY.encode()))


def test_many_writers_leave_neither_gap_nor_double(store: RecordStore, writers: Writers) -> None:
    answered: dict[int, str] = {}
    names = [f"w{i}" for i in range(WRITERS)]
    processes = [writers.start(name, SECONDS) for name in names]
    writers.begin()
    assert [writers.exit_code(process) for process in processes] == [0] * WRITERS
    for answers in map(writers.answers, names):
        assert not answered.keys() & answers.keys()
        answered |= answers
    entries = store.entries()
    assert [entry.number for entry in entries] == list(range(1, len(answered) + 1))
    assert {entry.number: entry.request_id for entry in entries} == answered
    assert len({entry.request_id for entry in entries}) == len(entries)
    assert store.verify() == []
    print(f"{len(entries) / SECONDS:.0f} entries a second, {WRITERS} writers of {THREADS} threads")


def test_a_killed_writer_loses_no_answered_question(store: RecordStore, writers: Writers) -> None:
    chance, answered, unanswered = random.Random(16), dict[int, str](), 0
    writers.begin()
    for kill in range(KILLS):
        before = len(store.entries())
        writer = writers.start(f"k{kill}", 600)
        time.sleep(chance.uniform(0.0, 0.5))
        os.kill(writer, signal.SIGKILL)
        assert writers.exit_code(writer) == -signal.SIGKILL
        answers = writers.answers(f"k{kill}")
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
