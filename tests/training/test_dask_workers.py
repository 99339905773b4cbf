"""Experiments on a Dask cluster of processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from distributed import Client, Security
from threadpoolctl import threadpool_limits

from features.errors import InputError
from training.dask_workers import DaskWorkers, dask_workers
from training.workers import Threads


def add_after_a_while(total: int, item: int) -> tuple[int, int]:
    """Return the sum and the process that added."""
    time.sleep(0.05)
    return total + item, os.getpid()


def fail_at_three(total: int, item: int) -> int:
    if item == 3:
        raise ValueError("the third item is no good")
    return total + item


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskWorkers]:
    with dask_workers("local") as workers:
        yield workers


def test_results_come_in_the_order_of_the_items_from_several_processes(cluster):
    results = list(cluster.run(add_after_a_while, 100, range(12)))
    assert [total for total, _ in results] == list(range(100, 112))
    assert {process for _, process in results}.isdisjoint({os.getpid()})


def test_a_killed_worker_costs_its_task_and_no_result(cluster):
    (_, killed), *later = _killing_the_first(cluster.run(add_after_a_while, 100, range(40)))
    assert [total for total, _ in later] == list(range(101, 140))
    assert later[-1][1] != killed


def _killing_the_first(results: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield results, and kill the process that gave the first."""
    first = next(results)
    os.kill(first[1], signal.SIGKILL)
    yield first
    yield from results


def test_an_error_of_a_task_is_raised_and_the_rest_is_given_up(cluster):
    with pytest.raises(ValueError, match="the third item is no good"):
        list(cluster.run(fail_at_three, 1, range(50)))
    assert list(cluster.run(fail_at_three, 1, range(3))) == list(Threads(1).run(fail_at_three, 1, range(3)))


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_another_user_of_this_machine_runs_nothing_on_the_cluster(cluster, protocol):
    port = urlsplit(cluster.client.scheduler_info()["address"]).port
    security = Security.temporary() if protocol == "tls" else None
    with (
        pytest.raises(OSError, match=r"closed|imed out|TLS certificate does not match"),
        Client(f"{protocol}://127.0.0.1:{port}", timeout=2, security=security) as client,
    ):
        client.submit(os.getpid).result(timeout=5)


def test_an_address_without_a_scheduler_is_an_error(monkeypatch):
    monkeypatch.setattr("training.dask_workers.CONNECT_SECONDS", 1)
    address = "tcp://127.0.0.1:9"
    with pytest.raises(InputError, match=f"no Dask scheduler answers at '{address}'"), dask_workers(address):
        pass


def test_sums_of_matrices_have_the_same_last_digit(cluster):
    matrix = np.random.default_rng(0).normal(size=(300, 300))
    with threadpool_limits(1, "blas"):
        (local_square,) = Threads(1).run(product, matrix, [2])
    (remote_square,) = cluster.run(product, matrix, [2])
    assert np.array_equal(local_square, remote_square)


def product(matrix: np.ndarray, power: int) -> np.ndarray:
    return np.linalg.matrix_power(matrix, power)
