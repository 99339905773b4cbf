"""Reports of experiments: the models that were compared, and the gates of a promotion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from models.evidence import Estimate, IncompleteCohort, Validation
from taxokine.terminal import table
from training.evidence.sentence import cohort_counts, source_unit

COLUMNS_SHOWN = 12
"""Columns that are named of those that a cohort lacks."""

if TYPE_CHECKING:
    from training.evidence.promotion import Promotion
    from training.experiment import ExperimentResult
    from training.survival import SurvivalResult


def result_report(result: ExperimentResult) -> Iterator[RenderableType]:
    """Yield an experiment's models as a table, the best first, and what limits what they show."""
    best = result.trained[0]
    name, validation = f"{best.family} on {'+'.join(best.blocks)}", best.validation
    yield _models(result)
    yield ""
    yield f"{name}, {cohort_counts(validation.evidence)}: each centre, and the same patients by the baselines"
    yield _centres_and_baselines(validation)
    yield from map(_incomplete_cohort, validation.incomplete_cohorts)
    yield ""
    if validation.without_cohort:
        yield from _without_cohort(name, validation)
        yield ""
    yield _registration(result)
    yield f"evidence: {validation.evidence.sentence}"
    yield (
        f"chosen from {validation.evidence.models_compared} models by this same AUROC, which flatters it; "
        f"{validation.prior_experiments.experiments} prior experiments on these data tried "
        f"{validation.prior_experiments.models} more"
    )
    yield from (f"note: {note}" for note in result.notes)
    yield f"run {result.run_id}; compare the runs with 'taxokine ui'"


def _models(result: ExperimentResult) -> Table:
    models = table(
        "family", "blocks", "patients", "events", "served AUROC (95%)", "of the margin", "new centre (95%)", "p",
        "gain over covariates (95%)", "conditional p", "Brier",
        numbers=("patients", "events", "of the margin", "p", "conditional p", "Brier"),
    )  # fmt: skip
    for trained in result.trained:
        validation = trained.validation
        evidence, mean, gain = validation.evidence, validation.random_effects, validation.gain
        test = validation.permutation
        models.add_row(
            trained.family if trained.model is not None else f"{trained.family} (compared only)",
            "+".join(trained.blocks),
            str(evidence.patients),
            str(evidence.events),
            _estimate(evidence.held_out_auroc),
            _number(evidence.margin_auroc.value),
            _interval(mean.prediction_low, mean.prediction_high),
            "–" if test is None else f"{test.model.p:.3f}",
            "–" if gain is None else _estimate(gain.difference, "+"),
            "–" if test is None or test.conditional is None else f"{test.conditional.p:.3f}",
            _number(validation.within_centres.brier),
        )
    return models


def _centres_and_baselines(validation: Validation) -> Table:
    centres = table("", "patients", "events", "served AUROC (95%)", "Brier", numbers=("patients", "events", "Brier"))
    for row in validation.per_centre:
        estimate = _estimate(row.auroc)
        centres.add_row(f"  {row.centre}", str(row.patients), str(row.events), estimate, _number(row.brier))
    prevalence = _number(validation.within_centres.prevalence_brier)
    centres.add_row("  each centre's own prevalence", str(validation.evidence.patients), "", "0.500", prevalence)
    for baseline in validation.baselines:
        estimate = _estimate(baseline.auroc)
        centres.add_row(f"  {baseline.name}", str(baseline.patients), "", estimate, _number(baseline.brier))
    for block in validation.without_block:
        patients, events = str(validation.evidence.patients), str(validation.evidence.events)
        estimate = _estimate(block.auroc)
        centres.add_row(f"  the model without {block.block}", patients, events, estimate, _number(block.brier))
    return centres


