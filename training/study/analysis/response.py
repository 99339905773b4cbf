"""Best overall response by RECIST and iRECIST from serial assessments, and the change of target lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from features.deaths import PROGRESSIONS
from training.study.analysis.rates import ExactRate, exact_rate
from training.study.codes import Codes, by_code

CONFIRMED_AFTER = 28
"""Days after its first assessment at which a response must be seen again to be confirmed."""
RECIST = ("CR", "PR", "SD", "iUPD", "PD", "NE")
"""Responses from best to worst."""


@dataclass(frozen=True)
class ResponseRate:
    """A response rate by one set of criteria.

    Attributes
    ----------
    criteria : str
        A column of `best_responses`.
    outcome : str
        "objective_response" (CR, PR) or "disease_control" (CR, PR, SD).
    of_assessed, of_all : ExactRate or None
        Of patients with an evaluable response, None where there are none; of all patients.
    """

    criteria: str
    outcome: str
    of_assessed: ExactRate | None
    of_all: ExactRate


@dataclass(frozen=True)
class ResponseResult:
    """Best overall responses of a cohort.

    Attributes
    ----------
    best : pandas.DataFrame
        `best_responses`; without columns where the cohort has no responses.
    rates : tuple of ResponseRate
        By criteria in the order of `best`, then by outcome.
    compared, differing : int
        Patients with a recorded and a computed response, and those in whom these differ.
    progression_by_recist_only : int
        Patients with a progression by RECIST, and a response or stable disease by iRECIST.
    """

    best: pd.DataFrame
    rates: tuple[ResponseRate, ...]
    compared: int
    differing: int
    progression_by_recist_only: int

    @property
    def main_rates(self) -> tuple[ResponseRate, ...]:
        """Objective response and disease control by the first criteria."""
        return self.rates[:2]


@dataclass(frozen=True)
class LesionResult:
    """Best change of the sum of target lesions.

    Attributes
    ----------
    changes : pandas.DataFrame
        `lesion_changes`, patients under their codes.
    best_response : mapping of str to str
        By patient's code; empty without responses.
    n, assessed : int
        Patients with a change, and patients with any assessment.
    any_sum : bool
        Whether any sum was measured.
    """

    changes: pd.DataFrame
    best_response: Mapping[str, str]
    n: int
    assessed: int
    any_sum: bool

    @property
    def deepest(self) -> pd.Series[float]:
        """The best change of each patient, in percent."""
        return self.changes.groupby("patient")["change"].min()


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
    sized = assessments.dropna(subset=["day", "sum_mm"]).sort_values("day", kind="stable")
    sums = sized[sized["day"] <= 0].groupby("patient")["sum_mm"].last()
    later = sized[sized["day"] > 0]
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


def response_result(cohort: Cohort, codes: Codes) -> ResponseResult:
    """Return best overall responses and their rates."""
    best = best_responses(cohort, codes)
    compared = differing = recist_only = 0
    if {"published", "RECIST"} <= set(best.columns):
        pairs = best[(best["published"] != "") & (best["RECIST"] != "")]
        compared, differing = len(pairs), int((pairs["published"] != pairs["RECIST"]).sum())
    if "iRECIST" in best:
        recist_only = int(((best["RECIST"] == "PD") & best["iRECIST"].isin(["CR", "PR", "SD"])).sum())
    rates = tuple(rate for criteria in best for rate in _rates(str(criteria), best[criteria]))
    return ResponseResult(best, rates, compared, differing, recist_only)


def _rates(criteria: str, responses: pd.Series[str]) -> list[ResponseRate]:
    assessed = responses[~responses.isin(["", "NE"])]
    rates = []
    for outcome, counting in (("objective_response", RECIST[:2]), ("disease_control", RECIST[:3])):
        events = int(assessed.isin(counting).sum())
        of_assessed = exact_rate(events, assessed.size) if assessed.size else None
        rates.append(ResponseRate(criteria, outcome, of_assessed, exact_rate(events, responses.size)))
    return rates


def lesion_result(cohort: Cohort, codes: Codes) -> LesionResult:
    """Return the change of target lesions of the patients with a baseline and a later sum."""
    assessments, best = cohort.course.assessments, best_responses(cohort, codes)
    changes = by_code(lesion_changes(assessments), codes)
    responses = {code: best.loc[name].iloc[0] or "NE" for name, code in codes.items()} if len(best.columns) else {}
    return LesionResult(
        changes=changes,
        best_response=responses,
        n=changes["patient"].nunique(),
        assessed=assessments["patient"].nunique(),
        any_sum=bool(assessments["sum_mm"].notna().any()),
    )


def _progression_index(responses: Sequence[str], immune: bool) -> int:
    """Return the position of the progression that ends the assessments, or their number."""
    ends = ("PD", "iCPD") if immune else PROGRESSIONS
    return next((index for index, response in enumerate(responses) if response in ends), len(responses))
