"""Donors compared for one recipient: the stool expected after a transplant from each, and predictions for it.

The estimate of an outcome is the mean log-odds of random profiles after, drawn from the engraftment model; only the
stool changes, blood and clinical data stay. Its interval comes from the training transplants: for each, the log-odds of
the profile that was observed after lie some distance from the estimate by a model that knew neither its recipient nor
its donor. The root mean square of these distances, times Student's quantile, is half the interval. Transplants from one
donor err alike, so that the degrees of freedom are the donors that were left out, not the transplants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import t

from features.arrays import Matrix, Vector
from features.errors import InputError
from features.outcomes import is_toxicity, side_of
from features.transplants import aligned_to, require_one_profiler
from models.applicability import assess_applicability
from models.confirmation import unconfirmed_change
from models.donors.differences import donor_differences
from models.donors.records import (
    ComparedDonor,
    DonorComparison,
    DonorDifference,
    DriverTaxon,
    ExcludedDonor,
    ExpectedTaxon,
    OutcomeChange,
)
from models.encoder import BlockEncoder
from models.engraftment import EngraftmentBundle, EngraftmentModel, ExpectedProfile, HeldOutTransplants
from models.engraftment.model import Method
from models.patient_input import Candidate, ModelInput, StoolProfile, closed_proportions
from models.predict import ModelsByOutcome, ServedModel, select_model
from models.prediction import LEARNT_FROM_PATIENT, Trust, domain_reasons

MEANING = (
    "a model-implied difference, not an effect of transplant: the outcome models learnt from stool before treatment, "
    "and are asked here about stool that was never observed"
)
"""What every comparison states."""
STOOL_AFTER_LEARNT = (
    "the stool expected after a transplant is that of a training patient, whose outcome the probability would repeat"
)
"""Why there is no difference to a stool after that the outcome model learnt from."""
DRAWS = 100
"""Random profiles after, for each donor."""
N_DRIVERS = 5
"""Taxa listed as drivers of a difference."""
MIN_LISTED = 0.001
"""Proportion from which a taxon is listed in an expected profile."""


_STOOL_EXPECTED: dict[Method, str] = {
    "regression": "what the regression predicts",
    "recipient unchanged": "no change of the recipient's stool",
    "donor copied": "the donor's stool",
    "their mean": "half the recipient's and half the donor's stool",
    "mean of others after": "the mean of other recipients' stool after",
}
"""What is expected after a transplant, by method."""


@dataclass(frozen=True)
class DonorStool:
    """A donor who may be compared.

    Attributes
    ----------
    name : str
    profile : StoolProfile
    exclusion : str or None
        Why the donor is not compared: not cleared by screening, or without a detected taxon; None for one who is.
    """

    name: str
    profile: StoolProfile
    exclusion: str | None = None


def compare_donors(
    bundle: EngraftmentBundle,
    models: ModelsByOutcome,
    candidate: Candidate,
    donors: Sequence[DonorStool],
) -> DonorComparison:
    """Compare donors for one recipient.

    Parameters
    ----------
    bundle : EngraftmentBundle
    models : ModelsByOutcome
        Models of each outcome, best first; of each side (response, toxicity) the first outcome counts.
    candidate : Candidate
        The recipient, with stool.
    donors : sequence of DonorStool

    Raises
    ------
    InputError
        The recipient has no stool, profiles were made by different profilers, no donor was cleared by screening, or
        two donors have one name.
    """
    # A transplant follows the last stool, whatever a model of an earlier landmark would read.
    candidate = replace(candidate, earlier=())
    stool = candidate.taxa
    if stool is None:
        raise InputError("taxa: donors are compared by what becomes of the recipient's stool; send a stool profile")
    cleared = [donor for donor in donors if donor.exclusion is None]
    _check_donors(donors, cleared)
    profilers = {"the engraftment model": bundle.evidence.profiler, "the recipient": stool.profiler}
    require_one_profiler(profilers | {f"donor {donor.name}": donor.profile.profiler for donor in cleared})
    transplants = _Transplants.from_profiles(bundle, candidate, stool, [donor.profile for donor in cleared])
    outcome_models = [_OutcomeModel(transplants, served) for served in _taxa_models(models, candidate)]
    profiles = [transplants.expect(i) for i in range(len(cleared))]
    changes = [tuple(outcome.change(profile) for outcome in outcome_models) for profile in profiles]
    names = [donor.name for donor in cleared]
    by_outcome = zip(*changes, strict=True)
    differences = [model.differences(names, column) for model, column in zip(outcome_models, by_outcome, strict=True)]
    compared = [
        _compared_donor(name, transplants.expected_taxa(i, profiles[i]), changes[i], differences)
        for i, name in enumerate(names)
    ]
    reasons = _no_order_reasons(bundle, outcome_models, changes)
    compared.sort(key=(lambda item: item.donor) if reasons else _negative_response)
    return DonorComparison(
        donors=tuple(compared),
        ordered=not reasons,
        no_order_reasons=reasons,
        excluded=tuple(ExcludedDonor(donor.name, donor.exclusion) for donor in donors if donor.exclusion),
        transplants=bundle.evidence.transplants,
        training_donors=bundle.evidence.donors,
        engraftment_method=bundle.model.method,
        beaten_baselines=_beaten_baselines(bundle),
        simulated=bundle.evidence.simulated or any(item.served.model.simulated for item in outcome_models),
        meaning=MEANING,
    )


@dataclass(frozen=True)
class _Transplants:
    """The profiles of one comparison on common taxa: those of the model, the recipient and the donors."""

    model: EngraftmentModel
    candidate: Candidate
    stool: StoolProfile
    recipient: Vector
    donors: Matrix
    held_out: HeldOutTransplants

    @classmethod
    def from_profiles(
        cls, bundle: EngraftmentBundle, candidate: Candidate, stool: StoolProfile, donors: Sequence[StoolProfile]
    ) -> _Transplants:
        proportions = [closed_proportions(profile) for profile in (stool, *donors)]
        model = bundle.model.with_taxa([name for profile in proportions for name in profile])
        rows = np.array([[profile.get(taxon, 0.0) for taxon in model.taxa] for profile in proportions])
        return cls(model, candidate, stool, rows[0], rows[1:], bundle.held_out)

    def expect(self, i: int) -> ExpectedProfile:
        return self.model.expect(self.recipient, self.donors[i])

    def draws(self, profile: ExpectedProfile, seed: int = 0) -> Matrix:
        """Return random profiles after the transplant, (n_draws, n_taxa); one profile where a baseline predicts."""
        if self.model.method != "regression":
            return profile.proportion[None]
        return profile.draws(DRAWS, np.random.default_rng(seed))

    def expected_taxa(self, i: int, profile: ExpectedProfile) -> tuple[ExpectedTaxon, ...]:
        low, high = profile.limits()
        order = np.argsort(-profile.proportion, kind="stable")
        columns = np.stack(
            [self.recipient, self.donors[i], profile.proportion, low, high, profile.presence], axis=1
        ).tolist()
        return tuple(
            ExpectedTaxon(self.model.taxa[j], *columns[j])
            for j in order.tolist()
            if profile.proportion[j] >= MIN_LISTED
        )


class _OutcomeModel:
    """One outcome model, which predicts for stool profiles together with the recipient's other measurements."""

    def __init__(self, transplants: _Transplants, served: ServedModel) -> None:
        self.transplants = transplants
        self.served = served
        self.model_input = served.model.model_input(transplants.candidate)

    @property
    def _encoder(self) -> BlockEncoder:
        return self.served.model.encoder

    def _encoded(self, profiles: Matrix, taxa: Sequence[str]) -> Matrix:
        values = {name: np.repeat(row, len(profiles), axis=0) for name, row in self.model_input.values.items()}
        values["taxa"] = aligned_to(self._encoder.names_["taxa"], taxa, profiles)
        return self._encoder.encode(values)

    def _log_odds(self, profiles: Matrix) -> Vector:
        # The training profiles lack the taxa that only the recipient or a donor has, which come last.
        n_known = profiles.shape[1]
        return self.served.model.predictor.margin(self._encoded(profiles, self.transplants.model.taxa[:n_known]))

    @cached_property
    def _error(self) -> float:
        """Root mean square of the errors of the log-odds after, of the held-out training transplants."""
        transplants = self.transplants
        estimates = [
            self._log_odds(transplants.draws(profile, seed)).mean()
            for seed, profile in enumerate(transplants.held_out.profiles)
        ]
        residuals = self._log_odds(transplants.held_out.stool_after) - np.array(estimates)
        return float(np.sqrt((residuals**2).mean()))

    def differences(self, donors: Sequence[str], changes: Sequence[OutcomeChange]) -> dict[str, list[DonorDifference]]:
        """Return the differences between donors whose changes have a confirmed probability after, by donor."""
        probabilities = [
            (donor, change.probability_after)
            for donor, change in zip(donors, changes, strict=True)
            if change.probability_after is not None and change.unconfirmed_reason is None
        ]
        if not probabilities:
            return {}
        model = self.served.model
        error = abs(model.calibration.slope) * self._error
        return donor_differences(model.outcome, probabilities, error, self.transplants.held_out.units)

    def change(self, profile: ExpectedProfile) -> OutcomeChange:
        """Return the change from the prediction for the stool before to that for an expected profile."""
        model, transplants = self.served.model, self.transplants
        now = self._encoded(transplants.recipient[None], transplants.model.taxa)
        trust_now = assess_applicability(model, transplants.candidate, self.model_input, now).trust
        is_final = trust_now.verdict == "abstain" or trust_now.in_training_set
        trust = trust_now if is_final else self._trust(profile)
        reason = self._reason(trust)
        if trust.in_training_set and not is_final:
            # The stool after is a training patient's, as a donor's may be; of the recipient the model learnt nothing.
            trust, reason = trust_now, STOOL_AFTER_LEARNT
        log_odds_now = float(model.predictor.margin(now)[0])
        probability_now = None if trust_now.verdict == "abstain" else self._probability(log_odds_now)
        stool_after = "the stool expected after a transplant"
        change = OutcomeChange(
            outcome=model.outcome,
            definition=model.evidence.definition,
            model=self.served.reference,
            probability_before=probability_now,
            probability_after=None,
            difference=None,
            low=None,
            high=None,
            reason=reason,
            unconfirmed_reason=(
                None if trust_now.in_training_set else unconfirmed_change(model, probability_now, None, stool_after)
            ),
            drivers=(),
            trust=trust,
        )
        if reason is not None or probability_now is None:
            return change
        draws = self._encoded(transplants.draws(profile), transplants.model.taxa)
        log_odds = float(model.predictor.margin(draws).mean())
        probability_after = self._probability(log_odds)
        half_width = t.ppf(0.975, transplants.held_out.units) * self._error
        ends = (self._probability(log_odds + side * half_width) - probability_now for side in (-1, 1))
        low, high = sorted(ends)
        return replace(
            change,
            probability_after=probability_after,
            difference=probability_after - probability_now,
            low=low,
            high=high,
            unconfirmed_reason=unconfirmed_change(model, probability_now, probability_after, stool_after),
            drivers=self._drivers(now, draws),
        )

    def _probability(self, log_odds: float) -> float:
        return float(self.served.model.calibration.probability(np.array(log_odds)))

    def _reason(self, trust: Trust) -> str | None:
        """Return why the model has no difference to report."""
        if trust.verdict == "abstain":
            return f"the model abstains: {'; '.join(domain_reasons(trust, self.served.model.evidence))}"
        if trust.in_training_set:
            return LEARNT_FROM_PATIENT
        if self.served.model.calibration.slope == 0:
            return "the model gives every patient the same probability, and cannot tell donors apart"
        return None

    def _trust(self, profile: ExpectedProfile) -> Trust:
        """Return whether the model applies to the stool expected after, as the taxa that are more likely than not."""
        transplants = self.transplants
        proportions = np.where(profile.presence >= 0.5, profile.proportion, 0.0)
        if not proportions.any():
            proportions = profile.proportion
        positions = np.flatnonzero(proportions).tolist()
        total = float(proportions.sum())
        values = {transplants.model.taxa[j]: float(proportions[j]) / total for j in positions}
        stool = StoolProfile(values, "proportions", transplants.stool.profiler)
        hypothetical = replace(transplants.candidate, taxa=stool)
        model_input: ModelInput = self.served.model.model_input(hypothetical)
        encoded = self._encoder.encode(model_input.values)
        return assess_applicability(self.served.model, hypothetical, model_input, encoded).trust

    def _drivers(self, now: Matrix, draws: Matrix) -> tuple[DriverTaxon, ...]:
        predictor = self.served.model.predictor
        change = predictor.contributions(draws)[0].mean(axis=0) - predictor.contributions(now)[0][0]
        # One taxon may be several features, such as its log-ratio and its presence.
        by_taxon: dict[str, float] = {}
        for feature, share in zip(self._encoder.features_, change.tolist(), strict=True):
            if feature.block == "taxa":
                by_taxon[feature.name] = by_taxon.get(feature.name, 0.0) + share
        largest = sorted(by_taxon.items(), key=lambda item: -abs(item[1]))
        return tuple(DriverTaxon(name, share) for name, share in largest[:N_DRIVERS] if share)


