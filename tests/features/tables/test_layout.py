"""The door to tables of text: one table, however it is written, is read alike; what is not understood is refused."""

import codecs
import datetime as dt
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from features.errors import FileError
from features.tables import encoding
from features.tables.layout import ROW_NAME
from features.tables.numbers import read_number_table
from features.tables.text import TextTable, read_text_table

Write = Callable[..., Path]
SHEET = "patient,alter,Größe\np1,61.5,1.7\np2,58,\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_content(content: str | bytes, name: str = "table.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_content


def workbook(*sheets: Sequence[Sequence[object]], titles: Sequence[str] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(titles[number - 1] if titles else f"Sheet{number}")
        for row in rows:
            sheet.append(list(row))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def columns(table: TextTable) -> dict[str, list[str]]:
    return {name: list(table.frame[name]) for name in table.header}


@pytest.mark.parametrize(
    ("codec", "mark", "name"),
    [
        ("utf-8", b"", "UTF-8"),
        ("utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("cp1252", b"", "Windows-1252"),
        *(
            (f"utf-{width}-{order.lower()}", mark, f"UTF-{width}" + ("" if mark else f"-{order}"))
            for width in (16, 32)
            for order in ("LE", "BE")
            for mark in (b"", getattr(codecs, f"BOM_UTF{width}_{order}"))
        ),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_encoding_gives_the_same_table(
    write: Write, codec: str, mark: bytes, name: str, pack: Callable[[bytes], bytes]
) -> None:
    table = read_text_table(write(pack(mark + SHEET.encode(codec))))
    assert columns(table) == {"patient": ["p1", "p2"], "alter": ["61.5", "58"], "Größe": ["1.7", ""]}
    assert table.layout.encoding == name
    assert table.layout.conversions() == (() if name == "UTF-8" else (name,))


@pytest.mark.parametrize(
    ("codec", "word"),
    [
        ("gb18030", "\u60a3\u8005\u7f16\u53f7"),
        ("cp932", "\u60a3\u8005\u756a\u53f7"),
        ("euc_kr", "\ud658\uc790"),
        ("cp1250", "Wroc\u0142aw"),
        ("iso8859_2", "Wroc\u0142aw"),
        ("cp1251", "\u041c\u043e\u0441\u043a\u0432\u0430"),
        ("mac_roman", "Gen\u00e8ve"),
        ("mac_roman", "Orl\u00e9ans"),
        ("cp437", "K\u00f6ln"),
        ("cp1251", "\u043c"),
        ("euc_jp", "\u7537"),
        ("gb18030", "\u7537"),
    ],
)
def test_text_in_another_encoding_is_refused(write: Write, codec: str, word: str) -> None:
    content = f"patient,centre\np1,1\np2,{word}\n".encode(codec)
    with pytest.raises(FileError, match=r"row 3: expected text in UTF-8 or Windows-1252.*Save it in Excel as 'CSV UTF"):
        read_text_table(write(content))


@pytest.mark.parametrize(
    "words",
    [
        *(
            "Na\u00efve \u00b5g/mL",
            "cells/mm\u00b3 \u00b1 5 \u00b0C",
            "\u00c5\u00e9 10\u00b9\u00b2",
            "No\u00ebl \u00a35",
        ),
        *("cells/mm\u00b3blood", "\u00bd\u00b1\u00bc\u00b0", "\u00b7" * 4, "\u00d7", "\u00d8", "d\u2019\u00e9t\u00e9"),
        *("Ko\u0161ice", "s\u0153ur", "Andr\u00e9 \u00e0 Lyon"),
    ],
)
def test_accents_and_signs_of_western_text_are_read(write: Write, words: str) -> None:
    table = read_text_table(write(f"patient,note\np1,{words}\n".encode("cp1252")))
    assert columns(table)["note"] == [words]


@pytest.mark.parametrize(
    ("content", "row", "match"),
    [
        (b"a,b\nx,1\ny\x00,2\n", 3, "got a NUL byte"),
        ("a,b\nx,1\ny\x00,2\n".encode("utf-16"), 3, "got a NUL byte"),
        (b"a,b\nM\xc3\xbcller,1\nM\xfcller,2\n", 3, "part of it is UTF-8 and part is not"),
        (codecs.BOM_UTF16_LE + "a,b\nx".encode("utf-16-le") + b"\x00\xd8" + ",1\n".encode("utf-16-le"), None, "UTF-16"),
        ("a,b\nx,1\n".encode("utf-16") + b"x", None, "expected text in UTF-16"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), None, "packed twice"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], None, "complete gzip file"),
        (b"PAR1rest", None, "Parquet"),
        (gzip.compress(b"RDX3\nrest", mtime=0), None, "write.csv"),
        (b"\xd0\xcf\x11\xe0rest", None, "old Excel workbook"),
        (b"%PDF-1.7", None, "a PDF"),
        (b"\n" * 20_000 + b"a,b\n1,2\n", None, "10,000 empty lines and comments above it"),
        (b"id" + b"," * 3_000_000 + b"\nx\n", 1, "at most 250,000 columns"),
        (("id," + ",".join(map(str, range(300_000))) + "\n").encode(), 1, "at most 250,000 columns, got 300,001"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(write: Write, content: bytes, row: int | None, match: str) -> None:
    path = write(content)
    for read in (read_text_table, read_number_table):
        with pytest.raises(FileError, match=match) as caught:
            read(path)
        assert caught.value.row == row


def test_a_bomb_is_not_unpacked_whole(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_UNPACKED_AT_ANY_RATIO", 2**16)
    with pytest.raises(FileError, match="unpacks to more than"):
        read_text_table(write(gzip.compress(b"a,b\n" + b"0,0\n" * 2**18)))
    monkeypatch.setattr(encoding, "MAX_LINE", 2**16)
    with pytest.raises(FileError, match="rows of at most 65,536 bytes"):
        read_text_table(write(b"a,b\n" + b"0" * 2**22))


@pytest.mark.parametrize("delimiter", ["\t", ";", ",", "|", " ", "    "])
def test_every_delimiter_gives_the_same_table(write: Write, delimiter: str) -> None:
    lines = ["patient~dose~note", 'p1~1.5~"a, b; c|d\te f"', "p2~2~x"]
    table = read_text_table(write("\n".join(line.replace("~", delimiter) for line in lines)))
    assert columns(table) == {"patient": ["p1", "p2"], "dose": ["1.5", "2"], "note": ["a, b; c|d\te f", "x"]}


@pytest.mark.parametrize(
    ("content", "header"),
    [
        # Semicolons of clade strings, and commas and blanks within cells, are no delimiters.
        ("Feature ID,Taxon\na,k__B; p__F\nb,k__B; p__P; c__C\n", ("Feature ID", "Taxon")),
        ("id,k__A;p__B,k__A;p__C\ns1,1,2\ns2,3,4\n", ("id", "k__A;p__B", "k__A;p__C")),
        ("name;value, unit\na;1,5\nb;2,5\n", ("name", "value, unit")),
        ("species\nAkkermansia muciniphila\nBlautia wexlerae\n", ("species",)),
        ("one,two\na\tb,c\n", ("one", "two")),
        ('note\n"a,b"\n"c,d"\n', ("note",)),
    ],
)
def test_a_sign_in_the_cells_is_no_delimiter(write: Write, content: str, header: tuple[str, ...]) -> None:
    assert read_text_table(write(content)).header == header


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_decimal_commas_are_read_as_decimals(write: Write, delimiter: str) -> None:
    lines = ["patient~IL-6~note", "p1~7,30~1,x", "p2~<0,5~-", "p3~-1,5e3~a,b", "p4~1,234~"]
    table = read_text_table(write("\n".join(lines).replace("~", delimiter)))
    assert list(table.column("IL-6")) == ["7.30", "<0.5", "-1.5e3", "1.234"]
    assert list(table.column("note")) == ["1,x", "-", "a,b", ""]
    assert table.layout.conversions() == ("decimal commas",)


def test_a_comma_that_may_part_thousands_is_asked(write: Write) -> None:
    path = write("patient;cells\np1;1,234\np2;12,345\n")
    assert read_text_table(path).layout.decimal_mark == "."
    with pytest.raises(FileError, match="row 2, column 'cells': expected a number, got '1,234'; the comma may part"):
        read_text_table(path).numbers("cells", ())
    with pytest.raises(FileError, match="the comma may part thousands or decimals"):
        read_number_table(path)


@pytest.mark.parametrize("cell", ["1.234,5", "1.234"])
def test_points_between_thousands_are_refused_beside_decimal_commas(write: Write, cell: str) -> None:
    with pytest.raises(FileError, match=r"row 3: .* has marks between thousands in a table with decimal commas"):
        read_text_table(write(f"patient;cells\np1;0,5\np2;{cell}\n"))


@pytest.mark.parametrize(
    "content",
    [
        # As many words, or cells, as columns.
        '# made by pipeline\n"patient" "IL-6" "note"\n"p1" "1.5" "a"\n',
        "# run,of,a lab\npatient,IL-6,note\np1,1.5,a\n",
        "# run,of,a lab\nPatient ID,6,note\np1,1.5,a\n",
    ],
)
def test_a_comment_as_wide_as_the_table_is_no_header(write: Write, content: str) -> None:
    table = read_text_table(write(content))
    assert (table.header[2], table.rows) == ("note", (("p1", "1.5", "a"),))


@pytest.mark.parametrize(
    "content", ["#patient\tsex\tage\np1\tF\tNA\np2\tM\t61\n", "#Person\tsex\tage\npatient_1\tF\t7\np2\tM\t61\n"]
)
def test_a_comment_that_names_the_columns_is_the_header(write: Write, content: str) -> None:
    assert len(read_text_table(write(content)).rows) == 2


@pytest.mark.parametrize("cells", [["1.234", "12.345"], ["1.234", "5"], ["<1.234", ""], ["1.234.567", "1"]])
@pytest.mark.parametrize("read", [read_text_table, read_number_table])
def test_points_that_may_part_thousands_between_semicolons_are_asked(
    write: Write, cells: list[str], read: Callable[[Path], object]
) -> None:
    path = write(f"patient;IL-6;IL-8\np1;{';'.join(cells)}\np2;3;4\n")
    with pytest.raises(FileError, match=r"row 2: the point of '.*' may part thousands or decimals") as caught:
        read(path)
    assert repr(cells[0].replace(".", "")) in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        # One number in which a point cannot part thousands decides.
        ("p1;1.234\np2;12.5\n", [1.234, 12.5]),
        ("p1;1.234\np2;0.125\n", [1.234, 0.125]),
        ("p1;1.234\np2;12.3450\n", [1.234, 12.345]),
        ("p1;1234.567\np2;1.234\n", [1234.567, 1.234]),
        ("p1;1,5\np2;1234\n", [1.5, 1234]),
        # Names of samples decide nothing, and are not asked about.
        ("101.001;5\n101.002;6\n", [5, 6]),
    ],
)
def test_one_number_decides_what_points_mean(write: Write, rows: str, numbers: list[float]) -> None:
    assert list(read_text_table(write(f"patient;value\n{rows}")).numbers("value", ())) == numbers


@pytest.mark.parametrize("delimiter", ["\t", ",", "|"])
def test_points_are_decimals_where_no_semicolons_part_cells(write: Write, delimiter: str) -> None:
    lines = ["patient~value", "p1~1.234", "p2~12.345"]
    table = read_text_table(write("\n".join(lines).replace("~", delimiter)))
    assert list(table.numbers("value", ())) == [1.234, 12.345]


def test_commas_beside_decimal_points_stay_text(write: Write) -> None:
    table = read_text_table(write("patient\tage\tlesions\np1\t61.5\t1,2\np2\t58\t3\n"))
    assert list(table.column("lesions")) == ["1,2", "3"]


def test_comment_rows_above_and_below_the_header(write: Write) -> None:
    lines = ["#Patient\tSex\tAge", "#Patient id\tSex\tAge at", "#STRING\tSTRING\tNUMBER", "#1\t1\t1"]
    cbioportal = [*lines, "PATIENT_ID\tSEX\tAGE", "P1\tF\t61"]
    assert columns(read_text_table(write("\n".join(cbioportal)))) == {"PATIENT_ID": ["P1"], "SEX": ["F"], "AGE": ["61"]}
    qiime = "sample-id\tday\n#q2:types\tnumeric\ns1\t0\n"
    assert columns(read_text_table(write(qiime))) == {"sample-id": ["s1"], "day": ["0"]}
    biom = "# Constructed from biom file\n#OTU ID\ts1\ts2\nk__B|s__X_y\t1\t2\n"
    assert read_number_table(write(biom)).columns.labels == ["s1", "s2"]
    metaphlan2 = "ID\ts1\ts2\n#SampleID\tMetaphlan_Analysis\tMetaphlan_Analysis\nk__B\t100\t100\n"
    assert read_number_table(write(metaphlan2)).values.tolist() == [[100, 100]]
    metaphlan4 = "#mpa_vJun23\n#SampleID\tMetaphlan_Analysis\n#clade_name\trelative_abundance\nk__B\t100\n"
    assert read_number_table(write(metaphlan4)).columns.labels == ["relative_abundance"]


def test_names_that_begin_with_the_sign_of_comments_are_kept(write: Write) -> None:
    table = read_text_table(write("patient,stage\n#12,IV\n#13,III\n"))
    assert list(table.column("patient")) == ["#12", "#13"]
    assert read_text_table(write("#SampleID\tGroup\ns1\tA\n")).header == ("#SampleID", "Group")
    assert list(read_text_table(write("a,b\n#N/A,1\n")).column("a")) == ["#N/A"]


def test_the_short_header_of_r(write: Write) -> None:
    table = read_text_table(write('"age" "sex"\n"P1" 37 "male"\n"P2" 44 "male"\n'))
    assert columns(table) == {ROW_NAME: ["P1", "P2"], "age": ["37", "44"], "sex": ["male", "male"]}
    assert ROW_NAME in " ".join(table.layout.conversions())
    numbers = read_number_table(write("S1\tS2\ns__X_y\t1\t2\ns__X_z\t3\t4\n"))
    assert (numbers.rows.labels, numbers.columns.labels) == (["s__X_y", "s__X_z"], ["S1", "S2"])
    assert numbers.values.tolist() == [[1, 2], [3, 4]]
    one_sample = read_number_table(write("S1\ns__X_y\t1\n"))
    assert (one_sample.columns.labels, one_sample.values.tolist()) == (["S1"], [[1]])


@pytest.mark.parametrize(
    "content", ["patient,age\nP1,37,male\nP2,44,female\n", "age,sex\nP1,37,male\nP1,44,male\n", "id,age\nx,1,2\n"]
)
def test_a_header_that_lacks_another_name_is_refused(write: Write, content: str) -> None:
    with pytest.raises(
        FileError, match=r"row 1: the header names 2 columns, and the rows have 3 cells.*col.names = NA"
    ):
        read_text_table(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Gut of patient 7\nspecies,s1\nA b,1\nC d,2\n", "'Gut of patient 7' may be a title, with the names of the"),
        ("Gut profile,\nspecies,s1\nA b,1\nC d,2\n", "'Gut profile' may be a title, with the names of the columns"),
        ("id,IL-6,,TNF,\n,D0,D28,D0,D28\np1,1,2,3,4\n", "the names of columns stand in two rows.*'IL-6_D0'"),
    ],
)
def test_a_title_or_a_second_row_of_names_is_pointed_out(write: Write, content: str, message: str) -> None:
    with pytest.raises(FileError, match=f"row 1: {message}"):
        read_text_table(write(content))


def test_a_sample_whose_first_value_is_missing_is_no_title(write: Write) -> None:
    for value in ("NA", "<0.1", "0"):
        assert read_text_table(write(f"Gut A\nA b,{value}\nC d,1\n")).header == (ROW_NAME, "Gut A")


def test_empty_rows_and_columns_at_the_end_are_left_out(write: Write) -> None:
    table = read_text_table(write("patient,age,,\np1,61,,\np2,58,,\n,,,\n\n"))
    assert (table.header, table.rows, table.line_numbers) == (("patient", "age"), (("p1", "61"), ("p2", "58")), (2, 3))
    assert read_text_table(write("patient,age\np1,61,,\n")).rows == (("p1", "61"),)
    with pytest.raises(FileError, match="row 2: expected 2 cells, as in the header, got 1"):
        read_text_table(write("patient,age,\np1\n"))


def test_cells_of_a_workbook(write: Write) -> None:
    cells = [61.5, 3.0, 0.1, dt.datetime(2024, 3, 31), dt.datetime(2024, 3, 31, 9, 5), True, None, " x ", "007", 1e-20]
    header = list("abcdefghij")
    table = read_text_table(write(workbook([[], header, cells]), "sheet.xlsx"))
    expected = ("61.5", "3", "0.1", "2024-03-31", "2024-03-31 09:05:00", "TRUE", "", "x", "007", "1e-20")
    assert (table.header, table.rows, table.line_numbers) == (tuple(header), (expected,), (3,))


def test_the_first_sheet_that_holds_anything_is_read_and_named(write: Write) -> None:
    content = workbook([], [["id", "x"], ["p1", 1]], [["other"]])
    table = read_text_table(write(content, "named.csv"))
    assert table.rows == (("p1", "1"),)
    assert table.layout.conversions() == ("Excel workbook", "sheet 'Sheet2', not Sheet3")


def test_a_note_on_a_sheet_of_its_own_is_no_table(write: Write) -> None:
    table = read_text_table(write(workbook([["see the second sheet"]], [["id", "x"], ["p1", 1]]), "sheet.xlsx"))
    assert (table.header, table.rows) == (("id", "x"), (("p1", "1"),))
    assert table.layout.conversions() == ("Excel workbook", "sheet 'Sheet2', not Sheet1")


def test_a_sheet_that_explains_others_is_read_last(write: Write) -> None:
    explanation = [("column", "meaning"), ("patient", "a code"), ("age", "in years")]
    table = read_text_table(write(workbook(explanation, [("patient", "age"), ("p1", 50)], titles=["Read me", "Data"])))
    assert columns(table) == {"patient": ["p1"], "age": ["50"]}
    alone = read_text_table(write(workbook(explanation, titles=["Legend"])))
    assert columns(alone)["column"] == ["patient", "age"]


@pytest.mark.parametrize("title", ["Key", "Info", "Contents"])
def test_a_key_may_name_the_samples_or_explain_others(write: Write, title: str) -> None:
    clinical, key = [("patient", "age"), ("p1", 50)], [("sample", "patient"), ("s1", "p1")]
    assert "sample" in columns(read_text_table(write(workbook(key, clinical, titles=[title, "Data"]))))
    meanings = [("code", "Meaning"), ("p", "a patient")]
    assert "age" in columns(read_text_table(write(workbook(meanings, clinical, titles=[title, "Data"]))))


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize("is_padded", [True, False])
def test_titles_above_and_notes_below_a_table_are_left_out(write: Write, delimiter: str, is_padded: bool) -> None:
    end = 2 * delimiter if is_padded else ""
    lines = ["Table S1. Patients" + end, "", "sample,patient,age", "s1,p1,50", "s2,p2,60", "* at diagnosis,,"]
    table = read_text_table(write("\n".join(lines).replace(",", delimiter)))
    assert columns(table) == {"sample": ["s1", "s2"], "patient": ["p1", "p2"], "age": ["50", "60"]}
    assert table.line_numbers == (4, 5)
    assert table.layout.conversions() == ("lines above the header left out: 1",)


def test_a_patient_without_values_is_no_note(write: Write) -> None:
    table = read_text_table(write("patient,age,sex\np1,50,F\nNoteborn,,\np3,,\n"))
    assert columns(table)["patient"] == ["p1", "Noteborn", "p3"]


@pytest.mark.parametrize("content", ["sample,,\ns1,p1,F\ns2,p2,M\n", "Table S1\nsample,1,2\ns1,p1,F\ns2,p2,M\n"])
def test_what_may_be_a_header_or_data_is_no_title(write: Write, content: str) -> None:
    with pytest.raises(FileError, match="expected 1 cells, as in the header"):
        read_text_table(write(content))


def test_a_row_below_a_header_of_one_name_is_no_header(write: Write) -> None:
    for rows in ("p1,s1,stool\np2,s2,stool\n", "p1,s1,a\np2,s2,b\n"):
        with pytest.raises(FileError, match="expected 1 cells, as in the header, got 3"):
            read_text_table(write("Patient ID,,\n" + rows))


@pytest.mark.parametrize(
    "content",
    [
        "#OTU ID,s1,s2,s3\nd__B; p__F; c__C,1,2,3\nd__B; p__F; c__D,1,2,3\nd__B; p__G; c__E,1,2\n",
        "OTU ID,s1,s2,s3\nd__B; p__F; c__C,1,2,3\nd__B; p__F; c__D,1,2,3\nd__B; p__G; c__E,1,2\n",
        "patient id,history,response,x\np1,a|b|c,CR,1\np2,a|b|c,PD,2\np3,a|b|c,2\n",
    ],
)
def test_a_short_row_hides_no_delimiter(write: Write, content: str) -> None:
    with pytest.raises(FileError, match="row 4: expected 4 cells, as in the header, got 3"):
        read_text_table(write(content))


@pytest.mark.parametrize("content", ["age\np1,50\np2,60\n", "title\na,b\n1,2\n3,4\n", "a\nb\nc\nd\n"])
def test_a_header_of_one_name_is_no_title(write: Write, content: str) -> None:
    table = read_text_table(write(content))
    assert table.header[-1] == content.partition("\n")[0]


def test_a_formula_without_its_value_is_named(write: Write) -> None:
    content = workbook([["id", "x"], ["p1", "=1+1"]])
    with pytest.raises(FileError, match=r"row 2, column 'B': the formula '=1\+1' has no value in the file"):
        read_text_table(write(content))


def test_a_formula_with_its_value_is_read(write: Write) -> None:
    old, buffer = zipfile.ZipFile(io.BytesIO(workbook([["id", "x", "y"], ["p1", "=1+1", '=""']]))), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text = re.sub(rb"<f>1\+1</f><v ?(/>|></v>)", b"<f>1+1</f><v>2</v>", old.read(name))
            new.writestr(
                name, re.sub(rb'<c r="C2"><f>""</f><v ?(/>|></v>)', b'<c r="C2" t="str"><f>""</f><v></v>', text)
            )
    assert read_text_table(write(buffer.getvalue())).rows == (("p1", "2", ""),)


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", workbook([["id"]])[:-100], workbook([])])
def test_damaged_and_empty_workbooks_are_refused(write: Write, content: bytes) -> None:
    with pytest.raises(FileError):
        read_text_table(write(content, "sheet.xlsx"))


@pytest.mark.parametrize("text", ["1_000", "٣", "0x10", "1e999", "nan", "inf", "", "1,234", "1,5"])
def test_numbers_are_the_same_in_both_readers(write: Write, text: str) -> None:
    path = write(f"id\tx\na\t{text}\nb\t1.5\n")
    with pytest.raises(FileError, match="row 2, column 'x'"):
        read_number_table(path)
    with pytest.raises(FileError, match="row 2, column 'x'"):
        read_text_table(path).numbers("x", ())
    assert read_number_table(write("id\tx\na\t 1.5e0 \n")).values == np.float32(1.5)
