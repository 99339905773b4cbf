"""The applicability domain: whether a model may predict for this patient, by rules that each give a reason.

Every rule compares one fact (a block, a share, a distance, a day) with the training cohorts and returns the reasons
against the prediction, each with its verdict. The gravest verdict counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.arrays import Matrix
from features.plain_names import day_0_event, profiler_title
from features.population import POPULATION_FIELDS, Population
from models.bundle import Model
from models.encoder import Feature
from models.evidence import DEMONSTRATION, Estimate, TrainingPopulation
from models.patient_input import PROFILE_TOTAL, Candidate, ModelInput, StoolProfile
from models.prediction import NearestOutcomes, Trust, Verdict
from models.reference import (
    CARE_RECOGNISED,
    MIN_RECOGNISED,
    VERDICTS,
    ReferenceSet,
    coverage_grade,
    distance_grade,
    nearest_mean,
    richness_grade,
)

MIN_ANALYTES = 0.5
"""Measured share of the model's analytes below which it abstains; below all of them it predicts with care."""
MAX_OUT_OF_RANGE = 0.5
"""Share of the measured analytes outside their training range above which the model abstains; above 0: with care."""
CARE_TOTAL = 0.8
"""Share of its total below which a profile's sum calls for care; below `MIN_RECOGNISED` the model abstains."""
FEW_PATIENTS = 20
"""Training patients of the same tumour type, line or drug class below which a prediction calls for care."""
_ROUNDING = 1e-9
"""Rounding error that converting a value from another unit may add at the end of a range."""

_BLOCK_CONTENTS = {
    "taxa": "taxa of a stool profile",
    "immune": "immune measurements",
    "clinical": "clinical data",
    "donor": "distances to the donor's stool",
    "over_time": "immune measurements over time",
}
"""What a block holds, in words."""
_UNESTIMATED = Estimate(None, None, None)


class Reason(NamedTuple):
    """A reason against a prediction: the name of the rule, and the verdict that it alone would lead to."""

    rule: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Assessment:
    """Result of all rules.

    Attributes
    ----------
    trust : Trust
        Verdict, reasons and facts, as the prediction reports them.
    decisive : tuple of Reason
        The reasons that led to the verdict; the other reasons alone would have led to a better one.
    nearest : tuple of NearestOutcomes
        Outcomes of the nearest training patients. Empty where the model abstains, since they would be a prediction by
        another way.
    """

    trust: Trust
    decisive: tuple[Reason, ...]
    nearest: tuple[NearestOutcomes, ...]


@dataclass(frozen=True)
class _Neighbourhood:
    """Where a profile lies among the training profiles.

    `centre` is the nearest centre and `auroc` the model's there; `outcomes` are those of the nearest training patients.
    """

    distance: float
    distance_percentile: float
    richness_percentile: float
    centre: str
    auroc: Estimate
    outcomes: tuple[NearestOutcomes, ...]
    similarity: float | None
    is_training_profile: bool | None


@dataclass(frozen=True)
class _Facts:
    """What the rules compare, of the model's blocks alone.

    `present` is the measured share of each block; `reported_blocks` are those of which the candidate has anything,
    known to the model or not. `profile` and `neighbourhood` are None where the model does not use
    taxa or the candidate has no stool sample; `neighbourhood` also where the bundle has no reference set.
    """

    present: dict[str, float]
    reported_blocks: frozenset[str]
    profile: StoolProfile | None
    neighbourhood: _Neighbourhood | None
    unit_unstated: tuple[str, ...]
    outside: tuple[Feature, ...]

    @property
    def missing_blocks(self) -> tuple[str, ...]:
        return tuple(block for block, share in self.present.items() if share == 0)

    @property
    def unknown_blocks(self) -> tuple[str, ...]:
        return tuple(block for block in self.missing_blocks if block in self.reported_blocks)


