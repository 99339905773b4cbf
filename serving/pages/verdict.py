"""The verdict on one predicted outcome: where the chance lies, how strong the evidence is, what drives it. Fixed rules.

The template `verdict.jinja` states it in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.confirmation import Agreement, agreement, group_probability, page_probability
from models.evidence import (
    Evidence,
    ExternalValidation,
    HeldOutUnit,
    ProbabilityGroup,
    Strength,
    contradicting_cohorts,
    evidence_strength,
    held_out_unit,
)
from serving.number_text import distinct_digits
from serving.pages.drawings.strip import Level
from serving.pages.drawings.waterfall import Step, Waterfall

Chance = Literal[
    "no prediction",
    "training patient",
    "indistinct",
    "not compared",
    "contradicted",
    "below average",
    "about average",
    "above average",
]
"""Level of the predicted probability beside the rate of the training patients, or why no level is stated."""

MIN_CHANGE = 0.01
"""Change of the probability by a group of features below which the group is negligible."""


@dataclass(frozen=True)
class Driver:
    """A group of features that moves the probability most.

    Attributes
    ----------
    name, block : str
    level : Level or None
        Where the patient's measurement lies beside the middle half of the training patients; None where several
        measurements of the group lie in different places, or the training quartiles are not reported.
    raises : bool
        Whether it raises the probability.
    """

    name: str
    block: str
    level: Level | None
    raises: bool


@dataclass(frozen=True)
class OutcomeVerdict:
    """The verdict on one predicted outcome.

    Attributes
    ----------
    chance : Chance
    probability : float or None
        None where the model abstains, learnt from the patient, or predicts nearly the same for every patient.
    similar : ProbabilityGroup or None
        The held-out patients with a similar probability, and their outcomes.
    agreement : Agreement or None
        As `agreement` returns.
    rate : float or None
        Rate in the training cohorts.
    strength : Strength
    lacks_recipients : bool
        Whether the patient received a transplant, and no training patient of the model did.
    held_out : HeldOutUnit
        What was held out to measure the evidence.
    contradicted_by : tuple of str
        Titles of the cohorts, which the model had not seen, whose validation contradicts it.
    beats_chance : bool or None
        As in `Evidence`.
    drivers : tuple of Driver
        First, of the groups that push the way the whole prediction moves, the one that pushes most; then all others
        that push as much in whole points, or more, in either direction.
    """

    chance: Chance
    probability: float | None
    similar: ProbabilityGroup | None
    agreement: Agreement | None
    rate: float | None
    strength: Strength
    lacks_recipients: bool
    held_out: HeldOutUnit
    contradicted_by: tuple[str, ...]
    beats_chance: bool | None
    drivers: tuple[Driver, ...]

    @property
    def is_beyond_limits(self) -> bool:
        """Whether pages state a limit in place of the probability."""
        return self.probability is not None and page_probability(self.probability) != self.probability

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the held-out patients with a similar probability contradict it."""
        return self.agreement in {"above", "below"}

    @property
    def digits(self) -> int:
        """Decimals of the percents with which what was predicted and the training rate lie where the verdict says.

        Where whole percents would put either inside the interval of the held-out patients, which does not contain it,
        a decimal tells why.
        """
        if self.similar is None or self.probability is None:
            return 0
        interval = self.similar.outcomes
        predicted = page_probability(group_probability(self.probability, self.similar))
        numbers = [predicted, *([] if self.rate is None else [self.rate])]
        pairs = [(number, interval.low) for number in numbers if number < interval.low]
        pairs += [(number, interval.high) for number in numbers if number > interval.high]
        return max((distinct_digits(*pair) for pair in pairs), default=0)


