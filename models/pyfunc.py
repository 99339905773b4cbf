"""The bundle as an MLflow model: the script that MLflow keeps beside it and runs to load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from models.answer import Served
from models.batch import frame_candidates, predictions
from models.bundle import load_bundle


class BundleModel(mlflow.pyfunc.PythonModel):
    """Answers for a frame whose columns are named `block:name`, as `taxokine features` writes them."""

    def load_context(self, context: Any) -> None:
        """Check and read the bundle."""
        self.served = Served(load_bundle(Path(context.artifacts["bundle"])), "bundle", "", "", "")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `probability`, `margin` and `verdict` for each row."""
        frame = predictions(self.served, frame_candidates(model_input, self.served.model.units))
        return frame[["probability", "margin", "verdict"]]


mlflow.models.set_model(BundleModel())
