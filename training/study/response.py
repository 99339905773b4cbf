"""Response by RECIST and iRECIST from serial assessments, and the size of lesions in the course of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from features.outcomes import MONTH
from training.drawing import COLOURS, GREEN, INK, PALE, VERMILION, WIDTH

CONFIRMED_AFTER = 28
"""Days after which a response must still be there to count as confirmed."""
LABELLED = 15
"""Patients up to whom each line of the spider plot bears its patient's code, and codes stand upright."""
RECIST = ("CR", "PR", "SD", "iUPD", "PD", "NE")
"""From best to worst."""
_COLOUR = dict(zip(RECIST, (GREEN, COLOURS[4], COLOURS[5], "#f0a36b", VERMILION, PALE), strict=True))
_PROGRESSION = ("PD", "iUPD", "iCPD")


def best_response(responses: Sequence[str], *, immune: bool = False) -> str:
    """Return the best overall response, without confirmation.

    By RECIST the first progression ends it, unconfirmed or not. By iRECIST only a confirmed one (iCPD) does, or one
    that was written down as PD; who never did better than an unconfirmed progression has iUPD.

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
    seen = [*responses[: _end(responses, immune)]]
    best = next((each for each in ("CR", "PR", "SD") if each in seen), None)
    if best is not None:
        return best
    if len(seen) < len(responses):
        return "PD"
    return "iUPD" if "iUPD" in seen else "NE"


def confirmed_response(days: Sequence[float], responses: Sequence[str]) -> str:
    """Return the best overall response by RECIST where CR and PR count if still there 28 days later; else SD.

    Parameters
    ----------
    days : sequence of float
        Ascending.
    responses : sequence of str
    """
    seen = list(zip(days, responses, strict=True))[: _end(responses, immune=False)]

    def lasted(*good: str) -> bool:
        found = [day for day, response in seen if response in good]
        return bool(found) and found[-1] - found[0] >= CONFIRMED_AFTER

    if lasted("CR"):
        return "CR"
    if lasted("CR", "PR"):
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
        `patient`, `day` and `change`, one row each assessment after day 0, of patients whose baseline is above 0.
    """
    measured = assessments.dropna(subset=["day", "sum_mm"]).sort_values("day", kind="stable")
    baseline = measured[measured["day"] <= 0].groupby("patient")["sum_mm"].last()
    later = measured[measured["day"] > 0]
    before = later["patient"].map(baseline[baseline > 0]).astype(float)
    return later.assign(change=100 * (later["sum_mm"] / before - 1))[before.notna()][["patient", "day", "change"]]


def waterfall_figure(changes: pd.DataFrame, best: Mapping[str, str]) -> Figure:
    """Draw each patient's best change, in the colour of the best response.

    Parameters
    ----------
    changes : pandas.DataFrame
        As `lesion_changes` returns it, its patients as they are shown.
    best : mapping of str to str
        Best overall response by patient.
    """
    deepest = changes.groupby("patient")["change"].min().sort_values(ascending=False, kind="stable")
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(deepest.size), deepest, color=[_COLOUR[best.get(name, "NE")] for name in deepest.index], width=0.8)
    for at, change in enumerate(deepest):
        if abs(change) < 0.5:
            axes.plot(at, 0, "_", color=INK)
    axes.set_xticks(range(deepest.size), list(deepest.index))
    axes.tick_params(axis="x", length=0)
    if deepest.size > LABELLED:
        axes.tick_params(axis="x", labelsize=6, rotation=90)
    axes.set(ylabel="best change of the sum of lesions, %")
    _judged(axes, changes, best)
    return figure


def spider_figure(changes: pd.DataFrame, best: Mapping[str, str]) -> Figure:
    """Draw each patient's change over time, in the colour of the best response; as `waterfall_figure`."""
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes, few = figure.subplots(), changes["patient"].nunique() <= LABELLED
    for name, course in changes.groupby("patient", sort=False):
        x, y = np.append(0, course["day"] / MONTH), np.append(0, course["change"])
        axes.plot(x, y, "-o", color=_COLOUR[best.get(str(name), "NE")], markersize=3, linewidth=1.1)
        if few:
            axes.annotate(str(name), (x[-1], y[-1]), (4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set(xlabel="months from day 0", ylabel="change of the sum of lesions, %")
    _judged(axes, changes, best)
    return figure


def _judged(axes: Axes, changes: pd.DataFrame, best: Mapping[str, str]) -> None:
    """Draw the lines by which RECIST judges, and say what the colours are."""
    axes.axhline(0, color=INK, linewidth=0.8)
    for line in (20, -30):
        axes.axhline(line, color=PALE, linewidth=0.8, linestyle=":")
    found = {best.get(name, "NE") for name in changes["patient"]}
    shown = [each for each in RECIST if each in found]
    handles = [Line2D([], [], color=_COLOUR[each], linewidth=4, label=each) for each in shown]
    axes.legend(handles=handles, title="best response", loc="center left", bbox_to_anchor=(1.01, 0.5))


def response_colour(response: str) -> str:
    """Return the colour in which a response is drawn; a confirmed progression has that of progression."""
    return _COLOUR["PD" if response == "iCPD" else response or "NE"]


def _end(responses: Sequence[str], immune: bool) -> int:
    """Return the position of the progression that ends the search for a best response."""
    ends = ("PD", "iCPD") if immune else _PROGRESSION
    return next((at for at, response in enumerate(responses) if response in ends), len(responses))
