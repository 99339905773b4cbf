"""How long work shows how far it is."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from training.progress import Progress


def bars() -> Progress:
    """Return progress shown as bars on standard error, one for each step."""
    shown: list[tqdm[Any]] = []

    def begin(name: str, parts: int) -> None:
        for bar in shown:
            bar.close()
        shown[:] = [
            tqdm(total=parts, desc=name, ncols=100, bar_format="{desc:<48} {bar} {n_fmt}/{total_fmt} {elapsed}")
        ]

    def advance() -> None:
        shown[0].update()
        if shown[0].n == shown[0].total:
            shown[0].close()

    return Progress(begin, advance)
