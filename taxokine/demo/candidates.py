"""The demo's cohorts: whom its models learn from, and the candidates whom they predict."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from features.cohort import Cohort, read_cohort
from features.errors import OutcomeError
from features.landmark import LandmarkSpec, landmark_table
from features.measured_values import MeasuredValue
from features.settings import settings
from models.batch import table_candidates
from taxokine.simulation import Trial, simulate_trial
from training.experiment import Experiment

_CANDIDATES = 12
_TRANSPLANTS = 24
_PERMUTATIONS = 24
"""Refits of the promoted outcome's pipeline: the smallest p is 1 / 25, below the gate's 0.05."""
_LATER_LANDMARK = 30.0
"""Day by which a published cohort has samples of patients who had none before treatment."""


@dataclass(frozen=True)
class ShownCandidate:
    """The candidate whose prediction the demo prints.

    Attributes
    ----------
    cohort : str
        Cohort of the candidate, whose patients the pages list.
    request : dict
        The body of `POST /v1/predictions`.
    unseen : bool
        Whether no model was trained on the candidate.
    """

    cohort: str
    request: dict[str, JsonValue]
    unseen: bool


@dataclass(frozen=True)
class SimulatedCohorts:
    """Manifests of the simulated cohorts, which have no patient and no donor in common.

    Attributes
    ----------
    trial : str
        Whom the models of response and toxicity learn from.
    transplants : str
        Whom the engraftment model learns from, by their stool alone.
    clinic : str
        The candidates, and the donors who are compared for them.
    """

    trial: str
    transplants: str
    clinic: str


def simulate_cohorts(folder: Path) -> SimulatedCohorts:
    """Simulate the three cohorts, each with another seed.

    The training trial has enough patients, centres and effect for promotion: by Riley's criteria 36 candidate
    parameters need 673 patients with stool and blood.
    """
    species = Trial(n_taxa=30, effect=1.5, response_rate=0.5)
    trial = simulate_trial(folder / "trial", replace(species, n_patients=800, n_centres=4, visits=(-7, 28)))
    transplants = simulate_trial(
        folder / "transplants",
        replace(species, name="simulated_transplants", n_patients=_TRANSPLANTS, seed=2, visits=(-7, 28)),
    )
    clinic = simulate_trial(
        folder / "candidates",
        replace(species, name="simulated_candidates", n_patients=_CANDIDATES, seed=1, visits=(-7, 14, 28, 56)),
    )
    return SimulatedCohorts(str(trial), str(transplants), str(clinic))


def simulated_experiments(cohort: str) -> tuple[Experiment, Experiment]:
    """Return the experiments on the simulated trial: of response with permutations, as promotion needs them."""
    # Each column is a parameter: in five representations, the trial's patients would be too few for Riley's criteria.
    toxicity = Experiment(
        (cohort,),
        "toxicity",
        "any",
        ("elastic_net",),
        ("taxa", "immune"),
        representation=("clr",),
        n_folds=3,
        repeats=1,
    )
    return replace(toxicity, outcome="objective_response", grade=None, permutations=_PERMUTATIONS), toxicity


def cohort_experiments(cohorts: Sequence[str]) -> tuple[list[Experiment], list[str]]:
    """Return the experiments on published cohorts, each on those that define its outcome, and notes on the others.

    Raises
    ------
    OutcomeError
        No cohort defines an outcome.
    """
    cohorts_by_name = [(name, read_cohort(name, settings().data)) for name in cohorts]
    experiments, notes = [], []
    for outcome, grade, outcome_id in (
        ("objective_response", None, "objective_response"),
        ("toxicity", "any", "toxicity_any"),
    ):
        defining = tuple(name for name, cohort in cohorts_by_name if outcome_id in cohort.labels.reported_outcomes)
        if not defining:
            raise OutcomeError(
                f"none of {', '.join(cohorts)} defines {outcome_id}; 'taxokine cohorts list' shows the outcomes of each"
            )
        if undefined := [name for name in cohorts if name not in defining]:
            notes.append(f"{outcome_id} is not defined by {', '.join(undefined)}: not trained on for this outcome")
        experiments.append(Experiment(defining, outcome, grade, families=("elastic_net", "xgboost"), repeats=1))
    return experiments, notes


def simulated_candidate(clinic: str) -> ShownCandidate:
    """Return the first patient of the simulated candidates."""
    return ShownCandidate(clinic, prediction_request(read_cohort(clinic, settings().data), 0), unseen=True)


def cohort_candidate(cohorts: Sequence[str], trained: Set[tuple[str, str]]) -> ShownCandidate:
    """Return a patient of the cohorts on whom no model was trained or, where there is none, the first patient."""
    for name in cohorts:
        cohort = read_cohort(name, settings().data)
        rows = landmark_table(cohort, LandmarkSpec(landmark=_LATER_LANDMARK)).rows
        for position, patient in enumerate(zip(rows["cohort"], rows["patient"], strict=True)):
            if patient not in trained:
                return ShownCandidate(name, prediction_request(cohort, position, _LATER_LANDMARK), unseen=True)
    request = prediction_request(read_cohort(cohorts[0], settings().data), 0)
    return ShownCandidate(cohorts[0], request, unseen=False)


def prediction_request(cohort: Cohort, position: int, landmark: float = 0) -> dict[str, JsonValue]:
    """Return the API's request for one row of a cohort at the landmark."""
    table = landmark_table(cohort, LandmarkSpec(landmark=landmark))
    candidate = list(table_candidates(table))[position]
    profile = candidate.taxa
    assert profile is not None
    patient = str(table.rows["patient"].iloc[position])
    return {
        "patient": {"id": patient, **candidate.clinical, **vars(candidate.population)},
        "taxa": {"profiler": profile.profiler, "unit": profile.unit, "day": profile.day, "clock": profile.clock,
                 "values": dict(profile.values)},
        "immune": [
            {"analyte": measurement.analyte, "unit": measurement.unit, "day": measurement.day,
             "value": _reported(measurement.reading)}
            for measurement in candidate.immune
        ],
    }  # fmt: skip


def _reported(reading: MeasuredValue) -> float | str:
    return str(reading.text) if reading.censored else float(reading.value)
