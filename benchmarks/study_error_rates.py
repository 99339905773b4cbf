"""How often each test of the study's report rejects under the null hypothesis, and under simulated effects.

`python -m benchmarks.study_error_rates > benchmarks/study_error_rates.md` writes the tables, in an hour on two cores;
`python -m benchmarks.study_error_rates newest` prints those of the newest tests, in three minutes of one core.

In simulated null trials the transplant has no effect, no feature predicts response, and donors do not differ from
patients. Every section of the report analyses each trial, and the benchmark records the p-values of its tables: of a
table of analytes or taxa the alphabetically first row, and the smallest q, which under a false discovery rate of 5% is
below 0.05 in 5% of null trials. An interval rejects where it does not contain the true value. Further null models are
harder than the simulator's.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import binomtest, false_discovery_control, ttest_1samp

from features.arrays import Matrix, Vector
from features.cohort import read_cohort
from features.donor_naming import name_donors
from features.outcomes import DAYS_PER_MONTH
from features.trajectories import WINDOWS
from taxokine.simulation import AS_PUBLISHED, Trial, simulate_trial
from training.statistics.ancova import adjusted_difference
from training.statistics.distances import bray_curtis, log_ratios
from training.statistics.donor_convergence import donor_specific_convergence
from training.statistics.effect_variation import effect_variation_test
from training.statistics.log_rank import log_rank
from training.statistics.meta_analysis import random_effects
from training.statistics.mixed_model import mixed_slope
from training.statistics.paired_changes import paired_changes
from training.statistics.post_peak_slope import post_peak_slope, post_peak_slope_test
from training.statistics.repeated_measures import rmcorr_permutation_test
from training.statistics.risk_difference import stratified_risk_difference
from training.statistics.sign_flip import rise_then_fall_p, sign_flip_test
from training.statistics.survival_curves import kaplan_meier, median_survival
from training.study.analysis.donor_panel import DonorAbsence, donor_panel
from training.study.analysis.immune_changes import level_changes
from training.study.analysis.landmark_engraftment import landmark_survival
from training.study.analysis.links import correlate
from training.study.analysis.paired_draws import PairedDraws
from training.study.analysis.pooled_convergence import standard_error
from training.study.analysis.power_arms import TWO_ARM_GOALS
from training.study.analysis.trial_design import TwoArmDesign
from training.study.section import Section
from training.study.sections.donors import EXCHANGED
from training.study.sections.links import BEYOND_COURSE
from training.study.study import study_sections

SIZES = (5, 10, 20)
NOMINAL_LEVEL = 0.05
DAYS = np.array([-7.0, 7, 14, 28, 56, 90, 120])
LIMIT = -1.0
"""log2 of the limit of detection: near a sixth of the simulated draws lie below it."""
NULL = Trial(transplant_effect=0.0, effect=0.0, donor_shift=0.0, n_centres=1, n_taxa=100)
PLANTED: Mapping[str, Trial] = {
    "as in the demo": Trial(n_centres=1, n_taxa=100),
    "as published": replace(AS_PUBLISHED, n_centres=1),
}
RECOVERED = ("changes", "pattern", "falls", "taxa", "groups", "donor_distance", "engraftment_estimates", "links")
"""Tables whose power is estimated; no link is simulated."""
P_VALUES = {
    "p": "",
    "PERMANOVA p": "PERMANOVA",
    "spread p": "spread",
    f"p{BEYOND_COURSE}": BEYOND_COURSE.strip(),
    EXCHANGED: EXCHANGED,
}
"""Columns of p-values, and the suffix that names their test."""

Name = tuple[str, str]
"""A section of the report, and one of its tests."""
ReadTrial = Callable[[np.random.Generator, int], Mapping[Name, float]]


class Trials(NamedTuple):
    """Simulated trials of one kind: `read` simulates a trial of n patients, and returns the p-value of each test."""

    read: ReadTrial
    trials: int = 2000
    sizes: tuple[int, ...] = SIZES
    nominal: str = "5%"


def single_test(
    section: str, name: str, p: Callable[[np.random.Generator, int], float], *arguments: Any, **options: Any
) -> Trials:
    return Trials(lambda rng, n: {(section, name): p(rng, n)}, *arguments, **options)


def misses_truth(low: float, high: float, truth: float) -> float:
    """Return 0 where an interval does not contain the truth, else 1; a NaN limit does not bound it."""
    return float(not (low > truth or high < truth))


def report_p_values(rng: np.random.Generator, n: int, trial: Trial) -> dict[Name, float]:
    """Return each p-value, smallest q and missed interval of the report of a simulated trial with few donors."""
    trial = replace(trial, n_patients=n, n_donors=3 + n // 5, seed=int(rng.integers(2**31)))
    with tempfile.TemporaryDirectory() as folder:
        cohort = read_cohort(simulate_trial(Path(folder) / "trial", trial), None, fetch=False)
        sections = [make(cohort) for make in study_sections().values()]
    p_by_test = {(section.name, test): p for section in sections for test, p in p_values(section)}
    if not trial.transplant_effect:
        p_by_test |= {(section.name, test): p for section in sections for test, p in misses(section, trial)}
    return p_by_test


def p_values(section: Section) -> Iterator[tuple[str, float]]:
    """Yield the name and p-value of each test in a section's tables, and each table's smallest q."""
    for name, listing in section.tables.items():
        frame = listing.frame
        text_columns = [
            column
            for column in frame
            if frame[column].dtype.kind in "OT" and column not in ("method", "permuted", "patient")
        ]
        labels = frame[text_columns].agg(", ".join, axis=1) if len(frame) else pd.Series(dtype="str")
        # Rows of a column without heading are different tests; other rows are many tests of one kind.
        if "" in frame:
            rows = labels[~labels.str.startswith("without ")]
        else:
            rows = pd.Series("one row", index=labels.sort_values().index[:1])
        for column, suffix in P_VALUES.items():
            for row, label in rows.items() if column in frame else ():
                yield f"{name}: {label} {suffix}".strip(), frame.at[row, column]
        for column in ("q", f"q{BEYOND_COURSE}"):
            if column in frame and len(frame):
                yield f"{name}: any, {column}", float(frame[column].min())


def misses(section: Section, trial: Trial) -> Iterator[tuple[str, float]]:
    """Yield the name of each of a section's intervals, with 0 where it misses the truth of a null trial, else 1."""
    tables = {name: listing.frame.to_dict("records") for name, listing in section.tables.items()}
    death, event = np.log(2) / trial.median_os, -np.log1p(-trial.toxicity_rate) / trial.toxicity_follow_up
    ends = {"Overall survival": death, "Progression-free survival": np.log(2) / trial.median_pfs}
    for row in tables.get("survival_at", ()):
        truth = np.exp(-ends[row["outcome"]] * row["month"] * DAYS_PER_MONTH)
        yield (
            f"{row['outcome']} at {row['month']} months, interval",
            misses_truth(row["95% low"], row["95% high"], truth),
        )
    for row in tables.get("response_rates", ())[:1]:
        yield f"{row['rate of']}, interval", misses_truth(row["95% low"], row["95% high"], trial.response_rate)
    for row in tables.get("incidence", ()):
        if row["event"] == "any grade":
            truth = event / (event + death) * -np.expm1(-(event + death) * row["day"])
            yield f"incidence, day {row['day']}, interval", misses_truth(row["95% low"], row["95% high"], truth)
    for name in ("donor_distance", "engraftment_estimates"):
        for row in tables.get(name, ()):
            for estimator in ("", "by donor, "):
                low, high = row[f"{estimator}95% low"], row[f"{estimator}95% high"]
                yield f"{name}: {row['']}, {estimator or 'by recipient, '}interval", misses_truth(low, high, 0)


