"""A first draft of a cohort's manifest, guessed from somebody's own files and commented for her to finish.

Each guess says what it rests on (`# guessed`), and what nobody can guess is marked (`# TODO`). A draft is always YAML
that `features.manifest.load_manifest` accepts; where the guesses are right, `features.cohort.read_cohort` reads it.
"""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd
import yaml

from features.analytes import SYNONYMS, canonical_analyte, parse_value
from features.errors import FileError, InputError
from features.sheets import Sheet, read_sheet
from features.taxa import Rank, TaxaTable, read_taxa
from features.taxa_formats import RANKS

# Patterns are searched for in a column's name in snake case: "Days from firstDose" is "days_from_first_dose".
PATIENT = r"^(host_|study_)?(patient|subject|participant|individual|pt)(_?(id|identifier|name|code|number|no|nr))?$"
DAY = r"(^|_)days?(_|$)"
_OTHER_DAY = r"first_(collection|sample|visit)|surviv|pfs|(^|_)os(_|$)|follow|death|progress|(^|_)age(_|$)"
VISIT = r"^(visit|time_?point)(_?(number|no|nr|id))?$"
_CENTRE = r"^(sub_?cohort|centre|center|hospital|institution|study_site|site|location)(_?(id|name))?$"
_GIVEN = r"donor|^given|(^|_)fmt(_|$)"
_TERM, _GRADE, _ONSET = r"term|event|(^|_)ae(_|$)|toxicity$", r"grade", r"(^|_)(days?|onset)(_|$)"
ANALYTE, VALUE = r"^(analyte|cytokine|marker|protein|assay)(_?name)?$", r"^(value|concentration|level|result|npx)$"
_STABLE = r"(^|_)pfs_?0?6(_|$)"
_BEST = r"recist|best_(overall_)?response|(^|_)bor(_|$)"

_TOLD = {
    "transplants": {"donor": r"donor", "batch": r"batch|(^|_)lot(_|$)", "dose": r"dose|volume",
                    "unit": r"^(dose_)?unit", "route": r"route", "preparation": r"prep"},
    "cycles": {"drug": r"drug|agent|treatment|regimen|therapy|medication"},
    "assessments": {"response": r"response|recist|assessment", "sum_mm": r"diameter|(^|_)(sum|sld)(_|$)"},
    "medications": {"name": r"medic|drug|agent|concomitant", "start": r"start|begin|first|from",
                    "end": r"(^|_)end|stop|last|until"},
    "measures": {"name": r"^(measure|parameter|test|item|variable)(_?name)?$", "value": VALUE, "unit": r"^units?$"},
}  # fmt: skip
"""Columns of the trial's course, by part and by the manifest's keys."""
_NUMBERS = {"dose", "sum_mm", "start", "end", "value"}
_INHIBITORS = r"(?i)nivo|pembro|atezo|durva|cemip|avelu|ipili|treme|relatl|pd-?l?1|ctla"
_KINDS_OF_DRUG = (
    ("antibiotic", r"(?i)cillin|floxacin|cyclin|mycin|micin|(^|\W)cef|penem|nidazole|rifax|sulfameth|antibiotic"),
    ("steroid", r"(?i)predni|dexameth|cortiso|budesonide|steroid"),
    ("ppi", r"(?i)(ome|panto|lanso|rabe)prazole|(^|\W)ppi(\W|$)|proton"),
)
_JUDGED = {code.casefold(): code for code in ("CR", "PR", "SD", "PD", "iUPD", "iCPD", "NE")}
_MEASURED = (
    ("weight", r"weight", "kg"),
    ("albumin", r"albumin", "g/L"),
    ("CRP", r"(^|_)crp(_|$)|c_reactive", "mg/L"),
    ("ECOG", r"ecog|performance_status", ""),
    ("quality of life", r"(^|_)qol(_|$)|quality_of_life|eortc|(^|_)fact(_|$)", ""),
)
"""What is measured over time, its column's name, and the unit if the name tells none."""

_DAY_IN_NAME = r"(?<=[0-9_.-])[Dd](ay)?_?(?P<day>-?[0-9]+)$"
_UNIT_IN_NAME = r"(?i)[\s_(\[]+(pg|ng)[\s_/]*ml[)\]]*$"
_TAXON = r"(^|[|;]\s*)[dkpcofgst]__|^\W?[A-Z][a-z]+\W?[ _][a-z]{2}"
_GENERA = {"Bacteroides", "Faecalibacterium", "Blautia", "Prevotella", "Bifidobacterium", "Akkermansia", "Roseburia"}
_CONTROLS = ("POS_*", "NEG_*")
_REFERENCE_GENES = {"ACTB", "B2M", "GAPDH", "GUSB", "HPRT1", "PGK1", "RPLP0", "TBP", "UBC", "YWHAZ"}

