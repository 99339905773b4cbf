"""Names, units and censoring of single immune measurements; light enough for a request's path (no pandas)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.columns import Column
from features.errors import InputError, UnitError

ImmuneUnit = Literal["pg/mL", "ng/mL", "NPX", "log2_expression", "unstated"]
MeasurementKind = Literal["protein", "expression"]
CensoredSide = Literal["", "below", "above"]
CensoredPolicy = Literal["limit", "half_limit", "missing"]

PG_PER_ML: dict[ImmuneUnit, float] = {"pg/mL": 1.0, "ng/mL": 1000.0}
LOG2_UNITS = frozenset({"NPX", "log2_expression"})
WHY_NOT_CONVERTED = {
    "NPX": "NPX is a relative log2 scale of one assay run, with no concentration behind it",
    "log2_expression": "gene expression of cells is not an amount of protein in serum",
    "unstated": "the source states no unit; find it and write it in the manifest",
}
MISSING_MARKS = frozenset({"", "na", "n/a", "nan"})

SYNONYMS: dict[str, tuple[str, ...]] = {
    "IL-1a": ("IL-1F1",),
    "IL-1b": ("IL-1F2",),
    "IL-1ra": ("IL1RN", "IL-1F3", "IL-1 receptor antagonist"),
    "IL-2Ra": ("sIL-2R", "sIL-2Ra", "sCD25", "IL-2 receptor alpha"),
    "IL-6": ("BSF-2",),
    "IL-8": ("CXCL8",),
    "IL-12p40": ("IL12B", "IL-12/IL-23p40"),
    "IL-12p70": (),
    "IL-17A": ("CTLA-8",),
    "IL-17A/F": (),
    "IFN-a": ("Interferon alpha",),
    "IFN-b": ("IFNB1", "Interferon beta"),
    "IFN-g": ("Interferon gamma",),
    "TNF-a": ("TNF", "TNFSF2", "cachectin", "Tumor necrosis factor alpha", "Tumour necrosis factor alpha"),
    "TNF-b": ("LTA", "TNFSF1", "Lymphotoxin alpha"),
    "TGF-a": ("TGFA", "Transforming growth factor alpha"),
    "TGF-b1": ("TGFB1", "Transforming growth factor beta 1"),
    "TGF-b2": ("TGFB2", "Transforming growth factor beta 2"),
    "TGF-b3": ("TGFB3", "Transforming growth factor beta 3"),
    "G-CSF": ("CSF3",),
    "GM-CSF": ("CSF2",),
    "M-CSF": ("CSF1",),
    "MCP-1": ("CCL2", "MCAF"),
    "MCP-2": ("CCL8",),
    "MCP-3": ("CCL7",),
    "MCP-4": ("CCL13",),
    "MIP-1a": ("CCL3",),
    "MIP-1b": ("CCL4",),
    "RANTES": ("CCL5",),
    "Eotaxin": ("CCL11", "Eotaxin-1"),
    "TARC": ("CCL17",),
    "MIP-3a": ("CCL20",),
    "MDC": ("CCL22",),
    "GRO-a": ("CXCL1",),
    "ENA-78": ("CXCL5",),
    "MIG": ("CXCL9",),
    "IP-10": ("CXCL10",),
    "I-TAC": ("CXCL11",),
    "SDF-1a": ("CXCL12",),
    "Fractalkine": ("CX3CL1",),
    "FGF-basic": ("FGF2", "bFGF", "basic FGF"),
    "PDGF-bb": (),
    "VEGF-A": (),
    "HGF": (),
    "EGF": (),
    "SCF": ("KITLG",),
    "CRP": ("C-reactive protein", "hsCRP"),
    "Granzyme B": ("GZMB",),
    "Perforin": ("PRF1",),
    "CD40L": ("sCD40L", "CD40LG"),
    "TRAIL": ("TNFSF10",),
    "BAFF": ("TNFSF13B",),
    "APRIL": ("TNFSF13",),
    "PD-1": ("PDCD1", "sPD-1"),
    "PD-L1": ("CD274", "sPD-L1"),
    "CTLA-4": ("sCTLA-4",),
}
"""Canonical protein name → further names. Spelling (case, hyphens, Greek, "interleukin") needs no entry of its own.

