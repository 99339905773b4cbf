from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import hypergeom

from features.cohort import read_cohort
from features.donors import (
    DETECTION_LIMIT,
    MIN_READS,
    detection_probability,
    donor_samples_given,
    own_donor_contrast,
    screened_donors,
    share_gained,
    share_lost,
)
from features.errors import FileError
from taxokine.simulation import Trial, simulate_trial

SAMPLES = (
    "sample,patient,day,role,given\n"
    "s1,p1,-10,r,\ns2,p1,-2,r,NA\ns3,p1,20,r,stool two\ns4,p2,0,r,d1\ns5,p3,-1,r,lost donor\nd1,D1,,stool two,\n"
)


def test_donor_samples_named_by_accession_by_name_and_by_transplant(
    write_cohort: Callable[..., str], tmp_path: Path
) -> None:
    manifest = write_cohort(
        {"samples.csv": SAMPLES, "fmt.csv": "patient,day,donor\np2,0,D1\np3,0,D9\n"},
        samples={"donor": {"column": "role", "pattern": "^stool"}, "donor_sample": "given"},
        course={"transplants": {"file": "fmt.csv", "patient": "patient", "day": "day", "donor": "donor"}},
    )
    # d1 is the sixth sample, position 5; whose stool was given to p3 was never profiled.
    assert donor_samples_given(read_cohort(manifest, tmp_path)) == {
        "p1": {"D1": [5]},
        "p2": {"D1": [5]},
        "p3": {"D9": []},
    }


def test_a_cohort_without_donors_has_no_donor_samples(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    assert donor_samples_given(read_cohort(write_cohort(), tmp_path)) == {}


def test_donor_samples_of_davar(cohorts_dir: Path) -> None:
    donors = donor_samples_given(read_cohort("davar_2021", cohorts_dir, fetch=False))
    assert len(donors) == 15
    assert all(len(samples) == 1 for samples in donors.values())
    assert len({donor for samples in donors.values() for donor in samples}) == 7
    assert list(donors["PT-19-0024"]) == list(donors["PT-19-0026"]) == ["PT-18-0014"]


def test_detection_probability_is_hypergeometric() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial([1500, 4000, 2500], rng.dirichlet(np.full(30, 0.3))).astype(float)
    probability = 1 - hypergeom.pmf(0, counts.sum(axis=1, keepdims=True).astype(int), counts.astype(int), 1500)
    np.testing.assert_allclose(detection_probability(counts, counts=True), probability, atol=1e-9)
    np.testing.assert_array_equal(detection_probability(counts, counts=True)[0], counts[0] > 0)


def test_shallow_samples_are_nan() -> None:
    counts = np.array([[MIN_READS - 1.0, 0], [MIN_READS, 500]])
    probability = detection_probability(counts, counts=True)
    assert np.isnan(probability[0]).all()
    assert np.isfinite(probability[1]).all()
    assert np.isnan(detection_probability(counts[:1], counts=True)).all()


def test_proportions_are_detected_from_the_limit() -> None:
    detected = detection_probability(
        np.array([[DETECTION_LIMIT, DETECTION_LIMIT * 0.99, 0, 1 - DETECTION_LIMIT]]), counts=False
    )
    assert detected.tolist() == [[1, 0, 0, 1]]


sets = arrays(bool, (3, 12))


@given(sets, sets, sets)
def test_shares_gained_and_lost_agree_with_sets(
    detected_before: np.ndarray, detected_after: np.ndarray, donors: np.ndarray
) -> None:
    shares = [
        share(*(part.astype(float) for part in (detected_before, detected_after, donors)))
        for share in (share_gained, share_lost)
    ]
    for i in range(3):
        taxa_before, taxa_after = (set(np.flatnonzero(part[i])) for part in (detected_before, detected_after))
        for h in range(3):
            donor_taxa = set(np.flatnonzero(donors[h]))
            for value, n_total, part in (
                (shares[0], donor_taxa - taxa_before, (donor_taxa - taxa_before) & taxa_after),
                (shares[1], taxa_before - donor_taxa, (taxa_before - donor_taxa) - taxa_after),
            ):
                set_share = len(part) / len(n_total) if n_total else np.nan
                np.testing.assert_allclose(value[i, h], set_share)


@given(arrays(float, (4, 5), elements=st.floats(-10, 10)), st.floats(-5, 5))
def test_a_shift_common_to_all_donors_cancels(scores: np.ndarray, shift: float) -> None:
    is_own = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0]], bool)
    contrasts = [
        row[is_own_donor].mean() - row[~is_own_donor].mean() for row, is_own_donor in zip(scores, is_own, strict=True)
    ]
    np.testing.assert_allclose(own_donor_contrast(scores, is_own), contrasts, atol=1e-12)
    np.testing.assert_allclose(own_donor_contrast(scores + shift, is_own), contrasts, atol=1e-10)


