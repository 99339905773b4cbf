"""Where a model was tested since its training, in a few words that no validation contradicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.evidence import Evidence, ExternalValidation, TrainingCohort, evidence_sentence_since, other_cohorts_tested
from models.evidence_upgrade import upgrade_evidence

COHORT = TrainingCohort("a", "A", "day_ici", "first dose", None, "", "", simulated=False)
CONTENT = {"sentence": "x", "beats_chance": None, "simulated": True, "clocks": ["day_ici"], "landmark": 0.0}
ONE_COHORT: Evidence = replace(upgrade_evidence(CONTENT, "toxicity_any"), cohorts=(COHORT,))
SEVERAL = replace(ONE_COHORT, scheme="loco", cohorts=(COHORT, replace(COHORT, name="b")))


def validation(predicted: int, *, simulated: bool) -> ExternalValidation:
    return ExternalValidation(
        cohort="far", title="Far", outcome="toxicity_any", simulated=simulated, labelled=20, training_patients=0,
        predicted=predicted, with_care=0, abstained=20 - predicted, abstentions=(), performance=None,
        recalibration=None, contradictions=(), sentence="", notes=(), taxokine_version="1",
    )  # fmt: skip


REAL, SIMULATED, ABSTAINED = (
    validation(9, simulated=False),
    validation(11, simulated=True),
    validation(0, simulated=False),
)


@pytest.mark.parametrize(
    ("evidence", "validations", "text"),
    [
        (ONE_COHORT, (), "not tested on another cohort"),
        (replace(ONE_COHORT, scheme="loco"), (), "not tested on another cohort"),
        (SEVERAL, (), ""),
        (SEVERAL, (SIMULATED,), "tested on 1 other (simulated) cohort, 11 patients"),
        (ONE_COHORT, (SIMULATED, SIMULATED), "tested on 2 other (simulated) cohorts, 22 patients"),
        (ONE_COHORT, (REAL, SIMULATED), "tested on 2 other cohorts, 1 of them simulated, 20 patients"),
        (ONE_COHORT, (validation(1, simulated=False),), "tested on 1 other cohort, 1 patient"),
        (ONE_COHORT, (ABSTAINED,), "tried on 1 other cohort, where it predicted no patient"),
    ],
)
def test_the_words_follow_the_validations(evidence: Evidence, validations: Any, text: str) -> None:
    assert other_cohorts_tested(evidence, validations) == text


def test_an_older_sentence_no_longer_denies_a_validation() -> None:
    old = replace(
        ONE_COHORT, sentence="no evidence (1 cohort); it was not tested on another cohort; 2 prior experiments"
    )
    assert evidence_sentence_since(old, (SIMULATED,)) == (
        "no evidence (1 cohort); 2 prior experiments; tested on 1 other (simulated) cohort, 11 patients"
    )
    assert evidence_sentence_since(SEVERAL, ()) == "x"
