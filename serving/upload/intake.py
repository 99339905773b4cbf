"""Uploaded bytes become a file that the readers of `features` can read: limits, archives, encodings.

Uploads are not trusted: an archive is unpacked up to a limit, and what it holds is checked before it is read. Text and
workbooks are read as they are, by the reader that reads the files of cohorts.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from features.errors import FileError
from features.immune import is_immune_export
from features.tables.hdf5 import check_biom
from features.tables.layout import open_table
from features.tables.workbook import is_workbook
from serving.upload.report import UnreadableFile

MAX_BYTES = 20 * 2**20
"""Bytes of the largest file that is read; a merged table of 500 patients takes a quarter of it."""
MAX_UNPACKED = 5 * MAX_BYTES
"""Bytes of the largest content of an archive or a compressed file."""
MAX_CELLS = 10_000_000
"""The most samples times features of a BIOM table, which is sparse in the file and dense in memory."""

_MEMBER = re.compile(r"[^/]+/(metadata\.yaml|data/feature-table\.biom|data/taxonomy\.tsv)")
_MAX_METADATA = 2**16
_MAX_MEMBERS = 10
_READABLE = "a table as text, an Excel workbook, a BIOM file, or a QIIME 2 feature table or taxonomy"


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file; its name appears in reports, and in place of a patient's name that was not given."""

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
        if content.startswith(b"\x1f\x8b"):
            raise _damaged(file, "a file that gzip packed twice", "a table, packed once")
    if not content.strip():
        raise UnreadableFile("empty", "the file is empty", "a table", "Choose another file.", file=file.name)
    path = stem.with_suffix(".table")
    try:
        if content.startswith(b"PK") and not is_workbook(path, content):
            content = _repack(file, path, content)
        path.write_bytes(content)
        return _stored(file, path, content)
    except FileError as error:
        raise _unreadable(file, error) from error


def _stored(file: UploadedFile, path: Path, content: bytes) -> StoredFile:
    """Return a file that is on the disk, opened once to see what had to be converted."""
    if content.startswith(b"\x89HDF"):
        check_biom(path, content, max_bytes=MAX_UNPACKED, max_cells=MAX_CELLS)
        return StoredFile(file.name, path)
    if content.startswith(b"PK"):
        if not is_workbook(path):
            return StoredFile(file.name, path)
        _check_workbook(file, content)
    if content.lstrip().startswith(b"{"):
        _check_json(file, content)
        return StoredFile(file.name, path)
    if is_immune_export(path):
        return StoredFile(file.name, path)
    with open_table(path) as table:
        labels = (table.header.cells[0], *(row.cells[0].strip() for row in table.rows))
        return StoredFile(file.name, path, labels, table.layout.conversions())


def _check_workbook(file: UploadedFile, content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED:
        raise _too_large(file, f"{size:,} bytes when unpacked", MAX_UNPACKED)


def _unreadable(file: UploadedFile, error: FileError) -> UnreadableFile:
    advice = "Export the table again, as CSV in UTF-8 if it is text, and upload the new file."
    return UnreadableFile(
        "unreadable", error.problem, _READABLE, advice, file=file.name, row=error.row, column=error.column
    )


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


def _repack(file: UploadedFile, path: Path, content: bytes) -> bytes:
    """Return a QIIME 2 artifact of the members that are read, each unpacked up to a limit that no header can exceed."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as copy:
            members = [info for info in archive.infolist() if _MEMBER.fullmatch(info.filename)]
            if len(members) > _MAX_MEMBERS:
                raise _damaged(file, f"an archive of {len(members)} tables", "one QIIME 2 artifact")
            for info in members:
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise _damaged(file, "an archive that is packed in another way than QIIME 2 packs", "a .qza file")
                limit = _MAX_METADATA if info.filename.endswith(".yaml") else MAX_UNPACKED
                with archive.open(info) as stream:
                    data = stream.read(limit + 1)
                if len(data) > limit:
                    raise _too_large(file, f"{info.filename} of more than {limit:,} bytes", limit)
                if info.filename.endswith(".biom"):
                    check_biom(path, data, max_bytes=MAX_UNPACKED, max_cells=MAX_CELLS)
                copy.writestr(info.filename, data)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(file, f"an archive that cannot be unpacked ({error})", "a complete QIIME 2 artifact") from error
    if not members:
        observed, advice = "another archive", "Unpack it, and upload the table."
        raise UnreadableFile("not_a_table", observed, _READABLE, advice, file=file.name)
    return buffer.getvalue()


def _check_json(file: UploadedFile, content: bytes) -> None:
    """Raise an error if JSON is no BIOM 1.0 table, or is too large in memory."""
    try:
        fields = json.loads(content)
        cells = len(fields["rows"]) * len(fields["columns"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _damaged(
            file, f"JSON that is no BIOM table ({error})", "a BIOM 1.0 table, or the table as TSV"
        ) from error
    if cells > MAX_CELLS:
        raise _too_large(file, f"{cells:,} cells, samples times features", MAX_CELLS)
