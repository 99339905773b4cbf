"""The section of the microbiome: composition, diversity, ordination, tests of groups, and taxa that change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from features.cohort import Cohort
from features.donors import donor_samples_given
from features.outcomes import RESPONSES, definition_of
from features.trajectories import WINDOWS, Window
from features.transforms import AlphaDiversity
from training.drawing import BLUE, COLOURS, GREEN, INK, PALE, REST, VERMILION, WIDTH
from training.statistics.arrays import Names
from training.statistics.distances import MIN_PREVALENCE, aitchison, bray_curtis, log_ratios
from training.statistics.metrics import Estimate
from training.statistics.paired_changes import paired_changes
from training.statistics.pcoa import principal_coordinates
from training.statistics.permanova import permanova
from training.statistics.permdisp import Permdisp, permdisp
from training.statistics.permutation_design import PseudoFTest
from training.study.analysis.arms import arms
from training.study.formatting import estimate_text, p_text, windows_text
from training.study.section import Part, ReportFigure, ReportTable, Section, join_parts
from training.study.stool import Stool, at_genus, day_axis, stool

Matrix = NDArray[np.float64]

NAME, TITLE = "microbiome", "Microbiome"
SHOWN = 12
"""Taxa that the composition names."""
BARS = 60
"""Bars in a row of the composition."""
MOST_PATHS = 60
"""Patients up to whom each one's path is drawn."""
SHADES = (
    *COLOURS[:6], "#F0E442", "#332288", "#88CCEE", "#882255", "#999933", "#DDCC77",
)  # fmt: skip
LEVEL = 0.05
LEAST_TOLD = 0.01
"""The least p that a design allows, above which it is said."""
MOST_TOLD = 8
"""Tests of groups that have a sentence, at most: those between visits, and those that stand."""
CARRIERS = 0.5
"""Share of patients in whom a taxon was found, from which its change is tested."""


