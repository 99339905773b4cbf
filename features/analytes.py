"""Canonical names of serum proteins."""

from __future__ import annotations

import re
import unicodedata

from features.columns import Column
from features.units import ImmuneUnit, measurement_kind, split_name_and_unit

SYNONYMS: dict[str, tuple[str, ...]] = {
    "IL-1a": ("IL-1F1",),
    "IL-1b": ("IL-1F2",),
    "IL-1ra": ("IL1RN", "IL-1F3", "IL-1 receptor antagonist"),
    "IL-2Ra": ("sIL-2R", "sIL-2Ra", "sCD25", "IL-2 receptor alpha"),
    "IL-6": ("BSF-2",),
    "IL-8": ("CXCL8",),
    "IL-12p40": ("IL12B", "IL-12/IL-23p40"),
    "IL-12p70": (),
    "IL-17A": ("CTLA-8",),
    "IL-17A/F": (),
    "IFN-a": ("Interferon alpha",),
    "IFN-b": ("IFNB1", "Interferon beta"),
    "IFN-g": ("Interferon gamma",),
    "TNF-a": ("TNF", "TNFSF2", "cachectin", "Tumor necrosis factor alpha", "Tumour necrosis factor alpha"),
    "TNF-b": ("LTA", "TNFSF1", "Lymphotoxin alpha"),
    "TGF-a": ("TGFA", "Transforming growth factor alpha"),
    "TGF-b1": ("TGFB1", "Transforming growth factor beta 1"),
    "TGF-b2": ("TGFB2", "Transforming growth factor beta 2"),
    "TGF-b3": ("TGFB3", "Transforming growth factor beta 3"),
    "G-CSF": ("CSF3",),
    "GM-CSF": ("CSF2",),
    "M-CSF": ("CSF1",),
    "MCP-1": ("CCL2", "MCAF"),
    "MCP-2": ("CCL8",),
    "MCP-3": ("CCL7",),
    "MCP-4": ("CCL13",),
    "MIP-1a": ("CCL3",),
    "MIP-1b": ("CCL4",),
    "RANTES": ("CCL5",),
    "Eotaxin": ("CCL11", "Eotaxin-1"),
    "TARC": ("CCL17",),
    "MIP-3a": ("CCL20",),
    "MDC": ("CCL22",),
    "GRO-a": ("CXCL1",),
    "ENA-78": ("CXCL5",),
    "MIG": ("CXCL9",),
    "IP-10": ("CXCL10",),
    "I-TAC": ("CXCL11",),
    "SDF-1a": ("CXCL12",),
    "Fractalkine": ("CX3CL1",),
    "FGF-basic": ("FGF2", "bFGF", "basic FGF"),
    "PDGF-bb": (),
    "VEGF-A": (),
    "HGF": (),
    "EGF": (),
    "SCF": ("KITLG",),
    "CRP": ("C-reactive protein", "hsCRP"),
    "Granzyme B": ("GZMB",),
    "Perforin": ("PRF1",),
    "CD40L": ("sCD40L", "CD40LG"),
    "TRAIL": ("TNFSF10",),
    "BAFF": ("TNFSF13B",),
    "APRIL": ("TNFSF13",),
    "PD-1": ("PDCD1", "sPD-1"),
    "PD-L1": ("CD274", "sPD-L1"),
    "CTLA-4": ("sCTLA-4",),
}
"""Canonical protein name → further names. Spelling (case, hyphens, Greek, "interleukin") needs no entry of its own.

Names that a panel leaves open stay apart from the precise ones: IL-17 is not IL-17A, nor VEGF VEGF-A.
"""

