"""The same question once more: what the recorded models predict today, beside what they predicted then."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from features.errors import InputError
from models.patient_input import Candidate
from models.predict import ServedModel, predict
from serving.record.answer import RecordedProbability
from serving.record.chain import Entry
from serving.record.question import INPUTS, Inputs
from serving.record.store import RecordStore

TOLERANCE = 1e-6
"""Largest difference of two probabilities that count as the same; XGBoost's contributions have float32's precision."""


@dataclass(frozen=True)
class ReplayedProbability:
    """One probability, then and now.

    Attributes
    ----------
    recorded : RecordedProbability
    probability : float or None
        Predicted now.
    verdict : str or None
        Of the prediction now.
    """

    recorded: RecordedProbability
    probability: float | None
    verdict: str | None

    @property
    def is_same(self) -> bool:
        """Whether probability and verdict are those of the record."""
        then, now = self.recorded.probability, self.probability
        is_repeated = then is now if then is None or now is None else abs(then - now) <= TOLERANCE
        return is_repeated and self.recorded.verdict in (None, self.verdict)


@dataclass(frozen=True)
class Replay:
    """A recorded question, asked once more.

    Attributes
    ----------
    entry : Entry
    probabilities : tuple of ReplayedProbability
    not_replayed : tuple of RecordedProbability
        Those of changed measurements and of donors, which are not computed anew.
    """

    entry: Entry
    probabilities: tuple[ReplayedProbability, ...]
    not_replayed: tuple[RecordedProbability, ...]

    @property
    def is_same(self) -> bool:
        """Whether every probability is that of the record."""
        return all(item.is_same for item in self.probabilities)


def replay(
    store: RecordStore,
    number: int,
    find_model: Callable[[str, str], ServedModel],
    candidate: Candidate | None = None,
) -> Replay:
    """Predict anew what an entry records, by the versions of the models that it names.

    Parameters
    ----------
    store : RecordStore
    number : int
        Of the entry.
    find_model : callable
        Returns the model of a name and version.
    candidate : Candidate, optional
        The question as it was sent, where the record keeps only its digest.

    Raises
    ------
    NotServed
        There is no such entry.
    InputError
        The entry cannot be opened; or it keeps no inputs and none were given; or those given are not of this entry.
    ModelMissing
        A version is no longer registered.
    """
    entry, patient_key, content = store.open_entry(number)
    if candidate is not None:
        inputs = Inputs(candidate)
        if not hmac.compare_digest(hmac.digest(patient_key, inputs.to_json(), "sha256"), entry.digest):
            raise InputError(f"the request is not the one of entry {number}: its digest is another")
    elif content.inputs is None:
        raise InputError(
            f"entry {number} keeps the digest of its inputs only; give the request as it was sent, with --request FILE"
        )
    else:
        inputs = INPUTS.validate_json(content.inputs)
    as_measured = [item for item in content.answer if item.case == "as measured"]
    return Replay(
        entry,
        tuple(_predict_again(item, inputs.candidate, find_model) for item in as_measured),
        tuple(item for item in content.answer if item.case != "as measured"),
    )


def _predict_again(
    recorded: RecordedProbability, candidate: Candidate, find_model: Callable[[str, str], ServedModel]
) -> ReplayedProbability:
    prediction = predict([find_model(recorded.model, recorded.version)], candidate)
    verdict = None if recorded.verdict is None else prediction.trust.verdict
    return ReplayedProbability(recorded, prediction.probability, verdict)
