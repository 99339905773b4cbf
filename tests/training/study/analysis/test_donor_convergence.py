"""Donor-specific convergence of a published cohort, against distances by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from training.study.analysis.donor_convergence import ConvergenceResults
from training.study.analysis.donor_sensitivity import jaccard
from training.study.analysis.donors import DonorResults, analyse_donors


@pytest.fixture(scope="module")
def davar(cohorts_dir: Path) -> Cohort:
    return read_cohort("davar_2021", cohorts_dir, fetch=False)


@pytest.fixture(scope="module")
def convergence(davar: Cohort) -> ConvergenceResults:
    results = analyse_donors(davar)
    assert isinstance(results, DonorResults)
    return results.convergence


def test_samples_too_shallow_to_compare_have_no_jaccard_distance() -> None:
    distances = jaccard(np.array([[1, 1, 0], [np.nan] * 3, [1, 0, 0]]))
    assert distances[0, 2] == 0.5
    assert np.isnan(distances[1]).all()
    assert np.isnan(distances[:, 1]).all()


def test_davars_recipients_converge_on_their_donors(convergence: ConvergenceResults) -> None:
    change = convergence.change
    assert (change.n, change.n_donors) == (15, 7)
    assert change.recipient_mean.value == pytest.approx(-0.0771, abs=1e-4)
    assert change.donor_mean.value == pytest.approx(-0.0758, abs=1e-4)
    assert change.recipient_mean.low < change.recipient_mean.high < 0


def test_davars_recipients_end_no_nearer_to_their_donors_than_to_others(convergence: ConvergenceResults) -> None:
    after = convergence.distance_after.difference.recipient_mean
    assert (after.value, after.low, after.high) == pytest.approx((-0.027, -0.139, 0.084), abs=5e-4)


def test_davars_convergence_by_response(convergence: ConvergenceResults) -> None:
    assert convergence.by_response is not None
    difference = convergence.by_response.difference
    assert convergence.by_response.outcome == "objective_response"
    assert difference.n == (3, 12)
    weighted = np.average(difference.means, weights=difference.n)
    assert weighted == pytest.approx(convergence.change.recipient_mean.value)
    assert difference.difference.low < difference.difference.value < difference.difference.high


def test_a_recipient_of_unknown_response_is_left_out_of_the_comparison_by_response(davar: Cohort) -> None:
    flags = davar.labels.label_by_outcome["objective_response"].copy()
    flags.loc[flags[flags == False].index[0]] = pd.NA  # noqa: E712
    labels = replace(davar.labels, label_by_outcome={"objective_response": flags})
    results = analyse_donors(replace(davar, labels=labels))
    assert isinstance(results, DonorResults)
    assert results.convergence.by_response is not None
    assert results.convergence.by_response.difference.n == (3, 11)


def test_davars_similar_recipients_are_left_out_in_turn(convergence: ConvergenceResults) -> None:
    variants = [result.variant for result in convergence.sensitivity]
    # The audit finds two patients with similar stool.
    assert variants.count("without recipient") == 2


def test_davars_changes_agree_with_distances_by_hand(
    davar: Cohort, convergence: ConvergenceResults, cohorts_dir: Path
) -> None:
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t").set_index("ncbi_accession")
    subject = sheet.set_index("sample_id")["subject_id"]
    samples, proportions = davar.samples, davar.taxa.proportions().values.astype(float)
    donors = samples[samples["donor"]]

    def to_donors(row: int) -> pd.Series:
        distances = [np.abs(proportions[row] - proportions[donor]).sum() / 2 for donor in donors.index]
        return pd.Series(distances, index=donors["patient"])

    expected = []
    for index in range(len(convergence.recipients)):
        patient = list(dict.fromkeys(davar.labels.label_by_outcome["objective_response"].index))[index]
        rows = samples[samples["patient"] == patient]
        own_donor = subject[sheet.loc[rows["sample"], "fmt_id"].dropna().iloc[0]]
        later = [to_donors(row) for row in rows.index[rows["day"].between(7, 28)]]
        baseline = to_donors(rows.index[rows["day"] <= 0][-1])
        change = (pd.concat(later, axis=1).mean(axis=1) - baseline).groupby(level=0).mean()
        expected.append(change[own_donor] - change.drop(own_donor).mean())
    differences = [recipient.difference for recipient in convergence.recipients]
    np.testing.assert_allclose(differences, expected, atol=1e-6)
