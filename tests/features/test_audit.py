import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy.stats import permutation_test
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from features.audit import KINDS, Finding, audit
from features.audit.findings import ChanceTest, new_finding, significant_findings
from features.audit.measurement import single_column_predictors
from features.audit.patients import audited_patients, first_stool_samples
from features.audit.tubes import swapped_tubes
from features.cohort import Cohort, read_cohort
from features.errors import InputError
from features.landmark import LandmarkSpec, landmark_table
from features.manifest import load_manifest, manifest_text
from features.outcomes import DAYS_PER_MONTH
from features.pooling import pool_tables
from features.severity import SEVERITIES
from taxokine.simulation import Trial, simulate_trial

Write = Callable[..., Cohort]


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_trial(tmp_path_factory.mktemp("trial") / "clean", Trial(n_patients=60, n_taxa=60, effect=0))


@pytest.fixture
def spoil(trial: Path, tmp_path: Path) -> Write:
    """Return a function that reads the simulated trial with some of its files and its manifest spoilt."""

    def write(
        files: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] | None = None,
        manifest: Callable[[dict[str, Any]], Any] = lambda manifest_dict: None,
        name: str = "spoilt",
    ) -> Cohort:
        folder = tmp_path / name
        folder.mkdir()
        for path in trial.parent.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        for file, change in (files or {}).items():
            separator = "\t" if file.endswith(".tsv") else ","
            frame = pd.read_csv(folder / file, sep=separator)
            change(frame).to_csv(folder / file, sep=separator, index=False)
        manifest_dict = YAML(typ="safe", pure=True).load(manifest_text(load_manifest(folder / "manifest.yaml")))
        manifest_dict["name"] = name
        manifest(manifest_dict)
        (folder / "manifest.yaml").write_text(json.dumps(manifest_dict), encoding="utf-8")
        return read_cohort(folder / "manifest.yaml", tmp_path)

    return write


@pytest.fixture(scope="session")
def clean(trial: Path) -> Cohort:
    return read_cohort(trial, trial.parent)


def alarms(findings: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.severity != "note"}


def only(findings: Sequence[Finding], code: str) -> Finding:
    (match,) = [finding for finding in findings if finding.code == code]
    return match


def responders(patients: pd.DataFrame) -> pd.Series:
    return patients["recist"].isin(["CR", "PR"])


def flag(name: str, column: str, **more: Any) -> Callable[[dict[str, Any]], Any]:
    rule = {"column": column, "yes": ["yes"], "no": ["no"], "unknown": ["unknown"]}
    return lambda manifest_dict: manifest_dict["outcomes"].update({name: {**rule, **more}})


def yes_no(yes: Any) -> np.ndarray:
    return np.where(yes, "yes", "no")


# What is planted is found


def test_a_response_that_contradicts_recist(spoil: Write) -> None:
    def label(patients: pd.DataFrame) -> pd.DataFrame:
        yes = responders(patients).to_numpy().copy()
        yes[[np.flatnonzero(yes)[0], np.flatnonzero(patients["recist"] == "PD")[0]]] ^= True
        return patients.assign(label=yes_no(yes))

    cohort = spoil({"patients.csv": label}, flag("published_response", "label"))
    contradictions = [finding for finding in audit([cohort]) if finding.code == "outcome-contradiction"]
    assert {finding.severity for finding in contradictions} == {"error"}
    assert [len(finding.rows) for finding in contradictions] == [1, 1]
    assert "have no published response" in contradictions[0].description
    assert "with published response have no disease control" in contradictions[1].description


def test_flags_of_response_that_contradict_each_other(spoil: Write) -> None:
    def flags(patients: pd.DataFrame) -> pd.DataFrame:
        control = (patients["recist"] != "PD").to_numpy(copy=True)
        control[np.flatnonzero(responders(patients))[:2]] = False
        return patients.assign(response=yes_no(responders(patients)), control=yes_no(control))

    def state_flags(manifest: dict[str, Any]) -> None:
        manifest["outcomes"] = {}
        for name, column in (("objective_response", "response"), ("disease_control", "control")):
            flag(name, column)(manifest)

    finding = only(audit([spoil({"patients.csv": flags}, state_flags)]), "outcome-contradiction")
    assert len(finding.rows) == 2
    assert "have no disease control" in finding.description


def test_a_published_response_beside_disease_control_alone(spoil: Write) -> None:
    def flags(patients: pd.DataFrame) -> pd.DataFrame:
        return patients.assign(control=yes_no(patients["recist"] != "PD"))

    def state_flags(manifest: dict[str, Any]) -> None:
        manifest["outcomes"] = {}
        for name in ("disease_control", "published_response"):
            flag(name, "control")(manifest)

    finding = only(audit([spoil({"patients.csv": flags}, state_flags)]), "published-label")
    assert finding.description == "published response is disease control"


def test_a_column_coded_the_wrong_way_round(spoil: Write) -> None:
    inverted = spoil(
        {"patients.csv": lambda patients: patients.assign(pfs=yes_no(patients["recist"] == "PD"))},
        lambda manifest_dict: manifest_dict["outcomes"].update(
            progression_free={12: {"column": "pfs", "yes": ["yes"], "no": ["no"]}}
        ),
    )
    assert (
        only([f for f in audit([inverted]) if "disease control" in f.description], "outcome-inverted").severity
        == "error"
    )


def early(patients: pd.DataFrame) -> np.ndarray:
    """Return times that are shorter in responders."""
    return np.where(responders(patients), 2.0, 14.0) + np.arange(len(patients)) / 10


def present(values: Any, condition: Any) -> np.ndarray:
    return np.where(condition, np.asarray(values).astype(str), "")


