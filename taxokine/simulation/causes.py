"""The causes that a simulated trial plants: which taxa, cytokines and ages change which outcomes, and by how much.

They echo published findings (Routy, Gopalakrishnan and Matson 2018, Science 359:91, 97 and 104; Derosa 2024, Cell
187:3373; Dubin 2016, Nature Communications 7:10391), but causes and effect sizes are invented: they are no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RESPONSE_LOG_ODDS = {"response_balance": 2.4, "IL-6": -1.3, "IL-10": 0.9, "age": -0.3}
TOXICITY_LOG_RATE = {"toxicity_balance": -1.2, "IL-6": 0.8}
SURVIVAL_LOG_HAZARD = {"response_balance": -0.8, "IL-6": 0.4, "age": 0.2}


@dataclass(frozen=True)
class Balance:
    """Mean log-abundance of the `numerator` taxa minus the `denominator` taxa: a balance not normalised.

    References
    ----------
    Egozcue and Pawlowsky-Glahn 2005, Mathematical Geology 37:795-828.
    """

    numerator: tuple[str, ...]
    denominator: tuple[str, ...]


BALANCES = {
    "response_balance": Balance(
        ("Akkermansia_sp0001", "Bifidobacterium_sp0001", "Faecalibacterium_sp0001"),
        ("Enterocloster_sp0001", "Streptococcus_sp0001", "Veillonella_sp0001"),
    ),
    "toxicity_balance": Balance(
        ("Bacteroides_sp0001", "Phocaeicola_sp0001"), ("Escherichia_sp0001", "Klebsiella_sp0001")
    ),
}


@dataclass(frozen=True)
class Causes:
    """The planted effects.

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


def planted_causes(effect: float) -> Causes:
    """Return the planted causes with every coefficient multiplied by `effect`."""
    response, toxicity, survival = (
        {name: slope * effect for name, slope in slopes.items()}
        for slopes in (RESPONSE_LOG_ODDS, TOXICITY_LOG_RATE, SURVIVAL_LOG_HAZARD)
    )
    return Causes(response, toxicity, survival, BALANCES)
