"""Several values of one analyte in one blood draw: refused, averaged, or the last kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from features.errors import FileError


def resolve_replicates(
    path: Path, rows: pd.DataFrame, key: Sequence[str], rule: Literal["error", "mean", "last"]
) -> pd.DataFrame:
    """Return one row per blood draw and analyte, in the order in which each first appears.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    rows : pandas.DataFrame
        As `ImmuneTable.rows`, with replicates.
    key : sequence of str
        The columns that name a blood draw.
    rule : {"error", "mean", "last"}
        As `ImmuneSpec.duplicates`.
    """
    group_columns = [*key, "analyte"]
    is_replicate = rows.duplicated(group_columns)
    if not is_replicate.any():
        return rows
    if rule == "error":
        replicate = rows[is_replicate].iloc[0]
        original = rows[(rows[group_columns] == replicate[group_columns]).all(axis=1)].iloc[0]
        draw = ", ".join(f"{name} {replicate[name]!r}" for name in key)
        raise FileError(
            f"{replicate['analyte']} of {draw} is here and on row {original['row']}; keep one, add a key column that "
            "tells them apart, or set duplicates to 'mean' or 'last'",
            file=path,
            column=replicate["analyte_published"],
            row=int(replicate["row"]),
        )
    groups = rows.groupby(group_columns, sort=False)
    resolved = [group.iloc[-1].to_dict() if rule == "last" else _mean(path, group) for _, group in groups]
    return pd.DataFrame(resolved, columns=rows.columns).astype(rows.dtypes.to_dict())


def _mean(path: Path, group: pd.DataFrame) -> dict[object, object]:
    reported = group[group["value"].notna() | (group["censored"] != "")]
    censoring = set(zip(reported["censored"], reported["limit"].fillna(math.inf), strict=True))
    if len(censoring) > 1:
        raise FileError(
            "replicates of one blood draw are partly censored, or at different limits, and have no mean; set "
            "duplicates to 'last', or keep one",
            file=path,
            column=group["analyte_published"].iloc[0],
            row=int(group["row"].iloc[-1]),
        )
    return {**(reported if len(reported) else group).iloc[0].to_dict(), "value": reported["value"].mean()}
