"""Drafted lines of clinical covariates, and of columns that may not become features."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from features.draft.cells import is_missing, label_meaning, normalise_word, without_code
from features.draft.columns import snake_case
from features.draft.header_codes import code_label, codes_in_name
from features.draft.translations import NO_WORDS, SEXES, YES_WORDS
from features.draft.yaml_lines import in_yaml
from features.tables.decimals import is_number

Decode = Callable[[str], str | bool | None]
"""A function from a cell to its meaning, None where it has no obvious one."""


def _decode_sex(cell: str) -> str | None:
    return label_meaning(cell, SEXES)


def _decode_yes_no(cell: str) -> bool | None:
    word = normalise_word(cell)
    if word in {*YES_WORDS, "true", "1"}:
        return True
    return False if word in {*NO_WORDS, "false", "0"} else None


def _decode_regimen(cell: str) -> str | None:
    drugs = cell.casefold()
    has_anti_pd1 = re.search(r"nivo|pembro|atezo|pd-?l?1", drugs)
    has_anti_ctla4 = re.search(r"ipi|treme|ctla", drugs)
    if has_anti_pd1 and has_anti_ctla4:
        return "combination"
    return "anti-PD-1" if has_anti_pd1 else "anti-CTLA-4" if has_anti_ctla4 else None


def _decode_stage(cell: str) -> str | None:
    stage = re.fullmatch(r"(?i)(?:stage\s*)?([0IV]+[a-d]?|[0-4])", cell)
    return stage and stage[1]


@dataclass(frozen=True)
class _Covariate:
    """A clinical covariate: its name, the pattern of its column, and its unit or the meaning of its cells."""

    name: str
    pattern: str
    unit: str | None = None
    decode: Decode | None = None


_COVARIATES = (
    _Covariate("age", r"^age(_(in_)?years?)?(_at_\w+)?$", unit="years"),
    _Covariate("sex", r"^(sex|gender)$", decode=_decode_sex),
    _Covariate("bmi", r"^(bmi|body_mass_index)(_|$)", unit="kg/m2"),
    _Covariate("ecog", r"ecog|^performance_status$"),
    _Covariate("stage", r"^((ajcc|tumou?r|disease)_)?stage$", decode=_decode_stage),
    _Covariate("ldh", r"^ldh(?!.*(uln|ratio|fold))(_|$)", unit="U/L"),
    _Covariate("regimen", r"^(treatment|regimen|therapy|drug)s?$", decode=_decode_regimen),
    _Covariate("prior_immunotherapy", r"^(prior|previous|history_of)_immuno_?therapy$", decode=_decode_yes_no),
    _Covariate(
        "prior_therapy", r"^(prior|previous|history_of)_(?!\w*immuno)\w*(therapy|treatment)$", decode=_decode_yes_no
    ),
    _Covariate(
        "antibiotics",
        r"^(?!.*(after|during|post|(^|_)(no|non|without|never)(_|$))).*antibiotics?_(\w+_)?(current|baseline|prior|before|pre)(_|$)",
        decode=_decode_yes_no,
    ),
)
_EXCLUDED = (
    (
        r"toxic|irae|(^|_)ir_?aes?(_|$)|immune_related|adverse|colitis|pneumonitis",
        "the outcome itself, or recorded because of it",
    ),
    (
        r"(^|_)(pfs|os|dfs|rfs|efs|ttp)\d*(_|$)|progress|surviv|death|deceased|vital_status|relapse",
        "progression or death, known later",
    ),
    (
        r"(^|_)(response|responder|orr)(_|$)|nonrespon|benefit|(^|_|non)(dcb|dcr)(_|$)|(^|_)n[cd]b(_|$)|^(pcr|mpr)$|disease_control|recist"
        r"|(^|_)bor(_|$)|^anti_pd_l?1$",
        "the outcome under another name",
    ),
    (r"change|discontinu|follow_?up|duration|cycles", "measured after treatment began"),
    (r"steroid|prednis|immunosuppress", "may have been given because of toxicity"),
    (r"(^|_)ppi(_|$)|proton_pump", "not dated; may have been given because of toxicity"),
    (r"antibiotic|(^|_)abx(_|$)", "not dated; may have been given after treatment began"),
)
"""Patterns of columns that may not become features, each with the reason."""
_OF_EARLIER_TREATMENT = r"(^|_)(prior(?!_(to|prog))|previous(ly)?|earlier|former(ly)?|past|history)(_|$)"
"""The columns of an earlier treatment, but for those of what came before an event, as 'best response prior to PD'."""
_TELLTALE_CELL = r"(?i)steroid|prednis|(\b|_)ppi\b|colitis|pneumonitis|toxic|irae"

COVARIATE_COLUMN = "|".join(covariate.pattern for covariate in _COVARIATES)
"""The columns of clinical covariates."""
EXCLUDED_COLUMN = "|".join(pattern for pattern, _ in _EXCLUDED)
"""The columns that may not become features."""


@dataclass
class CovariatesDraft:
    """The lines of `covariates`, and the columns that they take."""

    lines: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)


def draft_covariates(columns: Mapping[str, pd.Series[str]]) -> CovariatesDraft:
    """Draft a line for each clinical covariate whose column is recognised by its name."""
    draft = CovariatesDraft()
    for covariate in _COVARIATES:
        for column, cells in columns.items():
            if re.search(covariate.pattern, snake_case(column)) and cells.nunique() > 1:
                rule, comment = _covariate_rule(covariate, column, list(cells.unique()))
                if rule:
                    draft.lines.append(f"    {covariate.name}: {in_yaml(rule)}{comment}")
                    draft.columns.add(column)
                else:
                    draft.lines.append(comment)
                break
    return draft


def _covariate_rule(covariate: _Covariate, column: str, values: list[str]) -> tuple[dict[str, object], str]:
    """Return the rule of a covariate and a comment; no rule where half of the values have no obvious meaning."""
    missing = [value for value in values if is_missing(value)]
    reported = [value for value in values if value not in missing]
    decode = covariate.decode
    codes = codes_in_name(column)
    labels = {value: code_label(value, codes) for value in reported}
    meanings = {label: decode(label) for label in labels.values()} if decode else {}
    meanings = _clear_sexes(meanings) if covariate.name == "sex" else meanings
    meanings = {value: meanings[label] for value, label in labels.items()} if decode else {}
    pooled = {value: number for value in reported if covariate.name == "age" and (number := _pooled_age(value))}
    unclear = [
        value
        for value in reported
        if (meanings[value] is None if decode else value not in pooled and not is_number(value))
    ]
    if unclear and (2 * len(unclear) >= len(values) or unclear == reported):
        todo = f"{covariate.name} may be {in_yaml(column)}, but {in_yaml(unclear[0])} has no obvious meaning"
        return {}, f"    # TODO: {todo}"
    rule: dict[str, object] = {"column": column}
    if decode:
        rule["values"] = {value: meaning for value, meaning in meanings.items() if meaning is not None}
    elif covariate.unit:
        rule["unit"] = covariate.unit
    if unclear or set(missing) - {"", "NA"}:
        rule["missing"] = list(dict.fromkeys(["", "NA", *missing, *unclear]))
    if unclear:
        return rule, f"  # TODO: what do {in_yaml(unclear)} mean? Taken as missing"
    if pooled:
        rule["numbers"] = pooled
        return rule, f"  # TODO: confirm the unit, and that {in_yaml(list(pooled))} are ages pooled for privacy"
    return rule, "  # TODO: confirm the unit" if "unit" in rule else ""


def _clear_sexes(meanings: Mapping[str, str | bool | None]) -> dict[str, str | bool | None]:
    """Return the meanings without those of H and M where both occur, and of words that all mean one sex.

    In Spanish H is hombre, a man, and M is mujer, a woman.
    """
    words = {value: normalise_word(without_code(value)) for value in meanings}
    is_one_sex = len(set(words.values())) > 1 and len(set(meanings.values())) == 1
    unclear = set(words.values()) if is_one_sex else {"h", "m"} if {"h", "m"} <= set(words.values()) else set()
    return {value: None if words[value] in unclear else meaning for value, meaning in meanings.items()}


def _pooled_age(cell: str) -> float | None:
    """Return the lowest age that a cell such as '>89' or '90+' pools; None of another cell.

    Ages above 89 identify a person, and are published as one group (45 CFR 164.514(b)(2)(i)(C)).
    """
    above_89 = re.fullmatch(r"(?:>|over)\s*(89)", cell, re.IGNORECASE)
    at_least = re.fullmatch(
        r"(?:>=|\u2265)\s*(89|90)|(89|90)\s*(?:\+|and over|or (?:older|over|above))", cell, re.IGNORECASE
    )
    if above_89:
        return float(above_89[1]) + 1
    return float(at_least[1] or at_least[2]) if at_least else None


def reason_in_name(column: str) -> str | None:
    """Return why a column may not become a feature, by its name; None where nothing speaks against it."""
    reason = next((reason for pattern, reason in _EXCLUDED if re.search(pattern, snake_case(column))), None)
    if reason and is_of_earlier_treatment(column):
        return "of an earlier treatment, so no outcome; describe it as a covariate if it was known before day 0"
    return reason


def is_of_earlier_treatment(column: str) -> bool:
    """Tell whether a column is named for an earlier treatment, as 'response to prior anti-PD-1'."""
    return re.search(_OF_EARLIER_TREATMENT, snake_case(column)) is not None


def reason_in_cells(cells: pd.Series[str]) -> str | None:
    """Return why a column may not become a feature, by its cells; None where nothing speaks against it."""
    telltale = next((cell for cell in cells.unique() if re.search(_TELLTALE_CELL, cell)), None)
    return telltale and f"holds {telltale!r}: may be recorded because of the outcome"
