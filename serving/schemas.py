"""What a request may say and what an answer says: the one definition of both, for validation and for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from features.analytes import ImmuneUnit, MeasuredValue, parse_value
from features.errors import InputError
from models.patient_input import LARGEST, Candidate, Measurement, StoolProfile, Unit
from models.reference import Verdict

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
    unit: Unit
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


class Contribution(BaseModel):
    """What one feature adds."""

    feature: str
    block: Literal["taxa", "immune", "clinical"]
    value: Annotated[float | None, Field(description="as measured; null where it was not, or lies beyond a limit")]
    shap: Annotated[float, Field(description="SHAP value, on `scale`")]


class CalibrationOut(BaseModel):
    """probability = 1 / (1 + exp(-(slope * value + intercept)))."""

    slope: float
    intercept: float


class Explanation(BaseModel):
    """`base_value` and the contributions add up to `value`; `probability` is the calibration of `value`."""

    scale: Literal["log-odds"]
    base_value: float
    value: float
    contributions: list[Contribution]
    calibration: CalibrationOut


class RangeOut(BaseModel):
    """A range of probability for patients whom the model scores alike; never an interval for one of them."""

    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    method: Literal["Venn-Abers"]
    meaning: str


class ModelOut(BaseModel):
    """The model that answered."""

    name: str
    version: str
    run_id: str
    alias: str
    family: str
    blocks: list[str]


class EstimateOut(BaseModel):
    """A number with its 95% interval; null where there were too few patients to tell."""

    value: float | None
    low: float | None
    high: float | None


class TrustOut(BaseModel):
    """Whether the model may speak of this patient, why, and the facts that were judged, of the model's blocks alone."""

    verdict: Verdict
    reasons: list[str]
    unused: Annotated[list[str], Field(description="names that had no effect")]
    taxa_recognised: Annotated[float | None, Field(description="share of the profile in taxa that the model has seen")]
    taxa_present: Annotated[float, Field(description="share of the model's taxa that were found")] = 0
    immune_present: Annotated[float, Field(description="share of the model's analytes that were given")] = 0
    clinical_present: Annotated[float, Field(description="share of the model's clinical columns that were given")] = 0
    missing_blocks: Annotated[list[str], Field(description="blocks the model needs of which nothing was given")]
    profiler_match: Annotated[bool | None, Field(description="null where the profile's profiler was not given")] = None
    clock_match: Annotated[bool | None, Field(description="null where the clock of the stool's day was not given")] = (
        None
    )
    unit_unstated: Annotated[list[str], Field(description="analytes given of which nobody stated a unit")] = []
    out_of_range: Annotated[
        list[str], Field(description="analytes and clinical numbers beyond every training patient's")
    ]
    distance: Annotated[
        float | None, Field(description="mean Aitchison distance to the nearest training patients; null in old models")
    ] = None
    distance_percentile: Annotated[
        float | None, Field(description="among the training patients' own left-out distances; 100 is beyond them all")
    ] = None
    richness_percentile: Annotated[
        float | None, Field(description="share of training patients, in percent, in whom no more taxa were found")
    ] = None
    nearest_cohort: Annotated[str | None, Field(description="the training cohort with the nearest profiles")] = None
    nearest_cohort_auroc: Annotated[EstimateOut | None, Field(description="the model's, with that cohort left out")] = (
        None
    )


class NearestOut(BaseModel):
    """How the training patients with the nearest profiles did, counted together; similar is not the same."""

    outcome: str
    patients: Annotated[
        int, Field(description="of the 25 nearest (Aitchison), those whose outcome is known; 20 or more")
    ]
    events: int
    rate: Annotated[float, Field(ge=0, le=1)]
    low: Annotated[float, Field(ge=0, le=1, description="of the exact 95% interval (Clopper and Pearson)")]
    high: Annotated[float, Field(ge=0, le=1)]


class AnswerOut(BaseModel):
    """One outcome's answer."""

    outcome: str
    definition: str
    probability: Annotated[float | None, Field(ge=0, le=1, description="null where the verdict is abstain")]
    probability_range: Annotated[RangeOut | None, Field(description="null where the model has none, or abstains")]
    explanation: Explanation | None
    model: ModelOut
    evidence: Annotated[dict[str, Any], Field(description="what the model was trained and validated on")]
    trust: TrustOut
    nearest: Annotated[
        list[NearestOut],
        Field(description="of the outcome, then of those of the other side; none under abstain, nor in old models"),
    ]
    simulated: bool


class BenefitOut(BaseModel):
    """Bounds of the probability of response without toxicity, whatever the dependence of the two."""

    low: Annotated[float | None, Field(ge=0, le=1)]
    high: Annotated[float | None, Field(ge=0, le=1)]
    of: Annotated[list[str], Field(description="the response and the toxicity that the bounds are of")]
    reason: Annotated[str | None, Field(description="why there are no bounds")]


class CellOut(BaseModel):
    """One of the four cells of response and toxicity."""

    low: Annotated[float | None, Field(ge=0, le=1, description="whatever the dependence of the two (Fréchet)")]
    high: Annotated[float | None, Field(ge=0, le=1)]
    expected: Annotated[
        float | None,
        Field(ge=0, le=1, description="under the cohorts' odds ratio (Plackett); null where there is none"),
    ]


class OddsRatioOut(BaseModel):
    """The odds ratio of response and toxicity in the training cohorts (Mantel and Haenszel), with its 95% interval."""

    response: str
    toxicity: str
    patients: Annotated[int, Field(description="whose response and toxicity are both known; at least 100")]
    value: float
    low: float
    high: float
    meaning: str


class CellsOut(BaseModel):
    """Response and toxicity of this patient, side by side; all null where a model is missing or abstains."""

    of: Annotated[list[str], Field(description="the response and the toxicity that the cells are of")]
    reason: Annotated[str | None, Field(description="why there are no cells")]
    response_without_toxicity: CellOut
    both: CellOut
    neither: CellOut
    toxicity_without_response: CellOut
    odds_ratio: Annotated[OddsRatioOut | None, Field(description="null below 100 patients, and of old models")]


class PatientOut(BaseModel):
    """Whose answers these are."""

    id: str


class PredictionResponse(BaseModel):
    """Response and toxicity of one candidate, always side by side."""

    patient: PatientOut
    answers: list[AnswerOut]
    benefit: BenefitOut
    cells: CellsOut
    simulated: Annotated[bool, Field(description="whether any of the models learned from simulated patients")]
    notice: str


class ServedModelOut(ModelOut):
    """A model that is served, what it needs, and what it was validated on."""

    outcome: str
    definition: str
    inputs: Annotated[dict[str, list[str]], Field(description="the names that each block reads")]
    units: Annotated[dict[str, str], Field(description="the unit in which each analyte is known")]
    profilers: list[str]
    evidence: dict[str, Any]
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
