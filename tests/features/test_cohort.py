from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.cohort import Cohort, locate_files, read_cohort
from features.donors import screened_donors
from features.errors import DataMissing, FileError, ManifestError
from features.manifest import load_manifest

Read = Callable[..., Cohort]


@pytest.fixture(scope="session")
def read(write_cohort: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Read:
    def write_and_read(files: dict[str, str] | None = None, **changes: Any) -> Cohort:
        return read_cohort(write_cohort(files, **changes), tmp_path_factory.getbasetemp())

    return write_and_read


@pytest.mark.parametrize(
    ("name", "samples", "patients", "rows"),
    [
        ("davar_2021", 214, 33, 216),
        ("frankel_2017", 39, 39, 39),
        ("frankel_2017_qiime2", 39, 39, 39),
        ("lee_2022", 164, 164, 165),
        ("matson_2018", 38, 38, 39),
        ("mitox", 88, 42, 88),
        ("momspi", 353, 71, 353),
        ("spencer_2021", 156, 156, 165),
    ],
)
def test_published_cohorts(name: str, samples: int, patients: int | None, rows: int, cohorts_dir: Path) -> None:
    cohort = read_cohort(name, cohorts_dir, fetch=False)
    assert cohort.name == name
    assert cohort.taxa.samples == tuple(cohort.samples["sample"])
    assert len(cohort.samples) == len(cohort.clinical) == samples
    if patients:
        assert cohort.samples["patient"].nunique() == patients
    notes = [note for note in cohort.notes if "no profile" in note]
    assert notes == [f"{rows - samples} of {rows} listed samples have no profile and are left out"][: rows - samples]


def test_davar_separates_donors_from_recipients(cohorts_dir: Path) -> None:
    cohort = read_cohort("davar_2021", cohorts_dir, fetch=False)
    recipients = cohort.samples[~cohort.samples["donor"]]
    assert recipients["patient"].nunique() == 15
    assert cohort.donor_samples["patient"].nunique() == 18
    assert not set(recipients["patient"]) & set(cohort.donor_samples["patient"])
    assert recipients["day"].notna().all()
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t", index_col="ncbi_accession")
    days = sheet.loc[recipients["sample"], "sample_id"].str.split("D").str[1].astype(float)
    np.testing.assert_array_equal(recipients["day"], days)
    donors = cohort.donor_samples.set_index(sheet.loc[cohort.donor_samples["sample"], "sample_id"].to_numpy())
    assert donors.loc[sorted(set(recipients["donor_sample"]) & set(donors.index)), "patient"].nunique() == 7
    assert cohort.clinical[cohort.samples["donor"].to_numpy()].isna().all(axis=None)


def test_momspi_codes_are_censored_values_and_not_concentrations(cohorts_dir: Path) -> None:
    immune = read_cohort("momspi", cohorts_dir, fetch=False).immune
    assert immune is not None
    values = immune.wide("half_limit")
    numbers = values.to_numpy()
    assert (numbers[np.isfinite(numbers)] >= 0).all()
    assert np.isposinf(values["RANTES"]).sum() == 63
    assert np.isneginf(values["IL-2"]).sum() == 99
    assert set(immune.excluded) == {"FGF basic", "IL-17"}


def test_centres_of_lee(cohorts_dir: Path) -> None:
    centre = read_cohort("lee_2022", cohorts_dir, fetch=False).centre
    assert centre.nunique() == 4
    assert centre.str.startswith("lee_2022/").all()


def test_mitox_has_one_centre_and_typed_clinical_data(cohorts_dir: Path) -> None:
    cohort = read_cohort("mitox", cohorts_dir, fetch=False)
    assert set(cohort.centre) == {"mitox"}
    sheet = pd.read_csv(cohorts_dir / "mitox" / "patients.csv", index_col="patient_id").loc[cohort.samples["patient"]]
    np.testing.assert_array_equal(cohort.clinical["age"], sheet["age_years"])
    np.testing.assert_array_equal(cohort.clinical["ldh"], sheet["ldh_u_per_l"])
    np.testing.assert_array_equal(cohort.clinical["sex=male"], (sheet["sex"] == "Male").astype(float))
    assert set(cohort.manifest.exclude_columns).isdisjoint(cohort.clinical.columns)


def test_tables_are_typed_and_aligned(read: Read) -> None:
    cohort = read()
    assert cohort.samples["sample"].tolist() == ["s1", "s2", "s3", "s4", "s5", "d1"]
    assert cohort.samples["line"].tolist() == [2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(cohort.samples["day"], [-10, -2, 20, 0, -1, np.nan])
    assert cohort.samples["donor"].tolist() == [False] * 5 + [True]
    np.testing.assert_array_equal(cohort.clinical["age"], [60, 60, 60, 71, np.nan, np.nan])
    np.testing.assert_array_equal(cohort.clinical["sex=female"], [1, 1, 1, 0, 1, np.nan])
    assert cohort.taxa.profiler == "by_hand"


def test_a_sheet_with_a_row_for_each_sample_may_repeat_the_age(read: Read) -> None:
    text = "sample,patient,day,age,smoker\ns1,p1,-10,60,yes\ns2,p1,-2,61,yes\ns4,p2,0,50,no\nd1,D1,,33,maybe\n"
    covariates = {
        "age": {"column": "age"},
        "smoker": {"column": "smoker", "values": {"yes": True, "no": False}},
        "sex": None,
    }
    cohort = read(
        {"samples.csv": text},
        patients={"file": "samples.csv", "covariates": covariates},
        outcomes=None,
        exclude_columns=None,
    )
    np.testing.assert_array_equal(cohort.clinical["age"], [60, 61, 50, np.nan])
    np.testing.assert_array_equal(cohort.clinical["smoker"], [1, 1, 0, np.nan])


def test_technical_columns(read: Read) -> None:
    text = "sample,patient,day,reads,kit,tube\ns1,p1,-10,100,B,x\ns2,p1,-2,NA,A,x\ns4,p2,0,300,,x\nd1,D1,,7,A,y\n"
    technical = {"reads": {"column": "reads", "unit": "reads"}, "kit": {"column": "kit"}, "tube": {"column": "tube"}}
    cohort = read({"samples.csv": text}, technical=technical)
    assert list(cohort.technical) == ["kit=A", "kit=B", "reads", "tube=x", "tube=y"]
    np.testing.assert_array_equal(cohort.technical["reads"], [100, np.nan, 300, 7])
    np.testing.assert_array_equal(cohort.technical["kit=A"], [0, 1, np.nan, 1])
    np.testing.assert_array_equal(cohort.technical["kit=B"], [1, 0, np.nan, 0])
    assert list(read().technical.index) == list(range(6))
    with pytest.raises(FileError, match=r"expected a number or one of .*got 'many'"):
        read({"samples.csv": text.replace("300", "many")}, technical=technical)


def test_progression_is_read_by_month(read: Read) -> None:
    free = {6: {"column": "lasting", "yes": ["yes"], "no": ["no"], "unknown": [""]}}
    labels = read(outcomes={"progression_free": free}).labels
    known_labels = labels.progression_free[6].dropna()
    assert known_labels.to_dict() == {"p2": True, "p4": False}
    assert "progression_free" not in labels.label_by_outcome


@pytest.mark.parametrize("name", ["lee_2022", "spencer_2021", "frankel_2017", "matson_2018"])
def test_published_reads_and_lengths(name: str, cohorts_dir: Path) -> None:
    cohort = read_cohort(name, cohorts_dir, fetch=False)
    sheet = pd.read_csv(cohorts_dir / name / "metadata.tsv", sep="\t").set_index(cohort.manifest.samples.sample)
    sheet = sheet.loc[cohort.samples["sample"]]
    np.testing.assert_array_equal(cohort.technical["reads"], sheet["number_reads"])
    np.testing.assert_array_equal(cohort.technical["read_length"], sheet["median_read_length"])
    assert not set(cohort.technical) & set(cohort.clinical)


def test_minus_signs_and_day_patterns(read: Read) -> None:
    text = "sample,patient,day\ns1,p1,x-\N{MINUS SIGN}10\ns4,p2,x-7.5\nd1,D1,\n"
    cohort = read({"samples.csv": text}, samples={"day": {"pattern": "^x-(?P<day>.+)$"}})
    np.testing.assert_array_equal(cohort.samples["day"], [-10, 7.5, np.nan])


def test_several_runs_in_one_cell(read: Read) -> None:
    text = "sample,patient,day\nr0;s1; r9,p1,-10\nr7;r8,p2,0\nd1,D1,\n"
    cohort = read({"samples.csv": text.replace(",", "\t")}, samples={"separator": ";"})
    assert cohort.samples["sample"].tolist() == ["s1", "d1"]
    assert cohort.notes == (
        "1 of 3 listed samples have no profile and are left out",
        "4 of 6 profiles are not listed and are left out",
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "row", "column", "match"),
    [
        ("samples.csv", "s4,p2,0", "s4,p2,day 0", 5, "day", r"no day in 'day 0'"),
        ("samples.csv", "s4,p2,0", "s4,p2,", 5, "day", r"no day in ''"),
        ("samples.csv", "s4,p2,0", "s4,p2,inf", 5, "day", r"no day in 'inf'"),
        ("samples.csv", "s4,p2,0", "s4,,0", 5, "patient", "a sample needs a name and a patient"),
        ("samples.csv", "s4,p2,0", ",p2,0", 5, "sample", "a sample needs a name and a patient"),
        ("samples.csv", "s4,p2,0", "s1,p2,0", 5, "sample", "sample 's1' is listed twice"),
        ("samples.csv", "s4,p2,0", "s4,p9,0", 5, "patient", "'p9' has stool here and no row .* of patients.csv"),
        (
            "patients.csv",
            "p2,71",
            "p2,old",
            3,
            "age",
            r"got 'old'; words are explained under the manifest's 'patients.covariates.age.values'",
        ),
        ("patients.csv", "71,M", "71,m", 3, "sex", r"'m'; the manifest's 'patients\.covariates\.sex\.values'"),
        ("blood.csv", "p1,6,", "p1,late,", 4, "day", "expected a number, got 'late'"),
        ("blood.csv", "p1,6,3", "p1,6,-3", 4, "IL6", "'-3' is negative"),
        ("blood.csv", "p2,-40", "q2,-40", 5, "patient", "'q2' is not one of the cohort's patients"),
        ("taxa.csv", "s4,10", "s4,ten", 5, "Alpha one", "got 'ten'"),
    ],
)
def test_an_error_names_file_column_row_and_value(
    write_cohort: Callable[..., str],
    read: Read,
    file: str,
    old: str,
    new: str,
    row: int,
    column: str,
    match: str,
) -> None:
    text = (Path(write_cohort()).parent / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    with pytest.raises(FileError, match=match) as caught:
        read({file: text.replace(old, new)})
    assert (Path(caught.value.file).name, caught.value.row, caught.value.column) == (file, row, column)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"samples": {"sample": "accession"}}, "no column 'accession'; the columns are sample, patient, day"),
        ({"patients": {"covariates": {"bmi": {"column": "BMI"}}}}, "no column 'BMI'"),
        ({"samples": {"sample": "patient"}}, r"'p1' is listed twice"),
        ({"exclude_columns": {"stroids": "a slip"}}, "'exclude_columns' excludes 'stroids', which is no column"),
        (
            {"exclude_columns": {"TNF": "drawn when they fell ill"}},
            r"'exclude_columns' excludes 'TNF' \(drawn when they fell ill\)",
        ),
    ],
)
def test_a_manifest_that_does_not_match_its_files(read: Read, changes: dict[str, Any], match: str) -> None:
    with pytest.raises((ManifestError, FileError), match=match):
        read(**changes)


