"""A folder of files with their SHA-256: what a bundle is, checked before it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from features.errors import BundleError

Array = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.intp] | NDArray[np.int8]
HASHES = "hashes.json"
_LARGEST = 512 * 2**20


def write_hashed(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files by name into a new folder, and their hashes beside them.

    Raises
    ------
    FileExistsError
        The folder exists.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    folder.mkdir(parents=True)
    for name, content in {**contents, HASHES: json_bytes(hashes)}.items():
        (folder / name).write_bytes(content)


def read_hashed(folder: Path, allowed_names: Collection[str]) -> dict[str, bytes]:
    """Return the files of a folder by name, once their names, sizes and hashes are those that were written.

    Raises
    ------
    BundleError
        The folder contains a file that is not allowed, or a hash does not match.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder")
    names = {path.name for path in folder.iterdir()}
    if unexpected := names - {*allowed_names, HASHES}:
        raise BundleError(
            f"{folder} contains files that a bundle may not contain: {', '.join(sorted(unexpected))}; it was not read"
        )
    contents = {}
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            raise BundleError(f"{path} is not a plain file of a bundle's size; it was not read")
        contents[name] = path.read_bytes()
    try:
        hashes: Mapping[str, str] = json.loads(contents.pop(HASHES))
    except (KeyError, ValueError, RecursionError) as error:
        raise BundleError(f"{folder}/{HASHES} is missing or damaged: {error}") from error
    if not isinstance(hashes, dict) or hashes.keys() != contents.keys():
        raise BundleError(f"{folder}: {HASHES} does not list the files of the folder; the bundle was not read")
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise BundleError(f"{folder}/{name} has changed since the bundle was written; it was not read")
    return contents


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, of the list of hashes of a folder: it names the content of all files."""
    return hashlib.sha256((folder / HASHES).read_bytes()).hexdigest()


def parse_json(content: bytes) -> JsonValue:
    """Return parsed JSON; NaN and infinity are no numbers there."""
    parsed: JsonValue = json.loads(content, parse_constant=_refuse_constant)
    return parsed


def json_bytes(content: object) -> bytes:
    """Return JSON; ValueError where a number is NaN or infinite."""
    return json.dumps(content, allow_nan=False, indent=1).encode()


def npz_bytes(**arrays: Array) -> bytes:
    """Return arrays as an uncompressed NPZ archive."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
