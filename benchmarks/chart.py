"""The chart of the benchmarks: answers a second to eight clients, by family and server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving_speed import CLIENTS, COLUMNS, TITLE
from benchmarks.tables import Table

RATE = COLUMNS.index(f"answers/s, {CLIENTS} clients")


def draw_serving(tables: Sequence[Table], path: Path) -> None:
    """Draw the median rates of the table of servers, on a logarithmic scale."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [row for table in tables if table.title == TITLE for row in table.rows if row[RATE]]
    if not rows:
        return
    names, rates = [str(row[0]).replace("`", "") for row in rows], [_median(str(row[RATE])) for row in rows]
    # One figure for the same numbers: neither the date nor random ids enter the file.
    with rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 0.32 * len(rows) + 0.9), layout="constrained")
        axes = figure.subplots()
        colours = ["tab:green" if "Taxokine" in name else "tab:grey" for name in names]
        axes.barh(names, rates, color=colours)
        for name, rate in zip(names, rates, strict=True):
            axes.text(rate * 1.05, name, f"{rate:,.0f}", va="center", fontsize=8)
        axes.set(xscale="log", xlabel=f"answers a second, {CLIENTS} clients (logarithmic scale)")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})


def _median(text: str) -> float:
    return float(text.partition(" ")[0].replace(",", ""))
