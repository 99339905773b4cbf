"""Names of samples and patients that files spell differently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from features.audit import audit
from features.cohort import read_cohort
from features.draft import draft_manifest
from features.errors import FileError, InputError
from features.name_matching import NameDifference, matching_names, near_misses


@pytest.mark.parametrize(
    ("ignored", "name", "reference"),
    [
        (("leading_zeros",), "1", "001"),
        (("leading_zeros",), "P1-V2", "P001-V02"),
        (("case",), "p1", "P1"),
        (("separators",), "P 1_V.2", "P1-V2"),
        (("case", "separators", "leading_zeros"), "pt_7", "PT-007"),
    ],
)
def test_a_name_is_matched_but_for_what_is_ignored(
    ignored: tuple[NameDifference, ...], name: str, reference: str
) -> None:
    assert matching_names([name], [reference, "other"], ignored) == {name: reference}
    assert matching_names([name], [reference, "other"], ()) == {}
    assert matching_names([reference, "x"], [reference], ignored) == {reference: reference}


@pytest.mark.parametrize(("names", "references"), [(["1", "01"], ["001"]), (["1"], ["01", "001"])])
def test_an_ambiguous_match_is_refused(names: list[str], references: list[str]) -> None:
    with pytest.raises(InputError, match="differ only in leading_zeros"):
        matching_names(names, references, ("leading_zeros",))


@pytest.mark.parametrize(
    ("name", "reference"),
    [("1", "001"), ("P-7", "p_07"), ("1.00E+03", "1E3"), ("P1", "P1_stool"), ("S3", "run2-S3"), ("cohort.S4", "S4")],
)
def test_near_misses_are_paired(name: str, reference: str) -> None:
    assert near_misses([name, "unlike"], ["different", reference]) == [(name, reference)]


def test_what_resembles_several_names_is_no_near_miss() -> None:
    assert near_misses(["1"], ["01", "001"]) == []
    assert near_misses(["P1"], ["P1_a", "P1_b"]) == []
    assert near_misses(["P1", "P10"], ["P2", "P11"]) == []


def test_samples_left_out_for_their_spelling_are_a_warning(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    sheet = {"samples.csv": "sample,patient,day\nS1,p1,-10\ns2,p1,-2\ns_4,p2,0\ns5,p3,-1\n"}
    (finding,) = [f for f in audit([read_cohort(write_cohort(sheet), tmp_path)]) if f.code == "near-miss-names"]
    assert (finding.severity, finding.rows) == ("warning", ("S1 and s1", "s_4 and s4"))
    ignored = {"ignore_in_names": ["case", "separators"]}
    cohort = read_cohort(write_cohort(sheet, samples=ignored), tmp_path)
    assert cohort.samples["sample"].tolist() == ["s1", "s2", "s4", "s5"]
    assert cohort.near_misses == ()


def test_patients_are_matched_in_their_sheet_and_in_blood(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    sheet = {
        "samples.csv": "sample,patient,day\ns1,P01,-10\ns4,P02,0\n",
        "patients.csv": "patient,age,sex,best,label,lasting,steroids\np1,60,F,PR,R,,no\np2,71,M,SD,NR,yes,yes\n",
        "blood.csv": "patient,day,IL6\nP1,-9,1\np02,-1,5\n",
    }
    outcomes = {"outcomes": {"toxicity": None}}
    with pytest.raises(FileError, match=r"patient 'P01' has stool here and no row.*is it 'p1'"):
        read_cohort(write_cohort(sheet, **outcomes), tmp_path)
    ignored = {"ignore_in_names": ["case", "leading_zeros"]}
    cohort = read_cohort(write_cohort(sheet, samples=ignored, **outcomes), tmp_path)
    assert list(cohort.characteristics["age"].items()) == [("P01", 60), ("P02", 71)]
    assert cohort.immune is not None
    assert cohort.immune.rows["patient"].tolist() == ["P01", "P02"]


def test_case_17_leading_zeros(cases_dir: Path, tmp_path: Path) -> None:
    text = _draft(cases_dir / "17-leading-zeros", tmp_path)
    assert "  ignore_in_names: [leading_zeros]  # guessed: 24 names agree but for leading zeros; TODO: confirm" in text
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.samples.loc[cohort.samples["patient"].isin(["P001", "P024"]), "sample"].tolist() == ["001", "024"]
    assert len(cohort.samples) == 24
    unstated = text.replace("  ignore_in_names: [leading_zeros]", "  # ")
    (tmp_path / "mine.yaml").write_text(unstated)
    with pytest.raises(InputError, match=r"names a profile.*such as '001'.*ignore_in_names"):
        read_cohort(tmp_path / "mine.yaml", tmp_path)
    # A prefix that splits the numbers leaves out 1 to 9.
    (tmp_path / "mine.yaml").write_text(unstated.replace("  format: table\n", '  format: table\n  prefix: "0"\n'))
    (finding,) = [f for f in audit([read_cohort(tmp_path / "mine.yaml", tmp_path)]) if f.code == "near-miss-names"]
    assert finding.rows == tuple(f"{i} and 0{i}" for i in range(1, 10))


def test_case_17b_numbers_of_a_spreadsheet_are_named(cases_dir: Path, tmp_path: Path) -> None:
    text = _draft(cases_dir / "17b-scientific-ids", tmp_path)
    hint = 'samples.csv, column sample_id: a spreadsheet made numbers of names, such as "1.00E+03"; export them as text'
    assert hint in text


def _draft(folder: Path, tmp_path: Path) -> str:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = draft_manifest(sorted(tmp_path.iterdir()), "mine")
    (tmp_path / "mine.yaml").write_text(text)
    return text
