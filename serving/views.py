"""What the pages show: answers and evidence, gathered and put into a reader's words and a drawing's coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from features.columns import levels_by_field
from features.outcomes import definition_of, is_toxicity
from features.units import ImmuneUnit
from models.bundle import Model
from models.drift import DriftReport, drift
from models.evidence import JointTable, NumericDistribution
from models.joint import CELLS, joint_outcome
from models.patient_input import Candidate, StoolProfile
from models.predict import ServedModel, predict
from models.prediction import Cell, JointOutcome, Prediction
from models.rates import similar_predictions
from serving import drawings
from serving.clinic import Clinic, Patient
from serving.errors import NotServed

ENOUGH = 100
"""Below so many patients with the outcome, or without it, net benefit is not weighed."""
_EXAMPLE_TAXA = 60
_IN_WORDS = {
    "response_without_toxicity": "response, no toxicity",
    "both": "response and toxicity",
    "neither": "neither",
    "toxicity_without_response": "toxicity, no response",
}


class Desk:
    """The models and the clinic, as the pages show them.

    Parameters
    ----------
    models : mapping of str to sequence of ServedModel
        For each outcome its models, the best first.
    clinic : Clinic, optional
    """

    def __init__(self, models: Mapping[str, Sequence[ServedModel]], clinic: Clinic | None) -> None:
        self.models, self.clinic = models, clinic
        sides = [[name for name in models if is_toxicity(name) == toxic] for toxic in (False, True)]
        # Response and toxicity side by side; of several the first that is registered.
        self.pair = tuple(side[0] for side in sides if side)
        self._served = {(one.name, one.version): one for ranked in models.values() for one in ranked}
        # A clinic's patients and the models stay as they are while the server runs.
        self._glance, self._drift = cache(self._glance_at), cache(self._drift_of)

    def candidates(self, sort: str, find: str) -> dict[str, Any]:
        """Return the list of the clinic's candidates.

        Parameters
        ----------
        sort : {"", "benefit"}
            As the cohort lists them, or by predicted benefit, which a promoted pair of models is needed for.
        find : str
            Part of a patient's name.
        """
        rows: list[dict[str, Any]] = []
        if self.clinic is not None:
            rows = [self._glance(name) for name in self.clinic.patients if find.casefold() in name.casefold()]
        sortable = len(self.pair) == 2 and all(_is_promoted(self.models[name][0].alias) for name in self.pair)
        if sortable and sort == "benefit":
            rows = sorted(rows, key=lambda row: -row["benefit"])
        evidence = [
            {"side": _side(name), "sentence": one.model.evidence.sentence, "promoted": _is_promoted(one.alias)}
            for name, one in ((name, self.models[name][0]) for name in self.pair)
        ]
        return {"clinic": self.clinic, "rows": rows, "sortable": sortable, "sort": sort, "find": find,
                "evidence": evidence, "has_models": bool(self.pair)}  # fmt: skip

    def patient(self, patient: Patient, visit: int | None, worth: float) -> dict[str, Any]:
        """Return one patient's answer at one visit, and the course over all of them.

        Parameters
        ----------
        patient : Patient
        visit : int, optional
            Its position; the last up to the models' landmark when left out.
        worth : float
            How many toxicities one response is worth.
        """
        assert self.clinic is not None
        at = patient.baseline if visit is None or not 0 <= visit < len(patient.visits) else visit
        shown = patient.visits[at]
        return {
            **self._answered(shown.candidate, worth),
            "title": patient.id,
            "facts": _facts(shown.candidate, shown.label),
            "visits": [(i, one.label) for i, one in enumerate(patient.visits)],
            "at": at,
            "course": self._course(patient) if len(patient.visits) > 1 else None,
            "clinic": self.clinic,
            "kind": "patient",
        }

    def example(self, worth: float) -> dict[str, Any]:
        """Return the answer for an invented patient: the middle of what the training cohorts showed."""
        candidate = self._invented()
        return {**self._answered(candidate, worth), "title": "An invented patient", "facts": _facts(candidate, ""),
                "visits": [], "at": 0, "course": None, "clinic": None, "kind": "example"}  # fmt: skip

    def uploaded(self, name: str, candidate: Candidate, worth: float) -> dict[str, Any]:
        """Return the answer for an uploaded patient."""
        return {**self._answered(candidate, worth), "title": name, "facts": _facts(candidate, ""),
                "visits": [], "at": 0, "course": None, "clinic": None, "kind": "upload"}  # fmt: skip

    def known(self) -> dict[str, list[str]]:
        """Return what an upload may name: the models' profilers, clocks and clinical fields."""
        served = [one.model for one in self._served.values()]
        clinical = (name for model in served for name in model.encoder.names_.get("clinical", ()))
        return {
            "profilers": sorted({name for model in served for name in model.profilers}),
            "clocks": sorted({name for model in served for name in model.evidence.clocks}),
            "fields": list(levels_by_field(clinical)),
            "units": list(get_args(ImmuneUnit)),
        }

    def card(self, name: str, version: str) -> Model:
        """Return a served model.

        Raises
        ------
        NotServed
            There is none of this name and version.
        """
        if (name, version) not in self._served:
            raise NotServed(f"no model {name!r} of version {version!r} is served")
        return self._served[name, version].model

    def served(self, mlflow_ui: str) -> dict[str, Any]:
        """Return what a researcher sees: the models, their evidence and trust, and how the clinic's patients drift.

        Parameters
        ----------
        mlflow_ui : str
            The address of the MLflow UI.
        """
        rows = [
            {
                "about": served.reference,
                "outcome": served.model.outcome,
                "definition": definition_of(served.model.outcome),
                "side": _side(served.model.outcome),
                "evidence": served.model.evidence,
                "validation": served.model.validation,
                "run": f"{mlflow_ui}/#/runs/{served.run_id}" if mlflow_ui and served.run_id else None,
                "drift": self._drift(served.name, served.version) if self.clinic else None,
            }
            for served in self._served.values()
        ]
        return {"rows": rows, "clinic": self.clinic}

    def _predictions(self, candidate: Candidate) -> list[Prediction]:
        return [predict(self.models[name], candidate) for name in self.pair]

    def _drift_of(self, name: str, version: str) -> DriftReport:
        assert self.clinic is not None
        candidates = [one.visits[one.baseline].candidate for one in self.clinic.patients.values()]
        return drift(self._served[name, version].model, candidates)

    def _glance_at(self, name: str) -> dict[str, Any]:
        assert self.clinic is not None
        patient = self.clinic.patients[name]
        visit = patient.visits[patient.baseline]
        predictions = self._predictions(visit.candidate)
        joint = joint_outcome(predictions)
        cell = joint.response_without_toxicity
        return {
            "id": name,
            "visits": len(patient.visits),
            "facts": _facts(visit.candidate, visit.label),
            "sides": [
                {"side": _side(prediction.outcome), "p": prediction.probability, "verdict": prediction.trust.verdict,
                 "why": next(iter(prediction.trust.reasons), "")}
                for prediction in predictions
            ],
            "cells": _drawn_cells(joint),
            # An abstention sorts last.
            "benefit": -1.0 if cell.low is None else _middle(cell),
        }  # fmt: skip

    def _answered(self, candidate: Candidate, worth: float) -> dict[str, Any]:
        predictions = self._predictions(candidate)
        sides = [self._one_side(prediction) for prediction in predictions]
        joint = joint_outcome(predictions)
        own = all(side["promoted"] for side in sides) and len(sides) == 2
        enough = own and all(min(s["events"], s["patients"] - s["events"]) >= ENOUGH for s in sides)
        return {
            "sides": sides,
            "own": own,
            "cells": _drawn_cells(joint),
            "cells_reason": joint.reason,
            "odds_ratio": joint.odds_ratio,
            "together": self._together(),
            "plane": None if joint.reason else drawings.on_plane(sides),
            "evidence": [
                {"side": one["side"], "sentence": one["answer"].evidence.sentence, "promoted": one["promoted"]}
                for one in sides
            ],
            "rings": self._rings(),
            "research": _standing(sides),
            "weighing": _weighed(predictions[0].probability, predictions[1].probability, self._together(), worth)
            if enough and predictions[0].probability is not None and predictions[1].probability is not None
            else None,
            "abstained": any(prediction.probability is None for prediction in predictions),
            "simulated": any(prediction.simulated for prediction in predictions),
            "in_words": _IN_WORDS,
        }

    def _one_side(self, prediction: Prediction) -> dict[str, Any]:
        model = self._served[prediction.model.name, prediction.model.version].model
        validation, p = model.validation, prediction.probability
        group = None if p is None else similar_predictions(validation, p)
        return {
            "outcome": prediction.outcome,
            "side": _side(prediction.outcome),
            "had": "had toxicity" if is_toxicity(prediction.outcome) else "responded",
            "definition": prediction.definition,
            "answer": prediction,
            "promoted": _is_promoted(prediction.model.alias),
            "patients": model.evidence.patients,
            "events": model.evidence.events,
            "rates": validation and validation.rates,
            "like": group and group.outcomes,
            "nearest": next((n for n in prediction.nearest if n.outcome == prediction.outcome), None),
            "reasons": None
            if prediction.explanation is None
            else drawings.waterfall(prediction.explanation, validation.distributions if validation else None),
            # The evidence stands above, once.
            "reservations": [why for why in prediction.trust.reasons if why != prediction.evidence.sentence],
            "curves": drawings.net_benefit(validation.decision_curves if validation else ()),
        }

    def _together(self) -> JointTable | None:
        """Return the cohorts' counts of response and toxicity together, those of the model that saw more patients."""
        if len(self.pair) < 2:
            return None
        found = [
            table
            for name in self.pair
            if (validation := self.models[name][0].model.validation) is not None
            for table in validation.response_and_toxicity.tables
            if (table.response, table.toxicity) == self.pair
        ]
        return max(found, key=lambda table: table.overall.patients, default=None)

    def _rings(self) -> list[dict[str, Any]]:
        """Return the rates of each cohort that tells response and toxicity of the same patients."""
        both = self._together()
        return [] if both is None else [
            {"cohort": row.cohort,
             "response": (row.cells.response_without_toxicity.rate or 0) + (row.cells.both.rate or 0),
             "toxicity": (row.cells.toxicity_without_response.rate or 0) + (row.cells.both.rate or 0)}
            for row in both.cohorts if row.cells.patients
        ]  # fmt: skip

    def _course(self, patient: Patient) -> dict[str, Any]:
        predictions = [self._predictions(visit.candidate) for visit in patient.visits]
        assert self.clinic is not None
        inside = [visit.day is None or visit.day <= self.clinic.last_day for visit in patient.visits]
        rows = [
            {
                "label": visit.label,
                "inside": ok,
                "said": [(one.probability, one.trust.verdict) for one in said],
            }
            for visit, ok, said in zip(patient.visits, inside, predictions, strict=True)
        ]
        days = [visit.day for visit in patient.visits]
        return {"rows": rows, **drawings.course(rows, days, [_side(name) for name in self.pair])}

    def _invented(self) -> Candidate:
        taxa: dict[str, float] = {}
        clinical: dict[str, float | str | bool | None] = {}
        for name in self.pair:
            validation = self.models[name][0].model.validation
            if validation is None:
                continue
            known = validation.distributions
            medians = {
                taxon: median
                for taxon, row in sorted(known.taxa.items(), key=lambda item: -item[1].prevalence)
                if (median := (row.quantiles or {}).get(50))
            }
            taxa = taxa or dict(list(medians.items())[:_EXAMPLE_TAXA])
            for column, distribution in known.clinical.items():
                if isinstance(distribution, NumericDistribution) and distribution.quantiles:
                    clinical.setdefault(column, distribution.quantiles[50])
        whole = sum(taxa.values())
        profilers = [p for name in self.pair for p in self.models[name][0].model.profilers]
        stool = (
            StoolProfile({name: value / whole for name, value in taxa.items()}, "proportions", profilers[0])
            if taxa
            else None
        )
        return Candidate(clinical, stool)


