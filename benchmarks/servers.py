"""Servers beside this process, and the clients that ask them over their own sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

KEY = "benchmark"
"""API key of every server."""
START_SECONDS = 180


@dataclass(frozen=True)
class Server:
    """A command that serves on a port, and the requests that it takes.

    Attributes
    ----------
    command : tuple of str
        Arguments of `python -m`; `--port` follows.
    ready : str
        Path that has status 200 once the server answers.
    requests : sequence of bytes
        One HTTP request for each patient.
    environment : mapping of str to str
        Set beside the environment of this process.
    """

    command: tuple[str, ...]
    ready: str
    requests: Sequence[bytes]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Process:
    """A server that runs: its port, and the process that was started, which may have started workers."""

    port: int
    process: psutil.Process

    def processor_seconds(self) -> float:
        """Return the processor time of the process and its workers so far."""
        times = (process.cpu_times() for process in (self.process, *self.process.children(recursive=True)))
        return float(sum(time.user + time.system for time in times))


@contextmanager
def running(servers: Mapping[str, Server]) -> Iterator[dict[str, Process]]:
    """Run servers beside this process; yield each by its name."""
    with ExitStack() as stack:
        processes = {}
        for name, server in servers.items():
            port = free_port()
            # MLflow calls uvicorn by name.
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            process = subprocess.Popen(
                [sys.executable, "-m", *server.command, "--port", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PATH": path, **server.environment},
                start_new_session=True,
            )
            stack.callback(_end, process)
            processes[name] = Process(port, psutil.Process(process.pid))
        deadline = time.monotonic() + START_SECONDS
        for name, server in servers.items():
            while not is_ready(processes[name].port, server.ready):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"'python -m {' '.join(server.command)}' did not start")
                time.sleep(0.1)
        yield processes


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole session, since a server may have started workers.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


def is_ready(port: int, path: str) -> bool:
    """Return whether a server on this port answers this path with status 200."""
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def http_request(path: str, content: Mapping[str, Any]) -> bytes:
    """Return an HTTP request with a JSON body."""
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Return a reply's body, read from the socket, since http.client would add a tenth of a millisecond."""
    connection.sendall(request)
    reply, start, end = bytearray(), 0, 0
    while not end or len(reply) < end:
        if not (chunk := connection.recv(2**18)):
            raise ConnectionError("the server closed the connection")
        reply += chunk
        if not end and (head := reply.find(b"\r\n\r\n")) >= 0:
            length = reply[:head].lower().partition(b"content-length:")[2].partition(b"\r")[0]
            start, end = head + 4, head + 4 + int(length)
    assert reply.startswith(b"HTTP/1.1 200 "), bytes(reply)
    return bytes(reply[start:])


def connect(port: int) -> socket.socket:
    """Return a connection to a server of this machine."""
    return socket.create_connection(("127.0.0.1", port), 30)


def latencies(port: int, requests: Sequence[bytes], count: int) -> list[float]:
    """Return the seconds of `count` requests, one after another on one connection."""
    seconds = []
    with connect(port) as connection:
        for i in range(count):
            start = time.perf_counter()
            ask(connection, requests[i % len(requests)])
            seconds.append(time.perf_counter() - start)
    return seconds


def answers_per_second(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> float:
    """Return the answers a second to clients that each ask again once they are answered."""
    end = time.perf_counter() + seconds

    def answers(client: int) -> int:
        count = 0
        with connect(port) as connection:
            while time.perf_counter() < end:
                ask(connection, requests[(client + count) % len(requests)])
                count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(answers, range(clients))) / seconds
