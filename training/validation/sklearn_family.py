"""Any scikit-learn classifier as a family: compared with the others, but never registered or served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import ClassVar

import numpy as np
from scipy.special import logit
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from features.arrays import Matrix, Positions, Vector
from features.errors import InputError
from models.families import FAMILIES, BlockColumns, Family, Setting

SMALLEST_PROBABILITY = 1e-6
"""Probabilities are clipped to this distance from 0 and 1, so that log-odds stay finite."""


@dataclass(frozen=True)
class FittedClassifier:
    """A fitted scikit-learn pipeline."""

    pipeline: Pipeline

    def margin(self, X: Matrix) -> Vector:
        """Return the log-odds, or else the decision function, (n_samples,)."""
        if hasattr(self.pipeline, "decision_function"):
            return np.asarray(self.pipeline.decision_function(X), dtype=np.float64)
        probability = self.pipeline.predict_proba(X)[:, 1]
        return np.asarray(logit(np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)))


@dataclass(frozen=True)
class SklearnFamily:
    """A scikit-learn classifier with its default parameters, fitted to standardised features.

    Attributes
    ----------
    name : str
        `module:Class`.
    classifier : type
        The class.
    """

    name: str
    classifier: type[ClassifierMixin]
    settings: ClassVar[Sequence[Setting]] = ({},)
    by_block: ClassVar[bool] = False
    seeded: ClassVar[bool] = True

    def margins(self, X: Matrix, y: Vector, strata: Positions, X_new: Matrix, seed: int) -> Matrix:
        """Fit to `X` and `y`, and return the log-odds, or else the decision function, of `X_new`, (1, n_new)."""
        return self.fit_average(X, y, strata, (), seed).margin(X_new)[None]

    def fit_average(
        self, X: Matrix, y: Vector, strata: Positions, blocks: Sequence[BlockColumns], seed: int
    ) -> FittedClassifier:
        """Fit the classifier, which has one setting, to the columns of all blocks and encodings."""
        estimator = self.classifier()
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=seed)
        return FittedClassifier(make_pipeline(StandardScaler(), estimator).fit(X, y))

    def fit(self, X: Matrix, y: Vector, strata: Positions, setting: Setting, seed: int) -> None:
        """Return None: the classifier has no native form to serve."""


@cache
def find_family(name: str) -> Family | SklearnFamily:
    """Return a family by its name, or a scikit-learn classifier by `module:Class`.

    Raises
    ------
    InputError
        There is no such family, module or class, or the class is not a classifier that ranks patients by default.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    module, _, class_name = name.partition(":")
    if not class_name:
        raise InputError(
            f"{name!r} is not a family: name one of {', '.join(FAMILIES)}, or a scikit-learn classifier as "
            "'module:Class', such as sklearn.svm:SVC"
        )
    try:
        classifier = getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"there is no classifier {name!r}: {error}") from error
    if not (isinstance(classifier, type) and issubclass(classifier, ClassifierMixin)):
        raise InputError(f"{name!r} is not a scikit-learn classifier")
    try:
        estimator = classifier()
    except TypeError as error:
        raise InputError(f"{name!r} cannot be used with its default parameters: {error}") from error
    if not (hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")):
        raise InputError(f"{name!r} has neither predict_proba nor decision_function, so it cannot rank patients")
    return SklearnFamily(name, classifier)
