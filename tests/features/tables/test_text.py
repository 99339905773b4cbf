import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import FileError
from features.tables.text import TextTable, finite_numbers, read_text_table

Read = Callable[..., TextTable]
CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs"], exclude_characters="#0123456789")
    | st.sampled_from("\n\t;"),
    max_size=6,
)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(content: str | bytes, name: str = "sheet.csv") -> TextTable:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_text_table(path)

    return write_and_read


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiters_line_ends_and_byte_order_mark(read: Read, delimiter: str, newline: str, mark: str) -> None:
    lines = ["patient|best", " p1 |PR", '"p|2"|NA']
    table = read(mark + newline.join(line.replace("|", delimiter) for line in lines) + newline)
    assert table.frame.to_dict("list") == {"patient": ["p1", f"p{delimiter}2"], "best": ["PR", "NA"]}


def test_a_compressed_file_is_read_alike(read: Read) -> None:
    content = "patient;best\np1;PR\n"
    compressed = read(gzip.compress(content.encode()), "sheet.csv.gz")
    assert (compressed.header, compressed.rows) == (("patient", "best"), (("p1", "PR"),))
    assert compressed.rows == read(content).rows


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"PK\x03\x04rest", "got a ZIP archive. Unpack it"),
        (b"\x89HDFrest", "got an HDF5 file"),
        (gzip.compress(b"patient,best\np1,PR\n", mtime=0)[:-9], "expected a complete gzip file"),
    ],
)
def test_binary_and_broken_files_are_refused(read: Read, content: bytes, match: str) -> None:
    with pytest.raises(FileError, match=match):
        read(content)


def test_the_index_of_the_frame_is_the_line_in_the_file(read: Read) -> None:
    table = read('patient,note\n\np1,a\n,\np2,"two\nlines"\np3,c\n')
    assert dict(zip(table.column("patient"), table.frame.index, strict=True)) == {"p1": 3, "p2": 5, "p3": 7}


def test_errors_name_the_line_after_filtering_and_deduplication(read: Read) -> None:
    table = read("patient,age\nd1,x\np1,1\np1,1\n\np2,old\n")
    selected = table.select(table.column("patient") != "d1").one_row_per("patient", ["age"])
    with pytest.raises(FileError, match=r"sheet\.csv, row 6, column 'age': expected a number, got 'old'") as caught:
        selected.numbers("age", ())
    assert (caught.value.row, caught.value.column) == (6, "age")


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_rows_written_by_csv_are_read_back_with_their_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["one", "two"])
    expected = {}
    for row in rows:
        line = text.getvalue().count("\n") + 1
        writer.writerow(row)
        if any(cell.strip() for cell in row):
            expected[line] = [cell.strip() for cell in row]
    path = tmp_path_factory.mktemp("sheets") / "sheet.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    if not expected:
        with pytest.raises(FileError, match="a header and rows"):
            read_text_table(path)
        return
    frame = read_text_table(path).frame
    assert {line: list(row) for line, *row in frame.itertuples()} == expected


@pytest.mark.parametrize(
    ("content", "row", "match"),
    [
        ("a,b\n1,2\n\n1\n", 4, "expected 2 cells, as in the header, got 1"),
        ("a,b\n1,2,3\n4,5\n", 2, "expected 2 cells, as in the header, got 3"),
        ("a,b,a\n1,2,3\n", 1, "column 'a': 2 columns have this name"),
        ('a,b\n1,"2\n3,4\n', 2, "each within a pair of quotes or without any"),
        ("", None, "expected a header and rows"),
        ("a,b\n,\n\n", None, "expected a header and rows"),
    ],
)
def test_files_that_are_no_table(read: Read, content: str | bytes, row: int | None, match: str) -> None:
    with pytest.raises(FileError, match=match) as caught:
        read(content)
    assert caught.value.row == row
    assert caught.value.file.endswith("sheet.csv")


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_text_table(tmp_path / "none.csv")


