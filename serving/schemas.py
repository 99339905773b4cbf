"""What a request may say and what an answer says: the one definition of both, for validation and for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from features.analytes import ImmuneUnit, MeasuredValue, parse_value
from features.errors import InputError
from models.evidence import Evidence
from models.patient_input import LARGEST, Candidate, Measurement, StoolProfile, TaxaUnit
from models.prediction import BenefitBounds, JointOutcome, Prediction

NOTICE = "Association, not cause. Research use: not a medical device."

EXAMPLE: dict[str, Any] = {
    "patient": {"id": "candidate-1", "age": 61},
    "taxa": {
        "profiler": "mpa_vOct22_CHOCOPhlAnSGB_202212",
        "unit": "percent",
        "day": -3,
        "clock": "day_ici",
        "values": {"Akkermansia_muciniphila": 4.2, "Faecalibacterium_prausnitzii": 95.8},
    },
    "immune": [{"analyte": "IL-6", "value": "<3.2", "unit": "pg/mL", "day": -3}],
}

Name = Annotated[str, Field(min_length=1, max_length=500)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Day = Annotated[Number | None, Field(description="days from the clock's index event")]


class _Read(BaseModel):
    # Strict: "3.1" for 3.1 or true for 1 is a mistake at the sender's end, better heard of than guessed at.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class PatientIn(_Read):
    """The patient: an id, echoed and never kept, and clinical fields under the names that `/v1/models` lists."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number | bool | Annotated[str, Field(max_length=500)] | None]

    id: Name


class TaxaIn(_Read):
    """One stool profile, of one rank."""

    profiler: Annotated[Name | None, Field(description="what made the profile, with its database's version")] = None
    unit: TaxaUnit
    day: Day = None
    clock: Annotated[Name | None, Field(description="such as day_ici: 0 at the first dose")] = None
    values: Annotated[
        dict[Name, Annotated[float, Field(ge=0, le=LARGEST)]],
        Field(min_length=1, description="abundance by taxon, in `unit`; a taxon that is left out was not found"),
    ]


class ImmuneIn(_Read):
    """One immune measurement."""

    analyte: Name
    value: Annotated[
        Number | Annotated[str, Field(max_length=40)] | None,
        Field(description='a number, "<limit", ">limit", "OOR<", "OOR>", or null where not measured'),
    ]
    unit: ImmuneUnit
    day: Day = None


class PredictionRequest(_Read):
    """A candidate patient; what is not known is left out."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    patient: PatientIn
    taxa: TaxaIn | None = None
    immune: list[ImmuneIn] = []
    outcomes: Annotated[
        list[Name] | None,
        Field(min_length=1, description="left out: all. Response and toxicity are answered together whatever is named"),
    ] = None

    def candidate(self) -> Candidate:
        """Return the candidate that the models read.

        Raises
        ------
        InputError
            An immune value is no measurement.
        """
        clinical = {name: value for name, value in (self.patient.__pydantic_extra__ or {}).items() if value is not None}
        stool = self.taxa
        taxa = None
        if stool is not None:
            taxa = StoolProfile(stool.values, stool.unit, stool.profiler, stool.day, stool.clock)
        immune = [
            Measurement(item.analyte, reading, item.unit, item.day)
            for i, item in enumerate(self.immune)
            if (reading := _reading(item, f"immune.{i}.value")).censored or reading.value == reading.value
        ]
        return Candidate(clinical, taxa, tuple(immune))


def _reading(item: ImmuneIn, place: str) -> MeasuredValue:
    try:
        reading = parse_value(item.value, unit=item.unit)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if any(abs(number) > LARGEST for number in (reading.value, reading.limit)):
        raise InputError(f"{place}: got {item.value!r}; no measurement is larger than {LARGEST:g}: check the unit")
    return reading


class PatientOut(BaseModel):
    """Whose answers these are."""

    id: str


class PredictionResponse(BaseModel):
    """Response and toxicity of one candidate, always side by side."""

    patient: PatientOut
    answers: list[Prediction]
    benefit: BenefitBounds
    cells: JointOutcome
    simulated: Annotated[bool, Field(description="whether any of the models learned from simulated patients")]
    notice: str


class ServedModelOut(BaseModel):
    """A model that is served, what it needs, and what it was validated on."""

    name: str
    version: str
    run_id: str
    alias: str
    family: str
    blocks: list[str]
    outcome: str
    definition: str
    inputs: Annotated[dict[str, list[str]], Field(description="the names that each block reads")]
    units: Annotated[dict[str, str], Field(description="the unit in which each analyte is known")]
    profilers: list[str]
    evidence: Evidence
    simulated: bool


class ModelsResponse(BaseModel):
    """The models, each outcome's in the order in which they are tried."""

    models: list[ServedModelOut]


class State(BaseModel):
    """Whether the server is up, or ready."""

    status: Literal["ok", "ready"]


class Problem(BaseModel):
    """One thing that is wrong with a request."""

    place: Annotated[str | None, Field(description="such as taxa.values.Akkermansia_muciniphila")]
    message: str


class Failure(Problem):
    """What went wrong; where several things did, `place` and `message` are the first one's."""

    code: str
    problems: Annotated[list[Problem], Field(description="every problem of the request, up to ten")] = []


class ErrorResponse(BaseModel):
    """The shape of every error."""

    error: Failure

    @classmethod
    def from_problems(cls, code: str, *problems: Problem) -> Self:
        """Return the error that these problems, at least one, make up."""
        return cls(error=Failure(code=code, problems=list(problems), **problems[0].model_dump()))
