"""Training, resuming, explaining and taking away what is made of several networks, or shares its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from netloom.document import Project, apply
from netloom.explain import explain
from netloom.export import export
from netloom.runs import TrainedRun, load_run, start
from netloom.store import Store, open_store
from netloom.templates import templates
from tests.runs.examples import trained_here

Made = Callable[[], Project]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    found = open_store(tmp_path_factory.mktemp("home"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def trained(store: Store) -> Callable[[Made], TrainedRun]:
    """What a run has made of a project, read from its folder; each is trained once."""

    @cache
    def of(made: Made) -> TrainedRun:
        project = made()
        with trained_here():
            run_id = start(store, store.create_project(project), project)
        run = store.run(run_id)
        assert run.state == "finished", run.reason
        return load_run(store, run_id)

    return of


def stacked() -> Project:
    """The intents' Transformer with its blocks as one network that is repeated."""
    project = templates()["intents_transformer"].project
    blocks = [key for key, node in project.main_network.nodes.items() if node.type == "TransformerEncoderBlock"]
    project = apply(project, {"kind": "group", "nodes": blocks[:1], "name": "block"})
    project = apply(project, {"kind": "set", "node": "block_1", "params": {"repeat": 2}})
    return apply(project, {"kind": "project", "training": {"epochs": 2}})


def tied() -> Project:
    """The tales' model with one table for what it reads and what it says."""
    project = templates()["tales"].project
    edits = [
        {"kind": "set", "node": "embedding_1", "params": {"dim": 128}},
        {"kind": "set", "node": "linear_1", "params": {"bias": False}},
        {"kind": "update", "node": "linear_1", "shares": "embedding_1"},
    ]
    return apply(apply(project, {"kind": "batch", "edits": edits}), {"kind": "project", "training": {"epochs": 1}})


@pytest.mark.parametrize("made", [stacked, tied])
def test_it_trains_and_is_taken_away(made: Made, trained: Callable[[Made], TrainedRun], tmp_path: Path) -> None:
    report = export(trained(made), "bundle", tmp_path / "bundle.zip")
    assert report


def test_shared_weights_are_still_shared_after_loading(trained: Callable[[Made], TrainedRun]) -> None:
    model = trained(tied).model
    one, other = model.get_submodule("embedding_1"), model.get_submodule("linear_1")
    assert isinstance(one.weight, torch.Tensor)
    assert one.weight is other.weight


def test_explanations_reach_inside(trained: Callable[[Made], TrainedRun]) -> None:
    run = trained(stacked)
    row = int(run.data.split["test"][0])
    found = explain(run, "attention", row)
    assert found.attention is not None
    titles = [layer.title for layer in found.attention.layers]
    assert titles[0] != titles[1]
    assert [layer.name.split(".")[:2] for layer in found.attention.layers][:2] == [["block_1", "0"], ["block_1", "1"]]
    assert explain(run, "integrated_gradients", row).proofs.completeness is not None
