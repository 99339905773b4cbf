"""Validation: nested cross-validation by patient, and leave-one-cohort-out, with everything fitted inside the fold.

Every fold needs the same thing: a grid fitted to some training rows, and the log-odds of other rows. Leaving cohort A
out, and then B inside it, trains on the same rows as leaving B out, and then A. So the work is planned by training
rows, each set of them done once, side by side, and what a fold chooses is put together from it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.analytes import CensoredPolicy
from features.landmark import FeatureTable
from models.calibration import Calibration
from models.encoder import BlockEncoder, Representation
from models.families import FAMILIES, LinearPredictor, Predictor
from training.validation.splits import (
    Split,
    inner_splits,
    left_out_cohorts,
    left_out_together,
    patient_folds,
    patient_groups,
    strata,
)
from training.validation.stacking import cross_chosen, level, stacking_weights, stratified_losses, within_spread

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """What is fitted: each family to the blocks, the taxa in whichever representation inner validation prefers.

    Attributes
    ----------
    families, blocks : tuple of str
    representations : tuple of str
    min_prevalence, censored
        As `models.encoder.BlockEncoder` takes them.
    n_folds : int
        Of inner validation by patient.
    seed : int
    """

    families: tuple[str, ...]
    blocks: tuple[str, ...]
    representations: tuple[Representation, ...] = ("clr",)
    min_prevalence: float = 0.1
    censored: CensoredPolicy = "half_limit"
    n_folds: int = 5
    seed: int = 0

    def parts(self, family: str) -> list[tuple[str, ...]]:
        """Return the sets of blocks that a family fits, whose log-odds are added up."""
        return [(block,) for block in self.blocks] if FAMILIES[family].by_block else [self.blocks]

    def candidates(self, family: str, part: tuple[str, ...]) -> list[tuple[Representation, dict[str, Any]]]:
        """Return what inner validation chooses from for one part."""
        shapes = self.representations if "taxa" in part else self.representations[:1]
        return [(shape, setting) for shape in shapes for setting in FAMILIES[family].settings]

    def encoder(self, blocks: tuple[str, ...], representation: Representation) -> BlockEncoder:
        """Return an unfitted encoder."""
        return BlockEncoder(blocks, representation, self.min_prevalence, self.censored)


@dataclass(frozen=True)
class Fold:
    """Rows left out together.

    Attributes
    ----------
    scheme : {"cv", "loco"}
    name : str
        The repeat and fold, or the cohort left out.
    repeat : int
    train, test : ndarray of int
        Positions in the table.
    """

    scheme: str
    name: str
    repeat: int
    train: Positions
    test: Positions


@dataclass(frozen=True)
class Choice:
    """What inner validation settled, from the training rows alone.

    Attributes
    ----------
    candidates : tuple of int
        The candidate chosen for each part.
    weights : ndarray, (n_parts,)
        Each part's weight in the sum of log-odds.
    calibration : Calibration
        How much of the sum is believed, and the level at which the training rows' probabilities are right on average.
    y, margin : ndarray, (n_calibration,)
        Outcomes of the training rows, and their weighted inner left-out log-odds.
    """

    candidates: tuple[int, ...]
    weights: Vector
    calibration: Calibration
    y: Vector
    margin: Vector


@dataclass(frozen=True)
class LeftOut:
    """One family's predictions for the rows of one fold, none of which it had seen.

    Attributes
    ----------
    fold : Fold
    margin, probability : ndarray, (n_test,)
        Log-odds counted from the training rows' average, so that folds compare, and calibrated probabilities.
    choice : Choice
    """

    fold: Fold
    margin: Vector
    probability: Vector
    choice: Choice


@dataclass(frozen=True)
class Fit:
    """One family fitted to all rows given, tuned and calibrated on inner left-out rows.

    Attributes
    ----------
    encoder : BlockEncoder
    predictor : Predictor
    calibration : Calibration
    setting : dict
        What inner validation chose, and each part's weight.
    y, margin : ndarray, (n_calibration,)
        Outcomes and inner left-out log-odds that the calibration was learnt on, on the predictor's scale.
    """

    encoder: BlockEncoder
    predictor: Predictor
    calibration: Calibration
    setting: dict[str, Any]
    y: Vector
    margin: Vector


@dataclass(frozen=True)
class Validated:
    """One family's left-out predictions, and its fit to all rows where that was asked for."""

    left_out: list[LeftOut]
    fit: Fit | None


def outcome_vector(table: FeatureTable, outcome: str) -> Vector:
    """Return 0 and 1 for a table whose labels are all known, (n_rows,)."""
    return table.rows[outcome].to_numpy(dtype=np.float64)


