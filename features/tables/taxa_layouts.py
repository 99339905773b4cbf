"""The layout of a taxa table in a text file: which cells are labels, numbers and taxonomy, and which are none of these.

The layouts are recognised by their headers: plain tables either way round, MetaPhlAn's, BIOM's and QIIME's text
exports, Bracken's combined and single reports, Kraken's single and combined reports.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from features.errors import FileError
from features.non_taxa import is_metadata, is_no_taxon_among_taxa, unexplained
from features.tables.delimited import Row
from features.tables.kraken import is_kraken_row
from features.tables.layout import OpenTable
from features.taxon_names import RANKS, are_feature_ids, is_clade_string, look_like_taxa, looks_like_taxon, stated_rank

LayoutName = Literal["table", "bracken", "kraken"]

_ROWS_LOOKED_AT = 50
_ABUNDANCE_COLUMN = "relative_abundance"
"""The one column of amounts in MetaPhlAn's profile of a single sample; columns of coverage and reads follow it."""
_BRACKEN_COLUMNS = ["name", "taxonomy_id", "taxonomy_lvl"]
_BRACKEN_READS = "new_est_reads"
_EMU_COLUMNS = ["species", "genus", "family"]
"""The ranks by which Emu's joined tables begin, whose cells are empty where a sample has none of a taxon."""
_NAME_COLUMN = re.compile(r"((tax(on|a)?|scientific)[ _.]?)?name|taxon", re.IGNORECASE)
_NAMED_RANK_COLUMN = re.compile(r"(tax(on|onomic|onomy)?[ _.]?)?(rank|level|lvl)", re.IGNORECASE)
_LINEAGE_COLUMN = re.compile(r"((id|rank)_)?lineage|parent[ _]?(id|name)?")
_MOTHUR_COLUMNS = ["label", "Group", "numOtus"]
"""The columns before the OTUs in mothur's shared file: the distance of its OTUs, the sample, and the number of OTUs."""
_RANK_LETTERS = "kpcofgs"
_TAXONOMY_COLUMN = re.compile(
    r"(consensus[ _.]?)?(taxonomy|taxonomies|taxon|lineage|classification)|full[ _.]taxonomy|tax|clade[ _]?string",
    re.IGNORECASE,
)
_ANNOTATION_COLUMN = re.compile(
    r"(ncbi[ _.]?)?(clade_)?tax(onomy)?[ _.]?(id|lvl)s?|ncbi_tax_id|confidence|(rep(resentative)?[ _.]?)?seq(uence)?"
    r"|clade|subspecies|species[ _]?(sub)?group|size|e[ _.]?value|score|identity",
    re.IGNORECASE,
)
_SUMMARY = re.compile(
    r"((grand|overall|column|row)[ _.]?)?(totals?|sums?)([ _.](reads|counts?|abundance))?"
    r"|mean|average|median|sd|std(ev)?|summe|gesamt(summe)?|mittelwert",
    re.IGNORECASE,
)
"""Names of columns and rows that sum or average the others."""
_RANK_COLUMN = re.compile(
    r"(?:tax[ _.]?|rank[ _.]?)?(?P<name>domain|superkingdom|[a-z]+)|(?:rank|ta)[ _.]?(?P<number>[1-7])"
)


class RankColumn(NamedTuple):
    """A column that holds the names of one rank: its position in the table, and the rank's letter."""

    position: int
    letter: str


@dataclass(frozen=True)
class Head:
    """The begin of a text table, and its rows.

    Attributes
    ----------
    header : list of str
        The cells of the header; those of the first row where the table has none.
    line : int
        The header's line.
    first_rows : list of Row
        The first rows.
    other_rows : iterator of Row
        The rows below them.
    comments : list of str
        The lines above the header, without the '#'.
    """

    header: list[str]
    line: int
    first_rows: list[Row]
    other_rows: Iterator[Row]
    comments: list[str]

    @property
    def labels(self) -> list[str]:
        """The first cells of the first rows."""
        return [row.cells[0].strip() for row in self.first_rows if row.cells]

    def rows(self) -> Iterator[Row]:
        """Yield all rows, once."""
        return itertools.chain(self.first_rows, self.other_rows)


