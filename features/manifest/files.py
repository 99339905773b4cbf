"""Manifest files: found by name or path, read and validated, and written."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from features.errors import ManifestError
from features.manifest.base import ManifestPart
from features.manifest.manifest import Manifest, Origin
from features.manifest.versions import upgrade
from features.manifest.yaml_text import LocatedMapping, line_of, read_yaml, unconfirmed_guesses, unfinished_keys

_PROBLEMS = {
    "missing": "this key is missing; add it",
    "dict_type": "expected a mapping, as in {KEY: VALUE}",
}
"""Problems in a manifest, by pydantic's type of error, where its own words are not plain."""


def manifest_folder() -> Path:
    """Return the folder of the manifests that ship with Taxokine."""
    packaged = Path(str(files("features"))) / "cohorts"
    return packaged if packaged.is_dir() else Path(str(files("features"))).parent / "cohorts"


def manifest_names() -> list[str]:
    """Return the names of the manifests that ship with Taxokine, sorted."""
    return sorted(path.stem for path in manifest_folder().glob("*.yaml"))


def load_manifest(name_or_path: str | Path) -> Manifest:
    """Read and validate a manifest.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a manifest that ships with Taxokine, or the path of a YAML file. The files of a manifest given as
        a path are looked for in its folder.

    Raises
    ------
    ManifestError
        If there is no such manifest, or it is not valid; the message names file, line, key, and what is wrong there.
    """
    path = manifest_folder() / f"{name_or_path}.yaml"
    folder = None
    if not path.is_file():
        path = Path(name_or_path)
        folder = path.parent
        if not path.is_file():
            raise ManifestError(
                f"there is no cohort manifest {str(name_or_path)!r}; known names are {', '.join(manifest_names())}, "
                "and a path to a YAML file is taken too ('taxokine cohorts init FILES' drafts one)"
            )
    text = _read_text(path)
    content = _read_mapping(path, text)
    try:
        hints = tuple(f"{path.name}, {hint}" for hint in upgrade(content))
        origin = Origin(folder, hints, tuple(unfinished_keys(content)), tuple(unconfirmed_guesses(text)))
        return Manifest.model_validate(content, context=origin)
    except ValidationError as error:
        raise ManifestError(_validation_message(path, content, error)) from error
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ManifestError(f"{path}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: this is not the YAML of a manifest, in UTF-8: {error}") from error


def _read_mapping(path: Path, text: str) -> LocatedMapping:
    try:
        content = read_yaml(text)
    except RecursionError:
        raise ManifestError(
            f"{path}: its lists and mappings are nested too deeply; a manifest has few levels"
        ) from None
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ManifestError(f"{path}{line}: this is not the YAML of a manifest: {error.problem}") from error
    except YAMLError as error:
        raise ManifestError(f"{path}: this is not the YAML of a manifest, in UTF-8: {error}") from error
    if not isinstance(content, LocatedMapping):
        raise ManifestError(f"{path}: expected 'name:', 'title:', 'taxa:' and so on, got {type(content).__name__}")
    return content


def _validation_message(path: Path, content: LocatedMapping, invalid: ValidationError) -> str:
    """Return a line for each error: file, line, key, what is wrong, and the value where it is one."""
    messages = []
    for error in invalid.errors():
        line = line_of(content, error["loc"])
        place = f"{path}, line {line}" if line else str(path)
        key = ".".join(map(str, error["loc"])) or "manifest"
        value = "" if isinstance(error["input"], dict | list | BaseModel) else f" (got {error['input']!r})"
        problem = _PROBLEMS.get(error["type"], error["msg"].removeprefix("Value error, "))
        if error["type"] == "extra_forbidden":
            problem = f"a manifest has no such key here; {_advice_on_key(error['loc'])}"
        if error["type"] == "model_type":
            problem = f"expected a mapping, as in {{{_needed_keys(error['ctx']['class_name'])}}}"
        messages.append(f"{place}: {key}: {problem}{value}")
    return "\n".join(messages)


def _advice_on_key(location: Sequence[str | int]) -> str:
    """Return what to do about a key that its part of the manifest does not have."""
    *parts, key = map(str, location)
    keys = sorted(_keys_of_parts(_parts_at(parts)))
    near_keys = get_close_matches(key.casefold(), keys, n=1)
    if near_keys:
        return f"did you mean {near_keys[0]!r}?"
    places = [
        name for name, field in Manifest.model_fields.items() if key in _keys_of_parts(_parts_of(field.annotation))
    ]
    if places:
        return f"it is a key of {' and '.join(map(repr, places))}; move or remove it"
    return f"correct or remove it; the keys here are {', '.join(keys)}"


def _parts_at(location: Sequence[str]) -> set[type[ManifestPart]]:
    """Return the parts of a manifest that may stand at a location, in which pydantic also writes tags of variants."""
    kinds: set[type[ManifestPart]] = {Manifest}
    for key in location:
        fields = [field for kind in kinds for name, field in kind.model_fields.items() if key in (name, field.alias)]
        kinds = {part for field in fields for part in _parts_of(field.annotation)} or kinds
    return kinds


def _parts_of(annotation: object) -> set[type[ManifestPart]]:
    """Return the parts of a manifest in the annotation of a field, such as those of a union or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, ManifestPart):
        return {annotation}
    return {part for argument in get_args(annotation) for part in _parts_of(argument)}


def _keys_of_parts(kinds: Iterable[type[ManifestPart]]) -> set[str]:
    return {field.alias or name for kind in kinds for name, field in kind.model_fields.items()}


def _needed_keys(part: str) -> str:
    """Return the keys that a part of a manifest, named by its class, cannot do without."""
    (fields,) = (kind.model_fields for kind in _parts(ManifestPart) if kind.__name__ == part)
    needed = [field.alias or name for name, field in fields.items() if field.is_required()]
    return ", ".join(f"{key}: …" for key in needed or ["KEY"])


def _parts(kind: type[ManifestPart]) -> Iterator[type[ManifestPart]]:
    for part in kind.__subclasses__():
        yield part
        yield from _parts(part)


def manifest_text(manifest: Manifest) -> str:
    """Return a manifest as YAML, with the keys that its file sets."""
    yaml = YAML()
    yaml.width = 120
    text = io.StringIO()
    yaml.dump(manifest.model_dump(mode="json", by_alias=True, exclude_unset=True), text)
    return text.getvalue()


def manifest_text_without_sample_names(manifest: Manifest) -> str:
    """Return a manifest as YAML in which the excluded samples are numbered instead of named."""
    reasons = {f"sample {i}": reason for i, reason in enumerate(manifest.samples.exclude_samples.values(), start=1)}
    samples = manifest.samples.model_copy(update={"exclude_samples": reasons})
    return manifest_text(manifest.model_copy(update={"samples": samples}))


def manifest_digest(manifest: Manifest) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of a manifest's YAML."""
    return hashlib.sha256(manifest_text(manifest).encode()).hexdigest()[:12]
