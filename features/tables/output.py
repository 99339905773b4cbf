"""Files that Taxokine writes, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from features.errors import InputError


def write_table(frame: pd.DataFrame, path: Path, metadata: Mapping[str, object]) -> None:
    """Write a table as Parquet, or as CSV where the path says so.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, without its index.
    path : Path
        A .parquet or a .csv file.
    metadata : mapping
        What is written as JSON into the schema of a Parquet file, under `taxokine`; not into a CSV file.

    Raises
    ------
    InputError
        If the path has another suffix, or cannot be written; a file that was there is left as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path}: write to a .parquet or a .csv file")
    with replacing(path) as file:
        if path.suffix == ".csv":
            frame.to_csv(file, index=False)
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            schema_metadata = {**(table.schema.metadata or {}), b"taxokine": json.dumps(metadata).encode()}
            pq.write_table(table.replace_schema_metadata(schema_metadata), file)


def write_new_text(text: str, path: Path) -> None:
    """Write a text to a file that is not there yet.

    Raises
    ------
    InputError
        If the file is there, or cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: the file is there already, and may hold your edits; name another, or remove it")
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside the one at a path, which it replaces if nothing goes wrong."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