@pytest.mark.parametrize("planted", [0.0, 0.6])
def test_a_planted_share_of_the_donor_is_gained(planted: float) -> None:
    rng = np.random.default_rng(1)
    detected_before, donors = ((rng.random((n, 400)) < 0.3).astype(float) for n in (10, 5))
    is_own = np.eye(5, dtype=bool)[np.arange(10) % 5]
    engrafted = (rng.random((10, 400)) < planted) & (is_own.astype(float) @ donors > 0)
    excess = own_donor_contrast(
        share_gained(detected_before, np.maximum(detected_before, engrafted), donors), is_own
    ).mean()
    # Unrelated donors share three taxa in ten with the own one, and so seem to give them.
    assert excess == pytest.approx(planted * 0.7, abs=0.05)


class TestScreening:
    @pytest.fixture
    def path(self, tmp_path):
        return simulate_trial(tmp_path / "trial", Trial(n_patients=4, n_donors=3, n_taxa=40, seed=1))

    def with_record(self, path, results):
        samples = pd.read_csv(path.parent / "samples.csv", keep_default_na=False)
        samples["screening"] = samples["subject"].map(results).fillna("")
        samples.to_csv(path.parent / "samples.csv", index=False)
        rule = '  donor_cleared: {column: screening, yes: [passed], no: [failed], unknown: [""]}\n'
        path.write_text(path.read_text().replace("  donor_sample: given\n", f"{rule}  donor_sample: given\n"))
        return read_cohort(path, path.parent)

    def test_without_a_record_those_who_gave_stool_are_cleared(self, path):
        cohort = read_cohort(path, path.parent)
        assert [donor.exclusion for donor in screened_donors(cohort)] == [None, None, None]
        receiver = cohort.samples["donor_sample"].str.startswith("SIM-D03")
        course = replace(cohort.course, transplants=cohort.course.transplants.iloc[:0])
        fewer = replace(
            cohort,
            samples=cohort.samples.assign(donor_sample=cohort.samples["donor_sample"].mask(receiver, "")),
            course=course,
        )
        assert [donor.name for donor in screened_donors(fewer) if donor.exclusion] == ["SIM-D03"]

    def test_the_record_decides_where_there_is_one(self, path):
        cohort = self.with_record(path, {"SIM-D01": "passed", "SIM-D02": "failed"})
        exclusions = {donor.name: donor.exclusion for donor in screened_donors(cohort)}
        assert exclusions == {
            "SIM-D01": None,
            "SIM-D02": "not cleared by screening",
            "SIM-D03": "the result of screening is not known",
        }

    def test_a_result_without_a_meaning_is_an_error(self, path):
        cohort = self.with_record(path, {"SIM-D01": "perhaps"})
        with pytest.raises(FileError, match=r"samples.csv, row \d+, column 'screening': 'perhaps' is not listed"):
            screened_donors(cohort)
