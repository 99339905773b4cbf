"""What if chosen reasons were typical, or as after a transplant: what can be chosen, and what the models predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.columns import Column
from features.errors import InputError
from features.outcomes import Side, side_of
from features.plain_names import profiler_title
from models.donors import DonorStool
from models.engraftment import EngraftmentBundle
from models.patient_input import Candidate, StoolProfile
from models.predict import ServedModel
from models.prediction import Use, use_of
from models.what_if import ProbabilityShift, WhatIf, expected_stool, median_targets, training_distributions, what_if
from serving.pages.catalogue import Ink, ink_of
from serving.pages.choices import Choices
from serving.pages.drawings.waterfall import Waterfall


@dataclass(frozen=True)
class Donors:
    """The donors of a clinic, and the model that expects the stool after a transplant; None where none is served."""

    stools: tuple[DonorStool, ...] = ()
    engraftment: EngraftmentBundle | None = None

    @property
    def cleared(self) -> dict[str, DonorStool]:
        """The donors who can be compared, by name; empty where there is a reason against it."""
        return {} if self.no_comparison_reason else {item.name: item for item in self._screened}

    @property
    def no_comparison_reason(self) -> str:
        """Why no donors are compared; empty where they are."""
        if not self.stools:
            return "the cohort has no donor with stool"
        if self.engraftment is None:
            return "no engraftment model is served"
        if not self._screened:
            return "none was cleared by screening"
        learnt_from = self.engraftment.evidence.profiler
        profilers = {item.profile.profiler for item in self._screened}
        if learnt_from is not None and profilers == {learnt_from}:
            return ""
        titles = " and ".join(sorted(map(_title, profilers)))
        return f"their stool was profiled with {titles}, that of the engraftment model with {_title(learnt_from)}"

    def no_comparison_reason_for(self, stool: StoolProfile | None) -> str:
        """Return why no donors are compared for the recipient of this stool; empty where they are."""
        if self.no_comparison_reason or self.engraftment is None:
            return self.no_comparison_reason
        if stool is None:
            return "no stool of this patient was profiled"
        learnt_from = self.engraftment.evidence.profiler
        if stool.profiler == learnt_from:
            return ""
        return (
            f"this patient's stool was profiled with {_title(stool.profiler)}, that of the engraftment model with "
            f"{_title(learnt_from)}"
        )

    @property
    def _screened(self) -> list[DonorStool]:
        return [item for item in self.stools if item.exclusion is None]


def _title(profiler: str | None) -> str:
    return profiler_title(profiler) if profiler else "a profiler that is not stated"


@dataclass(frozen=True)
class ReasonOption:
    """A reason that can be changed."""

    key: str
    name: str
    block: str


@dataclass(frozen=True)
class ShiftView:
    """What the model of one side predicts before and after.

    Attributes
    ----------
    side : Side
    shift : ProbabilityShift
    use : Use
    ink : Ink
        Colour of the shift.
    reason : str or None
        Why the page shows no difference: the model has none, or a prediction that it joins is not confirmed.
    """

    side: Side
    shift: ProbabilityShift
    use: Use
    ink: Ink
    reason: str | None


@dataclass(frozen=True)
class WhatIfView:
    """The content of the panel.

    Attributes
    ----------
    reasons : tuple of ReasonOption
        Those of either outcome, the largest change of a probability first.
    donors : tuple of str
        Donors whose transplant can be chosen.
    donor : str
        The chosen donor, or empty.
    comparison : WhatIf or None
        None where nothing is chosen, or for `problem`.
    shifts : tuple of ShiftView
        Of the comparison.
    problem : str or None
        Why the choice cannot be compared.
    """

    reasons: tuple[ReasonOption, ...]
    donors: tuple[str, ...]
    donor: str
    comparison: WhatIf | None
    shifts: tuple[ShiftView, ...]
    problem: str | None


def what_if_view(
    served: Mapping[str, ServedModel],
    candidate: Candidate,
    waterfalls: Sequence[Waterfall],
    choices: Choices,
    donors: Donors,
) -> WhatIfView | None:
    """Return the panel; None where no reason can be changed.

    Parameters
    ----------
    served : mapping of str to ServedModel
        The models that predict, by outcome.
    candidate : Candidate
    waterfalls : sequence of Waterfall
        The reasons that the page shows.
    choices : Choices
    donors : Donors
    """
    distributions = training_distributions(list(served.values()))
    steps = sorted(
        (step for item in waterfalls for step in item.steps if step.name), key=lambda step: -abs(step.change)
    )
    columns = dict.fromkeys(Column.from_name(step.block, step.name) for step in steps)
    reasons = tuple(
        ReasonOption(column.text, column.field, column.block)
        for column in columns
        if median_targets(distributions, column)
    )
    if not reasons:
        return None
    comparison, problem = None, None
    if choices.changes:
        try:
            comparison = _compare(served, candidate, choices, donors)
        except InputError as error:
            problem = str(error)
    shifts = comparison.shifts if comparison else ()
    return WhatIfView(
        reasons,
        tuple(donors.cleared),
        choices.donor,
        comparison,
        tuple(_shift_view(served[shift.outcome], shift) for shift in shifts),
        problem,
    )


def _shift_view(served: ServedModel, shift: ProbabilityShift) -> ShiftView:
    evidence = served.model.evidence
    use, ink = use_of(shift.trust.verdict, evidence), ink_of(shift.outcome, evidence)
    return ShiftView(side_of(shift.outcome), shift, use, ink, shift.reason or shift.unconfirmed_reason)


def _compare(served: Mapping[str, ServedModel], candidate: Candidate, choices: Choices, donors: Donors) -> WhatIf:
    stool_after = None
    if choices.donor:
        donor = donors.cleared.get(choices.donor)
        if donor is None or donors.engraftment is None:
            raise InputError(f"donor: expected one of {', '.join(donors.cleared) or 'none'}, got {choices.donor!r}")
        stool_after = expected_stool(donors.engraftment, candidate, donor.profile)
    models = {outcome: [model] for outcome, model in served.items()}
    return what_if(models, candidate, choices.changes, stool_after)
