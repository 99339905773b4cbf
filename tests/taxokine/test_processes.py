"""Calls in a process beside this one: their result, their error, and their end."""

from __future__ import annotations

import gc
import os
import signal
import time
from functools import partial
from operator import mul
from pathlib import Path

import psutil
import pytest

from features.cohort import read_cohort
from features.errors import TaxokineError
from taxokine.processes import background_call


def test_the_result_of_a_call_beside_this_one():
    with background_call(partial(mul, 6, 7)) as wait_for_result:
        assert wait_for_result() == 42


def test_a_call_that_computes_searches_for_garbage_seldom():
    with background_call(gc.get_threshold) as wait_for_result:
        assert wait_for_result()[0] == 20_000


def test_the_error_of_a_call_is_raised_here(tmp_path):
    absent = str(tmp_path / "absent.yaml")
    call = background_call(partial(read_cohort, absent, Path(tmp_path)))
    with call as wait_for_result, pytest.raises(TaxokineError, match=r"absent\.yaml"):
        wait_for_result()


def test_a_call_that_ends_its_process_is_an_error():
    call = background_call(partial(os._exit, 3))
    with call as wait_for_result, pytest.raises(TaxokineError, match="ended with status 3"):
        wait_for_result()


def test_interrupted_here_the_call_ends_too():
    # A shell that runs the tests in the background makes them ignore interrupts.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = psutil.Process().children()
    try:
        with pytest.raises(KeyboardInterrupt):
            _interrupt_beside_a_call()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert [child for child in psutil.Process().children() if child not in before and _is_call(child)] == []


def _interrupt_beside_a_call() -> None:
    with background_call(partial(time.sleep, 600)):
        assert any(_is_call(child) for child in psutil.Process().children())
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)


def _is_call(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())
