"""A prediction's explanation as a `shap.Explanation`, for shap's own plots.

Importing shap takes seconds, so it is imported when called; serving a prediction never calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.prediction import Prediction

if TYPE_CHECKING:
    import shap


def shap_explanation(predictions: Sequence[Prediction]) -> shap.Explanation:
    """Return the SHAP values of predictions by one model, for `shap.plots.waterfall`, `bar` and `beeswarm`.

    Parameters
    ----------
    predictions : sequence of Prediction
        Predictions by the same model; none of them an abstention.

    Returns
    -------
    shap.Explanation
        `values` and `data`, (n_predictions, n_features), on the log-odds scale and in the model's units (NaN where a
        measurement is missing), `base_values`, (n_predictions,), and `feature_names`. A row of `values` and its base
        value add up to the log-odds before calibration.

    Raises
    ------
    ValueError
        There is no prediction, a prediction has no explanation, or the predictions are of several models.
    """
    import shap

    explanations = [prediction.explanation for prediction in predictions if prediction.explanation is not None]
    if not predictions or len(explanations) < len(predictions):
        raise ValueError("expected at least one prediction, and no abstentions, since these have no explanation")
    if len({prediction.model for prediction in predictions}) > 1:
        raise ValueError("expected predictions by one model; explain each model's predictions separately")
    rows = [explanation.contributions for explanation in explanations]
    return shap.Explanation(
        values=np.array([[term.shap for term in row] for row in rows]),
        base_values=np.array([explanation.base_value for explanation in explanations]),
        data=np.array([[np.nan if term.value is None else term.value for term in row] for row in rows]),
        feature_names=[term.feature for term in rows[0]],
    )
