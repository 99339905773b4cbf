"""Which landmark's model predicts as visits come in: the latest landmark that the patient has reached.

A model of a landmark was trained on patients who were free of the outcome on that day, from what was measured by it. So
it predicts for a patient from that day on, and reads what was measured by that day, however many visits follow, until
the next landmark for which a model is registered.

References
----------
van Houwelingen 2007, Scandinavian Journal of Statistics 34:70-85.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from features.landmark import DEFAULT_WINDOW
from models.patient_input import Candidate
from models.prediction import LandmarkChoice


def last_visit_day(candidate: Candidate) -> float | None:
    """Return the day of a candidate's last visit, or of the last dated measurement; None where nothing is dated."""
    if candidate.day is not None:
        return candidate.day
    stool_days = [candidate.taxa.day] if candidate.taxa is not None else []
    draw_days = [item.day for item in (*candidate.immune, *candidate.serial)]
    visit_days = [visit.day for visit in candidate.earlier]
    return max((day for day in (*stool_days, *draw_days, *visit_days) if day is not None), default=None)


def latest_landmark(landmarks: Iterable[float], day: float | None) -> float:
    """Return the latest landmark up to a day; the earliest of all where none is reached, or the day is not known."""
    ordered = sorted(landmarks)
    return max((landmark for landmark in ordered if day is not None and landmark <= day), default=ordered[0])


def preference(landmark: float, day: float | None) -> tuple[bool, float]:
    """Return the key by which models are tried: of reached landmarks the latest first, then the others by their day."""
    is_reached = day is not None and landmark <= day
    return (not is_reached, -landmark if is_reached else landmark)


def as_of(candidate: Candidate, landmark: float, window: float) -> Candidate:
    """Return a candidate as a model of a landmark reads it.

    That is the last visit whose measurements are all of the landmark's day or before. Without such a visit it is the
    present one, and the applicability domain says that it is too late.

    Parameters
    ----------
    candidate : Candidate
    landmark : float
    window : float
        Days before the landmark in which stool counts; 0 for the default.
    """
    stool = candidate.taxa
    if not candidate.earlier or (stool is not None and (stool.day is None or stool.day <= landmark)):
        return candidate
    # Old bundles do not state the window, and have 0.
    first_day = landmark - (window or DEFAULT_WINDOW)
    visits = [visit for visit in candidate.earlier if visit.day <= landmark and _is_since(visit.candidate, first_day)]
    if not visits:
        return candidate
    return replace(max(visits, key=lambda visit: visit.day).candidate, day=candidate.day)


def landmark_choice(
    landmark: float, landmarks: Sequence[float], day: float | None, stool_day: float | None
) -> LandmarkChoice:
    """Return the landmark of the model that predicts, with the reason.

    Parameters
    ----------
    landmark : float
        Of the model that predicts.
    landmarks : sequence of float
        Of all models of the outcome.
    day : float or None
        Day of the last visit.
    stool_day : float or None
        Day of the stool that the model reads.
    """
    distinct = tuple(sorted(set(landmarks)))
    return LandmarkChoice(landmark, distinct, day, stool_day, _reason(landmark, distinct, day))


def _is_since(candidate: Candidate, first_day: float) -> bool:
    stool = candidate.taxa
    return stool is None or stool.day is None or stool.day >= first_day


def _reason(landmark: float, landmarks: Sequence[float], day: float | None) -> str:
    due = latest_landmark(landmarks, day)
    if landmark != due:
        return f"the model of day {due:g}, which is due, lacks measurements; that of day {landmark:g} has them"
    if day is None:
        return f"no measurement is dated, so that the model of the earliest prediction day, day {landmark:g}, is due"
    if day < landmark:
        return f"the last visit, on day {day:g}, precedes day {landmark:g}, the earliest prediction day of a model"
    if landmark == landmarks[-1] and day > landmark:
        return (
            f"no model predicts from later than day {landmark:g}: on day {day:g}, of the last visit, the prediction is "
            f"that of day {landmark:g}"
        )
    return f"day {landmark:g} is the latest prediction day of a model by the last visit, on day {day:g}"
