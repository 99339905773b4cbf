"""Serum cytokines and other immune measurements: reading tables, one number per analyte, filling censored values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from features.analytes import (
    CensoredPolicy,
    ImmuneUnit,
    MeasuredValue,
    MeasurementKind,
    canonical_analyte,
    convert,
    measurement_kind,
    normalise_code,
    parse_value,
    resolve_censored,
)
from features.errors import FileError, InputError
from features.tables.text import read_text_table

Limits = Mapping[str, tuple[float | None, float | None]]
Duplicates = Literal["error", "mean", "last"]

MEASUREMENT_COLUMNS = ("analyte", "analyte_published", "value", "censored", "limit", "row")


@dataclass(frozen=True)
class ImmuneTable:
    """Immune measurements in long form, one row a (draw, analyte).

    Attributes
    ----------
    rows : DataFrame, (n_measurements, len(key) + 6)
        The key columns (str, named as published; together they name a draw of blood), then ``analyte`` (canonical),
        ``analyte_published``, ``value`` (float, in `unit`; NaN when missing or censored without a number),
        ``censored`` (``""``, ``"below"`` or ``"above"``), ``limit`` (float, in `unit`, or NaN) and ``row`` (line of
        the file, counted from 1 with the header).
    key : tuple of str
        Names of the key columns.
    unit : ImmuneUnit
        The unit of ``value`` and ``limit``.
    ignored : mapping of str to str
        Published analytes that were left out, and why.
    """

    rows: pd.DataFrame
    key: tuple[str, ...]
    unit: ImmuneUnit
    ignored: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> MeasurementKind:
        """Protein or expression; blocks of different kinds are never joined."""
        return measurement_kind(self.unit)

    def synonyms(self) -> dict[str, str]:
        """Canonical name of each published one, in the order of the file."""
        names = self.rows[["analyte_published", "analyte"]].drop_duplicates()
        return dict(zip(names["analyte_published"], names["analyte"], strict=True))

    def wide(self, policy: CensoredPolicy) -> pd.DataFrame:
        """One number per draw and analyte, (n_draws, n_analytes), in `unit`.

        Parameters
        ----------
        policy : {"limit", "half_limit", "missing"}
            What stands for a censored value whose limit is known (see `features.analytes.resolve_censored`).

        Returns
        -------
        DataFrame
            Indexed by the key, draws and analytes in the order of the file. NaN is missing; -inf and +inf are
            below and above a limit that nobody stated, for `CensoredFill` to resolve inside the fold.
        """
        rows = self.rows
        numbers = resolve_censored(rows["value"], rows["censored"], rows["limit"], policy=policy, unit=self.unit)
        wide = rows.assign(number=numbers).pivot(index=list(self.key), columns="analyte", values="number")
        draws = pd.MultiIndex.from_frame(rows[list(self.key)].drop_duplicates())
        index = draws if len(self.key) > 1 else draws.get_level_values(0)
        return wide.reindex(index=index, columns=list(dict.fromkeys(rows["analyte"]))).rename_axis(columns=None)


def read_immune(
    path: str | Path,
    *,
    layout: Literal["wide", "long"],
    key: Sequence[str],
    unit: ImmuneUnit,
    below: Sequence[float | str] = (),
    above: Sequence[float | str] = (),
    drop: Sequence[str] = (),
    ignore: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    analyte_column: str = "analyte",
    value_column: str = "value",
    unit_column: str | None = None,
    duplicates: Duplicates = "error",
) -> ImmuneTable:
    """Read a table of immune measurements as it was published.

    Parameters
    ----------
    path : str or Path
        A TSV or CSV file, as `features.tables.text.read_text_table` takes it.
    layout : {"wide", "long"}
        One row a draw and one column an analyte, or one row a measurement.
    key : sequence of str
        The columns that together name a draw: patient and day or visit, or a sample.
    unit : ImmuneUnit
        The unit of the values, as the source states it.
    below, above : sequence of float or str
        The source's codes for values below and above the assay's range.
    drop : sequence of str
        Patterns (``POS_*``) of columns (wide) or analytes (long) that are no measurements: assay controls,
        housekeeping genes, further identifiers.
    ignore : mapping of str to str, optional
        Published analyte → why it is left out ("zero throughout").
    limits : mapping, optional
        Analyte, published or canonical → (LLOQ, ULOQ) in `unit`, None where one is not stated.
    analyte_column, value_column : str
        Columns of the long layout.
    unit_column : str, optional
        Column of the long layout that names each row's unit; values are converted to `unit`.
    duplicates : {"error", "mean", "last"}
        What to do when one analyte of one draw stands twice. "mean" averages numbers, passing over missing ones,
        and refuses replicates that are partly censored; "last" takes the last as it stands, missing or not.

    Returns
    -------
    ImmuneTable
        The measurements. Proteins bear canonical names; genes of an expression table the published ones.

    Raises
    ------
    FileError
        Naming the file, column, row and value that cannot be read.
    InputError
        If the arguments contradict each other.
    UnitError
        If `unit` is unknown.
    """
    kind = measurement_kind(unit)
    if not key:
        raise InputError("an immune table needs at least one key column: which columns name a draw?")
    if taken := set(key) & set(MEASUREMENT_COLUMNS):
        raise InputError(f"key column {min(taken)!r} has the name of a column of the result; rename it in the file")
    if both := {normalise_code(code) for code in below} & {normalise_code(code) for code in above}:
        raise InputError(f"code {min(both, key=str)!r} is named under both below and above; it can mean only one")
    path, ignored = Path(path), dict(ignore or {})
    table = read_text_table(path)
    header, records = table.header, list(zip(table.line_numbers, table.rows, strict=True))
    _require(path, header, key)
    if layout == "wide":
        published = [name for name in header if name not in key]
        cells = _wide_cells(header, records, key)
    else:
        _require(path, header, [analyte_column, value_column, *([unit_column] if unit_column else [])])
        published = list(dict.fromkeys(record[header.index(analyte_column)] for _, record in records))
        cells = _long_cells(header, records, key, analyte_column, value_column, unit_column)
    kept = _kept(path, published, drop, ignored)
    analytes = _analytes(path, kept, kind)
    ranges = _ranges(limits or {}, analytes, kind)

    rows = []
    for cell in cells:
        if empty := [name for name, part in zip(key, cell.draw, strict=True) if not part]:
            raise FileError("is empty; every draw needs its whole key", file=path, column=empty[0], row=cell.row)
        if (analyte := analytes.get(cell.published)) is None:
            continue
        lloq, uloq = ranges.get(analyte, (math.nan, math.nan))
        try:
            reading = _reading(cell, unit, below, above, lloq, uloq)
        except InputError as error:
            if layout == "wide":
                column, hint = cell.published, "; if the column is no analyte, list it under drop"
            else:
                column, hint = value_column, f" (analyte {cell.published})"
            raise FileError(f"{error}{hint}", file=path, column=column, row=cell.row) from error
        value, censored, limit = reading
        rows.append((*cell.draw, analyte, cell.published, value, censored, limit, cell.row))
    if not rows:
        raise FileError("holds no measurement", file=path)
    text = dict.fromkeys([*key, "analyte", "analyte_published", "censored"], "str")
    frame = pd.DataFrame(rows, columns=[*key, *MEASUREMENT_COLUMNS]).astype(text)
    return ImmuneTable(_deduplicated(path, frame, list(key), duplicates), tuple(key), unit, ignored)


class _Cell(NamedTuple):
    row: int
    draw: tuple[str, ...]
    published: str
    text: str
    unit: str | None = None


_Records = list[tuple[int, tuple[str, ...]]]


def _require(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    for name in names:
        if header.count(name) != 1:
            came = "stands more than once" if name in header else "is not there"
            raise FileError(
                f"{came}; expected exactly one such column among {', '.join(header)}", file=path, column=name, row=1
            )


def _wide_cells(header: Sequence[str], records: _Records, key: Sequence[str]) -> Iterator[_Cell]:
    at = [header.index(name) for name in key]
    for row, record in records:
        draw = tuple(record[i] for i in at)
        for i, name in enumerate(header):
            if i not in at:
                yield _Cell(row, draw, name, record[i])


def _long_cells(
    header: Sequence[str], records: _Records, key: Sequence[str], analyte: str, value: str, unit: str | None
) -> Iterator[_Cell]:
    at, name_at, value_at = [header.index(name) for name in key], header.index(analyte), header.index(value)
    unit_at = None if unit is None else header.index(unit)
    for row, record in records:
        written = None if unit_at is None else record[unit_at]
        yield _Cell(row, tuple(record[i] for i in at), record[name_at], record[value_at], written)


def _kept(path: Path, published: list[str], drop: Sequence[str], ignored: Mapping[str, str]) -> list[str]:
    """Names that are analytes to keep; a pattern or name that matches nothing is a mistake."""
    for pattern in drop:
        if not any(fnmatchcase(name, pattern) for name in published):
            raise FileError(f"the drop pattern {pattern!r} matches nothing; correct or remove it", file=path)
    for name in ignored:
        if name not in published:
            raise FileError(f"{name!r} is to be ignored but is not in the file; correct or remove it", file=path)
    return [n for n in published if n not in ignored and not any(fnmatchcase(n, pattern) for pattern in drop)]


def _analytes(path: Path, kept: list[str], kind: MeasurementKind) -> dict[str, str]:
    """Analytes by published name, one to one."""
    analytes: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in kept:
        if not name:
            raise FileError("an analyte has no name; name it, or drop it", file=path)
        analyte = canonical_analyte(name) if kind == "protein" else name
        if analyte in owners:
            raise FileError(
                f"{owners[analyte]!r} and {name!r} are both {analyte}; list one of them under ignore, with the reason",
                file=path,
                column=name,
            )
        analytes[name], owners[analyte] = analyte, name
    return analytes


def _ranges(limits: Limits, analytes: Mapping[str, str], kind: MeasurementKind) -> dict[str, tuple[float, float]]:
    """Canonical analyte → (LLOQ, ULOQ), NaN where not stated."""
    ranges = {}
    for name, (low, high) in limits.items():
        analyte = canonical_analyte(name) if kind == "protein" else name
        if analytes and analyte not in analytes.values():
            raise InputError(f"limits are stated for {name!r}, which is not among the analytes: {', '.join(analytes)}")
        lloq, uloq = (math.nan if limit is None else float(limit) for limit in (low, high))
        if lloq >= uloq:
            raise InputError(f"the limits of {name!r} are ({lloq}, {uloq}); expected the lower one first")
        ranges[analyte] = (lloq, uloq)
    return ranges


def _reading(
    cell: _Cell,
    unit: ImmuneUnit,
    below: Sequence[float | str],
    above: Sequence[float | str],
    lloq: float,
    uloq: float,
) -> MeasuredValue:
    if cell.unit is None or cell.unit == unit:
        return parse_value(cell.text, unit=unit, below=below, above=above, lloq=lloq, uloq=uloq)
    spelled = {"pg/ml": "pg/mL", "ng/ml": "ng/mL", "npx": "NPX"}.get(cell.unit.casefold(), cell.unit)
    own: ImmuneUnit = spelled  # type: ignore[assignment]
    own_lloq, own_uloq = convert((lloq, uloq), unit, own)
    reading = parse_value(cell.text, unit=own, below=below, above=above, lloq=float(own_lloq), uloq=float(own_uloq))
    value, limit = convert((reading.value, reading.limit), own, unit)
    return MeasuredValue(float(value), reading.censored, float(limit))


def _deduplicated(path: Path, rows: pd.DataFrame, key: list[str], duplicates: Duplicates) -> pd.DataFrame:
    """One row a (draw, analyte), by the stated rule; the first of a group keeps its place."""
    by = [*key, "analyte"]
    again = rows.duplicated(by)
    if not again.any():
        return rows
    if duplicates == "error":
        second = rows[again].iloc[0]
        first = rows[(rows[by] == second[by]).all(axis=1)].iloc[0]
        draw = ", ".join(f"{name} {second[name]!r}" for name in key)
        raise FileError(
            f"{second['analyte']} of {draw} stands here and on row {first['row']}; keep one, add a key column that "
            "tells them apart, or set duplicates to 'mean' or 'last'",
            file=path,
            column=second["analyte_published"],
            row=int(second["row"]),
        )
    merged = []
    for _, group in rows.groupby(by, sort=False):
        if duplicates == "last":
            merged.append(group.iloc[-1].to_dict())
            continue
        known = group[group["value"].notna() | (group["censored"] != "")]
        states = set(zip(known["censored"], known["limit"].fillna(math.inf), strict=True))
        if len(states) > 1:
            raise FileError(
                "replicates of one draw are partly censored, or at different limits, and have no mean; set duplicates "
                "to 'last', or keep one",
                file=path,
                column=group["analyte_published"].iloc[0],
                row=int(group["row"].iloc[-1]),
            )
        merged.append({**(known if len(known) else group).iloc[0].to_dict(), "value": known["value"].mean()})
    return pd.DataFrame(merged, columns=rows.columns).astype(rows.dtypes.to_dict())
