"""Simulated trials of fecal microbiota transplantation, with known causes, for the demo, tests and study planning."""

from taxokine.simulation.trial import (
    ANALYTES,
    AS_PUBLISHED,
    GENERA,
    Trial,
    pulse,
    saturation,
    simulate_five,
    simulate_trial,
)

__all__ = ["ANALYTES", "AS_PUBLISHED", "GENERA", "Trial", "pulse", "saturation", "simulate_five", "simulate_trial"]
