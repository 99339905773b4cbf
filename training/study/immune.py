"""Immune trajectories: what rises and falls after the transplant, tested in windows fixed before anyone looked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import false_discovery_control

from features.analytes import LOG2_UNITS
from features.cohort import Cohort
from features.trajectories import (
    WINDOWS,
    Trajectories,
    Window,
    levels_in_windows,
    log2_changes,
    trajectories,
    windows_of_visits,
)
from training.drawing import BLUE, COLOURS, INK, PALE, VERMILION, WIDTH
from training.statistics.mixed_model import mixed_slope
from training.statistics.post_peak_slope import post_peak_slope, post_peak_slope_test
from training.statistics.sign_flip import MeanChange, rise_then_fall_p, sign_flip_test
from training.study.analysis.arms import has_comparator
from training.study.codes import patient_codes
from training.study.formatting import count_noun, windows_text
from training.study.section import ReportFigure, ReportTable, Section

MODELLED = 10
"""Patients from whom on a change is estimated by a mixed model."""
LEAST_TESTED = 6
"""The fewest patients of whom an exact two-sided p can be below 5%."""
WORTH_DRAWING = 0.9
"""The least confidence at which an interval is shown as one."""
NAME, TITLE = "immune", "Immune trajectories"
ALPHA = 0.05
_PER_PAGE = 20


def change_table(rows: pd.DataFrame, windows: Sequence[Window], *, seed: int = 0) -> pd.DataFrame:
    """Return each analyte's change from the first window to each other one.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`.
    windows : sequence of Window
    seed : int

    Returns
    -------
    pandas.DataFrame
        `analyte`, `window`, `patients`, `undetected` (of them, at both ends), `change` (log2), `low`, `high`,
        `confidence`, `p`, `q` (Benjamini-Hochberg over the table) and `method`. The mixed model takes over from
        `MODELLED` patients on where at least half of the draws lay within the assay's range: halves of limits are not
        normal. Both are of the patients drawn in both windows, and of who lay beyond the same limit in both as
        unchanged. What fewer than two patients tell, or none within the range, is not among them.
    """
    levels, lines = levels_in_windows(rows, windows), []
    baseline = levels.xs(0, level="window") if len(levels) and 0 in levels.index.get_level_values(2) else levels[:0]
    for at, window in enumerate(windows[1:], 1):
        drawn = rows[rows["time"].between(window.first, window.last)]
        for analyte, paired in log2_changes(levels, at).groupby("analyte"):
            undetected = int(paired["below"].sum())
            same = paired["below"] | paired["above"]
            # Without a limit or a single number, there is no level to speak of.
            if len(paired) < 2 or same.all() or paired["change"].isna().any():
                continue
            paired, same = paired.droplevel("analyte"), same.droplevel("analyte")
            before, after = baseline.loc[analyte].loc[paired.index], drawn[drawn["analyte"] == analyte]
            after = after[after["patient"].isin(paired.index)]
            beyond = np.append(before["below"] | before["above"], after["censored"] != "")
            if modelled := len(paired) >= MODELLED and beyond.mean() <= 0.5:
                held = after["log2"].mask(after["patient"].map(same), after["patient"].map(before["log2"]))
                y = np.append(before["log2"], held)
                x = np.repeat([0.0, 1.0], [len(before), len(after)])
                found = mixed_slope(y, x, np.append(before.index, after["patient"]))
            else:
                found = sign_flip_test(paired["change"].to_numpy(), seed=seed)
            method = "mixed model" if modelled else "sign-flip"
            lines.append((analyte, window.name, len(paired), undetected, *_told(found), method))
    names = ["analyte", "window", "patients", "undetected", "change", "low", "high", "confidence", "p", "method"]
    return _with_q(pd.DataFrame(lines, columns=names))


def trend_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each analyte's mean slope over time by the mixed model, log2 for each unit of time.

    Columns as of `change_table`, without windows. Analytes of fewer than `MODELLED` patients with several draws, or
    within the assay's range in fewer than half of them, are not among them.
    """
    lines = []
    for analyte, mine in rows.groupby("analyte"):
        several = int((mine.groupby("patient")["time"].nunique() > 1).sum())
        if several >= MODELLED and (mine["censored"] != "").mean() <= 0.5:
            found = mixed_slope(*(mine[name].to_numpy() for name in ("log2", "time", "patient")))
            lines.append((analyte, several, *_told(found)))
    return _with_q(pd.DataFrame(lines, columns=["analyte", "patients", "change", "low", "high", "confidence", "p"]))


