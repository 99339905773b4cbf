"""The registered models of the other side, whose held-out predictions an experiment joins to its own."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from features.errors import ModelMissing
from features.feature_table import FeatureTable
from features.outcomes import is_toxicity
from models.registry import ServedVersion, registered_name, served_versions
from training import tracking
from training.evidence.joint_cells import Counterpart
from training.experiment.model_run import VALIDATION


def registered_counterparts(table: FeatureTable, outcome: str, landmark: float) -> tuple[Counterpart, ...]:
    """Return the held-out predictions of the other side's registered models of the same landmark, for these patients.

    Parameters
    ----------
    table : FeatureTable
    outcome : str
        Of the experiment.
    landmark : float
    """
    try:
        versions = served_versions()
    except ModelMissing:
        return ()
    return tuple(_counterparts(table, outcome, landmark, versions))


def _counterparts(
    table: FeatureTable, outcome: str, landmark: float, versions: list[ServedVersion]
) -> Iterator[Counterpart]:
    patients = list(zip(table.rows["cohort"], table.rows["patient"], strict=True))
    patient_by_mask = dict(zip(tracking.masked_patients(table), patients, strict=True))
    outcomes_read: set[str] = set()
    for version in versions:
        is_other = is_toxicity(version.outcome) != is_toxicity(outcome)
        # The first version of a name is the one that is served to whoever has all measurements.
        if (
            not is_other
            or version.outcome in outcomes_read
            or version.name != registered_name(version.outcome, landmark)
        ):
            continue
        outcomes_read.add(version.outcome)
        predictions = tracking.load_held_out(version.run_id) if version.run_id else None
        if predictions is not None and not _counts_by_a_day(version.run_id):
            probability = _by_patient(predictions, patient_by_mask)
            yield Counterpart(version.outcome, f"{version.name}/{version.version}", probability)


def _counts_by_a_day(run_id: str) -> bool:
    """Return whether a run's model counts adverse events by a day; the evidence of a response has those of any day."""
    match tracking.load_json(run_id, VALIDATION):
        case {"evidence": {"by_day": float()}}:
            return True
    return False


def _by_patient(predictions: pd.DataFrame, patient_by_mask: dict[str, tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Return the mean probability of each patient under the scheme that evidence rests on."""
    scheme = "loco" if (predictions["scheme"] == "loco").any() else "cv"
    means = predictions[predictions["scheme"] == scheme].groupby("patient")["probability"].mean()
    return {patient_by_mask[mask]: float(value) for mask, value in means.items() if mask in patient_by_mask}
