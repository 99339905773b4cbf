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
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from features.clades import Profiles, choose_rank, find_sample_axis, is_stacked, sum_to_rank
from features.errors import FileError, InputError, UnitError
from features.tables.numbers import Axis, NumberTable, read_number_table
from features.tables.profiles import read_biom, read_taxonomy
from features.tables.taxa_layouts import LayoutName
from features.taxon_names import RANKS, Rank, is_feature_id, stated_rank

Format = Literal["metaphlan", "kraken", "bracken", "biom", "qza", "table"]
TableRank = Literal[Rank, "feature"]
"""A taxonomic rank, or the features of the file under their own ids."""
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
    left_out : mapping
        From what is no microbe ('unassigned', 'organelles', 'animals', 'plants') to its share of each sample's whole
        file amount, (n_samples,).
    notes : tuple of str
        What was set aside, summed or left out, without names of samples.
    """

    values: NDArray[np.float32]
    samples: tuple[str, ...]
    taxa: tuple[str, ...]
    unit: Unit
    profiler: str | None = None
    lineages: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
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
        indices = [positions[sample] for sample in samples]
        left_out = {kind: shares[indices] for kind, shares in self.left_out.items()}
        return replace(self, values=self.values[indices], samples=tuple(samples), left_out=left_out)


def read_taxa(
    path: str | PathLike[str],
    *,
    format: Format,
    rank: TableRank = "species",
    unit: Unit | None = None,
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
        ("unit", unit or "counts", get_args(Unit)),
    ):
        if value not in choices:
            raise InputError(f"expected {argument} to be one of {', '.join(choices)}, got {value!r}")
    if taxonomy is not None and format in ("metaphlan", "bracken", "kraken"):
        raise InputError(f"a taxonomy applies to 'table', 'biom' and 'qza'; {file} is read as {format!r}, with names")
    if sample_axis is not None and format != "table":
        raise InputError(f"sample_axis applies to the format 'table'; {file} is read as {format!r}")
    taxonomy_file = None if taxonomy is None else Path(taxonomy)
    file_profiler = None
    if format in ("biom", "qza"):
        profiles = _read_feature_profiles(file, format == "qza", rank, taxonomy_file)
    else:
        profiles, file_profiler = _read_text_profiles(file, format, rank, taxonomy_file, sample_axis)
    profiler = _agreed_profiler(file_profiler, profiler, file)
    names = _bare_sample_names(profiles.samples, prefix, suffix)
    profiles.samples.check_unique(names, "sample")
    totals = profiles.values.sum(axis=1, dtype=np.float64) + sum(profiles.left_out.values())
    unit = _agreed_unit(profiles.values, totals, unit, profiles.samples)
    shares = _left_out_shares(profiles)
    notes = (*profiles.notes, *_left_out_note(shares))
    taxa = tuple(profiles.taxa)
    return TaxaTable(profiles.values, tuple(names), taxa, unit, profiler, profiles.lineages, shares, notes)


def _read_text_profiles(
    file: Path, format: Format, rank: TableRank, taxonomy: Path | None, sample_axis: SampleAxis | None
) -> tuple[Profiles, str | None]:
    """Return the profiles of a text file, and the profiler that it names."""
    # MetaPhlAn stacks all ranks in one table.
    is_one_rank = format == "metaphlan" and rank != "feature"
    table = read_number_table(file, (lambda label: stated_rank(label) in (rank, None)) if is_one_rank else _any_label)
    ranks = {stated_rank(label) for label in table.skipped}
    if is_one_rank and not table.rows.labels and len(ranks) == 1:
        # A table of species alone may be read at any wider rank.
        table = read_number_table(file)
        format = "table"
    _check_layout(file, format, table.report)
    clades = table.clades
    taxonomy_clades = read_taxonomy(taxonomy) if taxonomy else {}
    if format != "table" or clades is not None:
        axis: str = "columns"
    else:
        axis = sample_axis or _axis_beside(taxonomy_clades, table) or find_sample_axis(table.rows, table.columns)
    samples, features, values = (
        (table.columns, table.rows, table.values.T) if axis == "columns" else (table.rows, table.columns, table.values)
    )
    if taxonomy:
        clades = _clades_of(features.labels, taxonomy_clades, taxonomy, file)
    if rank == "feature":
        profiles = _profiles_of_features(values, samples, features)
    elif (clades is None and format != "table") or (clades is None and is_stacked(features.labels, values)):
        profiles = choose_rank(values, samples, features, rank, table.skipped)
    else:
        if clades is None:
            _check_names(features)
        profiles = sum_to_rank(values, samples, features, clades, rank)
    profiler = next((comment for comment in table.comments if comment.startswith("mpa_")), None)
    if table.set_aside:
        names = ", ".join(table.set_aside[:8]) + (" and others" if len(table.set_aside) > 8 else "")
        note = f"{len(table.set_aside)} columns of the taxa table are no taxa and are set aside: {names}"
        profiles = replace(profiles, notes=(*profiles.notes, note))
    return profiles, profiler


def _any_label(label: str) -> bool:
    return True


def _check_layout(file: Path, format: Format, layout: LayoutName) -> None:
    """Raise an error if the manifest states another format than a report's header shows."""
    if layout != format and (layout != "table" or format in ("bracken", "kraken")):
        reports = {"bracken": "a Bracken report", "kraken": "a Kraken report", "table": "no Bracken or Kraken report"}
        format_name = layout if layout != "table" else "metaphlan or table"
        raise FileError(
            f"the format is stated to be {format!r}, but this is {reports[layout]}. State {format_name}", file=file
        )


