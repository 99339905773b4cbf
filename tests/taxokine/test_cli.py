"""The command line as its user meets it."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.cohort import read_cohort
from features.landmark import landmark_table
from features.manifest import load_manifest, manifest_names
from features.settings import settings
from taxokine import donor_comparison
from taxokine.cli import main
from taxokine.cli.trials import plan
from taxokine.simulation import Trial, simulate_trial
from training.experiment.counterparts import registered_counterparts
from training.study.analysis.trial_design import TrialDesign, TwoArmDesign

from ..undrawn import draw_no_figures

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXOKINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    settings.cache_clear()
    yield lambda *words: CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    settings.cache_clear()


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("trial") / "trial", Trial(n_patients=50, n_taxa=50, seed=5))


def commands(command=main, words=()):
    yield pytest.param(words, command, id=" ".join(("taxokine", *words)))
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, (*words, name))


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_every_command_says_what_it_does(run, words, command):
    result = run(*words, "--help")
    assert result.exit_code == 0
    # Click wraps lines anew, and takes out the mark of a paragraph that it shall not wrap. A backslash and a b are
    # no mark: the examples would run into each other.
    assert "\\" not in command.help
    description = "".join(command.help.replace("\b", "").split())
    assert description
    assert description in "".join(result.output.split())


def test_module_and_script_are_the_same_command():
    outputs = [
        subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ([sys.executable, "-m", "taxokine"], [str(Path(sys.executable).with_name("taxokine"))])
    ]
    assert outputs[0] == outputs[1]
    assert "Usage: taxokine" in outputs[0]


def test_help_imports_nothing_heavy():
    heavy = "{'mlflow', 'sklearn', 'pandas', 'numpy', 'xgboost', 'fastapi', 'matplotlib', 'pydantic', 'sqlalchemy'}"
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom taxokine.cli import main\n"
        f"assert CliRunner().invoke(main, ['--help']).exit_code == 0\nprint(*({heavy} & sys.modules.keys()))"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == ""
    )


def test_cohorts_are_listed_and_shown(run):
    listed = run("cohorts", "list").output
    assert [line.split()[0] for line in listed.splitlines()] == manifest_names()
    manifest = run("cohorts", "show", "mitox").output
    Path("mitox.yaml").write_text(manifest)
    assert load_manifest("mitox.yaml").outcomes == load_manifest("mitox").outcomes


def test_an_unknown_cohort_is_one_message_with_the_way_out(run):
    result = run("cohorts", "check", "lee_2202")
    assert result.exit_code == 2
    assert "no cohort manifest 'lee_2202'" in result.output
    assert "cohorts init" in result.output
    assert "Traceback" not in result.output


def test_check_reports_what_a_cohort_holds(run, cohorts_dir, monkeypatch):
    monkeypatch.setenv("TAXOKINE_DATA", str(cohorts_dir))
    settings.cache_clear()
    report = run("cohorts", "check", "lee_2022", "momspi", "davar_2021").output
    assert "164 with 164 stool samples" in report
    assert "toxicity_any: 106 yes, 56 no, 2 unknown" in report
    assert "IL-12(p70) read as IL-12p70" in report
    assert "15 with 181 stool samples; 33 donor samples" in report
    assert "excluded  treatment: steroids and PPI, given because of toxicity" in report


def test_init_drafts_a_manifest_that_passes_once_it_is_finished(run, trial):
    folder = trial.parent
    files = [folder / name for name in ("stool_counts.tsv", "samples.csv", "patients.csv")]
    assert "TODO" in run("cohorts", "init", *files).output
    path = folder / "drafted.yaml"
    drafted = run("cohorts", "init", *files, "--out", path)
    assert (drafted.exit_code, f"wrote {path}: settle each TODO" in drafted.output) == (0, True)
    report = run("cohorts", "check", path)
    assert report.exit_code == 1
    assert "error: unfinished-manifest\n  my_cohort: 3 keys of the manifest are TODO\n" in report.output
    assert "    line 4: title, line 5: source.licence, line 5: source.citation\n" in report.output
    path.write_text(path.read_text().replace(": TODO", ": stated"))
    report = run("cohorts", "check", path)
    assert report.exit_code == 0, report.output
    assert "50 with" in report.output
    assert "18 donor samples" in report.output


def test_init_takes_a_folder_for_its_files(run, trial, tmp_path):
    folder = tmp_path / "data"
    (folder / "results").mkdir(parents=True)
    for name in ("stool_counts.tsv", "samples.csv", "patients.csv"):
        (folder / name).write_bytes((trial.parent / name).read_bytes())
    by_name = run("cohorts", "init", *sorted(folder.glob("*.*"))).output
    (folder / ".hidden.csv").write_text("a,b\n")
    (folder / "earlier.yaml").write_text("name: mine\n")
    assert run("cohorts", "init", folder).output == by_name
    # What else lies in a folder of data.
    (folder / "protocol.PDF").write_bytes(b"%PDF-1.7")
    (folder / "analysis.R").write_text('x <- read.csv("patients.csv"); print("a")\n')
    (folder / "LICENSE").write_text("Free to use, share, and change\nas is, without warranty\n")
    (folder / "README.txt").write_text("Samples, patients\n\nof a trial, 2024, by visit\n")
    result = run("cohorts", "init", folder)
    assert result.stdout == by_name
    assert result.stderr.splitlines() == [
        "not read, since their names are not those of tables: LICENSE, README.txt, analysis.R, protocol.PDF"
    ]
    drafted = run("cohorts", "init", folder, "--out", folder / "mine.yaml")
    assert (drafted.exit_code, (folder / "mine.yaml").read_text()) == (0, by_name)
    refused = run("cohorts", "init", folder / "results")
    assert (refused.exit_code, "has no tables; name the folder that holds the tables" in refused.output) == (2, True)


def test_a_draft_is_written_whole_into_the_folder_of_its_files_or_not_at_all(run, trial, tmp_path):
    files = [trial.parent / name for name in ("stool_counts.tsv", "samples.csv")]
    elsewhere = run("cohorts", "init", *files, "--out", tmp_path / "mine.yaml")
    assert elsewhere.exit_code == 2
    assert "does not lie in the folder of" in elsewhere.output
    (trial.parent / "edited.yaml").write_text("name: mine\n")
    assert "may hold your edits" in run("cohorts", "init", *files, "--out", trial.parent / "edited.yaml").output
    assert (trial.parent / "edited.yaml").read_text() == "name: mine\n"
    (trial.parent / "broken.csv").write_text("sample,sample\n1,2\n")
    failed = run("cohorts", "init", *files, trial.parent / "broken.csv", "--out", trial.parent / "new.yaml")
    assert failed.exit_code == 2
    assert not list(trial.parent.glob("new.yaml*"))
    (trial.parent / "broken.csv").unlink()
    (trial.parent / "edited.yaml").unlink()


def test_features_are_written_with_what_must_be_known_of_them(run, trial):
    result = run("features", trial, "--landmark", "0", "--out", "rows.parquet")
    assert "50 patients, 50 rows" in result.output
    frame = pd.read_parquet("rows.parquet")
    assert len(frame) == 50
    assert {"sample", "sample_day", "draw", "draw_day", "gap_days", "at_risk_toxicity_any"} <= set(frame)
    metadata = json.loads(pq.read_schema("rows.parquet").metadata[b"taxokine"])
    assert metadata["cohorts"]["simulated_fmt_ici"]["simulated"] is True


def test_features_refuse_an_unknown_kind_of_file(run, trial):
    result = run("features", trial, "--out", "rows.xlsx")
    assert result.exit_code == 2
    assert ".parquet or a .csv" in result.output
    assert list(Path.cwd().glob("rows*")) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--outcome", "toxicity"), "toxicity needs a grade"),
        (("--outcome", "objective_response", "--families", "perceptron"), "'perceptron' is not a family"),
        (("--outcome", "objective_response", "--blocks", "genes"), "'genes' is not one of"),
        (("--outcome", "happiness"), "'happiness' is not one of"),
    ],
)
def test_train_refuses_what_it_does_not_know(run, trial, words, message):
    result = run("train", "--cohorts", trial, *words)
    assert result.exit_code == 2
    assert message in result.output


def _assert_parts_are_predicted_alike(run, predictions):
    """Predict the rows in three parts, one after another and by Dask: the same numbers, to the last digit."""
    # The schema holds what the rows were measured with.
    rows = pq.read_table("rows.parquet")
    for number, part in enumerate(np.array_split(np.arange(len(rows)), 3)):
        folder = Path("parts") / f"cohort={number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.take(part), folder / f"part-{number}.parquet")
    for out, options in (("alone", ()), ("by_dask", ("--dask", "local"))):
        result = run("predict", "objective_response@candidate", "parts", "--out", out, *options)
        assert result.exit_code == 0, result.output
        assert f"wrote {out}" in result.output
        files = sorted(Path(out).rglob("*"), key=lambda path: path.name)
        parts = [pd.read_parquet(file) for file in files if file.is_file()]
        joined = pd.concat(parts).set_index("patient").loc[predictions["patient"]].reset_index()
        pd.testing.assert_frame_equal(joined[predictions.columns].drop(columns="row"), predictions.drop(columns="row"))
    repeated = run("predict", "objective_response@candidate", "parts", "--out", "alone")
    assert repeated.exit_code == 2
    assert "this one has files already; name another" in repeated.output
    no_parts = run("predict", "objective_response@candidate", "rows.parquet", "--out", "x.csv", "--dask", "local")
    assert "--dask is for a folder of .parquet files" in no_parts.output


def test_from_training_to_answers_for_many(run, trial, monkeypatch):
    draw_no_figures(monkeypatch)
    gc.set_threshold(700)
    trained = run("train", "--cohorts", trial, "--outcome", "objective_response", "--families", "elastic_net",
                  "--blocks", "taxa,immune", "--folds", 3, "--repeats", 1)  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert "registered as candidate" in trained.output
    # Libraries that training loads are a million objects: going through them again and again takes an eighth of it.
    assert gc.get_threshold()[0] == 20_000
    answered = run("predict", "objective_response", trial, "--out", "answers.csv")
    assert answered.exit_code == 0, answered.output
    assert "patients are in the training set by their profiles: their predictions test nothing" in answered.output
    run("features", trial, "--out", "rows.parquet")
    repeated = run("predict", "objective_response@candidate", "rows.parquet", "--out", "again.parquet")
    assert repeated.exit_code == 0, repeated.output
    predictions, repeated_predictions = pd.read_csv("answers.csv"), pd.read_parquet("again.parquet")
    assert len(predictions) == 50
    np.testing.assert_allclose(predictions["probability"], repeated_predictions["probability"], atol=1e-9)
    assert predictions["simulated"].all()
    assert predictions["in_training_set"].sum() > 30
    assert list(Path.cwd().glob("*.partial")) == []
    # What a model of toxicity would be joined to: the held-out predictions of the same patients.
    table = landmark_table(read_cohort(trial, Path(trial).parent))
    (counterpart,) = registered_counterparts(table, "toxicity_any", 0.0)
    assert counterpart.model == "objective_response/1"
    assert len(counterpart.probability) > 30
    assert counterpart.probability.keys() <= set(zip(table.rows["cohort"], table.rows["patient"], strict=True))
    assert registered_counterparts(table, "disease_control", 0.0) == ()
    assert registered_counterparts(table, "toxicity_any", 28.0) == ()
    _assert_parts_are_predicted_alike(run, repeated_predictions)
    by_visit = run("predict", "objective_response@candidate", trial, "--by-visit", "--out", "visits.csv")
    assert by_visit.exit_code == 0, by_visit.output
    visits = pd.read_csv("visits.csv")
    assert len(visits) > len(predictions)
    assert (visits["model_landmark"] == 0).all()
    later = visits[visits["sample_day"] > 0]
    assert later["landmark_reason"].str.startswith("no model predicts from later than day 0: on day").all()
    # After the landmark nothing changes.
    at_landmark = predictions.set_index("patient")["probability"].reindex(later["patient"])
    has_row = at_landmark.notna().to_numpy()
    np.testing.assert_allclose(at_landmark[has_row], later["probability"][has_row], atol=1e-9)
    unknown = run("predict", "pfs", trial, "--by-visit", "--out", "visits.csv")
    assert "expected an outcome that has a registered model, one of objective_response, got 'pfs'" in unknown.output
    missing = run("predict", "toxicity_any", trial, "--out", "answers.csv")
    assert missing.exit_code == 1
    assert "no model 'toxicity_any'" in missing.output
    wrong = run("predict", "objective_response", "answers.csv", "--out", "more.csv")
    assert "answers.csv: no column holds measurements; name them taxa:" in wrong.output


def test_engraftment_is_trained_and_donors_are_compared(run, tmp_path, monkeypatch):
    path = simulate_trial(tmp_path / "transplants", Trial(n_patients=8, n_donors=3, n_taxa=40, seed=5))
    assert "no engraftment model" in run("donors", "compare", path, "--patient", "SIM-001").output
    report = run("engraftment", "train", path).output
    assert "donors left out: 7 transplants, 3 left out in turn" in report
    assert "mean of others after" in report
    comparison = run("donors", "compare", path, "--patient", "SIM-001").output
    for line in (
        "donors for SIM-001, by name; no order",
        "not an effect of transplant",
        "expected after SIM-D01: ",
        "no order: no model of response that reads taxa, and not the donor block, is served",
        "learnt from 7 transplants of 3 donors",
        "caution: the engraftment model was trained on simulated_fmt_ici",
        "learnt from simulated patients: for demonstration, not for care",
    ):
        assert line in comparison
    unknown = run("donors", "compare", path, "--patient", "SIM-999")
    assert unknown.exit_code == 2
    assert "no patient 'SIM-999' with stool by day 0; it has SIM-001" in unknown.output
    # The recipient's stool is that of the page: the last by the earliest landmark of the served models.
    evidence = SimpleNamespace(landmark=40.0)
    served = SimpleNamespace(name="a", version="1", model=SimpleNamespace(evidence=evidence))
    monkeypatch.setattr(donor_comparison, "served_models", lambda: {"objective_response": [served]})
    monkeypatch.setattr(donor_comparison, "compare_donors", lambda _bundle, _models, candidate, _donors: candidate)
    days = [donor_comparison.compare_cohort_donors(path, "SIM-001", day).comparison.taxa.day for day in (None, 40, 0)]
    assert days[0] == days[1] > 0 >= days[2]


def test_the_help_of_plan_names_the_defaults_of_both_designs() -> None:
    for option in plan.params:
        match = re.search(r"\[default: ([^;\]]+)(?:; with --arms ([^\]]+))?\]", option.help or "")
        if option.name in ("arms", "out"):
            continue
        for design, text in zip((TrialDesign(), TwoArmDesign()), match.group(1, 2), strict=True):
            if hasattr(design, option.name):
                assert getattr(design, option.name) == float(text or match[1]), option.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--donors", 3], "--donors: a trial of one arm has no such parameter; add --arms"),
        (["--arms", "--per-donor", 3, "--auroc", 0.7], "--per-donor, --auroc: a trial of two arms has no such"),
    ],
)
def test_plan_refuses_a_parameter_of_the_other_design(run, tmp_path, words, message):
    result = run("plan", *words, "--out", tmp_path / "plan")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "plan").exists()
