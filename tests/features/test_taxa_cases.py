"""Taxa tables as the labs' pipelines write them: the shared cases, and further examples of each kind."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.draft import draft_manifest, find_file_kind
from features.draft.file_kinds import find_file_kinds, find_taxa_files
from features.errors import FileError, InputError
from features.non_taxa import is_metadata
from features.tables.profiles import SINTAX_COLUMNS
from features.taxa import read_taxa
from features.taxon_names import canonical_name
from features.transforms import genus_of

SPECIES = (
    "Bacteroides_uniformis",
    "Phocaeicola_vulgatus",
    "Alistipes_putredinis",
    "Parabacteroides_distasonis",
    "Faecalibacterium_prausnitzii",
)
COUNTS_OF_P001 = [0, 1233, 8317, 7937, 3639]
"""The counts of the first sample in the cases that hold counts."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# The shared cases


@pytest.mark.parametrize(
    ("case", "file", "kind", "options"),
    [
        ("3-collapsed-qza", "table-l7.qza", "qza", {}),
        ("4-biom-json-v1", "table.biom", "biom", {}),
        ("7-q2-barplot-csv", "level-7.csv", "table/rows", {}),
        ("7b-q2-barplot-numeric-metadata", "level-7.csv", "table/rows", {}),
        ("8-otu-tsv-taxonomy-column", "otu_table.txt", "table/columns", {}),
        ("9-dada2-seqtab", "seqtab_nochim.csv", "table/rows", {"taxonomy": "taxa.csv"}),
        ("10-bracken-combined", "combined.txt", "bracken", {"suffix": ".bracken"}),
        ("25-phyloseq-rank-columns", "table.qza", "qza", {"taxonomy": "tax_table.csv"}),
        ("29-r-mangled-names", "taxa.csv", "table/rows", {}),
        ("29-r-mangled-names", "binomial.csv", "table/rows", {}),
        ("32-taxa-and-clinical-in-one-table", "counts_and_metadata.csv", "table/rows", {}),
    ],
)
def test_one_table_of_counts_reads_alike_in_every_format(
    cases_dir: Path, case: str, file: str, kind: str, options: dict[str, str]
) -> None:
    folder = cases_dir / case
    assert find_file_kind(folder / file) == kind
    taxonomy = folder / options["taxonomy"] if "taxonomy" in options else None
    table = read_taxa(
        folder / file,
        format=kind.partition("/")[0],  # type: ignore[arg-type]
        taxonomy=taxonomy,
        suffix=options.get("suffix", ""),
    )
    assert (len(table.samples), table.samples[0], table.unit) == (24, "P001_S", "counts")
    assert (len(table.taxa), table.taxa[:5]) == (14, SPECIES)
    np.testing.assert_array_equal(table.values[0, :5], COUNTS_OF_P001)
    assert table.values.sum(dtype=np.float64) == 1_355_054


@pytest.mark.parametrize(
    ("case", "file", "columns"),
    [
        ("7-q2-barplot-csv", "level-7.csv", "patient_id, day_ici, age, sex, best_response, irae_any"),
        ("7b-q2-barplot-numeric-metadata", "level-7.csv", "day_ici, age"),
        ("32-taxa-and-clinical-in-one-table", "counts_and_metadata.csv", "age, bmi, days_since_surgery"),
    ],
)
def test_columns_that_are_no_taxa_are_named_and_set_aside(cases_dir: Path, case: str, file: str, columns: str) -> None:
    notes = read_taxa(cases_dir / case / file, format="table").notes
    assert notes[0].endswith(f"are no taxa and are set aside: {columns}")


def test_metaphlan_of_every_age(cases_dir: Path) -> None:
    second_header = read_taxa(cases_dir / "1-metaphlan2-second-header" / "merged.txt", format="metaphlan")
    np.testing.assert_allclose(second_header.values[0, :3], [0, 3.10298, 20.93064], rtol=1e-6)
    suffixed = read_taxa(cases_dir / "2-column-suffix" / "merged.tsv", format="metaphlan", suffix="_profile")
    gtdb = read_taxa(cases_dir / "22-sgb-to-gtdb" / "merged.tsv", format="metaphlan")
    for table in (suffixed, gtdb):
        assert table.samples[0] == "P001_S"
        assert table.taxa == second_header.taxa
        np.testing.assert_allclose(table.values, second_header.values * 0.8, atol=2e-5)
        np.testing.assert_allclose(table.left_out["unassigned"], 0.2, atol=1e-5)


