"""Two servers that Taxokine's is compared with: the bare work, and what a tutorial would write.

`bare` is FastAPI with nothing but the model: it parses the body, takes the encoded row of that request from memory, and
returns the probability and the SHAP values. `tutorial` reads a patient into a pandas frame, encodes it, predicts by
scikit-learn's interface, and explains by shap; it checks nothing, records nothing, and states no evidence.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from models.bundle import Model, load_bundle

if TYPE_CHECKING:
    import pandas as pd


class TaxaBody(BaseModel):
    """The stool profile of a request."""

    values: dict[str, float]


class PatientBody(BaseModel):
    """What the tutorial's server reads of a request."""

    taxa: TaxaBody


def bare_app(model: Model, rows: np.ndarray[Any, Any]) -> FastAPI:
    """Return the server of the bare work.

    Parameters
    ----------
    model : Model
    rows : ndarray, (n_patients, n_features)
        Encoded rows, which the answers use in turns.
    """
    app, turns = FastAPI(), itertools.cycle(range(len(rows)))

    @app.get("/ready")
    async def ready() -> bool:
        return True

    @app.post("/")
    async def predict(request: Request) -> Response:
        from_json(await request.body())
        turn = next(turns)
        shap, base = model.predictor.contributions(rows[turn : turn + 1])
        probability = float(model.calibration.probability(base + shap.sum()))
        answer = {"probability": probability, "base_value": base, "shap": shap[0].tolist()}
        return Response(to_json(answer), media_type="application/json")

    return app


def tutorial_app(model: Model, rows: np.ndarray[Any, Any]) -> FastAPI:
    """Return the server of a tutorial, with the same model; `rows` are the encoded training rows."""
    import pandas as pd
    import shap

    names = [f"{i}_{feature.name}" for i, feature in enumerate(model.encoder.features_)]
    classifier = _classifier(model, rows)
    if model.family == "elastic_net":
        explainer = shap.LinearExplainer(classifier, rows)
    else:
        explainer = shap.TreeExplainer(classifier)
    app = FastAPI()

    @app.get("/ready")
    def ready() -> bool:
        return True

    @app.post("/")
    def predict(patient: PatientBody) -> dict[str, Any]:
        profile = pd.DataFrame([patient.taxa.values]).reindex(columns=list(model.encoder.names_["taxa"])).fillna(0)
        encoded = pd.DataFrame(_encoded(model, profile), columns=names)
        probability = classifier.predict_proba(encoded.to_numpy())[0, 1]
        values = explainer.shap_values(encoded.to_numpy())[0]
        return {"probability": float(probability), "shap": dict(zip(names, map(float, values), strict=True))}

    return app


def _encoded(model: Model, profile: pd.DataFrame) -> np.ndarray[Any, Any]:
    return model.encoder.encode({"taxa": profile.to_numpy(dtype=np.float64)})


def _classifier(model: Model, rows: np.ndarray[Any, Any]) -> Any:
    """Return the fitted model with scikit-learn's interface."""
    predictor: Any = model.predictor
    if model.family == "elastic_net":
        from sklearn.linear_model import LogisticRegression

        linear = LogisticRegression().fit(rows, np.arange(len(rows)) % 2)
        linear.coef_, linear.intercept_ = predictor.coef[None], np.array([predictor.intercept])
        return linear
    from xgboost import XGBClassifier

    trees = XGBClassifier(n_jobs=1)
    trees.load_model(bytearray(predictor.ubj()))
    return trees


def main() -> None:
    """Serve one of the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("app", choices=["bare", "tutorial"])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path, help="encoded rows, as numpy's .npy")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    build = {"bare": bare_app, "tutorial": tutorial_app}[options.app]
    app = build(load_bundle(options.bundle), np.load(options.rows))
    uvicorn.run(app, host="127.0.0.1", port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
