"""The encoder: from blocks of measurements to the matrix that a family reads, in training as in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from features.arrays import Matrix, Vector
from features.feature_table import FeatureTable
from features.measured_values import CensoredPolicy
from features.row_blocks import by_row_blocks
from features.transforms import (
    CLR,
    AlphaDiversity,
    BlockTransformer,
    CensoredFill,
    FittedState,
    GenusSums,
    Log10,
    MeanFill,
    MedianFill,
    PresenceAbsence,
    PrevalenceFilter,
    Ranks,
    ZeroReplacement,
    restore_transformer,
)
from features.units import LOG2_UNITS
from models.evidence import Documented

Representation = Literal["clr", "presence", "rank", "genus_clr", "genus_presence", "diversity"]
Representations = Representation | tuple[Representation, ...]
"""One representation of the taxa, or several side by side."""
Chain = list[BlockTransformer]
"""Transformers of one encoding of a block, in order."""


def representation_name(representations: Representations) -> str:
    """Return one representation's name, or those of several joined by commas."""
    return representations if isinstance(representations, str) else ",".join(representations)


class Feature(NamedTuple):
    """One column of the encoded matrix.

    Attributes
    ----------
    block : str
        `taxa`, `immune`, `clinical`, `donor` or `over_time`.
    name : str
        Name of the taxon, analyte, clinical column or diversity index.
    source : int
        Position of the measurement to show for it, or -1 where it is computed from several.
    """

    block: str
    name: str
    source: int


@dataclass(frozen=True)
class EncoderState(Documented):
    """A fitted encoder, as a bundle keeps it.

    The text form of a column is its name within its block: `Akkermansia_muciniphila`, `IL-6`, `CXCL9 mRNA`,
    `sex=female` (`features.columns.Column`). It must not change, since old bundles are read for ever.
    """

    blocks: tuple[str, ...]
    """Blocks that it reads."""
    representation: Representations
    """Representation of the taxa, or a list of several side by side."""
    min_prevalence: float
    """Share of training samples in which a taxon must be detected."""
    censored: CensoredPolicy
    """Number that replaces a censored measurement."""
    names: dict[str, tuple[str, ...]]
    """Columns of each block in training."""
    steps: dict[str, tuple[FittedState, ...]]
    """Fitted transformers of each block, in order; of taxa in several representations by `taxa.clr`, `taxa.rank`, …"""
    range: tuple[tuple[float, ...], tuple[float, ...]]
    """Minimum and maximum of each feature in training."""


