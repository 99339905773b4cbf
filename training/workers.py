"""Where independent tasks run: threads of this process, or the workers of a Dask cluster.

The results do not depend on it: a task has its own random stream, and reads nothing but its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol, TypeVar

from joblib import Parallel, delayed

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Whatever runs independent tasks."""

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the function's result for each item, in the order of the items.

        Parameters
        ----------
        function : callable
            Of a module, so that it can be sent to another process.
        shared : object
            First argument of every task; sent to each process once.
        items : iterable
            Second arguments, one a task.
        """
        ...


@dataclass(frozen=True)
class Threads:
    """Threads of this process.

    Attributes
    ----------
    count : int
        -1 is one for each core.
    """

    count: int = -1

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield results as `Workers.run` says."""
        # The solvers release the interpreter's lock, and new processes would spend seconds on imports before the first
        # task.
        jobs = (delayed(function)(shared, item) for item in items)
        yield from Parallel(self.count, prefer="threads", return_as="generator")(jobs)


EVERY_CORE = Threads()
"""A thread for each core of this machine."""

_COMPUTING_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "xgboost-cpu", "taxokine")


def package_versions() -> dict[str, str]:
    """Return this process's versions of the packages on which the digits of a result depend."""
    return {name: version(name) for name in _COMPUTING_PACKAGES}
