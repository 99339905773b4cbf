"""Honesty of the pipeline: planted leaks are refused or have no effect, and intervals cover the true values."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from features.cohort import read_cohort
from features.errors import AuditError
from features.feature_table import Block, FeatureTable
from features.landmark import landmark_table
from features.outcomes import OUTCOME_IDS
from features.settings import settings
from models.evidence import PriorExperiments
from taxokine.simulation import Trial, simulate_trial
from training.dask_workers import DaskWorkers, dask_workers
from training.evidence.assemble import ExperimentContext, summarise
from training.evidence.scores import gather_scores
from training.experiment import Experiment, ExperimentResult, train
from training.progress import Progress
from training.statistics.auroc_meta_analysis import auroc_random_effects
from training.statistics.metrics import auroc, bootstrap_interval
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.validation.held_out import ValidatedFamily, validate
from training.validation.validated_blocks import ValidatedBlocks
from training.workers import Threads

from ..stores import new_store
from ..undrawn import draw_no_figures

TAXA = FitConfig(("elastic_net",), ("taxa",), n_folds=3)
FAST: dict[str, Any] = {"families": ("elastic_net",), "blocks": ("taxa",), "n_folds": 3, "repeats": 1}
Sheets = dict[str, Callable[[pd.DataFrame], pd.DataFrame]]


def hospital(folder: Path, change: Sheets | None = None, covariate: str = "", **parameters: Any) -> Path:
    """Simulate a cohort named as its folder; change its sheets, and add one covariate."""
    path = simulate_trial(folder, Trial(n_patients=40, n_taxa=40, visits=(-7, 28), n_centres=1, **parameters))
    for name, edit in (change or {}).items():
        sheet, separator = folder / name, "\t" if name.endswith(".tsv") else ","
        edit(pd.read_csv(sheet, sep=separator)).to_csv(sheet, sep=separator, index=False)
    manifest = path.read_text(encoding="utf-8").replace("name: simulated_fmt_ici", f"name: {folder.name}")
    if covariate:
        manifest = manifest.replace("  covariates:\n", f"  covariates:\n    {covariate}: {{column: {covariate}}}\n")
    path.write_text(manifest, encoding="utf-8")
    return path


def one_cohort(table: FeatureTable) -> FeatureTable:
    """Return the same patients as one cohort without centres."""
    return replace(table, rows=table.rows.assign(centre=table.rows["cohort"]))


def held_out_auroc(table: FeatureTable, y: np.ndarray, plan: FitConfig = TAXA) -> float:
    outer = outer_folds(table, y, 3, 1, 0)
    scores = gather_scores(table, y, validate(table, y, plan, outer, workers=Threads(1))["elastic_net"].held_out, "cv")
    return scores.mean_auroc(scores.margin)


# Leaks that are refused


def because_of_the_outcome(patients: pd.DataFrame) -> pd.DataFrame:
    yes = patients["recist"].isin(["CR", "PR"])
    return patients.assign(scan=np.random.default_rng(0).normal(60, 10, len(patients)) + 40 * yes)


def recorded_in_events_alone(patients: pd.DataFrame) -> pd.DataFrame:
    scan = because_of_the_outcome(patients)["scan"] % 10
    return patients.assign(scan=scan.where(patients["recist"].isin(["CR", "PR"])))


@pytest.mark.parametrize(
    ("change", "column"), [(because_of_the_outcome, "scan"), (recorded_in_events_alone, "scan missing")]
)
def test_training_refuses_what_tells_the_outcome(absent_store, tmp_path, change, column):
    path = hospital(tmp_path / "told", {"patients.csv": change}, "scan", seed=1)
    with pytest.raises(
        AuditError, match=rf"tells-outcome in told: {column} alone reaches AUROC .* --waive tells-outcome"
    ):
        train(Experiment((str(path),), "objective_response", **FAST | {"blocks": ("taxa", "clinical")}))
    assert not (tmp_path / "mlflow.db").exists()


def test_what_is_refused_would_have_been_believed(table):
    """The audit is needed: no fold can tell a column that knows the outcome from one that foresees it."""
    table = one_cohort(table)
    y = outcome_vector(table, "objective_response")
    scan = Block(("scan",), (y + np.random.default_rng(0).normal(0, 0.3, len(y)))[:, None])
    assert held_out_auroc(replace(table, clinical=scan), y, replace(TAXA, blocks=("clinical",))) > 0.9


# A filter that has seen the outcome


def noise(table: FeatureTable, seed: int, n: int = 90, n_taxa: int = 300) -> tuple[FeatureTable, np.ndarray]:
    """Return patients of one cohort whose stool and outcome have nothing to do with each other."""
    rng, place = np.random.default_rng(seed), np.arange(n)
    rows = pd.DataFrame({"cohort": "noise", "centre": "noise", "patient": place.astype(str)})
    stool = np.exp(rng.normal(size=(n, n_taxa)))
    taxa = Block(tuple(f"Taxon_{j}" for j in range(n_taxa)), stool / stool.sum(axis=1, keepdims=True))
    return replace(table.take(place % len(table)), rows=rows, taxa=taxa), rng.permutation(place % 2).astype(float)


def test_taxa_chosen_by_all_rows_flatter_and_the_pipeline_is_not_fooled(table):
    noisy, y = noise(table, seed=1)
    log = np.log(noisy.taxa.values)
    separation = np.abs(log[y == 1].mean(axis=0) - log[y == 0].mean(axis=0))
    positions = np.argsort(separation)[-20:]
    filtered = Block(tuple(noisy.taxa.names[j] for j in positions), noisy.taxa.values[:, positions])
    assert held_out_auroc(replace(noisy, taxa=filtered), y) > 0.75
    assert held_out_auroc(noisy, y) < 0.6


# Three hospitals with nothing to find, of 20, 50 and 80% responders, a taxon of the sequencing batch, and a twin


class Trained(NamedTuple):
    result: ExperimentResult
    predictions: pd.DataFrame


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, twin = tmp_path_factory.mktemp("hospitals"), list[pd.Series]()

    def sequenced(rate: float, taxa: pd.DataFrame) -> pd.DataFrame:
        taxon, reads = taxa.columns[0], taxa.iloc[:, 1:].sum()
        marker = {taxon: "Batch_marker", **(rate * reads).round().astype(int)}
        taxa = pd.concat([taxa, pd.DataFrame([marker])], ignore_index=True)
        twin.append(taxa["SIM-001-V1"])
        return taxa.assign(**{"SIM-002-V1": twin[0]}) if rate == 0.5 else taxa

    return [
        str(
            hospital(
                folder / name,
                {"stool_counts.tsv": partial(sequenced, rate)},
                seed=seed,
                effect=0,
                response_rate=rate,
            )
        )
        for seed, (name, rate) in enumerate((("north", 0.2), ("east", 0.5), ("south", 0.8)))
    ]


@pytest.fixture(scope="module")
def trained(hospitals: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """The same experiment into two stores: on a thread, and on processes of a Dask cluster, one of which is killed."""
    runs = []
    home = tmp_path_factory.mktemp("home")
    for on_cluster in (False, True):
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            workers, progress = Threads(1), Progress()
            if on_cluster:
                workers = stack.enter_context(dask_workers("local"))
                progress = Progress(advance=kill_a_worker_once(workers))
            folder = tmp_path_factory.mktemp("store")
            patch.setenv("TAXOKINE_HOME", str(home))
            patch.setenv("MLFLOW_TRACKING_URI", new_store(folder))
            patch.delenv("MLFLOW_RUN_ID", raising=False)
            patch.chdir(folder)
            draw_no_figures(patch)
            settings.cache_clear()
            options = {**FAST, "waive": ("same-stool",), "permutations": 3}
            result = train(Experiment(tuple(hospitals), "objective_response", **options), progress, workers)
            local = mlflow.artifacts.download_artifacts(
                run_id=result.trained[0].run_id, artifact_path="held_out_predictions.parquet"
            )
            runs.append(Trained(result, pd.read_parquet(local)))
    settings.cache_clear()
    return runs


def kill_a_worker_once(workers: DaskWorkers) -> Callable[[], None]:
    """Return what kills one process of a cluster when it is called for the third time, amid the folds."""
    calls = itertools.count(1)

    def advance() -> None:
        if next(calls) == 3:
            os.kill(next(iter(workers.client.run(os.getpid).values())), signal.SIGKILL)

    return advance


def test_a_patient_under_two_names_stops_training(absent_store, hospitals, tmp_path):
    with pytest.raises(AuditError, match=r"same-stool in .* --waive same-stool"):
        train(Experiment(tuple(hospitals), "objective_response", **FAST))
    assert not (tmp_path / "mlflow.db").exists()


def test_a_waiver_is_reported_in_the_record_the_card_and_the_bundle(trained):
    best = trained[0].result.trained[0]
    (finding,) = [finding for finding in best.validation.audit_findings if finding.severity == "error"]
    assert (finding.code, finding.waived, finding.rows) == ("same-stool", True, 1)
    assert "**waived**: same-stool" in best.model.card
    assert best.model.validation == best.validation
    assert not re.search(r"SIM-\d", json.dumps(best.validation.to_json()) + best.model.card)


def test_prevalence_that_a_batch_marks_is_no_skill_on_held_out_cohorts(trained, hospitals):
    validation = trained[0].result.trained[0].validation
    frame = trained[0].predictions
    loco = frame[frame["scheme"] == "loco"]
    # Over all cohorts the batch alone tells responders well.
    batch = loco["cohort"].map({"north/1": 0.2, "east/1": 0.5, "south/1": 0.8})
    assert roc_auc_score(loco["outcome"], batch) > 0.7
    within_centres = validation.within_centres.auroc
    assert within_centres.low < 0.5 < within_centres.high
    counts = [(cohort.events, cohort.patients - cohort.events) for cohort in validation.per_centre]
    sizes = np.array([a + b for a, b in counts])
    # Mann and Whitney's null of one cohort's AUROC, over the three.
    variances = np.array([(a + b + 1) / (12 * a * b) for a, b in counts])
    assert abs(within_centres.value - 0.5) < 2 * np.sqrt((sizes**2 * variances).sum()) / sizes.sum()
    assert validation.evidence.beats_chance is False


def test_the_same_numbers_on_one_worker_and_on_two_to_the_last_digit(trained):
    single, parallel = trained
    assert len(single.result.trained) == len(parallel.result.trained) == 1
    assert single.result.trained[0].validation == parallel.result.trained[0].validation
    assert single.result.trained[0].validation.permutation.model.n == 3
    pd.testing.assert_frame_equal(single.predictions, parallel.predictions, check_exact=True)


# What is planted is found, and intervals hold the truth


class Population(NamedTuple):
    """Simulated patients of forty centres, each with biases of its own, and what was planted in them."""

    table: FeatureTable
    y: np.ndarray
    log_odds: np.ndarray
    causes: dict[str, Any]


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Population:
    path = simulate_trial(
        tmp_path_factory.mktemp("population") / "all",
        Trial(n_patients=4000, n_taxa=40, n_centres=40, seed=9, visits=(-7, 28)),
    )
    table = landmark_table(read_cohort(path, path.parent))
    truth = pd.read_csv(path.parent / "truth.csv").set_index("patient")["response_log_odds"]
    rows = table.rows[["cohort", "centre", "patient", *OUTCOME_IDS]]
    y = outcome_vector(table, "objective_response")
    causes = json.loads((path.parent / "causes.json").read_text(encoding="utf-8"))
    return Population(replace(table, rows=rows), y, truth[rows["patient"]].to_numpy(), causes)


def validated_family(table: FeatureTable, y: np.ndarray, scheme: str) -> ValidatedFamily:
    outer = [fold for fold in outer_folds(table, y, 3, 1, 0) if fold.scheme == scheme]
    return validate(table, y, replace(TAXA, n_folds=2), outer, refit=True, workers=Threads(1))["elastic_net"]


def margin(validated: ValidatedFamily, table: FeatureTable) -> np.ndarray:
    assert validated.fit is not None
    return validated.fit.predictor.margin(validated.fit.encoder.transform(table))


def test_the_interval_holds_the_auroc_that_a_very_large_sample_shows(population):
    """Predictions are held fixed in the interval, so that it holds a little less often than the 95% it is named for."""
    rng, n_covered = np.random.default_rng(1), 0
    for seed in range(20):
        everybody = rng.permutation(4000)
        training_rows, new_rows = everybody[:100], everybody[100:]
        table, y = one_cohort(population.table.take(training_rows)), population.y[training_rows]
        validated = validated_family(table, y, "cv")
        held_out = gather_scores(table, y, validated.held_out, "cv")
        interval = bootstrap_interval(auroc, held_out.y, held_out.margin, held_out.centres, held_out.folds, seed)
        truth = roc_auc_score(population.y[new_rows], margin(validated, population.table.take(new_rows)))
        assert truth > 0.6
        n_covered += interval.low <= truth <= interval.high
    assert n_covered >= 16


def test_intervals_hold_under_cohort_shift(population):
    """Hospitals differ in their stool, in how many respond, and in how much the stool tells."""
    rng, centres = np.random.default_rng(2), population.table.rows["centre"].to_numpy()
    names, standard = sorted(set(centres)), population.log_odds / population.log_odds.std()

    def chance(rows: np.ndarray, slope: float) -> np.ndarray:
        return expit(rng.normal(0, 0.7) + slope * standard[rows])

    mean_covered, share_covered = [], []
    for _ in range(12):
        training_centres = rng.choice(names, 5, replace=False)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(centres == name), 50, replace=False) for name in training_centres]
        )
        y = np.concatenate(
            [rng.random(50) < chance(rows[50 * i : 50 * (i + 1)], rng.normal(1.6, 0.6)) for i in range(5)]
        ).astype(float)
        table = population.table.take(rows)
        validated = validated_family(table, y, "loco")
        held_out = gather_scores(table, y, validated.held_out, "loco")
        summary = auroc_random_effects(held_out.ranked_centres(held_out.margin))
        new_rows = rng.choice(np.flatnonzero(~np.isin(centres, training_centres)), 1000, replace=False)
        score = margin(validated, population.table.take(new_rows))
        true_aurocs = []
        for slope in rng.normal(1.6, 0.6, 30):
            p = chance(new_rows, slope)
            # Each patient counts as an event with the chance of one: the AUROC without the luck of the draw.
            true_aurocs.append(
                float(auroc(np.repeat([1.0, 0.0], 1000), np.tile(score, 2), np.concatenate([p, 1 - p])[None])[0])
            )
        mean_covered.append(summary.low <= np.mean(true_aurocs) <= summary.high)
        share_covered.append(
            np.mean([summary.prediction_low <= true_auroc <= summary.prediction_high for true_auroc in true_aurocs])
        )
    assert np.sum(mean_covered) >= 10
    assert np.mean(share_covered) >= 0.85


def test_the_planted_taxa_lead_with_the_right_sign_in_nearly_every_fold(population):
    rows = np.arange(400)
    table, y = one_cohort(population.table.take(rows)), population.y[rows]
    family = validated_family(table, y, "cv")
    assert family.fit is not None
    context = ExperimentContext("objective_response", 1, False, (), (), PriorExperiments(0, 0), 0)
    validated = ValidatedBlocks(TAXA, rows, table, y, {"elastic_net": family}, {})
    features = summarise(validated, "elastic_net", None, context).attribution.features
    balance = population.causes["balances"]["response_balance"]
    planted = {**dict.fromkeys(balance["numerator"], 1), **dict.fromkeys(balance["denominator"], -1)}
    assert population.causes["response"]["response_balance"] > 0
    leading = features[: len(planted)]
    assert len({feature.feature for feature in leading} & set(planted)) >= 5
    for feature in features:
        if feature.feature in planted:
            assert feature.direction == planted[feature.feature]
            assert feature.selected >= 2 / 3
