"""A PostgreSQL server for the tests: the one of NETLOOM_TEST_POSTGRES_URL, or a temporary one.

If there is no server and the tests run as root on Debian, its package is installed first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url, text

from netloom.store.schema import metadata

# The time limit of the installation, once per machine; without a network, apt gives up much sooner.
INSTALL_S = 240
_CUT_OFF = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""
_APT = ["apt-get", "-qq", "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10"]


class NoServerError(RuntimeError):
    """There is no PostgreSQL for the tests; the message says what is missing."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running server.

    Raises:
        NoServerError: No server is available.
    """
    if find_spec("psycopg") is None:
        raise NoServerError("the Python package psycopg is not installed")
    url = os.environ.get("NETLOOM_TEST_POSTGRES_URL")
    if url:
        yield url
        return
    programs = _programs() or _installed()
    folder = Path(tempfile.mkdtemp(prefix="netloom-pg-"))  # a short path, because of its socket
    user = _user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        # No pipe: the server would keep it open.
        subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL, timeout=60)

    try:
        run("initdb", "-A", "trust", "-U", "netloom", "--no-sync", "-E", "UTF8")
        run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-c listen_addresses= -c fsync=off -k {folder}")
        try:
            yield f"postgresql+psycopg://netloom@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(url: str) -> Iterator[str]:
    """Create a database on the server and yield its URL; drop it afterwards."""
    name = f"netloom_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        # Copying files is twice as fast as writing the pages of the new database to the log.
        strategy = "STRATEGY file_copy" if connection.dialect.server_version_info >= (15,) else ""  # type: ignore[operator]
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 {strategy}"))
    yield make_url(url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def empty(url: str) -> None:
    """Close all other connections to a database, and delete all rows of its tables."""
    _alone(url, f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")


def clear(url: str) -> None:
    """Close all other connections to a database, and drop its tables."""
    _alone(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def _alone(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(_CUT_OFF))
        connection.execute(text(statement))


def _programs() -> Path | None:
    """The folder of the server programs of the newest version."""
    initdb = shutil.which("initdb")
    folders = [Path(initdb).resolve().parent] if initdb else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda index: int(index.parent.name), reverse=True)
    return next((index for index in folders if (index / "initdb").exists() and (index / "pg_ctl").exists()), None)


def _installed() -> Path:
    """Install the Debian package if possible; among concurrent test processes, only one does."""
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise NoServerError("neither NETLOOM_TEST_POSTGRES_URL nor a PostgreSQL server is here")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": INSTALL_S}
    with (Path(tempfile.gettempdir()) / "netloom-postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            if _programs() is None:
                subprocess.run([*_APT, "update"], env=environment, check=False, **quiet)
                install = [*_APT, "install", "--yes", "--no-install-recommends", "postgresql"]
                subprocess.run(install, env=environment, check=False, **quiet)
    programs = _programs()
    if programs is None:
        raise NoServerError("there is no PostgreSQL server, and apt-get could not install one")
    return programs


def _user() -> str | None:
    """The user that runs the server: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise NoServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")
