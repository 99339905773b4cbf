"""The one door to tables of text: any encoding, delimiter or workbook becomes a header and rows of cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from features.errors import FileError
from features.tables.decimals import (
    DecimalMark,
    find_decimal_mark,
    has_thousands_mark,
    is_number,
    with_decimal_point,
)
from features.tables.delimited import LEAST_NAMES, MOST_TITLES, Row, find_delimiter, read_rows, unequal_length
from features.tables.encoding import Encoding, find_encoding, open_text
from features.tables.names import check_names
from features.tables.workbook import is_workbook, read_workbook

ROW_NAME = "row_name"
"""The name of the first column where the header names all columns but this one, as R's `write.table` does."""
MAX_COLUMNS = 250_000
"""The most columns; Excel has 16,384, and the widest tables of sequence variants about 100,000."""

_MAX_LINES_ABOVE_HEADER = 10_000
_MAX_DELIMITERS = 8 * MAX_COLUMNS
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 200, 2**20
_HEADER_NAMES = frozenset(
    [
        *("id", "name", "names", "sample", "samples", "sampleid", "patient", "patientid", "subject", "subjectid"),
        *("participant", "participantid", "otu", "otuid", "asv", "asvid", "feature", "featureid", "taxon", "taxa"),
        *("taxonomy", "cladename", "species", "genus", "analyte", "marker", "protein", "gene"),
    ]
)
"""First cells of headers, without case and punctuation."""
_PLAIN_HEADERS = {"clade_name", "ID", "SampleID"}
"""First cells of headers above which MetaPhlAn writes comments that look like a header."""
_FOOTNOTE = re.compile(
    r"\s*([*\u2020\u2021\u00a7\u00b6]|(foot)?notes?\b|abbreviations?\b|source:|legend\b|(data|values) are\b)",
    re.IGNORECASE,
)
_KEY_NAME = re.compile(
    r"(?i)(^|[\W_])(ids?|patients?|subjects?|participants?|sampleid|samples?|tax(on|a)|species|genus|clade|otu|asv|feature"
    r"|names?|analyte|assay|cytokine|marker|protein|gene)([\W_]|$)|id$"
)
"""Names of first columns: a header that begins with one is short of another name."""
_EXCEL_ERRORS = ("#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!")


@dataclass(frozen=True)
class Layout:
    """How a file writes its table.

    Attributes
    ----------
    encoding : str
        The encoding, as 'UTF-16', or 'Excel workbook'.
    delimiter : str
        The character between two cells; a space stands for a run of spaces, empty in a workbook.
    decimal_mark : {'.', ','}
        The decimal mark of the file; cells are returned with a decimal point.
    notes : tuple of str
        Whatever else was understood: that the header is one cell short, which sheet of a workbook was read.
    """

    encoding: str
    delimiter: str
    decimal_mark: DecimalMark = "."
    notes: tuple[str, ...] = ()

    def conversions(self) -> tuple[str, ...]:
        """Return what was converted to read the table, such as "decimal commas"; empty for plain UTF-8."""
        encoding = (self.encoding,) if self.encoding != "UTF-8" else ()
        return (*encoding, *(("decimal commas",) if self.decimal_mark == "," else ()), *self.notes)


@dataclass(frozen=True)
class OpenTable:
    """A table while its file is open.

    Attributes
    ----------
    path : Path
        The file.
    layout : Layout
        How the file writes it.
    comments : list of Row
        The rows that begin with '#' above the header.
    header : Row
        The names of the columns.
    rows : iterator of Row
        The rows that hold anything, each as long as the header, without comments.
    """

    path: Path
    layout: Layout
    comments: list[Row]
    header: Row
    rows: Iterator[Row]


@contextmanager
def open_table(path: Path, content: bytes | None = None) -> Iterator[OpenTable]:
    """Open a table of text: TSV, CSV or an Excel workbook, compressed by gzip or not.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes, optional
        The bytes to read instead of those on the disk, as of a table inside an archive.

    Raises
    ------
    FileError
        If the file holds no such table; also if a row that is read while it is open shows this.
    """
    if is_workbook(path, content):
        yield _workbook_table(path, content)
        return
    encoding = find_encoding(path, content)
    mark = _decimal_mark(path, encoding, content)
    with open_text(path, encoding, content) as text:
        lines = _Lines(path, text)
        yield _table(path, Layout(encoding.name, lines.delimiter, mark), lines.comments, lines.rows)


