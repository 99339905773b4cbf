"""A study as one tracked run."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.cohort import read_cohort
from features.course import Course
from features.errors import InputError
from features.manifest import load_manifest
from features.settings import settings
from features.trajectories import WINDOWS, parse_windows
from models.registry import client
from taxokine.cli import trials
from taxokine.simulation import simulate_trial
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
    return simulate_trial(tmp_path_factory.mktemp("small") / "trial", n_patients=6, n_taxa=40, seed=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests here, since making it takes seconds; figures as PNG are small."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(drawing, "DPI", 30)
        settings.cache_clear()
        yield
    settings.cache_clear()


def identifiers(cohort):
    names = {
        *cohort.samples["patient"],
        *cohort.samples["sample"],
        *cohort.samples["donor_sample"],
        *patient_codes(cohort),
    }
    return {name for name in names if name}


def assert_nameless(texts, cohort):
    """Look for patients, donors and samples as whole words."""
    for text in texts:
        for name in identifiers(cohort):
            # Much sooner found not to be there than by a pattern of them all.
            assert name not in text or not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


def files(folder):
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def logged(run_id, folder):
    return Path(client().download_artifacts(run_id, "", str(folder)))


def test_a_study_is_one_run_and_one_report(small, store, tmp_path):
    steps = {}
    found = run_study(str(small), tmp_path / "out", Progress(steps.__setitem__), {"tiny": tiny})
    run = client().get_run(found.run_id)
    assert run.info.status == "FINISHED"
    experiment = client().get_experiment(run.info.experiment_id)
    assert experiment.name == EXPERIMENT
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    assert "metrics.`patients/os_median_months`" in view["selectedColumns"]
    assert "auroc" not in str(view)
    assert run.data.metrics == {"tiny/n": 6.0, "tiny/IL-12_p70_ r": 0.5}
    assert run.data.tags["simulated"] == "true"
    assert steps == {"reading and auditing the cohort": 2, "tiny": 1, "drawing, writing and logging": 3}
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


def test_that_data_are_simulated_stands_clear_of_titles_and_legends(small):
    cohort = read_cohort(str(small), small.parent)
    for section in (make(cohort) for make in study_sections().values()):
        for name, one in section.figures.items():
            with mpl.rc_context(drawing.STYLE):
                figure = one.draw()
                mark_simulated(figure)
                renderer = FigureCanvasAgg(figure).get_renderer()
                figure.draw(renderer)
            mark = figure.texts[0].get_window_extent(renderer)
            others = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
            others += [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
            boxes = [other.get_window_extent(renderer) for other in others if other is not None]
            assert not any(mark.overlaps(box) for box in boxes if box.width), (section.name, name)


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
    latest, before = client().search_runs([client().get_experiment_by_name(EXPERIMENT).experiment_id], max_results=2)
    assert (latest.info.status, before.info.run_id) == ("FAILED", first.run_id)
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
    written, kept = files(tmp_path / "out"), files(logged(found.run_id, tmp_path / "mlflow"))
    assert {name: path.read_bytes() for name, path in kept.items()} == {
        name: path.read_bytes() for name, path in written.items()
    }
    assert len(written) > 20
    assert_nameless([*written, *(path.read_text() for path in written.values() if path.suffix != ".png")], read)
    run = client().get_run(found.run_id)
    told = json.dumps([run.data.params, run.data.tags, run.data.metrics])
    assert not any(f'"{one}"' in told for one in identifiers(read))


def cut(cohort, kept, **columns):
    rows = np.flatnonzero(kept)
    samples = cohort.samples.iloc[rows].assign(**columns).reset_index(drop=True)
    return replace(cohort, samples=samples, taxa=cohort.taxa.take([cohort.taxa.samples[at] for at in rows]))


def one_patient(cohort):
    name = cohort.samples["patient"].iloc[0]
    blood = cohort.immune.rows[cohort.immune.rows["patient"] == name]
    events = replace(cohort.labels.events, frame=cohort.labels.events.frame[:0])
    flags = {key: flag[[name]] for key, flag in cohort.labels.flags.items()}
    labels = replace(
        cohort.labels,
        events=events,
        flags=flags,
        dates=cohort.labels.dates.loc[[name]],
        recist=cohort.labels.recist[[name]],
    )
    alone = cut(cohort, (cohort.samples["patient"] == name) | cohort.samples["donor"])
    course = Course(**{key: table[table["patient"] == name] for key, table in vars(cohort.course).items()})
    return replace(
        alone, immune=replace(cohort.immune, rows=blood), labels=labels, course=course, centre=cohort.centre[[name]]
    )


def one_visit(cohort):
    first = cohort.immune.rows.drop_duplicates(["patient", "analyte"])
    stool = cut(cohort, ~cohort.samples["patient"].duplicated() | cohort.samples["donor"])
    return replace(stool, immune=replace(cohort.immune, rows=first))


def no_donor(cohort):
    return replace(cut(cohort, ~cohort.samples["donor"], donor_sample=""), course=Course())


def undetected(cohort):
    rows = cohort.immune.rows.assign(censored="below", value=np.nan)
    return replace(cohort, immune=replace(cohort.immune, rows=rows))


@pytest.mark.parametrize(("odd", "missing"), [
    (one_patient, {"links": None, "microbiome": "taxa that change", "donors": None}),
    (one_visit, {"immune": "one draw a patient", "microbiome": "change of diversity", "donors": "before and after"}),
    (no_donor, {"donors": "no donor's stool", "patients": "ICI cycles"}),
    (undetected, {"immune": "below detection or above the range in every draw", "links": "two or more pairs of"}),
])  # fmt: skip
def test_an_odd_trial_has_a_page_that_says_what_is_missing(odd, missing, small):
    cohort = odd(read_cohort(small, small.parent))
    sections = [make(cohort) for make in study_sections().values()]
    for section in sections:
        why = missing.get(section.name)
        assert why is None or any(why in said for said in section.missing), section.missing
        assert all(any(said.startswith(one) for said in section.summary) for one in section.headlines)
    svgs = {f"{section.name}_{name}": "<svg/>" for section in sections for name in section.figures}
    page = report_page(cohort, [], sections, svgs, "run")
    assert "nan" not in re.sub(r"<[^>]+>", " ", page).lower().split()
    for section in sections:
        for drawn in section.figures.values():
            assert drawn.draw().axes


def test_a_patient_who_is_a_donor_is_refused_before_anything_is_written(small, store, tmp_path):
    folder = shutil.copytree(small.parent, tmp_path / "autologous")
    sheet = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
    sheet.loc[sheet.index[sheet["role"] == "donor"][0], "subject"] = "SIM-001"
    sheet.to_csv(folder / "samples.csv", index=False)
    with pytest.raises(InputError, match=r"1 subjects are donors and patients .*SIM-001.*samples\.donor"):
        run_study(str(folder / "manifest.yaml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_are_no_formulas():
    with mpl.rc_context(drawing.STYLE):
        figure = line()
        figure.axes[0].set_title(r"$\frac$ of x")
        FigureCanvasAgg(figure).draw()


def test_windows_of_ones_own_reach_every_section(small):
    cohort = read_cohort(small, small.parent)
    made = study_sections(parse_windows("10-40,41-"))
    tables = {name: made[name](cohort).tables for name in ("immune trajectories", "microbiome", "donors")}
    for name, listing in (("immune trajectories", "changes"), ("microbiome", "diversity")):
        assert set(tables[name][listing].frame["window"]) == {"days 10 to 40", "day 41 and later"}
    assert "change to days 10 to 40" in set(tables["donors"]["donor_distance"].frame[""])


def test_a_boards_limit_reaches_the_boundary_and_the_commands_default_is_the_studys(small):
    told = study_sections(stop_above=0.12)["safety"](read_cohort(small, small.parent)).summary
    assert any("P(rate > 12%)" in text for text in told)
    options = {option.name: option for option in trials.study.params}
    assert options["stop_above"].default == LIMIT
    assert tuple(parse_windows(options["windows"].default)) == tuple(WINDOWS)
