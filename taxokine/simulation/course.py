r"""The simulated course of a trial's patients: tumour assessments, measures, treatment and medications.

**Lesions** are assessed before the transplant, every nine weeks, and at progression. The sum of their diameters follows
from the best response and the day of progression, so that RECIST 1.1 (Eisenhauer 2009, European Journal of Cancer
45:228-247) applied to the sums gives both back. In a patient whose best response is PD and who progresses only after a
second assessment, the lesions grow at the first assessment and shrink again: iRECIST's unconfirmed progression (Seymour
2017, Lancet Oncology 18:e143-e152). A later progression is confirmed where the patient lives for five more weeks.

**Measures.** With :math:`w(t) = e^{-(T - t)/60}` for a patient who dies on day :math:`T`, else 0, and standard normals
:math:`z_i` of the patient and :math:`z` of the visit: weight :math:`W_i (1 - 0.12 w) e^{0.015 z}` kg, albumin
:math:`40 + 2.5 z_i - 10 w + 1.2 z` g/L, C-reactive protein :math:`6 e^{0.9 z_i + 1.5 w + 0.4 z}` mg/L, ECOG rises by
:math:`2 w`, and quality of life is :math:`65 + 12 z_i - 25 w + 6 z` of 100.

**Sites.** Each patient has one to three lesions, which share the sum of diameters; a progression
may bring one in the brain. Most deaths are of the tumour.

**Treatment.** Patients take antibiotics and proton-pump inhibitors at random, without effect. Steroids follow the first
severe adverse event. The attribution of an event is random too, but never to the checkpoint inhibitor before its first
dose. Sizes are of the order that clinics see, fitted to no cohort.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays import Mask, Matrix, Positions, Vector
from features.deaths import PROGRESSIONS

FIRST_DOSE, DAYS_PER_CYCLE, DAYS_BETWEEN_ASSESSMENTS = 7, 21, 63
"""Day of the checkpoint inhibitor's first dose; days between its doses, and between assessments of the tumour."""
CONFIRMATION_DELAY = 35
"""Days from an unconfirmed progression to its confirmation."""
_SITES, _SITE_SHARES = ("lymph node", "lung", "skin", "liver", "brain"), (0.35, 0.25, 0.2, 0.1, 0.1)
_BRAIN_AT_PROGRESSION = 0.2
"""Probability of a new lesion in the brain where the tumour progresses."""
BASELINE_ASSESSMENT = -10
"""Day of the assessment before the transplant."""


def event_assessments(rng: np.random.Generator, events: pd.DataFrame) -> dict[str, NDArray[np.str_]]:
    """Return what investigators add to each adverse event: `attributed_to`, `serious` and `organism`."""
    cause, gravity, culture = rng.random((3, len(events)))
    gut, grade = events["term"].isin(["Colitis", "Fever"]), events["ctcae_grade"]
    infected = (events["term"] == "Colitis") & (culture < 0.15)
    untreated = events["day_fmt"] <= FIRST_DOSE
    return {
        "attributed_to": np.select([gut & (cause < 0.3), (gut & (cause > 0.8)) | untreated], ["FMT", "disease"], "ICI"),
        "serious": np.where((grade == 4) | ((grade == 3) & (gravity < 0.5)), "yes", "no"),
        "organism": np.where(infected, "Clostridioides difficile", ""),
    }


def cycles(rng: np.random.Generator, patients: pd.DataFrame, planned_treatment: int) -> pd.DataFrame:
    """Return the doses of the checkpoint inhibitor, from a week after the transplant to the end of treatment."""
    planned = np.arange(FIRST_DOSE, planned_treatment + 1, DAYS_PER_CYCLE)
    day = planned + rng.integers(0, 2, size=(len(patients), len(planned)), endpoint=True)
    treatment_end = pd.to_numeric(patients["treatment_end"]).fillna(patients["os_days"]).to_numpy()
    patient, cycle = np.nonzero(day <= treatment_end[:, None])
    return pd.DataFrame(
        {"patient": patients["patient"].to_numpy()[patient], "day_fmt": day[patient, cycle], "drug": "pembrolizumab"}
    )


