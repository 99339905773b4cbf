"""Bytes of a text file become lines of text: unpacked up to a limit, in whatever encoding, which is stated."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from features.errors import FileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_LINE = 64 * 2**20
"""Bytes of the longest line; 20,000 samples of 20 bytes take a hundredth of it."""
MAX_UNPACKED_AT_ANY_RATIO = 256 * 2**20
"""Bytes up to which a compressed file may be unpacked, whatever its size on the disk."""
MAX_RATIO = 200
"""Beyond these bytes, the most that unpacking may multiply the size; tables of many zeros reach about 50."""
_CHUNK = 2**20

_SAVE_SPSS = "Save it in SPSS as CSV, with the labels of its values"
_SAVE_STATA = "In Stata: export delimited FILE.csv, which writes the labels of its values"
_SAVE_SAS = "In SAS: proc export data=NAME outfile='FILE.csv' dbms=csv"
_OTHER_FORMATS = {
    b"\x89HDF": ("an HDF5 file (.biom)", "Give it where a taxa table belongs, with format biom"),
    b"PK\x03\x04": ("a ZIP archive", "Unpack it, and give the table that it holds"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", "Save it as .xlsx or as CSV"),
    b"BZh": ("a file packed by bzip2", "Unpack it"),
    b"\xfd7zXZ": ("a file packed by xz", "Unpack it"),
    b"\x28\xb5\x2f\xfd": ("a file packed by zstd", "Unpack it"),
    b"\x1f\x8b": ("a file that gzip packed twice", "Unpack it once"),
    b"PAR1": ("a Parquet file", "Save it as CSV"),
    b"\x89PNG": ("an image", "Give the table"),
    b"<Header>": ("one lane of NanoString (.RCC)", "Export the counts of all samples from nSolver as CSV"),
    b"BAM\x01": ("alignments of reads (.bam)", "Profile the reads first, for example with MetaPhlAn"),
    b"@HD\t": ("alignments of reads (.sam)", "Profile the reads first, for example with MetaPhlAn"),
    b"@SQ\t": ("alignments of reads (.sam)", "Profile the reads first, for example with MetaPhlAn"),
    b"##fileformat=VCF": ("variants of genomes (.vcf)", "Give the table"),
    b"((": ("a tree (Newick)", "Give the feature table and its taxonomy"),
    b"FCS": ("events of a flow cytometer (.fcs)", "Export the frequencies of the gated cells as CSV"),
    b"%PDF": ("a PDF", "Give the table as CSV"),
    b"RDX": ("R's own data (.RData)", "Write the table by write.csv"),
    b"X\n\x00\x00": ("R's own data (.rds)", "Write the table by write.csv"),
    b"$FL2": ("SPSS's own data (.sav)", _SAVE_SPSS),
    b"$FL3": ("SPSS's own data (.zsav)", _SAVE_SPSS),
    b"<stata_dta>": ("Stata's own data (.dta)", _SAVE_STATA),
    # Before Stata 13: the version, the order of bytes, and two constant bytes.
    **{
        bytes((version, order, 1, 0)): ("Stata's own data (.dta)", _SAVE_STATA)
        for version in (113, 114, 115)
        for order in (1, 2)
    },
    bytes(12) + b"\xc2\xea\x81\x60": ("SAS's own data (.sas7bdat)", _SAVE_SAS),
    b"HEADER RECORD*******LIB": ("SAS's transport file (.xpt)", _SAVE_SAS),
    b"!Checksum": ("SomaScan's table (.adat)", "In R: write.csv(SomaDataIO::read_adat('FILE'), 'FILE.csv')"),
}
"""Formats that are no text: what they are, and what to do, by the first bytes of their files."""
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)", re.IGNORECASE)
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}
_NOT_WESTERN = re.compile(
    rb"[\x81\x8d\x8f\x90\x9d]|[\xc0-\xff]{3}|(?=[\xa1-\xff]{0,3}[\xc0-\xff])[\xa1-\xff]{4}"
    rb"|[A-Za-z][\x82-\x84\x87-\x8c\x8e\x94\x98\x9b\x9f\xb6\xb9\xbc\xbe\xbf][a-z]|[A-Za-ln-z]\xb3[a-z]|\xa3[\xe0-\xff][a-z]"
    rb"|(?<![^\t,;|\"/])(?![\xd7\xd8\xf7\xf8])[\xc0-\xff][\xa1-\xff]?(?![^\t,;|\"/])",
)
"""Bytes that text in Windows-1252 has not: undefined ones, three accented letters in a row, capitals and signs within
words but for the '\u00b3' of 'mm\u00b3', and cells of accented letters alone."""
_CONTROL_BYTES = bytes([*range(9), *range(14, 27), *range(28, 32)])
_VALID, _INVALID = re.compile(r"[^\x00-\x7f\udc80-\udcff]"), re.compile(r"[\udc80-\udcff]")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Encoding:
    """How a file writes its text.

    Attributes
    ----------
    codec : str
        The name of Python's codec.
    may_hold : frozenset of str
        Of '"' and ',' those that the file holds, as far as its bytes tell.
    """

    codec: str
    may_hold: frozenset[str]

    @property
    def name(self) -> str:
        """The name by which the encoding is known, as 'UTF-16'."""
        return _NAMES.get(self.codec, self.codec.upper())


@contextmanager
def open_binary(path: Path, content: bytes | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading; a file that gzip has packed is unpacked, up to a limit.

    Parameters
    ----------
    path : Path
        The file, named in errors.
    content : bytes, optional
        The bytes to read instead of those on the disk, as of a table inside an archive.

    Raises
    ------
    FileError
        If the file cannot be read or unpacked; also if this becomes plain while it is open.
    """
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if is_packed:
                limit = max(MAX_UNPACKED_AT_ANY_RATIO, MAX_RATIO * size)
                with io.BufferedReader(_Unpacked(gzip.GzipFile(fileobj=file), path, limit), _CHUNK) as unpacked:
                    yield unpacked
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"expected a complete gzip file: {error}. Copy or export it again", file=path) from error
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=path) from error


