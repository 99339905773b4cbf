"""Plates of a relative scale, shifted to the level of one of them by the samples that were measured on both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import FileError


def shift_plates(path: Path, rows: pd.DataFrame, key: Sequence[str], reference: str) -> tuple[pd.DataFrame, list[str]]:
    """Shift each plate, analyte by analyte, by the median difference of its bridging samples to the reference plate.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    rows : pandas.DataFrame
        As `ImmuneTable.rows`, on a log2 scale, with the bridging samples of each plate.
    key : sequence of str
        The columns that name a blood draw.
    reference : str
        The reference plate.

    Returns
    -------
    rows : pandas.DataFrame
        Values and limits on the reference's level; of bridging samples, the reference's values alone.
    notes : list of str
        The number of bridging samples of each plate, and its largest shift.

    Raises
    ------
    FileError
        If there is no such plate, or an analyte of another plate has no bridging sample.

    Notes
    -----
    Bridging as Olink describes it, `olink_normalization` in OlinkAnalyze, which advises 8 to 16 bridging samples.

    The shifts are fitted outside the folds and to draws of any day. Each difference is one draw's against itself, so it
    holds the plates' difference and no biology: neither an outcome, nor another fold, nor a later day enters a feature.
    """
    names = list(dict.fromkeys(rows["plate"]))
    if reference not in names:
        raise FileError(f"there is no plate {reference!r}; the plates are {', '.join(names)}", file=path)
    draw_and_analyte = [*key, "analyte"]
    levels = rows[rows["plate"] == reference].groupby(draw_and_analyte, sort=False)["value"].mean()
    on_reference = rows[[*draw_and_analyte]].merge(
        levels.rename("level"), how="left", left_on=draw_and_analyte, right_index=True
    )["level"]
    difference = pd.Series(on_reference.to_numpy(), index=rows.index) - rows["value"]
    is_bridge = rows.set_index(draw_and_analyte).index.isin(levels.index) & (rows["plate"] != reference)
    shifts = difference[is_bridge].groupby([rows["plate"][is_bridge], rows["analyte"][is_bridge]]).median()
    keys = pd.MultiIndex.from_frame(rows[["plate", "analyte"]])
    shift = np.where(rows["plate"] == reference, 0.0, shifts.reindex(keys).to_numpy())
    if np.isnan(shift).any():
        row = rows[np.isnan(shift)].iloc[0]
        raise FileError(
            f"{row['analyte']} of plate {row['plate']!r} was measured in no sample that is on plate {reference!r} too; "
            "without such bridging samples plates cannot be compared: leave immune.plates.reference out",
            file=path,
            row=int(row["row"]),
        )
    shifted = rows.assign(value=rows["value"] + shift, limit=rows["limit"] + shift)[~is_bridge]
    notes = []
    for name in names:
        if name != reference:
            of_plate = is_bridge & (rows["plate"] == name)
            n_bridges = len(rows.loc[of_plate, list(key)].drop_duplicates())
            largest = np.abs(shift[(rows["plate"] == name).to_numpy()]).max()
            notes.append(
                f"plate {name} is shifted to the level of plate {reference} by {n_bridges} bridging samples, by up to "
                f"{largest:.2g}"
            )
    return shifted, notes
