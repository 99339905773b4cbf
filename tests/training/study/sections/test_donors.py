from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from features.trial_course import Course
from taxokine.simulation import Trial, simulate_trial
from training.study.analysis.donors import DonorResults, analyse_donors
from training.study.formatting import estimate_text
from training.study.section import Section
from training.study.sections.donors import donors_section
from training.study.sentences import write_sentences


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("donors") / "trial"
    return read_cohort(simulate_trial(folder, Trial(n_patients=18, n_taxa=80, n_donors=6, seed=5)), folder)


def with_samples(cohort: Cohort, mask: pd.Series, **columns: object) -> Cohort:
    """Return the cohort with some of its samples, columns of their sheet replaced, and without the trial's course."""
    rows = np.flatnonzero(mask)
    return replace(
        cohort,
        samples=cohort.samples.iloc[rows].assign(**columns).reset_index(drop=True),
        taxa=cohort.taxa.take([cohort.taxa.samples[row] for row in rows]),
        course=Course(),
    )


def change(section: Section) -> pd.Series:
    return section.tables["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]


def test_planted_convergence_is_recovered(trial: Cohort) -> None:
    section = donors_section(trial)
    assert change(section)["95% high"] < 0
    assert change(section)["p"] < 0.01
    assert section.tables["engraftment_estimates"].frame["95% low"].iloc[0] > 0
    assert section.metrics["donor_approach"] == pytest.approx(change(section)["difference, by recipient"])
    assert set(section.figures) == {"donor_distance", "donor_approach", "engraftment"}


def test_the_distance_after_treatment_stands_before_its_change(trial: Cohort) -> None:
    first, second, *_ = donors_section(trial).headlines
    assert first.startswith(
        "In days 7 to 28, 16 recipients of 6 donors were nearer to their own donor than to unrelated"
    )
    assert second.startswith("From baseline to days 7 to 28")
    assert donors_section(trial).qualifiers == ()
    far = replace(trial, taxa=replace(trial.taxa, values=np.full_like(trial.taxa.values, 100)))
    assert "not shown to be nearer to their own donor than to unrelated donors" in donors_section(far).headlines[0]


def test_two_donors_give_no_interval_and_the_sentence_says_why(trial: Cohort) -> None:
    samples = trial.samples
    names = sorted(samples.loc[samples["donor"], "patient"].unique())[:2]
    own = samples["donor_sample"].str.startswith(tuple(names))
    section = donors_section(with_samples(trial, own | (samples["donor"] & samples["patient"].isin(names))))
    assert "(no interval), the mean of 2 donors; an interval" in section.headlines[0]
    assert "takes three donors with stool" in section.headlines[0]


def test_both_means_are_stated_each_with_what_it_counts(trial: Cohort) -> None:
    results = analyse_donors(trial)
    assert isinstance(results, DonorResults)
    section, after = donors_section(trial), results.convergence.distance_after.difference
    by_recipient, by_donor = (estimate_text(estimate) for estimate in (after.recipient_mean, after.donor_mean))
    both = f"{by_recipient}, the mean of 16 recipients, and {by_donor}, the mean of 6 donors"
    assert both in section.headlines[0]
    assert both in section.summary[0]
    assert all("the mean of 6 donors" in sentence for sentence in section.headlines[:2])
    (gained, *_) = [sentence for sentence in section.summary if sentence.startswith("Of donor-only taxa")]
    assert "the mean of 16 recipients, and" in gained
    assert "the mean of 6 donors" in gained


def test_a_p_value_unlike_the_interval_beside_it_is_explained(trial: Cohort) -> None:
    results = analyse_donors(trial)
    assert isinstance(results, DonorResults)
    words = "The p-value and an interval differ, as they answer different questions"
    assert words not in write_sentences("donors/convergence", results)["summary"][1]
    change = results.convergence.change
    wide = replace(change, recipient_mean=replace(change.recipient_mean, high=0.02))
    wide_by_donor = replace(change, donor_mean=replace(change.donor_mean, high=0.02))
    for unlike in (wide, wide_by_donor, replace(change, p=0.2)):
        convergence = replace(results.convergence, change=unlike)
        summary = write_sentences("donors/convergence", replace(results, convergence=convergence))["summary"]
        assert words in summary[1]


def test_recipients_who_moved_nearer_without_being_nearer_are_said_to_have_moved(trial: Cohort) -> None:
    results = analyse_donors(trial)
    assert isinstance(results, DonorResults)
    convergence = results.convergence
    assert convergence.is_moved_nearer
    after = convergence.distance_after
    wide = replace(after.difference, recipient_mean=replace(after.difference.recipient_mean, high=0.08))
    rows = tuple(replace(row, difference=wide) if row is after else row for row in convergence.over_time)
    not_nearer = replace(results, convergence=replace(convergence, over_time=rows))
    qualifier = write_sentences("donors/convergence", not_nearer)["headlines"][0]
    assert "found to have moved towards their own donor since baseline, but not shown to be nearer" in qualifier


def test_the_section_names_no_subject(trial: Cohort) -> None:
    section = donors_section(trial)
    captions = [table.caption for table in section.tables.values()]
    tables = [table.frame.to_csv() for table in section.tables.values()]
    text = " ".join([*section.summary, *section.notes, *section.methods, *captions, *tables])
    assert not [name for name in trial.samples["patient"].unique() if name in text]


def test_the_section_states_what_is_missing(trial: Cohort) -> None:
    samples, first_donor = trial.samples, trial.donor_samples["patient"].iloc[0]
    everyone = samples["patient"].notna()
    for cohort, reason in (
        (with_samples(trial, ~samples["donor"]), "no donor's stool"),
        (with_samples(trial, everyone, donor_sample=""), "whose stool was given"),
        (with_samples(trial, ~samples["donor"] | (samples["patient"] == first_donor)), "only one donor"),
        (with_samples(trial, everyone, day=np.nan), "not dated"),
        (with_samples(trial, samples["donor"] | (samples["day"] > 0)), "both before and after"),
    ):
        section = donors_section(cohort)
        assert reason in section.missing[0]
        assert not section.figures


def test_where_everyone_has_every_taxon_none_is_gained(trial: Cohort) -> None:
    uniform = replace(trial, taxa=replace(trial.taxa, values=np.full_like(trial.taxa.values, 100)))
    section = donors_section(uniform)
    assert "taxa gained and lost: no taxon is a donor's alone, or a recipient's alone" in section.missing
    assert set(section.figures) == {"donor_distance", "donor_approach"}


def test_a_recipient_of_every_donor_has_no_unrelated_donor(trial: Cohort) -> None:
    donors = list(dict.fromkeys(trial.donor_samples["patient"]))
    recipients = list(dict.fromkeys(trial.samples.loc[~trial.samples["donor"], "patient"]))
    transplants = pd.DataFrame(
        [(recipient, 0.0, donor) for recipient in recipients for donor in donors], columns=["patient", "day", "donor"]
    )
    samples = trial.samples.assign(donor_sample="")
    section = donors_section(replace(trial, samples=samples, course=Course(transplants=transplants)))
    assert "none is unrelated" in section.missing[0]


def test_one_recipient_has_an_estimate_without_an_interval(trial: Cohort) -> None:
    recipient = trial.samples["patient"].iloc[0]
    section = donors_section(with_samples(trial, trial.samples["donor"] | (trial.samples["patient"] == recipient)))
    assert change(section)["recipients"] == 1
    assert np.isnan(change(section)["95% low"])


def died_by(cohort: Cohort, patients: list[str], day: float) -> Cohort:
    """Return the cohort in which these patients died on a day."""
    assert cohort.labels.dates is not None
    dates = cohort.labels.dates.copy()
    for outcome in ("overall_survival", "progression_free_survival"):
        dates.loc[patients, outcome] = day
        dates.loc[patients, f"{outcome}_event"] = True
    return replace(cohort, labels=replace(cohort.labels, dates=dates))


def test_survival_by_engraftment_counts_from_the_landmark(trial: Cohort) -> None:
    table = donors_section(trial).tables["landmark_survival"].frame.set_index("outcome")
    assert (table["from day"] == 28).all()
    row = table.loc["Overall survival"]
    assert row["more engraftment"] + row["less"] + row["left out, ended before"] == 16
    recipients = list(dict.fromkeys(trial.samples.loc[~trial.samples["donor"], "patient"]))[:6]
    early = donors_section(died_by(trial, recipients, 20)).tables["landmark_survival"].frame.set_index("outcome")
    # Who died before the landmark is in neither group, whatever the stool was like.
    assert early.loc["Overall survival", "left out, ended before"] > row["left out, ended before"]
    assert early.loc["Overall survival", "events"] <= row["events"]


def test_stool_after_the_landmark_does_not_change_survival_by_engraftment(trial: Cohort) -> None:
    values = trial.taxa.values.copy()
    values[(trial.samples["day"] > 28).to_numpy()] = values[::-1][: (trial.samples["day"] > 28).sum()]
    altered = donors_section(replace(trial, taxa=replace(trial.taxa, values=values)))
    expected = donors_section(trial).tables["landmark_survival"].frame
    pd.testing.assert_frame_equal(altered.tables["landmark_survival"].frame, expected)


def test_variants_are_counted_by_both_kinds_of_interval(trial: Cohort) -> None:
    table = donors_section(trial).tables["donor_distance_depends_on"].frame.iloc[1:]
    by_recipient, by_donor = table["95% high"] < 0, table["by donor, 95% high"] < 0
    (sentence,) = (text for text in donors_section(trial).summary if text.startswith("Sensitivity"))
    assert (
        f"of these, {by_recipient.sum()} have an interval by recipient that excludes 0, and {by_donor.sum()} one by"
        in (sentence)
    )
