"""The dialog in which a network is written as code instead of drawn: a new one, or the visible one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import streamlit as st

from netloom.compile.formula import FormulaError, first_error, network_of, text_of
from netloom.core.text import escape
from netloom.document import Edit, EditError, Network, Project
from netloom.editing.live import Live
from netloom.layers import Layer, form, registry
from netloom.ui.components.errors import guard, show_error
from netloom.ui.design.networks import standing
from netloom.ui.design.state import DesignState, Key

EXAMPLE = """width = 64
hidden = GELU(Linear(x, units=width * 4))
Linear(hidden, units=width) * sigmoid(Linear(x, units=width))
"""
HELP = (
    "Call layers by name with tensors as arguments; `+ - * / @ **` and comparisons work between tensors and numbers. "
    "`width = 64` defines a parameter, a new name such as `x` an input, and the last line is the output. "
    "The lines are parsed and never run as Python."
)
NEW = "New network"


def formula(live: Live, network_name: str) -> None:
    """Draw the button that opens the dialog, and the dialog while it is open."""
    state = DesignState.current()
    text = "Write a network as code, such as GELU(Linear(x, units=64)), and use it as a layer"
    if st.button("Define layer in code", icon=":material/function:", help=text, width="stretch"):
        state.formula[live.id] = network_name
    typed = state.formula.get(live.id)
    if typed in live.project.networks:
        st.dialog("Define layer in code", width="large", on_dismiss=lambda: _close(live))(_dialog)(live, typed)


def _close(live: Live) -> None:
    DesignState.current().formula.pop(live.id, None)


@guard()
def _dialog(live: Live, network_name: str) -> None:
    project = live.project
    if network_name not in project.networks:  # another tab removed it
        _close(live)
        st.rerun()
    mode = st.radio(
        "What",
        [NEW, f"Change {network_name}"],
        horizontal=True,
        label_visibility="collapsed",
        key=Key.FORMULA_WHAT.of(live.id),
    )
    new = mode == NEW
    name = (
        st.text_input("Name", _free(project), max_chars=64, key=Key.FORMULA_NAME.of(live.id)) if new else network_name
    )
    other_networks = project.networks if new else standing(project, network_name)
    callable_ = {
        other_network: project.networks[other_network]
        for other_network in other_networks
        if other_network != project.main
    }
    text, problem = (EXAMPLE, "") if new else _written(project.networks[network_name], callable_)
    st.html("<style>textarea[aria-label='Lines']{font-family:var(--font-mono,monospace)}</style>")
    # The key depends on the generated text, so that the widget shows it again after the network changed elsewhere.
    typed = st.text_area("Lines", text, height=260, help=HELP, key=Key.FORMULA_LINES.of(live.id, mode, hash(text)))
    if problem:
        st.warning(escape(problem))
    network = _message(typed, callable_)
    done, listed = st.columns([1, 2], vertical_alignment="center")
    with done:
        label = "Create network" if new else "Apply changes"
        if st.button(label, type="primary", disabled=network is None, width="stretch") and network is not None:
            _commit(live, _edit(project, name, network, new=new))
    with listed:
        st.caption(f"Callable networks: {', '.join(callable_) or 'none yet'}. All layers are listed below.")
    with st.expander(f"Callable layers ({len(_offered())})"):
        _catalogue()


def _written(network: Network, callable_: Mapping[str, Network]) -> tuple[str, str]:
    """Return a network as text, and the reason if it cannot be written as text."""
    try:
        return text_of(network, callable_), ""
    except FormulaError as error:
        return "", f"This network cannot be shown as text: {escape(str(error))}"


def _message(typed: str, callable_: Mapping[str, Network]) -> Network | None:
    """Draw a summary of the network that the lines define, or their error; return the network, or None."""
    try:
        network = network_of(typed, callable_)
    except FormulaError as error:
        show_error(error)
        return None
    layers = sum(node.type not in ("Input", "Output") for node in network.nodes.values())
    inputs = ", ".join(network.ports("Input")) or "nothing"
    outputs = len(network.ports("Output"))
    st.success(
        f"{layers} layer{'s'[: layers != 1]}. Inputs: {escape(inputs)}. Outputs: {outputs} tensor{'s'[: outputs != 1]}."
    )
    if sentence := first_error(network, callable_):
        st.caption(f":material/info: Tested on an example input: {escape(sentence)}")
    return network


def _edit(project: Project, name: str, network: Network, *, new: bool) -> Edit:
    """Return the edit that adds or replaces the network. Notes stay, and nodes with unchanged ids keep their places."""
    if new:
        return {"kind": "create_network", "name": name.strip(), "content": network.model_dump(mode="json")}
    before = project.networks[name]
    if network.nodes.keys() == before.nodes.keys():
        nodes = {key: node.model_copy(update={"at": before.nodes[key].at}) for key, node in network.nodes.items()}
        network = network.model_copy(update={"nodes": nodes})
    network = network.model_copy(
        update={"notes": {key: n for key, n in before.notes.items() if key not in network.nodes}}
    )
    return {"kind": "replace_network", "name": name, "content": network.model_dump(mode="json")}


def _commit(live: Live, edit: Edit) -> None:
    try:
        live.apply(edit)
    except EditError as error:
        show_error(error)
        return
    _close(live)
    st.toast(
        "Network created. Drag it from the palette like any other layer."
        if edit["kind"] == "create_network"
        else "Network changed."
    )
    st.rerun()


def _free(project: Project) -> str:
    return next(name for number in count(1) if (name := f"layer_{number}") not in project.networks)


def _offered() -> dict[str, type[Layer]]:
    """Return the layers that are available on this machine."""
    return {name: layer for name, layer in registry().items() if not layer.refusal()}


def _catalogue() -> None:
    """Draw a searchable table of the layers with their parameters."""
    search = st.text_input("Search", placeholder="attention", label_visibility="collapsed").lower()
    rows = []
    for name, layer in _offered().items():
        words = (name, layer.title, layer.summary, *layer.keywords)
        if search and not any(search in word.lower() for word in words):
            continue
        ports = [port.name for port in layer().inputs()]
        values = ((field.name, field.default) for field in form(layer))
        arguments = [*ports, *(f"{key}={value!r}" if len(repr(value)) < 40 else f"{key}=…" for key, value in values)]
        rows.append({"Call": f"{name}({', '.join(arguments)})", "Description": layer.summary})
    st.dataframe(rows, hide_index=True, height=240)
