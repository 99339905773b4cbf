"""Several trials in one study: their convergence on donors, pooled, as a tracked run and a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from features.cohort import Cohort
from features.errors import InputError
from features.trajectories import WINDOWS, Window
from training import tracking
from training.progress import Progress
from training.study.report import write_pooled_report
from training.study.sections.pooled import pooled_section
from training.study.sentences import as_sentence
from training.study.study import (
    DESCRIPTION,
    EXPERIMENT,
    RECORD,
    RUN_COLUMNS,
    StudyResult,
    audited_cohort,
    replaced_report,
    run_metrics,
)


def run_pooled_study(
    names: Sequence[str], out: Path, progress: Progress | None = None, windows: Sequence[Window] = WINDOWS
) -> StudyResult:
    """Pool the convergence on donors of several trials: one tracked run, and one report.

    Parameters
    ----------
    names : sequence of str
        Names or paths of manifests, of trials without a patient in common.
    out, progress, windows
        As of `training.study.study.run_study`.

    Raises
    ------
    InputError
        As of `run_study`; a trial is named twice, or two hold the same patients.
    DataMissing
        As of `features.cohort.read_cohort`.
    """
    progress = progress or Progress()
    with replaced_report(out) as folder:
        progress.begin("reading and auditing the cohorts", 2 * len(names))
        cohorts = [audited_cohort(name, progress)[0] for name in names]
        _require_distinct(cohorts)
        simulated = any(cohort.manifest.simulated for cohort in cohorts)
        trials = [cohort.name for cohort in cohorts]
        tags = tracking.cohort_tags(cohorts) | {"cohorts": ", ".join(trials)}
        params = {"cohort": ", ".join(trials), "windows": ", ".join(window.name for window in windows)}
        with tracking.experiment_run(EXPERIMENT, " + ".join(trials), tags, params, RUN_COLUMNS, DESCRIPTION) as run_id:
            progress.begin("pooling, drawing and logging", 1)
            sections = [pooled_section(cohorts, windows)]
            metrics = run_metrics(sections)
            write_pooled_report(folder, trials, sections, run_id, simulated=simulated)
            record = {"taxokine": version("taxokine"), "cohorts": trials, "run_id": run_id, "metrics": metrics}
            (folder / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
            tracking.log_metrics(run_id, metrics)
            tracking.log_description(run_id, "\n\n".join(map(as_sentence, sections[0].headlines)))
            tracking.log_folder(run_id, folder)
            progress.advance()
    return StudyResult(out / "report.html", run_id, tuple(sections))


def _require_distinct(cohorts: Sequence[Cohort]) -> None:
    """Raise InputError where a trial or its patients would count twice."""
    names: set[str] = set()
    for cohort in cohorts:
        if cohort.name in names:
            raise InputError(f"two of the trials are named {cohort.name!r}; name each trial once, by its own manifest")
        if twins := names & set(cohort.manifest.same_patients_as):
            raise InputError(
                f"{cohort.name} holds the same patients as {', '.join(sorted(twins))}, so that they would count twice; "
                "leave out one of them"
            )
        names.add(cohort.name)
