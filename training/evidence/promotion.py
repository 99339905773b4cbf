"""Promotion: the gates that a model must pass to be called `champion`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import InputError
from models import registry
from models.evidence import Validation

FEWEST_COHORTS = 3
"""Cohorts left out below which there is no prediction interval for a new one."""
ALPHA = 0.05
SLOPES = (0.8, 1.25)
"""A calibration slope within these is near enough to 1, though its interval may not hold 1."""
MOST_OFF = 0.1
"""Largest mean distance, over patients, of a cohort's mean probability from its prevalence."""


@dataclass(frozen=True)
class Gate:
    """One condition for promotion.

    Attributes
    ----------
    name : str
    passed : bool
    found, needed, why : str
        What the evidence says, what it should say, and what a model that fails here would do.
    """

    name: str
    passed: bool
    found: str
    needed: str
    why: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'fail'}: {self.found}"


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a promotion."""

    name: str
    version: str
    simulated: bool
    gates: list[Gate]

    @property
    def granted(self) -> bool:
        """Whether every gate was passed, and the version is now the champion."""
        return all(gate.passed for gate in self.gates)


def promote(reference: str) -> Promotion:
    """Evaluate a registered version's gates, log each on it, and make it the champion if it passes them all.

    Parameters
    ----------
    reference : str
        `name`, whose candidate is meant, `name@alias` or `name/version`.

    Raises
    ------
    InputError
        The reference is a bundle's folder, or the version was trained before its evidence was kept in full.
    ModelMissing, BundleError
    """
    served = registry.find_model(reference if "@" in reference or "/" in reference else f"{reference}@candidate")
    if not served.version:
        raise InputError(
            f"{reference} is a folder; only a registered model can be promoted, so name NAME or NAME/VERSION"
        )
    if not served.model.validation:
        raise InputError(
            f"{served.name}/{served.version} was trained before bundles kept the evidence that promotion is judged by; "
            "train it anew"
        )
    result = Promotion(served.name, served.version, served.model.simulated, gates(_content(served.model.validation)))
    tags = {f"gate.{gate.name.replace(' ', '_')}": str(gate) for gate in result.gates}
    registry.promote(result.name, result.version, tags, granted=result.granted)
    return result


def _content(validation: Validation) -> dict[str, Any]:
    """Return what the gates read of a validation record, under the names of the run's `validation.json`."""
    evidence, null, gain = validation.evidence, validation.permutation, validation.gain
    slope = validation.calibration_slope
    return {
        **validation.to_json(),
        "scheme": evidence.scheme,
        "pooled_labels": evidence.pooled_labels,
        "chosen_from": evidence.models_compared,
        "within": asdict(validation.within_cohorts),
        "permutation": null and {**asdict(null.model), "best_of": {**asdict(null.best_of_all), "models": null.models}},
        "gain": gain and {**asdict(gain.difference), "over": gain.baseline},
        "calibration": {"slope": slope.value, "slope_low": slope.low, "slope_high": slope.high},
        "audit": [asdict(finding) for finding in validation.audit_findings],
        "sample_size": validation.sample_size
        and asdict(validation.sample_size) | {"had": validation.sample_size.patients},
    }


def gates(validation: Mapping[str, Any]) -> list[Gate]:
    """Return every gate, judged by the evidence in full; what was not computed does not pass."""
    return [judge(validation) for judge in (_new_cohort, _permutation, _gain, _brier, _calibration, _size, _audit)]


def _new_cohort(validation: Mapping[str, Any]) -> Gate:
    found, left_out = validation["random_effects"], validation["scheme"] == "loco"
    low, high = found["prediction_low"], found["prediction_high"]
    if not left_out:
        said = "no cohort was left out; train on several"
    elif found["k"] < FEWEST_COHORTS:
        said = f"only {found['k']} left-out cohorts with both outcomes"
    else:
        said = f"AUROC {low:.3f} to {high:.3f}, from {found['k']} left-out cohorts"
    return Gate(
        "prediction interval",
        left_out and found["k"] >= FEWEST_COHORTS and low > 0.5,
        said,
        f"the 95% prediction interval of the AUROC in a new cohort above 0.50, from at least {FEWEST_COHORTS}",
        "the next hospital is a new cohort: a mean above chance may still be chance there",
    )


