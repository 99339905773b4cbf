"""Manifest versions: files of version 1 are read as version 2, with a hint for every key that has a new name."""

from __future__ import annotations

from features.manifest.yaml_text import LocatedMapping

VERSION = 2
_RENAMED = {
    "clock.because": "latest_sample_reason",
    "taxa.samples_in": "sample_axis",
    "samples.given": "donor_sample",
    "samples.leave_out": "exclude_samples",
    "patients.keep": "covariates",
    "immune.ignore": "exclude_analytes",
    "outcomes.toxicity.since": "first_counted_day",
    "never": "exclude_columns",
}
"""The keys of version 1 that have another name in version 2."""


def upgrade(content: LocatedMapping) -> list[str]:
    """Rename the keys of an older version in place.

    Parameters
    ----------
    content : LocatedMapping
        A manifest as it stands in its file. Without `manifest_version` it is of version 1.

    Returns
    -------
    list of str
        A hint for every key that was renamed: its line, and its new name.

    Raises
    ------
    ValueError
        If the version is unknown, an old key stands in a file of version 2, or beside its new name.
    """
    version = content.get("manifest_version", "1")
    if version not in ("1", str(VERSION)):
        raise ValueError(f"expected manifest_version 1 or {VERSION}, got {version!r}")
    content["manifest_version"] = VERSION
    hints = []
    for old, new_key in _RENAMED.items():
        *parents, old_key = old.split(".")
        part: object = content
        for parent in parents:
            part = part.get(parent) if isinstance(part, LocatedMapping) else None
        if not isinstance(part, LocatedMapping) or old_key not in part:
            continue
        line, new = part.lines[old_key], ".".join([*parents, new_key])
        if new_key in part:
            raise ValueError(f"line {line}: {old} is the old name of {new}, which stands there too; join the two")
        if version == str(VERSION):
            raise ValueError(f"line {line}: {old} is called {new} since version {VERSION}; rename it")
        part.rename(old_key, new_key)
        hints.append(f"line {line}: {old} is called {new} since manifest version {VERSION}; please rename it")
    return hints
