"""Audits of cohorts before any training: what in them would make a model's result wrong, and what must be known.

A check is a small function of what was read. Those of facts look at one cohort (`WITHIN`, `OF_ROWS`), at several
(`ACROSS`) or at the table that a model would learn from. Those in `TESTED` ask whether something is more unequal than
chance allows; their p-values are adjusted over the audit by Holm's method, so that cohorts with nothing wrong raise a
false alarm by chance in at most one audit of twenty. `KINDS` says of each code why it matters and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, permutations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact, mannwhitneyu

from features.cohort import Cohort
from features.landmark import FeatureTable
from features.outcomes import RESPONSES, is_toxicity
from features.sheets import finite_numbers
from features.transforms import genus_of

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

FALSE_ALARMS = 0.05
"""Chance that an audit of cohorts with nothing wrong alarms by chance (Holm 1979, Scand J Statist 6:65-70)."""
TELLS = 0.9
"""AUROC from which one column alone tells an outcome; nothing measured before treatment is known to reach it."""
EQUAL, SAME_STOOL, ALIKE = 0.9995, 0.98, 0.8
"""Likenesses (cosines of log abundance) from which two profiles are equal, one stool's, or one person's. By species,
one person's stools have medians of 0.82 and 0.88 and at most 0.97 in the two public cohorts that repeat them; two
persons' at most 0.72 in all of them, but for the pairs that stand out."""
UNSEEN = 1e-5
"""Proportion below which a taxon counts as hardly found: log abundance is log(1 + proportion / UNSEEN)."""
STANDS_OUT = 8.0
"""Robust SDs by which a likeness exceeds what is usual in its cohort."""
LEAST_PATIENTS, LEAST_EVENTS = 10, 3
"""Patients from which what is usual in a cohort can be told, and of each label from which a column is tested."""
OUTLYING = 5.0
"""Robust SDs of log reads beyond which a sample is an outlier."""
FEWEST_READS = 1000
"""Reads below which a sample is too shallow, whatever the others have."""
FEW_TAXA = 5
"""Taxa up to which a profile is all but empty, where the cohort's median is ten times as many."""
APART = 14.0
"""Days from which stool and blood are not of one time."""

_ACCESSION = re.compile(r"[DES]R[RSX][0-9]{5,}|SAM(N|EA|D)[0-9]{5,}")
# GTDB splits genera and species by a suffix: Blautia_A obeum, Faecalibacterium prausnitzii_C.
_SUFFIX = re.compile(r"(?<=[a-z]{3})(?<!_clade)_[A-Z]{1,2}(?=_[a-z]|$)")

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
        "forbid the column under the manifest's 'never', or do not train on this outcome",
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


class _Tested(NamedTuple):
    """A test of chance, and what to report where its p-value stands among all of the audit's."""

    p: float
    finding: Finding | None


@dataclass(frozen=True)
class _Rows:
    """One cohort's patients: the position of each one's sample, the labels (1, 0, NaN), and whether blood was drawn."""

    cohort: Cohort
    positions: NDArray[np.intp]
    labels: dict[str, NDArray[np.float64]]
    drawn: NDArray[np.bool_]

    @cached_property
    def column_tests(self) -> list[_ColumnTest]:
        """How well each column alone does for each outcome."""
        return _column_tests(self)


def audit(cohorts: Sequence[Cohort], table: FeatureTable | None = None, outcome: str | None = None) -> list[Finding]:
    """Look for what would make a model's result wrong, and for what must be known of it.

    Parameters
    ----------
    cohorts : sequence of Cohort
        They are looked at one by one and against each other.
    table : FeatureTable, optional
        The rows that a model is about to learn from. Without it, each patient's first stool stands for the patient.
    outcome : str, optional
        The outcome, of `OUTCOME_IDS`, that is about to be trained on; each that the cohorts tell, when left out.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then notes.
    """
    rows = [_rows(cohort, table, outcome) for cohort in cohorts]
    found = [finding for cohort in cohorts for check in WITHIN for finding in check(cohort)]
    found += [finding for part in rows for check in OF_ROWS for finding in check(part)]
    found += alike_profiles(cohorts)
    if len(cohorts) > 1:
        found += [finding for check in ACROSS for finding in check(cohorts)]
        found += different_labels(cohorts, outcome)
    if table is not None:
        found += [*blood_far(table), *events_before_landmark(table, outcome)]
    for check in TESTED:
        found += _beyond_chance([one for part in rows for one in check(part)], FALSE_ALARMS / len(TESTED))
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _finding(code: str, cohort: str, what: str, rows: Iterable[object] = ()) -> Finding:
    severity, why, todo = KINDS[code]
    return Finding(code, severity, cohort, tuple(map(str, rows)), what, why, todo)


