"""The shared cases of labs' files through every door: draft, check, features and upload, with the right values."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from features.tables.text import read_text_table
from serving.upload import Form, UploadedFile, understand
from serving.upload.form import Field
from serving.upload.intake import store
from taxokine.cli import main

SPECIES = ["Bacteroides_uniformis", "Phocaeicola_vulgatus", "Alistipes_putredinis", "Parabacteroides_distasonis"]
SHARES_OF_P001 = np.array([0, 1233, 8317, 7937]) / 39736
"""Proportions of the first patient, the same in every case."""
SHEETS = ["samples.csv", "patients.csv"]


def taxokine(*words: str | Path) -> str:
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


def drafted(folder: Path, case: Path, files: Sequence[str]) -> Path:
    """Return the manifest that `cohorts init` drafts, confirmed without a change beyond its TODOs."""
    for file in files:
        shutil.copy(case / file, folder / file)
    manifest = folder / "mine.yaml"
    taxokine("cohorts", "init", *(folder / file for file in files), "--out", manifest)
    text = re.sub(r"#.*", "", manifest.read_text(encoding="utf-8")).replace("TODO", "as published")
    manifest.write_text(text, encoding="utf-8")
    return manifest


@pytest.mark.parametrize(
    ("case", "files"),
    [
        ("1-metaphlan2-second-header", ["merged.txt", *SHEETS]),
        ("2-column-suffix", ["merged.tsv", *SHEETS]),
        ("8-otu-tsv-taxonomy-column", ["otu_table.txt", *SHEETS]),
        ("9-dada2-seqtab", ["seqtab_nochim.csv", "taxa.csv", *SHEETS]),
        ("10-bracken-combined", ["combined.txt", *SHEETS]),
        ("11-kraken-mpa-combined", ["combined_mpa.txt", *SHEETS]),
        ("18-cbioportal-header", ["data_clinical_patient.txt", "data_clinical_sample.txt", "taxa.tsv"]),
        ("22-sgb-to-gtdb", ["merged.tsv", *SHEETS]),
        ("25-phyloseq-rank-columns", ["table.qza", "tax_table.csv", *SHEETS]),
        ("26-excel-encodings-decimal-commas", ["taxa_semicolon.csv", "samples.csv", "patients_semicolon.csv"]),
        ("26-excel-encodings-decimal-commas", ["taxa.tsv", "samples.csv", "patients_utf16.txt"]),
        ("26-excel-encodings-decimal-commas", ["taxa.tsv", "samples.csv", "patients_cp1252.csv"]),
        ("28-r-write-table-short-header", ["otu.txt", "samples.csv", "meta.txt"]),
        ("29-r-mangled-names", ["binomial.csv", *SHEETS]),
    ],
)
def test_a_case_reads_right_from_the_draft_to_the_features(
    cases_dir: Path, tmp_path: Path, case: str, files: list[str]
) -> None:
    manifest = drafted(tmp_path, cases_dir / case, files)
    assert "audit: 0 errors" in taxokine("cohorts", "check", manifest)
    taxokine("features", manifest, "--out", tmp_path / "features.csv")
    table = pd.read_csv(tmp_path / "features.csv", index_col="patient")
    assert (len(table), table["sample_day"].unique().tolist()) == (24, [-5.0])
    row = table.loc["P001"]
    np.testing.assert_allclose([row[f"taxa:{name}"] for name in SPECIES], SHARES_OF_P001, atol=2e-6)
    assert (row["clinical:age"], row["clinical:sex=male"]) == (37, 1)
    assert table["objective_response"].sum() == 17
    assert not table.loc["P001", "objective_response"]


def test_case_26_blood_with_decimal_commas(cases_dir: Path, tmp_path: Path) -> None:
    case = cases_dir / "26-excel-encodings-decimal-commas"
    manifest = drafted(
        tmp_path, case, ["taxa_semicolon.csv", "samples.csv", "patients_semicolon.csv", "blood_semicolon.csv"]
    )
    taxokine("features", manifest, "--out", tmp_path / "features.csv")
    table = pd.read_csv(tmp_path / "features.csv", index_col="patient")
    blood = table.filter(like="immune:").loc["P001"].to_dict()
    assert blood == {"immune:IL-6": 7.30, "immune:IL-8": 2.89, "immune:TNF-a": 39.48}
    assert table.loc["P001", "clinical:bmi"] == 24.9


@pytest.mark.parametrize(
    ("case", "file"),
    [
        ("1-metaphlan2-second-header", "merged.txt"),
        ("11-kraken-mpa-combined", "combined_mpa.txt"),
        ("18-cbioportal-header", "taxa.tsv"),
        ("22-sgb-to-gtdb", "merged.tsv"),
        ("26-excel-encodings-decimal-commas", "taxa_semicolon.csv"),
        ("28-r-write-table-short-header", "otu.txt"),
    ],
)
def test_a_profile_of_a_case_uploads_as_it_trains(cases_dir: Path, case: str, file: str) -> None:
    uploaded = UploadedFile(file, (cases_dir / case / file).read_bytes())
    result = understand({"taxa": uploaded}, Form(sample="P001_S"), {})
    assert result.problems == ()
    assert result.request is not None
    values = result.request["taxa"]["values"]
    total = sum(values.values())
    shares = [values.get(name, 0) / total for name in SPECIES]
    np.testing.assert_allclose(shares, SHARES_OF_P001, atol=2e-6)


@pytest.mark.parametrize(
    ("case", "file", "codec"),
    [
        ("18-cbioportal-header", "data_clinical_patient.txt", "utf-8"),
        ("26-excel-encodings-decimal-commas", "patients_utf16.txt", "utf-16"),
        ("26-excel-encodings-decimal-commas", "patients_cp1252.csv", "cp1252"),
        ("26-excel-encodings-decimal-commas", "patients_semicolon.csv", "utf-8"),
        ("28-r-write-table-short-header", "meta.txt", "utf-8"),
    ],
)
def test_a_sheet_of_a_case_uploads_as_it_trains(
    cases_dir: Path, tmp_path: Path, case: str, file: str, codec: str
) -> None:
    content = (cases_dir / case / file).read_bytes()
    stored = read_text_table(store(UploadedFile(file, content), tmp_path / "upload").path)
    table = read_text_table(cases_dir / case / file)
    assert (stored.header, stored.rows) == (table.header, table.rows)
    result = understand({"clinical": UploadedFile(file, content)}, Form(), {})
    assert [problem.kind for problem in result.problems] == ["several_patients"]
    lines = content.decode(codec).splitlines(keepends=True)
    first_patient = next(i for i, line in enumerate(lines) if line.startswith("P001"))
    of_one = {"clinical": UploadedFile(file, "".join(lines[: first_patient + 1]).encode(codec))}
    assert not [problem for problem in understand(of_one, Form(), {}).problems if problem.severity == "stops"]


def test_case_26_blood_uploads_as_it_trains(cases_dir: Path) -> None:
    content = (cases_dir / "26-excel-encodings-decimal-commas" / "blood_semicolon.csv").read_bytes()
    header, first_row = content.splitlines(keepends=True)[:2]
    files: dict[Field, UploadedFile] = {"immune": UploadedFile("blood.csv", header + first_row)}
    result = understand(files, Form(), {})
    assert result.request is not None
    assert {item["analyte"]: (item["value"], item["unit"], item["day"]) for item in result.request["immune"]} == {
        "IL-6": (7.3, "pg/mL", -5),
        "IL-8": (2.89, "pg/mL", -5),
        "TNF-a": (39.48, "pg/mL", -5),
    }
