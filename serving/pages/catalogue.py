"""The served models as the pages use them: one response and one toxicity, predicted together."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from features.measured_values import MeasuredValue
from features.outcomes import Side, is_toxicity, side_of, term_of
from features.units import ImmuneUnit
from models.evidence import Evidence, JointTable, NumericDistribution
from models.patient_input import Candidate, Measurement, StoolProfile
from models.predict import ModelsByOutcome, ServedModel, every_model, predict
from models.prediction import Prediction
from serving.errors import NotServed

Ink = Literal["response", "toxicity", "quiet"]
"""Colour of a number: that of its side, or grey where no evidence stands behind it."""

_MAX_EXAMPLE_TAXA = 60


@dataclass(frozen=True)
class Fallback:
    """A model that predicts in place of the first choice, of which the patient lacks a block.

    Attributes
    ----------
    first_choice, blocks : tuple of str
        Blocks of the first choice, and of the model that predicts.
    """

    first_choice: tuple[str, ...]
    blocks: tuple[str, ...]

    @property
    def label(self) -> str:
        """What the model reads, in two or three words: `taxa only`."""
        return f"{' + '.join(self.blocks)} only"

    @property
    def sentence(self) -> str:
        """Which model predicts and why, without a full stop."""
        absent = [block for block in self.first_choice if block not in self.blocks]
        reason = (
            f"no {' and no '.join(absent)} measurements of it were reported"
            if absent
            else "its blocks lack measurements"
        )
        return (
            f"second choice of model, of {' + '.join(self.blocks)} alone: the first choice reads "
            f"{' + '.join(self.first_choice)}, and {reason}"
        )


@dataclass(frozen=True)
class OutcomeChoice:
    """The outcomes of one side of which pages show one.

    Attributes
    ----------
    side : Side
    outcomes : dict of str to str
        All that are served, with their definition in the field's abbreviations.
    current : str
        The one that is shown.
    """

    side: Side
    outcomes: dict[str, str]
    current: str


def _term(outcome: str, models: Sequence[ServedModel]) -> str:
    """Return an outcome's definition in abbreviations, with the horizon that its models share."""
    horizons = {served.model.evidence.horizon for served in models}
    return term_of(outcome, horizons.pop() if len(horizons) == 1 else None)


