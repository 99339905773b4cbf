"""A study as one tracked run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from features.cohort import read_cohort
from features.errors import InputError
from features.manifest import load_manifest
from features.settings import settings
from features.simulator import simulate_trial
from models.registry import client
from training.experiment import Progress
from training.study.section import Drawing, Listing, Section, patient_codes
from training.study.study import EXPERIMENT, run_study, study_sections
from training.tracking import VIEW


def line():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def tiny(cohort):
    codes = pd.DataFrame({"patient": list(patient_codes(cohort).values())})
    metrics = {"n": 6.0, "IL-12(p70) r": 0.5, "none": float("nan")}
    return Section(
        "tiny", "Tiny", ("6.",), {"line": Drawing("L.", line)}, {"who": Listing("W.", codes)}, metrics=metrics
    )


def broken(cohort):
    raise RuntimeError("a section failed")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("small") / "trial", n_patients=6, n_taxa=40, seed=2)


def identifiers(cohort):
    names = {*cohort.samples["patient"], *cohort.samples["sample"], *cohort.samples["given"], *patient_codes(cohort)}
    return {name for name in names if name}


def assert_nameless(folder, cohort):
    """Look for patients, donors and samples in the names and texts of files, as whole words."""
    named = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in identifiers(cohort)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not named.search(path.name)
        if path.suffix != ".png":
            assert not named.search(path.read_text()), path


def logged(run_id, folder):
    return Path(client().download_artifacts(run_id, "", str(folder)))


def test_a_study_is_one_run_and_one_report(small, store, tmp_path):
    steps = []
    found = run_study(str(small), tmp_path / "out", Progress(lambda name, parts: steps.append(name)), {"tiny": tiny})
    run = client().get_run(found.run_id)
    assert run.info.status == "FINISHED"
    experiment = client().get_experiment(run.info.experiment_id)
    assert experiment.name == EXPERIMENT
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    assert "metrics.`patients/os_median_months`" in view["selectedColumns"]
    assert "auroc" not in str(view)
    assert run.data.metrics == {"tiny/n": 6.0, "tiny/IL-12_p70_ r": 0.5}
    assert run.data.tags["simulated"] == "true"
    assert steps == ["reading and auditing the cohort", "tiny", "drawing, writing and logging"]
    kept = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert kept == {
        *("report.html", "study.json", "manifest.yaml", "tables/tiny_who.csv"),
        *("figures/tiny_line.svg", "figures/tiny_line.png"),
    }
    (tmp_path / "mlflow").mkdir()
    artefacts = logged(found.run_id, tmp_path / "mlflow")
    assert {str(path.relative_to(artefacts)) for path in artefacts.rglob("*.*")} == kept
    assert json.loads(found.page.with_name("study.json").read_text())["run_id"] == found.run_id
    assert load_manifest(tmp_path / "out" / "manifest.yaml").name == "simulated_fmt_ici"
    assert list(tmp_path.glob(".out.*")) == []


def test_an_earlier_report_is_replaced_and_nothing_else(small, store, tmp_path):
    out = tmp_path / "out"
    run_study(str(small), out, sections={"tiny": tiny})
    (out / "tables" / "stale.csv").write_text("")
    run_study(str(small), out, sections={"tiny": tiny})
    assert not (out / "tables" / "stale.csv").exists()
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("mine")
    with pytest.raises(InputError, match="no report of a study; name a new folder"):
        run_study(str(small), mine, sections={"tiny": tiny})
    assert (mine / "chapter.txt").read_text() == "mine"
    with pytest.raises(InputError, match="no report of a study"):
        run_study(str(small), mine / "chapter.txt", sections={"tiny": tiny})


def test_a_report_is_whole_or_not_at_all(small, store, tmp_path):
    out = tmp_path / "out"
    first = run_study(str(small), out, sections={"tiny": tiny})
    with pytest.raises(RuntimeError, match="a section failed"):
        run_study(str(small), out, sections={"tiny": tiny, "broken": broken})
    assert json.loads((out / "study.json").read_text())["run_id"] == first.run_id
    statuses = [
        run.info.status for run in client().search_runs([client().get_experiment_by_name(EXPERIMENT).experiment_id])
    ]
    assert sorted(statuses) == ["FAILED", "FINISHED"]
    assert list(tmp_path.glob(".out.*")) == []


@pytest.mark.parametrize("name", ["simulated", "davar_2021"])
def test_no_identifier_reaches_mlflow_or_the_report(name, small, store, tmp_path, request, monkeypatch):
    if name == "davar_2021":
        monkeypatch.setenv("TAXOKINE_DATA", str(request.getfixturevalue("cohorts_dir")))
        settings.cache_clear()
    cohort = str(small) if name == "simulated" else name
    found = run_study(cohort, tmp_path / "out")
    assert [section.name for section in found.sections] == [
        "patients", "safety", "immune", "microbiome", "donors", "links"
    ]  # fmt: skip
    assert len(found.sections) == len(study_sections())
    (tmp_path / "mlflow").mkdir()
    read = read_cohort(cohort, settings().data)
    assert_nameless(logged(found.run_id, tmp_path / "mlflow"), read)
    assert_nameless(tmp_path / "out", read)
    run = client().get_run(found.run_id)
    told = json.dumps([run.data.params, run.data.tags, run.data.metrics])
    assert not any(f'"{one}"' in told for one in identifiers(read))
