"""The performance of the served models, computed at most once a minute."""

from __future__ import annotations

import threading
import time

from serving.outcomes.performance import LivePerformance, live_performance
from serving.outcomes.store import OutcomeStore

MAX_AGE = 60.0
"""Seconds after which reports are read again."""


class LiveOutcomes:
    """Reports of outcomes, and what they say of the models. Threads may share an object.

    Parameters
    ----------
    store : OutcomeStore
    """

    def __init__(self, store: OutcomeStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._performance: list[LivePerformance] = []
        self._computed = -MAX_AGE

    def performance(self) -> list[LivePerformance]:
        """Return the performance of each version of a model; at most `MAX_AGE` seconds old."""
        with self._lock:
            if time.monotonic() - self._computed >= MAX_AGE:
                self._performance = live_performance(self.store.reported())
                self._computed = time.monotonic()
            return self._performance

    def forget(self) -> None:
        """Have the next performance computed anew."""
        with self._lock:
            self._computed = -MAX_AGE
