"""How often each test of the study's report rejects where there is nothing to find.

`python -m benchmarks.study_error_rates` prints the table.

A row of `TESTS` is a function of a random generator and of the number of patients that simulates one null trial and
returns its p (or the smallest q of its family, which a false discovery rate of 5% lets be below 0.05 in 5% of trials).
Rates are shares of trials with a value of at most 0.05, with Clopper-Pearson 95% intervals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_1samp

from features.trajectories import WINDOWS
from training.study.immune import after_peak, after_peak_null, change_table, mixed_slope, rise_and_fall, sign_flip
from training.study.links import Paired, link_table, within_patients

SIZES = (5, 10, 20)
ALPHA = 0.05
DAYS = np.array([-7.0, 7, 14, 28, 56, 90, 120])
LIMIT = -1.0
"""log2 of the limit of detection: near a sixth of the simulated draws lie below it."""

Vector = NDArray[np.float64]


class Test(NamedTuple):
    """A test of the report; `trials` of it are run for each of `sizes`."""

    section: str
    name: str
    p: Callable[[np.random.Generator, int], float]
    trials: int = 2000
    sizes: tuple[int, ...] = SIZES
    nominal: str = "5%"


def blood(rng: np.random.Generator, n: int, analytes: int = 1) -> pd.DataFrame:
    """Return draws without any mean change: levels and slopes of the patients' own, noise, limits, a tenth missed."""
    shape = n, len(DAYS), analytes
    level = rng.normal(0.5, 1, (n, 1, analytes)) + rng.normal(0, 0.2, (n, 1, analytes)) * DAYS[:, None] / 90
    value = level + rng.normal(0, 0.5, shape)
    patient, day, analyte = (index.ravel() for index in np.indices(shape))
    below = value.ravel() < LIMIT
    rows = pd.DataFrame(
        {
            "analyte": [f"a{i}" for i in analyte],
            "patient": [f"p{i:02}" for i in patient],
            "time": DAYS[day],
            "log2": np.where(below, LIMIT - 1, value.ravel()),
            "censored": np.where(below, "below", ""),
            "limit": np.where(below, LIMIT, np.nan),
        }
    )
    return rows[rng.random(len(rows)) > 0.1]


def _skewed(rng: np.random.Generator, n: int) -> float:
    """Changes with a few large ones among them: heavy tails, symmetric."""
    return sign_flip(rng.standard_t(2, n), seed=int(rng.integers(2**31))).p


def _changes(rng: np.random.Generator, n: int) -> float:
    return float(change_table(blood(rng, n), WINDOWS[:2])["p"].min())


def _family(rng: np.random.Generator, n: int) -> float:
    return float(change_table(blood(rng, n, 6), WINDOWS)["q"].min())


def _modelled(rng: np.random.Generator, n: int) -> float:
    """A weak null: the mean change is 0, and patients differ in theirs."""
    patient = np.repeat(np.arange(n), 4)
    x = np.tile([0.0, 1, 1, 1], n)
    y = rng.normal(0, 1, n)[patient] + rng.normal(0, 0.7, n)[patient] * x + rng.normal(0, 0.5, 4 * n)
    kept = (rng.random(4 * n) > 0.15) | (patient < 2)
    return mixed_slope(y[kept], x[kept], patient[kept]).p


def _irregular(rng: np.random.Generator, n: int) -> float:
    """Slopes over visits, two to four of each patient at random."""
    visits = [np.sort(rng.choice(10, rng.integers(2, 5), replace=False)).astype(float) for _ in range(n)]
    patient, x = np.repeat(np.arange(n), [len(v) for v in visits]), np.concatenate(visits)
    y = rng.normal(0, 1, n)[patient] + rng.normal(0, 0.1, n)[patient] * x + rng.normal(0, 0.5, len(x))
    return mixed_slope(y, x, patient).p


def _flat(rng: np.random.Generator, n: int) -> float:
    return rise_and_fall(*(rng.normal(0, 1, (3, n)) + rng.normal(0, 1, n)))


