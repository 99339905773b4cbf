"""Immune trajectories: tests and intervals beside SciPy's and statsmodels', and sections of little or odd data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import false_discovery_control, linregress, permutation_test, t, ttest_1samp

from benchmarks.study_error_rates import blood
from features.cohort import read_cohort
from features.simulator import simulate_trial
from features.trajectories import WINDOWS
from training.study.immune import (
    after_peak,
    after_peak_null,
    change_table,
    immune_section,
    mixed_slope,
    pattern_table,
    peak_tables,
    rise_and_fall,
    sign_flip,
    trend_table,
)

changes_with_ties = st.lists(st.integers(-6, 6), min_size=1, max_size=9).map(lambda c: np.array(c, dtype=float))


@settings(max_examples=40, deadline=None)
@given(changes_with_ties.filter(lambda c: len(c) > 1))
def test_p_is_that_of_scipys_exact_permutation_test(change):
    found = sign_flip(change)
    for side, ours in (("two-sided", found.p), ("greater", found.greater), ("less", found.less)):
        theirs = permutation_test(
            (change,), np.mean, permutation_type="samples", alternative=side, n_resamples=10_000
        ).pvalue
        assert ours == pytest.approx(theirs)


@settings(max_examples=40, deadline=None)
@given(changes_with_ties.filter(lambda c: len(c) > 1), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_holds_what_the_test_does_not_reject(change, level):
    found, span = sign_flip(change, level=level), np.ptp(change) + 1
    for inside in np.linspace(found.low, found.high, 5)[1:-1]:
        assert sign_flip(change - inside).p > 1 - found.confidence - 1e-9
    for end, step in ((found.low, -0.01 * span), (found.high, 0.01 * span)):
        assert sign_flip(change - end - step).p <= 1 - found.confidence + 1e-9


def test_five_patients_reach_0_0625_and_93_75_percent():
    found = sign_flip(np.array([0.2, 0.5, 1.0, 0.1, 2.0]))
    assert (found.p, found.confidence, found.low, found.high) == (0.0625, 0.9375, 0.1, 2.0)
    assert found.greater == 1 / 32


@pytest.mark.parametrize(("change", "p"), [([0.0] * 6, 1), ([1.5], 1)])
def test_ties_and_one_patient_show_nothing(change, p):
    found = sign_flip(np.array(change))
    assert found.p == p
    assert np.isnan(sign_flip(np.array([1.5])).low)


def test_of_many_patients_signs_are_drawn_and_agree_with_t():
    change = np.random.default_rng(0).normal(0.4, 1, 60)
    found, theirs = sign_flip(change), ttest_1samp(change, 0)
    assert found.p == pytest.approx(theirs.pvalue, abs=0.005)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval(), abs=0.02)
    assert found == sign_flip(change)


def test_the_pattern_is_as_strong_as_its_weakest_part():
    rng = np.random.default_rng(1)
    base = rng.normal(0, 0.1, 7)
    assert rise_and_fall(base, base + 3, base + 1) == 1 / 2**7
    assert rise_and_fall(base, base + 3, base + 3) == 1
    assert rise_and_fall(base, base + 3, base - 1) == 1
    assert rise_and_fall(base, base - 1, base + 1) == 1


def draws(seed, n=12, visits=(0.0, 0, 1, 1, 1), slope=0.4):
    rng, m = np.random.default_rng(seed), len(visits)
    patient, x = np.repeat(np.arange(n), m), np.tile(visits, n).astype(float)
    y = rng.normal(0, 1, n)[patient] + (slope + rng.normal(0, 0.7, n))[patient] * x + rng.normal(0, 0.5, n * m)
    kept = rng.random(n * m) > 0.1
    return y[kept], x[kept], patient[kept]


@pytest.mark.parametrize("visits", [(0, 0, 1, 1, 1), (1, 2, 5, 6, 9)])
@pytest.mark.parametrize("seed", range(2))
def test_the_mixed_model_is_that_of_statsmodels(seed, visits):
    y, x, patient = draws(seed, visits=visits)
    found = mixed_slope(y, x, patient)
    design = sm.add_constant(x)
    theirs = sm.MixedLM(y, design, patient, exog_re=design).fit(reml=True, method=["bfgs", "powell"])
    assert found.estimate == pytest.approx(theirs.fe_params[1], abs=1e-3)
    assert found.p == pytest.approx(_t_of(theirs, found.n), rel=0.02)


def _t_of(fit, n):
    return 2 * t.sf(abs(fit.fe_params[1] / fit.bse_fe[1]), n - 1)


def test_where_the_covariance_is_singular_the_mixed_model_is_that_of_dense_matrices():
    """Here statsmodels stops short: a standard error of 0.151, where the best restricted likelihood has 0.178."""
    y, x, patient = draws(2)
    design, same = sm.add_constant(x), patient[:, None] == patient

    def solved(theta):
        root = np.array([[theta[0], 0], [theta[1], theta[2]]])
        weight = np.linalg.inv(design @ root @ root.T @ design.T * same + np.exp(theta[3]) * np.eye(len(y)))
        precision = design.T @ weight @ design
        beta = np.linalg.solve(precision, design.T @ weight @ y)
        left = y - design @ beta
        deviance = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(weight)[1] + left @ weight @ left
        return deviance, beta[1], np.linalg.inv(precision)[1, 1] ** 0.5

    options = {"maxiter": 3000, "maxfev": 3000, "xatol": 1e-6, "fatol": 1e-8}
    fit = minimize(lambda theta: solved(theta)[0], [1, 0, 0.5, -1], method="Nelder-Mead", options=options)
    _, estimate, error = solved(fit.x)
    found = mixed_slope(y, x, patient)
    assert found.estimate == pytest.approx(estimate, rel=1e-3)
    assert found.p == pytest.approx(2 * t.sf(abs(estimate / error), found.n - 1), rel=0.01)


def test_with_complete_pairs_the_mixed_model_is_the_paired_t_test():
    rng = np.random.default_rng(4)
    before = rng.normal(0, 1, 11)
    after = before + rng.normal(0.5, 0.8, 11)
    found = mixed_slope(np.append(before, after), np.repeat([0.0, 1.0], 11), np.tile(np.arange(11), 2))
    theirs = ttest_1samp(after - before, 0)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-3)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval(), rel=1e-3)
    assert found.n == 11


@pytest.mark.parametrize(("shift", "factor"), [(5.0, 1.0), (0.0, 30.0)])
def test_the_slope_follows_the_units(shift, factor):
    y, x, patient = draws(5)
    one, other = mixed_slope(y, x, patient), mixed_slope(factor * y + shift, x, patient)
    assert other.estimate == pytest.approx(factor * one.estimate, rel=1e-4)
    assert other.p == pytest.approx(one.p, rel=1e-3)
    assert mixed_slope(np.zeros_like(y), x, patient).p == 1


def test_the_slope_after_the_peak_is_that_of_least_squares():
    time, level = np.array([1.0, 2, 4, 7, 9]), np.array([1.0, 5, 3, 4, 0])
    peak, slope = after_peak(time, level)
    assert peak == 1
    assert slope == pytest.approx(linregress(time[1:], level[1:]).slope)
    assert after_peak(time, np.sort(level))[1] == 0


def test_after_a_peak_of_noise_there_is_a_fall_which_the_shuffled_null_has_too():
    rng = np.random.default_rng(2)
    noise = [(np.arange(6.0), rng.normal(size=6)) for _ in range(40)]
    slopes = [after_peak(*one)[1] for one in noise]
    assert ttest_1samp(slopes, 0).pvalue < 1e-4
    null, p = after_peak_null(noise)
    assert null == pytest.approx(np.mean(slopes), abs=0.15)
    assert p > 0.01
    pulse = [(np.arange(6.0), np.array([1, 9, 6, 3, 1, 0]) + rng.normal(0, 0.1, 6)) for _ in range(5)]
    assert after_peak_null(pulse)[1] < 0.02


def test_planted_rise_and_fall_is_found_and_noise_is_not():
    rng = np.random.default_rng(3)
    rows = blood(rng, 8, 6)
    assert pattern_table(rows, WINDOWS)["q"].min() > 0.05
    moved = rows.assign(log2=rows["log2"] + 3 * rows["time"].between(7, 28) + 1.5 * (rows["time"] > 28))
    found = pattern_table(moved, WINDOWS)
    assert (found["q"] <= 0.05).sum() >= 3
    assert change_table(moved, WINDOWS[:2])["low"].gt(0).all()


def test_tables_name_their_method_and_share_one_family():
    rows = blood(np.random.default_rng(6), 14, 3)
    rows = rows[(rows["analyte"] != "a2") | (rows["patient"] < "p08")]
    hidden = rows["analyte"] == "a1"
    rows = rows.assign(censored=rows["censored"].mask(hidden & (rows["log2"] < 1.5), "below"))
    table = change_table(rows, WINDOWS)
    assert table.groupby("analyte")["method"].first().to_dict() == {
        "a0": "mixed model", "a1": "sign-flip", "a2": "sign-flip"
    }  # fmt: skip
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))
    assert set(trend_table(rows)["analyte"]) == {"a0"}


def test_peaks_are_each_patients_own():
    rows = pd.DataFrame(
        {"analyte": "a", "patient": ["p"] * 5 + ["q"] * 5, "time": [-1.0, 10, 40, 70, 100] * 2,
         "log2": [0.0, 3, 2, 1, 0, 1, 2, 4, 5, 6], "censored": "", "limit": np.nan}
    )  # fmt: skip
    peaks, falls = peak_tables(rows)
    assert peaks[["peak", "day"]].to_numpy().tolist() == [[3, 10], [5, 100]]
    assert peaks["slope"].tolist() == pytest.approx([-1, 0])
    assert falls["patients"].tolist() == [2]


def test_the_section_of_five_patients_says_what_cannot_be_significant(five):
    section = immune_section(five)
    said = " ".join(section.lead)
    assert "no exact two-sided p is below 0.0625" in said
    assert "none of these changes can be attributed" in said
    assert section.listings["changes"].frame["p"].min() == 0.0625
    assert set(section.listings["levels"].frame["patient"]) == {f"P{i}" for i in range(1, 6)}
    assert "SIM-" not in repr(section)
    assert set(section.drawings) == {"trajectories", "changes"}
    peaks, told = (section.listings[name].frame.set_index("analyte") for name in ("peaks", "falls"))
    day = peaks.loc["IL-10", "day"]
    assert told.loc["IL-10", "day of peak"] == f"{day.median():g} ({day.min():g} to {day.max():g})"
    assert told.loc["IL-10", "peak"].startswith(f"{peaks.loc['IL-10', 'peak'].median():.3g} (")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five") / "trial"
    return read_cohort(simulate_trial(folder, n_patients=5, n_taxa=40, n_donors=2, missed=0.0, seed=2), folder)


def altered(cohort, change):
    return replace(cohort, immune=replace(cohort.immune, rows=change(cohort.immune.rows)))


def test_one_patient_and_an_analyte_that_was_never_detected(five):
    def one(rows):
        rows = rows[rows["patient"] == rows["patient"].iloc[0]]
        return rows.assign(censored=rows["censored"].mask(rows["analyte"] == "IL-2", "below"))

    section = immune_section(altered(five, one))
    assert "No analyte was measured, at baseline and in a later window, in two patients." in section.lead
    assert section.missing == ("below detection in every draw, so without a trajectory: IL-2",)
    assert set(section.listings["peaks"].frame["analyte"]) == set(five.immune.rows["analyte"]) - {"IL-2"}
    assert section.listings["falls"].frame["p"].isna().all()


def test_all_below_detection(five):
    section = immune_section(altered(five, lambda rows: rows.assign(censored="below", value=np.nan, limit=np.nan)))
    assert "IL-2" in section.missing[0]
    assert section.drawings == {}


def test_what_is_missing_is_said(five):
    none = replace(five, immune=None)
    once = altered(five, lambda rows: rows.drop_duplicates(["patient", "analyte"]))
    for cohort, why in ((none, "no immune measurements"), (once, "one draw a patient")):
        section = immune_section(cohort)
        assert (section.lead, section.drawings) == ((), {})
        assert why in section.missing[0]