_MISSING = {"", "na", "n/a", "nan", "null", "unknown", "not available", "not evaluable", "ne", "nd", "."}
_YES_NO = (
    {"yes": "yes", "y": "yes", "no": "no", "n": "no"},
    {"true": "yes", "t": "yes", "false": "no", "f": "no"},
    {"responder": "yes", "r": "yes", "nonresponder": "no", "nr": "no"},
    {**dict.fromkeys("12345", "yes"), "0": "no"},
)
_RECIST = {"completeresponse": "CR", "partialresponse": "PR", "stabledisease": "SD", "progressivedisease": "PD"}
_RECIST |= {code.casefold(): code for code in ("CR", "PR", "SD", "PD")}
_YAML_WORDS = {"yes", "no", "y", "n", "true", "false", "on", "off", "null"}

_CLOCKS = (
    (r"fmt|transplant", "day_fmt", "fecal microbiota transplantation"),
    (r"treatment|therapy|dose|ici|infusion", "day_ici", "first dose of immune checkpoint inhibitors"),
)
_FLAGS = (
    ("durable_benefit", r"durable|(^|_)dcb(_|$)", "confirm: response, or stable disease of at least 6 months"),
    ("published_response", r"(^|_)(response|responder|orr)(_|$)|benefit", "does it count stable disease?"),
    ("toxicity", r"^(?!.*(treat|steroid|date)).*(toxic|irae|adverse)", "confirm the grade: any, 2 or 3 (and above)"),
)
_NEVER = (
    (r"toxic|irae|adverse|colitis|pneumonitis", "the outcome itself, or recorded because of it"),
    (r"(^|_)(response|responder|orr)(_|$)|benefit|recist|^anti_pd_l?1$", "the outcome under another name"),
    (r"(^|_)(pfs|os|dfs|rfs|ttp)\d*(_|$)|progress|surviv|death|deceased|relapse", "progression or death, known later"),
    (r"change|discontinu|follow_?up|duration|cycles", "measured after treatment began"),
    (r"steroid|prednis|immunosuppress", "may have been given because of toxicity"),
    (r"(^|_)ppi(_|$)|proton_pump", "not dated; may have been given because of toxicity"),
    (r"antibiotic|(^|_)abx(_|$)", "not dated; may have been given after treatment began"),
)
_NEVER_VALUE = r"(?i)steroid|prednis|(\b|_)ppi\b|colitis|pneumonitis|toxic|irae"


def _sex(value: str) -> str | None:
    return {"m": "male", "male": "male", "f": "female", "female": "female"}.get(value.casefold())


def _truth(value: str) -> bool | None:
    word = _word(value)
    return True if word in {"yes", "y", "true", "1"} else False if word in {"no", "n", "false", "0"} else None


def _regimen(value: str) -> str | None:
    pd1, ctla4 = (re.search(drugs, value.casefold()) for drugs in (r"nivo|pembro|atezo|pd-?l?1", r"ipi|treme|ctla"))
    return "combination" if pd1 and ctla4 else "anti-PD-1" if pd1 else "anti-CTLA-4" if ctla4 else None


def _stage(value: str) -> str | None:
    found = re.fullmatch(r"(?i)(?:stage\s*)?([0IV]+[a-d]?|[0-4])", value)
    return found and found[1]


_Meaning = Callable[[str], str | bool | None]
_KEEP: tuple[tuple[str, str, str | _Meaning | None], ...] = (
    ("age", r"^age(_(in_)?years?)?(_at_\w+)?$", "years"),
    ("sex", r"^(sex|gender)$", _sex),
    ("bmi", r"^(bmi|body_mass_index)(_|$)", "kg/m2"),
    ("ecog", r"ecog|^performance_status$", None),
    ("stage", r"^((ajcc|tumou?r|disease)_)?stage$", _stage),
    ("ldh", r"^ldh(_|$)", "U/L"),
    ("regimen", r"^(treatment|regimen|therapy|drug)s?$", _regimen),
    ("prior_therapy", r"^(prior|previous|history_of)_\w*(therapy|treatment)$", _truth),
    ("antibiotics", r"antibiotics?_(current|baseline|prior|before|pre)", _truth),
)
"""Clinical field, its column's name, and the unit of its numbers or the meaning of its words."""
CLINICAL = "|".join([*(row[1] for row in _KEEP), *(row[0] for row in _NEVER), _BEST])


class _When(NamedTuple):
    key: str
    column: str
    pattern: str | None = None


