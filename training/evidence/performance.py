"""Held-out performance of a model: by centre, over centres, over seeds, and against permutations and baselines.

Every AUROC ranks patients by the probability that would be served: one for all of them where inner validation believed
nothing. The AUROC of the margin stands beside it under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from features.arrays import Matrix, Vector
from features.feature_table import FeatureTable
from models.calibration import fit_venn_abers
from models.evidence import (
    BaselinePerformance,
    CentreCalibration,
    CentrePerformance,
    Estimate,
    GainOverBaseline,
    NullComparison,
    OtherScheme,
    PermutationNull,
    PooledPerformance,
    RangeCoverage,
    Scheme,
    SeedSpread,
    SetCoverage,
    WithoutBlock,
)
from training.evidence.scores import HeldOutScores, finite, first_seed_folds, gather_scores, reported
from training.statistics.auroc_meta_analysis import auroc_random_effects, mean_auroc
from training.statistics.calibration import brier_skill, calibration_by_centre
from training.statistics.conformal import conformal_coverage, conformal_p
from training.statistics.gain import auroc_gain, gain_random_effects
from training.statistics.metrics import auprc, bootstrap_interval, brier_score, mean_over_seeds
from training.statistics.venn_abers import range_coverage
from training.validation.baselines import COVARIATE_BLOCKS
from training.validation.held_out import HeldOut
from training.validation.permutation_null import NullDistributions

TIE = 1e-9
"""AUROCs that differ by less are equal: of one probability for every patient each is a half, up to the last digits."""


def headline(scores: HeldOutScores, score: Matrix) -> Estimate:
    """Return a score's random-effects mean AUROC over centres, or the AUROC within the centre where there is one."""
    ranked = scores.ranked_centres(score)
    mean = auroc_random_effects(ranked)
    return reported(mean_auroc(ranked)) if mean.low is None else Estimate(mean.mean, mean.low, mean.high)


def centre_performance(
    scores: HeldOutScores, held_out: Sequence[HeldOut], scheme: Scheme
) -> tuple[CentrePerformance, ...]:
    """Return the held-out performance in each centre."""
    aurocs, margin_aurocs = (
        {ranked.name: ranked.interval() for ranked in scores.ranked_centres(score)}
        for score in (scores.probability, scores.margin)
    )
    calibrations = calibration_by_centre(scores.y, scores.probability[0], scores.centres)
    venn_abers = _venn_abers_coverage(scores, held_out, scheme)
    conformal = _conformal_coverage(scores, held_out, scheme)
    rows = []
    for name, centre in scores.by_centre():
        calibration = calibrations[name]
        intercept = calibration.intercept
        rows.append(
            CentrePerformance(
                centre=name,
                patients=calibration.patients,
                events=calibration.events,
                prevalence=calibration.prevalence,
                auroc=reported(aurocs.get(name)),
                margin_auroc=reported(margin_aurocs.get(name)),
                auprc=_auprc(centre),
                brier=float(mean_over_seeds(brier_score, centre.y, centre.probability, centre.centres)[0]),
                prevalence_brier=calibration.prevalence * (1 - calibration.prevalence),
                brier_skill=calibration.brier_skill,
                calibration=CentreCalibration(
                    in_the_large=calibration.in_the_large,
                    intercept=None if intercept is None else intercept.value,
                    slope=reported(calibration.slope),
                ),
                venn_abers=venn_abers[name],
                conformal=conformal[name],
            )
        )
    return tuple(rows)


def pooled_performance(scores: HeldOutScores) -> PooledPerformance:
    """Return the performance within centres, averaged over them."""
    means = {name: centre.y.mean() for name, centre in scores.by_centre()}
    prevalence = np.array([means[name] for name in scores.centres])
    return PooledPerformance(
        auroc=reported(scores.auroc(scores.probability)),
        margin_auroc=reported(scores.auroc(scores.margin)),
        auprc=_auprc(scores),
        brier=_brier(scores),
        prevalence_brier=float(brier_score(scores.y, prevalence)[0]),
        brier_skill=brier_skill(scores.y, scores.probability[0], scores.centres),
    )


def seed_spread(scores: HeldOutScores) -> SeedSpread:
    """Return the AUROC of each seed, with their mean and standard deviation."""
    aurocs = scores.seed_aurocs(scores.probability)
    sd = float(np.std(aurocs, ddof=1)) if len(aurocs) > 1 else None
    return SeedSpread(len(aurocs), finite(float(np.mean(aurocs))), sd, tuple(map(finite, aurocs)))


def other_scheme_performance(
    table: FeatureTable, y: Vector, held_out: Sequence[HeldOut], scheme: Scheme
) -> OtherScheme | None:
    """Return the AUROC under the scheme that evidence does not rest on; None where there is no other."""
    other_scheme: Scheme = "cv" if scheme == "loco" else "loco"
    if not any(prediction.fold.scheme == other_scheme for prediction in held_out):
        return None
    scores = gather_scores(table, y, held_out, other_scheme)
    return OtherScheme(other_scheme, reported(scores.auroc(scores.probability)))


