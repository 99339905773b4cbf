"""Drafted lines of outcomes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import pandas as pd

from features.draft.cells import is_missing, label_meaning, normalise_word, without_code
from features.draft.columns import (
    INDEX_DATE_COLUMN,
    columns_matching,
    find_patient_column,
    holds_dates,
    names_matching,
    snake_case,
)
from features.draft.covariates import COVARIATE_COLUMN, is_of_earlier_treatment
from features.draft.header_codes import code_label, codes_in_name
from features.draft.progression import (
    DATE_COLUMN,
    PROGRESSION_COLUMN,
    ProgressionFlag,
    SurvivalColumns,
    find_progression_flag,
    find_survival,
    is_date_of_death,
    is_of_other_origin,
    is_overall_survival,
    is_time_to_event,
)
from features.draft.translations import NO_WORDS, YES_WORDS
from features.draft.yaml_lines import in_yaml
from features.outcomes import parse_grade
from features.tables.decimals import is_number
from features.tables.text import TextTable

BEST_RESPONSE_COLUMN = r"recist|best_(overall_)?response|(^|_)bor(_|$)"
STABLE_SIX_MONTHS_COLUMN = r"(^|_)pfs_?0?6(_|$)"
RESPONSE_COLUMN = r"(^|_)(response|responder|orr)(_|$)"
EVENT_TERM_COLUMN = r"term|event|(^|_)ae(_|$)|toxicity$|^aedecod$"
GRADE_COLUMN = r"^(?!.*(tumou?r|histolog|differentiat|gleason)).*(grade|toxgr|ctcae)"
_ONSET_COLUMN = (
    r"^(?!.*(week|wk|month|year|follow|surviv|death|progress|resol|recover|duration|(^|_)(os|pfs|end|stop)(_|$)))"
    r".*((^|_)(days?|onset)(_|$)|^ae?stdy$)"
)
_ONSET_DATE_COLUMN = r"^(?!.*(diagnos|disease|cancer|tumou?r)).*(^|_)onset(_|$)|^ae?stdtc$"
_EVENT_DATE_COLUMN = r"^((date|start|of|the|adverse|events?|reaction|toxicity|ir|aes?|iraes?|[dmy]{2,4})(_|$))+$"
"""Columns that date the event or its start, and nothing else, as 'treatment_start' and 'steroid_start' do."""
_GRADE_OF_AN_EVENT = rf"{GRADE_COLUMN}(_|$)|(^|_)ctcae"
_CAUSE_COLUMN = r"relat|causal|attribut|(^|_)cause|^aerel"
"""The columns of a table of adverse events by which CDISC, too, names the event, its grade, its day and its cause."""
_ANSWERS = (
    {**dict.fromkeys(YES_WORDS, "yes"), **dict.fromkeys(NO_WORDS, "no")},
    {"true": "yes", "t": "yes", "false": "no", "f": "no"},
)
_NEGATION = (
    r"(^|_)(no(?!_of_)|non|not|without|never|lack|absence|absent|free)(_|$)"
    r"|(^|_)non?(respon|durable|benefit|dcb|tox|ir_?ae)|(^|_)n[cd]b(_|$)"
)
_NEGATED = re.compile(
    r"(no|non|not|without|lack_of|absence_of|free_of)_?"
    r"((durable|clinical|objective|immune|related|severe|serious|high_grade|grade_?[1-5](_[1-5])?|any)_)*"
    r"(response|responders?|benefit|dcb|toxicity|toxicities|ir_?aes?|aes?|adverse_(event|reaction|effect)s?)"
    r"|(toxicity|ir_?aes?|adverse_events?)_free|n[cd]b"
)
"""Names of columns of which yes means that a response, a benefit or toxicity did not happen."""
_MAY_BE_NUMBER = r"^no_\w*s$"
"""Names that may begin with an abbreviated 'number of', as 'no_adverse_events' is made of 'No. adverse events'."""
_NO_RESPONSE = ("nonresponder", "nonresponders", "nr", "nonr")
_LABELS = (
    {**dict.fromkeys(("responder", "responders", "r"), "yes"), **dict.fromkeys(_NO_RESPONSE, "no")},
    {"dcb": "yes", "cb": "yes", "ndb": "no", "ncb": "no"},
    {"crpr": "yes", "prcr": "yes", "sdpd": "no", "pdsd": "no"},
)
_OF_ANOTHER = r"^((fmt|stool)_)?donors?(_|$)|_of_(the_)?donors?(_|$)|(^|_)predict(ed|ion)(_|$)"
"""Columns of what happened to the donor, who may have responded, and of what was predicted."""
_LABELS_OF_RESPONSE = {word: meaning for labels in _LABELS[:2] for word, meaning in labels.items()}
_GROUP_COLUMN = (
    r"^((clinical|treatment|patient|response|study)_)?(groups?|outcomes?|class|category|label|phenotype|resp)$"
    r"|^(r_nr|nr_r|rnr|r_vs_nr)$"
)
_FLAG_NUMBERS = {"1": "yes", "0": "no"}
_GRADES = re.compile(r"(?:(?:>=?|\u2265)\s*[1-5]|[1-5]\s*[-\u2013/]\s*[1-5]|[1-5]\+)")
"""Several grades, of which the lowest is 1, as in '3-4' and '>=3'."""
_GRADE_IN_NAME = r"(?:grade|(?:^|_)g)_?([23])"
_SEVERE = r"(^|_)(severe|high_grade)(_|$)"
"""Names of toxicity of grade 3 and above (CTCAE 5.0); a serious event is one by its consequences, of any grade."""
_VISIT_IN_NAME = (
    r"(?:^|_)(?:w|wk|weeks?|m|mo|months?|d|days?|c|cycle|v|visit|t|tp|scan)_?\d+(?:_|$)"
    r"|(?:^|_)\d+_?(?:w|wks?|weeks?|m|mo|months?|d|days?)(?:_|$)"
)
_NUMBERED_EVENT = r"(?<![a-z])(?:ir_?ae|ae|toxicity|adverse_event)_?\d(?=_|$)"
_NO_GRADE = ("0", "g0", "grade0", "none", *NO_WORDS)
_RECIST_WORDS = {
    **{"completeresponse": "CR", "partialresponse": "PR", "stabledisease": "SD", "progressivedisease": "PD"},
    **{code.casefold(): code for code in ("CR", "PR", "SD", "PD")},
    **{"icr": "CR", "ipr": "PR", "isd": "SD", "icpd": "PD"},
    **dict.fromkeys(("completeremission", "komplettremission", "kompletteremission", "réponsecomplète"), "CR"),
    **dict.fromkeys(("partialremission", "partielleremission", "teilremission", "réponsepartielle"), "PR"),
    **dict.fromkeys(("stabileerkrankung", "maladiestable"), "SD"),
    **dict.fromkeys(("progredienteerkrankung", "maladieprogressive"), "PD"),
}
"""Words of RECIST 1.1 and iRECIST, in English, German and French. Unconfirmed progression (iUPD) is none of the four
(Seymour 2017, Lancet Oncol 18:e143-e152)."""
_PLAIN_RECIST_WORDS = {"rc": "CR", "rp": "PR", "stable": "SD", "stabilisation": "SD"} | dict.fromkeys(
    ("progression", "progress"), "PD"
)
"""Words that mean a response in a column of response alone: RP is also a radical prostatectomy."""
_CHECKBOX = r"___\d+$|\(choice="
"""The columns of REDCap's checkboxes: each is one of the choices of a question."""
_FOOTNOTE = r"[*\u2020\u2021\u00a7#?]\s*$"
"""Marks after a word whose meaning stands elsewhere, as in 'PR*'."""
_TOXICITY_COLUMN, _NO_TOXICITY = r"toxic|irae|(^|_)ir_?aes?(_|$)|immune_related|adverse", r"treat|steroid"
_KIND_OF_EVENT = (
    r"^(colitis|enterocolitis|pneumonitis|hepatitis|thyroiditis|hypophysitis|myocarditis|nephritis|arthritis|myositis"
    r"|dermatitis|rash|pruritus|vitiligo|uveitis|diarrho?ea|hypothyroidism|hyperthyroidism|adrenal_insufficiency)$"
)
_QUESTION_OF_RESPONSE = (
    "does it count stable disease? By RECIST, name it objective_response where it counts none, disease_control where "
    "it counts all"
)
_FLAGS_OF_TOXICITY = f"^(?!.*({_NO_TOXICITY}|date)).*({_TOXICITY_COLUMN})"
_FLAGS = (
    (
        "durable_benefit",
        r"durable|(^|_|non)dcb(_|$)|(^|_)ndb(_|$)",
        "confirm: response, or stable disease of at least 6 months",
    ),
    ("objective_response", r"objective_response|(^|_)orr(_|$)", "confirm: complete or partial response by RECIST"),
    ("disease_control", r"disease_control|(^|_)dcr(_|$)", "confirm: response or any stable disease by RECIST"),
    ("published_response", f"{RESPONSE_COLUMN}|nonrespon|benefit|(^|_)ncb(_|$)", _QUESTION_OF_RESPONSE),
    (
        "toxicity",
        _FLAGS_OF_TOXICITY,
        "confirm the grade: any, 2 or 3 (and above)",
    ),
)
"""The outcomes that are published as yes or no, the pattern of their columns, and what the researcher confirms."""


