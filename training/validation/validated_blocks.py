"""One set of blocks, validated."""

from __future__ import annotations

from dataclasses import dataclass, field

from features.arrays import Positions, Vector
from features.feature_table import FeatureTable
from models.evidence import IncompleteCohort
from training.validation.config import FitConfig
from training.validation.held_out import HeldOut, ValidatedFamily
from training.validation.refit import Fit


@dataclass(frozen=True)
class ValidatedBlocks:
    """Rows that have every block of a set, and the held-out predictions for them.

    Attributes
    ----------
    config : FitConfig
        What is fitted, with the set of blocks.
    rows : ndarray of int, (n_rows,)
        Positions of the rows in the experiment's table.
    table : FeatureTable
        The rows.
    y : ndarray, (n_rows,)
        Outcomes, 0 or 1.
    families : dict of str to ValidatedFamily
        Held-out predictions and fit of each family.
    baselines : dict of str to list of HeldOut
        Held-out predictions of each baseline, in the folds that evidence rests on.
    without_block : dict of str to dict of str to list of HeldOut
        Held-out predictions of each family for the same rows without one block, by block, in these folds; empty with
        one block.
    incomplete_cohorts : tuple of IncompleteCohort
        Cohorts of which rows lack a block.
    """

    config: FitConfig
    rows: Positions
    table: FeatureTable
    y: Vector
    families: dict[str, ValidatedFamily]
    baselines: dict[str, list[HeldOut]]
    without_block: dict[str, dict[str, list[HeldOut]]] = field(default_factory=dict)
    incomplete_cohorts: tuple[IncompleteCohort, ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The set of blocks."""
        return self.config.blocks

    def family_fit(self, family: str) -> Fit:
        """Return a family's fit to all rows."""
        fit = self.families[family].fit
        assert fit is not None, "validated without a refit"
        return fit
