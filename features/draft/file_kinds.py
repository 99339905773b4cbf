"""The kind of each file: a sheet, a taxonomy, or a taxa table of some format."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from features.errors import FileError, InputError
from features.immune import is_immune_export
from features.tables.decimals import is_number
from features.tables.layout import OpenTable, open_table
from features.tables.workbook import is_workbook
from features.taxa import TaxaTable, read_taxa
from features.taxon_names import RANKS, Rank

FileKind = Literal["sheet", "taxonomy", "metaphlan", "biom", "qza", "table/columns", "table/rows"]
"""The kind of a file: a taxa table is named by its format of `features.taxa.read_taxa` and the axis of its samples."""

_TAXON = r"(^|[|;]\s*)[dkpcofgst]__|^\W?[A-Z][a-z]+\W?[ _][a-z]{2}"
_COMMON_GUT_GENERA = {
    "Bacteroides", "Faecalibacterium", "Blautia", "Prevotella", "Bifidobacterium", "Akkermansia", "Roseburia"
}  # fmt: skip
_ARCHIVE_KINDS: Mapping[str, FileKind] = {"data/taxonomy.tsv": "taxonomy", "data/feature-table.biom": "qza"}
_LINES_READ = 500


def find_file_kinds(files: Sequence[Path]) -> dict[Path, FileKind]:
    """Return the kind of each file.

    Raises
    ------
    InputError
        If two files have one name: the files of a cohort lie in one folder.
    """
    for name, count in Counter(file.name for file in files).items():
        if count > 1:
            raise InputError(
                f"{count} files are named {name!r}; the files of a cohort lie in one folder, so give each its own name"
            )
    return {file: find_file_kind(file) for file in files}


def find_file_kind(file: Path) -> FileKind:
    """Return the kind of a file.

    Raises
    ------
    FileError
        If the file cannot be read, or is of no kind that a manifest can name.
    """
    try:
        with file.open("rb") as binary:
            signature = binary.read(4)
        if signature == b"\x89HDF":
            return "biom"
        if signature == b"PK\x03\x04" and not is_workbook(file):
            return _archive_kind(file)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=file) from error
    except zipfile.BadZipFile as error:
        raise FileError(f"expected a QIIME 2 artifact: {error}", file=file) from error
    if is_immune_export(file):
        return "sheet"
    with open_table(file) as table:
        return _table_kind(table)


def _archive_kind(file: Path) -> FileKind:
    with zipfile.ZipFile(file) as archive:
        members = {name.partition("/")[2] for name in archive.namelist()}
    for member, kind in _ARCHIVE_KINDS.items():
        if member in members:
            return kind
    raise FileError("expected a QIIME 2 table or taxonomy in this archive; unpack other archives", file=file)


def _table_kind(table: OpenTable) -> FileKind:
    header, rows = table.header.cells, [row.cells for row in islice(table.rows, _LINES_READ)]
    names = [cell.strip().casefold() for cell in header]
    if len(set(names) & set(RANKS)) >= 3 or "taxon" in names[1:]:
        return "taxonomy"
    labels = [row[0] for row in rows]
    has_clade_strings = any("|" in label and "__" in label for label in labels)
    is_marked = bool(table.comments) and table.comments[0].cells[0].startswith("#mpa_")
    if is_marked or header[0] == "clade_name" or has_clade_strings:
        return "metaphlan"
    holds_numbers = all(is_number(cell) for row in rows[:20] for cell in row[1:])
    if holds_numbers and look_like_taxa(labels) != look_like_taxa(header[1:]):
        return "table/columns" if look_like_taxa(labels) else "table/rows"
    return "sheet"


def look_like_taxa(labels: Sequence[str]) -> bool:
    """Tell whether labels look like the names of taxa."""
    n_taxa = sum(bool(re.search(_TAXON, label)) for label in labels)
    return len(_COMMON_GUT_GENERA & set(labels)) >= 2 or 2 * n_taxa > len(labels)


def find_taxa_files(kinds: Mapping[Path, FileKind]) -> tuple[Path, Path | None]:
    """Return the one taxa table among the files, and the taxonomy that belongs to it.

    Raises
    ------
    InputError
        If there is no taxa table, or there are two tables or two taxonomies.
    """
    tables = [file for file, kind in kinds.items() if kind not in ("taxonomy", "sheet")]
    taxonomies = [file for file, kind in kinds.items() if kind == "taxonomy"]
    if not tables:
        raise InputError(
            "there is no taxa table among the files; expected a merged MetaPhlAn table, a BIOM or QIIME 2 table, or a "
            "TSV or CSV table of numbers with taxa such as 's__Akkermansia_muciniphila' along one side"
        )
    for files, noun in ((tables, "taxa table"), (taxonomies, "taxonomy")):
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise InputError(f"a cohort has one {noun}, and {names} look like one each; give one of them")
    return tables[0], taxonomies[0] if taxonomies and kinds[tables[0]] in ("biom", "qza") else None


def table_at_finest_rank(file: Path, kind: FileKind, taxonomy: Path | None) -> tuple[Rank, TaxaTable]:
    """Return a taxa table at the finest rank at which at least half of it has a name, and that rank.

    Parameters
    ----------
    file : Path
        The taxa table.
    kind : FileKind
        Its kind.
    taxonomy : Path, optional
        The taxonomy of its features.

    Raises
    ------
    FileError
        If the file is no such table, or less than half of it has a name at any rank.
    """
    format, _, sample_axis = kind.partition("/")
    options: dict[str, Any] = {"format": format, "taxonomy": taxonomy, "sample_axis": sample_axis or None}
    error_of_finest_rank: FileError | None = None
    ranks: tuple[Rank, ...] = ("species", "genus", "family", "order", "class", "phylum")
    for rank in ranks:
        try:
            table = read_taxa(file, rank=rank, **options)
        except FileError as error:
            # A rank that the whole file lacks is an error without a place; an error with a place is one at any rank.
            if error.row is not None or error.column is not None:
                raise
            error_of_finest_rank = error_of_finest_rank or error
            continue
        has_no_taxonomy = format in ("biom", "qza") and not table.lineages
        has_name = [
            not taxon.startswith("unclassified_") and (rank != "species" or "_" in taxon) for taxon in table.taxa
        ]
        if has_no_taxonomy or table.values[:, has_name].sum() >= table.values.sum() / 2:
            return rank, table
    raise error_of_finest_rank or FileError(
        "less than half of it has a name at any rank; give a fuller taxonomy", file=file
    )
