"""A cohort's files: found in the data folder, or fetched into it, and checked by SHA-256."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from features.errors import DataMissing, FileError, ManifestError

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost"})
TIMEOUT_S = 60.0
_CHUNK = 1 << 16


@dataclass(frozen=True)
class SourceFile:
    """One file of a cohort, as its manifest names it.

    Parameters
    ----------
    name : str
        The file's name in the cohort's folder.
    sha256 : str, optional
        Its SHA-256, 64 hexadecimal digits.
    url : str, optional
        Where it is published: https (http for this machine only). Needs `sha256`.

    Raises
    ------
    ManifestError
        If the name leaves the folder, the hash is no SHA-256, or the URL may not be fetched.
    """

    name: str
    sha256: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_name(self.name)
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise ManifestError(f"{self.name}: sha256 {self.sha256!r} is not 64 hexadecimal digits")
        if self.url is None:
            return
        if not _is_fetchable(self.url):
            raise ManifestError(f"{self.name}: its url is not an https address of a file")
        if self.sha256 is None:
            raise ManifestError(f"{self.name}: has a url but no sha256 to check what is fetched; state it")


def cohort_files(
    cohort: str, files: Sequence[SourceFile], data_dir: Path, *, fetch: bool = True, progress: bool = False
) -> dict[str, Path]:
    """Paths of a cohort's files in ``data_dir/cohort``; what is missing there and has a URL is fetched.

    Parameters
    ----------
    cohort : str
        The cohort's name, also of its folder.
    files : sequence of SourceFile
        The files.
    data_dir : Path
        The data folder (TAXOKINE_DATA).
    fetch : bool
        Whether missing files may be fetched.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    dict of str to Path
        File name → path, in the order of `files`.

    Raises
    ------
    FileError
        If a file, present or fetched, has another SHA-256 than its manifest states.
    DataMissing
        If a file is neither present nor can be fetched.
    ManifestError
        If the cohort's name is no name of a folder.
    """
    _check_name(cohort)
    folder = Path(data_dir) / cohort
    paths = {file.name: folder / file.name for file in files}
    missing = [file for file in files if not paths[file.name].is_file()]
    for file in files:
        if file not in missing and file.sha256 is not None:
            _verify(paths[file.name], file.sha256)
    lost = [file.name for file in missing if not fetch or file.url is None]
    if lost:
        why = "their manifest names no url to fetch them from" if fetch else "fetching is switched off"
        raise DataMissing(
            f"cohort {cohort}: {', '.join(lost)} not in {folder}, and {why}; put them there, or set TAXOKINE_DATA to "
            "the folder that holds the cohorts"
        )
    for file in missing:
        _fetch(file, folder, progress)
    return paths


def _verify(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != sha256.lower():
        raise FileError(
            f"its SHA-256 is {came}, the manifest states {sha256.lower()}; delete it to fetch again, or correct the "
            "manifest",
            file=path,
        )


def _fetch(file: SourceFile, folder: Path, progress: bool) -> None:
    """Fetch one file into the folder; pooch renames it into place only once its hash is right."""
    import pooch
    import requests

    # pooch logs whole URLs, which may carry a password or a signed token.
    pooch.get_logger().setLevel(logging.WARNING)
    failed = f"{file.name} could not be fetched into {folder}"
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=file.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=TIMEOUT_S),
        )
    # `from None`: these exceptions quote the URL too.
    except requests.RequestException as error:
        asked = unquote(urlsplit(str(file.url)).path).rpartition("/")[2]
        raise DataMissing(f"{failed}: {asked}: {_cause(error)}; try again, or put the file there yourself") from None
    except OSError as error:
        raise DataMissing(
            f"{failed}: {error.strerror or type(error).__name__}; make the folder writable, or set TAXOKINE_DATA to "
            "one that is"
        ) from error
    except ValueError as error:
        raise FileError(
            f"what is published under its url is not what the manifest states: {error} Correct the manifest if the new "
            "file is meant",
            file=folder / file.name,
        ) from None


def _cause(error: OSError) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return f"no connection, or it broke ({type(error).__name__})"


def _check_name(name: str) -> None:
    if not name or name in {".", ".."} or "/" in name or "\\" in name:
        raise ManifestError(f"{name!r} is not the plain name of a file or folder")


def _is_fetchable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, path = parts.hostname, parts.path
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL_HOSTS)
    return secure and bool(host) and not path.endswith("/") and bool(path)
