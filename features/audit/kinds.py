"""The kinds of findings: how serious each is, why it matters and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.severity import Severity


class Kind(NamedTuple):
    """A kind of finding.

    Attributes
    ----------
    severity : Severity
    consequence, remedy : str
        Why it matters, and what to do.
    """

    severity: Severity
    consequence: str
    remedy: str


KINDS: Mapping[str, Kind] = {
    "outcome-contradiction": Kind(
        "error",
        "one of the columns is miscoded, and a model would learn the mistake",
        "compare both with the publication; correct the file, or the values in the manifest",
    ),
    "outcome-inverted": Kind(
        "error",
        "a model trained on an inverted column predicts the opposite",
        "compare with the publication's number of responders; swap yes and no in the manifest where they are wrong",
    ),
    "same-stool": Kind(
        "error",
        "one stool sample under two patients has two labels, or is in the training and the held-out rows of a fold",
        "find out whose stool it is; exclude the other patient's row",
    ),
    "shared-accession": Kind(
        "error",
        "a sample in two cohorts is in the training and the held-out rows, so that no held-out cohort is new",
        "use one of the two, and say so in the manifest under 'same_patients_as'",
    ),
    "donor-is-patient": Kind(
        "error",
        "a donor's stool listed as a patient's has another person's outcome",
        "mark the donors' rows with the manifest's 'samples.donor'",
    ),
    "late-baseline": Kind(
        "error",
        "the sample called baseline was taken after day 0, and the treatment may have changed it",
        "let the manifest name the day alone; the landmark then decides which samples enter",
    ),
    "unfinished-manifest": Kind(
        "error",
        "a draft guesses, and what it could not guess is not stated yet",
        "write what each of these keys means in place of TODO",
    ),
    "no-baseline-visit": Kind(
        "error",
        "the manifest does not state which visits precede day 0, and a later one would stand for the patient",
        "name the last visit on or before day 0 as the manifest's 'samples.baseline_visit', or state days",
    ),
    "mixed-units": Kind(
        "error",
        "a sample in another unit than its table's is wrong by a factor of a hundred",
        "write all samples in one unit",
    ),
    "ranks-stacked": Kind(
        "error",
        "rows that are sums of other rows count every read twice",
        "keep the rows of one rank, or use clade strings, of which one rank is read",
    ),
    "empty-sample": Kind(
        "error",
        "a sample without reads has no proportions",
        "remove the samples from the sheet of samples",
    ),
    "tells-outcome": Kind(
        "error",
        "the column was recorded because of the outcome, or cases and controls were measured differently; a model "
        "would learn that, and be worthless for a new patient",
        "list the column under the manifest's 'exclude_columns', or do not train on this outcome",
    ),
    "samples-of-one-time": Kind(
        "error",
        "nothing tells which of a patient's samples is the first or the last, so that none can stand for the patient",
        "name the column of days or visits in the manifest's samples, or leave samples out by 'samples.keep_rows' or "
        "'samples.exclude_samples'",
    ),
    "samples-of-one-day": Kind(
        "warning",
        "where these samples are a patient's last by the landmark, none can stand for the patient, and nothing is made",
        "name the column of visits too, or leave samples out by 'samples.exclude_samples'",
    ),
    "unconfirmed-guesses": Kind(
        "warning",
        "a guess that nobody confirmed may be wrong, as of yes and no, a unit or day 0",
        "compare each with its file; correct the line, or take its '# TODO' out",
    ),
    "near-miss-names": Kind(
        "warning",
        "these samples are left out, though their profiles are probably there under another spelling",
        "correct the names, or state what to ignore under the manifest's 'samples.ignore_in_names'; export numbers "
        "such as 1.00E+03 as text",
    ),
    "donor-label": Kind(
        "warning",
        "a recipient compared with another's donor dilutes engraftment and approach, and a model of donors learns it",
        "compare the label with the record of the transplant and of the tube; analyse without the patients too",
    ),
    "donor-two-names": Kind(
        "warning",
        "if the two names are two donors, recipients are compared with the wrong donor",
        "confirm the pairs, and write one name for each donor",
    ),
    "response-against-progression": Kind(
        "warning",
        "both columns cannot be right for these patients",
        "find out from the publication which column is right; until then expect that many wrong labels",
    ),
    "tumour-death-without-progression": Kind(
        "warning",
        "progression is missing from the record or the cause is wrong, and with it progression-free survival or the "
        "deaths that treatment may explain",
        "compare the last assessment and the cause with the patient's record, and correct the file",
    ),
    "unknown-as-no": Kind(
        "warning",
        'an unknown outcome written as "no" is not an observation',
        "do not train on that column; call its values unknown where nothing was observed",
    ),
    "labels-differ": Kind(
        "warning",
        "a label pooled from several definitions has no meaning for a patient",
        "train on objective_response or disease_control, or report that labels were pooled as published",
    ),
    "alike-patients": Kind(
        "warning",
        "one person under two names, or a swapped tube, has two labels, or is in the training and the held-out rows "
        "of a fold",
        "ask the cohort's owners; train without these patients too and compare",
    ),
    "swapped-tube": Kind(
        "warning",
        "a tube under the wrong name gives a patient another person's microbiota, and perhaps its outcome",
        "compare the two samples' tubes and dates with the records; exclude the sample if nothing explains it",
    ),
    "open-profiles": Kind(
        "warning",
        "the share of unclassified reads differs between samples, and closing the profile to 1 hides it",
        "read proportions as shares of the classified reads",
    ),
    "log-amounts": Kind(
        "warning",
        "shares of logarithms are no shares of the community, and rare taxa weigh nearly as much as common ones",
        "give the amounts before a logarithm was taken",
    ),
    "presence-alone": Kind(
        "warning",
        "presence tells no abundances: each taxon that is there counts as the same share of its sample",
        "give the table of counts or proportions from which presence was taken",
    ),
    "closed-counts": Kind(
        "warning",
        "counts of equal sums were rarefied, or are proportions written as counts",
        "state the unit that the numbers are in, or use the reads as counted",
    ),
    "depth-outlier": Kind(
        "warning",
        "far fewer reads detect fewer taxa, which a model takes for biology",
        "exclude these samples, or train without them too and compare",
    ),
    "nearly-empty": Kind(
        "warning",
        "a profile of so few taxa is a failed measurement",
        "exclude these samples, or train without them too and compare",
    ),
    "taxa-two-names": Kind(
        "warning",
        "one taxon in two columns is absent from half of the patients, which identifies their cohort",
        "pool cohorts profiled with one database",
    ),
    "few-taxa-shared": Kind(
        "warning",
        "most taxa of one cohort are absent from the others, which identifies a patient's cohort",
        "pool cohorts of one profiler, or leave this one out",
    ),
    "after-death": Kind(
        "warning",
        "one of the two days is wrong, and with it survival or the event",
        "compare both with the patient's record, and correct the file",
    ),
    "stool-after-start": Kind(
        "warning",
        "treatment changes stool, so that the sample is not a baseline",
        "set the landmark to 0, or read the model as one for patients under treatment",
    ),
    "event-before-stool": Kind(
        "warning",
        "stool taken after the event may reflect the event or its treatment",
        "set a landmark: patients whose event precedes it are then excluded from this outcome",
    ),
    "predicts-outcome": Kind(
        "warning",
        "how or whether something was measured goes with the outcome, and a model may learn that instead",
        "compare the gain over the technical covariates; exclude the column where it is recorded because of the "
        "outcome",
    ),
    "paired-by-label": Kind(
        "warning",
        "stool and blood of one visit number may have been taken at different times",
        "compare the visits with the protocol; where both are dated, remove 'visit' from the manifest, so that blood "
        "is paired by day",
    ),
    "blood-far": Kind(
        "warning",
        "stool and blood so far apart do not describe one state of the patient",
        "set a narrower window",
    ),
    "clocks-differ": Kind(
        "warning",
        "a landmark day is a different moment in each cohort",
        "train on cohorts of one clock, or read the landmark as each cohort's own",
    ),
    "profilers-differ": Kind(
        "warning",
        "profilers detect different taxa in the same stool, which identifies a patient's cohort",
        "profile the reads again with one program and database, or rely on held-out cohorts alone",
    ),
    "profiler-not-stated": Kind(
        "warning",
        "the profile of a new patient is comparable only with profiles made in the same way",
        "state 'taxa.profiler' in the manifest",
    ),
    "ceiling-as-value": Kind(
        "warning",
        "a value at the top of the assay's range may be far higher, and a model takes it for exact",
        "state a uloq a little below it under the manifest's 'immune.limits', or its code under 'immune.above'",
    ),
    "floor-as-value": Kind(
        "warning",
        "a limit, or a fraction of one, that stands for every value below it is taken for exact by a model",
        "state a lloq a little above it under the manifest's 'immune.limits', or its code under 'immune.below'",
    ),
    "plates-apart": Kind(
        "warning",
        "a relative scale differs between plates, and with it every value of the patients on them",
        "shift the plates by bridging samples ('immune.plates.reference'), or train on one plate",
    ),
    "assay-warnings": Kind(
        "warning",
        "the assay's quality control doubts these values",
        "leave them out by the manifest's 'immune.keep_rows', or train without them too and compare",
    ),
    "extrapolated-values": Kind(
        "note",
        "the assay's software extrapolated them, and they are less precise than the others",
        "nothing, or state the limits of quantification under 'immune.limits', beyond which values are censored",
    ),
    "published-label": Kind(
        "note",
        "a label that counts stable disease is closer to disease control than to response",
        "prefer objective_response or disease_control, which mean the same in every cohort",
    ),
    "declared-twins": Kind(
        "note",
        "the manifest says so, and the two are never pooled",
        "use one of the two",
    ),
    "suffixed-taxa": Kind(
        "note",
        "GTDB splits taxa that other databases keep together",
        "nothing within this cohort; pool it with cohorts of the same database only",
    ),
    "event-before-treatment": Kind(
        "note",
        "an event before the treatment is not caused by it, and is not counted",
        "nothing",
    ),
    "event-before-landmark": Kind(
        "note",
        "these patients are no longer at risk of a first event, and are excluded",
        "nothing",
    ),
    "undated": Kind(
        "note",
        "only the publication's description shows that it was taken before treatment",
        "ask for the days, and name them in the manifest",
    ),
    "mixed-batches": Kind(
        "note",
        "samples measured differently differ for that reason too",
        "compare with a model of the technical covariates alone",
    ),
    "technical-auroc": Kind(
        "note",
        "a model of taxa must do better than this column",
        "compare the gain over the technical covariates",
    ),
}
"""By code, by which a finding can be waived."""
