"""A registration in MLflow that takes effect at once, wherever its trainer is killed.

MLflow moves one alias at a time, and a trainer may be killed between two. So a registration takes effect by one tag of
the registered model, which states all its aliases: from then on readers take them from there, until they are moved and
the tag is deleted. A version whose trainer was killed before that tag was set has no alias, and the next trainer
deletes it.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from models.processes import has_ended, this_process

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

_STAGED = "taxokine.staged"
"""Tag of a version that no registration has taken up yet: the process that registers it."""
_REGISTRATION = "taxokine.registration."
"""Beginning of the tags of a registered model that state the aliases of a registration until they are moved."""
_LONGEST_SECONDS = 60.0
"""Time after which a registration of another machine is abandoned; it takes less than a second."""
_WAIT_SECONDS = 0.1
_ATTEMPTS = 5
"""Calls until an error of the store counts as its own, and not as another trainer's."""


def sweep(store: MlflowClient) -> None:
    """Finish or undo what killed trainers of this machine were registering.

    A registration that has taken effect is finished; versions of one that has not are deleted.
    """
    for registered in store.search_registered_models():
        staged = _staged(store, registered.name)
        # What ends from here on may take effect yet, and is left to the next sweep.
        ended = {process for process in staged.values() if has_ended(process)}
        _finish(store, registered.name)
        for version, process in _staged(store, registered.name).items():
            if process in ended:
                store.delete_model_version(registered.name, version)


def _staged(store: MlflowClient, name: str) -> dict[str, str]:
    """Return the process that registers each staged version of a model."""
    versions = store.search_model_versions(f"name = '{name}'")
    return {str(version.version): version.tags[_STAGED] for version in versions if _STAGED in version.tags}


def stage_version(store: MlflowClient, name: str, uri: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Create a version that no alias names yet, and return it."""
    version = store.create_model_version(
        name,
        uri,
        run_id,
        tags={**tags, _STAGED: this_process()},
        description=tags.get("evidence"),
        model_id=uri.removeprefix("models:/"),
    )
    return str(version.version)


def take_effect(store: MlflowClient, name: str, aliases: Mapping[str, str]) -> None:
    """Let the aliases of a registration name its staged versions, at once for every reader."""
    tag = f"{_REGISTRATION}{secrets.token_hex(8)}"
    registration = _Registration(this_process(), time.time(), dict(aliases))
    store.set_registered_model_tag(name, tag, json.dumps(registration._asdict()))
    _finish(store, name, tag)


class _Registration(NamedTuple):
    """A registration that has taken effect: the process that moves its aliases, when it began, and their versions."""

    process: str
    seconds: float
    aliases: dict[str, str]

    @property
    def version(self) -> int:
        """Version of the candidate, by which registrations are in order."""
        return int(self.aliases["candidate"])

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody moves its aliases any more."""
        return has_ended(self.process) or time.time() - self.seconds > _LONGEST_SECONDS


def _finish(store: MlflowClient, name: str, own_tag: str = "") -> None:
    """Move the aliases as the last registration states, then delete the tags of this one and of abandoned ones.

    Trainers that register at once all move the aliases of the last of them. A tag is deleted once the aliases are moved
    and no earlier registration is open: its trainer may still move them.
    """
    while registrations := _registrations(registered := store.get_registered_model(name)):
        abandoned = {tag for tag, registration in registrations.items() if registration.is_abandoned}
        closed = abandoned | (registrations.keys() & {own_tag})
        if not closed:
            return
        aliases = _latest_aliases(registrations)
        if _candidates(registered.aliases) != aliases:
            _move(store, name, aliases, _candidates(registered.aliases).keys() - aliases.keys())
            continue
        earliest = min((registrations[tag].version for tag in registrations.keys() - closed), default=math.inf)
        for tag in [tag for tag in closed if registrations[tag].version < earliest]:
            for version in set(registrations[tag].aliases.values()):
                write_shared(partial(store.delete_model_version_tag, name, version, _STAGED))
            write_shared(partial(store.delete_registered_model_tag, name, tag))
        if own_tag not in registrations or registrations[own_tag].version < earliest:
            return
        time.sleep(_WAIT_SECONDS)


def _move(store: MlflowClient, name: str, aliases: Mapping[str, str], stale: Iterable[str]) -> None:
    for alias, version in aliases.items():
        write_shared(partial(store.set_registered_model_alias, name, alias, version))
    # Aliases of an earlier experiment must not serve its models together with these.
    for alias in stale:
        write_shared(partial(store.delete_registered_model_alias, name, alias))


def write_shared(call: Callable[[], object]) -> None:
    """Make a call that writes to the store what other trainers write too, and that may be made again.

    Of two trainers that write or delete one row at one moment, MLflow refuses one, which then finds what the other did.
    """
    from mlflow.exceptions import MlflowException

    for remaining in reversed(range(_ATTEMPTS)):
        try:
            call()
        except MlflowException:
            if not remaining:
                raise
            time.sleep(_WAIT_SECONDS)
        else:
            return


def _registrations(registered: RegisteredModel) -> dict[str, _Registration]:
    """Return the registrations of a model that have taken effect, and whose aliases are perhaps not moved, by tag."""
    return {
        tag: _Registration(**json.loads(value))
        for tag, value in registered.tags.items()
        if tag.startswith(_REGISTRATION)
    }


def _latest_aliases(registrations: Mapping[str, _Registration]) -> dict[str, str]:
    """Return the aliases of the registration whose versions are the latest."""
    return max(registrations.values(), key=lambda registration: registration.version).aliases


def _candidates(aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the aliases that a registration moves."""
    names = (alias for alias in aliases if alias == "candidate" or alias.startswith("candidate-"))
    return {alias: str(aliases[alias]) for alias in names}


def current_aliases(store: MlflowClient, name: str) -> dict[str, str]:
    """Return the version of each alias of a model, once the last registration has taken effect."""
    previous: dict[str, str] | None = None
    while True:
        registered = store.get_registered_model(name)
        aliases = {alias: str(version) for alias, version in registered.aliases.items()}
        registrations = _registrations(registered)
        if registrations:
            unchanged = {alias: aliases[alias] for alias in aliases.keys() - _candidates(aliases).keys()}
            return {**unchanged, **_latest_aliases(registrations)}
        # MLflow reads tags and aliases one after the other, between which a registration may begin or end.
        if aliases == previous:
            return aliases
        previous = aliases
