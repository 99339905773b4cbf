"""How often each test of the study's report rejects where there is nothing to find, and where something was planted.

`python -m benchmarks.study_error_rates > benchmarks/study_error_rates.md` writes its tables, in an hour on two cores.

Whole null trials, in which nothing follows the transplant, nothing tells who responds and donors are like patients, go
through every section of the report, and each p and q of its tables is read off: of a table of analytes or taxa one row,
the alphabetically first, and the smallest q, which a false discovery rate of 5% lets be below 0.05 in 5% of trials. An
interval counts as rejecting where it misses the truth. Beside them stand nulls that are harder than the simulator's.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import binomtest, false_discovery_control, ttest_1samp

from features.cohort import read_cohort
from features.outcomes import MONTH
from features.trajectories import WINDOWS
from taxokine.simulation import AS_PUBLISHED, Trial, simulate_trial
from training.statistics.distances import bray_curtis, log_ratios
from training.statistics.donor_convergence import donor_specific_convergence
from training.statistics.mixed_model import mixed_slope
from training.statistics.paired_changes import paired_changes
from training.statistics.post_peak_slope import post_peak_slope, post_peak_slope_test
from training.statistics.repeated_measures import rmcorr_permutation_test
from training.statistics.sign_flip import rise_then_fall_p, sign_flip_test
from training.statistics.survival_curves import kaplan_meier, median_survival
from training.study.analysis.immune_changes import level_changes
from training.study.analysis.links import correlate
from training.study.analysis.paired_draws import PairedDraws
from training.study.section import Section
from training.study.sections.links import BEYOND_COURSE
from training.study.study import study_sections

SIZES = (5, 10, 20)
ALPHA = 0.05
DAYS = np.array([-7.0, 7, 14, 28, 56, 90, 120])
LIMIT = -1.0
"""log2 of the limit of detection: near a sixth of the simulated draws lie below it."""
NULL: Mapping[str, Any] = {"transplant": 0.0, "effect": 0.0, "donor_shift": 0.0, "n_centres": 1, "n_taxa": 100}
PLANTED: Mapping[str, Mapping[str, Any]] = {
    "as in the demo": {"n_centres": 1, "n_taxa": 100},
    "as published": {**AS_PUBLISHED, "n_centres": 1},
}
RECOVERED = ("changes", "pattern", "falls", "taxa", "groups", "donor_distance", "engraftment_estimates", "links")
"""Tables whose power is shown; no link is planted, and beyond the common course there is none to find."""
P_VALUES = {"p": "", "PERMANOVA p": "PERMANOVA", "spread p": "spread", f"p{BEYOND_COURSE}": BEYOND_COURSE.strip()}
"""Columns of p-values, and what their tests are called beside the row's."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Name = tuple[str, str]
"""A section, and a test of it."""
Read = Callable[[np.random.Generator, int], Mapping[Name, float]]


class Trials(NamedTuple):
    """Simulated trials of one kind: `read` simulates one of so many patients and returns its tests' p-values."""

    read: Read
    trials: int = 2000
    sizes: tuple[int, ...] = SIZES
    nominal: str = "5%"


def alone(section: str, name: str, p: Callable[[np.random.Generator, int], float], *of: Any, **said: Any) -> Trials:
    return Trials(lambda rng, n: {(section, name): p(rng, n)}, *of, **said)


def missed(low: float, high: float, truth: float) -> float:
    """Return 0 where an interval misses the truth, else 1; a limit that is NaN is none."""
    return float(not (low > truth or high < truth))