INVERTED_RESPONSES: dict[str, Callable[[pd.DataFrame], dict[str, Any]]] = {
    "a flag of progression-free survival": lambda patients: {"PFS12": yes_no(~responders(patients))},
    "the same as 0 and 1": lambda patients: {"pfs_6_months": (~responders(patients)).astype(int)},
    "progression": lambda patients: {"progressed": yes_no(responders(patients))},
    "times alone": lambda patients: {"PFS.months": early(patients)},
    "survival and its event": lambda patients: {
        "OS_MONTHS": early(patients),
        "OS_STATUS": np.where(np.arange(len(patients)) % 4, "1:DECEASED", "0:LIVING"),
    },
    "time to progression": lambda patients: {"time_to_progression": early(patients)},
    "vital status": lambda patients: {"vital_status": np.where(responders(patients), "Dead", "Alive")},
    "an event without its time": lambda patients: {"PFS_event": responders(patients).astype(int)},
    "a date of progression": lambda patients: {
        "progression_date": present(np.full(len(patients), "2021-03-04"), responders(patients))
    },
    "days to death of those who died": lambda patients: {
        "days_to_death": present(early(patients), responders(patients))
    },
    "best response": lambda patients: {"best_response": np.where(responders(patients), "PD", "PR")},
}
"""Columns that contradict the trial's response, by what they hold."""


@pytest.mark.parametrize("is_excluded", [True, False])
@pytest.mark.parametrize("kind", INVERTED_RESPONSES)
def test_an_inverted_response_is_found_through_a_column_that_no_outcome_takes(
    spoil: Write, kind: str, is_excluded: bool
) -> None:
    contradicting = INVERTED_RESPONSES[kind]
    names: list[str] = []

    def add(patients: pd.DataFrame) -> pd.DataFrame:
        names.extend(contradicting(patients))
        return patients.drop(columns=["os_days", "pfs_days", "died", "progressed_or_died"]).assign(
            **contradicting(patients)
        )

    def without_survival(manifest: dict[str, Any]) -> None:
        del manifest["outcomes"]["survival"], manifest["course"]
        if is_excluded:
            manifest["exclude_columns"] = dict.fromkeys(names, "known later")

    cohort = spoil({"patients.csv": add}, without_survival)
    findings = [finding for finding in audit([cohort]) if finding.code == "outcome-inverted"]
    assert any(
        "objective response" in finding.description and names[0] in finding.description.replace(" ", "_")
        for finding in findings
    )
    assert {finding.severity for finding in findings} == {"error"}


@pytest.mark.parametrize("dates", ["survival", "course"])
def test_an_inverted_response_is_found_through_what_the_manifest_dates(spoil: Write, dates: str) -> None:
    opposite = {"CR": "PD", "PR": "PD", "PD": "CR", "SD": "SD"}

    def keep_only(manifest: dict[str, Any]) -> None:
        if dates == "survival":
            del manifest["course"]
        else:
            del manifest["outcomes"]["survival"]

    def swap(patients: pd.DataFrame) -> pd.DataFrame:
        recoded = patients.assign(recist=patients["recist"].map(opposite))
        if dates == "survival":
            return recoded
        return recoded.drop(columns=["os_days", "pfs_days", "died", "progressed_or_died"])

    findings = audit([spoil({"patients.csv": swap}, keep_only)])
    name = "progression free survival" if dates == "survival" else "response in an assessment"
    assert any(finding.code == "outcome-inverted" and name in finding.description for finding in findings)


@pytest.mark.parametrize("kind", ["onset", "grade", "events"])
def test_an_inverted_toxicity_is_found(spoil: Write, trial: Path, kind: str) -> None:
    events = pd.read_csv(trial.parent / "adverse_events.csv")

    def add(patients: pd.DataFrame) -> pd.DataFrame:
        toxic = patients["patient"].isin(events["patient"]) if kind == "events" else responders(patients)
        columns = {
            "onset": {"irae_onset_day": present(np.full(len(patients), 30), toxic)},
            "grade": {"worst_toxicity_grade": np.where(toxic, np.arange(len(patients)) % 3 + 1, 0)},
            "events": {},
        }[kind]
        return patients.assign(any_irae=yes_no(~toxic), **columns)

    def report_flag(manifest: dict[str, Any]) -> None:
        if kind != "events":
            flag("toxicity", "any_irae", grade="any")(manifest)

    inverted = only(audit([spoil({"patients.csv": add}, report_flag)]), "outcome-inverted")
    assert "disagree in 60 of 60 patients" in inverted.description


def test_columns_that_agree_with_the_response_are_no_finding(spoil: Write) -> None:
    def add(patients: pd.DataFrame) -> pd.DataFrame:
        return patients.assign(
            PFS12=yes_no(responders(patients)),
            OS_MONTHS=20 - early(patients) % 20,
            death_date=present(np.full(len(patients), "2021-03-04"), ~responders(patients)),
            time_to_response=early(patients),
            reason_of_death=yes_no(responders(patients)),
        )

    assert not [finding for finding in audit([spoil({"patients.csv": add})]) if finding.code == "outcome-inverted"]


def test_freedom_from_progression_ends_with_death(clean: Cohort) -> None:
    dates = pd.DataFrame({"progression_free_survival": [100.0, 90.0], "overall_survival": [80.0, 90.0]}, ["p1", "p2"])
    dates["progression_free_survival_event"] = False
    cohort = replace(clean, labels=replace(clean.labels, dates=dates))
    assert only(audit([cohort]), "outcome-contradiction").rows == ("p1",)


def test_a_death_from_the_tumour_follows_progression(clean: Cohort) -> None:
    names = list(clean.labels.dates.index[:4])
    dates = clean.labels.dates.loc[names].assign(overall_survival=90.0, overall_survival_event=True)
    dates = dates.assign(progression_free_survival=[90.0, 90.0, 70.0, 90.0], progression_free_survival_event=True)
    causes = pd.Series(["tumour", "other", "tumour", "tumour"], names)
    progression = pd.DataFrame({"patient": [names[3]], "day": 60.0, "response": "PD", "sum_mm": np.nan})
    labels = replace(clean.labels, dates=dates, cause_of_death=causes)
    cohort = replace(clean, labels=labels, course=replace(clean.course, assessments=progression))
    finding = only(audit([cohort]), "tumour-death-without-progression")
    assert (finding.severity, finding.rows) == ("warning", (names[0],))
    assert finding.description.startswith("1 of 3 patients whose cause of death is the tumour")
    # Where nobody looked for progression, its absence says nothing.
    unseen = dates.drop(columns=["progression_free_survival", "progression_free_survival_event"])
    blind = replace(
        clean, labels=replace(labels, dates=unseen), course=replace(clean.course, assessments=progression[:0])
    )
    assert "tumour-death-without-progression" not in alarms(audit([blind]))


