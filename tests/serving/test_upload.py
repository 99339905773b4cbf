"""Uploads: real files understood, each planted problem caught, and nothing left behind."""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from features.feature_table import Block, FeatureTable
from features.immune import ImmuneSpec, read_immune
from features.taxa import read_taxa
from models.bundle import Model
from models.calibration import Calibration
from models.encoder import BlockEncoder
from models.evidence_upgrade import upgrade_evidence
from models.families import FAMILIES
from models.predict import ServedModel, predict
from models.reference import fit_reference_set
from serving.schemas import PredictionRequest
from serving.upload import Field, Form, Upload, UploadedFile, immune, intake, understand

from ..invented import cohort_context

Models = dict[str, list[ServedModel]]
METAPHLAN = "mpa_vOct22_CHOCOPhlAnSGB_202212"
CYTOKINES = ["IL-6", "IL-8", "IL-10", "TNF-a"]


def table(blocks: dict[str, Block], units: dict[str, Any]) -> FeatureTable:
    n = len(next(iter(blocks.values())).values)
    none = Block((), np.empty((n, 0)))
    return FeatureTable(
        rows=pd.DataFrame({"patient": range(n)}),
        **{name: blocks.get(name, none) for name in ("taxa", "immune", "clinical", "technical")},
        units=units,
        cohorts={"real": cohort_context()},
        notes=(),
    )


def served(outcome: str, data: FeatureTable, block: str) -> ServedModel:
    """Return a model of real measurements and of an outcome that is made up, and says so."""
    encoder = BlockEncoder((block,))
    X = encoder.fit_transform(data)
    y = (X[:, 0] > np.median(X[:, 0])).astype(float)
    family = FAMILIES["elastic_net"]
    evidence = {"beats_chance": None, "sentence": "made up", "clocks": ["day_ici"], "landmark": 0.0, "simulated": True}
    taxa = data.taxa if block == "taxa" else None
    model = Model(
        outcome,
        "elastic_net",
        encoder,
        family.fit(X, y, np.zeros(len(X), dtype=np.intp), family.settings[-1], seed=1),
        Calibration(1.0, 0.0),
        {name: data.units[name] for name in data.immune.names},
        (METAPHLAN,) if taxa else (),
        upgrade_evidence(evidence, outcome),
        "# Card\n",
        taxa and fit_reference_set(taxa.values, taxa.names, ["real"] * len(X)),
    )
    return ServedModel(model, outcome, "1", "run", "candidate")


@pytest.fixture(scope="module")
def stool_models(cohorts_dir: Path) -> Models:
    profiles = read_taxa(cohorts_dir / "spencer_2021" / "metaphlan4_merged.tsv", format="metaphlan").proportions()
    data = table({"taxa": Block(profiles.taxa, profiles.values.astype(float))}, {})
    return {outcome: [served(outcome, data, "taxa")] for outcome in ("objective_response", "toxicity_any")}


@pytest.fixture(scope="module")
def immune_models(cohorts_dir: Path) -> Models:
    # The published sheet states no unit; pg/mL is this test's assumption.
    spec = ImmuneSpec(
        layout="wide",
        key=("subject_id", "visit_number"),
        unit="pg/mL",
        below_codes=[-2],
        above_codes=[-1],
        drop=["sample_id", "FGF*", "IL-17", "IL-2", "RANTES"],
    )
    wide = read_immune(cohorts_dir / "momspi" / "blood_cytokines.csv", spec).wide("half_limit")[CYTOKINES]
    data = table({"immune": Block(tuple(wide), wide.to_numpy())}, dict.fromkeys(wide, "pg/mL"))
    return {"toxicity_any": [served("toxicity_any", data, "immune")]}


@pytest.fixture(scope="module")
def merged(cohorts_dir: Path) -> list[list[str]]:
    text = (cohorts_dir / "frankel_2017" / "metaphlan4_merged.tsv").read_text()
    return [line.split("\t") for line in text.splitlines()]


@pytest.fixture(scope="module")
def blood_draw(cohorts_dir: Path) -> dict[str, str]:
    """Return one real blood_draw of blood in which every cytokine of the models was measured, as text."""
    sheet = pd.read_csv(cohorts_dir / "momspi" / "blood_cytokines.csv", dtype=str)
    detected = sheet[(sheet[CYTOKINES].astype(float) > 0).all(axis=1)]
    row: dict[str, str] = detected.iloc[0][CYTOKINES].to_dict()
    return row


def one_sample(merged: list[list[str]], column: int = 1) -> list[tuple[str, str]]:
    """Return a real profile's rows, from the header on."""
    return [(cells[0], cells[column]) for cells in merged[1:]]


def species_of(merged: list[list[str]], column: int = 1) -> dict[str, float]:
    rows = one_sample(merged, column)[1:]
    at_species = {name: float(value) for name, value in rows if "|s__" in name and "|t__" not in name}
    return {name.rpartition("|")[2]: value for name, value in at_species.items() if value}


def table_bytes(rows: Sequence[Sequence[object]], delimiter: str = "\t", header: str = "") -> bytes:
    return (header + "".join(delimiter.join(map(str, row)) + "\n" for row in rows)).encode()


