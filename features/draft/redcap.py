"""REDCap exports: several rows a record, one for each event and each repeat of an instrument."""

from __future__ import annotations

from features.errors import FileError
from features.tables.text import TextTable

_EVENT, _INSTRUMENT = "redcap_event_name", "redcap_repeat_instrument"
_STRUCTURE = {_EVENT, _INSTRUMENT, "redcap_repeat_instance", "redcap_data_access_group"}


def refuse_repeating_export(sheet: TextTable) -> None:
    """Raise an error if a sheet is a REDCap export in which a record has several rows, of different things.

    Raises
    ------
    FileError
        It names what each event and each repeating instrument holds, and the reports to export instead.
    """
    keys = [column for column in (_EVENT, _INSTRUMENT) if column in sheet.header]
    record = sheet.header[0]
    if not keys or not sheet.frame[record].duplicated().any():
        return
    contents = []
    for kind, rows in sheet.frame.groupby(keys, sort=False):
        columns = [
            column
            for column in sheet.header[1:]
            if column not in _STRUCTURE and not column.endswith("_complete") and (rows[column] != "").any()
        ]
        if columns:
            contents.append(f"{' '.join(filter(None, map(str, kind)))} holds {', '.join(columns)}")
    raise FileError(
        f"this REDCap export has several rows for each {record}, of different things: {'; '.join(contents)}. Make one "
        f"report in REDCap for the stool samples, one for the patients (one row for each {record}) and one for each "
        "repeating instrument, export each as CSV with labels, and give these files",
        file=sheet.path,
    )
