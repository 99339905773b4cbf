"""The demo's folder: everything that it makes, for one demo at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import InputError
from features.settings import settings

FOLDER = Path(".demo")
LOCK = "lock"


@contextmanager
def demo_folder() -> Iterator[Path]:
    """Empty the demo's folder, point the settings of this process and its children to it, and hold it.

    Yields
    ------
    Path
        The folder, absolute.

    Raises
    ------
    InputError
        Another demo runs in this folder, or the folder cannot be written.
    """
    folder = FOLDER.absolute()
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / LOCK).open("a+")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}; start the demo in another folder") from error
    with lock:
        _hold(lock.fileno(), folder)
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        os.environ.update(TAXOKINE_HOME=str(folder), MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")
        for name in ("TAXOKINE_DATABASE", "TAXOKINE_API_KEY", "TAXOKINE_ALIAS", "TAXOKINE_CLINIC", "MLFLOW_RUN_ID"):
            os.environ.pop(name, None)
        settings.cache_clear()
        yield folder


def _hold(lock: int, folder: Path) -> None:
    """Take the lock, which the system gives back when this process ends, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process = (folder / LOCK).read_text().strip()
        raise InputError(
            f"a demo is running in this folder already, as process {process}; use the address that it printed, or end "
            f"it with Ctrl-C or 'kill {process}' and start again"
        ) from None
