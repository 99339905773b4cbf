"""A first draft of a cohort's manifest, guessed from a researcher's own files, for the researcher to finish.

Each guess states its reason (`# guessed`), and what cannot be guessed is marked (`# TODO`). A draft is always YAML
that `features.manifest.load_manifest` accepts; where the guesses are right, `features.cohort.read_cohort` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.draft.clinical import is_clinical
from features.draft.columns import find_patient_column
from features.draft.controls import draft_control_filter
from features.draft.course import course_lines, is_measure
from features.draft.file_kinds import find_file_kinds, find_taxa_files, metadata_sheet, table_at_finest_rank
from features.draft.immune import few_analytes, find_immune_layout, immune_lines
from features.draft.outcomes import find_event_columns
from features.draft.patients import patient_lines
from features.draft.redcap import refuse_repeating_export
from features.draft.samples import SamplesDraft, draft_samples, taxa_lines
from features.draft.unused import unused_reason, visits_in_columns
from features.draft.yaml_lines import in_yaml
from features.errors import FileError, InputError
from features.immune import read_immune_export
from features.tables.text import TextTable
from features.tables.workbook import is_workbook, read_workbook


def draft_manifest(files: Sequence[Path], name: str) -> str:
    """Return the text of a manifest drafted from a cohort's files, to be saved beside them and finished by hand.

    Parameters
    ----------
    files : sequence of Path
        One taxa table, and in any order what there is of sheets of samples and patients, a taxonomy, an immune table,
        adverse events and tables of the course of the trial.
    name : str
        The cohort's name: letters, digits, '-' and '_'.

    Returns
    -------
    str
        Commented YAML. Guesses are marked '# guessed', and what has to be stated or confirmed '# TODO'.

    Raises
    ------
    FileError
        If a file cannot be read, or is of no kind that a manifest can name.
    InputError
        If the name is not valid, or there is not exactly one taxa table among the files.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(f"{name!r} cannot name a cohort; use letters, digits, '-' and '_' alone, as in 'lee_2022'")
    kinds = find_file_kinds(list(map(Path, files)))
    taxa, taxonomy = find_taxa_files(kinds)
    rank, table = table_at_finest_rank(taxa, kinds[taxa], taxonomy)
    metadata = metadata_sheet(taxa, kinds[taxa])
    sheets = [_read_sheet(file) for file, kind in kinds.items() if kind == "sheet"]
    if metadata and (find_patient_column(metadata) or draft_samples(sheets, taxa, table.samples).sheet is None):
        sheets.append(metadata)
    for sheet in sheets:
        refuse_repeating_export(sheet)
    filters = {sheet.path: draft_control_filter(sheet) for sheet in sheets if find_immune_layout(sheet) is None}
    kept_rows = {path: row_filter.lines for path, row_filter in filters.items()}
    sheets = [filters[sheet.path].sheet if sheet.path in filters else sheet for sheet in sheets]
    roles = _assign_roles(sheets, taxa, table.samples, kept_rows)
    samples, patients = roles.samples, roles.patients
    course = course_lines(roles.other_sheets, samples.patients, [patients] if patients else [])
    sheets_with_role = (patients, roles.immune, roles.events)
    used_files = {taxa, taxonomy, *samples.files, *(sheet.path for sheet in sheets_with_role if sheet), *course}
    lines = [
        "# A draft: confirm what is guessed, settle each TODO, and run 'taxokine cohorts check' on this file.",
        "manifest_version: 2",
        f"name: {in_yaml(name)}",
        "title: TODO  # TODO: first author and year, cancer, treatment",
        "source: {licence: TODO, citation: TODO}  # TODO: the licence of the files, and where the cohort was published",
        "clock:",
        f"  name: {samples.clock_name}  # TODO: confirm; day_ici, day_fmt, or the cohort's own",
        f"  index: {samples.clock_index}  # TODO: confirm the event at day 0",
        "# TODO: who may be predicted, as in 'population: {tumour_type: melanoma, treatment_line: first}'",
        *taxa_lines(taxa, kinds[taxa], taxonomy, rank, table, samples.prefix, samples.suffix),
        *samples.lines,
    ]
    if patients:
        lines += patient_lines(patients, samples, roles.events, kept_rows.get(patients.path, []))
        if roles.own_patients and patients is not roles.immune and (todo := visits_in_columns(patients)):
            lines.append(f"# TODO: of {in_yaml(patients.path.name)}, {todo}")
    else:
        lines.append("# TODO: no sheet of patients was recognised")
    if roles.immune:
        lines += immune_lines(roles.immune, samples, sheets)
    if course:
        lines += ["course:", *course.values()]
    if any(line.startswith("  assessments:") for line in course.values()) and "recist" not in _keys(lines):
        lines.append(
            "# TODO: the assessments are read as the course of the trial alone; add each patient's best response "
            "before progression to the sheet of patients, and describe it under 'outcomes' as 'recist'"
        )
    reasons = {
        sheet.path: unused_reason(sheet, samples.patients, sheets, roles.own_patients)
        for sheet in sheets
        if sheet.path not in used_files
    }
    lines += [
        f"# TODO: {in_yaml(file.name)} is not used: {reasons.get(file, 'it was not recognised')}"
        for file in kinds
        if file not in used_files
    ]
    lines += [line for file in kinds for line in _unread_sheets(file)]
    return "\n".join(lines) + "\n"


