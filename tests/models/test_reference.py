"""The reference cloud against plain loops, its laws, and the verdicts it gives many rows at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from skbio.stats.composition import clr
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from features.arrays import Matrix
from features.cohort import read_cohort
from features.landmark import LandmarkSpec, landmark_table
from features.profile_similarity import SAME_STOOL
from models.applicability import assess_applicability
from models.batch import numbers_candidate
from models.patient_input import to_model_input
from models.reference import (
    CARE_PERCENTILE,
    NEIGHBOURS,
    VERDICTS,
    Neighbours,
    ReferenceSet,
    distance_grade,
    fit_reference_set,
    profile_verdicts,
)

from .conftest import invented, trained

N_TAXA = 30
NAMES = [f"Genus{i}_species" for i in range(N_TAXA)]
COHORTS = np.array(["b"] * 20 + ["a"] * 12 + ["c"] * 3)


def profiles(n: int, seed: int, shift: float = 0.0) -> Matrix:
    rng = np.random.default_rng(seed)
    raw = rng.lognormal(0, 1.5, (n, N_TAXA)) * (rng.random((n, N_TAXA)) < np.linspace(1, 0.03, N_TAXA))
    raw[:, 1:6] *= np.exp(shift)
    raw[:, 0] += 1e-3
    closed: Matrix = raw / raw.sum(axis=1, keepdims=True)
    return closed


@pytest.fixture(scope="module")
def cloud() -> ReferenceSet:
    return fit_reference_set(profiles(len(COHORTS), 0), NAMES, COHORTS)


def coordinates(training: Matrix, rows: Matrix) -> Matrix:
    """Encode as the cloud should, with scikit-bio's CLR."""
    detected = (training > 0).mean(axis=0) >= 0.1
    closed = training[:, detected] / training[:, detected].sum(axis=1, keepdims=True)
    delta = min(closed[closed > 0].min() / 2, 0.5 / detected.sum())
    out = []
    for row in rows[:, detected]:
        shares = row / row.sum()
        out.append(clr(np.where(shares == 0, delta, shares * (1 - delta * (shares == 0).sum()))))
    return np.array(out)


def nearest(point: Matrix, other_rows: Matrix) -> float:
    return float(np.mean(sorted(float(np.linalg.norm(point - row)) for row in other_rows)[:5]))


def test_distances_are_those_of_plain_loops(cloud: ReferenceSet) -> None:
    training, new = profiles(len(COHORTS), 0), profiles(8, 1)
    assert NEIGHBOURS == 5
    points = coordinates(training, training)
    reference_distances = [nearest(point, points) for point in coordinates(training, new)]
    np.testing.assert_allclose(cloud.distances(new), reference_distances, rtol=1e-5)
    np.testing.assert_allclose(cloud.profiles, points, rtol=1e-5, atol=1e-6)
    assert cloud.profiles.dtype == np.float32


def test_similarities_are_the_audits(cloud: ReferenceSet) -> None:
    training, new = profiles(len(COHORTS), 0), profiles(8, 1)
    counted = (training > 0).mean(axis=0) >= 0.1

    def unit_rows(taxa: Matrix) -> Matrix:
        shares = taxa[:, counted] / taxa[:, counted].sum(axis=1, keepdims=True)
        return normalize(np.log1p(shares / 1e-5))

    rows = np.vstack([new, training])
    has_ten = np.count_nonzero(rows[:, counted], axis=1) >= 10
    similarity = cosine_similarity(unit_rows(rows), unit_rows(training)).max(axis=1)
    np.testing.assert_allclose(cloud.similarity(rows)[has_ten], similarity[has_ten], rtol=1e-5)
    np.testing.assert_allclose(cloud.similarity(training)[has_ten[8:]], 1, atol=1e-5)
    assert 0 < has_ten.sum() < len(rows)
    assert np.isnan(cloud.similarity(rows)[~has_ten]).all()


def test_profiles_that_all_resemble_each_other_are_not_one_stool() -> None:
    rng = np.random.default_rng(0)
    alike = 1 / N_TAXA * rng.lognormal(0, 0.3, (40, N_TAXA))
    close = fit_reference_set(alike / alike.sum(axis=1, keepdims=True), NAMES, ["x"] * 40)
    stranger = rng.lognormal(0, 0.3, (1, N_TAXA))
    assert close.similarity(stranger / stranger.sum())[0] > 0.98
    assert close.similarity(stranger / stranger.sum())[0] < close.same_stool_similarity


