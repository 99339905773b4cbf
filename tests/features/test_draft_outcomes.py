"""Outcomes in drafts, and the audit of columns of progression that no outcome takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from features.audit import audit
from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest, find_event_flag, outcome_flag, toxicity_flag
from features.draft.columns import snake_case
from features.draft.header_codes import codes_in_name, without_codes
from features.draft.outcomes import find_event_columns
from features.draft.progression import is_of_other_origin
from features.manifest import DatedEvent, Manifest, Toxicity, YesNo, load_manifest
from features.tables.text import read_text_table

N = 24


@pytest.fixture
def draft_of(tmp_path: Path) -> Callable[..., Manifest]:
    """Return a function that drafts a manifest from the columns of a patients' sheet of 24 patients."""

    def draft(columns: Mapping[str, Sequence[str]]) -> Manifest:
        sheet = {"sample": [f"s{i}" for i in range(N)], "patient_id": [f"p{i}" for i in range(N)]}
        sheet |= {name: [cells[i % len(cells)] for i in range(N)] for name, cells in columns.items()}
        rows = [",".join(f'"{name}"' for name in sheet), *(",".join(row) for row in zip(*sheet.values(), strict=True))]
        (tmp_path / "sheet.csv").write_text("\n".join(rows) + "\n")
        taxa = [f"{name}," + ",".join(str((i * k) % 7 + 1) for i in range(N)) for k, name in enumerate(TAXA, start=1)]
        (tmp_path / "taxa.csv").write_text("species," + ",".join(sheet["sample"]) + "\n" + "\n".join(taxa) + "\n")
        path = tmp_path / "mine.yaml"
        path.write_text(draft_manifest([tmp_path / "taxa.csv", tmp_path / "sheet.csv"], "mine"))
        return load_manifest(path)

    return draft


TAXA = ("s__Bacteroides_uniformis", "s__Roseburia_intestinalis", "s__Alistipes_putredinis", "s__Blautia_wexlerae")


@pytest.mark.parametrize(
    ("column", "months"),
    [("PFS12", 12), ("pfs_06", 6), ("PFS_1y", 12), ("pfs_at_24_months", 24), ("progression_free_3mo", 3)],
)
def test_a_flag_of_pfs_becomes_progression_free_and_no_response(
    draft_of: Callable[..., Manifest], column: str, months: int
) -> None:
    draft = draft_of({column: ["yes", "no", "NA"]})
    assert draft.outcomes.progression_free == {months: YesNo(column=column, yes=["yes"], no=["no"], unknown=["NA"])}
    assert draft.outcomes.published_response is None


def test_a_flag_of_progression_is_turned_round(draft_of: Callable[..., Manifest]) -> None:
    rule = draft_of({"progression_by_6_months": ["1", "0"]}).outcomes.progression_free[6]
    assert (rule.yes, rule.no) == (("0",), ("1",))


@pytest.mark.parametrize("column", ["disease_response_pfs", "response_pfs", "progressed", "ORR_after_progression"])
def test_a_column_of_progression_is_never_a_published_response(draft_of: Callable[..., Manifest], column: str) -> None:
    draft = draft_of({column: ["yes", "no"]})
    assert draft.outcomes.published_response is None
    assert column in draft.exclude_columns


@pytest.mark.parametrize(
    ("time", "event", "words", "unit"),
    [
        ("OS_MONTHS", "OS_STATUS", ("1:DECEASED", "0:LIVING"), "months"),
        ("os_days", "vital_status", ("Dead", "Alive"), "days"),
        ("overall_survival_months", "death", ("yes", "no"), "months"),
        ("os_weeks", "death", ("1", "0"), "weeks"),
        ("OS (years)", "OS event", ("1", "0"), "years"),
        ("OS_Wochen", "OS event", ("1", "0"), "weeks"),
        # Of a small trial, every patient may have died.
        ("OS (months)", "Vital status", ("dead",), "months"),
    ],
)
def test_overall_survival_is_drafted_with_its_unit(
    draft_of: Callable[..., Manifest], time: str, event: str, words: tuple[str, ...], unit: str
) -> None:
    draft = draft_of({time: ["3.5", "12", "NA", "40"], event: words})
    assert draft.outcomes.survival is not None
    expected = DatedEvent(time=time, event=event, unit=unit, yes=[words[0]], no=words[1:], unknown=["NA"])
    assert draft.outcomes.survival.overall_survival == expected


@pytest.mark.parametrize(
    ("time", "is_other"),
    [
        ("OS_weeks_from_dx", True),
        ("overall_survival_years_after_relapse", True),
        ("OS_post_progression", True),
        ("OS_days_from_stage_IV", True),
        ("dx_to_death_OS", True),
        ("OS_months_from_ICI_for_metastatic_disease", False),
        ("survival_since_FMT_after_surgery_days", False),
        ("OS_after_surgery_from_ICI", False),
        ("progression_free_survival_to_last_contact", False),
    ],
)
def test_the_first_event_that_a_time_counts_from_is_its_origin(time: str, is_other: bool) -> None:
    assert is_of_other_origin(time) == is_other


@pytest.mark.parametrize("time", ["OS_months_from_diagnosis", "OS from primary surgery (days)"])
def test_survival_from_another_event_is_asked_for(draft_of: Callable[..., Manifest], tmp_path: Path, time: str) -> None:
    assert draft_of({time: ["3.5", "12", "40"], "death": ["1", "0"]}).outcomes.survival is None
    assert "do not count from day 0 of the clock" in (tmp_path / "mine.yaml").read_text()
    from_day_0 = draft_of({time: ["8", "20", "50"], "OS_days": ["3", "12", "40"], "death": ["1", "0"]}).outcomes
    assert from_day_0.survival is not None
    assert from_day_0.survival.overall_survival is not None
    assert from_day_0.survival.overall_survival.time == "OS_days"


