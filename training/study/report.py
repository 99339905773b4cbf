"""A study's report: a page that needs no other file, its figures and its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from features.audit import Finding
from features.cohort import Cohort
from training.drawing import STYLE, write_figure
from training.study.page import pooled_page, report_page
from training.study.section import ReportFigure, Section


def write_report(
    folder: Path,
    cohort: Cohort,
    findings: Sequence[Finding],
    sections: Sequence[Section],
    run_id: str,
    on_figure_done: Callable[[], object] = lambda: None,
) -> None:
    """Write `report.html`, `figures` as SVG and PNG, and `tables` as CSV.

    Files are named by section: `figures/patients_swimmer.svg`. Files and page name patients only by code, unless a free
    text of the cohort names them, such as a drug's name or a reason.

    Parameters
    ----------
    folder : Path
        An existing folder.
    cohort, findings, sections, run_id
        As of `report_page`.
    on_figure_done : callable
        Called after each figure.
    """
    svgs = _write_files(folder, sections, simulated=cohort.manifest.simulated, on_figure_done=on_figure_done)
    page = report_page(cohort, findings, sections, svgs, run_id)
    (folder / "report.html").write_text(page, encoding="utf-8")


def write_pooled_report(
    folder: Path, names: Sequence[str], sections: Sequence[Section], run_id: str, *, simulated: bool
) -> None:
    """Write the report of several trials, with the files of `write_report`."""
    svgs = _write_files(folder, sections, simulated=simulated)
    page = pooled_page(names, sections, svgs, run_id, simulated=simulated)
    (folder / "report.html").write_text(page, encoding="utf-8")


def _write_files(
    folder: Path,
    sections: Sequence[Section],
    *,
    simulated: bool,
    on_figure_done: Callable[[], object] = lambda: None,
) -> dict[str, str]:
    """Write the figures and tables of sections, and return the SVG of each figure."""
    figures, tables = folder / "figures", folder / "tables"
    figures.mkdir()
    tables.mkdir()
    svgs = {}
    for section in sections:
        for name, figure in section.figures.items():
            file_name = f"{section.name}_{name}"
            svgs[file_name] = _write_figure(figures, file_name, figure, simulated=simulated)
            on_figure_done()
        for name, table in section.tables.items():
            table.frame.to_csv(tables / f"{section.name}_{name}.csv", index=False)
    return svgs


def _write_figure(folder: Path, name: str, figure: ReportFigure, *, simulated: bool) -> str:
    with mpl.rc_context(STYLE):
        drawing = figure.draw()
        if simulated:
            mark_simulated(drawing)
        return write_figure(folder, name, drawing)


def mark_simulated(figure: Figure) -> None:
    """Write on a figure that its data are simulated, since a figure may leave its report."""
    figure.suptitle("SIMULATED DATA", fontsize=8, x=0.01, ha="left")
