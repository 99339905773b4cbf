"""Time-to-event experiments: families and blocks compared by how they rank patients by time; never registered."""

from training.survival.run import SurvivalResult, train_survival

__all__ = ["SurvivalResult", "train_survival"]
