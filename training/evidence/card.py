"""The model card: what a model is and how far it can be believed, in Markdown and as a page of its own.

Its sections name the items that they answer of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) and of STORMS (Mirzayi
et al. 2021, Nature Medicine 27:1885-1892).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from models.encoder import BlockEncoder
from training.evidence.promotion import gates

_VERDICTS = {
    True: "Better than chance.",
    False: "No better than chance.",
    None: "Whether it is better than chance is not settled.",
}
STEPS = {
    "GenusSums": "species summed to genera",
    "PrevalenceFilter": "those found in {min_prevalence:.0%} to {max_prevalence:.0%} of the training samples",
    "ZeroReplacement": "zeros replaced by half the smallest share seen in training, multiplicatively",
    "CLR": "centred log-ratios",
    "PresenceAbsence": "present or absent",
    "Ranks": "ranks within the sample",
    "AlphaDiversity": "richness, Shannon's entropy and Simpson's index",
    "CensoredFill": "beyond a limit that nobody stated: {policy}",
    "Log10": "concentrations and counts as log10",
    "MedianFill": "columns seldom measured dropped, gaps filled with the training median",
    "MeanFill": "columns seldom measured dropped, gaps filled with the training mean",
}
"""Each transformer in words, to be filled in with its parameters."""


def preparation(encoder: BlockEncoder) -> dict[str, list[str]]:
    """Return what becomes of each block's columns, step by step, in words."""
    return {
        block: [STEPS[step.step].format(**step.params) for step in steps]
        for block, steps in encoder.state().steps.items()
    }


def model_card(validation: Mapping[str, Any]) -> str:
    """Return a model's card, in Markdown.

    Where a figure belongs there is a paragraph "Figure `name.svg`: caption", which `card_html` replaces by the drawing.

    Parameters
    ----------
    validation : mapping
        The evidence in full; `training.evidence.evidence`.
    """
    judged, mean = gates(validation), validation["random_effects"]
    card = _templates().get_template("card.md.jinja").render(
        **validation,
        gates=judged,
        found={gate.name: gate.found for gate in judged},
        verdict=_VERDICTS[validation["beats_chance"]],
        headline=validation["within"]["auroc"] if mean["k"] < 2 else {**mean, "value": mean["mean"]},
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", card).strip() + "\n"


def card_html(markdown: str, figures: Mapping[str, str]) -> str:
    """Return a card as one page that needs no other file and runs no script.

    Parameters
    ----------
    markdown : str
        As `model_card` returns it; HTML in it is shown, not obeyed.
    figures : mapping of str to str
        SVG texts by name, as `training.evidence.figures.write_figures` returns them.
    """

    def drawn(found: re.Match[str]) -> str:
        name, caption = found.groups()
        if name not in figures:
            return found.group()
        svg = figures[name].replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
        return f"<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>"

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub(r"<p>Figure <code>(\w+)\.svg</code>: (.*?)</p>", drawn, body)
    body = re.sub(r"<td>(pass|fail)</td>", r'<td class="\1">\1</td>', body)
    title = html.escape(markdown.partition("\n")[0].removeprefix("# "))
    page = Path(__file__).with_name("card.html").read_text(encoding="utf-8")
    return Template(page).substitute(title=title, body=body)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_literal,
    )
    templates.filters |= {
        one.__name__: one for one in (number, percent, span, share, quartiles, estimate, useful, sentence)
    }
    return templates


def _literal(value: object) -> object:
    """Return a text as Markdown that shows it as it is: titles and notes are other people's words."""
    return re.sub(r"([\\`*\[\]<|])", r"\\\1", " ".join(value.splitlines())) if isinstance(value, str) else value


def number(value: float | None, digits: int = 2, sign: str = "", absent: str = "–") -> str:
    """Return a number with so many digits; with `sign` "+" it always has one."""
    return absent if value is None else f"{value:{sign}.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share in percent."""
    return "–" if value is None else f"{value:.0%}"


def span(found: Mapping[str, float | None], low: str, high: str) -> str:
    """Return the interval between two entries."""
    return "not estimable" if found[low] is None else f"{found[low]:.2f} to {found[high]:.2f}"


def share(found: Mapping[str, Any]) -> str:
    """Return a `models.rates.event_rate` in percent, with its interval."""
    return f"{percent(found['rate'])} ({found['low']:.0%} to {found['high']:.0%})"


def quartiles(found: Mapping[str, float]) -> str:
    """Return a distribution's median and quartiles."""
    return f"{found['50']:.3g} ({found['25']:.3g} to {found['75']:.3g})"


def estimate(found: Mapping[str, float | None]) -> str:
    """Return a value with its interval."""
    if found["value"] is None:
        return "not measurable"
    return number(found["value"]) + ("" if found["low"] is None else f" ({span(found, 'low', 'high')})")


def useful(curve: Mapping[str, Any]) -> str:
    """Return the range of thresholds at which a decision curve's whole band is above acting on all and on nobody."""
    each = zip(curve["thresholds"], curve["low"], curve["all"], strict=True)
    found = [threshold for threshold, low, everybody in each if low > max(everybody, 0)]
    return f"{min(found):.2f} to {max(found):.2f}" if found else "none"


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."
