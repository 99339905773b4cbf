"""Metrics of a run, as MLflow's columns show them.

A name says what ranks the patients, `served_auroc` (the probability as served) or `margin_auroc` (the log-odds before
calibration), and what it is a mean of: `over_centres` is the random-effects mean, `within_centres` the mean weighted by
patients. A cohort whose manifest names no centres is one centre. The headline, `auroc`, is the served probability's
mean over centres: the MLflow UI sorts columns by name, and shows this one first. It cuts names of more than eleven
characters; those of the view that compares models are no longer: `gain` over covariates is a mean within centres, and
`p_best_of` that of the permutation null of the best model.
"""

from __future__ import annotations

from models.evidence import Estimate, Validation
from training.statistics.interval_estimate import interval_metrics

HEADLINE = "auroc"
"""Name of the metric by which models are compared."""


def run_metrics(validation: Validation) -> dict[str, float]:
    """Return the metrics of a run by name, those that are known."""
    evidence, pooled, mean = validation.evidence, validation.within_centres, validation.random_effects
    metrics: dict[str, float | None] = {
        "patients": evidence.patients,
        "events": evidence.events,
        "cohorts": len(evidence.cohorts),
        "centres": len(evidence.per_centre),
        "served_auroc_new_centre_lower": mean.prediction_low,
        "served_auroc_new_centre_upper": mean.prediction_high,
        "served_auroc_within_centres_seeds_mean": validation.seeds.mean,
        "served_auroc_within_centres_seeds_sd": validation.seeds.sd,
        "brier": pooled.brier,
        "prevalence_brier": pooled.prevalence_brier,
        "brier_skill": pooled.brier_skill,
        "calibration_slope": validation.calibration_slope.value,
        **interval_metrics(
            {
                HEADLINE: evidence.held_out_auroc,
                "margin_auroc_over_centres": evidence.margin_auroc,
                "served_auroc_within_centres": pooled.auroc,
                "margin_auroc_within_centres": pooled.margin_auroc,
                "served_auprc_within_centres": pooled.auprc,
            }
        ),
        **_comparison_metrics(validation),
    }
    for centre in validation.per_centre:
        name = centre.centre.replace("/", ".")
        metrics[f"served_auroc.{name}"] = centre.auroc.value
        metrics[f"margin_auroc.{name}"] = centre.margin_auroc.value
        metrics[f"brier.{name}"] = centre.brier
        metrics[f"calibration_in_the_large.{name}"] = centre.calibration.in_the_large
    for baseline in validation.baselines:
        name = baseline.name.replace(" + ", "_").replace(" ", "_")
        metrics[f"baseline.{name}.served_auroc_within_centres"] = baseline.auroc.value
        metrics[f"baseline.{name}.brier"] = baseline.brier
    for block in validation.without_block:
        metrics[f"without_block.{block.block}.{HEADLINE}"] = block.auroc.value
        metrics[f"without_block.{block.block}.gain_within_centres"] = block.gain.value
    for row in validation.without_cohort:
        name = row.cohort.replace("/", ".")
        metrics[f"without.{name}.{HEADLINE}"] = row.auroc.value
        metrics[f"without.{name}.gain_within_centres"] = row.gain.value
        metrics[f"without.{name}.permutation_p"] = row.permutation_p
    return {name: value for name, value in metrics.items() if value is not None}


def _comparison_metrics(validation: Validation) -> dict[str, float | None]:
    """Return the metrics of the other scheme, the permutation null and the gain, where computed."""
    metrics = dict[str, float | None]()
    if validation.other_scheme is not None:
        metrics |= interval_metrics({"served_auroc_within_centres_cv": validation.other_scheme.auroc})
    if validation.permutation is not None:
        null = validation.permutation.model
        metrics |= {
            "permutation_p": null.p,
            "permutation_null_mean": null.mean,
            "permutation_null_sd": null.sd,
            "permutation_null_95": null.percentile_95,
            "p_best_of": validation.permutation.best_of_all.p,
        }
        if (conditional := validation.permutation.conditional) is not None:
            metrics |= {
                "permutation_conditional_p": conditional.p,
                "permutation_conditional_null_mean": conditional.mean,
                "permutation_conditional_null_95": conditional.percentile_95,
            }
    if validation.gain is not None:
        gain, mean = validation.gain, validation.gain.random_effects
        over_centres = Estimate(mean.mean, mean.low, mean.high)
        metrics |= interval_metrics({"gain": gain.difference, "gain_over_centres": over_centres})
    return metrics
