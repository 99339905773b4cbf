"""Evidence: how a model did on rows it had not seen, as numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.landmark import FeatureTable
from features.outcomes import meaning
from training.metrics import Estimate, auprc, auroc, brier, calibration_line, interval, within_cohorts
from training.validation import LeftOut, cohort_names

Vector = NDArray[np.float64]
SCHEMES: Mapping[str, str] = {"loco": "each cohort left out in turn", "cv": "patients left out within cohorts"}


@dataclass(frozen=True)
class Evidence:
    """What is known of how a model does where it has not been.

    Attributes
    ----------
    scheme : {"loco", "cv"}
        Leave-one-cohort-out where there are several cohorts, else cross-validation.
    auroc : Estimate
        The left-out AUROC within cohorts.
    content : dict
        What is kept in the bundle and repeated in every answer; JSON-ready.
    """

    scheme: str
    auroc: Estimate
    content: dict[str, Any]

    @property
    def scheme_in_words(self) -> str:
        """How rows were left out."""
        return SCHEMES[self.scheme]

    def headline(self) -> dict[str, float]:
        """Return the left-out AUROC with its interval, under names short enough for MLflow's columns."""
        return {"auroc": self.auroc.value, "auroc_low": self.auroc.low, "auroc_high": self.auroc.high}