def _beyond_chance(tests: Sequence[_Tested], level: float) -> list[Finding]:
    """Return the findings that stand at this level after Holm's adjustment over the tests."""
    ordered, found = sorted(tests, key=lambda one: one.p), []
    for rank, (p, finding) in enumerate(ordered):
        if p * (len(ordered) - rank) > level:
            break
        if finding is not None:
            found.append(replace(finding, what=f"{finding.what} (p = {p:.1g}, of {len(ordered)} tests)"))
    return found


def _rows(cohort: Cohort, table: FeatureTable | None, outcome: str | None) -> _Rows:
    outcomes = cohort.labels.defined if outcome is None else (outcome,)
    if table is not None:
        chosen = (table.rows["cohort"] == cohort.name).to_numpy()
        rows = table.rows[chosen]
        positions = pd.Index(cohort.samples["sample"]).get_indexer(pd.Index(rows["sample"]))
        labels: dict[str, Any] = {name: rows[name] for name in outcomes if name in rows}
        drawn = table.immune.measured[chosen]
    else:
        rows = _first_stool(cohort)
        positions, patients = rows.index.to_numpy(), pd.Index(rows["patient"])
        found = {name: cohort.labels.outcome(name, patients, -np.inf, None) for name in outcomes}
        labels = {name: label[0] for name, label in found.items() if label is not None}
        said, immune = cohort.manifest.immune, cohort.immune
        drawn = patients.isin(immune.rows[said.patient]) if said and immune else np.zeros(len(rows), bool)
    return _Rows(
        cohort, positions, {name: label.to_numpy(np.float64, na_value=np.nan) for name, label in labels.items()}, drawn
    )


def _first_stool(cohort: Cohort) -> pd.DataFrame:
    """Return each patient's earliest sample; the index is the sample's position."""
    stool = cohort.samples[~cohort.samples["donor"]]
    return stool.sort_values(["patient", "day", "visit"], kind="stable").drop_duplicates("patient")


def _robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances from the median in robust SDs; 0 where half of the values are equal."""
    away = values - np.median(values)
    sd = 1.4826 * np.median(np.abs(away))
    return np.asarray(away / sd) if sd > 0 else np.zeros_like(away)


def _sums(cohort: Cohort) -> NDArray[np.float64]:
    return np.asarray(cohort.taxa.values.sum(axis=1, dtype=np.float64))


def _words(name: str) -> str:
    return name.replace("_", " ")


# Outcomes


def contradictions(cohort: Cohort) -> Iterator[Finding]:
    """Responses that a response excludes, and follow-up that ends before it.

    Complete or partial response is a response by any label, and progression as the best response is none (Eisenhauer
    2009, Eur J Cancer 45:228-247). Progression is no later than the last day alive.
    """
    flags = cohort.labels.flags
    for a, b in (
        ("objective_response", "published_response"),
        ("objective_response", "durable_benefit"),
        ("published_response", "disease_control"),
        ("durable_benefit", "disease_control"),
    ):
        if a in flags and b in flags:
            yes, so = flags[a].eq(True).fillna(False), flags[b]
            wrong = yes & so.eq(False).fillna(False)
            if wrong.any():
                what = f"{wrong.sum()} of {(yes & so.notna()).sum()} patients with {_words(a)} have no {_words(b)}"
                yield _finding("outcome-contradiction", cohort.name, what, flags[a].index[wrong])
    dates = cohort.labels.dates
    if dates is not None and {"progression_free_survival", "overall_survival"} <= set(dates):
        wrong = dates["progression_free_survival"] > dates["overall_survival"]
        if wrong.any():
            what = f"{wrong.sum()} of {len(dates)} patients were free of progression after their last day alive"
            yield _finding("outcome-contradiction", cohort.name, what, dates.index[wrong])


def response_against_progression(cohort: Cohort) -> Iterator[Finding]:
    """Response with progression in the first three months, or none with six months or more free of progression.

    A response takes about three months to be seen and confirmed; six months without progression are a durable benefit.
    """
    for months, free in cohort.labels.progression_free.items():
        early = months <= 3
        needed = ["objective_response", "durable_benefit", "published_response"] if early else []
        for name in needed if months < 6 else ["durable_benefit", "disease_control"]:
            flag = _responses(cohort).get(name)
            if flag is None:
                continue
            of = flag.eq(early).fillna(False) & free.notna()
            wrong = of & free.ne(early).fillna(False)
            if wrong.any():
                what = (
                    f"of {of.sum()} patients with{'' if early else 'out'} {_words(name)}, {wrong.sum()} "
                    f"{'had progressed' if early else 'were free of progression'} at month {months}"
                )
                yield _finding("response-against-progression", cohort.name, what, free.index[wrong])


def _responses(cohort: Cohort) -> dict[str, pd.Series[bool]]:
    """Return the columns that tell response, one of each kind, and freedom from progression by month."""
    told: dict[str, pd.Series[bool]] = {}
    for name in RESPONSES:  # a publication's own label comes last
        flag = cohort.labels.flags.get(name)
        if flag is not None and not any(flag.equals(other) for other in told.values()):
            told[name] = flag
    return told | {f"PFS at month {months}": free for months, free in cohort.labels.progression_free.items()}


def inverted_outcomes(rows: _Rows) -> Iterator[_Tested]:
    """Columns of response that go with each other's opposite."""
    for (a, first), (b, second) in combinations(_responses(rows.cohort).items(), 2):
        both = first.notna() & second.notna()
        x, y = first[both].astype(bool), second[both].astype(bool)
        what = f"{_words(a)} and {_words(b)} disagree in {(x != y).sum()} of {len(x)} patients"
        p = fisher_exact(_crossed(x, y), alternative="less").pvalue
        yield _Tested(p, _finding("outcome-inverted", rows.cohort.name, what, x.index[x != y]))


