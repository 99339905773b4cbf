"""The samples' sheet that the names of stool profiles hold, as of patient P01 and visit D28 in 'P01_D28'."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from features.errors import FileError
from features.manifest import NAME_COLUMN
from features.name_matching import is_match
from features.tables.layout import Layout
from features.tables.text import TextTable


def sheet_of_names(pattern: str, profiles: Sequence[str], file: Path, excluded: Collection[str] = ()) -> TextTable:
    """Return the names of profiles as a table, with a row for each and a column for each named group of a pattern.

    Parameters
    ----------
    pattern : str
        A regular expression of the whole name, with named groups; a group that takes no part is an empty cell.
    profiles : sequence of str
        The names, (n_profiles,).
    file : Path
        The file of the profiles, for error messages.
    excluded : collection of str
        Names, with `*` for any text, of profiles that are left out where the pattern does not match them.

    Raises
    ------
    FileError
        The pattern does not match a profile that is not excluded.
    """
    expression, rows = re.compile(pattern), []
    for name in profiles:
        if match := expression.fullmatch(name):
            rows.append((name, *(match[group] or "" for group in expression.groupindex)))
        elif not any(is_match(name, other) for other in excluded):
            raise FileError(
                f"samples.names expects names like {pattern!r}, got {name!r}; correct the pattern, or leave the "
                "profile out by samples.exclude_samples",
                file=file,
            )
    place = Path(f"names of the profiles in {file.name}")
    return TextTable(
        place, (NAME_COLUMN, *expression.groupindex), tuple(rows), tuple(range(1, len(rows) + 1)), Layout("UTF-8", "")
    )