@dataclass
class OutcomesDraft:
    """The lines of `outcomes`, and the columns that encode an outcome."""

    lines: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)

    @property
    def outcomes(self) -> set[str]:
        """The outcomes that have a line."""
        return {line.strip().partition(":")[0] for line in self.lines if not line.lstrip().startswith("#")}

    def add(
        self, outcome: str, rule: Mapping[str, object], todo: str, column: str = "", unknown: Sequence[str] = ()
    ) -> None:
        """Add the rule of one outcome, which reads a column of flags, some of whose values are `unknown`."""
        unclear = [value for value in unknown if not is_missing(value)]
        question = f"; what do {in_yaml(unclear)} mean? Taken as unknown" if unclear else ""
        self.lines += [f"  # TODO: {todo}{question}", f"  {outcome}: {in_yaml(rule)}"]
        self.columns |= {column} - {""}

    def ask_for_codes(self, columns: Mapping[str, pd.Series[str]]) -> None:
        """Ask what the cells mean of columns that are outcomes by their names, and are in no outcome yet."""
        pattern = (
            rf"^(?!.*({PROGRESSION_COLUMN})).*({BEST_RESPONSE_COLUMN}|{RESPONSE_COLUMN}|nonrespon|benefit|dcb(_|$)|(^|_)n[cd]b(_|$)|^(pcr|mpr)$"
            "|disease_control)"
        )
        names = [name for name in names_matching(columns, pattern) if name not in self.columns]
        if names_matching(self.columns, pattern):
            names = [name for name in names if re.search(_NEGATION, snake_case(name))]
        if names:
            values = [value for value in columns[names[0]].unique() if not is_missing(value)]
            self.lines.append(
                f"  # TODO: {in_yaml(names[0])} may be a response; state what {in_yaml(values[:6])} mean under "
                "'recist', 'durable_benefit' or 'published_response', and take it from exclude_columns"
            )
        boxes = [
            name for name in columns if re.search(_CHECKBOX, name) and re.search(_TOXICITY_COLUMN, snake_case(name))
        ]
        if boxes:
            self.lines.append(
                f"  # TODO: {in_yaml(boxes)} are checkboxes of one question; make one column of toxicity of them, yes "
                "where a box of an event is checked, and describe it under 'toxicity'"
            )

    def add_labels_of_response(
        self, columns: Mapping[str, pd.Series[str]], flags: Mapping[str, Mapping[str, list[str]]]
    ) -> None:
        """Add the first column of `flags` that holds labels of response, where no other is the published response."""
        names = [column for column in find_labels_of_response(columns) if column in flags.keys() - self.columns]
        if names and "published_response" not in self.outcomes:
            column, groups = names[0], flags[names[0]]
            self.add(
                "published_response", {"column": column, **groups}, _QUESTION_OF_RESPONSE, column, groups["unknown"]
            )

    def add_progression_free(self, flags: Mapping[str, ProgressionFlag]) -> None:
        """Add the columns of freedom from progression whose names state the number of months."""
        by_month = {flag.months: (column, flag) for column, flag in flags.items() if flag.months}
        if by_month:
            self.lines += ["  # TODO: confirm that yes means free of progression", "  progression_free:"]
        for months, (column, flag) in sorted(by_month.items()):
            self.lines.append(f"    {months}: {in_yaml({'column': column, **flag.rule})}")
            self.columns.add(column)

    def add_survival(self, pairs: Mapping[str, SurvivalColumns]) -> None:
        """Add the times to events that are clear, and ask for the unit of the others, or for what their cells mean."""
        clear_pairs = {key: columns for key, columns in pairs.items() if columns.unit and columns.is_clear}
        for key, columns in pairs.items():
            if key in clear_pairs:
                continue
            names, event = f"{in_yaml(columns.time)} and {in_yaml(columns.event)}", in_yaml(columns.event)
            todo = "describe it with the unit: days, weeks, months or years"
            if not columns.is_clear:
                todo = f"which cells of {event} mean that the event happened? Describe it with these under 'yes'"
            self.lines.append(f"  # TODO: {names} may be survival.{key}; {todo}")
        if clear_pairs:
            todo = "confirm that times count from day 0 of the clock, and that yes is the event"
            self.lines += [f"  # TODO: {todo}", "  survival:"]
        for key, columns in clear_pairs.items():
            self.lines.append(f"    {key}: {in_yaml(columns._asdict())}")
            self.columns |= {columns.time, columns.event}

    def ask_for_toxicity(self, columns: Mapping[str, pd.Series[str]]) -> None:
        """Ask what the cells of a column of toxicity mean, or for the highest of the grades of several kinds."""
        if "toxicity" in self.outcomes:
            return
        if numbered := numbered_events(columns):
            self.lines.append(
                f"  # TODO: {in_yaml(numbered[:4])} list events side by side; write a table with a row for each event, "
                "its patient, term, grade and day, and describe it under 'toxicity' with 'events'"
            )
            return
        toxicities = [
            name
            for name in columns
            if re.search(_FLAGS_OF_TOXICITY, snake_case(name))
            and not re.search(_CHECKBOX, name)
            and not re.search(DATE_COLUMN, snake_case(name))
        ]
        grades = [
            name
            for name, cells in columns.items()
            if re.search(_GRADE_OF_AN_EVENT, snake_case(name))
            and all(is_missing(cell) or cell in {*"012345"} for cell in cells)
        ]
        kinds = [name for name, cells in columns.items() if _is_kind_of_event(name, cells)]
        if toxicities:
            values = [value or "empty" for value in columns[toxicities[0]].unique()]
            self.lines.append(
                f"  # TODO: {in_yaml(toxicities[0])} may be toxicity; state which of {in_yaml(values[:6])} mean yes, "
                "no and unknown under 'toxicity'"
            )
        elif len(grades) > 1:
            self.lines.append(
                f"  # TODO: {in_yaml(grades)} may be grades of immune-related events; make one column of the highest, "
                "and describe it under 'toxicity'"
            )
        elif len(kinds) > 1:
            self.lines.append(
                f"  # TODO: {in_yaml(kinds)} may be kinds of immune-related events; make one column, yes or the "
                "highest grade where any happened, and describe it under 'toxicity'"
            )

    def ask_for_best_of_visits(self, columns: Sequence[str]) -> None:
        """Ask for the best of the responses of several visits."""
        if columns:
            self.lines.append(
                f"  # TODO: {in_yaml(list(columns))} are responses of single visits; make one column of the best "
                "before progression, and describe it under 'recist', or 'published_response' where it is yes or no"
            )

    def ask_for_deaths(self, columns: Mapping[str, pd.Series[str]]) -> None:
        """Ask for the column of deaths where times of survival have none."""
        times = [
            name
            for name, cells in columns.items()
            if is_overall_survival(name) and is_time_to_event(name, cells) and not is_of_other_origin(name)
        ]
        if times:
            self.lines.append(
                f"  # TODO: {in_yaml(times[0])} may be survival.overall_survival; describe it with the column that "
                "says which patients died"
            )
        dates = [name for name, cells in columns.items() if is_date_of_death(name) and holds_dates(cells)]
        if dates and not times:
            self.lines.append(
                f"  # TODO: {in_yaml(dates[0])} dates deaths; add a column of the days, weeks, months or years from "
                "day 0 to death or the last contact, and describe it under 'survival' as 'overall_survival'"
            )

    def ask_for_other_origins(self, columns: Mapping[str, pd.Series[str]]) -> None:
        """Ask for the times from day 0 instead of those to death or progression that count from another event."""
        names = [name for name, cells in columns.items() if is_time_to_event(name, cells) and is_of_other_origin(name)]
        if names:
            self.lines.append(
                f"  # TODO: {in_yaml(names)} do not count from day 0 of the clock; add the times from day 0, and "
                "describe these under 'survival'"
            )


