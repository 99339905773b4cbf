"""Tables that pipelines write beside abundances: each is named, with the way to a table of abundances."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from features.errors import FileError
from features.tables.decimals import is_number
from features.tables.taxa_layouts import Head, find_rank_columns, find_taxonomy_column
from features.taxon_names import is_clade_string


class _Output(NamedTuple):
    """A table that is none of abundances: names that its header holds, what it is, and what to do."""

    columns: frozenset[str]
    name: str
    advice: str


_OUTPUTS = (
    _Output(
        frozenset({"user_genome", "classification", "warnings"}),
        "the taxonomy of genomes that GTDB-Tk writes",
        "Give the abundances of these genomes, as CoverM writes them, and as their taxonomy the first two columns: "
        "cut -f1,2 FILE > taxonomy.tsv",
    ),
    _Output(
        frozenset({"completeness", "contamination"}),
        "the quality of genomes, as CheckM writes it",
        "Give the abundances of these genomes, as CoverM writes them, and their taxonomy",
    ),
    _Output(
        frozenset({"taxid", "taxrank", "numuniquereads"}),
        "Centrifuge's report, whose reads of a taxon leave out those of the taxa below it",
        "Make a Kraken report of its output: centrifuge-kreport -x INDEX OUTPUT",
    ),
    _Output(
        frozenset({"tax_id", "abundance", "estimated counts"}),
        "Emu's estimate of one sample, in two units",
        "Join the samples in one unit: emu combine-outputs DIRECTORY species",
    ),
    _Output(
        frozenset({"taxreads", "kmers", "dup", "cov"}),
        "KrakenUniq's report of one sample",
        "Join the samples' reports: taxpasta merge -p krakenuniq --taxonomy TAXONOMY --add-name --add-rank "
        "--summarise-at species -o taxa.tsv REPORTS",
    ),
    _Output(
        frozenset({"sample_file", "genome_file", "taxonomic_abundance"}),
        "the genomes that sylph found",
        "Name them by taxa and join the samples: sylph-tax taxprof FILE -t DATABASE, and sylph-tax merge *.sylphmpa "
        "--column relative_abundance -o taxa.tsv",
    ),
    _Output(
        frozenset({"intersect_bp", "f_unique_weighted"}),
        "the genomes that sourmash found in one sample",
        "Make a Kraken report of it: sourmash tax metagenome --output-format kreport",
    ),
    _Output(
        frozenset({"geneid", "chr", "start", "end"}),
        "counts of genes, as featureCounts writes them",
        "Give the table of taxa",
    ),
)
_TEST_COLUMN = re.compile(
    r"padj|fdr|(p|q)val|(p|q)[ _.]values?|adj[ _.]p[ _.]val(ue)?|lfcse|log2foldchange|lfc_.+", re.IGNORECASE
)
_TAXON_NUMBER_COLUMN = re.compile(r"(ncbi[ _.]?)?tax(onomy|on)?[ _.]?id", re.IGNORECASE)
_NAME_COLUMNS = {"name", "species", "taxon_name", "abundance"}
_SAMPLE_COLUMN = re.compile(r"(sample|run|file)([ _.-]?(id|name))?", re.IGNORECASE)
_TAXON_COLUMN = re.compile(
    r"tax(on|a|onomy|on[ _.]?name)|otu|asv|feature([ _.]?id)?|clade([ _.]?name)?|lineage", re.IGNORECASE
)
_RANK_COLUMN = re.compile(r"species|genus|family|phylum|bacteri(a|um)|microbe|organism", re.IGNORECASE)
"""Names of columns that may also be of the host."""
_HOSTS = {"homo sapiens", "human", "mus musculus", "mouse"}
_AMOUNT_COLUMN = re.compile(
    r"(rel(ative)?[ _.]?)?abund(ance)?|(read[ _.]?)?counts?|reads|coverage|percent(age)?|proportion", re.IGNORECASE
)
_FUNCTION_COLUMN = re.compile(
    r"functions?|ko|kegg\w*|ec|(pathways?|gene[ _]famil(y|ies))( humann .*)?|(otu|feature)?[ _]?ids?|", re.IGNORECASE
)
_FUNCTION = re.compile(
    r"K\d{5}\b|(EC:)?\d+\.\d+\.\d+\.\w+|UniRef\d+_|COG\d{4}|PF\d{5}|map\d{5}|M\d{5}$|[A-Z0-9+-]*PWY\w*\b"
)
"""Functions of genes: KEGG orthologs, modules and pathways, enzymes, families of proteins, MetaCyc pathways."""
_STRATIFIED = re.compile(r"(?![a-z]__)[^|]+\|(g__[^|]+\.s__[^|]+|unclassified)")
"""A function and the species that has it, as HUMAnN writes them."""


def check_holds_abundances(path: Path, head: Head) -> None:
    """Raise an error if a table is another output of a pipeline than its abundances by sample.

    Parameters
    ----------
    path : Path
        The file, named in errors.
    head : Head
        The table's names of columns and first rows.

    Raises
    ------
    FileError
        If it is one: a taxonomy or quality of genomes, results of a test, functions of genes, distances of samples,
        single reads, or a table with a row for each taxon of each sample.
    """
    names, labels = [name.strip().lstrip("#").strip() for name in head.header], head.labels
    folded = {name.casefold() for name in names}
    for output in _OUTPUTS:
        if output.columns <= folded:
            raise FileError(f"this is {output.name}, and no table of abundances. {output.advice}", file=path)
    if tests := [name for name in names[1:] if _TEST_COLUMN.fullmatch(name)]:
        raise FileError(
            f"column {tests[0]!r} shows results of a statistical test, and no abundances by sample. Give the table of "
            "taxa that was tested",
            file=path,
        )
    repeated = next((name for i, name in enumerate(names[1:], start=1) if name in names[1:i]), None)
    has_text = bool(head.first_rows) and not any(map(is_number, head.first_rows[0].cells[1:]))
    if repeated and has_text and sum(map(is_clade_string, labels)) > 1:
        raise FileError(
            "several columns have this name above lineages, as the classes in LEfSe's input; delete the rows of "
            "classes, so that the names of samples come first",
            file=path,
            column=repeated,
        )
    are_numbers = bool(labels) and all(label.isdecimal() for label in labels)
    has_names = bool(_NAME_COLUMNS & folded or find_rank_columns(names)) or find_taxonomy_column(names) is not None
    if _TAXON_NUMBER_COLUMN.fullmatch(names[0]) and are_numbers and not has_names:
        raise FileError(
            "taxa are numbers of NCBI's taxonomy, without their names. Add the names, as by: taxpasta merge "
            "--taxonomy TAXONOMY --add-name --add-rank",
            file=path,
        )
    _check_is_not_long(path, names, [row.cells for row in head.first_rows])
    _check_no_functions(path, names, labels)
    if labels and {names[0], *labels} <= {"C", "U"}:
        raise FileError(
            "this lists single reads, as Kraken and Kaiju write them, and no abundances. Give Kraken's report "
            "(kraken2 --report), or of Kaiju's output: kaiju2table",
            file=path,
        )
    if len(labels) > 1 and list(labels) == names[1 : len(labels) + 1]:
        raise FileError(
            "rows and columns have the same names, as of distances between samples. Give the table of taxa", file=path
        )


def _check_is_not_long(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Raise an error if a table has a row for each taxon of each sample, with the command that spreads it."""
    sample, taxon, amount = (
        next((name for name in names if column.fullmatch(name)), None)
        for column in (_SAMPLE_COLUMN, _TAXON_COLUMN, _AMOUNT_COLUMN)
    )
    if taxon is None and (rank := next((name for name in names if _RANK_COLUMN.fullmatch(name)), None)):
        position = names.index(rank)
        organisms = {cells[position].casefold() for cells in rows if len(cells) > position}
        taxon = rank if organisms and not organisms & _HOSTS else None
    if sample and taxon and amount:
        raise FileError(
            f"this has a row for each taxon of each sample; expected a column for each sample. Spread it in R: "
            f"write.csv(as.data.frame.matrix(xtabs(`{amount}` ~ `{taxon}` + `{sample}`, x)), 'taxa.csv')",
            file=path,
        )


def _check_no_functions(path: Path, names: Sequence[str], labels: Sequence[str]) -> None:
    """Raise an error if a table is of functions of genes: they are predicted from taxa, or counted beside them."""
    n_functions = sum(_FUNCTION.match(label) is not None for label in labels)
    n_stratified = sum(_STRATIFIED.fullmatch(label) is not None for label in labels)
    has_functions = _FUNCTION_COLUMN.fullmatch(names[0]) and 2 * n_functions > len(labels)
    if has_functions or 2 * n_stratified > len(labels):
        raise FileError(
            f"these are functions of genes, such as {labels[-1][:40]!r}, as PICRUSt and HUMAnN write, and no taxa. "
            "Give the table of taxa made with them: the feature table and its taxonomy, or MetaPhlAn's profile",
            file=path,
        )
