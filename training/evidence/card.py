"""The model card: what a model is and how well it performs, in Markdown and as a self-contained page.

Its sections name the items that they report: of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) by number, of STORMS
(Mirzayi et al. 2021, Nature Medicine 27:1885-1892) by name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from features.outcomes import side_of, term_of
from models.evidence import (
    STRENGTH_WORDS,
    CentreDecisionCurve,
    Estimate,
    EventRate,
    RandomEffectsSummary,
    TrainingPopulation,
    Validation,
    evidence_strength,
    held_out_unit,
)
from models.prediction import PROGNOSTIC
from training.evidence.promotion import gates
from training.evidence.sentence import (
    between_centres_caveat,
    permutation_p_text,
    scheme_description,
    source_unit,
)

TEMPLATES = Path(__file__).parent / "templates"


def model_card(validation: Validation, population: TrainingPopulation) -> str:
    """Return a model's card, in Markdown.

    Each figure is a paragraph "Figure `name.svg`: caption", which `card_html` replaces by the drawing.

    Parameters
    ----------
    validation : Validation
    population : TrainingPopulation
        Disease and treatment of the training patients.
    """
    evaluated = gates(validation)
    card = template_environment(TEMPLATES).get_template("card.md.jinja").render(
        evidence=validation.evidence,
        validation=validation,
        title=_title(validation),
        population=population,
        gates=evaluated,
        results={gate.name: gate.result for gate in evaluated},
        scheme_description=scheme_description,
        held_out_unit=held_out_unit,
        left_out=source_unit(validation.evidence),
        between_centres_caveat=between_centres_caveat,
        strength=evidence_strength(validation.evidence),
        strength_words=STRENGTH_WORDS,
        prognostic=PROGNOSTIC,
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", card).strip() + "\n"


def _title(validation: Validation) -> str:
    evidence, family = validation.evidence, validation.family.replace("_", " ")
    term = term_of(evidence.outcome, evidence.horizon)
    return f"{side_of(evidence.outcome).capitalize()} ({term}): {family} of {' + '.join(validation.blocks)}"


def card_html(markdown: str, figures: Mapping[str, str]) -> str:
    """Return a card as one page that needs no other file and runs no script.

    Parameters
    ----------
    markdown : str
        As `model_card` returns it; HTML in it is shown as text.
    figures : mapping of str to str
        SVG texts by name, as `training.evidence.figures.write_figures` returns them.
    """

    def figure(match: re.Match[str]) -> str:
        name, caption = match.groups()
        if name not in figures:
            return match.group()
        svg = figures[name].replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
        return f"<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>"

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub(r"<p>Figure <code>(\w+)\.svg</code>: (.*?)</p>", figure, body)
    body = re.sub(r"<td>(pass|fail)</td>", r'<td class="\1">\1</td>', body)
    # A table wider than the screen scrolls, by the keyboard too.
    body = body.replace("<table>", '<table tabindex="0">')
    title = html.escape(markdown.partition("\n")[0].removeprefix("# "))
    page = (TEMPLATES / "card.html").read_text(encoding="utf-8")
    return Template(page).substitute(title=title, body=body)


@cache
def template_environment(folder: Path) -> Environment:
    """Return the environment of a folder of Markdown templates: their filters, and text from others escaped."""
    templates = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_markdown,
    )
    filters = (
        number,
        percent,
        interval,
        prediction_interval,
        rate,
        quartiles,
        estimate,
        signed_estimate,
        useful_thresholds,
        patients_by_value,
        sentence,
        permutation_p_text,
    )
    templates.filters |= {function.__name__: function for function in filters}
    return templates


def _escape_markdown(value: object) -> object:
    """Return a text with its Markdown escaped, since titles and notes come from others."""
    return re.sub(r"([\\`*\[\]<|])", r"\\\1", " ".join(value.splitlines())) if isinstance(value, str) else value


def number(value: float | None, digits: int = 2, sign: str = "", absent: str = "–") -> str:
    """Return a number with so many decimals; `sign` "+" writes the sign of positive numbers too."""
    return absent if value is None else f"{value:{sign}.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share in percent."""
    return "–" if value is None else f"{value:.0%}"


def interval(quantity: Estimate | RandomEffectsSummary) -> str:
    """Return the 95% interval of an estimate or of a random-effects mean."""
    return _span(quantity.low, quantity.high)


def prediction_interval(summary: RandomEffectsSummary) -> str:
    """Return the 95% prediction interval for a new centre."""
    return _span(summary.prediction_low, summary.prediction_high)


def _span(low: float | None, high: float | None) -> str:
    return "not estimable" if low is None else f"{low:.2f} to {high:.2f}"


def rate(outcomes: EventRate) -> str:
    """Return an event rate in percent, with its interval."""
    return f"{percent(outcomes.rate)} ({outcomes.low:.0%} to {outcomes.high:.0%})"


def quartiles(quantiles: Mapping[int, float]) -> str:
    """Return the median and quartiles of a distribution."""
    return f"{quantiles[50]:.3g} ({quantiles[25]:.3g} to {quantiles[75]:.3g})"


def estimate(quantity: Estimate) -> str:
    """Return an estimate with its interval."""
    if quantity.value is None:
        return "not estimable"
    return number(quantity.value) + ("" if quantity.low is None else f" ({interval(quantity)})")


def signed_estimate(quantity: Estimate) -> str:
    """Return a difference with its sign and its interval."""
    if quantity.value is None:
        return "not estimable"
    span = "" if quantity.low is None else f" ({quantity.low:+.2f} to {quantity.high:+.2f})"
    return f"{quantity.value:+.2f}{span}"


def useful_thresholds(curve: CentreDecisionCurve) -> str:
    """Return the thresholds at which the whole band lies above acting on everyone and on no one."""
    points = zip(curve.thresholds, curve.low, curve.treat_all, strict=True)
    useful = [threshold for threshold, low, treat_all in points if low > max(treat_all, 0)]
    return f"{min(useful):.2f} to {max(useful):.2f}" if useful else "none"


def patients_by_value(counts: Mapping[str, int], patients: int) -> str:
    """Return how many training patients have each value, and in how many of all `patients` it was not reported."""
    if not counts:
        return "not reported"
    n_unreported = patients - sum(counts.values())
    values = [f"{value.replace('_', ' ')} {n}" for value, n in counts.items()]
    return ", ".join([*values, f"not reported {n_unreported}"] if n_unreported > 0 else values)


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."