def draft_outcomes(
    columns: Mapping[str, pd.Series[str]], patients: pd.Series[str], events: TextTable | None
) -> OutcomesDraft:
    """Draft a line for each outcome that is recognised.

    Parameters
    ----------
    columns : mapping of str to pandas.Series
        The columns of the patients' sheet that do not change within a patient.
    patients : pandas.Series
        The patients, for the column of the patient in the table of adverse events.
    events : TextTable, optional
        The table of adverse events.
    """
    columns = {column: cells for column, cells in columns.items() if not _is_of_another(column)}
    of_visits = responses_of_visits(columns)
    progression = {column: flag for column, cells in columns.items() if (flag := find_progression_flag(column, cells))}
    responses, flags = _find_flags(columns, {*of_visits, *numbered_events(columns)})
    best = min(responses, key=lambda column: not re.search(BEST_RESPONSE_COLUMN, snake_case(column)), default=None)
    stable = next((column for column in flags if re.search(STABLE_SIX_MONTHS_COLUMN, snake_case(column))), None)
    draft = OutcomesDraft()
    if best:
        draft.add(
            "recist",
            {"column": best, **responses[best]},
            "confirm that it is the best overall response",
            best,
            responses[best]["unknown"],
        )
    else:
        draft.ask_for_best_of_visits(of_visits)
    snake_names = {
        name: snake_case(name)
        for name in sorted(flags, key=_is_severe)
        if not re.search(PROGRESSION_COLUMN, snake_case(name))
    }
    for outcome, pattern, todo in _FLAGS:
        flagged = next(
            (name for name in snake_names if name not in draft.columns and re.search(pattern, snake_names[name])), None
        )
        if outcome == "toxicity" and events:
            draft.add(outcome, *_events_rule(events, patients, columns))
        elif flagged and not (best and outcome in ("objective_response", "disease_control")):
            draft.add(
                outcome,
                {"column": flagged, **_grade_of(outcome, flagged), **flags[flagged]},
                todo,
                flagged,
                flags[flagged]["unknown"],
            )
        elif outcome == "durable_benefit" and best and stable:
            rule = {"stable_six_months": {"column": stable, **flags[stable]}}
            question = "confirm that it means that stable disease lasted six months"
            draft.add(outcome, rule, question, stable, flags[stable]["unknown"])
    draft.add_labels_of_response(
        columns, {column: groups for column, groups in flags.items() if column not in progression}
    )
    draft.ask_for_codes({name: cells for name, cells in columns.items() if name not in of_visits})
    draft.ask_for_toxicity(columns)
    draft.add_progression_free(progression)
    survival = find_survival(columns)
    draft.add_survival(survival)
    draft.ask_for_other_origins(columns)
    if "overall_survival" not in survival:
        draft.ask_for_deaths(columns)
    return draft


