"""Validation records of held-out predictions, for every shape of cohorts, and their readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score

from features.feature_table import Block, FeatureTable
from models.evidence import Estimate, PriorExperiments, Validation, other_cohorts_tested
from training.evidence.assemble import ExperimentContext, summarise
from training.evidence.metrics import run_metrics
from training.evidence.promotion import gates
from training.evidence.scores import held_out_predictions, main_scheme
from training.validation.baselines import validate_baselines
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import HeldOut, ValidatedFamily, validate
from training.validation.permutation_null import (
    ModelNull,
    NullDistributions,
    Permutations,
    best_model_null,
    permutation_nulls,
)
from training.validation.validated_blocks import ValidatedBlocks
from training.workers import Threads

from .validations import card_of

CONTEXT = ExperimentContext("objective_response", 2, False, ("a note",), (), PriorExperiments(0, 0), 0)
NAMES = ("a", "b/x", "c d", "e", "f")


def constant_null(n: int, models: int, best: float = 0.5) -> NullDistributions:
    """Return a null whose AUROCs are all a half, also without any of `NAMES`."""
    halves = np.full(n, 0.5)
    return NullDistributions(ModelNull(halves, dict.fromkeys(NAMES, halves)), np.full(n, best), models)


CONSTANT_NULL = constant_null(99, 2)
"""A null that any AUROC above 0.5 exceeds: p = 0.01."""


@dataclass(frozen=True)
class Case:
    """A validated table, and its permutation null."""

    validated: ValidatedBlocks
    null: NullDistributions | None = None

    @property
    def table(self) -> FeatureTable:
        return self.validated.table

    @property
    def y(self) -> np.ndarray:
        return self.validated.y

    @property
    def held_out(self) -> list[HeldOut]:
        return self.validated.families["elastic_net"].held_out

    def summary(self, held_out: list[HeldOut] | None = None, **changes: Any) -> Validation:
        """Return the validation record, with other predictions, baselines, null or context."""
        families = {"elastic_net": ValidatedFamily(held_out or self.held_out, self.validated.family_fit("elastic_net"))}
        baselines = changes.get("baselines", self.validated.baselines)
        validated = replace(self.validated, families=families, baselines=baselines)
        return summarise(validated, "elastic_net", changes.get("null", self.null), changes.get("context", CONTEXT))


def deal(table: FeatureTable, *cohorts: str) -> FeatureTable:
    """Return the same patients, assigned to cohorts in turn."""
    names = np.array(cohorts, dtype=object)[np.arange(len(table)) % len(cohorts)]
    context = next(iter(table.cohorts.values()))
    rows = table.rows.assign(cohort=names, centre=names)
    return replace(table, rows=rows, cohorts=dict.fromkeys(cohorts, context))


def validate_case(
    table: FeatureTable, config: FitConfig, y: np.ndarray | None = None, repeats: int = 1, n: int = 0
) -> Case:
    y = outcome_vector(table, "objective_response") if y is None else y

    def main_folds(table, outcomes):
        outer = outer_folds(table, outcomes, 2, repeats, 0)
        return [fold for fold in outer if fold.scheme == main_scheme(outer)]

    families = validate(table, y, config, outer_folds(table, y, 2, repeats, 0), refit=True, workers=Threads(1))
    baselines, null = validate_baselines(table, y, config, main_folds(table, y), Threads(1)), None
    rows = np.arange(len(y))
    if n:
        permutations = Permutations(n, 0, Threads(1), on_step=lambda: None)
        aurocs = permutation_nulls(table, y, [(config, rows)], main_folds, permutations)
        null = NullDistributions(next(iter(aurocs.values())), best_model_null(aurocs), 1) if aurocs else None
    return Case(ValidatedBlocks(config, rows, table, y, families, baselines), null)


TAXA, TAXA_AND_CLINICAL = (
    FitConfig(("elastic_net",), blocks, n_folds=2) for blocks in (("taxa",), ("taxa", "clinical"))
)
EMPTY_BLOCK = Block((), np.empty((60, 0)))


def one_class(table: FeatureTable) -> Case:
    table = deal(table, "a", "b", "c")
    y = outcome_vector(table, "objective_response") * (table.rows["cohort"] != "c").to_numpy()
    return validate_case(table, TAXA, y, n=1)


def not_measurable(table: FeatureTable) -> Case:
    """Return two cohorts, one without events: only it can be held out, and its AUROC cannot be computed."""
    table = deal(table, "a", "b")
    y = outcome_vector(table, "objective_response") * (table.rows["cohort"] == "a").to_numpy()
    return validate_case(table, TAXA_AND_CLINICAL, y, n=1)


CASES: dict[str, Callable[[FeatureTable], Case]] = {
    "one cohort": lambda table: validate_case(deal(table, "alone"), TAXA_AND_CLINICAL, n=1),
    "centres": lambda table: validate_case(table, TAXA_AND_CLINICAL, repeats=2),
    "cohorts": lambda table: validate_case(deal(table, *NAMES), TAXA, n=1),
    "a cohort of one class": one_class,
    "not measurable": not_measurable,
    "no clinical": lambda table: validate_case(replace(table, clinical=EMPTY_BLOCK), TAXA),
    "diversity": lambda table: validate_case(table, replace(TAXA, representations=("diversity",))),
    "no taxa": lambda table: validate_case(
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


# Every shape


def test_card_gates_and_metrics_read_the_record(case):
    validation = case.summary()
    content = validation.to_json()
    assert Validation.from_json(json.loads(json.dumps(content, allow_nan=False))) == validation
    assert "AUROC" in card_of(validation)
    assert len(gates(validation)) == 9
    for name, value in run_metrics(validation).items():
        assert re.fullmatch(r"[\w\-./ ]+", name)
        assert np.isfinite(value)
    evidence = validation.evidence
    assert ("could not be measured" in evidence.sentence) == (evidence.held_out_auroc.value is None)


def auroc_by_fold(predictions: pd.DataFrame, score: str) -> float:
    """Return the AUROC of each fold by scikit-learn, weighted by the pairs of the fold."""
    areas, pairs = [], []
    for _, fold in predictions.groupby("fold"):
        events = fold["outcome"].sum()
        if n_pairs := events * (len(fold) - events):
            areas.append(roc_auc_score(fold["outcome"], fold[score]))
            pairs.append(n_pairs)
    return float(np.average(areas, weights=pairs))


def test_the_numbers_are_those_of_the_predictions(case):
    validation = case.summary()
    predictions = held_out_predictions(case.y, case.held_out)
    predictions = predictions[predictions["scheme"] == validation.evidence.scheme]
    names = case.table.rows["centre"].to_numpy()[predictions["row"]]
    for row in validation.per_centre:
        cohort = predictions[names == row.centre]
        seeds = [seed for _, seed in cohort.groupby("repeat")]
        assert row.patients == cohort["row"].nunique()
        assert row.brier == pytest.approx(
            np.mean([brier_score_loss(seed["outcome"], seed["probability"], pos_label=1) for seed in seeds])
        )
        if 0 < cohort["outcome"].mean() < 1:
            for estimate, name in ((row.auroc, "probability"), (row.margin_auroc, "margin")):
                auroc = np.mean([auroc_by_fold(seed, name) for seed in seeds])
                assert estimate.value == pytest.approx(auroc)
                assert estimate.low < auroc < estimate.high
        else:
            assert row.auroc == Estimate(None, None, None)
    if validation.evidence.held_out_auroc.value is None:
        assert validation.gain is validation.permutation is None
    assert validation.seeds.n == predictions["repeat"].nunique()
    assert sum(row.patients for row in validation.per_centre) == predictions["row"].nunique()


def test_shares_add_up(case):
    validation = case.summary()
    attribution = validation.attribution
    total = sum(feature.mean_absolute_shap for feature in attribution.features)
    assert sum(genus.share for genus in attribution.clades) <= 1 + 1e-9
    assert sum(block.share for block in attribution.blocks) == pytest.approx(1 if total else 0)
    patients = sum(row.patients for row in validation.per_centre) if "taxa" in validation.blocks else 0
    assert sum(row.patients for row in validation.by_verdict) == patients


def test_the_evidence_repeats_every_cohort(centres):
    evidence = centres.summary().evidence
    assert {row.centre for row in evidence.per_centre} == set(centres.table.rows["centre"])
    assert [cohort.name for cohort in evidence.cohorts] == list(centres.table.cohorts)


# The gain


def replace_scores(case: Case, score: np.ndarray) -> list[HeldOut]:
    """Return the same folds with these held-out log-odds."""
    return [
        replace(prediction, margin=score[prediction.fold.test], probability=expit(score[prediction.fold.test]))
        for prediction in case.held_out
    ]


def test_the_gain_is_over_the_strongest_covariates_and_no_other_baseline(cohorts):
    rng, y = np.random.default_rng(0), cohorts.y
    weak, strong, strongest = (rng.normal(0, 1, len(y)) + size * y for size in (0.5, 1.5, 4))
    scores = {"clinical": weak, "technical": strong, "published signature": strongest}
    baselines = {name: replace_scores(cohorts, score) for name, score in scores.items()}
    gain = cohorts.summary(replace_scores(cohorts, strongest), baselines=baselines).gain
    assert gain.baseline == "technical"
    names = cohorts.table.rows["centre"].to_numpy()

    def within_centres(score):
        masks = [names == name for name in set(names)]
        aurocs = [roc_auc_score(y[mask], score[mask]) for mask in masks]
        return np.average(aurocs, weights=[mask.sum() for mask in masks])

    difference = gain.difference
    assert difference.value == pytest.approx(within_centres(strongest) - within_centres(strong))
    assert 0 < difference.low < difference.value < difference.high
    loss = cohorts.summary(replace_scores(cohorts, weak), baselines=baselines).gain
    assert loss.difference.value == pytest.approx(within_centres(weak) - within_centres(strong))
    without_covariates = {name: baselines[name] for name in ("published signature",)}
    assert cohorts.summary(baselines=without_covariates).gain is None


def test_a_block_is_judged_on_the_same_patients_without_it(cohorts):
    rng, y = np.random.default_rng(1), cohorts.y
    informative, weak = (rng.normal(0, 1, len(y)) + size * y for size in (3, 0.5))
    without_block = {"clinical": {"elastic_net": replace_scores(cohorts, weak)}}
    validated = replace(cohorts.validated, without_block=without_block)
    validation = replace(cohorts, validated=validated).summary(replace_scores(cohorts, informative))
    (row,) = validation.without_block
    assert row.block == "clinical"
    assert row.auroc == cohorts.summary(replace_scores(cohorts, weak)).evidence.held_out_auroc
    assert row.brier == cohorts.summary(replace_scores(cohorts, weak)).within_centres.brier
    assert 0 < row.gain.low < row.gain.value < row.gain.high
    for text in (f"| clinical | {row.auroc.value:.2f} (", f"gain by clinical {row.gain.value:+.2f}"):
        assert text in card_of(validation)
    assert run_metrics(validation)["without_block.clinical.gain_within_centres"] == row.gain.value


def test_centres_and_cohorts_are_counted_as_such(table):
    centres = [f"{name}/{side}" for name in "ab" for side in ("left", "right")]
    of_cohorts = deal(table, *centres)
    names = of_cohorts.rows["cohort"].str[0]
    context = next(iter(table.cohorts.values()))
    of_cohorts = replace(of_cohorts, rows=of_cohorts.rows.assign(cohort=names), cohorts=dict.fromkeys("ab", context))
    validation = validate_case(of_cohorts, TAXA).summary()
    metrics = run_metrics(validation)
    assert (metrics["cohorts"], metrics["centres"]) == (2, 4)
    assert "4 centres of 2 cohorts, 60 patients" in validation.evidence.sentence


# Skill and its sentence


def separate(case: Case, distance: float) -> list[HeldOut]:
    """Return log-odds spread evenly over 0 to 1 in each class of each cohort, those of events higher by a distance."""
    score, names = distance * case.y, case.table.rows["centre"].to_numpy()
    for rows in (np.flatnonzero((names == name) & (case.y == y)) for name in set(names) for y in (0, 1)):
        score[rows] += np.linspace(0, 1, len(rows))
    return replace_scores(case, score)


def test_the_evidence_states_by_which_day_events_count(centres):
    summary = centres.summary(context=replace(CONTEXT, outcome="toxicity_3", by_day=90.0))
    assert (summary.evidence.by_day, centres.summary().evidence.by_day) == (90, "any")
    assert summary.evidence.definition == "immune-related adverse event of CTCAE grade 3 or above by day 90"
    assert card_of(summary).startswith("# Toxicity (irAE of grade ≥ 3 by day 90): ")


def test_a_model_beats_chance_only_if_interval_and_permutation_null_exclude_it(cohorts):
    skilled, unskilled = separate(cohorts, 0.7), separate(cohorts, 0)
    high_null = constant_null(99, 12, best=0.999)
    cases = [
        (skilled, CONSTANT_NULL, True),
        (skilled, None, None),
        (skilled, high_null, False),
        (unskilled, CONSTANT_NULL, False),
        (unskilled, None, False),
    ]
    for held_out, null, verdict in cases:
        evidence = cohorts.summary(held_out, null=null).evidence
        assert (evidence.held_out_auroc.low > 0.5) == (held_out is skilled)
        assert evidence.beats_chance is verdict
    # A p of exactly 0.05 is not below it.
    limit = constant_null(19, 1)
    assert cohorts.summary(skilled, null=limit).evidence.beats_chance is False


def test_the_sentence_states_the_verdict_with_its_numbers(cohorts):
    def sentence(distance: float, **changes: Any) -> str:
        evidence = cohorts.summary(separate(cohorts, distance), **{"null": CONSTANT_NULL, **changes}).evidence
        auroc = evidence.held_out_auroc
        numbers = (
            f"AUROC of the probability {auroc.value:.2f}, {auroc.low:.2f}-{auroc.high:.2f}; 5 cohorts, 60 patients"
        )
        assert numbers in evidence.sentence
        return evidence.sentence

    assert sentence(0.7).startswith("simulated data: on held-out cohorts this model performed better than chance (")
    assert "permutation p = 0.01" in sentence(0.7)
    assert sentence(0).startswith("simulated data: no evidence of discrimination on held-out cohorts (")
    assert "as one of 2 models compared: not confirmed" in sentence(0.7, null=None)
    assert "p = " not in sentence(0.7, null=None)
    context = replace(CONTEXT, prior_experiments=PriorExperiments(2, 24), pooled_labels=True)
    limits = "2 prior experiments used these data; labels of different meaning were pooled"
    assert limits in sentence(3, context=context)
    assert "prior" not in sentence(0, context=context)


def test_the_sentence_of_one_cohort_says_nothing_of_later_validations(table):
    one_cohort = CASES["one cohort"](table)
    validation = one_cohort.summary(separate(one_cohort, 0.7), null=CONSTANT_NULL)
    evidence = validation.evidence
    assert evidence.scheme == "cv"
    assert "on held-out patients of its own cohort this model performed better" in evidence.sentence
    assert "another cohort" not in evidence.sentence
    assert other_cohorts_tested(evidence, ()) == "not tested on another cohort"
    assert validation.other_scheme is None
    assert validation.random_effects.low is None


def test_real_data_are_not_called_simulated(cohorts):
    contexts = {name: replace(context, simulated=False) for name, context in cohorts.table.cohorts.items()}
    table = replace(cohorts.table, cohorts=contexts)
    evidence = replace(cohorts, validated=replace(cohorts.validated, table=table)).summary().evidence
    assert "simulated" not in evidence.sentence
    assert evidence.simulated is False


def test_the_headline_is_the_mean_over_several_cohorts(centres):
    validation = centres.summary()
    mean = validation.random_effects
    assert validation.evidence.held_out_auroc == Estimate(mean.mean, mean.low, mean.high)
    assert mean.prediction_low <= mean.low <= mean.high <= mean.prediction_high
    assert validation.other_scheme.scheme == "cv"
    assert validation.seeds.n == 2


# The served probability, the margin, and fragility


def serve_one_probability(held_out: list[HeldOut], *cohorts: str) -> list[HeldOut]:
    """Return predictions of which those for some cohorts, when held out, are one probability for every patient."""
    return [
        replace(prediction, probability=np.full_like(prediction.probability, 0.4))
        if prediction.fold.name in cohorts
        else prediction
        for prediction in held_out
    ]


def test_where_one_probability_is_served_to_all_the_margin_gives_no_credit(cohorts):
    held_out = serve_one_probability(separate(cohorts, 0.7), "a", "e")
    validation = cohorts.summary(held_out)
    rows = {row.centre: row for row in validation.per_centre}
    for name in NAMES:
        assert (rows[name].auroc.value == 0.5) == (name in ("a", "e"))
        assert rows[name].margin_auroc.value > 0.8
    evidence = validation.evidence
    assert evidence.auroc_of == "probability"
    assert evidence.held_out_auroc.value < evidence.margin_auroc.value - 0.05
    assert validation.within_centres.auroc.value < validation.within_centres.margin_auroc.value - 0.05
    metrics = run_metrics(validation)
    assert metrics["auroc"] == evidence.held_out_auroc.value
    assert metrics["margin_auroc_over_centres"] == evidence.margin_auroc.value
    assert metrics["served_auroc.a"] == 0.5
    card = card_of(validation)
    assert f"| AUROC of the probability, cohorts held out | {evidence.held_out_auroc.value:.2f}" in card
    assert f"| the same of the model's raw score, before calibration | {evidence.margin_auroc.value:.2f}" in card


def test_everything_that_is_tested_is_the_served_probability(cohorts):
    held_out = serve_one_probability(separate(cohorts, 0.7), *NAMES)
    baselines = {"clinical": replace_scores(cohorts, np.random.default_rng(2).normal(size=len(cohorts.y)))}
    validation = cohorts.summary(held_out, null=CONSTANT_NULL, baselines=baselines)
    assert validation.evidence.held_out_auroc.value == pytest.approx(0.5)
    assert validation.evidence.margin_auroc.value > 0.8
    assert (validation.permutation.model.p, validation.seeds.mean) == (1.0, pytest.approx(0.5))
    assert validation.gain.difference.value == pytest.approx(0.5 - validation.baselines[0].auroc.value)
    assert validation.evidence.beats_chance is False


def test_without_a_cohort_the_numbers_are_those_of_the_others(cohorts):
    rng = np.random.default_rng(3)
    held_out = serve_one_probability(separate(cohorts, 0.7), "f")
    baselines = {"clinical": replace_scores(cohorts, rng.normal(size=len(cohorts.y)))}
    nulls = {name: rng.uniform(0.3, 0.9, 99) for name in NAMES}
    null = NullDistributions(ModelNull(rng.uniform(0.3, 0.9, 99), nulls), rng.uniform(0.3, 0.9, 99), 2)
    validation = cohorts.summary(held_out, baselines=baselines, null=null)
    assert [row.cohort for row in validation.without_cohort] == list(NAMES)
    names = cohorts.table.rows["centre"].to_numpy()
    per_centre = {row.centre: row for row in validation.per_centre}
    for row in validation.without_cohort:
        assert row.patients == (names != row.cohort).sum()
        areas = [per_centre[name].auroc.value for name in NAMES if name != row.cohort]
        assert min(areas) <= row.auroc.value <= max(areas)
        sizes = [per_centre[name].patients for name in NAMES if name != row.cohort]
        observed = np.average(areas, weights=sizes)
        assert row.permutation_p == (1 + (nulls[row.cohort] >= observed).sum()) / 100
    best = max(validation.without_cohort, key=lambda row: row.auroc.value)
    assert best.cohort == "f"
    assert run_metrics(validation)["without.f.auroc"] == best.auroc.value
    assert f"| f | {best.patients} |" in card_of(validation)


def test_one_centre_cannot_be_left_aside(table):
    assert CASES["one cohort"](table).summary().without_cohort == ()