def left_out_predictions(y: Vector, left_out: Sequence[LeftOut]) -> pd.DataFrame:
    """Return every left-out prediction: `row`, `scheme`, `fold`, `repeat`, `outcome`, `margin`, `probability`."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "row": one.fold.test,
                    "scheme": one.fold.scheme,
                    "fold": one.fold.name,
                    "repeat": one.fold.repeat,
                    "outcome": y[one.fold.test],
                    "margin": one.margin,
                    "probability": one.probability,
                }
            )
            for one in left_out
        ],
        ignore_index=True,
    )


def evidence_of(
    table: FeatureTable,
    outcome: str,
    y: Vector,
    left_out: Sequence[LeftOut],
    *,
    tried: int,
    pooled_labels: bool,
    notes: Sequence[str],
) -> Evidence:
    """Sum up left-out predictions as evidence.

    Parameters
    ----------
    table : FeatureTable
        The rows trained on.
    outcome : str
    y : ndarray, (n_rows,)
    left_out : sequence of LeftOut
    tried : int
        How many models the best is chosen from.
    pooled_labels : bool
        Whether labels of different meaning were pooled.
    notes : sequence of str
        Of the data.
    """
    predictions = left_out_predictions(y, left_out)
    scheme = "loco" if (predictions["scheme"] == "loco").any() else "cv"
    cohorts = cohort_names(table)
    mean = predictions[predictions["scheme"] == scheme].groupby("row")[["margin", "probability"]].mean()
    rows = mean.index.to_numpy()
    # Ranked by margin: where calibration found no skill, every probability of a fold is the same.
    found = interval(auroc, y[rows], mean["margin"].to_numpy(), cohorts[rows])
    per_cohort = []
    for name in table.cohorts:
        mine = rows[cohorts[rows] == name]
        if not mine.size:
            continue
        one = interval(auroc, y[mine], mean.loc[mine, "margin"].to_numpy(), cohorts[mine])
        per_cohort.append(
            {
                "cohort": name,
                "patients": len(mine),
                "events": int(y[mine].sum()),
                **{f"auroc{k}": _finite(v) for k, v in (("", one.value), ("_low", one.low), ("_high", one.high))},
            }
        )
    prevalence = np.array([y[cohorts == c].mean() for c in cohorts[rows]])
    content = {
        "outcome": outcome,
        "definition": meaning(outcome),
        "simulated": table.simulated,
        "pooled_labels": pooled_labels,
        "patients": len(table),
        "events": int(y.sum()),
        "cohorts": [{"name": name, **_published(about)} for name, about in table.cohorts.items()],
        "landmark": max(about["landmark"] for about in table.cohorts.values()),
        "window": max(about["window"] for about in table.cohorts.values()),
        "clocks": sorted({about["clock"] for about in table.cohorts.values()}),
        "scheme": SCHEMES[scheme],
        "left_out_auroc": {"value": _finite(found.value), "low": _finite(found.low), "high": _finite(found.high)},
        "per_cohort": per_cohort,
        "left_out_brier": float(brier(y[rows], mean["probability"].to_numpy())[0]),
        "prevalence_brier": float(brier(y[rows], prevalence)[0]),
        # Never yes: the interval leaves out what refitting adds, and the best was chosen by it. Unsettled is None.
        "beats_chance": None if found.low > 0.5 else False,
        "chosen_from": tried,
        "notes": list(notes),
        "taxokine": version("taxokine"),
    }
    content["sentence"] = _sentence(content, found, scheme)
    return Evidence(scheme, found, content)


def run_metrics(table: FeatureTable, y: Vector, left_out: Sequence[LeftOut], evidence: Evidence) -> dict[str, float]:
    """Return a run's metrics: for each scheme and metric the value over folds, its spread and its interval."""
    cohorts, predictions = cohort_names(table), left_out_predictions(y, left_out)
    metrics: dict[str, float] = {**evidence.headline(), "patients": len(table), "events": float(y.sum())}
    for scheme, mine in predictions.groupby("scheme"):
        mean = mine.groupby("row")[["margin", "probability"]].mean()
        rows = mean.index.to_numpy()
        for metric, column in ((auroc, "margin"), (auprc, "margin"), (brier, "probability")):
            each = [
                within_cohorts(metric, fold["outcome"].to_numpy(), fold[column].to_numpy(), cohorts[fold["row"]])[0]
                for _, fold in mine.groupby("fold")
            ]
            name = f"{scheme}_{metric.__name__}"
            found = interval(metric, y[rows], mean[column].to_numpy(), cohorts[rows])
            metrics |= {f"{name}_mean": float(np.nanmean(each)) if np.isfinite(each).any() else np.nan}
            metrics |= {f"{name}_sd": float(np.nanstd(each, ddof=1)) if np.isfinite(each).sum() > 1 else np.nan}
            metrics |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        slope, intercept = calibration_line(y[rows], mean["probability"].to_numpy())
        metrics |= {f"{scheme}_calibration_slope": slope, f"{scheme}_calibration_intercept": intercept}
        metrics[f"{scheme}_calibration_in_the_large"] = float(y[rows].mean() - mean["probability"].mean())
    if evidence.scheme == "loco":
        for one in evidence.content["per_cohort"]:
            if one["auroc"] is not None:
                metrics[f"loco_auroc.{one['cohort']}"] = one["auroc"]
    return metrics


def _sentence(content: Mapping[str, Any], found: Estimate, scheme: str) -> str:
    n = len(content["per_cohort"])
    cohorts = f"{n} cohort{'s' if n != 1 else ''}"
    seen = "on cohorts it had not seen" if scheme == "loco" else "on patients of its own cohort that it had not seen"
    if not np.isfinite(found.value):
        return f"how this model does {seen} could not be measured ({cohorts}, {content['patients']} patients)"
    numbers = f"AUROC {found.value:.2f}, {found.low:.2f}-{found.high:.2f}; {cohorts}, {content['patients']} patients"
    where = "" if scheme == "loco" else "; it was never tried on another cohort"
    simulated = "simulated data: " if content["simulated"] else ""
    if content["beats_chance"] is False:
        return f"{simulated}{seen} this model did no better than chance ({numbers}){where}"
    return (
        f"{simulated}{seen} this model did better than chance by an interval that leaves out what refitting adds "
        f"({numbers}), as one of {content['chosen_from']} models tried: not confirmed{where}"
    )


def _published(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: about[key] for key in ("title", "clock", "index_event", "profiler", "citation", "licence", "simulated")
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
