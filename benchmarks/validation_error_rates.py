"""How often the intervals of a validation hold the truth, and how often its tests reject, in simulated studies.

`python -m benchmarks.validation_error_rates > benchmarks/validation_error_rates.md` writes the tables, in five minutes
of processor time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from scipy.stats import binomtest, norm
from tqdm import tqdm

from benchmarks.markdown import print_table
from features.arrays import Names, Vector
from features.feature_table import Block, FeatureTable
from models.evidence import Estimate
from training.evidence.performance import compare_with_null
from training.evidence.scores import gather_scores
from training.external.demotion import contradictions
from training.external.performance import external_performance
from training.statistics.auroc_meta_analysis import auroc_random_effects, ranked_centres
from training.statistics.calibration import calibration_by_centre
from training.statistics.gain import auroc_gain, gain_random_effects
from training.statistics.metrics import auroc, brier_score
from training.validation.conditional_null import conditional_nulls
from training.validation.config import FitConfig
from training.validation.folds import Fold, main_folds, outcome_vector
from training.validation.held_out import validate
from training.validation.permutation_null import Permutations, permutation_nulls
from training.workers import Threads

Events = Mapping[str, bool]
"""What happened in one simulated data set: an interval held the truth, or a test rejected."""
DATA_SETS, DATA_SETS_OF_REFITS = 150, 40
STUDIES, PATIENTS = 3, 40
PERMUTATIONS, LEVEL = 19, 0.05
CONFIG = FitConfig(("elastic_net",), ("taxa", "clinical"), representations=("clr",))
AREA, BASELINE_AREA, GAIN_SD = 0.6, 0.55, 0.05
NO_SKILL, CALIBRATED, SHIFTED = "no skill", "calibrated", "outcome more frequent than predicted"
CELLS: Mapping[str, tuple[float, float]] = {NO_SKILL: (-0.4, 0.0), CALIBRATED: (0.0, 1.0), SHIFTED: (0.8, 1.0)}
"""True intercept and slope of the log-odds on the predicted ones, of mean -0.4 and standard deviation 0.8."""


class Scenario(NamedTuple):
    """Shifts between the outcomes, in standard deviations; `shared` is the slope of the taxa on the covariates."""

    name: str
    covariates: float
    taxa: float
    shared: float = 0.0


SCENARIOS = (
    Scenario("nothing informs", 0, 0),
    Scenario("covariates inform", 1, 0),
    Scenario("covariates inform, taxa follow them", 1, 0, shared=0.7),
    Scenario("covariates and taxa inform", 1, 1),
)


def main() -> None:
    """Print every table, and the time of averaging against selecting."""
    print("# Error rates of a validation, in simulated studies\n")
    print("Shares in %, each with its 95% interval (Wilson). Intervals are of 95%, and tests of 5%.\n")
    _print_rates(
        "Held-out AUROC over centres, and gain: intervals that hold the truth",
        {
            f"{k} centres of 20 to 60, SD of their log-odds of the AUROC {sd:g}": (
                partial(centre_intervals, k, sd),
                DATA_SETS,
            )
            for k in (3, 5, 8)
            for sd in (0.0, 0.3)
        },
    )
    truths = {name: _truth(name) for name in CELLS}
    _print_rates(
        "Validated elsewhere: intervals that hold the truth, and contradictions",
        {
            f"{name}, {n} patients": (partial(external_intervals, name, truths[name], n), DATA_SETS)
            for n in (40, 100, 300)
            for name in CELLS
        },
    )
    _print_rates(
        "Permutation tests of taxa + clinical: p at most 5%, in 3 studies of 40",
        {scenario.name: (partial(permutation_tests, scenario), DATA_SETS_OF_REFITS) for scenario in SCENARIOS},
    )
    _print_times()


def centre_intervals(k: int, sd: float, seed: int) -> Events:
    """Tell which intervals hold the truth where the log-odds of the centres' AUROCs vary by `sd`."""
    rng = np.random.default_rng(seed)
    areas = special.expit(special.logit(AREA) + sd * rng.normal(size=k + 1))
    y, score, names = _binormal_centres(rng, areas[:k])
    summary = auroc_random_effects(ranked_centres(y, score[None], names, np.zeros((1, len(y)), dtype=np.intp)))
    rest = [
        auroc_random_effects(
            ranked_centres(y[mask], score[None, mask], names[mask], np.zeros((1, mask.sum()), dtype=np.intp))
        )
        for mask in (names != name for name in dict.fromkeys(names.tolist()))
    ]
    events = {
        "AUROC": summary.low <= AREA <= summary.high,
        "AUROC of a new centre": summary.prediction_low <= areas[k] <= summary.prediction_high,
        "AUROC without the first centre": rest[0].low <= AREA <= rest[0].high,
        "all AUROCs without one centre": all(summary.low <= AREA <= summary.high for summary in rest),
    }
    spread = GAIN_SD if sd else 0.0
    gains = AREA - BASELINE_AREA + spread * rng.normal(size=k)
    y, model, names, baseline = _paired_centres(rng, BASELINE_AREA + gains)
    over_centres, pooled = gain_random_effects(y, model, baseline, names), auroc_gain(y, model, baseline, names)
    truth = AREA - BASELINE_AREA
    return events | {
        "gain over centres": over_centres.low <= truth <= over_centres.high,
        "gain within centres": pooled.low <= truth <= pooled.high,
    }


