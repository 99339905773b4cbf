"""Similarity of two stool profiles: whether they are of one stool sample, however its patient is named."""

from __future__ import annotations

import numpy as np

from features.arrays import Matrix, Vector

EQUAL, SAME_STOOL, SAME_PERSON = 0.9995, 0.98, 0.8
"""Similarities (cosines of log abundances) from which two profiles are equal, of one stool, or of one person. By
species, the stools of one person have medians of 0.82 and 0.88 and at most 0.97 in the two public cohorts that repeat
them; those of two persons at most 0.72 in all of them, except for the reported pairs."""
PSEUDO_PROPORTION = 1e-5
"""Proportion that keeps logarithms finite: log abundance is log(1 + proportion / PSEUDO_PROPORTION)."""
OUTLYING_SIMILARITY = 8.0
"""Robust SDs above the usual similarity of a cohort from which a pair is reported."""
MIN_PATIENTS = 10
"""Smallest number of patients from which the usual similarity of a cohort is estimated."""
FEW_TAXA = 5
"""Number of taxa up to which a profile is nearly empty, where the cohort's median is ten times as large; profiles of
less than twice as many taxa are alike by chance."""


def unit_log_abundances(proportions: Matrix) -> Matrix:
    """Return log abundances, (n_profiles, n_taxa), each row of length 1: their products are similarities.

    Parameters
    ----------
    proportions : ndarray, (n_profiles, n_taxa)
    """
    logs = np.log1p(proportions / PSEUDO_PROPORTION)
    return np.asarray(logs / np.maximum(np.linalg.norm(logs, axis=1, keepdims=True), 1e-30))


def outlying_similarity(usual: Vector) -> float:
    """Return the similarity above which a pair stands out from the usual ones, by Fisher's z.

    Parameters
    ----------
    usual : ndarray, (n_patients,)
        Similarity of each patient's profile to the most similar profile of another patient.

    Returns
    -------
    float
        `EQUAL` with fewer than `MIN_PATIENTS` patients, or where half of the similarities are equal.
    """
    if len(usual) < MIN_PATIENTS:
        return EQUAL
    z = np.arctanh(np.minimum(usual, EQUAL))
    median = np.median(z)
    sd = 1.4826 * np.median(np.abs(z - median))
    return min(float(np.tanh(median + OUTLYING_SIMILARITY * sd)), EQUAL) if sd > 0 else EQUAL
