"""The licences of what runs in a hospital: the distributions that Taxokine requires, not the tools of its developers.

``make sbom`` prints them; a test refuses licences that bind whoever gives the program to others.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("dask", "postgres")
"""The project's optional parts."""
# The LGPL binds changes to the library itself only.
_BINDING = re.compile(r"\bA?GPL|(?<!lesser )(?<!library )general public licen|\bSSPL|server side public", re.IGNORECASE)


class Licensed(NamedTuple):
    """A distribution and its licence, as it states it."""

    name: str
    version: str
    licence: str


def runtime_distributions(root: str = "taxokine") -> list[Licensed]:
    """Return what a distribution requires on this machine, directly or not, by name."""
    licensed: dict[str, Licensed] = {}
    waiting = [(root, EXTRAS)]
    while waiting:
        name, extras = waiting.pop()
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not any(
                requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            ):
                continue
            key = canonicalize_name(requirement.name)
            if key not in licensed:
                required = distribution(key)
                licensed[key] = Licensed(key, required.version, licence_of(required))
                waiting.append((key, tuple(requirement.extras)))
    return [licensed[key] for key in sorted(licensed)]


def licence_of(dist: Distribution) -> str:
    """Return the licence that a distribution states: its expression, else its classifiers, else its own words."""
    metadata = dist.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        text.rpartition(":: ")[2]
        for text in metadata.get_all("Classifier") or ()
        if text.startswith("License ::") and not text.endswith("OSI Approved")
    ]
    words = str(metadata.get("License") or "").strip().partition("\n")[0]
    return "; ".join(classifiers) or words or _first_line(dist)


def _first_line(dist: Distribution) -> str:
    """Return the first line of the file of a licence that is stated nowhere else."""
    for path in dist.files or ():
        if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            return next((line.strip() for line in path.read_text().splitlines() if line.strip()), "")
    return ""


def is_binding(licence: str) -> bool:
    """Return whether a licence binds a whole program; of alternatives, all must."""
    return all(_BINDING.search(alternative) for alternative in re.split(r"\bOR\b", licence))


if __name__ == "__main__":
    for licensed in runtime_distributions():
        print(f"{licensed.name:<36}{licensed.version:<16}{licensed.licence}")
