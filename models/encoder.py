"""The encoder: from blocks of measurements to the matrix that a family reads, in training as in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from features.arrays import Matrix
from features.feature_table import FeatureTable
from features.measured_values import CensoredPolicy
from features.transforms import (
    CLR,
    AlphaDiversity,
    BlockTransformer,
    CensoredFill,
    GenusSums,
    Log10,
    MeanFill,
    MedianFill,
    PresenceAbsence,
    PrevalenceFilter,
    Ranks,
    ZeroReplacement,
)
from features.units import LOG2_UNITS
from models.evidence import Documented
from models.transformer_state import TransformerState

Representation = Literal["clr", "presence", "rank", "genus_clr", "genus_presence", "diversity"]


class Feature(NamedTuple):
    """One column of the encoded matrix.

    Attributes
    ----------
    block : str
        `taxa`, `immune` or `clinical`.
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
    representation: Representation
    """Representation of the taxa."""
    min_prevalence: float
    """Share of training samples in which a taxon must be detected."""
    censored: CensoredPolicy
    """Number that replaces a censored measurement."""
    names: dict[str, tuple[str, ...]]
    """Columns of each block in training."""
    steps: dict[str, tuple[TransformerState, ...]]
    """Fitted transformers of each block, in order."""
    range: tuple[tuple[float, ...], tuple[float, ...]]
    """Minimum and maximum of each feature in training."""


class BlockEncoder(BaseEstimator):
    """Encode the blocks of a feature table.

    Parameters
    ----------
    blocks : sequence of str
        The blocks to use.
    representation : {"clr", "presence", "rank", "genus_clr", "genus_presence", "diversity"}
        Representation of the taxa.
    min_prevalence : float
        Share of training samples in which a taxon must be detected.
    censored : {"half_limit", "limit", "missing"}
        Number that replaces a censored measurement.

    Attributes
    ----------
    names_ : dict of str to tuple of str
        Columns of each block in training; of taxa, all that occur in the training cohorts.
    features_ : list of Feature
        Columns of the encoded matrix.
    positions_ : dict of str to dict of str to int
        Position of each of `names_`, by block.
    used_ : dict of str to dict of str to int
        Columns that reach the encoded matrix, with their positions in `names_`, by block.
    low_, high_ : ndarray, (n_features,)
        Range of each feature in training.
    """

    def __init__(
        self,
        blocks: Sequence[str] = ("taxa",),
        representation: Representation = "clr",
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
        self._steps: dict[str, list[BlockTransformer]] = {}
        encoded = []
        for name in self.blocks:
            X, self._steps[name] = table.block(name).values, []
            for step in self._plan(name, table):
                X = step.fit_transform(X)
                self._steps[name].append(step)
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
                values = np.full((len(table), len(self.names_[name])), absent(name))
                shared = [(i, position[n]) for i, n in enumerate(self.names_[name]) if n in position]
                values[:, [i for i, _ in shared]] = block.values[:, [j for _, j in shared]]
            encoded.append(values)
        return self.encode(dict(zip(self.blocks, encoded, strict=True)))

    def encode(self, values: Mapping[str, Matrix]) -> Matrix:
        """Return the encoded matrix of blocks whose columns are in the order of `names_`."""
        encoded = []
        for name in self.blocks:
            X = values[name]
            for step in self._steps[name]:
                X = step._kernel(X)
            encoded.append(X)
        return np.hstack(encoded)

    def display_values(self, values: Mapping[str, Matrix], encoded: Matrix) -> NDArray[np.float64]:
        """Return the value to show for each feature of one row, (n_features,).

        It is the measurement, or the encoded value where the feature is computed from several measurements.
        """
        row: NDArray[np.float64] = np.concatenate([*(values[block][0] for block in self.names_), encoded[0]])
        return row[self._display]

    def state(self) -> EncoderState:
        """Return parameters and fitted state, as a bundle keeps them."""
        return EncoderState(
            blocks=tuple(self.blocks),
            representation=self.representation,
            min_prevalence=self.min_prevalence,
            censored=self.censored,
            names=self.names_,
            steps={name: tuple(map(TransformerState.from_transformer, steps)) for name, steps in self._steps.items()},
            range=(tuple(self.low_.tolist()), tuple(self.high_.tolist())),
        )

    @classmethod
    def from_state(cls, state: EncoderState) -> Self:
        """Return the encoder of this state."""
        encoder = cls(state.blocks, state.representation, state.min_prevalence, state.censored)
        encoder.names_ = dict(state.names)
        encoder._steps = {name: [step.restore() for step in steps] for name, steps in state.steps.items()}
        encoder.low_, encoder.high_ = (np.asarray(end, dtype=np.float64) for end in state.range)
        encoder._finish()
        return encoder

    def _finish(self) -> None:
        self.features_ = []
        self.used_: dict[str, dict[str, int]] = {}
        self.positions_ = {block: {name: i for i, name in enumerate(columns)} for block, columns in self.names_.items()}
        for block, columns in self.names_.items():
            names, position = list(columns), self.positions_[block]
            for step in self._steps[block]:
                names = step.names_out(names)
            self.features_ += [Feature(block, name, position.get(name, -1)) for name in names]
            computed = any(name not in position for name in names)
            self.used_[block] = position if computed else {name: position[name] for name in names}
        # Position of each feature's value in a row of all measurements followed by all encoded features.
        starts = dict(zip(self.names_, np.cumsum([0, *map(len, self.names_.values())]), strict=False))
        n_measurements = sum(map(len, self.names_.values()))
        self._display = np.array(
            [n_measurements + i if f.source < 0 else starts[f.block] + f.source for i, f in enumerate(self.features_)],
            dtype=np.intp,
        )

    def _plan(self, block: str, table: FeatureTable) -> list[BlockTransformer]:
        if block == "immune":
            logarithms = [i for i, name in enumerate(table.immune.names) if table.units[name] in LOG2_UNITS]
            concentrations = [i for i in range(len(table.immune.names)) if i not in logarithms]
            return [CensoredFill(self.censored, logarithms), Log10(concentrations), MedianFill()]
        if block == "technical":
            return [Log10([i for i, name in enumerate(table.technical.names) if name == "reads"]), MeanFill()]
        if block == "clinical":
            return [MeanFill()]
        if self.representation == "diversity":
            return [AlphaDiversity()]
        sums = [GenusSums(list(table.taxa.names))] if self.representation.startswith("genus_") else []
        if self.representation.endswith("presence"):
            # A taxon that nearly everyone carries is as uninformative as one that nearly no one carries.
            return [*sums, PrevalenceFilter(self.min_prevalence, 1 - self.min_prevalence), PresenceAbsence()]
        prevalence = PrevalenceFilter(self.min_prevalence)
        if self.representation == "rank":
            return [*sums, prevalence, Ranks()]
        return [*sums, prevalence, ZeroReplacement(), CLR()]


def absent(block: str) -> float:
    """Return the value of a missing measurement: 0 for a taxon, which was not detected, and NaN for all else."""
    return 0.0 if block == "taxa" else np.nan
