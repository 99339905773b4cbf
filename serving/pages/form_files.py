"""Files of an upload inside the preview's form, so that they need not be chosen again.

The page carries them, packed, and the browser sends them back: the server stores nothing, and treats them as it treats
files that were just chosen.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from features.errors import InputError
from serving.upload import Field, UploadedFile
from serving.upload.intake import MAX_BYTES

MAX_PACKED = 3 * 2**20
"""Characters of the packed files of one form; larger ones must be chosen again."""


@dataclass(frozen=True)
class FormFile:
    """A file in a form: its name, and its packed name and content."""

    name: str
    packed: str


def pack_files(files: Mapping[Field, UploadedFile]) -> dict[Field, FormFile]:
    """Return the files packed for a form; none where they are too large together."""
    packed_files = {field: FormFile(file.name, _pack(file)) for field, file in files.items()}
    return packed_files if sum(len(file.packed) for file in packed_files.values()) <= MAX_PACKED else {}


def unpack(packed: str) -> UploadedFile:
    """Return a file that `pack_files` packed.

    Raises
    ------
    InputError
        The text is no packed file.
    """
    try:
        unpacker = zlib.decompressobj()
        name, _, content = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_BYTES).partition(b"\0")
        if not unpacker.eof:
            raise ValueError("the file is too large, or incomplete")
        return UploadedFile(name.decode(), content)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InputError("the form does not hold the files of the preview; choose the files again") from error


def _pack(file: UploadedFile) -> str:
    name = file.name.encode(errors="replace").replace(b"\0", b"")
    return base64.b64encode(zlib.compress(name + b"\0" + file.content)).decode()
