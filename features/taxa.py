"""Stool profiles: one table of samples by taxa, whatever file it came in.

The readers rename nothing but what `canonical_name` says, convert no unit, and drop no sample. `TaxaTable.proportions`
is the one conversion, made on purpose.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from features.errors import FileError, InputError, UnitError
from features.tables.profiles import RANKS, Axis, read_biom, read_biom_bytes, read_number_table, read_taxonomy

Format = Literal["metaphlan", "biom", "qza", "table"]
Unit = Literal["counts", "proportions", "percent"]
Rank = Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "strain"]

_LETTERS = "kpcofgst"
_PREFIX = re.compile(r"\s*([dkpcofgst])__")
_BINOMIAL = re.compile(r"\W?[A-Z][a-z]+\W?[ _][a-z]{2}")
_UNNAMED = {"", "NA", "nan", "None", "Unassigned", "unclassified", "unidentified", "__"}
UNEXPLAINED = {"UNKNOWN", "UNCLASSIFIED", "unclassified"}
"""What MetaPhlAn 3 and 4 call the reads that no clade explains."""
_GENUS, _SPECIES = RANKS.index("genus"), RANKS.index("species")


@dataclass(frozen=True, eq=False)
class TaxaTable:
    """The taxa of some stool samples, in one unit and at one rank.

    Attributes
    ----------
    values : ndarray of float32
        Amounts in `unit`, (n_samples, n_taxa); counts above 2**24 are rounded to seven digits.
    samples : tuple of str
        The samples, unique.
    taxa : tuple of str
        The taxa's canonical names, unique.
    unit : {'counts', 'proportions', 'percent'}
        What `values` are.
    profiler : str or None
        The program and database that made the profiles, as in 'mpa_vOct22_CHOCOPhlAnSGB_202212'.
    lineages : mapping
        From canonical name to full clade string, for the taxa that have one.
    """

    values: NDArray[np.float32]
    samples: tuple[str, ...]
    taxa: tuple[str, ...]
    unit: Unit
    profiler: str | None = None
    lineages: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the shapes agree and the names are unique."""
        if self.values.shape != (len(self.samples), len(self.taxa)):
            raise InputError(
                f"expected values for {len(self.samples)} samples and {len(self.taxa)} taxa, got {self.values.shape}"
            )
        for names, what in ((self.samples, "sample"), (self.taxa, "taxon")):
            if len(set(names)) < len(names):
                raise InputError(f"expected each {what} once, got {Counter(names).most_common(1)[0][0]!r} twice")

    def proportions(self) -> TaxaTable:
        """Return the table closed: each sample's amounts divided by their sum, in float64.

        Returns
        -------
        TaxaTable
            The same taxa, each row summing to 1. What no taxon of the table explains is not part of the whole.

        Raises
        ------
        UnitError
            If a sample holds nothing but zeros.
        """
        sums = self.values.sum(axis=1, keepdims=True, dtype=np.float64)
        if not sums.all():
            sample = self.samples[int(sums.argmin())]
            raise UnitError(
                f"sample {sample!r} holds none of the {len(self.taxa)} taxa: a proportion of nothing has no "
                "meaning. Leave the sample out"
            )
        return replace(self, values=(self.values / sums).astype(np.float32), unit="proportions")

    def take(self, samples: Sequence[str]) -> TaxaTable:
        """Return the named samples, in the order named.

        Raises
        ------
        InputError
            If a sample is not in the table, or named twice.
        """
        position = {sample: at for at, sample in enumerate(self.samples)}
        if unknown := [sample for sample in samples if sample not in position]:
            raise InputError(
                f"{len(unknown)} of {len(samples)} samples are not in the taxa table, as {unknown[0]!r}; "
                f"its samples are named like {self.samples[0]!r}"
            )
        return replace(self, values=self.values[[position[sample] for sample in samples]], samples=tuple(samples))


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
    return _name(tuple(_clades(name).values()))


