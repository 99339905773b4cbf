"""Which of several measurements of one thing are used: those up to the landmark, or the last where day 0 is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from serving.fhir.entries import Located
from serving.fhir.issues import Issue
from serving.fhir.resources import Observation


@dataclass(frozen=True)
class Landmark:
    """The day up to which measurements may be used.

    Attributes
    ----------
    day_0 : date or None
        Calendar day of the first dose.
    day : float
        Landmark of the models, in days from day 0.
    """

    day_0: date | None
    day: float

    def days_of(self, observation: Observation) -> int | None:
        """Return the days from day 0 to an observation; None where either is not dated."""
        if self.day_0 is None or observation.date is None:
            return None
        return (observation.date - self.day_0).days


@dataclass(frozen=True)
class ChosenObservation:
    """The observation that is used.

    Attributes
    ----------
    item : Located of Observation
    days : int or None
        Days from day 0; None where not known.
    """

    item: Located[Observation]
    days: int | None


def choose_observations(
    items: Sequence[Located[Observation]], landmark: Landmark, name: str
) -> tuple[list[ChosenObservation], list[Issue]]:
    """Return the observations up to the landmark in order of time, and why the others are not used.

    Without the day of the first dose, it is the last one alone, since none can be counted in days.

    Parameters
    ----------
    items : sequence of Located of Observation
        All of one analyte, or all stool profiles.
    landmark : Landmark
    name : str
        What is observed.
    """
    issues: list[Issue] = []
    dated: list[tuple[date, ChosenObservation]] = []
    undated: list[ChosenObservation] = []
    for item in items:
        days, day = landmark.days_of(item.resource), item.resource.date
        if days is not None and days > landmark.day:
            text = f"this {name} is of day {days}, after the models' prediction day, day {landmark.day:g}: not used"
            issues.append(Issue("warning", "business-rule", item.place, text))
        elif day is not None:
            dated.append((day, ChosenObservation(item, days)))
        else:
            undated.append(ChosenObservation(item, None))
    dated.sort(key=lambda pair: pair[0])
    usable = undated + [selection for _, selection in dated]
    if len(usable) > 1 and undated:
        text = f"there are several results of {name} and not all are dated to the day; send dates, or the last one only"
        return [], [*issues, *(Issue("error", "business-rule", selection.item.place, text) for selection in undated)]
    for (day, _), (next_day, selection) in pairwise(dated):
        if day == next_day:
            text = f"there are two results of {name} on {day}; send the one that is to be used"
            return [], [*issues, Issue("error", "business-rule", selection.item.place, text)]
    if landmark.day_0 is None:
        text = f"a later {name} is used instead, since the day of the first dose is not known"
        issues += [Issue("information", "business-rule", selection.item.place, text) for selection in usable[:-1]]
        usable = usable[-1:]
    return usable, issues
