"""Checks of manifests: what a draft left open."""

from __future__ import annotations

from collections.abc import Iterator

from features.audit.findings import Finding, new_finding
from features.cohort import Cohort


def unfinished_manifest(cohort: Cohort) -> Iterator[Finding]:
    """Find keys whose value is still TODO, and guesses that nobody has confirmed."""
    if keys := cohort.manifest.unfinished:
        description = (
            f"{len(keys)} key{'s' * (len(keys) != 1)} of the manifest {'is' if len(keys) == 1 else 'are'} TODO"
        )
        yield new_finding("unfinished-manifest", cohort.name, description, keys)
    lines = {key.partition(":")[0] for key in cohort.manifest.unfinished}
    if guesses := [line for line in cohort.manifest.unconfirmed if line not in lines]:
        subject = "1 comment of the manifest asks" if len(guesses) == 1 else f"{len(guesses)} comments still ask"
        description = f"{subject} for something (# TODO)"
        yield new_finding("unconfirmed-guesses", cohort.name, description, guesses)
