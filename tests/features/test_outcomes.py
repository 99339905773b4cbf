from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cohort import Cohort, read_cohort
from features.errors import FileError, OutcomeError
from features.label_reading import exclusion_reason
from features.labels import AdverseEvents, OutcomeLabels
from features.manifest import load_manifest
from features.outcomes import OUTCOME_IDS, definition_of, is_toxicity, outcome_id, parse_grade

Write = Callable[..., str]
PATIENTS = ["a", "b", "c"]


@cache
def published(cohort: str, folder: Path) -> Cohort:
    return read_cohort(cohort, folder, fetch=False)


def flags(cohort: str, outcome: str, folder: Path) -> pd.Series:
    """Return an outcome of a published cohort's patients with stool; NA is unknown."""
    read = published(cohort, folder)
    patients = pd.Index(read.samples.loc[~read.samples["donor"], "patient"].unique())
    labels_by_patient = read.labels.at_landmark(outcome, patients, landmark=0, by_day=None)
    assert labels_by_patient is not None
    assert (labels_by_patient[1] == "unknown").all()
    return labels_by_patient[0]


@pytest.mark.parametrize(
    ("cohort", "outcome", "yes", "reported", "patients"),
    [
        ("lee_2022", "objective_response", 65, 161, 164),
        ("lee_2022", "disease_control", 93, 161, 164),
        ("lee_2022", "published_response", 94, 164, 164),
        ("lee_2022", "toxicity_any", 106, 162, 164),
        ("frankel_2017", "objective_response", 19, 39, 39),
        ("frankel_2017", "disease_control", 24, 39, 39),
        ("frankel_2017", "published_response", 24, 39, 39),
        ("frankel_2017_qiime2", "published_response", 24, 39, 39),
        ("matson_2018", "published_response", 14, 38, 38),
        ("mitox", "objective_response", 13, 42, 42),
        ("mitox", "disease_control", 32, 42, 42),
        ("mitox", "published_response", 25, 42, 42),
        ("spencer_2021", "durable_benefit", 87, 132, 156),
        ("spencer_2021", "published_response", 87, 132, 156),
        ("davar_2021", "objective_response", 3, 15, 15),
        ("davar_2021", "published_response", 6, 15, 15),
    ],
)
def test_published_counts(cohort: str, outcome: str, yes: int, reported: int, patients: int, cohorts_dir: Path) -> None:
    labels_by_patient = flags(cohort, outcome, cohorts_dir)
    assert (int(labels_by_patient.sum()), int(labels_by_patient.notna().sum()), len(labels_by_patient)) == (
        yes,
        reported,
        patients,
    )


def test_stable_disease_counts_differently_in_each_publication(cohorts_dir: Path) -> None:
    for cohort, stable in (("lee_2022", 28), ("frankel_2017", 5), ("davar_2021", 3), ("mitox", 12)):
        control, objective = (flags(cohort, o, cohorts_dir) for o in ("disease_control", "objective_response"))
        label = flags(cohort, "published_response", cohorts_dir)
        assert (label & control & ~objective).sum() == stable


def test_unknown_is_never_no_in_lee(cohorts_dir: Path) -> None:
    label, objective = (flags("lee_2022", o, cohorts_dir) for o in ("published_response", "objective_response"))
    assert label[objective.isna()].notna().all()
    sheet = pd.read_csv(cohorts_dir / "lee_2022" / "metadata.tsv", sep="\t", dtype=str, index_col="subject_id")
    coded = sheet.index[sheet["toxicity_above_zero"] == "0"]
    assert flags("lee_2022", "toxicity_any", cohorts_dir)[coded].isna().tolist() == [True, True]


def test_durable_benefit_of_mitox_follows_from_response_and_six_months(cohorts_dir: Path) -> None:
    sheet = pd.read_csv(cohorts_dir / "mitox" / "patients.csv", index_col="patient_id")
    labels = flags("mitox", "durable_benefit", cohorts_dir)
    for patient, value in labels.items():
        best, six_months = sheet.loc[patient, ["best_overall_response", "pfs_6_months"]]
        benefit = {"Yes": True, "No": False}.get(six_months) if best == "SD" else best in {"CR", "PR"}
        assert value is pd.NA if benefit is None else value == benefit


def test_donors_have_no_outcome(cohorts_dir: Path) -> None:
    cohort = published("davar_2021", cohorts_dir)
    donors = set(cohort.donor_samples["patient"])
    assert donors
    for labels_by_patient in cohort.labels.label_by_outcome.values():
        assert not donors & set(labels_by_patient.index)


