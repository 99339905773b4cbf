"""What is known of an engraftment model: what it learnt from, and how near its predictions came on held-out stool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.engraftment.model import Method
from models.evidence import Documented, Estimate

EngraftmentScheme = Literal["recipients left out", "donors left out", "another trial"]


@dataclass(frozen=True)
class MethodAccuracy(Documented):
    """How near one method's predicted profiles came to the held-out profiles after."""

    method: Method
    """The regression, or a baseline."""
    bray_curtis: Estimate
    """Mean Bray-Curtis dissimilarity of the expected proportions to the profile after; 0 is equal, 1 is disjoint."""
    aitchison: Estimate
    """Mean Aitchison distance of the expected log-ratios to those of the profile after."""
    presence_auroc: Estimate
    """Of two recipients, one with a taxon after and one without, how often the first was given more; over all taxa."""
    bray_curtis_excess: Estimate
    """Mean Bray-Curtis dissimilarity minus that of the regression, paired; above 0 the regression is nearer."""
    aitchison_excess: Estimate
    """Mean Aitchison distance minus that of the regression, paired; above 0 the regression is nearer."""


@dataclass(frozen=True)
class EngraftmentValidation(Documented):
    """Accuracy of every method on transplants that it did not learn from."""

    scheme: EngraftmentScheme
    """What was left out together."""
    transplants: int
    """Transplants that were predicted."""
    units: int
    """Recipients or donors that were left out in turn; intervals are jackknives over them."""
    methods: tuple[MethodAccuracy, ...]
    """The regression first, then the baselines."""

    @property
    def beaten_baselines(self) -> tuple[Method, ...]:
        """The baselines that the regression beats: both excesses have intervals above 0."""
        return tuple(
            accuracy.method
            for accuracy in self.methods[1:]
            if all(_above_0(excess) for excess in (accuracy.bray_curtis_excess, accuracy.aitchison_excess))
        )

    @property
    def beats_all(self) -> bool:
        """Whether the regression beats every baseline."""
        return len(self.beaten_baselines) == len(self.methods) - 1


@dataclass(frozen=True)
class EngraftmentEvidence(Documented):
    """What an engraftment model was trained and validated on."""

    cohorts: tuple[str, ...]
    """Names of the training cohorts."""
    transplants: int
    """Transplants with a profile before, of the donor, and after."""
    donors: int
    """Donor subjects of these transplants."""
    median_day: float
    """Median day of the profiles after, from the transplant."""
    first_day: float
    """Earliest of these days."""
    last_day: float
    """Latest of these days."""
    profiler: str | None
    """Profiler and database of the stool profiles; null where not reported."""
    rank: str
    """Rank of the taxa."""
    simulated: bool
    """Whether any training patient was simulated."""
    validations: tuple[EngraftmentValidation, ...]
    """With recipients left out; and with donors left out, where there are donors enough."""
    notes: tuple[str, ...]
    """Recipients that lack a profile, counted."""

    @property
    def donors_left_out(self) -> EngraftmentValidation | None:
        """The validation with donors left out; None where there were too few donors."""
        return next((item for item in self.validations if item.scheme == "donors left out"), None)


def _above_0(estimate: Estimate) -> bool:
    return estimate.low is not None and estimate.low > 0
