"""The training reference set: how far a profile lies from the training profiles, and how many taxa it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from features.arrays import Counts, Matrix, Names, Positions, Vector
from features.profile_similarity import FEW_TAXA, SAME_STOOL, outlying_similarity, unit_log_abundances
from features.row_blocks import by_row_blocks
from features.transforms import (
    CLR,
    BlockTransformer,
    FittedState,
    PrevalenceFilter,
    ZeroReplacement,
    restore_transformer,
)
from models.evidence import Documented
from models.hashed_folder import Array
from models.prediction import NearestOutcomes, Verdict
from models.product_search import ProductSearch
from models.rates import exact_interval

NEIGHBOURS = 5
"""The distance of a profile is its mean distance to this many nearest training patients."""
NEAREST = 25
"""Nearest training patients whose outcomes are counted."""
FEWEST_NEAREST = 20
"""Patients of known outcome below which no count is reported: a smaller one could identify a patient."""
MANY_PATIENTS = 1024
"""Training patients above which the nearest are searched for, since the distances to all take milliseconds."""
COMPARED = 2048
"""Most training patients from whom it is estimated how much training profiles resemble each other."""
MOST_SIMILARITIES = 2**24
"""Similarities of training patients that are in memory at once."""
MIN_PREVALENCE = 0.1
"""Share of training profiles in which a taxon must be detected to count in the distance."""
MIN_RECOGNISED = 0.5
"""Coverage below which the model abstains: the share of a profile's abundance in taxa of the training cohorts."""
CARE_RECOGNISED = 0.8
"""Coverage below which a prediction calls for care."""
CARE_PERCENTILE = 95.0
"""Percentile of the held-out distances above which a prediction calls for care; beyond all of them: abstain."""
CARE_RICHNESS = 5.0
"""Percentile of the training richness up to which a prediction calls for care: a sparse profile is near to everyone."""

VERDICTS: tuple[Verdict, ...] = ("ok", "use with care", "abstain")
"""From the best to the gravest; a grade is a position in this tuple."""

_ARRAYS = {
    "profiles": "profiles",
    "cohorts": "centre_positions",
    "left_out": "held_out_distances",
    "richness": "richness",
    "known": "labels",
}
"""Arrays of `reference.npz`, under the names of protocol 2, and the attributes that hold them."""


@dataclass(frozen=True)
class ReferenceState(Documented):
    """What a bundle keeps of a training reference set besides its arrays and the names of its taxa."""

    steps: tuple[FittedState, ...]
    """Fitted transformers, from proportions to CLR coordinates."""
    cohorts: tuple[str, ...]
    """Names of the centres, under the key of protocol 1."""
    outcomes: tuple[str, ...]
    """Ids of the outcomes."""


class Neighbours(NamedTuple):
    """Training patients and a profile's distances to them, at least its `NEAREST` and each centre's `NEIGHBOURS`."""

    patients: Positions
    distances: Vector