class _Stool(NamedTuple):
    """The samples' sheet, if one names the profiles; `patients` have stool, and rows of `donors` are none of theirs."""

    sheet: Sheet | None
    patient: str
    patients: frozenset[str]
    donors: pd.Series[bool]
    prefix: str
    clock: tuple[str, str]
    lines: list[str]


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
    kinds = _kinds(list(map(Path, files)))
    source, taxonomy = _profiles(kinds)
    rank, table = table_at_finest_rank(source, kinds[source], taxonomy)
    sheets = [read_sheet(file) for file, kind in kinds.items() if kind == "sheet"]
    events = next((sheet for sheet in sheets if _event_columns(sheet)), None)
    immune = next((sheet for sheet in sheets if sheet is not events and immune_layout(sheet)), None)
    stool = _stool([sheet for sheet in sheets if sheet is not events], table.samples)
    rest = [sheet for sheet in sheets if sheet not in (events, immune, stool.sheet)] + ([immune] if immune else [])
    clinical = [sheet for sheet in rest if _columns(sheet, CLINICAL)]
    patients = next((s for s in clinical if _patient_column(s, stool.patients, once=True)), stool.sheet)
    course = _course([sheet for sheet in rest if sheet not in (patients, immune)], stool.patients)
    used = {source, taxonomy, *(sheet.file for sheet in (stool.sheet, patients, immune, events) if sheet), *course}
    lines = [
        "# A draft: confirm what is guessed, settle each TODO, and run 'taxokine cohorts check' on this file.",
        f"name: {_yaml(name)}",
        "title: TODO  # TODO: first author and year, cancer, treatment",
        "source:",
        "  licence: TODO  # TODO: the licence under which the files may be used",
        "  citation: TODO  # TODO: where the cohort was published",
        "clock:",
        f"  name: {stool.clock[0]}  # TODO: confirm; day_ici, day_fmt, or the cohort's own",
        f"  index: {stool.clock[1]}  # TODO: confirm the event at day 0",
        *_taxa_lines(source, kinds[source], taxonomy, rank, table, stool.prefix),
        *stool.lines,
        *(_patient_lines(patients, stool, events) if patients else ["# TODO: no sheet of patients was recognised"]),
        *(_immune_lines(immune, stool) if immune else []),
        *(["course:", *course.values()] if course else []),
        *(f"# TODO: {_yaml(file.name)} is not used: it was not recognised" for file in kinds if file not in used),
    ]
    return "\n".join(lines) + "\n"


# What each file is


def _kinds(files: Sequence[Path]) -> dict[Path, str]:
    """Return each file's kind."""
    for name, times in Counter(file.name for file in files).items():
        if times > 1:
            raise InputError(f"{name!r} is named {times} times; they lie in one folder: give each its own name")
    return {file: file_kind(file) for file in files}


def file_kind(file: Path) -> str:
    """Return what a file looks like.

    Parameters
    ----------
    file : Path

    Returns
    -------
    str
        'sheet', 'taxonomy', or a taxa table's format of `read_taxa`, as 'table/rows' with samples in rows.

    Raises
    ------
    FileError
        If it cannot be read, or is none of these.
    """
    try:
        return _kind(file)
    except OSError as error:
        raise FileError(f"the file cannot be read: {error.strerror or error}", file=file) from error
    except (UnicodeDecodeError, csv.Error, zlib.error, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"expected text in UTF-8, or a BIOM or QIIME 2 file: {error}", file=file) from error


def _kind(file: Path) -> str:
    with file.open("rb") as handle:
        magic = handle.read(4)
    if magic == b"\x89HDF":
        return "biom"
    if magic == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            members = {member.partition("/")[2] for member in archive.namelist()}
        for member, kind in (("data/taxonomy.tsv", "taxonomy"), ("data/feature-table.biom", "qza")):
            if member in members:
                return kind
        raise FileError("expected a QIIME 2 table or taxonomy in this archive; save workbooks as CSV", file=file)
    zipped = magic.startswith(b"\x1f\x8b")
    with gzip.open(file, "rt", encoding="utf-8-sig") if zipped else file.open(encoding="utf-8-sig") as text:
        lines = [line for line in islice(text, 500) if line.strip()]
    plain = [line for line in lines if not line.startswith("#")]
    if not plain:
        return "sheet"
    header, *rows = csv.reader(plain, delimiter=next((mark for mark in "\t,;" if mark in plain[0]), ","))
    names = [cell.strip().casefold() for cell in header]
    if len(set(names) & set(RANKS)) >= 3 or "taxon" in names[1:]:
        return "taxonomy"
    labels = [row[0] for row in rows if row]
    if lines[0].startswith("#mpa_") or header[0] == "clade_name" or any("|" in la and "__" in la for la in labels):
        return "metaphlan"
    numbers = all(_is_number(cell) for row in rows[:20] for cell in row[1:])
    if numbers and are_taxa(labels) != are_taxa(header[1:]):
        return "table/columns" if are_taxa(labels) else "table/rows"
    return "sheet"


def are_taxa(labels: Sequence[str]) -> bool:
    """Tell whether labels look like the names of taxa."""
    return len(_GENERA & set(labels)) >= 2 or 2 * sum(bool(re.search(_TAXON, label)) for label in labels) > len(labels)


def _profiles(kinds: Mapping[Path, str]) -> tuple[Path, Path | None]:
    """Return the one taxa table, and the taxonomy that goes with it."""
    tables = [file for file, kind in kinds.items() if kind not in ("taxonomy", "sheet")]
    taxonomies = [file for file, kind in kinds.items() if kind == "taxonomy"]
    if not tables:
        raise InputError(
            "there is no taxa table among the files; expected a merged MetaPhlAn table, a BIOM or QIIME 2 table, or a "
            "TSV or CSV table of numbers with taxa such as 's__Akkermansia_muciniphila' along one side"
        )
    for found, what in ((tables, "taxa table"), (taxonomies, "taxonomy")):
        if len(found) > 1:
            names = " and ".join(file.name for file in found)
            raise InputError(f"a cohort has one {what}, and {names} look like one each; give one of them")
    return tables[0], taxonomies[0] if taxonomies and kinds[tables[0]] in ("biom", "qza") else None


# Stool


