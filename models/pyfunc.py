"""The bundle as an MLflow model: the script that MLflow keeps beside it and runs to load it."""

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
    """Answers for rows of `taxa`, `immune` and `clinical`, each a mapping of names to numbers."""

    def load_context(self, context: Any) -> None:
        """Check and read the bundle."""
        self.served = ServedModel(load_bundle(Path(context.artifacts["bundle"])), "bundle", "", "", "")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `probability`, `margin` and `verdict` for each row.

        Taxa are proportions by canonical name, immune measurements stand in the model's units, and clinical fields are
        named as `taxokine features` names them: `age`, `sex=male`.
        """
        units = self.served.model.units
        frame = predictions(
            self.served,
            (
                numbers_candidate(*(_measured(row.get(block)) for block in BLOCKS), units=units)
                for row in model_input.to_dict("records")
            ),
        )
        return frame[["probability", "margin", "verdict"]]


def _measured(numbers: dict[str, float | None] | None) -> dict[str, float]:
    # MLflow makes None of NaN, and of JSON's null.
    return {name: value for name, value in (numbers or {}).items() if value is not None}


mlflow.models.set_model(BundleModel())