def blood(rng: np.random.Generator, n: int, analytes: int = 1) -> pd.DataFrame:
    """Return blood draws without mean change: random levels and slopes of patients, noise, limits, a tenth missing."""
    shape = n, len(DAYS), analytes
    level = rng.normal(0.5, 1, (n, 1, analytes)) + rng.normal(0, 0.2, (n, 1, analytes)) * DAYS[:, None] / 90
    value = level + rng.normal(0, 0.5, shape)
    patient, day, analyte = (index.ravel() for index in np.indices(shape))
    undetected = value.ravel() < LIMIT
    rows = pd.DataFrame(
        {
            "analyte": [f"a{i}" for i in analyte],
            "patient": [f"p{i:02}" for i in patient],
            "time": DAYS[day],
            "log2": np.where(undetected, LIMIT - 1, value.ravel()),
            "censored": np.where(undetected, "below", ""),
            "limit": np.where(undetected, LIMIT, np.nan),
        }
    )
    return rows[rng.random(len(rows)) > 0.1]


def _skewed(rng: np.random.Generator, n: int) -> float:
    """Return p of symmetric, heavy-tailed changes."""
    return sign_flip_test(rng.standard_t(2, n), seed=int(rng.integers(2**31))).p


def _changes(rng: np.random.Generator, n: int) -> float:
    return min((change.p for change in level_changes(blood(rng, n), WINDOWS[:2])), default=np.nan)


