"""PERMANOVA agrees with scikit-bio, analysis of variance and the sign-flip test."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.spatial.distance import pdist, squareform
from skbio.stats.distance import DistanceMatrix
from skbio.stats.distance import permanova as skbio_permanova
from statsmodels.stats.anova import anova_lm

from training.statistics.distances import bray_curtis
from training.statistics.permanova import permanova
from training.statistics.sign_flip import sign_flip_p_values


def random_proportions(n: int, seed: int = 0, taxa: int = 25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.dirichlet(np.full(taxa, 0.4), n)).round(4) + 1e-9


def as_names(names: object) -> np.ndarray:
    return np.array(list(names), dtype=object)  # type: ignore[call-overload]


def euclidean(values: np.ndarray) -> np.ndarray:
    return squareform(pdist(np.reshape(values, (len(values), -1))))


@pytest.mark.parametrize("groups", ["aaaaaabbbbbbb", "abcabcabcabca"])
def test_free_permutation_agrees_with_scikit_bio(groups: str) -> None:
    distances, names = bray_curtis(random_proportions(13, 3)), as_names(groups)
    skbio_test = skbio_permanova(DistanceMatrix(distances), list(groups), permutations=4999, seed=0)
    test = permanova(distances, names)
    assert test.f == pytest.approx(skbio_test["test statistic"])
    assert test.p == pytest.approx(skbio_test["p-value"], abs=0.03)
    assert test.permutations == 10_000


def test_permutations_of_few_rows_are_enumerated() -> None:
    values = np.array([1.0, 2.5, 3.1, 7.2, 8.8, 9.4])
    test = permanova(euclidean(values), as_names("aaabbb"))
    means = [abs(values[list(half)].sum() - values.sum() / 2) for half in itertools.combinations(range(6), 3)]
    assert test.p == pytest.approx(np.mean(np.array(means) >= means[0] - 1e-9)) == 0.1
    assert test.least_p == pytest.approx(0.1)
    assert test.permutations == 720


@pytest.mark.parametrize("n_missing", [0, 3])
def test_permanova_with_patients_as_blocks_is_two_way_anova(n_missing: int) -> None:
    rng = np.random.default_rng(n_missing)
    rows = pd.DataFrame([(f"p{i}", f"w{j}") for i in range(7) for j in range(3)], columns=["patient", "window"])
    rows = rows.drop(rng.choice(len(rows), n_missing, replace=False)).reset_index(drop=True)
    rows["y"] = rng.normal(size=len(rows)) + 2 * rows["patient"].str[1:].astype(int)
    anova = anova_lm(smf.ols("y ~ patient + window", rows).fit(), typ=2).loc["window"]
    test = permanova(
        euclidean(rows["y"].to_numpy()), rows["window"].to_numpy(object), strata=rows["patient"].to_numpy(object)
    )
    assert test.f == pytest.approx(anova["F"])
    if not n_missing:
        assert test.p == pytest.approx(anova["PR(>F)"], abs=0.05)


def test_permanova_of_pairs_in_one_dimension_is_the_sign_flip_test() -> None:
    rng = np.random.default_rng(5)
    baseline, follow_up = rng.normal(size=8), rng.normal(0.6, 1, 8)
    test = permanova(
        euclidean(np.concatenate([baseline, follow_up])), as_names("b" * 8 + "a" * 8), strata=as_names([*range(8)] * 2)
    )
    assert test.permutations == 256
    assert test.p == pytest.approx(sign_flip_p_values((follow_up - baseline)[:, None])[0])
    assert test.least_p == pytest.approx(2 / 256)
