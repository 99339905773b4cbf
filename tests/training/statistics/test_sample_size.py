"""Sample sizes against pmsampsize and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower

from training.statistics.sample_size import (
    detectable_difference,
    development_size,
    largest_r2,
    r2_of_auroc,
)


def test_development_needs_what_pmsampsize_says():
    """pmsampsize(type="b", csrsquared=0.288, parameters=24, prevalence=0.174): 662 with 116 events; 221 by risk."""
    size = development_size(patients=1000, events=174, parameters=24, r2=0.288)
    assert (size.needed, size.events_needed, size.criterion) == (662, 116, "optimism")
    single_parameter = development_size(patients=1000, events=174, parameters=1, r2=0.288)
    assert (single_parameter.needed, single_parameter.criterion) == (221, "risk")


def test_development_by_riley_2020():
    """15% of the largest R² (0.33 at a prevalence of 5%) and 30 parameters; by the paper's rounded R² of 0.05, 5249."""
    assert largest_r2(0.05) == pytest.approx(0.33, abs=0.005)
    size = development_size(10_000, 500, 30, 0.05)
    assert (size.needed, size.criterion) == (5249, "shrinkage")


@pytest.mark.parametrize(
    ("area", "prevalence", "parameters", "needed"),
    [(0.89, 0.174, 24, 660), (0.81, 0.18, 6, 266), (0.89, 0.18, 6, 227)],
)
def test_r2_from_an_auroc_asks_for_what_pmsampsize_simulates(area, prevalence, parameters, needed):
    """pmsampsize(type="b", cstatistic=..., parameters=..., prevalence=...), from a million simulated patients."""
    r2 = r2_of_auroc(area, prevalence)
    assert development_size(1000, round(1000 * prevalence), parameters, r2).needed == pytest.approx(needed, abs=1)


@pytest.mark.parametrize(("area", "prevalence"), [(0.57, 0.4), (0.75, 0.1), (0.95, 0.5)])
def test_r2_of_an_auroc_is_a_logistic_regressions(area, prevalence):
    quantiles = norm.ppf((np.arange(4000) + 0.5) / 4000)
    y, x = np.repeat([0.0, 1.0], 4000), np.r_[quantiles, quantiles + np.sqrt(2) * norm.ppf(area)]
    weights = np.where(y == 1, prevalence, 1 - prevalence) / 4000
    fit = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial(), freq_weights=weights).fit()
    assert r2_of_auroc(area, prevalence) == pytest.approx(1 - np.exp(fit.deviance - fit.null_deviance), rel=0.01)


def test_no_effect_needs_more_patients_than_there_are():
    assert r2_of_auroc(0.5, 0.4) == r2_of_auroc(0.4, 0.4) == 0
    size = development_size(432, 180, 10, r2=0)
    assert (size.needed, size.events_needed, size.criterion, size.parameters_affordable) == (None, None, "shrinkage", 0)


def test_affordable_parameters_are_the_most_these_patients_carry():
    r2 = 0.15 * largest_r2(180 / 432)
    size = development_size(432, 180, 389, r2)
    assert size.needed > 432
    assert size.parameters_affordable > 0
    assert development_size(432, 180, size.parameters_affordable, r2).needed <= 432
    assert development_size(432, 180, size.parameters_affordable + 1, r2).needed > 432
    assert development_size(50, 20, 1, 0.3).parameters_affordable == 0
    assert development_size(50, 20, 1, 0.3).criterion == "risk"


def test_detectable_difference_is_statsmodels():
    difference = detectable_difference(300, 60, 0.2, 0.2, power=0.9)
    assert difference / 0.2 == pytest.approx(
        NormalIndPower().solve_power(nobs1=300, ratio=0.2, alpha=0.05, power=0.9), rel=1e-4
    )


def test_a_detectable_difference_is_seen_as_often_as_said():
    rng = np.random.default_rng(2)
    difference = detectable_difference(120, 40, 0.1, 0.3)
    group_1, group_2 = rng.normal(0, 0.1, (4000, 120)), rng.normal(difference, 0.3, (4000, 40))
    z = (group_2.mean(axis=1) - group_1.mean(axis=1)) / np.sqrt(0.1**2 / 120 + 0.3**2 / 40)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