def _family(rng: np.random.Generator, n: int) -> float:
    return min((change.q for change in level_changes(blood(rng, n, 6), WINDOWS)), default=np.nan)


def _modelled(rng: np.random.Generator, n: int) -> float:
    """Return p where the mean change is 0 and patients' changes differ."""
    patient = np.repeat(np.arange(n), 4)
    x = np.tile([0.0, 1, 1, 1], n)
    y = rng.normal(0, 1, n)[patient] + rng.normal(0, 0.7, n)[patient] * x + rng.normal(0, 0.5, 4 * n)
    mask = (rng.random(4 * n) > 0.15) | (patient < 2)
    return mixed_slope(y[mask], x[mask], patient[mask]).p


def _irregular(rng: np.random.Generator, n: int) -> float:
    """Return p of a slope of 0 over two to four random visits of each patient."""
    visits = [np.sort(rng.choice(10, rng.integers(2, 5), replace=False)).astype(float) for _ in range(n)]
    patient, x = np.repeat(np.arange(n), [len(v) for v in visits]), np.concatenate(visits)
    y = rng.normal(0, 1, n)[patient] + rng.normal(0, 0.1, n)[patient] * x + rng.normal(0, 0.5, len(x))
    return mixed_slope(y, x, patient).p


def _flat(rng: np.random.Generator, n: int) -> float:
    return _three_windows(rng.normal(0, 1, (3, n)) + rng.normal(0, 1, n))


def _stays(rng: np.random.Generator, n: int) -> float:
    """Return p under the null nearest to the pattern: levels rise and stay."""
    return _three_windows(rng.normal(0, 1, (3, n)) + np.array([[0.0], [9], [9]]))


def _three_windows(levels: Matrix) -> float:
    baseline, early, late = levels
    return rise_then_fall_p(early - baseline, late - early, late - baseline)


def _draws(rng: np.random.Generator, n: int) -> list[tuple[Vector, Vector]]:
    time = DAYS[DAYS > 0] / 30
    return [(time, rng.normal(0, 1, len(time))) for _ in range(n)]


def _after_peak(rng: np.random.Generator, n: int) -> float:
    return post_peak_slope_test(_draws(rng, n), n=199, seed=int(rng.integers(2**31)))[1]


def _drifting(rng: np.random.Generator, n: int) -> float:
    """Return p of levels with an autocorrelation of 0.5 within patients."""
    draws = []
    for time, level in _draws(rng, n):
        for i in range(1, len(level)):
            level[i] = 0.5 * level[i - 1] + np.sqrt(0.75) * level[i]
        draws.append((time, level))
    return post_peak_slope_test(draws, n=199, seed=int(rng.integers(2**31)))[1]


def _naive(rng: np.random.Generator, n: int) -> float:
    slopes = [post_peak_slope(*draws)[1] for draws in _draws(rng, n)]
    return float(ttest_1samp(slopes, 0, alternative="less").pvalue)


def _link(rng: np.random.Generator, n: int) -> float:
    patient = np.repeat(np.arange(n), 4)
    x, y = rng.normal(0, 1, (2, n))[:, patient] + rng.standard_t(3, (2, 4 * n))
    return float(rmcorr_permutation_test(x[:, None], y, patient, n=199, seed=int(rng.integers(2**31)))[1][0])


def _links(rng: np.random.Generator, n: int) -> dict[Name, float]:
    patient = np.repeat(np.arange(n), 4)
    shared = rng.normal(0, 1, (4 * n, 1))
    clr, levels = rng.normal(0, 1, (4 * n, 8)) + shared, rng.lognormal(0, 1, (4 * n, 4))
    course = np.tile(np.arange(4), n)
    pairs = PairedDraws(patient, course, tuple("abcdefgh"), clr, tuple("wxyz"), levels, dropped=(), rank="taxa")
    links = correlate(pairs, seed=int(rng.integers(2**31)))
    return {
        ("links", "any of 32 within-patient correlations, q"): min(link.unadjusted.q for link in links),
        ("links", f"any of 32 within-patient correlations, q{BEYOND_COURSE}"): min(
            link.beyond_course.q for link in links
        ),
    }


