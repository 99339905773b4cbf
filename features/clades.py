"""Taxa of one rank from the clades of a file: rows of that rank chosen, or features summed to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.arrays import Vector
from features.errors import FileError
from features.non_taxa import non_microbe, unexplained
from features.tables.numbers import Axis
from features.taxon_names import (
    RANKS,
    Lineage,
    Rank,
    are_feature_ids,
    canonical_name,
    clade_string_of,
    is_between_ranks,
    is_clade_string,
    lineage_name,
    lineage_of,
    look_like_taxa,
    stated_rank,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Profiles:
    """Profiles under canonical names of taxa.

    Attributes
    ----------
    values : ndarray of float32
        (n_samples, n_taxa).
    samples : Axis
        The samples.
    taxa : sequence of str
        The canonical names, unique.
    lineages : mapping
        From canonical name to clade string, for the taxa that have one.
    left_out : mapping
        From what is no microbe ('organelles') to its amount in each sample, (n_samples,).
    notes : tuple of str
        What was set aside or summed.
    """

    values: NDArray[np.float32]
    samples: Axis
    taxa: Sequence[str]
    lineages: Mapping[str, str]
    left_out: Mapping[str, Vector] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_stacked(labels: Sequence[str], values: NDArray[np.float32] | csr_matrix) -> bool:
    """Tell whether clades of several ranks stand in one table, each the sum of those below it.

    A collapsed table may list a family for the reads that no genus explains, beside its genera: there, the family is
    no sum.

    Parameters
    ----------
    labels : sequence of str
        The labels of the clades, (n_clades,).
    values : ndarray or sparse matrix
        Their amounts, (n_samples, n_clades).
    """
    if not any(map(is_clade_string, labels)):
        return len({stated_rank(label) for label in labels} - {None}) > 1
    lineages = {tuple(name for name in lineage_of(label) if name): i for i, label in enumerate(labels)}
    values = dense_amounts(values)
    child_sums: dict[int, Vector] = {}
    for lineage, position in lineages.items():
        parent = next((lineages[lineage[:n]] for n in range(len(lineage) - 1, 0, -1) if lineage[:n] in lineages), None)
        if parent is not None:
            child_sums[parent] = child_sums.get(parent, np.zeros(len(values))) + values[:, position]
    if not child_sums:
        return False
    holds = [values[:, parent] >= (1 - _SUM_TOLERANCE) * total for parent, total in child_sums.items()]
    return float(np.mean(holds)) > 0.95


def choose_rank(
    values: NDArray[np.float32], samples: Axis, clades: Axis, rank: Rank, skipped: Sequence[str]
) -> Profiles:
    """Return the clades of one rank of a table in which clades of several ranks stand.

    Parameters
    ----------
    values : ndarray
        The amounts, (n_samples, n_clades).
    samples, clades : Axis
        The labels.
    rank : str
        The rank.
    skipped : sequence of str
        Further labels of the file, of other ranks, for the error message.

    Raises
    ------
    FileError
        If there is no clade of this rank, some have a rank prefix and some have none, or two are one taxon.
    """
    left_out: dict[str, Vector] = {}
    positions = []
    for position in _positions_at_rank(clades, rank, skipped):
        label = clades.labels[position]
        kind = "unassigned" if unexplained(label) else non_microbe(lineage_of(label))
        if kind is None:
            positions.append(position)
        else:
            left_out[kind] = left_out.get(kind, np.zeros(len(values))) + values[:, position]
    microbes = clades.take(positions)
    taxa = [canonical_name(label) for label in microbes.labels]
    _check_labels(microbes, taxa)
    lineages = {taxon: label for taxon, label in zip(taxa, microbes.labels, strict=True) if is_clade_string(label)}
    return _merge(_columns(values, positions), samples, taxa, lineages, left_out)


def sum_to_rank(
    values: NDArray[np.float32] | csr_matrix, samples: Axis, features: Axis, clades: Sequence[str] | None, rank: Rank
) -> Profiles:
    """Return features summed to their taxa of one rank.

    Parameters
    ----------
    values : ndarray or sparse matrix
        The amounts, (n_samples, n_features).
    samples, features : Axis
        The labels.
    clades : sequence of str or None
        The clade string of each feature, '' for one without; None where the features' labels are the taxa.
    rank : str
        The rank. Labels without a rank prefix are taken to be of it.

    Raises
    ------
    FileError
        If no feature has a name at this rank, or two labels are one taxon.
    """
    depth = RANKS.index(rank) + 1
    if clades is None:
        _check_prefixes(features)
        lineages = [_lineage_of_label(label) for label in features.labels]
        _check_labels(features, [canonical_name(label) for label in features.labels])
        cut = [_at_depth(label, lineage, depth) for label, lineage in zip(features.labels, lineages, strict=True)]
    else:
        lineages = [lineage_of(clade) for clade in clades]
        cut = [lineage[:depth] for lineage in lineages]
    kinds = [non_microbe(lineage) for lineage in lineages]
    groups: dict[Lineage | str, int] = {}
    for lineage, kind in zip(cut, kinds, strict=True):
        groups.setdefault(kind or lineage, len(groups))
    names = [group for group in groups if not isinstance(group, str)]
    if not any(lineage[-1] for lineage in names):
        raise FileError(
            f"none of the {len(features.labels)} features has a name at rank {rank!r}. State another rank, or give a "
            "fuller taxonomy",
            file=features.path,
        )
    group_of_feature = [groups[kind or lineage] for lineage, kind in zip(cut, kinds, strict=True)]
    sums = _group_sums(values, group_of_feature, len(groups))
    left_out = {group: sums[:, i].astype(np.float64) for group, i in groups.items() if isinstance(group, str)}
    taxa = [lineage_name(lineage) for lineage in names]
    strings = {
        taxon: clade_string_of(lineage)
        for taxon, lineage in zip(taxa, names, strict=True)
        if clades is not None or any(lineage[:-1])
    }
    positions = [i for group, i in groups.items() if isinstance(group, tuple)]
    return _merge(_columns(sums, positions), samples, taxa, strings, left_out)


def dense_amounts(values: NDArray[np.float32] | csr_matrix) -> NDArray[np.float32]:
    """Return amounts as an array, (n_samples, n_features), filled row by row as it lies in memory."""
    return values if isinstance(values, np.ndarray) else values.tocsr().astype(np.float32).toarray()


def _columns(values: NDArray[np.float32], positions: Sequence[int]) -> NDArray[np.float32]:
    """Return some columns, without a copy where these are all."""
    return values if len(positions) == values.shape[1] else values[:, positions]


def _lineage_of_label(label: str) -> Lineage:
    """Return a label's lineage; a name without a rank prefix is of no rank that it could state, and stands alone."""
    return lineage_of(label) if stated_rank(label) or is_clade_string(label) else ("", canonical_name(label))