def test_files_that_do_not_belong_together(read: Read) -> None:
    with pytest.raises(ManifestError, match=r"\(such as 't1'\) names a profile of the taxa table \(such as 's1'\)"):
        read({"samples.csv": "sample,patient,day\nt1,p1,0\nd2,D1,\n"})
    with pytest.raises(ManifestError, match=r"\(such as 'q1'\) names a patient with stool \(such as 'p1'\)"):
        read({"blood.csv": "patient,day,IL6\nq1,0,3\n"})


def test_a_cohort_may_have_stool_alone(read: Read) -> None:
    cohort = read(patients=None, immune=None, outcomes=None, exclude_columns=None)
    assert cohort.immune is None
    assert cohort.clinical.shape == (6, 0)
    assert cohort.labels.reported_outcomes == ()
    assert set(cohort.centre) == {"toy"}


def test_absent_files(write_cohort: Callable[..., str], tmp_path: Path) -> None:
    path = Path(write_cohort())
    (path.parent / "blood.csv").unlink()
    with pytest.raises(DataMissing, match=r"blood\.csv not in"):
        read_cohort(path, tmp_path)
    with pytest.raises(DataMissing, match="metaphlan4_merged"):
        read_cohort("lee_2022", tmp_path, fetch=False)


def test_files_of_shipped_cohorts_lie_in_the_data_folder_and_others_beside_their_manifest(
    write_cohort: Callable[..., str], tmp_path: Path, cohorts_dir: Path
) -> None:
    path = Path(write_cohort())
    assert locate_files(load_manifest(path), tmp_path, fetch=False)["taxa.csv"] == path.parent / "taxa.csv"
    paths = locate_files(load_manifest("momspi"), cohorts_dir, fetch=False)
    assert paths["rectal_16s.biom"] == cohorts_dir / "momspi" / "rectal_16s.biom"


