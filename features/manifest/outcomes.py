"""The parts of a manifest that describe outcomes: response, toxicity and survival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Tag, model_validator

from features.manifest.base import (
    CellText,
    CellTexts,
    DayColumn,
    FileName,
    ManifestPart,
    ValueRule,
    cell_text,
    variant_by_key,
)

TimeUnit = Literal["days", "weeks", "months", "years"]
"""The unit of a time from day 0."""


class YesNo(ValueRule):
    """A column whose values mean yes, no or unknown; every value of the column is listed under one of them."""

    column: str
    """The column."""
    yes: CellTexts
    """The values that mean yes."""
    no: CellTexts
    """The values that mean no."""
    unknown: CellTexts = ()
    """The values that mean unknown."""


class Recist(ValueRule):
    """Best overall response by RECIST, from which objective response and disease control are derived."""

    column: str
    """The column."""
    CR: CellTexts = ()
    """The values that mean complete response."""
    PR: CellTexts = ()
    """The values that mean partial response."""
    SD: CellTexts = ()
    """The values that mean stable disease."""
    PD: CellTexts = ()
    """The values that mean progressive disease."""
    unknown: CellTexts = ()
    """The values that mean unknown."""


class StableSixMonths(ManifestPart):
    """Durable benefit derived from RECIST and from a column on stable disease."""

    stable_six_months: YesNo
    """Whether stable disease lasted six months."""


class Toxicity(YesNo):
    """A published toxicity flag, and the lowest grade that it counts."""

    grade: Annotated[Literal["any", "2", "3"], BeforeValidator(cell_text)]
    """`any`, or the lowest CTCAE grade that the flag counts."""


class Attribution(ManifestPart):
    """A column of the cause to which an adverse event was attributed."""

    column: str
    """The column."""
    values: Mapping[CellText, Literal["FMT", "ICI", "disease", ""]]
    """The meaning of each value; "" is another cause, or unknown."""


class Events(ManifestPart):
    """A table of dated, graded adverse events; a patient without a row had no recorded event."""

    events: FileName
    """The file of the table."""
    keep_rows: Mapping[CellText, CellTexts] = {}
    """The rows to read: by column, the cells of the rows to keep; by default every row."""
    patient: str
    """Column of the patient."""
    term: str
    """Column of the event's name."""
    grade: str
    """Column of the CTCAE grade, 1 to 5, written as 3, G3, Grade 3 or III."""
    day: DayColumn
    """The day of onset: a column of days, or two columns of dates."""
    first_counted_day: float = 0
    """The first day whose events are counted; earlier events precede the treatment."""
    attribution: Attribution | None = None
    """The cause to which the event was attributed."""
    serious: YesNo | None = None
    """Whether the event was serious by the regulators' definition, which is not its grade."""
    organism: str | None = None
    """Column of the organism that caused an infection; empty for other events."""


class DatedEvent(ValueRule):
    """Two columns of the patients' sheet: a time, and whether the event happened then or the patient was censored."""

    time: str
    """Column of the time from day 0 of the clock."""
    event: str
    """Column of whether the event happened at that time."""
    unit: TimeUnit
    """The unit of the time."""
    yes: CellTexts
    """The values of `event` that mean that it happened."""
    no: CellTexts = ()
    """The values of `event` that mean that the patient was censored; none where it happened to all."""
    unknown: CellTexts = ()
    """The values of either column that mean unknown."""


class LastDay(ManifestPart):
    """A column of the patients' sheet with the time, from day 0 of the clock, at which something ended."""

    time: str
    """The column."""
    unit: TimeUnit
    """The unit of the time."""
    missing: CellTexts = ("", "NA")
    """The cells that mean "not reported"."""


class CauseOfDeath(ManifestPart):
    """A column of the patients' sheet with the cause of each death."""

    column: str
    """The column."""
    values: Mapping[CellText, Literal["tumour", "treatment", "other", ""]]
    """The meaning of each value; "" is an unknown cause, or none in a patient who lives."""


