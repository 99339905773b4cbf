"""One table in every encoding, delimiter and decimal mark reads alike through every door, or is refused by each."""

import csv
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.draft.file_kinds import find_file_kind, table_at_finest_rank
from features.errors import FileError
from features.immune import ImmuneSpec, read_immune
from features.measured_values import MeasuredValue, parse_value
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
    packing: str

    def write(self, rows: list[list[str]]) -> bytes:
        if self.packing == "xlsx":
            return _workbook(rows)
        text = io.StringIO()
        quoting = csv.QUOTE_ALL if self.delimiter == " " else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.newline, quoting=quoting)
        writer.writerows([[self._cell(cell) for cell in row] for row in rows])
        content = text.getvalue().encode(self.encoding)
        return gzip.compress(content) if self.packing == "gz" else content

    def _cell(self, cell: str) -> str:
        return cell.replace(".", self.decimal_mark) if re.fullmatch(r"[<>]?[\d.]+", cell) else cell


def _workbook(rows: list[list[str]]) -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append([float(cell) if re.fullmatch(r"[\d.]+", cell) else cell for cell in row])
    book.save(buffer)
    return buffer.getvalue()


STYLES = st.builds(
    Style,
    st.sampled_from(ENCODINGS),
    st.sampled_from("\t;,| "),
    st.sampled_from(".,"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["plain", "plain", "gz", "xlsx"]),
)
# One decimal: a comma before three may part thousands, and is asked.
AMOUNTS = st.integers(100, 240).map(lambda tenths: f"{tenths / 10:.1f}")


@st.composite
def tables(draw: st.DrawFn, names: list[str]) -> list[list[str]]:
    n_rows, n_names = draw(st.integers(1, 4)), draw(st.integers(2, len(names)))
    rows = [[f"S{i}", *draw(st.lists(AMOUNTS, min_size=n_names, max_size=n_names))] for i in range(n_rows)]
    return [["sample", *names[:n_names]], *rows]


def paths_of_doors(content: bytes, folder: Path) -> list[Path]:
    """Return the file as a cohort has it, and as an upload is stored."""
    path = folder / "table.txt"
    path.write_bytes(content)
    return [path, store(UploadedFile("table.txt", content), folder / "upload").path]


@given(tables(SPECIES), STYLES, st.booleans())
def test_taxa_read_alike(rows: list[list[str]], style: Style, is_transposed: bool) -> None:
    expected = np.array([row[1:] for row in rows[1:]], np.float32)
    written = [list(row) for row in zip(*rows, strict=True)] if is_transposed else rows
    axis = "columns" if is_transposed else "rows"
    with TemporaryDirectory() as folder:
        for path in paths_of_doors(style.write(written), Path(folder)):
            table = read_taxa(path, format="table", sample_axis=axis)
            assert table.taxa == tuple(name.removeprefix("s__") for name in rows[0][1:])
            np.testing.assert_array_equal(table.values, expected)
            assert find_file_kind(path) == f"table/{axis}"
        form = Form(sample="S0", taxa_unit=table.unit)
        result = understand({"taxa": UploadedFile("table.txt", style.write(written))}, form, {})
        assert result.request is not None, result.problems
        uploaded = result.request["taxa"]["values"]
        assert list(uploaded.values()) == [float(str(value)) for value in table.values[0] if value]


@given(tables(ANALYTES), STYLES, st.sampled_from(["", "<", ">"]))
def test_immune_tables_and_sheets_read_alike(rows: list[list[str]], style: Style, sign: str) -> None:
    rows = [*rows, ["S9", *[f"{sign}{i}.5" for i in range(1, len(rows[0]))]]]
    spec = ImmuneSpec(layout="wide", unit="pg/mL", key=("sample",))
    with TemporaryDirectory() as folder:
        for path in paths_of_doors(style.write(rows), Path(folder)):
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


@given(st.lists(st.lists(CLINICAL_CELLS, min_size=3, max_size=3), min_size=1, max_size=4), STYLES)
def test_patient_tables_read_alike(body: list[list[str]], style: Style) -> None:
    rows = [["patient", "age", "größe", "note"], *([f"P{i}", *cells] for i, cells in enumerate(body))]
    written = style.write(rows)
    with TemporaryDirectory() as folder:
        for path in paths_of_doors(written, Path(folder)):
            table = read_text_table(path)
            assert table.header == tuple(rows[0])
            # A workbook holds numbers, not their digits.
            cells, expected = (
                [[re.sub(r"\.0$", "", cell) for cell in row] for row in sheet] for sheet in (table.rows, rows[1:])
            )
            assert cells == expected


TEXTS = st.text('ab1,;\t\n\r"#. |_-<\0é', max_size=60)


@given(
    st.binary(max_size=60) | st.builds(lambda text, encoding: text.encode(encoding), TEXTS, st.sampled_from(ENCODINGS))
)
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