def _standing(sides: Sequence[Mapping[str, Any]]) -> str:
    """Return in a few words why the models' answers do not come first."""
    found = {
        side["side"]: "not promoted"
        if side["answer"].evidence.beats_chance is True
        else "did not beat chance on unseen cohorts"
        for side in sides
        if not side["promoted"]
    }
    if len(set(found.values())) == 1 and len(found) == len(sides):
        return next(iter(found.values()))
    return "; ".join(f"{side} {why}" for side, why in found.items())


def _is_promoted(alias: str) -> bool:
    return alias.partition("-")[0] == "champion"


def _side(outcome: str) -> str:
    return "toxicity" if is_toxicity(outcome) else "response"


def _facts(candidate: Candidate, label: str) -> list[str]:
    """Return what is known of a patient at a glance."""
    clinical, found = candidate.clinical, []
    if (age := clinical.get("age")) is not None:
        found.append(f"{age:g} years" if isinstance(age, float | int) else f"{age} years")
    found += [str(clinical["sex"])] if clinical.get("sex") else []
    if candidate.taxa is not None:
        found.append(f"stool {label + ', ' if label else ''}{len(candidate.taxa.values)} taxa")
    found.append(f"{len(candidate.immune)} immune measurements" if candidate.immune else "no blood")
    return found


