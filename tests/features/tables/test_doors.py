"""One table in every encoding, delimiter and decimal mark reads alike through every door, or is refused by each."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.draft.file_kinds import find_file_kind, table_at_finest_rank
from features.errors import FileError
from features.immune import ImmuneSpec, read_immune
from features.measured_values import MeasuredValue, parse_value
from features.tables.decimals import is_number
from features.tables.text import read_text_table
from features.taxa import read_taxa
from serving.upload import Form, understand
from serving.upload.intake import UploadedFile, store
from serving.upload.report import UnreadableFile

SPECIES = ["s__Blautia_wexlerae", "s__Roseburia_hominis", "s__Alistipes_onderdonkii", "s__Müllerella_außeria"]
ANALYTES = ["IL-6", "IL-8", "TNF-a", "IL-10"]
FORM = Form(immune_unit="pg/mL")
ENCODINGS = ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@dataclass(frozen=True)
class Style:
    """How a table is written."""

    encoding: str
    delimiter: str
    decimal_mark: str
    newline: str
    is_packed: bool
    is_quoted: bool
    n_comments: int

    def write(self, rows: list[list[str]]) -> bytes:
        text = io.StringIO()
        text.write(f"# made by a pipeline{self.newline}" * self.n_comments)
        quoting = csv.QUOTE_ALL if self.is_quoted or self.delimiter == " " else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.newline, quoting=quoting)
        writer.writerows([[self._cell(cell) for cell in row] for row in rows])
        content = text.getvalue().encode(self.encoding)
        return gzip.compress(content, 1) if self.is_packed else content

    def _cell(self, cell: str) -> str:
        return cell.replace(".", self.decimal_mark) if re.fullmatch(r"[<>]?[\d.]+", cell) else cell


class Workbook:
    """An Excel workbook, in which a number is none of the characters that write it."""

    def write(self, rows: list[list[str]]) -> bytes:
        book, buffer = openpyxl.Workbook(write_only=True), io.BytesIO()
        sheet = book.create_sheet()
        for row in rows:
            sheet.append([float(cell) if re.fullmatch(r"[\d.]+", cell) else cell for cell in row])
        book.save(buffer)
        return buffer.getvalue()


TEXT = st.builds(
    Style,
    st.sampled_from(ENCODINGS),
    st.sampled_from("\t;,| "),
    st.sampled_from(".,"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    is_packed=st.booleans(),
    is_quoted=st.booleans(),
    n_comments=st.integers(0, 2),
)
WORKBOOKS = st.builds(Workbook)
FEW = settings(max_examples=max(20, settings.default.max_examples // 20))
"""Workbooks take thirty times as long as text."""
# One decimal: a comma before three may part thousands, and is asked.
AMOUNTS = st.integers(100, 240).map(lambda tenths: f"{tenths / 10:.1f}")


@st.composite
def tables(draw: st.DrawFn, names: list[str]) -> list[list[str]]:
    n_rows, n_names = draw(st.integers(1, 4)), draw(st.integers(2, len(names)))
    rows = [[f"S{i}", *draw(st.lists(AMOUNTS, min_size=n_names, max_size=n_names))] for i in range(n_rows)]
    return [["sample", *names[:n_names]], *rows]


@contextmanager
def paths_of_doors(content: bytes) -> Iterator[list[Path]]:
    """Return the file as a cohort has it, and as an upload is stored."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "table.txt")
        path.write_bytes(content)
        yield [path, store(UploadedFile("table.txt", content), Path(folder, "upload")).path]


@given(tables(SPECIES), TEXT, st.booleans())
def test_taxa_read_alike(rows: list[list[str]], style: Style, is_transposed: bool) -> None:
    check_taxa(rows, style, is_transposed)


@FEW
@given(tables(SPECIES), WORKBOOKS, st.booleans())
def test_taxa_of_workbooks_read_alike(rows: list[list[str]], style: Workbook, is_transposed: bool) -> None:
    check_taxa(rows, style, is_transposed)


