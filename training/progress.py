"""How far long work is, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Where long work says how far it is: `begin` takes a step's name and its number of parts."""

    begin: Callable[[str, int], object] = field(default=lambda name, parts: None)
    advance: Callable[[], object] = field(default=lambda: None)