def microbiome_section(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Section:
    """Return the composition of patients' and donors' stool, its change over time, and what groups explain of it."""
    found = stool(cohort, windows)
    if found.recipients.empty:
        return Section(name=NAME, title=TITLE, missing=("microbiome: no patient's stool in which anything was found",))
    distances = {"Bray-Curtis": bray_curtis(found.proportions), "Aitchison": aitchison(found.proportions)}
    parts = [
        _composition(found, cohort),
        _diversity(found),
        _ordination(found, cohort, distances),
        _groups(found, cohort, distances),
        _taxa(found),
    ]
    return join_parts(NAME, TITLE, parts)


def alpha_diversity(found: Stool) -> pd.DataFrame:
    """Return Shannon's entropy (nats) and the number of taxa found at equal depth, a row a sample."""
    shannon = AlphaDiversity().fit_transform(found.proportions)[:, 1]
    return pd.DataFrame({"shannon": shannon, "richness": found.found.sum(axis=1)})


def taxa_changes(found: Stool, *, seed: int = 0) -> pd.DataFrame:
    """Return how each taxon's centred log-ratio changed from the first window to each later one.

    Of taxa found in at least half of the patients. A taxon that was found neither before nor after has not been seen to
    change: its change is 0, and not the shift of the others' geometric mean. The mean of the patients' changes, with
    Student's interval, and p of exchanging their signs; q over all taxa and windows (Benjamini and Hochberg).

    Returns
    -------
    pandas.DataFrame
        `taxon`, `window`, `patients`, `before` and `after` (shares of patients in whom it was found), `change`, `low`
        and `high` (log2 fold), `p`, `q`; the least q first. Empty with fewer than two patients in two windows.
    """
    mine = np.array([found.at[at] for at in found.recipients.index])
    present = found.proportions > 0
    carriers = pd.DataFrame(present[mine]).groupby(found.recipients["patient"].to_numpy()).any().mean()
    kept = np.flatnonzero(carriers >= CARRIERS)
    ratios = np.full((len(present), len(kept)), np.nan)
    ratios[mine] = log_ratios(found.proportions[np.ix_(mine, kept)], 0)[0] / np.log(2)
    parts = []
    for window in found.windows[1:]:
        change = found.changes(ratios, window)
        if len(change) < 2 or not len(kept):
            continue
        before, after = (
            found.means(present[:, kept].astype(float), one).loc[change.index] > 0 for one in (found.windows[0], window)
        )
        part = pd.DataFrame({"taxon": [found.taxa[at] for at in kept], "window": window.name, "patients": len(change)})
        tested = paired_changes(change.where(before | after, 0.0).to_numpy(), seed=seed)
        parts.append(part.assign(before=before.mean(), after=after.mean()).join(tested))
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    return table.assign(q=false_discovery_control(table["p"])).sort_values(["q", "p"], kind="stable", ignore_index=True)


def _composition(found: Stool, cohort: Cohort) -> Part:
    shares, names, what = at_genus(cohort, found.proportions)
    most = np.argsort(-shares.mean(axis=0), kind="stable")[:SHOWN]
    listed = pd.DataFrame({"subject": found.samples["code"].to_numpy(), "time": found.samples["time"].to_numpy()})
    table = listed.join(pd.DataFrame(shares[:, most], columns=[names[at] for at in most]))
    table["other"] = np.maximum(1 - shares[:, most].sum(axis=1), 0)
    order = [*(found.at[at] for at in _by_code(found.recipients).index)]
    donors = found.samples[found.samples["donor"]]
    order += [found.at[at] for at in _by_code(donors).index]
    shown = table.iloc[order].reset_index(drop=True)
    caption = (
        f"Composition of {len(shown)} stool samples: the {len(most)} most abundant {what}, and all others (grey). "
    )
    caption += "Each group of bars is a patient, from the first sample to the last"
    caption += "; a dotted line parts before from after." if found.dated else "."
    caption += "" if donors.empty else " Donors stand last."
    drawing = ReportFigure(caption, partial(_bars, shown, found.dated))
    missing = ("donors beside the patients: no donor's stool; name it in samples.donor",) if donors.empty else ()
    return Part(
        figures={"composition": drawing},
        tables={
            "composition": ReportTable(
                caption=f"Proportions of the {len(most)} most abundant {what}.",
                frame=shown,
                percent_columns=tuple(shown.columns[2:]),
                supplementary=True,
            )
        },
        missing=missing,
    )


def _by_code(samples: pd.DataFrame) -> pd.DataFrame:
    number = samples["code"].str[1:].astype(int)
    return samples.assign(number=number).sort_values(["number", "time"], kind="stable")


def _bars(shown: pd.DataFrame, dated: bool) -> Figure:
    subjects = [part for _, part in shown.groupby("subject", sort=False)]
    rows: list[list[pd.DataFrame]] = [[]]
    for part in subjects:
        turned = rows[-1] and rows[-1][-1]["subject"].iloc[0][0] != part["subject"].iloc[0][0]
        if rows[-1] and (turned or sum(map(len, rows[-1])) + len(rows[-1]) + len(part) > BARS):
            rows.append([])
        rows[-1].append(part)
    longest = max(sum(map(len, row)) + len(row) for row in rows)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.05 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    taxa = list(shown.columns[2:])
    colours = [*SHADES[: len(taxa) - 1], REST]
    for axes, row in zip(panels, rows, strict=True):
        at, ticks, labels = 0.0, [], []
        left = np.concatenate([np.arange(len(part)) for part in row]) - 0.46
        left += np.repeat(np.cumsum([0, *(len(part) + 1 for part in row[:-1])]), [len(part) for part in row])
        top = pd.concat(row)[taxa].to_numpy().cumsum(axis=1)
        bottom = np.column_stack([np.zeros(len(top)), top[:, :-1]])
        # A bar for each taxon of each sample, one by one, would take most of the report's time.
        for low, high, taxon, colour in zip(bottom.T, top.T, taxa, colours, strict=True):
            corners = [(left, low), (left, high), (left + 0.92, high), (left + 0.92, low)]
            bars = list(np.stack([np.column_stack(corner) for corner in corners], axis=1))
            axes.add_collection(PolyCollection(bars, facecolors=colour, linewidths=0, label=taxon.replace("_", " ")))
        for part in row:
            before = int((part["time"] <= 0).sum())
            if dated and 0 < before < len(part):
                axes.axvline(at + before - 0.5, color=INK, linewidth=0.8, linestyle=":")
            ticks.append(at + (len(part) - 1) / 2)
            labels.append(part["subject"].iloc[0])
            at += len(part) + 1
        axes.set_xticks(ticks, labels, fontsize=6)
        axes.set(xlim=(-0.8, longest - 0.8), ylim=(0, 1), yticks=(0, 1))
        axes.tick_params(axis="x", length=0)
    handles, names = panels[0].get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside right upper", fontsize=6)
    figure.supylabel("proportion", fontsize=8)
    return figure


def _diversity(found: Stool) -> Part:
    values = alpha_diversity(found)
    richness = "expected number of taxa at equal depth" if found.counts else "taxa of a proportion of at least 0.0001"
    names, given = {"shannon": "Shannon's entropy, nats", "richness": richness}, found.samples["donor"].any()
    rows: list[dict[str, str | float]] = []
    for window in found.windows[1:]:
        for at, (column, name) in enumerate(names.items()):
            change = found.changes(values[[column]].to_numpy(), window)
            if len(change) < 2:
                continue
            before = found.means(values[[column]].to_numpy(), found.windows[0]).loc[change.index, 0].mean()
            tested = paired_changes(change.to_numpy(), seed=at).iloc[0]
            rows.append({"": name, "window": window.name, "patients": len(change), "before": before, **tested})
    table = pd.DataFrame(rows)
    summary: tuple[str, ...] = ()
    if rows:
        first = table.iloc[0]
        said = estimate_text(Estimate(first["change"], first["low"], first["high"]), 2)
        summary = (
            f"Shannon's entropy changed by {said} nats by {first['window']}, the mean of {first['patients']:.0f} "
            f"patients ({p_text(first['p'])}{_floor(int(first['patients']))}).",
        )
        table["q"] = false_discovery_control(table["p"])
    return Part(
        summary=summary,
        figures={
            "diversity": ReportFigure(
                f"Alpha diversity over time, a line a patient{', donors (green) beside' if given else ''}: Shannon's "
                f"entropy, and the {richness}.",
                partial(_diversity_figure, found, values, names),
            )
        },
        tables={"diversity": ReportTable(caption="Change of alpha diversity since the first window.", frame=table)}
        if rows
        else {},
        missing=() if rows else ("change of diversity: it takes two patients with stool in two windows",),
        notes=(
            f"Alpha diversity: mean of the patients' changes from the last sample {found.windows[0].name} to the mean "
            "of a window's samples; 95% interval by Student's t; p by exchanging signs, two-sided, exact up to 13 "
            "patients; q by Benjamini and Hochberg over this table."
            + ("" if found.counts else " Profiles without counts tell no depth, and deeper samples show more taxa."),
        ),
        methods=(
            "Alpha diversity was Shannon's entropy (natural logarithm) and the "
            + (f"{richness} (Hurlbert 1971)." if found.counts else f"number of {richness}."),
        ),
    )


def _floor(n: int) -> str:
    """Return what to say of a test that cannot reach the level, whatever the data."""
    least = 2.0 ** (1 - n)
    return f"; with {n} no exact two-sided test goes below {least:.4g}" if least > LEVEL else ""


def _diversity_figure(found: Stool, values: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    donors = [found.at[at] for at in found.samples.index[found.samples["donor"]]]
    panels = figure.subplots(1, 2 * len(names), width_ratios=[6, 1 if donors else 0.01] * len(names))
    for left, right, column, name in zip(panels[::2], panels[1::2], names, names.values(), strict=True):
        for _, mine in found.recipients.groupby("patient"):
            left.plot(mine["time"], values[column].iloc[[found.at[at] for at in mine.index]],
                      color=BLUE, alpha=0.5, linewidth=0.8, marker=".", markersize=3)  # fmt: skip
        if found.dated:
            left.axvline(0, color=PALE, linewidth=0.6, linestyle=":")
            day_axis(left, found.recipients["time"].to_numpy())
        left.set_title(name, loc="left", fontsize=7)
        left.set_xlabel("day" if found.dated else "visit")
        right.sharey(left)
        right.set_visible(bool(donors))
        right.plot(np.linspace(-0.3, 0.3, len(donors)), values[column].iloc[donors], "D", color=GREEN, markersize=3)
        right.set(xlim=(-0.6, 0.6))
        right.set_xticks([0], ["donors"])
        right.tick_params(axis="y", labelleft=False, length=0)
        right.spines["left"].set_visible(False)
    return figure


def _ordination(found: Stool, cohort: Cohort, distances: Mapping[str, Matrix]) -> Part:
    if len(found.samples) < 3:
        return Part(missing=("ordination: it takes three stool samples",))
    drawn = {name: principal_coordinates(one) for name, one in distances.items()}
    patients = list(dict.fromkeys(_by_code(found.recipients)["patient"]))
    caption = (
        "Principal coordinates of {}: patients' samples before (open), after (filled), joined in the order of time"
    )
    caption += "; donors (green)." if found.samples["donor"].any() else "."
    figures = {"ordination": ReportFigure(caption.format("both distances"), partial(_maps, found, drawn))}
    if len(patients) <= MOST_PATHS:
        of = {one: set(donors) for one, donors in donor_samples_given(cohort).items()}
        figures["paths"] = ReportFigure(
            "Each patient's path on the principal coordinates of Bray-Curtis distances, from the first sample (open) "
            "to the last (filled); donors are diamonds, the patient's own filled; all other stool is grey.",
            partial(_paths, found, drawn["Bray-Curtis"], patients, of),
        )
    held = ", ".join(f"{name} {share[:2].sum():.0%}" for name, (_, share) in drawn.items())
    return Part(
        figures=figures,
        notes=(
            f"Principal coordinates: the two axes hold, of the sum of positive eigenvalues, {held}; what lies off "
            "them is not seen, and nearness in the plane is not nearness.",
        ),
        methods=(
            f"Distances were Bray-Curtis on proportions and Aitchison's on taxa found in at least "
            f"{MIN_PREVALENCE:.0%} of "
            "samples, zeros replaced by half the smallest proportion found (Martín-Fernández et al. 2003); both were "
            "drawn by principal coordinates (Gower 1966).",
        ),
    )


def _maps(found: Stool, drawn: Mapping[str, tuple[Matrix, Matrix]]) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    few = found.recipients["patient"].nunique() <= len(COLOURS)
    for axes, (name, (at, share)) in zip(figure.subplots(1, len(drawn)), drawn.items(), strict=True):
        for number, (_, mine) in enumerate(_by_code(found.recipients).groupby("number")):
            points, colour = at[[found.at[one] for one in mine.index]], COLOURS[number] if few else BLUE
            axes.plot(*points.T, color=colour, linewidth=0.6, alpha=0.6 if few else 0.25)
            before = mine["time"].between(found.windows[0].first, found.windows[0].last).to_numpy()
            label = mine["code"].iloc[0] if few else None
            axes.plot(*points[~before].T, "o", color=colour, markersize=3, alpha=0.8 if few else 0.5, label=label)
            axes.plot(*points[before].T, "o", color=colour, markersize=4, markerfacecolor="white")
        donors = at[[found.at[one] for one in found.samples.index[found.samples["donor"]]]]
        axes.plot(*donors.T, "D", color=GREEN, markersize=4, linestyle="", label="donors" if len(donors) else None)
        _axes_named(axes, share)
        axes.set_title(name, loc="left")
    if few or len(donors):
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7)
    return figure


def _axes_named(axes: mpl.axes.Axes, share: Matrix) -> None:
    axes.set(xlabel=f"axis 1, {share[0]:.0%}", ylabel=f"axis 2, {share[1]:.0%}", xticks=[], yticks=[])


def _paths(found: Stool, drawn: tuple[Matrix, Matrix], patients: Sequence[str], of: Mapping[str, set[str]]) -> Figure:
    at, share = drawn
    columns = min(len(patients), 5 if len(patients) <= 20 else 8)
    rows = -(-len(patients) // columns)
    figure = Figure(figsize=(WIDTH, 0.4 + WIDTH / columns * rows * 0.95), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    donors = found.samples[found.samples["donor"]]
    for axes in panels[len(patients) :]:
        axes.set_visible(False)
    for axes, patient in zip(panels, patients, strict=False):
        mine = found.recipients[found.recipients["patient"] == patient]
        points = at[[found.at[one] for one in mine.index]]
        own = donors["patient"].isin(of.get(patient, set()))
        axes.plot(*at.T, ".", color=PALE, alpha=0.5, markersize=3, markeredgewidth=0)
        axes.plot(*at[[found.at[one] for one in donors.index[~own]]].T, "D", color=GREEN, markersize=2.5,
                  markerfacecolor="none", markeredgewidth=0.5)  # fmt: skip
        axes.plot(*at[[found.at[one] for one in donors.index[own]]].T, "D", color=GREEN, markersize=4)
        axes.plot(*points.T, color=BLUE, linewidth=0.9)
        axes.plot(*points[:1].T, "o", color=BLUE, markersize=4, markerfacecolor="white")
        axes.plot(*points[-1:].T, "o", color=BLUE, markersize=4)
        axes.set(xticks=[], yticks=[])
        axes.set_title(mine["code"].iloc[0], loc="left", fontsize=7)
    figure.supxlabel(f"axis 1, {share[0]:.0%}", fontsize=8)
    figure.supylabel(f"axis 2, {share[1]:.0%}", fontsize=8)
    return figure


def _groups(found: Stool, cohort: Cohort, distances: Mapping[str, Matrix]) -> Part:
    rows: list[dict[str, Any]] = []
    for asked in _questions(found, cohort):
        for name, whole in distances.items():
            part = whole[np.ix_(np.array(asked.taken), np.array(asked.taken))]
            place = permanova(part, asked.groups, blocks=asked.within)
            spread = permdisp(part, asked.groups, blocks=asked.within)
            subjects = found.samples["patient"].iloc[asked.taken].nunique()
            asks = {"": asked.words, "distance": name, "subjects": subjects, "samples": len(asked.taken)}
            rows.append({**asks, **_tested(place, spread), "permuted": f"{asked.permuted}, {place.permutations}"})
    if not rows:
        return Part(
            missing=(
                "tests of groups: too few patients with stool in two windows, with a known response, or beside donors",
            ),
        )
    table = pd.DataFrame(rows)
    table["q"] = false_discovery_control(table["PERMANOVA p"])
    last = ["q", "spread p", "permuted"]
    table = table[[*table.columns.drop(last), *last]]
    summary = [
        f"{(table['q'] < LEVEL).sum()} of {len(table)} tests of groups, each question asked by two distances, stand at "
        f"a false discovery rate of {LEVEL:.0%}."
    ]
    told = (table["distance"] == "Bray-Curtis") & (
        table["permuted"].str.startswith("within patients") | (table["q"] < LEVEL)
    )
    for row in table[told][:MOST_TOLD].to_dict("records"):
        floor = f", the least possible {row['least p']:.2g}" if row["least p"] > LEAST_TOLD else ""
        summary.append(
            f"Composition, {row['']}: R² = {row['R²']:.2f}{_of_what(row['permuted'])}, "
            f"{p_text(row['PERMANOVA p'])}{floor}, q = {row['q']:.2g} (PERMANOVA, Bray-Curtis, "
            f"{row['subjects']} subjects)."
        )
    return Part(
        summary=tuple(summary),
        headlines=tuple(summary[:2]),
        tables={
            "groups": ReportTable(
                caption="What groups explain of distances between stool samples. A difference of location "
                "(PERMANOVA) where "
                "spread differs too may be one of spread.",
                frame=table,
            )
        },
        notes=(
            "PERMANOVA: time with the patient in the model, one sample a window, permuted within patients, its R² of "
            "the variation within patients; response and arm by whole patients, window by window; donors, and patients "
            "against donors, with one sample of each subject. All permutations where they are at most 9999, else 9999 "
            "random ones and the data; q by Benjamini and Hochberg over this table. Spread: distances to the groups' "
            "centroids, corrected for group size, by an analysis of variance that knows how the centroid correlates "
            "them; between visits with the centroids laid upon one another, permuted within patients. Whole donors are "
            "exchanged where the distance to the own donor is tested, below.",
        ),
        methods=(
            "Groups were compared by PERMANOVA (Anderson 2001) under permutations restricted to the design (Anderson "
            "and ter Braak 2003), and in spread by distances to centroids (Anderson 2006), weighted for their "
            "correlation (O'Neill and Mathews 2000), between visits by permutation within patients.",
        ),
    )


def _of_what(permuted: str) -> str:
    return " of the variation within patients" if permuted.startswith("within patients") else ""


def _tested(place: PseudoFTest, spread: Permdisp) -> dict[str, float]:
    return {
        "pseudo-F": place.f,
        "R²": place.r2,
        "PERMANOVA p": place.p,
        "least p": place.least_p,
        "spread p": spread.p,
    }


class _Question(NamedTuple):
    """In words, what is permuted, the samples, their groups, and the blocks that restrict permutation."""

    words: str
    permuted: str
    taken: list[int]
    groups: Names
    within: Names | None = None


def _questions(found: Stool, cohort: Cohort) -> Iterator[_Question]:
    # The last before, and the first of a later window: one visit a window.
    one = {window: {name: mine[0] for name, mine in found.taken(window).items()} for window in found.windows}
    before = one[found.windows[0]]
    for window in found.windows[1:]:
        both = [name for name in before if name in one[window]]
        if len(both) > 1:
            taken = [at for name in both for at in (before[name], one[window][name])]
            groups, within = _names(["before", "after"] * len(both)), _names(np.repeat(both, 2))
            words = f"between visits ({found.windows[0].name}; {window.name})"
            yield _Question(words, "within patients", taken, groups, within=within)
    # Window by window: who responds is sampled for longer, and what time does to all would be taken for response.
    for words, known in _groupings(cohort):
        for window, mine in one.items():
            listed = [name for name in mine if name in known.index]
            groups = _names([known[name] for name in listed])
            each = Counter(groups.tolist())
            if len(each) > 1 and min(each.values()) > 1:
                taken = [mine[name] for name in listed]
                yield _Question(f"{words} ({window.name})", "patients", taken, groups)
    donor = {name: next(iter(gave)) for name, gave in donor_samples_given(cohort).items() if len(gave) == 1}
    for window in found.windows[1:]:
        treated = [name for name in one[window] if name in donor]
        several = Counter(donor[name] for name in treated)
        treated = [name for name in treated if several[donor[name]] > 1]
        if len({donor[name] for name in treated}) > 1:
            taken, groups = [one[window][name] for name in treated], _names([donor[name] for name in treated])
            words = f"by donor, of recipients who share one ({window.name})"
            yield _Question(words, "patients", taken, groups)
    donors = found.samples[found.samples["donor"]].drop_duplicates("patient")
    for window, mine in one.items():
        if len(donors) > 1 and len(mine) > 1:
            taken = [*mine.values(), *(found.at[at] for at in donors.index)]
            groups = _names(["patients"] * len(mine) + ["donors"] * len(donors))
            yield _Question(f"patients ({window.name}) against donors", "subjects", taken, groups)


def _groupings(cohort: Cohort) -> Iterator[tuple[str, pd.Series[str]]]:
    """Yield what parts the patients: their response, and the arm where `patients.covariates` has one; by patient."""
    outcome = next((name for name in RESPONSES if name in cohort.labels.flags), None)
    if outcome is not None:
        known = cohort.labels.flags[outcome].dropna()
        yield f"by response, {definition_of(outcome)}", known.map({True: "yes", False: "no"})
    arm = arms(cohort)
    if len(arm):
        yield "by arm", arm


def _names(names: Iterable[str]) -> Names:
    return np.array(list(names), dtype=object)


def _taxa(found: Stool) -> Part:
    table = taxa_changes(found)
    if table.empty:
        return Part(
            missing=(
                "taxa that change: it takes two patients with stool in two windows; name samples.day or samples.visit",
            ),
        )
    changed = table[table["q"] < LEVEL]
    n = int(table["patients"].max())
    foremost = "; ".join(
        f"{one['taxon'].replace('_', ' ')}, {one['window']}, {one['change']:+.1f} ({one['low']:+.1f} to "
        f"{one['high']:+.1f}) log2 fold"
        for one in changed.head(4).to_dict("records")
    )
    summary = (
        f"{len(changed)} of {len(table)} changes of taxa ({table['taxon'].nunique()} taxa in "
        f"{table['window'].nunique()} windows, up to {n} patients) stand at a false discovery rate of "
        f"{LEVEL:.0%}{_floor(n)}{f'; foremost {foremost}' if foremost else ''}.",
    )
    drawing = ReportFigure(
        f"The {min(len(table), 24)} changes of taxa with the least p: mean log2 fold change of the centred log-ratio "
        f"since {found.windows[0].name}, with 95% intervals; filled where q < {LEVEL}.",
        partial(_changes_figure, table.head(24)),
    )
    return Part(
        summary=summary,
        headlines=summary,
        figures={"taxa": drawing},
        tables={
            "taxa": ReportTable(
                caption="Changes of taxa, by q; before and after: patients in whom it was found.",
                frame=table,
                percent_columns=("before", "after"),
            )
        },
        notes=(
            f"Taxa: centred log-ratios of the {table['taxon'].nunique()} taxa found in at least {CARRIERS:.0%} of "
            "patients; a change is relative to the geometric mean of these, so that no taxon's is its own alone. One "
            "found neither before nor after counts as unchanged. Mean of the patients' changes, Student's 95% "
            "interval; p by exchanging signs, exact up to 13 patients; q by Benjamini and Hochberg over taxa and "
            "windows.",
        ),
        methods=(
            *([windows_text(found.windows)] if found.dated else []),
            "Taxa were compared between visits by centred log-ratios (Aitchison 1982), paired within patients, with "
            "sign-exchange tests (exact up to 13 patients, else of 9999 random signs) and false discovery control "
            "(Benjamini and Hochberg 1995).",
        ),
        metrics={"taxa_changed": float(len(changed))},
    )


def _changes_figure(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.8 + 0.18 * len(table)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=PALE, linewidth=0.8)
    for at, row in enumerate(table.to_dict("records")):
        colour = VERMILION if row["change"] > 0 else BLUE
        axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1)
        filled = colour if row["q"] < LEVEL else "white"
        axes.plot(row["change"], at, "o", color=colour, markersize=4, markerfacecolor=filled)
        said = f"q = {row['q']:.2g}, n = {row['patients']}"
        axes.text(1.01, at, said, transform=axes.get_yaxis_transform(), va="center", fontsize=7)
    names = table["taxon"].str.replace("_", " ") + ", " + table["window"]
    axes.set_yticks(range(len(table)), names, fontsize=7)
    axes.set(ylim=(len(table) - 0.4, -0.6), xlabel="log2 fold change of the centred log-ratio")
    axes.tick_params(axis="y", length=0)
    return figure
