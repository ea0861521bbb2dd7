"""The form of the parameters that a network exposes, shown if no node is selected."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.document import Edit, Network, is_identifier
from netloom.document.expression import Number
from netloom.document.field_types import misnamed
from netloom.editing.live import Live
from netloom.layers.catalogue import numeric
from netloom.ui.components.fields import read_number, write
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.design.parts import redraw

TEXT = (
    "Numbers that the network exposes, such as `width`. Use them in its layers, as in `width * 4`. Each node of this "
    "network can set other values."
)


def network_parameters(live: Live, name: str) -> None:
    """Draw the form of the parameters of a network."""
    st.markdown(f"**Parameters of {escape(name)}**")
    st.caption(TEXT)
    network = live.project.networks.get(name, Network())
    for parameter, default in network.parameters.items():
        _row(live, name, parameter, default)
    binding = _bound(live, f"{name}/new parameter", "", lambda typed: _added(live, name, typed), renews=True)
    st.text_input("Add a parameter", placeholder="width = 32", **binding)
    refused(binding)


def _bound(live: Live, name: str, current: Any, edit: Callable[[Any], Edit], *, renews: bool = False) -> Binding:
    return bound(live, name, current, edit, renews=renews, follow=partial(redraw, live))


def _row(live: Live, name: str, parameter: str, default: Number) -> None:
    name_column, value_column, remove_column = st.columns([4, 4, 1.4], vertical_alignment="bottom")
    current = write(default)

    def change(typed: str) -> Edit:
        return _edit(live, name, {parameter: _number(typed)})

    name_binding = _bound(
        live,
        f"{name}/name of {parameter}",
        parameter,
        lambda typed: _renaming(live, name, parameter, typed),
        renews=True,
    )
    value_binding = _bound(live, f"{name}/parameter {parameter}", current, change)
    with name_column:
        st.text_input(f"Name of {parameter}", parameter, label_visibility="collapsed", **name_binding)
    with value_column:
        st.text_input(parameter, current, label_visibility="collapsed", **value_binding)
    refused(name_binding)
    refused(value_binding)
    with remove_column:
        remove_binding = _bound(
            live, f"{name}/remove {parameter}", False, lambda _: _edit(live, name, {}, parameter), renews=True
        )
        st.button(
            "",
            icon=":material/close:",
            help=f"Remove {parameter}",
            key=remove_binding["key"],
            on_click=remove_binding["on_change"],
        )


def _added(live: Live, name: str, typed: str) -> Edit:
    parameter, _, default = (part.strip() for part in typed.partition("="))
    if not is_identifier(parameter):
        rule = "A parameter needs a lowercase name and a value, such as width = 32."
        raise ValueError(misnamed(parameter, rule))
    if parameter in _network(live, name).parameters:
        raise ValueError(f"There is already a parameter {parameter}.")
    return _edit(live, name, {parameter: _number(default or "1")})


def _renaming(live: Live, name: str, parameter: str, typed: str) -> Edit:
    """Return the edit that renames a parameter, also in the expressions that use it."""
    numbers = numeric({node.type for node in _network(live, name).nodes.values()})
    return {"kind": "rename_parameter", "network": name, "name": parameter, "to": typed.strip(), "numbers": numbers}


def _network(live: Live, name: str) -> Network:
    network = live.project.networks.get(name)
    if network is None:
        raise ValueError(f"The network {name} was removed in another tab.")
    return network


def _number(typed: str) -> Number:
    number = read_number(typed)
    if isinstance(number, str) or not math.isfinite(number):
        raise ValueError(f"The default must be a number, such as 32; received {typed[:40]!r}.")
    return number


def _edit(live: Live, name: str, change: dict[str, Number], gone: str = "") -> Edit:
    """Return the edit, from the current parameters, as another tab may have changed some meanwhile."""
    network: Network | None = live.project.networks.get(name)
    values: dict[str, Any] = {**(network.parameters if network else {}), **change}
    values.pop(gone, None)
    return {"kind": "parameters", "network": name, "values": values}
