"""Held-out performance by verdict of the applicability domain: whether "use with care" deserves its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.arrays import Names
from features.feature_table import FeatureTable
from models.evidence import FEWEST_OF_A_CLASS, Scheme, VerdictDifference, VerdictPerformance
from models.reference import VERDICTS, fit_reference_set, profile_verdicts
from training.evidence.scores import HeldOutScores, finite, first_seed_folds
from training.statistics.sample_size import detectable_difference
from training.validation.folds import centres
from training.validation.held_out import HeldOut


def held_out_verdicts(table: FeatureTable, scores: HeldOutScores, held_out: Sequence[HeldOut], scheme: Scheme) -> Names:
    """Return the verdict of each held-out profile, (n_rows,), with its fold's training rows as reference set."""
    position = {int(row): i for i, row in enumerate(scores.rows)}
    verdicts = np.full(len(scores.rows), "", dtype=object)
    taxa, names = table.taxa.values, table.taxa.names
    for prediction in first_seed_folds(held_out, scheme):
        train = prediction.fold.train
        test = np.array([row for row in prediction.fold.test if int(row) in position], dtype=np.intp)
        in_training = (taxa[train] > 0).any(axis=0)
        total = taxa[test].sum(axis=1)
        recognised = np.divide(taxa[test][:, in_training].sum(axis=1), total, out=np.zeros(len(test)), where=total > 0)
        reference = fit_reference_set(taxa[train], names, centres(table.rows)[train])
        verdicts[[position[int(row)] for row in test]] = profile_verdicts(reference, taxa[test], names, recognised)
    return verdicts


def performance_by_verdict(scores: HeldOutScores, verdicts: Names) -> tuple[VerdictPerformance, ...]:
    """Return the performance among the patients of each verdict."""
    rows = []
    for verdict in VERDICTS:
        subset = scores.take(verdicts == verdict)
        if not len(subset.y):
            rows.append(VerdictPerformance(verdict, 0, 0, None, None))
            continue
        value = subset.mean_auroc(subset.probability)
        squared_error = (subset.probability[0] - subset.y) ** 2
        rows.append(
            VerdictPerformance(verdict, len(subset.y), int(subset.y.sum()), finite(value), float(squared_error.mean()))
        )
    return tuple(rows)


def verdict_difference(scores: HeldOutScores, verdicts: Names) -> VerdictDifference | None:
    """Return the Brier score without the verdict "ok" minus that with it; None where either side has few patients."""
    squared_error = (scores.probability[0] - scores.y) ** 2
    ok, not_ok = squared_error[verdicts == VERDICTS[0]], squared_error[verdicts != VERDICTS[0]]
    if min(len(ok), len(not_ok)) < FEWEST_OF_A_CLASS:
        return None
    detectable = detectable_difference(len(ok), len(not_ok), float(ok.std(ddof=1)), float(not_ok.std(ddof=1)))
    return VerdictDifference(float(not_ok.mean() - ok.mean()), detectable)
