"""The table of immune measurements, in long and in wide form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.measured_values import CensoredPolicy, resolve_censored
from features.units import ImmuneUnit, MeasurementKind, measurement_kind

MEASUREMENT_COLUMNS = (
    "analyte",
    "analyte_published",
    "value",
    "censored",
    "limit",
    "extrapolated",
    "plate",
    "warning",
    "row",
)


@dataclass(frozen=True)
class ImmuneTable:
    """Immune measurements in long form, one row per blood draw and analyte.

    Attributes
    ----------
    rows : DataFrame, (n_measurements, len(key) + 9)
        The key columns (str, named as published; together they name a blood draw), then ``analyte`` (canonical),
        ``analyte_published``, ``value`` (float, in `unit`; NaN when missing or censored without a number),
        ``censored`` (``""``, ``"below"`` or ``"above"``), ``limit`` (float, in `unit`, or NaN),
        ``extrapolated`` (bool, by the assay's software beyond its standards), ``plate`` and ``warning`` (str, empty
        where there is none) and ``row`` (line of the file, counted from 1 with the header).
    key : tuple of str
        Names of the key columns.
    unit : ImmuneUnit
        The unit of ``value`` and ``limit``.
    excluded : mapping of str to str
        Published analytes that were excluded, and why.
    notes : tuple of str
        What was left out by rule, and how plates were shifted.
    """

    rows: pd.DataFrame
    key: tuple[str, ...]
    unit: ImmuneUnit
    excluded: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> MeasurementKind:
        """Protein or expression; blocks of different kinds are never joined."""
        return measurement_kind(self.unit)

    def synonyms(self) -> dict[str, str]:
        """Return the canonical name of each published name, in the order of the file."""
        names = self.rows[["analyte_published", "analyte"]].drop_duplicates()
        return dict(zip(names["analyte_published"], names["analyte"], strict=True))

    def wide(self, policy: CensoredPolicy) -> pd.DataFrame:
        """Return one number per blood draw and analyte, (n_draws, n_analytes), in `unit`.

        Parameters
        ----------
        policy : {"limit", "half_limit", "missing"}
            The number for a censored value whose limit is known (see `features.measured_values.resolve_censored`).

        Returns
        -------
        DataFrame
            Indexed by the key, draws and analytes in the order of the file. NaN is missing; -inf and +inf are below
            and above a limit that is not reported, for `CensoredFill` to resolve inside the fold.
        """
        rows = self.rows
        return self._pivot(
            resolve_censored(rows["value"], rows["censored"], rows["limit"], policy=policy, unit=self.unit)
        )

    def wide_limits(self, side: Literal["below", "above"]) -> pd.DataFrame:
        """Return the reported limits beyond which values lie on one side, as `wide` does; NaN for other values."""
        return self._pivot(self.rows["limit"].where(self.rows["censored"] == side).to_numpy())

    def _pivot(self, numbers: NDArray[np.float64]) -> pd.DataFrame:
        rows = self.rows
        wide = rows.assign(number=numbers).pivot(index=list(self.key), columns="analyte", values="number")
        draws = pd.MultiIndex.from_frame(rows[list(self.key)].drop_duplicates())
        index = draws if len(self.key) > 1 else draws.get_level_values(0)
        return wide.reindex(index=index, columns=list(dict.fromkeys(rows["analyte"]))).rename_axis(columns=None)
