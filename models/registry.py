"""The registry: registers bundles in MLflow, and loads them from it.

Each outcome is one registered model. Its aliases name the versions to serve: `candidate` is the best model of the last
experiment, `champion` a promoted one. A model predicts only for patients with measurements in all its blocks; so the
best model of each other set of blocks is registered too, with an alias such as `candidate-taxa-clinical`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from features.columns import BLOCKS
from features.errors import InputError, ModelMissing
from features.outcomes import definition_of
from features.settings import settings
from models.bundle import Model, load_bundle, save_bundle
from models.encoder import BlockEncoder
from models.engraftment import EngraftmentBundle, load_engraftment, save_engraftment
from models.evidence import ExternalValidation
from models.predict import ServedModel

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

ALIASES = ("champion", "candidate")
ENGRAFTMENT = "engraftment"
"""Name of the registered engraftment model."""
EXTERNAL_VALIDATION = "external_validation.json"
"""Artefact of a run that validated a version on a cohort."""
_VALIDATED = "validated."
"""Beginning of the tags that name a version's validations elsewhere, before the cohort's name."""
_OUTCOME_TAG = "taxokine.outcome"
"""Tag that marks a registered model as one of Taxokine's, with its outcome."""


class LoggedBundle(NamedTuple):
    """A model that a run has logged, with its URI."""

    model: Model
    uri: str


class ServedEngraftment(NamedTuple):
    """An engraftment model with its version in the registry; "" for a bundle outside it."""

    bundle: EngraftmentBundle
    version: str


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
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Map, Schema

    blocks = [ColSpec(Map(DataType.double), block, required=False) for block in BLOCKS]
    outputs = Schema([ColSpec("double", "probability"), ColSpec("double", "margin"), ColSpec("string", "verdict")])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        save_bundle(model, folder)
        logged = mlflow.pyfunc.log_model(
            name="-".join((model.outcome, model.family, *model.blocks)),
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"bundle": str(folder)},
            signature=ModelSignature(inputs=Schema(blocks), outputs=outputs),
            input_example=synthetic_example(model.encoder),
            # MLflow would take seconds to infer them; Taxokine alone reads the bundle.
            pip_requirements=["taxokine"],
            metadata={"outcome": model.outcome, "simulated": model.simulated},
        )
    return str(logged.model_uri)


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
    # Most cohorts have no donors.
    if "donor" in middles:
        example["donor"] = dict(middles["donor"])
    return pd.DataFrame([example])


def registered_name(outcome: str, landmark: float) -> str:
    """Return the name of an outcome's model at a landmark: `toxicity_any`, or `toxicity_any_day_28` after day 0."""
    return outcome if landmark == 0 else f"{outcome}_day_{landmark:g}"


def register(
    outcome: str, versions: Sequence[tuple[str, str, dict[str, str]]], landmark: float = 0.0
) -> dict[str, str]:
    """Register an experiment's models under the name of their outcome and landmark.

    Parameters
    ----------
    outcome : str
    versions : sequence of (model URI, run id, tags)
        One for each set of blocks, which the tag `blocks` names; the best first. The tag `evidence` describes it.

    Returns
    -------
    dict of str to str
        Version by alias.
    """
    from mlflow.exceptions import MlflowException

    store, registered = client(), registered_name(outcome, landmark)
    try:
        store.create_registered_model(registered, {_OUTCOME_TAG: outcome}, definition_of(outcome))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    aliases: dict[str, str] = {}
    for i, (uri, run_id, tags) in enumerate(versions):
        model_id = uri.removeprefix("models:/")
        version = str(
            store.create_model_version(
                registered, uri, run_id, tags=tags, description=tags.get("evidence"), model_id=model_id
            ).version
        )
        if i == 0:
            aliases["candidate"] = version
        aliases[f"candidate-{tags['blocks'].replace('+', '-')}"] = version
    # Aliases of an earlier experiment must not serve its models together with these.
    for stale in store.get_registered_model(registered).aliases:
        if stale.startswith("candidate-") and stale not in aliases:
            store.delete_registered_model_alias(registered, stale)
    for alias, version in aliases.items():
        store.set_registered_model_alias(registered, alias, version)
    return aliases


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
    store.set_model_version_tag(name, version, "demoted", reason)
    if str(store.get_registered_model(name).aliases.get("champion", "")) != version:
        return False
    store.delete_registered_model_alias(name, "champion")
    return True


