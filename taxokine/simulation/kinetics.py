"""The two time courses after a transplant: a rise to a plateau, and a pulse."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from features.arrays import Matrix


def saturation(day: ArrayLike, limit: ArrayLike, time_constant: float) -> Matrix:
    """Return a first-order approach to a limit, ``limit * (1 - exp(-day / time_constant))``; 0 before day 0."""
    return np.asarray(limit) * -np.expm1(-np.maximum(day, 0) / time_constant)


def pulse(day: ArrayLike, rise: float, fall: float) -> Matrix:
    """Return Bateman's rise and fall, a difference of exponentials scaled to a peak of 1; 0 before day 0.

    Parameters
    ----------
    day : array_like
        Days after the transplant, any shape.
    rise, fall : float
        Time constants in days, ``0 < rise < fall``; the peak is on day ``ln(fall / rise) / (1 / rise - 1 / fall)``.

    References
    ----------
    Bateman 1910, Proceedings of the Cambridge Philosophical Society 15:423-427.
    """
    t = np.maximum(day, 0)
    peak = math.log(fall / rise) / (1 / rise - 1 / fall)
    scale = math.exp(-peak / fall) - math.exp(-peak / rise)
    return np.asarray((np.exp(-t / fall) - np.exp(-t / rise)) / scale)
