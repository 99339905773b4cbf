"""Tables of immune measurements as the assays' own software exports them, recognised by their signatures.

xPONENT (Luminex) writes several blocks below a header block, Bio-Plex Manager and MSD's Discovery Workbench a block of
notes above the table, Olink's NPX Manager assays in columns under several header rows, NPX Explore Parquet. Each
becomes the plain table that it holds; other files are read as `features.tables.text.read_text_table` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from features.analytes import is_known_analyte
from features.errors import FileError
from features.immune.raw_rows import PARQUET, read_first_rows, read_parquet, read_raw_rows, to_text_table
from features.tables.decimals import is_number
from features.tables.delimited import Row
from features.tables.text import TextTable, read_text_table
from features.units import parse_unit, split_name_and_unit

ROWS_SEARCHED = 60
"""Rows of a file in which a signature is searched for; xPONENT's header block takes about 40."""

RESULT_BLOCK = "result"
_LEGEND = re.compile(r"(?i)\W*(obs|exp|conc|value|oor|out of range|designated|fi\b|standard|note|crc|\*|---)")
"""Begins of the lines below a Bio-Plex table that explain its flags."""
_CONTROL_WELL = re.compile(r"(?i)(standard|std|control|ctrl|qc|background|blank)[\s_-]*\d*")
"""Names of xPONENT's wells that hold no sample."""
_CONTROL_TYPE = re.compile(r"(S|ST|STD|B|C|QC|CTRL)\d*", re.IGNORECASE)
"""Types of Bio-Plex's wells that hold no sample: standards, blanks and controls."""
_SAMPLE_TYPE = re.compile(r"X\d+", re.IGNORECASE)
"""Types of Bio-Plex's wells that hold samples; a column named Type that has none of them is another column."""
_CONCENTRATIONS = (re.compile(r"(?i)obs"), re.compile(r"(?i)conc(?!.*\brange)"))
"""Bio-Plex's columns of an analyte's concentrations, of which the first that is there counts."""
_UNIT_IN_NOTE = re.compile(r"(?<![\w/])[pn]g\s?/\s?mL(?!\w)", re.IGNORECASE)
_LONG_TABLE = ({"assay", "analyte"}, {"calc. concentration", "npx", "concentration"})


@dataclass(frozen=True)
class ImmuneExport:
    """A table as assay software exported it.

    Attributes
    ----------
    table : TextTable
        The measurements, without controls and standards that the software names as such.
    software : str
        What wrote the file, such as "xPONENT"; empty for a plain table.
    unit : str
        The unit that the export states, as written; empty where it states none.
    n_control_rows : int
        The wells of standards, controls and blanks that were left out.
    """

    table: TextTable
    software: str = ""
    unit: str = ""
    n_control_rows: int = 0


def is_immune_export(path: Path) -> bool:
    """Tell whether a file is an export of assay software that is no plain table."""
    return _find_software(path) != ""


def read_immune_export(path: Path) -> ImmuneExport:
    """Read a table of immune measurements: a plain table, or the one that an export of assay software holds.

    Raises
    ------
    FileError
        If the file cannot be read, or the export holds no table of results.
    """
    software = _find_software(path)
    if software == "Olink Parquet":
        return ImmuneExport(read_parquet(path), software)
    if not software:
        return ImmuneExport(_with_units_of_row(read_text_table(path)))
    rows = [row for row in read_raw_rows(path) if any(row.cells)]
    if software == "xPONENT":
        return _read_xponent(path, rows)
    if software == "Olink NPX Manager":
        return ImmuneExport(_read_olink_wide(path, rows), software)
    return _read_below_notes(path, rows)


def _find_software(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if file.read(4) == PARQUET:
                return "Olink Parquet"
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=path) from error
    with suppress(FileError):
        return _software_of_rows([row.cells for row in read_first_rows(path)[:ROWS_SEARCHED] if any(row.cells)])
    # What is wrong with the file, its reader says.
    return ""


def _software_of_rows(rows: Sequence[list[str]]) -> str:
    if not rows:
        return ""
    first_cells = [cells[0].strip().casefold() for cells in rows]
    if "datatype:" in first_cells or any("xponent" in cell.casefold() for cell in rows[0]):
        return "xPONENT"
    if "olinkid" in first_cells and {"assay", "panel"} <= set(first_cells):
        return "Olink NPX Manager"
    header = next((i for i, cells in enumerate(rows) if _is_header(cells)), 0)
    # Above a plain table stand no rows but comments; notes are shorter than the header.
    n_names = sum(map(bool, rows[header]))
    notes = [sum(map(bool, cells)) for cells in rows[:header] if not cells[0].startswith("#")]
    return "a header block" if notes and max(notes) < n_names else ""


def _is_header(cells: Sequence[str]) -> bool:
    if sum(map(is_known_analyte, cells)) >= 3:
        return True
    names = {cell.strip().casefold() for cell in cells}
    return all(names & alternatives for alternatives in _LONG_TABLE)


# xPONENT