def _find_flags(
    columns: Mapping[str, pd.Series[str]], unread: Set[str]
) -> tuple[dict[str, dict[str, list[str]]], dict[str, dict[str, list[str]]]]:
    """Return the columns of best responses, and of yes and no, with the meaning of their cells, without `unread`."""
    responses: dict[str, dict[str, list[str]]] = {}
    flags: dict[str, dict[str, list[str]]] = {}
    for column, cells in columns.items():
        if column in unread:
            continue
        if groups := _best_responses(column, cells):
            responses[column] = groups
        elif not re.search(_CHECKBOX, column) and (groups := _best_yes_no(column, cells)):
            flags[column] = groups
    return responses, flags


def responses_of_visits(columns: Iterable[str]) -> list[str]:
    """Return the columns of response whose names differ in nothing but the visit, as 'Response_W12', 'Response_W24'."""
    by_name: dict[str, list[str]] = {}
    for column in columns:
        name = snake_case(column)
        bare_name = re.sub(_VISIT_IN_NAME, "_", name)
        if bare_name != name and re.search(f"{RESPONSE_COLUMN}|{BEST_RESPONSE_COLUMN}", name):
            by_name.setdefault(bare_name, []).append(column)
    return [column for names in by_name.values() if len(names) > 1 for column in names]


