"""The disease and treatment of a patient: tumour type, line of treatment, class of drugs, in words that cohorts share.

They decide which patients a model may predict; they are no features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from features.errors import InputError

TumourType = Literal[
    "melanoma",
    "lung_non_small_cell",
    "lung_small_cell",
    "renal_cell",
    "urothelial",
    "hepatocellular",
    "biliary",
    "gastro_oesophageal",
    "colorectal",
    "pancreatic",
    "head_and_neck",
    "breast",
    "cervical",
    "endometrial",
    "ovarian",
    "prostate",
    "mesothelioma",
    "skin_squamous_cell",
    "merkel_cell",
    "sarcoma",
    "glioma",
    "lymphoma",
    "other",
    "none",
]
"""Type of the tumour; `other` for another one, `none` for people without cancer."""
TreatmentLine = Literal["first", "later"]
"""`first`: no systemic therapy of the advanced tumour before; `later`: any, whichever it was."""
DrugClass = Literal["anti-PD-1", "anti-PD-L1", "anti-CTLA-4", "anti-PD-1 + anti-CTLA-4", "with chemotherapy", "other"]
"""Class of the immune checkpoint inhibitors; `with chemotherapy` for any of them with chemotherapy."""


@dataclass(frozen=True)
class Population:
    """The disease and treatment of a patient; None where it is not reported.

    Attributes
    ----------
    tumour_type : TumourType or None
    treatment_line : TreatmentLine or None
    drug_class : DrugClass or None
    """

    tumour_type: TumourType | None = None
    treatment_line: TreatmentLine | None = None
    drug_class: DrugClass | None = None


NOT_REPORTED = Population()
"""Neither disease nor treatment is reported."""

POPULATION_FIELDS: dict[str, tuple[str, ...]] = {
    "tumour_type": get_args(TumourType),
    "treatment_line": get_args(TreatmentLine),
    "drug_class": get_args(DrugClass),
}
"""The fields of a population, each with its values."""


def population_of(**values: str) -> Population:
    """Return the population of texts, where an empty text is not reported.

    Raises
    ------
    InputError
        A value is none of its field's.
    """
    for field, value in values.items():
        if value and value not in POPULATION_FIELDS[field]:
            raise InputError(f"{field}: expected one of {', '.join(POPULATION_FIELDS[field])}, got {value!r}")
    return Population(**{field: value or None for field, value in values.items()})  # type: ignore[arg-type]
