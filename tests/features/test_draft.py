from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import biom
import h5py
import numpy as np
import pandas as pd
import pytest

from features.audit import audit
from features.cohort import Cohort, read_cohort
from features.draft import draft_manifest, find_file_kind
from features.draft.covariates import draft_covariates
from features.errors import FileError, InputError, ManifestError
from features.manifest import DayFromDates, Manifest, Recist, load_manifest
from taxokine.simulation import Trial, simulate_trial

METAPHLAN = """#mpa_vJun23_CHOCOPhlAnSGB_202307
clade_name\tx_A1\tx_B1\tx_C1\tx_D1
k__Bacteria\t100\t100\t100\t100
k__Bacteria|g__Dialister|s__Dialister_invisus\t75\t80\t50\t1
k__Bacteria|g__Dialister|s__Dialister_hominis\t25\t20\t50\t99
"""
SHEET = {
    "run": ["A0;A1", "B1", "C1;C2", "D1"],
    "PatientID": ["p1", "p2", "p3", "p4"],
    "response": ["R", "NR", "R", "NR"],
}
# YAML, CSV or Unicode would read these as something else than plain text.
VALUES_WITH_A_MEANING_IN_YAML = [
    "yes: # no",
    "'",
    '"x"',
    "\\n",
    "é\U0001f600",
    "0x1F",
    "1e3",
    "~",
    "- a",
    "{a: [b",
    "a\u2028b",
    "off",
    "*x",
    "a,b",
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | dict[str, list[str]]) -> Path:
        path = tmp_path / name
        text = content if isinstance(content, str) else pd.DataFrame(content).to_csv(index=False)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def drafted(files: list[Path], name: str = "mine") -> tuple[str, Manifest]:
    """Draft beside the files, and load."""
    text = draft_manifest(files, name)
    path = files[0].parent / "manifest.yaml"
    path.write_text(text, encoding="utf-8")
    return text, load_manifest(path)


def read(files: list[Path]) -> Cohort:
    return read_cohort(files[0].parent / "manifest.yaml", files[0].parent)


def link_files(folder: Path, tmp_path: Path) -> list[Path]:
    """Link the files of a published cohort into a folder of their own, as a researcher would have them."""
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return sorted(tmp_path.iterdir())


ANSWERS = {
    "title: TODO": "title: A cohort",
    "source: {licence: TODO": "source: {licence: MIT, citation: A paper}",
    "  index: TODO": "  index: first dose of immune checkpoint inhibitors",
    "  baseline: TODO": "  baseline: before treatment",
    "  # TODO: name the last visit on or before day 0": "  baseline_visit: 17",
}
"""What a draft of published files cannot know, by the begin of its line."""


def finished(draft: str) -> tuple[str, int]:
    """Edit a draft's open lines by hand, and count them."""
    lines, n_edited = draft.splitlines(), 0
    for position, line in enumerate(lines):
        if answer := next((answer for begin, answer in ANSWERS.items() if line.startswith(begin)), None):
            lines[position] = answer
            n_edited += 1
    return "\n".join(lines) + "\n", n_edited


def with_excluded_samples(manifest: str, *samples: str) -> str:
    """Add the line that excludes samples, as a user does after the audit has named them."""
    reasons = ", ".join(f"{sample}: one stool sample under two patients" for sample in samples)
    return manifest.replace("\nsamples:\n", f"\nsamples:\n  exclude_samples: {{{reasons}}}\n")


def recist_words(rule: Recist | None) -> dict[str, tuple[str, ...]]:
    assert rule is not None
    return {code: getattr(rule, code) for code in ("CR", "PR", "SD", "PD")}


# ---- real files ----


