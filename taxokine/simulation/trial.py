r"""The generative model of an FMT trial: the files a hospital would have, from causes that are known.

It stands behind the demo, tests and planning, and everything it writes says that it is simulated. Patient :math:`i`
has taxa :math:`j` and analytes :math:`a`; day :math:`t` is 0 at the transplant; :math:`z` are standard normals.

**Stool.** Logistic-normal compositions (Aitchison and Shen 1980, Biometrika 67:261-272) around a log-normal species
curve :math:`\mu_j` (Preston 1948, Ecology 29:254-283); rarer species live in fewer hosts (Brown 1984, The American
Naturalist 124:255-279). The taxa of a planted balance are a guild that shares an axis :math:`f`, with its side's sign:

.. math::
    p_{ij} \propto L_{ij} \exp\bigl(\mu_j + \sigma(\sqrt{1 - \rho_j}\, z_{ij} \pm \sqrt{\rho_j}\, f_i)
    + \delta_j [i \text{ is a donor}]\bigr), \qquad P(L_{ij} = 1) = \Phi(\mu_j / \sigma_\mu - 0.4)

where one species of each of `GENERA`, the commonest of all, lives in everyone.

After the transplant, stool is a mixture with the own donor's, :math:`(1 - e_i(t))\, p_i + e_i(t)\, p_{d(i)}`, reached
at a constant rate, :math:`e_i(t) = e_{\infty,i} (1 - e^{-t/\tau})`. Each visit adds log-normal noise, each centre
multiplies each taxon by a bias of its own (McLaren, Willis and Callahan 2019, eLife 8:e46923), and reads are drawn
Dirichlet-multinomially (Mosimann 1962, Biometrika 49:65-82) at a log-normal depth.

**Cytokines.** Log-normal, with a level :math:`m_a e^{s_a z_{ia}}` of the patient's own and a pulse that rises, falls
and ends above baseline; :math:`b` is the Bateman function (Bateman 1910, Proceedings of the Cambridge Philosophical
Society 15:423-427) scaled to a peak of 1, and :math:`g_i` the patient's strength of reaction:

.. math::
    \ln c_{ia}(t) = \ln m_a + s_a z_{ia} + g_i \bigl( k_a b(t) + h_a (1 - e^{-t/\tau_r}) \bigr)
    + \text{centre}_a + \text{assay}

Both :math:`e_{\infty,i}` and :math:`g_i` carry a factor, `Trial.transplant`; at 0 nothing follows the transplant.

**Outcomes.** Terms :math:`x` are in SDs of the simulated population, at baseline and without noise; a balance is the
mean log-abundance of some taxa minus that of others (Egozcue and Pawlowsky-Glahn 2005, Mathematical Geology
37:795-828).
Response is Bernoulli with log-odds :math:`\beta_0 + \beta x`, where :math:`\beta_0` gives the marginal rate asked for,
nearly (Zeger, Liang and Albert 1988, Biometrics 44:1049-1060). Adverse events are a Poisson process of rate
:math:`\lambda_0 e^{\gamma x}`, so that the time to the first is exponential (Bender, Augustin and Blettner 2005,
Statistics in Medicine 24:1713-1723); neither progression nor the end of treatment ends it, death does. Progression and
death have constant hazards :math:`h_p e^{\alpha x}` and :math:`h_d e^{\alpha x}`, so that both overall and
progression-free survival have proportional hazards with the coefficients :math:`\alpha`. One uniform
:math:`U_i`, given :math:`x`, orders a patient's best response, from CR to PD, and the time of progression,
:math:`-\ln U_i / (h_p e^{\alpha x})`: the better the response, the later the progression.

The rest of each patient's course is `taxokine.simulation.course`'s.

The causes echo published findings (Routy, Gopalakrishnan and Matson 2018, Science 359:91, 97 and 104; Derosa 2024,
Cell 187:3373; Dubin 2016, Nature Communications 7:10391) but are planted, and so are their sizes: evidence of nothing.
Spread of taxa, share of taxa found and Bray-Curtis distances are set near those of the public melanoma cohorts. What
follows the transplant is larger than published, and cytokines repeat better, so that demo and tests see what was
planted; plan with `AS_PUBLISHED`. `benchmarks.simulator_check` compares the two with the cohorts.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri

from features.errors import InputError
from features.outcomes import MONTH
from taxokine.simulation.course import assessments, cycles, judgements, measures, medications

Matrix = NDArray[np.float64]

GENERA = (
    "Bacteroides", "Faecalibacterium", "Phocaeicola", "Blautia", "Bifidobacterium", "Akkermansia", "Alistipes",
    "Roseburia", "Streptococcus", "Parabacteroides", "Ruminococcus", "Enterocloster", "Eubacterium", "Escherichia",
    "Veillonella", "Dorea", "Coprococcus", "Prevotella", "Klebsiella", "Anaerostipes", "Collinsella", "Lachnospira",
    "Gemmiger", "Hungatella", "Lactobacillus", "Dialister", "Oscillibacter", "Clostridium", "Flavonifractor",
    "Eggerthella",
)  # fmt: skip
"""Real gut genera; the first simulated species of each is common and lives in everyone."""
TERMS = ("Colitis", "Rash maculo-papular", "Hypothyroidism", "Pneumonitis", "Arthritis", "Fever")
RECORDED = 3
"""Adverse events of a patient that are recorded, at most."""
BATCHES = 3
"""Stool samples of each donor."""
FIVE_MONTHS = (2.5, 7.4, 8.3, 28.5, 52.3)


AS_PUBLISHED: Mapping[str, Any] = {"n_taxa": 1000, "engraftment": 0.15, "assay_sd": 0.6}
"""Fields of `Trial` with which recipients approach their own donor as in Davar 2021 (by 0.08 of Bray-Curtis, against
unrelated donors), and cytokines of one person vary from visit to visit as in MOMS-PI."""


class Analyte(NamedTuple):
    """A cytokine in blood, pg/mL; of the order that multiplex immunoassays find.

    `median` is its median at baseline, `spread` the SD of ln between patients, `peak` and `plateau` the ln fold changes
    of the pulse and of what remains, `lloq` and `uloq` the assay's limits.
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

