"""Eligibility: the cohorts, patients and sets of blocks that an experiment may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from features.arrays import Mask
from features.cohort import Cohort
from features.columns import Column
from features.errors import OutcomeError
from features.feature_table import FeatureTable
from features.label_reading import exclusion_reason
from features.outcomes import definition_of, is_toxicity
from models.evidence import IncompleteCohort
from training.validation.folds import outcome_vector

FEWEST_OF_EACH_CLASS_TO_TRAIN = 10
"""Patients with the outcome, and without, below which a set of blocks is not trained on."""
COMPARABLE_SHARE = 0.8
"""Share of the largest set's patients below which a set of blocks is not comparable: it is tested on other patients."""

BlockSets = tuple[list[tuple[str, ...]], list[str]]
"""Sets of blocks to train on, and why others are skipped."""


def require_definition(cohorts: Sequence[Cohort], outcome: str) -> None:
    """Raise OutcomeError unless every cohort defines the outcome; the message gives each cohort's reason."""
    reasons = [
        exclusion_reason(cohort.manifest, outcome)
        for cohort in cohorts
        if outcome not in cohort.labels.reported_outcomes
    ]
    if reasons:
        raise OutcomeError(
            f"{outcome} ({definition_of(outcome)}) is not defined for every cohort: {'; '.join(reasons)}"
        )


def require_one_definition(cohorts: Sequence[Cohort], outcome: str, pool_labels: bool) -> None:
    """Raise OutcomeError if published labels of different meaning would be pooled without `pool_labels`."""
    if outcome == "published_response" and len(cohorts) > 1 and not pool_labels:
        raise OutcomeError(
            "published_response has another definition in each cohort (some count stable disease, some do not); "
            "choose objective_response or disease_control, or add --pool-labels to pool them all the same"
        )


def require_dated_events(cohorts: Sequence[Cohort], outcome: str, by_day: float | None) -> None:
    """Raise OutcomeError if events should count by a day, and none are counted or a cohort does not date them."""
    if by_day is None:
        return
    if not is_toxicity(outcome):
        raise OutcomeError(f"{outcome}: adverse events alone count by a day, so that it changes nothing; omit --by-day")
    undated = [cohort.name for cohort in cohorts if outcome in cohort.labels.label_by_outcome]
    if undated:
        raise OutcomeError(
            f"{definition_of(outcome, by_day)}: {', '.join(undated)} reports a flag without days; name cohorts with a "
            "table of dated events"
        )


def eligible_rows(table: FeatureTable, outcome: str) -> tuple[FeatureTable, list[str]]:
    """Return the rows at risk with a known outcome, and a note for each cohort that counts the excluded patients."""
    label, at_risk = table.rows[outcome], table.rows[f"at_risk_{outcome}"]
    past = at_risk == "no"
    unknown = label.isna() & ~past
    notes = []
    for name in table.cohorts:
        cohort = table.rows["cohort"] == name
        if (at_risk[cohort] != "unknown").any():
            early_events = f"{(past & cohort).sum()} with an event on or before the landmark"
        else:
            early_events = "events on or before the landmark not checkable"
        notes.append(
            f"{name}: {cohort.sum()} patients with stool; excluded: {(unknown & cohort).sum()} with unknown outcome, "
            f"{early_events}"
        )
    return table.take((~past & ~unknown).to_numpy(dtype=bool)), notes


def complete_rows(table: FeatureTable, blocks: Sequence[str]) -> Mask:
    """Return which rows have every one of the blocks, (n_rows,)."""
    return np.asarray(np.logical_and.reduce([table.block(block).measured_rows for block in blocks]))


def incomplete_cohorts(table: FeatureTable, blocks: Sequence[str]) -> tuple[IncompleteCohort, ...]:
    """Return the cohorts of which rows lack one of the blocks, with the columns that would have to be measured."""
    complete, cohorts = complete_rows(table, blocks), []
    for name in table.cohorts:
        is_cohort = (table.rows["cohort"] == name).to_numpy(dtype=bool)
        excluded = is_cohort & ~complete
        if not excluded.any():
            continue
        lacking = [block for block in blocks if not table.block(block).measured_rows[excluded].all()]
        columns = dict.fromkeys(
            Column.from_name(block, column).field for block in lacking for column in table.block(block).names
        )
        cohorts.append(
            IncompleteCohort(name, int(is_cohort.sum()), int(excluded.sum()), tuple(lacking), tuple(columns))
        )
    return tuple(cohorts)


def block_sets(table: FeatureTable, outcome: str, blocks: Sequence[str]) -> BlockSets:
    """Return the sets of blocks with enough patients of each class who have all of them.

    Raises
    ------
    OutcomeError
        No set has enough patients.
    """
    y = outcome_vector(table, outcome)

    def shortage(complete: Mask) -> str | None:
        n_events, n_without = int(y[complete].sum()), int((1 - y[complete]).sum())
        if min(n_events, n_without) >= FEWEST_OF_EACH_CLASS_TO_TRAIN:
            return None
        return (
            f"{n_events} patients with the outcome and {n_without} without have all of it; at least "
            f"{FEWEST_OF_EACH_CLASS_TO_TRAIN} of each are needed"
        )

    return choose_block_sets(table, outcome, blocks, shortage)


def choose_block_sets(
    table: FeatureTable, outcome: str, blocks: Sequence[str], shortage: Callable[[Mask], str | None]
) -> BlockSets:
    """Return every set of blocks whose complete rows suffice, smaller sets first.

    Parameters
    ----------
    table : FeatureTable
    outcome : str
    blocks : sequence of str
    shortage : callable
        Takes the mask of complete rows and returns what they lack, None where they suffice.

    Raises
    ------
    OutcomeError
        No set suffices.
    """
    sets, skipped = [], []
    for size in range(1, len(blocks) + 1):
        for subset in combinations(blocks, size):
            reason = shortage(complete_rows(table, subset))
            if reason is None:
                sets.append(subset)
            else:
                skipped.append(f"{'+'.join(subset)}: not trained, {reason}")
    if not sets:
        raise OutcomeError(f"{outcome}: too few patients to train on. {'; '.join(skipped)}")
    return sets, skipped
