"""Names of samples that hold the patient and the visit, as 'P01_D28', 'P01 pre' and 'P01-C2D1'."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from features.draft.translations import AFTER_WORDS, BEFORE_WORDS, TREATMENT_WORDS, UNIT_WORDS

_UNITS = "|".join(UNIT_WORDS["days"] + UNIT_WORDS["weeks"] + UNIT_WORDS["months"])
_SIDES, _TREATMENT = "|".join(BEFORE_WORDS + AFTER_WORDS), "|".join(TREATMENT_WORDS)
VISIT = (
    rf"(?:{_UNITS}|v|visit|t|tp|time_?point|m)[ _.-]?[+-]?\d+|c\d+d\d+|cycle\d+(?:day\d+)?"
    rf"|(?:{_SIDES})(?:[ _-]?(?:fmt|tx|dose|{_TREATMENT}))?\d*|baseline|bl|screening|eot|follow-?up|fu\d*|on"
)
"""Labels of visits, whether or not they state a day."""
_MOST_VISITS = 8
"""The most visits of a patient on average, beyond which what precedes a visit is a centre or a study."""
_DAY = re.compile(rf"(?P<word>(?:{'|'.join(UNIT_WORDS['days'])})[ _.-]??)[+-]?\d+", re.IGNORECASE)
_MOST_LABELS = 20
"""The most different visits that a pattern lists."""
_NAME = re.compile(
    rf"(?P<patient>.*?[^\W_])(?:[ _.-]+(?P<visit>{VISIT})|(?<=\d)(?P<glued>[dwvtm][+-]?\d+))", re.IGNORECASE
)


def patients_of_names(names: Collection[str], patients: Iterable[str] = ()) -> dict[str, str]:
    """Return the patient that each name holds beside a visit; empty unless every name does.

    Parameters
    ----------
    names : collection of str
        The names of samples.
    patients : iterable of str
        The patients, where they are known: most names are then of one of them. Else some patient has several visits.
    """
    matches = {name: _NAME.fullmatch(name) for name in names}
    patient_by_name = {name: match["patient"] for name, match in matches.items() if match}
    if len(patient_by_name) < len(matches):
        return {}
    patient_set, n_names = set(patients), len(patient_by_name)
    is_parted = (
        2 * sum(patient in patient_set for patient in patient_by_name.values()) > n_names
        if patient_set
        else 1 < (n_patients := len(set(patient_by_name.values()))) < n_names <= _MOST_VISITS * n_patients
    )
    return patient_by_name if is_parted else {}


def pattern_of_names(names: Collection[str], patients: Iterable[str] = ()) -> str:
    """Return a pattern of names with the groups `patient` and `day` or `visit`, as `samples.names` of a manifest.

    Parameters are those of `patients_of_names`; for other names it is empty. Visits that are no days are listed in the
    pattern, so that another one is an error.
    """
    if not patients_of_names(names, patients):
        return ""
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    visit_by_name = {match.string: match["visit"] or match["glued"] for match in matches}
    gaps = sorted({match.string[match.end("patient") :].removesuffix(visit_by_name[match.string]) for match in matches})
    visits = sorted(set(visit_by_name.values()), key=lambda visit: (-len(visit), visit))
    gap = re.escape(gaps[0]) if len(gaps) == 1 else f"(?:{'|'.join(map(re.escape, gaps))})"
    day_words = {match["word"] if (match := _DAY.fullmatch(visit)) else "" for visit in visits}
    if len(day_words) == 1 and (word := day_words.pop()):
        return f"(?P<patient>.+){gap}{re.escape(word)}(?P<day>[+-]?[0-9]+)"
    if not 1 < len(visits) <= _MOST_LABELS:
        return ""
    return f"(?P<patient>.+){gap}(?P<visit>{'|'.join(map(re.escape, visits))})"
