"""How strong evidence is: what internal evidence, simulated patients and validations elsewhere can give at most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.evidence import (
    Estimate,
    EventRate,
    Evidence,
    ExternalValidation,
    Strength,
    TrainingCohort,
    contradicting_cohorts,
    evidence_strength,
    held_out_unit,
)
from models.evidence_upgrade import upgrade_evidence
from training.external.performance import external_performance

COHORT = TrainingCohort("one", "One", "day_ici", "first dose", None, "", "", simulated=False)
EVIDENCE: Evidence = replace(
    upgrade_evidence(
        {"beats_chance": True, "sentence": "", "clocks": [], "landmark": 0.0, "simulated": False}, "toxicity_any"
    ),
    scheme="loco",
    cohorts=(COHORT, replace(COHORT, name="two")),
    held_out_auroc=Estimate(0.8, 0.72, 0.88),
)
RNG = np.random.default_rng(0)
PERFORMANCE = external_performance(
    (RNG.random(40) < 0.4).astype(float), RNG.random(40), "far", np.full(40, "far", dtype=object)
)
CONFIRMING = ExternalValidation(
    cohort="far", title="Far", outcome="toxicity_any", simulated=False, labelled=40, training_patients=0, predicted=40,
    with_care=0, abstained=0, abstentions=(), performance=replace(PERFORMANCE, auroc=Estimate(0.75, 0.6, 0.9)),
    recalibration=None, contradictions=(), sentence="", notes=(), taxokine_version="1",
)  # fmt: skip
UNDECIDED = replace(CONFIRMING, performance=replace(PERFORMANCE, auroc=Estimate(0.6, 0.45, 0.75)))
FEW = replace(CONFIRMING, performance=replace(CONFIRMING.performance, outcomes=EventRate(11, 3, 3 / 11, 0.06, 0.61)))
UNMEASURED = replace(CONFIRMING, performance=None)
CONTRADICTING = replace(
    CONFIRMING,
    cohort="farther",
    title="Farther 2020, melanoma",
    contradictions=("it ranks patients the wrong way round",),
)


@pytest.mark.parametrize(
    ("changes", "elsewhere", "strength"),
    [
        ({}, (CONFIRMING,), "strong"),
        ({}, (UNMEASURED, CONFIRMING), "strong"),
        # Without another real cohort, or below the limit, evidence is moderate at most.
        ({}, (), "moderate"),
        ({}, (UNDECIDED,), "moderate"),
        ({}, (FEW,), "moderate"),
        ({}, (UNMEASURED,), "moderate"),
        ({}, (replace(CONFIRMING, simulated=True),), "moderate"),
        ({"held_out_auroc": Estimate(0.8, 0.69, 0.9)}, (CONFIRMING,), "moderate"),
        ({"held_out_auroc": Estimate(0.8, None, None)}, (CONFIRMING,), "moderate"),
        # One cohort alone, however high its AUROC, gives weak evidence.
        ({"cohorts": (COHORT,)}, (CONFIRMING,), "weak"),
        ({"scheme": "cv"}, (CONFIRMING,), "weak"),
        ({"beats_chance": None}, (CONFIRMING,), "weak"),
        ({}, (CONFIRMING, CONTRADICTING), "weak"),
        ({}, (replace(CONTRADICTING, simulated=True),), "moderate"),
        ({"beats_chance": False}, (CONFIRMING,), "none"),
        # Simulated patients say nothing about real ones, whatever was measured.
        ({"simulated": True}, (CONFIRMING,), "simulated"),
        ({"simulated": True, "beats_chance": False}, (), "simulated"),
    ],
)
def test_the_strength_follows_fixed_rules(
    changes: dict[str, object], elsewhere: tuple[ExternalValidation, ...], strength: Strength
) -> None:
    assert evidence_strength(replace(EVIDENCE, **changes), elsewhere) == strength


def test_contradictions_name_real_cohorts() -> None:
    assert contradicting_cohorts([CONFIRMING, CONTRADICTING, replace(CONTRADICTING, simulated=True)]) == (
        "Farther 2020",
    )


@pytest.mark.parametrize(
    ("scheme", "cohorts", "unit"),
    [
        ("loco", (COHORT, COHORT), "cohort"),
        ("loco", (COHORT,), "centre"),
        ("loco", (), "centre"),
        ("cv", (COHORT, COHORT), "patient"),
    ],
)
def test_what_was_held_out_is_named(scheme: str, cohorts: tuple[TrainingCohort, ...], unit: str) -> None:
    evidence = replace(EVIDENCE, scheme=scheme, cohorts=cohorts)
    assert held_out_unit(evidence) == held_out_unit(replace(evidence, scheme="cv"), evidence.scheme) == unit
