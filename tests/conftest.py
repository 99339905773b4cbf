"""What every room's tests share."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import settings

# A busy machine is no failure. HYPOTHESIS_PROFILE=thorough tries many more examples.
settings.register_profile("quick", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


PASSWORD = "of/the d@tabase?"


@pytest.fixture(scope="session")
def cohorts_dir() -> Path:
    """Return the folder of the real published cohorts, or skip where it is absent (an error under CI)."""
    folder = Path(os.environ.get("TAXOKINE_DATA", Path(__file__).parents[1].parent / "shared" / "cohorts"))
    if not folder.is_dir():
        message = f"the published cohorts are not at {folder}; set TAXOKINE_DATA to their folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def cases_dir(cohorts_dir: Path) -> Path:
    """Return the folder of the small cases of users' files, beside the published cohorts; absent, it skips likewise."""
    folder = cohorts_dir.parent / "cases"
    if not folder.is_dir():
        message = f"the small cases are not at {folder}, beside the published cohorts"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], str]]:
    """Start a PostgreSQL server for these tests alone, and yield what makes a database there and returns its URL."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    initdb = shutil.which("initdb", path=os.pathsep.join(places))
    if initdb is None:
        message = "PostgreSQL's initdb is neither in PATH nor in /usr/lib/postgresql; apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    # Not in pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgresql"))
    (folder / "password").write_text(PASSWORD)
    running_as: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        running_as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, folder / "password"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def run(*words: str) -> None:
        program = Path(initdb).resolve().with_name(words[0])
        subprocess.run([program, *words[1:]], cwd=folder, check=True, stdout=subprocess.DEVNULL, **running_as)

    def new() -> str:
        name = f"db_{secrets.token_hex(4)}"
        with psycopg.connect(
            host=str(folder), user="taxokine", password=PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://taxokine:{quote(PASSWORD, safe='')}@/{name}?host={folder}"

    try:
        run("initdb", "-D", "data", "-U", "taxokine", "--pwfile=password", "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C", "--no-sync")  # fmt: skip
        run("pg_ctl", "start", "-D", "data", "-l", "log", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off")
        try:
            yield new
        finally:
            run("pg_ctl", "stop", "-D", "data", "-m", "immediate")
    finally:
        shutil.rmtree(folder)
