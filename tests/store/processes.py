"""Tasks that tests run on a store in other processes. Tasks that start together wait for the file `go` in the data
folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401
from sqlalchemy import Engine, event

from netloom.document import blank
from netloom.store import ClaimLostError, Limits, Point, SaveConflictError, Store, StoreError, open_store
from tests.store.states import put

with contextlib.suppress(ImportError):
    import psycopg  # noqa: F401

BATCH = 200
# Processes are forked from one that has imported all of the above: a new interpreter takes 0.5 s for that.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Child:
    """A task in a separate process, with the part of the interface of subprocess.Popen that is used here."""

    def __init__(self, task: Callable[..., None], home: Path, *arguments: object, host: str = "") -> None:
        (out_reader, out_writer), (err_reader, err_writer) = _forks.Pipe(duplex=False), _forks.Pipe(duplex=False)
        environment = {**os.environ, **({"NETLOOM_HOST": host} if host else {})}
        work = (task, home, arguments, environment, out_writer, err_writer)
        self._process = _forks.Process(target=_run, args=work, daemon=True)
        with pytest.MonkeyPatch.context() as patch:
            # Each process would import it: pytest, or the page that the last AppTest has left there.
            patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
            self._process.start()
        out_writer.close()
        err_writer.close()
        self.stdout, self._stderr = (os.fdopen(os.dup(stream.fileno())) for stream in (out_reader, err_reader))

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def communicate(self) -> tuple[str, str]:
        """Wait for the process. Returns the rest of its standard output and standard error."""
        with self.stdout, self._stderr:
            outputs = self.stdout.read(), self._stderr.read()
        self._process.join()
        return outputs


def _run(
    task: Callable[..., None],
    home: Path,
    arguments: tuple[object, ...],
    environment: dict[str, str],
    out: Connection,
    err: Connection,
) -> None:
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    task(home, *arguments)


def together(task: Callable[..., None], home: Path, count: int, *arguments: object) -> list[list[str]]:
    """Run the same task in several processes at once. Returns the lines that each of them printed."""
    children = [Child(task, home, *arguments) for _ in range(count)]
    for child in children:
        line = child.stdout.readline()
        assert line == "ready\n", child.communicate()[1]
    (home / "go").touch()
    outputs = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0] * count, [end[1] for end in outputs]
    return [end[0].split("\n")[:-1] for end in outputs]


def batch(number: int) -> list[Point]:
    """A batch of points, which all contain its number."""
    return [(number * BATCH + index, number, "train", "loss", float(number), 0.0) for index in range(BATCH)]


def _begin(home: Path) -> None:
    print("ready", flush=True)
    while not (home / "go").exists():
        time.sleep(0.001)


def open_fresh(home: Path, folder: str) -> None:
    _begin(home)
    print(open_store(home / folder).create_project(blank("Fresh")))


def die_migrating(home: Path) -> None:
    """Die as in a power cut when most of the tables exist."""

    @event.listens_for(Engine, "after_cursor_execute")
    def _die(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "CREATE TABLE trials" in statement:
            os.kill(os.getpid(), 9)

    open_store(home)


def save(home: Path, project_id: str, rounds: int) -> None:
    """Increment the number in the name of the project `rounds` times, in competition with other processes. Prints the
    stamp on which each successful save was based."""
    store = open_store(home)
    _begin(home)
    successes = 0
    while successes < rounds:
        saved = store.load(project_id)
        name = str(int(saved.project.name) + 1)
        try:
            store.save(project_id, blank(name), saved.epoch, saved.revision + 1, {}, saved.stamp)
        except SaveConflictError:
            continue
        successes += 1
        print(saved.stamp)


def write(home: Path, run_id: str, count: int) -> None:
    """Append batches of points under a unique split name, and print the number of each."""
    store = open_store(home)
    _begin(home)
    for number in range(count):
        store.add_points(run_id, [(*row[:2], f"part {os.getpid()}"[:16], *row[3:]) for row in batch(number)])
        print(number)


def take(home: Path, run_id: str) -> None:
    """Take commands until the run is stopped, and print the learning rates."""
    store = open_store(home)
    _begin(home)
    while True:
        for item in store.take_commands(run_id):
            if item.kind == "learning_rate":
                print(item.value)
        if store.run(run_id).state == "stopped":
            return


def write_until_killed(home: Path, project_id: str, run_id: str) -> None:
    """Save the project and append points in an endless loop, and print each number after it was saved."""
    store = open_store(home)
    saved = store.load(project_id)
    stamp = saved.stamp
    number = saved.revision
    while True:
        number += 1
        project = blank(str(number))
        stamp = store.save(project_id, project, saved.epoch, number, {"client": number}, stamp)
        store.add_points(run_id, batch(number))
        print(number, flush=True)


def claim(home: Path, workers: int) -> None:
    """Claim runs from the queue and finish each immediately, until none waits. Prints the claimed IDs."""
    store = open_store(home)
    limits = Limits(workers=workers, each=10_000)
    _begin(home)
    while store.line():
        run = store.claim_next(limits)
        if run is None:
            continue
        with store.db.reading() as connection:
            active = connection.exec_driver_sql("SELECT count(*) FROM runs WHERE state = 'queued'").scalar_one()
        assert active <= workers, active
        assert store.set_worker(run.id, str(run.claim), os.getpid())
        print(run.id)
        put(store, run.id, "finished")


def claim_here(home: Path, workers: int) -> None:
    """Claim runs from the queue as one of several machines, and leave them. Prints the claimed IDs and hosts."""
    store = open_store(home)
    _begin(home)
    while (run := store.claim_next(Limits(workers=workers, each=10))) is not None:
        print(run.id, run.host)


def beat(home: Path, start: str) -> None:
    """Claim the next run and, if `start` is "worker", send heartbeats as its worker until the claim is lost; then print
    the error. When a file `cut` appears, stop between two heartbeats, without a lock on the database."""
    store = open_store(home)
    run = store.claim_next(Limits())
    assert run is not None
    if start == "worker":
        assert store.set_worker(run.id, str(run.claim), os.getpid())
        put(store, run.id, "running")
    print("ready", flush=True)
    epoch = 0
    while True:
        time.sleep(0.05)
        epoch += 1
        if (home / "cut").exists():
            (home / "cut").unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            if start == "worker":
                store.heartbeat(run.id, holding=run.claim, epoch=epoch, step=epoch, summary={})
        except ClaimLostError as error:
            print(error, flush=True)
            return


def publish_until_killed(home: Path) -> None:
    """Publish a network in an endless loop, each time with the next number, and print it after it was saved."""
    store = open_store(home)
    number = 0
    while True:
        number += 1
        bundle = blank("tower").model_copy(update={"notes": str(number)})
        bundle = bundle.model_copy(update={"networks": {"tower": bundle.main_network}, "main": "tower"})
        store.publish(bundle, {"number": number}, replace=True)
        print(number, flush=True)


def fork(home: Path, run_id: str) -> None:
    """Write from this process and from two children that were forked while the store was open and in use."""
    store = open_store(home)
    store.add_points(run_id, batch(0))
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            _write_and_leave(store, run_id)
        children.append(child)
    for number in range(1, 20):
        store.add_points(run_id, batch(number))
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    print(len(store.points(run_id).step))


def _write_and_leave(store: Store, run_id: str) -> None:
    """Exits by a signal, SIGKILL on success, and thus without the cleanup of the parent."""
    end = signal.SIGTERM
    try:
        for number in range(1, 20):
            store.add_points(run_id, batch(number))
        end = signal.SIGKILL
    finally:
        os.kill(os.getpid(), end)


def open_as_stranger(home: Path, user: int) -> None:
    """Open a store as a user with read access only; root could always write."""
    if user:
        os.setgid(user)
        os.setuid(user)
    try:
        open_store(home).create_project(blank("Mine"))
    except StoreError as error:
        print(error)