def _axis_beside(taxonomy_clades: Mapping[str, str], table: NumberTable) -> SampleAxis | None:
    """Return where the samples are: opposite the labels that a taxonomy lists."""
    n_rows, n_columns = (sum(label in taxonomy_clades for label in axis.labels) for axis in (table.rows, table.columns))
    return None if n_rows == n_columns else "columns" if n_rows > n_columns else "rows"


def _read_feature_profiles(file: Path, is_artifact: bool, rank: TableRank, taxonomy: Path | None) -> Profiles:
    table = read_biom(file, is_artifact=is_artifact)
    samples, features = Axis(table.samples, file), Axis(table.features, file)
    clades = table.clades if taxonomy is None else _clades_of(table.features, read_taxonomy(taxonomy), taxonomy, file)
    if rank == "feature":
        return _profiles_of_features(table.values.T.astype(np.float32).toarray(), samples, features)
    if clades is None:
        _check_names(features)
        dense = table.values.T.astype(np.float32).toarray()
        if is_stacked(features.labels, dense):
            return choose_rank(dense, samples, features, rank, ())
        return sum_to_rank(dense, samples, features, None, rank)
    return sum_to_rank(table.values.T, samples, features, clades, rank)


def _profiles_of_features(values: NDArray[np.float32], samples: Axis, features: Axis) -> Profiles:
    features.check_unique(features.labels, "feature")
    return Profiles(np.ascontiguousarray(values, np.float32), samples, features.labels, {})


def _check_names(features: Axis) -> None:
    """Raise an error if features have ids instead of names."""
    n_ids = sum(map(is_feature_id, features.labels))
    if 2 * n_ids > len(features.labels):
        raise FileError(
            f"{n_ids} of the {len(features.labels)} features have ids, such as {features.labels[0][:40]!r}, and no "
            "names. Name the file with their taxonomy as taxa.taxonomy, or read them by their ids, with rank: feature",
            file=features.path,
        )


def _clades_of(features: Sequence[str], clades: Mapping[str, str], taxonomy: Path, file: Path) -> list[str]:
    """Return each feature's clade string, '' for one that the taxonomy does not list."""
    # R writes an X before a name that begins with a digit.
    names = [name if name in clades or not name.startswith("X") else name.removeprefix("X") for name in features]
    unlisted = [name for name in names if name not in clades]
    if 2 * len(unlisted) > len(names):
        raise FileError(
            f"{len(unlisted)} of the {len(features)} features of {file} are not listed, as {unlisted[0]!r}; expected "
            "all. Give the taxonomy that was made with the table",
            file=taxonomy,
        )
    return [clades.get(name, "") for name in names]


def _left_out_shares(profiles: Profiles) -> dict[str, NDArray[np.float64]]:
    """Return the share of each sample's amount that is of no microbe, by what it is of, each (n_samples,)."""
    total = profiles.values.sum(axis=1, dtype=np.float64) + sum(profiles.left_out.values())
    return {
        kind: np.divide(amounts, total, out=np.zeros_like(total), where=total > 0)
        for kind, amounts in sorted(profiles.left_out.items())
        if amounts.any()
    }


def _left_out_note(shares: Mapping[str, NDArray[np.float64]]) -> list[str]:
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


def _agreed_unit(values: NDArray[Any], sums: NDArray[np.float64], stated_unit: Unit | None, samples: Axis) -> Unit:
    """Return the stated unit if the numbers, and their sums with what is left out, can be in it, else theirs."""
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
