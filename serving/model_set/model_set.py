"""The models that one server answers with at one time."""

from __future__ import annotations

from dataclasses import dataclass

from models.engraftment import EngraftmentBundle
from models.predict import ModelsByOutcome, ServedModel
from models.registry import ServedVersion, models_by_outcome


@dataclass(frozen=True)
class SetVersions:
    """What the registry names to be served.

    Attributes
    ----------
    models : tuple of ServedVersion
        As `models.registry.served_versions` orders them.
    engraftment : ServedVersion or None
        The engraftment model; None where none is registered.
    """

    models: tuple[ServedVersion, ...]
    engraftment: ServedVersion | None


@dataclass(frozen=True)
class ModelSet:
    """A set of versions with their bundles.

    Attributes
    ----------
    versions : SetVersions
    served : tuple of ServedModel
        Those of `versions.models`, in this order.
    engraftment : EngraftmentBundle or None
    """

    versions: SetVersions
    served: tuple[ServedModel, ...]
    engraftment: EngraftmentBundle | None

    def by_outcome(self) -> ModelsByOutcome:
        """Return the models of each outcome, best first."""
        outcomes = (version.outcome for version in self.versions.models)
        return models_by_outcome(zip(outcomes, self.served, strict=True))
