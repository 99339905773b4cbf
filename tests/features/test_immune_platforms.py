"""Exports of assay software, read as they are: the cases of published reports, and further ones of each kind."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.analytes import canonical_analyte, is_known_analyte
from features.errors import FileError, InputError
from features.gene_dates import gene_date_problem, genes_of_date, is_date
from features.immune import ImmuneSpec, ImmuneTable, SideColumn, is_immune_export, read_immune, read_immune_export
from features.measured_values import MeasuredValue, parse_value

OLINK: dict[str, Any] = {
    "layout": "long",
    "key": ["SampleID"],
    "unit": "NPX",
    "analyte_column": "Assay",
    "value_column": "NPX",
    "limit_columns": ("LOD", None),
}
MSD_RANGE = SideColumn(
    "Detection Range",
    ["Below Detection Range", "Below Fit Curve Range"],
    ["Above Detection Range", "Above Fit Curve Range"],
    ["In Detection Range"],
)
MSD: dict[str, Any] = {
    "layout": "long",
    "key": ["Sample"],
    "unit": "pg/mL",
    "analyte_column": "Assay",
    "value_column": "Calc. Concentration",
    "limit_columns": ("Detection Limits: Calc. Low", "Detection Limits: Calc. High"),
    "range_column": MSD_RANGE,
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def reading(table: ImmuneTable, draw: str, analyte: str) -> tuple[float, str, float]:
    rows = table.rows[(table.rows[table.key[0]] == draw) & (table.rows["analyte"] == analyte)]
    assert len(rows) == 1
    return float(rows["value"].iloc[0]), str(rows["censored"].iloc[0]), float(rows["limit"].iloc[0])


# Single values and names


@pytest.mark.parametrize(
    ("text", "expected", "text_form"),
    [
        ("*0.42", MeasuredValue(0.42, extrapolated=True), "*0.42"),
        ("* 5", MeasuredValue(5.0, extrapolated=True), "*5"),
        ("OOR <", MeasuredValue(math.nan, "below"), "below range"),
        ("OOR>", MeasuredValue(math.nan, "above"), "above range"),
        ("OOR<0.3", MeasuredValue(math.nan, "below", 0.3), "<0.3"),
        ("<0.32", MeasuredValue(math.nan, "below", 0.32), "<0.32"),
        ("≤3.2", MeasuredValue(math.nan, "below", 3.2), "<3.2"),
        ("&gt;10000", MeasuredValue(math.nan, "above", 10000.0), ">10000"),
        ("<LLOQ", MeasuredValue(math.nan, "below"), "below range"),
        ("> ULOQ", MeasuredValue(math.nan, "above"), "above range"),
        ("BLQ", MeasuredValue(math.nan, "below"), "below range"),
        ("Below Fit Curve Range", MeasuredValue(math.nan, "below"), "below range"),
        ("***", MeasuredValue(math.nan), ""),
        ("---", MeasuredValue(math.nan), ""),
        ("7.10", MeasuredValue(7.1), "7.1"),
    ],
)
def test_flags_of_assay_software(text: str, expected: MeasuredValue, text_form: str) -> None:
    value = parse_value(text, unit="pg/mL")
    assert np.array_equal([value.value, value.limit], [expected.value, expected.limit], equal_nan=True)
    assert (value.censored, value.extrapolated, value.text) == (expected.censored, expected.extrapolated, text_form)


@pytest.mark.parametrize("text", ["0.42*", "**3", "*", "ND", "<ULOQ", ">LOD", "* high"])
def test_a_flag_of_unknown_meaning_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a measurement"):
        parse_value(text, unit="pg/mL")


def test_a_code_may_mean_missing_and_a_known_limit_fills_in_a_word() -> None:
    assert parse_value("QNS", missing_codes=["QNS"]).is_missing
    assert parse_value("<LOD", unit="pg/mL", lloq=0.5).text == "<0.5"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Hu IL-6 (19)", "IL-6"),
        ("Human TNF-α", "TNF-a"),
        ("Hu IL-12 (p70) (77)", "IL-12p70"),
        ("Hu MCP-1(MCAF) (53)", "MCP-1"),
        ("IL-17A (BR 76)", "IL-17A"),
        ("IL-12 (p40)", "IL-12p40"),
        ("IL-12(p40)", "IL-12p40"),
        ("Mo IL-6 (19)", "Mo IL-6"),
    ],
)
def test_species_and_bead_regions_are_no_part_of_a_name(name: str, canonical: str) -> None:
    assert canonical_analyte(name) == canonical
    assert is_known_analyte(name) == (not name.startswith("Mo"))


# Dates that were genes


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("1-Mar", ("MARCHF1 (MARCH1)", "MTARC1 (MARC1)")),
        ("Mar-01", ("MARCHF1 (MARCH1)", "MTARC1 (MARC1)")),
        ("2-Sep", ("SEPTIN2 (SEPT2)",)),
        ("02.Sep", ("SEPTIN2 (SEPT2)",)),
        ("1. Mrz", ("MARCHF1 (MARCH1)", "MTARC1 (MARC1)")),
        ("1. März", ("MARCHF1 (MARCH1)", "MTARC1 (MARC1)")),
        ("9-Sep-2024", ("SEPTIN9 (SEPT9)",)),
        ("2024-09-09", ("SEPTIN9 (SEPT9)",)),
        ("2024-09-09 00:00:00", ("SEPTIN9 (SEPT9)",)),
        ("9/10/2021", ("SEPTIN10 (SEPT10)",)),
        ("44440", ("SEPTIN1 (SEPT1)",)),
        ("4-Oct", ("POU5F1 (OCT4)",)),
        ("1-Dec", ("DELEC1 (DEC1)", "BHLHE40 (DEC1)")),
        ("7-Jun", ()),
    ],
)
def test_genes_that_a_spreadsheet_made_dates(name: str, genes: tuple[str, ...]) -> None:
    assert is_date(name)
    assert genes_of_date(name) == genes
    assert name in gene_date_problem([name, "CD8A"])


@pytest.mark.parametrize(
    "name", ["MARCHF1", "SEPT2", "APRIL", "IL-6", "IL-1", "CCL2", "12345678", "HLA-DRA", "MAR", "D-1"]
)
def test_names_of_genes_are_no_dates(name: str) -> None:
    assert not is_date(name)


EXPRESSION: dict[str, Any] = {"layout": "wide", "key": ["patient_id"], "unit": "log2_expression"}


def test_dates_are_refused_until_they_are_named_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "genes.csv", "patient_id,CD8A,1-Mar,2-Sep\np1,7,5,6\np2,8,4,3\n")
    with pytest.raises(
        FileError, match=r"'1-Mar' may be MARCHF1 \(MARCH1\) or MTARC1 \(MARC1\); '2-Sep' may be SEPTIN2"
    ):
        read_immune(path, ImmuneSpec(**EXPRESSION))
    table = read_immune(path, ImmuneSpec(**EXPRESSION, rename={"2-Sep": "SEPTIN2"}, exclude={"1-Mar": "two genes"}))
    assert list(dict.fromkeys(table.rows["analyte"])) == ["CD8A", "SEPTIN2"]
    with pytest.raises(FileError, match="'3-Sep' is to be renamed but is not in the file"):
        read_immune(path, ImmuneSpec(**EXPRESSION, rename={"3-Sep": "SEPTIN3"}))


def test_case_16b_two_columns_of_one_date_are_said_to_be_genes(cases_dir: Path) -> None:
    path = cases_dir / "16b-excel-gene-dates-twice" / "immune_gene_expression_log2.csv"
    with pytest.raises(FileError, match=r"2 columns have this name.*MARCHF1 \(MARCH1\) or MTARC1 \(MARC1\)"):
        read_immune(path, ImmuneSpec(**{**EXPRESSION, "key": ["patient_id", "day_ici"]}))


# Bio-Plex


def test_case_13_flags_and_names_of_bio_plex(cases_dir: Path) -> None:
    path = cases_dir / "13-bioplex-flags" / "bioplex.csv"
    table = read_immune(path, ImmuneSpec("wide", ["patient_id", "day_ici"], "pg/mL"))
    assert list(dict.fromkeys(table.rows["analyte"])) == ["IL-6", "IL-8", "IL-10", "TNF-a", "IFN-g"]
    first = table.rows.iloc[:5]
    assert first["censored"].tolist() == ["", "below", "above", "", ""]
    assert first["extrapolated"].tolist() == [True, False, False, False, False]
    np.testing.assert_array_equal(first["value"], [0.42, np.nan, np.nan, np.nan, 19.03])


BIO_PLEX = (
    "File Name:,run 7.rbx,,,,\nAcquisition Date:,2024-05-02,,,,\n,,,,,\n"
    "Type,Well,Description,Hu IL-6 (19),Hu IL-8 (54),Hu IL-10 (56)\n"
    "X1,A1,p1,*0.42,OOR <,3.1\nX2,B1,p2,12.5,OOR >,---\n"
    "Conc in Range = Unknown sample concentrations within range,,,,,\n*Value = Extrapolated,,,,,\nOOR < = Below,,,,,\n"
)


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_notes_above_and_a_legend_below_a_table_are_left_out(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "bioplex.csv", BIO_PLEX.replace(",", delimiter))
    assert is_immune_export(path)
    table = read_immune(path, ImmuneSpec("wide", ["Description"], "pg/mL", drop=["Type", "Well"]))
    assert reading(table, "p1", "IL-6")[0] == 0.42
    assert reading(table, "p2", "IL-8")[1] == "above"
    assert table.rows["row"].tolist() == [5, 5, 5, 6, 6, 6]
    broken = write(tmp_path / "broken.csv", BIO_PLEX.replace("X2,B1", "X2,B1,extra").replace(",", delimiter))
    with pytest.raises(FileError, match="row 6: expected 6 cells"):
        read_immune(broken, ImmuneSpec("wide", ["Description"], "pg/mL", drop=["Type", "Well"]))


# xPONENT


def test_case_14_the_result_block_of_xponent(cases_dir: Path) -> None:
    path = cases_dir / "14-xponent" / "xponent.csv"
    table = read_immune(path, ImmuneSpec("wide", ["Sample"], "pg/mL", drop=["Location"]))
    assert table.rows[["Sample", "analyte"]].drop_duplicates().shape[0] == len(table.rows) == 24 * 4
    assert reading(table, "P001", "IL-6")[0] == 13.15
    value, side, limit = reading(table, "P002", "IL-6")
    assert math.isnan(value)
    assert (side, limit) == ("below", 1.2)


XPONENT = (
    '"Program","xPONENT"\n"Build","4.3"\n\n"Results"\n\n"DataType:","Median"\n"Location","Sample","IL-6","IL-8"\n'
    '"1(1,A1)","p1","759","417"\n\n"DataType:","Result"\n"Location","Sample","IL-6","IL-8","Total Events"\n'
    '"1(1,A1)","Standard1","1000","1000","50"\n"2(1,B1)","Background0","0","0","50"\n"3(1,C1)","p1","<1.2",">900","50"\n'
    '\n"DataType:","Units"\n"Analyte:","IL-6","IL-8"\n"BeadID:","19","54"\n"Units:","pg/ml","pg/ml"\n'
    '\n-- CRC --\n"CRC32: 12AB"\n'
)


def test_standards_are_left_out_and_the_unit_is_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "xponent.csv", XPONENT)
    export = read_immune_export(path)
    assert (export.software, export.unit, export.n_control_rows) == ("xPONENT", "pg/ml", 2)
    table = read_immune(path, ImmuneSpec("wide", ["Sample"], "pg/mL", drop=["Location"]))
    assert [reading(table, "p1", name)[1:] for name in ("IL-6", "IL-8")] == [("below", 1.2), ("above", 900.0)]
    assert table.notes == ("2 wells of standards, controls and blanks are left out",)
    with pytest.raises(FileError, match="the export states pg/ml, the manifest ng/mL"):
        read_immune(path, ImmuneSpec("wide", ["Sample"], "ng/mL", drop=["Location"]))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_exports_are_read_in_any_encoding_and_with_decimal_commas(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "xponent.csv"
    text = XPONENT.replace("<1.2", "<1,2").replace(">900", "900,5").replace('","', '";"')
    path.write_bytes(text.encode(encoding))
    table = read_immune(path, ImmuneSpec("wide", ["Sample"], "pg/mL", drop=["Location"]))
    assert reading(table, "p1", "IL-6")[1:] == ("below", 1.2)
    assert reading(table, "p1", "IL-8")[0] == 900.5


def test_a_workbook_with_notes_above_its_table_is_read(tmp_path: Path) -> None:
    from openpyxl import Workbook

    workbook = Workbook()
    for row in ["Plate,7", "Operator,A", "Sample,IL-6,IL-8,IL-10", "p1,<1.2,8,9.5"]:
        workbook.active.append(row.split(","))
    workbook.save(tmp_path / "results.xlsx")
    table = read_immune(tmp_path / "results.xlsx", ImmuneSpec("wide", ["Sample"], "pg/mL"))
    assert reading(table, "p1", "IL-6")[1:] == ("below", 1.2)
    assert reading(table, "p1", "IL-10")[0] == 9.5


def test_wells_of_bio_plex_without_a_sample_are_left_out_below_one_header_row_or_two(tmp_path: Path) -> None:
    wells = ["B,A1,,,,", "S1,B1,,1000,1000,1000", "C2,B2,,10,10,10", "X1,C1,p1,*0.42,OOR <,7.5"]
    notes = "File Name: plate1.rbx\nConc in pg/mL\n"
    single = write(
        tmp_path / "a.csv", notes + "Type,Well,Description,Hu IL-6 (19),Hu IL-8 (54),Hu IL-10 (56)\n" + "\n".join(wells)
    )
    double = write(
        tmp_path / "b.csv",
        f"{notes}Analyte,,,Hu IL-6 (19),,Hu IL-8 (54),,Hu IL-10 (56),\n"
        "Type,Well,Description,FI,Obs Conc,FI,Obs Conc,FI,Obs Conc\n"
        "S1,B1,,99,1000,99,1000,99,1000\nX1,C1,p1,99,*0.42,99,OOR <,99,7.5\n",
    )
    spec = ImmuneSpec("wide", ["Description"], "pg/mL", drop=["Type", "Well"])
    for path, n_wells in ((single, 3), (double, 1)):
        table = read_immune(path, spec)
        assert len(table.rows) == 3
        assert reading(table, "p1", "IL-8")[1] == "below"
        assert reading(table, "p1", "IL-10")[0] == 7.5
        assert f"{n_wells} wells of standards, controls and blanks are left out" in table.notes
    with pytest.raises(FileError, match=r"the export states pg/mL, the manifest ng/mL"):
        read_immune(single, ImmuneSpec("wide", ["Description"], "ng/mL", drop=["Type", "Well"]))


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("FI,Obs Conc,Exp Conc", "99,7.5,8"),
        ("Obs Conc,%CV", "7.5,4"),
        ("Conc in Range,Obs Conc", "6.5,7.5"),
        ("FI,Conc", "99,7.5"),
        ("FI,Obs Conc", "99,7.5"),
    ],
)
def test_of_the_columns_below_an_analyte_of_bio_plex_the_observed_concentration_counts(
    tmp_path: Path, columns: str, cells: str
) -> None:
    def export(columns: str, cells: str) -> Path:
        blanks = "," * columns.count(",")
        analytes = ",".join(f"{name}{blanks}" for name in ("Hu IL-6 (19)", "Hu IL-8 (54)", "Hu IL-10 (56)"))
        rows = f"Type,Well,Description,{','.join([columns] * 3)}\nX1,C1,p1,{','.join([cells] * 3)}\n"
        return write(tmp_path / "a.csv", f"File Name: plate1.rbx\nAnalyte,,,{analytes}\n{rows}")

    spec = ImmuneSpec("wide", ["Description"], "pg/mL", drop=["Type", "Well"])
    table = read_immune(export(columns, cells), spec)
    assert [reading(table, "p1", name)[0] for name in ("IL-6", "IL-8", "IL-10")] == [7.5] * 3
    with pytest.raises(FileError, match="no observed concentrations; export Obs Conc"):
        read_immune(export("FI,%CV", "99,4"), spec)
    with pytest.raises(FileError, match="cells, as in the header, got"):
        read_immune(export(columns, f"{cells},9"), spec)


@pytest.mark.parametrize("columns", ["patient,Type", "patient,Type,Well"])
def test_types_that_are_no_wells_of_bio_plex_leave_no_row_out(tmp_path: Path, columns: str) -> None:
    well = ",A1" if "Well" in columns else ""
    rows = "".join(f"p{i},{material}{well},3,4,5\n" for i, material in enumerate("SSPPC"))
    path = write(tmp_path / "a.csv", f"Cytokines of serum and plasma\n{columns},IL-6,IL-8,IL-10\n{rows}")
    table = read_immune(path, ImmuneSpec("wide", ["patient"], "pg/mL", drop=columns.split(",")[1:]))
    assert table.rows["patient"].nunique() == 5


def test_a_large_plain_table_is_no_export(tmp_path: Path) -> None:
    rows = "".join(f"p{i},1,IL-8,CXCL8 and IL-6\n" for i in range(9000))
    path = write(tmp_path / "plain.csv", "patient,value,analyte,synonyms\n" + rows)
    assert not is_immune_export(path)


def test_an_export_without_results_says_what_to_export(tmp_path: Path) -> None:
    path = write(tmp_path / "xponent.csv", XPONENT.replace('"Result"', '"Net MFI"'))
    with pytest.raises(FileError, match="has the blocks median, net mfi, units and none named Result"):
        read_immune(path, ImmuneSpec("wide", ["Sample"], "pg/mL"))
    controls = write(tmp_path / "controls.csv", XPONENT.replace('"3(1,C1)","p1"', '"3(1,C1)","Control 1"'))
    with pytest.raises(FileError, match="all 3 wells were taken for standards"):
        read_immune(controls, ImmuneSpec("wide", ["Sample"], "pg/mL"))
    mixed = write(tmp_path / "mixed.csv", XPONENT.replace('"pg/ml","pg/ml"', '"pg/ml","ng/ml"'))
    with pytest.raises(FileError, match="states ng/ml and pg/ml; one table has one unit"):
        read_immune(mixed, ImmuneSpec("wide", ["Sample"], "pg/mL"))


def test_two_spellings_of_a_unit_are_one_unit(tmp_path: Path) -> None:
    table = "patient,IL-6,IL-8,IL-10\np1,1,2,3\n"
    path = write(tmp_path / "a.csv", f"Concentrations in pg/ml\nRange: 1 to 900 pg/mL\n{table}")
    assert read_immune_export(path).unit == "pg/mL"
    path = write(tmp_path / "b.csv", XPONENT.replace('"pg/ml","pg/ml"', '"pg/ml","pg/mL"'))
    assert read_immune_export(path).unit == "pg/mL"
    path = write(tmp_path / "c.csv", f"Concentrations in pg/ml\nRange: 1 to 9 ng/mL\n{table}")
    assert read_immune_export(path).unit == ""


# MSD


def test_case_15_the_range_column_of_msd_states_the_side(cases_dir: Path) -> None:
    table = read_immune(cases_dir / "15-msd-detection-range" / "msd.csv", ImmuneSpec(**MSD))
    assert table.rows["censored"].value_counts().to_dict() == {"": 90, "below": 30}
    value, side, limit = reading(table, "P001", "IL-6")
    assert math.isnan(value)
    assert (side, limit) == ("below", 0.06)
    assert table.wide("half_limit").loc["P001", "IL-6"] == pytest.approx(0.03)
    assert reading(table, "P001", "IL-8")[0] == 3.3089


MSD_ROW = "Sample,Assay,Calc. Concentration,Detection Range,Detection Limits: Calc. Low,Detection Limits: Calc. High\n"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("NaN,Above Fit Curve Range,0.06,488", (math.nan, "above", 488.0)),
        ("0.01,Below Detection Range,0.06,488", (0.01, "below", 0.06)),
        ("500,In Detection Range,0.06,488", (500.0, "above", 488.0)),
        ("NaN,In Detection Range,0.06,488", (math.nan, "", math.nan)),
        ("NaN,,NaN,NaN", (math.nan, "", math.nan)),
    ],
)
def test_a_side_that_a_column_states(tmp_path: Path, cells: str, expected: tuple[float, str, float]) -> None:
    path = write(tmp_path / "msd.csv", MSD_ROW + f"p1,IL-6,{cells}\n")
    value, side, limit = reading(read_immune(path, ImmuneSpec(**MSD)), "p1", "IL-6")
    assert side == expected[1]
    np.testing.assert_array_equal([value, limit], [expected[0], expected[2]])


def test_an_unknown_side_and_a_limit_that_is_no_number_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "msd.csv", MSD_ROW + "p1,IL-6,NaN,Below Curve,0.06,488\n")
    with pytest.raises(FileError, match=r"row 2.*'Detection Range' states 'Below Curve'; expected one of"):
        read_immune(path, ImmuneSpec(**MSD))
    path = write(tmp_path / "msd.csv", MSD_ROW + "p1,IL-6,1,In Detection Range,low,488\n")
    with pytest.raises(FileError, match="its limit is 'low'; expected a number, or nothing"):
        read_immune(path, ImmuneSpec(**MSD))


# Olink


def test_case_12_controls_panels_and_limits_of_olink(cases_dir: Path) -> None:
    path = cases_dir / "12-olink-npx-long" / "npx.csv"
    spec = ImmuneSpec(
        **OLINK,
        keep_rows={"Sample_Type": ["SAMPLE"]},
        panel_column="Panel",
        warning_columns=["QC_Warning", "Assay_Warning"],
    )
    table = read_immune(path, spec)
    assert len(table.rows) == 192
    assert reading(table, "P001", "IL-6 (Inflammation)") == (0.4863, "below", 0.8)
    assert reading(table, "P001", "IL-6 (Oncology)")[:2] == (2.7286, "")
    assert reading(table, "P001", "IFN-g")[0] == 3.7375
    assert table.rows["warning"].value_counts()["QC_Warning WARN"] == 8
    assert table.notes == ("16 of 208 rows of immune measurements are left out by keep_rows",)
    with pytest.raises(
        FileError, match=r"IL6 is on the panels 'Inflammation' and 'Oncology'.*state immune.panel: Panel"
    ):
        read_immune(path, ImmuneSpec(**OLINK, keep_rows={"Sample_Type": ["SAMPLE"]}, duplicates="mean"))


@pytest.mark.parametrize("case", ["12b-olink-one-panel", "12c-olink-size"])
def test_cases_12b_and_12c_negative_npx_are_numbers(cases_dir: Path, case: str) -> None:
    path = cases_dir / case / "npx.csv"
    rows = pd.read_csv(path, sep=";")
    table = read_immune(path, ImmuneSpec(**{**OLINK, "limit_columns": (None, None)}))
    assert (table.rows["censored"] == "").all()
    np.testing.assert_array_equal(np.sort(table.rows["value"]), np.sort(rows["NPX"]))
    assert (table.rows["value"] < 0).any()


OLINK_WIDE = (
    "Project,NPX Manager 2.1,,,\nNPX data,,,,\n"
    "Panel,Inflammation,Inflammation,Plate ID,QC Warning\nAssay,IL6,CXCL8,Plate ID,QC Warning\n"
    "Uniprot ID,P05231,P10145,,\nOlinkID,OID00471,OID00472,,\n,,,,\n"
    "p1,-1.25,7.5,plate1,Pass\np2,0.5,8.5,plate1,Warning\n,,,,\n"
    "LOD,0.1,1.2,,\nMissing Data freq.,0.5,0.0,,\nNormalization,Plate control,Plate control,,\n"
)


def test_olink_with_assays_in_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.csv", OLINK_WIDE)
    spec = ImmuneSpec(**OLINK, plate_column="PlateID", warning_columns=["QC_Warning"])
    table = read_immune(path, spec)
    assert reading(table, "p1", "IL-6") == (-1.25, "below", 0.1)
    assert reading(table, "p2", "IL-8")[:2] == (8.5, "")
    assert table.rows["warning"].tolist() == ["", "", "QC_Warning Warning", "QC_Warning Warning"]
    assert set(table.rows["plate"]) == {"plate1"}


def test_parquet_of_olink_reads_as_the_same_table_in_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"SampleID": ["p1", "p2"], "Assay": ["IL6", "IL6"], "Panel": ["Explore", "Explore"], "NPX": [-0.25, np.nan]}
    )
    frame["LOD"] = [-1.0, -1.0]
    frame.to_parquet(tmp_path / "npx.parquet")
    table = read_immune(tmp_path / "npx.parquet", ImmuneSpec(**OLINK))
    frame.to_csv(tmp_path / "npx.csv", index=False)
    pd.testing.assert_frame_equal(table.rows, read_immune(tmp_path / "npx.csv", ImmuneSpec(**OLINK)).rows)
    assert reading(table, "p1", "IL-6")[:2] == (-0.25, "")
    with pytest.raises(FileError, match="expected a Parquet file"):
        read_immune(write(tmp_path / "no.parquet", "PAR1 and no more"), ImmuneSpec(**OLINK))


PLATES = (
    "SampleID,Assay,PlateID,LOD,NPX\n"
    "p1,IL6,A,0,1.0\nb1,IL6,A,0,2.0\nb2,IL6,A,0,4.0\nb3,IL6,A,0,5.0\n"
    "b1,IL6,B,0.5,3.0\nb2,IL6,B,0.5,5.0\nb3,IL6,B,0.5,9.0\np2,IL6,B,0.5,7.0\np3,IL6,B,0.5,0.25\n"
)


def test_bridging_samples_shift_a_plate_by_the_median_difference(tmp_path: Path) -> None:
    path = write(tmp_path / "npx.csv", PLATES)
    table = read_immune(path, ImmuneSpec(**OLINK, plate_column="PlateID", reference_plate="A"))
    assert reading(table, "p2", "IL-6")[0] == pytest.approx(6.0)
    assert reading(table, "p3", "IL-6") == pytest.approx((-0.75, "below", -0.5))
    assert [reading(table, name, "IL-6")[0] for name in ("b1", "b2", "b3")] == [2.0, 4.0, 5.0]
    assert table.notes == ("plate B is shifted to the level of plate A by 3 bridging samples, by up to 1",)


def test_plates_without_bridging_samples_are_not_shifted(tmp_path: Path) -> None:
    path = write(tmp_path / "npx.csv", "SampleID,Assay,PlateID,LOD,NPX\np1,IL6,A,0,1\np2,IL6,B,0,1\n")
    with pytest.raises(FileError, match="IL-6 of plate 'B' was measured in no sample that is on plate 'A' too"):
        read_immune(path, ImmuneSpec(**OLINK, plate_column="PlateID", reference_plate="A"))
    with pytest.raises(FileError, match="there is no plate 'C'; the plates are A, B"):
        read_immune(path, ImmuneSpec(**OLINK, plate_column="PlateID", reference_plate="C"))


def test_columns_of_single_values_belong_to_the_long_layout() -> None:
    with pytest.raises(InputError, match="column 'LOD' describes single values"):
        ImmuneSpec("wide", ["p"], "NPX", limit_columns=("LOD", None))
    with pytest.raises(InputError, match="plates of concentrations"):
        ImmuneSpec("long", ["p"], "pg/mL", plate_column="plate", reference_plate="A")
