"""The files stool profiles come in, read as labelled numbers; what the labels mean is the matter of `features.taxa`."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from features.errors import FileError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species", "strain")

_LABEL_COLUMNS = ("clade_name", "ID", "SampleID", "OTU ID", "Feature ID")
_TAXID_COLUMNS = ("NCBI_tax_id", "clade_taxid")
# MetaPhlAn's profile of one sample has this one column of amounts, and others of coverage, reads and further species.
_ONLY_COLUMN = "relative_abundance"
_TABLE_TYPES = ("FeatureTable[Frequency]", "FeatureTable[RelativeFrequency]")
_MAGIC = {b"PK\x03\x04": "a ZIP archive (.qza, .xlsx)", b"\x89HDF": "an HDF5 file (.biom)"}


@dataclass(frozen=True)
class Axis:
    """The labels along one side of a table, and where they stand in the file.

    Attributes
    ----------
    labels : sequence of str
        The labels as they stand in the file.
    file : Path
        The file.
    lines : sequence of int, optional
        The line of each label; absent where the labels are column names.
    """

    labels: Sequence[str]
    file: Path
    lines: Sequence[int] | None = None

    def error(self, problem: str, at: int) -> FileError:
        """Return the error for the label at a position."""
        if self.lines is None:
            return FileError(problem, file=self.file, column=self.labels[at])
        return FileError(problem, file=self.file, row=self.lines[at])

    def place(self, at: int) -> str:
        """Return the words for where a label stands."""
        return f"{self.labels[at]!r}" + (f" on row {self.lines[at]}" if self.lines else "")

    def check_unique(self, names: Sequence[str], what: str) -> None:
        """Raise the error that names two places, if two labels come to the same name."""
        first: dict[str, int] = {}
        for at, name in enumerate(names):
            if first.setdefault(name, at) != at:
                raise self.error(
                    f"{self.place(first[name])} and {self.place(at)} are the same {what}, {name!r}; expected each "
                    f"{what} once. Remove or merge one of the two",
                    at,
                )


@dataclass(frozen=True)
class NumberTable:
    """A text table: numbers with a label for each row and column.

    Attributes
    ----------
    values : ndarray of float32
        Finite numbers not below zero, (n_rows, n_columns).
    rows, columns : Axis
        The labels.
    skipped : list of str
        Labels of the rows that were not asked for.
    comments : list of str
        The lines above the header, without the '#'.
    """

    values: NDArray[np.float32]
    rows: Axis
    columns: Axis
    skipped: list[str]
    comments: list[str]


def read_number_table(path: Path, keep: Callable[[str], bool] = lambda label: True) -> NumberTable:
    """Read a TSV or CSV table of numbers, gzip-compressed or not, whose first column labels the rows.

    Parameters
    ----------
    path : Path
        The file.
    keep : callable
        Says of a row's label whether its numbers are wanted.

    Returns
    -------
    NumberTable
        The rows kept.

    Raises
    ------
    FileError
        If the file is no such table, or a cell holds no finite number of at least zero.
    """
    try:
        with _open_text(path) as handle:
            return _grid(path, handle, keep)
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"expected a table of text in UTF-8: {error}", file=path) from error


def read_biom(path: Path, data: bytes) -> tuple[csr_matrix, list[str], list[str], list[str] | None]:
    """Read a BIOM 2.1 table.

    Parameters
    ----------
    path : Path
        The file to name in errors.
    data : bytes
        The HDF5 content.

    Returns
    -------
    matrix : scipy.sparse.csr_matrix
        Finite numbers not below zero, (n_features, n_samples).
    features, samples : list of str
        The ids.
    clades : list of str or None
        The taxonomy of each feature as 'k__...;p__...', where the table carries one.

    Raises
    ------
    FileError
        If this is no BIOM 2.1 table with numbers.
    """
    # biom-format takes a second to import, and most tables are text.
    import h5py
    from biom import Table
    from biom.exception import BiomException

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            table = Table.from_hdf5(file)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, BiomException) as error:
        raise FileError(
            f"expected a BIOM 2.1 table (HDF5), got something else ({error}). Convert older tables with "
            "'biom convert --to-hdf5'",
            file=path,
        ) from error
    matrix = table.matrix_data.tocsr()
    features, samples = ([str(name) for name in table.ids(axis)] for axis in ("observation", "sample"))
    if not matrix.shape[0] or not matrix.shape[1]:
        raise FileError(f"expected samples and features, got {len(samples)} and {len(features)}", file=path)
    wrong = ~((matrix.data >= 0) & (matrix.data < np.inf))
    if wrong.any():
        at = int(wrong.argmax())
        feature = features[int(np.searchsorted(matrix.indptr, at, side="right")) - 1]
        raise FileError(
            f"expected a finite number of at least zero for feature {feature!r}, got {matrix.data[at]}",
            file=path,
            column=samples[matrix.indices[at]],
        )
    metadata = table.metadata(axis="observation")
    clades = None
    if metadata and all(entry and entry.get("taxonomy") for entry in metadata):
        clades = [kept if isinstance(kept := entry["taxonomy"], str) else ";".join(kept) for entry in metadata]
    return matrix, features, samples, clades


def read_artifact(path: Path, types: Sequence[str], member: str) -> bytes:
    """Return one file of a QIIME 2 artifact, read in memory.

    Parameters
    ----------
    path : Path
        The `.qza` file.
    types : sequence of str
        The semantic types that will do, as in 'FeatureTable[Frequency]'.
    member : str
        Name of the file within the artifact's `data` folder.

    Returns
    -------
    bytes
        The file's content.

    Raises
    ------
    FileError
        If this is no artifact, or one of another type.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            roots = {PurePosixPath(name).parts[0] for name in archive.namelist()}
            if len(roots) != 1:
                raise FileError(f"expected one folder in a QIIME 2 artifact, got {sorted(roots)[:5]}", file=path)
            root = roots.pop()
            described = YAML(typ="safe", pure=True).load(archive.read(f"{root}/metadata.yaml"))
            came = described.get("type") if isinstance(described, dict) else described
            if came not in types:
                raise FileError(
                    f"expected a QIIME 2 artifact of type {' or '.join(types)}, got {came!r}. Give the other artifact",
                    file=path,
                )
            return archive.read(f"{root}/data/{member}")
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, YAMLError) as error:
        raise FileError(f"expected a QIIME 2 artifact (.qza): {error}", file=path) from error


