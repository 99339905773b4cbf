"""Kraken 2 reports: the clade string of each row, from its rank code and the indentation of its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_LETTERS: Mapping[str, str] = {"D": "d", "K": "k", "P": "p", "C": "c", "O": "o", "F": "f", "G": "g", "S": "s"}
_SHARE = re.compile(r"\s*\d{1,3}(\.\d+)?\s*")
_CODE = re.compile(r"[URDKPCOFGS-]\d*")


def is_kraken_row(cells: Sequence[str]) -> bool:
    """Tell whether cells are a row of a report: share, reads of the clade, reads of the taxon, code, taxid, name."""
    return (
        len(cells) in (6, 8)
        and _SHARE.fullmatch(cells[0]) is not None
        and all(cell.strip().isdigit() for cell in (cells[1], cells[2], cells[-2]))
        and _CODE.fullmatch(cells[-3].strip()) is not None
    )


class KrakenReport:
    """The path to the current row of a report, which lists each taxon below its parent, indented by two blanks."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []

    def clade_string(self, code: str, name: str) -> str:
        """Return the next row's clade string, as in 'd__Bacteria|p__Bacillota'; ranks in between have the prefix 'x'.

        Parameters
        ----------
        code : str
            The rank code: U, R, D, K, P, C, O, F, G, S, with a number below a rank ('S1').
        name : str
            The name, indented.
        """
        bare, code = name.strip(), code.strip()
        if code in ("U", "R"):
            self._path = []
            return "UNCLASSIFIED" if code == "U" else "x__root"
        indent = len(name) - len(name.lstrip())
        self._path = [(depth, clade) for depth, clade in self._path if depth < indent]
        letter = _LETTERS.get(code, "x")
        if letter == "k" and any(clade.startswith("d__") for _, clade in self._path):
            letter = "x"
        self._path.append((indent, f"{letter}__{bare}"))
        ranked = [clade for _, clade in self._path[:-1] if not clade.startswith("x__")]
        return "|".join([*ranked, self._path[-1][1]])
