"""The report's page: rendered from a study's sections, without scripts and links to other files."""

from __future__ import annotations

import hashlib
import html
import platform
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from features.audit import Finding
from features.cohort import Cohort
from training.drawing import WIDTH
from training.study.analysis.limits import cohort_limits
from training.study.codes import patient_codes
from training.study.formatting import count_noun
from training.study.opening import opening
from training.study.section import ReportTable, Section
from training.study.sentences import TEMPLATES, as_sentence, write_sentences

MAX_ROWS = 20
"""Rows of a table that the page shows whole; its CSV holds all."""
FIRST_ROWS = 8
"""Rows that the page shows of a longer table."""
NARROW = 70
"""Characters in a row of a table that takes half the width of a printed page."""
TALL = 0.6
"""Height over width from which a figure takes less than the width of a printed page."""
MAX_HEADER = 100
"""Characters of a study's name in the running header of printed sheets."""
MAX_WORD = 28
"""Characters of a cell that stays on one line."""
LIBRARIES = ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class PageColumn:
    """A column of a table on the page.

    Attributes
    ----------
    heading : str
    kind : str
        "number", "word" (short, stays on one line) or "text".
    cells : tuple of str
    """

    heading: str
    kind: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class _Methods:
    taxokine_version: str
    python_version: str
    libraries: dict[str, str]
    sentences: Iterable[str]


def report_page(
    cohort: Cohort, findings: Sequence[Finding], sections: Sequence[Section], svgs: Mapping[str, str], run_id: str
) -> str:
    """Return the report as one page of HTML that runs no script and loads nothing.

    Parameters
    ----------
    cohort : Cohort
    findings : sequence of Finding
        The audit's; the page does not name the rows that they are about.
    sections : sequence of Section
    svgs : mapping of str to str
        The SVG of each figure, by ``<section>_<figure>``.
    run_id : str
        The tracked run that holds the same files.
    """
    return _template("report").render(
        cohort=cohort,
        patients=len(patient_codes(cohort)),
        notes=(*cohort.notes, *cohort.manifest.notes),
        findings=findings,
        **_by_results(sections),
        svgs=_labelled(svgs, sections),
        files={path.name: _sha256(path) for path in sorted(cohort.paths.values())},
        opening=opening(cohort, findings, sections),
        limits=limits(cohort),
        methods=methods(sections),
        run_id=run_id,
        running_header=_running_header(cohort.manifest.title, simulated=cohort.manifest.simulated),
        today=date.today(),
        version=version("taxokine"),
    )


def pooled_page(
    names: Sequence[str], sections: Sequence[Section], svgs: Mapping[str, str], run_id: str, *, simulated: bool
) -> str:
    """Return the report of several trials; parameters as of `report_page`.

    Parameters
    ----------
    names : sequence of str
        The trials.
    sections, svgs, run_id
        As of `report_page`.
    simulated : bool
        Whether any of the trials is simulated.
    """
    return _template("pooled").render(
        names=names,
        **_by_results(sections),
        svgs=_labelled(svgs, sections),
        methods=methods(sections),
        run_id=run_id,
        simulated=simulated,
        running_header=_running_header(", ".join(names), simulated=simulated),
        today=date.today(),
        version=version("taxokine"),
    )


def _running_header(name: str, *, simulated: bool) -> str:
    """Return what each printed sheet bears, since a sheet may leave its report."""
    return f"{'SIMULATED DATA · ' if simulated else ''}{textwrap.shorten(name, MAX_HEADER, placeholder=' …')}"


def css_string(text: str) -> str:
    """Return a text as a string of a style sheet, in which nothing ends the string or the element around it."""
    escaped = (character if character.isalnum() or character == " " else f"\\{ord(character):x} " for character in text)
    return f'"{"".join(escaped)}"'


def _by_results(sections: Sequence[Section]) -> dict[str, list[Section]]:
    """Return the variables of the template that hold the sections: those with results, and those without."""
    return {
        "sections": [section for section in sections if section.has_results],
        "empty_sections": [section for section in sections if not section.has_results],
    }


