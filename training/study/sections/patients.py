"""The section of patients and outcomes: who they were, what they were given, how they fared."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.cohort import Cohort
from features.outcomes import MONTH
from features.survival import EVENT, survival_exclusion_reason, time_to_event
from training.drawing import COLOURS, PALE, WIDTH
from training.statistics.survival_curves import beta_product, kaplan_meier, median_survival
from training.study.analysis.characteristics import characteristic, has_comparator, heading, several_arms, table_one
from training.study.analysis.course import last_days, transplants
from training.study.analysis.rates import exact_rate
from training.study.analysis.response import RECIST, best_responses, lesion_changes
from training.study.codes import Codes, by_code, donor_codes, patient_codes
from training.study.figures.response import spider_figure, waterfall_figure
from training.study.figures.survival import survival_figure
from training.study.figures.swimmer import swimmer_figure
from training.study.formatting import count_noun, median_text, months_text, rate_text
from training.study.section import Part, ReportFigure, ReportTable, Section, join_parts
from training.study.sections.rates import RATE_COLUMNS, rate_row

OUTCOMES = {"overall_survival": "Overall survival", "progression_free_survival": "Progression-free survival"}
ENDED = {"overall_survival": "died", "progression_free_survival": "progressed or died"}
SHOWN_AT = (3, 6, 12, 24, 36, 48, 60)
"""Months at which survival is tabled."""
FEW = 10
"""Up to so many patients each one's survival stands in the text."""
KINDS = {"antibiotic": "antibiotics", "steroid": "steroids", "ppi": "PPI", "other": "other drugs"}
MISSING = "{1}: none; where there is a table of them, name it under course.{0}."


def patients_section(cohort: Cohort) -> Section:
    """Return Table 1, exposure, courses, survival, response and measures of a cohort's patients."""
    codes = patient_codes(cohort)
    parts = (_characteristics, _exposure, _courses, _survival, _response, _lesions, _measures)
    return join_parts("patients", "Patients and outcomes", [part(cohort, codes) for part in parts])


def _characteristics(cohort: Cohort, codes: Codes) -> Part:
    said, names = cohort.manifest.patients, pd.Index(codes)
    keep = {} if said is None else said.covariates
    clinical = cohort.characteristics.reindex(names)
    each = pd.DataFrame(
        {heading(name): _whole(characteristic(clinical, name, field)) for name, field in keep.items()}, index=names
    )
    best = best_responses(cohort, codes)
    if len(best.columns):
        each["best response"] = best.iloc[:, 0].mask(best.iloc[:, 0] == "", "not assessed")
    for outcome, title in OUTCOMES.items():
        if survival_exclusion_reason(cohort.manifest, cohort.labels, outcome) is None:
            times = time_to_event(cohort.labels, outcome, names, 0)
            each[f"{title}, months"] = (times["time"] / MONTH).round(1)
            known = times["at_risk"] != "unknown"
            each[ENDED[outcome]] = np.where(known, np.where(times["event"] == EVENT, "yes", "no"), "unknown")
    each.insert(0, "patient", list(codes.values()))
    tables = {}
    if len(each.columns) > 1:
        tables = {
            "patients": ReportTable(
                caption=f"Each of {count_noun(names.size, 'patient')}.", frame=each.reset_index(drop=True)
            )
        }
    one = table_one(clinical, keep)
    if not one.empty:
        caption = "Medians and ranges of numbers, counts and shares of words, among patients in whom they are known."
        tables = {"table_one": ReportTable(caption=caption, frame=one)} | tables
    absent = () if keep else ("Table 1: no clinical columns; name them under patients.covariates.",)
    donors = len(donor_codes(cohort))
    summary = f"{cohort.manifest.title}: {count_noun(names.size, 'patient')}"
    summary += f", {count_noun(donors, 'donor')}." if donors else "."
    return Part(
        summary=(summary,),
        tables=tables,
        missing=absent,
        metrics={"patients": float(names.size)},
    )


