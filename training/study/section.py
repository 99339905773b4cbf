"""A section of the study's report, and how it is made.

A section has three sources, which never share a file:

- `training.study.analysis` computes typed results: estimates with their interval, n, p and method.
- `training.study.figures` draws results with matplotlib.
- `training/study/templates` holds the sentences that state results: one file of Jinja blocks for each topic.

A module of `training.study.sections` brings them together: it runs the analysis, arranges results in tables, and calls
`write_topic` with the name of the template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd
from matplotlib.figure import Figure

from training.study.sentences import KINDS, write_captions, write_sentences


@dataclass(frozen=True)
class ReportFigure:
    """A figure at print size.

    Attributes
    ----------
    caption : str
        What the figure shows, the number of patients, and how to read it; plain text.
    draw : callable
        Returns the figure, drawn in the style that is set: `training.drawing.STYLE`.
    """

    caption: str
    draw: Callable[[], Figure] = field(repr=False)


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes
    ----------
    frame : pandas.DataFrame
        Typed values under headings for readers; no index. Patients stand as P1, P2 ..., in the cohort's order.
    percent_columns : tuple of str
        Columns of shares, which the page shows in percent.
    caption : str
    supplementary : bool
        The page names only the file of a supplementary table: the rows behind a figure or a summary.
    """

    frame: pd.DataFrame
    percent_columns: tuple[str, ...] = ()
    caption: str = field(default="", kw_only=True)
    supplementary: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What the report says of one topic.

    Attributes
    ----------
    summary : tuple of str
        The results in sentences, with numbers, intervals and n; and what they cannot show.
    verdict : tuple of str
        What the study can and cannot say, in one sentence.
    qualifiers : tuple of str
        What a reader must know before any result; the report opens with verdict and qualifiers.
    headlines : tuple of str
        Estimates with n and interval: one bullet for each section under verdict and qualifiers.
    figures : dict of str to ReportFigure
        By file name without suffix.
    tables : dict of str to ReportTable
        By file name without suffix.
    notes : tuple of str
        Method, test, n and interval of each number, so that a reviewer can check it.
    methods : tuple of str
        Sentences for the paper's methods paragraph, with their sources.
    missing : tuple of str
        What is not shown, and which data it needs.
    metrics : dict of str to float
        The columns of MLflow's table of runs.
    """

    summary: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    qualifiers: tuple[str, ...] = ()
    headlines: tuple[str, ...] = ()
    figures: dict[str, ReportFigure] = field(default_factory=dict)
    tables: dict[str, ReportTable] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section(Topic):
    """The joined topics of one section, with its title and its short name for files: `safety`."""

    name: str
    title: str

    @property
    def has_results(self) -> bool:
        """Whether the section shows anything, rather than what is missing alone."""
        return bool(self.summary or self.figures or self.tables)


def write_topic(
    template: str,
    results: object,
    *,
    figures: Mapping[str, Callable[[], Figure]] | None = None,
    tables: Mapping[str, ReportTable] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Topic:
    """Return the report of one topic: sentences and captions are rendered from results by a template.

    Parameters
    ----------
    template : str
        A file of `training/study/templates` without its suffix: ``"survival"``. Its blocks, named as the
        fields of `Topic`, hold sentences, separated by blank lines. The block ``figure_<name>`` or
        ``table_<name>`` holds the caption of that figure or table.
    results : dataclass
        The blocks read its attributes by name.
    figures : mapping of str to callable, optional
        Each returns a figure, as `ReportFigure.draw` does.
    tables : mapping of str to ReportTable, optional
        Without captions.
    metrics : mapping of str to float, optional

    Raises
    ------
    jinja2.UndefinedError
        A block reads what the results do not hold.
    """
    figures, tables = figures or {}, tables or {}
    captions = write_captions(template, results, [f"figure_{name}" for name in figures])
    captions |= write_captions(template, results, [f"table_{name}" for name in tables])
    sentences = write_sentences(template, results)
    return Topic(
        **sentences,
        figures={name: ReportFigure(captions[f"figure_{name}"], draw) for name, draw in figures.items()},
        tables={name: replace(table, caption=captions[f"table_{name}"]) for name, table in tables.items()},
        metrics=dict(metrics or {}),
    )


def join_topics(name: str, title: str, topics: Iterable[Topic]) -> Section:
    """Return the section that holds the contents of all topics, in their order."""
    topics = list(topics)
    sentences = {kind: tuple(text for topic in topics for text in getattr(topic, kind)) for kind in KINDS}
    return Section(
        name=name,
        title=title,
        **sentences,
        figures={key: figure for topic in topics for key, figure in topic.figures.items()},
        tables={key: table for topic in topics for key, table in topic.tables.items()},
        metrics={key: value for topic in topics for key, value in topic.metrics.items()},
    )
