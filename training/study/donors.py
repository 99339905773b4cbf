"""The section of the donors: did the patients come nearer to their own, and which taxa were gained and lost."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from features.audit import similar_profiles
from features.cohort import Cohort
from features.donors import Flags, donor_samples_given, share_gained, share_lost
from features.trajectories import WINDOWS, Window
from features.transforms import PrevalenceFilter, closure
from training.drawing import BLUE, GREEN, PALE, VERMILION, WIDTH
from training.statistics.distances import aitchison, bray_curtis
from training.statistics.donor_convergence import DonorConvergence, donor_specific_convergence
from training.statistics.metrics import Estimate
from training.study.codes import donor_codes, patient_codes
from training.study.formatting import count_noun, estimate_text, p_text
from training.study.section import Part, ReportFigure, ReportTable, Section, join_parts
from training.study.stool import Stool, day_axis, stool

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

NAME, TITLE = "donors", "Donors"
_SIDES = ("own donor", "unrelated donors")
_BY_DONOR = ("by donor", "by donor, 95% low", "by donor, 95% high")


@dataclass(frozen=True)
class _Panel:
    """Recipients with stool before, donors with stool, and who gave to whom."""

    stool: Stool
    recipients: list[str]
    donors: list[str]
    own: Flags
    of_donor: Matrix
    """Weights of the samples in each donor's mean, (n_donors, n_samples)."""
    of_gift: dict[str, list[int]]
    codes: Mapping[str, str]

    def to_donors(self, distances: Matrix) -> Matrix:
        """Return each sample's mean distance to each donor subject's stool, (n_samples, n_donors)."""
        return np.asarray(distances @ self.of_donor.T)

    def approach(
        self, distances: Matrix, window: Window, *, given: bool = False, without: str = "", givers: bool = False
    ) -> tuple[Matrix, Flags, list[str]]:
        """Return changes of distance from before to a window, (n_recipients, n_donors), whose donor each is, and names.

        `given` takes, for the own donor, the very stool given; `without` leaves a recipient out, and `givers` leaves
        donors out who gave to nobody.
        """
        change = self.stool.changes(self.to_donors(distances), window)
        if given:
            for patient in change.index.intersection(list(self.of_gift)):
                mine = distances[:, self.of_gift[patient]].mean(axis=1, keepdims=True)
                moved = self.stool.changes(mine, window).loc[patient, 0]
                change.loc[patient, self.own[self.recipients.index(patient)]] = moved
        names = [one for one in self.recipients if one in change.index and one != without]
        own = self.own[[self.recipients.index(one) for one in names]]
        scores = change.loc[names].to_numpy(dtype=float)
        columns = own.any(axis=0) if givers else np.ones(own.shape[1], bool)
        return scores[:, columns], own[:, columns], names


