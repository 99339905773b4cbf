"""The analysis of `docs/analysis-plan.md`: every pipeline on the same patients and folds, one table an outcome.

``python -m benchmarks.planned_analysis`` needs the published cohorts; progress goes to standard error.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.anchor_regression import anchor_held_out
from benchmarks.markdown import print_table
from features.arrays import Vector
from features.feature_table import FeatureTable
from features.outcomes import outcome_id
from models.families import FAMILIES
from training.evidence.scores import HeldOutScores, gather_scores
from training.experiment import Experiment
from training.experiment.eligibility import complete_rows, eligible_rows
from training.experiment.inputs import audit_findings, pooled_table, read_cohorts
from training.progress import Progress
from training.statistics.auroc_meta_analysis import auroc_random_effects
from training.statistics.gain import auroc_gain
from training.statistics.metrics import brier_score
from training.validation.baselines import PUBLISHED_SIGNATURE, signature_score, validate_baselines
from training.validation.conditional_null import permute_profiles
from training.validation.config import Selection
from training.validation.folds import Fold, centre_codes, outcome_vector
from training.validation.held_out import HeldOut, validate
from training.validation.inner_validation import calibrate_average
from training.validation.permutation_null import order_within_centres
from training.validation.stacking import within_spread
from training.workers import Threads

BLOCKS = ("taxa", "clinical")
SEEDS = 10
PERMUTATIONS = 199
COVARIATES = "clinical covariates alone"
HEADER = (
    "pipeline|served AUROC (95%)|margin's AUROC|Brier − prevalence's|worst AUROC, without|gain over covariates (95%)|"
    "worst gain, without|conditional p"
)
EXPERIMENTS = (
    Experiment(
        ("lee_2022", "spencer_2021", "frankel_2017", "matson_2018", "mitox", "davar_2021"),
        "published_response",
        pool_labels=True,
    ),
    Experiment(("lee_2022", "frankel_2017", "mitox", "davar_2021"), "objective_response"),
    Experiment(("lee_2022", "mitox"), "toxicity", "any"),
)


@dataclass(frozen=True)
class Analysis:
    """One outcome's patients, with leave-one-cohort-out folds.

    Attributes
    ----------
    experiment : Experiment
    table : FeatureTable
        Patients with taxa, clinical covariates and a known outcome.
    y : ndarray, (n_rows,)
    folds : list of Fold
        Of every seed.
    """

    experiment: Experiment
    table: FeatureTable
    y: Vector
    folds: list[Fold]

    def held_out(self, family: str, blocks: tuple[str, ...], selection: Selection = "average") -> list[HeldOut]:
        """Return a family's held-out predictions; one seed where it draws no number."""
        config = replace(self.experiment.fit_config(blocks), families=(family,), selection=selection)
        folds = [fold for fold in self.folds if fold.repeat == 0 or FAMILIES[family].seeded]
        return validate(self.table, self.y, config, folds)[family].held_out

    def scores(self, held_out: Sequence[HeldOut]) -> HeldOutScores:
        """Return held-out predictions in the order of the patients."""
        return gather_scores(self.table, self.y, held_out, "loco")


def main() -> None:
    """Print a table for each outcome."""
    os.environ.setdefault("TAXOKINE_DATA", str(Path(__file__).parents[2] / "shared" / "cohorts"))
    for experiment in EXPERIMENTS:
        start = time.process_time()
        analysis = read_analysis(replace(experiment, landmark=30.0, sample="first", repeats=SEEDS))
        outcome = outcome_id(experiment.outcome, experiment.grade)
        print(f"\n## {outcome}: {len(analysis.y)} patients, {int(analysis.y.sum())} with the outcome\n")
        print_table(HEADER, _rows(analysis))
        print(f"\n{time.process_time() - start:.0f} s of processor time", flush=True)


def read_analysis(experiment: Experiment) -> Analysis:
    """Audit an experiment's cohorts, and return its patients and folds."""
    outcome, cohorts = outcome_id(experiment.outcome, experiment.grade), read_cohorts(experiment, Progress())
    table, _ = eligible_rows(pooled_table(cohorts, experiment), outcome)
    audit_findings(cohorts, table, outcome, experiment.waive)
    table = table.take(np.flatnonzero(complete_rows(table, BLOCKS)))
    y = outcome_vector(table, outcome)
    folds = [fold for fold in experiment.outer_folds(table, y) if fold.scheme == "loco"]
    return Analysis(experiment, table, y, folds)


