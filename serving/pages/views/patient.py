"""The page of one patient: predictions, reasons, response and toxicity together, and the course over visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from features.outcomes import Side, side_of
from models.confirmation import forecasts
from models.evidence import JointTable, OutcomeRates
from models.joint import joint_outcome
from models.patient_input import Candidate
from models.predict import ServedModel
from models.prediction import Prediction, reservations
from models.rates import similar_predictions
from serving.clinic import Clinic, Patient
from serving.pages.catalogue import Catalogue, Fallback, Ink, ink_of, is_promoted
from serving.pages.choices import Choices
from serving.pages.drawings.decision_curve import DecisionCurveDrawing, draw_decision_curve
from serving.pages.drawings.plane import PlaneCentre, PlanePatient, plane_centres
from serving.pages.drawings.waterfall import PercentAxis, Waterfall, shared_axis, waterfall
from serving.pages.verdict import OutcomeVerdict, outcome_verdict
from serving.pages.views.comparison import Comparison, compare
from serving.pages.views.course import CourseView, course_view
from serving.pages.views.parts import (
    CellView,
    EvidenceNote,
    PatientFacts,
    cell_views,
    evidence_note,
    may_have_learnt_from,
    patient_facts,
    transplant_text,
)
from serving.pages.views.weighing import MIN_PATIENTS, Weighing, weigh
from serving.pages.views.what_if import Donors, WhatIfView, what_if_view
from serving.record.answer import RecordedProbability
from serving.record.question import recorded_changes, recorded_predictions

LEARNT_FROM_COHORT = (
    "the model was trained on patients of this cohort, and cannot tell by stool whether this is one of them: the "
    "prediction may repeat the outcome"
)
"""Reservation about the patients of a training cohort whom the model cannot recognise."""


@dataclass(frozen=True)
class SideView:
    """One predicted outcome.

    Attributes
    ----------
    side : Side
    prediction : Prediction
    promoted : bool
        Whether the model is promoted, so that its prediction comes first.
    rates : OutcomeRates or None
        Outcome rates of the training patients.
    comparison : Comparison or None
        The probability beside the outcomes of patients; None as the waterfall is.
    waterfall : Waterfall or None
        None where the model abstains, learnt from the patient, or cannot tell the patient from others.
    verdict : OutcomeVerdict
    reservations : tuple of str
        Reasons against "ok", without the evidence and the simulated training data, which the page states elsewhere; and
        that the model may have learnt from the patient.
    may_be_training_patient : bool
        As `may_have_learnt_from` returns.
    decision_curves : tuple of DecisionCurveDrawing
    run_url : str or None
        Address of the run that trained the model.
    ink : Ink
        Colour of the prediction.
    fallback : Fallback or None
        Not None where another model than the first choice predicts.
    """

    side: Side
    prediction: Prediction
    promoted: bool
    rates: OutcomeRates | None
    comparison: Comparison | None
    waterfall: Waterfall | None
    verdict: OutcomeVerdict
    reservations: tuple[str, ...]
    may_be_training_patient: bool
    decision_curves: tuple[DecisionCurveDrawing, ...]
    run_url: str | None
    ink: Ink
    fallback: Fallback | None


@dataclass(frozen=True)
class PredictionsView:
    """The predictions for one candidate.

    Attributes
    ----------
    sides : tuple of SideView
    promoted : bool
        Whether a promoted model predicts each of response and toxicity.
    evidence : tuple of EvidenceNote
    cells : tuple of CellView or None
        The joint 2 x 2; None for `no_cells_reason`.
    no_cells_reason : str or None
    cells_meaning : str or None
        How to read the estimates of the cells, or why there are bounds alone; None without an odds ratio.
    counts : JointTable or None
        Training patients cross-classified by response and toxicity.
    plane_patient : PlanePatient or None
    plane_centres : tuple of PlaneCentre
    weighing : Weighing or None
        None unless both models are promoted, were trained on enough patients, and are confirmed for this one.
    what_if : WhatIfView or None
        None where no reason can be changed.
    axis : PercentAxis
        PercentAxis of both waterfalls.
    simulated : bool
        Whether any model was trained on simulated patients.
    """

    sides: tuple[SideView, ...]
    promoted: bool
    evidence: tuple[EvidenceNote, ...]
    cells: tuple[CellView, ...] | None
    no_cells_reason: str | None
    cells_meaning: str | None
    counts: JointTable | None
    plane_patient: PlanePatient | None
    plane_centres: tuple[PlaneCentre, ...]
    weighing: Weighing | None
    what_if: WhatIfView | None
    axis: PercentAxis
    simulated: bool

    def recorded(self) -> tuple[RecordedProbability, ...]:
        """Return what the record keeps of these predictions, and of what if a measurement were another."""
        shifts = [view.shift for view in self.what_if.shifts] if self.what_if else []
        hypothetical = [item for item in recorded_changes(shifts) if item.case == "as changed"]
        return (*recorded_predictions(side.prediction for side in self.sides), *hypothetical)


@dataclass(frozen=True)
class PatientView:
    """The content of the page.

    Attributes
    ----------
    kind : {"patient", "example", "upload"}
    title : str
    facts : PatientFacts
    predictions : PredictionsView
    visits : tuple of str
        Labels of the patient's visits.
    visit, default_visit : int
        Index of the visit that is shown, and of that which is shown by default.
    choices : Choices
    course : CourseView or None
    clinic : Clinic or None
    donors : Donors
        Of the clinic.
    no_donors_reason : str
        Why none of them is compared for this patient; empty where they are, or where there are none.
    transplant : str
        As `transplant_text` returns.
    request_json : str
        Request of an upload; empty for other patients.
    """

    kind: Literal["patient", "example", "upload"]
    title: str
    facts: PatientFacts
    predictions: PredictionsView
    choices: Choices
    visits: tuple[str, ...] = ()
    visit: int = 0
    default_visit: int = 0
    course: CourseView | None = None
    clinic: Clinic | None = None
    donors: Donors = field(default_factory=Donors)
    no_donors_reason: str = ""
    transplant: str = ""
    request_json: str = ""


def patient_view(
    catalogue: Catalogue, clinic: Clinic, patient: Patient, visit: int | None, choices: Choices, donors: Donors
) -> PatientView:
    """Return the page of a patient of the clinic.

    Parameters
    ----------
    catalogue : Catalogue
    clinic : Clinic
    patient : Patient
    visit : int, optional
        Index of the visit; by default, and for an index that does not exist, the patient's default visit.
    choices : Choices
    donors : Donors
        Of the clinic.
    """
    index = patient.default_visit if visit is None or not 0 <= visit < len(patient.visits) else visit
    current = patient.visits[index]
    return PatientView(
        "patient",
        patient.id,
        patient_facts(current.candidate, current.label),
        predictions_view(
            catalogue,
            current.candidate,
            choices,
            donors,
            clinic=clinic,
            is_recipient=patient.course.received_transplant,
        ),
        choices,
        visits=tuple(item.label for item in patient.visits),
        visit=index,
        default_visit=patient.default_visit,
        course=course_view(catalogue, clinic, patient),
        clinic=clinic,
        donors=donors,
        no_donors_reason=donors.no_comparison_reason_for(current.candidate.taxa),
        transplant=transplant_text(patient.course, clinic.clock),
    )


def example_view(catalogue: Catalogue, choices: Choices) -> PatientView:
    """Return the page of an invented patient, who has the median of the training patients."""
    candidate = catalogue.example_candidate()
    predictions = predictions_view(catalogue, candidate, choices)
    return PatientView("example", "An invented patient", patient_facts(candidate), predictions, choices)


def upload_view(
    catalogue: Catalogue, name: str, candidate: Candidate, choices: Choices, request_json: str, donors: Donors
) -> PatientView:
    """Return the page of an uploaded patient, for whom the clinic's donors are compared."""
    no_donors_reason = donors.no_comparison_reason_for(candidate.taxa)
    predictions = predictions_view(catalogue, candidate, choices, Donors() if no_donors_reason else donors)
    return PatientView(
        "upload",
        name,
        patient_facts(candidate),
        predictions,
        choices,
        donors=donors,
        no_donors_reason=no_donors_reason,
        request_json=request_json,
    )


