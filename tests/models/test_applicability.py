"""Each rule of the applicability domain, alone and with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.cohort import Cohort, read_cohort
from features.errors import InputError
from features.landmark import landmark_table
from features.measured_values import MeasuredValue, parse_value
from features.population import Population
from models.applicability import MIN_ANALYTES, Assessment, assess_applicability
from models.batch import table_candidates
from models.bundle import Model, load_bundle, save_bundle
from models.encoder import BlockEncoder
from models.evidence import CentreAuroc, Estimate, TrainingPopulation
from models.patient_input import Candidate, Measurement, StoolProfile, to_model_input
from models.reference import CARE_PERCENTILE, CARE_RECOGNISED, MIN_RECOGNISED, fit_reference_set

from .conftest import BLOCKS, PROFILER, UNITS, complete, invented, trained

KNOWN = ("Genus0_species0", "Genus1_species1", "Genus2_species2")
STATED = {**UNITS, "IL-10": "pg/mL"}
FULL = {KNOWN[0]: 50.0, KNOWN[1]: 30.0, KNOWN[2]: 20.0}


def model(*blocks: str, **evidence: Any) -> Model:
    assessment = trained("elastic_net", blocks or ("taxa",))
    return replace(
        assessment, evidence=replace(assessment.evidence, **evidence), units={n: STATED[n] for n in assessment.units}
    )


def patients() -> list[Candidate]:
    return list(table_candidates(replace(invented(), units=STATED)))


def strangers() -> list[Candidate]:
    return list(table_candidates(replace(invented(seed=5), units=STATED)))


def stool(values: dict[str, float] | None = None, **changes: Any) -> Candidate:
    fields = {"unit": "percent", "profiler": PROFILER, "day": -3.0, "clock": "day_ici", **changes}
    return Candidate({}, StoolProfile(values or FULL, **fields))


def assess(candidate: Candidate, predictor_model: Model | None = None) -> Assessment:
    predictor_model = predictor_model or model()
    model_input = to_model_input(candidate, predictor_model.encoder, predictor_model.units)
    return assess_applicability(
        predictor_model, candidate, model_input, predictor_model.encoder.encode(model_input.values)
    )


def test_a_patient_like_the_training_patients_gets_a_prediction() -> None:
    assessment = assess(stool())
    assert (assessment.trust.verdict, assessment.trust.reasons) == ("ok", ())
    assert assessment.trust.profiler_match is True
    assert assessment.trust.taxa_recognised == pytest.approx(1)
    assert assessment.trust.unused == ()
    assert assessment.trust.taxa_present == pytest.approx(3 / len(model().encoder.features_))
    complete_candidate = model(*BLOCKS)
    candidates = [c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical]
    assert {assess(c, complete_candidate).trust.verdict for c in candidates} == {"ok"}


@pytest.mark.parametrize(
    ("block", "measurement"),
    [
        ("taxa", StoolProfile({"Bacillus_terrae": 1.0}, "proportions", PROFILER)),
        ("immune", (Measurement("CRP", MeasuredValue(3.0), "mg/L"),)),
    ],
)
def test_a_block_of_which_the_model_knows_nothing_was_reported(block: str, measurement: object) -> None:
    complete_candidate = next(c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical)
    trust = assess(replace(complete_candidate, **{block: measurement}), model(*BLOCKS)).trust
    assert trust.missing_blocks == (block,)
    assert trust.unknown_blocks == (block,)
    assert any(reason.endswith(", and none that it knows was reported") for reason in trust.reasons)


@pytest.mark.parametrize("missing", BLOCKS)
def test_without_a_block_it_abstains(missing: str) -> None:
    complete_candidate = next(c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical)
    truncated = replace(complete_candidate, **{missing: {"taxa": None, "immune": (), "clinical": {}}[missing]})
    assessment = assess(truncated, model(*BLOCKS))
    assert assessment.trust.verdict == "abstain"
    content = {"taxa": "taxa of a stool profile", "immune": "immune measurements", "clinical": "clinical data"}[missing]
    assert assessment.trust.reasons == (f"the model needs {content}, and none was reported",)
    assert getattr(assessment.trust, f"{missing}_present") == 0
    assert (assessment.trust.missing_blocks, assessment.trust.unknown_blocks) == ((missing,), ())


def test_a_block_of_which_nothing_is_known_is_as_good_as_none() -> None:
    complete_candidate = next(c for c in patients() if len(c.immune) == len(UNITS) and "age" in c.clinical)
    assessment = assess(replace(complete_candidate, clinical={"shoe": 43.0}), model(*BLOCKS))
    assert assessment.trust.verdict == "abstain"
    assert assessment.trust.unused == ("shoe",)


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
    assessment = assess(stool({KNOWN[0]: 100 * share, "Unheard_of": 100 * (1 - share)}))
    assert assessment.trust.verdict == verdict
    assert assessment.trust.taxa_recognised == pytest.approx(share)
    assert assessment.trust.unused == ("Unheard_of",)
    assert ("of the profile's abundance" in " ".join(assessment.trust.reasons)) == (verdict != "ok")


@pytest.mark.parametrize(
    ("profiler", "match", "sentence"),
    [
        (PROFILER, True, None),
        ("kraken2", False, "with kraken2, the training profiles with MetaPhlAn 4 (October 2022 database)"),
        (None, None, "not reported"),
    ],
)
def test_another_profiler_calls_for_care(profiler: str | None, match: bool | None, sentence: str | None) -> None:
    assessment = assess(stool(profiler=profiler))
    assert assessment.trust.profiler_match is match
    assert assessment.trust.verdict == ("ok" if sentence is None else "use with care")
    assert (sentence or "") in "".join(assessment.trust.reasons)


def test_two_databases_of_one_month_are_told_apart_by_their_codes() -> None:
    later = PROFILER.replace("202212", "202403")
    assessment = assess(stool(profiler=later))
    assert f"made with {later}, the training profiles with {PROFILER}" in "".join(assessment.trust.reasons)


def test_a_model_whose_profiler_was_not_stated_matches_none() -> None:
    assessment = assess(stool(), replace(model(), profilers=()))
    assert assessment.trust.reasons == (
        "the profile was made with MetaPhlAn 4 (October 2022 database), the training profiles with an unreported "
        "profiler",
    )


def test_another_clock_calls_for_care() -> None:
    assessment = assess(stool(clock="day_fmt"), model(clocks=("day_ici", "day_x")))
    assert assessment.trust.verdict == "use with care"
    assert assessment.trust.reasons == (
        "the stool sample's day is counted from the first transplant, the model's days from the first dose of immune "
        "checkpoint inhibitors and day 0 of the clock day_x",
    )
    assert assessment.trust.clock_match is False
    assert assess(stool(clock=None)).trust.verdict == "ok"


def test_stool_from_after_the_landmark_calls_for_care() -> None:
    assert assess(stool(day=14.0), model(landmark=14.0)).trust.verdict == "ok"
    assessment = assess(stool(day=15.0), model(landmark=14.0))
    assert assessment.trust.reasons == (
        "the stool sample was taken on day 15, after the model's prediction day, day 14",
    )
    assert assess(stool(day=None)).trust.verdict == "ok"


@pytest.mark.parametrize(("filled", "verdict"), [(0.45, "abstain"), (0.6, "use with care"), (0.85, "ok")])
@pytest.mark.parametrize(("unit", "complete_candidate"), [("percent", 100), ("proportions", 1)])
def test_a_profile_that_does_not_sum_to_its_whole(
    filled: float, verdict: str, unit: str, complete_candidate: float
) -> None:
    values = {name: value / 100 * complete_candidate * filled for name, value in FULL.items()}
    assessment = assess(stool(values, unit=unit))
    assert assessment.trust.verdict == verdict
    assert (f"sums to {filled:.0%}" in "".join(assessment.trust.reasons)) == (verdict != "ok")
    truncated = assess(stool(values, unit=unit, profiler=None))
    assert ("profiler" in [reason.rule for reason in truncated.decisive]) == (verdict != "abstain")
    assert "the profile's profiler was not reported" in truncated.trust.reasons


def test_counts_have_no_whole_to_fill() -> None:
    assert assess(stool({KNOWN[0]: 3, KNOWN[1]: 4}, unit="counts")).trust.verdict == "ok"


@pytest.mark.parametrize("n_reported", range(len(UNITS) + 1))
def test_few_analytes(n_reported: int) -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit)  # type: ignore[arg-type]
        for name, unit in list(STATED.items())[:n_reported]
    )
    assessment, share = assess(Candidate({}, None, blood), model("immune")), n_reported / len(UNITS)
    assert assessment.trust.immune_present == pytest.approx(share)
    assert assessment.trust.verdict == ("ok" if share == 1 else "abstain" if share < MIN_ANALYTES else "use with care")


def test_blood_from_after_the_landmark_calls_for_care() -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit, 15.0)  # type: ignore[arg-type]
        for name, unit in STATED.items()
    )
    assert assess(Candidate({}, None, blood), model("immune", landmark=15.0)).trust.verdict == "ok"
    assessment = assess(Candidate({}, None, blood), model("immune", landmark=14.0))
    assert assessment.trust.verdict == "use with care"
    assert assessment.trust.reasons == ("blood was drawn on day 15, after the model's prediction day, day 14",)


def test_clinical_gaps_call_for_care() -> None:
    names = model("clinical").encoder.used_["clinical"]
    columns = dict.fromkeys(name.partition("=")[0] for name in names)
    assert len(columns) > 1
    assessment = assess(Candidate({"age": 60.0}, None, ()), model("clinical"))
    assert assessment.trust.verdict == "use with care"
    assert assessment.trust.reasons == (f"only {1 / len(names):.0%} of the model's clinical columns were reported",)


def test_only_analytes_that_the_model_uses_count() -> None:
    table = invented()
    table.immune.values[:40, 0] = float("nan")
    encoder = BlockEncoder(("immune",)).fit(table)
    assessment = replace(model("immune"), encoder=encoder)
    dropped = Candidate({}, None, (Measurement("IL-6", MeasuredValue(3.0), "pg/mL"),))
    assert assess(dropped, assessment).trust.verdict == "abstain"
    assert assess(dropped, assessment).trust.unused == ("IL-6",)
    remaining = tuple(Measurement(n.removesuffix(" mRNA"), MeasuredValue(3.0), u) for n, u in list(STATED.items())[1:])  # type: ignore[arg-type]
    assert assess(Candidate({}, None, remaining), assessment).trust.verdict == "ok"


@pytest.mark.parametrize("beats", [False, None])
def test_evidence_that_does_not_exclude_chance_is_repeated(beats: bool | None) -> None:
    assessment = assess(stool(), model(beats_chance=beats, sentence="it did no better than chance"))
    assert (assessment.trust.verdict, assessment.trust.reasons) == ("use with care", ("it did no better than chance",))


def test_a_profiler_that_names_taxa_differently_leads_to_abstention() -> None:
    mixed = {KNOWN[0]: 70.0, "Unheard_of": 30.0}
    assert assess(stool(mixed)).trust.verdict == "use with care"
    assessment = assess(stool(mixed, profiler="kraken2"))
    assert assessment.trust.verdict == "abstain"
    assert assessment.trust.reasons[1] == (
        "the profile was made with kraken2, the training profiles with MetaPhlAn 4 (October 2022 database), and the "
        "two name taxa differently"
    )


def test_an_analyte_without_a_unit_calls_for_care() -> None:
    blood = tuple(
        Measurement(name.removesuffix(" mRNA"), MeasuredValue(3.0), unit)  # type: ignore[arg-type]
        for name, unit in UNITS.items()
    )
    assessment = assess(Candidate({}, None, blood), replace(model("immune"), units=UNITS))
    assert assessment.trust.verdict == "use with care"
    assert assessment.trust.reasons == ("the unit of IL-10 was not reported and may differ from the training cohorts'",)
    assert assessment.trust.unit_unstated == ("IL-10",)
    assert assess(Candidate({}, None, blood[:2]), replace(model("immune"), units=UNITS)).trust.unit_unstated == ()


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
    assessment = assess(Candidate({}, None, blood_of(**values)), model("immune"))
    assert assessment.trust.out_of_range == tuple(beyond)
    assert assessment.trust.verdict == verdict
    assert all(name in "".join(assessment.trust.reasons) for name in beyond)
    assert ("check their units" in "".join(assessment.trust.reasons)) == (verdict == "abstain")


def test_the_share_out_of_range_is_of_the_measured_analytes() -> None:
    three = blood_of(**{"IL-6": 1e6, "IL-8": 1e6})[:3]
    assessment = assess(Candidate({}, None, three), model("immune"))
    assert assessment.trust.verdict == "abstain"
    assert "2 of the 3 measured analytes" in assessment.trust.reasons[-1]


def test_the_ends_of_the_range_are_inside_it_in_another_unit_too() -> None:
    values = invented().immune.values[:, 0]
    for end in (np.nanmax(values[np.isfinite(values)]), np.nanmin(values[np.isfinite(values)])):
        candidate = Measurement("IL-6", MeasuredValue(float(end) / 1000), "ng/mL")
        assert assess(Candidate({}, None, (candidate, *blood_of()[1:])), model("immune")).trust.out_of_range == ()


def test_clinical_numbers_beyond_their_range_call_for_care() -> None:
    assessment = assess(Candidate({"age": 3, "sex": "male"}, None, ()), model("clinical"))
    assert (assessment.trust.verdict, assessment.trust.out_of_range) == ("use with care", ("age",))
    assert assessment.trust.reasons == ("outside the range of all training patients: age",)


CENTRE = CentreAuroc("invented", 0, 0, Estimate(0.8, 0.7, 0.9))


def model_with_reference(**centre: Any) -> Model:
    assessment = model("taxa", per_centre=(replace(CENTRE, centre="another"), replace(CENTRE, **centre)))
    return replace(assessment, reference=complete("elastic_net", ("taxa",)).reference)


def test_a_patient_near_the_training_patients_gets_a_prediction_and_a_nearest_centre() -> None:
    assessment = assess(next(candidate for candidate in patients() if candidate.taxa), model_with_reference())
    assert assessment.trust.nearest_centre == "invented"
    assert assessment.trust.nearest_centre_auroc == Estimate(0.8, 0.7, 0.9)
    assert assessment.trust.distance > 0
    assert 0 <= assessment.trust.distance_percentile <= CARE_PERCENTILE
    assert "distance" not in " ".join(assessment.trust.reasons)


@pytest.mark.parametrize(
    ("quantile", "verdict", "sentence"),
    [
        (0.5, None, ""),
        (0.97, "use with care", "than 97% of the training"),
        (2.0, "abstain", "than all of the training"),
    ],
)
def test_far_from_every_patient(quantile: float, verdict: str | None, sentence: str) -> None:
    predictor_model = model_with_reference()
    assert predictor_model.reference is not None
    candidate = strangers()[0]
    distance = assess(candidate, predictor_model).trust.distance
    # The cloud is scaled so that this patient falls where the rule is to be tried.
    held_out = np.linspace(0, distance / quantile, 100, endpoint=quantile > 1)
    assessment = assess(
        candidate, replace(predictor_model, reference=replace(predictor_model.reference, held_out_distances=held_out))
    )
    reasons = [reason for reason in assessment.trust.reasons if "more unusual" in reason]
    assert len(reasons) == (verdict is not None)
    assert sentence in "".join(reasons)
    assert assessment.trust.verdict == (verdict or "ok")
    assert assessment.trust.decisive == (("distance",) if verdict else ())


def test_a_training_patients_own_profile_is_recognised_whatever_the_name() -> None:
    trust = assess(patients()[0], model_with_reference()).trust
    assert trust.in_training_set is True
    assert trust.training_similarity == pytest.approx(1)
    assert trust.verdict == "use with care"
    assert trust.decisive == ("training patient",)
    assert "this patient's profile is in the training set (similarity 1.000 of 1)" in trust.reasons[0]


def test_a_strangers_profile_is_not_recognised_and_a_bare_one_is_not_compared() -> None:
    trust = assess(strangers()[0], model_with_reference()).trust
    assert trust.in_training_set is False
    assert 0 < trust.training_similarity < 0.98
    bare = assess(stool(), model_with_reference()).trust
    assert (bare.in_training_set, bare.training_similarity) == (None, None)


POPULATION = TrainingPopulation({"melanoma": 40, "urothelial": 12}, {"first": 50}, {})


@pytest.mark.parametrize(
    ("population", "verdict", "rule", "sentence", "counts"),
    [
        (Population("melanoma", "first"), "ok", None, "", (40, 50, None)),
        (Population("renal_cell"), "abstain", "tumour type", "is renal_cell; the model was trained on melanoma and uro",
         (0, None, None)),
        (Population("urothelial"), "use with care", "tumour type", "only 12 training patients have", (12, None, None)),
        (Population(), "use with care", "tumour type", "tumour type was not reported", (None, None, None)),
        (Population("melanoma", "later"), "use with care", "treatment line", "treatment line is later", (40, 0, None)),
        (Population("melanoma", None, "anti-PD-1"), "ok", None, "", (40, None, None)),
    ],
)  # fmt: skip
def test_another_tumour_type_abstains_and_another_line_calls_for_care(population, verdict, rule, sentence, counts):
    trust = assess(replace(stool(), population=population), replace(model(), population=POPULATION)).trust
    assert (trust.verdict, trust.decisive) == (verdict, (rule,) if rule else ())
    assert sentence in "".join(trust.reasons[:1])
    assert (trust.tumour_type_patients, trust.treatment_line_patients, trust.drug_class_patients) == counts


def test_a_model_that_does_not_report_its_patients_has_no_rule_on_them():
    trust = assess(replace(stool(), population=Population("renal_cell"))).trust
    assert (trust.verdict, trust.tumour_type_patients) == ("ok", None)


def test_a_bundle_keeps_whom_it_was_trained_on(tmp_path):
    save_bundle(replace(model(), population=POPULATION), tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").population == POPULATION


def test_a_table_of_features_states_whom_its_patients_belong_to():
    table = replace(invented(3), units=STATED)
    rows = table.rows.assign(tumour_type=["melanoma", "", np.nan], drug_class="anti-PD-1")
    candidates = list(table_candidates(replace(table, rows=rows)))
    assert [candidate.population for candidate in candidates] == [
        Population("melanoma", None, "anti-PD-1"), *[Population(None, None, "anti-PD-1")] * 2,
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"tumour_type: expected one of .*, got 'skin'"):
        list(table_candidates(replace(table, rows=rows.assign(tumour_type=["melanoma", "skin", ""]))))


def test_a_bare_profile_is_near_to_everyone_and_calls_for_care() -> None:
    assessment = assess(stool(), model_with_reference())
    assert assessment.trust.distance_percentile < CARE_PERCENTILE
    assert assessment.trust.richness_percentile == 0
    assert assessment.trust.verdict == "use with care"
    assert assessment.trust.reasons == ("only 0% of training patients have as few of the model's taxa",)


@pytest.mark.parametrize(
    ("centre", "sentence"),
    [
        (
            {"auroc": Estimate(0.55, 0.45, 0.65)},
            "gives no evidence of discrimination (0.55, 95% interval 0.45 to 0.65)",
        ),
        (
            {"auroc": Estimate(0.3, 0.2, 0.4)},
            "gives no evidence of discrimination (0.30, 95% interval 0.20 to 0.40)",
        ),
        ({"auroc": Estimate(None, None, None)}, "could not be estimated"),
        ({"centre": "a third"}, "could not be estimated"),
    ],
)
def test_no_skill_in_the_nearest_centre_calls_for_care(centre: dict[str, Any], sentence: str) -> None:
    assessment = assess(next(candidate for candidate in patients() if candidate.taxa), model_with_reference(**centre))
    assert assessment.trust.verdict == "use with care"
    assert any("invented" in reason and sentence in reason for reason in assessment.trust.reasons)


def profile_of(cohort: Cohort, i: int) -> StoolProfile:
    values = dict(zip(cohort.taxa.taxa, cohort.taxa.values[i].tolist(), strict=True))
    return StoolProfile(values, cohort.taxa.unit, cohort.taxa.profiler)


def test_every_profile_of_another_taxonomy_leads_to_abstention(cohorts_dir: Path) -> None:
    table = landmark_table(read_cohort("spencer_2021", cohorts_dir, fetch=False))
    encoder = BlockEncoder(("taxa",)).fit(table)
    assessment = model("taxa", per_centre=(replace(CENTRE, centre="spencer_2021"),))
    reference = fit_reference_set(table.taxa.values, table.taxa.names, table.rows["cohort"].tolist())
    predictor_model = replace(
        assessment, encoder=encoder, reference=reference, profilers=(table.cohorts["spencer_2021"].profiler,)
    )
    qiime2_cohort = read_cohort("frankel_2017_qiime2", cohorts_dir, fetch=False)
    metaphlan_cohort = read_cohort("frankel_2017", cohorts_dir, fetch=False)
    for i in range(len(qiime2_cohort.taxa.values)):
        judgement = assess(Candidate({}, profile_of(qiime2_cohort, i)), predictor_model)
        assert judgement.trust.verdict == "abstain"
        assert any("with qiime2_gtdb" in reason and "name taxa" in reason for reason in judgement.trust.reasons)
        assert any("of the profile's abundance" in reason for reason in judgement.trust.reasons)
    # The very same samples, profiled as the model's patients were.
    verdicts = [
        assess(Candidate({}, profile_of(metaphlan_cohort, i)), predictor_model).trust.verdict
        for i in range(len(metaphlan_cohort.taxa.values))
    ]
    assert verdicts.count("abstain") <= 2


def test_simulated_training_data_call_for_care() -> None:
    assessment = assess(stool(), model(simulated=True))
    assert assessment.trust.verdict == "use with care"
    assert "simulated" in assessment.trust.reasons[0]


def test_the_gravest_verdict_counts_and_every_reason_stays() -> None:
    care = stool({"Unheard_of": 55.0, KNOWN[0]: 5.0}, profiler="kraken2", clock="day_fmt", day=9.0)
    assessment = assess(care, model(simulated=True, beats_chance=False, sentence="no better than chance"))
    assert assessment.trust.verdict == "abstain"
    parts = ("simulated", "abundance", "kraken2", "first transplant", "day 9", "sums to 60%", "no better")
    assert len(assessment.trust.reasons) == len(parts)
    assert all(part in reason for part, reason in zip(parts, assessment.trust.reasons, strict=True))
