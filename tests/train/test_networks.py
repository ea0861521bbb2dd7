"""Training, resuming, explaining and taking away what is made of several networks, or shares its weights."""

from __future__ import annotations

import pytest
import torch

from builder.explain import explain
from builder.export import export
from builder.graph import Project, apply
from builder.store import Store, open_store
from builder.templates import templates
from builder.train import load_run, start, wait


@pytest.fixture
def store(home: object) -> Store:
    return open_store()


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
def test_it_trains_and_is_taken_away(made: object, store: Store) -> None:
    assert callable(made)
    project = made()
    run_id = start(store, store.create_project(project), project)
    run = wait(store, run_id, 120)
    assert run.state == "finished", run.reason
    trained = load_run(store, run_id)
    report = export(trained, "bundle", store.run_folder(run_id) / "bundle.zip")
    assert report


def test_shared_weights_are_still_shared_after_loading(store: Store) -> None:
    project = tied()
    run_id = start(store, store.create_project(project), project)
    assert wait(store, run_id, 120).state == "finished"
    model = load_run(store, run_id).model
    one, other = model.get_submodule("embedding_1"), model.get_submodule("linear_1")
    assert isinstance(one.weight, torch.Tensor)
    assert one.weight is other.weight


def test_explanations_reach_inside(store: Store) -> None:
    project = stacked()
    run_id = start(store, store.create_project(project), project)
    assert wait(store, run_id, 120).state == "finished"
    trained = load_run(store, run_id)
    row = int(trained.data.split["test"][0])
    found = explain(trained, "attention", row)
    assert found.attention is not None
    titles = [layer.title for layer in found.attention.layers]
    assert titles[0] != titles[1]
    assert [layer.name.split(".")[:2] for layer in found.attention.layers][:2] == [["block_1", "0"], ["block_1", "1"]]
    assert explain(trained, "integrated_gradients", row).proofs.completeness is not None
