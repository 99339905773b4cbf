import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.analytes import SYNONYMS, canonical_analyte
from features.errors import FileError, InputError, UnitError
from features.immune import ImmuneSpec, ImmuneTable, read_immune
from features.measured_values import MeasuredValue, parse_value, resolve_censored
from features.units import convert, measurement_kind, parse_unit, split_name_and_unit

WIDE: dict[str, Any] = {"layout": "wide", "key": ["patient", "day"], "unit": "pg/mL"}
LONG: dict[str, Any] = {"layout": "long", "key": ["patient"], "unit": "pg/mL"}
MOMSPI: dict[str, Any] = {
    "layout": "wide",
    "key": ["subject_id", "visit_number"],
    "unit": "unstated",
    "below_codes": [-2],
    "above_codes": [-1],
    "drop": ["sample_id"],
    "exclude": {"FGF basic": "zero throughout", "IL-17": "zero throughout"},
}

Read = Callable[..., ImmuneTable]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(text: str, name: str = "immune.csv", **arguments: Any) -> ImmuneTable:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_immune(path, ImmuneSpec(**arguments))

    return write_and_read


def same(a: MeasuredValue, b: MeasuredValue) -> bool:
    return a.censored == b.censored and np.array_equal([a.value, a.limit], [b.value, b.limit], equal_nan=True)


@pytest.mark.parametrize(
    ("canonical", "names"),
    [
        ("IL-10", ["IL10", "IL-10", "il 10", "Interleukin 10", "interleukin-10", " IL_10 ", "IL10 protein"]),
        ("TGF-b1", ["TGF-b1", "TGFB1", "TGFB1 protein", "TGF-β1", "TGFbeta1", "TGF-beta 1"]),
        ("IFN-g", ["IFN-\N{GREEK SMALL LETTER GAMMA}", "IFN-g", "IFNg", "IFNG", "Interferon gamma"]),
        ("TNF-a", ["TNF-\N{GREEK SMALL LETTER ALPHA}", "TNF", "TNFa", "TNF alpha", "TNF-alpha (cachectin)"]),
        ("IL-12p70", ["IL-12(p70)", "IL-12 p70", "IL12p70"]),
        ("IL-12p40", ["IL-12/IL-23p40", "IL12B", "IL-12(p40)"]),
        ("MCP-1", ["MCP-1(MCAF)", "CCL2", "MCP1"]),
        ("IL-8", ["IL-8/CXCL8", "CXCL8", "IL8", "IL-8 (CXCL8)"]),
        ("IP-10", ["IP-10/CXCL10", "CXCL10", "IP10"]),
        ("IL-1ra", ["IL-1RA", "IL1RN", "IL-1ra"]),
        ("IL-1b", ["IL-1β", "IL1B", "IL-1 beta"]),
        ("CRP", ["C-reactive protein", "CRP"]),
    ],
)
def test_names_of_one_protein_agree(canonical: str, names: list[str]) -> None:
    assert {canonical_analyte(name) for name in names} == {canonical}


def test_names_of_different_proteins_stay_apart() -> None:
    apart = ["IL-17", "IL-17A", "IL-17F", "IL-17A/F", "FGF", "FGF basic", "IL-12", "IL-12p70", "IL-12p40", "TGF-b",
             "TGF-b1", "TGF-a", "IL-1a", "IL-1b", "IL-1ra", "VEGF", "VEGF-A", "IL-2", "IL-2Ra"]  # fmt: skip
    assert len({canonical_analyte(name) for name in apart}) == len(apart)


def test_unknown_name_is_stripped_only() -> None:
    assert canonical_analyte("  Weird Protein (x) ") == "Weird Protein (x)"
    assert canonical_analyte("IL-6/IL-8") == "IL-6/IL-8"


def test_no_synonym_belongs_to_two_analytes() -> None:
    for analyte, further in SYNONYMS.items():
        assert {canonical_analyte(name) for name in (analyte, *further)} == {analyte}


