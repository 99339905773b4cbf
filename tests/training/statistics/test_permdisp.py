"""PERMDISP agrees with generalised least squares and scikit-bio, and keeps its level."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from skbio.stats.distance import DistanceMatrix
from skbio.stats.distance import permdisp as skbio_permdisp

from training.statistics.permdisp import centroid_distances, permdisp


def as_names(names: object) -> np.ndarray:
    return np.array(list(names), dtype=object)  # type: ignore[call-overload]


def euclidean(values: np.ndarray) -> np.ndarray:
    return squareform(pdist(np.reshape(values, (len(values), -1))))


@pytest.mark.parametrize("sizes", [(10, 10), (4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("shift", [0, 4])
def test_permdisp_keeps_its_level_under_a_difference_in_location(sizes: tuple[int, ...], shift: float) -> None:
    rng, group, n = np.random.default_rng(7), np.repeat(np.arange(len(sizes)), sizes), 400
    rejected = sum(
        permdisp(euclidean(rng.normal(size=(len(group), 20)) + shift * group[:, None]), as_names(group)).p <= 0.05
        for _ in range(n)
    )
    assert stats.binom.ppf(0.001, n, 0.05) <= rejected <= stats.binom.ppf(0.999, n, 0.05)


def test_an_analysis_of_variance_that_ignores_the_correlation_rejects_too_often_in_small_groups() -> None:
    rng, group, n = np.random.default_rng(11), np.repeat(np.arange(3), [3, 3, 4]), 400
    naive = 0
    for _ in range(n):
        distance = centroid_distances(euclidean(rng.normal(size=(len(group), 60))), as_names(group))
        naive += stats.f_oneway(*(distance[group == k] for k in range(3))).pvalue <= 0.05
    assert naive / n > 0.1


def test_permdisp_finds_a_difference_in_dispersion_under_one_in_location() -> None:
    rng, groups = np.random.default_rng(8), as_names("a" * 15 + "b" * 5)
    values = rng.normal(size=(20, 20)) * np.where(groups == "a", 1, 1.7)[:, None] + 4 * (groups == "b")[:, None]
    assert permdisp(euclidean(values), groups).p < 0.01


def test_permdisp_is_generalized_least_squares_of_correlated_distances() -> None:
    distances = euclidean(np.random.default_rng(8).normal(size=(12, 4)) * np.repeat([1, 2.5, 2], 4)[:, None])
    groups = np.repeat(np.arange(3), 4)
    correlated = np.where(np.equal.outer(groups, groups), 1 / 9, 0) + 8 / 9 * np.eye(12)
    levels = np.equal.outer(groups, np.arange(3)).astype(float)
    model = sm.GLS(centroid_distances(distances, as_names(groups)), levels, sigma=correlated).fit()
    f_test = model.f_test([[1, -1, 0], [0, 1, -1]])
    test = permdisp(distances, as_names(groups))
    assert test.f == pytest.approx(float(f_test.fvalue))
    assert test.p == pytest.approx(stats.f.sf(test.f, 2, 9 * 8 / 9))


def test_permdisp_within_patients_agrees_with_scikit_bio_where_patients_do_not_differ() -> None:
    distances = euclidean(np.random.default_rng(8).normal(size=(24, 4)) * np.repeat([1, 2.5], 12)[:, None])
    names, patients = as_names("a" * 12 + "b" * 12), as_names([*range(12)] * 2)
    skbio_test = skbio_permdisp(DistanceMatrix(distances), list(names), test="centroid", permutations=999, seed=0)
    assert permdisp(distances, names, strata=patients).p == pytest.approx(skbio_test["p-value"], abs=0.05)


def test_groups_of_two_rows_are_uninformative() -> None:
    assert np.isnan(permdisp(euclidean(np.arange(4.0)), as_names("aabb")).p)


def test_distances_to_centroids() -> None:
    values = np.random.default_rng(9).normal(size=(7, 3))
    groups = as_names("aaabbbc")
    centroid_distance = np.concatenate(
        [
            np.linalg.norm(rows - rows.mean(axis=0), axis=1) * (len(rows) / (len(rows) - 1)) ** 0.5
            for rows in (values[:3], values[3:6])
        ]
    )
    np.testing.assert_allclose(centroid_distances(euclidean(values), groups), [*centroid_distance, 0], atol=1e-7)
