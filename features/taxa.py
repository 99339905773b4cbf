"""Stool profiles: one table of samples by taxa, whatever file it came in.

The readers rename nothing but what `canonical_name` says, convert no unit, and drop no sample. `TaxaTable.proportions`
is the one conversion, made on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from features.arrays import Vector
from features.clades import Profiles
from features.errors import FileError, InputError, UnitError
from features.row_blocks import row_blocks
from features.tables.numbers import Axis
from features.taxa_source import Format, SampleAxis, TableRank, open_taxa
from features.taxon_names import RANKS, is_feature_id
from features.units import TaxaUnit

_FINEST_RANKS: tuple[TableRank, ...] = ("species", "genus", "family", "order", "class", "phylum")


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
    left_out : mapping
        From what is no microbe ('unassigned', 'organelles', 'animals', 'plants') to its share of each sample's whole
        file amount, (n_samples,).
    notes : tuple of str
        What was set aside, summed or left out, without names of samples.
    """

    values: NDArray[np.float32]
    samples: tuple[str, ...]
    taxa: tuple[str, ...]
    unit: TaxaUnit
    profiler: str | None = None
    lineages: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Vector] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

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
        values = np.empty_like(self.values)
        for rows in row_blocks(len(values)):
            values[rows] = self.values[rows] / sums[rows]
        return replace(self, values=values, unit="proportions")

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
        indices = [positions[sample] for sample in samples]
        left_out = {kind: shares[indices] for kind, shares in self.left_out.items()}
        return replace(self, values=self.values[indices], samples=tuple(samples), left_out=left_out)


def read_taxa(
    path: str | PathLike[str],
    *,
    format: Format,
    rank: TableRank = "species",
    unit: TaxaUnit | None = None,
    taxonomy: str | PathLike[str] | None = None,
    prefix: str = "",
    suffix: str = "",
    sample_axis: SampleAxis | None = None,
    profiler: str | None = None,
) -> TaxaTable:
    """Read the stool profiles of a cohort.

    Parameters
    ----------
    path : path-like
        The file: a merged MetaPhlAn table, a Kraken or Bracken report of one sample or combined, a BIOM table (2.1 or
        1.0), a QIIME 2 artifact of type FeatureTable, or a TSV or CSV table with a taxon a row or a taxon a column.
        Text may be gzip-compressed.
    format : {'metaphlan', 'kraken', 'bracken', 'biom', 'qza', 'table'}
        Which of these.
    rank : str
        The rank to read. Of clades of several ranks, each the sum of those below it, those of this rank; names without
        rank prefixes ('s__') are taken to be of it. Features with a taxonomy, and features whose names are clade
        strings, are summed to it. 'feature' reads features under their own ids.
    unit : {'counts', 'proportions', 'percent'}, optional
        What the file holds; by default, what its numbers say.
    taxonomy : path-like, optional
        For 'table', 'biom' and 'qza': the features' taxonomy, a table or a QIIME 2 artifact.
    prefix, suffix : str
        What every sample's name begins or ends with in this file and nowhere else ('metaphlan_', '_profile'); it is cut
        off.
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
    Reads that no clade explains (UNCLASSIFIED, Unassigned), and reads of organelles, animals and plants are no part of
    the microbial whole: they are left out, and their share is stated in `notes`. A feature without a taxonomy, where
    most have one, is unassigned.

    The numbers are percent where the largest sample's sum is in (1.5, 101], proportions where it is at most 1.01, and
    counts where all are whole and it is above 101. QIIME 2's FeatureTable[Frequency] is no proof of counts: published
    artifacts hold percent under that name.

    Published MetaPhlAn 4 tables are complete at species and strain rank. In between they may lack clades: in Spencer
    2021, 135 clades that have species have no row of their own, and families sum to 81-100 percent.

    Two labels of one lineage are an error, since neither adding nor choosing is right for every file. Taxa of different
    lineages with one canonical name are summed, and `notes` says so: a name means the same in every file.
    """
    file = Path(path)
    for argument, value, choices in (
        ("format", format, get_args(Format)),
        ("rank", rank, (*RANKS, "feature")),
        ("unit", unit or "counts", get_args(TaxaUnit)),
    ):
        if value not in choices:
            raise InputError(f"expected {argument} to be one of {', '.join(choices)}, got {value!r}")
    if taxonomy is not None and format in ("metaphlan", "bracken", "kraken"):
        raise InputError(f"a taxonomy applies to 'table', 'biom' and 'qza'; {file} is read as {format!r}, with names")
    if sample_axis is not None and format != "table":
        raise InputError(f"sample_axis applies to the format 'table'; {file} is read as {format!r}")
    source = open_taxa(file, format, rank, None if taxonomy is None else Path(taxonomy), sample_axis)
    profiles = source.at_rank(rank)
    profiler = _agreed_profiler(source.profiler, profiler, file)
    return _taxa_table(profiles, unit, profiler, prefix, suffix)


