"""What arrives from a canvas and needs more than the browser knows is completed, and the browser is told."""

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


def sync(live: Live, op: dict[str, Any], seq: int = 1) -> tuple[list[str], bool]:
    """Send one operation. Returns what was refused, and whether the browser is told to take the snapshot."""
    live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": []})
    before = live.editor.foreign_revision("tab")
    refused = live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": [{**op, "seq": seq}]})
    return refused, live.editor.foreign_revision("tab") > before


@pytest.fixture
def lives(home: Path) -> tuple[Live, Live]:
    """A project with a block in a block, and another one that has neither."""
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


def pasted(live: Live, document: str, network: str = "block") -> dict[str, Any]:
    node = {"id": "subnetwork_9", "type": "Subnetwork", "params": {"network": network}, "at": [0, 0]}
    return {"kind": "add", "network": live.project.main, "nodes": [node], "edges": [], "document": document}


def test_a_pasted_network_brings_all_that_it_is_made_of(lives: tuple[Live, Live]) -> None:
    source, here = lives
    refused, told = sync(here, pasted(here, source.id))
    assert not refused
    assert told
    assert {"block", "inner"} <= set(here.project.networks)
    assert here.project.networks["inner"] == source.project.networks["inner"]
    assert here.project.main_network.nodes["subnetwork_9"].params["network"] == "block"
    here.apply({"kind": "undo"})  # it was one step
    assert set(here.project.networks) == {"main"}
    assert "subnetwork_9" not in here.project.main_network.nodes


def test_another_network_of_that_name_is_left_as_it_is(lives: tuple[Live, Live]) -> None:
    source, here = lives
    mine: Network = chain(("GELU", {})).main_network
    here.replace(here.project.model_copy(update={"networks": {**here.project.networks, "block": mine}}))
    refused, _ = sync(here, pasted(here, source.id))
    assert not refused
    assert here.project.networks["block"] == mine
    assert here.project.main_network.nodes["subnetwork_9"].params["network"] == "block_2"
    assert here.project.networks["block_2"] == source.project.networks["block"]


@pytest.mark.parametrize("document", ["gone", "", 5, None])
def test_what_comes_from_nowhere_is_pasted_as_it_is(lives: tuple[Live, Live], document: Any) -> None:
    _, here = lives
    refused, told = sync(here, pasted(here, document))
    assert not refused
    assert not told
    assert "subnetwork_9" in here.project.main_network.nodes
    assert set(here.project.networks) == {"main"}


def test_an_input_dropped_before_the_palette_came_reads_the_data(lives: tuple[Live, Live]) -> None:
    _, here = lives
    nodes = [{"id": "input_9", "type": "Input", "params": {}, "at": [0, 0]}]
    refused, told = sync(here, {**HEAD, "network": here.project.main, "nodes": nodes, "edges": []})
    assert not refused
    assert told
    known = here.schema()
    assert known is not None
    assert dict(here.project.main_network.nodes["input_9"].params) == known.inputs[0].parameters()
    _, told = sync(here, {**HEAD, "nodes": [{"id": "relu_9", "type": "ReLU", "at": [0, 0]}], "edges": []}, seq=2)
    assert not told


def test_numbers_are_told_to_those_that_compose(lives: tuple[Live, Live]) -> None:
    source, _ = lives
    project: Project = source.project
    node = next(key for key, one in project.main_network.nodes.items() if one.type == "Subnetwork")
    refused, _ = sync(source, {"kind": "unpack", "network": project.main, "node": node})
    assert not refused
    assert [one.params.get("network") for one in source.project.main_network.nodes.values()].count("inner") == 1