def test_a_column_that_does_not_exist(read: Read) -> None:
    with pytest.raises(FileError, match="no column 'ORR'; the columns are patient, orr"):
        read("patient,orr\np1,yes\n").column("ORR")


def test_numbers(read: Read) -> None:
    table = read("x\n1\n-2.5\n\N{MINUS SIGN}4\n1e3\nNA\n")
    expected = pd.Series([1, -2.5, -4, 1000, float("nan")], index=range(2, 7), name="x")
    pd.testing.assert_series_equal(table.numbers("x", ("NA",)), expected)


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "1,234", "1_000", "٣", "True", "0x1F", "NA"])
def test_cells_that_are_no_number(read: Read, text: str) -> None:
    with pytest.raises(FileError, match="expected a number") as caught:
        read(f"x;y\n1;1\n{text};1\n").numbers("x", ("",))
    assert repr(text) in str(caught.value)
    assert caught.value.row == 3


def test_finite_numbers_of_an_empty_series() -> None:
    assert finite_numbers(pd.Series([], dtype="str")).dtype == float


def test_decode(read: Read) -> None:
    table = read("best\nPR\nNA\nPR\n")
    assert table.decode("best", {"PR": True, "NA": None}, "outcomes.x") == [True, None, True]
    with pytest.raises(FileError, match=r"row 3, column 'best': no rule explains 'NA'; the manifest's 'outcomes\.x'"):
        table.decode("best", {"PR": True}, "outcomes.x")


def test_one_row_per_key(read: Read) -> None:
    table = read("patient,best,day\np1,PR,0\np2,SD,0\np1,PR,7\n")
    assert list(table.one_row_per("patient", ["best"]).frame.index) == [2, 3]
    with pytest.raises(FileError, match="patient 'p1' has '7' here and '0' above") as caught:
        table.one_row_per("patient", ["best", "day"])
    assert (caught.value.row, caught.value.column) == (4, "day")


def test_an_empty_cell_differs_from_a_value(read: Read) -> None:
    with pytest.raises(FileError, match="has '' here and 'PR' above"):
        read("patient,best\np1,PR\np1,\n").one_row_per("patient", ["best"])


def test_frankel_typesets_its_minus_signs(cohorts_dir: Path) -> None:
    table = read_text_table(cohorts_dir / "frankel_2017" / "metadata.tsv")
    text = table.column("change_in_tumor_size")
    assert text.str.contains("\N{MINUS SIGN}").any()
    change = table.numbers("change_in_tumor_size", ("", "NA", "nan"))
    assert (change[text.str.startswith("\N{MINUS SIGN}")] < 0).all()


def test_rows_are_kept_by_the_cells_of_columns(read: Read) -> None:
    table = read("sample,type,qc\ns1,SAMPLE,PASS\nc1,CONTROL,PASS\ns2,SAMPLE,WARN\ns3,SAMPLE,PASS\n")
    filtered = table.keep_rows({"type": ["SAMPLE"], "qc": ["PASS"]})
    assert [row[0] for row in filtered.rows] == ["s1", "s3"]
    assert filtered.line_numbers == (2, 5)
    with pytest.raises(
        FileError, match="keep_rows keeps 'sample', which no row holds; the cells are 'SAMPLE', 'CONTROL'"
    ):
        table.keep_rows({"type": ["sample"]})
    with pytest.raises(FileError, match="keep_rows leaves no row"):
        table.keep_rows({"type": ["CONTROL"], "qc": ["WARN"]})
    with pytest.raises(FileError, match="there is no column 'kind'"):
        table.keep_rows({"kind": ["SAMPLE"]})


@pytest.mark.parametrize("content", ["id,age\nP\u200b1,3\n", "id,a\u202ege\nP1,3\n", "id,age\nP\u00ad1,3\n"])
def test_characters_that_are_not_seen_are_refused_in_names(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=r"characters that are not seen, U\+(200B|202E|00AD); expected none") as caught:
        read_text_table(path)
    assert caught.value.row in (1, 2)
