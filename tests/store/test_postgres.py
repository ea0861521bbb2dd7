"""Runs on PostgreSQL: a real worker writes the rows, and a killed worker leaves them consistent."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from netloom import runs
from netloom.document import Project
from netloom.store import Command, Run, Store
from tests.networks import digits_mlp
from tests.runs.examples import trained_here


def with_epochs(epochs: int) -> Project:
    project = digits_mlp()
    return project.model_copy(update={"training": project.training.model_copy(update={"epochs": epochs})})


def wait_for_epoch(store: Store, run_id: str, epoch: int) -> Run:
    """Wait until the points of an epoch are saved. Returns the run."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if epoch in store.points(run_id).epoch:
            return store.run(run_id)
        time.sleep(0.05)
    raise TimeoutError(store.run(run_id).reason)


def test_run_is_controlled_killed_and_resumed(postgres_store: Store) -> None:
    store = postgres_store
    project = with_epochs(10_000)
    first = runs.start(store, store.create_project(project), project, owner="ann")
    runs.set_learning_rate(store, first, 0.0005)
    run = wait_for_epoch(store, first, 3)
    while run.summary.learning_rate != 0.0005:
        assert run.state == "running", run.reason
        run = store.run(first)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    while runs.refresh(store, first).state in runs.ACTIVE:
        time.sleep(0.05)
    assert "killed" in store.run(first).reason

    further = max(store.points(first).epoch) + 3

    def stop_further_on() -> str:
        before = wait_for_epoch(store, first, further)
        runs.stop(store, first)
        return before.state

    with ThreadPoolExecutor(1) as executor, trained_here():
        stopping = executor.submit(stop_further_on)
        runs.resume(store, first)
    assert stopping.result() == "running"
    assert store.run(first).state == "stopped"
    points = store.points(first)
    duplicates = [
        key for key, times in Counter(zip(points.step, points.split, points.name, strict=True)).items() if times > 1
    ]
    assert duplicates == []
    assert not (store.home / "netloom.db").exists(), "nothing went beside the database that was named"


def test_store_reconnects_after_a_server_restart(postgres_store: Store) -> None:
    project_id = postgres_store.create_project(digits_mlp())
    run = postgres_store.create_run(project_id, digits_mlp())
    with postgres_store.db.reading() as connection:
        backend_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with postgres_store.db.engine.connect() as other:
        # As a server restart does to all pooled connections.
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
        other.exec_driver_sql(f"{kill} current_database()")
    assert isinstance(backend_pid, int)
    postgres_store.command(run.id, "pause")
    assert postgres_store.take_commands(run.id) == [Command("pause", None)]


@pytest.mark.parametrize("value", [0.1, 1e-300, 1.7976931348623157e308, 5e-324, 1 / 3])
def test_points_round_trip_bit_for_bit(store: Store, run: Run, value: float) -> None:
    store.add_points(run.id, [(2**62, 2**31 - 1, "train", "loss", value, 1763745600.123456)])
    points = store.points(run.id)
    assert (points.step, points.epoch) == ([2**62], [2**31 - 1])
    assert (points.value[0].hex(), points.at[0].hex()) == (value.hex(), (1763745600.123456).hex())
