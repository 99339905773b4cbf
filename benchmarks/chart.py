"""The chart of the benchmarks: answers a second to eight clients, by family and server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving_speed import CLIENTS, COLUMNS, TITLE
from benchmarks.tables import Table

RATE = COLUMNS.index(f"answers/s, {CLIENTS} clients")


def draw_serving(tables: Sequence[Table], path: Path) -> None:
    """Draw the rates of the table of servers, a panel for each family: a dot for the median, a line for the range."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels: dict[str, list[tuple[str, float, float, float]]] = {}
    for row in (row for table in tables if table.title == TITLE for row in table.rows if row[RATE]):
        family, _, server = str(row[0]).replace("`", "").partition(": ")
        panels.setdefault(family, []).append((server, *_rate(str(row[RATE]))))
    if not panels:
        return
    # One figure for the same numbers: neither the date nor random ids enter the file.
    with rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        n_rows = sum(map(len, panels.values()))
        figure = Figure(figsize=(8, 0.3 * n_rows + 1.6), layout="constrained")
        heights = [len(rows) for rows in panels.values()]
        all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (family, rows) in zip(all_axes, panels.items(), strict=True):
            for server, median, low, high in rows:
                colour = "tab:green" if server.startswith("Taxokine") else "tab:grey"
                axes.plot((low, high), (server, server), color=colour, linewidth=2)
                axes.plot(median, server, "o", color=colour)
                axes.annotate(f"{median:,.0f}", (high, server), (6, 0), textcoords="offset points", va="center", size=8)
            axes.set_title(family.replace("_", " "), loc="left", fontsize=10)
            axes.set(xscale="log")
            axes.margins(x=0.1, y=0.15)
            axes.invert_yaxis()
            axes.grid(axis="x", color="0.9")
            axes.spines[["top", "right"]].set_visible(False)
        all_axes[-1].set_xlabel(f"answers a second to {CLIENTS} clients: median and range of the rounds")
        figure.savefig(path, metadata={"Date": None})


def _rate(text: str) -> tuple[float, float, float]:
    """Return the median and the range that `Rounds.text` wrote."""
    median, low, high = (float(number) for number in re.findall(r"[\d.]+", text.replace(",", "")))
    return median, low, high
