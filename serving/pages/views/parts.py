"""Parts that several pages show."""

from __future__ import annotations

from dataclasses import dataclass

from features.outcomes import Side, side_of
from features.patient_course import PatientCourse
from features.population import Population
from models.evidence import evidence_sentence_since
from models.joint import CELLS
from models.patient_input import Candidate
from models.predict import ServedModel
from models.prediction import Cell, JointOutcome, Prediction
from serving.clinic import Clinic
from serving.pages.catalogue import is_promoted


@dataclass(frozen=True)
class EvidenceNote:
    """The evidence of the model that predicts one outcome, in a sentence; `term` is the outcome in abbreviations."""

    outcome: str
    term: str
    sentence: str
    promoted: bool
    simulated: bool

    @property
    def side(self) -> Side:
        """The side of the outcome: response or toxicity."""
        return side_of(self.outcome)


@dataclass(frozen=True)
class PatientFacts:
    """What is known of a patient.

    Attributes
    ----------
    age, sex : float, str, bool or None
    population : Population
        Tumour type, line of treatment and class of drugs.
    sample : str
        Label of the stool sample.
    n_taxa : int or None
        None without a stool sample.
    n_immune : int
    """

    age: float | str | bool | None
    sex: float | str | bool | None
    population: Population
    sample: str
    n_taxa: int | None
    n_immune: int


@dataclass(frozen=True)
class CellView:
    """One cell of the joint 2 x 2 of response and toxicity.

    Attributes
    ----------
    name : str
        As in `models.joint.CELLS`.
    low, high : float
        Fréchet bounds.
    expected : float or None
        Plackett estimate; None where no odds ratio of the training cohorts is known.
    """

    name: str
    low: float
    high: float
    expected: float | None


def evidence_note(served: ServedModel, term: str) -> EvidenceNote:
    """Return the evidence of a model, whose outcome is called by a term."""
    model, evidence = served.model, served.model.evidence
    sentence = evidence_sentence_since(evidence, served.external_validations)
    return EvidenceNote(model.outcome, term, sentence, is_promoted(served.alias), model.simulated)


def may_have_learnt_from(prediction: Prediction, clinic: Clinic | None) -> bool:
    """Return whether a model was trained on a clinic's cohort, and cannot tell whether on this patient.

    A training patient is recognised by the stool profile, which a model of other blocks does not read.
    """
    if clinic is None or prediction.probability is None or prediction.trust.in_training_set is not None:
        return False
    return any((cohort.name, cohort.title) == (clinic.name, clinic.title) for cohort in prediction.evidence.cohorts)


def patient_facts(candidate: Candidate, sample: str = "") -> PatientFacts:
    """Return what is known of a patient."""
    clinical, taxa = candidate.clinical, candidate.taxa
    n_taxa = None if taxa is None else len(taxa.values)
    return PatientFacts(
        clinical.get("age"), clinical.get("sex"), candidate.population, sample, n_taxa, len(candidate.immune)
    )


def transplant_text(course: PatientCourse, clock: str) -> str:
    """Return when a patient received a transplant, and of whom; empty without one.

    Parameters
    ----------
    course : PatientCourse
    clock : str
        Clock of the cohort; on day_fmt, day 0 is the transplant.
    """
    if not course.received_transplant:
        return ""
    days = [event.day for event in course.events if event.kind == "transplant"]
    if not days and clock == "day_fmt":
        days = [0.0]
    days_text = f" day {', '.join(f'{day:g}' for day in days)}".replace("-", "−") if days else ""
    return f"transplant{days_text}" + (f", donor {', '.join(course.donors)}" if course.donors else "")


def cell_views(joint: JointOutcome) -> tuple[CellView, ...] | None:
    """Return the four cells in the order of `models.joint.CELLS`; None where there are no probabilities."""
    if joint.reason is not None:
        return None
    cells: dict[str, Cell] = {name: getattr(joint, name) for name in CELLS}
    return tuple(_cell_view(name, cell) for name, cell in cells.items())


def _cell_view(name: str, cell: Cell) -> CellView:
    assert cell.low is not None
    assert cell.high is not None
    return CellView(name, cell.low, cell.high, cell.expected)
