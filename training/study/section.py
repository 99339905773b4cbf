"""What a section of the study hands to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from features.cohort import Cohort


@dataclass(frozen=True)
class Drawing:
    """A figure at print size.

    Attributes
    ----------
    caption : str
        What it shows, of how many, and how to read it; plain text.
    draw : callable
        Returns the figure, drawn under whichever style is set: `training.drawing.STYLE`.
    """

    caption: str
    draw: Callable[[], Figure] = field(repr=False)


@dataclass(frozen=True)
class Listing:
    """A table.

    Attributes
    ----------
    caption : str
    frame : pandas.DataFrame
        Typed values under headings a reader understands; no index. Patients stand as P1, P2 ..., in the cohort's order.
    shares : tuple of str
        Columns of shares, which the page shows in percent.
    data : bool
        Whether these are the rows behind a figure or a summary, of which the page names the file only.
    """

    caption: str
    frame: pd.DataFrame
    shares: tuple[str, ...] = ()
    data: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one look at a cohort found.

    Attributes
    ----------
    lead : tuple of str
        What was found, in sentences with numbers, intervals and n; and what it cannot show.
    headlines : tuple of str
        Those of them that the report opens with.
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

    lead: tuple[str, ...] = ()
    headlines: tuple[str, ...] = ()
    drawings: dict[str, Drawing] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section(Part):
    """One section of a study's report: all its parts found, under a title, and a short name for files: `safety`."""

    name: str
    title: str


def patient_codes(cohort: Cohort) -> dict[str, str]:
    """Return the code under which each patient is shown, P1, P2 ..., by identifier.

    In the order of the patients' sheet as far as it tells an outcome or a centre; then that of stool, of blood, of
    adverse events and of the course. Donors are no patients.
    """
    labels, blood = cohort.labels, cohort.manifest.immune
    names = [name for flag in labels.flags.values() for name in flag.index]
    names += [*([] if labels.dates is None else labels.dates.index), *cohort.centre.index]
    if cohort.immune is not None and blood is not None:
        names += list(cohort.immune.rows[blood.patient])
    if labels.events is not None:
        names += list(labels.events.frame["patient"])
    names += [name for table in vars(cohort.course).values() for name in table["patient"]]
    donors = set(cohort.donors["patient"])
    return {name: f"P{at}" for at, name in enumerate((n for n in dict.fromkeys(names) if n not in donors), 1)}


def donor_codes(cohort: Cohort) -> dict[str, str]:
    """Return the code under which each donor is shown, D1, D2 ..., by subject: in the order of stool, then of gifts."""
    names = [*cohort.donors["patient"], *cohort.course.transplants["donor"]]
    return {name: f"D{at}" for at, name in enumerate((n for n in dict.fromkeys(names) if n), 1)}


def joined(name: str, title: str, parts: Iterable[Part]) -> Section:
    """Return the section that holds all that its parts hold, in their order."""
    parts = list(parts)

    def texts(told: str) -> tuple[str, ...]:
        return tuple(text for part in parts for text in getattr(part, told))

    return Section(
        name=name,
        title=title,
        lead=texts("lead"),
        headlines=texts("headlines"),
        notes=texts("notes"),
        methods=texts("methods"),
        missing=texts("missing"),
        drawings={key: drawn for part in parts for key, drawn in part.drawings.items()},
        listings={key: listed for part in parts for key, listed in part.listings.items()},
        metrics={key: value for part in parts for key, value in part.metrics.items()},
    )
