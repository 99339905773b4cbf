"""Predictions for a candidate with some measurements changed: association, not the effect of a change.

Chosen measurements are put to the median of the training patients, or taxa to the proportion that is expected after a
transplant; all others stay. Taxa that are not chosen keep their ratios to each other, so that the profile still sums
to 1. The same path as `models.predict` then predicts for the changed candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from features.analytes import immune_column
from features.columns import Column
from features.errors import InputError
from features.measured_values import MeasuredValue
from features.transforms import genus_of
from features.transplants import require_one_profiler
from features.units import ImmuneUnit
from models.confirmation import unconfirmed_change
from models.engraftment import EngraftmentBundle, expect_by_name
from models.evidence import Distributions, Documented, LevelDistribution, NumericDistribution, TaxonDistribution
from models.patient_input import Candidate, Measurement, StoolProfile, closed_proportions
from models.predict import ModelsByOutcome, ServedModel, predict, select_model
from models.prediction import (
    LEARNT_FROM_PATIENT,
    ModelReference,
    Prediction,
    Probability,
    ReportedValue,
    Trust,
    reservations,
)

PROPORTION = "proportion"
"""Unit of a taxon."""
MEANING = (
    "association, not effect: what the models predict for a patient who differs from this one in these measurements "
    "alone. It does not say what would happen if a treatment changed them"
)
"""What every comparison states."""


@dataclass(frozen=True)
class ChangedMeasurement(Documented):
    """One measurement that was put to another value."""

    column: str
    """Its block and name, such as taxa:Coprococcus_comes or immune:IL-6."""
    unit: str
    """Unit of both values: that of an analyte, "proportion" of a taxon, empty for a clinical number."""
    before: float | None
    """The candidate's own; null where it is missing, lies beyond a limit of its assay, or no model predicts."""
    reported: ReportedValue | None
    """The candidate's own measurement where it lies beyond a limit, or is extrapolated; null for all others."""
    after: float
    """The value in its place."""
    patients: int
    """Training patients of the median, or transplants from which the stool after was learnt."""


@dataclass(frozen=True)
class ProbabilityShift(Documented):
    """What the model of one outcome predicts for the candidate, and for the changed one.

    The difference has no interval, since it is exact arithmetic of the model, not an estimate of an effect.
    """

    outcome: str
    """Id of the outcome."""
    model: ModelReference
    """The model, which predicts both."""
    probability_before: Probability | None
    """Calibrated probability for the candidate; null where the model abstains."""
    probability_after: Probability | None
    """Calibrated probability for the changed candidate; null where there is no difference."""
    difference: float | None
    """`probability_after` minus `probability_before`; null for `reason`."""
    reason: str | None
    """Why there is no difference; null where there is one."""
    unconfirmed_reason: str | None
    """That one of the two probabilities is not confirmed, so that no page shows the difference; else null."""
    trust: Trust
    """Whether the model applies to the changed candidate; where there is no difference, to the candidate."""


@dataclass(frozen=True)
class WhatIf(Documented):
    """The candidate compared with one who has other measurements."""

    changes: tuple[ChangedMeasurement, ...]
    """The measurements that differ."""
    shifts: tuple[ProbabilityShift, ...]
    """One for each outcome."""
    meaning: str
    """How to read the differences."""


@dataclass(frozen=True)
class StoolAfter:
    """The stool expected after a transplant: proportions by taxon, and the transplants it was learnt from."""

    proportions: Mapping[str, float]
    transplants: int


@dataclass(frozen=True)
class Target:
    """The value that a measurement is put to; `patients` and `unit` as in `ChangedMeasurement`."""

    column: Column
    value: float
    unit: str
    patients: int


def expected_stool(bundle: EngraftmentBundle, candidate: Candidate, donor: StoolProfile) -> StoolAfter:
    """Return the stool expected after a transplant: the taxa that are more likely than not to be detected.

    Raises
    ------
    InputError
        The candidate has no stool, or profiles were made by different profilers.
    """
    if candidate.taxa is None:
        raise InputError("taxa: what is expected after a transplant depends on the recipient's stool; send a profile")
    profilers = {"the engraftment model": bundle.evidence.profiler, "the recipient": candidate.taxa.profiler}
    require_one_profiler(profilers | {"the donor": donor.profiler})
    taxa, profile = expect_by_name(bundle.model, closed_proportions(candidate.taxa), closed_proportions(donor))
    likely = np.where(profile.presence >= 0.5, profile.proportion, 0.0).tolist()
    return StoolAfter(dict(zip(taxa, likely, strict=True)), bundle.evidence.transplants)


