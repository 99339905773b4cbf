"""Engraftment: train the model of stool after a transplant, and judge it on held-out transplants."""

from training.engraftment.run import EngraftmentResult, evaluate_engraftment, train_engraftment

__all__ = ["EngraftmentResult", "evaluate_engraftment", "train_engraftment"]