@given(st.one_of(st.text(), st.sampled_from([n for further in SYNONYMS.values() for n in further])))
def test_canonical_names_are_fixed_points(name: str) -> None:
    assert canonical_analyte(canonical_analyte(name)) == canonical_analyte(name)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("3.1", MeasuredValue(3.1)),
        (3.1, MeasuredValue(3.1)),
        (" 1e3 ", MeasuredValue(1000.0)),
        (0, MeasuredValue(0.0)),
        ("<3.2", MeasuredValue(math.nan, "below", 3.2)),
        ("< 3.2", MeasuredValue(math.nan, "below", 3.2)),
        (">1000", MeasuredValue(math.nan, "above", 1000.0)),
        ("OOR<", MeasuredValue(math.nan, "below")),
        ("oor >", MeasuredValue(math.nan, "above")),
        ("-2", MeasuredValue(math.nan, "below")),
        (-2, MeasuredValue(math.nan, "below")),
        ("\N{MINUS SIGN}2.0", MeasuredValue(math.nan, "below")),
        ("nd", MeasuredValue(math.nan, "below")),
        ("-1.0", MeasuredValue(math.nan, "above")),
        ("", MeasuredValue(math.nan)),
        ("NA", MeasuredValue(math.nan)),
        (None, MeasuredValue(math.nan)),
        (math.nan, MeasuredValue(math.nan)),
    ],
)
def test_parse_value(text: str | float | None, reading: MeasuredValue) -> None:
    assert same(parse_value(text, unit="pg/mL", below_codes=[-2, "ND"], above_codes=["-1"]), reading)


@pytest.mark.parametrize(
    "text",
    [
        "-3",
        "abc",
        "3,2",
        "<",
        ">=",
        "<0",
        "<-1",
        "<1e999",
        "inf",
        "1e999",
        "1_000",
        "3.1*",
        True,
        "1 2",
        "\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_parse_value_refuses(text: str | bool) -> None:
    with pytest.raises(InputError, match=r"expected|give|negative") as caught:
        parse_value(text, unit="pg/mL", below_codes=[-2])
    assert not isinstance(caught.value, FileError)


def test_decimal_comma_is_explained() -> None:
    with pytest.raises(InputError, match="decimal mark as a point"):
        parse_value("<3,2")


def test_log2_scale_may_be_negative() -> None:
    assert same(parse_value("-0.4", unit="NPX"), MeasuredValue(-0.4))


def test_stated_limits_apply_to_numbers_and_codes() -> None:
    limits: dict[str, Any] = {"lloq": 3.0, "uloq": 100.0}
    assert parse_value("1.5", **limits) == MeasuredValue(1.5, "below", 3.0)
    assert parse_value("250", **limits) == MeasuredValue(250.0, "above", 100.0)
    assert same(parse_value("3", **limits), MeasuredValue(3.0))
    assert same(parse_value("OOR<", **limits), MeasuredValue(math.nan, "below", 3.0))
    assert same(parse_value("<1", **limits), MeasuredValue(math.nan, "below", 1.0))


@given(st.floats(0, 1e12, allow_subnormal=False))
def test_written_number_is_read_back(number: float) -> None:
    assert parse_value(repr(number)).value == number


def test_convert() -> None:
    np.testing.assert_allclose(convert([1.5, math.nan, math.inf], "ng/mL", "pg/mL"), [1500, math.nan, math.inf])
    np.testing.assert_allclose(convert(250.0, "pg/mL", "ng/mL"), 0.25)
    np.testing.assert_allclose(convert(0.5, "mg/dL", "mg/L"), 5)
    np.testing.assert_allclose(convert(5, "mg/L", "ng/mL"), 5000)
    np.testing.assert_array_equal(convert([-0.3], "NPX", "NPX"), [-0.3])


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("NPX", "pg/mL", "relative log2 scale"),
        ("pg/mL", "log2_expression", "not an amount of protein"),
        ("unstated", "pg/mL", "no unit"),
        ("unstated", "unstated", "no unit"),
        ("pg/ml", "ng/mL", "unknown unit"),
    ],
)
def test_convert_refuses_with_the_reason(source: Any, target: Any, reason: str) -> None:
    with pytest.raises(UnitError, match=reason):
        convert([1.0], source, target)


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("IL-6 (pg/mL)", "IL-6", "pg/mL"),
        ("IL-6_pg_ml", "IL-6", "pg/mL"),
        ("IL-12(p70) [ng/L]", "IL-12(p70)", "pg/mL"),
        ("CRP, µg/l", "CRP", "ng/mL"),
        ("TNF-a pg per mL", "TNF-a", "pg/mL"),
        ("CD40L NPX", "CD40L", "NPX"),
        ("CRP (mg/L)", "CRP", "mg/L"),
        ("CRP, µg/mL", "CRP", "mg/L"),
        ("CRP mg/dL", "CRP", "mg/dL"),
        ("sIL-2R (U/mL)", "sIL-2R", None),
    ],
)
def test_name_and_unit_of_a_header(header: str, name: str, unit: str | None) -> None:
    analyte, unit_text = split_name_and_unit(header)
    assert unit_text
    assert (analyte, parse_unit(unit_text)) == (name, unit)


