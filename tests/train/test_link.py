"""What a worker tells of its run."""

from __future__ import annotations

from pathlib import Path

from builder.store import open_store
from builder.train.limits import RunLimits
from builder.train.link import Link
from builder.train.observe.observer import Observer
from tests.train.runs import Recorder, loop, moons


def test_a_run_that_goes_on_is_as_far_as_it_was_and_keeps_its_best(home: Path, tmp_path: Path) -> None:
    project, store = moons(), open_store(home)
    run = store.create_run(store.create_project(project), project)
    broken = loop(project, home)
    broken.run(Recorder(30))
    resumed = loop(project, home)
    resumed.restore(broken.checkpoint(), broken.best.weights)
    link = Link(store, run, tmp_path, Observer(project, tmp_path), RunLimits(0, 0, 0, 0))
    link.start(resumed)
    link.close()  # before its first step
    told = store.run(run.id)
    assert (told.epoch, told.step) == (broken.epoch, 30)
    assert told.summary["best"] == {
        "loss": broken.best.value,
        "epoch": broken.best.epoch,
        "step": broken.best.step,
        "measure": "loss",
    }
