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

from features.audit import audit
from features.cohort import Cohort, read_cohort
from features.errors import InputError
from features.manifest import manifest_digest, manifest_text_without_sample_names
from features.settings import settings
from features.trajectories import WINDOWS, Window
from training import tracking
from training.progress import Progress
from training.study.analysis.stopping import LIMIT
from training.study.report import write_report
from training.study.section import Section

EXPERIMENT = "study"
COLUMNS = (
    *("metrics.patients/patients", "metrics.patients/orr", "metrics.patients/os_median_months"),
    *("metrics.safety/grade_3_patients", "metrics.immune/changed", "metrics.microbiome/taxa_changed"),
    *("metrics.donors/donor_approach", "metrics.donors/donor_approach_p", "metrics.links/found"),
    *("tags.cohorts", "tags.simulated"),
)
"""What the MLflow UI shows of each study."""
MARK = "study.json"
"""The file by which a report is known as ours, and may be replaced."""


@dataclass(frozen=True)
class Studied:
    """What a study left behind.

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


def study_sections(
    windows: Sequence[Window] = WINDOWS, stop_above: float = LIMIT
) -> dict[str, Callable[[Cohort], Section]]:
    """Return what makes each section, by what progress calls it, in the report's order.

    Parameters
    ----------
    windows : sequence of Window
        Of days, fixed beforehand, the baseline first.
    stop_above : float
        The share of patients with an adverse event of grade 3 or above that a data safety board would not accept.
    """
    from training.study.sections.donors import donors_section
    from training.study.sections.immune import immune_section
    from training.study.sections.links import links_section
    from training.study.sections.microbiome import microbiome_section
    from training.study.sections.patients import patients_section
    from training.study.sections.safety import safety_section

    return {
        "patients and outcomes": patients_section,
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
    sections: Mapping[str, Callable[[Cohort], Section]] | None = None,
    windows: Sequence[Window] = WINDOWS,
    stop_above: float = LIMIT,
) -> Studied:
    """Analyse a trial: one tracked run of all figures and tables, and one report.

    Parameters
    ----------
    name : str
        A manifest's name or path.
    out : Path
        The report's folder, written whole or not at all: new, empty, or an earlier report, which is replaced.
    progress : Progress, optional
    sections : mapping of str to callable, optional
        What makes each section; all of `study_sections` when left out.
    windows, stop_above
        As `study_sections` takes them.

    Raises
    ------
    InputError
        `out` holds something else or cannot be written, a file does not hold what the manifest says, or a donor is
        listed as a patient.
    DataMissing
        As `features.cohort.read_cohort` raises it.
    """
    progress = progress or Progress()
    with _replaced(out) as folder:
        progress.begin("reading and auditing the cohort", 2)
        cohort = read_cohort(name, settings().data)
        progress.advance()
        findings = audit([cohort])
        for one in findings:
            if one.code == "donor-is-patient":
                raise InputError(f"{cohort.name}: {one.what} ({', '.join(one.rows)}), and {one.why}; {one.todo}")
        progress.advance()
        tags = {
            "cohorts": cohort.name,
            "simulated": str(cohort.manifest.simulated).lower(),
            "manifests": f"{cohort.name} {manifest_digest(cohort.manifest)}",
            "taxokine.version": version("taxokine"),
        }
        named = ", ".join(window.name for window in windows)
        params = {"cohort": cohort.name, "windows": named, "stop_above": f"{stop_above:g}"}
        with tracking.experiment_run(EXPERIMENT, cohort.name, tags, params, COLUMNS) as run_id:
            made = []
            for title, make in (study_sections(windows, stop_above) if sections is None else sections).items():
                progress.begin(title, 1)
                made.append(make(cohort))
                progress.advance()
            progress.begin("drawing, writing and logging", 2 + sum(len(section.figures) for section in made))
            write_report(folder, cohort, findings, made, run_id, progress.advance)
            (folder / "manifest.yaml").write_text(manifest_text_without_sample_names(cohort.manifest), encoding="utf-8")
            metrics = run_metrics(made)
            said = {"taxokine": version("taxokine"), "cohort": cohort.name, "run_id": run_id, "metrics": metrics}
            (folder / MARK).write_text(json.dumps(said, indent=1, allow_nan=False), encoding="utf-8")
            progress.advance()
            tracking.log_metrics(run_id, metrics)
            tracking.log_folder(run_id, folder)
            progress.advance()
    return Studied(out / "report.html", run_id, tuple(made))


def run_metrics(sections: list[Section]) -> dict[str, float]:
    """Return the sections' finite metrics under the names that MLflow groups: `safety/any_grade`."""
    return {
        re.sub(r"[^\w /.-]", "_", f"{section.name}/{key}"): float(value)
        for section in sections
        for key, value in section.metrics.items()
        if np.isfinite(value)
    }


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `out` when all has gone well."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARK).is_file())):
        raise InputError(
            f"{out}: is not empty and no report of a study; name a new folder, or an earlier report to replace it"
        )
    place = out.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    with beside as partial:
        folder = Path(partial) / "new"
        folder.mkdir()
        yield folder
        if place.exists():
            shutil.move(place, Path(partial) / "old")
        folder.rename(place)
