"""Technical controls among samples: blanks, mock communities and the like, which are no patients'."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from features.draft.cells import normalise_word
from features.draft.columns import columns_matching, find_patient_column
from features.draft.immune_columns import RowFilter
from features.draft.yaml_lines import in_yaml
from features.tables.text import TextTable

_TYPE_COLUMN = (
    r"^((sample|specimen|library|control|assay|material)_?)?(type|kind|category|source)$"
    r"|^((sample|specimen)_?)?(material|matrix|specimen|body_?site)$"
)
_SITE_COLUMN = (
    r"^(sample|specimen)_?(type|kind|material|source)$|^((sample|specimen)_?)?(material|matrix|specimen|body_?site)$"
)
_QUALITY_COLUMN = r"^((sample|sequencing|library|seq)_)?(qc|quality_control)(_(status|result|pass(ed)?|flag))?$"
_PASSED, _FAILED = {"pass", "passed", "ok", "good"}, {"fail", "failed", "bad"}
_KIND = r"extraction|reagent|negative|positive|neg|pos|pcr|no[ _-]?template|library|kit|technical|processing|sequencing"
_CONTROL_CELL = re.compile(
    rf"(({_KIND})[ _-]*)+(blank|control|ctrl)s?|blanks?|ntc|mock([ _-]*community)?|pbs|zymo\w*", re.IGNORECASE
)
_STOOL = re.compile(r"(?<![^\W_])(stool|fa?eces|fa?ecal|gut)(?![^\W_])", re.IGNORECASE)
_OTHER_SITE = re.compile(
    r"(?<![^\W_])(saliva|oral|buccal|tongue|tumou?r|biopsy|blood|plasma|serum|pbmcs?|skin|nasal|urine|vaginal|sputum)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_SURE_WORDS = {"blank", "blanks", "ntc", "mock", "zymo", "zymomock", "zymobiomics", "pbs", "negctrl", "negcontrol"}
_WORDS_OF_ARMS = {"mock", "pbs"}
"""Words of controls that beside FMT name the arm of patients without it."""
_WORDS = _SURE_WORDS | {
    *("neg", "negative", "pos", "positive", "ctrl", "control", "community", "extraction", "reagent", "pcr", "kit"),
    *("buffer", "water", "library", "dna", "std", "standard"),
}
_MOST_CONTROLS = 0.25
"""The share of a sheet's rows above which samples are no controls, whatever they are called."""


def draft_control_filter(sheet: TextTable) -> RowFilter:
    """Return a sheet without the rows that a column of the type of sample calls controls, or no stool beside stool.

    Where patients have no stool, the sites to keep are asked for.
    """
    site_columns = columns_matching(sheet, _SITE_COLUMN)
    patient = find_patient_column(sheet)
    for column in columns_matching(sheet, _TYPE_COLUMN):
        cells = sheet.frame[column]
        is_control = cells.map(lambda cell: _CONTROL_CELL.fullmatch(cell) is not None)
        is_control &= is_control.mean() <= _MOST_CONTROLS
        is_stool = cells.map(lambda cell: _STOOL.search(cell) is not None)
        is_elsewhere = cells.map(lambda cell: _OTHER_SITE.search(cell) is not None) & ~is_stool
        is_elsewhere &= column in site_columns and bool(is_stool.any())
        without_rows = is_control | is_elsewhere
        if not without_rows.any():
            continue
        kept_cells = [str(cell) for cell in cells[~without_rows].unique()]
        counts = {"technical controls": is_control.sum(), "of another site than the gut": is_elsewhere.sum()}
        note = "guessed: " + " and ".join(f"{count} rows are {kind}" for kind, count in counts.items() if count)
        lost = sheet.frame[patient][is_elsewhere] if patient else cells[:0]
        lost = lost[~lost.isin(sheet.frame[patient][~without_rows])] if patient else lost
        if not lost.empty:
            note += f", and patients such as {in_yaml(lost.iloc[0])} have no others; write the sites to keep"
            kept_cells.append("TODO")
            without_rows = is_control
        line = f"  keep_rows: {in_yaml({column: kept_cells})}  # {note}; TODO: confirm"
        return RowFilter(sheet.select(~without_rows), [line])
    return _quality_filter(sheet)


def _quality_filter(sheet: TextTable) -> RowFilter:
    """Return a sheet without the few rows that a column of quality control says to have failed."""
    for column in columns_matching(sheet, _QUALITY_COLUMN):
        words = sheet.frame[column].map(normalise_word)
        has_failed = words.isin(_FAILED)
        if has_failed.any() and words.isin(_PASSED | _FAILED).all() and has_failed.mean() <= _MOST_CONTROLS:
            passed = [str(cell) for cell in sheet.frame[column][~has_failed].unique()]
            note = f"guessed: {has_failed.sum()} rows failed quality control; TODO: confirm"
            line = f"  keep_rows: {in_yaml({column: passed})}  # {note}"
            return RowFilter(sheet.select(~has_failed), [line])
    return RowFilter(sheet, [])


def control_rows(names: pd.Series[str]) -> pd.Series[bool]:
    """Return which samples are technical controls by their names alone, as 'blank1' and 'NTC_2', (n_rows,)."""
    words = [_words(name) for name in names]
    ignored = set.intersection(*map(set, words))
    ignored |= _WORDS_OF_ARMS if any("fmt" in part for part in words) else set()
    is_control = pd.Series([_is_control(set(part) - ignored) for part in words], index=names.index, dtype=bool)
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
