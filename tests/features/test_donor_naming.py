"""The donor named from stool: planted swaps are found, and no label is suspect where nothing engrafts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.audit import audit
from features.cohort import Cohort, read_cohort
from features.donor_naming import SUSPECT_BELOW, change_along_donors, name_donors, name_donors_from_stool
from features.trial_course import Course
from taxokine.simulation import AS_PUBLISHED, simulate_trial


def simulated(folder: Path, **parameters: object) -> Cohort:
    sizes = {"n_patients": 24, "n_donors": 6, "seed": 0, "visits": (-7, 28)}
    return read_cohort(simulate_trial(folder / "trial", replace(AS_PUBLISHED, **{**sizes, **parameters})), folder)


def with_swapped_donors(cohort: Cohort, first: str, second: str) -> Cohort:
    """Return the cohort with the received samples of two patients exchanged, as two swapped labels would."""
    cells = cohort.samples.groupby("patient")["donor_sample"].first()
    exchanged = cohort.samples["patient"].map({first: cells[second], second: cells[first]})
    return replace(
        cohort, samples=cohort.samples.assign(donor_sample=exchanged.fillna(cohort.samples["donor_sample"])),
        course=replace(cohort.course, transplants=Course().transplants),
    )  # fmt: skip


def label_findings(cohort: Cohort) -> list[tuple[str, ...]]:
    return [finding.rows for finding in audit([cohort]) if finding.code == "donor-label"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return simulated(tmp_path_factory.mktemp("naming"))


def test_stool_names_the_recorded_donors_of_a_trial_without_errors(trial: Cohort) -> None:
    stool = name_donors_from_stool(trial)
    assert stool is not None
    assert stool.naming.n_right > 0.8 * len(stool.patients)
    assert stool.naming.n_right > 4 * stool.naming.by_chance
    assert stool.naming.p == 0.005
    assert label_findings(trial) == []


def test_a_planted_swap_is_found_and_named_with_the_right_donors(trial: Cohort) -> None:
    stool = name_donors_from_stool(trial)
    assert stool is not None
    first = stool.patients[0]
    row = next(i for i, donor in enumerate(stool.naming.recorded) if donor != stool.naming.recorded[0])
    donors = [stool.donors[stool.naming.recorded[i]] for i in (0, row)]
    (rows,) = label_findings(with_swapped_donors(trial, first, stool.patients[row]))
    assert set(rows) == {
        f"{first}: recorded {donors[1]}, by stool {donors[0]}",
        f"{stool.patients[row]}: recorded {donors[0]}, by stool {donors[1]}",
    }


def test_where_nothing_engrafts_no_label_is_suspect(tmp_path: Path) -> None:
    cohort = simulated(tmp_path, transplant_effect=0.0)
    stool = name_donors_from_stool(cohort)
    assert stool is not None
    assert stool.naming.p > 0.01
    assert not stool.naming.suspect.size


def test_a_donor_to_whom_all_come_near_is_not_named_for_all() -> None:
    rng = np.random.default_rng(3)
    donor = np.arange(30) % 3
    is_own = donor[:, None] == np.arange(3)
    scores = rng.normal(0, 1, (30, 3)) - 5 * (np.arange(3) == 0) - 3.0 * is_own
    naming = name_donors(scores, is_own)
    assert naming.n_right >= 24
    assert np.bincount(naming.likely, minlength=3).max() < 15


def test_the_name_of_a_recipient_does_not_depend_on_the_own_label() -> None:
    rng = np.random.default_rng(4)
    is_own = (np.arange(12) % 3)[:, None] == np.arange(3)
    scores = rng.normal(0, 1, (12, 3)) - 2 * is_own
    other = is_own.copy()
    other[0] = [False, True, False]
    assert name_donors(scores, is_own).probability[0] == pytest.approx(name_donors(scores, other).probability[0])


def test_the_level_of_the_naming_is_kept_without_engraftment() -> None:
    rng, rejections = np.random.default_rng(5), 0
    is_own = (np.arange(10) % 2)[:, None] == np.arange(2)
    for seed in range(100):
        rejections += name_donors(rng.normal(0, 1, (10, 2)), is_own, seed=seed).p <= 0.05
    assert rejections <= 11


def test_a_change_towards_what_sets_a_donor_apart_is_low_with_that_donor() -> None:
    rng = np.random.default_rng(6)
    donors, stool_before = rng.dirichlet(np.full(40, 0.3), 3), rng.dirichlet(np.full(40, 0.3), 3)
    stool_after = 0.6 * stool_before + 0.4 * donors
    scores = change_along_donors(stool_before, stool_after, donors)
    assert (scores.argmin(axis=1) == np.arange(3)).all()
    assert SUSPECT_BELOW < 0.05


def test_one_donor_names_nothing(tmp_path: Path) -> None:
    assert name_donors_from_stool(simulated(tmp_path, n_donors=1)) is None
