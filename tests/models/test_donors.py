"""Donors compared for one recipient: what the models make of expected stool, and when there is no order."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from features.errors import InputError
from features.transplants import Transplant, TransplantProfiles
from models.calibration import Calibration
from models.donors import ComparedDonor, DonorComparison, DonorDifference, DonorStool, compare_donors
from models.donors.compare import DRAWS, STOOL_AFTER_LEARNT
from models.donors.differences import donor_differences
from models.evidence import Estimate, ProbabilityGroup
from models.patient_input import Candidate, StoolProfile
from models.predict import ServedModel, predict
from models.prediction import LEARNT_FROM_PATIENT
from models.rates import event_rate
from training.engraftment.run import validated_bundle
from training.progress import Progress

from .conftest import PROFILER, complete, invented, trained, validation_of

TABLE = invented(36)
TAXA = TABLE.taxa.names


@pytest.fixture(scope="module")
def bundle():
    """Return the engraftment model of twelve transplants from four donors."""
    rng = np.random.default_rng(3)
    recipients, donors = TABLE.taxa.values[:12], TABLE.taxa.values[12:16][np.arange(12) % 4]
    # A mean of logarithms, which no baseline of proportions expects.
    logs = 0.7 * np.log(recipients + 1e-4) + 0.2 * np.log(donors + 1e-4)
    stool_after = np.exp(logs + 0.2 * rng.standard_normal(logs.shape)) * ((recipients > 0) | (donors > 0))
    stool_after /= stool_after.sum(axis=1, keepdims=True)
    rows = tuple(Transplant("invented", f"p{i}", (f"invented/d{i % 4}",), 28.0) for i in range(12))
    profiles = TransplantProfiles(rows, TAXA, recipients, donors, stool_after, PROFILER, "species", True, ())
    return validated_bundle(profiles, ("invented",), Progress())


@pytest.fixture(scope="module")
def convincing(bundle):
    """Return the bundle with evidence that it beats every baseline."""
    validation = bundle.evidence.donors_left_out
    above_0 = Estimate(0.1, 0.05, 0.15)
    methods = [replace(item, bray_curtis_excess=above_0, aitchison_excess=above_0) for item in validation.methods]
    validations = (bundle.evidence.validations[0], replace(validation, methods=tuple(methods)))
    return replace(bundle, evidence=replace(bundle.evidence, validations=validations))


def stool(row, profiler=PROFILER):
    values = {name: float(value) for name, value in zip(TAXA, TABLE.taxa.values[row], strict=True) if value}
    return StoolProfile(values, "proportions", profiler)


def served(alias="champion"):
    models = {
        "objective_response": trained("elastic_net", ("taxa",), outcome="objective_response"),
        "toxicity_any": trained("xgboost", ("taxa", "clinical")),
    }
    return {name: [ServedModel(model, name, "1", "", alias)] for name, model in models.items()}


RECIPIENT = Candidate({"age": 60.0, "sex": "female"}, stool(20))
DONORS = [DonorStool(f"donor {i}", stool(24 + i)) for i in range(3)]


def test_the_probabilities_are_those_of_the_served_models(bundle):
    comparison = compare_donors(bundle, served(), RECIPIENT, DONORS)
    response, toxicity = comparison.donors[0].changes
    assert (response.outcome, toxicity.outcome) == ("objective_response", "toxicity_any")
    draws = bundle.model.expect(TABLE.taxa.values[20], TABLE.taxa.values[24]).draws(DRAWS, np.random.default_rng(0))
    for change in comparison.donors[0].changes:
        ranked = served()[change.outcome]
        assert change.probability_before == pytest.approx(predict(ranked, RECIPIENT).probability, abs=1e-6)
        log_odds = []
        for draw in draws[:: DRAWS // 20]:
            values = {name: float(value) for name, value in zip(TAXA, draw, strict=True) if value}
            candidate = replace(RECIPIENT, taxa=StoolProfile(values, "proportions", PROFILER))
            explanation = predict(ranked, candidate).explanation
            log_odds.append(explanation.value if explanation else np.nan)
        calibration = ranked[0].model.calibration
        estimate = (np.log(change.probability_after / (1 - change.probability_after)) - calibration.intercept) / (
            calibration.slope
        )
        assert np.nanmean(log_odds) == pytest.approx(estimate, abs=4 * np.nanstd(log_odds) / np.sqrt(20))
        assert change.low <= change.difference <= change.high
        assert change.difference == pytest.approx(change.probability_after - change.probability_before)


def test_the_interval_is_that_of_the_held_out_transplants(bundle):
    comparison = compare_donors(bundle, served(), RECIPIENT, DONORS)
    model = served()["objective_response"][0].model
    residuals = []
    for seed, (expected, observed) in enumerate(
        zip(bundle.held_out.profiles, bundle.held_out.stool_after, strict=True)
    ):
        draws = expected.draws(DRAWS, np.random.default_rng(seed))
        log_odds = [model.predictor.margin(model.encoder.encode({"taxa": x})) for x in (observed[None], draws)]
        residuals.append(log_odds[0][0] - log_odds[1].mean())
    half = 2.776 * np.sqrt(np.mean(np.square(residuals)))
    change = comparison.donors[0].changes[0]
    centre = np.log(change.probability_after / (1 - change.probability_after))
    high = expit(centre + model.calibration.slope * half) - change.probability_before
    assert change.high == pytest.approx(high, abs=1e-4)


def test_shap_values_of_a_linear_model_add_up_to_the_change_of_log_odds(bundle, monkeypatch):
    monkeypatch.setattr("models.donors.compare.N_DRIVERS", 10_000)
    change = compare_donors(bundle, served(), RECIPIENT, DONORS).donors[0].changes[0]
    calibration = served()["objective_response"][0].model.calibration
    before, after = (np.log(p / (1 - p)) for p in (change.probability_before, change.probability_after))
    assert sum(driver.shap_change for driver in change.drivers) == pytest.approx(
        (after - before) / calibration.slope, abs=1e-6
    )


def test_donors_are_ordered_only_where_both_models_have_earned_it(bundle, convincing):
    ordered = compare_donors(convincing, served(), RECIPIENT, DONORS)
    assert ordered.ordered
    assert ordered.no_order_reasons == ()
    differences = [donor.changes[0].difference for donor in ordered.donors]
    assert differences == sorted(differences, reverse=True)
    candidates = compare_donors(convincing, served("candidate"), RECIPIENT, DONORS)
    assert not candidates.ordered
    assert "the model of response is not promoted" in candidates.no_order_reasons
    assert [donor.donor for donor in candidates.donors] == ["donor 0", "donor 1", "donor 2"]
    recipients_only = replace(bundle, evidence=replace(bundle.evidence, validations=bundle.evidence.validations[:1]))
    reasons = compare_donors(recipients_only, served(), RECIPIENT, DONORS).no_order_reasons
    assert reasons == ("the engraftment model learnt from too few donors to leave each out in turn",)
    baseline = replace(convincing, model=convincing.model.with_method("recipient unchanged"))
    reason = compare_donors(baseline, served(), RECIPIENT, DONORS).no_order_reasons[0]
    assert reason.endswith(". Expected here: no change of the recipient's stool")
    assert "the regression is not shown to predict the stool after a transplant better than a simple" in reason
    without_toxicity = {"objective_response": served()["objective_response"]}
    reasons = compare_donors(convincing, without_toxicity, RECIPIENT, DONORS).no_order_reasons
    assert reasons == ("no model of toxicity that reads taxa, and not the donor block, is served",)


def test_equal_donors_are_indistinguishable(convincing):
    twins = [DonorStool("a", stool(24)), DonorStool("b", stool(24))]
    first, second = compare_donors(convincing, served(), RECIPIENT, twins).donors
    assert (first.indistinguishable_from, second.indistinguishable_from) == (("b",), ("a",))
    assert first.changes[0].difference == second.changes[0].difference
    for item in (*first.differences, *second.differences):
        assert item.difference == 0
        assert item.low == pytest.approx(-item.high)


def test_donors_who_are_not_compared_in_one_outcome_are_not_said_to_be_alike(convincing):
    models = served()
    models["toxicity_any"] = [replace(item, model=contradicted(item.model)) for item in models["toxicity_any"]]
    twins = [DonorStool("a", stool(24)), DonorStool("b", stool(24))]
    first, second = compare_donors(convincing, models, RECIPIENT, twins).donors
    assert [item.outcome for item in first.differences] == ["objective_response"]
    assert (first.indistinguishable_from, second.indistinguishable_from) == ((), ())


@pytest.mark.parametrize("exact", [False, True])
def test_donors_are_judged_by_the_difference_of_both_outcomes(bundle, exact):
    bundle = without_error(bundle) if exact else bundle
    donors = compare_donors(bundle, served(), RECIPIENT, DONORS).donors
    by_name = {donor.donor: donor for donor in donors}
    for donor in donors:
        assert {item.outcome for item in donor.differences} == {"objective_response", "toxicity_any"}
        assert len(donor.differences) == 2 * (len(donors) - 1)
        after = {change.outcome: change.probability_after for change in donor.changes}
        for item in donor.differences:
            other = by_name[item.donor]
            (other_after,) = [c.probability_after for c in other.changes if c.outcome == item.outcome]
            assert item.difference == pytest.approx(after[item.outcome] - other_after)
            assert item.low - 1e-9 <= item.difference <= item.high + 1e-9
            (mirrored,) = [x for x in other.differences if (x.donor, x.outcome) == (donor.donor, item.outcome)]
            assert (mirrored.difference, mirrored.low, mirrored.high) == (-item.difference, -item.high, -item.low)
        differing = {item.donor for item in donor.differences if item.low > 0 or item.high < 0}
        assert {item.donor for item in donor.differences} - differing == set(donor.indistinguishable_from)


def test_the_interval_of_a_difference_is_that_of_two_independent_errors_over_all_pairs():
    probabilities = [("a", 0.3), ("b", 0.6), ("c", 0.35)]
    differences = donor_differences("toxicity_any", probabilities, error=0.2, units=6)
    (item,) = [difference for difference in differences["b"] if difference.donor == "a"]
    # Three pairs: Student's quantile of 1 - 0.025 / 3 with 6 degrees of freedom, and the errors of two donors.
    half = 3.2875 * np.sqrt(0.2**2 + 0.2**2)
    log_odds = logit(0.6) - logit(0.3)
    middle = (logit(0.6) + logit(0.3)) / 2
    low, high = (expit(middle + x / 2) - expit(middle - x / 2) for x in (log_odds - half, log_odds + half))
    assert (item.low, item.high) == pytest.approx((low, high), abs=1e-4)
    assert item.low > 0
    (near,) = [difference for difference in differences["c"] if difference.donor == "a"]
    assert near.low < 0 < near.high


def without_error(bundle):
    """Return a bundle that copies the donor, and whose held-out transplants it expected exactly."""
    held_out = bundle.held_out
    profiles = [
        replace(profile, proportion=row) for profile, row in zip(held_out.profiles, held_out.stool_after, strict=True)
    ]
    model = bundle.model.with_method("donor copied")
    return replace(bundle, model=model, held_out=replace(held_out, profiles=tuple(profiles)))


def test_every_donor_differs_where_transplants_were_expected_exactly(bundle):
    twin = DonorStool("twin of donor 0", stool(24))
    donors = compare_donors(without_error(bundle), served(), RECIPIENT, [*DONORS, twin]).donors
    alike = {donor.donor: donor.indistinguishable_from for donor in donors}
    assert alike["donor 0"] == (twin.name,)
    assert alike[twin.name] == ("donor 0",)
    assert (alike["donor 1"], alike["donor 2"]) == ((), ())


def test_a_baseline_expects_its_own_profile(bundle):
    baseline = replace(bundle, model=bundle.model.with_method("recipient unchanged"))
    comparison = compare_donors(baseline, served(), RECIPIENT, DONORS)
    change = comparison.donors[0].changes[0]
    assert change.difference == pytest.approx(0, abs=1e-9)
    assert change.low < 0 < change.high
    assert comparison.engraftment_method == "recipient unchanged"


def test_only_cleared_donors_are_compared(bundle):
    excluded = DonorStool("donor 9", stool(30), "not cleared by screening")
    comparison = compare_donors(bundle, served(), RECIPIENT, [*DONORS, excluded])
    assert "donor 9" not in {donor.donor for donor in comparison.donors}
    assert [(donor.donor, donor.reason) for donor in comparison.excluded] == [("donor 9", "not cleared by screening")]
    with pytest.raises(InputError, match="at least one donor cleared by screening"):
        compare_donors(bundle, served(), RECIPIENT, [excluded])


@pytest.mark.parametrize("profiler", ["another", None])
def test_other_profilers_are_refused(bundle, profiler):
    with pytest.raises(InputError, match="donor x"):
        compare_donors(bundle, served(), RECIPIENT, [*DONORS, DonorStool("x", stool(30, profiler))])
    with pytest.raises(InputError, match="the recipient"):
        compare_donors(bundle, served(), Candidate({}, stool(20, profiler)), DONORS)


def test_a_recipient_needs_stool_and_each_donor_one_name(bundle):
    with pytest.raises(InputError, match="send a stool profile"):
        compare_donors(bundle, served(), Candidate(), DONORS)
    with pytest.raises(InputError, match="sent twice"):
        compare_donors(bundle, served(), RECIPIENT, [*DONORS, DONORS[0]])


def test_no_probability_where_the_model_abstains(bundle):
    """The stool of the recipient lies far from every training patient's."""
    model = replace(complete("elastic_net", ("taxa",)), outcome="objective_response")
    model = replace(model, evidence=replace(model.evidence, simulated=True))
    models = {"objective_response": [ServedModel(model, "objective_response", "1", "", "champion")]}
    strange = StoolProfile({f"Unheard_of_{i}": 1.0 for i in range(9)} | {TAXA[0]: 1.0}, "counts", PROFILER)
    comparison = compare_donors(bundle, models, Candidate({}, strange), DONORS)
    for donor in comparison.donors:
        change = donor.changes[0]
        assert change.trust.verdict == "abstain"
        assert change.reason.startswith("the model abstains: ")
        assert change.trust.reasons[0].startswith("the model learnt from simulated patients")
        assert "simulated" not in change.reason
        assert (change.probability_before, change.probability_after, change.difference, change.drivers) == (
            *[None] * 3,
            (),
        )
    assert "the model of response has no difference to report for a donor" in comparison.no_order_reasons


