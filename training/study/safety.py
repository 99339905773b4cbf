"""The section of safety: adverse events, what so few patients exclude, and when a data safety board should stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import beta

from features.cohort import Cohort
from features.outcomes import GRADES, Grade
from features.survival import EVENT, CensoredAt, survival_exclusion_reason, time_to_event
from training.drawing import BLUE, INK, PALE, VERMILION, WIDTH
from training.statistics.survival_curves import Curve, aalen_johansen
from training.study.patients import by_code
from training.study.rates import SHARES, exact_rate, one_sided_bound, rate_row
from training.study.section import Drawing, Listing, Part, Section, joined, patient_codes
from training.study.survival_figures import numbers_at_risk, stepped
from training.study.words import counted, share_in_words

LIMIT = 0.3
"""The share of patients with an event of grade 3 or above at which a board would not go on."""
CERTAINTY = 0.9
"""How certain it has to be that the rate is above the limit."""
PLANNED = 20
"""Patients up to which the boundary is shown, if the trial has fewer."""
TRUE_RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
SHOWN_AT = (30, 90, 180, 365)
"""Days at which cumulative incidence is tabled."""
INFECTIONS = r"infect|sepsis|septic|bacter\w*emia|vir\w*emia|fung\w*emia|pneumonia\b|abscess|difficile|c\. ?diff"
"""Terms that are listed as infections even where no organism is named."""
TITLES: dict[Grade, str] = {"any": "any grade", "2": "grade 2 or above", "3": "grade 3 or above"}

Codes = Mapping[str, str]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Boundary:
    """A stopping rule, looked at after each patient.

    Attributes
    ----------
    limit, certainty : float
        Stop once the rate is above `limit` with at least this posterior probability.
    prior : (float, float)
        Of a beta distribution.
    stop_at : ndarray of int, (n_patients,)
        The fewest patients with an event that stop, among 1, 2 ... patients; above their number where none do.
    """

    limit: float
    certainty: float
    prior: tuple[float, float]
    stop_at: NDArray[np.int64]


def safety_section(cohort: Cohort, *, limit: float = LIMIT) -> Section:
    """Return events by term, grade and cause, times to the first, and a stopping boundary.

    Parameters
    ----------
    cohort : Cohort
    limit : float
        The share of patients with an event of grade 3 or above that a data safety board would not accept.
    """
    codes, events = patient_codes(cohort), cohort.labels.events
    if events is None:
        parts = [_flagged(cohort, codes)]
    else:
        # Events before the day that the manifest names precede the treatment.
        frame = events.frame[events.frame["day"] >= events.first_counted_day]
        parts = [_grades(frame, codes), _terms(frame, codes), _causes(frame, codes), _times(cohort, codes)]
        before = len(events.frame) - len(frame)
        if before:
            first_day = events.first_counted_day
            note = f"Adverse events: {before} before day {first_day:g} precede the treatment and are left out."
            parts.append(Part(notes=(note,)))
        parts.append(_boundary(frame, codes, limit))
    return joined("safety", "Safety", parts)


def stopping_boundary(n: int, limit: float = LIMIT, certainty: float = CERTAINTY) -> Boundary:
    """Return a Bayesian stopping boundary for up to `n` patients.

    The prior, Beta(limit, 1 - limit), has its mean at the limit and the weight of one patient.

    References
    ----------
    Thall and Simon 1994, Biometrics 50:337-349; Geller, Follmann, Leifer and Carter 2003, in Advances in Clinical Trial
    Biostatistics.
    """
    prior = limit, 1 - limit
    seen = np.arange(1, n + 1)[:, None]
    events = np.arange(n + 2)
    above = above_limit(np.minimum(events, seen), seen, limit)
    stops = (above >= certainty) & (events <= seen)
    return Boundary(limit, certainty, prior, np.where(stops.any(axis=1), stops.argmax(axis=1), seen[:, 0] + 1))


def above_limit(events: NDArray[np.int64] | int, n: NDArray[np.int64] | int, limit: float = LIMIT) -> Vector:
    """Return the posterior probability that the rate is above the limit, under `stopping_boundary`'s prior."""
    return np.asarray(beta.sf(limit, limit + events, 1 - limit + n - events))


