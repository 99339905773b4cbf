"""Simulated trials of fecal microbiota transplantation, with known causes, for the demo, tests and study planning.

A simulated trial consists of the files that a hospital would have; each says that it is simulated. The rooms of the
simulator follow the trial: `design` (parameters) and `causes` (planted effects), then `patients`, `stool`, `cytokines`,
`outcomes` and `course`; `trial` runs them in order, and `files` writes the result. Day 0 is the transplant.
"""

from taxokine.simulation.cytokines import ANALYTES
from taxokine.simulation.design import AS_PUBLISHED, GENERA, Trial
from taxokine.simulation.kinetics import pulse, saturation
from taxokine.simulation.simulate import TACITO, five_patients, simulate_trial

__all__ = [
    "ANALYTES",
    "AS_PUBLISHED",
    "TACITO",
    "five_patients",
    "GENERA",
    "Trial",
    "pulse",
    "saturation",
    "simulate_trial",
]