@dataclass(frozen=True)
class TaxaLayout:
    """Where a row has what.

    Attributes
    ----------
    name : str
        The layout's name.
    n_cells : int
        The number of cells of each row.
    positions : list of int
        The positions of the numbers, (n_columns,).
    column_names : list of str
        The names of the numbers' columns, (n_columns,).
    label_column : int or None
        The position of the row's label; None where the table has no column for it.
    rank_column : int
        In Bracken's and Kraken's reports: the position of the rank.
    taxonomy_column : int or None
        The position of the row's clade string.
    rank_columns : tuple of RankColumn
        The columns of the ranks' names.
    set_aside : list of str
        The columns that are neither a sample's nor a taxon's.
    rows_are_taxa : bool
        Whether the rows are labelled by taxa.
    has_empty_zeros : bool
        Whether an empty cell is a 0, as where Emu joins samples.
    comments : list of str
        The lines above the header.
    """

    name: LayoutName
    n_cells: int
    positions: list[int]
    column_names: list[str]
    label_column: int | None = 0
    rank_column: int = -1
    taxonomy_column: int | None = None
    rank_columns: tuple[RankColumn, ...] = ()
    set_aside: list[str] = field(default_factory=list)
    rows_are_taxa: bool = False
    has_empty_zeros: bool = False
    comments: list[str] = field(default_factory=list)

    def numbers_of(self, cells: Sequence[str]) -> list[str]:
        """Return the cells of a row that hold its numbers."""
        numbers = [cells[position] for position in self.positions]
        return [cell if cell.strip() else "0" for cell in numbers] if self.has_empty_zeros else numbers

    @property
    def has_taxonomy(self) -> bool:
        """Whether columns of the table state each row's clade string."""
        return self.taxonomy_column is not None or bool(self.rank_columns)

    def label_of(self, row: Row) -> str:
        """Return a row's label."""
        if self.label_column is None:
            return f"row {row.line}"
        label = row.cells[self.label_column].strip()
        if self.name == "bracken" and label:
            rank = row.cells[self.rank_column].strip().casefold()
            if rank in ("", "no rank") and unexplained(label):
                return label
            return f"{_rank_letter(rank)}__{label}"
        return label

    def clade_of(self, cells: Sequence[str]) -> str:
        """Return the clade string that a row's own columns state, '' where they state none."""
        if self.taxonomy_column is not None:
            return cells[self.taxonomy_column].strip()
        return clade_string_of_ranks(cells, self.rank_columns)

    def is_set_aside(self, label: str) -> bool:
        """Tell whether a row is of no taxon and no sample, such as 'age' among taxa, and 'Total' among either."""
        if _SUMMARY.fullmatch(label.strip()):
            return True
        return self.rows_are_taxa and not unexplained(label) and is_metadata(label)


def _rank_letter(rank: str) -> str:
    """Return the letter of a rank that a word or Bracken's code states, 'x' for one between the ranks that are read."""
    name = {"domain": "kingdom", "superkingdom": "kingdom", "d": "kingdom"}.get(rank, rank)
    if name in RANKS[:7]:
        return name[0]
    return name[:1] if re.fullmatch(rf"[{_RANK_LETTERS}]\d*", name) else "x"


def clade_string_of_ranks(cells: Sequence[str], columns: Sequence[RankColumn]) -> str:
    """Return the clade string of a row with a column for each rank; names that have a rank prefix keep it."""
    clades = []
    for position, letter in columns:
        name = cells[position].strip()
        clades.append(name if stated_rank(name) else f"{letter}__{name}")
    return ";".join(clades)


def find_rank_columns(header: Sequence[str]) -> tuple[RankColumn, ...]:
    """Return the columns named for a rank, as 'Genus', or for a position, as phyloseq's 'Rank6'; none where one is."""
    columns = []
    for position, name in enumerate(header):
        match = _RANK_COLUMN.fullmatch(name.strip().casefold())
        if match is None:
            continue
        rank = {"domain": "kingdom", "superkingdom": "kingdom"}.get(match["name"] or "", match["name"])
        if match["number"]:
            columns.append(RankColumn(position, _RANK_LETTERS[int(match["number"]) - 1]))
        elif rank in RANKS[:7]:
            columns.append(RankColumn(position, rank[0]))
    return tuple(columns) if len(columns) > 1 else ()


def is_annotation(column: str) -> bool:
    """Tell whether a column beside the numbers annotates the taxon of a row: its id, sequence or sum."""
    return any(pattern.fullmatch(column) for pattern in (_ANNOTATION_COLUMN, _SUMMARY))


def find_taxonomy_column(header: Sequence[str]) -> int | None:
    """Return the position of the column of clade strings, behind the first column; None where there is none."""
    for position, name in enumerate(header):
        if position and _TAXONOMY_COLUMN.fullmatch(name.strip().lstrip("#")):
            return position
    return None


def read_head(table: OpenTable) -> Head:
    """Read the header and the first rows of a table; the header is a row too where Kraken's reports have none."""
    header = table.header
    rows = itertools.chain([header], table.rows) if is_kraken_row(header.cells) else table.rows
    comments = ["\t".join(comment.cells).lstrip("#").strip() for comment in table.comments]
    return Head(header.cells, header.line, list(itertools.islice(rows, _ROWS_LOOKED_AT)), rows, comments)


