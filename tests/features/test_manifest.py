from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import ManifestError
from features.fetch import cohort_files
from features.manifest import Events, Manifest, YesNo, load_manifest, manifest_folder, manifest_names, manifest_text

SHIPPED = (
    "davar_2021",
    "frankel_2017",
    "frankel_2017_qiime2",
    "lee_2022",
    "matson_2018",
    "mitox",
    "momspi",
    "spencer_2021",
)
TOP = """
manifest_version: 2
name: toy
title: A toy
source: {licence: CC0, citation: nobody}
clock: {name: day_ici, index: first dose}
taxa: {file: taxa.csv, format: table, unit: percent}
samples: {file: samples.csv, sample: sample, patient: patient, baseline: before treatment}
patients: {file: patients.csv, patient: patient}
"""

Write = Callable[..., str]


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Manifest]:
    def write_and_load(text: str) -> Manifest:
        path = tmp_path / "toy.yaml"
        path.write_text(text, encoding="utf-8")
        return load_manifest(path)

    return write_and_load


def test_every_public_cohort_has_a_manifest() -> None:
    assert set(SHIPPED) <= set(manifest_names())


@pytest.mark.parametrize("name", manifest_names())
def test_shipped_manifest(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name
    assert manifest.folder is None
    assert manifest.source.licence
    assert manifest.source.citation
    assert manifest.clock.index
    assert not manifest.simulated


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_manifest_names_the_published_files(name: str, cohorts_dir: Path) -> None:
    manifest = load_manifest(name)
    paths = cohort_files(cohorts_dir / name, manifest.source_files, fetch=False)
    assert {path.name for path in (cohorts_dir / name).iterdir()} == set(paths)


def test_shipped_manifests_exclude_columns_recorded_because_of_the_outcome() -> None:
    assert {"treatment", "disease"} <= set(load_manifest("lee_2022").exclude_columns)
    assert {"corticosteroids", "ppi", "any_irae"} <= set(load_manifest("mitox").exclude_columns)
    assert {"pfs_6_months", "pfs_12_months"} <= set(load_manifest("mitox").outcomes.outcome_columns)
    assert "change_in_tumor_size" in load_manifest("frankel_2017").exclude_columns
    assert "anti_PD_1" in load_manifest("matson_2018").exclude_columns
    assert {"PFS03", "PFS06", "PFS12"} <= set(load_manifest("spencer_2021").outcomes.outcome_columns)


def test_the_transplant_cohort_has_its_own_clock() -> None:
    clock = load_manifest("davar_2021").clock
    assert (clock.name, clock.latest_sample) == ("day_fmt", 0)
    assert {load_manifest(name).clock.name for name in ("mitox", "lee_2022", "spencer_2021")} == {"day_ici"}


def test_values_stay_the_text_that_is_written(load: Callable[[str], Manifest]) -> None:
    manifest = load(
        TOP + "outcomes: {published_response:\n"
        "  {column: response, yes: [yes, Y, on, TRUE, true, 1], no: [no, N, off, 2.0], unknown: [NA]}}"
    )
    assert manifest.outcomes.published_response == YesNo(
        column="response",
        yes=("yes", "Y", "on", "TRUE", "true", "1"),
        no=("no", "N", "off", "2.0"),
        unknown=("NA",),
    )


def test_a_value_may_mean_true_and_a_number_is_a_value(load: Callable[[str], Manifest]) -> None:
    covariates = "patient: patient, covariates: {smoker: {column: s, values: {yes: true, 0: false}}}}\n"
    manifest = load(TOP.replace("patient: patient}\n", covariates))
    assert manifest.patients is not None
    assert manifest.patients.covariates["smoker"].values == {"yes": True, "0": False}


def test_progression_by_month_survives_writing_and_reading(load: Callable[[str], Manifest]) -> None:
    manifest = load(TOP + "outcomes: {progression_free: {6: {column: p, yes: [a], no: [b]}}}\n")
    assert manifest.outcomes.progression_free == {6: YesNo(column="p", yes=("a",), no=("b",))}
    assert load(manifest_text(manifest)).outcomes == manifest.outcomes


def test_a_toxicity_flag_may_write_its_grade_as_a_number(load: Callable[[str], Manifest]) -> None:
    manifest = load(TOP + "outcomes: {toxicity: {column: irae, grade: 3, yes: [x], no: [y]}}")
    assert manifest.outcomes.toxicity is not None
    assert manifest.outcomes.toxicity.grade == "3"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("outcome: {}", "outcome: a manifest has no such key here; did you mean 'outcomes'?"),
        (
            "immune: {file: b.csv, layout: wide, unit: NPX, patient: p, day: {column: d, labls: {a: 1}}}",
            "labls: a manifest has no such key here; did you mean 'labels'?",
        ),
        (
            "outcomes: {recist: {column: r, CR: [a], unkown: [b]}}",
            "outcomes.recist.unkown: a manifest has no such key here; did you mean 'unknown'?",
        ),
        ("prefix: x_", "prefix: a manifest has no such key here; it is a key of 'taxa'; move or remove it"),
        (
            "technical: {kit: {column: k, xyz: 1}}",
            "xyz: a manifest has no such key here; correct or remove it; the keys here are column, missing, unit",
        ),
        ("name: again", "'name' stands twice"),
        ("exclude_columns: {a: x, a: y}", "'a' stands twice"),
        ("immune: {file: b.csv, layout: wide, unit: U/mL, patient: p, day: d}", "immune.unit: Input should be 'pg/mL'"),
        ("immune: {file: b.csv, layout: wide, unit: NPX, patient: p}", "immune: state when blood was drawn"),
        ("immune: {file: b.csv, layout: wide, unit: NPX, patient: p, visit: v}", "immune.visit needs samples.visit"),
        ("outcomes: {recist: {column: r, CR: [a], PR: [a]}}", "outcomes.recist: 'a' stands under CR and under PR"),
        (
            "outcomes: {recist: {column: r, SD: [SD], unknown: [SD]}}",
            "outcomes.recist: 'SD' stands under SD and under unknown",
        ),
        (
            "outcomes: {published_response: {column: r, yes: [a], no: [a]}}",
            "published_response: 'a' stands under yes and under no",
        ),
        (
            "outcomes: {published_response: {column: r, yes: R, no: [NR]}}",
            "published_response.yes: expected a list, as in [R]",
        ),
        (
            "outcomes: {published_response: {column: r, yes: [R], no: [NR], unknown: [null]}}",
            'unknown.0: expected text, got nothing; write "" for an empty cell',
        ),
        (
            "outcomes: {durable_benefit: {stable_six_months: {column: p, yes: [a], no: [b]}}}",
            "stable_six_months needs 'recist'",
        ),
        (
            "outcomes: {recist: {column: r, CR: [a]}, objective_response: {column: q, yes: [a], no: [b]}}",
            "objective_response follows from 'recist'",
        ),
        ("outcomes: {toxicity: {column: t, yes: [a], no: [b]}}", "grade: this key is missing; add it"),
        ("outcomes: {toxicity: {column: t, grade: 4, yes: [a], no: [b]}}", "grade: Input should be 'any', '2' or '3'"),
        ("outcomes: {progression_free: {0: {column: p, yes: [a], no: [b]}}}", "Input should be greater than 0"),
        ("technical: {kit: kit}", "technical.kit: expected a mapping, as in {column: …} (got 'kit')"),
        ("exclude_columns: [steroids]", "exclude_columns: expected a mapping, as in {KEY: VALUE}"),
        ("source_: 1\nsource: 1", "'source' stands twice"),
    ],
)
def test_an_error_names_the_file_the_key_and_what_to_do(
    load: Callable[[str], Manifest], lines: str, message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        load(TOP + lines + "\n")
    assert "toy.yaml" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", baseline: before treatment", "", "samples: state when stool was sampled"),
        ("baseline: before treatment", "day: {column: d, pattern: 'D([0-9]+)'}", "has no group named 'day'"),
        ("baseline: before treatment", "day: {column: d, pattern: '(?P<day>'}", "is not a regular expression"),
        ("source: {licence: CC0, citation: nobody}\n", "", "source: this key is missing"),
        ("citation: nobody", "citation: nobody, files: [{name: ../taxa.csv}]", "'../taxa.csv' is not the plain name"),
        ("name: toy", "name: ../toy", "name: String should match pattern"),
        (
            "file: patients.csv",
            "file: patients.csv, covariates: {ill: {column: c, values: {a: true, b: x}}}",
            "or all words",
        ),
    ],
)
def test_keys_that_a_manifest_needs(load: Callable[[str], Manifest], old: str, new: str, message: str) -> None:
    assert old in TOP
    with pytest.raises(ManifestError) as caught:
        load(TOP.replace(old, new))
    assert "toy.yaml" in str(caught.value)
    assert message in str(caught.value)