_GREEK = {
    "\N{GREEK SMALL LETTER ALPHA}": "a",
    "β": "b",
    "\N{GREEK SMALL LETTER GAMMA}": "g",
    "alpha": "a",
    "beta": "b",
    "gamma": "g",
}
_GREEK_NAME = re.compile("|".join(_GREEK))
_SPECIES = re.compile(r"(?:hu|human)[\s_]+", re.IGNORECASE)
_BEAD_REGION = re.compile(r"\((?:BR[\s_]?)?\d{1,3}\)", re.IGNORECASE)
"""What a bead panel writes behind a name, as a species before it, in ``Hu IL-6 (19)``."""
_COPY = re.compile(r"(?<=\d)\.\d{1,2}\s*$")
"""What pandas and R write behind the name of a further column of one name: 'IL-6.1' is IL-6 again, and not IL-61."""
_PARTED_NUMBERS = re.compile(r"\d[\W_]+\d")
"""What is no number of an interleukin: IL6_1 is IL-6 of visit 1, or a second well, and not IL-61."""
_INTERLEUKIN_NAME = re.compile(r"IL-\d+\w?")
_INTERLEUKIN = re.compile(r"il(\d+)([a-g]?)")
_WITH_SUBTYPES = {"1", "12", "17", "23", "27", "28", "36"}
"""Numbers of the interleukins, and of those with chains, that letters part; IL6_A is IL-6 of a visit or a group A."""


def immune_column(analyte: str, unit: ImmuneUnit) -> Column:
    """Return the column of an analyte measured in this unit: a protein under its canonical name, or a transcript.

    Raises
    ------
    UnitError
        If the unit is unknown.
    """
    protein = measurement_kind(unit) == "protein"
    return Column("immune", canonical_analyte(analyte) if protein else analyte, unit=unit)


def canonical_analyte(name: str) -> str:
    """Return the canonical name of a serum protein, as ``"IL-10"`` for ``"Interleukin 10"``.

    Parameters
    ----------
    name : str
        The name as published; several names of one protein may stand together (``"IL-8/CXCL8"``). The species and the
        bead region of a panel are left out, as in ``"Hu IL-6 (19)"``.

    Returns
    -------
    str
        The canonical name; an unknown name comes back stripped, otherwise unchanged.

    Notes
    -----
    For proteins only. A gene symbol of an expression panel names a transcript and is kept as published.
    """
    if analyte := _known_analyte(name):
        return analyte
    name = _without_panel_label(name)
    if analyte := _known_analyte(name):
        return analyte
    parts = {_known_analyte(part) for part in re.split(r"[/|,()\[\]]", name) if part.strip()}
    shared = parts.pop() if len(parts) == 1 else None
    return shared or name


def _without_panel_label(name: str) -> str:
    """Return a name without the species and the bead region, in time that grows as its length does."""
    name = name.strip()
    start = species.end() if (species := _SPECIES.match(name)) else 0
    bracket = name.rfind("(", start)
    is_region = bracket > start and _BEAD_REGION.fullmatch(name, bracket)
    return (name[start:bracket] if is_region else name[start:]).strip() or name


def is_known_analyte(name: str) -> bool:
    """Tell whether a name, with or without a unit behind it, is one that `canonical_analyte` knows."""
    analyte = canonical_analyte(split_name_and_unit(name)[0])
    return analyte in SYNONYMS or _INTERLEUKIN_NAME.fullmatch(analyte) is not None


def _spelling(name: str) -> str:
    """Return the letters and digits of a name, Greek as Latin initials, so that spellings of one name agree."""
    letters = (
        unicodedata.normalize("NFKC", name).strip().casefold().replace("interleukin", "il").removesuffix(" protein")
    )
    return re.sub(r"[\W_]", "", _GREEK_NAME.sub(lambda match: _GREEK[match[0]], letters))


def _known_analyte(name: str) -> str | None:
    name = _COPY.sub("", name)
    spelling = _spelling(name)
    if analyte := _CANONICAL.get(spelling):
        return analyte
    interleukin = _INTERLEUKIN.fullmatch(spelling)
    if interleukin and not _PARTED_NUMBERS.search(name):
        number, letter = interleukin.groups()
        if letter and number.lstrip("0") not in _WITH_SUBTYPES:
            return None
        return f"IL-{int(number)}{letter.upper()}"
    return None


_CANONICAL = {_spelling(name): analyte for analyte, further in SYNONYMS.items() for name in (analyte, *further)}
