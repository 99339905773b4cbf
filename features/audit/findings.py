"""What an audit finds: of each kind how grave it is, why it matters and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from features.cohort import Cohort

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

KINDS: Mapping[str, tuple[Severity, str, str]] = {
    "outcome-contradiction": (
        "error",
        "one of the columns is miscoded, and a model would learn the mistake",
        "compare both with the publication; correct the file, or what the manifest says of its values",
    ),
    "outcome-inverted": (
        "error",
        "a column coded the wrong way round teaches a model the opposite",
        "compare with the publication's number of responders; swap yes and no in the manifest where they are wrong",
    ),
    "same-stool": (
        "error",
        "one stool under two patients has two labels, or stands on both sides of a fold",
        "find out whose stool it is; leave the other patient's row out",
    ),
    "shared-accession": (
        "error",
        "one sample in two cohorts stands on both sides of a fold, and a cohort left out is then no new cohort",
        "use one of the two, and say so in the manifest under 'same_patients_as'",
    ),
    "donor-is-patient": (
        "error",
        "a donor's stool posing as a patient's carries another person's outcome",
        "mark donors' rows with the manifest's 'samples.donor'",
    ),
    "late-baseline": (
        "error",
        "what is called baseline was taken after day 0, and may be changed by the treatment",
        "let the manifest name the day alone; the landmark then decides what may enter",
    ),
    "mixed-units": (
        "error",
        "a sample in another unit than its table's is read a hundredfold wrong",
        "write all samples in one unit",
    ),
    "ranks-stacked": (
        "error",
        "rows that are the sums of others count every read twice",
        "keep one rank's rows, or use clade strings, of which one rank is read",
    ),
    "empty-sample": ("error", "a proportion of nothing has no meaning", "leave the samples out of the samples' sheet"),
    "tells-outcome": (
        "error",
        "it was recorded because of the outcome, or cases were measured apart from the others; a model would learn "
        "that, and be worthless for a new patient",
        "exclude the column under the manifest's 'exclude_columns', or do not train on this outcome",
    ),
    "response-against-progression": (
        "warning",
        "both columns cannot be right for these patients",
        "ask the publication which of them holds; expect as many of the labels to be wrong",
    ),
    "unknown-as-no": (
        "warning",
        'an unknown outcome written as "no" is no observation',
        "do not train on that column; call its values unknown where nothing was observed",
    ),
    "labels-differ": (
        "warning",
        "a label pooled from several meanings means nothing that can be told to a patient",
        "train on objective_response or disease_control, or say with the result that labels were pooled as published",
    ),
    "alike-patients": (
        "warning",
        "one person under two names, or a swapped tube, has two labels, or stands on both sides of a fold",
        "ask the cohort's owners; train without these patients too and compare",
    ),
    "open-profiles": (
        "warning",
        "what no taxon explains differs by sample, and closing the profile to 1 hides it",
        "read proportions as shares of what is known",
    ),
    "closed-counts": (
        "warning",
        "counts of equal sums were rarefied, or are proportions written as counts",
        "state the unit that the numbers are in, or use the reads as counted",
    ),
    "depth-outlier": (
        "warning",
        "far fewer reads find fewer taxa, which a model takes for biology",
        "leave these samples out, or train without them too and compare",
    ),
    "nearly-empty": (
        "warning",
        "a profile of so few taxa is a failed measurement, not a stool",
        "leave these samples out, or train without them too and compare",
    ),
    "taxa-two-names": (
        "warning",
        "one taxon in two columns is absent from half of the patients, which tells their cohort",
        "pool cohorts profiled with one database",
    ),
    "few-taxa-shared": (
        "warning",
        "most of what one cohort names is absent from the others, which tells a patient's cohort and not the patient",
        "pool cohorts of one profiler, or leave this one out",
    ),
    "after-death": (
        "warning",
        "one of the two days is wrong, and survival or the event with it",
        "compare both with the patient's record, and correct the file",
    ),
    "stool-after-start": (
        "warning",
        "treatment changes stool, so that it is no baseline",
        "set the landmark to 0, or read the model as one for patients under treatment",
    ),
    "event-before-stool": (
        "warning",
        "stool that follows the event may show the event or its treatment",
        "set a landmark: patients whose event precedes it are then left out of this outcome",
    ),
    "predicts-outcome": (
        "warning",
        "how or whether something was measured goes with the outcome, and a model may learn that instead",
        "look at the gain over the technical covariates; keep the column out where it is recorded by outcome",
    ),
    "paired-by-label": (
        "warning",
        "stool and blood of one visit's number are not of one time",
        "leave 'visit' out of the manifest, so that blood is paired by day",
    ),
    "blood-far": (
        "warning",
        "stool and blood so far apart do not show one state of the patient",
        "set a narrower window",
    ),
    "clocks-differ": (
        "warning",
        "a landmark day means another moment in each",
        "train on cohorts of one clock, or read the landmark as each cohort's own",
    ),
    "profilers-differ": (
        "warning",
        "profilers find different taxa in the same stool, which tells a patient's cohort",
        "profile the reads anew with one program and database, or judge the model on left-out cohorts alone",
    ),
    "profiler-not-stated": (
        "warning",
        "a new patient's profile can be compared only with profiles made alike",
        "state 'taxa.profiler' in the manifest",
    ),
    "published-label": (
        "note",
        "a label that counts stable disease is nearer to disease control than to response",
        "prefer objective_response or disease_control, which mean the same in every cohort",
    ),
    "declared-twins": ("note", "the manifest says so, and the two are never pooled", "use one of the two"),
    "suffixed-taxa": (
        "note",
        "GTDB parts what other databases hold together",
        "nothing within this cohort; pool it with cohorts of the same database only",
    ),
    "event-before-treatment": ("note", "what precedes the treatment is not its harm; it is not counted", "nothing"),
    "event-before-landmark": ("note", "they are no longer at risk of a first event, and left out", "nothing"),
    "undated": (
        "note",
        "nothing shows that it was taken before treatment but the publication's word",
        "ask for the days, and name them in the manifest",
    ),
    "mixed-batches": (
        "note",
        "samples measured differently differ by that too",
        "compare with a model of the technical covariates alone",
    ),
    "technical-auroc": (
        "note",
        "it is what a model of taxa must beat",
        "look at the gain over the technical covariates",
    ),
}
"""For each code its severity, why it matters and what to do."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with cohorts, or that must be known of them.

    Attributes
    ----------
    code : str
        Its kind, of `KINDS`, by which it can be waived.
    severity : {'error', 'warning', 'note'}
        An error would make a result wrong; a warning changes what it means; a note is a fact.
    cohort : str
        The cohort, or the cohorts joined by " + ".
    rows : tuple of str
        The patients, samples, rows or taxa that it is about: for the user's own screen, since they may name patients.
    what, why, todo : str
        What was found, with its counts; why it matters; what to do. They name no patient and no sample.
    """

    code: str
    severity: Severity
    cohort: str
    rows: tuple[str, ...]
    what: str
    why: str
    todo: str

    @property
    def shareable(self) -> dict[str, Any]:
        """The finding as JSON, with the number of its rows in place of the rows."""
        return {**vars(self), "rows": len(self.rows)}


def finding(code: str, cohort: str, what: str, rows: Iterable[object] = ()) -> Finding:
    """Return a finding of a code of `KINDS`."""
    severity, why, todo = KINDS[code]
    return Finding(code, severity, cohort, tuple(map(str, rows)), what, why, todo)


class Suspicion(NamedTuple):
    """A test of chance, and what to report where its p-value stands among all of the audit's."""

    p: float
    finding: Finding | None


def beyond_chance(tests: Sequence[Suspicion], level: float) -> list[Finding]:
    """Return the findings that stand at this level after Holm's adjustment over the tests."""
    ordered, found = sorted(tests, key=lambda one: one.p), []
    for rank, (p, finding) in enumerate(ordered):
        if p * (len(ordered) - rank) > level:
            break
        if finding is not None:
            found.append(replace(finding, what=f"{finding.what} (p = {p:.1g}, of {len(ordered)} tests)"))
    return found


def words(name: str) -> str:
    """Return a column's or an outcome's name as words."""
    return name.replace("_", " ")


def joined(cohorts: Iterable[Cohort]) -> str:
    """Return the names of cohorts that a finding is about together."""
    return " + ".join(cohort.name for cohort in cohorts)


def by_cohort(cohorts: Sequence[Cohort], said: Sequence[str]) -> str:
    """Return what is said of the cohorts, each thing once with the cohorts it is said of."""
    alike = {thing: [c.name for c, other in zip(cohorts, said, strict=True) if other == thing] for thing in said}
    return "; ".join(f"{thing} ({', '.join(names)})" for thing, names in alike.items())
