"""Sentences rendered from results, and the blocks of every template."""

from __future__ import annotations

import re
from dataclasses import dataclass

import jinja2
import pytest

from training.study import sentences
from training.study.formatting import p_text
from training.study.sentences import KINDS, TEMPLATES, write_captions, write_sentences

NAMES = sorted(
    path.relative_to(TEMPLATES).as_posix().removesuffix(".jinja")
    for path in TEMPLATES.rglob("*.jinja")
    if not path.name.endswith(".html.jinja")
)


@dataclass(frozen=True)
class Rates:
    n: int
    rates: tuple[float, ...]

    @property
    def highest(self) -> float:
        return max(self.rates)


@pytest.fixture
def template(tmp_path, monkeypatch):
    """Write a template and return its name."""
    monkeypatch.setattr(sentences, "TEMPLATES", tmp_path)
    sentences._template.cache_clear()

    def write(text):
        (tmp_path / "topic.jinja").write_text(text)
        return "topic"

    yield write
    sentences._template.cache_clear()


def test_blank_lines_separate_sentences_and_line_breaks_are_spaces(template):
    name = template(
        "{% block summary %}\n{% for rate in rates %}\nA rate\n  of {{ rate | number_text('.0%') }}.\n\n{% endfor %}\n"
        "The highest is {{ highest }}\u00a0%.\n{% endblock %}"
    )
    assert write_sentences(name, Rates(3, (0.2, 0.5))) == {
        "summary": ("A rate of 20%.", "A rate of 50%.", "The highest is 0.5\u00a0%.")
    }


def test_a_caption_is_one_text(template):
    name = template("{% block figure_curve %}\nOne.\n\nOf {{ n }} < 4.\n{% endblock %}")
    assert write_captions(name, Rates(3, (0.5,)), ["figure_curve"]) == {"figure_curve": "One. Of 3 < 4."}


def test_a_missing_result_and_a_missing_caption_are_errors(template):
    name = template("{% block notes %}{{ absent }}{% endblock %}")
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        write_sentences(name, Rates(3, (0.5,)))
    with pytest.raises(KeyError, match="table_rates"):
        write_captions(name, Rates(3, (0.5,)), ["table_rates"])


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_a_template_is_read(name):
    text = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    nested = set(re.findall(r"self\.(\w+)\(", text))
    for block in sentences._template(name).blocks:
        assert block in KINDS or block in nested or block.startswith(("figure_", "table_")), block


def test_a_p_at_its_floor_names_what_limits_it():
    assert p_text(1 / 24, 1 / 24, "24 permutations") == "p = 0.042, the least that 24 permutations can give"
    assert p_text(1 / 24, 1 / 24) == "p = 0.042, the least"
    assert p_text(0.031) == "p = 0.031"
    assert p_text(2 / 24, 1 / 24, "24 permutations") == "p = 0.083"
    # Of so many permutations the floor says nothing that the comparison does not.
    assert p_text(1e-4, 1e-4, "9999 permutations") == "p < 0.001"
