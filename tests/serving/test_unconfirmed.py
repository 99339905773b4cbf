"""A prediction that held-out patients contradict, or of a model without evidence: no page makes more of it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from features.patient_course import PatientCourse
from models.donors import DonorStool
from models.evidence import PooledOddsRatio, ProbabilityGroup, TaxonDistribution
from models.patient_input import Candidate, StoolProfile
from models.prediction import use_of
from models.rates import event_rate
from serving.clinic import Clinic, Patient, Visit
from serving.pages.catalogue import Catalogue
from serving.pages.choices import Choices
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.views.candidates import CandidateList
from serving.pages.views.donors import donors_view
from serving.pages.views.parts import withheld_reason
from serving.pages.views.patient import example_view, predictions_view

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
    patient = Patient("P1", (Visit("day 0", 0.0, candidate),), 0, PatientCourse())
    clinic = Clinic("one", "One", "day_ici", 0.0, False, {"P1": patient}, donors)
    view = donors_view(contradicted, clinic, patient, engraftment)
    reasons = {item.side: item.reason for items in view.changes for item in items}
    assert reasons["toxicity"] == REASON
    assert all(not item.differences and item.mark is None for items in view.changes for item in items if item.reason)
    assert REASON in view.no_order_reasons
    assert [donor.donor for donor in view.comparison.donors] == ["d0", "d1"]
    changes_by_side = {
        item.side: item for items in donors_view(agreed, clinic, patient, engraftment).changes for item in items
    }
    assert changes_by_side["toxicity"].mark is not None
    patient = replace(patient, visits=(Visit("day 0", 0.0, replace(candidate, taxa=stool_of(0))),))
    reasons = donors_view(agreed, clinic, patient, engraftment).no_order_reasons
    assert reasons[-2:] == tuple(f"the model of {side} learnt from this patient" for side in ("response", "toxicity"))


def test_a_change_to_a_prediction_that_is_not_confirmed_is_not_shown(models, candidate):
    served = catalogue_with(models, toxicity_events=0).best[1]
    assert withheld_reason(served, 0.0, 0.9, "the changed measurements") == (
        "the toxicity prediction with the changed measurements is not confirmed by held-out patients"
    )
    assert withheld_reason(served, 0.0, 0.0, "the changed measurements") is None


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
