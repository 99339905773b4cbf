"""The run of one time-to-event model: its metrics, predictions and figure."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.arrays import Matrix, Names, Positions, Vector
from features.feature_table import FeatureTable
from features.survival import EVENT
from models.evidence import Scheme
from training import tracking
from training.evidence.scores import main_scheme
from training.run_names import model_run_name
from training.statistics.interval_estimate import IntervalEstimate, interval_metrics
from training.survival.figures import write_incidence_figure
from training.survival.sentence import survival_sentence
from training.validation.folds import centres
from training.validation.held_out_times import HORIZONS, SurvivalHeldOut
from training.validation.survival_scores import RepeatPredictions, predictions_by_repeat, survival_scores

RISK_LABELS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class SurvivalModel:
    """One family on one set of blocks, validated and logged.

    Attributes
    ----------
    family : str
    blocks : tuple of str
    run_id : str
        Its MLflow run.
    patients, events : int
    scheme : {"loco", "cv"}
        Cohorts, or centres of the one cohort, held out in turn; else patients held out.
    metrics : dict of str to IntervalEstimate
        Means over cohorts, such as `loco_c` and `cv_auroc_12m`.
    per_centre : pandas.DataFrame
        The same of each cohort under `scheme`, with `cohort`, `patients` and `events`.
    sentence : str
        The evidence in one sentence.
    """

    family: str
    blocks: tuple[str, ...]
    run_id: str
    patients: int
    events: int
    scheme: Scheme
    metrics: dict[str, IntervalEstimate]
    per_centre: pd.DataFrame
    sentence: str

    @property
    def concordance(self) -> IntervalEstimate:
        """Held-out Harrell's C."""
        return self.metrics[f"{self.scheme}_c"]


@dataclass(frozen=True)
class SurvivalRows:
    """Rows of one set of blocks, and what a run reports with them.

    Attributes
    ----------
    outcome : str
    blocks : tuple of str
    table : FeatureTable
    y : ndarray, (n_rows, 2)
        Times in days and ends.
    models_compared : int
        Models that the experiment compares.
    """

    outcome: str
    blocks: tuple[str, ...]
    table: FeatureTable
    y: Matrix
    models_compared: int

    @property
    def events(self) -> int:
        """Rows with the event."""
        return int((self.y[:, 1] == EVENT).sum())


def log_survival_model(rows: SurvivalRows, family: str, held_out: Sequence[SurvivalHeldOut]) -> SurvivalModel:
    """Score one family's held-out predictions, and log its run."""
    names = centres(rows.table.rows)
    scheme = main_scheme([prediction.fold for prediction in held_out])
    repeats = {
        name: predictions_by_repeat([prediction for prediction in held_out if prediction.fold.scheme == name])
        for name in dict.fromkeys(prediction.fold.scheme for prediction in held_out)
    }
    metrics = {
        f"{name}_{metric}": estimate
        for name, predictions in repeats.items()
        for metric, estimate in survival_scores(rows.y, names, predictions).items()
    }
    per_centre = _per_cohort(rows, names, repeats[scheme])
    concordance = metrics[f"{scheme}_c"]
    sentence = survival_sentence(rows.table, concordance, scheme, rows.events, rows.models_compared)
    params = {"family": family, "blocks": "+".join(rows.blocks)}
    tags = {
        **params,
        "outcome": rows.outcome,
        "simulated": str(rows.table.simulated).lower(),
        "evidence": sentence,
        "mlflow.note.content": f"{sentence}\n\nNot registered: the service predicts probabilities, not times.",
    }
    name = model_run_name(family, rows.blocks)
    with tracking.child_run(name, tags, params) as run_id, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tracking.log_table(rows.table, rows.outcome, rows.y)
        headline = interval_metrics({**metrics, "c": concordance})
        tracking.log_metrics(run_id, {"patients": len(rows.table), "events": rows.events, **headline})
        per_centre.to_csv(folder / "per_centre.csv", index=False)
        _prediction_table(rows, names, repeats[scheme]).to_parquet(folder / "held_out_predictions.parquet", index=False)
        _settings_table(held_out).to_csv(folder / "settings.csv", index=False)
        _write_incidence_by_risk(folder, rows, name, names, repeats[scheme][0])
        tracking.log_folder(run_id, folder)
    return SurvivalModel(
        family, rows.blocks, run_id, len(rows.table), rows.events, scheme, metrics, per_centre, sentence
    )


def _per_cohort(rows: SurvivalRows, names: Names, repeats: Sequence[RepeatPredictions]) -> pd.DataFrame:
    events = rows.y[:, 1] == EVENT
    cohorts = []
    for name in dict.fromkeys(names[repeats[0].rows].tolist()):
        predictions = [repeat.take(names[repeat.rows] == name) for repeat in repeats]
        cohorts.append(
            {
                "cohort": name,
                "patients": int((names == name).sum()),
                "events": int(events[names == name].sum()),
                **interval_metrics(survival_scores(rows.y, names, predictions)),
            }
        )
    return pd.DataFrame(cohorts)


def _prediction_table(rows: SurvivalRows, names: Names, repeats: Sequence[RepeatPredictions]) -> pd.DataFrame:
    patients = np.array(tracking.masked_patients(rows.table))
    tables = [
        pd.DataFrame(
            {
                "patient": patients[predictions.rows],
                "cohort": names[predictions.rows],
                "repeat": repeat,
                "days": rows.y[predictions.rows, 0],
                "event": rows.y[predictions.rows, 1],
                "margin": predictions.margin,
                **{f"risk_{months}m": predictions.risk[:, k] for k, months in enumerate(HORIZONS)},
            }
        )
        for repeat, predictions in enumerate(repeats)
    ]
    return pd.concat(tables, ignore_index=True)


def _settings_table(held_out: Sequence[SurvivalHeldOut]) -> pd.DataFrame:
    return pd.DataFrame([{"scheme": item.fold.scheme, "fold": item.fold.name, **item.setting} for item in held_out])


def _write_incidence_by_risk(
    folder: Path, rows: SurvivalRows, model: str, names: Names, predictions: RepeatPredictions
) -> None:
    thirds = _thirds(predictions.margin, names[predictions.rows])
    curves = {label: rows.y[predictions.rows[thirds == k]] for k, label in enumerate(RISK_LABELS)}
    simulated = " (simulated)" if rows.table.simulated else ""
    write_incidence_figure(folder, "incidence_by_risk", f"{rows.outcome}, {model}{simulated}, held-out risk", curves)


def _thirds(margin: Vector, names: Names) -> Positions:
    """Return each row's third of its cohort's log-hazards, 0 to 2, (n_rows,)."""
    rank = pd.Series(margin).groupby(names).rank(method="first", pct=True).to_numpy()
    return np.ceil(3 * rank).astype(np.intp) - 1
