"""Transformers of the blocks: scikit-learn estimators, fitted inside folds.

The fitted state of a transformer is numbers and names (`fitted_attributes`), so that a bundle stores it as JSON and the
server runs the same kernels without pickle. Arrays are (n_samples, n_features); taxa enter as proportions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ConfigDict, JsonValue
from scipy.special import entr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from features.arrays import Matrix, Names, Vector
from features.errors import InputError
from features.measured_values import check_policy
from features.row_blocks import by_row_blocks, row_blocks
from features.taxon_names import CACHED_NAMES, is_placeholder


@dataclass(frozen=True)
class FittedState:
    """A fitted transformer as JSON: its class, parameters, number of columns read, and fitted attributes."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    step: str
    params: dict[str, JsonValue]
    n_features_in: int
    learned: dict[str, JsonValue]


class BlockTransformer(TransformerMixin, BaseEstimator):
    """A transformer of one block whose fitted state is JSON.

    Subclasses list their fitted attributes in `fitted_attributes` and compute in `_kernel`.
    """

    fitted_attributes: ClassVar[tuple[str, ...]] = ()
    _finite: ClassVar[bool | str] = True
    # A step that computes in float64 block by block may take float32: a copy of the whole table costs more.
    _dtypes: ClassVar[tuple[type[np.floating], ...]] = (np.float64,)

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Estimate the fitted attributes from the training rows."""
        matrix = self._checked(X, reset=True)
        self._learn(matrix)
        return self

    def fit_transform(self, X: ArrayLike, y: object = None) -> Matrix:
        """Fit, and return the transformed training rows; the checks run once."""
        matrix = self._checked(X, reset=True)
        self._learn(matrix)
        return self._in_blocks(matrix)

    def transform(self, X: ArrayLike) -> Matrix:
        """Return the transformed rows, (n_samples, n_features_out)."""
        check_is_fitted(self, "n_features_in_")
        return self._in_blocks(self._checked(X, reset=False))

    def transform_unchecked(self, X: Matrix) -> Matrix:
        """Return the transformed rows without the checks of `transform`, for callers that have checked them."""
        return self._kernel(X)

    def names_out(self, names: list[str]) -> list[str]:
        """Return the names of the columns that come out when `names` go in."""
        return names

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Names:
        """Return `names_out` in scikit-learn's form."""
        check_is_fitted(self, "n_features_in_")
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        return np.asarray(self.names_out([str(n) for n in np.asarray(input_features)]), dtype=object)

    def state(self) -> FittedState:
        """Return parameters and fitted attributes as JSON-ready values."""
        learned = {name: np.asarray(getattr(self, name)).tolist() for name in self.fitted_attributes}
        return FittedState(type(self).__name__, self.get_params(), self.n_features_in_, learned)

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._finite is not True
        return tags

    def _checked(self, X: ArrayLike, *, reset: bool) -> Matrix:
        # In a small fold an earlier step may drop every column; the kernels accept a matrix without columns.
        matrix: Matrix = validate_data(
            self, X, dtype=self._dtypes, ensure_all_finite=self._finite, ensure_min_features=0, reset=reset
        )
        return matrix

    def _learn(self, X: Matrix) -> None:
        """Set the fitted attributes; most transformers have none."""

    def _kernel(self, X: Matrix) -> Matrix:
        """Return the transformed rows; each depends on no other row."""
        raise NotImplementedError

    def _in_blocks(self, X: Matrix) -> Matrix:
        return by_row_blocks(lambda rows: self._kernel(X[rows]), len(X))


