"""The report of an upload: how each item was read, and the problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, Unpack

from serving.upload.form import Form
from serving.upload.titles import TITLES, ProblemKind
from serving.upload.training_columns import TrainingColumns

Topic = Literal["file", "encoding", "sample", "rank", "unit", "taxa", "profiler", "recognised", "analyte", "clinical"]


class Place(TypedDict, total=False):
    """Where a problem is: file as named by the user, line counted from 1, column, and the outcomes concerned."""

    file: str | None
    row: int | None
    column: str | None
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Interpretation:
    """How one item was read.

    Attributes
    ----------
    topic : Topic
        Kind of item.
    value : str
        What the item was read as.
    note : str
        How that was decided, or the range of the training patients.
    file : str
        Name of the file.
    models : tuple of str
        For "recognised", the models that recognise so much, such as "toxicity_any 3".
    """

    topic: Topic
    value: str
    note: str
    file: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class UploadProblem:
    """A value that cannot be read, or that a model cannot use.

    Attributes
    ----------
    kind : ProblemKind
        Code of the problem, such as "swapped_unit".
    severity : {'error', 'warning'}
        An error prevents the prediction, a warning does not.
    observed, requirement, advice : str
        What the file has, what was expected, and what to do.
    file : str, optional
        Name of the file.
    row : int, optional
        Line of the file, counted from 1.
    column : str, optional
        Name of the column.
    outcomes : tuple of str
        Outcomes whose models are concerned; empty for all.
    """

    kind: ProblemKind
    severity: Literal["error", "warning"]
    observed: str
    requirement: str
    advice: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    outcomes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is wrong, in a line."""
        return TITLES[self.kind]


class UnreadableFile(Exception):
    """A file cannot be read further because of this problem."""

    def __init__(self, kind: ProblemKind, observed: str, requirement: str, advice: str, **place: Unpack[Place]) -> None:
        super().__init__(observed)
        self.problem = UploadProblem(kind, "error", observed, requirement, advice, **place)


@dataclass
class Report:
    """The report while the files are read.

    Attributes
    ----------
    form : Form
    training : TrainingColumns
        Columns of the served models, with which the files are compared.
    interpretations : list of Interpretation
    problems : list of UploadProblem
    samples : tuple of str
        Samples of the stool table.
    """

    form: Form
    training: TrainingColumns
    interpretations: list[Interpretation] = field(default_factory=list)
    problems: list[UploadProblem] = field(default_factory=list)
    samples: tuple[str, ...] = ()

    def interpret(self, topic: Topic, value: str, note: str, file: str, models: Sequence[str] = ()) -> None:
        """Add how an item was read."""
        self.interpretations.append(Interpretation(topic, value, note, file, tuple(models)))

    def stop(self, kind: ProblemKind, observed: str, requirement: str, advice: str, **place: Unpack[Place]) -> None:
        """Add a problem that prevents the prediction."""
        self.problems.append(UploadProblem(kind, "error", observed, requirement, advice, **place))

    def warn(self, kind: ProblemKind, observed: str, requirement: str, advice: str, **place: Unpack[Place]) -> None:
        """Add a problem that does not prevent the prediction."""
        self.problems.append(UploadProblem(kind, "warning", observed, requirement, advice, **place))
