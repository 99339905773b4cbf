from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, read_cohort
from features.course import Course
from taxokine.simulation import simulate_trial
from training.study.donors import _jaccard, donors_section
from training.study.section import Section


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("donors") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=18, n_taxa=80, n_donors=6, seed=5), folder)


def test_a_planted_approach_is_recovered(simulated: Cohort) -> None:
    found = donors_section(simulated)
    change = found.tables["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert change["95% high"] < 0
    assert change["p"] < 0.01
    gained = found.tables["engraftment_estimates"].frame.iloc[0]
    assert gained["95% low"] > 0
    assert found.metrics["donor_approach"] == pytest.approx(change["difference, by recipient"])
    assert set(found.figures) == {"donor_distance", "donor_approach", "engraftment"}


def test_no_subject_is_named(simulated: Cohort) -> None:
    found = donors_section(simulated)
    texts = [*found.summary, *found.notes, *found.methods, *(part.caption for part in found.tables.values())]
    told = " ".join([*texts, *(part.frame.to_csv() for part in found.tables.values())])
    assert not [name for name in simulated.samples["patient"].unique() if name in told]


def cut(cohort: Cohort, kept: pd.Series, **columns: object) -> Cohort:
    rows = np.flatnonzero(kept)
    return replace(
        cohort,
        samples=cohort.samples.iloc[rows].assign(**columns).reset_index(drop=True),
        taxa=cohort.taxa.take([cohort.taxa.samples[at] for at in rows]),
        course=Course(),
    )


def test_what_is_missing(simulated: Cohort) -> None:
    samples = simulated.samples
    everyone, first = samples["patient"].notna(), simulated.donors["patient"].iloc[0]
    for cohort, expected in (
        (cut(simulated, ~samples["donor"]), "no donor's stool"),
        (cut(simulated, everyone, donor_sample=""), "whose stool was given"),
        (cut(simulated, ~samples["donor"] | (samples["patient"] == first)), "only one donor"),
        (cut(simulated, everyone, day=np.nan), "not dated"),
        (cut(simulated, samples["donor"] | (samples["day"] > 0)), "both before and after"),
    ):
        found = donors_section(cohort)
        assert expected in found.missing[0]
        assert not found.figures


def test_where_every_taxon_is_everyones_none_is_gained(simulated: Cohort) -> None:
    common = replace(simulated, taxa=replace(simulated.taxa, values=np.full_like(simulated.taxa.values, 100)))
    found = donors_section(common)
    assert "taxa gained and lost: no taxon is a donor's alone, or a recipient's alone" in found.missing
    assert set(found.figures) == {"donor_distance", "donor_approach"}


def test_who_was_given_every_donors_stool_has_no_unrelated_donor(simulated: Cohort) -> None:
    donors = list(dict.fromkeys(simulated.donors["patient"]))
    recipients = list(dict.fromkeys(simulated.samples.loc[~simulated.samples["donor"], "patient"]))
    given = pd.DataFrame(
        [(one, 0.0, donor) for one in recipients for donor in donors], columns=["patient", "day", "donor"]
    )
    every = replace(simulated, samples=simulated.samples.assign(donor_sample=""), course=Course(transplants=given))
    assert "none is unrelated" in donors_section(every).missing[0]


def test_what_is_too_shallow_to_compare_is_not_empty() -> None:
    distances = _jaccard(np.array([[1, 1, 0], [np.nan] * 3, [1, 0, 0]]))
    assert distances[0, 2] == 0.5
    assert np.isnan(distances[1]).all()
    assert np.isnan(distances[:, 1]).all()


def test_one_recipient(simulated: Cohort) -> None:
    one = simulated.samples["patient"].iloc[0]
    found = donors_section(cut(simulated, simulated.samples["donor"] | (simulated.samples["patient"] == one)))
    change = found.tables["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert change["recipients"] == 1
    assert np.isnan(change["95% low"])


@pytest.fixture(scope="module")
def davar(cohorts_dir: Path) -> Section:
    return donors_section(read_cohort("davar_2021", cohorts_dir, fetch=False))


def test_davars_recipients_and_their_donors(davar: Section) -> None:
    change = davar.tables["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert (change["recipients"], change["donors"]) == (15, 7)
    assert change["difference, by recipient"] == pytest.approx(-0.0771, abs=1e-4)
    assert change["by donor"] == pytest.approx(-0.0758, abs=1e-4)
    assert change["95% low"] < change["95% high"] < 0
    depends = davar.tables["donor_distance_depends_on"].frame[""]
    # The audit finds two of a kind here.
    assert depends.str.contains("very like another patient's").sum() == 2


def test_davars_estimate_by_recipient_against_scipy(davar: Section, cohorts_dir: Path) -> None:
    cohort = read_cohort("davar_2021", cohorts_dir, fetch=False)
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t").set_index("ncbi_accession")
    subject = sheet.set_index("sample_id")["subject_id"]
    samples, shares = cohort.samples, cohort.taxa.proportions().values.astype(float)
    donors = samples[samples["donor"]]
    expected = []
    for patient in davar.tables["donor_distance_by_recipient"].frame.index:
        name = list(dict.fromkeys(cohort.labels.flags["objective_response"].index))[patient]
        mine = samples[samples["patient"] == name]
        own = subject[sheet.loc[mine["sample"], "fmt_id"].dropna().iloc[0]]

        def to(at: int) -> pd.Series:
            return pd.Series(
                [np.abs(shares[at] - shares[one]).sum() / 2 for one in donors.index], index=donors["patient"]
            )

        after = [to(at) for at in mine.index[mine["day"].between(7, 28)]]
        change = (pd.concat(after, axis=1).mean(axis=1) - to(mine.index[mine["day"] <= 0][-1])).groupby(level=0).mean()
        expected.append(change[own] - change.drop(own).mean())
    np.testing.assert_allclose(davar.tables["donor_distance_by_recipient"].frame["difference"], expected, atol=1e-6)
