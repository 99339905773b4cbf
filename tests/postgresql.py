"""A PostgreSQL server of the tests alone, in a folder of its own, reached by a socket there."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg

PASSWORD = "of/the d@tabase?"


def find_initdb() -> str | None:
    """Return the path of PostgreSQL's `initdb`, beside which its other programs are; None where it is not installed."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which("initdb", path=os.pathsep.join(places))


class PostgresServer:
    """A server that can be stopped and started; leaving the context removes it."""

    def __init__(self, initdb: str) -> None:
        self._initdb = Path(initdb).resolve()
        # Not in pytest's own folder, which only its owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql"))
        self._user: dict[str, Any] = {}

    def __enter__(self) -> PostgresServer:
        (self._folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self._folder, self._folder / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run("initdb", "-D", "data", "-U", "taxokine", "--pwfile=password", "-A", "scram-sha-256", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        """Stop the server at once, as a failure of its machine does."""
        self._run("pg_ctl", "stop", "-D", "data", "-m", "immediate")

    def new_database(self) -> str:
        """Make a database, and return its URL."""
        name = f"db_{secrets.token_hex(4)}"
        address = {"host": str(self._folder), "user": "taxokine", "password": PASSWORD, "dbname": "postgres"}
        with psycopg.connect(**address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://taxokine:{quote(PASSWORD, safe='')}@/{name}?host={self._folder}"

    def _run(self, *words: str) -> None:
        program = self._initdb.with_name(words[0])
        subprocess.run([program, *words[1:]], cwd=self._folder, check=True, stdout=subprocess.DEVNULL, **self._user)
