"""What each file is."""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from features.draft.words import is_number
from features.errors import FileError, InputError
from features.taxa import TaxaTable, read_taxa
from features.taxon_names import RANKS, Rank

_TAXON = r"(^|[|;]\s*)[dkpcofgst]__|^\W?[A-Z][a-z]+\W?[ _][a-z]{2}"
_GENERA = {"Bacteroides", "Faecalibacterium", "Blautia", "Prevotella", "Bifidobacterium", "Akkermansia", "Roseburia"}


def file_kinds(files: Sequence[Path]) -> dict[Path, str]:
    """Return each file's kind."""
    for name, times in Counter(file.name for file in files).items():
        if times > 1:
            raise InputError(f"{name!r} is named {times} times; they lie in one folder: give each its own name")
    return {file: file_kind(file) for file in files}


def file_kind(file: Path) -> str:
    """Return what a file looks like.

    Parameters
    ----------
    file : Path

    Returns
    -------
    str
        'sheet', 'taxonomy', or a taxa table's format of `read_taxa`, as 'table/rows' with samples in rows.

    Raises
    ------
    FileError
        If it cannot be read, or is none of these.
    """
    try:
        return _kind(file)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=file) from error
    except (UnicodeDecodeError, csv.Error, zlib.error, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"expected text in UTF-8, or a BIOM or QIIME 2 file: {error}", file=file) from error


def _kind(file: Path) -> str:
    with file.open("rb") as handle:
        magic = handle.read(4)
    if magic == b"\x89HDF":
        return "biom"
    if magic == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            members = {member.partition("/")[2] for member in archive.namelist()}
        for member, kind in (("data/taxonomy.tsv", "taxonomy"), ("data/feature-table.biom", "qza")):
            if member in members:
                return kind
        raise FileError("expected a QIIME 2 table or taxonomy in this archive; save workbooks as CSV", file=file)
    zipped = magic.startswith(b"\x1f\x8b")
    with gzip.open(file, "rt", encoding="utf-8-sig") if zipped else file.open(encoding="utf-8-sig") as text:
        lines = [line for line in islice(text, 500) if line.strip()]
    plain = [line for line in lines if not line.startswith("#")]
    if not plain:
        return "sheet"
    header, *rows = csv.reader(plain, delimiter=next((mark for mark in "\t,;" if mark in plain[0]), ","))
    names = [cell.strip().casefold() for cell in header]
    if len(set(names) & set(RANKS)) >= 3 or "taxon" in names[1:]:
        return "taxonomy"
    labels = [row[0] for row in rows if row]
    if lines[0].startswith("#mpa_") or header[0] == "clade_name" or any("|" in la and "__" in la for la in labels):
        return "metaphlan"
    numbers = all(is_number(cell) for row in rows[:20] for cell in row[1:])
    if numbers and are_taxa(labels) != are_taxa(header[1:]):
        return "table/columns" if are_taxa(labels) else "table/rows"
    return "sheet"


def are_taxa(labels: Sequence[str]) -> bool:
    """Tell whether labels look like the names of taxa."""
    return len(_GENERA & set(labels)) >= 2 or 2 * sum(bool(re.search(_TAXON, label)) for label in labels) > len(labels)


def taxa_files(kinds: Mapping[Path, str]) -> tuple[Path, Path | None]:
    """Return the one taxa table, and the taxonomy that goes with it."""
    tables = [file for file, kind in kinds.items() if kind not in ("taxonomy", "sheet")]
    taxonomies = [file for file, kind in kinds.items() if kind == "taxonomy"]
    if not tables:
        raise InputError(
            "there is no taxa table among the files; expected a merged MetaPhlAn table, a BIOM or QIIME 2 table, or a "
            "TSV or CSV table of numbers with taxa such as 's__Akkermansia_muciniphila' along one side"
        )
    for found, what in ((tables, "taxa table"), (taxonomies, "taxonomy")):
        if len(found) > 1:
            names = " and ".join(file.name for file in found)
            raise InputError(f"a cohort has one {what}, and {names} look like one each; give one of them")
    return tables[0], taxonomies[0] if taxonomies and kinds[tables[0]] in ("biom", "qza") else None


def table_at_finest_rank(file: Path, kind: str, taxonomy: Path | None) -> tuple[Rank, TaxaTable]:
    """Return a taxa table at the finest rank at which at least half of it has a name, and that rank.

    Parameters
    ----------
    file : Path
    kind : str
        What `file_kind` says of it.
    taxonomy : Path, optional
        The features' taxonomy.

    Raises
    ------
    FileError
        If the file is no such table, or less than half of it has a name at any rank.
    """
    format, _, side = kind.partition("/")
    options: Any = {"format": format, "taxonomy": taxonomy, "sample_axis": side or None}
    absent: FileError | None = None
    ranks: tuple[Rank, ...] = ("species", "genus", "family", "order", "class", "phylum")
    for rank in ranks:
        try:
            table = read_taxa(file, rank=rank, **options)
        except FileError as error:
            # A rank that the whole file lacks has no place in it; whatever has one is wrong at any rank.
            if error.row is not None or error.column is not None:
                raise
            absent = absent or error
            continue
        bare = format in ("biom", "qza") and not table.lineages
        named = [not taxon.startswith("unclassified_") and (rank != "species" or "_" in taxon) for taxon in table.taxa]
        if bare or table.values[:, named].sum() >= table.values.sum() / 2:
            return rank, table
    raise absent or FileError("less than half of it has a name at any rank; give a fuller taxonomy", file=file)
