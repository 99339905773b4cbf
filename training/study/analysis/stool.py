"""A cohort's stool samples over time, as the analyses of the microbiome and of the donors read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from features.arrays import Matrix, Positions
from features.cohort import Cohort
from features.donors import detection_probability
from features.trajectories import WINDOWS, Window, times_outside
from features.transforms import closure
from training.study.codes import donor_codes, patient_codes


@dataclass(frozen=True)
class StoolSeries:
    """Stool samples that hold at least one taxon.

    A *position* is a sample's in `Cohort.samples`; a *row* is its place in the arrays.

    Attributes
    ----------
    samples : pandas.DataFrame
        By position: `patient`, `donor` (bool), `time`, and the `code` of the subject.
    row_of : dict of int to int
        Row of each position.
    proportions : ndarray, (n_samples, n_taxa)
    detected : ndarray, (n_samples, n_taxa)
        Chance that a taxon is detected; `features.donors.detection_probability`.
    taxa : tuple of str
    windows : tuple of Window
        The baseline first.
    dated : bool
        Whether `time` is in days; it is the number of a visit otherwise.
    counts : bool
        Whether the profiles are counts.
    """

    samples: pd.DataFrame
    row_of: dict[int, int]
    proportions: Matrix
    detected: Matrix
    taxa: tuple[str, ...]
    windows: tuple[Window, ...]
    dated: bool
    counts: bool

    @property
    def baseline(self) -> Window:
        """The first window."""
        return self.windows[0]

    @cached_property
    def recipients(self) -> pd.DataFrame:
        """Patients' samples of known time, by patient and time."""
        samples = self.samples[~self.samples["donor"] & self.samples["time"].notna()]
        return samples.sort_values(["patient", "time"], kind="stable")

    @cached_property
    def times_outside(self) -> tuple[float, ...]:
        """Times of patients' samples that lie in no window."""
        return times_outside(self.recipients["time"], self.windows)

    @cached_property
    def donors(self) -> pd.DataFrame:
        """Donors' samples."""
        return self.samples[self.samples["donor"]]

    def rows(self, positions: Iterable[int]) -> Positions:
        """Return the rows of positions."""
        return np.array([self.row_of[position] for position in positions], dtype=np.intp)

    def rows_by_patient(self, window: Window) -> dict[str, Positions]:
        """Return the rows of each patient's samples in a window, by time; of the baseline only the last sample."""
        samples = self.recipients[self.recipients["time"].between(window.start, window.end)]
        if window == self.baseline:
            samples = samples.groupby("patient").tail(1)
        groups = samples.groupby("patient").groups
        return {str(patient): self.rows(positions) for patient, positions in groups.items()}

    def means(self, values: Matrix, window: Window) -> pd.DataFrame:
        """Return each patient's mean of `values`, (n_samples, n_columns), over a window; a row a patient."""
        rows = self.rows_by_patient(window)
        means = [values[samples].mean(axis=0) for samples in rows.values()]
        return pd.DataFrame(np.reshape(means, (len(means), values.shape[1])), index=list(rows))

    def changes(self, values: Matrix, window: Window) -> pd.DataFrame:
        """Return each patient's change of `values` from the baseline, where it is known for every column."""
        return (self.means(values, window) - self.means(values, self.baseline)).dropna()


def stool_series(cohort: Cohort, windows: Sequence[Window] = WINDOWS) -> StoolSeries:
    """Return a cohort's stool samples over time; each numbered visit is a window where samples are not dated.

    Parameters
    ----------
    cohort : Cohort
    windows : sequence of Window
        Of days, fixed before the analysis, the baseline first.
    """
    nonempty = np.flatnonzero(cohort.taxa.values.sum(axis=1) > 0)
    sheet = cohort.samples.iloc[nonempty]
    codes = patient_codes(cohort) | donor_codes(cohort)
    dated = bool(sheet["day"].notna().any())
    time = sheet["day" if dated else "visit"]
    if time.isna().all():
        time = time.fillna(1.0)
    samples = pd.DataFrame(
        {"patient": sheet["patient"], "donor": sheet["donor"], "time": time, "code": sheet["patient"].map(codes)}
    )
    if not dated:
        windows = [Window(f"visit {visit:g}", visit, visit) for visit in sorted(set(time.dropna()))]
    values = cohort.taxa.values[nonempty].astype(np.float64)
    counts = cohort.taxa.unit == "counts"
    return StoolSeries(
        samples=samples,
        row_of={int(position): row for row, position in enumerate(samples.index)},
        proportions=closure(values),
        detected=detection_probability(values if counts else closure(values), counts=counts),
        taxa=cohort.taxa.taxa,
        windows=tuple(windows),
        dated=dated,
        counts=counts,
    )


def by_code(samples: pd.DataFrame) -> pd.DataFrame:
    """Return samples in the order of their subjects' codes and of time, with the code's `number`."""
    number = samples["code"].str[1:].astype(int)
    return samples.assign(number=number).sort_values(["number", "time"], kind="stable")
