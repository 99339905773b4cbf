"""Sheets as trial databases export them: REDCap, cBioPortal, rows of several kinds, labels of visits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.cohort import read_cohort
from features.draft import DAY_COLUMN, draft_manifest, names_matching
from features.draft.columns import TimeColumn, find_time_column
from features.draft.controls import control_rows
from features.draft.visit_labels import days_of_labels
from features.draft.visit_names import patients_of_names
from features.errors import FileError, ManifestError
from features.manifest import DatedEvent, Lookup, Manifest, load_manifest

TAXA = "species,s1,s2,s3,s4\ns__Roseburia_hominis,1,2,3,4\ns__Blautia_wexlerae,5,2,1,4\ns__Alistipes_shahii,2,2,9,1\n"


@pytest.fixture
def draft(tmp_path: Path) -> Callable[..., tuple[str, Manifest]]:
    def write(**sheets: str) -> tuple[str, Manifest]:
        for name, text in {"taxa": TAXA, **sheets}.items():
            (tmp_path / f"{name}.csv").write_text(text)
        text = draft_manifest(sorted(tmp_path.glob("*.csv")), "mine")
        (tmp_path / "mine.yaml").write_text(text)
        return text, load_manifest(tmp_path / "mine.yaml")

    return write


def _drafted_case(folder: Path, tmp_path: Path) -> str:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = draft_manifest(sorted(tmp_path.iterdir()), "mine")
    (tmp_path / "mine.yaml").write_text(text)
    return text


def test_case_18_four_comment_rows_above_the_header(cases_dir: Path, tmp_path: Path) -> None:
    _drafted_case(cases_dir / "18-cbioportal-header", tmp_path)
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert len(cohort.characteristics) == 24
    assert cohort.characteristics.loc["P003"].to_dict() == {"age": 70, "sex=male": 1, "sex=female": 0}
    assert set(cohort.samples["day"]) == {-5}
    assert cohort.manifest.outcomes.survival is not None
    assert cohort.manifest.outcomes.survival.overall_survival == DatedEvent(
        time="OS_MONTHS", event="OS_STATUS", unit="months", yes=["1:DECEASED"], no=["0:LIVING"]
    )


def test_case_19_a_repeating_redcap_export_says_what_to_export(cases_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError) as refusal:
        _drafted_case(cases_dir / "19-redcap-repeating", tmp_path)
    problem = str(refusal.value)
    assert "several rows for each record_id" in problem
    assert "stool_arm_1 holds stool_id, stool_day" in problem
    assert "Make one report in REDCap for the stool samples" in problem
    assert "followup_arm_1 adverse_events holds ae_term, ae_grade, ae_day" in problem


def test_a_redcap_export_of_one_row_a_record_is_read(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "".join(f"R{i},baseline_arm_1,{50 + i},s{i},{-i}\n" for i in range(1, 5))
    _, manifest = draft(redcap="record_id,redcap_event_name,age,stool_id,stool_day\n" + rows)
    assert (manifest.samples.patient, manifest.samples.sample) == ("record_id", "stool_id")


def test_rows_are_kept_by_a_column(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    sheet = "sample,patient,day,event\ns1,p1,-10,stool\n,p1,,follow-up\ns4,p2,0,stool\n,p2,,follow-up\n"
    parts: dict[str, Any] = {"samples": {"keep_rows": {"event": ["stool"]}, "donor": None}}
    cohort = read_cohort(write_cohort({"samples.csv": sheet}, **parts), tmp_path)
    assert cohort.samples["sample"].tolist() == ["s1", "s4"]
    with pytest.raises(FileError, match=r"row 3, column 'sample': is empty.*keep_rows"):
        read_cohort(write_cohort({"samples.csv": sheet}, samples={"donor": None}), tmp_path)
    misspelt: dict[str, Any] = {"samples": {"keep_rows": {"event": ["stol"]}}}
    with pytest.raises(FileError, match="'stol', which no row holds; the cells are 'stool', 'follow-up'"):
        read_cohort(write_cohort({"samples.csv": sheet}, **misspelt), tmp_path)


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (("baseline", "Week 6"), (0, 42)),
        (("Pre-treatment", "D21"), (0, 21)),
        (("BL", "wk12"), (0, 84)),
        (("D-7", "D+14"), (-7, 14)),
        (("day -7", "12 weeks"), (-7, 84)),
        (("C1D1", "C1D8"), (0, 7)),
        (("Pre-FMT", "3 months post FMT"), (0, 91)),
        (("2 weeks before treatment", "post day 28"), (-14, 28)),
        (("vor Therapie", "Woche 6"), (0, 42)),
    ],
)
def test_labels_that_state_days_are_drafted(
    draft: Callable[..., tuple[str, Manifest]], labels: tuple[str, str], days: tuple[float, float]
) -> None:
    sheet = f"sample,patient_id,timepoint\ns1,p1,{labels[0]}\ns2,p1,{labels[1]}\ns3,p2,{labels[0]}\ns4,p2,{labels[1]}\n"
    _, manifest = draft(samples=sheet)
    assert manifest.samples.day is not None
    assert getattr(manifest.samples.day, "labels", None) == dict(zip(labels, days, strict=True))


def test_labels_without_days_are_asked_for(draft: Callable[..., tuple[str, Manifest]]) -> None:
    text, manifest = draft(samples="sample,patient_id,timepoint\ns1,p1,T0\ns2,p1,T4\ns3,p2,T0\ns4,p2,T4\n")
    assert manifest.samples.day is None
    assert "state the day of each label: 'day: {column: timepoint, labels: {T0: TODO, T4: TODO}}'" in text


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (("D-7", "D-28"), (None, None)),
        (("C1D1", "C2D1"), (0, None)),
        (("baseline", "C1D1"), (None, 0)),
        (("pre-FMT", "pre-ICI"), (None, None)),
        (("W4 post FMT", "W4 post ICI"), (None, None)),
        (("M0", "M3"), (0, None)),
        (("W4-6", "week 6"), (None, 42)),
        (("W0 predose", "W6 predose"), (None, None)),
        (("BL", "pre D21"), (0, None)),
        (("baseline", "6 weeks pre-dose"), (0, None)),
        (("before week 6", "week 12"), (None, 84)),
        (("baseline", "Post-treatment week 4"), (0, None)),
        (("Week 12", "4 weeks post"), (84, None)),
        (("Week 12", "4 weeks post FMT"), (84, 28)),
        (("baseline", "after 3 weeks"), (0, 21)),
        (("pre-FMT", "C1D8"), (None, None)),
        (("Pre", "C1D8"), (0, 7)),
        (("pre-FMT", "W4 post ICI"), (None, None)),
        (("Day 0 post FMT", "D28 post dose"), (None, None)),
        (("pre-FMT", "W4"), (0, 28)),
    ],
)
def test_a_day_that_a_label_leaves_open_is_none(labels: tuple[str, str], days: tuple[float | None, ...]) -> None:
    assert days_of_labels(labels) == dict(zip(labels, days, strict=True))


def test_a_day_of_a_cycle_is_no_day_of_the_clock(draft: Callable[..., tuple[str, Manifest]]) -> None:
    text, manifest = draft(samples="sample,patient,visit\ns1,p1,C1D1\ns2,p1,C2D1\ns3,p2,C1D1\ns4,p2,C2D1\n")
    assert manifest.samples.day is None
    assert "labels: {C1D1: 0, C2D1: TODO}" in text
    for names in (["C01-D28", "C02-D14"], ["P01-D0", "ABC1D28"]):
        by_name = TimeColumn("day", "sample", r"(?<=[0-9_.-])[Dd](ay)?_?(?P<day>-?[0-9]+)$")
        assert find_time_column(pd.DataFrame({"sample": names})) == by_name
    for names in (["P01C1D1", "P01C3D1"], ["P1_C1D15", "P1_C3D15"], ["P1_D0", "P1_C3D1"], ["C1D1", "C2D1"]):
        assert find_time_column(pd.DataFrame({"sample": names})) is None


@pytest.mark.parametrize(
    ("column", "cells", "labels"),
    [
        ("week", "0 4 12", {"0": 0, "4": 28, "12": 84}),
        ("months_post_fmt", "1 3 6", {"1": 30, "3": 91, "6": 183}),
        ("Woche", "-1 6", {"-1": -7, "6": 42}),
        ("month", "3 7 11", None),
        ("weeks_of_steroids", "2 5", None),
        ("os_weeks", "0 50", None),
        ("weeks_to_response", "6 12", None),
        ("weeks_since_first_dose", "6 12", {"6": 42, "12": 84}),
        ("weeks_to_treatment", "6 12", None),
        ("weeks_on_treatment", "0 12", None),
        ("weeks_after_treatment", "2 4", None),
        ("weeks_since_admission", "0 12", None),
        ("months_since_dx", "3 9", None),
        ("months_from_stage_iv", "0 9", None),
        ("duration_months", "0 5", None),
    ],
)
def test_days_of_weeks_and_months(column: str, cells: str, labels: dict[str, float] | None) -> None:
    time = find_time_column(pd.DataFrame({column: cells.split()}))
    assert time == (labels and TimeColumn("day", column, labels=labels))


def test_weeks_date_samples_where_no_date_or_label_does(draft: Callable[..., tuple[str, Manifest]]) -> None:
    samples = [("s1", "p1", "baseline", 0), ("s2", "p1", "Week 6", 6), ("s3", "p2", "baseline", 0)]
    rows = "".join(f"{sample},{patient},{label},{weeks}\n" for sample, patient, label, weeks in samples)
    _, manifest = draft(samples="sample,patient,timepoint,week\n" + rows)
    assert manifest.samples.day is not None
    assert manifest.samples.day.column == "timepoint"
    rows = "".join(
        f"{sample},{patient},2024-01-0{weeks + 1},2024-01-03,{weeks}\n" for sample, patient, _, weeks in samples
    )
    _, manifest = draft(samples="sample,patient,collection date,first dose date,week\n" + rows)
    assert manifest.samples.day is not None
    assert getattr(manifest.samples.day, "date", None) == "collection date"
    _, manifest = draft(samples="sample,patient,note,week\n" + rows.replace("2024-01-03,", ""))
    assert manifest.samples.day is not None
    assert manifest.samples.day.column == "week"


def test_weeks_that_are_the_same_in_each_of_a_patients_samples_date_none() -> None:
    frame = pd.DataFrame({"patient": ["p1", "p1", "p2", "p2"], "week": ["0", "0", "12", "12"]})
    assert find_time_column(frame, "patient") is None
    frame["week"] = ["0", "6", "12", "12"]
    assert find_time_column(frame, "patient") is not None


@pytest.mark.parametrize(
    ("labels", "clock"),
    [
        (("Pre-FMT", "3 months post FMT"), "day_fmt"),
        (("Pre-ICI", "W6"), "day_ici"),
        (("Pre", "C1D8"), "day_ici"),
        (("Pre-treatment", "W6"), "TODO"),
    ],
)
def test_labels_state_the_clock(
    draft: Callable[..., tuple[str, Manifest]], labels: tuple[str, str], clock: str
) -> None:
    rows = "".join(f"s{i},p{i // 3},{labels[i % 2]}\n" for i in range(1, 5))
    text, manifest = draft(samples="sample,patient,visit\n" + rows)
    assert ("TODO" if "index: TODO" in text else manifest.clock.name) == clock


@pytest.mark.parametrize(
    ("column", "labels", "is_drafted"),
    [
        ("day", ("D0", "D14"), True),
        ("week", ("W0", "W6"), True),
        ("collection_timepoint", ("baseline", "W6"), True),
        ("Zeitpunkt", ("Baseline", "Woche 6"), True),
        ("sampling time", ("BL", "6 weeks"), True),
        ("phase", ("Pre-treatment", "On-treatment"), False),
        ("time_to_response", ("W6", "W12"), False),
        ("survival time", ("6 months", "12 months"), False),
        ("antibiotics_time", ("pre", "W4"), False),
        ("storage_time", ("3 days", "3 weeks"), False),
        ("sampling_delay_days", ("0 days", "2 days"), False),
        ("collection time", ("3 weeks post FMT", "6 weeks post FMT"), True),
    ],
)
def test_labels_under_other_names_date_samples_if_each_states_a_day(
    draft: Callable[..., tuple[str, Manifest]], column: str, labels: tuple[str, str], is_drafted: bool
) -> None:
    rows = "".join(f"s{i},p{i // 3},{labels[i % 2]}\n" for i in range(1, 5))
    _, manifest = draft(samples=f"sample,patient,{column}\n" + rows)
    assert (manifest.samples.day is not None) == is_drafted


def test_a_batch_is_no_part_of_a_date(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "".join(f"s{i},p{i},Batch-0{i}\n" for i in range(1, 5))
    text, _ = draft(samples="sample,patient,collection\n" + rows)
    assert "dates the samples" not in text
    assert "is no date of one day" not in text


@pytest.mark.parametrize("cell", ["15/01/23", "Jan-2023", "2023-01"])
def test_dates_without_a_century_or_a_day_are_pointed_out(
    draft: Callable[..., tuple[str, Manifest]], cell: str
) -> None:
    rows = "".join(f"s{i},p{i},{cell},2023-02-03\n" for i in range(1, 5))
    text, manifest = draft(samples="sample,patient,collection date,first dose date\n" + rows)
    assert manifest.samples.day is None
    assert f"{cell if cell[0] == 'J' else chr(34) + cell + chr(34)} is no date of one day, such as 2024-02-27" in text


@pytest.mark.parametrize(
    "column",
    ["days_since_diagnosis", "Days from surgery", "days since last dose", "days_to_response", "days_of_antibiotics"],
)
def test_days_from_another_event_date_no_samples(column: str) -> None:
    cells = ["100", "230", "410"]
    assert find_time_column(pd.DataFrame({column: cells})) is None
    assert find_time_column(pd.DataFrame({column: cells, "day": ["-3", "-1", "0"]})) == TimeColumn("day", "day")


TRIAL = "sample,subject,day,kind\ns1,p1,-3,recipient\ns2,p1,14,recipient\ns3,p2,-3,recipient\ns4,DonorA,{day},{kind}\n"


@pytest.mark.parametrize("kind", ["donor", "healthy"])
def test_the_patients_sheet_may_name_the_donors(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, kind: str
) -> None:
    clinical = "subject,age,FMT donor,response\np1,50,DonorA,CR\np2,61,,PD\n"
    text, manifest = draft(samples=TRIAL.format(day=0, kind=kind), clinical=clinical)
    assert manifest.samples.donor_sample == "FMT donor"
    assert manifest.samples.donor is not None
    (tmp_path / "mine.yaml").write_text(text.replace("TODO", "stated"))
    samples = read_cohort(tmp_path / "mine.yaml", tmp_path).samples.set_index("sample")
    assert samples["donor_sample"].to_dict() == {"s1": "DonorA", "s2": "DonorA", "s3": "", "s4": ""}
    assert samples["donor"].to_dict() == {"s1": False, "s2": False, "s3": False, "s4": True}


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ("s1,p1,patient\ns2,p1,patient\ns3,p2,patient\ns4,D1,Healthy donor\n", "^Healthy donor$"),
        ("s1,p1,a\ns2,p1,a\ns3,p2,b\ns4,Donor1,b\n", "^Donor(?![A-Za-z]{2})"),
        ("s1,p1,a\ns2,p1,a\ns3,DonorA,b\ns4,FMT_donor_2,b\n", "^(Donor|FMT_donor)(?![A-Za-z]{2})"),
        ("s1,Donorova,a\ns2,Donorova,a\ns3,p2,b\ns4,Donor1,b\n", "^Donor(?![A-Za-z]{2})"),
        ("s1,p1,R\ns2,p2,R\ns3,p3,R\ns4,D1,Donor (CMV+)\n", r"^Donor \(CMV\+\)$"),
        ("s1,p1,R\ns2,p2,R\ns3,p3,R\ns4,D1,Donor (lot [A)\n", r"^Donor \(lot \[A\)$"),
        ("s1,p1,placebo\ns2,p2,placebo\ns3,p3,Donor (FMT)\ns4,p4,Donor (FMT)\n", None),
        ("s1,p1,autologous\ns2,p2,autologous\ns3,p3,Fecal donor\ns4,p4,Fecal donor\n", None),
        ("s1,p1,recipient\ns2,p2,recipient\ns3,p3,recipient\ns4,p1,donor\n", None),
        ("s1,p1,Recipient\ns2,p1,Recipient\ns3,p2,Recipient\ns4,D1,Donor (healthy)\n", r"^Donor \(healthy\)$"),
        ("s1,Donorski,a\ns2,p1,a\ns3,p2,b\ns4,p3,b\n", None),
        ("s1,p1,donor FMT\ns2,p2,donor FMT\ns3,p3,placebo\ns4,p4,placebo\n", None),
    ],
)
def test_donors_are_known_by_a_word_or_their_names(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, rows: str, pattern: str | None
) -> None:
    text, manifest = draft(samples="sample,subject,group\n" + rows)
    assert (manifest.samples.donor and manifest.samples.donor.pattern) == pattern
    (tmp_path / "mine.yaml").write_text(text.replace("TODO", "stated"))
    donors = read_cohort(tmp_path / "mine.yaml", tmp_path).samples.set_index("sample")["donor"]
    assert donors["s4"] == (pattern is not None)
    assert not donors["s1"]


@pytest.mark.parametrize(("pool", "separator"), [("D1+D2", "+"), ("D1 / D2", "/"), ("D1", None)])
def test_a_pool_of_donors_is_parted(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, pool: str, separator: str | None
) -> None:
    rows = f"s1,p1,-3,{pool}\ns2,p2,-3,D2\ns3,D1,,NA\ns4,D2,,NA\n"
    text, manifest = draft(samples="sample,subject,day,donor\n" + rows)
    assert (manifest.samples.donor_sample, manifest.samples.donor_separator) == ("donor", separator)
    (tmp_path / "mine.yaml").write_text(text.replace("TODO", "stated"))
    samples = read_cohort(tmp_path / "mine.yaml", tmp_path).samples.set_index("sample")
    assert samples["donor"].tolist() == [False, False, True, True]


def test_a_flag_of_donors_is_read(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "s1,p1,-3,no\ns2,p1,14,no\ns3,p2,-3,no\ns4,D1,,Yes\n"
    _, manifest = draft(samples="sample,subject,day,is_donor\n" + rows)
    assert manifest.samples.donor is not None
    assert (manifest.samples.donor.column, manifest.samples.donor.pattern) == ("is_donor", "^Yes$")
    _, manifest = draft(samples="sample,subject,day,received_donor_stool\n" + rows.replace(",,", ",0,"))
    assert manifest.samples.donor is None


def test_what_patients_received_makes_no_donors(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "s1,p1,-3,Healthy donor\ns2,p2,-3,Healthy donor\ns3,p3,-3,unknown\ns4,p4,-3,unknown\n"
    for column in ("arm", "stool_source", "Treatment group", "stool received"):
        _, manifest = draft(samples=f"sample,subject,day,{column}\n" + rows)
        assert manifest.samples.donor is None
    samples = "sample,subject,day,kind\n" + rows
    _, manifest = draft(samples=samples, clinical="subject,response\np1,R\np2,NR\np3,R\np4,NR\n")
    assert manifest.samples.donor is None
    _, manifest = draft(samples=samples, clinical="subject,response\np1,\np2,\np3,R\np4,NR\n")
    assert manifest.samples.donor is not None
    numbers = "s1,p1,-3,1\ns2,p2,-3,2\ns3,p3,-3,3\ns4,p4,-3,4\n"
    for column in ("donor_sample", "donor_flag"):
        _, manifest = draft(samples=f"sample,subject,day,{column}\n" + numbers)
        assert manifest.samples.donor is None


def test_samples_of_other_sites_are_left_out_beside_stool(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "s1,p1,stool,0\ns2,p1,saliva,0\ns3,p2,rectal swab,0\ns4,p2,tumor tissue,0\n"
    text, manifest = draft(samples="sample,patient,body site,day\n" + rows)
    assert manifest.samples.keep_rows == {"body site": ("stool", "rectal swab")}
    assert "2 rows are of another site than the gut" in text
    _, manifest = draft(samples="sample,patient,body site,day\n" + rows.replace("stool", "rectum"))
    assert not manifest.samples.keep_rows


@pytest.mark.parametrize("column", ["sample_type", "body site", "Specimen"])
def test_words_of_sites_are_parted_at_underscores(draft: Callable[..., tuple[str, Manifest]], column: str) -> None:
    rows = "s1,p1,stool_sample,0\ns2,p1,oral_swab,0\ns3,p2,stool_sample,0\ns4,p2,stool_sample,0\n"
    _, manifest = draft(samples=f"sample,patient,{column},day\n" + rows)
    assert manifest.samples.keep_rows == {column: ("stool_sample",)}


@pytest.mark.parametrize("sites", ["skin melanoma,gut melanoma", "Skin,Gut"])
def test_the_site_of_a_tumour_is_no_site_of_sampling(draft: Callable[..., tuple[str, Manifest]], sites: str) -> None:
    skin, gut = sites.split(",")
    rows = f"s1,p1,{skin},0\ns2,p2,{gut},0\ns3,p3,{skin},0\ns4,p4,{gut},0\n"
    _, manifest = draft(samples="sample,patient,category,day\n" + rows)
    assert not manifest.samples.keep_rows
    clinical = f"patient,category,age\np1,{skin},50\np2,{gut},60\np3,{skin},55\np4,{gut},65\n"
    _, manifest = draft(samples="sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n", clinical=clinical)
    assert manifest.patients is not None
    assert not manifest.patients.keep_rows


def test_patients_without_stool_are_asked_about(draft: Callable[..., tuple[str, Manifest]], tmp_path: Path) -> None:
    rows = "s1,p1,stool,0\ns2,p1,saliva,0\ns3,p2,stool,0\ns4,p3,saliva,0\n"
    text, _ = draft(samples="sample,patient,body site,day\n" + rows)
    assert "2 rows are of another site than the gut, and patients such as p3 have no others; write the sites" in text
    with pytest.raises(FileError, match="keep_rows keeps 'TODO', which no row holds; the cells are 'stool', 'saliva'"):
        read_cohort(tmp_path / "mine.yaml", tmp_path)


def test_statistics_of_analytes_do_not_hide_outcomes(draft: Callable[..., tuple[str, Manifest]]) -> None:
    samples = "sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    header = "patient,age,recist,CRP_max,IL6_max,IL6_mean\n"
    rows = "p1,50,CR,1,2,3\np2,60,PD,2,3,4\np3,55,SD,3,4,5\np4,61,PR,4,5,6\n"
    text, manifest = draft(samples=samples, clinical=header + rows)
    assert manifest.outcomes.recist is not None
    assert "of clinical.csv, columns such as CRP_max name an analyte and more" in text


def test_a_second_sheet_of_patients_belongs_to_the_first(draft: Callable[..., tuple[str, Manifest]]) -> None:
    samples = "sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    first = "patient,age\np1,50\np2,60\np3,55\np4,61\n"
    second = "patient,sex,recist\np1,F,CR\np2,M,PD\np3,M,SD\np4,F,PR\n"
    text, _ = draft(samples=samples, c1=first, c2=second)
    assert "c2.csv is not used: a cohort has one sheet of patients; add these columns to c1.csv" in text


@pytest.mark.parametrize(("cell", "name"), [("3-4", '"3-4"'), ("", "an empty cell")])
def test_a_grade_is_written_where_a_cell_is_none(
    draft: Callable[..., tuple[str, Manifest]], cell: str, name: str
) -> None:
    samples = "sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    text, _ = draft(samples=samples, events=f"patient,AE term,grade,onset_week\np1,rash,2,3\np2,colitis,{cell},5\n")
    assert f"write the grade that was reached in row 3, where {name} is no grade" in text


def test_a_few_taxa_without_known_names_are_a_taxa_table_where_no_other_is(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path
) -> None:
    fungi = "sample,Candida albicans,Saccharomyces cerevisiae,Malassezia restricta\n"
    rows = "".join(f"s{i},{i},2,3\n" for i in range(1, 5))
    sheet = "sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    _, manifest = draft(taxa=fungi + rows, sheet=sheet)
    assert manifest.taxa.sample_axis == "rows"
    _, manifest = draft(other=fungi + rows, sheet=sheet)
    assert manifest.taxa.file == "taxa.csv"


def test_sheets_of_one_kind_belong_into_one_file(draft: Callable[..., tuple[str, Manifest]]) -> None:
    first, second = "sample,patient,day\ns1,p1,0\ns2,p2,0\n", "sample,patient,day\ns3,p3,0\ns4,p4,0\n"
    text, _ = draft(first=first, second=second)
    assert "second.csv is not used: its columns are those of first.csv; put the rows of both into one file" in text


@pytest.mark.parametrize(
    ("header", "control", "key"),
    [
        ("sample,patient,sample_type,day", "s6,,extraction blank,", "keep_rows"),
        ("sample,patient,sample_type,day", "s6,NTC,NTC,0", "keep_rows"),
        ("sample,patient,note,day", "NTC_1,NTC,x,0", "exclude_samples"),
        ("sample,patient,note,day", "study_mock-2,mock,x,0", "exclude_samples"),
    ],
)
def test_technical_controls_are_left_out(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, header: str, control: str, key: str
) -> None:
    names = [f"study_s{i}" if control.startswith("study") else f"s{i}" for i in range(1, 6)]
    name = control.partition(",")[0]
    taxa = f"species,{','.join([*names, name])}\ns__Roseburia_hominis,1,2,3,4,5,6\ns__Blautia_wexlerae,5,2,1,4,2,2\n"
    rows = "".join(f"{sample},p{i},stool,{-i}\n" for i, sample in enumerate(names))
    text, manifest = draft(taxa=taxa, sheet=f"{header}\n{rows}{control}\n")
    assert manifest.samples.model_fields_set & {"keep_rows", "exclude_samples"} == {key}
    assert (manifest.samples.patient, manifest.samples.day and manifest.samples.day.column) == ("patient", "day")
    (tmp_path / "mine.yaml").write_text(text.replace("TODO", "stated"))
    assert read_cohort(tmp_path / "mine.yaml", tmp_path).samples["sample"].tolist() == names


@pytest.mark.parametrize(
    "rows",
    [
        "s1,p1,mock,0\ns2,p2,FMT,0\ns3,p3,FMT,0\ns4,p4,FMT,0\n",
        "s1,p1,negative control,0\ns2,p2,FMT,0\ns3,p3,FMT,0\ns4,p4,FMT,0\n",
    ],
)
def test_an_arm_is_no_technical_control(draft: Callable[..., tuple[str, Manifest]], rows: str) -> None:
    _, manifest = draft(samples="sample,patient,treatment_type,day\n" + rows)
    assert manifest.samples.model_fields_set.isdisjoint({"keep_rows", "exclude_samples"})


@pytest.mark.parametrize("spelling", ["ntc-1", "NTC-1"])
def test_a_technical_control_is_excluded_as_its_profile_is_spelled(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, spelling: str
) -> None:
    names = [f"s_{i}" for i in range(1, 6)]
    taxa = f"species,{','.join(names)},{spelling}\ns__Roseburia_hominis,1,2,3,4,5,6\ns__Blautia_wexlerae,5,2,1,4,2,2\n"
    rows = "".join(f"S-{i},p{i},0\n" for i in range(1, 6))
    text, manifest = draft(taxa=taxa, sheet=f"sample,patient,day\n{rows}NTC-1,NTC,0\n")
    assert set(manifest.samples.exclude_samples) == {spelling}
    (tmp_path / "mine.yaml").write_text(text.replace("TODO", "stated"))
    assert read_cohort(tmp_path / "mine.yaml", tmp_path).samples["sample"].tolist() == names


@pytest.mark.parametrize(("response", "is_excluded"), [("R", False), ("", True)])
def test_who_has_a_response_is_no_technical_control(
    draft: Callable[..., tuple[str, Manifest]], response: str, *, is_excluded: bool
) -> None:
    sheet = f"sample,patient,day,response\ns1,p1,0,R\ns2,p2,0,NR\ns3,p3,0,NR\nMOCK4,MOCK4,0,{response}\n"
    _, manifest = draft(taxa=TAXA.replace("s4", "MOCK4"), sheet=sheet)
    assert bool(manifest.samples.exclude_samples) == is_excluded


def test_names_that_all_hold_one_word_are_no_technical_controls() -> None:
    assert not control_rows(pd.Series(["MOCK1", "FMT2", "FMT3", "FMT4", "FMT5"])).any()
    assert control_rows(pd.Series(["MOCK1", "S2", "S3", "S4", "S5"])).any()
    assert not control_rows(pd.Series(["PBS01", "PBS02", "PBS03", "PBS04"])).any()
    assert not control_rows(pd.Series(["water_1", "neg", "Control7", "P1", "P2", "P3", "P4", "P5", "P6"])).any()


@pytest.mark.parametrize("separator", ["_", "-", " ", "."])
@pytest.mark.parametrize(
    "visits", [("pre", "w12"), ("D-5", "D28"), ("C1D1", "C2D1"), ("baseline", "post-FMT"), ("vor", "Woche 6")]
)
def test_a_patient_and_a_visit_in_one_name_are_asked_for(
    draft: Callable[..., tuple[str, Manifest]], tmp_path: Path, separator: str, visits: tuple[str, str]
) -> None:
    names = [f"p{i}{separator}{visit}" for i in (1, 2) for visit in visits]
    taxa = TAXA.replace("s1,s2,s3,s4", ",".join(names))
    text, _ = draft(taxa=taxa, sheet="sample,age\n" + ",50\n".join([*names, ""]))
    assert "holds a patient and a visit; add a column of patients, such as p1" in text
    with pytest.raises(ManifestError, match=r"the draft is not finished; settle .*samples\.patient"):
        read_cohort(tmp_path / "mine.yaml", tmp_path)


@pytest.mark.parametrize("separator", ["_", "-", " ", ".", ""])
@pytest.mark.parametrize(
    ("visits", "days"),
    [(("W0", "w12"), [0, 84]), (("D-5", "D28"), [-5, 28]), (("t0", "T1"), None)],
)
def test_profiles_are_listed_by_their_names_where_these_hold_patients_and_visits(
    draft: Callable[..., tuple[str, Manifest]],
    tmp_path: Path,
    separator: str,
    visits: tuple[str, str],
    days: list[float] | None,
) -> None:
    names = [f"p{i}{separator}{visit}" for i in (1, 2) for visit in visits]
    text, manifest = draft(taxa=TAXA.replace("s1,s2,s3,s4", ",".join(names)), sheet="patient,age\np1,50\np2,60\n")
    assert manifest.samples.file is None
    assert manifest.patients is not None
    if days is None:
        # No label states a day, so that the user is asked.
        assert "or state the day of each label" in text
        return
    for line in [line for line in text.splitlines() if "TODO" in line]:
        text = text.replace(line, line.partition("  # ")[0].replace("TODO", "x"))
    (tmp_path / "mine.yaml").write_text(text)
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert list(cohort.samples["patient"]) == ["p1", "p1", "p2", "p2"]
    assert list(cohort.samples["day"]) == days * 2
    assert list(cohort.clinical["age"]) == [50, 50, 60, 60]


def test_profiles_alone_are_listed_by_their_names_and_make_no_sheet_of_patients(
    draft: Callable[..., tuple[str, Manifest]],
) -> None:
    _, manifest = draft(taxa=TAXA.replace("s1,s2,s3,s4", "p1_D0,p1_D28,p2_D0,p2_D28"), sheet="ward,beds\nA,3\nB,4\n")
    assert (manifest.samples.file, manifest.samples.patient, manifest.patients) == (None, "patient", None)


@pytest.mark.parametrize(
    "names", [("A_1", "A_2"), ("S1_rep1", "S1_rep2"), ("MEL_D1", "OVA_D2"), ("P1_on", "P2x"), ("MEL_T1", "MEL_T2")]
)
def test_a_name_that_holds_no_visit_or_another_patient_is_not_parted(names: tuple[str, str]) -> None:
    assert patients_of_names(names) == {}


@pytest.mark.parametrize(
    ("column", "cells", "is_patient"),
    [
        ("ID", "AABB", True),
        ("MRN", "AABB", True),
        ("case no", "AABB", True),
        ("ID", "ABCD", False),
        ("batch", "AABB", False),
    ],
)
def test_a_patient_of_several_samples_is_known_by_an_id(
    draft: Callable[..., tuple[str, Manifest]], column: str, cells: str, is_patient: bool
) -> None:
    rows = "".join(f"s{i},{cell},{i}\n" for i, cell in enumerate(cells, start=1))
    _, manifest = draft(samples=f"sample,{column},day\n{rows}")
    assert manifest.samples.patient == (column if is_patient else "sample")


def test_profiles_that_further_columns_name_are_asked_about(draft: Callable[..., tuple[str, Manifest]]) -> None:
    text, _ = draft(samples="patient,stool_pre,stool_post,age\np1,s1,s2,50\np2,s3,s4,60\n")
    assert "# TODO: [stool_post] name further profiles; write a row for each sample, with its patient and day" in text
    text, _ = draft(samples="sample,patient,other,day\ns1,p1,s1,0\ns2,p2,s2,0\ns3,p3,s3,0\ns4,p4,s4,0\n")
    assert "further profiles" not in text


@pytest.mark.parametrize(
    ("column", "cells", "kept_cells"),
    [
        ("QC", ("pass", "pass", "fail", "pass"), ["pass"]),
        ("sample_QC_status", ("OK", "OK", "OK", "FAILED"), ["OK"]),
        ("QC", ("pass", "fail", "fail", "pass"), None),
        ("QC", ("pass", "pass", "maybe", "pass"), None),
        ("response", ("yes", "no", "yes", "yes"), None),
    ],
)
def test_samples_that_failed_quality_control_are_left_out(
    draft: Callable[..., tuple[str, Manifest]], column: str, cells: tuple[str, ...], kept_cells: list[str] | None
) -> None:
    rows = "".join(f"s{i},p{i},0,{cell}\n" for i, cell in enumerate(cells, start=1))
    _, manifest = draft(samples=f"sample,patient,day,{column}\n{rows}")
    assert {name: list(values) for name, values in manifest.samples.keep_rows.items()} == (
        {column: kept_cells} if kept_cells else {}
    )


def test_multiples_of_the_upper_limit_are_no_units_of_ldh(draft: Callable[..., tuple[str, Manifest]]) -> None:
    clinical = "patient,LDH (xULN),LDH\np1,0.8,200\np2,1.2,300\np3,2.5,900\np4,1,250\n"
    _, manifest = draft(samples="sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n", clinical=clinical)
    assert manifest.patients is not None
    assert manifest.patients.covariates["ldh"].column == "LDH"


def test_a_number_of_the_study_names_the_patients_of_a_clinical_sheet(
    draft: Callable[..., tuple[str, Manifest]],
) -> None:
    clinical = "study_no,weight,age,recist\n" + "".join(f"A{i},{i}.5,{50 + i},CR\n" for i in range(1, 5))
    lookup = "barcode,study_no,weight\n" + "".join(f"s{i},A{i},{i}.5\n" for i in range(1, 5))
    text, manifest = draft(samples=lookup, clinical=clinical)
    assert manifest.samples.patient == "study_no"
    assert "# guessed: clinical.csv has clinical columns of these in column study_no; TODO: confirm" in text
    assert manifest.patients is not None
    _, manifest = draft(samples=lookup, clinical=clinical.replace("study_no", "patient_id"))
    assert manifest.samples.patient == "study_no"
    assert manifest.samples.lookup is None
    _, manifest = draft(samples=lookup.replace("study_no", "tube").replace("A", "T"), clinical=clinical)
    assert manifest.samples.patient == "barcode"


@pytest.mark.parametrize(
    ("column", "days", "is_asked"),
    [
        ("day", ["-3", "1", "1", "1"], True),
        ("study_day", ["1", "1", "29", "29"], True),
        ("day", ["-3", "0", "1", "1"], False),
        ("day", ["1", "1", "7", "7"], False),
    ],
)
def test_whether_day_1_is_the_first_dose_is_asked(
    draft: Callable[..., tuple[str, Manifest]], column: str, days: list[str], is_asked: bool
) -> None:
    rows = "".join(f"s{i},p{i},{day}\n" for i, day in enumerate(days, start=1))
    text, _ = draft(samples=f"sample,patient,{column}\n{rows}")
    assert ("no day is 0; if the first dose is on day 1" in text) == is_asked
    assert ('"1": 0' in text) == is_asked


def test_a_row_of_units_or_a_spreadsheets_decimals_are_pointed_out(draft: Callable[..., tuple[str, Manifest]]) -> None:
    samples = "sample,patient,day\ns1,101,0\ns2,102,0\ns3,103,0\ns4,104,0\n"
    rows = "101,50\n102,60\n103,55\n104,61\n"
    text, _ = draft(samples=samples, clinical=f"patient,age\n,years\n{rows}")
    assert "clinical.csv is not used: patient is empty in rows such as 2; remove rows of units" in text
    text, _ = draft(samples=samples, clinical="patient,age\n" + rows.replace(",", ".0,"))
    assert '"101.0" in column patient may be patient "101"' in text


def test_patients_of_another_sheet_are_looked_up(draft: Callable[..., tuple[str, Manifest]], tmp_path: Path) -> None:
    barcodes = "barcode,sample id,number\ns1,A,1\ns2,B,2\ns3,C,3\ns4,D,4\n"
    samples = "sample id,patient,day,recist\nA,p1,-2,CR\nB,p1,28,CR\nC,p2,-2,PD\nD,p2,28,PD\n"
    text, manifest = draft(barcodes=barcodes, samples=samples)
    assert manifest.samples.lookup == Lookup(file="samples.csv", column="sample id", key="sample id")
    assert manifest.outcomes.recist is not None
    assert "is not used" not in text
    cohort = read_cohort(tmp_path / "mine.yaml", tmp_path)
    assert cohort.samples["patient"].tolist() == ["p1", "p1", "p2", "p2"]
    assert cohort.samples["day"].tolist() == [-2, 28, -2, 28]
    text, manifest = draft(barcodes=barcodes, samples=samples.replace("D,p2", "E,p2"))
    assert (manifest.samples.lookup, manifest.samples.patient) == (None, "TODO")
    assert "would name the patients, but barcodes.csv, row 5: 'D' is in no row of column 'sample id'" in text
    # Patients of one age are not one patient.
    ages = "barcode,age\ns1,50\ns2,60\ns3,70\ns4,80\n"
    _, manifest = draft(barcodes=ages, samples="patient,age\np1,50\np2,60\np3,70\np4,80\n")
    assert manifest.samples.lookup is None
    # Rows of sheets that do not belong together are numbered alike.
    text, manifest = draft(barcodes=barcodes, samples="no,patient,day\n1,p1,-2\n2,p1,28\n3,p2,-2\n4,p2,28\n")
    assert manifest.samples.patient == "barcode"


def test_why_a_sheet_of_patients_is_not_used(draft: Callable[..., tuple[str, Manifest]]) -> None:
    samples = "sample,patient,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    text, _ = draft(samples=samples, clinical="variable,p1,p2,p3,p4\nage,50,61,70,44\nsex,F,M,F,M\n")
    assert "its patients, such as p1, are columns; swap rows and columns" in text
    text, _ = draft(samples=samples, clinical="patient,Karnofsky\np1,90\np2,80\np3,70\np4,100\n")
    assert "it names patients in column patient, but no other column is known by its name" in text
    scans = "patient,scan,response\n" + "".join(
        f"p{i},{scan},{('SD', 'PR')[scan]}\n" for i in (1, 2) for scan in (0, 1)
    )
    text, _ = draft(samples=samples, clinical=scans)
    assert "p1 has several rows; write one row for each patient, with the best of its responses before" in text
    text, _ = draft(samples=samples, clinical=scans.replace("scan,response", "day,response"))
    assert "  assessments: {" in text
    assert "add each patient's best response before progression to the sheet of patients" in text


def test_a_patient_missing_in_some_rows_is_asked_for(draft: Callable[..., tuple[str, Manifest]]) -> None:
    text, manifest = draft(sheet="patient,sample,day\np1,s1,-2\n,s2,28\np2,s3,-2\n,s4,28\n")
    assert manifest.samples.patient == "TODO"
    assert "patient is empty in rows such as 3; fill it in" in text


@pytest.mark.parametrize(
    ("arms", "roles"),
    [
        (("FMT + anti-PD-1", "anti-PD-1 alone"), ("fmt_ici", "ici")),
        (("donor FMT", "Autologous FMT"), ("fmt_ici", "sham")),
        (("FMT", "No FMT"), ("fmt_ici", "ici")),
        (("A", "B"), None),
        (("nivolumab", "pembrolizumab"), None),
    ],
)
def test_arms_are_drafted_by_their_words(
    draft: Callable[..., tuple[str, Manifest]], arms: tuple[str, str], roles: tuple[str, str] | None
) -> None:
    samples = "sample,subject,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\ns4,p4,0\n"
    rows = "".join(f"p{i},{50 + i},{arms[i % 2]}\n" for i in range(1, 5))
    text, manifest = draft(samples=samples, clinical="subject,age,Trial arm\n" + rows)
    assert manifest.patients is not None
    drafted_arms = manifest.patients.arms
    assert (drafted_arms and dict(drafted_arms.roles)) == (roles and dict(zip(arms, roles, strict=True)))
    assert ("add 'randomised: true'" in text) == (roles is not None)


def test_what_a_sequencer_adds_to_names_is_pointed_out(tmp_path: Path) -> None:
    names = ",".join(f"s{i}_S{i}_L001_R1_001" for i in range(1, 5))
    (tmp_path / "taxa.csv").write_text(TAXA.replace("s1,s2,s3,s4", names))
    (tmp_path / "sheet.csv").write_text("sample,patient\ns1,p1\ns2,p2\ns3,p3\ns4,p4\n")
    text = draft_manifest([tmp_path / "taxa.csv", tmp_path / "sheet.csv"], "mine")
    assert "s1_S1_L001_R1_001 is s1 of column sample with the sequencer's number and lane behind it" in text


@pytest.mark.parametrize(
    "column",
    [
        "\u00dcberleben (Tage)",
        "Tage bis Tod",
        "Nachbeobachtung Tage",
        "Jours jusqu'au d\u00e9c\u00e8s",
        "Tage bis Rezidiv",
        "\u00dcberlebenszeit (Tage)",
        "Nachbeobachtungszeit Tage",
        "Tage bis zum letzten Kontakt",
    ],
)
def test_the_day_of_another_event_is_known_in_other_languages(column: str) -> None:
    cells = pd.Series(["100", "230", "410"])
    assert find_time_column(pd.DataFrame({column: cells})) is None
    assert find_time_column(pd.DataFrame({column: cells, "Day": ["-3", "-1", "0"]})) == TimeColumn("day", "Day")


def test_days_that_are_the_same_in_each_of_a_patients_samples_date_none() -> None:
    frame = pd.DataFrame({"patient": ["p1", "p1", "p2", "p2"], "days": ["90", "90", "30", "30"]}, dtype="str")
    assert find_time_column(frame, "patient") is None
    for column in ("day", "day_ici", "days_from_first_dose"):
        assert find_time_column(frame.rename(columns={"days": column}), "patient") == TimeColumn("day", column)
    assert find_time_column(frame.assign(patient=list("abcd")), "patient") == TimeColumn("day", "days")


@pytest.mark.parametrize(("column", "key"), [("Day", "day"), ("visit", "visit"), ("note", "day")])
def test_a_tag_is_a_barcode_where_another_column_dates_the_samples(
    draft: Callable[..., tuple[str, Manifest]], column: str, key: str
) -> None:
    _, manifest = draft(sheet=f"sample,patient,Tag,{column}\n" + "".join(f"s{i},p{i},70{i},{i}\n" for i in range(1, 5)))
    columns = {"day": manifest.samples.day and manifest.samples.day.column, "visit": manifest.samples.visit}
    assert columns == {"day": None, "visit": None, key: "Tag" if column == "note" else column}


def test_names_in_english_count_before_those_of_other_languages() -> None:
    assert names_matching(["Tag", "Alter", "Day"], DAY_COLUMN) == ["Day", "Tag"]


def test_times_of_survival_in_french_are_told_apart(draft: Callable[..., tuple[str, Manifest]]) -> None:
    rows = "".join(f"s{i},p{i},{9 * i},{20 * i},{('oui', 'non')[i % 2]}\n" for i in range(1, 5))
    header = "sample,patient,Survie sans progression (mois),Survie globale (mois),D\u00e9c\u00e8s\n"
    _, manifest = draft(sheet=header + rows)
    assert manifest.outcomes.survival is not None
    assert manifest.outcomes.survival.overall_survival is not None
    assert manifest.outcomes.survival.overall_survival.time == "Survie globale (mois)"
