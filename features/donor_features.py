"""The donor block: how near a recipient's stool is to the donor's by the landmark, and what has engrafted.

Nothing later than the landmark enters: a donor counts once the transplant is on or before it, and approach and
engraftment need stool after the transplant and by the landmark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix, Vector
from features.cohort import Cohort
from features.donors import DETECTION_LIMIT, donor_rows, donor_samples_given, stool_proportions
from features.feature_table import Block
from features.transplants import LONGEST_BEFORE, transplant_days

DONOR_FEATURES = (
    "bray_curtis", "aitchison", "shared_taxa", "donor_only_taxa", "recipient_only_taxa", "approach", "engrafted_share",
)  # fmt: skip
"""Columns of the donor block."""


def donor_numbers(stool: Vector, donor: Vector, stool_before: Vector | None) -> dict[str, float]:
    """Return the donor features of one recipient, by name.

    Parameters
    ----------
    stool, donor : ndarray, (n_taxa,)
        Proportions in the recipient's stool by the landmark, and in the donor's.
    stool_before : ndarray, (n_taxa,), optional
        The recipient's stool before the transplant, where `stool` is later.

    Returns
    -------
    dict of str to float
        `bray_curtis` and `aitchison` distance to the donor, the second over the taxa detected in either; the number of
        taxa shared, of the donor only and of the recipient only, each detected from 0.01%. With `stool_before` also
        `approach`, by how much the Bray-Curtis dissimilarity has fallen, and `engrafted_share`, of the taxa that only
        the donor had the share that is detected in `stool`; NaN where there are none.
    """
    in_stool, in_donor = stool >= DETECTION_LIMIT, donor >= DETECTION_LIMIT
    numbers = {
        "bray_curtis": _bray_curtis(stool, donor),
        "aitchison": _aitchison(stool, donor, in_stool | in_donor),
        "shared_taxa": float((in_stool & in_donor).sum()),
        "donor_only_taxa": float((in_donor & ~in_stool).sum()),
        "recipient_only_taxa": float((in_stool & ~in_donor).sum()),
    }
    if stool_before is not None:
        donor_only = in_donor & (stool_before < DETECTION_LIMIT)
        numbers["approach"] = _bray_curtis(stool_before, donor) - numbers["bray_curtis"]
        numbers["engrafted_share"] = (
            float((in_stool & donor_only).sum() / donor_only.sum()) if donor_only.any() else math.nan
        )
    return numbers


def donor_numbers_by_name(
    stool: Mapping[str, float], donor: Mapping[str, float], stool_before: Mapping[str, float] | None
) -> dict[str, float]:
    """Return `donor_numbers` of proportions by canonical name."""
    taxa = list(dict.fromkeys([*stool, *donor, *(stool_before or {})]))
    profiles = [
        None if profile is None else np.array([profile.get(taxon, 0.0) for taxon in taxa])
        for profile in (stool, donor, stool_before)
    ]
    assert profiles[0] is not None
    assert profiles[1] is not None
    return donor_numbers(profiles[0], profiles[1], profiles[2])


def donor_block(cohort: Cohort, rows: pd.DataFrame, positions: Sequence[int], landmark: float) -> Block | None:
    """Return the donor features of a feature table's rows; None where nothing is known of any row's donor.

    Parameters
    ----------
    cohort : Cohort
    rows : pandas.DataFrame
        `patient` and `sample_day` of each row.
    positions : sequence of int
        Position in `cohort.samples` of each row's stool.
    landmark : float
        Last day, on the cohort's clock, whose measurements may enter.
    """
    received, transplant_day = donor_samples_given(cohort), transplant_days(cohort)
    if not received or transplant_day is None:
        return None
    proportions = stool_proportions(cohort)
    values = np.full((len(rows), len(DONOR_FEATURES)), math.nan)
    for i, (patient, day, position) in enumerate(zip(rows["patient"], rows["sample_day"], positions, strict=True)):
        given_day = transplant_day.get(patient, math.nan)
        stool = [row for row in donor_rows(cohort, received.get(patient, {})) if np.isfinite(proportions[row]).all()]
        if not given_day <= landmark or not stool:
            continue
        row_before = _row_before(cohort, patient, given_day) if day > given_day else None
        numbers = donor_numbers(
            proportions[position],
            proportions[stool].mean(axis=0),
            None if row_before is None else proportions[row_before],
        )
        values[i] = [numbers.get(name, math.nan) for name in DONOR_FEATURES]
    return _without_empty_columns(values)


def _without_empty_columns(values: Matrix) -> Block | None:
    is_known: Mask = np.asarray(~np.isnan(values).all(axis=0))
    names = tuple(name for name, keep in zip(DONOR_FEATURES, is_known, strict=True) if keep)
    return Block(names, values[:, is_known]) if names else None


def _row_before(cohort: Cohort, patient: str, transplant_day: float) -> int | None:
    """Return the row of a recipient's last stool before the transplant."""
    samples = cohort.samples[(cohort.samples["patient"] == patient) & ~cohort.samples["donor"]]
    days = samples["day"] - transplant_day
    earlier = days[(days <= 0) & (days >= -LONGEST_BEFORE)]
    return None if earlier.empty else int(earlier.index[int(earlier.to_numpy().argmax())])


def _bray_curtis(stool: Vector, donor: Vector) -> float:
    return float(np.abs(stool - donor).sum() / (stool.sum() + donor.sum()))


def _aitchison(stool: Vector, donor: Vector, detected: Mask) -> float:
    logs = np.log(np.maximum(np.stack([stool, donor])[:, detected], DETECTION_LIMIT))
    difference = logs[0] - logs[1]
    return float(np.linalg.norm(difference - difference.mean())) if difference.size else 0.0
