"""Aggregates against pandas, NumPy and statsmodels; their laws, above all that none tells of one patient."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

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
from models.joint import CELLS
from models.rates import event_rate, similar_predictions
from training.evidence.aggregates import (
    FEWEST,
    FEWEST_BEYOND,
    QUANTILES,
    by_answer,
    distributions,
    known_outcomes,
    odds_ratios,
    rates,
    together,
)

OUTCOME = "objective_response"
HAD = pd.Index([True, False])


def labelled(table, **columns):
    rows = table.rows.copy()
    for name, values in columns.items():
        rows[name] = pd.array(values, dtype="boolean")
    return replace(table, rows=rows)


def test_rates_count_each_cohort_and_all():
    y = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0], dtype=float)
    cohorts = np.array(["b"] * 5 + ["a"] * 6, dtype=object)
    found = rates(y, cohorts)
    assert found["cohorts"] == [
        {"cohort": "b", **asdict(event_rate(2, 5))},
        {"cohort": "a", **asdict(event_rate(1, 6))},
    ]
    assert found["overall"] == asdict(event_rate(3, 11))
    assert found["random_effects"]["k"] == 2
    assert found["random_effects"]["low"] < found["random_effects"]["mean"] < found["random_effects"]["high"]


def test_of_one_cohort_nothing_is_said_of_another():
    found = rates(np.arange(30) % 3 == 0, np.full(30, "a", dtype=object))
    assert (found["random_effects"]["k"], found["random_effects"]["prediction_low"]) == (1, None)


def test_response_and_toxicity_are_counted_as_a_crosstab_does(cohorts_dir):
    tables = [landmark_table(read_cohort(name, cohorts_dir, fetch=False)) for name in ("mitox", "lee_2022")]
    table = pool_tables(tables)
    table = table.take(table.rows[OUTCOME].notna().to_numpy())
    found = together(table, OUTCOME)
    assert found["reason"] is None
    assert [(one["response"], one["toxicity"]) for one in found["tables"]] == [
        (OUTCOME, f"toxicity_{grade}") for grade in ("any", "2", "3")
    ]
    for one in found["tables"]:
        rows = table.rows[table.rows[one["toxicity"]].notna()]
        counted = [(one["overall"], rows), *((c, rows[rows["centre"] == c["cohort"]]) for c in one["cohorts"])]
        for counts, mine in counted:
            cross = pd.crosstab(mine[OUTCOME], mine[one["toxicity"]]).reindex(index=HAD, columns=HAD, fill_value=0)
            alone, both, neither, harm = (counts[name]["events"] for name in CELLS)
            assert [[both, alone], [harm, neither]] == cross.to_numpy().tolist()
            assert counts["patients"] == len(mine) == alone + both + neither + harm
        assert sum(c["patients"] for c in one["cohorts"]) == one["overall"]["patients"]
        # The same counts, asked from the other side.
        kept = table.take(table.rows[one["toxicity"]].notna().to_numpy())
        again = next(two for two in together(kept, one["toxicity"])["tables"] if two["response"] == OUTCOME)
        assert again == one


def test_the_odds_ratio_is_mantel_and_haenszels_and_not_of_cohorts_rates(table):
    rng = np.random.default_rng(0)
    table = table.take(np.arange(200) % len(table))
    second = np.arange(200) >= 100
    response, harm = (rng.random(200) < np.where(second, 0.8, 0.2) for _ in range(2))
    rows = table.rows.assign(centre=np.where(second, "a", "b"))
    found = together(labelled(replace(table, rows=rows), **{OUTCOME: response, "toxicity_any": harm}), OUTCOME)
    one = next(one for one in found["tables"] if one["toxicity"] == "toxicity_any")
    each = [pd.crosstab(response[mine], harm[mine]).to_numpy() for mine in (~second, second)]
    expected = StratifiedTable([counts.astype(float) for counts in each])
    assert one["odds_ratio"]["value"] == pytest.approx(expected.oddsratio_pooled)
    assert (one["odds_ratio"]["low"], one["odds_ratio"]["high"]) == pytest.approx(
        expected.oddsratio_pooled_confint(), rel=1e-6
    )
    whole = sum(each)
    assert whole[0, 0] * whole[1, 1] / whole[0, 1] / whole[1, 0] > 3 * one["odds_ratio"]["value"]
    said = {(ratio["response"], ratio["toxicity"]): ratio for ratio in odds_ratios(found)}
    assert said[OUTCOME, "toxicity_any"] == {
        "response": OUTCOME, "toxicity": "toxicity_any", "patients": 200, **one["odds_ratio"]
    }  # fmt: skip


def test_an_odds_ratio_of_few_patients_is_not_carried_over(table):
    rng = np.random.default_rng(1)
    for n, expected in ((99, 0), (100, 1)):
        known = np.where(np.arange(120) < n, rng.random(120) < 0.5, None)
        mine = labelled(
            table.take(np.arange(120) % len(table)),
            **{OUTCOME: rng.random(120) < 0.5, "toxicity_any": known},
            **dict.fromkeys(("toxicity_2", "toxicity_3"), [None] * 120),
        )
        assert len(odds_ratios(together(mine, OUTCOME))) == expected


def test_no_cohort_with_both_is_said(table):
    alone = labelled(table, **{f"toxicity_{grade}": [None] * len(table) for grade in ("any", "2", "3")})
    assert together(alone, OUTCOME) == {
        "tables": [],
        "reason": "no cohort tells the toxicity of the patients whose objective_response is known",
    }
    assert list(known_outcomes(alone, OUTCOME)) == [OUTCOME]


answers = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=40, max_size=200)


@given(drawn=answers)
def test_every_patient_falls_in_the_group_that_counts_him(drawn):
    p, y = np.array([(one / 30, had) for one, had in drawn]).T
    groups = by_answer(y, p)
    assert 1 <= len(groups) <= 5
    assert [group["from"] for group in groups] == [0.0, *(group["to"] for group in groups[:-1])]
    assert groups[-1]["to"] == 1.0
    mine = [similar_predictions({"by_answer": groups}, one) for one in p]
    for group in groups:
        inside = np.array([one is group for one in mine])
        assert group["patients"] == inside.sum() >= FEWEST
        assert group["events"] == y[inside].sum()
    assert by_answer(y[::-1], p[::-1]) == groups


@pytest.mark.parametrize(("n", "sizes"), [(39, []), (40, [20, 20]), (99, [24, 25, 25, 25]), (104, [20, 21] * 2 + [21])])
def test_groups_are_as_many_and_as_equal_as_patients_allow(n, sizes):
    groups = by_answer(np.zeros(n), np.random.default_rng(0).random(n))
    assert (
        sorted(group["patients"] for group in groups) == sorted(sizes)
        or max(abs(group["patients"] - n / len(sizes)) for group in groups) <= 1
    )
    assert len(groups) == len(sizes)


def test_one_answer_for_all_is_one_group():
    assert by_answer(np.arange(60) % 4 == 0, np.full(60, 0.3)) == [
        {"from": 0.0, "to": 1.0, **asdict(event_rate(15, 60))}
    ]


@pytest.fixture(scope="module")
def described(table):
    encoder = BlockEncoder(("taxa", "immune", "clinical"))
    encoder.fit(table)
    return distributions(table, encoder), encoder


def test_distributions_are_of_all_that_the_model_reads(table, described):
    found, encoder = described
    assert list(found["taxa"]) == list(encoder.used_["taxa"])
    assert list(found["immune"]) == list(encoder.used_["immune"])
    assert set(found["clinical"]) == {name.partition("=")[0] for name in encoder.used_["clinical"]}
    json.dumps(found, allow_nan=False)
    for name, one in found["taxa"].items():
        values = table.taxa.values[:, table.taxa.names.index(name)]
        assert one["carriers"] == (values > 0).sum()
        assert one["prevalence"] == pytest.approx((values > 0).mean())
        if one["carriers"] >= FEWEST:
            assert one["quantiles"]["50"] == pytest.approx(np.median(values[values > 0]), rel=5e-3)
    age = table.clinical.values[:, table.clinical.names.index("age")]
    assert found["clinical"]["age"]["quantiles"]["25"] == pytest.approx(np.nanquantile(age, 0.25), rel=5e-3)
    assert found["clinical"]["age"]["measured"] == np.isfinite(age).sum()
    sex = found["clinical"]["sex"]["levels"]
    assert sum(one["patients"] for one in sex.values()) == found["clinical"]["sex"]["measured"]
    assert sum(one["share"] for one in sex.values()) == pytest.approx(1)
    assert found["clinical"]["sex"]["measured"] == found["patients"] == len(table)


numbers = st.lists(
    # pandas.cut, beside which they are counted, does not take subnormal numbers.
    st.one_of(
        st.floats(0, 100, allow_subnormal=False),
        st.integers(0, 3).map(float),
        st.sampled_from([-np.inf, np.inf, np.nan]),
    ),
    min_size=1,
    max_size=150,
)


def of(table, values, name="albumin"):
    """Return the distribution of one clinical column."""
    values = np.asarray(values, dtype=float)
    block = Block((name,), values[:, None])
    mine = replace(table.take(np.zeros(len(values), dtype=int)), clinical=block)
    encoder = BlockEncoder(("clinical",))
    encoder.fit(replace(mine, clinical=replace(block, values=np.zeros_like(block.values))))
    return distributions(mine, encoder)["clinical"][name]


@given(values=numbers)
def test_no_number_tells_of_fewer_than_five_patients(table, values):
    found = of(table, values)
    if "levels" in found:
        return
    values = np.array(values)[~np.isnan(values)]
    finite = values[np.isfinite(values)]
    assert (found["measured"], found["below"] + found["above"]) == (len(values), len(values) - len(finite))
    if len(values) < FEWEST or not len(finite):
        assert (found["quantiles"], found["bins"]) == (None, None)
        return
    limited = np.clip(values, finite.min(), finite.max())
    for level in QUANTILES:
        at, exact = found["quantiles"][str(level)], float(np.quantile(limited, level / 100))
        assert (at is None) == (min((limited <= exact).sum(), (limited >= exact).sum()) < FEWEST_BEYOND)
        assert at is None or at == float(np.format_float_scientific(exact, precision=2, unique=False))
    edges, patients = found["bins"]["edges"], found["bins"]["patients"]
    assert patients == pd.cut(limited, [-np.inf, *edges, np.inf]).value_counts().tolist()
    assert found["quantiles"]["50"] in edges


def test_an_extreme_is_given_only_where_many_share_it(table):
    distinct = of(table, np.arange(100.0))["quantiles"]
    assert (distinct["0"], distinct["100"], distinct["5"]) == (None, None, 4.95)
    shared = of(table, np.maximum(np.arange(100.0), 4))["quantiles"]
    assert (shared["0"], shared["100"]) == (4.0, None)
    assert of(table, np.arange(40.0))["quantiles"]["5"] is None
    assert of(table, np.arange(19.0)) | {"quantiles": None} == of(table, np.arange(19.0))


def test_a_column_of_yes_and_no_has_levels(table):
    yes = np.where(np.arange(60) % 10 == 0, np.nan, np.arange(60) % 3 == 0)
    levels = of(table, yes, "ppi")["levels"]
    assert {level: one["patients"] for level, one in levels.items()} == {
        "0": int((yes == 0).sum()),
        "1": int((yes == 1).sum()),
    }
    assert of(table, yes[:20], "ppi") == {"measured": 18, "levels": None}