def assess_applicability(model: Model, candidate: Candidate, model_input: ModelInput, encoded: Matrix) -> Assessment:
    """Decide whether a model may predict for a candidate.

    The rules, in the order of their reasons: simulated training data; tumour type, line of treatment and class of
    drugs; missing blocks; coverage, profiler, clock, day and total of the stool profile; whether it is a training
    patient's; its distance to the training profiles, its richness, and the model's AUROC in the nearest centre; day,
    completeness and units of the immune measurements; completeness of the clinical columns; values outside the training
    range; evidence that does not exclude chance.

    Parameters
    ----------
    model : Model
    candidate : Candidate
    model_input : ModelInput
        What the model's encoder reads of the candidate.
    encoded : ndarray, (1, n_features)
        `model_input`, encoded.
    """
    facts = _facts(model, candidate, model_input, encoded)
    counts = _training_patients(candidate.population, model.population)
    reasons = _reasons(model, candidate, model_input, facts)
    verdict: Verdict = max((reason.verdict for reason in reasons), key=VERDICTS.index, default="ok")
    profile, near = facts.profile, facts.neighbourhood
    trust = Trust(
        verdict=verdict,
        reasons=tuple(reason.sentence for reason in reasons),
        unused=model_input.unused,
        missing_blocks=facts.missing_blocks,
        unknown_blocks=facts.unknown_blocks,
        taxa_present=facts.present.get("taxa"),
        immune_present=facts.present.get("immune"),
        clinical_present=facts.present.get("clinical"),
        taxa_recognised=model_input.recognised,
        profiler_match=_is_among(profile.profiler, model.profilers) if profile else None,
        clock_match=_is_among(profile.clock, model.evidence.clocks) if profile else None,
        distance=near.distance if near else None,
        distance_percentile=near.distance_percentile if near else None,
        richness_percentile=near.richness_percentile if near else None,
        nearest_centre=near.centre if near else None,
        nearest_centre_auroc=near.auroc if near else None,
        unit_unstated=facts.unit_unstated,
        out_of_range=tuple(feature.name for feature in facts.outside),
        decisive=tuple(dict.fromkeys(reason.rule for reason in reasons if reason.verdict == verdict)),
        tumour_type_patients=counts["tumour_type"],
        treatment_line_patients=counts["treatment_line"],
        drug_class_patients=counts["drug_class"],
        training_similarity=near.similarity if near else None,
        in_training_set=near.is_training_profile if near else None,
    )
    decisive = tuple(reason for reason in reasons if reason.verdict == verdict)
    return Assessment(trust, decisive, near.outcomes if near and verdict != "abstain" else ())


def _facts(model: Model, candidate: Candidate, model_input: ModelInput, encoded: Matrix) -> _Facts:
    profile = candidate.taxa if "taxa" in model.blocks else None
    neighbourhood = None
    if profile is not None and model.reference is not None:
        neighbourhood = _neighbourhood(model, model.reference, model_input.values["taxa"])
    unit_unstated = []
    if "immune" in model.blocks:
        pairs = zip(model_input.columns["immune"], model_input.is_measured("immune").tolist(), strict=True)
        unit_unstated = [name for name, is_measured in pairs if is_measured and model.units[name] == "unstated"]
    # Encoding replaces missing and censored values by numbers inside the range: only measured numbers can lie outside.
    row, encoder = encoded[0], model.encoder
    outside = np.flatnonzero((row < encoder.low_ - _ROUNDING) | (row > encoder.high_ + _ROUNDING))
    features = (encoder.features_[i] for i in outside.tolist())
    return _Facts(
        present={block: _share_present(model_input, block) for block in model.blocks},
        reported_blocks=_reported_blocks(candidate),
        profile=profile,
        neighbourhood=neighbourhood,
        unit_unstated=tuple(unit_unstated),
        outside=tuple(feature for feature in features if feature.block != "taxa"),
    )


def _reported_blocks(candidate: Candidate) -> frozenset[str]:
    contents: Mapping[str, object] = {
        "taxa": candidate.taxa,
        "immune": candidate.immune,
        "clinical": candidate.clinical,
        "donor": candidate.donor,
        # Where nothing is computed, a model computes it from dated measurements.
        "over_time": candidate.over_time or candidate.serial or candidate.immune,
    }
    return frozenset(block for block, content in contents.items() if content)


def _share_present(model_input: ModelInput, block: str) -> float:
    mask = model_input.is_measured(block)
    return float(mask.mean()) if mask.size else 0.0


def _is_among(name: str | None, names: Collection[str]) -> bool | None:
    return None if name is None else name in names


def _neighbourhood(model: Model, reference: ReferenceSet, taxa: Matrix) -> _Neighbourhood:
    neighbours, richness_percentile, similarity = reference.locate(taxa)
    distance = float(nearest_mean(neighbours.distances))
    centre = reference.nearest_centre(neighbours)
    aurocs = (row.auroc for row in model.evidence.per_centre if row.centre == centre)
    is_comparable = not math.isnan(similarity)
    return _Neighbourhood(
        distance=distance,
        distance_percentile=float(reference.percentile(distance)),
        richness_percentile=richness_percentile,
        centre=centre,
        auroc=next(aurocs, _UNESTIMATED),
        outcomes=reference.nearest_outcomes(neighbours),
        similarity=similarity if is_comparable else None,
        is_training_profile=similarity > reference.same_stool_similarity if is_comparable else None,
    )


