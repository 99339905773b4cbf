"""What a section of the study hands to the report."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure at print size.

    Attributes
    ----------
    caption : str
        What it shows, of how many, and how to read it; plain text.
    figure : matplotlib.figure.Figure
        Drawn under `training.drawing.STYLE`.
    """

    caption: str
    figure: Figure


@dataclass(frozen=True)
class Listing:
    """A table.

    Attributes
    ----------
    caption : str
    frame : pandas.DataFrame
        Typed values under headings a reader understands; no index. Patients stand as P1, P2 ..., in the cohort's order.
    """

    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Section:
    """One section of a study's report.

    Attributes
    ----------
    name : str
        Short, for file names: `safety`.
    title : str
    lead : tuple of str
        What was found, in sentences with numbers, intervals and n; and what it cannot show.
    drawings : dict of str to Drawing
        By file name without suffix.
    listings : dict of str to Listing
        By file name without suffix.
    notes : tuple of str
        For each number its method, test, n and interval, so that a reviewer can check it.
    methods : tuple of str
        Sentences for the paper's methods paragraph, with their sources.
    missing : tuple of str
        What is not shown, and which data it would take.
    metrics : dict of str to float
        What MLflow shows in columns.
    """

    name: str
    title: str
    lead: tuple[str, ...] = ()
    drawings: dict[str, Drawing] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
