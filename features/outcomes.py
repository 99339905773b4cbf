"""What response and toxicity mean, and what each cohort's columns say of them.

Response is not one thing: `objective_response` is CR or PR, `disease_control` adds any stable disease, and
`durable_benefit` adds stable disease of at least six months; they are derived from RECIST where a cohort gives it.
`published_response` is each paper's own label. Toxicity is of any grade, or of CTCAE grade 2 or 3 and above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.errors import OutcomeError
from features.manifest import DatedEvent, Events, Manifest, Recist, StableSixMonths, Survival, Toxicity, YesNo
from features.tables.text import TextTable, read_text_table

Grade = Literal["any", "2", "3"]
GRADES: tuple[Grade, ...] = ("any", "2", "3")
RESPONSES = ("objective_response", "disease_control", "durable_benefit", "published_response")
OUTCOME_IDS = (*RESPONSES, *(f"toxicity_{grade}" for grade in GRADES))
MONTH = 365.25 / 12
"""Days."""

_BENEFIT = {"objective_response": ("CR", "PR"), "disease_control": ("CR", "PR", "SD")}
_MEANING = {
    "objective_response": "complete or partial response (RECIST)",
    "disease_control": "complete or partial response, or any stable disease (RECIST)",
    "durable_benefit": "complete or partial response, or stable disease of at least 6 months",
    "published_response": "each publication's own label of response; the labels differ in meaning",
    "toxicity_any": "immune-related adverse event of any grade",
    "toxicity_2": "immune-related adverse event of CTCAE grade 2 or above",
    "toxicity_3": "immune-related adverse event of CTCAE grade 3 or above",
}


@dataclass(frozen=True)
class AdverseEvents:
    """Dated, graded adverse events.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row each: `patient`, `term`, `grade` (1 to 5), `day`, `attribution` ("FMT", "ICI", "disease" or ""),
        `serious` (nullable boolean) and `organism` (or "").
    first_counted_day : float
        As in the manifest.
    """

    frame: pd.DataFrame
    first_counted_day: float

    def first(self, outcome: str, patients: pd.Index[str]) -> pd.Series[float]:
        """Return the day of each patient's first event of a toxicity outcome's grade, NaN where there is none."""
        grade = outcome.removeprefix("toxicity_")
        lowest = 1 if grade == "any" else int(grade)
        counted = self.frame[(self.frame["day"] >= self.first_counted_day) & (self.frame["grade"] >= lowest)]
        return counted.groupby("patient")["day"].min().reindex(patients)


@dataclass(frozen=True)
class Labels:
    """A cohort's outcomes.

    Attributes
    ----------
    flags : mapping of str to pandas.Series
        For each outcome that the cohort publishes as a column: True, False or NA by patient.
    events : AdverseEvents or None
        Dated events, from which toxicity is counted after the landmark.
    dates : pandas.DataFrame or None
        By patient, days on the cohort's clock under the names of the manifest's `survival`, and for its events, under
        the name with `_event`, whether the day is the event's (True) or the last known without it (False).
    progression_free : mapping of int to pandas.Series
        For each number of months that the cohort publishes, whether patients were free of progression; for audits.
    recist : pandas.Series or None
        Each patient's best overall response, CR, PR, SD or PD, NaN where unknown; for the study.
    """

    flags: Mapping[str, pd.Series[bool]]
    events: AdverseEvents | None
    dates: pd.DataFrame | None = None
    progression_free: Mapping[int, pd.Series[bool]] = field(default_factory=dict)
    recist: pd.Series[str] | None = None

    @property
    def defined(self) -> tuple[str, ...]:
        """The outcomes, of `OUTCOME_IDS`, that the cohort tells."""
        return tuple(name for name in OUTCOME_IDS if name in self.flags or (self.events and is_toxicity(name)))

    def outcome(
        self, outcome: str, patients: pd.Index[str], landmark: float, by_day: float | None
    ) -> tuple[pd.Series[bool], pd.Series[str]] | None:
        """Return the label and who is at risk at the landmark, by patient.

        Parameters
        ----------
        outcome : str
            One of `OUTCOME_IDS`.
        patients : pandas.Index
            The patients asked about.
        landmark : float
            Events on or before this day are over: their patients are no longer at risk of a first one.
        by_day : float, optional
            Last day on which a dated event counts.

        Returns
        -------
        label : pandas.Series
            Nullable boolean; NA is unknown, and never "no".
        at_risk : pandas.Series
            "yes", "no", or "not checkable" where the cohort does not date the outcome.
        """
        if outcome in self.flags:
            label = self.flags[outcome].reindex(patients)
            return label, pd.Series("not checkable", index=patients)
        if self.events is None or not is_toxicity(outcome):
            return None
        first = self.events.first(outcome, patients)
        at_risk = (first.isna() | (first > landmark)).map({True: "yes", False: "no"})
        label = (first > landmark) & (first <= (np.inf if by_day is None else by_day))
        return label.where(at_risk == "yes").astype("boolean"), at_risk


def outcome_id(outcome: str, grade: str | None) -> str:
    """Return the name under which an outcome is trained, registered and served.

    Raises
    ------
    OutcomeError
        Toxicity without a grade, a grade without toxicity, or an unknown outcome or grade.
    """
    if outcome == "toxicity":
        if grade not in GRADES:
            raise OutcomeError(f"toxicity needs a grade, one of {', '.join(GRADES)}; got {grade or 'none'}")
        return f"toxicity_{grade}"
    if grade:
        raise OutcomeError(f"only toxicity has a grade; leave it out for {outcome}")
    if outcome not in RESPONSES:
        raise OutcomeError(f"unknown outcome {outcome!r}; known are {', '.join(RESPONSES)} and toxicity")
    return outcome


def definition_of(outcome: str) -> str:
    """Return an outcome's definition in words."""
    return _MEANING[outcome]