def _exposure(cohort: Cohort, codes: Codes) -> Part:
    course, given, donors = cohort.course, transplants(cohort), donor_codes(cohort)
    tables: dict[str, ReportTable] = {}
    summary: list[str] = []
    each = pd.DataFrame(index=pd.Index(codes))
    if not given.empty:
        shown = by_code(given, codes)
        shown["donor"] = shown["donor"].map(donors).fillna("unknown")
        if "batch" in shown:
            # A batch's name may tell the donor's: it is numbered within the donor.
            order = (
                shown.loc[shown["batch"] != ""].groupby("donor")["batch"].transform(lambda b: pd.factorize(b)[0] + 1)
            )
            shown["batch"] = order.reindex(shown.index).astype("Int64")
        told = [column for column in shown if not shown[column].isin(["", np.nan, pd.NA]).all()]
        tables["transplants"] = ReportTable(
            caption="Each transplant; batches are numbered within a donor.", frame=shown[told]
        )
        grouped = given.assign(donor=given["donor"].map(donors).fillna("unknown")).groupby("patient")
        each["transplants"] = grouped.size()
        each["donors"] = grouped["donor"].agg(lambda d: ", ".join(dict.fromkeys(d)))
        n, gave = grouped.ngroups, given.loc[given["donor"] != "", "donor"].nunique()
        summary.append(
            f"{n} of {len(codes)} patients received {count_noun(len(given), 'transplant')} from "
            f"{count_noun(gave, 'donor')}."
        )
    if not course.cycles.empty:
        cycles = course.cycles.groupby("patient")
        # Drugs given together are one cycle.
        each["ICI cycles"] = cycles["day"].nunique()
        each["drugs"] = cycles["drug"].agg(lambda d: ", ".join(filter(None, dict.fromkeys(d))))
        each["last cycle, day"] = cycles["day"].max()
        number = each["ICI cycles"].fillna(0)
        summary.append(f"ICI cycles: median {number.median():g} (range {number.min():g} to {number.max():g}).")
    if not course.medications.empty:
        drugs = by_code(course.medications, codes, "start")
        tables["medications"] = ReportTable(caption="Dated concomitant drugs; an empty end was not told.", frame=drugs)
        for kind, title in KINDS.items():
            taken = course.medications[course.medications["kind"] == kind]
            each[title] = pd.Series({name: _spans(one) for name, one in taken.groupby("patient")}, dtype="str")
            if kind != "other":
                summary.append(
                    f"{title[0].upper()}{title[1:]}: {rate_text(exact_rate(taken['patient'].nunique(), len(codes)))}."
                )
    if len(each.columns):
        for name in ("transplants", "ICI cycles"):
            if name in each:
                each[name] = each[name].fillna(0).astype(int)
        words = each.select_dtypes(exclude="number").columns
        each[words] = each[words].fillna("")
        each.insert(0, "patient", list(codes.values()))
        caption = "What each patient was given; drugs with their first and last day, ? where that is not told."
        tables = {"exposure": ReportTable(caption=caption, frame=each.reset_index(drop=True))} | tables
    absent = {"transplants": "Transplants", "cycles": "ICI cycles", "medications": "Dated antibiotics, steroids or PPI"}
    here = {"transplants": given, "cycles": course.cycles, "medications": course.medications}
    missing = tuple(MISSING.format(name, what) for name, what in absent.items() if here[name].empty)
    if not given.empty and course.transplants.empty:
        missing = (
            "Transplants: only whose stool was given is told; dates, batches, doses and routes are not.",
            *missing,
        )
    return Part(
        summary=tuple(summary),
        tables=tables,
        missing=missing,
    )


def _courses(cohort: Cohort, codes: Codes) -> Part:
    if last_days(cohort, codes).isna().all():
        return Part(missing=("Swimmer plot: nothing is dated.",))
    dates = cohort.labels.dates
    dated = dates is not None and bool({"overall_survival", "last_follow_up"} & set(dates))
    until = "the last follow-up or death" if dated else "the last record, since no follow-up is dated"
    caption = f"Each patient's course. A bar ends with {until}, and with the best response where it is told."
    best = best_responses(cohort, codes)
    told = dict(zip(best.index, best.iloc[:, 0], strict=True)) if len(best.columns) else {}
    draw = partial(swimmer_figure, cohort, codes, transplants(cohort), told)
    return Part(figures={"swimmer": ReportFigure(caption, draw)})