class BlockEncoder(BaseEstimator):
    """Encode the blocks of a feature table.

    Parameters
    ----------
    blocks : sequence of str
        The blocks to use.
    representation : {"clr", "presence", "rank", "genus_clr", "genus_presence", "diversity"} or tuple of these
        Representation of the taxa, or several side by side.
    min_prevalence : float
        Share of training samples in which a taxon must be detected.
    censored : {"half_limit", "limit", "missing"}
        Number that replaces a censored measurement.

    Attributes
    ----------
    names_ : dict of str to tuple of str
        Columns of each block in training; of taxa, all that occur in the training cohorts.
    features_ : list of Feature
        Columns of the encoded matrix. Side by side, several columns represent one taxon.
    explained_ : list of Feature
        What a prediction is explained by: each taxon, analyte and clinical column once.
    explained_names_ : (list of str, list of str)
        Names and blocks of `explained_`.
    encodings_ : dict of str to list of slice
        Columns of each encoding of a block, by block.
    positions_ : dict of str to dict of str to int
        Position of each of `names_`, by block.
    used_ : dict of str to dict of str to int
        Columns that reach the encoded matrix, with their positions in `names_`, by block.
    used_positions_ : dict of str to ndarray of int
        These positions as arrays.
    low_, high_ : ndarray, (n_features,)
        Range of each feature in training.
    """

    def __init__(
        self,
        blocks: Sequence[str] = ("taxa",),
        representation: Representations = "clr",
        min_prevalence: float = 0.1,
        censored: CensoredPolicy = "half_limit",
    ) -> None:
        self.blocks = blocks
        self.representation = representation
        self.min_prevalence = min_prevalence
        self.censored = censored

    def fit(self, table: FeatureTable, y: object = None) -> Self:
        """Learn from the training rows alone."""
        self.fit_transform(table)
        return self

    def fit_transform(self, table: FeatureTable, y: object = None) -> Matrix:
        """Learn from the training rows and return them encoded, (n_rows, n_features)."""
        self.names_ = {name: table.block(name).names for name in self.blocks}
        self._steps = {name: self._plan(name, table) for name in self.blocks}
        encoded = []
        for name, chains in self._steps.items():
            for chain in chains:
                X = table.block(name).values
                for step in chain:
                    X = step.fit_transform(X)
                encoded.append(X)
        self._finish()
        matrix = np.hstack(encoded)
        self.low_, self.high_ = matrix.min(axis=0, initial=np.inf), matrix.max(axis=0, initial=-np.inf)
        return matrix

    def transform(self, table: FeatureTable) -> Matrix:
        """Return a table's rows, encoded, (n_rows, n_features); a name that is new since training has no effect."""
        check_is_fitted(self, "features_")
        encoded = []
        for name in self.blocks:
            block = table.block(name)
            if block.names == self.names_[name]:
                values = block.values
            else:
                position = {column: i for i, column in enumerate(block.names)}
                values = np.full((len(table), len(self.names_[name])), missing_value(name))
                shared = [(i, position[n]) for i, n in enumerate(self.names_[name]) if n in position]
                values[:, [i for i, _ in shared]] = block.values[:, [j for _, j in shared]]
            encoded.append(values)
        return self.encode(dict(zip(self.blocks, encoded, strict=True)))

    def encode(self, values: Mapping[str, Matrix]) -> Matrix:
        """Return the encoded matrix, (n_rows, n_columns), of blocks, (n_rows, n_names), in the order of `names_`."""
        n_rows = max(len(matrix) for matrix in values.values())
        return by_row_blocks(lambda rows: self._encode({name: matrix[rows] for name, matrix in values.items()}), n_rows)

    def _encode(self, values: Mapping[str, Matrix]) -> Matrix:
        encoded = []
        for name in self.blocks:
            for chain in self._steps[name]:
                X = values[name]
                for step in chain:
                    X = step.transform_unchecked(X)
                encoded.append(X)
        return np.hstack(encoded)

    def sum_by_feature(self, terms: Matrix) -> Matrix:
        """Return SHAP values, (n_rows, n_columns), summed by `explained_` feature, (n_rows, n_explained).

        The sum is the SHAP value of a feature that enters or leaves the model with all its columns where the columns'
        terms add up, as in a linear model; in trees it is the sum of the columns' own SHAP values.
        """
        if len(self.explained_) == len(self.features_):
            return terms
        return np.asarray(np.add.reduceat(terms[:, self._column_order], self._starts, axis=1))

    def explained_columns(self, encoded: Matrix) -> Matrix:
        """Return the first column of each `explained_` feature, (n_rows, n_explained)."""
        return encoded[:, self._column_order[self._starts]]

    def display_values(self, values: Mapping[str, Matrix], encoded: Matrix) -> Vector:
        """Return the value to show for each `explained_` feature of one row, (n_explained,).

        It is the measurement, or the encoded value where the feature is computed from several measurements.
        """
        row: Vector = np.concatenate([*(values[block][0] for block in self.names_), encoded[0]])
        return row[self._display]

    def state(self) -> EncoderState:
        """Return parameters and fitted state, as a bundle keeps them."""
        return EncoderState(
            blocks=tuple(self.blocks),
            representation=self.representation,
            min_prevalence=self.min_prevalence,
            censored=self.censored,
            names=self.names_,
            steps={
                key: tuple(step.state() for step in chain)
                for block, chains in self._steps.items()
                for key, chain in zip(self._keys(block), chains, strict=True)
            },
            range=(tuple(self.low_.tolist()), tuple(self.high_.tolist())),
        )

    @classmethod
    def from_state(cls, state: EncoderState) -> Self:
        """Return the encoder of this state."""
        encoder = cls(state.blocks, state.representation, state.min_prevalence, state.censored)
        encoder.names_ = dict(state.names)
        encoder._steps = {
            block: [[*map(restore_transformer, state.steps[key])] for key in encoder._keys(block)]
            for block in state.blocks
        }
        encoder.low_, encoder.high_ = (np.asarray(end, dtype=np.float64) for end in state.range)
        encoder._finish()
        return encoder

    def _finish(self) -> None:
        self.features_: list[Feature] = []
        self.encodings_: dict[str, list[slice[int, int, int]]] = {}
        self.used_: dict[str, dict[str, int]] = {}
        self.positions_ = {block: {name: i for i, name in enumerate(columns)} for block, columns in self.names_.items()}
        for block, columns in self.names_.items():
            position, block_names = self.positions_[block], list[str]()
            self.encodings_[block] = []
            for chain in self._steps[block]:
                names = list(columns)
                for step in chain:
                    names = step.names_out(names)
                start = len(self.features_)
                self.features_ += [Feature(block, name, position.get(name, -1)) for name in names]
                self.encodings_[block].append(slice(start, len(self.features_)))
                block_names += names
            computed = any(name not in position for name in block_names)
            self.used_[block] = position if computed else {name: position[name] for name in block_names}
        self.used_positions_ = {
            block: np.fromiter(columns.values(), np.intp, len(columns)) for block, columns in self.used_.items()
        }
        self._finish_explained()

    def _finish_explained(self) -> None:
        """Set what the columns explain: several columns of one name in a block are one feature."""
        index = {feature: i for i, feature in enumerate(dict.fromkeys(self.features_))}
        self.explained_ = list(index)
        self.explained_names_ = [feature.name for feature in index], [feature.block for feature in index]
        explained = np.array([index[feature] for feature in self.features_], dtype=np.intp)
        self._column_order = np.argsort(explained, kind="stable")
        self._starts = np.searchsorted(explained[self._column_order], np.arange(len(self.explained_)))
        # Position of each feature's value in a row of all measurements followed by all encoded columns.
        starts = dict(zip(self.names_, np.cumsum([0, *map(len, self.names_.values())]), strict=False))
        n_measurements = sum(map(len, self.names_.values()))
        first_columns = self._column_order[self._starts].tolist()
        self._display = np.array(
            [
                n_measurements + column if feature.source < 0 else starts[feature.block] + feature.source
                for feature, column in zip(self.explained_, first_columns, strict=True)
            ],
            dtype=np.intp,
        )

    def _taxa_representations(self) -> tuple[Representation, ...]:
        return self.representation if isinstance(self.representation, tuple) else (self.representation,)

    def _keys(self, block: str) -> list[str]:
        """Return the key of each encoding of a block in `EncoderState.steps`."""
        if block == "taxa" and isinstance(self.representation, tuple):
            return [f"{block}.{representation}" for representation in self.representation]
        return [block]

    def _plan(self, block: str, table: FeatureTable) -> list[Chain]:
        """Return the unfitted transformers of each encoding of a block."""
        if block == "immune":
            logarithms = [i for i, name in enumerate(table.immune.names) if table.units[name] in LOG2_UNITS]
            concentrations = [i for i in range(len(table.immune.names)) if i not in logarithms]
            return [[CensoredFill(self.censored, logarithms), Log10(concentrations), MedianFill()]]
        if block == "technical":
            return [[Log10([i for i, name in enumerate(table.technical.names) if name == "reads"]), MeanFill()]]
        if block in ("clinical", "donor", "over_time"):
            return [[MeanFill()]]
        return [self._taxa_chain(representation, table) for representation in self._taxa_representations()]

    def _taxa_chain(self, representation: Representation, table: FeatureTable) -> Chain:
        if representation == "diversity":
            return [AlphaDiversity()]
        sums: Chain = [GenusSums(list(table.taxa.names))] if representation.startswith("genus_") else []
        if representation.endswith("presence"):
            # A taxon that nearly everyone carries is as uninformative as one that nearly no one carries.
            return [*sums, PrevalenceFilter(self.min_prevalence, 1 - self.min_prevalence), PresenceAbsence()]
        prevalence = PrevalenceFilter(self.min_prevalence)
        if representation == "rank":
            return [*sums, prevalence, Ranks()]
        return [*sums, prevalence, ZeroReplacement(), CLR()]


def missing_value(block: str) -> float:
    """Return the value of a missing measurement: 0 for a taxon, which was not detected, and NaN for all else."""
    return 0.0 if block == "taxa" else np.nan
