"""The longest name that a table may have, so that no name takes the memory of a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from features.errors import FileError

MAX_NAME = 10_000
"""The most characters of the name of a column or row; sequences that serve as names have at most 2,000."""


def check_lengths(path: Path, names: Iterable[str | bytes], line: int | None = None) -> None:
    """Check that no name is longer than `MAX_NAME`.

    Raises
    ------
    FileError
        Naming the row where it stands.
    """
    for name in names:
        if len(name) > MAX_NAME:
            raise FileError(
                f"expected names of at most {MAX_NAME:,} characters, got one of {len(name):,} that begins with "
                f"{name[:20]!r}. Shorten it",
                file=path,
                row=line,
            )
