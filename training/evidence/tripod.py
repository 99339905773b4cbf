"""TRIPOD+AI: the answers to its 52 sub-items, from a model's own record and from what only its authors can say.

References
----------
Collins et al. 2024, BMJ 385:e078378 (CC BY 4.0); `templates/tripod_ai.yaml` names the texts that its items follow.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from features.errors import FileError, InputError
from features.tables.output import write_new_text
from models.evidence import held_out_unit, other_cohorts_tested
from models.predict import ServedModel
from training.evidence.card import TEMPLATES, template_environment
from training.evidence.sentence import scheme_description

Source = Literal["the run", "the authors", "the run and the authors", "not applicable", "only you can say"]
_HEADING = """\
What only the authors can say of the models of this project, by sub-item of TRIPOD+AI (Collins et al. 2024, BMJ
385:e078378). Write an answer behind each key, or leave it empty; 'taxokine card MODEL --tripod --form FILE' merges them
into the answers from the run. An answer under a key that the run answers too is added to it.
"""


@dataclass(frozen=True)
class ChecklistItem:
    """One sub-item of the checklist.

    Attributes
    ----------
    item : str
        Its number, such as 12e.
    section, topic, asks : str
        Where it stands, and what it asks for, shortened.
    applies : {"D", "E", "D;E"}
        Development, evaluation, or both.
    answer : str
        Template of the answer from the run; empty where only the authors can say.
    not_applicable : str
        Why the item does not concern these models; empty where it does.
    """

    item: str
    section: str
    topic: str
    asks: str
    applies: Literal["D", "E", "D;E"]
    answer: str = ""
    not_applicable: str = ""

    @property
    def is_open(self) -> bool:
        """Whether only the authors can answer it."""
        return not (self.answer or self.not_applicable)


@dataclass(frozen=True)
class ItemAnswer:
    """The answer to one sub-item, and whose it is; `text` is empty where only the authors can say."""

    item: ChecklistItem
    source: Source
    text: str


@cache
def checklist() -> tuple[ChecklistItem, ...]:
    """Return the 52 sub-items in their order."""
    rows = YAML(typ="safe").load(TEMPLATES / "tripod_ai.yaml")
    return TypeAdapter(tuple[ChecklistItem, ...]).validate_python(rows)


def answer_checklist(served: ServedModel, authors: Mapping[str, str]) -> tuple[ItemAnswer, ...]:
    """Return the answer to each sub-item.

    Parameters
    ----------
    served : ServedModel
    authors : mapping of str to str
        The authors' answers by sub-item, as `read_form` returns them.

    Raises
    ------
    InputError
        The model has no validation record.
    """
    model = served.model
    if model.validation is None:
        raise InputError(f"{served.name} keeps no validation record, which answers the checklist; train it again")
    environment = template_environment(TEMPLATES)
    external = served.external_validations
    context = {
        "model": model,
        "evidence": model.evidence,
        "validation": model.validation,
        "population": model.population,
        "external": external,
        "recalibrated": [validation for validation in external if validation.recalibration],
        "scheme_description": scheme_description,
        "held_out_unit": held_out_unit,
        "other_cohorts_tested": other_cohorts_tested(model.evidence, external),
    }
    answers = []
    for item in checklist():
        run_text = " ".join(environment.from_string(item.answer).render(context).split())
        answers.append(_answer(item, run_text, authors.get(item.item, "")))
    return tuple(answers)


def _answer(item: ChecklistItem, run_text: str, author_text: str) -> ItemAnswer:
    source: Source = "only you can say"
    if item.not_applicable and not author_text:
        return ItemAnswer(item, "not applicable", item.not_applicable)
    if run_text or author_text:
        source = "the run and the authors" if run_text and author_text else "the run" if run_text else "the authors"
    return ItemAnswer(item, source, " ".join(text for text in (run_text, author_text) if text))


def tripod_report(name: str, answers: Sequence[ItemAnswer]) -> str:
    """Return the answered checklist in Markdown."""
    template = template_environment(TEMPLATES).get_template("tripod_ai.md.jinja")
    n_open = sum(answer.source == "only you can say" for answer in answers)
    return template.render(name=name, answers=answers, n_open=n_open).strip() + "\n"


def read_form(path: Path) -> dict[str, str]:
    """Return the authors' answers of a form, by sub-item, without the empty ones.

    Raises
    ------
    FileError
        The file is not YAML, or a key is no sub-item of the checklist, or an answer is no text.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise FileError(f"cannot be read as a form in YAML: {error}", file=path) from error
    if not isinstance(content, dict):
        raise FileError("expected sub-items with their answers, as in '5b: accrual from 2015 to 2019'", file=path)
    item_numbers = {item.item for item in checklist()}
    for key, answer in content.items():
        if str(key) not in item_numbers:
            raise FileError(f"{key!r} is no sub-item of TRIPOD+AI; the last is 27c", file=path)
        if answer is not None and not isinstance(answer, str | int | float):
            raise FileError(f"{key}: expected a text, got {type(answer).__name__}; put it in quotes", file=path)
    return {str(key): " ".join(str(answer).split()) for key, answer in content.items() if answer not in (None, "")}


def write_form(path: Path) -> None:
    """Write an empty form to a new file: the sub-items that only the authors can answer, each with what it asks.

    Raises
    ------
    InputError
        The file exists, or cannot be written.
    """
    form = CommentedMap((item.item, "") for item in checklist() if item.is_open)
    form.yaml_set_start_comment(_HEADING)
    for item in checklist():
        if item.is_open:
            form.yaml_set_comment_before_after_key(item.item, before=f"{item.section}, {item.topic}: {item.asks}")
    text = io.StringIO()
    YAML().dump(form, text)
    write_new_text(text.getvalue(), path)