def upload(models: Models, field: Field, content: bytes, name: str = "mine.tsv", **form: Any) -> Upload:
    return understand({field: UploadedFile(name, content)}, Form(**{"patient": "candidate", **form}), models)


def kinds(result: Upload) -> list[str]:
    assert all(problem.observed and problem.requirement and problem.advice for problem in result.problems)
    assert all("/tmp" not in f"{problem.observed}{problem.requirement}" for problem in result.problems)
    assert (result.request is None) == any(problem.severity == "error" for problem in result.problems)
    return [problem.kind for problem in result.problems]


def values_of(result: Upload, topic: str) -> list[str]:
    return [row.value for row in result.interpretations if row.topic == topic]


def verdicts(result: Upload, models: Models) -> list[str]:
    candidate = PredictionRequest.model_validate(result.request).candidate()
    return [predict(ranked, candidate).trust.verdict for ranked in models.values()]


# Valid stool profiles


@pytest.mark.parametrize("column", [1, 20, 39])
def test_a_real_profile_is_read_completely(stool_models: Models, merged: Any, column: int) -> None:
    content = table_bytes(one_sample(merged, column), header=f"#{METAPHLAN}\n")
    result = upload(stool_models, "taxa", content, day=-3, clock="day_ici")
    assert kinds(result) == []
    assert result.request is not None
    stool = result.request["taxa"]
    assert stool["values"] == pytest.approx(
        {name.removeprefix("s__"): value for name, value in species_of(merged, column).items()}, rel=1e-6
    )
    assert {key: stool[key] for key in stool if key != "values"} == {
        "unit": "percent",
        "profiler": METAPHLAN,
        "day": -3,
        "clock": "day_ici",
    }
    (recognised,) = values_of(result, "recognised")
    assert recognised.endswith(f"of {len(stool['values'])} names")
    assert [row.models for row in result.interpretations if row.topic == "recognised"] == [
        ("objective_response 1", "toxicity_any 1")
    ]
    assert "abstain" not in verdicts(result, stool_models)


def test_numbers_are_those_of_the_file(stool_models: Models, merged: Any) -> None:
    result = upload(stool_models, "taxa", table_bytes(one_sample(merged)), profiler=METAPHLAN)
    assert result.request is not None
    assert result.request["taxa"]["values"]["Ruminococcus_bromii"] == species_of(merged)["s__Ruminococcus_bromii"]


def test_a_table_of_several_samples_needs_a_choice(stool_models: Models, merged: Any, cohorts_dir: Path) -> None:
    content = (cohorts_dir / "frankel_2017" / "metaphlan4_merged.tsv").read_bytes()
    result = upload(stool_models, "taxa", content)
    assert kinds(result) == ["which_sample"]
    assert list(result.samples) == merged[1][1:]
    assert kinds(upload(stool_models, "taxa", content, sample="nobody")) == ["which_sample"]
    fifth = upload(stool_models, "taxa", content, sample=result.samples[4])
    alone = upload(stool_models, "taxa", table_bytes(one_sample(merged, 5), header=f"#{METAPHLAN}\n"))
    assert kinds(fifth) == []
    assert fifth.request == alone.request


def test_visits_of_one_patient_are_separate_samples(stool_models: Models, cohorts_dir: Path) -> None:
    lines = (cohorts_dir / "davar_2021" / "metaphlan4_merged.tsv").read_text().splitlines()
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t")
    runs = "metaphlan_" + sheet.loc[sheet["subject_id"] == "PT-19-0024", "ncbi_accession"]
    header = lines[1].split("\t")
    columns = [0, *(header.index(run) for run in runs if run in header)]
    visits = [[line.split("\t")[column] for column in columns] for line in lines[1:]]
    content = table_bytes(visits, header=f"{lines[0]}\n")
    preview = upload(stool_models, "taxa", content)
    assert list(preview.samples) == visits[0][1:]
    samples = preview.samples[:2]
    results = [upload(stool_models, "taxa", content, sample=sample, clock="day_fmt") for sample in samples]
    assert all(upload.request and "unreadable" not in kinds(upload) for upload in results)
    assert results[0].request != results[1].request


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_transposed_table_is_the_same_profile(
    stool_models: Models, merged: Any, delimiter: str, transposed: bool
) -> None:
    rows: list[tuple[object, ...]] = [("taxon", "stool"), *species_of(merged).items()]
    plain = upload(stool_models, "taxa", table_bytes(rows), profiler=METAPHLAN)
    content = table_bytes(list(zip(*rows, strict=True)) if transposed else rows, delimiter)
    result = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert kinds(result) == []
    assert result.request == plain.request


def comma(content: bytes) -> bytes:
    return content.replace(b".", b",").replace(b"\t", b";")


