"""Figure of correlations of taxa with analytes within patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from training.drawing import INK, WIDTH
from training.study.analysis.links import Link, LinkEstimate


def links_figure(links: Sequence[Link]) -> Figure:
    """Draw two heat maps of correlations: unadjusted, and beyond the common course; dots where significant."""
    taxa, analytes = sorted({link.taxon for link in links}), sorted({link.analyte for link in links})
    figure = Figure(figsize=(WIDTH, 1.4 + 0.15 * len(taxa)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)

    def heat_map(axes: Axes, title: str, estimate: Callable[[Link], LinkEstimate]) -> AxesImage:
        r, significant = np.full((len(taxa), len(analytes)), np.nan), np.zeros((len(taxa), len(analytes)), bool)
        for link in links:
            cell = taxa.index(link.taxon), analytes.index(link.analyte)
            r[cell], significant[cell] = estimate(link).r, estimate(link).significant
        image = axes.imshow(r, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        rows, columns = np.nonzero(significant)
        axes.plot(columns, rows, "o", color=INK, markersize=3)
        axes.set_xticks(range(len(analytes)), analytes, rotation=90 if len(analytes) > 4 else 0)
        axes.tick_params(length=0)
        axes.set_title(title, fontsize=8)
        return image

    heat_map(panels[0], "within patients", lambda link: link.unadjusted)
    image = heat_map(panels[1], "beyond the common course", lambda link: link.beyond_course)
    panels[0].set_yticks(range(len(taxa)), [taxon.replace("_", " ") for taxon in taxa])
    figure.colorbar(image, ax=panels, label="correlation", shrink=0.6)
    return figure
