"""The checklist TRIPOD+AI: its 52 sub-items, the answers from a run, and the form for what only authors can say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from features.errors import FileError, InputError
from models.bundle import Model, save_bundle
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence import TrainingPopulation
from models.families import LinearPredictor
from models.predict import ServedModel
from taxokine.cli import main
from training.evidence.tripod import answer_checklist, checklist, read_form, tripod_report, write_form

from .validations import LOCO, single, strong

SUB_ITEMS = """
1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17 18a 18b 18c 18d 18e
18f
19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c
"""
RECORDS = {"loco": LOCO, "strong": strong(), "single": single()}


def served(table, validation=LOCO):
    encoder = BlockEncoder(("taxa",))
    n = encoder.fit_transform(table).shape[1]
    predictor = LinearPredictor(0.0, np.zeros(n), np.zeros(n))
    model = Model(
        "objective_response", "elastic_net", encoder, predictor, Calibration(1, 0), {}, (), validation.evidence,
        "# A card\n", validation=validation, population=TrainingPopulation({"melanoma": 200}, {}, {}),
    )  # fmt: skip
    return ServedModel(model, "objective_response", "3", "", "")


def test_the_sub_items_are_those_of_the_published_checklist():
    assert [item.item for item in checklist()] == SUB_ITEMS.split()
    assert len(checklist()) == 52
    assert {item.item for item in checklist() if item.applies == "E"} == {"12f", "12g", "20c", "24"}
    development = {"9a", "12a", "12b", "12c", "15", "22", "27a", "27b"}
    assert {item.item for item in checklist() if item.applies == "D"} == development
    by_item = {item.item: item for item in checklist()}
    assert by_item["18f"].topic == "code sharing"
    assert {by_item[f"27{letter}"].topic for letter in "abc"} == {"usability"}


@pytest.mark.parametrize("name", RECORDS)
def test_each_is_answered_by_someone_and_no_answer_is_none(table, name):
    answers = answer_checklist(served(table, RECORDS[name]), {})
    open_items = {answer.item.item for answer in answers if answer.source == "only you can say"}
    assert open_items == {item.item for item in checklist() if item.is_open}
    assert all(answer.text for answer in answers if answer.source != "only you can say")
    report = tripod_report("objective_response/3", answers)
    assert not re.search(r"\b(None|nan|Undefined|True|False)\b", report)
    rows = [row for row in report.splitlines() if row.startswith("|")]
    assert len(rows) == 54
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert f"of which {len(open_items)} only you can answer" in report
    assert "melanoma" in report


@pytest.mark.parametrize(
    ("outcome", "by_day", "horizon"),
    [
        ("objective_response", "any", "The best response, whenever it came: no horizon is stated."),
        ("durable_benefit", "any", "No other horizon is stated."),
        ("toxicity_3", None, "By which day events counted is not reported."),
        ("toxicity_3", "any", "Events count on any day of follow-up: no horizon is stated."),
        ("toxicity_3", 90.0, "is unknown, unless a cohort dates no follow-up."),
    ],
)
def test_the_time_horizon_is_answered(table, outcome, by_day, horizon):
    model = served(table, next(iter(RECORDS.values())))
    evidence = replace(model.model.evidence, outcome=outcome, by_day=by_day)
    validation = replace(model.model.validation, evidence=evidence)
    model = replace(model, model=replace(model.model, evidence=evidence, validation=validation))
    (answer,) = [answer for answer in answer_checklist(model, {}) if answer.item.item == "8a"]
    assert answer.text.endswith(f" {horizon}")


def test_a_form_is_written_once_and_merged(table, tmp_path):
    form = tmp_path / "tripod.yaml"
    write_form(form)
    assert read_form(form) == {}
    text = form.read_text(encoding="utf-8")
    assert "# Methods, ethical approval: ethics committee, consent or waiver\n'17': ''" in text
    form.write_text(text.replace("'17': ''", "'17': Board 12,\n  consent waived") + "8a: By two readers.\n")
    authors = read_form(form)
    assert authors == {"17": "Board 12, consent waived", "8a": "By two readers."}
    answers = {answer.item.item: answer for answer in answer_checklist(served(table), authors)}
    assert (answers["17"].source, answers["17"].text) == ("the authors", "Board 12, consent waived")
    assert answers["8a"].source == "the run and the authors"
    assert answers["8a"].text.endswith(". By two readers.")
    with pytest.raises(InputError, match="the file is there already"):
        write_form(form)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("28a: yes", "'28a' is no sub-item of TRIPOD"),
        ("3a: [a, b]", "3a: expected a text, got list"),
        ("- a", "expected sub-items with their answers"),
        ("3a: 'a", "cannot be read as a form in YAML"),
    ],
)
def test_a_form_that_cannot_be_read_is_named(tmp_path, text, problem):
    (tmp_path / "form.yaml").write_text(text)
    with pytest.raises(FileError, match=re.escape(problem)):
        read_form(tmp_path / "form.yaml")


def test_a_model_without_a_record_answers_nothing(table):
    with pytest.raises(InputError, match="keeps no validation record"):
        answer_checklist(replace(served(table), model=replace(served(table).model, validation=None)), {})


def test_the_command_prints_the_card_and_the_checklist(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_bundle(served(table).model, tmp_path / "bundle")
    run = CliRunner().invoke
    assert run(main, ["card", "bundle"]).output == "# A card\n"
    printed = run(main, ["card", "bundle", "--tripod", "--form", "form.yaml"])
    assert printed.exit_code == 0, printed.output
    assert "wrote form.yaml" in printed.stderr
    assert "| 27c usability |" in printed.stdout
    assert run(main, ["card", "bundle", "--form", "form.yaml"]).exit_code == 2
