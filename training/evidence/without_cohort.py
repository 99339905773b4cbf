"""Fragility: held-out performance without each cohort in turn, from the same held-out predictions.

No model is refitted. The question is whether the summary rests on the patients of one cohort, not how a model that was
trained without them would do.
"""

from __future__ import annotations

import numpy as np

from features.arrays import Mask
from features.feature_table import FeatureTable
from models.evidence import Estimate, WithoutCohort
from training.evidence.performance import compare_with_null, headline
from training.evidence.scores import HeldOutScores, reported
from training.statistics.gain import auroc_gain
from training.validation.folds import loco_groups
from training.validation.permutation_null import ModelNull


def performance_without_cohorts(
    table: FeatureTable, scores: HeldOutScores, covariates: HeldOutScores | None, null: ModelNull | None
) -> tuple[WithoutCohort, ...]:
    """Return the performance without each cohort, or each centre of one cohort; empty where there is one centre.

    Parameters
    ----------
    table : FeatureTable
    scores : HeldOutScores
    covariates : HeldOutScores or None
        Of the covariate baseline over which the gain of the whole record is measured; None where there is none.
    null : ModelNull or None
        The model's own permutation null; None where not computed.
    """
    groups = loco_groups(table.rows)[scores.rows]
    names = list(dict.fromkeys(groups.tolist()))
    return (
        tuple(_performance_without(scores, covariates, null, name, groups != name) for name in names)
        if len(names) > 1
        else ()
    )


def _performance_without(
    scores: HeldOutScores,
    covariates: HeldOutScores | None,
    null: ModelNull | None,
    name: str,
    mask: Mask,
) -> WithoutCohort:
    rest = scores.take(mask)
    gain, p = Estimate(None, None, None), None
    if covariates is not None:
        baseline = covariates.take(mask).probability
        gain = reported(auroc_gain(rest.y, rest.probability, baseline, rest.centres, folds=rest.folds))
    if null is not None and np.isfinite(null.without_cohort[name]).any():
        p = compare_with_null(null.without_cohort[name], rest.mean_auroc(rest.probability)).p
    return WithoutCohort(name, len(rest.y), int(rest.y.sum()), headline(rest, rest.probability), gain, p)