def folds(table: FeatureTable, y: Vector, n_folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return the outer folds: repeated cross-validation by patient, then each of several cohorts left out, repeated."""
    groups, together = patient_groups(table.rows), left_out_together(table.rows)
    found = [
        Fold("cv", f"{repeat}.{k}", repeat, train, test)
        for repeat in range(repeats)
        for k, (train, test) in enumerate(patient_folds(y, groups, n_folds, seed + repeat))
    ]
    if len(set(together)) > 1:
        found += [
            Fold("loco", name, repeat, train, test)
            for repeat in range(repeats)
            for name, (train, test) in left_out_cohorts(together, y)
        ]
    return found


def validate(
    table: FeatureTable,
    y: Vector,
    plan: Plan,
    outer: Sequence[Fold],
    *,
    refit: bool = False,
    workers: int = -1,
    begin: Callable[[int], object] = lambda jobs: None,
    done: Callable[[], object] = lambda: None,
) -> dict[str, Validated]:
    """Predict every fold's left-out rows with every family.

    Parameters
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
    plan : Plan
    outer : sequence of Fold
    refit : bool
        Whether to fit each family to all rows too.
    workers : int
        Threads; -1 is one for each core. The results are the same whatever their number.
    begin, done : callable
        Called with the number of training sets to come, and after each.

    Returns
    -------
    dict of str to Validated
        By family.
    """
    everything = np.arange(len(y))
    whole = Fold("all", "all", 0, everything, everything[:0])
    nested = [(fold, _inner(table, y, fold, plan)) for fold in (*outer, *([whole] if refit else ()))]
    needed: dict[_Key, tuple[Positions, set[int]]] = {}
    for fold, inner in nested:
        for train, test in (*inner, *([(fold.train, fold.test)] if len(fold.test) else ())):
            for family in plan.families:
                needed.setdefault(_key(plan, family, train, fold), (train, set()))[1].update(test.tolist())
    begin(len(needed))
    grids: dict[_Key, _Grid] = {}
    # Threads: the solvers let go of the interpreter, and new processes would spend seconds on imports before the first
    # fold. BLAS keeps to one thread, since training sets already take every core.
    with threadpool_limits(1, "blas"):
        jobs = (
            delayed(_grid)(table, y, plan, key.family, train, np.array(sorted(rows)), key.seed)
            for key, (train, rows) in needed.items()
        )
        for key, found in zip(needed, Parallel(workers, prefer="threads", return_as="generator")(jobs), strict=True):
            grids[key] = found
            done()
        return {family: _put_together(table, y, plan, family, nested, grids, refit) for family in plan.families}


class _Key(NamedTuple):
    """One piece of work: a family's grid, on some training rows, with a seed."""

    family: str
    train: bytes
    seed: int


_Grid = Mapping[tuple[str, ...], Matrix]
"""For each part, every candidate's log-odds, (n_candidates, n_rows); NaN for rows not asked about."""


def _inner(table: FeatureTable, y: Vector, fold: Fold, plan: Plan) -> list[Split]:
    """Return a fold's inner splits, as positions in the table."""
    rows = table.rows.iloc[fold.train]
    splits = inner_splits(rows, y[fold.train], plan.n_folds, plan.seed + fold.repeat)
    return [(fold.train[train], fold.train[test]) for train, test in splits]


def _key(plan: Plan, family: str, train: Positions, fold: Fold) -> _Key:
    seed = plan.seed + fold.repeat if FAMILIES[family].seeded else plan.seed
    return _Key(family, np.sort(train).tobytes(), seed)


def _grid(
    table: FeatureTable, y: Vector, plan: Plan, family: str, train: Positions, rows: Positions, seed: int
) -> _Grid:
    """Fit a family's whole grid to some rows, and return the log-odds of others."""
    train = np.sort(train)
    learnt, asked, groups = table.take(train), table.take(rows), strata(table.rows.iloc[train])
    found = {}
    for part in plan.parts(family):
        margins = []
        for shape in dict.fromkeys(shape for shape, _ in plan.candidates(family, part)):
            encoder = plan.encoder(part, shape)
            X, other = encoder.fit_transform(learnt), encoder.transform(asked)
            margins.append(FAMILIES[family].margins(X, y[train], groups, other, seed))
        found[part] = np.full((len(plan.candidates(family, part)), len(y)), np.nan)
        found[part][:, rows] = np.vstack(margins)
    return found


def _put_together(
    table: FeatureTable,
    y: Vector,
    plan: Plan,
    family: str,
    nested: Sequence[tuple[Fold, list[Split]]],
    grids: Mapping[_Key, _Grid],
    refit: bool,
) -> Validated:
    left_out, fitted = [], None
    for fold, inner in nested:
        choice = _choice(table, y, plan, family, fold, inner, grids)
        if not len(fold.test):
            fitted = _fit(table, y, plan, family, choice)
            continue
        outer = grids[_key(plan, family, fold.train, fold)]
        parts = [
            outer[part][candidate, fold.test]
            for part, candidate in zip(plan.parts(family), choice.candidates, strict=True)
        ]
        margin = choice.weights @ np.stack(parts)
        left_out.append(LeftOut(fold, margin, choice.calibration.probability(margin), choice))
    return Validated(left_out, fitted if refit else None)


def _choice(
    table: FeatureTable,
    y: Vector,
    plan: Plan,
    family: str,
    fold: Fold,
    inner: Iterable[Split],
    grids: Mapping[_Key, _Grid],
) -> Choice:
    """Choose each part's candidate, and how much of it to believe, by the training rows left out inside the fold."""
    inner, own = list(inner), strata(table.rows)
    rows = np.sort(np.concatenate([test for _, test in inner])) if inner else np.zeros(0, dtype=np.intp)
    place = {int(row): i for i, row in enumerate(rows)}
    groups = [np.array([place[int(row)] for row in test], dtype=np.intp) for _, test in inner]
    if not 0 < y[rows].sum() < len(rows):
        # Too few events to leave any out: the first candidates, without weight.
        parts, nothing = len(plan.parts(family)), np.zeros(0)
        prevalence = Calibration(0.0, level(y[fold.train], np.zeros(len(fold.train))))
        return Choice((0,) * parts, np.zeros(parts), prevalence, nothing, nothing)
    candidates, crossed, spreads = [], [], []
    for part in plan.parts(family):
        margins = np.empty((len(plan.candidates(family, part)), len(rows)))
        for (train, test), group in zip(inner, groups, strict=True):
            margins[:, group] = grids[_key(plan, family, train, fold)][part][:, test]
        spread = within_spread(margins, own[rows])
        best = int(np.argmin(stratified_losses(y[rows], margins, own[rows])))
        candidates.append(best)
        spreads.append(spread[best])
        crossed.append(cross_chosen(y[rows], margins / spread[:, None], own[rows], groups))
    weights, believed = stacking_weights(y[rows], np.stack(crossed), own[rows])
    margin = weights @ np.stack(crossed)
    calibration = Calibration(believed, level(y[rows], believed * margin))
    # Weighted per standard deviation, since candidates differ in scale.
    return Choice(tuple(candidates), weights / np.array(spreads), calibration, y[rows], margin)


def _fit(table: FeatureTable, y: Vector, plan: Plan, family: str, choice: Choice) -> Fit:
    """Fit each part's chosen candidate to all rows, and make one predictor of them."""
    groups, setting = strata(table.rows), dict[str, Any]()
    shape, predictors = plan.representations[0], list[Predictor]()
    for part, candidate, weight in zip(plan.parts(family), choice.candidates, choice.weights, strict=True):
        chosen, one = plan.candidates(family, part)[candidate]
        shape = chosen if "taxa" in part else shape
        prefix = f"{part[0]}." if len(plan.parts(family)) > 1 else ""
        named = {**one, "weight": round(float(weight), 4)}
        setting |= {f"{prefix}{name}": value for name, value in named.items()}
        X = plan.encoder(part, chosen).fit_transform(table)
        predictors.append(FAMILIES[family].fit(X, y, groups, one, plan.seed))
    if "taxa" in plan.blocks:
        setting["representation"] = shape
    encoder = plan.encoder(plan.blocks, shape).fit(table)
    linear = [one for one in predictors if isinstance(one, LinearPredictor)]
    if len(linear) == len(predictors):
        # Weighted and added up, linear fits are one linear fit.
        predictor = LinearPredictor(
            float(sum(weight * one.intercept for weight, one in zip(choice.weights, linear, strict=True))),
            np.concatenate([weight * one.coef for weight, one in zip(choice.weights, linear, strict=True)]),
            np.concatenate([one.mean for one in linear]),
        )
        return Fit(encoder, predictor, choice.calibration, setting, choice.y, choice.margin)
    # TreePredictor cannot be weighted; the calibration is.
    weight = float(choice.weights[0])
    margin = choice.margin / weight if weight > 0 else np.zeros_like(choice.margin)
    calibration = Calibration(weight * choice.calibration.slope, choice.calibration.intercept)
    return Fit(encoder, predictors[0], calibration, setting, choice.y, margin)


def features_used(
    table: FeatureTable, y: Vector, plan: Plan, left_out: Sequence[LeftOut], family: str
) -> Iterator[dict[tuple[str, str], float]]:
    """Yield, for each fold, the mean absolute contribution of each feature that its fit uses, by block and name."""
    for one in left_out:
        train = table.take(np.sort(one.fold.train))
        fit = _fit(train, y[np.sort(one.fold.train)], plan, family, one.choice)
        shap, _ = fit.predictor.contributions(fit.encoder.transform(train))
        size = np.abs(shap).mean(axis=0)
        yield {(f.block, f.name): float(s) for f, s in zip(fit.encoder.features_, size, strict=True) if s > 0}
