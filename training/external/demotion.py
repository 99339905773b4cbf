"""The rule by which a validation elsewhere contradicts a model, so that it should no longer be the champion.

The rule is fixed before any cohort is seen. A model without skill there is no contradiction: it may have skill in
other cohorts, and its card says what it showed. A model is contradicted where the data exclude that it ranks patients
the right way round, for it then misleads whoever uses it. The Brier score is no part of the rule, since a difference in
prevalence alone, which recalibration in the large removes, can make it worse than the prevalence's.
"""

from __future__ import annotations

from models.evidence import ExternalPerformance


def contradictions(performance: ExternalPerformance | None) -> tuple[str, ...]:
    """Return why a validation contradicts the model, a sentence for each rule that it meets, without a full stop."""
    if performance is None or performance.has_few_of_a_class:
        return ()
    reasons = []
    for name, estimate, bound in (("AUROC", performance.auroc, 0.5), ("calibration slope", performance.slope, 0.0)):
        if estimate.high is not None and estimate.high < bound:
            reasons.append(
                f"the 95% interval of the {name}, {estimate.low:.2f} to {estimate.high:.2f}, lies below {bound:g}: the "
                "model ranks these patients the wrong way round"
            )
    return tuple(reasons)