@pytest.mark.parametrize(
    ("encode", "conversions"),
    [
        (lambda content: codecs.BOM_UTF8 + content, []),
        (lambda content: content.decode().encode("utf-16"), ["UTF-16"]),
        (lambda content: codecs.BOM_UTF16_BE + content.decode().encode("utf-16-be"), ["UTF-16"]),
        (lambda content: content.replace(b"stool", "Müller".encode("cp1252")), ["Windows-1252"]),
        (lambda content: content.replace(b"\n", b"\r\n"), []),
        (lambda content: content.replace(b"\n", b"\r"), []),
        (gzip.compress, []),
        (comma, ["decimal commas"]),
        (lambda content: comma(content).decode().encode("utf-16"), ["UTF-16", "decimal commas"]),
    ],
)
def test_encodings_are_converted_and_reported(
    stool_models: Models, merged: Any, encode: Any, conversions: list[str]
) -> None:
    content = table_bytes([("taxon", "stool"), *species_of(merged).items()])
    plain = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    result = upload(stool_models, "taxa", encode(content), profiler=METAPHLAN)
    assert kinds(result) == []
    assert result.request == plain.request
    assert values_of(result, "encoding") == conversions


def test_a_patient_without_a_name_is_told_from_others_by_sample_and_file(stool_models: Models, merged: Any) -> None:
    content = table_bytes([("taxon", "stool"), *species_of(merged).items()])
    result = upload(stool_models, "taxa", content, profiler=METAPHLAN, patient=None)
    assert result.request
    assert result.request["patient"] == {"id": "unnamed patient · stool · mine.tsv"}


def test_a_metaphlan_profile_is_rescaled_without_unclassified_reads(stool_models: Models, merged: Any) -> None:
    rows = [(name, "2|1", float(value) * 0.6, "") for name, value in one_sample(merged)[1:]]
    header = f"#{METAPHLAN}\n#metaphlan a.fastq, 'b'\n#1000 reads processed\n#SampleID\tMetaphlan_Analysis\n"
    columns = ("#clade_name", "NCBI_tax_id", "relative_abundance", "additional_species")
    result = upload(stool_models, "taxa", table_bytes([columns, ("UNCLASSIFIED", -1, 40.0, ""), *rows], header=header))
    assert kinds(result) == []
    assert result.request is not None
    profile = result.request["taxa"]
    assert sum(profile["values"].values()) == pytest.approx(100)
    assert profile["values"]["Ruminococcus_bromii"] == pytest.approx(
        species_of(merged)["s__Ruminococcus_bromii"], rel=1e-3
    )
    assert "40% unassigned" in values_of(result, "taxa")


def test_counts_of_a_biom_table_are_recognised_as_counts(stool_models: Models, cohorts_dir: Path) -> None:
    folder = cohorts_dir / "momspi"
    files: dict[Field, UploadedFile] = {
        "taxa": UploadedFile("rectal.biom", (folder / "rectal_16s.biom").read_bytes()),
        "taxonomy": UploadedFile("taxonomy.tsv", (folder / "taxonomy.tsv").read_bytes()),
    }
    sample = understand(files, Form(), stool_models).samples[0]
    result = understand(files, Form(sample=sample, profiler="hmp2_16s"), stool_models)
    assert (values_of(result, "unit"), values_of(result, "rank")) == (["counts"], ["genus"])
    # Genera of 16S reads: no model of species knows any of them.
    assert kinds(result) == ["unknown_taxa"]


# Stool profiles with problems


def test_a_profile_with_other_taxon_names_leads_to_abstention(stool_models: Models, cohorts_dir: Path) -> None:
    folder = cohorts_dir / "frankel_2017_qiime2"
    files: dict[Field, UploadedFile] = {
        name: UploadedFile(f"{file}.qza", (folder / f"{file}.qza").read_bytes())
        for name, file in (("taxa", "table"), ("taxonomy", "taxonomy"))
    }
    result = understand(files, Form(sample="SRR5930493", profiler="qiime2_gtdb"), stool_models)
    assert set(kinds(result)) == {"other_naming", "other_profiler", "few_taxa", "abstains"}
    assert all(problem.outcomes == ("objective_response", "toxicity_any") for problem in result.problems)
    share = next(row for row in result.interpretations if row.topic == "recognised").value.partition("%")[0]
    naming, abstains = (next(f for f in result.problems if f.kind == kind) for kind in ("other_naming", "abstains"))
    assert f"{share}%" in naming.observed
    # A reason stands once.
    assert f"{share}%" not in abstains.observed
    assert result.abstains
    assert int(share) < 50
    assert verdicts(result, stool_models) == ["abstain", "abstain"]
    del files["taxonomy"]
    assert kinds(understand(files, Form(sample="SRR5930493"), stool_models)) == ["ids_without_names"]


def test_an_incomplete_profile_is_reported(stool_models: Models, merged: Any) -> None:
    species = sorted(species_of(merged).items(), key=lambda item: item[1])
    total, partial = 0.0, []
    for name, value in species:
        if total + value < 40:
            total += value
            partial.append((name, value))
    result = upload(stool_models, "taxa", table_bytes([("clade_name", "a"), *partial]), profiler=METAPHLAN)
    assert set(kinds(result)) >= {"half_empty", "abstains"}
    assert f"{total:.0f}%" in result.problems[0].observed
    few = [(name, value * 100 / sum(v for _, v in species[-12:])) for name, value in species[-12:]]
    result = upload(stool_models, "taxa", table_bytes([("clade_name", "a"), *few]), profiler=METAPHLAN)
    assert "half_empty" not in kinds(result)
    assert "few_taxa" in kinds(result)


