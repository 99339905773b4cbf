"""The bundle as an MLflow model: MLflow keeps this script with the bundle, and runs it to load the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from features.columns import BLOCKS
from models.batch import numbers_candidate, predictions
from models.bundle import load_bundle
from models.predict import ServedModel


class BundleModel(mlflow.pyfunc.PythonModel):
    """Predicts for rows of `taxa`, `immune` and `clinical`, each a mapping of names to numbers."""

    def load_context(self, context: Any) -> None:
        """Check and read the bundle."""
        self.served = ServedModel(load_bundle(Path(context.artifacts["bundle"])), "bundle", "", "", "")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `probability`, `margin` and `verdict` for each row.

        Taxa are proportions by canonical name. Immune measurements are in the model's units. Clinical columns have the
        names that `taxokine features` writes: `age`, `sex=male`.
        """
        units = self.served.model.units
        frame = predictions(
            self.served,
            (
                numbers_candidate(*(_without_missing(row.get(block)) for block in BLOCKS), units=units)
                for row in model_input.to_dict("records")
            ),
        )
        return frame[["probability", "margin", "verdict"]]


def _without_missing(numbers: dict[str, float | None] | None) -> dict[str, float]:
    # MLflow turns NaN, and null in JSON, into None.
    return {name: value for name, value in (numbers or {}).items() if value is not None}


mlflow.models.set_model(BundleModel())