@pytest.mark.parametrize("column", ["non_responder", "Nonresponder", "No response", "without clinical benefit"])
@pytest.mark.parametrize("words", [("1", "0"), ("yes", "no"), ("TRUE", "FALSE")])
def test_a_flag_of_no_response_is_turned_round(
    draft_of: Callable[..., Manifest], column: str, words: tuple[str, str]
) -> None:
    response = draft_of({column: words}).outcomes.published_response
    assert response is not None
    assert (response.yes, response.no) == (words[1:], words[:1])


def test_labels_of_response_mean_the_same_under_any_name(draft_of: Callable[..., Manifest]) -> None:
    response = draft_of({"non_responder": ["NR", "R"]}).outcomes.published_response
    assert response is not None
    assert (response.yes, response.no) == (("R",), ("NR",))


@pytest.mark.parametrize("words", [("1", "0"), ("yes", "no")])
@pytest.mark.parametrize(
    ("column", "is_turned_round"),
    [("No durable clinical benefit", True), ("non_DCB", True), ("nonDCB", True), ("Durable clinical benefit", False)],
)
def test_a_flag_of_no_durable_benefit_is_turned_round(
    draft_of: Callable[..., Manifest], column: str, words: tuple[str, str], is_turned_round: bool
) -> None:
    outcomes = draft_of({column: words}).outcomes
    assert isinstance(outcomes.durable_benefit, YesNo)
    assert outcomes.durable_benefit.yes == (words[is_turned_round],)
    assert outcomes.published_response is None


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        ("Response (1=yes, 0=no)", {"1": "yes", "0": "no"}),
        ("Response: 0=yes/1=no", {"0": "yes", "1": "no"}),
        ("Response (1 = CR/PR, 0 = SD/PD)", {"1": "CR/PR", "0": "SD/PD"}),
        ("Sex [M=1, F=2]", {"1": "M", "2": "F"}),
        ("Status 0=alive 1=dead", {"0": "alive", "1": "dead"}),
        ("Death (1=dead)", {"1": "dead"}),
        ("Response..0.yes..1.no.", {"0": "yes", "1": "no"}),
        ("Response (CR, PR=1; SD/PD=0)", {"1": "CR, PR", "0": "SD/PD"}),
        ("Response (1=CR, PR, 0=SD, PD)", {"1": "CR, PR", "0": "SD, PD"}),
        ("Response (0 = yes, 1 = no, NA = missing)", {"0": "yes", "1": "no"}),
        ("irAE (0=none, 1=grade 1, 2=grade 2)", {"0": "none", "1": "grade 1", "2": "grade 2"}),
        *((name, {}) for name in ("irAE (grade >= 3)", "Best response (RECIST 1.1)", "Cycle 1: response")),
        *((name, {}) for name in ("OS (months)", "irAE grade>=3", "irAE (grade>=3)", "x" * 600 + "(1=a)")),
    ],
)
def test_codes_that_a_name_explains(column: str, codes: dict[str, str]) -> None:
    assert codes_in_name(column) == codes
    assert without_codes(column) == (re.split(r" ?[(\[:]| 0=|\.\.", column)[0] if codes else column)


@pytest.mark.parametrize(
    "column",
    [
        "Response (0 = yes [CR or PR], 1 = no [SD or PD])",
        "Response (0=CR/PR by RECIST 1.1, 1=SD/PD)",
        "Response (0,1 = no, 2,3 = yes)",
        "Toxicity (0-1=no, 2-4=yes)",
        "irAE (no (grade 0-1) = 0, yes (grade 2-4) = 1)",
    ],
)
def test_codes_whose_explanation_is_not_read_are_asked_for(
    draft_of: Callable[..., Manifest], tmp_path: Path, column: str
) -> None:
    draft = draft_of({column: ["0", "1", "0", "1"]})
    assert draft.outcomes.published_response is None
    assert draft.outcomes.toxicity is None
    assert "; state w" in (tmp_path / "mine.yaml").read_text()


def test_codes_as_pandas_writes_them_beside_blanks_mean_the_same(draft_of: Callable[..., Manifest]) -> None:
    rule = draft_of({"Response (0 = yes, 1 = no)": ["1.0", "0.0", "1.0", "", "1.0"]}).outcomes.published_response
    assert rule is not None
    assert (rule.yes, rule.no) == (("0.0",), ("1.0",))


@pytest.mark.parametrize("column", ["Donor", "FMT donor type", "Response of the donor", "Predicted response"])
def test_the_response_of_a_donor_or_of_a_prediction_is_no_outcome(
    draft_of: Callable[..., Manifest], column: str
) -> None:
    words = ("Responder", "Non-responder")
    assert draft_of({column: words}).outcomes.published_response is None
    assert outcome_flag(column, pd.Series(words)) is None


@pytest.mark.parametrize("column", ["Response (CR/PR=1, SD/PD=0)", "Best response (1=CR, PR; 0=SD, PD)"])
def test_a_code_of_several_best_responses_is_none_of_them(draft_of: Callable[..., Manifest], column: str) -> None:
    outcomes = draft_of({column: ["1", "0", "1"]}).outcomes
    assert outcomes.recist is None
    assert outcomes.published_response is not None
    assert outcomes.published_response.yes == ("1",)


