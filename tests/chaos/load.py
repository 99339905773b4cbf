"""Clients that ask a server one question after another, and what it answered them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

PAUSE_SECONDS = 0.05
"""Between an answer and the client's next question."""
NO_ANSWER = 0
"""Status of a question that was cut off, as when a worker is killed."""


@dataclass
class Load:
    """Answers to clients, while they ask.

    Attributes
    ----------
    answers : list of (status, seconds, version, record)
        Version is that of the first prediction's model, and record the number of the question's entry; None without an
        answer.
    """

    answers: list[tuple[int, float, str | None, int | None]] = field(default_factory=list)

    def statuses(self) -> Counter[int]:
        """Return the number of answers by status."""
        return Counter(status for status, *_ in self.answers)

    def records(self) -> list[int]:
        """Return the numbers of the entries that answers name."""
        return [record for *_, record in self.answers if record is not None]

    def versions(self) -> list[str]:
        """Return the versions that answered, in the order of the answers."""
        return [version for _, _, version, _ in self.answers if version is not None]

    def wait_for(self, n: int) -> None:
        """Wait for further answers."""
        enough = len(self.answers) + n
        while len(self.answers) < enough:
            time.sleep(0.02)


@contextmanager
def load(
    address: str, key: str, question: dict[str, Any], clients: int = 4, pause: float = PAUSE_SECONDS, period: float = 0
) -> Iterator[Load]:
    """Ask a server by several clients until the context is left; then every question has its answer.

    Each client waits `pause` seconds after an answer, and asks every `period` seconds at most.
    """
    result, stop = Load(), threading.Event()
    arguments = (address, key, question, result, stop, pause, period)
    threads = [threading.Thread(target=_ask, args=arguments) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(
    address: str,
    key: str,
    question: dict[str, Any],
    result: Load,
    stop: threading.Event,
    pause: float,
    period: float,
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        while not stop.is_set():
            started = time.perf_counter()
            try:
                answer = client.post("/v1/predictions", json=question)
            except httpx.TransportError:
                result.answers.append((NO_ANSWER, time.perf_counter() - started, None, None))
                time.sleep(pause or PAUSE_SECONDS)
                continue
            seconds, version, record = time.perf_counter() - started, None, None
            if answer.status_code == 200:
                version = answer.json()["answers"][0]["model"]["version"]
                record = int(answer.headers["Taxokine-Record"])
            result.answers.append((answer.status_code, seconds, version, record))
            # The machine has other work than to ask.
            time.sleep(max(pause, started + period - time.perf_counter()))
