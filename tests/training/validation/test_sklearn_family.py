from __future__ import annotations

import numpy as np
import pytest

from features.errors import InputError
from models.families import FAMILIES
from training.validation.sklearn_family import find_family


@pytest.mark.parametrize(
    "name", ["sklearn.svm:SVC", "sklearn.ensemble:RandomForestClassifier", "sklearn.naive_bayes:GaussianNB"]
)
def test_a_classifier_ranks_a_planted_effect(name):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 3)), np.arange(100) % 2.0
    X[:, 0] += 3 * y
    family = find_family(name)
    (margin,) = family.margins(X, y, np.zeros(100, dtype=np.intp), X, seed=1)
    assert margin.shape == (100,)
    assert np.isfinite(margin).all()
    assert margin[y == 1].mean() > margin[y == 0].mean()
    (repeated,) = family.margins(X, y, np.zeros(100, dtype=np.intp), X, seed=1)
    np.testing.assert_array_equal(margin, repeated)


def test_native_families_keep_their_names():
    assert all(find_family(name) is family for name, family in FAMILIES.items())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("svm", "'svm' is not a family: name one of elastic_net"),
        ("sklearn.nowhere:SVC", "there is no classifier 'sklearn.nowhere:SVC'"),
        ("sklearn.svm:Nowhere", "there is no classifier 'sklearn.svm:Nowhere'"),
        ("sklearn.svm:SVR", "'sklearn.svm:SVR' is not a scikit-learn classifier"),
        ("sklearn.ensemble:VotingClassifier", "cannot be used with its default parameters"),
    ],
)
def test_an_unusable_name_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        find_family(name)
