"""The route of batches: a file in, a file out, both a part at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from anyio import CancelScope, CapacityLimiter, WouldBlock, open_file, to_thread
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from models.predict import ModelsByOutcome
from serving.api.responses import error_documents, keyed_router, require_models
from serving.api.route import check_encoding
from serving.batch.formats import MEDIA_TYPES, BatchFormat, format_accepted, format_sent
from serving.batch.predicting import MAX_ROWS, FileBatch, PredictedRow
from serving.errors import Busy, NotRecorded, TooLarge
from serving.predictions import requested_outcomes
from serving.record.asking import REQUEST_HEADERS, RowQuestion, record_rows
from serving.record.question import recorded_predictions
from serving.schemas import Name
from serving.upload.folder import upload_folder

MAX_FILE = 2**30
"""Bytes of the largest file: 100,000 rows of 1,000 taxa as CSV, or of many more as Parquet."""
MAX_BATCHES = 1
"""Batches that each worker predicts at once; further ones get status 503."""

_EXAMPLE = """\
patient,tumour_type,profiler,sample_day,clock,draw_day,taxa:Akkermansia_muciniphila,taxa:Faecalibacterium_prausnitzii,\
immune:IL-6 [pg/mL],clinical:age,clinical:sex
candidate-1,melanoma,mpa_vOct22_CHOCOPhlAnSGB_202212,-3,day_ici,-3,0.042,0.958,<3.2,61,female
candidate-2,melanoma,mpa_vOct22_CHOCOPhlAnSGB_202212,-5,day_ici,-5,0.31,0.69,7.4,54,male
"""
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {
                "schema": {"type": "string", "format": "binary"},
                **({"example": _EXAMPLE} if kind == "csv" else {}),
            }
            for kind, media_type in MEDIA_TYPES.items()
        },
    }
}
_ANSWER: dict[str, object] = {
    "description": "One row for each row and outcome: the columns that are no measurements, `row`, `outcome`, the "
    "prediction, `evidence`, `record` and `error`",
    "content": {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()},
    **REQUEST_HEADERS,
}
_DESCRIPTION = f"""\
Predict response and toxicity for each row of a file: CSV, Parquet or a stream of Arrow, at most {MAX_ROWS:,} rows.

A row is a patient. Its columns are `patient` (required), measurements named by their block, as `taxokine features`
writes them (`taxa:…` as proportions, or in the unit of the column `taxa_unit`; `immune:… [unit]`, a number or "<limit";
`clinical:…`; `donor:…`), and `profiler`, `sample_day`, `draw_day`, `clock`, `tumour_type`, `treatment_line` and
`drug_class`. All other columns are returned as they came. The answer has a row for each row and outcome, in the format
of the file unless `Accept` names another. A row that cannot be read has its `error`, and the others their predictions.
Every predicted row is an entry of its patient in the record of questions."""


def batch_routes(models: ModelsByOutcome) -> APIRouter:
    """Return the route of batches.

    Parameters
    ----------
    models : ModelsByOutcome
    """
    router = keyed_router()
    batches = CapacityLimiter(MAX_BATCHES)

    @router.post(
        "/predictions/batch",
        summary="Predict response and toxicity for each row of a file",
        description=_DESCRIPTION,
        response_class=Response,
        openapi_extra=_BODY,
        responses={200: _ANSWER, **error_documents(406, 413, 415, 422, 503)},
    )
    async def create_batch(
        request: Request, outcome: Annotated[list[Name] | None, Query(min_length=1)] = None
    ) -> Response:
        require_models(models)
        served = {name: models[name] for name in requested_outcomes(outcome, models)}
        sent = format_sent(request.headers.get("content-type", ""))
        accepted = format_accepted(request.headers.get("accept", ""), sent)
        with ExitStack() as stack:
            _reserve(batches, stack)
            path = stack.enter_context(upload_folder()) / "batch"
            await _save_body(request, path)
            batch = await to_thread.run_sync(FileBatch, served, path, sent, accepted)
            stack.callback(batch.close)
            parts = _parts(request, batch)
            # What is wrong with the file as a whole shows by its first rows, before the response has a status.
            first_part = await anext(parts)
            return _BatchResponse(first_part, parts, stack.pop_all(), accepted)

    return router


def _reserve(batches: CapacityLimiter, stack: ExitStack) -> None:
    try:
        batches.acquire_on_behalf_of_nowait(stack)
    except WouldBlock:
        raise Busy("another batch is being predicted; send this one when it has ended") from None
    stack.callback(batches.release_on_behalf_of, stack)


async def _save_body(request: Request, path: Path) -> None:
    check_encoding(request)
    size = 0
    async with await open_file(path, "wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_FILE:
                raise TooLarge(f"the file is larger than {MAX_FILE:,} bytes; send it in parts")
            await file.write(chunk)


async def _parts(request: Request, batch: FileBatch) -> AsyncIterator[bytes]:
    """Yield the answer, a part at a time; no part leaves before its questions are recorded."""
    while rows := await to_thread.run_sync(batch.predict_chunk):
        answers = [answer for row, entry in await _record(request, rows) for answer in row.answers(entry)]
        yield await to_thread.run_sync(batch.writer.write, answers)
    yield await to_thread.run_sync(batch.writer.close)


async def _record(request: Request, rows: Sequence[PredictedRow]) -> list[tuple[PredictedRow, int | None]]:
    predicted = [row for row in rows if row.patient is not None]
    questions = [
        RowQuestion(row.patient.id, row.patient.candidate, recorded_predictions(row.predictions))
        for row in predicted
        if row.patient is not None
    ]
    try:
        numbers = dict(zip((row.number for row in predicted), await record_rows(request, questions), strict=True))
    except NotRecorded as error:
        if rows[0].number == 1:
            raise
        # The response has begun: what cannot be recorded has its error in its row.
        return [(row if row.patient is None else row.withheld(str(error)), None) for row in rows]
    return [(row, numbers.get(row.number)) for row in rows]


class _BatchResponse(StreamingResponse):
    """A file that is sent as it is predicted; whatever ends it, process, folder and place of the batch are freed."""

    def __init__(self, first_part: bytes, parts: AsyncIterator[bytes], resources: ExitStack, kind: BatchFormat) -> None:
        self._resources = resources
        super().__init__(self._all_parts(first_part, parts), media_type=MEDIA_TYPES[kind])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await self._free()

    async def _all_parts(self, first_part: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield first_part
        async for part in parts:
            yield part
        # Before the client sees the end: its next batch must not find the place taken.
        await self._free()

    async def _free(self) -> None:
        # Deleting a large file takes long.
        await to_thread.run_sync(self._resources.close)
