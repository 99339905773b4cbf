"""Reports of the engraftment model, and of donors compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType

from serving.number_text import chance, points
from taxokine.terminal import table

if TYPE_CHECKING:
    from models.donors import DonorComparison, DonorDifference, OutcomeChange
    from taxokine.donor_comparison import CohortComparison
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


def comparison_report(patient: str, compared: CohortComparison) -> Iterator[RenderableType]:
    """Yield what the models make of the stool expected after a transplant from each donor."""
    from models.evidence import DEMONSTRATION
    from models.prediction import use_of

    comparison = compared.comparison
    order = "in the order of the response" if comparison.ordered else "by name; no order"
    yield f"donors for {patient}, {order}"
    yield f"({comparison.meaning})"
    yield ""
    rows = table("donor", "outcome", "now", "after", "difference (95%), points", "trust", "largest contributions")
    for donor in comparison.donors:
        for change in donor.changes:
            taxa = ", ".join(f"{driver.taxon} {driver.shap_change:+.2f}" for driver in change.drivers[:2])
            probabilities = map(chance, _stated_probabilities(change))
            use = use_of(change.trust.verdict, compared.evidence[change.model.name, change.model.version])
            rows.add_row(donor.donor, change.outcome, *probabilities, _difference(change), use, taxa)
    if rows.row_count:
        yield rows
        reasons = _reasons(comparison)
        yield from (f"no difference in {outcome}: {reason}" for outcome, reason in reasons)
        yield ""
    for donor in comparison.donors:
        abundances = ", ".join(f"{taxon.taxon} {taxon.expected:.1%}" for taxon in donor.expected[:5])
        yield f"expected after {donor.donor}: {abundances}"
    yield ""
    yield from _between_donors(comparison)
    yield from (f"no order: {reason}" for reason in comparison.no_order_reasons)
    for reason in dict.fromkeys(donor.reason for donor in comparison.excluded):
        names = [donor.donor for donor in comparison.excluded if donor.reason == reason]
        yield f"not compared, {reason}: {', '.join(names)}"
    yield (
        f"learnt from {comparison.transplants} transplants of {comparison.training_donors} donors; the stool "
        f"after a transplant is predicted by the method '{comparison.engraftment_method}'"
    )
    yield from (f"caution: {caution}" for caution in compared.cautions)
    if comparison.simulated:
        yield DEMONSTRATION


def _reasons(comparison: DonorComparison) -> dict[tuple[str, str], None]:
    """Return each outcome without a difference, with the reason, once."""
    changes = (change for donor in comparison.donors for change in donor.changes)
    reasons = ((change.outcome, change.reason or change.unconfirmed_reason) for change in changes)
    return dict.fromkeys((outcome, reason) for outcome, reason in reasons if reason)


def _between_donors(comparison: DonorComparison) -> Iterator[str]:
    """Yield the largest difference between two donors, which donors differ, and which differ in no outcome."""
    for largest in comparison.largest_differences:
        yield (
            f"largest difference in {largest.difference.outcome}: {_pair_text(largest.donor, largest.difference)}; "
            f"the interval excludes 0 for {largest.shown_pairs} of {largest.pairs} pairs of donors"
        )
    if comparison.largest_differences:
        yield "(these intervals hold together for all pairs; those above, of the change from now, compare no donors)"
    names = [donor.donor for donor in comparison.donors]
    for position, donor in enumerate(comparison.donors):
        for item in donor.differences:
            # A pair is listed from both donors.
            if item.is_shown and item.donor in names[position:]:
                yield f"differs in {item.outcome}: {_pair_text(donor.donor, item)}"
    alike = [donor for donor in comparison.donors if donor.indistinguishable_from]
    if alike and all(len(donor.indistinguishable_from) == len(comparison.donors) - 1 for donor in alike):
        yield "indistinguishable: between no two donors does an interval of the difference exclude 0"
        return
    for donor in alike:
        yield f"indistinguishable from {donor.donor}, by differences: {', '.join(donor.indistinguishable_from)}"


def _stated_probabilities(change: OutcomeChange) -> tuple[float | None, float | None]:
    """Return the probabilities before and after; None for both where the page shows neither."""
    if change.trust.in_training_set or change.unconfirmed_reason:
        return None, None
    return change.probability_before, change.probability_after


def _difference(change: OutcomeChange) -> str:
    if change.unconfirmed_reason or change.difference is None or change.low is None or change.high is None:
        return "–"
    return _points_text(change.difference, change.low, change.high)


def _pair_text(donor: str, item: DonorDifference) -> str:
    return f"{donor} minus {item.donor} {_points_text(item.difference, item.low, item.high)} points"


def _points_text(difference: float, low: float, high: float) -> str:
    return f"{points(difference)} ({points(low)} to {points(high)})"
