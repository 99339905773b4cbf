"""Report of a validation elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from models.evidence import Estimate
from taxokine.terminal import facts, table

if TYPE_CHECKING:
    from models.evidence import ExternalPerformance
    from training.external.run import ExternalRun


def external_report(run: ExternalRun) -> Iterator[RenderableType]:
    """Yield the patients, the performance, and whether the validation contradicts the model."""
    validation = run.validation
    simulated = " (simulated data)" if validation.simulated else ""
    yield Text(f"{run.model} validated on {validation.cohort}{simulated}", "bold")
    yield ""
    yield facts(
        [
            ("labelled patients", str(validation.labelled)),
            ("in the training set", f"{validation.training_patients}, left out"),
            ("predicted", f"{validation.predicted}, {validation.with_care} of them with care"),
            ("abstained", str(validation.abstained)),
            *(("", f"by the rule on {reason.rule}: {reason.patients}") for reason in validation.abstentions),
        ]
    )
    if validation.performance is not None:
        yield ""
        yield from _performance(validation.performance)
    if (recalibration := validation.recalibration) is not None:
        yield ""
        difference = _estimate(recalibration.brier_difference, "+")
        yield (
            f"recalibrated in the large, log-odds shifted by {_estimate(recalibration.shift, '+')}: Brier score "
            f"{_estimate(recalibration.brier)}, minus the prevalence's {difference}; the model is not changed"
        )
    yield ""
    yield f"evidence: {validation.sentence}"
    yield from (f"note: {note}" for note in validation.notes)
    yield _decision(run)
    yield f"run {run.run_id}; the model's card and page show it, and 'taxokine ui' its figures"


def _performance(performance: ExternalPerformance) -> Iterator[RenderableType]:
    rows = table("", "estimate (95%)", "")
    rows.add_row(
        f"AUROC of the probability{performance.auroc_unit}", _estimate(performance.auroc), _distinct(performance)
    )
    prevalence = f"of the cohort's own prevalence {performance.prevalence_brier:.3f}"
    rows.add_row("Brier score", _estimate(performance.brier), prevalence)
    rows.add_row("  minus the prevalence's", _estimate(performance.brier_difference, "+"), "below 0 is better")
    rows.add_row("calibration in the large", _estimate(performance.in_the_large, "+"), "observed minus expected")
    rows.add_row("calibration intercept", _estimate(performance.intercept, "+"), "0 is ideal")
    rows.add_row("calibration slope", performance.no_slope_reason or _estimate(performance.slope), "1 is ideal")
    yield rows
    if performance.by_centre:
        yield ""
        centres = table("centre", "patients", "events", "AUROC (95%)", "Brier (95%)", "Brier of the prevalence alone",
                        numbers=("patients", "events", "Brier of the prevalence alone"))  # fmt: skip
        for row in performance.by_centre:
            counts = str(row.patients), str(row.events)
            centres.add_row(
                row.centre, *counts, _estimate(row.auroc), _estimate(row.brier), f"{row.prevalence_brier:.3f}"
            )
        yield centres


def _distinct(performance: ExternalPerformance) -> str:
    n = performance.distinct_probabilities
    return "the same probability for all" if n == 1 else f"{n} different probabilities"


def _decision(run: ExternalRun) -> str:
    reasons = run.validation.contradictions
    if not reasons:
        return "it does not contradict the model"
    if run.demoted:
        return f"demoted, no longer the champion: {'; '.join(reasons)}"
    advice = "; --demote takes the alias from it" if run.alias.partition("-")[0] == "champion" else ""
    return f"it contradicts the model: {'; '.join(reasons)}{advice}"


def _estimate(estimate: Estimate, sign: str = "") -> str:
    if estimate.value is None:
        return "not estimable"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.3f}"
    return f"{estimate.value:{sign}.3f} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"
