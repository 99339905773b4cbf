"""Drafted lines of the donors: the rows of their samples, and the donor that each patient received."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from features.draft.cells import is_missing
from features.draft.columns import columns_matching, find_patient_column, reported_patients
from features.draft.outcomes import BEST_RESPONSE_COLUMN, RESPONSE_COLUMN
from features.draft.translations import NO_WORDS, YES_WORDS
from features.draft.yaml_lines import in_yaml
from features.name_matching import near_misses
from features.tables.text import TextTable

_DONOR = re.compile(r"((healthy|fmt|f?a?ecal|stool)[ _-]*)?donor(\s*\([^()]*\))?", re.IGNORECASE)
_YES, _NO = ("true", "1"), ("false", "0")
_DONOR_FLAG = r"^(is_(a_)?donor|donor_flag)$"
_RECEIVED_COLUMN = (
    r"(^|_)(arm|allocation|allocated|randomi[sz]\w*|treatment|intervention|source|origin|received|given)(_|$)"
)
"""The columns in which "donor" is what a patient received."""
_OTHER_ARM = re.compile(r"placebo|sham|autologous|autologe|own stool", re.IGNORECASE)
_NO_WORD_BEHIND = "(?![A-Za-z]{2})"
_DONOR_NAME = re.compile(rf"(?:(?:healthy|fmt|stool)[ _-]*)?donor{_NO_WORD_BEHIND}", re.IGNORECASE)
_DONOR_SAMPLE_COLUMN = r"donor|^given|(^|_)fmt(_|$)"


def draft_donors(sheet: TextTable, patient: str, sheets: Sequence[TextTable]) -> tuple[list[str], pd.Series[bool]]:
    """Return the lines of `donor` and `donor_sample`, and the rows of donor samples.

    Parameters
    ----------
    sheet : TextTable
        The samples' sheet.
    patient : str
        Its column of the patient.
    sheets : sequence of TextTable
        All sheets; one with a row for each patient may name the donors that the patients received.
    """
    return (
        _draft_declared_donors(sheet, patient, sheets)
        or _draft_received_donors(sheet, patient, sheets)
        or _draft_named_donors(sheet, patient)
        or ([], pd.Series(False, index=sheet.frame.index))
    )


def _draft_declared_donors(
    sheet: TextTable, patient: str, sheets: Sequence[TextTable]
) -> tuple[list[str], pd.Series[bool]] | None:
    """Find the rows in which a column holds the word "donor", or says yes where it is named so.

    In a column of arms it is what patients received, and a donor has neither other samples nor a response.
    """
    flags = columns_matching(sheet, _DONOR_FLAG)
    received_columns = columns_matching(sheet, _RECEIVED_COLUMN)
    for column in sheet.header:
        cells = sheet.frame[column]
        donor_rows = cells.map(lambda cell: _DONOR.fullmatch(cell) is not None)
        if column in flags and cells.map(_is_yes_or_no).all():
            donor_rows |= cells.str.casefold().isin([*YES_WORDS, *_YES])
        is_arm = column in received_columns or any(map(_OTHER_ARM.search, cells))
        if is_arm or not donor_rows.any() or donor_rows.all() or _are_recipients(donor_rows, sheet, patient, sheets):
            continue
        words = [_escaped(str(cell)) for cell in cells[donor_rows].unique()]
        donor = in_yaml({"column": column, "pattern": f"^{_any_of(words)}$"})
        lines = [f"  donor: {donor}  # guessed: {donor_rows.sum()} rows hold this word; TODO: confirm"]
        # "day_fmt" resembles the name of such a column too: its cells must name donors.
        donor_names = set(sheet.frame[donor_rows].to_numpy().ravel()) - {""}
        received = [
            name
            for name, received_cells in _received_columns(sheet, patient, sheets, donor_rows)
            if name != column and donor_names & set(received_cells)
        ]
        return lines + [f"  donor_sample: {in_yaml(name)}" for name in received[:1]], donor_rows
    return None


def _is_yes_or_no(cell: str) -> bool:
    return is_missing(cell) or cell.casefold() in {*YES_WORDS, *_YES, *NO_WORDS, *_NO}


def _are_recipients(donor_rows: pd.Series[bool], sheet: TextTable, patient: str, sheets: Sequence[TextTable]) -> bool:
    """Tell whether the donors of some rows have other rows, or a response."""
    donors = frozenset(sheet.frame[patient][donor_rows])
    if donors & set(sheet.frame[patient][~donor_rows]):
        return True
    has_response = reported_patients(
        sheets, frozenset(sheet.frame[patient]), f"{BEST_RESPONSE_COLUMN}|{RESPONSE_COLUMN}"
    )
    return bool(donors & has_response)


def _escaped(text: str) -> str:
    """Return the pattern of a text, in which a space and a hyphen stand for themselves."""
    return re.sub(r"\\([ -])", r"\1", re.escape(text))


def _any_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"({'|'.join(patterns)})"


def _draft_received_donors(
    sheet: TextTable, patient: str, sheets: Sequence[TextTable]
) -> tuple[list[str], pd.Series[bool]] | None:
    """Find the rows whose names begin as those of the donors, or donor samples, that recipients received."""
    no_rows = pd.Series(False, index=sheet.frame.index)
    for received_column, received in _received_columns(sheet, patient, sheets, no_rows):
        for column in sheet.header:
            names = sheet.frame[column]
            separator = _separator(received, names)
            parts = {part.strip() for cell in received for part in (cell.split(separator) if separator else [cell])}
            listed_donors = sorted(parts & set(names)) or [
                name for _, name in near_misses(received.unique(), names.unique())
            ]
            prefix = (
                re.match(r"[A-Za-z]+[_-]?", listed_donors[0]) if column != received_column and listed_donors else None
            )
            if prefix is None or not all(name.startswith(prefix[0]) for name in listed_donors):
                continue
            donor_rows = names.str.startswith(prefix[0])
            if not donor_rows[sheet.frame[patient].isin(received.index)].any():
                donor = in_yaml({"column": column, "pattern": f"^{_escaped(prefix[0])}"})
                reason = f"{donor_rows.sum()} rows begin like the donors in {in_yaml(received_column)}"
                lines = [f"  donor: {donor}  # guessed: {reason}; TODO: confirm"]
                lines.append(f"  donor_sample: {in_yaml(received_column)}")
                return lines + ([f"  donor_separator: {in_yaml(separator)}"] if separator else []), donor_rows
    return None


def _separator(received: pd.Series[str], names: pd.Series[str]) -> str:
    """Return the sign between the donors of a pool, of which each is a name; empty where there is none."""
    for sign in "+;/&,|":
        parts = {part.strip() for cell in received for part in cell.split(sign)}
        if received.str.contains(sign, regex=False).any() and parts <= set(names):
            return sign
    return ""


def _draft_named_donors(sheet: TextTable, patient: str) -> tuple[list[str], pd.Series[bool]] | None:
    """Find the rows whose patient is named as a donor, as 'Donor1'."""
    names = sheet.frame[patient]
    matches = names.map(_DONOR_NAME.match)
    donor_rows = matches.notna()
    if not donor_rows.any() or donor_rows.all():
        return None
    begins = [_escaped(begin) for begin in dict.fromkeys(match[0] for match in matches[donor_rows])]
    donor = in_yaml({"column": patient, "pattern": f"^{_any_of(begins)}{_NO_WORD_BEHIND}"})
    return [f"  donor: {donor}  # guessed: {donor_rows.sum()} rows are named as donors; TODO: confirm"], donor_rows


def _received_columns(
    sheet: TextTable, patient: str, sheets: Sequence[TextTable], donor_rows: pd.Series[bool]
) -> Iterator[tuple[str, pd.Series[str]]]:
    """Yield the columns that may name received donors: each with its reported cells, by patient.

    Those of the samples' sheet come first, then those of a sheet with a row for each patient.
    """
    recipients = sheet.frame[~donor_rows]
    patients = frozenset(recipients[patient])
    yield from _reported(recipients, columns_matching(sheet, _DONOR_SAMPLE_COLUMN), patient)
    for other in sheets:
        if other is not sheet and (column := find_patient_column(other, patients, one_row_each=True)):
            names = [name for name in columns_matching(other, _DONOR_SAMPLE_COLUMN) if name not in sheet.header]
            yield from _reported(other.frame, names, column)


def _reported(frame: pd.DataFrame, columns: Sequence[str], patient: str) -> Iterator[tuple[str, pd.Series[str]]]:
    for column in columns:
        cells = frame[column].set_axis(pd.Index(frame[patient]))
        yield column, cells[~cells.map(is_missing)]
