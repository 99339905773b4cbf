"""The served set of models follows the registry: a moved alias, a bad bundle, a registry that is down, a restart."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import mlflow
import pytest
from fastapi import FastAPI
from mlflow import MlflowClient
from starlette.testclient import TestClient

from features.errors import BundleError, ModelMissing, SignatureError
from features.settings import settings
from models.predict import ServedModel
from models.registry import client as registry_client
from models.registry import log_bundle, register
from models.signature import make_key_pair
from serving.accounts import Accounts
from serving.app import create_app
from serving.instruments import REGISTRY
from serving.model_set import live_app
from serving.model_set.live_app import LiveApp
from serving.model_set.loading import open_loader, start_set
from serving.model_set.model_set import ModelSet
from serving.schemas import Readiness

from ..stores import new_store
from .conftest import running

Logged = dict[str, tuple[str, str]]
OUTCOME, OTHER = "objective_response", "toxicity_any"


@pytest.fixture(scope="module")
def logged(models: dict[str, list[ServedModel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """Return URI and run of the best model of each outcome, logged to a new store, which the settings name."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
        settings.cache_clear()
        experiment = registry_client().create_experiment("models", artifact_location=(folder / "artefacts").as_uri())
        uris = {}
        for outcome in (OUTCOME, OTHER):
            with mlflow.start_run(experiment_id=experiment) as run:
                uris[outcome] = log_bundle(models[outcome][0].model), run.info.run_id
        yield uris
    settings.cache_clear()