class Survival(ManifestPart):
    """Times to events, in the patients' sheet."""

    overall_survival: DatedEvent | None = None
    """Time to death."""
    progression_free_survival: DatedEvent | None = None
    """Time to progression or death, whichever is first."""
    last_follow_up: LastDay | None = None
    """The last day on which an adverse event would have been recorded; by default, that of `overall_survival`."""
    treatment_end: LastDay | None = None
    """The last day of treatment; missing for a patient whose treatment had not ended."""

    cause_of_death: CauseOfDeath | None = None
    """The cause of each death, beside `overall_survival`."""

    @model_validator(mode="after")
    def _check_cause_has_survival(self) -> Self:
        if self.cause_of_death is not None and self.overall_survival is None:
            raise ValueError("cause_of_death needs 'overall_survival' beside it, which says who died; add it")
        return self

    @property
    def times(self) -> dict[str, DatedEvent | LastDay]:
        """The columns of times, by name."""
        return {name: rule for name, rule in self if isinstance(rule, DatedEvent | LastDay)}

    @property
    def outcome_columns(self) -> dict[str, str]:
        """The manifest key of the outcome by each column that encodes it."""
        rules = [(f"survival.{name}", rule) for name, rule in self.times.items()]
        event_columns = {rule.event: key for key, rule in rules if isinstance(rule, DatedEvent)}
        cause = {} if self.cause_of_death is None else {self.cause_of_death.column: "survival.cause_of_death"}
        return cause | event_columns | {rule.time: key for key, rule in rules}


class Outcomes(ManifestPart):
    """The outcomes that the cohort reports."""

    recist: Recist | None = None
    """Best overall response by RECIST."""
    objective_response: YesNo | None = None
    """Complete or partial response by RECIST, where the sheet holds no more than yes or no."""
    disease_control: YesNo | None = None
    """Complete or partial response, or any stable disease by RECIST, where the sheet holds no more than yes or no."""
    published_response: YesNo | None = None
    """The publication's own label of response."""
    durable_benefit: (
        Annotated[
            Annotated[YesNo, Tag("flag")] | Annotated[StableSixMonths, Tag("stable")],
            variant_by_key("stable_six_months", "stable", "flag"),
        ]
        | None
    ) = None
    """Response, or stable disease of at least six months: a flag, or `stable_six_months` beside `recist`."""
    toxicity: (
        Annotated[
            Annotated[Toxicity, Tag("flag")] | Annotated[Events, Tag("events")],
            variant_by_key("events", "events", "flag"),
        ]
        | None
    ) = None
    """Immune-related adverse events: a flag of one grade, or a table of dated events."""
    survival: Survival | None = None
    """Times to events."""
    progression_free: Mapping[Annotated[int, Field(gt=0)], YesNo] = {}
    """Whether patients were free of progression after a number of months; for audits, never a training outcome."""

    @model_validator(mode="after")
    def _check_stable_disease_has_recist(self) -> Self:
        if isinstance(self.durable_benefit, StableSixMonths) and self.recist is None:
            raise ValueError("durable_benefit: stable_six_months needs 'recist' beside it; add it")
        return self

    @model_validator(mode="after")
    def _check_response_is_stated_once(self) -> Self:
        for name, flag in (("objective_response", self.objective_response), ("disease_control", self.disease_control)):
            if flag is not None and self.recist is not None:
                raise ValueError(
                    f"{name} follows from 'recist', which stands beside it; remove it, or name it "
                    "'published_response' where the publication defines it otherwise"
                )
        return self

    @property
    def outcome_columns(self) -> dict[str, str]:
        """The manifest key of the outcome by each column of the patients' sheet that encodes it."""
        durable = self.durable_benefit
        rules = {
            "recist": self.recist,
            "objective_response": self.objective_response,
            "disease_control": self.disease_control,
            "published_response": self.published_response,
            "durable_benefit": durable.stable_six_months if isinstance(durable, StableSixMonths) else durable,
            "toxicity": self.toxicity if isinstance(self.toxicity, Toxicity) else None,
            **{f"progression_free.{months}": rule for months, rule in self.progression_free.items()},
        }
        columns = self.survival.outcome_columns if self.survival else {}
        return columns | {rule.column: key for key, rule in rules.items() if rule is not None}
