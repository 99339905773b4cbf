"""A folder of files with their SHA-256: what a bundle is, checked before it is read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray
from pydantic import JsonValue

from features.errors import BundleError

Array = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.intp] | NDArray[np.int8]
HASHES = "hashes.json"
SIGNATURE = "signature.json"
"""File that `models.signature` writes; it signs the hashes, and so is not among them."""
_LARGEST = 512 * 2**20
"""Bytes of the largest file."""
_LARGEST_TEXT = 64 * 2**20
"""Bytes of the largest file that is no array, which takes many times as much memory once it is parsed."""
_ARRAY_ENDINGS = (".npz", ".ubj")


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
    if unexpected := names - {*allowed_names, HASHES, SIGNATURE}:
        raise BundleError(
            f"{folder} contains files that a bundle may not contain: {', '.join(sorted(unexpected))}; it was not read"
        )
    contents = {}
    for name in names - {SIGNATURE}:
        path, largest = folder / name, _LARGEST if name.endswith(_ARRAY_ENDINGS) else _LARGEST_TEXT
        if path.is_symlink() or not path.is_file() or path.stat().st_size > largest:
            raise BundleError(f"{path} is not a plain file of at most {largest:,} bytes; it was not read")
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


def read_arrays(name: str, content: bytes) -> dict[str, Array]:
    """Return the arrays of an NPZ archive, once it is known that they are not larger than the archive.

    Parameters
    ----------
    name : str
        Name of the file, for the error.
    content : bytes

    Raises
    ------
    ValueError
        The archive would unpack to more than it holds, or contains something else than arrays.
    """
    try:
        with ZipFile(BytesIO(content)) as archive:
            # Entries may overlap, so that one part of a file counts many times.
            if sum(entry.file_size for entry in archive.infolist()) > len(content):
                raise ValueError("its arrays take more bytes than the file; it was not unpacked")
            for entry in archive.infolist():
                # `npz_bytes` stores arrays as they are; a few bytes that unpack to gigabytes are no archive of its.
                if entry.compress_type != ZIP_STORED:
                    raise ValueError(f"{entry.filename} is compressed; it was not unpacked")
                with archive.open(entry) as file:
                    _check_array_size(file, entry)
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, BadZipFile) as error:
        raise ValueError(f"{name}: {error}") from error


def _check_array_size(file: IO[bytes], entry: ZipInfo) -> None:
    """Raise ValueError where the header of an array states another size than follows: NumPy reserves the stated one."""
    read_header = read_array_header_1_0 if read_magic(file) == (1, 0) else read_array_header_2_0
    shape, _, dtype = read_header(file)
    if math.prod(shape) * dtype.itemsize + file.tell() != entry.file_size:
        raise ValueError(f"{entry.filename} states a shape of {shape}, and holds {entry.file_size:,} bytes")


def npz_bytes(**arrays: Array) -> bytes:
    """Return arrays as an uncompressed NPZ archive."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