class PrevalenceFilter(BlockTransformer):
    """Keep the taxa whose prevalence in the training samples lies between two bounds.

    Parameters
    ----------
    min_prevalence, max_prevalence : float
        Shares of training samples with a value above zero, in [0, 1].
    """

    fitted_attributes = ("kept_",)
    _dtypes = (np.float64, np.float32)

    def __init__(self, min_prevalence: float = 0.1, max_prevalence: float = 1.0) -> None:
        self.min_prevalence = min_prevalence
        self.max_prevalence = max_prevalence

    def _learn(self, X: Matrix) -> None:
        n_present = np.zeros(X.shape[1], np.int64)
        for rows in row_blocks(len(X)):
            n_present += np.count_nonzero(X[rows] > 0, axis=0)
        prevalence = n_present / len(X)
        self.kept_ = np.flatnonzero((prevalence >= self.min_prevalence) & (prevalence <= self.max_prevalence))

    def _kernel(self, X: Matrix) -> Matrix:
        return np.take(X, self.kept_, axis=1).astype(np.float64, copy=False)

    def names_out(self, names: list[str]) -> list[str]:
        """Return the names of the retained taxa."""
        return [names[i] for i in self.kept_]


class ZeroReplacement(BlockTransformer):
    r"""Replace zeros multiplicatively by half the smallest proportion of the training samples.

    A row is closed to 1, its :math:`n_0` zeros become :math:`\delta`, and its other parts shrink by the factor
    :math:`1 - \delta\, n_0`, so that the row stays closed and the ratios of the other parts do not change. With
    :math:`D` taxa, :math:`\delta` is at most :math:`1 / (2 D)`, so that zeros never make up more than half of a row.

    References
    ----------
    Martín-Fernández, Barceló-Vidal and Pawlowsky-Glahn 2003, Mathematical Geology 35:253-278.
    """

    fitted_attributes = ("delta_",)

    def _learn(self, X: Matrix) -> None:
        closed = closure(X)
        positive = closed[closed > 0]
        self.delta_ = min(float(positive.min()) / 2 if positive.size else 1.0, 0.5 / max(X.shape[1], 1))

    def _kernel(self, X: Matrix) -> Matrix:
        closed = closure(X)
        zero = closed == 0
        n_zero = zero.sum(axis=1, keepdims=True)
        replaced: Matrix = np.where(zero, self.delta_, closed * (1 - self.delta_ * n_zero))
        # A row without any taxon has no ratios: it becomes the neutral composition.
        replaced[n_zero[:, 0] == X.shape[1]] = 1 / max(X.shape[1], 1)
        return replaced


class CLR(BlockTransformer):
    """Centred log-ratio of strictly positive compositions; `InputError` where a part is zero or less.

    References
    ----------
    Aitchison 1982, Journal of the Royal Statistical Society B 44:139-177.
    """

    def _checked(self, X: ArrayLike, *, reset: bool) -> Matrix:
        matrix = super()._checked(X, reset=reset)
        if (matrix <= 0).any():
            raise InputError(
                f"a log-ratio needs parts above zero, got {matrix.min():g}; put ZeroReplacement before CLR"
            )
        return matrix

    def _kernel(self, X: Matrix) -> Matrix:
        log = np.log(X)
        # `mean` takes three times as long for the one row of a prediction.
        return log - log.sum(axis=1, keepdims=True) / X.shape[1] if X.shape[1] else log


class PresenceAbsence(BlockTransformer):
    """1 where a taxon's proportion is above 0, else 0."""

    def _kernel(self, X: Matrix) -> Matrix:
        return (X > 0).astype(np.float64)


class Ranks(BlockTransformer):
    """Each taxon's rank within its sample, as a share of the number of taxa; ties share their mean rank.

    Ranks do not change with sequencing depth, nor with any other transformation that keeps the order of abundances.
    """

    def _kernel(self, X: Matrix) -> Matrix:
        ranks = np.empty(X.shape)
        # SciPy's `rankdata` takes three times as long for the one row of a prediction.
        for row, rank in zip(X, ranks, strict=True):
            sorted_row = np.sort(row)
            rank[:] = np.searchsorted(sorted_row, row, "left") + np.searchsorted(sorted_row, row, "right") + 1
        ranks /= 2 * max(X.shape[1], 1)
        return ranks