@pytest.mark.parametrize(
    ("name", "patients", "samples", "edits"),
    [
        ("mitox", 42, 88, 3),
        ("lee_2022", 164, 164, 4),
        ("spencer_2021", 156, 156, 5),
        ("frankel_2017", 39, 39, 4),
        ("matson_2018", 38, 38, 4),
        ("davar_2021", 15, 214, 2),
        ("frankel_2017_qiime2", 39, 39, 4),
        ("momspi", 71, 490, 4),
    ],
)
def test_draft_of_published_files_agrees_with_the_shipped_manifest_and_reads(
    cohorts_dir: Path, tmp_path: Path, name: str, patients: int, samples: int, edits: int
) -> None:
    files = link_files(cohorts_dir / name, tmp_path)
    text, draft = drafted(files, name)
    shipped = load_manifest(name)

    assert (draft.name, draft.clock.name) == (shipped.name, shipped.clock.name)
    for part in ("file", "format", "rank", "unit", "taxonomy", "prefix"):
        assert getattr(draft.taxa, part) == getattr(shipped.taxa, part)
    for part in ("file", "sample", "patient", "visit", "donor_sample", "donor"):
        assert getattr(draft.samples, part) == getattr(shipped.samples, part)
    assert (draft.samples.day is None) == (shipped.samples.day is None)
    outcomes, shipped_outcomes = draft.outcomes, shipped.outcomes
    assert (outcomes.recist is None) == (shipped_outcomes.recist is None)
    if shipped_outcomes.recist is not None:
        assert outcomes.recist is not None
        assert outcomes.recist.column == shipped_outcomes.recist.column
        assert recist_words(outcomes.recist) == recist_words(shipped_outcomes.recist)
    assert outcomes.published_response == shipped_outcomes.published_response
    assert outcomes.toxicity == shipped_outcomes.toxicity
    if name != "davar_2021":  # nothing in its sheet says that `disease` may name later metastases
        assert set(draft.exclude_columns) >= set(shipped.exclude_columns)

    manifest_text, n_edited = finished(text)
    if name == "spencer_2021":
        manifest_text = with_excluded_samples(manifest_text, "SRR16554786", "SRR16554778")
        n_edited += 1
    (tmp_path / "manifest.yaml").write_text(manifest_text, encoding="utf-8")
    assert n_edited == edits
    assert not load_manifest(tmp_path / "manifest.yaml").unfinished
    cohort = read(files)
    assert cohort.samples.loc[~cohort.samples["donor"], "patient"].nunique() == patients
    assert len(cohort.samples) == samples
    # With these edits `taxokine cohorts check` passes.
    assert not [finding for finding in audit([cohort]) if finding.severity == "error"]


def test_days_in_sample_names_and_donors_are_recognised(cohorts_dir: Path, tmp_path: Path) -> None:
    files = link_files(cohorts_dir / "davar_2021", tmp_path)
    drafted(files, "davar_2021")
    cohort, shipped = read(files), read_cohort("davar_2021", cohorts_dir, fetch=False)
    pd.testing.assert_frame_equal(cohort.samples, shipped.samples)


def test_clinical_columns_become_covariates_with_the_meaning_of_their_values(cohorts_dir: Path, tmp_path: Path) -> None:
    _, draft = drafted(link_files(cohorts_dir / "lee_2022", tmp_path), "lee_2022")
    assert draft.patients == load_manifest("lee_2022").patients


def test_codes_controls_and_analytes_without_a_value(cohorts_dir: Path, tmp_path: Path) -> None:
    for name in ("momspi", "mitox"):
        (tmp_path / name).mkdir()
        text, draft = drafted(link_files(cohorts_dir / name, tmp_path / name), name)
        shipped = load_manifest(name).immune
        assert draft.immune is not None
        assert shipped is not None
        for part in ("file", "layout", "unit", "patient", "visit", "below", "above", "drop"):
            assert getattr(draft.immune, part) == getattr(shipped, part)
        assert set(draft.immune.exclude_analytes) == set(shipped.exclude_analytes)
        if name == "momspi":
            assert "# TODO: -1 occurs 65 times, most often in RANTES: does it mean above range?" in text


# ---- made files ----


def test_several_names_in_one_cell_a_prefix_and_every_placeholder(write: Callable[..., Path]) -> None:
    files = [write("table.tsv", METAPHLAN), write("sheet.csv", SHEET)]
    text, draft = drafted(files)
    assert (draft.samples.sample, draft.samples.separator, draft.taxa.prefix) == ("run", ";", "x_")
    assert draft.samples.patient == "PatientID"
    assert "# guessed: 4 of 4 profile names found in this column" in text
    for placeholder in ("title: TODO", "licence: TODO", "citation: TODO", "index: TODO", "baseline: TODO"):
        assert placeholder in text
    cohort = read(files)
    assert list(cohort.labels.label_by_outcome["published_response"]) == [True, False, True, False]


