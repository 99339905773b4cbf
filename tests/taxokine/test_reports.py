"""Terminal reports, as they read in a pipe."""

from __future__ import annotations

import pytest

from models.prediction import Contribution, Explanation, PlattCalibration, ReportedValue
from taxokine.reports.experiments import promotion_report
from taxokine.reports.predictions import _reasons
from taxokine.terminal import WIDTH, bars, facts, show
from training.evidence.promotion import Gate, Promotion

GATES = [
    Gate("gain", False, "not measured", "an interval above 0", "taxa may add nothing to age and sex"),
    Gate("audit", True, "no error", "no error", "an error makes the result wrong"),
]


def printed(report, capsys):
    show(report)
    return capsys.readouterr().out


def test_a_refusal_explains_the_gates_that_failed_and_only_those(capsys):
    report = printed(promotion_report(Promotion("toxicity_any", "3", True, GATES)), capsys)
    assert report.startswith("toxicity_any/3 (simulated data)\n")
    assert report.count("FAIL") == 1
    assert "taxa may add nothing" in report
    assert "an error makes the result wrong" not in report
    assert report.endswith("1 of 2 gates passed; refused: the alias champion does not move\n")


def test_a_granted_promotion_names_the_champion(capsys):
    report = printed(promotion_report(Promotion("toxicity_any", "3", False, GATES[1:])), capsys)
    assert report.endswith("1 of 1 gates passed; promoted: this version is now the champion\n")


def test_long_lines_are_not_broken_and_brackets_are_kept(capsys):
    path = f"wrote {'a/' * WIDTH}report.html [g__Bacteroides]"
    assert printed([path], capsys) == f"{path}\n"


def test_long_facts_fit_the_width(capsys):
    lines = printed([facts([("note", "word " * WIDTH)])], capsys).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH


def test_a_censored_value_is_printed_as_reported():
    contributions = [
        Contribution("IL-6", "immune", None, 0.3, ReportedValue("<3.2", "below", 3.2)),
        Contribution("IL-8", "immune", 0.42, 0.2, ReportedValue("*0.42", None, None)),
        Contribution("TNF-a", "immune", None, 0.1),
    ]
    explanation = Explanation("log-odds", 0.1, 0.5, contributions, PlattCalibration(1.0, 0.0))
    lines = [text for _, text in _reasons(explanation)]
    assert lines[1:] == [
        "+0.300  IL-6 (immune): <3.2",
        "+0.200  IL-8 (immune): *0.42 (extrapolated)",
        "+0.100  TNF-a (immune): not measured",
    ]


@pytest.mark.parametrize("parts", [1, 3])
def test_each_step_of_long_work_is_named_with_its_count(parts, capsys):
    progress = bars()
    progress.begin("reading cohorts", parts)
    for _ in range(parts):
        progress.advance()
    output = capsys.readouterr().err
    assert "reading cohorts" in output
    assert f"{parts}/{parts}" in output
