"""What stands in taxa tables and is no microbe: reads of hosts, organelles or nothing, and columns of other data."""

from __future__ import annotations

import re
from typing import Literal

from features.analytes import SYNONYMS, canonical_analyte
from features.taxon_names import (
    Lineage,
    canonical_name,
    is_between_ranks,
    is_clade_string,
    lineage_of,
    looks_like_taxon,
    stated_rank,
)

NonMicrobe = Literal["unassigned", "organelles", "animals", "plants"]
"""What reads are of that are no part of the microbial whole."""

_UNASSIGNED = {
    "unclassified", "unassigned", "unknown", "unmapped", "unmapped_reads", "unintegrated", "no_blast_hit", "no_hit",
    "other", "others", "root", "cellular_organisms", "other_sequences", "artificial_sequences", "synthetic_construct",
    "not_assigned", "no_hits", "no_match", "unaligned", "low_complexity", "reads_unmapped", "unclassified_reads",
    "mapped_unclassified", "mapped_filtered", "-1",
}  # fmt: skip
_KAIJU_UNASSIGNED = "cannot_be_assigned_to_a_"
"""How Kaiju names the reads of no taxon of a rank: 'cannot be assigned to a (non-viral) species'."""
_MEMBERS: dict[str, NonMicrobe] = {
    **dict.fromkeys(("mitochondria", "mitochondrion", "chloroplast", "chloroplasts", "plastid"), "organelles"),
    **dict.fromkeys(
        (
            "metazoa", "metazoa_animalia", "animalia", "chordata", "craniata", "vertebrata", "mammalia", "primates",
            "hominidae", "homo", "homo_sapiens", "human", "host", "mus", "mus_musculus", "muridae", "rodentia",
        ),
        "animals",
    ),
    **dict.fromkeys(("viridiplantae", "streptophyta", "embryophyta", "chloroplastida", "archaeplastida"), "plants"),
}  # fmt: skip
"""Taxa whose members are no microbes, in lower case."""
_EUKARYOTES = {"eukaryota", "eukarya", "eukaryote", "unclassified_eukaryota"}

_METADATA_WORDS = {
    "age", "bmi", "sex", "gender", "weight", "height", "race", "ethnicity", "country", "city", "region", "site",
    "center", "centre", "hospital", "day", "days", "week", "weeks", "month", "months", "year", "years", "date",
    "time", "timepoint", "hours", "visit", "batch", "plate", "run", "lane", "library", "sequencing", "sequencer",
    "platform", "kit", "extraction", "primer", "barcode", "barcodesequence", "linkerprimersequence", "read",
    "reads", "depth", "count", "counts", "total", "sum", "length", "confidence", "prevalence", "concentration",
    "ecog", "ldh", "crp", "tmb", "nlr", "stage", "histology", "response", "responder", "recist", "pfs", "os",
    "orr", "dcr", "survival", "progression", "death", "status", "outcome", "event", "toxicity", "irae", "grade",
    "treatment", "therapy", "drug", "dose", "antibiotic", "antibiotics", "ppi", "steroid", "steroids", "smoking",
    "smoker", "diet", "bristol", "ph", "temperature", "fiber", "fibre", "calprotectin", "zonulin", "albumin",
    "hemoglobin", "id", "ids", "identifier", "index", "subject", "patient", "participant", "individual", "sample",
    "samples", "sampleid", "subjectid", "patientid", "donor", "recipient", "group", "cohort", "arm", "study",
    "project", "description", "accession", "shannon", "simpson", "chao1", "ace", "richness", "evenness",
    "observed", "diversity", "faith",
}  # fmt: skip
"""Words of columns that are of a sample or patient."""
_CODED_GENUS = (
    r"(?:R[-.]7|RC9|NK[34][AB]\d+|UCG[-.]\d{3}|AD3011|FCS020|FE2018|AC2044|ND3007|NC2004|XPB1014|YAB2003|Ga6A1|S24[-.]7"
    r"|RF16|BS11|vadinB[BC]\d\d|dgA[-.]11|p[-.]1088[-.]a5|SGB\d+)"
    r"(?:[ _.](?:gut|rumen|termite|marine|wastewater[-.]sludge))?"
)
"""The codes by which SILVA and MetaPhlAn name groups; other words with digits are of patients: 'PDL1'."""
_GROUP_OF_TAXA = re.compile(
    rf"(?:(?:(?:[A-Z][a-z]+(?:aceae|ales|ia)|Family[ _.][IVX]+)[ _.])?{_CODED_GENUS}"
    r"|[A-Z][a-z]+aceae(?:[ _.].+)?"
    r"|(?:X\.|\W?\[)[A-Z][a-z]+[\].][ _.]?[a-z-]{3,}.*"
    r"|[A-Z][a-z]+(?:us|um|ella|ia|monas|bacter|ides|myces)"
    r"[ _.](?!(?!mitis)[a-z]+itis[ _.])[a-z-]+(?:us|is|um|a|ae|i|ans|ens|genes|[ai]le))[ _.]group"
)
"""Genera of SILVA and groups of species: '[Eubacterium] hallii group', 'Lachnospiraceae NK4A136 group', 'R-7 group'.

A word in -itis is a disease, as in 'Lupus nephritis group', but for Streptococcus mitis."""
_UNCAPITALISED_TAXA = re.compile(
    r"(?i:uncultured|unculturable|unclassified|unidentified|unknown|unassigned|incertae|candidat|candidate|bacterium"
    r"|archaeon|endosymbiont|metagenome|[a-z_-]*metagenome|[a-z_-]*bacterium|phage|virus|gut|human|swine|rumen|mouse"
    r"|fecal|[a-z]+virus|[a-z]+phage|secondary|butyrate|group|clade|sgb|ggb)"
)


