"""Compare simulated stool and cytokines with published cohorts.

`python -m benchmarks.simulator_check benchmarks/simulator_check.png > benchmarks/simulator_check.md` reads the cohorts
from `TAXOKINE_DATA`, or from beside the project.

The tables show medians with quartiles. Comparisons between patients use each patient's earliest sample, and all named
species. In a "still" trial the transplant has no effect. Cytokines are compared with those of MOMS-PI, in pregnancy,
since no published cohort is known that reports them over an FMT.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist, pdist

from features.arrays import Matrix
from features.cohort import Cohort, read_cohort
from features.donors import donor_samples_given
from taxokine.simulation import ANALYTES, AS_PUBLISHED, Trial, simulate_trial
from training.drawing import GREEN, PALE, STYLE, VERMILION, WIDTH

WITHOUT_TRANSPLANT = ("lee_2022", "spencer_2021", "frankel_2017", "matson_2018", "mitox")
SIMULATED = {
    "simulated": Trial(),
    "simulated, still": Trial(transplant_effect=0.0),
    "simulated as published": AS_PUBLISHED,
    "simulated as published, still": replace(AS_PUBLISHED, transplant_effect=0.0),
}
HEADS = (
    "cohort", "patients", "species found per sample", "their share of all", "SD of ln abundance, species",
    "SD of ln abundance, patients", "Shannon (nats)", "Bray-Curtis, patients", "Bray-Curtis, visits of one",
    "own donor − others, before", "own donor − others, after day 21",
)  # fmt: skip


@dataclass(frozen=True)
class Stool:
    """A cohort's stool profiles, of recipients and donors."""

    name: str
    cohort: Cohort
    rests_until: float = np.inf

    @cached_property
    def values(self) -> Matrix:
        values = np.asarray(self.cohort.taxa.proportions().values, dtype=float)
        has_name = [not name.startswith("unclassified_") for name in self.cohort.taxa.taxa]
        values = values[:, np.array(has_name) & (values.max(axis=0) > 0)]
        return np.asarray(values / values.sum(axis=1, keepdims=True))

    @cached_property
    def earliest(self) -> Matrix:
        """Each patient's earliest sample, (n_patients, n_taxa)."""
        stool = self.cohort.samples[~self.cohort.samples["donor"]].sort_values("day", kind="stable")
        return self.values[stool.drop_duplicates("patient").index]

    @property
    def richness(self) -> Matrix:
        return (self.earliest > 0).sum(axis=1)

    @property
    def shannon(self) -> Matrix:
        p = self.earliest
        return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1)

    @property
    def between_patients(self) -> Matrix:
        return np.asarray(pdist(self.earliest, "braycurtis"))

    @property
    def spread(self) -> tuple[float, float]:
        """SDs of ln abundance between species, and between patients, of species present in at least half of them."""
        log = np.log(np.where(self.earliest > 0, self.earliest, np.nan))[:, (self.earliest > 0).mean(axis=0) >= 0.5]
        return float(np.nanmean(log, axis=0).std()), float(np.median(np.nanstd(log, axis=0)))

    @property
    def within_patients(self) -> Matrix:
        """Bray-Curtis between consecutive samples of one patient without a transplant between them."""
        stool = self.cohort.samples[~self.cohort.samples["donor"]].sort_values("day", kind="stable")
        stool = stool[stool["day"] <= self.rests_until]
        pairs = [pair for rows in stool.groupby("patient").groups.values() for pair in pairwise(rows)]
        return np.array([pdist(self.values[list(pair)], "braycurtis")[0] for pair in pairs])

    @property
    def excess(self) -> tuple[Matrix, Matrix]:
        """Bray-Curtis to the own donor minus that to other donors, by patient: before, and after day 21."""
        samples, donors_of = self.cohort.samples, donor_samples_given(self.cohort)
        donor = samples["donor"].to_numpy()
        stool = samples[samples["patient"].isin(donors_of)]
        is_own_donor = np.array([samples["patient"][donor].isin(donors_of[patient]) for patient in stool["patient"]])
        if stool.empty:
            return np.array([]), np.array([])
        distance = cdist(self.values[stool.index], self.values[donor], "braycurtis")
        contrast = stool.assign(
            excess=distance.mean(axis=1, where=is_own_donor) - distance.mean(axis=1, where=~is_own_donor)
        )
        baseline, follow_up = (
            contrast[days].groupby("patient")["excess"].mean() for days in (contrast["day"] < 0, contrast["day"] > 21)
        )
        return baseline.to_numpy(), follow_up.to_numpy()

    @property
    def row(self) -> str:
        species, patients = self.spread
        n_taxa, richness = self.values.shape[1], np.median(self.richness)
        cells = [
            self.name, f"{len(self.earliest)}", f"{richness:.0f}", f"{richness / n_taxa:.2f}", f"{species:.2f}",
            f"{patients:.2f}", *map(_median_and_quartiles, (self.shannon, self.between_patients, self.within_patients)),
            *map(_median_and_quartiles, self.excess),
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the tables as Markdown and write the figure that the command line names."""
    figure = Path(sys.argv[1])
    print(__doc__, f"![Stool before treatment, simulated and published]({figure.name})", sep="\n", end="\n\n")
    data = Path(os.environ.get("TAXOKINE_DATA", Path(__file__).parents[2] / "shared" / "cohorts"))
    with tempfile.TemporaryDirectory() as scratch:
        cohorts = {name: read_cohort(name, data, fetch=False) for name in (*WITHOUT_TRANSPLANT, "davar_2021", "momspi")}
        for name, trial in SIMULATED.items():
            path = simulate_trial(Path(scratch) / name, trial)
            cohorts[name] = read_cohort(path, data, fetch=False)
        stools = [
            Stool(name, cohort, np.inf if name in WITHOUT_TRANSPLANT or "still" in name else 0)
            for name, cohort in cohorts.items()
            if name != "momspi"
        ]
        # Donors are read from the simulated files, which exist only inside this block.
        _print(HEADS, [stool.row for stool in stools])
    spreads = {name: _spreads(cohorts[name]) for name in ("momspi", *SIMULATED) if name == "momspi" or "still" in name}
    common = [name for name in ANALYTES if all(name in spreads_of_cohort for spreads_of_cohort in spreads.values())]
    _print(
        ("SD of ln concentration, between persons / within one", *spreads),
        [
            f"| {name} | {' | '.join(spreads_of_cohort[name] for spreads_of_cohort in spreads.values())} |"
            for name in common
        ],
    )
    with mpl.rc_context(STYLE):
        _figure([stool for stool in stools if "still" not in stool.name]).savefig(figure, dpi=150)


def _print(heads: Sequence[str], rows: Sequence[str]) -> None:
    print(f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *rows, sep="\n", end="\n\n")


def _spreads(cohort: Cohort) -> dict[str, str]:
    """Return each analyte's SDs between and within persons, by one-way ANOVA of values within the assay's range."""
    assert cohort.immune is not None
    assert cohort.manifest.immune is not None
    rows = cohort.immune.rows[(cohort.immune.rows["censored"] == "") & (cohort.immune.rows["value"] > 0)]
    spreads = {}
    for analyte, rows_of_analyte in rows.groupby("analyte"):
        log = np.log(rows_of_analyte["value"]).groupby(rows_of_analyte["patient"])
        n, persons = len(rows_of_analyte), log.ngroups
        if n - persons < 20:
            continue
        within_variance = float((log.var(ddof=0) * log.size()).sum() / (n - persons))
        between_variance = (
            float((log.size() * (log.mean() - np.log(rows_of_analyte["value"]).mean()) ** 2).sum() / (persons - 1))
            - within_variance
        )
        repeats = (n - (log.size() ** 2).sum() / n) / (persons - 1)
        spreads[str(analyte)] = f"{max(between_variance / repeats, 0) ** 0.5:.2f} / {within_variance**0.5:.2f}"
    return spreads


def _median_and_quartiles(values: Matrix) -> str:
    """Return the median and the quartiles."""
    if len(values) == 0:
        return "–"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _figure(stools: list[Stool]) -> Figure:
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    curve, prevalence, shannon, distance = figure.subplots(2, 2).flat
    for stool in stools:
        simulated = stool.cohort.manifest.simulated
        colour = (GREEN if "published" in stool.name else VERMILION) if simulated else PALE
        style = {"color": colour, "linewidth": 1.6 if simulated else 0.9, "zorder": 3 if simulated else 1}
        label = stool.name if simulated else "published" if stool is stools[0] else None
        mean = np.sort(stool.earliest.mean(axis=0))[::-1]
        curve.plot(np.arange(1, len(mean) + 1), mean, label=label, **style)
        shares = np.sort((stool.earliest > 0).mean(axis=0))[::-1]
        prevalence.plot(np.arange(1, len(shares) + 1), shares, **style)
        for axes, values in ((shannon, stool.shannon), (distance, stool.between_patients)):
            axes.ecdf(values, **style)
    curve.set(xscale="log", yscale="log", ylim=(1e-7, 1), xlabel="rank of species", ylabel="mean proportion")
    prevalence.set(xscale="log", xlabel="rank of species", ylabel="share of patients with it")
    shannon.set(xlabel="Shannon's index, nats", ylabel="share of patients at or below")
    distance.set(xlabel="Bray-Curtis between two patients", ylabel="share of pairs at or below")
    curve.legend()
    figure.suptitle("Stool before treatment: simulated and published melanoma cohorts", fontsize=8, x=0.01, ha="left")
    return figure


if __name__ == "__main__":
    main()