def read_taxa_at_finest_rank(
    path: str | PathLike[str],
    *,
    format: Format,
    taxonomy: str | PathLike[str] | None = None,
    sample_axis: SampleAxis | None = None,
) -> tuple[TableRank, TaxaTable]:
    """Return stool profiles at the finest rank at which at least half of them has a name, and that rank.

    Arguments are those of `read_taxa`. Without a taxonomy, features with ids are read under these, at the rank
    'feature'.

    Raises
    ------
    FileError
        If the file is no such table, or less than half of it has a name at any rank.
    """
    file, taxonomy_file = Path(path), None if taxonomy is None else Path(taxonomy)
    # Of a MetaPhlAn table one rank at a time is read, other files once.
    source = None if format == "metaphlan" else open_taxa(file, format, "species", taxonomy_file, sample_axis)
    error_of_finest_rank: FileError | None = None
    for rank in _FINEST_RANKS:
        try:
            if source is None or format == "metaphlan":
                source = open_taxa(file, format, rank, taxonomy_file, sample_axis)
            table = _taxa_table(source.at_rank(rank), None, source.profiler)
        except FileError as error:
            # A rank that the whole file lacks is an error without a place; an error with a place is one at any rank.
            if error.row is not None or error.column is not None:
                raise
            error_of_finest_rank = error_of_finest_rank or error
            continue
        has_name = [
            not taxon.startswith("unclassified_") and (rank != "species" or "_" in taxon) for taxon in table.taxa
        ]
        if table.values[:, has_name].sum() >= table.values.sum() / 2:
            return rank, table
    if taxonomy is None and source is not None and format in ("biom", "qza", "table"):
        table = _taxa_table(source.at_rank("feature"), None, source.profiler)
        if 2 * sum(map(is_feature_id, table.taxa)) > len(table.taxa):
            return "feature", table
    raise error_of_finest_rank or FileError(
        "less than half of it has a name at any rank; give a fuller taxonomy", file=file
    )


def _taxa_table(
    profiles: Profiles, unit: TaxaUnit | None, profiler: str | None, prefix: str = "", suffix: str = ""
) -> TaxaTable:
    if not profiles.values.size:
        n_samples, n_taxa = profiles.values.shape
        raise FileError(
            f"expected samples and taxa, got {n_samples} samples and {n_taxa} taxa; give a table with amounts below "
            "its header",
            file=profiles.samples.path,
        )
    names = _bare_sample_names(profiles.samples, prefix, suffix)
    profiles.samples.check_unique(names, "sample")
    totals = profiles.values.sum(axis=1, dtype=np.float64) + sum(profiles.left_out.values())
    unit = _agreed_unit(profiles.values, totals, unit, profiles.samples)
    shares = _left_out_shares(profiles, totals)
    notes = (*profiles.notes, *_left_out_note(shares))
    taxa = tuple(profiles.taxa)
    return TaxaTable(profiles.values, tuple(names), taxa, unit, profiler, profiles.lineages, shares, notes)


def _left_out_shares(profiles: Profiles, totals: Vector) -> dict[str, Vector]:
    """Return the share of each sample's amount that is of no microbe, by what it is of, each (n_samples,)."""
    return {
        kind: np.divide(amounts, totals, out=np.zeros_like(totals), where=totals > 0)
        for kind, amounts in sorted(profiles.left_out.items())
        if amounts.any()
    }


def _left_out_note(shares: Mapping[str, Vector]) -> list[str]:
    if not shares:
        return []
    parts = ", ".join(f"{kind} {np.median(share):.1%} (up to {share.max():.1%})" for kind, share in shares.items())
    return [f"left out of the whole, median share of a sample: {parts}"]


def _bare_sample_names(samples: Axis, prefix: str, suffix: str) -> list[str]:
    for key, text, holds in (("prefix", prefix, str.startswith), ("suffix", suffix, str.endswith)):
        for position, name in enumerate(samples.labels):
            if not holds(name, text):
                end = {"prefix": "begin", "suffix": "end"}[key]
                raise samples.error(
                    f"expected the sample's name to {end} with {text!r}, got {name!r}; correct taxa.{key}", position
                )
    return [name.removeprefix(prefix).removesuffix(suffix) for name in samples.labels]


def _agreed_profiler(in_file: str | None, in_manifest: str | None, file: Path) -> str | None:
    if in_file and in_manifest and not in_file.startswith(in_manifest):
        raise FileError(
            f"the file names its profiler {in_file!r}, but the manifest states {in_manifest!r}. Correct one", file=file
        )
    return in_file or in_manifest


def _agreed_unit(values: NDArray[np.number], sums: Vector, stated_unit: TaxaUnit | None, samples: Axis) -> TaxaUnit:
    """Return the stated unit if the numbers, and their sums with what is left out, can be in it, else theirs."""
    largest = int(sums.argmax())
    are_whole = all(bool((values[rows] == np.rint(values[rows])).all()) for rows in row_blocks(len(values)))
    is_possible: dict[TaxaUnit, bool] = {
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
