"""Time-to-event outcomes: the time from the landmark to each patient's event, to a competing event, or to censoring.

`overall_survival` ends with death, `progression_free_survival` with progression or death. `time_to_toxicity` ends with
the first immune-related adverse event of a grade. Death is a competing event. Progression and the end of treatment do
not end the risk; censoring there is offered as a sensitivity analysis.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from features.errors import OutcomeError
from features.labels import OutcomeLabels
from features.manifest import Manifest
from features.outcomes import SURVIVAL_OUTCOMES, definition_of, outcome_id

CensoredAt = Literal["progression", "treatment_end"]
CENSORED_AT: dict[CensoredAt, str] = {
    "progression": "progression_free_survival",
    "treatment_end": "treatment_end",
}
"""Where follow-up for an adverse event may be censored, and the field of the manifest's `survival` with that day."""
CENSORED, EVENT, DEATH = 0, 1, 2
"""How a patient's time ends: without the event, with it, or with a death that precludes it."""

_DEFINITIONS = {
    "overall_survival": "days from the landmark to death",
    "progression_free_survival": "days from the landmark to progression or death, whichever comes first",
}


def survival_id(outcome: str, grade: str | None) -> str:
    """Return the name under which a time-to-event outcome is compared, such as `time_to_toxicity_2`.

    Raises
    ------
    OutcomeError
        An unknown outcome, time to toxicity without a grade, or a grade without toxicity.
    """
    if outcome not in SURVIVAL_OUTCOMES:
        raise OutcomeError(f"unknown time-to-event outcome {outcome!r}; known are {', '.join(SURVIVAL_OUTCOMES)}")
    if outcome == "time_to_toxicity":
        return f"time_to_{outcome_id('toxicity', grade)}"
    if grade:
        raise OutcomeError(f"only toxicity has a grade; leave it out for {outcome}")
    return outcome


def survival_definition(outcome: str) -> str:
    """Return a time-to-event outcome's definition in words."""
    if outcome in _DEFINITIONS:
        return _DEFINITIONS[outcome]
    return f"days from the landmark to the first {definition_of(outcome.removeprefix('time_to_'))}; death competes"


def survival_exclusion_reason(manifest: Manifest, labels: OutcomeLabels, outcome: str) -> str | None:
    """Return why a cohort is excluded from a time-to-event outcome; None where it dates the outcome."""
    dates = () if labels.dates is None else labels.dates.columns
    if outcome in _DEFINITIONS:
        if outcome in dates:
            return None
        return f"{manifest.name} does not date it; if its files do, name outcomes.survival.{outcome} in the manifest"
    if labels.events is None:
        return f"{manifest.name} has no dated adverse events"
    if "last_follow_up" not in dates and "overall_survival" not in dates:
        return (
            f"{manifest.name} dates adverse events, but not until when they were recorded; if its files do, name "
            "outcomes.survival.last_follow_up or overall_survival in the manifest"
        )
    return None


def time_to_event(
    labels: OutcomeLabels, outcome: str, patients: pd.Index[str], landmark: float, censored_at: CensoredAt | None = None
) -> pd.DataFrame:
    """Return the time from the landmark to each patient's event or to the end of follow-up, and how it ends.

    Parameters
    ----------
    labels : OutcomeLabels
        Of a cohort that `survival_exclusion_reason` does not exclude.
    outcome : str
        As `survival_id` returns it.
    patients : pandas.Index
    landmark : float
        A patient who died, progressed, had an adverse event or was lost on or before this day is no longer at risk.
    censored_at : {"progression", "treatment_end"}, optional
        Where follow-up for an adverse event is censored as well, in a cohort that reports that day. A patient for whom
        the day is unknown is followed on.

    Returns
    -------
    pandas.DataFrame
        By patient: `time`, days from the landmark; `event`, of `CENSORED`, `EVENT` and `DEATH`; `at_risk`, "yes",
        "no", or "unknown" where follow-up is not dated. Adverse events on the day of death count; those after the last
        day of follow-up do not.
    """
    assert labels.dates is not None
    dates = labels.dates.reindex(patients)
    if outcome in _DEFINITIONS:
        event_day, death_day = _event_day(dates, outcome), pd.Series(np.nan, index=patients)
        end = dates[outcome].where(dates[f"{outcome}_event"].notna())
    else:
        assert labels.events is not None
        event_day = labels.events.first_event_day(outcome.removeprefix("time_to_"), patients)
        death_day = _event_day(dates, "overall_survival")
        end = _day(dates, "last_follow_up").fillna(_day(dates, "overall_survival"))
        if censored_at is not None:
            censoring_day = dates[CENSORED_AT[censored_at]]
            end = end.mask(censoring_day < end, censoring_day)
    stop = np.fmin(np.fmin(event_day, death_day), end)
    return pd.DataFrame(
        {
            "time": stop - landmark,
            "event": np.select([event_day == stop, death_day == stop], [EVENT, DEATH], CENSORED),
            "at_risk": np.select([end.isna(), stop > landmark], ["unknown", "yes"], "no"),
        },
        index=patients,
    )


def _day(dates: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a day by patient, NaN where the cohort does not report it."""
    return dates[name] if name in dates else pd.Series(np.nan, index=dates.index)


def _event_day(dates: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return the day of an event by patient, NaN where no event is known."""
    day = _day(dates, name)
    return day.where(dates[f"{name}_event"].fillna(False).astype(bool)) if name in dates else day
