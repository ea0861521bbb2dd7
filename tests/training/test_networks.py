"""Training, loading, explaining and exporting nested networks and networks with tied weights."""

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
    opened = open_store(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def trained(store: Store) -> Callable[[Made], TrainedRun]:
    """The trained run of a project, loaded from its folder; each project is trained once."""

    @cache
    def train_once(build: Made) -> TrainedRun:
        project = build()
        with trained_here():
            run_id = start(store, store.create_project(project), project)
        run = store.run(run_id)
        assert run.state == "finished", run.reason
        return load_run(store, run_id)

    return train_once


def repeated_block_project() -> Project:
    """The intents Transformer with its encoder block as a repeated subnetwork."""
    project = templates()["intents_transformer"].project
    blocks = [key for key, node in project.main_network.nodes.items() if node.type == "TransformerEncoderBlock"]
    project = apply(project, {"kind": "group", "nodes": blocks[:1], "name": "block"})
    project = apply(project, {"kind": "set", "node": "block_1", "params": {"repeat": 2}})
    return apply(project, {"kind": "project", "training": {"epochs": 1}})


def tied_weights_project() -> Project:
    """The tales model with tied input and output embeddings."""
    project = templates()["tales"].project
    edits = [
        {"kind": "set", "node": "embedding_1", "params": {"dim": 128}},
        {"kind": "set", "node": "linear_1", "params": {"bias": False}},
        {"kind": "update", "node": "linear_1", "shares": "embedding_1"},
    ]
    return apply(apply(project, {"kind": "batch", "edits": edits}), {"kind": "project", "training": {"epochs": 1}})


@pytest.mark.parametrize("made", [repeated_block_project, tied_weights_project])
def test_nested_and_tied_networks_train_and_export(
    made: Made, trained: Callable[[Made], TrainedRun], tmp_path: Path
) -> None:
    report = export(trained(made), "bundle", tmp_path / "bundle.zip")
    assert report.difference is not None
    assert report.difference <= 1e-6


def test_tied_weights_are_still_tied_after_loading(trained: Callable[[Made], TrainedRun]) -> None:
    model = trained(tied_weights_project).model
    embedding, head = model.get_submodule("embedding_1"), model.get_submodule("linear_1")
    assert isinstance(embedding.weight, torch.Tensor)
    assert embedding.weight is head.weight


def test_attention_covers_repeated_subnetworks(trained: Callable[[Made], TrainedRun]) -> None:
    run = trained(repeated_block_project)
    row = int(run.data.split["test"][0])
    explanation = explain(run, "attention", row)
    assert explanation.attention is not None
    titles = [layer.title for layer in explanation.attention.layers]
    assert titles[0] != titles[1]
    assert [layer.name.split(".")[:2] for layer in explanation.attention.layers][:2] == [
        ["block_1", "0"],
        ["block_1", "1"],
    ]
    assert explain(run, "integrated_gradients", row).proofs.completeness is not None
