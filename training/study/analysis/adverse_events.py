"""Patients with adverse events: by grade, term, attribution, seriousness and infection."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from features.outcomes import GRADES, Grade
from training.study.analysis.rates import ExactRate, exact_rate, one_sided_bound
from training.study.codes import Codes, by_code

INFECTIONS = r"infect|sepsis|septic|bacter\w*emia|vir\w*emia|fung\w*emia|pneumonia\b|abscess|difficile|c\. ?diff"
"""Terms that count as infections even where no organism is named."""
_EVENT_COLUMNS = ["patient", "term", "grade", "day", "attribution", "serious", "organism"]


@dataclass(frozen=True)
class TreatmentEvents:
    """Adverse events from the first day that the manifest counts as treatment.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row an event: `patient`, `term`, `grade`, `day`, `attribution`, `serious`, `organism`.
    first_day : float
    preceding : int
        Events before that day.
    """

    rows: pd.DataFrame
    first_day: float
    preceding: int


@dataclass(frozen=True)
class PublishedToxicity:
    """Toxicity that a cohort publishes as flags, as rates among patients whose flag is known, by grade."""

    rates: dict[Grade, ExactRate]


@dataclass(frozen=True)
class GradeRates:
    """Patients by their worst CTCAE grade.

    Attributes
    ----------
    n : int
    at_least : tuple of ExactRate
        Patients with an event of grade 1, 2, ... 5 or above.
    """

    n: int
    at_least: tuple[ExactRate, ...]

    @property
    def fatal(self) -> ExactRate:
        """Patients with an event of grade 5."""
        return self.at_least[-1]

    @property
    def lowest_absent_grade(self) -> int | None:
        """The lowest grade that no patient reached, or None."""
        return next((grade for grade, rate in enumerate(self.at_least, 1) if not rate.events), None)

    @property
    def one_sided_upper(self) -> float:
        """The rate that no event among n patients excludes at one-sided 5%."""
        return one_sided_bound(self.n)

    @property
    def two_sided_upper(self) -> float:
        """The upper end of the two-sided 95% interval of no event among n patients."""
        return exact_rate(0, self.n).high


@dataclass(frozen=True)
class EventTerms:
    """Adverse events by term.

    Attributes
    ----------
    counts : pandas.DataFrame or None
        `worst_grades` by term; None without any event.
    events : pandas.DataFrame
        One row an event, patients under their codes.
    n : int
        All patients.
    """

    counts: pd.DataFrame | None
    events: pd.DataFrame
    n: int


@dataclass(frozen=True)
class AttributedEvents:
    """Events that the investigators attributed to one cause.

    Attributes
    ----------
    cause : str
    rate : ExactRate
        Patients with such an event.
    events : int
    severe_patients : int
        Patients with such an event of grade 3 or above.
    """

    cause: str
    rate: ExactRate
    events: int
    severe_patients: int


@dataclass(frozen=True)
class EventCauses:
    """Attribution and infections.

    Attributes
    ----------
    attribution : tuple of AttributedEvents
        By cause; empty where the cohort attributes no event.
    attributed_to_fmt : ExactRate
    infection : ExactRate
        Patients with an infection.
    with_organism : int
        Events with a named organism.
    infections : pandas.DataFrame
        One row an infection, patients under their codes.
    any_event : bool
    """

    attribution: tuple[AttributedEvents, ...]
    attributed_to_fmt: ExactRate
    infection: ExactRate
    with_organism: int
    infections: pd.DataFrame
    any_event: bool


def treatment_events(cohort: Cohort) -> TreatmentEvents | None:
    """Return the dated and graded events of a cohort; None where it has no table of them."""
    events = cohort.labels.events
    if events is None:
        return None
    rows = events.frame[events.frame["day"] >= events.first_counted_day]
    return TreatmentEvents(rows, events.first_counted_day, len(events.frame) - len(rows))


def published_toxicity(cohort: Cohort, codes: Codes) -> PublishedToxicity:
    """Return the rates of toxicity that a cohort publishes as flags."""
    rates: dict[Grade, ExactRate] = {}
    for grade in GRADES:
        flag = cohort.labels.label_by_outcome.get(f"toxicity_{grade}")
        flag = None if flag is None else flag.reindex(list(codes)).dropna()
        if flag is not None and flag.size:
            rates[grade] = exact_rate(int(flag.sum()), flag.size)
    return PublishedToxicity(rates)


def grade_rates(events: pd.DataFrame, n: int) -> GradeRates:
    """Return the rates of patients by worst grade; a patient without an event counts as having had none.

    Parameters
    ----------
    events : pandas.DataFrame
        One row an event: `patient`, `grade`.
    n : int
        All patients.
    """
    worst = events.groupby("patient")["grade"].max()
    return GradeRates(n, tuple(exact_rate(int((worst >= grade).sum()), n) for grade in range(1, 6)))


def worst_grades(events: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return how many patients have each worst grade, overall or for each term.

    Parameters
    ----------
    events : pandas.DataFrame
        One row an event: `patient`, `grade`, and the column by which patients are counted.
    column : str, optional
        Such as `term`; a patient counts once in each of its values.

    Returns
    -------
    pandas.DataFrame
        Columns 1 to 5, indexed by the values of `column`, the most frequent first. Without `column` one row,
        "any event".
    """
    key = pd.Series("any event", index=events.index) if column is None else events[column]
    worst = events.groupby([key, "patient"])["grade"].max().astype(int)
    counts = pd.crosstab(worst.index.get_level_values(0), worst.to_numpy()).reindex(columns=range(1, 6), fill_value=0)
    counts = counts.rename_axis(index=None, columns=None)
    return counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]


def event_terms(events: pd.DataFrame, codes: Codes) -> EventTerms:
    """Return events by term; the rows lack the columns that the cohort leaves empty."""
    if events.empty:
        return EventTerms(None, events, len(codes))
    rows = by_code(events.astype({"grade": int}), codes)
    columns = [name for name in _EVENT_COLUMNS if name in rows and not rows[name].isin(["", pd.NA]).all()]
    return EventTerms(worst_grades(events, "term"), rows[columns], len(codes))


def event_causes(events: pd.DataFrame, codes: Codes) -> EventCauses:
    """Return attribution and infections; an infection has an organism or a term of `INFECTIONS`."""
    n = len(codes)
    cause = events["attribution"].replace("", "not stated")
    attributed = (cause != "not stated").any()
    has_organism = events["organism"] != ""
    infections = events[has_organism | events["term"].str.contains(INFECTIONS, case=False, regex=True)]
    return EventCauses(
        attribution=tuple(_attributed(str(name), rows, n) for name, rows in events.groupby(cause) if attributed),
        attributed_to_fmt=exact_rate(events[cause == "FMT"]["patient"].nunique(), n),
        infection=exact_rate(infections["patient"].nunique(), n),
        with_organism=int(has_organism.sum()),
        infections=by_code(infections.astype({"grade": int}), codes),
        any_event=len(events) > 0,
    )


def _attributed(cause: str, events: pd.DataFrame, n: int) -> AttributedEvents:
    severe = events[events["grade"] >= 3]["patient"].nunique()
    return AttributedEvents(cause, exact_rate(events["patient"].nunique(), n), len(events), severe)