def table_at_finest_rank(file: Path, kind: str, taxonomy: Path | None) -> tuple[Rank, TaxaTable]:
    """Return a taxa table at the finest rank at which at least half of it has a name, and that rank.

    Parameters
    ----------
    file : Path
    kind : str
        What `file_kind` says of it.
    taxonomy : Path, optional
        The features' taxonomy.

    Raises
    ------
    FileError
        If the file is no such table, or less than half of it has a name at any rank.
    """
    format, _, side = kind.partition("/")
    options: Any = {"format": format, "taxonomy": taxonomy, "samples_in": side or None}
    absent: FileError | None = None
    ranks: tuple[Rank, ...] = ("species", "genus", "family", "order", "class", "phylum")
    for rank in ranks:
        try:
            table = read_taxa(file, rank=rank, **options)
        except FileError as error:
            # A rank that the whole file lacks has no place in it; whatever has one is wrong at any rank.
            if error.row is not None or error.column is not None:
                raise
            absent = absent or error
            continue
        bare = format in ("biom", "qza") and not table.lineages
        named = [not taxon.startswith("unclassified_") and (rank != "species" or "_" in taxon) for taxon in table.taxa]
        if bare or table.values[:, named].sum() >= table.values.sum() / 2:
            return rank, table
    raise absent or FileError("less than half of it has a name at any rank; give a fuller taxonomy", file=file)


def _taxa_lines(file: Path, kind: str, taxonomy: Path | None, rank: str, table: TaxaTable, prefix: str) -> list[str]:
    format, _, side = kind.partition("/")
    lines = ["taxa:", f"  file: {_yaml(file.name)}", f"  format: {format}"]
    lines += [f"  samples_in: {side}  # guessed: the other side names taxa"] if side else []
    lines += [f"  taxonomy: {_yaml(taxonomy.name)}"] if taxonomy else []
    lines.append(f"  rank: {rank}  # guessed: the finest at which most of the table has a name")
    lines.append(f"  unit: {table.unit}  # guessed: the largest sample sums to {table.values.sum(axis=1).max():g}")
    lines += [f"  prefix: {_yaml(prefix)}  # guessed: profiles' names begin so, the sheet's do not"] if prefix else []
    if format in ("biom", "qza") and not table.lineages:
        lines.append("  # TODO: features have no taxonomy and keep their ids; name a file of it as 'taxonomy'")
    unknown = "TODO: state 'profiler', the program and database that made the profiles, as in metaphlan4"
    lines.append(f"  # {'the file names its profiler: ' + _yaml(table.profiler) if table.profiler else unknown}")
    return lines


def _stool(sheets: Sequence[Sheet], profiles: Sequence[str]) -> _Stool:
    named, prefix, sheet, column, separator = _profile_names(sheets, profiles)
    if sheet is None or named < min(len(profiles), len(sheet.frame)) / 2:
        todo = f"samples:  # TODO: no column of any sheet names the profiles, such as {_yaml(profiles[0])}"
        lines = [todo, *(f"  {key}: TODO" for key in ("file", "sample", "patient", "baseline"))]
        return _Stool(None, "TODO", frozenset(), pd.Series(dtype=bool), "", ("day_ici", "TODO"), lines)
    patient = _patient_column(sheet)
    lines = ["samples:", f"  file: {_yaml(sheet.file.name)}"]
    lines.append(f"  sample: {_yaml(column)}  # guessed: {named} of {len(profiles)} profile names found in this column")
    lines += [f"  separator: {_yaml(separator)}  # guessed: it parts several names in one cell"] if separator else []
    if patient:
        number = sheet.frame[patient].nunique()
        lines.append(f"  patient: {_yaml(patient)}  # guessed: {number} different values in {len(sheet.frame)} rows")
    else:
        patient = column
        lines.append(f"  patient: {_yaml(patient)}  # TODO: no column names patients; each sample is taken as one")
    donor_lines, donors = _donors(sheet)
    own = sheet.frame[~donors]
    when = _when(own)
    if when is None:
        lines.append("  baseline: TODO  # TODO: the publication's words for when stool was taken")
        if own[patient].duplicated().any():
            lines.append("  # TODO: some patients have several samples; name their 'day' or 'visit'")
    elif when.key == "visit":
        lines.append(f"  visit: {_yaml(when.column)}  # guessed: numbers under this name")
    else:
        day = {"column": when.column, **({"pattern": when.pattern} if when.pattern else {})}
        lines.append(f"  day: {_yaml(day)}  # TODO: confirm, and what its day 0 is")
    told = "fmt" if donor_lines else _snake(when.column) if when else ""
    fallback = ("visit" if when and when.key == "visit" else "day_ici", "TODO")
    clock = next(((day, index) for pattern, day, index in _CLOCKS if re.search(pattern, told)), fallback)
    return _Stool(sheet, patient, frozenset(own[patient]), donors, prefix, clock, lines + donor_lines)


