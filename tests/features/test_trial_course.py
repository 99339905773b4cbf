from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from features.errors import FileError, ManifestError
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import load_manifest
from features.trial_course import Course

Write = Callable[..., str]

FILES = {
    "transplants.csv": (
        "who,on,from,lot,amount,in,way,prep\np1,0,D1,B1,250,mL,colonoscopy,PEG\np2,30,,B2,NA,,capsules,\n"
        "p2,0,D1,B1,15,capsules,capsules,NA\n"
    ),
    "cycles.csv": "patient,day,drug\np1,7,nivolumab\np1,-14,nivolumab\n",
    "scans.csv": (
        "patient,day,seen,sum\np1,-10,,80\np1,60,partial,40\np1,120,unconfirmed progression,65.5\np1,150,confirmed,NA\n"
    ),
    "drugs.csv": (
        "patient,drug,from,to\np1,amoxicillin,-20,-13\np2,omeprazole,NA,NA\np2,prednisone,40,\np3,paracetamol,5,5\n"
    ),
    "lesions.csv": "patient,day,number,where,mm\np1,60,1,brain,4\np1,-10,1,brain,12\np1,-10,2,lung,NA\n",
    "long.csv": "patient,day,measure,value,unit\np1,0,weight,71.5,kg\np1,-7,CRP,<5,mg/L\np1,0,CRP,12,mg/L\n",
    "wide.csv": "patient,day,kg,ecog\np1,21,70,1\np1,0,71.5,\np2,0,,2\n",
}
COURSE: dict[str, Any] = {
    "transplants": {
        "file": "transplants.csv",
        "patient": "who",
        "day": "on",
        "donor": "from",
        "batch": "lot",
        "dose": "amount",
        "unit": "in",
        "route": "way",
        "preparation": "prep",
    },
    "cycles": {"file": "cycles.csv", "patient": "patient", "day": "day", "drug": "drug"},
    "assessments": {
        "file": "scans.csv",
        "patient": "patient",
        "day": "day",
        "response": {
            "column": "seen",
            "values": {"partial": "PR", "unconfirmed progression": "iUPD", "confirmed": "iCPD"},
        },
        "sum_mm": "sum",
    },
    "lesions": {
        "file": "lesions.csv",
        "patient": "patient",
        "day": "day",
        "lesion": "number",
        "site": "where",
        "diameter_mm": "mm",
    },
    "medications": {
        "file": "drugs.csv",
        "patient": "patient",
        "name": "drug",
        "kind": {
            "column": "drug",
            "values": {
                "amoxicillin": "antibiotic",
                "omeprazole": "ppi",
                "prednisone": "steroid",
                "paracetamol": "other",
            },
        },
        "start": "from",
        "end": "to",
    },
    "measures": {
        "file": "long.csv",
        "patient": "patient",
        "day": "day",
        "name": "measure",
        "value": "value",
        "unit": "unit",
        "missing": ["", "NA", "<5"],
    },
}
WIDE = {
    "file": "wide.csv",
    "patient": "patient",
    "day": "day",
    "columns": {"weight": {"column": "kg", "unit": "kg"}, "ECOG": {"column": "ecog", "unit": ""}},
}


@pytest.fixture
def read(write_cohort: Write, tmp_path: Path) -> Callable[..., Cohort]:
    def read(files: dict[str, str] | None = None, **changes: Any) -> Cohort:
        return read_cohort(write_cohort({**FILES, **(files or {})}, **changes), tmp_path)

    return read


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return a frame's rows, with None where a number is missing."""
    return [tuple(None if value != value else value for value in row) for row in frame.itertuples(index=False)]


