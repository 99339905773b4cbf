"""The files of a cohort that a researcher uploads to validate a model on: a manifest, and the tables that it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from features.errors import InputError, ManifestError
from features.manifest import load_manifest
from serving.upload import UploadedFile

_MANIFEST_ENDINGS = {".yaml", ".yml"}


@dataclass(frozen=True)
class UploadedCohort:
    """A cohort whose files lie in a folder of the server.

    Attributes
    ----------
    name : str
        Name in its manifest.
    path : Path
        Its manifest.
    """

    name: str
    path: Path


def write_cohort(files: Iterable[UploadedFile], folder: Path) -> UploadedCohort:
    """Write the files of a cohort into a new folder, which only this user can open.

    Parameters
    ----------
    files : iterable of UploadedFile
        One manifest, and each file that it names.
    folder : Path
        It must not exist.

    Raises
    ------
    InputError
        A name is not one of a file or stands twice, there is not one manifest, or the manifest names a file that is not
        among them.
    ManifestError
        The manifest is not valid; the message names line and key.
    """
    contents: dict[str, bytes] = {}
    for file in files:
        # Browsers may send the folder of a file too.
        name = PurePath(file.name.replace("\\", "/")).name
        if name in {"", ".."} or not name.isprintable():
            raise InputError(f"{file.name!r} is not a name for a file; rename it")
        if name in contents:
            raise InputError(f"two files are called {name}; choose each file once")
        contents[name] = file.content
    manifests = [name for name in contents if PurePath(name).suffix.lower() in _MANIFEST_ENDINGS]
    if len(manifests) != 1:
        raise InputError(
            f"expected one manifest (.yaml) among the files, got {', '.join(manifests) or 'none'}; choose it "
            "together with the tables that it names ('taxokine cohorts init FILES' drafts one)"
        )
    folder.mkdir(mode=0o700, parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    path = folder / manifests[0]
    try:
        manifest = load_manifest(path)
    except ManifestError as error:
        raise ManifestError(str(error).replace(f"{folder}/", "")) from error
    missing = [file.name for file in manifest.source_files if file.name not in contents]
    if missing:
        raise InputError(f"{path.name} names {', '.join(missing)}, which you did not choose; choose all files together")
    return UploadedCohort(manifest.name, path)