def test_placeholders_have_one_name_in_every_file(cases_dir: Path) -> None:
    taxa = {
        letter: read_taxa(folder / "table.qza", format="qza", taxonomy=folder / "taxonomy.tsv", rank="genus").taxa
        for letter in "abc"
        for folder in [cases_dir / f"6-silva-uncultured-{letter}"]
    }
    assert {"uncultured_Lachnospiraceae", "uncultured_Ruminococcaceae", "Incertae_Sedis_Lachnospiraceae"} < set(
        taxa["a"]
    )
    assert {"uncultured_Lachnospiraceae", "Incertae_Sedis_Ruminococcaceae"} < set(taxa["b"])
    assert "uncultured_Ruminococcaceae" in taxa["c"]
    assert not any("uncultured" in taxa[letter] for letter in "abc")


def test_silva_prefixes_are_ranks(cases_dir: Path) -> None:
    folder = cases_dir / "5-silva-D-prefix"
    table = read_taxa(folder / "table.qza", format="qza", taxonomy=folder / "taxonomy.tsv")
    assert table.taxa[:2] == ("uncultured_bacterium_Bacteroides", "Phocaeicola_vulgatus")
    np.testing.assert_array_equal(table.values[0, :5], COUNTS_OF_P001)


def test_hosts_organelles_and_unassigned_reads_leave_the_whole_and_are_stated(cases_dir: Path) -> None:
    folder = cases_dir / "23-host-organelles-unassigned"
    table = read_taxa(folder / "table.qza", format="qza", taxonomy=folder / "taxonomy.tsv", rank="genus")
    assert len(table.taxa) == 14
    assert table.values.sum(dtype=np.float64) == 1_355_054
    assert set(table.left_out) == {"organelles", "unassigned"}
    assert table.notes[-1].startswith("left out of the whole, median share of a sample: organelles 36.1%")


def test_ids_without_a_taxonomy_are_never_species(cases_dir: Path) -> None:
    file = cases_dir / "9-dada2-seqtab" / "seqtab_nochim.csv"
    with pytest.raises(FileError, match=r"14 of the 14 features have ids, such as 'CCGTAATG.*taxa\.taxonomy"):
        read_taxa(file, format="table")
    assert len(read_taxa(file, format="table", rank="feature").taxa[0]) == 60


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("2-column-suffix", 'suffix: "_profile"'),
        ("10-bracken-combined", 'suffix: ".bracken"'),
        ("9-dada2-seqtab", "taxonomy: taxa.csv"),
    ],
)
def test_drafts_name_the_suffix_and_the_taxonomy(cases_dir: Path, case: str, line: str) -> None:
    files = [file for file in sorted((cases_dir / case).iterdir()) if file.suffix in (".txt", ".tsv", ".csv")]
    text = draft_manifest(files, "mine")
    assert line in text
    assert "rank: species" in text


def test_the_metadata_of_a_bar_plot_is_a_sheet_of_samples(cases_dir: Path) -> None:
    folder = cases_dir / "7-q2-barplot-csv"
    text = draft_manifest([folder / "level-7.csv", folder / "patients.csv"], "mine")
    assert "  sample: index" in text
    assert "  patient: patient_id" in text


# Further examples


@pytest.mark.parametrize(
    ("clade", "name"),
    [
        ("sk__Bacteria;k__;p__Firmicutes;c__Clostridia", "Clostridia"),
        ("d__Bacteria|k__Bacillati|p__Bacillota", "Bacillota"),
        (
            "D_0__Bacteria;D_4__Lachnospiraceae;D_5__Roseburia;D_6__human gut metagenome",
            "human_gut_metagenome_Roseburia",
        ),
        ("d__Bacteria;o__Clostridia_X;f__uncultured;g__uncultured", "uncultured_Clostridia_X"),
        ("f__Lachnospiraceae;g__Lachnospiraceae_unclassified", "unclassified_Lachnospiraceae"),
        (
            "Bacteria(100);Firmicutes(99);Lachnospiraceae(98);Lachnospiraceae_unclassified(98);",
            "unclassified_Lachnospiraceae",
        ),
        ("k__Bacteria.p__Firmicutes.g__Blautia.s__Blautia.wexlerae", "Blautia_wexlerae"),
        ("X.Clostridium..leptum", "Clostridium_leptum"),
        ("Akkermansia muciniphila [ref_mOTU_v3_01234]", "Akkermansia_muciniphila"),
        ("k__Bacteria;f__Lachnospiraceae;g__[Ruminococcus]", "Ruminococcus_Lachnospiraceae"),
        ("g__Roseburia;s__sp.", "Roseburia_sp."),
        ("f__Lachnospiraceae;g__;s__intestinalis", "intestinalis_Lachnospiraceae"),
        ("d__Bacteria;__;__;__", "unclassified_Bacteria"),
    ],
)
def test_a_name_is_a_function_of_the_lineage(clade: str, name: str) -> None:
    assert canonical_name(clade) == name
    assert canonical_name(name) == name


def test_genera_of_placeholders_stay_apart() -> None:
    assert genus_of("uncultured_Lachnospiraceae") == "uncultured_Lachnospiraceae"
    assert genus_of("Blautia_wexlerae") == "Blautia"


