"""Transplants: which samples stand for before, donor and after, and which cohorts may be pooled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.cohort import read_cohort
from features.errors import InputError
from features.transplants import cohort_transplants, pool_transplants, require_one_profiler
from taxokine.simulation import TACITO, Trial, simulate_trial


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = simulate_trial(tmp_path_factory.mktemp("transplants") / "trial", Trial(n_patients=8, n_taxa=40, seed=1))
    return read_cohort(path, path.parent)


@pytest.fixture(scope="module")
def profiles(cohort):
    return cohort_transplants(cohort)


def test_each_profile_is_that_of_the_right_sample(cohort, profiles):
    samples, values = cohort.samples, cohort.taxa.proportions().values
    for i, row in enumerate(profiles.rows):
        stool = samples[(samples["patient"] == row.patient) & ~samples["donor"]]
        later = stool[stool["day"].between(7, 90)]
        after = later.index[(later["day"] - 28).abs().argmin()]
        assert np.allclose(profiles.stool_after[i], values[after], atol=1e-6)
        assert np.allclose(profiles.stool_before[i], values[stool.index[stool["day"] <= 0][-1]], atol=1e-6)
        received = samples.index[samples["sample"] == stool["donor_sample"].iloc[0]]
        assert np.allclose(profiles.donor[i], values[received].mean(axis=0), atol=1e-6)
        assert row.donors == (f"{cohort.name}/{stool['donor_sample'].iloc[0].rpartition('-')[0]}",)


def test_donors_in_common_are_seen(profiles):
    shares = profiles.shares_donor
    assert shares.diagonal().all()
    assert not shares.all()
    assert np.array_equal(shares, [[row.donors == other.donors for other in profiles.rows] for row in profiles.rows])


def test_a_measurement_moved_beyond_day_90_is_no_profile_after(cohort, profiles):
    days = cohort.samples["day"]
    late = replace(cohort, samples=cohort.samples.assign(day=days.where(days <= 0, days + 400)))
    with pytest.raises(InputError, match="after on days 7 to 90"):
        cohort_transplants(late)
    patient = profiles.rows[0].patient
    is_patient = cohort.samples["patient"] == patient
    late = replace(cohort, samples=cohort.samples.assign(day=days.where(~is_patient | (days <= 0), days + 400)))
    fewer = cohort_transplants(late)
    assert patient not in {row.patient for row in fewer.rows}
    assert "1 recipients have no profile after" in fewer.notes[0]


def test_controls_of_a_trial_are_no_recipients(tmp_path):
    path = simulate_trial(tmp_path / "arms", replace(TACITO, n_taxa=30, seed=2))
    arms = read_cohort(path, path.parent)
    # A sham may be recorded with a donor, as autologous stool is.
    samples = arms.samples.assign(donor_sample=arms.samples["donor_sample"].replace("", "SIM-D01-B1"))
    recipients = {row.patient for row in cohort_transplants(replace(arms, samples=samples)).rows}
    assert recipients <= set(arms.arm.index[arms.arm == "FMT + ICI"])


def test_undated_stool_and_a_foreign_clock_are_refused(cohort):
    manifest = cohort.manifest
    undated = manifest.model_copy(update={"samples": manifest.samples.model_copy(update={"day": None})})
    with pytest.raises(InputError, match="stool is not dated"):
        cohort_transplants(replace(cohort, manifest=undated))
    clock = manifest.model_copy(update={"clock": manifest.clock.model_copy(update={"name": "day_ici"})})
    course = replace(cohort.course, transplants=cohort.course.transplants.iloc[:0])
    with pytest.raises(InputError, match="on which of them stool was transplanted"):
        cohort_transplants(replace(cohort, manifest=clock, course=course))


def test_pooling_needs_one_profiler_that_is_reported(profiles):
    renamed = replace(profiles, rows=tuple(row._replace(cohort="other") for row in profiles.rows))
    pooled = pool_transplants([profiles, replace(renamed, taxa=tuple(f"{taxon}x" for taxon in profiles.taxa))])
    assert len(pooled) == 2 * len(profiles)
    assert len(pooled.taxa) == 2 * len(profiles.taxa)
    assert np.allclose(pooled.stool_after.sum(axis=1), 1)
    for profiler in ("mpa_vJan21", None):
        with pytest.raises(InputError, match="one profiler"):
            pool_transplants([profiles, replace(renamed, profiler=profiler)])
    with pytest.raises(InputError, match="named twice"):
        pool_transplants([profiles, profiles])
    with pytest.raises(InputError, match="different ranks"):
        pool_transplants([profiles, replace(renamed, rank="genus")])
    with pytest.raises(InputError, match="not reported"):
        require_one_profiler({"a": None, "b": None})
