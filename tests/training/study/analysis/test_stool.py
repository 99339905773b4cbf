from __future__ import annotations

from pathlib import Path

import pytest

from features.cohort import Cohort, read_cohort
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.stool import stool_series


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("stool") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=8, n_taxa=60, n_donors=3, seed=2)), folder)


def test_the_baseline_holds_the_last_sample_and_later_windows_hold_all(cohort: Cohort) -> None:
    stool = stool_series(cohort)
    patients = cohort.samples[~cohort.samples["donor"]]
    for window in stool.windows:
        samples = patients[patients["day"].between(window.start, window.end)]
        if window == stool.baseline:
            samples = samples.sort_values("day").groupby("patient").tail(1)
        counts = {patient: len(rows) for patient, rows in stool.rows_by_patient(window).items()}
        assert counts == samples.groupby("patient").size().to_dict()
