"""Tumour type, line of treatment and class of drugs: constants and columns of a manifest, by patient."""

from __future__ import annotations

import pytest

from features.cohort import read_cohort
from features.errors import FileError, InputError, ManifestError
from features.landmark import landmark_table
from features.manifest import load_manifest, manifest_names
from features.population import population_of
from taxokine.simulation import Trial, simulate_trial


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return simulate_trial(tmp_path_factory.mktemp("trial") / "trial", Trial(n_patients=12, n_taxa=40))


def rewritten(manifest, old, new):
    copy = manifest.with_name("changed.yaml")
    text = manifest.read_text(encoding="utf-8")
    assert old in text
    copy.write_text(text.replace(old, new), encoding="utf-8")
    return copy


def test_a_constant_holds_for_all_and_a_column_for_each_patient(manifest):
    table = landmark_table(read_cohort(manifest, manifest.parent))
    assert set(table.rows["tumour_type"]) == {"melanoma"}
    assert set(table.rows["treatment_line"]) == {"first", "later"}
    prior = table.clinical.values[:, table.clinical.names.index("prior_therapy")]
    assert (table.rows["treatment_line"] == "later").tolist() == (prior == 1).tolist()
    assert set(table.rows["drug_class"]) == {""}
    assert not {"tumour_type", "treatment_line", "drug_class"} & set(table.clinical.names)


def test_what_a_manifest_does_not_explain_is_an_error(manifest):
    with pytest.raises(FileError, match=r"column 'prior_therapy'.*no rule explains 'no'"):
        read_cohort(rewritten(manifest, "yes: later, no: first", "yes: later"), manifest.parent)
    with pytest.raises(ManifestError, match=r"population\.tumour_type.*melanom"):
        load_manifest(rewritten(manifest, "tumour_type: melanoma", "tumour_type: melanom"))
    with pytest.raises(InputError, match=r"drug_class: expected one of anti-PD-1, .*, got 'aspirin'"):
        population_of(drug_class="aspirin")


@pytest.mark.parametrize("name", manifest_names())
def test_each_shipped_manifest_states_a_tumour_type(name):
    assert load_manifest(name).population.tumour_type in {"melanoma", "none"}


def test_prior_therapy_has_one_meaning_in_the_shipped_manifests():
    columns = {}
    for name in manifest_names():
        patients = load_manifest(name).patients
        if patients is not None and "prior_therapy" in patients.covariates:
            columns[name] = patients.covariates["prior_therapy"].column
    assert columns == {"lee_2022": "history_of_therapy", "spencer_2021": "previous_therapy"}