def test_first_events_of_mitox(cohorts_dir: Path) -> None:
    labels = published("mitox", cohorts_dir).labels
    patients = pd.Index(["M065", "M021", "M017", "M042"])
    label, at_risk = labels.at_landmark("toxicity_any", patients, landmark=0, by_day=None) or pytest.fail("no toxicity")
    # A delirium before treatment is none; a rash on day 310 is one, whatever the flag says; day 0 is not after day 0.
    assert at_risk.tolist() == ["yes", "yes", "no", "yes"]
    assert label.tolist() == [False, True, pd.NA, True]
    label, _ = labels.at_landmark("toxicity_any", patients, landmark=0, by_day=180) or pytest.fail("no toxicity")
    assert label.tolist() == [False, False, pd.NA, True]
    label, at_risk = labels.at_landmark("toxicity_2", patients, landmark=14, by_day=None) or pytest.fail("no toxicity")
    assert at_risk.tolist() == ["yes"] * 4
    assert label.tolist() == [False, True, False, True]


def test_durable_benefit_where_stable_disease_is_of_unknown_length(write_cohort: Write, tmp_path: Path) -> None:
    text = "patient,age,sex,best,label,lasting,steroids\n"
    cases = [("CR", ""), ("PR", "no"), ("SD", "yes"), ("SD", "no"), ("SD", ""), ("PD", "yes"), ("", "yes")]
    rows = "".join(f"p{i},60,F,{best},R,{lasting},no\n" for i, (best, lasting) in enumerate(cases, start=1))
    cohort = read_cohort(write_cohort({"patients.csv": text + rows}), tmp_path)
    assert cohort.labels.label_by_outcome["durable_benefit"].tolist() == [True, True, True, False, pd.NA, False, pd.NA]
    assert cohort.labels.label_by_outcome["disease_control"].tolist() == [True, True, True, True, True, False, pd.NA]
    assert cohort.labels.label_by_outcome["objective_response"].tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
        pd.NA,
    ]


@pytest.mark.parametrize(
    "cell", ["3", "3.0", "G3", "Grade 3", "grade-3", "III", "CTCAE grade 3", "3 (severe)", "III\u00b0"]
)
def test_a_grade_in_words(cell: str) -> None:
    assert parse_grade(cell) == 3


@pytest.mark.parametrize("cell", ["", "0", "3.5", "-3", "3-4", "Grade 3-4", "30", "severe", "IIII", "3 or 4"])
def test_what_is_no_single_grade(cell: str) -> None:
    assert parse_grade(cell) is None


@given(
    events=st.lists(st.tuples(st.sampled_from(PATIENTS), st.integers(1, 5), st.integers(-5, 9)), max_size=6),
    landmark=st.integers(-2, 6),
    horizon=st.none() | st.integers(1, 5),
    grade=st.sampled_from(["any", "2", "3"]),
)
def test_first_event_after_the_landmark(
    events: list[tuple[str, int, int]], landmark: int, horizon: int | None, grade: str
) -> None:
    by_day = None if horizon is None else landmark + horizon
    frame = pd.DataFrame(events, columns=["patient", "grade", "day"]).astype({"grade": float, "day": float})
    outcome = OutcomeLabels({}, AdverseEvents(frame, first_counted_day=0)).at_landmark(
        f"toxicity_{grade}", pd.Index(PATIENTS), landmark, by_day
    ) or pytest.fail("no toxicity")
    for patient, label, at_risk in zip(PATIENTS, *outcome, strict=True):
        days = [d for p, g, d in events if p == patient and d >= 0 and g >= (1 if grade == "any" else int(grade))]
        if any(day <= landmark for day in days):
            assert (label, at_risk) == (pd.NA, "no")
        else:
            assert (label, at_risk) == (any(by_day is None or day <= by_day for day in days), "yes")