def test_a_genus_table_with_samples_in_rows_graded_toxicity_and_long_cytokines(write: Callable[..., Path]) -> None:
    table = {"sample": ["A", "B", "C"], "Blautia": ["0.5", "0.4", "1"], "Roseburia": ["0.5", "0.6", "0"]}
    sheet = {
        "sample": ["A", "B", "C"],
        "subject": ["1", "2", "2"],
        "day": ["0", "-3", "14"],
        "Gender": ["F", "M", "M"],
        "irae_max_grade": ["0", "3", "3"],
        "age": ["60", "n/a", "71"],
    }
    cytokines = {
        "subject": ["1", "1", "2"],
        "analyte": ["IL-6", "TNF-a", "IL-6"],
        "value": ["1.5", "<3", "2"],
        "unit": ["pg/mL", "pg/mL", "ng/mL"],
    }
    files = [
        write("genera.csv", table),
        write("sheet.csv", sheet),
        write("blood.tsv", pd.DataFrame(cytokines).to_csv(sep="\t", index=False)),
    ]
    text, draft = drafted(files)
    assert (draft.taxa.format, draft.taxa.rank, draft.taxa.unit) == ("table", "genus", "proportions")
    assert draft.immune is not None
    assert (draft.immune.layout, draft.immune.unit, draft.immune.unit_column) == ("long", "pg/mL", "unit")
    assert "confirm the grade" in text
    cohort = read(files)
    assert cohort.samples["day"].tolist() == [0, -3, 14]
    assert cohort.labels.label_by_outcome["toxicity_any"].to_dict() == {"1": False, "2": True}
    assert cohort.clinical["age"].isna().tolist() == [False, True, False]
    assert cohort.clinical["sex=male"].tolist() == [0, 1, 1]
    assert cohort.immune is not None
    assert sorted(cohort.immune.rows["value"].dropna()) == [1.5, 2000.0]


def test_one_sheet_holds_samples_patients_and_cytokines(write: Callable[..., Path], tmp_path: Path) -> None:
    counts = biom.Table(np.array([[5.0, 0.0, 90.0], [7.0, 300.0, 0.0]]), ["otu1", "otu2"], ["S1", "S2", "S3"])
    with h5py.File(tmp_path / "table.biom", "w") as file:
        counts.to_hdf5(file, "Taxokine's tests")
    sheet = {
        "Sample ID": ["S1", "S2", "S3"],
        "Patient": ["a", "a", "b"],
        "Timepoint": ["1", "2", "1"],
        "Best Response": ["CR", "CR", "PD"],
        "irAE grade": ["2", "2", "0"],
        "IL-6 (pg/mL)": ["1", "2", "3"],
        "IL-10 (pg/mL)": ["1", "", "3"],
        "TNF-alpha (pg/mL)": ["<3", "4", "5"],
        "Comment": ["x", "y", ""],
        "PFS months": ["9", "9", "2"],
    }
    files = [tmp_path / "table.biom", write("all.csv", sheet)]
    text, draft = drafted(files)
    assert "rank: feature" in text
    assert "the features have ids, no names; add 'taxonomy'" in text
    assert set(draft.exclude_columns) == {"PFS months"}
    assert draft.immune is not None
    assert draft.immune.unit == "pg/mL"
    cohort = read(files)
    assert cohort.immune is not None
    assert set(cohort.immune.rows["analyte_published"]) == {name for name in sheet if "pg/mL" in name}
    assert cohort.labels.label_by_outcome["objective_response"].to_dict() == {"a": True, "b": False}
    assert cohort.labels.label_by_outcome["toxicity_any"].to_dict() == {"a": True, "b": False}


