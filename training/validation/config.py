"""What an experiment fits inside every fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from features.measured_values import CensoredPolicy
from models.encoder import BlockEncoder, Representation
from models.families import Setting
from training.validation.sklearn_family import find_family

Part = tuple[str, ...]
"""Blocks that one predictor of a family is fitted to."""


class GridPoint(NamedTuple):
    """One candidate of inner validation: a representation of the taxa and a family's setting."""

    representation: Representation
    setting: Setting


@dataclass(frozen=True)
class FitConfig:
    """Families, blocks and grids that are fitted inside every fold.

    Attributes
    ----------
    families, blocks : tuple of str
        Each family is fitted to all of the blocks.
    representations : tuple of str
        Representations of the taxa, of which inner validation selects one.
    min_prevalence, censored
        As `models.encoder.BlockEncoder` takes them.
    n_folds : int
        Folds of inner validation by patient.
    seed : int
    """

    families: tuple[str, ...]
    blocks: tuple[str, ...]
    representations: tuple[Representation, ...] = ("clr",)
    min_prevalence: float = 0.1
    censored: CensoredPolicy = "half_limit"
    n_folds: int = 5
    seed: int = 0

    def parts(self, family: str) -> list[Part]:
        """Return the parts whose log-odds a family adds up: each block, or all of them as one part."""
        return [(block,) for block in self.blocks] if find_family(family).by_block else [self.blocks]

    def grid(self, family: str, part: Part) -> list[GridPoint]:
        """Return the candidates of inner validation for one part."""
        representations = self.representations if "taxa" in part else self.representations[:1]
        return [
            GridPoint(representation, setting)
            for representation in representations
            for setting in find_family(family).settings
        ]

    def encoder(self, blocks: tuple[str, ...], representation: Representation) -> BlockEncoder:
        """Return an unfitted encoder."""
        return BlockEncoder(blocks, representation, self.min_prevalence, self.censored)