class Location(NamedTuple):
    """Where one profile lies among the training profiles: `neighbours`, `richness_percentile` and `similarity`."""

    neighbours: Neighbours
    richness_percentile: float
    similarity: float


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Profiles and outcomes of the training patients, in CLR coordinates whatever the model's own representation.

    Attributes
    ----------
    taxa : tuple of str
        All taxa of the training cohorts, in the order in which proportions come in.
    steps : tuple of BlockTransformer
        Fitted transformers, from proportions to CLR coordinates.
    profiles : ndarray of float32, (n_training, n_coordinates)
        CLR coordinates.
    centre_positions : ndarray of int, (n_training,)
        Position of each patient's centre in `centres`.
    centres : tuple of str
        Names of the centres of all cohorts.
    held_out_distances : ndarray, (n_training,)
        Distance of each training patient to the nearest patients of other centres, or of the same centre if there is
        only one; sorted.
    richness : ndarray of int, (n_training,)
        Number of taxa detected in each training profile, of those that count in the distance; sorted.
    outcomes : tuple of str
        The model's outcome, and the outcomes of the other side (response, toxicity) that any training patient has.
    labels : ndarray of int8, (n_training, n_outcomes)
        1 had the outcome, 0 did not, -1 unknown.
    """

    taxa: tuple[str, ...]
    steps: tuple[BlockTransformer, ...]
    profiles: NDArray[np.float32]
    centre_positions: Positions
    centres: tuple[str, ...]
    held_out_distances: Vector
    richness: Counts
    outcomes: tuple[str, ...]
    labels: NDArray[np.int8]

    def locate(self, taxa: Matrix) -> Location:
        """Return where one profile lies, as the methods below each return it.

        Parameters
        ----------
        taxa : ndarray, (1, n_taxa)
            Proportions, in the order of `self.taxa`.
        """
        prevalent = self._prevalent(taxa)
        n_detected = np.array([np.count_nonzero(prevalent)])
        return Location(
            self._neighbours(prevalent),
            float(self._richness_percentile(n_detected)[0]),
            float(self._similarity(prevalent, n_detected)[0]),
        )

    def neighbours(self, taxa: Matrix) -> Neighbours:
        """Return the training patients who may be among those nearest to one profile, with Aitchison distances.

        Parameters
        ----------
        taxa : ndarray, (1, n_taxa)
            Proportions, in the order of `self.taxa`.

        References
        ----------
        Aitchison et al. 2000, Mathematical Geology 32:271-275.
        """
        return self._neighbours(self._prevalent(taxa))

    def _prevalent(self, taxa: Matrix) -> Matrix:
        """Return the proportions of the taxa that count in the distance, (n_profiles, n_coordinates)."""
        return self.steps[0].transform_unchecked(taxa)

    def _neighbours(self, prevalent: Matrix) -> Neighbours:
        X = prevalent
        for step in self.steps[1:]:
            X = step.transform_unchecked(X)
        if self._search is None:
            patients, (coordinates, squares) = self._everyone, self._coordinates
        else:
            patients = self._search.candidates(X[0], NEIGHBOURS, NEAREST)
            coordinates, squares = _with_squares(self.profiles[patients])
        # Products are several times as fast as differences, at a rounding error of about 1e-6 of a distance; vecdot
        # computes them row by row, since a product of matrices would wake other threads.
        squared = np.vecdot(X, X) + squares - 2 * np.vecdot(coordinates, X)
        return Neighbours(patients, np.sqrt(np.maximum(squared, 0)))

    def distances(self, taxa: Matrix) -> Vector:
        """Return the mean distance of each profile to its nearest training patients, (n_profiles,)."""
        return np.array([nearest_mean(self.neighbours(row).distances) for row in taxa[:, None]])

    def percentile(self, distance: Vector | float) -> Vector:
        """Return the percentage of held-out distances that are smaller; 100 is beyond all of them."""
        percentage: Vector = 100 * np.searchsorted(self.held_out_distances, distance) / len(self.held_out_distances)
        return percentage

    def richness_percentile(self, taxa: Matrix) -> Vector:
        """Return the percentage of training profiles in which no more taxa were detected, (n_profiles,)."""
        return self._richness_percentile(np.count_nonzero(self._prevalent(taxa), axis=1))

    def _richness_percentile(self, n_detected: Counts) -> Vector:
        percentage: Vector = 100 * self.richness.searchsorted(n_detected, side="right") / len(self.richness)
        return percentage

    def similarity(self, taxa: Matrix) -> Vector:
        """Return each profile's similarity to the most similar training profile, (n_profiles,).

        The similarity is the audit's, the cosine of log abundances, over the taxa that count in the distance. It is NaN
        for a profile with fewer than 10 of them, which resembles others by chance.

        Parameters
        ----------
        taxa : ndarray, (n_profiles, n_taxa)
            Proportions, in the order of `self.taxa`.
        """
        prevalent = self._prevalent(taxa)
        return self._similarity(prevalent, np.count_nonzero(prevalent, axis=1))

    def _similarity(self, prevalent: Matrix, n_detected: Counts) -> Vector:
        logs = unit_log_abundances(prevalent / np.maximum(prevalent.sum(axis=1, keepdims=True), 1e-300))
        highest = np.array([self._highest_product(row) for row in logs[:, None]])
        highest[n_detected < 2 * FEW_TAXA] = np.nan
        return highest

    def _highest_product(self, logs: Matrix) -> float:
        search = self._log_search
        training_logs = self._unit_logs if search is None else self._logs_of(search.candidates(logs[0], 1, 1))
        return float(np.vecdot(training_logs, logs).max())

    @cached_property
    def same_stool_similarity(self) -> float:
        """Similarity from which a profile is that of a training patient's stool sample.

        As in the audit: that of one stool, unless the training patients' profiles resemble each other as much, as those
        of few taxa or of a high rank do.
        """
        columns = self._unit_logs.T if self._log_search is None else self._log_search.columns
        patients = np.arange(0, len(self.profiles), -(-len(self.profiles) // COMPARED))
        highest = np.empty(len(patients))
        n_rows = max(1, MOST_SIMILARITIES // max(1, len(self.profiles)))
        for start in range(0, len(patients), n_rows):
            compared = patients[start : start + n_rows]
            similarity = columns[:, compared].T @ columns
            similarity[np.arange(len(compared)), compared] = -1
            highest[start : start + n_rows] = similarity.max(axis=1)
        return max(SAME_STOOL, outlying_similarity(highest))

    @cached_property
    def _unit_logs(self) -> Matrix:
        """Log abundances of the training profiles, each row of length 1, (n_training, n_coordinates)."""
        return self._logs_of(self._everyone)

    def _logs_of(self, patients: Positions | slice[int, int, None]) -> Matrix:
        parts = np.exp(self.profiles[patients].astype(np.float64))
        parts /= parts.sum(axis=1, keepdims=True)
        # The CLR coordinates hold the replaced zeros, which are half the smallest proportion of all training samples.
        replaced_zero = self.steps[1].delta_
        parts[parts < 1.5 * replaced_zero] = 0
        return unit_log_abundances(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300))

    def nearest_centre(self, neighbours: Neighbours) -> str:
        """Return the centre with the smallest mean distance to its nearest patients.

        Parameters
        ----------
        neighbours : Neighbours
            Those of one profile.
        """
        positions = self.centre_positions[neighbours.patients]
        means = [nearest_mean(neighbours.distances[positions == i]) for i in range(len(self.centres))]
        return self.centres[int(np.argmin(means))]

    def nearest_outcomes(self, neighbours: Neighbours) -> tuple[NearestOutcomes, ...]:
        """Return the outcomes of the `NEAREST` nearest training patients, whatever their centre.

        Of patients who are equally far, the first ones of the training table count.

        Parameters
        ----------
        neighbours : Neighbours
            Those of one profile.

        Returns
        -------
        tuple of NearestOutcomes
            One for each of `outcomes` that is known of at least `FEWEST_NEAREST` of them. Empty where no taxon counts
            in the distance, since all patients are then equally near.
        """
        if not self.profiles.shape[1]:
            return ()
        patients, distances = neighbours
        if len(patients) > NEAREST:
            farthest = np.partition(distances, NEAREST - 1)[NEAREST - 1]
            nearer, equal = patients[distances < farthest], patients[distances == farthest]
            patients = np.concatenate([nearer, equal[: NEAREST - len(nearer)]])
        counts = self._events_and_known[patients].sum(axis=0).tolist()
        return tuple(
            NearestOutcomes(outcome, n_known, events, events / n_known, *exact_interval(events, n_known))
            for outcome, (events, n_known) in zip(self.outcomes, counts, strict=True)
            if n_known >= FEWEST_NEAREST
        )

    def state(self) -> ReferenceState:
        """Return what is neither an array nor the names of the taxa, as a bundle keeps it."""
        return ReferenceState(tuple(step.state() for step in self.steps), self.centres, self.outcomes)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names in `reference.npz`."""
        return {name: getattr(self, attribute) for name, attribute in _ARRAYS.items()}

    @classmethod
    def from_state(cls, taxa: Sequence[str], state: ReferenceState, arrays: Mapping[str, Array]) -> Self:
        """Return the reference set of this state and these arrays.

        Raises
        ------
        ValueError
            The parts do not fit each other.
        """
        reference = cls(
            taxa=tuple(taxa),
            steps=tuple(map(restore_transformer, state.steps)),
            centres=state.cohorts,
            outcomes=state.outcomes,
            **{attribute: arrays[name] for name, attribute in _ARRAYS.items()},  # type: ignore[arg-type]
        )
        reference._check()
        return reference

    def _check(self) -> None:
        distances, richness, labels = self.held_out_distances, self.richness, self.labels
        if not (
            self.profiles.shape[:1] == self.centre_positions.shape == distances.shape == richness.shape
            and set(self.centre_positions.tolist()) == set(range(len(self.centres)))
            and np.isfinite([*distances, *richness, *self.distances(np.zeros((1, len(self.taxa))))]).all()
            and np.isfinite(self.same_stool_similarity)
            and (np.diff([distances, richness]) >= 0).all()
            and labels.shape == (len(self.profiles), len(self.outcomes))
            and np.isin(labels, (-1, 0, 1)).all()
        ):
            raise ValueError("the parts of the training reference set do not fit each other")

    @cached_property
    def _events_and_known(self) -> Positions:
        """Whether each patient had each outcome, and whether that is known, (n_training, n_outcomes, 2)."""
        return np.stack([self.labels == 1, self.labels >= 0], axis=-1).astype(np.intp)

    @cached_property
    def _everyone(self) -> Positions:
        return np.arange(len(self.profiles))

    @cached_property
    def _coordinates(self) -> tuple[Matrix, Vector]:
        # Cached, since computing them would cost more than the rest of a prediction.
        return _with_squares(self.profiles)

    @cached_property
    def _search(self) -> ProductSearch | None:
        if len(self.profiles) <= MANY_PATIENTS or not self.profiles.shape[1]:
            return None
        squares = by_row_blocks(lambda rows: _with_squares(self.profiles[rows])[1], len(self.profiles))
        return ProductSearch(self.profiles, -squares / 2, self.centre_positions)

    @cached_property
    def _log_search(self) -> ProductSearch | None:
        if self._search is None:
            return None
        logs = by_row_blocks(lambda rows: self._logs_of(rows).astype(np.float32), len(self.profiles))
        return ProductSearch(logs, np.zeros(len(logs)), np.zeros(len(logs), dtype=np.intp))


