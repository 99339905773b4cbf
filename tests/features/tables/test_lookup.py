"""The samples' sheet joined with a further sheet that names the patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from features.cohort import read_cohort
from features.errors import FileError
from features.landmark import landmark_table

RUNS = "run,tube,site\ns1,T1,gut\ns2,T2,gut\ns4,T4,gut\ns5,T5,gut\n"
TUBES = "barcode,host,day,site\nT5,p3,-1,x\nT9,p9,0,x\nT4,p2,0,x\nT2,p1,-2,x\nT1,p1,-10,x\n"
SAMPLES = {
    "sample": "run",
    "patient": "host",
    "lookup": {"file": "tubes.csv", "column": "tube", "key": "barcode"},
    "donor": None,
}


def test_a_lookup_gives_each_sample_the_columns_of_its_row(write_cohort: Callable[..., str]) -> None:
    files = {"samples.csv": RUNS, "tubes.csv": TUBES}
    joined = read_cohort(write_cohort(files, samples=SAMPLES), Path())
    assert joined.samples[["sample", "patient", "day"]].to_numpy().tolist() == [
        ["s1", "p1", -10],
        ["s2", "p1", -2],
        ["s4", "p2", 0],
        ["s5", "p3", -1],
    ]
    one_sheet = "sample,patient,day\ns1,p1,-10\ns2,p1,-2\ns4,p2,0\ns5,p3,-1\n"
    plain = read_cohort(write_cohort({"samples.csv": one_sheet}, samples={"donor": None}), Path())
    assert landmark_table(joined).rows.equals(landmark_table(plain).rows)


def test_rows_are_kept_by_a_column_of_either_sheet(write_cohort: Callable[..., str]) -> None:
    keep = {**SAMPLES, "keep_rows": {"day": ["-2", "0"], "site": ["gut"]}}
    cohort = read_cohort(write_cohort({"samples.csv": RUNS, "tubes.csv": TUBES}, samples=keep), Path())
    assert cohort.samples["sample"].tolist() == ["s2", "s4"]


@pytest.mark.parametrize(
    ("tubes", "message"),
    [
        (
            TUBES.replace("T4", "T8"),
            r"samples.csv, row 4, column 'tube': 'T4' is in no row of column 'barcode' of tubes",
        ),
        (TUBES.replace("T9", "T1"), r"tubes.csv, row 6, column 'barcode': 'T1' stands in two rows"),
        (TUBES.replace("p1,-2", "p1,soon"), r"tubes.csv, row 5, column 'day': no day in 'soon'"),
        (TUBES.replace("p2", ""), r"tubes.csv, row 4, column 'host': is empty"),
        (TUBES.replace("barcode", "tube"), r"there is no column 'barcode'"),
    ],
)
def test_an_error_names_the_sheet_that_holds_the_cell(
    write_cohort: Callable[..., str], tubes: str, message: str
) -> None:
    files = {"samples.csv": RUNS, "tubes.csv": tubes}
    # Rows that are left out shift no position.
    for samples in (SAMPLES, {**SAMPLES, "keep_rows": {"site": ["gut"]}}):
        with pytest.raises(FileError, match=message):
            read_cohort(write_cohort(files, samples=samples), Path())


def test_patients_may_stand_in_the_joined_sheet_too(write_cohort: Callable[..., str]) -> None:
    rows = "T1,p1,-10,60,PR\nT2,p1,-2,60,PR\nT4,p2,0,71,SD\nT5,p3,-1,50,PD\n"
    files = {"samples.csv": RUNS, "tubes.csv": f"barcode,host,day,age,best\n{rows}"}
    cohort = read_cohort(
        write_cohort(
            files,
            samples=SAMPLES,
            patients={"file": "samples.csv", "patient": "host", "covariates": {"sex": None}},
            outcomes={"published_response": None, "durable_benefit": None, "toxicity": None},
            exclude_columns=None,
            immune=None,
        ),
        Path(),
    )
    assert cohort.clinical["age"].tolist() == [60, 60, 71, 50]
    assert cohort.labels.label_by_outcome["objective_response"].to_dict() == {"p1": True, "p2": False, "p3": False}
