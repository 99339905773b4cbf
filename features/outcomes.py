"""The outcomes: their names and their definitions.

There are several definitions of response: `objective_response` is CR or PR, `disease_control` adds any stable disease,
and `durable_benefit` adds stable disease of at least six months; they are derived from RECIST where a cohort reports
it, else read as yes or no. `published_response` is each publication's own label. Toxicity is of any grade, or of CTCAE
grade 2 or 3 and above.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from features.errors import OutcomeError

if TYPE_CHECKING:
    # Every --help reads these names, and pydantic takes long to import.
    from features.manifest import TimeUnit

Grade = Literal["any", "2", "3"]
Side = Literal["response", "toxicity"]
GRADES: tuple[Grade, ...] = ("any", "2", "3")
RESPONSES = ("objective_response", "disease_control", "durable_benefit", "published_response")
OUTCOME_IDS = (*RESPONSES, *(f"toxicity_{grade}" for grade in GRADES))
SURVIVAL_OUTCOMES = ("overall_survival", "progression_free_survival", "time_to_toxicity")
DAYS_PER_MONTH = 365.25 / 12
"""Days of a mean month."""
DAYS_PER_UNIT: Mapping[TimeUnit, float] = {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH, "years": 365.25}

_ROMAN_GRADES = ("I", "II", "III", "IV", "V")
_GRADE = re.compile(
    r"(?:(?:CTCAE|grade|grad|gr|g)[\s.:_-]*)*(?P<grade>[1-5]|I{1,3}|IV|V)\u00b0?(?:\.0+)?"
    r"(?:\s*[(:=,]\s*[a-z][a-z -]*\)?)?",
    re.IGNORECASE | re.ASCII,
)

_DEFINITIONS = {
    "objective_response": "complete or partial response (RECIST)",
    "disease_control": "complete or partial response, or any stable disease (RECIST)",
    "durable_benefit": "complete or partial response, or stable disease of at least 6 months",
    "published_response": "each publication's own label of response; the labels differ in meaning",
    "toxicity_any": "immune-related adverse event of any grade",
    "toxicity_2": "immune-related adverse event of CTCAE grade 2 or above",
    "toxicity_3": "immune-related adverse event of CTCAE grade 3 or above",
}

_TERMS = {
    "objective_response": "CR or PR",
    "disease_control": "CR, PR or SD",
    "durable_benefit": "CR, PR, or SD ≥ 6 months",
    "published_response": "as published",
    "toxicity_any": "irAE of any grade",
    "toxicity_2": "irAE of grade ≥ 2",
    "toxicity_3": "irAE of grade ≥ 3",
}


def outcome_id(outcome: str, grade: str | None) -> str:
    """Return the name under which an outcome is trained, registered and served.

    Raises
    ------
    OutcomeError
        Toxicity without a grade, a grade without toxicity, or an unknown outcome or grade.
    """
    if outcome == "toxicity":
        if grade not in GRADES:
            raise OutcomeError(f"toxicity needs a grade, one of {', '.join(GRADES)}; got {grade or 'none'}")
        return f"toxicity_{grade}"
    if grade:
        raise OutcomeError(f"only toxicity has a grade; leave it out for {outcome}")
    if outcome not in RESPONSES:
        raise OutcomeError(f"unknown outcome {outcome!r}; known are {', '.join(RESPONSES)} and toxicity")
    return outcome


def definition_of(outcome: str, by_day: float | None = None) -> str:
    """Return an outcome's definition in words; for toxicity, with the last day on which an event counts."""
    return _DEFINITIONS[outcome] + _horizon(outcome, by_day)


def term_of(outcome: str, by_day: float | None = None) -> str:
    """Return an outcome's definition in the field's abbreviations, for the head of a column or of a card.

    CR, PR and SD are complete response, partial response and stable disease (RECIST); an irAE is an immune-related
    adverse event, and its grade is of CTCAE.
    """
    return _TERMS[outcome] + _horizon(outcome, by_day)


def _horizon(outcome: str, by_day: float | None) -> str:
    return f" by day {by_day:g}" if is_toxicity(outcome) and by_day is not None else ""


def is_toxicity(outcome: str) -> bool:
    """Return whether an outcome is one of toxicity."""
    return outcome.startswith("toxicity")


def side_of(outcome: str) -> Side:
    """Return the side of an outcome: response or toxicity."""
    return "toxicity" if is_toxicity(outcome) else "response"


def lowest_grade(outcome: str) -> int:
    """Return the lowest CTCAE grade that counts for an outcome of toxicity."""
    grade = outcome.removeprefix("toxicity_")
    return 1 if grade == "any" else int(grade)


def parse_grade(cell: str) -> int | None:
    """Return the CTCAE grade that a cell writes, as 3 for '3', 'G3', 'Grade 3', 'III' and '3 (severe)'; else None."""
    match = _GRADE.fullmatch(cell.strip())
    if match is None:
        return None
    grade = match["grade"].upper()
    return int(grade) if grade.isdecimal() else _ROMAN_GRADES.index(grade) + 1