def _workbook_table(path: Path, content: bytes | None) -> OpenTable:
    sheet = read_workbook(path, content)
    unread = f", not {', '.join(sheet.unread)}" if sheet.unread else ""
    mark = find_decimal_mark(row.cells for row in sheet.rows) or "."
    layout = Layout("Excel workbook", "", mark, (f"sheet {sheet.name!r}{unread}",))
    n_comments = next((i for i, row in enumerate(sheet.rows) if not _is_comment(row)), len(sheet.rows))
    return _table(path, layout, sheet.rows[:n_comments], iter(sheet.rows[n_comments:]))


class _Lines:
    """Lines of text, parted into comments above the header and rows.

    Attributes
    ----------
    delimiter : str
        The character between two cells.
    comments : list of Row
        The lines above the first row that begin with '#'.
    rows : iterator of Row
        The rows.
    """

    def __init__(self, path: Path, text: Iterator[str]) -> None:
        comments: list[tuple[int, str]] = []
        line, number = "", 0
        for number, line in enumerate(text, start=1):
            if number > _MAX_LINES_ABOVE_HEADER:
                raise FileError(
                    f"expected a header, got {number - 1:,} empty lines and comments above it; remove them", file=path
                )
            if line.startswith("#") and not line.startswith(_EXCEL_ERRORS):
                comments.append((number, line))
            elif line.strip():
                break
            line = ""
        if max(map(line.count, "\t;,|")) > _MAX_DELIMITERS:
            raise _too_wide(path, number, "millions")
        sample = [line] if line else []
        n_characters = len(line)
        while len(sample) <= _SAMPLE_LINES and n_characters < _SAMPLE_CHARACTERS and (line := next(text, "")):
            sample.append(line)
            n_characters += len(line)
        header = comments[-1][1] if comments else ""
        self.delimiter = _delimiter_of_comment(header, sample) or find_delimiter(sample or [header]) or ","
        self.comments = [Row(position, _comment_cells(path, comment, self.delimiter)) for position, comment in comments]
        self.rows = read_rows(path, chain(sample, text), self.delimiter, first_line=number)


def _delimiter_of_comment(comment: str, lines: Sequence[str]) -> str:
    """Return the delimiter of a comment that is a header by its first name, and as long as the first of these lines."""
    for delimiter in "\t;,|":
        names = comment.split(delimiter)
        if lines and len(names) == len(lines[0].split(delimiter)) > 1 and _is_header_name(names[0]):
            return delimiter
    return ""


def _decimal_mark(path: Path, encoding: Encoding, content: bytes | None) -> DecimalMark:
    """Return the decimal mark of a text file.

    Raises
    ------
    FileError
        If semicolons part the cells, as beside decimal commas, and no number shows what its points mean.
    """
    with open_text(path, encoding, content) as text:
        lines = _Lines(path, text)
        has_semicolons = lines.delimiter == ";"
        has_commas = "," in encoding.may_hold and (lines.delimiter != "," or '"' in encoding.may_hold)
        if not has_commas and not has_semicolons:
            return "."
        mark = find_decimal_mark(row.cells for row in lines.rows)
    if mark is None and has_semicolons:
        with open_text(path, encoding, content) as text:
            _check_no_points_in_thousands(path, _Lines(path, text).rows)
    return mark or "."


def _check_no_points_in_thousands(path: Path, rows: Iterator[Row]) -> None:
    """Raise an error at the first number whose point may part thousands; the first column holds names."""
    for row in rows:
        for cell in row.cells[1:]:
            if has_thousands_mark(cell, ","):
                decimal, number = cell.strip(), cell.strip().replace(".", "")
                raise FileError(
                    f"the point of {decimal!r} may part thousands or decimals, since semicolons part the cells and no "
                    f"number shows which. Write {number!r} if it parts thousands; else write one number with another "
                    f"number of decimals, as '{decimal}0', or part the cells by tabs",
                    file=path,
                    row=row.line,
                )


