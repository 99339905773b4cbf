"""The course of one patient on one time axis: treatments, stool, predictions, distance to the donor, immune markers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from features.analytes import immune_column
from features.errors import UnitError
from features.outcomes import Side, side_of
from features.patient_course import AnalyteSeries, PatientCourse, SampleDonorDistance, SerialReading, TreatmentEvent
from features.units import LOG2_UNITS, ImmuneUnit, convert
from models.confirmation import forecasts
from models.evidence import AnalyteDistribution
from models.prediction import Prediction, Use, use_of
from serving.clinic import Clinic, Patient
from serving.number_text import chance, unstated_ranges
from serving.pages.catalogue import Catalogue
from serving.pages.drawings.timeline import (
    CurvePoint,
    Lane,
    LaneBand,
    LaneCurve,
    LaneMark,
    LaneSpan,
    TimeAxis,
    ValueScale,
    day_axis,
    visit_axis,
    with_text_heights,
)
from serving.pages.filters import readable

FIRST_ANALYTES = ("IL-2", "IL-10", "TGF-b1", "IL-6")
"""Analytes whose lanes come first; the others unfold."""
EVENT_KINDS = ("transplant", "cycle", "assessment")
MEDICATION_KINDS = ("antibiotic", "steroid", "ppi", "other")
MIN_TEXT_DISTANCE = 8
"""Percent of the axis between the texts of two marks."""
_TRAINING_RANGE = (5, 25, 75, 95)


@dataclass(frozen=True)
class VisitPrediction:
    """The predictions at one visit.

    Attributes
    ----------
    label : str
        Label of the visit.
    time : float
        Day of the sample, or the index of the visit where the visits are not dated.
    stool_is_read : bool
        Whether a model reads the visit's stool, at this visit or a later one.
    repeats : bool
        Whether the predictions are those of the visit before, since no further landmark is reached.
    probabilities : tuple of float or None
        One for each predicted outcome; None where the model abstains, or learnt from the patient.
    unconfirmed_reasons : tuple of str or None
        One for each predicted outcome: that the probability is not confirmed, as the API states it.
    uses : tuple of Use
        One for each predicted outcome.
    models : tuple of str
        Name and version of the model that predicts each outcome, with its landmark, the prediction day of pages.
    reasons : tuple of str
        Why the models of these landmarks predict, each once.
    """

    label: str
    time: float
    stool_is_read: bool
    repeats: bool
    probabilities: tuple[float | None, ...]
    unconfirmed_reasons: tuple[str | None, ...]
    uses: tuple[Use, ...]
    models: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class CourseRow:
    """One row of the table behind the timeline: what happened, or was measured, when; a day is None where unknown."""

    day: float | None
    kind: str
    title: str
    value: str


@dataclass(frozen=True)
class CourseView:
    """The course of a patient.

    Attributes
    ----------
    axis : TimeAxis
    lanes : tuple of Lane
        Treatments, stool, predictions, distance to the donor, and the first analytes.
    further_lanes : tuple of Lane
        The other analytes.
    visits : tuple of VisitPrediction
    rows : tuple of CourseRow
        Everything else in the lanes, by day.
    """

    axis: TimeAxis
    lanes: tuple[Lane, ...]
    further_lanes: tuple[Lane, ...]
    visits: tuple[VisitPrediction, ...]
    rows: tuple[CourseRow, ...]


def course_view(catalogue: Catalogue, clinic: Clinic, patient: Patient) -> CourseView | None:
    """Return the course of a patient; None where there is one visit and nothing else to show."""
    course, days = patient.course, [visit.day for visit in patient.visits if visit.day is not None]
    dated = len(days) == len(patient.visits)
    if not dated:
        course = PatientCourse()
    if len(patient.visits) == 1 and course == PatientCourse(donors=course.donors):
        return None
    visits = _visit_predictions(catalogue, patient, dated=dated)
    axis = day_axis(_axis_days(course, days), clinic.last_day) if dated else visit_axis([v.label for v in visits])
    analytes = sorted(course.analytes, key=_order_of_analyte)
    analyte_lanes = [_analyte_lane(axis, series, _training_distribution(catalogue, series)) for series in analytes]
    n_first = sum(series.analyte in FIRST_ANALYTES for series in analytes) or min(len(analytes), len(FIRST_ANALYTES))
    return CourseView(
        axis=axis,
        lanes=(
            *_treatment_lanes(axis, course),
            _stool_lane(axis, visits),
            _prediction_lane(axis, visits, [side_of(outcome) for outcome in catalogue.shown_outcomes]),
            *([_distance_lane(axis, course.distances)] if course.distances else []),
            *analyte_lanes[:n_first],
        ),
        further_lanes=tuple(analyte_lanes[n_first:]),
        visits=tuple(visits),
        rows=tuple(sorted(_rows(course), key=lambda row: -math.inf if row.day is None else row.day)),
    )


def _visit_predictions(catalogue: Catalogue, patient: Patient, *, dated: bool) -> list[VisitPrediction]:
    predicted = [forecasts(catalogue.predict(visit.candidate)) for visit in patient.visits]
    stool_days = {prediction.landmark.stool_day for predictions in predicted for prediction in predictions}
    visits: list[VisitPrediction] = []
    previous: list[tuple[float, float | None]] = []
    for index, (visit, predictions) in enumerate(zip(patient.visits, predicted, strict=True)):
        basis = [(prediction.landmark.day, prediction.landmark.stool_day) for prediction in predictions]
        visits.append(
            VisitPrediction(
                label=visit.label,
                time=visit.day if dated and visit.day is not None else float(index),
                stool_is_read=not dated or visit.day in stool_days,
                repeats=dated and basis == previous,
                probabilities=tuple(prediction.probability for prediction in predictions),
                unconfirmed_reasons=tuple(prediction.unconfirmed_reason for prediction in predictions),
                uses=tuple(use_of(item.trust.verdict, item.evidence) for item in predictions),
                models=tuple(_model_text(prediction) for prediction in predictions),
                reasons=tuple(dict.fromkeys(prediction.landmark.reason for prediction in predictions)),
            )
        )
        previous = basis
    return visits


def _model_text(prediction: Prediction) -> str:
    model = prediction.model
    return f"{readable(model.name)} version {model.version}, prediction day {prediction.landmark.day:g}"


def _axis_days(course: PatientCourse, visit_days: Sequence[float]) -> list[float]:
    """Return the days that the axis covers: from the first sample, draw or transplant on."""
    draws = [item.day for series in course.analytes for item in series.readings]
    transplants = [event.day for event in course.events if event.kind == "transplant"]
    start = min([*visit_days, *draws, *transplants])
    ends = [end for item in course.medications for end in (item.start, item.end) if end is not None]
    return [
        start,
        *(day for day in [*visit_days, *draws, *ends, *(event.day for event in course.events)] if day >= start),
    ]


def _treatment_lanes(axis: TimeAxis, course: PatientCourse) -> list[Lane]:
    lanes = []
    for kind in EVENT_KINDS:
        marks = _event_marks(axis, [event for event in course.events if event.kind == kind])
        if marks:
            donors = f" from {', '.join(course.donors)}" if kind == "transplant" and course.donors else ""
            lanes.append(Lane(kind, summary=f"{len(marks)}{donors}", marks=tuple(marks)))
    for medication in MEDICATION_KINDS:
        spans = []
        for item in course.medications:
            if item.kind == medication:
                start = axis.position(axis.start if item.start is None else item.start)
                stop = axis.position(axis.stop if item.end is None else item.end)
                spans.append(LaneSpan(start, max(stop - start, 0.5), f"{item.name}, {_period(item.start, item.end)}"))
        if spans:
            names = ", ".join(dict.fromkeys(item.name for item in course.medications if item.kind == medication))
            lanes.append(Lane(medication, summary=names, spans=tuple(spans)))
    return lanes


def _event_marks(axis: TimeAxis, events: Sequence[TreatmentEvent]) -> list[LaneMark]:
    """Return the marks of events by day; a text that would lie over the one before is left to the mark's label."""
    marks, text_x = [], -math.inf
    for event in events:
        x = axis.position(event.day)
        text = event.label.split(",")[0].removeprefix("target lesions ") if event.kind == "assessment" else ""
        text = text if x - text_x >= MIN_TEXT_DISTANCE else ""
        text_x = x if text else text_x
        marks.append(LaneMark(x, f"day {event.day:g}: {event.label or event.kind}", text))
    return marks