class GenusSums(BlockTransformer):
    """Sum species into genera, by `genus_of` their names; the first step of a chain.

    Parameters
    ----------
    species : list of str
        The canonical names of the columns that come in, in their order. They are a parameter, since an array has no
        names; `names_out` depends on them alone.
    """

    fitted_attributes = ("genus_of_",)

    def __init__(self, species: list[str]) -> None:
        self.species = species

    def _learn(self, X: Matrix) -> None:
        if len(self.species) != X.shape[1]:
            raise InputError(f"expected a column for each of {len(self.species)} species, got {X.shape[1]} columns")
        position = {genus: i for i, genus in enumerate(self.names_out(self.species))}
        self.genus_of_ = np.array([position[genus_of(name)] for name in self.species], dtype=np.intp)

    def _kernel(self, X: Matrix) -> Matrix:
        sums = np.zeros((X.shape[0], int(self.genus_of_.max(initial=-1)) + 1))
        for row, genera in zip(X, sums, strict=True):
            genera[:] = np.bincount(self.genus_of_, row, sums.shape[1])
        return sums

    def names_out(self, names: list[str]) -> list[str]:
        """Return the genera of `species`, in order of first appearance."""
        return list(dict.fromkeys(map(genus_of, self.species)))


class AlphaDiversity(BlockTransformer):
    """Richness, Shannon's entropy (nats) and the Gini-Simpson index, 1 minus the sum of squares, of each sample.

    All are 0 in a sample without taxa. Bundles name the third `simpson`.
    """

    _dtypes = (np.float64, np.float32)

    def _kernel(self, X: Matrix) -> Matrix:
        p = closure(X.astype(np.float64, copy=False))
        return np.column_stack([np.count_nonzero(p, axis=1), entr(p).sum(axis=1), (p * (1 - p)).sum(axis=1)])

    def names_out(self, names: list[str]) -> list[str]:
        """Return the three indices' names."""
        return ["richness", "shannon", "simpson"]


class CensoredFill(BlockTransformer):
    """Give a number to measurements below or above a limit of quantification that is not reported.

    They are -inf (below) and inf (above) in the input. Where limits are reported, `features.measured_values` has
    applied the policy already; here the smallest and the largest number of the training rows stand for the limits.
    NaN, not measured, stays NaN.

    Parameters
    ----------
    policy : {"half_limit", "limit", "missing"}
        Below becomes half of the smallest training number (`half_limit`) or that number (`limit`), in the unit of the
        column; above becomes the largest. `missing` makes both NaN.
    log2 : sequence of int
        Columns on a log2 scale, on which half is one less.
    """

    fitted_attributes = ("low_", "high_")
    _finite = False

    def __init__(self, policy: str = "half_limit", log2: Sequence[int] = ()) -> None:
        self.policy = policy
        self.log2 = log2

    def _learn(self, X: Matrix) -> None:
        check_policy(self.policy)
        is_finite = np.isfinite(X)
        low = np.where(is_finite, X, np.inf).min(axis=0, initial=np.inf)
        high = np.where(is_finite, X, -np.inf).max(axis=0, initial=-np.inf)
        if self.policy == "half_limit":
            low = np.where(np.isin(np.arange(low.size), self.log2), low - 1, low / 2)
        # An analyte without a number in training was beyond its limit in every row: any constant will do.
        all_censored = ~is_finite.any(axis=0)
        self.low_, self.high_ = np.where(all_censored, 1.0, low), np.where(all_censored, 1.0, high)

    def _kernel(self, X: Matrix) -> Matrix:
        if self.policy == "missing":
            return np.where(np.isinf(X), np.nan, X)
        return np.where(np.isneginf(X), self.low_, np.where(np.isposinf(X), self.high_, X))


