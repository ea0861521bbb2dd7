"""The form of the repetition of a subnetwork: in depth, or once for each step along an axis with states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.document import Edit, Node
from netloom.editing.live import Live
from netloom.layers import FormField, form
from netloom.layers.subnetwork import Interface, Subnetwork, interface, proposed_states
from netloom.ui.components.forms import bound, refused
from netloom.ui.design.parts import redraw

REPETITION = "Repetition"
REPETITIONS = {"depth": "In depth", "axis": "Along an axis, as a recurrent cell"}
ROLES = {"step": "One step at a time", "state": "Carried state", "constant": "Same at every step"}
INITIAL = {"zeros": "Zeros", "input": "An input of this node", "learned": "A learned tensor"}
# The fields of the layer that this form draws.
_IN_DEPTH, _ALONG_AXIS, _PORTS = ("repeat", "shared"), ("axis", "direction"), ("states", "initial", "constant")
FIELDS = (*_IN_DEPTH, "along", *_ALONG_AXIS, *_PORTS)


def repetition_form(
    live: Live,
    network: str,
    node: Node,
    draw_field: Callable[[FormField], None],
    show_problems: Callable[[str], None],
) -> None:
    """Draw how often the network of a node is applied.

    Args:
        draw_field: Draws a field of the layer.
        show_problems: Shows the errors of a field, given by its name.
    """
    inner = live.project.networks.get(str(node.params.get("network")))
    ports = interface(inner) if inner is not None else Interface((), ())
    repetition = _Repetition(live, network, node, ports)
    repetition.along()
    fields = {field.name: field for field in form(Subnetwork)}
    # A number of repetitions that does not fit must be visible, so that it can be changed.
    repeats = () if node.params.get("repeat", 1) == 1 else ("repeat",)
    for name in (*_ALONG_AXIS, *repeats) if repetition.is_loop else _IN_DEPTH:
        draw_field(fields[name])
    for name in ("along", *_PORTS):
        show_problems(name)
    if repetition.is_loop:
        for port, key in ports.inputs:
            repetition.role(port, dict(ports.titles).get(key) or key)


@dataclass(frozen=True)
class _Repetition:
    """The repetition of a node, and the widgets that change it."""

    live: Live
    network: str
    node: Node
    ports: Interface

    @property
    def is_loop(self) -> bool:
        return self.node.params.get("along") == "axis"

    @property
    def states(self) -> dict[str, str]:
        """The output with the next value of each state."""
        stored = self.node.params.get("states")
        return {key: str(port) for key, port in stored.items()} if isinstance(stored, dict) else {}

    @property
    def initial(self) -> dict[str, str]:
        """The initial values of the states that do not start as zeros."""
        stored = self.node.params.get("initial")
        return {key: str(value) for key, value in stored.items()} if isinstance(stored, dict) else {}

    @property
    def constant(self) -> list[str]:
        """The inputs that are the same at every step."""
        stored = self.node.params.get("constant")
        return [str(port) for port in stored] if isinstance(stored, list) else []

    def along(self) -> None:
        """Draw the choice between depth and an axis."""
        current = "axis" if self.is_loop else "depth"

        def change(new: str) -> Edit:
            params: dict[str, Any] = {"along": new}
            if new == "axis":
                params |= {} if self.node.params.get("repeat", 1) == 1 else {"repeat": 1}
                params |= {} if "states" in self.node.params else {"states": proposed_states(self.ports)}
            return self._set(params)

        text = "In depth, each repetition follows the previous one. Along an axis, the network is applied to each step."
        self._select("along", REPETITION, REPETITIONS, current, change, text)

    def role(self, port: str, title: str) -> None:
        """Draw the role of an input of the network, and the next and initial value of a state."""
        current = "state" if port in self.states else "constant" if port in self.constant else "step"

        def change(new: str) -> Edit:
            states = {key: output for key, output in self.states.items() if key != port}
            outputs = [name for name, _ in self.ports.outputs]
            if new == "state":
                # An output that no other state has, if there is one
                free = [name for name in outputs if name not in states.values()]
                states |= {port: (free or outputs or ["out"])[-1]}
            constant = [key for key in self.constant if key != port] + ([port] if new == "constant" else [])
            initial = {key: value for key, value in self.initial.items() if key != port}
            return self._set({"states": states, "constant": constant, "initial": initial})

        text = "What each step receives at this input of the network"
        self._select(f"role.{port}", f"Input {title}", ROLES, current, change, text)
        if current == "state":
            self._state(port, title)

    def _state(self, port: str, title: str) -> None:
        titles = dict(self.ports.titles)
        outputs = {name: titles.get(key) or key for name, key in self.ports.outputs}
        following = self.states[port]
        # The current output is listed also if it does not exist.
        outputs = outputs if following in outputs else {following: following, **outputs}
        text = "The output of the network that the next step receives"
        self._select(f"next.{port}", f"Next value of {title}", outputs, following,
                     lambda new: self._set({"states": {**self.states, port: new}}), text)  # fmt: skip
        text = "The value before the first step. Zeros and learned tensors have the shape of the input of the network."
        start = self.initial.get(port, "zeros")
        self._select(f"initial.{port}", f"Initial value of {title}", INITIAL, start,
                     lambda new: self._set({"initial": {**self.initial, port: new}}), text)  # fmt: skip

    def _select(
        self, name: str, title: str, options: Mapping[str, str], current: str, edit: Callable[[str], Edit], text: str
    ) -> None:
        """Draw a choice; `options` are its values with their texts."""
        values = list(options) if current in options else [current, *options]
        follow = partial(redraw, self.live)
        address = f"{self.network}/{self.node.id}/{name}"
        binding = bound(self.live, address, current, edit, renews=True, follow=follow)
        st.selectbox(
            escape(title),
            values,
            index=values.index(current),
            format_func=lambda value: options.get(value, value),
            help=text,
            **binding,
        )
        refused(binding)

    def _set(self, params: dict[str, Any]) -> Edit:
        return {"kind": "set", "network": self.network, "node": self.node.id, "params": params}
