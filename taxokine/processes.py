"""Servers and calls as processes beside this one: their ports, their start, and their end."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError
from urllib.request import urlopen

from features.errors import TaxokineError

START_SECONDS = 180
"""Longest wait for a server to start; a busy machine needs minutes for what an idle one does in seconds."""
_END_SECONDS = 10
_LOG_SHOWN = 2000
R = TypeVar("R")


@contextmanager
def reserved_port(preferred: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """Reserve a port of 127.0.0.1: the preferred one, or any that is free when another program has it.

    Yields
    ------
    port : int
    release : callable
        Gives the port up, for the server that is about to listen on it.

    Raises
    ------
    TaxokineError
        No port is free.
    """
    with socket.socket() as reservation:
        # As servers do: a port whose last connections are still being closed counts as free.
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in (preferred, 0):
            with suppress(OSError):
                reservation.bind(("127.0.0.1", port))
                # Bound alone, another program could bind it too.
                reservation.listen()
                break
        else:
            raise TaxokineError("no port of 127.0.0.1 is free; end a program that listens on one, and start again")
        yield int(reservation.getsockname()[1]), reservation.close


@contextmanager
def background_process(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Callable[[str], None]]:
    """Run a command beside this process, its output in a log file; end it, and all that it started, on leaving.

    Yields
    ------
    wait_until_ready : callable
        Takes an address, and returns when it responds with status 200.

    Raises
    ------
    TaxokineError
        From `wait_until_ready`: the process has ended, or does not respond in time.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}, start_new_session=True
        )

    def wait_until_ready(url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not responds(url):
            if process.poll() is not None:
                problem = f"ended with status {process.returncode}"
            elif time.monotonic() > deadline:
                problem = f"did not respond at {url} within {START_SECONDS} s"
            else:
                time.sleep(0.1)
                continue
            raise TaxokineError(f"the {name} {problem}; the end of {log}:\n{log.read_text()[-_LOG_SHOWN:]}")

    try:
        yield wait_until_ready
    finally:
        with _ignored(signal.SIGINT, signal.SIGTERM):
            _end_session(process)


@contextmanager
def background_call(call: Callable[[], R]) -> Iterator[Callable[[], R]]:
    """Call a function of a module, or a `partial` of one, in a process beside this one; end the process on leaving.

    Yields
    ------
    wait_for_result : callable
        Returns what the function returns.

    Raises
    ------
    TaxokineError
        From `wait_for_result`: as the function raises it, or the process has ended without a result.
    """
    # Started afresh: a copy of this process would share its connections to the store.
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, call), daemon=True)
    # Ctrl-C reaches both processes; this one ends the other.
    with _ignored(signal.SIGINT):
        process.start()
    sender.close()

    def wait_for_result() -> R:
        try:
            result: R | TaxokineError = receiver.recv()
        except EOFError:
            process.join()
            raise TaxokineError(f"a process beside this one ended with status {process.exitcode}") from None
        if isinstance(result, TaxokineError):
            raise result
        return result

    try:
        yield wait_for_result
    finally:
        with _ignored(signal.SIGINT, signal.SIGTERM):
            process.terminate()
            process.join(_END_SECONDS)
            process.kill()
            process.join()


def _send_result(sender: Connection, call: Callable[[], object]) -> None:
    # As the command that started this process does.
    gc.set_threshold(20_000)
    try:
        sender.send(call())
    except TaxokineError as error:
        sender.send(TaxokineError(str(error)))


@contextmanager
def _ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals for a while: a second Ctrl-C must not leave processes behind."""
    handlers = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)


def responds(url: str) -> bool:
    """Return whether an address responds with status 200."""
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End a process and its workers, which share its session; those that do not end in time are killed."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        while _session_runs(process.pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return


def _session_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
