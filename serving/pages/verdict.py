"""The verdict on one predicted outcome: where the chance lies, how strong the evidence is, what drives it. Fixed rules.

The template `verdict.jinja` states it in a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.evidence import EventRate, Evidence
from serving.pages.drawings.waterfall import Step, Waterfall

Chance = Literal[
    "no prediction", "training patient", "indistinct", "contradicted", "below average", "about average", "above average"
]
"""Level of the predicted probability beside the rate of the training patients, or why no level is stated."""
Strength = Literal["weak", "moderate", "strong"]

MIN_DIFFERENCE = 0.15
"""Difference from the cohorts' rate from which a chance is above or below average."""
MIN_CHANGE = 0.01
"""Change of the probability by a group of features below which the group is negligible."""
STRONG_AUROC = 0.7
"""Lower end of the AUROC's interval in unseen cohorts from which the evidence is strong."""


@dataclass(frozen=True)
class Driver:
    """Of the groups of features that push the probability the way the whole prediction moves, the one that pushes most.

    Attributes
    ----------
    name, block : str
    level : {'high', 'low'} or None
        Whether the patient's measurement lies above or below the median of the training patients; None where the
        group has several measurements on both sides, or the training quartiles are not reported.
    raises : bool
        Whether it raises the probability.
    """

    name: str
    block: str
    level: Literal["high", "low"] | None
    raises: bool


@dataclass(frozen=True)
class OutcomeVerdict:
    """The verdict on one predicted outcome.

    Attributes
    ----------
    chance : Chance
    probability : float or None
        None where the model abstains, learnt from the patient, or predicts nearly the same for every patient.
    similar : EventRate or None
        Outcomes of the held-out patients with a similar probability.
    rate : float or None
        Rate in the training cohorts.
    strength : Strength
    lacks_recipients : bool
        Whether the patient received a transplant, and no training patient of the model did.
    from_loco : bool
        Whether the evidence comes from held-out cohorts, not only from held-out patients of the training cohorts.
    beats_chance : bool or None
        As in `Evidence`.
    driver : Driver or None
    """

    chance: Chance
    probability: float | None
    similar: EventRate | None
    rate: float | None
    strength: Strength
    lacks_recipients: bool
    from_loco: bool
    beats_chance: bool | None
    driver: Driver | None


def outcome_verdict(
    probability: float | None,
    similar: EventRate | None,
    rate: float | None,
    evidence: Evidence,
    waterfall: Waterfall | None,
    *,
    in_training_set: bool = False,
    is_recipient: bool = False,
) -> OutcomeVerdict:
    """Return the verdict on one predicted outcome.

    A chance is above or below average where the predicted probability is; it is contradicted where the held-out
    patients with a similar probability lie on the other side of the average.

    Parameters
    ----------
    probability : float or None
        None where the model abstains.
    similar : EventRate or None
        Outcomes of the held-out patients with a similar probability.
    rate : float or None
        Rate in the training cohorts.
    evidence : Evidence
    waterfall : Waterfall or None
        None where the model abstains.
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
    elif rate is None or abs(probability - rate) < MIN_DIFFERENCE:
        chance = "about average"
    elif _contradicts(similar, probability, rate):
        chance = "contradicted"
    else:
        chance = "above average" if probability > rate else "below average"
    distinct = chance not in {"no prediction", "training patient", "indistinct"}
    return OutcomeVerdict(
        chance=chance,
        probability=probability if distinct else None,
        similar=similar if distinct else None,
        rate=rate,
        strength=_strength(evidence),
        lacks_recipients=is_recipient and _has_no_recipients(evidence),
        from_loco=evidence.scheme == "loco",
        beats_chance=evidence.beats_chance,
        driver=_driver(waterfall) if distinct and waterfall else None,
    )


def _contradicts(similar: EventRate | None, probability: float, rate: float) -> bool:
    """Return whether the held-out patients with a similar probability lie on the other side of the cohorts' rate."""
    return similar is not None and similar.rate is not None and (similar.rate - rate) * (probability - rate) <= 0


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


def _strength(evidence: Evidence) -> Strength:
    if evidence.beats_chance is not True:
        return "weak"
    low = evidence.held_out_auroc.low
    return "strong" if evidence.scheme == "loco" and low is not None and low >= STRONG_AUROC else "moderate"


def _driver(waterfall: Waterfall) -> Driver | None:
    """Return the group that pushes most, of those that push the way the whole prediction moves; None without any."""
    rises = waterfall.stop > waterfall.start
    steps = [step for step in waterfall.steps if step.name and (step.change > 0) == rises]
    step = max(steps, key=lambda item: abs(item.change), default=None)
    return None if step is None else Driver(step.name, step.block, _level(step), step.change > 0)


def _level(step: Step) -> Literal["high", "low"] | None:
    """Return the side of the median on which the largest features of a step lie whose values push as the step does."""
    levels: set[Literal["high", "low"]] = set()
    for item in step.features:
        if item.value is None or item.strip is None or (item.shap > 0) != (step.shap > 0):
            continue
        levels.add("high" if item.value > item.strip.typical else "low")
    return levels.pop() if len(levels) == 1 else None
