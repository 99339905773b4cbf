"""What an experiment fits inside every fold."""

from __future__ import annotations

from dataclasses import dataclass

from features.measured_values import CensoredPolicy
from models.encoder import BlockEncoder, Representation
from models.families import FAMILIES, Setting


@dataclass(frozen=True)
class FitConfig:
    """What is fitted: each family to the blocks, the taxa in whichever representation inner validation prefers.

    Attributes
    ----------
    families, blocks : tuple of str
    representations : tuple of str
    min_prevalence, censored
        As `models.encoder.BlockEncoder` takes them.
    n_folds : int
        Of inner validation by patient.
    seed : int
    """

    families: tuple[str, ...]
    blocks: tuple[str, ...]
    representations: tuple[Representation, ...] = ("clr",)
    min_prevalence: float = 0.1
    censored: CensoredPolicy = "half_limit"
    n_folds: int = 5
    seed: int = 0

    def parts(self, family: str) -> list[tuple[str, ...]]:
        """Return the sets of blocks that a family fits, whose log-odds are added up."""
        return [(block,) for block in self.blocks] if FAMILIES[family].by_block else [self.blocks]

    def candidates(self, family: str, part: tuple[str, ...]) -> list[tuple[Representation, Setting]]:
        """Return what inner validation chooses from for one part."""
        shapes = self.representations if "taxa" in part else self.representations[:1]
        return [(shape, setting) for shape in shapes for setting in FAMILIES[family].settings]

    def encoder(self, blocks: tuple[str, ...], representation: Representation) -> BlockEncoder:
        """Return an unfitted encoder."""
        return BlockEncoder(blocks, representation, self.min_prevalence, self.censored)