@pytest.mark.parametrize("name", ["IL-12(p70)", "MCP-1(MCAF)", "IL-17A/F", "Granzyme B", "PDGF-bb"])
def test_a_name_without_a_unit_is_not_split(name: str) -> None:
    assert split_name_and_unit(name) == (name, "")


def test_measurement_kind() -> None:
    assert [measurement_kind(unit) for unit in ("pg/mL", "NPX", "unstated")] == ["protein"] * 3
    assert measurement_kind("log2_expression") == "expression"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("limit", [5, 3, 100, -math.inf, math.inf, math.nan]),
        ("half_limit", [5, 1.5, 100, -math.inf, math.inf, math.nan]),
        ("missing", [5, math.nan, math.nan, math.nan, math.nan, math.nan]),
    ],
)
def test_resolve_censored(policy: Any, expected: list[float]) -> None:
    nan = math.nan
    resolved = resolve_censored(
        [5, 1, nan, nan, nan, nan],
        ["", "below", "above", "below", "above", ""],
        [nan, 3, 100, nan, nan, nan],
        policy=policy,
        unit="pg/mL",
    )
    np.testing.assert_array_equal(resolved, expected)


@given(st.floats(0.01, 1e6))
def test_half_of_a_limit_is_equal_on_both_scales(limit: float) -> None:
    linear = resolve_censored(math.nan, "below", limit, policy="half_limit", unit="pg/mL")
    log2 = resolve_censored(math.nan, "below", np.log2(limit), policy="half_limit", unit="NPX")
    np.testing.assert_allclose(2.0**log2, linear)


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match="half_limit"):
        resolve_censored([1.0], [""], [math.nan], policy="zero", unit="pg/mL")  # type: ignore[arg-type]


def test_single_values_need_no_pandas() -> None:
    modules = "sys, features.analytes, features.measured_values"
    code = f"import {modules}; sys.exit('pandas' in sys.modules or 'sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_read_wide(read: Read) -> None:
    table = read("patient,IL10,day,TNF\np1,3.5,0,<2\np1,OOR>,14,NA\np2,-2,0,7\n", **WIDE, below_codes=[-2])
    assert table.kind == "protein"
    assert table.synonyms() == {"IL10": "IL-10", "TNF": "TNF-a"}
    expected = pd.DataFrame(
        {"IL-10": [3.5, np.inf, -np.inf], "TNF-a": [1.0, np.nan, 7.0]},
        index=pd.MultiIndex.from_tuples([("p1", "0"), ("p1", "14"), ("p2", "0")], names=["patient", "day"]),
    )
    pd.testing.assert_frame_equal(table.wide("half_limit"), expected, check_index_type=False, check_column_type=False)
    assert table.rows["row"].tolist() == [2, 2, 3, 3, 4, 4]


def test_read_long_agrees_with_wide(read: Read) -> None:
    wide = read("patient,IL-10,TNF\np2,3.5,<2\np1,1,7\n", **{**LONG, "layout": "wide"})
    long = read(
        "patient\tanalyte\tvalue\np2\tIL-10\t3.5\np1\tTNF\t7\np2\tTNF\t<2\np1\tIL-10\t1\n", "immune.tsv", **LONG
    )
    pd.testing.assert_frame_equal(long.wide("limit"), wide.wide("limit"))


def test_long_rows_in_another_unit_are_converted(read: Read) -> None:
    text = "patient,analyte,value,unit\np1,IL-10,3.5,pg/mL\np1,CRP,2,ng/ml\np2,CRP,<1,ng/mL\np2,IL-10,4,pg/mL\n"
    table = read(text, **LONG, unit_column="unit", limits={"CRP": (2500, None)})
    assert list(table.wide("limit").loc["p1"]) == [3.5, 2500.0]
    assert list(table.wide("half_limit").loc["p2"]) == [4.0, 500.0]


def test_unit_without_meaning_names_the_row(read: Read) -> None:
    with pytest.raises(FileError, match="relative log2 scale") as caught:
        read("patient,analyte,value,unit\np1,IL-10,3,pg/mL\np1,CRP,2,NPX\n", **LONG, unit_column="unit")
    assert caught.value.row == 3