def fit_reference_set(
    taxa: Matrix,
    names: Sequence[str],
    centres: Sequence[str] | Names,
    outcomes: Mapping[str, Vector] | None = None,
) -> ReferenceSet:
    """Return the reference set of training profiles.

    Parameters
    ----------
    taxa : ndarray, (n_training, n_taxa)
        Proportions of at least two patients.
    names : sequence of str
        Names of the taxa.
    centres : sequence of str
        Centre of each patient.
    outcomes : mapping of str to ndarray, (n_training,), optional
        Labels by outcome: 1, 0, or NaN where unknown.
    """
    steps = (PrevalenceFilter(MIN_PREVALENCE), ZeroReplacement(), CLR())
    encoded = taxa
    for step in steps:
        encoded = step.fit_transform(encoded)
    centre_names, positions = np.unique(np.asarray(centres, dtype=str), return_inverse=True)
    labels = np.array([*(outcomes or {}).values()]).reshape(-1, len(taxa)).T
    reference = ReferenceSet(
        taxa=tuple(names),
        steps=steps,
        profiles=encoded.astype(np.float32),
        centre_positions=positions,
        centres=tuple(centre_names.tolist()),
        held_out_distances=np.zeros(0),
        richness=np.sort(np.count_nonzero(steps[0].transform(taxa), axis=1)),
        outcomes=tuple(outcomes or ()),
        labels=np.nan_to_num(labels, nan=-1).astype(np.int8),
    )
    # Each patient is compared with those of other groups: of other centres, or all others.
    groups, distances = positions if len(centre_names) > 1 else np.arange(len(taxa)), np.empty(len(taxa))
    for i in range(len(taxa)):
        neighbours = reference.neighbours(taxa[i : i + 1])
        distances[i] = nearest_mean(neighbours.distances[groups[neighbours.patients] != groups[i]])
    return replace(reference, held_out_distances=np.sort(distances))


