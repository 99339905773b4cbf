"""The parameters of a simulated trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from features.errors import InputError
from taxokine.simulation.causes import Causes, planted_causes

GENERA = (
    "Bacteroides", "Faecalibacterium", "Phocaeicola", "Blautia", "Bifidobacterium", "Akkermansia", "Alistipes",
    "Roseburia", "Streptococcus", "Parabacteroides", "Ruminococcus", "Enterocloster", "Eubacterium", "Escherichia",
    "Veillonella", "Dorea", "Coprococcus", "Prevotella", "Klebsiella", "Anaerostipes", "Collinsella", "Lachnospira",
    "Gemmiger", "Hungatella", "Lactobacillus", "Dialister", "Oscillibacter", "Clostridium", "Flavonifractor",
    "Eggerthella",
)  # fmt: skip
"""Real gut genera; the first simulated species of each is common and lives in everyone."""
_MINIMUM = {
    "n_patients": 1,
    "n_donors": 1,
    "n_centres": 1,
    "n_taxa": len(GENERA),
    "seed": 0,
    "visit_jitter": 0,
    "toxicity_follow_up": 1,
    "depth": 100,
}


@dataclass(frozen=True)
class Trial:
    """The parameters of a simulated trial; SDs of taxa and cytokines are of natural logarithms.

    Attributes
    ----------
    name : str
        Of the cohort.
    n_patients, n_taxa, n_donors, n_centres : int
        The numbers of each; every donor gives to the same number of patients, nearly.
    seed : int
        Two trials of one seed are equal to the byte.
    effect : float
        Factor on every planted coefficient; at 0 no measurement predicts any outcome.
    transplant_effect : float
        Factor on the effects of the transplant (engraftment, and the pulse and plateau of the cytokines), in [0, 1]; at
        0 later visits differ from the first by chance alone.
    response_rate : float
        Expected share of objective responses, in (0, 1).
    control_share : float
        Share of patients in a control arm, who receive a sham transplant, in [0, 1); at 0 there is one arm.
    control_response_rate : float
        As `response_rate`, of the control arm.
    hazard_ratio : float
        Factor of FMT on the hazards of progression and of death, beside the control arm.
    toxicity_rate : float
        Probability of an adverse event within `toxicity_follow_up` for a patient of average risk who lives that
        long, in (0, 1).
    toxicity_follow_up : int
        Days over which adverse events are recorded.
    median_pfs, median_os : float
        Median days of progression-free and of overall survival of a patient of average risk who received FMT; the first
        is shorter.
    survival_follow_up : tuple of int
        The shortest and the longest follow-up in days, of patients who are alive; uniform between, as after a steady
        accrual.
    survival : tuple of (float, bool)
        Months of overall survival, each with whether it ended in death, one for each patient; the better the response,
        the longer. Simulated when empty.
    grades : tuple of float
        Shares of adverse events of CTCAE grades 1 to 4, which add up to 1.
    planned_treatment : int
        Days of treatment, unless progression, a severe adverse event (grade 3 or 4) or death ends it.
    visits : tuple of int
        Planned days; the first, before the transplant, is the baseline.
    visit_jitter : int
        Days by which a visit may be early or late.
    missing_share : float
        Share of blood draws, and of stool samples after baseline, that are missing, in [0, 1).
    depth, depth_sd : float
        Median reads of a stool sample, and their SD.
    concentration : float
        Precision of the Dirichlet-multinomial; large is multinomial.
    species_sd, host_sd, visit_sd : float
        SD of the mean abundances of taxa, of hosts around those means, and of a host's visits around the host's mean.
    guild_share : float
        Share of the variance between hosts that the taxa of a balance have in common, in [0, 1); it has the opposite
        sign for the taxa of the `denominator`.
    donor_shift, centre_shift, assay_shift : float
        SD of the difference between donors and patients, and between centres, for each taxon; between centres for each
        analyte.
    assay_sd : float
        SD of repeated measurements of one analyte.
    best_donor_sds : float
        SDs of hosts by which the first donor has more of the `numerator` taxa of the balance of response, and less of
        the `denominator` taxa; at 0 no donor is better than another but by chance.
    engraftment, engraftment_days : float
        Mean share of the donor's stool in the long run, in (0, 1), and the time constant.
    rise_days, fall_days : float
        Time constants of the cytokines' pulse.

    Raises
    ------
    InputError
        A parameter is out of its range.
    """

    name: str = "simulated_fmt_ici"
    n_patients: int = 120
    n_taxa: int = 300
    n_donors: int = 6
    n_centres: int = 3
    seed: int = 0
    effect: float = 1.0
    transplant_effect: float = 1.0
    response_rate: float = 0.4
    control_share: float = 0.0
    control_response_rate: float = 0.32
    hazard_ratio: float = 0.5
    toxicity_rate: float = 0.45
    toxicity_follow_up: int = 180
    median_pfs: float = 240.0
    median_os: float = 720.0
    survival_follow_up: tuple[int, int] = (360, 1080)
    survival: tuple[tuple[float, bool], ...] = ()
    grades: tuple[float, float, float, float] = (0.45, 0.3, 0.2, 0.05)
    planned_treatment: int = 365
    visits: tuple[int, ...] = (-7, 14, 28, 56, 90)
    visit_jitter: int = 3
    missing_share: float = 0.1
    depth: float = 20_000.0
    depth_sd: float = 0.4
    concentration: float = 2_000.0
    species_sd: float = 1.8
    host_sd: float = 1.7
    visit_sd: float = 0.6
    guild_share: float = 0.6
    donor_shift: float = 0.7
    centre_shift: float = 0.3
    assay_shift: float = 0.1
    assay_sd: float = 0.15
    best_donor_sds: float = 0.0
    engraftment: float = 0.5
    engraftment_days: float = 10.0
    rise_days: float = 4.0
    fall_days: float = 30.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, minimum in _MINIMUM.items():
            if not getattr(self, name) >= minimum:
                raise InputError(f"{name} is {getattr(self, name)!r}; a simulated trial needs at least {minimum}")
        self._check_shares()
        self._check_visits()
        self._check_times()
        if self.survival and (len(self.survival) != self.n_patients or min(self.survival)[0] <= 0):
            raise InputError(f"survival is {self.survival!r}; expected (months, died) for each of {self.n_patients}")

    def _check_shares(self) -> None:
        for name in ("response_rate", "control_response_rate", "toxicity_rate", "engraftment"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share between 0 and 1")
        for name in ("control_share", "missing_share", "guild_share"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a share from 0 to below 1")
        if not 0 <= self.transplant_effect <= 1:
            raise InputError(f"transplant_effect is {self.transplant_effect!r}; expected a factor from 0 to 1")
        if len(self.grades) != 4 or min(self.grades) < 0 or not math.isclose(sum(self.grades), 1):
            raise InputError(f"grades are {self.grades!r}; expected four shares that add up to 1")

    def _check_visits(self) -> None:
        one_baseline = sum(day + self.visit_jitter < 0 for day in self.visits) == 1
        later_after_day_0 = all(day - self.visit_jitter > 0 for day in self.visits[1:])
        apart = all(following - day > 2 * self.visit_jitter for day, following in pairwise(self.visits))
        if not (one_baseline and later_after_day_0 and apart):
            raise InputError(
                f"visits are {self.visits}, give or take {self.visit_jitter} days; expected one before day 0, then "
                "others after it, and none to meet another"
            )

    def _check_times(self) -> None:
        if not 0 < self.median_pfs < self.median_os or not 0 < self.survival_follow_up[0] <= self.survival_follow_up[1]:
            raise InputError(
                f"median_pfs is {self.median_pfs!r}, median_os {self.median_os!r} and "
                f"survival_follow_up {self.survival_follow_up!r}; "
                "expected 0 < median_pfs < median_os, and days from the least to the most"
            )
        if not self.hazard_ratio > 0:
            raise InputError(f"hazard_ratio is {self.hazard_ratio!r}; expected a factor above 0")
        if not 0 < self.rise_days < self.fall_days or not self.engraftment_days > 0 or not self.concentration > 0:
            raise InputError("expected 0 < rise_days < fall_days, engraftment_days > 0 and concentration > 0")

    @property
    def taxa(self) -> tuple[str, ...]:
        """The simulated species, from the most to the least abundant on average; none is a real species."""
        return tuple(f"{GENERA[j % len(GENERA)]}_sp{j // len(GENERA) + 1:04d}" for j in range(self.n_taxa))

    @property
    def causes(self) -> Causes:
        """The planted causes; the same for every seed."""
        return planted_causes(self.effect)


AS_PUBLISHED = Trial(n_taxa=1000, engraftment=0.15, assay_sd=0.6)
"""A trial for planning: recipients approach their own donor as in Davar 2021 (by 0.08 of Bray-Curtis, against unrelated
donors), and the cytokines of one person vary between visits as in MOMS-PI."""
