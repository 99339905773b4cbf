"""The model card as an HTTP response, with the validations that followed the training."""

from __future__ import annotations

from fastapi import Response

from models.evidence import CLAIM_AT_TRAINING, other_cohorts_tested
from models.predict import ServedModel
from serving.pages.rendering import render_fragment

# The card is a page of its own, with text, styles and drawings: it runs no script and loads nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
_OLD_CLAIMS = {
    CLAIM_AT_TRAINING: "",
    "The model was not tested on a cohort other than its training cohort.": (
        "Its training tested it on no other cohort."
    ),
}


def card_page(served: ServedModel) -> Response:
    """Return the card of a model as a page: as `card_response` does, with a way back to the models."""
    response = card_response(served)
    if not served.model.card_html:
        return response
    top, main, rest = bytes(response.body).decode().partition("<main>")
    return _response(f"{top}{render_fragment('card_way_back')}{main}{rest}", "text/html")


def card_response(served: ServedModel) -> Response:
    """Return the card of a model: HTML, or Markdown for bundles without HTML.

    The bundle's card ends with the training; what was measured elsewhere since is put before its second section.
    """
    tested = other_cohorts_tested(served.model.evidence, served.external_validations)
    if not served.model.card_html:
        return _response(_markdown(served, tested), "text/plain")
    content = _without_old_claims(served.model.card_html)
    if tested:
        section = render_fragment("card_section", validations=served.external_validations, other_cohorts_tested=tested)
        top, heading, rest = content.partition("<h2>")
        content = f"{top}{section}{heading}{rest}"
    return _response(content, "text/html")


def _response(content: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})


def _markdown(served: ServedModel, tested: str) -> str:
    card = _without_old_claims(served.model.card)
    if not tested:
        return card
    sentences = [f"- {validation.sentence}" for validation in served.external_validations]
    return "\n".join([card, "## Validated elsewhere\n", f"{tested[0].upper()}{tested[1:]}.\n", *sentences, ""])


def _without_old_claims(card: str) -> str:
    """Return an older bundle's card without what it says of validations that came after it."""
    for claim, replacement in _OLD_CLAIMS.items():
        card = card.replace(claim, replacement)
    return card