def tumour_assessments(rng: np.random.Generator, patients: pd.DataFrame, jitter: int) -> pd.DataFrame:
    """Return each patient's assessments of the tumour: day, response and sum of diameters in mm."""
    # A patient who died on the day on which progression-free survival ended had no progression before.
    died_first = patients["died"].astype(bool) & (patients["pfs_days"] == patients["os_days"])
    outcomes = patients[["patient", "recist", "pfs_days", "os_days"]].assign(
        progresses=patients["progressed_or_died"].astype(bool) & ~died_first
    )
    rows = [
        (patient, *assessment)
        for patient, best, end, os_days, progresses in outcomes.to_numpy(object).tolist()
        for assessment in _assessments_of_patient(rng, best, end, os_days, progresses, jitter)
    ]
    table = pd.DataFrame(rows, columns=["patient", "day_fmt", "response", "sum_of_diameters_mm"])
    return table.assign(sum_of_diameters_mm=table["sum_of_diameters_mm"].astype("Int64"))


def _assessments_of_patient(
    rng: np.random.Generator, best: str, end: int, os_days: int, progresses: bool, jitter: int
) -> list[tuple[int, str, float]]:
    baseline = np.rint(np.clip(60 * np.exp(0.5 * rng.standard_normal()), 20, 250))
    planned = np.arange(DAYS_BETWEEN_ASSESSMENTS, end + DAYS_BETWEEN_ASSESSMENTS, DAYS_BETWEEN_ASSESSMENTS)
    planned += rng.integers(-jitter, jitter, size=len(planned), endpoint=True)
    days = [int(day) for day in planned if day < end]
    if not days and not (progresses and best == "PD"):
        days = [end // 2]
    if progresses and best == "PD" and len(days) == 1:
        sums, responses = np.array([np.nan]), ["NE"]
    else:
        sums, responses = _before_progression(rng, best, baseline, len(days))
    assessments = [(BASELINE_ASSESSMENT, "", baseline), *zip(days, responses, sums, strict=True)]
    if progresses:
        progressed = _progressed_sum(rng, np.nanmin([baseline, *sums]))
        unconfirmed = "iUPD" in responses
        assessments.append((end, "iUPD" if unconfirmed else "PD", progressed))
        if unconfirmed and end + CONFIRMATION_DELAY <= os_days:
            assessments.append((end + CONFIRMATION_DELAY, "iCPD", _progressed_sum(rng, progressed)))
    return assessments


def _before_progression(rng: np.random.Generator, best: str, baseline: float, n: int) -> tuple[Matrix, list[str]]:
    """Return the sums of diameters in mm, and the responses, at `n` assessments."""
    final_share = {"CR": 0.0, "PR": rng.uniform(0.2, 0.6)}.get(best, rng.uniform(0.8, 1.05))
    # Half of the change happens by the first assessment, or all of it where there is only one.
    share = 1 - (1 - final_share) * np.minimum(1, np.arange(1, n + 1) / (1 if n == 1 else 2))
    if best == "PD":
        share[:1] = rng.uniform(1.3, 1.4)
    sums = np.rint(baseline * share * rng.uniform(0.96, 1.04, size=n))
    responses = np.select([sums == 0, sums <= 0.7 * baseline, sums >= 1.2 * baseline], ["CR", "PR", "iUPD"], "SD")
    return sums, responses.tolist()


def _progressed_sum(rng: np.random.Generator, smallest: float) -> float:
    """Return a sum of diameters above the smallest by at least a fifth and 5 mm, as RECIST requires of progression."""
    return float(max(np.rint(smallest * rng.uniform(1.25, 1.75)), smallest + 6))


def lesions(rng: np.random.Generator, assessments: pd.DataFrame) -> pd.DataFrame:
    """Return each lesion at each assessment with a known sum of diameters, which its lesions share."""
    with_sum = assessments.dropna(subset=["sum_of_diameters_mm"])
    total, progressed = (
        with_sum["sum_of_diameters_mm"].to_numpy(float),
        with_sum["response"].isin(PROGRESSIONS),
    )
    patient_codes, _ = pd.factorize(with_sum["patient"])
    visits_by_patient = np.split(np.argsort(patient_codes, kind="stable"), np.bincount(patient_codes).cumsum()[:-1])
    tracks: list[tuple[Positions, int, str, Vector]] = []
    for visits in visits_by_patient:
        sites = rng.choice(_SITES, size=rng.integers(1, 3, endpoint=True), p=_SITE_SHARES)
        shares = rng.dirichlet(np.full(len(sites), 4.0))
        tracks += [
            (visits, number, site, total[visits] * share)
            for number, (site, share) in enumerate(zip(sites, shares, strict=True), 1)
        ]
        progressions = visits[progressed.to_numpy()[visits]]
        if rng.random() < _BRAIN_AT_PROGRESSION and len(progressions):
            tracks.append((progressions, len(sites) + 1, "brain", rng.uniform(4, 12, len(progressions))))
    rows, numbers, names, diameters = zip(*tracks, strict=True)
    position, sizes = np.concatenate(rows), [len(visits) for visits in rows]
    table = pd.DataFrame(
        {
            "patient": with_sum["patient"].to_numpy()[position],
            "day_fmt": with_sum["day_fmt"].to_numpy()[position],
            "lesion": np.repeat(numbers, sizes),
            "site": np.repeat(names, sizes),
            "diameter_mm": np.concatenate(diameters).round(1),
        }
    )
    return table.sort_values(["patient", "day_fmt", "lesion"], ignore_index=True)


def causes_of_death(rng: np.random.Generator, patients: pd.DataFrame) -> NDArray[np.str_]:
    """Return the cause of each patient's death, (n_patients,), the tumour only after progression; "" for the living."""
    causes = rng.choice(["tumour", "other"], len(patients), p=[0.8, 0.2])
    causes = np.where(patients["pfs_days"] < patients["os_days"], causes, "other")
    return np.where(patients["died"] == 1, causes, "")


def medications(rng: np.random.Generator, patients: pd.DataFrame, severe_event_day: Matrix) -> pd.DataFrame:
    """Return the medications; `severe_event_day` is the day of each patient's first severe adverse event, or NaN."""
    start = rng.integers(-60, 120, size=len(patients), endpoint=True)
    infected, reflux = rng.random((2, len(patients))) < [[0.25], [0.3]]
    courses = [("amoxicillin", np.where(infected, start, np.nan), 6), ("prednisone", severe_event_day, 27)]
    os_days = patients["os_days"].to_numpy()
    tables = [patients.loc[reflux, ["patient"]].assign(medication="pantoprazole")]
    for name, first_day, duration in courses:
        last_day = np.minimum(first_day + duration, os_days)
        course = patients[["patient"]].assign(medication=name, first_day=first_day, last_day=last_day)
        tables.append(course[first_day <= os_days])
    table: pd.DataFrame = pd.concat(tables)
    return table.astype({"first_day": "Int64", "last_day": "Int64"})


def measures(rng: np.random.Generator, patients: pd.DataFrame, day: NDArray[np.int64], attended: Mask) -> pd.DataFrame:
    """Return weight, laboratory values, ECOG and quality of life at the attended visits, (n_patients, n_visits)."""
    n = len(patients)
    died, os_days, bmi, ecog = (patients[[name]].to_numpy() for name in ("died", "os_days", "bmi", "ecog"))
    metres = np.where(patients[["sex"]] == "male", 1.77, 1.64) + 0.07 * rng.standard_normal((n, 1))
    level, noise = rng.standard_normal((3, n, 1)), rng.standard_normal((4, *day.shape))
    wasting = died * np.exp(-np.maximum(os_days - day, 0) / 60)
    values = {
        "day_fmt": day,
        "weight_kg": (bmi * metres**2 * (1 - 0.12 * wasting) * np.exp(0.015 * noise[0])).round(1),
        "albumin_g_per_l": (40 + 2.5 * level[0] - 10 * wasting + 1.2 * noise[1]).round(1),
        "crp_mg_per_l": (6 * np.exp(0.9 * level[1] + 1.5 * wasting + 0.4 * noise[2])).round(1),
        "ecog": np.minimum(ecog + np.rint(2 * wasting), 4).astype(int),
        "qol": np.clip(65 + 12 * level[2] - 25 * wasting + 6 * noise[3], 0, 100).round(),
    }
    patient, visit = np.nonzero(attended & (day <= os_days))
    columns = {name: value[patient, visit] for name, value in values.items()}
    return pd.DataFrame({"patient": patients["patient"].to_numpy()[patient], **columns})
