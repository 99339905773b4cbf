"""The gain in AUROC of one score over another on the same patients."""

from __future__ import annotations

from features.arrays import Matrix, Names, Vector
from training.statistics.interval_estimate import IntervalEstimate
from training.statistics.metrics import N_BOOTSTRAP, auroc, bootstrap_weights, mean_over_seeds, percentile_interval


def auroc_gain(
    y: Vector,
    score_a: Vector | Matrix,
    score_b: Vector | Matrix,
    cohorts: Names,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> IntervalEstimate:
    """Return the within-cohort AUROC of `score_a` minus that of `score_b`, with a paired bootstrap interval.

    Patients are resampled within cohort, and both scores are evaluated on the same draws, so that variation common to
    both cancels. Predictions are held fixed.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    score_a, score_b : ndarray, (n_samples,) or (n_seeds, n_samples)
        With several seeds, the mean of their AUROCs is compared; the numbers of seeds may differ.
    cohorts : ndarray of str, (n_samples,)
    n_bootstrap, seed : int
    """
    weights = bootstrap_weights(cohorts, n_bootstrap, seed)
    gain = mean_over_seeds(auroc, y, score_a, cohorts) - mean_over_seeds(auroc, y, score_b, cohorts)
    bootstrap_gains = mean_over_seeds(auroc, y, score_a, cohorts, weights) - mean_over_seeds(
        auroc, y, score_b, cohorts, weights
    )
    return percentile_interval(gain[0], bootstrap_gains)
