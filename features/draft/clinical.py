"""Sheets of clinical data, of which one becomes the sheet of patients."""

from __future__ import annotations

import re

from features.analytes import is_known_analyte
from features.draft.columns import columns_matching
from features.draft.covariates import COVARIATE_COLUMN, EXCLUDED_COLUMN
from features.draft.outcomes import BEST_RESPONSE_COLUMN, find_labels_of_response
from features.tables.text import TextTable

CLINICAL_COLUMN = "|".join([COVARIATE_COLUMN, EXCLUDED_COLUMN, BEST_RESPONSE_COLUMN])
"""The columns by which a sheet of clinical data is recognised."""


def is_clinical(sheet: TextTable) -> bool:
    """Tell whether a sheet holds clinical columns, or labels of response under any name."""
    columns = {str(column): cells for column, cells in sheet.frame.items()}
    clinical_columns = {*columns_matching(sheet, CLINICAL_COLUMN), *find_labels_of_response(columns)}
    return bool(clinical_columns - set(analytes_and_more(sheet)))


def analytes_and_more(sheet: TextTable) -> list[str]:
    """Return the columns whose names are an analyte and more, as a visit or a statistic."""
    return [name for name in sheet.header if not is_known_analyte(name) and is_known_analyte(_first_part(name))]


def _first_part(name: str) -> str:
    """Return what stands before a gap in a name, or before a visit right behind it, as IL6 in IL6D28."""
    first_part = re.split(r"[_ (]", name.strip(), maxsplit=1)[0]
    return re.sub(r"(?<=.)([DWVTM]\d+|[Pp]re|[Pp]ost)$", "", first_part)
