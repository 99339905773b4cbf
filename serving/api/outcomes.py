"""The routes of outcomes: what became of a patient, and how the models perform on those who were reported."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from features.errors import InputError
from models.predict import ModelsByOutcome, every_model
from serving.api.responses import error_documents, keyed_router
from serving.errors import NotServed
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.performance import BIAS, MIN_EACH, MIN_PATIENTS
from serving.schemas import ModelPerformanceResponse, OutcomeReportRequest, OutcomeReportResponse


def outcome_routes(models: ModelsByOutcome) -> APIRouter:
    """Return the routes of outcomes.

    Parameters
    ----------
    models : ModelsByOutcome
    """
    router = keyed_router()

    @router.post(
        "/outcomes",
        summary="Report what became of a patient after a recorded prediction; a later report corrects an earlier one",
        status_code=201,
        responses=error_documents(400, 404, 413, 415, 422, 503),
    )
    async def create_report(request: Request, report: OutcomeReportRequest) -> OutcomeReportResponse:
        if (report.record is None) == (report.patient is None):
            raise InputError("send either 'record', the number of the prediction's entry, or 'patient', not both")
        try:
            assessed = date.fromisoformat(report.assessed)
        except ValueError as error:
            raise InputError(
                f"assessed: {report.assessed} is no day of the calendar; send one as 2027-01-31"
            ) from error
        outcomes = _outcomes(request)
        number, appended = await run_in_threadpool(
            outcomes.store.append,
            request.state.asker,
            request.state.request_id,
            assessed,
            report.outcomes,
            number=report.record,
            patient=report.patient,
        )
        outcomes.forget()
        return OutcomeReportResponse(number, appended.prediction, dict(appended.outcomes))

    @router.get(
        "/models/{name}/performance",
        summary="How a model performs on the patients whose outcome was reported, by version",
        responses=error_documents(404, 422, 503),
    )
    async def performance(request: Request, name: str) -> ModelPerformanceResponse:
        versions = [item for item in await run_in_threadpool(_outcomes(request).performance) if item.model == name]
        if not versions and all(served.name != name for served in every_model(models)):
            raise NotServed(
                f"no model {name!r} is served, and no outcome of it was reported; GET /v1/models lists models"
            )
        return ModelPerformanceResponse(name, versions, MIN_PATIENTS, MIN_EACH, BIAS)

    return router


def _outcomes(request: Request) -> LiveOutcomes:
    outcomes: LiveOutcomes | None = request.app.state.outcomes
    if outcomes is None:
        raise NotServed("this server keeps no record of questions, so outcomes have no predictions to be reported on")
    return outcomes
