"""The columns of a cohort that tell how patients fared: those of its outcomes, and those that no outcome takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from features.arrays import Mask
from features.cohort import Cohort
from features.draft import find_event_flag, find_survival, is_time_to_event, outcome_flag, toxicity_flag
from features.outcomes import RESPONSES, is_toxicity
from features.tables.text import finite_numbers

UNUSED = "column "
"""How the name of a column begins that no outcome takes."""
_TIMES = ("overall_survival", "progression_free_survival")
_ASSESSED_RESPONSES = ("CR", "PR")


class EventTimes(NamedTuple):
    """Times to death or progression, by patient.

    Attributes
    ----------
    time : pandas.Series
        NaN where not reported.
    event : pandas.Series
        Whether the event ended the time (True) or the patient was last known to be without it (False); NA where not
        reported.
    """

    time: pd.Series[float]
    event: pd.Series[bool]


@dataclass(frozen=True)
class OutcomeColumns:
    """The columns that tell how patients fared, by name.

    Attributes
    ----------
    favourable : dict of str to pandas.Series
        Response, freedom from progression, or life: True is the better. NA where unknown.
    times : dict of str to EventTimes
        The longer the better.
    toxicity : dict of str to pandas.Series
        True where there was toxicity; NA where unknown.
    """

    favourable: dict[str, pd.Series[bool]]
    times: dict[str, EventTimes]
    toxicity: dict[str, pd.Series[bool]]


def outcome_columns(cohort: Cohort) -> OutcomeColumns:
    """Return the columns of a cohort's outcomes, and of its patients' sheet, excluded from features or not."""
    columns = OutcomeColumns(response_columns(cohort), _survival_times(cohort), _toxicity_columns(cohort))
    if not cohort.course.assessments.empty:
        is_response = cohort.course.assessments["response"].isin(_ASSESSED_RESPONSES)
        best_responses = is_response.groupby(cohort.course.assessments["patient"]).any()
        columns.favourable["response in an assessment"] = best_responses.astype("boolean")
    _add_unused_columns(columns, cohort)
    return columns


def response_columns(cohort: Cohort) -> dict[str, pd.Series[bool]]:
    """Return the distinct outcomes of response, and freedom from progression by month."""
    columns: dict[str, pd.Series[bool]] = {}
    for name in RESPONSES:  # a publication's own label comes last
        flag = cohort.labels.label_by_outcome.get(name)
        if flag is not None and not any(flag.equals(column) for column in columns.values()):
            columns[name] = flag
    progression_free = cohort.labels.progression_free.items()
    return columns | {f"PFS at month {months}": column for months, column in progression_free}


def contingency_table(x: Mask | pd.Series[bool], y: Mask | pd.Series[bool]) -> list[list[int]]:
    """Return the numbers of patients with both, with the first alone, with the second alone, and with neither."""
    return [[int((x & y).sum()), int((x & ~y).sum())], [int((~x & y).sum()), int((~x & ~y).sum())]]


def _survival_times(cohort: Cohort) -> dict[str, EventTimes]:
    dates = cohort.labels.dates
    if dates is None:
        return {}
    return {name: EventTimes(dates[name], dates[f"{name}_event"]) for name in _TIMES if f"{name}_event" in dates}


def _toxicity_columns(cohort: Cohort) -> dict[str, pd.Series[bool]]:
    columns = {name: flag for name, flag in cohort.labels.label_by_outcome.items() if is_toxicity(name)}
    events = cohort.labels.events
    if events is not None:
        patients = cohort.patient_cells.index
        columns["dated adverse events"] = pd.Series(patients.isin(events.frame["patient"]), patients, dtype="boolean")
    return columns


def _add_unused_columns(columns: OutcomeColumns, cohort: Cohort) -> None:
    """Add the columns that no outcome takes, read as a draft of the manifest would read them."""
    outcome_names = cohort.manifest.outcomes.outcome_columns
    cells = {str(name): column for name, column in cohort.patient_cells.items() if str(name) not in outcome_names}
    for pair in find_survival(cells).values():
        if not pair.is_clear:
            continue
        time, event = finite_numbers(cells.pop(pair.time)), cells.pop(pair.event)
        is_known = event.isin([*pair.yes, *pair.no])
        columns.times[f"{UNUSED}{pair.time}"] = EventTimes(time, event.isin(pair.yes).astype("boolean").where(is_known))
    for name, column in cells.items():
        if meanings := outcome_flag(name, column):
            columns.favourable[f"{UNUSED}{name}"] = column.map(meanings).astype("boolean")
        elif meanings := find_event_flag(name, column):
            columns.favourable[f"{UNUSED}{name}"] = ~column.map(meanings).astype("boolean")
        elif is_time_to_event(name, column):
            columns.times[f"{UNUSED}{name}"] = EventTimes(
                finite_numbers(column), pd.Series(True, column.index, dtype="boolean")
            )
        elif meanings := toxicity_flag(name, column):
            columns.toxicity[f"{UNUSED}{name}"] = column.map(meanings).astype("boolean")
