"""The list of candidates: what it ranks by, and when it does not rank."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from features.columns import BLOCKS
from features.patient_course import PatientCourse
from models.evidence import PooledOddsRatio
from models.patient_input import Candidate, StoolProfile
from serving.accounts import Visitor
from serving.clinic import Clinic, Patient, Visit
from serving.pages.catalogue import Catalogue
from serving.pages.choices import Choices
from serving.pages.rendering import _ENVIRONMENT
from serving.pages.views.candidates import CandidateList, _reservation
from serving.pages.views.patient import LEARNT_FROM_COHORT, patient_view, upload_view
from serving.pages.views.what_if import Donors

from ..training.evidence.validations import training_cohort
from .conftest import PROFILER, table

CONTEXT = {
    "visitor": Visitor("anna", "clinician", "", datetime.max),
    "outcome_choices": (),
    "notice": "Research use.",
    "pages": (),
    "path": "/",
    "today": "1 May 2026",
}


@pytest.fixture(scope="module")
def clinic():
    """Patients whose stool lies between two training patients' stool, so that the models apply to them."""
    data = table().taxa
    between = (data.values + np.roll(data.values, 1, axis=0)) / 2
    patients = {}
    for i, row in enumerate(between[:12]):
        stool = StoolProfile(dict(zip(data.names, row.tolist(), strict=True)), "proportions", PROFILER)
        visit = Visit("day 0", 0.0, Candidate({"age": 60.0, "sex": "female"}, stool, ()))
        patients[f"P{i:02d}"] = Patient(f"P{i:02d}", (visit,), 0, PatientCourse())
    return Clinic("made_up", "Made up", "day_ici", 0.0, True, patients, ())


def candidates(models, clinic, alias, *, odds_ratio):
    catalogue = Catalogue(models)
    ratio = PooledOddsRatio(*catalogue.shown_outcomes, 120, 0.5, 0.2, 1.2)
    served = {}
    for outcome in catalogue.shown_outcomes:
        best = models[outcome][-1]
        evidence = replace(best.model.evidence, odds_ratios=(ratio,) if odds_ratio else ())
        served[outcome] = [replace(best, alias=alias, model=replace(best.model, evidence=evidence))]
    return CandidateList(Catalogue(served), clinic).view("benefit", "")


def test_patients_are_ranked_by_an_estimate_and_never_by_the_middle_of_bounds(models, clinic):
    ranked = candidates(models, clinic, "champion-taxa", odds_ratio=True)
    benefit = [row.benefit for row in ranked.rows if row.benefit is not None]
    assert ranked.no_ranking_reason == ""
    assert len(set(benefit)) > 3
    assert benefit == sorted(benefit, reverse=True)
    bounds_list = candidates(models, clinic, "champion-taxa", odds_ratio=False)
    assert bounds_list.no_ranking_reason == "response without toxicity has bounds and no estimate"
    assert [row.patient for row in bounds_list.rows] == list(clinic.patients)
    assert any(row.cells for row in bounds_list.rows)


def test_patients_are_not_ranked_by_models_that_are_not_promoted(models, clinic):
    view = candidates(models, clinic, "candidate-taxa", odds_ratio=True)
    assert view.no_ranking_reason == "the models are not promoted"
    assert [row.patient for row in view.rows] == list(clinic.patients)


def test_a_second_choice_of_model_is_marked_and_explained(models, clinic):
    ranked = {outcome: models[outcome] for outcome in ("objective_response", "toxicity_any")}
    view = CandidateList(Catalogue(ranked), clinic).view("", "")
    response, toxicity = view.rows[0].sides
    assert response.fallback is None
    assert toxicity.fallback.label == "taxa only"
    assert view.has_fallbacks
    words = "second choice of model, of taxa alone: the first choice reads taxa + immune + clinical, and no immune"
    assert toxicity.fallback.sentence.startswith(words)
    page = str(_ENVIRONMENT.get_template("candidates.html.jinja").render(**CONTEXT, view=view))
    assert f'title="S{words[1:]}' in page
    candidate = clinic.patients["P00"].visits[0].candidate
    patient = upload_view(Catalogue(ranked), "P00", candidate, Choices(), "", Donors())
    text = str(_ENVIRONMENT.get_template("tumour_board.jinja").module.tumour_board_text(patient, "today", ""))
    assert f"S{words[1:]}" in text
    first_choices = CandidateList(Catalogue({outcome: ranked[outcome][-1:] for outcome in ranked}), clinic).view("", "")
    assert not first_choices.has_fallbacks