def read_biom_bytes(path: Path, *, artifact: bool) -> bytes:
    """Return the HDF5 content of a BIOM file, or of the feature table in a QIIME 2 artifact."""
    return read_artifact(path, _TABLE_TYPES, "feature-table.biom") if artifact else _read_bytes(path)


def read_taxonomy(path: Path) -> dict[str, str]:
    """Return the clade string of each feature, 'k__...;p__...'.

    Parameters
    ----------
    path : Path
        A TSV or CSV file whose first column is the feature's id, with either a column `Taxon` (QIIME 2) or a column for
        each rank; or a QIIME 2 artifact of type FeatureData[Taxonomy].

    Returns
    -------
    dict
        From feature id to clade string.

    Raises
    ------
    FileError
        If the file is no such table, or lists a feature twice.
    """
    data = _read_bytes(path)
    if data.startswith(b"PK"):
        data = read_artifact(path, ["FeatureData[Taxonomy]"], "taxonomy.tsv")
    try:
        text = data.decode("utf-8-sig")
        delimiter = _delimiter(text.partition("\n")[0], path)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [name.strip().lower() for name in next(reader)]
        taxon = next((at for at, name in enumerate(header) if name in ("taxon", "taxonomy")), None)
        ranked = [(at, name[0]) for at, name in enumerate(header) if name in ("domain", *RANKS[:7])]
        if taxon is None and not ranked:
            raise FileError(f"expected a column Taxon, or one for each rank, got the columns {header}", file=path)
        clades: dict[str, str] = {}
        for row in reader:
            if not row or row[0].startswith("#"):
                continue
            if len(row) != len(header):
                raise _ragged(path, reader.line_num, len(row), len(header))
            feature = row[0].strip()
            if feature in clades:
                raise FileError(f"feature {feature!r} is listed above; expected once", file=path, row=reader.line_num)
            clades[feature] = row[taxon] if taxon is not None else ";".join(f"{mark}__{row[at]}" for at, mark in ranked)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"expected a table of text in UTF-8: {error}", file=path) from error
    return clades


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror}", file=path) from error


