"""Uploaded bytes become a file that the readers of `features` can read: limits, archives, encodings.

Uploads are not trusted: an archive is unpacked up to a limit, an HDF5 file may not refer to other files, and text is
rewritten as UTF-8 with tabs, line by line.
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

from serving.upload.report import UnreadableFile

MAX_BYTES = 20 * 2**20
"""Bytes of the largest file that is read; a merged table of 500 patients takes a quarter of it."""
MAX_UNPACKED = 5 * MAX_BYTES
"""Bytes of the largest content of an archive or a compressed file."""
MAX_CELLS = 10_000_000
"""The most samples times features of a BIOM table, which is sparse in the file and dense in memory."""

_MEMBER = re.compile(r"[^/]+/(metadata\.yaml|data/feature-table\.biom|data/taxonomy\.tsv)")
_MAX_METADATA = 2**16
_MAX_ENTRIES = 1000
_READABLE = "a table as text, a BIOM file, or a QIIME 2 feature table or taxonomy"
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_COMMA_NUMBER = re.compile(r"\s*[<>]?=?\s*[-+\N{MINUS SIGN}]?(\d+),(\d+)([eE][-+]?\d+)?\s*")
_POINT_NUMBER = re.compile(r"\s*[<>]?=?\s*[-+\N{MINUS SIGN}]?\d+\.\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file; its name appears in reports only."""

    name: str
    content: bytes


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file in a temporary folder.

    Attributes
    ----------
    name : str
        Name of the uploaded file.
    path : Path
        Path of the temporary file.
    labels : tuple of str
        First cell of each line of a text.
    conversions : tuple of str
        What was converted in a text, such as "decimal commas".
    """

    name: str
    path: Path
    labels: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()


def store(file: UploadedFile, stem: Path) -> StoredFile:
    """Check an uploaded file and write it to a temporary folder.

    Parameters
    ----------
    file : UploadedFile
    stem : Path
        Path without a suffix.

    Raises
    ------
    UnreadableFile
        The file is empty, too large, damaged, not a table, or refers to other files.
    """
    content = file.content
    if len(content) > MAX_BYTES:
        raise _too_large(file, f"{len(content):,} bytes", MAX_BYTES)
    if content.startswith(b"\x1f\x8b"):
        content = _unzip(file)
    if not content.strip():
        raise UnreadableFile("empty", "the file is empty", "a table", "Choose another file.", file=file.name)
    if content.startswith(b"PK"):
        return _write(file, stem.with_suffix(".qza"), _repack(file, content))
    if content.startswith(b"\x89HDF"):
        _check_hdf5(file, content)
        return _write(file, stem.with_suffix(".biom"), content)
    return _store_text(file, content, stem.with_suffix(".tsv"))


def _write(
    file: UploadedFile, path: Path, content: bytes, labels: Sequence[str] = (), conversions: Sequence[str] = ()
) -> StoredFile:
    path.write_bytes(content)
    return StoredFile(file.name, path, tuple(labels), tuple(conversions))


def _too_large(file: UploadedFile, observed: str, limit: int) -> UnreadableFile:
    advice = "Upload a table of this patient's samples only."
    return UnreadableFile("too_large", observed, f"at most {limit:,}", advice, file=file.name)


def _damaged(file: UploadedFile, observed: str, requirement: str) -> UnreadableFile:
    return UnreadableFile(
        "unreadable", observed, requirement, "Export the file again, and upload the new file.", file=file.name
    )


# Archives


def _unzip(file: UploadedFile) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(file.content)) as stream:
            content = stream.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, f"a compressed file that cannot be unpacked ({error})", "a complete gzip file") from error
    if len(content) > MAX_UNPACKED:
        raise _too_large(file, f"more than {MAX_UNPACKED:,} bytes when unpacked", MAX_UNPACKED)
    return content


def _repack(file: UploadedFile, content: bytes) -> bytes:
    """Return a QIIME 2 artifact of the members that are read, each unpacked up to a limit that no header can exceed."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as copy:
            members = [info for info in archive.infolist() if _MEMBER.fullmatch(info.filename)]
            for info in members:
                limit = _MAX_METADATA if info.filename.endswith(".yaml") else MAX_UNPACKED
                with archive.open(info) as stream:
                    data = stream.read(limit + 1)
                if len(data) > limit:
                    raise _too_large(file, f"{info.filename} of more than {limit:,} bytes", limit)
                if info.filename.endswith(".biom"):
                    _check_hdf5(file, data)
                copy.writestr(info.filename, data)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(file, f"an archive that cannot be unpacked ({error})", "a complete QIIME 2 artifact") from error
    if not members:
        observed, advice = "an archive or an Excel workbook", "Save the sheet of a workbook as CSV."
        raise UnreadableFile("not_a_table", observed, _READABLE, advice, file=file.name)
    return buffer.getvalue()