def check_taxa(rows: list[list[str]], style: Style | Workbook, is_transposed: bool) -> None:
    """Read taxa through the doors: of a cohort, of a draft, and of an upload."""
    expected = np.array([row[1:] for row in rows[1:]], np.float32)
    axis = "columns" if is_transposed else "rows"
    content = style.write([list(row) for row in zip(*rows, strict=True)] if is_transposed else rows)
    with paths_of_doors(content) as paths:
        for path in paths:
            table = read_taxa(path, format="table", sample_axis=axis)
            assert table.taxa == tuple(name.removeprefix("s__") for name in rows[0][1:])
            np.testing.assert_array_equal(table.values, expected)
            assert find_file_kind(path) == f"table/{axis}"
    form = Form(sample="S0", taxa_unit=table.unit)
    result = understand({"taxa": UploadedFile("table.txt", content)}, form, {})
    assert result.request is not None, result.problems
    uploaded = result.request["taxa"]["values"]
    assert list(uploaded.values()) == [float(str(value)) for value in table.values[0] if value]


@given(tables(ANALYTES), TEXT, st.sampled_from(["", "<", ">"]))
def test_immune_tables_and_sheets_read_alike(rows: list[list[str]], style: Style, sign: str) -> None:
    check_immune(rows, style, sign)


@FEW
@given(tables(ANALYTES), WORKBOOKS, st.sampled_from(["", "<", ">"]))
def test_immune_tables_of_workbooks_read_alike(rows: list[list[str]], style: Workbook, sign: str) -> None:
    check_immune(rows, style, sign)


def check_immune(rows: list[list[str]], style: Style | Workbook, sign: str) -> None:
    """Read immune values through the doors: as a sheet, as a cohort's, and as an upload."""
    rows = [*rows, ["S9", *[f"{sign}{i}.5" for i in range(1, len(rows[0]))]]]
    spec = ImmuneSpec(layout="wide", unit="pg/mL", key=("sample",))
    with paths_of_doors(style.write(rows)) as paths:
        for path in paths:
            sheet = read_text_table(path)
            cells = [[re.sub(r"\.0$", "", cell) for cell in row] for row in sheet.rows]
            assert cells == [[re.sub(r"\.0$", "", cell) for cell in row] for row in rows[1:]]
            values = read_immune(path, spec).rows
            assert len(values) == sum(len(row) - 1 for row in rows[1:])
            assert set(values["censored"]) <= {"", "below", "above"}
    result = understand({"immune": UploadedFile("table.txt", style.write([rows[0], rows[-1]]))}, FORM, {})
    assert result.request is not None, result.problems
    last = values[values["sample"] == "S9"]
    uploaded = [parse_value(item["value"]) for item in result.request["immune"]]
    assert [value.text for value in uploaded] == [
        MeasuredValue(*parts).text for parts in zip(last["value"], last["censored"], last["limit"], strict=True)
    ]


CLINICAL_CELLS = st.one_of(
    AMOUNTS,
    st.integers(0, 120).map(str),
    st.sampled_from(["", "NA", "female", "Müller", "2024-03-31", "yes", "a, b", "c; d", 'the "old" one', ">89"]),
)


CLINICAL_ROWS = st.lists(st.lists(CLINICAL_CELLS, min_size=3, max_size=3), min_size=1, max_size=4)


@given(CLINICAL_ROWS, TEXT)
def test_patient_tables_read_alike(body: list[list[str]], style: Style) -> None:
    check_patients(body, style)


@FEW
@given(CLINICAL_ROWS, WORKBOOKS)
def test_patient_tables_of_workbooks_read_alike(body: list[list[str]], style: Workbook) -> None:
    check_patients(body, style)


