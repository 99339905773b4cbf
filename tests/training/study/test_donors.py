import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from features.cohort import Cohort, read_cohort
from features.course import Course
from features.simulator import simulate_trial
from training.study.donors import donors_section, specific
from training.study.ordination import bray_curtis
from training.study.section import Section


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("donors") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=18, n_taxa=80, n_donors=6, seed=5), folder)


def contrast(scores: np.ndarray, gave: np.ndarray, without: int | None = None) -> pd.Series:
    """Each recipient's own minus unrelated, the plain way."""
    donors = [h for h in range(scores.shape[1]) if h != without]
    rows = [i for i in range(len(gave)) if gave[i] != without]
    values = [scores[i, gave[i]] - np.mean([scores[i, h] for h in donors if h != gave[i]]) for i in rows]
    return pd.Series(values, index=gave[rows])


def test_estimates_and_jackknife_by_hand() -> None:
    rng = np.random.default_rng(0)
    scores, gave = rng.normal(size=(9, 6)), np.array([0, 0, 0, 1, 1, 2, 3, 3, 3])
    found = specific(scores, gave[:, None] == np.arange(6))
    for estimate, mean in (
        (found.recipients, lambda c: c.mean()),
        (found.donors, lambda c: c.groupby(level=0).mean().mean()),
    ):
        value = mean(contrast(scores, gave))
        left = [mean(contrast(scores, gave, donor)) for donor in range(4)]
        reach = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * sum((one - value) ** 2 for one in left))
        np.testing.assert_allclose([estimate.value, estimate.low, estimate.high], [value, value - reach, value + reach])
    assert (found.n, found.n_donors) == (9, 4)


def test_donors_are_exchanged_whole() -> None:
    rng = np.random.default_rng(1)
    scores, gave = rng.normal(size=(7, 4)) - 0.5, np.array([0, 0, 1, 1, 1, 2, 3])
    found = specific(scores, gave[:, None] == np.arange(4))
    values = [abs(contrast(scores, np.array(order)[gave]).mean()) for order in itertools.permutations(range(4))]
    assert found.p == pytest.approx(np.mean(np.array(values) >= values[0] - 1e-12))
    assert found.least_p == pytest.approx(1 / 24)


def test_one_donor_has_no_interval_and_two_no_test() -> None:
    scores = np.random.default_rng(2).normal(size=(4, 2))
    one = specific(scores, np.array([[True, False]] * 4))
    assert np.isnan([one.recipients.low, one.donors.high]).all()
    assert one.n_donors == 1
    two = specific(scores, np.array([[True, False], [True, False], [False, True], [False, True]]))
    assert two.p == two.least_p == 1


def test_false_positives_and_coverage_where_stool_moves_for_everyone_alike() -> None:
    rng, hits, covered, n = np.random.default_rng(3), 0, 0, 150
    for _ in range(n):
        host, donors, generic = (1.5 * rng.standard_normal((k, 40)) for k in (15, 6, 1))
        logs = np.vstack([host, host + 0.5 * generic + rng.standard_normal(host.shape), donors])
        shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        distances = bray_curtis(shares)
        own = rng.integers(6, size=15)[:, None] == np.arange(6)
        found = specific(distances[15:30, 30:] - distances[:15, 30:], own)
        hits += found.p <= 0.05
        covered += found.recipients.low <= 0 <= found.recipients.high
    # 0.1% of binomial trials at the nominal level lie beyond.
    assert hits <= stats.binom.ppf(0.999, n, 0.05)
    assert covered >= stats.binom.ppf(0.001, n, 0.95)


def test_a_planted_approach_is_recovered(simulated: Cohort) -> None:
    found = donors_section(simulated)
    change = found.listings["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert change["95% high"] < 0
    assert change["p"] < 0.01
    gained = found.listings["engraftment_estimates"].frame.iloc[0]
    assert gained["95% low"] > 0
    assert found.metrics["donor_approach"] == pytest.approx(change["difference, by recipient"])
    assert set(found.drawings) == {"donor_distance", "donor_approach", "engraftment"}


def test_no_subject_is_named(simulated: Cohort) -> None:
    found = donors_section(simulated)
    texts = [*found.lead, *found.notes, *found.methods, *(part.caption for part in found.listings.values())]
    told = " ".join([*texts, *(part.frame.to_csv() for part in found.listings.values())])
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
        (cut(simulated, everyone, given=""), "whose stool was given"),
        (cut(simulated, ~samples["donor"] | (samples["patient"] == first)), "only one donor"),
        (cut(simulated, everyone, day=np.nan), "not dated"),
        (cut(simulated, samples["donor"] | (samples["day"] > 0)), "both before and after"),
    ):
        found = donors_section(cohort)
        assert expected in found.missing[0]
        assert not found.drawings


def test_one_recipient(simulated: Cohort) -> None:
    one = simulated.samples["patient"].iloc[0]
    found = donors_section(cut(simulated, simulated.samples["donor"] | (simulated.samples["patient"] == one)))
    change = found.listings["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert change["recipients"] == 1
    assert np.isnan(change["95% low"])


@pytest.fixture(scope="module")
def davar(cohorts_dir: Path) -> Section:
    return donors_section(read_cohort("davar_2021", cohorts_dir, fetch=False))


def test_davars_recipients_and_their_donors(davar: Section) -> None:
    change = davar.listings["donor_distance"].frame.set_index("").loc["change to days 7 to 28"]
    assert (change["recipients"], change["donors"]) == (15, 7)
    assert change["difference, by recipient"] == pytest.approx(-0.0771, abs=1e-4)
    assert change["by donor"] == pytest.approx(-0.0758, abs=1e-4)
    assert change["95% low"] < change["95% high"] < 0
    depends = davar.listings["donor_distance_depends_on"].frame[""]
    # The audit finds two of a kind here.
    assert depends.str.contains("very like another patient's").sum() == 2


def test_davars_estimate_by_recipient_against_scipy(davar: Section, cohorts_dir: Path) -> None:
    cohort = read_cohort("davar_2021", cohorts_dir, fetch=False)
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t").set_index("ncbi_accession")
    subject = sheet.set_index("sample_id")["subject_id"]
    samples, shares = cohort.samples, cohort.taxa.proportions().values.astype(float)
    donors = samples[samples["donor"]]
    expected = []
    for patient in davar.listings["donor_distance_by_recipient"].frame.index:
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
    np.testing.assert_allclose(davar.listings["donor_distance_by_recipient"].frame["difference"], expected, atol=1e-6)
