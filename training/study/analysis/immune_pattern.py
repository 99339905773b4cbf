"""Rise of each analyte by the second window, fall to the last one, and end above baseline: one test of all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from features.trajectories import Window, levels_in_windows, log2_changes
from training.statistics.sign_flip import MeanChange, rise_then_fall_p, sign_flip_test
from training.study.analysis.false_discovery import HypothesisTest, with_q


@dataclass(frozen=True, kw_only=True)
class PatternTest(HypothesisTest):
    """Test of one analyte's pattern.

    Attributes
    ----------
    analyte : str
    patients : int
        Patients with a draw in all three windows.
    rising, falling, above_baseline : int
        Patients whose level rises by the second window, falls from there to the last one, and ends above baseline.
    rise, fall, end : MeanChange
        Mean changes from the first window to the second, from the second to the last, and from the first to the last,
        log2.
    """

    analyte: str
    patients: int
    rising: int
    falling: int
    above_baseline: int
    rise: MeanChange
    fall: MeanChange
    end: MeanChange

    @property
    def in_every_patient(self) -> bool:
        """Whether every patient's levels follow the pattern."""
        return min(self.rising, self.falling, self.above_baseline) == self.patients


def pattern_tests(rows: pd.DataFrame, windows: Sequence[Window]) -> tuple[PatternTest, ...]:
    """Return the intersection-union test of each analyte, in the first window, the second and the last.

    Analytes of fewer than two patients, and those of which no level changes, are omitted.

    Parameters
    ----------
    rows : pandas.DataFrame
        `Trajectories.rows`.
    windows : sequence of Window
        At least three.

    See Also
    --------
    training.statistics.sign_flip.rise_then_fall_p
    """
    levels, final = levels_in_windows(rows, windows), len(windows) - 1
    steps = [log2_changes(levels, later, earlier)["change"] for later, earlier in ((1, 0), (final, 1), (final, 0))]
    family = []
    for analyte, patients in pd.concat(steps, axis=1, join="inner").groupby("analyte"):
        if len(patients) < 2 or not patients.to_numpy().any():
            continue
        rise, fall, end = patients.to_numpy().T
        family.append(
            PatternTest(
                analyte=str(analyte),
                patients=len(patients),
                rising=int((rise > 0).sum()),
                falling=int((fall < 0).sum()),
                above_baseline=int((end > 0).sum()),
                rise=sign_flip_test(rise),
                fall=sign_flip_test(fall),
                end=sign_flip_test(end),
                p=rise_then_fall_p(rise, fall, end),
            )
        )
    return with_q(family)
