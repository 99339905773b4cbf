from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cohort import Cohort, read_cohort
from features.errors import FileError, ManifestError, OutcomeError
from features.labels import AdverseEvents, OutcomeLabels
from features.manifest import load_manifest
from features.outcomes import DAYS_PER_MONTH, SURVIVAL_OUTCOMES
from features.survival import (
    CENSORED,
    DEATH,
    EVENT,
    survival_definition,
    survival_exclusion_reason,
    survival_id,
    time_to_event,
)

Write = Callable[..., str]
SURVIVAL = {
    "overall_survival": {
        "time": "os", "event": "died", "unit": "months", "yes": ["dead"], "no": ["alive"], "unknown": [""]
    },
    "progression_free_survival": {"time": "pfs", "event": "ended", "unit": "days", "yes": [1], "no": [0]},
    "treatment_end": {"time": "off", "unit": "days"},
}  # fmt: skip
PATIENTS = (
    "patient,age,sex,best,label,lasting,steroids,os,died,pfs,ended,off\n"
    "p1,60,F,PR,R,,no,10,alive,200,1,120\np2,71,M,SD,NR,yes,yes,2,dead,60,1,\n"
    "p3,,F,,,,no,,,30,0,30\np4,50,M,PD,NR,no,no,5,dead,0,1,10\n"
)


def read(write_cohort: Write, folder: Path, patients: str = PATIENTS, **survival: object) -> Cohort:
    changes = {"survival": {**SURVIVAL, **survival}}
    return read_cohort(write_cohort({"patients.csv": patients}, outcomes=changes), folder)


def ends(times: pd.DataFrame) -> list[tuple[float, int, str]]:
    return list(times[["time", "event", "at_risk"]].itertuples(index=False, name=None))


def test_times_are_counted_from_the_landmark(write_cohort: Write, tmp_path: Path) -> None:
    labels = read(write_cohort, tmp_path).labels
    patients = pd.Index(["p4", "p1", "p2", "p3"])
    times = time_to_event(labels, "overall_survival", patients, landmark=60)
    expected_days = [*(np.array([5, 10, 2]) * DAYS_PER_MONTH - 60), np.nan]
    assert times["time"].to_numpy() == pytest.approx(expected_days, nan_ok=True)
    assert times["event"].tolist()[:3] == [EVENT, CENSORED, EVENT]
    assert times["at_risk"].tolist() == ["yes", "yes", "yes", "unknown"]
    # A day of progression, or of the last look, that is the landmark's own is over by then.
    times = time_to_event(labels, "progression_free_survival", patients, landmark=30)
    assert ends(times) == [(-30, EVENT, "no"), (170, EVENT, "yes"), (30, EVENT, "yes"), (0, CENSORED, "no")]


@pytest.mark.parametrize(("unit", "days"), [("days", 10), ("weeks", 70), ("months", 304.375), ("years", 3652.5)])
def test_times_of_every_unit_become_days(write_cohort: Write, tmp_path: Path, unit: str, days: float) -> None:
    rule = {**SURVIVAL["overall_survival"], "unit": unit}
    dates = read(write_cohort, tmp_path, overall_survival=rule).labels.dates
    assert dates is not None
    assert dates.loc["p1", "overall_survival"] == pytest.approx(days)


def test_first_adverse_event_with_death_competing(write_cohort: Write, tmp_path: Path) -> None:
    # p1 has events on days 15 and 40 and is alive after ten months, p2 has one on day 0 and dies, p4 dies without any.
    labels = read(write_cohort, tmp_path).labels
    patients = pd.Index(["p1", "p2", "p3", "p4"])
    times = time_to_event(labels, "time_to_toxicity_any", patients, landmark=-1)
    assert ends(times)[:2] == [(16, EVENT, "yes"), (1, EVENT, "yes")]
    assert ends(times)[3] == (5 * DAYS_PER_MONTH + 1, DEATH, "yes")
    assert times["at_risk"]["p3"] == "unknown"
    severe = time_to_event(labels, "time_to_toxicity_3", patients, landmark=0)
    assert ends(severe)[:2] == [(40, EVENT, "yes"), (2 * DAYS_PER_MONTH, DEATH, "yes")]


