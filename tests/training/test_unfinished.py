"""An interrupted experiment goes on where it stopped, and ends as one that was never interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest

from features.errors import InputError
from features.settings import settings
from models.registry import client
from taxokine.simulation import Trial, simulate_trial
from training.experiment import Experiment, ExperimentResult, train
from training.progress import Progress

from ..stores import new_store
from ..undrawn import draw_no_figures

OPTIONS: dict[str, Any] = {"families": ("elastic_net", "xgboost"), "blocks": ("taxa",), "n_folds": 3, "repeats": 1}


class Interruption(Exception):
    """Ends an experiment as Ctrl-C does."""


class Steps:
    """Counts the parts of each step, and ends the experiment after a part of one."""

    def __init__(self, step: str = "", part: int = 0) -> None:
        self.name, self.parts, self._end = "", dict[str, int](), (step, part)

    def progress(self) -> Progress:
        return Progress(self._begin, self._advance)

    def _begin(self, name: str, parts: int) -> None:
        self.name = name.split()[0]
        self.parts[self.name] = 0

    def _advance(self) -> None:
        self.parts[self.name] += 1
        if (self.name, self.parts[self.name]) == self._end:
            raise Interruption


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("hospital")
    manifest = simulate_trial(folder, Trial(n_patients=40, n_taxa=30, visits=(-7, 28), n_centres=1))
    return Experiment((str(manifest),), "objective_response", permutations=4, **OPTIONS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(tmp_path))
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    draw_no_figures(monkeypatch)
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


def evidence_of(result: ExperimentResult) -> dict[str, Any]:
    return {model.family: model.validation for model in result.trained}


def test_an_interrupted_experiment_ends_as_one_that_was_not(experiment, home):
    with pytest.raises(Interruption):
        train(experiment, Steps("refitting", 2).progress())
    (unfinished_file,) = (home / "unfinished").iterdir()
    assert len(unfinished_file.read_text().splitlines()) == 2

    with pytest.raises(Interruption):
        train(experiment, Steps("summarising", 1).progress(), resume=True)
    (parent,) = client().search_runs(["1"], "tags.models = '2'")
    (first,) = client().search_runs(["1"], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")

    result = train(experiment, resume=True)
    assert result.run_id == parent.info.run_id
    assert client().get_run(result.run_id).info.status == "FINISHED"
    assert first.info.run_id in {model.run_id for model in result.trained}
    assert len(client().search_runs(["1"], f"tags.mlflow.parentRunId = '{result.run_id}'")) == 2
    assert not list((home / "unfinished").iterdir())

    anew = train(experiment)
    assert anew.run_id != result.run_id
    assert {family: validation.permutation for family, validation in evidence_of(result).items()} == {
        family: validation.permutation for family, validation in evidence_of(anew).items()
    }
    assert evidence_of(result)["elastic_net"].hyperparameters == evidence_of(anew)["elastic_net"].hyperparameters
    assert result.aliases.keys() == anew.aliases.keys()


def test_finished_permutations_are_not_refitted(experiment, home):
    with pytest.raises(Interruption):
        train(experiment, Steps("refitting", 3).progress())
    (unfinished_file,) = (home / "unfinished").iterdir()
    lines = unfinished_file.read_text().splitlines()
    # A process that is killed may leave half a line.
    unfinished_file.write_text("\n".join([*(line.replace('"": 0.', '"": 9.') for line in lines[:2]), lines[2][:20]]))
    result = train(experiment, resume=True)
    values = result.trained[0].validation.permutation.model
    assert values.n == 4
    assert values.p == pytest.approx(3 / 5)


def test_without_an_interrupted_experiment_resume_is_an_error(experiment, home):
    with pytest.raises(InputError, match="no interrupted experiment of objective_response"):
        train(experiment, resume=True)
    assert mlflow.search_runs(search_all_experiments=True).empty
