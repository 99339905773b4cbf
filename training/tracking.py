"""Experiments, runs, data sets, metrics and artefacts in MLflow. No patient identifier is logged."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from features.arrays import Vector
from features.cohort import Cohort
from features.columns import BLOCKS
from features.feature_table import FeatureTable
from features.manifest import manifest_digest
from features.settings import settings
from models.evidence import PriorExperiments
from models.processes import has_ended, this_process
from models.registration import write_shared
from models.registry import client

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

_PROCESS = "taxokine.process"
HELD_OUT = "held_out_predictions.parquet"
"""Artefact of a run with the held-out predictions of its model, by masked patient."""
SPECIFICATION = "taxokine.specification"
"""Tag with the digest of an experiment's options, data and versions."""
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag by which the MLflow UI opens an experiment as one of machine learning, not of generative AI."""
MODE = "workflowType=machine_learning"
"""Query of an address of the MLflow UI, by which it opens for machine learning."""
_DESCRIPTION = "mlflow.note.content"
LONGEST_NOTE = 7900
"""Characters of a description that MLflow keeps; the whole card is an artefact."""
VIEW = "comparison"
"""Key of a view that each experiment keeps, in which the MLflow UI compares its runs, the best first."""
_SHARED_VIEW = f"mlflow.sharedViewState.{VIEW}"
MODEL_COLUMNS = (
    *(f"metrics.auroc{end}" for end in ("", "_lower", "_upper")),
    *("metrics.gain", "tags.skill", "tags.simulated", "tags.family", "tags.blocks"),
)
"""Columns of a view that compares models; it sorts by the first, largest on top.

The UI puts tags after metrics, and shows five columns of both on a screen of 1280 pixels: the verdict on the model's
skill is the fifth.
"""
COLUMN_MEANINGS = (
    "`auroc`, with the 95% interval `auroc_lower` to `auroc_upper`: how well the probability as served ranks held-out "
    "patients; 0.5 is chance. `gain`: the AUROC minus that of the best baseline of covariates. `skill`: whether the "
    "model is better than chance. A run *on* another cohort validates a registered model there, and its metrics begin "
    "with `external_`."
)
"""What `MODEL_COLUMNS` and the runs of an experiment mean, for its description."""


@contextmanager
def experiment_run(
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, object],
    columns: Sequence[str] = MODEL_COLUMNS,
    description: str = "",
    resumed: str | None = None,
) -> Iterator[str]:
    """Open the parent run of an experiment, or join the one that `mlflow run` has opened.

    First, runs of this machine whose process has ended are marked as killed. `columns` are those of a new experiment's
    view, such as ``metrics.auroc``; the view sorts runs by the first, largest on top. `description` is shown above the
    experiment's runs. The run links to the models on the server whose address the settings know. `resumed` is an
    interrupted run to go on with.

    Yields
    ------
    str
        The run's id.
    """
    store = client()
    import mlflow

    mark_stale_runs_killed(store)
    parent_run = settings().parent_run
    if parent_run is None:
        _set_experiment(store, experiment, columns, description)
        run = mlflow.start_run(resumed) if resumed else mlflow.start_run(run_name=name)
    else:
        # `mlflow run` has chosen the experiment and logged the parameters. MLflow reads the run's id from the
        # environment and removes it there; passed as an argument it would stay, and the first child run would join the
        # parent too.
        run = mlflow.start_run()
    logged_params = set(run.data.params)
    with run:
        new_params = {k: v for k, v in params.items() if k not in logged_params}
        _log(store, run.info.run_id, {}, new_params, _with_server_link(tags))
        yield run.info.run_id


def interrupted_run(experiment: str, specification: str) -> str | None:
    """Return the last run of an experiment that was interrupted, of those with a specification's digest."""
    store = client()
    mark_stale_runs_killed(store)
    stored = store.get_experiment_by_name(experiment)
    if stored is None:
        return None
    query = f"tags.`{SPECIFICATION}` = '{specification}' and attributes.status != 'FINISHED'"
    runs = store.search_runs([stored.experiment_id], query, order_by=["attributes.start_time DESC"])
    return next((run.info.run_id for run in runs if run.info.status != "RUNNING"), None)


def keep_finished_models(run_id: str) -> dict[tuple[str, tuple[str, ...]], str]:
    """Return the finished runs below an experiment's run, by family and blocks, and delete the others."""
    store, finished = client(), dict[tuple[str, tuple[str, ...]], str]()
    experiment = store.get_run(run_id).info.experiment_id
    for run in store.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'", max_results=1000):
        if run.info.status == "FINISHED":
            finished[run.data.tags["family"], tuple(run.data.tags["blocks"].split("+"))] = run.info.run_id
        else:
            store.delete_run(run.info.run_id)
    return finished


