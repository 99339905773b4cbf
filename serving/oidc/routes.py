"""The routes of sign-in at the provider."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from serving.accounts import Accounts
from serving.errors import IdentityRefused, NotPermitted, ProviderUnreachable, status_of
from serving.oidc.attempt import LONGEST_ATTEMPT
from serving.oidc.provider import Provider
from serving.pages.rendering import PageRoute, render
from serving.pages.session import count_sign_in, local_path, set_session_cookie

_COOKIE = "taxokine_sign_in"
_PATH = "/sign-in/provider"


def provider_routes(provider: Provider) -> APIRouter:
    """Return the routes: leave for the provider, come back from it, and the address of its sign-out."""
    router = APIRouter(prefix=_PATH, route_class=PageRoute, include_in_schema=False)

    @router.get("")
    def leave(request: Request, target: Annotated[str, Query(alias="to")] = "/") -> Response:
        try:
            url, sealed = provider.begin(local_path(target))
        except ProviderUnreachable as error:
            return _refusal(request, error)
        response = RedirectResponse(url, status_code=303)
        response.set_cookie(
            _COOKIE,
            sealed,
            max_age=LONGEST_ATTEMPT,
            path=_PATH,
            httponly=True,
            # The provider sends the browser back from its own site.
            samesite="lax",
            secure=provider.server_url.startswith("https:"),
        )
        return response

    @router.get("/callback")
    def come_back(request: Request, state: str = "", code: str = "") -> Response:
        accounts: Accounts = request.app.state.accounts
        count_sign_in(request)
        try:
            if not code:
                raise IdentityRefused("the identity provider did not sign you in")
            identity, target = provider.finish(request.cookies.get(_COOKIE, ""), state, code)
            token = accounts.sign_in_identity(provider.issuer, identity.subject, identity.name, identity.role)
        except (IdentityRefused, NotPermitted, ProviderUnreachable) as error:
            response = _refusal(request, error)
        else:
            response = RedirectResponse(target, status_code=303)
            set_session_cookie(request, response, token)
        response.delete_cookie(_COOKIE, path=_PATH)
        return response

    @router.get("/sign-out")
    def sign_out_at_provider() -> Response:
        return RedirectResponse(provider.sign_out_url() or "/sign-in", status_code=303)

    return router


def _refusal(request: Request, error: IdentityRefused | NotPermitted | ProviderUnreachable) -> Response:
    message = str(error)
    return render(
        request,
        "sign_in",
        status=status_of(error),
        target="/",
        refusal=f"{message[:1].upper()}{message[1:]}.",
        no_users=False,
    )
