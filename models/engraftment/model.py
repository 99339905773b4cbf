r"""The engraftment model: a recipient's stool after a transplant, from the stool before and the donor's.

For recipient :math:`i` and taxon :math:`j`, four baselines guess the proportion after: the recipient unchanged,
the donor copied, their mean, and the mean of other recipients after. With :math:`x_{ij}` their log-proportions and
whether each detects the taxon,

.. math::
    \operatorname{logit} P(\text{present}_{ij}) = \alpha_0 + \alpha^\top x_{ij}, \qquad
    \ln p_{ij} \mid \text{present} \sim N(\beta_0 + \beta^\top x_{ij}, \sigma^2)

with one :math:`\alpha`, :math:`\beta` and :math:`\sigma` for all taxa: nineteen numbers, which a few transplants can
determine. Where a baseline comes nearer to held-out profiles than the regression, the baseline's profile is the
expected one; whether each taxon is present, and its spread, remain the regression's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import numpy as np
from scipy.special import expit, ndtri

from features.arrays import Mask, Matrix, Vector
from features.errors import InputError
from models.evidence import Documented

Baseline = Literal["recipient unchanged", "donor copied", "their mean", "mean of others after"]
Method = Literal["regression", Baseline]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
SPREAD = 0.8
"""Share of the predicted distribution between the limits of a taxon's proportion."""


@dataclass(frozen=True)
class OtherRecipients:
    """What other recipients had after their transplants, (..., n_taxa) each.

    Attributes
    ----------
    proportion : ndarray
        Mean proportion.
    log_proportion : ndarray
        Mean logarithm, of proportions no smaller than the model's floor.
    prevalence : ndarray
        Share of the recipients in whom the taxon was detected.
    """

    proportion: Matrix
    log_proportion: Matrix
    prevalence: Matrix


def other_recipients(stool_after: Matrix, floor: float, weights: Matrix) -> OtherRecipients:
    """Summarise the profiles after of some recipients.

    Parameters
    ----------
    stool_after : ndarray, (n_recipients, n_taxa)
        Proportions.
    floor : float
    weights : ndarray, (..., n_recipients)
        The recipients that count; each row sums to 1.
    """
    return OtherRecipients(
        weights @ stool_after, weights @ floored_log(stool_after, floor), weights @ (stool_after > 0)
    )


def floored_log(proportions: Matrix, floor: float) -> Matrix:
    """Return logarithms of proportions, (..., n_taxa), of which none counts as smaller than the floor."""
    return np.asarray(np.log(np.maximum(proportions, floor)))


def baseline_profiles(stool_before: Matrix, donor: Matrix, other_recipients: OtherRecipients) -> dict[Baseline, Matrix]:
    """Return what each baseline predicts of stool before and of the donor, all as proportions, (..., n_taxa)."""
    return dict(
        zip(BASELINES, (stool_before, donor, (stool_before + donor) / 2, other_recipients.proportion), strict=True)
    )


def baseline_logs(
    stool_before: Matrix, donor: Matrix, other_recipients: OtherRecipients, floor: float
) -> dict[Baseline, Matrix]:
    """Return what each baseline predicts on the scale of log-ratios, not centred; arrays as of `baseline_profiles`."""
    recipient_log, donor_log = floored_log(stool_before, floor), floored_log(donor, floor)
    logs = recipient_log, donor_log, (recipient_log + donor_log) / 2, other_recipients.log_proportion
    return dict(zip(BASELINES, logs, strict=True))


def covariates(stool_before: Matrix, donor: Matrix, other_recipients: OtherRecipients, floor: float) -> Matrix:
    """Return the regressions' columns, (..., n_taxa, 8): each baseline's log-proportion, then each one's detection.

    The log-proportion of the mean is that of the mean proportion, near the larger of the two; detection by the other
    recipients is their prevalence.
    """
    profiles = np.stack([stool_before, donor, (stool_before + donor) / 2], axis=-1)
    logs = [floored_log(profiles, floor), other_recipients.log_proportion[..., None]]
    return np.concatenate([*logs, profiles > 0, other_recipients.prevalence[..., None]], axis=-1)


def is_possible(stool_before: Matrix, donor: Matrix, other_recipients: OtherRecipients) -> Mask:
    """Return the taxa that some baseline detects, (..., n_taxa); of any other, nothing says that it will be there."""
    return np.asarray((stool_before > 0) | (donor > 0) | (other_recipients.prevalence > 0))


@dataclass(frozen=True)
class LinearScore(Documented):
    """A linear function of the covariates."""

    intercept: float
    """Value where every covariate is 0."""
    coef: tuple[float, ...]
    """Slopes, in the order of the covariates."""

    def of_columns(self, columns: Matrix) -> Vector:
        """Return the score of each row, (n_rows,)."""
        return np.asarray(self.intercept + columns @ np.array(self.coef))