def row(name: str, scores: HeldOutScores, covariates: HeldOutScores, p: float | None = None) -> str:
    """Return one pipeline's row of the table."""
    y, centres, served = scores.y, scores.centres, scores.probability
    pooled = auroc_random_effects(scores.ranked_centres(served))
    gain = auroc_gain(y, served, covariates.probability, centres)
    brier = float(np.mean([brier_score(y, probability)[0] for probability in served]))
    prevalence = np.array([y[centres == centre].mean() for centre in centres])
    worst_auroc, worst_gain = (
        min((_auroc_less_centre(centre, scores, baseline), centre) for centre in dict.fromkeys(centres.tolist()))
        for baseline in (None, covariates)
    )
    cells = [
        name,
        f"{pooled.mean:.3f} ({pooled.low:.3f} to {pooled.high:.3f})",
        f"{auroc_random_effects(scores.ranked_centres(scores.margin)).mean:.3f}",
        f"{brier - brier_score(y, prevalence)[0]:+.3f}",
        f"{worst_auroc[0]:.3f}, {worst_auroc[1]}",
        f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})",
        f"{worst_gain[0]:+.3f}, {worst_gain[1]}",
        "" if p is None else f"{p:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _auroc_less_centre(centre: str, scores: HeldOutScores, covariates: HeldOutScores | None) -> float:
    """Return the AUROC, or the gain over covariates, without the patients of one centre."""
    rest = scores.take(scores.centres != centre)
    if covariates is None:
        return _served_auroc(rest)
    baseline = covariates.take(covariates.centres != centre)
    return rest.mean_auroc(rest.probability) - baseline.mean_auroc(baseline.probability)


def _served_auroc(scores: HeldOutScores) -> float:
    """Return the random-effects mean over centres of the served probability's AUROC."""
    return float(auroc_random_effects(scores.ranked_centres(scores.probability)).mean or np.nan)


def _rows(analysis: Analysis) -> list[str]:
    table, y = analysis.table, analysis.y
    average = analysis.held_out("elastic_net", BLOCKS)
    pipelines = {
        "**average, taxa + clinical**": average,
        "average, taxa": analysis.held_out("elastic_net", ("taxa",)),
        COVARIATES: analysis.held_out("elastic_net", ("clinical",)),
        "one variant by inner validation": analysis.held_out("elastic_net", BLOCKS, "inner"),
        "one variant by inner validation, taxa": analysis.held_out("elastic_net", ("taxa",), "inner"),
    }
    first_seed = [fold for fold in analysis.folds if fold.repeat == 0]
    signature = signature_score(table)
    if signature is not None:
        config = analysis.experiment.fit_config(BLOCKS)
        pipelines["TOPOSCORE"] = validate_baselines(table, y, config, first_seed, Threads(1))[PUBLISHED_SIGNATURE]
        pipelines["average + TOPOSCORE"] = [_with_component(analysis, fold, signature) for fold in average]
    pipelines["anchor regression"] = [anchor_held_out(table, y, fold, BLOCKS) for fold in first_seed]
    for family in ("xgboost", "xgboost_forest"):
        _report_progress(f"{family}, {SEEDS} seeds")
        pipelines[f"average of `{family}`, {SEEDS} seeds"] = analysis.held_out(family, BLOCKS)
    scores = {name: analysis.scores(held_out) for name, held_out in pipelines.items()}
    p = conditional_p(analysis, scores["**average, taxa + clinical**"])
    covariates = scores[COVARIATES]
    return [row(name, held_out, covariates, p if name.startswith("**") else None) for name, held_out in scores.items()]


def conditional_p(analysis: Analysis, observed: HeldOutScores) -> float:
    """Return the share of refits to profiles permuted within centres whose AUROC is at least the observed one."""
    table, rng = analysis.table, np.random.default_rng(0)
    statistic = _served_auroc(observed)
    config = replace(analysis.experiment.fit_config(BLOCKS), families=("elastic_net",))
    folds, as_high = [fold for fold in analysis.folds if fold.repeat == 0], 0
    for _ in tqdm(range(PERMUTATIONS), desc="conditional permutations"):
        permuted = permute_profiles(table, order_within_centres(observed.centres, rng))
        held_out = validate(permuted, analysis.y, config, folds, calibrate=False)["elastic_net"].held_out
        as_high += _served_auroc(analysis.scores(held_out)) >= statistic
    return (1 + as_high) / (1 + PERMUTATIONS)


def _with_component(analysis: Analysis, prediction: HeldOut, score: Vector) -> HeldOut:
    """Return a fold's predictions with a score of standard deviation 1 added to the log-odds, calibrated anew."""
    train = np.sort(prediction.fold.train)
    strata = centre_codes(analysis.table.rows)[train]
    standardised = score / within_spread(score[None, train], strata)[0]
    standardised -= standardised[train].mean()
    inner_margin = prediction.inner_validation.margin + standardised[train]
    inner_validation = calibrate_average(analysis.y[train], inner_margin, strata)
    margin = prediction.margin + standardised[prediction.fold.test]
    return HeldOut(prediction.fold, margin, inner_validation.calibration.probability(margin), inner_validation)


def _report_progress(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