def test_expected_taxa_are_listed_with_their_spread(bundle):
    donor = compare_donors(bundle, {}, RECIPIENT, DONORS).donors[0]
    proportions = [taxon.expected for taxon in donor.expected]
    assert proportions == sorted(proportions, reverse=True)
    assert donor.changes == ()
    position = TAXA.index(donor.expected[0].taxon)
    assert donor.expected[0].recipient == pytest.approx(TABLE.taxa.values[20, position])
    assert donor.expected[0].donor == pytest.approx(TABLE.taxa.values[24, position])
    assert all(taxon.low <= taxon.high and 0 < taxon.presence <= 1 for taxon in donor.expected)


def test_a_model_that_gives_everyone_one_probability_tells_no_donors_apart(convincing):
    models = served()
    flat = replace(models["objective_response"][0].model, calibration=Calibration(0.0, -0.4))
    models["objective_response"] = [replace(models["objective_response"][0], model=flat)]
    comparison = compare_donors(convincing, models, RECIPIENT, DONORS)
    change = comparison.donors[0].changes[0]
    assert change.probability_before == pytest.approx(expit(-0.4))
    assert (change.difference, change.low, change.high) == (None, None, None)
    assert "the same probability" in change.reason
    assert not comparison.ordered


def contradicted(model):
    """Return a model that gives everyone 90%, of whose 200 held-out patients none had the outcome."""
    group = ProbabilityGroup(0.0, 1.0, event_rate(0, 200))
    validation = replace(validation_of({}), outcomes_by_probability=(group,))
    return replace(model, calibration=Calibration(0.0, 2.2), validation=validation)