def test_a_kraken_report(write: Callable[[str, str], Path]) -> None:
    rows = [
        (10, 100, 100, "U", 0, "unclassified"),
        (90, 900, 0, "R", 1, "root"),
        (88, 880, 5, "D", 2, "  Bacteria"),
        (80, 800, 0, "G", 816, "    Bacteroides"),
        (60, 600, 600, "S", 820, "      Bacteroides uniformis"),
        (20, 200, 200, "S", 817, "      Bacteroides fragilis"),
        (2, 20, 20, "S", 9606, "  Homo sapiens"),
    ]
    path = write("P1.kreport", "".join("\t".join(map(str, row)) + "\n" for row in rows))
    assert find_file_kind(path) == "kraken"
    table = read_taxa(path, format="kraken")
    assert table.taxa == ("Bacteroides_uniformis", "Bacteroides_fragilis")
    np.testing.assert_array_equal(table.values, [[600, 200]])
    assert {kind: round(float(share[0]) * 920) for kind, share in table.left_out.items()} == {
        "animals": 20,
        "unassigned": 100,
    }


def test_a_single_bracken_report(write: Callable[[str, str], Path]) -> None:
    header = (
        "name\ttaxonomy_id\ttaxonomy_lvl\tkraken_assigned_reads\tadded_reads\tnew_est_reads\tfraction_total_reads\n"
    )
    path = write(
        "P1.bracken",
        header + "Bacteroides uniformis\t820\tS\t600\t50\t650\t0.65\nBlautia obeum\t1\tS\t300\t50\t350\t0.35\n",
    )
    table = read_taxa(path, format="bracken")
    assert (table.taxa, table.unit) == (("Bacteroides_uniformis", "Blautia_obeum"), "counts")
    np.testing.assert_array_equal(table.values, [[650, 350]])


def test_one_feature_without_a_taxonomy_costs_only_itself(write: Callable[[str, str], Path]) -> None:
    rows = [{"id": "otu1", "metadata": {"taxonomy": ["k__Bacteria", "g__Blautia"]}}]
    rows += [{"id": "otu2", "metadata": None}, {"id": "otu3", "metadata": {"taxonomy": "k__Bacteria;g__Dorea"}}]
    content: dict[str, Any] = {
        "id": None, "format": "Biological Observation Matrix 1.0.0", "format_url": "", "type": "OTU table",
        "generated_by": "a test", "date": "2026-01-01T00:00:00", "rows": rows, "matrix_type": "dense",
        "columns": [{"id": "A", "metadata": None}], "matrix_element_type": "int", "shape": [3, 1],
        "data": [[300], [100], [600]],
    }  # fmt: skip
    table = read_taxa(write("t.biom", json.dumps(content)), format="biom", rank="genus")
    assert table.taxa == ("Blautia", "Dorea")
    np.testing.assert_array_equal(table.values, [[300, 600]])
    np.testing.assert_allclose(table.left_out["unassigned"], [0.1])


def test_genera_of_several_lineages_are_summed_and_said(write: Callable[[str, str], Path]) -> None:
    text = "#OTU ID\tA\nk__B;f__Clostridiaceae;g__Clostridium\t300\nk__B;f__Lachnospiraceae;g__Clostridium\t200\n"
    table = read_taxa(write("t.tsv", text), format="table", rank="genus")
    assert (table.taxa, table.values.tolist()) == (("Clostridium",), [[500]])
    assert "summed: Clostridium" in table.notes[0]