def numbered_events(columns: Iterable[str]) -> list[str]:
    """Return the columns of several adverse events of a patient side by side, as 'irAE1_grade' and 'irAE2_grade'."""
    numbers = {column: match[0] for column in columns if (match := re.search(_NUMBERED_EVENT, snake_case(column)))}
    return list(numbers) if len(set(numbers.values())) > 1 else []


def find_labels_of_response(columns: Mapping[str, pd.Series[str]]) -> list[str]:
    """Return the columns whose cells are labels of response, as responder and non-responder, whatever their names.

    R and NR are such labels in a column of groups or outcomes: under other names they may be right and not reported.
    """
    response_columns: list[str] = []
    for column, cells in columns.items():
        codes = codes_in_name(column)
        words = {
            normalise_word(without_code(code_label(cell, codes))) for cell in cells.unique() if not is_missing(cell)
        }
        are_letters = words <= {"r", "nr", "nonr"}
        is_group = re.search(_GROUP_COLUMN, snake_case(column)) is not None
        meanings = {_LABELS_OF_RESPONSE.get(word) for word in words}
        if meanings == {"yes", "no"} and (is_group or not are_letters) and not _is_of_another(column):
            response_columns.append(column)
    return response_columns


def _is_of_another(column: str) -> bool:
    """Tell whether a column is named for an earlier treatment, for a donor, or for a prediction."""
    return is_of_earlier_treatment(column) or re.search(_OF_ANOTHER, snake_case(column)) is not None


