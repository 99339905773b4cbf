"""The section of safety: adverse events, the rates that few patients cannot exclude, and a stopping boundary."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.outcomes import DAYS_PER_MONTH
from training.study.analysis.adverse_events import (
    GradeRates,
    event_causes,
    event_terms,
    published_toxicity,
    treatment_events,
    worst_grades,
)
from training.study.analysis.deaths import Death, death_results
from training.study.analysis.incidence import IncidenceAtDay, incidence_result
from training.study.analysis.rates import one_sided_bound
from training.study.analysis.severe_events import grade_rates_by_arm
from training.study.analysis.stopping import LIMIT, stopping_result
from training.study.codes import Codes, patient_codes
from training.study.figures.adverse_events import boundary_figure, incidence_figure, terms_figure
from training.study.labels import grade_label
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import RATE_COLUMNS, Row, interval_cells, rate_row

_INFECTION_COLUMNS = ["patient", "term", "grade", "day", "organism", "attribution"]


def safety_section(cohort: Cohort, *, limit: float = LIMIT) -> Section:
    """Return events by term, grade and cause, times to the first event, and a stopping boundary.

    Parameters
    ----------
    cohort : Cohort
    limit : float
        The share of patients with an event of grade 3 or above that a data safety board would not accept.
    """
    codes, recorded = patient_codes(cohort), treatment_events(cohort)
    if recorded is None:
        return join_topics("safety", "Safety", [_flags(cohort, codes), *_deaths(cohort, codes)])
    parts = (
        _grades(cohort, recorded.rows, codes),
        _terms(recorded.rows, codes),
        _causes(recorded.rows, codes),
        *_deaths(cohort, codes),
        _incidence(cohort, codes),
        write_topic("safety/preceding", recorded),
        _stopping(recorded.rows, len(codes), limit),
    )
    return join_topics("safety", "Safety", parts)


def _flags(cohort: Cohort, codes: Codes) -> Topic:
    toxicity = published_toxicity(cohort, codes)
    rows = [
        rate_row(f"immune-related adverse event, {grade_label(grade)}, as published", rate)
        for grade, rate in toxicity.rates.items()
    ]
    tables = {"grades": ReportTable(pd.DataFrame(rows), RATE_COLUMNS)} if rows else {}
    return write_topic("safety/flags", toxicity, tables=tables)


def _grades(cohort: Cohort, events: pd.DataFrame, codes: Codes) -> Topic:
    rates = grade_rates_by_arm(cohort, events, codes)
    return write_topic(
        "safety/grades",
        rates,
        tables={"grades": ReportTable(pd.DataFrame(_grade_rows(rates)), RATE_COLUMNS)},
        metrics={f"grade_{grade}_patients": float(rates.at_least[grade - 1].events) for grade in (1, 2, 3)},
    )


def _grade_rows(rates: GradeRates) -> list[Row]:
    return [
        rate_row(f"grade {grade} or above", rate)
        | {"95% one-sided upper": np.nan if rate.events else one_sided_bound(rate.n)}
        for grade, rate in enumerate(rates.at_least, 1)
    ]


def _terms(events: pd.DataFrame, codes: Codes) -> Topic:
    terms = event_terms(events, codes)
    if terms.counts is None:
        return write_topic("safety/terms", terms)
    counts = pd.concat([worst_grades(events), terms.counts])
    table = counts.rename(columns=lambda grade: f"grade {grade}").reset_index(names="term")
    table["patients"] = counts.sum(axis=1).to_numpy()
    table["share"] = table["patients"] / terms.n
    return write_topic(
        "safety/terms",
        terms,
        figures={"adverse_events": partial(terms_figure, terms.counts, terms.n)},
        tables={"terms": ReportTable(table, RATE_COLUMNS), "events": ReportTable(terms.events)},
    )


def _causes(events: pd.DataFrame, codes: Codes) -> Topic:
    causes = event_causes(events, codes)
    tables = {}
    if causes.attribution:
        rows = [
            rate_row(cause.cause, cause.rate) | {"events": cause.events, "patients, grade 3+": cause.severe_patients}
            for cause in causes.attribution
        ]
        tables["attribution"] = ReportTable(pd.DataFrame(rows), RATE_COLUMNS)
    if len(causes.infections):
        tables["infections"] = ReportTable(causes.infections[_INFECTION_COLUMNS])
    return write_topic("safety/causes", causes, tables=tables)


def _deaths(cohort: Cohort, codes: Codes) -> Iterator[Topic]:
    results = death_results(cohort, codes)
    if results is not None and results.n:
        rows = pd.DataFrame([_death_row(death) for death in results.deaths])
        yield write_topic("safety/deaths", results, tables={"deaths": ReportTable(rows)} if results.deaths else {})


def _death_row(death: Death) -> Row:
    has_progression = not np.isnan(death.progression)
    return {
        "patient": death.patient,
        "day": round(death.day),
        "month": round(death.day / DAYS_PER_MONTH, 1),
        "cause": death.cause or "not reported",
        "progression": f"day {death.progression:.0f}" if has_progression else "none" if death.followed else "not known",
        "last assessment": f"{death.response}, day {death.response_day:.0f}" if death.response else "none",
    }


def _incidence(cohort: Cohort, codes: Codes) -> Topic:
    result = incidence_result(cohort, codes)
    rows = [_incidence_row(row) for row in result.by_day]
    return write_topic(
        "safety/incidence",
        result,
        figures={"cumulative_incidence": partial(incidence_figure, result)} if result.first_events else {},
        tables={"incidence": ReportTable(pd.DataFrame(rows), supplementary=True)} if rows else {},
    )


def _incidence_row(row: IncidenceAtDay) -> Row:
    censoring = "" if row.censored_at is None else ", censored at the end of treatment"
    return {
        "event": f"{grade_label(row.grade)}{censoring}",
        "day": row.day,
        "at risk": row.at_risk,
        **interval_cells("incidence", row.incidence),
        "died before": row.died_before,
    }


def _stopping(events: pd.DataFrame, n: int, limit: float) -> Topic:
    result = stopping_result(events, n, limit)
    steps = pd.DataFrame(result.boundary.steps(), columns=["stop if at least", "from patient", "to patient"])
    return write_topic(
        "safety/stopping",
        result,
        figures={"stopping_boundary": partial(boundary_figure, result)},
        tables={
            "stopping_boundary": ReportTable(steps, supplementary=True),
            "stopping_operating": ReportTable(result.operating, ("true rate", "stopped")),
        },
    )