@pytest.mark.parametrize("column", ["Ratio (A/B=1)", "irAE (grade=3)"])
def test_a_formula_stays_in_its_name(column: str) -> None:
    assert without_codes(column) == column


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Death", ["1", ""]),
        ("Dead (2=dead)", ["1", "2"]),
        ("OS status (dead=0)", ["1", "0"]),
        ("OS event (alive=1)", ["1", "0"]),
    ],
)
def test_deaths_of_which_it_is_open_who_lived_are_not_read(
    draft_of: Callable[..., Manifest], column: str, words: list[str]
) -> None:
    assert draft_of({"OS months": ["3.5", "12", "20", "40"], column: words}).outcomes.survival is None


def test_the_zero_of_a_scale_stays_in_its_name() -> None:
    assert snake_case("Day (0 = FMT)") == "day_0_fmt"


@pytest.mark.parametrize(
    ("column", "outcome", "yes"),
    [
        ("Response (0=yes, 1=no)", "published_response", "0"),
        ("Response (1=NR, 0=R)", "published_response", "0"),
        ("irAE (0=yes, 1=no)", "toxicity", "0"),
        ("Durable benefit (1=no, 0=yes)", "durable_benefit", "0"),
        ("Non-responder (0=yes, 1=no)", "published_response", "1"),
    ],
)
def test_codes_mean_what_the_name_explains(
    draft_of: Callable[..., Manifest], column: str, outcome: str, yes: str
) -> None:
    rule = getattr(draft_of({column: ["1", "0", "1"]}).outcomes, outcome)
    assert (rule.column, rule.yes) == (column, (yes,))
    flag = (toxicity_flag if outcome == "toxicity" else outcome_flag)(column, pd.Series(["1", "0"]))
    assert flag is None or flag[yes]


def test_codes_of_recist_sex_and_survival_are_read(draft_of: Callable[..., Manifest]) -> None:
    draft = draft_of(
        {
            "BOR (1=CR, 2=PR, 3=SD, 4=PD)": ["1", "2", "3", "4"],
            "Sex (F=1, M=2)": ["1", "2"],
            "OS months": ["3.5", "12", "20", "40"],
            "Status (1=alive, 2=dead)": ["1", "2"],
            "PFS months": ["2", "9", "20", "30"],
            "PFS event (0=progressed, 1=censored)": ["0", "1"],
        }
    )
    assert draft.outcomes.recist is not None
    assert (draft.outcomes.recist.CR, draft.outcomes.recist.PD) == (("1",), ("4",))
    assert draft.patients is not None
    assert draft.patients.covariates["sex"].values == {"1": "female", "2": "male"}
    survival = draft.outcomes.survival
    assert survival is not None
    assert survival.overall_survival is not None
    assert survival.progression_free_survival is not None
    assert (survival.overall_survival.yes, survival.progression_free_survival.yes) == (("2",), ("0",))


@pytest.mark.parametrize(
    ("time", "event", "words", "yes"),
    [
        ("OS months", "Alive at last follow-up", ("yes", "no"), "no"),
        ("PFS (days)", "Progression-free", ("1", "0"), "0"),
        ("OS months", "Status", ("Alive", "Dead"), "Dead"),
    ],
)
def test_a_flag_of_no_event_is_turned_round(
    draft_of: Callable[..., Manifest], time: str, event: str, words: tuple[str, str], yes: str
) -> None:
    survival = draft_of({time: ["3.5", "12", "20", "40"], event: words}).outcomes.survival
    assert survival is not None
    pair = survival.overall_survival or survival.progression_free_survival
    assert pair is not None
    assert (pair.event, pair.yes) == (event, (yes,))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Status", ("1", "0")),
        ("Status", ("Progressed", "Censored")),
        ("Status (1=progressed, 0=censored)", ("1", "0")),
    ],
)
def test_a_status_that_may_be_of_another_event_is_not_read(
    draft_of: Callable[..., Manifest], column: str, words: tuple[str, str]
) -> None:
    assert draft_of({"OS months": ["3.5", "12", "20", "40"], column: words}).outcomes.survival is None


@pytest.mark.parametrize(
    ("column", "words"),
    [
        *(("Group", ("R", "NR")), ("Resp", ("NR", "R")), ("R/NR", ("R", "NonR")), ("CB", ("CB", "NCB"))),
        *(("Clinical outcome", ("Responder", "Non-responder")), ("arm of analysis", ("Responders", "Non-Responders"))),
    ],
)
def test_labels_of_response_are_read_under_other_names(
    draft_of: Callable[..., Manifest], column: str, words: tuple[str, str]
) -> None:
    response = draft_of({column: words}).outcomes.published_response
    assert response is not None
    assert (response.column, response.yes) == (column, (next(word for word in words if not word.startswith("N")),))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Side", ("R", "NR")),
        ("Resection status", ("R", "NR")),
        ("PD-L1 status", ("P", "NR")),
        ("Group", ("R", "NR", "HC")),
        ("Previous group", ("R", "NR")),
    ],
)
def test_letters_that_may_mean_something_else_are_no_response(
    draft_of: Callable[..., Manifest], column: str, words: tuple[str, ...]
) -> None:
    assert draft_of({column: words, "age": ["50", "60"]}).outcomes.published_response is None


@pytest.mark.parametrize(
    ("column", "is_covariate"),
    [
        ("Antibiotics within 60 days before ICI", True),
        ("antibiotics_baseline", True),
        ("Antibiotics after ICI before progression", False),
        ("No antibiotics within 60 days before ICI", False),
        ("antibiotics", False),
    ],
)
def test_antibiotics_before_treatment_are_a_covariate(
    draft_of: Callable[..., Manifest], column: str, is_covariate: bool
) -> None:
    draft = draft_of({column: ["yes", "no"], "age": ["50", "60", "70"]})
    assert draft.patients is not None
    assert ("antibiotics" in draft.patients.covariates) == is_covariate
    assert (column in draft.exclude_columns) != is_covariate


