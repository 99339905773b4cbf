r"""The simulated course of a trial's patients, from what `taxokine.simulation` let become of them.

**Lesions** are assessed before the transplant, every nine weeks, and when they progress. The sum of their diameters
follows from the best response and the day of progression, so that RECIST 1.1 (Eisenhauer 2009, European Journal of
Cancer 45:228-247) read from the sums gives both back. In a patient whose best response is PD, and who progresses only
after a second assessment, they grew at the first and shrank again: iRECIST's unconfirmed progression (Seymour 2017,
Lancet Oncology 18:e143-e152), and what comes later is confirmed where the patient lives for five more weeks.

**Measures.** With :math:`w(t) = e^{-(T - t)/60}` for a patient who dies on day :math:`T`, else 0, and standard normals
:math:`z_i` of the patient and :math:`z` of the visit: weight :math:`W_i (1 - 0.12 w) e^{0.015 z}` kg, albumin
:math:`40 + 2.5 z_i - 10 w + 1.2 z` g/L, C-reactive protein :math:`6 e^{0.9 z_i + 1.5 w + 0.4 z}` mg/L, ECOG rises by
:math:`2 w`, and quality of life is :math:`65 + 12 z_i - 25 w + 6 z` of 100.

**Treatment.** Antibiotics and proton-pump inhibitors are given by chance and do nothing. Steroids follow the first
severe adverse event. What an event is attributed to is chance, too, but never the checkpoint inhibitor before its
first dose. Sizes are of the order that clinics see, fitted to no cohort.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

FIRST_DOSE, CYCLE, ASSESSED = 7, 21, 63
"""Day of the checkpoint inhibitor's first dose; days between its doses, and between assessments of the tumour."""
CONFIRMED = 35
"""Days from an unconfirmed progression to its confirmation."""