_MANIFEST = """\
manifest_version: 2
name: simulated_fmt_ici
title: Simulated trial of fecal microbiota transplantation with immune checkpoint inhibitors, seed {seed}
simulated: true
source:
  licence: none needed, simulated
  citation: Simulated by Taxokine (taxokine.simulation); no patient stands behind these numbers
clock: {{name: day_fmt, index: fecal microbiota transplantation}}
taxa: {{file: stool_counts.tsv, format: table, rank: species, unit: counts, sample_axis: columns, profiler: simulated}}
samples:
  file: samples.csv
  sample: sample
  patient: subject
  day: {{column: day_fmt}}
  donor: {{column: role, pattern: "^donor$"}}
  donor_sample: given
patients:
  file: patients.csv
  patient: patient
  centre: centre
  covariates:
    age: {{column: age, unit: years}}
    sex: {{column: sex, values: {{male: male, female: female}}}}
    bmi: {{column: bmi, unit: kg/m2}}
    ecog: {{column: ecog}}
    prior_therapy: {{column: prior_therapy, values: {{yes: true, no: false}}}}
immune:
  file: cytokines.csv
  layout: long
  unit: pg/mL
  patient: patient
  day: day_fmt
  limits:
{limits}
outcomes:
  recist: {{column: recist, CR: [CR], PR: [PR], SD: [SD], PD: [PD]}}
  toxicity:
    events: adverse_events.csv
    patient: patient
    term: term
    grade: ctcae_grade
    day: day_fmt
    attribution: {{column: attributed_to, values: {{FMT: FMT, ICI: ICI, disease: disease}}}}
    serious: {{column: serious, yes: [yes], no: [no]}}
    organism: organism
  survival:
    overall_survival: {{time: os_days, event: died, yes: [1], no: [0], unit: days}}
    progression_free_survival: {{time: pfs_days, event: progressed_or_died, yes: [1], no: [0], unit: days}}
    last_follow_up: {{time: events_recorded_until, unit: days}}
    treatment_end: {{time: treatment_end, unit: days}}
course:
  transplants:
    file: transplants.csv
    patient: patient
    day: day_fmt
    donor: donor
    batch: batch
    dose: dose
    unit: unit
    route: route
    preparation: bowel_preparation
  cycles: {{file: cycles.csv, patient: patient, day: day_fmt, drug: drug}}
  assessments:
    file: assessments.csv
    patient: patient
    day: day_fmt
    response: {{column: response, values: {{CR: CR, PR: PR, SD: SD, PD: PD, iUPD: iUPD, iCPD: iCPD, NE: NE}}}}
    sum_mm: sum_of_diameters_mm
  medications:
    file: medications.csv
    patient: patient
    name: medication
    kind: {{column: medication, values: {{amoxicillin: antibiotic, prednisone: steroid, pantoprazole: ppi}}}}
    start: first_day
    end: last_day
  measures:
    file: measures.csv
    patient: patient
    day: day_fmt
    columns:
      weight: {{column: weight_kg, unit: kg}}
      albumin: {{column: albumin_g_per_l, unit: g/L}}
      CRP: {{column: crp_mg_per_l, unit: mg/L}}
      ECOG: {{column: ecog, unit: ""}}
      quality of life: {{column: qol, unit: "of 100"}}
notes:
  - simulated, from planted causes that stand in causes.json
"""