def test_a_pathological_response_and_kinds_of_events_are_asked_about(
    draft_of: Callable[..., Manifest], tmp_path: Path
) -> None:
    draft = draft_of({"pCR": ["1", "0"], "colitis": ["0", "1"], "rash": ["no", "yes"], "hepatitis": ["B", "C"]})
    assert not draft.outcomes.outcome_columns
    text = (tmp_path / "mine.yaml").read_text()
    assert "# TODO: pCR may be a response; state what" in text
    assert "# TODO: [colitis, rash] may be kinds of immune-related events; make one column" in text
    assert {"pCR", "colitis"} <= set(draft.exclude_columns)


def test_responses_of_single_visits_are_no_best_response(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    visits = {"Response_W12": ["PR", "SD", "PD"], "Response_W24": ["PD", "SD", "PD"]}
    draft = draft_of(visits)
    assert not draft.outcomes.outcome_columns
    text = (tmp_path / "mine.yaml").read_text()
    assert "# TODO: [Response_W12, Response_W24] are responses of single visits; make one column of the best" in text
    assert "may be a response" not in text
    recist = draft_of({**visits, "best_response": ["CR", "SD", "PD"]}).outcomes.recist
    assert recist is not None
    assert recist.column == "best_response"
    alone = draft_of({"Response_W12": ["PR", "SD", "PD"]}).outcomes.recist
    assert alone is not None


def test_events_side_by_side_are_asked_about(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft = draft_of({"irAE1_grade": ["0", "2", "3"], "irAE1_day": ["", "4", "9"], "irAE2_grade": ["0", "0", "3"]})
    assert draft.outcomes.toxicity is None
    assert "[irAE1_grade, irAE1_day, irAE2_grade] list events side by side" in (tmp_path / "mine.yaml").read_text()
    assert draft_of({"irAE1_grade": ["0", "2", "3"]}).outcomes.toxicity is not None


@pytest.mark.parametrize(
    ("columns", "column", "grade"),
    [
        (["severe irAE"], "severe irAE", "3"),
        (["severe irAE", "irAE"], "irAE", "any"),
        (["serious irAE"], "serious irAE", "any"),
        (["high-grade toxicity"], "high-grade toxicity", "3"),
    ],
)
def test_severe_toxicity_is_of_grade_3(
    draft_of: Callable[..., Manifest], columns: list[str], column: str, grade: str
) -> None:
    toxicity = draft_of({name: ["yes", "no"] for name in columns}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (toxicity.column, toxicity.grade) == (column, grade)


@pytest.mark.parametrize(
    ("cells", "yes"),
    [(["Grade 1-2", "Grade 3-4", "None"], 2), (["G1", "G2", "G3", "no"], 3), (["CTCAE grade >=3", "grade 0"], 1)],
)
def test_grades_in_words_are_toxicity(draft_of: Callable[..., Manifest], cells: list[str], yes: int) -> None:
    toxicity = draft_of({"irAE": cells}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (set(toxicity.yes), toxicity.no) == ({*cells[:yes]}, (cells[yes],))


@pytest.mark.parametrize(("column", "outcome"), [("NDB", "durable_benefit"), ("NCB", "published_response")])
def test_an_abbreviated_flag_of_no_benefit_is_turned_round(
    draft_of: Callable[..., Manifest], column: str, outcome: str
) -> None:
    rule = getattr(draft_of({column: ["1", "0", "0"]}).outcomes, outcome)
    assert (rule.column, rule.yes, rule.no) == (column, ("0",), ("1",))
    labels = getattr(draft_of({column: ["DCB", "NDB"]}).outcomes, outcome)
    assert (labels.yes, labels.no) == (("DCB",), ("NDB",))


@pytest.mark.parametrize(
    "column",
    [
        "response to prior anti-PD-1",
        "Prior_BOR",
        "previous_ICI_response",
        "history_of_irAE",
        "PFS12 on earlier therapy",
    ],
)
def test_an_outcome_of_an_earlier_treatment_is_none(
    draft_of: Callable[..., Manifest], tmp_path: Path, column: str
) -> None:
    draft = draft_of({column: ["yes", "no"], "recist": ["CR", "PD", "SD"]})
    assert set(draft.outcomes.outcome_columns) == {"recist"}
    assert draft.exclude_columns[column].startswith("of an earlier treatment")
    assert outcome_flag(column, pd.Series(["yes", "no"])) is None


def test_a_response_before_an_event_is_an_outcome(draft_of: Callable[..., Manifest]) -> None:
    recist = draft_of({"best_response_prior_to_progression": ["CR", "PD", "SD"]}).outcomes.recist
    assert recist is not None


@pytest.mark.parametrize(
    "column",
    ["responder_or_non_responder", "non_small_cell_response", "not_evaluable_for_response", "no_benefit_from_surgery"],
)
def test_a_negation_that_may_mean_either_is_asked_about(
    draft_of: Callable[..., Manifest], tmp_path: Path, column: str
) -> None:
    draft = draft_of({column: ["1", "0"], "best_response": ["CR", "PD"]})
    assert draft.outcomes.published_response is None
    assert f"{column} may be a response; state what" in (tmp_path / "mine.yaml").read_text()
    assert column in draft.exclude_columns


@pytest.mark.parametrize(
    "column",
    [
        "no_irAE",
        "no_immune_related_toxicity",
        "No severe irAE",
        "no_grade3_toxicity",
        "free_of_toxicity",
        "irAE_free",
        "notoxicity",
    ],
)
def test_a_flag_of_no_toxicity_is_turned_round(draft_of: Callable[..., Manifest], column: str) -> None:
    toxicity = draft_of({"best_response": ["CR", "PD"], column: ["1", "0"]}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (toxicity.yes, toxicity.no) == (("0",), ("1",))


@pytest.mark.parametrize("column", ["irAE_or_no_irAE", "no_adverse_events", "toxicity_without_hospital_stay"])
def test_a_negation_of_toxicity_that_may_mean_either_is_asked_about(
    draft_of: Callable[..., Manifest], tmp_path: Path, column: str
) -> None:
    assert draft_of({"best_response": ["CR", "PD"], column: ["1", "0"]}).outcomes.toxicity is None
    assert f"{column} may be toxicity; state which of" in (tmp_path / "mine.yaml").read_text()


def test_words_tell_what_a_number_may_not(draft_of: Callable[..., Manifest]) -> None:
    toxicity = draft_of({"best_response": ["CR", "PD"], "no_adverse_events": ["yes", "no"]}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (toxicity.yes, toxicity.no) == (("no",), ("yes",))


def test_grades_below_that_of_a_name_are_asked_about(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    assert draft_of({"toxicity_grade3": ["1-2", "3-4", "0"]}).outcomes.toxicity is None
    assert "toxicity_grade3 may be toxicity; state which of" in (tmp_path / "mine.yaml").read_text()
    toxicity = draft_of({"toxicity_grade3": ["1", "0"]}).outcomes.toxicity
    assert toxicity == Toxicity(column="toxicity_grade3", grade="3", yes=["1"], no=["0"])


def test_the_day_of_an_event_is_no_flag_of_it(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft_of({"best_response": ["CR", "PD"], "irAE onset": ["15", ""], "rash_grade": ["0", "12"], "CRS_grade": ["1"]})
    assert "may be toxicity" not in (tmp_path / "mine.yaml").read_text()
    assert "may be grades" not in (tmp_path / "mine.yaml").read_text()


def test_responses_of_recist_have_their_own_outcomes(draft_of: Callable[..., Manifest]) -> None:
    columns = {"objective_response": ["1", "0", "0"], "disease_control": ["1", "1", "0"]}
    outcomes = draft_of(columns).outcomes
    assert outcomes.objective_response == YesNo(column="objective_response", yes=["1"], no=["0"])
    assert outcomes.disease_control == YesNo(column="disease_control", yes=["1"], no=["0"])
    draft = draft_of(columns | {"best_response": ["CR", "PD"]})
    assert draft.outcomes.disease_control is None
    assert "disease_control" in draft.exclude_columns


def test_deaths_are_asked_for_beside_names_that_hold_the_word(
    draft_of: Callable[..., Manifest], tmp_path: Path
) -> None:
    draft_of({"RECIST_DIAGNOSIS": ["CR", "PD"], "OS": ["3", "5", "9"]})
    assert "OS may be survival.overall_survival; describe it with the column" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("cells", [["0", "1"], ["0", "1", "3"]])
def test_a_number_of_events_is_not_turned_round(draft_of: Callable[..., Manifest], cells: list[str]) -> None:
    toxicity = draft_of({"best_response": ["CR", "PD"], "No. adverse events": cells}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (toxicity.yes, toxicity.no) == (tuple(cells[1:]), ("0",))


@pytest.mark.parametrize("cell", ["n.a.", "not reported", "Not done", "--", "<NA>", "N.E."])
def test_further_spellings_of_missing_are_known(draft_of: Callable[..., Manifest], tmp_path: Path, cell: str) -> None:
    draft = draft_of({"best_response": ["CR", "PD", cell], "age": ["50", "61", cell]})
    assert draft.outcomes.recist is not None
    assert draft.outcomes.recist.unknown == (cell,)
    assert draft.patients is not None
    assert set(draft.patients.covariates["age"].missing) == {"", "NA", cell}
    assert "Taken as" not in (tmp_path / "mine.yaml").read_text()


def test_a_span_of_grades_is_toxicity(draft_of: Callable[..., Manifest]) -> None:
    toxicity = draft_of({"irae_grade": ["0", "1", "3-4", ">=3", "0-1", "2+"]}).outcomes.toxicity
    assert isinstance(toxicity, Toxicity)
    assert (toxicity.yes, toxicity.unknown) == (("1", "3-4", ">=3", "2+"), ("0-1",))


@pytest.mark.parametrize("cells", [["", "1", "2", "3"], ["colitis", "rash", "none", ""]])
def test_what_empty_or_other_cells_of_toxicity_mean_is_asked(
    draft_of: Callable[..., Manifest], tmp_path: Path, cells: list[str]
) -> None:
    assert draft_of({"best_response": ["CR", "PD"], "irAE": cells}).outcomes.toxicity is None
    assert "irAE may be toxicity; state which of" in (tmp_path / "mine.yaml").read_text()


def test_the_column_of_deaths_is_asked_for(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft_of({"best_response": ["CR", "PD"], "OS_months": ["3", "5", "9"], "status": ["1", "2"]})
    assert (
        "OS_months may be survival.overall_survival; describe it with the column that says which"
        in (tmp_path / "mine.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("header", "onset"),
    [
        ("treatment_start,onset_date", "onset_date"),
        ("steroid_start,Date of onset,date_of_resolution", "Date of onset"),
        ("drug_start_date,Event start (DD.MM.YYYY)", "Event start (DD.MM.YYYY)"),
        ("ICI_start,date,stop_date", "date"),
        ("FMT_start,AESTDTC", "AESTDTC"),
    ],
)
def test_an_event_begins_on_the_date_of_its_own_start(tmp_path: Path, header: str, onset: str) -> None:
    path = tmp_path / "ae.csv"
    path.write_text(f"patient,AE term,grade,{header}\np1,colitis,2" + ",2023-02-01" * (header.count(",") + 1) + "\n")
    assert (find_event_columns(read_text_table(path)) or {})["day"] == onset


def test_the_start_of_another_treatment_or_an_end_is_no_onset(tmp_path: Path) -> None:
    path = tmp_path / "ae.csv"
    path.write_text("patient,AE term,grade,steroid_start,days_to_resolution\np1,colitis,2,2023-02-01,12\n")
    assert find_event_columns(read_text_table(path)) is None


def test_dates_of_deaths_are_asked_for_as_times(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft_of({"best_response": ["CR", "PD"], "Date of death": ["2023-03-04", ""]})
    text = (tmp_path / "mine.yaml").read_text()
    assert "# TODO: Date of death dates deaths; add a column of the days, weeks, months or years from day 0" in text
    draft_of({"best_response": ["CR", "PD"], "Date of death": ["2023-03-04", ""], "OS_months": ["3", "5", "9"]})
    assert "dates deaths" not in (tmp_path / "mine.yaml").read_text()


def test_an_onset_in_weeks_is_no_day(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("patient,AE term,grade,onset week\np1,colitis,2,3\n")
    assert find_event_columns(read_text_table(path)) is None
    path.write_text("patient,AE term,grade,onset day\np1,colitis,2,21\n")
    assert find_event_columns(read_text_table(path)) == {"grade": "grade", "day": "onset day", "term": "AE term"}


@pytest.mark.parametrize(
    ("header", "index"),
    [
        ("Onset date", "FMT date"),
        ("AESTDTC", "FMT date"),
        ("Start date", "treatment start date"),
        ("Onset date", "TODO"),
    ],
)
def test_dated_events_count_from_the_date_of_day_0(
    draft_of: Callable[..., Manifest], tmp_path: Path, header: str, index: str
) -> None:
    draft_of({"age": ["60"], **({} if index == "TODO" else {index: ["2019-03-04", "2019-05-20"]})})
    events = tmp_path / "ae.csv"
    rows = "p1,Rash,1,01.06.2019,03.06.2019\np2,Colitis,G3,23.06.2019,\n"
    events.write_text(f"patient_id,Event,CTCAE grade,{header},End date\n{rows}")
    text = draft_manifest([tmp_path / "taxa.csv", tmp_path / "sheet.csv", events], "mine")
    assert f"day: {{from: {header}, index: {index}}}, term: Event}}" in text
    assert "# TODO: confirm the event at day 0; confirm that patients without a row had no event" in text


def test_grades_of_several_kinds_of_events_are_asked_about(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    grades = {"rash_grade": ["0", "2"], "colitis_grade": ["", "3"], "tumour_grade": ["1", "2"]}
    assert draft_of({"best_response": ["CR", "PD"], **grades}).outcomes.toxicity is None
    question = "[rash_grade, colitis_grade] may be grades of immune-related events; make one column of the highest"
    assert question in (tmp_path / "mine.yaml").read_text()
    drafted = draft_of({"max_irae_grade": ["0", "3"], **grades})
    assert drafted.outcomes.toxicity is not None
    assert question not in (tmp_path / "mine.yaml").read_text()


def test_progression_free_survival_of_cbioportal(draft_of: Callable[..., Manifest]) -> None:
    draft = draft_of({"PFS_MONTHS": ["3", "9", "14"], "PFS_STATUS": ["1:PROGRESSION", "0:CENSORED"]})
    assert draft.outcomes.survival is not None
    rule = draft.outcomes.survival.progression_free_survival
    assert rule is not None
    assert (rule.yes, rule.no, rule.unit) == (("1:PROGRESSION",), ("0:CENSORED",), "months")
    assert draft.outcomes.progression_free == {}


def test_a_time_without_a_unit_is_asked_for(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft = draft_of({"OS": ["3", "9", "14"], "os_event": ["1", "0"]})
    assert draft.outcomes.survival is None
    assert "# TODO: OS and os_event may be survival.overall_survival" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("event", ["os_censored", "OS_CNSR", "overall_survival_cnsr"])
def test_a_flag_of_censoring_is_turned_round(draft_of: Callable[..., Manifest], event: str) -> None:
    survival = draft_of({"os_days": ["3", "9", "14"], event: ["1", "0"]}).outcomes.survival
    assert survival is not None
    assert survival.overall_survival is not None
    assert (survival.overall_survival.yes, survival.overall_survival.no) == (("0",), ("1",))


@pytest.mark.parametrize(
    ("event", "cells"),
    [
        ("vital_status", ["1", "0"]),
        ("os_event_cnsr", ["1", "0"]),
        ("os_cens", ["yes", "no"]),
        ("os_status", ["1", "2"]),
        ("OS", ["1", "0"]),
    ],
)
def test_what_a_flag_of_an_event_leaves_open_is_asked(
    draft_of: Callable[..., Manifest], tmp_path: Path, event: str, cells: list[str]
) -> None:
    draft = draft_of({"os_days": ["3", "9", "14"], event: cells})
    assert draft.outcomes.survival is None
    assert f"which cells of {event} mean that the event happened?" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize(("unclear", "event"), [("vital_status", "OS_event"), ("OS", "death")])
def test_a_clear_flag_of_an_event_counts_before_an_unclear_flag(
    draft_of: Callable[..., Manifest], unclear: str, event: str
) -> None:
    survival = draft_of({"OS_months": ["3", "9", "14"], unclear: ["0", "1"], event: ["1", "0"]}).outcomes.survival
    assert survival is not None
    assert survival.overall_survival is not None
    assert (survival.overall_survival.event, survival.overall_survival.yes) == (event, ("1",))


def test_the_audit_takes_no_side_where_a_flag_of_vital_status_is_open() -> None:
    assert find_event_flag("vital_status", pd.Series(["1", "0"])) is None
    assert find_event_flag("vital_status", pd.Series(["dead", "alive"])) == {"dead": True, "alive": False}


def test_numbers_of_response_are_codes_and_numbers_of_toxicity_are_grades(
    draft_of: Callable[..., Manifest], tmp_path: Path
) -> None:
    draft = draft_of({"response": ["0", "1", "2", "3"], "irae": ["0", "1", "2", "3"]})
    assert draft.outcomes.published_response is None
    assert 'response may be a response; state what ["0", "1", "2", "3"] mean' in (tmp_path / "mine.yaml").read_text()
    assert draft.outcomes.toxicity == Toxicity(column="irae", grade="any", yes=["1", "2", "3"], no=["0"])


@pytest.mark.parametrize("words", [("DCB", "NDB"), ("CR/PR", "SD/PD")])
def test_groups_of_best_responses_are_the_publications_label(
    draft_of: Callable[..., Manifest], words: tuple[str, str]
) -> None:
    rule = draft_of({"response": words}).outcomes.published_response
    assert rule == YesNo(column="response", yes=[words[0]], no=[words[1]])


@pytest.mark.parametrize(
    "cells", [["0", "G1", "G3"], ["None", "Grade 1", "Grade 3"], ["no", "yes"], ["0 (none)", "2 (mod)", "3 (severe)"]]
)
def test_a_column_of_the_highest_grade_is_toxicity(draft_of: Callable[..., Manifest], cells: list[str]) -> None:
    toxicity = draft_of({"max_irAE": cells}).outcomes.toxicity
    assert toxicity == Toxicity(column="max_irAE", grade="any", yes=cells[1:], no=cells[:1])


@pytest.mark.parametrize("columns", [("irae___1", "irae___2"), ("irAE (choice=Colitis)", "irAE (choice=Rash)")])
def test_a_checkbox_of_redcap_is_no_toxicity_by_itself(
    draft_of: Callable[..., Manifest], tmp_path: Path, columns: tuple[str, str]
) -> None:
    draft = draft_of({columns[0]: ["1", "0", "0"], columns[1]: ["0", "1", "0"]})
    assert draft.outcomes.toxicity is None
    assert "are checkboxes of one question" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["1=CR", "2=PR", "3=SD", "4=PD"],
        ["Complete remission", "Partial Response (PR)", "Stable disease (SD)", "Progression"],
        ["komplette Remission", "partielle Remission", "stabile Erkrankung", "progrediente Erkrankung"],
        ["RC", "RP", "maladie stable", "PD"],
    ],
)
def test_labels_of_best_response_are_read(draft_of: Callable[..., Manifest], words: list[str]) -> None:
    recist = draft_of({"best_response": words}).outcomes.recist
    assert recist is not None
    assert [(word,) for word in words] == [recist.CR, recist.PR, recist.SD, recist.PD]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("reason_off_treatment", ["progression", "stable", "toxicity"]),
        ("surgery", ["RP", "RC"]),
        ("brain_mets", ["stable", "progress"]),
    ],
)
def test_plain_words_mean_a_response_in_a_column_of_response_alone(
    draft_of: Callable[..., Manifest], column: str, words: list[str]
) -> None:
    assert draft_of({column: words}).outcomes.recist is None
    assert draft_of({"Tumour response": words}).outcomes.recist is not None


@pytest.mark.parametrize(
    ("age", "sex", "toxicity", "words"),
    [
        ("Alter", "Geschlecht", "Nebenwirkung irAE", ("w", "m", "ja", "nein")),
        ("\u00e2ge", "Sexe", "toxicit\u00e9", ("F", "H", "oui", "non")),
        ("\u5e74\u9f84", "\u6027\u522b", "\u4e0d\u826f\u53cd\u5e94", ("\u5973", "\u7537", "\u662f", "\u5426")),
    ],
)
def test_headers_and_words_of_other_languages_are_read(
    draft_of: Callable[..., Manifest], age: str, sex: str, toxicity: str, words: tuple[str, str, str, str]
) -> None:
    female, male, yes, no = words
    draft = draft_of({age: ["61", "50", "77"], sex: [female, male], toxicity: [yes, no]})
    assert draft.patients is not None
    assert draft.patients.covariates["age"].column == age
    assert draft.patients.covariates["sex"].values == {female: "female", male: "male"}
    assert draft.outcomes.toxicity == Toxicity(column=toxicity, grade="any", yes=[yes], no=[no])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Sexo", ["H", "M"]),
        ("sex", ["H", "M", "NA", "unknown", "n/a"]),
        ("sex", ["m", "male"]),
    ],
)
def test_words_of_a_sex_that_may_all_mean_one_sex_are_asked(
    draft_of: Callable[..., Manifest], tmp_path: Path, column: str, words: list[str]
) -> None:
    draft = draft_of({column: words, "age": ["61", "50", "77"]})
    assert draft.patients is not None
    assert set(draft.patients.covariates) == {"age"}
    assert f"sex may be {column}, but {words[0]} has no obvious meaning" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("column", ["irae_any", "irAE", "ir_ae", "immune_related_adverse_event"])
def test_a_flag_of_immune_related_events_becomes_toxicity(draft_of: Callable[..., Manifest], column: str) -> None:
    toxicity = draft_of({column: ["Yes", "No"]}).outcomes.toxicity
    assert toxicity == Toxicity(column=column, grade="any", yes=["Yes"], no=["No"])


def test_a_draft_asks_which_events_are_immune_related(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    draft_of({"age": ["60"]})
    events = tmp_path / "adae.csv"
    events.write_text("patient_id,AETERM,AETOXGR,ASTDY,AEREL\np1,COLITIS,G3,20,RELATED\np2,RASH,II,9,NOT RELATED\n")
    text = draft_manifest([tmp_path / "taxa.csv", tmp_path / "sheet.csv", events], "mine")
    assert "toxicity: {events: adae.csv, patient: patient_id, grade: AETOXGR, day: ASTDY, term: AETERM}" in text
    assert "every row is an immune-related event; else keep those that are, by 'keep_rows' and AEREL" in text


@pytest.mark.parametrize(
    "header",
    ["tumor_grade,day,event", "Histological grade,day,event", "grade,days_followed,event", "grade,OS_days,event"],
)
def test_a_tumours_grade_or_a_time_of_survival_is_no_adverse_event(
    draft_of: Callable[..., Manifest], tmp_path: Path, header: str
) -> None:
    draft_of({"age": ["60"]})
    patients = tmp_path / "clinical.csv"
    patients.write_text(f"patient_id,{header}\n" + "".join(f"p{i},G{2 + i % 2},{90 * i},dead\n" for i in range(1, N)))
    text = draft_manifest([tmp_path / "taxa.csv", tmp_path / "sheet.csv", patients], "mine")
    assert "toxicity:" not in text


def test_irecist_is_read_and_what_it_leaves_open_is_asked(draft_of: Callable[..., Manifest], tmp_path: Path) -> None:
    words = ["iCR", "iPR", "iSD", "iCPD", "iUPD", "NE", "CR/PR", "PR*", "CR", "PR", "SD", "PD"]
    recist = draft_of({"best_response": words}).outcomes.recist
    assert recist is not None
    assert (recist.CR, recist.PR, recist.SD, recist.PD) == (("iCR", "CR"), ("iPR", "PR"), ("iSD", "SD"), ("iCPD", "PD"))
    assert recist.unknown == ("iUPD", "NE", "CR/PR", "PR*")
    question = 'what do [iUPD, CR/PR, "PR*"] mean? Taken as unknown'
    assert question in (tmp_path / "mine.yaml").read_text()


def test_a_bracket_behind_a_response_is_asked_where_it_does_not_mean_the_same(
    draft_of: Callable[..., Manifest], tmp_path: Path
) -> None:
    words = ["Stable disease (SD)", "PR", "PR (unc)", "PD (iCPD)", "PD (uPD)", "SD (PD)", "CR"]
    recist = draft_of({"best_response": words}).outcomes.recist
    assert recist is not None
    assert (recist.PR, recist.SD, recist.PD) == (("PR",), ("Stable disease (SD)",), ("PD (iCPD)",))
    assert recist.unknown == ("PR (unc)", "PD (uPD)", "SD (PD)")
    assert 'what do ["PR (unc)", "PD (uPD)", "SD (PD)"] mean? Taken as unknown' in (tmp_path / "mine.yaml").read_text()


def test_case_20_irecist(cases_dir: Path, tmp_path: Path) -> None:
    cohort = _drafted_case(cases_dir / "20-irecist", ["patients.csv", "samples.csv", "taxa.tsv"], tmp_path)
    response = cohort.labels.label_by_outcome["objective_response"]
    assert (response.eq(True).sum(), response.eq(False).sum(), response.isna().sum()) == (6, 8, 10)


@pytest.mark.parametrize("is_excluded", [True, False])
def test_case_33_an_inverted_response_is_found_through_pfs(cases_dir: Path, tmp_path: Path, is_excluded: bool) -> None:
    files = ["profiles.tsv", "sheet.tsv"]
    cohort = _drafted_case(cases_dir / "33-response-coded-backwards", files, tmp_path, without_progression=is_excluded)
    assert bool(cohort.manifest.outcomes.progression_free) is not is_excluded
    (inverted,) = [finding for finding in audit([cohort]) if finding.code == "outcome-inverted"]
    assert inverted.severity == "error"
    assert len(inverted.rows) == 40


def test_case_33_a_flag_of_pfs_is_no_response(cases_dir: Path, tmp_path: Path) -> None:
    files = ["profiles.tsv", "sheet_pfs.tsv"]
    cohort = _drafted_case(cases_dir / "33-response-coded-backwards", files, tmp_path)
    assert cohort.labels.reported_outcomes == ("objective_response", "disease_control")
    assert "disease_response_pfs" in cohort.manifest.exclude_columns


def test_a_column_of_another_subject_is_no_outcome() -> None:
    assert outcome_flag("steroids", pd.Series(["yes", "no"])) is None
    assert outcome_flag("anti_PD_1_response", pd.Series(["R", "NR", ""])) == {"R": True, "NR": False, "": None}


def _drafted_case(folder: Path, files: Sequence[str], tmp_path: Path, *, without_progression: bool = False) -> Cohort:
    for name in files:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    path = tmp_path / "mine.yaml"
    text = draft_manifest([tmp_path / name for name in files], "mine")
    if without_progression:
        text = text[: text.index("  # TODO: confirm that yes means free")] + "exclude_columns: {PFS12: known later}\n"
    path.write_text(text)
    return read_cohort(path, tmp_path)
