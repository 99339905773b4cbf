"""What the demo prints: where to sign in and one prediction first, then the models and their promotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os.path import relpath

from rich.console import RenderableType
from rich.text import Text

from serving.schemas import PredictionResponse
from taxokine.demo.access import KEY_FILE, REQUEST_FILE, Access
from taxokine.demo.candidates import ShownCandidate
from taxokine.reports.experiments import promotion_report, result_report
from taxokine.reports.predictions import prediction_report
from taxokine.terminal import facts
from taxokine.ui import comparison_addresses, registry_addresses
from training.evidence.promotion import Promotion
from training.experiment import ExperimentResult


def demo_report(
    access: Access,
    candidate: ShownCandidate,
    response: PredictionResponse,
    trained: Sequence[tuple[ExperimentResult, Promotion]],
) -> Iterator[RenderableType]:
    """Yield where to sign in, one candidate's prediction, where to compare the models, and the models."""
    yield ""
    yield Text("One candidate on whom no model was trained" if candidate.unseen else _TRAINED_ON, "bold")
    yield from prediction_report(response)
    for result, promotion in trained:
        yield ""
        yield Text(f"Models of {result.outcome}", "bold")
        yield from result_report(result)
        yield ""
        yield from promotion_report(promotion)
    yield from access_report(access)


def access_report(access: Access) -> Iterator[RenderableType]:
    """Yield the addresses, the user and the key, and a request to copy."""
    folder = relpath(access.folder)
    yield ""
    yield Text("Open the candidates, and sign in", "bold")
    yield facts([("address", access.server), ("name", access.user), ("password", access.password)])
    yield ""
    yield Text("Compare the models in MLflow", "bold")
    # Lines, not cells of a table: an address must stay whole to be opened.
    for name, address in comparison_addresses(access.mlflow).items():
        yield f"  {name}: {address}"
    for name, address in registry_addresses(access.mlflow).items():
        yield f"  registered versions of {name}: {address}"
    yield ""
    yield Text("Ask from a program", "bold")
    yield (
        f'curl -s {access.server}/v1/predictions -H "Authorization: Bearer $(cat {folder}/{KEY_FILE})" '
        f"-H 'Content-Type: application/json' -d @{folder}/{REQUEST_FILE}"
    )
    yield f"documentation of the API: {access.server}/docs"


_TRAINED_ON = "One candidate, on whom the models were trained: the form of a prediction, not a test of it"
