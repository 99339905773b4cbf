"""Single immune measurements: a number, a censored value or a missing one; light enough for a request (no pandas)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import InputError
from features.units import LOG2_UNITS, ImmuneUnit, halve

CensoredSide = Literal["", "below", "above"]
CensoredPolicy = Literal["limit", "half_limit", "missing"]

MISSING_MARKS = frozenset({"", ".", "na", "n/a", "#n/a", "nan", "null", "***", "---", "no value"})
"""What stands for a missing value, without case; Bio-Plex Manager writes *** for "not available" and --- for a well
that was marked as an outlier, xPONENT writes NaN or No Value, SAS a point, Excel #N/A."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BEYOND = re.compile(r"(OOR)?\s*(<|>|\u2264|\u2265|&lt;|&gt;)\s*=?\s*(.*)", re.IGNORECASE)
_EXTRAPOLATED = re.compile(r"\*\s*([^*\s].*)")
_LIMIT_WORDS = {
    "below": frozenset({"lod", "loq", "llod", "lloq", "mdl", "min"}),
    "above": frozenset({"uloq", "ulod", "hloq", "max"}),
}
"""What may follow the sign, as in ``<LOD`` and ``>ULOQ``."""
_SIDE_WORDS: dict[CensoredSide, frozenset[str]] = {
    "below": frozenset(
        [
            *("blq", "bloq", "blloq", "bql", "bdl", "blod", "oor low", "below lod", "below loq", "below lloq"),
            *("below range", "below detection", "below detection limit", "below detection range"),
            *("below fit curve range", "out of range below"),
        ]
    ),
    "above": frozenset(
        [
            *("alq", "aloq", "auloq", "aql", "oor high", "above uloq", "above range", "above detection"),
            *("above detection limit", "above detection range", "above fit curve range", "out of range above"),
        ]
    ),
}
"""Words for a side, as assay software and laboratories write them."""


class MeasuredValue(NamedTuple):
    """One measurement.

    A measurement that is not censored and has no number (NaN) is missing.

    Attributes
    ----------
    value : float
        The number, or NaN.
    censored : {"", "below", "above"}
        The side of the assay's range on which the value lies; empty within the range.
    limit : float
        The limit of a censored value, NaN where it is not reported.
    extrapolated : bool
        Whether the assay's software extrapolated the number beyond its standards, as Bio-Plex's ``*0.42``.
    """

    value: float
    censored: CensoredSide = ""
    limit: float = math.nan
    extrapolated: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether there is neither a number nor a side."""
        return not self.censored and math.isnan(self.value)

    @property
    def text(self) -> str:
        """The measurement as a reader sees it: ``"<3.2"``, ``"below range"``, ``"*0.42"``, ``"7.1"``, or ``""``."""
        if self.censored:
            sign = "<" if self.censored == "below" else ">"
            return f"{self.censored} range" if math.isnan(self.limit) else f"{sign}{self.limit:.6g}"
        if self.is_missing:
            return ""
        return f"{'*' if self.extrapolated else ''}{self.value:.6g}"


def parse_value(
    text: str | float | None,
    *,
    unit: ImmuneUnit = "unstated",
    below_codes: Sequence[float | str] = (),
    above_codes: Sequence[float | str] = (),
    missing_codes: Sequence[float | str] = (),
    lloq: float = math.nan,
    uloq: float = math.nan,
) -> MeasuredValue:
    """Read one immune value: ``"3.1"``, ``"<3.2"``, ``">1000"``, ``"OOR<"``, ``"*0.42"``, a code, or missing.

    Parameters
    ----------
    text : str, float or None
        A cell of a file or a value of a request. None, NaN and `MISSING_MARKS` are missing.
    unit : ImmuneUnit
        The unit of the value. Only log2 scales may be negative.
    below_codes, above_codes, missing_codes : sequence of float or str
        The source's codes for "below range", "above range" and "not measured"; ``-2`` also matches ``"-2.0"``.
    lloq, uloq : float
        The assay's limits of quantification in `unit`, NaN where not reported. A number beyond them stays, and is
        marked as censored.

    Returns
    -------
    MeasuredValue
        Its limit is in `unit`, NaN where neither the text nor the assay states one.

    Raises
    ------
    InputError
        If the text is none of these, or is a negative concentration that no code explains.
    """
    if isinstance(text, bool):
        raise InputError(f"{text!r} is not a measurement; give a number, '<limit', '>limit' or nothing")
    cell = "" if text is None else str(text).strip().replace("\N{MINUS SIGN}", "-")
    code = normalise_code(cell)
    if cell.casefold() in MISSING_MARKS or code in map(normalise_code, missing_codes):
        return MeasuredValue(math.nan)
    if code in map(normalise_code, below_codes):
        return MeasuredValue(math.nan, "below", lloq)
    if code in map(normalise_code, above_codes):
        return MeasuredValue(math.nan, "above", uloq)
    if censored := _parse_censored(cell, unit, lloq, uloq):
        return censored
    starred = _EXTRAPOLATED.fullmatch(cell)
    if starred:
        code = normalise_code(starred[1])
    if isinstance(code, str) or math.isinf(code):
        raise _not_a_measurement(cell)
    if code < 0 and unit not in LOG2_UNITS:
        raise InputError(
            f"{cell!r} is negative, which no concentration is; if it is a code, name it under below or above"
        )
    if code < lloq:
        return MeasuredValue(code, "below", lloq, starred is not None)
    if code > uloq:
        return MeasuredValue(code, "above", uloq, starred is not None)
    return MeasuredValue(code, extrapolated=starred is not None)


def find_side(text: str) -> CensoredSide:
    """Return the side of an assay's range that words name, as ``"below"`` for ``"BLQ"``; empty for other words."""
    words = re.sub(r"[\W_]+", " ", text).strip().casefold()
    return next((side for side, names in _SIDE_WORDS.items() if words in names), "")