def check_patients(body: list[list[str]], style: Style | Workbook) -> None:
    """Read a patient table as a cohort has it, and as an upload is stored."""
    rows = [["patient", "age", "größe", "note"], *([f"P{i}", *cells] for i, cells in enumerate(body))]
    with paths_of_doors(style.write(rows)) as paths:
        for path in paths:
            table = read_text_table(path)
            assert table.header == tuple(rows[0])
            # A workbook holds numbers, not their digits.
            cells, expected = (
                [[re.sub(r"\.0$", "", cell) for cell in row] for row in sheet] for sheet in (table.rows, rows[1:])
            )
            assert cells == expected


@dataclass(frozen=True)
class Locale:
    """How software of a country writes numbers: Excel parts cells by semicolons where decimals have commas."""

    delimiter: str
    decimal_mark: str
    thousands_mark: str

    def text(self, thousandths: int, n_decimals: int) -> str:
        """Return a number of so many thousandths, cut to some decimals."""
        integer_digits, decimals = f"{thousandths // 1000:,}", f"{thousandths % 1000:03d}"[:n_decimals]
        return integer_digits.replace(",", self.thousands_mark) + (self.decimal_mark + decimals if decimals else "")


LOCALES = [
    *(Locale(delimiter, ".", mark) for delimiter in "\t;,|" for mark in ("", ",")),
    *(Locale(delimiter, ",", "") for delimiter in "\t;|"),
    Locale(";", ",", "."),
]
NUMBERS = st.tuples(st.integers(0, 3_000_000), st.integers(0, 3))


@given(st.lists(NUMBERS, min_size=2, max_size=6), st.sampled_from(LOCALES))
def test_a_number_of_any_locale_is_right_or_refused(numbers: list[tuple[int, int]], locale: Locale) -> None:
    """A wrong number is never read, however few cells show what their commas and points mean."""
    expected = [Locale("", ".", "").text(*number) for number in numbers]
    rows = [["sample", *(f"s__Taxon_{i}" for i in range(len(numbers)))], ["S1", *(locale.text(*n) for n in numbers)]]
    text = io.StringIO()
    csv.writer(text, delimiter=locale.delimiter).writerows(rows)
    content, outcomes = text.getvalue().encode(), []
    with TemporaryDirectory() as name:
        path = Path(name, "table.txt")
        path.write_bytes(content)
        for is_upload in (False, True):
            try:
                door = store(UploadedFile("table.txt", content), Path(name, "upload")).path if is_upload else path
                # A text that no reader takes for a number is none.
                for cell, number in zip(read_text_table(door).rows[0][1:], expected, strict=True):
                    assert not is_number(cell) or float(cell) == float(number)
                outcomes.append(read_taxa(door, format="table", sample_axis="rows").values[0].tolist())
            except (FileError, UnreadableFile):
                outcomes.append(None)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] is None or outcomes[0] == np.array(expected, np.float32).tolist()


TEXTS = st.text('ab1,;\t\n\r"#. |_-<\0é', max_size=60)


@given(
    st.binary(max_size=60) | st.builds(lambda text, encoding: text.encode(encoding), TEXTS, st.sampled_from(ENCODINGS))
)
@example(b";*;,a__")
def test_any_bytes_are_read_alike_or_refused_at_each_door(content: bytes) -> None:
    check_any_bytes(content)


def check_any_bytes(content: bytes) -> None:
    """Read any bytes through the doors: a refusal is an error of the file, and no cell differs between doors."""
    with TemporaryDirectory() as name:
        folder, outcomes = Path(name), []
        path = folder / "table.txt"
        path.write_bytes(content)
        for upload in (False, True):
            try:
                door = store(UploadedFile("table.txt", content), folder / "upload").path if upload else path
                kind = find_file_kind(door)
                if kind == "sheet":
                    sheet = read_text_table(door)
                    outcomes.append((sheet.header, sheet.rows, sheet.line_numbers))
                else:
                    _, taxa = table_at_finest_rank(door, kind, None)
                    outcomes.append((taxa.taxa, taxa.samples, taxa.values.tolist()))
            except (FileError, UnreadableFile):
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]


def test_an_upload_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="NUL"):
        store(UploadedFile("x", b"a\tb\n\0\t1\n"), tmp_path / "x")