def _survival(cohort: Cohort, codes: Codes) -> Part:
    names, times, missing = pd.Index(codes), {}, []
    for outcome, title in OUTCOMES.items():
        refused = survival_exclusion_reason(cohort.manifest, cohort.labels, outcome)
        frame = None if refused else time_to_event(cohort.labels, outcome, names, 0).dropna(subset=["time"])
        if frame is None or frame.empty:
            missing.append(f"{title}: {refused or 'no time is known'}.")
        else:
            times[outcome] = frame["time"].to_numpy(float), (frame["event"] == EVENT).to_numpy()
    if not times:
        return Part(missing=tuple(missing))
    summary, headlines, notes, rows, at = [], [], [], [], []
    metrics: dict[str, float] = {}
    for outcome, (time, event) in times.items():
        title, curve = OUTCOMES[outcome], beta_product(time, event)
        middle, followed = median_survival(kaplan_meier(time, event)), median_survival(kaplan_meier(time, ~event))
        text = f"{title}: {event.sum()} of {time.size} patients {ENDED[outcome]}; median {median_text(middle)}."
        headlines.append(text)
        if time.size <= FEW:
            order = np.lexsort((~event, time))
            each = [f"{time[i] / MONTH:.1f}{'' if event[i] else '+'}" for i in order]
            text += f" Months, + where censored: {', '.join(each)}."
        summary.append(text)
        notes.append(
            f"{title}: Kaplan–Meier, n = {time.size}, {count_noun(int(event.sum()), 'event')}; patients left "
            f"out as their "
            f"time is unknown: {len(codes) - time.size}; pointwise 95% intervals by the beta product "
            "confidence procedure, which holds at small n; the median's interval after Brookmeyer and Crowley, by "
            "Greenwood's variance on the complementary log-log scale, so that it is not read off the band; median "
            "follow-up by reverse Kaplan–Meier, not reached where most have had the event."
        )
        rows.append(
            {
                "outcome": title,
                "patients": time.size,
                "events": int(event.sum()),
                "median, months (95% interval)": median_text(middle)
                .replace(" months", "")
                .replace("95% interval ", ""),
                "median follow-up, months": months_text(followed.value),
            }
        )
        for month in SHOWN_AT:
            share = curve.estimate_on(month * MONTH, 1)
            if np.isfinite(share.value):
                found = {"share": share.value, "95% low": share.low, "95% high": share.high}
                at.append({"outcome": title, "month": month, "at risk": int((time >= month * MONTH).sum()), **found})
        short = "os" if outcome == "overall_survival" else "pfs"
        metrics |= {f"{short}_events": float(event.sum()), f"{short}_patients": float(time.size)}
        if np.isfinite(middle.value):
            metrics[f"{short}_median_months"] = middle.value / MONTH
    if several_arms(cohort):
        summary.append("Survival is that of all arms together, and was not compared between them.")
    if not has_comparator(cohort):
        summary.append("Without a comparator, survival was not shown to be extended.")
    caption = (
        "Survival from day 0 (Kaplan–Meier) with pointwise 95% intervals; ticks are censored patients, the dotted line "
        "is the median."
    )
    tables = {
        "survival": ReportTable(caption="Survival and its medians.", frame=pd.DataFrame(rows)),
        "survival_at": ReportTable(
            caption="Survival at fixed times, while anyone is followed.",
            frame=pd.DataFrame(at),
            percent_columns=RATE_COLUMNS,
        ),
    }
    if not at:
        del tables["survival_at"]
    methods = (
        "Survival was estimated by Kaplan and Meier's method from day 0, with pointwise intervals by the beta product "
        "confidence procedure (Fay, Brittain and Proschan 2013, Biostatistics 14:723-736); medians have Brookmeyer and "
        "Crowley's intervals on the complementary log-log scale; follow-up is the reverse Kaplan–Meier "
        "median (Schemper and Smith 1996, Controlled Clinical Trials 17:343-346).",
    )
    draw = partial(survival_figure, {OUTCOMES[name]: found for name, found in times.items()})
    figures = {"survival": ReportFigure(caption, draw)}
    return Part(
        summary=tuple(summary),
        figures=figures,
        tables=tables,
        notes=tuple(notes),
        methods=methods,
        missing=tuple(missing),
        metrics=metrics,
        headlines=tuple(headlines),
    )


