"""The report's files and page, of sections written by hand."""

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
from features.labels import OutcomeLabels
from features.manifest import ClinicalField
from taxokine.simulation import Trial, simulate_trial
from training.study.page import (
    FIRST_ROWS,
    MAX_ROWS,
    cell_text,
    css_string,
    figure_class,
    is_narrow,
    limits,
    methods,
    page_columns,
)
from training.study.report import write_report
from training.study.section import ReportFigure, ReportTable, Section
from training.study.sentences import as_sentence

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """Collects ids, links and tags, and checks that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.open_tags = [], [], [], []
        self.feed(text)
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open_tags.pop() if tag not in VOID else None

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def plot(label):
    figure = Figure(figsize=(4, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "o-", label=label, clip_on=True)
    axes.imshow(np.eye(2))
    axes.legend()
    return figure


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(simulate_trial(tmp_path_factory.mktemp("t") / "trial", Trial(n_patients=6, n_taxa=30)), None)


@pytest.fixture(scope="module")
def sections():
    frame = pd.DataFrame(
        {"patient": [f"P{i}" for i in range(MAX_ROWS + 5)], "p": np.linspace(0.00001, 1, MAX_ROWS + 5)}
    )
    frame["of_all"] = 0.1234
    return [
        Section(
            name="one",
            title="The first <section>",
            summary=("1 of 6 patients, 17% (0 to 64%)",),
            figures={
                "same": ReportFigure("A caption & more.", partial(plot, "a")),
                "other": ReportFigure("B.", partial(plot, "b")),
            },
            tables={
                "table": ReportTable(caption="Long.", frame=frame, percent_columns=("of_all",)),
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
            figures={"same": ReportFigure("C.", partial(plot, "c"))},
            methods=("Shared.", "Then another."),
        ),
        Section(name="three", title="Third", missing=("no blood was drawn",)),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cohort, sections):
    report = tmp_path_factory.mktemp("report")
    severity, why, todo = KINDS["undated"]
    write_report(
        report, cohort, [Finding("undated", severity, "x", ("SIM-001",), "no day", why, todo)], sections, "ab1"
    )
    return report


def test_the_page_is_complete_and_needs_no_other_file(folder):
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 3
    assert "script" not in page.tags
    assert "link" not in page.tags
    for link in page.links:
        assert link.startswith("data:image/png;base64,") or link[1:] in page.ids, link
    for reference in re.findall(r"url\(#([^)]+)\)", text):
        assert reference in page.ids
    assert "&lt;section&gt;" in text
    assert "img-src data:" in text
    assert "No comparison is possible: all 6 patients received FMT." in text


def test_every_printed_sheet_bears_the_study_and_that_it_is_simulated(folder):
    text = (folder / "report.html").read_text()
    header = re.search(r'@top-left \{ content: "([^"]*)"', text)[1]
    title = re.sub(r"\\([0-9a-f]+) ", lambda match: chr(int(match[1], 16)), header)
    assert title.startswith("SIMULATED DATA · Simulated trial of fecal microbiota transplantation")
    assert css_string('a"</style>') == '"a\\22 \\3c \\2f style\\3e "'


def test_figures_and_tables_are_numbered_and_written(folder):
    text = (folder / "report.html").read_text()
    assert [f"Figure {i}." in text for i in (1, 2, 3, 4)] == [True, True, True, False]
    assert "Table 1." in text
    names = {"one_same", "one_other", "two_same"}
    assert {p.name for p in (folder / "figures").iterdir()} == {f"{n}.{k}" for n in names for k in ("svg", "png")}
    for name in names:
        svg = ET.parse(folder / "figures" / f"{name}.svg")
        assert "SIMULATED DATA" in "".join(svg.getroot().itertext())
    assert f"Behind it. {MAX_ROWS + 5} rows in <code>tables/one_rows.csv</code>" in text
    assert len(pd.read_csv(folder / "tables" / "one_rows.csv")) == MAX_ROWS + 5
    table = pd.read_csv(folder / "tables" / "one_table.csv")
    assert len(table) == MAX_ROWS + 5
    assert table["p"].iloc[0] == 0.00001
    assert f"The first {FIRST_ROWS} of {MAX_ROWS + 5} rows" in text
    assert f"P{FIRST_ROWS - 1}<" in text
    assert f"P{FIRST_ROWS}<" not in text
    assert text.count('<td class="number">12%</td>') == FIRST_ROWS
    assert table["of_all"].iloc[0] == 0.1234
    assert ">of all</th>" in text


def test_what_qualifies_the_results_stands_before_them(folder):
    text = (folder / "report.html").read_text()
    opening = text[text.index('id="short"') : text.index("Data and audit</h2>")]
    verdict, simulated = opening.index("it cannot say that FMT caused any of it"), opening.index("are simulated")
    assert opening.index("<strong>This study can say how its 6 patients ") < verdict < simulated
    assert simulated < opening.index("<li>1 of 6 patients, 17% (0 to 64%)") < opening.index("With so few patients")


def test_tables_and_figures_have_labels_for_screen_readers(folder):
    text = (folder / "report.html").read_text()
    labels = re.findall(r'<table aria-labelledby="([^"]+)"', text)
    assert len(labels) == text.count("<table") == 3
    assert all(f'<figcaption id="{label}">' in text for label in labels)
    assert text.count('<svg role="img" aria-label="') == text.count("<svg")
    assert re.findall(r"<h(\d)", text)[:2] == ["1", "2"]


def test_a_section_without_data_says_what_is_missing(folder):
    text = (folder / "report.html").read_text()
    assert "<li><b>Third.</b> No blood was drawn. </li>" in text
    # The first section is that of the data; one without results has no heading of its own.
    headings = re.findall(r"<h2[^>]*>([^<]+)", text)
    assert [heading.partition(" ")[0] for heading in headings[1:]] == ["1.", "2.", "3.", "4.", "5.", "6."]
    assert "4. Not analysed, and the data it needs" in headings
    assert not any("Third" in heading for heading in headings)
    assert text.count('<a href="#missing">') == 1


def test_the_page_does_not_name_the_rows_of_a_finding(folder):
    text = (folder / "report.html").read_text()
    assert "undated" in text
    assert "SIM-001" not in text


def test_methods_hold_each_sentence_once_and_the_versions(sections):
    text = methods(sections)
    assert text.count("Shared.") == 1
    assert f"numpy {np.__version__}" in text
    assert text.index("Intervals were exact.") < text.index("Then another.")


def test_limits_depend_on_n_and_simulation(cohort):
    text = " ".join(limits(cohort))
    assert "simulated" in text
    assert "below 0.03125" in text
    assert "ICI-only arm" in text
    assert "No comparison is possible: all 6 patients received FMT." in text


def test_arms_are_compared_where_two_have_two_patients(cohort):
    patients = list(dict.fromkeys(cohort.characteristics.index))
    covariates = {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}
    manifest = cohort.manifest.model_copy(
        update={"patients": cohort.manifest.patients.model_copy(update={"covariates": covariates})}
    )
    for levels, compared in (([1.0] * 6, False), ([1.0, 0, 0, 0, 0, 0], False), ([1.0, 0, 1, 0, 1, 0], True)):
        arm = pd.DataFrame({"arm": levels}, index=patients)
        assert ("Arms are compared" in limits(replace(cohort, manifest=manifest, characteristics=arm))[1]) == compared


def test_a_cohort_without_outcomes_has_no_limit_on_survival(cohort):
    assert "survival" not in " ".join(limits(replace(cohort, labels=OutcomeLabels({}, None))))


def test_an_interval_stands_in_the_column_of_its_estimate():
    frame = pd.DataFrame(
        {"rate_of": ["a", "b"], "share": [0.5, 0.0], "95% low": [0.1, np.nan], "95% high": 0.9, "low": 1}
    )
    table = ReportTable(frame, ("share", "95% low", "95% high"))
    columns = [(column.heading, column.kind, column.cells) for column in page_columns(table)]
    assert columns == [
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
def test_numbers_have_three_significant_digits(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(511, 180, "full"), (511, 310, "tall"), (255, 170, "half"), (511, 306, "full")]
)
def test_a_figure_is_printed_as_wide_as_its_shape_allows(width, height, expected):
    assert figure_class(f'<svg xmlns:xlink="x" width="{width}pt" height="{height}pt">') == expected


def test_a_narrow_table_breaks_its_headings_at_spaces():
    frame = pd.DataFrame({"patients with a new lesion in any of the organs that were seen": [1], "site": ["lung"]})
    assert is_narrow(page_columns(ReportTable(frame)))
    assert not is_narrow(page_columns(ReportTable(frame.assign(site="a" * 60))))


@pytest.mark.parametrize(
    ("share", "text"), [(0.1234, "12%"), (1.0, "100%"), (np.nan, "–"), (0.0, "0%"), (0.003, "<1%"), (0.00505, "1%")]
)
def test_shares_are_in_whole_percents(share, text):
    assert cell_text(share, True) == text


@pytest.mark.parametrize(
    ("text", "expected"), [("no blood", "No blood."), ("iUPD in 3.", "iUPD in 3."), ("day_fmt is 0", "day_fmt is 0.")]
)
def test_sentences_begin_with_a_capital_but_for_names(text, expected):
    assert as_sentence(text) == expected
