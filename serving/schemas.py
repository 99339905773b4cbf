"""Requests and errors of the API, and the frame around its predictions: one definition for validation and OpenAPI.

The predictions themselves are defined in `models.prediction`, their evidence in `models.evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, model_validator

from features.donor_features import donor_numbers_by_name
from features.errors import InputError
from features.population import DrugClass, Population, TreatmentLine, TumourType
from features.transplants import require_one_profiler
from features.units import ImmuneUnit, TaxaUnit
from models.donors import DonorComparison, DonorStool
from models.evidence import Documented, Evidence, ExternalValidation, TrainingPopulation
from models.patient_input import (
    LARGEST,
    MAX_NAME,
    Candidate,
    EarlierVisit,
    Measurement,
    StoolProfile,
    closed_proportions,
    measured_value,
)
from models.prediction import BenefitBounds, JointOutcome, Prediction
from models.what_if import WhatIf
from serving.outcomes.performance import LivePerformance

NOTICE = "Association, not cause. Research use: not a medical device."

EXAMPLE: dict[str, JsonValue] = {
    "patient": {"id": "candidate-1", "tumour_type": "melanoma", "age": 61},
    "taxa": {
        "profiler": "mpa_vOct22_CHOCOPhlAnSGB_202212",
        "unit": "percent",
        "day": -3,
        "clock": "day_ici",
        "values": {"Akkermansia_muciniphila": 4.2, "Faecalibacterium_prausnitzii": 95.8},
    },
    "immune": [{"analyte": "IL-6", "value": "<3.2", "unit": "pg/mL", "day": -3}],
}
_DONOR_STOOL: JsonValue = {
    "profiler": "mpa_vOct22_CHOCOPhlAnSGB_202212",
    "unit": "percent",
    "values": {"Akkermansia_muciniphila": 20.5, "Faecalibacterium_prausnitzii": 79.5},
}

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
MAX_TAXA = 50_000
"""The most taxa of a profile; profiles of amplicons have at most some 40,000."""
MAX_ANALYTES = 20_000
"""The most immune measurements of a request, as of an uploaded file."""
MAX_VISITS = 100
"""The most earlier stool profiles."""
MAX_CLINICAL = 500
"""The most clinical fields."""
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class _Strict(BaseModel):
    # Strict: "3.1" for 3.1, or true for 1, is a mistake of the client, which an error reveals and a conversion hides.
    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, use_attribute_docstrings=True
    )


class PatientRequest(_Strict):
    """The patient: an id, of which the record of questions keeps a keyed hash, and clinical fields.

    `/v1/models` lists the names of the clinical fields.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number | bool | Annotated[str, Field(max_length=MAX_NAME)] | None]

    id: Name
    """Id or name of the patient, as the client chooses."""
    tumour_type: TumourType | None = None
    """Type of the tumour; a model abstains for a type without training patients."""
    treatment_line: TreatmentLine | None = None
    """Whether a systemic therapy of the advanced tumour came before: first line, or a later one."""
    drug_class: DrugClass | None = None
    """Class of the immune checkpoint inhibitors that the patient is to receive."""

    @model_validator(mode="after")
    def _check_number_of_fields(self) -> Self:
        if (n_fields := len(self.__pydantic_extra__ or {})) > MAX_CLINICAL:
            raise ValueError(
                f"expected at most {MAX_CLINICAL} clinical fields, got {n_fields:,}; send those that a model reads"
            )
        return self


class TaxaRequest(_Strict):
    """One stool profile, at one taxonomic rank."""

    profiler: Name | None = None
    """Profiler and version of its database."""
    unit: TaxaUnit
    """Unit of `values`."""
    day: Number | None = None
    """Day of the stool sample, from the index event of `clock`."""
    clock: Name | None = None
    """Clock of `day`, such as day_ici: day 0 is the first dose."""
    values: Annotated[dict[Name, Annotated[float, Field(ge=0, le=LARGEST)]], Field(min_length=1, max_length=MAX_TAXA)]
    """Abundance by taxon, in `unit`; a taxon that is missing was not detected."""

    def profile(self) -> StoolProfile:
        """Return the profile that the models read."""
        return StoolProfile(self.values, self.unit, self.profiler, self.day, self.clock)


