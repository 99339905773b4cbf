"""What a model takes in of a candidate, and what it refuses."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError, UnitError
from features.measured_values import CensoredPolicy, MeasuredValue, parse_value
from features.units import ImmuneUnit
from models.encoder import BlockEncoder
from models.patient_input import (
    LARGEST,
    Candidate,
    Measurement,
    ModelInput,
    StoolProfile,
    closed_proportions,
    to_model_input,
)
from models.predict import predict

from .conftest import UNITS, invented, trained
from .test_batch import served

ENCODER = BlockEncoder(("taxa", "immune", "clinical"), min_prevalence=0.3).fit(invented())


def measurement(analyte: str, value: str | float | None, unit: ImmuneUnit) -> Measurement:
    return Measurement(analyte, parse_value(value, unit=unit), unit)


def input_of(*immune: Measurement, encoder: BlockEncoder = ENCODER, **clinical: Any) -> ModelInput:
    return to_model_input(Candidate(clinical, None, immune), encoder, UNITS)


def number(model_input: ModelInput, block: str, name: str) -> float:
    return float(model_input.values[block][0, ENCODER.names_[block].index(name)])


@pytest.mark.parametrize(
    "profile",
    [
        StoolProfile({"a": 25.0, "b": 75.0}, "percent"),
        StoolProfile({"a": 0.25, "b": 0.75}, "proportions"),
        StoolProfile({"a": 250, "b": 750}, "counts"),
        # Part of a whole: the rest was not classified.
        StoolProfile({"a": 20.0, "b": 60.0}, "percent"),
        # One taxon above 100% by rounding.
        StoolProfile({"a": 25.3, "b": 75.9}, "percent"),
    ],
)
def test_every_unit_closes_to_the_same_proportions(profile: StoolProfile) -> None:
    assert closed_proportions(profile) == pytest.approx({"a": 0.25, "b": 0.75})


@pytest.mark.parametrize("unit", ["counts", "percent"])
def test_what_is_no_microbe_is_no_part_of_the_whole_as_in_training(unit: Any) -> None:
    values = {"UNCLASSIFIED": 30, "d__Bacteria;o__Rickettsiales;f__Mitochondria": 10, "Homo sapiens": 20, "a": 10}
    profile = StoolProfile({**values, "Blautia_wexlerae": 30}, unit)
    assert closed_proportions(profile) == pytest.approx({"a": 0.25, "Blautia_wexlerae": 0.75})


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ({"a": 40.0, "b": 60.0}, "proportions", "look like percent"),
        ({"a": 1.5}, "proportions", "but proportions sum to at most 1"),
        ({"a": 4000.0, "b": 6000.0}, "percent", "one rank only"),
        ({"a": 0.4, "b": 0.6}, "percent", "look like proportions"),
        ({"a": 0.4, "b": 0.6}, "counts", "whole numbers"),
        ({"a": -0.1, "b": 0.6}, "proportions", "from 0"),
        ({"a": math.nan}, "percent", "from 0"),
        ({"a": math.inf}, "counts", "from 0"),
        ({"a": 1e300, "b": 1e300}, "counts", "from 0"),
        ({"a": 10**400}, "counts", "from 0"),
        ({"a": 0.0, "b": 0.0}, "percent", "no taxon has an abundance above 0"),
        ({"UNCLASSIFIED": 60.0, "k__Animalia|s__Homo_sapiens": 40.0}, "percent", "no microbe has an abundance above 0"),
        ({}, "percent", "no taxon has an abundance above 0"),
        ({"s__Alpha one": 0.5, "Alpha_one": 0.5}, "proportions", "each taxon once"),
        ({"k__B|g__Alpha|s__Alpha_one": 0.0, "Alpha one": 0.5}, "proportions", "Alpha_one"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(values: dict[str, float], unit: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        closed_proportions(StoolProfile(values, unit))


@given(
    values=st.dictionaries(st.integers(0, 50).map("Taxon_x{}".format), st.floats(1e-6, 1), min_size=1),
    factor=st.sampled_from([1.0, 0.5]),
)
def test_proportions_sum_to_one_in_any_unit(values: dict[str, float], factor: float) -> None:
    total = math.fsum(values.values()) / factor
    parts = {name: value / total for name, value in values.items()}
    proportions = closed_proportions(StoolProfile(parts, "proportions"))
    assert math.fsum(proportions.values()) == pytest.approx(1)
    assert closed_proportions(StoolProfile({n: 100 * v for n, v in parts.items()}, "percent")) == pytest.approx(
        proportions
    )


def test_names_are_known_by_any_spelling() -> None:
    profile = StoolProfile({"k__Bacteria|g__Genus0|s__Genus0_species0": 60.0, "s__Genus1 species1": 40.0}, "percent")
    model_input = to_model_input(Candidate({}, profile), ENCODER, UNITS)
    assert number(model_input, "taxa", "Genus0_species0") == pytest.approx(0.6)
    assert number(model_input, "taxa", "Genus1_species1") == pytest.approx(0.4)
    assert model_input.unused == ()
    assert model_input.recognised == pytest.approx(1)


def test_what_has_no_effect_is_listed() -> None:
    profile = StoolProfile({"Genus0_species0": 30.0, "Unheard_of": 70.0}, "percent")
    blood = (
        measurement("IL-6", 1.0, "pg/mL"),
        measurement("IL-33", 2.0, "pg/mL"),
        measurement("IL10", 3.0, "log2_expression"),
    )
    model_input = to_model_input(
        Candidate({"age": 60, "shoe": 43, "mood": "fine", "sex": None}, profile, blood), ENCODER, UNITS
    )
    assert model_input.unused == ("Unheard_of", "IL-33", "IL10 mRNA", "shoe", "mood")
    assert model_input.recognised == pytest.approx(0.3)


def test_what_the_model_saw_but_dropped_has_no_effect_either() -> None:
    rare = invented().taxa.names[-1]
    assert rare in ENCODER.names_["taxa"]
    model_input = to_model_input(Candidate({}, StoolProfile({rare: 1.0}, "proportions")), ENCODER, UNITS)
    assert model_input.unused == (rare,)
    assert not model_input.is_measured("taxa").any()
    assert model_input.recognised == pytest.approx(1)


def test_blocks_that_the_model_lacks_have_no_effect() -> None:
    encoder = BlockEncoder(("taxa",)).fit(invented())
    assert input_of(measurement("IL-6", 1.0, "pg/mL"), encoder=encoder, age=60).unused == ("IL-6", "age")


@pytest.mark.parametrize(
    ("given_as", "reference_value"),
    [
        (("Interleukin 6", 3.0, "pg/mL"), 3.0),
        (("IL6", 0.003, "ng/mL"), 3.0),
        (("IL-6", "<4", "pg/mL"), 2.0),
        (("IL-6", "<0.004", "ng/mL"), 2.0),
        (("IL-6", ">4", "pg/mL"), 4.0),
        (("IL-6", "OOR<", "pg/mL"), -math.inf),
        (("IL-6", "OOR>", "ng/mL"), math.inf),
        (("IL-6", 0, "pg/mL"), 0.0),
    ],
)
def test_a_concentration_arrives_in_the_models_unit(given_as: Any, reference_value: float) -> None:
    assert number(input_of(measurement(*given_as)), "immune", "IL-6") == pytest.approx(reference_value)


@pytest.mark.parametrize(
    ("policy", "below", "above"), [("half_limit", 2.0, 4.0), ("limit", 4.0, 4.0), ("missing", math.nan, math.nan)]
)
def test_censored_readings_follow_the_models_policy(policy: CensoredPolicy, below: float, above: float) -> None:
    encoder = BlockEncoder(("immune",), censored=policy).fit(invented())
    for text, reference_value in (("<4", below), (">4", above)):
        model_input = input_of(measurement("IL-6", text, "pg/mL"), encoder=encoder)
        np.testing.assert_allclose(model_input.values["immune"][0, 0], reference_value)


def test_half_of_an_npx_limit_is_one_less() -> None:
    assert number(input_of(measurement("sCD40L", "<4", "NPX")), "immune", "CD40L") == 3.0


@pytest.mark.parametrize(
    ("analyte", "value", "unit"),
    [
        ("IL-6", 3.0, "NPX"),
        ("IL-6", 3.0, "unstated"),
        ("IL-10", 3.0, "pg/mL"),
        ("CD40L", 3.0, "pg/mL"),
        # A limit of another scale, or a side without a limit, says no more than a number of it.
        ("IL-6", "<3", "NPX"),
        ("IL-6", "OOR<", "NPX"),
        ("CD40L", "OOR>", "ng/mL"),
    ],
)
def test_units_without_a_conversion_are_refused(analyte: str, value: Any, unit: ImmuneUnit) -> None:
    with pytest.raises(UnitError, match=f"immune: the model reads {analyte} in"):
        input_of(measurement(analyte, value, unit))


def test_gene_expression_is_no_protein() -> None:
    model_input = input_of(measurement("IL6", 5.0, "log2_expression"), measurement("IL-6", 2.0, "pg/mL"))
    assert number(model_input, "immune", "IL6 mRNA") == 5.0
    assert number(model_input, "immune", "IL-6") == 2.0


def test_two_values_of_an_analyte_are_refused() -> None:
    with pytest.raises(InputError, match="there are two values of TNF-a"):
        input_of(measurement("TNF", 1.0, "pg/mL"), measurement("TNF alpha", 2.0, "pg/mL"))


@pytest.mark.parametrize("value", [-2.0, 2e15, -1e-9])
@pytest.mark.parametrize("analyte", ["IL-6", "IL-33"])
def test_an_impossible_concentration_is_refused(analyte: str, value: float) -> None:
    with pytest.raises(InputError, match=f"immune: expected {analyte} from 0"):
        input_of(Measurement(analyte, MeasuredValue(value), "pg/mL"))


def test_a_log2_scale_may_be_negative() -> None:
    assert number(input_of(Measurement("CD40L", MeasuredValue(-2.0), "NPX")), "immune", "CD40L") == -2.0


def test_clinical_fields_become_numbers_and_levels() -> None:
    model_input = input_of(age=61, sex="female")
    assert model_input.values["clinical"].tolist() == [[61.0, 1.0, 0.0]]
    assert input_of(age=True).values["clinical"][0, 0] == 1.0
    assert np.isnan(input_of(age=None, sex=None).values["clinical"]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sex": "Female"}, "expected one of female, male, got 'Female'"),
        ({"sex": 1}, "expected one of female, male"),
        ({"sex": True}, "expected one of female, male"),
        ({"age": "61"}, "expected a number"),
        ({"age": math.nan}, "expected a number"),
        ({"age": math.inf}, "expected a number"),
        ({"age": 10**400}, "expected a number"),
        ({"shoe": -math.inf}, "expected a number"),
    ],
)
def test_a_clinical_value_of_another_kind_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"patient.{next(iter(fields))}: {message}"):
        input_of(**fields)


def test_nothing_is_received_as_nothing() -> None:
    model_input = input_of()
    assert not any(model_input.is_measured(block).any() for block in ENCODER.blocks)
    assert model_input.recognised is None
    assert not model_input.values["taxa"].any()


ANY_FLOAT = st.floats() | st.floats(0, 1) | st.floats(0, 100) | st.integers(-2, 10**20)
NAMES = st.sampled_from(
    ["Genus0_species0", "s__Genus1 species1", "Genus2_species2", "Unheard", "g__x|s__", "", "|", " "]
)
CANDIDATES = st.builds(
    Candidate,
    clinical=st.dictionaries(
        st.sampled_from(["age", "sex", "sex=male", "shoe", "", "="]),
        st.none() | st.booleans() | ANY_FLOAT | st.sampled_from(["male", "female", "", "x"]),
    ),
    taxa=st.none()
    | st.builds(
        StoolProfile,
        values=st.dictionaries(NAMES, ANY_FLOAT),
        unit=st.sampled_from(["counts", "proportions", "percent"]),
        profiler=st.none() | st.text(max_size=5),
        day=st.none() | st.floats(-1e3, 1e3),
        clock=st.none() | st.sampled_from(["day_ici", "day_fmt", ""]),
    ),
    immune=st.lists(
        st.builds(
            Measurement,
            analyte=st.sampled_from(["IL-6", "IL6", "CXCL8", "IL10", "sCD40L", "?", "", "IL-6/TNF"]),
            reading=st.builds(MeasuredValue, st.floats(), st.sampled_from(["", "below", "above"]), st.floats())
            | st.builds(MeasuredValue, st.floats(0, 1e4)),
            unit=st.sampled_from(get_args(ImmuneUnit)),
        ),
        max_size=4,
    ).map(tuple),
)


@given(candidate=CANDIDATES)
def test_any_candidate_gets_a_clear_error_or_finite_numbers(candidate: Candidate) -> None:
    for family in ("elastic_net", "xgboost"):
        for blocks in (("taxa", "immune", "clinical"), ("taxa",), ("immune",)):
            try:
                prediction = predict([served(trained(family, blocks))], candidate)
            except InputError:
                continue
            assert isinstance(prediction.trust.verdict, str)
            if prediction.explanation is None:
                assert prediction.probability is None
                assert prediction.trust.reasons
                continue
            assert 0 <= prediction.probability <= 1
            numbers = [c.shap for c in prediction.explanation.contributions]
            values_on_show = [c.value for c in prediction.explanation.contributions if c.value is not None]
            assert np.isfinite([*numbers, *values_on_show, prediction.explanation.value]).all()


def test_the_largest_numbers_stay_numbers() -> None:
    profile = StoolProfile({"Genus0_species0": int(LARGEST), "Genus1_species1": 1}, "counts")
    blood = tuple(
        Measurement(a, MeasuredValue(LARGEST), u) for a, u in (("IL-6", "ng/mL"), ("IL-8", "ng/mL"), ("CD40L", "NPX"))
    )  # type: ignore[arg-type]
    candidate = Candidate({"age": -LARGEST, "sex": "male"}, profile, blood)
    for family in ("elastic_net", "xgboost_forest", "xgboost"):
        model = trained(family)
        assert predict([served(model)], candidate).trust.out_of_range == ("IL-6", "IL-8", "CD40L", "age")
        encoded = model.encoder.encode(to_model_input(candidate, model.encoder, model.units).values)
        shap, base = model.predictor.contributions(encoded)
        assert math.isfinite(model.calibration.probability(base + shap.sum()))
