from __future__ import annotations

import gzip
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import biom
import h5py
import numpy as np
import pandas as pd
import pytest
import skbio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import FileError, InputError, UnitError
from features.taxa import TaxaTable, read_taxa, read_taxa_at_finest_rank
from features.taxon_names import canonical_name

STACKED = """#mpa_vJun23_CHOCOPhlAnSGB_202307
clade_name\tx_A\tx_B
UNCLASSIFIED\t0\t20
k__Bacteria\t100\t80
k__Bacteria|g__Dialister\t100\t80
k__Bacteria|g__Dialister|s__Dialister_invisus\t75.5\t80
k__Bacteria|g__Dialister|s__Dialister_invisus|t__SGB1\t75.5\t80
k__Bacteria|g__Dialister|s__Dialister_hominis\t24.5\t0
"""
COUNTS = np.array([[5.0, 0.0, 90.0], [7.0, 300.0, 0.0], [0.0, 2.0, 2.0], [1.0, 0.0, 4.0]])
FEATURES = ["otu1", "otu2", "otu3", "otu4"]
TAXONOMY = """otu_id,kingdom,family,genus,species
otu1,Bacteria,Lachnospiraceae,[Ruminococcus],gnavus
otu2,Bacteria,Lachnospiraceae,[Ruminococcus],gnavus
otu3,Bacteria,Lachnospiraceae,[Ruminococcus],
otu4,Bacteria,Ruminococcaceae,Ruminococcus,
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, name: str = "table.tsv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def write_biom(path: Path, values: np.ndarray = COUNTS, taxonomy: list[Any] | None = None) -> Path:
    metadata = None if taxonomy is None else [{"taxonomy": clades} for clades in taxonomy]
    table = biom.Table(values, FEATURES, ["A", "B", "C"], observation_metadata=metadata)
    with h5py.File(path, "w") as file:
        table.to_hdf5(file, "Taxokine's tests")
    return path


def write_artifact(path: Path, kind: str, member: str, data: bytes) -> Path:
    root = "9c25bfbe-bf3b-4bf6-80a8-8e5975654493"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/metadata.yaml", f"uuid: {root}\ntype: {kind}\nformat: null\n")
        archive.writestr(f"{root}/data/{member}", data)
    return path


# Names


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("s__Akkermansia_muciniphila", "Akkermansia_muciniphila"),
        ("k__Bacteria|p__Firmicutes|s__Dialister_invisus|t__SGB5825_group", "SGB5825_group"),
        ("d__Bacteria; g__UBA71; s__UBA71 sp905187815", "UBA71_sp905187815"),
        ("d__Archaea;g__UBA71;s__", "unclassified_UBA71"),
        ("k__Bacteria;g__[Ruminococcus];s__gnavus", "Ruminococcus_gnavus"),
        ("k__Bacteria|g__GGB1|s__bacterium_OL_1", "bacterium_OL_1"),
        ("'[Eubacterium] rectale'", "Eubacterium_rectale"),
        ("Bacteria|Firmicutes", "Firmicutes"),
        ("Unassigned", "unclassified"),
    ],
)
def test_canonical_name(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical
    assert canonical_name(canonical) == canonical


@given(st.text())
def test_canonical_name_is_one_word_that_xgboost_takes(name: str) -> None:
    assert canonical_name(name)
    assert not set(canonical_name(name)) & set("[]<> |;\"'\n\t")


# MetaPhlAn


@pytest.mark.parametrize(
    ("rank", "taxa", "values"),
    [
        ("species", ("Dialister_invisus", "Dialister_hominis"), [[75.5, 24.5], [80, 0]]),
        ("strain", ("SGB1",), [[75.5], [80]]),
        ("genus", ("Dialister",), [[100], [80]]),
        ("kingdom", ("Bacteria",), [[100], [80]]),
    ],
)
def test_one_rank_is_read(
    write: Callable[..., Path], rank: Any, taxa: tuple[str, ...], values: list[list[float]]
) -> None:
    table = read_taxa(write(STACKED), format="metaphlan", rank=rank, prefix="x_")
    assert (table.samples, table.taxa, table.unit) == (("A", "B"), taxa, "percent")
    assert table.profiler == "mpa_vJun23_CHOCOPhlAnSGB_202307"
    np.testing.assert_array_equal(table.values, values)
    assert table.values.dtype == np.float32


def test_lineages_are_the_clade_strings_of_the_file(write: Callable[..., Path]) -> None:
    table = read_taxa(write(STACKED), format="metaphlan")
    assert table.lineages["Dialister_hominis"] == "k__Bacteria|g__Dialister|s__Dialister_hominis"


@pytest.mark.parametrize(
    "text",
    [
        "#mpa_v30\n#SampleID\tMetaphlan_Analysis\n#clade_name\tNCBI_tax_id\tA\tB\ns__X_y\t2|12\t40\t30\ns__X_z\t2\t60\t70\n",
        "ID\tclade_taxid\tA\tB\ns__X_y\t\t40\t30\ns__X_z\t2\t60\t70\n",
        "#SampleID\tA\tB\nX_y\t40\t30\nX_z\t60\t70\n",
        "\ufeffclade_name\tA\tB\r\nX_y\t40\t30\r\n\r\nX_z\t60\t70\r\n",
        'clade_name,A,B\n"X_y",40,"30"\nX_z,60,70',
    ],
)
def test_headers_of_other_releases(write: Callable[..., Path], text: str) -> None:
    table = read_taxa(write(text), format="metaphlan")
    assert (table.samples, table.taxa) == (("A", "B"), ("X_y", "X_z"))
    np.testing.assert_array_equal(table.values, [[40, 60], [30, 70]])
    zipped = write(gzip.compress(text.encode()), "table.tsv.gz")
    np.testing.assert_array_equal(read_taxa(zipped, format="metaphlan").values, table.values)


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("NCBI_tax_id\trelative_abundance\tadditional_species", ["2|12\t40\tX_z,X_w", "2\t60\t"]),
        ("clade_taxid\trelative_abundance\tcoverage\testimated_number_of_reads", ["2|12\t40\t1.5\t-", "2\t60\t2\t7"]),
    ],
)
def test_the_profile_of_a_single_sample_has_one_column_of_amounts(
    write: Callable[..., Path], columns: str, cells: list[str]
) -> None:
    rows = "".join(f"s__{name}\t{rest}\n" for name, rest in zip(("X_y", "X_z"), cells, strict=True))
    path = write(f"#mpa_v30\n#SampleID\tMetaphlan_Analysis\n#clade_name\t{columns}\n{rows}")
    table = read_taxa(path, format="metaphlan")
    assert (table.samples, table.taxa) == (("relative_abundance",), ("X_y", "X_z"))
    np.testing.assert_array_equal(table.values, [[40, 60]])


def test_stated_profiler_must_agree_with_the_file(write: Callable[..., Path]) -> None:
    assert read_taxa(write(STACKED), format="metaphlan", profiler="mpa_vJun23").profiler == (
        "mpa_vJun23_CHOCOPhlAnSGB_202307"
    )
    with pytest.raises(FileError, match="mpa_vOct22"):
        read_taxa(write(STACKED), format="metaphlan", profiler="mpa_vOct22")
    path = write("clade_name\tA\ns__X_y\t100\n")
    assert read_taxa(path, format="metaphlan", profiler="mpa_vOct22").profiler == "mpa_vOct22"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("#mpa_v30\n", "empty"),
        ("clade_name\n", "parted by tab, comma or semicolon"),
        ("clade_name\tA\n", "expected clades of rank 'species', got none"),
        ("clade_name\tA\nk__B\t100\nk__B|p__F\t100\n", "got 1 of rank kingdom, 1 of rank phylum"),
        ("clade_name\tA\ns__X_y\t50\nX_z\t50\n", "row 3: 'X_z' has no rank prefix"),
        ("clade_name\tA\tA\ns__X_y\t5\t5\n", "column 'A'.*same column"),
        ("clade_name\tA\t\ns__X_y\t5\t5\n", "row 1: the header names 2 columns, and the rows have 3 cells"),
        ("#mpa\nclade_name\tA\tB\ns__X_y\t50\n", "row 3: expected 3 cells, as in the header, got 2"),
        ("clade_name\tA\tB\ns__X_y\t5\t5\n\ns__X_z\t1\t-2\n", "row 4, column 'B'.*got '-2'"),
        ("clade_name\tA\tB\ns__X_y\t5\tnan\n", "row 2, column 'B'.*got 'nan'"),
        ("clade_name\tA\tB\ns__X_y\t\t5\n", "row 2, column 'A'.*got ''"),
        ("clade_name\tA\tB\ns__X_y\t5\t1e99\n", "row 2, column 'B'.*got '1e99'"),
        ("#OTU ID\tA\tB\ns__X_y\t5\tfive\n", "row 2, column 'B'.*got 'five'"),
        ("clade_name\tA\n\t5\n", "row 2: the row has no label"),
        ("clade_name\tA\nk__B|s__X_y\t50\nk__B|s__X_y\t50\n", "row 3: .*on row 2 and .* are the same taxon, 'X_y'"),
        ('clade_name\tA\n"s__X_y\t5\n', "row 2: expected cells, each within a pair of quotes"),
        ("clade_name\tA\ns__Ä_y\t5\n".encode() + b"s__X_\xff\t5\n", "row 3: part of it is UTF-8 and part is not"),
        (gzip.compress(b"clade_name\tA\n" + b"s__X_y\t5\n" * 99, mtime=0)[:40], "expected a complete gzip file"),
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_errors_name_the_place(write: Callable[..., Path], text: str | bytes, message: str) -> None:
    path = write(text)
    with pytest.raises(FileError, match=f"(?s){message}") as caught:
        read_taxa(path, format="metaphlan")
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for format in ("metaphlan", "biom", "qza"):
        with pytest.raises(FileError, match="No such file"):
            read_taxa(tmp_path / "absent", format=format)


def test_every_sample_name_must_have_the_prefix(write: Callable[..., Path]) -> None:
    path = write("clade_name\tx_A\tB\ns__X_y\t100\t100\n")
    with pytest.raises(FileError, match="column 'B': expected the sample's name to begin with 'x_'"):
        read_taxa(path, format="metaphlan", prefix="x_")


@pytest.mark.parametrize(
    "arguments",
    [
        {"format": "csv"},
        {"format": "table", "rank": "clan"},
        {"format": "table", "unit": "reads"},
        {"format": "bracken", "taxonomy": "taxonomy.tsv"},
        {"format": "metaphlan", "sample_axis": "rows"},
    ],
)
def test_arguments_that_do_not_apply(write: Callable[..., Path], arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_taxa(write(STACKED), **arguments)


# Units


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        (("60", "40"), "percent"),
        (("0.6", "0.4"), "proportions"),
        (("0.1", "0.2"), "proportions"),
        (("60", "42"), "counts"),
        (("30.5", "0"), "percent"),
    ],
)
def test_unit_follows_from_the_numbers(write: Callable[..., Path], numbers: tuple[str, str], unit: Any) -> None:
    path = write("clade_name\tA\ns__X_y\t{}\ns__X_z\t{}\n".format(*numbers))
    assert read_taxa(path, format="metaphlan").unit == unit
    assert read_taxa(path, format="metaphlan", unit=unit).unit == unit


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        (("60", "40"), "proportions"),
        (("0.6", "0.4"), "percent"),
        (("0.6", "0.4"), "counts"),
        (("60.5", "39.5"), "counts"),
        (("600", "2"), "percent"),
        (("600", "2"), "proportions"),
        (("600.5", "2"), None),
        (("0.7", "0.6"), None),
        (("0", "0"), None),
    ],
)
def test_unit_that_the_numbers_contradict(write: Callable[..., Path], numbers: tuple[str, str], unit: Any) -> None:
    path = write("clade_name\tA\ns__X_y\t{}\ns__X_z\t{}\n".format(*numbers))
    with pytest.raises(FileError, match=r"column 'A'.*largest sample sums to"):
        read_taxa(path, format="metaphlan", unit=unit)


def test_shallow_counts_are_counts_if_stated(write: Callable[..., Path]) -> None:
    path = write("clade_name\tA\ns__X_y\t3\ns__X_z\t4\n")
    assert read_taxa(path, format="metaphlan", unit="counts").unit == "counts"


# Plain tables


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_a_table_reads_alike_either_way_round(write: Callable[..., Path], delimiter: str) -> None:
    frame = pd.DataFrame([[0.25, 0.5], [0.75, 0.5]], ["Dialister invisus", "[Clostridium] leptum"], ["A", "B"])
    upright = write(frame.to_csv(sep=delimiter), "upright.txt")
    turned = write(frame.T.to_csv(sep=delimiter), "turned.txt")
    for path, side in ((upright, "columns"), (turned, "rows")):
        for sample_axis in (None, side):
            table = read_taxa(path, format="table", sample_axis=sample_axis)
            assert (table.samples, table.taxa) == (("A", "B"), ("Dialister_invisus", "Clostridium_leptum"))
            np.testing.assert_array_equal(table.values, frame.to_numpy().T)


def test_ranks_stacked_in_columns(write: Callable[..., Path]) -> None:
    text = ",k__B,k__B;g__Dialister,k__B;g__Dialister;s__Dialister invisus\nA,90,80,70\nB,9,8,7\n"
    table = read_taxa(write(text), format="table", rank="genus")
    assert (table.samples, table.taxa) == (("A", "B"), ("Dialister",))
    np.testing.assert_array_equal(table.values, [[80], [8]])


def test_a_table_that_could_be_either_way_round(write: Callable[..., Path]) -> None:
    path = write("id,a,b\nc,1,200\nd,3,4\n")
    with pytest.raises(FileError, match="State sample_axis"):
        read_taxa(path, format="table")
    assert read_taxa(path, format="table", sample_axis="rows").samples == ("c", "d")
    assert read_taxa(path, format="table", sample_axis="columns").samples == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,X_y,X_z\nA,1,2\nA,3,4\n", "row 3: 'A' on row 2 and 'A' on row 3 are the same sample"),
        ("id,X_y,X y\nA,1,2\n", "column 'X y': 'X_y' and 'X y' are the same taxon"),
        ("id,X_y,g__X\nA,1,2\n", "column 'X_y': 'X_y' has no rank prefix"),
    ],
)
def test_errors_of_tables_with_samples_in_rows(write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_taxa(write(text), format="table", sample_axis="rows")


# BIOM and QIIME 2


def test_features_with_ids_are_read_as_features_and_never_as_species(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    with pytest.raises(FileError, match="4 of the 4 features have ids, such as 'otu1', and no names"):
        read_taxa(path, format="biom")
    table = read_taxa(path, format="biom", rank="feature")
    assert (table.samples, table.taxa, table.unit) == (("A", "B", "C"), tuple(FEATURES), "counts")
    np.testing.assert_array_equal(table.values, COUNTS.T)


def test_features_are_summed_to_a_rank_and_lineages_kept_apart(tmp_path: Path, write: Callable[..., Path]) -> None:
    path, taxonomy = write_biom(tmp_path / "t.biom"), write(TAXONOMY, "taxonomy.csv")
    species = read_taxa(path, format="biom", taxonomy=taxonomy)
    assert species.taxa == (
        "Ruminococcus_gnavus",
        "unclassified_Ruminococcus_Lachnospiraceae",
        "unclassified_Ruminococcus",
    )
    np.testing.assert_array_equal(species.values, [[12, 0, 1], [300, 2, 0], [90, 2, 4]])
    genus = read_taxa(path, format="biom", taxonomy=taxonomy, rank="genus")
    assert genus.taxa == ("Ruminococcus_Lachnospiraceae", "Ruminococcus")
    kingdom = read_taxa(path, format="biom", taxonomy=taxonomy, rank="kingdom")
    np.testing.assert_array_equal(kingdom.values[:, 0], COUNTS.sum(0))
    assert kingdom.lineages == {"Bacteria": "k__Bacteria"}
    with pytest.raises(FileError, match="none of the 4 features has a name at rank 'order'"):
        read_taxa(path, format="biom", taxonomy=taxonomy, rank="order")


def test_taxonomy_within_the_biom_table(tmp_path: Path) -> None:
    clades = [["k__Bacteria", f"s__X_{end}"] for end in "aabc"]
    table = read_taxa(write_biom(tmp_path / "t.biom", taxonomy=clades), format="biom")
    assert table.taxa == ("X_a", "X_b", "X_c")
    np.testing.assert_array_equal(table.values[:, 0], COUNTS[:2].sum(0))


def test_features_without_taxonomy(tmp_path: Path, write: Callable[..., Path]) -> None:
    taxonomy = write("Feature ID\tTaxon\tConfidence\notu1\tk__Bacteria;s__X_y\t0.9\n", "taxonomy.tsv")
    with pytest.raises(FileError, match=r"3 of the 4 features .* are not listed, as 'otu2'"):
        read_taxa(write_biom(tmp_path / "t.biom"), format="biom", taxonomy=taxonomy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("otu_id\tname\notu1\tX\n", "expected a column Taxon, or one for each rank"),
        ("otu_id\tTaxon\notu1\tX\notu1\tY\n", "row 3: feature 'otu1' is listed above"),
        ("otu_id\tTaxon\notu1\n", "row 2: expected 2 cells"),
    ],
)
def test_files_that_are_no_taxonomy(tmp_path: Path, write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_taxa(write_biom(tmp_path / "t.biom"), format="biom", taxonomy=write(text, "taxonomy.tsv"))


def test_biom_errors(tmp_path: Path, write: Callable[..., Path]) -> None:
    values = COUNTS.copy()
    values[1, 0] = -7
    with pytest.raises(FileError, match=r"column 'A': .* feature 'otu2', got -7"):
        read_taxa(write_biom(tmp_path / "negative.biom", values), format="biom")
    with pytest.raises(FileError, match="biom convert -i TABLE"):
        read_taxa(write('{"format": "Biological Observation Matrix 1.0.0"}', "old.biom"), format="biom")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileError, match=r"expected a BIOM 2\.1 table"):
        read_taxa(tmp_path / "other.h5", format="biom")


def test_qiime2_artifacts(tmp_path: Path) -> None:
    data = write_biom(tmp_path / "t.biom").read_bytes()
    table = write_artifact(tmp_path / "table.qza", "FeatureTable[Frequency]", "feature-table.biom", data)
    lines = ["Feature ID\tTaxon\tConfidence", "otu1\td__Bacteria; g__X; s__X a\t1", "otu2\td__Bacteria; g__X; s__\t1"]
    lines += ["otu3\tUnassigned\t1", "otu4\td__Bacteria; g__X; s__X a\t1"]
    text = "\n".join(lines).encode()
    taxonomy = write_artifact(tmp_path / "taxonomy.qza", "FeatureData[Taxonomy]", "taxonomy.tsv", text)
    table_at_rank = read_taxa(table, format="qza", taxonomy=taxonomy, profiler="kraken2")
    assert (table_at_rank.taxa, table_at_rank.profiler) == (("X_a", "unclassified_X"), "kraken2")
    np.testing.assert_array_equal(table_at_rank.values, [[6, 7], [0, 300], [94, 0]])
    np.testing.assert_allclose(table_at_rank.left_out["unassigned"], [0, 2 / 302, 2 / 96])
    with pytest.raises(FileError, match=r"expected .* FeatureTable\[Frequency\] .*, got 'FeatureData\[Taxonomy\]'"):
        read_taxa(taxonomy, format="qza")
    with pytest.raises(FileError, match=r"FeatureData\[Taxonomy\], got 'FeatureTable\[Frequency\]'"):
        read_taxa(table, format="qza", taxonomy=table)


def test_archives_that_are_not_artifacts(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(FileError, match=r"expected a QIIME 2 artifact"):
        read_taxa(write("text"), format="qza")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../metadata.yaml", "type: FeatureTable[Frequency]")
        archive.writestr("b/c", "")
    with pytest.raises(FileError, match="expected one folder"):
        read_taxa(tmp_path / "x.zip", format="qza")


# The table


def test_take() -> None:
    table = TaxaTable(np.eye(3, dtype=np.float32), ("A", "B", "C"), ("x", "y", "z"), "proportions")
    selected = table.take(["C", "A"])
    assert selected.samples == ("C", "A")
    np.testing.assert_array_equal(selected.values, [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(InputError, match="1 of 2 samples are not in the taxa table, as 'D'"):
        table.take(["A", "D"])
    with pytest.raises(InputError, match="'A' twice"):
        table.take(["A", "A"])
    with pytest.raises(InputError, match="expected values for 1 samples"):
        TaxaTable(np.eye(3, dtype=np.float32), ("A",), ("x", "y", "z"), "counts")


def test_proportions_of_nothing() -> None:
    table = TaxaTable(np.array([[1, 2], [0, 0]], np.float32), ("A", "B"), ("x", "y"), "counts")
    with pytest.raises(UnitError, match="sample 'B'"):
        table.proportions()


amounts = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(0.015625, 1e6, width=32),
)


@given(amounts)
def test_closure_is_scikit_bios(values: np.ndarray) -> None:
    samples, taxa = (tuple(map(str, range(length))) for length in values.shape)
    table = TaxaTable(values, samples, taxa, "counts").proportions()
    np.testing.assert_allclose(table.values, np.atleast_2d(skbio.stats.composition.closure(values)), rtol=1e-6)
    np.testing.assert_allclose(table.values.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(table.proportions().values, table.values, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(amounts, st.randoms(use_true_random=False))
def test_order_and_orientation_do_not_matter(values: np.ndarray, random: Any) -> None:
    counts = np.rint(values).astype(np.int64) + 102
    samples, taxa = (
        [f"{name}{number}" for number in range(length)] for name, length in zip("sx", counts.shape, strict=True)
    )
    frame = pd.DataFrame(counts, samples, [f"s__Genus_{taxon}" for taxon in taxa])
    shuffled = frame.loc[random.sample(samples, len(samples)), random.sample(list(frame), frame.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        tables = []
        for variant in (frame, frame.T, shuffled, shuffled.T):
            variant.to_csv(path)
            table = read_taxa(path, format="table")
            tables.append(pd.DataFrame(table.values, table.samples, table.taxa).sort_index().sort_index(axis=1))
    expected = frame.rename(columns=canonical_name).sort_index().sort_index(axis=1).astype(np.float32)
    for table in tables:
        pd.testing.assert_frame_equal(table, expected)


# The published cohorts


@pytest.mark.parametrize(
    ("cohort", "prefix", "shape"),
    [
        ("lee_2022", "", (164, 2006)),
        ("spencer_2021", "metaphlan_", (158, 1615)),
        ("frankel_2017", "metaphlan_", (39, 1412)),
        ("matson_2018", "metaphlan_", (38, 1119)),
        ("davar_2021", "metaphlan_", (214, 1084)),
    ],
)
def test_published_metaphlan_tables(cohorts_dir: Path, cohort: str, prefix: str, shape: tuple[int, int]) -> None:
    path = cohorts_dir / cohort / "metaphlan4_merged.tsv"
    table = read_taxa(path, format="metaphlan", prefix=prefix)
    assert (table.values.shape, table.unit) == (shape, "percent")
    assert table.profiler == (None if cohort == "lee_2022" else "mpa_vOct22_CHOCOPhlAnSGB_202212")
    assert all(sample.startswith(("SRR", "ERR")) for sample in table.samples)
    np.testing.assert_allclose(table.values.sum(1), 100, atol=1e-3)
    np.testing.assert_allclose(table.proportions().values.sum(1), 1, atol=1e-5)
    frame = pd.read_csv(path, sep="\t", comment="#", index_col=0)
    frame = frame.filter(regex=r"\|s__[^|]+$", axis=0)
    np.testing.assert_array_equal(table.values, frame.to_numpy(np.float32).T)
    assert [table.lineages[taxon] for taxon in table.taxa] == list(frame.index)


def test_published_families_do_not_close(cohorts_dir: Path) -> None:
    path = cohorts_dir / "spencer_2021" / "metaphlan4_merged.tsv"
    table = read_taxa(path, format="metaphlan", rank="family", prefix="metaphlan_")
    assert table.unit == "percent"
    assert 80 < table.values.sum(1).min() < 81


def test_published_species_table(cohorts_dir: Path) -> None:
    path = cohorts_dir / "mitox" / "species_relative_abundance.tsv"
    table = read_taxa(path, format="metaphlan")
    assert (table.values.shape, table.unit, table.lineages) == ((88, 1449), "percent", {})
    np.testing.assert_allclose(table.values.sum(1), 100, atol=1e-3)
    without_format = read_taxa(path, format="table")
    np.testing.assert_array_equal(without_format.values, table.values)


@pytest.mark.parametrize(("rank", "taxa"), [("species", 369), ("genus", 279), ("phylum", 18)])
def test_published_biom_table(cohorts_dir: Path, rank: Any, taxa: int) -> None:
    folder = cohorts_dir / "momspi"
    features = read_taxa(folder / "rectal_16s.biom", format="biom", rank="feature")
    assert (features.values.shape, features.unit) == ((490, 4282), "counts")
    table = read_taxa(folder / "rectal_16s.biom", format="biom", taxonomy=folder / "taxonomy.tsv", rank=rank)
    assert table.values.shape == (490, taxa)
    left_out = sum(table.left_out.values())
    np.testing.assert_allclose(table.values.sum(1), features.values.sum(1) * (1 - left_out), rtol=1e-6)
    sheet = pd.read_csv(folder / "taxonomy.tsv", sep="\t", dtype=str, index_col=0)
    is_faecalibacterium = sheet.loc[list(features.taxa), "genus"] == "Faecalibacterium"
    positions = [
        position for position, taxon in enumerate(table.taxa) if "g__Faecalibacterium" in table.lineages[taxon]
    ]
    if rank != "phylum":
        np.testing.assert_array_equal(
            table.values[:, positions].sum(1), features.values[:, is_faecalibacterium.to_numpy()].sum(1)
        )


def test_published_artifacts_hold_percent_under_the_name_of_counts(cohorts_dir: Path) -> None:
    folder = cohorts_dir / "frankel_2017_qiime2"
    table = read_taxa(folder / "table.qza", format="qza", taxonomy=folder / "taxonomy.qza")
    assert (table.values.shape, table.unit) == ((39, 647), "percent")
    np.testing.assert_allclose(table.values.sum(1), 100, atol=1e-3)
    with pytest.raises(FileError, match="the unit is stated to be counts, but the numbers are fractions"):
        read_taxa(folder / "table.qza", format="qza", rank="feature", unit="counts")
    with pytest.raises(FileError, match="Give the other artifact"):
        read_taxa(folder / "taxonomy.qza", format="qza")


@pytest.mark.parametrize("text", [";*;,a__", "sample,s__Blautia_obeum\n", "sample;g__Blautia;g__Dorea\n"])
def test_a_header_without_samples_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(FileError, match="got 0 samples and"):
        read_taxa_at_finest_rank(path, format="table")
