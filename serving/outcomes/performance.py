"""How the served models perform on patients whose outcome was reported: estimates with intervals, or why none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from models.auroc import auroc_estimate
from models.evidence import Documented, Estimate, EventRate
from models.rates import INTERVAL_ALPHA, event_rate
from serving.outcomes.store import ReportedPrediction

MIN_PATIENTS = 30
"""Patients below whom nothing is estimated."""
MIN_EACH = 10
"""Patients with the outcome, and without it, below whom nothing is estimated."""
BIAS = (
    "of patients whose outcome somebody reported, who may differ from the others; patients for whom the model "
    "abstained have no probability and are left out; not a validation"
)
"""What limits every estimate."""


@dataclass(frozen=True)
class LivePerformance(Documented):
    """One version of a model, on the patients whose outcome was reported after its prediction.

    Each patient counts once, by the last of the predictions that were reported on.
    """

    model: str
    """Name in the registry."""
    version: str
    """Version in the registry."""
    outcome: str
    """Id of the outcome."""
    reported: int
    """Patients whose outcome was reported."""
    abstained: int
    """Of these, those for whom the model abstained."""
    observed: EventRate
    """The other patients, and those of them who had the outcome."""
    unestimated: str | None
    """Why nothing is estimated; null where something is."""
    auroc: Estimate
    """Area under the ROC curve of the probability, with its 95% interval (Newcombe 2006, method 5)."""
    mean_probability: float | None
    """Mean of the predicted probabilities."""
    observed_to_expected: Estimate
    """Patients who had the outcome, divided by the sum of the probabilities; 1 is perfect. The interval is Debray's."""
    brier: float | None
    """Mean squared difference of probability and outcome."""


def live_performance(reported: Iterable[ReportedPrediction]) -> list[LivePerformance]:
    """Return the performance of each version of a model and outcome, by name, version and outcome.

    References
    ----------
    Debray et al. 2017, BMJ 356:i6460, for the interval of the ratio of observed to expected events.
    """
    groups: dict[tuple[str, str, str], dict[int, ReportedPrediction]] = {}
    for item in sorted(reported, key=lambda item: item.entry):
        prediction = item.prediction
        groups.setdefault((prediction.model, prediction.version, prediction.outcome), {})[item.patient] = item
    return [_performance(*key, list(patients.values())) for key, patients in sorted(groups.items())]


def _performance(model: str, version: str, outcome: str, patients: list[ReportedPrediction]) -> LivePerformance:
    scored = [
        (item.prediction.probability, item.occurred) for item in patients if item.prediction.probability is not None
    ]
    probability = np.array([value for value, _ in scored], dtype=np.float64)
    y = np.array([occurred for _, occurred in scored], dtype=np.bool_)
    events, count = int(y.sum()), len(y)
    few = count < MIN_PATIENTS or min(events, count - events) < MIN_EACH
    nothing = Estimate(None, None, None)
    return LivePerformance(
        model=model,
        version=version,
        outcome=outcome,
        reported=len(patients),
        abstained=len(patients) - count,
        observed=event_rate(events, count),
        unestimated=f"fewer than {MIN_PATIENTS} patients, or than {MIN_EACH} with or without the outcome"
        if few
        else None,
        auroc=nothing if few else auroc_estimate(y, probability),
        mean_probability=None if few else float(probability.mean()),
        observed_to_expected=nothing if few else _observed_to_expected(events, count, float(probability.sum())),
        brier=None if few else float(np.mean((probability - y) ** 2)),
    )


def _observed_to_expected(events: int, patients: int, expected_events: float) -> Estimate:
    ratio = events / expected_events
    error = math.sqrt((1 - events / patients) / events)
    z = NormalDist().inv_cdf(1 - INTERVAL_ALPHA / 2)
    return Estimate(ratio, ratio * math.exp(-z * error), ratio * math.exp(z * error))