def _binormal_centres(rng: np.random.Generator, areas: Vector) -> tuple[Vector, Vector, Names]:
    """Return outcomes, scores and centres; each centre's true AUROC is given, and 40% have the outcome."""
    sizes = rng.integers(20, 61, len(areas))
    y = np.concatenate([rng.permutation(np.arange(n) < 0.4 * n) for n in sizes]).astype(float)
    names = np.repeat(np.array([f"centre {i}" for i in range(len(areas))], dtype=object), sizes)
    return y, rng.normal(size=len(y)) + y * np.repeat(np.sqrt(2) * norm.ppf(areas), sizes), names


def _paired_centres(rng: np.random.Generator, areas: Vector) -> tuple[Vector, Vector, Names, Vector]:
    """Return outcomes, a model's scores, centres and a baseline's scores, correlated by a half."""
    y, model, names = _binormal_centres(rng, areas)
    noise = model - y * np.sqrt(2) * norm.ppf(areas[[int(name.removeprefix("centre ")) for name in names]])
    baseline = y * np.sqrt(2) * norm.ppf(BASELINE_AREA) + noise / 2 + np.sqrt(0.75) * rng.normal(size=len(y))
    return y, model, names, baseline


def external_intervals(name: str, truth: Mapping[str, float], n: int, seed: int) -> Events:
    """Tell which intervals of a validation elsewhere hold the truth, and whether it contradicts the model."""
    y, probability = _external_patients(name, n, np.random.default_rng(seed))
    performance = external_performance(y, probability, "other", np.full(n, "other", dtype=object))
    intervals: dict[str, Estimate] = {quantity: getattr(performance, quantity) for quantity in truth}
    return {
        quantity.replace("_", " "): not (estimate.low > truth[quantity] or estimate.high < truth[quantity])
        for quantity, estimate in intervals.items()
        if estimate.low is not None and estimate.high is not None
    } | {"contradicted": bool(contradictions(performance))}


def _external_patients(name: str, n: int, rng: np.random.Generator) -> tuple[Vector, Vector]:
    intercept, slope = CELLS[name]
    log_odds = rng.normal(-0.4, 0.8, n)
    return (rng.random(n) < special.expit(intercept + slope * log_odds)).astype(float), special.expit(log_odds)


def _truth(name: str) -> dict[str, float]:
    """Return the quantities of 400,000 patients."""
    y, probability = _external_patients(name, 400_000, np.random.default_rng(0))
    calibration = calibration_by_centre(y, probability, np.full(len(y), "", dtype=object))[""]
    assert calibration.intercept is not None
    return {
        "auroc": float(auroc(y, probability)[0]),
        "brier": float(brier_score(y, probability)[0]),
        "brier_difference": float(brier_score(y, probability)[0] - y.mean() * (1 - y.mean())),
        "in_the_large": calibration.in_the_large,
        "intercept": calibration.intercept.value,
        "slope": CELLS[name][1],
    }