class ImmuneRequest(_Strict):
    """One immune measurement."""

    analyte: Name
    """Name of the analyte; common synonyms are recognised."""
    value: Number | Annotated[str, Field(max_length=40)] | None
    """A number, "<limit", ">limit", "OOR<", "OOR>", "*number" for an extrapolated one, or null where not measured."""
    unit: ImmuneUnit
    """Unit of `value`."""
    day: Number | None = None
    """Day of the blood draw, on the clock of the stool sample; needed where an analyte was measured more than once."""


class DonorFeaturesRequest(_Strict):
    """The donor of a recipient, for models that read the donor block."""

    taxa: TaxaRequest
    """Stool profile of the donor, by the profiler of the recipient's."""
    recipient_before: TaxaRequest | None = None
    """The recipient's stool before the transplant, where `taxa` of the request is a later sample."""


class _CandidateRequest(_Strict):
    patient: PatientRequest
    """The patient."""
    taxa: TaxaRequest | None = None
    """Stool profile."""
    immune: Annotated[list[ImmuneRequest], Field(max_length=MAX_ANALYTES)] = []
    """Immune measurements, each analyte once, or once on each `day`: a model reads the value by its landmark that is
    nearest to the stool sample, and models of the block over_time how the values move until then."""
    donor: DonorFeaturesRequest | None = None
    """The recipient's donor; without it, models that need the donor block do not predict."""
    day: Number | None = None
    """Day of the last visit, which decides the landmark whose model predicts; by default the last `day` of the
    request's measurements."""
    earlier_taxa: Annotated[list[TaxaRequest], Field(max_length=MAX_VISITS)] = []
    """Dated stool profiles before `taxa`, which models of an earlier landmark read in its place. Donors are compared
    from `taxa` alone."""

    @model_validator(mode="after")
    def _check_days_of_stool(self) -> Self:
        last_day = None if self.taxa is None else self.taxa.day
        days = [profile.day for profile in self.earlier_taxa]
        if days and self.taxa is not None and last_day is None:
            raise ValueError("taxa.day is missing; where there is earlier stool, state the day of every profile")
        for index, day in enumerate(days):
            if day is None:
                raise ValueError(f"earlier_taxa.{index}.day is missing; earlier stool needs its day")
            if days.count(day) > 1 or (last_day is not None and day >= last_day):
                raise ValueError(
                    f"earlier_taxa.{index}.day: expected a day of its own, before that of 'taxa'; got {day:g}"
                )
        return self

    def candidate(self) -> Candidate:
        """Return the candidate that the models read.

        Raises
        ------
        InputError
            The value of an immune measurement cannot be read.
        """
        clinical = {name: value for name, value in (self.patient.__pydantic_extra__ or {}).items() if value is not None}
        immune = [
            Measurement(item.analyte, reading, item.unit, item.day)
            for index, item in enumerate(self.immune)
            if (reading := measured_value(item.value, item.unit, f"immune.{index}.value")).censored
            or not math.isnan(reading.value)
        ]
        patient = self.patient
        population = Population(patient.tumour_type, patient.treatment_line, patient.drug_class)
        if self.donor is not None and self.taxa is None:
            raise InputError("donor: the distance to a donor needs the recipient's stool; send 'taxa' too")
        present = Candidate(
            clinical,
            None if self.taxa is None else self.taxa.profile(),
            tuple(immune),
            population,
            self._donor_features(self.taxa),
            day=self.day,
        )
        if not self.earlier_taxa:
            return present
        earlier = [
            EarlierVisit(stool.day, replace(present, taxa=stool.profile(), donor=self._donor_features(stool)))
            for stool in self.earlier_taxa
            if stool.day is not None
        ]
        return replace(present, earlier=tuple(earlier))

    def _donor_features(self, taxa: TaxaRequest | None) -> dict[str, float]:
        if self.donor is None or taxa is None:
            return {}
        profiles = {
            "taxa": taxa,
            "donor.taxa": self.donor.taxa,
            "donor.recipient_before": self.donor.recipient_before,
        }
        require_one_profiler({place: profile.profiler for place, profile in profiles.items() if profile is not None})
        stool, donor, stool_before = (
            None if profile is None else closed_proportions(profile.profile()) for profile in profiles.values()
        )
        assert stool is not None
        assert donor is not None
        numbers = donor_numbers_by_name(stool, donor, stool_before)
        return {name: value for name, value in numbers.items() if not math.isnan(value)}


