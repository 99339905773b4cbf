"""Uploads: real files understood, each planted fault caught, and nothing left behind."""

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

from features.feature_table import Block, CohortContext, FeatureTable
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
from serving.upload import Field, Form, Upload, UploadedFile, intake, understand

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
        cohorts={
            "real": CohortContext(
                title="Invented",
                simulated=True,
                same_patients_as=(),
                clock="day_ici",
                index_event="first dose",
                landmark=0.0,
                window=90.0,
                dated=True,
                profiler=None,
                rank="species",
                outcomes={},
                citation="",
                licence="",
            )
        },
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
def blood_models(cohorts_dir: Path) -> Models:
    # The published sheet states no unit; pg/mL is this test's assumption.
    spec = ImmuneSpec(
        layout="wide",
        key=("subject_id", "visit_number"),
        unit="pg/mL",
        below=[-2],
        above=[-1],
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
def draw(cohorts_dir: Path) -> dict[str, str]:
    """Return one real draw of blood in which every cytokine of the models was measured, as text."""
    sheet = pd.read_csv(cohorts_dir / "momspi" / "blood_cytokines.csv", dtype=str)
    measured = sheet[(sheet[CYTOKINES].astype(float) > 0).all(axis=1)]
    row: dict[str, str] = measured.iloc[0][CYTOKINES].to_dict()
    return row


def one_sample(merged: list[list[str]], column: int = 1) -> list[tuple[str, str]]:
    """Return a real profile's rows, from the header on."""
    return [(cells[0], cells[column]) for cells in merged[1:]]


def species_of(merged: list[list[str]], column: int = 1) -> dict[str, float]:
    rows = one_sample(merged, column)[1:]
    at_species = {name: float(value) for name, value in rows if "|s__" in name and "|t__" not in name}
    return {name.rpartition("|")[2]: value for name, value in at_species.items() if value}


def written(rows: Sequence[Sequence[object]], delimiter: str = "\t", above: str = "") -> bytes:
    return (above + "".join(delimiter.join(map(str, row)) + "\n" for row in rows)).encode()


def upload(models: Models, field: Field, content: bytes, name: str = "mine.tsv", **form: Any) -> Upload:
    return understand({field: UploadedFile(name, content)}, Form(**form), models)


def kinds(found: Upload) -> list[str]:
    assert all(fault.came and fault.expected and fault.advice for fault in found.problems)
    assert all("/tmp" not in f"{fault.came}{fault.expected}" for fault in found.problems)
    assert (found.request is None) == any(fault.severity == "stops" for fault in found.problems)
    return [fault.kind for fault in found.problems]


def said(found: Upload, about: str) -> list[str]:
    return [one.value for one in found.understood if one.about == about]


def verdicts(found: Upload, models: Models) -> list[str]:
    candidate = PredictionRequest.model_validate(found.request).candidate()
    return [predict(ranked, candidate).trust.verdict for ranked in models.values()]


# Stool that is right


@pytest.mark.parametrize("column", [1, 20, 39])
def test_a_real_profile_is_understood_whole(stool_models: Models, merged: Any, column: int) -> None:
    content = written(one_sample(merged, column), above=f"#{METAPHLAN}\n")
    found = upload(stool_models, "taxa", content, day=-3, clock="day_ici")
    assert kinds(found) == []
    assert found.request is not None
    stool = found.request["taxa"]
    assert stool["values"] == pytest.approx(
        {name.removeprefix("s__"): value for name, value in species_of(merged, column).items()}, rel=1e-6
    )
    assert {key: stool[key] for key in stool if key != "values"} == {
        "unit": "percent",
        "profiler": METAPHLAN,
        "day": -3,
        "clock": "day_ici",
    }
    (known,) = said(found, "known")
    assert known.endswith(f"of {len(stool['values'])} names")
    assert [one.models for one in found.understood if one.about == "known"] == [
        ("objective_response 1", "toxicity_any 1")
    ]
    assert "abstain" not in verdicts(found, stool_models)


def test_numbers_are_those_that_the_file_writes(stool_models: Models, merged: Any) -> None:
    found = upload(stool_models, "taxa", written(one_sample(merged)), profiler=METAPHLAN)
    assert found.request is not None
    assert found.request["taxa"]["values"]["Ruminococcus_bromii"] == species_of(merged)["s__Ruminococcus_bromii"]


def test_of_a_merged_table_the_sample_is_asked_for(stool_models: Models, merged: Any, cohorts_dir: Path) -> None:
    content = (cohorts_dir / "frankel_2017" / "metaphlan4_merged.tsv").read_bytes()
    found = upload(stool_models, "taxa", content)
    assert kinds(found) == ["which_sample"]
    assert list(found.samples) == merged[1][1:]
    assert kinds(upload(stool_models, "taxa", content, sample="nobody")) == ["which_sample"]
    chosen = upload(stool_models, "taxa", content, sample=found.samples[4])
    alone = upload(stool_models, "taxa", written(one_sample(merged, 5), above=f"#{METAPHLAN}\n"))
    assert kinds(chosen) == []
    assert chosen.request == alone.request


def test_visits_of_one_recipient(stool_models: Models, cohorts_dir: Path) -> None:
    lines = (cohorts_dir / "davar_2021" / "metaphlan4_merged.tsv").read_text().splitlines()
    sheet = pd.read_csv(cohorts_dir / "davar_2021" / "metadata.tsv", sep="\t")
    runs = "metaphlan_" + sheet.loc[sheet["subject_id"] == "PT-19-0024", "ncbi_accession"]
    header = lines[1].split("\t")
    kept = [0, *(header.index(run) for run in runs if run in header)]
    visits = [[line.split("\t")[at] for at in kept] for line in lines[1:]]
    content = written(visits, above=f"{lines[0]}\n")
    asked = upload(stool_models, "taxa", content)
    assert list(asked.samples) == visits[0][1:]
    found = [upload(stool_models, "taxa", content, sample=sample, clock="day_fmt") for sample in asked.samples[:2]]
    assert all(one.request and "unreadable" not in kinds(one) for one in found)
    assert found[0].request != found[1].request


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_tables_of_either_way_round_are_one_profile(
    stool_models: Models, merged: Any, delimiter: str, turned: bool
) -> None:
    rows: list[tuple[object, ...]] = [("taxon", "stool"), *species_of(merged).items()]
    plain = upload(stool_models, "taxa", written(rows), profiler=METAPHLAN)
    content = written(list(zip(*rows, strict=True)) if turned else rows, delimiter)
    found = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert kinds(found) == []
    assert found.request == plain.request


def comma(content: bytes) -> bytes:
    return content.replace(b".", b",").replace(b"\t", b";")


@pytest.mark.parametrize(
    ("encoded", "told"),
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
def test_encodings_do_not_matter(stool_models: Models, merged: Any, encoded: Any, told: list[str]) -> None:
    content = written([("taxon", "stool"), *species_of(merged).items()])
    plain = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    found = upload(stool_models, "taxa", encoded(content), profiler=METAPHLAN)
    assert kinds(found) == []
    assert found.request == plain.request
    assert said(found, "encoding") == told


def test_metaphlans_own_output_is_scaled_to_the_whole_without_what_it_could_not_classify(
    stool_models: Models, merged: Any
) -> None:
    rows = [(name, "2|1", float(value) * 0.6, "") for name, value in one_sample(merged)[1:]]
    header = f"#{METAPHLAN}\n#metaphlan a.fastq, 'b'\n#1000 reads processed\n#SampleID\tMetaphlan_Analysis\n"
    columns = ("#clade_name", "NCBI_tax_id", "relative_abundance", "additional_species")
    found = upload(stool_models, "taxa", written([columns, ("UNCLASSIFIED", -1, 40.0, ""), *rows], above=header))
    assert kinds(found) == []
    assert found.request is not None
    given = found.request["taxa"]
    assert sum(given["values"].values()) == pytest.approx(100)
    assert given["values"]["Ruminococcus_bromii"] == pytest.approx(
        species_of(merged)["s__Ruminococcus_bromii"], rel=1e-3
    )
    assert "40% unclassified" in said(found, "taxa")


def test_counts_of_a_biom_table_are_told(stool_models: Models, cohorts_dir: Path) -> None:
    folder = cohorts_dir / "momspi"
    files: dict[Field, UploadedFile] = {
        "taxa": UploadedFile("rectal.biom", (folder / "rectal_16s.biom").read_bytes()),
        "taxonomy": UploadedFile("taxonomy.tsv", (folder / "taxonomy.tsv").read_bytes()),
    }
    sample = understand(files, Form(), stool_models).samples[0]
    found = understand(files, Form(sample=sample, profiler="hmp2_16s"), stool_models)
    assert (said(found, "unit"), said(found, "rank")) == (["counts"], ["genus"])
    assert set(kinds(found)) >= {"other_naming", "other_profiler", "abstains"}


# Stool that is wrong


def test_a_profile_of_another_naming_is_sent_and_abstained_from(stool_models: Models, cohorts_dir: Path) -> None:
    folder = cohorts_dir / "frankel_2017_qiime2"
    files: dict[Field, UploadedFile] = {
        name: UploadedFile(f"{file}.qza", (folder / f"{file}.qza").read_bytes())
        for name, file in (("taxa", "table"), ("taxonomy", "taxonomy"))
    }
    found = understand(files, Form(sample="SRR5930493", profiler="qiime2_gtdb"), stool_models)
    assert set(kinds(found)) == {"other_naming", "other_profiler", "few_taxa", "abstains"}
    assert all(fault.outcomes == ("objective_response", "toxicity_any") for fault in found.problems)
    share = next(one for one in found.understood if one.about == "known").value.partition("%")[0]
    naming, abstains = (next(f for f in found.problems if f.kind == kind) for kind in ("other_naming", "abstains"))
    assert f"{share}%" in naming.came
    assert f"only {share}%" in abstains.came
    assert int(share) < 50
    assert verdicts(found, stool_models) == ["abstain", "abstain"]
    del files["taxonomy"]
    assert kinds(understand(files, Form(sample="SRR5930493"), stool_models)) == ["ids_without_names"]


def test_a_half_empty_profile(stool_models: Models, merged: Any) -> None:
    species = sorted(species_of(merged).items(), key=lambda item: item[1])
    total, kept = 0.0, []
    for name, value in species:
        if total + value < 40:
            total += value
            kept.append((name, value))
    found = upload(stool_models, "taxa", written([("clade_name", "a"), *kept]), profiler=METAPHLAN)
    assert set(kinds(found)) >= {"half_empty", "abstains"}
    assert f"{total:.0f}%" in found.problems[0].came
    few = [(name, value * 100 / sum(v for _, v in species[-12:])) for name, value in species[-12:]]
    found = upload(stool_models, "taxa", written([("clade_name", "a"), *few]), profiler=METAPHLAN)
    assert "half_empty" not in kinds(found)
    assert "few_taxa" in kinds(found)


@pytest.mark.parametrize(
    ("factor", "rounded", "stated", "came"),
    [
        (1.0, False, "proportions", "percent"),
        (0.01, False, "percent", "proportions"),
        (1000.0, True, "percent", "counts"),
        (1000.0, True, "proportions", "counts"),
        (1.0, False, "counts", "percent"),
    ],
)
def test_a_unit_that_the_numbers_contradict(
    stool_models: Models, merged: Any, factor: float, rounded: bool, stated: Any, came: str
) -> None:
    species = {name: value * factor for name, value in species_of(merged).items()}
    species = {name: round(value) for name, value in species.items()} if rounded else species
    content = written([("taxon", "a"), *species.items()])
    found = upload(stool_models, "taxa", content, profiler=METAPHLAN, taxa_unit=stated)
    assert kinds(found) == ["unit_contradicted"]
    assert came in found.problems[0].came
    right = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert said(right, "unit") == [came]
    assert right.request is not None


def test_proportions_in_a_metaphlan_table_are_doubted(stool_models: Models, merged: Any) -> None:
    rows = [(name, float(value) / 100) for name, value in one_sample(merged)[1:]]
    found = upload(stool_models, "taxa", written([("clade_name", "a"), *rows], above=f"#{METAPHLAN}\n"))
    assert kinds(found) == ["unit_unusual"]
    assert said(found, "unit") == ["proportions"]


def test_few_whole_numbers_leave_the_unit_open(stool_models: Models) -> None:
    content = b"taxon\ta\ns__Faecalibacterium_prausnitzii\t20\ns__Blautia_wexlerae\t31\n"
    assert kinds(upload(stool_models, "taxa", content)) == ["unit_unclear"]
    counts, percent = (upload(stool_models, "taxa", content, taxa_unit=unit) for unit in ("counts", "percent"))
    assert (said(counts, "unit"), "half_empty" in kinds(counts)) == (["counts"], False)
    assert (said(percent, "unit"), "half_empty" in kinds(percent)) == (["percent"], True)


@pytest.mark.parametrize("whole", [1, 100])
def test_ranks_one_below_the_other_without_prefixes(stool_models: Models, merged: Any, whole: int) -> None:
    rows = [(name.rpartition("__")[2], float(value) * whole / 100) for name, value in one_sample(merged)[1:]]
    ranks = [name.count("|") for name, _ in one_sample(merged)[1:]]
    species = [row for row, rank in zip(rows, ranks, strict=True) if rank == 6]
    genera = [row for row, rank in zip(rows, ranks, strict=True) if rank == 5]
    content = written([("taxon", "a"), *species, *((f"{name}_genus", value) for name, value in genera)])
    found = upload(stool_models, "taxa", content, profiler=METAPHLAN)
    assert kinds(found) == ["ranks_stacked"]
    total = sum(float(value) for _, value in [*species, *genera])
    assert f"{total:.4g}"[:3] in found.problems[0].came


def test_a_taxon_that_stands_twice(stool_models: Models, merged: Any) -> None:
    rows = [*species_of(merged).items()]
    found = upload(stool_models, "taxa", written([("taxon", "a"), *rows, rows[0]]))
    assert kinds(found) == ["unreadable"]
    assert found.problems[0].row == len(rows) + 2
    assert "expected each taxon once" in found.problems[0].came


@pytest.mark.parametrize("text", ["-3", "much", "inf"])
@pytest.mark.parametrize("line", [3, 90])
def test_abundances_that_are_none(stool_models: Models, merged: Any, text: str, line: int) -> None:
    rows: list[tuple[str, object]] = [*species_of(merged).items()]
    rows[line - 2] = (rows[line - 2][0], text)
    found = upload(stool_models, "taxa", written([("taxon", "stool 7"), *rows]))
    assert kinds(found) == ["unreadable"]
    fault = found.problems[0]
    assert (fault.file, fault.row, fault.column) == ("mine.tsv", line, "stool 7")
    assert repr(text) in fault.came


def test_a_profiler_that_the_file_contradicts(stool_models: Models, merged: Any) -> None:
    content = written(one_sample(merged), above=f"#{METAPHLAN}\n")
    found = upload(stool_models, "taxa", content, profiler="motus3")
    assert kinds(found) == ["profiler_contradicted"]
    assert said(found, "profiler") == [METAPHLAN]


def test_no_profiler_at_all(stool_models: Models, merged: Any) -> None:
    assert kinds(upload(stool_models, "taxa", written(one_sample(merged)))) == ["no_profiler"]


def test_a_table_of_no_taxa(stool_models: Models) -> None:
    found = upload(stool_models, "taxa", b"gene,a,b\nTP53,3,4\nBRAF,1,1\n")
    assert kinds(found) == ["not_a_profile"]


# Blood


def test_every_layout_is_the_same_draw(blood_models: Models, draw: dict[str, str]) -> None:
    greek = {"IL-6": "Interleukin 6", "IL-8": "CXCL8", "IL-10": "il10", "TNF-a": "TNF-α"}
    named = list(draw.items())
    tables = [
        written([("analyte", "value", "unit"), *((*item, "pg/mL") for item in named)], ","),
        written([("Cytokine", "Result (ng/L)"), *((greek[name], value) for name, value in named)]),
        written([[f"{name} (pg/mL)" for name in draw], draw.values()], ","),
        written([[f"{name}_pg_ml" for name in draw], draw.values()], ","),
        written([["sample", *draw], ["", *["pg/mL"] * 4], ["s1", *draw.values()]], ","),
        comma(written([draw, ["pg/ml"] * 4, draw.values()])),
        written([("analyte", "value", "unit"), *((n, f"{float(v) / 1000:.6g}", "ng/ml") for n, v in named)], ","),
        written([draw, draw.values()], ",").decode().encode("utf-16"),
    ]
    expected = {name: float(value) for name, value in draw.items()}
    for content in tables:
        found = upload(blood_models, "immune", content, "blood.csv", immune_unit="pg/mL", day=-1.0)
        assert kinds(found) == []
        assert found.request is not None
        factor = {"pg/mL": 1, "ng/mL": 1000}
        sent = {item["analyte"]: item["value"] * factor[item["unit"]] for item in found.request["immune"]}
        assert sent == pytest.approx(expected)
        assert {item["day"] for item in found.request["immune"]} == {-1.0}
        assert len(said(found, "analyte")) == 4
    notes = [one.note for one in found.understood if one.about == "analyte"]
    assert all("in training, pg/mL" in note and "as stated in the form" in note for note in notes)


def test_the_day_of_the_table_goes_before_the_form(blood_models: Models, draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit", "day"), *((*item, "pg/mL", -5) for item in draw.items())]
    found = upload(blood_models, "immune", written(rows), day=3.0)
    assert found.request is not None
    assert {item["day"] for item in found.request["immune"]} == {-5.0}


def test_readings_beyond_a_limit_and_gaps(blood_models: Models, draw: dict[str, str]) -> None:
    values = {**draw, "IL-6": "<3.2", "IL-8": ">1000", "IL-10": "NA"}
    found = upload(blood_models, "immune", written([[f"{name} (pg/mL)" for name in values], values.values()]))
    assert kinds(found) == []
    assert found.request is not None
    sent = {item["analyte"]: item["value"] for item in found.request["immune"]}
    assert sent == {"IL-6": "<3.2", "IL-8": ">1000", "TNF-a": float(draw["TNF-a"])}


def test_a_published_row_with_its_codes(blood_models: Models, cohorts_dir: Path) -> None:
    lines = (cohorts_dir / "momspi" / "blood_cytokines.csv").read_text().splitlines()
    found = upload(blood_models, "immune", "\n".join(lines[:2]).encode(), "momspi.csv", immune_unit="pg/mL")
    negative = [name for name, value in zip(lines[0].split(","), lines[1].split(","), strict=True) if value[:1] == "-"]
    faults = [fault for fault in found.problems if fault.kind == "value"]
    assert [(fault.row, fault.column) for fault in faults] == [(2, name) for name in negative]
    assert kinds(upload(blood_models, "immune", "\n".join(lines[:9]).encode())) == ["several_patients"]


def test_a_swapped_unit(blood_models: Models, draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit"), *((*item, "ng/mL") for item in draw.items())]
    found = upload(blood_models, "immune", written(rows))
    (fault,) = found.problems
    assert (kinds(found), fault.severity, fault.row) == (["swapped_unit"], "stops", 2)
    assert "would in pg/mL" in fault.expected
    one = [("analyte", "value", "unit"), *((*item, "ng/mL" if item[0] == "IL-6" else "pg/mL") for item in draw.items())]
    found = upload(blood_models, "immune", written(one))
    assert [(fault.kind, fault.severity) for fault in found.problems] == [("swapped_unit", "warns")]
    assert "IL-6" in found.problems[0].came


def test_a_value_beyond_every_training_patients(blood_models: Models, draw: dict[str, str]) -> None:
    rows = [("analyte", "value", "unit"), *((*item, "pg/mL") for item in {**draw, "IL-6": "90000000"}.items())]
    assert kinds(upload(blood_models, "immune", written(rows))) == ["out_of_range"]


def test_no_unit(blood_models: Models, draw: dict[str, str]) -> None:
    found = upload(blood_models, "immune", written([draw, draw.values()]))
    assert kinds(found) == ["no_unit"]
    assert "4 in pg/mL and 0 in ng/mL of 4" in found.problems[0].expected


@pytest.mark.parametrize(
    ("row", "kind", "severity"),
    [
        (("Unobtainium", "3", "pg/mL"), "unknown_analyte", "warns"),
        (("CRP", "3", "mg/L"), "unknown_unit", "warns"),
        (("IL-6", "3", "NPX"), "other_unit", "warns"),
        (("IL-6", "-3", "pg/mL"), "value", "stops"),
        (("IL-6", "high", "pg/mL"), "value", "stops"),
        (("IL-6", "1,234", "pg/mL"), "value", "stops"),
        (("Interleukin-8", "3", "pg/mL"), "analyte_twice", "stops"),
    ],
)
def test_one_wrong_row(
    blood_models: Models, draw: dict[str, str], row: tuple[str, str, str], kind: str, severity: str
) -> None:
    rows = [*((*item, "pg/mL") for item in draw.items() if item[0] != "IL-6"), row]
    found = upload(blood_models, "immune", written([("analyte", "value", "unit"), *rows]))
    (fault,) = found.problems
    assert kinds(found) == [kind]
    assert (fault.severity, fault.file, fault.row, fault.column) == (severity, "mine.tsv", 5, "value")


@pytest.mark.parametrize("long", [True, False])
def test_several_patients_in_a_table_of_blood(blood_models: Models, draw: dict[str, str], long: bool) -> None:
    rows: list[Any] = [["patient_id", *draw], ["a", *draw.values()], ["b", *draw.values()]]
    if long:
        rows = [("patient", "analyte", "value"), *((who, *item) for who in "ab" for item in draw.items())]
    found = upload(blood_models, "immune", written(rows), immune_unit="pg/mL")
    assert kinds(found) == ["several_patients"]
    assert found.problems[0].row == (6 if long else 3)


def test_several_draws_of_one_patient(blood_models: Models, draw: dict[str, str]) -> None:
    rows = [["patient_id", *draw], ["a", *draw.values()], ["a", *draw.values()]]
    assert kinds(upload(blood_models, "immune", written(rows), immune_unit="pg/mL")) == ["several_draws"]


# Clinical


def test_clinical_fields(models: Models) -> None:
    found = upload(models, "clinical", b"patient_id;Age;sex\n17;61,5;Female\n", patient="c7")
    assert found.request == {"patient": {"id": "c7", "age": 61.5, "sex": "female"}}
    assert said(found, "clinical") == ["age 61.5", "sex female"]
    # Every model served needs stool.
    assert set(kinds(found)) == {"abstains"}


@pytest.mark.parametrize(
    ("content", "kind", "column"),
    [
        (b"age,sex\n61,other\n", "value", "sex"),
        (b"age,sex\nold,male\n", "value", "age"),
        (b"age,sex\n610,male\n", "out_of_range", "age"),
        (b"age,sex,shoe size\n61,male,44\n", "unknown_column", "shoe size"),
        (b"patient,age,sex\na,61,male\nb,62,male\n", "several_patients", "patient"),
        (b"age,sex\n61,male\n62,male\n", "several_patients", None),
    ],
)
def test_clinical_fields_that_are_wrong(models: Models, content: bytes, kind: str, column: str | None) -> None:
    found = upload(models, "clinical", content)
    (fault,) = (fault for fault in found.problems if fault.kind == kind)
    assert (fault.file, fault.column) == ("mine.tsv", column)
    assert set(kinds(found)) <= {kind, "abstains"}


def test_all_files_together(models: Models, candidate: dict[str, Any]) -> None:
    stool = candidate["taxa"]["values"]
    files: dict[Field, UploadedFile] = {
        "taxa": UploadedFile("stool.csv", written([("taxon", "a"), *stool.items()], ",")),
        "immune": UploadedFile(
            "blood.csv", b"IL-6 (pg/mL),CXCL8 (ng/mL),IL10 (pg/mL),TNF (pg/mL)\n<3.2,0.012,7,>1000\n"
        ),
        "clinical": UploadedFile("clinical.csv", b"age,sex\n61,female\n"),
    }
    form = Form(patient="c1", profiler=candidate["taxa"]["profiler"], day=-3, clock="day_ici")
    found = understand(files, form, models)
    assert kinds(found) == []
    asked, made = (PredictionRequest.model_validate(body).candidate() for body in (candidate, found.request))
    for ranked in models.values():
        expected, got = predict(ranked, asked), predict(ranked, made)
        assert got.probability == pytest.approx(expected.probability, rel=1e-5)
        assert got.trust.verdict == expected.trust.verdict


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
        ("taxa", b"%PDF-1.7\x00\x01\x02 binary", "not_a_table"),
        ("taxa", b"\x89HDF\r\n\x1a\n torn", "unreadable"),
        ("taxa", b"PK\x03\x04 torn", "unreadable"),
        ("taxa", b"\x1f\x8b torn", "unreadable"),
        ("immune", b'analyte,value\n"IL-6" x,3\n', "unreadable"),
    ],
)
def test_files_that_are_none(models: Models, field: Field, content: bytes, kind: str) -> None:
    found = upload(models, field, content)
    assert kind in kinds(found)
    assert found.request is None
    assert {fault.file for fault in found.problems if fault.kind == kind} == {"mine.tsv"}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_workbook(models: Models) -> None:
    found = upload(models, "immune", zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "lab.xlsx")
    assert kinds(found) == ["not_a_table"]
    assert "CSV" in found.problems[0].advice


def test_bombs_are_not_unpacked(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert kinds(upload(models, "taxa", buffer.getvalue())) == ["too_large"]
    monkeypatch.setattr(intake, "MAX_BYTES", 2**10)
    assert kinds(upload(models, "taxa", much)) == ["too_large"]


def test_a_sparse_table_that_is_large_when_read(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_CELLS", 100)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for axis in ("observation", "sample"):
            file.create_dataset(f"{axis}/ids", data=np.arange(20))
    assert kinds(upload(models, "taxa", buffer.getvalue())) == ["too_large"]


def test_hdf5_may_not_read_other_files(models: Models, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    for at, external in enumerate(("link", "storage", "virtual")):
        path = tmp_path / f"{at}.biom"
        with h5py.File(path, "w") as file:
            if external == "link":
                file["sample"] = h5py.ExternalLink(str(tmp_path / "0.h5"), "/")
            elif external == "storage":
                file.create_dataset("sample/ids", (8,), "u1", external=[(str(secret), 0, 8)])
            else:
                layout = h5py.VirtualLayout((8,), "u1")
                layout[:] = h5py.VirtualSource(str(tmp_path / "0.h5"), "x", (8,))
                file.create_virtual_dataset("ids", layout)
        found = upload(models, "taxa", path.read_bytes())
        assert kinds(found) == ["unreadable"]
        assert "other files" in found.problems[0].came


def test_nothing_is_left_on_the_disk(
    stool_models: Models, merged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cohorts_dir: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    biom = (cohorts_dir / "momspi" / "rectal_16s.biom").read_bytes()
    for content in (written(one_sample(merged)), biom, biom[: len(biom) // 2], b"\x00"):
        upload(stool_models, "taxa", content, "../../escape.tsv")
        assert list(tmp_path.iterdir()) == []


def test_no_file_at_all(models: Models) -> None:
    assert kinds(understand({}, Form(), models)) == ["empty"]
