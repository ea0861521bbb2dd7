"""A PostgreSQL server for the tests: one that is told by NETLOOM_TEST_POSTGRES_URL, or one started for the occasion."""

from __future__ import annotations

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

from sqlalchemy import create_engine, make_url, text


class NoServerError(RuntimeError):
    """There is no PostgreSQL here to test with; the message says what is missing."""


def missing() -> str:
    """What is missing to test with PostgreSQL, or nothing."""
    if find_spec("psycopg") is None:
        return "the Python package psycopg is not installed"
    if not os.environ.get("NETLOOM_TEST_POSTGRES_URL"):
        try:
            _programs(), _user()
        except NoServerError as error:
            return str(error)
    return ""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running server.

    Raises:
        NoServerError: none can be had.
    """
    if missing():
        raise NoServerError(missing())
    told = os.environ.get("NETLOOM_TEST_POSTGRES_URL")
    if told:
        yield told
        return
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="netloom-pg-"))  # a short path, for the socket in it
    user = _user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        # Not into a pipe: the server would keep it open.
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
    """The URL of an empty database on the server, dropped again afterwards."""
    name = f"netloom_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    raise NoServerError("neither NETLOOM_TEST_POSTGRES_URL nor a PostgreSQL server is here")


def _user() -> str | None:
    """Who shall run the server: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise NoServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")
