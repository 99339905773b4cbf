"""The metrics as Prometheus reads them: the instruments of all workers, and the performance of models in use."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from models.evidence import Estimate
from models.predict import ModelsByOutcome, every_model
from serving.instruments import REGISTRY
from serving.outcomes.live import LiveOutcomes
from serving.outcomes.performance import LivePerformance

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PROCESS_FILE = re.compile(r"gauge_live\w*_(\d+)\.db")


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """Let the workers that start in this context count together, in files that each of them can read."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="taxokine-metrics-") as folder:
        # Read when a worker imports the library.
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


def exposition(models: ModelsByOutcome, outcomes: LiveOutcomes | None) -> bytes:
    """Return the metrics in the text format of Prometheus.

    Parameters
    ----------
    models : ModelsByOutcome
    outcomes : LiveOutcomes, optional
        Reports of outcomes; without them nothing is estimated.
    """
    computed = CollectorRegistry()
    computed.register(_Computed(models, outcomes))
    return generate_latest(_instruments()) + generate_latest(computed)


def _instruments() -> CollectorRegistry:
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return REGISTRY
    for path in Path(folder).iterdir():
        match = _PROCESS_FILE.fullmatch(path.name)
        if match and not psutil.pid_exists(int(match[1])):
            # The gauges of a worker that was killed; its counts stay.
            mark_process_dead(int(match[1]))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


class _Computed(Collector):
    """What is computed when it is asked for."""

    def __init__(self, models: ModelsByOutcome, outcomes: LiveOutcomes | None) -> None:
        self._models, self._outcomes = models, outcomes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the served models, and the performance of models in use."""
        served = GaugeMetricFamily(
            "taxokine_served_model", "1 for each model that is served.", labels=("outcome", "model", "version", "alias")
        )
        for item in every_model(self._models):
            served.add_metric((item.model.outcome, item.name, item.version, item.alias), 1)
        yield served
        if self._outcomes is None:
            return
        try:
            performances = self._outcomes.performance()
        except SQLAlchemyError:
            # Every other metric must remain while the database is locked or lost.
            yield GaugeMetricFamily("taxokine_outcomes_readable", _READABLE, value=0)
            return
        yield GaugeMetricFamily("taxokine_outcomes_readable", _READABLE, value=1)
        yield from _performance_families(performances)


_READABLE = "1 where the reports of outcomes could be read, 0 where the database is locked or lost."
_LABELS = ("outcome", "model", "version")


def _performance_families(performances: Sequence[LivePerformance]) -> Iterator[GaugeMetricFamily]:
    patients = GaugeMetricFamily(
        "taxokine_live_patients", "Patients with a probability and a reported outcome.", labels=_LABELS
    )
    events = GaugeMetricFamily("taxokine_live_events", "Those of them who had the outcome.", labels=_LABELS)
    brier = GaugeMetricFamily("taxokine_live_brier", "Mean squared error of the probability.", labels=_LABELS)
    auroc = _estimates("taxokine_live_auroc", "Area under the ROC curve in use, with its 95% interval")
    ratio = _estimates("taxokine_live_observed_to_expected", "Patients with the outcome per expected one; 95% interval")
    for item in performances:
        labels = (item.outcome, item.model, item.version)
        patients.add_metric(labels, item.observed.patients)
        events.add_metric(labels, item.observed.events)
        if item.brier is not None:
            brier.add_metric(labels, item.brier)
        _add(auroc, labels, item.auroc)
        _add(ratio, labels, item.observed_to_expected)
    yield from (patients, events, brier, auroc, ratio)


def _estimates(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        name, f"{text} (bound: value, low, high); absent for too few patients.", labels=(*_LABELS, "bound")
    )


def _add(family: GaugeMetricFamily, labels: tuple[str, ...], estimate: Estimate) -> None:
    for bound, value in (("value", estimate.value), ("low", estimate.low), ("high", estimate.high)):
        if value is not None:
            family.add_metric((*labels, bound), value)