def _read_xponent(path: Path, rows: Sequence[Row]) -> ImmuneExport:
    blocks = _xponent_blocks(rows)
    if not blocks.get(RESULT_BLOCK):
        raise FileError(
            f"this xPONENT export has the blocks {', '.join(blocks) or 'of a header alone'} and none named Result, in "
            "which the concentrations stand; export the batch again with Results, after fitting the standard curves",
            file=path,
        )
    header, *wells = blocks[RESULT_BLOCK]
    names = [name.strip() for name in header.cells]
    positions = [i for i, name in enumerate(names) if name and name.casefold() not in {"total events", "notes"}]
    if short := next((well for well in wells if len(well.cells) <= positions[-1]), None):
        raise FileError(
            f"expected {len(names)} cells, as in the block's header, got {len(short.cells)}", file=path, row=short.line
        )
    position = next((i for i, name in enumerate(names) if name.casefold() == "sample"), None)
    if position is None:
        raise FileError("the block Result has no column 'Sample'; export it again", file=path, row=header.line)
    samples = [well for well in wells if not _CONTROL_WELL.fullmatch(well.cells[position].strip())]
    if wells and not samples:
        raise FileError(
            f"all {len(wells)} wells were taken for standards, controls and blanks by the names in column 'Sample'; "
            "name the wells of samples by the samples",
            file=path,
        )
    table = to_text_table(
        path,
        [names[i] for i in positions],
        [Row(well.line, [well.cells[i] for i in positions]) for well in samples],
        "xPONENT",
    )
    return ImmuneExport(table, "xPONENT", _xponent_unit(path, blocks), len(wells) - len(samples))


