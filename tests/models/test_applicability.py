"""Each rule of trust, alone and with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.cohort import Cohort, read_cohort
from features.columns import BLOCKS
from features.landmark import landmark_table
from features.measured_values import MeasuredValue, parse_value
from models.applicability import MIN_ANALYTES, Assessment, assess_applicability
from models.batch import table_candidates
from models.bundle import Model
from models.encoder import BlockEncoder
from models.evidence import CohortAuroc, Estimate
from models.patient_input import Candidate, Measurement, StoolProfile, to_model_input
from models.reference import CARE_PERCENTILE, CARE_RECOGNISED, MIN_RECOGNISED, fit_reference_set

from .conftest import PROFILER, UNITS, complete, invented, trained

KNOWN = ("Genus0_species0", "Genus1_species1", "Genus2_species2")
STATED = {**UNITS, "IL-10": "pg/mL"}
FULL = {KNOWN[0]: 50.0, KNOWN[1]: 30.0, KNOWN[2]: 20.0}


def model(*blocks: str, **evidence: Any) -> Model:
    found = trained("elastic_net", blocks or ("taxa",))
    return replace(found, evidence=replace(found.evidence, **evidence), units={n: STATED[n] for n in found.units})


def patients() -> list[Candidate]:
    return list(table_candidates(replace(invented(), units=STATED)))


def stool(values: dict[str, float] | None = None, **changes: Any) -> Candidate:
    said = {"unit": "percent", "profiler": PROFILER, "day": -3.0, "clock": "day_ici", **changes}
    return Candidate({}, StoolProfile(values or FULL, **said))


def judged(candidate: Candidate, by: Model | None = None) -> Assessment:
    by = by or model()
    model_input = to_model_input(candidate, by.encoder, by.units)
    return assess_applicability(by, candidate, model_input, by.encoder.encode(model_input.values))


def test_a_patient_like_those_of_training_is_answered() -> None:
    found = judged(stool())
    assert (found.trust.verdict, found.trust.reasons) == ("ok", ())
    assert found.trust.profiler_match is True
    assert found.trust.taxa_recognised == pytest.approx(1)
    assert found.trust.unused == ()
    assert found.trust.taxa_present == pytest.approx(3 / len(model().encoder.features_))
    whole = model(*BLOCKS)
    candidates = [c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical]
    assert {judged(c, whole).trust.verdict for c in candidates} == {"ok"}


@pytest.mark.parametrize("missing", BLOCKS)
def test_without_a_block_it_abstains(missing: str) -> None:
    whole = next(c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical)
    without = replace(whole, **{missing: {"taxa": None, "immune": (), "clinical": {}}[missing]})
    found = judged(without, model(*BLOCKS))
    assert found.trust.verdict == "abstain"
    assert found.trust.reasons == (f"the model needs the {missing} block, and none of it was reported",)
    assert getattr(found.trust, f"{missing}_present") == 0
    assert found.trust.missing_blocks == (missing,)


def test_a_block_of_which_nothing_is_known_is_as_good_as_none() -> None:
    whole = next(c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical)
    found = judged(replace(whole, clinical={"shoe": 43.0}), model(*BLOCKS))
    assert found.trust.verdict == "abstain"
    assert found.trust.unused == ("shoe",)


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
    assert found.trust.verdict == verdict
    assert found.trust.taxa_recognised == pytest.approx(share)
    assert found.trust.unused == ("Unheard_of",)
    assert ("of the profile's abundance" in " ".join(found.trust.reasons)) == (verdict != "ok")


@pytest.mark.parametrize(
    ("profiler", "match", "says"),
    [
        (PROFILER, True, None),
        ("kraken2", False, f"with kraken2, the training profiles with {PROFILER}"),
        (None, None, "not reported"),
    ],
)
def test_another_profiler_calls_for_care(profiler: str | None, match: bool | None, says: str | None) -> None:
    found = judged(stool(profiler=profiler))
    assert found.trust.profiler_match is match
    assert found.trust.verdict == ("ok" if says is None else "use with care")
    assert (says or "") in "".join(found.trust.reasons)


def test_a_model_whose_profiler_was_not_stated_matches_none() -> None:
    found = judged(stool(), replace(model(), profilers=()))
    assert found.trust.reasons == (
        f"the profile was made with {PROFILER}, the training profiles with an unreported profiler",
    )


def test_another_clock_calls_for_care() -> None:
    found = judged(stool(clock="day_fmt"), model(clocks=("day_ici", "day_x")))
    assert found.trust.verdict == "use with care"
    assert found.trust.reasons == (
        "the stool sample's day is counted on day_fmt, the model's days on day_ici and day_x",
    )
    assert found.trust.clock_match is False
    assert judged(stool(clock=None)).trust.verdict == "ok"


def test_stool_from_after_the_landmark_calls_for_care() -> None:
    assert judged(stool(day=14.0), model(landmark=14.0)).trust.verdict == "ok"
    found = judged(stool(day=15.0), model(landmark=14.0))
    assert found.trust.reasons == ("the stool sample was taken on day 15, after the model's landmark, day 14",)
    assert judged(stool(day=None)).trust.verdict == "ok"


@pytest.mark.parametrize(("filled", "verdict"), [(0.45, "abstain"), (0.6, "use with care"), (0.85, "ok")])
@pytest.mark.parametrize(("unit", "whole"), [("percent", 100), ("proportions", 1)])
def test_a_profile_that_does_not_sum_to_its_whole(filled: float, verdict: str, unit: str, whole: float) -> None:
    values = {name: value / 100 * whole * filled for name, value in FULL.items()}
    found = judged(stool(values, unit=unit))
    assert found.trust.verdict == verdict
    assert (f"sums to {filled:.0%}" in "".join(found.trust.reasons)) == (verdict != "ok")
    without = judged(stool(values, unit=unit, profiler=None))
    assert ("the profile's profiler was not reported" in without.decisive) == (verdict != "abstain")
    assert "the profile's profiler was not reported" in without.trust.reasons


def test_counts_have_no_whole_to_fill() -> None:
    assert judged(stool({KNOWN[0]: 3, KNOWN[1]: 4}, unit="counts")).trust.verdict == "ok"


@pytest.mark.parametrize("given", range(len(UNITS) + 1))
def test_few_analytes(given: int) -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit)  # type: ignore[arg-type]
        for name, unit in list(STATED.items())[:given]
    )
    found, share = judged(Candidate({}, None, blood), model("immune")), given / len(UNITS)
    assert found.trust.immune_present == pytest.approx(share)
    assert found.trust.verdict == ("ok" if share == 1 else "abstain" if share < MIN_ANALYTES else "use with care")


def test_blood_from_after_the_landmark_calls_for_care() -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit, 15.0)  # type: ignore[arg-type]
        for name, unit in STATED.items()
    )
    assert judged(Candidate({}, None, blood), model("immune", landmark=15.0)).trust.verdict == "ok"
    found = judged(Candidate({}, None, blood), model("immune", landmark=14.0))
    assert found.trust.verdict == "use with care"
    assert found.trust.reasons == ("blood was drawn on day 15, after the model's landmark, day 14",)


def test_clinical_gaps_call_for_care() -> None:
    names = model("clinical").encoder.used_["clinical"]
    columns = dict.fromkeys(name.partition("=")[0] for name in names)
    assert len(columns) > 1
    found = judged(Candidate({"age": 60.0}, None, ()), model("clinical"))
    assert found.trust.verdict == "use with care"
    assert found.trust.reasons == (f"only {1 / len(names):.0%} of the model's clinical columns were reported",)


def test_only_analytes_that_the_model_uses_count() -> None:
    table = invented()
    table.immune.values[:40, 0] = float("nan")
    encoder = BlockEncoder(("immune",)).fit(table)
    found = replace(model("immune"), encoder=encoder)
    dropped = Candidate({}, None, (Measurement("IL-6", MeasuredValue(3.0), "pg/mL"),))
    assert judged(dropped, found).trust.verdict == "abstain"
    assert judged(dropped, found).trust.unused == ("IL-6",)
    others = tuple(Measurement(n.removesuffix(" mRNA"), MeasuredValue(3.0), u) for n, u in list(STATED.items())[1:])  # type: ignore[arg-type]
    assert judged(Candidate({}, None, others), found).trust.verdict == "ok"


@pytest.mark.parametrize("beats", [False, None])
def test_evidence_that_does_not_exclude_chance_is_repeated(beats: bool | None) -> None:
    found = judged(stool(), model(beats_chance=beats, sentence="it did no better than chance"))
    assert (found.trust.verdict, found.trust.reasons) == ("use with care", ("it did no better than chance",))


def test_a_profiler_that_names_taxa_otherwise_is_not_answered() -> None:
    mixed = {KNOWN[0]: 70.0, "Unheard_of": 30.0}
    assert judged(stool(mixed)).trust.verdict == "use with care"
    found = judged(stool(mixed, profiler="kraken2"))
    assert found.trust.verdict == "abstain"
    assert found.trust.reasons[1] == (
        f"the profile was made with kraken2, the training profiles with {PROFILER}, and the two name taxa differently"
    )


def test_an_analyte_without_a_unit_calls_for_care() -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit)  # type: ignore[arg-type]
        for name, unit in UNITS.items()
    )
    found = judged(Candidate({}, None, blood), replace(model("immune"), units=UNITS))
    assert found.trust.verdict == "use with care"
    assert found.trust.reasons == ("the unit of IL-10 was not reported and may differ from the training cohorts'",)
    assert found.trust.unit_unstated == ("IL-10",)
    assert judged(Candidate({}, None, blood[:2]), replace(model("immune"), units=UNITS)).trust.unit_unstated == ()


def blood_of(**values: float | str) -> tuple[Measurement, ...]:
    readings = {"IL-6": 3.0, "IL-8": 3.0, "IL-10": 3.0, "CD40L": 3.0, "IL6 mRNA": 3.0, **values}
    return tuple(
        Measurement(name.removesuffix(" mRNA"), parse_value(value, unit=STATED[name]), STATED[name])  # type: ignore[arg-type]
        for name, value in readings.items()
    )


@pytest.mark.parametrize(
    ("values", "beyond", "verdict"),
    [
        ({}, [], "ok"),
        ({"IL-6": 1e6}, ["IL-6"], "use with care"),
        ({"IL-6": 1e-6}, ["IL-6"], "use with care"),
        ({"IL-6": 0.0}, ["IL-6"], "use with care"),
        ({"IL-6": "OOR<"}, [], "ok"),
        ({"IL-6": "OOR>"}, [], "ok"),
        ({"IL-6": ">5000"}, ["IL-6"], "use with care"),
        ({"IL-6": 1e6, "CD40L": -80.0}, ["IL-6", "CD40L"], "use with care"),
        ({"IL-6": 1e6, "IL-8": 1e6, "CD40L": -80.0}, ["IL-6", "IL-8", "CD40L"], "abstain"),
    ],
)
def test_analytes_beyond_their_range(values: dict[str, float | str], beyond: list[str], verdict: str) -> None:
    found = judged(Candidate({}, None, blood_of(**values)), model("immune"))
    assert found.trust.out_of_range == tuple(beyond)
    assert found.trust.verdict == verdict
    assert all(name in "".join(found.trust.reasons) for name in beyond)
    assert ("check their units" in "".join(found.trust.reasons)) == (verdict == "abstain")


def test_half_of_the_analytes_is_half_of_those_given() -> None:
    three = blood_of(**{"IL-6": 1e6, "IL-8": 1e6})[:3]
    found = judged(Candidate({}, None, three), model("immune"))
    assert found.trust.verdict == "abstain"
    assert "2 of the 3 measured analytes" in found.trust.reasons[-1]


def test_the_ends_of_the_range_are_inside_it_in_another_unit_too() -> None:
    values = invented().immune.values[:, 0]
    for end in (np.nanmax(values[np.isfinite(values)]), np.nanmin(values[np.isfinite(values)])):
        one = Measurement("IL-6", MeasuredValue(float(end) / 1000), "ng/mL")
        assert judged(Candidate({}, None, (one, *blood_of()[1:])), model("immune")).trust.out_of_range == ()


def test_clinical_numbers_beyond_their_range_call_for_care() -> None:
    found = judged(Candidate({"age": 3, "sex": "male"}, None, ()), model("clinical"))
    assert (found.trust.verdict, found.trust.out_of_range) == ("use with care", ("age",))
    assert found.trust.reasons == ("outside the range of all training patients: age",)


COHORT = CohortAuroc("invented", 0, 0, Estimate(0.8, 0.7, 0.9))


def placed(**cohort: Any) -> Model:
    found = model("taxa", per_cohort=(replace(COHORT, cohort="another"), replace(COHORT, **cohort)))
    return replace(found, reference=complete("elastic_net", ("taxa",)).reference)


def test_a_patient_inside_the_cloud_is_answered_and_placed() -> None:
    found = judged(next(one for one in patients() if one.taxa), placed())
    assert found.trust.nearest_cohort == "invented"
    assert found.trust.nearest_cohort_auroc == Estimate(0.8, 0.7, 0.9)
    assert found.trust.distance > 0
    assert 0 <= found.trust.distance_percentile <= CARE_PERCENTILE
    assert "distance" not in " ".join(found.trust.reasons)


@pytest.mark.parametrize(
    ("quantile", "verdict", "says"),
    [(0.5, None, ""), (0.97, "use with care", "than 97% of theirs"), (2.0, "abstain", "than all of theirs")],
)
def test_far_from_every_patient(quantile: float, verdict: str | None, says: str) -> None:
    by = placed()
    assert by.reference is not None
    candidate = patients()[0]
    distance = judged(candidate, by).trust.distance
    # The cloud is scaled so that this patient falls where the rule is to be tried.
    held_out = np.linspace(0, distance / quantile, 100, endpoint=quantile > 1)
    found = judged(candidate, replace(by, reference=replace(by.reference, held_out_distances=held_out)))
    reasons = [reason for reason in found.trust.reasons if "farther" in reason]
    assert len(reasons) == (verdict is not None)
    assert says in "".join(reasons)
    assert found.trust.verdict == (verdict or "ok")


def test_a_bare_profile_is_near_to_everyone_and_calls_for_care() -> None:
    found = judged(stool(), placed())
    assert found.trust.distance_percentile < CARE_PERCENTILE
    assert found.trust.richness_percentile == 0
    assert found.trust.verdict == "use with care"
    assert found.trust.reasons == ("only 0% of training patients have as few of the model's taxa",)


@pytest.mark.parametrize(
    ("cohort", "says"),
    [
        (
            {"auroc": Estimate(0.55, 0.45, 0.65)},
            "was no better than chance (0.55, 95% interval 0.45 to 0.65)",
        ),
        (
            {"auroc": Estimate(0.3, 0.2, 0.4)},
            "was no better than chance (0.30, 95% interval 0.20 to 0.40)",
        ),
        ({"auroc": Estimate(None, None, None)}, "could not be estimated"),
        ({"cohort": "a third"}, "could not be estimated"),
    ],
)
def test_the_nearest_cohort_is_held_against_the_model(cohort: dict[str, Any], says: str) -> None:
    found = judged(next(one for one in patients() if one.taxa), placed(**cohort))
    assert found.trust.verdict == "use with care"
    assert any("invented" in reason and says in reason for reason in found.trust.reasons)


def profile_of(cohort: Cohort, i: int) -> StoolProfile:
    values = dict(zip(cohort.taxa.taxa, cohort.taxa.values[i].tolist(), strict=True))
    return StoolProfile(values, cohort.taxa.unit, cohort.taxa.profiler)


def test_no_profile_of_another_taxonomy_is_answered(cohorts_dir: Path) -> None:
    table = landmark_table(read_cohort("spencer_2021", cohorts_dir, fetch=False))
    encoder = BlockEncoder(("taxa",)).fit(table)
    found = model("taxa", per_cohort=(replace(COHORT, cohort="spencer_2021"),))
    reference = fit_reference_set(table.taxa.values, table.taxa.names, table.rows["cohort"].tolist())
    by = replace(found, encoder=encoder, reference=reference, profilers=(table.cohorts["spencer_2021"].profiler,))
    other = read_cohort("frankel_2017_qiime2", cohorts_dir, fetch=False)
    same = read_cohort("frankel_2017", cohorts_dir, fetch=False)
    for i in range(len(other.taxa.values)):
        judgement = judged(Candidate({}, profile_of(other, i)), by)
        assert judgement.trust.verdict == "abstain"
        assert any("with qiime2_gtdb" in reason and "name taxa" in reason for reason in judgement.trust.reasons)
        assert any("of the profile's abundance" in reason for reason in judgement.trust.reasons)
    # The very same samples, profiled as the model's patients were.
    verdicts = [judged(Candidate({}, profile_of(same, i)), by).trust.verdict for i in range(len(same.taxa.values))]
    assert verdicts.count("abstain") <= 2


def test_simulated_training_says_nothing_of_real_patients() -> None:
    found = judged(stool(), model(simulated=True))
    assert found.trust.verdict == "use with care"
    assert "simulated" in found.trust.reasons[0]


def test_the_gravest_verdict_counts_and_every_reason_stays() -> None:
    care = stool({"Unheard_of": 55.0, KNOWN[0]: 5.0}, profiler="kraken2", clock="day_fmt", day=9.0)
    found = judged(care, model(simulated=True, beats_chance=False, sentence="no better than chance"))
    assert found.trust.verdict == "abstain"
    parts = ("abundance", "kraken2", "day_fmt", "day 9", "sums to 60%", "no better", "simulated")
    assert len(found.trust.reasons) == len(parts)
    assert all(part in reason for part, reason in zip(parts, found.trust.reasons, strict=True))
