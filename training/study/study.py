"""One study, from a cohort to a tracked run and a report. `run_study` reads top to bottom."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from features.audit import Finding, audit
from features.cohort import Cohort, read_cohort
from features.errors import InputError
from features.manifest import manifest_text_without_sample_names
from features.settings import settings
from features.trajectories import WINDOWS, Window
from training import tracking
from training.progress import Progress
from training.study.analysis.stopping import LIMIT
from training.study.opening import opening
from training.study.report import write_report
from training.study.section import Section

EXPERIMENT = "study"
RUN_COLUMNS = (
    *("metrics.patients/patients", "metrics.patients/orr", "metrics.patients/os_median_months"),
    *("metrics.safety/grade_3_patients", "metrics.immune/changed", "metrics.microbiome/taxa_changed"),
    *("metrics.donors/donor_approach", "metrics.donors/donor_approach_p", "metrics.links/found"),
    *("tags.cohorts", "tags.simulated"),
)
"""The columns of each study in the MLflow UI."""
DESCRIPTION = (
    "**study**: trials analysed on their own\n\nEach run holds its report, figures and tables, and is described by how "
    "the report opens; metrics are grouped by section."
)
"""Of the experiment."""
REFUSED = ("donor-is-patient", "unfinished-manifest")
"""Findings of the audit with which nothing is analysed; the report names all others."""
RECORD = "study.json"
"""The file that marks a folder as a report, which a later report may replace."""

MakeSection = Callable[[Cohort], Section]


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes
    ----------
    page : Path
        The report.
    run_id : str
    sections : tuple of Section
    """

    page: Path
    run_id: str
    sections: tuple[Section, ...]


def study_sections(windows: Sequence[Window] = WINDOWS, stop_above: float = LIMIT) -> dict[str, MakeSection]:
    """Return the functions that make the sections, by name for the progress bar, in the order of the report.

    Parameters
    ----------
    windows : sequence of Window
        Windows of days, fixed before the analysis, the baseline first.
    stop_above : float
        The share of patients with an adverse event of grade 3 or above that a data safety board would not accept.
    """
    from training.study.sections.arms import arms_section
    from training.study.sections.donors import donors_section
    from training.study.sections.immune import immune_section
    from training.study.sections.links import links_section
    from training.study.sections.microbiome import microbiome_section
    from training.study.sections.patients import patients_section
    from training.study.sections.safety import safety_section

    return {
        "patients and outcomes": patients_section,
        "arms": partial(arms_section, windows=windows),
        "safety": partial(safety_section, limit=stop_above),
        "immune trajectories": partial(immune_section, windows=windows),
        "microbiome": partial(microbiome_section, windows=windows),
        "donors": partial(donors_section, windows=windows),
        "microbe-immune links": links_section,
    }


def run_study(
    name: str,
    out: Path,
    progress: Progress | None = None,
    sections: Mapping[str, MakeSection] | None = None,
    windows: Sequence[Window] = WINDOWS,
    stop_above: float = LIMIT,
) -> StudyResult:
    """Analyse a trial: one tracked run with all figures and tables, and one report.

    Parameters
    ----------
    name : str
        Name or path of a manifest.
    out : Path
        The folder of the report: new, empty, or an earlier report, which is replaced. A study that fails leaves it as
        it is.
    progress : Progress, optional
    sections : mapping of str to callable, optional
        The functions that make the sections; by default those of `study_sections`.
    windows, stop_above
        As of `study_sections`.

    Raises
    ------
    InputError
        `out` holds something else or cannot be written, a file contradicts the manifest, or as of
        `audited_cohort`.
    DataMissing
        As of `features.cohort.read_cohort`.
    """
    progress = progress or Progress()
    with replaced_report(out) as folder:
        progress.begin("reading and auditing the cohort", 2)
        cohort, findings = audited_cohort(name, progress)
        tags = tracking.cohort_tags([cohort])
        window_names = ", ".join(window.name for window in windows)
        params = {"cohort": cohort.name, "windows": window_names, "stop_above": f"{stop_above:g}"}
        with tracking.experiment_run(EXPERIMENT, cohort.name, tags, params, RUN_COLUMNS, DESCRIPTION) as run_id:
            section_list = _make_sections(cohort, sections or study_sections(windows, stop_above), progress)
            metrics = run_metrics(section_list)
            progress.begin("drawing, writing and logging", 2 + sum(len(section.figures) for section in section_list))
            write_report(folder, cohort, findings, section_list, run_id, progress.advance)
            tracking.log_description(run_id, opening(cohort, findings, section_list).markdown)
            _write_record(folder, cohort, run_id, metrics)
            progress.advance()
            tracking.log_metrics(run_id, metrics)
            tracking.log_folder(run_id, folder)
            progress.advance()
    return StudyResult(out / "report.html", run_id, tuple(section_list))


def run_metrics(sections: Sequence[Section]) -> dict[str, float]:
    """Return the finite metrics of the sections, under names that MLflow groups by section: `safety/any_grade`."""
    return {
        re.sub(r"[^\w /.-]", "_", f"{section.name}/{key}"): float(value)
        for section in sections
        for key, value in section.metrics.items()
        if np.isfinite(value)
    }


def audited_cohort(name: str, progress: Progress) -> tuple[Cohort, list[Finding]]:
    """Return a cohort and its audit; two steps of progress.

    Raises
    ------
    InputError
        A donor is listed as a patient, which makes every comparison with donors wrong; or a key of the manifest is
        TODO.
    """
    cohort = read_cohort(name, settings().data)
    progress.advance()
    findings = audit([cohort])
    for finding in findings:
        if finding.code in REFUSED:
            rows = ", ".join(finding.rows)
            raise InputError(
                f"{cohort.name}: {finding.description} ({rows}), and {finding.consequence}; {finding.remedy}"
            )
    progress.advance()
    return cohort, findings


def _make_sections(cohort: Cohort, sections: Mapping[str, MakeSection], progress: Progress) -> list[Section]:
    section_list = []
    for title, make_section in sections.items():
        progress.begin(title, 1)
        section_list.append(make_section(cohort))
        progress.advance()
    return section_list


def _write_record(folder: Path, cohort: Cohort, run_id: str, metrics: Mapping[str, float]) -> None:
    (folder / "manifest.yaml").write_text(manifest_text_without_sample_names(cohort.manifest), encoding="utf-8")
    record = {"taxokine": version("taxokine"), "cohort": cohort.name, "run_id": run_id, "metrics": metrics}
    (folder / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")


@contextmanager
def replaced_report(out: Path) -> Iterator[Path]:
    """Yield a new folder, which takes the place of `out` unless an error is raised."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / RECORD).is_file())):
        raise InputError(
            f"{out}: is not empty and no report of a study; name a new folder, or an earlier report to replace it"
        )
    target = out.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same file system, so that the report is moved at once.
        temporary = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    with temporary as temporary_name:
        folder = Path(temporary_name) / "new"
        folder.mkdir()
        yield folder
        if target.exists():
            shutil.move(target, Path(temporary_name) / "old")
        folder.rename(target)
