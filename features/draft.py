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
from typing import NamedTuple, cast

import pandas as pd
import yaml

from features.analytes import SYNONYMS, canonical_analyte, parse_value
from features.errors import FileError, InputError
from features.sheets import Sheet, read_sheet
from features.taxa import Format, Rank, TaxaTable, read_taxa
from features.taxa_formats import RANKS

# Patterns are searched for in a column's name in snake case: "PatientID" is "patient_id".
_PATIENT = r"^(host_|study_)?(patient|subject|participant|individual|pt)(_?(id|identifier|name|code|number|no|nr))?$"
_DAY = r"(^|_)days?(_|$)"
_OTHER_DAY = r"first_(collection|sample|visit)|surviv|pfs|(^|_)os(_|$)|follow|death|progress|(^|_)age(_|$)"
_VISIT = r"^(visit|time_?point)(_?(number|no|nr|id))?$"
_CENTRE = r"^(sub_?cohort|centre|center|hospital|institution|study_site|site|location)(_?(id|name))?$"
_GIVEN = r"donor|(^|_)fmt(_|$)"
_TERM, _GRADE, _ONSET = r"term|event|(^|_)ae(_|$)|toxicity$", r"grade", r"(^|_)(days?|onset)(_|$)"
_ANALYTE, _VALUE = r"^(analyte|cytokine|marker|protein|assay)(_?name)?$", r"^(value|concentration|level|result|npx)$"
_STABLE = r"(^|_)pfs_?0?6(_|$)"
_BEST = r"recist|best_(overall_)?response|(^|_)bor(_|$)"

_DAY_IN_NAME = r"(?<=[0-9_.-])[Dd](ay)?_?(?P<day>-?[0-9]+)$"
_UNIT_IN_NAME = r"(?i)[\s_(\[]+(pg|ng)[\s_/]*ml[)\]]*$"
_TAXON = r"(^|[|;]\s*)[dkpcofgst]__|^\W?[A-Z][a-z]+\W?[ _][a-z]{2}"
_GENERA = {"Bacteroides", "Faecalibacterium", "Blautia", "Prevotella", "Bifidobacterium", "Akkermansia", "Roseburia"}
_CONTROLS = ("POS_*", "NEG_*")
_REFERENCE_GENES = {"ACTB", "B2M", "GAPDH", "GUSB", "HPRT1", "PGK1", "RPLP0", "TBP", "UBC", "YWHAZ"}

_MISSING = {"", "na", "n/a", "nan", "null", "unknown", "not available", "not evaluable", "ne", "nd", "."}
_YES_NO = (
    ({"yes", "y"}, {"no", "n"}),
    ({"true", "t"}, {"false", "f"}),
    ({"r", "responder"}, {"nr", "nonresponder"}),
    ({"1", "2", "3", "4", "5"}, {"0"}),
)
_RECIST = {"completeresponse": "CR", "partialresponse": "PR", "stabledisease": "SD", "progressivedisease": "PD"}
_RECIST |= {code.casefold(): code for code in ("CR", "PR", "SD", "PD")}
_YAML_WORDS = {"yes", "no", "y", "n", "true", "false", "on", "off", "null"}

_CLOCKS = (
    (r"fmt|transplant", "day_fmt", "fecal microbiota transplantation"),
    (r"treatment|therapy|dose|ici|infusion", "day_ici", "first dose of immune checkpoint inhibitors"),
)
_FLAGS = (
    ("durable_benefit", r"durable|(^|_)dcb(_|$)", "confirm that it is response, or stable disease of at least 6 months"),
    ("published_response", r"(^|_)(response|responder|orr)(_|$)|benefit", "does it count stable disease, and how long?"),
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
    pd1, ctla4 = (re.search(drugs, value.casefold()) for drugs in (r"nivo|pembro|atezo|durva|pd-?l?1", r"ipi|treme|ctla"))
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
_CLINICAL = "|".join([*(row[1] for row in _KEEP), *(row[0] for row in _NEVER), _BEST])


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
        One taxa table, and what there is of sheets of samples and patients, a taxonomy, an immune table and adverse
        events, in any order.
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
    rank, table = _at_finest_rank(source, cast(Format, kinds[source]), taxonomy)
    sheets = [Sheet(file, read_sheet(file).frame.fillna("")) for file, kind in kinds.items() if kind == "sheet"]
    events = next((sheet for sheet in sheets if _is_events(sheet)), None)
    immune = next((sheet for sheet in sheets if sheet is not events and _immune_layout(sheet)), None)
    stool = _stool([sheet for sheet in sheets if sheet is not events], table.samples)
    rest = [sheet for sheet in sheets if sheet not in (events, immune, stool.sheet)] + ([immune] if immune else [])
    clinical = [sheet for sheet in rest if _columns(sheet, _CLINICAL)]
    patients = next((s for s in clinical if _patient_column(s, stool.patients, once=True)), stool.sheet)
    used = {source, taxonomy, *(sheet.file for sheet in (stool.sheet, patients, immune, events) if sheet)}
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
        *(f"# TODO: {_yaml(file.name)} is not used: nothing in it was recognised" for file in kinds if file not in used),
    ]
    return "\n".join(lines) + "\n"


