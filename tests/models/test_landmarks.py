"""As visits come in, the model of the latest landmark that a patient has reached predicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from features.measured_values import MeasuredValue
from models.patient_input import Candidate, EarlierVisit, Measurement, StoolProfile
from models.predict import ServedModel, predict
from models.what_if import what_if

from .conftest import BLOCKS, PROFILER, complete, invented, trained


def of_landmark(landmark: float, blocks: tuple[str, ...] = ("taxa",)) -> ServedModel:
    model = trained("elastic_net", blocks)
    evidence = replace(model.evidence, landmark=landmark)
    return ServedModel(replace(model, evidence=evidence), f"day_{landmark:g}", "1", "", "candidate")


MODELS = [of_landmark(0.0), of_landmark(28.0)]


def stool(row: int, day: float | None) -> StoolProfile:
    table = invented(seed=9)
    values = dict(zip(table.taxa.names, table.taxa.values[row].tolist(), strict=True))
    return StoolProfile(values, "proportions", PROFILER, day, "day_ici")


def visits(*days: float) -> Candidate:
    """Return a candidate with a stool sample of a row of its own on each day."""
    *earlier, present = (Candidate({}, stool(row, day)) for row, day in enumerate(days))
    return replace(present, earlier=tuple(EarlierVisit(item.taxa.day, item) for item in earlier if item.taxa))


@pytest.mark.parametrize(
    ("day", "landmark", "reason"),
    [
        (None, 0, "no measurement is dated, so that the model of the earliest prediction day, day 0, is due"),
        (-3.0, 0, "the last visit, on day -3, precedes day 0, the earliest prediction day of a model"),
        (0.0, 0, "day 0 is the latest prediction day of a model by the last visit, on day 0"),
        (27.0, 0, "day 0 is the latest prediction day of a model by the last visit, on day 27"),
        (28.0, 28, "day 28 is the latest prediction day of a model by the last visit, on day 28"),
        (
            60.0,
            28,
            "no model predicts from later than day 28: on day 60, of the last visit, the prediction is that of day 28",
        ),
    ],
)
def test_the_latest_landmark_by_the_last_visit_predicts(day: float | None, landmark: float, reason: str) -> None:
    for models in (MODELS, MODELS[::-1]):
        prediction = predict(models, Candidate({}, stool(0, day)))
        assert prediction.model.name == f"day_{landmark:g}"
        choice = prediction.landmark
        assert (choice.day, choice.served, choice.last_visit) == (landmark, (0.0, 28.0), day)
        assert choice.reason == reason


def test_with_one_landmark_the_answer_says_that_no_later_one_has_a_model() -> None:
    later = predict(MODELS[:1], visits(-3, 40))
    assert later.landmark.reason.startswith("no model predicts from later than day 0: on day 40")
    assert later.probability == predict(MODELS[:1], visits(-3)).probability
    assert later.landmark.stool_day == -3


def test_what_was_measured_after_the_landmark_changes_nothing() -> None:
    by_landmark = predict(MODELS, replace(visits(-3, 20), day=28))
    assert (by_landmark.model.name, by_landmark.landmark.stool_day) == ("day_28", 20)
    for later in (29.0, 45.0, 400.0):
        prediction = predict(MODELS, visits(-3, 20, later))
        assert (prediction.probability, prediction.landmark.stool_day) == (by_landmark.probability, 20)
        assert prediction.trust == by_landmark.trust
    other_stool = predict(MODELS, visits(-3, 29, 45))
    assert other_stool.landmark.stool_day == -3
    assert other_stool.probability != by_landmark.probability


def test_stool_from_before_the_window_of_the_landmark_is_not_read() -> None:
    prediction = predict(MODELS, visits(-80, 40))
    assert prediction.landmark.stool_day == 40
    assert "taken on day 40, after the model's prediction day, day 28" in prediction.trust.reasons[0]


def test_the_day_of_the_visit_counts_where_it_brought_no_measurement() -> None:
    blood = (Measurement("IL-6", MeasuredValue(3.0), "pg/mL", 20.0),)
    candidate = Candidate({}, stool(0, 14.0), blood)
    assert predict(MODELS, candidate).model.name == "day_0"
    assert predict(MODELS, replace(candidate, day=31.0)).model.name == "day_28"
    assert predict(MODELS, replace(candidate, immune=(replace(blood[0], day=31.0),))).model.name == "day_28"


def test_a_model_that_lacks_measurements_leaves_the_answer_to_that_of_an_earlier_landmark() -> None:
    models = [MODELS[0], of_landmark(28.0, BLOCKS)]
    choice = predict(models, visits(-3, 28)).landmark
    assert choice.day == 0
    assert choice.reason == "the model of day 28, which is due, lacks measurements; that of day 0 has them"


def test_what_if_changes_the_visit_that_the_model_reads() -> None:
    model = complete("elastic_net", ("taxa",))
    models = {
        "toxicity_any": [
            ServedModel(
                replace(model, evidence=replace(model.evidence, landmark=day)), f"day_{day:g}", "1", "", "candidate"
            )
            for day in (0.0, 28.0)
        ]
    }
    candidate = visits(-3, 20, 45)
    (shift,) = what_if(models, candidate, ["taxa:Genus0_species0"]).shifts
    assert shift.model.name == "day_28"
    assert shift.probability_before == predict(models["toxicity_any"], candidate).probability
    assert shift.difference
