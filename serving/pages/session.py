"""Sign-in and sign-out, and the dependencies of pages that need a signed-in user."""

from __future__ import annotations

from math import ceil
from typing import Annotated
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from serving.accounts import Accounts, Visitor
from serving.errors import Busy, NotPermitted, SignInRequired, TooManyAttempts
from serving.pages.forms import read_form, text_field
from serving.pages.rendering import PageRoute, render
from serving.rate import RateLimits, network_of

COOKIE = "taxokine_session"
OUTCOMES_COOKIE = "taxokine_outcomes"
"""Of the outcomes that the user chose to see, which the next user of the browser did not."""
MAX_SIGN_INS = 4
"""Passwords that are checked at once; each takes 64 MiB."""
MAX_WAITING_SIGN_INS = 20
"""Sign-ins that wait for their turn; further ones are refused."""


def session_visitor(request: Request) -> Visitor | None:
    """Return the user of the request's session; None where it belongs to none."""
    accounts: Accounts = request.app.state.accounts
    return accounts.visitor(request.cookies.get(COOKIE, ""))


def require_visitor(request: Request) -> Visitor:
    """Return the signed-in user.

    Raises
    ------
    SignInRequired
        The request belongs to no session.
    TooManyRequests
        The user has opened too many pages.
    """
    visitor = session_visitor(request)
    if visitor is None:
        raise SignInRequired("sign in first")
    request.state.visitor = visitor
    request.state.asker = f"user {visitor.name}"
    limits: RateLimits = request.app.state.rate_limits
    limits.users.count(visitor.name)
    return visitor


def require_researcher(request: Request) -> Visitor:
    """Return the signed-in user, who must be a researcher.

    Raises
    ------
    SignInRequired
        The request belongs to no session.
    NotPermitted
        The user is not a researcher.
    """
    visitor = require_visitor(request)
    if visitor.role != "researcher":
        raise NotPermitted("this page is for researchers; 'taxokine users role NAME researcher' makes a user one")
    return visitor


def session_routes() -> APIRouter:
    """Return the routes of sign-in and sign-out."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    # Threads of their own: the hash of a password takes a tenth of a second, which the other pages must not wait for.
    checks = CapacityLimiter(MAX_SIGN_INS)

    @router.get("/sign-in")
    def sign_in_form(request: Request, target: Annotated[str, Query(alias="to")] = "/") -> Response:
        accounts: Accounts = request.app.state.accounts
        return render(request, "sign_in", target=local_path(target), refusal="", no_users=not accounts.users())

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        accounts: Accounts = request.app.state.accounts
        address = count_sign_in(request)
        form = await read_form(request)
        target = local_path(text_field(form, "to"))
        if checks.statistics().tasks_waiting >= MAX_WAITING_SIGN_INS:
            raise Busy("too many people are signing in at once; try again shortly")
        name, password = text_field(form, "name"), text_field(form, "password")
        try:
            token = await to_thread.run_sync(accounts.sign_in, name, password, address, limiter=checks)
        except TooManyAttempts as error:
            refusal = f"{str(error).capitalize()}."
            page = render(request, "sign_in", status=429, target=target, refusal=refusal, no_users=False)
            page.headers["Retry-After"] = str(ceil(error.wait))
            return page
        if token is None:
            refusal = "The name or the password is wrong."
            return render(request, "sign_in", status=401, target=target, refusal=refusal, no_users=False)
        response = RedirectResponse(target, status_code=303)
        set_session_cookie(request, response, token)
        return response

    @router.post("/sign-out", dependencies=[Depends(require_visitor)])
    async def sign_out(request: Request) -> Response:
        await read_form(request, request.state.visitor)
        accounts: Accounts = request.app.state.accounts
        await run_in_threadpool(accounts.sign_out, request.cookies[COOKIE])
        comes_from_provider = await run_in_threadpool(accounts.has_identity, request.state.visitor.name)
        response = RedirectResponse("/sign-in?left=provider" if comes_from_provider else "/sign-in", status_code=303)
        response.delete_cookie(COOKIE)
        response.delete_cookie(OUTCOMES_COOKIE)
        return response

    return router


def count_sign_in(request: Request) -> str:
    """Count an attempt to sign in by the network address it comes from, and return the address.

    Raises
    ------
    TooManyRequests
        Too many came from there.
    """
    address = "" if request.client is None else request.client.host
    limits: RateLimits = request.app.state.rate_limits
    limits.sign_ins.count(network_of(address))
    return address


def set_session_cookie(request: Request, response: Response, token: str) -> None:
    """Give the browser the token of its session."""
    # "strict" would ask a user who follows a link from another page to sign in again.
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https")


def local_path(address: str) -> str:
    """Return an address if it is a path of this server, else the first page."""
    parts = urlsplit(address)
    local = not parts.scheme and not parts.netloc and address.startswith("/") and address[1:2] not in {"/", "\\"}
    return address if local else "/"