class PredictionRequest(_CandidateRequest):
    """A candidate patient; leave out what is not known."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    outcomes: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = None
    """Outcomes to predict, by default all; a response and a toxicity are always predicted together."""


class DonorRequest(_Strict):
    """A donor of stool."""

    id: Name
    """Id or name of the donor, as the client chooses."""
    cleared: bool
    """Whether screening cleared the donor; other donors are listed, and not compared."""
    taxa: TaxaRequest
    """Stool profile, by the profiler of the recipient's."""


class DonorComparisonRequest(_CandidateRequest):
    """A recipient with stool, and donors to compare."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **EXAMPLE,
                "donors": [
                    {"id": "donor-1", "cleared": True, "taxa": _DONOR_STOOL},
                    {"id": "donor-2", "cleared": False, "taxa": _DONOR_STOOL},
                ],
            }
        }
    )

    donors: Annotated[list[DonorRequest], Field(min_length=1, max_length=100)]
    """The donors, each once."""

    def donor_stools(self) -> list[DonorStool]:
        """Return the donors as `models.donors` compares them."""
        return [
            DonorStool(donor.id, donor.taxa.profile(), None if donor.cleared else "not cleared by screening")
            for donor in self.donors
        ]


class WhatIfRequest(_CandidateRequest):
    """A candidate, and measurements to put to other values."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {**EXAMPLE, "changes": ["taxa:Akkermansia_muciniphila"], "donor_stool": _DONOR_STOOL}
        }
    )

    changes: Annotated[list[Name], Field(min_length=1, max_length=100)]
    """What is changed, as block:name: taxa:Coprococcus (all taxa of a genus), taxa:Coprococcus_comes, immune:IL-6."""
    donor_stool: TaxaRequest | None = None
    """Puts the taxa to what is expected after a transplant of this stool; without it, all go to the training median."""


class OutcomeReportRequest(_Strict):
    """What became of a patient after a prediction that the record of questions holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "patient": "candidate-1",
                "assessed": "2027-03-31",
                "outcomes": {"objective_response": True, "toxicity_any": False},
            }
        }
    )

    record: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Number of the prediction's entry, as the header `Taxokine-Record` or the column `record` of a batch states it."""
    patient: Name | None = None
    """Id of the patient, in place of `record`: the last prediction until `assessed` is meant."""
    assessed: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$", json_schema_extra={"format": "date"})]
    """Day on which the outcomes were assessed, as 2027-03-31; not before the prediction."""
    outcomes: Annotated[dict[Name, bool | None], Field(min_length=1, max_length=100)]
    """Whether each outcome occurred as the prediction's `definition` says, with its last day if it states one; by the
    id in the prediction; null withdraws an earlier report."""


@dataclass(frozen=True)
class PatientReference(Documented):
    """The patient of the predictions."""

    id: str
    """Id in the request."""


@dataclass(frozen=True)
class PredictionResponse(Documented):
    """Predictions of response and toxicity for one candidate."""

    patient: PatientReference
    """The patient of the request."""
    answers: list[Prediction]
    """One prediction for each outcome."""
    benefit: BenefitBounds
    """Bounds of the probability of response without toxicity."""
    cells: JointOutcome
    """Probabilities of response and toxicity together, for the first response and the first toxicity of `answers`."""
    simulated: bool
    """Whether any of the models was trained on simulated patients."""
    notice: str
    """Limits of use."""


@dataclass(frozen=True)
class DonorComparisonResponse(Documented):
    """Donors compared for one recipient."""

    patient: PatientReference
    """The patient of the request."""
    comparison: DonorComparison
    """The donors, and what the models make of the stool expected after a transplant from each."""
    notice: str
    """Limits of use."""


@dataclass(frozen=True)
class WhatIfResponse(Documented):
    """A candidate compared with one who has other measurements."""

    patient: PatientReference
    """The patient of the request."""
    comparison: WhatIf
    """What was changed, and what the models predict with it."""
    notice: str
    """Limits of use."""


