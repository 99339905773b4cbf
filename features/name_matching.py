"""Names of samples and patients that files spell differently: matched by a stated rule, or reported as near misses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from features.errors import InputError

NameDifference = Literal["case", "separators", "leading_zeros"]
NAME_DIFFERENCES: tuple[NameDifference, ...] = ("case", "separators", "leading_zeros")
_Keys = Callable[[str], set[str]]
_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[eE]\+?\d+")


def is_match(name: str, pattern: str) -> bool:
    """Tell whether a name is this one, or of this pattern of `*`, `?` and `[...]`: 'IL-8 [pg/mL]' is not its own."""
    return name == pattern or fnmatchcase(name, pattern)


def simplified(name: str, ignored: Iterable[NameDifference]) -> str:
    """Return a name without the differences that do not count.

    Parameters
    ----------
    name : str
        The name of a sample or a patient.
    ignored : iterable of {"case", "separators", "leading_zeros"}
        The case of letters; the characters ``-._`` and blanks; zeros before a number, as in 'P001' and 'P1'.
    """
    for difference in ignored:
        if difference == "case":
            name = name.casefold()
        elif difference == "leading_zeros":
            name = re.sub(r"(?<!\d)0+(?=\d)", "", name)
    return re.sub(r"[-._\s]+", "", name) if "separators" in ignored else name


def matching_names(
    names: Iterable[str], references: Iterable[str], ignored: Sequence[NameDifference]
) -> dict[str, str]:
    """Return the reference that each name spells, of the names that spell one; equal names first.

    Raises
    ------
    InputError
        If two names, or two references, differ only in what is ignored, so that the match is ambiguous.
    """
    distinct_names, distinct_references = dict.fromkeys(names), dict.fromkeys(references)
    matches = {name: name for name in distinct_names if name in distinct_references}
    by_key: dict[str, str] = {}
    for reference in distinct_references:
        key = simplified(reference, ignored)
        if key in by_key:
            raise InputError(_ambiguity(by_key[key], reference, ignored))
        by_key[key] = reference
    spellings = {reference: name for name, reference in matches.items()}
    for name in distinct_names:
        reference_of_name = by_key.get(simplified(name, ignored))
        if name in matches or reference_of_name is None:
            continue
        if reference_of_name in spellings:
            raise InputError(_ambiguity(spellings[reference_of_name], name, ignored))
        matches[name], spellings[reference_of_name] = reference_of_name, name
    return matches


def _ambiguity(name: str, similar_name: str, ignored: Sequence[NameDifference]) -> str:
    return (
        f"{name!r} and {similar_name!r} differ only in {', '.join(ignored)}, which samples.ignore_in_names ignores; "
        "rename one, or ignore less"
    )


def near_misses(names: Iterable[str], references: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of a name and a reference that are probably one name, spelt differently.

    They differ in case, separators and leading zeros alone; a spreadsheet made a number of one, as 1.00E+03 of 1E3; or
    one is the other with more before or behind it, at a separator. What resembles several names is left out.
    """
    left_names, left_references = list(dict.fromkeys(names)), list(dict.fromkeys(references))
    pairs: list[tuple[str, str]] = []
    for keys_of_name, keys_of_reference in (
        (_spelling_key, _spelling_key),
        (_number_key, _number_key),
        (_spelling_key, _end_keys),
        (_end_keys, _spelling_key),
    ):
        unique_pairs = _unique_pairs(left_names, left_references, keys_of_name, keys_of_reference)
        pairs += unique_pairs
        left_names = [name for name in left_names if name not in dict(unique_pairs)]
        left_references = [
            reference for reference in left_references if reference not in {ref for _, ref in unique_pairs}
        ]
    return pairs


def _unique_pairs(
    names: Sequence[str], references: Sequence[str], keys_of_name: _Keys, keys_of_reference: _Keys
) -> list[tuple[str, str]]:
    """Return the pairs that share a key, of names and references that share one with no other."""
    by_key: dict[str, set[str]] = {}
    for reference in references:
        for key in keys_of_reference(reference):
            by_key.setdefault(key, set()).add(reference)
    references_of_name = {name: {ref for key in keys_of_name(name) for ref in by_key.get(key, ())} for name in names}
    counts = Counter(reference for matches in references_of_name.values() for reference in matches)
    return [
        (name, reference)
        for name, matches in references_of_name.items()
        if len(matches) == 1 and counts[reference := next(iter(matches))] == 1
    ]


def _spelling_key(name: str) -> set[str]:
    return {simplified(name, NAME_DIFFERENCES)} - {""}


def _number_key(name: str) -> set[str]:
    return {f"{float(name):g}"} if _SCIENTIFIC.fullmatch(name) else set()


def _end_keys(name: str) -> set[str]:
    """Return the beginnings and the ends of a name, cut at its separators."""
    cuts = [match.span() for match in re.finditer(r"[-._\s]+", name)]
    parts = [name[end:] for _, end in cuts] + [name[:start] for start, _ in cuts]
    return {key for part in parts for key in _spelling_key(part)}


def is_number_of_spreadsheet(name: str) -> bool:
    """Tell whether a name is what a spreadsheet makes of a name such as 1E3, or of a long number: 1.00E+03."""
    return re.fullmatch(r"\d\.\d+E[+-]\d+", name) is not None
