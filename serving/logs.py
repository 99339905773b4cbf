"""The log of the server: JSON lines on standard error, without anything that a request says of a patient.

A line of Taxokine or uvicorn has its message. Of every other library, and of an exception, it has place and type
alone: their texts may quote a patient's values, a password or an address.
"""

from __future__ import annotations

import json
import logging
import logging.config
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

_MAX_CALLS = 50
LOG = logging.getLogger("taxokine")

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that this task or thread works for."""

_TRUSTED = ("taxokine", "uvicorn")
"""Loggers whose messages hold no data of patients."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time in UTC, level, logger, message, request, fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.partition(".")[0] in _TRUSTED:
            line["message"] = record.getMessage()
        else:
            line["place"] = f"{Path(record.pathname).name}:{record.lineno}"
        if (name := REQUEST_ID.get()) is not None:
            line["request"] = name
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            line |= _failure(record.exc_info[0], record.exc_info[2])
        return json.dumps(line)


def _failure(kind: type[BaseException], trace: TracebackType | None) -> dict[str, object]:
    """Return what a line says of an exception: its type, and the places of the calls that led to it, the last last."""
    calls = traceback.walk_tb(trace)
    places = [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}" for frame, line in calls]
    # A recursion that never ends has a thousand.
    return {"error": kind.__name__, "trace": places[-_MAX_CALLS:]}


LOG_CONFIG: dict[str, object] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "taxokine": {"level": "INFO"},
        "uvicorn": {"level": "INFO"},
        # Its lines hold paths, and a path may hold the id of a patient.
        "uvicorn.access": {"handlers": [], "propagate": False},
    },
}
"""Configuration of the loggers of a server's process, as `logging.config.dictConfig` takes it."""


def configure_logging() -> None:
    """Log everything of this process as JSON: loggers, Python's warnings, and what ends a thread."""
    logging.config.dictConfig(LOG_CONFIG)
    logging.captureWarnings(True)
    threading.excepthook = _log_ended_thread


def _log_ended_thread(ended: threading.ExceptHookArgs) -> None:
    LOG.error("a thread ended", extra={"fields": _failure(ended.exc_type, ended.exc_traceback)})


def log_failure(text: str, error: BaseException) -> None:
    """Log an unforeseen exception: its type and the places of its calls, never its message."""
    # Not as `exc_info`: another formatter would write the message.
    LOG.error(text, extra={"fields": _failure(type(error), error.__traceback__)})
