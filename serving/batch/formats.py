"""The formats of a batch: their names over HTTP and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from features.errors import InputError
from serving.errors import NotAcceptable, UnsupportedMedia

BatchFormat = Literal["csv", "parquet", "arrow"]

MEDIA_TYPES: dict[BatchFormat, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""Media type of each format; Arrow is the stream of its IPC format."""
SUFFIXES: dict[str, BatchFormat] = {".csv": "csv", ".parquet": "parquet", ".arrows": "arrow"}
"""Format of each ending of a file's name."""
_EXPECTED = ", ".join(MEDIA_TYPES.values())


def format_of_file(path: Path) -> BatchFormat:
    """Return the format that a file's name states.

    Raises
    ------
    InputError
        The name ends otherwise.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a file whose name ends in {', '.join(SUFFIXES)}")
    return SUFFIXES[path.suffix]


def format_sent(content_type: str) -> BatchFormat:
    """Return the format of a body.

    Raises
    ------
    UnsupportedMedia
        The header names no format of a batch.
    """
    media_type = content_type.partition(";")[0].strip().casefold()
    for name, text in MEDIA_TYPES.items():
        if media_type == text:
            return name
    content = f"of type {media_type}" if media_type else "of no declared type"
    raise UnsupportedMedia(f"the body is {content}; send a Content-Type of {_EXPECTED}")


def format_accepted(accept: str, sent: BatchFormat) -> BatchFormat:
    """Return the format that a client accepts: that of the body if it may be, else the first that it names.

    Raises
    ------
    NotAcceptable
        It accepts none of the formats.
    """
    accepted = [item.partition(";")[0].strip().casefold() for item in accept.split(",") if item.strip()]
    ranked: Sequence[BatchFormat] = (sent, *MEDIA_TYPES)
    if not accepted or "*/*" in accepted or MEDIA_TYPES[sent] in accepted:
        return sent
    for media_type in accepted:
        for name in ranked:
            if media_type in (MEDIA_TYPES[name], f"{MEDIA_TYPES[name].partition('/')[0]}/*"):
                return name
    raise NotAcceptable(f"a batch is not written as {', '.join(accepted)}; send an Accept of {_EXPECTED}")
