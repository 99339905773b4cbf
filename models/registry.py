"""The registry: registers bundles in MLflow, and loads them from it.

Each outcome is one registered model. Its aliases name the versions to serve: `candidate` is the best model of the last
experiment, `champion` a promoted one. A model predicts only for patients with measurements in all its blocks; so the
best model of each other set of blocks is registered too, with an alias such as `candidate-taxa-clinical`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from features.columns import BLOCKS
from features.errors import BundleError, InputError, ModelMissing
from features.outcomes import OUTCOME_IDS, definition_of
from features.settings import settings
from models.bundle import Model, load_bundle, save_bundle
from models.encoder import BlockEncoder
from models.evidence import ExternalValidation
from models.predict import ServedModel
from models.registration import current_aliases, stage_version, sweep, take_effect
from models.signature import require_signature, sign_folder

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.types import Schema

ALIASES = ("champion", "candidate")
EXTERNAL_VALIDATION = "external_validation.json"
"""Artefact of a run that validated a version on a cohort."""
_VALIDATED = "validated."
"""Beginning of the tags that name a version's validations elsewhere, before the cohort's name."""
_OUTCOME_TAG = "taxokine.outcome"
"""Tag that marks a registered model as one of Taxokine's, with its outcome."""


class LoggedColumn(NamedTuple):
    """A column of a logged model's input or output: a number, a text, or a mapping of names to numbers."""

    name: str
    kind: Literal["double", "string", "mapping"] = "double"
    required: bool = True


class LoggedBundle(NamedTuple):
    """A model that a run has logged, with its URI."""

    model: Model
    uri: str


@dataclass(frozen=True)
class ServedVersion:
    """What the registry says of a version that is served, without its bundle.

    Attributes
    ----------
    outcome, name, version : str
    source : str
        URI of the model in MLflow, which no other version has.
    run_id, alias, experiment_id, external_validations
        As those of `models.predict.ServedModel`.
    """

    outcome: str
    name: str
    version: str
    source: str
    run_id: str
    alias: str
    experiment_id: str
    external_validations: tuple[ExternalValidation, ...]

    def with_model(self, model: Model) -> ServedModel:
        """Return the version with the model of its bundle."""
        return ServedModel(
            model, self.name, self.version, self.run_id, self.alias, self.experiment_id, self.external_validations
        )


def client() -> MlflowClient:
    """Return a client of the store that the settings name."""
    # MLflow takes two seconds to import, and the settings must turn its telemetry off before.
    import mlflow

    uri = settings().tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient()


def log_bundle(model: Model) -> str:
    """Log a model's bundle as an MLflow model of the active run, and return its URI.

    An input row has one mapping of names to numbers for each block, so that a taxon that the model does not know still
    counts as part of the profile.
    """
    return log_folder(
        "-".join((model.outcome, model.family, *model.blocks)),
        partial(save_bundle, model),
        inputs=[LoggedColumn(block, "mapping", required=False) for block in BLOCKS],
        outputs=[LoggedColumn("probability"), LoggedColumn("margin"), LoggedColumn("verdict", "string")],
        example=synthetic_example(model.encoder),
        metadata={"outcome": model.outcome, "simulated": model.simulated},
    )


def log_folder(
    name: str,
    save: Callable[[Path], None],
    inputs: Sequence[LoggedColumn],
    outputs: Sequence[LoggedColumn],
    example: pd.DataFrame,
    metadata: Mapping[str, str | bool],
) -> str:
    """Log a bundle as an MLflow model of the active run, signed where the settings name a key, and return its URI.

    Parameters
    ----------
    name : str
        Name of the model in its run.
    save : callable
        Writes the bundle into a new folder.
    inputs, outputs : sequence of LoggedColumn
    example : pandas.DataFrame
        An input row.
    metadata : mapping of str to str or bool
        What MLflow shows of the model.
    """
    import mlflow
    from mlflow.models import ModelSignature

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        save(folder)
        if (key := settings().signing_key) is not None:
            sign_folder(folder, key)
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"bundle": str(folder)},
            signature=ModelSignature(inputs=_schema(inputs), outputs=_schema(outputs)),
            input_example=example,
            # MLflow adds itself, and would take seconds to infer others. Taxokine alone reads the bundle, and is in no
            # index: whoever registered its name there would be run by the tools that build a model's environment.
            pip_requirements=[],
            metadata=dict(metadata),
        )
    return str(logged.model_uri)


