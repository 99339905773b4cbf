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
        Patients with a lesion at the site at baseline, and patients with one that was first seen after day 0.
    changes : pandas.Series
        Best change of the sum of diameters at the site, in percent of the baseline sum. Its patients have a baseline
        sum above 0 mm, and a later day on which all of these lesions were measured.
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
        Sum of the baseline lesions' diameters in mm, of each patient whose baseline lesions were all measured.
    lesions : pandas.Series
        Number of baseline lesions of each patient who has any.
    sites : tuple of SiteSummary
        The site of the most patients at baseline comes first.
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
    # Without an assessment before day 0 nothing shows that a later lesion is new.
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
