"""The worker that waits for the next run: it has imported what a run needs, and comes when it disturbs nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store import Store, open_store
from builder.train import control, start, warm
from tests.networks import digits_mlp

# What a worker that waits runs before it is told its run, and then the run itself up to its first point.
FIRST_POINT = """
import os, sys
from builder.train import worker
from builder.train.limits import declared
from builder.train.link import Link

class Met(BaseException):
    pass

def record(*values):
    raise Met

Link.record = record
worker._import_heavy()
known = set(sys.modules)
try:
    worker.main(sys.argv[1], sys.argv[2], declared())
except Met:
    print(*sorted(set(sys.modules) - known))
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose workers do nothing but wait until nobody can tell them anything any more."""
    opened = open_store(home)
    monkeypatch.setattr(control, "COMMAND", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    yield opened
    workers = [control._spares.pop(home, None), *(control._children.pop(run.id, None) for run in opened.runs())]
    for child in workers:
        if child is not None and child.stdin is not None:
            child.stdin.close()
            child.wait(20)
    opened.close()


def test_the_first_point_of_a_run_waits_for_no_import(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "advance", lambda store: None)
    store = open_store(home)
    project = digits_mlp()
    run_id = start(store, store.create_project(project), project)
    command = [sys.executable, "-c", FIRST_POINT, str(home), run_id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    new = done.stdout.split()
    assert [name for name in new if name.startswith("netloom_")], "the run's own code is imported, so it came this far"
    assert [
        name for name in new if name.startswith(("builder.", "torch.", "sklearn", "safetensors", "pandas", "networkx"))
    ] == []


def test_there_is_one_spare_and_the_next_run_takes_it(store: Store) -> None:
    warm(store)
    spare = control._spares[store.home]
    warm(store)
    assert control._spares[store.home] is spare
    project = digits_mlp()
    run_id = start(store, store.create_project(project), project)
    assert control._children[run_id] is spare
    assert store.run(run_id).pid == spare.pid


def test_no_spare_is_started_while_a_run_takes_its_first_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project = digits_mlp()
    start(store, store.create_project(project), project)
    warm(store)
    assert store.home not in control._spares
    monkeypatch.setattr(control, "ALONE_S", 0.0)
    warm(store)
    assert control._spares[store.home].poll() is None
