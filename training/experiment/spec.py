"""The specification of an experiment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from features.arrays import Vector
from features.feature_table import FeatureTable
from features.landmark import DEFAULT_WINDOW, LandmarkSpec
from features.measured_values import CensoredPolicy
from features.outcomes import outcome_id
from models.encoder import Representation
from models.families import FAMILIES
from training.experiment.expected_signs import expected_signs
from training.validation.config import FitConfig, Selection
from training.validation.folds import Fold, main_folds, outer_folds

DEFAULT_REPRESENTATIONS: tuple[Representation, ...] = ("clr", "presence", "rank", "genus_clr", "genus_presence")
"""Representations of the taxa that an experiment uses unless told otherwise."""


@dataclass(frozen=True)
class Experiment:
    """What to train, on which data, and how to validate it.

    Attributes
    ----------
    cohorts : tuple of str
        Manifests, by name or path.
    outcome, grade : str, str or None
        As `features.outcomes.outcome_id` takes them.
    families, blocks : tuple of str
        Every family is fitted to every set of the blocks. A family is a name of `models.families.FAMILIES`, or a
        scikit-learn classifier as `module:Class`, which is compared but never registered.
    landmark, window, by_day, sample, censored
        As in `features.landmark.LandmarkSpec`.
    representation : tuple of str
        Representations of the taxa, as `models.encoder.BlockEncoder` takes them. They are averaged, or inner validation
        selects one; without any, all of `DEFAULT_REPRESENTATIONS`, or `clr` for the time to an event.
    selection : {"average", "inner"}
        Whether to average every setting and representation, or to let inner validation select one.
    min_prevalence : float
        As `models.encoder.BlockEncoder` takes it.
    pool_labels : bool
        Whether published labels of different meaning may be pooled.
    waive : tuple of str
        Codes of audit errors in spite of which to train.
    n_folds, repeats, seed : int
        Folds by patient; repeats of the whole validation, each with its own seed; the first seed.
    permutations : int
        Permutations of the outcomes to which the pipeline is refitted, and as many of the profiles for models that
        read covariates too.
    """

    cohorts: tuple[str, ...]
    outcome: str
    grade: str | None = None
    families: tuple[str, ...] = tuple(FAMILIES)
    blocks: tuple[str, ...] = ("taxa", "immune", "clinical")
    landmark: float = 0.0
    window: float = DEFAULT_WINDOW
    by_day: float | None = None
    sample: Literal["first", "last"] = "last"
    censored: CensoredPolicy = "half_limit"
    representation: tuple[Representation, ...] = ()
    selection: Selection = "average"
    min_prevalence: float = 0.1
    pool_labels: bool = False
    waive: tuple[str, ...] = ()
    n_folds: int = 5
    repeats: int = 2
    seed: int = 0
    permutations: int = 0

    def params(self) -> dict[str, str]:
        """Return the parameters as MLflow shows them."""
        params = asdict(self) | {"grade": self.grade or ""}
        return {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in params.items()}

    def landmark_spec(self) -> LandmarkSpec:
        """Return which measurements and events enter the feature table."""
        return LandmarkSpec(
            landmark=self.landmark,
            window=self.window,
            sample=self.sample,
            by_day=self.by_day,
            censored=self.censored,
        )

    def fit_config(self, blocks: tuple[str, ...]) -> FitConfig:
        """Return what is fitted to one set of blocks."""
        return FitConfig(
            self.families,
            blocks,
            self.representation or DEFAULT_REPRESENTATIONS,
            self.min_prevalence,
            self.censored,
            self.n_folds,
            self.seed,
            self.selection,
            expected_signs(outcome_id(self.outcome, self.grade)),
        )

    def outer_folds(self, table: FeatureTable, y: Vector) -> list[Fold]:
        """Return the outer folds of every repeat."""
        return outer_folds(table, y, self.n_folds, self.repeats, self.seed)

    def main_folds(self, table: FeatureTable, y: Vector) -> list[Fold]:
        """Return the first repeat's folds of the scheme that evidence rests on, for refits to permuted outcomes."""
        return main_folds(table, y, self.n_folds, self.seed)