def unknown_as_no(rows: _Rows) -> Iterator[_Tested]:
    """Patients of unknown response whom another column calls "no" more often than those of known response."""
    told = _responses(rows.cohort)
    for (a, first), (b, second) in permutations(told.items(), 2):
        said = second.dropna()
        hidden, no = first.isna()[said.index], said.eq(False)
        if a in RESPONSES and hidden.sum() >= LEAST_EVENTS:
            counts = _crossed(hidden, no)
            what = (
                f'{b} says "no" of {counts[0][0]} of {hidden.sum()} patients whose {_words(a)} is unknown, and of '
                f"{counts[1][0]} of {(~hidden).sum()} others"
            )
            p = fisher_exact(counts, alternative="greater").pvalue
            yield _Tested(p, _finding("unknown-as-no", rows.cohort.name, what, said.index[hidden & no]))


def _crossed(x: Any, y: Any) -> list[list[int]]:
    return [[int((x & y).sum()), int((x & ~y).sum())], [int((~x & y).sum()), int((~x & ~y).sum())]]


def published_label(cohort: Cohort) -> Iterator[Finding]:
    """Whether a publication's own label is another one, and what it makes of stable disease."""
    if said := _published_meaning(cohort):
        yield _finding("published-label", cohort.name, f"published response {said}")


def _published_meaning(cohort: Cohort) -> str:
    flags = cohort.labels.flags
    published, said = flags.get("published_response"), []
    if published is None:
        return ""
    for name in ("objective_response", "disease_control", "durable_benefit"):
        if name in flags and not published.ne(flags[name]).any():
            said.append(f"is {_words(name)}")
    if "disease_control" in flags:
        stable = (flags["disease_control"] & ~flags["objective_response"]).fillna(False)
        said.append(f"counts {published[stable].sum()} of {stable.sum()} patients with stable disease")
    return ", ".join(said)


def different_labels(cohorts: Sequence[Cohort], outcome: str | None) -> Iterator[Finding]:
    """Labels that mean different things under one name."""
    published = [cohort for cohort in cohorts if "published_response" in cohort.labels.flags]
    if outcome in (None, "published_response") and len(published) > 1:
        said = _by_cohort(published, [_published_meaning(c) or "gives no RECIST to tell by" for c in published])
        yield _finding("labels-differ", _joined(published), f"published response {said}")
    toxic = [cohort for cohort in cohorts if any(map(is_toxicity, cohort.labels.defined))]
    dated = [cohort.name for cohort in toxic if cohort.labels.events is not None]
    if (outcome is None or is_toxicity(outcome)) and 0 < len(dated) < len(toxic):
        what = f"toxicity: events after the landmark in {', '.join(dated)}; of any day, since undated, in the others"
        yield _finding("labels-differ", _joined(toxic), what)


def _joined(cohorts: Iterable[Cohort]) -> str:
    return " + ".join(cohort.name for cohort in cohorts)