def is_toxicity(outcome: str) -> bool:
    """Tell toxicity's outcomes from response's."""
    return outcome.startswith("toxicity")


def exclusion_reason(manifest: Manifest, outcome: str) -> str:
    """Return why a cohort cannot be used for an outcome that it does not define."""
    toxicity = manifest.outcomes.toxicity
    if is_toxicity(outcome):
        if isinstance(toxicity, Toxicity):
            return f"{manifest.name} publishes toxicity of grade {toxicity.grade!r} only, without the events' grades"
        return f"{manifest.name} publishes no toxicity"
    if manifest.outcomes.recist is None:
        return f"{manifest.name} publishes no RECIST, from which {outcome} is derived"
    return f"{manifest.name} publishes nothing that tells {outcome}"


def read_labels(manifest: Manifest, sheet: TextTable | None, paths: Mapping[str, Path]) -> Labels:
    """Read every outcome that a manifest defines.

    Parameters
    ----------
    manifest : Manifest
        The cohort's manifest.
    sheet : TextTable or None
        The patients' sheet, with one row a patient.
    paths : mapping of str to Path
        Where each file named by the manifest lies.
    """
    said = manifest.outcomes
    flags: dict[str, pd.Series[bool]] = {}
    progression_free: dict[int, pd.Series[bool]] = {}
    dates = recist = None
    if sheet is not None and manifest.patients is not None:
        patients = pd.Index(sheet.column(manifest.patients.patient))
        recist = None if said.recist is None else _best_response(sheet, said.recist, patients)
        if recist is not None:
            known = recist.notna()
            flags |= {name: recist.isin(best).where(known).astype("boolean") for name, best in _BENEFIT.items()}
        if said.published_response:
            flags["published_response"] = _flag(sheet, said.published_response, patients, "published_response")
        if isinstance(said.durable_benefit, YesNo):
            flags["durable_benefit"] = _flag(sheet, said.durable_benefit, patients, "durable_benefit")
        elif isinstance(said.durable_benefit, StableSixMonths) and recist is not None:
            rule = said.durable_benefit.stable_six_months
            lasted = _flag(sheet, rule, patients, "durable_benefit.stable_six_months")
            flags["durable_benefit"] = lasted.where(recist == "SD", flags["objective_response"])
        if isinstance(said.toxicity, Toxicity):
            flags[f"toxicity_{said.toxicity.grade}"] = _flag(sheet, said.toxicity, patients, "toxicity")
        for months, free in said.progression_free.items():
            progression_free[months] = _flag(sheet, free, patients, f"progression_free.{months}")
        if said.survival:
            dates = _read_dates(said.survival, sheet, patients)
    events = None
    if isinstance(said.toxicity, Events):
        events = _read_events(
            said.toxicity, read_text_table(paths[said.toxicity.events], may_be_empty=True), sheet, manifest
        )
    return Labels(flags, events, dates, progression_free, recist)


