"""Performance of served probabilities on the patients of one cohort, each number with its interval."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from features.arrays import Matrix, Names, Vector
from models.auroc import auroc_estimate
from models.evidence import (
    FEWEST_OF_A_CLASS,
    Estimate,
    ExternalCentrePerformance,
    ExternalPerformance,
    Recalibration,
)
from training.evidence.rates import count_outcomes
from training.evidence.scores import reported
from training.statistics.auroc_meta_analysis import mean_auroc, ranked_centres
from training.statistics.calibration import calibration_by_centre
from training.statistics.decision import decision_curves
from training.statistics.metrics import (
    Metric,
    bootstrap_interval,
    brier_score,
    calibration_in_the_large,
)
from training.statistics.recalibration import held_out_shifts


def external_performance(y: Vector, probability: Vector, cohort: str, centres: Names) -> ExternalPerformance:
    """Return the performance of probabilities, each number with its interval.

    Parameters
    ----------
    y, probability : ndarray, (n_patients,)
        Outcomes, 0 or 1, and served probabilities, of at least one patient.
    cohort : str
        Name of the cohort.
    centres : ndarray of str, (n_patients,)
        Centre of each patient.
    """
    groups = np.full(len(y), cohort, dtype=object)
    calibration = calibration_by_centre(y, probability, groups)[cohort]
    has_slope = min(y.sum(), len(y) - y.sum()) >= FEWEST_OF_A_CLASS
    return ExternalPerformance(
        outcomes=count_outcomes(y),
        distinct_probabilities=len(np.unique(probability)),
        auroc=reported(mean_auroc(ranked_centres(y, probability, centres))),
        brier=_interval(brier_score, y, probability, groups),
        prevalence_brier=_prevalence_brier(y),
        brier_difference=_interval(_brier_above(y.mean()), y, probability, groups),
        in_the_large=_interval(calibration_in_the_large, y, probability, groups),
        intercept=reported(calibration.intercept),
        slope=reported(calibration.slope if has_slope else None),
        decision_curve=decision_curves(y, probability, groups)[cohort],
        by_centre=_by_centre(y, probability, centres),
    )


def recalibrated_performance(y: Vector, probability: Vector, cohort: str) -> Recalibration | None:
    """Return the recalibration in the large; None with fewer than two patients of a class.

    Parameters
    ----------
    y, probability : ndarray, (n_patients,)
    cohort : str
    """
    if min(y.sum(), len(y) - y.sum()) < 2:
        return None
    groups = np.full(len(y), cohort, dtype=object)
    shift = calibration_by_centre(y, probability, groups)[cohort].intercept
    log_odds = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    recalibrated = expit(log_odds + held_out_shifts(y, log_odds))
    return Recalibration(
        shift=reported(shift),
        brier=_interval(brier_score, y, recalibrated, groups),
        brier_difference=_interval(_brier_above((y.sum() - y) / (len(y) - 1)), y, recalibrated, groups),
    )


def _interval(metric: Metric, y: Vector, probability: Vector, groups: Names) -> Estimate:
    return reported(bootstrap_interval(metric, y, probability, groups))


def _brier_above(reference: Vector | float) -> Metric:
    """Return the metric of a Brier score minus that of a reference, paired by patient; the reference is fixed."""

    def difference(y: Vector, probability: Vector, weights: Matrix | None = None) -> Vector:
        reference_score = brier_score(y, np.broadcast_to(reference, y.shape), weights)
        return np.asarray(brier_score(y, probability, weights) - reference_score)

    return difference


def _prevalence_brier(y: Vector) -> float:
    return float(y.mean() * (1 - y.mean()))


def _by_centre(y: Vector, probability: Vector, centres: Names) -> tuple[ExternalCentrePerformance, ...]:
    names = dict.fromkeys(centres.tolist())
    if len(names) < 2:
        return ()
    masks = {name: centres == name for name in names}
    return tuple(
        ExternalCentrePerformance(
            centre=name,
            patients=int(mask.sum()),
            events=int(y[mask].sum()),
            auroc=auroc_estimate(y[mask] == 1, probability[mask]),
            brier=_interval(brier_score, y[mask], probability[mask], centres[mask]),
            prevalence_brier=_prevalence_brier(y[mask]),
        )
        for name, mask in masks.items()
    )