@dataclass(frozen=True)
class Balance:
    """Mean log-abundance of the taxa `above` minus that of the taxa `below`."""

    above: tuple[str, ...]
    below: tuple[str, ...]


@dataclass(frozen=True)
class Causes:
    """What was planted.

    Attributes
    ----------
    response, toxicity, survival : mapping of str to float
        Change of the log-odds of response, of the log-rate of adverse events, and of the log-hazards of progression and
        of death, for one population SD of a balance, of a cytokine's logarithm at baseline, or of age.
    balances : mapping of str to Balance
        The taxa of each balance.
    """

    response: Mapping[str, float]
    toxicity: Mapping[str, float]
    survival: Mapping[str, float]
    balances: Mapping[str, Balance]


@dataclass(frozen=True)
class Trial:
    """The parameters of a simulated trial; SDs of taxa and cytokines are of natural logarithms.

    Attributes
    ----------
    n_patients, n_taxa, n_donors, n_centres : int
        How many there are; patients are shared evenly among donors.
    seed : int
        Two trials of one seed are equal to the byte.
    effect : float
        Factor on every planted coefficient; at 0 nothing tells who responds, is harmed or lives.
    transplant : float
        Factor on what follows the transplant, engraftment and the cytokines' pulse and plateau, in [0, 1]; at 0 later
        visits differ from the first by chance alone.
    response_rate : float
        Expected share of objective responses, in (0, 1).
    toxicity_rate : float
        Chance of an adverse event within `follow_up` of a patient whose risk is average and who lives so long, in
        (0, 1).
    follow_up : int
        Days over which adverse events are recorded.
    median_pfs, median_os : float
        Median days of progression-free and of overall survival of a patient whose risk is average; the first is less.
    followed : tuple of int
        The least and the most days for which a patient is followed, unless dead; uniform between, as after a steady
        accrual.
    survival : tuple of (float, bool)
        Months of overall survival, each with whether it ended in death, one for each patient; the better the response,
        the longer. Drawn where left out.
    grades : tuple of float
        Shares of adverse events of CTCAE grades 1 to 4, which add up to 1.
    planned_treatment : int
        Days of treatment, unless progression, a severe adverse event (grade 3 or 4) or death ends it.
    visits : tuple of int
        Planned days; the first, before the transplant, is the baseline.
    jitter : int
        Days by which a visit may be early or late.
    missed : float
        Share of blood draws, and of stool samples after baseline, that were not taken, in [0, 1).
    depth, depth_sd : float
        Median reads of a stool sample, and their SD.
    concentration : float
        Precision of the Dirichlet-multinomial; large is multinomial.
    species_sd, host_sd, visit_sd : float
        SD of taxa's mean abundances, of hosts around them, and of a host's visits around the host.
    guild : float
        Share of the variance between hosts that the taxa of a balance have in common, in [0, 1); taxa on its other side
        have it with the opposite sign.
    donor_shift, centre_shift, assay_shift : float
        SD of the differences of donors from patients and of centres' bias for each taxon; of centres' for each analyte.
    assay_sd : float
        SD of repeated measurements of one analyte.
    engraftment, engraftment_days : float
        Mean share of the donor's stool in the long run, in (0, 1), and the time constant.
    rise_days, fall_days : float
        Time constants of the cytokines' pulse.

    Raises
    ------
    InputError
        A parameter is out of its range.
    """

    n_patients: int = 120
    n_taxa: int = 300
    n_donors: int = 6
    n_centres: int = 3
    seed: int = 0
    effect: float = 1.0
    transplant: float = 1.0
    response_rate: float = 0.4
    toxicity_rate: float = 0.45
    follow_up: int = 180
    median_pfs: float = 240.0
    median_os: float = 720.0
    followed: tuple[int, int] = (360, 1080)
    survival: tuple[tuple[float, bool], ...] = ()
    grades: tuple[float, float, float, float] = (0.45, 0.3, 0.2, 0.05)
    planned_treatment: int = 365
    visits: tuple[int, ...] = (-7, 14, 28, 56, 90)
    jitter: int = 3
    missed: float = 0.1
    depth: float = 20_000.0
    depth_sd: float = 0.4
    concentration: float = 2_000.0
    species_sd: float = 1.8
    host_sd: float = 1.7
    visit_sd: float = 0.6
    guild: float = 0.6
    donor_shift: float = 0.7
    centre_shift: float = 0.3
    assay_shift: float = 0.1
    assay_sd: float = 0.15
    engraftment: float = 0.5
    engraftment_days: float = 10.0
    rise_days: float = 4.0
    fall_days: float = 30.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = {"n_patients": 1, "n_donors": 1, "n_centres": 1, "n_taxa": len(GENERA), "seed": 0, "jitter": 0}
        least |= {"follow_up": 1, "depth": 100}
        for name, minimum in least.items():
            if not getattr(self, name) >= minimum:
                raise InputError(f"{name} is {getattr(self, name)!r}; a simulated trial needs at least {minimum}")
        for name in ("response_rate", "toxicity_rate", "engraftment"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share between 0 and 1")
        for name in ("missed", "guild"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share from 0 to below 1")
        if not 0 <= self.transplant <= 1:
            raise InputError(f"transplant is {self.transplant!r}; expected a factor from 0 to 1")
        if len(self.grades) != 4 or min(self.grades) < 0 or not math.isclose(sum(self.grades), 1):
            raise InputError(f"grades are {self.grades!r}; expected four shares that add up to 1")
        if self.survival and (len(self.survival) != self.n_patients or min(self.survival)[0] <= 0):
            raise InputError(f"survival is {self.survival!r}; expected (months, died) for each of {self.n_patients}")
        baseline = sum(day + self.jitter < 0 for day in self.visits) == 1
        later = all(day - self.jitter > 0 for day in self.visits[1:])
        apart = all(after - day > 2 * self.jitter for day, after in pairwise(self.visits))
        if not (baseline and later and apart):
            raise InputError(
                f"visits are {self.visits}, give or take {self.jitter} days; expected one before day 0, then others "
                "after it, and none to meet another"
            )
        if not 0 < self.median_pfs < self.median_os or not 0 < self.followed[0] <= self.followed[1]:
            raise InputError(
                f"median_pfs is {self.median_pfs!r}, median_os {self.median_os!r} and followed {self.followed!r}; "
                "expected 0 < median_pfs < median_os, and days from the least to the most"
            )
        if not 0 < self.rise_days < self.fall_days or not self.engraftment_days > 0 or not self.concentration > 0:
            raise InputError("expected 0 < rise_days < fall_days, engraftment_days > 0 and concentration > 0")

    @property
    def taxa(self) -> tuple[str, ...]:
        """The simulated species, from the most to the least abundant on average; numbers name no real species."""
        return tuple(f"{GENERA[j % len(GENERA)]}_sp{j // len(GENERA) + 1:04d}" for j in range(self.n_taxa))

    @property
    def causes(self) -> Causes:
        """What is planted, whatever the seed."""
        response = {"response_balance": 2.4, "IL-6": -1.3, "IL-10": 0.9, "age": -0.3}
        toxicity = {"toxicity_balance": -1.2, "IL-6": 0.8}
        survival = {"response_balance": -0.8, "IL-6": 0.4, "age": 0.2}
        balances = {
            "response_balance": Balance(
                ("Akkermansia_sp0001", "Bifidobacterium_sp0001", "Faecalibacterium_sp0001"),
                ("Enterocloster_sp0001", "Streptococcus_sp0001", "Veillonella_sp0001"),
            ),
            "toxicity_balance": Balance(
                ("Bacteroides_sp0001", "Phocaeicola_sp0001"), ("Escherichia_sp0001", "Klebsiella_sp0001")
            ),
        }
        planted = {"response": response, "toxicity": toxicity, "survival": survival}
        planted = {of: {name: slope * self.effect for name, slope in by.items()} for of, by in planted.items()}
        return Causes(**planted, balances=balances)


def simulate_trial(folder: Path, **parameters: Any) -> Path:
    """Simulate a trial and write its files, whole or not at all.

    Parameters
    ----------
    folder : Path
        Where they go; it must not exist, or be empty.
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
    trial, folder = Trial(**parameters), Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: a simulated trial is written to a new or empty folder only; name another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as partial:
            written = Path(partial) / "trial"
            written.mkdir()
            for name, text in _files(trial).items():
                (written / name).write_text(text, encoding="utf-8", newline="\n")
            if folder.exists():
                folder.rmdir()
            written.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder / "manifest.yaml"


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


def saturation(day: ArrayLike, limit: ArrayLike, time_constant: float) -> Matrix:
    """Return what approaches a limit at a constant rate, ``limit * (1 - exp(-day / time_constant))``, 0 before."""
    return np.asarray(limit) * -np.expm1(-np.maximum(day, 0) / time_constant)


def pulse(day: ArrayLike, rise: float, fall: float) -> Matrix:
    """Return Bateman's rise and fall, a difference of exponentials scaled to a peak of 1; 0 before day 0.

    Parameters
    ----------
    day : array_like
        Days after the transplant, any shape.
    rise, fall : float
        Time constants in days, ``0 < rise < fall``; the peak is on day ``ln(fall / rise) / (1 / rise - 1 / fall)``.
    """
    t = np.maximum(day, 0)
    peak = math.log(fall / rise) / (1 / rise - 1 / fall)
    scale = math.exp(-peak / fall) - math.exp(-peak / rise)
    return np.asarray((np.exp(-t / fall) - np.exp(-t / rise)) / scale)


def _files(trial: Trial) -> dict[str, str]:
    rng, n = np.random.default_rng(trial.seed), trial.n_patients
    ids = np.array([f"SIM-{i:0{max(3, len(str(n)))}d}" for i in range(1, n + 1)])
    donors = np.array([f"SIM-D{i:02d}" for i in range(1, trial.n_donors + 1)])
    age_z, sex, ecog = rng.standard_normal(n), rng.random(n) < 0.58, rng.choice(3, n, p=[0.55, 0.38, 0.07])
    patients = pd.DataFrame(
        {
            "patient": ids,
            "centre": rng.integers(trial.n_centres, size=n) + 1,
            "age": np.rint(62 + 11 * age_z).clip(20, 95).astype(int),
            "sex": np.where(sex, "male", "female"),
            "bmi": np.round(27 * np.exp(0.16 * rng.standard_normal(n)), 1),
            "ecog": ecog,
            "prior_therapy": np.where(rng.random(n) < 0.6, "yes", "no"),
        }
    )
    centre = patients["centre"].to_numpy() - 1
    donor = rng.permutation(np.arange(n) % trial.n_donors)
    batch = rng.integers(BATCHES, size=n)
    limit = trial.transplant * rng.beta(8 * trial.engraftment, 8 * (1 - trial.engraftment), size=n)

    abundance = _log_abundances(trial, rng)
    given = np.array([f"{donors[d]}-B{b + 1}" for d, b in zip(donor, batch, strict=True)])
    samples, rows, shares = _visits(trial, rng, ids, donors, given, limit)
    composition = _closed(np.exp(abundance))
    own_donor = np.append(n + donor, n + np.arange(trial.n_donors))
    mixed = (1 - shares) * composition[rows] + shares * composition[own_donor[rows]]
    at = np.append(centre, np.arange(trial.n_donors) % trial.n_centres)[rows]
    counts = _counts(trial, rng, mixed, at)

    level = rng.standard_normal((n, len(ANALYTES)))
    cytokines = _cytokines(trial, rng, ids, level, centre)

    terms = {name: level[:, i] for i, name in enumerate(ANALYTES)} | {"age": age_z}
    terms |= {name: _balance(trial, abundance[:n], balance) for name, balance in trial.causes.balances.items()}
    log_odds = _log_odds(trial, terms)
    log_rate, log_hazard = _sum(trial.causes.toxicity, terms, n), _sum(trial.causes.survival, terms, n)
    responds = rng.random(n) < expit(log_odds)
    depth_of_response = rng.random(n)
    patients["recist"] = np.where(
        responds, np.where(depth_of_response < 0.25, "CR", "PR"), np.where(depth_of_response < 0.45, "SD", "PD")
    )
    events = _events(trial, rng, ids, log_rate)
    chance = expit(log_odds)
    rank = np.where(responds, chance * depth_of_response, chance + (1 - chance) * depth_of_response)
    severe = events[events["ctcae_grade"] >= 3].groupby("patient")["day_fmt"].min().reindex(ids).to_numpy(float)
    dates = _dates(trial, rng, log_hazard, rank, severe)
    patients, lived = pd.concat([patients, dates], axis=1), dates["os_days"].set_axis(ids)
    samples, cytokines = _until(samples, "subject", lived), _until(cytokines, "patient", lived)
    events = _until(events, "patient", lived)
    # A stream of its own: what was simulated before there was a course stays what it was.
    later = rng.spawn(1)[0]
    events = events.assign(**judgements(later, events))
    first_dose = pd.DataFrame({"patient": ids, "day_fmt": 0, "donor": donors[donor], "batch": given})
    transplants = first_dose.assign(
        dose=250, unit="mL", route="colonoscopy", bowel_preparation="polyethylene glycol, 4 L"
    )
    truth = pd.DataFrame(
        {
            "patient": ids,
            "response_log_odds": log_odds,
            "toxicity_log_rate_ratio": log_rate,
            "survival_log_hazard_ratio": log_hazard,
            "engraftment": limit,
        }
    ).round(6)

    taxa = pd.Index(trial.taxa, name="species")
    profiles = pd.DataFrame(counts[samples.index].T, columns=list(samples["sample"]), index=taxa)
    limits = [f"    {name}: {{lloq: {of.lloq:g}, uloq: {of.uloq:g}}}" for name, of in ANALYTES.items()]
    tables = {
        "samples": samples,
        "patients": patients,
        "cytokines": cytokines,
        "adverse_events": events,
        "transplants": transplants,
        "cycles": cycles(later, patients, trial.planned_treatment),
        "assessments": assessments(later, patients, trial.jitter),
        "medications": medications(later, patients, severe),
        "measures": measures(later, patients, *_days(trial, later)),
    }
    return {
        "manifest.yaml": _MANIFEST.format(seed=trial.seed, limits="\n".join(limits)),
        "causes.json": json.dumps({"simulated": True, **asdict(trial.causes), "trial": asdict(trial)}, indent=2) + "\n",
        "stool_counts.tsv": profiles.to_csv(sep="\t", lineterminator="\n"),
        "truth.csv": truth.to_csv(index=False, lineterminator="\n"),
        **{f"{name}.csv": table.to_csv(index=False, lineterminator="\n") for name, table in tables.items()},
    }


def _species_curve(trial: Trial) -> Matrix:
    """Return the mean ln abundances in SDs, from the commonest taxon to the rarest, (n_taxa,)."""
    return np.asarray(-ndtri((np.arange(trial.n_taxa) + 0.5) / trial.n_taxa))


def _log_abundances(trial: Trial, rng: np.random.Generator) -> Matrix:
    """Return ln abundances of patients, then donors, (n_patients + n_donors, n_taxa); -inf where a taxon is absent."""
    curve = _species_curve(trial)
    shape = trial.n_patients + trial.n_donors, trial.n_taxa
    deviation = rng.standard_normal(shape)
    for balance in trial.causes.balances.values():
        shared = math.sqrt(trial.guild) * rng.standard_normal((shape[0], 1))
        for side, sign in ((_positions(trial, balance.above), 1), (_positions(trial, balance.below), -1)):
            deviation[:, side] = math.sqrt(1 - trial.guild) * deviation[:, side] + sign * shared
    log = trial.species_sd * curve + trial.host_sd * deviation
    log[trial.n_patients :] += trial.donor_shift * rng.standard_normal(trial.n_taxa)
    lives = rng.random(shape) < ndtr(curve - 0.4)
    lives[:, : len(GENERA)] = True
    return np.where(lives, log, -np.inf)


def _visits(
    trial: Trial, rng: np.random.Generator, ids: NDArray[Any], donors: NDArray[Any], given: NDArray[Any], limit: Matrix
) -> tuple[pd.DataFrame, NDArray[np.intp], Matrix]:
    """Return the sheet of stool samples, each one's subject (patients, then donors), and the donor's share in it."""
    day, taken = _days(trial, rng)
    taken[:, 0] = True
    who, visit = np.nonzero(taken)
    stool = pd.DataFrame(
        {
            "sample": [f"{ids[i]}-V{v + 1}" for i, v in zip(who, visit, strict=True)],
            "subject": ids[who],
            "role": "recipient",
            "day_fmt": day[who, visit].astype(str),
            "given": given[who],
        }
    )
    batches = [(d, f"{name}-B{b + 1}") for d, name in enumerate(donors) for b in range(BATCHES)]
    of = np.array([d for d, _ in batches])
    donated = pd.DataFrame({"sample": [name for _, name in batches], "subject": donors[of], "role": "donor"})
    shares = np.append(saturation(day[who, visit], limit[who], trial.engraftment_days), np.zeros(len(of)))
    sheet = pd.concat([stool, donated], ignore_index=True).fillna("")
    return sheet, np.append(who, len(ids) + of), shares[:, None]


def _days(trial: Trial, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the day of each visit, and whether it was kept, (n_patients, n_visits)."""
    shape = trial.n_patients, len(trial.visits)
    day = np.array(trial.visits) + rng.integers(-trial.jitter, trial.jitter, size=shape, endpoint=True)
    return day, rng.random(shape) >= trial.missed


def _counts(trial: Trial, rng: np.random.Generator, composition: Matrix, centre: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return reads, (n_samples, n_taxa)."""
    bias = trial.centre_shift * rng.standard_normal((trial.n_centres, trial.n_taxa))
    noise = trial.visit_sd * rng.standard_normal(composition.shape)
    seen = _closed(composition * np.exp(bias[centre] + noise))
    depth = np.rint(trial.depth * np.exp(trial.depth_sd * rng.standard_normal(len(seen)))).astype(np.int64)
    return rng.multinomial(depth, _closed(rng.standard_gamma(trial.concentration * seen)))


def _cytokines(
    trial: Trial, rng: np.random.Generator, ids: NDArray[Any], level: Matrix, centre: NDArray[np.intp]
) -> pd.DataFrame:
    """Return the long table of concentrations; what lies beyond a limit is written as '<3.2' or '>2000'."""
    median, spread, peak, plateau, lloq, uloq = np.array(list(ANALYTES.values())).T
    day, taken = _days(trial, rng)
    who, visit = np.nonzero(taken)
    t = day[who, visit][:, None]
    strength = trial.transplant * np.exp(0.3 * rng.standard_normal(trial.n_patients))[who, None]
    reaction = peak * pulse(t, trial.rise_days, trial.fall_days) + saturation(t, plateau, trial.rise_days)
    log = np.log(median) + spread * level[who] + strength * reaction
    log += trial.assay_shift * rng.standard_normal((trial.n_centres, len(ANALYTES)))[centre[who]]
    value = np.exp(log + trial.assay_sd * rng.standard_normal(log.shape))
    written = [
        f"<{low:g}" if x < low else f">{high:g}" if x > high else f"{x:.4g}"
        for row in value
        for x, low, high in zip(row, lloq, uloq, strict=True)
    ]
    long = np.repeat(np.arange(len(who)), len(ANALYTES))
    return pd.DataFrame(
        {
            "patient": ids[who][long],
            "day_fmt": day[who, visit][long],
            "analyte": list(ANALYTES) * len(who),
            "value": written,
        }
    )


def _balance(trial: Trial, log_abundance: Matrix, balance: Balance) -> Matrix:
    """Return a balance in SDs of the population, (n_patients,)."""
    above, below = _positions(trial, balance.above), _positions(trial, balance.below)
    deviation = (log_abundance - trial.species_sd * _species_curve(trial)) / trial.host_sd
    sd = math.sqrt((1 - trial.guild) * (1 / len(above) + 1 / len(below)) + 4 * trial.guild)
    return np.asarray((deviation[:, above].mean(axis=1) - deviation[:, below].mean(axis=1)) / sd)


def _positions(trial: Trial, taxa: Sequence[str]) -> list[int]:
    return [trial.taxa.index(taxon) for taxon in taxa]


def _log_odds(trial: Trial, terms: Mapping[str, Matrix]) -> Matrix:
    planted = trial.causes.response
    # The variance of the terms pulls the marginal rate towards a half; the intercept makes up for it.
    attenuation = 16 * math.sqrt(3) / (15 * math.pi)
    stretch = math.sqrt(1 + attenuation**2 * sum(slope**2 for slope in planted.values()))
    return float(logit(trial.response_rate)) * stretch + _sum(planted, terms, trial.n_patients)


def _sum(planted: Mapping[str, float], terms: Mapping[str, Matrix], n: int) -> Matrix:
    return sum((slope * terms[name] for name, slope in planted.items()), start=np.zeros(n))


def _events(trial: Trial, rng: np.random.Generator, ids: NDArray[Any], log_rate: Matrix) -> pd.DataFrame:
    """Return each patient's first events; days of a Poisson process are uniform, given their number."""
    expected = -math.log1p(-trial.toxicity_rate) * np.exp(log_rate)
    who = np.repeat(np.arange(len(ids)), rng.poisson(expected))
    events = pd.DataFrame(
        {
            "patient": ids[who],
            "term": rng.choice(TERMS, len(who)),
            "ctcae_grade": rng.choice([1, 2, 3, 4], len(who), p=trial.grades),
            "day_fmt": rng.integers(1, trial.follow_up, size=len(who), endpoint=True),
        }
    )
    return events.sort_values(["patient", "day_fmt"], kind="stable").groupby("patient").head(RECORDED)


def _dates(trial: Trial, rng: np.random.Generator, log_hazard: Matrix, rank: Matrix, severe: Matrix) -> pd.DataFrame:
    """Return when each patient progressed, died and ended treatment, as a trial's sheet has it.

    `rank` is the best response's uniform, `severe` the day of the first severe adverse event or NaN, (n_patients,).
    """
    ratio = np.exp(log_hazard)
    death = math.log(2) / trial.median_os
    progression = math.log(2) / trial.median_pfs - death
    followed = rng.integers(*trial.followed, size=trial.n_patients, endpoint=True)
    death_day = np.ceil(rng.exponential(1 / (death * ratio)))
    if trial.survival:
        months, ended = np.array(sorted(trial.survival)).T
        order = np.argsort(np.argsort(-rank))
        followed = np.rint(months * MONTH).astype(int)[order]
        death_day = np.where(ended[order] == 1, followed, np.inf)
    progression_day = np.ceil(-np.log(rank) / (progression * ratio))
    os_days = np.minimum(death_day, followed)
    pfs_days = np.minimum(progression_day, os_days)
    died, progressed = death_day <= followed, progression_day <= os_days
    off = np.fmin(np.minimum(progression_day, trial.planned_treatment), severe)
    treatment_end = np.minimum(off, os_days).astype(int).astype(str)
    return pd.DataFrame(
        {
            "os_days": os_days.astype(int),
            "died": died.astype(int),
            "pfs_days": pfs_days.astype(int),
            "progressed_or_died": (died | progressed).astype(int),
            "events_recorded_until": np.minimum(trial.follow_up, os_days).astype(int),
            "treatment_end": np.where((off <= os_days) | died, treatment_end, ""),
        }
    )


def _until(table: pd.DataFrame, patient: str, last: pd.Series[int]) -> pd.DataFrame:
    """Return the rows up to each patient's last day; what has no day, as a donor's stool, stays."""
    return table[~(pd.to_numeric(table["day_fmt"]) > last.reindex(table[patient]).to_numpy())]


def _closed(values: Matrix) -> Matrix:
    return np.asarray(values / values.sum(axis=1, keepdims=True))
