"""Microbe-immune links: which taxa and analytes rise and fall together within patients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from features.cohort import Cohort
from features.trajectories import Trajectories, trajectories
from training.drawing import INK, WIDTH
from training.statistics.distances import log_ratios
from training.statistics.repeated_measures import (
    ALPHA,
    detectable_correlation,
    repeatedly_measured,
    rmcorr,
    rmcorr_permutation_test,
)
from training.study.formatting import count_noun, p_text
from training.study.section import ReportFigure, ReportTable, Section
from training.study.stool import at_genus

Matrix = NDArray[np.float64]
Patients = NDArray[Any]

NAME, TITLE = "links", "Microbe-immune links"
APART = 7.0
"""Days between stool and blood, at most, of one pair."""
PREVALENCE, MOST_TAXA = 0.2, 20
LEAST_DETECTED = 0.5
BEYOND = " beyond course"
MOST_TOLD = 6
STRETCHES = (0.0, 28.0, 89.0)
"""Last days of the stretches in which the common course is taken to be level: before, early, between, late."""


@dataclass(frozen=True)
class Paired:
    """Stool and blood of the same patient at about the same time.

    Attributes
    ----------
    patient : ndarray of str, (n_pairs,)
    course : ndarray, (n_pairs,)
        The visit; of days, which stretch of those that `STRETCHES` parts.
    taxa : tuple of str
    clr : ndarray, (n_pairs, n_taxa)
    analytes : tuple of str
    levels : ndarray, (n_pairs, n_analytes)
        log2; NaN where not measured.
    left_out : tuple of str
        Analytes that lay within the assay's range in fewer than half of the pairs' draws.
    rank : str
        What the taxa are: "genera", or "taxa" as read.
    """

    patient: Patients
    course: Patients
    taxa: tuple[str, ...]
    clr: Matrix
    analytes: tuple[str, ...]
    levels: Matrix
    left_out: tuple[str, ...]
    rank: str


def paired(cohort: Cohort, found: Trajectories) -> Paired | None:
    """Return the pairs of stool and blood; None where no patient has two.

    Of dated measurements, each draw of blood goes with the nearest stool at most `APART` days away, on the same side of
    day 0; of numbered visits, with the stool of the same visit. A stool goes with one draw, the nearest.
    """
    rows = found.rows.assign(within=found.rows["censored"] == "")
    blood = rows[["patient", "time"]].drop_duplicates()
    stool = cohort.samples.assign(stool=cohort.samples["day" if found.dated else "visit"])
    found_in = cohort.taxa.values.sum(axis=1) > 0
    stool = stool.loc[~stool["donor"] & stool["stool"].notna() & found_in, ["patient", "sample", "stool"]]
    pairs = blood.merge(stool, on="patient")
    pairs["gap"] = (pairs["time"] - pairs["stool"]).abs()
    near = pairs["gap"] <= (APART if found.dated else 0)
    if found.dated:
        near &= (pairs["time"] > 0) == (pairs["stool"] > 0)
    pairs = pairs[near].sort_values(["gap", "patient", "time"], kind="stable")
    pairs = pairs.drop_duplicates(["patient", "time"]).drop_duplicates("sample")
    pairs = pairs[pairs.duplicated("patient", keep=False)].sort_values(["patient", "time"])
    if pairs.empty:
        return None
    taxa, clr, rank = _prevalent(cohort, list(pairs["sample"]))
    index = pd.MultiIndex.from_frame(pairs[["patient", "time"]])
    wide = [
        rows.pivot_table(index=["patient", "time"], columns="analyte", values=name, aggfunc="mean").reindex(index)
        for name in ("log2", "within")
    ]
    often = wide[1].mean() >= LEAST_DETECTED
    kept = [name for name in wide[0].columns if often[name]]
    left_out = tuple(str(name) for name in wide[1].columns if not often[name])
    who = pairs["patient"].to_numpy(dtype=object).astype(str)
    time = pairs["time"].to_numpy()
    course = np.searchsorted(STRETCHES, time) if found.dated else time
    return Paired(who, course, taxa, clr, tuple(kept), wide[0][kept].to_numpy(), left_out, rank)


def _prevalent(cohort: Cohort, samples: list[str]) -> tuple[tuple[str, ...], Matrix, str]:
    """Return the most abundant of the prevalent genera, or of the taxa as read, their CLR, and what they are."""
    values, names, what = at_genus(cohort, cohort.taxa.take(samples).proportions().values.astype(np.float64))
    ratios, kept = log_ratios(values, PREVALENCE)
    top = np.sort(np.argsort(-values[:, kept].mean(axis=0), kind="stable")[:MOST_TAXA])
    return tuple(names[kept[i]] for i in top), ratios[:, top], what


def _permutations(pairs: Paired) -> int:
    """Return so many that the smallest p there is passes the first step of Benjamini and Hochberg."""
    return max(9999, 40 * len(pairs.taxa) * len(pairs.analytes))


def link_table(pairs: Paired, *, seed: int = 0) -> pd.DataFrame:
    """Return the repeated-measures correlation of each taxon with each analyte.

    Returns
    -------
    pandas.DataFrame
        `taxon`, `analyte`, `patients` and `draws` (of patients with several); `r`, `low`, `high` (95%), `p` by
        permutation within patients, and `q` (Benjamini-Hochberg over the table); the same of departures from what all
        patients do in the same stretch of time, under the names with `beyond course`, where r is NaN and p 1 when
        nothing is left.
    """
    lines, n = [], _permutations(pairs)
    for analyte, level in zip(pairs.analytes, pairs.levels.T, strict=True):
        known = ~np.isnan(level)
        kept, df = repeatedly_measured(pairs.patient[known])
        if df < 1:
            continue
        X, y, patient, course = pairs.clr[known], level[known], pairs.patient[known], pairs.course[known]
        draws = int(kept.sum())
        line: dict[str, Any] = {"analyte": analyte, "patients": draws - df - 1, "draws": draws}
        each = [line | {"taxon": taxon} for taxon in pairs.taxa]
        for of, beyond in (("", None), (BEYOND, course)):
            p = rmcorr_permutation_test(X, y, patient, beyond, n=n, seed=seed)[1]
            for one, column, chance in zip(each, X.T, p, strict=True):
                found = rmcorr(column, y, patient, beyond)
                one |= {f"r{of}": found.r, f"low{of}": found.low, f"high{of}": found.high, f"p{of}": 1.0}
                if not np.isnan(found.r):
                    one[f"p{of}"] = float(chance)
        lines += each
    told = [f"{name}{of}" for of in ("", BEYOND) for name in ("r", "low", "high", "p", "q")]
    table = pd.DataFrame(lines, columns=["taxon", "analyte", "patients", "draws", *told])
    return table.assign(**{f"q{of}": false_discovery_control(table[f"p{of}"]) if lines else [] for of in ("", BEYOND)})


def links_section(cohort: Cohort) -> Section:
    """Return the section on associations of taxa with analytes within patients."""
    found = trajectories(cohort)
    pairs = None if found is None else paired(cohort, found)
    table = pd.DataFrame() if pairs is None else link_table(pairs)
    if found is None or pairs is None or table.empty:
        why = (
            f"too few patients have stool and blood taken together twice or more (within {APART:g} days, or at one "
            "visit); such pairs would be correlated within patients here"
        )
        return Section(name=NAME, title=TITLE, missing=(why,))
    n, draws = int(table["patients"].max()), int(table["draws"].max())
    df = draws - n - len(np.unique(pairs.course))
    one, every = detectable_correlation(df), detectable_correlation(df, tests=len(table))
    links, shared = (table[table[f"q{of}"] <= ALPHA] for of in (BEYOND, ""))
    told = links if len(links) else table[table[f"r{BEYOND}"].notna()]
    said = "; ".join(
        f"{row['taxon']} with {row['analyte']} r = {row[f'r{BEYOND}']:.2f} ({row[f'low{BEYOND}']:.2f} to "
        f"{row[f'high{BEYOND}']:.2f}, {p_text(row[f'p{BEYOND}'])}, q = {row[f'q{BEYOND}']:.2g})"
        for _, row in told.sort_values(f"p{BEYOND}", kind="stable").head(MOST_TOLD if len(links) else 1).iterrows()
    )
    together = f"at most {APART:g} days apart, both before or both after day 0" if found.dated else "at one visit"
    stretches = (
        f"each stretch of days up to {', '.join(f'{d:g}' for d in STRETCHES)} and later"
        if found.dated
        else "each visit"
    )
    missing = [
        "within the assay's range in fewer than half of the pairs' draws, so not correlated: "
        f"{', '.join(pairs.left_out)}"
    ]
    drawing = ReportFigure(
        f"Repeated-measures correlation of {pairs.rank} (CLR) with analytes (log2) within {n} patients, {draws} pairs, "
        "left, and of departures from the common course, right; dots: q at most 0.05.",
        partial(_heat_map, table),
    )
    of = f"{len(pairs.taxa)} {pairs.rank} with {table['analyte'].nunique()} analytes"
    summary = (
        f"{draws} pairs of stool and blood, {together}, of {count_noun(n, 'patient')} with at least two: beyond the "
        f"course that all patients share, {len(links)} of {len(table)} correlations within patients, of {of}, pass a "
        "false discovery rate of 5%; "
        f"{'foremost ' if len(links) > MOST_TOLD else '' if len(links) else 'the likeliest is '}"
        f"{said or 'none can be told from the course in so few draws'}.",
        f"With the common course left in, {count_noun(len(shared), 'correlation')} would stand: what follows the same "
        "event moves together without acting on one another.",
        f"With {df} degrees of freedom, a single correlation had to be {one:.2f} or stronger to be found with 80% "
        f"power, and {every:.2f} to pass as the only one among {len(table)}: weaker links would mostly have been "
        "missed.",
    )
    return Section(
        name=NAME,
        title=TITLE,
        summary=summary,
        headlines=summary[:1],
        figures={"links": drawing},
        tables={
            "links": ReportTable(
                caption="Correlations within patients, as they are and beyond the common course: of departures "
                "from what all "
                "patients do in the same stretch of time. p by permutation within patients, q over the whole table.",
                frame=table.sort_values([f"p{BEYOND}", "taxon"], ignore_index=True),
            )
        },
        notes=(
            f"Correlations: repeated-measures correlation (common slope, an intercept for each patient), 95% interval "
            f"by Fisher's z with draws - patients - 1 degrees of freedom; two-sided p of {_permutations(pairs)} "
            f"permutations of draws within patients; Benjamini-Hochberg over {len(table)} pairs. Draws of one patient "
            f"are taken to be exchangeable: where each patient drifts in a way of its own, links are found in more "
            f"than 5%. Beyond the common course {stretches} has an intercept of its own, too, and departures are "
            "permuted (Freedman and Lane 1983). The interval and the smallest correlation are those of normal errors; "
            "n by row.",
            f"Taxa: those in at least {PREVALENCE:.0%} of the pairs' stools, zeros replaced, centred log-ratio over "
            f"them all; the {len(pairs.taxa)} most abundant are shown. Undetected levels stand at half the limit; "
            "analytes within the assay's range in fewer than half of the pairs are left out.",
        ),
        methods=(
            "Within-patient associations of centred log-ratio abundances with log2 concentrations were estimated by "
            "repeated-measures correlation (Bakdash and Marusich 2017), as they are and after the course common to all "
            "patients was taken out of both, and tested by permutation within patients, with false discovery rates "
            "after Benjamini and Hochberg (1995).",
        ),
        missing=tuple(missing if pairs.left_out else ()),
        metrics={"tested": float(len(table)), "found": float(len(links)), "smallest_r": one},
    )


def _heat_map(table: pd.DataFrame) -> Figure:
    taxa, analytes = (sorted(set(table[name])) for name in ("taxon", "analyte"))
    figure = Figure(figsize=(WIDTH, 1.6 + 0.19 * len(taxa)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, of, title in zip(panels, ("", BEYOND), ("within patients", "beyond the common course"), strict=True):
        wide, q = (
            table.pivot(index="taxon", columns="analyte", values=f"{name}{of}").loc[taxa, analytes].to_numpy()
            for name in ("r", "q")
        )
        image = axes.imshow(wide, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        row, column = np.nonzero(q <= ALPHA)
        axes.plot(column, row, "o", color=INK, markersize=3)
        axes.set_xticks(range(len(analytes)), analytes, rotation=90 if len(analytes) > 4 else 0)
        axes.tick_params(length=0)
        axes.set_title(title, fontsize=8)
    panels[0].set_yticks(range(len(taxa)), [taxon.replace("_", " ") for taxon in taxa])
    figure.colorbar(image, ax=panels, label="correlation", shrink=0.6)
    return figure