def reported(rng: np.random.Generator, n: int, **parameters: Any) -> dict[Name, float]:
    """Return every p, smallest q and miss of the report of a simulated trial; donors are few."""
    said = {"n_patients": n, "n_donors": 3 + n // 5, "seed": int(rng.integers(2**31)), **parameters}
    with tempfile.TemporaryDirectory() as folder:
        cohort = read_cohort(simulate_trial(Path(folder) / "trial", **said), None, fetch=False)
        sections = [make(cohort) for make in study_sections().values()]
    found = {(one.name, test): p for one in sections for test, p in p_values(one)}
    if not parameters.get("transplant", 1):
        found |= {(one.name, test): p for one in sections for test, p in misses(one, Trial(**said))}
    return found


def p_values(section: Section) -> Iterator[tuple[str, float]]:
    """Yield the p-values of a section's tables, and each table's smallest q, by what they are of."""
    for name, listing in section.tables.items():
        frame = listing.frame
        words = [one for one in frame if frame[one].dtype.kind in "OT" and one not in ("method", "permuted", "patient")]
        labels = frame[words].agg(", ".join, axis=1) if len(frame) else pd.Series(dtype="str")
        # Rows under no heading are tests of different things; others are many of a kind.
        if "" in frame:
            rows = labels[~labels.str.startswith("without ")]
        else:
            rows = pd.Series("one row", index=labels.sort_values().index[:1])
        for column, said in P_VALUES.items():
            for row, label in rows.items() if column in frame else ():
                yield f"{name}: {label} {said}".strip(), frame.at[row, column]
        for column in ("q", f"q{BEYOND_COURSE}"):
            if column in frame and len(frame):
                yield f"{name}: any, {column}", float(frame[column].min())


def misses(section: Section, trial: Trial) -> Iterator[tuple[str, float]]:
    """Yield which of a section's intervals miss the truth of a null trial, by what they are of."""
    tables = {name: listing.frame.to_dict("records") for name, listing in section.tables.items()}
    death, event = np.log(2) / trial.median_os, -np.log1p(-trial.toxicity_rate) / trial.follow_up
    ends = {"Overall survival": death, "Progression-free survival": np.log(2) / trial.median_pfs}
    for row in tables.get("survival_at", ()):
        truth = np.exp(-ends[row["outcome"]] * row["month"] * MONTH)
        yield f"{row['outcome']} at {row['month']} months, interval", missed(row["95% low"], row["95% high"], truth)
    for row in tables.get("response_rates", ())[:1]:
        yield f"{row['rate of']}, interval", missed(row["95% low"], row["95% high"], trial.response_rate)
    for row in tables.get("incidence", ()):
        if row["event"] == "any grade":
            truth = event / (event + death) * -np.expm1(-(event + death) * row["day"])
            yield f"incidence, day {row['day']}, interval", missed(row["95% low"], row["95% high"], truth)
    for name in ("donor_distance", "engraftment_estimates"):
        for row in tables.get(name, ()):
            for of in ("", "by donor, "):
                low, high = row[f"{of}95% low"], row[f"{of}95% high"]
                yield f"{name}: {row['']}, {of or 'by recipient, '}interval", missed(low, high, 0)


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
    return sign_flip_test(rng.standard_t(2, n), seed=int(rng.integers(2**31))).p


def _changes(rng: np.random.Generator, n: int) -> float:
    return min((change.p for change in level_changes(blood(rng, n), WINDOWS[:2])), default=np.nan)


def _family(rng: np.random.Generator, n: int) -> float:
    return min((change.q for change in level_changes(blood(rng, n, 6), WINDOWS)), default=np.nan)


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
    return _three_windows(rng.normal(0, 1, (3, n)) + rng.normal(0, 1, n))


def _stays(rng: np.random.Generator, n: int) -> float:
    """The null nearest to the pattern: levels rise by much and stay."""
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
    """Levels that drift in each patient by itself: of neighbouring draws each tells half of the next."""
    draws = []
    for time, level in _draws(rng, n):
        for at in range(1, len(level)):
            level[at] = 0.5 * level[at - 1] + np.sqrt(0.75) * level[at]
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
    """Stool of everyone moves in one direction, and recipients share donors unevenly; nothing is particular to one."""
    donors = 3 + n // 5
    host, given, shared = (1.5 * rng.standard_normal((k, 40)) for k in (n, donors, 1))
    logs = np.vstack([host, host + 0.5 * shared + rng.standard_normal(host.shape), given])
    distances = bray_curtis(np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True))
    own = rng.integers(donors, size=n)[:, None] == np.arange(donors)
    found = donor_specific_convergence(
        distances[n : 2 * n, 2 * n :] - distances[:n, 2 * n :], own, seed=int(rng.integers(2**31))
    )
    ends = {"by recipient": found.recipient_mean, "by donor": found.donor_mean}
    misses = {
        ("donors", f"own donor, all move alike, {of}, interval"): missed(e.low, e.high, 0) for of, e in ends.items()
    }
    return {("donors", "own donor, all move alike"): found.p, **misses}


def _twelve_taxa(rng: np.random.Generator, n: int) -> Matrix:
    """Return counts of twelve taxa before and after, (2 * n, 12), of hosts who differ and in whom nothing changes."""
    log = rng.normal(0, 1.7, (n, 12))[np.repeat(np.arange(n), 2)] + rng.normal(0, 0.6, (2 * n, 12))
    shares = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(20_000, row) for row in shares], dtype=float)


def _taxa(rng: np.random.Generator, n: int) -> float:
    ratios = log_ratios(_twelve_taxa(rng, n) / 20_000)[0].reshape(n, 2, -1)
    return float(false_discovery_control(paired_changes(ratios[:, 1] - ratios[:, 0])["p"]).min())


