"""Pooling: one feature table from the tables of several cohorts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.columns import Column
from features.errors import InputError, UnitError
from features.feature_table import Block, CensoredLimits, FeatureTable


def pool_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Stack the tables of several cohorts.

    A taxon that a profile does not list is absent: its proportion is 0. What a cohort did not measure is NaN. Notes
    tell where clocks and profilers differ.

    Raises
    ------
    UnitError
        Two cohorts measured one analyte in different units.
    InputError
        A cohort is named twice, two cohorts hold the same patients, or their taxa are of different ranks.
    """
    if len(tables) == 1:
        return tables[0]
    units = _common_units(tables)
    cohorts = {name: context for table in tables for name, context in table.cohorts.items()}
    if len(cohorts) < len(tables):
        raise InputError("a cohort is named twice; name each once")
    for name, context in cohorts.items():
        if twin := next((same_cohort for same_cohort in context.same_patients_as if same_cohort in cohorts), None):
            raise InputError(f"{name} holds the same patients as {twin}; use one of the two")
    if ranks := _differences({name: context.rank for name, context in cohorts.items()}):
        raise InputError(f"taxa of different ranks cannot be pooled: {ranks}; state one rank in the manifests")
    notes = [note for table in tables for note in table.notes]
    if clocks := _differences({name: f"{context.clock}, {context.index_event}" for name, context in cohorts.items()}):
        notes.append(f"clocks start at different events: {clocks}")
    if profilers := _differences({name: context.profiler or "not stated" for name, context in cohorts.items()}):
        notes.append(f"profilers differ: {profilers}")
    return FeatureTable(
        rows=pd.concat([table.rows for table in tables], ignore_index=True),
        taxa=_stack_blocks([table.taxa for table in tables], absent=0.0),
        immune=_stack_blocks([table.immune for table in tables], absent=np.nan),
        clinical=_stack_blocks([table.clinical for table in tables], absent=np.nan),
        technical=_complete_levels(_stack_blocks([table.technical for table in tables], absent=np.nan)),
        units=units,
        cohorts=cohorts,
        notes=tuple(notes),
        limits=_stack_limits(tables),
        donor=_stack_optional(tables, "donor"),
        over_time=_stack_optional(tables, "over_time"),
    )


def _common_units(tables: Sequence[FeatureTable]) -> dict[str, str]:
    units: dict[str, str] = {}
    for table in tables:
        for analyte, unit in table.units.items():
            if units.setdefault(analyte, unit) != unit:
                raise UnitError(
                    f"{analyte} is in {units[analyte]} in one cohort and in {unit} in {', '.join(table.cohorts)}; "
                    "pool cohorts of one unit, or leave the immune block out"
                )
    return units


def _differences(value_by_cohort: Mapping[str, str]) -> str:
    """Return each cohort with its value; an empty text where all values agree."""
    if len(set(value_by_cohort.values())) <= 1:
        return ""
    return "; ".join(f"{cohort} {value}" for cohort, value in value_by_cohort.items())


def _stack_blocks(blocks: Sequence[Block], absent: float) -> Block:
    names = list(dict.fromkeys(name for block in blocks for name in block.names))
    position = {name: i for i, name in enumerate(names)}
    values = np.full((sum(len(block.values) for block in blocks), len(names)), absent)
    start = 0
    for block in blocks:
        stop = start + len(block.values)
        values[start:stop, [position[name] for name in block.names]] = block.values
        start = stop
    return Block(tuple(names), values)


def _stack_optional(tables: Sequence[FeatureTable], name: str) -> Block | None:
    """Return a block that not every cohort has, missing in the others; None where none has it."""
    blocks = [table.block(name) for table in tables]
    return _stack_blocks(blocks, absent=np.nan) if any(block.names for block in blocks) else None


def _stack_limits(tables: Sequence[FeatureTable]) -> CensoredLimits:
    sides: list[tuple[Block, Block]] = []
    for table in tables:
        nothing = np.full(table.immune.values.shape, np.nan)
        limits = table.limits or CensoredLimits(nothing, nothing)
        sides.append((Block(table.immune.names, limits.lower), Block(table.immune.names, limits.upper)))
    lower, upper = (_stack_blocks(blocks, absent=np.nan).values for blocks in zip(*sides, strict=True))
    return CensoredLimits(lower, upper)


def _complete_levels(block: Block) -> Block:
    """Set the indicators of a category's other levels to 0 in every row whose level is known."""
    values = block.values.copy()
    columns = [Column.from_name("technical", name) for name in block.names]
    for field in {column.field for column in columns if column.level}:
        levels = np.flatnonzero([column.field == field and bool(column.level) for column in columns])
        rows = np.flatnonzero((values[:, levels] == 1).any(axis=1))
        values[np.ix_(rows, levels)] = np.nan_to_num(values[np.ix_(rows, levels)])
    return Block(block.names, values)