def test_many_patients_are_compared_some_at_a_time(monkeypatch) -> None:
    alike = 1 / N_TAXA * np.random.default_rng(0).lognormal(0, 0.3, (45, N_TAXA))
    thresholds = []
    for most_similarities in (2**24, 200, 1):
        monkeypatch.setattr("models.reference.MOST_SIMILARITIES", most_similarities)
        reference = fit_reference_set(alike / alike.sum(axis=1, keepdims=True), NAMES, ["x"] * 45)
        thresholds.append(reference.same_stool_similarity)
    assert thresholds[0] > SAME_STOOL
    np.testing.assert_allclose(thresholds[1:], thresholds[0], rtol=1e-9)


def test_a_later_stool_of_a_real_patient_is_not_the_same_and_the_same_one_is(cohorts_dir: Path) -> None:
    mitox = read_cohort("mitox", cohorts_dir)
    training = landmark_table(mitox)
    reference = fit_reference_set(training.taxa.values, training.taxa.names, ["mitox"] * len(training))
    every_visit = landmark_table(mitox, LandmarkSpec(landmark=1e6, window=2e6, row_per="visit"))
    assert every_visit.taxa.names == training.taxa.names
    matches = reference.similarity(every_visit.taxa.values) > reference.same_stool_similarity
    assert set(every_visit.rows["sample"][matches]) == set(training.rows["sample"])
    later = every_visit.rows["patient"].isin(training.rows["patient"]) & ~matches
    assert later.sum() == 25


def test_a_patients_own_distance_is_to_other_cohorts(cloud: ReferenceSet) -> None:
    points = coordinates(profiles(len(COHORTS), 0), profiles(len(COHORTS), 0))
    reference_distances = [
        nearest(point, points[cohort != COHORTS]) for point, cohort in zip(points, COHORTS, strict=True)
    ]
    np.testing.assert_allclose(cloud.held_out_distances, sorted(reference_distances), rtol=1e-5)


def test_of_one_cohort_it_is_to_the_other_patients() -> None:
    training = profiles(12, 3)
    alone = fit_reference_set(training, NAMES, ["only"] * 12)
    points = coordinates(training, training)
    reference_distances = [nearest(point, np.delete(points, i, axis=0)) for i, point in enumerate(points)]
    np.testing.assert_allclose(alone.held_out_distances, sorted(reference_distances), rtol=1e-5)
    assert alone.centres == ("only",)


def test_fewer_patients_than_neighbours_are_all_taken() -> None:
    training = profiles(3, 4)
    few = fit_reference_set(training, NAMES, ["x", "x", "y"])
    points = coordinates(training, training)
    assert few.distances(training[:1])[0] == pytest.approx(
        np.mean([np.linalg.norm(points[0] - p) for p in points]), rel=1e-5
    )
    assert few.nearest_centre(few.neighbours(training[2:])) == "y"


def test_a_cohort_of_its_own_is_nearest() -> None:
    training = np.vstack([profiles(20, 5), profiles(20, 6, shift=6.0)])
    two_cohorts = fit_reference_set(training, NAMES, ["plain"] * 20 + ["shifted"] * 20)
    new = profiles(10, 7, shift=6.0)
    centres = [two_cohorts.nearest_centre(two_cohorts.neighbours(row)) for row in new[:, None]]
    assert centres == ["shifted"] * 10


@given(distances=st.lists(st.floats(0, 100), min_size=2, max_size=20))
def test_a_percentile_is_the_share_of_left_out_distances_below(distances: list[float]) -> None:
    cloud = fit_reference_set(profiles(10, 8), NAMES, ["a"] * 10)
    percentiles = cloud.percentile(np.array(distances))
    assert percentiles == pytest.approx([100 * np.mean(cloud.held_out_distances < point) for point in distances])
    assert ((percentiles == 100) == (np.array(distances) > cloud.held_out_distances[-1])).all()


def test_a_location_has_the_distances_richness_and_similarity_of_each_profile(cloud: ReferenceSet) -> None:
    rows = profiles(12, 9)
    rows[0] = 0
    rows[1, 4:] = 0
    for row in rows[:, None]:
        neighbours, richness_percentile, similarity = cloud.locate(row)
        np.testing.assert_array_equal(neighbours, cloud.neighbours(row))
        np.testing.assert_array_equal(similarity, cloud.similarity(row)[0])
        assert richness_percentile == cloud.richness_percentile(row)[0]