@pytest.mark.parametrize("learnt_from", [False, True])
def test_a_probability_before_is_said_not_to_be_confirmed_also_without_one_after(bundle, learnt_from):
    model = contradicted(replace(complete("elastic_net", ("taxa",)), outcome="objective_response"))
    models = {"objective_response": [ServedModel(model, "objective_response", "1", "", "champion")]}
    # The model learnt from twenty-four more patients than the table of the transplants has.
    training_stool = dict(zip(TAXA, invented().taxa.values[20].tolist(), strict=True))
    learnt = Candidate({}, StoolProfile(training_stool, "proportions", PROFILER))
    comparison = compare_donors(bundle, models, learnt if learnt_from else RECIPIENT, DONORS)
    reason = None if learnt_from else "the response prediction is not confirmed for this patient"
    for donor in comparison.donors:
        (change,) = donor.changes
        assert change.probability_before == pytest.approx(expit(2.2))
        assert (change.reason == LEARNT_FROM_PATIENT) == learnt_from
        assert change.unconfirmed_reason == reason
    assert (reason in comparison.no_order_reasons) != learnt_from


def test_only_a_training_patient_is_said_to_be_learnt_from(bundle):
    models = {"toxicity_any": [ServedModel(complete("elastic_net", ("taxa",)), "toxicity_any", "1", "", "champion")]}
    training_stool = dict(zip(TAXA, invented().taxa.values[20].tolist(), strict=True))
    donor = DonorStool("a patient who gave", StoolProfile(training_stool, "proportions", PROFILER))
    copied = replace(bundle, model=bundle.model.with_method("donor copied"))
    (change,) = compare_donors(copied, models, RECIPIENT, [donor]).donors[0].changes
    assert change.reason == STOOL_AFTER_LEARNT
    assert change.probability_before is not None
    assert change.probability_after is change.difference is None
    # The page states the probability before, and no word about training patients, by the trust.
    assert not change.trust.in_training_set
    (change,) = compare_donors(copied, models, replace(RECIPIENT, taxa=donor.profile), [donor]).donors[0].changes
    assert change.reason == LEARNT_FROM_PATIENT
    assert change.trust.in_training_set


