"""Checks of manifests: what a draft left open."""

from __future__ import annotations

from collections.abc import Iterator

from features.audit.findings import Finding, new_finding
from features.cohort import Cohort


def unfinished_manifest(cohort: Cohort) -> Iterator[Finding]:
    """Find keys whose value is still TODO."""
    if keys := cohort.manifest.unfinished:
        description = (
            f"{len(keys)} key{'s' * (len(keys) != 1)} of the manifest {'is' if len(keys) == 1 else 'are'} TODO"
        )
        yield new_finding("unfinished-manifest", cohort.name, description, keys)
