"""What one score adds to another on the same patients."""

from __future__ import annotations

from training.statistics.arrays import Matrix, Names, Vector
from training.statistics.metrics import (
    N_BOOTSTRAP,
    Estimate,
    auroc,
    bootstrap_weights,
    mean_over_seeds,
    percentile_interval,
)


def auroc_gain(
    y: Vector,
    score_a: Vector | Matrix,
    score_b: Vector | Matrix,
    cohorts: Names,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Estimate:
    """Return by how much `score_a` has the higher within-cohort AUROC, with a bootstrap percentile interval.

    Patients are drawn within cohort, and every score is measured on the same draw, so what patients have in common
    cancels. Predictions are held fixed.

    Parameters
    ----------
    y : ndarray, (n_samples,)
    score_a, score_b : ndarray, (n_samples,) or (n_seeds, n_samples)
        With several seeds, which need not be as many on both sides, the mean of their AUROCs is compared.
    cohorts : ndarray of str, (n_samples,)
    n_bootstrap, seed : int
    """
    weights = bootstrap_weights(cohorts, n_bootstrap, seed)
    drawn = mean_over_seeds(auroc, y, score_a, cohorts, weights) - mean_over_seeds(auroc, y, score_b, cohorts, weights)
    found = mean_over_seeds(auroc, y, score_a, cohorts) - mean_over_seeds(auroc, y, score_b, cohorts)
    return percentile_interval(found[0], drawn)
