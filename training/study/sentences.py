"""Sentences of the report, rendered from typed results by Jinja templates.

Each template is a list of blocks. Sentences of a block are separated by blank lines; line breaks within a sentence are
spaces. Numbers are formatted by the filters of `training.study.formatting`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from training.study.formatting import FILTERS
from training.study.labels import LABELS

TEMPLATES = Path(__file__).parent / "templates"
Kind = Literal["verdict", "qualifiers", "headlines", "summary", "notes", "methods", "missing"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Blocks of sentences; a template leaves out what its topic does not need."""


def write_sentences(template: str, results: object) -> dict[Kind, tuple[str, ...]]:
    """Return the sentences of each kind that the template has a block for.

    Parameters
    ----------
    template : str
        Name of the file without ``.jinja``.
    results : dataclass
        Its public attributes are the variables of the template.

    Raises
    ------
    jinja2.UndefinedError
        A block reads what the results do not hold.
    """
    kinds = [kind for kind in KINDS if kind in _template(template).blocks]
    return dict(zip(kinds, _render(template, kinds, results), strict=True))


def write_captions(template: str, results: object, blocks: Iterable[str]) -> dict[str, str]:
    """Return the captions of figures and tables by block; parameters and errors as of `write_sentences`.

    Raises
    ------
    KeyError
        The template lacks one of the blocks.
    """
    blocks = [*blocks]
    captions = _render(template, blocks, results)
    return {block: " ".join(sentences) for block, sentences in zip(blocks, captions, strict=True)}


def _render(template: str, blocks: Sequence[str], results: object) -> list[tuple[str, ...]]:
    """Return the sentences of each block."""
    variables = {name: getattr(results, name) for name in dir(results) if not name.startswith("_")}
    context = _template(template).new_context(variables)
    return [_paragraphs("".join(_template(template).blocks[block](context))) for block in blocks]


def _paragraphs(text: str) -> tuple[str, ...]:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    # Not `str.split`, which would also break a sentence at its non-breaking spaces.
    return tuple(re.sub(r"[ \n]+", " ", paragraph) for paragraph in paragraphs if paragraph)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        # Sentences are plain text, which the page escapes.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | LABELS
    return environment.get_template(f"{name}.jinja")


def as_sentence(text: str) -> str:
    """Return a text with a full stop, and a capital unless its first word is a name such as `day_fmt` or iUPD."""
    word = text.partition(" ")[0]
    initial = text[0].upper() if word.islower() and "_" not in word else text[0]
    return f"{initial}{text[1:].removesuffix('.')}."
