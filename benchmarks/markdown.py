"""Markdown tables of measurements."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(header: str, rows: Sequence[str]) -> None:
    """Print a Markdown table; the header's columns are divided by "|", and each row is a line of Markdown."""
    columns = header.count("|") + 1
    print(f"| {header.replace('|', ' | ')} |", "|---" * columns + "|", *rows, sep="\n", end="\n\n")