def test_each_part_is_read_as_the_manifest_says(read: Callable[..., Cohort]) -> None:
    course = read(course=COURSE).course
    assert rows(course.transplants) == [
        ("p1", 0, "D1", "B1", 250, "mL", "colonoscopy", "PEG"),
        ("p2", 0, "D1", "B1", 15, "capsules", "capsules", ""),
        ("p2", 30, "", "B2", None, "", "capsules", ""),
    ]
    assert rows(course.cycles) == [("p1", -14, "nivolumab"), ("p1", 7, "nivolumab")]
    assert rows(course.assessments) == [
        ("p1", -10, "", 80), ("p1", 60, "PR", 40), ("p1", 120, "iUPD", 65.5), ("p1", 150, "iCPD", None),
    ]  # fmt: skip
    assert rows(course.medications) == [
        ("p1", "amoxicillin", "antibiotic", -20, -13),
        ("p3", "paracetamol", "other", 5, 5),
        ("p2", "prednisone", "steroid", 40, None),
        ("p2", "omeprazole", "ppi", None, None),
    ]
    assert rows(course.lesions) == [
        ("p1", -10, "1", "brain", 12), ("p1", -10, "2", "lung", None), ("p1", 60, "1", "brain", 4),
    ]  # fmt: skip
    assert rows(course.measures) == [("p1", 0, "weight", 71.5, "kg"), ("p1", 0, "CRP", 12, "mg/L")]


def test_days_of_the_course_may_follow_from_dates(read: Callable[..., Cohort]) -> None:
    files = {
        "patients.csv": (
            "patient,age,sex,best,label,lasting,steroids,on\np1,60,F,PR,R,,no,2023-02-01\n"
            "p2,71,M,SD,NR,yes,yes,2023-03-03\np3,,F,,,,no,2023-03-04\np4,50,M,PD,NR,no,no,2023-03-05\n"
        ),
        # A second transplant has a date of its own.
        "transplants.csv": "who,on,from\np1,2023-02-01,D1\np2,2023-03-03,D1\np2,2023-04-02,D2\n",
        "drugs.csv": "patient,drug,from,to\np1,amoxicillin,2023-01-12,2023-01-19\np2,prednisone,NA,\n",
    }
    parts = {
        "transplants": {
            "file": "transplants.csv", "patient": "who", "day": {"from": "on", "index": "on"}, "donor": "from",
        },
        "medications": COURSE["medications"]
        | {"start": {"from": "from", "index": "on"}, "end": {"from": "to", "index": "on"}},
    }  # fmt: skip
    course = read(files, course=parts).course
    assert course.transplants[["patient", "day", "donor"]].to_numpy().tolist() == [
        ["p1", 0, "D1"], ["p2", 0, "D1"], ["p2", 30, "D2"],
    ]  # fmt: skip
    assert rows(course.medications) == [
        ("p1", "amoxicillin", "antibiotic", -20, -13), ("p2", "prednisone", "steroid", None, None),
    ]  # fmt: skip
    files["transplants.csv"] = "who,on,from\np1,soon,D1\n"
    with pytest.raises(FileError, match="expected a date such as 2023-04-03, got 'soon'"):
        read(files, course=parts)
    files["transplants.csv"] = "who,on,from\np1,03/04/2023,D1\n"
    with pytest.raises(FileError, match=r"state course\.transplants\.day\.order"):
        read(files, course=parts)


def test_wide_and_long_measures_agree(read: Callable[..., Cohort]) -> None:
    measures = read(course={"measures": WIDE}).course.measures
    assert rows(measures) == [
        ("p2", 0, "ECOG", 2, ""),
        ("p1", 0, "weight", 71.5, "kg"),
        ("p1", 21, "ECOG", 1, ""),
        ("p1", 21, "weight", 70, "kg"),
    ]


def test_a_measure_may_have_any_name(read: Callable[..., Cohort]) -> None:
    columns = {name: {"column": "kg", "unit": "kg"} for name in ("value", "day", "patient", "name")}
    measures = read(course={"measures": {**WIDE, "columns": columns}}).course.measures
    assert sorted(measures["name"]) == ["day", "day", "name", "name", "patient", "patient", "value", "value"]
    assert measures["value"].tolist() == [71.5] * 4 + [70] * 4