Names that a panel leaves open stay apart from the precise ones: IL-17 is not IL-17A, nor VEGF VEGF-A.
"""

_GREEK = {
    "\N{GREEK SMALL LETTER ALPHA}": "a",
    "β": "b",
    "\N{GREEK SMALL LETTER GAMMA}": "g",
    "alpha": "a",
    "beta": "b",
    "gamma": "g",
}
_GREEK_NAME = re.compile("|".join(_GREEK))
_INTERLEUKIN = re.compile(r"il(\d+)([a-g]?)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_UNIT = r"npx|log2[\s_]*expression|(mc|[mkuµμnpf])?(g|i?u|mol)[\s_/]*(per[\s_]*)?[mdu]?l([\s_]*-1)?"
_NAME_AND_UNIT = re.compile(rf"(?P<name>.*?)[\s_(\[,]+(?P<unit>{_UNIT})[)\]\s]*", re.IGNORECASE)
_UNITS: dict[str, ImmuneUnit] = {
    "pgml": "pg/mL",
    "ngl": "pg/mL",
    "ngml": "ng/mL",
    "ugl": "ng/mL",
    "mcgl": "ng/mL",
    "npx": "NPX",
    "log2expression": "log2_expression",
}
_BEYOND = re.compile(r"(OOR)?\s*([<>])\s*=?\s*(.*)", re.IGNORECASE)


class MeasuredValue(NamedTuple):
    """One measurement: its number if it has one, on which side of the assay's range it fell, and that limit.

    A reading that is not censored and has no number (NaN) is missing.
    """

    value: float
    censored: CensoredSide = ""
    limit: float = math.nan


def measurement_kind(unit: ImmuneUnit) -> MeasurementKind:
    """Kind of measurement a unit belongs to: protein and expression never enter one block.

    Raises
    ------
    UnitError
        If the unit is unknown.
    """
    _check_unit(unit)
    return "expression" if unit == "log2_expression" else "protein"


def immune_column(analyte: str, unit: ImmuneUnit) -> Column:
    """Column that holds an analyte measured in this unit: of a protein under its canonical name, or of a transcript.

    Raises
    ------
    UnitError
        If the unit is unknown.
    """
    protein = measurement_kind(unit) == "protein"
    return Column("immune", canonical_analyte(analyte) if protein else analyte, unit=unit)


def canonical_analyte(name: str) -> str:
    """Canonical name of a serum protein, as ``"IL-10"`` for ``"Interleukin 10"`` or ``"TGF-b1"`` for ``"TGFB1"``.

    Parameters
    ----------
    name : str
        The name as published; several names of one protein may stand together (``"IL-8/CXCL8"``).

    Returns
    -------
    str
        The canonical name; an unknown name comes back stripped, otherwise unchanged.

    Notes
    -----
    For proteins only. A gene symbol of an expression panel names a transcript and is kept as published.
    """
    if known := _known_analyte(name):
        return known
    parts = {_known_analyte(part) for part in re.split(r"[/|,()\[\]]", name) if part.strip()}
    shared = parts.pop() if len(parts) == 1 else None
    return shared or name.strip()


def split_name_and_unit(text: str) -> tuple[str, str]:
    """Name and unit that a column's header states together, as ``("IL-6", "pg/mL")`` for ``"IL-6 (pg/mL)"``.

    The unit comes as it is written, whether or not `parse_unit` knows it, and is ``""`` where there is none.
    """
    found = _NAME_AND_UNIT.fullmatch(text)
    return (found["name"].strip(), found["unit"]) if found else (text.strip(), "")


def parse_unit(text: str) -> ImmuneUnit | None:
    """Find the unit that a text spells: ``"pg/mL"`` for ``"pg per ml"`` and ``"ng/L"``, the same; None if unknown."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\N{GREEK SMALL LETTER MU}", "u").replace("per", "")
    return _UNITS.get(re.sub(r"[\W_]", "", plain).removesuffix("1"))