def limits(cohort: Cohort) -> tuple[str, ...]:
    """Return what no analysis of this cohort can show, in sentences."""
    return write_sentences("limits", cohort_limits(cohort))["summary"]


def methods(sections: Iterable[Section]) -> str:
    """Return the methods paragraph for a paper: each section's sentences, once, and the versions of the software."""
    sentences = dict.fromkeys(sentence for section in sections for sentence in section.methods)
    libraries = {name: version(name) for name in LIBRARIES}
    software = _Methods(version("taxokine"), platform.python_version(), libraries, sentences)
    return " ".join(write_sentences("methods", software)["methods"])


def page_columns(table: ReportTable) -> list[PageColumn]:
    """Return the rows that the page shows, by column; an interval stands in the column of its estimate."""
    frame = table.frame if len(table.frame) <= MAX_ROWS else table.frame.head(FIRST_ROWS)
    texts = {name: [cell_text(value, name in table.percent_columns) for value in frame[name]] for name in frame}
    names, limits, columns = [str(name) for name in frame], set[str](), []
    for position, name in enumerate(names):
        if name in limits:
            continue
        heading, cells, following = name.replace("_", " ") or "what", texts[name], names[position + 1 : position + 3]
        if [column.rpartition(" ")[2] for column in following] == ["low", "high"]:
            limits |= {*following}
            heading += " (95% interval)" if "95%" in following[0] else " (low to high)"
            cells = _with_intervals(cells, texts[following[0]], texts[following[1]])
        columns.append(PageColumn(heading, _kind(frame[name], cells), tuple(cells)))
    return columns


def page_tables(section: Section) -> list[tuple[str, ReportTable, list[PageColumn]]]:
    """Return the tables that the page shows, each with its name and columns; narrow ones first, as two share a line."""
    tables = [(name, table, page_columns(table)) for name, table in section.tables.items() if not table.supplementary]
    return sorted(tables, key=lambda entry: not is_narrow(entry[2]))


def figure_class(svg: str) -> Literal["half", "tall", "full"]:
    """Return how wide a figure is printed: half the page where it is drawn so, less than the page where it is tall."""
    size = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if size is None:
        return "full"
    width, height = float(size[1]), float(size[2])
    return "half" if width <= WIDTH / 2 * 72 else "tall" if height > TALL * width else "full"


def is_narrow(columns: Sequence[PageColumn]) -> bool:
    """Return whether a table takes at most half the width of a printed page, on which headings break at spaces."""
    return sum(2 + max(map(len, (*column.heading.split(), *column.cells))) for column in columns) <= NARROW


def cell_text(value: object, percent: bool = False) -> str:
    """Return a table's value as the page shows it: three significant digits, or whole percents; a dash for none."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return _percent(number) if percent and np.isfinite(number) else _digits(number)
    return str(value)


def _labelled(svgs: Mapping[str, str], sections: Sequence[Section]) -> dict[str, str]:
    """Return each SVG with its figure's caption as the label for screen readers."""
    captions = {
        f"{section.name}_{name}": html.escape(figure.caption)
        for section in sections
        for name, figure in section.figures.items()
    }
    return {
        name: svgs[name].replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
        for name, caption in captions.items()
    }


def _with_intervals(estimates: list[str], lows: list[str], highs: list[str]) -> list[str]:
    rows = zip(estimates, lows, highs, strict=True)
    return [estimate if {low, high} == {"–"} else f"{estimate} ({low} to {high})" for estimate, low, high in rows]


def _kind(values: pd.Series[float] | pd.Series[str] | pd.Series[bool], cells: list[str]) -> str:
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return "number"
    return "word" if max(map(len, cells), default=0) <= MAX_WORD else "text"


def _percent(share: float) -> str:
    """Return a share in whole percents, which is all that so few patients can tell."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _digits(value: float) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or abs(value) >= 100 or value.is_integer():
        return f"{value:.0f}"
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.3g}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (as_sentence, count_noun, css_string, is_narrow, figure_class, page_tables)
    environment.filters |= {function.__name__: function for function in filters}
    environment.globals |= {"MAX_ROWS": MAX_ROWS}
    return environment.get_template(f"{name}.html.jinja")
