"""Accuracy of predicted profiles after transplants: distances, presence of taxa, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.stats import t

from features.arrays import Mask, Matrix, Positions, Vector
from features.transplants import TransplantProfiles
from models.engraftment import BASELINES, EngraftmentModel, EngraftmentValidation, MethodAccuracy
from models.engraftment.evidence import EngraftmentScheme
from models.engraftment.model import Method, baseline_logs, baseline_profiles, floored_log
from models.evidence import Estimate

METHODS: tuple[Method, ...] = ("regression", *BASELINES)
MIN_PREVALENCE = 0.1
"""Share of the training profiles in which a taxon must be present to enter the Aitchison distance."""

FEWEST_TO_FIT = 3
"""Transplants below which no model is fitted; two transplants that leave fewer are not compared by presence of taxa."""

ModelWithout = Callable[[Mask], EngraftmentModel]
"""Returns a regression that did not learn from the masked transplants."""


@dataclass(frozen=True)
class HeldOutAccuracy:
    """Held-out accuracy of each of `METHODS`.

    Attributes
    ----------
    bray_curtis, aitchison : ndarray, (n_methods, n_transplants)
        Distances of the prediction to the profile after.
    wins : ndarray, (n_methods, n_transplants, n_transplants)
        Taxa present in the first transplant after and absent in the second of which the first was given more, ties
        counted half.
    comparisons : ndarray, (n_transplants, n_transplants)
        Taxa present in the first and absent in the second.
    """

    bray_curtis: Matrix
    aitchison: Matrix
    wins: Matrix
    comparisons: Matrix


def held_out_accuracy(profiles: TransplantProfiles, together: Mask, model_without: ModelWithout) -> HeldOutAccuracy:
    """Predict each transplant, and each pair, by a model that learnt from neither.

    The presence of a taxon is compared between two recipients who were left out together. Predictions of two models
    would not compare: leaving out a recipient who has the taxon lowers what others suggest, for that recipient alone.

    Parameters
    ----------
    profiles : TransplantProfiles
    together : ndarray of bool, (n_transplants, n_transplants)
        Transplants that are left out with each transplant: itself, and all of its donor where donors are left out.
    model_without : callable

    References
    ----------
    Airola, Pahikkala, Waegeman, De Baets and Salakoski 2011, Computational Statistics & Data Analysis 55:1828-1844, for
    leaving out pairs.
    """
    n = len(profiles)
    distances = np.array([_distances(profiles, i, model_without(together[i])) for i in range(n)])
    wins, comparisons = np.zeros((len(METHODS), n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            if n - (together[i] | together[j]).sum() < FEWEST_TO_FIT:
                continue
            model = model_without(together[i] | together[j])
            scores = np.stack([_presence_scores(profiles, row, model) for row in (i, j)], axis=1)
            for winner, loser, order in ((i, j, 1), (j, i, -1)):
                taxa = (profiles.stool_after[winner] > 0) & (profiles.stool_after[loser] == 0)
                difference = order * (scores[:, 0, taxa] - scores[:, 1, taxa])
                wins[:, winner, loser] = ((difference > 0) + (difference == 0) / 2).sum(axis=1)
                comparisons[winner, loser] = taxa.sum()
    return HeldOutAccuracy(distances[:, 0].T, distances[:, 1].T, wins, comparisons)


def _distances(profiles: TransplantProfiles, row: int, model: EngraftmentModel) -> Matrix:
    """Return Bray-Curtis and Aitchison distances of each method, (2, n_methods)."""
    stool_before, donor, stool_after = profiles.stool_before[row], profiles.donor[row], profiles.stool_after[row]
    profile = model.expect(stool_before, donor)
    proportions = [profile.proportion, *baseline_profiles(stool_before, donor, model.other_recipients).values()]
    logs = np.array(
        [profile.log_proportion, *baseline_logs(stool_before, donor, model.other_recipients, model.floor).values()]
    )
    prevalent = prevalent_taxa(profiles)
    difference = logs[:, prevalent] - floored_log(stool_after, model.floor)[prevalent]
    centred = difference - difference.mean(axis=1, keepdims=True)
    return np.array([np.abs(np.array(proportions) - stool_after).sum(axis=1) / 2, np.linalg.norm(centred, axis=1)])


def prevalent_taxa(profiles: TransplantProfiles) -> Mask:
    """Return the taxa that enter the Aitchison distance, the same for all methods, (n_taxa,)."""
    stool = np.concatenate([profiles.stool_before, profiles.donor, profiles.stool_after])
    return np.asarray((stool > 0).mean(axis=0) >= MIN_PREVALENCE)


def _presence_scores(profiles: TransplantProfiles, row: int, model: EngraftmentModel) -> Matrix:
    """Return what each method says for the presence of each taxon, (n_methods, n_taxa)."""
    stool_before, donor = profiles.stool_before[row], profiles.donor[row]
    baselines = (stool_before, donor, (stool_before + donor) / 2, model.other_recipients.prevalence)
    return np.array([model.expect(stool_before, donor).presence, *baselines])


def summarise_accuracy(accuracy: HeldOutAccuracy, together: Mask, scheme: EngraftmentScheme) -> EngraftmentValidation:
    """Return means with delete-one-unit jackknife intervals; a unit is what is left out together."""
    n_units, unit = connected_components(together, directed=False)
    methods = []
    for position, method in enumerate(METHODS):
        excess = [
            _jackknife_mean(distances[position] - distances[0], unit, -largest, largest)
            for distances, largest in ((accuracy.bray_curtis, 1.0), (accuracy.aitchison, math.inf))
        ]
        methods.append(
            MethodAccuracy(
                method=method,
                bray_curtis=_jackknife_mean(accuracy.bray_curtis[position], unit, 0.0, 1.0),
                aitchison=_jackknife_mean(accuracy.aitchison[position], unit, 0.0, math.inf),
                presence_auroc=_jackknife_auroc(accuracy.wins[position], accuracy.comparisons, unit),
                bray_curtis_excess=excess[0],
                aitchison_excess=excess[1],
            )
        )
    return EngraftmentValidation(scheme, len(unit), int(n_units), tuple(methods))


def _jackknife_mean(values: Vector, unit: Positions, minimum: float, maximum: float) -> Estimate:
    return _jackknife(lambda retained: float(values[retained].mean()), unit, minimum, maximum)


def _jackknife_auroc(wins: Matrix, comparisons: Matrix, unit: Positions) -> Estimate:
    def auroc(retained: Positions) -> float:
        block = np.ix_(retained, retained)
        total = comparisons[block].sum()
        return float(wins[block].sum() / total) if total else math.nan

    return _jackknife(auroc, unit, 0.0, 1.0)


def _jackknife(statistic: Callable[[Positions], float], unit: Positions, minimum: float, maximum: float) -> Estimate:
    """Return a statistic of the transplants with its jackknife interval over units, by Student's t.

    Of few units the interval may lie beyond the values that the statistic can take, and then ends at these.

    References
    ----------
    MacKinnon, Nielsen and Webb 2023, Journal of Econometrics 232:272-299, for jackknives of few clusters.
    """
    value = statistic(np.arange(len(unit)))
    n_units = int(unit.max()) + 1
    if not math.isfinite(value):
        return Estimate(None, None, None)
    replicates = (
        np.array([statistic(np.flatnonzero(unit != i)) for i in range(n_units)]) if n_units > 1 else np.array([])
    )
    if n_units < 3 or not np.isfinite(replicates).all():
        return Estimate(value, None, None)
    error = math.sqrt((n_units - 1) / n_units * float(((replicates - value) ** 2).sum()))
    half_width = float(t.ppf(0.975, n_units - 1)) * error
    return Estimate(value, max(value - half_width, minimum), min(value + half_width, maximum))


def best_method(validation: EngraftmentValidation) -> Method:
    """Return the method with the smallest mean Bray-Curtis dissimilarity, the regression where two are equal."""
    return min(validation.methods, key=lambda accuracy: accuracy.bray_curtis.value or 0.0).method
