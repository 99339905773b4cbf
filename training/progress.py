"""Progress of long work, reported to a display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Callbacks of long work: `begin` takes the name of a step and its number of parts, `advance` ends one part."""

    begin: Callable[[str, int], object] = field(default=lambda name, parts: None)
    advance: Callable[[], object] = field(default=lambda: None)
