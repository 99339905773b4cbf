"""The pages: sign-in, the clinic's candidates, one patient's answer, uploads, and the researcher's side."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import date
from hmac import compare_digest
from typing import Any, get_args
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse

from features.errors import InputError, TaxokineError
from features.units import ImmuneUnit
from models.patient_input import TaxaUnit
from models.predict import ServedModel
from serving import views
from serving.accounts import Accounts, Visitor
from serving.card import card_response
from serving.clinic import Clinic, Patient
from serving.errors import NotAuthorised, NotServed, SignInRequired, TooLarge, TooManyAttempts, status_of
from serving.schemas import NOTICE, PredictionRequest
from serving.upload import Field, Form, UploadedFile, understand

COOKIE = "taxokine_session"
LARGEST_UPLOAD = 24 * 2**20
"""Bytes of all files of one upload."""

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class _Page(APIRoute):
    """A route whose errors are pages, and whose answers are nobody else's to keep."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with what it raises turned into a page."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                response = await handler(request)
            except SignInRequired:
                here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                to = here if request.method == "GET" else "/"
                response = RedirectResponse(f"/sign-in?to={quote(to, safe='')}", status_code=303)
            except TaxokineError as error:
                response = _TEMPLATES.TemplateResponse(
                    request, "error.html.jinja", {"message": str(error)}, status_code=status_of(error)
                )
            response.headers.setdefault("Content-Security-Policy", _POLICY)
            # Without any referrer a browser says of its own forms, too, that they come from nowhere.
            response.headers["Referrer-Policy"] = "same-origin"
            response.headers["Cache-Control"] = "no-store"
            return response

        return handled