def _alike(rng: np.random.Generator, n: int) -> dict[Name, float]:
    """Return p, and missed intervals, where all recipients move in one direction and share donors unevenly."""
    donors = 3 + n // 5
    host, donor_logs, shared = (1.5 * rng.standard_normal((k, 40)) for k in (n, donors, 1))
    logs = np.vstack([host, host + 0.5 * shared + rng.standard_normal(host.shape), donor_logs])
    distances = bray_curtis(np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True))
    is_own_donor = rng.integers(donors, size=n)[:, None] == np.arange(donors)
    convergence = donor_specific_convergence(
        distances[n : 2 * n, 2 * n :] - distances[:n, 2 * n :], is_own_donor, seed=int(rng.integers(2**31))
    )
    estimates = {"by recipient": convergence.recipient_mean, "by donor": convergence.donor_mean}
    misses = {
        ("donors", f"own donor, all move alike, {estimator}, interval"): misses_truth(estimate.low, estimate.high, 0)
        for estimator, estimate in estimates.items()
    }
    return {("donors", "own donor, all move alike"): convergence.p, **misses}


def _twelve_taxa(rng: np.random.Generator, n: int) -> Matrix:
    """Return counts of twelve taxa before and after, (2 * n, 12), of different hosts without change."""
    log = rng.normal(0, 1.7, (n, 12))[np.repeat(np.arange(n), 2)] + rng.normal(0, 0.6, (2 * n, 12))
    shares = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(20_000, row) for row in shares], dtype=float)


def _taxa(rng: np.random.Generator, n: int) -> float:
    ratios = log_ratios(_twelve_taxa(rng, n) / 20_000)[0].reshape(n, 2, -1)
    return float(false_discovery_control(paired_changes(ratios[:, 1] - ratios[:, 0])["p"]).min())


def _scikit_bio(rng: np.random.Generator, n: int) -> dict[Name, float]:
    """Return the smallest q of taxon changes between two visits by each method of scikit-bio."""
    from skbio.stats.composition import ancombc, dirmult_lme

    counts = pd.DataFrame(_twelve_taxa(rng, n), columns=[f"t{i}" for i in range(12)])
    counts.index = counts.index.astype(str)
    sheet = pd.DataFrame({"window": ["before", "after"] * n, "patient": np.repeat(np.arange(n), 2).astype(str)})
    sheet.index = counts.index
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixed = dirmult_lme(counts, sheet, "window", "patient", draws=4, seed=1)["pvalue"]
        try:
            ancombc_result = ancombc(counts + 1, sheet, "window + patient").result.reset_index()
            fixed = ancombc_result.loc[ancombc_result["Covariate"].str.startswith("window"), "pvalue"]
        except ValueError:
            # The mixture model of ancombc may fail to converge to proportions; such a trial is dropped.
            fixed = pd.Series([np.nan])
    return {
        ("not in the report", f"any of 12 taxa, q: scikit-bio's {method}"): false_discovery_control(p).min()
        for method, p in (("dirmult_lme", mixed), ("ancombc, patients in the model", fixed))
        if p.notna().all()
    }


def _median(rng: np.random.Generator, n: int) -> float:
    death, end = rng.exponential(1 / np.log(2), n), rng.uniform(0.5, 4, n)
    median_os = median_survival(kaplan_meier(np.minimum(death, end), death <= end))
    return misses_truth(median_os.low, median_os.high, 1)


def _two_donors(rng: np.random.Generator, n: int, approach: float = 0.0) -> dict[Name, float]:
    """Return p of the approach to the own donor of two, where all come near to the first donor by four SDs."""
    is_own_donor = rng.permutation(np.arange(n) % 3 == 0)[:, None] == np.array([True, False])
    scores = rng.standard_normal((n, 2)) - np.array([4, 0]) - approach * is_own_donor
    seed = int(rng.integers(2**31))
    convergence = donor_specific_convergence(scores, is_own_donor, seed=seed)
    return {
        ("donors", "own donor of two, whole donors exchanged"): convergence.p,
        ("donors", "own donor of two, donors exchanged between recipients"): convergence.exchanged_p,
        ("donors", "own donor of two named from stool"): name_donors(scores, is_own_donor, seed=seed).p,
    }