def _schema(columns: Sequence[LoggedColumn]) -> Schema:
    from mlflow.types.schema import ColSpec, DataType, Map, Schema

    return Schema(
        [
            ColSpec(Map(DataType.double) if column.kind == "mapping" else column.kind, column.name, column.required)
            for column in columns
        ]
    )


def load_logged_bundle(run_id: str) -> LoggedBundle | None:
    """Load the model that a run has logged, registered or not; None where it has logged none."""
    store = client()
    outputs = store.get_run(run_id).outputs
    if outputs is None or not outputs.model_outputs:
        return None
    model_id = outputs.model_outputs[0].model_id
    return LoggedBundle(_download_model(store.get_logged_model(model_id).artifact_location), f"models:/{model_id}")


def _download_model(location: str) -> Model:
    """Load the bundle of an MLflow model, by the URI of its folder."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        return load_bundle(Path(mlflow.artifacts.download_artifacts(f"{location}/artifacts/bundle", dst_path=folder)))


def synthetic_example(encoder: BlockEncoder) -> pd.DataFrame:
    """Return a synthetic input row.

    Ten taxa have equal proportions and immune measurements the value 1; others lie in the middle of the training range.
    """
    import pandas as pd

    middles: dict[str, list[tuple[str, float]]] = {feature.block: [] for feature in encoder.features_}
    for feature, low, high in zip(encoder.features_, encoder.low_, encoder.high_, strict=True):
        middles[feature.block].append((feature.name, round(float(low + high) / 2, 3)))
    example: dict[str, dict[str, float]] = {
        "taxa": dict.fromkeys(encoder.names_.get("taxa", ())[:10], 0.1),
        "immune": {name: 1.0 for name, _ in middles.get("immune", [])},
        "clinical": dict(middles.get("clinical", [])),
    }
    # Most cohorts have neither donors nor serial blood.
    for block in ("donor", "over_time"):
        if block in middles:
            example[block] = dict(middles[block])
    return pd.DataFrame([example])


def registered_name(outcome: str, landmark: float) -> str:
    """Return the name of an outcome's model at a landmark: `toxicity_any`, or `toxicity_any_day_28` after day 0."""
    return outcome if landmark == 0 else f"{outcome}_day_{landmark:g}"


def register(
    outcome: str, versions: Sequence[tuple[str, str, dict[str, str]]], landmark: float = 0.0
) -> dict[str, str]:
    """Register an experiment's models under the name of their outcome and landmark, all or none.

    Parameters
    ----------
    outcome : str
    versions : sequence of (model URI, run id, tags)
        One for each set of blocks, which the tag `blocks` names; the best first. The tag `evidence` describes it.

    Returns
    -------
    dict of str to str
        Version by alias; empty without a version, and the registry stays as it is.
    """
    if not versions:
        return {}
    store, registered = client(), registered_name(outcome, landmark)
    ensure_registered_model(registered, {_OUTCOME_TAG: outcome}, definition_of(outcome))
    aliases: dict[str, str] = {}
    for uri, run_id, tags in versions:
        version = stage_version(store, registered, uri, run_id, tags)
        aliases.setdefault("candidate", version)
        aliases[f"candidate-{tags['blocks'].replace('+', '-')}"] = version
    take_effect(store, registered, aliases)
    return aliases


def sweep_registrations() -> None:
    """Finish or undo what killed trainers of this machine were registering."""
    sweep(client())


