from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.study.analysis.characteristics import MedianRange
from training.study.analysis.immune_peaks import peaks_and_falls, summarise_peaks


def test_each_patient_has_a_peak_and_a_slope_after_it():
    rows = pd.DataFrame(
        {"analyte": "a", "patient": ["p"] * 5 + ["q"] * 5, "time": [-1.0, 10, 40, 70, 100] * 2,
         "log2": [0.0, 3, 2, 1, 0, 1, 2, 4, 5, 6], "censored": "", "limit": np.nan}
    )  # fmt: skip
    peaks, falls = peaks_and_falls(rows)
    assert [(peak.height, peak.day) for peak in peaks] == [(3, 10), (5, 100)]
    assert [peak.slope for peak in peaks] == pytest.approx([-1, 0])
    assert [fall.patients for fall in falls] == [2]
    (summary,) = summarise_peaks(peaks)
    assert (summary.fold, summary.day) == (MedianRange(20, 8, 32), MedianRange(55, 10, 100))


def test_half_of_a_high_limit_is_no_peak():
    rows = pd.DataFrame(
        {"analyte": "a", "patient": "p", "time": [10.0, 40, 90, 120], "log2": [2.0, 1.9, 3, 1.5],
         "censored": ["", "", "below", ""], "limit": [np.nan, np.nan, 4, np.nan]}
    )  # fmt: skip
    peaks, _ = peaks_and_falls(rows)
    assert [peak.day for peak in peaks] == [10]
