from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skbio.diversity import alpha_diversity as skbio_alpha
from skbio.stats.composition import clr, multi_replace
from statsmodels.stats.multitest import multipletests

from features.cohort import Cohort, read_cohort
from features.manifest import ClinicalField
from taxokine.simulation import simulate_trial
from training.study.microbiome import alpha_diversity, microbiome_section, taxa_changes
from training.study.stool import stool


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("microbiome") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=8, n_taxa=60, n_donors=3, seed=2), folder)


def with_values(cohort: Cohort, values: np.ndarray) -> Cohort:
    return replace(cohort, taxa=replace(cohort.taxa, values=values.astype(np.float32)))


def test_windows_take_the_last_before_and_all_after(simulated: Cohort) -> None:
    found = stool(simulated)
    samples = simulated.samples
    for at, window in enumerate(found.windows):
        inside = samples[~samples["donor"] & samples["day"].between(window.first, window.last)]
        if at == 0:
            inside = inside.sort_values("day").groupby("patient").tail(1)
        taken = found.taken(window)
        assert {name: len(rows) for name, rows in taken.items()} == inside.groupby("patient").size().to_dict()


def test_alpha_diversity_agrees_with_scikit_bio(simulated: Cohort) -> None:
    found = stool(simulated)
    values, counts = alpha_diversity(found), simulated.taxa.values.astype(int)
    np.testing.assert_allclose(values["shannon"], skbio_alpha("shannon", counts, base=np.e), rtol=1e-5)
    shallow = int(counts.sum(axis=1).argmin())
    assert values["richness"][shallow] == pytest.approx((counts[shallow] > 0).sum())
    rng, deep, depth = np.random.default_rng(0), int(counts.sum(axis=1).argmax()), int(counts.sum(axis=1).min())
    drawn = rng.multivariate_hypergeometric(counts[deep], depth, size=2000)
    assert values["richness"][deep] == pytest.approx((drawn > 0).sum(axis=1).mean(), abs=0.15)


def test_changes_of_taxa_agree_with_scikit_bio(simulated: Cohort) -> None:
    found, table = stool(simulated), taxa_changes(stool(simulated))
    mine = found.recipients
    rows = [found.at[at] for at in mine.index]
    carriers = pd.DataFrame(found.proportions[rows] > 0).groupby(mine["patient"].to_numpy()).any().mean()
    closed = found.proportions[rows][:, carriers >= 0.5]
    closed /= closed.sum(axis=1, keepdims=True)
    ratios = clr(multi_replace(closed, min(closed[closed > 0].min() / 2, 0.5 / closed.shape[1]))) / np.log(2)
    window = found.windows[1]
    taxon = table[(table["window"] == window.name) & (table["before"] == 1) & (table["after"] == 1)].iloc[0]
    column = int(np.flatnonzero(np.array(found.taxa)[carriers >= 0.5] == taxon["taxon"])[0])
    level = mine.assign(ratio=ratios[:, column], present=closed[:, column] > 0)
    before = level[level["time"] <= 0].groupby("patient")["ratio"].last()
    after = level[level["time"].between(7, 28)].groupby("patient")["ratio"].mean()
    assert taxon["change"] == pytest.approx((after - before).dropna().mean())
    np.testing.assert_allclose(table["q"], multipletests(table["p"], method="fdr_bh")[1])


def test_a_taxon_never_found_has_not_changed(simulated: Cohort) -> None:
    values = simulated.taxa.values.copy()
    values[:, 0] = 0
    # Found only between the windows: a carrier, but never seen before or after.
    values[simulated.samples["day"].between(29, 89).to_numpy(), 0] = 50
    table = taxa_changes(stool(with_values(simulated, values)))
    never = table[(table["taxon"] == simulated.taxa.taxa[0]) & (table["before"] == 0) & (table["after"] == 0)]
    assert len(never)
    assert (never["change"] == 0).all()
    assert (never["p"] == 1).all()


def test_a_planted_change_is_found(simulated: Cohort) -> None:
    values, after = simulated.taxa.values.copy(), (simulated.samples["day"] > 0).to_numpy()
    planted = simulated.taxa.taxa.index("Alistipes_sp0001")
    values[after, planted] = values[after].sum(axis=1) * 2
    values[~after, planted] = 1
    table = taxa_changes(stool(with_values(simulated, values)))
    first = table[table["taxon"] == "Alistipes_sp0001"]
    assert (first["change"] > 5).all()
    # Eight patients allow no less.
    assert first["p"].min() == 2 / 2**8


