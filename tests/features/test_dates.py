"""Dates of sheets, and days from two columns of dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cohort import read_cohort
from features.dates import find_date_order, parse_date
from features.draft import draft_manifest
from features.errors import FileError, InputError

DATES = "sample,patient,taken\ns1,p1,2023-03-20\ns2,p1,2023-03-28\ns3,p1,2023-04-19\ns4,p2,2023-03-30\nd1,D1,\n"
PATIENTS = "patient,age,first_dose\np1,60,{}\np2,71,{}\n"
PARTS = {
    "samples": {"day": {"column": None, "from": "taken", "index": "first_dose"}},
    "patients": {"covariates": None},
    "outcomes": None,
    "exclude_columns": None,
}


@pytest.mark.parametrize(
    "text",
    ["2023-04-13", "2023/04/13", "20230413", "2023-04-13T08:15:00", "2023-04-13 08:15", "13/04/2023", "4/13/2023",
     "13.4.2023", "13-Apr-2023", "13 April 2023", "Apr 13, 2023", "April 13th 2023", "2023-Apr-13",
     "2023/4/13", "2023.4.13", "2023\u5e744\u670813\u65e5"],
)  # fmt: skip
def test_dates_that_can_mean_one_day_only(text: str) -> None:
    assert parse_date(text) == date(2023, 4, 13)


@pytest.mark.parametrize("text", ["", "NA", "2023-13-01", "2023-02-30", "45029", "13/04/23", "32/01/2023", "May 2023"])
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_an_ambiguous_date_needs_the_order_of_its_column() -> None:
    with pytest.raises(InputError, match="'03/04/2023' may be 2023-04-03 or 2023-03-04"):
        parse_date("03/04/2023")
    assert parse_date("03/04/2023", "day_first") == date(2023, 4, 3)
    assert parse_date("03/04/2023", "month_first") == date(2023, 3, 4)
    assert parse_date("04/04/2023") == date(2023, 4, 4)
    assert find_date_order(["03/04/2023", "", "23/04/2023"]) == "day_first"
    assert find_date_order(["03/04/2023", "04/23/2023"]) == "month_first"
    assert find_date_order(["23/04/2023", "04/23/2023"]) is None


@given(st.dates(date(1900, 1, 1)), st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%B %d, %Y"]))
def test_a_date_is_read_as_it_was_written(day: date, layout: str) -> None:
    assert parse_date(day.strftime(layout)) == day


@pytest.mark.parametrize("cells", [("2023-03-30", "2023-03-30"), ("30/03/2023", "30/03/2023"), ("03/30/2023",) * 2])
def test_days_count_from_the_date_in_the_patients_sheet(
    write_cohort: Callable[..., str], tmp_path: Path, cells: tuple[str, str]
) -> None:
    files = {"samples.csv": DATES, "patients.csv": PATIENTS.format(*cells)}
    cohort = read_cohort(write_cohort(files, **PARTS), tmp_path)
    days = dict(zip(cohort.samples["sample"], cohort.samples["day"], strict=True))
    assert {name: days[name] for name in ("s1", "s2", "s3", "s4")} == {"s1": -10, "s2": -2, "s3": 20, "s4": 0}
    assert days["d1"] != days["d1"]  # a donor's stool has no day


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (("03/04/2023", "05/06/2023"), "row 2, column 'first_dose': '03/04/2023' may be.*samples.day.order"),
        (("2023-03-30", "soon"), "row 3, column 'first_dose': expected a date such as 2023-04-03, got 'soon'"),
    ],
)
def test_dates_that_are_asked_for(
    write_cohort: Callable[..., str], tmp_path: Path, cells: tuple[str, str], problem: str
) -> None:
    files = {"samples.csv": DATES, "patients.csv": PATIENTS.format(*cells)}
    with pytest.raises(FileError, match=problem):
        read_cohort(write_cohort(files, **PARTS), tmp_path)


def test_case_21_days_from_two_dates_and_pooled_ages(cases_dir: Path, tmp_path: Path) -> None:
    for file in (cases_dir / "21-age-over-89-and-dates").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = draft_manifest(sorted(tmp_path.iterdir()), "mine")
    assert 'that [">89"] are ages pooled for privacy' in text
    (tmp_path / "mine.yaml").write_text(text)
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert set(cohort.samples["day"]) == {-10.0}
    assert cohort.manifest.clock.name == "day_ici"
    assert cohort.characteristics.loc[["P004", "P005"], "age"].tolist() == [58, 90]


@pytest.mark.parametrize(
    ("sampled", "first_dose", "question"),
    [
        ("2024-02", "2024-03-01", 'sampled would date the samples, but "2024-02" is no date of one day'),
        ("45349", "2024-03-01", "sampled holds 45349, a spreadsheet's number of a day; export the column as dates"),
        ("2024-02-27", "March 24", "first_dose would date the samples, but March 24 is no date of one day"),
        ("2024-02-27", None, "sampled dates the samples; name the column of the date of day 0 too"),
    ],
)
def test_a_draft_says_why_dates_do_not_date_the_samples(
    tmp_path: Path, sampled: str, first_dose: str | None, question: str
) -> None:
    taxa = "species,s1,s2,s3\ns__Blautia_obeum,1,2,3\ns__Dorea_longicatena,3,2,1\n"
    samples = f"sample,patient,sampled\ns1,p1,{sampled}\ns2,p2,2024-02-01\ns3,p3,2024-02-02\n"
    index = "" if first_dose is None else ",first_dose"
    dates = ("", "", "") if first_dose is None else (f",{first_dose}", ",2024-03-02", ",2024-03-03")
    patients = f"patient,age{index}\n" + "".join(f"p{i},60{cell}\n" for i, cell in enumerate(dates, start=1))
    files = [tmp_path / name for name in ("taxa.csv", "samples.csv", "patients.csv")]
    for file, content in zip(files, (taxa, samples, patients), strict=True):
        file.write_text(content, encoding="utf-8")
    assert f"  # TODO: {question}" in draft_manifest(files, "mine")
