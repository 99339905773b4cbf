"""HDF5 files checked before they are read: no other files, no indices outside the table, no more than memory holds."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.errors import FileError
from features.tables.names import check_names

if TYPE_CHECKING:
    import h5py

MAX_BYTES = 8 * 2**30
"""Bytes of all that a file holds, unpacked."""
MAX_CELLS = 2 * 10**9
"""The most samples times features, which are sparse in the file and dense in memory."""
_MAX_ENTRIES = 1000
_AXES = ("observation", "sample")


def check_biom(path: Path, content: bytes, *, max_bytes: int = MAX_BYTES, max_cells: int = MAX_CELLS) -> None:
    """Check that the content of a file is a BIOM 2.1 table whose parts agree; readers trust them, and crash otherwise.

    Of its two matrices, by features (observations) and by samples, the first is checked; readers must read that one.

    Parameters
    ----------
    path : Path
        The file, named in errors.
    content : bytes
        What it holds.
    max_bytes, max_cells : int
        The most bytes, unpacked, and the most samples times features.

    Raises
    ------
    FileError
        If the file is no such table, refers to other files, or is too large.
    """
    # h5py takes a while to import, and most tables are text.
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            size = sum(_datasets(path, file).values())
            if size > max_bytes:
                raise _invalid(path, f"{size:,} bytes when unpacked", f"at most {max_bytes:,}")
            n_ids = {axis: len(file[f"{axis}/ids"]) for axis in _AXES}
            if (n_cells := math.prod(n_ids.values())) > max_cells:
                raise _invalid(path, f"{n_cells:,} cells, samples times features", f"at most {max_cells:,}")
            shape = tuple(int(length) for length in file.attrs["shape"])
            if shape != tuple(n_ids.values()):
                raise _invalid(
                    path, f"a shape of {shape} and {tuple(n_ids.values())} ids", "one id a feature and sample"
                )
            for axis in _AXES:
                # biom-format pads every id to the longest.
                check_names(path, file[f"{axis}/ids"][:].tolist())
            _check_matrix(path, file["observation/matrix"], n_ids["observation"], n_ids["sample"])
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            f"expected a BIOM 2.1 table (HDF5), got something else ({error}). Convert older tables with "
            "'biom convert --to-hdf5'",
            file=path,
        ) from error


def _datasets(path: Path, file: h5py.File) -> dict[str, int]:
    """Return the bytes of each dataset, unpacked; none of them may lie in another file."""
    import h5py

    sizes: dict[str, int] = {}
    n_entries, groups = 0, [file]
    while groups:
        group = groups.pop()
        # Groups may contain each other.
        n_entries += len(group)
        if n_entries > _MAX_ENTRIES:
            raise _invalid(path, f"more than {_MAX_ENTRIES} entries", f"at most {_MAX_ENTRIES}")
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _invalid(path, "an HDF5 file that refers to other files", "no references")
            if not isinstance(link, h5py.HardLink):
                continue
            entry = group[name]
            if isinstance(entry, h5py.Group):
                groups.append(entry)
            elif entry.external or entry.is_virtual:
                raise _invalid(path, "an HDF5 file that refers to other files", "no references")
            else:
                sizes[entry.name] = entry.nbytes
    return sizes


def _check_matrix(path: Path, matrix: h5py.Group, n_rows: int, n_columns: int) -> None:
    """Check the sparse matrix that holds the table by features."""
    data, indices, starts = (matrix[name] for name in ("data", "indices", "indptr"))
    if data.dtype.kind not in "iuf" or indices.dtype.kind not in "iu" or starts.dtype.kind not in "iu":
        raise _invalid(path, f"a matrix of {data.dtype} with indices of {indices.dtype}", "numbers, at whole indices")
    if (
        any(part.ndim != 1 for part in (data, indices, starts))
        or data.size != indices.size
        or starts.size != n_rows + 1
    ):
        raise _invalid(path, f"{data.size} numbers, {indices.size} indices and {starts.size} starts of rows",
                       f"as many indices as numbers, and {n_rows + 1} starts")  # fmt: skip
    positions: NDArray[np.int64] = starts[:].astype(np.int64)
    if positions[0] != 0 or positions[-1] != data.size or (np.diff(positions) < 0).any():
        raise _invalid(
            path, f"rows that start at {positions[:5].tolist()}...", f"starts that rise from 0 to {data.size}"
        )
    columns = indices[:]
    low, high = (int(columns.min()), int(columns.max())) if data.size else (0, 0)
    if low < 0 or high >= max(n_columns, 1):
        raise _invalid(path, f"indices from {low} to {high}", f"indices from 0 to {n_columns - 1}")


def _invalid(path: Path, observed: str, requirement: str) -> FileError:
    return FileError(f"expected a BIOM 2.1 table with {requirement}, got {observed}. Export it again", file=path)