# What each file is


def _kinds(files: Sequence[Path]) -> dict[Path, str]:
    """Return each file's kind: a format of taxa tables, 'taxonomy' or 'sheet'."""
    for name, times in Counter(file.name for file in files).items():
        if times > 1:
            raise InputError(f"{name!r} is named {times} times; a manifest lies beside its files: give each its own name")
    kinds = {}
    for file in files:
        try:
            kinds[file] = _kind(file)
        except OSError as error:
            raise FileError(f"the file cannot be read: {error.strerror or error}", file=file) from error
        except (UnicodeDecodeError, csv.Error, zlib.error, EOFError, zipfile.BadZipFile) as error:
            raise FileError(f"expected text in UTF-8, or a BIOM or QIIME 2 file: {error}", file=file) from error
    return kinds


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
        raise FileError("expected a QIIME 2 table or taxonomy in this archive; save a workbook's sheets as CSV", file=file)
    zipped = magic.startswith(b"\x1f\x8b")
    with gzip.open(file, "rt", encoding="utf-8-sig") if zipped else file.open(encoding="utf-8-sig") as text:
        lines = [line for line in islice(text, 500) if line.strip()]
    plain = [line for line in lines if not line.startswith("#")]
    if not plain:
        raise FileError("expected a header and rows, got no such line", file=file)
    header, *rows = csv.reader(plain, delimiter=next((mark for mark in "\t,;" if mark in plain[0]), ","))
    names = {cell.strip().casefold() for cell in header}
    if len(names & set(RANKS)) >= 3 or "taxon" in names:
        return "taxonomy"
    labels = [row[0] for row in rows if row]
    if lines[0].startswith("#mpa_") or header[0] == "clade_name" or any("|" in la and "__" in la for la in labels):
        return "metaphlan"
    numbers = all(_is_number(cell) for row in rows[:20] for cell in row[1:])
    return "table" if numbers and (_are_taxa(labels) or _are_taxa(header[1:])) else "sheet"


def _are_taxa(labels: Sequence[str]) -> bool:
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


def _at_finest_rank(file: Path, format: Format, taxonomy: Path | None) -> tuple[Rank, TaxaTable]:
    """Return the table at the finest rank at which at least half of it has a name."""
    absent: FileError | None = None
    ranks: tuple[Rank, ...] = ("species", "genus", "family", "order", "class", "phylum")
    for rank in ranks:
        try:
            table = read_taxa(file, format=format, rank=rank, taxonomy=taxonomy)
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


def _taxa_lines(
    file: Path, format: str, taxonomy: Path | None, rank: str, table: TaxaTable, prefix: str
) -> list[str]:
    lines = ["taxa:", f"  file: {_yaml(file.name)}", f"  format: {format}"]
    lines += [f"  taxonomy: {_yaml(taxonomy.name)}"] if taxonomy else []
    lines.append(f"  rank: {rank}  # guessed: the finest at which most of the table has a name")
    lines.append(f"  unit: {table.unit}  # guessed: the largest sample sums to {table.values.sum(axis=1).max():g}")
    lines += [f"  prefix: {_yaml(prefix)}  # guessed: the profiles' names begin so, the sheet's do not"] if prefix else []
    if format in ("biom", "qza") and not table.lineages:
        lines.append("  # TODO: features have no taxonomy and keep their ids; name a file of it as 'taxonomy'")
    unknown = "TODO: state 'profiler', the program and database that made the profiles, as in metaphlan4"
    lines.append(f"  # {'the file names its profiler, ' + table.profiler if table.profiler else unknown}")
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