def operating_characteristics(boundary: Boundary, rates: Vector) -> pd.DataFrame:
    """Return how a boundary does if the true rate is one of some, exactly, by recursion over patients.

    Returns
    -------
    pandas.DataFrame
        `true rate`; `stopped`, the probability to stop by the last patient; on average, `patients` treated and those
        `with event`.
    """
    rows = []
    for rate in rates:
        going, stopped, treated = np.array([1.0]), 0.0, 0.0
        for stop_at in boundary.stop_at:
            treated += going.sum()
            going = np.append(going, 0) * (1 - rate) + np.append(0, going) * rate
            stopped += going[stop_at:].sum()
            going[stop_at:] = 0
        rows.append({"true rate": rate, "stopped": stopped, "patients": treated, "with event": treated * rate})
    return pd.DataFrame(rows)


def worst_grades(events: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Return how many patients have each worst grade, of each term or overall.

    Parameters
    ----------
    events : pandas.DataFrame
        One row an event: `patient`, `grade`, and the column that `by` names.
    by : str, optional
        Such as `term`; a patient counts once in each of its values.

    Returns
    -------
    pandas.DataFrame
        Columns 1 to 5, indexed by the values of `by`, the commonest first; one row, "any event", when left out.
    """
    key = pd.Series("any event", index=events.index) if by is None else events[by]
    worst = events.groupby([key, "patient"])["grade"].max().astype(int)
    counts = pd.crosstab(worst.index.get_level_values(0), worst.to_numpy()).reindex(columns=range(1, 6), fill_value=0)
    counts = counts.rename_axis(index=None, columns=None)
    return counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]


def _flagged(cohort: Cohort, codes: Codes) -> Part:
    """Return what a cohort tells that publishes toxicity as a flag, if anything."""
    missing = ("Adverse events: none are dated and graded; name their table under outcomes.toxicity.events.",)
    rows = []
    for grade, title in TITLES.items():
        flag = cohort.labels.flags.get(f"toxicity_{grade}")
        known = None if flag is None else flag.reindex(list(codes)).dropna()
        if known is not None and known.size:
            rows.append(rate_row(f"immune-related adverse event, {title}, as published", int(known.sum()), known.size))
    if not rows:
        return Part(missing=missing)
    lead = tuple(f"{row['rate of']}: {share_in_words(int(row['patients']), int(row['of']))}." for row in rows)
    listing = Listing("Patients with an adverse event, with exact intervals.", pd.DataFrame(rows), SHARES)
    note = "Adverse events: as published, exact (Clopper–Pearson) two-sided 95% intervals; unknown is left out."
    return Part(
        lead=lead,
        headlines=lead,
        listings={"grades": listing},
        notes=(note,),
        missing=missing,
    )


def _grades(events: pd.DataFrame, codes: Codes) -> Part:
    n, worst = len(codes), events.groupby("patient")["grade"].max()
    rows, lead = [], []
    for grade in range(1, 6):
        k = int((worst >= grade).sum())
        rows.append(
            rate_row(f"grade {grade} or above", k, n) | {"95% one-sided upper": np.nan if k else one_sided_bound(n)}
        )
        if k and grade <= 3:
            lead.append(f"Adverse events of grade {grade} or above: {share_in_words(k, n)}.")
    fatal = int((worst == 5).sum())
    if fatal:
        lead.append(f"Fatal adverse events (grade 5): {share_in_words(fatal, n)}.")
    none = next((grade for grade in range(1, 6) if not (worst >= grade).any()), None)
    if none is not None:
        high = exact_rate(0, n).high
        lead.append(
            f"None of {n} patients had an event of grade {none} or above; that still allows a rate of "
            f"{one_sided_bound(n):.0%} (one-sided) or {high:.0%} (two-sided, both at 95%)."
        )
    frame = pd.DataFrame(rows)
    note = (
        f"Adverse events by grade: patients by their worst CTCAE grade, n = {n}; a patient without a recorded event "
        "counts as having had none. Exact (Clopper–Pearson) two-sided 95% intervals, and where none occurred the "
        "one-sided bound, 1 − 0.05^(1/n)."
    )
    metrics = {f"grade_{grade}_patients": float((worst >= grade).sum()) for grade in (1, 2, 3)}
    method = "Adverse events were graded by CTCAE; rates of patients have exact (Clopper–Pearson) intervals."
    listings = {"grades": Listing("Patients by worst grade, with exact intervals.", frame, SHARES)}
    return Part(
        lead=tuple(lead),
        listings=listings,
        notes=(note,),
        methods=(method,),
        metrics=metrics,
        headlines=tuple(lead[-1:]),
    )


def _terms(events: pd.DataFrame, codes: Codes) -> Part:
    if events.empty:
        return Part(missing=("Terms, causes and times of adverse events: none was recorded.",))
    counts = pd.concat([worst_grades(events), worst_grades(events, "term")])
    table = counts.rename(columns=lambda grade: f"grade {grade}").reset_index(names="term")
    table["patients"] = counts.sum(axis=1).to_numpy()
    table["share"] = table["patients"] / len(codes)
    listed = by_code(events.astype({"grade": int}), codes)
    told = [
        name for name in ("patient", "term", "grade", "day", "attribution", "serious", "organism") if name in listed
    ]
    told = [name for name in told if not listed[name].isin(["", pd.NA]).all()]
    caption = f"Patients by worst grade of each adverse event, of {len(codes)}; a patient counts once in a row."
    return Part(
        drawings={"adverse_events": Drawing(caption, partial(_terms_figure, counts.iloc[1:], len(codes)))},
        listings={"terms": Listing(caption, table, SHARES), "events": Listing("Each adverse event.", listed[told])},
    )


def _causes(events: pd.DataFrame, codes: Codes) -> Part:
    """Return attribution, serious events and infections."""
    n, lead, missing, listings = len(codes), [], [], {}
    attribution = events["attribution"].replace("", "not stated")
    if (attribution != "not stated").any():
        rows = []
        for cause, one in events.groupby(attribution):
            severe = one[one["grade"] >= 3]["patient"].nunique()
            rows.append(
                rate_row(str(cause), one["patient"].nunique(), n) | {"events": len(one), "patients, grade 3+": severe}
            )
        caption = "Patients with events attributed by the investigators."
        listings["attribution"] = Listing(caption, pd.DataFrame(rows), SHARES)
        fmt = events[attribution == "FMT"]["patient"].nunique()
        lead.append(f"Events that the investigators attributed to FMT: {share_in_words(fmt, n)}.")
    elif len(events):
        missing.append("Attribution: not told; name the column and its values under outcomes.toxicity.attribution.")
    if events["serious"].notna().any():
        k = events[events["serious"].fillna(False).astype(bool)]["patient"].nunique()
        lead.append(f"Patients with a serious adverse event: {share_in_words(k, n)}.")
    elif len(events):
        missing.append("Serious events: not told; name the column under outcomes.toxicity.serious.")
    infection = (events["organism"] != "") | events["term"].str.contains(INFECTIONS, case=False, regex=True)
    infected = by_code(events[infection].astype({"grade": int}), codes)
    if len(infected):
        columns = ["patient", "term", "grade", "day", "organism", "attribution"]
        listings["infections"] = Listing("Infections, with the organism where one is named.", infected[columns])
    named = int((events["organism"] != "").sum())
    k = infected["patient"].nunique()
    lead.append(f"Infections: {share_in_words(k, n)}; an organism is named for {counted(named, 'event')}.")
    note = (
        "Infections: events with an organism, or whose term names an infection. That an organism came with the "
        "transplant would take the donor's isolate, which these data do not hold."
    )
    return Part(
        lead=tuple(lead),
        listings=listings,
        notes=(note,),
        missing=tuple(missing),
    )


def _times(cohort: Cohort, codes: Codes) -> Part:
    refused = survival_exclusion_reason(cohort.manifest, cohort.labels, "time_to_toxicity_any")
    if refused:
        return Part(missing=(f"Time to the first event and cumulative incidence: {refused}.",))
    assert cohort.labels.dates is not None
    cuts: dict[str, CensoredAt | None] = {"": None}
    if "treatment_end" in cohort.labels.dates:
        cuts[", censored at the end of treatment"] = "treatment_end"
    found: dict[Grade, dict[str, Vector]] = {}
    for grade in GRADES:
        by_cut = {}
        for cut, censored_at in cuts.items():
            frame = time_to_event(cohort.labels, f"time_to_toxicity_{grade}", pd.Index(codes), 0, censored_at)
            by_cut[cut] = frame.loc[frame["at_risk"] == "yes", ["time", "event"]].to_numpy(float)
        if len(by_cut[""]):
            found[grade] = by_cut
    if not found:
        return Part(missing=("Time to the first event: no patient was followed after day 0.",))
    rows, lead, curves = [], [], {}
    for grade, by_cut in found.items():
        for cut, y in by_cut.items():
            curve, death = aalen_johansen(y)
            curves[grade, cut] = curve, death, y[:, 0]
            for day in SHOWN_AT:
                share = curve.estimate_on(day, 0)
                if np.isfinite(share.value):
                    row: dict[str, Any] = {
                        "event": f"{TITLES[grade]}{cut}",
                        "day": day,
                        "at risk": int((y[:, 0] >= day).sum()),
                    }
                    row |= {"incidence": share.value, "95% low": share.low, "95% high": share.high}
                    rows.append(row | {"died before": death.estimate_on(day, 0).value})
        first = by_cut[""][by_cut[""][:, 1] == EVENT, 0]
        if first.size:
            when = f"day {first[0]:g}"
            if first.size > 1:
                when = f"median day {np.median(first):g} (range {first.min():g} to {first.max():g})"
            lead.append(
                f"First event of {TITLES[grade]}: {when} in the {first.size} of {len(by_cut[''])} followed patients "
                "who had one."
            )
    note = (
        "Cumulative incidence: Aalen–Johansen with death before the event competing; pointwise 95% intervals by the "
        "delta method on the complementary log-log scale; patients without known follow-up, or with an event on day "
        f"0 or before, are left out (n = {len(found[next(iter(found))][''])} of {len(codes)}, any grade). No interval "
        "is known before the first event. Censoring at the end of treatment assumes that who stops would have fared "
        "as who goes on."
    )
    method = (
        "Cumulative incidence of adverse events was estimated by Aalen and Johansen's method with death as the "
        "competing event, with and without censoring at the end of treatment."
    )
    missing = () if len(cuts) > 1 else ("Censoring at the end of treatment: name outcomes.survival.treatment_end.",)
    caption = (
        "Cumulative incidence of the first adverse event, death before it competing; band: pointwise 95% interval; "
        "dashed: censored at the end of treatment; grey: death before any such event. Below: patients still at risk."
    )
    drawings = {"cumulative_incidence": Drawing(caption, partial(_incidence_figure, curves))}
    shares = ("incidence", "95% low", "95% high", "died before")
    listings = {"incidence": Listing("Cumulative incidence of the first adverse event.", pd.DataFrame(rows), shares)}
    return Part(
        lead=tuple(lead),
        drawings=drawings,
        listings=listings if rows else {},
        notes=(note,),
        methods=(method,),
        missing=missing,
    )


def _boundary(events: pd.DataFrame, codes: Codes, limit: float) -> Part:
    n, k = len(codes), int(events.loc[events["grade"] >= 3, "patient"].nunique())
    boundary = stopping_boundary(max(n, PLANNED), limit)
    last = boundary.stop_at.size
    # One row as long as the number that stops stays the same.
    starts = [0, *(np.flatnonzero(np.diff(boundary.stop_at)) + 1)]
    rows = []
    for start, end in zip(starts, [*starts[1:], last], strict=True):
        least = int(boundary.stop_at[start])
        if least <= end:
            first = max(start + 1, least)
            rows.append({"stop if at least": least, "from patient": first, "to patient": end})
    a, b = boundary.prior
    rule = f"P(rate > {limit:.0%}) ≥ {boundary.certainty:.0%} under a Beta({a:g}, {b:g}) prior"
    stop_at = int(boundary.stop_at[n - 1])
    would = f"a board would stop at {stop_at} of {n}{', which is reached' if k >= stop_at else ''}, at the last patient"
    if stop_at > n:
        would = f"of {counted(n, 'patient')} no number would stop the trial"
    lead = (
        f"Stopping boundary, {rule}: with {k} of {counted(n, 'patient')} with an event of grade 3 or above that "
        f"probability is {_percent(float(above_limit(k, n, limit)))}; {would}."
    )
    operating = operating_characteristics(boundary, np.union1d(TRUE_RATES, limit))
    at_limit = operating.loc[np.isclose(operating["true rate"], limit), "stopped"].iloc[0]
    note = (
        f"Stopping boundary: patients with an event of grade 3 or above, looked at after each patient up to {last}; "
        f"stop once {rule}, whose mean is the limit and whose weight is one patient. Operating characteristics are "
        f"exact; if the true rate is the limit, it stops with probability {at_limit:.0%}. Limit and certainty are to "
        "be set by the board beforehand (taxokine study --stop-above): chosen after the fact it is no test."
    )
    listings = {
        "stopping_boundary": Listing(
            f"Stop as soon as so many patients have an event of grade 3 or above: {rule}.", pd.DataFrame(rows)
        ),
        "stopping_operating": Listing(
            f"What the boundary does, by the true rate, within {last} patients: probability to stop, patients treated "
            "and patients with an event on average.",
            operating,
            ("true rate", "stopped"),
        ),
    }
    method = (
        "A stopping boundary for a data safety board was computed from the posterior of a beta-binomial model (Thall "
        "and Simon 1994, Biometrics 50:337-349), its operating characteristics by exact recursion."
    )
    drawing = Drawing(
        "The stopping boundary: how many patients with an event of grade 3 or above stop the trial, after each "
        "patient; the dot is this trial at its last.",
        partial(_boundary_figure, boundary, n, k),
    )
    return Part(
        lead=(lead,),
        drawings={"stopping_boundary": drawing},
        listings=listings,
        notes=(note,),
        methods=(method,),
    )


def _terms_figure(counts: pd.DataFrame, n: int) -> Figure:
    shades = ("#fee5d0", "#fdbf86", "#f08a4b", VERMILION, INK)
    figure = Figure(figsize=(WIDTH, min(0.9 + 0.2 * len(counts), 9)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(counts))
    for grade, shade in zip(counts.columns, shades, strict=True):
        if counts[grade].any():
            axes.barh(range(len(counts)), counts[grade], left=left, color=shade, height=0.75, label=f"grade {grade}")
        left += counts[grade].to_numpy()
    axes.set_yticks(range(len(counts)), list(counts.index))
    axes.set(xlabel=f"patients of {n}, by worst grade", ylim=(len(counts) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside right upper")
    return figure


def _incidence_figure(curves: Mapping[tuple[Grade, str], tuple[Curve, Curve, Vector]]) -> Figure:
    grades = list(dict.fromkeys(grade for grade, _ in curves))
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(grades), sharey=True))
    for axes, grade in zip(panels, grades, strict=True):
        curve, death, time = curves[grade, ""]
        stepped(axes, death, 0, PALE, label="death before")
        stepped(axes, curve, 0, VERMILION, label="event")
        for (other, cut), (cut_curve, _, _) in curves.items():
            if other == grade and cut and not np.array_equal(cut_curve.estimate, curve.estimate):
                axes.step(
                    np.append(0, cut_curve.days),
                    np.append(0, cut_curve.estimate),
                    where="post",
                    color=BLUE,
                    linestyle="--",
                    linewidth=1.1,
                    label="event, censored at treatment end",
                )
        axes.set(xlim=(0, time.max() * 1.04), ylim=(0, 1.02), xlabel="days from day 0")
        axes.set_title(TITLES[grade], loc="left")
        numbers_at_risk(axes, time)
    panels[0].set_ylabel("cumulative incidence")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _boundary_figure(boundary: Boundary, n: int, k: int) -> Figure:
    figure = Figure(figsize=(WIDTH / 2, 2.3), layout="constrained")
    axes = figure.subplots()
    patients = np.arange(1, boundary.stop_at.size + 1)
    stops = np.where(boundary.stop_at <= patients, boundary.stop_at, np.nan)
    top = max(np.nanmax(stops, initial=0), k) + 2
    axes.fill_between(patients, stops, top, step="mid", color=VERMILION, alpha=0.15, linewidth=0, label="stop")
    axes.step(patients, stops, where="mid", color=VERMILION, linewidth=1.2)
    axes.plot([n], [k], "o", color=BLUE, markersize=5, label="this trial", clip_on=False, zorder=3)
    axes.set(xlim=(0.5, patients[-1] + 0.5), ylim=(0, top), xlabel="patients", ylabel="with grade 3 or above")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _percent(share: float) -> str:
    return "below 1%" if share < 0.01 else "above 99%" if share > 0.99 else f"{share:.0%}"