def judgements(rng: np.random.Generator, events: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return what investigators add to each adverse event, by column."""
    cause, grave, culture = rng.random((3, len(events)))
    gut, grade = events["term"].isin(["Colitis", "Fever"]), events["ctcae_grade"]
    found = (events["term"] == "Colitis") & (culture < 0.15)
    # What comes before anyone's first dose is not the checkpoint inhibitor's.
    untreated = events["day_fmt"] <= FIRST_DOSE
    return {
        "attributed_to": np.select([gut & (cause < 0.3), (gut & (cause > 0.8)) | untreated], ["FMT", "disease"], "ICI"),
        "serious": np.where((grade == 4) | ((grade == 3) & (grave < 0.5)), "yes", "no"),
        "organism": np.where(found, "Clostridioides difficile", ""),
    }


def cycles(rng: np.random.Generator, patients: pd.DataFrame, planned_treatment: int) -> pd.DataFrame:
    """Return the doses of the checkpoint inhibitor, from a week after the transplant to the end of treatment."""
    planned = np.arange(FIRST_DOSE, planned_treatment + 1, CYCLE)
    day = planned + rng.integers(0, 2, size=(len(patients), len(planned)), endpoint=True)
    last = pd.to_numeric(patients["treatment_end"]).fillna(patients["os_days"]).to_numpy()
    who, cycle = np.nonzero(day <= last[:, None])
    return pd.DataFrame(
        {"patient": patients["patient"].to_numpy()[who], "day_fmt": day[who, cycle], "drug": "pembrolizumab"}
    )


def assessments(rng: np.random.Generator, patients: pd.DataFrame, jitter: int) -> pd.DataFrame:
    """Return each patient's assessments of the tumour."""
    rows: list[tuple[str, int, str, float]] = []
    for one in patients.to_dict("records"):
        baseline = np.rint(np.clip(60 * np.exp(0.5 * rng.standard_normal()), 20, 250))
        best, end = one["recist"], one["pfs_days"]
        # Whoever died on the day on which progression-free survival ended had not been seen to progress.
        progresses = bool(one["progressed_or_died"] and not (one["died"] and end == one["os_days"]))
        planned = np.arange(ASSESSED, end + ASSESSED, ASSESSED)
        planned += rng.integers(-jitter, jitter, size=len(planned), endpoint=True)
        days = [int(day) for day in planned if day < end]
        if not days and not (progresses and best == "PD"):
            days = [end // 2]
        if progresses and best == "PD" and len(days) == 1:
            sums, responses = np.array([np.nan]), ["NE"]
        else:
            sums, responses = _before_progression(rng, best, baseline, len(days))
        found = [(-10, "", baseline), *zip(days, responses, sums, strict=True)]
        if progresses:
            grown = _grown(rng, np.nanmin([baseline, *sums]))
            unconfirmed = "iUPD" in responses
            found.append((end, "iUPD" if unconfirmed else "PD", grown))
            if unconfirmed and end + CONFIRMED <= one["os_days"]:
                found.append((end + CONFIRMED, "iCPD", _grown(rng, grown)))
        rows += [(one["patient"], *each) for each in found]
    table = pd.DataFrame(rows, columns=["patient", "day_fmt", "response", "sum_of_diameters_mm"])
    return table.assign(sum_of_diameters_mm=table["sum_of_diameters_mm"].astype("Int64"))


def _before_progression(rng: np.random.Generator, best: str, baseline: float, n: int) -> tuple[Matrix, list[str]]:
    """Return the sums of diameters in mm, and the responses, at `n` assessments."""
    shrunk = {"CR": 0.0, "PR": rng.uniform(0.2, 0.6)}.get(best, rng.uniform(0.8, 1.05))
    # All that it shrinks by at the first assessment, where there is only one; else half of it.
    share = 1 - (1 - shrunk) * np.minimum(1, np.arange(1, n + 1) / (1 if n == 1 else 2))
    if best == "PD":
        share[:1] = rng.uniform(1.3, 1.4)
    sums = np.rint(baseline * share * rng.uniform(0.96, 1.04, size=n))
    responses = np.select([sums == 0, sums <= 0.7 * baseline, sums >= 1.2 * baseline], ["CR", "PR", "iUPD"], "SD")
    return sums, responses.tolist()


def _grown(rng: np.random.Generator, least: float) -> float:
    """Return a sum of diameters that is larger than the least by a fifth and by 5 mm, as progression has to be."""
    return float(max(np.rint(least * rng.uniform(1.25, 1.75)), least + 6))


def medications(rng: np.random.Generator, patients: pd.DataFrame, severe: Matrix) -> pd.DataFrame:
    """Return the medications; `severe` is the day of each patient's first severe adverse event, or NaN."""
    start = rng.integers(-60, 120, size=len(patients), endpoint=True)
    infected, reflux = rng.random((2, len(patients))) < [[0.25], [0.3]]
    dated = [("amoxicillin", np.where(infected, start, np.nan), 6), ("prednisone", severe, 27)]
    lived = patients["os_days"].to_numpy()
    rows = [patients.loc[reflux, ["patient"]].assign(medication="pantoprazole")]
    for name, first, days in dated:
        last = np.minimum(first + days, lived)
        rows.append(patients[["patient"]].assign(medication=name, first_day=first, last_day=last)[first <= lived])
    table: pd.DataFrame = pd.concat(rows)
    return table.astype({"first_day": "Int64", "last_day": "Int64"})


def measures(
    rng: np.random.Generator, patients: pd.DataFrame, day: NDArray[np.int64], taken: NDArray[np.bool_]
) -> pd.DataFrame:
    """Return what is measured of patients at the visits that were kept, (n_patients, n_visits)."""
    n = len(patients)
    died, lived, bmi, ecog = (patients[[name]].to_numpy() for name in ("died", "os_days", "bmi", "ecog"))
    metres = np.where(patients[["sex"]] == "male", 1.77, 1.64) + 0.07 * rng.standard_normal((n, 1))
    own, noise = rng.standard_normal((3, n, 1)), rng.standard_normal((4, *day.shape))
    wasting = died * np.exp(-np.maximum(lived - day, 0) / 60)
    values = {
        "day_fmt": day,
        "weight_kg": (bmi * metres**2 * (1 - 0.12 * wasting) * np.exp(0.015 * noise[0])).round(1),
        "albumin_g_per_l": (40 + 2.5 * own[0] - 10 * wasting + 1.2 * noise[1]).round(1),
        "crp_mg_per_l": (6 * np.exp(0.9 * own[1] + 1.5 * wasting + 0.4 * noise[2])).round(1),
        "ecog": np.minimum(ecog + np.rint(2 * wasting), 4).astype(int),
        "qol": np.clip(65 + 12 * own[2] - 25 * wasting + 6 * noise[3], 0, 100).round(),
    }
    who, visit = np.nonzero(taken & (day <= lived))
    return pd.DataFrame(
        {"patient": patients["patient"].to_numpy()[who], **{name: of[who, visit] for name, of in values.items()}}
    )
