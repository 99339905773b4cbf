"""What is said without the model: the same patients, left out in the same folds, and nothing read that is not named."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from features.cohort import read_cohort
from features.feature_table import Block, FeatureTable
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import load_manifest, manifest_text
from features.pooling import pool_tables
from features.settings import settings
from training.statistics.metrics import auroc, mean_over_seeds
from training.validation.baselines import PUBLISHED_SIGNATURE, signature_score, validate_baselines
from training.validation.config import FitConfig
from training.validation.folds import outcome_vector, outer_folds
from training.workers import Threads

CONFIG = FitConfig(("xgboost",), ("taxa",), n_folds=2)
SIX = ("lee_2022", "spencer_2021", "frankel_2017", "matson_2018", "mitox", "davar_2021")
KIT = Block(("kit=A", "reads"), np.column_stack([np.arange(60) % 2, np.linspace(1e6, 9e6, 60)]))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder of cohorts."""
    monkeypatch.setenv("TAXOKINE_DATA", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def write_signature(data: Path, resistance: list[str], response: list[str]) -> None:
    (data / "signatures").mkdir()
    for number, names in ((1, resistance), (2, response)):
        lines = ["species_Jan21\tSGB_Jan21", *(f"{name}\tSGB{i}" for i, name in enumerate(names))]
        (data / "signatures" / f"sig{number}.txt").write_text("\n".join(lines), encoding="utf-8")


def baseline_predictions(table: FeatureTable, config: FitConfig = CONFIG) -> dict:
    y = outcome_vector(table, "objective_response")
    return validate_baselines(table, y, config, outer_folds(table, y, 2, 1, 0), workers=Threads(1))


def test_covariates_without_measurements_are_no_baseline(table, data):
    nothing = Block(("kit=A",), np.full((60, 1), np.nan))
    assert set(baseline_predictions(replace(table, clinical=nothing, technical=nothing))) == set()
    assert set(baseline_predictions(replace(table, technical=nothing))) == {"clinical"}
    assert set(baseline_predictions(replace(table, clinical=Block((), np.empty((60, 0))), technical=KIT))) == {
        "technical"
    }
    everything = {"clinical", "technical", "clinical + technical"}
    assert set(baseline_predictions(replace(table, technical=KIT))) == everything


def test_a_covariate_baseline_depends_on_its_own_block_alone(table, data):
    """The folds are those of the model, whatever its family and blocks."""
    original = replace(table, technical=KIT)
    stool = Block(table.taxa.names, np.roll(table.taxa.values, 1, axis=0))
    other_features = replace(
        original, taxa=stool, clinical=Block(table.clinical.names, np.roll(table.clinical.values, 1, axis=0))
    )
    original_predictions, changed_predictions = (
        baseline_predictions(original),
        baseline_predictions(other_features, replace(CONFIG, families=("xgboost_forest",), blocks=("immune",))),
    )
    for a, b in zip(original_predictions["technical"], changed_predictions["technical"], strict=True):
        np.testing.assert_array_equal(a.fold.test, b.fold.test)
        np.testing.assert_array_equal(a.margin, b.margin)
        np.testing.assert_array_equal(a.probability, b.probability)
    assert any(
        (a.margin != b.margin).any()
        for a, b in zip(original_predictions["clinical"], changed_predictions["clinical"], strict=True)
    )


def test_an_informative_covariate_predicts(table, data):
    y = outcome_vector(table, "objective_response")
    informative = Block(("reads",), (y + np.random.default_rng(0).normal(0, 0.3, 60))[:, None])
    for prediction in baseline_predictions(replace(table, technical=informative))["technical"]:
        assert roc_auc_score(y[prediction.fold.test], prediction.margin) > 0.9


def test_without_its_species_lists_there_is_no_signature(table, data):
    assert signature_score(table) is None
    assert PUBLISHED_SIGNATURE not in baseline_predictions(table)
    write_signature(data, ["A"], ["B"])
    (data / "signatures" / "sig2.txt").unlink()
    assert signature_score(table) is None


def test_a_table_without_the_species_of_a_list_has_no_signature(table, data):
    present = table.taxa.names[0]
    write_signature(data, [present], ["Invented_species"])
    assert signature_score(table) is None


def test_the_signature_is_the_share_of_listed_species_that_are_present(table, data):
    """A listed species that no profile names is absent, and counts in the denominator."""
    names = ("Alpha_one", "Beta_two", "Gamma_three", "Delta_four")
    stool = np.array([[0.5, 0.5, 0, 0], [0, 0.9, 0.1, 0], [0, 0, 0, 1], [0.2, 0.2, 0.2, 0.4]])
    write_signature(data, ["s__Alpha one", "Omega_six"], ["Beta_two", "Gamma_three", "Nobody_sp"])
    few = replace(table.take(np.arange(4)), taxa=Block(names, stool))
    np.testing.assert_allclose(signature_score(few), [1 / 3 - 1 / 2, 2 / 3, 0, 2 / 3 - 1 / 2])


def test_only_slope_and_intercept_of_the_signature_are_fitted(table, data):
    names = table.taxa.names
    write_signature(data, list(names[40:50]), list(names[50:]))
    score, y = signature_score(table), outcome_vector(table, "objective_response")
    for prediction in baseline_predictions(table)[PUBLISHED_SIGNATURE]:
        np.testing.assert_array_equal(prediction.margin, score[prediction.fold.test])
        calibration = prediction.inner_validation.calibration
        assert calibration.slope >= 0
        np.testing.assert_allclose(
            prediction.probability, expit(calibration.slope * prediction.margin + calibration.intercept)
        )
        train_probability = expit(calibration.slope * score[prediction.fold.train] + calibration.intercept)
        assert train_probability.mean() == pytest.approx(y[prediction.fold.train].mean(), abs=1e-6)


# The published lists on the published cohorts


@pytest.fixture(scope="module")
def published_data(cohorts_dir: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXOKINE_DATA", str(cohorts_dir))
        settings.cache_clear()
        yield cohorts_dir
    settings.cache_clear()


def labelled(names: tuple[str, ...], data: Path) -> FeatureTable:
    """Return the patients of known response, by their first stool up to day 30."""
    tables = [
        landmark_table(read_cohort(name, data, fetch=False), LandmarkSpec(landmark=30, sample="first"))
        for name in names
    ]
    table = pool_tables(tables)
    return table.take(table.rows["published_response"].notna().to_numpy(bool))


@pytest.fixture(scope="module")
def six_cohorts(published_data: Path) -> FeatureTable:
    return labelled(SIX, published_data)


def species_found(folder: Path) -> dict[str, set[str]]:
    """Return the species that each column of a MetaPhlAn table has, read as text."""
    (path,) = (*folder.glob("metaphlan4_merged.tsv"), *folder.glob("species_relative_abundance.tsv"))
    with path.open(encoding="utf-8") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t") if not row[0].startswith("#")]
    samples = [name.removeprefix("metaphlan_") for name in rows[0][1:]]
    species: dict[str, set[str]] = {name: set() for name in samples}
    for clade, *shares in rows[1:]:
        rank = clade.rpartition("|")[2]
        if rank.startswith("s__"):
            for name, share in zip(samples, shares, strict=True):
                if float(share) > 0:
                    species[name].add(rank.removeprefix("s__"))
    return species


def test_the_published_signature_agrees_with_the_raw_tables(six_cohorts, published_data):
    resistance, response = (
        [line.partition("\t")[0] for line in (published_data / "signatures" / name).read_text().splitlines()[1:]]
        for name in ("sig1.txt", "sig2.txt")
    )
    assert (len(resistance), len(response)) == (37, 45)
    species = {name: species_found(published_data / name) for name in SIX}
    scores = [
        len(set(response) & species[cohort][sample]) / 45 - len(set(resistance) & species[cohort][sample]) / 37
        for cohort, sample in zip(six_cohorts.rows["cohort"], six_cohorts.rows["sample"], strict=True)
    ]
    np.testing.assert_allclose(signature_score(six_cohorts), scores)


def within_centres(table: FeatureTable) -> float:
    y, score = outcome_vector(table, "published_response"), signature_score(table)
    cohorts = table.rows["cohort"].to_numpy(dtype=object)
    auroc_within = float(mean_over_seeds(auroc, y, score, cohorts)[0])
    masks = [cohorts == name for name in SIX]
    mean_auroc = np.average(
        [roc_auc_score(y[mask], score[mask]) for mask in masks], weights=[mask.sum() for mask in masks]
    )
    assert auroc_within == pytest.approx(float(mean_auroc))
    return auroc_within


def test_the_auroc_of_the_published_signature(six_cohorts, published_data):
    assert len(six_cohorts) == 430
    assert within_centres(six_cohorts) == pytest.approx(0.547, abs=5e-4)


def test_what_it_reaches_with_the_stool_that_stands_under_two_patients(published_data, tmp_path):
    """0.548 was measured on 432 patients, before Spencer's manifest left one stool of opposite labels out."""
    for file in (published_data / "spencer_2021").iterdir():
        (tmp_path / file.name).symlink_to(file)
    manifest = YAML(typ="safe", pure=True).load(manifest_text(load_manifest("spencer_2021")))
    assert len(manifest["samples"].pop("exclude_samples")) == 2
    manifest_path = tmp_path / "manifest.yaml"
    manifest_path.write_text(json.dumps(manifest), encoding="utf-8")
    table = labelled(tuple(str(manifest_path) if name == "spencer_2021" else name for name in SIX), published_data)
    assert len(table) == 432
    assert within_centres(table) == pytest.approx(0.548, abs=5e-4)
