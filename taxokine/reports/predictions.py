"""Reports of predictions, as the server returns them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from serving.number_text import chance, percent
from taxokine.terminal import facts

if TYPE_CHECKING:
    from models.prediction import Contribution, Explanation, Prediction
    from serving.schemas import PredictionResponse
    from taxokine.batch import WrittenPredictions

CONTRIBUTIONS_SHOWN = 8


def prediction_report(response: PredictionResponse) -> Iterator[RenderableType]:
    """Yield the server's response for one candidate, with the largest contributions to each prediction."""
    from models.confirmation import forecasts
    from models.joint import benefit_bounds, joint_outcome

    yield Text(f"candidate {response.patient.id}{' (simulated)' if response.simulated else ''}", "bold")
    for prediction in response.answers:
        yield ""
        probability = "abstains" if prediction.probability is None else chance(prediction.probability)
        yield f"{prediction.outcome}: {probability}   ({prediction.definition})"
        yield facts([*_standing(prediction), *_reasons(prediction.explanation)])
    yield ""
    benefit = benefit_bounds(joint_outcome(forecasts(response.answers)))
    bounds = (
        f"not bounded, {benefit.reason}"
        if benefit.low is None or benefit.high is None
        else benefit.unconfirmed_reason or " to ".join(dict.fromkeys((percent(benefit.low), percent(benefit.high))))
    )
    yield f"benefit (response without toxicity): {bounds}"
    yield ""
    yield response.notice


def batch_report(batch: WrittenPredictions) -> Iterator[RenderableType]:
    """Yield what a file of predictions holds, and which of its patients the model was trained on."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in batch.verdict_counts.items())
    rows = "patients" if len(batch.landmark_counts) == 1 else "visits"
    yield f"{batch.outcome} for {sum(batch.verdict_counts.values())} {rows}: {verdicts}"
    if len(batch.landmark_counts) > 1:
        counts = ", ".join(f"{count} of day {landmark:g}" for landmark, count in batch.landmark_counts.items())
        yield f"by the models of landmarks: {counts}"
    yield f"evidence: {batch.evidence}"
    if batch.unread:
        unread_rows = "1 row has" if batch.unread == 1 else f"{batch.unread} rows have"
        yield f"{unread_rows} no prediction: the column 'error' says why"
    if n := batch.training_profiles:
        yield f"{n} {rows} are in the training set by their profiles: their predictions test nothing"
    for name in batch.training_cohorts:
        yield f"the model was trained on {name}: these predictions do not test it"
    yield f"wrote {batch.path}"


def _standing(prediction: Prediction) -> Iterator[tuple[str, str]]:
    from models.prediction import reservations, use_of

    model = prediction.model
    yield "model", f"{model.name}/{model.version}, {model.family} on {' + '.join(model.blocks)}"
    yield "landmark", f"day {prediction.landmark.day:g}: {prediction.landmark.reason}"
    yield "donor", prediction.donor_part
    yield "evidence", prediction.evidence.sentence
    unconfirmed = [prediction.unconfirmed_reason] if prediction.unconfirmed_reason else []
    use = use_of(prediction.trust.verdict, prediction.evidence)
    yield "trust", "\n- ".join([use, *unconfirmed, *reservations(prediction)])


def _reasons(explanation: Explanation | None) -> Iterator[tuple[str, str]]:
    from models.prediction import largest_contributions

    if explanation is None:
        return
    calibration = explanation.calibration
    average, candidate = (
        calibration.slope * margin + calibration.intercept for margin in (explanation.base_value, explanation.value)
    )
    yield "log-odds", f"{average:+.2f} for the average training patient, {candidate:+.2f} for this candidate, by"
    for contribution in largest_contributions(explanation, CONTRIBUTIONS_SHOWN):
        name = f"{contribution.feature} ({contribution.block})"
        shift = calibration.slope * contribution.shap
        yield "", f"{shift:+.3f}  {name}: {_value_text(contribution)}"


def _value_text(contribution: Contribution) -> str:
    """Return a measurement with its unit: "3.015 pg/mL", "60.69%", "<3.2 pg/mL", "*0.42 pg/mL (extrapolated)"."""
    if contribution.value is not None and contribution.unit == "proportion":
        return percent(contribution.value, 2)
    reported = contribution.reported
    if contribution.value is None and reported is None:
        return "not measured"
    number = f"{contribution.value:.4g}" if reported is None else reported.text
    has_number = reported is None or reported.side is None or reported.limit is not None
    unit = f" {contribution.unit}" if contribution.unit and has_number else ""
    return f"{number}{unit}{' (extrapolated)' if reported and reported.side is None else ''}"
