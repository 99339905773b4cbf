"""How strong the evidence of a model is, in one word by fixed rules; what was held out, and which cohorts tested it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from features.plain_names import short_title
from models.evidence.estimates import Scheme
from models.evidence.external import ExternalValidation
from models.evidence.summary import Evidence

HeldOutUnit = Literal["cohort", "centre", "patient"]
"""What was held out: each cohort in turn, each centre of the only cohort, or patients of the training cohorts."""
Strength = Literal["simulated", "none", "weak", "moderate", "strong"]

STRONG_AUROC = 0.7
"""Lower end of the AUROC's interval in held-out cohorts from which evidence may be strong."""
STRENGTH_WORDS: dict[Strength, str] = {
    "simulated": "simulated evidence",
    "none": "no evidence of discrimination",
    "weak": "weak evidence",
    "moderate": "moderate evidence",
    "strong": "strong evidence",
}
"""How pages, cards and texts name each strength."""
DEMONSTRATION = "learnt from simulated patients: for demonstration, not for care"
"""What every text says first of a model that learnt from simulated patients."""
CLAIM_AT_TRAINING = "; it was not tested on another cohort"
"""What the sentence of older bundles says of validations that came after it."""


def held_out_unit(evidence: Evidence, scheme: Scheme | None = None) -> HeldOutUnit:
    """Return what was held out; under leave-one-cohort-out, the centres of a single cohort.

    Parameters
    ----------
    evidence : Evidence
        A bundle of protocol 1 may name no cohort: it counts as one, the weaker claim.
    scheme : {"loco", "cv"}, optional
        By default that of the evidence.
    """
    if (scheme or evidence.scheme) == "cv":
        return "patient"
    return "cohort" if len(evidence.cohorts) > 1 else "centre"


def evidence_strength(evidence: Evidence, external_validations: Sequence[ExternalValidation] = ()) -> Strength:
    """Return how strong the evidence is.

    ``simulated``: a training patient is simulated, so that nothing is known of real ones. ``none``: the interval or the
    permutation null of the held-out AUROC includes chance. ``weak``: both exclude it, but inside one cohort only; or no
    permutation null was computed; or a validation elsewhere contradicts the model. ``moderate``: both exclude it in
    held-out cohorts. ``strong``: moreover the interval lies above `STRONG_AUROC`, and that of the AUROC in a real
    cohort that the model had not seen, of at least 10 patients of each outcome, excludes chance too.

    Parameters
    ----------
    evidence : Evidence
    external_validations : sequence of ExternalValidation
        The latest on each cohort that the model had not seen; those of simulated patients do not count.
    """
    if evidence.simulated:
        return "simulated"
    if evidence.beats_chance is False:
        return "none"
    is_contradicted = bool(contradicting_cohorts(external_validations))
    if evidence.beats_chance is None or is_contradicted or held_out_unit(evidence) != "cohort":
        return "weak"
    low = evidence.held_out_auroc.low
    is_high = low is not None and low >= STRONG_AUROC
    return "strong" if is_high and any(map(_exceeds_chance, external_validations)) else "moderate"


def contradicting_cohorts(external_validations: Sequence[ExternalValidation]) -> tuple[str, ...]:
    """Return the titles of the real cohorts whose validation contradicts the model."""
    return tuple(short_title(item.title) for item in external_validations if item.contradictions and not item.simulated)


def other_cohorts_tested(evidence: Evidence, external_validations: Sequence[ExternalValidation]) -> str:
    """Return on how many other cohorts and patients a model was tested, without a full stop.

    Empty where whole cohorts were held out in training and none was validated since: those cohorts are the test.

    Parameters
    ----------
    evidence : Evidence
    external_validations : sequence of ExternalValidation
        The latest on each cohort that the model had not seen.
    """
    if not external_validations:
        return "" if held_out_unit(evidence) == "cohort" else "not tested on another cohort"
    n_cohorts, n_simulated = len(external_validations), sum(item.simulated for item in external_validations)
    n_patients = sum(item.predicted for item in external_validations)
    simulated = " (simulated)" if n_simulated == n_cohorts else ""
    share = f", {n_simulated} of them simulated" if 0 < n_simulated < n_cohorts else ""
    cohorts = f"{n_cohorts} other{simulated} cohort{'s' * (n_cohorts != 1)}{share}"
    if not n_patients:
        return f"tried on {cohorts}, where it predicted no patient"
    return f"tested on {cohorts}, {n_patients} patient{'s' * (n_patients != 1)}"


def evidence_sentence_since(evidence: Evidence, external_validations: Sequence[ExternalValidation]) -> str:
    """Return the sentence of a model's evidence and where it was tested since, without a full stop.

    Parameters
    ----------
    evidence : Evidence
    external_validations : sequence of ExternalValidation
        The latest on each cohort that the model had not seen.
    """
    tested = other_cohorts_tested(evidence, external_validations)
    sentence = evidence.sentence.replace(CLAIM_AT_TRAINING, "")
    return f"{sentence}; {tested}" if tested else sentence


def _exceeds_chance(validation: ExternalValidation) -> bool:
    performance = validation.performance
    if performance is None or validation.simulated or performance.has_few_of_a_class:
        return False
    return performance.auroc.low is not None and performance.auroc.low > 0.5
