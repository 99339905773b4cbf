"""Explanations against the margins of the predictor and the fields that shap's plots read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.batch import table_candidates
from models.explanation import shap_explanation
from models.predict import predict
from models.prediction import Prediction

from .conftest import invented, trained
from .test_batch import served


def predictions(family: str) -> list[Prediction]:
    results = (predict([served(trained(family))], candidate) for candidate in table_candidates(invented(seed=9)))
    return [prediction for prediction in results if prediction.explanation is not None]


def test_values_and_base_values_add_up_to_the_margin(family: str) -> None:
    rows = predictions(family)
    explanation = shap_explanation(rows)
    margins = [prediction.explanation.value for prediction in rows if prediction.explanation]
    np.testing.assert_allclose(explanation.values.sum(axis=1) + explanation.base_values, margins, atol=1e-5)


def test_shap_reads_one_row_a_prediction_and_one_column_a_feature(family: str) -> None:
    rows = predictions(family)
    explanation, features = shap_explanation(rows), trained(family).encoder.features_
    assert explanation.values.shape == explanation.data.shape == (len(rows), len(features))
    assert explanation.feature_names == [feature.name for feature in features]
    assert explanation[0].values.shape == (len(features),)
    assert np.isnan(explanation.data).any()


def test_an_abstention_or_a_second_model_is_refused() -> None:
    prediction = predictions("elastic_net")[0]
    with pytest.raises(ValueError, match="no abstentions"):
        shap_explanation([prediction, replace(prediction, explanation=None)])
    with pytest.raises(ValueError, match="one model"):
        shap_explanation([prediction, replace(prediction, model=replace(prediction.model, version="2"))])
    with pytest.raises(ValueError, match="at least one prediction"):
        shap_explanation([])
