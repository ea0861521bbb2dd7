"""Canvas operations that need server-side data are completed, and the browser is notified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from netloom.document import DataChoice, Network, Project
from netloom.editing.live import Live
from netloom.store import open_store
from tests.networks import chain

HEAD = {"seq": 1, "kind": "add", "network": "main"}


def sync_operation(live: Live, op: dict[str, Any], seq: int = 1) -> tuple[list[str], bool]:
    """Send one operation. Returns the refused operations, and whether the browser is asked to reload the snapshot."""
    live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": []})
    before = live.editor.foreign_revision("tab")
    refused = live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": [{**op, "seq": seq}]})
    return refused, live.editor.foreign_revision("tab") > before


@pytest.fixture
def live_projects(home: Path) -> tuple[Live, Live]:
    """A project with nested blocks, and one without blocks."""
    st.cache_resource.clear()
    store = open_store(home)
    inner = chain(("ReLU", {})).main_network
    block = chain(("Subnetwork", {"network": "inner"})).main_network
    project = chain(("Subnetwork", {"network": "block"}))
    whole = project.model_copy(update={"networks": {**project.networks, "block": block, "inner": inner}})
    return (
        Live(store, store.create_project(whole)),
        Live(store, store.create_project(chain(("Flatten", {}), data=DataChoice(dataset="digits")))),
    )


def paste_operation(live: Live, document: str, network: str = "block") -> dict[str, Any]:
    node = {"id": "subnetwork_9", "type": "Subnetwork", "params": {"network": network}, "at": [0, 0]}
    return {"kind": "add", "network": live.project.main, "nodes": [node], "edges": [], "document": document}


def test_pasted_subnetwork_brings_its_nested_networks(live_projects: tuple[Live, Live]) -> None:
    source, target = live_projects
    refused, notified = sync_operation(target, paste_operation(target, source.id))
    assert not refused
    assert notified
    assert {"block", "inner"} <= set(target.project.networks)
    assert target.project.networks["inner"] == source.project.networks["inner"]
    assert target.project.main_network.nodes["subnetwork_9"].params["network"] == "block"
    target.apply({"kind": "undo"})  # the paste was one undo step
    assert set(target.project.networks) == {"main"}
    assert "subnetwork_9" not in target.project.main_network.nodes


def test_pasted_network_with_a_taken_name_is_renamed(live_projects: tuple[Live, Live]) -> None:
    source, target = live_projects
    existing: Network = chain(("GELU", {})).main_network
    target.replace(target.project.model_copy(update={"networks": {**target.project.networks, "block": existing}}))
    refused, _ = sync_operation(target, paste_operation(target, source.id))
    assert not refused
    assert target.project.networks["block"] == existing
    assert target.project.main_network.nodes["subnetwork_9"].params["network"] == "block_2"
    assert target.project.networks["block_2"] == source.project.networks["block"]


@pytest.mark.parametrize("document", ["gone", "", 5, None])
def test_paste_from_an_unknown_document_adds_only_the_node(live_projects: tuple[Live, Live], document: Any) -> None:
    _, target = live_projects
    refused, notified = sync_operation(target, paste_operation(target, document))
    assert not refused
    assert not notified
    assert "subnetwork_9" in target.project.main_network.nodes
    assert set(target.project.networks) == {"main"}


def test_dropped_input_without_params_gets_the_data_fields(live_projects: tuple[Live, Live]) -> None:
    _, target = live_projects
    nodes = [{"id": "input_9", "type": "Input", "params": {}, "at": [0, 0]}]
    refused, notified = sync_operation(target, {**HEAD, "network": target.project.main, "nodes": nodes, "edges": []})
    assert not refused
    assert notified
    dataset_schema = target.schema()
    assert dataset_schema is not None
    assert dict(target.project.main_network.nodes["input_9"].params) == dataset_schema.inputs[0].parameters()
    _, notified = sync_operation(
        target, {**HEAD, "nodes": [{"id": "relu_9", "type": "ReLU", "at": [0, 0]}], "edges": []}, seq=2
    )
    assert not notified


def test_ungrouping_exposes_the_nested_subnetwork(live_projects: tuple[Live, Live]) -> None:
    source, _ = live_projects
    project: Project = source.project
    node = next(key for key, child in project.main_network.nodes.items() if child.type == "Subnetwork")
    refused, _ = sync_operation(source, {"kind": "unpack", "network": project.main, "node": node})
    assert not refused
    assert [child.params.get("network") for child in source.project.main_network.nodes.values()].count("inner") == 1