def test_patients_whom_the_model_may_have_learnt_from_are_marked(models, clinic):
    of_this_cohort = training_cohort(clinic.name, profiler=PROFILER)
    served = {}
    for outcome in ("objective_response", "toxicity_any"):
        best = models[outcome][-1]
        cohorts = (replace(of_this_cohort, title=clinic.title),)
        evidence = replace(best.model.evidence, cohorts=cohorts, simulated=False)
        # Without a reference set no profile of a training patient is recognised.
        reference = best.model.reference if outcome == "objective_response" else None
        served[outcome] = [replace(best, model=replace(best.model, evidence=evidence, reference=reference))]
    data = table().taxa
    stool = StoolProfile(dict(zip(data.names, data.values[0].tolist(), strict=True)), "proportions", PROFILER)
    visit = Visit("day 0", 0.0, replace(clinic.patients["P00"].visits[0].candidate, taxa=stool))
    clinic = replace(clinic, patients={"P00": replace(clinic.patients["P00"], visits=(visit,))})
    view = CandidateList(Catalogue(served), clinic).view("", "")
    response, toxicity = view.rows[0].sides
    assert (response.is_training_patient, response.probability, response.may_be_training_patient) == (True, None, False)
    assert (toxicity.is_training_patient, toxicity.may_be_training_patient) == (False, True)
    page = str(_ENVIRONMENT.get_template("candidates.html.jinja").render(**CONTEXT, view=view))
    assert "no forecast <small>training patient</small>" in page
    assert page.count("was trained on patients of this cohort") == 1
    assert "The model of toxicity was trained on patients of this cohort" in page
    patient = patient_view(Catalogue(served), clinic, clinic.patients["P00"], None, Choices(), Donors())
    assert [LEARNT_FROM_COHORT in side.reservations for side in patient.predictions.sides] == [False, True]
    short = str(_ENVIRONMENT.get_template("verdict.jinja").module.verdict_panel(patient.predictions.sides))
    assert short.partition("Toxicity")[2].count("perhaps on this one") == short.count("perhaps on this one") == 1
    elsewhere = CandidateList(Catalogue(served), replace(clinic, title="Another trial")).view("", "")
    assert elsewhere.sides_of_training_cohort == ()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_cell_names_what_the_patient_lacks_of_any_block(models, clinic, block):
    prediction = Catalogue(models).predict(clinic.patients["P00"].visits[0].candidate)[0]
    trust = replace(prediction.trust, verdict="abstain", missing_blocks=(block,))
    word = {"taxa": "stool", "immune": "immune", "clinical": "clinical", "donor": "donor", "over_time": "over time"}[
        block
    ]
    assert re.fullmatch(f"abstains: no .*{word}.*", _reservation(replace(prediction, trust=trust)))
    # What the patient has and the model does not know is not said to be lacking.
    unknown = _reservation(replace(prediction, trust=replace(trust, unknown_blocks=(block,))))
    assert re.fullmatch(f"abstains: no known .*{'taxa' if block == 'taxa' else word}.*", unknown)


def test_a_column_without_a_value_is_left_out(models, clinic):
    pages = [
        str(
            _ENVIRONMENT.get_template("candidates.html.jinja").render(
                **CONTEXT, view=candidates(models, clinic, "champion-taxa", odds_ratio=odds_ratio)
            )
        )
        for odds_ratio in (True, False)
    ]
    assert ["response and toxicity</th>" in page for page in pages] == [True, False]
    # Every printed sheet repeats the line above the page, and the head of the table with the key of the bar.
    assert all("simulated, not for care</b> · printed by anna on 1 May 2026. Research use." in page for page in pages)
    heads = [re.search(r"<thead>.*?</thead>", page, re.S)[0] for page in pages]
    assert ["response with toxicity</span>" in head for head in heads] == [True, False]


@pytest.mark.parametrize("simulated", [True, False])
def test_where_the_page_says_once_that_it_demonstrates_a_cell_says_what_differs_by_patient(models, clinic, simulated):
    first = clinic.patients["P00"]
    visit = replace(first.visits[0], candidate=replace(first.visits[0].candidate, taxa=None))
    patients = {"P00": replace(first, visits=(visit,)), "P01": clinic.patients["P01"]}
    ranked = {outcome: models[outcome][-1:] for outcome in ("objective_response", "toxicity_any")}
    view = CandidateList(Catalogue(ranked), replace(clinic, patients=patients)).view("", "")
    reservations = [[summary.reservation for summary in row.sides] for row in view.rows]
    assert reservations[0] == ["abstains: no stool"] * 2
    assert set(reservations[1]) <= {"", "use with care"}
    view = replace(view, evidence=tuple(replace(note, simulated=simulated) for note in view.evidence))
    page = str(_ENVIRONMENT.get_template("candidates.html.jinja").render(**CONTEXT, view=view))
    table_of_patients = page.partition("<tbody>")[2]
    assert (table_of_patients.count("abstains: no stool") == 2) == simulated
    assert ('class="tag' in table_of_patients) != simulated


def test_a_bar_that_is_not_shown_is_an_outline_with_its_reason(models, clinic):
    view = candidates(models, clinic, "champion-taxa", odds_ratio=True)
    row = next(row for row in view.rows if row.benefit is not None)
    reason = "the response prediction is not confirmed for this patient"
    sides = (replace(row.sides[0], is_unconfirmed=True), *row.sides[1:])
    unconfirmed_row = replace(row, sides=sides, cells=None, benefit=None, no_cells_reason=reason)
    page = str(
        _ENVIRONMENT.get_template("candidates.html.jinja").render(
            **CONTEXT, view=replace(view, rows=(row, unconfirmed_row))
        )
    )
    assert f"<title>Not shown: {reason}</title>" in page
    assert page.count("the bar stays empty") == 1
