"""What the record keeps of an answer, without the models that gave it: to verify the record, none is needed."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from models.prediction import Verdict


@dataclass(frozen=True)
class RecordedProbability:
    """One probability of an answer.

    Attributes
    ----------
    outcome : str
    case : str
        What it is predicted for: "as measured", "as changed", "donor NAME", or "list" for the list of candidates.
    model, version : str
        Name and version in the registry.
    probability : float or None
        None where the model abstains. A page shows none where the model learnt from the patient; the record has it.
    verdict : {"ok", "use with care", "abstain"} or None
        None where the answer states none for this case.
    """

    outcome: str
    case: str
    model: str
    version: str
    probability: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class SealedContent:
    """What is encrypted under the patient's key.

    Attributes
    ----------
    answer : tuple of RecordedProbability
    inputs : str or None
        None where the operator keeps the digest only.
    """

    answer: tuple[RecordedProbability, ...]
    inputs: str | None


SEALED: TypeAdapter[SealedContent] = TypeAdapter(SealedContent)