@pytest.mark.parametrize(
    ("factor", "as_counts", "form_unit", "unit"),
    [
        (1.0, False, "proportions", "percent"),
        (0.01, False, "percent", "proportions"),
        (1000.0, True, "percent", "counts"),
        (1000.0, True, "proportions", "counts"),
        (1.0, False, "counts", "percent"),
    ],
)
def test_a_unit_that_contradicts_the_numbers_is_reported(
    stool_models: Models, merged: Any, factor: float, as_counts: bool, form_unit: Any, unit: str
) -> None:
    species = {name: value * factor for name, value in species_of(merged).items()}
    species = {name: round(value) for name, value in species.items()} if as_counts else species
    content = table_bytes([("taxon", "a"), *species.items()])
    result = upload(stool_models, "taxa", content, profiler=METAPHLAN, taxa_unit=form_unit)
    assert kinds(result) == ["unit_contradicted"]
    assert unit in result.problems[0].observed
    without_form = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert values_of(without_form, "unit") == [unit]
    assert without_form.request is not None


def test_proportions_in_a_metaphlan_table_are_reported(stool_models: Models, merged: Any) -> None:
    rows = [(name, float(value) / 100) for name, value in one_sample(merged)[1:]]
    result = upload(stool_models, "taxa", table_bytes([("clade_name", "a"), *rows], header=f"#{METAPHLAN}\n"))
    assert kinds(result) == ["unit_unusual"]
    assert values_of(result, "unit") == ["proportions"]


def test_small_whole_numbers_need_a_stated_unit(stool_models: Models) -> None:
    content = b"taxon\ta\ns__Faecalibacterium_prausnitzii\t20\ns__Blautia_wexlerae\t31\n"
    assert kinds(upload(stool_models, "taxa", content)) == ["unit_unclear"]
    counts, percent = (upload(stool_models, "taxa", content, taxa_unit=unit) for unit in ("counts", "percent"))
    assert (values_of(counts, "unit"), "half_empty" in kinds(counts)) == (["counts"], False)
    assert (values_of(percent, "unit"), "half_empty" in kinds(percent)) == (["percent"], True)


@pytest.mark.parametrize("total_abundance", [1, 100])
def test_several_ranks_without_prefixes_are_reported(stool_models: Models, merged: Any, total_abundance: int) -> None:
    rows = [(name.rpartition("__")[2], float(value) * total_abundance / 100) for name, value in one_sample(merged)[1:]]
    ranks = [name.count("|") for name, _ in one_sample(merged)[1:]]
    species = [row for row, rank in zip(rows, ranks, strict=True) if rank == 6]
    genera = [row for row, rank in zip(rows, ranks, strict=True) if rank == 5]
    content = table_bytes([("taxon", "a"), *species, *((f"{name}_genus", value) for name, value in genera)])
    result = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert kinds(result) == ["ranks_stacked"]
    total = sum(float(value) for _, value in [*species, *genera])
    assert f"{total:.4g}"[:3] in result.problems[0].observed


def test_a_taxon_that_stands_twice(stool_models: Models, merged: Any) -> None:
    rows = [*species_of(merged).items()]
    result = upload(stool_models, "taxa", table_bytes([("taxon", "a"), *rows, rows[0]]))
    assert kinds(result) == ["unreadable"]
    assert result.problems[0].row == len(rows) + 2
    assert "expected each taxon once" in result.problems[0].observed


@pytest.mark.parametrize("text", ["-3", "much", "inf"])
@pytest.mark.parametrize("line", [3, 90])
def test_an_invalid_abundance_has_its_place(stool_models: Models, merged: Any, text: str, line: int) -> None:
    rows: list[tuple[str, object]] = [*species_of(merged).items()]
    rows[line - 2] = (rows[line - 2][0], text)
    result = upload(stool_models, "taxa", table_bytes([("taxon", "stool 7"), *rows]))
    assert kinds(result) == ["unreadable"]
    problem = result.problems[0]
    assert (problem.file, problem.row, problem.column) == ("mine.tsv", line, "stool 7")
    assert repr(text) in problem.observed


def test_a_profiler_that_contradicts_the_file_is_reported(stool_models: Models, merged: Any) -> None:
    content = table_bytes(one_sample(merged), header=f"#{METAPHLAN}\n")
    result = upload(stool_models, "taxa", content, profiler="motus3")
    assert kinds(result) == ["profiler_contradicted"]
    assert values_of(result, "profiler") == [METAPHLAN]


def test_a_missing_profiler_is_reported(stool_models: Models, merged: Any) -> None:
    assert kinds(upload(stool_models, "taxa", table_bytes(one_sample(merged)))) == ["no_profiler"]


def test_a_table_without_taxa_is_reported(stool_models: Models) -> None:
    result = upload(stool_models, "taxa", b"gene,a,b\nTP53,3,4\nBRAF,1,1\n")
    assert kinds(result) == ["not_a_profile"]


# Immune measurements


