"""The registry: which bundles MLflow knows under which names, and how one gets in and out.

Each outcome is one registered model. Its aliases name what is served: `candidate` is the best run of the last
experiment, `champion` one that was promoted. A model answers only patients who have all its blocks, so the best model
of each other set of blocks stands beside it, as `candidate-taxa` or `candidate-taxa-clinical`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.columns import BLOCKS
from features.errors import InputError, ModelMissing
from features.settings import settings
from models.bundle import Model, load_bundle, save_bundle
from models.encoder import BlockEncoder
from models.predict import ServedModel

ALIASES = ("champion", "candidate")
_OURS = "taxokine.outcome"


def client() -> Any:
    """Return a client of the store that the settings name."""
    # MLflow takes two seconds to import, and the settings must have turned its telemetry off before.
    import mlflow

    uri = settings().tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient()


def log_bundle(model: Model) -> str:
    """Log a model's bundle as an MLflow model of the active run, and return the MLflow model's URI.

    A row has one mapping of names to numbers for each block, so that a name the model does not know still counts as
    part of the profile; the input example is synthetic.
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
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"bundle": str(folder)},
            signature=ModelSignature(inputs=Schema(blocks), outputs=outputs),
            input_example=synthetic_example(model.encoder),
            # Given, since MLflow would take seconds to infer them; the bundle is read by Taxokine itself.
            pip_requirements=["taxokine"],
            metadata={"outcome": model.outcome, "simulated": model.simulated},
        )
    return str(logged.model_uri)


def synthetic_example(encoder: BlockEncoder) -> Any:
    """Return one invented row: equal shares of ten taxa, and the middle of every other column's training range."""
    import pandas as pd

    known: dict[str, list[tuple[str, float]]] = {feature.block: [] for feature in encoder.features_}
    for feature, low, high in zip(encoder.features_, encoder.low_, encoder.high_, strict=True):
        known[feature.block].append((feature.name, round(float(low + high) / 2, 3)))
    return pd.DataFrame(
        [
            {
                "taxa": dict.fromkeys(encoder.names_.get("taxa", ())[:10], 0.1),
                "immune": {name: 1.0 for name, _ in known.get("immune", [])},
                "clinical": dict(known.get("clinical", [])),
            }
        ]
    )


def register(outcome: str, versions: Sequence[tuple[str, str, dict[str, str]]]) -> dict[str, str]:
    """Register an experiment's models under an outcome's name.

    Parameters
    ----------
    outcome : str
    versions : sequence of (model URI, run id, tags)
        The best first; one for each set of blocks, which the tag `blocks` names.

    Returns
    -------
    dict of str to str
        Version by alias.
    """
    from mlflow.exceptions import MlflowException

    store = client()
    try:
        store.create_registered_model(outcome, tags={_OURS: outcome})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    aliases: dict[str, str] = {}
    for i, (uri, run_id, tags) in enumerate(versions):
        model_id = uri.removeprefix("models:/")
        version = str(store.create_model_version(outcome, uri, run_id, tags=tags, model_id=model_id).version)
        if i == 0:
            aliases["candidate"] = version
        aliases[f"candidate-{tags['blocks'].replace('+', '-')}"] = version
    # The aliases of an experiment that went before must not stay to answer beside this one's.
    for stale in store.get_registered_model(outcome).aliases:
        if stale.startswith("candidate-") and stale not in aliases:
            store.delete_registered_model_alias(outcome, stale)
    for alias, version in aliases.items():
        store.set_registered_model_alias(outcome, alias, version)
    return aliases


def promote(name: str, version: str, tags: Mapping[str, str], *, granted: bool) -> None:
    """Tag a version with what each gate found, and make it the champion where promotion is granted.

    Parameters
    ----------
    name, version : str
    tags : mapping of str to str
    granted : bool
        Where it is not, whichever version is the champion stays it.
    """
    store = client()
    for key, value in tags.items():
        store.set_model_version_tag(name, version, key, value)
    if granted:
        store.set_registered_model_alias(name, "champion", version)


def served_models(alias: str | None = None) -> dict[str, list[ServedModel]]:
    """Load every outcome's models.

    Parameters
    ----------
    alias : str, optional
        The alias to serve; `champion`, else `candidate`, when left out.

    Returns
    -------
    dict of str to list of ServedModel
        By outcome; the alias's own model first, then those of other sets of blocks, the larger sets first.

    Raises
    ------
    ModelMissing
        Nothing is registered under the alias, or the store does not answer.
    BundleError
        A bundle is not as it was written.
    """
    found: dict[str, list[ServedModel]] = {}
    with _missing("models cannot be loaded"):
        for registered in client().search_registered_models():
            outcome = registered.tags.get(_OURS)
            chosen = next((a for a in ([alias] if alias else ALIASES) if a in registered.aliases), None)
            if outcome is None or chosen is None:
                continue
            others = sorted((a for a in registered.aliases if a.startswith(f"{chosen}-")), key=lambda a: -a.count("-"))
            versions: dict[str, str] = {}
            for name in (chosen, *others):
                if str(registered.aliases[name]) not in versions.values():
                    versions[name] = str(registered.aliases[name])
            found[outcome] = [load_version(registered.name, version, name) for name, version in versions.items()]
    if not found:
        raise ModelMissing(
            f"no model is registered as {alias or ' or '.join(ALIASES)} in {_shown(settings().tracking_uri)}; "
            "'taxokine train' registers one, and MLFLOW_TRACKING_URI names another store"
        )
    return found


def load_version(name: str, version: str, alias: str) -> ServedModel:
    """Load one version of a registered model.

    Parameters
    ----------
    name, version : str
    alias : str
        How it was asked for.
    """
    import mlflow

    about = client().get_model_version(name, version)
    with tempfile.TemporaryDirectory() as folder:
        local = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}/artifacts/bundle", dst_path=folder)
        model = load_bundle(Path(local))
    return ServedModel(model, name, version, about.run_id or "", alias)


def find_model(reference: str) -> ServedModel:
    """Load a model by folder, or by `name`, `name@alias` or `name/version` in the registry.

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
        wanted = next((a for a in ([alias] if alias else ALIASES) if a in aliases), None)
        if wanted is None:
            raise InputError(
                f"model {name!r} has no alias {alias or ' or '.join(ALIASES)}; it has {', '.join(aliases)}"
            )
        return load_version(name, str(aliases[wanted]), wanted)


@contextmanager
def _missing(problem: str) -> Iterator[None]:
    """Make what MLflow raises a `ModelMissing`; the cause is not chained, since its words may hold a password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise ModelMissing(f"{problem} in {_shown(settings().tracking_uri)}: {_shown(error.message)}") from None


def _shown(text: str) -> str:
    """Return a text without the user and password that a URI in it may carry."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)
