"""The lines of patients and outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from features.draft.stool import Stool
from features.draft.words import columns_of, in_yaml, is_missing, is_number, patient_column, snake, word
from features.tables.text import TextTable

_CENTRE = r"^(sub_?cohort|centre|center|hospital|institution|study_site|site|location)(_?(id|name))?$"
_TERM, _GRADE, _ONSET = r"term|event|(^|_)ae(_|$)|toxicity$", r"grade", r"(^|_)(days?|onset)(_|$)"
_STABLE = r"(^|_)pfs_?0?6(_|$)"
_BEST = r"recist|best_(overall_)?response|(^|_)bor(_|$)"
_YES_NO = (
    {"yes": "yes", "y": "yes", "no": "no", "n": "no"},
    {"true": "yes", "t": "yes", "false": "no", "f": "no"},
    {"responder": "yes", "r": "yes", "nonresponder": "no", "nr": "no"},
    {**dict.fromkeys("12345", "yes"), "0": "no"},
)
_RECIST = {"completeresponse": "CR", "partialresponse": "PR", "stabledisease": "SD", "progressivedisease": "PD"}
_RECIST |= {code.casefold(): code for code in ("CR", "PR", "SD", "PD")}
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
    said = word(value)
    return True if said in {"yes", "y", "true", "1"} else False if said in {"no", "n", "false", "0"} else None


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


def patient_lines(sheet: TextTable, stool: Stool, events: TextTable | None) -> list[str]:
    """Return the lines of patients and outcomes, and of what may not become a feature."""
    patient, rows = stool.patient, sheet.frame
    if sheet is stool.sheet:
        rows = rows[~stool.donors]
    else:
        patient = patient_column(sheet, stool.patients) or patient
    columns = {str(c): v for c, v in sheet.frame.items() if c != patient and not v.map(is_missing).all()}
    steady = {c: v for c, v in columns.items() if (rows.groupby(patient)[c].nunique() == 1).all()}
    outcomes, told = _outcome_lines(steady, rows[patient], events)
    never = {column: why for column, values in columns.items() if column not in told and (why := _why_never(values))}
    keep, kept = _keep_lines({c: v for c, v in columns.items() if c not in told and c not in never})
    for column in (c for c in columns if c not in kept and (c not in told or re.search(_STABLE, snake(c)))):
        if why := next((why for pattern, why in _NEVER if re.search(pattern, snake(column))), None):
            never.setdefault(column, why)
    centre = [c for c in columns_of(sheet, _CENTRE) if c in steady and 1 < steady[c].nunique() < len(rows)]
    centre = [c for c in centre if not steady[c].map(is_missing).any()][:1]
    lines = []
    if keep or outcomes or centre:
        have = len(stool.patients & set(rows[patient]))
        lines += ["patients:", f"  file: {in_yaml(sheet.path.name)}"]
        lines.append(f"  patient: {in_yaml(patient)}  # guessed: {have} of {len(stool.patients)} patients found here")
        lines += [f"  centre: {in_yaml(c)}  # guessed: {steady[c].nunique()} of them" for c in centre]
    lines += [*(["  covariates:"] if kept else []), *keep]
    lines += ["outcomes:", *outcomes] if outcomes else ["# TODO: no outcome was recognised; describe 'outcomes'"]
    lines += ["exclude_columns:"] if never else []
    return lines + [f"  {in_yaml(column)}: {in_yaml(why)}  # TODO: confirm" for column, why in never.items()]


def _keep_lines(columns: Mapping[str, pd.Series[str]]) -> tuple[list[str], set[str]]:
    lines, kept = [], set()
    for name, pattern, said in _KEEP:
        column = next((c for c in columns if re.search(pattern, snake(c)) and columns[c].nunique() > 1), None)
        if column is None:
            continue
        found = list(columns[column].unique())
        missing = [value for value in found if is_missing(value)]
        words = {value: said(value) for value in found if value not in missing} if callable(said) else {}
        odd = [v for v in found if v not in missing and (words[v] is None if callable(said) else not is_number(v))]
        if 2 * len(odd) >= len(found):
            lines.append(f"    # TODO: {name} may be {in_yaml(column)}, but {in_yaml(odd[0])} is not understood")
            continue
        entry: dict[str, object] = {"column": column}
        if callable(said):
            entry["values"] = {value: word for value, word in words.items() if word is not None}
        elif said:
            entry["unit"] = said
        if odd or set(missing) - {"", "NA"}:
            entry["missing"] = list(dict.fromkeys(["", "NA", *missing, *odd]))
        note = (
            f"what do {in_yaml(odd)} mean? Taken as missing" if odd else "confirm the unit" if "unit" in entry else ""
        )
        lines.append(f"    {name}: {in_yaml(entry)}" + (f"  # TODO: {note}" if note else ""))
        kept.add(column)
    return lines, kept


def _outcome_lines(
    columns: Mapping[str, pd.Series[str]], patients: pd.Series[str], events: TextTable | None
) -> tuple[list[str], set[str]]:
    """Return the lines of 'outcomes', and the columns they explain."""
    graded = {c: said for c, values in columns.items() if (said := _grouped(values, _RECIST))}
    flags = {
        column: max(found, key=lambda said: -len(said["unknown"]))
        for column, values in columns.items()
        if column not in graded and (found := [said for words in _YES_NO if (said := _grouped(values, words))])
    }
    best = min(graded, key=lambda column: not re.search(_BEST, snake(column)), default=None)
    stable = next((column for column in flags if re.search(_STABLE, snake(column))), None)
    rules: list[tuple[str, Mapping[str, Any], str]] = []
    if best:
        rules.append(("recist", {"column": best, **graded[best]}, "confirm that it is the best overall response"))
    for outcome, pattern, todo in _FLAGS:
        column = next((c for c in flags if re.search(pattern, snake(c)) and c != stable), None)
        if outcome == "toxicity" and events:
            of = {"events": events.path.name, "patient": patient_column(events, patients) or "TODO"}
            rules.append(
                (outcome, of | (event_columns(events) or {}), "confirm that patients without a row had no event")
            )
        elif column:
            grade = re.search(r"(?:grade|(?:^|_)g)_?([23])", snake(column))
            stated = {"grade": grade[1] if grade else "any"} if outcome == "toxicity" else {}
            rules.append((outcome, {"column": column, **stated, **flags[column]}, todo))
        elif outcome == "durable_benefit" and best and stable:
            lasted = {"stable_six_months": {"column": stable, **flags[stable]}}
            rules.append((outcome, lasted, "confirm that it tells whether stable disease lasted six months"))
    lines, told = [], set[str]()
    for outcome, rule, todo in rules:
        said = rule.get("stable_six_months", rule)
        unsure = [value for value in said.get("unknown", ()) if not is_missing(value)]
        lines.append(f"  # TODO: {todo}" + (f"; what do {in_yaml(unsure)} mean? Taken as unknown" if unsure else ""))
        lines.append(f"  {outcome}: {in_yaml(rule)}")
        told |= {said["column"]} if "column" in said else set()
    return lines, told


def _grouped(values: pd.Series[str], meaning: Mapping[str, str]) -> dict[str, list[str]] | None:
    """Return the values under what they mean and the rest as unknown, if most rows mean one of several things."""
    means = {value: meaning.get(word(value).removeprefix("recist"), "unknown") for value in values.unique()}
    rows = values[~values.map(is_missing)].map(means)
    if rows[rows != "unknown"].nunique() < 2 or 2 * (rows == "unknown").sum() >= len(rows):
        return None
    return {key: [v for v in means if means[v] == key] for key in (*dict.fromkeys(meaning.values()), "unknown")}


def event_columns(sheet: TextTable) -> dict[str, str] | None:
    """Return the columns of an adverse events' table by their meaning, if that is what the sheet is."""
    found: dict[str, str] = {}
    for key, pattern, numeric in (("grade", _GRADE, True), ("day", _ONSET, True), ("term", _TERM, False)):
        for column in columns_of(sheet, pattern):
            if column not in found.values() and sheet.frame[column].map(is_number).all() == numeric:
                found.setdefault(key, column)
    return found if len(found) == 3 and not any(columns_of(sheet, row[1]) for row in _KEEP) else None


def _why_never(values: pd.Series[str]) -> str | None:
    telling = next((value for value in values.unique() if re.search(_NEVER_VALUE, value)), None)
    return telling and f"holds {telling!r}: may be recorded because of the outcome"