def donors_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return how recipients moved towards their own donors and unrelated ones, and which taxa they gained and lost."""
    found = _panel(cohort, windows)
    if isinstance(found, str):
        return Section(name=NAME, title=TITLE, missing=(found,))
    parts = [_approach(found, cohort), _engraftment(found)]
    return join_parts(NAME, TITLE, parts)


def _panel(cohort: Cohort, windows: Sequence[Window]) -> _Panel | str:
    """Return what can be compared, or what is missing."""
    looked = stool(cohort, windows)
    given = donor_samples_given(cohort)
    donors = list(dict.fromkeys(looked.samples.loc[looked.samples["donor"], "patient"]))
    if not donors:
        return "distance to donors: no donor's stool; name the donors' samples in the manifest's samples.donor"
    if not given:
        return "distance to donors: nobody says whose stool was given; name samples.donor_sample or course.transplants"
    if len(donors) < 2:
        return "distance to unrelated donors: only one donor's stool was profiled; it takes two"
    if not looked.dated:
        return "distance to donors over time: stool is not dated; name samples.day"
    before = looked.taken(looked.windows[0])
    recipients = [one for one in patient_codes(cohort) if one in before and set(given.get(one, ())) & set(donors)]
    # Who was given every donor's stool has no unrelated donor.
    recipients = [one for one in recipients if not set(donors) <= set(given[one])]
    if not recipients and all(set(donors) <= set(given.get(one, ())) for one in patient_codes(cohort) if one in given):
        return "distance to unrelated donors: every recipient was given every donor's stool, so that none is unrelated"
    own = np.array([[donor in given[one] for donor in donors] for one in recipients], bool).reshape(-1, len(donors))
    if not any(set(recipients) & set(looked.taken(window)) for window in looked.windows[1:]):
        return "distance to donors: no recipient of a profiled donor has stool both before and after, in the windows"
    rows = looked.samples
    member = np.array([rows["donor"] & (rows["patient"] == donor) for donor in donors], dtype=float)
    very = {
        one: [looked.at[at] for stools in given[one].values() for at in stools if at in looked.at] for one in recipients
    }
    return _Panel(
        looked,
        recipients,
        donors,
        own,
        member / member.sum(axis=1, keepdims=True),
        {one: stools for one, stools in very.items() if stools},
        patient_codes(cohort) | donor_codes(cohort),
    )


def _approach(panel: _Panel, cohort: Cohort) -> Part:
    distances = bray_curtis(panel.stool.proportions)
    afterwards = [one for one in panel.stool.windows[1:] if len(panel.approach(distances, one)[2])]
    window = afterwards[0]
    scores, own, names = panel.approach(distances, window)
    main = donor_specific_convergence(scores, own)
    tables = {
        "donor_distance": ReportTable(
            caption=f"Bray-Curtis distance to the own donor and to unrelated donors, and the change since "
            f"{_before(panel)}; "
            "intervals: jackknife by donor; p: whole donors exchanged.",
            frame=_over_time(panel, distances),
        ),
        "donor_distance_by_recipient": ReportTable(
            caption=f"Change of distance from {_before(panel)} to {window.name}, by recipient: the own donor's, "
            f"the mean of "
            "unrelated donors', and the difference; below 0, nearer to the own donor.",
            frame=_by_recipient(panel, scores, own, names),
        ),
        "donor_distance_depends_on": ReportTable(
            caption="What the estimate depends on: the first row, changed in one way at a time; distances of "
            "different kinds "
            "have different scales. Without p: the very stool given, which is one, cannot be exchanged with means.",
            frame=_depends_on(panel, cohort, distances, afterwards),
        ),
    }
    figures = {
        "donor_distance": ReportFigure(
            "Bray-Curtis distance of each recipient's stool to the own donor (green) and to unrelated donors (grey: "
            "mean and range over donor subjects), by day.",
            partial(_lines, panel, distances),
        ),
        "donor_approach": ReportFigure(
            f"Change of Bray-Curtis distance from {_before(panel)} to {window.name}: to the own donor minus to "
            f"unrelated donors, by recipient under each donor. {main.n} recipients, {main.n_donors} of "
            f"{len(panel.donors)} donors; left of 0, nearer to the own donor than to the others.",
            partial(_forest, panel, main, own, names),
        ),
    }
    nearer, adjusted = (
        int((main.by_recipient < 0).sum()),
        donor_specific_convergence(*_adjusted(panel, distances, window)),
    )
    levels = panel.stool.means(panel.to_donors(distances), panel.stool.windows[0]).loc[names].to_numpy()
    start = donor_specific_convergence(levels, own).recipient_mean
    summary = (
        f"From {_before(panel)} to {window.name}, the Bray-Curtis distance to the own donor changed by "
        f"{estimate_text(main.recipient_mean)} relative to unrelated donors, the mean of "
        f"{count_noun(main.n, 'recipient')} "
        f"({_chance(main)}), and by {estimate_text(main.donor_mean)}, the mean of "
        f"{count_noun(main.n_donors, 'donor subject')}; in {nearer} of {main.n} recipients it fell against the others.",
        f"Before ({_before(panel)}), the distance to the own donor less that to unrelated ones was "
        f"{estimate_text(start)}; "
        "who begins far comes nearer by chance alone. Adjusted for the distance before, by the slope over all donors, "
        f"the own donor's distance was {estimate_text(adjusted.recipient_mean)} off the unrelated donors' "
        f"({p_text(adjusted.p)}).",
        _in_other_ways(tables["donor_distance_depends_on"].frame),
        "Nearness is to a profile, not to strains, and without a placebo transplant it does not show that the "
        "transplant, rather than diet, antibiotics or bowel preparation, moved it.",
    )
    notes = (
        f"Distance to donors: last sample {_before(panel)}, mean of all samples {window.name}; a donor subject's stool "
        f"counts as one, by the mean over its samples; unrelated are the {len(panel.donors)} profiled donor subjects "
        f"but the own. n = {main.n} recipients of {main.n_donors} donors.",
        "Interval: delete-one-donor jackknife, the donor leaving with the recipients and from among the comparators, "
        f"Student's t with {main.n_donors - 1} degrees of freedom. Test: donors exchanged whole, two-sided; the least "
        f"p that {main.n_donors} donors among {len(panel.donors)} allow is {main.least_p:.2g}. The test asks "
        "whether it matters, among these recipients and donors, who gave to whom; the interval, how far others might "
        "differ: it can hold 0 where p is small.",
    )
    methods = (
        "Approach to the donor was the change of Bray-Curtis distance to the own donor's stool minus the mean change "
        "to unrelated donors' stool, with intervals by delete-one-donor jackknife (MacKinnon, Nielsen and Webb 2023) "
        "and p-values by exchanging whole donors.",
    )
    metrics = {
        "donor_approach": main.recipient_mean.value,
        "donor_approach_by_donor": main.donor_mean.value,
        "donor_approach_p": main.p,
    }
    return Part(
        summary=summary,
        figures=figures,
        tables=tables,
        notes=notes,
        methods=methods,
        metrics=metrics,
        headlines=summary[:1],
    )


def _before(panel: _Panel) -> str:
    return panel.stool.windows[0].name


def _row(found: DonorConvergence) -> dict[str, float | int]:
    return {
        "recipients": found.n,
        "donors": found.n_donors,
        "by recipient": found.recipient_mean.value,
        "95% low": found.recipient_mean.low,
        "95% high": found.recipient_mean.high,
        **dict(zip(_BY_DONOR, (found.donor_mean.value, found.donor_mean.low, found.donor_mean.high), strict=True)),
        "p": found.p,
    }


def _over_time(panel: _Panel, distances: Matrix) -> pd.DataFrame:
    to, rows = panel.to_donors(distances), []
    for window in panel.stool.windows:
        level = panel.stool.means(to, window)
        names = [one for one in panel.recipients if one in level.index]
        if not names:
            continue
        scores, own = level.loc[names].to_numpy(), panel.own[[panel.recipients.index(one) for one in names]]
        rows.append(
            {"": f"distance, {window.name}", **_sides(scores, own), **_row(donor_specific_convergence(scores, own))}
        )
    for window in panel.stool.windows[1:]:
        scores, own, names = panel.approach(distances, window)
        if names:
            rows.append(
                {"": f"change to {window.name}", **_sides(scores, own), **_row(donor_specific_convergence(scores, own))}
            )
    return pd.DataFrame(rows).rename(columns={"by recipient": "difference, by recipient"})


def _sides(scores: Matrix, own: Flags) -> dict[str, float]:
    mine, others = _of_sides(scores, own)
    return dict(zip(_SIDES, (float(mine.mean()), float(others.mean())), strict=True))


def _of_sides(scores: Matrix, own: Flags) -> tuple[Vector, Vector]:
    """Return each recipient's mean score with own donors and with unrelated ones."""
    mine, others = ((scores * side).sum(axis=1) / side.sum(axis=1) for side in (own, ~own))
    return mine, others