@pytest.mark.parametrize("value", VALUES_WITH_A_MEANING_IN_YAML)
def test_a_value_without_obvious_meaning_is_unknown_and_marked(write: Callable[..., Path], value: str) -> None:
    sheet = {**SHEET, "response": ["R", "NR", "R", value], f"sex {value}": ["m", "f", "m", "f"]}
    files = [write("table.tsv", METAPHLAN), write("sheet.csv", sheet)]
    text, draft = drafted(files)
    rule = draft.outcomes.published_response
    assert rule is not None
    assert (rule.yes, rule.no, rule.unknown) == (("R",), ("NR",), (value,))
    assert "mean? Taken as unknown" in text
    assert read(files).labels.label_by_outcome["published_response"].isna().sum() == 1


def test_columns_recorded_because_of_the_outcome_are_excluded(write: Callable[..., Path]) -> None:
    sheet = {
        **SHEET,
        "treatment": ["nivolumab", "nivolumab;steroids", "ipilimumab", "ipilimumab"],
        "OS_months": ["3", "5", "8", "13"],
        "age": ["40", "50", "60", "70"],
    }
    _, draft = drafted([write("table.tsv", METAPHLAN), write("sheet.csv", sheet)])
    assert set(draft.exclude_columns) == {"treatment", "OS_months"}
    assert draft.patients is not None
    assert set(draft.patients.covariates) == {"age"}


def test_a_column_that_changes_within_a_patient_is_no_outcome(write: Callable[..., Path]) -> None:
    sheet = {**SHEET, "PatientID": ["p1", "p1", "p2", "p2"], "visit": ["1", "2", "1", "2"]}
    files = [write("table.tsv", METAPHLAN), write("sheet.csv", sheet)]
    text, draft = drafted(files)
    assert draft.outcomes.published_response is None
    assert "no outcome was recognised" in text
    assert read(files).samples["visit"].tolist() == [1, 2, 1, 2]


def test_a_draft_of_a_taxa_table_alone_asks_for_the_sheet(write: Callable[..., Path], tmp_path: Path) -> None:
    zipped = tmp_path / "table.tsv.gz"
    zipped.write_bytes(gzip.compress(METAPHLAN.encode()))
    text, draft = drafted([zipped, write("other.csv", {"note": ["a", "b"]})])
    assert draft.samples.file == "TODO"
    assert "no column of any sheet names the profiles, such as x_A1" in text
    assert "other.csv is not used" in text


def test_the_drafted_course_of_a_simulated_trial_equals_its_manifest(tmp_path: Path) -> None:
    path = simulate_trial(tmp_path / "trial", Trial(n_patients=12, n_taxa=40, seed=1))
    files = [file for file in path.parent.iterdir() if file.suffix in (".csv", ".tsv") and file.name != "truth.csv"]
    text, draft = drafted(sorted(files))
    shipped = load_manifest(path).course
    for part, shipped_part in shipped:
        drafted_part = getattr(draft.course, part)
        if part == "medications":
            assert drafted_part.kind.values.items() <= shipped_part.kind.values.items()
            assert drafted_part.model_copy(update={"kind": shipped_part.kind}) == shipped_part
        elif part == "assessments":
            assert set(drafted_part.response.values.items()) <= set(shipped_part.response.values.items())
            assert (drafted_part.day, drafted_part.sum_mm, drafted_part.response.column) == (
                shipped_part.day,
                shipped_part.sum_mm,
                shipped_part.response.column,
            )
        else:
            assert drafted_part == shipped_part
    assert "is not used" not in text
    course, shipped_course = read(files).course, read_cohort(path, path.parent).course
    for part in vars(shipped_course):
        pd.testing.assert_frame_equal(getattr(course, part), getattr(shipped_course, part))