def test_a_collapsed_table_with_a_family_beside_its_genera_is_not_stacked(write: Callable[[str, str], Path]) -> None:
    rows = {"": 100, ";g__Blautia": 500, ";g__Dorea": 400}
    text = "id,A\n" + "".join(f"k__B;f__Lachnospiraceae{clade},{count}\n" for clade, count in rows.items())
    table = read_taxa(write("t.csv", text), format="table", rank="genus")
    assert table.taxa == ("unclassified_Lachnospiraceae", "Blautia", "Dorea")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"RDX3\nX\n", "write.csv"),
        (b"\xd0\xcf\x11\xe0rest", "save the sheet as CSV"),
        (b">seq1\nACGT\n", "profile them first"),
        (b'{"a": 1}', "export the table as TSV or CSV"),
        (b"<Header>\nFileVersion,1.7\n</Header>\n", "Export the counts of all samples from nSolver"),
        (b'<?xml version="1.0"?>\n<Workbook>\n', "save it as .xlsx or CSV"),
        (b"<!DOCTYPE html>\n<html><head><title>Krona</title></head></html>\n", "such as Krona's, give the table"),
        (gzip.compress(b"BAM\1" + bytes(30), mtime=0), "Profile the reads first"),
        (b"@HD\tVN:1.6\nr1\t0\tchr1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n", "Profile the reads first"),
        (gzip.compress(b"@r1\nACGT\n+\nIIII\n", mtime=0), "profile them first"),
        (b"((Otu1:0.1,Otu2:0.2):0.3,Otu3:0.1);\n", "Give the feature table and its taxonomy"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t100\n", "variants of genomes"),
        (b"$FL2@(#) SPSS DATA FILE", r"SPSS's own data \(.sav\). Save it in SPSS as CSV"),
        (b"<stata_dta><header>", r"Stata's own data \(.dta\). In Stata: export delimited"),
        (b"\x72\x02\x01\x00" + bytes(90), r"Stata's own data \(.dta\)"),
        (bytes(12) + b"\xc2\xea\x81\x60\xb3", r"SAS's own data \(.sas7bdat\). In SAS: proc export"),
        (b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!0000", r"SAS's transport file \(.xpt\)"),
        (b"!Checksum\tabc\n^HEADER\n", "SomaDataIO::read_adat"),
        (b'[{"patient_id":"P01"}]', "this is JSON"),
        (b"FCS3.1         256    1545", "frequencies of the gated cells"),
        (b"function\tS1\tS2\nK00001\t10.5\t20\nK00002\t100\t2\n", "functions of genes, such as 'K00002'"),
        (b"function\tdescription\tS1\nEC:1.1.1.1\tAlcohol dehydrogenase\t10.5\n", "Give the table of taxa"),
        (b"# Pathway\tS1\nUNMAPPED\t1\nPWY-5100: x\t10\nPWY-5100: x|g__Dorea\t5\n", "functions of genes"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_on(tmp_path: Path, content: bytes, advice: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileError, match=advice):
        find_file_kind(path)


GTDB = "d__Bacteria;f__Bacteroidaceae;g__Bacteroides;s__Bacteroides uniformis"
OTHER_OUTPUTS = [
    (f"user_genome\tclassification\tmsa_percent\twarnings\nbin.1\t{GTDB}\t90.1\tN/A\n", "cut -f1,2"),
    ("Bin Id\tMarker lineage\tCompleteness\tContamination\nbin.1\tk__Bacteria\t98.1\t0.2\n", "as CoverM writes them"),
    ("Name\tCompleteness\tContamination\tGC_Content\nbin.1\t98.1\t0.2\t0.4\n", "as CoverM writes them"),
    ("name\ttaxID\ttaxRank\tnumReads\tnumUniqueReads\nroot\t1\tno rank\t10\t5\n", "centrifuge-kreport"),
    (f"tax_id\tabundance\tspecies\testimated counts\n820\t0.6\t{GTDB}\t600\n", "emu combine-outputs"),
    (
        "%\treads\ttaxReads\tkmers\tdup\tcov\ttaxID\trank\ttaxName\n9\t5\t5\t9\t1\t1\t1\tno rank\troot\n",
        "taxpasta merge -p krakenuniq",
    ),
    (
        "Sample_file\tGenome_file\tTaxonomic_abundance\tSequence_abundance\ns1.fastq\tGCF_1.fna\t60\t61\n",
        "sylph-tax merge",
    ),
    ("taxonomy_id\ts1\ts2\n820\t6\t5\n821\t7\t8\n", "--add-name --add-rank"),
    (f"response\tR\tNR\tR\nid\ts1\ts2\ts3\n{GTDB}\t1\t2\t3\nd__Bacteria;f__X\t1\t2\t3\n", "LEfSe's input"),
    ("intersect_bp,f_unique_weighted,name\n1000,0.1,GCF_1\n", "sourmash tax metagenome"),
    ("Geneid\tChr\tStart\tEnd\tLength\ts1.bam\nENSG1\t1\t1\t100\t100\t5\n", "counts of genes"),
    ("file\tpercent\treads\ttaxon_name\nS1\t60\t600\tBlautia obeum\n", "xtabs(`percent` ~ `taxon_name` + `file`, x)"),
    (f"sample\tcoverage\ttaxonomy\nS1\t5.2\t{GTDB}\nS2\t3.1\t{GTDB}\n", "xtabs(`coverage` ~ `taxonomy` + `sample`"),
    ('"","OTU","Sample","Abundance","Genus"\n"1","ASV1","S1",600,"Blautia"\n', "xtabs(`Abundance` ~ `OTU` + `Sample`"),
    ("sample_id,taxon,count\nS1,g__Blautia,5\nS1,g__Dorea,6\n", "xtabs(`count` ~ `taxon` + `sample_id`"),
    ("sample,Species,rel_abundance\nS1,Blautia obeum,5\nS1,Dorea longicatena,6\n", "xtabs(`rel_abundance` ~ `Species`"),
    ("taxon,lfc_(Intercept),lfc_armB\ng__Blautia,0.1,0.2\ng__Dorea,0.1,0.2\n", "results of a statistical test"),
    (
        ",baseMean,log2FoldChange,lfcSE,pvalue,padj\ng__Blautia,100.1,1.2,0.3,0.01,0.02\n",
        "results of a statistical test",
    ),
    ("feature\tmetadata\tcoef\tpval\tqval\ng__Blautia\tresponse\t0.1\t0.02\t0.1\n", "results of a statistical test"),
    ("\tS1\tS2\nS1\t0\t0.5\nS2\t0.5\t0\n", "as of distances between samples"),
    ("C\tread1\t820\nU\tread2\t0\nC\tread3\t820\n", "kraken2 --report"),
]


def test_a_repeated_sample_above_lineages_is_named(write: Callable[[str, str], Path]) -> None:
    path = write("taxa.tsv", f"id\tS1\tS2\tS1\n{GTDB}\t1\t2\t3\nd__Bacteria;f__X\t1\t2\t3\n")
    with pytest.raises(FileError, match="'S1'") as error:
        read_taxa(path, format="table")
    assert "LEfSe" not in str(error.value)


def test_a_clinical_sheet_alone_is_no_taxa_table_with_words_for_numbers(write: Callable[[str, str], Path]) -> None:
    rows = "".join(f"p{i},never,none,60,PR\n" for i in range(6))
    path = write("clinic.csv", f"patient,Smoking history,Prior therapy,Age,Best response\n{rows}")
    with pytest.raises(InputError, match="there is no taxa table among the files"):
        find_taxa_files({path: find_file_kind(path)})


def test_numbers_of_taxa_beside_columns_of_their_ranks_are_read(write: Callable[[str, str], Path]) -> None:
    path = write("taxa.csv", "TaxID,Phylum,Family,Genus,S1,S2\n820,Bacteroidota,Bacteroidaceae,Bacteroides,6,5\n")
    assert find_file_kind(path) == "table/columns"
    assert read_taxa(path, format="table", rank="genus").taxa == ("Bacteroides",)


@pytest.mark.parametrize(("content", "advice"), OTHER_OUTPUTS)
def test_outputs_beside_abundances_are_named_at_every_door(
    write: Callable[[str, str], Path], content: str, advice: str
) -> None:
    path = write("output.tsv", content)
    for read in (find_file_kind, partial(read_taxa, format="table"), partial(read_taxa, format="metaphlan")):
        with pytest.raises(FileError, match=re.escape(advice)):
            read(path)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        # Phyla begin like columns of p values; a patient, an arm and a count are no taxon of a sample.
        ("sample,p__Firmicutes,p__Bacteroidota", "table/rows"),
        ("sample,group,count", "sheet"),
        ("sample_id,protein,value", "sheet"),
        ("sample,Q,P", "sheet"),
    ],
)
def test_tables_like_other_outputs_are_read(write: Callable[[str, str], Path], header: str, kind: str) -> None:
    assert find_file_kind(write("t.csv", f"{header}\nS1,7,3\nS2,6,4\n")) == kind


def test_the_species_of_the_host_is_no_taxon_of_a_sample(write: Callable[[str, str], Path]) -> None:
    path = write("samples.csv", "sample,patient,species,reads\nS1,p1,Homo sapiens,5000\nS2,p2,Homo sapiens,6000\n")
    assert find_file_kind(path) == "sheet"


def test_numbers_of_patients_with_decimals_are_no_ids_of_features(write: Callable[[str, str], Path]) -> None:
    assert find_file_kind(write("clinic.csv", "patient,age\n101.0,50\n102.0,60\n103.0,55\n")) == "sheet"


def test_abundances_of_genomes_and_their_taxonomy(write: Callable[[str, str], Path]) -> None:
    taxonomy = write("gtdb.tsv", f"user_genome\tclassification\nbin.1\t{GTDB}\nbin.2\t{GTDB}\n")
    path = write("coverm.tsv", "Genome\tS1\tS2\nunmapped\t20\t30\nbin.1\t50\t60\nbin.2\t30\t10\n")
    table = read_taxa(path, format="table", taxonomy=taxonomy)
    assert (table.taxa, table.values.tolist()) == (("Bacteroides_uniformis",), [[80], [70]])
    np.testing.assert_allclose(table.left_out["unassigned"], [0.2, 0.3])


def test_a_shared_file_of_mothur_and_its_consensus_taxonomy(write: Callable[[str, str], Path]) -> None:
    ranks = "Bacteria(100);Firmicutes(100);Clostridia(100);Clostridiales(100);Lachnospiraceae(100)"
    lines = [f"Otu1\t7\t{ranks};Blautia(98);", f"Otu2\t9\t{ranks};Lachnospiraceae_unclassified(90);"]
    taxonomy = write("final.cons.taxonomy", "\n".join(["OTU\tSize\tTaxonomy", *lines]) + "\n")
    path = write("final.shared", "label\tGroup\tnumOtus\tOtu1\tOtu2\n0.03\tS1\t2\t5\t30\n0.03\tS2\t2\t2\t60\n")
    assert find_file_kinds([path, taxonomy]) == {path: "table/rows", taxonomy: "taxonomy"}
    table = read_taxa(path, format="table", rank="genus", taxonomy=taxonomy)
    assert (table.samples, table.taxa) == (("S1", "S2"), ("Blautia", "unclassified_Lachnospiraceae"))
    np.testing.assert_array_equal(table.values, [[5, 30], [2, 60]])


MOTUS = """# motus version 3.0.3 | call: python motus profile
#consensus_taxonomy\tNCBI_tax_id\tS1\tS2
Bacteroides uniformis [ref_mOTU_v3_00855]\t820\t50\t40
Akkermansia muciniphila [ref_mOTU_v3_03591]\t239935\t130\t40
Lachnospiraceae species incertae sedis [meta_mOTU_v3_12345]\tNA\t20\t10
unassigned\tNA\t100\t10
"""
CURATED = "k__Bacteria|p__P|c__C|o__O|f__F|g__{0}|s__{0}_{1}"


def test_a_table_of_motus(write: Callable[[str, str], Path]) -> None:
    path = write("motus.txt", MOTUS)
    assert find_file_kind(path) == "table/columns"
    table = read_taxa(path, format="table")
    assert table.taxa[:2] == ("Bacteroides_uniformis", "Akkermansia_muciniphila")
    assert table.taxa[2].endswith("meta_mOTU_v3_12345")
    np.testing.assert_array_equal(table.values, [[50, 130, 20], [40, 40, 10]])
    np.testing.assert_allclose(table.left_out["unassigned"], [1 / 3, 0.1])


def test_an_export_of_curated_metagenomic_data(write: Callable[[str, str], Path]) -> None:
    rows = [("Bacteroides", "uniformis", 60.5, 40), ("Blautia", "wexlerae", 39.5, 60)]
    lines = [f'"{CURATED.format(genus, species)}",{a},{b}' for genus, species, a, b in rows]
    path = write("relative_abundance.csv", "\n".join(['"","S1","S2"', *lines]) + "\n")
    table = read_taxa(path, format=find_file_kind(path))  # type: ignore[arg-type]
    assert (table.taxa, table.unit) == (("Bacteroides_uniformis", "Blautia_wexlerae"), "percent")
    np.testing.assert_array_equal(table.values, np.float32([[60.5, 39.5], [40, 60]]))


def test_a_table_with_two_columns_of_lineages_is_no_taxonomy(write: Callable[[str, str], Path]) -> None:
    names = ["d__Bacteria.g__Blautia_A.s__Blautia_A.wexlerae", "d__Bacteria.g__Bacteroides.s__Bacteroides.uniformis"]
    path = write("gtdb.csv", f"sample,{','.join(names)}\nS1,300,700\nS2,600,400\n")
    assert find_file_kind(path) == "table/rows"
    assert read_taxa(path, format="table").taxa == ("Blautia_A_wexlerae", "Bacteroides_uniformis")


def test_stratified_functions_are_no_taxa(write: Callable[[str, str], Path]) -> None:
    rows = "".join(f"{name}|g__Blautia.s__Blautia_obeum\t3\t4\n" for name in ("TCA", "CALVIN: a cycle", "GO:0009058"))
    path = write("path.tsv", "# Pathway HUMAnN v4.0.0.alpha.1\ts1\ts2\n" + rows)
    with pytest.raises(FileError, match="these are functions of genes"):
        find_file_kind(path)


@pytest.mark.parametrize("name", ["Total", "Grand Total", "Mean", "Summe", "total reads"])
def test_sums_of_a_table_are_neither_taxa_nor_samples(write: Callable[[str, str], Path], name: str) -> None:
    taxa = [species.replace("_", " ") for species in SPECIES]
    lines = ["s1\t1\t2\t3\t4\t5\t15\n", "s2\t5\t4\t3\t2\t1\t15\n", f"{name}\t6\t6\t6\t6\t6\t30\n"]
    path = write("rows.tsv", "\t".join(["sample", *taxa, name]) + "\n" + "".join(lines))
    table = read_taxa(path, format="table")
    assert table.samples == ("s1", "s2")
    assert table.taxa == SPECIES
    assert any(name in note for note in table.notes)
    columns = [f"{taxon}\t{i}\t{6 - i}\t6\n" for i, taxon in enumerate(taxa, start=1)]
    path = write("columns.tsv", f"species\ts1\ts2\t{name}\n" + "".join(columns) + f"{name}\t15\t15\t30\n")
    np.testing.assert_array_equal(read_taxa(path, format="table").values, table.values)


@pytest.mark.parametrize(
    "label",
    ["Not assigned", "No hits", "cannot be assigned to a (non-viral) species", "Unclassified;Unknown;Unknown;Unknown"],
)
def test_reads_of_no_taxon_leave_the_whole(write: Callable[[str, str], Path], label: str) -> None:
    rows = "".join(f"{species.replace('_', ' ')}\t10\n" for species in SPECIES)
    table = read_taxa(write("taxa.tsv", f"taxon\ts1\n{rows}{label}\t50\n"), format="table")
    assert table.taxa == SPECIES
    assert table.notes == ("left out of the whole, median share of a sample: unassigned 50.0% (up to 50.0%)",)


def test_lineages_without_prefixes_are_read_by_order_whether_or_not_they_have_ncbi_kingdoms(
    write: Callable[[str, str], Path],
) -> None:
    text = (
        "tax\ts1\ts2\ttotal\n"
        "Bacteria;Bacillati;Bacillota;Clostridia;Eubacteriales;Lachnospiraceae;Blautia;Blautia obeum\t4\t6\t10\n"
        "Bacteria;Bacteroidota;Bacteroidia;Bacteroidales;Bacteroidaceae;Bacteroides;Bacteroides ovatus\t6\t4\t10\n"
        "Unclassified;Unknown;Unknown;Unknown;Unknown;Unknown;Unknown;Unknown\t1\t1\t2\n"
    )
    path = write("abundance_table_species.tsv", text)
    assert find_file_kind(path) == "table/columns"
    assert read_taxa(path, format="table").taxa == ("Blautia_obeum", "Bacteroides_ovatus")
    assert read_taxa(path, format="table", rank="phylum").taxa == ("Bacillota", "Bacteroidota")


def test_a_sheet_of_samples_comes_before_other_columns_of_the_taxa_table(write: Callable[[str, str], Path]) -> None:
    rows = "".join(f"s{i},{i},{9 - i},3,4,5,200\n" for i in range(1, 5))
    taxa = write("taxa.csv", ",".join(["sample", *(name.replace("_", " ") for name in SPECIES), "depth"]) + "\n" + rows)
    sheet = write("sheet.csv", "sample_id,patient_id,day\ns1,p1,0\ns2,p2,0\ns3,p3,0\n")
    draft = draft_manifest([taxa, sheet], "mine")
    assert "  file: sheet.csv\n  sample: sample_id" in draft


@pytest.mark.parametrize(
    ("member", "advice"), [("word/document.xml", "a text of Word"), ("content.xml", "LibreOffice")]
)
def test_files_of_office_software_are_named(tmp_path: Path, member: str, advice: str) -> None:
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr(member, "<x/>")
    with pytest.raises(FileError, match=advice):
        find_file_kind(tmp_path / "file")


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("12.5%", "write percent without the sign"),
        ("<0.01", "or 0 where it was below"),
        ("2,491", "without marks between thousands"),
        ("", "an absent taxon is 0"),
    ],
)
def test_a_draft_names_the_cell_for_which_a_table_of_taxa_is_none(
    write: Callable[[str, str], Path], cell: str, advice: str
) -> None:
    rows = "".join(f'{species.replace("_", " ")},"3","4"\n' for species in SPECIES)
    path = write("taxa.csv", f'species,s1,s2\n{rows}Dorea longicatena,"{cell}","5"\n')
    with pytest.raises(FileError, match=advice) as caught:
        draft_manifest([path], "mine")
    assert f"row {len(SPECIES) + 2}, column 's1'" in str(caught.value)


