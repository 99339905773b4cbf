"""Experiments: from cohorts to tracked, compared and registered models."""

from training.experiment.run import ExperimentResult, train
from training.experiment.spec import Experiment

__all__ = ["Experiment", "ExperimentResult", "train"]