def test_a_course_under_other_column_names_is_drafted_and_read(write: Callable[..., Path]) -> None:
    days = {"pt": ["p1", "p1"], "Day": ["3", "30"]}
    files = [
        write("table.tsv", METAPHLAN),
        write("sheet.csv", SHEET),
        write("drugs.csv", {"pt": ["p1", "p3"], "Drug": ["Ciprofloxacin", "Aspirin"], "Start": ["-3", "n/a"]}),
        write("infusions.csv", {**days, "Agent": ["Nivolumab 240 mg", "Ipilimumab"]}),
        write("scans.csv", {**days, "Response": ["iUPD", "RECIST PR"], "SLD": ["30", "12"]}),
        write("labs.csv", {**days, "parameter": ["weight", "albumin"], "result": ["70", "n/a"], "unit": ["kg", "g/L"]}),
    ]
    drafted(files)
    course = read(files).course
    assert course.medications["kind"].tolist() == ["antibiotic", "other"]
    assert course.cycles["drug"].tolist() == ["Nivolumab 240 mg", "Ipilimumab"]
    assert course.assessments[["response", "sum_mm"]].to_numpy().tolist() == [["iUPD", 30], ["PR", 12]]
    assert course.measures["value"].tolist() == [70]


@pytest.mark.parametrize("has_index", [True, False])
def test_a_course_of_dates_counts_from_the_date_of_day_0_in_the_sheet_of_patients(
    write: Callable[..., Path], has_index: bool
) -> None:
    index = {"FMT date": ["2023-03-01"] * len(SHEET["PatientID"])} if has_index else {}
    files = [
        write("table.tsv", METAPHLAN),
        write("sheet.csv", SHEET | {"Age": ["60"] * len(SHEET["PatientID"])} | index),
        write("infusions.csv", {"pt": ["p1", "p1"], "Infusion date": ["22.03.2023", "2023-04-12"],
                                "Agent": ["Nivolumab 240 mg", "Ipilimumab"]}),
        # One row each, and dates of a start that are not of day 0.
        write("drugs.csv", {"pt": ["p1", "p3"], "Drug": ["Ciprofloxacin", "Aspirin"],
                            "Start date": ["2023-02-26", ""], "End date": ["2023-02-28", ""]}),
    ]  # fmt: skip
    _, draft = drafted(files)
    assert draft.course.cycles is not None
    index_column = "FMT date" if has_index else "TODO"
    assert draft.course.cycles.day == DayFromDates(**{"from": "Infusion date", "index": index_column})
    if not has_index:
        with pytest.raises(ManifestError, match=r"the draft is not finished; settle .*course\.cycles\.day\.index"):
            read(files)
        return
    course = read(files).course
    assert course.cycles["day"].tolist() == [21, 42]
    assert course.medications[["start", "end"]].fillna(999).to_numpy().tolist() == [[-3, -1], [999, 999]]


# ---- errors ----


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("taxon,a,b\ns__Dialister_invisus,1,2\n", "table/columns"),
        ("Feature ID\tTaxon\nf1\tk__Bacteria\n", "taxonomy"),
        ("otu,genus,species,family\n1,A,b,c\n", "taxonomy"),
        ("sample,s__Dialister_invisus\na,1\n", "table/rows"),
        ("taxon,note\ns__Dialister_invisus,rare\n", "sheet"),
        (METAPHLAN, "metaphlan"),
    ],
)
def test_the_kind_of_a_text_file(write: Callable[..., Path], text: str, kind: str) -> None:
    assert find_file_kind(write("some.txt", text)) == kind


def test_a_cohort_needs_exactly_one_taxa_table(write: Callable[..., Path]) -> None:
    sheet, table = write("sheet.csv", SHEET), write("table.tsv", METAPHLAN)
    with pytest.raises(InputError, match="no taxa table among the files; expected a merged MetaPhlAn table"):
        draft_manifest([sheet], "mine")
    with pytest.raises(InputError, match=r"one taxa table, and table.tsv and again.tsv"):
        draft_manifest([table, sheet, write("again.tsv", METAPHLAN)], "mine")