def _at_depth(label: str, lineage: Lineage, depth: int) -> Lineage:
    has_ranks = stated_rank(label) is not None or is_clade_string(label)
    return lineage[:depth] if has_ranks else (*("",) * (depth - 1), lineage[-1])


def _check_labels(labels: Axis, taxa: Sequence[str]) -> None:
    """Raise an error if two labels write one and the same lineage."""
    keys = [
        clade_string_of(lineage_of(label)) if is_clade_string(label) else taxon
        for label, taxon in zip(labels.labels, taxa, strict=True)
    ]
    if len(set(keys)) < len(keys):
        counts = Counter(keys)
        names = [taxon if counts[key] > 1 else f"\0{i}" for i, (taxon, key) in enumerate(zip(taxa, keys, strict=True))]
        labels.check_unique(names, "taxon")


def _check_prefixes(clades: Axis) -> None:
    """Raise an error if some labels have a rank prefix, and others, which could be taxa, have none."""
    unprefixed = [
        position
        for position, label in enumerate(clades.labels)
        if not unexplained(label) and not is_clade_string(label) and stated_rank(label) is None
        and not is_between_ranks(label)
    ]  # fmt: skip
    prefixed = [label for label in clades.labels if stated_rank(label) or is_clade_string(label)]
    if unprefixed and prefixed:
        position = unprefixed[0]
        example = prefixed[0].split("__")[0][-1:] + "__"
        raise clades.error(
            f"{clades.labels[position]!r} has no rank prefix, while others in this file have, as {example!r}. Add the "
            f"prefix, or remove the {'row' if clades.line_numbers else 'column'}",
            position,
        )