def _parse_censored(cell: str, unit: ImmuneUnit, lloq: float, uloq: float) -> MeasuredValue | None:
    """Return the value that '<limit', '>limit', 'OOR<', 'OOR>' or words for a side write; None for another text."""
    assay_limits = {"below": lloq, "above": uloq}
    if side := find_side(cell):
        return MeasuredValue(math.nan, side, assay_limits[side])
    match = _BEYOND.fullmatch(cell)
    if match is None:
        return None
    out_of_range, sign, limit = match.groups()
    side = "below" if sign.casefold() in ("<", "\u2264", "&lt;") else "above"
    if _NUMBER.fullmatch(limit):
        return MeasuredValue(math.nan, side, _checked_limit(cell, float(limit), unit))
    if (out_of_range and not limit) or limit.casefold() in _LIMIT_WORDS[side]:
        return MeasuredValue(math.nan, side, assay_limits[side])
    return None


def _not_a_measurement(cell: str) -> InputError:
    hint = "; write the decimal mark as a point" if re.fullmatch(r"[<>]?\s*-?\d+,\d+", cell) else ""
    if re.fullmatch(r"[<>]?\s*[1-9]\d{0,2}(,\d{3})+(\.\d+)?", cell):
        hint = "; the comma may part thousands or decimals: write the number without marks between thousands"
    return InputError(
        f"{cell!r} is not a measurement; expected a number, '<limit', '>limit', 'OOR<', 'OOR>', '*number' for an "
        f"extrapolated one, a code named under below, above or missing, or nothing{hint}"
    )


def normalise_code(text: float | str) -> float | str:
    """Return the form that spellings of one code share: a number (``-2`` and ``"-2.0"``), or the text without case."""
    code = str(text).strip()
    return float(code) if _NUMBER.fullmatch(code) else code.casefold()


def resolve_censored(
    values: ArrayLike, censored: ArrayLike, limits: ArrayLike, *, policy: CensoredPolicy, unit: ImmuneUnit
) -> NDArray[np.float64]:
    """Return a number for each measurement, for censored ones by the chosen policy.

    Parameters
    ----------
    values, limits : array_like of float
        Measured numbers and the limits of censored ones, in `unit`, same shape.
    censored : array_like of str
        ``""``, ``"below"`` or ``"above"``, same shape.
    policy : {"limit", "half_limit", "missing"}
        Below range becomes the limit, half of it (one less on a log2 scale), or NaN; above range the limit or NaN.
    unit : ImmuneUnit
        The unit, which decides whether the scale is log2.

    Returns
    -------
    ndarray of float64
        Same shape. Missing is NaN. Censored without a reported limit is -inf or +inf, for a step fitted inside the
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


def check_policy(policy: str) -> None:
    """Raise `InputError` unless `policy` is a `CensoredPolicy`."""
    if policy not in get_args(CensoredPolicy):
        raise InputError(f"unknown policy for censored values {policy!r}; expected one of {get_args(CensoredPolicy)}")


def _checked_limit(text: str, limit: float, unit: ImmuneUnit) -> float:
    if not math.isfinite(limit) or (limit <= 0 and unit not in LOG2_UNITS):
        raise InputError(f"{text!r} does not name a limit of an assay; expected a positive, finite number")
    return limit
