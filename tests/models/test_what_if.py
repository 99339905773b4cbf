"""What the models predict with other measurements: the same as for a candidate who has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.columns import Column
from features.errors import InputError
from features.measured_values import MeasuredValue
from models.batch import table_candidates
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import predict
from models.what_if import StoolAfter, WhatIf, median_targets, what_if

from .conftest import PROFILER, complete, invented
from .test_batch import served

CANDIDATE = list(table_candidates(invented(seed=9)))[3]


def compare(candidate: Candidate, *names: str, stool_after: StoolAfter | None = None) -> WhatIf:
    models = {"toxicity_any": [served(complete("elastic_net"))]}
    return what_if(models, candidate, names, stool_after)


def probability(candidate: Candidate) -> float:
    predicted = predict([served(complete("elastic_net"))], candidate).probability
    assert predicted is not None
    return predicted


def test_the_median_of_a_taxon_counts_patients_without_it() -> None:
    distributions = complete("elastic_net").validation.distributions
    taxa = invented().taxa
    medians = {
        target.column.field: target.value
        for name in distributions.taxa
        for target in median_targets([distributions], Column("taxa", name))
    }
    expected = dict(zip(taxa.names, np.quantile(taxa.values, 0.5, axis=0, method="lower").tolist(), strict=True))
    assert sum(median == 0 for median in medians.values()) > 5
    assert sum(median > 0 for median in medians.values()) > 5
    for name, median in medians.items():
        # The distribution reports nine quantiles, between which the median lies on a line.
        assert median == pytest.approx(expected[name], rel=0.25), name


def test_an_analyte_is_put_to_the_median_and_the_unit_of_the_model() -> None:
    comparison = compare(CANDIDATE, "immune:IL-8", "clinical:age")
    change, age = comparison.changes
    assert (change.unit, change.patients) == ("ng/mL", int((~np.isnan(invented().immune.values[:, 1])).sum()))
    others = tuple(item for item in CANDIDATE.immune if item.analyte != "IL-8")
    reading = Measurement("IL-8", MeasuredValue(1000 * change.after), "pg/mL")
    changed_candidate = replace(CANDIDATE, immune=(*others, reading), clinical={**CANDIDATE.clinical, "age": age.after})
    (shift,) = comparison.shifts
    assert shift.probability_before == probability(CANDIDATE)
    assert shift.probability_after == pytest.approx(probability(changed_candidate))
    assert shift.difference == shift.probability_after - shift.probability_before != 0


def test_a_reading_beyond_a_limit_is_reported_as_such() -> None:
    others = tuple(item for item in CANDIDATE.immune if item.analyte != "IL-6")
    below = Measurement("IL-6", MeasuredValue(float("nan"), "below", 3.2), "pg/mL")
    (change,) = compare(replace(CANDIDATE, immune=(*others, below)), "immune:IL-6").changes
    assert (change.before, change.reported.text) == (None, "<3.2")


def test_a_genus_stands_for_its_taxa_and_all_others_keep_their_ratios() -> None:
    comparison = compare(CANDIDATE, "taxa:Genus0")
    after = {item.column.partition(":")[2]: item.after for item in comparison.changes}
    # Genus0_species14 has too few carriers for so low a quantile of theirs to be reported.
    assert set(after) == {"Genus0_species0", "Genus0_species7"}
    values = CANDIDATE.taxa.values
    others = {name: value for name, value in values.items() if name not in after}
    factor = (1 - sum(after.values())) / sum(others.values())
    profile = {name: factor * value for name, value in others.items()} | after
    changed_candidate = replace(CANDIDATE, taxa=StoolProfile(profile, "proportions", PROFILER, -1.0))
    assert comparison.shifts[0].probability_after == pytest.approx(probability(changed_candidate))
    (own,) = [item.before for item in comparison.changes if item.column == "taxa:Genus0_species0"]
    assert own == pytest.approx(values["Genus0_species0"] / sum(values.values()))


def test_taxa_are_put_to_the_stool_after_a_transplant() -> None:
    stool_after = StoolAfter({"Genus0_species0": 0.4, "Genus0_new": 0.1}, 11)
    comparison = compare(CANDIDATE, "taxa:Genus0", stool_after=stool_after)
    after = {item.column: item.after for item in comparison.changes}
    assert (after["taxa:Genus0_species0"], after["taxa:Genus0_new"]) == (0.4, 0.1)
    assert sum(value > 0 for value in after.values()) == 2
    assert {item.patients for item in comparison.changes} == {11}


@pytest.mark.parametrize(
    ("name", "candidate", "stool_after", "words"),
    [
        ("Genus0", CANDIDATE, None, "expected block:name"),
        ("taxa:Unheard", CANDIDATE, None, "no model reports a training median of 'taxa:Unheard'"),
        ("clinical:sex", CANDIDATE, None, "no model reports a training median"),
        ("donor:approach", CANDIDATE, None, "no model reports a training median"),
        ("taxa:Genus0", replace(CANDIDATE, taxa=None), None, "send 'taxa'"),
        ("immune:IL-8", CANDIDATE, StoolAfter({"Genus0_species0": 1.0}, 11), "leave it out"),
        ("taxa:Genus0", CANDIDATE, StoolAfter({"Genus0_species0": 1.0}, 11), "leave nothing of the profile"),
    ],
)
def test_what_cannot_be_changed_is_an_error(name, candidate, stool_after, words) -> None:
    with pytest.raises(InputError, match="changes: ") as caught:
        compare(candidate, name, stool_after=stool_after)
    assert words in str(caught.value)


def test_without_a_forecast_there_is_no_difference() -> None:
    training_patient = next(iter(table_candidates(invented())))
    (shift,) = compare(training_patient, "immune:IL-8").shifts
    assert "learnt from this patient" in shift.reason
    (shift_of_none,) = compare(replace(CANDIDATE, taxa=None), "immune:IL-8").shifts
    assert "the model abstains" in shift_of_none.reason
    # The same for a candidate whom only the change takes out of the applicability domain.
    distant = StoolAfter({"Genus0_elsewhere": 0.9}, 11)
    (shift_after,) = compare(CANDIDATE, "taxa:Genus0", stool_after=distant).shifts
    assert "abstains on the changed measurements" in shift_after.reason
    for item in (shift, shift_of_none, shift_after):
        assert item.difference is item.probability_after is None
