"""A study's report: one page that needs no other file, its figures and its tables."""

from __future__ import annotations

import hashlib
import html
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure

from features.audit import Finding
from features.cohort import Cohort
from features.outcomes import RESPONSES
from training.drawing import STYLE, written
from training.study.analysis.arms import has_comparator, has_several_arms
from training.study.codes import patient_codes
from training.study.formatting import count_noun
from training.study.section import ReportTable, Section
from training.study.sentences import TEMPLATES

ROWS = 20
"""Rows of a table that the page shows; its CSV holds all."""
SHORT = 28
"""Characters of a cell that stays on one line."""
LIBRARIES = ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib")


def write_report(
    folder: Path,
    cohort: Cohort,
    findings: Sequence[Finding],
    sections: Sequence[Section],
    run_id: str,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Write `report.html`, `figures` as SVG and PNG, and `tables` as CSV.

    Files are named by section: `figures/patients_swimmer.svg`. Neither they nor the page name a patient of the cohort
    but by code, unless a free text of the cohort's own does, such as a drug's or a reason.

    Parameters
    ----------
    folder : Path
        An existing folder.
    cohort : Cohort
    findings : sequence of Finding
        The audit's; the rows that they are about are counted, not named.
    sections : sequence of Section
    run_id : str
        The tracked run that holds the same files.
    done : callable
        Called after each figure.
    """
    figures, tables = folder / "figures", folder / "tables"
    figures.mkdir()
    tables.mkdir()
    svgs = {}
    for section in sections:
        for name, drawing in section.figures.items():
            key = f"{section.name}_{name}"
            with mpl.rc_context(STYLE):
                figure = drawing.draw()
                if cohort.manifest.simulated:
                    mark_simulated(figure)
                svgs[key] = written(figures, key, figure)
            done()
        for name, listing in section.tables.items():
            listing.frame.to_csv(tables / f"{section.name}_{name}.csv", index=False)
    page = report_page(cohort, findings, sections, svgs, run_id)
    (folder / "report.html").write_text(page, encoding="utf-8")


def mark_simulated(figure: Figure) -> None:
    """Write on a figure that its data are simulated, since it may leave its report."""
    figure.suptitle("SIMULATED DATA", fontsize=8, x=0.01, ha="left")


def report_page(
    cohort: Cohort, findings: Sequence[Finding], sections: Sequence[Section], svgs: Mapping[str, str], run_id: str
) -> str:
    """Return the report as one page that runs no script and asks no host.

    Parameters
    ----------
    cohort, findings, sections, run_id
        As `write_report` takes them.
    svgs : mapping of str to str
        SVG texts by the figures' file names.
    """
    drawn = {
        (key := f"{section.name}_{name}"): svgs[key].replace(
            "<svg", f'<svg role="img" aria-label="{html.escape(drawing.caption)}"', 1
        )
        for section in sections
        for name, drawing in section.figures.items()
    }
    return _template().render(
        cohort=cohort,
        patients=len(patient_codes(cohort)),
        notes=(*cohort.notes, *cohort.manifest.notes),
        findings=findings,
        sections=sections,
        svgs=drawn,
        files={path.name: _sha256(path) for path in sorted(cohort.paths.values())},
        headlines=[one for section in sections for one in section.headlines],
        limits=limits(cohort),
        methods=methods(sections),
        run_id=run_id,
        today=date.today(),
        version=version("taxokine"),
    )


def limits(cohort: Cohort) -> list[str]:
    """Return what no analysis of this cohort can show, in sentences."""
    n, said = len(patient_codes(cohort)), []
    if cohort.manifest.simulated:
        said.append("These data are simulated: they show what the analysis does, and nothing of any patient.")
    if has_several_arms(cohort):
        said.append("Arms are compared by the tests that say so, and by nothing else: all the rest is of all together.")
    if not has_comparator(cohort):
        given = (
            not cohort.donors.empty or not cohort.course.transplants.empty or cohort.manifest.clock.name == "day_fmt"
        )
        treatment, arm = ("FMT", "an ICI-only arm") if given else ("treatment", "an untreated arm")
        said.append(
            f"Without {arm}, changes cannot be attributed to {treatment}: the disease, other treatment and time itself "
            "change the same measurements."
        )
        if cohort.labels.dates is not None or cohort.labels.flags.keys() & set(RESPONSES):
            said.append(
                "Without a comparator, survival was not shown to be extended, nor response to be more frequent."
            )
    if 1 < n < 10:
        said.append(
            f"With {n} patients an exact two-sided test of a change between two windows cannot give a p-value below "
            f"{2 ** (1 - n):.4g}, however large the effect; most true effects of usual size would be missed."
        )
    return [
        *said,
        "At few patients an interval (Student's, which takes changes to be normal) and a p-value (exact, which does "
        "not) may disagree: the p-value is then the one to believe.",
        "The study is exploratory. False discovery is controlled within each table, not over the report; what stands "
        "out here is a question for the next trial.",
        "Taxa are shares of a whole: one that rises lowers all others. Sequences found in donor and recipient are "
        "compatible with engraftment and do not prove it.",
    ]


def methods(sections: Sequence[Section]) -> str:
    """Return the methods paragraph, with the versions of what computed it, ready for a paper."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    said = [one for section in sections for one in section.methods]
    return " ".join(
        [
            f"The exploratory analysis was computed by Taxokine {version('taxokine')} under Python "
            f"{platform.python_version()} with {libraries}.",
            *dict.fromkeys(said),
            "Intervals are 95% intervals and p-values two-sided unless stated otherwise.",
        ]
    )


def shown(value: object, share: bool = False) -> str:
    """Return a table's value as the page shows it: three significant digits, a share in percent, a dash for none."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return f"{_number(100 * number)}%" if share and np.isfinite(number) else _number(number)
    return str(value)


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or abs(value) >= 100 or value.is_integer():
        return f"{value:.0f}"
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.3g}"


@dataclass(frozen=True)
class Column:
    """A column as the page shows it: its heading, its kind ("number", a short "word", or "text"), and its cells."""

    heading: str
    kind: str
    cells: tuple[str, ...]


def columns(listing: ReportTable) -> list[Column]:
    """Return a table's first rows by column, an estimate and its interval in one."""
    frame = listing.frame.head(ROWS)
    told = {name: [shown(value, name in listing.percent_columns) for value in frame[name]] for name in frame}
    names, found, ends = [str(name) for name in frame], [], set[str]()
    for at, name in enumerate(names):
        if name in ends:
            continue
        heading, cells, after = name.replace("_", " ") or "what", told[name], names[at + 1 : at + 3]
        if [one.rpartition(" ")[2] for one in after] == ["low", "high"]:
            ends |= {*after}
            heading += " (95% interval)" if "95%" in after[0] else " (interval)"
            spans = zip(cells, *(told[one] for one in after), strict=True)
            cells = [one if {low, high} == {"–"} else f"{one} ({low} to {high})" for one, low, high in spans]
        number = pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
        words = "word" if max(map(len, cells), default=0) <= SHORT else "text"
        found.append(Column(heading, "number" if number else words, tuple(cells)))
    return found


def sentence(text: str) -> str:
    """Return a text with a full stop, and a capital unless its first word is a name such as `day_fmt` or iUPD."""
    first = text.partition(" ")[0]
    start = text[0].upper() if first.islower() and "_" not in first else text[0]
    return f"{start}{text[1:].removesuffix('.')}."


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _template() -> Template:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"shown": shown, "columns": columns, "sentence": sentence, "count_noun": count_noun}
    templates.globals |= {"ROWS": ROWS}
    return templates.get_template("report.html.jinja")
