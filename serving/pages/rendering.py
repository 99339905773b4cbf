"""Templates, and the route class of pages, whose responses no cache stores."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import RedirectResponse

from models.evidence import DEMONSTRATION, STRENGTH_WORDS
from models.prediction import use_of
from serving.accounts import Visitor
from serving.errors import SignInRequired
from serving.number_text import unstated_ranges
from serving.pages.catalogue import OutcomeChoice
from serving.pages.filters import FILTERS
from serving.schemas import NOTICE

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def render(request: Request, template: str, status: int = 200, **content: object) -> Response:
    """Return the page of a template.

    Parameters
    ----------
    request : Request
    template : str
        Name of the file, without `.html.jinja`.
    status : int
    **content
        Variables of the template.
    """
    return _TEMPLATES.TemplateResponse(request, f"{template}.html.jinja", content, status_code=status)


def render_fragment(template: str, **content: object) -> str:
    """Return the HTML of a template that is part of another page."""
    return _ENVIRONMENT.get_template(f"{template}.html.jinja").render(content)


def protect_page(response: Response) -> Response:
    """Set the headers of a page: it loads the files of this server only, and no cache stores it."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    # With "no-referrer", browsers send "Origin: null" with the forms of this server too.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


class PageRoute(APIRoute):
    """A route whose responses are pages; it redirects to the sign-in page where there is no session.

    `serving.error_responses` turns its errors into pages.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            try:
                response = await handle(request)
            except SignInRequired:
                response = _redirect_to_sign_in(request)
            return protect_page(response)

        return handle_as_page


def _redirect_to_sign_in(request: Request) -> Response:
    target = _address(request) if request.method == "GET" else "/"
    return RedirectResponse(f"/sign-in?to={quote(target, safe='')}", status_code=303)


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _page_frame(request: Request) -> dict[str, object]:
    """Return the variables that every page has."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    pages = [("/", "Candidates"), ("/upload", "Upload")]
    if visitor is not None and visitor.role == "researcher":
        pages.append(("/models", "Models"))
    choices: Sequence[OutcomeChoice] = getattr(request.state, "outcome_choices", ())
    is_choosing = any(len(choice.outcomes) > 1 for choice in choices)
    return {
        "visitor": visitor,
        "outcome_choices": choices if is_choosing else (),
        "address": _address(request),
        "pages": pages,
        "path": request.url.path,
        "notice": NOTICE,
        "is_demonstration": request.app.state.is_demonstration,
        "has_provider": request.app.state.provider is not None,
        "left_provider": request.query_params.get("left") == "provider",
        "today": f"{date.today():%d %B %Y}",
    }


# Escape variables in every template, whatever the suffix of its name.
_ENVIRONMENT = Environment(loader=PackageLoader("serving"), autoescape=True, undefined=StrictUndefined)
_ENVIRONMENT.filters |= FILTERS
_ENVIRONMENT.globals |= {
    "strength_words": STRENGTH_WORDS,
    "demonstration": DEMONSTRATION,
    "use_of": use_of,
    "unstated_ranges": unstated_ranges,
}
_TEMPLATES = Jinja2Templates(env=_ENVIRONMENT, context_processors=[_page_frame])
