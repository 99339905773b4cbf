"""Reports of cohorts: what their files hold, what the audit found, and the table a model would learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from features.outcomes import OUTCOME_IDS, definition_of
from taxokine.terminal import facts

if TYPE_CHECKING:
    import pandas as pd

    from features.audit import Finding
    from features.cohort import Cohort
    from features.feature_table import FeatureTable

ROWS_SHOWN = 5
"""Rows that are named for each finding of an audit."""
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def cohort_report(cohort: Cohort) -> Iterator[RenderableType]:
    """Yield what a cohort holds, as its manifest describes it."""
    manifest = cohort.manifest
    yield Text(f"{manifest.name}: {manifest.title}{' (simulated)' if manifest.simulated else ''}", "bold")
    yield facts(
        [
            *_tables(cohort),
            *_immune(cohort),
            *_outcomes(cohort),
            *(("excluded", f"{column}: {reason}") for column, reason in manifest.exclude_columns.items()),
            *(("hint", hint) for hint in manifest.hints),
            *(("note", note) for note in (*cohort.notes, *manifest.notes)),
        ]
    )


def audit_report(findings: Sequence[Finding], *, full: bool = False) -> Iterator[RenderableType]:
    """Yield what an audit found: errors first, each kind of finding once with why it matters and what to do.

    Parameters
    ----------
    findings : sequence of Finding
        The findings.
    full : bool
        Whether every row of a finding is named, and not only the first `ROWS_SHOWN`.
    """
    from features.severity import SEVERITIES

    for severity in SEVERITIES:
        kinds: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.severity == severity:
                kinds.setdefault(finding.code, []).append(finding)
        for code, alike in kinds.items():
            yield ""
            yield Text(f"{severity}: {code}", STYLES[severity])
            for finding in alike:
                yield f"  {finding.cohort}: {finding.description}"
                if finding.rows:
                    rows = finding.rows if full else finding.rows[:ROWS_SHOWN]
                    n_hidden = len(finding.rows) - len(rows)
                    yield f"    {', '.join(rows)}{f' and {n_hidden} more' if n_hidden else ''}"
            yield f"  why  {alike[0].consequence}"
            yield f"  do   {alike[0].remedy}"
    counts = Counter(finding.severity for finding in findings)
    totals = [f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in SEVERITIES]
    yield ""
    yield f"audit: {', '.join(totals)}"


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return a row for each patient, sample, taxon or key that a finding names; one for a finding that names none.

    A text that a spreadsheet would run as a formula, as a sample named "=1+1", begins with an apostrophe.
    """
    import pandas as pd

    columns = ["severity", "code", "cohort", "row", "description", "consequence", "remedy"]
    rows = [{**vars(finding), "row": row} for finding in findings for row in finding.rows or ("",)]
    return pd.DataFrame(rows, columns=columns).map(_without_formula)


def _without_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def table_report(table: FeatureTable) -> Iterator[RenderableType]:
    """Yield what a feature table holds, cohort by cohort."""
    for name in table.cohorts:
        rows = table.rows[table.rows["cohort"] == name]
        with_blood = rows["draw"].notna()
        blood = ""
        if with_blood.any():
            blood = f", {with_blood.sum()} of them with blood ({rows.loc[with_blood, 'patient'].nunique()} patients)"
        yield f"{name}: {rows['patient'].nunique()} patients, {len(rows)} rows{blood}"
        yield from (_risk(outcome, rows) for outcome in OUTCOME_IDS if rows[outcome].notna().any())
    yield (
        f"{len(table.taxa.names)} taxa, {len(table.immune.names)} immune measurements, "
        f"{len(table.clinical.names)} clinical columns"
    )
    yield from (f"note: {note}" for note in table.notes)


def _tables(cohort: Cohort) -> Iterator[tuple[str, str]]:
    manifest, samples = cohort.manifest, cohort.samples
    patients = samples.loc[~samples["donor"], "patient"]
    donors = f"; {len(cohort.donor_samples)} donor samples" if len(cohort.donor_samples) else ""
    yield "patients", f"{patients.nunique()} with {len(patients)} stool samples{donors}"
    profiler = cohort.taxa.profiler or "not stated"
    yield "taxa", f"{len(cohort.taxa.taxa)} ({manifest.taxa.rank}), {cohort.taxa.unit}, profiler {profiler}"
    dated = "is dated" if manifest.samples.day else f"is not dated ({manifest.samples.baseline or 'by visit'})"
    yield "clock", f"{manifest.clock.name}, day 0 is {manifest.clock.index}; stool {dated}"
    if len(cohort.clinical.columns):
        yield "clinical", ", ".join(cohort.clinical.columns)


def _immune(cohort: Cohort) -> Iterator[tuple[str, str]]:
    if cohort.immune is None:
        return
    rows = cohort.immune.rows
    sides = rows["censored"].value_counts()
    yield (
        "immune",
        f"{rows['analyte'].nunique()} analytes ({cohort.immune.kind}, {cohort.immune.unit}); "
        f"{sides.get('below', 0)} values below and {sides.get('above', 0)} above their range"
        + (f", {n_extrapolated} extrapolated" if (n_extrapolated := int(rows["extrapolated"].sum())) else ""),
    )
    renamed = [f"{name} read as {analyte}" for name, analyte in cohort.immune.synonyms().items() if name != analyte]
    if renamed:
        yield "", ", ".join(renamed)


def _outcomes(cohort: Cohort) -> Iterator[tuple[str, str]]:
    patients = set(cohort.samples.loc[~cohort.samples["donor"], "patient"])
    for outcome, flags in cohort.labels.label_by_outcome.items():
        labels = flags[flags.index.isin(patients)]
        known_labels = labels.dropna().astype(bool)
        counts = f"{known_labels.sum()} yes, {(~known_labels).sum()} no, {labels.isna().sum()} unknown"
        yield "outcome", f"{outcome}: {counts} ({definition_of(outcome)})"
    events = cohort.labels.events
    if events is not None:
        n_early = int((events.frame["day"] < events.first_counted_day).sum())
        yield (
            "outcome",
            f"toxicity: {len(events.frame)} dated events of {events.frame['patient'].nunique()} patients, "
            f"{n_early} before day {events.first_counted_day:g}, not counted",
        )


def _risk(outcome: str, rows: pd.DataFrame) -> str:
    labels, at_risk = rows[outcome], rows[f"at_risk_{outcome}"]
    flags = labels.dropna().astype(bool)
    risk = "at risk not checkable"
    if (at_risk != "unknown").any():
        risk = f"{(at_risk == 'yes').sum()} at risk at the landmark"
    return (
        f"  {outcome}: {flags.sum()} yes, {(~flags).sum()} no, {labels.isna().sum()} unknown or before the landmark; "
        f"{risk}"
    )