def _arms(rng: np.random.Generator, n: int, effect: float = 0.0) -> dict[Name, float]:
    """Return p of arms by which treated patients share four donors, in two strata of other risk and share of arms."""
    strata = np.where(np.arange(n) % 2 == 0, "low", "high").astype(object)
    group = rng.random(n) < np.where(strata == "low", 0.7, 0.4)
    group[:4], group[4:8] = True, False
    baseline, donor_effect = rng.standard_normal(n), 0.7 * rng.standard_normal(4)
    donor = np.arange(n) % 4
    y = 0.5 * baseline + group * (donor_effect[donor] + 2 * effect) + rng.standard_normal(n)
    risk = np.where(strata == "low", 0.3, 0.6)
    responds = rng.random(n) < np.clip(risk + 0.4 * effect * group, 0, 1)
    death = rng.exponential(1 / (np.where(strata == "low", 1.0, 3.0) * np.exp(-1.5 * effect * group)))
    end = rng.uniform(0.3, 2, n)
    time, event, seed = np.minimum(death, end), death <= end, int(rng.integers(2**31))
    each_alone = 4 + np.arange(n)
    clusters = np.where(group, donor, each_alone)
    return {
        ("arms", "level at equal baseline, donors as clusters"): adjusted_difference(y, baseline, group, clusters).p,
        ("not in the report", "the same, patients of one donor as independent"): adjusted_difference(
            y, baseline, group, each_alone
        ).p,
        ("arms", "response within strata, arms permuted"): stratified_risk_difference(
            responds, group, strata, seed=seed
        ).p,
        ("arms", "log-rank within strata, arms permuted"): log_rank(time, event, group, strata, seed=seed).p,
    }


def _variation(rng: np.random.Generator, n: int, effect: float = 0.0) -> dict[Name, float]:
    """Return p of the global test that the effect of a randomised treatment varies, with four covariates.

    The first covariate predicts the outcome, and treatment adds the same to everyone and doubles the variance; the
    second modifies the effect by `effect` for each of its SDs.
    """
    X, group = rng.standard_normal((n, 4)), rng.permutation(np.arange(n) % 2 == 0)
    noise = rng.standard_normal(n) * np.where(group, np.sqrt(2), 1)
    y = X[:, 0] + group * (0.5 + effect * X[:, 1]) + noise
    p = effect_variation_test(y, X, group, seed=int(rng.integers(2**31))).p
    return {("arms", "the effect varies between patients, global test"): p}


def _pooled(rng: np.random.Generator, n: int, approach: float = 0.0) -> dict[Name, float]:
    """Return whether the pooled interval of three trials of n recipients and three donors contains 0.

    Trials differ in their mean approach by half an SD.
    """
    estimates = []
    for _ in range(3):
        is_own_donor = rng.permutation(np.arange(n) % 3)[:, None] == np.arange(3)
        mean = approach + 0.5 * rng.standard_normal() * (approach > 0)
        scores = rng.standard_normal((n, 3)) - mean * is_own_donor
        estimates.append(donor_specific_convergence(scores, is_own_donor, seed=int(rng.integers(2**31))))
    values = np.array([estimate.recipient_mean.value for estimate in estimates])
    pooled = random_effects(values, np.array([standard_error(estimate) for estimate in estimates]) ** 2)
    excludes_0 = pooled.low is not None and pooled.high is not None and not pooled.low <= 0 <= pooled.high
    return {("donors", "approach pooled over three trials, interval"): float(not excludes_0)}


def _swapped(rng: np.random.Generator, n: int, swapped: int = 0) -> dict[Name, float]:
    """Return 0 where a donor's label is suspect, else 1; six donors, approach of 3 SDs, `swapped` labels exchanged."""
    donor = np.arange(n) % 6
    scores = rng.standard_normal((n, 6)) - 3 * (donor[:, None] == np.arange(6))
    recorded = donor.copy()
    recorded[:swapped] = recorded[:swapped][::-1]
    suspect = name_donors(scores, recorded[:, None] == np.arange(6), seed=int(rng.integers(2**31))).suspect
    is_found = np.isin(np.arange(swapped), suspect).any() if swapped else suspect.size > 0
    return {("donors", "a label that stool contradicts, of six donors"): float(not is_found)}