def ensure_registered_model(name: str, tags: dict[str, str], description: str) -> None:
    """Create a registered model, unless there is one of this name."""
    from mlflow.exceptions import MlflowException

    try:
        client().create_registered_model(name, tags, description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def promote(name: str, version: str, tags: Mapping[str, str], *, granted: bool) -> None:
    """Tag a version with the result of each gate, and make it the champion if promotion is granted.

    Parameters
    ----------
    name, version : str
    tags : mapping of str to str
    granted : bool
        If false, the present champion stays.
    """
    store = client()
    for key, value in tags.items():
        store.set_model_version_tag(name, version, key, value)
    if granted:
        store.set_registered_model_alias(name, "champion", version)


def record_external_validation(name: str, version: str, cohort: str, run_id: str) -> None:
    """Tag a version with the run of its latest validation on a cohort, from which `load_version` reads it."""
    client().set_model_version_tag(name, version, f"{_VALIDATED}{cohort}", run_id)


def demote(name: str, version: str, reason: str) -> bool:
    """Remove the alias `champion` from a version, and tag it with the reason.

    Returns
    -------
    bool
        Whether the version was the champion; another champion stays.
    """
    store = client()
    is_champion = str(store.get_registered_model(name).aliases.get("champion", "")) == version
    # First what matters to patients: whoever is killed in between has stopped the version from being served.
    if is_champion:
        store.delete_registered_model_alias(name, "champion")
    store.set_model_version_tag(name, version, "demoted", reason)
    return is_champion


def served_versions(alias: str | None = None) -> list[ServedVersion]:
    """Return every outcome's versions to serve, without loading them.

    Parameters
    ----------
    alias : str, optional
        The alias to serve; by default `champion`, or `candidate` if there is no champion.

    Returns
    -------
    list of ServedVersion
        For each registered model that of the alias, then those of other sets of blocks, the larger sets first; empty
        where no registered model has the alias.

    Raises
    ------
    ModelMissing
        No model is registered, or the store does not respond.
    """
    versions: list[ServedVersion] = []
    with missing_model("models cannot be loaded"):
        registered_models = [model for model in client().search_registered_models() if _OUTCOME_TAG in model.tags]
        if not registered_models:
            raise _none_registered(alias)
        for registered in registered_models:
            aliases = current_aliases(client(), registered.name)
            main_alias = next((a for a in ([alias] if alias else ALIASES) if a in aliases), None)
            if main_alias is None:
                continue
            block_aliases = (a for a in aliases if a.startswith(f"{main_alias}-"))
            by_version: dict[str, str] = {}
            for name in (main_alias, *sorted(block_aliases, key=lambda a: -a.count("-"))):
                by_version.setdefault(aliases[name], name)
            outcome = registered.tags[_OUTCOME_TAG]
            versions += [
                served_version(outcome, registered.name, version, name) for version, name in by_version.items()
            ]
    return versions


def _none_registered(alias: str | None) -> ModelMissing:
    return ModelMissing(
        f"no model is registered as {alias or ' or '.join(ALIASES)} in "
        f"{_without_password(settings().tracking_uri)}; 'taxokine train' registers one, and MLFLOW_TRACKING_URI "
        "names another store"
    )


def served_models(alias: str | None = None) -> dict[str, list[ServedModel]]:
    """Load every outcome's models.

    Parameters
    ----------
    alias : str, optional
        As for `served_versions`.

    Returns
    -------
    dict of str to list of ServedModel
        As `models_by_outcome` orders them.

    Raises
    ------
    ModelMissing
        No model is registered under the alias, or the store does not respond.
    BundleError
        A bundle has changed since it was written, or is registered for no outcome.
    """
    with missing_model("models cannot be loaded"):
        versions = served_versions(alias)
        if not versions:
            raise _none_registered(alias)
        return models_by_outcome((version.outcome, _load(version)) for version in versions)


def models_by_outcome(models: Iterable[tuple[str, ServedModel]]) -> dict[str, list[ServedModel]]:
    """Return models by the outcome that comes with each, those of the earliest landmark first, else in their order.

    Outcomes are in the order of `OUTCOME_IDS`: where several of a side are served, the first stands beside the other
    side's first in the four cells, on cards and in FHIR. Toxicity of any grade is before those of higher grades: it
    leaves no event out, and its models learn from the most.

    Raises
    ------
    BundleError
        An outcome is none of these; the message names its model.
    """
    by_outcome: dict[str, list[ServedModel]] = {}
    for outcome, served in models:
        if outcome not in OUTCOME_IDS:
            raise BundleError(
                f"{served.name}/{served.version} is registered for {outcome!r}, which is no outcome; expected one of "
                f"{', '.join(OUTCOME_IDS)}: register it under its own outcome"
            )
        by_outcome.setdefault(outcome, []).append(served)
    for ranked in by_outcome.values():
        ranked.sort(key=lambda served: served.model.evidence.landmark)
    return {outcome: by_outcome[outcome] for outcome in OUTCOME_IDS if outcome in by_outcome}


def registered_names() -> list[str]:
    """Return the names of the registered models that are Taxokine's."""
    return [model.name for model in client().search_registered_models() if _OUTCOME_TAG in model.tags]


def load_version(name: str, version: str, alias: str) -> ServedModel:
    """Load one version of a registered model.

    Parameters
    ----------
    name, version : str
    alias : str
        The alias under which it is loaded.
    """
    return _load(served_version("", name, version, alias))


def _load(version: ServedVersion) -> ServedModel:
    with tempfile.TemporaryDirectory() as folder:
        return version.with_model(load_bundle(download_bundle(version.name, version.version, Path(folder))))


def download_bundle(name: str, version: str, folder: Path) -> Path:
    """Copy the bundle of a registered version into a folder, and return where it lies there.

    Its signature is checked where the settings require one; `load_bundle` checks all else.

    Raises
    ------
    ModelMissing
        The registry or its artefacts do not respond, or have no such version.
    SignatureError
        It is not signed by a key that the settings name.
    """
    import mlflow

    with missing_model(f"the bundle of '{name}/{version}' cannot be read"):
        source = f"models:/{name}/{version}/artifacts/bundle"
        bundle = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(folder)))
    require_signature(bundle, settings().signers)
    return bundle


