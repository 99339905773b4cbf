"""A cohort's stool over time, as the sections of the microbiome and of the donors look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from features.cohort import Cohort
from features.donors import detection_probability
from features.trajectories import WINDOWS, Window
from features.transforms import GenusSums, closure
from training.study.codes import donor_codes, patient_codes

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Stool:
    """Stool samples in which something was found.

    Attributes
    ----------
    samples : pandas.DataFrame
        By their position in the cohort's samples: `patient`, `donor` (bool), `time`, and `code`, under which the
        subject is shown.
    at : dict of int to int
        The row of `proportions` that a position in the cohort's samples has.
    proportions : ndarray, (n_samples, n_taxa)
    found : ndarray, (n_samples, n_taxa)
        `features.donors.detection_probability`.
    taxa : tuple of str
    windows : tuple of Window
    dated : bool
        Whether `time` is in days; else visits are numbered.
    counts : bool
        Whether the profiles were counts.
    """

    samples: pd.DataFrame
    at: dict[int, int]
    proportions: Matrix
    found: Matrix
    taxa: tuple[str, ...]
    windows: tuple[Window, ...]
    dated: bool
    counts: bool

    @cached_property
    def recipients(self) -> pd.DataFrame:
        """The patients' samples whose time is known, by patient, in the order of time."""
        mine = self.samples[~self.samples["donor"] & self.samples["time"].notna()]
        return mine.sort_values(["patient", "time"], kind="stable")

    def taken(self, window: Window) -> dict[str, list[int]]:
        """Return the rows of each patient's samples in a window, by time; of the first window only the last sample."""
        rows = self.recipients
        rows = rows[rows["time"].between(window.first, window.last)]
        if window == self.windows[0]:
            rows = rows.groupby("patient").tail(1)
        return {
            str(patient): [self.at[one] for one in mine] for patient, mine in rows.groupby("patient").groups.items()
        }

    def means(self, values: Matrix, window: Window) -> pd.DataFrame:
        """Return each patient's mean of `values`, (n_samples, n_columns), over a window; a row a patient."""
        taken = self.taken(window)
        rows = [values[mine].mean(axis=0) for mine in taken.values()]
        return pd.DataFrame(np.reshape(rows, (len(rows), values.shape[1])), index=list(taken))

    def changes(self, values: Matrix, window: Window) -> pd.DataFrame:
        """Return each patient's change of `values` from the first window, of those who have both and no NaN."""
        before = self.means(values, self.windows[0])
        return (self.means(values, window) - before).dropna()


def stool(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> Stool:
    """Return a cohort's stool; where it is not dated, each numbered visit is a window.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        In days, the first before the treatment; fixed before anyone looks.
    """
    some = np.flatnonzero(cohort.taxa.values.sum(axis=1) > 0)
    listed = cohort.samples.iloc[some]
    codes = patient_codes(cohort) | donor_codes(cohort)
    dated = bool(listed["day"].notna().any())
    time = listed["day" if dated else "visit"]
    if time.isna().all():
        time = time.fillna(1.0)
    samples = pd.DataFrame(
        {"patient": listed["patient"], "donor": listed["donor"], "time": time, "code": listed["patient"].map(codes)}
    )
    if not dated:
        windows = [Window(f"visit {visit:g}", visit, visit) for visit in sorted(set(time.dropna()))]
    values = cohort.taxa.values[some].astype(np.float64)
    counts = cohort.taxa.unit == "counts"
    found = detection_probability(values if counts else closure(values), counts=counts)
    at = {int(position): row for row, position in enumerate(samples.index)}
    return Stool(samples, at, closure(values), found, cohort.taxa.taxa, tuple(windows), dated, counts)


def day_axis(axes: Axes, days: Matrix) -> None:
    """Spread the first month, in which most happens, on an axis of days."""
    axes.set_xscale("symlog", linthresh=30, linscale=0.8)
    ticks = [day for day in (-30, 0, 30, 300) if days.min() - 10 <= day <= 1.4 * max(days.max(), 30)]
    axes.set_xticks(ticks, [f"{day}".replace("-", "−") for day in ticks])
    axes.minorticks_off()


def at_genus(cohort: Cohort, shares: Matrix) -> tuple[Matrix, list[str], str]:
    """Return shares summed to genera, (n_samples, n_genera), where taxa are finer, their names, and what they are."""
    rank, names = cohort.manifest.taxa.rank, list(cohort.taxa.taxa)
    if rank in ("species", "strain"):
        sums = GenusSums(names)
        shares, names = sums.fit_transform(shares), sums.names_out(names)
    return shares, names, "genera" if rank in ("species", "strain", "genus") else "taxa"
