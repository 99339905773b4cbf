from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import braycurtis, cdist
from skbio.stats.composition import clr, multi_replace
from statsmodels.duration.hazard_regression import PHReg

from features.cohort import Cohort, read_cohort
from features.errors import InputError
from features.feature_table import FeatureTable
from features.landmark import LandmarkSpec, landmark_table
from features.outcomes import DAYS_PER_MONTH
from taxokine.simulation import ANALYTES, AS_PUBLISHED, GENERA, Trial, five_patients, pulse, saturation, simulate_trial


def read(manifest: Path) -> Cohort:
    return read_cohort(manifest, manifest.parent, fetch=False)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_trial(tmp_path_factory.mktemp("trial") / "default")


@pytest.fixture(scope="module")
def cohort(manifest: Path) -> Cohort:
    return read(manifest)


@pytest.fixture(scope="module")
def table(cohort: Cohort) -> FeatureTable:
    return landmark_table(cohort, LandmarkSpec(landmark=0))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many patients with little to measure, where rates and effects can be told from chance."""
    return simulate_trial(
        tmp_path_factory.mktemp("large") / "trial", Trial(n_patients=3000, n_taxa=30, visits=(-7,), seed=5)
    )


def truth(manifest: Path) -> pd.DataFrame:
    return pd.read_csv(manifest.parent / "truth.csv", index_col="patient")


# What a cohort reads


def test_every_patient_and_no_donor_has_a_row_at_the_transplant(cohort: Cohort, table: FeatureTable) -> None:
    assert len(table) == table.rows["patient"].nunique() == 120
    assert table.rows["sample_day"].between(-10, -1).all()
    donors = set(cohort.donor_samples["patient"])
    assert len(donors) == 6
    assert donors.isdisjoint(table.rows["patient"])
    assert set(cohort.samples.loc[~cohort.samples["donor"], "donor_sample"]) <= set(cohort.donor_samples["sample"])
    assert table.rows["objective_response"].notna().all()
    assert table.rows["centre"].nunique() == 3
    assert {"age", "bmi", "ecog", "prior_therapy", "sex=male"} <= set(table.clinical.names)
    assert not np.isnan(table.clinical.values).any()


def test_every_file_is_marked_as_simulated(cohort: Cohort, table: FeatureTable, manifest: Path) -> None:
    assert cohort.manifest.simulated
    assert table.simulated
    assert "imulated" in cohort.manifest.title
    assert all(name.startswith("SIM-") for name in cohort.samples["patient"])
    assert json.loads((manifest.parent / "causes.json").read_text())["simulated"] is True


def test_stool_is_as_sparse_as_real_stool(cohort: Cohort) -> None:
    share_detected = (cohort.taxa.values > 0).mean(axis=1)
    assert 0.25 < np.median(share_detected) < 0.4
    assert cohort.taxa.unit == "counts"
    assert 15_000 < np.median(cohort.taxa.values.sum(axis=1)) < 25_000


def test_values_beyond_the_assay_are_read_as_such(cohort: Cohort, table: FeatureTable) -> None:
    assert cohort.immune is not None
    rows = cohort.immune.rows
    below = rows[(rows["analyte"] == "IL-2") & (rows["censored"] == "below")]
    assert len(below)
    assert set(below["limit"]) == {ANALYTES["IL-2"].lloq}
    assert below["value"].isna().all()
    assert (rows["censored"] == "above").any()
    assert set(table.immune.names) == set(ANALYTES)


def test_some_blood_draws_are_missing(cohort: Cohort, table: FeatureTable) -> None:
    assert cohort.immune is not None
    draws = len(cohort.immune.rows) / len(ANALYTES)
    assert cohort.labels.dates is not None
    lived = cohort.labels.dates["overall_survival"].to_numpy()
    planned = int((lived[:, None] > Trial().visits).sum())
    assert stats.binomtest(int(planned - draws), planned, Trial().missing_share).pvalue > 1e-4
    assert 0 < np.isnan(table.immune.values).all(axis=1).sum() < 30


def test_patients_with_an_event_by_the_landmark_are_not_at_risk(cohort: Cohort, table: FeatureTable) -> None:
    assert cohort.labels.events is not None
    events = cohort.labels.events.frame
    assert events["day"].between(1, Trial().toxicity_follow_up).all()
    assert set(events["grade"]) == {1, 2, 3, 4}
    assert set(table.rows["at_risk_toxicity_any"]) == {"yes"}
    first_day = events.groupby("patient")["day"].min()
    assert set(table.rows.loc[table.rows["toxicity_any"], "patient"]) == set(first_day.index)
    later = landmark_table(cohort, LandmarkSpec(landmark=60)).rows.set_index("patient")
    dead = set(first_day.index[first_day <= 60])
    assert dead
    assert set(later.index[later["at_risk_toxicity_any"] == "no"]) == dead & set(later.index)


# What was planted


def test_causes_are_named_and_measured(cohort: Cohort, manifest: Path, table: FeatureTable) -> None:
    causes = Trial().causes
    for planted in (causes.response, causes.toxicity, causes.survival):
        assert all(planted.values())
        assert set(planted) <= {*causes.balances, *table.immune.names, *table.clinical.names}
    for balance in causes.balances.values():
        columns = [cohort.taxa.taxa.index(taxon) for taxon in (*balance.numerator, *balance.denominator)]
        assert ((cohort.taxa.values[:, columns] > 0).mean(axis=0) > 0.8).all()
    written = json.loads((manifest.parent / "causes.json").read_text())
    assert written["response"] == causes.response
    assert written["balances"]["toxicity_balance"]["numerator"] == list(causes.balances["toxicity_balance"].numerator)


def test_outcomes_follow_their_causes(table: FeatureTable, manifest: Path) -> None:
    true_values = truth(manifest).loc[table.rows["patient"]]
    for outcome, column in (("objective_response", "response_log_odds"), ("toxicity_any", "toxicity_log_rate_ratio")):
        label = table.rows[outcome].to_numpy(dtype=bool)
        high, low = true_values.loc[label, column], true_values.loc[~label, column]
        assert stats.mannwhitneyu(high, low).statistic / (len(high) * len(low)) > 0.75
    il6 = np.log(table.immune.values[:, table.immune.names.index("IL-6")])
    assert stats.spearmanr(il6, true_values["response_log_odds"], nan_policy="omit").statistic < -0.2


def test_terms_are_in_population_sds_and_rates_are_as_requested(large: Path) -> None:
    trial, true_values = Trial(), truth(large)
    patients = pd.read_csv(large.parent / "patients.csv")
    for planted, column in (
        (trial.causes.response, "response_log_odds"),
        (trial.causes.toxicity, "toxicity_log_rate_ratio"),
    ):
        assert true_values[column].std() == pytest.approx(np.sqrt(sum(b**2 for b in planted.values())), rel=0.05)
    responds = patients["recist"].isin(["CR", "PR"])
    assert responds.mean() == pytest.approx(trial.response_rate, abs=0.03)
    assert responds.mean() == pytest.approx((1 / (1 + np.exp(-true_values["response_log_odds"]))).mean(), abs=0.03)


def test_time_to_the_first_event_is_exponential_while_alive(large: Path) -> None:
    """Of a patient followed for so long, the expected number of first events is the cumulative hazard until then."""
    trial, true_values = Trial(), truth(large)
    first_day = (
        pd.read_csv(large.parent / "adverse_events.csv").groupby("patient")["day_fmt"].min().reindex(true_values.index)
    )
    last_day = pd.read_csv(large.parent / "patients.csv", index_col="patient")["events_recorded_until"]
    rate = -np.log(1 - trial.toxicity_rate) / trial.toxicity_follow_up * np.exp(true_values["toxicity_log_rate_ratio"])
    for start, end in ((0, 30), (30, 90), (90, 180)):
        exposed = np.fmin(np.fmin(first_day, last_day), end).sub(start).clip(lower=0)
        n_events = (rate * exposed).sum()
        assert ((first_day > start) & (first_day <= end)).sum() == pytest.approx(n_events, abs=4 * np.sqrt(n_events))


def test_survival_has_proportional_hazards_with_the_planted_coefficients(large: Path) -> None:
    trial, true_values = Trial(), truth(large)
    patients = pd.read_csv(large.parent / "patients.csv", index_col="patient")
    planted = np.sqrt(sum(b**2 for b in trial.causes.survival.values()))
    assert true_values["survival_log_hazard_ratio"].std() == pytest.approx(planted, rel=0.05)
    for time, event, median in (("os_days", "died", trial.median_os),
                                ("pfs_days", "progressed_or_died", trial.median_pfs)):  # fmt: skip
        fit = PHReg(patients[time], true_values[["survival_log_hazard_ratio"]], status=patients[event]).fit()
        assert fit.params[0] == pytest.approx(1, abs=4 * fit.bse[0])
        exposed = (np.log(2) / median * np.exp(true_values["survival_log_hazard_ratio"]) * (patients[time] - 0.5)).sum()
        assert patients[event].sum() == pytest.approx(exposed, abs=4 * np.sqrt(exposed))


def test_the_better_the_response_the_later_the_progression(large: Path) -> None:
    patients = pd.read_csv(large.parent / "patients.csv")
    median = patients.groupby("recist")["pfs_days"].median()
    assert median["CR"] > median["PR"] > median["SD"] > median["PD"]
    true_values = truth(large)["survival_log_hazard_ratio"].to_numpy()
    alike = np.argsort(true_values)[1400:1600]
    assert stats.kendalltau(patients["recist"].map({"CR": 0, "PR": 1, "SD": 2, "PD": 3})[alike],
                            patients["pfs_days"][alike]).statistic < -0.5  # fmt: skip


def test_dates_agree_with_each_other(cohort: Cohort, manifest: Path) -> None:
    patients = pd.read_csv(manifest.parent / "patients.csv", index_col="patient")
    died, ended = patients["died"] == 1, patients["progressed_or_died"] == 1
    assert (patients["pfs_days"] <= patients["os_days"]).all()
    assert ended[died].all()
    of_tumour = patients["cause_of_death"] == "tumour"
    assert of_tumour.any()
    assert (patients["pfs_days"] < patients["os_days"])[of_tumour].all()
    assert (patients.loc[~ended, "pfs_days"] == patients.loc[~ended, "os_days"]).all()
    assert (patients["events_recorded_until"] == patients["os_days"].clip(upper=Trial().toxicity_follow_up)).all()
    stopped = patients["treatment_end"].dropna()
    assert (stopped <= patients["os_days"][stopped.index]).all()
    assert died[patients["treatment_end"].isna()].sum() == 0
    progressed = ended & (patients["pfs_days"] < patients["os_days"])
    assert (patients.loc[progressed, "treatment_end"] <= patients.loc[progressed, "pfs_days"]).all()
    lived = patients["os_days"]
    assert cohort.labels.events is not None
    events = cohort.labels.events.frame
    assert (events["day"].to_numpy() <= lived[events["patient"]].to_numpy()).all()
    stool = cohort.samples[~cohort.samples["donor"]]
    assert (stool["day"].to_numpy() <= lived[stool["patient"]].to_numpy()).all()
    # Adverse events come after progression and after the end of treatment, too.
    for date in ("pfs_days", "treatment_end"):
        assert (events["day"].to_numpy() > patients.loc[events["patient"], date].to_numpy()).any()


def test_without_effect_outcomes_are_independent(tmp_path: Path) -> None:
    trial = {"n_patients": 3000, "n_taxa": 30, "visits": (-7,), "effect": 0.0}
    manifest = simulate_trial(tmp_path / "null", Trial(**trial))
    true_values, patients = truth(manifest), pd.read_csv(tmp_path / "null" / "patients.csv", index_col="patient")
    assert true_values["response_log_odds"].nunique() == true_values["toxicity_log_rate_ratio"].nunique() == 1
    assert true_values["survival_log_hazard_ratio"].nunique() == 1
    assert not any(Trial(effect=0.0).causes.response.values())
    responds = patients["recist"].isin(["CR", "PR"])
    assert responds.mean() == pytest.approx(Trial().response_rate, abs=0.03)
    counts = pd.read_csv(tmp_path / "null" / "stool_counts.tsv", sep="\t", index_col="species")
    of_patient = counts[[f"{patient}-V1" for patient in patients.index]]
    p = [
        stats.mannwhitneyu(row[responds.to_numpy()], row[~responds.to_numpy()]).pvalue for row in of_patient.to_numpy()
    ]
    assert min(p) * len(p) > 0.01


@pytest.mark.parametrize("metric", ["aitchison", "braycurtis"])
def test_recipients_approach_their_own_donor_more_than_others(cohort: Cohort, metric: str) -> None:
    values = cohort.taxa.proportions().values.astype(float)
    values = clr(multi_replace(values)) if metric == "aitchison" else values
    samples = cohort.samples
    donor = samples["donor"].to_numpy()
    distance = cdist(values[~donor], values[donor], "euclidean" if metric == "aitchison" else metric)
    subject = samples.loc[donor, ["sample", "patient"]].set_index("sample")["patient"]
    stool = samples[~donor]
    is_own_donor = subject.to_numpy()[None, :] == subject.loc[stool["donor_sample"]].to_numpy()[:, None]
    excess = np.nanmean(np.where(is_own_donor, distance, np.nan), axis=1) - np.nanmean(
        np.where(is_own_donor, np.nan, distance), axis=1
    )
    excess_before = excess[stool["day"] < 0]
    excess_after = excess[stool["day"] > 50]
    assert abs(np.median(excess_before)) < np.std(excess_before)
    assert np.mean(excess_after < 0) > 0.85
    assert np.median(excess_after) < np.median(excess_before) - np.std(excess_before)


def test_cytokines_rise_fall_and_end_above_baseline(cohort: Cohort) -> None:
    assert cohort.immune is not None
    rows = cohort.immune.rows
    rows = rows[rows["analyte"] == "IL-10"].assign(day=pd.to_numeric(rows["day"]), log=np.log(rows["value"]))
    window = pd.cut(rows["day"], [-20, 0, 20, 70, 120], labels=["before", "peak", "falling", "last"])
    mean = rows.groupby(window, observed=True)["log"].mean()
    assert mean["peak"] > mean["falling"] > mean["last"] > mean["before"]


@pytest.mark.parametrize(("transplant", "moves"), [(0.0, False), (1.0, True)])
def test_without_transplant_later_visits_do_not_differ(tmp_path: Path, transplant: float, moves: bool) -> None:
    manifest = simulate_trial(
        tmp_path / "trial", Trial(transplant_effect=transplant, n_patients=60, n_taxa=40, missing_share=0.0, seed=3)
    )
    cohort = read(manifest)
    assert (truth(manifest)["engraftment"] > 0).all() == moves
    samples, values = cohort.samples, cohort.taxa.proportions().values.astype(float)
    row = samples.reset_index().set_index("sample")["index"]
    stool = samples[~samples["donor"]]
    distance = pd.Series(
        [braycurtis(values[position], values[row[sample]]) for position, sample in stool["donor_sample"].items()],
        index=stool.index,
    )
    assert cohort.immune is not None
    blood = cohort.immune.rows[cohort.immune.rows["analyte"] == "TGF-b1"]
    level, day = np.log(blood["value"]), pd.to_numeric(blood["day"])
    for value, patient, is_later in (
        (distance, stool["patient"], stool["day"] > 0),
        (level, blood["patient"], day > 0),
    ):
        mean = value.groupby([patient, is_later]).mean().unstack().dropna()
        p = stats.ttest_rel(mean[True], mean[False]).pvalue
        assert p < 1e-6 if moves else p > 0.01


# The course


def test_the_course_is_read_and_agrees_with_the_dates(cohort: Cohort, manifest: Path) -> None:
    patients = pd.read_csv(manifest.parent / "patients.csv", index_col="patient")
    course = cohort.course
    assert all(not frame.empty for frame in vars(course).values())
    assert course.transplants["day"].eq(0).all()
    assert set(course.transplants["donor"]) == set(cohort.donor_samples["patient"])
    donor_sample = cohort.samples[~cohort.samples["donor"]].groupby("patient")["donor_sample"].first()
    assert (course.transplants.set_index("patient")["batch"].sort_index() == donor_sample.sort_index()).all()
    for frame, day in ((course.cycles, "day"), (course.assessments, "day"), (course.measures, "day"),
                       (course.medications, "start"), (course.medications, "end")):  # fmt: skip
        assert not (frame[day].to_numpy() > patients.loc[frame["patient"], "os_days"].to_numpy()).any()
    stopped = patients["treatment_end"].fillna(np.inf)
    assert (course.cycles["day"].to_numpy() <= stopped[course.cycles["patient"]].to_numpy()).all()
    assert course.cycles.groupby("patient")["day"].diff().dropna().between(19, 23).all()
    assert set(course.medications["kind"]) == {"antibiotic", "steroid", "ppi"}
    assert set(course.measures["name"]) == {"weight", "albumin", "CRP", "ECOG", "quality of life"}
    assert cohort.labels.events is not None
    events = cohort.labels.events.frame
    first_dose = course.cycles["day"].min()
    assert not (events.loc[events["day"] < first_dose, "attribution"] == "ICI").any()
    severe = events[events["grade"] >= 3].groupby("patient")["day"].min()
    steroids = course.medications[course.medications["kind"] == "steroid"].set_index("patient")["start"]
    pd.testing.assert_series_equal(steroids.sort_index(), severe.sort_index(), check_names=False)
    assert not events.loc[events["grade"] <= 2, "serious"].any()
    assert events.loc[events["grade"] == 4, "serious"].all()
    assert set(events["attribution"]) == {"ICI", "FMT", "disease"}


def recist(sums: list[float]) -> list[str]:
    """Return the response at each assessment after the first, from sums of diameters alone (Eisenhauer 2009)."""
    responses = []
    for i in range(1, len(sums)):
        smallest = min(sums[:i])
        if sums[i] >= 1.2 * smallest and sums[i] >= smallest + 5:
            responses.append("PD")
        else:
            responses.append("CR" if sums[i] == 0 else "PR" if sums[i] <= 0.7 * sums[0] else "SD")
    return responses


def test_sums_of_diameters_give_response_and_progression_back(large: Path) -> None:
    patients = pd.read_csv(large.parent / "patients.csv").to_dict("records")
    assessments = dict(list(read(large).course.assessments.groupby("patient")))
    kinds = set()
    for patient in patients:
        scans, end = assessments[patient["patient"]], patient["pfs_days"]
        sized = scans.dropna(subset="sum_mm")
        reported = recist(sized["sum_mm"].tolist())
        assert sized["response"].tolist()[0] == ""
        assert [{"iUPD": "PD", "iCPD": "PD"}.get(response, response) for response in sized["response"][1:]] == reported
        assert set(scans.loc[scans["sum_mm"].isna(), "response"]) <= {"NE"}
        progression = scans[scans["response"].isin(["PD", "iUPD"]) & (scans["day"] >= end)]
        progressed = patient["progressed_or_died"] and not (patient["died"] and end == patient["os_days"])
        assert progression["day"].tolist() == [end] * bool(progressed)
        best = min(reported, key=["CR", "PR", "SD", "PD"].index, default="")
        if patient["recist"] != "PD":
            assert best == patient["recist"]
        elif "iUPD" not in set(scans.loc[scans["day"] < end, "response"]):
            assert best == "PD"
        else:
            # Unconfirmed: PD at the first assessment ends the best response by RECIST, and not by iRECIST.
            assert reported[0] == "PD"
        kinds |= set(scans["response"])
    assert kinds == {"", "CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE"}


def test_weight_and_albumin_fall_and_crp_rises_before_death(large: Path, tmp_path: Path) -> None:
    patients = pd.read_csv(large.parent / "patients.csv", index_col="patient")
    wide = read(large).course.measures.pivot_table(index="patient", columns="name", values="value")
    soon = patients.loc[wide.index].eval("died == 1 and os_days < 60")
    for name, way in (("albumin", "less"), ("CRP", "greater"), ("ECOG", "greater"), ("quality of life", "less")):
        assert stats.mannwhitneyu(wide.loc[soon, name], wide.loc[~soon, name], alternative=way).pvalue < 1e-4
    cohort = read(simulate_trial(tmp_path / "dying", Trial(n_taxa=30, median_pfs=60, median_os=90, missing_share=0.0)))
    kg = cohort.course.measures[cohort.course.measures["name"] == "weight"].groupby("patient")["value"]
    assert (kg.last() / kg.first() - 1)[kg.size() >= 3].mean() < -0.01


# Five patients


@pytest.mark.parametrize("deaths", ["all", "first"])
def test_five_patients_have_the_reported_survival(tmp_path: Path, deaths: Literal["all", "first"]) -> None:
    cohort = read(simulate_trial(tmp_path / "five", replace(five_patients(deaths), seed=2)))
    dates = cohort.labels.dates
    assert dates is not None
    reported = dates.sort_values("overall_survival")
    assert (reported["overall_survival"] / DAYS_PER_MONTH).round(1).tolist() == [2.5, 7.4, 8.3, 28.5, 52.3]
    assert reported["overall_survival_event"].tolist() == [True] + [deaths == "all"] * 4
    response = pd.read_csv(tmp_path / "five" / "patients.csv", index_col="patient")["recist"]
    order = response.map({"PD": 0, "SD": 1, "PR": 2, "CR": 3})[reported.index]
    assert order.is_monotonic_increasing
    assert cohort.labels.events is not None
    assert (cohort.labels.events.frame["grade"] < 2).all()
    assert len(cohort.samples[cohort.samples["donor"]]["patient"].unique()) == 3


def test_five_patients_cytokines_rise_fast_fall_slowly_and_end_above_baseline(tmp_path: Path) -> None:
    immune = read(simulate_trial(tmp_path / "five", five_patients())).immune
    assert immune is not None
    rows = immune.rows.assign(day=pd.to_numeric(immune.rows["day"]), log=np.log(immune.rows["value"]))
    window = pd.cut(rows["day"], [-20, 0, 10, 35, 500], labels=["before", "rise", "peak", "late"])
    mean = rows.groupby(["analyte", window], observed=True)["log"].mean().unstack()
    for analyte in ("IL-2", "IL-10", "TGF-b1"):
        baseline, rise, peak, late = mean.loc[analyte]
        assert min(rise, peak) > late > baseline
        assert rise > baseline + 0.3


def test_five_with_other_parameters(tmp_path: Path) -> None:
    cohort = read(
        simulate_trial(tmp_path / "five", replace(five_patients(), n_taxa=40, visits=(-7, 28), missing_share=0.0))
    )
    assert len(cohort.taxa.taxa) == 40
    assert cohort.samples.groupby("patient")["day"].count().max() == 2


# Curves


@given(st.floats(0.5, 20), st.floats(1.1, 10))
def test_pulse_peaks_at_one_where_its_docstring_says(rise: float, ratio: float) -> None:
    fall = rise * ratio
    optimum = minimize_scalar(lambda t: -float(pulse(t, rise, fall)), bounds=(0, 10 * fall), options={"xatol": 1e-8})
    assert -optimum.fun == pytest.approx(1, rel=1e-6)
    assert optimum.x == pytest.approx(np.log(fall / rise) / (1 / rise - 1 / fall), rel=1e-3)
    assert pulse([-5, 0], rise, fall).tolist() == [0, 0]


def test_engraftment_starts_at_the_transplant_and_tends_to_its_limit() -> None:
    share = saturation([-7, 0, 10, 1e4], 0.6, 10)
    assert share == pytest.approx([0, 0, 0.6 * (1 - np.exp(-1)), 0.6])


# Files


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    trial_a, trial_a_repeated, trial_b = (
        simulate_trial(tmp_path / name, Trial(n_patients=8, n_taxa=40, seed=seed)).parent
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    names = {path.name for path in trial_a.iterdir()}
    assert names == {path.name for path in trial_a_repeated.iterdir()}
    assert all((trial_a / name).read_bytes() == (trial_a_repeated / name).read_bytes() for name in names)
    assert (trial_a / "stool_counts.tsv").read_bytes() != (trial_b / "stool_counts.tsv").read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_five_patients_are_enough(tmp_path: Path, seed: int) -> None:
    manifest = simulate_trial(tmp_path / "trial", Trial(n_patients=5, n_donors=2, seed=seed))
    assert len(landmark_table(read(manifest))) == 5


def test_one_patient_and_one_taxon_of_each_genus_are_enough(tmp_path: Path) -> None:
    cohort = read(simulate_trial(tmp_path / "trial", Trial(n_patients=1, n_donors=1, n_taxa=30)))
    assert len(cohort.course.transplants) == 1
    assert len(cohort.course.assessments) >= 2


def test_only_a_new_or_empty_folder_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert simulate_trial(tmp_path / "empty", Trial(n_patients=2, n_taxa=30)).is_file()
    files_before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="new or empty folder"):
        simulate_trial(tmp_path / "empty", Trial(n_patients=2, n_taxa=30))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="new or empty folder"):
        simulate_trial(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        simulate_trial(tmp_path / "file" / "below")
    (tmp_path / "file").unlink()
    assert sorted(tmp_path.rglob("*")) == files_before


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_patients": 0},
        {"n_taxa": len(GENERA) - 1},
        {"response_rate": 1.0},
        {"missing_share": 1.0},
        {"visits": (14, 28)},
        {"visits": (-7, 14, 18)},
        {"visits": ()},
        {"rise_days": 30.0},
        {"median_pfs": 800.0},
        {"survival_follow_up": (400, 300)},
        {"transplant_effect": 1.5},
        {"grades": (0.5, 0.5, 0.5, 0.0)},
        {"survival": ((2.5, True),)},
    ],
)
def test_parameters_out_of_range_are_refused(tmp_path: Path, parameters: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(parameters))):
        simulate_trial(tmp_path / "trial", Trial(**parameters))
    assert not list(tmp_path.iterdir())


def test_a_trial_without_any_event_is_read_as_none(tmp_path: Path) -> None:
    manifest = simulate_trial(tmp_path / "trial", Trial(n_patients=5, toxicity_rate=1e-9))
    table = landmark_table(read_cohort(manifest, tmp_path))
    assert not table.rows["toxicity_any"].any()
    assert (table.rows["at_risk_toxicity_any"] == "yes").all()


def test_as_published_draws_of_one_person_differ_more(tmp_path: Path) -> None:
    spread = {}
    for name, trial in (("default", Trial()), ("published", AS_PUBLISHED)):
        still = replace(trial, n_taxa=30, n_patients=60, missing_share=0.0, transplant_effect=0.0)
        immune = read(simulate_trial(tmp_path / name, still)).immune
        assert immune is not None
        tgf = immune.rows[immune.rows["analyte"] == "TGF-b1"]
        spread[name] = np.log(tgf["value"]).groupby(tgf["patient"]).std().median()
    assert spread["default"] == pytest.approx(Trial().assay_sd, rel=0.2)
    assert spread["published"] == pytest.approx(AS_PUBLISHED.assay_sd, rel=0.2)
