"""Another process that has the store open: `python -m tests.store.worker FOLDER TASK ARGUMENTS…`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from builder.store import Conflict, Point, Store, open_store
from tests.networks import digits_mlp

BATCH = 500


def batch(number: int, split: str = "train") -> list[Point]:
    """A batch of points; its number is the value of each of them."""
    return [(number * BATCH + i, number, split, "loss", float(number), time.time()) for i in range(BATCH)]


def _go(home: Path) -> bool:
    """Whether the test gave the sign, which lies beside its data folder."""
    return (home.parent / "go").exists()


def opening(store: Store) -> None:
    store.create_project(digits_mlp())


def points(store: Store, run_id: str, batches: str, split: str) -> None:
    for number in range(int(batches)):
        store.add_points(run_id, batch(number, split))
        print(number, flush=True)


def take(store: Store, run_id: str) -> None:
    print("ready", flush=True)
    while not _go(store.home):
        for command in store.take_commands(run_id):
            print(command.value, flush=True)


def save(store: Store, project_id: str, saves: str) -> None:
    """Save as often as it takes to be first `saves` times; each success is printed."""
    done = 0
    while done < int(saves):
        found = store.load(project_id)
        try:
            store.save(project_id, found.project, found.epoch, found.revision + 1, {}, found.stamp)
        except Conflict:
            continue
        done += 1
        print(found.stamp, flush=True)


def main() -> None:
    folder, task, *arguments = sys.argv[1:]
    if task == "opening":
        print("ready", flush=True)
        while not _go(Path(folder).parent):
            time.sleep(0.001)  # so that all open at the same moment
    store = open_store(Path(folder))
    tasks: dict[str, Callable[..., None]] = {"opening": opening, "points": points, "take": take, "save": save}
    tasks[task](store, *arguments)
    store.close()


if __name__ == "__main__":
    main()
