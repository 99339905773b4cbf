"""Reports of the engraftment model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType

from taxokine.terminal import table

if TYPE_CHECKING:
    from training.engraftment import EngraftmentResult


def engraftment_report(result: EngraftmentResult) -> Iterator[RenderableType]:
    """Yield the accuracy of the model and of the baselines on what was left out, and what predicts."""
    from training.engraftment.sentences import interval

    evidence = result.evidence
    for validation in evidence.validations:
        yield f"{validation.scheme}: {validation.transplants} transplants, {validation.units} left out in turn"
        methods = table(
            "  method", "Bray-Curtis", "excess (95%)", "Aitchison", "excess (95%) ",
            "presence AUROC (95%)", numbers=("Bray-Curtis", "Aitchison"),
        )  # fmt: skip
        for accuracy in validation.methods:
            is_baseline = accuracy.method != "regression"
            methods.add_row(
                f"  {accuracy.method}",
                f"{accuracy.bray_curtis.value:.3f}",
                interval(accuracy.bray_curtis_excess, "+") if is_baseline else "",
                f"{accuracy.aitchison.value:.1f}",
                interval(accuracy.aitchison_excess, "+", 1) if is_baseline else "",
                interval(accuracy.presence_auroc, digits=2),
            )
        yield methods
        yield ""
    yield "excess: the baseline's distance minus the regression's, above 0 where the regression is nearer"
    yield f"regression: {result.verdict}"
    yield f"version {result.version or '(of a folder)'} predicts by: {result.method}"
    yield from (f"note: {note}" for note in evidence.notes)
    if evidence.simulated:
        yield "note: trained on simulated transplants: it says nothing about real ones"
    yield f"run {result.run_id}; 'taxokine ui' shows it"
