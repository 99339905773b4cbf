"""Loads the set of models that the registry names, or the last good one."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from features.errors import BundleError, ModelMissing, TaxokineError
from features.settings import settings
from models.bundle import Model, load_bundle
from models.engraftment import EngraftmentBundle, load_engraftment
from models.engraftment_registry import engraftment_version
from models.predict import ServedModel
from models.registry import ServedVersion, download_bundle, registered_name, served_versions
from models.signature import require_signature
from serving.model_set.kept_set import KeptSet
from serving.model_set.model_set import ModelSet, SetVersions

_Bundle = TypeVar("_Bundle", Model, EngraftmentBundle)


class SetLoader:
    """Loads sets of models, and keeps the last good one on disk.

    Parameters
    ----------
    kept_set : KeptSet
    alias : str, optional
        Alias to serve instead of `champion`, else `candidate`.
    """

    def __init__(self, kept_set: KeptSet, alias: str | None = None) -> None:
        self._kept_set, self._alias = kept_set, alias

    def versions(self) -> SetVersions:
        """Return what the registry names now.

        Raises
        ------
        ModelMissing
            The registry does not respond, or has no model.
        """
        return SetVersions(tuple(served_versions(self._alias)), engraftment_version())

    def load(self, versions: SetVersions, present: ModelSet | None = None) -> ModelSet:
        """Load the bundles of versions, and keep them on disk once all of them are good.

        Parameters
        ----------
        versions : SetVersions
        present : ModelSet, optional
            Its bundles are not loaded again.

        Raises
        ------
        BundleError
            A bundle is damaged, of another outcome or landmark, or not signed; the message names its version.
        ModelMissing
            The registry does not respond.
        """
        models = {} if present is None else _models(present)
        served = []
        for version in versions.models:
            model = models.get(_identity(version)) or self._download(version, load_bundle)
            served.append(_with_its_outcome(version, model))
        engraftment = None
        if versions.engraftment is not None:
            is_unchanged = present is not None and present.versions.engraftment == versions.engraftment
            engraftment = present.engraftment if present and is_unchanged else None
            engraftment = engraftment or self._download(versions.engraftment, load_engraftment)
        self._kept_set.save(versions)
        return ModelSet(versions, tuple(served), engraftment)

    def load_kept(self) -> ModelSet:
        """Load the last good set from disk.

        Raises
        ------
        ModelMissing
            No set was kept.
        BundleError
            It is damaged.
        """
        versions = self._kept_set.versions()
        served = tuple(
            _with_its_outcome(version, self._load_kept_bundle(version, load_bundle)) for version in versions.models
        )
        engraftment = self._load_kept_bundle(versions.engraftment, load_engraftment) if versions.engraftment else None
        return ModelSet(versions, served, engraftment)

    def _load_kept_bundle(self, version: ServedVersion, load: Callable[[Path], _Bundle]) -> _Bundle:
        bundle = self._kept_set.bundle(version)
        # It was signed when it was kept; but its key may have been withdrawn since, or the disk written to.
        require_signature(bundle, settings().signers)
        return load(bundle)

    def _download(self, version: ServedVersion, load: Callable[[Path], _Bundle]) -> _Bundle:
        with tempfile.TemporaryDirectory() as folder:
            try:
                bundle = download_bundle(version.name, version.version, Path(folder))
                model = load(bundle)
            except BundleError as error:
                raise type(error)(f"{version.name}/{version.version}: {error}") from error
            self._kept_set.add(version, bundle)
        return model


def open_loader() -> SetLoader:
    """Return the loader of the store and alias that the settings name."""
    configuration = settings()
    # A set of one store or alias never stands in for that of another.
    place = hashlib.sha256(f"{configuration.tracking_uri}\n{configuration.alias or ''}".encode()).hexdigest()[:16]
    return SetLoader(KeptSet(configuration.home / "served" / place), configuration.alias)


def start_set(loader: SetLoader) -> tuple[ModelSet, TaxokineError | None]:
    """Return the set to start with, and why it is not that of the registry; None where it is.

    Raises
    ------
    ModelMissing, BundleError
        The registry's set cannot be loaded, and none was kept.
    """
    try:
        versions = loader.versions()
        if not versions.models:
            raise ModelMissing("no model has the alias to serve; 'taxokine train' registers candidates")
        return loader.load(versions), None
    except (ModelMissing, BundleError) as error:
        try:
            return loader.load_kept(), error
        except (ModelMissing, BundleError):
            raise error from None


def _identity(version: ServedVersion) -> tuple[str, str, str]:
    return version.name, version.version, version.source


def _models(present: ModelSet) -> dict[tuple[str, str, str], Model]:
    pairs = zip(present.versions.models, present.served, strict=True)
    return {_identity(version): served.model for version, served in pairs}


def _with_its_outcome(version: ServedVersion, model: Model) -> ServedModel:
    if model.outcome != version.outcome:
        raise BundleError(
            f"{version.name}/{version.version} is registered for {version.outcome}, and its bundle predicts "
            f"{model.outcome}; register it under its own outcome"
        )
    if version.name != (name := registered_name(model.outcome, model.evidence.landmark)):
        raise BundleError(
            f"{version.name}/{version.version} holds a model of day {model.evidence.landmark:g}; register it as {name}"
        )
    return version.with_model(model)