def test_an_excluded_sample_is_counted_and_not_named(read: Read) -> None:
    full_cohort = read()
    name = str(full_cohort.samples["sample"].iloc[0])
    cohort = read(
        samples={**full_cohort.manifest.samples.model_dump(exclude_none=True), "exclude_samples": {name: "thawed"}}
    )
    assert name not in set(cohort.samples["sample"]) | set(cohort.taxa.samples)
    assert len(cohort.samples) == len(full_cohort.samples) - 1
    assert "1 sample left out: thawed" in cohort.notes
    assert name not in " ".join(cohort.notes)


def test_a_pattern_excludes_all_samples_that_match(read: Read) -> None:
    full_cohort = read()
    names = [str(name) for name in full_cohort.samples["sample"]]
    last_letter = names[0][-1]
    samples = full_cohort.manifest.samples.model_dump(exclude_none=True)
    cohort = read(samples={**samples, "exclude_samples": {f"*{last_letter}": "thawed", names[0]: "thawed"}})
    remaining = [name for name in names if not name.endswith(last_letter)]
    assert list(cohort.samples["sample"]) == remaining
    n_excluded = len(names) - len(remaining)
    assert f"{n_excluded} sample{'s' * (n_excluded > 1)} left out: thawed" in cohort.notes


def test_excluding_a_sample_that_does_not_exist_is_an_error(read: Read) -> None:
    samples = {**read().manifest.samples.model_dump(exclude_none=True), "exclude_samples": {"nobody": "typing"}}
    with pytest.raises(ManifestError, match="'nobody', which is no sample"):
        read(samples=samples)