@pytest.mark.parametrize(
    ("censored_at", "follow_ups"),
    [
        # p2's progression is his death, within the rounding of months; p4 progressed on day 0, and stopped on day 10.
        ("progression", [(40, EVENT, "yes"), (60, CENSORED, "yes"), (0, CENSORED, "no")]),
        ("treatment_end", [(40, EVENT, "yes"), (2 * DAYS_PER_MONTH, DEATH, "yes"), (10, CENSORED, "yes")]),
    ],
)
def test_progression_and_treatment_end_censor_only_on_request(
    write_cohort: Write, tmp_path: Path, censored_at: str, follow_ups: list[tuple[float, int, str]]
) -> None:
    labels = read(write_cohort, tmp_path).labels
    times = time_to_event(labels, "time_to_toxicity_3", pd.Index(["p1", "p2", "p4"]), 0, censored_at)
    assert ends(times) == follow_ups


def test_events_were_recorded_until_the_last_follow_up_where_it_is_named(write_cohort: Write, tmp_path: Path) -> None:
    labels = read(write_cohort, tmp_path, last_follow_up={"time": "off", "unit": "days"}).labels
    times = time_to_event(labels, "time_to_toxicity_3", pd.Index(["p1", "p2", "p3", "p4"]), 0)
    # p2's is missing, so that his survival stands for it.
    assert ends(times) == [
        (40, EVENT, "yes"),
        (2 * DAYS_PER_MONTH, DEATH, "yes"),
        (30, CENSORED, "yes"),
        (10, CENSORED, "yes"),
    ]


@given(
    event=st.none() | st.integers(0, 9), death=st.integers(0, 9), died=st.booleans(), followed=st.integers(0, 9),
    landmark=st.integers(-1, 9),
)  # fmt: skip
def test_the_earliest_day_ends_follow_up(
    event: int | None, death: int, died: bool, followed: int, landmark: int
) -> None:
    listed = [] if event is None else [("p", 1.0, float(event))]
    events = pd.DataFrame(listed, columns=["patient", "grade", "day"]).astype({"grade": float, "day": float})
    dates = pd.DataFrame(
        {
            "overall_survival": [float(death)],
            "overall_survival_event": pd.array([died], dtype="boolean"),
            "last_follow_up": [float(followed)],
        },
        index=["p"],
    )
    labels = OutcomeLabels({}, AdverseEvents(events, first_counted_day=0), dates)
    time, code, at_risk = ends(time_to_event(labels, "time_to_toxicity_any", pd.Index(["p"]), landmark))[0]
    moments = {DEATH: death if died else np.inf, EVENT: np.inf if event is None else event, CENSORED: followed}
    earliest = min(moments.values())
    assert time == earliest - landmark
    assert code == (EVENT if moments[EVENT] == earliest else DEATH if moments[DEATH] == earliest else CENSORED)
    assert at_risk == ("yes" if earliest > landmark else "no")


@pytest.mark.parametrize(
    ("was", "becomes", "column", "match"),
    [
        (",10,alive", ",-1,alive", "os", "expected months from the clock's day 0 on, got -1"),
        (",10,alive", ",soon,alive", "os", "expected a number or one of \\[''\\], got 'soon'"),
        (",10,alive", ",10,lost", "died", "no rule explains 'lost'; the manifest's 'outcomes.survival.overall_surv"),
        (",200,1,", ",,1,", "pfs", "expected a number, got ''"),
        (",200,1,120", ",200,1,-5", "off", "expected days from the clock's day 0 on, got -5"),
    ],
)
def test_a_date_that_no_rule_explains(
    write_cohort: Write, tmp_path: Path, was: str, becomes: str, column: str, match: str
) -> None:
    assert PATIENTS.count(was) == 1
    with pytest.raises(FileError, match=match) as caught:
        read(write_cohort, tmp_path, PATIENTS.replace(was, becomes))
    assert (Path(caught.value.file).name, caught.value.row, caught.value.column) == ("patients.csv", 2, column)


def test_two_rows_of_a_patient_must_agree_on_their_dates(write_cohort: Write, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="'p1' has '11' here and '10' above"):
        read(write_cohort, tmp_path, PATIENTS + "p1,60,F,PR,R,,no,11,alive,200,1,120\n")


def test_an_outcome_column_may_not_become_a_feature(write_cohort: Write, tmp_path: Path) -> None:
    for column, outcome in (
        ("os", "overall_survival"),
        ("ended", "progression_free_survival"),
        ("off", "treatment_end"),
    ):
        with pytest.raises(ManifestError, match=f"it encodes outcomes.survival.{outcome}"):
            read_cohort(
                write_cohort({"patients.csv": PATIENTS}, outcomes={"survival": SURVIVAL},
                             patients={"covariates": {"x": {"column": column}}}), tmp_path)  # fmt: skip