def outcome_flag(column: str, cells: pd.Series[str]) -> dict[str, bool | None] | None:
    """Return the meaning of the cells of a column of response or of freedom from progression; None of another column.

    Yes is the better of the two: a response, or no progression.
    """
    if _is_of_another(column):
        return None
    if flag := find_progression_flag(column, cells):
        groups: Mapping[str, list[str]] | None = flag.rule
    elif re.search(f"{RESPONSE_COLUMN}|{BEST_RESPONSE_COLUMN}", snake_case(column)):
        groups = _best_yes_no(column, cells)
        if responses := _best_responses(column, cells):
            best = responses["CR"] + responses["PR"]
            groups = {"yes": best, "no": responses["SD"] + responses["PD"], "unknown": responses["unknown"]}
    else:
        groups = None
    return _meanings(groups)


def toxicity_flag(column: str, cells: pd.Series[str]) -> dict[str, bool | None] | None:
    """Return which cells of a column of toxicity mean that it happened; None of another column.

    A column that dates or grades toxicity, and is empty for other patients, means so where it is not empty.
    """
    name = snake_case(column)
    if re.search(_NO_TOXICITY, name) or not re.search(_TOXICITY_COLUMN, name) or _is_of_another(column):
        return None
    if re.search(DATE_COLUMN, name):
        values = {value: not is_missing(value) for value in cells.unique()}
        return {**values} if len(set(values.values())) == 2 else None
    return _meanings(_best_yes_no(column, cells))