def _comment_cells(path: Path, line: str, delimiter: str) -> list[str]:
    try:
        return next(read_rows(path, [line], delimiter)).cells
    except FileError:
        return [line.strip()]


def _table(path: Path, layout: Layout, comments: list[Row], raw_rows: Iterator[Row]) -> OpenTable:
    """Return the table of these rows, the first of which is the header unless a comment is."""
    rows = (row for row in raw_rows if any(map(str.strip, row.cells)))
    sample = list(islice(rows, _SAMPLE_LINES))
    while len(comments) > 1 and re.match(r"#CLASS(:|$)", comments[-1].cells[0]):
        # MicrobiomeAnalyst writes the classes of samples below their names.
        comments = comments[:-1]
    n_titles = _count_titles(sample)
    if n_titles and not comments:
        sample = sample[n_titles:]
        layout = replace(layout, notes=(*layout.notes, f"lines above the header left out: {n_titles}"))
    if comments and _is_header(comments, sample):
        header, comments = comments[-1], comments[:-1]
    elif sample:
        header, sample = sample[0], sample[1:]
    else:
        raise FileError("expected a header and rows, got no line with text: the file is empty", file=path)
    names = [name.strip() for name in header.cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise _too_wide(path, header.line, f"{len(names):,}")
    check_names(path, names, header.line)
    body = [row for row in sample if not _is_comment(row)]
    if _is_short(path, header, names, body):
        names = [ROW_NAME, *names]
        layout = replace(layout, notes=(*layout.notes, f"a first column without a name, called {ROW_NAME}"))
    checked = _checked_rows(path, layout, len(names), chain(sample, rows))
    return OpenTable(path, layout, comments, Row(header.line, names), checked)


def _count_titles(rows: Sequence[Row]) -> int:
    """Return the number of rows above the header that hold one cell each, as the title of a supplementary table."""
    n_texts = [sum(map(bool, map(str.strip, row.cells))) for row in rows]
    n_titles = next((i for i, n in enumerate(n_texts) if n > 1), 0)
    if not 0 < n_titles <= MOST_TITLES or n_texts[n_titles] < LEAST_NAMES or len(rows) <= n_titles + 1:
        return 0
    # A header may name its first column alone; a title has several words, and a header below it no numbers.
    are_titles = all(" " in "".join(row.cells).strip() for row in rows[:n_titles])
    header, *rows_below = rows[n_titles:]
    is_header = not any(map(is_number, header.cells)) and not _resembles(header, rows_below)
    return n_titles if are_titles and is_header else 0


def _resembles(header: Row, rows: Sequence[Row]) -> bool:
    """Tell whether a row is one of those below: in a column, its cell occurs in these, or they differ in numbers."""
    for position, name in enumerate(map(str.strip, header.cells)):
        cells = {row.cells[position].strip() for row in rows if position < len(row.cells)} - {""}
        shapes = {re.sub(r"\d+", "0", cell) for cell in (name, *cells)}
        if name in cells or (cells and len(shapes) == 1 and any(map(str.isdigit, name))):
            return True
    return False


def _is_footnote(row: Row, n_columns: int) -> bool:
    """Tell whether a row is a note below a table: text in its first cell alone, that begins as notes do."""
    return n_columns >= LEAST_NAMES and not any(map(str.strip, row.cells[1:])) and bool(_FOOTNOTE.match(row.cells[0]))


def _too_wide(path: Path, line: int, number: str) -> FileError:
    return FileError(
        f"expected at most {MAX_COLUMNS:,} columns, got {number}. Write the table with rows and columns swapped",
        file=path,
        row=line,
    )


def _is_header(comments: Sequence[Row], rows: Sequence[Row]) -> bool:
    """Tell whether the last comment is the header, as in the text exports of BIOM and QIIME.

    It is if it has as many cells as the row below, and either begins like such a header, or the row below does not and
    holds numbers while the comment holds none, or it is the only comment of that length: cBioPortal writes several
    above its header.
    """
    comment_cells = comments[-1].cells
    if not rows:
        return len(comment_cells) > 1
    first_row = rows[0].cells
    if len(comment_cells) != len(first_row) or len(comment_cells) < 2 or first_row[0].strip() in _PLAIN_HEADERS:
        return False
    if _is_header_name(comment_cells[0]):
        return True
    if _is_header_name(first_row[0]) or not comment_cells[0].strip("# "):
        return False
    numbers_below, numbers_in_comment = (any(map(is_number, cells[1:])) for cells in (first_row, comment_cells))
    if numbers_below or numbers_in_comment:
        return numbers_below and not numbers_in_comment
    return sum(len(comment.cells) == len(first_row) for comment in comments) == 1


def _is_header_name(cell: str) -> bool:
    return re.sub(r"[\W_]", "", cell).casefold() in _HEADER_NAMES


def _is_comment(row: Row) -> bool:
    """Tell whether a row is a comment: it begins with '#', but not with '#12' or one of Excel's errors."""
    label = row.cells[0].lstrip()
    return label.startswith("#") and not label.startswith(_EXCEL_ERRORS) and not label[1:].isdigit()


def _is_short(path: Path, header: Row, names: Sequence[str], rows: Sequence[Row]) -> bool:
    """Tell whether the header names all columns but the first, as R's `write.table` writes it.

    Raises
    ------
    FileError
        If every row has one cell more than the header, and another column than the first may be without a name.
    """
    if not rows or any(len(row.cells) != len(names) + 1 for row in rows) or not any(row.cells[-1] for row in rows):
        return False
    labels = [row.cells[0] for row in rows]
    if problem := _problem_above(names, [row.cells for row in rows]):
        raise FileError(problem, file=path, row=header.line)
    if _KEY_NAME.search(names[0]) or not all(labels) or len(set(labels)) < len(labels):
        raise FileError(
            f"the header names {len(names)} columns, and the rows have {len(names) + 1} cells. Name the column that "
            "has no name; R writes all names by write.table(..., col.names = NA)",
            file=path,
            row=header.line,
        )
    return True


def _is_value(cell: str) -> bool:
    return is_number(cell.strip(" <>")) or cell.strip().casefold() in ("", "na", "n/a", "nan", "null")


def _problem_above(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return what is wrong with a header of fewer cells than the rows that is none by itself; empty of another."""
    header, *rows_below = rows
    has_numbers = bool(rows_below) and all(is_number(cells[-1]) for cells in rows_below)
    if len(names) == 1 and " " in names[0] and has_numbers and not _is_value(header[-1]):
        return (
            f"{names[0]!r} may be a title, with the names of the columns below it; if so, remove this line, else name "
            "each column"
        )
    if "" in names and not header[0].strip() and has_numbers:
        return (
            "the names of columns stand in two rows, as of merged cells; write them in one, such as "
            f"'{names[1]}_{header[1].strip()}', and remove the other row"
        )
    return ""


def _checked_rows(path: Path, layout: Layout, n_columns: int, rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        if _is_comment(row) or _is_footnote(row, n_columns):
            continue
        cells = row.cells
        check_names(path, cells[:1], row.line)
        if len(cells) != n_columns:
            cells = _trimmed(path, row, n_columns)
        if layout.decimal_mark == ",":
            cells = _with_decimal_points(path, row.line, cells)
        yield Row(row.line, cells)


def _trimmed(path: Path, row: Row, n_columns: int) -> list[str]:
    """Return the cells under the names of a header whose last cells, and the row's, are empty."""
    if len(row.cells) < n_columns or any(map(str.strip, row.cells[n_columns:])):
        raise unequal_length(path, row, n_columns)
    return row.cells[:n_columns]


def _with_decimal_points(path: Path, line: int, cells: Sequence[str]) -> list[str]:
    for cell in cells:
        if "." in cell and has_thousands_mark(cell, ","):
            raise FileError(
                f"{cell!r} has marks between thousands in a table with decimal commas; expected '1234,5'. Write the "
                "number without them",
                file=path,
                row=line,
            )
    return [with_decimal_point(cell) if "," in cell else cell for cell in cells]