def served_version(outcome: str, name: str, version: str, alias: str) -> ServedVersion:
    """Return what the registry says of a version, without loading it."""
    from mlflow.exceptions import MlflowException

    registered = client().get_model_version(name, version)
    run_id, experiment_id = registered.run_id or "", ""
    if run_id:
        # A model outlives its run, which may have been purged from the store.
        with suppress(MlflowException):
            experiment_id = _experiment_of(run_id)
    validations = tuple(_external_validations(registered.tags))
    return ServedVersion(outcome, name, version, registered.source or "", run_id, alias, experiment_id, validations)


@cache
def _experiment_of(run_id: str) -> str:
    return str(client().get_run(run_id).info.experiment_id)


def external_validations(name: str, version: str) -> tuple[ExternalValidation, ...]:
    """Return the validations of a registered version on cohorts that it had not seen.

    Raises
    ------
    ModelMissing
        The registry has no such version.
    """
    with missing_model(f"no model '{name}/{version}'"):
        return tuple(_external_validations(client().get_model_version(name, version).tags))


def _external_validations(tags: Mapping[str, str]) -> Iterator[ExternalValidation]:
    """Yield the validations of a version, as its tags name their runs; a purged run's is left out."""
    from mlflow.exceptions import MlflowException

    for tag, run_id in sorted(tags.items()):
        if tag.startswith(_VALIDATED):
            with suppress(MlflowException):
                yield _external_validation(run_id)


@cache
def _external_validation(run_id: str) -> ExternalValidation:
    """Return the validation that a run has logged, and that no other run changes."""
    import mlflow

    # MLflow's error of a damaged file would be that of a purged run.
    content = mlflow.artifacts.load_text(f"runs:/{run_id}/{EXTERNAL_VALIDATION}")
    return ExternalValidation.from_json(json.loads(content))


def find_model(reference: str) -> ServedModel:
    """Load a model from a folder, or from the registry by `name`, `name@alias` or `name/version`.

    Raises
    ------
    ModelMissing, BundleError, InputError
    """
    path = Path(reference)
    if path.is_dir():
        bundle = path / "artifacts" / "bundle"
        return ServedModel(load_bundle(bundle if bundle.is_dir() else path), path.name, "", "", "")
    name, _, alias = reference.partition("@")
    name, _, version = name.partition("/")
    with missing_model(f"no model {reference!r}"):
        if version:
            return load_version(name, version, "")
        aliases = current_aliases(client(), name)
        registered_alias = next((a for a in ([alias] if alias else ALIASES) if a in aliases), None)
        if registered_alias is None:
            raise InputError(
                f"model {name!r} has no alias {alias or ' or '.join(ALIASES)}; it has {', '.join(aliases)}"
            )
        return load_version(name, aliases[registered_alias], registered_alias)


@contextmanager
def missing_model(problem: str) -> Iterator[None]:
    """Turn an exception of MLflow into `ModelMissing`, without its cause, whose message may contain a password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise ModelMissing(
            f"{problem} in {_without_password(settings().tracking_uri)}: {_without_password(error.message)}"
        ) from None


def _without_password(text: str) -> str:
    """Return a text without the user and password that a URI in it may carry."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)