@dataclass(frozen=True)
class ExpectedProfile:
    """The predicted distribution of a profile, (n_taxa,) each.

    Attributes
    ----------
    proportion : ndarray
        Expected proportions, which sum to 1.
    log_proportion : ndarray
        Expected logarithms, where an absent taxon counts as the floor; the basis of expected log-ratios.
    presence : ndarray
        Probability that the taxon is detected.
    location : ndarray
        Mean of the logarithm of the proportion where the taxon is present, before closure.
    scale : float
        SD of that logarithm.
    """

    proportion: Vector
    log_proportion: Vector
    presence: Vector
    location: Vector
    scale: float

    def limits(self) -> tuple[Vector, Vector]:
        """Return the quantiles, (n_taxa,) each, between which `SPREAD` of a taxon's distribution lies, with absence."""
        low, high = (self._quantile(0.5 + side * SPREAD / 2) for side in (-1, 1))
        return low, high

    def draws(self, n: int, rng: np.random.Generator) -> Matrix:
        """Return random profiles, (n, n_taxa), as proportions."""
        shape = n, len(self.presence)
        present = rng.random(shape) < self.presence
        proportions = np.exp(self.location + self.scale * rng.standard_normal(shape)) * present
        return np.asarray(proportions / np.maximum(proportions.sum(axis=1, keepdims=True), math.ulp(0.0)))

    def _quantile(self, level: float) -> Vector:
        """Return the quantile of each taxon's proportion: 0 where it is absent with at least this probability."""
        above_absence = (level - (1 - self.presence)) / np.maximum(self.presence, 1e-12)
        present = above_absence > 0
        z = ndtri(np.where(present, np.clip(above_absence, 1e-12, 1 - 1e-12), 0.5))
        return np.where(present, np.minimum(np.exp(self.location + self.scale * z), 1.0), 0.0)


@dataclass(frozen=True)
class EngraftmentModel:
    """A fitted engraftment model.

    Attributes
    ----------
    method : str
        What the expected profile is: the regression's, or that of the baseline that was best.
    taxa : tuple of str
    floor : float
        Half of the smallest positive proportion of the training profiles, for logarithms.
    presence, abundance : LinearScore
        Log-odds of presence, and mean log-proportion where present.
    scale : float
        SD of the log-proportion where present.
    other_recipients : OtherRecipients
        The training recipients after.
    """

    method: Method
    taxa: tuple[str, ...]
    floor: float
    presence: LinearScore
    abundance: LinearScore
    scale: float
    other_recipients: OtherRecipients

    def expect(self, stool_before: Vector, donor: Vector) -> ExpectedProfile:
        """Return the predicted profile after; the profiles are proportions of `taxa`, (n_taxa,)."""
        columns = covariates(stool_before, donor, self.other_recipients, self.floor)
        presence = expit(self.presence.of_columns(columns)) * is_possible(stool_before, donor, self.other_recipients)
        location = self.abundance.of_columns(columns)
        if self.method == "regression":
            proportion = presence * np.exp(location)
            logs = presence * location + (1 - presence) * math.log(self.floor)
            return ExpectedProfile(proportion / proportion.sum(), logs, presence, location, self.scale)
        proportion = baseline_profiles(stool_before, donor, self.other_recipients)[self.method]
        logs = baseline_logs(stool_before, donor, self.other_recipients, self.floor)[self.method]
        return ExpectedProfile(proportion, logs, presence, location, self.scale)

    def with_method(self, method: Method) -> Self:
        """Return the model with another method."""
        return replace(self, method=method)

    def with_taxa(self, names: Sequence[str]) -> Self:
        """Return the model for profiles with further taxa, which no training recipient had after."""
        new = [name for name in dict.fromkeys(names) if name not in set(self.taxa)]
        zeros, logs = np.zeros(len(new)), np.full(len(new), math.log(self.floor))
        other_recipients = self.other_recipients
        return replace(
            self,
            taxa=(*self.taxa, *new),
            other_recipients=OtherRecipients(
                np.append(other_recipients.proportion, zeros),
                np.append(other_recipients.log_proportion, logs),
                np.append(other_recipients.prevalence, zeros),
            ),
        )


def expect_by_name(
    model: EngraftmentModel, stool_before: Mapping[str, float], donor: Mapping[str, float]
) -> tuple[tuple[str, ...], ExpectedProfile]:
    """Return the predicted profile after, and its taxa: those of the model, of the recipient and of the donor.

    Parameters
    ----------
    model : EngraftmentModel
    stool_before, donor : mapping of str to float
        Proportions by canonical name; each is closed to 1.

    Raises
    ------
    InputError
        A profile contains no taxon, or a negative proportion.
    """
    extended = model.with_taxa([*stool_before, *donor])
    rows = []
    for name, profile in (("before", stool_before), ("donor", donor)):
        values = np.array([profile.get(taxon, 0.0) for taxon in extended.taxa])
        if not values.sum() > 0 or not (values >= 0).all():
            raise InputError(f"{name}: expected proportions of at least one taxon, none of them negative")
        rows.append(values / values.sum())
    return extended.taxa, extended.expect(*rows)
