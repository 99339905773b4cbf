"""Drafts of immune tables as assay software exports them, and what they read once they are confirmed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest
from features.errors import FileError

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