def test_the_classes_of_microbiome_analyst_are_no_header(write: Callable[[str, str], Path]) -> None:
    rows = "".join(f"d__Bacteria;g__Blautia;s__Blautia {name}\t1\t2\t3\n" for name in ("obeum", "faecis"))
    path = write("otu.txt", "#NAME\ts1\ts2\ts3\n#CLASS:response\tR\tNR\tR\n" + rows)
    assert read_taxa(path, format="table").samples == ("s1", "s2", "s3")


def test_names_and_ranks_in_columns_are_read_at_a_rank(write: Callable[[str, str], Path]) -> None:
    rows = (
        "0\tunclassified\t\t\t50\t40\n2\tBacteria\tsuperkingdom\tBacteria\t5\t5\n"
        "816\tBacteroides\tgenus\tBacteria;Bacteroides\t7\t8\n"
        "28116\tBacteroides ovatus\tspecies\tBacteria;Bacteroides;Bacteroides ovatus\t60\t30\n"
        "1\tBacteroides ovatus V975\tstrain\tBacteria;Bacteroides\t6\t3\n"
    )
    path = write("taxpasta.tsv", "taxonomy_id\tname\trank\tlineage\ts1\ts2\n" + rows)
    assert find_file_kind(path) == "bracken"
    table = read_taxa(path, format="bracken")
    assert (table.samples, table.taxa, table.values.tolist()) == (("s1", "s2"), ("Bacteroides_ovatus",), [[60], [30]])
    assert read_taxa(path, format="bracken", rank="kingdom").values.tolist() == [[5], [5]]


