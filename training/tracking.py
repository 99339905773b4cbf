"""What MLflow is told: experiments, runs, data sets, metrics and artefacts. No patient identifier reaches it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from features.feature_table import FeatureTable
from features.settings import settings
from models.registry import client

_PROCESS = "taxokine.process"
VIEW = "comparison"
"""The key of a view kept with each experiment: there the MLflow UI shows its runs side by side, the best first."""
_SHARED_VIEW = f"mlflow.sharedViewState.{VIEW}"
MODELS = (
    *("metrics.auroc", "metrics.auroc_low", "metrics.auroc_high", "metrics.permutation_best_of_p", "metrics.gain"),
    *("metrics.brier", "metrics.prevalence_brier", "metrics.patients", "metrics.events"),
    *("tags.family", "tags.blocks", "tags.simulated"),
)
"""The columns of a view that compares models; runs stand by the first, the best on top."""


@contextmanager
def experiment_run(
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    columns: Sequence[str] = MODELS,
) -> Iterator[str]:
    """Open the parent run of an experiment, or join the one that `mlflow run` has opened.

    Runs of this machine whose process is gone are first marked as killed. `columns` are those of the view of a new
    experiment, as in ``metrics.auroc``; runs stand by the first, the largest on top.

    Yields
    ------
    str
        The run's id.
    """
    store = client()
    import mlflow

    bury_dead_runs(store)
    joined = settings().parent_run
    if joined is None:
        _set_experiment(store, experiment, columns)
        run = mlflow.start_run(run_name=name)
    else:
        # Its experiment was chosen by whoever started it, and its parameters are logged. MLflow takes the run from the
        # environment, and out of it: given as an argument it would stay there, and the first child would join it too.
        run = mlflow.start_run()
    known = set(run.data.params)
    with run:
        _log(store, run.info.run_id, {}, {k: v for k, v in params.items() if k not in known}, tags)
        yield run.info.run_id


@contextmanager
def child_run(name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> Iterator[str]:
    """Open a run nested in the experiment's."""
    import mlflow

    # Without its experiment, a run nested in one that 'mlflow run' chose would go to another.
    parent = mlflow.active_run()
    with mlflow.start_run(run_name=name, nested=True, experiment_id=parent and parent.info.experiment_id) as run:
        _log(client(), run.info.run_id, {}, params, tags)
        yield run.info.run_id


def log_metrics(run_id: str, metrics: Mapping[str, float]) -> None:
    """Log a run's finite metrics in one call."""
    _log(client(), run_id, {k: v for k, v in metrics.items() if np.isfinite(v)}, {}, {})


def log_folder(run_id: str, folder: Path) -> None:
    """Log a folder's files as the run's artefacts."""
    client().log_artifacts(run_id, str(folder))


def log_table(table: FeatureTable, outcome: str, y: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Log the data set of the active run, by shape and digest, and return the digest.

    The digest is of the measurements and labels, so that two runs can be seen to have learnt from the same rows.
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
    mlflow.log_input(dataset, context="training")
    return digest


def table_digest(table: FeatureTable, y: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Return a short hash of a table's measurements and labels."""
    found = hashlib.sha256(np.ascontiguousarray(y).tobytes())
    for block in (table.taxa, table.immune, table.clinical):
        found.update("\n".join(block.names).encode())
        found.update(np.ascontiguousarray(block.values).tobytes())
    return found.hexdigest()[:16]


def masked_patients(table: FeatureTable) -> list[str]:
    """Return each row's patient as a keyed hash, which only this installation's key can link to a patient."""
    key = _mask_key()
    return [
        hmac.new(key, f"{row.cohort}/{row.patient}".encode(), hashlib.sha256).hexdigest()[:24]
        for row in table.rows.itertuples()
    ]


def looks(cohorts: Iterable[str]) -> dict[str, int]:
    """Return how many experiments this store has finished on any of these cohorts, and how many models they tried.

    Whatever was learnt from them may have steered what is tried next, whichever outcome it was.
    """
    store, wanted = client(), set(cohorts)
    found = {"experiments": 0, "models": 0}
    experiments = [e.experiment_id for e in store.search_experiments()]
    token = None
    while True:
        page = store.search_runs(experiments, "attributes.status = 'FINISHED'", max_results=1000, page_token=token)
        for run in page:
            if "models" in run.data.tags and wanted & set(run.data.tags.get("cohorts", "").split(",")):
                found["experiments"] += 1
                found["models"] += int(run.data.tags["models"])
        token = page.token
        if not token:
            return found


def comparisons() -> dict[str, str]:
    """Return, for each experiment that has one, the path of its comparison in the MLflow UI."""
    return {
        experiment.name: f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={VIEW}"
        for experiment in client().search_experiments()
        if _SHARED_VIEW in experiment.tags
    }


def bury_dead_runs(store: Any) -> int:
    """Mark runs that this machine left running, and whose process is gone, as killed; return how many."""
    buried = 0
    experiments = [e.experiment_id for e in store.search_experiments()]
    for run in store.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000):
        host, _, process = run.data.tags.get(_PROCESS, "").rpartition("/")
        if host == socket.gethostname() and process not in _processes():
            store.set_terminated(run.info.run_id, "KILLED")
            buried += 1
    return buried


def _processes() -> set[str]:
    return {f"{p.pid}:{p.info['create_time']:.0f}" for p in psutil.process_iter(["create_time"])}


def _log(
    store: Any, run_id: str, metrics: Mapping[str, float], params: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    created = psutil.Process().create_time()
    tags = {**tags, _PROCESS: f"{socket.gethostname()}/{os.getpid()}:{created:.0f}"}
    store.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )


def _set_experiment(store: Any, name: str, columns: Sequence[str]) -> None:
    import mlflow

    uri = settings().tracking_uri
    if store.get_experiment_by_name(name) is None:
        # Beside a local store's file; a server decides for itself.
        beside = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
        location = beside.as_uri() if uri.startswith("sqlite:///") else None
        store.create_experiment(name, artifact_location=location, tags={_SHARED_VIEW: json.dumps(_view(columns))})
    mlflow.set_experiment(name)


def _view(columns: Sequence[str]) -> dict[str, Any]:
    """Return a view's state as the MLflow UI keeps it, its columns quoted as it quotes them."""
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
