"""Profiles of transplants: the stool of each recipient before and after, and that of the donor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from features.arrays import Mask, Matrix
from features.cohort import Cohort
from features.donors import donor_rows, donor_samples_given, stool_proportions
from features.errors import InputError

TARGET_DAY = 28.0
"""Day after the transplant whose profile is predicted."""
FIRST_DAY, LAST_DAY = 7.0, 90.0
"""Days after the transplant within which the sample nearest to `TARGET_DAY` stands for the profile after."""
LONGEST_BEFORE = 90.0
"""Days before the transplant within which the last sample stands for the profile before."""


class Transplant(NamedTuple):
    """One recipient's transplant.

    Attributes
    ----------
    cohort, patient : str
    donors : tuple of str
        Donor subjects, each as `cohort/donor`; several where stool was pooled or given in turn.
    profile_day : float
        Day of the profile after, counted from the transplant.
    """

    cohort: str
    patient: str
    donors: tuple[str, ...]
    profile_day: float


@dataclass(frozen=True)
class TransplantProfiles:
    """Transplants with all three profiles, as proportions, (n_transplants, n_taxa) each.

    Attributes
    ----------
    rows : tuple of Transplant
    taxa : tuple of str
    stool_before, stool_after : ndarray
        Recipients before and after.
    donor : ndarray
        The donor samples received, averaged; all samples of the donor where the sample received is not known.
    profiler : str or None
    rank : str
    simulated : bool
    notes : tuple of str
        Recipients that lack a profile, counted.
    """

    rows: tuple[Transplant, ...]
    taxa: tuple[str, ...]
    stool_before: Matrix
    donor: Matrix
    stool_after: Matrix
    profiler: str | None
    rank: str
    simulated: bool
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def with_taxa(self, taxa: Sequence[str]) -> Self:
        """Return the profiles with the columns of `taxa`; a taxon that is not among theirs is absent."""
        stool_before, donor, stool_after = (
            aligned_to(taxa, self.taxa, matrix) for matrix in (self.stool_before, self.donor, self.stool_after)
        )
        return replace(self, taxa=tuple(taxa), stool_before=stool_before, donor=donor, stool_after=stool_after)

    @property
    def donor_subjects(self) -> tuple[str, ...]:
        """Donor subjects, each once."""
        return tuple(dict.fromkeys(donor for row in self.rows for donor in row.donors))

    @property
    def shares_donor(self) -> Mask:
        """Mask of pairs of transplants with a donor in common, (n_transplants, n_transplants)."""
        received = np.array([[donor in row.donors for donor in self.donor_subjects] for row in self.rows], dtype=float)
        return np.asarray(received @ received.T > 0)


def cohort_transplants(cohort: Cohort) -> TransplantProfiles:
    """Return a cohort's transplants with a profile before, of the donor, and after.

    Raises
    ------
    InputError
        Stool or transplants are not dated, no recipient's donor is named, or no recipient has all three profiles.
    """
    received = _received_samples(cohort)
    proportions = stool_proportions(cohort)
    is_empty: Mask = np.asarray(np.isnan(proportions).any(axis=1))
    transplant_day = transplant_days(cohort)
    if transplant_day is None:
        raise InputError(
            f"{cohort.name}: days are counted on {cohort.manifest.clock.name}, and nothing tells on which of them "
            "stool was transplanted; state course.transplants with its 'day', or the clock day_fmt"
        )
    days = cohort.samples["day"] - cohort.samples["patient"].map(transplant_day)
    rows_before, rows_after = _profile_rows(cohort, days, is_empty)
    rows, stool, lacking = [], [], Counter[str]()
    for patient, donor_samples in received.items():
        profiles = {
            "before": rows_before.get(patient, []),
            "of the donor": [row for row in donor_rows(cohort, donor_samples) if not is_empty[row]],
            "after": rows_after.get(patient, []),
        }
        lacking.update(kind for kind, positions in profiles.items() if not positions)
        if all(profiles.values()):
            names = tuple(f"{cohort.name}/{donor}" for donor in donor_samples)
            rows.append(Transplant(cohort.name, patient, names, float(days[profiles["after"][0]])))
            stool.append([proportions[positions].mean(axis=0) for positions in profiles.values()])
    if not rows:
        raise InputError(f"{cohort.name}: no recipient has a profile before, of the donor, and after; {_note(lacking)}")
    stool_before, donor, stool_after = np.array(stool).swapaxes(0, 1)
    return TransplantProfiles(
        rows=tuple(rows),
        taxa=cohort.taxa.taxa,
        stool_before=stool_before,
        donor=donor,
        stool_after=stool_after,
        profiler=cohort.taxa.profiler,
        rank=cohort.manifest.taxa.rank,
        simulated=cohort.manifest.simulated,
        notes=(f"{cohort.name}: {_note(lacking)}",) if lacking else (),
    )


def pool_transplants(parts: Sequence[TransplantProfiles]) -> TransplantProfiles:
    """Return the transplants of several cohorts as one set.

    Raises
    ------
    InputError
        Cohorts were profiled by different or unreported profilers, at different ranks, or one is named twice.
    """
    if len(parts) == 1:
        return parts[0]
    names = [row.cohort for part in parts for row in part.rows[:1]]
    if len(set(names)) < len(names):
        raise InputError("a cohort is named twice; name each once")
    require_one_profiler({name: part.profiler for name, part in zip(names, parts, strict=True)})
    if len({part.rank for part in parts}) > 1:
        ranks = ", ".join(f"{name} {part.rank}" for name, part in zip(names, parts, strict=True))
        raise InputError(f"taxa of different ranks cannot be pooled: {ranks}; state one rank in the manifests")
    taxa = tuple(dict.fromkeys(taxon for part in parts for taxon in part.taxa))
    aligned = [part.with_taxa(taxa) for part in parts]
    return TransplantProfiles(
        rows=tuple(row for part in parts for row in part.rows),
        taxa=taxa,
        stool_before=np.vstack([part.stool_before for part in aligned]),
        donor=np.vstack([part.donor for part in aligned]),
        stool_after=np.vstack([part.stool_after for part in aligned]),
        profiler=parts[0].profiler,
        rank=parts[0].rank,
        simulated=any(part.simulated for part in parts),
        notes=tuple(note for part in parts for note in part.notes),
    )


def require_one_profiler(profilers: dict[str, str | None]) -> None:
    """Raise InputError unless all sources of profiles, by name, report the same profiler.

    The abundances of one taxon by two profilers, or two versions of a database, are different quantities: a taxon
    would seem gained or lost where only the database changed.
    """
    if len(set(profilers.values())) == 1 and None not in profilers.values():
        return
    profiler_list = "; ".join(f"{name}: {profiler or 'not reported'}" for name, profiler in profilers.items())
    raise InputError(
        f"profiles can only be compared if one profiler made them all, got {profiler_list}. Profile the reads anew "
        "with one version, or state taxa.profiler in a manifest that does not report it"
    )


def aligned_to(taxa: Sequence[str], names: Sequence[str], proportions: Matrix) -> Matrix:
    """Return proportions of the taxa `names`, (n_profiles, n_names), with the columns of `taxa`, (n_profiles, n_taxa).

    A taxon that is not in `names` is absent.
    """
    if tuple(taxa) == tuple(names):
        return proportions
    position = {name: i for i, name in enumerate(names)}
    shared = [(i, position[name]) for i, name in enumerate(taxa) if name in position]
    aligned = np.zeros((len(proportions), len(taxa)))
    aligned[:, [i for i, _ in shared]] = proportions[:, [j for _, j in shared]]
    return aligned


def _received_samples(cohort: Cohort) -> dict[str, dict[str, list[int]]]:
    """Return the donor samples of each recipient who was not assigned to a control arm."""
    if cohort.manifest.samples.day is None:
        raise InputError(
            f"{cohort.name}: stool is not dated, so that nothing tells which sample was taken {FIRST_DAY:g} to "
            f"{LAST_DAY:g} days after a transplant; state 'day' under samples"
        )
    arms = cohort.manifest.arms
    controls = {arm for arm, role in arms.roles.items() if role != "fmt_ici"} if arms else set()
    control_patients = set(cohort.arm.index[cohort.arm.isin(controls)])
    received = {
        patient: donors for patient, donors in donor_samples_given(cohort).items() if patient not in control_patients
    }
    if not received:
        raise InputError(
            f"{cohort.name}: no recipient's donor has a profile; state 'donor' and 'donor_sample' under samples"
        )
    return received


def transplant_days(cohort: Cohort) -> pd.Series[float] | None:
    """Return the day of each patient's first transplant, by patient; NaN where it is not known.

    It is that of the trial's course, else day 0 of the clock `day_fmt`; None where nothing tells it.
    """
    transplants, patients = cohort.course.transplants, cohort.samples["patient"].unique()
    if transplants["day"].notna().any():
        return transplants.groupby("patient")["day"].min().reindex(patients)
    return pd.Series(0.0, index=patients) if cohort.manifest.clock.name == "day_fmt" else None


def _profile_rows(
    cohort: Cohort, days: pd.Series[float], is_empty: Mask
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return the row of each recipient's profile before, and that of the profile after, by patient.

    `days` are those of all samples, counted from the transplant. Samples without any taxon count never; of two samples
    of one day, the later row stands for the profile before, and the earlier row for the profile after.
    """
    patients, days = cohort.samples["patient"], days[~cohort.samples["donor"] & ~is_empty]
    earlier = days[days.between(-LONGEST_BEFORE, 0)].sort_values(kind="stable")
    later = (days[days.between(FIRST_DAY, LAST_DAY)] - TARGET_DAY).abs().sort_values(kind="stable")[::-1]
    # The last row of a patient is the one that stays.
    rows_before, rows_after = ({patients[row]: [row] for row in order.index.tolist()} for order in (earlier, later))
    return rows_before, rows_after


def _note(lacking: Counter[str]) -> str:
    days = {"after": f" on days {FIRST_DAY:g} to {LAST_DAY:g}"}
    return "; ".join(
        f"{count} recipients have no profile {kind}{days.get(kind, '')}" for kind, count in lacking.items()
    )
