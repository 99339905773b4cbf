"""Reports of a trial's study and of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from taxokine.terminal import table

if TYPE_CHECKING:
    from training.study.analysis.power import PowerResult
    from training.study.study import StudyResult


def study_report(study: StudyResult) -> Iterator[RenderableType]:
    """Yield where a study's report is, and what each section contains or lacks."""
    sections = table("section", "figures", "tables", "missing", numbers=("figures", "tables"))
    for section in study.sections:
        figures, tables = len(section.figures), len(section.tables)
        sections.add_row(section.title, str(figures), str(tables), "\n".join(section.missing))
    yield sections
    yield ""
    yield f"wrote {study.page}"
    yield f"run {study.run_id}; 'taxokine ui' shows it"


def plan_report(result: PowerResult, folder: Path) -> Iterator[RenderableType]:
    """Yield the number of patients that each effect requires, a sentence each, and the file of the curves."""
    from training.study.plan import plan_sentences

    yield from plan_sentences(result)
    yield ""
    yield f"wrote {folder / 'plan.svg'}"