def read_taxa(
    path: str | PathLike[str],
    *,
    format: Format,
    rank: Rank = "species",
    unit: Unit | None = None,
    taxonomy: str | PathLike[str] | None = None,
    prefix: str = "",
    sample_axis: Literal["columns", "rows"] | None = None,
    profiler: str | None = None,
) -> TaxaTable:
    """Read the stool profiles of a cohort.

    Parameters
    ----------
    path : path-like
        The file: a merged MetaPhlAn table, a BIOM 2.1 table, a QIIME 2 artifact of type FeatureTable, or a TSV or CSV
        table with a taxon a row or a taxon a column. Text may be gzip-compressed.
    format : {'metaphlan', 'biom', 'qza', 'table'}
        Which of these.
    rank : str
        The rank to read. Of clades with rank prefixes ('s__'), those whose last clade is of that rank; names without
        prefixes are taken to be of it. Features with a taxonomy are summed to it.
    unit : {'counts', 'proportions', 'percent'}, optional
        What the file holds; by default, what its numbers say.
    taxonomy : path-like, optional
        For 'biom' and 'qza': the features' taxonomy, a table or a QIIME 2 artifact.
    prefix : str
        What every sample's name begins with in this file and nowhere else ('metaphlan_'); it is cut off.
    sample_axis : {'columns', 'rows'}, optional
        For 'table': where the samples are; by default, opposite the names that can only be taxa.
    profiler : str, optional
        The profiler, where the file does not name it; it must agree with a file that does.

    Returns
    -------
    TaxaTable
        The taxa of that rank, in the file's unit.

    Raises
    ------
    FileError
        If the file holds anything else than described here, naming the place.
    InputError
        If an argument does not apply to the format.

    Notes
    -----
    Reads that no clade explains (UNCLASSIFIED, UNKNOWN) are no taxon and are left out.

    The numbers are percent where the largest sample's sum is in (1.5, 101], proportions where it is at most 1.01, and
    counts where all are whole and it is above 101. QIIME 2's FeatureTable[Frequency] is no proof of counts: published
    artifacts hold percent under that name.

    Published MetaPhlAn 4 tables are complete at species and strain rank. In between they may lack clades: in Spencer
    2021, 135 clades that have species have no row of their own, and families sum to 81-100 percent.

    Two rows with one canonical name are an error, since neither adding nor choosing is right for every file. Features
    of different lineages with one name (Greengenes has Prevotella and [Prevotella], of two families) are summed apart,
    and the name of each is followed by as many ancestors as tell them apart: 'Prevotella_Paraprevotellaceae'.
    """
    file = Path(path)
    for argument, value, kind in (("format", format, Format), ("rank", rank, Rank), ("unit", unit or "counts", Unit)):
        if value not in get_args(kind):
            raise InputError(f"expected {argument} to be one of {', '.join(get_args(kind))}, got {value!r}")
    if taxonomy is not None and format not in ("biom", "qza"):
        raise InputError(f"a taxonomy applies to the formats 'biom' and 'qza'; {file} is read as {format!r}")
    if sample_axis is not None and format != "table":
        raise InputError(f"sample_axis applies to the format 'table'; {file} is read as {format!r}")
    if format == "metaphlan" or format == "table":
        samples, values, taxa, lineages, version = _from_text(file, format, rank, sample_axis)
        profiler = _agreed_profiler(version, profiler, file)
    else:
        samples, values, taxa, lineages = _from_features(file, format == "qza", rank, taxonomy)
    names = _without_prefix(samples, prefix)
    samples.check_unique(names, "sample")
    return TaxaTable(values, tuple(names), tuple(taxa), _unit(values, unit, samples), profiler, lineages)


