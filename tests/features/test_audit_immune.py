"""Checks of immune measurements, with data that must and data that must not trigger them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from features.audit.immune import limits_as_values, plates_apart, quality_warnings
from features.cohort import Cohort, read_cohort

Write = Callable[..., str]
VALUES = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]


def cohort_with(write_cohort: Write, values: Sequence[object]) -> Cohort:
    text = "patient,day,IL6\n" + "".join(f"p1,{-1 - i},{value}\n" for i, value in enumerate(values))
    return read_cohort(write_cohort({"blood.csv": text}), Path())


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([*VALUES, 500, 500, 500], ["ceiling-as-value"]),
        ([*VALUES, 0.16, 0.16, 0.16], ["floor-as-value"]),
        ([*VALUES, 500, 500, 500, 0.16, 0.16, 0.16], ["ceiling-as-value", "floor-as-value"]),
        ([*VALUES, 500, 500], []),
        ([*VALUES, ">500", ">500", ">500"], []),
        ([1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5], []),
        ([0, 0, 0, 0, *VALUES], []),
        ([500, 500, 500, 500], []),
    ],
)
def test_a_limit_written_as_a_value_recurs(write_cohort: Write, values: list[object], codes: list[str]) -> None:
    findings = list(limits_as_values(cohort_with(write_cohort, values)))
    assert [finding.code for finding in findings] == codes
    if codes == ["ceiling-as-value"]:
        assert findings[0].description == "the largest value recurs: IL-6 500 in 3 of 13 values"


OLINK: dict[str, Any] = {
    "layout": "long",
    "unit": "NPX",
    "analyte": "Assay",
    "value": "NPX",
    "plates": {"column": "PlateID"},
    "warnings": ["QC_Warning"],
}


def olink(write_cohort: Write, rows: str, **plates: str) -> Cohort:
    immune = {**OLINK, "plates": {"column": "PlateID", **plates}}
    text = "patient,day,Assay,PlateID,QC_Warning,NPX\n" + rows
    return read_cohort(write_cohort({"blood.csv": text}, immune=immune), Path())


def test_plates_are_warned_of_unless_bridging_samples_joined_them(write_cohort: Write) -> None:
    rows = "p1,-2,IL6,A,PASS,1\np1,-1,IL6,A,PASS,3\np2,-1,IL6,B,PASS,6\n"
    findings = list(plates_apart(olink(write_cohort, rows)))
    assert [finding.code for finding in findings] == ["plates-apart"]
    assert findings[0].description == (
        "2 plates (A with 2 samples, B with 1 samples); medians of an analyte differ by up to 4 NPX"
    )
    assert not list(plates_apart(olink(write_cohort, rows.replace(",B,", ",A,"))))
    assert not list(plates_apart(olink(write_cohort, rows + "p1,-1,IL6,B,PASS,5\n", reference="A")))


def test_warnings_of_quality_control_are_counted_with_their_draws(write_cohort: Write) -> None:
    findings = list(quality_warnings(olink(write_cohort, "p1,-2,IL6,A,WARN,1\np1,-1,IL6,A,Pass,3\n")))
    assert [(finding.code, finding.rows) for finding in findings] == [("assay-warnings", ("p1/-2",))]
    assert findings[0].description == "QC_Warning WARN in 1 of 2 values"
    assert not list(quality_warnings(olink(write_cohort, "p1,-2,IL6,A,PASS,1\np1,-1,IL6,A,,3\n")))


def test_extrapolated_values_are_a_note(write_cohort: Write) -> None:
    findings = list(quality_warnings(cohort_with(write_cohort, ["*0.42", 3, 4])))
    assert [(finding.code, finding.severity) for finding in findings] == [("extrapolated-values", "note")]
    assert findings[0].description == "1 of 3 values lie beyond the standards"