def _scikit_bio(rng: np.random.Generator, n: int) -> dict[Name, float]:
    """Changes of taxa between two visits by what scikit-bio has for it."""
    from skbio.stats.composition import ancombc, dirmult_lme

    counts = pd.DataFrame(_twelve_taxa(rng, n), columns=[f"t{i}" for i in range(12)])
    counts.index = counts.index.astype(str)
    sheet = pd.DataFrame({"window": ["before", "after"] * n, "patient": np.repeat(np.arange(n), 2).astype(str)})
    sheet.index = counts.index
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixed = dirmult_lme(counts, sheet, "window", "patient", draws=4, seed=1)["pvalue"]
        try:
            found = ancombc(counts + 1, sheet, "window + patient").result.reset_index()
            fixed = found.loc[found["Covariate"].str.startswith("window"), "pvalue"]
        except ValueError:
            # Its mixture may end up with a share beyond 1; the trial then does not count.
            fixed = pd.Series([np.nan])
    return {
        ("not in the report", f"any of 12 taxa, q: scikit-bio's {how}"): false_discovery_control(p).min()
        for how, p in (("dirmult_lme", mixed), ("ancombc, patients in the model", fixed))
        if p.notna().all()
    }


def _median(rng: np.random.Generator, n: int) -> float:
    death, end = rng.exponential(1 / np.log(2), n), rng.uniform(0.5, 4, n)
    found = median_survival(kaplan_meier(np.minimum(death, end), death <= end))
    return missed(found.low, found.high, 1)


TESTS: list[Trials] = [
    Trials(lambda rng, n: reported(rng, n, **NULL), 400),
    alone("patients", "median survival, a third censored, interval", _median),
    alone("immune", "change, sign-flip, heavy tails", _skewed),
    alone("immune", "change between windows, a sixth undetected, draws missed", _changes, 1000),
    alone("immune", "any of 6 analytes in 2 windows changed, q, a sixth undetected", _family, 400),
    alone("immune", "change, mixed model, patients differ, draws missed", _modelled, 600, (10, 20)),
    alone("immune", "slope over irregular visits, mixed model", _irregular, 600, (10, 20)),
    alone("immune", "rise, fall and end above, where nothing moves", _flat, 1000, nominal="at most 5%"),
    alone("immune", "rise, fall and end above, where levels rise and stay", _stays, 1000, nominal="at most 5%"),
    alone("immune", "slope after the peak, draws shuffled within patients", _after_peak, 600),
    alone("immune", "the same, of levels that drift (the report says so)", _drifting, 600, nominal="none"),
    alone("not in the report", "slope after the peak, t test of its being below 0", _naive, 600, nominal="none"),
    Trials(_alike, 1000),
    alone("microbiome", "any of 12 taxa, q: signs of centred log-ratios exchanged", _taxa, 1000),
    Trials(_scikit_bio, 60),
    alone("links", "one within-patient correlation, heavy tails", _link, 1000),
    Trials(_links, 400),
]
"""Every test of the report."""


def rejected(kind: Trials, n: int, seed: int = 0) -> dict[Name, tuple[int, int]]:
    """Return in how many trials of `n` patients each test rejects at 5%, and how many trials have it."""
    streams = np.random.SeedSequence([seed, n]).spawn(kind.trials)
    trials = Parallel(n_jobs=-1)(delayed(kind.read)(np.random.default_rng(stream), n) for stream in streams)
    found: dict[Name, list[bool]] = defaultdict(list)
    for name, p in (test for trial in trials for test in trial.items()):
        if not np.isnan(p):
            found[name].append(p <= ALPHA)
    return {name: (sum(hits), len(hits)) for name, hits in found.items()}


def table(kinds: list[Trials], seed: int = 0) -> Iterator[str]:
    """Yield the rows of a Markdown table of rates with Clopper-Pearson 95% intervals; tells standard error how far."""
    yield "| section | test | nominal | " + " | ".join(f"n = {n}" for n in SIZES) + " |"
    yield "|---" * (3 + len(SIZES)) + "|"
    for kind in kinds:
        rates = {n: rejected(kind, n, seed) for n in kind.sizes}
        for section, name in dict.fromkeys(name for found in rates.values() for name in found):
            cells = [_told(*rates.get(n, {}).get((section, name), (0, 0)), kind.trials) for n in SIZES]
            print(f"{section}: {name}: {' | '.join(cells)}", file=sys.stderr)
            yield f"| {section} | {name} | {kind.nominal} | {' | '.join(cells)} |"


def _told(hits: int, trials: int, planned: int) -> str:
    if not trials:
        return "–"
    ends = binomtest(hits, trials).proportion_ci()
    of = "" if trials == planned else f" of {trials}"
    return f"{hits / trials:.1%} ({ends.low:.1%} to {ends.high:.1%}){of}"


def main() -> None:
    """Print both tables as Markdown."""
    print(__doc__)
    print("## Nothing to find: share of trials in which a test rejects at 5%\n")
    for row in table(TESTS):
        print(row, flush=True)
    for name, parameters in PLANTED.items():

        def read(rng: np.random.Generator, n: int, parameters: Mapping[str, Any] = parameters) -> dict[Name, float]:
            found = reported(rng, n, **parameters)
            return {key: p for key, p in found.items() if key[1].partition(":")[0] in RECOVERED}

        print(f"\n## Planted {name}: share of trials in which a test rejects at 5%\n")
        for row in table([Trials(read, 100)]):
            print(row, flush=True)


if __name__ == "__main__":
    main()