def _response(cohort: Cohort, codes: Codes) -> Part:
    best = best_responses(cohort, codes)
    if not len(best.columns):
        absent = "Best overall response: none published, none assessed; name outcomes.recist or course.assessments."
        return Part(missing=(absent,))
    n, rows, summary, metrics = len(codes), [], [], {}
    titles = {"published": "as recorded", "confirmed": "RECIST, confirmed after 28 days"}
    for criteria, responses in best.items():
        title = titles.get(str(criteria), str(criteria))
        judged = responses[~responses.isin(["", "NE"])]
        for short, name, good in (("orr", "objective response", 2), ("dcr", "disease control", 3)):
            k = int(judged.isin(RECIST[:good]).sum())
            if judged.size:
                rows.append(rate_row(f"{name}, {title}, of those assessed", exact_rate(k, judged.size)))
            if judged.size < n:
                rows.append(rate_row(f"{name}, {title}, of all", exact_rate(k, n)))
            if criteria == best.columns[0] and judged.size:
                rest = f"; {n - judged.size} more were not assessed" if judged.size < n else ""
                summary.append(f"{name.capitalize()} ({title}): {rate_text(exact_rate(k, judged.size))}{rest}.")
                metrics[short] = k / judged.size
    counts = pd.DataFrame({titles.get(str(name), str(name)): best[name].value_counts() for name in best})
    counts = counts.reindex([*RECIST, ""]).dropna(how="all").fillna(0).astype(int)
    counts.insert(0, "best response", [each or "not assessed" for each in counts.index])
    tables = {
        "best_response": ReportTable(caption="Best overall response, patients.", frame=counts.reset_index(drop=True)),
        "response_rates": ReportTable(
            caption="Response rates with exact intervals.", frame=pd.DataFrame(rows), percent_columns=RATE_COLUMNS
        ),
    }
    notes = ["Response rates: counts over patients as stated, exact (Clopper–Pearson) two-sided 95% intervals."]
    if {"published", "RECIST"} <= set(best.columns):
        both = best[(best["published"] != "") & (best["RECIST"] != "")]
        differ = int((both["published"] != both["RECIST"]).sum())
        notes.append(
            f"The recorded best response and that of the assessments differ in {differ} of {len(both)} patients."
        )
    if "iRECIST" in best:
        changed = best[(best["RECIST"] == "PD") & best["iRECIST"].isin(["CR", "PR", "SD"])]
        summary.append(
            "Progression by RECIST, and a response or stable disease by iRECIST, which waits for confirmation (iCPD): "
            f"{count_noun(len(changed), 'patient')}."
        )
    immune = " and by iRECIST (Seymour et al. 2017)" if "iRECIST" in best else ""
    judged_by = (
        f"Response was judged by RECIST 1.1 (Eisenhauer et al. 2009){immune}, unconfirmed unless stated"
        if "RECIST" in best
        else "The best overall response is the one recorded for each patient"
    )
    methods = (f"{judged_by}; rates have exact intervals (Clopper and Pearson 1934).",)
    return Part(
        summary=tuple(summary),
        tables=tables,
        notes=tuple(notes),
        methods=methods,
        metrics=metrics,
        headlines=tuple(summary[:1]),
    )