@dataclass(frozen=True)
class ModelDescription(Documented):
    """A served model: the fields of `ModelReference`, what it reads, and its evidence."""

    name: str
    """Name in the registry."""
    version: str
    """Version in the registry."""
    run_id: str
    """MLflow run that trained the model."""
    alias: str
    """Registry alias under which the model is served, such as champion or candidate-taxa."""
    family: str
    """Family of classifiers: elastic_net, xgboost or xgboost_forest."""
    blocks: tuple[str, ...]
    """Blocks of measurements that the model needs."""
    outcome: str
    """Id of the outcome, such as objective_response or toxicity_3."""
    definition: str
    """Clinical definition of the outcome."""
    inputs: dict[str, tuple[str, ...]]
    """Names that the model reads, by block."""
    units: dict[str, str]
    """Unit of each analyte."""
    profilers: tuple[str, ...]
    """Profilers of the training cohorts."""
    evidence: Evidence
    """What the model was trained on, and how it performed on held-out patients."""
    population: TrainingPopulation | None
    """Disease and treatment of the training patients; null for bundles older than this record."""
    simulated: bool
    """Whether the model was trained on simulated patients."""
    external_validations: tuple[ExternalValidation, ...]
    """The latest validation on each cohort that the model had not seen."""


@dataclass(frozen=True)
class ModelsResponse(Documented):
    """The served models."""

    models: list[ModelDescription]
    """Models by outcome, best first; a prediction uses the first for which the candidate has the measurements."""


@dataclass(frozen=True)
class OutcomeReportResponse(Documented):
    """A report of outcomes, as it was recorded."""

    record: int
    """Number of the report's entry in the record of questions."""
    prediction: int
    """Number of the entry whose prediction it is about."""
    outcomes: dict[str, bool | None]
    """What was reported."""


@dataclass(frozen=True)
class ModelPerformanceResponse(Documented):
    """A model's performance on the patients whose outcome was reported."""

    model: str
    """Name in the registry."""
    versions: list[LivePerformance]
    """By version and outcome; empty until an outcome is reported."""
    min_patients: int
    """Patients below whom nothing is estimated."""
    min_each: int
    """Patients with the outcome, and without it, below whom nothing is estimated."""
    bias: str
    """What limits every estimate."""


@dataclass(frozen=True)
class State(Documented):
    """State of the server."""

    status: Literal["ok"]
    """The server is up."""


@dataclass(frozen=True)
class Readiness(Documented):
    """Whether the server's models are those that the registry names."""

    status: Literal["ready", "degraded"]
    """Either "ready", or "degraded": predictions come from the last good set of models, for a reason in `problems`."""
    problems: Sequence[str]
    """Why the models may not be those of the registry; empty where they are."""
    models: Sequence[str]
    """Name and version of each served model, by which workers can be compared."""
    checked: datetime | None
    """When the registry last named these models; null where it has not since the server started."""


class Problem(BaseModel):
    """One problem of a request."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    place: str | None
    """Field of the request, such as taxa.values.Akkermansia_muciniphila; null where the problem is of no field."""
    message: str
    """What was expected, what came and what to do."""


class Failure(Problem):
    """The error of a request; `place` and `message` are those of its first problem."""

    code: str
    """Kind of error, such as invalid_request."""
    problems: list[Problem] = []
    """All problems of the request, up to ten."""


class ErrorResponse(BaseModel):
    """The shape of every error."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error: Failure
    """The error."""

    @classmethod
    def from_problems(cls, code: str, *problems: Problem) -> Self:
        """Return the error that reports these problems, at least one."""
        return cls(error=Failure(code=code, problems=list(problems), **problems[0].model_dump()))


@cache
def keep_response_schemas() -> None:
    """Keep the schemas of responses, once a process: for each application, FastAPI would read the source of each class.

    The application is made anew for each new set of models, while the old one answers.
    """
    for response in (
        PredictionResponse, DonorComparisonResponse, WhatIfResponse, ModelsResponse, OutcomeReportResponse,
        ModelPerformanceResponse, State, Readiness,
    ):  # fmt: skip
        # Where a class has a schema, Pydantic takes it.
        response.__pydantic_core_schema__ = TypeAdapter(response).core_schema  # type: ignore[union-attr]
