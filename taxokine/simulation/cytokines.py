r"""Simulated cytokines in blood.

Concentrations are log-normal. Patient :math:`i` has a personal level :math:`m_a e^{s_a z_{ia}}` of analyte :math:`a`.
After the transplant follows a pulse that rises, falls and ends above baseline; :math:`b` is the Bateman function
(`taxokine.simulation.kinetics.pulse`) and :math:`g_i` the strength of the patient's reaction:

.. math::
    \ln c_{ia}(t) = \ln m_a + s_a z_{ia} + g_i \bigl( k_a b(t) + h_a (1 - e^{-t/\tau_r}) \bigr)
    + \text{centre}_a + \text{assay}
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from features.arrays import Matrix
from taxokine.simulation.design import Trial
from taxokine.simulation.kinetics import pulse, saturation
from taxokine.simulation.patients import Enrolment, visit_days


class Analyte(NamedTuple):
    """A cytokine in blood, in pg/mL; values are of the order that multiplex immunoassays measure.

    Attributes
    ----------
    median, spread : float
        Median at baseline, and the SD of ln between patients.
    peak, plateau : float
        The ln fold changes of the pulse and of the lasting rise.
    lloq, uloq : float
        The assay's limits of quantification.
    """

    median: float
    spread: float
    peak: float
    plateau: float
    lloq: float
    uloq: float


ANALYTES = {
    "IL-2": Analyte(4, 0.6, 1.4, 0.4, 3.2, 2000),
    "IL-10": Analyte(8, 0.7, 1.2, 0.4, 2.1, 1500),
    "TGF-b1": Analyte(9000, 0.4, 0.7, 0.3, 150, 30000),
    "IFN-g": Analyte(10, 0.8, 1.1, 0.3, 3.7, 3000),
    "IL-6": Analyte(6, 0.8, 0.8, 0.1, 1.6, 2500),
    "TNF-a": Analyte(12, 0.5, 0.6, 0.2, 2.4, 2500),
}


def cytokine_table(trial: Trial, rng: np.random.Generator, enrolment: Enrolment, level: Matrix) -> pd.DataFrame:
    """Return the long table of concentrations; beyond a limit of quantification it has '<3.2' or '>2000'.

    Parameters
    ----------
    trial : Trial
    rng : numpy.random.Generator
    enrolment : Enrolment
    level : ndarray, (n_patients, n_analytes)
        Each patient's ln concentration at baseline, in population SDs.
    """
    median, spread, peak, plateau, lloq, uloq = np.array(list(ANALYTES.values())).T
    day, attended = visit_days(trial, rng)
    patient, visit = np.nonzero(attended)
    t = day[patient, visit][:, None]
    reacts = trial.transplant_effect * enrolment.treated
    strength = (reacts * np.exp(0.3 * rng.standard_normal(trial.n_patients)))[patient, None]
    reaction = peak * pulse(t, trial.rise_days, trial.fall_days) + saturation(t, plateau, trial.rise_days)
    log = np.log(median) + spread * level[patient] + strength * reaction
    centre_shift = trial.assay_shift * rng.standard_normal((trial.n_centres, len(ANALYTES)))
    log += centre_shift[enrolment.centre[patient]]
    concentration = np.exp(log + trial.assay_sd * rng.standard_normal(log.shape))
    cells = [
        f"<{low:g}" if value < low else f">{high:g}" if value > high else f"{value:.4g}"
        for row in concentration
        for value, low, high in zip(row, lloq, uloq, strict=True)
    ]
    draw = np.repeat(np.arange(len(patient)), len(ANALYTES))
    return pd.DataFrame(
        {
            "patient": enrolment.ids[patient][draw],
            "day_fmt": day[patient, visit][draw],
            "analyte": list(ANALYTES) * len(patient),
            "value": cells,
        }
    )
