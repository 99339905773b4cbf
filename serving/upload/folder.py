"""The temporary folder of an upload, which holds a patient's files while they are read."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "taxokine-upload-"
_ABANDONED_SECONDS = 600


@contextmanager
def upload_folder() -> Iterator[Path]:
    """Yield a new folder that only this user can open, and delete it afterwards."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


def delete_abandoned_folders() -> None:
    """Delete the folders of uploads that a killed server left behind.

    Another server of this user may be reading an upload right now, so folders of the last ten minutes stay.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            continue
        if status.st_uid == os.getuid() and time.time() - status.st_mtime > _ABANDONED_SECONDS:
            # Of a symbolic link, `rmtree` deletes nothing.
            shutil.rmtree(folder, ignore_errors=True)