def permutation_test(null: NullDistributions, observed: float) -> PermutationNull:
    """Return the observed AUROC against the permutation nulls.

    A model that is not the best of its experiment is compared with the null of the best all the same.

    References
    ----------
    Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39, for p.
    """
    return PermutationNull(
        compare_with_null(null.model.values, observed),
        compare_with_null(null.best, observed),
        null.models,
        None if null.conditional is None else compare_with_null(null.conditional, observed),
    )


def compare_with_null(null: Vector, observed: float) -> NullComparison:
    """Return an observed AUROC against the AUROCs of a null, (n,), of which the undefined ones are dropped."""
    null = null[np.isfinite(null)]
    return NullComparison(
        n=len(null),
        observed=finite(observed),
        p=float((1 + (null >= observed - TIE).sum()) / (1 + len(null))),
        mean=float(null.mean()),
        sd=float(null.std(ddof=1)) if len(null) > 1 else None,
        percentile_95=float(np.quantile(null, 0.95)),
    )


def baseline_performance(baselines: Mapping[str, HeldOutScores]) -> tuple[BaselinePerformance, ...]:
    """Return the performance of each baseline."""
    return tuple(
        BaselinePerformance(name, len(scores.y), reported(scores.auroc(scores.probability)), _brier(scores))
        for name, scores in baselines.items()
    )


def strongest_covariates(scores: HeldOutScores, baselines: Mapping[str, HeldOutScores]) -> str | None:
    """Return the covariate baseline with the largest AUROC, since a weak one is easily exceeded.

    None where no covariate baseline predicts the same rows, or AUROC cannot be computed.
    """
    aurocs = {
        name: baseline.mean_auroc(baseline.probability)
        for name, baseline in baselines.items()
        if name in COVARIATE_BLOCKS and len(baseline.rows) == len(scores.rows)
    }
    strongest = max(aurocs, key=lambda name: aurocs[name], default=None)
    return strongest if strongest and np.isfinite(aurocs[strongest]) else None


def gain_over(scores: HeldOutScores, name: str, baseline: HeldOutScores) -> GainOverBaseline:
    """Return the paired gain over a baseline on the same rows and folds: pooled, and by random effects over centres."""
    model, covariates = scores.probability, baseline.probability
    return GainOverBaseline(
        name,
        reported(auroc_gain(scores.y, model, covariates, scores.centres, folds=scores.folds)),
        gain_random_effects(scores.y, model, covariates, scores.centres, scores.folds),
    )


def performance_without_blocks(
    scores: HeldOutScores, without_block: Mapping[str, HeldOutScores]
) -> tuple[WithoutBlock, ...]:
    """Return the performance of the same family without each block, on the same rows and folds.

    Parameters
    ----------
    scores : HeldOutScores
        Of the model, with all its blocks.
    without_block : mapping of str to HeldOutScores
        Without each block, by block.
    """
    return tuple(
        WithoutBlock(
            block,
            headline(rest, rest.probability),
            _brier(rest),
            reported(auroc_gain(scores.y, scores.probability, rest.probability, scores.centres, folds=scores.folds)),
        )
        for block, rest in without_block.items()
    )


def _auprc(scores: HeldOutScores) -> Estimate:
    return reported(bootstrap_interval(auprc, scores.y, scores.probability, scores.centres, scores.folds))


def _brier(scores: HeldOutScores) -> float:
    return float(np.mean([brier_score(scores.y, probability)[0] for probability in scores.probability]))


def _venn_abers_coverage(
    scores: HeldOutScores, held_out: Sequence[HeldOut], scheme: Scheme
) -> dict[str, RangeCoverage]:
    """Return each centre's coverage of the first seed's Venn-Abers ranges, calibrated on each fold's training rows."""
    low, high = np.zeros(len(scores.rows)), np.ones(len(scores.rows))
    for prediction, positions, margin in _fold_margins(scores, held_out, scheme):
        if len(prediction.inner_validation.y):
            ranges = fit_venn_abers(prediction.inner_validation.margin, prediction.inner_validation.y).range(margin)
            low[positions], high[positions] = ranges
    return range_coverage(scores.y, low, high, scores.centres)


def _conformal_coverage(scores: HeldOutScores, held_out: Sequence[HeldOut], scheme: Scheme) -> dict[str, SetCoverage]:
    """Return each centre's coverage of the first seed's conformal sets, calibrated on each fold's training rows."""
    p_event, p_other = np.ones(len(scores.rows)), np.ones(len(scores.rows))
    for prediction, positions, margin in _fold_margins(scores, held_out, scheme):
        if len(prediction.inner_validation.y):
            p_values = conformal_p(prediction.inner_validation.y, prediction.inner_validation.margin, margin)
            p_event[positions], p_other[positions] = p_values
    return conformal_coverage(scores.y, p_event, p_other, scores.centres)


def _fold_margins(
    scores: HeldOutScores, held_out: Sequence[HeldOut], scheme: Scheme
) -> list[tuple[HeldOut, list[int], Vector]]:
    """Return each first-seed fold with the positions of its test rows in the scores, and their log-odds."""
    position = {int(row): i for i, row in enumerate(scores.rows)}
    folds = []
    for prediction in first_seed_folds(held_out, scheme):
        scored = [i for i, row in enumerate(prediction.fold.test) if int(row) in position]
        positions = [position[int(prediction.fold.test[i])] for i in scored]
        folds.append((prediction, positions, prediction.margin[scored]))
    return folds