def _by_cohort(cohorts: Sequence[Cohort], said: Sequence[str]) -> str:
    """Return what is said of the cohorts, each thing once with the cohorts it is said of."""
    alike = {thing: [c.name for c, other in zip(cohorts, said, strict=True) if other == thing] for thing in said}
    return "; ".join(f"{thing} ({', '.join(names)})" for thing, names in alike.items())


# One patient or sample under two names


def alike_profiles(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Profiles of two persons that are one stool's, or as alike as one person's stools.

    Profiles are compared by the cosine of their log abundances. Equal ones are always found. Of others,
    each patient's first stool is compared with all stool of everybody else, and reported where the nearest stands out
    from what is usual in its cohort (Fisher's z): later stool of those who share a donor may well be alike.
    """
    people = [(cohort.name, patient) for cohort in cohorts for patient in cohort.samples["patient"]]
    person = pd.Series(people).map({one: at for at, one in enumerate(dict.fromkeys(people))}).to_numpy()
    nearest, likeness = _nearest_stranger(_log_abundances(cohorts), person)
    suspect, start = likeness > EQUAL, 0
    for cohort in cohorts:
        few = (cohort.taxa.values > 0).sum(axis=1) < 2 * FEW_TAXA
        suspect[start : start + len(few)] &= ~few
        first = start + _first_stool(cohort).index.to_numpy()
        if len(first) >= LEAST_PATIENTS:
            z = _robust_z(np.arctanh(np.minimum(likeness[first], EQUAL)))
            suspect[first] |= (z > STANDS_OUT) & (likeness[first] > ALIKE)
        start += len(few)
    pairs: dict[frozenset[tuple[str, str]], float] = {}
    for at in np.flatnonzero(suspect):
        pair = frozenset((people[at], people[nearest[at]]))
        pairs[pair] = max(float(likeness[at]), pairs.get(pair, 0))
    declared = {cohort.name: cohort.manifest.same_patients_as for cohort in cohorts}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for pair, r in pairs.items():
        (a, one), (b, other) = sorted(pair)
        if b not in declared[a] and a not in declared[b]:
            key = ("same-stool" if r >= SAME_STOOL else "alike-patients", " + ".join(dict.fromkeys((a, b))))
            found.setdefault(key, {})[f"{one} and {other} ({r:.3f})"] = r
    for (code, name), alike in found.items():
        whose = "one stool profiled twice" if code == "same-stool" else "one person's at two times"
        pairs_of = "1 pair of patients has" if len(alike) == 1 else f"{len(alike)} pairs of patients have"
        what = f"{pairs_of} stool as alike as {whose} (likeness up to {max(alike.values()):.2f} of 1)"
        yield _finding(code, name, what, alike)


def _log_abundances(cohorts: Sequence[Cohort]) -> NDArray[np.float32]:
    """Return log abundances over all cohorts' taxa, (n_samples, n_taxa), each row of length 1."""
    taxa = {taxon: at for at, taxon in enumerate(dict.fromkeys(t for cohort in cohorts for t in cohort.taxa.taxa))}
    logs = np.zeros((sum(len(cohort.samples) for cohort in cohorts), len(taxa)), np.float32)
    start = 0
    for cohort in cohorts:
        shares = cohort.taxa.values / np.maximum(_sums(cohort), 1e-300)[:, None]
        logs[start : start + len(shares), [taxa[taxon] for taxon in cohort.taxa.taxa]] = np.log1p(shares / UNSEEN)
        start += len(shares)
    return np.asarray(logs / np.maximum(np.linalg.norm(logs, axis=1, keepdims=True), 1e-30))


def _nearest_stranger(X: NDArray[np.float32], person: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return each sample's most alike sample of another person, and the likeness; -1 where there is nobody else."""
    nearest, likeness = np.zeros(len(X), np.intp), np.full(len(X), -1.0)
    for start in range(0, len(X), 1024):  # so that 5,000 samples take 20 MB, not 100
        block = slice(start, start + 1024)
        r = np.where(person[block, None] == person, -1, X[block] @ X.T)
        nearest[block] = r.argmax(axis=1)
        likeness[block] = r.max(axis=1)
    return nearest, likeness


def shared_samples(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Run accessions that stand in two cohorts, declared or not."""
    for a, b in combinations(cohorts, 2):
        shared = sorted(set(a.taxa.samples) & set(b.taxa.samples))
        if b.name in a.manifest.same_patients_as or a.name in b.manifest.same_patients_as:
            what = f"the two hold the same patients; {len(shared)} samples have the same name"
            yield _finding("declared-twins", _joined((a, b)), what, shared)
        elif shared := [name for name in shared if _ACCESSION.fullmatch(name)]:
            what = f"{len(shared)} run accessions stand in both"
            yield _finding("shared-accession", _joined((a, b)), what, shared)


# Profiles


def units(cohort: Cohort) -> Iterator[Finding]:
    """Another unit than the table's, sums that are no whole, counts that are none, rows that are sums of others."""
    unit, sums, samples = cohort.taxa.unit, _sums(cohort), np.asarray(cohort.taxa.samples)
    whole = {"percent": 100.0, "proportions": 1.0, "counts": np.nan}[unit]
    other = (unit == "percent") & (sums > 0) & (sums <= 1.01)
    if other.any():
        what = f"{other.sum()} of {len(sums)} samples sum to about 1 in a table of percent"
        yield _finding("mixed-units", cohort.name, what, samples[other])
    unexplained = ~other & (sums > 0) & (sums < 0.99 * whole)
    if unexplained.any():
        low = 100 * sums[unexplained].min() / whole
        what = f"{unexplained.sum()} of {len(sums)} samples sum to less than the whole, down to {low:.0f}%"
        yield _finding("open-profiles", cohort.name, what, samples[unexplained])
    if unit == "counts" and len(sums) > 2 and np.ptp(sums) <= 0.001 * np.median(sums):
        yield _finding(
            "closed-counts", cohort.name, f"the counts of all {len(sums)} samples sum to {np.median(sums):g}"
        )
    if stacked := _sums_of_others(cohort):
        what = f"{len(stacked)} of {len(cohort.taxa.taxa)} taxa are genera, and the sums of their own species"
        yield _finding("ranks-stacked", cohort.name, what, stacked)


def _sums_of_others(cohort: Cohort) -> list[str]:
    position = {taxon: at for at, taxon in enumerate(cohort.taxa.taxa)}
    below: dict[str, list[int]] = {}
    for taxon, at in position.items():
        if (genus := genus_of(taxon)) != taxon and genus in position:
            below.setdefault(genus, []).append(at)
    values = cohort.taxa.values
    return [
        genus
        for genus, species in below.items()
        if values[:, species].any()
        and np.allclose(values[:, species].sum(axis=1), values[:, position[genus]], rtol=0.01)
    ]


def samples_without_taxa(cohort: Cohort) -> Iterator[Finding]:
    """No taxon, or next to none."""
    found, samples = (cohort.taxa.values > 0).sum(axis=1), np.asarray(cohort.taxa.samples)
    if (found == 0).any():
        what = f"{(found == 0).sum()} of {len(found)} samples hold no taxon"
        yield _finding("empty-sample", cohort.name, what, samples[found == 0])
    few = (found > 0) & (found <= FEW_TAXA)
    if few.any() and np.median(found) >= 10 * FEW_TAXA:
        what = f"{few.sum()} of {len(found)} samples hold at most {FEW_TAXA} taxa; the median is {np.median(found):g}"
        yield _finding("nearly-empty", cohort.name, what, samples[few])


def depth(cohort: Cohort) -> Iterator[Finding]:
    """Far fewer or far more reads than the cohort's others, in logarithms, or too few by any measure."""
    reads = cohort.technical["reads"].to_numpy() if "reads" in cohort.technical else _sums(cohort)
    if "reads" not in cohort.technical and cohort.taxa.unit != "counts":
        return
    known = np.flatnonzero(reads > 0)
    far = known[(np.abs(_robust_z(np.log(reads[known]))) > OUTLYING) | (reads[known] < FEWEST_READS)]
    if far.size:
        what = (
            f"{far.size} of {len(known)} samples stand out by their reads, from {reads[far].min():,.0f} to "
            f"{reads[far].max():,.0f}; the median of all is {np.median(reads[known]):,.0f}"
        )
        yield _finding("depth-outlier", cohort.name, what, np.asarray(cohort.taxa.samples)[far])


def suffixed_taxa(cohort: Cohort) -> Iterator[Finding]:
    """Taxa of one cohort that other databases hold together."""
    names = _spellings([cohort])
    split = sorted(name for spelt in names.values() if len(spelt) > 1 for name in spelt)
    if split:
        what = f"{len(split)} of {len(cohort.taxa.taxa)} taxa differ from another by a suffix or by case alone"
        yield _finding("suffixed-taxa", cohort.name, what, split)


def taxa_under_two_names(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Taxa that one cohort spells with a suffix or in a case that another does not."""
    own = [set(cohort.taxa.taxa) for cohort in cohorts]
    several = (spelt for spelt in _spellings(cohorts).values() if len(spelt) > 1)
    apart = [
        " and ".join(sorted(spelt))
        for spelt in several
        if any(a & spelt and b & spelt and not a & b & spelt for a, b in combinations(own, 2))
    ]
    if apart:
        what = f"{len(apart)} taxa are named differently in one cohort and another"
        yield _finding("taxa-two-names", _joined(cohorts), what, sorted(apart))


def _spellings(cohorts: Iterable[Cohort]) -> dict[str, set[str]]:
    spelt: dict[str, set[str]] = {}
    for cohort in cohorts:
        for name in cohort.taxa.taxa:
            spelt.setdefault(_SUFFIX.sub("", name).casefold(), set()).add(name)
    return spelt


def few_taxa_shared(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Cohorts most of whose abundance is in taxa that no other cohort names."""
    for cohort in cohorts:
        others = {taxon for other in cohorts if other is not cohort for taxon in other.taxa.taxa}
        shared = np.isin(cohort.taxa.taxa, list(others))
        share = cohort.taxa.values[:, shared].sum(axis=1) / np.maximum(_sums(cohort), 1e-300)
        if np.median(share) < 0.5:
            what = (
                f"{shared.sum()} of its {len(shared)} taxa are named in another cohort; they are a median of "
                f"{100 * np.median(share):.0f}% of its samples"
            )
            yield _finding("few-taxa-shared", cohort.name, what)


# Who and when


def donors(cohort: Cohort) -> Iterator[Finding]:
    """Donors' stool that stands for a patient."""
    mine = cohort.samples[~cohort.samples["donor"]]
    both = sorted(set(mine["patient"]) & set(cohort.donors["patient"]))
    if both:
        yield _finding("donor-is-patient", cohort.name, f"{len(both)} subjects are donors and patients", both)
    given = sorted(set(cohort.samples["given"]) & set(mine["sample"]))
    if given:
        what = f"{len(given)} samples were given to patients, and are listed as a patient's own"
        yield _finding("donor-is-patient", cohort.name, what, given)


def late_baseline(cohort: Cohort) -> Iterator[Finding]:
    """Stool or blood called baseline whose day says otherwise."""
    said = cohort.manifest
    stool = cohort.samples[~cohort.samples["donor"] & (cohort.samples["day"] > 0)]
    if said.samples.baseline and not stool.empty:
        what = f"{len(stool)} stool samples called {said.samples.baseline!r} are of later than day 0"
        yield _finding("late-baseline", cohort.name, what, stool["sample"])
    if said.immune and said.immune.baseline and said.immune.day and cohort.immune:
        rows = cohort.immune.rows[[said.immune.patient, said.immune.day]].drop_duplicates()
        late = rows[finite_numbers(rows[said.immune.day]) > 0]
        if not late.empty:
            what = f"{len(late)} blood draws called {said.immune.baseline!r} are of later than day 0"
            yield _finding("late-baseline", cohort.name, what, late[said.immune.patient])


def undated(cohort: Cohort) -> Iterator[Finding]:
    """Stool or blood taken at the publication's word."""
    said = cohort.manifest
    for what, part in (("stool", said.samples), ("blood", said.immune)):
        if part is not None and part.day is None:
            dated = "; the other is dated" if what == "blood" and said.samples.day else ""
            yield _finding("undated", cohort.name, f"{what} is not dated ({part.baseline or 'numbered visits'}){dated}")


def late_stool(rows: _Rows) -> Iterator[Finding]:
    """Patients for whom stool stands that was taken after day 0, and those whose event had happened by then."""
    cohort = rows.cohort
    stool = cohort.samples.iloc[rows.positions]
    late = stool["day"] > 0
    if late.any():
        what = (
            f"{late.sum()} of {len(stool)} patients are told by stool of later than day 0 "
            f"({cohort.manifest.clock.index}), of day {stool['day'][late].min():g} to {stool['day'].max():g}"
        )
        yield _finding("stool-after-start", cohort.name, what, stool["patient"][late])
    day = stool.groupby("patient")["day"].min()
    for name, first in _first_events(cohort, day.index).items():
        over = first <= day
        if over.any():
            what = f"in {over.sum()} of {len(day)} patients stool was taken on the day of their first {name}, or later"
            yield _finding("event-before-stool", cohort.name, what, day.index[over])


def _first_events(cohort: Cohort, patients: pd.Index[str]) -> dict[str, pd.Series[float]]:
    first = {}
    if cohort.labels.events is not None:
        first["adverse event"] = cohort.labels.events.first("toxicity_any", patients)
    dates = cohort.labels.dates
    if dates is not None and "progression_free_survival" in dates:
        happened = dates["progression_free_survival_event"].eq(True).fillna(False)
        first["progression"] = dates["progression_free_survival"].where(happened).reindex(patients)
    return first


def events_before_treatment(cohort: Cohort) -> Iterator[Finding]:
    """Dated events that precede the treatment."""
    if (events := cohort.labels.events) is not None:
        before = events.frame[events.frame["day"] < events.since]
        if not before.empty:
            what = f"{len(before)} of {len(events.frame)} adverse events are of before day {events.since:g}"
            yield _finding("event-before-treatment", cohort.name, what, before["patient"])


def events_before_landmark(table: FeatureTable, outcome: str | None) -> Iterator[Finding]:
    """Patients whose first adverse event was over by the landmark."""
    if outcome is None or not is_toxicity(outcome):
        return
    for name, rows in table.rows.groupby("cohort"):
        over = rows[f"at_risk_{outcome}"] == "no"
        if over.any():
            what = f"{over.sum()} of {len(rows)} patients had an event on or before day {rows['landmark'].iloc[0]:g}"
            yield _finding("event-before-landmark", str(name), what, rows["patient"][over])


def paired_by_label(cohort: Cohort) -> Iterator[Finding]:
    """Visits whose stool and blood, both dated, are of different times."""
    said, samples = cohort.manifest, cohort.samples
    blood = said.immune
    if blood is None or cohort.immune is None or not (blood.day and blood.visit and said.samples.day):
        return
    draws = cohort.immune.rows[[blood.patient, blood.day, blood.visit]].drop_duplicates()
    draws = draws.set_axis(["patient", "drawn", "visit"], axis=1)
    draws[["drawn", "visit"]] = draws[["drawn", "visit"]].apply(finite_numbers)
    visits = samples.merge(draws, on=["patient", "visit"])
    gap = (visits["drawn"] - visits["day"]).abs()
    if (gap > APART).any():
        what = (
            f"stool and blood are paired by visit; in {(gap > APART).sum()} of {len(visits)} visits they are more than "
            f"{APART:g} days apart, up to {gap.max():g}"
        )
        yield _finding("paired-by-label", cohort.name, what, visits["sample"][gap > APART])


def blood_far(table: FeatureTable) -> Iterator[Finding]:
    """Rows whose blood was drawn long before or after the stool."""
    for name, rows in table.rows.groupby("cohort"):
        far = rows["gap_days"].abs() > APART
        if far.any():
            what = (
                f"in {far.sum()} of {rows['draw'].notna().sum()} rows with blood it is more than {APART:g} days from "
                f"the stool, up to {rows['gap_days'].abs().max():g}"
            )
            yield _finding("blood-far", str(name), what, rows["patient"][far])


def different_clocks(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Clocks that start at different events."""
    clocks = [f"{cohort.manifest.clock.name} from {cohort.manifest.clock.index}" for cohort in cohorts]
    if len(set(clocks)) > 1:
        yield _finding("clocks-differ", _joined(cohorts), _by_cohort(cohorts, clocks))


# How it was measured


def different_profilers(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    """Profiles made by different programs or databases."""
    profilers = [cohort.taxa.profiler or "not stated" for cohort in cohorts]
    if len(set(profilers)) > 1:
        yield _finding("profilers-differ", _joined(cohorts), _by_cohort(cohorts, profilers))


def profiler_stated(cohort: Cohort) -> Iterator[Finding]:
    """Profiles of an unknown program."""
    if cohort.taxa.profiler is None:
        yield _finding("profiler-not-stated", cohort.name, "neither the file nor the manifest names the profiler")


def mixed_batches(cohort: Cohort) -> Iterator[Finding]:
    """Several platforms, kits or read lengths in one cohort."""
    kinds: dict[str, list[str]] = {}
    for name, values in cohort.technical.items():
        kind, _, level = str(name).partition("=")
        if level:
            kinds.setdefault(kind, []).append(f"{level} in {values.sum():g}")
        elif kind == "read_length":
            kinds[kind] = [f"{length:g} in {n}" for length, n in values.value_counts().items()]
    for kind, levels in kinds.items():
        if len(levels) > 1:
            yield _finding("mixed-batches", cohort.name, f"{_words(kind)}: {', '.join(levels)} samples")


class _ColumnTest(NamedTuple):
    kind: str
    column: str
    outcome: str
    auroc: float
    p: float
    n: int


def told_by_one_column(rows: _Rows) -> Iterator[_Tested]:
    """Batches, missingness and clinical columns that alone go with the outcome, or tell it.

    The AUROC is the Mann-Whitney statistic over its maximum, the better way round; its p-value is exact for columns of
    two values (Fisher) and in small groups. A clinical column may go with the outcome; it may not tell it.
    """
    for kind, column, outcome, auroc, p, n in rows.column_tests:
        code = "tells-outcome" if auroc >= TELLS else None if kind == "clinical" else "predicts-outcome"
        what = f"{column} alone reaches AUROC {auroc:.2f} for {_words(outcome)} in {n} patients"
        yield _Tested(p, _finding(code, rows.cohort.name, what) if code else None)


def strongest_technical(rows: _Rows) -> Iterator[Finding]:
    """How well the best technical column does alone."""
    tests = [test for test in rows.column_tests if test.kind == "technical"]
    if tests:
        best = min(tests, key=lambda test: test.p)
        what = (
            f"{best.column} does best of the technical columns: AUROC {best.auroc:.2f} for {_words(best.outcome)} in "
            f"{best.n} patients (p = {best.p:.2g}, the smallest of {len(tests)})"
        )
        yield _finding("technical-auroc", rows.cohort.name, what)


def _column_tests(rows: _Rows) -> list[_ColumnTest]:
    labels = {label.tobytes(): (name, label) for name, label in reversed(rows.labels.items())}
    tests = []
    for kind, column, values in _columns(rows):
        for outcome, label in labels.values():
            known = ~np.isnan(label) & ~np.isnan(values)
            yes, no = values[known & (label == 1)], values[known & (label == 0)]
            levels = np.unique(values[known])
            if min(len(yes), len(no)) < LEAST_EVENTS or len(levels) < 2:
                continue
            if len(levels) == 2:
                high, other = (yes == levels[1]).sum(), (no == levels[1]).sum()
                p = fisher_exact([[high, len(yes) - high], [other, len(no) - other]]).pvalue
                share = 0.5 + (high / len(yes) - other / len(no)) / 2
            else:
                u, p = mannwhitneyu(yes, no)
                share = u / (len(yes) * len(no))
            tests.append(_ColumnTest(kind, column, outcome, max(share, 1 - share), float(p), int(known.sum())))
    return tests


def _columns(rows: _Rows) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """Yield the columns to be tested, without those that part the patients as an earlier one does."""
    cohort, at = rows.cohort, rows.positions
    technical = {str(name): values.to_numpy()[at] for name, values in cohort.technical.items()}
    if cohort.taxa.unit == "counts":
        technical["reads counted"] = _sums(cohort)[at]
    centre = cohort.centre.reindex(cohort.samples["patient"].iloc[at]).to_numpy()
    technical |= {f"centre {name.partition('/')[2]}": (centre == name).astype(float) for name in sorted(set(centre))}
    clinical = {str(name): values.to_numpy()[at] for name, values in cohort.clinical.items()}
    missing = {f"{name} missing": np.isnan(values).astype(float) for name, values in clinical.items()}
    missing["blood missing"] = (~rows.drawn).astype(float)
    seen = set()
    for kind, columns in (("technical", technical), ("missing", missing), ("clinical", clinical)):
        for name, values in columns.items():
            parts, levels = pd.factorize(values)
            if len(levels) != 2 or (key := parts.tobytes()) not in seen:
                yield kind, name, values
            if len(levels) == 2:
                seen.add(key)


WITHIN: tuple[Callable[[Cohort], Iterable[Finding]], ...] = (
    contradictions,
    response_against_progression,
    published_label,
    units,
    samples_without_taxa,
    depth,
    suffixed_taxa,
    donors,
    late_baseline,
    undated,
    events_before_treatment,
    paired_by_label,
    profiler_stated,
    mixed_batches,
)
OF_ROWS: tuple[Callable[[_Rows], Iterable[Finding]], ...] = (late_stool, strongest_technical)
ACROSS: tuple[Callable[[Sequence[Cohort]], Iterable[Finding]], ...] = (
    shared_samples,
    taxa_under_two_names,
    few_taxa_shared,
    different_clocks,
    different_profilers,
)
TESTED: tuple[Callable[[_Rows], Iterable[_Tested]], ...] = (inverted_outcomes, unknown_as_no, told_by_one_column)