NAMED_TAXA = (
    "sample,Alpha one,Beta two,Gamma three\n"
    "p1_D-10,50,50,0\np1_D-2,25,75,0\np1_D20,0,0,100\np2_D0,10,20,70\np3_D-1,80,10,10\nD1,0,100,0\n"
)
IN_NAMES = {
    "file": None,
    "names": r"(?P<patient>p\d|D\d)(_D(?P<day>-?\d+))?",
    "donor": {"column": "patient", "pattern": "^D"},
}


def test_names_of_profiles_list_the_samples_as_a_sheet_does(read: Read) -> None:
    samples = read({"taxa.csv": NAMED_TAXA}, samples=IN_NAMES).samples
    assert list(samples["sample"]) == ["p1_D-10", "p1_D-2", "p1_D20", "p2_D0", "p3_D-1", "D1"]
    columns = ["patient", "day", "donor", "donor_sample"]
    pd.testing.assert_frame_equal(samples[columns], read().samples[columns])


def test_donors_are_screened_by_the_names_of_profiles(read: Read) -> None:
    rule = {"column": "patient", "yes": ["D1"], "no": []}
    (donor,) = screened_donors(read({"taxa.csv": NAMED_TAXA}, samples={**IN_NAMES, "donor_cleared": rule}))
    assert (donor.name, donor.exclusion) == ("D1", None)


