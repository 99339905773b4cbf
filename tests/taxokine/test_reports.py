"""Terminal reports, as they read in a pipe."""

from __future__ import annotations

import pytest

from taxokine.reports.experiments import promotion_report
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


@pytest.mark.parametrize("parts", [1, 3])
def test_each_step_of_long_work_is_named_with_its_count(parts, capsys):
    progress = bars()
    progress.begin("reading cohorts", parts)
    for _ in range(parts):
        progress.advance()
    shown = capsys.readouterr().err
    assert "reading cohorts" in shown
    assert f"{parts}/{parts}" in shown
