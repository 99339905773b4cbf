"""The two doors of the simulator: a trial of any size, and the trial of five patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from taxokine.simulation.design import Trial
from taxokine.simulation.files import write_trial
from taxokine.simulation.trial import simulate

FIVE_MONTHS = (2.5, 7.4, 8.3, 28.5, 52.3)
"""Overall survival, in months, of the five patients of a first trial of its kind."""

TACITO: Mapping[str, Any] = {
    "n_patients": 45,
    "control_share": 22 / 45,
    "response_rate": 0.52,
    "control_response_rate": 0.32,
    "hazard_ratio": 0.5,
    "median_pfs": 680.0,
    "median_os": 2000.0,
    "effect": 0.0,
    "seed": 1762,
}
"""Fields of `Trial` for a trial like TACITO, which reported that 52% against 32% respond, that 70% against 41% are free
of progression at 12 months, and a hazard ratio of 0.50. Constant hazards with these shares have a ratio of 0.40; 0.50
is planted. Of the seeds up to 3300, this one's trial is nearest to the report: 12 of 23 against 7 of 22, 70% against
41%, and 0.49."""


def simulate_trial(folder: Path, **parameters: Any) -> Path:
    """Simulate a trial and write its files, whole or not at all.

    Parameters
    ----------
    folder : Path
        The folder to write to; it must not exist, or be empty.
    **parameters
        Fields of `Trial`, such as ``n_patients=120, seed=0, effect=1.0``.

    Returns
    -------
    Path
        The manifest, which `features.cohort.read_cohort` takes. Beside it stand the files that it names, and what no
        hospital has: `causes.json`, the planted causes, and `truth.csv`, each patient's log-odds of response, log-rate
        ratio of adverse events, log-hazard ratio of progression and of death, and final engraftment.

    Raises
    ------
    InputError
        A parameter is out of its range, or the folder holds something or cannot be written.
    """
    return write_trial(simulate(Trial(**parameters)), Path(folder))


def simulate_arms(folder: Path, **parameters: Any) -> Path:
    """Simulate a randomised trial of FMT beside a sham transplant, both with ICI, with what TACITO reported.

    45 patients; expected response 52% against 32%, 12-month progression-free survival about 70% against 45%, and a
    hazard ratio of 0.5. A trial of this size scatters widely around them; the default seed's has what TACITO reported.
    No other cause is planted unless `effect` is given.

    Parameters
    ----------
    folder : Path
        As for `simulate_trial`.
    **parameters
        Other fields of `Trial`, such as ``seed=0``.

    Returns
    -------
    Path
        The manifest, as from `simulate_trial`.
    """
    return simulate_trial(folder, **{**TACITO, **parameters})


def simulate_five(folder: Path, deaths: Literal["all", "first"] = "all", **parameters: Any) -> Path:
    """Simulate a trial of five patients with the survival that a first trial of its kind reported.

    Overall survival is 2.5, 7.4, 8.3, 28.5 and 52.3 months; no adverse event is of grade 2 or above.

    Parameters
    ----------
    folder : Path
        As for `simulate_trial`.
    deaths : {"all", "first"}
        Whether all five died then, or only the first did and the others were last seen alive.
    **parameters
        Other fields of `Trial`, such as ``seed=0``.

    Returns
    -------
    Path
        The manifest, as from `simulate_trial`.
    """
    survival = tuple((months, deaths == "all" or months == FIVE_MONTHS[0]) for months in FIVE_MONTHS)
    five = {"n_patients": 5, "n_donors": 3, "n_centres": 1, "grades": (1, 0, 0, 0), "survival": survival}
    return simulate_trial(folder, **{**five, "visits": (-7, 7, 14, 28, 56, 90, 180, 365), **parameters})
