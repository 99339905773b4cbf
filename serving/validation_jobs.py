"""Validations that a page starts: `taxokine validate` in a process beside the server, one at a time.

The server does not import what trains and validates. A job's folder keeps its cohort, its output and its exit status,
so that every worker of the server shows it, and so does a server that was started since.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from features.errors import InputError
from features.manifest import manifest_names
from models.evidence import ExternalValidation
from models.predict import ServedModel
from serving.upload import UploadedFile
from serving.uploaded_cohort import write_cohort

State = Literal["running", "finished", "failed"]
_LOCK, _JOB, _OUTPUT, _STATUS = "lock", "job.json", "output.txt", "status"
_UPLOADED = "uploaded"
_SECRETS = {"TAXOKINE_DATABASE", "TAXOKINE_RECORD_KEY", "TAXOKINE_API_KEY", "TAXOKINE_OIDC_SECRET_FILE"}
_LONGEST_MESSAGE = 1500
_STATUS_SECONDS = 1


@dataclass(frozen=True)
class ValidationJob:
    """The last validation of a model that a page started.

    Attributes
    ----------
    cohort : str
        Name that the page shows for the cohort.
    started : str
        Local date and time.
    state : {"running", "finished", "failed"}
    message : str
        Why it failed; otherwise empty.
    """

    cohort: str
    started: str
    state: State
    message: str


class ValidationJobs:
    """Starts validations, and reports their state.

    Parameters
    ----------
    folder : Path
        Where the jobs keep their output.
    data : Path
        Folder of the cohorts: a subfolder for each published cohort, and manifests of others.
    clinic : mapping of str to str
        Name and manifest of the cohort whose patients the pages list; empty without one.
    """

    def __init__(self, folder: Path, data: Path, clinic: Mapping[str, str]) -> None:
        self._folder, self._data, self._clinic = folder, data, clinic
        self._uploaded = folder / _UPLOADED
        if self._uploaded.exists() and not self._is_running():
            # A server that was killed left them.
            shutil.rmtree(self._uploaded, ignore_errors=True)

    def cohorts(self) -> dict[str, str]:
        """Return the cohorts that can be chosen, each with the argument that names it to `taxokine validate`."""
        packaged_manifests = {name: name for name in manifest_names() if (self._data / name).is_dir()}
        manifests = [*self._data.glob("*.yaml"), *self._data.glob("*/*.yaml")]
        local_manifests = {str(path.relative_to(self._data)): str(path) for path in sorted(manifests)}
        return {**self._clinic, **packaged_manifests, **local_manifests}

    def start(self, served: ServedModel, cohort: str) -> None:
        """Start to validate a model on a cohort.

        Raises
        ------
        InputError
            The cohort cannot be chosen, or another validation runs.
        """
        cohorts = self.cohorts()
        if cohort not in cohorts:
            raise InputError(f"no cohort {cohort!r} to validate on; choose one of {', '.join(cohorts) or 'none'}")
        with self._turn() as lock:
            self._launch(served, cohort, cohorts[cohort], lock)

    def start_on_files(self, served: ServedModel, files: Iterable[UploadedFile]) -> None:
        """Start to validate a model on a cohort's uploaded files, which are deleted when the validation ends.

        Raises
        ------
        InputError, ManifestError
            As `serving.uploaded_cohort.write_cohort` raises them, or another validation runs.
        """
        with self._turn() as lock:
            try:
                cohort = write_cohort(files, self._uploaded)
                self._launch(served, cohort.name, str(cohort.path), lock)
            except Exception:
                shutil.rmtree(self._uploaded, ignore_errors=True)
                raise

    @contextmanager
    def _turn(self) -> Iterator[int]:
        """Hold the lock while a validation starts, without what a killed server left behind of uploaded files."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._lock()
        if lock is None:
            raise InputError("another validation runs; wait until it has ended, and start this one again")
        try:
            shutil.rmtree(self._uploaded, ignore_errors=True)
            yield lock
        finally:
            os.close(lock)

    def _launch(self, served: ServedModel, cohort: str, argument: str, lock: int) -> None:
        folder = self._job_folder(served)
        folder.mkdir(exist_ok=True)
        (folder / _STATUS).unlink(missing_ok=True)
        started = f"{datetime.now():%d %B %Y, %H:%M}"
        (folder / _JOB).write_text(json.dumps({"cohort": cohort, "started": started}), encoding="utf-8")
        command = [sys.executable, "-m", "taxokine", "validate", f"{served.name}/{served.version}", argument]
        with (folder / _OUTPUT).open("w") as output:
            # The process holds the lock until it ends, even where this one ends before.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                # It reads what was uploaded, and needs neither accounts nor the record.
                env={name: value for name, value in os.environ.items() if name not in _SECRETS},
            )
        watcher = threading.Thread(target=_await_end, args=(process, folder / _STATUS, self._uploaded), daemon=True)
        watcher.start()

    def latest(self, served: ServedModel) -> ValidationJob | None:
        """Return the last validation of a model that a page started; None where there is none."""
        folder = self._job_folder(served)
        if not (folder / _JOB).is_file():
            return None
        job = json.loads((folder / _JOB).read_text(encoding="utf-8"))
        if not (folder / _STATUS).is_file() and self._is_running():
            return ValidationJob(**job, state="running", message="")
        status = _status(folder / _STATUS)
        if status == "0":
            return ValidationJob(**job, state="finished", message="")
        output = (folder / _OUTPUT).read_text(encoding="utf-8", errors="replace").strip()
        # Where the server keeps uploaded files tells a reader nothing.
        output = output.replace(f"{self._uploaded}/", "")
        _, separator, error = output.rpartition("Error: ")
        message = (error if separator else output)[-_LONGEST_MESSAGE:] or f"it ended with status {status}"
        return ValidationJob(**job, state="failed", message=message)

    def validations(self, served: ServedModel) -> tuple[ExternalValidation, ...]:
        """Return a model's validations elsewhere, those since the server's start included."""
        # The registry imports MLflow, which takes seconds.
        from models.registry import external_validations

        return external_validations(served.name, served.version)

    def _job_folder(self, served: ServedModel) -> Path:
        return self._folder / f"{served.name}-{served.version}"

    def _lock(self) -> int | None:
        """Return a descriptor that holds the lock of the running validation; None where another process holds it."""
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _is_running(self) -> bool:
        lock = self._lock()
        if lock is not None:
            os.close(lock)
        return lock is None


def _status(path: Path) -> str:
    """Return the exit status that is kept of a process that has ended."""
    deadline = time.monotonic() + _STATUS_SECONDS
    while not path.is_file():
        # A process that ended after its server left no status.
        if time.monotonic() > deadline:
            return "unknown"
        time.sleep(0.05)
    return path.read_text()


def _await_end(process: subprocess.Popen[bytes], path: Path, uploaded: Path) -> None:
    """Once a process has ended, delete the uploaded files that it read, and write its exit status."""
    status = process.wait()
    shutil.rmtree(uploaded, ignore_errors=True)
    draft = path.with_suffix(".part")
    draft.write_text(str(status))
    draft.replace(path)
