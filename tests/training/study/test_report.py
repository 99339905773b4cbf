"""The report's page, by itself."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from features.audit import KINDS, Finding
from features.cohort import read_cohort
from features.manifest import ClinicalField
from features.outcomes import Labels
from taxokine.simulation import simulate_trial
from training.study.report import ROWS, columns, limits, methods, sentence, shown, write_report
from training.study.section import ReportFigure, ReportTable, Section

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """Collects ids, links and tags, and checks that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop() if tag not in VOID else None

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def drawn(label):
    figure = Figure(figsize=(4, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "o-", label=label, clip_on=True)
    axes.imshow(np.eye(2))
    axes.legend()
    return figure


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(simulate_trial(tmp_path_factory.mktemp("t") / "trial", n_patients=6, n_taxa=30), None)


@pytest.fixture(scope="module")
def sections():
    frame = pd.DataFrame({"patient": [f"P{i}" for i in range(ROWS + 5)], "p": np.linspace(0.00001, 1, ROWS + 5)})
    frame["of_those"] = 0.1234
    return [
        Section(
            name="one",
            title="The first <section>",
            summary=("1 of 6 patients, 17% (0 to 64%)",),
            figures={
                "same": ReportFigure("A caption & more.", partial(drawn, "a")),
                "other": ReportFigure("B.", partial(drawn, "b")),
            },
            tables={
                "table": ReportTable(caption="Long.", frame=frame, percent_columns=("of_those",)),
                "rows": ReportTable(caption="Behind it.", frame=frame[["p"]], supplementary=True),
            },
            notes=("exact interval",),
            methods=("Intervals were exact.", "Shared."),
            metrics={"rate": 0.17},
            headlines=("1 of 6 patients, 17% (0 to 64%)",),
        ),
        Section(
            name="two",
            title="Second",
            figures={"same": ReportFigure("C.", partial(drawn, "c"))},
            methods=("Shared.", "Then another."),
        ),
        Section(name="three", title="Third", missing=("no blood was drawn",)),
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory, cohort, sections):
    folder = tmp_path_factory.mktemp("report")
    severity, why, todo = KINDS["undated"]
    write_report(
        folder, cohort, [Finding("undated", severity, "x", ("SIM-001",), "no day", why, todo)], sections, "ab1"
    )
    return folder


def test_the_page_is_whole_and_needs_nothing_else(written):
    text = (written / "report.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 3
    assert "script" not in page.tags
    assert "link" not in page.tags
    for link in page.links:
        assert link.startswith("data:image/png;base64,") or link[1:] in page.ids, link
    for used in re.findall(r"url\(#([^)]+)\)", text):
        assert used in page.ids
    assert "&lt;section&gt;" in text
    assert "img-src data:" in text
    assert "Without a comparator, survival was not shown to be extended" in text


def test_figures_and_tables_are_numbered_and_written(written):
    text = (written / "report.html").read_text()
    assert [f"Figure {i}." in text for i in (1, 2, 3, 4)] == [True, True, True, False]
    assert "Table 1." in text
    names = {"one_same", "one_other", "two_same"}
    assert {p.name for p in (written / "figures").iterdir()} == {f"{n}.{k}" for n in names for k in ("svg", "png")}
    for name in names:
        drawn = ET.parse(written / "figures" / f"{name}.svg")
        assert "SIMULATED DATA" in "".join(drawn.getroot().itertext())
    assert f"Behind it. {ROWS + 5} rows in <code>tables/one_rows.csv</code>" in text
    assert len(pd.read_csv(written / "tables" / "one_rows.csv")) == ROWS + 5
    whole = pd.read_csv(written / "tables" / "one_table.csv")
    assert len(whole) == ROWS + 5
    assert whole["p"].iloc[0] == 0.00001
    assert f"The first {ROWS} of {ROWS + 5} rows" in text
    assert f"P{ROWS - 1}<" in text
    assert f"P{ROWS}<" not in text
    assert text.count('<td class="number">12.3%</td>') == ROWS
    assert whole["of_those"].iloc[0] == 0.1234
    assert ">of those</th>" in text


def test_what_was_found_and_what_cannot_be_shown_open_the_page(written):
    text = (written / "report.html").read_text()
    short = text[text.index("In short") : text.index("Data and audit</h2>")]
    assert "1 of 6 patients, 17% (0 to 64%)" in short
    assert "Without an ICI-only arm" in short


def test_tables_and_figures_have_names_that_are_read_aloud(written):
    text = (written / "report.html").read_text()
    labels = re.findall(r'<table aria-labelledby="([^"]+)"', text)
    assert len(labels) == text.count("<table") == 3
    assert all(f'<figcaption id="{label}">' in text for label in labels)
    assert text.count('<svg role="img" aria-label="') == text.count("<svg")
    assert re.findall(r"<h(\d)", text)[:2] == ["1", "2"]


def test_a_section_without_data_says_what_is_missing(written):
    text = (written / "report.html").read_text()
    assert "<li>No blood was drawn.</li>" in text
    assert text.count("(no data)") == 1


def test_the_audits_rows_are_not_named(written):
    text = (written / "report.html").read_text()
    assert "undated" in text
    assert "SIM-001" not in text


def test_methods_say_each_thing_once_with_versions(sections):
    text = methods(sections)
    assert text.count("Shared.") == 1
    assert f"numpy {np.__version__}" in text
    assert text.index("Intervals were exact.") < text.index("Then another.")


def test_limits_know_n_and_simulation(cohort):
    said = " ".join(limits(cohort))
    assert "simulated" in said
    assert "below 0.03125" in said
    assert "ICI-only arm" in said
    assert "survival was not shown to be extended" in said


def test_an_arm_of_one_level_compares_nothing(cohort):
    patients = list(dict.fromkeys(cohort.characteristics.index))
    keep = {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}
    said = cohort.manifest.model_copy(
        update={"patients": cohort.manifest.patients.model_copy(update={"covariates": keep})}
    )
    for levels, compared in (([1.0] * 6, False), ([1.0, 0, 0, 0, 0, 0], False), ([1.0, 0, 1, 0, 1, 0], True)):
        arm = pd.DataFrame({"arm": levels}, index=patients)
        assert ("Arms are compared" in limits(replace(cohort, manifest=said, characteristics=arm))[1]) == compared


def test_a_cohort_without_outcomes_has_none_that_were_not_shown(cohort):
    assert "survival" not in " ".join(limits(replace(cohort, labels=Labels({}, None))))


def test_an_interval_stands_beside_its_estimate():
    frame = pd.DataFrame(
        {"rate_of": ["a", "b"], "share": [0.5, 0.0], "95% low": [0.1, np.nan], "95% high": 0.9, "low": 1}
    )
    told = [
        (one.heading, one.kind, one.cells)
        for one in columns(ReportTable(caption="", frame=frame, percent_columns=("share", "95% low", "95% high")))
    ]
    assert told == [
        ("rate of", "word", ("a", "b")),
        ("share (95% interval)", "number", ("50% (10% to 90%)", "0% (– to 90%)")),
        ("low", "number", ("1", "1")),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (3.0, "3"), (0.12345, "0.123"), (1234.56, "1235"), (-0.5, "-0.5"), (0.00001234, "1.2e-05"),
        (float("nan"), "–"), (float("inf"), "∞"), (None, "–"), (pd.NA, "–"), (pd.NaT, "–"), (True, "yes"),
        (np.bool_(False), "no"), (np.int64(40000), "40000"), ("P1", "P1"), (np.float64(99.96), "100"),
    ],
)  # fmt: skip
def test_values_are_shown_in_three_digits(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.1234, "12.3%"), (1.0, "100%"), (np.nan, "–"), (0.0, "0%")])
def test_shares_are_shown_in_percent(share, text):
    assert shown(share, True) == text


@pytest.mark.parametrize(
    ("text", "said"), [("no blood", "No blood."), ("iUPD in 3.", "iUPD in 3."), ("day_fmt is 0", "day_fmt is 0.")]
)
def test_sentences_begin_with_a_capital_but_for_names(text, said):
    assert sentence(text) == said
