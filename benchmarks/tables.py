"""Tables of measurements: printed as Markdown, kept as JSON."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Measurements of one kind.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple of str, float or None
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def from_lines(cls, title: str, header: str, lines: Iterable[str]) -> Table:
        """Return the table of a header, whose columns are divided by "|", and of lines of Markdown."""
        rows = (tuple(cell.strip() for cell in line.strip().strip("|").split("|")) for line in lines)
        return cls(title, tuple(header.split("|")), tuple(rows))

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        text = "\n".join(f"| {' | '.join('' if cell is None else str(cell) for cell in line)} |" for line in lines)
        return f"## {self.title}\n\n{text}\n"


@dataclass(frozen=True)
class Rounds:
    """A quantity that was measured once in each round.

    Attributes
    ----------
    median, low, high : float
        Median, smallest and largest of the rounds.
    """

    median: float
    low: float
    high: float

    @classmethod
    def from_values(cls, values: Sequence[float]) -> Rounds:
        """Return the summary of the rounds' values."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int, factor: float = 1.0) -> str:
        """Return median and range, each times a factor."""
        median, low, high = (f"{factor * value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low}–{high})"


def run_alone(measure: Callable[[], Sequence[Table]]) -> None:
    """Measure, and print the tables as Markdown, or as JSON where the command line says `--json`."""
    tables = measure()
    if "--json" in sys.argv:
        print(json.dumps([asdict(table) for table in tables]))
    else:
        print(*(table.markdown() for table in tables), sep="\n")