def _profile_names(sheets: Sequence[Sheet], profiles: Sequence[str]) -> tuple[int, str, Sheet | None, str, str | None]:
    """Return how many profiles are named by the prefix, sheet, column and separator that name most of them."""
    best: tuple[int, str, Sheet | None, str, str | None] = (0, "", None, "", None)
    prefixes = [profiles[0][:length] for length in range(len(profiles[0]))]
    for prefix in (p for p in prefixes if all(name.startswith(p) for name in profiles)):
        bare = {name.removeprefix(prefix) for name in profiles} - {""}
        for sheet in sheets:
            for column, values in sheet.frame.items():
                for separator in (None, ";", ",", "|"):
                    cells = values.str.split(separator, regex=False).explode().str.strip() if separator else values
                    if (number := len(bare & set(cells))) > best[0]:
                        best = (number, prefix, sheet, str(column), separator)
    return best


def _patient_column(sheet: Sheet, patients: Iterable[str] = (), *, once: bool = False) -> str | None:
    """Return the column named as patients' are, or, where patients are known, the one that holds most of them."""
    known = set(patients)
    column = next(iter(_columns(sheet, PATIENT)), None)
    if known:
        shared = {str(name): len(known & set(values)) for name, values in sheet.frame.items()}
        best = max(shared, key=lambda name: shared[name])
        column = best if 2 * shared[best] >= min(len(known), sheet.frame[best].nunique()) else None
        if once and 2 * shared[best] <= len(known):
            return None
    if column is None or (sheet.frame[column] == "").any() or (once and sheet.frame[column].duplicated().any()):
        return None
    return column


def _when(frame: pd.DataFrame) -> _When | None:
    """Return the column that tells when samples were taken: a day, a name that ends in one, or a visit."""
    for key, pattern in (("day", DAY), ("name", ""), ("visit", VISIT)):
        for column, values in frame.items():
            name = _snake(str(column))
            if key == "name" and values.map(lambda text: re.search(_DAY_IN_NAME, text) is not None).all():
                return _When("day", str(column), _DAY_IN_NAME)
            named = key != "name" and re.search(pattern, name) and not re.search(_OTHER_DAY, name)
            if named and values.map(_is_number).all():
                return _When(key, str(column))
    return None


def _donors(sheet: Sheet) -> tuple[list[str], pd.Series[bool]]:
    """Return the lines of 'donor' and 'given', and the rows that are donors'.

    They are those that a column calls so, or else those whose name others were given.
    """
    for other, names in sheet.frame.items():
        rows = names.str.lower() == "donor"
        if rows.any() and not rows.all():
            value = names[rows].iloc[0]
            donor = _yaml({"column": str(other), "pattern": f"^{value}$"})
            lines = [f"  donor: {donor}  # guessed: {rows.sum()} rows say so; TODO: confirm"]
            return lines + [f"  given: {_yaml(column)}" for column in _columns(sheet, _GIVEN) if column != other][
                :1
            ], rows
    for column in _columns(sheet, _GIVEN):
        named = sheet.frame.loc[~sheet.frame[column].map(_is_missing), column]
        for other, names in sheet.frame.items():
            listed = sorted(set(named) & set(names))
            prefix = re.match(r"[A-Za-z]+[_-]?", listed[0]) if other != column and listed else None
            if prefix is None or not all(name.startswith(prefix[0]) for name in listed):
                continue
            rows = names.str.startswith(prefix[0])
            if not rows[named.index].any():
                donor = _yaml({"column": str(other), "pattern": f"^{prefix[0]}"})
                why = f"# guessed: {rows.sum()} rows are named as {_yaml(column)} names donors; TODO: confirm"
                return [f"  donor: {donor}  {why}", f"  given: {_yaml(column)}"], rows
    return [], pd.Series(False, index=sheet.frame.index)


# Patients and outcomes


def _patient_lines(sheet: Sheet, stool: _Stool, events: Sheet | None) -> list[str]:
    patient, rows = stool.patient, sheet.frame
    if sheet is stool.sheet:
        rows = rows[~stool.donors]
    else:
        patient = _patient_column(sheet, stool.patients) or patient
    columns = {str(c): v for c, v in sheet.frame.items() if c != patient and not v.map(_is_missing).all()}
    steady = {c: v for c, v in columns.items() if (rows.groupby(patient)[c].nunique() == 1).all()}
    outcomes, told = _outcome_lines(steady, rows[patient], events)
    never = {column: why for column, values in columns.items() if column not in told and (why := _why_never(values))}
    keep, kept = _keep_lines({c: v for c, v in columns.items() if c not in told and c not in never})
    for column in (c for c in columns if c not in kept and (c not in told or re.search(_STABLE, _snake(c)))):
        if why := next((why for pattern, why in _NEVER if re.search(pattern, _snake(column))), None):
            never.setdefault(column, why)
    centre = [c for c in _columns(sheet, _CENTRE) if c in steady and 1 < steady[c].nunique() < len(rows)]
    centre = [c for c in centre if not steady[c].map(_is_missing).any()][:1]
    lines = []
    if keep or outcomes or centre:
        have = len(stool.patients & set(rows[patient]))
        lines += ["patients:", f"  file: {_yaml(sheet.file.name)}"]
        lines.append(f"  patient: {_yaml(patient)}  # guessed: {have} of {len(stool.patients)} patients found here")
        lines += [f"  centre: {_yaml(c)}  # guessed: {steady[c].nunique()} of them" for c in centre]
    lines += [*(["  keep:"] if kept else []), *keep]
    lines += ["outcomes:", *outcomes] if outcomes else ["# TODO: no outcome was recognised; describe 'outcomes'"]
    lines += ["never:"] if never else []
    return lines + [f"  {_yaml(column)}: {_yaml(why)}  # TODO: confirm" for column, why in never.items()]


