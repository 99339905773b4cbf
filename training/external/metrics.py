"""Metrics of a validation elsewhere, as MLflow's columns show them."""

from __future__ import annotations

from models.evidence import ExternalValidation
from training.statistics.interval_estimate import interval_metrics


def external_metrics(validation: ExternalValidation) -> dict[str, float]:
    """Return the metrics of a run by name, those that are known.

    Their names begin with `external_`, so that no table of an experiment ranks them with a model's own.
    """
    metrics: dict[str, float | None] = {
        name: getattr(validation, name)
        for name in ("labelled", "training_patients", "predicted", "with_care", "abstained")
    }
    if (performance := validation.performance) is not None:
        metrics |= {
            "events": performance.outcomes.events,
            "distinct_probabilities": performance.distinct_probabilities,
            "prevalence_brier": performance.prevalence_brier,
        }
        names = ("auroc", "brier", "brier_difference", "in_the_large", "intercept", "slope")
        metrics |= interval_metrics({name: getattr(performance, name) for name in names})
    if (recalibration := validation.recalibration) is not None:
        metrics |= interval_metrics(
            {"recalibrated_brier": recalibration.brier, "recalibration_shift": recalibration.shift}
        )
    return {f"external_{name}": float(value) for name, value in metrics.items() if value is not None}
