"""Trust: whether a model may speak of this patient at all, by stated rules, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from models.bundle import Model
from models.candidate import Candidate, Reception

MIN_RECOGNISED = 0.5
"""Below this share of the profile's abundance in taxa that the model has seen, it abstains."""
CARE_RECOGNISED = 0.8
"""Below this share it answers with care."""
MIN_ANALYTES = 0.5
"""Below this share of the model's analytes measured, it abstains; below all of them it answers with care."""

Verdict = Literal["ok", "use with care", "abstain"]
_ORDER: tuple[Verdict, ...] = ("ok", "use with care", "abstain")


@dataclass(frozen=True)
class Trust:
    """A verdict and what led to it.

    Attributes
    ----------
    verdict : {"ok", "use with care", "abstain"}
    reasons : tuple of str
        Why it is not "ok".
    facts : dict
        Shares of taxa and analytes present, profiler match, names without effect.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    facts: dict[str, Any]


def trust(model: Model, candidate: Candidate, reception: Reception) -> Trust:
    """Judge whether a model knows enough of a candidate.

    The rules, in the order in which their reasons are given: a block the model needs and the candidate lacks, a
    profile that the model does not recognise, another profiler, another clock, stool from after the landmark, a profile
    that does not sum to its whole, blood from after the landmark, analytes or clinical columns that are missing,
    evidence that does not exclude chance, and simulated training.
    """
    found: list[tuple[Verdict, str]] = []
    facts: dict[str, Any] = {"unused": list(reception.unused), "taxa_recognised": reception.recognised}
    for block in model.blocks:
        measured = reception.measured(block)
        facts[f"{block}_present"] = float(measured.mean()) if measured.size else 0.0
        if not measured.any():
            found.append(("abstain", f"the model needs the {block} block, and nothing of it was given"))
    if "taxa" in model.blocks and candidate.taxa is not None:
        found += _of_profile(model, candidate, reception, facts)
    latest = max((one.day for one in candidate.immune if one.day is not None), default=None)
    until = model.evidence["landmark"]
    if "immune" in model.blocks and latest is not None and latest > until:
        found.append(("use with care", f"blood is of day {latest:g}, after the model's landmark, day {until:g}"))
    if "immune" in model.blocks and 0 < (share := facts["immune_present"]) < 1:
        verdict: Verdict = "abstain" if share < MIN_ANALYTES else "use with care"
        found.append((verdict, f"only {share:.0%} of the model's analytes were given"))
    if "clinical" in model.blocks and 0 < (share := facts["clinical_present"]) < 1:
        found.append(("use with care", f"only {share:.0%} of the model's clinical columns were given"))
    if model.evidence["beats_chance"] is not True:
        found.append(("use with care", model.evidence["sentence"]))
    if model.simulated:
        found.append(("use with care", "the model was trained on simulated patients: it says nothing of real ones"))
    verdict = max((v for v, _ in found), key=_ORDER.index, default="ok")
    return Trust(verdict, tuple(reason for _, reason in found), facts)


def _of_profile(
    model: Model, candidate: Candidate, reception: Reception, facts: dict[str, Any]
) -> list[tuple[Verdict, str]]:
    assert candidate.taxa is not None
    found: list[tuple[Verdict, str]] = []
    profile, share = candidate.taxa, reception.recognised or 0.0
    if share < CARE_RECOGNISED:
        verdict: Verdict = "abstain" if share < MIN_RECOGNISED else "use with care"
        found.append(
            (verdict, f"only {share:.0%} of the profile's abundance lies in taxa that the model was trained on")
        )
    facts["profiler_match"] = None if profile.profiler is None else profile.profiler in model.profilers
    if facts["profiler_match"] is False:
        known = " or ".join(model.profilers) or "not stated"
        found.append(("use with care", f"the profiler is {profile.profiler}, the model's is {known}"))
    elif profile.profiler is None:
        found.append(("use with care", "the profile's profiler was not given"))
    clocks = model.evidence["clocks"]
    if profile.clock is not None and profile.clock not in clocks:
        found.append(("use with care", f"the stool's day is on {profile.clock}, the model's on {' and '.join(clocks)}"))
    landmark = model.evidence["landmark"]
    if profile.day is not None and profile.day > landmark:
        found.append(
            ("use with care", f"the stool is of day {profile.day:g}, after the model's landmark, day {landmark:g}")
        )
    whole = {"percent": 100.0, "proportions": 1.0}.get(profile.unit)
    if whole is not None and (filled := sum(profile.values.values()) / whole) < 0.8:
        verdict = "abstain" if filled < MIN_RECOGNISED else "use with care"
        found.append((verdict, f"the profile sums to {filled:.0%} of a whole; part of it may be missing"))
    return found