def _by_recipient(panel: _Panel, scores: Matrix, own: Flags, names: list[str]) -> pd.DataFrame:
    mine, others = _of_sides(scores, own)
    return pd.DataFrame(
        {
            "patient": [panel.codes[one] for one in names],
            "donor": [_donors_of(panel, row) for row in own],
            "own donor": mine,
            "unrelated donors": others,
            "difference": mine - others,
        }
    )


def _donors_of(panel: _Panel, own: Flags) -> str:
    return ", ".join(panel.codes[panel.donors[at]] for at in np.flatnonzero(own))


def _depends_on(panel: _Panel, cohort: Cohort, distances: Matrix, afterwards: list[Window]) -> pd.DataFrame:
    window, shares = afterwards[0], panel.stool.proportions
    whole = Window("all samples after", np.nextafter(panel.stool.windows[0].last, math.inf), math.inf)
    rows = [
        {"": f"Bray-Curtis, {window.name}", **_row(donor_specific_convergence(*panel.approach(distances, window)[:2]))}
    ]
    rows.append(
        {
            "": "the same, adjusted for the distance before",
            **_row(donor_specific_convergence(*_adjusted(panel, distances, window))),
        }
    )
    for name, other in (
        ("Aitchison, taxa in 10% of samples", aitchison(shares)),
        ("Aitchison, taxa in 30% of samples", aitchison(shares, 0.3)),
        ("Jaccard, taxa found or not", _jaccard(panel.stool.found)),
        ("Bray-Curtis, taxa in 30% of samples", bray_curtis(closure(PrevalenceFilter(0.3).fit_transform(shares)))),
    ):
        rows.append({"": name, **_row(donor_specific_convergence(*panel.approach(other, window)[:2]))})
    for later in [*afterwards[1:], whole]:
        rows.append({"": later.name, **_row(donor_specific_convergence(*panel.approach(distances, later)[:2]))})
    if panel.of_gift:
        found = donor_specific_convergence(*panel.approach(distances, window, given=True)[:2])
        # One stool varies more than the mean of several, so that it cannot be exchanged with the others'.
        rows.append({"": "the very stool given", **_row(found), "p": math.nan})
    scores, own, names = panel.approach(distances, window, givers=True)
    if not own.all(axis=1).any():
        rows.append({"": "only donors with recipients", **_row(donor_specific_convergence(scores, own))})
    for patient in _alike(cohort, panel.recipients):
        scores, own, names = panel.approach(distances, window, without=patient)
        if names:
            row = _row(donor_specific_convergence(scores, own))
            rows.append({"": f"without {panel.codes[patient]}, whose stool is very like another patient's", **row})
    return pd.DataFrame(rows)


