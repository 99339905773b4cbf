"""The section of patients and outcomes: characteristics, exposure, courses, survival, response, measures."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.outcomes import DAYS_PER_MONTH
from training.study.analysis.characteristics import (
    CharacteristicsResult,
    CharacteristicSummary,
    characteristics_result,
    had_event,
)
from training.study.analysis.course import course_result
from training.study.analysis.covariates import Characteristic
from training.study.analysis.exposure import DRUG_KINDS, ExposureResult, exposure_result
from training.study.analysis.lesion_sites import SiteSummary, lesion_sites
from training.study.analysis.measures import MeasureChange, measures_result
from training.study.analysis.response import RECIST, ResponseRate, lesion_result, response_result
from training.study.analysis.survival import OutcomeSurvival, survival_result
from training.study.codes import Codes, patient_codes
from training.study.figures.measures import measures_figure
from training.study.figures.response import spider_figure, waterfall_figure
from training.study.figures.survival import survival_figure
from training.study.figures.swimmer import swimmer_figure
from training.study.formatting import initial_capital, months_interval, months_text
from training.study.labels import criteria_label, drug_label, outcome_label
from training.study.section import ReportTable, Section, Topic, join_topics, write_topic
from training.study.sections.rows import RATE_COLUMNS, Row, month_rows, rate_row

_EVENT_COLUMNS = {"overall_survival": "died", "progression_free_survival": "progressed or died"}
_END_NAMES = {"overall_survival": "death", "progression_free_survival": "progression or death"}
_SHORT_NAMES = {"overall_survival": "os", "progression_free_survival": "pfs"}
_RATE_METRICS = {"objective_response": "orr", "disease_control": "dcr"}


def patients_section(cohort: Cohort) -> Section:
    """Return Table 1, exposure, courses, survival, response and measures of a cohort's patients."""
    codes = patient_codes(cohort)
    topics = (_characteristics, _exposure, _courses, _survival, _response, _lesions, _sites, _measures)
    return join_topics("patients", "Patients and outcomes", [topic(cohort, codes) for topic in topics])


def _characteristics(cohort: Cohort, codes: Codes) -> Topic:
    result = characteristics_result(cohort, codes)
    tables = {}
    if result.summaries:
        tables["table_one"] = ReportTable(table_one(result.summaries))
    rows = _patient_rows(result)
    if len(rows.columns):
        rows.insert(0, "patient", list(codes.values()))
        tables["patients"] = ReportTable(rows.reset_index(drop=True))
    return write_topic("patients/characteristics", result, tables=tables, metrics={"patients": float(result.n)})


def table_one(summaries: tuple[CharacteristicSummary, ...]) -> pd.DataFrame:
    """Return Table 1: `characteristic`, `level`, `value`, each arm, `known` (patients in whom it is) and `missing`."""
    arms = [arm for summary in summaries[:1] for arm in summary.by_arm]
    columns = ["characteristic", "level", "value", *arms, "known", "missing"]
    return pd.DataFrame([row for summary in summaries for row in _table_one_rows(summary)], columns=columns)


def _table_one_rows(summary: CharacteristicSummary) -> list[Row]:
    heading = _heading(summary.name) + (f", {summary.unit}" if summary.unit else "")
    counts = {"known": summary.n_known, "missing": summary.n_missing}
    levels = ["median (range)"] if summary.range is not None else [*summary.levels] if summary.n_known else [""]
    return [
        {
            "characteristic": heading,
            "level": level,
            "value": _level_text(summary, level),
            **{arm: _level_text(part, level) for arm, part in summary.by_arm.items()},
            **counts,
        }
        for level in levels
    ]


def _level_text(summary: CharacteristicSummary, level: str) -> str:
    if not summary.n_known:
        return "unknown"
    if summary.range is not None:
        median, low, high = (f"{value:.4g}" for value in (summary.range.median, summary.range.low, summary.range.high))
        return f"{median} ({low} to {high})"
    count = summary.levels.get(level, 0)
    return f"{count} ({count / summary.n_known:.0%})"


def _heading(name: str) -> str:
    return name.upper() if name in ("bmi", "ecog", "ldh") else name.replace("_", " ")