def _from_text(
    file: Path, format: str, rank: Rank, sample_axis: Literal["columns", "rows"] | None
) -> tuple[Axis, NDArray[np.float32], list[str], dict[str, str], str | None]:
    stacked = format == "metaphlan"
    grid = read_number_table(file, lambda label: _rank(label) in (rank, None)) if stacked else read_number_table(file)
    if stacked or (sample_axis or _side_of_samples(grid.rows, grid.columns)) == "columns":
        samples, clades, values = grid.columns, grid.rows, grid.values.T
    else:
        samples, clades, values = grid.rows, grid.columns, grid.values
    kept = _at_rank(clades, rank, grid.skipped)
    labels = [clades.labels[at] for at in kept]
    taxa = [canonical_name(label) for label in labels]
    lines = [clades.lines[at] for at in kept] if clades.lines else None
    Axis(labels, file, lines).check_unique(taxa, "taxon")
    lineages = {taxon: label for taxon, label in zip(taxa, labels, strict=True) if re.search("[|;]", label)}
    version = next((note for note in grid.comments if note.startswith("mpa_")), None)
    return samples, np.ascontiguousarray(values[:, kept]), taxa, lineages, version


def _from_features(
    file: Path, artifact: bool, rank: Rank, taxonomy: str | PathLike[str] | None
) -> tuple[Axis, NDArray[np.float32], list[str], dict[str, str]]:
    matrix, features, names, clades = read_biom(file, read_biom_bytes(file, artifact=artifact))
    samples = Axis(names, file)
    if taxonomy is not None:
        known = read_taxonomy(Path(taxonomy))
        if absent := [feature for feature in features if feature not in known]:
            raise FileError(
                f"{len(absent)} of the {len(features)} features of {file} are not listed, as {absent[0]!r}; expected "
                "all. Give the taxonomy that was made with the table",
                file=taxonomy,
            )
        clades = [known[feature] for feature in features]
    if clades is None:
        return samples, matrix.T.astype(np.float32).toarray(), features, {}
    depth = RANKS.index(rank) + 1
    lineages = [_lineage(clade)[:depth] for clade in clades]
    groups = {lineage: at for at, lineage in enumerate(dict.fromkeys(lineages))}
    if not any(lineage[-1] for lineage in groups):
        raise FileError(f"none of the {len(features)} features has a name at rank {rank!r}", file=taxonomy or file)
    summed = np.zeros((len(groups), len(names)))
    entries = matrix.tocoo()
    group = np.array([groups[lineage] for lineage in lineages])
    np.add.at(summed, (group[entries.row], entries.col), entries.data)
    taxa = _distinct_names(list(groups))
    Axis(taxa, file).check_unique(taxa, "taxon")
    strings = (
        "|".join(f"{mark}__{clade}" for mark, clade in zip(_LETTERS, lineage, strict=False)) for lineage in groups
    )
    return samples, np.ascontiguousarray(summed.T, np.float32), taxa, dict(zip(taxa, strings, strict=True))


def _rank(label: str) -> str | None:
    """Return the rank that the last clade's prefix states, if it has one."""
    found = _PREFIX.match(label, max(label.rfind("|"), label.rfind(";")) + 1)
    return RANKS[_LETTERS.index(found[1].replace("d", "k"))] if found else None


def _clades(text: str) -> dict[int, str]:
    """Return the names in a clade string by position in `RANKS`, '' for the unnamed; without prefixes, by order."""
    names: dict[int, str] = {}
    for order, clade in enumerate(re.split(r"[|;]", text)):
        found = _PREFIX.match(clade)
        at = _LETTERS.index(found[1].replace("d", "k")) if found else order
        bare = "_".join(re.sub(r"[\[\](){}<>\"'`]", "", clade[found.end() if found else 0 :]).split())
        names[at] = "" if bare in _UNNAMED else bare
    genus, species = names.get(_GENUS), names.get(_SPECIES)
    if genus and species and "_" not in species:
        names[_SPECIES] = f"{genus}_{species}"
    return names


def _lineage(text: str) -> tuple[str, ...]:
    """Return the names in a clade string, one for each of `RANKS`."""
    clades = _clades(text)
    return tuple(clades.get(at, "") for at in range(len(RANKS)))


