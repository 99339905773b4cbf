"""Technical controls among samples: blanks, mock communities and the like, which are no patients'."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from features.draft.columns import columns_matching
from features.draft.immune_columns import RowFilter
from features.draft.yaml_lines import in_yaml
from features.tables.text import TextTable

_TYPE_COLUMN = (
    r"^(?!.*(treat|therap|arm|fmt|respon|tumou?r|cancer|donor)).*(type|kind|category|material|specimen|matrix)"
)
_KIND = r"extraction|reagent|negative|positive|neg|pos|pcr|no[ _-]?template|library|kit|technical|processing|sequencing"
_CONTROL_CELL = re.compile(
    rf"(({_KIND})[ _-]*)+(blank|control|ctrl)s?|blanks?|ntc|mock([ _-]*community)?|pbs|zymo\w*", re.IGNORECASE
)
_SURE_WORDS = {"blank", "blanks", "ntc", "mock", "zymo", "zymomock", "zymobiomics", "pbs", "negctrl", "negcontrol"}
_WORDS = _SURE_WORDS | {
    *("neg", "negative", "pos", "positive", "ctrl", "control", "community", "extraction", "reagent", "pcr", "kit"),
    *("buffer", "water", "library", "dna", "std", "standard"),
}
_MOST_CONTROLS = 0.25
"""The share of a sheet's rows above which samples are no controls, whatever they are called."""


def draft_control_filter(sheet: TextTable) -> RowFilter:
    """Return a sheet without the rows that a column of the type of sample calls technical controls."""
    for column in columns_matching(sheet, _TYPE_COLUMN):
        is_control = sheet.frame[column].map(lambda cell: _CONTROL_CELL.fullmatch(cell) is not None)
        if 0 < is_control.mean() <= _MOST_CONTROLS:
            cells_to_keep = {column: [str(cell) for cell in sheet.frame[column][~is_control].unique()]}
            comment = f"guessed: {is_control.sum()} rows are technical controls; TODO: confirm"
            return RowFilter(sheet.select(~is_control), [f"  keep_rows: {in_yaml(cells_to_keep)}  # {comment}"])
    return RowFilter(sheet, [])


def control_rows(names: pd.Series[str]) -> pd.Series[bool]:
    """Return which samples are technical controls by their names alone, as 'blank1' and 'NTC_2', (n_rows,)."""
    words = [_words(name) for name in names]
    shared = set.intersection(*map(set, words))
    is_control = pd.Series([_is_control(set(part) - shared) for part in words], index=names.index, dtype=bool)
    return is_control & (is_control.mean() <= _MOST_CONTROLS)


def control_lines(names: Sequence[str]) -> list[str]:
    """Return the line that leaves technical controls out."""
    if not names:
        return []
    excluded = in_yaml(dict.fromkeys(names, "technical control"))
    return [f"  exclude_samples: {excluded}  # guessed: their names; TODO: confirm"]


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _is_control(words: set[str]) -> bool:
    is_signed_control = bool(words & {"neg", "negative", "pos", "positive"}) and bool(words & {"ctrl", "control"})
    return words <= _WORDS and (bool(words & _SURE_WORDS) or is_signed_control)