def test_the_names_of_columns_of_names_and_ranks_vary(write: Callable[[str, str], Path]) -> None:
    path = write("taxa.csv", "tax_name,tax_id,tax_rank,s1\nBlautia obeum,1,S,5\nDorea longicatena,2,S,6\nDorea,3,G,6\n")
    assert find_file_kind(path) == "bracken"
    assert read_taxa(path, format="bracken").values.tolist() == [[5, 6]]


def test_an_empty_cell_of_emus_joined_table_is_a_zero(write: Callable[[str, str], Path]) -> None:
    ranks = "species\tgenus\tfamily\torder\tclass\tphylum\tsuperkingdom"
    path = write(
        "emu-combined-species.tsv",
        f"{ranks}\ts1\ts2\nBlautia obeum\tBlautia\tLachnospiraceae\tx\tx\tBacillota\tBacteria\t0.25\t\n"
        "Dorea longicatena\tDorea\tLachnospiraceae\tx\tx\tBacillota\tBacteria\t0.75\t1\n",
    )
    assert find_file_kind(path) == "table/columns"
    assert read_taxa(path, format="table").values.tolist() == [[0.25, 0.75], [0, 1]]
    path = write(
        "emu-combined-tax_id.tsv",
        f"tax_id\t{ranks}\tsubspecies\tspecies group\ts1\n"
        "1\tBlautia obeum\tBlautia\tL\tx\tx\tBacillota\tBacteria\t\t\t0.75\nunassigned" + "\t" * 10 + "0.25\n",
    )
    table = read_taxa(path, format="table")
    assert (table.samples, table.taxa, table.values.tolist()) == (("s1",), ("Blautia_obeum",), [[0.75]])