def test_death_ends_freedom_from_progression(clean: Cohort) -> None:
    dates = pd.DataFrame(
        {"progression_free_survival": [70.0, 90.0, 90.0], "overall_survival": 90.0}, ["p1", "p2", "p3"]
    )
    dates["progression_free_survival_event"], dates["overall_survival_event"] = False, [True, True, False]
    cohort = replace(clean, labels=replace(clean.labels, dates=dates))
    assert only(audit([cohort]), "outcome-contradiction").rows == ("p2",)


def test_response_against_progression_and_unknown_written_as_no(spoil: Write) -> None:
    def label(patients: pd.DataFrame) -> pd.DataFrame:
        yes = responders(patients).to_numpy()
        words, unknown = yes_no(yes).astype(object), np.arange(len(patients)) % 3 == 0
        words[unknown] = "unknown"
        free = ~unknown
        free[np.flatnonzero(yes & ~unknown)[:2]] = False
        return patients.assign(label=words, pfs=yes_no(free))

    def replace_outcomes(manifest: dict[str, Any]) -> None:
        manifest["outcomes"] = {}
        flag("published_response", "label")(manifest)
        manifest["outcomes"]["progression_free"] = {3: {"column": "pfs", "yes": ["yes"], "no": ["no"]}}

    findings = audit([spoil({"patients.csv": label}, replace_outcomes)])
    assert len(only(findings, "unknown-as-no").rows) == 20
    assert only(findings, "unknown-as-no").severity == "warning"
    assert ", 2 had progressed at month 3" in only(findings, "response-against-progression").description


@pytest.mark.parametrize("outcome", [None, "published_response", "objective_response"])
def test_labels_with_different_definitions(spoil: Write, outcome: str | None) -> None:
    def benefit(patients: pd.DataFrame) -> pd.DataFrame:
        return patients.assign(label=yes_no(patients["recist"] != "PD"))

    cohorts = [spoil({"patients.csv": benefit}, flag("published_response", "label"), name) for name in ("a", "b")]
    differences = [f for f in audit(cohorts, outcome=outcome) if f.code == "labels-differ"]
    assert len(differences) == (outcome != "objective_response")
    assert len([f for f in audit(cohorts) if f.code == "published-label"]) == 2


def test_one_stool_under_two_patients(spoil: Write) -> None:
    def copy(taxa: pd.DataFrame) -> pd.DataFrame:
        return taxa.assign(**{"SIM-002-V1": np.rint(taxa["SIM-001-V1"] * 1.7).astype(int)})

    findings = audit([spoil({"stool_counts.tsv": copy})])
    finding = only(findings, "same-stool")
    assert finding.severity == "error"
    assert [re.sub(r" \(.*", "", row) for row in finding.rows] == ["SIM-001 and SIM-002"]
    assert alarms(findings) == {"same-stool"}


def test_one_person_under_two_names(tmp_path: Path) -> None:
    folder = simulate_trial(
        tmp_path / "large", Trial(n_patients=40, n_taxa=300, effect=0, seed=4, visits=(-7, 28))
    ).parent
    manifest, table = folder / "manifest.yaml", folder / "stool_counts.tsv"
    assert alarms(audit([read_cohort(manifest, tmp_path)])) == set()
    taxa = pd.read_csv(table, sep="\t")
    # A tenth of the reads of a patient's stool, with its rarest taxa lost, under another patient's name.
    reads = np.random.default_rng(0).binomial(taxa["SIM-003-V1"], 0.1)
    taxa.assign(**{"SIM-004-V1": reads}).to_csv(table, sep="\t", index=False)
    findings = audit([read_cohort(manifest, tmp_path)])
    assert only(findings, "alike-patients").rows[0].startswith("SIM-003 and SIM-004 (0.")
    assert "same-stool" not in alarms(findings)


def test_one_sample_in_two_cohorts(spoil: Write, clean: Cohort) -> None:
    other = spoil(name="other")
    assert {"same-stool", "labels-differ"} & alarms(audit([clean, other])) == {"same-stool"}
    declared = spoil(
        manifest=lambda manifest_dict: manifest_dict.update(same_patients_as=[clean.name]), name="declared"
    )
    findings = audit([clean, declared])
    assert alarms(findings) == set()
    assert len(only(findings, "declared-twins").rows) == len(clean.samples)

    accessions = {name: f"SRR{10**6 + index}" for index, name in enumerate(clean.samples["sample"])}
    renamed = {
        "samples.csv": lambda sheet: sheet.replace({"sample": accessions, "given": accessions}),
        "stool_counts.tsv": lambda taxa: taxa.rename(columns=accessions),
    }
    finding = only(audit([spoil(renamed, name="one"), spoil(renamed, name="two")]), "shared-accession")
    assert (finding.severity, len(finding.rows)) == ("error", len(accessions))


def test_equal_profiles_of_later_stool_and_repeats_of_one_patient(spoil: Write) -> None:
    def copies(taxa: pd.DataFrame) -> pd.DataFrame:
        return taxa.assign(**{"SIM-001-V2": taxa["SIM-001-V1"]})

    assert alarms(audit([spoil({"stool_counts.tsv": copies}, name="repeat")])) == set()
    other = spoil({"stool_counts.tsv": lambda taxa: taxa.assign(**{"SIM-002-V5": taxa["SIM-001-V2"]})}, name="stranger")
    assert only(audit([other]), "same-stool").rows == ("SIM-001 and SIM-002 (1.000)",)