def test_every_layout_gives_the_same_measurements(immune_models: Models, blood_draw: dict[str, str]) -> None:
    greek = {"IL-6": "Interleukin 6", "IL-8": "CXCL8", "IL-10": "il10", "TNF-a": "TNF-α"}
    items = list(blood_draw.items())
    tables = [
        table_bytes([("analyte", "value", "unit"), *((*item, "pg/mL") for item in items)], ","),
        table_bytes([("Cytokine", "Result (ng/L)"), *((greek[name], value) for name, value in items)]),
        table_bytes([[f"{name} (pg/mL)" for name in blood_draw], blood_draw.values()], ","),
        table_bytes([[f"{name}_pg_ml" for name in blood_draw], blood_draw.values()], ","),
        table_bytes([["sample", *blood_draw], ["", *["pg/mL"] * 4], ["s1", *blood_draw.values()]], ","),
        comma(table_bytes([blood_draw, ["pg/ml"] * 4, blood_draw.values()])),
        table_bytes([("analyte", "value", "unit"), *((n, f"{float(v) / 1000:.6g}", "ng/ml") for n, v in items)], ","),
        table_bytes([blood_draw, blood_draw.values()], ",").decode().encode("utf-16"),
    ]
    values = {name: float(value) for name, value in blood_draw.items()}
    for content in tables:
        result = upload(immune_models, "immune", content, "blood.csv", immune_unit="pg/mL", day=-1.0)
        assert kinds(result) == []
        assert result.request is not None
        factor = {"pg/mL": 1, "ng/mL": 1000}
        sent = {item["analyte"]: item["value"] * factor[item["unit"]] for item in result.request["immune"]}
        assert sent == pytest.approx(values)
        assert {item["day"] for item in result.request["immune"]} == {-1.0}
        assert len(values_of(result, "analyte")) == 4
    notes = [row.note for row in result.interpretations if row.topic == "analyte"]
    assert all("in the training patients, pg/mL" in note and "unit from the form" in note for note in notes)


