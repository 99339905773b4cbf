"""The routes of the pages."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from features.errors import InputError
from models.engraftment import EngraftmentBundle
from models.patient_input import Candidate, StoolProfile
from models.predict import ModelsByOutcome
from serving.clinic import Clinic, Patient
from serving.errors import Busy, NotServed
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.performance import BIAS
from serving.pages.api_reference import reference_routes
from serving.pages.catalogue import Catalogue
from serving.pages.choices import Choices, choices_of_form, choices_of_query
from serving.pages.form_files import pack_files
from serving.pages.forms import (
    COHORT_LIMITS,
    chosen_uploads,
    cohort_uploads,
    previewed_request,
    read_form,
    text_field,
    upload_form,
    uploaded_files,
)
from serving.pages.outcome_choice import chosen_outcomes, keep_outcomes, outcome_routes, preferred_catalogue
from serving.pages.rendering import PageRoute, render
from serving.pages.session import require_researcher, require_visitor, session_routes
from serving.pages.views.candidates import CandidateList
from serving.pages.views.card import card_page
from serving.pages.views.donors import Recipient, clinic_recipient, donors_view
from serving.pages.views.models import ModelList
from serving.pages.views.patient import example_view, patient_view, upload_view
from serving.pages.views.what_if import Donors
from serving.predictions import require_engraftment
from serving.record.asking import record_page
from serving.record.question import Inputs, recorded_donors, recorded_list
from serving.upload import Form, UploadChoices, understand
from serving.upload.child import read_in_child
from serving.validation_jobs import ValidationJobs

MAX_UPLOADS = 2
"""Uploads that are read at once; each may take `serving.upload.child.MAX_MEMORY`."""
MAX_WAITING_UPLOADS = 10
"""Uploads that wait for their turn; further ones are refused."""

_Choices = Annotated[Choices, Depends(choices_of_query)]


def create_pages(
    models: ModelsByOutcome,
    clinic: Clinic | None,
    mlflow_ui: str,
    engraftment: EngraftmentBundle | None,
    jobs: ValidationJobs | None,
) -> list[APIRouter]:
    """Return the routes of the pages.

    Parameters
    ----------
    models : ModelsByOutcome
    clinic : Clinic, optional
        Cohort whose patients the pages list.
    mlflow_ui : str
        Address of the MLflow UI, for links to runs; empty for no links.
    engraftment : EngraftmentBundle or None
        Expects the stool after a transplant, to compare the cohort's donors.
    jobs : ValidationJobs, optional
        Starts validations from the page of the models.
    """
    catalogue = Catalogue(models, mlflow_ui)
    return [
        session_routes(),
        reference_routes(),
        outcome_routes(catalogue),
        _patient_routes(catalogue, clinic, engraftment),
        _donor_routes(catalogue, clinic, engraftment),
        _upload_routes(catalogue, clinic, engraftment),
        _model_routes(catalogue, clinic, jobs),
    ]


def _patient_routes(catalogue: Catalogue, clinic: Clinic | None, engraftment: EngraftmentBundle | None) -> APIRouter:
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_visitor)])
    donors = Donors(clinic.donors if clinic else (), engraftment)

    @cache
    def candidate_list(outcomes: tuple[str, ...]) -> CandidateList:
        compares_donors = not donors.no_comparison_reason
        return CandidateList(catalogue.preferring(outcomes), clinic, compares_donors=compares_donors)

    @router.get("/")
    def candidates(request: Request, sort: str = "", find: str = "") -> Response:
        preferred = preferred_catalogue(request, catalogue)
        view = candidate_list(preferred.shown_outcomes).view(sort, find)
        if clinic is not None:
            record_page(request, f"cohort {clinic.name}", Inputs(Candidate()), recorded_list(preferred.best))
        return render(request, "candidates", view=view)

    @router.get("/patients/{patient_id:path}")
    def patient(request: Request, patient_id: str, choices: _Choices, visit: int | None = None) -> Response:
        served_clinic, current_patient = _find_patient(clinic, patient_id)
        preferred = preferred_catalogue(request, catalogue)
        view = patient_view(preferred, served_clinic, current_patient, visit, choices, donors)
        inputs = Inputs(current_patient.visits[view.visit].candidate, choices.changes, _chosen_donor(choices, donors))
        record_page(request, patient_id, inputs, view.predictions.recorded())
        return render(request, "patient", view=view)

    @router.get("/example")
    def example(request: Request, choices: _Choices) -> Response:
        return render(request, "patient", view=example_view(preferred_catalogue(request, catalogue), choices))

    return router


def _donor_routes(catalogue: Catalogue, clinic: Clinic | None, engraftment: EngraftmentBundle | None) -> APIRouter:
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_visitor)])

    @router.get("/donors/{patient_id:path}")
    def donors(request: Request, patient_id: str) -> Response:
        served_clinic, patient = _find_patient(clinic, patient_id)
        preferred, recipient = preferred_catalogue(request, catalogue), clinic_recipient(served_clinic, patient)
        return donors_page(request, preferred, served_clinic, recipient)

    @router.post("/donors")
    async def donors_of_upload(request: Request) -> Response:
        posted = await read_form(request, request.state.visitor)

        def page() -> Response:
            previewed, request_json = previewed_request(posted), text_field(posted, "request")
            recipient = Recipient(
                previewed.patient.id, "the uploaded file", previewed.candidate(), request_json=request_json
            )
            preferred = preferred_catalogue(request, catalogue, posted)
            response = donors_page(request, preferred, _served_clinic(clinic), recipient)
            keep_outcomes(request, response, chosen_outcomes(posted, catalogue))
            return response

        return await run_in_threadpool(page)

    def donors_page(request: Request, preferred: Catalogue, served_clinic: Clinic, recipient: Recipient) -> Response:
        view = donors_view(preferred, served_clinic, recipient, require_engraftment(engraftment))
        stools = {donor.name: donor.profile for donor in served_clinic.donors}
        inputs = Inputs(recipient.candidate, stools=stools)
        record_page(request, recipient.title, inputs, recorded_donors(view.comparison))
        return render(request, "donors", view=view)

    return router


def _upload_routes(catalogue: Catalogue, clinic: Clinic | None, engraftment: EngraftmentBundle | None) -> APIRouter:
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_visitor)])
    donors = Donors(clinic.donors if clinic else (), engraftment)
    choices = UploadChoices.from_models(catalogue.served)
    # Threads of their own: files that take long must not keep the other pages waiting.
    readers = CapacityLimiter(MAX_UPLOADS)

    @router.get("/upload")
    def empty_form(request: Request) -> Response:
        return upload_page(request, Form())

    def upload_page(request: Request, form: Form, problem: str = "") -> Response:
        preferred_catalogue(request, catalogue)
        return render(
            request, "upload", 422 if problem else 200, form=form, problem=problem, upload=None, choices=choices,
            form_files={}, simulated=catalogue.is_simulated,
        )  # fmt: skip

    @router.post("/upload")
    async def preview(request: Request) -> Response:
        posted = await read_form(request, request.state.visitor)
        chosen_files = await chosen_uploads(posted)

        def preview_page() -> Response:
            form = upload_form(posted)
            try:
                files = uploaded_files(posted, chosen_files)
            except InputError as error:
                # What the user stated stays in the form.
                return upload_page(request, form, str(error))
            upload = understand(files, form, catalogue.models, read_in_child)
            request_json = json.dumps(upload.request) if upload.request else ""
            return render(
                request, "preview", form=form, upload=upload, choices=choices, form_files=pack_files(files),
                request_json=request_json, simulated=catalogue.is_simulated,
            )  # fmt: skip

        if readers.statistics().tasks_waiting >= MAX_WAITING_UPLOADS:
            raise Busy("too many files are being read already; upload yours again shortly")
        return await to_thread.run_sync(preview_page, limiter=readers)

    @router.post("/answer")
    async def predict_upload(request: Request) -> Response:
        posted = await read_form(request, request.state.visitor)

        def patient_page() -> Response:
            previewed, choices = previewed_request(posted), choices_of_form(posted)
            name, candidate, request_json = previewed.patient.id, previewed.candidate(), text_field(posted, "request")
            preferred = preferred_catalogue(request, catalogue, posted)
            view = upload_view(preferred, name, candidate, choices, request_json, donors)
            inputs = Inputs(candidate, choices.changes, _chosen_donor(choices, donors))
            record_page(request, name, inputs, view.predictions.recorded())
            response = render(request, "patient", view=view)
            keep_outcomes(request, response, chosen_outcomes(posted, catalogue))
            return response

        return await run_in_threadpool(patient_page)

    return router


def _model_routes(catalogue: Catalogue, clinic: Clinic | None, jobs: ValidationJobs | None) -> APIRouter:
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(require_researcher)])
    model_list = ModelList(catalogue, clinic, jobs)

    @router.get("/models")
    def models_page(request: Request) -> Response:
        outcomes: LiveOutcomes | None = request.app.state.outcomes
        performance = [] if outcomes is None else outcomes.performance()
        return render(request, "models", view=model_list.view(performance), bias=BIAS)

    @router.get("/models/{name}/{version}/card")
    def card(name: str, version: str) -> Response:
        return card_page(model_list.with_validations(catalogue.find(name, version)))

    @router.post("/models/{name}/{version}/validations")
    async def start_validation(request: Request, name: str, version: str) -> Response:
        posted = await read_form(request, request.state.visitor, COHORT_LIMITS)
        if jobs is None:
            raise NotServed("this server starts no validations; run 'taxokine validate' instead")
        served = catalogue.find(name, version)
        if "files" in posted:
            await run_in_threadpool(jobs.start_on_files, served, await cohort_uploads(posted))
        else:
            await run_in_threadpool(jobs.start, served, text_field(posted, "cohort"))
        return RedirectResponse("/models", status_code=303)

    return router


def _chosen_donor(choices: Choices, donors: Donors) -> dict[str, StoolProfile]:
    donor = donors.cleared.get(choices.donor)
    return {} if donor is None else {donor.name: donor.profile}


def _served_clinic(clinic: Clinic | None) -> Clinic:
    if clinic is None:
        raise NotServed("the server has no cohort; start it with 'taxokine serve --clinic COHORT'")
    return clinic


def _find_patient(clinic: Clinic | None, patient_id: str) -> tuple[Clinic, Patient]:
    clinic = _served_clinic(clinic)
    patient = clinic.patients.get(patient_id)
    if patient is None:
        raise NotServed(f"{clinic.name} has no patient {patient_id!r} with a stool sample; go back to the candidates")
    return clinic, patient
