"""What an experiment fits inside every fold, and to which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from features.arrays import Vector
from features.feature_table import FeatureTable
from features.measured_values import CensoredPolicy
from models.encoder import BlockEncoder, Representation, Representations
from models.families import Setting
from training.validation.sklearn_family import find_family

Selection = Literal["average", "inner"]
"""Whether every setting and representation is averaged, or inner validation selects one."""
PredictorBlocks = tuple[str, ...]
"""Blocks that one predictor of a family is fitted to."""


class GridPoint(NamedTuple):
    """One variant of a family: a representation of the taxa and a family's setting."""

    representation: Representations
    setting: Setting


@dataclass(frozen=True)
class FitConfig:
    """Families, blocks and grids that are fitted inside every fold.

    Attributes
    ----------
    families, blocks : tuple of str
        Each family is fitted to all of the blocks.
    representations : tuple of str
        Representations of the taxa, which are averaged, or of which inner validation selects one.
    min_prevalence, censored
        As `models.encoder.BlockEncoder` takes them.
    n_folds : int
        Folds of inner validation by patient.
    seed : int
    selection : {"average", "inner"}
    signs : mapping of str to int
        Sign, 1 or -1, that the slope of a clinical column may have in an average; columns not named may have either.
    """

    families: tuple[str, ...]
    blocks: tuple[str, ...]
    representations: tuple[Representation, ...] = ("clr",)
    min_prevalence: float = 0.1
    censored: CensoredPolicy = "half_limit"
    n_folds: int = 5
    seed: int = 0
    selection: Selection = "average"
    signs: Mapping[str, int] = field(default_factory=dict)

    @property
    def averages(self) -> bool:
        """Whether variants are averaged."""
        return self.selection == "average"

    def predictor_blocks(self, family: str) -> list[PredictorBlocks]:
        """Return the blocks of each predictor whose log-odds a family adds up: one predictor a block, or one of all."""
        by_block = find_family(family).by_block and not self.averages
        return [(block,) for block in self.blocks] if by_block else [self.blocks]

    def grid(self, family: str, blocks: PredictorBlocks) -> list[GridPoint]:
        """Return the variants of one predictor, of which inner validation selects; an average counts as one."""
        if self.averages:
            return [GridPoint(self.representations, {})]
        representations = self.representations if "taxa" in blocks else self.representations[:1]
        return [
            GridPoint(representation, setting)
            for representation in representations
            for setting in find_family(family).settings
        ]

    def encoder(self, blocks: tuple[str, ...], representation: Representations) -> BlockEncoder:
        """Return an unfitted encoder."""
        if isinstance(representation, tuple) and len(representation) == 1:
            representation = representation[0]
        return BlockEncoder(blocks, representation, self.min_prevalence, self.censored)


@dataclass(frozen=True)
class ValidationTask:
    """A table, its outcomes, and what is fitted to them.

    Attributes
    ----------
    table : FeatureTable
    y : ndarray, (n_rows,)
        0 or 1.
    config : FitConfig
    """

    table: FeatureTable
    y: Vector
    config: FitConfig
