"""Codes under which the report shows patients and donors, so that no page names a person."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from features.cohort import Cohort

Codes = Mapping[str, str]
"""The code of each subject, by the cohort's own identifier."""


def patient_codes(cohort: Cohort) -> dict[str, str]:
    """Return the code of each patient, P1, P2 ..., by identifier.

    Patients are numbered in the order in which they first appear: in the patients' table where it holds an outcome or a
    centre, then in the tables of stool, blood, adverse events and the treatment course. Donors have codes of their own.
    """
    labels = cohort.labels
    names = [name for flag in labels.label_by_outcome.values() for name in flag.index]
    names += [*([] if labels.dates is None else labels.dates.index), *cohort.centre.index]
    if cohort.immune is not None:
        names += list(cohort.immune.rows["patient"])
    if labels.events is not None:
        names += list(labels.events.frame["patient"])
    names += [name for table in vars(cohort.course).values() for name in table["patient"]]
    donors = set(cohort.donor_samples["patient"])
    return _numbered("P", [name for name in names if name not in donors])


def donor_codes(cohort: Cohort) -> dict[str, str]:
    """Return the code of each donor, D1, D2 ..., by identifier: first those with stool, then those of transplants."""
    return _numbered(
        "D", [name for name in (*cohort.donor_samples["patient"], *cohort.course.transplants["donor"]) if name]
    )


def by_code(frame: pd.DataFrame, codes: Codes, day: str = "day") -> pd.DataFrame:
    """Return rows with patients under their codes, in the order of `codes` and then of the column `day`."""
    position = {name: index for index, name in enumerate(codes)}
    keys = pd.DataFrame({"patient": frame["patient"].map(position), "day": frame[day]})
    rows = frame.loc[keys.sort_values(["patient", "day"], kind="stable").index]
    return rows.assign(patient=rows["patient"].map(dict(codes))).reset_index(drop=True)


def _numbered(letter: str, names: list[str]) -> dict[str, str]:
    return {name: f"{letter}{number}" for number, name in enumerate(dict.fromkeys(names), 1)}
