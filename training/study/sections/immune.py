"""The section of immune trajectories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from features.analytes import LOG2_UNITS
from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from training.study.analysis.immune import ImmuneAbsence, ImmuneResults, analyse_immune
from training.study.analysis.immune_changes import LevelEffect
from training.study.analysis.immune_peaks import PeakSummary, Spread, summarise_peaks
from training.study.figures.immune import changes_figure, trajectories_figure
from training.study.section import Part, ReportFigure, ReportTable, Section, join_parts, write_part
from training.study.sections.frames import results_frame
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
    parts = [write_part("immune/missing", results)] if isinstance(results, ImmuneAbsence) else _parts(results)
    return join_parts("immune", "Immune trajectories", parts)


def _parts(results: ImmuneResults) -> Iterator[Part]:
    yield _trajectories(results)
    yield _changes(results)
    if results.patterns is not None:
        columns = {
            "analyte": "analyte", "patients": "patients", "rising": "rose", "falling": "fell",
            "above_baseline": "above", "p": "p", "q": "q",
        }  # fmt: skip
        table = ReportTable(results_frame(results.patterns, columns))
        yield write_part("immune/pattern", results, tables={"pattern": table} if results.patterns else None)
    if results.peaks:
        yield _peaks(results)
    if results.trends:
        columns = {
            "analyte": "analyte", "patients": "patients", "change": "fold change", "low": "low", "high": "high",
            "confidence": "confidence", "p": "p", "q": "q",
        }  # fmt: skip
        table = ReportTable(_fold_changes(results.trends, columns))
        yield write_part("immune/trends", results, tables={"trend": table})
    yield write_part("immune/attribution", results)


def _trajectories(results: ImmuneResults) -> Part:
    pages = [results.analytes[start : start + PANELS] for start in range(0, len(results.analytes), PANELS)]
    figures = {
        f"trajectories{f'_{number}' if number > 1 else ''}": partial(trajectories_figure, results, page)
        for number, page in enumerate(pages, 1)
    }
    part = write_part(
        "immune/trajectories",
        results,
        tables={"levels": ReportTable(_level_frame(results), supplementary=True)},
        metrics={"analytes": float(results.draws.analytes), "undetected": float(len(results.censored))},
    )
    caption = write_captions("immune/trajectories", results, ["figure_trajectories"])["figure_trajectories"]
    return replace(part, figures={name: ReportFigure(caption, figure) for name, figure in figures.items()})


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


def _changes(results: ImmuneResults) -> Part:
    changes = results.changes
    plotted = [change for change in changes if results.dated or change.patients >= MIN_VISIT_PATIENTS]
    columns = {
        "analyte": "analyte", "window": "window", "patients": "patients", "undetected": "undetected",
        "change": "fold change", "low": "low", "high": "high", "confidence": "confidence", "p": "p",
        "method": "method", "q": "q",
    }  # fmt: skip
    rows = changes if results.dated else sorted(changes, key=lambda change: change.p)
    return write_part(
        "immune/changes",
        results,
        figures={"changes": partial(changes_figure, plotted)} if plotted else None,
        tables={"changes": ReportTable(_fold_changes(rows, columns))} if changes else None,
        metrics={"changed": float(results.changed_analytes)},
    )


def _fold_changes(results: Sequence[LevelEffect], columns: dict[str, str]) -> pd.DataFrame:
    """Return log2 changes as fold changes, with an interval where it attains a confidence worth one."""
    frame = results_frame(results, columns)
    has_interval = np.array([result.has_interval for result in results], dtype=bool)
    limits = {name: (2 ** frame[name]).where(has_interval) for name in ("low", "high")}
    return frame.assign(**{"fold change": 2 ** frame["fold change"]}, **limits)


def _peaks(results: ImmuneResults) -> Part:
    peaks = results_frame(
        results.peaks,
        {
            "analyte": "analyte",
            "patient": "patient",
            "draws": "draws",
            "height": "peak",
            "day": "day",
            "slope": "slope",
        },
    )
    peaks = peaks.assign(patient=peaks["patient"].map(dict(results.codes)), peak=2 ** peaks["peak"])
    tests = results_frame(
        results.falls, {"analyte": "analyte", "slope": "slope", "shuffled": "shuffled", "p": "p", "q": "q"}
    )
    summaries = pd.DataFrame([_summary_row(summary) for summary in summarise_peaks(results.peaks)])
    return write_part(
        "immune/peaks",
        results,
        tables={
            "peaks": ReportTable(peaks, supplementary=True),
            "falls": ReportTable(summaries.merge(tests, "left", "analyte")),
        },
    )


def _summary_row(summary: PeakSummary) -> dict[str, str | int]:
    return {
        "analyte": summary.analyte,
        "patients": summary.patients,
        "peak": "" if summary.fold is None else _spread_text(summary.fold, ".3g"),
        "day of peak": _spread_text(summary.day, "g"),
    }


def _spread_text(spread: Spread, spec: str) -> str:
    return f"{spread.median:{spec}} ({spread.low:{spec}} to {spread.high:{spec}})"