def _period(start: float | None, end: float | None) -> str:
    return f"day {'unknown' if start is None else f'{start:g}'} to {'unknown or later' if end is None else f'{end:g}'}"


def _stool_lane(axis: TimeAxis, visits: Sequence[VisitPrediction]) -> Lane:
    marks = tuple(LaneMark(axis.position(visit.time), visit.label, hollow=not visit.stool_is_read) for visit in visits)
    return Lane("stool", summary=str(len(marks)), marks=marks)


def _prediction_lane(axis: TimeAxis, visits: Sequence[VisitPrediction], sides: Sequence[Side]) -> Lane:
    scale = ValueScale(0, 1)
    curves = []
    for i, side in enumerate(sides):
        points = [
            CurvePoint(
                axis.position(v.time),
                scale.height(p),
                f"{v.label}: {side} {'not confirmed, ' if v.unconfirmed_reasons[i] else ''}{chance(p)}, {v.models[i]}",
                hollow=v.unconfirmed_reasons[i] is not None,
            )
            for v in visits
            if (p := v.probabilities[i]) is not None and not v.repeats
        ]
        curves.append(LaneCurve(f"{side}-by-visit", tuple(points), side))
    absences = [
        LaneMark(axis.position(visit.time), f"{visit.label}: {_absence_text(visit)}", "×")
        for visit in visits
        if None in visit.probabilities and not visit.repeats
    ]
    bands = [LaneBand(scale.height(stop), scale.height(start), inner=False) for start, stop in unstated_ranges(0, 1)]
    return Lane(
        "prediction", marks=tuple(absences), curves=with_text_heights(curves), bands=tuple(bands), ends=("0%", "100%")
    )