def _in_other_ways(depends: pd.DataFrame) -> str:
    """Return how far the estimate, the first row, outlasts being looked at in other ways, the others."""
    first, others = depends.iloc[0], depends.iloc[1:]
    same = np.sign(others["by recipient"]) == np.sign(first["by recipient"])
    clear = same & (others["95% low"] * others["95% high"] > 0)
    told = f"; not in: {'; '.join(others.loc[~clear, ''])}" if clear.any() and not clear.all() else ""
    return (
        f"What it depends on: of {len(others)} other ways to look (a table below), {same.sum()} have the same sign, "
        f"and {clear.sum()} an interval by recipient without 0{told}."
    )


def _adjusted(panel: _Panel, distances: Matrix, window: Window) -> tuple[Matrix, Flags]:
    """Return distances in a window less what the distances before foretell, (n_recipients, n_donors); and who gave.

    Who begins far from a donor comes nearer by chance alone. How much, all pairs within recipients tell, so that the
    slope is the same whoever gave to whom.
    """
    change, own, names = panel.approach(distances, window)
    before = panel.stool.means(panel.to_donors(distances), panel.stool.windows[0]).loc[names].to_numpy()
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (before, before + change))
    slope = (x * y).sum() / max(float((x**2).sum()), 1e-300)
    return np.asarray(y - slope * x), own


def _jaccard(found: Matrix) -> Matrix:
    """Return Jaccard's distances, (n_samples, n_samples); NaN of samples too shallow to tell what was found."""
    distances = squareform(pdist(found >= 0.5, "jaccard"))
    shallow = np.isnan(found).any(axis=1)
    distances[shallow] = distances[:, shallow] = np.nan
    return np.asarray(distances)


def _chance(found: DonorConvergence) -> str:
    floor = f"; so few donors allow none below {found.least_p:.2g}" if found.least_p > 0.05 else ""
    return p_text(found.p) + floor


def _alike(cohort: Cohort, recipients: list[str]) -> list[str]:
    """Return the recipients whose stool the audit finds as like another person's as if it were one person's."""
    named = {
        name
        for finding in similar_profiles([cohort])
        for row in finding.rows
        for name in re.sub(r" \([\d.]+\)$", "", row).split(" and ")
    }
    return [one for one in recipients if one in named]