def _meanings(groups: Mapping[str, list[str]] | None) -> dict[str, bool | None] | None:
    if groups is None or not (groups["yes"] and groups["no"]):
        return None
    return {
        **dict.fromkeys(groups["yes"], True),
        **dict.fromkeys(groups["no"], False),
        **dict.fromkeys(groups["unknown"]),
    }


def _best_responses(column: str, cells: pd.Series[str]) -> dict[str, list[str]] | None:
    """Return the values of a column by the best response that they mean; None where most mean none."""
    is_response = re.search(f"{BEST_RESPONSE_COLUMN}|{RESPONSE_COLUMN}", snake_case(column))
    words = {**_RECIST_WORDS, **_PLAIN_RECIST_WORDS} if is_response else _RECIST_WORDS
    return _group(cells, words, codes_in_name(column))


def _best_yes_no(column: str, cells: pd.Series[str]) -> dict[str, list[str]] | None:
    """Return the values of a column by the pair of words of which most have a meaning.

    Numbers above 1 are grades in a column of toxicity, and codes without a meaning in any other, or where the name
    states the grade of which the cells may say yes or no.
    """
    name, codes = snake_case(column), codes_in_name(column)
    labels = [code_label(cell, codes) for cell in cells.unique()]
    has_codes = bool({normalise_word(label) for label in labels} & set("2345678"))
    is_toxicity = re.search(_TOXICITY_COLUMN, name) is not None
    grades = {
        normalise_word(without_code(label)): "yes"
        for label in labels
        if parse_grade(label) or _GRADES.fullmatch(re.sub(r"(?i)(ctcae\s*)?(grade|gr\.?|g)\s*", "", label))
    }
    has_codes |= re.search(_GRADE_IN_NAME, name) is not None and not grades.keys() <= {"1"}
    is_graded = is_toxicity and not re.search(_GRADE_IN_NAME, name)
    numbers = {**grades, **dict.fromkeys(_NO_GRADE, "no")} if is_graded else {} if has_codes else _FLAG_NUMBERS
    answers = [groups for words in (*_ANSWERS, numbers) if (groups := _group(cells, words, codes))]
    if re.search(_NEGATION, name) and not re.search(r"\b[Nn][or]\.", column):
        # Yes to "non-responder" is no response; to any other name with a negation it may be either.
        is_open = has_codes or _NEGATED.fullmatch(name) is None
        is_open |= bool(re.search(_MAY_BE_NUMBER, name)) and all(is_missing(cell) or is_number(cell) for cell in cells)
        answers = [] if is_open else [groups | {"yes": groups["no"], "no": groups["yes"]} for groups in answers]
    groupings = [*answers, *(groups for words in _LABELS if (groups := _group(cells, words, codes)))]
    return min(groupings, key=lambda groups: len(groups["unknown"]), default=None)


def _group(cells: pd.Series[str], words: Mapping[str, str], codes: Mapping[str, str]) -> dict[str, list[str]] | None:
    """Return the values of a column by the meaning of their words, or of their `codes`' words, the rest as unknown.

    None where the values of most rows have no meaning, or all of them the same.
    """
    meanings = {value: _meaning(code_label(value, codes), words) for value in cells.unique()}
    rows = cells[~cells.map(is_missing)].map(meanings)
    if rows[rows != "unknown"].nunique() < 2 or 2 * (rows == "unknown").sum() >= len(rows):
        return None
    return {
        group: [value for value, meaning in meanings.items() if meaning == group]
        for group in (*dict.fromkeys(words.values()), "unknown")
    }


