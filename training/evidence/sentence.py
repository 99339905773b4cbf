"""The evidence in one sentence."""

from __future__ import annotations

from models.evidence import Evidence, PermutationNull, Scheme

SCHEME_DESCRIPTIONS: dict[Scheme, str] = {
    "loco": "each cohort held out in turn",
    "cv": "patients held out within cohorts",
}


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
    auroc, held_out_cohorts = evidence.held_out_auroc, evidence.scheme == "loco"
    rows = "on held-out cohorts" if held_out_cohorts else "on held-out patients of its own cohort"
    sizes = f"{cohort_counts(evidence)}, {evidence.patients} patients"
    if auroc.value is None:
        return f"the performance of this model {rows} could not be measured ({sizes})"
    numbers = f"AUROC of the {evidence.auroc_of} {auroc.value:.2f}, {auroc.low:.2f}-{auroc.high:.2f}; {sizes}"
    if permutation is not None:
        numbers += f"; permutation p = {permutation.best_of_all.p:.2g}"
    limits = "" if held_out_cohorts else "; it was not tested on another cohort"
    if evidence.beats_chance and prior_experiments:
        limits += f"; {prior_experiments} prior experiment{'s' * (prior_experiments > 1)} used these data"
    if evidence.beats_chance and evidence.pooled_labels:
        limits += "; labels of different meaning were pooled"
    simulated = "simulated data: " if evidence.simulated else ""
    start = f"{simulated}{rows} this model performed"
    if evidence.beats_chance is None:
        return (
            f"{start} better than chance by an interval that ignores refitting ({numbers}), as one of "
            f"{evidence.models_compared} models compared: not confirmed{limits}"
        )
    if evidence.beats_chance:
        return f"{start} better than chance ({numbers}){limits}"
    return f"{simulated}{rows} this model was not shown to perform better than chance ({numbers}){limits}"


def cohort_counts(evidence: Evidence) -> str:
    """Return how many cohorts were held out, and how many centres they have where that is another number."""
    n_centres, n_cohorts = len(evidence.per_centre), len(evidence.cohorts)
    cohorts = f"{n_cohorts} cohort{'s' * (n_cohorts != 1)}"
    return cohorts if n_centres == n_cohorts else f"{n_centres} centres of {cohorts}"