def predictions_view(
    catalogue: Catalogue,
    candidate: Candidate,
    choices: Choices,
    donors: Donors | None = None,
    *,
    clinic: Clinic | None = None,
    is_recipient: bool = False,
) -> PredictionsView:
    """Predict response and toxicity for a candidate, and collect what the page shows of both."""
    predictions = catalogue.predict(candidate)
    sides = tuple(_side_view(catalogue, prediction, clinic, is_recipient) for prediction in predictions)
    joint = joint_outcome(forecasts(predictions))
    waterfalls = [side.waterfall for side in sides if side.waterfall]
    counts = catalogue.joint_counts()
    withheld_reason = joint.reason or joint.unconfirmed_reason
    plane_patient = None if withheld_reason else _plane_patient(predictions, sides)
    promoted = len(sides) == 2 and all(side.promoted for side in sides)
    weighing = None
    if plane_patient and promoted and all(_has_enough_patients(prediction) for prediction in predictions):
        weighing = weigh(plane_patient.response, plane_patient.toxicity, counts, choices.worth)
    return PredictionsView(
        sides=sides,
        promoted=promoted,
        evidence=tuple(
            evidence_note(_model_of(catalogue, prediction), catalogue.terms[prediction.outcome])
            for prediction in predictions
        ),
        cells=None if withheld_reason else cell_views(joint),
        no_cells_reason=withheld_reason,
        cells_meaning=None if withheld_reason else joint.meaning,
        counts=counts,
        plane_patient=plane_patient,
        plane_centres=plane_centres(counts, catalogue.centre_title),
        weighing=weighing,
        what_if=what_if_view(
            {prediction.outcome: _model_of(catalogue, prediction) for prediction in predictions},
            candidate,
            waterfalls,
            choices,
            donors or Donors(),
        ),
        axis=shared_axis([item.drawing for item in waterfalls]),
        simulated=any(prediction.simulated for prediction in predictions),
    )


