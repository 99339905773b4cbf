"""A prediction as one row of a table: what the batch of the API, the command line and MLflow write of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from models.prediction import Prediction, largest_contributions

TOP = 5
"""Number of contributions in a row."""


@dataclass(frozen=True)
class PredictionRow:
    """One prediction.

    Attributes
    ----------
    probability, margin : float or None
        Probability, and the log-odds before calibration; None where the model abstains.
    verdict : str
    reasons : str
        Of the verdict, separated by "; ".
    unconfirmed_reason : str or None
        That held-out patients do not confirm the probability; None where they do, or there are none.
    contributions : str
        The `TOP` largest SHAP contributions in log-odds, separated by "; "; of a clinical field, the sum of its levels.
    model : str
        Registered name and version, as name/version.
    model_landmark : float
        Landmark of the model.
    landmark_reason : str
        Why the model of this landmark predicts.
    donor_part : str
        What part a donor has in the prediction.
    simulated : bool
        Whether the model was trained on simulated patients.
    in_training_set : bool or None
        Whether the profile is a training patient's; None where this was not compared.
    """

    probability: float | None
    margin: float | None
    verdict: str
    reasons: str
    unconfirmed_reason: str | None
    contributions: str
    model: str
    model_landmark: float
    landmark_reason: str
    donor_part: str
    simulated: bool
    in_training_set: bool | None


COLUMNS = tuple(column.name for column in fields(PredictionRow))
"""Columns of a row."""


def prediction_row(prediction: Prediction) -> PredictionRow:
    """Return a prediction as a row."""
    explanation, trust = prediction.explanation, prediction.trust
    largest = largest_contributions(explanation, TOP) if explanation else []
    return PredictionRow(
        probability=prediction.probability,
        margin=explanation.value if explanation else None,
        verdict=trust.verdict,
        reasons="; ".join(trust.reasons),
        unconfirmed_reason=prediction.unconfirmed_reason,
        contributions="; ".join(f"{contribution.feature} {contribution.shap:+.3f}" for contribution in largest),
        model=f"{prediction.model.name}/{prediction.model.version}",
        model_landmark=prediction.landmark.day,
        landmark_reason=prediction.landmark.reason,
        donor_part=prediction.donor_part,
        simulated=prediction.simulated,
        in_training_set=trust.in_training_set,
    )
