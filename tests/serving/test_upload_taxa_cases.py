"""Stool profiles that upload as they train: the shared cases of taxa tables, through the door of the upload."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.upload import Form, UploadedFile, understand
from serving.upload.form import Field


def uploaded(folder: Path, file: str, taxonomy: str | None = None) -> dict[Field, UploadedFile]:
    files: dict[Field, UploadedFile] = {"taxa": UploadedFile(file, (folder / file).read_bytes())}
    if taxonomy:
        files["taxonomy"] = UploadedFile(taxonomy, (folder / taxonomy).read_bytes())
    return files


@pytest.mark.parametrize(
    ("case", "file", "taxonomy", "sample"),
    [
        ("3-collapsed-qza", "table-l7.qza", None, "P001_S"),
        ("4-biom-json-v1", "table.biom", None, "P001_S"),
        ("7-q2-barplot-csv", "level-7.csv", None, "P001_S"),
        ("7b-q2-barplot-numeric-metadata", "level-7.csv", None, "P001_S"),
        ("8-otu-tsv-taxonomy-column", "otu_table.txt", None, "P001_S"),
        ("9-dada2-seqtab", "seqtab_nochim.csv", "taxa.csv", "P001_S"),
        ("10-bracken-combined", "combined.txt", None, "P001_S.bracken"),
        ("25-phyloseq-rank-columns", "table.qza", "tax_table.csv", "P001_S"),
        ("29-r-mangled-names", "binomial.csv", None, "P001_S"),
        ("32-taxa-and-clinical-in-one-table", "counts_and_metadata.csv", None, "P001_S"),
    ],
)
def test_a_profile_reads_alike_in_every_format(
    cases_dir: Path, case: str, file: str, taxonomy: str | None, sample: str
) -> None:
    result = understand(uploaded(cases_dir / case, file, taxonomy), Form(sample=sample), {})
    assert result.problems == ()
    assert result.request is not None
    values = result.request["taxa"]["values"]
    assert len(values) == 10
    assert (values["Phocaeicola_vulgatus"], values["Alistipes_putredinis"]) == (1233, 8317)


def test_reads_of_no_microbe_are_stated(cases_dir: Path) -> None:
    files = uploaded(cases_dir / "23-host-organelles-unassigned", "table.qza", "taxonomy.tsv")
    result = understand(files, Form(sample="P001_S"), {})
    assert {"42% organelles", "37% unassigned"} < {row.value for row in result.interpretations}


def test_sequences_without_a_taxonomy_stop_the_upload(cases_dir: Path) -> None:
    result = understand(uploaded(cases_dir / "9-dada2-seqtab", "seqtab_nochim.csv"), Form(sample="P001_S"), {})
    assert [problem.kind for problem in result.problems] == ["ids_without_names"]
