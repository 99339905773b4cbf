"""The section of several trials: donor-specific convergence pooled by random effects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from training.study.analysis.pooled_convergence import TrialConvergence, pooled_convergence
from training.study.figures.forest import forest_figure
from training.study.section import ReportTable, Section, join_topics, write_topic
from training.study.sections.donors import EXCHANGED
from training.study.sections.rows import Row, interval_cells


def pooled_section(cohorts: Sequence[Cohort], windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the convergence on donors of several trials; parameters as of `pooled_convergence`."""
    results = pooled_convergence(cohorts, windows)
    pooled = results.pooled
    numbers = {"donor_approach": pooled.mean, "tau2": pooled.tau2, "i2": pooled.i2}
    topic = write_topic(
        "pooled/convergence",
        results,
        figures={"forest": partial(forest_figure, results)} if results.trials else None,
        tables={"trials": ReportTable(pd.DataFrame([_trial_row(trial) for trial in results.trials]))}
        if results.trials
        else None,
        metrics={name: number for name, number in numbers.items() if number is not None},
    )
    return join_topics("pooled", "Convergence on donors, over trials", [topic])


def _trial_row(trial: TrialConvergence) -> Row:
    return {
        "trial": trial.trial,
        "window": trial.window,
        "recipients": trial.recipients,
        "donors": trial.donors,
        **interval_cells("difference", trial.estimate),
        "p, whole donors exchanged": trial.p,
        EXCHANGED: trial.exchanged_p,
    }
