"""Style of figures: one palette for colour-blind readers, one type size, the width of A4."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, PALE = "#1b1b1f", "#9a9a9a"
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
DPI = 300
"""Of figures as PNG, and of the many points that an SVG holds as an image."""
REST = "#d9d9d9"
"""Background data."""
RAISES, LOWERS = "#a84300", "#00629b"
"""Of what raises and lowers a prediction, as on the pages of the server; of nothing else."""
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#56B4E9", "#E69F00", INK)
"""Palette of Okabe and Ito."""
DONOR_COLOUR = GREEN
"""Of donors and of transplants."""
PATIENT_COLOURS = ("#332288", "#9a8c00", "#661100", "#2f7f8f", "#7f7fff")
"""Of few patients, each with a colour that has no other meaning: not that of a donor, a response or an adverse event.

To readers with protanopia or deuteranopia they differ too; means over patients are drawn in `INK`.
"""
PATIENT_MARKERS = ("o", "s", "D", "v", "P")
"""Of the same patients, for readers without colour."""
PATIENT_COLOUR = PATIENT_COLOURS[0]
"""Of many patients alike."""
WIDTH = 7.1
"""Inches: the width of A4 between its margins."""
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Text stays text in SVG: it can be searched, read aloud, and takes the page's colour.
    "svg.fonttype": "none",
    "svg.hashsalt": "taxokine",
    # A $ or _ in the name of a taxon, analyte or drug starts no formula.
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
"""For `matplotlib.rc_context`."""
_PAGE_COLOURS = {
    INK: "currentColor",
    BLUE.lower(): f"var(--blue, {BLUE})",
    REST: f"var(--rest, {REST})",
    "#ffffff": "var(--paper, #ffffff)",
    **{colour: f"var(--patient-{number}, {colour})" for number, colour in enumerate(PATIENT_COLOURS, 1)},
}
"""Colours that a page may replace with its own, as in dark mode."""


def write_figure(folder: Path, name: str, figure: Figure) -> str:
    """Write a figure as PNG and SVG, and return the SVG as `write_svg` does."""
    _lay_out(figure, FigureCanvasAgg)
    figure.savefig(folder / f"{name}.png", dpi=DPI)
    return write_svg(folder, name, figure)


def write_svg(folder: Path, name: str, figure: Figure) -> str:
    """Write a figure as SVG, and return it for a page: no prolog, and `name` before each id."""
    _lay_out(figure, FigureCanvasSVG)
    text, metadata = StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=metadata, dpi=DPI)
    (folder / f"{name}.svg").write_text(text.getvalue(), encoding="utf-8")
    svg = text.getvalue()
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg[svg.index("<svg") :])
    for colour, variable in _PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg


def _lay_out(figure: Figure, canvas: type[FigureCanvasBase]) -> None:
    """Lay a figure out, once for all files: with a layout engine, Matplotlib draws it unseen before each of them."""
    engine = figure.get_layout_engine()
    if engine is not None:
        # Text is as wide as the canvas measures it.
        canvas(figure)
        figure.set_dpi(DPI)
        engine.execute(figure)
        figure.set_layout_engine(None)
