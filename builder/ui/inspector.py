"""The form for the selected layer, generated from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from builder.graph import Edit, Node
from builder.layers import FormField, form, registry
from builder.ui.forms import bound, refused
from builder.ui.live import Live


def inspector(live: Live, selected: list[str]) -> None:
    """Show and change the selected node, or say what can be selected."""
    nodes = live.project.main_network.nodes
    chosen = [key for key in selected if key in nodes]
    if not chosen:
        st.caption("Select a layer on the canvas to see and change its parameters.")
        return
    if len(chosen) > 1:
        st.caption(f"{len(chosen)} layers are selected. Select one to change its parameters.")
        return
    node = nodes[chosen[0]]
    layer = registry().get(node.type)
    if layer is None:
        st.warning(f"This Netloom has no layer of the type {node.type[:60]}.")
        return
    st.markdown(f"**{layer.title}** &nbsp; `{node.id}`")
    st.caption(f"{layer.summary}." + (f" [Read more]({layer.url})" if layer.url else ""))
    for field in form(layer):
        _field(live, node, field)
    _shapes(live, node)
    with st.expander("Title, remark, freezing"):
        _about(live, node)


def _field(live: Live, node: Node, field: FormField) -> None:
    value = node.params.get(field.name, list(field.default) if field.kind == "ints" else field.default)
    shown, read, draw = _editor(field, value)
    made = bound(live, f"{node.id}/{field.name}", shown, lambda new: _set(node, field.name, read(new)))
    draw(made)
    refused(made)


def _about(live: Live, node: Node) -> None:
    st.text_input("Title", node.title, max_chars=200, **_about_bound(live, node, "title"))
    st.text_area("Remark", node.note, max_chars=5000, **_about_bound(live, node, "note"))
    text = "Its weights stay as they are in training"
    st.toggle("Frozen", node.frozen, help=text, **_about_bound(live, node, "frozen"))


def _about_bound(live: Live, node: Node, name: str) -> dict[str, Any]:
    def edit(new: Any) -> Edit:
        return {"kind": "update", "node": node.id, name: new}

    return bound(live, f"{node.id}/{name}", getattr(node, name), edit)


def _set(node: Node, name: str, value: Any) -> Edit:
    return {"kind": "set", "node": node.id, "params": {name: value}}


def _editor(field: FormField, value: Any) -> tuple[Any, Callable[[Any], Any], Callable[[dict[str, Any]], Any]]:
    """What a widget shows, how its value is read back, and how it is drawn with what binds it."""
    label, text = field.label, field.description
    if field.kind == "bool":
        return (
            bool(value),
            bool,
            lambda made: st.toggle(label, bool(value), help=text, **made),
        )
    if field.kind == "choice":
        options = list(field.choices)
        shown = value if value in options else options[0]
        return (
            shown,
            str,
            lambda made: st.selectbox(label, options, index=options.index(shown), help=text, **made),
        )
    if field.kind == "int" and isinstance(value, int) and not field.optional and _within(field, value):
        low, high = int(field.minimum or 0), int(field.maximum or 2**53)
        return (
            value,
            int,
            lambda made: st.number_input(label, low, high, value, step=1, help=text, **made),
        )
    shown = "" if value is None else ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return (
        shown,
        lambda typed: read_text(field, typed),
        lambda made: st.text_input(label, shown, help=_help(field), **made),
    )


def _within(field: FormField, value: int) -> bool:
    return (field.minimum is None or value >= field.minimum) and (field.maximum is None or value <= field.maximum)


def _help(field: FormField) -> str:
    low, high = field.minimum, field.maximum
    bounds = f" From {low:g} to {high:g}." if low is not None and high is not None and field.kind != "ints" else ""
    return f"{field.description}.{bounds}{' May be empty.' if field.optional else ''}"


def read_text(field: FormField, typed: str) -> Any:
    """The value that was typed for a field.

    Raises:
        ValueError: it is not of the field's kind; the message is a sentence.
    """
    typed = typed.strip()
    if not typed and field.optional:
        return None
    try:
        if field.kind == "ints":
            return [
                int(part)
                for part in typed.replace("×", ",").replace("(", "").replace(")", "").split(",")
                if part.strip()
            ]
        if field.kind == "int":
            return int(typed.replace(" ", ""))
        if field.kind == "float":
            return float(typed)
    except ValueError:
        wanted = {"ints": "whole numbers with commas between them", "int": "a whole number", "float": "a number"}
        raise ValueError(f"{field.label} takes {wanted[field.kind]}, received {typed[:40]!r}.") from None
    return typed


def _shapes(live: Live, node: Node) -> None:
    facts = live.analysis().nodes.get(node.id)
    if facts is None:
        return
    shapes = ", ".join(str(spec) for spec in facts.outputs.values())
    lines = [f"Gives `{shapes}`"] if shapes else []
    if facts.parameters:
        lines.append(f"{facts.parameters:,} parameters")
    if facts.flops:
        lines.append(f"{facts.flops:,} FLOPs per example")
    if lines:
        st.caption(" · ".join(lines))
