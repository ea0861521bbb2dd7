"""An agent in a real worker: killed in the middle of an episode, it goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import torch

from builder.store import open_store
from builder.train import ACTIVE, checkpoints, evaluation, pause, proceed, refresh, resume, start, wait
from tests.train.runs import Recorder, loop, until, until_state
from tests.train.test_reinforcement import agent


def test_a_killed_agent_ends_as_if_it_had_not_been(home: Path) -> None:
    document = agent("dqn", epochs=20, settings={"learn_every": 8})
    whole, watch = loop(document, home), Recorder()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the worker has, since sums are taken in another order with more
    whole.run(watch)
    torch.set_num_threads(threads)
    with closing(open_store(home)) as store:
        run_id = start(store, store.create_project(document), document)
        try:
            until(lambda: max(store.points(run_id).epoch, default=0) >= 2, 120)
            pause(store, run_id)  # for the sake of a checkpoint
            until_state(store, run_id, "paused", 60)
            found = checkpoints.load(Path(store.run_folder(run_id)))
            assert found is not None
            assert found[1].memory["memory.seen"].shape == (200, 4)
            proceed(store, run_id)
            pid = refresh(store, run_id).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(lambda: refresh(store, run_id).state == "failed", 60)
            resume(store, run_id)
            run = wait(store, run_id, 180)
        finally:
            last = store.run(run_id)
            if last.state in ACTIVE and last.pid and psutil.pid_exists(last.pid):
                os.kill(last.pid, signal.SIGKILL)
        assert (run.state, run.reason, run.step) == ("finished", "", whole.total_steps)
        folder = Path(store.run_folder(run_id))
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log if line["event"] == "restore"] == [found[0]]
        weights = checkpoints.weights(folder, "last")
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, weights[name])
        points = store.points(run_id)
        columns = zip(points.step, points.epoch, points.split, points.name, points.value, strict=True)
        own = {name for _, _, _, name, _ in watch.points}
        assert sorted(point for point in columns if point[3] in own) == sorted(watch.points)
        told = evaluation(store, run_id)
        assert told is not None
        assert told.episodes is not None
        assert len(told.episodes["returns"]) == 20