def _best_response(sheet: TextTable, recist: Recist, patients: pd.Index[str]) -> pd.Series[str]:
    best = {value: code for code in ("CR", "PR", "SD", "PD") for value in getattr(recist, code)}
    codes: dict[str, str | None] = {**best, **dict.fromkeys(recist.unknown)}
    return pd.Series(sheet.decode(recist.column, codes, "outcomes.recist"), index=patients, dtype="str")


def _flag(sheet: TextTable, rule: YesNo | DatedEvent, patients: pd.Index[str], where: str) -> pd.Series[bool]:
    codes: dict[str, bool | None] = {
        **dict.fromkeys(rule.yes, True),
        **dict.fromkeys(rule.no, False),
        **dict.fromkeys(rule.unknown),
    }
    column = rule.event if isinstance(rule, DatedEvent) else rule.column
    return pd.Series(sheet.decode(column, codes, f"outcomes.{where}"), index=patients, dtype="boolean")


def _read_dates(said: Survival, sheet: TextTable, patients: pd.Index[str]) -> pd.DataFrame:
    dates: dict[str, pd.Series[Any]] = {}
    for name, rule in said:
        if rule is None:
            continue
        dated = isinstance(rule, DatedEvent)
        time = sheet.numbers(rule.time, rule.unknown if dated else rule.missing)
        if (time < 0).any():
            at = int((time < 0).to_numpy().argmax())
            raise sheet.error(
                f"expected {rule.unit} from the clock's day 0 on, got {time.iloc[at]:g}; a patient is followed from "
                "then",
                rule.time,
                at,
            )
        dates[name] = pd.Series(time.to_numpy() * (MONTH if rule.unit == "months" else 1.0), index=patients)
        if dated:
            dates[f"{name}_event"] = _flag(sheet, rule, patients, f"survival.{name}")
    return pd.DataFrame(dates, index=patients)


def _read_events(rule: Events, sheet: TextTable, patients: TextTable | None, manifest: Manifest) -> AdverseEvents:
    patient = sheet.column(rule.patient)
    if patients is not None and manifest.patients is not None:
        known = set(patients.column(manifest.patients.patient))
        for at, name in enumerate(patient):
            if name not in known:
                raise sheet.error(f"patient {name!r} is not in {patients.path.name}", rule.patient, at)
    grade, day = sheet.numbers(rule.grade, ()), sheet.numbers(rule.day, ())
    for at, value in enumerate(grade):
        if value not in (1, 2, 3, 4, 5):
            raise sheet.error(f"a CTCAE grade is 1 to 5, got {value:g}", rule.grade, at)
    said, index = rule.attribution, sheet.frame.index
    frame = pd.DataFrame(
        {
            "patient": patient,
            "term": sheet.column(rule.term),
            "grade": grade,
            "day": day,
            "attribution": pd.Series(
                sheet.decode(said.column, said.values, "outcomes.toxicity.attribution.values") if said else "",
                index=index,
                dtype="str",
            ),
            "serious": _flag(sheet, rule.serious, index, "toxicity.serious") if rule.serious else pd.NA,
            "organism": sheet.column(rule.organism) if rule.organism else "",
        }
    ).astype({"serious": "boolean", "organism": "str"})
    return AdverseEvents(frame, rule.first_counted_day)
