"""On which cohorts a model was tested besides its training cohorts, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from models.evidence.external import ExternalValidation
from models.evidence.strength import held_out_unit
from models.evidence.summary import Evidence

CLAIM_AT_TRAINING = "; it was not tested on another cohort"
"""What the sentence of older bundles says of validations that came after it."""


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