def _xponent_blocks(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each block, by its data type in lower case; the first of a name counts."""
    blocks: dict[str, list[Row]] = {}
    block: list[Row] = []
    for row in rows:
        label = row.cells[0].strip().casefold()
        if label == "datatype:":
            block = []
            name = next((cell.strip().casefold() for cell in row.cells[1:] if cell.strip()), "")
            blocks.setdefault({"results": RESULT_BLOCK}.get(name, name), block)
        elif label.startswith("-- crc --") or label == "samples":
            block = []
        else:
            block.append(row)
    return blocks


def _xponent_unit(path: Path, blocks: dict[str, list[Row]]) -> str:
    cells = [row.cells[1:] for row in blocks.get("units", []) if row.cells[0].strip().casefold() == "units:"]
    units = _different_units(cell.strip() for row in cells for cell in row if cell.strip())
    if len(units) > 1:
        raise FileError(
            f"the block Units states {' and '.join(units)}; one table has one unit. Export the analytes of each unit "
            "by themselves",
            file=path,
        )
    return units[0] if units else ""


# Tables below notes


def _read_below_notes(path: Path, rows: Sequence[Row]) -> ImmuneExport:
    """Return the table that begins with the first header row; notes stand above it, a legend of flags below."""
    start = next(i for i, row in enumerate(rows) if _is_header(row.cells))
    unit = _unit_of_notes(rows[:start])
    names, positions, start = _names_below_notes(path, rows, start)
    width = max(i for i, cell in enumerate(rows[start].cells, start=1) if cell.strip())
    table_rows = []
    for row in rows[start + 1 :]:
        filled = [cell for cell in row.cells if cell.strip()]
        if len(filled) == 1 and _LEGEND.match(filled[0]):
            continue
        if any(cell.strip() for cell in row.cells[width:]):
            raise FileError(f"expected {width} cells, as in the header, got {len(row.cells)}", file=path, row=row.line)
        cells = [*row.cells, *[""] * (width - len(row.cells))]
        table_rows.append(Row(row.line, [cells[position] for position in positions]))
    samples = _without_control_wells([name.casefold() for name in names], table_rows)
    table = to_text_table(path, names, samples, "assay software")
    return ImmuneExport(_with_units_of_row(table), "a header block", unit, len(table_rows) - len(samples))


def _without_control_wells(names: Sequence[str], rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows of Bio-Plex's samples; every row where the columns do not tell them from controls."""
    if not {"type", "well"} <= set(names):
        return rows
    types = [row.cells[names.index("type")].strip() for row in rows]
    if not any(map(_SAMPLE_TYPE.fullmatch, types)):
        return rows
    return [row for row, type in zip(rows, types, strict=True) if not _CONTROL_TYPE.fullmatch(type)]


def _names_below_notes(path: Path, rows: Sequence[Row], start: int) -> tuple[list[str], list[int], int]:
    """Return the names of the columns, their positions, and the header's last row.

    Bio-Plex Manager may write two header rows: analytes, and below them the columns of each, of which the observed
    concentrations count.
    """
    names = [name.strip() for name in rows[start].cells]
    while not names[-1]:
        names.pop()
    columns = [name.strip() for name in rows[start + 1].cells] if len(rows) > start + 1 else []
    n_keys = next((i for i, name in enumerate(names) if is_known_analyte(name)), len(names))
    if n_keys == len(names) or not {"type", "well"} & {name.casefold() for name in columns}:
        return names, list(range(len(names))), start
    labels, positions = columns[:n_keys], list(range(n_keys))
    # A name stands above the first of an analyte's columns, or above each.
    begins = [i for i in range(n_keys, len(names)) if names[i] not in ("", names[i - 1])]
    for begin, end in pairwise([*begins, len(columns)]):
        of_analyte = range(begin, end)
        matches = (i for kind in _CONCENTRATIONS for i in of_analyte if kind.match(columns[i]))
        position = next(matches, None)
        if position is None and not is_known_analyte(names[begin]):
            continue
        if position is None:
            raise FileError(
                f"{names[begin]!r} has no observed concentrations; export Obs Conc", file=path, row=rows[start + 1].line
            )
        labels.append(names[begin])
        positions.append(position)
    return labels, positions, start + 1


def _unit_of_notes(notes: Sequence[Row]) -> str:
    """Return the one unit that the notes above a table state; empty where they state none, or several."""
    units = _different_units(match[0] for row in notes for cell in row.cells for match in _UNIT_IN_NOTE.finditer(cell))
    return units[0] if len(units) == 1 else ""


def _different_units(texts: Iterable[str]) -> list[str]:
    """Return texts of units, sorted, and of several spellings of one unit, as 'pg/mL' and 'pg/ml', the first."""
    units = {parse_unit(text) or text: text for text in sorted(texts, reverse=True)}
    return sorted(units.values())


def _with_units_of_row(table: TextTable) -> TextTable:
    """Return a table whose first row states the units of its columns with these behind the columns' names.

    A column without a name may have it in that row, as LEGENDplex writes it.
    """
    cells = table.rows[0] if table.rows else ()
    pairs = list(zip(table.header, cells, strict=True))
    is_unit = [parse_unit(cell) is not None or split_name_and_unit(f"x {cell}")[1] == cell != "" for cell in cells]
    is_row_of_units = any(is_unit) and all(
        unit or not cell or (not name and not is_number(cell))
        for (name, cell), unit in zip(pairs, is_unit, strict=True)
    )
    if not is_row_of_units:
        return table
    names = [
        name if unit and split_name_and_unit(name)[1] else f"{name} ({cell})" if unit else name or cell
        for (name, cell), unit in zip(pairs, is_unit, strict=True)
    ]
    return replace(table, header=tuple(names), rows=table.rows[1:], line_numbers=table.line_numbers[1:])


# Olink, assays in columns

_ASSAY_ROWS = {"panel": "Panel", "assay": "Assay", "uniprot id": "UniProt", "olinkid": "OlinkID"}
_SAMPLE_COLUMNS = {"plate id": "PlateID", "plateid": "PlateID", "qc warning": "QC_Warning", "qc_warning": "QC_Warning"}
_LIMIT_ROWS = ("max lod", "lod", "plate lod", "plate_lod")
_FOOTER = re.compile(
    r"(?i)(max lod|lod|plate[ _]lod|missing data freq.*|normalization|assay warning|lloq|uloq|lowest.*)"
)


def _read_olink_wide(path: Path, rows: Sequence[Row]) -> TextTable:
    """Return NPX Manager's table in the long layout, one row for each sample and assay, with the assay's LOD."""
    labels = [row.cells[0].strip().casefold() for row in rows]
    header = {label: rows[labels.index(label)].cells for label in _ASSAY_ROWS if label in labels}
    start = max(labels.index(label) for label in header) + 1
    width = len(header["assay"])
    # Warnings and plates stand in columns of their own, which some versions name on the row of panels alone.
    sample_columns = {
        i: _SAMPLE_COLUMNS[name]
        for i in range(1, width)
        for label in ("assay", "panel")
        if (name := header[label][i].strip().casefold()) in _SAMPLE_COLUMNS
    }
    assays = [i for i in range(1, width) if i not in sample_columns and header["olinkid"][i].strip()]
    footer = {label: row for label, row in zip(labels[start:], rows[start:], strict=True) if _FOOTER.fullmatch(label)}
    limits = next((footer[label].cells for label in _LIMIT_ROWS if label in footer), None)
    names = [
        "SampleID",
        *[name for label, name in _ASSAY_ROWS.items() if label in header],
        *sorted(set(sample_columns.values())),
    ]
    names += ["NPX", *(["LOD"] if limits else [])]
    long_rows = []
    for row in rows[start:]:
        sample = row.cells[0].strip()
        if _FOOTER.fullmatch(sample):
            continue
        cells = [*row.cells, *[""] * (width - len(row.cells))]
        of_sample = {name: cells[i] for i, name in sorted(sample_columns.items())}
        for i in assays:
            entry = {"SampleID": sample, "NPX": cells[i], "LOD": limits[i] if limits else ""} | of_sample
            entry |= {name: header[label][i] for label, name in _ASSAY_ROWS.items() if label in header}
            long_rows.append(Row(row.line, [entry[name] for name in names]))
    return to_text_table(path, names, long_rows, "Olink NPX Manager")