def test_the_section(simulated: Cohort) -> None:
    found = microbiome_section(simulated)
    assert set(found.figures) == {"composition", "diversity", "ordination", "paths", "taxa"}
    assert set(found.tables) == {"composition", "diversity", "groups", "taxa"}
    shares = found.tables["composition"].frame.iloc[:, 2:]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    groups = found.tables["groups"].frame
    np.testing.assert_allclose(groups["q"], multipletests(groups["PERMANOVA p"], method="fdr_bh")[1])
    within = groups[groups["permuted"].str.startswith("within patients, ")]
    assert (within["samples"] == 2 * within["subjects"]).all()
    donors = groups[groups[""].str.endswith("against donors")]
    assert (donors["samples"] == donors["subjects"]).all()


def test_a_planted_donor_and_a_planted_arm_are_found(simulated: Cohort) -> None:
    samples = simulated.samples
    given = samples.drop_duplicates("patient").set_index("patient")["donor_sample"].str.partition("-B")[0]
    patients = sorted(set(samples.loc[~samples["donor"], "patient"]))
    values, after = simulated.taxa.values.copy(), (samples["day"] > 0).to_numpy()
    of = [*dict.fromkeys(given[patients])]
    for at in np.flatnonzero(after):
        values[at, of.index(given[samples["patient"][at]])] += 1e5
    arm = samples["patient"].map({name: float(at % 2) for at, name in enumerate(patients)})
    keep = {"arm": ClinicalField(column="arm", values={"A": True, "B": False})}
    said = simulated.manifest.model_copy(
        update={"patients": simulated.manifest.patients.model_copy(update={"covariates": keep})}
    )
    moved = replace(
        with_values(simulated, values),
        manifest=said,
        characteristics=pd.DataFrame({"arm": arm.groupby(samples["patient"]).first()}),
    )
    groups = microbiome_section(moved).tables["groups"].frame.set_index(["", "distance"])
    donor = groups.loc["by donor, of recipients who share one (days 7 to 28)", "Bray-Curtis"]
    assert donor["PERMANOVA p"] < 0.05
    assert donor["R²"] > 0.9
    arms = groups.loc["by arm (days 7 to 28)", "Bray-Curtis"]
    assert (arms["permuted"], arms["subjects"]) == ("patients, 10000", 8)
    assert arms["PERMANOVA p"] > 0.05


def test_response_is_asked_of_each_window_by_itself(simulated: Cohort) -> None:
    found = microbiome_section(simulated)
    groups = found.tables["groups"].frame
    asked = groups[groups[""].str.startswith("by response")]
    assert len(asked) > 2
    assert (asked["samples"] == asked["subjects"]).all()
    assert found.headlines[1].startswith("Composition, between visits (baseline; days 7 to 28): R² = ")
    assert " of the variation within patients" in found.headlines[1]


def test_no_subject_is_named(simulated: Cohort) -> None:
    found = microbiome_section(simulated)
    told = " ".join([*found.summary, *found.notes, *(part.frame.to_csv() for part in found.tables.values())])
    assert not [name for name in simulated.samples["patient"].unique() if name in told]


def test_five_patients_are_told_what_no_test_can_reach(simulated: Cohort) -> None:
    kept = sorted(set(simulated.samples.loc[~simulated.samples["donor"], "patient"]))[:5]
    rows = np.flatnonzero(simulated.samples["patient"].isin(kept))
    five = replace(
        simulated,
        samples=simulated.samples.iloc[rows].reset_index(drop=True),
        taxa=simulated.taxa.take([simulated.taxa.samples[at] for at in rows]),
    )
    found = microbiome_section(five)
    assert any("goes below 0.0625" in text for text in found.summary)
    assert any("donor" in text for text in found.missing)


def test_one_patient_and_cohorts_without_days(simulated: Cohort) -> None:
    one = np.flatnonzero(simulated.samples["patient"] == simulated.samples["patient"].iloc[0])
    alone = replace(
        simulated,
        samples=simulated.samples.iloc[one].reset_index(drop=True),
        taxa=simulated.taxa.take([simulated.taxa.samples[at] for at in one]),
    )
    undated = replace(simulated, samples=simulated.samples.assign(day=np.nan))
    for cohort in (alone, undated):
        found = microbiome_section(cohort)
        assert "composition" in found.figures
        assert any(text.startswith("taxa that change") for text in found.missing)
        assert any(text.startswith("change of diversity") for text in found.missing)


def test_numbered_visits(cohorts_dir: Path) -> None:
    found = taxa_changes(stool(read_cohort("momspi", cohorts_dir, fetch=False)))
    assert set(found["window"].str.split().str[0]) == {"visit"}
    # With the newborns' stool among the mothers', 77 changes would pass.
    assert found["q"].min() > 0.05
