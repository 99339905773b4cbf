"""Each rule of trust, alone and with others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from features.analytes import Reading
from features.landmark import BLOCKS
from models.batch import table_candidates
from models.bundle import Model
from models.candidate import Candidate, Measurement, StoolProfile, received
from models.encoder import BlockEncoder
from models.trust import CARE_RECOGNISED, MIN_ANALYTES, MIN_RECOGNISED, Trust, trust

from .conftest import PROFILER, UNITS, invented, trained

KNOWN = ("Genus0_species0", "Genus1_species1", "Genus2_species2")
FULL = {KNOWN[0]: 50.0, KNOWN[1]: 30.0, KNOWN[2]: 20.0}


def model(*blocks: str, **evidence: Any) -> Model:
    found = trained("elastic_net", blocks or ("taxa",))
    return replace(found, evidence={**found.evidence, **evidence})


def stool(values: dict[str, float] | None = None, **changes: Any) -> Candidate:
    said = {"unit": "percent", "profiler": PROFILER, "day": -3.0, "clock": "day_ici", **changes}
    return Candidate({}, StoolProfile(values or FULL, **said))


def judged(candidate: Candidate, by: Model | None = None) -> Trust:
    by = by or model()
    return trust(by, candidate, received(candidate, by.encoder, by.units))


def test_a_patient_like_those_of_training_is_answered() -> None:
    found = judged(stool())
    assert (found.verdict, found.reasons) == ("ok", ())
    assert found.facts["profiler_match"] is True
    assert found.facts["taxa_recognised"] == pytest.approx(1)
    assert found.facts["unused"] == []
    assert found.facts["taxa_present"] == pytest.approx(3 / len(model().encoder.features_))
    whole = model(*BLOCKS)
    candidates = [c for c in table_candidates(invented()) if len(c.immune) == len(UNITS) and "age" in c.clinical]
    assert {judged(c, whole).verdict for c in candidates} == {"ok"}


@pytest.mark.parametrize("missing", BLOCKS)
def test_without_a_block_it_abstains(missing: str) -> None:
    whole = next(c for c in table_candidates(invented()) if len(c.immune) == len(UNITS))
    without = replace(whole, **{missing: {"taxa": None, "immune": (), "clinical": {}}[missing]})
    found = judged(without, model(*BLOCKS))
    assert found.verdict == "abstain"
    assert found.reasons == (f"the model needs the {missing} block, and nothing of it was given",)
    assert found.facts[f"{missing}_present"] == 0


def test_a_block_of_which_nothing_is_known_is_as_good_as_none() -> None:
    whole = next(c for c in table_candidates(invented()) if len(c.immune) == len(UNITS))
    found = judged(replace(whole, clinical={"shoe": 43.0}), model(*BLOCKS))
    assert found.verdict == "abstain"
    assert found.facts["unused"] == ["shoe"]


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (MIN_RECOGNISED - 0.01, "abstain"),
        (MIN_RECOGNISED, "use with care"),
        (CARE_RECOGNISED - 0.01, "use with care"),
        (CARE_RECOGNISED + 0.01, "ok"),
    ],
)
def test_a_profile_is_recognised_by_its_abundance(share: float, verdict: str) -> None:
    found = judged(stool({KNOWN[0]: 100 * share, "Unheard_of": 100 * (1 - share)}))
    assert found.verdict == verdict
    assert found.facts["taxa_recognised"] == pytest.approx(share)
    assert found.facts["unused"] == ["Unheard_of"]
    assert ("of the profile's abundance" in " ".join(found.reasons)) == (verdict != "ok")


@pytest.mark.parametrize(
    ("profiler", "match", "says"),
    [(PROFILER, True, None), ("kraken2", False, f"is kraken2, the model's is {PROFILER}"), (None, None, "not given")],
)
def test_another_profiler_calls_for_care(profiler: str | None, match: bool | None, says: str | None) -> None:
    found = judged(stool(profiler=profiler))
    assert found.facts["profiler_match"] is match
    assert found.verdict == ("ok" if says is None else "use with care")
    assert (says or "") in "".join(found.reasons)


def test_a_model_whose_profiler_was_not_stated_matches_none() -> None:
    found = judged(stool(), replace(model(), profilers=()))
    assert found.reasons == (f"the profiler is {PROFILER}, the model's is not stated",)


def test_another_clock_calls_for_care() -> None:
    found = judged(stool(clock="day_fmt"), model(clocks=["day_ici", "day_x"]))
    assert found.verdict == "use with care"
    assert found.reasons == ("the stool's day is on day_fmt, the model's on day_ici and day_x",)
    assert judged(stool(clock=None)).verdict == "ok"


def test_stool_from_after_the_landmark_calls_for_care() -> None:
    assert judged(stool(day=14.0), model(landmark=14.0)).verdict == "ok"
    found = judged(stool(day=15.0), model(landmark=14.0))
    assert found.reasons == ("the stool is of day 15, after the model's landmark, day 14",)
    assert judged(stool(day=None)).verdict == "ok"


@pytest.mark.parametrize(("filled", "verdict"), [(0.45, "abstain"), (0.6, "use with care"), (0.85, "ok")])
@pytest.mark.parametrize(("unit", "whole"), [("percent", 100), ("proportions", 1)])
def test_a_profile_that_does_not_sum_to_its_whole(filled: float, verdict: str, unit: str, whole: float) -> None:
    values = {name: value / 100 * whole * filled for name, value in FULL.items()}
    found = judged(stool(values, unit=unit))
    assert found.verdict == verdict
    assert (f"sums to {filled:.0%}" in "".join(found.reasons)) == (verdict != "ok")


def test_counts_have_no_whole_to_fill() -> None:
    assert judged(stool({KNOWN[0]: 3, KNOWN[1]: 4}, unit="counts")).verdict == "ok"


@pytest.mark.parametrize("given", range(len(UNITS) + 1))
def test_few_analytes(given: int) -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), Reading(3.0), unit)  # type: ignore[arg-type]
        for name, unit in list(UNITS.items())[:given]
    )
    found, share = judged(Candidate({}, None, blood), model("immune")), given / len(UNITS)
    assert found.facts["immune_present"] == pytest.approx(share)
    assert found.verdict == ("ok" if share == 1 else "abstain" if share < MIN_ANALYTES else "use with care")


def test_blood_from_after_the_landmark_calls_for_care() -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), Reading(3.0), unit, 15.0)  # type: ignore[arg-type]
        for name, unit in UNITS.items()
    )
    assert judged(Candidate({}, None, blood), model("immune", landmark=15.0)).verdict == "ok"
    found = judged(Candidate({}, None, blood), model("immune", landmark=14.0))
    assert found.verdict == "use with care"
    assert found.reasons == ("blood is of day 15, after the model's landmark, day 14",)


def test_clinical_gaps_call_for_care() -> None:
    names = model("clinical").encoder.used_["clinical"]
    columns = dict.fromkeys(name.partition("=")[0] for name in names)
    assert len(columns) > 1
    found = judged(Candidate({"age": 60.0}, None, ()), model("clinical"))
    assert found.verdict == "use with care"
    assert found.reasons == (f"only {1 / len(names):.0%} of the model's clinical columns were given",)


def test_only_analytes_that_the_model_uses_count() -> None:
    table = invented()
    table.immune.values[:40, 0] = float("nan")
    encoder = BlockEncoder(("immune",)).fit(table)
    found = replace(model("immune"), encoder=encoder)
    dropped = Candidate({}, None, (Measurement("IL-6", Reading(3.0), "pg/mL"),))
    assert judged(dropped, found).verdict == "abstain"
    assert judged(dropped, found).facts["unused"] == ["IL-6"]
    others = tuple(Measurement(n.removesuffix(" mRNA"), Reading(3.0), u) for n, u in list(UNITS.items())[1:])  # type: ignore[arg-type]
    assert judged(Candidate({}, None, others), found).verdict == "ok"


@pytest.mark.parametrize("beats", [False, None])
def test_evidence_that_does_not_exclude_chance_is_repeated(beats: bool | None) -> None:
    found = judged(stool(), model(beats_chance=beats, sentence="it did no better than chance"))
    assert (found.verdict, found.reasons) == ("use with care", ("it did no better than chance",))


def test_simulated_training_says_nothing_of_real_patients() -> None:
    found = judged(stool(), model(simulated=True))
    assert found.verdict == "use with care"
    assert "simulated" in found.reasons[0]


def test_the_gravest_verdict_counts_and_every_reason_stays() -> None:
    care = stool({"Unheard_of": 55.0, KNOWN[0]: 5.0}, profiler="kraken2", clock="day_fmt", day=9.0)
    found = judged(care, model(simulated=True, beats_chance=False, sentence="no better than chance"))
    assert found.verdict == "abstain"
    parts = ("abundance", "kraken2", "day_fmt", "day 9", "sums to 60%", "no better", "simulated")
    assert len(found.reasons) == len(parts)
    assert all(part in reason for part, reason in zip(parts, found.reasons, strict=True))
