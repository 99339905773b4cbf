"""From uploaded bytes to a file that the readers of `features` can read: limits, archives, encodings.

Nothing that is uploaded is trusted: an archive is unpacked up to a limit, an HDF5 file may not point outside
itself, and text is written anew in UTF-8, parted by tabs, line by line as it stood.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.upload.findings import Refused

MAX_BYTES = 20 * 2**20
"""Bytes of the largest file that is read; a merged table of 500 patients is a quarter of it."""
MAX_UNPACKED = 5 * MAX_BYTES
"""Bytes of the largest content of an archive or a compressed file."""
MAX_CELLS = 10_000_000
"""The most samples times features of a BIOM table, which is sparse in its file and not when it is read."""

_MEMBER = re.compile(r"[^/]+/(metadata\.yaml|data/feature-table\.biom|data/taxonomy\.tsv)")
_MAX_METADATA = 2**16
_MAX_ENTRIES = 1000
_READABLE = "a table as text, a BIOM file, or a QIIME 2 feature table or taxonomy"
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_COMMA_NUMBER = re.compile(r"\s*[<>]?=?\s*[-+\N{MINUS SIGN}]?(\d+),(\d+)([eE][-+]?\d+)?\s*")
_POINT_NUMBER = re.compile(r"\s*[<>]?=?\s*[-+\N{MINUS SIGN}]?\d+\.\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class UploadedFile:
    """A file as it was uploaded: its name, of which nothing but the words is used, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file on its short way through the disk.

    Attributes
    ----------
    name : str
        As it was uploaded.
    path : Path
        Where it lies, as the readers of `features` take it.
    labels : tuple of str
        The first cell of each line of a text.
    changed : tuple of str
        What was done to a text, as 'decimal commas'.
    """

    name: str
    path: Path
    labels: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def store(file: UploadedFile, stem: Path) -> StoredFile:
    """Check an uploaded file and write it where the readers can read it.

    Parameters
    ----------
    file : UploadedFile
    stem : Path
        Where to, without a suffix.

    Raises
    ------
    Refused
        The file is empty, too large, damaged, no table, or points to other files.
    """
    content = file.content
    if len(content) > MAX_BYTES:
        raise _too_large(file, f"{len(content):,} bytes", MAX_BYTES)
    if content.startswith(b"\x1f\x8b"):
        content = _unzipped(file)
    if not content.strip():
        raise Refused("empty", "the file is empty", "a table", "Choose another file.", file=file.name)
    if content.startswith(b"PK"):
        return _stored(file, stem.with_suffix(".qza"), _repacked(file, content))
    if content.startswith(b"\x89HDF"):
        _check_hdf5(file, content)
        return _stored(file, stem.with_suffix(".biom"), content)
    return _stored_text(file, content, stem.with_suffix(".tsv"))


def _stored(file: UploadedFile, path: Path, content: bytes, **text: Any) -> StoredFile:
    path.write_bytes(content)
    return StoredFile(file.name, path, **text)


def _too_large(file: UploadedFile, came: str, most: int) -> Refused:
    advice = "Cut this patient's samples out of the table, and upload those."
    return Refused("too_large", came, f"at most {most:,}", advice, file=file.name)


def _damaged(file: UploadedFile, came: str, expected: str) -> Refused:
    return Refused("unreadable", came, expected, "Export the file anew, and upload that.", file=file.name)


# Archives


def _unzipped(file: UploadedFile) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(file.content)) as stream:
            content = stream.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, f"a compressed file that cannot be unpacked ({error})", "a whole gzip file") from error
    if len(content) > MAX_UNPACKED:
        raise _too_large(file, f"more than {MAX_UNPACKED:,} bytes when unpacked", MAX_UNPACKED)
    return content


def _repacked(file: UploadedFile, content: bytes) -> bytes:
    """Return a QIIME 2 artifact with what is read of it, unpacked up to a limit that no header can lie about."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as kept:
            wanted = [info for info in archive.infolist() if _MEMBER.fullmatch(info.filename)]
            for info in wanted:
                most = _MAX_METADATA if info.filename.endswith(".yaml") else MAX_UNPACKED
                with archive.open(info) as stream:
                    data = stream.read(most + 1)
                if len(data) > most:
                    raise _too_large(file, f"{info.filename} of more than {most:,} bytes", most)
                if info.filename.endswith(".biom"):
                    _check_hdf5(file, data)
                kept.writestr(info.filename, data)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(file, f"an archive that cannot be unpacked ({error})", "a whole QIIME 2 artifact") from error
    if not wanted:
        came, advice = "an archive or an Excel workbook", "Save a workbook's sheet as CSV."
        raise Refused("not_a_table", came, _READABLE, advice, file=file.name)
    return buffer.getvalue()


