"""The donor block: its numbers, and that nothing later than the landmark enters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import braycurtis
from skbio.stats.composition import clr

from features.cohort import read_cohort
from features.donor_features import DONOR_FEATURES, donor_numbers, donor_numbers_by_name
from features.landmark import LandmarkSpec, landmark_table
from features.pooling import pool_tables
from taxokine.simulation import Trial, simulate_trial

AT_0, AT_28 = LandmarkSpec(landmark=0), LandmarkSpec(landmark=30)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = simulate_trial(
        tmp_path_factory.mktemp("donor") / "trial", Trial(n_patients=10, n_donors=3, n_taxa=60, seed=4)
    )
    return read_cohort(path, path.parent)


def profiles(cohort, patient):
    values = cohort.taxa.proportions().values.astype(float)
    own = cohort.samples[(cohort.samples["patient"] == patient) & ~cohort.samples["donor"]]
    donor = cohort.samples.index[cohort.samples["sample"] == own["donor_sample"].iloc[0]]
    return values, own, values[donor].mean(axis=0)


def test_the_numbers_agree_with_other_implementations(cohort):
    table = landmark_table(cohort, AT_28)
    block = dict(zip(table.donor.names, table.donor.values.T, strict=True))
    for i, patient in enumerate(table.rows["patient"]):
        values, own, donor = profiles(cohort, patient)
        stool = values[own.index[own["day"] <= 30][-1]]
        before = values[own.index[own["day"] <= 0][-1]]
        assert block["bray_curtis"][i] == pytest.approx(braycurtis(stool, donor), abs=1e-6)
        detected = (stool >= 1e-4) | (donor >= 1e-4)
        floored = np.maximum(np.stack([stool, donor])[:, detected], 1e-4)
        assert block["aitchison"][i] == pytest.approx(np.linalg.norm(np.subtract(*clr(floored))), abs=1e-6)
        assert block["shared_taxa"][i] == ((stool >= 1e-4) & (donor >= 1e-4)).sum()
        if table.rows["sample_day"][i] > 0:
            expected = braycurtis(before, donor) - braycurtis(stool, donor)
            assert block["approach"][i] == pytest.approx(expected, abs=1e-6)
            donor_only = (donor >= 1e-4) & (before < 1e-4)
            assert block["engrafted_share"][i] == pytest.approx((stool[donor_only] >= 1e-4).mean())


def test_two_landmarks_have_two_sets_of_features(cohort):
    early, late = landmark_table(cohort, AT_0), landmark_table(cohort, AT_28)
    assert early.donor.names == DONOR_FEATURES[:5]
    assert late.donor.names == DONOR_FEATURES
    assert "donor:bray_curtis" in early.to_frame().columns
    assert np.isfinite(late.take(np.array([0])).donor.values).any()


def test_stool_moved_past_the_landmark_vanishes(cohort):
    table = landmark_table(cohort, AT_28)
    row = int(np.flatnonzero(table.rows["sample_day"] > 0)[0])
    patient = table.rows["patient"][row]
    days = cohort.samples["day"]
    is_later = (cohort.samples["patient"] == patient) & (days > 0)
    samples = cohort.samples.assign(day=days.where(~is_later, days + 100))
    late = landmark_table(replace(cohort, samples=samples), AT_28)
    column = late.donor.names.index("approach")
    assert np.isnan(late.donor.values[row, column])
    assert late.donor.values[row, 0] == pytest.approx(landmark_table(cohort, AT_0).donor.values[row, 0])
    others = np.arange(len(table)) != row
    assert np.array_equal(late.donor.values[others], table.donor.values[others], equal_nan=True)


def test_a_transplant_after_the_landmark_is_not_known(cohort):
    transplants = cohort.course.transplants.assign(day=50.0)
    later = replace(cohort, course=replace(cohort.course, transplants=transplants))
    assert landmark_table(later, AT_28).donor is None
    half = cohort.course.transplants.copy()
    half.loc[: len(half) // 2, "day"] = 50.0
    partly = landmark_table(replace(cohort, course=replace(cohort.course, transplants=half)), AT_28)
    unknown = set(half["patient"][half["day"] == 50])
    for i, patient in enumerate(partly.rows["patient"]):
        assert np.isnan(partly.donor.values[i]).all() == (patient in unknown)


def test_a_cohort_without_donors_pools_with_one_that_has_them(cohort):
    table = landmark_table(cohort, AT_0)
    context = {"another": replace(next(iter(table.cohorts.values())))}
    donorless = replace(table, rows=table.rows.assign(cohort="another"), cohorts=context, donor=None)
    pooled = pool_tables([table, donorless])
    assert np.isnan(pooled.donor.values[len(table) :]).all()
    assert np.array_equal(pooled.donor.values[: len(table)], table.donor.values)
    assert pool_tables([donorless, replace(donorless, cohorts={"third": context["another"]})]).donor is None


def test_names_in_any_order_give_the_same_numbers():
    stool, donor = {"a": 0.7, "b": 0.3}, {"b": 0.2, "c": 0.8}
    numbers = donor_numbers(np.array([0.7, 0.3, 0.0]), np.array([0.0, 0.2, 0.8]), np.array([1.0, 0.0, 0.0]))
    assert donor_numbers_by_name(stool, donor, {"a": 1.0}) == pytest.approx(numbers)
    assert numbers["engrafted_share"] == 0.5
    assert (numbers["shared_taxa"], numbers["donor_only_taxa"], numbers["recipient_only_taxa"]) == (1, 1, 1)


def test_an_empty_sample_keeps_no_one_else_from_being_compared(cohort):
    table = landmark_table(cohort, AT_0)
    values = cohort.taxa.values.copy()
    used = set(table.rows["sample"])
    received = set(cohort.samples["donor_sample"])
    unused = ~cohort.samples["sample"].isin(used | received) & ~cohort.samples["donor"]
    values[cohort.samples.index[unused][0]] = 0
    emptied = landmark_table(replace(cohort, taxa=replace(cohort.taxa, values=values)), AT_0)
    assert np.array_equal(emptied.donor.values, table.donor.values)
