"""An agent in a run that is cut off in the middle of an episode: it goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from netloom.runs import evaluation, resume
from netloom.store import RunArtifacts, open_store
from netloom.training import checkpoints
from netloom.training.trainer import Trainer
from tests.runs.examples import Recorder, killed, loop, trained_here
from tests.training.test_reinforcement import agent


def reached(share: float, loop: Trainer) -> bool:
    return loop.step > share * loop.total_steps


def test_a_killed_agent_ends_as_if_it_had_not_been(home: Path) -> None:
    document = agent("dqn", epochs=8, settings={"learn_every": 8})
    whole, watch = loop(document, home), Recorder()
    whole.fit(watch)
    with closing(open_store(home)) as store:
        run_id = killed(store, document, partial(reached, 0.3), partial(reached, 0.45))
        found = checkpoints.load(store.artifacts(run_id))
        assert found is not None
        assert found[1].memory["memory.seen"].shape == (200, 4)
        with trained_here():
            resume(store, run_id)
        run = store.run(run_id)
        assert (run.state, run.reason, run.step) == ("finished", "", whole.total_steps)
        folder = store.artifacts(run_id).local_directory()
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log if line["event"] == "restore"] == [found[0]]
        weights = checkpoints.weights(RunArtifacts.in_directory(folder), "last")
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