def _taxa_models(models: ModelsByOutcome, candidate: Candidate) -> list[ServedModel]:
    """Return the model of the first response and of the first toxicity, among those that read taxa.

    A model of the donor block learnt from recipients of known donors, by distances that this comparison changes.
    """
    readers = {
        outcome: [served for served in ranked if "taxa" in served.model.blocks and "donor" not in served.model.blocks]
        for outcome, ranked in models.items()
    }
    outcomes = [
        next((outcome for outcome, ranked in readers.items() if ranked and is_toxicity(outcome) == toxic), None)
        for toxic in (False, True)
    ]
    return [select_model(readers[outcome], candidate).served for outcome in outcomes if outcome is not None]


def _check_donors(donors: Sequence[DonorStool], cleared: Sequence[DonorStool]) -> None:
    names = [donor.name for donor in donors]
    if twin := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"donors: {twin!r} is sent twice; send each donor once, with one stool profile")
    if not cleared:
        reasons = "; ".join(f"{donor.name}: {donor.exclusion}" for donor in donors) or "none was sent"
        raise InputError(f"donors: expected at least one donor cleared by screening, got none ({reasons})")


def _no_order_reasons(
    bundle: EngraftmentBundle, outcome_models: Sequence[_OutcomeModel], changes: Sequence[tuple[OutcomeChange, ...]]
) -> tuple[str, ...]:
    validation, reasons = bundle.evidence.donors_left_out, []
    if validation is None:
        reasons.append("the engraftment model learnt from too few donors to leave each out in turn")
    elif not validation.beats_all or bundle.model.method != "regression":
        missed = [item.method for item in validation.methods[1:] if item.method not in validation.beaten_baselines]
        rivals = ", or ".join(_STOOL_EXPECTED[method] for method in missed) or "each that was tried"
        reasons.append(
            "tested on donors who were left out, the regression is not shown to predict the stool after a transplant "
            f"better than a simple expectation: {rivals}. Expected here: {_STOOL_EXPECTED[bundle.model.method]}"
        )
    outcomes = [item.served.model.outcome for item in outcome_models]
    for side, is_of_side in (("response", False), ("toxicity", True)):
        if not any(is_toxicity(outcome) == is_of_side for outcome in outcomes):
            reasons.append(f"no model of {side} that reads taxa, and not the donor block, is served")
    reasons += [
        f"the model of {side_of(item.served.model.outcome)} is not promoted"
        for item in outcome_models
        if item.served.alias.partition("-")[0] != "champion"
    ]
    silent = {change.outcome for donor_changes in changes for change in donor_changes if change.difference is None}
    reasons += [
        f"the model of {side_of(outcome)} has no difference to report for a donor" for outcome in sorted(silent)
    ]
    unconfirmed = (change.unconfirmed_reason for donor_changes in changes for change in donor_changes)
    return (*reasons, *dict.fromkeys(reason for reason in unconfirmed if reason))


def _response(changes: Sequence[OutcomeChange]) -> OutcomeChange | None:
    return next((change for change in changes if not is_toxicity(change.outcome)), None)


def _negative_response(donor: ComparedDonor) -> float:
    change = _response(donor.changes)
    return -(change.difference or 0.0) if change else 0.0


def _compared_donor(
    name: str,
    expected_taxa: tuple[ExpectedTaxon, ...],
    changes: tuple[OutcomeChange, ...],
    differences: Sequence[Mapping[str, Sequence[DonorDifference]]],
) -> ComparedDonor:
    """Return one donor of a comparison; `differences` are those of each outcome, by donor."""
    donor_pairs = [item for outcome in differences for item in outcome.get(name, ())]
    # Of an outcome without a difference between two donors, nothing says that they are alike.
    n_alike = Counter(item.donor for item in donor_pairs if not item.is_shown)
    return ComparedDonor(
        name,
        expected_taxa,
        changes,
        tuple(donor_pairs),
        tuple(donor for donor, n_outcomes in n_alike.items() if n_outcomes == len(differences)),
    )


def _beaten_baselines(bundle: EngraftmentBundle) -> tuple[str, ...]:
    validation = bundle.evidence.donors_left_out
    return validation.beaten_baselines if validation else ()