def test_limits_by_published_name(read: Read) -> None:
    table = read(
        "patient,IL10\np1,1\np2,-2\np3,900\n", **{**LONG, "layout": "wide"}, below_codes=[-2], limits={"IL10": (4, 500)}
    )
    assert table.wide("half_limit")["IL-10"].tolist() == [2, 2, 500]


@pytest.mark.parametrize(
    ("text", "arguments", "column", "row", "match"),
    [
        ("patient,day,IL-10\np1,0,3\np1,1,-3\n", {}, "IL-10", 3, "'-3' is negative"),
        ("patient,day,IL-10\np1,0,3\n\np1,1,high\n", {}, "IL-10", 4, "'high' is not a measurement"),
        ("patient,day,IL-10\np1,,3\n", {}, "day", 2, "whole key"),
        ('patient,day,IL-10\np1,0,"1,500"\n', {}, "IL-10", 2, "may part thousands or decimals"),
        ("patient,visit,IL-10\np1,0,3\n", {}, "day", 1, "is not there"),
        ("patient,day,IL-10,IL10\np1,0,3,4\n", {}, "IL10", None, "'IL-10' and 'IL10' are both IL-10"),
        ("patient,day,IL-10,IL-10\np1,0,3,4\n", {}, "IL-10", 1, "2 columns have this name"),
        ("patient,day,IL-10\np1,0\n", {}, None, 2, "expected 3 cells, as in the header, got 2"),
        ("patient,day,IL-10\np1,0,3\np1,0,4\n", {}, "IL-10", 3, "on row 2"),
        ("patient,day,IL-10\np1,0,3\n", {"drop": ["POS_*"]}, None, None, "matches nothing"),
        ("patient,day,IL-10\np1,0,3\n", {"exclude": {"IL-17": "zero"}}, None, None, "not in the file"),
        ("patient,day,IL-10\n", {}, None, None, "expected a header and rows, got a header alone"),
        ("patient,day,IL-10,\np1,0,3,4\n", {}, None, 1, "Name the column that has no name"),
        ("", {}, None, None, "expected a header and rows, got no line with text"),
    ],
)
def test_file_errors_name_the_place(
    read: Read, text: str, arguments: dict[str, Any], column: str | None, row: int | None, match: str
) -> None:
    with pytest.raises(FileError, match=match) as caught:
        read(text, **WIDE, **arguments)
    assert (caught.value.column, caught.value.row) == (column, row)
    assert caught.value.file.endswith("immune.csv")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"below_codes": [-2], "above_codes": ["-2.0"]}, "only one"),
        ({"key": []}, "at least one key"),
        ({"key": ["patient", "value"]}, "rename it"),
        ({"limits": {"IL-11": (1, 2)}}, "not among the analytes"),
        ({"limits": {"IL-10": (2, 1)}}, "lower one first"),
    ],
)
def test_contradicting_arguments(read: Read, arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read("patient,day,IL-10\np1,0,3\n", **(WIDE | arguments))


def test_absent_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_immune(tmp_path / "none.csv", ImmuneSpec(**WIDE))
    (tmp_path / "binary.csv").write_bytes(b"patient,day,IL-1\x00\n")
    with pytest.raises(FileError, match="got a NUL byte"):
        read_immune(tmp_path / "binary.csv", ImmuneSpec(**WIDE))


def test_excluded_column_resolves_a_collision_and_stays_visible(read: Read) -> None:
    table = read("patient,day,IL-10,IL10\np1,0,3,4\n", **WIDE, exclude={"IL10": "second plate"})
    assert table.wide("limit")["IL-10"].tolist() == [3]
    assert table.excluded == {"IL10": "second plate"}


@pytest.mark.parametrize(("duplicates", "expected"), [("mean", [3.5, 1.0]), ("last", [4.0, 1.0])])
def test_duplicates(read: Read, duplicates: str, expected: list[float]) -> None:
    text = "patient,day,IL-10\np1,0,3\np2,0,1\np1,0,NA\np1,0,4\n"
    assert read(text, **WIDE, duplicates=duplicates).wide("limit")["IL-10"].tolist() == expected


def test_mean_of_number_and_censored_is_refused(read: Read) -> None:
    with pytest.raises(FileError, match="no mean") as caught:
        read("patient,day,IL-10\np1,0,3\np1,0,<2\n", **WIDE, duplicates="mean")
    assert caught.value.row == 3


def test_mean_of_replicates_censored_alike_is_censored(read: Read) -> None:
    table = read("patient,day,IL-10\np1,0,<2\np1,0,<2\np2,0,OOR<\np2,0,OOR<\n", **WIDE, duplicates="mean")
    assert table.wide("limit")["IL-10"].tolist() == [2, -np.inf]


def test_genes_keep_their_published_names(read: Read) -> None:
    table = read(
        "patient,IL6,IL-6,POS_A\np1,3,-1.5,9\n",
        layout="wide",
        key=["patient"],
        unit="log2_expression",
        drop=["POS_*"],
    )
    assert table.kind == "expression"
    assert table.synonyms() == {"IL6": "IL6", "IL-6": "IL-6"}


def test_momspi(cohorts_dir: Path) -> None:
    path = cohorts_dir / "momspi" / "blood_cytokines.csv"
    table = read_immune(path, ImmuneSpec(**MOMSPI))
    wide = table.wide("half_limit")
    raw = pd.read_csv(path)
    assert wide.shape == (106, 27)
    assert np.isposinf(wide["RANTES"]).sum() == 63
    assert np.isneginf(wide["IL-2"]).sum() == 99
    assert not wide.isna().any(axis=None)
    for published, analyte in table.synonyms().items():
        expected = raw[published].replace({-2: -np.inf, -1: np.inf})
        np.testing.assert_allclose(wide[analyte], expected)


def test_momspi_needs_its_codes_explained(cohorts_dir: Path) -> None:
    with pytest.raises(FileError, match=r"'-1\.0' is negative") as caught:
        read_immune(cohorts_dir / "momspi" / "blood_cytokines.csv", ImmuneSpec(**{**MOMSPI, "above_codes": []}))
    assert (caught.value.column, caught.value.row) == ("RANTES", 2)


def test_mitox_panel(cohorts_dir: Path) -> None:
    path = cohorts_dir / "mitox" / "immune_gene_expression_log2.csv"
    controls = ["POS_*", "NEG_*", "GUSB", "HPRT1", "PGK1", "UBC", "YWHAZ"]
    table = read_immune(path, ImmuneSpec("wide", ["patient_id"], "log2_expression", drop=controls))
    raw = pd.read_csv(path, index_col="patient_id")
    wide = table.wide("missing")
    assert table.kind == "expression"
    assert wide.shape == (32, 93 - 14 - 5)
    np.testing.assert_array_equal(wide, raw.loc[wide.index, wide.columns])


def test_the_unit_in_a_columns_name_is_read_and_is_no_part_of_the_analyte(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("patient,IL-6 (pg/mL),TNF-a [ng/L],CRP_ng/mL,Ferritin (ug/L),IL-8\np1,<3.2,4,1.5,2,7\n")
    rows = read_immune(path, ImmuneSpec(layout="wide", key=["patient"], unit="pg/mL", limits={"IL-8": (8, None)})).rows
    assert dict(zip(rows["analyte"], rows["value"].fillna(-1), strict=True)) == {
        "IL-6": -1, "TNF-a": 4, "CRP": 1500, "Ferritin": 2000, "IL-8": 7
    }  # fmt: skip
    assert dict(zip(rows["analyte"], rows["limit"].fillna(-1), strict=True))["IL-6"] == 3.2
    with pytest.raises(FileError, match="NPX") as caught:
        read_immune(path, ImmuneSpec(layout="wide", key=["patient"], unit="NPX"))
    assert caught.value.column == "IL-6 (pg/mL)"


def test_a_unit_in_a_columns_name_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("patient,IL-6 (pg/mL),CRP (U/mL)\np1,3,4\n")
    with pytest.raises(FileError, match="U/mL") as caught:
        read_immune(path, ImmuneSpec(layout="wide", key=["patient"], unit="pg/mL"))
    assert (caught.value.column, caught.value.row) == ("CRP (U/mL)", 2)


@pytest.mark.parametrize("mark", [".", "#N/A", "null", "NaN", "NA", "---", ""])
def test_marks_of_missing_values_are_missing(mark: str) -> None:
    assert parse_value(mark).is_missing


@pytest.mark.parametrize("mark", ["ND", "n.d.", "-", "<0", "12.5%", "1,5"])
def test_marks_that_may_mean_a_side_or_nothing_are_asked(mark: str) -> None:
    with pytest.raises(InputError):
        parse_value(mark)