def _check_hdf5(file: UploadedFile, content: bytes) -> None:
    """Raise an error if an HDF5 file refers to other files, or is too large in memory."""
    import h5py

    entries = 0
    sizes: dict[str, tuple[int, int]] = {}
    try:
        with h5py.File(io.BytesIO(content), "r") as opened:
            groups = [opened]
            while groups:
                group = groups.pop()
                # Groups may contain each other.
                entries += len(group)
                if entries > _MAX_ENTRIES:
                    raise _too_large(file, f"more than {_MAX_ENTRIES} entries", _MAX_ENTRIES)
                links = {name: group.get(name, getlink=True) for name in group}
                contents = [group[name] for name, link in links.items() if isinstance(link, h5py.HardLink)]
                groups += [entry for entry in contents if isinstance(entry, h5py.Group)]
                datasets = [entry for entry in contents if isinstance(entry, h5py.Dataset)]
                sizes |= {entry.name: (entry.size, entry.nbytes) for entry in datasets}
                outside = any(isinstance(link, h5py.ExternalLink) for link in links.values())
                if outside or any(entry.external or entry.is_virtual for entry in datasets):
                    observed = "an HDF5 file that refers to other files"
                    raise _damaged(file, observed, "a BIOM 2.1 table without references")
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise _damaged(file, f"an HDF5 file that cannot be opened ({error})", "a BIOM 2.1 table") from error
    if (size := sum(nbytes for _, nbytes in sizes.values())) > MAX_UNPACKED:
        raise _too_large(file, f"{size:,} bytes when unpacked", MAX_UNPACKED)
    if (cells := math.prod(sizes.get(f"/{axis}/ids", (0, 0))[0] for axis in ("observation", "sample"))) > MAX_CELLS:
        raise _too_large(file, f"{cells:,} cells, samples times features", MAX_CELLS)


# Text


def _store_text(file: UploadedFile, content: bytes, path: Path) -> StoredFile:
    text, conversions = _decode(file, content)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    try:
        delimiter = _delimiter(lines[start:])
        rows = list(csv.reader(io.StringIO("\n".join(lines[start:])), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _damaged(file, f"a table whose cells are not separated ({error})", "a table as CSV or TSV") from error
    if _has_decimal_commas(rows):
        rows = [[cell.replace(",", ".") if _COMMA_NUMBER.fullmatch(cell) else cell for cell in row] for row in rows]
        conversions = [*conversions, "decimal commas"]
    buffer = io.StringIO()
    buffer.writelines(line.replace(delimiter, "\t") + "\n" for line in lines[:start])
    csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows(rows)
    labels = [row[0].strip() for row in rows if row]
    return _write(file, path, buffer.getvalue().encode(), labels, conversions)


def _decode(file: UploadedFile, content: bytes) -> tuple[str, list[str]]:
    """Return the text, and its encoding where that is not UTF-8."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encodings: dict[str, list[str]] = {"utf-16": ["UTF-16"]} if utf16 else {"utf-8-sig": [], "cp1252": ["Windows-1252"]}
    for encoding, conversions in encodings.items():
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if not _BINARY.search(text):
                return text, conversions
    raise UnreadableFile(
        "not_a_table", "a file that is not text", _READABLE, "Save the table as CSV in UTF-8.", file=file.name
    )


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that gives each line the same number of cells, else the most frequent of the first line."""
    sample = [line for line in lines[:50] if line.strip()]
    for delimiter in "\t,;":
        widths = {len(row) for row in csv.reader(sample, delimiter=delimiter)}
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return max("\t,;", key=sample[0].count if sample else "".count)


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether commas in numbers are decimal commas: at least one of them cannot separate thousands."""
    numbers = [number for row in rows for cell in row if "," in cell and (number := _COMMA_NUMBER.fullmatch(cell))]
    unambiguous = any(len(number[2]) != 3 or number[1].startswith("0") for number in numbers)
    return unambiguous and not any(_POINT_NUMBER.fullmatch(cell) for row in rows for cell in row)
