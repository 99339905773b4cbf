"""Promotion: the gates that a model must pass to be called `champion`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.errors import InputError
from models import registry
from models.evidence import Validation
from models.rates import event_rate
from training.evidence.sentence import between_centres_caveat, permutation_p_text, source_unit
from training.statistics.significance import ALPHA

FEWEST_CENTRES = 3
"""Held-out centres below which there is no prediction interval for a new centre."""
SLOPES = (0.8, 1.25)
"""Calibration slopes near enough to 1, even where the interval excludes 1."""
LARGEST_DISTANCE = 0.1
"""Largest mean distance, over patients, of a centre's mean probability from its prevalence."""


@dataclass(frozen=True)
class Gate:
    """One condition for promotion.

    Attributes
    ----------
    name : str
        Name of the quantity that the gate evaluates.
    passed : bool
    result, requirement, reason : str
        The quantity as measured, as required, and why it is required.
    """

    name: str
    passed: bool
    result: str
    requirement: str
    reason: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'fail'}: {self.result}"


@dataclass(frozen=True)
class Promotion:
    """Outcome of a promotion: the gates of a registered version."""

    name: str
    version: str
    simulated: bool
    gates: list[Gate]

    @property
    def granted(self) -> bool:
        """Whether the version passed every gate and is now the champion."""
        return all(gate.passed for gate in self.gates)


def promote(reference: str) -> Promotion:
    """Evaluate a registered version's gates, log each on it, and make it the champion if it passes them all.

    Parameters
    ----------
    reference : str
        `name` for its candidate, `name@alias` or `name/version`.

    Raises
    ------
    InputError
        The reference is a bundle's folder, or the version has no validation record.
    ModelMissing, BundleError
    """
    served = registry.find_model(reference if "@" in reference or "/" in reference else f"{reference}@candidate")
    if not served.version:
        raise InputError(
            f"{reference} is a folder; only a registered model can be promoted, so name NAME or NAME/VERSION"
        )
    if served.model.validation is None:
        raise InputError(
            f"{served.name}/{served.version} has no validation record, which the gates of promotion read; train it "
            "again"
        )
    result = Promotion(served.name, served.version, served.model.simulated, gates(served.model.validation))
    tags = {f"gate.{gate.name.replace(' ', '_')}": str(gate) for gate in result.gates}
    registry.promote(result.name, result.version, tags, granted=result.granted)
    return result


def gates(validation: Validation) -> list[Gate]:
    """Return every gate, evaluated on a validation record; what was not computed does not pass."""
    return [
        _served_gate(validation),
        _new_cohort_gate(validation),
        _permutation_gate(validation),
        _gain_gate(validation),
        _drop_one_gate(validation),
        _brier_gate(validation),
        _calibration_gate(validation),
        _sample_size_gate(validation),
        _audit_gate(validation),
    ]


def _served_gate(validation: Validation) -> Gate:
    served = validation.evidence.auroc_of == "probability"
    return Gate(
        "served probability",
        served,
        "its AUROCs are of the probability" if served else "its AUROCs are of the margin; train it again",
        "every AUROC ranks patients by the probability that is served",
        "the margin ranks patients also where the model serves one probability for all of them",
    )


def _new_cohort_gate(validation: Validation) -> Gate:
    mean = validation.random_effects
    if validation.evidence.scheme != "loco":
        result = "no cohort was held out; train on several"
    elif mean.k < FEWEST_CENTRES or mean.prediction_low is None:
        result = f"only {mean.k} held-out centres with both outcomes"
    else:
        result = f"AUROC {mean.prediction_low:.3f} to {mean.prediction_high:.3f}, from {mean.k} held-out centres"
        if source_unit(validation.evidence) == "centre":
            result += "; in a new cohort not assessable: one cohort"
        if caveat := between_centres_caveat(mean):
            result += f"; {caveat}"
    return Gate(
        "prediction interval",
        validation.evidence.scheme == "loco"
        and mean.k >= FEWEST_CENTRES
        and mean.prediction_low is not None
        and mean.prediction_low > 0.5,
        result,
        f"95% prediction interval of the AUROC in a new centre above 0.50, from at least {FEWEST_CENTRES} centres",
        "the mean may exceed 0.5 while a particular hospital does not",
    )


def _permutation_gate(validation: Validation) -> Gate:
    test, n_models = validation.permutation, validation.evidence.models_compared
    if test is None:
        null, result = None, "not computed; train with --permutations 200"
    elif n_models > 1:
        null = test.best_of_all
        result = permutation_p_text(null, f"refits of the best of {test.models} models", count=True)
    else:
        null = test.model
        result = permutation_p_text(null, "refits", count=True)
    return Gate(
        "permutation",
        null is not None and null.p < ALPHA,
        result,
        f"p below {ALPHA} against the whole pipeline, choice of the best included, refitted to permuted outcomes",
        "the best of several models looks better than chance even where there is nothing to find",
    )


def _gain_gate(validation: Validation) -> Gate:
    gain = validation.gain
    baseline = "clinical and technical covariates" if gain is None else gain.baseline
    low = None if gain is None else gain.difference.low
    return Gate(
        "gain",
        low is not None and low > 0,
        "not computed"
        if gain is None
        else "AUROC {value:+.3f} ({low:+.3f} to {high:+.3f})".format(**vars(gain.difference)),
        f"interval of the paired gain over {baseline} above 0",
        "what age, treatment or the sequencing kit predict already needs no stool sample",
    )


