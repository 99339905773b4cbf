"""Many clients at the same moment, and health checks meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What a server sent to one of many clients."""

    status: int
    header: str
    body: str


def burst(address: str, key: str, path: str, question: dict[str, Any], clients: int) -> list[Answer]:
    """Send one question by many clients at the same moment, and return their answers."""
    parts, body = urlsplit(address), json.dumps(question).encode()
    media_type = "application/fhir+json" if path.startswith("/fhir") else "application/json"
    header = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=60))
            for _ in range(clients)
        ]
        # The event loop accepts one connection at a time, which would spread the questions over time.
        for connection in connections:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for connection in connections:
            connection.sendall(header.encode() + body)
        answers = []
        for connection in connections:
            content = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
            text, _, sent = content.decode().partition("\r\n\r\n")
            answers.append(Answer(int(text.split()[1]), text, sent))
    return answers


@contextmanager
def health_checks(address: str) -> Iterator[list[float]]:
    """Check the health of a server until the context is left; the list gets the seconds of each answer, in order."""
    seconds: list[float] = []
    stop = threading.Event()

    def check() -> None:
        # A monitor keeps its connection.
        connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
        while not stop.is_set():
            started = time.perf_counter()
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            seconds.append(time.perf_counter() - started)
            time.sleep(0.01)
        connection.close()

    thread = threading.Thread(target=check)
    thread.start()
    try:
        yield seconds
    finally:
        stop.set()
        thread.join()
        seconds.sort()