def _plane_patient(predictions: Sequence[Prediction], sides: Sequence[SideView]) -> PlanePatient | None:
    """Return the patient as a point of the plane of both probabilities; None where one of them is missing."""
    probabilities = [item.probability for item in forecasts(predictions) if item.probability is not None]
    if len(probabilities) != 2:
        return None
    response, toxicity = probabilities
    groups = [side.verdict.similar for side in sides]
    return PlanePatient(response, toxicity, *(group.outcomes if group else None for group in groups))


def _side_view(catalogue: Catalogue, prediction: Prediction, clinic: Clinic | None, is_recipient: bool) -> SideView:
    served = _model_of(catalogue, prediction)
    validation = served.model.validation
    probability, explanation = prediction.probability, prediction.explanation
    group = None if probability is None else similar_predictions(validation, probability)
    distributions = validation.distributions if validation else None
    evidence, rates = prediction.evidence, validation.rates if validation else None
    rate = evidence.events / evidence.patients if evidence.patients else None
    rate = rates.overall.rate if rates else rate
    drawing = None if explanation is None else waterfall(explanation, distributions)
    nearest = next((item for item in prediction.nearest if item.outcome == prediction.outcome), None)
    verdict = outcome_verdict(
        probability,
        group,
        rate,
        evidence,
        drawing,
        external_validations=served.external_validations,
        in_training_set=bool(prediction.trust.in_training_set),
        is_recipient=is_recipient,
    )
    may_be_training_patient = may_have_learnt_from(prediction, clinic)
    without_drawing = verdict.chance in {"indistinct", "training patient"}
    return SideView(
        side=side_of(prediction.outcome),
        prediction=prediction,
        promoted=is_promoted(prediction.model.alias),
        rates=rates,
        comparison=None if without_drawing else compare(prediction, group, nearest, rates),
        waterfall=None if without_drawing else drawing,
        verdict=verdict,
        reservations=(
            *((LEARNT_FROM_COHORT,) if may_be_training_patient else ()),
            *reservations(prediction),
        ),
        may_be_training_patient=may_be_training_patient,
        decision_curves=tuple(map(draw_decision_curve, validation.decision_curves if validation else ())),
        run_url=catalogue.run_url(served),
        ink=ink_of(prediction.outcome, evidence),
        fallback=catalogue.fallback(prediction),
    )


def _model_of(catalogue: Catalogue, prediction: Prediction) -> ServedModel:
    return catalogue.find(prediction.model.name, prediction.model.version)


def _has_enough_patients(prediction: Prediction) -> bool:
    patients, events = prediction.evidence.patients, prediction.evidence.events
    return min(events, patients - events) >= MIN_PATIENTS