@pytest.mark.parametrize("columns", SINTAX_COLUMNS)
def test_a_taxonomy_of_sintax(write: Callable[[str, str], Path], columns: int) -> None:
    lines = [
        "Otu1\td:Bacteria(1.00),p:Bacillota(1.0),g:Blautia(0.9),s:Blautia_obeum(0.41)\t+\td:Bacteria,p:Bacillota,g:Blautia",
        "Otu2\td:Bacteria(1.00),p:Bacteroidota(1.0),g:Bacteroides(0.9)\t+\td:Bacteria,p:Bacteroidota,g:Bacteroides",
    ]
    taxonomy = write("sintax.txt", "".join("\t".join(line.split("\t")[:columns]) + "\n" for line in lines))
    table = write("otutab.txt", "#OTU ID\ts1\ts2\nOtu1\t5\t4\nOtu2\t2\t3\n")
    assert find_file_kinds([taxonomy, table]) == {taxonomy: "taxonomy", table: "table/columns"}
    assert read_taxa(table, format="table", taxonomy=taxonomy, rank="genus").taxa == ("Blautia", "Bacteroides")
    if columns == max(SINTAX_COLUMNS):
        with pytest.raises(FileError, match="has a name at rank 'species'"):
            read_taxa(table, format="table", taxonomy=taxonomy)
    else:
        assert read_taxa(table, format="table", taxonomy=taxonomy).taxa[0] == "Blautia_obeum"