def _lesions(cohort: Cohort, codes: Codes) -> Part:
    changes = lesion_changes(cohort.course.assessments)
    if changes.empty:
        plots = "Sums of target lesions, for waterfall and spider plots"
        missing = MISSING.format("assessments", plots)
        if cohort.course.assessments["sum_mm"].notna().any():
            missing = f"{plots}: no patient has one above 0 mm on or before day 0, and one after it."
        return Part(missing=(missing,))
    best = best_responses(cohort, codes)
    responses = {code: best.loc[name].iloc[0] or "NE" for name, code in codes.items()} if len(best.columns) else {}
    shown = by_code(changes, codes)
    n, of = shown["patient"].nunique(), cohort.course.assessments["patient"].nunique()
    count = f"{n} of {of} patients assessed, those with a baseline above 0 mm on or before day 0 and a later sum"
    captions = {
        "waterfall": f"Best change of the sum of target lesions from baseline, {count}. Dotted: +20% and −30%; "
        "progression is judged from the smallest sum, not from baseline, and new lesions are not in it.",
        "spider": f"Change of the sum of target lesions over time, {count}. Dotted: +20% and −30%.",
    }
    deepest = shown.groupby("patient")["change"].min()
    lowest, highest = deepest.min(), deepest.max()
    summary = (
        f"Best change of lesions: median {deepest.median():+.0f}% (range {lowest:+.0f} to {highest:+.0f}%; n = {n})."
    )
    figures = {
        "waterfall": ReportFigure(captions["waterfall"], partial(waterfall_figure, shown, responses)),
        "spider": ReportFigure(captions["spider"], partial(spider_figure, shown, responses)),
    }
    table = ReportTable(
        caption="Change of the sum of target lesions, percent of baseline.", frame=shown, supplementary=True
    )
    return Part(
        summary=(summary,),
        figures=figures,
        tables={"lesions": table},
    )


def _measures(cohort: Cohort, codes: Codes) -> Part:
    measured = cohort.course.measures.dropna(subset=["day", "value"])
    if measured.empty:
        return Part(missing=(MISSING.format("measures", "Weight, albumin, CRP, ECOG or quality of life over time"),))
    shown = by_code(measured, codes)
    rows = []
    for (name, unit), one in shown.groupby(["name", "unit"], sort=False):
        before = one[one["day"] <= 0].groupby("patient")["value"].last()
        change = (one[one["day"] > 0].groupby("patient")["value"].last() - before).dropna()
        counts = {"patients": one["patient"].nunique(), "values": len(one), "both": change.size}
        text = f"{change.median():+.3g} ({change.min():+.3g} to {change.max():+.3g})" if change.size else ""
        rows.append({"measure": name, "unit": unit, **counts, "change to the last value, median (range)": text})
    table = pd.DataFrame(rows).rename(columns={"both": "with baseline and later"})
    caption = "Each patient's line. Not tested: those still measured late are those who lived and stayed."
    listed = ReportTable(
        caption="Measures over time; the change is from the last value on or before day 0 to the last one.", frame=table
    )
    return Part(
        figures={"measures": ReportFigure(caption, partial(_measures_figure, shown))},
        tables={"measures": listed},
    )


def _measures_figure(shown: pd.DataFrame) -> Figure:
    groups, codes = list(shown.groupby(["name", "unit"], sort=False)), list(dict.fromkeys(shown["patient"]))
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = Figure(figsize=(WIDTH, 0.3 + 1.8 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    for axes, ((name, unit), one) in zip(panels, groups, strict=False):
        for code, course in one.groupby("patient", sort=False):
            if len(codes) > len(COLOURS):
                axes.plot(course["day"], course["value"], ".-", color=PALE, linewidth=0.5, markersize=1.5)
                continue
            colour, last = COLOURS[codes.index(str(code))], course.iloc[-1]
            axes.plot(course["day"], course["value"], ".-", color=colour, linewidth=0.9, markersize=4)
            place = last["day"], last["value"]
            axes.annotate(str(code), place, (3, 0), textcoords="offset points", va="center", fontsize=7)
        axes.set_title(f"{name}, {unit}" if unit else str(name), loc="left")
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        axes.set_xlabel("day")
    return figure


def _whole(said: pd.Series[Any]) -> pd.Series[Any]:
    """Return whole numbers as such; anything else as it is."""
    whole = pd.api.types.is_numeric_dtype(said) and bool((said.dropna() % 1 == 0).all())
    return said.astype("Int64") if whole else said


def _spans(taken: pd.DataFrame) -> str:
    ends = [
        " to ".join("?" if np.isnan(day) else f"{day:g}" for day in (start, end))
        for start, end in zip(taken["start"], taken["end"], strict=True)
    ]
    return "; ".join(f"{name} {span}" for name, span in zip(taken["name"], ends, strict=True))