def test_the_day_in_the_table_takes_precedence_over_the_form(immune_models: Models, blood_draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit", "day"), *((*item, "pg/mL", -5) for item in blood_draw.items())]
    result = upload(immune_models, "immune", table_bytes(rows), day=3.0)
    assert result.request is not None
    assert {item["day"] for item in result.request["immune"]} == {-5.0}


XPONENT = (
    '"Program","xPONENT"\n"DataType:","Median"\n"Location","Sample","IL-6","IL-8"\n"1(1,A1)","p","9","9"\n'
    '"DataType:","Result"\n"Location","Sample","IL-6","IL-8"\n"1(1,A1)","Standard1","1000","1000"\n'
    '"2(1,B1)","p","<3.2","12"\n"DataType:","Units"\n"Units:","pg/ml","pg/ml"\n'
)
MSD = (
    "Sample,Assay,Concentration,Calc. Concentration,Detection Range,"
    "Detection Limits: Calc. Low,Detection Limits: Calc. High\n"
    "p,IL-6,,NaN,Below Detection Range,3.2,488\np,IL-8,,12,In Detection Range,0.06,488\n"
)
BIO_PLEX = "Sample,Hu IL-6 (19),Hu IL-8 (54)\np,<3.2,12\n"


@pytest.mark.parametrize("content", [XPONENT, MSD, BIO_PLEX])
def test_exports_of_assay_software_are_read_as_in_training(immune_models: Models, content: str) -> None:
    result = upload(immune_models, "immune", content.encode(), "blood.csv", immune_unit="pg/mL")
    assert result.request is not None
    sent = {item["analyte"]: (item["value"], item["unit"]) for item in result.request["immune"]}
    assert sent["IL-6"][1] == "pg/mL"
    assert sent["IL-6"][0] == "<3.2"
    assert sent["IL-8"] == (12, "pg/mL")


def test_olink_is_npx_without_its_controls_and_keeps_its_limit(immune_models: Models) -> None:
    header = "SampleID;OlinkID;Assay;Panel;LOD;NPX;Sample_Type\n"
    rows = "p;OID1;IL6;Inflammation;0.5;-0.25;SAMPLE\nc;OID1;IL6;Inflammation;0.5;4;CONTROL\n"
    result = upload(immune_models, "immune", (header + rows).encode(), "npx.csv")
    assert "analyte_twice" not in kinds(result)
    assert list(values_of(result, "analyte")) == ["IL-6 <0.5 NPX"]
    assert "1 rows of controls" in values_of(result, "file")


def test_censored_and_missing_values_are_kept_as_such(immune_models: Models, blood_draw: dict[str, str]) -> None:
    values = {**blood_draw, "IL-6": "<3.2", "IL-8": ">1000", "IL-10": "NA"}
    result = upload(immune_models, "immune", table_bytes([[f"{name} (pg/mL)" for name in values], values.values()]))
    assert kinds(result) == []
    assert result.request is not None
    sent = {item["analyte"]: item["value"] for item in result.request["immune"]}
    assert sent == {"IL-6": "<3.2", "IL-8": ">1000", "TNF-a": float(blood_draw["TNF-a"])}


def test_numeric_codes_of_a_published_table_are_reported(immune_models: Models, cohorts_dir: Path) -> None:
    lines = (cohorts_dir / "momspi" / "blood_cytokines.csv").read_text().splitlines()
    result = upload(immune_models, "immune", "\n".join(lines[:2]).encode(), "momspi.csv", immune_unit="pg/mL")
    negative = [name for name, value in zip(lines[0].split(","), lines[1].split(","), strict=True) if value[:1] == "-"]
    problems = [problem for problem in result.problems if problem.kind == "value"]
    assert [(problem.row, problem.column) for problem in problems] == [(2, name) for name in negative]
    assert kinds(upload(immune_models, "immune", "\n".join(lines[:9]).encode())) == ["several_patients"]


def test_a_swapped_unit_is_reported(immune_models: Models, blood_draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit"), *((*item, "ng/mL") for item in blood_draw.items())]
    result = upload(immune_models, "immune", table_bytes(rows))
    (problem,) = result.problems
    assert (kinds(result), problem.severity, problem.row) == (["swapped_unit"], "error", 2)
    assert "would lie in pg/mL" in problem.requirement
    rows = [
        ("analyte", "value", "unit"),
        *((*item, "ng/mL" if item[0] == "IL-6" else "pg/mL") for item in blood_draw.items()),
    ]
    result = upload(immune_models, "immune", table_bytes(rows))
    assert [(problem.kind, problem.severity) for problem in result.problems] == [("swapped_unit", "warning")]
    assert "IL-6" in result.problems[0].observed


def test_a_value_outside_the_training_range_is_reported(immune_models: Models, blood_draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit"), *((*item, "pg/mL") for item in {**blood_draw, "IL-6": "90000000"}.items())]
    assert kinds(upload(immune_models, "immune", table_bytes(rows))) == ["out_of_range"]


def test_a_missing_unit_is_reported_with_hints(immune_models: Models, blood_draw: dict[str, str]) -> None:
    result = upload(immune_models, "immune", table_bytes([blood_draw, blood_draw.values()]))
    assert kinds(result) == ["no_unit"]
    assert "; 4 in pg/mL of 4 numbers lie in the training range" in result.problems[0].requirement


@pytest.mark.parametrize(
    ("row", "kind", "severity"),
    [
        (("Unobtainium", "3", "pg/mL"), "unknown_analyte", "warning"),
        (("CRP", "3", "U/L"), "unknown_unit", "warning"),
        (("IL-6", "3", "NPX"), "other_unit", "warning"),
        (("IL-6", "-3", "pg/mL"), "value", "error"),
        (("IL-6", "high", "pg/mL"), "value", "error"),
        (("IL-6", "1,234", "pg/mL"), "value", "error"),
        (("Interleukin-8", "3", "pg/mL"), "analyte_twice", "error"),
    ],
)
def test_a_problem_of_one_row_has_its_place(
    immune_models: Models, blood_draw: dict[str, str], row: tuple[str, str, str], kind: str, severity: str
) -> None:
    rows = [*((*item, "pg/mL") for item in blood_draw.items() if item[0] != "IL-6"), row]
    result = upload(immune_models, "immune", table_bytes([("analyte", "value", "unit"), *rows]))
    (problem,) = result.problems
    assert kinds(result) == [kind]
    assert (problem.severity, problem.file, problem.row, problem.column) == (severity, "mine.tsv", 5, "value")


@pytest.mark.parametrize("long", [True, False])
def test_immune_tables_of_several_patients_are_reported(
    immune_models: Models, blood_draw: dict[str, str], long: bool
) -> None:
    rows: list[Any] = [["patient_id", *blood_draw], ["a", *blood_draw.values()], ["b", *blood_draw.values()]]
    if long:
        rows = [("patient", "analyte", "value"), *((patient, *item) for patient in "ab" for item in blood_draw.items())]
    result = upload(immune_models, "immune", table_bytes(rows), immune_unit="pg/mL")
    assert kinds(result) == ["several_patients"]
    assert result.problems[0].row == (6 if long else 3)


def test_several_blood_draws_of_one_patient_are_reported(immune_models: Models, blood_draw: dict[str, str]) -> None:
    rows = [["patient_id", *blood_draw], ["a", *blood_draw.values()], ["a", *blood_draw.values()]]
    assert kinds(upload(immune_models, "immune", table_bytes(rows), immune_unit="pg/mL")) == ["several_draws"]


def test_a_visit_in_the_names_of_columns_is_read_and_several_are_several_draws(
    immune_models: Models, blood_draw: dict[str, str]
) -> None:
    names = {name: f"{name} (C1D1)" for name in blood_draw}
    result = upload(immune_models, "immune", table_bytes([names.values(), blood_draw.values()]), immune_unit="pg/mL")
    plain = upload(immune_models, "immune", table_bytes([blood_draw.keys(), blood_draw.values()]), immune_unit="pg/mL")
    assert [{**item, "day": 0} for item in plain.request["immune"]] == result.request["immune"]
    names[next(iter(names))] = names[next(iter(names))].replace("C1D1", "D28")
    several = upload(immune_models, "immune", table_bytes([names.values(), blood_draw.values()]), immune_unit="pg/mL")
    assert kinds(several) == ["several_draws"]
    assert "visits" in several.problems[0].observed


@pytest.mark.parametrize(
    ("visit", "sheet_day", "form_day", "day", "note"),
    [("D28", None, None, 28, "drawn on day 28"), ("D28", "30", None, 30, "drawn on day 30"),
     ("C2D1", "21", None, 21, "drawn on day 21"), ("C2D1", None, -3.0, -3, "drawn on day -3"),
     ("C2D1", None, None, None, "of no known day")],
)  # fmt: skip
def test_the_day_of_a_draw_stands_in_its_own_column_before_the_visit_in_the_names_of_columns(
    immune_models: Models, blood_draw: dict[str, str], visit: str, sheet_day: str | None, form_day: float | None,
    day: float | None, note: str,
) -> None:  # fmt: skip
    row = {f"{name}_{visit}": value for name, value in blood_draw.items()} | ({"day": sheet_day} if sheet_day else {})
    content = table_bytes([row.keys(), row.values()])
    result = upload(immune_models, "immune", content, immune_unit="pg/mL", day=form_day)
    assert {item.get("day") for item in result.request["immune"]} == {day}
    (reading,) = [item for item in result.interpretations if "in the names of" in item.value]
    assert (reading.value, reading.note) == (f"visit {visit} in the names of 4 columns", note)


def test_two_columns_of_an_analyte_are_named_as_the_table_names_them(
    immune_models: Models, blood_draw: dict[str, str]
) -> None:
    row = blood_draw | {f"{name} (baseline)": value for name, value in blood_draw.items()}
    result = upload(immune_models, "immune", table_bytes([row.keys(), row.values()]), immune_unit="pg/mL")
    observed = [problem.observed for problem in result.problems if problem.kind == "analyte_twice"]
    assert observed[0] == "IL-6 twice: 'IL-6' on row 2, 'IL-6 (baseline)' on row 2"


# Clinical fields


def test_clinical_fields_are_read(models: Models) -> None:
    result = upload(models, "clinical", b"patient_id;Age;sex\n17;61,5;Female\n", patient="c7")
    assert result.request == {"patient": {"id": "c7", "age": 61.5, "sex": "female"}}
    assert values_of(result, "clinical") == ["age 61.5", "sex female"]
    # Every model served needs stool.
    assert set(kinds(result)) == {"abstains"}


@pytest.mark.parametrize(
    ("content", "kind", "column"),
    [
        (b"age,sex\n61,other\n", "value", "sex"),
        (b"age,sex\nold,male\n", "value", "age"),
        (b"age,sex\n6_1,male\n", "value", "age"),
        (b"age,sex\n610,male\n", "out_of_range", "age"),
        (b"age,sex,shoe size\n61,male,44\n", "unknown_column", "shoe size"),
        (b"patient,age,sex\na,61,male\nb,62,male\n", "several_patients", "patient"),
        (b"age,sex\n61,male\n62,male\n", "several_patients", None),
    ],
)
def test_invalid_clinical_fields_are_reported(models: Models, content: bytes, kind: str, column: str | None) -> None:
    result = upload(models, "clinical", content)
    (problem,) = (problem for problem in result.problems if problem.kind == kind)
    assert (problem.file, problem.column) == ("mine.tsv", column)
    assert set(kinds(result)) <= {kind, "abstains"}


def test_uploaded_files_give_the_prediction_of_the_same_request(models: Models, candidate: dict[str, Any]) -> None:
    stool = candidate["taxa"]["values"]
    files: dict[Field, UploadedFile] = {
        "taxa": UploadedFile("stool.csv", table_bytes([("taxon", "a"), *stool.items()], ",")),
        "immune": UploadedFile(
            "blood.csv", b"IL-6 (pg/mL),CXCL8 (ng/mL),IL10 (pg/mL),TNF (pg/mL)\n<3.2,0.012,7,>1000\n"
        ),
        "clinical": UploadedFile("clinical.csv", b"age,sex\n61,female\n"),
    }
    form = Form(patient="c1", profiler=candidate["taxa"]["profiler"], day=-3, clock="day_ici")
    result = understand(files, form, models)
    assert kinds(result) == []
    direct, uploaded = (PredictionRequest.model_validate(body).candidate() for body in (candidate, result.request))
    for ranked in models.values():
        prediction, repeated = predict(ranked, direct), predict(ranked, uploaded)
        assert repeated.probability == pytest.approx(prediction.probability, rel=1e-5)
        assert repeated.trust.verdict == prediction.trust.verdict


# Files


@pytest.mark.parametrize(
    ("field", "content", "kind"),
    [
        ("taxa", b"analyte,value,unit\nIL-6,3,pg/mL\nIL-8,4,pg/mL\n", "wrong_field"),
        ("taxa", b"age,sex\n61,male\n", "wrong_field"),
        ("taxa", b"Feature ID\tTaxon\nf1\tk__Bacteria\n", "wrong_field"),
        ("immune", b"clade_name\ta\ns__Blautia_wexlerae\t100\n", "wrong_field"),
        ("immune", b"age,sex\n61,male\n", "wrong_field"),
        ("clinical", b"IL-6,IL-8,IL-10\n1,2,3\n", "wrong_field"),
        ("clinical", b"clade_name\ta\ns__Blautia_wexlerae\t100\n", "wrong_field"),
        ("taxonomy", b"clade_name\ta\ns__Blautia_wexlerae\t100\n", "wrong_field"),
        ("immune", b"colour,size\nred,3\n", "no_analyte"),
        ("taxa", b"", "empty"),
        ("immune", b" \n\n", "empty"),
        ("immune", b"IL-6 (pg/mL)\tIL-8 (pg/mL)\n", "unreadable"),
        ("taxa", b"clade_name\ta\ns__Blautia_wexlerae\t0\n", "unreadable"),
        ("taxa", b"%PDF-1.7\x00\x01\x02 binary", "unreadable"),
        ("taxa", b"\x89HDF\r\n\x1a\n torn", "unreadable"),
        ("taxa", b"PK\x03\x04 torn", "unreadable"),
        ("taxa", b"\x1f\x8b torn", "unreadable"),
        ("immune", b'analyte,value\n"IL-6" x,3\n', "unreadable"),
    ],
)
def test_unreadable_and_misplaced_files_are_reported(models: Models, field: Field, content: bytes, kind: str) -> None:
    result = upload(models, field, content)
    assert kind in kinds(result)
    assert result.request is None
    assert {problem.file for problem in result.problems if problem.kind == kind} == {"mine.tsv"}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_of_other_files_is_reported(models: Models) -> None:
    result = upload(models, "immune", zipped({"table.csv": b"a,b"}), "lab.zip")
    assert kinds(result) == ["not_a_table"]
    assert "Unpack" in result.problems[0].advice


def test_compressed_bombs_are_not_unpacked(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_UNPACKED", 2**16)
    much = b"0" * 2**18
    assert kinds(upload(models, "taxa", gzip.compress(much))) == ["too_large"]
    bomb = zipped({"r/metadata.yaml": b"type: FeatureTable[Frequency]", "r/data/feature-table.biom": much})
    assert kinds(upload(models, "taxa", bomb)) == ["too_large"]
    # A header that lies about the size.
    lying = bomb.replace((2**18).to_bytes(4, "little"), (2**10).to_bytes(4, "little"))
    assert lying != bomb
    assert kinds(upload(models, "taxa", lying)) in (["too_large"], ["unreadable"])
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("sample/matrix/data", data=np.zeros(2**15), compression="gzip")
    result = upload(models, "taxa", buffer.getvalue())
    assert kinds(result) == ["unreadable"]
    assert "bytes when unpacked" in result.problems[0].observed
    monkeypatch.setattr(intake, "MAX_BYTES", 2**10)
    assert kinds(upload(models, "taxa", much)) == ["too_large"]


def test_a_sparse_table_that_is_large_in_memory_is_refused(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_CELLS", 100)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for axis in ("observation", "sample"):
            file.create_dataset(f"{axis}/ids", data=np.arange(20))
    result = upload(models, "taxa", buffer.getvalue())
    assert kinds(result) == ["unreadable"]
    assert "400 cells" in result.problems[0].observed


def test_hdf5_cannot_read_other_files(models: Models, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    for external in ("link", "storage", "virtual"):
        path = tmp_path / f"{external}.biom"
        with h5py.File(path, "w") as file:
            if external == "link":
                file["sample"] = h5py.ExternalLink(str(tmp_path / "0.h5"), "/")
            elif external == "storage":
                file.create_dataset("sample/ids", (8,), "u1", external=[(str(secret), 0, 8)])
            else:
                layout = h5py.VirtualLayout((8,), "u1")
                layout[:] = h5py.VirtualSource(str(tmp_path / "0.h5"), "x", (8,))
                file.create_virtual_dataset("ids", layout)
        result = upload(models, "taxa", path.read_bytes())
        assert kinds(result) == ["unreadable"]
        assert "other files" in result.problems[0].observed


def test_no_file_remains_on_the_disk(
    stool_models: Models, merged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cohorts_dir: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    biom = (cohorts_dir / "momspi" / "rectal_16s.biom").read_bytes()
    for content in (table_bytes(one_sample(merged)), biom, biom[: len(biom) // 2], b"\x00"):
        upload(stool_models, "taxa", content, "../../escape.tsv")
        assert list(tmp_path.iterdir()) == []


def test_no_file_at_all(models: Models) -> None:
    assert kinds(understand({}, Form(), models)) == ["empty"]


@pytest.mark.parametrize("is_wide", [False, True])
def test_more_measurements_than_a_blood_draw_has_are_refused(is_wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(immune, "MAX_MEASUREMENTS", 50)
    names = [f"IL-{i}" for i in range(1, 53)]
    long = "analyte,value,unit\n" + "".join(f"{name},1,pg/mL\n" for name in names)
    wide = ",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n"
    file = UploadedFile("blood.csv", (wide if is_wide else long).encode())
    (problem,) = understand({"immune": file}, Form(), {}).problems
    assert (problem.kind, problem.observed, problem.requirement) == (
        "too_large", "52 measurements", "at most 50"
    )  # fmt: skip
