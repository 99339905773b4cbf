"""Tables written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import InputError


def write_table(frame: pd.DataFrame, path: Path, about: Mapping[str, Any]) -> None:
    """Write a table as Parquet, or as CSV where the path says so.

    Parameters
    ----------
    frame : pandas.DataFrame
    path : Path
        A .parquet or a .csv file.
    about : mapping
        What Parquet carries as JSON in its schema, under `taxokine`.

    Raises
    ------
    InputError
        The path is of another kind, or cannot be written; a file that stood there stands as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path}: write to a .parquet or a .csv file")
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            if path.suffix == ".csv":
                frame.to_csv(file, index=False)
            else:
                table = pa.Table.from_pandas(frame, preserve_index=False)
                metadata = {**(table.schema.metadata or {}), b"taxokine": json.dumps(about).encode()}
                pq.write_table(table.replace_schema_metadata(metadata), file)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
