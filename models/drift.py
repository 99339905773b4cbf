"""Input drift: whether the candidates a clinic brings are still like the patients that a model learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, fisher_exact

from models.applicability import assess_applicability
from models.bundle import Model
from models.patient_input import Candidate, to_model_input
from models.reference import VERDICTS

Vector = NDArray[np.float64]
Counts = NDArray[np.int_]

SOME, MUCH = 0.1, 0.25
"""From which stability index on one usually speaks of some drift, and of much (Yurdakul and Naranjo 2020)."""
FALSE_DISCOVERIES = 0.05
DRAWS = 9999


def drift(model: Model, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Compare candidates with a model's training distributions, JSON-ready.

    Parameters
    ----------
    model : Model
    candidates : sequence of Candidate

    Returns
    -------
    dict
        `patients`: of candidates. `verdicts`: how many of them got each verdict of trust.

        `columns`: a row for each analyte and clinical column that was measured in a candidate, and of which training
        kept a distribution: `block`, `name`, how many were `measured` and how many `trained` on, `stability`'s values,
        `q`, and `reading`, which is "some drift" or "much drift" only where chance does not explain it, else "no drift
        seen".

        `taxa`: a row for each taxon the model reads, where a candidate has stool: `prevalence` among so many
        `profiles`, `trained_prevalence` among so many `trained`, their `difference`, Fisher's exact `p`, `q`, and
        whether it has `drifted`.

        `q` is Benjamini and Hochberg's, of columns and of taxa apart. Both come with the smallest p first, and are
        empty for a model older than the distributions.

    Raises
    ------
    InputError
        A candidate cannot be read.

    References
    ----------
    Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289-300.
    """
    verdicts: Counter[str] = Counter()
    given: dict[str, list[Vector]] = {name: [] for name in model.blocks}
    for candidate in candidates:
        model_input = to_model_input(candidate, model.encoder, model.units)
        verdicts[
            assess_applicability(model, candidate, model_input, model.encoder.encode(model_input.values)).verdict
        ] += 1
        for block, values in model_input.values.items():
            if block != "taxa" or candidate.taxa is not None:
                given[block].append(values[0])
    known = model.validation.get("distributions", {})
    found = {
        block: dict(zip(model.encoder.names_[block], np.array(rows).T, strict=True))
        for block, rows in given.items()
        if rows
    }
    return {
        "patients": len(candidates),
        "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
        "columns": _columns(known, found),
        "taxa": _taxa(known, found.get("taxa", {})),
    }


def stability(trained: Counts, now: Counts, *, seed: int = 0) -> dict[str, float | None]:
    """Return the population stability index of two histograms, and what chance alone would make of it.

    It is the sum over bins of (a - b) log(a / b), with half a patient added to each bin. Of few patients it is large
    without any drift, so that `expected` stands beside it: its mean over `DRAWS` random partitions of all patients
    into two groups of these sizes, with `p`, the share that reach as far.

    Parameters
    ----------
    trained, now : ndarray of int, (n_bins,)
        Patients in each bin; at least one in all of each.
    seed : int

    Returns
    -------
    dict
        `psi`, `expected` and `p`.

    References
    ----------
    Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(4); Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9:39.
    """
    everyone = trained + now
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(everyone, int(now.sum()), size=DRAWS)
    psi, chance = float(_psi(trained, now)), _psi(everyone - drawn, drawn)
    # Sums of the same numbers in another order differ in their last digits.
    reached = int((chance >= psi - 1e-9).sum())
    return {"psi": psi, "expected": float(chance.mean()), "p": (1 + reached) / (1 + DRAWS)}


def _psi(trained: Counts, now: Counts) -> Any:
    a, b = ((one + 0.5) / (one + 0.5).sum(axis=-1, keepdims=True) for one in (trained, now))
    return ((a - b) * np.log(a / b)).sum(axis=-1)


def _columns(known: Mapping[str, Any], found: Mapping[str, Mapping[str, Vector]]) -> list[dict[str, Any]]:
    rows = []
    for block in ("immune", "clinical"):
        for name, kept in known.get(block, {}).items():
            if block not in found or not (kept.get("levels") or kept.get("bins")):
                continue
            trained, now = _histograms(name, kept, found[block])
            row = {"block": block, "name": name, "measured": int(now.sum()), "trained": int(trained.sum())}
            if row["measured"]:
                rows.append(row | stability(trained, now))
    for row, q in zip(rows, _q(rows), strict=True):
        drifted = q < FALSE_DISCOVERIES and row["psi"] >= SOME
        row |= {
            "q": q,
            "reading": ("much drift" if row["psi"] >= MUCH else "some drift") if drifted else "no drift seen",
        }
    return sorted(rows, key=lambda row: row["p"])


def _histograms(name: str, kept: Mapping[str, Any], columns: Mapping[str, Vector]) -> tuple[Counts, Counts]:
    """Return the patients of each bin, or level, in training and among the candidates."""
    if levels := kept.get("levels"):
        trained = np.array([one["patients"] for one in levels.values()])
        if name not in columns:
            return trained, np.array([(columns[f"{name}={level}"] == 1).sum() for level in levels])
        # A column of 0 and 1 in training; what lies beyond counts with 1.
        return trained, np.bincount(columns[name][~np.isnan(columns[name])] > 0, minlength=len(levels))
    values = columns[name][~np.isnan(columns[name])]
    trained = np.array(kept["bins"]["patients"])
    return trained, np.bincount(np.searchsorted(kept["bins"]["edges"], values), minlength=len(trained))


def _taxa(known: Mapping[str, Any], columns: Mapping[str, Vector]) -> list[dict[str, Any]]:
    rows = []
    for name, kept in known.get("taxa", {}).items() if columns else ():
        trained, profiles, carriers = known["patients"], len(columns[name]), int((columns[name] > 0).sum())
        table = [[carriers, profiles - carriers], [kept["carriers"], trained - kept["carriers"]]]
        rows.append(
            {
                "name": name,
                "profiles": profiles,
                "prevalence": carriers / profiles,
                "trained": trained,
                "trained_prevalence": kept["prevalence"],
                "difference": carriers / profiles - kept["prevalence"],
                "p": float(fisher_exact(table).pvalue),
            }
        )
    for row, q in zip(rows, _q(rows), strict=True):
        row |= {"q": q, "drifted": q < FALSE_DISCOVERIES}
    return sorted(rows, key=lambda row: row["p"])


def _q(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    found: list[float] = false_discovery_control([row["p"] for row in rows]).tolist() if rows else []
    return found