def survival_report(result: SurvivalResult) -> Iterator[RenderableType]:
    """Yield a time-to-event experiment's models as a table, the best first, and the cumulative incidence."""
    models = table("family", "blocks", "patients", "events", "held-out C (95%)", numbers=("patients", "events"))
    for trained in result.trained:
        concordance = trained.concordance
        models.add_row(
            trained.family,
            "+".join(trained.blocks),
            str(trained.patients),
            str(trained.events),
            _three_numbers(concordance.value, concordance.low, concordance.high),
        )
    yield models
    yield ""
    incidence = table("month", f"{result.outcome}, cumulative incidence (95%)", "", numbers=("month",))
    estimable = result.incidence.dropna()
    estimates = estimable[["incidence", "incidence_low", "incidence_high"]].to_numpy(dtype=float).tolist()
    for months, estimate, censoring in zip(estimable["months"], estimates, estimable["censoring"], strict=True):
        incidence.add_row(f"{months:g}", _three_numbers(*estimate), censoring)
    yield incidence
    yield ""
    yield f"evidence: {result.trained[0].sentence}"
    yield from (f"note: {note}" for note in result.notes)
    yield f"run {result.run_id}; compare the runs with 'taxokine ui'"


def promotion_report(promotion: Promotion) -> Iterator[RenderableType]:
    """Yield a promotion's gates: the result of each, what it needs, and why a failed gate matters."""
    yield Text(f"{promotion.name}/{promotion.version}{' (simulated data)' if promotion.simulated else ''}", "bold")
    yield ""
    gates = table("", "gate", "result", "required", "reason")
    for gate in promotion.gates:
        mark = Text("pass", "green") if gate.passed else Text("FAIL", "bold red")
        gates.add_row(mark, gate.name, gate.result, gate.requirement, "" if gate.passed else gate.reason)
    yield gates
    passed = sum(gate.passed for gate in promotion.gates)
    decision = (
        "promoted: this version is now the champion"
        if promotion.granted
        else "refused: the alias champion does not move"
    )
    yield ""
    yield f"{passed} of {len(promotion.gates)} gates passed; {decision}"


def _without_cohort(name: str, validation: Validation) -> Iterator[RenderableType]:
    """Yield the held-out performance of a model without each cohort, or each centre of a single one, in turn."""
    yield f"{name}: the same predictions without each {source_unit(validation.evidence)}'s patients"
    columns = ("patients", "served AUROC (95%)", "gain over covariates (95%)", "p")
    rows = table("without", *columns, numbers=("patients", "p"))
    for row in validation.without_cohort:
        p = _number(row.permutation_p)
        rows.add_row(f"  {row.cohort}", str(row.patients), _estimate(row.auroc), _estimate(row.gain, "+"), p)
    yield rows


def _incomplete_cohort(cohort: IncompleteCohort) -> str:
    """Return which patients of a cohort a model does not know, and which columns they lack."""
    columns, n_more = ", ".join(cohort.columns[:COLUMNS_SHOWN]), len(cohort.columns) - COLUMNS_SHOWN
    measurements = (
        f"{' and '.join(cohort.blocks)} measurements (any of {columns}{f' and {n_more} more' * (n_more > 0)})"
    )
    if cohort.excluded == cohort.patients:
        return f"not in this model: {cohort.cohort}, none of its {cohort.patients} patients has {measurements}"
    patients = f"{cohort.excluded} of its {cohort.patients} patients"
    return f"{cohort.cohort}: {patients} are not in this model without {measurements}"


def _registration(result: ExperimentResult) -> str:
    """Return which model is registered as candidate, under the name by which commands take it."""
    from models.registry import registered_name

    models = [trained.model for trained in result.trained if trained.model is not None]
    if not models:
        return f"{result.outcome}: no model is registered, since scikit-learn classifiers are compared only"
    best = models[0]
    name = f"{best.family} on {'+'.join(best.blocks)}"
    registry_name = registered_name(result.outcome, best.evidence.landmark)
    return f"{registry_name}: {name} is registered as candidate, version {result.aliases['candidate']}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "–" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"


def _estimate(estimate: Estimate, sign: str = "") -> str:
    return _three_numbers(estimate.value, estimate.low, estimate.high, sign)


def _three_numbers(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f} ({_interval(low, high, sign)})"
