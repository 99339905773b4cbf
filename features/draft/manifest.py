"""A first draft of a cohort's manifest, guessed from somebody's own files and commented for her to finish.

Each guess says what it rests on (`# guessed`), and what nobody can guess is marked (`# TODO`). A draft is always YAML
that `features.manifest.load_manifest` accepts; where the guesses are right, `features.cohort.read_cohort` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from features.draft.course import course_lines
from features.draft.immune import immune_layout, immune_lines
from features.draft.kinds import file_kinds, table_at_finest_rank, taxa_files
from features.draft.patients import CLINICAL, event_columns, patient_lines
from features.draft.stool import stool_sheet, taxa_lines
from features.draft.words import columns_of, in_yaml, patient_column
from features.errors import InputError
from features.tables.text import read_text_table


def drafted_manifest(files: Sequence[Path], name: str) -> str:
    """Return the text of a manifest drafted from a cohort's files, to be saved beside them and finished by hand.

    Parameters
    ----------
    files : sequence of Path
        One taxa table, and what there is of sheets of samples and patients, a taxonomy, an immune table, adverse events
        and tables of the trial's course, in any order.
    name : str
        The cohort's name: letters, digits, '-' and '_'.

    Returns
    -------
    str
        Commented YAML. Guesses are marked '# guessed', and what has to be stated or confirmed '# TODO'.

    Raises
    ------
    FileError
        If a file cannot be read, or is none that a manifest can name.
    InputError
        If the name will not do, or there is not exactly one taxa table among the files.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(f"{name!r} cannot name a cohort; use letters, digits, '-' and '_' alone, as in 'lee_2022'")
    kinds = file_kinds(list(map(Path, files)))
    source, taxonomy = taxa_files(kinds)
    rank, table = table_at_finest_rank(source, kinds[source], taxonomy)
    sheets = [read_text_table(file) for file, kind in kinds.items() if kind == "sheet"]
    events = next((sheet for sheet in sheets if event_columns(sheet)), None)
    immune = next((sheet for sheet in sheets if sheet is not events and immune_layout(sheet)), None)
    stool = stool_sheet([sheet for sheet in sheets if sheet is not events], table.samples)
    rest = [sheet for sheet in sheets if sheet not in (events, immune, stool.sheet)] + ([immune] if immune else [])
    clinical = [sheet for sheet in rest if columns_of(sheet, CLINICAL)]
    patients = next((s for s in clinical if patient_column(s, stool.patients, once=True)), stool.sheet)
    course = course_lines([sheet for sheet in rest if sheet not in (patients, immune)], stool.patients)
    used = {source, taxonomy, *(sheet.path for sheet in (stool.sheet, patients, immune, events) if sheet), *course}
    lines = [
        "# A draft: confirm what is guessed, settle each TODO, and run 'taxokine cohorts check' on this file.",
        "manifest_version: 2",
        f"name: {in_yaml(name)}",
        "title: TODO  # TODO: first author and year, cancer, treatment",
        "source:",
        "  licence: TODO  # TODO: the licence under which the files may be used",
        "  citation: TODO  # TODO: where the cohort was published",
        "clock:",
        f"  name: {stool.clock[0]}  # TODO: confirm; day_ici, day_fmt, or the cohort's own",
        f"  index: {stool.clock[1]}  # TODO: confirm the event at day 0",
        *taxa_lines(source, kinds[source], taxonomy, rank, table, stool.prefix),
        *stool.lines,
        *(patient_lines(patients, stool, events) if patients else ["# TODO: no sheet of patients was recognised"]),
        *(immune_lines(immune, stool) if immune else []),
        *(["course:", *course.values()] if course else []),
        *(f"# TODO: {in_yaml(file.name)} is not used: it was not recognised" for file in kinds if file not in used),
    ]
    return "\n".join(lines) + "\n"