def test_files_that_cannot_be_read(write: Callable[..., Path], tmp_path: Path) -> None:
    table, archive_path, binary = write("table.tsv", METAPHLAN), tmp_path / "sheet.zip", tmp_path / "sheet.csv"
    with pytest.raises(FileError, match=r"nowhere\.csv: the file cannot be read: No such file"):
        draft_manifest([table, tmp_path / "nowhere.csv"], "mine")
    with zipfile.ZipFile(archive_path, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(FileError, match=r"archive of 1 files, such as '\[Content_Types\]\.xml'.*Unpack it"):
        draft_manifest([table, archive_path], "mine")
    binary.write_bytes(b"a,b\n\x01,2\n")
    with pytest.raises(FileError, match="row 2: expected a table of text, got the control character"):
        draft_manifest([table, binary], "mine")
    with pytest.raises(FileError, match="expected a header and rows, got a header alone"):
        draft_manifest([table, write("empty.csv", "a,b\n")], "mine")


@pytest.mark.parametrize(
    ("member", "remedy"),
    [
        ("Index/Document.iwa", "Apple Numbers; export it as .xlsx or CSV"),
        ("xl/workbook.bin", r"\(.xlsb\); save it as .xlsx or CSV"),
        ("ppt/presentation.xml", "a presentation; ask for the table itself"),
    ],
)
def test_documents_of_office_software_are_refused_with_a_remedy(
    write: Callable[..., Path], tmp_path: Path, member: str, remedy: str
) -> None:
    with zipfile.ZipFile(tmp_path / "sheet.zip", "w") as archive:
        archive.writestr(member, "")
    with pytest.raises(FileError, match=remedy):
        draft_manifest([write("table.tsv", METAPHLAN), tmp_path / "sheet.zip"], "mine")


def test_a_parquet_file_of_samples_is_refused_by_the_draft(write: Callable[..., Path], tmp_path: Path) -> None:
    pd.DataFrame(SHEET).to_parquet(tmp_path / "sheet.parquet")
    with pytest.raises(FileError, match=r"sheet\.parquet.*convert it in Python: pandas\.read_parquet\('FILE'\)"):
        draft_manifest([write("table.tsv", METAPHLAN), tmp_path / "sheet.parquet"], "mine")


def test_the_sheets_of_a_workbook_that_are_not_read_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        for name in ("samples", "clinical", "cytokines"):
            pd.DataFrame(SHEET).to_excel(book, sheet_name=name, index=False)
    text = draft_manifest([write("table.tsv", METAPHLAN), tmp_path / "book.xlsx"], "mine")
    assert "of book.xlsx the sheet samples alone is read; save those of [clinical, cytokines] that belong" in text


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (("Liver metastases", "Brain metastases"), "sheet"),
        (("age", "Tumor mutational burden", "Lactate dehydrogenase"), "sheet"),
        (("Roseburia hominis", "Dialister invisus"), "table/rows"),
        (("s__Alpha_one", "s__Beta_two"), "table/rows"),
        (tuple(f"Genus{'abcdefghijklmnopqrstuvwxyz'[i]} species" for i in range(26)), "table/rows"),
    ],
)
def test_clinical_columns_of_two_words_are_no_taxa(
    write: Callable[..., Path], columns: tuple[str, ...], kind: str
) -> None:
    sheet = write("sheet.csv", {"patient": ["p1", "p2"], **{name: ["0", "1"] for name in columns}})
    assert find_file_kind(sheet) == kind


def test_an_invalid_cell_is_named_and_not_taken_for_a_missing_rank(write: Callable[..., Path]) -> None:
    with pytest.raises(FileError, match=r"table.tsv, row 4, column 'x_C1'"):
        draft_manifest([write("table.tsv", METAPHLAN.replace("\t50\t1", "\tmany\t1"))], "mine")


def test_invalid_names_of_cohorts_and_files(write: Callable[..., Path], tmp_path: Path) -> None:
    table = write("table.tsv", METAPHLAN)
    with pytest.raises(InputError, match="cannot name a cohort"):
        draft_manifest([table], "my cohort")
    with pytest.raises(InputError, match=r"2 files are named 'table.tsv'"):
        draft_manifest([table, tmp_path / "other" / "table.tsv"], "mine")


def test_prior_immunotherapy_is_not_drafted_as_any_prior_therapy():
    sheet = {
        "prior_immunotherapy": pd.Series(["Yes", "No", "Yes"]),
        "previous_therapy": pd.Series(["yes", "no", "no"]),
    }
    names = [line.split(":")[0].strip() for line in draft_covariates(sheet).lines]
    assert names == ["prior_immunotherapy", "prior_therapy"]
    assert "column: previous_therapy" in draft_covariates(sheet).lines[1]
