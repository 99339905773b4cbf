"""Input drift: whether the candidates of a clinic are distributed as the patients of the training cohorts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, fisher_exact

from features.arrays import Counts, Vector
from features.columns import Column
from models.applicability import assess_applicability
from models.bundle import Model
from models.evidence import Distributions, LevelDistribution, NumericDistribution
from models.patient_input import Candidate
from models.prediction import Verdict, domain_reasons
from models.reference import VERDICTS

DriftReading = Literal["no drift detected", "some drift", "much drift"]

SOME_DRIFT, MUCH_DRIFT = 0.1, 0.25
"""Conventional thresholds of the population stability index (Yurdakul and Naranjo 2020)."""
FALSE_DISCOVERIES = 0.05
"""False discovery rate below which a difference counts as drift."""
DRAWS = 9999
"""Random partitions of the permutation null."""


class Stability(NamedTuple):
    """Population stability index with its permutation null.

    Attributes
    ----------
    psi : float
        Observed index.
    null_mean : float
        Mean index of the random partitions: what to expect without drift.
    p : float
        Share of random partitions whose index is at least as large.
    """

    psi: float
    null_mean: float
    p: float


@dataclass(frozen=True)
class ColumnDrift:
    """Drift of one analyte or clinical column.

    Attributes
    ----------
    block, name : str
    candidates, training_patients : int
        Candidates and training patients with a value.
    psi, null_mean, p : float
        See `Stability`.
    q : float
        `p`, adjusted over all columns (Benjamini and Hochberg).
    reading : {"no drift detected", "some drift", "much drift"}
        From `psi`, where `q` is below `FALSE_DISCOVERIES`.
    """

    block: str
    name: str
    candidates: int
    training_patients: int
    psi: float
    null_mean: float
    p: float
    q: float
    reading: DriftReading


@dataclass(frozen=True)
class TaxonDrift:
    """Drift of one taxon's prevalence.

    Attributes
    ----------
    name : str
    profiles, training_profiles : int
        Profiles of candidates and of training patients.
    prevalence, training_prevalence : float
        Share of these profiles in which the taxon was detected.
    difference : float
        `prevalence - training_prevalence`.
    p, q : float
        Fisher's exact test, and adjusted over all taxa (Benjamini and Hochberg).
    drifted : bool
        Whether `q` is below `FALSE_DISCOVERIES`.
    """

    name: str
    profiles: int
    prevalence: float
    training_profiles: int
    training_prevalence: float
    difference: float
    p: float
    q: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """Comparison of candidates with a model's training distributions.

    Attributes
    ----------
    patients : int
        Candidates.
    verdicts : dict of str to int
        Candidates by the verdict of the rules on the patient; the model's evidence and simulated training patients,
        which concern all of them alike, do not count.
    columns : tuple of ColumnDrift
        Analytes and clinical columns with a value in a candidate, the smallest p first.
    taxa : tuple of TaxonDrift
        Taxa of the model, the smallest p first; empty if no candidate has a stool sample.
    """

    patients: int
    verdicts: dict[Verdict, int]
    columns: tuple[ColumnDrift, ...]
    taxa: tuple[TaxonDrift, ...]


def drift(model: Model, candidates: Sequence[Candidate]) -> DriftReport:
    """Compare candidates with a model's training distributions.

    Parameters
    ----------
    model : Model
        Without distributions (protocol 1), only the verdicts are counted.
    candidates : sequence of Candidate

    Raises
    ------
    InputError
        A candidate cannot be read.

    References
    ----------
    Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289-300.
    """
    verdicts: Counter[Verdict] = Counter()
    rows: dict[str, list[Vector]] = {name: [] for name in model.blocks}
    for candidate in candidates:
        model_input = model.model_input(candidate)
        encoded = model.encoder.encode(model_input.values)
        trust = assess_applicability(model, candidate, model_input, encoded).trust
        verdicts[trust.verdict if domain_reasons(trust, model.evidence) else "ok"] += 1
        for block, values in model_input.values.items():
            if block != "taxa" or candidate.taxa is not None:
                rows[block].append(values[0])
    distributions = model.validation.distributions if model.validation else None
    columns = {
        block: dict(zip(model.encoder.names_[block], np.array(block_rows).T, strict=True))
        for block, block_rows in rows.items()
        if block_rows
    }
    return DriftReport(
        patients=len(candidates),
        verdicts={verdict: verdicts[verdict] for verdict in VERDICTS},
        columns=_column_drifts(distributions, columns) if distributions else (),
        taxa=_taxon_drifts(distributions, columns["taxa"]) if distributions and "taxa" in columns else (),
    )


def stability(trained: Counts, current: Counts, *, seed: int = 0) -> Stability:
    """Return the population stability index of two histograms, with its permutation null.

    The index is the sum over bins of (a - b) log(a / b), where a and b are the bins' shares with half a patient added
    to each bin. With few patients it is large without any drift, so its mean over `DRAWS` random partitions of all
    patients into two groups of these sizes is reported with it.

    Parameters
    ----------
    trained, current : ndarray of int, (n_bins,)
        Patients in each bin; at least one patient in each histogram.
    seed : int

    References
    ----------
    Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(4); Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9:39.
    """
    pooled = trained + current
    draws = np.random.default_rng(seed).multivariate_hypergeometric(pooled, int(current.sum()), size=DRAWS)
    psi, null = float(_psi(trained, current)), _psi(pooled - draws, draws)
    # Sums of the same numbers in another order differ in their last digits.
    n_as_large = int((null >= psi - 1e-9).sum())
    return Stability(psi, float(null.mean()), (1 + n_as_large) / (1 + DRAWS))


def _psi(trained: Counts, current: Counts) -> Vector:
    a, b = ((counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (trained, current))
    psi: Vector = ((a - b) * np.log(a / b)).sum(axis=-1)
    return psi


def _column_drifts(
    distributions: Distributions, columns: Mapping[str, Mapping[str, Vector]]
) -> tuple[ColumnDrift, ...]:
    rows = list(_stabilities(distributions, columns))
    adjusted = _adjusted([row[-1].p for row in rows])
    drifts = [
        ColumnDrift(block, name, n_candidates, n_training, *result, q, _reading(result.psi, q))
        for (block, name, n_candidates, n_training, result), q in zip(rows, adjusted, strict=True)
    ]
    return tuple(sorted(drifts, key=lambda row: row.p))


def _stabilities(
    distributions: Distributions, columns: Mapping[str, Mapping[str, Vector]]
) -> Iterator[tuple[str, str, int, int, Stability]]:
    """Yield block, name, numbers of candidates and training patients, and stability of each measured column."""
    blocks = (("immune", distributions.immune), ("clinical", distributions.clinical))
    for block, by_name in blocks:
        for name, distribution in by_name.items() if block in columns else ():
            histograms = _histograms(name, distribution, columns[block])
            if histograms is not None and (n_candidates := int(histograms[1].sum())):
                yield block, name, n_candidates, int(histograms[0].sum()), stability(*histograms)


def _reading(psi: float, q: float) -> DriftReading:
    if q >= FALSE_DISCOVERIES or psi < SOME_DRIFT:
        return "no drift detected"
    return "much drift" if psi >= MUCH_DRIFT else "some drift"


def _histograms(
    name: str, distribution: NumericDistribution | LevelDistribution, columns: Mapping[str, Vector]
) -> tuple[Counts, Counts] | None:
    """Return the training patients and the candidates in each bin, or of each level; None where training kept none."""
    if isinstance(distribution, LevelDistribution):
        if not distribution.levels:
            return None
        trained = np.array([level.patients for level in distribution.levels.values()])
        if name not in columns:
            return trained, np.array(
                [(columns[Column("clinical", name, level).name] == 1).sum() for level in distribution.levels]
            )
        # The column is 0 or 1 in training; a larger value counts as 1.
        return trained, np.bincount(columns[name][~np.isnan(columns[name])] > 0, minlength=len(trained))
    if distribution.histogram is None:
        return None
    values = columns[name][~np.isnan(columns[name])]
    trained = np.array(distribution.histogram.patients)
    return trained, np.bincount(np.searchsorted(distribution.histogram.edges, values), minlength=len(trained))


def _taxon_drifts(distributions: Distributions, columns: Mapping[str, Vector]) -> tuple[TaxonDrift, ...]:
    taxa, trained = distributions.taxa, distributions.patients
    counts = [(int((columns[name] > 0).sum()), len(columns[name])) for name in taxa]
    p_values = [
        float(fisher_exact([_carriage(carriers, profiles), _carriage(taxon.carriers, trained)]).pvalue)
        for (carriers, profiles), taxon in zip(counts, taxa.values(), strict=True)
    ]
    drifts = [
        TaxonDrift(
            name=name,
            profiles=profiles,
            prevalence=carriers / profiles,
            training_profiles=trained,
            training_prevalence=taxon.prevalence,
            difference=carriers / profiles - taxon.prevalence,
            p=p,
            q=q,
            drifted=q < FALSE_DISCOVERIES,
        )
        for (name, taxon), (carriers, profiles), p, q in zip(
            taxa.items(), counts, p_values, _adjusted(p_values), strict=True
        )
    ]
    return tuple(sorted(drifts, key=lambda row: row.p))


def _carriage(carriers: int, profiles: int) -> tuple[int, int]:
    """Return the profiles with and without a taxon."""
    return carriers, profiles - carriers


def _adjusted(p_values: Sequence[float]) -> list[float]:
    adjusted: list[float] = false_discovery_control(p_values).tolist() if p_values else []
    return adjusted
