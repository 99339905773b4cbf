"""Values of observations: immune measurements with UCUM units, the stool profile, the body mass index."""

from __future__ import annotations

from pydantic import JsonValue

from features.analytes import is_known_analyte
from features.errors import InputError
from features.measured_values import parse_value
from features.units import ImmuneUnit, parse_unit
from serving.fhir.choice import ChosenObservation
from serving.fhir.codes import BODY_MASS_INDEX, LOINC, TAXOKINE_ANALYTE, TAXOKINE_SPECIMEN, code_table
from serving.fhir.issues import Issue, RefusedBundle
from serving.fhir.resources import Observation, Quantity

STOOL_PROFILE = "stool-profile"
"""Code, in the system `codes.TAXOKINE_SPECIMEN`, of an Observation whose components are the taxa of a stool sample."""

_NG_PER_ML: dict[str, float] = {"mg/L": 1e3, "ug/mL": 1e3, "mg/dL": 1e4}
"""UCUM units of larger concentrations, as laboratories report CRP, in ng/mL."""
_TAXA_UNITS = {"%": "percent", "1": "proportions", "{#}": "counts", "{reads}": "counts", "{counts}": "counts"}
"""UCUM units of the abundance of a taxon."""


def analyte_of(observation: Observation) -> str | None:
    """Return the analyte of an observation, by its LOINC code or the name in Taxokine's own system; None if neither."""
    for coding in observation.code.coding:
        if coding.system == LOINC and coding.code in code_table().analytes:
            return code_table().analytes[coding.code]
        if coding.system == TAXOKINE_ANALYTE and is_known_analyte(coding.code):
            return coding.code
    return None


def is_stool_profile(observation: Observation) -> bool:
    """Return whether an observation is a stool profile."""
    return any((coding.system, coding.code) == (TAXOKINE_SPECIMEN, STOOL_PROFILE) for coding in observation.code.coding)


def is_body_mass_index(observation: Observation) -> bool:
    """Return whether an observation is a body mass index."""
    return any((coding.system, coding.code) == (LOINC, BODY_MASS_INDEX) for coding in observation.code.coding)


def immune_measurement(analyte: str, selection: ChosenObservation) -> dict[str, JsonValue]:
    """Return an immune measurement as a request to the API has it.

    Raises
    ------
    RefusedBundle
        The unit measures no concentration or NPX, or the value is no measurement.
    """
    place = f"{selection.item.place}.valueQuantity"
    number, quantity = _number(selection.item.resource.valueQuantity, place)
    unit, factor = _unit(quantity, place)
    # A comparator says that the value lies beyond the limit of the assay, which is the number.
    sign = quantity.comparator[:1]
    text = f"{sign}{number * factor!r}"
    try:
        parse_value(text, unit=unit)
    except InputError as error:
        raise RefusedBundle([Issue("error", "value", place, f"{analyte}: {error}")]) from error
    return {
        "analyte": analyte,
        "value": text if sign else number * factor,
        "unit": unit,
        "day": None if selection.days is None else float(selection.days),
    }


def stool_profile(selection: ChosenObservation) -> dict[str, JsonValue]:
    """Return a stool profile as a request to the API has it.

    Raises
    ------
    RefusedBundle
        A component has no name or abundance, two have one name, or their units differ.
    """
    observation, place = selection.item.resource, selection.item.place
    values: dict[str, JsonValue] = {}
    units: set[str] = set()
    issues: list[Issue] = []
    for index, component in enumerate(observation.component):
        component_place = f"{place}.component[{index}]"
        taxon, quantity = component.code.text, component.valueQuantity
        if not taxon or taxon in values:
            text = f"the taxon {taxon!r} has two abundances" if taxon else "code.text is missing; send the taxon's name"
            issues.append(Issue("error", "value", component_place, text))
            continue
        if quantity is None or quantity.value is None or quantity.comparator:
            issues.append(Issue("error", "value", component_place, f"{taxon} has no plain number in valueQuantity"))
            continue
        values[taxon] = quantity.value
        units.add(quantity.code or quantity.unit)
    if len(units) > 1 or not units <= _TAXA_UNITS.keys():
        names = ", ".join(map(repr, sorted(units)))
        text = f"the abundances are in {names}; expected % (percent), 1 (proportions) or {{reads}} (counts) for all"
        issues.append(Issue("error", "value", place, text))
    if not observation.component:
        issues.append(Issue("error", "value", place, "a stool profile needs one component for each detected taxon"))
    if issues:
        raise RefusedBundle(issues)
    return {
        "profiler": observation.method.text or None,
        "unit": _TAXA_UNITS[units.pop()],
        "day": None if selection.days is None else float(selection.days),
        "clock": None if selection.days is None else "day_ici",
        "values": values,
    }


def body_mass_index(selection: ChosenObservation) -> float:
    """Return a body mass index, in kg/m2.

    Raises
    ------
    RefusedBundle
        It is in another unit, or no plain number.
    """
    place = f"{selection.item.place}.valueQuantity"
    number, quantity = _number(selection.item.resource.valueQuantity, place)
    if quantity.comparator or (quantity.code or quantity.unit) != "kg/m2":
        text = f"the body mass index is in {quantity.code or quantity.unit!r}; send a plain number of kg/m2"
        raise RefusedBundle([Issue("error", "value", place, text)])
    return number


def _number(quantity: Quantity | None, place: str) -> tuple[float, Quantity]:
    if quantity is None or quantity.value is None:
        text = "there is no number; send valueQuantity, or dataAbsentReason where it was not measured"
        raise RefusedBundle([Issue("error", "value", place, text)])
    return quantity.value, quantity


def _unit(quantity: Quantity, place: str) -> tuple[ImmuneUnit, float]:
    """Return the unit of a quantity, and what its number is multiplied by to be in that unit."""
    text = quantity.code or quantity.unit
    if text in _NG_PER_ML:
        return "ng/mL", _NG_PER_ML[text]
    unit = parse_unit(text) if text else None
    if unit is None or unit == "log2_expression":
        expectation = "expected pg/mL, ng/L, ng/mL, ug/L, mg/L or {NPX}; convert the value, or leave it out"
        raise RefusedBundle([Issue("error", "value", place, f"the unit is {text!r}, {expectation}")])
    return unit, 1.0
