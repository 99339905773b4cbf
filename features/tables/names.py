"""Names that a table may have: not so long that one takes the memory of a table, and of characters that are seen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from features.errors import FileError

MAX_NAME = 10_000
"""The most characters of the name of a column or row; sequences that serve as names have at most 2,000."""


def check_names(path: Path, names: Iterable[str | bytes], line: int | None = None) -> None:
    """Check that no name is longer than `MAX_NAME`, or holds characters that no reader sees.

    Parameters
    ----------
    path : Path
        The file, named in errors.
    names : iterable of str or bytes
        The names; bytes are UTF-8.
    line : int, optional
        The row where they stand.

    Raises
    ------
    FileError
        If one is.
    """
    for name in names:
        if len(name) > MAX_NAME:
            raise FileError(
                f"expected names of at most {MAX_NAME:,} characters, got one of {len(name):,} that begins with "
                f"{name[:20]!r}. Shorten it",
                file=path,
                row=line,
            )
        if not name.isascii():
            text = name.decode(errors="replace") if isinstance(name, bytes) else name
            # 'Cf': marks of direction, blanks of no width, and others that make equal looks of unequal names.
            if invisible := [character for character in text if unicodedata.category(character) == "Cf"]:
                codes = ", ".join(dict.fromkeys(f"U+{ord(character):04X}" for character in invisible))
                visible = "".join(character for character in text if character not in invisible)
                raise FileError(
                    f"the name {visible[:80]!r} holds characters that are not seen, {codes}; expected none, as no "
                    "other file will match it. Remove them",
                    file=path,
                    row=line,
                )
