"""DEBIAS-M in its online form, on the patients and folds of the planned analysis.

It needs debias-m 0.0.1 in an environment of its own, where that still imports: its requirements (PyTorch up to 1.13,
pytorch-lightning up to 1.6) suit neither Python 3.11 nor NumPy 2. It ran with PyTorch 2.5.1, pytorch-lightning 1.6.0,
torchmetrics 0.11.4 and setuptools below 80, a module `torch._six` with `string_classes`, and `numpy.Inf` set to
`numpy.inf`. Its probabilities are scored as it returns them.

References
----------
Austin et al. 2025, Nature Microbiology 10:897-911.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module

import numpy as np
from scipy.special import logit

from benchmarks.markdown import print_table
from benchmarks.planned_analysis import COVARIATES, EXPERIMENTS, HEADER, Analysis, read_analysis, row
from features.outcomes import outcome_id
from features.transforms import PrevalenceFilter
from training.validation.config import ValidationTask
from training.validation.folds import Fold, loco_groups
from training.validation.held_out import HeldOut
from training.validation.inner_validation import uncalibrated_average

SEEDS = 1
"""A seed takes two to three minutes of processor time."""
LARGEST_PROBABILITY = 1 - 1e-6


def main() -> None:
    """Print a row for each outcome whose folds all learn from two studies or more, which DEBIAS-M needs."""
    warnings.simplefilter("ignore")
    for experiment in EXPERIMENTS[:2]:
        analysis = read_analysis(replace(experiment, landmark=30.0, sample="first", repeats=SEEDS))
        covariates = analysis.scores(analysis.held_out("elastic_net", ("clinical",)))
        held_out = [_held_out(analysis, fold) for fold in analysis.folds]
        print(f"\n## {outcome_id(experiment.outcome, experiment.grade)}; beside {COVARIATES}\n")
        print_table(HEADER, [row(f"DEBIAS-M, online, taxa, seeds: {SEEDS}", analysis.scores(held_out), covariates)])


def _held_out(analysis: Analysis, fold: Fold) -> HeldOut:
    """Return a fold's held-out probabilities; the held-out study's bias is estimated without its outcomes."""
    # Imported by name, since no environment of Taxokine's own contains them.
    import_module("torch").manual_seed(fold.repeat)
    np.random.seed(fold.repeat)
    table, train, test = analysis.table, np.sort(fold.train), fold.test
    prevalence = PrevalenceFilter(analysis.experiment.min_prevalence).fit(table.taxa.values[train])
    counts = 1e6 * prevalence.transform(table.taxa.values)
    study = np.unique(loco_groups(table.rows).astype(str), return_inverse=True)[1]
    # Training batches are numbered from 0, as DEBIAS-M indexes its parameters by them.
    codes = np.unique(study[train], return_inverse=True)[1]
    classifier = import_module("debiasm").OnlineDebiasMClassifier()
    classifier.fit(np.column_stack([codes, counts[train]]), analysis.y[train].astype(int))
    new_study = np.full(len(test), codes.max() + 1)
    probability = classifier.predict_proba(np.column_stack([new_study, counts[test]]))[:, 1].astype(np.float64)
    margin = logit(np.clip(probability, 1 - LARGEST_PROBABILITY, LARGEST_PROBABILITY))
    task = ValidationTask(table, analysis.y, analysis.experiment.fit_config(("taxa",)))
    return HeldOut(fold, margin, probability, uncalibrated_average(task, fold))


if __name__ == "__main__":
    main()
