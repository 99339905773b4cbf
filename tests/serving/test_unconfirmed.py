"""A prediction that held-out patients contradict, or of a model without evidence: no page makes more of it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from features.patient_course import PatientCourse
from models.confirmation import unconfirmed_change
from models.donors import DonorStool
from models.evidence import PooledOddsRatio, ProbabilityGroup, TaxonDistribution
from models.patient_input import Candidate, StoolProfile
from models.prediction import LEARNT_FROM_PATIENT, use_of
from models.prediction_rows import prediction_row
from models.rates import event_rate
from serving.cds_hooks.cards import prediction_card
from serving.clinic import Clinic, Patient, Visit
from serving.fhir.assessment import response_bundle
from serving.fhir.reading import ReadBundle
from serving.pages.catalogue import Catalogue
from serving.pages.choices import Choices
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.views.candidates import CandidateList
from serving.pages.views.course import course_view
from serving.pages.views.donors import Recipient, donors_view
from serving.pages.views.patient import example_view, predictions_view
from serving.predictions import compare_changes, compare_request, predict_candidate
from serving.schemas import DonorComparisonRequest, PredictionRequest, WhatIfRequest
from taxokine.reports.predictions import prediction_report

from ..training.evidence.validations import LOCO
from .conftest import PROFILER, table
from .test_candidates import CONTEXT


@pytest.fixture(scope="module")
def candidate():
    data = table().taxa
    between = (data.values[0] + np.roll(data.values, 1, axis=0)[0]) / 2
    stool = StoolProfile(dict(zip(data.names, between.tolist(), strict=True)), "proportions", PROFILER)
    return Candidate({"age": 60.0, "sex": "female"}, stool, ())


DISTRIBUTIONS = replace(
    LOCO.distributions, taxa={name: TaxonDistribution(20, 0.25, None) for name in table().taxa.names}
)


def catalogue_with(models, *, toxicity_events: int | None, beats_chance=None) -> Catalogue:
    """Return promoted models; of 200 held-out patients with any probability of toxicity, so many had it."""
    first = Catalogue(models)
    ratio = PooledOddsRatio(*first.shown_outcomes, 120, 0.5, 0.2, 1.2)
    served = {}
    for outcome in first.shown_outcomes:
        best = models[outcome][-1]
        is_observed = toxicity_events is not None and outcome.startswith("toxicity")
        groups = (ProbabilityGroup(0.0, 1.0, event_rate(toxicity_events, 200)),) if is_observed else ()
        evidence = replace(best.model.evidence, odds_ratios=(ratio,), beats_chance=beats_chance, simulated=False)
        validation = replace(LOCO, outcomes_by_probability=groups, distributions=DISTRIBUTIONS)
        model = replace(best.model, evidence=evidence, validation=validation)
        served[outcome] = [replace(best, alias="champion-taxa", model=model)]
    return Catalogue(served)


def probabilities(catalogue: Catalogue, candidate: Candidate) -> list[float | None]:
    return [prediction.probability for prediction in catalogue.predict(candidate)]


REASON = "the toxicity prediction is not confirmed for this patient"


def stool_of(row):
    data = table().taxa
    values = dict(zip(data.names, data.values[row].tolist(), strict=True))
    return StoolProfile(values, "proportions", PROFILER)


def stool_body(stool):
    return {"profiler": stool.profiler, "unit": stool.unit, "values": stool.values}


def test_nothing_is_computed_from_a_prediction_that_held_out_patients_contradict(models, candidate):
    predicted = probabilities(catalogue_with(models, toxicity_events=None), candidate)
    assert None not in predicted
    agreed = catalogue_with(models, toxicity_events=round(200 * predicted[1]))
    contradicted = catalogue_with(models, toxicity_events=0 if predicted[1] > 0.3 else 200)
    assert probabilities(contradicted, candidate) == predicted
    view = predictions_view(agreed, candidate, Choices())
    assert view.cells
    assert view.plane_patient
    withheld = predictions_view(contradicted, candidate, Choices())
    assert (withheld.cells, withheld.plane_patient, withheld.weighing) == (None, None, None)
    assert withheld.no_cells_reason == REASON
    assert withheld.cells_meaning is None


def test_a_prediction_that_does_not_tell_the_patient_from_others_and_is_not_confirmed_is_joined_to_nothing(
    models, candidate, monkeypatch
):
    contradicted = catalogue_with(models, toxicity_events=0)
    if probabilities(contradicted, candidate)[1] < 0.3:
        contradicted = catalogue_with(models, toxicity_events=200)
    monkeypatch.setattr("serving.pages.verdict.is_indistinct", lambda _: True)
    view = predictions_view(contradicted, candidate, Choices())
    assert [side.verdict.chance for side in view.sides] == ["indistinct"] * 2
    assert [side.prediction.unconfirmed_reason for side in view.sides] == [None, REASON]
    assert (view.cells, view.plane_patient, view.no_cells_reason) == (None, None, REASON)
    page = replace(example_view(contradicted, Choices()), predictions=view)
    text = str(_ENVIRONMENT.get_template("patient.html.jinja").render(**CONTEXT, view=page))
    figures = re.findall(r'<p class="figure[^>]*data-probability[^>]*>(.*?)</p>', text)
    assert ["not confirmed <small>for this patient" in figure for figure in figures] == [False, True]
    card = prediction_card(view, (), "uuid", "https://taxokine.example.org", None)
    numbers = [(item.probability, item.unconfirmed_reason) for item in card.extension.taxokine_predictions]
    assert numbers == [(None, None)] * 2


def test_the_course_marks_what_is_not_confirmed_and_says_why_a_forecast_is_absent(models, candidate):
    contradicted = catalogue_with(models, toxicity_events=0)
    if probabilities(contradicted, candidate)[1] < 0.3:
        contradicted = catalogue_with(models, toxicity_events=200)
    stools = (candidate.taxa, stool_of(0), StoolProfile({"Bacillus_terrae": 1.0}, "proportions", PROFILER))
    visits = tuple(Visit(f"visit {i}", None, replace(candidate, taxa=stool)) for i, stool in enumerate(stools))
    patient = Patient("P1", visits, 0, PatientCourse())
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {"P1": patient}, ())
    course = course_view(contradicted, clinic, patient)
    assert [visit.unconfirmed_reasons for visit in course.visits] == [(None, REASON), (None, None), (None, None)]
    lane = next(lane for lane in course.lanes if lane.kind == "prediction")
    assert [[point.hollow for point in curve.points] for curve in lane.curves] == [[False], [True]]
    assert lane.curves[1].points[0].label.startswith("visit 0: toxicity not confirmed, ")
    assert [mark.label for mark in lane.marks] == [
        "visit 1: a model learnt from this patient",
        "visit 2: a model abstains",
    ]
    predictions = predictions_view(contradicted, candidate, Choices())
    view = replace(example_view(contradicted, Choices()), predictions=predictions, course=course, clinic=clinic)
    page = str(_ENVIRONMENT.get_template("patient.html.jinja").render(**CONTEXT, view=view))
    table_text = page.partition("<caption>The models, at each visit")[2].partition("</table>")[0]
    assert re.search(r'<td class="n">not confirmed <small>(about )?[0-9]+% predicted</small></td>', table_text)
    assert table_text.count("not confirmed") == 1


def test_list_page_and_text_withhold_alike(models, candidate):
    contradicted = catalogue_with(models, toxicity_events=0)
    if probabilities(contradicted, candidate)[1] < 0.3:
        contradicted = catalogue_with(models, toxicity_events=200)
    visit = Visit("day 0", 0.0, candidate)
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {"P1": Patient("P1", (visit,), 0, PatientCourse())}, ())
    listed = CandidateList(contradicted, clinic).view("", "")
    (row,) = listed.rows
    assert (row.cells, row.benefit, row.no_cells_reason) == (None, None, REASON)
    assert [summary.is_unconfirmed for summary in row.sides] == [False, True]
    view = replace(
        example_view(contradicted, Choices()), predictions=predictions_view(contradicted, candidate, Choices())
    )
    text = str(_ENVIRONMENT.get_template("tumour_board.jinja").module.tumour_board_text(view, "today", ""))
    assert f"TOGETHER: not shown: {REASON}." in text
    assert text.count("\nToxicity is of any grade, grade 1 included: nothing about severe toxicity is predicted.") == 1
    assert "\nNot confirmed for this patient: the model predicts " in text
    page = str(_ENVIRONMENT.get_template("candidates.html.jinja").render(**CONTEXT, view=listed))
    cell = re.sub("<[^>]+>", "", page.partition('class="phone-only">toxicity </span>')[2]).strip()
    assert cell.startswith("not confirmed ")


@pytest.mark.parametrize(
    ("verdict", "simulated", "beats_chance", "use"),
    [
        ("use with care", False, False, "not shown to work"),
        ("ok", False, False, "not shown to work"),
        ("use with care", False, None, "use with care"),
        ("ok", False, True, "ok"),
        ("ok", True, False, "demonstration only"),
        ("abstain", False, False, "abstain"),
        ("abstain", True, False, "abstain"),
    ],
)
def test_a_model_without_evidence_is_not_shown_to_work(verdict, simulated, beats_chance, use):
    evidence = replace(LOCO.evidence, simulated=simulated, beats_chance=beats_chance)
    assert use_of(verdict, evidence) == use


def test_each_page_calls_a_model_without_evidence_not_shown_to_work(models, candidate):
    catalogue = catalogue_with(models, toxicity_events=None, beats_chance=False)
    visit = Visit("day 0", 0.0, candidate)
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {"P1": Patient("P1", (visit,), 0, PatientCourse())}, ())
    (row,) = CandidateList(catalogue, clinic).view("", "").rows
    simulated = [prediction.simulated for prediction in catalogue.predict(candidate)]
    expected = ["demonstration only" if item else "not shown to work" for item in simulated]
    assert [summary.use for summary in row.sides] == expected


def test_neither_what_if_nor_donors_make_anything_of_a_prediction_that_is_not_confirmed(models, candidate, engraftment):
    changes = Choices(changes=("taxa:Genus0",))
    agreed, contradicted = (catalogue_with(models, toxicity_events=events) for events in (None, 0))
    if probabilities(contradicted, candidate)[1] < 0.3:
        contradicted = catalogue_with(models, toxicity_events=200)
    shifts = predictions_view(agreed, candidate, changes).what_if.shifts
    assert [item.reason for item in shifts] == [None, None]
    shifts = predictions_view(contradicted, candidate, changes).what_if.shifts
    assert [item.reason for item in shifts] == [None, REASON]
    donors = tuple(DonorStool(f"d{i}", stool_of(20 + i)) for i in range(2))
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {}, donors)
    recipient = Recipient("P1", "day 0", candidate)
    view = donors_view(contradicted, clinic, recipient, engraftment)
    reasons = {item.side: item.reason for items in view.changes for item in items}
    assert reasons["toxicity"] == REASON
    assert all(not item.differences and item.mark is None for items in view.changes for item in items if item.reason)
    assert REASON in view.comparison.no_order_reasons
    assert [donor.donor for donor in view.comparison.donors] == ["d0", "d1"]
    changes_by_side = {
        item.side: item for items in donors_view(agreed, clinic, recipient, engraftment).changes for item in items
    }
    assert changes_by_side["toxicity"].mark is not None
    recipient = replace(recipient, candidate=replace(candidate, taxa=stool_of(0)))
    (first, _) = donors_view(agreed, clinic, recipient, engraftment).comparison.donors
    assert [change.reason for change in first.changes] == [LEARNT_FROM_PATIENT] * 2
    assert [change.difference for change in first.changes] == [None, None]
    assert all(change.trust.in_training_set for change in first.changes)
    assert not first.differences


@pytest.mark.parametrize("toxicity_events", [None, 0])
def test_a_probability_before_that_is_not_confirmed_is_not_on_the_page_of_donors(
    models, candidate, engraftment, toxicity_events
):
    ranked = dict(catalogue_with(models, toxicity_events=toxicity_events).models)
    (toxicity,) = (outcome for outcome in ranked if outcome.startswith("toxicity"))
    (served,) = ranked[toxicity]
    # Of every patient 69%, so that the model has no change to report.
    flat = replace(served.model, calibration=replace(served.model.calibration, slope=0.0, intercept=0.8))
    ranked[toxicity] = [replace(served, model=flat)]
    donors = tuple(DonorStool(f"d{i}", stool_of(20 + i)) for i in range(2))
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {}, donors)
    view = donors_view(Catalogue(ranked), clinic, Recipient("P1", "day 0", candidate), engraftment)
    page = str(_ENVIRONMENT.get_template("donors.html.jinja").render(**CONTEXT, view=view))
    assert ("69% with the stool before" in page) == (toxicity_events is None)
    assert (f"<li>{REASON.capitalize()}.</li>" in page) == (toxicity_events is not None)


def test_the_api_states_of_each_number_that_it_is_not_confirmed(models, candidate, engraftment):
    agreed, contradicted = (catalogue_with(models, toxicity_events=events) for events in (None, 0))
    if probabilities(contradicted, candidate)[1] < 0.3:
        contradicted = catalogue_with(models, toxicity_events=200)
    body = {"patient": {"id": "P1", **candidate.clinical}, "taxa": stool_body(candidate.taxa)}
    question = PredictionRequest.model_validate(body)
    confirmed, answer = (
        predict_candidate(catalogue.models, question, question.candidate()) for catalogue in (agreed, contradicted)
    )
    assert [item.unconfirmed_reason for item in confirmed.answers] == [None, None]
    assert (confirmed.cells.unconfirmed_reason, confirmed.benefit.unconfirmed_reason) == (None, None)
    assert [item.unconfirmed_reason for item in answer.answers] == [None, REASON]
    assert [prediction_row(item).unconfirmed_reason for item in answer.answers] == [None, REASON]
    assert [item.probability for item in answer.answers] == [item.probability for item in confirmed.answers]
    assert (answer.cells.unconfirmed_reason, answer.benefit.unconfirmed_reason) == (REASON, REASON)
    bundle = response_bundle(ReadBundle(question, "Patient/P1", (), ()), answer, contradicted.models)
    notes = [[note["text"] for note in entry["resource"].get("note", ())] for entry in bundle["entry"]]
    # Of the toxicity, and of response without toxicity.
    assert [f"Reservation: {REASON}" in texts for texts in notes if texts] == [False, True, True]
    changes = WhatIfRequest.model_validate({**body, "changes": ["taxa:Genus0"]})
    shifts = compare_changes(contradicted.models, engraftment, changes).comparison.shifts
    assert [shift.unconfirmed_reason for shift in shifts] == [None, REASON]
    assert shifts[1].difference == shifts[1].probability_after - shifts[1].probability_before
    donors = [{"id": f"d{i}", "cleared": True, "taxa": stool_body(stool_of(20 + i))} for i in range(2)]
    recipient = DonorComparisonRequest.model_validate({**body, "donors": donors})
    comparison = compare_request(contradicted.models, engraftment, recipient).comparison
    assert REASON in comparison.no_order_reasons
    for donor in comparison.donors:
        assert [change.unconfirmed_reason for change in donor.changes] == [None, REASON]
        assert None not in [change.difference for change in donor.changes]
        assert {item.outcome for item in donor.differences} == {donor.changes[0].outcome}
        assert donor.indistinguishable_from == ()


def test_page_api_fhir_and_report_join_nothing_for_a_patient_whom_the_models_learnt_from(models, candidate):
    catalogue = catalogue_with(models, toxicity_events=None)
    candidate = replace(candidate, taxa=stool_of(0))
    view = predictions_view(catalogue, candidate, Choices())
    assert {side.verdict.chance for side in view.sides} == {"training patient"}
    assert (view.cells, view.plane_patient, view.no_cells_reason) == (None, None, LEARNT_FROM_PATIENT)
    body = {"patient": {"id": "P1", **candidate.clinical}, "taxa": stool_body(candidate.taxa)}
    question = PredictionRequest.model_validate(body)
    answer = predict_candidate(catalogue.models, question, question.candidate())
    assert (answer.cells.reason, answer.cells.response_without_toxicity.low) == (LEARNT_FROM_PATIENT, None)
    assert (answer.benefit.reason, answer.benefit.low, answer.benefit.high) == (LEARNT_FROM_PATIENT, None, None)
    bundle = response_bundle(ReadBundle(question, "Patient/P1", (), ()), answer, catalogue.models)
    rationales = [
        item.get("rationale") for entry in bundle["entry"] for item in entry["resource"].get("prediction", ())
    ]
    assert rationales[-1] == f"No bounds: {LEARNT_FROM_PATIENT}"
    lines = [line for line in prediction_report(answer) if isinstance(line, str)]
    assert f"benefit (response without toxicity): not bounded, {LEARNT_FROM_PATIENT}" in lines


def test_a_change_to_a_prediction_that_is_not_confirmed_is_not_shown(models, candidate):
    model = catalogue_with(models, toxicity_events=0).best[1].model
    assert unconfirmed_change(model, 0.0, 0.9, "the changed measurements") == (
        "the toxicity prediction with the changed measurements is not confirmed by held-out patients"
    )
    assert unconfirmed_change(model, 0.0, 0.0, "the changed measurements") is None


def test_a_model_that_does_not_discriminate_is_grey_also_where_it_learnt_from_simulated_patients(models, candidate):
    catalogue = catalogue_with(models, toxicity_events=None, beats_chance=False)
    served = {
        outcome: [
            replace(item, model=replace(item.model, evidence=replace(item.model.evidence, simulated=True)))
            for item in ranked
        ]
        for outcome, ranked in catalogue.models.items()
    }
    visit = Visit("day 0", 0.0, candidate)
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {"P1": Patient("P1", (visit,), 0, PatientCourse())}, ())
    (row,) = CandidateList(Catalogue(served), clinic).view("", "").rows
    assert {summary.use for summary in row.sides} == {"demonstration only"}
    assert {summary.ink for summary in row.sides} == {"quiet"}
    assert row.cells is None
    (row,) = CandidateList(catalogue_with(models, toxicity_events=None), clinic).view("", "").rows
    assert [summary.ink for summary in row.sides] == ["response", "toxicity"]
    assert row.cells
