"""The parts of a manifest that describe the publication of a cohort, and its files."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.manifest.base import FileName, ManifestPart

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost"})


class SourceFile(ManifestPart):
    """One published file."""

    name: FileName
    """The name of the file in the cohort's folder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """Its SHA-256, 64 hexadecimal digits."""
    url: str | None = None
    """Its address: https (http for this machine only); needs `sha256`."""

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        if self.url is None:
            return self
        # The message names no address, which may hold a password or a token.
        if not _is_fetchable(self.url):
            raise ValueError(f"expected the https address of a file as the url of {self.name}")
        if self.sha256 is None:
            raise ValueError(f"{self.name} has a url but no sha256, by which what is fetched is checked; add it")
        return self


class Source(ManifestPart):
    """The publication of a cohort."""

    licence: str
    """The licence under which the files may be used."""
    citation: str
    """The publication to cite, and who made the files."""
    files: tuple[SourceFile, ...] = ()
    """The published files: name, address and SHA-256."""


def _is_fetchable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, path = parts.hostname, parts.path
    except ValueError:
        return False
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL_HOSTS)
    return is_secure and bool(host) and not path.endswith("/") and bool(path)
