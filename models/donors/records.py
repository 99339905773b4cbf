"""The comparison of donors: what the API returns and the pages show, one dataclass for each of its parts."""

from __future__ import annotations

from dataclasses import dataclass

from features.outcomes import Side, side_of
from models.evidence import Documented
from models.prediction import ModelReference, Probability, Trust


@dataclass(frozen=True)
class ExpectedTaxon(Documented):
    """A taxon of the stool expected after the transplant."""

    taxon: str
    """Canonical name."""
    recipient: float
    """Proportion in the recipient's stool before."""
    donor: float
    """Proportion in the donor's stool."""
    expected: float
    """Expected proportion after."""
    low: float
    """Lower limit of the 80% prediction interval."""
    high: float
    """Upper limit."""
    presence: Probability
    """Probability that the taxon is detected after."""


@dataclass(frozen=True)
class DriverTaxon(Documented):
    """A taxon that moves the model-implied difference."""

    taxon: str
    """Canonical name."""
    shap_change: float
    """Mean SHAP value in the stool expected after, minus that in the stool before, in log-odds."""


@dataclass(frozen=True)
class OutcomeChange(Documented):
    """One outcome model's predictions for the stool before the transplant, and for the stool expected after it.

    Where the model cannot tell, the probability after and the difference are null, and `reason` says why.
    """

    outcome: str
    """Id of the outcome."""
    definition: str
    """Clinical definition of the outcome."""
    model: ModelReference
    """The model."""
    probability_before: Probability | None
    """Calibrated probability with the recipient's stool before."""
    probability_after: Probability | None
    """Calibrated probability with the stool expected after."""
    difference: float | None
    """`probability_after` minus `probability_before`."""
    low: float | None
    """Lower end of the 95% interval of the difference."""
    high: float | None
    """Upper end of the interval."""
    reason: str | None
    """Why there is no difference; null where there is one."""
    unconfirmed_reason: str | None
    """That one of the two probabilities is not confirmed, so that no page shows the change, and no donor is put before
    another; else null."""
    drivers: tuple[DriverTaxon, ...]
    """The taxa that move the difference most."""
    trust: Trust
    """Whether the model applies to the stool after; to that before, if it abstains on that or learnt from either."""


@dataclass(frozen=True)
class DonorDifference(Documented):
    """The probability of one outcome after a transplant from this donor, minus that after one from another donor."""

    donor: str
    """The other donor."""
    outcome: str
    """Id of the outcome."""
    difference: float
    """Difference of the probabilities after."""
    low: float
    """Lower end of its interval; the intervals of all pairs of donors hold together at 95%."""
    high: float
    """Upper end of the interval."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ComparedDonor(Documented):
    """One donor."""

    donor: str
    """Name of the donor."""
    expected: tuple[ExpectedTaxon, ...]
    """Taxa expected at 0.1% or more, the most abundant first."""
    changes: tuple[OutcomeChange, ...]
    """Response and toxicity."""
    differences: tuple[DonorDifference, ...]
    """Differences from every other donor, of each outcome with a confirmed probability after from both."""
    indistinguishable_from: tuple[str, ...]
    """Donors from whom no outcome differs: every outcome has a difference from them, whose interval contains 0."""


@dataclass(frozen=True)
class ExcludedDonor(Documented):
    """A donor who was not compared."""

    donor: str
    """Name of the donor."""
    reason: str
    """Why not."""


@dataclass(frozen=True)
class LargestDifference:
    """The pair of donors whose probabilities of one outcome differ the most.

    `difference` is that of `donor` from another donor; `pairs` is how many pairs of donors are compared, `shown_pairs`
    how many of their intervals exclude 0.
    """

    donor: str
    difference: DonorDifference
    pairs: int
    shown_pairs: int

    @property
    def side(self) -> Side:
        """The side of the outcome: response or toxicity."""
        return side_of(self.difference.outcome)


@dataclass(frozen=True)
class DonorComparison(Documented):
    """Donors compared for one recipient."""

    donors: tuple[ComparedDonor, ...]
    """Donors cleared by screening; in the order of the response where there is an order, else by name."""
    ordered: bool
    """Whether the order of `donors` has a meaning."""
    no_order_reasons: tuple[str, ...]
    """Why there is no order; empty where there is."""
    excluded: tuple[ExcludedDonor, ...]
    """Donors who were not compared."""
    transplants: int
    """Transplants that the engraftment model learnt from."""
    training_donors: int
    """Donors of these transplants."""
    engraftment_method: str
    """What expects the stool after: the regression, or the baseline that came nearest to held-out stool."""
    beaten_baselines: tuple[str, ...]
    """Baselines that the regression beat with donors left out."""
    simulated: bool
    """Whether any of the models was trained on simulated patients."""
    meaning: str
    """How to read the differences."""

    @property
    def largest_differences(self) -> tuple[LargestDifference, ...]:
        """The largest difference between two donors, of each outcome that has any."""
        by_outcome: dict[str, list[tuple[str, DonorDifference]]] = {}
        for donor in self.donors:
            for difference in donor.differences:
                by_outcome.setdefault(difference.outcome, []).append((donor.donor, difference))
        return tuple(map(_largest_difference, by_outcome.values()))


def _largest_difference(differences: list[tuple[str, DonorDifference]]) -> LargestDifference:
    """Return the largest of one outcome's differences, which are listed from both donors of a pair."""
    donor, largest = max(differences, key=lambda item: abs(item[1].difference))
    n_shown = sum(difference.is_shown for _, difference in differences)
    return LargestDifference(donor, largest, len(differences) // 2, n_shown // 2)
