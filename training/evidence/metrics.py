"""Metrics of a run, as MLflow's columns show them."""

from __future__ import annotations

from models.evidence import Estimate, Validation


def run_metrics(validation: Validation) -> dict[str, float]:
    """Return the metrics of a run by name, those that are known."""
    evidence, pooled, mean = validation.evidence, validation.within_cohorts, validation.random_effects
    metrics: dict[str, float | None] = {
        **interval_metrics("auroc", evidence.held_out_auroc),
        "patients": evidence.patients,
        "events": evidence.events,
        "auroc_prediction_low": mean.prediction_low,
        "auroc_prediction_high": mean.prediction_high,
        "auroc_seeds_mean": validation.seeds.mean,
        "auroc_seeds_sd": validation.seeds.sd,
        "brier": pooled.brier,
        "prevalence_brier": pooled.prevalence_brier,
        "brier_skill": pooled.brier_skill,
        "calibration_slope": validation.calibration_slope.value,
        **interval_metrics("within_auroc", pooled.auroc),
        **interval_metrics("within_auprc", pooled.auprc),
        **_comparison_metrics(validation),
    }
    for cohort in validation.per_cohort:
        name = cohort.cohort.replace("/", ".")
        metrics[f"auroc.{name}"] = cohort.auroc.value
        metrics[f"brier.{name}"] = cohort.brier
        metrics[f"calibration_in_the_large.{name}"] = cohort.calibration.in_the_large
    for baseline in validation.baselines:
        name = baseline.name.replace(" + ", "_").replace(" ", "_")
        metrics[f"baseline.{name}.auroc"] = baseline.auroc.value
        metrics[f"baseline.{name}.brier"] = baseline.brier
    return {name: value for name, value in metrics.items() if value is not None}


def interval_metrics(name: str, estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate and the ends of its interval as three metrics."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _comparison_metrics(validation: Validation) -> dict[str, float | None]:
    """Return the metrics of the other scheme, the permutation null and the gain, where computed."""
    metrics = dict[str, float | None]()
    if validation.other_scheme is not None:
        metrics |= interval_metrics("cv_auroc", validation.other_scheme.auroc)
    if validation.permutation is not None:
        null = validation.permutation.model
        metrics |= {
            "permutation_p": null.p,
            "permutation_null_mean": null.mean,
            "permutation_null_sd": null.sd,
            "permutation_null_95": null.percentile_95,
            "permutation_best_of_p": validation.permutation.best_of_all.p,
        }
    if validation.gain is not None:
        metrics |= interval_metrics("gain", validation.gain.difference)
    return metrics
