"""Processes for the tests that kill: a worker that saves checkpoints many times a second, and the web server's
supervision of runs, without its pages. `python -m tests.runs.hasty netloom.runs.worker HOME` starts the first, without
HOME the fork server of such workers; `… keeper HOME` starts the second."""

from __future__ import annotations

import runpy
import sys
import threading
import time
from pathlib import Path

NAME = "tests.runs.hasty"
WORKER = (sys.executable, "-m", NAME, "netloom.runs.worker")


def worker(*home: str) -> None:
    """The real worker, or without HOME the fork server of workers, with shorter intervals, so that a run of two seconds
    has a checkpoint."""
    from netloom.runs.execution import model_checkpoint, store_thread

    model_checkpoint.CHECKPOINT_EVERY_S, model_checkpoint.CHECKPOINT_SHARE = 0.1, 0.5
    store_thread.HEARTBEAT_S, store_thread.FLUSH_S = 0.1, 0.05
    store_thread.POLL_S, store_thread.COMMANDS_S = 0.02, 0.05
    sys.argv = ["worker", *home]
    runpy.run_module("netloom.runs.worker", run_name="__main__")


def keeper(home: str, project_id: str) -> None:
    """Supervise the runs, save a document repeatedly as user edits do, and resume the runs whose IDs arrive on standard
    input. Prints each revision after it was saved."""
    from netloom.runs import processes, resume, supervisor
    from netloom.store import StoreError, open_store

    processes.COMMAND = WORKER
    store = open_store(Path(home))
    supervisor.keep(store)
    threading.Thread(target=_edit, args=(Path(home), project_id), daemon=True).start()
    for line in sys.stdin:
        try:
            resume(store, line.strip())
        except (StoreError, ValueError) as error:
            print(f"refused {error}", flush=True)


def _edit(home: Path, project_id: str) -> None:
    from netloom.store import open_store

    store = open_store(home)
    saved = store.load(project_id)
    stamp, revision = saved.stamp, saved.revision
    print("ready", flush=True)
    while True:
        revision += 1
        project = saved.project.model_copy(update={"notes": f"{revision} " * 200})
        stamp = store.save(project_id, project, saved.epoch, revision, {}, stamp)
        print(f"saved {revision}", flush=True)
        time.sleep(0.03)


if __name__ == "__main__":
    if sys.argv[1] == "keeper":
        keeper(*sys.argv[2:])
    else:
        worker(*sys.argv[2:])
