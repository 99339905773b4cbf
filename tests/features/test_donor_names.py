"""Donors under two names, several donors of one recipient, and donors who would become patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.audit import Finding, audit
from features.cohort import Cohort, read_cohort
from features.donors import donor_samples_given
from features.draft import draft_manifest

SHEET = "sample,patient,day,given,second\ns1,p1,-10,{},{}\ns2,p1,-2,{},{}\ns4,p2,0,,\ns5,D2,,,\nd1,D1,,,\n"
PARTS: dict[str, Any] = {
    "samples": {"donor": {"column": "patient", "pattern": "^D"}, "donor_sample": "given"},
    "patients": None,
    "outcomes": None,
    "immune": None,
    "exclude_columns": None,
}


def findings_of(cohort: Cohort, code: str) -> list[Finding]:
    return [finding for finding in audit([cohort]) if finding.code == code]


@pytest.fixture
def read(write_cohort: Callable[..., str], tmp_path: Path) -> Callable[..., Cohort]:
    def read_sheet(first: str, second: str = "", **samples: Any) -> Cohort:
        files = {"samples.csv": SHEET.format(first, second, first, second)}
        return read_cohort(write_cohort(files, **{**PARTS, "samples": {**PARTS["samples"], **samples}}), tmp_path)

    return read_sheet


@pytest.mark.parametrize("name", ["d1", "D1"])
def test_a_donor_is_named_by_sample_or_by_name(read: Callable[..., Cohort], name: str) -> None:
    cohort = read(name)
    position = cohort.samples["sample"].tolist().index("d1")
    assert donor_samples_given(cohort) == {"p1": {"D1": [position]}}
    assert findings_of(cohort, "donor-two-names") == []


@pytest.mark.parametrize("name", ["study__D1", "D01", "D-1"])
def test_a_donor_under_another_spelling_is_found_with_a_warning(read: Callable[..., Cohort], name: str) -> None:
    cohort = read(name)
    assert list(donor_samples_given(cohort)["p1"]) == ["D1"]
    (finding,) = findings_of(cohort, "donor-two-names")
    assert finding.rows == (f"{name} and D1",)
    assert finding.severity == "warning"


def test_an_unknown_donor_is_no_known_one(read: Callable[..., Cohort]) -> None:
    assert donor_samples_given(read("D7")) == {}


@pytest.mark.parametrize(
    ("cells", "samples"),
    [(("D1 + D2",), {"donor_separator": "+"}), (("D1", "D2"), {"donor_sample": ["given", "second"]})],
)
def test_a_recipient_of_several_donors(
    read: Callable[..., Cohort], cells: tuple[str, ...], samples: dict[str, Any]
) -> None:
    assert list(donor_samples_given(read(*cells, **samples))["p1"]) == ["D1", "D2"]


@pytest.mark.parametrize("donor_name", ["Donor1", "STUDY__Donor1"])
def test_donors_who_would_become_patients_are_an_error(
    write_cohort: Callable[..., str], tmp_path: Path, donor_name: str
) -> None:
    sheet = f"sample,patient,day,given\ns1,p1,-10,{donor_name}\ns4,p2,0,\nd1,Donor1,,\n".replace(
        "Donor1,,", "Donor1,0,"
    )
    samples = {"donor": None, "donor_sample": "given"}
    cohort = read_cohort(write_cohort({"samples.csv": sheet}, **{**PARTS, "samples": samples}), tmp_path)
    (finding,) = findings_of(cohort, "donor-is-patient")
    assert (finding.severity, finding.rows) == ("error", ("Donor1",))


def test_case_35_donors_are_no_patients(cases_dir: Path, tmp_path: Path) -> None:
    for file in (cases_dir / "35-donor-named-differently").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "mine.yaml").write_text(draft_manifest(sorted(tmp_path.iterdir()), "mine"))
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert set(cohort.donor_samples["patient"]) == {"Donor1", "Donor2"}
    assert list(cohort.labels.label_by_outcome["objective_response"].index) == [f"R{i}" for i in range(7)]
    assert cohort.labels.label_by_outcome["objective_response"].sum() == 3
    assert {patient: list(donors) for patient, donors in donor_samples_given(cohort).items()} == {
        f"R{i}": ["Donor1"] for i in range(7)
    }
    assert findings_of(cohort, "donor-two-names")[0].rows == ("STUDY__Donor1 and Donor1",)
    text = (tmp_path / "mine.yaml").read_text().replace("  donor: ", "  # ")
    (tmp_path / "mine.yaml").write_text(text)
    (finding,) = findings_of(read_cohort(tmp_path / "mine.yaml", tmp_path), "donor-is-patient")
    assert finding.rows == ("Donor1", "Donor2")
