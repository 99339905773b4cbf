"""The response and the toxicity that a user wants to see, where models of several are served."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import RedirectResponse

from serving.errors import NotServed
from serving.pages.catalogue import Catalogue
from serving.pages.forms import read_form, text_field
from serving.pages.rendering import PageRoute
from serving.pages.session import OUTCOMES_COOKIE, local_path, require_visitor


def preferred_catalogue(request: Request, catalogue: Catalogue) -> Catalogue:
    """Return the catalogue that shows what the user chose, and let the page offer the choice."""
    preferred = catalogue.preferring(request.cookies.get(OUTCOMES_COOKIE, "").split("."))
    request.state.outcome_choices = preferred.choices
    return preferred


def outcome_routes(catalogue: Catalogue) -> APIRouter:
    """Return the route by which a user chooses."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_visitor)])

    @router.post("/outcomes")
    async def choose_outcomes(request: Request) -> Response:
        form = await read_form(request, request.state.visitor)
        selection = [text_field(form, choice.side) for choice in catalogue.choices]
        if unknown := [outcome for outcome in selection if outcome and outcome not in catalogue.models]:
            raise NotServed(f"no model of {unknown[0]!r} is served; go back and choose another outcome")
        response = RedirectResponse(local_path(text_field(form, "to")), status_code=303)
        is_secure = request.url.scheme == "https"
        response.set_cookie(OUTCOMES_COOKIE, ".".join(selection), httponly=True, samesite="lax", secure=is_secure)
        return response

    return router
