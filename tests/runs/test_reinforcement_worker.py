"""An RL agent whose run is killed during an episode: it resumes and ends bit-identical."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from netloom.runs import evaluation, resume
from netloom.store import RunArtifacts, open_store
from netloom.training.trainer import Trainer
from netloom.training.weights import checkpoints
from tests.runs.examples import Recorder, killed, loop, trained_here
from tests.training.test_reinforcement import agent


def reached(share: float, loop: Trainer) -> bool:
    return loop.step > share * loop.total_steps


def test_killed_agent_resumes_bit_identical(home: Path) -> None:
    project = agent("dqn", epochs=8, settings={"train_frequency": 8})
    uninterrupted, recorder = loop(project, home), Recorder()
    uninterrupted.fit(recorder)
    with closing(open_store(home)) as store:
        run_id = killed(store, project, partial(reached, 0.3), partial(reached, 0.45))
        checkpoint = checkpoints.load(store.artifacts(run_id))
        assert checkpoint is not None
        assert checkpoint[1].memory["memory.seen"].shape == (200, 4)
        with trained_here():
            resume(store, run_id)
        run = store.run(run_id)
        assert (run.state, run.reason, run.step) == ("finished", "", uninterrupted.total_steps)
        folder = store.artifacts(run_id).local_directory()
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log if line["event"] == "restore"] == [checkpoint[0]]
        weights = checkpoints.weights(RunArtifacts.in_directory(folder), "last")
        for name, value in uninterrupted.model.state_dict().items():
            assert torch.equal(value, weights[name])
        points = store.points(run_id)
        columns = zip(points.step, points.epoch, points.split, points.name, points.value, strict=True)
        recorded_names = {name for _, _, _, name, _ in recorder.points}
        assert sorted(point for point in columns if point[3] in recorded_names) == sorted(recorder.points)
        stored = evaluation(store, run_id)
        assert stored is not None
        assert stored.episodes is not None
        assert len(stored.episodes["returns"]) == 20
