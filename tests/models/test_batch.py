"""Many patients at once: the same answers as one at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from features.errors import InputError
from models.batch import numbers_candidate, predictions, table_candidates
from models.bundle import Model
from models.patient_input import Candidate, to_model_input
from models.predict import ServedModel, predict
from models.prediction_rows import COLUMNS, TOP

from .conftest import BLOCKS, PROFILER, UNITS, invented, trained


def served(model: Model, name: str = "toxicity_any") -> ServedModel:
    return ServedModel(model, name, "1", "run", "candidate")


def candidate_of(
    taxa: dict[str, float] | None = None, immune: dict[str, float] | None = None, **clinical: float
) -> Candidate:
    return numbers_candidate(taxa or {}, immune or {}, clinical, units=UNITS)


@pytest.mark.parametrize("blocks", [BLOCKS, ("taxa",)])
def test_a_row_is_encoded_as_in_training(family: str, blocks: tuple[str, ...]) -> None:
    model, table = trained(family, blocks), invented(seed=2)
    margins = model.predictor.margin(model.encoder.transform(table))
    prediction = predictions(served(model), table_candidates(table))
    np.testing.assert_allclose(prediction["margin"], margins, atol=1e-4)
    np.testing.assert_allclose(prediction["probability"], model.calibration.probability(margins), atol=1e-5)


def test_every_block_of_a_row_arrives() -> None:
    model, table = trained("elastic_net"), invented(seed=2)
    for i, candidate in enumerate(table_candidates(table)):
        values = to_model_input(candidate, model.encoder, model.units).values
        for block in BLOCKS:
            np.testing.assert_allclose(values[block][0], table.block(block).values[i], rtol=1e-12, err_msg=block)


def test_a_table_says_which_stool_and_which_profiler() -> None:
    table = invented()
    table.rows.loc[1, "sample_day"] = math.nan
    first, second, *_ = table_candidates(table)
    assert first.taxa is not None
    assert second.taxa is not None
    assert (first.taxa.profiler, first.taxa.day, first.taxa.clock) == (PROFILER, -1.0, "day_ici")
    assert second.taxa.day is None


def test_a_row_of_the_table_equals_the_single_prediction(family: str) -> None:
    model = served(trained(family))
    candidates = list(table_candidates(invented(seed=4)))
    for candidate, row in zip(candidates, predictions(model, candidates).itertuples(), strict=True):
        prediction = predict([model], candidate)
        assert row.probability == prediction.probability
        assert row.margin == prediction.explanation.value
        assert row.verdict == prediction.trust.verdict
        assert row.model == "toxicity_any/1"
        assert row.simulated == prediction.simulated
        assert row.donor_part == prediction.donor_part
        top = row.contributions.split("; ")
        assert len(top) == TOP
        shap = {item.feature: item.shap for item in prediction.explanation.contributions}
        # A patient's sex is one reason, by the level that the patient has.
        (sex,) = (
            item.feature for item in prediction.explanation.contributions if item.value and "sex=" in item.feature
        )
        shap[sex] = shap.pop("sex=female") + shap.pop("sex=male")
        largest = max(shap, key=lambda name: abs(shap[name]))
        assert top[0] == f"{largest} {shap[largest]:+.3f}"


def test_an_abstention_has_no_number() -> None:
    row = predictions(served(trained("xgboost")), [Candidate()]).iloc[0]
    assert row["verdict"] == "abstain"
    assert np.isnan(row["probability"])
    assert np.isnan(row["margin"])
    assert row["contributions"] == ""
    assert "none was reported" in row["reasons"]


def test_no_candidates_make_an_empty_table() -> None:
    assert list(predictions(served(trained("elastic_net")), []).columns) == list(COLUMNS)


def test_an_unreadable_row_is_named() -> None:
    fine = candidate_of({"Genus0_species0": 1.0})
    with pytest.raises(InputError, match="candidate 2: taxa"):
        predictions(served(trained("elastic_net")), [fine, candidate_of({"Genus0_species0": -0.5})])


@pytest.mark.parametrize("bad", [-0.1, math.inf, -math.inf, 1e300])
def test_an_impossible_abundance_is_refused_not_dropped(bad: float) -> None:
    with pytest.raises(InputError, match="abundance"):
        predictions(served(trained("elastic_net")), [candidate_of({"Genus0_species0": 0.5, "Genus1_species1": bad})])


def test_nan_is_not_measured() -> None:
    candidate = candidate_of({"Genus0_species0": 1.0, "x": math.nan, "y": 0.0}, {"IL-6": math.nan}, age=math.nan)
    assert candidate.taxa is not None
    assert dict(candidate.taxa.values) == {"Genus0_species0": 1.0}
    assert candidate.immune == ()
    assert candidate.clinical == {}
    assert candidate_of({"x": math.nan}).taxa is None


def test_infinities_are_beyond_an_unstated_limit() -> None:
    below, above = candidate_of(immune={"IL-6": -math.inf, "IL-8": math.inf}).immune
    assert (below.reading.censored, above.reading.censored) == ("below", "above")
    assert math.isnan(below.reading.value)
    assert math.isnan(below.reading.limit)


@pytest.mark.parametrize("units", [UNITS, {"IL-6": "unstated"}, {}])
def test_a_transcript_never_passes_for_its_protein(units: dict[str, str]) -> None:
    candidate = numbers_candidate({}, {"IL6 mRNA": 5.0}, {}, units=units)
    model = trained("elastic_net")
    values = to_model_input(candidate, model.encoder, model.units).values["immune"][0]
    assert dict(zip(UNITS, np.isfinite(values).tolist(), strict=True)) == {name: name == "IL6 mRNA" for name in UNITS}
    duplicates = numbers_candidate({}, {"IL6 mRNA": 5.0, "IL-6": 2.0}, {}, units=units)
    if units:
        assert to_model_input(duplicates, model.encoder, units).unused == ()


def test_levels_become_fields() -> None:
    assert candidate_of(**{"sex=female": 1.0, "sex=male": 0.0, "age": 61.0}).clinical == {"sex": "female", "age": 61.0}
    assert candidate_of(**{"sex=female": 0.0, "sex=male": 0.0}).clinical == {}


def test_a_cohort_of_another_profiler_calls_for_care() -> None:
    table = invented()
    other_table = replace(table, cohorts={"invented": replace(table.cohorts["invented"], profiler="kraken2")})
    model = served(trained("elastic_net"))
    assert set(predictions(model, table_candidates(table))["verdict"]) <= {"ok", "use with care"}
    assert set(predictions(model, table_candidates(other_table))["verdict"]) == {"use with care"}
