"""The files of a cohort that a researcher uploads to validate a model on: a manifest, and the tables that it names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from features.errors import InputError, ManifestError, TaxokineError
from features.manifest import load_manifest
from serving.upload import UploadedFile
from serving.upload.child import ReaderLimits, limit_reached, run_in_child

MAX_SECONDS = 30
"""How long reading the files of a cohort may take; they are more than those of a patient."""
MAX_MEMORY = 1024 * 2**20
"""Bytes that reading them may take."""

_MANIFEST_ENDINGS = {".yaml", ".yml"}
_LONGEST_NAME = 255
"""Bytes of the longest name that file systems take."""


@dataclass(frozen=True)
class UploadedCohort:
    """A cohort whose files lie in a folder of the server.

    Attributes
    ----------
    name : str
        Name in its manifest.
    path : Path
        Its manifest.
    """

    name: str
    path: Path


def write_cohort(files: Iterable[UploadedFile], folder: Path) -> UploadedCohort:
    """Write the files of a cohort into a new folder, which only this user can open.

    Parameters
    ----------
    files : iterable of UploadedFile
        One manifest, and each file that it names.
    folder : Path
        It must not exist.

    Raises
    ------
    InputError
        A name is not one of a file or stands twice, there is not one manifest, the manifest names a file that is not
        among them, a file does not hold what the manifest says, or reading them exceeds the limits.
    ManifestError
        The manifest is not valid; the message names line and key.
    """
    contents: dict[str, bytes] = {}
    for file in files:
        # Browsers may send the folder of a file too.
        name = PurePath(file.name.replace("\\", "/")).name
        if name in {"", ".."} or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
            raise InputError(f"{file.name[:80]!r} is not a name for a file; rename it")
        if name in contents:
            raise InputError(f"two files are called {name}; choose each file once")
        contents[name] = file.content
    manifests = [name for name in contents if PurePath(name).suffix.lower() in _MANIFEST_ENDINGS]
    if len(manifests) != 1:
        raise InputError(
            f"expected one manifest (.yaml) among the files, got {', '.join(manifests) or 'none'}; choose it "
            "together with the tables that it names ('taxokine cohorts init FILES' drafts one)"
        )
    folder.mkdir(mode=0o700, parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return UploadedCohort(_checked_name(folder / manifests[0]), folder / manifests[0])


def _checked_name(path: Path) -> str:
    """Return the name of a cohort, once all of its files were read in a process with limits."""
    limits = ReaderLimits(MAX_SECONDS, MAX_MEMORY)
    result = run_in_child(_read_all, (path,), limits)
    if isinstance(result, int):
        limit = limit_reached(result, limits)
        observed = f"take more than {limit} to read" if limit else "are damaged: reading broke off"
        raise InputError(f"the files {observed}; mend them, or run 'taxokine validate MODEL MANIFEST' instead")
    reading = _Reading(**json.loads(result))
    # Where the server keeps uploaded files tells a reader nothing.
    message = reading.error.replace(f"{path.parent}/", "")
    if message:
        raise ManifestError(message) if reading.is_of_manifest else InputError(message)
    return reading.name


class _Reading(NamedTuple):
    """What the process found: the name of the cohort, or an error."""

    name: str
    error: str = ""
    is_of_manifest: bool = False


def _read_all(path: Path) -> bytes:
    from features.cohort import read_cohort

    try:
        manifest = load_manifest(path)
        missing = [file.name for file in manifest.source_files if not (path.parent / file.name).is_file()]
        if missing:
            names = ", ".join(missing)
            raise InputError(f"{path.name} names {names}, which you did not choose; choose all files together")
        read_cohort(path, path.parent, fetch=False)
        reading = _Reading(manifest.name)
    except TaxokineError as error:
        reading = _Reading("", str(error), isinstance(error, ManifestError))
    return json.dumps(reading._asdict()).encode()
