"""Reports of experiments: the models that were compared, and the gates of a promotion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from taxokine.terminal import table

if TYPE_CHECKING:
    from training.evidence.promotion import Promotion
    from training.experiment import Result
    from training.survival import SurvivalResult


def result_report(result: Result) -> Iterator[RenderableType]:
    """Yield an experiment's models as a table, the best first, and what limits what they show."""
    models = table(
        "family", "blocks", "patients", "events", "held-out AUROC (95%)", "new cohort (95%)", "p",
        "gain over covariates (95%)", "Brier", numbers=("patients", "events", "p", "Brier"),
    )  # fmt: skip
    for trained in result.trained:
        validation = trained.evidence.validation
        mean, null, gain = validation["random_effects"], validation["permutation"], validation["gain"]
        auroc = trained.evidence.auroc
        models.add_row(
            trained.family,
            "+".join(trained.blocks),
            str(validation["patients"]),
            str(validation["events"]),
            _estimate(auroc.value, auroc.low, auroc.high),
            _interval(mean["prediction_low"], mean["prediction_high"]),
            "–" if null is None else f"{null['p']:.3f}",
            _estimate(gain["value"], gain["low"], gain["high"], "+") if gain else "–",
            f"{validation['within']['brier']:.3f}",
        )
    yield models
    best = result.trained[0]
    name = f"{best.family} on {'+'.join(best.blocks)}"
    validation = best.evidence.validation
    yield ""
    yield f"{name}: each cohort, and the same patients by the baselines"
    cohorts = table("", "patients", "events", "AUROC (95%)", "Brier", numbers=("patients", "events", "Brier"))
    for row in (*validation["per_cohort"], *validation["baselines"]):
        auroc = row["auroc"]
        cohorts.add_row(
            f"  {row['cohort'] if 'cohort' in row else row['name']}",
            str(row["patients"]),
            str(row.get("events", "")),
            _estimate(auroc["value"], auroc["low"], auroc["high"]),
            f"{row['brier']:.3f}",
        )
    yield cohorts
    yield ""
    yield f"{result.outcome}: {name} is registered as candidate, version {result.aliases['candidate']}"
    yield f"evidence: {best.evidence.content['sentence']}"
    yield (
        f"chosen from {best.evidence.content['chosen_from']} models by this same AUROC, which flatters it; "
        f"{validation['looks']['experiments']} prior experiments on these data tried {validation['looks']['models']} "
        "more"
    )
    yield from (f"note: {note}" for note in result.notes)
    yield f"run {result.run_id}; compare the runs with 'taxokine ui'"


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
            _estimate(concordance.value, concordance.low, concordance.high),
        )
    yield models
    yield ""
    incidence = table("month", f"{result.outcome}, cumulative incidence (95%)", "", numbers=("month",))
    known = result.incidence.dropna()
    estimates = known[["incidence", "incidence_low", "incidence_high"]].to_numpy(dtype=float).tolist()
    for months, estimate, censoring in zip(known["months"], estimates, known["censoring"], strict=True):
        incidence.add_row(f"{months:g}", _estimate(*estimate), censoring)
    yield incidence
    yield ""
    yield f"evidence: {result.trained[0].sentence}"
    yield from (f"note: {note}" for note in result.notes)
    yield f"run {result.run_id}; compare the runs with 'taxokine ui'"


def promotion_report(promotion: Promotion) -> Iterator[RenderableType]:
    """Yield a promotion's gates: the result of each, what it needs, and why a failed gate matters."""
    yield Text(f"{promotion.name}/{promotion.version}{' (simulated data)' if promotion.simulated else ''}", "bold")
    yield ""
    gates = table("", "gate", "result", "needed", "why it matters")
    for gate in promotion.gates:
        mark = Text("pass", "green") if gate.passed else Text("FAIL", "bold red")
        gates.add_row(mark, gate.name, gate.found, gate.needed, "" if gate.passed else gate.why)
    yield gates
    passed = sum(gate.passed for gate in promotion.gates)
    decision = (
        "promoted: this version is now the champion"
        if promotion.granted
        else "refused: the alias champion does not move"
    )
    yield ""
    yield f"{passed} of {len(promotion.gates)} gates passed; {decision}"


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "–" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"


def _estimate(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f} ({_interval(low, high, sign)})"
