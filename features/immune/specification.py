"""How a file lays out its immune measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from features.errors import InputError
from features.immune.table import MEASUREMENT_COLUMNS
from features.measured_values import normalise_code
from features.units import ImmuneUnit, measurement_kind

Limits = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class ImmuneSpec:
    """How a file lays out its immune measurements.

    Attributes
    ----------
    layout : {"wide", "long"}
        One row per blood draw and one column per analyte, or one row per measurement.
    key : sequence of str
        The columns that together name a blood draw: patient and day or visit, or a sample.
    unit : ImmuneUnit
        The unit of the values, as the source states it.
    below, above : sequence of float or str
        The source's codes for values below and above the assay's range.
    drop : sequence of str
        Patterns (``POS_*``) of columns (wide) or analytes (long) that are not measurements: assay controls,
        housekeeping genes, further identifiers.
    exclude : mapping of str to str
        Published analyte → reason to exclude it ("zero throughout").
    limits : mapping
        Analyte, published or canonical → (LLOQ, ULOQ) in `unit`, None where one is not reported.
    analyte_column, value_column : str
        Columns of the long layout.
    unit_column : str, optional
        Column of the long layout that names the unit of each row; values are converted to `unit`.
    duplicates : {"error", "mean", "last"}
        What to do with several values of one analyte in one draw. "mean" averages the numbers, ignores missing values
        and refuses replicates that are partly censored; "last" keeps the last value, missing or not.

    Raises
    ------
    InputError
        If the fields contradict each other.
    UnitError
        If `unit` is unknown.
    """

    layout: Literal["wide", "long"]
    key: Sequence[str]
    unit: ImmuneUnit
    below: Sequence[float | str] = ()
    above: Sequence[float | str] = ()
    drop: Sequence[str] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    analyte_column: str = "analyte"
    value_column: str = "value"
    unit_column: str | None = None
    duplicates: Literal["error", "mean", "last"] = "error"

    def __post_init__(self) -> None:
        """Check that the fields agree."""
        measurement_kind(self.unit)
        if not self.key:
            raise InputError("an immune table needs at least one key column: which columns name a blood draw?")
        if reserved := set(self.key) & set(MEASUREMENT_COLUMNS):
            raise InputError(f"key column {min(reserved)!r} is also a column of the result; rename it in the file")
        if ambiguous := set(map(normalise_code, self.below)) & set(map(normalise_code, self.above)):
            code = min(ambiguous, key=str)
            raise InputError(f"code {code!r} is named under both below and above; it can mean only one")
