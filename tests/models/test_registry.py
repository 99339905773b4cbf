"""Bundles in a real MLflow store: registered, served by alias, loaded by MLflow's own tools, refused when touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features import columns
from features.errors import BundleError, InputError, ModelMissing
from features.measured_values import MeasuredValue
from features.settings import settings
from models.batch import numbers_candidate, predictions, table_candidates
from models.bundle import Model, save_bundle
from models.families import FAMILIES
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import ServedModel, predict
from models.registry import (
    client,
    find_model,
    load_version,
    log_bundle,
    models_by_outcome,
    promote,
    register,
    served_models,
    synthetic_example,
)

from .conftest import BLOCKS, PROFILER, UNITS, invented, trained

ROOT = Path(__file__).parents[2]
OUTCOME = "toxicity_any"
ALL = "+".join(BLOCKS)
TAXA = "elastic_net taxa"
MODELS: dict[str, Model] = {name: trained(name) for name in FAMILIES} | {TAXA: trained("elastic_net", ("taxa",))}


@pytest.fixture(scope="module")
def logged(home: Path) -> dict[str, tuple[str, str]]:
    """Return each model's URI and run id."""
    import mlflow

    result = {}
    for name, model in MODELS.items():
        with mlflow.start_run(experiment_id=client().get_experiment_by_name("models").experiment_id) as run:
            result[name] = (log_bundle(model), run.info.run_id)
    return result


def input_rows() -> list[dict[str, dict[str, float]]]:
    table = invented(seed=6)
    return [
        {
            block: {
                name: value
                for name, value in zip(table.block(block).names, table.block(block).values[i].tolist(), strict=True)
                if np.isfinite(value)
            }
            for block in BLOCKS
        }
        for i in range(12)
    ]


def clinic(numbers: Mapping[str, Mapping[str, float]]) -> Candidate:
    """Return what the server makes of a row: percent, MetaPhlAn's names, other units, words for levels."""
    blood = []
    for name, value in numbers["immune"].items():
        unit: Any = UNITS[name]
        if unit == "pg/mL":
            value, unit = value / 1000, "ng/mL"
        blood.append(Measurement(name.removesuffix(" mRNA"), MeasuredValue(value), unit))
    fields = {"sex": "female" if numbers["clinical"]["sex=female"] else "male"}
    taxa = {f"s__{name.replace('_', ' ')}": 100 * value for name, value in numbers["taxa"].items()}
    age = {"age": numbers["clinical"]["age"]} if "age" in numbers["clinical"] else {}
    return Candidate({**fields, **age}, StoolProfile(taxa, "percent", PROFILER, -1.0, "day_ici"), tuple(blood))


def test_server_batch_and_mlflow_give_the_same_probabilities(family: str, logged: dict[str, tuple[str, str]]) -> None:
    import mlflow

    rows = input_rows()
    served = ServedModel(MODELS[family], OUTCOME, "1", "", "")
    server = [predict([served], clinic(row)).probability for row in rows]
    batch = predictions(served, list(table_candidates(invented(seed=6)))[:12])
    pyfunc = mlflow.pyfunc.load_model(logged[family][0]).predict(pd.DataFrame(rows))
    # The first three rows have readings beyond an unstated limit, which a number cannot say.
    np.testing.assert_allclose(server[3:], batch.probability[3:], atol=1e-6)
    np.testing.assert_allclose(server, pyfunc.probability, atol=1e-6)
    assert len(set(server)) > 1
    assert list(pyfunc.columns) == ["probability", "margin", "verdict"]


def test_the_input_example_gets_a_prediction(family: str, logged: dict[str, tuple[str, str]]) -> None:
    import mlflow

    model = MODELS[family]
    example = synthetic_example(model.encoder)
    result = mlflow.pyfunc.load_model(logged[family][0]).predict(example).iloc[0]
    (row,) = example.to_dict("records")
    served = ServedModel(model, OUTCOME, "1", "", "")
    prediction = predictions(served, [numbers_candidate(*(row[block] for block in BLOCKS), units=model.units)]).iloc[0]
    assert result.probability == pytest.approx(prediction.probability, abs=1e-6)
    assert result.verdict == prediction.verdict == "use with care"