def _reasons(model: Model, candidate: Candidate, model_input: ModelInput, facts: _Facts) -> list[Reason]:
    reasons = _population_rules(candidate.population, model.population)
    for block in facts.missing_blocks:
        none = "none that it knows" if block in facts.unknown_blocks else "none"
        sentence = f"the model needs {_BLOCK_CONTENTS[block]}, and {none} was reported"
        reasons.append(Reason("missing block", "abstain", sentence))
    if facts.profile is not None:
        coverage = model_input.recognised or 0.0
        reasons += _coverage_rule(coverage)
        reasons += _profiler_rule(facts.profile.profiler, model.profilers, coverage)
        reasons += _sampling_rules(facts.profile, model.evidence.clocks, model.evidence.landmark)
        reasons += _total_rule(facts.profile)
    if facts.neighbourhood is not None:
        reasons += _training_patient_rule(facts.neighbourhood)
        reasons += _distance_rule(facts.neighbourhood.distance_percentile)
        reasons += _richness_rule(facts.neighbourhood.richness_percentile)
        reasons += _nearest_centre_rule(
            model.evidence.centre_title(facts.neighbourhood.centre), facts.neighbourhood.auroc
        )
    if "immune" in model.blocks:
        reasons += _immune_rules(candidate, model.evidence.landmark, facts)
    if 0 < (share := facts.present.get("clinical", 1.0)) < 1:
        sentence = f"only {share:.0%} of the model's clinical columns were reported"
        reasons.append(Reason("missing clinical columns", "use with care", sentence))
    reasons += _range_rule(model_input, facts.outside)
    if model.evidence.beats_chance is not True:
        reasons.append(Reason("evidence", "use with care", model.evidence.sentence))
    if model.simulated:
        # First: whatever else is said of the prediction, it is not for care.
        reasons.insert(0, Reason("simulated", "use with care", f"the model {DEMONSTRATION}"))
    return reasons


def _training_patients(population: Population, training: TrainingPopulation | None) -> dict[str, int | None]:
    """Return the training patients with the patient's value of each field; None where either is not reported."""
    counts: dict[str, int | None] = {}
    for name in POPULATION_FIELDS:
        value: str | None = getattr(population, name)
        patients: Mapping[str, int] = getattr(training, name) if training is not None else {}
        counts[name] = patients.get(value, 0) if value is not None and patients else None
    return counts


def _population_rules(population: Population, training: TrainingPopulation | None) -> list[Reason]:
    """Abstain for a tumour type without training patients; another line or drug class calls for care."""
    if training is None:
        return []
    reasons = []
    for name, patients in _training_patients(population, training).items():
        value, levels = getattr(population, name), " and ".join(getattr(training, name))
        subject, sentence = name.replace("_", " "), None
        if patients == 0:
            sentence = f"the patient's {subject} is {value}; the model was trained on {levels} alone"
        elif patients is not None and patients < FEW_PATIENTS:
            sentence = f"only {patients} training patients have the patient's {subject}, {value}"
        elif value is None and levels and name == "tumour_type":
            sentence = f"the patient's tumour type was not reported; the model was trained on {levels}"
        if sentence is not None:
            is_foreign = patients == 0 and name == "tumour_type"
            reasons.append(Reason(subject, "abstain" if is_foreign else "use with care", sentence))
    return reasons


def _coverage_rule(coverage: float) -> list[Reason]:
    if not (grade := coverage_grade(coverage)):
        return []
    sentence = f"only {coverage:.0%} of the profile's abundance lies in taxa of the training cohorts"
    return [Reason("coverage", VERDICTS[grade], sentence)]


def _profiler_rule(profiler: str | None, profilers: Collection[str], coverage: float) -> list[Reason]:
    if profiler is None:
        return [Reason("profiler", "use with care", "the profile's profiler was not reported")]
    if profiler in profilers:
        return []
    # Two databases of one month have the same title: codes then tell them apart.
    titles = {code: profiler_title(code) for code in profilers}
    title = profiler_title(profiler)
    training_profilers = " or ".join(titles if title in titles.values() else titles.values())
    sentence = (
        f"the profile was made with {profiler if title in titles.values() else title}, the training profiles with "
        f"{training_profilers or 'an unreported profiler'}"
    )
    # Two versions of one database share nearly all names; two taxonomies share some, of taxa that may differ.
    if coverage < CARE_RECOGNISED:
        return [Reason("profiler", "abstain", f"{sentence}, and the two name taxa differently")]
    return [Reason("profiler", "use with care", sentence)]


