"""What every record of evidence is made of: documented fields, estimates with their interval, rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, Self, cast

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

Scheme = Literal["loco", "cv"]
"""How rows are held out: each cohort in turn (leave one cohort out), or patients within cohorts (cross-validation)."""
RankedBy = Literal["probability", "margin"]
"""What an AUROC ranks patients by: the probability as served, or the margin, its log-odds before calibration."""
FEWEST_OF_A_CLASS = 10
"""Patients with the outcome, and without, below which nothing says that a model ranks patients better or worse than
chance, nor how steep its probabilities are: of fewer, chance differences are large."""
Share = Annotated[float, Field(ge=0, le=1)]


class Documented:
    """A record whose fields are documented by the string below each, and whose JSON holds these fields only."""

    # A class of instances that have slots alone.
    __slots__ = ()
    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False)


class StoredRecord(Documented):
    """A record that bundles and runs keep as JSON."""

    __slots__ = ()

    @classmethod
    def from_json(cls, content: JsonValue) -> Self:
        """Read a record.

        Raises
        ------
        ValueError
            A field is unknown, missing or of another type; the message names each.
        """
        return cast(Self, cls._adapter().validate_python(content))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the record as JSON."""
        return cast(dict[str, JsonValue], self._adapter().dump_python(self, mode="json"))

    # Building an adapter takes longer than importing everything else here, so it is built when a record is first read
    # or written.
    @classmethod
    @cache
    def _adapter(cls) -> TypeAdapter[object]:
        return TypeAdapter(cls)


@dataclass(frozen=True)
class Estimate(Documented):
    """An estimate with its 95% confidence interval; all null where it cannot be estimated."""

    value: float | None
    """Point estimate."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""


@dataclass(frozen=True)
class EventRate(Documented):
    """Share of patients who had the outcome, with its exact 95% interval (Clopper and Pearson)."""

    patients: int
    """Patients whose outcome is known."""
    events: int
    """Of these patients, those who had the outcome."""
    rate: Share | None
    """Their share; null without patients."""
    low: Share
    """Lower end of the interval."""
    high: Share
    """Upper end of the interval."""


@dataclass(frozen=True)
class RandomEffectsSummary(Documented):
    """Random-effects meta-analysis over cohorts, on the scale of the estimate.

    Intervals are null below two cohorts, the prediction interval below three.
    """

    k: int
    """Cohorts in which the quantity can be estimated."""
    mean: float | None
    """Random-effects mean."""
    low: float | None
    """Lower end of its 95% interval (Hartung and Knapp)."""
    high: float | None
    """Upper end of the interval."""
    prediction_low: float | None
    """Lower end of the 95% prediction interval for a new cohort."""
    prediction_high: float | None
    """Upper end of the prediction interval."""
    tau2: float | None
    """Variance between cohorts, on the scale of the log-odds (Paule and Mandel)."""
    i2: float | None
    """Share of the total variance that lies between cohorts."""