def _keys(lines: Iterable[str]) -> set[str]:
    return {line.strip().partition(":")[0] for line in lines}


def _read_sheet(file: Path) -> TextTable:
    export = read_immune_export(file)
    if export.software == "Olink Parquet" and find_immune_layout(export.table) is None:
        raise FileError(
            "this is a Parquet file, of which tables of immune measurements alone are read; convert it in Python: "
            "pandas.read_parquet('FILE').to_csv('FILE.csv', index=False)",
            file=file,
        )
    return export.table


def _unread_sheets(file: Path) -> list[str]:
    """Return a comment where a workbook holds more sheets than the one that is read."""
    book = read_workbook(file, None) if is_workbook(file) else None
    if book is None or not book.unread:
        return []
    return [
        f"# TODO: of {in_yaml(file.name)} the sheet {in_yaml(book.name)} alone is read; save those of "
        f"{in_yaml(list(book.unread))} that belong to the cohort as files of their own"
    ]


@dataclass(frozen=True)
class _Roles:
    """The role of each sheet: one may be the samples' and the patients' sheet and the immune table at once."""

    samples: SamplesDraft
    patients: TextTable | None
    immune: TextTable | None
    events: TextTable | None
    other_sheets: list[TextTable]

    @property
    def own_patients(self) -> TextTable | None:
        """The patients' sheet where it is not the samples' sheet too."""
        return self.patients if self.patients is not self.samples.sheet else None


def _find_immune_sheet(sheets: Sequence[TextTable]) -> TextTable | None:
    """Return the table of immune measurements; one or two analytes are one where no other is, and no measures."""
    tables = [sheet for sheet in sheets if find_immune_layout(sheet)]
    larger_table = next((sheet for sheet in tables if not few_analytes(sheet)), None)
    return larger_table or next((sheet for sheet in tables if not all(map(is_measure, few_analytes(sheet)))), None)


def _assign_roles(
    sheets: Sequence[TextTable], taxa_file: Path, profiles: Sequence[str], kept_rows: Mapping[Path, list[str]]
) -> _Roles:
    events = next((sheet for sheet in sheets if find_event_columns(sheet)), None)
    immune = _find_immune_sheet([sheet for sheet in sheets if sheet is not events])
    samples = draft_samples([sheet for sheet in sheets if sheet is not events], taxa_file, profiles, kept_rows)
    # The samples' sheet may have gained the columns of another.
    role_paths = {sheet.path for sheet in (events, immune, samples.sheet) if sheet is not None}
    other_sheets = [sheet for sheet in sheets if sheet.path not in role_paths]
    clinical = [sheet for sheet in [*other_sheets, *([immune] if immune else [])] if is_clinical(sheet)]
    listed_samples = None if samples.is_of_names else samples.sheet
    patients = next(
        (sheet for sheet in clinical if find_patient_column(sheet, samples.patients, one_row_each=True)), listed_samples
    )
    return _Roles(samples, patients, immune, events, [sheet for sheet in other_sheets if sheet is not patients])