def _engraftment(panel: _Panel) -> Part:
    found = panel.stool.found
    donors = np.nan_to_num(panel.of_donor) @ np.nan_to_num(found)
    window = next(one for one in panel.stool.windows[1:] if set(panel.recipients) & set(panel.stool.taken(one)))
    before, after = (panel.stool.means(found, one).dropna() for one in (panel.stool.windows[0], window))
    names = [one for one in panel.recipients if one in before.index and one in after.index]
    if not names or np.isnan(found[panel.of_donor.any(axis=0)]).any():
        return Part(missing=("taxa gained and lost: samples are too shallow to compare at equal depth",))
    own = panel.own[[panel.recipients.index(one) for one in names]]
    was, now = before.loc[names].to_numpy(), after.loc[names].to_numpy()
    sides, rows, summary = {}, [], []
    for what, scores, whose in (
        ("gained", share_gained(was, now, donors), "donor-only"),
        ("lost", share_lost(was, now, donors), "recipient-only"),
    ):
        known = np.isfinite(scores).all(axis=1)
        if not known.any():
            continue
        result = donor_specific_convergence(scores[known], own[known])
        mine, others = _of_sides(scores, own)
        sides[what] = mine, others
        rows.append({"": f"{whose} taxa {what}", **_sides(scores[known], own[known]), **_row(result)})
        difference = Estimate(
            *(100 * end for end in (result.recipient_mean.value, result.recipient_mean.low, result.recipient_mean.high))
        )
        summary.append(
            f"Of {whose} taxa, {mine[known].mean():.0%} were {what} by {window.name} with the own donor and "
            f"{others[known].mean():.0%} with unrelated donors: a difference of "
            f"{estimate_text(difference, 1)} percentage points, mean of "
            f"{count_noun(result.n, 'recipient')} of {count_noun(result.n_donors, 'donor')} ({_chance(result)})."
        )  # fmt: skip
    if not sides:
        return Part(missing=("taxa gained and lost: no taxon is a donor's alone, or a recipient's alone",))
    table = pd.DataFrame(
        {
            "patient": [panel.codes[one] for one in names],
            "donor": [_donors_of(panel, row) for row in own],
            "donor-only taxa": ((1 - was) * (own @ donors / own.sum(axis=1, keepdims=True))).sum(axis=1),
            "recipient-only taxa": (was * (1 - own @ donors / own.sum(axis=1, keepdims=True))).sum(axis=1),
            **{f"{what}, own donor": mine for what, (mine, _) in sides.items()},
            **{f"{what}, unrelated donors": others for what, (_, others) in sides.items()},
        }
    )
    depth = "at equal depth (expected over rarefaction)" if panel.stool.counts else "from a proportion of 0.0001"
    return Part(
        summary=tuple(summary),
        headlines=tuple(summary[:1]),
        figures={
            "engraftment": ReportFigure(
                f"Taxa of the donor alone that the recipient had {window.name}, and taxa of the recipient alone that "
                "were gone: with the own donor (green) and, what chance and regression give, with unrelated donors "
                "(grey). By recipient.",
                partial(_dumbbells, table["patient"] + "  " + table["donor"], sides),
            )
        },
        tables={
            "engraftment": ReportTable(
                caption=f"Taxa gained and lost, found {depth}; shares of the mean over donors' stool.",
                frame=table,
                percent_columns=tuple(table.columns[4:]),
            ),
            "engraftment_estimates": ReportTable(
                caption="Shares of taxa gained and lost, with the own donor and with unrelated donors, and the "
                "difference in "
                "percentage points.",
                frame=pd.DataFrame(rows).rename(columns={"by recipient": "difference, by recipient"}),
                percent_columns=(*_SIDES, "difference, by recipient", "95% low", "95% high", *_BY_DONOR),
            ),
        },
        notes=(
            f"Taxa gained and lost: found {depth}; the last sample {_before(panel)} and the mean over samples "
            f"{window.name}; n = {len(names)} recipients. Compatible with engraftment, no proof: a species "
            "table cannot tell a donor's strain from the recipient's own, grown from below detection. Intervals and "
            "tests as for distances.",
        ),
        methods=(
            f"A taxon counted as found {depth}"
            + (" (Hurlbert 1971)" if panel.stool.counts else "")
            + "; the shares of donor-only taxa gained and of recipient-only taxa lost were set against those with "
            "unrelated donors in place of the own.",
        ),
    )


