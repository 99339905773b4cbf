r"""Simulated stool: compositions of patients and donors, engraftment, and sequencing reads.

Hosts have logistic-normal compositions (Aitchison and Shen 1980, Biometrika 67:261-272) around a log-normal species
curve :math:`\mu_j` (Preston 1948, Ecology 29:254-283); rarer species live in fewer hosts (Brown 1984, The American
Naturalist 124:255-279). The taxa of a planted balance are a guild: they share an axis :math:`f`, with the sign of their
side of the balance. For host :math:`i`, taxon :math:`j` and standard normals :math:`z`,

.. math::
    p_{ij} \propto L_{ij} \exp\bigl(\mu_j + \sigma(\sqrt{1 - \rho_j}\, z_{ij} \pm \sqrt{\rho_j}\, f_i)
    + \delta_j [i \text{ is a donor}]\bigr), \qquad P(L_{ij} = 1) = \Phi(\mu_j / \sigma_\mu - 0.4)

where the commonest species of each of `GENERA` lives in every host.

After the transplant on day 0, the stool of patient :math:`i` is a mixture with that of the patient's own donor
:math:`d(i)`, :math:`(1 - e_i(t))\, p_i + e_i(t)\, p_{d(i)}` with :math:`e_i(t) = e_{\infty,i} (1 - e^{-t/\tau})`. Each
visit adds log-normal noise, each centre multiplies each taxon by its own bias (McLaren, Willis and Callahan 2019, eLife
8:e46923), and reads are Dirichlet-multinomial (Mosimann 1962, Biometrika 49:65-82) at a log-normal depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from features.arrays import Matrix, Positions
from taxokine.simulation.causes import Balance
from taxokine.simulation.design import GENERA, Trial
from taxokine.simulation.kinetics import saturation
from taxokine.simulation.patients import BATCHES, Enrolment, visit_days


@dataclass(frozen=True)
class StoolSamples:
    """The stool samples of patients and donors, in the order of the sheet.

    Attributes
    ----------
    sheet : pandas.DataFrame, (n_samples, ...)
        `sample`, `subject`, `role`, `day_fmt` and `given`, as the hospital has them.
    host : ndarray of intp, (n_samples,)
        Position of each sample's subject; patients come first, then donors.
    donor_share : ndarray, (n_samples, 1)
        The donor's share of the stool.
    """

    sheet: pd.DataFrame
    host: Positions
    donor_share: Matrix


def stool_samples(trial: Trial, rng: np.random.Generator, enrolment: Enrolment) -> StoolSamples:
    """Return the samples of each patient's visits, and `BATCHES` samples of each donor."""
    day, attended = visit_days(trial, rng)
    attended[:, 0] = True
    patient, visit = np.nonzero(attended)
    ids = enrolment.ids
    recipients = pd.DataFrame(
        {
            "sample": [f"{ids[i]}-V{v + 1}" for i, v in zip(patient, visit, strict=True)],
            "subject": ids[patient],
            "role": "recipient",
            "day_fmt": day[patient, visit].astype(str),
            "given": enrolment.donor_sample[patient],
        }
    )
    batches = [(i, f"{name}-B{b + 1}") for i, name in enumerate(enrolment.donor_ids) for b in range(BATCHES)]
    donor = np.array([i for i, _ in batches])
    donations = pd.DataFrame(
        {"sample": [name for _, name in batches], "subject": enrolment.donor_ids[donor], "role": "donor"}
    )
    share = saturation(day[patient, visit], enrolment.engraftment[patient], trial.engraftment_days)
    sheet = pd.concat([recipients, donations], ignore_index=True).fillna("")
    return StoolSamples(sheet, np.append(patient, len(ids) + donor), np.append(share, np.zeros(len(donor)))[:, None])


def log_abundances(trial: Trial, rng: np.random.Generator) -> Matrix:
    """Return ln abundances of patients, then donors, (n_patients + n_donors, n_taxa); -inf where a taxon is absent."""
    curve = _species_curve(trial)
    shape = trial.n_patients + trial.n_donors, trial.n_taxa
    deviation = rng.standard_normal(shape)
    for guild in trial.causes.balances.values():
        guild_axis = math.sqrt(trial.guild_share) * rng.standard_normal((shape[0], 1))
        for side, sign in ((_positions(trial, guild.numerator), 1), (_positions(trial, guild.denominator), -1)):
            deviation[:, side] = math.sqrt(1 - trial.guild_share) * deviation[:, side] + sign * guild_axis
    log = trial.species_sd * curve + trial.host_sd * deviation
    log[trial.n_patients :] += trial.donor_shift * rng.standard_normal(trial.n_taxa)
    balance = trial.causes.balances["response_balance"]
    log[trial.n_patients, _positions(trial, balance.numerator)] += trial.best_donor_sds * trial.host_sd
    log[trial.n_patients, _positions(trial, balance.denominator)] -= trial.best_donor_sds * trial.host_sd
    present = rng.random(shape) < ndtr(curve - 0.4)
    present[:, : len(GENERA)] = True
    return np.where(present, log, -np.inf)


def read_counts(
    trial: Trial, rng: np.random.Generator, abundances: Matrix, samples: StoolSamples, enrolment: Enrolment
) -> NDArray[np.int64]:
    """Return the sequencing reads, (n_samples, n_taxa); `abundances` as `log_abundances` returns them."""
    donors = np.arange(trial.n_donors)
    own_donor = trial.n_patients + np.append(enrolment.donor, donors)
    centre = np.append(enrolment.centre, donors % trial.n_centres)[samples.host]
    composition = _close(np.exp(abundances))
    share = samples.donor_share
    mixture = (1 - share) * composition[samples.host] + share * composition[own_donor[samples.host]]
    bias = trial.centre_shift * rng.standard_normal((trial.n_centres, trial.n_taxa))
    noise = trial.visit_sd * rng.standard_normal(mixture.shape)
    profile = _close(mixture * np.exp(bias[centre] + noise))
    depth = np.rint(trial.depth * np.exp(trial.depth_sd * rng.standard_normal(len(profile)))).astype(np.int64)
    return rng.multinomial(depth, _close(rng.standard_gamma(trial.concentration * profile)))


def standardised_balance(trial: Trial, abundances: Matrix, balance: Balance) -> Matrix:
    """Return a balance in SDs of the simulated population, (n_hosts,)."""
    numerator, denominator = _positions(trial, balance.numerator), _positions(trial, balance.denominator)
    deviation = (abundances - trial.species_sd * _species_curve(trial)) / trial.host_sd
    sd = math.sqrt((1 - trial.guild_share) * (1 / len(numerator) + 1 / len(denominator)) + 4 * trial.guild_share)
    return np.asarray((deviation[:, numerator].mean(axis=1) - deviation[:, denominator].mean(axis=1)) / sd)


def _species_curve(trial: Trial) -> Matrix:
    """Return the mean ln abundances in SDs, from the commonest taxon to the rarest, (n_taxa,)."""
    return np.asarray(-ndtri((np.arange(trial.n_taxa) + 0.5) / trial.n_taxa))


def _positions(trial: Trial, taxa: Sequence[str]) -> list[int]:
    return [trial.taxa.index(taxon) for taxon in taxa]


def _close(values: Matrix) -> Matrix:
    return np.asarray(values / values.sum(axis=1, keepdims=True))
