"""The donors that recipients received, as the samples' sheet or the patients' names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from features.manifest import Samples
from features.name_matching import near_misses
from features.tables.text import TextTable


class ReceivedDonors(NamedTuple):
    """The donors that recipients received.

    Attributes
    ----------
    names : pandas.Series of str
        For each row of the sheet, the names of donor samples or of donors, each on a line of its own; "" where none.
    near_misses : tuple of str
        Names that were taken for a donor's under another spelling, as in 'Study__Donor1 and Donor1'.
    """

    names: pd.Series[str]
    near_misses: tuple[str, ...]


def received_donors(
    part: Samples,
    table: TextTable,
    samples: pd.Series[str],
    is_donor: pd.Series[bool],
    patients: tuple[TextTable, str] | None,
) -> ReceivedDonors:
    """Return the donors that each row's patient received.

    A name is that of a donor's sample or row, or of the donor; a name that none of them has is taken for the one that
    it resembles, if there is one (`features.name_matching.near_misses`).

    Parameters
    ----------
    part : Samples
        The part of the manifest that describes the sheet.
    table : TextTable
        The sheet.
    samples : pandas.Series of str, (n_rows,)
        The name of each row's sample.
    is_donor : pandas.Series of bool, (n_rows,)
        The rows of donor samples.
    patients : tuple of TextTable and str, optional
        The patients' sheet and its column of the patient, which has the columns of donors that `table` lacks.
    """
    columns = [_donor_cells(name, part, table, is_donor, patients) for name in part.donor_sample_columns]
    cells = [[name for column in columns for name in _names(column[i], part)] for i in range(len(samples))]
    kinds = [table.column(part.patient)[is_donor], samples[is_donor]]
    if part.donor is not None:
        kinds.append(table.column(part.donor.column)[is_donor])
    listed_names = {name for kind in kinds for name in kind}
    unknown = dict.fromkeys(name for names in cells for name in names if name not in listed_names)
    spelling: dict[str, str] = {}
    # The names of donors, of their samples and of their rows are apart: 'd1' may be the sample of 'D1'.
    for kind in kinds:
        spelling |= dict(near_misses((name for name in unknown if name not in spelling), kind))
    names = ["\n".join(dict.fromkeys(spelling.get(name, name) for name in row)) for row in cells]
    pairs = tuple(f"{name} and {donor}" for name, donor in spelling.items())
    return ReceivedDonors(pd.Series(names, index=samples.index, dtype="str"), pairs)


def _donor_cells(
    column: str, part: Samples, table: TextTable, is_donor: pd.Series[bool], patients: tuple[TextTable, str] | None
) -> list[list[str]]:
    """Return the cells that name the donors of each row of the samples' sheet."""
    if column in table.header or patients is None:
        return [[cell] for cell in table.column(column)]
    sheet, patient_column = patients
    by_patient: dict[str, list[str]] = {}
    for patient, cell in zip(sheet.column(patient_column), sheet.column(column), strict=True):
        by_patient.setdefault(patient, []).append(cell)
    # A donor received no stool, though one may bear the name of a patient.
    rows = zip(table.column(part.patient), is_donor, strict=True)
    return [[] if is_donor_row else by_patient.get(patient, []) for patient, is_donor_row in rows]


def _names(cells: Iterable[str], part: Samples) -> list[str]:
    names = [name for cell in cells for name in (cell.split(part.donor_separator) if part.donor_separator else [cell])]
    return [name.strip() for name in names if name.strip()]
