"""Files of profilers: BIOM tables, QIIME 2 artifacts, and the taxonomy of features."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from features.errors import FileError
from features.tables.delimited import Row
from features.tables.encoding import MAX_RATIO, MAX_UNPACKED_AT_ANY_RATIO
from features.tables.hdf5 import check_biom
from features.tables.layout import open_table
from features.tables.names import check_names
from features.tables.taxa_layouts import clade_string_of_ranks, find_rank_columns, find_taxonomy_column
from features.tables.workbook import is_workbook
from features.taxon_names import is_clade_string, is_sintax, sintax_clade_string

if TYPE_CHECKING:
    from biom import Table
    from scipy.sparse import csr_matrix

SINTAX_COLUMNS = (2, 3, 4)
"""The numbers of columns of SINTAX's output: the id, the lineage, the strand, and the lineage above a cutoff."""
_MAX_METADATA = 2**16
_ARCHIVE_PROBLEMS = (
    OSError, KeyError, IndexError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What an archive that is damaged, encrypted or packed in another way raises when it is read."""
_TABLE_TYPES = ("FeatureTable[Frequency]", "FeatureTable[RelativeFrequency]")
_TAXONOMY_TYPES = ("FeatureData[Taxonomy]",)


@dataclass(frozen=True)
class BiomTable:
    """The content of a BIOM table.

    Attributes
    ----------
    values : scipy.sparse.csr_matrix
        Finite numbers not below zero, (n_features, n_samples).
    features, samples : list of str
        The ids.
    clades : list of str or None
        The taxonomy of each feature as 'k__...;p__...', where the table carries one; '' for a feature without.
    """

    values: csr_matrix
    features: list[str]
    samples: list[str]
    clades: list[str] | None


def read_biom(path: Path, *, is_artifact: bool) -> BiomTable:
    """Read a BIOM table, 2.1 (HDF5) or 1.0 (JSON), from a file of its own or from a QIIME 2 artifact.

    Raises
    ------
    FileError
        If this is no BIOM table of finite numbers of at least zero.
    """
    content = read_artifact_member(path, _TABLE_TYPES, "feature-table.biom") if is_artifact else _read_bytes(path)
    table = _parse_json(path, content) if content.lstrip()[:1] == b"{" else _parse_hdf5(path, content)
    values = table.matrix_data.tocsr()
    features, samples = ([str(name) for name in table.ids(axis)] for axis in ("observation", "sample"))
    if not values.shape[0] or not values.shape[1]:
        raise FileError(f"expected samples and features, got {len(samples)} and {len(features)}", file=path)
    is_invalid = ~((values.data >= 0) & (values.data < np.inf))
    if is_invalid.any():
        position = int(is_invalid.argmax())
        feature = features[int(np.searchsorted(values.indptr, position, side="right")) - 1]
        raise FileError(
            f"expected a finite number of at least zero for feature {feature!r}, got {values.data[position]}",
            file=path,
            column=samples[values.indices[position]],
        )
    clades = [_clade_of(entry or {}) for entry in table.metadata(axis="observation") or ()]
    return BiomTable(values, features, samples, clades if any(clades) else None)


def _parse_hdf5(path: Path, content: bytes) -> Table:
    # biom-format takes a second to import, and most tables are text.
    import h5py
    from biom import Table
    from biom.exception import BiomException

    check_biom(path, content)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            # By default the other of the two matrices is read, which `check_biom` does not check.
            return Table.from_hdf5(file, axis="observation")
    except (OSError, KeyError, ValueError, TypeError, AttributeError, BiomException) as error:
        raise FileError(
            f"expected a BIOM table, 2.1 (HDF5) or 1.0 (JSON), got something else ({error}). Make one with "
            "'biom convert -i TABLE -o table.biom --to-hdf5'",
            file=path,
        ) from error


def _parse_json(path: Path, content: bytes) -> Table:
    from biom import Table
    from biom.exception import BiomException

    try:
        fields = json.loads(content)
        shape = (len(fields["rows"]), len(fields["columns"]))
        if tuple(fields["shape"]) != shape:
            raise ValueError(f"its shape is stated as {fields['shape']}, but it has {shape} rows and columns")
        check_names(path, (str(entry["id"]) for entry in (*fields["rows"], *fields["columns"])))
        return Table.from_json(fields)
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError, BiomException) as error:
        raise FileError(
            f"expected a BIOM 1.0 table (JSON), which this is not ({error}). Convert the original table with "
            "'biom convert -i TABLE -o table.biom --to-hdf5'",
            file=path,
        ) from error


def _clade_of(metadata: Mapping[str, str | Sequence[str] | None]) -> str:
    """Return the clade string in a feature's metadata: under `taxonomy` or `Taxon`, or under a key for each rank."""
    keys = list(metadata)
    position = find_taxonomy_column(["", *keys])
    if position is None:
        return clade_string_of_ranks([str(metadata[key]) for key in keys], find_rank_columns(keys))
    taxonomy = metadata[keys[position - 1]]
    return taxonomy if isinstance(taxonomy, str) else ";".join(map(str, taxonomy or ()))


def read_artifact_member(path: Path, semantic_types: Sequence[str], member: str) -> bytes:
    """Return the content of one file in a QIIME 2 artifact.

    Parameters
    ----------
    path : Path
        The `.qza` file.
    semantic_types : sequence of str
        The semantic types that are expected, as in 'FeatureTable[Frequency]'.
    member : str
        The name of the file in the artifact's `data` folder.

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
            text = _read_member(path, archive, f"{root}/metadata.yaml", _MAX_METADATA).decode()
            # A line suffices: aliases and tags of YAML can stand for more than memory holds.
            line = re.search(r"^type:(.*)$", text, re.MULTILINE)
            semantic_type = line[1].strip().strip("\"'") if line else "none"
            if semantic_type not in semantic_types:
                raise FileError(
                    f"expected a QIIME 2 artifact of type {' or '.join(semantic_types)}, got {semantic_type!r}. Give "
                    "the other artifact",
                    file=path,
                )
            return _read_member(path, archive, f"{root}/data/{member}", MAX_UNPACKED_AT_ANY_RATIO)
    except _ARCHIVE_PROBLEMS as error:
        raise FileError(f"expected a QIIME 2 artifact (.qza): {error}", file=path) from error


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return the content of a file in an archive, which may be larger than a limit only as far as packing explains."""
    info = archive.getinfo(name)
    limit = max(limit, MAX_RATIO * info.compress_size) if limit > _MAX_METADATA else limit
    if info.file_size > limit:
        raise FileError(f"{name} unpacks to more than {limit:,} bytes; expected a table. Export it again", file=path)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError(f"{name} is packed in another way than QIIME 2 packs. Export it again", file=path)
    return archive.read(info)


def read_taxonomy(path: Path) -> dict[str, str]:
    """Return the clade string of each feature, 'k__...;p__...'.

    Parameters
    ----------
    path : Path
        A TSV or CSV file whose first column is the feature's id, with either a column `Taxon` (QIIME 2) or a column for
        each rank (`Genus`, or phyloseq's `Rank6`), or without a header, as reference databases have it, and SINTAX of
        USEARCH and VSEARCH; or a QIIME 2 artifact of type FeatureData[Taxonomy].

    Returns
    -------
    dict
        From feature id to clade string.

    Raises
    ------
    FileError
        If the file is no such table, or lists a feature twice.
    """
    is_artifact = _read_bytes(path, 2) == b"PK" and not is_workbook(path)
    content = read_artifact_member(path, _TAXONOMY_TYPES, "taxonomy.tsv") if is_artifact else None
    with open_table(path, content) as table:
        header, rows = table.header, list(table.rows)
    if len(header.cells) > 1 and is_clade_string(header.cells[1]):
        header, rows = Row(0, ["", "Taxon", *header.cells[2:]]), [header, *rows]
    if len(header.cells) in SINTAX_COLUMNS and is_sintax(header.cells[1]):
        lineage = 3 if len(header.cells) == max(SINTAX_COLUMNS) else 1
        rows = [Row(row.line, [row.cells[0], sintax_clade_string(row.cells[lineage])]) for row in (header, *rows)]
        header = Row(0, ["", "Taxon"])
    names = [name.strip() for name in header.cells]
    taxon_column, rank_columns = find_taxonomy_column(names), find_rank_columns(["", *names[1:]])
    if taxon_column is None and not rank_columns:
        raise FileError(f"expected a column Taxon, or one for each rank, got the columns {names}", file=path)
    clades: dict[str, str] = {}
    for row in rows:
        feature = row.cells[0].strip()
        if feature in clades:
            raise FileError(
                f"feature {feature!r} is listed above; expected once. Remove one row", file=path, row=row.line
            )
        is_ranked = taxon_column is None
        clades[feature] = clade_string_of_ranks(row.cells, rank_columns) if is_ranked else row.cells[taxon_column or 0]
    return clades


def _read_bytes(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror}", file=path) from error
