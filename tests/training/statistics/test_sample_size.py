"""Sample sizes against pmsampsize, pmvalsampsize's formulas and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower

from training.statistics.meta_analysis import auroc_variance
from training.statistics.sample_size import (
    detectable_difference,
    development_size,
    largest_r2,
    r2_of_auroc,
    validation_size,
)


def test_development_needs_what_pmsampsize_says():
    """pmsampsize(type="b", csrsquared=0.288, parameters=24, prevalence=0.174): 623, 662, 221; 662 with 116 events."""
    found = development_size(patients=1000, events=174, parameters=24, r2=0.288)
    assert (found.shrinkage, found.optimism, found.risk) == (623, 662, 221)
    assert (found.needed, found.events_needed, found.criterion) == (662, 116, "optimism")


def test_development_by_riley_2020s_default():
    """15% of the largest R² (0.33 at a prevalence of 5%) and 30 parameters; by the paper's rounded R² of 0.05, 5249."""
    assert largest_r2(0.05) == pytest.approx(0.33, abs=0.005)
    assert development_size(10_000, 500, 30, 0.05).needed == 5249
    assert development_size(10_000, 500, 30).r2 == pytest.approx(0.15 * largest_r2(0.05))


@pytest.mark.parametrize(
    ("area", "prevalence", "parameters", "expected"),
    [(0.89, 0.174, 24, 660), (0.81, 0.18, 6, 266), (0.89, 0.18, 6, 227)],
)
def test_r2_from_an_auroc_asks_for_what_pmsampsize_simulates(area, prevalence, parameters, expected):
    """pmsampsize(type="b", cstatistic=..., parameters=..., prevalence=...), from a million simulated patients."""
    r2 = r2_of_auroc(area, prevalence)
    assert development_size(1000, round(1000 * prevalence), parameters, r2).needed == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("area", "prevalence"), [(0.57, 0.4), (0.75, 0.1), (0.95, 0.5)])
def test_r2_of_an_auroc_is_a_logistic_regressions(area, prevalence):
    quantiles = norm.ppf((np.arange(4000) + 0.5) / 4000)
    y, x = np.repeat([0.0, 1.0], 4000), np.r_[quantiles, quantiles + np.sqrt(2) * norm.ppf(area)]
    weights = np.where(y == 1, prevalence, 1 - prevalence) / 4000
    fit = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial(), freq_weights=weights).fit()
    assert r2_of_auroc(area, prevalence) == pytest.approx(1 - np.exp(fit.deviance - fit.null_deviance), rel=0.01)


def test_no_effect_needs_more_patients_than_there_are():
    assert r2_of_auroc(0.5, 0.4) == r2_of_auroc(0.4, 0.4) == 0
    found = development_size(432, 180, 10, r2=0)
    assert (found.needed, found.events_needed, found.criterion, found.affordable) == (None, None, "shrinkage", 0)


def test_affordable_parameters_are_the_most_these_patients_carry():
    found = development_size(432, 180, 389)
    assert found.needed > 432
    assert found.affordable > 0
    assert development_size(432, 180, found.affordable).needed <= 432
    assert development_size(432, 180, found.affordable + 1).needed > 432
    assert development_size(50, 20, 1, 0.3).affordable == 0
    assert development_size(50, 20, 1, 0.3).criterion == "risk"


def test_validation_needs_what_pmvalsampsize_says():
    """pmvalsampsize's formulas at a prevalence of 1.8%, an AUROC of 0.8 and log-odds that are N(-5, 2.5²)."""
    log_odds = np.random.default_rng(0).normal(-5, 2.5, 200_000)
    found = validation_size(0.8, 0.018, log_odds)
    # (1 - prevalence) / prevalence / 0.051², where 0.051 is a rounded standard error.
    assert found.oe_ratio == pytest.approx(0.982 / 0.018 / 0.051**2, rel=0.005)
    reached = [float(auroc_variance(0.8, n * 0.018, n * 0.982)) for n in (found.auroc, found.auroc - 1)]
    assert reached[0] <= (0.1 / 3.919928) ** 2 < reached[1]
    assert found.needed == found.oe_ratio
    y = (np.random.default_rng(1).random(len(log_odds)) < expit(log_odds)).astype(float)
    error = sm.GLM(y, sm.add_constant(log_odds), family=sm.families.Binomial()).fit().bse[1]
    assert found.slope == pytest.approx(len(y) * (error * 3.919928 / 0.2) ** 2, rel=0.03)


def test_constant_log_odds_have_no_slope_to_validate():
    found = validation_size(0.7, 0.4, np.full(50, -0.4))
    assert found.slope is None
    assert found.needed == max(found.oe_ratio, found.auroc)


def test_detectable_difference_is_statsmodels():
    found = detectable_difference(300, 60, 0.2, 0.2, power=0.9)
    assert found / 0.2 == pytest.approx(
        NormalIndPower().solve_power(nobs1=300, ratio=0.2, alpha=0.05, power=0.9), rel=1e-4
    )


def test_a_detectable_difference_is_seen_as_often_as_said():
    rng = np.random.default_rng(2)
    difference = detectable_difference(120, 40, 0.1, 0.3)
    one, other = rng.normal(0, 0.1, (4000, 120)), rng.normal(difference, 0.3, (4000, 40))
    z = (other.mean(axis=1) - one.mean(axis=1)) / np.sqrt(0.1**2 / 120 + 0.3**2 / 40)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
