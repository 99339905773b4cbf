"""Rows of means and the like below the patients of a sheet, which are nobody's."""

from __future__ import annotations

import re
from collections.abc import Collection

from features.tables.text import TextTable

_STATISTICS = frozenset(
    [
        *("mean", "means", "meansd", "meansem", "average", "avg", "median", "medianiqr", "geomean", "stdev", "stddev"),
        *("iqr", "total", "totals", "subtotal", "sum", "minimum", "maximum", "pvalue", "mittelwert", "moyenne"),
    ]
)


def check_no_summary_rows(table: TextTable, column: str, patients: Collection[str]) -> None:
    """Check that no row of a table is of a statistic instead of a patient.

    Parameters
    ----------
    table : TextTable
        The table.
    column : str
        Its column of the patient.
    patients : collection of str
        The patients with stool, whatever their names.

    Raises
    ------
    FileError
        If the column names a statistic, such as 'Mean' or 'Mean ± SD', who has no stool.
    """
    for position, cell in enumerate(table.column(column)):
        if re.sub(r"[\W\d_]", "", cell).casefold() in _STATISTICS and cell not in patients:
            raise table.error(
                f"{cell!r} is a statistic, and no patient; remove the row from the file", column, position
            )