def _stays(rng: np.random.Generator, n: int) -> float:
    """The null nearest to the pattern: levels rise by much and stay."""
    return rise_and_fall(*(rng.normal(0, 1, (3, n)) + np.array([[0.0], [9], [9]])))


def _draws(rng: np.random.Generator, n: int) -> list[tuple[Vector, Vector]]:
    time = DAYS[DAYS > 0] / 30
    return [(time, rng.normal(0, 1, len(time))) for _ in range(n)]


def _after_peak(rng: np.random.Generator, n: int) -> float:
    return after_peak_null(_draws(rng, n), n=199, seed=int(rng.integers(2**31)))[1]


def _naive(rng: np.random.Generator, n: int) -> float:
    slopes = [after_peak(*draws)[1] for draws in _draws(rng, n)]
    return float(ttest_1samp(slopes, 0, alternative="less").pvalue)


def _link(rng: np.random.Generator, n: int) -> float:
    patient = np.repeat(np.arange(n), 4)
    x, y = rng.normal(0, 1, (2, n))[:, patient] + rng.standard_t(3, (2, 4 * n))
    return float(within_patients(x[:, None], y, patient, n=199, seed=int(rng.integers(2**31)))[1][0])


def _links(rng: np.random.Generator, n: int) -> float:
    patient = np.repeat(np.arange(n), 4)
    shared = rng.normal(0, 1, (4 * n, 1))
    clr, levels = rng.normal(0, 1, (4 * n, 8)) + shared, rng.lognormal(0, 1, (4 * n, 4))
    pairs = Paired(patient, np.tile(np.arange(4), n), tuple("abcdefgh"), clr, tuple("wxyz"), levels, ())
    return float(link_table(pairs, seed=int(rng.integers(2**31)))["q"].min())


TESTS: list[Test] = [
    Test("immune", "change, sign-flip, heavy tails", _skewed),
    Test("immune", "change between windows, as reported, a sixth undetected, draws missed", _changes, 1000),
    Test("immune", "any of 6 analytes in 2 windows changed, false discovery rate", _family, 200),
    Test("immune", "change, mixed model, patients differ, draws missed", _modelled, 600, (10, 20)),
    Test("immune", "slope over irregular visits, mixed model", _irregular, 600, (10, 20)),
    Test("immune", "rise, fall and end above, where nothing moves", _flat, 1000, nominal="at most 5%"),
    Test("immune", "rise, fall and end above, where levels rise and stay", _stays, 1000, nominal="at most 5%"),
    Test("immune", "slope after the peak, draws shuffled within patients", _after_peak, 600),
    Test("not in the report", "slope after the peak, t test of its being below 0", _naive, 600, nominal="none"),
    Test("links", "one within-patient correlation, permutation", _link, 1000),
    Test("links", "any of 32 within-patient correlations, false discovery rate", _links, 100),
]
"""Every test of the report; each section adds its own."""


def error_rate(test: Test, n: int, seed: int = 0) -> tuple[float, float, float]:
    """Return the share of null trials of `n` patients that a test rejects at 5%, and the ends of its interval."""
    streams = np.random.SeedSequence([seed, n]).spawn(test.trials)
    hits = sum(test.p(np.random.default_rng(stream), n) <= ALPHA for stream in streams)
    ends = binomtest(hits, test.trials).proportion_ci()
    return hits / test.trials, ends.low, ends.high


def main() -> None:
    """Print the table as Markdown; how far it is goes to standard error."""
    print("| section | test | n | null trials | rejected at 5% | 95% interval | nominal |", "|---" * 7 + "|", sep="\n")
    for test in TESTS:
        for n in test.sizes:
            print(f"{test.section}: {test.name}, {n} patients", file=sys.stderr)
            rate, low, high = error_rate(test, n)
            shown = f"{rate:.1%} | {low:.1%} to {high:.1%}"
            print(f"| {test.section} | {test.name} | {n} | {test.trials} | {shown} | {test.nominal} |", flush=True)


if __name__ == "__main__":
    main()