def what_if(
    models: ModelsByOutcome,
    candidate: Candidate,
    names: Sequence[str],
    stool_after: StoolAfter | None = None,
) -> WhatIf:
    """Compare a candidate with one some of whose measurements are typical, or as expected after a transplant.

    Parameters
    ----------
    models : ModelsByOutcome
    candidate : Candidate
    names : sequence of str
        What is changed, as `block:name`: a taxon or all taxa of a genus, an analyte, or a clinical number.
    stool_after : StoolAfter, optional
        Puts the taxa to the stool after a transplant instead of the medians of the training patients.

    Raises
    ------
    InputError
        A value of the candidate cannot be read, a name is not known, or a median of it is not reported.
    """
    selected = [select_model(ranked, candidate) for ranked in models.values()]
    if selected:
        # The visit that the first outcome's model reads is the one that is changed.
        candidate = replace(selected[0].candidate, earlier=())
    served = [item.served for item in selected]
    predictions = [predict([model], candidate) for model in served]
    present = closed_proportions(candidate.taxa) if candidate.taxa else {}
    targets: dict[Column, Target] = {}
    for name in dict.fromkeys(names):
        column = Column.parse(name)
        if column is None:
            raise InputError(f"changes: expected block:name, such as taxa:Coprococcus or immune:IL-6, got {name!r}")
        if column.block == "taxa" and candidate.taxa is None:
            raise InputError(f"changes: {name} belongs to a stool profile; send 'taxa', or leave it out")
        if stool_after is None:
            named_targets = median_targets(training_distributions(served), column)
        else:
            named_targets = _targets_after(stool_after, column, present)
        if not named_targets:
            raise InputError(_no_target(name, stool_after))
        targets |= {target.column: target for target in named_targets}
    hypothetical = _changed_candidate(candidate, present, list(targets.values()))
    return WhatIf(
        tuple(_changed_measurement(target, present, predictions) for target in targets.values()),
        tuple(_shift(model, prediction, hypothetical) for model, prediction in zip(served, predictions, strict=True)),
        MEANING,
    )


def training_distributions(served: Sequence[ServedModel]) -> list[Distributions]:
    """Return the training distributions of the models that keep any."""
    return [item.model.validation.distributions for item in served if item.model.validation is not None]


def median_targets(distributions: Sequence[Distributions], column: Column) -> list[Target]:
    """Return the measurements that a name stands for, at their medians in the first distributions that report them.

    Parameters
    ----------
    distributions : sequence of Distributions
    column : Column
        A taxon or a genus, an analyte, or a clinical number.
    """
    for distribution in distributions:
        targets = _median_taxa(distribution, column) or _median_number(distribution, column)
        if targets:
            return targets
    return []


def _median_taxa(distribution: Distributions, column: Column) -> list[Target]:
    if column.block != "taxa":
        return []
    return [
        Target(Column("taxa", name), median, PROPORTION, distribution.patients)
        for name, item in distribution.taxa.items()
        if _is_part(name, column) and (median := _median_of_all(item)) is not None
    ]


def _median_of_all(distribution: TaxonDistribution) -> float | None:
    """Return the median proportion of all training patients, of whom those without the taxon have 0.

    Where more than half carry it, it is a quantile of the carriers, interpolated between the reported logarithms; None
    below the lowest that is reported. A taxon without a median keeps its proportion.
    """
    if distribution.prevalence <= 0.5:
        return 0.0
    reported = sorted((level, quantile) for level, quantile in (distribution.quantiles or {}).items() if quantile)
    level = 100 * (distribution.prevalence - 0.5) / distribution.prevalence
    if not reported or level < reported[0][0]:
        return None
    levels, quantiles = np.array(reported).T
    return float(np.exp(np.interp(level, levels, np.log(quantiles))))


def _median_number(distribution: Distributions, column: Column) -> list[Target]:
    numbers: dict[str, NumericDistribution | LevelDistribution] = {}
    if column.block == "immune":
        numbers |= distribution.immune
    elif column.block == "clinical":
        numbers |= distribution.clinical
    number = numbers.get(column.name)
    if not isinstance(number, NumericDistribution) or number.quantiles is None:
        return []
    median = number.quantiles[50]
    if median is None:
        return []
    unit = distribution.immune[column.name].unit if column.block == "immune" else ""
    return [Target(column, median, unit, number.measured)]


