"""Trust: whether a model may speak of this patient at all, by stated rules, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Model
from models.patient_input import Candidate, ModelInput, StoolProfile
from models.reference import (
    CARE_RECOGNISED,
    MIN_RECOGNISED,
    VERDICTS,
    ReferenceSet,
    Verdict,
    coverage_grade,
    distance_grade,
    nearest_mean,
    richness_grade,
)

MIN_ANALYTES = 0.5
"""Below this share of the model's analytes measured, it abstains; below all of them it answers with care."""
MOST_OUT_OF_RANGE = 0.5
"""Above this share of the analytes given beyond their training range, it abstains; above none it answers with care."""
CARE_FILLED = 0.8
"""Below this share of its whole that a profile sums to, a model answers with care; below half it abstains."""
_ROUNDING = 1e-9
"""A value converted from another unit may miss the end of its range by this much."""

Finding = tuple[Verdict, str]


@dataclass(frozen=True)
class Trust:
    """A verdict and what led to it.

    Attributes
    ----------
    verdict : {"ok", "use with care", "abstain"}
    reasons : tuple of str
        Why it is not "ok".
    facts : dict
        What the rules judged, of the model's blocks alone; `serving.schemas.TrustOut` names each.
    decisive : tuple of str
        Those of the reasons that led to the verdict; the others would have led to a better one.
    nearest : tuple of dict
        How the nearest training patients did, from `models.reference.ReferenceSet.nearest_rates`; empty where the
        model abstains, since it would be a prediction by another way.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    facts: dict[str, Any]
    decisive: tuple[str, ...]
    nearest: tuple[dict[str, Any], ...]


def assess_applicability(
    model: Model, candidate: Candidate, model_input: ModelInput, encoded: NDArray[np.float64]
) -> Trust:
    """Judge whether a model knows enough of a candidate.

    The rules, in the order in which their reasons are given: a block the model needs and the candidate lacks; a
    profile that the model does not recognise, of another profiler, on another clock, from after the landmark, not
    summing to its whole, far from every training patient's, or of few taxa; a nearest cohort on which the model did no
    better than chance; blood from after the landmark; analytes that are missing, or whose unit nobody stated; clinical
    columns that are missing; analytes and clinical numbers beyond their training range; evidence that does not exclude
    chance; and simulated training.

    Parameters
    ----------
    model : Model
    candidate : Candidate
    model_input : ModelInput
        What the model's encoder took in of the candidate.
    encoded : ndarray, (1, n_features)
        The same, encoded.
    """
    found: list[Finding] = []
    nearest: list[dict[str, Any]] = []
    facts: dict[str, Any] = {
        "unused": list(model_input.unused),
        "taxa_recognised": model_input.recognised,
        "missing_blocks": [],
        "out_of_range": [],
    }
    for block in model.blocks:
        measured = model_input.measured(block)
        facts[f"{block}_present"] = float(measured.mean()) if measured.size else 0.0
        if not measured.any():
            facts["missing_blocks"].append(block)
            found.append(("abstain", f"the model needs the {block} block, and nothing of it was given"))
    if "taxa" in model.blocks and candidate.taxa is not None:
        found += _of_profile(model, candidate.taxa, model_input.recognised or 0.0, facts)
        if model.reference is not None:
            to_patients = model.reference.to_patients(model_input.values["taxa"])[0]
            found += _of_place(model, model.reference, to_patients, model_input, facts)
            nearest = model.reference.nearest_rates(to_patients)
    if "immune" in model.blocks:
        found += _of_blood(model, candidate, model_input, facts)
    if "clinical" in model.blocks and 0 < (share := facts["clinical_present"]) < 1:
        found.append(("use with care", f"only {share:.0%} of the model's clinical columns were given"))
    found += _of_range(model, model_input, encoded, facts)
    if model.evidence["beats_chance"] is not True:
        found.append(("use with care", model.evidence["sentence"]))
    if model.simulated:
        found.append(("use with care", "the model was trained on simulated patients: it says nothing of real ones"))
    verdict: Verdict = max((v for v, _ in found), key=VERDICTS.index, default="ok")
    decisive = tuple(reason for grade, reason in found if grade == verdict)
    told = () if verdict == "abstain" else tuple(nearest)
    return Trust(verdict, tuple(reason for _, reason in found), facts, decisive, told)


def _of_profile(model: Model, profile: StoolProfile, share: float, facts: dict[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    if grade := coverage_grade(share):
        said = f"only {share:.0%} of the profile's abundance lies in taxa that the model was trained on"
        found.append((VERDICTS[grade], said))
    facts["profiler_match"] = None if profile.profiler is None else profile.profiler in model.profilers
    if facts["profiler_match"] is False:
        known = " or ".join(model.profilers) or "not stated"
        said = f"the profiler is {profile.profiler}, the model's is {known}"
        # Two versions of one database share nearly all names; two taxonomies share some, of taxa that may differ.
        if share < CARE_RECOGNISED:
            found.append(("abstain", f"{said}, and the two do not name taxa alike"))
        else:
            found.append(("use with care", said))
    elif profile.profiler is None:
        found.append(("use with care", "the profile's profiler was not given"))
    clocks = model.evidence["clocks"]
    facts["clock_match"] = None if profile.clock is None else profile.clock in clocks
    if facts["clock_match"] is False:
        found.append(("use with care", f"the stool's day is on {profile.clock}, the model's on {' and '.join(clocks)}"))
    landmark = model.evidence["landmark"]
    if profile.day is not None and profile.day > landmark:
        found.append(
            ("use with care", f"the stool is of day {profile.day:g}, after the model's landmark, day {landmark:g}")
        )
    whole = {"percent": 100.0, "proportions": 1.0}.get(profile.unit)
    if whole is not None and (filled := sum(profile.values.values()) / whole) < CARE_FILLED:
        verdict: Verdict = "abstain" if filled < MIN_RECOGNISED else "use with care"
        found.append((verdict, f"the profile sums to {filled:.0%} of a whole; part of it may be missing"))
    return found


def _of_place(
    model: Model,
    reference: ReferenceSet,
    to_patients: NDArray[np.float64],
    model_input: ModelInput,
    facts: dict[str, Any],
) -> list[Finding]:
    found: list[Finding] = []
    distance = float(nearest_mean(to_patients))
    percentile = float(reference.percentile(distance))
    if grade := distance_grade(percentile):
        than = "any of theirs does" if percentile == 100 else f"{percentile:.0f}% of theirs do"
        said = f"the profile lies further from the training patients' than {than} when left out"
        found.append((VERDICTS[grade], said))
    richness = float(reference.richness_percentile(model_input.values["taxa"])[0])
    if grade := richness_grade(richness):
        said = f"only {richness:.0f}% of the training patients have as few of the model's taxa"
        found.append((VERDICTS[grade], said))
    nearest = reference.nearest_cohort(to_patients)
    theirs: Mapping[str, Any] = next(
        (one for one in model.evidence.get("per_cohort", ()) if one["cohort"] == nearest), {}
    )
    auroc, low, high = (theirs.get(name) for name in ("auroc", "auroc_low", "auroc_high"))
    where = f"on left-out patients of {nearest}, the cohort with the nearest profiles,"
    if low is None:
        found.append(("use with care", f"{where} it could not be measured how the model does"))
    elif low <= 0.5:
        found.append(
            ("use with care", f"{where} the model did no better than chance (AUROC {auroc:.2f}, {low:.2f}-{high:.2f})")
        )
    facts |= {"distance": distance, "distance_percentile": percentile, "richness_percentile": richness}
    facts["nearest_cohort"] = nearest
    facts["nearest_cohort_auroc"] = {"value": auroc, "low": low, "high": high}
    return found


def _of_blood(model: Model, candidate: Candidate, model_input: ModelInput, facts: dict[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    latest = max((one.day for one in candidate.immune if one.day is not None), default=None)
    until = model.evidence["landmark"]
    if latest is not None and latest > until:
        found.append(("use with care", f"blood is of day {latest:g}, after the model's landmark, day {until:g}"))
    if 0 < (share := facts["immune_present"]) < 1:
        verdict: Verdict = "abstain" if share < MIN_ANALYTES else "use with care"
        found.append((verdict, f"only {share:.0%} of the model's analytes were given"))
    given = zip(model_input.used["immune"], model_input.measured("immune").tolist(), strict=True)
    facts["unit_unstated"] = [name for name, measured in given if measured and model.units[name] == "unstated"]
    if facts["unit_unstated"]:
        names = ", ".join(facts["unit_unstated"])
        found.append(("use with care", f"nobody stated a unit of {names}: it may be another than the model's"))
    return found


def _of_range(
    model: Model, model_input: ModelInput, encoded: NDArray[np.float64], facts: dict[str, Any]
) -> list[Finding]:
    # Encoded, a gap is a median and what lies beyond a limit is what training made of it: only numbers can lie outside.
    row, encoder = encoded[0], model.encoder
    outside = np.flatnonzero((row < encoder.low_ - _ROUNDING) | (row > encoder.high_ + _ROUNDING))
    measured = [encoder.features_[i] for i in outside.tolist() if encoder.features_[i].block != "taxa"]
    if not measured:
        return []
    facts["out_of_range"] = [feature.name for feature in measured]
    analytes = sum(feature.block == "immune" for feature in measured)
    given = int(model_input.measured("immune").sum()) if analytes else 0
    verdict: Verdict = "abstain" if analytes > MOST_OUT_OF_RANGE * given else "use with care"
    check = f"; that is {analytes} of the {given} analytes given: check their units" if verdict == "abstain" else ""
    return [(verdict, f"beyond every training patient's: {', '.join(facts['out_of_range'])}{check}")]