def pattern_table(rows: pd.DataFrame, windows: Sequence[Window], *, seed: int = 0) -> pd.DataFrame:
    """Return the test of `rise_then_fall_p` for each analyte, in the first window, the second and the last.

    Returns
    -------
    pandas.DataFrame
        `analyte`, `patients` (drawn in all three), of them how many `rose`, `fell` and ended `above` baseline; `p`
        and `q`.
    """
    levels, last, lines = levels_in_windows(rows, windows), len(windows) - 1, []
    parts = [log2_changes(levels, *ends)["change"] for ends in ((1, 0), (last, 1), (last, 0))]
    joined = pd.concat(parts, axis=1, join="inner", keys=["rise", "fall", "above"])
    for analyte, mine in joined.groupby("analyte"):
        if len(mine) > 1 and mine.to_numpy().any():
            rise, fall, above = mine.to_numpy().T
            p = rise_then_fall_p(rise, fall, above, seed=seed)
            lines.append((analyte, len(mine), int((rise > 0).sum()), int((fall < 0).sum()), int((above > 0).sum()), p))
    return _with_q(pd.DataFrame(lines, columns=["analyte", "patients", "rose", "fell", "above", "p"]))


def peak_tables(rows: pd.DataFrame, *, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each patient's peak after day 0, and what the slope after it says against shuffled draws.

    Returns
    -------
    peaks : pandas.DataFrame
        `analyte`, `patient`, `draws` (after day 0, at least 3), `peak` (log2 over the last draw up to day 0; NaN
        without one), `day` and `slope` after it, log2 for 30 days.
    falls : pandas.DataFrame
        `analyte`, `patients`, mean `slope`, mean slope of shuffled draws (`shuffled`), `p` and `q`.
    """
    peaks, falls = [], []
    for analyte, mine in rows[rows["log2"].notna()].groupby("analyte"):
        if (mine["censored"] != "").all():
            continue
        draws, slopes = [], []
        for patient, own in mine.groupby("patient", sort=False):
            after, before = own[own["time"] > 0], own[own["time"] <= 0]
            if len(after) < 3:
                continue
            # Half of a high limit is no peak.
            level = after["log2"].mask(after["censored"] == "below", after["log2"].min()).to_numpy()
            time = after["time"].to_numpy()
            top, slope = post_peak_slope(time / 30, level)
            base = before["log2"].iloc[-1] if len(before) else np.nan
            peaks.append((analyte, patient, len(after), level[top] - base, time[top], slope))
            draws.append((time / 30, level))
            slopes.append(slope)
        if len(draws) > 1:
            falls.append((analyte, len(draws), float(np.mean(slopes)), *post_peak_slope_test(draws, seed=seed)))
    return (
        pd.DataFrame(peaks, columns=["analyte", "patient", "draws", "peak", "day", "slope"]),
        _with_q(pd.DataFrame(falls, columns=["analyte", "patients", "slope", "shuffled", "p"])),
    )


def _told(found: MeanChange) -> tuple[float, float, float, float, float]:
    return found.estimate, found.low, found.high, found.confidence, found.p


def _with_q(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(q=false_discovery_control(table["p"]) if len(table) else np.empty(0))


def immune_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the section on immune trajectories.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Fixed beforehand, the baseline first; visits that are numbered and not dated are windows themselves.
    """
    found = trajectories(cohort)
    if found is None or found.rows.groupby("patient")["time"].nunique().max() < 2:
        what = (
            "no immune measurements" if cohort.immune is None else "one draw a patient, or draws without day or visit"
        )
        why = f"{what}; serial blood with a day or a visit number would be shown here"
        return Section(name=NAME, title=TITLE, missing=(why,))
    codes, rows = patient_codes(cohort), found.rows
    if not found.dated:
        windows = windows_of_visits(found)
    table, none = change_table(rows, windows), _never_within(rows)
    headlines = _changed(table, windows, found)
    summary, missing = [_summary(found), *headlines], []
    tables = {
        "levels": ReportTable(
            caption=f"Levels by window, {_scale(found)}; several draws of a window are averaged on the log "
            f"scale; undetected: "
            "every draw lay below the limit, and half the limit is shown.",
            frame=_level_listing(found, windows, codes),
            supplementary=True,
        ),
        "changes": ReportTable(
            caption="Fold change from baseline; q: p after Benjamini and Hochberg over this table; undetected: "
            "patients below "
            "the limit at both ends, who count as unchanged.",
            frame=_folds(table if found.dated else table.sort_values("p", kind="stable")),
        ),
    }
    notes = [_note(table, windows)]
    if found.dated and len(windows) > 2:
        pattern, (peaks, falls) = pattern_table(rows, windows), peak_tables(rows)
        headlines = _patterned(pattern, windows)
        summary += headlines
        if len(falls):
            fell = ", ".join(falls.loc[falls["q"] <= ALPHA, "analyte"]) or "none"
            summary.append(
                "What peaks falls afterwards, in pure noise too: against draws shuffled within patients, the fall "
                f"after the peak is more marked than shuffling makes it in {(falls['q'] <= ALPHA).sum()} of "
                f"{len(falls)} analytes ({fell}; one-sided, false discovery rate 5%). This test shuffles all draws of "
                "a patient, and can therefore reject where a comparison of two windows cannot."
            )
        tables["pattern"] = ReportTable(
            caption=f"Rise by {windows[1].name}, fall to {windows[-1].name}, end above baseline: how many "
            f"patients did each; "
            "p one-sided, of all three together.",
            frame=pattern,
        )
        tables["peaks"] = ReportTable(
            caption="Each patient's highest draw after day 0: fold over baseline, its day, and the slope from "
            "there on (log2 "
            "for 30 days; 0 where the last draw is the highest). Descriptive: chosen after the fact.",
            frame=peaks.assign(patient=peaks["patient"].map(codes), peak=2 ** peaks["peak"]),
            supplementary=True,
        )
        tables["falls"] = ReportTable(
            caption="The highest draw after day 0, median over patients (range): fold over baseline, and its "
            "day; both chosen "
            "after the fact, and descriptive. Mean slope from there on (log2 for 30 days), beside that of the same "
            "draws shuffled in time; p: how often a fall as marked, or more, comes of shuffling.",
            frame=_peaks_in_words(peaks).merge(falls.drop(columns="patients"), "left", "analyte"),
        )
        notes.append(_pattern_note(windows))
    elif not found.dated:
        trend = trend_table(rows)
        if len(trend):
            headlines = [_trended(trend)]
            summary += headlines
            tables["trend"] = ReportTable(
                caption="Fold change for each visit, over all visits (mixed model).", frame=_folds(trend)
            )
            notes.append(
                "Fold change for each visit: linear mixed model of log2 levels on the visit's number with random "
                "intercept and slope, REML, Student's t with patients - 1 degrees of freedom; Benjamini-Hochberg over "
                f"{len(trend)} analytes, of those within the assay's range in at least half of the draws; n by row."
            )
        missing.append(
            "visits are numbered and not dated: windows in days, the pattern of rise and fall, and peaks take draws "
            "with a day, before and after the index event"
        )
    if none:
        missing.append(f"below detection or above the range in every draw, so without a trajectory: {', '.join(none)}")
    summary.append(
        "These are changes of all arms together, which were not compared."
        if has_comparator(cohort)
        else "Without an arm treated alike but for the transplant, none of these changes can be attributed to it."
        if found.dated
        else "These are associations with the passing of visits; what causes them cannot be told from them."
    )
    significant = table[table["q"] <= ALPHA]
    return Section(
        name=NAME,
        title=TITLE,
        summary=tuple(summary),
        headlines=tuple(headlines),
        figures=_drawings(found, windows, table, codes),
        tables={name: one for name, one in tables.items() if len(one.frame)},
        notes=tuple(notes),
        methods=_methods(found, windows),
        missing=tuple(missing),
        metrics={
            "analytes": float(rows["analyte"].nunique()),
            "undetected": float(len(none)),
            "changed": float(significant["analyte"].nunique()),
        },
    )


def _peaks_in_words(peaks: pd.DataFrame) -> pd.DataFrame:
    """Return each analyte's patients, peak as a fold change, and its day: medians with ranges over patients."""
    told = []
    for analyte, mine in peaks.groupby("analyte"):
        fold, day = 2 ** mine["peak"].dropna(), mine["day"]
        height = f"{fold.median():.3g} ({fold.min():.3g} to {fold.max():.3g})" if len(fold) else ""
        told.append((analyte, len(mine), height, f"{day.median():g} ({day.min():g} to {day.max():g})"))
    return pd.DataFrame(told, columns=["analyte", "patients", "peak", "day of peak"])


def _never_within(rows: pd.DataFrame) -> list[str]:
    """Return the analytes that no draw had within the assay's range."""
    never = (rows["censored"] != "").groupby(rows["analyte"]).all()
    return list(never.index[never])


def _scale(found: Trajectories) -> str:
    return {"unstated": "in the source's unit, which it does not state"}.get(found.unit, f"in {found.unit}")


def _back(found: Trajectories, log2: pd.Series[float]) -> pd.Series[float]:
    """Return levels in the table's own unit."""
    return log2 if found.unit in LOG2_UNITS else 2**log2


def _summary(found: Trajectories) -> str:
    rows, time = found.rows, found.rows["time"]
    draws = rows[["patient", "time"]].drop_duplicates()
    several = int((draws.groupby("patient").size() > 1).sum())
    below, above = ((rows["censored"] == side).sum() for side in ("below", "above"))
    return (
        f"{count_noun(len(draws), 'draw')} of {count_noun(draws['patient'].nunique(), 'patient')}, {several} of "
        f"them with "
        f"several, from {'day' if found.dated else 'visit'} {time.min():g} to {time.max():g} ({found.clock}); "
        f"{len(rows)} measurements of {count_noun(rows['analyte'].nunique(), 'analyte')}, {below} of them below "
        f"detection"
        f"{f' and {above} above the range' if above else ''}."
    )


def _changed(table: pd.DataFrame, windows: Sequence[Window], found: Trajectories) -> list[str]:
    if table.empty:
        return ["No analyte was measured within its range, at baseline and in a later window, in two patients."]
    told = []
    for window in windows[1:] if found.dated else ():
        mine = table[table["window"] == window.name]
        if mine.empty:
            told.append(f"No analyte was measured both at baseline and in the window {window.name!r} in two patients.")
            continue
        largest = mine.reindex(mine["change"].abs().sort_values(ascending=False).index)
        strongest = largest.sort_values("q", kind="stable").head(4)
        told.append(
            f"Between baseline and {window.name}, {int((mine['q'] <= ALPHA).sum())} of {len(mine)} analytes changed at "
            f"a false discovery rate of 5%; foremost {'; '.join(map(_said, strongest.itertuples(index=False)))}."
        )
    if not found.dated:
        changed = table[table["q"] <= ALPHA]
        told.append(
            f"Between the first visit and a later one, {len(changed)} of {len(table)} changes pass a false discovery "
            f"rate of 5%{', foremost ' if len(changed) else ''}"
            f"{'; '.join(map(_said, changed.sort_values('p').head(6).itertuples(index=False)))}."
        )
    few, n = table[table["patients"] < LEAST_TESTED], int(table["patients"].max())
    if len(few) == len(table):
        told.append(
            f"With {n} patients no exact two-sided p is below {2 / 2**n:.3g}: significance at 5% is out of reach "
            "whatever happened, and estimates with their intervals are what there is to read."
        )
    elif len(few):
        told.append(
            f"{len(few)} of the {len(table)} changes are of fewer than {LEAST_TESTED} patients, where no exact "
            "two-sided p is below 5% whatever happened: of these, estimates with their intervals are what there is "
            "to read."
        )
    return told


def _said(one: Any) -> str:
    where = f", {one.window}" if one.window.startswith("visit") else ""
    told = "too few for a 95% interval"
    if one.confidence >= WORTH_DRAWING:
        told = f"{100 * one.confidence:.3g}% interval {2**one.low:.2f} to {2**one.high:.2f}"
    return f"{one.analyte}{where} × {2**one.change:.2f} ({told}, n = {one.patients}, p = {one.p:.3g})"


def _trended(trend: pd.DataFrame) -> str:
    changed = trend[trend["q"] <= ALPHA].sort_values("p")
    told = "; ".join(
        f"{one['analyte']} × {2 ** one['change']:.3f} a visit ({2 ** one['low']:.3f} to {2 ** one['high']:.3f}, "
        f"n = {one['patients']})"
        for _, one in changed.iterrows()
    )
    return (
        f"Over all visits (mixed models, 95% intervals), {len(changed)} of {len(trend)} analytes rise or fall at a "
        f"false discovery rate of 5%{': ' if told else ''}{told}."
    )


def _patterned(pattern: pd.DataFrame, windows: Sequence[Window]) -> list[str]:
    if pattern.empty:
        return [
            f"No two patients have a draw within the assay's range in all of "
            f"{', '.join(window.name for window in windows)}: the pattern was not tested."
        ]
    shown = pattern[pattern["q"] <= ALPHA]
    least = 1 / 2 ** int(pattern["patients"].max())
    every = pattern[(pattern[["rose", "fell", "above"]].min(axis=1) == pattern["patients"])]
    return [
        f"The stated pattern, a rise by {windows[1].name}, a fall to {windows[-1].name} and an end above baseline, is "
        f"shown by {len(shown)} of {len(pattern)} analytes at a false discovery rate of 5%"
        f"{': ' if len(shown) else ''}{', '.join(shown['analyte'])}; every patient followed it in {len(every)}"
        f"{': ' if len(every) else ''}{', '.join(every['analyte'])}."
        + (f" Its one-sided p cannot fall below {least:.2g} here." if least > 0.001 else "")
    ]


def _folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with fold changes where `table` has their logarithms; an interval only where it is worth one."""
    ends = {name: (2 ** table[name]).where(table["confidence"] >= WORTH_DRAWING) for name in ("low", "high")}
    return table.assign(change=2 ** table["change"], **ends).rename(columns={"change": "fold change"})


def _level_listing(found: Trajectories, windows: Sequence[Window], codes: dict[str, str]) -> pd.DataFrame:
    levels = levels_in_windows(found.rows, windows).reset_index()
    return pd.DataFrame(
        {
            "analyte": levels["analyte"],
            "patient": levels["patient"].map(codes),
            "window": [windows[at].name for at in levels["window"]],
            "level": _back(found, levels["log2"]),
            "draws": levels["draws"],
            "undetected": levels["below"],
        }
    )


def _note(table: pd.DataFrame, windows: Sequence[Window]) -> str:
    named = ", ".join(window.name for window in windows[:4]).replace("baseline", "baseline (the last draw up to day 0)")
    return (
        f"Fold change from baseline: mean difference of log2 levels, paired within patients. Windows: {named}"
        f"{' and later ones' if len(windows) > 4 else ''}. Below {MODELLED} patients, or where fewer than half of the "
        "draws lay within the range: exact two-sided sign-flip test, interval from the subset means that it does not "
        f"reject, at the confidence that it attains. From {MODELLED} on: linear mixed model with random intercept and "
        "change, REML, Student's t with patients - 1 degrees of freedom. Beyond the same limit at both ends counts as "
        "unchanged; otherwise half the lower limit stands for what was not detected, and the upper one for what lay "
        f"above. Benjamini-Hochberg over {len(table)} "
        "rows; n by row."
    )


def _pattern_note(windows: Sequence[Window]) -> str:
    return (
        f"Pattern: intersection-union of three one-sided sign-flip tests (baseline to {windows[1].name} up, "
        f"{windows[1].name} to {windows[-1].name} down, baseline to {windows[-1].name} up), of patients drawn in all "
        "three; p is the largest of the three; Benjamini-Hochberg over analytes. Slope after the peak: 999 shuffles of "
        "each patient's draws after day 0, the peak sought anew in each, by cross-products of "
        "times and levels from it on; patients with at least 3 such draws. Draws of one patient are taken to be "
        "exchangeable: a patient's own slow drift, without any common course, counts as a fall more often than in 5%."
    )


def _methods(found: Trajectories, windows: Sequence[Window]) -> tuple[str, ...]:
    unseen = (
        "Values below the limit of detection were set to half the limit (Hornung and Reed 1990), and pairs undetected "
        "at both ends were taken as unchanged; where no limit was stated, the smallest number reported stood for it."
    )
    tested = (
        "Changes of log2 levels from baseline, of patients drawn in both windows, were tested with the sign-flip "
        "permutation test (Fisher 1935; exact up to 13 patients, else of 9999 random signs), with intervals from "
        f"subset means (Hartigan 1969) at the confidence that so many patients attain, below {MODELLED} patients, and "
        "with linear mixed models with random intercept and slope (Laird and Ware 1982; REML, t with n - 1 degrees of "
        f"freedom) from {MODELLED} on where at least half of the draws lay within the assay's range; false discovery "
        "rates are Benjamini and Hochberg's (1995)."
    )
    if not found.dated:
        return unseen, tested
    compared = windows_text(windows)
    if len(windows) < 3:
        return unseen, compared, tested
    pattern = (
        "A rise followed by a fall that ends above baseline was tested as an "
        "intersection-union test (Berger 1982), and the slope after each patient's peak against that of the patient's "
        "draws shuffled in time, both one-sided."
    )
    return unseen, compared, tested, pattern


def _drawings(
    found: Trajectories, windows: Sequence[Window], table: pd.DataFrame, codes: dict[str, str]
) -> dict[str, ReportFigure]:
    analytes = [name for name in dict.fromkeys(found.rows["analyte"]) if name not in _never_within(found.rows)]
    pages = [analytes[at : at + _PER_PAGE] for at in range(0, len(analytes), _PER_PAGE)]
    caption = (
        f"Trajectories, {_scale(found)}, of all patients with blood. Thin lines: patients; bold: geometric mean "
        f"{'in each window, which is shaded' if found.dated else 'at each visit of at least 3 patients'}. Hollow: "
        "below the limit, drawn at the limit (the mean takes half of it), and counted above the panel; triangles: "
        "above the range."
    )
    drawn = {
        f"trajectories{f'_{at}' if at > 1 else ''}": ReportFigure(
            caption, partial(_trajectories, found, windows, page, codes)
        )
        for at, page in enumerate(pages, 1)
    }
    if len(table):
        shown = table if found.dated else table[table["patients"] >= 5]
        if len(shown):
            drawn["changes"] = ReportFigure(
                "Fold change from baseline in the first four windows with its interval: 95% where that can be reached, "
                "93.75% of 5 patients, none of fewer. Filled: q at most 0.05; n beside.",
                partial(_forest, shown),
            )
    return drawn


def _trajectories(
    found: Trajectories, windows: Sequence[Window], analytes: Sequence[str], codes: dict[str, str]
) -> Figure:
    patients = [name for name in codes if name in set(found.rows["patient"])]
    few = len(patients) <= len(COLOURS)
    colours = dict(zip(patients, COLOURS, strict=False)) if few else dict.fromkeys(patients, PALE)
    columns = min(4, len(analytes))
    lines = -(-len(analytes) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.75 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    last = float(found.rows["time"].max())
    levels = levels_in_windows(found.rows, windows).reset_index()
    for axes in panels[len(analytes) :]:
        axes.axis("off")
    for analyte, axes in zip(analytes, panels, strict=False):
        mine = found.rows[found.rows["analyte"] == analyte]
        for window in windows[1:] if found.dated else ():
            axes.axvspan(window.first, min(window.last, last), color=PALE, alpha=0.15, linewidth=0)
        if few:
            for patient, own in mine.groupby("patient", sort=False):
                _lines(axes, found, own, colours[str(patient)], few)
        else:
            _lines(axes, found, mine, PALE, few)
        _mean(axes, found, mine, levels[levels["analyte"] == analyte], windows)
        if found.unit not in LOG2_UNITS:
            axes.set_yscale("log")
            decades = np.log10(2) * np.ptp(mine["log2"])
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=8))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        if found.dated and last > 150:
            axes.set_xscale("symlog", linthresh=30, linscale=1.5)
            axes.set_xticks([at for at in (0, 30, 100, 300, 1000) if at <= last])
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.xaxis.set_minor_locator(NullLocator())
        elif not found.dated:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        below = int((mine["censored"] == "below").sum())
        axes.set_title(f"{analyte}{f'  ({below} of {len(mine)} <)' if below else ''}", loc="left", fontsize=7)
        axes.tick_params(labelsize=6)
    for axes in panels[max(0, len(analytes) - columns) : len(analytes)]:
        axes.set_xlabel("day" if found.dated else "visit")
        axes.tick_params(labelbottom=True)
    if few:
        for patient in patients:
            panels[0].plot([], [], color=colours[patient], label=codes[patient])
        figure.legend(loc="outside lower left", ncols=len(patients))
    return figure


def _lines(axes: Any, found: Trajectories, own: pd.DataFrame, colour: str, few: bool) -> None:
    """Draw patients' levels: what was not detected hollow at the limit, what was beyond the range as a triangle."""
    shown = _back(found, own["limit"].fillna(own["log2"]))
    # A line breaks where the next patient's begins.
    breaks = np.flatnonzero(own["patient"].to_numpy()[1:] != own["patient"].to_numpy()[:-1]) + 1
    time, level = (np.insert(values.to_numpy(float), breaks, np.nan) for values in (own["time"], shown))
    axes.plot(time, level, color=colour, linewidth=0.9 if few else 0.5, alpha=1 if few else 0.6)
    for side, marker, fill in (("", "o", colour), ("below", "o", "white"), ("above", "^", colour)):
        mine = (own["censored"] == side).to_numpy()
        axes.plot(
            own["time"][mine], shown[mine], marker, color=colour, markerfacecolor=fill, markersize=2.6 if few else 1.8,
            markeredgewidth=0.7,
        )  # fmt: skip


def _mean(axes: Any, found: Trajectories, mine: pd.DataFrame, levels: pd.DataFrame, windows: Sequence[Window]) -> None:
    points: list[tuple[float, float]] = []
    for at, window in enumerate(windows):
        here = levels.loc[levels["window"] == at, "log2"]
        if len(here) >= (1 if found.dated else 3):
            time = mine.loc[mine["time"].between(window.first, window.last), "time"].median()
            points.append((time, here.mean()))
    if points:
        drawn = pd.DataFrame(points, columns=["time", "log2"])
        axes.plot(drawn["time"], _back(found, drawn["log2"]), color=INK, linewidth=2, marker="s", markersize=3.5)


def _forest(table: pd.DataFrame) -> Figure:
    windows = list(dict.fromkeys(table["window"]))[:4]
    analytes = list(dict.fromkeys(table["analyte"]))
    figure = Figure(figsize=(WIDTH, 0.8 + 0.19 * len(analytes)), layout="constrained")
    panels = figure.subplots(1, len(windows), sharex=True, sharey=True, squeeze=False)[0]
    for window, axes in zip(windows, panels, strict=True):
        axes.axvline(1, color=PALE, linewidth=0.8)
        for one in table[table["window"] == window].itertuples():
            at, colour = analytes.index(one.analyte), VERMILION if one.change > 0 else BLUE
            if one.confidence >= WORTH_DRAWING:
                axes.plot([2**one.low, 2**one.high], [at, at], color=colour, linewidth=1.2)
            axes.plot(2**one.change, at, "o", color=colour, markerfacecolor=colour if one.q <= ALPHA else "white")
            axes.text(1.01, at, f"{one.patients}", transform=axes.get_yaxis_transform(), va="center", fontsize=6)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(window, loc="left")
        axes.set_xlabel("fold change")
    panels[0].set_yticks(range(len(analytes)), analytes)
    panels[0].set_ylim(len(analytes) - 0.5, -0.5)
    return figure