def _open_text(path: Path) -> TextIO:
    try:
        with path.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror}", file=path) from error
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if magic in _MAGIC:
        raise FileError(f"expected a table of text, got {_MAGIC[magic]}. State its format", file=path)
    return path.open(encoding="utf-8-sig", newline="")


def _delimiter(line: str, path: Path) -> str:
    # Clade strings hold semicolons, and no sample or taxon holds a tab: hence this order.
    for delimiter in "\t,;":
        if delimiter in line:
            return delimiter
    raise FileError(f"expected columns parted by tab, comma or semicolon, got {line.strip()[:80]!r}", file=path)


def _ragged(path: Path, line: int, came: int, expected: int) -> FileError:
    return FileError(f"expected {expected} cells, as in the header, got {came}", file=path, row=line)


def _grid(path: Path, handle: TextIO, keep: Callable[[str], bool]) -> NumberTable:
    comments: list[str] = []
    plain = ""
    for plain in handle:
        if not plain.startswith("#") and plain.strip():
            break
        comments.append(plain)
    else:
        raise FileError("expected a header and rows of numbers, got no such line: the file is empty", file=path)
    delimiter = _delimiter(plain, path)
    header, *above = [next(csv.reader([line], delimiter=delimiter)) for line in (plain, *comments[-1:])]
    lines: Iterable[str] = handle
    read = len(comments) + 1
    # BIOM's text export and QIIME mark the header itself as a comment.
    if above and len(above[0]) == len(header) and header[0] not in _LABEL_COLUMNS:
        header, lines, read = above[0], itertools.chain([plain], handle), len(comments)
        comments.pop()
    start = 2 if len(header) > 2 and header[1] in _TAXID_COLUMNS else 1
    stop = start + 1 if header[start] == _ONLY_COLUMN else len(header)
    columns = Axis([name.strip() for name in header[start:stop]], path)
    for at, name in enumerate(columns.labels):
        if not name:
            raise FileError(f"column {at + start + 1} of the header has no name", file=path, row=read)
    columns.check_unique(columns.labels, "column")

    labels, places, skipped, values = [], [], [], []
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in reader:
        line = read + reader.line_num
        if not any(row):
            continue
        if len(row) != len(header):
            raise _ragged(path, line, len(row), len(header))
        label = row[0].strip()
        if not label:
            raise FileError("the row has no label in the first column", file=path, row=line)
        if not keep(label):
            skipped.append(label)
            continue
        values.append(_numbers(row[start:stop], columns, line))
        labels.append(label)
        places.append(line)
    matrix = np.vstack(values) if values else np.empty((0, len(columns.labels)), np.float32)
    notes = [comment.lstrip("#").strip() for comment in comments]
    return NumberTable(matrix, Axis(labels, path, places), columns, skipped, notes)


def _numbers(cells: list[str], columns: Axis, line: int) -> NDArray[np.float32]:
    # A number too large for float32 becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        try:
            numbers = np.array(cells, dtype=np.float32)
        except ValueError:
            numbers = np.array([_number(cell) for cell in cells], dtype=np.float32)
    fit = (numbers >= 0) & (numbers < np.inf)
    if not fit.all():
        at = int(fit.argmin())
        raise FileError(
            f"expected a finite number of at least zero, got {cells[at]!r}. Correct it; an absent taxon is 0",
            file=columns.file,
            column=columns.labels[at],
            row=line,
        )
    return numbers


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
