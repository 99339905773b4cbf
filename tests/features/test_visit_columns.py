"""Wide tables whose columns are named for an analyte and a visit: found, drafted and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from features.analytes import canonical_analyte, is_known_analyte
from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest, find_visit_columns
from features.errors import FileError, ManifestError
from features.immune import split_visit
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import load_manifest

TAXA = "species,s1,s2,s3,s4\ns__Roseburia_hominis,1,2,3,4\ns__Blautia_wexlerae,5,2,1,4\ns__Alistipes_shahii,2,2,9,1\n"
SAMPLES = "sample,patient,day\ns1,p1,-2\ns2,p2,-1\ns3,p3,0\ns4,p4,0\n"
BLOOD = "patient,IL6_D0,IL6_D28,TNFa_D0,TNFa_D28\np1,1,5,10,50\np2,2,6,<8,60\np3,3,,30,\np4,4,8,40,80\n"
IMMUNE = {"file": "blood.csv", "layout": "wide", "unit": "pg/mL", "patient": "patient"}


@pytest.fixture
def draft(tmp_path: Path) -> Callable[..., str]:
    def write(**sheets: str) -> str:
        for name, text in {"taxa": TAXA, "samples": SAMPLES, **sheets}.items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        text = draft_manifest(sorted(tmp_path.glob("*.csv")), "mine")
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        load_manifest(tmp_path / "mine.yaml")
        return text

    return write


def with_days(write_cohort: Callable[..., str], blood: str, in_names: dict[str, float], **immune: object) -> Cohort:
    part = {**IMMUNE, "day": {"in_names": in_names}, **immune}
    return read_cohort(write_cohort({"blood.csv": blood}, immune=part), Path())


@pytest.mark.parametrize(
    ("column", "analyte", "visit"),
    [
        ("IL6_D28", "IL-6", "D28"),
        ("IL-10_pre", "IL-10", "pre"),
        ("TNFa_W6", "TNF-a", "W6"),
        ("CRP_baseline (mg/L)", "CRP", "baseline"),
        ("IFN_g.C1D1", "IFN-g", "C1D1"),
        ("IL12_p70_D-7", "IL-12p70", "D-7"),
        ("IL1_RA_V2", "IL-1ra", "V2"),
        ("GM_CSF week 6", "GM-CSF", "week 6"),
        ("post FMT D14 IL-8", "IL-8", "post FMT D14"),
        ("Baseline_MCP-1 [pg/mL]", "MCP-1", "Baseline"),
        ("IL-6 (T1)", "IL-6", "T1"),
        ("IL6_pg_mL_D0", "IL-6", "D0"),
    ],
)
def test_a_column_is_parted_once_at_its_visit(column: str, analyte: str, visit: str) -> None:
    parts = find_visit_columns([column, "IL2_D3", "IL4_D3"])
    assert (canonical_analyte(parts[column].analyte), parts[column].visit) == (analyte, visit)
    assert split_visit(column, ["D3", visit]) == parts[column]


@pytest.mark.parametrize(
    "column",
    [
        *("IL12_p70", "IL1_RA", "sCD25", "CD8_T", "GM_CSF", "IFN_a2", "IL17_A", "TGFb_1", "PD_1", "IP_10", "VEGF_D"),
        *("TNF_R2", "IL18_BP", "IL6_log2", "IL6_mean", "IL6_SD", "IL6_delta_D28", "IL6_LPS", "IL6_24h", "IL6_QC"),
    ],
)
def test_what_else_stands_behind_an_analyte_is_no_visit(column: str) -> None:
    assert column not in find_visit_columns([column, "IL2_D3", "IL4_D3", "IL8_D3"])


@pytest.mark.parametrize("column", ["IL6_D28_vs_D0", "IL8_D28/D0", "D28-D0 IL-6", "IL6_28_0", "MIF_D28_to_D0"])
def test_a_change_between_two_visits_is_of_neither(
    write_cohort: Callable[..., str], draft: Callable[..., str], column: str
) -> None:
    visits = {"D0": 0, "D28": 28} if "D" in column else {"0": 0, "28": 28}
    assert split_visit(column, list(visits)) is None
    header, *rows = BLOOD.replace("_D", "_" if "0" in visits else "_D").splitlines()
    blood = "\n".join([f"{header},{column}", *(f"{row},1.5" for row in rows)]) + "\n"
    with pytest.raises(FileError, match="or holds two of them"):
        with_days(write_cohort, blood, visits)
    text = draft(blood=blood)
    assert f"drop: [{column}]" in text


def test_numbers_are_visits_where_they_recur_and_are_no_part_of_an_interleukin() -> None:
    names = ["IL6_1", "IL6_2", "IL10_1", "IL10_2"]
    assert [part.visit for part in find_visit_columns(names).values()] == ["1", "2", "1", "2"]
    assert find_visit_columns(["IL6_1", "IL6_2", "IL6_3"]) == {}
    assert not any(map(is_known_analyte, names))
    assert canonical_analyte("IL-6 (19)") == canonical_analyte("IL-6.1") == "IL-6"


def test_a_name_as_long_as_a_text_is_no_column_of_a_visit() -> None:
    assert "IL6_" * 3000 + "D28" not in find_visit_columns(["IL6_" * 3000 + "D28", "IL2_D3", "IL4_D3", "IL8_D3"])


def test_a_longer_visit_counts_before_its_end() -> None:
    assert split_visit("IL6_C2_D1", ["D1", "C2_D1"]) == ("IL6", "C2_D1", "")
    assert split_visit("IL10", ["0"]) is None


def test_visits_in_names_are_blood_draws_of_their_days(write_cohort: Callable[..., str]) -> None:
    cohort = with_days(write_cohort, BLOOD, {"D0": 0, "D28": 28})
    assert cohort.immune is not None
    rows = cohort.immune.rows
    values = {(p, d, a): v for p, d, a, v in rows[["patient", "day", "analyte", "value"]].itertuples(index=False)}
    assert values["p1", "0", "IL-6"] == 1
    assert values["p1", "28", "TNF-a"] == 50
    assert rows.loc[(rows["patient"] == "p2") & (rows["analyte"] == "TNF-a"), "censored"].tolist() == ["below", ""]
    assert ("p3", "28", "IL-6") not in values
    assert "1 of 8 blood draws hold no measurement, and are left out" in cohort.notes


@pytest.mark.parametrize(("landmark", "p1", "p3"), [(0, 1.0, 3.0), (28, 5.0, 3.0)])
def test_no_visit_behind_the_landmark_becomes_a_feature(
    write_cohort: Callable[..., str], landmark: float, p1: float, p3: float
) -> None:
    samples = {"file": "samples.csv", "sample": "sample", "patient": "patient", "day": {"column": "day"}, "donor": None}
    files = {"blood.csv": BLOOD, "samples.csv": f"sample,patient,day\ns1,p1,{landmark}\ns4,p2,0\ns5,p3,{landmark}\n"}
    part = {**IMMUNE, "day": {"in_names": {"D0": 0, "D28": 28}}}
    cohort = read_cohort(write_cohort(files, immune=part, samples=samples), Path())
    table = landmark_table(cohort, LandmarkSpec(landmark=landmark))
    il6 = table.immune.values[:, table.immune.names.index("IL-6")]
    assert dict(zip(table.rows["patient"], il6, strict=True))["p1"] == p1
    assert dict(zip(table.rows["patient"], il6, strict=True))["p3"] == p3


def test_units_and_spellings_may_differ_between_visits(write_cohort: Callable[..., str]) -> None:
    blood = "patient,age,IL6_D0 (ng/mL),pre TNF\np1,60,1,7\np2,50,2,8\n".replace("pre TNF", "IL-6 (pg/mL) D28")
    cohort = with_days(write_cohort, blood, {"D0": 0, "D28": 28}, drop=["age"])
    assert cohort.immune is not None
    wide = cohort.immune.wide("limit")
    assert wide.columns.tolist() == ["IL-6"]
    assert np.array_equal(wide["IL-6"], [1000, 7, 2000, 8])


@pytest.mark.parametrize(
    ("header", "immune", "message"),
    [
        ("IL6_D0,IL6_D82", {}, r"column 'IL6_D82'.*neither begins nor ends with one of the visits D0, D28"),
        ("IL6_D0,TNF_D0", {}, r"no column's name begins or ends with the visit 'D28'"),
        ("IL6_D0,IL-6_D0", {}, r"'IL6_D0' is IL6 of visit D0 too; list one of them under drop"),
        ("IL6_D0,IL6_D28", {"drop": ["age"]}, r"the drop pattern 'age' matches nothing"),
        ("IL6_D0,IL6_D28", {"layout": "long"}, r"visits in the names of columns of layout 'wide'"),
        ("IL6_D0,IL6_D28", {"visit": "visit"}, r"visits in the names of columns of layout 'wide'"),
    ],
)
def test_what_a_manifest_does_not_explain_is_an_error(
    write_cohort: Callable[..., str], header: str, immune: dict[str, object], message: str
) -> None:
    with pytest.raises((FileError, ManifestError), match=message):
        with_days(write_cohort, f"patient,{header}\np1,1,2\np2,3,4\n", {"D0": 0, "D28": 28}, **immune)


def test_an_unreadable_cell_is_named_by_its_own_column(write_cohort: Callable[..., str]) -> None:
    with pytest.raises(FileError, match=r"row 3, column 'TNFa_D28': 'high' is not a measurement"):
        with_days(write_cohort, BLOOD.replace("60", "high"), {"D0": 0, "D28": 28})


def test_a_sheet_of_samples_may_repeat_the_values_of_a_patient(write_cohort: Callable[..., str]) -> None:
    blood = "patient,sample,IL6_D0,IL6_D28\np1,s1,1,5\np1,s2,1,5\np2,s4,2,\n"
    cohort = with_days(write_cohort, blood, {"D0": 0, "D28": 28}, drop=["sample"])
    assert cohort.immune is not None
    assert cohort.immune.rows["value"].tolist() == [1, 5, 2]
    with pytest.raises(
        FileError, match=r"row 3, column 'IL6_D28': p1 has '6' here and '5' on row 2; a patient has one"
    ):
        with_days(write_cohort, blood.replace("s2,1,5", "s2,1,6"), {"D0": 0, "D28": 28}, drop=["sample"])
    mean = with_days(
        write_cohort, blood.replace("s2,1,5", "s2,1,6"), {"D0": 0, "D28": 28}, drop=["sample"], duplicates="mean"
    )
    assert mean.immune is not None
    assert mean.immune.rows["value"].tolist() == [1, 5.5, 2]


def test_two_visits_of_one_day_are_refused(write_cohort: Callable[..., str]) -> None:
    with pytest.raises(ManifestError, match="'D0' and 'pre' are both day 0; keep one"):
        with_days(write_cohort, BLOOD, {"pre": 0, "D0": 0})


def test_a_draft_reads_the_visits_in_names(draft: Callable[..., str], tmp_path: Path) -> None:
    text = draft(blood=BLOOD)
    assert yaml.safe_load(text)["immune"]["day"] == {"in_names": {"D0": 0, "D28": 28}}
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.immune is not None
    assert len(cohort.immune.rows) == 14


def test_clinical_columns_beside_visits_are_those_of_the_patients(draft: Callable[..., str], tmp_path: Path) -> None:
    header = "patient,age,recist,irAE,ECOG_D0,Hb_D0,CRP,CRP_D0,IL6_D0,IL6_D28\n"
    rows = "p1,50,CR,0,1,9,1,2,3,4\np2,60,PD,1,0,8,2,3,4,5\np3,55,SD,0,0,8,3,4,5,6\np4,61,PR,1,1,9,4,5,6,7\n"
    text = draft(clinical=header + rows)
    manifest = yaml.safe_load(text)
    assert manifest["outcomes"]["recist"]["column"] == "recist"
    assert manifest["patients"]["covariates"]["age"]["column"] == "age"
    assert manifest["immune"]["drop"] == ["age", "recist", "irAE", "ECOG_D0", "Hb_D0", "CRP"]
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.immune is not None
    assert set(cohort.immune.rows["analyte"]) == {"CRP", "IL-6"}
    assert "name an analyte and more" not in text


def test_a_visit_without_a_day_is_asked_for_and_left_out(draft: Callable[..., str], tmp_path: Path) -> None:
    text = draft(blood=BLOOD.replace("D0", "pre").replace("D28", "post"))
    part = yaml.safe_load(text)["immune"]
    assert (part["day"], part["drop"]) == ({"in_names": {"pre": 0}}, ["IL6_post", "TNFa_post"])
    assert "# TODO: no day is known of [post]; state each in 'in_names', and take its columns from 'drop'" in text
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.immune is not None
    assert set(cohort.immune.rows["day"]) == {"0"}


def test_a_few_columns_of_visits_beside_analytes_are_asked_about(draft: Callable[..., str]) -> None:
    header = "patient,day,IL-6,IL-8,IL-10,IL-2,IL6_D28,IL8_D28,IL10_D28\n"
    text = draft(blood=header + "".join(f"p{i},0,1,2,3,4,5,6,7\n" for i in range(1, 5)))
    assert "# TODO: [IL6_D28, IL8_D28, IL10_D28] name a visit, and are dropped" in text
    assert yaml.safe_load(text)["immune"]["drop"] == ["IL6_D28", "IL8_D28", "IL10_D28"]


def test_a_dropped_column_may_have_its_unit_in_brackets(draft: Callable[..., str], tmp_path: Path) -> None:
    header, *rows = BLOOD.replace("D28", "post").splitlines()
    draft(blood="\n".join([header.replace(",", " [pg/mL],").replace("patient [pg/mL]", "patient"), *rows]) + "\n")
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.immune is not None
    assert set(cohort.immune.rows["day"]) == {"0"}


@pytest.mark.parametrize("labels", [("V1", "V2"), ("1", "2"), ("T1", "T2")])
def test_visits_of_which_none_has_a_day_are_asked_for(draft: Callable[..., str], labels: tuple[str, str]) -> None:
    text = draft(blood=BLOOD.replace("D0", labels[0]).replace("D28", labels[1]))
    assert "immune" not in yaml.safe_load(text)
    assert "# TODO: state the day of [" in text
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    part = yaml.safe_load("\n".join(lines[lines.index("immune:") :]))["immune"]
    assert part["day"] == {"in_names": dict.fromkeys(labels, "TODO")}


def test_unknown_analytes_at_the_same_visits_are_read_and_texts_are_not(draft: Callable[..., str]) -> None:
    header, *rows = BLOOD.splitlines()
    cells = [f"{row},{i},{i},haemolysed" for i, row in enumerate(rows)]
    text = draft(blood="\n".join([f"{header},MIF_D0,MIF_D28,quality_D0", *cells]) + "\n")
    assert yaml.safe_load(text)["immune"]["drop"] == ["quality_D0"]


def test_a_measure_alone_at_several_visits_is_no_immune_table(draft: Callable[..., str]) -> None:
    text = draft(clinical="patient,age,CRP_D0,CRP_D14,CRP_D28\np1,50,1,2,3\np2,60,2,3,4\np3,55,3,4,5\np4,61,4,5,6\n")
    assert "immune" not in yaml.safe_load(text)
    assert "of clinical.csv, columns such as CRP_D0 name an analyte and more" in text


def test_a_table_of_draws_counts_before_one_with_visits_in_names(draft: Callable[..., str]) -> None:
    blood = "patient,day,IL-6,IL-8,IL-10\n" + "".join(f"p{i},0,1,2,3\n" for i in range(1, 5))
    text = draft(blood=blood, later=BLOOD.replace("patient", "pid"))
    assert yaml.safe_load(text)["immune"]["file"] == "blood.csv"
