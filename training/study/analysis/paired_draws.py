"""Stool samples and blood draws of the same patient at about the same time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.arrays import Labels, Matrix
from features.cohort import Cohort
from features.trajectories import Trajectories
from training.statistics.distances import log_ratios
from training.study.analysis.genera import ProfileRank, genus_profiles

MAX_GAP = 7.0
"""Most days between the stool sample and the blood draw of a pair."""
MIN_PREVALENCE, MAX_TAXA = 0.2, 20
MIN_DETECTED = 0.5
"""Share of a pair's draws within the assay's range from which on an analyte is correlated."""
STRETCHES = (0.0, 28.0, 89.0)
"""Last days of the stretches of time in which the common course is taken to be level."""


@dataclass(frozen=True)
class PairedDraws:
    """Stool samples and blood draws of the same patient at about the same time.

    Attributes
    ----------
    patient : ndarray of str, (n_pairs,)
    course : ndarray, (n_pairs,)
        The number of the visit; of dated draws, the index of the stretch that `STRETCHES` delimits.
    taxa : tuple of str
    clr : ndarray, (n_pairs, n_taxa)
        Centred log-ratios.
    analytes : tuple of str
    levels : ndarray, (n_pairs, n_analytes)
        log2; NaN where not measured.
    dropped : tuple of str
        Analytes within the assay's range in fewer than half of the pairs' draws.
    rank : str
        "genera", or "taxa" as read.
    """

    patient: Labels
    course: Labels
    taxa: tuple[str, ...]
    clr: Matrix
    analytes: tuple[str, ...]
    levels: Matrix
    dropped: tuple[str, ...]
    rank: ProfileRank


def paired_draws(cohort: Cohort, trajectories: Trajectories) -> PairedDraws | None:
    """Return the pairs of stool sample and blood draw of the patients with at least two; None where there are none.

    A dated draw pairs with the nearest stool sample of at most `MAX_GAP` days, on the same side of day 0; a draw of a
    numbered visit pairs with the stool sample of that visit. Each sample belongs to one pair, the nearest.
    """
    pairs = _pairs(cohort, trajectories)
    if pairs.empty:
        return None
    rows = trajectories.rows.assign(detected=trajectories.rows["censored"] == "")
    index = pd.MultiIndex.from_frame(pairs[["patient", "time"]])
    levels, detected = (
        rows.pivot_table(index=["patient", "time"], columns="analyte", values=name, aggfunc="mean").reindex(index)
        for name in ("log2", "detected")
    )
    sufficient = detected.mean() >= MIN_DETECTED
    analytes = [name for name in levels.columns if sufficient[name]]
    time = pairs["time"].to_numpy()
    taxa, clr, rank = _abundant_taxa(cohort, list(pairs["sample"]))
    return PairedDraws(
        patient=pairs["patient"].to_numpy(dtype=object).astype(str),
        course=np.searchsorted(STRETCHES, time) if trajectories.dated else time,
        taxa=taxa,
        clr=clr,
        analytes=tuple(analytes),
        levels=levels[analytes].to_numpy(),
        dropped=tuple(str(name) for name in detected.columns if not sufficient[name]),
        rank=rank,
    )


def _pairs(cohort: Cohort, trajectories: Trajectories) -> pd.DataFrame:
    """Return `patient`, `time` of the draw and `sample`, by patient and time, of patients with at least two pairs."""
    draws = trajectories.rows[["patient", "time"]].drop_duplicates()
    samples = cohort.samples.assign(stool_time=cohort.samples["day" if trajectories.dated else "visit"])
    usable = ~samples["donor"] & samples["stool_time"].notna() & (cohort.taxa.values.sum(axis=1) > 0)
    pairs = draws.merge(samples.loc[usable, ["patient", "sample", "stool_time"]], on="patient")
    pairs["gap"] = (pairs["time"] - pairs["stool_time"]).abs()
    near = pairs["gap"] <= (MAX_GAP if trajectories.dated else 0)
    if trajectories.dated:
        near &= (pairs["time"] > 0) == (pairs["stool_time"] > 0)
    pairs = pairs[near].sort_values(["gap", "patient", "time"], kind="stable")
    pairs = pairs.drop_duplicates(["patient", "time"]).drop_duplicates("sample")
    return pairs[pairs.duplicated("patient", keep=False)].sort_values(["patient", "time"])


def _abundant_taxa(cohort: Cohort, samples: list[str]) -> tuple[tuple[str, ...], Matrix, ProfileRank]:
    """Return the most abundant of the prevalent taxa, their centred log-ratios over all prevalent taxa, and rank."""
    profiles = genus_profiles(cohort, cohort.taxa.take(samples).proportions().values.astype(np.float64))
    ratios, prevalent = log_ratios(profiles.proportions, MIN_PREVALENCE)
    mean = profiles.proportions[:, prevalent].mean(axis=0)
    abundant = np.sort(np.argsort(-mean, kind="stable")[:MAX_TAXA])
    return tuple(profiles.taxa[prevalent[index]] for index in abundant), ratios[:, abundant], profiles.rank
