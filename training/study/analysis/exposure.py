"""Treatment of patients: transplants, ICI cycles and concomitant drugs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.cohort import Cohort
from features.donors import donor_samples_given
from training.study.analysis.characteristics import MedianRange
from training.study.analysis.rates import ExactRate, exact_rate
from training.study.codes import Codes, by_code, donor_codes

DRUG_KINDS = ("antibiotic", "steroid", "ppi", "other")


@dataclass(frozen=True)
class ExposureResult:
    """What each patient received.

    Attributes
    ----------
    n : int
        All patients.
    recipients, transplants, donors : int
        Patients with a transplant, transplants, and the known donors of these.
    transplant_rows : pandas.DataFrame
        One row a transplant, patients and donors under their codes, batches numbered within a donor; without the
        columns that the cohort leaves empty.
    transplants_in_course : bool
        Whether the transplants come from the table of the course, with their dates, batches, doses and routes.
    cycles : MedianRange or None
        ICI cycles of a patient; None without a table of them.
    drug_rates : dict of str to ExactRate
        Patients with a dated drug, by kind; empty without a table of them.
    medication_rows : pandas.DataFrame
        One row a drug, patients under their codes.
    by_patient : pandas.DataFrame
        By patient: `transplants`, `donors` (codes), `cycles`, `drugs`, `last_cycle_day`, as far as there are tables.
    """

    n: int
    recipients: int
    transplants: int
    donors: int
    transplant_rows: pd.DataFrame
    transplants_in_course: bool
    cycles: MedianRange | None
    drug_rates: dict[str, ExactRate]
    medication_rows: pd.DataFrame
    by_patient: pd.DataFrame


def transplants(cohort: Cohort) -> pd.DataFrame:
    """Return the transplants of the course; without these, one for each donor whose sample a patient received.

    Returns
    -------
    pandas.DataFrame
        `patient`, `day` (0 where day 0 of the clock is the transplant, else NaN), `donor`, and the course's columns.
    """
    if not cohort.course.transplants.empty:
        return cohort.course.transplants
    pairs = [(patient, donor) for patient, donors in donor_samples_given(cohort).items() for donor in donors]
    day = 0.0 if cohort.manifest.clock.name == "day_fmt" else np.nan
    return pd.DataFrame(pairs, columns=["patient", "donor"]).assign(day=day)


def exposure_result(cohort: Cohort, codes: Codes) -> ExposureResult:
    """Return transplants, ICI cycles and concomitant drugs, by patient and over all patients."""
    course, received = cohort.course, transplants(cohort)
    donors = received["donor"].map(donor_codes(cohort)).fillna("unknown")
    by_patient = pd.DataFrame(index=pd.Index(codes))
    if not received.empty:
        grouped = received.assign(donor=donors).groupby("patient")
        by_patient["transplants"] = grouped.size()
        by_patient["donors"] = grouped["donor"].agg(lambda names: ", ".join(dict.fromkeys(names)))
    if not course.cycles.empty:
        cycles = course.cycles.groupby("patient")
        # Drugs of one day are one cycle.
        by_patient["cycles"] = cycles["day"].nunique()
        by_patient["drugs"] = cycles["drug"].agg(lambda drugs: ", ".join(filter(None, dict.fromkeys(drugs))))
        by_patient["last_cycle_day"] = cycles["day"].max()
    for column in ("transplants", "cycles"):
        if column in by_patient:
            by_patient[column] = by_patient[column].fillna(0).astype(int)
    return ExposureResult(
        n=len(codes),
        recipients=received["patient"].nunique(),
        transplants=len(received),
        donors=received.loc[received["donor"] != "", "donor"].nunique(),
        transplant_rows=_transplant_rows(received.assign(donor=donors), codes),
        transplants_in_course=not course.transplants.empty,
        cycles=_cycle_range(by_patient),
        drug_rates=_drug_rates(course.medications, len(codes)),
        medication_rows=by_code(course.medications, codes, "start"),
        by_patient=by_patient,
    )


def _transplant_rows(received: pd.DataFrame, codes: Codes) -> pd.DataFrame:
    rows = by_code(received, codes)
    if "batch" in rows:
        # The name of a batch may reveal the donor's.
        numbers = (
            rows[rows["batch"] != ""].groupby("donor")["batch"].transform(lambda batch: pd.factorize(batch)[0] + 1)
        )
        rows["batch"] = numbers.reindex(rows.index).astype("Int64")
    return rows[[column for column in rows if not rows[column].isin(["", np.nan, pd.NA]).all()]]


def _cycle_range(by_patient: pd.DataFrame) -> MedianRange | None:
    if "cycles" not in by_patient:
        return None
    cycles = by_patient["cycles"]
    return MedianRange(cycles.median(), cycles.min(), cycles.max())


def _drug_rates(medications: pd.DataFrame, n: int) -> dict[str, ExactRate]:
    if medications.empty:
        return {}
    return {kind: exact_rate(medications[medications["kind"] == kind]["patient"].nunique(), n) for kind in DRUG_KINDS}