def test_a_model_that_reads_the_donor_block_is_not_asked(convincing):
    models = served()
    model = models["objective_response"][0].model
    encoder = copy.copy(model.encoder)
    encoder.blocks = ("taxa", "donor")
    with_donor = replace(models["objective_response"][0], model=replace(model, encoder=encoder), version="2")
    models["objective_response"].insert(0, with_donor)
    change = compare_donors(convincing, models, RECIPIENT, DONORS).donors[0].changes[0]
    assert change.model.version == "1"


@pytest.mark.parametrize(("low", "shown_pairs"), [(-0.3, 0), (0.01, 1)])
def test_the_largest_difference_between_two_donors_comes_with_its_interval_and_the_pairs_that_differ(low, shown_pairs):
    small = DonorDifference("D1", "objective_response", 0.02, -0.1, 0.14)
    large = DonorDifference("D2", "objective_response", 0.1, low, 0.5)
    between = DonorDifference("D2", "objective_response", 0.08, -0.1, 0.2)
    differences = (small, large), (mirrored(small, "D0"), between), (mirrored(large, "D0"), mirrored(between, "D1"))
    (largest,) = compared(differences).largest_differences
    assert (largest.side, largest.donor, largest.difference) == ("response", "D0", large)
    assert (largest.pairs, largest.shown_pairs) == (3, shown_pairs)
    assert compared([()]).largest_differences == ()


def mirrored(difference, donor):
    return DonorDifference(donor, difference.outcome, -difference.difference, -difference.high, -difference.low)


def compared(differences):
    donors = tuple(ComparedDonor(f"D{i}", (), (), items, ()) for i, items in enumerate(differences))
    return DonorComparison(donors, False, (), (), 12, 4, "regression", (), False, "")