def _patient_rows(result: CharacteristicsResult) -> pd.DataFrame:
    columns: dict[str, pd.Series[int] | pd.Series[float] | pd.Series[str] | pd.Series[bool]] = {
        _heading(name): _integers(values) for name, values in result.values.items()
    }
    if result.best_response is not None:
        columns["best response"] = result.best_response.mask(result.best_response == "", "not assessed")
    for outcome, times in result.survival.items():
        columns[f"{initial_capital(outcome_label(outcome))}, months"] = (times["time"] / DAYS_PER_MONTH).round(1)
        columns[_EVENT_COLUMNS[outcome]] = had_event(times)
    return pd.DataFrame(columns)


def _integers(values: Characteristic) -> pd.Series[int] | Characteristic:
    """Return whole numbers as integers, other values as they are."""
    is_whole = pd.api.types.is_numeric_dtype(values) and bool((values.dropna() % 1 == 0).all())
    return values.astype("Int64") if is_whole else values


def _exposure(cohort: Cohort, codes: Codes) -> Topic:
    result = exposure_result(cohort, codes)
    tables = {}
    rows = _exposure_rows(result, codes)
    if len(rows.columns):
        rows.insert(0, "patient", list(codes.values()))
        tables["exposure"] = ReportTable(rows.reset_index(drop=True))
    if result.transplants:
        tables["transplants"] = ReportTable(result.transplant_rows, supplementary=True)
    if result.drug_rates:
        tables["medications"] = ReportTable(result.medication_rows, supplementary=True)
    return write_topic("patients/exposure", result, tables=tables)


def _exposure_rows(result: ExposureResult, codes: Codes) -> pd.DataFrame:
    rows = result.by_patient.rename(columns={"cycles": "ICI cycles", "last_cycle_day": "last cycle, day"})
    for kind in DRUG_KINDS if result.drug_rates else ():
        drugs = result.medication_rows[result.medication_rows["kind"] == kind]
        spans = {code: _spans(courses) for code, courses in drugs.groupby("patient")}
        rows[drug_label(kind)] = [spans.get(code, "") for code in codes.values()]
    texts = rows.select_dtypes(exclude="number").columns
    rows[texts] = rows[texts].fillna("")
    return rows


def _spans(drugs: pd.DataFrame) -> str:
    """Return each drug with its first and last day: ``amoxicillin -20 to -12``."""
    spans = (
        " to ".join("?" if np.isnan(day) else f"{day:g}" for day in days)
        for days in zip(drugs["start"], drugs["end"], strict=True)
    )
    return "; ".join(f"{name} {span}" for name, span in zip(drugs["name"], spans, strict=True))


def _courses(cohort: Cohort, codes: Codes) -> Topic:
    result = course_result(cohort, codes)
    figures = {} if result.last_day.empty else {"swimmer": partial(swimmer_figure, result)}
    return write_topic("patients/course", result, figures=figures)


def _survival(cohort: Cohort, codes: Codes) -> Topic:
    result = survival_result(cohort, codes)
    if not result.outcomes:
        return write_topic("patients/survival", result)
    tables = {"survival": ReportTable(pd.DataFrame([_median_row(survival) for survival in result.outcomes]))}
    at_months = [row for survival in result.outcomes for row in month_rows(survival)]
    if at_months:
        tables["survival_at"] = ReportTable(pd.DataFrame(at_months), RATE_COLUMNS)
    metrics: dict[str, float] = {}
    for survival in result.outcomes:
        short_name = _SHORT_NAMES[survival.outcome]
        metrics |= {f"{short_name}_events": float(survival.events), f"{short_name}_patients": float(survival.n)}
        if np.isfinite(survival.median.value):
            metrics[f"{short_name}_median_months"] = survival.median.value / DAYS_PER_MONTH
    # Curves of all arms together would stand before those that compare the arms.
    figures = {} if result.arms_compared else {"survival": partial(survival_figure, result)}
    return write_topic("patients/survival", result, figures=figures, tables=tables, metrics=metrics)


