"""The amounts in a file of stool profiles, opened once, before any rank is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from features.clades import Profiles, choose_rank, dense_amounts, find_sample_axis, is_stacked, sum_to_rank
from features.errors import FileError
from features.tables.numbers import Axis, NumberTable, read_number_table
from features.tables.profiles import read_biom, read_taxonomy
from features.tables.taxa_layouts import LayoutName
from features.taxon_names import Rank, is_feature_id, stated_rank

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Format = Literal["metaphlan", "kraken", "bracken", "biom", "qza", "table"]
TableRank = Literal[Rank, "feature"]
"""A taxonomic rank, or the features of the file under their own ids."""
SampleAxis = Literal["columns", "rows"]


@dataclass(frozen=True)
class TaxaSource:
    """The amounts of a file, by its own features.

    Attributes
    ----------
    values : ndarray of float32 or sparse matrix
        The amounts, (n_samples, n_features).
    samples, features : Axis
        The labels.
    clades : list of str or None
        The clade string of each feature, '' for one without; None where the features' labels are the taxa.
    is_report : bool
        Whether the file's format stacks clades of all ranks.
    skipped : list of str
        The labels of rows of other ranks that were not read.
    profiler : str or None
        The profiler that the file names.
    notes : tuple of str
        What was set aside.
    """

    values: NDArray[np.float32] | csr_matrix
    samples: Axis
    features: Axis
    clades: list[str] | None
    is_report: bool = False
    skipped: Sequence[str] = ()
    profiler: str | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def dense(self) -> NDArray[np.float32]:
        """The amounts as an array, (n_samples, n_features)."""
        return dense_amounts(self.values)

    @cached_property
    def has_stacked_ranks(self) -> bool:
        """Whether clades of several ranks stand in the file, each the sum of those below it."""
        return self.clades is None and (self.is_report or is_stacked(self.features.labels, self.values))

    def at_rank(self, rank: TableRank) -> Profiles:
        """Return the profiles at a rank.

        Raises
        ------
        FileError
            If no feature has a name at this rank, or two labels are one taxon.
        """
        if rank == "feature":
            self.features.check_unique(self.features.labels, "feature")
            profiles = Profiles(np.ascontiguousarray(self.dense), self.samples, self.features.labels, {})
        elif self.has_stacked_ranks:
            profiles = choose_rank(self.dense, self.samples, self.features, rank, self.skipped)
        else:
            if self.clades is None:
                _check_names(self.features)
            profiles = sum_to_rank(self.values, self.samples, self.features, self.clades, rank)
        return replace(profiles, notes=(*profiles.notes, *self.notes))


def open_taxa(
    file: Path, format: Format, rank: TableRank, taxonomy: Path | None, sample_axis: SampleAxis | None
) -> TaxaSource:
    """Read a file of stool profiles; arguments as of `features.taxa.read_taxa`.

    Of a MetaPhlAn table, which stacks all ranks, only the rows of `rank` are read.

    Raises
    ------
    FileError
        If the file is no such table.
    """
    if format in ("biom", "qza"):
        return _open_features(file, taxonomy, is_artifact=format == "qza")
    is_one_rank = format == "metaphlan" and rank != "feature"
    table = read_number_table(file, lambda label: not is_one_rank or stated_rank(label) in (rank, None))
    if is_one_rank and not table.rows.labels and len({stated_rank(label) for label in table.skipped}) == 1:
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
    return TaxaSource(
        values,
        samples,
        features,
        clades,
        is_report=format != "table",
        skipped=table.skipped,
        profiler=next((comment for comment in table.comments if comment.startswith("mpa_")), None),
        notes=_set_aside_notes(table.set_aside),
    )


def _set_aside_notes(columns: Sequence[str]) -> tuple[str, ...]:
    if not columns:
        return ()
    names = ", ".join(columns[:8]) + (" and others" if len(columns) > 8 else "")
    return (f"{len(columns)} columns or rows of the taxa table are no taxa and are set aside: {names}",)


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


def _open_features(file: Path, taxonomy: Path | None, *, is_artifact: bool) -> TaxaSource:
    table = read_biom(file, is_artifact=is_artifact)
    clades = table.clades if taxonomy is None else _clades_of(table.features, read_taxonomy(taxonomy), taxonomy, file)
    return TaxaSource(table.values.T, Axis(table.samples, file), Axis(table.features, file), clades)


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