def _positions_at_rank(clades: Axis, rank: Rank, skipped: Sequence[str]) -> list[int]:
    """Return the positions of the clades of a rank and of the reads that none explains; all, where none has a rank."""
    _check_prefixes(clades)
    ranks = [None if unexplained(label) else stated_rank(label) for label in clades.labels]
    counts = Counter(filter(None, [*ranks, *map(stated_rank, skipped)]))
    if not counts:
        positions = [i for i, label in enumerate(clades.labels) if not is_between_ranks(label)]
    else:
        positions = [i for i, clade_rank in enumerate(ranks) if clade_rank == rank or unexplained(clades.labels[i])]
    if all(unexplained(clades.labels[position]) for position in positions):
        present = ", ".join(f"{number} of rank {clade_rank}" for clade_rank, number in counts.items()) or "none"
        raise FileError(f"expected clades of rank {rank!r}, got {present}. State another rank", file=clades.path)
    return positions


def _group_sums(values: NDArray[np.float32] | csr_matrix, groups: Sequence[int], n_groups: int) -> NDArray[np.float32]:
    """Return sums over the features of each group, (n_samples, n_groups)."""
    if n_groups == len(groups):
        return dense_amounts(values)
    from scipy.sparse import csr_matrix

    shape = (len(groups), n_groups)
    membership = csr_matrix((np.ones(len(groups)), (np.arange(len(groups)), np.asarray(groups))), shape=shape)
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray((membership.T @ values.T).T, np.float32)
    return dense_amounts(values @ membership)


def _merge(
    values: NDArray[np.float32],
    samples: Axis,
    taxa: Sequence[str],
    lineages: Mapping[str, str],
    left_out: Mapping[str, Vector],
) -> Profiles:
    """Sum the taxa of different lineages that have one name, and say so."""
    counts = Counter(taxa)
    notes: tuple[str, ...] = ()
    if shared := [name for name, count in counts.items() if count > 1]:
        positions = {name: i for i, name in enumerate(counts)}
        values = _group_sums(values, [positions[name] for name in taxa], len(positions))
        notes = (
            f"{len(shared)} names are of several lineages, whose amounts are summed: {', '.join(shared[:5])}"
            f"{' and others' if len(shared) > 5 else ''}",
        )
    return Profiles(np.ascontiguousarray(values, np.float32), samples, list(counts), lineages, left_out, notes)


def find_sample_axis(rows: Axis, columns: Axis) -> str:
    """Return where the samples are, 'columns' or 'rows': opposite the labels that are of taxa or features.

    Raises
    ------
    FileError
        If neither side's labels look like taxa or ids of features, or both sides' do.
    """
    for are_features in (look_like_taxa, are_feature_ids):
        rows_are_features, columns_are_features = (are_features(axis.labels) for axis in (rows, columns))
        if rows_are_features != columns_are_features:
            return "columns" if rows_are_features else "rows"
    raise FileError(
        f"cannot tell taxa from samples: rows are named like {rows.labels[:2]}, columns like {columns.labels[:2]}. "
        "State sample_axis, 'columns' or 'rows'",
        file=rows.path,
    )
