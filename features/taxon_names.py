"""Names of taxa: the canonical name of a clade string, and its rank. A name is a function of the lineage alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, get_args

Rank = Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "strain"]
RANKS: tuple[Rank, ...] = get_args(Rank)
"""The taxonomic ranks, from the widest to the narrowest."""

Lineage = tuple[str, ...]
"""The names of a taxon and its ancestors, one for each of the first `RANKS`; '' where a rank has no name."""

CACHED_NAMES = 2**17
"""Names kept with what they mean: more than any table has, since a table is tried at several ranks."""
_RANK_LETTERS = "kpcofgst"
_GENUS, _SPECIES = RANKS.index("genus"), RANKS.index("species")
_PREFIX = r"(?:(?P<letter>[dkpcofgst]|sk)|D_(?P<number>\d{1,2})|[a-z]{1,2})__"
_RANK_PREFIX = re.compile(rf"\s*{_PREFIX}")
_BETWEEN_RANKS = -1
_ANY_PREFIX = r"(?:[a-z]{1,2}|D_\d{1,2})?__"
_SEPARATOR = re.compile(rf"[|;]|(?:(?<!^)(?<!\.)\.++|,\s*+)(?={_ANY_PREFIX})")
"""What parts the clades of a clade string. R's `make.names` turns '|', ';' and blanks into dots."""
_MOTU = re.compile(r"^(.*?)_?((?:ref|meta|ext)_mOTU_v\d+_\d+)$")
_MOTHUR_CONFIDENCE = re.compile(r"\(\d{1,3}(\.\d+)?\)\s*$")
_SINTAX = re.compile(r"[dk]:[^,:]+(,[pcofgs]:|$)")
_ROOTS = {"root", "cellular_organisms"}
_DOMAINS = {"bacteria", "archaea", "eukaryota", "viruses"}
_KINGDOMS = {
    "bacillati", "fusobacteriati", "pseudomonadati", "thermotogati", "methanobacteriati", "nanobdellati",
    "promethearchaeati", "thermoproteati", "fungi", "heunggongvirae", "bamfordvirae", "loebvirae", "shotokuvirae",
    "orthornavirae", "pararnavirae", "sangervirae", "trapavirae", "zilligvirae",
}  # fmt: skip
"""NCBI's kingdoms, a rank that it writes between domain and phylum, and that `RANKS` does not part from the domain."""
_NO_NAME = {
    "", "na", "n/a", "nan", "none", "null", "unassigned", "unclassified", "unidentified", "_", "__", "other", "-",
}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(?i:(uncultured|unculturable|uncultivated|unidentified|unknown|undetermined|ambiguous|environmental)(_.*)?"
    r"|(.*_)?metagenomes?|(.*_)?environmental_samples?|incertae_sedis(_[ivx]+)?|spp?\.?)"
    r"|([a-z-]+_)*(bacterium|archaeon|organism|prokaryote|microorganism)"
)
"""Names that taxa of different ancestors share: SILVA's 'uncultured', 'Incertae_Sedis', 'human_gut_metagenome'."""
_R_NAME = re.compile(r"(?:X\.)?\.?[A-Z][A-Za-z]+\.?(?:\.+[A-Za-z0-9-]+)+\.?")
_BINOMIAL = re.compile(r"\W?(?:Candidatus[ _])?[A-Z][a-z]+\W?(?:_[A-Z]{1,2})?(?:[ _][a-z]{2}|\.[a-z]{2,}(?![.]\d*$))")
_CLUSTER = re.compile(r"(?:[A-Z][A-Za-z]*_)*(?:SGB|GGB|FGB|CFGB|OFGB)\d+|[A-Za-z0-9-]+[ _]sp\d{6,}$")
_COMMON_GUT_GENERA = {
    "Akkermansia", "Alistipes", "Anaerostipes", "Bacteroides", "Bifidobacterium", "Blautia", "Clostridium",
    "Collinsella", "Coprococcus", "Dialister", "Dorea", "Enterococcus", "Escherichia", "Eubacterium",
    "Faecalibacterium", "Fusobacterium", "Lachnospira", "Lactobacillus", "Parabacteroides", "Phocaeicola",
    "Prevotella", "Roseburia", "Ruminococcus", "Streptococcus", "Subdoligranulum", "Sutterella", "Veillonella",
}  # fmt: skip
_ID = re.compile(
    r"(?i:(?:[a-z]*(?:otu|asv|esv|zotu|sotu)s?|denovo|sv|seq|sequence|feature|amplicon|contig|cluster|tax(?:on)?)"
    r"[._-]?[a-z]?[._-]?\d+(?:[;_]?size=\d+;?)?|new\.(?:cleanup\.)?reference(?:otu)?\d+|[acgtn]{20,}"
    r"|x?(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})|x?\d+(?:\.0)?|gc[af]_\d+(?:\.\d+)?|mgyg-?(?:hgut-)?\d+"
    r"|n[rz]_\d+(?:\.\d+)?|(?:semibin|metabat2?|maxbin2?|concoct|vamb|das_?tool|bin|mag)s?(?=\S*\d)\S+)"
)