@pytest.mark.parametrize(
    ("dates", "labels"),
    [
        # The first patient has an event on day 30; the last one's follow-up is unknown.
        ({"overall_survival": [40, 100, 50, 50, None], "overall_survival_event": [False, False, False, True, None]},
         [True, False, pd.NA, False, pd.NA]),
        ({"last_follow_up": [35, 95, 80, 90, None]}, [True, False, pd.NA, False, pd.NA]),
        # A death that a time in months rounds to the end of follow-up, and one before the landmark.
        ({"last_follow_up": [35, 60.9, 60.9, -3, None], "overall_survival": [200, 61, 62, -3, 100],
          "overall_survival_event": [True, True, True, True, False]}, [True, False, pd.NA, pd.NA, False]),
        ({"last_follow_up": [35, 20, None, 45, None], "overall_survival": [200, 200, 50, 50, None],
          "overall_survival_event": [True, True, False, True, False]}, [True, pd.NA, pd.NA, pd.NA, pd.NA]),
        ({"progression_free_survival": [10, 10, 10, 10, 10]}, [True, False, False, False, False]),
    ],
)  # fmt: skip
def test_whose_follow_up_ends_before_the_day_is_unknown(dates: dict[str, list[float]], labels: list[bool]) -> None:
    patients = pd.Index([*"abcde"])
    events = AdverseEvents(pd.DataFrame({"patient": ["a"], "grade": [3.0], "day": [30.0]}), first_counted_day=0)
    outcomes = OutcomeLabels({}, events, pd.DataFrame(dates, index=patients))
    label, _ = outcomes.at_landmark("toxicity_3", patients, landmark=0, by_day=90) or pytest.fail("no toxicity")
    assert label.equals(pd.Series(labels, index=patients, dtype="boolean"))
    label, _ = outcomes.at_landmark("toxicity_3", patients, landmark=0, by_day=None) or pytest.fail("no toxicity")
    is_followed = ~(pd.Series(dates.get("last_follow_up", [1.0] * 5), index=patients) <= 0)
    assert label.tolist() == [True, *(False if followed else pd.NA for followed in is_followed[1:])]
    assert definition_of("toxicity_3", 90) == "immune-related adverse event of CTCAE grade 3 or above by day 90"
    assert definition_of("objective_response", 90) == definition_of("objective_response")


@pytest.mark.parametrize(
    ("file", "was", "becomes", "row", "column", "match"),
    [
        ("patients.csv", "71,M,SD", "71,M,iSD", 3, "best", "no rule explains 'iSD'"),
        ("patients.csv", "PD,NR", "PD,MR", 5, "label", "no rule explains 'MR'"),
        ("patients.csv", "yes,yes", "7 mo,yes", 3, "lasting", "no rule explains '7 mo'"),
        ("events.csv", "colitis,3", "colitis,3.5", 3, "grade", "a CTCAE grade is 1 to 5, got '3.5'"),
        ("events.csv", "colitis,3", "colitis,0", 3, "grade", "a CTCAE grade is 1 to 5, got '0'"),
        ("events.csv", "colitis,3", "colitis,", 3, "grade", "a CTCAE grade is 1 to 5, got ''"),
        ("events.csv", "rash,2,0", "rash,2,early", 4, "day", "expected a number, got 'early'"),
        ("events.csv", "p2,rash", "p9,rash", 4, "patient", "patient 'p9' is not in patients.csv"),
    ],
)
def test_a_value_that_no_rule_explains(
    write_cohort: Write, tmp_path: Path, file: str, was: str, becomes: str, row: int, column: str, match: str
) -> None:
    text = (Path(write_cohort()).parent / file).read_text(encoding="utf-8")
    assert text.count(was) == 1
    with pytest.raises(FileError, match=match) as caught:
        read_cohort(write_cohort({file: text.replace(was, becomes)}), tmp_path)
    assert (Path(caught.value.file).name, caught.value.row, caught.value.column) == (file, row, column)


def test_events_may_be_dated_by_two_columns_of_dates(write_cohort: Write, tmp_path: Path) -> None:
    events = "patient,term,grade,onset\np1,rash,1,15.02.2023\np2,rash,2,2023-03-01\n"
    patients = (
        "patient,age,sex,best,label,lasting,steroids,first dose\n"
        "p1,60,F,PR,R,,no,2023-02-01\np2,71,M,SD,NR,yes,yes,2023-03-03\np3,,F,,,,no,2023-03-04\n"
    )
    toxicity = {"day": {"from": "onset", "index": "first dose"}}
    files = {"events.csv": events, "patients.csv": patients}
    labels = read_cohort(write_cohort(files, outcomes={"toxicity": toxicity}), tmp_path).labels
    assert labels.events is not None
    assert labels.events.frame["day"].tolist() == [14.0, -2.0]
    files["events.csv"] = events.replace("2023-03-01", "in May")
    with pytest.raises(FileError, match=r"expected a date such as 2023-04-03, got 'in May'") as caught:
        read_cohort(write_cohort(files, outcomes={"toxicity": toxicity}), tmp_path)
    assert (Path(caught.value.file).name, caught.value.row, caught.value.column) == ("events.csv", 3, "onset")


