"""How a file lays out its immune measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from features.errors import InputError
from features.immune.table import MEASUREMENT_COLUMNS
from features.immune.visit_columns import VISIT_KEY
from features.measured_values import normalise_code
from features.units import LOG2_UNITS, ImmuneUnit, measurement_kind

Limits = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class SideColumn:
    """A column that states the side of the assay's range on which each value lies, and what its cells mean."""

    column: str
    below_codes: Sequence[str]
    above_codes: Sequence[str]
    within_codes: Sequence[str]


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
    below_codes, above_codes, missing_codes : sequence of float or str
        The source's codes for values below and above the assay's range, and for values that were not measured.
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
    keep_rows : mapping of str to sequence of str
        Column → the cells of the rows to read.
    rename : mapping of str to str
        Published analyte → the name to read it under.
    panel_column : str, optional
        Column of the long layout that names the panel; an analyte of several panels becomes one for each.
    limit_columns : tuple of str or None
        Columns of the long layout with the lower and the upper limit of each value, in the unit of the value.
    range_column : SideColumn, optional
        Column of the long layout that states the side of each value.
    plate_column, reference_plate : str, optional
        Column of the long layout that names the plate, and the plate to whose level the others are shifted.
    warning_columns : sequence of str
        Columns of the long layout that hold PASS or a warning.
    visits : sequence of str
        The visits with which the names of the wide layout's columns begin or end, as D28 in IL6_D28; they become part
        of the key, as `VISIT_KEY`.

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
    below_codes: Sequence[float | str] = ()
    above_codes: Sequence[float | str] = ()
    drop: Sequence[str] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    analyte_column: str = "analyte"
    value_column: str = "value"
    unit_column: str | None = None
    duplicates: Literal["error", "mean", "last"] = "error"
    keep_rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing_codes: Sequence[float | str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    panel_column: str | None = None
    limit_columns: tuple[str | None, str | None] = (None, None)
    range_column: SideColumn | None = None
    plate_column: str | None = None
    reference_plate: str | None = None
    warning_columns: Sequence[str] = ()
    visits: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check that the fields agree."""
        measurement_kind(self.unit)
        if not self.key:
            raise InputError("an immune table needs at least one key column: which columns name a blood draw?")
        if reserved := set(self.draw_key) & set(MEASUREMENT_COLUMNS):
            raise InputError(f"key column {min(reserved)!r} is also a column of the result; rename it in the file")
        if ambiguous := set(map(normalise_code, self.below_codes)) & set(map(normalise_code, self.above_codes)):
            code = min(ambiguous, key=str)
            raise InputError(f"code {code!r} is named under both below and above; it can mean only one")
        if self.layout == "wide" and self.row_columns:
            raise InputError(
                f"column {self.row_columns[0]!r} describes single values, and a row of the wide layout holds many; "
                "state layout long, or leave it out"
            )
        if self.reference_plate is not None and self.unit not in LOG2_UNITS:
            raise InputError(
                f"plates of concentrations are not shifted, and the unit is {self.unit}; leave plates.reference out"
            )

    @property
    def draw_key(self) -> tuple[str, ...]:
        """What names a blood draw: the key columns, and the visit where the names of columns hold it."""
        return (*self.key, VISIT_KEY) if self.visits else tuple(self.key)

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The columns that describe the single value of each row of the long layout."""
        names = [self.panel_column, *self.limit_columns, self.plate_column, *self.warning_columns]
        return tuple(name for name in [*names, self.range_column and self.range_column.column] if name)
