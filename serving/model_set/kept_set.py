"""The last good set of models on disk, which serves while the registry does not."""

from __future__ import annotations

import hashlib
import shutil
import time
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from features.errors import BundleError, ModelMissing
from models.registry import ServedVersion
from serving.model_set.model_set import SetVersions

_SET = "set.json"
_UNUSED_SECONDS = 24 * 3600
"""Age from which a bundle outside the set is deleted; a younger one may be of a set that another worker is keeping."""


class KeptSet:
    """A folder with the bundles of the last good set; the workers of a server share it.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bundle(self, version: ServedVersion) -> Path:
        """Return the folder of a version's bundle, which need not be there."""
        identity = f"{version.name}/{version.version}/{version.source}"
        return self._folder / hashlib.sha256(identity.encode()).hexdigest()[:32]

    def add(self, version: ServedVersion, bundle: Path) -> None:
        """Keep a copy of a bundle; one that is there already stays."""
        place = self.bundle(version)
        if place.is_dir():
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place.with_suffix(f".{time.monotonic_ns()}")
        shutil.copytree(bundle, draft)
        try:
            draft.rename(place)
        except OSError:
            # Another worker has kept it meanwhile.
            shutil.rmtree(draft, ignore_errors=True)
            if not place.is_dir():
                raise

    def save(self, versions: SetVersions) -> None:
        """State which of the bundles are the set, and delete those that have long been of none."""
        path = self._folder / _SET
        draft = path.with_suffix(f".{time.monotonic_ns()}")
        draft.write_bytes(_adapter().dump_json(versions, indent=1))
        draft.replace(path)
        current_places = {self.bundle(version) for version in _of_models_and_engraftment(versions)}
        for place in self._folder.iterdir():
            if place.is_dir() and place not in current_places and time.time() - place.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)

    def versions(self) -> SetVersions:
        """Return the versions of the last good set.

        Raises
        ------
        ModelMissing
            No set was kept.
        BundleError
            What is kept is damaged.
        """
        try:
            return _adapter().validate_json((self._folder / _SET).read_bytes())
        except OSError:
            raise ModelMissing(f"no set of models was kept in {self._folder}") from None
        except ValidationError as error:
            raise BundleError(f"{self._folder / _SET} is damaged; delete it: {error}") from error


def _of_models_and_engraftment(versions: SetVersions) -> tuple[ServedVersion, ...]:
    return versions.models if versions.engraftment is None else (*versions.models, versions.engraftment)


@cache
def _adapter() -> TypeAdapter[SetVersions]:
    return TypeAdapter(SetVersions)
