"""A validation elsewhere in words: a report in Markdown, and one sentence."""

from __future__ import annotations

import re
from pathlib import Path

from models.evidence import FEWEST_OF_A_CLASS, ExternalPerformance, ExternalValidation
from training.evidence.card import template_environment

TEMPLATES = Path(__file__).parent / "templates"


def validation_report(model: str, validation: ExternalValidation) -> str:
    """Return the report of a validation; each figure is a paragraph that `training.evidence.card.card_html` replaces.

    Parameters
    ----------
    model : str
        Name and version of the model.
    validation : ExternalValidation
    """
    template = template_environment(TEMPLATES).get_template("external_validation.md.jinja")
    report = template.render(model=model, validation=validation, performance=validation.performance)
    return re.sub(r"\n{3,}", "\n\n", report).strip() + "\n"


def validation_sentence(
    cohort: str, performance: ExternalPerformance | None, *, abstained: int, simulated: bool
) -> str:
    """Return the validation in one sentence, without a full stop."""
    start = "simulated data: " if simulated else ""
    if performance is None:
        return f"{start}on {cohort} the model abstained for all {abstained} labelled patients: nothing was measured"
    outcomes = performance.outcomes
    abstentions = f", {abstained} more without a prediction" if abstained else ""
    return (
        f"{start}on {cohort}, which it had not seen, {_discrimination(performance)}; Brier score "
        f"{performance.brier.value:.3f}, of the cohort's own prevalence {performance.prevalence_brier:.3f} "
        f"({outcomes.patients} patients, {outcomes.events} events{abstentions})"
    )


def _discrimination(performance: ExternalPerformance) -> str:
    auroc = performance.auroc
    if performance.distinct_probabilities == 1:
        return "the model gave every patient the same probability, which ranks none"
    if auroc.value is None or auroc.low is None or auroc.high is None:
        return "discrimination could not be measured, since all patients had one outcome"
    numbers = f"AUROC of the probability {auroc.value:.2f}, {auroc.low:.2f}-{auroc.high:.2f}{performance.auroc_unit}"
    if performance.has_few_of_a_class:
        ranked, pairs = _ranked_pairs(performance)
        patients = performance.outcomes.patients
        return (
            f"{ranked:g} of {pairs} pairs of a patient with the outcome and one without were ranked rightly "
            f"({numbers}); {patients} patients, fewer than {FEWEST_OF_A_CLASS} of an outcome, are too few to tell "
            "from chance"
        )
    if auroc.low > 0.5:
        return f"the model ranked patients better than chance ({numbers})"
    if auroc.high < 0.5:
        return f"the model ranked patients worse than chance ({numbers})"
    return f"no discrimination was shown ({numbers})"


def _ranked_pairs(performance: ExternalPerformance) -> tuple[float, int]:
    """Return the pairs ranked rightly, ties counting half, and all pairs of patients of one centre."""
    outcomes = performance.outcomes
    centres = [(row.auroc, row.patients, row.events) for row in performance.by_centre]
    centres = centres or [(performance.auroc, outcomes.patients, outcomes.events)]
    pairs = [(auroc.value, events * (patients - events)) for auroc, patients, events in centres]
    ranked = sum(auroc * n for auroc, n in pairs if auroc is not None)
    return round(2 * ranked) / 2, sum(n for _, n in pairs)
