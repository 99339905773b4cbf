"""Posted forms: size, origin, session and fields are checked before a page uses them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import cast, get_args
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from features.errors import InputError
from features.population import POPULATION_FIELDS, population_of
from features.units import ImmuneUnit, TaxaUnit
from serving.accounts import Visitor
from serving.errors import NotPermitted, TooLarge
from serving.pages.form_files import unpack
from serving.schemas import PredictionRequest
from serving.upload import Field, Form, UploadedFile


@dataclass(frozen=True)
class FormLimits:
    """What a form may hold.

    Attributes
    ----------
    size : int
        Bytes of all fields and files.
    files : int
    remedy : str
        What to do with a larger one.
    """

    size: int
    files: int
    remedy: str


PATIENT_LIMITS = FormLimits(24 * 2**20, 4, "send the files of one patient only")
COHORT_LIMITS = FormLimits(64 * 2**20, 20, "run 'taxokine validate MODEL MANIFEST' instead")


async def read_form(request: Request, visitor: Visitor | None = None, limits: FormLimits = PATIENT_LIMITS) -> FormData:
    """Return a posted form.

    Parameters
    ----------
    request : Request
    visitor : Visitor, optional
        The signed-in user, whose session the form must belong to; None for the sign-in form.
    limits : FormLimits

    Raises
    ------
    TooLarge
        The form is larger than the limits, or does not report its length.
    NotPermitted
        The form was sent from another site or belongs to another session.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > limits.size:
        raise TooLarge(f"the form is larger than {limits.size // 2**20} MB; {limits.remedy}")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise NotPermitted("this form was sent from another site; open the page here and send it again")
    form = await request.form(max_files=limits.files, max_fields=60, max_part_size=4 * 2**20)
    if visitor is not None:
        token = text_field(form, "csrf").encode("ascii", "replace").decode()
        if not compare_digest(visitor.csrf, token):
            raise NotPermitted("this form belongs to another session; open the page again and send it from there")
    return form


def text_field(form: FormData, name: str) -> str:
    """Return a field of text; empty where it is missing or a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def number_field(form: FormData, name: str) -> float | None:
    """Return a field that holds a number; None where it is empty.

    Raises
    ------
    InputError
        The field holds something else.
    """
    text = text_field(form, name).strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}: expected a number, got {text!r}")
    return number


async def cohort_uploads(form: FormData) -> list[UploadedFile]:
    """Return the files of a cohort that were chosen in a form; empty where none was."""
    parts = [part for part in form.getlist("files") if isinstance(part, UploadFile) and part.filename]
    return [UploadedFile(part.filename or "", await part.read()) for part in parts]


async def chosen_uploads(form: FormData) -> dict[Field, UploadedFile]:
    """Return the files that were chosen in a form."""
    parts = {field: form.get(field) for field in get_args(Field)}
    return {
        field: UploadedFile(part.filename, await part.read())
        for field, part in parts.items()
        if isinstance(part, UploadFile) and part.filename
    }


def uploaded_files(form: FormData, chosen_files: Mapping[Field, UploadedFile]) -> dict[Field, UploadedFile]:
    """Return the chosen files and, in fields where none was chosen, those that the preview's form holds.

    Unpacking takes up to a second: call this in a thread.

    Raises
    ------
    InputError
        No file was chosen, or the form does not hold the files of the preview.
    """
    files: dict[Field, UploadedFile] = {}
    for field in get_args(Field):
        if field in chosen_files:
            files[field] = chosen_files[field]
        elif packed := text_field(form, f"kept_{field}"):
            files[field] = unpack(packed)
    if not files:
        raise InputError("no file was chosen; choose a stool profile, a table of cytokines, or both")
    return files


def upload_form(form: FormData) -> Form:
    """Return what the user states besides the files.

    Raises
    ------
    InputError
        A field holds a value that it does not offer.
    """
    return Form(
        patient=text_field(form, "patient").strip() or None,
        sample=text_field(form, "sample").strip() or None,
        profiler=text_field(form, "profiler").strip() or None,
        taxa_unit=cast(TaxaUnit | None, _choice(form, "taxa_unit", get_args(TaxaUnit))),
        immune_unit=cast(ImmuneUnit | None, _choice(form, "immune_unit", get_args(ImmuneUnit))),
        day=number_field(form, "day"),
        clock=text_field(form, "clock").strip() or None,
        population=population_of(**{field: text_field(form, field) for field in POPULATION_FIELDS}),
    )


def previewed_request(form: FormData) -> PredictionRequest:
    """Return the request that the preview of an upload put into the form.

    Raises
    ------
    InputError
        The field holds something else.
    """
    try:
        return PredictionRequest.model_validate_json(text_field(form, "request"))
    except ValidationError as error:
        raise InputError("the form does not hold what the preview showed; upload the files again") from error


def _choice(form: FormData, name: str, options: tuple[str, ...]) -> str | None:
    value = text_field(form, name)
    if value and value not in options:
        raise InputError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
    return value or None
