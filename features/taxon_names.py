"""Names of taxa: the canonical name of a clade string, and its rank."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

Rank = Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "strain"]
RANKS: tuple[Rank, ...] = get_args(Rank)
"""The taxonomic ranks, from the widest to the narrowest."""
UNEXPLAINED = {"UNKNOWN", "UNCLASSIFIED", "unclassified"}
"""MetaPhlAn's labels for the reads that no clade explains."""

Lineage = tuple[str, ...]
"""The names of a taxon and its ancestors, one for each of the first `RANKS`; '' where a rank has no name."""

_RANK_LETTERS = "kpcofgst"
_RANK_PREFIX = re.compile(r"\s*([dkpcofgst])__")
_BINOMIAL = re.compile(r"\W?[A-Z][a-z]+\W?[ _][a-z]{2}")
_NO_NAME = {"", "NA", "nan", "None", "Unassigned", "unclassified", "unidentified", "__"}
_GENUS, _SPECIES = RANKS.index("genus"), RANKS.index("species")


def canonical_name(name: str) -> str:
    """Return the name under which a taxon is known in every table.

    The last clade of a clade string, without rank prefix, brackets and quotes, its spaces made underscores. A species
    given as an epithet, one word below a named genus, is joined to the genus. A clade string whose last clade has no
    name becomes 'unclassified_' and the deepest name it has.

    Parameters
    ----------
    name : str
        A name ('s__Akkermansia muciniphila') or clade string, parted by '|' or ';'.

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
    """
    return _deepest_name(tuple(_names_by_rank(name).values()))


def lineage_of(clade_string: str) -> Lineage:
    """Return the lineage that a clade string writes, one name for each of `RANKS`."""
    names = _names_by_rank(clade_string)
    return tuple(names.get(rank, "") for rank in range(len(RANKS)))


def clade_string_of(lineage: Lineage) -> str:
    """Return a lineage as a clade string, as in 'k__Bacteria|p__Bacillota'."""
    return "|".join(f"{letter}__{name}" for letter, name in zip(_RANK_LETTERS, lineage, strict=False))


def stated_rank(label: str) -> Rank | None:
    """Return the rank that the prefix of a label's last clade states, None without a prefix."""
    prefix = _RANK_PREFIX.match(label, max(label.rfind("|"), label.rfind(";")) + 1)
    return RANKS[_RANK_LETTERS.index(prefix[1].replace("d", "k"))] if prefix else None


def looks_like_taxon(label: str) -> bool:
    """Tell whether a label can only be the name of a taxon: it states its rank, or is a binomial."""
    return bool(stated_rank(label) or _BINOMIAL.match(label))


def distinct_names(lineages: Sequence[Lineage]) -> list[str]:
    """Return the name of each lineage; names that several share are followed by as many ancestors as tell them apart.

    Greengenes has Prevotella and [Prevotella], of two families: the second is 'Prevotella_Paraprevotellaceae'.
    """
    names = [_deepest_name(lineage) for lineage in lineages]
    ancestors = [[name for name in lineage if name][-2::-1] for lineage in lineages]
    for level in range(len(RANKS)):
        counts = Counter(names)
        names = [
            f"{name}_{parents[level]}" if counts[name] > 1 and level < len(parents) else name
            for name, parents in zip(names, ancestors, strict=True)
        ]
    return names


def _names_by_rank(clade_string: str) -> dict[int, str]:
    """Return the names in a clade string by position in `RANKS`, '' where unnamed; without prefixes, by order."""
    names: dict[int, str] = {}
    for position, clade in enumerate(re.split(r"[|;]", clade_string)):
        prefix = _RANK_PREFIX.match(clade)
        rank = _RANK_LETTERS.index(prefix[1].replace("d", "k")) if prefix else position
        bare = "_".join(re.sub(r"[\[\](){}<>\"'`]", "", clade[prefix.end() if prefix else 0 :]).split())
        names[rank] = "" if bare in _NO_NAME else bare
    genus, species = names.get(_GENUS), names.get(_SPECIES)
    if genus and species and "_" not in species:
        names[_SPECIES] = f"{genus}_{species}"
    return names


def _deepest_name(lineage: Lineage) -> str:
    if lineage[-1]:
        return lineage[-1]
    return "_".join(["unclassified", *[name for name in lineage if name][-1:]])