def test_parts_absent_from_the_manifest_are_empty_frames_of_equal_types(read: Callable[..., Cohort]) -> None:
    complete, absent = read(course=COURSE).course, read().course
    bare: dict[str, Any] = {
        name: {
            key: part[key]
            for key in ("file", "patient", "day", "name", "kind", "start", "value", "lesion", "site")
            if key in part
        }
        for name, part in COURSE.items()
    }
    bare["measures"]["missing"] = ["<5"]
    minimal = read(course=bare).course
    for name, frame in vars(complete).items():
        for typed_frame in (vars(absent)[name], vars(minimal)[name], vars(Course())[name]):
            assert list(typed_frame.columns) == list(frame.columns)
            assert typed_frame.dtypes.to_dict() == frame.dtypes.to_dict()
        assert vars(absent)[name].empty
        assert len(vars(minimal)[name]) == len(frame)
    assert set(minimal.transplants["route"]) == {""}
    assert minimal.transplants["dose"].isna().all()


def test_a_table_without_rows_is_valid(read: Callable[..., Cohort]) -> None:
    heads = {name: text.partition("\n")[0] + "\n" for name, text in FILES.items()}
    for changes in (COURSE, {"measures": WIDE}):
        assert all(frame.empty for frame in vars(read(heads, course=changes).course).values())


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("cycles.csv", "patient,day,drug\np1,0,x\nD1,7,x\n",
         r"row 3, column 'patient': patient 'D1' is not one of the"),
        ("cycles.csv", "patient,day,drug\np1,C1D1,x\n", r"row 2, column 'day': expected a number, got 'C1D1'"),
        ("cycles.csv", "patient,day,drug\np1,,x\n", r"row 2, column 'day': expected a number, got ''"),
        ("cycles.csv", "patient,date\np1,0\n", r"no column 'drug'; the columns are patient, date"),
        ("drugs.csv", "patient,drug,from,to\np1,amoxicillin,5,2\n",
         r"row 2, column 'to': expected a day on or after the start, day 5, got 2"),
        ("drugs.csv", "patient,drug,from,to\np1,aspirin,5,7\n",
         r"no rule explains 'aspirin'; the manifest's 'course\.medications\.kind\.values' explains \['amoxicillin'"),
        ("drugs.csv", "patient,drug,from,to\np1,amoxicillin,5,now\n",
         r"column 'to': expected a number or one of .*'now'"),
        ("scans.csv", "patient,day,seen,sum\np1,5,better,7\n",
         r"no rule explains 'better'; the manifest's 'course\.assessments\.response\.values'"),
        ("scans.csv", "patient,day,seen,sum\np1,5,,80\np1,9,,-30\n",
         r"row 3, column 'sum': expected the sum of the target lesions' diameters in mm, got -30"),
        ("lesions.csv", "patient,day,number,where,mm\np1,0,1,brain,-4\n",
         r"row 2, column 'mm': expected the lesion's diameter in mm, and not a change of it; got '-4'"),
        ("lesions.csv", "patient,day,number,where,mm\np1,0,1,brain,4\np1,9,1,lung,4\n",
         r"row 3, column 'where': expected the site of this lesion's first row; .* got 'lung'"),
        ("lesions.csv", "patient,day,number,where,mm\np1,0,NA,brain,4\n", r"row 2, column 'number': .* got 'NA'"),
        ("lesions.csv", "patient,day,number,where,mm\np1,0,1,,4\n", r"row 2, column 'where': expected .* site"),
        ("lesions.csv", "patient,day,number,where,mm\np1,0,1,brain,4\np1,0,1,brain,5\n",
         r"row 3, column 'number': .* the same in 'day' and 'number'"),
        ("transplants.csv", FILES["transplants.csv"].replace("250", "a lot"),
         r"row 2, column 'amount': expected a number or one of \['', 'NA'\], got 'a lot'"),
        ("long.csv", "patient,day,measure,value,unit\np1,0,weight,71,kg\np1,0,CRP,1,mg/L\np2,0,weight,150,lb\n",
         r"row 4, column 'unit': 'weight' is in 'lb' here, in 'kg' above"),
        ("cycles.csv", "patient,day,drug\np1,0,x\np1,0,y\np1,0,x\n",
         r"row 4, column 'drug': patient 'p1' has an earlier row that is the same in 'day' and 'drug'"),
        ("scans.csv", "patient,day,seen,sum\np1,5,,80\np1,5,,70\n", r"row 3, column 'day': .* the same in 'day'"),
        ("drugs.csv", "patient,drug,from,to\np1,amoxicillin,2,5\np1,amoxicillin,2,5\n", r"row 3.*same in every column"),
    ],
)  # fmt: skip
def test_impossible_values_are_errors_that_name_the_cell(
    read: Callable[..., Cohort], file: str, text: str, message: str
) -> None:
    with pytest.raises(FileError, match=message) as caught:
        read({file: text}, course=COURSE)
    assert file in str(caught.value)