def _keep_lines(columns: Mapping[str, pd.Series[str]]) -> tuple[list[str], set[str]]:
    lines, kept = [], set()
    for name, pattern, said in _KEEP:
        column = next((c for c in columns if re.search(pattern, _snake(c)) and columns[c].nunique() > 1), None)
        if column is None:
            continue
        found = list(columns[column].unique())
        missing = [value for value in found if _is_missing(value)]
        words = {value: said(value) for value in found if value not in missing} if callable(said) else {}
        odd = [v for v in found if v not in missing and (words[v] is None if callable(said) else not _is_number(v))]
        if 2 * len(odd) >= len(found):
            lines.append(f"    # TODO: {name} may be {_yaml(column)}, but {_yaml(odd[0])} is not understood")
            continue
        entry: dict[str, object] = {"column": column}
        if callable(said):
            entry["values"] = {value: word for value, word in words.items() if word is not None}
        elif said:
            entry["unit"] = said
        if odd or set(missing) - {"", "NA"}:
            entry["missing"] = list(dict.fromkeys(["", "NA", *missing, *odd]))
        note = f"what do {_yaml(odd)} mean? Taken as missing" if odd else "confirm the unit" if "unit" in entry else ""
        lines.append(f"    {name}: {_yaml(entry)}" + (f"  # TODO: {note}" if note else ""))
        kept.add(column)
    return lines, kept


def _outcome_lines(
    columns: Mapping[str, pd.Series[str]], patients: pd.Series[str], events: Sheet | None
) -> tuple[list[str], set[str]]:
    """Return the lines of 'outcomes', and the columns they explain."""
    graded = {c: said for c, values in columns.items() if (said := _grouped(values, _RECIST))}
    flags = {
        column: max(found, key=lambda said: -len(said["unknown"]))
        for column, values in columns.items()
        if column not in graded and (found := [said for words in _YES_NO if (said := _grouped(values, words))])
    }
    best = min(graded, key=lambda column: not re.search(_BEST, _snake(column)), default=None)
    stable = next((column for column in flags if re.search(_STABLE, _snake(column))), None)
    rules: list[tuple[str, Mapping[str, Any], str]] = []
    if best:
        rules.append(("recist", {"column": best, **graded[best]}, "confirm that it is the best overall response"))
    for outcome, pattern, todo in _FLAGS:
        column = next((c for c in flags if re.search(pattern, _snake(c)) and c != stable), None)
        if outcome == "toxicity" and events:
            of = {"events": events.file.name, "patient": _patient_column(events, patients) or "TODO"}
            rules.append(
                (outcome, of | (_event_columns(events) or {}), "confirm that patients without a row had no event")
            )
        elif column:
            grade = re.search(r"(?:grade|(?:^|_)g)_?([23])", _snake(column))
            stated = {"grade": grade[1] if grade else "any"} if outcome == "toxicity" else {}
            rules.append((outcome, {"column": column, **stated, **flags[column]}, todo))
        elif outcome == "durable_benefit" and best and stable:
            lasted = {"stable_six_months": {"column": stable, **flags[stable]}}
            rules.append((outcome, lasted, "confirm that it tells whether stable disease lasted six months"))
    lines, told = [], set[str]()
    for outcome, rule, todo in rules:
        said = rule.get("stable_six_months", rule)
        unsure = [value for value in said.get("unknown", ()) if not _is_missing(value)]
        lines.append(f"  # TODO: {todo}" + (f"; what do {_yaml(unsure)} mean? Taken as unknown" if unsure else ""))
        lines.append(f"  {outcome}: {_yaml(rule)}")
        told |= {said["column"]} if "column" in said else set()
    return lines, told


def _grouped(values: pd.Series[str], meaning: Mapping[str, str]) -> dict[str, list[str]] | None:
    """Return the values under what they mean and the rest as unknown, if most rows mean one of several things."""
    means = {value: meaning.get(_word(value).removeprefix("recist"), "unknown") for value in values.unique()}
    rows = values[~values.map(_is_missing)].map(means)
    if rows[rows != "unknown"].nunique() < 2 or 2 * (rows == "unknown").sum() >= len(rows):
        return None
    return {key: [v for v in means if means[v] == key] for key in (*dict.fromkeys(meaning.values()), "unknown")}


def _event_columns(sheet: Sheet) -> dict[str, str] | None:
    """Return the columns of an adverse events' table by their meaning, if that is what the sheet is."""
    found: dict[str, str] = {}
    for key, pattern, numeric in (("grade", _GRADE, True), ("day", _ONSET, True), ("term", _TERM, False)):
        for column in _columns(sheet, pattern):
            if column not in found.values() and sheet.frame[column].map(_is_number).all() == numeric:
                found.setdefault(key, column)
    return found if len(found) == 3 and not any(_columns(sheet, row[1]) for row in _KEEP) else None