def _permutation(validation: Mapping[str, Any]) -> Gate:
    null, tried = validation["permutation"], validation["chosen_from"]
    judged = null and (null["best_of"] if tried > 1 else null)
    if judged is None:
        said = "not computed" if null is None else f"not computed for the best of {tried} models"
        said += "; train with --permutations 200"
    else:
        best = f" of the best of {judged['models']} models" if tried > 1 else ""
        said = f"p = {judged['p']:.3g}, {null['n']} refits{best}"
    return Gate(
        "permutation",
        judged is not None and judged["p"] < ALPHA,
        said,
        f"p below {ALPHA} against the whole pipeline, choice of the best included, refitted to permuted outcomes",
        "the best of several models looks better than chance even where there is nothing to find",
    )


def _gain(validation: Mapping[str, Any]) -> Gate:
    gain = validation["gain"]
    over = gain["over"] if gain else "clinical and technical covariates"
    return Gate(
        "gain",
        gain is not None and gain["low"] > 0,
        f"AUROC {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" if gain else "not computed",
        f"the interval of the paired gain over {over} above 0",
        "what age, treatment or the sequencing kit tell already needs no stool sample",
    )


def _brier(validation: Mapping[str, Any]) -> Gate:
    within = validation["within"]
    return Gate(
        "Brier score",
        within["brier"] <= within["prevalence_brier"],
        f"{within['brier']:.3f}; prevalence {within['prevalence_brier']:.3f}",
        "no worse than saying each cohort's own prevalence",
        "a probability that errs more than the prevalence misleads whoever acts on it",
    )


def _calibration(validation: Mapping[str, Any]) -> Gate:
    slope, low, high = (validation["calibration"][key] for key in ("slope", "slope_low", "slope_high"))
    off = mean_off(validation)
    said = "slope not estimable" if slope is None else f"slope {slope:.2f} ({low:.2f} to {high:.2f})"
    near = slope is not None and (low <= 1 <= high or SLOPES[0] <= slope <= SLOPES[1])
    return Gate(
        "calibration",
        near and off <= MOST_OFF,
        f"{said}; cohorts off by {off:.2f} on average",
        f"a slope whose interval holds 1, or that is {SLOPES[0]:g} to {SLOPES[1]:g}, and mean probabilities within "
        f"{MOST_OFF:g} of the cohorts' prevalence on average",
        "30% must mean three in ten, in a hospital that the model has not seen too",
    )


def mean_off(validation: Mapping[str, Any]) -> float:
    """Return the mean over patients of how far their cohort's mean probability is from its prevalence."""
    each = [(one["patients"], abs(one["calibration"]["in_the_large"])) for one in validation["per_cohort"]]
    return float(sum(n * off for n, off in each) / sum(n for n, _ in each))


def _size(validation: Mapping[str, Any]) -> Gate:
    size = validation["sample_size"]
    needed = size["needed"]
    return Gate(
        "sample size",
        needed is not None and size["had"] >= needed,
        f"{size['had']} patients for {size['parameters']} candidate parameters",
        "patients as Riley's criteria ask: "
        + ("no number is enough, no effect is expected" if needed is None else str(needed)),
        "with fewer, what the model learnt is mostly the noise of its own patients",
    )


def _audit(validation: Mapping[str, Any]) -> Gate:
    errors = [one for one in validation["audit"] if one["severity"] == "error"]
    found = [f"{one['code']} in {one['cohort']}{' (waived)' if one['waived'] else ''}" for one in errors]
    if validation["pooled_labels"]:
        found.append("labels of different meaning are pooled")
    return Gate(
        "audit",
        not found,
        "; ".join(found) or "no error",
        "no finding that is an error, waived or not, and one meaning of the outcome",
        "a waiver lets a model be trained and looked at; it does not mend the data",
    )