def _name(lineage: tuple[str, ...]) -> str:
    if lineage[-1]:
        return lineage[-1]
    return "_".join(["unclassified", *[clade for clade in lineage if clade][-1:]])


def _distinct_names(lineages: list[tuple[str, ...]]) -> list[str]:
    names = [_name(lineage) for lineage in lineages]
    ancestors = [[clade for clade in lineage if clade][-2::-1] for lineage in lineages]
    for above in range(len(RANKS)):
        times = Counter(names)
        names = [
            f"{name}_{up[above]}" if times[name] > 1 and above < len(up) else name
            for name, up in zip(names, ancestors, strict=True)
        ]
    return names


def _at_rank(clades: Axis, rank: Rank, skipped: Iterable[str]) -> list[int]:
    """Return the positions of the clades of a rank; all, where no clade states its rank."""
    ranks = [None if label in UNEXPLAINED else _rank(label) for label in clades.labels]
    stated = Counter(found for found in [*ranks, *map(_rank, skipped)] if found)
    bare = [at for at, label in enumerate(clades.labels) if ranks[at] is None and label not in UNEXPLAINED]
    if stated and bare:
        raise clades.error(
            f"{clades.labels[bare[0]]!r} has no rank prefix, while others in this file have, as '{rank[0]}__'", bare[0]
        )
    kept = bare or [at for at, found in enumerate(ranks) if found == rank]
    if not kept:
        came = ", ".join(f"{number} of rank {found}" for found, number in stated.items()) or "none"
        raise FileError(f"expected clades of rank {rank!r}, got {came}. State another rank", file=clades.file)
    return kept


def _side_of_samples(rows: Axis, columns: Axis) -> Literal["columns", "rows"]:
    row, column = (
        np.mean([bool(_rank(label) or _BINOMIAL.match(label)) for label in axis.labels] or 0)
        for axis in (rows, columns)
    )
    if row > 0.5 and column == 0:
        return "columns"
    if column > 0.5 and row == 0:
        return "rows"
    raise FileError(
        f"cannot tell taxa from samples: rows are named like {rows.labels[:2]}, columns like {columns.labels[:2]}. "
        "State sample_axis, 'columns' or 'rows'",
        file=rows.file,
    )


def _without_prefix(samples: Axis, prefix: str) -> list[str]:
    for at, name in enumerate(samples.labels):
        if not name.startswith(prefix):
            raise samples.error(f"expected the sample's name to begin with {prefix!r}, got {name!r}", at)
    return [name.removeprefix(prefix) for name in samples.labels]


def _agreed_profiler(version: str | None, stated: str | None, file: Path) -> str | None:
    if version and stated and not version.startswith(stated):
        raise FileError(f"the file names its profiler {version!r}, but {stated!r} is stated. Correct one", file=file)
    return version or stated


def _unit(values: NDArray[Any], stated: Unit | None, samples: Axis) -> Unit:
    sums = values.sum(axis=1, dtype=np.float64)
    top = int(sums.argmax())
    whole = bool((values == np.rint(values)).all())
    fits: dict[Unit, bool] = {
        "proportions": sums[top] <= 1.01,
        "percent": 1.5 < sums[top] <= 101,
        "counts": whole and (sums[top] > 101 or stated == "counts"),
    }
    found = f"the numbers are {'whole' if whole else 'fractions'} and the largest sample sums to {sums[top]:g}"
    if stated is not None and not fits[stated]:
        raise samples.error(f"the unit is stated to be {stated}, but {found}. State what the file holds", top)
    if sums[top] == 0 or not any(fits.values()):
        raise samples.error(
            f"expected counts (whole), proportions (sum 1) or percent (sum 100), but {found}. Correct the file", top
        )
    if stated is not None:
        return stated
    return next(unit for unit, fit in fits.items() if fit)