def load_json(run_id: str, name: str) -> JsonValue:
    """Return what a run's JSON artefact holds."""
    import mlflow

    content: JsonValue = mlflow.artifacts.load_dict(f"runs:/{run_id}/{name}")
    return content


def load_held_out(run_id: str) -> pd.DataFrame | None:
    """Return the held-out predictions that a run has logged, by masked patient; None where it has none."""
    import mlflow
    import pandas as pd
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            return pd.read_parquet(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{HELD_OUT}", dst_path=folder))
        except (MlflowException, OSError):
            return None


@contextmanager
def child_run(name: str, tags: Mapping[str, str], params: Mapping[str, object]) -> Iterator[str]:
    """Open a run nested in the experiment's."""
    import mlflow

    # Without an experiment id, a child of a run that `mlflow run` opened would go to another experiment.
    parent = mlflow.active_run()
    with mlflow.start_run(run_name=name, nested=True, experiment_id=parent and parent.info.experiment_id) as run:
        _log(client(), run.info.run_id, {}, params, tags)
        yield run.info.run_id


def cohort_tags(cohorts: Sequence[Cohort]) -> dict[str, str]:
    """Return the tags of a run that name its data and the version of Taxokine."""
    return {
        "cohorts": ",".join(cohort.name for cohort in cohorts),
        "simulated": str(any(cohort.manifest.simulated for cohort in cohorts)).lower(),
        "manifests": ", ".join(f"{cohort.name} {manifest_digest(cohort.manifest)}" for cohort in cohorts),
        "taxokine.version": version("taxokine"),
    }


def log_description(run_id: str, text: str) -> None:
    """Show a text in Markdown as a run's description, above what links it to the server."""
    store = client()
    links = store.get_run(run_id).data.tags.get(_DESCRIPTION, "")
    _log(store, run_id, {}, {}, {_DESCRIPTION: f"{text[: LONGEST_NOTE - len(links)]}\n\n{links}".strip()})


def log_metrics(run_id: str, metrics: Mapping[str, float | None]) -> None:
    """Log a run's finite metrics in one call."""
    _log(client(), run_id, metrics, {}, {})


def log_best_model(
    run_id: str,
    name: str,
    best_run_id: str,
    best_name: str,
    metrics: Mapping[str, float | None],
    tags: Mapping[str, str],
) -> None:
    """Log an experiment's best model on the parent run: its scores, its name, and a link to its run.

    Parameters
    ----------
    run_id, name : str
        The parent run, and its new name.
    best_run_id, best_name : str
        Run and name of the best model.
    metrics : mapping of str to float or None
        Scores of the best model, and counts of the experiment; those that are not finite are not logged.
    tags : mapping of str to str
        What the model's own run says of it too.
    """
    store = client()
    run = store.get_run(run_id)
    link = f"[{best_name}](#/experiments/{run.info.experiment_id}/runs/{best_run_id}?{MODE})"
    note = f"The scores of this run are those of its best model, {link}.\n\n{run.data.tags.get(_DESCRIPTION, '')}"
    _log(store, run_id, metrics, {}, {**tags, "best": best_name, _DESCRIPTION: note.strip()})
    store.update_run(run_id, name=name)


def link_model_cards(run_ids: Iterable[str]) -> None:
    """Link runs and their registered versions to the model card on the server whose address the settings know."""
    server = settings().server_url
    if server is None:
        return
    store = client()
    for run_id in run_ids:
        for registered in store.search_model_versions(f"run_id = '{run_id}'"):
            address = f"{server}/models/{registered.name}/{registered.version}/card"
            store.update_model_version(
                registered.name,
                registered.version,
                "\n\n".join(filter(None, (registered.description, f"Model card: {address}"))),
            )
            note = store.get_run(run_id).data.tags.get(_DESCRIPTION, "")
            link = f"[Model card, version {registered.version}]({address})"
            _log(store, run_id, {}, {}, {"model_card": address, _DESCRIPTION: f"{link}\n\n{note}"})


def _with_server_link(tags: Mapping[str, str]) -> Mapping[str, str]:
    server = settings().server_url
    if server is None:
        return tags
    address = f"{server}/models"
    note = "\n\n".join(filter(None, (f"[Models on the server]({address})", tags.get(_DESCRIPTION))))
    return {**tags, "server": address, _DESCRIPTION: note}


def link_model(run_id: str, name: str, version: str) -> None:
    """Link a run to a registered version as a model that it used, as the MLflow UI shows it on both."""
    from mlflow.entities import LoggedModelInput

    store = client()
    # The store keeps the logged model as the version's source alone.
    prefix, _, model_id = store.get_model_version(name, version).source.rpartition("models:/")
    if model_id and not prefix:
        store.log_inputs(run_id, models=[LoggedModelInput(model_id)])


def log_folder(run_id: str, folder: Path) -> None:
    """Log a folder's files as the run's artefacts."""
    client().log_artifacts(run_id, str(folder))


def log_table(table: FeatureTable, outcome: str, y: Vector, context: str = "training") -> str:
    """Log the data set of the active run, by shape and digest, and return the digest.

    `context` is what the run used it for.

    Equal digests of measurements and labels show that two runs used the same rows.
    """
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource

    digest, cohorts = table_digest(table, y), ",".join(table.cohorts)
    dataset = mlflow.data.from_numpy(
        table.taxa.values,
        source=CodeDatasetSource(tags={"cohorts": cohorts}),
        targets=y,
        name=f"{outcome}: {cohorts}"[:200],
        digest=digest,
    )
    write_shared(lambda: mlflow.log_input(dataset, context=context))
    return digest


def table_digest(table: FeatureTable, y: Vector) -> str:
    """Return a short hash of a table's measurements and labels."""
    digest = hashlib.sha256(np.ascontiguousarray(y).tobytes())
    for block in (table.block(name) for name in BLOCKS):
        if not block.names:
            continue
        digest.update("\n".join(block.names).encode())
        digest.update(np.ascontiguousarray(block.values).tobytes())
    return digest.hexdigest()[:16]


def masked_patients(table: FeatureTable) -> list[str]:
    """Return each row's patient as a keyed hash; linking it to the patient needs this installation's key."""
    key = _mask_key()
    return [
        hmac.new(key, f"{row.cohort}/{row.patient}".encode(), hashlib.sha256).hexdigest()[:24]
        for row in table.rows.itertuples()
    ]


def prior_experiments(cohorts: Iterable[str]) -> PriorExperiments:
    """Count the finished experiments in this store on any of these cohorts, and the models that they trained.

    Each may have guided later choices, whichever outcome it predicted.
    """
    store, names = client(), set(cohorts)
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    n_experiments, n_models, token = 0, 0, None
    while True:
        page = store.search_runs(experiments, "attributes.status = 'FINISHED'", max_results=1000, page_token=token)
        for run in page:
            tags = run.data.tags
            if "models" in tags and names & set(tags.get("cohorts", "").split(",")):
                n_experiments += 1
                n_models += int(tags["models"])
        token = page.token
        if not token:
            return PriorExperiments(n_experiments, n_models)


def comparison_paths() -> dict[str, str]:
    """Return, for each experiment that has one, the path of its comparison in the MLflow UI."""
    return {
        experiment.name: f"/#/experiments/{experiment.experiment_id}/runs?{MODE}&viewStateShareKey={VIEW}"
        for experiment in client().search_experiments()
        if _SHARED_VIEW in experiment.tags
    }


def mark_stale_runs_killed(store: MlflowClient) -> int:
    """Mark running runs of this machine whose process has ended as killed; return how many."""
    n_marked = 0
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    for run in store.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000):
        if has_ended(run.data.tags.get(_PROCESS, "")):
            store.set_terminated(run.info.run_id, "KILLED")
            n_marked += 1
    return n_marked


