"""Distances between stool samples, and their principal coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.arrays import Matrix, Vector
from training.statistics.distances import aitchison, bray_curtis
from training.statistics.pcoa import principal_coordinates
from training.study.analysis.stool import StoolSeries

MIN_SAMPLES = 3
"""Fewest stool samples of which principal coordinates are computed."""

DistanceMetric = Literal["Bray-Curtis", "Aitchison"]
Distances = dict[DistanceMetric, Matrix]


@dataclass(frozen=True)
class Coordinates:
    """Principal coordinates of one distance.

    Attributes
    ----------
    points : ndarray, (n_samples, 2)
    share : ndarray, (2,)
        Share that each axis has of the sum of positive eigenvalues.
    """

    points: Matrix
    share: Vector


def stool_distances(stool: StoolSeries) -> Distances:
    """Return both distances between all stool samples, each (n_samples, n_samples)."""
    return {"Bray-Curtis": bray_curtis(stool.proportions), "Aitchison": aitchison(stool.proportions)}


def ordinations(distances: Distances) -> dict[DistanceMetric, Coordinates]:
    """Return the principal coordinates of each distance; empty with fewer than `MIN_SAMPLES` samples."""
    return {
        metric: Coordinates(*principal_coordinates(matrix))
        for metric, matrix in distances.items()
        if len(matrix) >= MIN_SAMPLES
    }
