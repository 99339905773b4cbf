"""An answer: what is said of one candidate for one outcome, and what is said of response and toxicity together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BundleError
from features.outcomes import definition_of
from models.applicability import assess_applicability
from models.bundle import Model
from models.joint import CELLS, joint_outcome
from models.patient_input import Candidate, ModelInput, to_model_input

RANGE_MEANS = (
    "of patients like the training cohorts' whom the model scores like this one, on average a share within this range "
    "had the outcome. It speaks of such patients together, not of this one, and need not hold in another cohort; it is "
    "fitted apart from the probability, which may lie outside"
)
"""What a range of probability may be taken for."""
RANGE_HELD = ". How far it held on cohorts left out stands in the model's card"


@dataclass(frozen=True)
class ServedModel:
    """A model, and the name under which the registry knows it."""

    model: Model
    name: str
    version: str
    run_id: str
    alias: str

    def about(self) -> dict[str, Any]:
        """Return how an answer names its model."""
        return {
            "name": self.name,
            "version": self.version,
            "run_id": self.run_id,
            "alias": self.alias,
            "family": self.model.family,
            "blocks": list(self.model.blocks),
        }


def predict(models: Sequence[ServedModel], candidate: Candidate) -> dict[str, Any]:
    """Return one outcome's answer, JSON-ready.

    The first model answers of which the candidate has something in every block; where there is none, the very first
    abstains.

    Parameters
    ----------
    models : sequence of ServedModel
        The outcome's models, the registered best first; at least one.
    candidate : Candidate

    Raises
    ------
    InputError
        A value of the candidate cannot be read.
    """
    served, model_input = select_model(models, candidate)
    model = served.model
    encoded = model.encoder.encode(model_input.values)
    judged = assess_applicability(model, candidate, model_input, encoded)
    probability, probability_range, explanation = None, None, None
    if judged.verdict != "abstain":
        explanation = _explanation(model, model_input, encoded)
        probability = float(model.calibration.probability(np.array(explanation["value"])))
        probability_range = _range(model, explanation["value"])
    return {
        "outcome": model.outcome,
        "definition": definition_of(model.outcome),
        "probability": probability,
        "probability_range": probability_range,
        "explanation": explanation,
        "model": served.about(),
        "evidence": model.evidence,
        "trust": {"verdict": judged.verdict, "reasons": list(judged.reasons), **judged.facts},
        "nearest": list(judged.nearest),
        "simulated": model.simulated,
    }


def benefit_bounds(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the bounds of benefit, response without toxicity, the first of `models.joint.cells`."""
    found = joint_outcome(answers)
    one = found[CELLS[0]]
    return {"low": one["low"], "high": one["high"], "of": found["of"], "reason": found["reason"]}


def select_model(models: Sequence[ServedModel], candidate: Candidate) -> tuple[ServedModel, ModelInput]:
    """Return the model that answers, as `answer` says, and what it takes in of the candidate.

    Raises
    ------
    InputError
        A value of the candidate cannot be read.
    """
    receptions = ((served, to_model_input(candidate, served.model.encoder, served.model.units)) for served in models)
    first = next(receptions)
    for served, model_input in chain([first], receptions):
        if all(model_input.measured(block).any() for block in served.model.blocks):
            return served, model_input
    return first


def _range(model: Model, margin: float) -> dict[str, Any] | None:
    if model.calibration.venn_abers is None:
        return None
    low, high = model.calibration.venn_abers.range(margin)
    meaning = RANGE_MEANS + (RANGE_HELD if model.validation else "")
    return {"low": float(low), "high": float(high), "method": "Venn-Abers", "meaning": meaning}


def _explanation(model: Model, model_input: ModelInput, encoded: NDArray[np.float64]) -> dict[str, Any]:
    encoder = model.encoder
    shap, base = model.predictor.contributions(encoded)
    shown = encoder.shown(model_input.values, encoded)
    # Not measured, or only known to lie beyond a limit: there is no number to show.
    values = [value if math.isfinite(value) else None for value in shown.tolist()]
    contributions = [
        {"feature": feature.name, "block": feature.block, "value": value, "shap": share}
        for feature, value, share in zip(encoder.features_, values, shap[0].tolist(), strict=True)
    ]
    # The sum itself, so that what is shown adds up to what was used.
    value = base + float(shap.sum())
    if not math.isfinite(value):
        raise BundleError(f"the {model.family} model of {model.outcome} gave no number")
    return {
        "scale": "log-odds",
        "base_value": base,
        "value": value,
        "contributions": contributions,
        "calibration": {"slope": model.calibration.slope, "intercept": model.calibration.intercept},
    }
