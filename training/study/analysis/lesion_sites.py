"""The burden of the tumour and its sites: lesions at baseline, their change, and new ones."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.cohort import Cohort
from training.study.codes import Codes


@dataclass(frozen=True)
class SiteSummary:
    """The lesions of one site.

    Attributes
    ----------
    site : str
    with_baseline, with_new : int
        Patients with a lesion there at baseline, and with one first seen later.
    changes : pandas.Series
        Best change of the sum of the diameters there, in percent of the baseline, by patient with a baseline above 0
        mm whose every lesion of the baseline was measured again on one day.
    """

    site: str
    with_baseline: int
    with_new: int
    changes: pd.Series[float]


@dataclass(frozen=True)
class LesionSites:
    """The lesions of a cohort's patients.

    Attributes
    ----------
    n : int
        Patients with any dated lesion.
    burden : pandas.Series
        Sum of the diameters of the lesions at baseline, in mm, by patient in whom all were measured.
    lesions : pandas.Series
        Lesions at baseline, by patient with any.
    sites : tuple of SiteSummary
        The most frequent at baseline first.
    """

    n: int
    burden: pd.Series[float]
    lesions: pd.Series[int]
    sites: tuple[SiteSummary, ...]


def lesion_sites(cohort: Cohort, codes: Codes) -> LesionSites:
    """Return the lesions by site; the baseline is the patient's last assessment on or before day 0."""
    rows = cohort.course.lesions
    rows = rows[rows["patient"].isin(list(codes))].dropna(subset=["day"])
    pretreatment = rows[rows["day"] <= 0]
    baseline = pretreatment[pretreatment["day"] == pretreatment.groupby("patient")["day"].transform("max")]
    baseline = baseline[baseline["diameter_mm"] != 0]
    by_patient = baseline.groupby("patient")
    sites = [_site(str(site), site_rows, baseline) for site, site_rows in rows.groupby("site", sort=True)]
    return LesionSites(
        n=rows["patient"].nunique(),
        burden=by_patient["diameter_mm"].agg(lambda sizes: sizes.sum(skipna=False)).dropna(),
        lesions=by_patient.size(),
        sites=tuple(sorted(sites, key=lambda site: -site.with_baseline)),
    )


def _site(site: str, rows: pd.DataFrame, baseline: pd.DataFrame) -> SiteSummary:
    first_day = rows[rows["diameter_mm"] != 0].groupby(["patient", "lesion"])["day"].min()
    is_new = first_day > 0
    # A later lesion of a patient without an assessment before day 0 may have been there.
    assessed = is_new.index.get_level_values("patient").isin(baseline["patient"])
    present = baseline[baseline["site"] == site]
    return SiteSummary(
        site=site,
        with_baseline=present["patient"].nunique(),
        with_new=is_new[is_new & assessed].index.get_level_values("patient").nunique(),
        changes=_best_changes(rows, present),
    )


def _best_changes(rows: pd.DataFrame, present: pd.DataFrame) -> pd.Series[float]:
    start = present.set_index(["patient", "lesion"])["diameter_mm"]
    later = rows[rows["day"] > 0].set_index(["patient", "lesion"])
    later = later[later.index.isin(start.index)].reset_index()
    sums = later.groupby(["patient", "day"])["diameter_mm"].agg(["sum", "count"])
    n_lesions = start.groupby("patient").size()
    patient = sums.index.get_level_values("patient")
    complete = sums.loc[(sums["count"] == n_lesions.reindex(patient).to_numpy()).to_numpy(), "sum"]
    total = start.groupby("patient").agg(lambda sizes: sizes.sum(skipna=False))
    best = complete.groupby("patient").min()
    return (100 * (best / total[total > 0].reindex(best.index) - 1)).dropna()
