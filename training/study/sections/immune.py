"""The section of immune trajectories."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from features.units import LOG2_UNITS
from training.statistics.sign_flip import MeanChange
from training.study.analysis.characteristics import MedianRange
from training.study.analysis.immune import ImmuneAbsence, ImmuneResults, analyse_immune
from training.study.analysis.immune_changes import LevelChange, LevelEffect, LevelTrend
from training.study.analysis.immune_pattern import PatternTest
from training.study.analysis.immune_peaks import FallAfterPeak, Peak, PeakSummary, summarise_peaks
from training.study.figures.immune import changes_figure, trajectories_figure
from training.study.section import ReportFigure, ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import Row
from training.study.sentences import write_captions

PANELS = 20
"""Analytes in one figure of trajectories."""
MIN_VISIT_PATIENTS = 5
"""Fewest patients of whom the figure shows a change at a numbered visit."""


def immune_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the section of immune trajectories.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    results = analyse_immune(cohort, windows)
    topics = [write_topic("immune/missing", results)] if isinstance(results, ImmuneAbsence) else _topics(results)
    return join_topics("immune", "Immune trajectories", topics)


def _topics(results: ImmuneResults) -> Iterator[Topic]:
    yield _trajectories(results)
    yield _changes(results)
    if results.patterns is not None:
        table = ReportTable(pd.DataFrame([_pattern_row(test) for test in results.patterns]))
        yield write_topic("immune/pattern", results, tables={"pattern": table} if results.patterns else None)
    if results.peaks:
        yield _peaks(results)
    if results.trends:
        table = ReportTable(pd.DataFrame([_trend_row(trend) for trend in results.trends]))
        yield write_topic("immune/trends", results, tables={"trend": table})
    yield write_topic("immune/attribution", results)


def _trajectories(results: ImmuneResults) -> Topic:
    pages = [results.analytes[start : start + PANELS] for start in range(0, len(results.analytes), PANELS)]
    figures = {
        f"trajectories{f'_{number}' if number > 1 else ''}": partial(trajectories_figure, results, page)
        for number, page in enumerate(pages, 1)
    }
    topic = write_topic(
        "immune/trajectories",
        results,
        tables={"levels": ReportTable(_level_frame(results), supplementary=True)},
        metrics={"analytes": float(results.draws.analytes), "undetected": float(len(results.censored))},
    )
    caption = write_captions("immune/trajectories", results, ["figure_trajectories"])["figure_trajectories"]
    return replace(topic, figures={name: ReportFigure(caption, figure) for name, figure in figures.items()})


def _level_frame(results: ImmuneResults) -> pd.DataFrame:
    levels = results.levels.reset_index()
    level = levels["log2"] if results.trajectories.unit in LOG2_UNITS else 2 ** levels["log2"]
    return pd.DataFrame(
        {
            "analyte": levels["analyte"],
            "patient": levels["patient"].map(dict(results.codes)),
            "window": [results.windows[position].name for position in levels["window"]],
            "level": level,
            "draws": levels["draws"],
            "undetected": levels["below"],
        }
    )


def _changes(results: ImmuneResults) -> Topic:
    changes = results.changes if results.dated else sorted(results.changes, key=lambda change: change.p)
    plotted = [change for change in results.changes if results.dated or change.patients >= MIN_VISIT_PATIENTS]
    table = ReportTable(pd.DataFrame([_change_row(change) for change in changes]))
    return write_topic(
        "immune/changes",
        results,
        figures={"changes": partial(changes_figure, plotted)} if plotted else None,
        tables={"changes": table} if changes else None,
        metrics={"changed": float(results.changed_analytes)},
    )


def _change_row(change: LevelChange) -> Row:
    return {
        "analyte": change.analyte,
        "window": change.window,
        "patients": change.patients,
        "undetected": change.undetected,
        **_fold_change(change),
        "p": change.p,
        "method": change.method,
        "q": change.q,
    }


def _trend_row(trend: LevelTrend) -> Row:
    return {
        "analyte": trend.analyte,
        "patients": trend.patients,
        **_fold_change(trend),
        "p": trend.p,
        "q": trend.q,
    }


def _fold_change(effect: LevelEffect) -> Row:
    """Return the cells of a log2 change as a fold change with its limits."""
    return {
        "fold change": 2**effect.change,
        "low": 2**effect.low,
        "high": 2**effect.high,
        "limits": _limits_text(effect),
    }


def _limits_text(effect: LevelEffect | MeanChange) -> str:
    return f"{100 * effect.confidence:.3g}% interval" if effect.has_interval else "range of patients"


def _pattern_row(test: PatternTest) -> Row:
    return {
        "analyte": test.analyte,
        "patients": test.patients,
        "rose": test.rising,
        "fell": test.falling,
        "above": test.above_baseline,
        **_step_cells("rise", test.rise),
        **_step_cells("fall", test.fall),
        **_step_cells("end", test.end),
        "limits": _limits_text(test.rise),
        "p": test.p,
        "q": test.q,
    }


def _step_cells(name: str, change: MeanChange) -> Row:
    """Return the cells of a mean log2 change as a fold change with its limits."""
    return {name: 2**change.estimate, f"{name}, low": 2**change.low, f"{name}, high": 2**change.high}


def _peaks(results: ImmuneResults) -> Topic:
    peaks = pd.DataFrame([_peak_row(peak, results.codes[peak.patient]) for peak in results.peaks])
    tests = {fall.analyte: fall for fall in results.falls}
    falls = [_fall_row(summary, tests.get(summary.analyte)) for summary in summarise_peaks(results.peaks)]
    return write_topic(
        "immune/peaks",
        results,
        tables={"peaks": ReportTable(peaks, supplementary=True), "falls": ReportTable(pd.DataFrame(falls))},
    )


def _peak_row(peak: Peak, code: str) -> Row:
    return {
        "analyte": peak.analyte,
        "patient": code,
        "draws": peak.draws,
        "peak": 2**peak.height,
        "day": peak.day,
        "slope": peak.slope,
    }


def _fall_row(summary: PeakSummary, fall: FallAfterPeak | None) -> Row:
    return {
        "analyte": summary.analyte,
        "patients": summary.patients,
        "peak": "" if summary.fold is None else _range_text(summary.fold, ".3g"),
        "day of peak": _range_text(summary.day, "g"),
        "slope": math.nan if fall is None else fall.slope.estimate,
        "slope, low": math.nan if fall is None else fall.slope.low,
        "slope, high": math.nan if fall is None else fall.slope.high,
        "shuffled": math.nan if fall is None else fall.shuffled,
        "p": math.nan if fall is None else fall.p,
        "q": math.nan if fall is None else fall.q,
    }


def _range_text(spread: MedianRange, spec: str) -> str:
    return f"{spread.median:{spec}} ({spread.low:{spec}} to {spread.high:{spec}})"