def _sampling_rules(profile: StoolProfile, clocks: Collection[str], landmark: float) -> list[Reason]:
    reasons = []
    if profile.clock is not None and profile.clock not in clocks:
        events = " and ".join(map(day_0_event, clocks))
        sentence = (
            f"the stool sample's day is counted from {day_0_event(profile.clock)}, the model's days from {events}"
        )
        reasons.append(Reason("clock", "use with care", sentence))
    if profile.day is not None and profile.day > landmark:
        sentence = (
            f"the stool sample was taken on day {profile.day:g}, after the model's prediction day, day {landmark:g}"
        )
        reasons.append(Reason("day", "use with care", sentence))
    return reasons


def _total_rule(profile: StoolProfile) -> list[Reason]:
    total = PROFILE_TOTAL.get(profile.unit)
    if total is None or (share := sum(profile.values.values()) / total) >= CARE_TOTAL:
        return []
    verdict: Verdict = "abstain" if share < MIN_RECOGNISED else "use with care"
    return [Reason("total", verdict, f"the profile sums to {share:.0%} of its total; part of it may be missing")]


def _training_patient_rule(near: _Neighbourhood) -> list[Reason]:
    if not near.is_training_profile:
        return []
    sentence = (
        f"this patient's profile is in the training set (similarity {near.similarity:.3f} of 1): the model has learnt "
        "the outcome, so that the prediction tests nothing"
    )
    return [Reason("training patient", "use with care", sentence)]


def _distance_rule(percentile: float) -> list[Reason]:
    if not (grade := distance_grade(percentile)):
        return []
    share = "all" if percentile == 100 else f"{percentile:.0f}%"
    sentence = f"this stool profile is more unusual than {share} of the training patients' profiles"
    return [Reason("distance", VERDICTS[grade], sentence)]


def _richness_rule(percentile: float) -> list[Reason]:
    if not (grade := richness_grade(percentile)):
        return []
    return [
        Reason(
            "richness", VERDICTS[grade], f"only {percentile:.0f}% of training patients have as few of the model's taxa"
        )
    ]


def _nearest_centre_rule(centre: str, auroc: Estimate) -> list[Reason]:
    subject = f"in held-out patients of {centre}, the centre with the nearest profiles, the model's AUROC"
    if auroc.value is None or auroc.low is None or auroc.high is None:
        return [Reason("nearest centre", "use with care", f"{subject} could not be estimated")]
    if auroc.low <= 0.5:
        interval = f"{auroc.value:.2f}, 95% interval {auroc.low:.2f} to {auroc.high:.2f}"
        return [
            Reason("nearest centre", "use with care", f"{subject} gives no evidence of discrimination ({interval})")
        ]
    return []


def _immune_rules(candidate: Candidate, landmark: float, facts: _Facts) -> list[Reason]:
    reasons = []
    first_days: dict[str, float] = {}
    for measurement in candidate.immune:
        # An undated value is read whatever the days of the others.
        day = -math.inf if measurement.day is None else measurement.day
        first_days[measurement.analyte] = min(day, first_days.get(measurement.analyte, math.inf))
    latest = max(first_days.values(), default=-math.inf)
    if latest > landmark:
        sentence = f"blood was drawn on day {latest:g}, after the model's prediction day, day {landmark:g}"
        reasons.append(Reason("day", "use with care", sentence))
    if 0 < (share := facts.present["immune"]) < 1:
        verdict: Verdict = "abstain" if share < MIN_ANALYTES else "use with care"
        reasons.append(Reason("missing analytes", verdict, f"only {share:.0%} of the model's analytes were measured"))
    if facts.unit_unstated:
        names = ", ".join(facts.unit_unstated)
        sentence = f"the unit of {names} was not reported and may differ from the training cohorts'"
        reasons.append(Reason("unit", "use with care", sentence))
    return reasons


def _range_rule(model_input: ModelInput, outside: Sequence[Feature]) -> list[Reason]:
    if not outside:
        return []
    n_outside = sum(feature.block == "immune" for feature in outside)
    n_measured = int(model_input.is_measured("immune").sum()) if n_outside else 0
    sentence = f"outside the range of all training patients: {', '.join(feature.name for feature in outside)}"
    if n_outside > MAX_OUT_OF_RANGE * n_measured:
        check = f"{n_outside} of the {n_measured} measured analytes are outside: check their units"
        return [Reason("range", "abstain", f"{sentence}; {check}")]
    return [Reason("range", "use with care", sentence)]
