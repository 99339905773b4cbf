"""Whether the effect of FMT on response varies between patients of a randomised trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.arrays import Mask
from features.cohort import Cohort
from features.trajectories import WINDOWS
from features.transforms import AlphaDiversity
from training.statistics.effect_variation import cross_fitted_effects, effect_variation_test
from training.statistics.risk_difference import RiskDifference, risk_difference
from training.statistics.significance import ALPHA
from training.study.analysis.arm_comparison import RESPONDING
from training.study.analysis.arms import is_treated
from training.study.analysis.response import best_responses
from training.study.analysis.stool import stool_series
from training.study.codes import Codes

MIN_PATIENTS = 10
"""Fewest patients of each arm in whom the effect is tested for variation."""
MIN_LEVEL = 3
"""Fewest patients who differ from the commonest value of a covariate."""


@dataclass(frozen=True)
class EffectVariation:
    """Variation of the effect of FMT on objective response, as a difference of rates.

    Attributes
    ----------
    randomised : bool
        Without randomisation nothing is tested: a difference is prognostic.
    n_treated, n_control : int
        Patients of each arm; 0 where nothing is tested.
    covariates : tuple of str
        Names of the covariates tested: characteristics before the treatment, and Shannon diversity at baseline.
    incomplete : tuple of str
        Covariates not tested: a fifth of the patients or more lack them, or almost all have the same value.
    p : float or None
        p-value of the global test; None where nothing is tested.
    z : dict of str to float
        z statistic of each covariate; above 0 where the effect is larger in patients with higher values.
    larger, smaller : RiskDifference or None
        The effect in the half of the patients with the larger predicted effect, and in the other half. Each prediction
        is of a learner fitted without that patient. None unless the global test rejects.
    """

    randomised: bool
    n_treated: int = 0
    n_control: int = 0
    covariates: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    p: float | None = None
    z: dict[str, float] | None = None
    larger: RiskDifference | None = None
    smaller: RiskDifference | None = None
    min_patients: int = MIN_PATIENTS


def effect_variation(cohort: Cohort, codes: Codes) -> EffectVariation:
    """Return the global test of variation and, where it rejects, the effects by a cross-fitted learner.

    Parameters
    ----------
    cohort : Cohort
        With arms of which one is a control.
    codes : mapping of str to str
    """
    part = cohort.manifest.arms
    best = best_responses(cohort, codes)
    if part is None or not part.randomised:
        return EffectVariation(randomised=False)
    treated = is_treated(cohort)
    treated = treated[treated.index.isin(list(codes))]
    group = treated.to_numpy(bool)
    if not len(best.columns) or min(group.sum(), (~group).sum()) < MIN_PATIENTS:
        return EffectVariation(randomised=True)
    responds = best.iloc[:, 0].reindex(treated.index).isin(RESPONDING["objective_response"]).to_numpy()
    table, incomplete = baseline_covariates(cohort, pd.Index(treated.index))
    if not len(table.columns):
        return EffectVariation(randomised=True, incomplete=incomplete)
    X = table.to_numpy(float)
    test = effect_variation_test(responds.astype(float), X, group)
    larger = smaller = None
    if test.p <= ALPHA:
        effects = cross_fitted_effects(responds.astype(float), X, group)
        is_larger = effects > np.median(effects)
        larger, smaller = (_difference(responds[half], group[half]) for half in (is_larger, ~is_larger))
    return EffectVariation(
        randomised=True,
        n_treated=int(group.sum()),
        n_control=int((~group).sum()),
        covariates=tuple(str(name) for name in table),
        incomplete=incomplete,
        p=test.p,
        z={str(name): float(z) for name, z in zip(table, test.z, strict=True)},
        larger=larger,
        smaller=smaller,
    )


def baseline_covariates(cohort: Cohort, patients: pd.Index[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the covariates before the treatment, medians in place of missing values, and the names of those left out.

    Returns
    -------
    covariates : pandas.DataFrame
        Numbers, one row for each patient.
    incomplete : tuple of str
        Missing in a fifth of the patients or more, or with fewer than `MIN_LEVEL` patients beside the commonest value.
    """
    stool = stool_series(cohort, WINDOWS)
    shannon = AlphaDiversity().fit_transform(stool.proportions)[:, 1:2]
    diversity = stool.means(shannon, stool.baseline).iloc[:, 0]
    table = cohort.characteristics.reindex(patients).assign(**{"Shannon diversity": diversity.reindex(patients)})
    commonest = table.apply(lambda values: values.value_counts().max() if values.notna().any() else len(patients))
    usable = (table.isna().mean() < 0.2) & (table.notna().sum() - commonest >= MIN_LEVEL)
    complete = table.loc[:, usable]
    complete = complete.fillna(complete.median())
    # The indicator of one of two levels repeats the other.
    is_repeat = (np.triu(complete.corr().abs().to_numpy(), 1) > 1 - 1e-9).any(axis=0)
    names = complete.columns[np.asarray(~is_repeat)]
    return complete[list(names)], tuple(str(name) for name in table.columns[~usable])


def _difference(responds: Mask, group: Mask) -> RiskDifference | None:
    """Return the difference of rates of two arms; None where a half has no patient of an arm."""
    n, n_control = int(group.sum()), int((~group).sum())
    if not n or not n_control:
        return None
    return risk_difference(int(responds[group].sum()), n, int(responds[~group].sum()), n_control)