class _Unpacked(io.RawIOBase):
    """The content of a gzip file, which may not be longer than a limit in bytes."""

    def __init__(self, stream: gzip.GzipFile, path: Path, limit: int) -> None:
        self._stream, self._path, self._limit, self._size = stream, path, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        content = self._stream.read(len(view))
        self._size += len(content)
        if self._size > self._limit:
            raise FileError(
                f"unpacks to more than {self._limit:,} bytes, {MAX_RATIO} times its size; expected a table. Unpack it "
                "by hand and look at it",
                file=self._path,
            )
        view[: len(content)] = content
        return len(content)


def find_encoding(path: Path, content: bytes | None) -> Encoding:
    """Return the encoding of a text file: by its byte order mark, its NUL bytes, UTF-8 if valid, else Windows-1252.

    Raises
    ------
    FileError
        If the file cannot be read, is of another format, or is text in none of these encodings.
    """
    with open_binary(path, content) as file:
        start = file.read(_CHUNK)
        _check_is_text(path, start)
        codec = next((codec for mark, codec in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
        codec = codec or _wide_codec(start)
        if codec not in (None, "utf-8-sig"):
            return Encoding(codec, frozenset({'"', ","}))
        encoding = _scan(
            path, itertools.chain([start], iter(lambda: file.read(_CHUNK), b"")), is_other=_is_other_encoding(start)
        )
    if encoding.codec == "utf-8" and codec:
        return replace(encoding, codec=codec)
    return encoding


def _check_is_text(path: Path, start: bytes) -> None:
    if _MARKUP.match(start):
        raise FileError(
            "expected a table of text, got a web page or XML. Open what an instrument wrote as .xls in a spreadsheet, "
            "and save it as .xlsx or CSV; of a chart, such as Krona's, give the table that it was drawn from",
            file=path,
        )
    for signature, (name, advice) in _OTHER_FORMATS.items():
        if start.startswith(signature):
            raise FileError(f"expected a table of text, got {name}. {advice}", file=path)


def _wide_codec(start: bytes) -> str | None:
    """Return the encoding of two or four bytes a character that the places of NUL bytes show; None where none do."""
    quarters = [start[offset : len(start) // 4 * 4 : 4].count(0) for offset in range(4)]
    n_characters = len(start) // 4
    if not n_characters or not any(quarters):
        return None
    is_nul = "".join("0" if count > 0.7 * n_characters else "x" for count in quarters)
    return {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(is_nul)


def _is_other_encoding(start: bytes) -> bool:
    """Tell whether the first lines of a file are in an encoding that is neither UTF-8 nor Windows-1252."""
    for line in start.splitlines():
        try:
            line.decode()
        except UnicodeDecodeError:
            if _NOT_WESTERN.search(line):
                return True
    return False


def _scan(path: Path, chunks: Iterable[bytes], *, is_other: bool) -> Encoding:
    """Return the encoding of bytes without NUL, UTF-8 or Windows-1252; check every line's length and characters.

    `is_other` says that the bytes are in another encoding.
    """
    # Bytes that are no UTF-8 come out as surrogates.
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    signs: set[str] = set()
    line, length, first_invalid, has_valid = 1, 0, 0, False
    for chunk in itertools.chain(chunks, [b""]):
        if len(chunk.translate(None, _CONTROL_BYTES)) < len(chunk):
            position = next(index for index, byte in enumerate(chunk) if byte in _CONTROL_BYTES)
            raise _control_character(path, chr(chunk[position]), line + chunk.count(b"\n", 0, position))
        text = decoder.decode(chunk, final=not chunk)
        if not text.isascii():
            has_valid = has_valid or _VALID.search(text) is not None
            invalid = _INVALID.search(text)
            first_invalid = first_invalid or (line + text.count("\n", 0, invalid.start()) if invalid else 0)
        signs |= {sign for sign in '",' if sign.encode() in chunk}
        line += chunk.count(b"\n")
        last_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        length = length + len(chunk) if last_end < 0 else len(chunk) - last_end
        if length > MAX_LINE:
            raise FileError(f"expected rows of at most {MAX_LINE:,} bytes; this is no table", file=path, row=line)
    if first_invalid and is_other:
        raise FileError(
            "expected text in UTF-8 or Windows-1252, got another encoding, such as GB18030, Shift-JIS, Windows-1250 or "
            "Mac Roman. Save it in Excel as 'CSV UTF-8', or convert it: iconv -f GB18030 -t UTF-8 FILE > NEW_FILE",
            file=path,
            row=first_invalid,
        )
    if first_invalid and has_valid:
        raise FileError(
            "part of it is UTF-8 and part is not, or it is in another encoding, such as GB18030; save it anew as UTF-8",
            file=path,
            row=first_invalid,
        )
    return Encoding("cp1252" if first_invalid else "utf-8", frozenset(signs))


@contextmanager
def open_text(path: Path, encoding: Encoding, content: bytes | None) -> Iterator[Iterator[str]]:
    r"""Open a text file in a known encoding, and yield its lines, each of which ends in '\n'.

    Whatever goes wrong with the text while it is open is raised as a `FileError` too.
    """
    with open_binary(path, content) as file, io.TextIOWrapper(file, encoding=encoding.codec) as text:
        try:
            yield text if encoding.codec in _NAMES else _checked_lines(path, text)
        except UnicodeError as error:
            raise FileError(f"expected text in {encoding.name}: {error}. Save it as CSV in UTF-8", file=path) from error


def _checked_lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    for number, line in enumerate(text, start=1):
        if control := _CONTROL_CHARACTER.search(line):
            raise _control_character(path, control[0], number)
        yield line


def _control_character(path: Path, character: str, line: int) -> FileError:
    name = "a NUL byte" if character == "\0" else f"the control character {character!r}"
    return FileError(f"expected a table of text, got {name}. Export the table again", file=path, row=line)