def find_layout(path: Path, head: Head) -> TaxaLayout:
    """Return the layout of a table.

    Raises
    ------
    FileError
        If there is a single column, or one has no name.
    """
    names = [name.strip() for name in head.header]
    if len(names) < 2:
        raise FileError(
            f"expected columns parted by tab, comma or semicolon, got {''.join(names)[:80]!r}", file=path, row=head.line
        )
    if is_kraken_row(head.header):
        return TaxaLayout(
            "kraken", len(names), [1], ["clade_reads"], rank_column=len(names) - 3, comments=head.comments
        )
    if names[0].lstrip("#") == "perc" and names[-3:] == ["lvl_type", "taxid", "name"]:
        return _combined_kraken_layout(names, head.comments)
    if names[:3] == _BRACKEN_COLUMNS:
        return _bracken_layout(names, head.comments)
    label, rank = (_first_match(names, column) for column in (_NAME_COLUMN, _NAMED_RANK_COLUMN))
    has_taxon_id = any(is_annotation(name) and name.casefold().endswith("id") for name in names)
    if label is not None and rank is not None and has_taxon_id:
        return _named_ranks_layout(names, label, rank, head.comments)
    return _plain_layout(path, head, names)


def _combined_kraken_layout(names: list[str], comments: list[str]) -> TaxaLayout:
    """Return the layout of KrakenTools' combined reports: '1_all' are the reads of the first sample's clade."""
    positions = [position for position, name in enumerate(names) if re.fullmatch(r"\d+_all", name)]
    files = dict(re.findall(r"^S(\d+)\t(.+)$", "\n".join(comments), re.MULTILINE))
    samples = [files.get(names[position].partition("_")[0], names[position]).strip() for position in positions]
    return TaxaLayout("kraken", len(names), positions, samples, rank_column=len(names) - 3, comments=comments)


def _bracken_layout(names: list[str], comments: list[str]) -> TaxaLayout:
    """Return the layout of Bracken's reports; of the combined ones, the columns of read numbers."""
    positions = [position for position, name in enumerate(names) if name == _BRACKEN_READS]
    positions = positions or [position for position, name in enumerate(names) if name.endswith("_num")]
    samples = [names[position].removesuffix("_num") for position in positions]
    return TaxaLayout("bracken", len(names), positions, samples, rank_column=2, comments=comments)


def _first_match(names: Sequence[str], pattern: re.Pattern[str]) -> int | None:
    return next((position for position, name in enumerate(names) if pattern.fullmatch(name)), None)


def _named_ranks_layout(names: list[str], label: int, rank: int, comments: list[str]) -> TaxaLayout:
    """Return the layout of a table with the name and the rank of each taxon in columns, as taxpasta writes it."""
    positions = [
        position
        for position, name in enumerate(names)
        if position not in (label, rank) and not is_annotation(name) and not _LINEAGE_COLUMN.fullmatch(name.casefold())
    ]
    samples = [names[position] for position in positions]
    return TaxaLayout(
        "bracken", len(names), positions, samples, label_column=label, rank_column=rank, comments=comments
    )


def _plain_layout(path: Path, head: Head, names: list[str]) -> TaxaLayout:
    if names[:3] == _MOTHUR_COLUMNS:
        return TaxaLayout("table", len(names), list(range(3, len(names))), names[3:], label_column=1)
    rank_columns, taxonomy_column = find_rank_columns(names), find_taxonomy_column(names)
    if taxonomy_column is not None:
        rank_columns = ()
    labels = [label for label in head.labels if label]
    rows_are_taxa = bool(rank_columns) or taxonomy_column is not None or look_like_taxa(labels)
    label_column = None if rank_columns and rank_columns[0].position == 0 else 0
    other_positions = {0, taxonomy_column, *(column.position for column in rank_columns)}
    positions = [position for position in range(len(names)) if position not in other_positions]
    if "" in (unnamed := [names[position] for position in positions]):
        number = positions[unnamed.index("")] + 1
        raise FileError(f"column {number} of the header has no name; name it", file=path, row=head.line)
    if _ABUNDANCE_COLUMN in names[:3]:
        positions, set_aside = [names.index(_ABUNDANCE_COLUMN)], []
    else:
        positions = _without_annotations(names, positions)
        set_aside = _other_columns([names[position] for position in positions], rows_are_taxa)
        positions = [position for position in positions if names[position] not in set_aside]
    return TaxaLayout(
        "table",
        len(names),
        positions,
        [names[position] for position in positions],
        label_column,
        taxonomy_column=taxonomy_column,
        rank_columns=rank_columns,
        set_aside=set_aside,
        rows_are_taxa=rows_are_taxa,
        has_empty_zeros=_EMU_COLUMNS in (names[:3], names[1:4]),
        comments=head.comments,
    )


def _other_columns(names: Sequence[str], rows_are_taxa: bool) -> list[str]:
    """Return the columns that are neither a sample's nor a taxon's."""
    if any(map(is_clade_string, names)):
        return [name for name in names if not looks_like_taxon(name) and not unexplained(name)]
    candidates = [name for name in names if not is_metadata(name)]
    if not rows_are_taxa and candidates:
        if look_like_taxa(candidates):
            return [name for name in names if is_no_taxon_among_taxa(name) and not unexplained(name)]
        if are_feature_ids(candidates):
            return [name for name in names if is_metadata(name)]
    return []


def _without_annotations(names: Sequence[str], positions: Sequence[int]) -> list[int]:
    """Return the positions of the columns that hold no ids, sequences or sums of taxa; all, if none would be left."""
    return [position for position in positions if not is_annotation(names[position])] or list(positions)