def test_a_profile_of_another_name_is_named_or_excluded(read: Read) -> None:
    taxa = {"taxa.csv": NAMED_TAXA + "NTC,1,0,0\n"}
    with pytest.raises(FileError, match=r"taxa\.csv: samples\.names expects names like .*, got 'NTC'; correct"):
        read(taxa, samples=IN_NAMES)
    cohort = read(taxa, samples={**IN_NAMES, "exclude_samples": {"NT*": "no template"}})
    assert len(cohort.samples) == 6
    assert "1 sample left out: no template" in cohort.notes
    any_day = {**IN_NAMES, "names": "(?P<patient>p.|D1)(_D(?P<day>.+))?"}
    with pytest.raises(FileError, match=r"names of the profiles in taxa\.csv, row 3, column 'day'.*'x'"):
        read({"taxa.csv": NAMED_TAXA.replace("D20", "Dx")}, samples=any_day)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"file": None}, "state the samples' sheet as 'file', or as 'names'"),
        ({"names": "(?P<patient>.+)"}, "state the samples' sheet as 'file', or as 'names'"),
        ({"file": None, "names": "(?P<patient>"}, "is not a regular expression"),
        ({"file": None, "names": "(?P<person>.+)"}, "'names' needs a group named 'patient'"),
        ({"file": None, "names": "(?P<patient>.+)", "sample": "id"}, "the whole name is the column 'sample'"),
    ],
)
def test_samples_are_listed_in_one_place(read: Read, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ManifestError, match=match):
        read(samples=changes)


ARMS = {"column": "label", "roles": {"R": "fmt_ici", "NR": "sham"}}


def test_arms_are_those_assigned(read: Read) -> None:
    arm = read(patients={"arms": ARMS}).arm
    assert dict(arm) == {"p1": "R", "p2": "NR", "p4": "NR"}
    assert read().arm.empty


@pytest.mark.parametrize(
    ("files", "arms", "match"),
    [
        ({}, {**ARMS, "column": "arms"}, "no column 'arms'"),
        ({"patients.csv": "patient,age,sex,best,label\np1,60,F,PR,X\np2,71,M,SD,NR\np3,,F,,\np4,50,M,PD,NR\n"}, ARMS,
         r"'X'; the manifest's 'patients\.arms\.roles'"),
        ({}, {**ARMS, "roles": {"R": "fmt_ici", "NR": "fmt_ici"}}, r"a control \('ici' or 'sham'\); got"),
        ({}, {**ARMS, "roles": {"R": "ici", "NR": "sham"}}, "expected an arm with FMT"),
        ({}, {**ARMS, "roles": {"R": "fmt_ici", "NR": "placebo"}}, "sham"),
        ({"patients.csv": "patient,age,sex,label\np1,6,F,R\np1,6,F,NR\np2,7,M,NR\np3,,F,\np4,5,M,NR\n"}, ARMS, "label"),
    ],
)  # fmt: skip
def test_arms_that_cannot_be_read_are_named(
    read: Read, files: dict[str, str], arms: dict[str, Any], match: str
) -> None:
    changes: dict[str, Any] = {"outcomes": None, "exclude_columns": None}
    with pytest.raises((FileError, ManifestError), match=match):
        read(files, patients={"arms": arms}, **changes)