def test_an_error_in_toxicity_concerns_one_variant_and_names_its_line(load: Callable[[str], Manifest]) -> None:
    with pytest.raises(ManifestError) as caught:
        load(TOP + "outcomes: {toxicity: {events: events.csv, patient: p, grade: g, term: t}}")
    (message,) = str(caught.value).splitlines()
    assert message.endswith("toy.yaml, line 10: outcomes.toxicity.events.day: this key is missing; add it")


def test_outcomes_need_the_patients_sheet(load: Callable[[str], Manifest]) -> None:
    text = TOP.replace("patients: {file: patients.csv, patient: patient}\n", "")
    assert load(text).patients is None
    with pytest.raises(ManifestError, match="outcomes need 'patients'"):
        load(text + "outcomes: {published_response: {column: r, yes: [R], no: [NR]}}")


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("steroids", "given because of toxicity"),
        ("best", r"it encodes outcomes\.recist"),
        ("label", r"it encodes outcomes\.published_response"),
        ("lasting", r"it encodes outcomes\.(durable_benefit|progression_free\.6)"),
        ("kit", r"it is technical\.kit"),
    ],
)
def test_outcomes_and_excluded_columns_never_become_covariates(write_cohort: Write, column: str, reason: str) -> None:
    free = {6: {"column": "lasting", "yes": ["yes"], "no": ["no"], "unknown": [""]}}
    path = write_cohort(
        patients={"covariates": {"x": {"column": column}}},
        outcomes={"progression_free": free},
        technical={"kit": {"column": "kit"}},
    )
    with pytest.raises(ManifestError, match=rf"patients\.covariates\.x takes column '{column}'.*: {reason}"):
        load_manifest(path)


