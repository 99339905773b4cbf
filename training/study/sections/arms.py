"""The section of the arms: response, survival and adverse events with FMT and in the controls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from features.cohort import Cohort
from features.outcomes import DAYS_PER_MONTH
from features.trajectories import WINDOWS, Window
from training.study.analysis.arm_comparison import ArmComparison, RateByArm, SurvivalByArm, arm_comparison
from training.study.analysis.arm_levels import LevelByArm, LevelsByArm, levels_by_arm
from training.study.analysis.arm_variants import ArmVariant
from training.study.analysis.effect_variation import EffectVariation, effect_variation
from training.study.codes import patient_codes
from training.study.figures.arms import arms_figure, levels_figure
from training.study.formatting import initial_capital
from training.study.labels import outcome_label, stool_measure_label
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import Row, interval_cells, month_rows

SHARES = tuple(
    f"{name}{limit}" for name in ("FMT + ICI", "control", "difference") for limit in ("", ", 95% low", ", 95% high")
)
"""Columns that are shown in percent."""


def arms_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the comparison of arms: empty, with what is missing, where the cohort states no arms with a control.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    codes = patient_codes(cohort)
    comparison = arm_comparison(cohort, codes)
    if comparison is None:
        return join_topics("arms", "Arms", [write_topic("arms/missing", cohort)])
    variation, levels = effect_variation(cohort, codes), levels_by_arm(cohort, windows)
    return join_topics("arms", "Arms", [_outcomes(comparison), _variation(variation), _levels(levels)])


def _outcomes(comparison: ArmComparison) -> Topic:
    """Return response, survival and adverse events by arm."""
    rates = {initial_capital(outcome_label(outcome)): rate for outcome, rate in comparison.response.items()}
    events = {f"Adverse event, grade {grade} or above": rate for grade, rate in comparison.adverse_events.items()}
    tables = {}
    if rates or events:
        rows = [_rate_row(name, rate) for name, rate in (rates | events).items()]
        tables["arm_rates"] = ReportTable(pd.DataFrame(rows), SHARES)
    if comparison.survival:
        survival = [_survival_row(row) for row in comparison.survival]
        tables["arm_survival"] = ReportTable(pd.DataFrame(survival))
        months = [
            row
            for outcome in comparison.survival
            for arm, side in (("FMT + ICI", outcome.treated), ("control", outcome.control))
            for row in month_rows(side, arm=arm)
        ]
        tables["arm_survival_at"] = ReportTable(pd.DataFrame(months), ("share", "95% low", "95% high"))
    if comparison.variants:
        tables["arm_analyses"] = ReportTable(pd.DataFrame([_variant_row(variant) for variant in comparison.variants]))
    figures = {"arm_survival": partial(arms_figure, comparison)} if comparison.survival else {}
    return write_topic("arms/comparison", comparison, figures=figures, tables=tables, metrics=_metrics(comparison))


def _variation(variation: EffectVariation) -> Topic:
    """Return the test of variation of the effect, after the average effect."""
    if variation.p is None or variation.z is None:
        return write_topic("arms/variation", variation)
    table = pd.DataFrame({"covariate": list(variation.z), "z": list(variation.z.values())})
    tables = {"arm_variation": ReportTable(table)}
    return write_topic("arms/variation", variation, tables=tables, metrics={"effect_variation_p": variation.p})


def _levels(levels: LevelsByArm) -> Topic:
    """Return cytokines, diversity and distance to donors by arm."""
    tables = {}
    if levels.analytes:
        tables["arm_analytes"] = ReportTable(pd.DataFrame([_analyte_row(level) for level in levels.analytes]))
    if levels.stool:
        rows = [_stool_row(level, counts=levels.counts) for level in levels.stool]
        tables["arm_stool"] = ReportTable(pd.DataFrame(rows))
    figures = {"arm_analytes": partial(levels_figure, levels.analytes)} if levels.analytes else {}
    metrics = {"levels_changed": float(len(levels.significant))}
    return write_topic("arms/levels", levels, figures=figures, tables=tables, metrics=metrics)


def _analyte_row(level: LevelByArm) -> Row:
    ratio = {
        "ratio": 2**level.difference.value,
        "95% low": 2**level.difference.low,
        "95% high": 2**level.difference.high,
    }
    return {
        "analyte": level.measure,
        "window": level.window,
        **_arm_counts(level),
        **ratio,
        "df": level.degrees_of_freedom,
        "p": level.p,
        "q": level.q,
    }


def _stool_row(level: LevelByArm, *, counts: bool) -> Row:
    return {
        "": stool_measure_label(level.measure, counts),
        "window": level.window,
        **_arm_counts(level),
        **interval_cells("difference", level.difference),
        "df": level.degrees_of_freedom,
        "p": level.p,
        "q": level.q,
    }


def _arm_counts(level: LevelByArm) -> Row:
    return {"FMT + ICI": level.n_treated, "donors": level.n_clusters, "control": level.n_control}


def _rate_row(name: str, rate: RateByArm) -> Row:
    return {
        "patients with": name,
        "FMT + ICI, patients": f"{rate.treated.events} of {rate.treated.n}",
        **interval_cells("FMT + ICI", rate.treated, "FMT + ICI, "),
        "control, patients": f"{rate.control.events} of {rate.control.n}",
        **interval_cells("control", rate.control, "control, "),
        **interval_cells("difference", rate.difference.difference, "difference, "),
        "p": rate.difference.p,
    }


def _variant_row(variant: ArmVariant) -> Row:
    return {
        "outcome": initial_capital(outcome_label(variant.outcome)),
        "analysis": variant.analysis,
        "FMT + ICI": variant.n_treated,
        "control": variant.n_control,
        "estimate of": variant.estimand,
        **interval_cells("estimate", variant.estimate),
        "p": variant.p,
    }


def _survival_row(survival: SurvivalByArm) -> Row:
    mean = survival.restricted_mean
    return {
        "outcome": initial_capital(outcome_label(survival.outcome)),
        "events, FMT + ICI": f"{survival.treated.events} of {survival.treated.n}",
        "events, control": f"{survival.control.events} of {survival.control.n}",
        **interval_cells("hazard ratio", survival.hazard_ratio),
        "log-rank p": survival.log_rank.p,
        "by": survival.log_rank.method,
        "restricted mean, months more": mean.difference.value / DAYS_PER_MONTH,
        "restricted mean, 95% low": mean.difference.low / DAYS_PER_MONTH,
        "restricted mean, 95% high": mean.difference.high / DAYS_PER_MONTH,
        "up to month": mean.horizon / DAYS_PER_MONTH,
    }


def _metrics(comparison: ArmComparison) -> dict[str, float]:
    metrics = {f"{survival.outcome}_hazard_ratio": survival.hazard_ratio.value for survival in comparison.survival}
    for outcome, rate in comparison.response.items():
        metrics[f"{outcome}_difference"] = rate.difference.difference.value
    return metrics
