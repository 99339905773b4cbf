"""Rates, joint counts and distributions against pandas, NumPy and statsmodels; none reveals one patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import StratifiedTable

from features.cohort import read_cohort
from features.feature_table import Block
from features.landmark import landmark_table
from features.pooling import pool_tables
from models.encoder import BlockEncoder
from models.evidence import CentreRate, JointCounts, LevelDistribution, ProbabilityGroup
from models.rates import event_rate, similar_predictions
from training.evidence.disclosure import FEWEST, FEWEST_BEYOND, PERCENTAGES
from training.evidence.distributions import training_distributions
from training.evidence.joint_counts import count_response_and_toxicity, known_outcomes, transferable_odds_ratios
from training.evidence.rates import outcome_rates, outcomes_by_probability

from .validations import LOCO

OUTCOME = "objective_response"
TRUE_FALSE = pd.Index([True, False])


def label(table, **columns):
    """Return a table with other labels."""
    rows = table.rows.copy()
    for name, values in columns.items():
        rows[name] = pd.array(values, dtype="boolean")
    return replace(table, rows=rows)


def test_rates_count_each_cohort_and_all():
    y = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0], dtype=float)
    cohorts = np.array(["b"] * 5 + ["a"] * 6, dtype=object)
    rates = outcome_rates(y, cohorts)
    assert rates.centres == (CentreRate("b", event_rate(2, 5)), CentreRate("a", event_rate(1, 6)))
    assert rates.overall == event_rate(3, 11)
    assert rates.random_effects.k == 2
    assert rates.random_effects.low < rates.random_effects.mean < rates.random_effects.high


def test_one_cohort_has_no_prediction_interval():
    rates = outcome_rates(np.arange(30) % 3 == 0, np.full(30, "a", dtype=object))
    assert (rates.random_effects.k, rates.random_effects.prediction_low) == (1, None)


def test_response_and_toxicity_are_counted_as_a_crosstab_does(cohorts_dir):
    tables = [landmark_table(read_cohort(name, cohorts_dir, fetch=False)) for name in ("mitox", "lee_2022")]
    table = pool_tables(tables)
    table = table.take(table.rows[OUTCOME].notna().to_numpy())
    counts = count_response_and_toxicity(table, OUTCOME)
    assert counts.reason is None
    toxicities = [f"toxicity_{grade}" for grade in ("any", "2", "3")]
    assert [(joint.response, joint.toxicity) for joint in counts.tables] == [(OUTCOME, name) for name in toxicities]
    for joint in counts.tables:
        rows = table.rows[table.rows[joint.toxicity].notna()]
        cohorts = [(centre.cells, rows[rows["centre"] == centre.centre]) for centre in joint.centres]
        for cells, subset in ((joint.overall, rows), *cohorts):
            cross = pd.crosstab(subset[OUTCOME], subset[joint.toxicity]).reindex(
                index=TRUE_FALSE, columns=TRUE_FALSE, fill_value=0
            )
            benefit, harm = cells.response_without_toxicity.events, cells.toxicity_without_response.events
            response_and_toxicity, neither = cells.response_with_toxicity.events, cells.no_response_no_toxicity.events
            assert [[response_and_toxicity, benefit], [harm, neither]] == cross.to_numpy().tolist()
            assert cells.patients == len(subset) == benefit + response_and_toxicity + neither + harm
        assert sum(centre.cells.patients for centre in joint.centres) == joint.overall.patients
        # The same counts for an outcome of the other side.
        table_with_toxicity = table.take(table.rows[joint.toxicity].notna().to_numpy())
        reverse = count_response_and_toxicity(table_with_toxicity, joint.toxicity).tables
        assert next(reversed_table for reversed_table in reverse if reversed_table.response == OUTCOME) == joint


def test_the_odds_ratio_is_pooled_within_cohorts(table):
    rng = np.random.default_rng(0)
    table = table.take(np.arange(200) % len(table))
    second = np.arange(200) >= 100
    response, harm = (rng.random(200) < np.where(second, 0.8, 0.2) for _ in range(2))
    rows = table.rows.assign(centre=np.where(second, "a", "b"))
    counts = count_response_and_toxicity(
        label(replace(table, rows=rows), **{OUTCOME: response, "toxicity_any": harm}), OUTCOME
    )
    joint = next(joint for joint in counts.tables if joint.toxicity == "toxicity_any")
    strata = [pd.crosstab(response[mask], harm[mask]).to_numpy() for mask in (~second, second)]
    stratified = StratifiedTable([stratum.astype(float) for stratum in strata])
    odds_ratio = joint.odds_ratio
    assert odds_ratio.value == pytest.approx(stratified.oddsratio_pooled)
    assert (odds_ratio.low, odds_ratio.high) == pytest.approx(stratified.oddsratio_pooled_confint(), rel=1e-6)
    crude = sum(strata)
    assert crude[0, 0] * crude[1, 1] / crude[0, 1] / crude[1, 0] > 3 * odds_ratio.value
    (transferable,) = [ratio for ratio in transferable_odds_ratios(counts) if ratio.toxicity == "toxicity_any"]
    assert (transferable.response, transferable.patients) == (OUTCOME, 200)
    assert (transferable.value, transferable.low, transferable.high) == (
        odds_ratio.value,
        odds_ratio.low,
        odds_ratio.high,
    )


def test_an_odds_ratio_of_few_patients_is_not_transferred(table):
    rng = np.random.default_rng(1)
    for n, n_odds_ratios in ((99, 0), (100, 1)):
        toxicity = np.where(np.arange(120) < n, rng.random(120) < 0.5, None)
        labelled = label(
            table.take(np.arange(120) % len(table)),
            **{OUTCOME: rng.random(120) < 0.5, "toxicity_any": toxicity},
            **dict.fromkeys(("toxicity_2", "toxicity_3"), [None] * 120),
        )
        assert len(transferable_odds_ratios(count_response_and_toxicity(labelled, OUTCOME))) == n_odds_ratios


def test_cohorts_that_report_one_side_only_have_no_table(table):
    one_side = label(table, **{f"toxicity_{grade}": [None] * len(table) for grade in ("any", "2", "3")})
    reason = "no cohort reports the toxicity of the patients whose objective_response is known"
    assert count_response_and_toxicity(one_side, OUTCOME) == JointCounts((), reason)
    assert list(known_outcomes(one_side, OUTCOME)) == [OUTCOME]


predictions = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=40, max_size=200)


@given(predictions=predictions)
def test_every_patient_falls_into_the_group_that_counts_him(predictions):
    probability, y = np.array([(value / 30, event) for value, event in predictions]).T
    groups = outcomes_by_probability(y, probability)
    assert 1 <= len(groups) <= 5
    starts = [group.probability_from for group in groups]
    assert starts == [0.0, *(group.probability_to for group in groups[:-1])]
    assert groups[-1].probability_to == 1.0
    validation = replace(LOCO, outcomes_by_probability=groups)
    memberships = [similar_predictions(validation, value) for value in probability]
    for group in groups:
        members = np.array([membership is group for membership in memberships])
        assert group.outcomes.patients == members.sum() >= FEWEST
        assert group.outcomes.events == y[members].sum()
        assert group.mean_probability == pytest.approx(probability[members].mean())
    assert outcomes_by_probability(y[::-1], probability[::-1]) == groups


@pytest.mark.parametrize(("n", "sizes"), [(39, []), (40, [20, 20]), (99, [24, 25, 25, 25]), (104, [20, 21] * 2 + [21])])
def test_groups_are_as_many_and_as_equal_as_patients_allow(n, sizes):
    groups = outcomes_by_probability(np.zeros(n), np.random.default_rng(0).random(n))
    patients = [group.outcomes.patients for group in groups]
    assert len(patients) == len(sizes)
    assert sorted(patients) == sorted(sizes) or max(abs(size - n / len(sizes)) for size in patients) <= 1


def test_equal_probabilities_form_one_group():
    (group,) = outcomes_by_probability(np.arange(60) % 4 == 0, np.full(60, 0.3))
    assert group == ProbabilityGroup(0.0, 1.0, event_rate(15, 60), pytest.approx(0.3))


@pytest.fixture(scope="module")
def fitted_encoder(table):
    return BlockEncoder(("taxa", "immune", "clinical")).fit(table)


def test_every_column_that_the_model_reads_has_a_distribution(table, fitted_encoder):
    distributions = training_distributions(table, fitted_encoder)
    assert list(distributions.taxa) == list(fitted_encoder.used_["taxa"])
    assert list(distributions.immune) == list(fitted_encoder.used_["immune"])
    assert set(distributions.clinical) == {name.partition("=")[0] for name in fitted_encoder.used_["clinical"]}
    for name, taxon in distributions.taxa.items():
        values = table.taxa.values[:, table.taxa.names.index(name)]
        assert taxon.carriers == (values > 0).sum()
        assert taxon.prevalence == pytest.approx((values > 0).mean())
        if taxon.carriers >= FEWEST:
            assert taxon.quantiles[50] == pytest.approx(np.median(values[values > 0]), rel=5e-3)
    age = table.clinical.values[:, table.clinical.names.index("age")]
    assert distributions.clinical["age"].quantiles[25] == pytest.approx(np.nanquantile(age, 0.25), rel=5e-3)
    assert distributions.clinical["age"].measured == np.isfinite(age).sum()
    sex = distributions.clinical["sex"]
    assert sum(count.patients for count in sex.levels.values()) == sex.measured
    assert sum(count.share for count in sex.levels.values()) == pytest.approx(1)
    assert sex.measured == distributions.patients == len(table)


numbers = st.lists(
    # pandas.cut, the yardstick below, does not accept subnormal numbers.
    st.one_of(
        st.floats(0, 100, allow_subnormal=False),
        st.integers(0, 3).map(float),
        st.sampled_from([-np.inf, np.inf, np.nan]),
    ),
    min_size=1,
    max_size=150,
)


def clinical_distribution(table, values, name="albumin"):
    """Return the distribution of one clinical column."""
    values = np.asarray(values, dtype=float)
    block = Block((name,), values[:, None])
    table = replace(table.take(np.zeros(len(values), dtype=int)), clinical=block)
    encoder = BlockEncoder(("clinical",))
    encoder.fit(replace(table, clinical=replace(block, values=np.zeros_like(block.values))))
    return training_distributions(table, encoder).clinical[name]


@given(values=numbers)
def test_no_number_reveals_fewer_than_five_patients(table, values):
    column = clinical_distribution(table, values)
    if isinstance(column, LevelDistribution):
        return
    values = np.array(values)[~np.isnan(values)]
    finite = values[np.isfinite(values)]
    assert (column.measured, column.below + column.above) == (len(values), len(values) - len(finite))
    if len(values) < FEWEST or not len(finite):
        assert (column.quantiles, column.histogram) == (None, None)
        return
    clipped = np.clip(values, finite.min(), finite.max())
    for percentage in PERCENTAGES:
        quantile, exact = column.quantiles[percentage], float(np.quantile(clipped, percentage / 100))
        assert (quantile is None) == (min((clipped <= exact).sum(), (clipped >= exact).sum()) < FEWEST_BEYOND)
        assert quantile is None or quantile == float(np.format_float_scientific(exact, precision=2, unique=False))
    edges = column.histogram.edges
    assert list(column.histogram.patients) == pd.cut(clipped, [-np.inf, *edges, np.inf]).value_counts().tolist()
    assert column.quantiles[50] in edges


def test_an_extreme_is_reported_only_if_many_share_it(table):
    distinct = clinical_distribution(table, np.arange(100.0)).quantiles
    assert (distinct[0], distinct[100], distinct[5]) == (None, None, 4.95)
    shared = clinical_distribution(table, np.maximum(np.arange(100.0), 4)).quantiles
    assert (shared[0], shared[100]) == (4.0, None)
    assert clinical_distribution(table, np.arange(40.0)).quantiles[5] is None
    assert clinical_distribution(table, np.arange(19.0)).quantiles is None


def test_a_column_of_0_and_1_has_levels(table):
    values = np.where(np.arange(60) % 10 == 0, np.nan, np.arange(60) % 3 == 0)
    levels = clinical_distribution(table, values, "ppi").levels
    counts = {"0": int((values == 0).sum()), "1": int((values == 1).sum())}
    assert {level: count.patients for level, count in levels.items()} == counts
    assert clinical_distribution(table, values[:20], "ppi") == LevelDistribution(18, None)