def _absence_text(visit: VisitPrediction) -> str:
    """Return why a model has no forecast at a visit."""
    uses = {use for probability, use in zip(visit.probabilities, visit.uses, strict=True) if probability is None}
    texts = ["a model abstains"] if "abstain" in uses else []
    texts += ["a model learnt from this patient"] if uses - {"abstain"} else []
    return ", ".join(texts)


def _distance_lane(axis: TimeAxis, distances: Sequence[SampleDonorDistance]) -> Lane:
    scale = ValueScale(0, 1)
    readers: list[tuple[str, Callable[[SampleDonorDistance], float | None]]] = [
        ("unrelated donors", lambda item: item.to_unrelated),
        ("own donor", lambda item: item.to_own_donors),
    ]
    curves = []
    for name, distance_of in readers:
        points = [
            CurvePoint(axis.position(item.day), scale.height(value), f"day {item.day:g}: {name} {value:.2f}", False)
            for item in distances
            if (value := distance_of(item)) is not None
        ]
        curves.append(LaneCurve(name.replace(" ", "-"), tuple(points)))
    summary = f"{distances[0].to_own_donors:.2f} → {distances[-1].to_own_donors:.2f}"
    return Lane("donor distance", summary=summary, curves=tuple(curves), ends=("0", "1"))