def _why_never(values: pd.Series[str]) -> str | None:
    telling = next((value for value in values.unique() if re.search(_NEVER_VALUE, value)), None)
    return telling and f"holds {telling!r}: may be recorded because of the outcome"


# Immune measurements


def immune_layout(sheet: Sheet) -> str | None:
    """Return 'wide' or 'long', if a sheet looks like a table of immune measurements."""
    if sum(is_analyte(str(column)) for column in sheet.frame) >= 3:
        return "wide"
    names = _columns(sheet, ANALYTE)
    return "long" if names and _columns(sheet, VALUE) and sheet.frame[names[0]].map(is_analyte).any() else None


def _immune_lines(sheet: Sheet, stool: _Stool) -> list[str]:
    layout, frame, when = immune_layout(sheet), sheet.frame, _when(sheet.frame)
    patient = _patient_column(sheet, stool.patients) or "TODO"
    have = len(stool.patients & set(frame.get(patient, ())))
    lines = ["immune:", f"  file: {_yaml(sheet.file.name)}", f"  layout: {layout}"]
    lines.append(f"  patient: {_yaml(patient)}  # guessed: {have} of {len(stool.patients)} patients found here")
    if when is None or when.pattern:
        lines.append("  baseline: TODO  # TODO: the publication's words for when blood was drawn")
    else:
        lines.append(f"  {when.key}: {_yaml(when.column)}  # guessed: numbers under this name")
    spelled: set[str] = set()
    if layout == "long":
        analyte, value, *unit = (c[0] for p in (ANALYTE, VALUE, r"^units?$") if (c := _columns(sheet, p)))
        lines += [f"  analyte: {_yaml(analyte)}", f"  value: {_yaml(value)}"]
        cells = {str(name): part for name, part in frame.groupby(analyte, sort=False)[value]}
        spelled = {written for column in unit for written in frame[column].str.casefold()}
        lines += [f"  unit_column: {_yaml(unit[0])}"] if spelled and spelled <= {"pg/ml", "ng/ml"} else []
    else:
        cells = {str(name): v for name, v in frame.items() if name not in (patient, when and when.column)}
        spelled = {found[1].lower() + "/ml" for name in cells if (found := re.search(_UNIT_IN_NAME, name))}
    expression = "expression" in _snake(sheet.file.stem) or any(name.startswith(("POS_", "NEG_")) for name in cells)
    unit_guess = "log2_expression" if expression else "ng/mL" if spelled == {"ng/ml"} else "pg/mL"
    if expression or (spelled and spelled <= {"pg/ml", "ng/ml"} and (layout == "long" or len(spelled) == 1)):
        lines.append(f"  unit: {unit_guess}  # guessed from names; TODO: confirm")
    else:
        lines.append("  unit: unstated  # TODO: state pg/mL, ng/mL or NPX, if the source does")
    return lines + _measurement_lines(cells, layout == "wide", expression)


def _measurement_lines(cells: Mapping[str, pd.Series[str]], wide: bool, expression: bool) -> list[str]:
    """Return the lines on what is no measurement: controls, other columns, analytes without a value, codes."""
    drop = [pattern for pattern in _CONTROLS if any(fnmatchcase(name, pattern) for name in cells)]
    ignore: dict[str, str] = {}
    kept: dict[str, pd.Series[float]] = {}
    for name, values in cells.items():
        if any(fnmatchcase(name, pattern) for pattern in drop):
            continue
        written = values[~values.map(_is_missing)]
        other = wide and not is_analyte(name) and bool(columns_named([name], f"{CLINICAL}|{DAY}|{VISIT}"))
        if other or (expression and name in _REFERENCE_GENES) or 2 * written.map(_is_reading).sum() < len(written):
            drop.append(name)
        elif written.map(_word).isin(["0"]).all():
            ignore[name] = "zero or missing in every sample"
        else:
            kept[name] = pd.to_numeric(written, errors="coerce")
    lines = [f"  drop: {_yaml(drop)}  # guessed: no measurements; TODO: confirm"] if drop else []
    lines += [f"  ignore: {_yaml(ignore)}"] if ignore else []
    if expression or not kept:
        return lines
    numbers = pd.concat(kept, names=["analyte"]).reset_index(level="analyte", name="number")
    level = numbers[numbers["number"] > 0].groupby("analyte")["number"].median()
    sides: dict[str, list[float]] = {"below": [], "above": []}
    for code, rows in numbers[numbers["number"] < 0].groupby("number"):
        most = rows["analyte"].mode()[0]
        # A code met most in one of the most abundant analytes is likelier to mean above range than below it.
        side = "above" if level.get(most, 0) >= level.quantile(0.9) else "below"
        sides[side].append(cast(float, code))
        lines.append(f"  # TODO: {code:g} stands {len(rows)} times, most in {_yaml(most)}: is it {side} range?")
    return lines + [f"  {side}: {_yaml(codes)}" for side, codes in sides.items() if codes]


# The course