class Log10(BlockTransformer):
    """Logarithm to base 10 of the columns of concentrations; expression and NPX already are logarithms.

    Parameters
    ----------
    columns : list of int
        Positions of the columns of concentrations.
    """

    fitted_attributes = ("floor_",)
    _finite = "allow-nan"

    def __init__(self, columns: list[int]) -> None:
        self.columns = columns

    def _learn(self, X: Matrix) -> None:
        concentrations = X[:, self.columns]
        positive = np.where(concentrations > 0, concentrations, np.inf).min(axis=0, initial=np.inf)
        # A published 0 is a rounded small number: half the smallest positive one of training, in the column's unit, or
        # 1 where training has none.
        self.floor_ = np.where(np.isfinite(positive), positive / 2, 1.0)

    def _kernel(self, X: Matrix) -> Matrix:
        out = X.copy()
        out[:, self.columns] = np.log10(np.maximum(X[:, self.columns], self.floor_))
        return out


class MedianFill(BlockTransformer):
    """Drop columns seldom measured in training, and impute missing values of the others by their training median.

    Parameters
    ----------
    min_observed : float
        Share of training rows in which a column must have been measured.
    """

    fitted_attributes = ("kept_", "median_")
    _finite = "allow-nan"

    def __init__(self, min_observed: float = 0.5) -> None:
        self.min_observed = min_observed

    def _learn(self, X: Matrix) -> None:
        observed = np.isfinite(X).mean(axis=0)
        self.kept_ = np.flatnonzero((observed >= self.min_observed) & (observed > 0))
        self.median_ = self._fill_values(X[:, self.kept_]) if self.kept_.size else np.zeros(0)

    def _fill_values(self, X: Matrix) -> Vector:
        return np.asarray(np.nanmedian(X, axis=0))

    def _kernel(self, X: Matrix) -> Matrix:
        retained = X[:, self.kept_]
        return np.where(np.isnan(retained), self.median_, retained)

    def names_out(self, names: list[str]) -> list[str]:
        """Return the names of the retained columns."""
        return [names[i] for i in self.kept_]


class MeanFill(MedianFill):
    """Drop columns as `MedianFill` does, and impute missing values of the others by their training mean.

    The median of a 0/1 column is 0 or 1, and would give a patient with a missing value the commoner level; the mean is
    uninformative.
    """

    def _fill_values(self, X: Matrix) -> Vector:
        return np.asarray(np.nanmean(X, axis=0))


TRANSFORMERS = {
    transformer.__name__: transformer
    for transformer in (
        PrevalenceFilter,
        ZeroReplacement,
        CLR,
        PresenceAbsence,
        Ranks,
        GenusSums,
        AlphaDiversity,
        CensoredFill,
        Log10,
        MedianFill,
        MeanFill,
    )
}


def restore_transformer(state: FittedState) -> BlockTransformer:
    """Return the fitted transformer that `BlockTransformer.state` described."""
    constructor: Callable[..., BlockTransformer] = TRANSFORMERS[state.step]
    step = constructor(**state.params)
    step.n_features_in_ = state.n_features_in
    for name, value in state.learned.items():
        array = np.asarray(value)
        # JSON writes an empty list without a type; positions must stay integers.
        setattr(step, name, array.astype(np.intp) if name in {"kept_", "genus_of_"} else array)
    return step


def closure(X: Matrix) -> Matrix:
    """Return rows divided by their sums; a row of zeros stays zero. (n_samples, n_taxa)."""
    total = X.sum(axis=1, keepdims=True)
    return np.asarray(X / np.where(total > 0, total, 1))


@lru_cache(maxsize=CACHED_NAMES)
def genus_of(species: str) -> str:
    """Return the genus in a species' canonical name.

    It is the first word, or the first two where the name begins with `Candidatus` or `unclassified`. A placeholder has
    no known genus: its name stays whole, apart from other such taxa.

    Examples
    --------
    >>> genus_of("Akkermansia_muciniphila")
    'Akkermansia'
    >>> genus_of("Candidatus_Cibiobacter_qucibialis")
    'Candidatus_Cibiobacter'
    >>> genus_of("unclassified_Lachnospiraceae")
    'unclassified_Lachnospiraceae'
    """
    words = species.split("_")
    if is_placeholder(species):
        return species
    return "_".join(words[:2]) if words[0] in {"Candidatus", "unclassified"} else words[0]
