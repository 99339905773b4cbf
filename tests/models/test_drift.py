"""Drift: the index by hand, its reference against chi-squared, false alarms of few, and what has moved is found."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, fisher_exact
from statsmodels.stats.multitest import multipletests

from features.feature_table import FeatureTable
from models.applicability import assess_applicability
from models.batch import table_candidates
from models.bundle import load_bundle
from models.drift import FALSE_DISCOVERIES, ColumnDrift, DriftReport, drift, stability
from models.evidence import DEMONSTRATION, LevelCount, LevelDistribution
from models.patient_input import Candidate
from models.prediction import domain_reasons

from .conftest import complete, invented
from .test_golden import GOLDEN


def rows_of(report: DriftReport) -> dict[str, ColumnDrift]:
    return {row.name: row for row in report.columns}


def test_the_stability_index_is_the_sum_over_bins() -> None:
    trained, now = np.array([10, 10, 20]), np.array([1, 0, 9])
    a, b = np.array([10.5, 10.5, 20.5]) / 41.5, np.array([1.5, 0.5, 9.5]) / 11.5
    reference_value = sum((x - y) * np.log(x / y) for x, y in zip(a, b, strict=True))
    assert stability(trained, now).psi == pytest.approx(reference_value)
    assert stability(trained * 100, trained * 100) == pytest.approx((0.0, 0.0, 1.0), abs=1e-2)


def test_by_chance_it_is_a_scaled_chi_squared_of_many_patients() -> None:
    trained, now = np.full(10, 500), np.full(10, 200)
    report = stability(trained, now)
    assert report.null_mean == pytest.approx(9 * (1 / 5000 + 1 / 2000), rel=0.03)
    shifted_counts = now + np.array([30, -30, 0, 0, 0, 0, 0, 0, 0, 0])
    report = stability(trained, shifted_counts)
    assert report.p == pytest.approx(chi2.sf(report.psi / (1 / 5000 + 1 / 2000), 9), abs=0.02)


def test_few_patients_reach_the_usual_threshold_by_chance_and_are_not_flagged_for_it() -> None:
    rng, high, n_significant = np.random.default_rng(0), 0, 0
    for seed in range(200):
        values = rng.normal(size=60)
        edges = np.quantile(values, np.arange(0.1, 1, 0.1))
        trained, now = (np.bincount(np.searchsorted(edges, v), minlength=10) for v in (values, rng.normal(size=20)))
        report = stability(trained, now, seed=seed)
        high += report.psi >= 0.25
        n_significant += report.p < 0.05
    assert high > 100
    assert n_significant <= 18


def shifted(seed: int = 4) -> FeatureTable:
    """Return other patients, older, with ten times the IL-8 and without the second taxon."""
    table = invented(40, seed=seed)
    immune, clinical, taxa = table.immune.values.copy(), table.clinical.values.copy(), table.taxa.values.copy()
    immune[:, 1] *= 10
    clinical[:, 0] += 15
    taxa[:, 1] = 0
    return replace(
        table,
        immune=replace(table.immune, values=immune),
        clinical=replace(table.clinical, values=clinical),
        taxa=replace(table.taxa, values=taxa / taxa.sum(axis=1, keepdims=True)),
    )


def test_only_shifted_columns_and_taxa_drift() -> None:
    report = drift(complete("elastic_net"), list(table_candidates(shifted())))
    readings = {name: row.reading for name, row in rows_of(report).items()}
    assert readings == {
        **dict.fromkeys(("IL-8", "age"), "much drift"),
        **dict.fromkeys(("IL-6", "IL-10", "CD40L", "IL6 mRNA", "sex"), "no drift detected"),
    }
    assert [row.name for row in report.taxa if row.drifted] == ["Genus1_species1"]
    assert report.taxa[0].difference < -0.8
    assert report.patients == sum(report.verdicts.values()) == 40
    json.dumps(asdict(report), allow_nan=False)


def test_patients_like_the_training_patients_show_no_drift() -> None:
    report = drift(complete("elastic_net"), list(table_candidates(invented(40, seed=8))))
    assert {row.reading for row in report.columns} == {"no drift detected"}
    assert not any(row.drifted for row in report.taxa)


def test_counts_p_and_q_are_those_of_other_libraries() -> None:
    table, training = shifted(), invented()
    report = drift(complete("elastic_net"), list(table_candidates(table)))

    measured_ages = training.clinical.values[:, 0][~np.isnan(training.clinical.values[:, 0])]
    edges = [
        -np.inf,
        *(float(f"{position:.3g}") for position in np.quantile(measured_ages, np.arange(1, 10) / 10)),
        np.inf,
    ]

    def bins(values: NDArray[np.float64]) -> NDArray[np.int_]:
        return np.array([((values > low) & (values <= high)).sum() for low, high in pairwise(edges)])

    age = rows_of(report)["age"]
    trained, now = (bins(table_side.clinical.values[:, 0]) for table_side in (training, table))
    assert (age.training_patients, age.candidates) == (trained.sum(), now.sum())
    assert age.psi == stability(trained, now).psi
    sex = rows_of(report)["sex"]
    assert (
        sex.psi
        == stability(
            *(table_side.clinical.values[:, 1:].sum(axis=0).astype(int) for table_side in (training, table))
        ).psi
    )
    carriers = {
        name: [(table_side.taxa.values[:, position] > 0).sum() for table_side in (table, training)]
        for position, name in enumerate(training.taxa.names)
    }
    for row in report.taxa:
        now_, then = carriers[row.name]
        assert row.p == pytest.approx(fisher_exact([[now_, 40 - now_], [then, 60 - then]]).pvalue)
        assert row.difference == pytest.approx(now_ / 40 - then / 60)
    for rows in (report.columns, report.taxa):
        reference_value = multipletests([row.p for row in rows], FALSE_DISCOVERIES, "fdr_bh")[1]
        assert [row.q for row in rows] == pytest.approx(reference_value.tolist())
        assert [row.p for row in rows] == sorted(row.p for row in rows)


def test_a_number_above_1_counts_as_1_in_a_binary_column() -> None:
    model = complete("elastic_net")
    assert model.validation is not None
    distributions = model.validation.distributions
    levels = LevelDistribution(55, {"0": LevelCount(40, 40 / 55), "1": LevelCount(15, 15 / 55)})
    changed_distributions = replace(distributions, clinical={**distributions.clinical, "age": levels})
    changed_model = replace(model, validation=replace(model.validation, distributions=changed_distributions))
    ages = [*[0.0] * 3, *[1.0] * 2, *[3.0] * 4]
    row = rows_of(drift(changed_model, [Candidate({"age": age}) for age in ages]))["age"]
    assert row.psi == stability(np.array([40, 15]), np.array([3, 6])).psi
    assert (row.training_patients, row.candidates) == (55, 9)


def test_candidates_without_stool_have_no_taxon_drift() -> None:
    report = drift(complete("elastic_net"), [Candidate({"age": 60}), Candidate({"age": 70})])
    assert report.taxa == ()
    assert [row.name for row in report.columns] == ["age"]
    assert report.verdicts == {"ok": 0, "use with care": 0, "abstain": 2}


def test_without_candidates_the_report_is_empty() -> None:
    report = drift(complete("elastic_net"), [])
    assert report == DriftReport(0, {"ok": 0, "use with care": 0, "abstain": 0}, (), ())


def test_an_old_model_has_verdicts_alone() -> None:
    report = drift(load_bundle(GOLDEN / "protocol_1_elastic_net"), list(table_candidates(invented(5, 8))))
    assert (report.patients, report.columns, report.taxa) == (5, (), ())
    assert sum(report.verdicts.values()) == 5


def test_the_models_own_evidence_is_no_reservation_about_a_patient() -> None:
    model, (candidate, *_) = complete("elastic_net"), table_candidates(invented(40, seed=8))
    evidence = replace(model.evidence, simulated=True, beats_chance=False, sentence="no evidence")
    model_input = model.model_input(candidate)
    encoded = model.encoder.encode(model_input.values)
    trust = assess_applicability(replace(model, evidence=evidence), candidate, model_input, encoded).trust
    assert {"no evidence", f"the model {DEMONSTRATION}"} < set(trust.reasons)
    reasons = domain_reasons(trust, evidence)
    assert len(reasons) == len(trust.reasons) - 2
    assert not {"no evidence", f"the model {DEMONSTRATION}"} & set(reasons)
