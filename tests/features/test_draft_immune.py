"""Drafts of immune tables as assay software exports them, and what they read once they are confirmed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.analytes import canonical_analyte
from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest
from features.errors import FileError
from features.immune import ImmuneSpec, read_immune

SAMPLES = "sample_id,patient_id,day_ici\n" + "".join(f"s{i},p{i},-1\n" for i in range(12))
TAXA = (
    "species\t"
    + "\t".join(f"s{i}" for i in range(12))
    + "\n"
    + "".join(
        f"s__{name}\t" + "\t".join("5" for _ in range(12)) + "\n" for name in ("Blautia_wexlerae", "Roseburia_faecis")
    )
)


def drafted(folder: Path, files: Sequence[Path]) -> tuple[str, dict[str, Any]]:
    for file in files:
        if file.parent != folder:
            shutil.copy(file, folder / file.name)
    text = draft_manifest([folder / file.name for file in files], "mine")
    return text, yaml.safe_load(text)["immune"]


def drafted_and_read(folder: Path, case: Path, immune: str) -> tuple[str, dict[str, Any], Cohort]:
    files = [case / name for name in ("taxa.tsv", "samples.csv", "patients.csv", immune)]
    text, part = drafted(folder, files)
    (folder / "mine.yaml").write_text(text.replace("baseline: TODO", "baseline: before"), encoding="utf-8")
    return text, part, read_cohort(folder / "mine.yaml", folder)


def made_up(folder: Path, immune: str, name: str = "immune.csv") -> tuple[str, dict[str, Any]]:
    for file, content in (("taxa.tsv", TAXA), ("samples.csv", SAMPLES), (name, immune)):
        (folder / file).write_text(content, encoding="utf-8")
    return drafted(folder, [folder / file for file in ("taxa.tsv", "samples.csv", name)])


def test_case_12_a_draft_of_olink_keeps_samples_panels_limits_and_warnings(cases_dir: Path, tmp_path: Path) -> None:
    _, part, cohort = drafted_and_read(tmp_path, cases_dir / "12-olink-npx-long", "npx.csv")
    assert part["keep_rows"] == {"Sample_Type": ["SAMPLE"]}
    assert (part["unit"], part["panel"], part["lower_limit"]) == ("NPX", "Panel", "LOD")
    assert part["warnings"] == ["QC_Warning", "Assay_Warning"]
    assert cohort.immune is not None
    assert {"IL-6 (Inflammation)", "IL-6 (Oncology)", "IL-10"} <= set(cohort.immune.rows["analyte"])
    assert any("16 of 208 rows" in note for note in cohort.notes)


@pytest.mark.parametrize(("case", "n_values"), [("12b-olink-one-panel", 120), ("12c-olink-size", 2208)])
def test_cases_12b_and_12c_no_number_of_npx_is_a_code(
    cases_dir: Path, tmp_path: Path, case: str, n_values: int
) -> None:
    text, part, cohort = drafted_and_read(tmp_path, cases_dir / case, "npx.csv")
    assert not {"below", "above"} & set(part)
    assert text.count("TODO") < 20
    assert cohort.immune is not None
    assert len(cohort.immune.rows) == cohort.immune.rows["value"].notna().sum() == n_values


def test_case_14_a_draft_of_xponent_reads_its_results(cases_dir: Path, tmp_path: Path) -> None:
    _, part, cohort = drafted_and_read(tmp_path, cases_dir / "14-xponent", "xponent.csv")
    assert (part["layout"], part["patient"], part["drop"]) == ("wide", "Sample", ["Location"])
    assert cohort.immune is not None
    assert cohort.immune.rows["censored"].value_counts().to_dict() == {"": 75, "below": 21}


def test_case_15_a_draft_of_msd_names_the_column_of_sides(cases_dir: Path, tmp_path: Path) -> None:
    _, part, cohort = drafted_and_read(tmp_path, cases_dir / "15-msd-detection-range", "msd.csv")
    assert (part["value"], part["range"]) == ("Calc. Concentration", {"column": "Detection Range"})
    assert cohort.immune is not None
    assert cohort.immune.rows["censored"].value_counts().to_dict() == {"": 90, "below": 30}


def test_case_16_a_draft_renames_what_is_certain_and_leaves_out_the_rest(cases_dir: Path, tmp_path: Path) -> None:
    case = cases_dir / "16-excel-gene-dates"
    _, part, cohort = drafted_and_read(tmp_path, case, "immune_gene_expression_log2.csv")
    assert part["rename"] == {"2-Sep": "SEPTIN2", "9-Sep": "SEPTIN9"}
    assert "MARCHF1 (MARCH1) or MTARC1 (MARC1)" in part["exclude_analytes"]["1-Mar"]
    assert cohort.immune is not None
    assert not set(cohort.immune.rows["analyte"]) & {"1-Mar", "2-Sep", "9-Sep", "1-Dec"}
    case = cases_dir / "16b-excel-gene-dates-twice"
    with pytest.raises(FileError, match="a spreadsheet turned gene symbols into dates"):
        drafted_and_read(tmp_path, case, "immune_gene_expression_log2.csv")


def wide(values: Sequence[float]) -> str:
    return "patient_id,day_ici,IL-6,IL-8,IL-10\n" + "".join(
        f"p{i},-1,{v},{9 + i},{20 + i}\n" for i, v in enumerate(values)
    )


def test_a_code_is_one_value_that_recurs(tmp_path: Path) -> None:
    _, part = made_up(tmp_path, wide([-2, -2, -2, 3, 4, 5, 6, 7, 8, 9, 1, 2]))
    assert part["below"] == [-2]


def test_negative_numbers_that_differ_are_asked_about_and_are_no_codes(tmp_path: Path) -> None:
    text, part = made_up(tmp_path, wide([-0.25, -1.5, -0.75, 3, 4, 5, 6, 7, 8, 9, 1, 2]))
    assert not {"below", "above"} & set(part)
    assert "# TODO: 3 values are negative, 3 of them distinct, and no concentration is" in text


def test_npx_in_the_name_of_a_wide_file_is_its_unit(tmp_path: Path) -> None:
    _, part = made_up(tmp_path, wide([-1, -1, -1, -1, 4, 5, 6, 7, 8, 9, 1, 2]), "olink_npx.csv")
    assert part["unit"] == "NPX"
    assert not {"below", "above"} & set(part)


@pytest.mark.parametrize(
    ("n_bridges", "plates"), [(9, {"column": "PlateID", "reference": "A"}), (3, {"column": "PlateID"})]
)
def test_plates_are_bridged_by_enough_shared_samples(tmp_path: Path, n_bridges: int, plates: dict[str, str]) -> None:
    rows = [(i, "A") for i in range(12)] + [(i, "B") for i in range(n_bridges)]
    lines = [f"p{i},{assay},{plate},{i}.5\n" for i, plate in rows for assay in ("IL6", "TNF", "CXCL8")]
    _, part = made_up(tmp_path, "SampleID,Assay,PlateID,NPX\n" + "".join(lines), "npx.csv")
    assert part["plates"] == plates


def test_the_unit_that_an_export_states_is_drafted(tmp_path: Path) -> None:
    rows = "".join(f'"{i}(1,A{i})","p{i}","<1.2","8.5","3"\n' for i in range(12))
    xponent = '"Program","xPONENT"\n"DataType:","Result"\n"Location","Sample","IL-6","IL-8","IL-10"\n' + rows
    xponent += '"DataType:","Units"\n"Analyte:","IL-6","IL-8","IL-10"\n"Units:","ng/ml","ng/ml","ng/ml"\n'
    _, part = made_up(tmp_path, xponent)
    assert (part["unit"], part["patient"]) == ("ng/mL", "Sample")


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_an_activity_among_concentrations_is_left_out_with_its_unit(tmp_path: Path, layout: str) -> None:
    units = {"IL-6": "pg/mL", "CRP": "mg/L", "IL-10": "ng/L", "sIL-2R": "U/mL"}
    if layout == "long":
        rows = [f"p{i},{name},{i + 1},{unit}" for i in range(12) for name, unit in units.items()]
        immune = "\n".join(["patient,analyte,value,unit", *rows])
    else:
        header = ",".join(f"{name} ({unit})" for name, unit in units.items())
        immune = "\n".join([f"patient,{header}", *(f"p{i},{i + 1},{i + 1},{i + 1},{i + 1}" for i in range(12))])
    _, part = made_up(tmp_path, immune)
    excluded = "sIL-2R" if layout == "long" else "sIL-2R (U/mL)"
    assert part["exclude_analytes"] == {excluded: "in U/mL, which does not convert to pg/mL"}
    draft = tmp_path / "mine.yaml"
    draft.write_text(draft_manifest(sorted(tmp_path.glob("*.*sv")), "mine").replace("baseline: TODO", "baseline: x"))
    cohort = read_cohort(draft, tmp_path)
    assert cohort.immune is not None
    first = cohort.immune.rows[cohort.immune.rows["patient"] == "p0"].set_index("analyte")["value"]
    assert first.to_dict() == {"IL-6": 1, "CRP": 1e6, "IL-10": 1}


ANALYTES = ("IL-6", "IL-8", "IL-10")


def test_a_row_of_units_belongs_to_the_header(tmp_path: Path) -> None:
    rows = "".join(f"p{i},-1,{i + 1},{i + 2},{i + 3},5\n" for i in range(12))
    text, part = made_up(tmp_path, "patient_id,day,IL-6,IL-8,IL-10,CRP\n,,pg/mL,ng/mL,pg/mL,mg/L\n" + rows)
    assert (part["patient"], part["day"], part["unit"]) == ("patient_id", "day", "pg/mL")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    immune = read_cohort(tmp_path / "mine.yaml", tmp_path).immune
    assert immune is not None
    values = immune.rows[immune.rows["patient"] == "p0"].set_index("analyte")["value"]
    assert values.to_dict() == {"IL-6": 1, "IL-8": 2000, "IL-10": 3, "CRP": 5e6}


def test_a_row_of_units_may_name_the_first_column_as_legendplex_does(tmp_path: Path) -> None:
    rows = "".join(f"p{i},<2.44,{i + 2},{i + 3}\n" for i in range(12))
    _, part = made_up(tmp_path, ",IL-6,IL-8,IL-10\nSample,pg/mL,pg/mL,pg/mL\n" + rows)
    assert (part["patient"], part["unit"]) == ("Sample", "pg/mL")


def test_the_unit_in_a_title_is_the_tables(tmp_path: Path) -> None:
    rows = "".join(f"p{i},-1,{i + 1},{i + 2},{i + 3}\n" for i in range(12))
    _, part = made_up(tmp_path, '"Cytokines (pg/mL), plate 3",,,,\npatient_id,day,IL-6,IL-8,IL-10\n' + rows)
    assert part["unit"] == "pg/mL"


def test_of_two_columns_of_concentrations_the_computed_one_counts(tmp_path: Path) -> None:
    rows = "".join(
        f"p{i},{analyte},{well},,{i + 1},Unknowns\n" for i in range(12) for analyte in ANALYTES for well in ("A1", "A2")
    )
    header = "Sample,Assay,Well,Concentration,Calc. Concentration,Sample Group\n"
    text, part = made_up(tmp_path, header + "S001,IL-6,A1,1000,990,Standards\n" + rows)
    assert (part["value"], part["duplicates"]) == ("Calc. Concentration", "mean")
    assert part["keep_rows"] == {"Sample Group": ["Unknowns"]}
    assert "36 rows are further wells of a blood draw" in text


def test_wells_of_visits_are_no_duplicates_and_groups_of_patients_are_kept(tmp_path: Path) -> None:
    rows = "".join(
        f"p{i},{visit},{'control' if i > 8 else 'sample'},{name},A{i},{i + 1}\n"
        for i in range(12)
        for visit in ("pre", "post")
        for name in ANALYTES
    )
    for column in ("patient_id", "Sample"):
        text, part = made_up(tmp_path, f"{column},visit_name,sample_group,analyte,well,value\n{rows}")
        assert not {"duplicates", "keep_rows"} & set(part)
        assert "visit_name" in text


def test_a_column_of_units_counts_more_than_the_name_of_the_file(tmp_path: Path) -> None:
    rows = "".join(f"p{i};OID1;{name};{i + 1};pg/mL\n" for i in range(12) for name in ("IL6", "TNF"))
    _, part = made_up(tmp_path, "SampleID;OlinkID;Assay;Quantified_value;Unit\n" + rows, "npx_target48.csv")
    assert (part["value"], part["unit"], part["unit_column"]) == ("Quantified_value", "pg/mL", "Unit")


def test_the_day_of_a_table_in_german_is_no_analyte_with_a_code(tmp_path: Path) -> None:
    rows = "".join(f"p{i};-4;{i},5;{i + 1},5;{i + 2},5\n" for i in range(11)) + "p11;-4;n.d.;1,5;2,5\n"
    text, part = made_up(tmp_path, "Patient;Tag;IL-6 [pg/ml];IL-8 [pg/ml];IL-10 [pg/ml]\n" + rows)
    assert (part["day"], "below" in part) == ("Tag", False)
    assert '# TODO: does each of ["n.d."] mean below range, or not measured?' in text


def test_one_analyte_beside_patients_and_days_is_an_immune_table(tmp_path: Path) -> None:
    _, part = made_up(tmp_path, "patient_id,day,IL-6 (pg/mL)\n" + "".join(f"p{i},-1,{i + 1}\n" for i in range(12)))
    assert (part["layout"], part["unit"]) == ("wide", "pg/mL")


def test_one_analyte_gives_way_to_a_larger_table_and_to_the_measures_of_the_course(tmp_path: Path) -> None:
    contents = {"taxa.tsv": TAXA, "samples.csv": SAMPLES}
    for name, analytes in (("a_crp.csv", ["CRP"]), ("a_il6.csv", ["IL-6"]), ("b_cyto.csv", ANALYTES)):
        rows = "".join(f"p{i},-1,{','.join(str(i + 1) for _ in analytes)}\n" for i in range(12))
        contents[name] = f"patient,day,{','.join(analytes)}\n{rows}"
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    def draft(*others: str) -> tuple[dict[str, Any], str]:
        text = draft_manifest([tmp_path / name for name in ("taxa.tsv", "samples.csv", *others)], "mine")
        return yaml.safe_load(text), text

    manifest, text = draft("a_crp.csv", "b_cyto.csv")
    assert (manifest["immune"]["file"], manifest["course"]["measures"]["file"]) == ("b_cyto.csv", "a_crp.csv")
    assert "is not used" not in text
    assert draft("a_il6.csv", "b_cyto.csv")[0]["immune"]["file"] == "b_cyto.csv"
    assert "immune" not in draft("a_crp.csv")[0]


def test_a_further_column_of_one_name_is_no_other_interleukin(tmp_path: Path) -> None:
    assert [canonical_analyte(name) for name in ("IL-6.1", "IL-2.1", "IL.6", "IL-12")] == [
        "IL-6",
        "IL-2",
        "IL-6",
        "IL-12",
    ]
    path = tmp_path / "immune.csv"
    path.write_text("patient,IL-6,IL-6.1\np1,3,4\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"'IL-6' and 'IL-6.1' are both IL-6"):
        read_immune(path, ImmuneSpec("wide", ["patient"], "pg/mL"))


def test_units_among_values_are_pointed_out(tmp_path: Path) -> None:
    rows = "".join(f"p{i},-1,{name},{i + 1}.5 pg/mL\n" for i in range(12) for name in ANALYTES)
    text, part = made_up(tmp_path, "patient_id,day,analyte,result\n" + rows)
    assert "drop" not in part
    assert '{IL-6: "1.5 pg/mL", IL-8: "1.5 pg/mL", IL-10: "1.5 pg/mL"} are no numbers' in text


def test_a_marker_of_words_among_cytokines_is_dropped(tmp_path: Path) -> None:
    rows = "".join(f"p{i},-1,{'positive' if i % 2 else 'negative'},3,4,5\n" for i in range(12))
    text, part = made_up(tmp_path, "patient_id,day,PD-L1,IL-6,IL-8,IL-10\n" + rows)
    assert (part["drop"], "are no numbers" in text) == (["PD-L1"], False)


@pytest.mark.parametrize(
    ("cells", "sides"),
    [
        (("<LLOQ", "OK"), {"below": ["<LLOQ"], "within": ["OK"]}),
        (("BLQ", "", ">ULOQ"), {"below": ["BLQ"], "within": [""], "above": [">ULOQ"]}),
        (("<3.2", "OK"), None),
        (("haemolysed", "OK"), None),
    ],
)
def test_a_column_of_words_for_sides_is_the_range(
    tmp_path: Path, cells: tuple[str, ...], sides: dict[str, list[str]] | None
) -> None:
    rows = [f"p{i},{assay},{i}.5,{cells[i % len(cells)]}\n" for i in range(12) for assay in ("IL6", "TNF", "IL8")]
    _, part = made_up(tmp_path, "patient,analyte,value,flag\n" + "".join(rows))
    assert part.get("range") == (sides and {"column": "flag", **sides})


def test_a_date_of_blood_draws_without_day_0_is_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"p{i},2024-01-{i + 1:02d},1,2,3\n" for i in range(12))
    text, _ = made_up(tmp_path, f"patient_id,date,IL-6,IL-8,IL-10\n{rows}")
    assert "# TODO: date dates the samples; name the column of the date of day 0 too" in text


def test_the_days_of_labels_of_blood_draws_are_asked(tmp_path: Path) -> None:
    rows = "".join(f"p{i},{label},3,4,5\n" for i in range(12) for label in ("C1D1", "EOT"))
    text, _ = made_up(tmp_path, "patient_id,timepoint,IL-6,IL-8,IL-10\n" + rows)
    assert "or state the day of each label: 'day: {column: timepoint, labels: {C1D1: 0, EOT: TODO}}'" in text


@pytest.mark.parametrize(("column", "is_dated"), [("week", True), ("weeks_since_admission", False)])
def test_weeks_date_blood_draws_where_no_label_does(tmp_path: Path, column: str, is_dated: bool) -> None:
    draws = [(f"p{i}", label, week) for i in range(12) for label, week in (("Baseline", 0), ("Week 6", 6))]
    rows = "".join(f"{patient},{label},{week},3,4,5\n" for patient, label, week in draws)
    _, part = made_up(tmp_path, f"patient_id,timepoint,{column},IL-6,IL-8,IL-10\n" + rows)
    assert part["day"] == {"column": "timepoint", "labels": {"Baseline": 0, "Week 6": 42}}
    rows = "".join(f"{patient},{week},3,4,5\n" for patient, _, week in draws)
    _, part = made_up(tmp_path, f"patient_id,{column},IL-6,IL-8,IL-10\n" + rows)
    assert part.get("day") == ({"column": column, "labels": {"0": 0, "6": 42}} if is_dated else None)


def test_a_column_of_one_negative_number_is_no_code(tmp_path: Path) -> None:
    rows = "".join(f"p{i},-1,-4,{i + 1},{i + 2},{i + 3}\n" for i in range(12))
    _, part = made_up(tmp_path, "patient_id,day,offset,IL-6,IL-8,IL-10\n" + rows)
    assert "below" not in part


def test_a_table_of_a_hospitals_laboratory_in_german(tmp_path: Path) -> None:
    rows = "".join(
        f"p{i};{i + 1:02}.03.2024 08:15;{name};{value};{unit}\n"
        for i in range(12)
        for name, value, unit in (("Interleukin 6", "<5,0", "pg/ml"), ("CRP", "3,5", "mg/l"), ("LDH", "210,5", "U/l"))
    )
    _, part = made_up(tmp_path, "PatNr;Entnahmedatum;Analyt;Ergebnis;Einheit\n" + rows)
    assert (part["patient"], part["analyte"], part["value"]) == ("PatNr", "Analyt", "Ergebnis")
    assert (part["unit_column"], part["exclude_analytes"]["LDH"]) == (
        "Einheit",
        "in U/l, which does not convert to pg/mL",
    )


@pytest.mark.parametrize(
    ("immune", "reason"),
    [
        ("Analyte,p1,p2\n" + "".join(f"{name},3,4\n" for name in ANALYTES), "its analytes are rows"),
        (
            "patient_id,IL6_max,IL6_min,IL8_max,IL8_min\np1,1,2,3,4\np2,1,2,3,4\n",
            "columns such as IL6_max name an analyte",
        ),
        ("patient_id,IL6D0,IL6D28,IL8D0\np1,1,2,3\np2,1,2,3\n", "columns such as IL6D0 name an analyte and more"),
        ("patient_id,IL6_A,IL6_B,IL8_A\np1,1,2,3\np2,1,2,3\n", "columns such as IL6_A name an analyte and more"),
        ("patient_id,analyte,D0,D28\np1,IL-6,1,2\np1,IL-8,3,4\n", "a column for each visit, such as D0; write a row"),
        ("patient_id,IL-6 MFI,IL-8 MFI,IL-10 MFI\np1,1,2,3\np2,1,2,3\n", "name an analyte and more"),
        ("USUBJID,PARAMCD,AVAL,CNSR\np1,OS,300,1\np2,OS,200,0\n", "where CNSR 0 is the event"),
        ("patient_id,age\np1,60\np1,61\np2,50\n", "patient p1 has several rows"),
        ("patient_id,age\nP-01,60\nP-02,61\n", "P-01 in column patient_id may be patient p1"),
        ("patient_id,event,grade\np1,rash,mild\np2,rash,mild\n", "it may list adverse events"),
    ],
)
def test_why_a_file_is_not_used(tmp_path: Path, immune: str, reason: str) -> None:
    for file, content in (("taxa.tsv", TAXA), ("samples.csv", SAMPLES), ("other.csv", immune)):
        (tmp_path / file).write_text(content, encoding="utf-8")
    text = draft_manifest([tmp_path / file for file in ("taxa.tsv", "samples.csv", "other.csv")], "mine")
    assert "# TODO: other.csv is not used: " in text
    assert reason in text
