import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from skbio.diversity import beta_diversity
from skbio.stats.composition import clr, multi_replace
from skbio.stats.distance import DistanceMatrix
from skbio.stats.distance import permanova as skbio_permanova
from skbio.stats.distance import permdisp as skbio_permdisp
from skbio.stats.ordination import pcoa
from statsmodels.stats.anova import anova_lm

from training.statistics.distances import aitchison, bray_curtis
from training.statistics.pcoa import principal_coordinates
from training.statistics.permanova import permanova
from training.statistics.permdisp import centroid_distances, permdisp
from training.statistics.sign_flip import sign_flip_p_values


def shares(n: int, seed: int = 0, taxa: int = 25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.dirichlet(np.full(taxa, 0.4), n)).round(4) + 1e-9


def named(names: object) -> np.ndarray:
    return np.array(list(names), dtype=object)  # type: ignore[call-overload]


def euclidean(values: np.ndarray) -> np.ndarray:
    return squareform(pdist(np.reshape(values, (len(values), -1))))


def test_distances_agree_with_scikit_bio() -> None:
    X = shares(12)
    np.testing.assert_allclose(bray_curtis(X), beta_diversity("braycurtis", X, validate=False).data, atol=1e-12)
    X = np.where(X < 0.005, 0, X)
    closed = X[:, (X > 0).mean(axis=0) >= 0.1]
    closed = closed / closed.sum(axis=1, keepdims=True)
    delta = min(closed[closed > 0].min() / 2, 0.5 / closed.shape[1])
    np.testing.assert_allclose(aitchison(X), euclidean(clr(multi_replace(closed, delta))), rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:EIGH")
def test_coordinates_agree_with_scikit_bio() -> None:
    distances = bray_curtis(shares(14))
    at, share = principal_coordinates(distances)
    expected = pcoa(DistanceMatrix(distances), warn_neg_eigval=False)
    np.testing.assert_allclose(np.abs(at), np.abs(expected.samples.iloc[:, :2]), atol=1e-8)
    values = np.maximum(expected.eigvals.to_numpy(), 0)
    np.testing.assert_allclose(share, values[:2] / values.sum(), rtol=1e-6)


def test_two_samples_lie_on_one_axis() -> None:
    at, share = principal_coordinates(np.array([[0, 2.0], [2, 0]]), axes=3)
    np.testing.assert_allclose(np.abs(at), [[1, 0, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(share, [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize("groups", ["aaaaaabbbbbbb", "abcabcabcabca"])
def test_free_permutation_agrees_with_scikit_bio(groups: str) -> None:
    distances, names = bray_curtis(shares(13, 3)), named(groups)
    expected = skbio_permanova(DistanceMatrix(distances), list(groups), permutations=4999, seed=0)
    found = permanova(distances, names)
    assert found.f == pytest.approx(expected["test statistic"])
    assert found.p == pytest.approx(expected["p-value"], abs=0.03)
    assert found.permutations == 10_000


def test_few_rows_are_permuted_in_full() -> None:
    values = np.array([1.0, 2.5, 3.1, 7.2, 8.8, 9.4])
    found = permanova(euclidean(values), named("aaabbb"))
    means = [abs(values[list(one)].sum() - values.sum() / 2) for one in itertools.combinations(range(6), 3)]
    assert found.p == pytest.approx(np.mean(np.array(means) >= means[0] - 1e-9)) == 0.1
    assert found.least_p == pytest.approx(0.1)
    assert found.permutations == 720


@pytest.mark.parametrize("missed", [0, 3])
def test_time_with_the_patient_in_the_model_is_anova(missed: int) -> None:
    rng = np.random.default_rng(missed)
    rows = pd.DataFrame([(f"p{i}", f"w{j}") for i in range(7) for j in range(3)], columns=["patient", "window"])
    rows = rows.drop(rng.choice(len(rows), missed, replace=False)).reset_index(drop=True)
    rows["y"] = rng.normal(size=len(rows)) + 2 * rows["patient"].str[1:].astype(int)
    expected = anova_lm(smf.ols("y ~ patient + window", rows).fit(), typ=2).loc["window"]
    found = permanova(
        euclidean(rows["y"].to_numpy()), rows["window"].to_numpy(object), within=rows["patient"].to_numpy(object)
    )
    assert found.f == pytest.approx(expected["F"])
    if not missed:
        assert found.p == pytest.approx(expected["PR(>F)"], abs=0.05)


def test_pairs_of_one_number_are_sign_flips() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=8), rng.normal(0.6, 1, 8)
    found = permanova(
        euclidean(np.concatenate([before, after])), named("b" * 8 + "a" * 8), within=named([*range(8)] * 2)
    )
    assert found.permutations == 256
    assert found.p == pytest.approx(sign_flip_p_values((after - before)[:, None])[0])
    assert found.least_p == pytest.approx(2 / 256)


@pytest.mark.parametrize("sizes", [(10, 10), (4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("apart", [0, 4])
def test_a_difference_in_location_is_none_in_spread(sizes: tuple[int, ...], apart: float) -> None:
    rng, of, n = np.random.default_rng(7), np.repeat(np.arange(len(sizes)), sizes), 400
    rejected = sum(
        permdisp(euclidean(rng.normal(size=(len(of), 20)) + apart * of[:, None]), named(of)).p <= 0.05 for _ in range(n)
    )
    assert stats.binom.ppf(0.001, n, 0.05) <= rejected <= stats.binom.ppf(0.999, n, 0.05)


def test_as_if_distances_to_a_centroid_were_independent_small_groups_would_differ() -> None:
    rng, of, n = np.random.default_rng(11), np.repeat(np.arange(3), [3, 3, 4]), 400
    naive = 0
    for _ in range(n):
        found = centroid_distances(euclidean(rng.normal(size=(len(of), 60))), named(of))
        naive += stats.f_oneway(*(found[of == group] for group in range(3))).pvalue <= 0.05
    assert naive / n > 0.1


def test_a_difference_in_spread_is_found_beside_one_in_location() -> None:
    rng, groups = np.random.default_rng(8), named("a" * 15 + "b" * 5)
    values = rng.normal(size=(20, 20)) * np.where(groups == "a", 1, 1.7)[:, None] + 4 * (groups == "b")[:, None]
    assert permdisp(euclidean(values), groups).p < 0.01


def test_spread_is_generalized_least_squares_of_correlated_distances() -> None:
    distances = euclidean(np.random.default_rng(8).normal(size=(12, 4)) * np.repeat([1, 2.5, 2], 4)[:, None])
    groups = np.repeat(np.arange(3), 4)
    correlated = np.where(np.equal.outer(groups, groups), 1 / 9, 0) + 8 / 9 * np.eye(12)
    levels = np.equal.outer(groups, np.arange(3)).astype(float)
    whole = sm.GLS(centroid_distances(distances, named(groups)), levels, sigma=correlated).fit()
    expected = whole.f_test([[1, -1, 0], [0, 1, -1]])
    found = permdisp(distances, named(groups))
    assert found.f == pytest.approx(float(expected.fvalue))
    assert found.p == pytest.approx(stats.f.sf(found.f, 2, 9 * 8 / 9))


def test_spread_between_visits_agrees_with_scikit_bio_within_which_nobody_has_a_level() -> None:
    distances = euclidean(np.random.default_rng(8).normal(size=(24, 4)) * np.repeat([1, 2.5], 12)[:, None])
    names, patients = named("a" * 12 + "b" * 12), named([*range(12)] * 2)
    expected = skbio_permdisp(DistanceMatrix(distances), list(names), test="centroid", permutations=999, seed=0)
    assert permdisp(distances, names, within=patients).p == pytest.approx(expected["p-value"], abs=0.05)


def test_pairs_of_rows_lie_equally_far_from_their_centroid() -> None:
    assert np.isnan(permdisp(euclidean(np.arange(4.0)), named("aabb")).p)


def test_distances_to_centroids() -> None:
    values = np.random.default_rng(9).normal(size=(7, 3))
    groups = named("aaabbbc")
    expected = np.concatenate(
        [
            np.linalg.norm(part - part.mean(axis=0), axis=1) * (len(part) / (len(part) - 1)) ** 0.5
            for part in (values[:3], values[3:6])
        ]
    )
    np.testing.assert_allclose(centroid_distances(euclidean(values), groups), [*expected, 0], atol=1e-7)
