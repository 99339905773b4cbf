"""Best overall response by RECIST and iRECIST from serial assessments, and the change of target lesions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from features.cohort import Cohort
from training.study.codes import Codes

CONFIRMED_AFTER = 28
"""Days after its first assessment at which a response must be seen again to be confirmed."""
RECIST = ("CR", "PR", "SD", "iUPD", "PD", "NE")
"""Responses from best to worst."""
_PROGRESSION = ("PD", "iUPD", "iCPD")


def best_response(responses: Sequence[str], *, immune: bool = False) -> str:
    """Return the best overall response, without confirmation.

    By RECIST the first progression ends the assessments that count, even if it is unconfirmed. By iRECIST only a
    confirmed progression (iCPD) does, or one recorded as PD; the best response of a patient who had no more than an
    unconfirmed progression is iUPD.

    Parameters
    ----------
    responses : sequence of str
        CR, PR, SD, PD, iUPD, iCPD, NE or "", by day.
    immune : bool
        By iRECIST.

    References
    ----------
    Eisenhauer et al. 2009, European Journal of Cancer 45:228-247 (RECIST 1.1); Seymour et al. 2017, Lancet Oncology
    18:e143-e152 (iRECIST).
    """
    counting = [*responses[: _progression_index(responses, immune)]]
    best = next((response for response in ("CR", "PR", "SD") if response in counting), None)
    if best is not None:
        return best
    if len(counting) < len(responses):
        return "PD"
    return "iUPD" if "iUPD" in counting else "NE"


def confirmed_response(days: Sequence[float], responses: Sequence[str]) -> str:
    """Return the best overall response by RECIST, where CR and PR count if seen again after 28 days; else SD.

    Parameters
    ----------
    days : sequence of float
        Ascending.
    responses : sequence of str
    """
    counting = list(zip(days, responses, strict=True))[: _progression_index(responses, immune=False)]

    def is_confirmed(*accepted: str) -> bool:
        response_days = [day for day, response in counting if response in accepted]
        return bool(response_days) and response_days[-1] - response_days[0] >= CONFIRMED_AFTER

    if is_confirmed("CR"):
        return "CR"
    if is_confirmed("CR", "PR"):
        return "PR"
    best = best_response(responses)
    return "SD" if best in ("CR", "PR") else best


def lesion_changes(assessments: pd.DataFrame) -> pd.DataFrame:
    """Return the change of the sum of target lesions in percent of the last sum on or before day 0.

    Parameters
    ----------
    assessments : pandas.DataFrame
        `patient`, `day` and `sum_mm`, NaN where not measured.

    Returns
    -------
    pandas.DataFrame
        `patient`, `day` and `change`, one row for each assessment after day 0, of patients whose baseline is above 0.
    """
    measured = assessments.dropna(subset=["day", "sum_mm"]).sort_values("day", kind="stable")
    sums = measured[measured["day"] <= 0].groupby("patient")["sum_mm"].last()
    later = measured[measured["day"] > 0]
    baseline = later["patient"].map(sums[sums > 0]).astype(float)
    changes = later.assign(change=100 * (later["sum_mm"] / baseline - 1))
    return changes[baseline.notna()][["patient", "day", "change"]]


def best_responses(cohort: Cohort, codes: Codes) -> pd.DataFrame:
    """Return each patient's best overall response, by patient: as recorded, and computed from the assessments.

    Columns are `published`, `RECIST`, `confirmed` and `iRECIST`, as far as the cohort has the data; "" where unknown.
    """
    assessments, patients = cohort.course.assessments, pd.Index(codes)
    # An assessment before the treatment is the baseline, and no response to it.
    assessments = assessments[assessments["day"] > 0]
    best: dict[str, pd.Series[str]] = {}
    if cohort.labels.recist is not None:
        best["published"] = cohort.labels.recist.reindex(patients)
    assessed = assessments[assessments["response"] != ""].sort_values("day", kind="stable").groupby("patient")
    if len(assessed):
        series = {str(name): (list(rows["day"]), list(rows["response"])) for name, rows in assessed}
        responses = {name: responses for name, (_, responses) in series.items()}
        best["RECIST"] = pd.Series({name: best_response(values) for name, values in responses.items()})
        best["confirmed"] = pd.Series({name: confirmed_response(*values) for name, values in series.items()})
        if assessments["response"].isin(["iUPD", "iCPD"]).any():
            best["iRECIST"] = pd.Series(
                {name: best_response(values, immune=True) for name, values in responses.items()}
            )
    return pd.DataFrame(best, index=patients).fillna("").astype("str")


def _progression_index(responses: Sequence[str], immune: bool) -> int:
    """Return the position of the progression that ends the assessments, or their number."""
    ends = ("PD", "iCPD") if immune else _PROGRESSION
    return next((index for index, response in enumerate(responses) if response in ends), len(responses))