def test_two_rows_of_a_patient_must_agree(write_cohort: Write, tmp_path: Path) -> None:
    text = (
        "patient,age,sex,best,label,lasting,steroids\np1,60,F,PR,R,,no\np2,7,M,SD,NR,,\np3,,F,,,,\np1,60,F,CR,R,,no\n"
    )
    with pytest.raises(FileError, match="'p1' has 'CR' here and 'PR' above") as caught:
        read_cohort(write_cohort({"patients.csv": text}), tmp_path)
    assert (caught.value.row, caught.value.column) == (5, "best")


def test_response_may_be_stated_as_yes_or_no(write_cohort: Write, tmp_path: Path) -> None:
    flag = {"yes": ["R"], "no": ["NR"], "unknown": [""], "column": "label"}
    manifest = write_cohort(
        outcomes={"recist": None, "durable_benefit": None, "published_response": None, "objective_response": flag}
    )
    labels = read_cohort(manifest, tmp_path).labels
    assert labels.label_by_outcome["objective_response"].tolist() == [True, False, pd.NA, False]
    assert labels.reported_outcomes[0] == "objective_response"
    reason = exclusion_reason(load_manifest(manifest), "disease_control")
    assert reason == "toy reports neither RECIST, from which disease_control is derived, nor disease_control itself"


def test_reported_outcomes(cohorts_dir: Path) -> None:
    assert published("momspi", cohorts_dir).labels.reported_outcomes == ()
    assert published("mitox", cohorts_dir).labels.reported_outcomes == OUTCOME_IDS
    assert published("lee_2022", cohorts_dir).labels.reported_outcomes == (
        "objective_response",
        "disease_control",
        "published_response",
        "toxicity_any",
    )


def test_an_unreported_outcome_is_none() -> None:
    labels = OutcomeLabels(
        {}, AdverseEvents(pd.DataFrame({"patient": [], "grade": [], "day": []}), first_counted_day=0)
    )
    assert labels.at_landmark("disease_control", pd.Index(PATIENTS), 0, None) is None
    assert OutcomeLabels({}, None).at_landmark("toxicity_any", pd.Index(PATIENTS), 0, None) is None


def test_no_event_is_no_toxicity_and_not_unknown() -> None:
    frame = pd.DataFrame({"patient": np.array([], dtype=str), "grade": [], "day": []})
    label, at_risk = OutcomeLabels({}, AdverseEvents(frame, first_counted_day=0)).at_landmark(
        "toxicity_3", pd.Index(PATIENTS), 0, None
    ) or pytest.fail("no toxicity")
    assert label.tolist() == [False] * 3
    assert at_risk.tolist() == ["yes"] * 3


def test_outcome_id() -> None:
    assert outcome_id("toxicity", "2") == "toxicity_2"
    assert outcome_id("durable_benefit", None) == "durable_benefit"
    for outcome, grade, match in (
        ("toxicity", None, "needs a grade, one of any, 2, 3; got none"),
        ("toxicity", "4", "got 4"),
        ("disease_control", "2", "only toxicity has a grade"),
        ("toxicity_2", None, "unknown outcome 'toxicity_2'; known are objective_response"),
    ):
        with pytest.raises(OutcomeError, match=match):
            outcome_id(outcome, grade)


def test_every_outcome_has_a_definition() -> None:
    assert len({definition_of(name) for name in OUTCOME_IDS}) == len(OUTCOME_IDS)
    assert [name for name in OUTCOME_IDS if is_toxicity(name)] == ["toxicity_any", "toxicity_2", "toxicity_3"]


@pytest.mark.parametrize(
    ("cohort", "outcome", "reason"),
    [
        ("lee_2022", "toxicity_3", "lee_2022 reports toxicity of grade 'any' only, without the events' grades"),
        ("spencer_2021", "toxicity_any", "spencer_2021 reports no toxicity"),
        ("spencer_2021", "objective_response", "spencer_2021 reports neither RECIST"),
        ("lee_2022", "durable_benefit", "lee_2022 does not report durable_benefit"),
        ("momspi", "published_response", "momspi states no label of response of its own"),
    ],
)
def test_reason_to_exclude_a_cohort(cohort: str, outcome: str, reason: str) -> None:
    assert reason in exclusion_reason(load_manifest(cohort), outcome)
