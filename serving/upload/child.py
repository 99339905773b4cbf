"""Uploaded files are read in a process of their own, with limits on its time and memory.

Nobody vouches for an uploaded file. One that exhausts the memory, never ends, or crashes a library written in C stops
this process alone, and its user gets a report; the server goes on. What the process found comes back as JSON, which
cannot run code as a pickle can.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Lock, Timer

from pydantic import TypeAdapter
from pydantic_core import to_json

from serving.instruments import UPLOADS
from serving.logs import REQUEST_ID, configure_logging, log_failure
from serving.upload.form import Field, Form
from serving.upload.intake import UploadedFile
from serving.upload.reading import UploadContent, read_files
from serving.upload.report import UploadProblem
from serving.upload.titles import ProblemKind
from serving.upload.training_columns import TrainingColumns

MAX_SECONDS = 10
"""How long the files of one upload may take."""
MAX_MEMORY = 400 * 2**20
"""Bytes that reading may take beyond those of the process before it reads."""

_MAX_CONTENT = 2**26
_OUT_OF_MEMORY, _FAILED = 3, 4
# Fork from a process without threads: a lock that another thread holds would stay locked in the child for ever.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "h5py"])
_START = Lock()
_ALLOCATOR = "ARROW_DEFAULT_MEMORY_POOL"
# What an interpreter and its libraries need.
_ENVIRONMENT = re.compile(r"PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w+|OMP_NUM_THREADS")
_CONTENT = TypeAdapter(UploadContent)


@dataclass(frozen=True)
class ReaderLimits:
    """Seconds on the clock and of computing, and bytes beyond those of the process before it reads."""

    seconds: int
    memory: int


def start_reader() -> None:
    """Start the process that forks one for each upload, so that the first upload need not wait for its imports.

    It inherits the variables of `_ENVIRONMENT` only: not the password of the database, nor the key of the record.
    """
    with _START:
        secrets = {name: value for name, value in os.environ.items() if not _ENVIRONMENT.fullmatch(name)}
        for name in secrets:
            del os.environ[name]
        # Arrow's own allocator reserves a gigabyte of addresses at its first use, all of which the limit counts.
        os.environ[_ALLOCATOR] = "system"
        try:
            forkserver.ensure_running()
        finally:
            del os.environ[_ALLOCATOR]
            os.environ.update(secrets)


def start_child(target: Callable[..., None], *arguments: object) -> tuple[Connection, ForkServerProcess]:
    """Start a function of a module in a process of its own.

    Parameters
    ----------
    target : callable
        It sends its result through the connection that it gets before the arguments.
    *arguments : object

    Returns
    -------
    receiver : Connection
    process : ForkServerProcess
    """
    # Starting a process would start a forking one that has ended, with the whole environment.
    start_reader()
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=target, args=(sender, *arguments), daemon=True)
    process.start()
    sender.close()
    return receiver, process


def read_in_child(
    files: Mapping[Field, UploadedFile], form: Form, training: TrainingColumns, folder: Path
) -> UploadContent:
    """Read the files of an upload as `read_files` does, in a process that is killed at the limits.

    Returns
    -------
    UploadContent
        With one problem, where the files exceed the limits or crash the process.

    Raises
    ------
    RuntimeError
        The reader failed for a reason of its own; the log has the place.
    """
    limits = ReaderLimits(MAX_SECONDS, MAX_MEMORY)
    result = run_in_child(_reading, (files, form, training, folder), limits)
    if isinstance(result, bytes):
        UPLOADS.labels("read").inc()
        return _CONTENT.validate_json(result)
    name = ", ".join(file.name for file in files.values())
    return UploadContent({}, problems=(_problem(result, name, limits),))


def run_in_child(target: Callable[..., bytes], arguments: tuple[object, ...], limits: ReaderLimits) -> bytes | int:
    """Run a function of a module in a process that is killed at the limits.

    Returns
    -------
    bytes or int
        What the function returns; or the exit code of the process, where it ended before.
    """
    receiver, process = start_child(_send_result, limits, REQUEST_ID.get(), target, arguments)
    timer = Timer(limits.seconds, process.kill)
    timer.start()
    try:
        content = receiver.recv_bytes(_MAX_CONTENT)
    except (EOFError, OSError):
        content = None
    finally:
        receiver.close()
        exit_code = _end(process, limits)
        timer.cancel()
    return exit_code if content is None else content


def _end(process: ForkServerProcess, limits: ReaderLimits) -> int:
    process.join(limits.seconds)
    process.kill()
    process.join()
    exit_code = process.exitcode
    process.close()
    return exit_code or 0


def _problem(exit_code: int, name: str, limits: ReaderLimits) -> UploadProblem:
    limit = limit_reached(exit_code, limits)
    kind: ProblemKind = "too_large"
    advice = "Upload a table of this patient's samples only."
    if not limit:
        UPLOADS.labels("damaged").inc()
        kind, observed, requirement = "unreadable", "a damaged file, at which reading broke off", "an undamaged table"
        advice = "Export the table again, and upload the new file."
    elif exit_code == _OUT_OF_MEMORY:
        UPLOADS.labels("too_large").inc()
        observed, requirement = f"a file that takes more than {limit} to read", f"at most {limit}"
    else:
        UPLOADS.labels("too_long").inc()
        observed, requirement = f"a file that takes longer than {limit} to read", f"at most {limit}"
        advice += " If the file is small, the server is busy: try again."
    return UploadProblem(kind, "error", observed, requirement, advice, file=name)


def limit_reached(exit_code: int, limits: ReaderLimits) -> str:
    """Return which limit ended a process of this exit code; empty where it broke off.

    Raises
    ------
    RuntimeError
        It failed for a reason of its own; the log has the place.
    """
    if exit_code in {-signal.SIGKILL, -signal.SIGXCPU}:
        return f"{limits.seconds} s"
    if exit_code == _OUT_OF_MEMORY:
        return f"{limits.memory // 2**20} MB of memory"
    if exit_code < 0:
        return ""
    raise RuntimeError(f"the reader of uploads ended with exit code {exit_code}")


def _reading(files: Mapping[Field, UploadedFile], form: Form, training: TrainingColumns, folder: Path) -> bytes:
    return to_json(read_files(files, form, training, folder), inf_nan_mode="constants")


def _send_result(
    sender: Connection,
    limits: ReaderLimits,
    request_id: str | None,
    target: Callable[..., bytes],
    arguments: tuple[object, ...],
) -> None:
    apply_limits(limits)
    try:
        sender.send_bytes(target(*arguments))
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except Exception as error:
        log_child_failure("an upload failed", error, request_id)
        os._exit(_FAILED)


def apply_limits(limits: ReaderLimits) -> None:
    """Let this process end at the limits."""
    # A core file would hold the patient's data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 1))
    if sys.platform == "linux":
        # Other systems neither report the address space this way nor enforce its limit.
        address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (address_space + limits.memory,) * 2)


def log_child_failure(text: str, error: Exception, request_id: str | None) -> None:
    """Log an unforeseen exception of a child, whose loggers are those of a new process."""
    configure_logging()
    REQUEST_ID.set(request_id)
    log_failure(text, error)