def served_models(alias: str | None = None) -> dict[str, list[ServedModel]]:
    """Load every outcome's models.

    Parameters
    ----------
    alias : str, optional
        The alias to serve; by default `champion`, or `candidate` if there is no champion.

    Returns
    -------
    dict of str to list of ServedModel
        Models by outcome, those of the earliest landmark first: that of the alias, then those of other sets of blocks,
        the larger sets first.

    Raises
    ------
    ModelMissing
        No model is registered under the alias, or the store does not respond.
    BundleError
        A bundle has changed since it was written.
    """
    models: dict[str, list[ServedModel]] = {}
    with _missing("models cannot be loaded"):
        for registered in client().search_registered_models():
            outcome = registered.tags.get(_OUTCOME_TAG)
            main_alias = next((a for a in ([alias] if alias else ALIASES) if a in registered.aliases), None)
            if outcome is None or main_alias is None:
                continue
            block_aliases = (a for a in registered.aliases if a.startswith(f"{main_alias}-"))
            versions: dict[str, str] = {}
            for name in (main_alias, *sorted(block_aliases, key=lambda a: -a.count("-"))):
                if str(registered.aliases[name]) not in versions.values():
                    versions[name] = str(registered.aliases[name])
            loaded = (load_version(registered.name, version, name) for name, version in versions.items())
            models.setdefault(outcome, []).extend(loaded)
    for ranked in models.values():
        ranked.sort(key=lambda served: served.model.evidence.landmark)
    if not models:
        raise ModelMissing(
            f"no model is registered as {alias or ' or '.join(ALIASES)} in "
            f"{_without_password(settings().tracking_uri)}; 'taxokine train' registers one, and MLFLOW_TRACKING_URI "
            "names another store"
        )
    return models


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
    from mlflow.exceptions import MlflowException

    registered = client().get_model_version(name, version)
    model = _download_model(f"models:/{name}/{version}")
    run_id, experiment_id = registered.run_id or "", ""
    if run_id:
        # A model outlives its run, which may have been purged from the store.
        with suppress(MlflowException):
            experiment_id = str(client().get_run(run_id).info.experiment_id)
    validations = tuple(_external_validations(registered.tags))
    return ServedModel(model, name, version, run_id, alias, experiment_id, validations)


def external_validations(name: str, version: str) -> tuple[ExternalValidation, ...]:
    """Return the validations of a registered version on cohorts that it had not seen.

    Raises
    ------
    ModelMissing
        The registry has no such version.
    """
    with _missing(f"no model '{name}/{version}'"):
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

    return ExternalValidation.from_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{EXTERNAL_VALIDATION}"))


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
    with _missing(f"no model {reference!r}"):
        if version:
            return load_version(name, version, "")
        aliases = client().get_registered_model(name).aliases
        registered_alias = next((a for a in ([alias] if alias else ALIASES) if a in aliases), None)
        if registered_alias is None:
            raise InputError(
                f"model {name!r} has no alias {alias or ' or '.join(ALIASES)}; it has {', '.join(aliases)}"
            )
        return load_version(name, str(aliases[registered_alias]), registered_alias)


def log_engraftment(bundle: EngraftmentBundle) -> str:
    """Log an engraftment model's bundle as an MLflow model of the active run, and return its URI.

    An input row has the profiles `before` and `donor`, each a mapping of taxa to proportions.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Map, Schema

    profile, example = Map(DataType.double), dict.fromkeys(bundle.model.taxa[:10], 0.1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        save_engraftment(bundle, folder)
        logged = mlflow.pyfunc.log_model(
            name=ENGRAFTMENT,
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"bundle": str(folder)},
            signature=ModelSignature(
                inputs=Schema([ColSpec(profile, "before"), ColSpec(profile, "donor")]),
                outputs=Schema([ColSpec(profile, "expected"), ColSpec(profile, "presence")]),
            ),
            input_example=pd.DataFrame([{"before": example, "donor": example}]),
            pip_requirements=["taxokine"],
            metadata={"simulated": bundle.evidence.simulated},
        )
    return str(logged.model_uri)


def register_engraftment(uri: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Register an engraftment model as the candidate, and return its version."""
    from mlflow.exceptions import MlflowException

    store = client()
    try:
        store.create_registered_model(ENGRAFTMENT, {}, "Stool after a transplant, from the recipient's and the donor's")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model_id = uri.removeprefix("models:/")
    version = str(store.create_model_version(ENGRAFTMENT, uri, run_id, tags=dict(tags), model_id=model_id).version)
    store.set_registered_model_alias(ENGRAFTMENT, "candidate", version)
    return version


def find_engraftment(reference: str = "") -> ServedEngraftment:
    """Load an engraftment model from a folder, or a registered version; by default the candidate.

    Raises
    ------
    ModelMissing, BundleError
    """
    import mlflow

    path = Path(reference)
    if reference and path.is_dir():
        bundle = path / "artifacts" / "bundle"
        return ServedEngraftment(load_engraftment(bundle if bundle.is_dir() else path), "")
    advice = "'taxokine engraftment train COHORT' registers one"
    with _missing(f"no engraftment model {reference or 'candidate'!r} ({advice})"):
        version = reference.removeprefix(f"{ENGRAFTMENT}/")
        if not version:
            version = str(client().get_model_version_by_alias(ENGRAFTMENT, "candidate").version)
        with tempfile.TemporaryDirectory() as folder:
            source = f"models:/{ENGRAFTMENT}/{version}/artifacts/bundle"
            local = mlflow.artifacts.download_artifacts(source, dst_path=folder)
            return ServedEngraftment(load_engraftment(Path(local)), version)


@contextmanager
def _missing(problem: str) -> Iterator[None]:
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
