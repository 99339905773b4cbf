"""The API: its routes, under /v1 with a key, and the health checks, without."""

from serving.api.route import MAX_BODY
from serving.api.routes import create_api

__all__ = ["MAX_BODY", "create_api"]
