"""Features over time: their numbers, and that nothing later than the landmark enters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from features.over_time import DatedLevel, over_time_numbers
from features.pooling import pool_tables
from taxokine.simulation import Trial, simulate_trial

AT_28 = LandmarkSpec(landmark=28)
UNITS = {"IL-6": "pg/mL"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = simulate_trial(tmp_path_factory.mktemp("serial") / "trial", Trial(n_patients=8, n_taxa=30, seed=4))
    return read_cohort(path, path.parent)


def numbers(draws, landmark=28.0, window=90.0):
    return over_time_numbers({"IL-6": [DatedLevel(*draw) for draw in draws]}, UNITS, landmark, window)


def test_the_numbers_of_four_draws():
    draws = [(-70, 99.0), (-3, 2.0), (7, 16.0), (14, 8.0), (28, 4.0), (29, 4096.0)]
    features = numbers(draws)
    assert features["IL-6 at baseline (log2 pg/mL)"] == 1
    assert features["IL-6 change to day 28 (log2)"] == 1
    assert features["IL-6 peak to day 28 (log2)"] == 3
    # Trapezoids from no change on day 0: 3 by day 7, 2 by day 14, 1 by day 28.
    area = 7 * 1.5 + 7 * 2.5 + 14 * 1.5
    assert features["IL-6 area to day 28 (log2 x days)"] == pytest.approx(area)
    slope = linregress([-3, 7, 14, 28], [1, 4, 3, 2]).slope
    assert features["IL-6 slope to day 28 (log2 per day)"] == pytest.approx(slope)


def test_missing_draws_are_missing():
    assert set(numbers([(-1, 2.0)])) == {"IL-6 at baseline (log2 pg/mL)"}
    assert numbers([(7, 2.0)]) == {}
    assert set(numbers([(7, 2.0), (14, 3.0)])) == {"IL-6 slope to day 28 (log2 per day)"}
    assert numbers([(-1, np.nan), (7, -np.inf), (14, 0.0)]) == {}
    assert numbers([(-1, 2.0), (7, 3.0)], landmark=0.0) == {}
    assert numbers([(-80, 2.0)]) == {}, "the window ends before"


@given(st.permutations([(-9, 3.0), (0, 2.0), (0, 8.0), (7, 16.0), (28, 5.0), (40, 1e6)]))
def test_the_order_of_draws_does_not_matter(draws):
    assert numbers(draws) == numbers(sorted(draws))
    assert numbers(draws)["IL-6 at baseline (log2 pg/mL)"] == 2, "two draws of a day are averaged on the log scale"


def rows_with(cohort, rows):
    return replace(cohort, immune=replace(cohort.immune, rows=rows.reset_index(drop=True)))


def values(table):
    return table.to_frame().filter(regex="^over_time:")


def test_a_draw_moved_past_the_landmark_vanishes_from_all_features(cohort):
    table = landmark_table(cohort, AT_28)
    rows = cohort.immune.rows
    patient = table.rows["patient"][0]
    days = rows["day"].astype(float)
    is_moved = (rows["patient"] == patient) & (days > 0)
    assert is_moved.any()
    later_rows = rows.assign(day=days.where(~is_moved, days + 100).map("{:g}".format))
    moved_values = values(landmark_table(rows_with(cohort, later_rows), AT_28))
    reference_values = values(landmark_table(rows_with(cohort, rows[~is_moved]), AT_28))
    assert moved_values.equals(reference_values[moved_values.columns])
    later_features = [name for name in moved_values if "at baseline" not in name]
    assert moved_values.loc[0, later_features].isna().all()
    assert values(table).loc[0, later_features].notna().any()
    assert moved_values.iloc[1:].equals(values(table)[moved_values.columns].iloc[1:])


def test_what_follows_the_landmark_may_be_permuted(cohort):
    rows = cohort.immune.rows
    is_later = (rows["day"].astype(float) > 28).to_numpy()
    permuted = rows.copy()
    later_values = rows.loc[is_later, "value"].to_numpy()
    permuted.loc[is_later, "value"] = np.random.default_rng(1).permutation(later_values) * 7
    assert values(landmark_table(rows_with(cohort, permuted), AT_28)).equals(values(landmark_table(cohort, AT_28)))


def test_landmark_0_has_no_such_features_and_pools_with_none(cohort):
    assert landmark_table(cohort).over_time is None
    table = landmark_table(cohort, AT_28)
    context = {"another": next(iter(table.cohorts.values()))}
    bloodless = replace(table, rows=table.rows.assign(cohort="another"), cohorts=context, over_time=None)
    pooled = pool_tables([table, bloodless])
    assert np.isnan(pooled.over_time.values[len(table) :]).all()
    assert len(table.take(np.array([1, 0])).over_time.values) == 2