def convert(values: ArrayLike, from_unit: ImmuneUnit, to_unit: ImmuneUnit) -> NDArray[np.float64]:
    """Values in another unit: pg/mL and ng/mL convert (1 ng is 1000 pg); a stated unit converts to itself.

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
        If a unit is unknown or unstated, or the conversion has no meaning.
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


def parse_value(
    text: str | float | None,
    *,
    unit: ImmuneUnit = "unstated",
    below: Sequence[float | str] = (),
    above: Sequence[float | str] = (),
    lloq: float = math.nan,
    uloq: float = math.nan,
) -> MeasuredValue:
    """Read one immune value: ``"3.1"``, ``"<3.2"``, ``">1000"``, ``"OOR<"``, a code, or missing.

    Parameters
    ----------
    text : str, float or None
        A cell of a file or a value of a request. None, NaN, ``""``, ``"NA"``, ``"N/A"`` and ``"NaN"`` are missing.
    unit : ImmuneUnit
        The unit of the value. Only log2 scales may be negative.
    below, above : sequence of float or str
        The source's codes for "below range" and "above range"; ``-2`` also matches ``"-2.0"``.
    lloq, uloq : float
        The assay's limits of quantification in `unit`, NaN where not stated. A number beyond them is kept and
        marked as censored.

    Returns
    -------
    Reading
        ``(value, censored, limit)``; limit in `unit`, NaN where neither the text nor the assay states one.

    Raises
    ------
    InputError
        If the text is none of these, or is a negative concentration that no code explains.
    """
    if isinstance(text, bool):
        raise InputError(f"{text!r} is not a measurement; give a number, '<limit', '>limit' or nothing")
    plain = "" if text is None else str(text).strip().replace("\N{MINUS SIGN}", "-")
    if plain.casefold() in MISSING_MARKS:
        return MeasuredValue(math.nan)
    mark = normalise_code(plain)
    if mark in map(normalise_code, below):
        return MeasuredValue(math.nan, "below", lloq)
    if mark in map(normalise_code, above):
        return MeasuredValue(math.nan, "above", uloq)
    if beyond := _BEYOND.fullmatch(plain):
        oor, sign, written = beyond.groups()
        side: CensoredSide = "below" if sign == "<" else "above"
        if _NUMBER.fullmatch(written):
            return MeasuredValue(math.nan, side, _checked_limit(plain, float(written), unit))
        if oor and not written:
            return MeasuredValue(math.nan, side, lloq if side == "below" else uloq)
    if isinstance(mark, str) or math.isinf(mark):
        hint = "; write the decimal mark as a point" if re.fullmatch(r"[<>]?\s*-?\d+,\d+", plain) else ""
        raise InputError(
            f"{plain!r} is not a measurement; expected a number, '<limit', '>limit', 'OOR<', 'OOR>', a code named "
            f"under below or above, or nothing{hint}"
        )
    if mark < 0 and unit not in LOG2_UNITS:
        raise InputError(
            f"{plain!r} is negative, which no concentration is; if it is a code, name it under below or above"
        )
    if mark < lloq:
        return MeasuredValue(mark, "below", lloq)
    if mark > uloq:
        return MeasuredValue(mark, "above", uloq)
    return MeasuredValue(mark)


def normalise_code(text: float | str) -> float | str:
    """Form that spellings of one code share: the number (``-2`` and ``"-2.0"``), or the text without case."""
    plain = str(text).strip()
    return float(plain) if _NUMBER.fullmatch(plain) else plain.casefold()


def resolve_censored(
    values: ArrayLike, censored: ArrayLike, limits: ArrayLike, *, policy: CensoredPolicy, unit: ImmuneUnit
) -> NDArray[np.float64]:
    """Numbers that stand for measurements, censored ones by the stated policy.

    Parameters
    ----------
    values, limits : array_like of float
        Measured numbers and the limits of censored ones, in `unit`, same shape.
    censored : array_like of str
        ``""``, ``"below"`` or ``"above"``, same shape.
    policy : {"limit", "half_limit", "missing"}
        Below range becomes the limit, half of it (one less on a log2 scale), or NaN; above range the limit or NaN.
    unit : ImmuneUnit
        Tells whether the scale is log2.

    Returns
    -------
    ndarray of float64
        Same shape. Missing is NaN. Censored without a stated limit is -inf or +inf, for a step fitted inside the
        fold (`features.transforms.CensoredFill`) to resolve.

    Notes
    -----
    Half the limit is the usual substitution (Hornung & Reed 1990, Appl Occup Environ Hyg 5:46); it understates
    spread when many values are censored.
    """
    check_policy(policy)
    side, limit = np.asarray(censored), np.asarray(limits, dtype=np.float64)
    low, high = side == "below", side == "above"
    if policy == "missing":
        return np.where(low | high, np.nan, np.asarray(values, dtype=np.float64))
    at_low = halve(limit, unit) if policy == "half_limit" else limit
    at_low = np.where(np.isnan(limit), -np.inf, at_low)
    at_high = np.where(np.isnan(limit), np.inf, limit)
    return np.where(low, at_low, np.where(high, at_high, np.asarray(values, dtype=np.float64)))


def halve(values: NDArray[np.float64], unit: ImmuneUnit) -> NDArray[np.float64]:
    """Half of each amount, in `unit`: ``x / 2``, or ``x - 1`` on a log2 scale; same shape."""
    return values - 1.0 if unit in LOG2_UNITS else values / 2.0


def check_policy(policy: str) -> None:
    """Raise `InputError` unless `policy` is a `CensoredPolicy`."""
    if policy not in get_args(CensoredPolicy):
        raise InputError(f"unknown policy for censored values {policy!r}; expected one of {get_args(CensoredPolicy)}")


def _check_unit(unit: str) -> None:
    if unit not in get_args(ImmuneUnit):
        raise UnitError(f"unknown unit {unit!r}; expected one of {', '.join(get_args(ImmuneUnit))}")


def _checked_limit(text: str, limit: float, unit: ImmuneUnit) -> float:
    if not math.isfinite(limit) or (limit <= 0 and unit not in LOG2_UNITS):
        raise InputError(f"{text!r} does not name a limit of an assay; expected a positive, finite number")
    return limit


def _spelling(name: str) -> str:
    """Letters and digits of a name alone, Greek as Latin initials, so that spellings of one name agree."""
    plain = unicodedata.normalize("NFKC", name).strip().casefold().replace("interleukin", "il").removesuffix(" protein")
    return re.sub(r"[\W_]", "", _GREEK_NAME.sub(lambda found: _GREEK[found[0]], plain))


def _known_analyte(name: str) -> str | None:
    spelling = _spelling(name)
    if known := _CANONICAL.get(spelling):
        return known
    if interleukin := _INTERLEUKIN.fullmatch(spelling):
        number, letter = interleukin.groups()
        return f"IL-{int(number)}{letter.upper()}"
    return None


_CANONICAL = {_spelling(name): analyte for analyte, further in SYNONYMS.items() for name in (analyte, *further)}