def test_richness_is_of_the_taxa_that_count(cloud: ReferenceSet) -> None:
    training, new = profiles(len(COHORTS), 0), profiles(8, 1)
    detected = (training > 0).mean(axis=0) >= 0.1
    percentiles, richness = (training[:, detected] > 0).sum(axis=1), (new[:, detected] > 0).sum(axis=1)
    assert cloud.richness.tolist() == sorted(percentiles)
    assert cloud.richness_percentile(new) == pytest.approx([100 * np.mean(percentiles <= point) for point in richness])
    assert cloud.richness_percentile(np.zeros((1, N_TAXA))).tolist() == [0.0]


@given(percentile=st.floats(0, 100), sparser=st.floats(0, 100))
def test_farther_is_never_better(percentile: float, sparser: float) -> None:
    assert distance_grade(max(percentile, sparser)) >= distance_grade(min(percentile, sparser))


def test_of_patients_like_those_of_training_few_are_far() -> None:
    # As many are cautioned as the rule says: 1 in 20, and beyond them all 1 in 201.
    cloud = fit_reference_set(profiles(200, 9), NAMES, ["a"] * 200)
    percentile = cloud.percentile(cloud.distances(profiles(1000, 10)))
    assert 0.02 < (percentile > CARE_PERCENTILE).mean() < 0.09
    assert (percentile == 100).mean() < 0.02
    # Of profiles whose rare taxa are the common ones, nearly all are.
    assert (cloud.percentile(cloud.distances(profiles(200, 11)[:, ::-1])) == 100).mean() > 0.9


def test_only_names_count_not_their_order_nor_those_unseen(cloud: ReferenceSet) -> None:
    new, recognised = profiles(40, 12), np.ones(40)
    order = np.random.default_rng(0).permutation(N_TAXA)
    wider = np.column_stack([new[:, order], np.full(40, 0.5)])
    names = [*(NAMES[i] for i in order), "Unheard_of"]
    original = profile_verdicts(cloud, new, NAMES, recognised)
    assert (profile_verdicts(cloud, wider, names, recognised) == original).all()
    # A name left out is a taxon not found.
    percentiles = new.any(axis=0)
    assert (
        profile_verdicts(cloud, new[:, percentiles], [NAMES[i] for i in np.flatnonzero(percentiles)], recognised)
        == original
    ).all()


def test_verdicts_of_many_profiles_equal_the_single_assessments() -> None:
    table = invented()
    reference = fit_reference_set(table.taxa.values, table.taxa.names, ["invented"] * len(table))
    model = replace(trained("elastic_net", ("taxa",)), reference=reference)
    rng = np.random.default_rng(0)
    # Some profiles as in training, some shuffled, some of which much or most is of unknown taxa.
    labels = np.vstack([invented(seed=1).taxa.values, rng.permuted(invented(seed=2).taxa.values, axis=1)])
    labels *= rng.choice([1.0, 0.7, 0.3], (len(labels), 1), p=[0.7, 0.2, 0.1])
    names = [*table.taxa.names, "Unheard_of"]
    rows = np.column_stack([labels, 1.0 - labels.sum(axis=1).round(9)])
    one_by_one: list[Any] = []
    for row in rows:
        candidate = numbers_candidate(dict(zip(names, row.tolist(), strict=True)), {}, {}, units={})
        assert candidate.taxa is not None
        candidate = replace(candidate, taxa=replace(candidate.taxa, profiler=model.profilers[0]))
        model_input = to_model_input(candidate, model.encoder, model.units)
        one_by_one.append(
            assess_applicability(model, candidate, model_input, model.encoder.encode(model_input.values)).trust.verdict
        )
    percentiles = profile_verdicts(reference, rows, names, labels.sum(axis=1))
    assert percentiles.tolist() == one_by_one
    assert set(percentiles) == set(VERDICTS)


def test_without_a_taxon_that_is_common_enough_all_are_alike() -> None:
    bare = fit_reference_set(np.eye(20), NAMES[:20], ["a"] * 10 + ["b"] * 10)
    assert bare.profiles.shape == (20, 0)
    assert bare.percentile(bare.distances(np.eye(20))).tolist() == [0.0] * 20


