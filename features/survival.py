"""Time-to-event outcomes: when each patient's event came, counted from the landmark, and what else may end the wait.

`overall_survival` ends with death, `progression_free_survival` with progression or death. `time_to_toxicity` ends with
the first immune-related adverse event of a grade: death competes with it, since the dead have none; progression and the
end of treatment do not end its risk, and censoring there is offered to see what it would change.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from features.errors import OutcomeError
from features.manifest import Manifest
from features.outcomes import Labels, definition_of, outcome_id

CensoredAt = Literal["progression", "treatment_end"]
CENSORED_AT: dict[CensoredAt, str] = {
    "progression": "progression_free_survival",
    "treatment_end": "treatment_end",
}
"""Where the wait for an adverse event may be cut, and the day of the manifest's `survival` that tells when."""
CENSORED, EVENT, DEATH = 0, 1, 2
"""How a patient's time ends: still without the event, with it, or with a death that precludes it."""
SURVIVAL_OUTCOMES = ("overall_survival", "progression_free_survival", "time_to_toxicity")

_MEANING = {
    "overall_survival": "days from the landmark to death",
    "progression_free_survival": "days from the landmark to progression or death, whichever is first",
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
    if outcome in _MEANING:
        return _MEANING[outcome]
    return f"days from the landmark to the first {definition_of(outcome.removeprefix('time_to_'))}; death competes"


def survival_exclusion_reason(manifest: Manifest, labels: Labels, outcome: str) -> str | None:
    """Return why a cohort does not date an outcome; None where it does."""
    dates = () if labels.dates is None else labels.dates.columns
    if outcome in _MEANING:
        wants = f"outcomes.survival.{outcome}"
        return None if outcome in dates else f"{manifest.name} does not date it; where its files do, name {wants}"
    if labels.events is None:
        return f"{manifest.name} has no dated adverse events"
    if "last_follow_up" not in dates and "overall_survival" not in dates:
        return (
            f"{manifest.name} dates adverse events, and not until when they were recorded; where its files do, name "
            "outcomes.survival.last_follow_up or overall_survival"
        )
    return None


def time_to_event(
    labels: Labels, outcome: str, patients: pd.Index[str], landmark: float, censored_at: CensoredAt | None = None
) -> pd.DataFrame:
    """Return when each patient's event came after the landmark, or until when it had not.

    Parameters
    ----------
    labels : Labels
        Of a cohort that `survival_exclusion_reason` does not exclude.
    outcome : str
        As `survival_id` returns it.
    patients : pandas.Index
    landmark : float
        Who died, progressed, had an adverse event or was lost on or before this day is no longer at risk.
    censored_at : {"progression", "treatment_end"}, optional
        Where the wait for an adverse event is cut as well, in a cohort that tells that day. A patient in whom it is
        unknown is not cut.

    Returns
    -------
    pandas.DataFrame
        By patient: `time`, days from the landmark; `event`, of `CENSORED`, `EVENT` and `DEATH`; `at_risk`, "yes",
        "no" or "unknown". Adverse events of the day of death count; those after the last day followed do not.
    """
    assert labels.dates is not None
    dates = labels.dates.reindex(patients)
    if outcome in _MEANING:
        first, death = _event_day(dates, outcome), pd.Series(np.nan, index=patients)
        end = dates[outcome].where(dates[f"{outcome}_event"].notna())
    else:
        assert labels.events is not None
        first = labels.events.first(outcome.removeprefix("time_to_"), patients)
        death = _event_day(dates, "overall_survival")
        end = _day(dates, "last_follow_up").fillna(_day(dates, "overall_survival"))
        if censored_at is not None:
            cut = dates[CENSORED_AT[censored_at]]
            end = end.mask(cut < end, cut)
    stop = np.fmin(np.fmin(first, death), end)
    return pd.DataFrame(
        {
            "time": stop - landmark,
            "event": np.select([first == stop, death == stop], [EVENT, DEATH], CENSORED),
            "at_risk": np.select([end.isna(), stop > landmark], ["unknown", "yes"], "no"),
        },
        index=patients,
    )


def _day(dates: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a day by patient, NaN where the cohort does not tell it."""
    return dates[name] if name in dates else pd.Series(np.nan, index=dates.index)


def _event_day(dates: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return the day of an event by patient, NaN where none is known."""
    day = _day(dates, name)
    return day.where(dates[f"{name}_event"].fillna(False).astype(bool)) if name in dates else day
