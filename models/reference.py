"""The reference cloud: how far a profile lies from those a model learnt from, and what that says of trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.transforms import CLR, BlockTransformer, PrevalenceFilter, ZeroReplacement, restore_transformer
from models.prediction import NearestOutcomes, Verdict
from models.rates import exact_interval

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

NEIGHBOURS = 5
"""A profile's distance to the cloud is its mean distance to this many nearest patients."""
NEAREST = 25
"""Of this many nearest training patients it is told, in one number, how they did."""
FEWEST_NEAREST = 20
"""Of fewer whose outcome is known nothing is told: one patient could be read off."""
MIN_PREVALENCE = 0.1
"""Share of the training profiles in which a taxon must be found to count in the distance."""
MIN_RECOGNISED = 0.5
"""Below this share of the profile's abundance in taxa that the model was trained on, it abstains."""
CARE_RECOGNISED = 0.8
"""Below this share it answers with care."""
CARE_PERCENTILE = 95.0
"""Above this percentile of the left-out distances a model answers with care; beyond them all it abstains."""
CARE_RICHNESS = 5.0
"""Up to this percentile of the training profiles' richness it answers with care: a bare profile is near to everyone."""

_ARRAYS = ("profiles", "cohorts", "left_out", "richness", "known")

VERDICTS: tuple[Verdict, ...] = ("ok", "use with care", "abstain")
"""From the best to the gravest; a grade is a position among them."""


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """The training patients' profiles, whatever the model's own representation of taxa.

    Attributes
    ----------
    taxa : tuple of str
        The names of all taxa of training, as proportions come in.
    steps : tuple of BlockTransformer
        Fitted: from proportions to CLR coordinates.
    profiles : ndarray of float32, (n_training, n_coordinates)
    cohorts : ndarray of int, (n_training,)
        The position of each row's cohort in `names`.
    names : tuple of str
        The cohorts.
    left_out : ndarray, (n_training,)
        Each training patient's distance to the nearest of other cohorts, or of all others where there is one cohort;
        sorted.
    richness : ndarray of int, (n_training,)
        How many of the taxa that count were found in each training profile; sorted.
    outcomes : tuple of str
        The outcomes kept of the training patients: the model's own, and those of the other side that are known of any.
    known : ndarray of int8, (n_training, n_outcomes)
        1 had it, 0 had not, -1 is unknown.
    """

    taxa: tuple[str, ...]
    steps: tuple[BlockTransformer, ...]
    profiles: NDArray[np.float32]
    cohorts: NDArray[np.intp]
    names: tuple[str, ...]
    left_out: Vector
    richness: NDArray[np.intp]
    outcomes: tuple[str, ...]
    known: NDArray[np.int8]

    def to_patients(self, taxa: Matrix) -> Matrix:
        """Return Aitchison distances of profiles to each training patient, (n_profiles, n_training).

        Parameters
        ----------
        taxa : ndarray, (n_profiles, n_taxa)
            Proportions, in the order of `self.taxa`.

        References
        ----------
        Aitchison et al. 2000, Mathematical Geology 32:271-275.
        """
        X = taxa
        for step in self.steps:
            X = step._kernel(X)
        # Products are several times as fast as differences, and leave about 1e-6 of a distance to rounding; those of
        # BLAS would wake other threads.
        cloud, squares = self._cloud
        found: Matrix = (X**2).sum(axis=1, keepdims=True) + squares - 2 * np.einsum("ij,kj->ik", X, cloud)
        return np.sqrt(np.maximum(found, 0))

    def distances(self, taxa: Matrix) -> Vector:
        """Return each profile's mean distance to its nearest training patients, (n_profiles,)."""
        found: Vector = nearest_mean(self.to_patients(taxa))
        return found

    def percentile(self, distance: NDArray[np.float64] | float) -> Vector:
        """Return the percentage of the left-out distances that lie below; 100 is beyond them all."""
        below: Vector = 100 * np.searchsorted(self.left_out, distance) / len(self.left_out)
        return below

    def richness_percentile(self, taxa: Matrix) -> Vector:
        """Return the percentage of training profiles in which no more taxa were found, (n_profiles,)."""
        found = np.count_nonzero(self.steps[0]._kernel(taxa), axis=1)
        no_more: Vector = 100 * np.searchsorted(self.richness, found, side="right") / len(self.richness)
        return no_more

    def nearest_cohort(self, to_patients: Vector) -> str:
        """Return the cohort whose nearest patients are closest on the mean.

        Parameters
        ----------
        to_patients : ndarray, (n_training,)
            One profile's distances.
        """
        means = [nearest_mean(to_patients[self.cohorts == at]) for at in range(len(self.names))]
        return self.names[int(np.argmin(means))]

    def nearest_outcomes(self, distances: Vector) -> tuple[NearestOutcomes, ...]:
        """Return the outcomes of the `NEAREST` nearest training patients, whatever their cohort.

        Parameters
        ----------
        distances : ndarray, (n_training,)
            Distances of one profile, as `to_patients` returns them.

        Returns
        -------
        tuple of NearestOutcomes
            One for each of `outcomes` that is known of at least `FEWEST_NEAREST` of them. Empty where no taxon counts
            in the distance, since all patients are then equally near.
        """
        if not self.profiles.shape[1]:
            return ()
        nearest = np.argpartition(distances, NEAREST)[:NEAREST] if len(distances) > NEAREST else slice(None)
        known = self.known[nearest]
        counts = zip((known == 1).sum(axis=0).tolist(), (known >= 0).sum(axis=0).tolist(), strict=True)
        return tuple(
            NearestOutcomes(outcome, patients, events, events / patients, *exact_interval(events, patients))
            for outcome, (events, patients) in zip(self.outcomes, counts, strict=True)
            if patients >= FEWEST_NEAREST
        )

    def state(self) -> dict[str, Any]:
        """Return what is neither an array nor the taxa's names as JSON-ready values."""
        return {
            "steps": [step.state() for step in self.steps],
            "cohorts": list(self.names),
            "outcomes": list(self.outcomes),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_state(cls, taxa: Sequence[str], state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the cloud that `state` and `arrays` described.

        Raises
        ------
        ValueError
            The parts do not fit each other.
        """
        steps, names = tuple(restore_transformer(step) for step in state["steps"]), tuple(state["cohorts"])
        outcomes = tuple(state["outcomes"])
        found = cls(tuple(taxa), steps, names=names, outcomes=outcomes, **{name: arrays[name] for name in _ARRAYS})
        if not (
            found.profiles.shape[:1] == found.cohorts.shape == found.left_out.shape == found.richness.shape
            and set(found.cohorts.tolist()) == set(range(len(names)))
            and np.isfinite([*found.left_out, *found.richness, *found.distances(np.zeros((1, len(taxa))))]).all()
            and (np.diff([found.left_out, found.richness]) >= 0).all()
            and found.known.shape == (len(found.profiles), len(outcomes))
            and np.isin(found.known, (-1, 0, 1)).all()
        ):
            raise ValueError("the reference cloud's parts do not fit each other")
        return found

    @cached_property
    def _cloud(self) -> tuple[Matrix, Vector]:
        # Every answer measures against it; computed each time, it would cost more than the rest.
        cloud = self.profiles.astype(np.float64)
        return cloud, (cloud**2).sum(axis=1)


def fit_reference_set(
    taxa: Matrix,
    names: Sequence[str],
    cohorts: Sequence[str] | NDArray[np.object_],
    outcomes: Mapping[str, Vector] | None = None,
) -> ReferenceSet:
    """Return the reference cloud of training profiles.

    Parameters
    ----------
    taxa : ndarray, (n_training, n_taxa)
        Proportions of at least two patients.
    names : sequence of str
        The taxa's.
    cohorts : sequence of str
        Each row's cohort.
    outcomes : mapping of str to ndarray, (n_training,), optional
        1, 0, or NaN where unknown, by outcome, to tell how the nearest patients did.
    """
    steps = (PrevalenceFilter(MIN_PREVALENCE), ZeroReplacement(), CLR())
    encoded = taxa
    for step in steps:
        encoded = step.fit_transform(encoded)
    known, of = np.unique(np.asarray(cohorts, dtype=str), return_inverse=True)
    had = np.array([*(outcomes or {}).values()]).reshape(-1, len(taxa)).T
    cloud = ReferenceSet(
        taxa=tuple(names),
        steps=steps,
        profiles=encoded.astype(np.float32),
        cohorts=of,
        names=tuple(known.tolist()),
        left_out=np.zeros(0),
        richness=np.sort(np.count_nonzero(steps[0].transform(taxa), axis=1)),
        outcomes=tuple(outcomes or ()),
        known=np.nan_to_num(had, nan=-1).astype(np.int8),
    )
    near = of[:, None] == of if len(known) > 1 else np.eye(len(of), dtype=bool)
    left_out = [nearest_mean(row[~mine]) for row, mine in zip(cloud.to_patients(taxa), near, strict=True)]
    return replace(cloud, left_out=np.sort(left_out))


def profile_verdicts(
    reference: ReferenceSet, taxa: Matrix, names: Sequence[str], recognised: Vector
) -> NDArray[np.str_]:
    """Return what the server would say of profiles by coverage, distance and richness alone, (n_profiles,).

    Parameters
    ----------
    reference : ReferenceSet
    taxa : ndarray, (n_profiles, n_taxa)
        Proportions; a taxon unseen in training is left to `recognised`.
    names : sequence of str
        The taxa's.
    recognised : ndarray, (n_profiles,)
        Share of each profile's abundance in taxa that the model was trained on.
    """
    position = {name: i for i, name in enumerate(reference.taxa)}
    seen = [(position[name], i) for i, name in enumerate(names) if name in position]
    known = np.zeros((len(taxa), len(position)))
    known[:, [to for to, _ in seen]] = taxa[:, [at for _, at in seen]]
    grades = [
        coverage_grade(recognised),
        distance_grade(reference.percentile(reference.distances(known))),
        richness_grade(reference.richness_percentile(known)),
    ]
    found: NDArray[np.str_] = np.array(VERDICTS)[np.max(grades, axis=0)]
    return found


def coverage_grade(recognised: Any) -> Any:
    """Return the grade, a position in `VERDICTS`, of a recognised share, or of an array of them."""
    return 1 * (recognised < CARE_RECOGNISED) + (recognised < MIN_RECOGNISED)


def distance_grade(percentile: Any) -> Any:
    """Return the grade, a position in `VERDICTS`, of a distance's percentile, or of an array of them."""
    return 1 * (percentile > CARE_PERCENTILE) + (percentile >= 100)


def richness_grade(percentile: Any) -> Any:
    """Return the grade, a position in `VERDICTS`, of a richness's percentile, or of an array of them."""
    return 1 * (percentile <= CARE_RICHNESS)


def nearest_mean(distances: Matrix) -> Any:
    """Return the mean of the `NEIGHBOURS` smallest, or of all where there are fewer, along the last axis."""
    if distances.shape[-1] > NEIGHBOURS:
        distances = np.partition(distances, NEIGHBOURS - 1, axis=-1)[..., :NEIGHBOURS]
    return distances.mean(axis=-1)
