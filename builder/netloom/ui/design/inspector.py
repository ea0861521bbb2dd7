"""The form for the selected layer, generated from its declaration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import streamlit as st

from netloom.core.text import cut, escape
from netloom.document import SUBNETWORK, Edit, Node, Project
from netloom.editing.live import Live
from netloom.layers import FormField, form, label, layer_class, registry
from netloom.ui.components.errors import show_error
from netloom.ui.components.fields import editor, read_number, write
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.design.initialization_form import initialization_form
from netloom.ui.design.network_parameters import network_parameters
from netloom.ui.design.networks import standing
from netloom.ui.design.parts import redraw
from netloom.ui.design.repetition_form import FIELDS as REPETITION_FIELDS
from netloom.ui.design.repetition_form import repetition_form
from netloom.ui.design.state import Key
from netloom.validation import Context
from netloom.validation.initial_weights import node_weights


def inspector(live: Live, network: str, selected: list[str]) -> None:
    """Draw the form of the selected node; without one, the form of the parameters of the network."""
    project = live.project  # one snapshot for the whole form, as another tab may change the project meanwhile
    if network not in project.networks:
        st.caption(f"The network {escape(network)} was removed in another tab.")
        return
    nodes = project.networks[network].nodes
    chosen = [key for key in selected if key in nodes]
    if not chosen:
        st.caption("Select a layer on the canvas to see and change its parameters.")
        network_parameters(live, network)
        st.markdown("**Initial weights**")
        st.caption("For all layers without an initialization of their own.")
        initialization_form(live, network, None)
        return
    if len(chosen) > 1:
        st.caption(f"{len(chosen)} layers are selected. Select one to change its parameters.")
        return
    node = nodes[chosen[0]]
    layer = registry().get(node.type)
    if layer is None:
        st.warning(f"This version of Netloom has no layer type {escape(cut(node.type, 60))}.")
        return
    st.markdown(f"**{layer.title}** &nbsp; `{node.id}`")
    st.caption(f"{layer.summary}." + (f" [Read more]({layer.url})" if layer.url else ""))
    context = live.analysis(project).networks[network]
    node_form = _NodeForm(live, project, network, node, context)
    for field in form(layer):
        if node.type == SUBNETWORK and field.name == "network":
            node_form.network()
            repetition_form(live, network, node, node_form.field, node_form.problems)
        elif node.type == SUBNETWORK and field.name in REPETITION_FIELDS:
            continue
        elif field.kind == "values":
            node_form.values(field)
        else:
            node_form.field(field)
    if node.type in ("Input", "Output"):
        node_form.order("Input" if node.type == "Input" else "Output")
    node_form.problems("")
    weights = node_weights(context, node.id)
    if weights.matrices or node.initialization is not None:
        initialization_form(live, network, node.id, sets_bias=bool(weights.biases))
    _shapes(context, node)
    about = st.expander("Title, comment, freezing", key=Key.ABOUT, on_change="rerun")
    if about.open:  # a closed expander is neither drawn nor sent
        with about:
            node_form.about()


def _can_share(one: str, other: str) -> bool:
    """Return whether layers of two types have the same weights, such as those for words at the input and the output."""
    return one == other or (layer_class(one).supports_weight_tying and layer_class(other).supports_weight_tying)


@dataclass(frozen=True)
class _NodeForm:
    """A node in its network, and the widgets that change it."""

    live: Live
    project: Project
    name: str
    node: Node
    context: Context

    def bound(self, field: str, current: Any, edit: Any, *, renews: bool = False) -> Binding:
        name, follow = f"{self.name}/{self.node.id}/{field}", partial(redraw, self.live)
        return bound(self.live, name, current, edit, renews=renews, follow=follow)

    def field(self, field: FormField) -> None:
        value = self.node.params.get(field.name, list(field.default) if field.kind == "ints" else field.default)
        names = tuple(self.project.networks[self.name].parameters)
        current, read, draw = editor(field, value, names)
        binding = self.bound(field.name, current, lambda new: self._set(field.name, read(new)))
        draw(binding)
        refused(binding)
        self.problems(field.name)

    def order(self, kind: Literal["Input", "Output"]) -> None:
        """Draw the position among the inputs or outputs of the network, if it has several."""
        order = self.live.project.networks[self.name].order(kind)
        if len(order) < 2:
            return
        current = order.index(self.node.id) + 1

        def change(number: int) -> Edit:
            remaining = [key for key in order if key != self.node.id]
            remaining.insert(number - 1, self.node.id)
            return {"kind": "order", "network": self.name, f"{kind.lower()}s": remaining}

        binding = self.bound("order", current, change, renews=True)
        st.selectbox(
            f"Position among the {kind.lower()}s",
            range(1, len(order) + 1),
            index=current - 1,
            format_func=lambda number: f"{number} of {len(order)}",
            help="Order in which code, exported files and subnetwork nodes "
            + ("take inputs" if kind == "Input" else "return outputs"),
            **binding,
        )
        refused(binding)

    def network(self) -> None:
        """Draw the choice of the network that this node refers to."""
        project = self.project
        current = self.node.params.get("network")
        names = [name for name in standing(project, self.name) if name != project.main]
        # The current network is listed also if it does not exist or would contain itself.
        names = names if current in names else [str(current or ""), *names]
        binding = self.bound("network", str(current or ""), lambda new: self._set("network", new), renews=True)
        st.selectbox("Network", names, index=names.index(str(current or "")), **binding)
        refused(binding)

    def values(self, field: FormField) -> None:
        """Draw an input for each parameter that the network of this node exposes."""
        inner = self.project.networks.get(str(self.node.params.get("network")))
        stored = self.node.params.get(field.name)
        assigned = stored if isinstance(stored, dict) else {}
        for parameter, default in (inner.parameters if inner else {}).items():
            current = write(assigned.get(parameter))

            def change(typed: str, parameter: str = parameter) -> Edit:
                remaining = {key: value for key, value in assigned.items() if key != parameter}
                new = {parameter: read_number(typed)} if typed.strip() else {}
                return self._set(field.name, {**remaining, **new})

            binding = self.bound(f"{field.name}.{parameter}", current, change)
            text = f"A number, or an expression with the parameters of this network. Empty: {default}."
            st.text_input(parameter, current, placeholder=str(default), help=text, **binding)
            refused(binding)
        self.problems(field.name)

    def problems(self, field: str) -> None:
        """Draw the errors of a field; for "", the errors of fields that are not in the form."""
        shown = {item.name for item in form(registry()[self.node.type])}
        for error in self.context.parameter_errors.get(self.node.id, ()):
            if (error.field if error.field in shown else "") == field:
                show_error(error.at_field)

    def about(self) -> None:
        node = self.node
        st.text_input("Title", node.title, max_chars=200, **self._about("title"))
        comment = self._about("note")
        st.text_area("Comment", node.note, **comment)  # without a limit, above which a pasted text is ignored
        refused(comment)
        text = "The weights are not trained"
        st.toggle("Frozen", node.frozen, help=text, **self._about("frozen"))
        self._shares()

    def _shares(self) -> None:
        node, nodes = self.node, self.context.network.nodes
        # Only nodes with weights of their own, so that no node shares those of one that shares itself.
        fitting = [other.id for other in nodes.values() if _can_share(node.type, other.type) and other.shares is None]
        names = [None, *(key for key in fitting if key != node.id)]
        names += [node.shares] if node.shares not in names else []
        if len(names) == 1:
            return
        binding = self._about("shares")
        st.selectbox(
            "Share weights with",
            names,
            index=names.index(node.shares),
            format_func=lambda key: "None" if key is None else label(nodes[key]) if key in nodes else key,
            help="Weight tying: both layers use the same weights",
            **binding,
        )
        refused(binding)

    def _about(self, name: str) -> Binding:
        def edit(new: Any) -> Edit:
            return {"kind": "update", "network": self.name, "node": self.node.id, name: new}

        return self.bound(name, getattr(self.node, name), edit)

    def _set(self, name: str, value: Any) -> Edit:
        return {"kind": "set", "network": self.name, "node": self.node.id, "params": {name: value}}


def _shapes(context: Context, node: Node) -> None:
    facts = context.nodes.get(node.id)
    if facts is None:
        return
    shapes = ", ".join(str(spec) for spec in facts.outputs.values())
    lines = [f"Output shape `{shapes}`"] if shapes else []
    if facts.parameters:
        lines.append(f"{facts.parameters:,} parameters")
    if facts.flops:
        lines.append(f"{facts.flops:,} FLOPs per example")
    if lines:
        st.caption(" · ".join(lines))
    layer = context.layers.get(node.id)
    if layer is not None and (remark := layer.remark()):
        st.caption(remark)