def test_blocks_and_values_may_be_missing(logged: dict[str, tuple[str, str]]) -> None:
    import mlflow

    taxa = {"Genus0_species0": 0.5, "Genus1_species1": 0.5}
    nulls = {**taxa, "Genus2_species2": None}
    full_model, small = (mlflow.pyfunc.load_model(logged[name][0]) for name in ("elastic_net", TAXA))
    assert full_model.predict(pd.DataFrame([{"taxa": taxa}])).verdict.tolist() == ["abstain"]
    assert full_model.predict(pd.DataFrame([{"taxa": taxa, "immune": {}, "clinical": {}}])).probability.isna().all()
    complete_row, row_with_null, row_with_nan = (
        small.predict(pd.DataFrame([row])).probability.item()
        for row in ({"taxa": taxa}, {"taxa": nulls}, {"taxa": nulls, "immune": {"IL-6": float("nan")}})
    )
    assert 0 < complete_row < 1
    assert complete_row == row_with_null == row_with_nan


def test_mlflows_own_command_predicts(logged: dict[str, tuple[str, str]], home: Path, tmp_path: Path) -> None:
    rows = input_rows()[:3]
    (tmp_path / "input.json").write_text(json.dumps({"dataframe_records": rows}))
    command = ["models", "predict", "--env-manager", "local", "-m", logged["xgboost"][0], "-t", "json"]
    completed = subprocess.run(
        [sys.executable, "-m", "mlflow", *command, "-i", "input.json", "-o", "output.json"],
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=f"sqlite:///{home}/mlflow.db"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    result = json.loads((tmp_path / "output.json").read_text())["predictions"]
    served = ServedModel(MODELS["xgboost"], OUTCOME, "1", "", "")
    server = [predict([served], clinic(row)).probability for row in rows]
    np.testing.assert_allclose([row["probability"] for row in result], server, atol=1e-6)
    assert not (tmp_path / "mlruns").exists()


def environment(**extra_taxa: str) -> dict[str, str]:
    """Return an environment in which this Python's commands and these packages are found, and nothing of pytest is."""
    version = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MLFLOW", "CI", "GITHUB", "DO_NOT_TRACK"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), version.get("PATH", "")])
    return {**version, "PATH": path, "PYTHONPATH": str(ROOT), **extra_taxa}


def test_the_logged_model_says_what_it_is(logged: dict[str, tuple[str, str]], home: Path) -> None:
    import mlflow

    info = mlflow.models.get_model_info(logged["elastic_net"][0])
    assert info.metadata == {"outcome": OUTCOME, "simulated": False}
    assert info.signature.inputs.input_names() == list(columns.BLOCKS)
    assert info.signature.outputs.input_names() == ["probability", "margin", "verdict"]
    # Nothing that only Python's pickle could read lies beside the bundle.
    version = [path.suffix for path in (home / "artefacts").rglob("*") if path.is_file()]
    assert not {".pkl", ".pickle", ".joblib", ".skops", ".bin"} & set(version)


def test_a_logged_model_names_no_package_that_an_index_may_not_have(
    logged: dict[str, tuple[str, str]], home: Path
) -> None:
    # `taxokine` is in no index: whoever registered it there would be run by tools that build a model's environment.
    folders = [path.parent for path in (home / "artefacts").rglob("MLmodel")]
    assert len(folders) >= len(MODELS)
    for folder in folders:
        assert (folder / "requirements.txt").read_text().split() == [f"mlflow=={package_version('mlflow')}"]
        environments = [(folder / name).read_text() for name in ("conda.yaml", "python_env.yaml")]
        assert not any("taxokine" in text for text in environments)


def put(logged: Mapping[str, tuple[str, str]], *names: str, outcome: str = OUTCOME) -> dict[str, str]:
    return register(outcome, [(*logged[name], {"blocks": "+".join(MODELS[name].blocks)}) for name in names])


def test_the_best_and_the_best_of_other_blocks_are_served(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    aliases = put(logged, "xgboost", TAXA)
    assert aliases == {"candidate": "1", "candidate-taxa-immune-clinical": "1", "candidate-taxa": "2"}
    ((outcome, (best, other_model)),) = served_models().items()
    assert outcome == OUTCOME
    assert (best.name, best.version, best.alias, best.run_id) == (OUTCOME, "1", "candidate", logged["xgboost"][1])
    assert (best.model.family, best.model.blocks) == ("xgboost", BLOCKS)
    assert (other_model.version, other_model.alias, other_model.model.blocks) == ("2", "candidate-taxa", ("taxa",))
    stool = StoolProfile({"Genus0_species0": 100.0}, "percent")
    assert predict([best, other_model], Candidate({}, stool)).model.version == "2"


def test_larger_sets_of_blocks_come_first(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, TAXA, "xgboost")
    (result,) = served_models().values()
    assert [served.model.blocks for served in result] == [("taxa",), BLOCKS]
    put(logged, "xgboost_forest", TAXA, "xgboost")
    (result,) = served_models().values()
    # Two models of the same blocks: the alias of those blocks names the last.
    assert result[0].model.family == "xgboost_forest"


def test_models_of_two_landmarks_are_two_registered_models(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, TAXA)
    register(OUTCOME, [(*logged["xgboost"], {"blocks": ALL})], 28.0)
    assert {OUTCOME, f"{OUTCOME}_day_28"} <= {model.name for model in store.search_registered_models()}
    # The bundles of the test are of landmark 0; both registered models are served under one outcome.
    assert [served.name for served in served_models()[OUTCOME]] == [OUTCOME, f"{OUTCOME}_day_28"]
    assert find_model(f"{OUTCOME}_day_28").model.family == "xgboost"


def test_outcomes_stand_in_the_order_of_their_list_whatever_their_names() -> None:
    served = ServedModel(trained("elastic_net"), "name", "1", "", "candidate")
    names = ("toxicity_3", "disease_control", "toxicity_any", "objective_response")
    assert list(models_by_outcome((name, served) for name in names)) == [
        *("objective_response", "disease_control", "toxicity_any", "toxicity_3")
    ]


def test_a_model_that_is_registered_for_no_outcome_is_named() -> None:
    served = ServedModel(trained("elastic_net"), "survival", "3", "", "candidate")
    with pytest.raises(
        BundleError, match=r"survival/3 is registered for 'survival', which is no outcome; .*toxicity_3"
    ):
        models_by_outcome([(OUTCOME, served), ("survival", served)])


def test_a_champion_is_served_before_a_candidate(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, "xgboost", TAXA)
    put(logged, "elastic_net", outcome="objective_response")
    store.set_registered_model_alias(OUTCOME, "champion", "2")
    result = served_models()
    assert [(served.version, served.alias) for served in result[OUTCOME]] == [("2", "champion")]
    assert [served.alias for served in result["objective_response"]] == ["candidate"]
    assert find_model(OUTCOME).version == "2"


def test_only_a_granted_promotion_moves_the_champion(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, "xgboost", TAXA)
    promote(OUTCOME, "1", {"gate.gain": "fail: not computed"}, granted=False)
    assert store.get_model_version(OUTCOME, "1").tags["gate.gain"] == "fail: not computed"
    assert [served.alias for served in served_models()[OUTCOME]] == ["candidate", "candidate-taxa"]
    promote(OUTCOME, "2", {"gate.gain": "pass: +0.1"}, granted=True)
    promote(OUTCOME, "1", {"gate.gain": "fail: -0.1"}, granted=False)
    assert [(served.version, served.alias) for served in served_models()[OUTCOME]] == [("2", "champion")]
    assert store.get_model_version(OUTCOME, "1").tags == {"blocks": ALL, "gate.gain": "fail: -0.1"}


def test_another_alias_can_be_asked_for(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, "xgboost", TAXA)
    put(logged, "elastic_net", outcome="objective_response")
    store.set_registered_model_alias(OUTCOME, "champion", "2")
    store.set_registered_model_alias(OUTCOME, "trial", "2")
    assert {o: [s.alias for s in result] for o, result in served_models("trial").items()} == {OUTCOME: ["trial"]}
    assert [served.version for served in served_models("candidate")[OUTCOME]] == ["1", "2"]


def test_aliases_of_an_experiment_before_are_taken_down(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, "xgboost", TAXA)
    store.set_registered_model_alias(OUTCOME, "champion", "1")
    store.set_registered_model_alias(OUTCOME, "candidate_of_ann", "1")
    aliases = put(logged, "elastic_net")
    assert aliases == {"candidate": "3", "candidate-taxa-immune-clinical": "3"}
    version = {alias: str(version) for alias, version in store.get_registered_model(OUTCOME).aliases.items()}
    assert version == {**aliases, "champion": "1", "candidate_of_ann": "1"}


def test_versions_keep_their_tags_and_runs(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    put(logged, "xgboost")
    version = store.get_model_version(OUTCOME, "1")
    assert version.tags["blocks"] == ALL
    assert version.run_id == logged["xgboost"][1]


def test_models_of_others_are_left_alone(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    store.create_registered_model("somebody's")
    store.create_model_version("somebody's", logged["xgboost"][0], logged["xgboost"][1])
    store.set_registered_model_alias("somebody's", "champion", "1")
    with pytest.raises(ModelMissing):
        served_models()
    put(logged, "xgboost")
    assert list(served_models()) == [OUTCOME]


@pytest.mark.parametrize("how", ["name", "name@alias", "name/version", "folder", "mlflow folder"])
def test_a_model_is_found(how: str, store: Any, logged: dict[str, tuple[str, str]], tmp_path: Path, home: Path) -> None:
    put(logged, "xgboost", TAXA)
    save_bundle(MODELS[TAXA], tmp_path / "bundle")
    shutil.copytree(tmp_path / "bundle", tmp_path / "model" / "artifacts" / "bundle")
    reference, version, blocks = {
        "name": (OUTCOME, "1", BLOCKS),
        "name@alias": (f"{OUTCOME}@candidate-taxa", "2", ("taxa",)),
        "name/version": (f"{OUTCOME}/2", "2", ("taxa",)),
        "folder": (str(tmp_path / "bundle"), "", ("taxa",)),
        "mlflow folder": (str(tmp_path / "model"), "", ("taxa",)),
    }[how]
    result = find_model(reference)
    assert (result.version, result.model.blocks) == (version, blocks)


def test_what_is_not_there_is_missing(store: Any, logged: dict[str, tuple[str, str]]) -> None:
    with pytest.raises(ModelMissing, match=r"no model is registered as champion or candidate .*'taxokine train'"):
        served_models()
    with pytest.raises(ModelMissing, match="registered as trial"):
        served_models("trial")
    with pytest.raises(ModelMissing, match="'survival'"):
        find_model("survival")
    put(logged, "xgboost")
    with pytest.raises(ModelMissing, match="'toxicity_any/9'"):
        find_model(f"{OUTCOME}/9")
    with pytest.raises(InputError, match="has no alias trial; it has candidate"):
        find_model(f"{OUTCOME}@trial")


@pytest.mark.parametrize("poison", ["changed", "pickle", "swapped"])
def test_what_was_poisoned_in_the_store_is_refused(poison: str, store: Any, home: Path) -> None:
    import mlflow

    model = MODELS["elastic_net"]
    with mlflow.start_run(experiment_id=client().get_experiment_by_name("models").experiment_id) as run:
        uri = log_bundle(model)
    register(OUTCOME, [(uri, run.info.run_id, {"blocks": ALL})])
    (bundle,) = (home / "artefacts" / "models" / uri.rpartition("/")[2]).rglob("bundle")
    if poison == "changed":
        text = (bundle / "bundle.json").read_text()
        (bundle / "bundle.json").write_text(text.replace('"slope": 0.8', '"slope": 9.8'))
    elif poison == "pickle":
        (bundle / "python_model.pkl").write_bytes(b"\x80\x04.")
    else:
        save_bundle(replace(model, calibration=replace(model.calibration, slope=9.8)), home / poison)
        shutil.copy(home / poison / "bundle.json", bundle)
    for load in (served_models, lambda: find_model(OUTCOME), lambda: load_version(OUTCOME, "1", "")):
        with pytest.raises(BundleError):
            load()
    with pytest.raises(BundleError):
        mlflow.pyfunc.load_model(uri)


@pytest.fixture
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the settings at a store with a password, where nothing answers."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()
    client()


@pytest.mark.usefixtures("elsewhere")
def test_a_password_is_never_shown() -> None:
    for load in (served_models, lambda: find_model(OUTCOME)):
        with pytest.raises(ModelMissing) as caught:
            load()
        assert "127.0.0.1:9" in str(caught.value)
        assert "hunter2" not in str(caught.value)


_GUARD = """
import socket

_connect = socket.socket.connect

def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        open("calls.txt", "a").write(f"{address}\\n")
        raise OSError("no network here")
    return _connect(self, address)

def getaddrinfo(host, *rest, **more):
    open("calls.txt", "a").write(f"{host}\\n")
    raise OSError("no network here")

socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
"""
_SCRIPT = """
from models.registry import client
client()
import mlflow
with mlflow.start_run():
    mlflow.log_metric("auroc", 0.5)
from mlflow.telemetry import get_telemetry_client
print("client", get_telemetry_client(), "store", mlflow.get_tracking_uri())

# That this could fail: nothing but our setting turns telemetry off here, and the guard hears of calls.
import os, socket
from mlflow.telemetry.utils import is_telemetry_disabled
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "false"
print("else disabled", is_telemetry_disabled())
try:
    socket.create_connection(("192.0.2.1", 80))
except OSError as error:
    print(error)
"""


def test_mlflow_sends_no_telemetry(home: Path, tmp_path: Path) -> None:
    shutil.copy(home / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "sitecustomize.py").write_text(_GUARD)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    env = environment(MLFLOW_TRACKING_URI=uri)
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    completed = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == [f"client None store {uri}", "else disabled False", "no network here"]
    # The call that the script made on purpose, and no other.
    assert (tmp_path / "calls.txt").read_text() == "192.0.2.1\n"
