"""Units of stool profiles and of immune measurements: what these measure, how they are written, and conversion."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import UnitError

TaxaUnit = Literal["counts", "proportions", "percent"]
ImmuneUnit = Literal["pg/mL", "ng/mL", "mg/L", "mg/dL", "NPX", "log2_expression", "unstated"]
MeasurementKind = Literal["protein", "expression"]

PG_PER_ML: dict[ImmuneUnit, float] = {"pg/mL": 1.0, "ng/mL": 1e3, "mg/L": 1e6, "mg/dL": 1e7}
LOG2_UNITS = frozenset({"NPX", "log2_expression"})
WHY_NOT_CONVERTED = {
    "NPX": "NPX is a relative log2 scale of one assay run, with no concentration behind it",
    "log2_expression": "gene expression of cells is not an amount of protein in serum",
    "unstated": "the source states no unit; find it and write it in the manifest",
}

_UNIT = r"npx|log2[\s_]*expression|(mc|[mkuµμnpf])?(g|i?u|mol)[\s_/]*(per[\s_]*)?[mdu]?l([\s_]*-1)?"
_NAME_AND_UNIT = re.compile(rf"(?P<name>.*?)(?<![\s_(\[,])[\s_(\[,]++(?P<unit>{_UNIT})[)\]\s]*", re.IGNORECASE)
_UNITS: dict[str, ImmuneUnit] = {
    "pgml": "pg/mL",
    "ngl": "pg/mL",
    "ngml": "ng/mL",
    "ugl": "ng/mL",
    "mcgl": "ng/mL",
    "mgl": "mg/L",
    "ugml": "mg/L",
    "mcgml": "mg/L",
    "mgdl": "mg/dL",
    "npx": "NPX",
    "log2expression": "log2_expression",
}


def measurement_kind(unit: ImmuneUnit) -> MeasurementKind:
    """Return the kind of measurement that a unit belongs to; protein and expression never enter one block.

    Raises
    ------
    UnitError
        If the unit is unknown.
    """
    _check_unit(unit)
    return "expression" if unit == "log2_expression" else "protein"


def split_name_and_unit(text: str) -> tuple[str, str]:
    """Return the name and the unit in a column's header, as ``("IL-6", "pg/mL")`` for ``"IL-6 (pg/mL)"``.

    The unit is as written, whether or not `parse_unit` recognises it, and ``""`` where there is none.
    """
    match = _NAME_AND_UNIT.fullmatch(text)
    return (match["name"].strip(), match["unit"]) if match else (text.strip(), "")


def parse_unit(text: str) -> ImmuneUnit | None:
    """Return the unit that a text names, as ``"pg/mL"`` for ``"pg per ml"`` and for ``"ng/L"``; None if unknown."""
    letters = (
        unicodedata.normalize("NFKC", text).casefold().replace("\N{GREEK SMALL LETTER MU}", "u").replace("per", "")
    )
    # "pg per mL", "pg/mL" and "pg·mL⁻¹" (whose exponent, normalised, leaves a 1) become "pgml".
    return _UNITS.get(re.sub(r"[\W_]", "", letters).removesuffix("1"))


def convert(values: ArrayLike, from_unit: ImmuneUnit, to_unit: ImmuneUnit) -> NDArray[np.float64]:
    """Return values in another unit: concentrations of mass convert (1 mg/L is 10^6 pg/mL), a reported unit to itself.

    Parameters
    ----------
    values : array_like
        Values in `from_unit`, any shape; NaN and ±inf pass through.
    from_unit, to_unit : ImmuneUnit
        The units.

    Returns
    -------
    ndarray of float64
        Values in `to_unit`, same shape.

    Raises
    ------
    UnitError
        If a unit is unknown or not reported, or the conversion has no meaning.
    """
    _check_unit(from_unit)
    _check_unit(to_unit)
    numbers = np.array(values, dtype=np.float64)
    if from_unit == to_unit != "unstated":
        return numbers
    for unit in (from_unit, to_unit):
        if reason := WHY_NOT_CONVERTED.get(unit):
            raise UnitError(f"{from_unit} cannot be converted to {to_unit}: {reason}")
    return numbers * PG_PER_ML[from_unit] / PG_PER_ML[to_unit]


def halve(values: NDArray[np.float64], unit: ImmuneUnit) -> NDArray[np.float64]:
    """Return half of each amount, in `unit`: ``x / 2``, or ``x - 1`` on a log2 scale; same shape."""
    return values - 1.0 if unit in LOG2_UNITS else values / 2.0


def _check_unit(unit: str) -> None:
    if unit not in get_args(ImmuneUnit):
        raise UnitError(f"unknown unit {unit!r}; expected one of {', '.join(get_args(ImmuneUnit))}")