def _with_squares(profiles: NDArray[np.float32]) -> tuple[Matrix, Vector]:
    """Return coordinates in double precision, and the square of each row's length."""
    coordinates = profiles.astype(np.float64)
    return coordinates, (coordinates**2).sum(axis=1)


def profile_verdicts(
    reference: ReferenceSet, taxa: Matrix, names: Sequence[str], recognised: Vector
) -> NDArray[np.str_]:
    """Return the verdicts of the coverage, distance and richness rules alone, (n_profiles,).

    Parameters
    ----------
    reference : ReferenceSet
    taxa : ndarray, (n_profiles, n_taxa)
        Proportions. A taxon that is not in the reference set counts only through `recognised`.
    names : sequence of str
        Names of the taxa.
    recognised : ndarray, (n_profiles,)
        Share of each profile's abundance in taxa of the training cohorts.
    """
    position = {name: i for i, name in enumerate(reference.taxa)}
    shared = [(position[name], i) for i, name in enumerate(names) if name in position]
    aligned = np.zeros((len(taxa), len(position)))
    aligned[:, [target for target, _ in shared]] = taxa[:, [source for _, source in shared]]
    grades = [
        coverage_grade(recognised),
        distance_grade(reference.percentile(reference.distances(aligned))),
        richness_grade(reference.richness_percentile(aligned)),
    ]
    verdicts: NDArray[np.str_] = np.array(VERDICTS)[np.max(grades, axis=0)]
    return verdicts


