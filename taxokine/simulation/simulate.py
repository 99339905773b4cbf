"""The door of the simulator, and the published trials that it imitates."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from taxokine.simulation.design import Trial
from taxokine.simulation.files import write_trial
from taxokine.simulation.trial import simulate

_DEFAULT_TRIAL = Trial()
FIVE_MONTHS = (2.5, 7.4, 8.3, 28.5, 52.3)
"""Overall survival, in months, of the five patients of a first trial of its kind."""

TACITO = Trial(
    n_patients=45,
    control_share=22 / 45,
    response_rate=0.52,
    control_response_rate=0.32,
    hazard_ratio=0.5,
    median_pfs=680.0,
    median_os=2000.0,
    effect=0.0,
    seed=1762,
)
"""A trial like TACITO, of FMT or a sham transplant with ICI: responses of 52% against 32%, a hazard ratio of 0.5.

TACITO reported these, and that 70% against 41% are free of progression at 12 months. Constant hazards with these shares
have a ratio of 0.40; 0.50 is planted. A trial of this size scatters widely around what is planted. Of the seeds up to
3300, this one's trial is nearest to the report: 12 of 23 against 7 of 22, 70% against 41%, and 0.49. No other cause is
planted, since `effect` is 0."""


def five_patients(deaths: Literal["all", "first"] = "all") -> Trial:
    """Return a trial of five patients with the survival that a first trial of its kind reported.

    Overall survival is 2.5, 7.4, 8.3, 28.5 and 52.3 months; no adverse event is of grade 2 or above.

    Parameters
    ----------
    deaths : {"all", "first"}
        Whether all five died then, or only the first did and the others were last seen alive.
    """
    return Trial(
        n_patients=5,
        n_donors=3,
        n_centres=1,
        grades=(1, 0, 0, 0),
        survival=tuple((months, deaths == "all" or months == FIVE_MONTHS[0]) for months in FIVE_MONTHS),
        visits=(-7, 7, 14, 28, 56, 90, 180, 365),
    )


def simulate_trial(folder: Path, trial: Trial = _DEFAULT_TRIAL) -> Path:
    """Simulate a trial and write its files, whole or not at all.

    Parameters
    ----------
    folder : Path
        The folder to write to; it must not exist, or be empty.
    trial : Trial
        Its parameters, such as ``Trial(n_patients=120, seed=0)`` or ``replace(TACITO, seed=0)``.

    Returns
    -------
    Path
        The manifest, which `features.cohort.read_cohort` takes. Beside it stand the files that it names, and what no
        hospital has: `causes.json`, the planted causes, and `truth.csv`, each patient's log-odds of response, log-rate
        ratio of adverse events, log-hazard ratio of progression and of death, and final engraftment.

    Raises
    ------
    InputError
        The folder holds something, or cannot be written.
    """
    return write_trial(simulate(trial), Path(folder))