def test_without_a_sheet_of_patients_those_with_stool_are_accepted(read: Callable[..., Cohort]) -> None:
    bare = {"patients": None, "outcomes": None, "exclude_columns": None, "immune": None}
    assert len(read(course={"cycles": COURSE["cycles"]}, **bare).course.cycles) == 2
    with pytest.raises(FileError, match="'D1' is not one of the cohort's 3"):
        read({"cycles.csv": "patient,day,drug\nD1,0,x\n"}, course={"cycles": COURSE["cycles"]}, **bare)


def test_files_of_the_course_belong_to_the_cohort(write_cohort: Write) -> None:
    names = [file.name for file in load_manifest(write_cohort(course=COURSE)).source_files]
    assert names[-6:] == ["transplants.csv", "cycles.csv", "scans.csv", "lesions.csv", "drugs.csv", "long.csv"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"medications": {**COURSE["medications"], "kind": {"column": "drug", "values": {"x": "drug"}}}},
         r"course\.medications\.kind\.values\.x: Input should be 'antibiotic', 'steroid', 'ppi' or 'other'"),
        ({"measures": {**WIDE, "value": "value"}}, r"course\.measures\.wide\.value: a manifest has no such key here"),
        ({"measures": {"file": "long.csv", "patient": "patient", "day": "day", "value": "value"}},
         r"course\.measures\.long\.name: this key is missing"),
        ({"measures": {**WIDE, "columns": {}}}, r"course\.measures\.wide\.columns: .*at least 1 item"),
        ({"operations": {}}, r"course\.operations: a manifest has no such key here"),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(write_cohort: Write, part: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_manifest(write_cohort(course=part))


def test_the_course_does_not_change_the_features(read: Callable[..., Cohort]) -> None:
    complete, course_free = (
        landmark_table(read(course=COURSE), LandmarkSpec(landmark=0)),
        landmark_table(read(), LandmarkSpec(landmark=0)),
    )
    for block in ("taxa", "immune", "clinical"):
        block_with_course, block_without_course = getattr(complete, block), getattr(course_free, block)
        assert block_with_course.names == block_without_course.names
        np.testing.assert_array_equal(block_with_course.values, block_without_course.values)


# Adverse events


def test_events_keep_their_term_cause_and_organism(read: Callable[..., Cohort]) -> None:
    text = (
        "patient,term,grade,day,cause,sae,found\np1,rash,1,15,ipilimumab,no,\n"
        "p1,bacteraemia,3,40,stool,yes,Escherichia coli\np2,fall,2,3,,,\n"
    )
    rules = {
        "attribution": {"column": "cause", "values": {"ipilimumab": "ICI", "stool": "FMT", "": ""}},
        "serious": {"column": "sae", "yes": ["yes"], "no": ["no"], "unknown": [""]},
        "organism": "found",
    }
    events = read({"events.csv": text}, outcomes={"toxicity": rules}).labels.events
    assert events is not None
    assert events.frame[["term", "attribution", "organism"]].to_numpy().tolist() == [
        ["rash", "ICI", ""],
        ["bacteraemia", "FMT", "Escherichia coli"],
        ["fall", "", ""],
    ]
    assert events.frame["serious"].tolist() == [False, True, pd.NA]
    plain = read().labels.events
    assert plain is not None
    assert plain.frame.dtypes.to_dict() == events.frame.dtypes.to_dict()
    assert plain.frame["term"].tolist() == ["rash", "colitis", "rash", "delirium"]
    assert plain.frame["serious"].isna().all()
    with pytest.raises(FileError, match=r"no rule explains 'ipilimumab'; .*'outcomes\.toxicity\.attribution\.values'"):
        read({"events.csv": text}, outcomes={"toxicity": {"attribution": {"column": "cause", "values": {"": ""}}}})