def _landmark(rng: np.random.Generator, n: int, trial: Trial) -> dict[Name, float]:
    """Return p of survival from the landmark on by engraftment until it, in a simulated trial."""
    trial = replace(trial, n_patients=n, n_donors=4, seed=int(rng.integers(2**31)))
    with tempfile.TemporaryDirectory() as folder:
        cohort = read_cohort(simulate_trial(Path(folder) / "trial", trial), None, fetch=False)
        panel = donor_panel(cohort, WINDOWS)
        survival = () if isinstance(panel, DonorAbsence) else landmark_survival(cohort, panel)
    return {("donors", f"{row.outcome} from the landmark by engraftment, log-rank"): row.log_rank.p for row in survival}


def _engrafted_live_longer(rng: np.random.Generator, n: int) -> float:
    """Return p of survival after the landmark where those above the median engraftment have 0.3 times the hazard."""
    gained_more = rng.permutation(np.arange(n) % 2 == 0)
    death, end = rng.exponential(1 / np.where(gained_more, 0.3, 1.0)), rng.uniform(0.5, 4, n)
    time = np.minimum(death, end)
    return log_rank(time, death <= end, gained_more, seed=int(rng.integers(2**31))).p


def _two_arm_plan(rng: np.random.Generator, n: int, share: float = 0.0) -> dict[Name, float]:
    """Return 1 - rejection of each goal of the plan for two arms, in one simulated trial."""
    design = TwoArmDesign(simulations=100)
    return {
        ("plan", f"two arms, four donors: {goal}"): 1 - float(reject(design, n, share, rng)[0])
        for goal, reject in TWO_ARM_GOALS.items()
    }


NEWEST_SIZES = (24, 48, 96)
NEWEST: list[Trials] = [
    Trials(_variation, 300, NEWEST_SIZES),
    Trials(_pooled, 300, NEWEST_SIZES),
    Trials(_swapped, 200, NEWEST_SIZES[:2], nominal="none"),
    Trials(lambda rng, n: _landmark(rng, n, replace(NULL, transplant_effect=1.0)), 100, NEWEST_SIZES[:2]),
    Trials(_two_arm_plan, 1000, NEWEST_SIZES),
]
NEWEST_PLANTED: list[Trials] = [
    Trials(lambda rng, n: _variation(rng, n, 1.0), 150, NEWEST_SIZES),
    Trials(lambda rng, n: _pooled(rng, n, 1.0), 100, NEWEST_SIZES),
    Trials(lambda rng, n: _swapped(rng, n, 2), 200, NEWEST_SIZES[:2], nominal="none"),
    single_test(
        "donors",
        "survival from the landmark by engraftment, hazard ratio 0.3, log-rank",
        _engrafted_live_longer,
        200,
        NEWEST_SIZES,
    ),
    Trials(lambda rng, n: _two_arm_plan(rng, n, 1.0), 1000, NEWEST_SIZES),
]
"""The newest tests, without an effect and with one: an effect that differs by an SD of the outcome for each SD of a
covariate, an approach of one SD, two labels swapped, and the effects that the plan assumes."""

ARMS_AND_DONORS: list[Trials] = [Trials(_two_donors, 600, (10, 20)), Trials(_arms, 600, (10, 20))]
ARMS_AND_DONORS_PLANTED: list[Trials] = [
    Trials(lambda rng, n: _two_donors(rng, n, 1.5), 300, (10, 20)),
    Trials(lambda rng, n: _arms(rng, n, 1.0), 300, (10, 20)),
]
"""The tests of arms and of few donors, without an effect and with one: 1.5 SDs of approach, two SDs of a level, 40
percentage points of response, a hazard ratio of 0.22."""

