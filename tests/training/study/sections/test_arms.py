"""The section of the arms, of simulated trials and of arms by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from features.cohort import Cohort, read_cohort
from features.errors import FileError, InputError
from features.outcomes import DAYS_PER_MONTH
from features.trajectories import WINDOWS, levels_in_windows, trajectories
from taxokine.simulation import TACITO, simulate_trial
from training.study.analysis.arm_comparison import arm_comparison, rate_by_arm
from training.study.analysis.arms import donor_clusters, has_comparator, is_treated
from training.study.analysis.limits import cohort_limits
from training.study.codes import patient_codes
from training.study.sections.arms import arms_section
from training.study.sections.patients import patients_section


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("arms") / "trial"
    return read_cohort(simulate_trial(folder, replace(TACITO, n_taxa=40, seed=3)), folder)


@pytest.fixture(scope="module")
def sheet(trial: Cohort) -> pd.DataFrame:
    return pd.read_csv(trial.paths["patients.csv"], index_col="patient")


def with_roles(cohort: Cohort, **roles: str) -> Cohort:
    """Return the cohort with the roles of its two arms, `first` and `second`, changed."""
    patients = cohort.manifest.patients
    assert patients is not None
    assert patients.arms is not None
    names = dict(zip(patients.arms.roles, roles.values(), strict=True))
    part = patients.arms.model_copy(update={"roles": names, "randomised": False})
    manifest = cohort.manifest.model_copy(update={"patients": patients.model_copy(update={"arms": part})})
    return replace(cohort, manifest=manifest)


def test_a_sham_transplant_is_a_control(trial: Cohort, sheet: pd.DataFrame) -> None:
    treated = is_treated(trial)
    assert treated.sum() == 23
    assert (~treated).sum() == 22
    assert (sheet.loc[treated.index[treated], "arm"] == "FMT + ICI").all()
    assert has_comparator(trial)
    # Where controls receive a sham transplant from a donor too, the stated role decides.
    transplants = trial.course.transplants.iloc[:1]
    transplants_to_all = pd.concat([transplants.assign(patient=name) for name in treated.index])
    assert has_comparator(replace(trial, course=replace(trial.course, transplants=transplants_to_all)))
    assert cohort_limits(trial).has_comparator


def test_response_is_that_of_all_patients_assigned(trial: Cohort, sheet: pd.DataFrame) -> None:
    table = arms_section(trial).tables["arm_rates"].frame.set_index("patients with")
    responds = sheet["recist"].isin(["CR", "PR"]).groupby(sheet["arm"]).agg(["sum", "size"])
    expected = responds.loc["FMT + ICI"], responds.loc["sham FMT + ICI"]
    row = table.loc["Objective response"]
    assert row["FMT + ICI, patients"] == f"{expected[0]['sum']} of 23"
    assert row["control, patients"] == f"{expected[1]['sum']} of 22"
    assert row["difference"] == pytest.approx(expected[0]["sum"] / 23 - expected[1]["sum"] / 22)
    assert row["difference, 95% low"] < row["difference"] < row["difference, 95% high"]
    assert arms_section(trial).metrics["objective_response_difference"] == row["difference"]


def test_survival_agrees_with_statsmodels(trial: Cohort, sheet: pd.DataFrame) -> None:
    tables = arms_section(trial).tables
    table = tables["arm_survival"].frame.set_index("outcome").loc["Progression-free survival"]
    days, event, treated = sheet["pfs_days"], sheet["progressed_or_died"], sheet["arm"] == "FMT + ICI"
    fit = PHReg(days, treated.to_numpy(float)[:, None], status=event, ties="efron").fit()
    assert table["hazard ratio"] == pytest.approx(np.exp(fit.params[0]))
    assert [table["95% low"], table["95% high"]] == pytest.approx(np.exp(fit.conf_int()[0]))
    assert table["log-rank p"] == pytest.approx(survdiff(days, event, treated)[1], abs=0.03)
    at_months = tables["arm_survival_at"].frame.set_index(["outcome", "arm", "month"])["share"]
    for arm, members in (("FMT + ICI", treated), ("control", ~treated)):
        curve = SurvfuncRight(days[members], event[members])
        share = curve.surv_prob[np.searchsorted(curve.surv_times, 12 * DAYS_PER_MONTH, side="right") - 1]
        assert at_months["Progression-free survival", arm, 12] == pytest.approx(share)


def test_adverse_events_are_compared_by_grade(trial: Cohort) -> None:
    events = pd.read_csv(trial.paths["adverse_events.csv"])
    severe = set(events.loc[events["ctcae_grade"] >= 3, "patient"])
    treated = is_treated(trial)
    comparison = arm_comparison(trial, patient_codes(trial))
    assert comparison is not None
    rate = comparison.adverse_events[3]
    assert (rate.treated.events, rate.treated.n) == (len(severe & {*treated.index[treated]}), 23)
    assert (rate.control.events, rate.control.n) == (len(severe & {*treated.index[~treated]}), 22)


def test_the_sentences_state_assignment_estimates_and_n(trial: Cohort) -> None:
    section = arms_section(trial)
    assert (
        section.qualifiers[0]
        == section.summary[0]
        == (
            "Assigned at random: 23 patients to FMT with ICI (arm “FMT + ICI”) and 22 controls to a sham transplant "
            "with ICI (arm “sham FMT + ICI”)."
        )
    )
    hazards = [sentence for sentence in section.headlines if "hazard ratio" in sentence]
    assert len(hazards) == 2
    assert "at 12 months" in hazards[0]
    observational = arms_section(with_roles(trial, first="fmt_ici", second="ici")).summary[0]
    assert observational == (
        "Assigned but not at random: 23 patients to FMT with ICI (arm “FMT + ICI”) and 22 controls to ICI alone (arm "
        "“sham FMT + ICI”); a difference between arms may be one of the patients."
    )
    assert any("the section of the arms compares them" in text for text in patients_section(trial).summary)
    assert section.figures["arm_survival"].draw().axes


def test_patients_whose_arm_is_not_reported_are_in_no_comparison(trial: Cohort) -> None:
    comparison = arm_comparison(replace(trial, arm=trial.arm.iloc[5:]), patient_codes(trial))
    assert comparison is not None
    assert comparison.unassigned == 5
    assert comparison.n_treated + comparison.n_control == 40


def test_without_two_controls_the_section_states_what_it_takes(trial: Cohort) -> None:
    treated = is_treated(trial)
    alone = replace(trial, arm=trial.arm[treated | (treated.index == treated.index[~treated][0])])
    assert arms_section(alone).missing == ("comparison of arms: it takes two patients with FMT and two controls",)
    assert not has_comparator(alone)


def test_rates_of_arms_by_hand() -> None:
    treated = np.repeat([True, False], [70, 80])
    rate = rate_by_arm(np.repeat([True, False, True, False], [56, 14, 48, 32]), treated)
    assert (rate.treated.value, rate.control.value) == (0.8, 0.6)
    assert rate.difference.difference.value == pytest.approx(0.2)


def test_levels_are_compared_at_equal_baseline_as_by_statsmodels(trial: Cohort) -> None:
    """With each recipient's donor its own cluster, the estimate is that of ordinary least squares."""
    row = arms_section(trial).tables["arm_analytes"].frame.set_index(["analyte", "window"]).loc["IL-10", "days 7 to 28"]
    course = trajectories(trial)
    assert course is not None
    levels = levels_in_windows(course.rows, WINDOWS).loc["IL-10"]["log2"].unstack("window")[[0, 1]].dropna()
    treated = is_treated(trial)[levels.index].to_numpy(float)
    fit = OLS(levels[1].to_numpy(), add_constant(np.column_stack([treated, levels[0]]))).fit()
    assert row["ratio"] == pytest.approx(2 ** fit.params[1])
    assert row["FMT + ICI"] + row["control"] == len(levels)
    assert row["donors"] == 6
    assert row["95% low"] > 1.5


