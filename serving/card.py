"""The model card as an HTTP response."""

from __future__ import annotations

from fastapi import Response

from models.bundle import Model

# The card is a page of its own, with text, styles and drawings: it runs no script and loads nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


def card_response(model: Model) -> Response:
    """Return the card of a model: HTML, or Markdown for bundles without HTML."""
    content, media_type = (model.card_html, "text/html") if model.card_html else (model.card, "text/plain")
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})
