"""The route of the metrics."""

from __future__ import annotations

from ipaddress import ip_address

from fastapi import APIRouter, Request, Response, Security
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from models.predict import ModelsByOutcome
from serving.api.responses import error_documents
from serving.api.route import BEARER, KeyedRoute
from serving.metrics.exposition import exposition


class MetricsRoute(KeyedRoute):
    """A route that programs of this machine may read, and others with a key of the API."""

    async def authorise(self, request: Request) -> None:
        """Refuse a request from another machine that has no valid key."""
        if request.client is None or not ip_address(request.client.host).is_loopback:
            await super().authorise(request)


def metrics_routes(models: ModelsByOutcome) -> APIRouter:
    """Return the route of the metrics.

    Parameters
    ----------
    models : ModelsByOutcome
    """
    router = APIRouter(
        route_class=MetricsRoute, dependencies=[Security(BEARER)], responses=error_documents(400, 401, 503)
    )

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus, without a key from this machine",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics(request: Request) -> Response:
        return Response(exposition(models, request.app.state.outcomes), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