class Catalogue:
    """The served models.

    Parameters
    ----------
    models : ModelsByOutcome
    mlflow_ui : str
        Address of the MLflow UI, for links to runs; empty for no links.
    preferred : collection of str
        Outcomes to show in place of the first of their side; others than the served ones have no effect.

    Attributes
    ----------
    models : ModelsByOutcome
    served : tuple of ServedModel
        All models.
    terms : dict of str to str
        Each outcome's definition in the field's abbreviations.
    choices : tuple of OutcomeChoice
        Response and toxicity, in this order, as far as they have models.
    """

    def __init__(self, models: ModelsByOutcome, mlflow_ui: str = "", preferred: Collection[str] = ()) -> None:
        self.models = models
        self._mlflow_ui = mlflow_ui
        self.served = tuple(every_model(models))
        sides: tuple[Side, ...] = ("response", "toxicity")
        self.terms = {outcome: _term(outcome, ranked) for outcome, ranked in models.items()}
        outcomes_by_side = {
            side: {name: term for name, term in self.terms.items() if side_of(name) == side} for side in sides
        }
        self.choices = tuple(
            OutcomeChoice(side, outcomes, next((name for name in outcomes if name in preferred), next(iter(outcomes))))
            for side, outcomes in outcomes_by_side.items()
            if outcomes
        )
        self._by_version = {(served.name, served.version): served for served in self.served}

    def preferring(self, outcomes: Collection[str]) -> Catalogue:
        """Return the catalogue that shows these outcomes."""
        return Catalogue(self.models, self._mlflow_ui, outcomes)

    @property
    def shown_outcomes(self) -> tuple[str, ...]:
        """The shown response and the shown toxicity; at most two outcomes."""
        return tuple(choice.current for choice in self.choices)

    @property
    def best(self) -> tuple[ServedModel, ...]:
        """The best model of each shown outcome."""
        return tuple(self.models[outcome][0] for outcome in self.shown_outcomes)

    @property
    def is_simulated(self) -> bool:
        """Whether any model learnt from simulated patients."""
        return any(served.model.simulated for served in self.served)

    @property
    def are_both_promoted(self) -> bool:
        """Whether both best models are promoted, without which no patient is ranked or weighed."""
        return len(self.shown_outcomes) == 2 and all(is_promoted(served.alias) for served in self.best)

    def find(self, name: str, version: str) -> ServedModel:
        """Return the model of this name and version.

        Raises
        ------
        NotServed
            There is none.
        """
        if (name, version) not in self._by_version:
            raise NotServed(f"no model {name!r} of version {version!r} is served")
        return self._by_version[name, version]

    def run_url(self, served: ServedModel) -> str | None:
        """Return the address of the run that trained a model; None without an MLflow UI."""
        if not self._mlflow_ui or not served.run_id:
            return None
        experiment = f"experiments/{served.experiment_id}/" if served.experiment_id else ""
        # Without its query, MLflow opens for generative AI.
        return f"{self._mlflow_ui}/#/{experiment}runs/{served.run_id}?workflowType=machine_learning"

    def predict(self, candidate: Candidate) -> tuple[Prediction, ...]:
        """Predict each shown outcome.

        Raises
        ------
        InputError
            A value of the candidate cannot be read.
        """
        return tuple(predict(self.models[outcome], candidate) for outcome in self.shown_outcomes)

    def fallback(self, prediction: Prediction) -> Fallback | None:
        """Return which model predicts where it is not the first choice of its landmark; None where it is."""
        first_choice = next(
            served
            for served in self.models[prediction.outcome]
            if served.model.evidence.landmark == prediction.landmark.day
        )
        if first_choice.reference == prediction.model:
            return None
        return Fallback(first_choice.model.blocks, prediction.model.blocks)

    def joint_counts(self) -> JointTable | None:
        """Return the training patients cross-classified by the pair, from the model with more of them; None if none.

        A model of response counts adverse events of any day: it counts where no model of toxicity has another horizon.
        """
        tables = [
            table
            for served in self.best
            if served.model.validation is not None
            and (is_toxicity(served.model.outcome) or all(item.model.evidence.horizon is None for item in self.best))
            for table in served.model.validation.response_and_toxicity.tables
            if (table.response, table.toxicity) == self.shown_outcomes
        ]
        return max(tables, key=lambda table: table.overall.patients, default=None)

    def centre_title(self, centre: str) -> str:
        """Return the title of a training centre of the best models, as `Evidence.centre_title` does."""
        titles = (served.model.evidence.centre_title(centre) for served in self.best)
        return next((title for title in titles if title != centre), centre)

    def example_candidate(self) -> Candidate:
        """Return a candidate with the median of the most prevalent taxa, and of the analytes and clinical numbers.

        Raises
        ------
        NotServed
            The models report no median, as of few training patients.
        """
        taxa: dict[str, float] = {}
        immune: dict[str, Measurement] = {}
        clinical: dict[str, float | str | bool | None] = {}
        for served in self.best:
            if served.model.validation is None:
                continue
            distributions = served.model.validation.distributions
            by_prevalence = sorted(distributions.taxa.items(), key=lambda item: -item[1].prevalence)
            medians = {name: (distribution.quantiles or {}).get(50) for name, distribution in by_prevalence}
            detected = [(name, median) for name, median in medians.items() if median]
            taxa = taxa or dict(detected[:_MAX_EXAMPLE_TAXA])
            for column, distribution in distributions.clinical.items():
                if isinstance(distribution, NumericDistribution) and distribution.quantiles:
                    clinical.setdefault(column, distribution.quantiles[50])
            for analyte, distribution in distributions.immune.items():
                if (median := (distribution.quantiles or {}).get(50)) is not None:
                    reading = MeasuredValue(median, "", math.nan)
                    immune.setdefault(analyte, Measurement(analyte, reading, cast(ImmuneUnit, distribution.unit)))
        if not taxa and not immune and not clinical:
            raise NotServed(
                "the models report no medians to make an example of, since they were trained on too few patients; "
                "upload a patient's files instead"
            )
        total = sum(taxa.values())
        profilers = [profiler for served in self.best for profiler in served.model.profilers]
        proportions = {name: median / total for name, median in taxa.items()}
        profiler = profilers[0] if profilers else None
        profile = StoolProfile(proportions, "proportions", profiler) if taxa else None
        return Candidate(clinical, profile, tuple(immune.values()))


def is_promoted(alias: str) -> bool:
    """Return whether a registry alias is that of a promoted model."""
    return alias.partition("-")[0] == "champion"


def ink_of(outcome: str, evidence: Evidence) -> Ink:
    """Return the colour of a prediction: its side's, or grey where the model does not discriminate."""
    return "quiet" if evidence.beats_chance is False else side_of(outcome)