def _middle(cell: Cell) -> float:
    """Return a cell's chance under the cohorts' odds ratio, or the middle of its bounds."""
    if cell.expected is not None:
        return cell.expected
    assert cell.low is not None
    assert cell.high is not None
    return (cell.low + cell.high) / 2


def _drawn_cells(joint: JointOutcome) -> list[dict[str, Any]] | None:
    if joint.reason is not None:
        return None
    cells = ((name, getattr(joint, name)) for name in CELLS)
    return [{"name": name, "middle": _middle(cell), **vars(cell)} for name, cell in cells]


def _weighed(response: float, toxicity: float, together: JointTable | None, worth: float) -> dict[str, Any]:
    """Return what each cell counts for where one response is worth so many toxicities, in responses.

    All four together come to P(response) - P(toxicity) / worth, whatever the dependence of the two.
    """
    worth = min(max(worth, 0.25), 20.0)
    value = {
        "response_without_toxicity": 1.0,
        "both": 1 - 1 / worth,
        "neither": 0.0,
        "toxicity_without_response": -1 / worth,
    }
    cohorts = None
    if together is not None:
        cohorts = math.fsum(value[name] * getattr(together.overall, name).rate for name in CELLS)
    return {"worth": worth, "value": value, "patient": response - toxicity / worth, "cohorts": cohorts}


def _name(feature: str) -> str:
    """Return a feature's name as one reads it."""
    return feature.replace("_", " ").replace("=", ": ")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def _decimals(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


FILTERS: dict[str, Callable[..., str]] = {
    "readable": _name,
    "sentence": _sentence,
    "percent": _percent,
    "decimals": _decimals,
    "signed": _signed,
}
