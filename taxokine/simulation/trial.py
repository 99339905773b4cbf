"""Simulate a trial: patients, stool, cytokines, outcomes and course, in the order in which they happen.

Spread of taxa, share of taxa detected and Bray-Curtis distances are near those of the public melanoma cohorts. By
default the effects of the transplant are larger than published, and cytokines vary less between visits, so that demo
and tests detect what was planted; plan a study with `AS_PUBLISHED`. `benchmarks.simulator_check` compares the two with
the cohorts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays import Matrix
from taxokine.simulation import course
from taxokine.simulation.cytokines import ANALYTES, cytokine_table
from taxokine.simulation.design import Trial
from taxokine.simulation.outcomes import Risks, adverse_events, best_response, risks, survival_dates
from taxokine.simulation.patients import Enrolment, enrol, visit_days
from taxokine.simulation.stool import log_abundances, read_counts, standardised_balance, stool_samples


@dataclass(frozen=True)
class SimulatedTrial:
    """A simulated trial.

    Attributes
    ----------
    trial : Trial
        Its parameters.
    counts : ndarray of int, (n_samples, n_taxa)
        Reads, in the order of `tables["samples"]`.
    tables : mapping of str to pandas.DataFrame
        The hospital's sheets, by name.
    truth : pandas.DataFrame
        What no hospital has: each patient's linear predictors and final engraftment.
    """

    trial: Trial
    counts: NDArray[np.int64]
    tables: Mapping[str, pd.DataFrame]
    truth: pd.DataFrame


def simulate(trial: Trial) -> SimulatedTrial:
    """Simulate a trial; the order of the random draws fixes what a seed gives."""
    rng = np.random.default_rng(trial.seed)
    enrolment = enrol(trial, rng)
    abundances = log_abundances(trial, rng)
    stool = stool_samples(trial, rng, enrolment)
    counts = read_counts(trial, rng, abundances, stool, enrolment)
    level = rng.standard_normal((trial.n_patients, len(ANALYTES)))
    cytokines = cytokine_table(trial, rng, enrolment, level)
    predictors = risks(trial, _terms(trial, enrolment, abundances, level), enrolment.treated)
    response = best_response(rng, predictors.response)
    events = adverse_events(trial, rng, enrolment, predictors.toxicity)
    severe_event_day = _severe_event_day(events, enrolment)
    dates = survival_dates(trial, rng, predictors.survival, response.response_quantile, severe_event_day)
    patients = pd.concat([enrolment.table.assign(recist=response.recist), dates], axis=1)
    os_days = dates["os_days"].set_axis(enrolment.ids)
    samples = _until_death(stool.sheet, "subject", os_days)
    events = _until_death(events, "patient", os_days)
    # A generator of its own keeps the draws above as they were before trials had a course.
    course_rng = rng.spawn(1)[0]
    tables = {
        "samples": samples,
        "patients": patients,
        "cytokines": _until_death(cytokines, "patient", os_days),
        "adverse_events": events.assign(**course.event_assessments(course_rng, events)),
        "transplants": _transplants(enrolment),
        "cycles": course.cycles(course_rng, patients, trial.planned_treatment),
        "assessments": course.tumour_assessments(course_rng, patients, trial.visit_jitter),
        "medications": course.medications(course_rng, patients, severe_event_day),
        "measures": course.measures(course_rng, patients, *visit_days(trial, course_rng)),
    }
    tables["lesions"] = course.lesions(course_rng, tables["assessments"])
    tables["patients"] = patients.assign(cause_of_death=course.causes_of_death(course_rng, patients))
    return SimulatedTrial(trial, counts[samples.index], tables, _truth(enrolment, predictors))


def _terms(trial: Trial, enrolment: Enrolment, abundances: Matrix, level: Matrix) -> dict[str, Matrix]:
    """Return the standardised terms of the outcomes, (n_patients,) each."""
    balances = {
        name: standardised_balance(trial, abundances[: trial.n_patients], balance)
        for name, balance in trial.causes.balances.items()
    }
    return {**dict(zip(ANALYTES, level.T, strict=True)), "age": enrolment.age, **balances}


def _severe_event_day(events: pd.DataFrame, enrolment: Enrolment) -> Matrix:
    """Return the day of each patient's first event of grade 3 or above, or NaN, (n_patients,)."""
    severe = events[events["ctcae_grade"] >= 3]
    return severe.groupby("patient")["day_fmt"].min().reindex(enrolment.ids).to_numpy(float)


def _transplants(enrolment: Enrolment) -> pd.DataFrame:
    transplants = pd.DataFrame(
        {
            "patient": enrolment.ids,
            "day_fmt": 0,
            "donor": enrolment.donor_ids[enrolment.donor],
            "batch": enrolment.donor_sample,
        }
    )
    transplants = transplants[enrolment.treated]
    return transplants.assign(dose=250, unit="mL", route="colonoscopy", bowel_preparation="polyethylene glycol, 4 L")


def _until_death(table: pd.DataFrame, patient: str, os_days: pd.Series[int]) -> pd.DataFrame:
    """Return the rows up to each patient's last day of follow-up, and the rows without a day, as a donor's stool."""
    return table[~(pd.to_numeric(table["day_fmt"]) > os_days.reindex(table[patient]).to_numpy())]


def _truth(enrolment: Enrolment, predictors: Risks) -> pd.DataFrame:
    truth = pd.DataFrame(
        {
            "patient": enrolment.ids,
            "response_log_odds": predictors.response,
            "toxicity_log_rate_ratio": predictors.toxicity,
            "survival_log_hazard_ratio": predictors.survival,
            "engraftment": enrolment.engraftment,
        }
    )
    return truth.round(6)
