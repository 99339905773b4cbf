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
from features.tables.numbers import Axis, read_number_table
from features.tables.profiles import read_biom, read_taxonomy
from features.taxon_names import (
    RANKS,
    UNEXPLAINED,
    Rank,
    canonical_name,
    clade_string_of,
    distinct_names,
    lineage_of,
    looks_like_taxon,
    stated_rank,
)

Format = Literal["metaphlan", "biom", "qza", "table"]
Unit = Literal["counts", "proportions", "percent"]
SampleAxis = Literal["columns", "rows"]


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
        for names, noun in ((self.samples, "sample"), (self.taxa, "taxon")):
            if len(set(names)) < len(names):
                raise InputError(f"expected each {noun} once, got {Counter(names).most_common(1)[0][0]!r} twice")

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
        positions = {sample: position for position, sample in enumerate(self.samples)}
        if unknown := [sample for sample in samples if sample not in positions]:
            raise InputError(
                f"{len(unknown)} of {len(samples)} samples are not in the taxa table, as {unknown[0]!r}; "
                f"its samples are named like {self.samples[0]!r}"
            )
        return replace(self, values=self.values[[positions[sample] for sample in samples]], samples=tuple(samples))


def read_taxa(
    path: str | PathLike[str],
    *,
    format: Format,
    rank: Rank = "species",
    unit: Unit | None = None,
    taxonomy: str | PathLike[str] | None = None,
    prefix: str = "",
    sample_axis: SampleAxis | None = None,
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
    for argument, value, choices in (
        ("format", format, Format),
        ("rank", rank, Rank),
        ("unit", unit or "counts", Unit),
    ):
        if value not in get_args(choices):
            raise InputError(f"expected {argument} to be one of {', '.join(get_args(choices))}, got {value!r}")
    if taxonomy is not None and format not in ("biom", "qza"):
        raise InputError(f"a taxonomy applies to the formats 'biom' and 'qza'; {file} is read as {format!r}")
    if sample_axis is not None and format != "table":
        raise InputError(f"sample_axis applies to the format 'table'; {file} is read as {format!r}")
    if format == "metaphlan" or format == "table":
        profiles = _read_text_profiles(file, format, rank, sample_axis)
    else:
        profiles = _read_feature_profiles(file, format == "qza", rank, taxonomy)
    profiler = _agreed_profiler(profiles.profiler, profiler, file)
    names = _without_prefix(profiles.samples, prefix)
    profiles.samples.check_unique(names, "sample")
    unit = _agreed_unit(profiles.values, unit, profiles.samples)
    return TaxaTable(profiles.values, tuple(names), tuple(profiles.taxa), unit, profiler, profiles.lineages)


@dataclass(frozen=True)
class _Profiles:
    """Profiles as they stand in a file, (n_samples, n_taxa), under canonical names of taxa."""

    values: NDArray[np.float32]
    samples: Axis
    taxa: Sequence[str]
    lineages: Mapping[str, str]
    profiler: str | None = None


def _read_text_profiles(file: Path, format: str, rank: Rank, sample_axis: SampleAxis | None) -> _Profiles:
    if format == "metaphlan":
        # MetaPhlAn stacks all ranks in one table.
        table = read_number_table(file, lambda label: stated_rank(label) in (rank, None))
        sample_axis = "columns"
    else:
        table = read_number_table(file)
    if (sample_axis or _find_sample_axis(table.rows, table.columns)) == "columns":
        samples, clades, values = table.columns, table.rows, table.values.T
    else:
        samples, clades, values = table.rows, table.columns, table.values
    positions = _positions_at_rank(clades, rank, table.skipped)
    labels = [clades.labels[position] for position in positions]
    taxa = [canonical_name(label) for label in labels]
    line_numbers = [clades.line_numbers[position] for position in positions] if clades.line_numbers else None
    Axis(labels, file, line_numbers).check_unique(taxa, "taxon")
    lineages = {taxon: label for taxon, label in zip(taxa, labels, strict=True) if re.search("[|;]", label)}
    profiler = next((comment for comment in table.comments if comment.startswith("mpa_")), None)
    return _Profiles(np.ascontiguousarray(values[:, positions]), samples, taxa, lineages, profiler)


def _read_feature_profiles(
    file: Path, is_artifact: bool, rank: Rank, taxonomy: str | PathLike[str] | None
) -> _Profiles:
    table = read_biom(file, is_artifact=is_artifact)
    samples = Axis(table.samples, file)
    clades = table.clades if taxonomy is None else _clades_of(table.features, Path(taxonomy), file)
    if clades is None:
        return _Profiles(table.values.T.astype(np.float32).toarray(), samples, table.features, {})
    depth = RANKS.index(rank) + 1
    lineages = [lineage_of(clade)[:depth] for clade in clades]
    groups = {lineage: index for index, lineage in enumerate(dict.fromkeys(lineages))}
    if not any(lineage[-1] for lineage in groups):
        raise FileError(
            f"none of the {len(table.features)} features has a name at rank {rank!r}", file=taxonomy or file
        )
    sums = np.zeros((len(groups), len(table.samples)))
    entries = table.values.tocoo()
    group_of_feature = np.array([groups[lineage] for lineage in lineages])
    np.add.at(sums, (group_of_feature[entries.row], entries.col), entries.data)
    taxa = distinct_names(list(groups))
    Axis(taxa, file).check_unique(taxa, "taxon")
    clade_strings = dict(zip(taxa, map(clade_string_of, groups), strict=True))
    return _Profiles(np.ascontiguousarray(sums.T, np.float32), samples, taxa, clade_strings)


def _clades_of(features: Sequence[str], taxonomy: Path, file: Path) -> list[str]:
    clades = read_taxonomy(taxonomy)
    if unlisted := [feature for feature in features if feature not in clades]:
        raise FileError(
            f"{len(unlisted)} of the {len(features)} features of {file} are not listed, as {unlisted[0]!r}; expected "
            "all. Give the taxonomy that was made with the table",
            file=taxonomy,
        )
    return [clades[feature] for feature in features]


def _positions_at_rank(clades: Axis, rank: Rank, skipped: Iterable[str]) -> list[int]:
    """Return the positions of the clades of a rank; of all clades, where none states its rank."""
    ranks = [None if label in UNEXPLAINED else stated_rank(label) for label in clades.labels]
    counts = Counter(clade_rank for clade_rank in [*ranks, *map(stated_rank, skipped)] if clade_rank)
    without_rank = [
        position
        for position, (label, clade_rank) in enumerate(zip(clades.labels, ranks, strict=True))
        if clade_rank is None and label not in UNEXPLAINED
    ]
    if counts and without_rank:
        raise clades.error(
            f"{clades.labels[without_rank[0]]!r} has no rank prefix, while others in this file have, as "
            f"'{rank[0]}__'. Add the prefix, or remove the row",
            without_rank[0],
        )
    positions = without_rank or [position for position, clade_rank in enumerate(ranks) if clade_rank == rank]
    if not positions:
        present = ", ".join(f"{number} of rank {clade_rank}" for clade_rank, number in counts.items()) or "none"
        raise FileError(f"expected clades of rank {rank!r}, got {present}. State another rank", file=clades.path)
    return positions


def _find_sample_axis(rows: Axis, columns: Axis) -> SampleAxis:
    row_share, column_share = (
        np.mean([looks_like_taxon(label) for label in axis.labels] or 0) for axis in (rows, columns)
    )
    if row_share > 0.5 and column_share == 0:
        return "columns"
    if column_share > 0.5 and row_share == 0:
        return "rows"
    raise FileError(
        f"cannot tell taxa from samples: rows are named like {rows.labels[:2]}, columns like {columns.labels[:2]}. "
        "State sample_axis, 'columns' or 'rows'",
        file=rows.path,
    )


def _without_prefix(samples: Axis, prefix: str) -> list[str]:
    for position, name in enumerate(samples.labels):
        if not name.startswith(prefix):
            raise samples.error(
                f"expected the sample's name to begin with {prefix!r}, got {name!r}; correct taxa.prefix", position
            )
    return [name.removeprefix(prefix) for name in samples.labels]


def _agreed_profiler(in_file: str | None, in_manifest: str | None, file: Path) -> str | None:
    if in_file and in_manifest and not in_file.startswith(in_manifest):
        raise FileError(
            f"the file names its profiler {in_file!r}, but the manifest states {in_manifest!r}. Correct one", file=file
        )
    return in_file or in_manifest


def _agreed_unit(values: NDArray[Any], stated_unit: Unit | None, samples: Axis) -> Unit:
    """Return the stated unit if the numbers can be in it, else the unit that they are in."""
    sums = values.sum(axis=1, dtype=np.float64)
    largest = int(sums.argmax())
    are_whole = bool((values == np.rint(values)).all())
    is_possible: dict[Unit, bool] = {
        "proportions": sums[largest] <= 1.01,
        "percent": 1.5 < sums[largest] <= 101,
        "counts": are_whole and (sums[largest] > 101 or stated_unit == "counts"),
    }
    numbers = (
        f"the numbers are {'whole' if are_whole else 'fractions'} and the largest sample sums to {sums[largest]:g}"
    )
    if stated_unit is not None and not is_possible[stated_unit]:
        raise samples.error(
            f"the unit is stated to be {stated_unit}, but {numbers}. State what the file holds", largest
        )
    if sums[largest] == 0 or not any(is_possible.values()):
        raise samples.error(
            f"expected counts (whole), proportions (sum 1) or percent (sum 100), but {numbers}. Correct the file",
            largest,
        )
    if stated_unit is not None:
        return stated_unit
    return next(unit for unit, possible in is_possible.items() if possible)