def unexplained(label: str) -> bool:
    """Tell whether a label stands for the reads that no clade explains, such as MetaPhlAn's UNCLASSIFIED."""
    name = re.sub(r"\s+", "_", label.strip()).casefold()
    is_unassigned = all(map(_is_unassigned, re.split("[;|]", name)))
    return is_unassigned or not (is_between_ranks(label) or any(lineage_of(label)))


def _is_unassigned(name: str) -> bool:
    return name in _UNASSIGNED or name.startswith(_KAIJU_UNASSIGNED)


def non_microbe(lineage: Lineage) -> NonMicrobe | None:
    """Return what the reads of a lineage are of if they are of no microbe, None if they are of one.

    A eukaryote without any further name is unassigned: in 16S data it is what the primers caught of the host.
    """
    names = [name for name in lineage if name]
    if not names or _is_unassigned(names[0].casefold()) or (len(names) == 1 and names[0].casefold() in _EUKARYOTES):
        return "unassigned"
    return next((_MEMBERS[name.casefold()] for name in names if name.casefold() in _MEMBERS), None)


def is_metadata(name: str) -> bool:
    """Tell whether a column's name says that it is of the sample or patient, and no taxon: 'age', 'IL-6', 'Visit'."""
    if stated_rank(name) or is_clade_string(name):
        return False
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    tokens = set(filter(None, re.split(r"[\W_]+", words.lower())))
    if _GROUP_OF_TAXA.fullmatch(name):
        tokens.remove("group")
    return bool(tokens & _METADATA_WORDS) or _is_analyte(name)


def is_no_taxon_among_taxa(name: str) -> bool:
    """Tell whether a column beside columns of taxa is none: a taxon is capitalised, or a placeholder."""
    if is_metadata(name):
        return True
    return bool(
        re.match("[a-z]", name)
        and not looks_like_taxon(name)
        and not re.search(r"\d", name)
        and not _UNCAPITALISED_TAXA.match(canonical_name(name))
    )


def _is_analyte(name: str) -> bool:
    bare = re.sub(r"(?<![\s_])[\s_]*+(pg|ng|ug)[/_. ]?ml$|\([^()]*\)$", "", name.strip(), flags=re.IGNORECASE)
    return canonical_analyte(bare) in SYNONYMS
