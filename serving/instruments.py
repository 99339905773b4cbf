"""The counters, histograms and gauges that the server's parts set while they work.

No label holds what a client chose: routes are templates, models those of the registry. None names a patient or a user.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()
REGISTRY = CollectorRegistry()
"""The instruments of this process."""

REQUESTS = Counter(
    "taxokine_requests", "Requests, by method, template of the route, and status.", ("method", "route", "status"),
    registry=REGISTRY,
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "taxokine_request_seconds",
    "Seconds from a request to the last byte of its answer.",
    ("method", "route"),
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
PREDICTIONS = Counter(
    "taxokine_predictions",
    "Predictions that were answered, by outcome, model, version and verdict; where it is abstain, without probability.",
    ("outcome", "model", "version", "verdict"),
    registry=REGISTRY,
)
UPLOADS = Counter(
    "taxokine_uploads",
    "Uploads of patients' files, by how their reader ended: read, or killed for too_long, too_large or damaged files.",
    ("reader",),
    registry=REGISTRY,
)
RECORD_QUEUE = Gauge(
    "taxokine_record_queue", "Questions that wait to be recorded.", registry=REGISTRY, multiprocess_mode="livesum"
)
UNRECORDED = Counter("taxokine_unrecorded_questions", "Questions that could not be recorded.", registry=REGISTRY)
MODELS_DEGRADED = Gauge(
    "taxokine_models_degraded",
    "1 where a worker serves the last good set of models, for the reason that /readyz states; else 0.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
MODELS_CHECKED = Gauge(
    "taxokine_models_checked_timestamp_seconds",
    "When the registry last named the served models; of the worker where this is longest ago.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
MODELS_LOADED = Gauge(
    "taxokine_models_loaded_timestamp_seconds",
    "Since when the served set of models answers; of the worker where this is longest ago.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