def test_recipients_come_nearer_to_donors_than_controls_do(trial: Cohort) -> None:
    section = arms_section(trial)
    table = section.tables["arm_stool"].frame.set_index(["", "window"])
    row = table.loc["Bray-Curtis distance to donors", "days 7 to 28"]
    assert row["95% high"] < 0
    assert any("Bray-Curtis distance to donors" in sentence for sentence in section.summary)
    assert section.figures["arm_analytes"].draw().axes


def test_recipients_who_share_a_donor_are_one_cluster_and_controls_are_none(trial: Cohort) -> None:
    clusters, treated = donor_clusters(trial), is_treated(trial)
    assert clusters[treated].nunique() == 6
    assert clusters[~treated].is_unique
    assert not set(clusters[treated]) & set(clusters[~treated])
    assert donor_clusters(with_roles(trial, first="ici", second="fmt_ici")).is_unique


@pytest.fixture(scope="module")
def stratified(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return a trial assigned a week before day 0, by centre and prior therapy, of whom five were not treated so."""
    folder = tmp_path_factory.mktemp("stratified") / "trial"
    manifest = simulate_trial(folder, replace(TACITO, n_taxa=40, seed=3, n_centres=2))
    sheet = pd.read_csv(folder / "patients.csv", dtype=str)
    sheet = sheet.assign(day_randomised="-7", treated_as_planned=["no" if row < 5 else "yes" for row in range(45)])
    sheet.to_csv(folder / "patients.csv", index=False)
    extra = "strata: [centre, prior_therapy], assigned_on: day_randomised, per_protocol: " + (
        "{column: treated_as_planned, yes: [yes], no: [no]}"
    )
    manifest.write_text(manifest.read_text().replace("randomised: true", f"randomised: true, {extra}"))
    return read_cohort(manifest, folder)


def test_time_counts_from_the_day_of_the_assignment(stratified: Cohort, trial: Cohort) -> None:
    table = arms_section(stratified).tables["arm_survival_at"].frame
    assert (table.loc[table["month"] == 12, "share"] >= 0.3).all()
    comparison = arm_comparison(stratified, patient_codes(stratified))
    assert comparison is not None
    assert comparison.from_assignment
    plain = pd.read_csv(stratified.paths["patients.csv"], index_col="patient")
    treated = is_treated(stratified)
    assert sorted(comparison.survival[0].treated.days) == sorted(plain.loc[treated.index[treated], "os_days"] + 7)
    assert any("Time counts from the day of the assignment" in note for note in arms_section(stratified).notes)


def test_strata_and_protocol_are_analyses_beside_that_of_all_as_assigned(stratified: Cohort) -> None:
    section = arms_section(stratified)
    table = section.tables["arm_analyses"].frame.set_index(["outcome", "analysis"])
    sheet = pd.read_csv(stratified.paths["patients.csv"], index_col="patient")
    group = (sheet["arm"] == "FMT + ICI").to_numpy(float)[:, None]
    strata = (sheet["centre"].astype(str) + sheet["prior_therapy"]).to_numpy()
    fit = PHReg(sheet["pfs_days"] + 7, group, status=sheet["progressed_or_died"], strata=strata, ties="efron").fit()
    row = table.loc[("Progression-free survival", "stratified")]
    assert row["estimate"] == pytest.approx(np.exp(fit.params[0]))
    per_protocol = table.loc[("Objective response", "per protocol")]
    assert per_protocol["FMT + ICI"] + per_protocol["control"] == 40
    assert table.loc[("Objective response", "donors as clusters"), "p"] > 0
    assert any("stratified" in sentence and "per protocol" in sentence for sentence in section.summary)


def test_an_end_before_the_assignment_is_refused(stratified: Cohort) -> None:
    assignment = stratified.assignment.assign(day=5000.0)
    with pytest.raises(InputError, match="before the day of the assignment, 5000"):
        arms_section(replace(stratified, assignment=assignment))


def test_the_day_of_the_assignment_is_not_missing(stratified: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    shutil.copytree(stratified.paths["patients.csv"].parent, folder)
    sheet = pd.read_csv(folder / "patients.csv", dtype=str)
    sheet.loc[3, "day_randomised"] = ""
    sheet.to_csv(folder / "patients.csv", index=False)
    with pytest.raises(FileError, match="day of the assignment is missing") as caught:
        read_cohort(folder / "manifest.yaml", folder)
    assert "row 5" in str(caught.value) or "line 5" in str(caught.value)


def test_table_one_and_courses_are_by_arm(trial: Cohort, sheet: pd.DataFrame) -> None:
    section = patients_section(trial)
    table = section.tables["table_one"].frame
    rows = table.set_index(["characteristic", "level"])
    female = sheet.groupby("arm")["sex"].apply(lambda sex: (sex == "female").sum())
    for arm in ("FMT + ICI", "sham FMT + ICI"):
        assert rows.loc[("sex", "female"), arm].startswith(f"{female[arm]} (")
    ages = sheet.loc[sheet["arm"] == "FMT + ICI", "age"]
    assert rows.loc[("age, years", "median (range)"), "FMT + ICI"].startswith(f"{ages.median():.4g} ({ages.min()}")
    labels = [text.get_text() for text in section.figures["swimmer"].draw().axes[0].texts]
    assert {"FMT + ICI", "sham FMT + ICI"} <= set(labels)


def test_variation_of_the_effect_follows_the_average_and_is_tested_before_it_is_learnt(trial: Cohort) -> None:
    section = arms_section(trial)
    average, variation = (
        next(i for i, sentence in enumerate(section.summary) if text in sentence)
        for text in ("Objective response: ", "varies between patients")
    )
    assert average < variation
    assert "was not shown" in section.summary[variation]
    table = section.tables["arm_variation"].frame
    assert list(table["covariate"]) == ["age", "sex=male", "bmi", "ecog", "prior_therapy", "Shannon diversity"]
    assert 0.05 < section.metrics["effect_variation_p"] <= 1


def test_a_planted_variation_is_shown_with_the_effects_of_both_halves(trial: Cohort) -> None:
    age, treated = trial.characteristics["age"], is_treated(trial)
    benefits = treated & (age.reindex(treated.index) > age.median())
    recist = pd.Series(np.where(benefits, "CR", "PD"), index=treated.index)
    section = arms_section(replace(trial, labels=replace(trial.labels, recist=recist)))
    sentence = next(text for text in section.summary if "varies between patients" in text)
    assert "in the half with the larger effect" in sentence
    assert section.metrics["effect_variation_p"] < 0.01


def test_without_randomisation_nobodys_benefit_is_estimated(trial: Cohort) -> None:
    section = arms_section(with_roles(trial, first="fmt_ici", second="sham"))
    assert "arm_variation" not in section.tables
    assert any("prognostic" in sentence for sentence in section.summary)