def _lines(panel: _Panel, distances: Matrix) -> Figure:
    to, samples = panel.to_donors(distances), panel.stool.recipients
    columns = min(5 if len(panel.recipients) <= 30 else 8, len(panel.recipients))
    rows = -(-len(panel.recipients) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.25 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(panel.recipients) :]:
        axes.set_visible(False)
    for axes, patient, own in zip(panels, panel.recipients, panel.own, strict=False):
        mine = samples[samples["patient"] == patient]
        scores = to[[panel.stool.at[at] for at in mine.index]]
        days, others = mine["time"].to_numpy(), scores[:, ~own]
        axes.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
        axes.fill_between(days, others.min(axis=1), others.max(axis=1), color=PALE, alpha=0.25, linewidth=0)
        axes.plot(days, others.mean(axis=1), color=PALE, marker=".", markersize=3, linewidth=1)
        axes.plot(days, scores[:, own].mean(axis=1), color=GREEN, marker="o", markersize=2.5, linewidth=1.3)
        axes.set_title(f"{panel.codes[patient]}, donor {_donors_of(panel, own)}", loc="left", fontsize=7)
    day_axis(panels[0], samples["time"].to_numpy())
    figure.supxlabel("days since transplant", fontsize=8)
    figure.supylabel("Bray-Curtis distance to donors", fontsize=8)
    return figure


def _forest(panel: _Panel, found: DonorConvergence, own: Flags, names: list[str]) -> Figure:
    order = sorted(range(len(names)), key=lambda at: (np.flatnonzero(own[at]).tolist(), found.by_recipient[at]))
    figure = Figure(figsize=(WIDTH, 0.9 + min(0.19 * (len(names) + 3), 8)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=PALE, linewidth=0.8)
    labels, at, last = [], 0, None
    for one in order:
        donor = _donors_of(panel, own[one])
        if last not in (None, donor):
            axes.axhline(at - 0.5, color=PALE, linewidth=0.4)
        last = donor
        axes.plot(found.by_recipient[one], at, "o", color=GREEN, markersize=4)
        labels.append(f"{panel.codes[names[one]]}, donor {donor}")
        at += 1
    axes.axhline(at - 0.5, color=PALE, linewidth=0.8)
    for name, mean, colour in (
        (f"mean of {found.n} recipients", found.recipient_mean, VERMILION),
        (f"mean of {found.n_donors} donors", found.donor_mean, BLUE),
    ):
        axes.plot([mean.low, mean.high], [at, at], color=colour)
        axes.plot(mean.value, at, "D", color=colour, markersize=5)
        said = f"{mean.value:.3f}" + ("" if np.isnan(mean.low) else f" ({mean.low:.3f} to {mean.high:.3f})")
        axes.text(1.01, at, said, transform=axes.get_yaxis_transform(), va="center")
        labels.append(name)
        at += 1
    axes.set_yticks(range(at), labels)
    axes.set(
        ylim=(at - 0.4, -0.6), xlabel="change of distance to the own donor minus to unrelated donors; 95% intervals"
    )
    axes.tick_params(axis="y", length=0)
    return figure


def _dumbbells(labels: pd.Series[str], sides: Mapping[str, tuple[Vector, Vector]]) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.9 + min(0.17 * len(labels), 8)), layout="constrained")
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False)[0]
    titles = {"gained": "donor-only taxa gained", "lost": "recipient-only taxa lost"}
    at = np.arange(len(labels))
    for axes, (what, (mine, others)) in zip(panels, sides.items(), strict=True):
        axes.hlines(at, mine, others, color=PALE, linewidth=0.8)
        axes.plot(others, at, "o", color=PALE, markersize=4, label="unrelated donors")
        axes.plot(mine, at, "o", color=GREEN, markersize=4, label="own donor")
        axes.set(xlabel="share", xlim=(0, None))
        axes.set_title(titles[what], loc="left")
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    panels[0].set_yticks(at, labels)
    panels[0].invert_yaxis()
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
