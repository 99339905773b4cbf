"""Figure of the composition of stool samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from features.arrays import Matrix, Vector
from training.drawing import COLOURS, INK, REST, WIDTH
from training.study.analysis.composition import Composition

BARS = 60
"""Most bars in a row of panels."""
TAXON_COLOURS = (
    *COLOURS[:6], "#F0E442", "#AA4499", "#88CCEE", "#882255", "#999933", "#DDCC77",
)  # fmt: skip


@dataclass(frozen=True)
class _Subject:
    """Samples of one subject: `proportions` is (n_samples, n_taxa + 1), all other taxa last."""

    code: str
    times: Vector
    proportions: Matrix


def composition_figure(composition: Composition) -> Figure:
    """Draw each sample as a stacked bar, a group of bars for each subject; donors stand in rows of their own."""
    rows = _rows(_subjects(composition))
    longest = max(_length(row) for row in rows)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.05 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    taxa = [*composition.taxa, "other"]
    colours = [*TAXON_COLOURS[: len(composition.taxa)], REST]
    for axes, row in zip(panels, rows, strict=True):
        _bars(axes, row, taxa, colours)
        _label_subjects(axes, row, mark_day_0=composition.dated)
        axes.set(xlim=(-0.8, longest - 0.8), ylim=(0, 1), yticks=(0, 1))
        axes.tick_params(axis="x", length=0)
    handles, names = panels[0].get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside right upper", fontsize=6)
    figure.supylabel("proportion", fontsize=8)
    return figure


def _subjects(composition: Composition) -> list[_Subject]:
    proportions = np.column_stack([composition.proportions, composition.remainder])
    subjects = []
    for code, group in groupby(range(len(composition.subjects)), key=composition.subjects.__getitem__):
        samples = list(group)
        subjects.append(_Subject(code, composition.times[samples], proportions[samples]))
    return subjects


def _rows(subjects: list[_Subject]) -> list[list[_Subject]]:
    """Return subjects in rows of at most `BARS` bars and gaps, patients apart from donors."""
    rows: list[list[_Subject]] = [[]]
    for subject in subjects:
        row = rows[-1]
        if row and (row[-1].code[0] != subject.code[0] or _length(row) + len(subject.times) > BARS):
            rows.append([])
        rows[-1].append(subject)
    return rows


def _length(row: list[_Subject]) -> int:
    """Return the number of bars of a row, with a gap after each subject."""
    return sum(len(subject.times) + 1 for subject in row)


def _bars(axes: Axes, row: list[_Subject], taxa: list[str], colours: list[str]) -> None:
    starts = np.cumsum([0, *(len(subject.times) + 1 for subject in row[:-1])])
    lengths = [len(subject.times) for subject in row]
    x = np.concatenate([np.arange(length) for length in lengths]) - 0.46
    x += np.repeat(starts, lengths)
    tops = np.concatenate([subject.proportions for subject in row]).cumsum(axis=1)
    bottoms = np.column_stack([np.zeros(len(tops)), tops[:, :-1]])
    # One collection for each taxon: a patch for each bar would take most of the report's time.
    for low, high, taxon, colour in zip(bottoms.T, tops.T, taxa, colours, strict=True):
        corners = [(x, low), (x, high), (x + 0.92, high), (x + 0.92, low)]
        bars = list(np.stack([np.column_stack(corner) for corner in corners], axis=1))
        axes.add_collection(PolyCollection(bars, facecolors=colour, linewidths=0, label=taxon.replace("_", " ")))


def _label_subjects(axes: Axes, row: list[_Subject], *, mark_day_0: bool) -> None:
    """Write the subjects' codes; a dotted line separates the samples up to day 0 from later ones."""
    start, ticks = 0, []
    for subject in row:
        n_before = int((subject.times <= 0).sum())
        if mark_day_0 and 0 < n_before < len(subject.times):
            axes.axvline(start + n_before - 0.5, color=INK, linewidth=0.8, linestyle=":")
        ticks.append(start + (len(subject.times) - 1) / 2)
        start += len(subject.times) + 1
    axes.set_xticks(ticks, [subject.code for subject in row], fontsize=6)
