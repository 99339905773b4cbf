"""Experiments: from cohorts to tracked, compared and registered models."""

from training.experiment.run import Result, train
from training.experiment.spec import Experiment

__all__ = ["Experiment", "Result", "train"]
