"""The list of candidates: what it ranks by, and when it does not rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.patient_course import PatientCourse
from models.evidence import PooledOddsRatio
from models.patient_input import Candidate, StoolProfile
from serving.clinic import Clinic, Patient, Visit
from serving.pages.catalogue import Catalogue
from serving.pages.views.candidates import CandidateList

from .conftest import PROFILER, table


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