def test_stool_after_transplants_of_one_donor_is_not_taken_for_one_person_s(spoil: Write, clean: Cohort) -> None:
    transplants = clean.course.transplants
    donor = transplants["donor"].mode()[0]
    recipients = transplants.loc[transplants["donor"] == donor, "patient"].tolist()[:2]
    stool, rng = clean.samples[clean.samples["patient"].isin(recipients)], np.random.default_rng(0)
    first_stool = stool[stool["day"] <= 0]["sample"]

    def without_first_stool(sheet: pd.DataFrame) -> pd.DataFrame:
        return sheet[~sheet["sample"].isin(first_stool)]

    def engrafted(noise: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def replace_by_donors(taxa: pd.DataFrame) -> pd.DataFrame:
            reads = taxa[clean.donor_samples.set_index("patient").loc[[donor], "sample"].iloc[0]]
            later = {
                sample: rng.poisson(reads * np.exp(noise * rng.standard_normal(len(taxa))))
                for sample in stool.loc[stool["day"] > 0, "sample"]
            }
            return taxa.assign(**later).drop(columns=list(first_stool))

        return replace_by_donors

    changes = {"samples.csv": without_first_stool, "stool_counts.tsv": engrafted(0.3)}
    assert alarms(audit([spoil(changes, name="engrafted")])) == {"stool-after-start"}
    # One tube under two names is found nevertheless.
    changes["stool_counts.tsv"] = engrafted(0)
    assert "same-stool" in alarms(audit([spoil(changes, name="one_tube")]))


TABLE = "sample,Alpha,Alpha one,Alpha two,Beta three\n"


@pytest.mark.parametrize(
    ("table", "unit", "code"),
    [
        ("s1,0,50,50,0\ns2,0,.25,.75,0\ns4,0,10,20,70\ns5,0,80,10,10\n", "percent", "mixed-units"),
        ("s1,0,50,50,0\ns2,0,20,20,0\ns4,0,10,20,70\ns5,0,80,10,10\n", "percent", "open-profiles"),
        ("s1,0,50,50,0\ns2,0,25,75,0\ns4,0,10,20,70\ns5,0,80,10,10\n", "counts", "closed-counts"),
        ("s1,0,1,1,0\ns2,0,1,0,1\ns4,1,1,1,1\ns5,0,0,1,1\n", "counts", "presence-alone"),
        ("s1,9000,8000,1000,10\ns2,5000,5000,0,10\ns4,3000,1000,2000,7\ns5,0,0,0,9\n", "counts", "ranks-stacked"),
        ("s1,0,5000,5000,0\ns2,0,2500,7000,0\ns4,0,0,0,0\ns5,0,8000,1000,10\n", "counts", "empty-sample"),
        ("s1,0,5000,5000,0\ns2,0,2500,7000,0\ns4,0,20,10,1\ns5,0,8000,1000,10\n", "counts", "depth-outlier"),
    ],
)
def test_units_closure_and_empty_samples(
    write_cohort: Callable[..., str], tmp_path: Path, table: str, unit: str, code: str
) -> None:
    cohort = read_cohort(write_cohort({"taxa.csv": TABLE + table}, taxa={"unit": unit}, immune=None), tmp_path)
    finding = only(audit([cohort]), code)
    assert finding.severity == KINDS[code][0]
    assert set(finding.rows) <= {"s1", "s2", "s4", "s5", "Alpha"}


def test_logarithms_of_counts_are_no_percent(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    def table(exponent: float) -> str:
        header = "sample," + ",".join(f"Taxon{letter}" for letter in "abcdefghijklmnop")
        rows = (
            ",".join([name, *(f"{(1 + (7 * i + k) % 13) ** exponent / 9:.4f}" for i in range(16))])
            for k, name in enumerate(["s1", "s2", "s3", "s4", "s5", "d1"])
        )
        return "\n".join([header, *rows]) + "\n"

    def codes(exponent: float) -> set[str]:
        manifest = write_cohort({"taxa.csv": table(exponent)}, taxa={"unit": "percent"}, immune=None)
        return {finding.code for finding in audit([read_cohort(manifest, tmp_path)])}

    assert {"open-profiles", "log-amounts"} <= codes(0.5)
    assert "log-amounts" not in codes(1.5)


def test_outlying_depth_and_nearly_empty_profiles(spoil: Write, tmp_path: Path) -> None:
    def lose(taxa: pd.DataFrame) -> pd.DataFrame:
        first = taxa["SIM-001-V1"].rank(ascending=False) <= 3
        return taxa.assign(**{"SIM-001-V1": taxa["SIM-001-V1"].where(first, 0), "SIM-002-V1": taxa["SIM-002-V1"] * 90})

    assert only(audit([spoil({"stool_counts.tsv": lose})]), "depth-outlier").rows == ("SIM-002-V1",)
    folder = simulate_trial(tmp_path / "large", Trial(n_patients=20, n_taxa=300, visits=(-7, 28))).parent
    lose(pd.read_csv(folder / "stool_counts.tsv", sep="\t")).to_csv(folder / "stool_counts.tsv", sep="\t", index=False)
    findings = audit([read_cohort(folder / "manifest.yaml", tmp_path)])
    assert only(findings, "nearly-empty").rows == ("SIM-001-V1",)


def test_taxa_under_two_names_and_few_shared_taxa(clean: Cohort, spoil: Write) -> None:
    def suffixed(taxa: pd.DataFrame) -> pd.DataFrame:
        first = taxa.columns[0]
        return taxa.assign(**{first: taxa[first].str.replace("Bacteroides_", "Bacteroides_A_")})

    def foreign(taxa: pd.DataFrame) -> pd.DataFrame:
        return taxa.assign(**{taxa.columns[0]: "Other_" + taxa[taxa.columns[0]]})

    renamed = only(audit([clean, spoil({"stool_counts.tsv": suffixed}, name="gtdb")]), "taxa-two-names")
    assert "Bacteroides_A_sp0001 and Bacteroides_sp0001" in renamed.rows
    findings = audit([clean, spoil({"stool_counts.tsv": foreign}, name="foreign")])
    assert [f.cohort for f in findings if f.code == "few-taxa-shared"] == [clean.name, "foreign"]


def test_donors_listed_as_patients(spoil: Write, clean: Cohort) -> None:
    def unmarked(manifest_dict: dict[str, Any]) -> None:
        del (
            manifest_dict["samples"]["donor"],
            manifest_dict["patients"],
            manifest_dict["population"],
            manifest_dict["outcomes"],
            manifest_dict["immune"],
        )

    transplanted = spoil({"samples.csv": lambda sheet: sheet.fillna({"day_fmt": 0})}, unmarked, "unmarked")
    finding = only(audit([transplanted]), "donor-is-patient")
    assert set(finding.rows) == set(clean.samples["donor_sample"]) - {""}
    shared = spoil({"samples.csv": lambda sheet: sheet.replace({"subject": {"SIM-D01": "SIM-001"}})})
    assert only(audit([shared]), "donor-is-patient").rows == ("SIM-001",)


def test_stool_and_blood_called_baseline_after_day_0(spoil: Write, clean: Cohort) -> None:
    def baseline(manifest_dict: dict[str, Any]) -> None:
        manifest_dict["samples"]["baseline"] = manifest_dict["immune"]["baseline"] = "before treatment"

    late = [f for f in audit([spoil(manifest=baseline)]) if f.code == "late-baseline"]
    assert [f.severity for f in late] == ["error", "error"]
    assert len(late[0].rows) == (clean.samples["day"] > 0).sum()

    def late(sheet: pd.DataFrame) -> pd.DataFrame:
        return sheet[~((sheet["subject"] == "SIM-001") & (sheet["day_fmt"] < 0))]

    assert only(audit([spoil({"samples.csv": late}, name="late")]), "stool-after-start").rows == ("SIM-001",)


def test_events_before_treatment_stool_and_landmark(spoil: Write) -> None:
    def early(events: pd.DataFrame) -> pd.DataFrame:
        days = events["day_fmt"].to_numpy().copy()
        days[0] = -90
        events = events.assign(day_fmt=days)
        return pd.concat([events, events.iloc[[1]].assign(patient="SIM-005", day_fmt=1)])

    def since(manifest_dict: dict[str, Any]) -> None:
        manifest_dict["outcomes"]["toxicity"]["first_counted_day"] = -30

    def from_day_20(sheet: pd.DataFrame) -> pd.DataFrame:
        return sheet[~((sheet["subject"] == "SIM-005") & (sheet["day_fmt"] < 20))]

    cohort = spoil({"adverse_events.csv": early, "samples.csv": from_day_20}, since)
    findings = audit([cohort])
    assert len(only(findings, "event-before-treatment").rows) == 1
    assert only(findings, "event-before-stool").rows == ("SIM-005",)
    table = landmark_table(cohort, LandmarkSpec(landmark=60, sample="first"))
    not_at_risk = only(audit([cohort], table, "toxicity_any"), "event-before-landmark")
    assert len(not_at_risk.rows) == (table.rows["at_risk_toxicity_any"] == "no").sum() > 0


@pytest.mark.parametrize("unit", ["days", "months"])
def test_records_dated_after_death(spoil: Write, unit: str) -> None:
    def ends(patients: pd.DataFrame) -> pd.DataFrame:
        first = patients["patient"] == "SIM-001"
        days = patients["os_days"].mask(first, 365).where(first | (patients["died"] == 0), 9_000)
        return patients.assign(
            died=patients["died"].mask(first, 1), os_days=(days / DAYS_PER_MONTH).round(1) if unit == "months" else days
        )

    def afterwards(events: pd.DataFrame) -> pd.DataFrame:
        alive = events[events["patient"] != "SIM-001"]
        rows = [alive, *(alive.iloc[[0]].assign(patient="SIM-001", day_fmt=day) for day in (365, 366, 390))]
        return pd.concat(rows)

    def survival(manifest_dict: dict[str, Any]) -> None:
        manifest_dict["outcomes"]["survival"]["overall_survival"]["unit"] = unit

    findings = audit([spoil({"patients.csv": ends, "adverse_events.csv": afterwards}, survival)])
    finding = next(
        finding for finding in findings if finding.code == "after-death" and "adverse" in finding.description
    )
    assert finding.rows == ("SIM-001",) * (2 if unit == "days" else 1)  # months are rounded


@pytest.mark.parametrize("shift", [-3, 2])
def test_blood_dated_by_one_shift_from_the_stool_of_its_visit(
    write_cohort: Callable[..., str], tmp_path: Path, shift: int
) -> None:
    days = {("p1", 1): -30, ("p1", 2): -20, ("p1", 3): -9, ("p2", 1): -11, ("p2", 2): -4}
    rows = [f"s{i},{patient},{day},{visit}" for i, ((patient, visit), day) in enumerate(days.items(), start=1)]
    draws = [f"{patient},{day + shift},{visit},{visit}.5" for (patient, visit), day in days.items()]

    def label_findings(draws: list[str]) -> list[Finding]:
        files = {
            "samples.csv": "\n".join(["sample,patient,day,visit", *rows, ""]),
            "blood.csv": "\n".join(["patient,day,visit,IL6", *draws, ""]),
        }
        path = write_cohort(files, samples={"visit": "visit"}, immune={"visit": "visit"})
        return [finding for finding in audit([read_cohort(path, tmp_path)]) if finding.code == "paired-by-label"]

    (finding,) = label_findings(draws)
    assert finding.description.endswith(f"in all 5 visits blood is dated {shift:+d} days from stool")
    assert not label_findings(
        [f"p1,{-30 + shift},1,0.5", *draws[1:-1], "p2,-4,2,1.5"]
    )  # one visit differs: no shift of all


def test_undated_visits_that_are_numbered_differently(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    files = {
        "samples.csv": "sample,patient,visit\ns1,p1,1\ns2,p1,2\ns3,p1,3\ns4,p2,1\n",
        "blood.csv": "patient,visit,IL6\np1,1,1\np1,2,2\np2,1,4\n",
    }
    parts = {"samples": {"day": None, "donor": None, "visit": "visit"}, "immune": {"day": None, "visit": "visit"}}
    finding = only(audit([read_cohort(write_cohort(files, **parts), tmp_path)]), "paired-by-label")
    assert finding.rows == ("visit 3",)
    agreeing = {**files, "blood.csv": files["blood.csv"] + "p1,3,3\n"}
    findings = audit([read_cohort(write_cohort(agreeing, **parts), tmp_path)])
    assert "paired-by-label" not in {finding.code for finding in findings}
    assert only(findings, "no-baseline-visit").severity == "error"


@pytest.mark.parametrize(
    ("samples", "day", "code", "severity"),
    [
        ("s1,p1,-2\ns2,p1,-2\ns4,p2,0\n", {"column": "day"}, "samples-of-one-day", "warning"),
        ("s1,p1,\ns2,p1,\ns4,p2,\n", None, "samples-of-one-time", "error"),
    ],
)
def test_samples_that_nothing_tells_apart(
    write_cohort: Callable[..., str],
    tmp_path: Path,
    samples: str,
    day: dict[str, str] | None,
    code: str,
    severity: str,
) -> None:
    part = {"day": day, "baseline": None if day else "before treatment", "donor": None}
    files = {"samples.csv": "sample,patient,day\n" + samples}
    cohort = read_cohort(write_cohort(files, samples=part), tmp_path)
    finding = only(audit([cohort]), code)
    assert (finding.severity, finding.rows) == (severity, ("p1: s1, s2",))
    assert finding.description.startswith("1 patient has several stool samples")
    with pytest.raises(InputError, match="has several samples that no day or visit tells apart"):
        landmark_table(cohort)


def test_samples_after_the_baseline_visit_need_not_be_told_apart(
    write_cohort: Callable[..., str], tmp_path: Path
) -> None:
    files = {"samples.csv": "sample,patient,visit\ns1,p1,1\ns2,p1,2\ns3,p1,2\ns4,p2,1\n"}
    part = {"day": None, "visit": "visit", "baseline_visit": 1, "donor": None}
    cohort = read_cohort(write_cohort(files, samples=part), tmp_path)
    assert "samples-of-one-time" not in {finding.code for finding in audit([cohort])}


def test_comments_of_a_draft_are_counted_until_they_are_settled(
    write_cohort: Callable[..., str], tmp_path: Path
) -> None:
    path = Path(write_cohort())
    manifest = path.read_text(encoding="utf-8")
    path.write_text(f"# TODO: add the profiler\n{manifest}  # guessed; TODO: confirm\n# settle each TODO\n")
    finding = only(audit([read_cohort(path, tmp_path)]), "unconfirmed-guesses")
    assert (finding.severity, finding.rows) == ("warning", ("line 1", "line 2"))
    path.write_text(manifest.replace("A toy", "TODO") + "  # TODO: the title\n")
    codes = {finding.code for finding in audit([read_cohort(path, tmp_path)])}
    assert "unfinished-manifest" in codes
    assert "unconfirmed-guesses" not in codes


def test_stool_and_blood_paired_by_visit_though_dated(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    files = {
        "samples.csv": "sample,patient,day,visit\ns1,p1,-10,1\ns2,p1,-2,2\ns4,p2,0,1\ns5,p3,-1,1\nd1,D1,,1\n",
        "blood.csv": "patient,day,visit,IL6\np1,-9,1,1\np1,-40,2,2\np2,-3,1,4\n",
    }
    cohort = read_cohort(write_cohort(files, samples={"visit": "visit"}, immune={"visit": "visit"}), tmp_path)
    finding = only(audit([cohort]), "paired-by-label")
    assert finding.rows == ("s2",)
    assert "up to 38" in finding.description
    far = only(audit([cohort], landmark_table(cohort)), "blood-far")
    assert far.rows == ("p1",)


def test_clocks_and_profilers(clean: Cohort, spoil: Write) -> None:
    def other(manifest_dict: dict[str, Any]) -> None:
        manifest_dict["clock"] = {"name": "day_ici", "index": "first dose"}
        manifest_dict["taxa"].pop("profiler")

    codes = alarms(audit([clean, spoil(manifest=other)]))
    assert {"clocks-differ", "profilers-differ", "profiler-not-stated"} <= codes


# What goes with the outcome


@pytest.mark.parametrize(("share", "code"), [(1.0, "tells-outcome"), (0.85, "predicts-outcome")])
@pytest.mark.parametrize("kind", ["kit", "read_length"])
def test_a_batch_that_predicts_the_outcome(trial: Path, spoil: Write, share: float, code: str, kind: str) -> None:
    patients = pd.read_csv(trial.parent / "patients.csv")
    second = responders(patients).to_numpy() ^ (np.random.default_rng(1).random(len(patients)) > share)
    batch = dict(zip(patients["patient"], second, strict=True))

    def measured(sheet: pd.DataFrame) -> pd.DataFrame:
        second = sheet["subject"].map(batch).fillna(False).astype(bool)
        return sheet.assign(kit=np.where(second, "B", "A"), read_length=np.where(second, 151, 101))

    technical = {"kit": {"kit": {"column": "kit"}}, "read_length": {"length": {"column": "read_length", "unit": "bp"}}}
    cohort = spoil({"samples.csv": measured}, lambda manifest_dict: manifest_dict.update(technical=technical[kind]))
    finding = only([f for f in audit([cohort], outcome="objective_response") if f.code.endswith("outcome")], code)
    first = cohort.samples[~cohort.samples["donor"]].drop_duplicates("patient")["patient"]
    label = cohort.labels.label_by_outcome["objective_response"].reindex(first).astype(bool)
    auroc = roc_auc_score(label, first.map(batch).astype(float))
    assert f"AUROC {auroc:.2f}" in finding.description
    # The same from the table that a model would learn from, and the note says the same figure.
    repeated_audit = audit([cohort], landmark_table(cohort), "objective_response")
    assert (
        only([f for f in repeated_audit if f.code.endswith("outcome")], code).description.partition("(")[0]
        in finding.description
    )
    assert f"AUROC {auroc:.2f}" in only(repeated_audit, "technical-auroc").description


@pytest.mark.parametrize("missing", [False, True])
def test_a_column_recorded_because_of_the_outcome(spoil: Write, missing: bool) -> None:
    def recorded(patients: pd.DataFrame) -> pd.DataFrame:
        yes = responders(patients)
        scan = np.random.default_rng(2).normal(60, 10, len(patients))
        return patients.assign(scan=np.where(yes, scan, np.nan) if missing else scan + 40 * yes)

    def keep(manifest_dict: dict[str, Any]) -> None:
        manifest_dict["patients"]["covariates"]["scan"] = {"column": "scan"}

    finding = only(audit([spoil({"patients.csv": recorded}, keep)], outcome="objective_response"), "tells-outcome")
    assert finding.severity == "error"
    assert finding.description.startswith("scan missing alone" if missing else "scan alone")


def test_missing_blood_that_predicts_the_outcome(trial: Path, spoil: Write) -> None:
    patients = pd.read_csv(trial.parent / "patients.csv")
    with_blood = patients.loc[~responders(patients) | (np.arange(len(patients)) % 4 == 0), "patient"]
    cohort = spoil({"cytokines.csv": lambda blood: blood[blood["patient"].isin(with_blood)]})
    finding = only(audit([cohort], outcome="objective_response"), "predicts-outcome")
    assert finding.description.startswith("blood missing alone reaches AUROC 0.8")


def test_p_values_agree_with_permutation_tests(clean: Cohort) -> None:
    tests = audited_patients(clean, None, "objective_response").column_tests
    rows = first_stool_samples(clean)
    label = clean.labels.label_by_outcome["objective_response"].reindex(rows["patient"]).to_numpy(bool)
    reads = clean.taxa.values.sum(axis=1)[rows.index]
    (test,) = [test for test in tests if test.column == "reads counted"]
    exact = permutation_test(
        (reads[label], reads[~label]),
        lambda a, b: abs(roc_auc_score(np.r_[np.ones(len(a)), np.zeros(len(b))], np.r_[a, b]) - 0.5),
        n_resamples=499,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    assert test.p == pytest.approx(exact.pvalue, abs=0.05)
    assert test.n == 60


def test_holm_adjustment_agrees_with_statsmodels(clean: Cohort) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        p = rng.beta(0.3, 4, 12)
        tests = [ChanceTest(float(x), new_finding("predicts-outcome", "a", "", [index])) for index, x in enumerate(p)]
        rows = sorted(int(finding.rows[0]) for finding in significant_findings(tests, 0.05))
        assert rows == list(np.flatnonzero(multipletests(p, 0.05, "holm")[0]))


# Where nothing is wrong


def test_clean_cohorts_raise_a_false_alarm_in_at_most_one_audit_of_twenty(tmp_path: Path) -> None:
    alarmed = []
    for seed in range(20):
        size: dict[str, Any] = {"n_patients": 40 + seed, "n_taxa": 40 + 10 * (seed % 5), "effect": seed % 2}
        path = simulate_trial(tmp_path / str(seed), Trial(seed=seed, visits=(-7, 28), **size))
        cohort = read_cohort(path, tmp_path)
        alarmed += [alarms(audit([cohort]))] if seed % 2 else [alarms(audit([cohort], landmark_table(cohort)))]
    assert sum(map(bool, alarmed)) <= 1, alarmed


def test_chance_alarms_in_at_most_one_audit_of_twenty(clean: Cohort) -> None:
    rng = np.random.default_rng(5)
    rows = audited_patients(clean, None, "objective_response")
    clinical = clean.clinical.mask(rng.random(clean.clinical.shape) < 0.2)
    technical = pd.DataFrame({"batch": rng.integers(0, 2, len(clinical)), "reads": rng.lognormal(16, 1, len(clinical))})
    rows = replace(rows, cohort=replace(clean, clinical=clinical, technical=technical.astype(float)))
    label = rows.labels["objective_response"]
    runs = [replace(rows, labels={"objective_response": rng.permutation(label)}) for _ in range(60)]
    alarmed = sum(bool(significant_findings([*single_column_predictors(run)], 0.05)) for run in runs)
    assert alarmed <= 7  # 99% of binomials of 60 and 0.05


# The published cohorts


@cache
def published(name: str, folder: Path) -> Cohort:
    return read_cohort(name, folder, fetch=False)


UNDATED = {"undated": 1}
EXPECTED: dict[str, dict[str, int]] = {
    "davar_2021": {"alike-patients": 1, "published-label": 1, "mixed-batches": 1, "technical-auroc": 1},
    "frankel_2017": {**UNDATED, "published-label": 1, "mixed-batches": 1, "technical-auroc": 1},
    "frankel_2017_qiime2": {**UNDATED, "suffixed-taxa": 1},
    "lee_2022": {**UNDATED, "alike-patients": 1, "published-label": 1, "mixed-batches": 1, "technical-auroc": 1},
    "matson_2018": {**UNDATED, "alike-patients": 1, "technical-auroc": 1},
    "mitox": {
        **UNDATED,
        "stool-after-start": 1,
        "event-before-stool": 1,
        "event-before-treatment": 1,
        "published-label": 1,
    },
    "momspi": {"undated": 2, "depth-outlier": 1, "paired-by-label": 1},
    "spencer_2021": {
        **UNDATED,
        "published-label": 1,
        "response-against-progression": 3,
        "unknown-as-no": 3,
        "nearly-empty": 1,
        "depth-outlier": 1,
        "mixed-batches": 1,
        "technical-auroc": 1,
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_findings_in_published_cohorts(name: str, cohorts_dir: Path) -> None:
    findings = audit([published(name, cohorts_dir)])
    codes = [finding.code for finding in findings]
    assert {code: codes.count(code) for code in codes} == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "code", "rows"),
    [
        ("matson_2018", "alike-patients", ["SAM_P28 and SAM_P29"]),
        ("lee_2022", "alike-patients", ["PRIMM0008 and PRIMM0032", "PRIMM0532 and PRIMM0536"]),
        # The one's only stool before the transplant, day -22, is like the other's of days 77 to 118.
        ("davar_2021", "alike-patients", ["PT-19-0024 and PT-19-0026"]),
        # 38,660 reads, and two species of which one, Imtechella halotolerans, is a spike-in.
        ("spencer_2021", "nearly-empty", ["SRR16554661"]),
        ("spencer_2021", "depth-outlier", ["SRR16554661"]),
        ("mitox", "event-before-stool", ["M017", "M082"]),
        ("mitox", "event-before-treatment", ["M065"]),
    ],
)
def test_rows_of_findings_in_published_cohorts(name: str, code: str, rows: list[str], cohorts_dir: Path) -> None:
    finding = only(audit([published(name, cohorts_dir)]), code)
    assert sorted(re.sub(r" \([0-9.]+\)", "", row) for row in finding.rows) == rows


def test_a_published_stool_sample_is_listed_under_two_patients(cohorts_dir: Path, tmp_path: Path) -> None:
    """Of a man of 36 who responded and of a man of 69 who did not; the shipped manifest leaves both out."""
    for file in (cohorts_dir / "spencer_2021").iterdir():
        (tmp_path / file.name).symlink_to(file)
    manifest_dict = YAML(typ="safe", pure=True).load(manifest_text(load_manifest("spencer_2021")))
    assert len(manifest_dict["samples"].pop("exclude_samples")) == 2
    (tmp_path / "manifest.yaml").write_text(json.dumps(manifest_dict), encoding="utf-8")
    finding = only(audit([read_cohort(tmp_path / "manifest.yaml", tmp_path)]), "same-stool")
    assert [re.sub(r" \([0-9.]+\)", "", row) for row in finding.rows] == ["W21.252 and W21.291"]


@pytest.mark.parametrize(
    ("name", "manifest_dict"),
    [
        ("lee_2022", "is disease control, counts 28 of 28 patients with stable disease"),
        ("mitox", "is durable benefit, counts 12 of 19 patients with stable disease"),
        ("spencer_2021", "is durable benefit"),
    ],
)
def test_definitions_of_published_labels(name: str, manifest_dict: str, cohorts_dir: Path) -> None:
    assert (
        only(audit([published(name, cohorts_dir)]), "published-label").description
        == f"published response {manifest_dict}"
    )


def test_findings_across_published_cohorts(cohorts_dir: Path) -> None:
    findings = audit([published(name, cohorts_dir) for name in sorted(EXPECTED)])
    codes = [f.code for f in findings if " + " in f.cohort or f.code == "few-taxa-shared"]
    assert {code: codes.count(code) for code in codes} == {
        "labels-differ": 2,
        "clocks-differ": 1,
        "profilers-differ": 1,
        "taxa-two-names": 1,
        "few-taxa-shared": 2,
        "declared-twins": 1,
    }
    assert [SEVERITIES.index(f.severity) for f in findings] == sorted(SEVERITIES.index(f.severity) for f in findings)


def test_findings_before_training_on_published_cohorts(cohorts_dir: Path) -> None:
    cohorts = [published(name, cohorts_dir) for name in ("lee_2022", "mitox")]
    table = pool_tables([landmark_table(cohort, LandmarkSpec(landmark=30, sample="first")) for cohort in cohorts])
    findings = audit(cohorts, table, "toxicity_any")
    assert not [f for f in findings if f.severity == "error"]
    assert "events after the landmark in mitox" in only(findings, "labels-differ").description
    assert len(only(findings, "event-before-landmark").rows) == 42 - 33


def test_no_text_of_a_finding_names_a_patient_or_a_sample(cohorts_dir: Path) -> None:
    cohorts = [published(name, cohorts_dir) for name in sorted(EXPECTED)]
    names = {name for cohort in cohorts for column in ("sample", "patient") for name in cohort.samples[column]}
    for finding in audit(cohorts):
        text = json.dumps({**vars(finding), "rows": len(finding.rows)})
        assert not names & set(re.findall(r"[\w.-]+", text))
        assert (finding.severity, finding.consequence, finding.remedy) == KINDS[finding.code]


@pytest.mark.parametrize("name", ["davar_2021", "mitox"])
def test_two_swapped_tubes_are_named(cohorts_dir: Path, name: str) -> None:
    cohort = published(name, cohorts_dir)
    repeated = cohort.samples[~cohort.samples["donor"]].groupby("patient").filter(lambda rows: len(rows) > 2)
    (_, rows), (_, others) = list(repeated.groupby("patient"))[:2]
    i, j = rows.index[1], others.index[1]
    order = np.arange(len(cohort.samples))
    order[[i, j]] = j, i
    names = cohort.taxa.samples
    taxa = replace(cohort.taxa.take([names[k] for k in order]), samples=names)
    (finding,) = swapped_tubes(replace(cohort, taxa=taxa))
    swaps = " ".join(finding.rows)
    assert all(f"{cohort.samples['sample'][k]} of {cohort.samples['patient'][k]} and " in swaps for k in (i, j))
    assert finding.severity == "warning"
    assert len(finding.rows) <= 3


def test_stool_of_recipients_of_one_donor_is_no_swapped_tube(clean: Cohort) -> None:
    assert list(swapped_tubes(clean)) == []