@pytest.fixture
def store(logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Return a client of the store, in which each outcome has two versions, the second one the candidate."""
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path))
    settings.cache_clear()
    for outcome, (uri, run_id) in [*logged.items(), *logged.items()]:
        register(outcome, [(uri, run_id, {"blocks": "taxa"})])
    result = registry_client()
    yield result
    for registered in result.search_registered_models():
        result.delete_registered_model(registered.name)


@pytest.fixture
def live(store: MlflowClient, key_and_accounts: tuple[str, Accounts]) -> LiveApp:
    return new_live_app(key_and_accounts[1])


def new_live_app(accounts: Accounts) -> LiveApp:
    return LiveApp(
        open_loader(),
        lambda model_set, readiness: create_app(model_set.by_outcome(), accounts, readiness=readiness),
    )


def spoil(store: MlflowClient) -> None:
    """Let the candidate of an outcome be a version whose bundle was altered after it was logged."""
    experiment = store.get_experiment_by_name("models").experiment_id
    model = start_set(open_loader())[0].served[0].model
    with mlflow.start_run(experiment_id=experiment) as run:
        bad_uri = log_bundle(model)
    register(OUTCOME, [(bad_uri, run.info.run_id, {"blocks": "taxa"})])
    root = Path(store.get_logged_model(bad_uri.removeprefix("models:/")).artifact_location.removeprefix("file://"))
    path = next(root.rglob("bundle.json"))
    path.write_text(path.read_text().replace('"slope": 0.8', '"slope": 9.8'))


def test_only_signed_bundles_are_served_where_they_must_be(
    live: LiveApp, store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, other = tmp_path / "trainer.pem", tmp_path / "other.pem"
    public_keys = [str(make_key_pair(path)) for path in (trainer, other)]

    def trust(*keys: str) -> None:
        monkeypatch.setenv("TAXOKINE_SIGNERS", os.pathsep.join(keys))
        settings.cache_clear()

    # Unsigned versions, from the registry and as they were kept.
    trust(public_keys[0])
    with pytest.raises(SignatureError, match="is not signed"):
        start_set(open_loader())
    trust()
    for outcome in (OUTCOME, OTHER):
        (served,) = [item for item in start_set(open_loader())[0].served if item.model.outcome == outcome]
        monkeypatch.setenv("TAXOKINE_SIGNING_KEY", str(trainer))
        settings.cache_clear()
        with mlflow.start_run(experiment_id=store.get_experiment_by_name("models").experiment_id) as run:
            uri = log_bundle(served.model)
        register(outcome, [(uri, run.info.run_id, {"blocks": "taxa"})])
    monkeypatch.delenv("TAXOKINE_SIGNING_KEY")
    trust(public_keys[0])
    live.check()
    assert live.readiness().status == "ready"
    assert live.readiness().models == [f"{OUTCOME}/3", f"{OTHER}/3"]

    # An alias moved back to an unsigned version.
    store.set_registered_model_alias(OUTCOME, "champion", "1")
    live.check()
    assert live.readiness().status == "degraded"
    assert live.readiness().problems == [
        "the registry names a bundle that no trusted key has signed; the last good set is served"
    ]
    assert live.readiness().models == [f"{OUTCOME}/3", f"{OTHER}/3"]
    assert [served.version for served in start_set(open_loader())[0].served] == ["3", "3"]

    # The keys change: the old one is trusted until it is withdrawn.
    trust(public_keys[1], public_keys[0])
    store.set_registered_model_alias(OUTCOME, "champion", "3")
    assert start_set(open_loader())[1] is None
    trust(public_keys[1])
    with pytest.raises(SignatureError, match="signed by none of the keys"):
        start_set(open_loader())


def test_a_model_of_another_landmark_is_refused(live: LiveApp, store: MlflowClient, logged: Logged) -> None:
    # As a hand in the registry's page may do it.
    uri, run_id = logged[OUTCOME]
    register(OUTCOME, [(uri, run_id, {"blocks": "taxa"})], landmark=28)
    live.check()
    assert live.readiness().status == "degraded"
    with pytest.raises(BundleError, match=f"{OUTCOME}_day_28/1 holds a model of day 0; register it as {OUTCOME}"):
        open_loader().load(open_loader().versions())


def test_a_moved_alias_is_served_without_a_restart_and_without_a_failed_answer(
    live: LiveApp,
    store: MlflowClient,
    key_and_accounts: tuple[str, Accounts],
    candidate: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_app, "CHECK_SECONDS", 0.2)
    headers = {"Authorization": f"Bearer {key_and_accounts[0]}"}
    versions: list[str] = []
    with running(live) as address, httpx.Client(base_url=address, headers=headers) as http:
        deadline = time.monotonic() + 60
        while len(set(versions)) < 2 and time.monotonic() < deadline:
            response = http.post("/v1/predictions", json=candidate)
            assert response.status_code == 200, response.text
            answers = {answer["outcome"]: answer["model"]["version"] for answer in response.json()["answers"]}
            versions.append(answers[OUTCOME])
            if len(versions) == 5:
                store.set_registered_model_alias(OUTCOME, "champion", "1")
        assert sorted(set(versions)) == ["1", "2"]
        assert http.get("/readyz").json()["models"] == [f"{OUTCOME}/1", f"{OTHER}/2"]
        assert [model["version"] for model in http.get("/v1/models").json()["models"]] == ["1", "2"]


def test_a_bad_bundle_is_refused_and_the_last_good_set_keeps_serving_also_after_a_restart(
    live: LiveApp,
    store: MlflowClient,
    logged: Logged,
    key_and_accounts: tuple[str, Accounts],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spoil(store)
    live.check()
    for app in (live, new_live_app(key_and_accounts[1])):
        assert REGISTRY.get_sample_value("taxokine_models_degraded") == 1
        readiness = app.readiness()
        assert readiness.status == "degraded"
        assert list(readiness.models) == [f"{OUTCOME}/2", f"{OTHER}/2"]
        assert "refused" in readiness.problems[0]
        assert str(tmp_path) not in readiness.problems[0]
    # The log names the version and the reason.
    assert f"{OUTCOME}/3: " in caplog.text
    assert "bundle.json has changed since the bundle was written" in caplog.text
    # The alias back on a good version: served, and no longer degraded.
    store.set_registered_model_alias(OUTCOME, "champion", "1")
    live.check()
    assert (live.readiness().status, live.readiness().models[0]) == ("ready", f"{OUTCOME}/1")
    assert REGISTRY.get_sample_value("taxokine_models_degraded") == 0


def test_a_server_starts_while_the_registry_is_down(
    live: LiveApp, key_and_accounts: tuple[str, Accounts], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: object) -> object:
        raise ModelMissing("models cannot be loaded in http://127.0.0.1:9: refused")

    monkeypatch.setattr("serving.model_set.loading.served_versions", fail)
    restarted = new_live_app(key_and_accounts[1])
    assert restarted.readiness().status == "degraded"
    assert restarted.readiness().checked is None
    assert list(restarted.readiness().models) == [f"{OUTCOME}/2", f"{OTHER}/2"]
    with running(restarted) as address:
        response = httpx.get(f"{address}/readyz")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert "127.0.0.1:9" not in response.text
    # A copy that was altered on disk is no last good set.
    (place,) = (tmp_path / "served").iterdir()
    path = next(place.rglob("bundle.json"))
    path.write_text(path.read_text().replace('"slope": 0.8', '"slope": 9.8'))
    with pytest.raises(ModelMissing):
        new_live_app(key_and_accounts[1])


def test_withdrawn_models_are_not_served_and_a_lost_registry_withdraws_none(live: LiveApp, store: MlflowClient) -> None:
    for outcome in (OUTCOME, OTHER):
        for alias in ("candidate", "candidate-taxa"):
            store.delete_registered_model_alias(outcome, alias)
    live.check()
    assert list(live.readiness().models) == []
    with running(live) as address:
        assert httpx.get(f"{address}/readyz").status_code == 503
    store.set_registered_model_alias(OUTCOME, "champion", "1")
    live.check()
    for registered in store.search_registered_models():
        store.delete_registered_model(registered.name)
    live.check()
    assert live.readiness().status == "degraded"
    assert list(live.readiness().models) == [f"{OUTCOME}/1"]


def test_a_bundle_of_another_outcome_is_refused(live: LiveApp, store: MlflowClient, logged: Logged) -> None:
    register("disease_control", [(*logged[OTHER], {"blocks": "taxa"})])
    with pytest.raises(BundleError, match="disease_control/1 is registered for disease_control, and"):
        open_loader().load(open_loader().versions())
    live.check()
    assert live.readiness().status == "degraded"


def test_nothing_to_serve_is_an_error_at_the_start(store: MlflowClient, tmp_path: Path) -> None:
    for registered in store.search_registered_models():
        store.delete_registered_model(registered.name)
    shutil.rmtree(tmp_path / "served", ignore_errors=True)
    with pytest.raises(ModelMissing, match="'taxokine train' registers one"):
        start_set(open_loader())


def test_a_set_of_models_that_is_served_no_more_leaves_the_memory(
    store: MlflowClient, key_and_accounts: tuple[str, Accounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_app, "CHECK_SECONDS", 0.2)
    live = new_live_app(key_and_accounts[1])
    former = weakref.ref(next(served for served in live._set.served if served.model.outcome == OUTCOME))
    with running(live) as address:
        store.set_registered_model_alias(OUTCOME, "champion", "1")
        deadline = time.monotonic() + 60
        # The models leave just before what stays is frozen again.
        while (former() is not None or gc.get_freeze_count() == 0) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert httpx.get(f"{address}/readyz").json()["models"] == [f"{OUTCOME}/1", f"{OTHER}/2"]
        assert former() is None
        assert gc.get_freeze_count() > 0


def test_a_former_set_leaves_the_memory_after_the_last_request_that_uses_it(
    store: MlflowClient, key_and_accounts: tuple[str, Accounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_app, "CHECK_SECONDS", 0.2)
    begun, end = threading.Event(), threading.Event()

    def build(model_set: ModelSet, readiness: Callable[[], Readiness]) -> FastAPI:
        app = create_app(model_set.by_outcome(), key_and_accounts[1], readiness=readiness)

        @app.get("/batch")
        def batch() -> None:
            begun.set()
            assert end.wait(60)

        return app

    live = LiveApp(open_loader(), build)
    former = weakref.ref(next(served for served in live._set.served if served.model.outcome == OUTCOME))
    with running(live) as address, ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, f"{address}/batch", timeout=120)
        assert begun.wait(60)
        store.set_registered_model_alias(OUTCOME, "champion", "1")
        deadline = time.monotonic() + 60
        while live.readiness().models != [f"{OUTCOME}/1", f"{OTHER}/2"] and time.monotonic() < deadline:
            time.sleep(0.1)
        # Several checks, all of them during the request.
        time.sleep(1.5)
        assert former() is not None
        end.set()
        assert answer.result().status_code == 200
        deadline = time.monotonic() + 20
        while former() is not None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert former() is None


def test_the_process_of_a_server_searches_no_models_for_garbage(
    live: LiveApp, key_and_accounts: tuple[str, Accounts]
) -> None:
    n_frozen = gc.get_freeze_count()
    # An application alone, as tests and other servers may hold it, freezes nothing of its process.
    with TestClient(create_app({}, key_and_accounts[1]), "http://127.0.0.1"):
        assert gc.get_freeze_count() <= n_frozen
    with TestClient(live, "http://127.0.0.1"):
        assert gc.get_freeze_count() > n_frozen
