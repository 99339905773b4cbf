"""The evidence in one sentence."""

from __future__ import annotations

from typing import Literal

from models.evidence import (
    Evidence,
    HeldOutUnit,
    NullComparison,
    PermutationNull,
    RandomEffectsSummary,
    Scheme,
    held_out_unit,
)

ENOUGH_CENTRES = 10
"""Centres from which a τ² of 0 is taken to say that they vary little."""
NO_VARIATION = 1e-6
"""τ² below which it counts as 0: the estimate lies at its boundary."""

_DESCRIPTIONS: dict[HeldOutUnit, str] = {
    "cohort": "each cohort held out in turn",
    "centre": "each centre of the cohort held out in turn",
    "patient": "patients held out within cohorts",
}
_HELD_OUT: dict[HeldOutUnit, str] = {
    "cohort": "on held-out cohorts",
    "centre": "on held-out centres of its own cohort",
    "patient": "on held-out patients of its own cohort",
}


def scheme_description(evidence: Evidence, scheme: Scheme | None = None) -> str:
    """Return how patients were held out, under the evidence's scheme or another one."""
    return _DESCRIPTIONS[held_out_unit(evidence, scheme)]


def evidence_sentence(evidence: Evidence, permutation: PermutationNull | None, prior_experiments: int) -> str:
    """Return the evidence in one sentence, without a full stop.

    Parameters
    ----------
    evidence : Evidence
        Whose own sentence is not yet written.
    permutation : PermutationNull or None
    prior_experiments : int
        Experiments on these cohorts before this one.
    """
    auroc, unit = evidence.held_out_auroc, held_out_unit(evidence)
    rows = _HELD_OUT[unit]
    sizes = f"{cohort_counts(evidence)}, {evidence.patients} patients"
    if auroc.value is None:
        return f"the performance of this model {rows} could not be measured ({sizes})"
    numbers = f"AUROC of the {evidence.auroc_of} {auroc.value:.2f}, {auroc.low:.2f}-{auroc.high:.2f}; {sizes}"
    if permutation is not None:
        numbers += f"; permutation {permutation_p_text(permutation.best_of_all, 'permutations')}"
    limits = ""
    if evidence.beats_chance and prior_experiments:
        limits += f"; {prior_experiments} prior experiment{'s' * (prior_experiments > 1)} used these data"
    if evidence.beats_chance and evidence.pooled_labels:
        limits += "; labels of different meaning were pooled"
    simulated = "simulated data: " if evidence.simulated else ""
    if evidence.beats_chance is None:
        return (
            f"{simulated}{rows} this model performed better than chance by an interval that ignores refitting "
            f"({numbers}), as one of {evidence.models_compared} models compared: not confirmed{limits}"
        )
    if evidence.beats_chance:
        return f"{simulated}{rows} this model performed better than chance ({numbers}){limits}"
    return f"{simulated}no evidence of discrimination {rows} ({numbers}){limits}"


def permutation_p_text(null: NullComparison, source: str, *, count: bool = False) -> str:
    """Return p of a permutation null, named where it is the smallest that so many permutations can give.

    Parameters
    ----------
    null : NullComparison
    source : str
        What the permutations are called: ``permutations`` gives ``p = 0.04, the least that 24 permutations can give``.
    count : bool
        Whether a larger p is followed by the number of permutations: ``p = 0.12, 24 permutations``.
    """
    if null.is_least:
        return f"p = {null.p:.3g}, the least that {null.n} {source} can give"
    return f"p = {null.p:.3g}" + (f", {null.n} {source}" if count else "")


def source_unit(evidence: Evidence) -> Literal["cohort", "centre"]:
    """Return what the training patients come from that can be left out: cohorts, or the centres of a single one."""
    return "cohort" if len(evidence.cohorts) > 1 else "centre"


def between_centres_caveat(summary: RandomEffectsSummary) -> str | None:
    """Return what the prediction interval of few centres without measured variation cannot know; None for others.

    A τ² of 0 from few centres is no evidence that centres agree: there are too few of them to see their variation.
    """
    if summary.tau2 is None or summary.tau2 > NO_VARIATION or summary.k >= ENOUGH_CENTRES:
        return None
    return f"variation between centres not estimable from {summary.k} centres; a new centre may lie outside"


def cohort_counts(evidence: Evidence) -> str:
    """Return how many cohorts were held out, and how many centres they have where that is another number."""
    n_centres, n_cohorts = len(evidence.per_centre), len(evidence.cohorts)
    cohorts = f"{n_cohorts} cohort{'s' * (n_cohorts != 1)}"
    return cohorts if n_centres == n_cohorts else f"{n_centres} centres of {cohorts}"
