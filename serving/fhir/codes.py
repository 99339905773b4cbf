"""Codes that Taxokine understands: LOINC of analytes, SNOMED CT and ICD-10 of tumours, ATC and RxNorm of drugs.

The table `codes.json` names the source of each code system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

from pydantic import TypeAdapter

from features.population import TumourType

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10_PREFIX = "http://hl7.org/fhir/sid/icd-10"
"""ICD-10 and its national editions, such as http://hl7.org/fhir/sid/icd-10-cm."""
ICD10_GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
TAXOKINE_ANALYTE = "urn:x-taxokine:analyte"
"""Analytes by their name, for those without a LOINC code in the table."""
TAXOKINE_SPECIMEN = "urn:x-taxokine:observation"
"""Observations that no public code system has: `stool-profile`."""
TAXOKINE_OUTCOME = "urn:x-taxokine:outcome"
"""Ids of outcomes, such as objective_response."""

BODY_MASS_INDEX = "39156-5"
"""LOINC code of the body mass index."""

T = TypeVar("T")
DrugTarget = Literal["PD-1", "PD-L1", "CTLA-4", "other", "chemotherapy"]


@dataclass(frozen=True)
class CodeTable:
    """The content of `codes.json`.

    Attributes
    ----------
    sources : dict of str to str
        Source and licence of each code system.
    analytes : dict of str to str
        Canonical names of analytes by LOINC code, all of serum or plasma by mass per volume.
    tumour_types : dict of str to dict
        Tumour types by code system: "snomed" by the whole code, "icd10" by the beginning of a code.
    drug_targets : dict of str to dict
        Targets of drugs by code system: "rxnorm" by the whole code, "atc" by the beginning of a code.
    """

    sources: dict[str, str]
    analytes: dict[str, str]
    tumour_types: dict[Literal["snomed", "icd10"], dict[str, TumourType]]
    drug_targets: dict[Literal["rxnorm", "atc"], dict[str, DrugTarget]]


@cache
def code_table() -> CodeTable:
    """Return the codes that Taxokine understands."""
    return TypeAdapter(CodeTable).validate_json((files("serving.fhir") / "codes.json").read_bytes())


def tumour_type(system: str, code: str) -> TumourType | None:
    """Return the tumour type of a code; None where the code is unknown, or does not decide between types."""
    by_system = code_table().tumour_types
    if system == SNOMED:
        return by_system["snomed"].get(code)
    if system.startswith(ICD10_PREFIX) or system == ICD10_GM:
        return _by_beginning(by_system["icd10"], code)
    return None


def drug_target(system: str, code: str) -> DrugTarget | None:
    """Return the target of a drug, "chemotherapy" for cytotoxic drugs; None for other drugs and unknown codes."""
    by_system = code_table().drug_targets
    if system == RXNORM:
        return by_system["rxnorm"].get(code)
    return _by_beginning(by_system["atc"], code) if system == ATC else None


def _by_beginning(meanings: Mapping[str, T], code: str) -> T | None:
    return next((meaning for start, meaning in meanings.items() if code.upper().startswith(start)), None)