GROUPS_OF_SILVA = (
    "[Eubacterium] coprostanoligenes group",
    "Lachnospiraceae NK4A136 group",
    "Christensenellaceae R-7 group",
    "Rikenellaceae RC9 gut group",
    "Clostridia vadinBB60 group",
    "NK4A214 group",
    "Family XIII AD3011 group",
    "Bacillus cereus group",
    "Streptococcus mitis group",
    "Prevotellaceae_NK3B31_group",
    "X.Eubacterium..hallii.group",
    "Christensenellaceae.R.7.group",
    "SGB5825_group",
)


def test_genera_that_are_named_groups_stay_taxa(write: Callable[[str, str], Path]) -> None:
    genera = ("Bacteroides", "Akkermansia", "Blautia", "Dorea", *GROUPS_OF_SILVA)
    rows = "".join(f"{name}\t{i}\t{20 - i}\n" for i, name in enumerate(genera, start=1))
    table = read_taxa(write("genus.tsv", f"Genus\ts1\ts2\n{rows}"), format="table", rank="genus")
    assert (len(table.taxa), table.notes) == (len(genera), ())


@pytest.mark.parametrize(
    "name",
    [
        *(
            "treatment group",
            "Control group",
            "Group",
            "Age group",
            "Patient group",
            "PDL1_group",
            "CD8_group",
            "T1_group",
        ),
        *(
            "D0 group",
            "HLA-A2_group",
            "COVID-19 group",
            "Diabetes risk group",
            "Females group",
            "Leukemia group",
            "Lupus nephritis group",
        ),
    ],
)
def test_groups_of_patients_are_no_taxa(name: str) -> None:
    assert is_metadata(name)
