"""The card about one patient: its summary, urgency and detail by fixed rules."""

from __future__ import annotations

import html
from collections.abc import Sequence

from models.evidence import DEMONSTRATION, STRENGTH_WORDS
from serving.cds_hooks.schemas import Card, CardExtension, CardLink, CardSource, PredictedOutcome
from serving.fhir.issues import Issue
from serving.number_text import chance
from serving.pages.filters import sentence
from serving.pages.verdict import OutcomeVerdict
from serving.pages.views.patient import PredictionsView, SideView
from serving.schemas import NOTICE

_WITHOUT_CHANCE = {
    "no prediction": "no prediction",
    "training patient": "no forecast, a training patient",
    "indistinct": "cannot tell from others",
}
_MEANINGS = {"not compared": "no level"}


def prediction_card(
    view: PredictionsView, issues: Sequence[Issue], uuid: str, server_url: str, page: str | None
) -> Card:
    """Return the card of predictions.

    Parameters
    ----------
    view : PredictionsView
        The predictions as the patient's page states them.
    issues : sequence of Issue
        What was not used.
    uuid : str
        Id of the card.
    server_url : str
        Address of this server.
    page : str or None
        Address of the patient's page; None where the server does not know the patient.
    """
    return Card(
        uuid=uuid,
        summary=summary_text([(side.side, side.verdict) for side in view.sides]),
        detail=_detail(view, issues),
        indicator="warning" if any(is_warning(side) for side in view.sides) else "info",
        source=CardSource("Taxokine", server_url),
        links=[CardLink("The patient in Taxokine", page, "absolute")] if page else [],
        extension=CardExtension([_predicted(side) for side in view.sides]),
    )


def refusal_card(issues: Sequence[Issue], uuid: str, server_url: str) -> Card:
    """Return the card about a patient whose data cannot be read."""
    return Card(
        uuid=uuid,
        summary="Taxokine makes no prediction: it cannot read the data of this patient",
        detail="\n".join(_issue_line(issue) for issue in issues),
        indicator="info",
        source=CardSource("Taxokine", server_url),
        links=[],
        extension=CardExtension([]),
    )


def summary_text(verdicts: Sequence[tuple[str, OutcomeVerdict]]) -> str:
    """Return the summary of response and toxicity together, in at most `schemas.MAX_SUMMARY` characters."""
    text = ". ".join(f"{sentence(side)}: {_verdict_text(verdict)}" for side, verdict in verdicts)
    is_simulated = any(verdict.strength == "simulated" for _, verdict in verdicts)
    return f"Simulated, not for care. {text}" if is_simulated else text


def is_warning(side: SideView) -> bool:
    """Return whether an outcome deserves a warning.

    It is toxicity above average, predicted by a promoted model that applies, with moderate or strong evidence.
    """
    return (
        side.side == "toxicity"
        and side.promoted
        and side.verdict.chance == "above average"
        and side.verdict.strength in ("moderate", "strong")
        and side.prediction.trust.verdict == "ok"
    )


def _verdict_text(verdict: OutcomeVerdict) -> str:
    without_chance = _WITHOUT_CHANCE.get(verdict.chance)
    if without_chance is not None:
        return without_chance
    number, meaning = chance(verdict.probability), _MEANINGS.get(verdict.chance, verdict.chance)
    level = f"not confirmed, {number}" if verdict.is_unconfirmed else f"{number}, {meaning}"
    # The summary begins with what simulated patients are worth.
    return level if verdict.strength == "simulated" else f"{level} ({STRENGTH_WORDS[verdict.strength]})"


def _detail(view: PredictionsView, issues: Sequence[Issue]) -> str:
    lines = [f"**{sentence(DEMONSTRATION)}.**", ""] if view.simulated else []
    for side in view.sides:
        prediction = side.prediction
        lines.append(f"**{sentence(side.side)}**: {html.escape(prediction.definition)}.")
        lines.append(f"- Evidence: {html.escape(prediction.evidence.sentence)}")
        lines += [f"- Model: {side.fallback.sentence}"] if side.fallback else []
        lines += [f"- Reservation: {html.escape(reason)}" for reason in side.reservations]
        lines.append(f"- Donor: {html.escape(prediction.donor_part)}")
        lines.append("")
    if issues:
        lines += ["**Not used**", *(_issue_line(issue) for issue in issues if issue.severity != "information"), ""]
    return "\n".join([*lines, NOTICE])


def _issue_line(issue: Issue) -> str:
    return f"- {html.escape(f'{issue.place}: {issue.text}')}"


def _predicted(side: SideView) -> PredictedOutcome:
    prediction, probability = side.prediction, side.verdict.probability
    model = f"{prediction.model.name}/{prediction.model.version}"
    return PredictedOutcome(
        prediction.outcome,
        probability,
        None if probability is None else prediction.unconfirmed_reason,
        prediction.trust.verdict,
        model,
    )
