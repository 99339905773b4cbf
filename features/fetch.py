"""A cohort's files: found in its folder, or fetched into it, and checked by SHA-256."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from features.errors import DataMissing, FileError
from features.manifest import SourceFile

TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 16


def cohort_files(
    folder: Path, files: Sequence[SourceFile], *, fetch: bool = True, progress: bool = False
) -> dict[str, Path]:
    """Return the path of each file of a cohort; files that are missing and have a URL are fetched.

    Parameters
    ----------
    folder : Path
        The cohort's folder.
    files : sequence of SourceFile
        The files.
    fetch : bool
        Whether missing files may be fetched.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    dict of str to Path
        The path of each file by its name, in the order of `files`.

    Raises
    ------
    FileError
        If a file, present or fetched, has another SHA-256 than its manifest states.
    DataMissing
        If a file is neither present nor can be fetched.
    """
    paths = {file.name: folder / file.name for file in files}
    missing = [file for file in files if not paths[file.name].is_file()]
    for file in files:
        if file not in missing and file.sha256 is not None:
            _check_sha256(paths[file.name], file.sha256)
    unavailable = [file.name for file in missing if not fetch or file.url is None]
    if unavailable:
        reason = "their manifest names no url to fetch them from" if fetch else "fetching is switched off"
        raise DataMissing(
            f"cohort {folder.name}: {', '.join(unavailable)} not in {folder}, and {reason}; put them there, or set "
            "TAXOKINE_DATA to the folder that holds the cohorts"
        )
    for file in missing:
        _fetch(file, folder, progress)
    return paths


def _check_sha256(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256.lower():
        raise FileError(
            f"its SHA-256 is {actual}, the manifest states {sha256.lower()}; delete it to fetch again, or correct the "
            "manifest",
            file=path,
        )


def _fetch(file: SourceFile, folder: Path, progress: bool) -> None:
    """Fetch one file into the folder; pooch renames it into place only once its hash is right."""
    import pooch
    import requests

    # pooch logs whole URLs, which may carry a password or a signed token.
    pooch.get_logger().setLevel(logging.WARNING)
    failure = f"{file.name} could not be fetched into {folder}"
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=file.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK_BYTES, timeout=TIMEOUT_S),
        )
    # `from None`: these exceptions quote the URL too.
    except requests.RequestException as error:
        published_name = unquote(urlsplit(str(file.url)).path).rpartition("/")[2]
        raise DataMissing(
            f"{failure}: {published_name}: {_cause(error)}; try again, or put the file there yourself"
        ) from None
    except OSError as error:
        raise DataMissing(
            f"{failure}: {error.strerror or type(error).__name__}; make the folder writable, or set TAXOKINE_DATA to "
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