def test_files_of_a_manifest_given_as_a_path_lie_in_its_folder(write_cohort: Write) -> None:
    path = Path(write_cohort())
    manifest = load_manifest(path)
    assert manifest.folder == path.parent
    assert isinstance(manifest.outcomes.toxicity, Events)
    assert [file.name for file in manifest.source_files] == [
        "taxa.csv",
        "samples.csv",
        "patients.csv",
        "blood.csv",
        "events.csv",
    ]


def test_version_1_is_read_as_version_2_with_hints(write_cohort: Write) -> None:
    path = Path(write_cohort(clock={"latest_sample": 0, "latest_sample_reason": "later stool is the donor's"}))
    manifest = load_manifest(path)
    assert not manifest.hints
    text = path.read_text(encoding="utf-8")
    renames = {
        "covariates": "keep",
        "exclude_columns": "never",
        "sample_axis": "samples_in",
        "latest_sample_reason": "because",
    }
    for new_key, old_key in renames.items():
        text = text.replace(f'"{new_key}":', f'"{old_key}":')
    path.write_text(text.replace('"manifest_version": 2, ', ""), encoding="utf-8")
    version_1 = load_manifest(path)
    assert manifest_text(version_1) == manifest_text(manifest)
    assert len(version_1.hints) == 4
    assert version_1.hints[-1] == (
        "cohort.yaml, line 1: never is called exclude_columns since manifest version 2; please rename it"
    )


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("2", "line 10: never is called exclude_columns since version 2; rename it"),
        ("3", "expected manifest_version 1 or 2, got '3'"),
        ("[2]", r"expected manifest_version 1 or 2, got \['2'\]"),
    ],
)
def test_a_key_of_another_version_is_refused(load: Callable[[str], Manifest], version: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load(TOP.replace("version: 2", f"version: {version}") + "never: {steroids: given because of toxicity}\n")


def test_an_old_key_beside_its_new_name_is_refused(load: Callable[[str], Manifest]) -> None:
    text = TOP.replace("manifest_version: 2\n", "") + "exclude_columns: {a: x}\nnever: {b: y}\n"
    with pytest.raises(ManifestError, match="line 10: never is the old name of exclude_columns, which stands there"):
        load(text)


def test_every_field_of_a_manifest_is_described() -> None:
    schema = Manifest.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert "description" in field, f"{part['title']}.{name}"


def test_an_unknown_name_raises_an_error_with_the_known_names() -> None:
    with pytest.raises(ManifestError, match=r"no cohort manifest 'lee_2023'; known names are davar_2021, .*lee_2022"):
        load_manifest("lee_2023")


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"", b"name: [\n", "title: \xe9".encode("latin-1")])
def test_files_that_are_no_manifest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"mine\.yaml(, line \d)?: (this is not|expected 'name:')"):
        load_manifest(path)


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"line 1: this is not the YAML of a manifest"):
        load_manifest(path)


def test_the_folder_of_manifests_holds_yaml_alone() -> None:
    assert {path.suffix for path in manifest_folder().iterdir()} == {".yaml"}


def test_a_manifest_is_immutable(write_cohort: Write) -> None:
    manifest: Any = load_manifest(write_cohort())
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "other"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10) if i else 'x'}]\n" for i in range(8)),
            "more than 100,000 values, those of its aliases counted",
        ),
        ("name: x\n" + "k: [1, 2]\n" * 40_000, "400,008 characters; a manifest has at most 300,000"),
    ],
    ids=["aliases", "long"],
)
def test_more_yaml_than_a_manifest_has_is_refused_at_once(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=problem):
        load_manifest(path)
