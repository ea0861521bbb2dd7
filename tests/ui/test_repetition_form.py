"""The repetition of a subnetwork in the inspector: from depth to the steps along an axis, and back by undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from netloom.document import Network, Project
from netloom.store import open_store
from tests.loops import OUT, leaky_cell, sequence
from tests.networks import network, networks


def script(key: str) -> None:
    """The inspector of the node `cell_1`."""
    import streamlit as st

    from netloom.editing.live import Live
    from netloom.store import open_store
    from netloom.ui.design.inspector import inspector

    if "live" not in st.session_state:
        st.session_state["live"] = Live(open_store(), key)
    inspector(st.session_state["live"], "main", ["cell_1"])


class Inspector:
    """The inspector of a node that applies the leaky cell, and the stored settings of the node."""

    def __init__(self, home: Path, **params: Any) -> None:
        nodes = {"input_1": sequence(), "cell_1": ("Subnetwork", {"network": "cell", **params}), "output_1": OUT}
        self.store = open_store(home)
        self.key = self.store.create_project(networks(main=network(nodes), cell=leaky_cell()))
        self.app = AppTest.from_function(script, args=(self.key,), default_timeout=60)
        self.app.run()

    def choose(self, label: str, value: str) -> None:
        """Choose a value, given by its text."""
        box = next(item for item in self.app.selectbox if item.label == label)
        box.select(value).run()
        assert not self.app.exception

    @property
    def labels(self) -> list[str]:
        return [item.label for item in (*self.app.selectbox, *self.app.number_input, *self.app.toggle)]

    @property
    def project(self) -> Project:
        return self.store.load(self.key).project

    @property
    def network(self) -> Network:
        return self.project.main_network

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.network.nodes["cell_1"].params)


@pytest.fixture
def form(home: Path) -> Inspector:
    return Inspector(home, repeat=3)


def test_cell_becomes_recurrent_with_proposed_states(form: Inspector) -> None:
    assert {"Repetition", "Repeat", "Shared"} <= set(form.labels)
    before = form.project
    form.choose("Repetition", "axis")
    assert form.params == {"network": "cell", "along": "axis", "states": {"hidden": "out"}, "repeat": 1}
    assert "Shared" not in form.labels
    assert {"Axis", "Direction", "Input x", "Input hidden", "Next value of hidden"} <= set(form.labels)
    form.choose("Initial value of hidden", "learned")
    form.choose("Direction", "reverse")
    assert form.params["initial"] == {"hidden": "learned"}
    assert form.params["direction"] == "reverse"
    live = form.app.session_state["live"]
    for _ in range(3):
        live.apply({"kind": "undo"})
    assert live.project == before


def test_inputs_change_their_roles(home: Path) -> None:
    form = Inspector(home, along="axis", states={"hidden": "out"}, initial={"hidden": "input"})
    form.choose("Input hidden", "constant")
    assert (form.params["states"], form.params["initial"], form.params["constant"]) == ({}, {}, ["hidden"])
    assert "Next value of hidden" not in form.labels
    form.choose("Input hidden", "state")
    assert (form.params["states"], form.params["constant"]) == ({"hidden": "out"}, [])


def test_unknown_output_and_too_many_repetitions_are_shown(home: Path) -> None:
    form = Inspector(home, along="axis", states={"hidden": "gone"}, repeat=4)
    assert not form.app.exception
    (box,) = (item for item in form.app.selectbox if item.label == "Next value of hidden")
    assert (box.value, box.options) == ("gone", ["gone", "following"])
    assert any("ust be 1 along an axis" in error.value for error in form.app.error)
    assert any(item.label == "Repeat" for item in form.app.number_input)
