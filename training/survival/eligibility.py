"""Eligibility for a time-to-event experiment: its options, cohorts, patients and sets of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix
from features.cohort import Cohort
from features.errors import InputError, OutcomeError
from features.feature_table import FeatureTable
from features.survival import (
    EVENT,
    CensoredAt,
    survival_definition,
    survival_exclusion_reason,
    time_to_event,
)
from training.experiment import Experiment
from training.experiment.eligibility import BlockSets, choose_block_sets
from training.statistics.survival_families import SURVIVAL_FAMILIES

FEWEST_EVENTS = 10
"""Events below which a set of blocks is not trained on."""
UNUSED_OPTIONS: Mapping[str, str] = {
    "families": f"time to event has its own families, {' and '.join(SURVIVAL_FAMILIES)}, and fits all of them",
    "by_day": "every event counts at its time",
    "pool_labels": "dates need no labels",
    "selection": "times are predicted by the variant that inner validation selects",
    "permutations": "no model is refitted to permuted outcomes, and none is promoted",
}
"""Options of an experiment that change nothing here, and why."""


def refuse_unused_options(experiment: Experiment) -> None:
    """Raise InputError for an option that changes nothing, so that no run claims it."""
    for field in fields(experiment):
        if field.name in UNUSED_OPTIONS and getattr(experiment, field.name) != field.default:
            option, reason = f"--{field.name.replace('_', '-')}", UNUSED_OPTIONS[field.name]
            raise InputError(f"{experiment.outcome}: {option} changes nothing, since {reason}; omit it")
    if len(experiment.representation) > 1:
        raise InputError("time-to-event models take one representation of the taxa; name one")


def require_dates(cohorts: Sequence[Cohort], outcome: str) -> None:
    """Raise OutcomeError unless every cohort dates the outcome; the message gives each cohort's reason."""
    all_reasons = (survival_exclusion_reason(cohort.manifest, cohort.labels, outcome) for cohort in cohorts)
    reasons = [reason for reason in all_reasons if reason]
    if reasons:
        raise OutcomeError(
            f"{outcome} ({survival_definition(outcome)}) is not dated in every cohort: {'; '.join(reasons)}"
        )


def rows_at_risk(
    cohorts: Sequence[Cohort], table: FeatureTable, outcome: str, censored_at: CensoredAt | None = None
) -> tuple[FeatureTable, Matrix, list[str]]:
    """Return the rows at risk at the landmark, their times and ends, (n_rows, 2), and a note for each cohort."""
    y, at_risk, notes = np.empty((len(table), 2)), np.zeros(len(table), dtype=bool), []
    for cohort in cohorts:
        mask = (table.rows["cohort"] == cohort.name).to_numpy()
        patients = pd.Index(table.rows["patient"][mask])
        times = time_to_event(cohort.labels, outcome, patients, table.cohorts[cohort.name].landmark, censored_at)
        y[mask], at_risk[mask] = times[["time", "event"]], times["at_risk"] == "yes"
        n_past, n_unknown = ((times["at_risk"] == status).sum() for status in ("no", "unknown"))
        notes.append(
            f"{cohort.name}: {mask.sum()} patients with stool; excluded: {n_unknown} with unknown times, {n_past} with "
            "a time that ends on or before the landmark"
        )
    return table.take(at_risk), y[at_risk], notes


def survival_block_sets(table: FeatureTable, y: Matrix, outcome: str, blocks: Sequence[str]) -> BlockSets:
    """Return the sets of blocks with enough events among the patients who have all of them.

    Raises
    ------
    OutcomeError
        No set has enough events.
    """

    def shortage(complete: Mask) -> str | None:
        events = int((y[complete, 1] == EVENT).sum())
        return None if events >= FEWEST_EVENTS else f"{events} events; at least {FEWEST_EVENTS} are needed"

    return choose_block_sets(table, outcome, blocks, shortage)
