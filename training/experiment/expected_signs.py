"""The direction in which clinical covariates move an outcome, where the field agrees on it beforehand.

A published direction is not learnt again from a few hundred patients: the slope of such a column keeps its sign, or is
0. Age, sex, body mass index and BRAF are disputed or differ by treatment, and may have either sign.
"""

from __future__ import annotations

from collections.abc import Mapping

RESPONSE_SIGNS = {
    # Dall'Olio et al. 2020, Lung Cancer 145:95-104; Diem et al. 2016, British Journal of Cancer 114:256-261;
    # Gershenwald et al. 2017, CA 67:472-492.
    "ecog": -1,
    "ldh": -1,
    "stage=IV": -1,
    # Antibiotics before or at the start. Wilson et al. 2020, Cancer Immunology, Immunotherapy 69:343-354.
    "antibiotics": -1,
    # Response rates are lower after an earlier treatment has failed. Ribas et al. 2016, JAMA 315:1600-1609.
    "prior_therapy": -1,
    # Not prior_immunotherapy: after an inhibitor failed, responses are rarer, but the column also holds patients who
    # completed one in the adjuvant setting and relapsed later. It may have either sign.
    # Larkin et al. 2019, New England Journal of Medicine 381:1535-1546; Robert et al. 2015, same journal 372:2521-2532.
    "regimen=combination": 1,
    "regimen=anti-CTLA-4": -1,
}
"""Of response and benefit."""
TOXICITY_SIGNS = {
    # Larkin et al. 2019, as above.
    "regimen=combination": 1,
    "regimen=anti-PD-1": -1,
}
"""Of immune-related toxicity; the field agrees on the regimen alone."""


def expected_signs(outcome: str) -> Mapping[str, int]:
    """Return the sign, 1 or -1, of each clinical column on whose direction the field agrees, by outcome id."""
    return TOXICITY_SIGNS if outcome.startswith("toxicity") else RESPONSE_SIGNS
