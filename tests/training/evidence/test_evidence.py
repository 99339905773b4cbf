"""What evidence says of left-out predictions, in every shape that cohorts come in, and to everyone who reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score

from features.feature_table import Block, FeatureTable
from training.evidence.card import model_card
from training.evidence.evidence import (
    Circumstances,
    Evidence,
    evidence_of,
    left_out_predictions,
    main_scheme,
    run_metrics,
)
from training.evidence.promotion import gates
from training.validation.baselines import validate_baselines
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import HeldOut, ValidatedFamily, validate
from training.validation.permutation_null import NullDistributions, best_model_null, permutation_nulls

from .validations import loco

AROUND = Circumstances("objective_response", 2, False, ("a note",), (), {"experiments": 0, "models": 0}, 0)
LEVEL = NullDistributions(np.full(99, 0.5), np.full(99, 0.5), 2)
"""A null that any AUROC above a half exceeds: p = 0.01."""


@dataclass(frozen=True)
class Case:
    """A table with its outcomes, and what was validated on it."""

    table: FeatureTable
    y: np.ndarray
    plan: FitConfig
    found: ValidatedFamily
    beside: dict[str, list[HeldOut]]
    null: NullDistributions | None = None

    def evidence(self, **changes: Any) -> Evidence:
        said = {"left_out": self.found.held_out, "beside": self.beside, "null": self.null, "around": AROUND, **changes}
        return evidence_of(self.table, self.y, self.plan, "elastic_net", fit=self.found.fit, **said)


def dealt(table: FeatureTable, *cohorts: str) -> FeatureTable:
    """The same patients, dealt out to cohorts in turn."""
    names = np.array(cohorts, dtype=object)[np.arange(len(table)) % len(cohorts)]
    about = next(iter(table.cohorts.values()))
    rows = table.rows.assign(cohort=names, centre=names)
    return replace(table, rows=rows, cohorts=dict.fromkeys(cohorts, about))


def validated(table: FeatureTable, plan: FitConfig, y: np.ndarray | None = None, repeats: int = 1, n: int = 0) -> Case:
    y = outcome_vector(table, "objective_response") if y is None else y

    def main(mine, outcomes):
        outer = outer_folds(mine, outcomes, 2, repeats, 0)
        return [fold for fold in outer if fold.scheme == main_scheme(outer)]

    found = validate(table, y, plan, outer_folds(table, y, 2, repeats, 0), refit=True, workers=1)["elastic_net"]
    beside, null = validate_baselines(table, y, plan, main(table, y), 1), None
    if n:
        rows = np.arange(len(y))
        drawn = permutation_nulls(table, y, [(plan, rows)], main, n=n, seed=0, workers=1, on_step=lambda: None)
        null = NullDistributions(next(iter(drawn.values())), best_model_null(drawn), 1) if drawn else None
    return Case(table, y, plan, found, beside, null)


TAXA, BOTH = (FitConfig(("elastic_net",), blocks, n_folds=2) for blocks in (("taxa",), ("taxa", "clinical")))
NOTHING = Block((), np.empty((60, 0)))


def one_class(table: FeatureTable) -> Case:
    table = dealt(table, "a", "b", "c")
    y = outcome_vector(table, "objective_response") * (table.rows["cohort"] != "c").to_numpy()
    return validated(table, TAXA, y, n=1)


def not_measurable(table: FeatureTable) -> Case:
    """Of two cohorts one has no event: only it can be left out, and nothing can be ranked in it."""
    table = dealt(table, "a", "b")
    y = outcome_vector(table, "objective_response") * (table.rows["cohort"] == "a").to_numpy()
    return validated(table, BOTH, y, n=1)


CASES: dict[str, Callable[[FeatureTable], Case]] = {
    "one cohort": lambda table: validated(dealt(table, "alone"), BOTH, n=1),
    "centres": lambda table: validated(table, BOTH, repeats=2),
    "cohorts": lambda table: validated(dealt(table, "a", "b/x", "c d", "e", "f"), TAXA, n=1),
    "a cohort of one class": one_class,
    "not measurable": not_measurable,
    "no clinical": lambda table: validated(replace(table, clinical=NOTHING), TAXA),
    "diversity": lambda table: validated(table, replace(TAXA, representations=("diversity",))),
    "no taxa": lambda table: validated(
        table.take(table.immune.measured_rows), replace(TAXA, blocks=("immune", "clinical"))
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, table: FeatureTable) -> Case:
    return CASES[request.param](table)


@pytest.fixture(scope="module")
def centres(table: FeatureTable) -> Case:
    return CASES["centres"](table)


@pytest.fixture(scope="module")
def cohorts(table: FeatureTable) -> Case:
    return CASES["cohorts"](table)


# Whatever the shape


def test_it_is_json_that_card_gates_and_metrics_can_read(case):
    found = case.evidence()
    for part in (found.content, found.validation):
        assert json.loads(json.dumps(part, allow_nan=False)) == part
    assert "AUROC" in model_card(found.validation)
    assert len(gates(found.validation)) == 7
    metrics = run_metrics(found)
    for name, value in metrics.items():
        assert re.fullmatch(r"[\w\-./ ]+", name)
        assert isinstance(value, float | int)
    measured = np.isfinite(found.auroc.value)
    assert all(np.isfinite(value) for name, value in metrics.items() if measured or name not in found.headline())
    assert ("could not be measured" in found.content["sentence"]) == (not measured)


def test_its_numbers_are_those_of_the_predictions(case):
    found = case.evidence().validation
    predictions = left_out_predictions(case.y, case.found.held_out)
    mine = predictions[predictions["scheme"] == found["scheme"]]
    names = case.table.rows["centre"].to_numpy()[mine["row"]]
    for one in found["per_cohort"]:
        own = mine[names == one["cohort"]]
        seeds = [part for _, part in own.groupby("repeat")]
        assert one["patients"] == own["row"].nunique()
        assert one["brier"] == pytest.approx(
            np.mean([brier_score_loss(seed["outcome"], seed["probability"], pos_label=1) for seed in seeds])
        )
        if 0 < own["outcome"].mean() < 1:
            areas = [roc_auc_score(seed["outcome"], seed["margin"]) for seed in seeds]
            assert one["auroc"]["value"] == pytest.approx(np.mean(areas))
            assert one["auroc"]["low"] < np.mean(areas) < one["auroc"]["high"]
        else:
            assert set(one["auroc"].values()) == {None}
    if np.isnan(case.evidence().auroc.value):
        assert found["gain"] is found["permutation"] is None
    assert found["seeds"]["n"] == mine["repeat"].nunique()
    assert sum(one["patients"] for one in found["per_cohort"]) == mine["row"].nunique()


def test_shares_add_up(case):
    found = case.evidence().validation
    sizes = sum(one["mean_abs"] for one in found["shap"]["features"])
    for kind in ("blocks", "clades"):
        assert sum(one["share"] for one in found["shap"][kind]) <= 1 + 1e-9
    assert sum(one["share"] for one in found["shap"]["blocks"]) == pytest.approx(1 if sizes else 0)
    judged = sum(one["patients"] for one in found["trust"])
    assert judged == (sum(one["patients"] for one in found["per_cohort"]) if "taxa" in case.plan.blocks else 0)


# Who reads it


def test_everything_that_others_read_of_a_models_evidence_is_there(centres):
    found, sources = centres.evidence(), [*Path("models").glob("*.py"), *Path("serving").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in (*sources, *Path("taxokine").glob("*.py")))
    read = set(re.findall(r"""evidence(?:\[|\.get\()["'](\w+)["']""", text))
    assert {"beats_chance", "sentence", "clocks", "landmark", "simulated", "cohorts", "per_cohort"} <= read
    assert read <= set(found.content)
    for one in found.content["per_cohort"]:
        assert set(one) == {"cohort", "patients", "events", "auroc", "auroc_low", "auroc_high"}
    assert {one["cohort"] for one in found.content["per_cohort"]} == set(centres.table.rows["centre"])
    assert all("name" in one for one in found.content["cohorts"])


def shape(of: Any) -> Any:
    """The keys of nested mappings, and of a list's first."""
    if isinstance(of, dict):
        return {key: shape(value) for key, value in of.items()}
    return [shape(of[0])] if isinstance(of, list) and of else None


def test_the_invented_evidence_of_other_tests_has_the_shape_of_this(cohorts):
    found, invented = shape(cohorts.evidence().validation), shape(loco())
    assert set(found) == set(invented)
    for name in ("within", "calibration", "seeds", "random_effects", "sample_size", "per_cohort", "trust"):
        assert found[name] == invented[name], name
    assert set(found["permutation"]) == set(invented["permutation"])
    assert found["shap"]["features"] == invented["shap"]["features"]


# The gain


def margins(case: Case, score: np.ndarray) -> list[HeldOut]:
    """The same folds, with these log-odds left out."""
    return [
        replace(one, margin=score[one.fold.test], probability=expit(score[one.fold.test]))
        for one in case.found.held_out
    ]


def test_the_gain_is_over_the_strongest_covariates_and_over_nothing_else(cohorts):
    rng, y = np.random.default_rng(0), cohorts.y
    weak, strong, strongest = (rng.normal(0, 1, len(y)) + size * y for size in (0.5, 1.5, 4))
    beside = {"clinical": weak, "technical": strong, "published signature": strongest, "prevalence": 0 * y}
    beside = {name: margins(cohorts, score) for name, score in beside.items()}
    found = cohorts.evidence(left_out=margins(cohorts, strongest), beside=beside).validation["gain"]
    assert found["over"] == "technical"
    names = cohorts.table.rows["centre"].to_numpy()

    def within(score):
        mine = [names == name for name in set(names)]
        areas = [roc_auc_score(y[one], score[one]) for one in mine]
        return np.average(areas, weights=[one.sum() for one in mine])

    assert found["value"] == pytest.approx(within(strongest) - within(strong))
    assert 0 < found["low"] < found["value"] < found["high"]
    lost = cohorts.evidence(left_out=margins(cohorts, weak), beside=beside).validation["gain"]
    assert lost["value"] == pytest.approx(within(weak) - within(strong))
    alone = {name: beside[name] for name in ("published signature", "prevalence")}
    assert cohorts.evidence(beside=alone).validation["gain"] is None


# Whether it beats chance, and in which words


def scored(case: Case, apart: float) -> list[HeldOut]:
    """Log-odds spread evenly over 0 to 1 in each cohort's events and others, the events' so far above."""
    score, names = apart * case.y, case.table.rows["centre"].to_numpy()
    for mine in (np.flatnonzero((names == name) & (case.y == y)) for name in set(names) for y in (0, 1)):
        score[mine] += np.linspace(0, 1, len(mine))
    return margins(case, score)


def test_chance_is_beaten_only_where_interval_and_refitted_null_exclude_it(cohorts):
    strong, none = scored(cohorts, 0.7), scored(cohorts, 0)
    best = NullDistributions(LEVEL.values, np.full(99, 0.999), 12)
    expected = [(strong, LEVEL, True), (strong, None, None), (strong, best, False), (none, LEVEL, False)]
    for left_out, null, verdict in (*expected, (none, None, False)):
        found = cohorts.evidence(left_out=left_out, null=null)
        assert (found.auroc.low > 0.5) == (left_out is strong)
        assert found.content["beats_chance"] is found.validation["beats_chance"] is verdict
    # A p of exactly 0.05 is not below it.
    edge = NullDistributions(np.full(19, 0.5), np.full(19, 0.5), 1)
    assert cohorts.evidence(left_out=strong, null=edge).content["beats_chance"] is False


def test_the_sentence_says_which_with_its_numbers(cohorts):
    def sentence(size: float, **changes: Any) -> str:
        found = cohorts.evidence(left_out=scored(cohorts, size), **{"null": LEVEL, **changes})
        assert (
            f"AUROC {found.auroc.value:.2f}, {found.auroc.low:.2f}-{found.auroc.high:.2f}; 5 cohorts, 60 patients"
            in (found.content["sentence"])
        )
        return found.content["sentence"]

    assert sentence(0.7).startswith("simulated data: on cohorts it had not seen this model did better than chance (")
    assert "refitted null p = 0.01" in sentence(0.7)
    assert "did no better than chance (" in sentence(0)
    assert "as one of 2 models tried: not confirmed" in sentence(0.7, null=None)
    assert "p = " not in sentence(0.7, null=None)
    again = replace(AROUND, looks={"experiments": 2, "models": 24}, pooled_labels=True)
    assert "2 earlier experiments had looked at these data; labels of different meaning were pooled" in sentence(
        3, around=again
    )
    assert "earlier" not in sentence(0, around=again)


def test_of_one_cohort_it_says_that_it_was_never_tried_on_another(table):
    alone = CASES["one cohort"](table)
    found = alone.evidence(left_out=scored(alone, 0.7), null=LEVEL)
    assert found.scheme == "cv"
    assert "on patients of its own cohort that it had not seen this model did better" in found.content["sentence"]
    assert found.content["sentence"].endswith("; it was never tried on another cohort")
    assert found.validation["other_scheme"] is None
    assert found.validation["random_effects"]["low"] is None


def test_real_data_are_not_called_simulated(cohorts):
    contexts = {name: replace(context, simulated=False) for name, context in cohorts.table.cohorts.items()}
    found = replace(cohorts, table=replace(cohorts.table, cohorts=contexts)).evidence()
    assert "simulated" not in found.content["sentence"]
    assert found.content["simulated"] is False


def test_the_headline_is_the_mean_over_cohorts_where_there_are_several(centres):
    found = centres.evidence()
    mean = found.validation["random_effects"]
    assert (found.auroc.value, found.auroc.low, found.auroc.high) == (mean["mean"], mean["low"], mean["high"])
    assert mean["prediction_low"] <= mean["low"] <= mean["high"] <= mean["prediction_high"]
    assert found.validation["other_scheme"]["scheme_in_words"] == "patients left out within cohorts"
    assert found.validation["seeds"]["n"] == 2
    assert found.content["left_out_auroc"] == {"value": mean["mean"], "low": mean["low"], "high": mean["high"]}