def _check_hdf5(file: UploadedFile, content: bytes) -> None:
    """Raise unless all that an HDF5 file holds lies in it, and is small enough when it is read."""
    import h5py

    entries = 0
    sizes: dict[str, tuple[int, int]] = {}
    try:
        with h5py.File(io.BytesIO(content), "r") as opened:
            groups = [opened]
            while groups:
                group = groups.pop()
                # Groups may hold each other.
                entries += len(group)
                if entries > _MAX_ENTRIES:
                    raise _too_large(file, f"more than {_MAX_ENTRIES} entries", _MAX_ENTRIES)
                links = {name: group.get(name, getlink=True) for name in group}
                held = [group[name] for name, link in links.items() if isinstance(link, h5py.HardLink)]
                groups += [entry for entry in held if isinstance(entry, h5py.Group)]
                datasets = [entry for entry in held if isinstance(entry, h5py.Dataset)]
                sizes |= {entry.name: (entry.size, entry.nbytes) for entry in datasets}
                outside = any(isinstance(link, h5py.ExternalLink) for link in links.values())
                if outside or any(entry.external or entry.is_virtual for entry in datasets):
                    came = "an HDF5 file that refers to other files"
                    raise _damaged(file, came, "a BIOM 2.1 table, complete in itself")
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise _damaged(file, f"an HDF5 file that cannot be opened ({error})", "a BIOM 2.1 table") from error
    if (size := sum(nbytes for _, nbytes in sizes.values())) > MAX_UNPACKED:
        raise _too_large(file, f"{size:,} bytes when unpacked", MAX_UNPACKED)
    if (cells := math.prod(sizes.get(f"/{axis}/ids", (0, 0))[0] for axis in ("observation", "sample"))) > MAX_CELLS:
        raise _too_large(file, f"{cells:,} cells of samples by features", MAX_CELLS)


# Text


def _stored_text(file: UploadedFile, content: bytes, path: Path) -> StoredFile:
    text, changed = _decoded(file, content)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    above = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    try:
        delimiter = _delimiter(lines[above:])
        rows = list(csv.reader(io.StringIO("\n".join(lines[above:])), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _damaged(file, f"a table whose cells cannot be told apart ({error})", "a table as CSV or TSV") from error
    if _has_decimal_commas(rows):
        rows = [[cell.replace(",", ".") if _COMMA_NUMBER.fullmatch(cell) else cell for cell in row] for row in rows]
        changed = [*changed, "decimal commas"]
    buffer = io.StringIO()
    buffer.writelines(line.replace(delimiter, "\t") + "\n" for line in lines[:above])
    csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows(rows)
    labels = tuple(row[0].strip() for row in rows if row)
    return _stored(file, path, buffer.getvalue().encode(), labels=labels, changed=tuple(changed))


def _decoded(file: UploadedFile, content: bytes) -> tuple[str, list[str]]:
    """Return the text, and how it was encoded where that is not UTF-8."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    tried: dict[str, list[str]] = {"utf-16": ["UTF-16"]} if utf16 else {"utf-8-sig": [], "cp1252": ["Windows-1252"]}
    for encoding, changed in tried.items():
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if not _BINARY.search(text):
                return text, changed
    raise Refused("not_a_table", "a file that is no text", _READABLE, "Save the table as CSV in UTF-8.", file=file.name)


def _delimiter(lines: Sequence[str]) -> str:
    """Return the mark that parts every line into equally many cells, or else the one met most in the first."""
    first = [line for line in lines[:50] if line.strip()]
    for mark in "\t,;":
        widths = {len(row) for row in csv.reader(first, delimiter=mark)}
        if len(widths) == 1 and widths != {1}:
            return mark
    return max("\t,;", key=first[0].count if first else "".count)


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether commas in numbers are decimal marks; where each might part thousands, nobody can tell."""
    found = [number for row in rows for cell in row if "," in cell and (number := _COMMA_NUMBER.fullmatch(cell))]
    surely = any(len(number[2]) != 3 or number[1].startswith("0") for number in found)
    return surely and not any(_POINT_NUMBER.fullmatch(cell) for row in rows for cell in row)