def _meaning(cell: str, words: Mapping[str, str]) -> str:
    if re.search(_FOOTNOTE, cell):
        return "unknown"
    return label_meaning(cell, words) or "unknown"


def _is_kind_of_event(column: str, cells: pd.Series[str]) -> bool:
    """Tell whether a column is named for an event of an organ, and says whether, or at which grade, it happened."""
    reported = {normalise_word(cell) for cell in cells if not is_missing(cell)}
    return re.search(_KIND_OF_EVENT, snake_case(column)) is not None and reported <= {*"012345", *YES_WORDS, *NO_WORDS}


def _grade_of(outcome: str, column: str) -> dict[str, str]:
    if outcome != "toxicity":
        return {}
    grade = re.search(_GRADE_IN_NAME, snake_case(column))
    return {"grade": grade[1] if grade else "3" if _is_severe(column) else "any"}


def _is_severe(column: str) -> bool:
    return re.search(_SEVERE, snake_case(column)) is not None


def _events_rule(
    events: TextTable, patients: pd.Series[str], columns: Mapping[str, pd.Series[str]]
) -> tuple[dict[str, object], str]:
    """Return the rule of a table of adverse events, and a question; `columns` of the patients' sheet may date day 0."""
    patient = find_patient_column(events, patients) or "TODO"
    rule: dict[str, object] = {"events": events.path.name, "patient": patient, **(find_event_columns(events) or {})}
    day = rule["day"]
    if isinstance(day, str) and not _are_numbers(events.frame[day]):
        cells = dict(columns) | {name: events.frame[name] for name in events.header if name != day}
        index = next((name for name in names_matching(cells, INDEX_DATE_COLUMN) if holds_dates(cells[name])), "TODO")
        rule["day"] = {"from": day, "index": index}
    return rule, _question_of_events(events, rule["day"])


def _question_of_events(events: TextTable, day: object) -> str:
    question = "" if isinstance(day, str) else "confirm the event at day 0; "
    question += "confirm that patients without a row had no event, and that every row is an immune-related event; else "
    causes = columns_matching(events, _CAUSE_COLUMN)
    if not causes:
        return f"{question}keep those that are, by 'keep_rows'"
    cells = in_yaml([str(cell) for cell in events.frame[causes[0]].unique()[:4]])
    return f"{question}keep those that are, by 'keep_rows' and {in_yaml(causes[0])}, which holds {cells}"


def find_event_columns(sheet: TextTable) -> dict[str, str] | None:
    """Return the columns of a table of adverse events by the manifest's keys; None where the sheet is no such table."""
    columns: dict[str, str] = {}
    for key, pattern, is_of_key in (
        ("grade", GRADE_COLUMN, _are_grades),
        ("day", _ONSET_COLUMN, _are_numbers),
        ("day", _ONSET_DATE_COLUMN, holds_dates),
        ("day", _EVENT_DATE_COLUMN, holds_dates),
        ("term", EVENT_TERM_COLUMN, _are_words),
    ):
        for column in columns_matching(sheet, pattern):
            if column not in columns.values() and is_of_key(sheet.frame[column]):
                columns.setdefault(key, column)
    return columns if len(columns) == 3 and not columns_matching(sheet, COVARIATE_COLUMN) else None


def _are_grades(cells: pd.Series[str]) -> bool:
    """Tell whether cells are grades of events; a cell that spans grades, as '3-4', is named when the file is read."""
    n_grades = sum(parse_grade(part) is not None for cell in cells for part in cell.split("-")[:1])
    return 2 * n_grades > len(cells)


def _are_numbers(cells: pd.Series[str]) -> bool:
    return bool(cells.map(is_number).all())


def _are_words(cells: pd.Series[str]) -> bool:
    return not _are_numbers(cells)
