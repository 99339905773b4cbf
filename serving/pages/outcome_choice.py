"""The response and the toxicity that a user wants to see, where models of several are served."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from serving.errors import NotServed
from serving.pages.catalogue import Catalogue
from serving.pages.forms import read_form, text_field
from serving.pages.rendering import PageRoute
from serving.pages.session import OUTCOMES_COOKIE, local_path, require_visitor


def preferred_catalogue(request: Request, catalogue: Catalogue, form: FormData | None = None) -> Catalogue:
    """Return the catalogue that shows what the user chose, in this form or before, and let the page offer the choice.

    Raises
    ------
    NotServed
        The form names an outcome of which no model is served.
    """
    selection = chosen_outcomes(form, catalogue) if form else []
    preferred = catalogue.preferring(selection or request.cookies.get(OUTCOMES_COOKIE, "").split("."))
    request.state.outcome_choices = preferred.choices
    return preferred


def chosen_outcomes(form: FormData, catalogue: Catalogue) -> list[str]:
    """Return the outcomes that were chosen in a form; empty where none was.

    Raises
    ------
    NotServed
        No model of one of them is served.
    """
    selection = [outcome for choice in catalogue.choices if (outcome := text_field(form, choice.side))]
    if unknown := [outcome for outcome in selection if outcome not in catalogue.models]:
        raise NotServed(f"no model of {unknown[0]!r} is served; go back and choose another outcome")
    return selection


def keep_outcomes(request: Request, response: Response, outcomes: list[str]) -> None:
    """Let further pages show the outcomes that were chosen, if any were."""
    if outcomes:
        is_secure = request.url.scheme == "https"
        response.set_cookie(OUTCOMES_COOKIE, ".".join(outcomes), httponly=True, samesite="lax", secure=is_secure)


def outcome_routes(catalogue: Catalogue) -> APIRouter:
    """Return the route by which a user chooses."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_visitor)])

    @router.post("/outcomes")
    async def choose_outcomes(request: Request) -> Response:
        form = await read_form(request, request.state.visitor)
        outcomes = chosen_outcomes(form, catalogue)
        response = RedirectResponse(local_path(text_field(form, "to")), status_code=303)
        keep_outcomes(request, response, outcomes)
        return response

    return router