def _analyte_lane(axis: TimeAxis, series: AnalyteSeries, training: AnalyteDistribution | None) -> Lane:
    """Draw one analyte on a logarithmic scale, or a linear one where its unit is a logarithm."""
    logarithmic = series.unit not in LOG2_UNITS

    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    quantiles = _quantiles(training, series.unit)
    numbers = [(item, _drawn_number(item, series)) for item in series.readings]
    placed_readings = [
        (item, number) for item, number in numbers if number is not None and (number > 0 or not logarithmic)
    ]
    # A limit far below everything measured would press the curve together.
    is_below = any(item.reading.censored == "below" for item in series.readings)
    limits = [series.lower_limit] if series.lower_limit is not None and is_below else []
    heights = [
        scaled(n) for n in [*(n for _, n in placed_readings), *quantiles, *limits] if n > 0 or not logarithmic
    ] or [0.0]
    margin = 0.05 * (max(heights) - min(heights)) or 0.5
    scale = ValueScale(min(heights) - margin, max(heights) + margin)
    points = [
        CurvePoint(
            axis.position(item.day),
            scale.height(scaled(number)),
            f"day {item.day:g}: {item.reading.text} {series.unit}",
            bool(item.reading.censored),
        )
        for item, number in placed_readings
    ]
    bands: tuple[LaneBand, ...] = ()
    if quantiles and (min(quantiles) > 0 or not logarithmic):
        low, q25, q75, high = (scale.height(scaled(value)) for value in quantiles)
        bands = (LaneBand(high, low, inner=False), LaneBand(q75, q25, inner=True))
    texts = [item.reading.text for item in series.readings]
    ends = tuple(f"{float(f'{10**end if logarithmic else end:.2g}'):.5g}" for end in (scale.low, scale.high))
    return Lane(
        "analyte",
        title=series.analyte,
        unit=series.unit,
        summary=texts[0] if len(texts) == 1 else f"{texts[0]} → {texts[-1]}",
        curves=(LaneCurve("analyte", tuple(points)),),
        bands=bands,
        limit_y=scale.height(scaled(limits[0])) if limits and limits[0] > 0 else None,
        ends=ends,
    )


def _drawn_number(item: SerialReading, series: AnalyteSeries) -> float | None:
    """Return the number at which a reading is drawn: a censored one at its limit, None where that is not known."""
    reading = item.reading
    if not reading.censored:
        return reading.value
    assay_limit = series.lower_limit if reading.censored == "below" else series.upper_limit
    return assay_limit if math.isnan(reading.limit) else reading.limit


def _quantiles(training: AnalyteDistribution | None, unit: ImmuneUnit) -> tuple[float, ...]:
    """Return the 5, 25, 75 and 95% quantiles of the training patients in the unit of the series; empty if not known."""
    reported = (training.quantiles or {}) if training else {}
    values = [value for percent in _TRAINING_RANGE if (value := reported.get(percent)) is not None]
    if training is None or len(values) < len(_TRAINING_RANGE):
        return ()
    try:
        return tuple(convert(values, training.unit, unit).tolist())  # type: ignore[arg-type]
    except UnitError:
        return ()


def _training_distribution(catalogue: Catalogue, series: AnalyteSeries) -> AnalyteDistribution | None:
    """Return the training distribution of an analyte in the first model that reports one."""
    name = immune_column(series.analyte, series.unit).name
    validations = (served.model.validation for served in catalogue.best)
    return next((v.distributions.immune[name] for v in validations if v and name in v.distributions.immune), None)


def _order_of_analyte(series: AnalyteSeries) -> tuple[int, str]:
    is_first = series.analyte in FIRST_ANALYTES
    return (FIRST_ANALYTES.index(series.analyte) if is_first else len(FIRST_ANALYTES), series.analyte)


def _rows(course: PatientCourse) -> list[CourseRow]:
    rows = [CourseRow(event.day, event.kind, "", event.label) for event in course.events]
    rows += [CourseRow(m.start, m.kind, "", f"{m.name}, {_period(m.start, m.end)}") for m in course.medications]
    rows += [
        CourseRow(
            item.day,
            "donor distance",
            "",
            f"{item.to_own_donors:.2f}"
            + ("" if item.to_unrelated is None else f" (unrelated donors {item.to_unrelated:.2f})"),
        )
        for item in course.distances
    ]
    rows += [
        CourseRow(item.day, "analyte", series.analyte, f"{item.reading.text} {series.unit}")
        for series in course.analytes
        for item in series.readings
    ]
    return rows