def _course(sheets: Sequence[Sheet], patients: frozenset[str]) -> dict[Path, str]:
    """Return the files that tell the trial's course, each with its line."""
    lines: dict[Path, str] = {}
    parts = {"transplants": _transplants, "assessments": _assessments, "cycles": _cycles,
             "medications": _medications, "measures": _measures}  # fmt: skip
    for sheet in sheets:
        patient = _patient_column(sheet, patients)
        found = next(((part, told) for part, tell in parts.items() if patient and (told := tell(sheet))), None)
        if found is None:
            continue
        part, told = found
        del parts[part]
        odd = sorted({value for value in sheet.frame.to_numpy().ravel() if _is_missing(value)} - {"", "NA"})
        rule = {"file": sheet.file.name, "patient": patient, **told} | ({"missing": ["", "NA", *odd]} if odd else {})
        lines[sheet.file] = f"  {part}: {_yaml(rule)}  # guessed; TODO: confirm"
    return lines


def _told(sheet: Sheet, part: str, *, dated: bool = True) -> dict[str, Any]:
    """Return the columns of a part of the course by the manifest's keys; none where its day is not told."""
    when = _when(sheet.frame)
    if dated and (when is None or when.key != "day" or when.pattern):
        return {}
    found: dict[str, Any] = {"day": when.column} if dated and when else {}
    for key, pattern in _TOLD[part].items():
        for column in _columns(sheet, pattern):
            values = sheet.frame[column]
            known = values[~values.map(_is_missing)]
            if column not in found.values() and len(known) and known.map(_is_number).all() == (key in _NUMBERS):
                found.setdefault(key, column)
    return found


def _transplants(sheet: Sheet) -> dict[str, Any]:
    told = _told(sheet, "transplants")
    return told if len({"donor", "batch", "route", "preparation"} & set(told)) > 1 else {}


def _cycles(sheet: Sheet) -> dict[str, Any]:
    told = _told(sheet, "cycles")
    given = "drug" in told and sheet.frame[told["drug"]].str.contains(_INHIBITORS).mean() > 0.5
    return told if given else {}


def _assessments(sheet: Sheet) -> dict[str, Any]:
    told = _told(sheet, "assessments")
    if "response" in told:
        words = [value for value in sheet.frame[told["response"]].unique() if value not in ("", "NA")]
        judged = {value: _JUDGED.get(_word(value).removeprefix("recist"), "NE") for value in words}
        if 2 * sum(_word(value).removeprefix("recist") in _JUDGED for value in words) <= len(words):
            return {}
        told["response"] = {"column": told["response"], "values": judged}
    return told if {"response", "sum_mm"} & set(told) else {}


def _medications(sheet: Sheet) -> dict[str, Any]:
    told = _told(sheet, "medications", dated=False)
    if not {"name", "start"} <= set(told):
        return {}
    column = told.pop("name")
    kinds = {
        name: next((kind for kind, drugs in _KINDS_OF_DRUG if re.search(drugs, name)), "other")
        for name in sheet.frame[column].unique()
    }
    return {"name": column, "kind": {"column": column, "values": kinds}, **told}


def _measures(sheet: Sheet) -> dict[str, Any]:
    told = _told(sheet, "measures")
    if not told or {"name", "value"} <= set(told):
        return told
    columns: dict[str, Any] = {}
    for measure, pattern, unit in _MEASURED:
        for column in _columns(sheet, pattern):
            values = sheet.frame[column]
            if measure not in columns and values[~values.map(_is_missing)].map(_is_number).all():
                spelled = re.search(r"_(?:(kg|lb)|(m?g)_(?:per_)?(d?)l)$", _snake(column))
                stated = spelled and (spelled[1] or f"{spelled[2]}/{spelled[3]}L")
                columns[measure] = {"column": column, "unit": stated or unit}
    return {"day": told["day"], "columns": columns} if columns else {}


# Words


def _columns(sheet: Sheet, pattern: str) -> list[str]:
    return columns_named(map(str, sheet.frame), pattern)


def columns_named(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names in which a pattern is found once they are in snake case."""
    return [name for name in names if re.search(pattern, _snake(name))]


def _snake(name: str) -> str:
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)).strip("_").lower()


def _word(value: str) -> str:
    return re.sub(r"\.0+$|[\W_]", "", value).casefold()


def _is_missing(value: str) -> bool:
    return value.casefold() in _MISSING


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\s*[-+\N{MINUS SIGN}]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value) is not None


def _is_reading(value: str) -> bool:
    try:
        parse_value(value, unit="log2_expression")  # of all units the one that takes codes such as -2 for numbers
    except InputError:
        return False
    return True


def is_analyte(name: str) -> bool:
    """Tell whether a name, with or without a unit behind it, is one that `canonical_analyte` knows."""
    known = canonical_analyte(re.sub(_UNIT_IN_NAME, "", name))
    return known in SYNONYMS or re.fullmatch(r"IL-\d+\w?", known) is not None


def _yaml(value: object) -> str:
    """Return YAML on one line; whatever is not a plain word is quoted."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(entry)}" for key, entry in value.items() if entry != []) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, bool | float):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    text = str(value)
    if re.fullmatch(r"[A-Za-z]\w*([ ./-]\w+)*", text, re.ASCII) and text.casefold() not in _YAML_WORDS:
        return text
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()