def _targets_after(stool_after: StoolAfter, column: Column, present: Mapping[str, float]) -> list[Target]:
    names = {**present, **stool_after.proportions} if column.block == "taxa" else {}
    return [
        Target(Column("taxa", name), stool_after.proportions.get(name, 0.0), PROPORTION, stool_after.transplants)
        for name in names
        if _is_part(name, column)
    ]


def _is_part(taxon: str, column: Column) -> bool:
    return column.field in (taxon, genus_of(taxon))


def _no_target(name: str, stool_after: StoolAfter | None) -> str:
    if stool_after is not None:
        return f"changes: only taxa of the stool or the donor change with a transplant, got {name!r}; leave it out"
    return f"changes: no model reports a training median of {name!r}; choose among what its prediction depends on"


def _changed_candidate(candidate: Candidate, present: Mapping[str, float], targets: Sequence[Target]) -> Candidate:
    """Return the candidate with the values of the targets."""
    by_block: dict[str, dict[str, Target]] = {"taxa": {}, "immune": {}, "clinical": {}}
    for target in targets:
        by_block[target.column.block][target.column.name] = target
    measurements = [
        item for item in candidate.immune if immune_column(item.analyte, item.unit).name not in by_block["immune"]
    ] + [
        Measurement(target.column.field, MeasuredValue(target.value, "", math.nan), cast(ImmuneUnit, target.unit))
        for target in by_block["immune"].values()
    ]
    profile = candidate.taxa
    if by_block["taxa"] and profile is not None:
        proportions = {name: target.value for name, target in by_block["taxa"].items()}
        profile = replace(profile, values=_with_proportions(present, proportions), unit="proportions")
    clinical = {name: target.value for name, target in by_block["clinical"].items()}
    return replace(candidate, taxa=profile, immune=tuple(measurements), clinical={**candidate.clinical, **clinical})


def _with_proportions(present: Mapping[str, float], proportions: Mapping[str, float]) -> dict[str, float]:
    """Return the profile with these proportions, in which all other taxa keep their ratios."""
    unchanged = {name: proportion for name, proportion in present.items() if name not in proportions}
    remainder, total = 1 - math.fsum(proportions.values()), math.fsum(unchanged.values())
    if total <= 0 or remainder <= 0:
        raise InputError("changes: the chosen taxa leave nothing of the profile; choose fewer")
    return {name: proportion * remainder / total for name, proportion in unchanged.items()} | dict(proportions)


def _changed_measurement(
    target: Target, present: Mapping[str, float], predictions: Sequence[Prediction]
) -> ChangedMeasurement:
    """Return the target beside the candidate's own value, in the unit of the models."""
    column = target.column
    change = ChangedMeasurement(column.text, target.unit, None, None, target.value, target.patients)
    if column.block == "taxa":
        return replace(change, before=present.get(column.field, 0.0))
    contributions = (
        item for prediction in predictions if prediction.explanation for item in prediction.explanation.contributions
    )
    contribution = next(
        (item for item in contributions if (item.block, item.feature) == (column.block, column.name)), None
    )
    return (
        change if contribution is None else replace(change, before=contribution.value, reported=contribution.reported)
    )


def _shift(served: ServedModel, prediction: Prediction, hypothetical: Candidate) -> ProbabilityShift:
    shifted_prediction = predict([served], hypothetical)
    reason = None
    if prediction.trust.in_training_set:
        reason = LEARNT_FROM_PATIENT
    elif prediction.probability is None:
        reason = f"the model abstains: {'; '.join(reservations(prediction))}"
    elif shifted_prediction.probability is None:
        reason = f"the model abstains on the changed measurements: {'; '.join(reservations(shifted_prediction))}"
    shift = ProbabilityShift(
        prediction.outcome,
        prediction.model,
        prediction.probability,
        None,
        None,
        reason,
        prediction.unconfirmed_reason,
        prediction.trust,
    )
    if reason is not None or prediction.probability is None or shifted_prediction.probability is None:
        return shift
    before, after = prediction.probability, shifted_prediction.probability
    return replace(
        shift,
        probability_after=after,
        difference=after - before,
        unconfirmed_reason=unconfirmed_change(served.model, before, after, "the changed measurements"),
        trust=shifted_prediction.trust,
    )
