"""Tests of what groups of stool samples explain of the distances between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.arrays import Names
from features.cohort import Cohort
from features.donors import donor_samples_given
from features.outcomes import RESPONSES
from features.trajectories import Window
from training.statistics.permanova import permanova
from training.statistics.permdisp import Permdisp, permdisp
from training.statistics.permutation_design import PseudoFTest
from training.study.analysis.arms import arms
from training.study.analysis.false_discovery import HypothesisTest, with_q
from training.study.analysis.ordination import DistanceMetric, Distances
from training.study.analysis.stool import StoolSeries

Contrast = Literal["visit", "response", "arm", "donor", "patients and donors"]
PermutationUnit = Literal["within patients", "patients", "subjects"]
Rows = Mapping[str, int]
"""Row of each patient's sample in one window."""


@dataclass(frozen=True)
class Groups:
    """Stool samples in groups that a test compares.

    Attributes
    ----------
    contrast : str
        What distinguishes the groups.
    window : str
    rows : tuple of int
    labels : ndarray of str, (n_rows,)
    unit : str
        What is permuted.
    strata : ndarray of str, (n_rows,), optional
        Patients, within whom samples are permuted.
    """

    contrast: Contrast
    window: str
    rows: tuple[int, ...]
    labels: Names
    unit: PermutationUnit
    strata: Names | None = None


@dataclass(frozen=True, kw_only=True)
class CommunityTest(HypothesisTest):
    """Test of one contrast by one distance; p and q are those of PERMANOVA.

    Attributes
    ----------
    contrast, window, metric : str
    outcome : str or None
        The outcome of the contrast "response".
    baseline : str
        Window to which the contrast "visit" compares.
    subjects, samples : int
    location : PseudoFTest
        PERMANOVA.
    spread : Permdisp
    unit : str
        What is permuted.
    """

    contrast: Contrast
    window: str
    metric: DistanceMetric
    outcome: str | None
    baseline: str
    subjects: int
    samples: int
    location: PseudoFTest
    spread: Permdisp
    unit: PermutationUnit

    @property
    def within_patients(self) -> bool:
        """Whether samples are permuted within patients."""
        return self.unit == "within patients"


def community_tests(stool: StoolSeries, cohort: Cohort, distances: Distances) -> tuple[CommunityTest, ...]:
    """Return PERMANOVA and the test of spread, of each contrast that the cohort allows by each distance."""
    outcome = response_outcome(cohort)
    family = []
    for groups in contrasts(stool, cohort):
        subjects = stool.samples["patient"].iloc[list(groups.rows)].nunique()
        for metric, matrix in distances.items():
            part = matrix[np.ix_(groups.rows, groups.rows)]
            location = permanova(part, groups.labels, strata=groups.strata)
            family.append(
                CommunityTest(
                    contrast=groups.contrast,
                    window=groups.window,
                    metric=metric,
                    outcome=outcome if groups.contrast == "response" else None,
                    baseline=stool.baseline.name,
                    subjects=subjects,
                    samples=len(groups.rows),
                    location=location,
                    spread=permdisp(part, groups.labels, strata=groups.strata),
                    unit=groups.unit,
                    p=location.p,
                )
            )
    return with_q(family)


def response_outcome(cohort: Cohort) -> str | None:
    """Return the outcome by which responders are told from other patients; None where the cohort reports none."""
    return next((name for name in RESPONSES if name in cohort.labels.label_by_outcome), None)


def contrasts(stool: StoolSeries, cohort: Cohort) -> Iterator[Groups]:
    """Yield each contrast that has enough samples, with one sample of each subject in a window."""
    # The last sample before treatment, and the first one in a later window.
    rows = {
        window: {patient: int(samples[0]) for patient, samples in stool.rows_by_patient(window).items()}
        for window in stool.windows
    }
    yield from _by_visit(stool.windows, rows)
    outcome = response_outcome(cohort)
    if outcome is not None:
        response = cohort.labels.label_by_outcome[outcome].dropna().map({True: "yes", False: "no"})
        yield from _by_patient_group("response", response, rows)
    yield from _by_patient_group("arm", arms(cohort), rows)
    donor = {patient: next(iter(donors)) for patient, donors in donor_samples_given(cohort).items() if len(donors) == 1}
    yield from _by_donor(stool.windows, rows, donor)
    yield from _against_donors(stool, rows)


def _by_visit(windows: Sequence[Window], rows: Mapping[Window, Rows]) -> Iterator[Groups]:
    baseline = rows[windows[0]]
    for window in windows[1:]:
        patients = [patient for patient in baseline if patient in rows[window]]
        if len(patients) > 1:
            yield Groups(
                contrast="visit",
                window=window.name,
                rows=tuple(row for patient in patients for row in (baseline[patient], rows[window][patient])),
                labels=_labels(["before", "after"] * len(patients)),
                unit="within patients",
                strata=_labels(np.repeat(patients, 2)),
            )


def _by_patient_group(contrast: Contrast, group: pd.Series[str], rows: Mapping[Window, Rows]) -> Iterator[Groups]:
    """Yield one contrast a window: responders are sampled for longer, so that time would be taken for response."""
    for window, row_of in rows.items():
        patients = [patient for patient in row_of if patient in group.index]
        sizes = Counter(group[patients])
        if len(sizes) > 1 and min(sizes.values()) > 1:
            labels = _labels(group[patients])
            yield Groups(contrast, window.name, tuple(row_of[patient] for patient in patients), labels, "patients")


def _by_donor(windows: Sequence[Window], rows: Mapping[Window, Rows], donor: Mapping[str, str]) -> Iterator[Groups]:
    """Yield recipients of one donor each, of donors with several recipients."""
    for window in windows[1:]:
        recipients = [patient for patient in rows[window] if patient in donor]
        sizes = Counter(donor[patient] for patient in recipients)
        recipients = [patient for patient in recipients if sizes[donor[patient]] > 1]
        labels = _labels(donor[patient] for patient in recipients)
        if len(set(labels)) > 1:
            yield Groups(
                "donor", window.name, tuple(rows[window][patient] for patient in recipients), labels, "patients"
            )


def _against_donors(stool: StoolSeries, rows: Mapping[Window, Rows]) -> Iterator[Groups]:
    donors = stool.rows(stool.donors.drop_duplicates("patient").index)
    for window, row_of in rows.items():
        if len(donors) > 1 and len(row_of) > 1:
            labels = _labels(["patients"] * len(row_of) + ["donors"] * len(donors))
            yield Groups("patients and donors", window.name, (*row_of.values(), *donors.tolist()), labels, "subjects")


def _labels(labels: Iterable[str]) -> Names:
    return np.array(list(labels), dtype=object)