def _log(
    store: MlflowClient,
    run_id: str,
    metrics: Mapping[str, float | None],
    params: Mapping[str, object],
    tags: Mapping[str, str],
) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    tags = {**tags, _PROCESS: this_process()}
    store.log_batch(
        run_id,
        metrics=[
            Metric(name, value, now, 0) for name, value in metrics.items() if value is not None and np.isfinite(value)
        ],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )


def _set_experiment(store: MlflowClient, name: str, columns: Sequence[str], description: str) -> None:
    import mlflow

    uri, view = settings().tracking_uri, json.dumps(_view(columns))
    stored = store.get_experiment_by_name(name)
    if stored is not None and stored.tags.get(_SHARED_VIEW) != view:
        # An earlier version compared by other columns.
        write_shared(lambda: store.set_experiment_tag(stored.experiment_id, _SHARED_VIEW, view))
    if stored is None:
        # Artefacts of a local store lie in the folder of its file; a server chooses their location.
        folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
        location = folder.as_uri() if uri.startswith("sqlite:///") else None
        tags = {**KIND, _SHARED_VIEW: view, _DESCRIPTION: description}
        write_shared(
            lambda: (
                store.get_experiment_by_name(name)
                or store.create_experiment(name, artifact_location=location, tags=tags)
            )
        )
    mlflow.set_experiment(name)


def _view(columns: Sequence[str]) -> dict[str, object]:
    """Return the state of a view as the MLflow UI keeps it, with quoted columns."""
    quoted = ["{}.`{}`".format(*column.split(".", 1)) for column in ("attributes.Created", *columns)]
    return {"orderByKey": quoted[1], "orderByAsc": False, "selectedColumns": quoted}


def _mask_key() -> bytes:
    path = settings().home / "patient_key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_bytes(secrets.token_bytes(32))
        partial.replace(path)
    return path.read_bytes()
