"""The page of the served models: which predicts what and how well, then each one's record and drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from features.outcomes import Side, side_of
from models.drift import DriftReport, drift
from models.evidence import HeldOutUnit, Strength, evidence_strength, held_out_unit, other_cohorts_tested
from models.predict import ServedModel
from serving.clinic import Clinic
from serving.outcomes.performance import LivePerformance
from serving.pages.catalogue import Catalogue, is_promoted
from serving.validation_jobs import ValidationJob, ValidationJobs

Standing = Literal["promoted", "promoted, not confirmed", "promoted on simulated data", "served, not promoted"]
"""Whether a model is promoted, and whether its evidence confirms it."""


@dataclass(frozen=True)
class ModelPanel:
    """One model.

    `is_first` is whether the pages predict by it a patient who has all its blocks, and `alternatives` how many other
    models of its outcome are served; `strength` and `held_out` are those of its evidence. `other_cohorts_tested` is on
    which cohorts it was tested since its training; `definition` is that of its outcome, `run_url` the address of its
    run in the MLflow UI; `drift` is None without a clinic. `job` is the last validation that this page started, None
    where there is none; `live` its performance on patients whose outcome was reported, None where there is no such
    patient.
    """

    served: ServedModel
    side: Side
    is_first: bool
    alternatives: int
    is_promoted: bool
    standing: Standing
    strength: Strength
    held_out: HeldOutUnit
    other_cohorts_tested: str
    definition: str
    run_url: str | None
    drift: DriftReport | None
    job: ValidationJob | None
    live: LivePerformance | None


@dataclass(frozen=True)
class ModelsView:
    """The content of the page; `cohorts` are those to validate on, None where the server starts no validations."""

    panels: tuple[ModelPanel, ...]
    clinic: Clinic | None
    cohorts: tuple[str, ...] | None

    @property
    def first_choices(self) -> tuple[ModelPanel, ...]:
        """The first model of each outcome that the pages show."""
        return tuple(panel for panel in self.panels if panel.is_first)

    @property
    def is_validating(self) -> bool:
        """Whether a validation runs, so that the page reloads itself."""
        return any(panel.job is not None and panel.job.state == "running" for panel in self.panels)


class ModelList:
    """The served models; drift is computed once a model, as patients and models stay the same while the server runs.

    Parameters
    ----------
    catalogue : Catalogue
    clinic : Clinic, optional
        Cohort whose patients are compared with the training patients.
    jobs : ValidationJobs, optional
        Validations that the page can start; None for none.
    """

    def __init__(self, catalogue: Catalogue, clinic: Clinic | None, jobs: ValidationJobs | None) -> None:
        self._catalogue, self._clinic, self._jobs = catalogue, clinic, jobs
        self._drift = cache(self._compute_drift)

    def view(self, performance: Sequence[LivePerformance] = ()) -> ModelsView:
        """Return the content of the page.

        Parameters
        ----------
        performance : sequence of LivePerformance
            Of the patients whose outcome was reported.
        """
        live = {(item.model, item.version): item for item in performance}
        panels = tuple(
            self._panel(self.with_validations(served), live.get((served.name, served.version)))
            for served in self._catalogue.served
        )
        return ModelsView(panels, self._clinic, None if self._jobs is None else tuple(self._jobs.cohorts()))

    def with_validations(self, served: ServedModel) -> ServedModel:
        """Return a model with its validations elsewhere, those since the server's start included."""
        if self._jobs is None:
            return served
        return replace(served, external_validations=self._jobs.validations(served))

    def _panel(self, served: ServedModel, live: LivePerformance | None) -> ModelPanel:
        run_url = self._catalogue.run_url(served)
        job = None if self._jobs is None else self._jobs.latest(served)
        report = self._drift(served.name, served.version)
        outcome = served.model.outcome
        strength = evidence_strength(served.model.evidence, served.external_validations)
        return ModelPanel(
            served=served,
            side=side_of(outcome),
            is_first=served.reference in [best.reference for best in self._catalogue.best],
            alternatives=len(self._catalogue.models[outcome]) - 1,
            is_promoted=is_promoted(served.alias),
            standing=_standing(served, strength),
            strength=strength,
            held_out=held_out_unit(served.model.evidence),
            other_cohorts_tested=other_cohorts_tested(served.model.evidence, served.external_validations),
            definition=served.model.evidence.definition,
            run_url=run_url,
            drift=report,
            job=job,
            live=live,
        )

    def _compute_drift(self, name: str, version: str) -> DriftReport | None:
        if self._clinic is None:
            return None
        candidates = [patient.visits[patient.default_visit].candidate for patient in self._clinic.patients.values()]
        return drift(self._catalogue.find(name, version).model, candidates)


def _standing(served: ServedModel, strength: Strength) -> Standing:
    """Return the standing: not confirmed is a promoted model of weak evidence, or that another cohort contradicts."""
    if not is_promoted(served.alias):
        return "served, not promoted"
    if strength == "simulated":
        return "promoted on simulated data"
    return "promoted" if strength in ("moderate", "strong") else "promoted, not confirmed"
