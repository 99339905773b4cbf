"""The section of the microbiome: composition, diversity, ordination, tests of groups, and changes of taxa."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from features.cohort import Cohort
from features.trajectories import WINDOWS, Window
from training.study.analysis.diversity import DiversityChange, Index
from training.study.analysis.group_tests import CommunityTest
from training.study.analysis.microbiome import MicrobiomeResults, analyse_microbiome
from training.study.analysis.taxon_changes import TaxonChange
from training.study.figures.composition import composition_figure
from training.study.figures.diversity import SHANNON, diversity_figure
from training.study.figures.ordination import ordination_figure, paths_figure
from training.study.figures.taxon_changes import taxon_changes_figure
from training.study.labels import contrast_label, richness_label
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import Row

MAX_PATHS = 60
"""Most patients of whom each one's path is drawn."""
DRAWN_CHANGES = 14
"""Changes of taxa that the figure shows, those of least q."""


def microbiome_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the section of the microbiome.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    results = analyse_microbiome(cohort, windows)
    topics = (_composition, _diversity, _ordination, _groups, _taxa)
    parts = [write_topic("microbiome/missing", results)] if results is None else [topic(results) for topic in topics]
    return join_topics("microbiome", "Microbiome", parts)


def _composition(results: MicrobiomeResults) -> Topic:
    composition = results.composition
    frame = pd.DataFrame({"subject": composition.subjects, "time": composition.times})
    taxa = pd.DataFrame(composition.proportions, columns=list(composition.taxa)).assign(other=composition.remainder)
    return write_topic(
        "microbiome/composition",
        results,
        figures={"composition": partial(composition_figure, composition)},
        tables={"composition": ReportTable(frame.join(taxa), tuple(taxa.columns), supplementary=True)},
    )


def _diversity(results: MicrobiomeResults) -> Topic:
    richness = richness_label(results.stool.counts)
    labels: dict[Index, str] = {"shannon": SHANNON, "richness": richness}
    rows = [_diversity_row(change, labels[change.index]) for change in results.diversity.changes]
    return write_topic(
        "microbiome/diversity",
        results,
        figures={"diversity": partial(diversity_figure, results.stool, results.diversity, richness)},
        tables={"diversity": ReportTable(pd.DataFrame(rows))} if rows else None,
    )


def _diversity_row(change: DiversityChange, label: str) -> Row:
    return {
        "": label,
        "window": change.window,
        "patients": change.patients,
        "before": change.baseline,
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "p": change.p,
        "q": change.q,
    }


def _ordination(results: MicrobiomeResults) -> Topic:
    figures = {}
    if results.ordinations:
        figures["ordination"] = partial(ordination_figure, results.stool, results.ordinations)
        if len(results.patients) <= MAX_PATHS:
            coordinates = results.ordinations["Bray-Curtis"]
            figures["paths"] = partial(paths_figure, results.stool, coordinates, results.patients, results.donors_of)
    return write_topic("microbiome/ordination", results, figures=figures)


def _groups(results: MicrobiomeResults) -> Topic:
    table = ReportTable(pd.DataFrame([_group_row(test) for test in results.community_tests]))
    return write_topic("microbiome/groups", results, tables={"groups": table} if results.community_tests else None)


def _group_row(test: CommunityTest) -> Row:
    return {
        "": contrast_label(test),
        "distance": test.metric,
        "subjects": test.subjects,
        "samples": test.samples,
        "pseudo-F": test.location.f,
        "R²": test.location.r2,
        "PERMANOVA p": test.p,
        "least p": test.location.least_p,
        "q": test.q,
        "spread p": test.spread.p,
        "permuted": f"{test.unit}, {test.location.permutations}",
    }


def _taxa(results: MicrobiomeResults) -> Topic:
    changes = results.taxon_changes
    if not changes:
        return write_topic("microbiome/taxa_missing", results)
    frame = pd.DataFrame([_taxon_row(change) for change in changes])
    return write_topic(
        "microbiome/taxa",
        results,
        figures={"taxa": partial(taxon_changes_figure, changes[:DRAWN_CHANGES])},
        tables={"taxa": ReportTable(frame, ("before", "after"))},
        metrics={"taxa_changed": float(sum(change.significant for change in changes))},
    )


def _taxon_row(change: TaxonChange) -> Row:
    return {
        "taxon": change.taxon,
        "window": change.window,
        "patients": change.patients,
        "before": change.prevalence_before,
        "after": change.prevalence_after,
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "p": change.p,
        "q": change.q,
    }