def permutation_tests(scenario: Scenario, seed: int) -> Events:
    """Tell whether the test of permuted outcomes and the conditional one reject."""
    table = simulated_studies(scenario, seed)
    y, rows = outcome_vector(table, "objective_response"), np.arange(len(table))
    held_out = validate(table, y, CONFIG, _folds(table, y), workers=Threads(1))["elastic_net"].held_out
    scores = gather_scores(table, y, held_out, "loco")
    observed, events = scores.mean_auroc(scores.probability), {}
    for name, nulls_of in (("outcomes permuted", permutation_nulls), ("conditional", conditional_nulls)):
        permutations = Permutations(PERMUTATIONS, seed, Threads(1), on_step=lambda: None)
        nulls = nulls_of(table, y, [(CONFIG, rows)], _folds, permutations)
        events[name] = compare_with_null(nulls["elastic_net", CONFIG.blocks].values, observed).p <= LEVEL
    return events


def _folds(table: FeatureTable, y: Vector) -> list[Fold]:
    return main_folds(table, y, CONFIG.n_folds, seed=0)


def simulated_studies(scenario: Scenario, seed: int) -> FeatureTable:
    """Return the patients of several studies, 40% of whom respond."""
    rng, n = np.random.default_rng(seed), STUDIES * PATIENTS
    studies = np.repeat([f"study {i}" for i in range(STUDIES)], PATIENTS)
    y = rng.permutation(np.arange(n) % 5 < 2)
    rows = pd.DataFrame({"cohort": studies, "centre": studies, "patient": np.arange(n).astype(str)})
    rows["objective_response"] = y
    covariates = rng.normal(size=(n, 2)) + scenario.covariates * np.outer(y, [1, 0])
    shift = scenario.taxa * y + scenario.shared * covariates[:, 0]
    abundances = np.exp(rng.normal(size=(n, 6)) + np.outer(shift, [1, 0, 0, 0, 0, -1]))
    return FeatureTable(
        rows=rows,
        taxa=Block(tuple("abcdef"), abundances / abundances.sum(axis=1, keepdims=True)),
        immune=Block((), np.empty((n, 0))),
        clinical=Block(("age", "bmi"), covariates),
        technical=Block((), np.empty((n, 0))),
        units={},
        cohorts={},
        notes=(),
    )


def _print_rates(title: str, simulations: Mapping[str, tuple[Callable[[int], Events], int]]) -> None:
    """Print, for each simulation, the share of its data sets in which each event happened."""
    rates: dict[str, pd.DataFrame] = {}
    for name, (simulate, n) in simulations.items():
        results = Parallel(-1, return_as="generator")(delayed(simulate)(seed) for seed in range(n))
        rates[name] = pd.DataFrame(tqdm(results, name, n, file=sys.stderr))
    columns = [str(column) for column in next(iter(rates.values()))]
    print(f"## {title}\n")
    lines = [
        f"| {name} | {len(events)} | {' | '.join(_share(events[column].dropna()) for column in columns)} |"
        for name, events in rates.items()
    ]
    print_table("simulated|data sets|" + "|".join(columns), lines)


def _share(events: pd.Series[bool]) -> str:
    interval = binomtest(int(events.sum()), len(events)).proportion_ci(method="wilson")
    return f"{100 * events.mean():.1f} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def _print_times() -> None:
    """Print the processor time of one validation by averaging every candidate, and by selecting one."""
    table = simulated_studies(SCENARIOS[-1], 0)
    y, lines = outcome_vector(table, "objective_response"), []
    all_representations = replace(CONFIG, representations=("clr", "presence", "rank"))
    configs = {
        "average": replace(all_representations, selection="average"),
        "one candidate by inner validation": replace(all_representations, selection="inner"),
    }
    for name, config in configs.items():
        # The first fit compiles.
        validate(table, y, config, _folds(table, y), workers=Threads(1))
        start = time.process_time()
        validate(table, y, config, _folds(table, y), workers=Threads(1))
        lines.append(f"| {name} | {time.process_time() - start:.2f} |")
    print("## Cost\n\nThree studies of 40, each held out in turn, three representations.\n")
    print_table("pipeline|processor seconds", lines)


if __name__ == "__main__":
    main()
