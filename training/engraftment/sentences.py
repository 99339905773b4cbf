"""What an engraftment model's accuracy means, in sentences, and its card."""

from __future__ import annotations

from collections.abc import Sequence

from models.engraftment import EngraftmentEvidence, EngraftmentValidation
from models.evidence import Estimate


def verdict(evidence: EngraftmentEvidence) -> str:
    """Return whether the regression beats the baselines, as its card, report and runs state it."""
    validation = evidence.donors_left_out
    if validation is None:
        return (
            f"{evidence.transplants} transplants from {evidence.donors} donors: too few donors to leave each out in "
            "turn, so that nothing is known of predictions for a new donor"
        )
    scope = f"{validation.transplants} transplants, {validation.units} donors left out in turn"
    beaten_baselines = validation.beaten_baselines
    if validation.beats_all:
        return f"nearer to the profiles after than every baseline, by Bray-Curtis and by Aitchison ({scope})"
    if not beaten_baselines:
        return f"not shown to be nearer to the profiles after than any baseline ({scope})"
    missed = [accuracy.method for accuracy in validation.methods[1:] if accuracy.method not in beaten_baselines]
    return (
        f"nearer to the profiles after than {_list(beaten_baselines)}, by Bray-Curtis and by Aitchison; not shown to "
        f"be nearer than {_list(missed)} ({scope})"
    )


def card(evidence: EngraftmentEvidence, method: str) -> str:
    """Return the model card, in Markdown."""
    simulated = "\n**Trained on simulated transplants: it says nothing about real ones.**\n" * evidence.simulated
    notes = "".join(f"- {note}\n" for note in evidence.notes)
    tables = "\n".join(_table(validation) for validation in evidence.validations)
    return f"""\
# Engraftment model
{simulated}
Predicts a recipient's stool after a fecal microbiota transplant from the stool before and the donor's. The prediction
is by: **{method}**.

- cohorts: {", ".join(evidence.cohorts)}
- {evidence.transplants} transplants from {evidence.donors} donors; profiles after of days {evidence.first_day:g} to \
{evidence.last_day:g}, median {evidence.median_day:g}
- profiler: {evidence.profiler or "not reported"}; rank: {evidence.rank}
{notes}
The regression is {verdict(evidence)}.

{tables}
Distances are means over transplants; below each, the difference to the regression, above 0 where the regression is
nearer. Intervals are jackknives over what was left out, 95%. The presence AUROC compares two recipients of whom one has
a taxon after: 0.5 for a method that says the same of both.
"""


def _table(validation: EngraftmentValidation) -> str:
    rows = "".join(
        f"| {item.method} | {interval(item.bray_curtis)} | {interval(item.bray_curtis_excess, '+')} | "
        f"{interval(item.aitchison, digits=1)} | {interval(item.aitchison_excess, '+', 1)} | "
        f"{interval(item.presence_auroc)} |\n"
        for item in validation.methods
    )
    return f"""\
## {validation.scheme.capitalize()}: {validation.transplants} transplants

| method | Bray-Curtis | minus regression | Aitchison | minus regression | presence AUROC |
|---|---|---|---|---|---|
{rows}"""


def interval(estimate: Estimate, sign: str = "", digits: int = 3) -> str:
    """Return an estimate with its interval, as tables show it."""
    if estimate.value is None:
        return "–"
    text = f"{estimate.value:{sign}.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return f"{text} (interval not estimable)"
    return f"{text} ({estimate.low:{sign}.{digits}f} to {estimate.high:{sign}.{digits}f})"


def _list(names: Sequence[str]) -> str:
    quoted = [f"*{name}*" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
