"""The model card as an HTTP response, with the validations that followed the training."""

from __future__ import annotations

from fastapi import Response

from models.predict import ServedModel
from serving.pages.rendering import render_fragment

# The card is a page of its own, with text, styles and drawings: it runs no script and loads nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


def card_response(served: ServedModel) -> Response:
    """Return the card of a model: HTML, or Markdown for bundles without HTML.

    The bundle's card ends with the training; what was measured elsewhere since is put before its second section.
    """
    if not served.model.card_html:
        return _response(_markdown(served), "text/plain")
    content = served.model.card_html
    if served.external_validations:
        section = render_fragment("card_section", validations=served.external_validations)
        top, heading, rest = content.partition("<h2>")
        content = f"{top}{section}{heading}{rest}"
    return _response(content, "text/html")


def _response(content: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})


def _markdown(served: ServedModel) -> str:
    sentences = [f"- {validation.sentence}" for validation in served.external_validations]
    return served.model.card + ("\n## Validated elsewhere\n\n" + "\n".join(sentences) + "\n" if sentences else "")