def _profile_names(
    sheets: Sequence[Sheet], profiles: Sequence[str]
) -> tuple[int, str, Sheet | None, str, str | None]:
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
    column = next(iter(_columns(sheet, _PATIENT)), None)
    if known:
        shared = {str(name): len(known & set(values)) for name, values in sheet.frame.items()}
        best = max(shared, key=lambda name: shared[name])
        column = best if 2 * shared[best] >= min(len(known), sheet.frame[best].nunique()) else None
    if column is None or (sheet.frame[column] == "").any() or (once and sheet.frame[column].duplicated().any()):
        return None
    return column


def _when(frame: pd.DataFrame) -> _When | None:
    """Return the column that tells when samples were taken: a day, a name that ends in one, or a visit."""
    for key, pattern in (("day", _DAY), ("name", ""), ("visit", _VISIT)):
        for column, values in frame.items():
            name = _snake(str(column))
            if key == "name" and values.map(lambda text: re.search(_DAY_IN_NAME, text) is not None).all():
                return _When("day", str(column), _DAY_IN_NAME)
            if key != "name" and re.search(pattern, name) and not re.search(_OTHER_DAY, name):
                if values.map(_is_number).all():
                    return _When(key, str(column))
    return None


def _donors(sheet: Sheet) -> tuple[list[str], pd.Series[bool]]:
    """Return the lines of 'donor' and 'given', and the rows that are donors': those whose name others were given."""
    for column in _columns(sheet, _GIVEN):
        given = sheet.frame.loc[~sheet.frame[column].map(_is_missing), column]
        for other, names in sheet.frame.items():
            listed = sorted(set(given) & set(names))
            prefix = re.match(r"[A-Za-z]+[_-]?", listed[0]) if other != column and listed else None
            if prefix is None or not all(name.startswith(prefix[0]) for name in listed):
                continue
            rows = names.str.startswith(prefix[0])
            if not rows[given.index].any():
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
    for column in columns:
        if column not in kept and column not in never and (column not in told or re.search(_STABLE, _snake(column))):
            never |= {column: why for pattern, why in _NEVER[::-1] if re.search(pattern, _snake(column))}
    centre = [c for c in _columns(sheet, _CENTRE) if c in steady and 1 < steady[c].nunique() < len(rows)]
    centre = [c for c in centre if not steady[c].map(_is_missing).any()][:1]
    lines = []
    if keep or outcomes or centre:
        have = len(stool.patients & set(rows[patient]))
        lines += ["patients:", f"  file: {_yaml(sheet.file.name)}"]
        lines.append(f"  patient: {_yaml(patient)}  # guessed: {have} of {len(stool.patients)} patients found here")
        lines += [f"  centre: {_yaml(c)}  # guessed: {steady[c].nunique()} of them" for c in centre]
    lines += ["  keep:", *keep] if keep else []
    lines += ["outcomes:", *outcomes] if outcomes else ["# TODO: no outcome was recognised; describe 'outcomes'"]
    return lines + (["never:"] if never else []) + [f"  {_yaml(c)}: {_yaml(why)}  # TODO: confirm" for c, why in never.items()]


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
        note = f"what do {_yaml(odd)} mean? Taken as missing" if odd else f"confirm {said}" if isinstance(said, str) else ""
        lines.append(f"    {name}: {_yaml(entry)}" + (f"  # TODO: {note}" if note else ""))
        kept.add(column)
    return lines, kept


def _outcome_lines(
    columns: Mapping[str, pd.Series[str]], patients: pd.Series[str], events: Sheet | None
) -> tuple[list[str], set[str]]:
    """Return the lines of 'outcomes', and the columns they explain."""
    lines, told = [], set[str]()

    def tell(name: str, column: str, said: Mapping[str, object], todo: str | None) -> None:
        unsure = [value for value in columns[column].unique() if value in said.get("unknown", ()) and not _is_missing(value)]
        lines.extend([f"  # TODO: {todo}"] if todo else [])
        lines.extend([f"  # TODO: what do {_yaml(unsure)} mean? Taken as unknown"] if unsure else [])
        rule = {"column": column, **said}
        lines.append(f"  {name}: {_yaml({'stable_six_months': rule} if name == 'durable_benefit' and column == stable else rule)}")
        told.add(column)