TESTS: list[Trials] = [
    Trials(lambda rng, n: report_p_values(rng, n, NULL), 400),
    single_test("patients", "median survival, a third censored, interval", _median),
    single_test("immune", "change, sign-flip, heavy tails", _skewed),
    single_test("immune", "change between windows, a sixth undetected, draws missed", _changes, 1000),
    single_test("immune", "any of 6 analytes in 2 windows changed, q, a sixth undetected", _family, 400),
    single_test("immune", "change, mixed model, patients differ, draws missed", _modelled, 600, (10, 20)),
    single_test("immune", "slope over irregular visits, mixed model", _irregular, 600, (10, 20)),
    single_test("immune", "rise, fall and end above, where nothing moves", _flat, 1000, nominal="at most 5%"),
    single_test("immune", "rise, fall and end above, where levels rise and stay", _stays, 1000, nominal="at most 5%"),
    single_test("immune", "slope after the peak, draws shuffled within patients", _after_peak, 600),
    single_test("immune", "the same, of levels that drift (the report says so)", _drifting, 600, nominal="none"),
    single_test("not in the report", "slope after the peak, t test of its being below 0", _naive, 600, nominal="none"),
    Trials(_alike, 1000),
    single_test("microbiome", "any of 12 taxa, q: signs of centred log-ratios exchanged", _taxa, 1000),
    Trials(_scikit_bio, 60),
    single_test("links", "one within-patient correlation, heavy tails", _link, 1000),
    Trials(_links, 400),
]
"""Every test of the report."""


def rejected(kind: Trials, n: int, seed: int = 0) -> dict[Name, tuple[int, int]]:
    """Return in how many trials of `n` patients each test rejects at 5%, and how many trials contain the test."""
    streams = np.random.SeedSequence([seed, n]).spawn(kind.trials)
    trials = Parallel(n_jobs=-1)(delayed(kind.read)(np.random.default_rng(stream), n) for stream in streams)
    rejections: dict[Name, list[bool]] = defaultdict(list)
    for name, p in (test for trial in trials for test in trial.items()):
        if not np.isnan(p):
            rejections[name].append(p <= NOMINAL_LEVEL)
    return {name: (sum(hits), len(hits)) for name, hits in rejections.items()}


def table(kinds: list[Trials], sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Iterator[str]:
    """Yield the rows of a Markdown table of rates with Clopper-Pearson 95% intervals; progress goes to stderr."""
    yield "| section | test | nominal | " + " | ".join(f"n = {n}" for n in sizes) + " |"
    yield "|---" * (3 + len(sizes)) + "|"
    for kind in kinds:
        rates = {n: rejected(kind, n, seed) for n in kind.sizes}
        for section, name in dict.fromkeys(name for rates_of_size in rates.values() for name in rates_of_size):
            cells = [_rate_cell(*rates.get(n, {}).get((section, name), (0, 0)), kind.trials) for n in sizes]
            print(f"{section}: {name}: {' | '.join(cells)}", file=sys.stderr)
            yield f"| {section} | {name} | {kind.nominal} | {' | '.join(cells)} |"


def _rate_cell(hits: int, trials: int, planned: int) -> str:
    if not trials:
        return "–"
    interval = binomtest(hits, trials).proportion_ci()
    of_trials = "" if trials == planned else f" of {trials}"
    return f"{hits / trials:.1%} ({interval.low:.1%} to {interval.high:.1%}){of_trials}"


def print_newest() -> None:
    """Print the tables of the newest tests."""
    print("## Newest tests, nothing to find: share of trials in which a test rejects at 5%\n")
    for row in table(NEWEST, NEWEST_SIZES):
        print(row, flush=True)
    print("\n## Newest tests, planted: share of trials in which a test rejects at 5%\n")
    for row in table(NEWEST_PLANTED, NEWEST_SIZES):
        print(row, flush=True)
    print("\nWhether a planted best donor is ranked first, and its intervals cover, is in `donor_ranking.md`.")


def main() -> None:
    """Print the tables as Markdown; of the newest tests alone with the argument `newest`."""
    if sys.argv[1:] == ["newest"]:
        print_newest()
        return
    print(__doc__)
    print("## Nothing to find: share of trials in which a test rejects at 5%\n")
    for row in table(TESTS + ARMS_AND_DONORS):
        print(row, flush=True)
    print("\n## Planted in arms and donors: share of trials in which a test rejects at 5%\n")
    for row in table(ARMS_AND_DONORS_PLANTED):
        print(row, flush=True)
    for name, planted in PLANTED.items():

        def read_trial(rng: np.random.Generator, n: int, trial: Trial = planted) -> dict[Name, float]:
            p_by_test = report_p_values(rng, n, trial)
            return {key: p for key, p in p_by_test.items() if key[1].partition(":")[0] in RECOVERED}

        print(f"\n## Planted {name}: share of trials in which a test rejects at 5%\n")
        for row in table([Trials(read_trial, 100)]):
            print(row, flush=True)
    print()
    print_newest()


if __name__ == "__main__":
    main()
