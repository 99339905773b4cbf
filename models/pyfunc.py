"""The bundles as MLflow models: MLflow keeps this script with a bundle, and runs it to load the model.

One script serves both kinds of bundle, since MLflow tells it the bundle only when it loads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

import mlflow
import pandas as pd

from features.columns import BLOCKS
from models.batch import numbers_candidate, predictions
from models.bundle import load_bundle
from models.engraftment import EngraftmentBundle, expect_by_name, load_engraftment
from models.predict import ServedModel

Row = dict[Hashable, dict[str, float | None] | None]
"""An input row: a mapping of names to numbers in each column; None where MLflow fills in a column."""


class BundleModel(mlflow.pyfunc.PythonModel):
    """Predicts with the bundle that it is kept with: an outcome of patients, or stool after transplants."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Check and read the bundle."""
        folder = Path(context.artifacts["bundle"])
        if (folder / "engraftment.json").exists():
            engraftment = load_engraftment(folder)
            self._table: Callable[[list[Row]], pd.DataFrame] = partial(_engraftment_table, engraftment)
        else:
            served = ServedModel(load_bundle(folder), "bundle", "", "", "")
            self._table = partial(_outcome_table, served)

    def predict(
        self,
        context: mlflow.pyfunc.PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each row of mappings of names to numbers.

        For an outcome, rows of `taxa`, `immune` and `clinical` give `probability`, `margin` and `verdict`: taxa are
        proportions by canonical name, immune measurements are in the model's units, and clinical columns have the names
        that `taxokine features` writes, as `age` and `sex=male`. For engraftment, rows of `before` and `donor`,
        proportions by canonical name, give the `expected` proportions after, and the probability of `presence`.
        """
        return self._table(model_input.to_dict("records"))


def _outcome_table(served: ServedModel, rows: list[Row]) -> pd.DataFrame:
    candidates = (
        numbers_candidate(*(_without_missing(row.get(block)) for block in BLOCKS), units=served.model.units)
        for row in rows
    )
    return predictions(served, candidates)[["probability", "margin", "verdict"]]


def _engraftment_table(engraftment: EngraftmentBundle, rows: list[Row]) -> pd.DataFrame:
    predicted = []
    for row in rows:
        stool_before, donor = (_without_missing(row[profile]) for profile in ("before", "donor"))
        taxa, profile = expect_by_name(engraftment.model, stool_before, donor)
        columns = {"expected": profile.proportion, "presence": profile.presence}
        predicted.append({name: dict(zip(taxa, values.tolist(), strict=True)) for name, values in columns.items()})
    return pd.DataFrame(predicted, columns=["expected", "presence"])


def _without_missing(numbers: dict[str, float | None] | None) -> dict[str, float]:
    # MLflow turns NaN, and null in JSON, into None.
    return {name: value for name, value in (numbers or {}).items() if value is not None}


mlflow.models.set_model(BundleModel())
