"""The page of the served models: evidence, performance by verdict, and drift of the clinic's patients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from models.drift import DriftReport, drift
from models.predict import ServedModel
from serving.clinic import Clinic
from serving.pages.catalogue import Catalogue, Side, side_of


@dataclass(frozen=True)
class ModelPanel:
    """One model; `run_url` is the address of its run in the MLflow UI, `drift` is None without a clinic."""

    served: ServedModel
    side: Side
    run_url: str | None
    drift: DriftReport | None


@dataclass(frozen=True)
class ModelsView:
    """The content of the page."""

    panels: tuple[ModelPanel, ...]
    clinic: Clinic | None


class ModelList:
    """The served models; drift is computed once a model, as patients and models stay the same while the server runs.

    Parameters
    ----------
    catalogue : Catalogue
    clinic : Clinic, optional
        Cohort whose patients are compared with the training patients.
    """

    def __init__(self, catalogue: Catalogue, clinic: Clinic | None) -> None:
        self._catalogue, self._clinic = catalogue, clinic
        self._drift = cache(self._compute_drift)

    def view(self) -> ModelsView:
        """Return the content of the page."""
        return ModelsView(tuple(self._panel(served) for served in self._catalogue.served), self._clinic)

    def _panel(self, served: ServedModel) -> ModelPanel:
        run_url = self._catalogue.run_url(served)
        return ModelPanel(served, side_of(served.model.outcome), run_url, self._drift(served.name, served.version))

    def _compute_drift(self, name: str, version: str) -> DriftReport | None:
        if self._clinic is None:
            return None
        candidates = [patient.visits[patient.baseline].candidate for patient in self._clinic.patients.values()]
        return drift(self._catalogue.find(name, version).model, candidates)
