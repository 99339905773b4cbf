"""The landmark join: one row per patient, from what was measured up to the landmark day and nothing later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from features.blood_pairing import pair_blood
from features.cohort import Cohort
from features.donor_features import donor_block
from features.errors import InputError
from features.feature_table import Block, CohortContext, FeatureTable
from features.measured_values import CensoredPolicy
from features.outcomes import OUTCOME_IDS, definition_of
from features.over_time import over_time_block

DEFAULT_WINDOW = 90.0
"""Days before the landmark in which a stool sample or a blood draw counts by default."""


@dataclass(frozen=True)
class LandmarkSpec:
    """Which measurements and events of a cohort enter a feature table.

    Attributes
    ----------
    landmark : float
        Last day, on the cohort's clock, whose measurements may enter. A cohort whose manifest names an earlier
        `clock.latest_sample` uses that day instead. Undated measurements count as the publication describes them.
    window : float
        Days before the landmark in which a measurement counts.
    sample : {"last", "first"}
        Which stool sample represents a patient who has several.
    row_per : {"patient", "visit"}
        One row per patient, or one per visit up to the landmark. Blood is that of the same visit where visits are
        numbered, else the nearest in time: up to the landmark, or up to the visit's stool sample.
    by_day : float, optional
        Last day on which an adverse event counts; later than the landmark.
    censored : {"half_limit", "limit", "missing"}
        The number for a value beyond a reported limit of quantification.
    """

    landmark: float = 0.0
    window: float = DEFAULT_WINDOW
    sample: Literal["first", "last"] = "last"
    row_per: Literal["patient", "visit"] = "patient"
    by_day: float | None = None
    censored: CensoredPolicy = "half_limit"


BASELINE = LandmarkSpec()
"""The last stool sample and blood draw in the 90 days up to day 0."""


def landmark_table(cohort: Cohort, spec: LandmarkSpec = BASELINE) -> FeatureTable:
    """Join a cohort's measurements up to a landmark day.

    Returns
    -------
    FeatureTable
        A row for each patient (or visit) with stool; donors have none.

    Raises
    ------
    InputError
        The days contradict each other, nothing tells which undated visits precede day 0, or which of a patient's
        samples is the first or the last.
    """
    latest_sample = cohort.manifest.clock.latest_sample
    landmark = spec.landmark if latest_sample is None else min(spec.landmark, latest_sample)
    _check_days(landmark, spec)
    recipients = cohort.samples[~cohort.samples["donor"]]
    eligible = recipients[_is_eligible(cohort, recipients, landmark - spec.window, landmark)]
    n_excluded = recipients["patient"].nunique() - eligible["patient"].nunique()
    stool = _representative_samples(cohort, eligible.sort_values(["patient", "day", "visit"], kind="stable"), spec)
    stool = stool.reset_index(names="position")
    rows = _sample_rows(cohort, stool, landmark)
    last_day = np.full(len(rows), landmark)
    if spec.row_per == "visit":
        last_day = np.fmin(rows["sample_day"].to_numpy(), landmark)
    blood = pair_blood(cohort, rows, last_day - spec.window, last_day, spec.censored)
    taxa = cohort.taxa.take(list(rows["sample"])).proportions()
    notes = (*cohort.notes, *_landmark_notes(cohort, replace(spec, landmark=landmark), spec.landmark, n_excluded))
    return FeatureTable(
        rows=pd.concat([rows, blood.draws, _outcome_columns(cohort, rows, landmark, spec.by_day)], axis=1),
        taxa=Block(taxa.taxa, taxa.values.astype(np.float64)),
        immune=blood.immune,
        clinical=_block(cohort.clinical.iloc[stool["position"]]),
        technical=_block(cohort.technical.iloc[stool["position"]]),
        units=blood.units,
        cohorts={cohort.name: _cohort_context(cohort, landmark, spec.window)},
        notes=tuple(f"{cohort.name}: {note}" for note in notes),
        limits=blood.limits,
        donor=donor_block(cohort, rows, stool["position"].tolist(), landmark),
        over_time=over_time_block(cohort, rows["patient"].tolist(), landmark, spec.window, spec.censored),
    )


def _check_days(landmark: float, spec: LandmarkSpec) -> None:
    if not np.isfinite(landmark) or not spec.window >= 0:
        raise InputError(
            f"expected a landmark day and a window of at least 0 days, got {landmark:g} and {spec.window:g}"
        )
    if spec.by_day is not None and not spec.by_day > landmark:
        raise InputError(
            f"expected the last day on which an adverse event counts to be later than the landmark ({landmark:g}), got "
            f"{spec.by_day:g}"
        )


def _is_eligible(cohort: Cohort, samples: pd.DataFrame, first_day: float, last_day: float) -> pd.Series[bool]:
    """Return which samples were taken between these days, or are undated and presumed to be, (n_samples,).

    An undated sample is presumed in time if its visit is at most `baseline_visit`; where the manifest names none and
    all stool is of one visit, every undated sample is.
    """
    part, days, visits = cohort.manifest.samples, samples["day"], samples["visit"]
    if part.needs_baseline_visit and visits.nunique() > 1:
        numbers = ", ".join(f"{visit:g}" for visit in sorted(visits.unique()))
        raise InputError(
            f"{cohort.name}: stool is of visits {numbers}, which are not dated, so that nothing tells which precede "
            "the landmark. In the manifest's samples, name the last visit on or before day 0, as in 'baseline_visit: "
            f'1\', or state days, as in \'day: {{column: {part.visit}, labels: {{"1": -7, "2": 42}}}}\''
        )
    is_presumed = days.isna()
    if part.baseline_visit is not None:
        is_presumed &= visits <= part.baseline_visit
    return is_presumed | days.between(first_day, last_day)


def _representative_samples(cohort: Cohort, samples: pd.DataFrame, spec: LandmarkSpec) -> pd.DataFrame:
    """Return the samples that represent a row each; `samples` are sorted by patient and time."""
    time = ["patient", "day", "visit"]
    representatives = samples if spec.row_per == "visit" else samples.drop_duplicates("patient", keep=spec.sample)
    candidates = samples.merge(representatives[time].drop_duplicates(), on=time)
    tied = candidates.duplicated(time, keep=False).to_numpy()
    if tied.any():
        sample, twin = candidates[tied].iloc[0], candidates[tied].iloc[1]
        raise InputError(
            f"{cohort.samples_table.path}, rows {sample['line']} and {twin['line']}: patient "
            f"{sample['patient']!r} has several samples that no day or visit tells apart ({sample['sample']}, "
            f"{twin['sample']}), so none is {spec.sample}; name a day or a visit in the manifest's samples, or keep one"
        )
    return representatives


def _sample_rows(cohort: Cohort, stool: pd.DataFrame, landmark: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cohort": pd.Series(cohort.name, index=stool.index, dtype="str"),
            "centre": cohort.centre.reindex(stool["patient"]).to_numpy(),
            "patient": stool["patient"],
            "sample": stool["sample"],
            "sample_day": stool["day"],
            "visit": stool["visit"],
            "clock": cohort.manifest.clock.name,
            "landmark": float(landmark),
            **{field: values.reindex(stool["patient"]).to_numpy() for field, values in cohort.population.items()},
        }
    )


def _outcome_columns(cohort: Cohort, rows: pd.DataFrame, landmark: float, by_day: float | None) -> pd.DataFrame:
    columns: dict[str, pd.Series[bool] | pd.Series[str]] = {}
    for outcome in OUTCOME_IDS:
        reported = cohort.labels.at_landmark(outcome, pd.Index(rows["patient"]), landmark, by_day)
        label, at_risk = reported if reported is not None else (pd.NA, pd.NA)
        columns[outcome] = pd.Series(getattr(label, "array", label), index=rows.index, dtype="boolean")
        columns[f"at_risk_{outcome}"] = pd.Series(getattr(at_risk, "array", at_risk), index=rows.index, dtype="str")
    return pd.DataFrame(columns)


def _block(frame: pd.DataFrame) -> Block:
    return Block(tuple(frame.columns), frame.to_numpy(dtype=np.float64))


def _landmark_notes(cohort: Cohort, spec: LandmarkSpec, requested: float, n_excluded: int) -> list[str]:
    """Return what a reader must know of the join; `requested` is the landmark before `latest_sample` limits it."""
    manifest, notes = cohort.manifest, []
    clock, samples, immune = manifest.clock, manifest.samples, manifest.immune
    if spec.landmark < requested:
        reason = clock.latest_sample_reason or "its manifest"
        notes.append(f"samples up to {clock.name} {spec.landmark:g} only, not {requested:g}: {reason}")
    if n_excluded:
        days = f"{clock.name} {spec.landmark - spec.window:g} to {spec.landmark:g}"
        if samples.baseline_visit is not None:
            days = f"visits up to {samples.baseline_visit:g}"
        notes.append(f"{n_excluded} patients have no stool from {days}")
    if samples.day is None:
        visit_words = "by visit" if samples.baseline_visit is None else f"visits up to {samples.baseline_visit:g}"
        notes.append(f"stool is not dated; its time is that of the publication: {samples.baseline or visit_words}")
    if immune is not None and immune.sample is None and immune.day is None:
        notes.append(f"blood is not dated; its time is that of the publication: {immune.baseline or 'by visit'}")
    if spec.by_day is not None and cohort.labels.events is not None and not cohort.labels.follow_up_is_dated:
        notes.append(
            f"follow-up is not dated; of patients without an event, it is presumed to reach day {spec.by_day:g}"
        )
    if not cohort.donor_samples.empty:
        notes.append(f"stool samples of donors, which give no row: {len(cohort.donor_samples)}")
    return notes


def _cohort_context(cohort: Cohort, landmark: float, window: float) -> CohortContext:
    manifest = cohort.manifest
    return CohortContext(
        title=manifest.title,
        simulated=manifest.simulated,
        same_patients_as=tuple(manifest.same_patients_as),
        clock=manifest.clock.name,
        index_event=manifest.clock.index,
        landmark=landmark,
        window=window,
        dated=manifest.samples.day is not None,
        profiler=cohort.taxa.profiler,
        rank=manifest.taxa.rank,
        outcomes={name: definition_of(name) for name in cohort.labels.reported_outcomes},
        citation=manifest.source.citation,
        licence=manifest.source.licence,
    )
