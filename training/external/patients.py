"""The patients of a validation: labelled, of the model's question, and none that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Mask
from features.cohort import Cohort
from features.errors import InputError, OutcomeError
from features.feature_table import FeatureTable
from features.landmark import DEFAULT_WINDOW, LandmarkSpec, landmark_table
from features.outcomes import is_toxicity
from models.batch import table_candidates
from models.predict import ServedModel, predict
from models.prediction import Prediction
from training.experiment.eligibility import eligible_rows, require_dated_events, require_definition
from training.progress import Progress

MOST_TRAINING_PATIENTS = 0.1
"""Share of patients with a profile of the training set up to which they are excluded; above it the cohort is refused,
since a cohort that shares so many patients with the training cohorts is one of them, and all of it may be."""


@dataclass(frozen=True)
class LabelledPatients:
    """Patients with a known outcome, and the model's predictions of them, in the same order.

    Attributes
    ----------
    table : FeatureTable
    predictions : tuple of Prediction
    excluded : int
        Further patients, left out since their profile is in the training set.
    notes : tuple of str
        Remarks on the data.
    """

    table: FeatureTable
    predictions: tuple[Prediction, ...]
    excluded: int
    notes: tuple[str, ...]


def labelled_table(served: ServedModel, cohort: Cohort) -> tuple[FeatureTable, tuple[str, ...]]:
    """Return the labelled patients of a cohort at the model's landmark, and remarks.

    Raises
    ------
    InputError
        The cohort counts its days on another clock, or is a training cohort that no profile can tell from another.
    OutcomeError
        The cohort does not define the outcome, or it is known of no patient.
    """
    model, evidence = served.model, served.model.evidence
    require_definition([cohort], model.outcome)
    require_dated_events([cohort], model.outcome, evidence.horizon)
    if cohort.manifest.clock.name not in evidence.clocks:
        clocks = " and ".join(evidence.clocks)
        raise InputError(
            f"{cohort.name} counts its days on {cohort.manifest.clock.name}, the model on {clocks}: its outcome is "
            "another one. Validate on a cohort of the model's clock"
        )
    notes = _require_unseen_names(served, cohort)
    if is_toxicity(model.outcome) and evidence.by_day is None:
        notes.append("the model does not report by which day adverse events counted; here they count on any day")
    # Bundles of protocols 1 and 2 do not report their window.
    spec = LandmarkSpec(landmark=evidence.landmark, window=evidence.window or DEFAULT_WINDOW, by_day=evidence.horizon)
    table, exclusions = eligible_rows(landmark_table(cohort, spec), model.outcome)
    if not len(table):
        raise OutcomeError(
            f"{cohort.name}: {model.outcome} is known of no patient with stool by day {evidence.landmark:g} "
            f"({'; '.join(exclusions)})"
        )
    return table, (*notes, *table.notes, *exclusions)


def _require_unseen_names(served: ServedModel, cohort: Cohort) -> list[str]:
    """Raise InputError where names alone show that the model was trained on these patients; return remarks."""
    training_cohorts = {row.name for row in served.model.evidence.cohorts}
    if twins := sorted(training_cohorts & set(cohort.manifest.same_patients_as)):
        raise InputError(f"{cohort.name} holds the same patients as {twins[0]}, on which the model was trained")
    if served.model.reference is not None:
        if cohort.name in training_cohorts:
            return [f"{cohort.name}: a training cohort has the same name; its profiles are compared, not the name"]
        return []
    if cohort.name in training_cohorts:
        raise InputError(f"{cohort.name} is one of the cohorts that the model was trained on; name another")
    return [
        f"{cohort.name}: the model keeps no profiles, so that training patients are recognised by cohort name alone"
    ]


def predict_unseen(
    served: ServedModel, table: FeatureTable, notes: Sequence[str], progress: Progress
) -> LabelledPatients:
    """Predict every patient as the server does, and leave out those whose profile is in the training set.

    Raises
    ------
    InputError
        More than `MOST_TRAINING_PATIENTS` of the patients are in the training set.
    """
    (name,) = table.cohorts
    progress.begin(f"predicting patients of {name}", len(table))
    predictions = []
    for candidate in table_candidates(table):
        predictions.append(predict([served], candidate))
        progress.advance()
    unseen: list[bool] = [prediction.trust.in_training_set is not True for prediction in predictions]
    n_training = len(unseen) - sum(unseen)
    if n_training > MOST_TRAINING_PATIENTS * len(table):
        raise InputError(
            f"{name}: the stool profiles of {n_training} of {len(table)} labelled patients are in the model's training "
            f"set, under this name or another; at most {MOST_TRAINING_PATIENTS:.0%} are left out and counted. Name a "
            "cohort that the model was not trained on, or train it without these patients"
        )
    mask: Mask = np.array(unseen)
    remaining = tuple(prediction for prediction, is_unseen in zip(predictions, unseen, strict=True) if is_unseen)
    return LabelledPatients(table.take(mask), remaining, n_training, tuple(notes))