def canonical_name(name: str) -> str:
    """Return the name under which a taxon is known in every table: a function of its lineage alone.

    The last clade of a clade string, without rank prefix, brackets and quotes, its spaces made underscores. A species
    given as an epithet, one word below a named genus, is joined to the genus. A clade string whose last clade has no
    name becomes 'unclassified_' and the deepest name it has. A placeholder ('uncultured', 'Incertae_Sedis',
    'gut_metagenome') is followed by its nearest named ancestor, and so is a genus in brackets, which is none of the
    genus without them: Greengenes has Prevotella and [Prevotella], of two families.

    Parameters
    ----------
    name : str
        A name ('s__Akkermansia muciniphila') or clade string, parted by '|', ';' or R's dots.

    Returns
    -------
    str
        The name, never empty.

    Examples
    --------
    >>> canonical_name("k__Bacteria|g__[Ruminococcus]|s__[Ruminococcus]_gnavus")
    'Ruminococcus_gnavus'
    >>> canonical_name("d__Bacteria; g__Alistipes; s__")
    'unclassified_Alistipes'
    >>> canonical_name("D_0__Bacteria;D_4__Lachnospiraceae;D_5__uncultured")
    'uncultured_Lachnospiraceae'
    """
    return lineage_name(tuple(_names_by_rank(name).values()))


@lru_cache(maxsize=CACHED_NAMES)
def lineage_of(clade_string: str) -> Lineage:
    """Return the lineage that a clade string writes, one name for each of `RANKS`."""
    names = _names_by_rank(clade_string)
    return tuple(names.get(rank, "") for rank in range(len(RANKS)))


def lineage_name(lineage: Lineage) -> str:
    """Return the canonical name of the last rank of a lineage."""
    if lineage[-1]:
        return lineage[-1]
    deepest = next((name for name in reversed(lineage) if name), "")
    return "_".join(filter(None, ["unclassified", deepest.removeprefix("unclassified_")]))


def clade_string_of(lineage: Lineage) -> str:
    """Return a lineage as a clade string, as in 'k__Bacteria|p__Bacillota'."""
    return "|".join(f"{letter}__{name}" for letter, name in zip(_RANK_LETTERS, lineage, strict=False))


@lru_cache(maxsize=CACHED_NAMES)
def stated_rank(label: str) -> Rank | None:
    """Return the rank that the prefix of a label's last clade states, None without a prefix of a rank."""
    prefix = _RANK_PREFIX.match(_SEPARATOR.split(label.rstrip("|; "))[-1])
    position = _position(prefix) if prefix else _BETWEEN_RANKS
    return RANKS[position] if 0 <= position < len(RANKS) else None


def is_between_ranks(label: str) -> bool:
    """Tell whether a label's last clade has a prefix of a rank that is none of `RANKS`, such as a subfamily's."""
    prefix = _RANK_PREFIX.match(_SEPARATOR.split(label.rstrip("|; "))[-1])
    return prefix is not None and not 0 <= _position(prefix) < len(RANKS)


def is_clade_string(label: str) -> bool:
    """Tell whether a label is a lineage: several clades, at least one of which states its rank, or a domain first."""
    clades = _SEPARATOR.split(label.strip())
    has_rank = any(_RANK_PREFIX.match(clade) for clade in clades) or clades[0].strip().casefold() in _DOMAINS
    return len(clades) > 1 and has_rank


def is_sintax(text: str) -> bool:
    """Tell whether a text is a lineage as SINTAX writes it: 'd:Bacteria(1.00),p:Bacillota(0.98)'."""
    return _SINTAX.match(text) is not None


def sintax_clade_string(text: str) -> str:
    """Return a lineage of SINTAX as a clade string, 'd__Bacteria;p__Bacillota'."""
    clades = (_MOTHUR_CONFIDENCE.sub("", clade).strip().partition(":") for clade in text.split(",") if clade.strip())
    return ";".join(f"{letter}__{name}" for letter, _, name in clades)


def looks_like_taxon(label: str) -> bool:
    """Tell whether a label can only be the name of a taxon: it states its rank, or is a binomial or cluster."""
    return bool(
        stated_rank(label) or is_clade_string(label) or _BINOMIAL.match(label) or _CLUSTER.match(label)
        or _MOTU.match(label.rstrip("]").replace("[", ""))
    )  # fmt: skip


def look_like_taxa(labels: Sequence[str]) -> bool:
    """Tell whether labels are the names of taxa: most of them look so, or several are common genera."""
    n_taxa = sum(map(looks_like_taxon, labels))
    return len(_COMMON_GUT_GENERA & set(labels)) >= 2 or 2 * n_taxa > len(labels)


