"""A study as one tracked run and one report."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.cohort import read_cohort
from features.errors import InputError
from features.manifest import load_manifest
from features.settings import settings
from features.trajectories import WINDOWS, parse_windows
from features.trial_course import Course
from models.registry import client
from taxokine.cli import trials
from taxokine.simulation import Trial, five_patients, simulate_trial
from training import drawing
from training.progress import Progress
from training.study.analysis.stopping import LIMIT
from training.study.codes import patient_codes
from training.study.page import report_page
from training.study.report import mark_simulated
from training.study.section import ReportFigure, ReportTable, Section
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
        name="tiny",
        title="Tiny",
        summary=("6.",),
        figures={"line": ReportFigure("L.", line)},
        tables={"who": ReportTable(caption="W.", frame=codes)},
        metrics=metrics,
    )


def broken(cohort):
    raise RuntimeError("a section failed")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("small") / "trial", Trial(n_patients=6, n_taxa=40, seed=2))


def identifiers(cohort):
    names = {
        *cohort.samples["patient"],
        *cohort.samples["sample"],
        *cohort.samples["donor_sample"],
        *patient_codes(cohort),
    }
    return {name for name in names if name}


def assert_nameless(texts, cohort):
    """Assert that no text holds a patient, donor or sample as a whole word."""
    for text in texts:
        for name in identifiers(cohort):
            # A search for the plain name is much faster than the pattern, and mostly enough.
            assert name not in text or not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


def files(folder):
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def logged(run_id, folder):
    return Path(client().download_artifacts(run_id, "", str(folder)))


def test_a_study_is_one_run_and_one_report(small, store, tmp_path):
    steps = {}
    study = run_study(str(small), tmp_path / "out", Progress(steps.__setitem__), {"tiny": tiny})
    run = client().get_run(study.run_id)
    assert run.info.status == "FINISHED"
    experiment = client().get_experiment(run.info.experiment_id)
    assert experiment.name == EXPERIMENT
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    assert "metrics.`patients/os_median_months`" in view["selectedColumns"]
    assert "auroc" not in str(view)
    assert run.data.metrics == {"tiny/n": 6.0, "tiny/IL-12_p70_ r": 0.5}
    assert run.data.tags["simulated"] == "true"
    assert steps == {"reading and auditing the cohort": 2, "tiny": 1, "drawing, writing and logging": 3}
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert names == {
        *("report.html", "study.json", "manifest.yaml", "tables/tiny_who.csv"),
        *("figures/tiny_line.svg", "figures/tiny_line.png"),
    }
    (tmp_path / "mlflow").mkdir()
    artefacts = logged(study.run_id, tmp_path / "mlflow")
    assert {str(path.relative_to(artefacts)) for path in artefacts.rglob("*.*")} == names
    assert json.loads(study.page.with_name("study.json").read_text())["run_id"] == study.run_id
    assert load_manifest(tmp_path / "out" / "manifest.yaml").name == "simulated_fmt_ici"
    assert list(tmp_path.glob(".out.*")) == []


def test_the_simulated_mark_overlaps_no_title_and_no_legend(small):
    cohort = read_cohort(str(small), small.parent)
    for section in (make_section(cohort) for make_section in study_sections().values()):
        for name, report_figure in section.figures.items():
            with mpl.rc_context(drawing.STYLE):
                figure = report_figure.draw()
                mark_simulated(figure)
                renderer = FigureCanvasAgg(figure).get_renderer()
                figure.draw(renderer)
            mark = figure.texts[0].get_window_extent(renderer)
            artists = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
            artists += [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
            boxes = [artist.get_window_extent(renderer) for artist in artists if artist is not None]
            assert not any(mark.overlaps(box) for box in boxes if box.width), (section.name, name)


def test_a_study_replaces_an_earlier_report_and_no_other_folder(small, store, tmp_path):
    out = tmp_path / "out"
    run_study(str(small), out, sections={"tiny": tiny})
    (out / "tables" / "stale.csv").write_text("")
    run_study(str(small), out, sections={"tiny": tiny})
    assert not (out / "tables" / "stale.csv").exists()
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("mine")
    with pytest.raises(InputError, match="no report of a study; name a new folder"):
        run_study(str(small), thesis, sections={"tiny": tiny})
    assert (thesis / "chapter.txt").read_text() == "mine"
    with pytest.raises(InputError, match="no report of a study"):
        run_study(str(small), thesis / "chapter.txt", sections={"tiny": tiny})


def test_a_study_that_fails_leaves_the_earlier_report(small, store, tmp_path):
    out = tmp_path / "out"
    earlier = run_study(str(small), out, sections={"tiny": tiny})
    with pytest.raises(RuntimeError, match="a section failed"):
        run_study(str(small), out, sections={"tiny": tiny, "broken": broken})
    assert json.loads((out / "study.json").read_text())["run_id"] == earlier.run_id
    experiment = client().get_experiment_by_name(EXPERIMENT)
    failed_run, earlier_run = client().search_runs([experiment.experiment_id], max_results=2)
    assert (failed_run.info.status, earlier_run.info.run_id) == ("FAILED", earlier.run_id)
    assert list(tmp_path.glob(".out.*")) == []


@pytest.mark.parametrize("name", ["simulated", "davar_2021"])
def test_no_identifier_reaches_mlflow_or_the_report(name, small, store, tmp_path, request, monkeypatch):
    if name == "davar_2021":
        monkeypatch.setenv("TAXOKINE_DATA", str(request.getfixturevalue("cohorts_dir")))
        settings.cache_clear()
    manifest = str(small) if name == "simulated" else name
    study = run_study(manifest, tmp_path / "out")
    assert [section.name for section in study.sections] == [
        "patients", "arms", "safety", "immune", "microbiome", "donors", "links"
    ]  # fmt: skip
    assert len(study.sections) == len(study_sections())
    note = client().get_run(study.run_id).data.tags["mlflow.note.content"]
    assert note.startswith("**This study can say how its ")
    assert "\n- Overall survival: " in note or "\n- Objective response" in note
    (tmp_path / "mlflow").mkdir()
    cohort = read_cohort(manifest, settings().data)
    report, artefacts = files(tmp_path / "out"), files(logged(study.run_id, tmp_path / "mlflow"))
    assert {name: path.read_bytes() for name, path in artefacts.items()} == {
        name: path.read_bytes() for name, path in report.items()
    }
    assert len(report) > 20
    assert_nameless([*report, *(path.read_text() for path in report.values() if path.suffix != ".png")], cohort)
    run = client().get_run(study.run_id)
    record = json.dumps([run.data.params, run.data.tags, run.data.metrics])
    assert not any(f'"{name}"' in record for name in identifiers(cohort))


def cut(cohort, mask, **columns):
    rows = np.flatnonzero(mask)
    samples = cohort.samples.iloc[rows].assign(**columns).reset_index(drop=True)
    return replace(cohort, samples=samples, taxa=cohort.taxa.take([cohort.taxa.samples[row] for row in rows]))


def one_patient(cohort):
    name = cohort.samples["patient"].iloc[0]
    blood = cohort.immune.rows[cohort.immune.rows["patient"] == name]
    events = replace(cohort.labels.events, frame=cohort.labels.events.frame[:0])
    label_by_outcome = {key: flag[[name]] for key, flag in cohort.labels.label_by_outcome.items()}
    labels = replace(
        cohort.labels,
        events=events,
        label_by_outcome=label_by_outcome,
        dates=cohort.labels.dates.loc[[name]],
        recist=cohort.labels.recist[[name]],
    )
    alone = cut(cohort, (cohort.samples["patient"] == name) | cohort.samples["donor"])
    course = Course(**{key: table[table["patient"] == name] for key, table in vars(cohort.course).items()})
    return replace(
        alone, immune=replace(cohort.immune, rows=blood), labels=labels, course=course, centre=cohort.centre[[name]]
    )


def one_visit(cohort):
    visit = cohort.immune.rows.drop_duplicates(["patient", "analyte"])
    stool = cut(cohort, ~cohort.samples["patient"].duplicated() | cohort.samples["donor"])
    return replace(stool, immune=replace(cohort.immune, rows=visit))


def no_donor(cohort):
    return replace(cut(cohort, ~cohort.samples["donor"], donor_sample=""), course=Course())


def undetected(cohort):
    rows = cohort.immune.rows.assign(censored="below", value=np.nan)
    return replace(cohort, immune=replace(cohort.immune, rows=rows))


@pytest.mark.parametrize(("reduce", "missing"), [
    (one_patient, {"links": None, "microbiome": "taxa that change", "donors": None}),
    (one_visit, {"immune": "one draw a patient", "microbiome": "change of diversity", "donors": "before and after"}),
    (no_donor, {"donors": "no donor's stool", "patients": "ICI cycles"}),
    (undetected, {"immune": "below detection or above the range in every draw", "links": "two or more pairs of"}),
])  # fmt: skip
def test_the_page_of_an_incomplete_trial_states_what_is_missing(reduce, missing, small):
    cohort = reduce(read_cohort(small, small.parent))
    sections = [make_section(cohort) for make_section in study_sections().values()]
    for section in sections:
        reason = missing.get(section.name)
        assert reason is None or any(reason in sentence for sentence in section.missing), section.missing
    svgs = {f"{section.name}_{name}": "<svg/>" for section in sections for name in section.figures}
    page = report_page(cohort, [], sections, svgs, "run")
    assert "nan" not in re.sub(r"<[^>]+>", " ", page).lower().split()
    for section in sections:
        for figure in section.figures.values():
            assert figure.draw().axes


@pytest.fixture(scope="module")
def five_report(tmp_path_factory, store):
    folder = tmp_path_factory.mktemp("five")
    manifest = simulate_trial(folder / "trial", five_patients())
    return run_study(str(manifest), folder / "report").page


def test_five_patients_are_in_short_six_bullets_each_with_n(five_report):
    text = five_report.read_text()
    opening = text[text.index('id="short"') : text.index('id="data"')]
    bullets = re.findall("<li>(.*)</li>", opening)
    assert 4 < len(bullets) <= 6
    for bullet in bullets:
        assert re.search(r"\b5 (patients|subjects|recipients)|\b\d subjects|n = \d", bullet), bullet


def test_five_patients_take_at_most_twelve_pages(five_report, tmp_path, chromium_program):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={tmp_path}"]
    printed = tmp_path / "report.pdf"
    subprocess.run(
        [chromium_program, *options, f"--print-to-pdf={printed}", five_report.as_uri()],
        check=True, capture_output=True,
    )  # fmt: skip
    assert len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) <= 12


def test_a_patient_who_is_a_donor_is_refused_before_anything_is_written(small, store, tmp_path):
    folder = shutil.copytree(small.parent, tmp_path / "autologous")
    sheet = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
    sheet.loc[sheet.index[sheet["role"] == "donor"][0], "subject"] = "SIM-001"
    sheet.to_csv(folder / "samples.csv", index=False)
    with pytest.raises(InputError, match=r"1 subjects are donors and patients .*SIM-001.*samples\.donor"):
        run_study(str(folder / "manifest.yaml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unfinished_manifest_is_refused(small, store, tmp_path):
    folder = shutil.copytree(small.parent, tmp_path / "draft")
    manifest = folder / "manifest.yaml"
    text = manifest.read_text()
    manifest.write_text(re.sub("^title: .*$", "title: TODO", text, count=1, flags=re.M))
    with pytest.raises(InputError, match=r"1 key of the manifest is TODO .*title"):
        run_study(str(manifest), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dollar_signs_in_names_are_no_formulas():
    with mpl.rc_context(drawing.STYLE):
        figure = line()
        figure.axes[0].set_title(r"$\frac$ of x")
        FigureCanvasAgg(figure).draw()


def test_windows_chosen_by_the_analyst_reach_every_section(small):
    cohort = read_cohort(small, small.parent)
    sections = study_sections(parse_windows("10-40,41-"))
    tables = {name: sections[name](cohort).tables for name in ("immune trajectories", "microbiome", "donors")}
    for name, table in (("immune trajectories", "changes"), ("microbiome", "diversity")):
        assert set(tables[name][table].frame["window"]) == {"days 10 to 40", "day 41 and later"}
    assert "change to days 10 to 40" in set(tables["donors"]["donor_distance"].frame[""])


def test_the_limit_of_a_board_reaches_the_boundary_and_the_command_has_the_defaults_of_the_study(small):
    section = study_sections(stop_above=0.12)["safety"](read_cohort(small, small.parent))
    assert any("P(rate > 12%)" in sentence for sentence in section.summary)
    options = {option.name: option for option in trials.study.params}
    assert options["stop_above"].default == LIMIT
    assert tuple(parse_windows(options["windows"].default)) == tuple(WINDOWS)
