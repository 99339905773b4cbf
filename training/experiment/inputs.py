"""The data of an experiment: cohorts, feature table and audit, and the record of them that a run keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from features.audit import KINDS, audit
from features.cohort import Cohort, read_cohort
from features.errors import AuditError, InputError
from features.feature_table import FeatureTable
from features.landmark import landmark_table
from features.manifest import manifest_text_without_sample_names
from features.pooling import pool_tables
from features.settings import settings
from models.evidence import AuditFinding
from training import tracking
from training.experiment.spec import Experiment
from training.progress import Progress


def read_cohorts(experiment: Experiment, progress: Progress) -> list[Cohort]:
    """Read an experiment's cohorts."""
    progress.begin("reading cohorts", len(experiment.cohorts))
    cohorts = []
    for name in experiment.cohorts:
        cohorts.append(read_cohort(name, settings().data))
        progress.advance()
    return cohorts


def pooled_table(cohorts: Sequence[Cohort], experiment: Experiment) -> FeatureTable:
    """Return the pooled feature table of the cohorts at the landmark."""
    return pool_tables([landmark_table(cohort, experiment.landmark_spec()) for cohort in cohorts])


def require_known_codes(waive: Sequence[str]) -> None:
    """Raise InputError if a code to waive is not a code of the audit."""
    for code in waive:
        if code not in KINDS:
            raise InputError(f"{code!r} is not a finding of the audit; known are {', '.join(KINDS)}")


def audit_findings(
    cohorts: Sequence[Cohort], table: FeatureTable, outcome: str, waive: Sequence[str]
) -> tuple[AuditFinding, ...]:
    """Return the audit's findings, without names of patients or samples.

    Raises
    ------
    AuditError
        A finding is an error that is not waived.
    """
    findings = audit(cohorts, table, outcome)
    errors = [finding for finding in findings if finding.severity == "error" and finding.code not in waive]
    if errors:
        list_of_errors = "; ".join(f"{finding.code} in {finding.cohort}: {finding.description}" for finding in errors)
        codes = ",".join(dict.fromkeys(finding.code for finding in errors))
        raise AuditError(
            f"the audit found errors that make the result wrong: {list_of_errors}. 'taxokine cohorts check' shows the "
            f"rows and the remedy; to go on in spite of them, add --waive {codes}"
        )
    return tuple(
        AuditFinding(
            code=finding.code,
            severity=finding.severity,
            cohort=finding.cohort,
            rows=len(finding.rows),
            description=finding.description,
            consequence=finding.consequence,
            remedy=finding.remedy,
            waived=finding.severity == "error",
        )
        for finding in findings
    )


def experiment_tags(
    experiment: Experiment, cohorts: Sequence[Cohort], outcome: str, models: int, notes: Sequence[str]
) -> dict[str, str]:
    """Return the tags of an experiment's run, with the number of models that it compares."""
    tags = {
        **tracking.cohort_tags(cohorts),
        "outcome": outcome,
        "models": str(models),
        "mlflow.note.content": "\n\n".join(notes),
    }
    if experiment.pool_labels:
        tags["pooled_labels"] = "true"
    if experiment.waive:
        tags["waived"] = ",".join(experiment.waive)
    return tags


def write_inputs(folder: Path, cohorts: Sequence[Cohort], findings: Sequence[AuditFinding]) -> None:
    """Write the manifests, without sample names, and the audit's findings."""
    for cohort in cohorts:
        text = manifest_text_without_sample_names(cohort.manifest)
        (folder / f"{cohort.name}.yaml").write_text(text, encoding="utf-8")
    audit_json = json.dumps([asdict(finding) for finding in findings], indent=1)
    (folder / "audit.json").write_text(audit_json, encoding="utf-8")