def _drop_one_gate(validation: Validation) -> Gate:
    rows = [row for row in validation.without_cohort if row.auroc.low is not None and row.auroc.value is not None]
    worst = min(rows, key=lambda row: row.auroc.low or 0.0, default=None)
    smallest_gain = min((row.gain.value for row in rows if row.gain.value is not None), default=None)
    complete, unit = 0 < len(rows) == len(validation.without_cohort), source_unit(validation.evidence)
    if worst is None or not complete:
        result = "not computed: there is one centre, or an AUROC is not estimable"
    else:
        gain = "not computed" if smallest_gain is None else f"{smallest_gain:+.3f}"
        result = (
            f"AUROC {worst.auroc.value:.3f} ({worst.auroc.low:.3f} to {worst.auroc.high:.3f}) without {worst.cohort}; "
            f"least gain {gain}"
        )
    return Gate(
        f"drop one {unit}",
        complete
        and worst is not None
        and (worst.auroc.low or 0.0) > 0.5
        and smallest_gain is not None
        and smallest_gain > 0,
        result,
        f"without any one {unit}, the interval of the AUROC still above 0.50 and the gain still above 0",
        f"what one {unit} carries may be how that {unit} was sampled, sequenced or labelled",
    )


def _brier_gate(validation: Validation) -> Gate:
    brier, reference = validation.within_centres.brier, validation.within_centres.prevalence_brier
    if brier is None or reference is None:
        passed, result = False, "not computed"
    else:
        passed, result = (
            brier <= reference,
            f"{brier:.3f}; {reference:.3f} if each centre's own rate were given to everyone",
        )
    return Gate(
        "Brier score",
        passed,
        result,
        "no worse than predicting each centre's own prevalence",
        "a probability with a larger error than the prevalence misleads whoever acts on it",
    )


def _calibration_gate(validation: Validation) -> Gate:
    slope, distance = validation.calibration_slope, mean_distance_from_prevalence(validation)
    if slope.value is None or slope.low is None or slope.high is None:
        acceptable, result = False, "slope not estimable"
    else:
        acceptable = slope.low <= 1 <= slope.high or SLOPES[0] <= slope.value <= SLOPES[1]
        result = f"slope {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
    worst = _worst_calibrated_centre(validation)
    return Gate(
        "calibration",
        acceptable and distance is not None and distance <= LARGEST_DISTANCE,
        f"{result}; mean distance from the centres' prevalence "
        + ("not computed" if distance is None else f"{distance:.2f}")
        + (f"; {worst}" if worst else ""),
        f"a slope whose interval includes 1, or of {SLOPES[0]:g} to {SLOPES[1]:g}, and mean probabilities within "
        f"{LARGEST_DISTANCE:g} of the centres' prevalence on average",
        "30% must mean three in ten, also in a hospital that is new to the model",
    )


def mean_distance_from_prevalence(validation: Validation) -> float | None:
    """Return the mean over patients of the distance of their centre's mean probability from its prevalence."""
    patients = [centre.patients for centre in validation.per_centre]
    distances = [centre.calibration.in_the_large for centre in validation.per_centre]
    absolute = [abs(distance) for distance in distances if distance is not None]
    complete = absolute and len(absolute) == len(patients)
    return float(np.average(absolute, weights=patients)) if complete else None


def _worst_calibrated_centre(validation: Validation) -> str | None:
    """Return the centre whose mean probability is farthest from its prevalence; None with fewer than two centres.

    The interval is the exact one of the observed share, minus the mean probability, which is held fixed.
    """
    distances = [
        (centre, centre.calibration.in_the_large)
        for centre in validation.per_centre
        if centre.patients and centre.calibration.in_the_large is not None
    ]
    if len(distances) < 2:
        return None
    centre, distance = max(distances, key=lambda pair: abs(pair[1]))
    observed = event_rate(centre.events, centre.patients)
    mean_probability = centre.events / centre.patients - distance
    return (
        f"worst in {centre.centre}, observed − expected {distance:+.2f} ({observed.low - mean_probability:+.2f} to "
        f"{observed.high - mean_probability:+.2f}, {centre.patients} patients)"
    )


def _sample_size_gate(validation: Validation) -> Gate:
    size = validation.sample_size
    if size is None:
        return Gate("sample size", False, "not computed", "as many patients as Riley's criteria require", _TOO_FEW)
    needed = "no number suffices, since no effect is expected" if size.needed is None else str(size.needed)
    return Gate(
        "sample size",
        size.needed is not None and size.patients >= size.needed,
        f"{size.patients} patients for {size.parameters} candidate parameters",
        f"as many patients as Riley's criteria require: {needed}",
        _TOO_FEW,
    )


def _audit_gate(validation: Validation) -> Gate:
    errors = [
        f"{finding.code} in {finding.cohort}{' (waived)' if finding.waived else ''}"
        for finding in validation.audit_findings
        if finding.severity == "error"
    ]
    if validation.evidence.pooled_labels:
        errors.append("labels of different meaning are pooled")
    return Gate(
        "audit",
        not errors,
        "; ".join(errors) or "no error",
        "no finding that is an error, waived or not, and one definition of the outcome",
        "a waiver allows a model to be trained and studied; it does not correct the data",
    )


_TOO_FEW = "with fewer patients, the model mostly learns the noise of its own patients"