def test_outcomes_of_the_nearest_equal_a_plain_loop() -> None:
    training, new = profiles(60, 13), profiles(8, 14)
    outcome, counterpart = np.arange(60) % 3 == 0, np.where(np.arange(60) % 10 == 0, np.nan, np.arange(60) % 2)
    cloud = fit_reference_set(
        training, NAMES, ["a"] * 60, {"disease_control": outcome.astype(float), "toxicity_any": counterpart}
    )
    points = coordinates(training, training)
    for row, point in zip(new[:, None], coordinates(training, new), strict=True):
        nearest = np.argsort(np.linalg.norm(points - point, axis=1))[:25]
        response, toxicity = cloud.nearest_outcomes(cloud.neighbours(row))
        assert (response.outcome, response.patients) == ("disease_control", 25)
        assert response.events == outcome[nearest].sum()
        assert toxicity.patients == np.isfinite(counterpart[nearest]).sum()
        assert toxicity.events == np.nansum(counterpart[nearest])
        reference_distances = binomtest(response.events, 25).proportion_ci(method="exact")
        assert (response.low, response.high) == pytest.approx((reference_distances.low, reference_distances.high))


def test_no_count_of_fewer_than_20_patients_is_reported() -> None:
    def reported_patients(n: int, labels: int) -> list[int]:
        outcome = np.where(np.arange(n) < labels, 1.0, np.nan)
        cloud = fit_reference_set(profiles(n, 15), NAMES, ["a"] * n, {"toxicity_any": outcome})
        return [point.patients for point in cloud.nearest_outcomes(cloud.neighbours(profiles(1, 16)))]

    assert [reported_patients(n, n) for n in (19, 20, 25, 26)] == [[], [20], [25], [25]]
    assert [reported_patients(25, labels) for labels in (19, 20)] == [[], [20]]
    everyone = Neighbours(np.arange(30), np.arange(30.0))
    assert fit_reference_set(profiles(30, 15), NAMES, ["a"] * 30).nearest_outcomes(everyone) == ()
    bare = fit_reference_set(np.eye(30), NAMES, ["a"] * 30, {"toxicity_any": np.ones(30)})
    assert bare.nearest_outcomes(everyone) == ()


def test_of_equally_far_patients_the_first_count() -> None:
    cloud = fit_reference_set(profiles(40, 17), NAMES, ["a"] * 40, {"toxicity_any": np.arange(40) < 25.0})
    equally_far = Neighbours(np.arange(40), np.ones(40))
    assert [count.events for count in cloud.nearest_outcomes(equally_far)] == [25]


@pytest.mark.parametrize("n_centres", [1, 3])
def test_a_search_of_many_patients_finds_what_comparing_all_finds(monkeypatch, n_centres: int) -> None:
    training, new = profiles(700, 18), np.vstack([profiles(25, 19), profiles(700, 18)[:5]])
    training[300:340] = training[0]
    centres = [f"centre {i % n_centres}" for i in range(700)]
    outcomes = {"toxicity_any": np.arange(700) % 2.0}

    def answers() -> list[tuple[Any, ...]]:
        reference = fit_reference_set(training, NAMES, centres, outcomes)
        results: list[tuple[Any, ...]] = []
        for row in new[:, None]:
            neighbours, _, similarity = reference.locate(row)
            results.append(
                (
                    len(neighbours.patients),
                    float(reference.distances(row)[0]),
                    reference.nearest_centre(neighbours),
                    reference.nearest_outcomes(neighbours),
                    repr(similarity),
                    reference.held_out_distances.tolist(),
                )
            )
        return results

    by_comparison = answers()
    monkeypatch.setattr("models.reference.MANY_PATIENTS", 0)
    by_search = answers()
    # To the last digit.
    assert [answer[1:] for answer in by_search] == [answer[1:] for answer in by_comparison]
    assert {n for n, *_ in by_comparison} == {700}
    assert np.median([n for n, *_ in by_search]) < 100


def test_how_much_profiles_resemble_is_estimated_from_some_of_many_patients(monkeypatch) -> None:
    alike = 1 / N_TAXA * np.random.default_rng(0).lognormal(0, 1, (600, N_TAXA))
    reference = fit_reference_set(alike / alike.sum(axis=1, keepdims=True), NAMES, ["x"] * 600)
    of_all = reference.same_stool_similarity
    monkeypatch.setattr("models.reference.COMPARED", 200)
    monkeypatch.setattr("models.reference.MANY_PATIENTS", 100)
    of_some = replace(reference).same_stool_similarity
    assert SAME_STOOL < of_some != of_all
    assert of_some == pytest.approx(of_all, abs=0.002)