def _around(request: Request) -> dict[str, Any]:
    """Return what every page shows around its own content."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    pages = [("/", "Candidates"), ("/upload", "Upload")]
    if visitor is not None and visitor.role == "researcher":
        pages.append(("/models", "Models"))
    return {"visitor": visitor, "pages": pages, "here": request.url.path, "notice": NOTICE,
            "today": f"{date.today():%d %B %Y}"}  # fmt: skip


# Whatever a template's name ends in, what it is given is escaped.
_ENVIRONMENT = Environment(loader=PackageLoader("serving"), autoescape=True, undefined=StrictUndefined)
_ENVIRONMENT.filters |= views.FILTERS
_TEMPLATES = Jinja2Templates(env=_ENVIRONMENT, context_processors=[_around])


def create_pages(
    models: Mapping[str, Sequence[ServedModel]], accounts: Accounts, clinic: Clinic | None, mlflow_ui: str
) -> APIRouter:
    """Return the pages' routes.

    Parameters
    ----------
    models : mapping of str to sequence of ServedModel
        For each outcome its models, the best first.
    accounts : Accounts
    clinic : Clinic, optional
        Whose candidates are listed.
    mlflow_ui : str
        The address of the MLflow UI, for links to runs.
    """
    router = APIRouter(route_class=_Page, include_in_schema=False)
    desk = views.Desk(models, clinic)

    def signed_in(request: Request) -> Visitor:
        visitor = accounts.visitor(request.cookies.get(COOKIE, ""))
        if visitor is None:
            raise SignInRequired("sign in first")
        request.state.visitor = visitor
        return visitor

    def researcher(request: Request) -> Visitor:
        visitor = signed_in(request)
        if visitor.role != "researcher":
            raise NotAuthorised("this page is for researchers; 'taxokine users role NAME researcher' makes you one")
        return visitor

    def page(request: Request, name: str, **content: Any) -> Response:
        return _TEMPLATES.TemplateResponse(request, f"{name}.html.jinja", content)

    @router.get("/sign-in")
    def sign_in_form(request: Request, to: str = "/") -> Response:
        return page(request, "sign_in", to=_own(to), refused="", nobody=not accounts.users())

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await _form(request)
        to = _own(_text(form, "to"))
        refused = "Name and password do not belong together."
        try:
            token = await run_in_threadpool(accounts.sign_in, _text(form, "name"), _text(form, "password"))
        except TooManyAttempts as error:
            token, refused = None, str(error).capitalize() + "."
        if token is None:
            response = page(request, "sign_in", to=to, refused=refused, nobody=False)
            response.status_code = 401
            return response
        response = RedirectResponse(to, status_code=303)
        # Strict would sign a clinician out who follows a link from another page.
        response.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https")
        return response

    @router.post("/sign-out", dependencies=[Depends(signed_in)])
    async def sign_out(request: Request) -> Response:
        await _form(request, request.state.visitor)
        accounts.sign_out(request.cookies[COOKIE])
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(COOKIE)
        return response

    @router.get("/", dependencies=[Depends(signed_in)])
    def candidates(request: Request, sort: str = "", find: str = "") -> Response:
        return page(request, "candidates", **desk.candidates(sort, find))

    @router.get("/patients/{patient_id:path}", dependencies=[Depends(signed_in)])
    def patient(request: Request, patient_id: str, visit: int | None = None, worth: float = 1.0) -> Response:
        return page(request, "patient", **desk.patient(_found(clinic, patient_id), visit, worth))

    @router.get("/example", dependencies=[Depends(signed_in)])
    def example(request: Request, worth: float = 1.0) -> Response:
        return page(request, "patient", **desk.example(worth))

    @router.get("/upload", dependencies=[Depends(signed_in)])
    def upload_form(request: Request) -> Response:
        return page(request, "upload", said=Form(), found=None, **desk.known())

    @router.post("/upload", dependencies=[Depends(signed_in)])
    async def preview(request: Request) -> Response:
        form = await _form(request, request.state.visitor)
        files, said = await _uploads(form), _said(form)
        found = await run_in_threadpool(understand, files, said, models)
        return page(
            request,
            "preview",
            found=found,
            said=said,
            request_json=found.request and json.dumps(found.request),
            **desk.known(),
        )

    @router.post("/answer", dependencies=[Depends(signed_in)])
    async def answer(request: Request) -> Response:
        form = await _form(request, request.state.visitor)
        asked = _asked(_text(form, "request"))
        content = await run_in_threadpool(
            desk.uploaded, asked.patient.id, asked.candidate(), _number(form, "worth") or 1.0
        )
        return page(request, "patient", **content, request_json=_text(form, "request"))

    @router.get("/models/{name}/{version}/card", dependencies=[Depends(researcher)])
    def card(name: str, version: str) -> Response:
        return card_response(desk.card(name, version))

    @router.get("/models", dependencies=[Depends(researcher)])
    def served(request: Request) -> Response:
        return page(request, "models", **desk.served(mlflow_ui))

    return router


def _found(clinic: Clinic | None, patient_id: str) -> Patient:
    if clinic is None:
        raise NotServed("no cohort folder is served here; start with 'taxokine serve --clinic COHORT'")
    patient = clinic.patients.get(patient_id)
    if patient is None:
        raise NotServed(f"{clinic.name} has no patient {patient_id!r} with a stool sample; go back to the candidates")
    return patient


def _own(to: str) -> str:
    """Return where to go after sign-in: a path of this server, whatever the address asks for."""
    parts = urlsplit(to)
    inside = not parts.scheme and not parts.netloc and to.startswith("/") and not to.startswith(("//", "/\\"))
    return to if inside else "/"


async def _form(request: Request, visitor: Visitor | None = None) -> FormData:
    """Return a posted form, of a size that is read and from a page of this server."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LARGEST_UPLOAD:
        raise TooLarge(f"a form of at most {LARGEST_UPLOAD // 2**20} MB is read; send one patient's files only")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise NotAuthorised("this form was sent from another site; open the page here and send it again")
    form = await request.form(max_files=4, max_fields=20, max_part_size=4 * 2**20)
    if visitor is not None and not compare_digest(
        visitor.csrf, _text(form, "csrf").encode("ascii", "replace").decode()
    ):
        raise NotAuthorised("this form is of another session; open the page again and send it from there")
    return form


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


async def _uploads(form: FormData) -> dict[Field, UploadedFile]:
    found: dict[Field, UploadedFile] = {}
    for field in get_args(Field):
        part = form.get(field)
        if isinstance(part, UploadFile) and part.filename:
            found[field] = UploadedFile(part.filename, await part.read())
    if not found:
        raise InputError("no file was chosen; choose a stool profile, a table of cytokines, or both")
    return found


def _said(form: FormData) -> Form:
    def chosen(name: str, allowed: Sequence[str]) -> Any:
        value = _text(form, name)
        if value and value not in allowed:
            raise InputError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")
        return value or None

    return Form(
        patient=_text(form, "patient").strip() or "candidate",
        sample=_text(form, "sample").strip() or None,
        profiler=_text(form, "profiler").strip() or None,
        taxa_unit=chosen("taxa_unit", get_args(TaxaUnit)),
        immune_unit=chosen("immune_unit", get_args(ImmuneUnit)),
        day=_number(form, "day"),
        clock=_text(form, "clock").strip() or None,
    )


def _number(form: FormData, name: str) -> float | None:
    text = _text(form, name).strip()
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise InputError(f"{name}: expected a number, got {text!r}")
    return number


def _asked(text: str) -> PredictionRequest:
    try:
        return PredictionRequest.model_validate_json(text)
    except ValidationError as error:
        raise InputError("what was sent is not what the preview made; upload the files again") from error