def outcome_verdict(
    probability: float | None,
    similar: ProbabilityGroup | None,
    rate: float | None,
    evidence: Evidence,
    waterfall: Waterfall | None,
    *,
    external_validations: Sequence[ExternalValidation] = (),
    in_training_set: bool = False,
    is_recipient: bool = False,
) -> OutcomeVerdict:
    """Return the verdict on one predicted outcome.

    The held-out patients with a similar probability decide the level: above or below average where the exact 95%
    interval of their rate lies above or below the rate of the training patients, about average where it contains that
    rate or lies on the other side than the patient's own probability, contradicted where it lies on the other side than
    their mean probability and does not agree with it. Without such patients there is no level.

    Parameters
    ----------
    probability : float or None
        None where the model abstains.
    similar : ProbabilityGroup or None
        The held-out patients with a similar probability, and their outcomes.
    rate : float or None
        Rate in the training cohorts.
    evidence : Evidence
    waterfall : Waterfall or None
        None where the model abstains.
    external_validations : sequence of ExternalValidation
        Validations of the model on cohorts that it had not seen.
    in_training_set : bool
        Whether the model learnt from the patient, so that its probability repeats the outcome.
    is_recipient : bool
        Whether the patient received a fecal transplant.
    """
    chance: Chance
    if probability is None or waterfall is None:
        chance = "no prediction"
    elif in_training_set:
        chance = "training patient"
    elif is_indistinct(waterfall):
        chance = "indistinct"
    elif similar is None or rate is None:
        chance = "not compared"
    else:
        chance = _level(similar, probability, rate)
    distinct = chance not in {"no prediction", "training patient", "indistinct"}
    return OutcomeVerdict(
        chance=chance,
        probability=probability if distinct else None,
        similar=similar if distinct else None,
        agreement=agreement(probability, similar) if distinct else None,
        rate=rate,
        strength=evidence_strength(evidence, external_validations),
        lacks_recipients=is_recipient and _has_no_recipients(evidence),
        held_out=held_out_unit(evidence),
        contradicted_by=contradicting_cohorts(external_validations),
        beats_chance=evidence.beats_chance,
        drivers=_drivers(waterfall) if distinct and waterfall else (),
    )


def _level(similar: ProbabilityGroup, probability: float, rate: float) -> Chance:
    if similar.outcomes.low <= rate <= similar.outcomes.high:
        return "about average"
    is_above = similar.outcomes.low > rate
    is_predicted_above = group_probability(probability, similar) > rate
    # Beyond a limit of pages, a mean on the other side of the rate may still agree with the interval.
    if is_above != is_predicted_above and agreement(probability, similar) != "inside":
        return "contradicted"
    # Near an end of the band, this patient was predicted on the other side of the rate than the band on average.
    if is_above != (probability > rate):
        return "about average"
    return "above average" if is_above else "below average"


def is_indistinct(waterfall: Waterfall) -> bool:
    """Return whether no group of features moves the probability by `MIN_CHANGE`, nor all of them by twice as much."""
    total = abs(waterfall.stop - waterfall.start)
    return total < 2 * MIN_CHANGE and all(abs(step.change) < MIN_CHANGE for step in waterfall.steps)


def _has_no_recipients(evidence: Evidence) -> bool:
    """Return whether day 0 of no training cohort is a transplant; False for old bundles, which keep no cohorts."""
    transplant = [
        cohort.clock == "day_fmt" or "transplant" in cohort.index_event.casefold() for cohort in evidence.cohorts
    ]
    return bool(transplant) and not any(transplant)


def _drivers(waterfall: Waterfall) -> tuple[Driver, ...]:
    """Return the group that pushes most the way the whole prediction moves, and those that push as much or more."""
    rises = waterfall.stop > waterfall.start
    steps = sorted((step for step in waterfall.steps if step.name), key=lambda step: -abs(step.change))
    main = next((step for step in steps if (step.change > 0) == rises), None)
    if main is None:
        return ()
    as_large = [step for step in steps if step is not main and _whole_points(step) >= _whole_points(main)]
    return tuple(Driver(step.name, step.block, _level_of(step), step.change > 0) for step in (main, *as_large))


def _whole_points(step: Step) -> int:
    return round(100 * abs(step.change))


def _level_of(step: Step) -> Level | None:
    """Return the level at which the largest features of a step lie whose values push as the step does."""
    levels: set[Level] = set()
    for item in step.features:
        if item.value is None or item.strip is None or (item.shap > 0) != (step.shap > 0):
            continue
        # What cannot be drawn on a logarithmic strip is 0.
        levels.add(item.strip.level or "low")
    return levels.pop() if len(levels) == 1 else None
