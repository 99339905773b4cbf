"""Whose blood a draw is, and when it was drawn: by patient or by stool sample, in days, labels or dates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest
from features.errors import FileError, ManifestError
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import load_manifest
from features.tables.text import finite_numbers

Write = Callable[..., str]
PART = {"patient": None, "day": None}


def read(path: str) -> Cohort:
    return read_cohort(path, Path(), fetch=False)


def draws(cohort: Cohort) -> list[tuple[str, float]]:
    assert cohort.immune is not None
    rows = cohort.immune.rows[["patient", "day"]].drop_duplicates()
    return list(zip(rows["patient"], finite_numbers(rows["day"]), strict=True))


def test_blood_of_stool_samples_has_their_patients_and_days(write_cohort: Write) -> None:
    blood = "sample,IL6,TNF\ns1,1,<2\ns2,2,4\ns3,6,9\ns4,5,NA\nx9,3,3\n"
    cohort = read(write_cohort({"blood.csv": blood}, immune={**PART, "sample": "sample"}))
    assert draws(cohort) == [("p1", -10), ("p1", -2), ("p1", 20), ("p2", 0)]
    assert "1 of 5 blood draws are of no profiled stool sample, and are left out" in cohort.notes
    table = landmark_table(cohort, LandmarkSpec(landmark=0))
    np.testing.assert_array_equal(table.immune.values[:2, 0], [2, 5])
    assert list(table.rows["draw_day"][:2]) == [-2, 0]


def test_blood_of_no_known_sample_is_refused(write_cohort: Write) -> None:
    path = write_cohort({"blood.csv": "sample,IL6\nb1,1\nb2,2\n"}, immune={**PART, "sample": "sample"})
    with pytest.raises(ManifestError, match=r"no value of column 'sample' \(such as 'b1'\) names a stool sample"):
        read(path)


@pytest.mark.parametrize("key", ["patient", "day", "visit", "baseline"])
def test_what_the_sample_tells_is_not_stated_again(write_cohort: Write, key: str) -> None:
    path = write_cohort(immune={**PART, "sample": "sample", key: "x"})
    with pytest.raises(ManifestError, match=f"'{key}' is that of the sample"):
        load_manifest(path)


def test_blood_without_patient_and_sample_is_refused(write_cohort: Write) -> None:
    with pytest.raises(ManifestError, match="name the column of the 'patient', or of the 'sample'"):
        load_manifest(write_cohort(immune={"patient": None}))


LABELLED = "patient,time,IL6\np1,baseline,1\np1,W3,2\np2,baseline,5\n"


def test_days_of_blood_from_labels(write_cohort: Write) -> None:
    day = {"column": "time", "labels": {"baseline": -1, "W3": 21}}
    assert draws(read(write_cohort({"blood.csv": LABELLED}, immune={"day": day}))) == [
        ("p1", -1),
        ("p1", 21),
        ("p2", -1),
    ]
    with pytest.raises(FileError, match=r"row 3, column 'time': no day in 'W3'; immune\.day\.labels has the days of"):
        read(write_cohort({"blood.csv": LABELLED}, immune={"day": {"column": "time", "labels": {"baseline": -1}}}))


def test_days_of_blood_from_a_pattern(write_cohort: Write) -> None:
    blood = "patient,time,IL6\np1,C1D-2,1\np2,C1D5,5\n"
    day = {"column": "time", "pattern": "D(?P<day>-?[0-9]+)$"}
    assert draws(read(write_cohort({"blood.csv": blood}, immune={"day": day}))) == [("p1", -2), ("p2", 5)]


def test_two_labels_of_one_day_are_one_draw_twice(write_cohort: Write) -> None:
    blood = "patient,time,IL6\np1,baseline,1\np1,screening,2\n"
    day = {"column": "time", "labels": {"baseline": 0, "screening": 0}}
    with pytest.raises(FileError, match=r"row 3, .*patient 'p1', day '0' is on row 2 too; expected each draw once"):
        read(write_cohort({"blood.csv": blood}, immune={"day": day}))


@pytest.mark.parametrize("place", ["blood", "patients"])
def test_days_of_blood_from_two_dates(write_cohort: Write, place: str) -> None:
    files = {"blood.csv": "patient,drawn,IL6\np1,2024-03-01,1\np1,2024-03-20,2\np2,2024-05-02,5\n"}
    sheet = "patient,age,sex,best,label,lasting,steroids,first_dose\n"
    first_dose = {"p1": "2024-03-10", "p2": "2024-05-02", "p3": "2024-05-02"}
    sheet += "".join(f"{patient},60,F,PR,R,,no,{day}\n" for patient, day in first_dose.items())
    if place == "patients":
        files["patients.csv"] = sheet
    else:
        lines = files["blood.csv"].splitlines()
        cells = ["first_dose", *(first_dose[line.partition(",")[0]] for line in lines[1:])]
        files["blood.csv"] = "".join(f"{line},{cell}\n" for line, cell in zip(lines, cells, strict=True))
    changes = {"immune": {"day": {"from": "drawn", "index": "first_dose"}}}
    assert draws(read(write_cohort(files, **changes))) == [("p1", -9), ("p1", 10), ("p2", 0)]


def test_a_date_of_blood_that_may_be_two_is_asked(write_cohort: Write) -> None:
    blood = "patient,drawn,first,IL6\np1,03/04/2024,01/04/2024,1\np2,05/04/2024,02/04/2024,5\n"
    with pytest.raises(FileError, match=r"state immune\.day\.order"):
        read(write_cohort({"blood.csv": blood}, immune={"day": {"from": "drawn", "index": "first"}}))


TAXA = "sample,s__Blautia_obeum,s__Dorea_longicatena\nS1,60,40\nS2,50,50\nS3,30,70\n"
SHEET = "sample,patient,day\nS1,P1,-1\nS2,P1,21\nS3,P2,0\n"
PATIENTS = "patient,age,sex,first_dose\nP1,61,F,2024-03-10\nP2,70,M,2024-05-02\n"


@pytest.mark.parametrize(
    ("blood", "line"),
    [
        ("tube,IL-6,IL-8,TNF-a\nS1,1,2,3\nS2,2,3,4\nS3,5,6,7\n", "  sample: tube  # guessed"),
        (
            "patient,visit,IL-6,IL-8,TNF-a\nP1,baseline,1,2,3\nP1,Week 3,2,3,4\nP2,baseline,5,6,7\n",
            "labels: {baseline: 0",
        ),
        ("patient,date,IL-6,IL-8,TNF-a\nP1,2024-03-09,1,2,3\nP2,2024-05-02,5,6,7\n", "{from: date, index: first_dose}"),
    ],
)
def test_a_draft_finds_when_and_of_whom_blood_is(tmp_path: Path, blood: str, line: str) -> None:
    paths = []
    for name, text in {"taxa.csv": TAXA, "sheet.csv": SHEET, "patients.csv": PATIENTS, "blood.csv": blood}.items():
        (tmp_path / name).write_text(text)
        paths.append(tmp_path / name)
    draft = draft_manifest(paths, "toy")
    part = draft[draft.index("immune:") :]
    assert line in part
    assert "drop" not in part


def test_a_row_of_a_statistic_is_no_patient(write_cohort: Write) -> None:
    blood = "patient,day,IL6,TNF\np1,-9,1,2\nMean \u00b1 SD,-9,1,2\n"
    changes = {"patients": None, "outcomes": None, "exclude_columns": None}
    with pytest.raises(FileError, match=r"blood.csv, row 3, column 'patient': 'Mean \u00b1 SD' is a statistic"):
        read(write_cohort({"blood.csv": blood}, **changes))
    patients = "patient,age,sex,best,label,lasting,steroids\np1,60,F,PR,R,,no\np2,71,M,SD,NR,yes,yes\np3,,F,,,,no\n"
    with pytest.raises(FileError, match=r"patients.csv, row 5, column 'patient': 'Median' is a statistic"):
        read(write_cohort({"patients.csv": patients + "Median,65,F,,,,no\n"}))
    # A patient with stool may be called anything.
    samples = "sample,patient,day\ns1,p1,-10\ns4,Total,0\ns5,p3,-1\n"
    read(
        write_cohort(
            {"samples.csv": samples, "patients.csv": patients + "Total,65,F,,,,no\n"},
            samples={"donor": None},
            outcomes={"toxicity": None},
            immune=None,
        )
    )
