"""The course of a patient: what the cohort's files say, placed on one time axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest

from features.cohort import read_cohort
from features.measured_values import MeasuredValue
from features.patient_course import AnalyteSeries, PatientCourse, SerialReading, TreatmentEvent, patient_courses
from features.population import NOT_REPORTED, Population
from models.evidence import TrainingCohort
from serving.app import create_app
from serving.clinic import Clinic, read_clinic
from serving.pages.catalogue import Catalogue
from serving.pages.drawings.timeline import CurvePoint, LaneCurve, day_axis, visit_axis, with_text_heights
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.verdict import outcome_verdict
from serving.pages.views.course import course_view
from serving.pages.views.parts import patient_facts
from taxokine.simulation import five_patients, simulate_trial

from .conftest import running
from .test_pages import PASSWORD
from .test_verdict import EVIDENCE


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_trial(tmp_path_factory.mktemp("five") / "trial", replace(five_patients("first"), n_taxa=40))


@pytest.fixture(scope="module")
def clinic(five: Path) -> Clinic:
    return read_clinic(str(five), (0.0,))


def test_a_course_holds_what_the_files_say(five):
    cohort = read_cohort(str(five), five.parent)
    courses = patient_courses(cohort)
    course = courses["SIM-002"]
    transplant_row = cohort.course.transplants.set_index("patient").loc["SIM-002"]
    assert course.donors == (transplant_row["donor"],)
    assert course.received_transplant
    transplant = next(event for event in course.events if event.kind == "transplant")
    assert (transplant.day, transplant_row["donor"] in transplant.label, "250 mL" in transplant.label) == (
        0,
        True,
        True,
    )
    assert sum(e.kind == "cycle" for e in course.events) == (cohort.course.cycles["patient"] == "SIM-002").sum()
    assert [event.day for event in course.events] == sorted(event.day for event in course.events)
    # The distance to the own donor is that of the sample that the patient received, by hand.
    proportions = cohort.taxa.proportions().values
    samples = cohort.samples
    row = samples[(samples["patient"] == "SIM-002") & (samples["day"] == course.distances[0].day)].index[0]
    received = samples.index[samples["sample"] == samples.at[row, "donor_sample"]][0]
    assert course.distances[0].to_own_donors == pytest.approx(
        np.abs(proportions[row] - proportions[received]).sum() / 2
    )
    below = [item for s in course.analytes if s.analyte == "IL-2" for item in s.readings if item.reading.censored]
    assert below
    assert below[0].reading.text == "<3.2"


def test_the_lanes_show_treatments_stool_predictions_distance_and_the_first_analytes(models, clinic):
    view = course_view(Catalogue(models), clinic, clinic.patients["SIM-002"])
    kinds = [lane.title or lane.kind for lane in view.lanes]
    assert kinds == ["transplant", "cycle", "assessment", "ppi", "stool", "prediction", "donor distance",
                     "IL-2", "IL-10", "TGF-b1", "IL-6"]  # fmt: skip
    assert {lane.title for lane in view.further_lanes} == {"IFN-g", "TNF-a"}
    stool = view.lanes[kinds.index("stool")]
    assert [mark.hollow for mark in stool.marks] == [visit.time > 0 for visit in view.visits]
    positions = [mark.x for mark in stool.marks]
    assert positions == sorted(positions)
    assert view.lanes[0].marks[0].x == view.axis.zero_x
    # A line ends at the last visit whose prediction was computed for it.
    lane = view.lanes[kinds.index("prediction")]
    assert any(visit.repeats for visit in view.visits)
    for i, curve in enumerate(lane.curves):
        own = [visit for visit in view.visits if not visit.repeats and visit.probabilities[i] is not None]
        assert [point.x for point in curve.points] == [view.axis.position(visit.time) for visit in own]
    assert [curve.text for curve in lane.curves] == ["response", "toxicity"]
    assert [(band.top, band.bottom) for band in lane.bands] == [(53.2, 56), (0, 2.8)]
    points = view.lanes[kinds.index("IL-2")].curves[0].points
    assert any(point.hollow and "<3.2" in point.label for point in points)
    assert len(view.rows) >= len(points)


def test_a_patient_with_one_sample_and_nothing_else_has_no_course(models, clinic):
    patient = clinic.patients["SIM-001"]
    bare = replace(patient, visits=patient.visits[:1], default_visit=0, course=PatientCourse())
    assert course_view(Catalogue(models), clinic, bare) is None
    undated = replace(bare, visits=tuple(replace(visit, day=None) for visit in patient.visits))
    view = course_view(Catalogue(models), clinic, undated)
    assert not view.axis.dated
    assert [lane.kind for lane in view.lanes] == ["stool", "prediction"]


@pytest.mark.parametrize("texts", [("<3.2", "<3.2"), ("0",), ("5",), (">1000", "7")])
def test_an_analyte_beyond_its_limits_is_drawn_or_left_out_never_an_error(models, clinic, texts):
    side = {"<": "below", ">": "above"}
    readings = tuple(
        SerialReading(
            float(i), MeasuredValue(math.nan, side[text[0]]) if text[0] in side else MeasuredValue(float(text))
        )
        for i, text in enumerate(texts)
    )
    patient = clinic.patients["SIM-001"]
    course = PatientCourse(analytes=(AnalyteSeries("IL-6", "pg/mL", readings, None, None),))
    view = course_view(Catalogue(models), clinic, replace(patient, course=course))
    heights = [point.y for point in view.lanes[-1].curves[0].points]
    assert all(0 <= height <= 56 for height in heights)


@pytest.mark.parametrize("days", [[0.0], [-9, 365], [-0.5, 0.25], [-4000, 4000]])
def test_every_axis_has_few_ticks_in_order(days):
    axis = day_axis(days, 0)
    assert [float(tick.text) for tick in axis.ticks] == sorted(float(tick.text) for tick in axis.ticks)
    assert "0" in [tick.text for tick in axis.ticks]
    assert all(later.x - tick.x >= 7 for tick, later in pairwise(axis.ticks))
    assert axis.position(min(days) - 100) == 0
    assert len(visit_axis([f"visit {i}" for i in range(34)]).ticks) <= 8


def test_the_days_of_samples_have_room_beside_years_of_assessments():
    axis = day_axis([-10, 0, 14, 55, 950], 0)
    # In proportion to the days, it would be a seventeenth.
    assert axis.position(55) - axis.position(0) > 25
    positions = [axis.position(day) for day in range(-10, 951)]
    assert positions == sorted(set(positions))


COHORT = TrainingCohort("lee", "Lee", "day_ici", "first dose", None, "", "", simulated=False)


@pytest.mark.parametrize(
    ("cohorts", "is_recipient", "warned"),
    [
        ((COHORT,), True, True),
        ((COHORT,), False, False),
        ((COHORT, replace(COHORT, clock="day_fmt")), True, False),
        ((replace(COHORT, clock="day_0", index_event="fecal microbiota transplantation"),), True, False),
        ((), True, False),
    ],
)
def test_a_recipient_learns_that_the_model_knows_no_transplant(cohorts, is_recipient, warned):
    evidence = replace(EVIDENCE, cohorts=cohorts)
    verdict = outcome_verdict(None, None, 0.4, evidence, None, is_recipient=is_recipient)
    assert verdict.lacks_recipients is warned


@pytest.fixture(scope="module")
def visitor(models, key_and_accounts, clinic) -> Iterator[httpx.Client]:
    key_and_accounts[1].add_user("olga", "researcher", PASSWORD)
    app = create_app(models, key_and_accounts[1], clinic, "http://127.0.0.1:5000")
    with running(app) as url, httpx.Client(base_url=url, follow_redirects=True) as client:
        client.post("/sign-in", data={"name": "olga", "password": PASSWORD, "to": "/"})
        yield client


def test_the_page_draws_the_course_and_tabulates_it(visitor):
    page = visitor.get("/patients/SIM-002").text
    for words in ("checkpoint inhibitor doses", "distance to own donor", "pantoprazole", "batch", "TGF-b1"):
        assert words in page
    assert 'value="0" selected>day −4, used by default</option>' in page
    assert "shaded: not used by the model" in page


def test_texts_of_assessments_do_not_lie_over_each_other(five):
    clinic = read_clinic(str(five), (0.0,))
    patient = next(iter(clinic.patients.values()))
    assessments = [TreatmentEvent("assessment", day, f"SD {i}") for i, day in enumerate((10.0, 11.0, 30.0, 60.0, 60.5))]
    course = replace(patient.course, events=tuple(assessments))
    view = course_view(Catalogue({}), clinic, replace(patient, course=course))
    lane = next(lane for lane in view.lanes if lane.kind == "assessment")
    assert [mark.text for mark in lane.marks] == ["SD 0", "", "SD 2", "SD 3", ""]
    # What has no text on the axis has it in its label.
    assert [mark.label for mark in lane.marks] == [f"day {e.day:g}: {e.label}" for e in assessments]


@pytest.mark.parametrize(
    ("ends", "heights"),
    [((19, 29), (16, 39)), ((29, 19), (39, 16)), ((2, 2), (9, 20)), ((54, 53), (54, 43)), ((10, 50), (9, 54)),
     ((5,), (15,)), ((50,), (47,))],
)  # fmt: skip
def test_texts_of_two_curves_stand_apart_and_inside_the_lane(ends, heights):
    curves = [
        LaneCurve(name, (CurvePoint(3.0, end, "", hollow=False),), name)
        for name, end in zip(("response", "toxicity"), ends, strict=False)
    ]
    assert tuple(curve.text_y for curve in with_text_heights(curves)) == heights


def test_a_curve_without_a_point_takes_no_room_for_its_text():
    curve = LaneCurve("response", (CurvePoint(3.0, 5, "", hollow=False),), "response")
    assert [item.text_y for item in with_text_heights([LaneCurve("toxicity", (), "toxicity"), curve])] == [0, 15]


def test_the_facts_of_a_patient_name_diagnosis_line_and_drugs(clinic):
    candidate = replace(
        next(iter(clinic.patients.values())).visits[0].candidate,
        population=Population("renal_cell", "later", "anti-PD-1"),
    )
    module = _ENVIRONMENT.get_template("parts.jinja").module
    assert "renal cell · after earlier lines · anti-PD-1 · " in module.fact_list(patient_facts(candidate, "day 0"))
    assert "None" not in module.fact_list(patient_facts(replace(candidate, population=NOT_REPORTED)))
