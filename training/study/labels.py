"""Names of grades, outcomes, contrasts and variants in tables and sentences; each function is a filter of templates."""

from __future__ import annotations

from collections.abc import Callable

from features.manifest import ArmRole
from features.outcomes import Grade, definition_of
from features.units import ImmuneUnit
from training.study.analysis.donor_sensitivity import SensitivityResult, Variant
from training.study.analysis.group_tests import CommunityTest

TREATMENTS: dict[ArmRole, str] = {
    "fmt_ici": "FMT with ICI",
    "ici": "ICI alone",
    "sham": "a sham transplant with ICI",
}
VARIANTS: dict[Variant, str] = {
    "primary": "Bray-Curtis, {}",
    "adjusted for baseline": "the same, adjusted for the distance before",
    "Aitchison, 10%": "Aitchison, taxa in 10% of samples",
    "Aitchison, 30%": "Aitchison, taxa in 30% of samples",
    "Jaccard": "Jaccard, taxa found or not",
    "Bray-Curtis, 30%": "Bray-Curtis, taxa in 30% of samples",
    "other window": "{}",
    "all samples": "all samples after",
    "donated sample": "the very stool given",
    "donors with recipients": "only donors with recipients",
    "without recipient": "without {}, whose stool is very like another patient's",
}


def treatment_label(role: ArmRole) -> str:
    """Return what an arm received: ``a sham transplant with ICI``."""
    return TREATMENTS[role]


def grade_label(grade: Grade) -> str:
    """Return a CTCAE grade of an outcome: ``grade 3 or above``."""
    return "any grade" if grade == "any" else f"grade {grade} or above"


def outcome_label(outcome: str) -> str:
    """Return an outcome as a noun phrase: ``progression-free survival``."""
    return outcome.replace("progression_free", "progression-free").replace("_", " ")


def criteria_label(criteria: str) -> str:
    """Return the criteria of a best response, a column of `best_responses`."""
    return {"published": "as recorded", "confirmed": "RECIST, confirmed after 28 days"}.get(criteria, criteria)


def drug_label(kind: str) -> str:
    """Return a kind of concomitant drug in the plural."""
    return {"antibiotic": "antibiotics", "steroid": "steroids", "ppi": "PPI", "other": "other drugs"}[kind]


def contrast_label(test: CommunityTest) -> str:
    """Return the name of a contrast: ``by arm (days 7 to 28)``."""
    if test.contrast == "visit":
        return f"between visits ({test.baseline}; {test.window})"
    if test.contrast == "patients and donors":
        return f"patients ({test.window}) against donors"
    names = {
        "response": f"by response, {definition_of(test.outcome)}" if test.outcome else "",
        "arm": "by arm",
        "donor": "by donor, of recipients who share one",
    }
    return f"{names[test.contrast]} ({test.window})"


def variant_label(result: SensitivityResult) -> str:
    """Return the name of a variant of the analysis: ``Aitchison, taxa in 10% of samples``."""
    return VARIANTS[result.variant].format(result.subject)


def richness_label(counts: bool) -> str:
    """Return what richness is, of profiles that are counts or proportions."""
    return "expected number of taxa at equal depth" if counts else "taxa of a proportion of at least 0.0001"


def stool_measure_label(measure: str, counts: bool) -> str:
    """Return a measure of stool that arms are compared by: ``Shannon, nats``."""
    names = {"shannon": "Shannon, nats", "distance to donors": "Bray-Curtis distance to donors"}
    return names.get(measure, richness_label(counts))


def unit_label(unit: ImmuneUnit) -> str:
    """Return in which unit levels are: ``in pg/mL``."""
    return "in a unit that the source does not report" if unit == "unstated" else f"in {unit}"


LABELS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(treatment_label, grade_label, outcome_label, criteria_label, drug_label),
        *(definition_of, contrast_label, variant_label, richness_label, unit_label, stool_measure_label),
    )
}
"""The filters of templates, by name."""