def test_a_value_of_an_event_has_one_meaning(write_cohort: Write, tmp_path: Path) -> None:
    ambiguous = {**SURVIVAL["overall_survival"], "no": ["alive", "dead"]}
    with pytest.raises(ManifestError, match="'dead' stands under yes and under no"):
        read(write_cohort, tmp_path, overall_survival=ambiguous)


def test_reason_to_exclude_a_cohort(write_cohort: Write, tmp_path: Path) -> None:
    cohort = read_cohort(write_cohort(), tmp_path)
    for outcome, reason in (
        ("overall_survival", "toy does not date it; if its files do, name outcomes.survival.overall_survival"),
        ("time_to_toxicity_any", "toy dates adverse events, but not until when they were recorded"),
    ):
        assert reason in str(survival_exclusion_reason(cohort.manifest, cohort.labels, outcome))
    dated = read(write_cohort, tmp_path)
    for outcome in ("overall_survival", "progression_free_survival", "time_to_toxicity_2"):
        assert survival_exclusion_reason(dated.manifest, dated.labels, outcome) is None


def test_public_cohorts_do_not_date_their_outcomes(cohorts_dir: Path) -> None:
    mitox = read_cohort("mitox", cohorts_dir, fetch=False)
    assert "not until when they were recorded" in str(
        survival_exclusion_reason(mitox.manifest, mitox.labels, "time_to_toxicity_any")
    )
    lee = read_cohort("lee_2022", cohorts_dir, fetch=False)
    assert "no dated adverse events" in str(survival_exclusion_reason(lee.manifest, lee.labels, "time_to_toxicity_any"))


def test_survival_id() -> None:
    assert survival_id("overall_survival", None) == "overall_survival"
    assert survival_id("time_to_toxicity", "3") == "time_to_toxicity_3"
    for outcome, grade, match in (
        ("time_to_toxicity", None, "needs a grade"),
        ("overall_survival", "2", "only toxicity has a grade"),
        ("disease_control", None, "known are overall_survival, progression_free_survival, time_to_toxicity"),
    ):
        with pytest.raises(OutcomeError, match=match):
            survival_id(outcome, grade)
    definitions = {
        survival_definition(survival_id(name, "any" if "toxicity" in name else None)) for name in SURVIVAL_OUTCOMES
    }
    assert len(definitions) == len(SURVIVAL_OUTCOMES)
    assert "any grade; death competes" in survival_definition("time_to_toxicity_any")


CAUSES = {"column": "cause", "values": {"progression": "tumour", "sepsis": "other", "": ""}}


def with_causes(*causes: str) -> str:
    """Return the sheet of patients with a column of the cause of death."""
    lines = PATIENTS.splitlines()
    return "".join(f"{line},{cause}\n" for line, cause in zip(lines, ("cause", *causes), strict=True))


def test_the_cause_of_death_is_read(write_cohort: Write, tmp_path: Path) -> None:
    labels = read(write_cohort, tmp_path, with_causes("", "sepsis", "", "progression"), cause_of_death=CAUSES).labels
    assert labels.cause_of_death is not None
    assert labels.cause_of_death.to_dict() == {"p1": "", "p2": "other", "p3": "", "p4": "tumour"}
    assert labels.dates is not None
    assert "cause_of_death" not in labels.dates


@pytest.mark.parametrize(
    ("causes", "message"),
    [
        (
            ("progression", "", "", ""),
            r"row 2, column 'cause': 'progression' is a cause of death, and 'died' says that",
        ),
        (("", "fall", "", ""), r"no rule explains 'fall'; .*'outcomes\.survival\.cause_of_death\.values'"),
    ],
)
def test_a_cause_of_death_of_the_living_and_an_unexplained_one_are_errors(
    write_cohort: Write, tmp_path: Path, causes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(FileError, match=message):
        read(write_cohort, tmp_path, with_causes(*causes), cause_of_death=CAUSES)


def test_a_cause_of_death_needs_the_deaths_and_is_never_a_feature(write_cohort: Write) -> None:
    sheet = {"patients.csv": with_causes("", "sepsis", "", "")}
    with pytest.raises(ManifestError, match="cause_of_death needs 'overall_survival' beside it"):
        load_manifest(write_cohort(sheet, outcomes={"survival": {"cause_of_death": CAUSES}}))
    covariates = {"covariates": {"x": {"column": "cause"}}}
    with pytest.raises(ManifestError, match=r"it encodes outcomes\.survival\.cause_of_death"):
        load_manifest(
            write_cohort(sheet, outcomes={"survival": {**SURVIVAL, "cause_of_death": CAUSES}}, patients=covariates)
        )
