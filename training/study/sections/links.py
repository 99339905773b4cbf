"""The section of microbe-immune links."""

from __future__ import annotations

from functools import partial

import pandas as pd

from features.cohort import Cohort
from training.study.analysis.links import Link, LinkEstimate, LinkResults, analyse_links
from training.study.figures.links import links_figure
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import Row

BEYOND_COURSE = "beyond course"
"""How the columns of correlations beyond the common course begin."""


def links_section(cohort: Cohort) -> Section:
    """Return the section of correlations of taxa with analytes within patients."""
    results = analyse_links(cohort)
    topic = write_topic("links/missing", results) if results is None else _links(results)
    return join_topics("links", "Microbe-immune links", [topic])


def _links(results: LinkResults) -> Topic:
    rows = sorted(results.links, key=lambda link: (link.beyond_course.p, link.taxon))
    return write_topic(
        "links/links",
        results,
        figures={"links": partial(links_figure, results.links)},
        tables={"links": ReportTable(pd.DataFrame([_row(link) for link in rows]))},
        metrics={
            "tested": float(len(results.links)),
            "found": float(len(results.significant)),
            "smallest_r": results.detectable,
        },
    )


def _row(link: Link) -> Row:
    return {
        "taxon": link.taxon,
        "analyte": link.analyte,
        "patients": link.patients,
        "draws": link.draws,
        **_estimate(link.unadjusted),
        **_estimate(link.beyond_course, BEYOND_COURSE),
    }


def _estimate(estimate: LinkEstimate, start: str = "") -> dict[str, float]:
    return {f"{start} {name}".strip(): getattr(estimate, name) for name in ("r", "low", "high", "p", "q")}
