"""The kind of each file: a sheet, a taxonomy, or a taxa table of some format."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from features.errors import FileError, InputError
from features.immune import is_immune_export
from features.tables.decimals import is_number
from features.tables.layout import OpenTable, open_table
from features.tables.numbers import read_number_table
from features.tables.other_outputs import check_holds_abundances
from features.tables.profiles import SINTAX_COLUMNS, read_taxonomy
from features.tables.taxa_layouts import Head, TaxaLayout, find_layout, is_annotation, read_head
from features.tables.text import TextTable, read_text_table
from features.tables.workbook import is_workbook
from features.taxa import TaxaTable, read_taxa_at_finest_rank
from features.taxa_source import Format, SampleAxis, TableRank
from features.taxon_names import (
    are_feature_ids,
    is_clade_string,
    is_sintax,
    look_like_taxa,
    name_known_taxa,
    stated_rank,
)

FileKind = Literal["sheet", "taxonomy", "metaphlan", "kraken", "bracken", "biom", "qza", "table/columns", "table/rows"]
"""The kind of a file: a taxa table is named by its format of `features.taxa.read_taxa` and the axis of its samples."""

_ARCHIVE_KINDS: Mapping[str, FileKind] = {"data/taxonomy.tsv": "taxonomy", "data/feature-table.biom": "qza"}
_SAVE_R = (
    "an R object; save its tables in R: write.csv(as(otu_table(x), 'matrix'), 'otu_table.csv') and "
    "write.csv(as(tax_table(x), 'matrix'), 'tax_table.csv'), or write.csv(x, 'table.csv') for a data frame"
)
_UNREADABLE = {
    b"RDX": _SAVE_R,
    b"RDA": _SAVE_R,
    b"X\n\x00\x00": _SAVE_R,
    b"A\n": _SAVE_R,
    b"BZh": "a bzip2 file; unpack it with: bunzip2 FILE",
    b"\xfd7zXZ": "an xz file; unpack it with: unxz FILE, or, if R wrote it, save its tables with write.csv",
    b"ARROW1": "a Feather file; convert it in Python: pandas.read_feather('FILE').to_csv('FILE.csv')",
    b"SQLite format 3": "an SQLite database; export the table with: sqlite3 -header -csv FILE 'SELECT * FROM table'",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007; save the sheet as CSV",
    b"%PDF": "a PDF; ask for the table itself, as CSV",
}
"""Files that are not read, by how they begin, with the command that makes a readable one."""
_OFFICE_FILES = {
    "word/document.xml": "a text of Word; save its table as CSV",
    "content.xml": "a spreadsheet of LibreOffice; save the sheet as .xlsx or CSV",
    "Index/Document.iwa": "a document of Apple Numbers; export it as .xlsx or CSV",
    "xl/workbook.bin": "a binary workbook of Excel (.xlsb); save it as .xlsx or CSV",
    "ppt/presentation.xml": "a presentation; ask for the table itself, as CSV",
}
"""Archives of office software, by a file that each holds."""
_FEW_TAXA = 20
"""Columns from which names of two words are those of taxa; clinical sheets have fewer that are numbers."""
_SEQUENCES = "sequences, not a table; profile them first, for example with MetaPhlAn, or DADA2 in QIIME 2"


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
    kinds = {file: find_file_kind(file) for file in files}
    if any(kind not in ("sheet", "taxonomy") for kind in kinds.values()):
        return kinds
    # A cohort has a taxa table, be it of few taxa whose names are not known.
    return {file: find_file_kind(file, with_few_taxa=True) if kind == "sheet" else kind for file, kind in kinds.items()}


def find_file_kind(file: Path, *, with_few_taxa: bool = False) -> FileKind:
    """Return the kind of a file, by its signature, else by its header.

    Parameters
    ----------
    file : Path
        The file.
    with_few_taxa : bool
        Whether a few columns of numbers whose names are two words are taxa, and not clinical.

    Raises
    ------
    FileError
        If the file cannot be read, or is of no kind that a manifest can name; the message names the command that makes
        a readable file of it.
    """
    try:
        with file.open("rb") as binary:
            begin = binary.read(512)
        if begin.startswith(b"\x89HDF"):
            return _hdf5_kind(file)
        if begin.startswith(b"PK\x03\x04") and not is_workbook(file):
            return _archive_kind(file)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=file) from error
    except zipfile.BadZipFile as error:
        raise FileError(f"expected a QIIME 2 artifact: {error}", file=file) from error
    _check_readable(file, begin)
    if begin.lstrip().startswith((b"{", b"[{")):
        return _json_kind(file, begin)
    if is_immune_export(file):
        return "sheet"
    with open_table(file) as table:
        return _table_kind(table, with_few_taxa=with_few_taxa)


def _check_readable(file: Path, begin: bytes) -> None:
    if begin.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error), gzip.open(file) as unzipped:
            begin = unzipped.read(16)
    for signature, advice in _UNREADABLE.items():
        if begin.startswith(signature):
            raise FileError(f"this is {advice}", file=file)
    lines = begin.split(b"\n")
    is_fastq = begin.startswith(b"@") and len(lines) > 2 and lines[2].startswith(b"+")
    if is_fastq or (begin.startswith(b">") and b"\t" not in lines[0]):
        raise FileError(f"these are {_SEQUENCES}", file=file)


def _hdf5_kind(file: Path) -> FileKind:
    import h5py

    with suppress(OSError, ValueError, RuntimeError), h5py.File(file, "r") as opened:
        if {"obs", "var"} <= set(opened):
            raise FileError(
                'this is an AnnData object (.h5ad); convert it with: python -c "import anndata; '
                "anndata.read_h5ad('FILE').to_df().to_csv('FILE.csv')\"",
                file=file,
            )
    return "biom"


def _json_kind(file: Path, begin: bytes) -> FileKind:
    if b"Biological Observation Matrix" in begin or b'"matrix_type"' in begin or b'"rows"' in begin:
        return "biom"
    raise FileError("this is JSON, but no BIOM 1.0 table; export the table as TSV or CSV", file=file)


def _archive_kind(file: Path) -> FileKind:
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
    if office := next((advice for member, advice in _OFFICE_FILES.items() if member in names), ""):
        raise FileError(f"this is {office}", file=file)
    members = {name.partition("/")[2] for name in names}
    for member, kind in _ARCHIVE_KINDS.items():
        if member in members:
            return kind
    if any(member.startswith("data/level-") for member in members):
        raise FileError(
            f"this is a QIIME 2 bar plot; get its tables with: qiime tools export --input-path {file.name} "
            "--output-path barplot, and give barplot/level-7.csv",
            file=file,
        )
    if "data/dna-sequences.fasta" in members:
        raise FileError(
            f"these are {_SEQUENCES}. Give the feature table and the taxonomy that belong to them", file=file
        )
    if any(member.startswith("data/") for member in members):
        raise FileError(
            "this QIIME 2 artifact holds neither a feature table nor a taxonomy; see what it holds with: qiime tools "
            f"peek {file.name}",
            file=file,
        )
    raise FileError(
        f"this is an archive of {len(names)} files, such as {min(names, default='')!r}; expected a table, or a QIIME 2 "
        "artifact. Unpack it, and give the tables that it holds",
        file=file,
    )


def _table_kind(table: OpenTable, *, with_few_taxa: bool) -> FileKind:
    head = read_head(table)
    check_holds_abundances(table.path, head)
    try:
        layout = find_layout(table.path, head)
    except FileError:
        return "sheet"
    if layout.name != "table":
        return layout.name
    labels = head.labels
    if _is_taxonomy(head, layout):
        return "taxonomy"
    has_clade_strings = any("|" in label and stated_rank(label) for label in labels)
    is_marked = bool(head.comments) and head.comments[0].startswith("mpa_")
    if is_marked or head.header[0].lstrip("#") == "clade_name" or has_clade_strings:
        return "metaphlan"
    rows = [row.cells for row in head.first_rows[:20] if len(row.cells) == layout.n_cells]
    rows = [cells for cells in rows if not layout.is_set_aside(cells[0])]
    if not all(is_number(cell) for cells in rows for cell in layout.numbers_of(cells)):
        return "sheet"
    if layout.has_taxonomy:
        return "table/columns"
    for are_features in (look_like_taxa, are_feature_ids):
        rows_are_features, columns_are_features = are_features(labels), are_features(layout.column_names)
        if rows_are_features != columns_are_features:
            are_words = columns_are_features and are_features is look_like_taxa and not with_few_taxa
            if are_words and _may_be_clinical(layout.column_names):
                return "sheet"
            return "table/columns" if rows_are_features else "table/rows"
    return "sheet"


def _may_be_clinical(names: Sequence[str]) -> bool:
    """Tell whether a few names of two words may be of clinical columns, as 'Liver metastases', and not of taxa."""
    return len(names) < _FEW_TAXA and not name_known_taxa(names)


def _is_taxonomy(head: Head, layout: TaxaLayout) -> bool:
    """Tell whether a table lists lineages of features, and no numbers of samples."""
    rows = [row.cells for row in head.first_rows if len(row.cells) == layout.n_cells]
    if len(head.header) in SINTAX_COLUMNS and is_sintax(head.header[1]):
        return True
    if len(head.header) in (2, 3) and is_clade_string(head.header[1]):
        # Without a header every row has a lineage; a header of lineages has numbers below.
        return all(is_clade_string(cells[1]) for cells in rows)
    if layout.taxonomy_column is not None:
        taxa = [cells[layout.taxonomy_column].strip() for cells in rows]
        is_listed = 2 * sum(";" in taxon or "|" in taxon or stated_rank(taxon) is not None for taxon in taxa) > len(
            taxa
        )
    else:
        is_listed = len(layout.rank_columns) >= 3
    columns = zip(*map(layout.numbers_of, rows), strict=True)
    has_samples = any(
        all(map(is_number, cells)) and not is_annotation(name)
        for name, cells in zip(layout.column_names, columns, strict=False)
    )
    return is_listed and not has_samples


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
        for file, kind in kinds.items():
            if kind == "sheet" and not is_immune_export(file):
                _check_numbers_of_taxa(file)
        raise InputError(
            "there is no taxa table among the files; expected a merged MetaPhlAn table, a Kraken or Bracken report, a "
            "BIOM or QIIME 2 table, or a TSV or CSV table of numbers with taxa such as 's__Akkermansia_muciniphila', "
            "or features with a taxonomy, along one side"
        )
    for files, noun in ((tables, "taxa table"), (taxonomies, "taxonomy")):
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise InputError(
                f"a cohort has one {noun}, and {names} look like one each; give one of them. Single samples, and "
                "batches of one profiler, are merged by merge_metaphlan_tables.py, combine_kreports.py, "
                "combine_bracken_outputs.py or 'qiime feature-table merge'; tables with taxa as rows in Python: "
                "pandas.concat([pandas.read_csv(file, index_col=0) for file in ('FILE_1', 'FILE_2')], axis=1)"
                ".fillna(0).to_csv('FILE'), where an absent taxon is 0"
            )
    has_taxonomy = bool(taxonomies) and needs_taxonomy(tables[0], kinds[tables[0]], taxonomies[0])
    return tables[0], taxonomies[0] if has_taxonomy else None


def _check_numbers_of_taxa(file: Path) -> None:
    """Raise an error if a table of taxa was taken for a sheet since some of its cells are no numbers."""
    with open_table(file) as table:
        head = read_head(table)
    names = head.header[1:]
    cells = [cell for row in head.first_rows for cell in row.cells[1:] if cell.strip()]
    numbers = [cell for cell in cells if is_number(re.sub(r"^\s*[<>]|%\s*$", "", cell))]
    if names and 2 * len(numbers) >= len(cells) and (look_like_taxa(head.labels) or look_like_taxa(names)):
        read_number_table(file)


def needs_taxonomy(table: Path, kind: FileKind, taxonomy: Path) -> bool:
    """Tell whether the features of a table are those of a taxonomy."""
    if kind in ("biom", "qza"):
        return True
    if not kind.startswith("table"):
        return False
    with open_table(table) as opened:
        head = read_head(opened)
    labels = head.header[1:] if kind == "table/rows" else [row.cells[0] for row in head.first_rows if row.cells]
    return not read_taxonomy(taxonomy).keys().isdisjoint(label.strip() for label in labels)


def metadata_sheet(file: Path, kind: FileKind) -> TextTable | None:
    """Return the columns of a taxa table that are of samples or patients, as a sheet; None where it has none."""
    if kind != "table/rows":
        return None
    with open_table(file) as opened:
        set_aside = find_layout(file, read_head(opened)).set_aside
    if not set_aside:
        return None
    table = read_text_table(file)
    positions = [0, *(table.header.index(name) for name in set_aside if name in table.header[1:])]
    return replace(
        table,
        header=tuple(table.header[position] for position in positions),
        rows=tuple(tuple(cells[position] for position in positions) for cells in table.rows),
    )


def table_at_finest_rank(file: Path, kind: FileKind, taxonomy: Path | None) -> tuple[TableRank, TaxaTable]:
    """Return a taxa table at the finest rank at which at least half of it has a name, and that rank.

    Parameters
    ----------
    file : Path
        The taxa table.
    kind : FileKind
        Its kind.
    taxonomy : Path, optional
        The taxonomy of its features; without one, features with ids are read under these, at the rank 'feature'.

    Raises
    ------
    FileError
        If the file is no such table, or less than half of it has a name at any rank.
    """
    format, _, sample_axis = kind.partition("/")
    return read_taxa_at_finest_rank(
        file,
        format=cast(Format, format),
        taxonomy=taxonomy,
        sample_axis=cast(SampleAxis, sample_axis) if sample_axis else None,
    )