def name_known_taxa(labels: Sequence[str]) -> bool:
    """Tell whether any label states its rank or names a common genus, as 'Liver metastases' does not."""
    genera = (re.split(r"[\s_.]", label.strip().strip("["), maxsplit=1)[0] for label in labels)
    return (
        any(map(stated_rank, labels)) or any(map(is_clade_string, labels)) or not _COMMON_GUT_GENERA.isdisjoint(genera)
    )


def is_feature_id(label: str) -> bool:
    """Tell whether a label is the id of a feature and no name: 'OTU_12', a hash, a sequence, a number."""
    return _ID.fullmatch(label.strip()) is not None


def are_feature_ids(labels: Sequence[str]) -> bool:
    """Tell whether labels are ids of features; numbers alone may be the names of samples too."""
    n_ids = sum(is_feature_id(label) and re.fullmatch(r"\d+(\.\d+)?", label) is None for label in labels)
    return 2 * n_ids > max(len(labels), 1)


def is_placeholder(name: str) -> bool:
    """Tell whether a name is, or begins with, one that taxa of different ancestors share."""
    return _PLACEHOLDER.fullmatch(name) is not None or re.match(
        r"(?i:incertae_sedis|([a-z]+_)*metagenome|spp?\.?)_[A-Z]|bacterium_[A-Z][a-z]{3}", name
    ) is not None  # fmt: skip


def _position(prefix: re.Match[str]) -> int:
    """Return the position in `RANKS` that a rank prefix states, `_BETWEEN_RANKS` where it states none of them."""
    if prefix["number"]:
        return int(prefix["number"])
    letter = prefix["letter"] or ""
    return 0 if letter in ("d", "sk") else _RANK_LETTERS.find(letter) if letter else _BETWEEN_RANKS


def _clades(clade_string: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the rank's position, the bare name and whether it stands in brackets of each clade of a clade string."""
    parts = _SEPARATOR.split(clade_string.rstrip("|; \t"))
    is_from_r = "." in clade_string and not re.search("[|; ]", clade_string)
    order = 0
    for part in parts:
        prefix = _RANK_PREFIX.match(part)
        text = _MOTHUR_CONFIDENCE.sub("", part[prefix.end() if prefix else 0 :]).strip()
        bare = "_".join(re.sub(r"[\[\](){}<>\"'`]", "", text).split())
        if is_from_r and (len(parts) > 1 or _R_NAME.fullmatch(bare)):
            bare = re.sub(r"\.+", "_", re.sub(r"^X\.", "", bare).strip("."))
        if order == 0 and len(parts) > 1 and bare.casefold() in _ROOTS:
            continue
        if order == 1 and prefix is None and bare.casefold() in _KINGDOMS:
            continue
        rank = _position(prefix) if prefix else order
        order = max(order, rank) + 1
        if _BETWEEN_RANKS < rank < len(RANKS):
            yield rank, bare, re.fullmatch(r"\[[^\[\]]+\]", text) is not None


@lru_cache(maxsize=CACHED_NAMES)
def _names_by_rank(clade_string: str) -> Mapping[int, str]:
    """Return the canonical names in a clade string by position in `RANKS`, '' where unnamed; by order if no prefix."""
    names: dict[int, str] = {}
    ancestors: list[str] = []
    for rank, bare, is_bracketed in _clades(clade_string):
        if names.get(rank):
            # Of a domain and a kingdom, the domain counts.
            continue
        name = _without_rank_words(bare, ancestors)
        ancestor = ancestors[-1] if ancestors else ""
        is_shared = _PLACEHOLDER.fullmatch(name) is not None
        has_genus = rank == _SPECIES and ancestor != "" and names.get(_GENUS, "").startswith(ancestor)
        if motu := _MOTU.match(name):
            is_species = motu[2].startswith("ref") and _BINOMIAL.match(motu[1]) and "_sp." not in motu[1]
            name = motu[1] if is_species else name
        elif has_genus and "_" not in name and name and (not is_shared or name.startswith("sp")):
            name = f"{ancestor}_{name}"
        elif ancestor and (is_shared or (is_bracketed and rank == _GENUS) or _is_lone_epithet(rank, name)):
            names[rank] = f"{name}_{ancestor}"
            if not is_shared:
                ancestors.append(name)
            continue
        names[rank] = name
        if name and not is_shared and not name.startswith("unclassified_"):
            ancestors.append(name)
    return names or {0: ""}


def _is_lone_epithet(rank: int, name: str) -> bool:
    return rank == _SPECIES and re.fullmatch(r"[a-z-]+", name) is not None


def _without_rank_words(bare: str, ancestors: Sequence[str]) -> str:
    """Return a bare name, '' for words that mean that there is none: 'unclassified', 'Lachnospiraceae_unclassified'."""
    if bare.casefold() in _NO_NAME:
        return ""
    if unclassified := re.fullmatch(r"(?i:unclassified)_(.+)|(.+)_(?i:unclassified)", bare):
        name = unclassified[1] or unclassified[2]
        return "" if name in ancestors else f"unclassified_{name}"
    return bare