def _median_row(survival: OutcomeSurvival) -> Row:
    return {
        "outcome": initial_capital(outcome_label(survival.outcome)),
        "patients": survival.n,
        "events": survival.events,
        "median, months (95% interval)": f"{months_text(survival.median.value)} ({months_interval(survival.median)})",
        "median follow-up, months": _follow_up_text(survival),
    }


def _follow_up_text(survival: OutcomeSurvival) -> str:
    if survival.events == survival.n:
        return f"all {survival.n} followed until {_END_NAMES[survival.outcome]}"
    return months_text(survival.follow_up.value)


def _response(cohort: Cohort, codes: Codes) -> Topic:
    result = response_result(cohort, codes)
    if not result.rates:
        return write_topic("patients/response", result)
    counts = pd.DataFrame({criteria_label(str(name)): result.best[name].value_counts() for name in result.best})
    counts = counts.reindex([*RECIST, ""]).dropna(how="all").fillna(0).astype(int)
    counts.insert(0, "best response", [response or "not assessed" for response in counts.index])
    rates = [row for rate in result.rates for row in _response_rows(rate)]
    return write_topic(
        "patients/response",
        result,
        tables={
            "best_response": ReportTable(counts.reset_index(drop=True)),
            "response_rates": ReportTable(pd.DataFrame(rates), RATE_COLUMNS),
        },
        metrics={_RATE_METRICS[rate.outcome]: rate.of_assessed.value for rate in result.main_rates if rate.of_assessed},
    )


def _response_rows(rate: ResponseRate) -> list[Row]:
    label = f"{outcome_label(rate.outcome)}, {criteria_label(rate.criteria)}"
    rows = []
    if rate.of_assessed is not None:
        rows.append(rate_row(f"{label}, of those assessed", rate.of_assessed))
    if rate.of_assessed is None or rate.of_assessed.n < rate.of_all.n:
        rows.append(rate_row(f"{label}, of all", rate.of_all))
    return rows


def _lesions(cohort: Cohort, codes: Codes) -> Topic:
    result = lesion_result(cohort, codes)
    if not result.n:
        return write_topic("patients/lesions", result)
    return write_topic(
        "patients/lesions",
        result,
        figures={
            "waterfall": partial(waterfall_figure, result.changes, result.best_response),
            "spider": partial(spider_figure, result.changes, result.best_response),
        },
        tables={"lesions": ReportTable(result.changes, supplementary=True)},
    )


def _sites(cohort: Cohort, codes: Codes) -> Topic:
    result = lesion_sites(cohort, codes)
    if not result.sites:
        return write_topic("patients/sites", result)
    table = pd.DataFrame([_site_row(site) for site in result.sites])
    metrics = {"baseline_burden_mm": float(result.burden.median())} if result.burden.size else {}
    return write_topic("patients/sites", result, tables={"lesion_sites": ReportTable(table)}, metrics=metrics)


def _site_row(site: SiteSummary) -> Row:
    changes = site.changes
    return {
        "site": site.site,
        "patients at baseline": site.with_baseline,
        "patients with a new lesion": site.with_new,
        "patients with a change": changes.size,
        "best change, median": f"{changes.median():+.0f}%" if changes.size else "",
        "range": f"{changes.min():+.0f} to {changes.max():+.0f}%" if changes.size else "",
    }


def _measures(cohort: Cohort, codes: Codes) -> Topic:
    result = measures_result(cohort, codes)
    if not result.measures:
        return write_topic("patients/measures", result)
    table = pd.DataFrame([_measure_row(measure) for measure in result.measures])
    figures = {"measures": partial(measures_figure, result.rows)}
    return write_topic("patients/measures", result, figures=figures, tables={"measures": ReportTable(table)})


def _measure_row(measure: MeasureChange) -> Row:
    changes = measure.changes
    text = f"{changes.median():+.3g} ({changes.min():+.3g} to {changes.max():+.3g})" if changes.size else ""
    return {
        "measure": measure.name,
        "unit": measure.unit,
        "patients": measure.patients,
        "values": measure.values,
        "with baseline and later": changes.size,
        "change to the last value, median (range)": text,
    }
