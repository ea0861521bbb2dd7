"""The form of the initial weights of a layer or of a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.document import Edit, Project
from netloom.document.initialization import METHODS, Initialization
from netloom.editing.live import Live
from netloom.ui.components.fields import read_number, write
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.design.parts import redraw

# The title and the help of each option of a method.
OPTION_TEXTS = {
    "std": (
        "Standard deviation",
        "Spread of the weights around 0. Lower it if the first loss is far above that of a guess",
    ),
    "bound": ("Bound", "The weights lie between minus this number and this number"),
    "gain": ("Gain", "Multiplies the weights. 1 suits linear layers, 5/3 tanh, √2 ReLU"),
    "fan": ("Fan", "Variance that stays equal: of the forward pass (in) or of the backward pass (out)"),
    "residual": (
        "Scale residual branches",
        "Divides the last layer of each residual branch by the square root of the number of branches, as in GPT-2",
    ),
}
BIAS = "Biases"
BIAS_HELP = "Start the biases at 0, or as PyTorch does by default"
DEFAULT = "default"


def initialization_form(live: Live, network: str, node: str | None, sets_bias: bool = True) -> None:
    """Draw the initialization of a node, or of the whole network if `node` is None.

    Args:
        sets_bias: Whether there are biases that the initialization sets.
    """
    project = live.project
    owner = project.networks[network].nodes[node] if node is not None else project.networks[network]
    setting = owner.initialization
    edit = partial(_edit, network, node)
    _method(live, f"{network}/{node or ''}", setting, _inherited(project, network, node), edit)
    if setting is None:
        return
    for name, value in setting.options.items():
        _option(live, f"{network}/{node or ''}", setting, name, value, edit)
    if sets_bias:
        names = {"zeros": "Zeros", "default": "PyTorch default"}
        binding = _bound(
            live,
            f"{network}/{node or ''}/initial biases",
            setting.bias,
            lambda new: edit({**setting.to_json(), "bias": new}),
        )
        st.selectbox(
            BIAS, list(names), list(names).index(setting.bias), format_func=names.__getitem__, help=BIAS_HELP, **binding
        )
        refused(binding)


# From an initialization as JSON to an edit, which checks it like one from a file.
Change = Callable[[dict[str, Any] | None], Edit]


def _method(live: Live, owner: str, setting: Initialization | None, inherited: str, edit: Change) -> None:
    current = DEFAULT if setting is None else setting.method
    names = {DEFAULT: inherited, **{name: method.title for name, method in METHODS.items()}}

    def change(new: str) -> Edit:
        return edit(None if new == DEFAULT else {"method": new})

    binding = _bound(live, f"{owner}/initialization", current, change, renews=True)
    text = METHODS[current].description if setting is not None else "How the weights are drawn before training"
    st.selectbox(
        "Initialization", list(names), list(names).index(current), format_func=names.__getitem__, help=text, **binding
    )
    refused(binding)


def _option(live: Live, owner: str, setting: Initialization, name: str, value: Any, edit: Change) -> None:
    label, text = OPTION_TEXTS[name]

    def change(new: Any) -> Edit:
        read = read_number(new) if isinstance(value, float) else new
        if isinstance(value, float) and isinstance(read, str):
            raise ValueError(f"{label} must be a number, such as 0.02; received {new[:40]!r}.")
        return edit({**setting.to_json(), name: read})

    shown = write(round(value, 6)) if isinstance(value, float) else value
    binding = _bound(live, f"{owner}/initial {name}", shown, change)
    if isinstance(value, bool):
        st.toggle(label, value, help=text, **binding)
    elif isinstance(value, float):
        st.text_input(label, shown, help=text, **binding)
    else:
        fans = ["in", "out"]
        st.selectbox(label, fans, fans.index(value), help=text, **binding)
    refused(binding)


def _inherited(project: Project, network: str, node: str | None) -> str:
    """The name of the choice without a setting: what applies then."""
    if node is not None:
        setting = project.networks[network].initialization or project.main_network.initialization
        return f"As the network: {setting.sentence()}" if setting is not None else "PyTorch default"
    main = project.main_network.initialization
    if network != project.main and main is not None:
        return f"As {escape(project.main)}: {main.sentence()}"
    return "PyTorch default"


def _edit(network: str, node: str | None, value: dict[str, Any] | None) -> Edit:
    if node is None:
        return {"kind": "initialize", "network": network, "initialization": value}
    return {"kind": "update", "network": network, "node": node, "initialization": value}


def _bound(live: Live, name: str, current: Any, edit: Callable[[Any], Edit], *, renews: bool = False) -> Binding:
    return bound(live, name, current, edit, renews=renews, follow=partial(redraw, live))