@overload
def coverage_grade(coverage: float) -> int: ...
@overload
def coverage_grade(coverage: Vector) -> NDArray[np.intp]: ...
def coverage_grade(coverage: float | Vector) -> int | NDArray[np.intp]:
    """Return the grade of a coverage, or of an array of them."""
    return 1 * (coverage < CARE_RECOGNISED) + (coverage < MIN_RECOGNISED)


@overload
def distance_grade(percentile: float) -> int: ...
@overload
def distance_grade(percentile: Vector) -> NDArray[np.intp]: ...
def distance_grade(percentile: float | Vector) -> int | NDArray[np.intp]:
    """Return the grade of a distance's percentile, or of an array of them."""
    return 1 * (percentile > CARE_PERCENTILE) + (percentile >= 100)


@overload
def richness_grade(percentile: float) -> int: ...
@overload
def richness_grade(percentile: Vector) -> NDArray[np.intp]: ...
def richness_grade(percentile: float | Vector) -> int | NDArray[np.intp]:
    """Return the grade of a richness's percentile, or of an array of them."""
    return 1 * (percentile <= CARE_RICHNESS)


def nearest_mean(distances: Matrix) -> Vector:
    """Return the mean of the `NEIGHBOURS` smallest distances, or of all if there are fewer, along the last axis."""
    if distances.shape[-1] > NEIGHBOURS:
        distances = np.partition(distances, NEIGHBOURS - 1, axis=-1)[..., :NEIGHBOURS]
    # `mean` takes longer than all else here.
    means: Vector = np.add.reduce(distances, axis=-1) / distances.shape[-1]
    return means
