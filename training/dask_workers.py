"""The workers of a Dask cluster, which run the tasks of an experiment.

A task whose worker dies runs again on another. What tasks share is a task too, so that it is sent again to a worker
that takes another's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dask
from distributed import Client, LocalCluster, Security
from threadpoolctl import threadpool_limits

from features.errors import InputError
from training.workers import Item, Result, Shared, package_versions

LOCAL = "local"
"""Address of a cluster of this machine's cores, which is made for the experiment."""
CONNECT_SECONDS = 10
"""Time in which a scheduler must answer."""


@dataclass(frozen=True)
class DaskWorkers:
    """The workers of a Dask cluster.

    Attributes
    ----------
    client : distributed.Client
    """

    client: Client

    @property
    def dashboard(self) -> str:
        """Address of the page on which Dask shows its workers and their tasks."""
        return str(self.client.dashboard_link)

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield results as `training.workers.Workers.run` says."""
        shared_future = self.client.submit(_hold, shared, pure=False)
        futures = self.client.map(_run_task, list(items), function=function, shared=shared_future, pure=False)
        try:
            for future in futures:
                yield future.result()
                future.release()
        finally:
            self.client.cancel(futures)


@contextmanager
def dask_workers(address: str) -> Iterator[DaskWorkers]:
    """Connect to a Dask cluster, or make one of this machine's cores.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://127.0.0.1:8786``; or ``local``.

    Raises
    ------
    InputError
        No scheduler answers, or the workers have other versions of the packages that compute.
    """
    if address == LOCAL:
        with (
            # Daemons may start no processes, and a task may read its file in one of its own.
            dask.config.set({"distributed.worker.daemon": False}),
            LocalCluster(
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                # Who reaches a scheduler runs code as its user, and other users of this machine reach its ports.
                security=Security.temporary(),
            ) as cluster,
            Client(cluster) as client,
        ):
            yield DaskWorkers(client)
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from None
    with client:
        _require_same_versions(client)
        yield DaskWorkers(client)


def _require_same_versions(client: Client) -> None:
    """Raise an error unless every worker has this process's versions of the packages that compute."""
    local_versions = package_versions()
    for worker, versions in client.run(package_versions).items():
        differing = [
            f"{name} {versions[name]} (here {local_versions[name]})"
            for name in local_versions
            if versions[name] != local_versions[name]
        ]
        if differing:
            raise InputError(
                f"the Dask worker {worker} has {', '.join(differing)}; install the same versions, since the results "
                "depend on them"
            )


def _hold(shared: Shared) -> Shared:
    return shared


def _run_task(item: Item, function: Callable[[Shared, Item], Result], shared: Shared) -> Result:
    # As where threads fit: the tasks occupy every core already, and sums of several threads have other last digits.
    with threadpool_limits(1, "blas"):
        return function(shared, item)
