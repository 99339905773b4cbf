"""The terminal: reports on standard output, progress on standard error."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from training.progress import Progress

WIDTH = 120
"""Columns of a report that is written to a file or a pipe, which has no width of its own."""


def show(report: Iterable[RenderableType]) -> None:
    """Print a report: tables fit the terminal, lines are left whole so that they can be copied and searched."""
    console = _console(stderr=False)
    for part in report:
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str | Text))


def table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    """Return an empty table with these columns, of which those that hold numbers are aligned to the right."""
    empty = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numeric = set(numbers)
    for column in columns:
        empty.add_column(column, justify="right" if column in numeric else "left")
    return empty


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Return facts under each other, each beside its name."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, fact in rows:
        grid.add_row(f"  {name}", Text(fact))
    return grid


def bars() -> Progress:
    """Return progress drawn as bars on standard error, one for each step of a long command."""
    steps: list[Bars] = []

    def begin(name: str, parts: int) -> None:
        for step in steps:
            step.stop()
        step = Bars(
            TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=_console(stderr=True),
        )  # fmt: skip
        step.add_task(name, total=parts)
        step.start()
        steps[:] = [step]

    def advance() -> None:
        (step,) = steps
        step.advance(step.task_ids[0])
        if step.finished:
            step.stop()

    return Progress(begin, advance)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=WIDTH)
