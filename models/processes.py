"""The processes of a machine by name, so that what a killed one has left can be told from what a living one does."""

from __future__ import annotations

import socket

import psutil


def this_process() -> str:
    """Return the name of this process: machine, number and time of its start."""
    return _name(psutil.Process())


def has_ended(name: str) -> bool:
    """Return whether a process of this machine has ended; of another machine, or of no name, nothing is known.

    Parameters
    ----------
    name : str
        As `this_process` returned it there.
    """
    host, _, process = name.rpartition("/")
    if not host or host != socket.gethostname():
        return False
    try:
        running = psutil.Process(int(process.partition(":")[0]))
        # A killed process stays in the table as a zombie until its parent has asked how it ended.
        return running.status() == psutil.STATUS_ZOMBIE or _name(running) != name
    except (psutil.NoSuchProcess, ValueError):
        return True


def _name(process: psutil.Process) -> str:
    return f"{socket.gethostname()}/{process.pid}:{process.create_time():.0f}"
