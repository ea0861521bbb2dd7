"""The help of a layer for the canvas: its formula, parameters and shapes. It is long, so it is sent on request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from netloom.layers import FormField, form, registry
from netloom.ui.design.canvas.messages import About, AboutField, AboutWish
from netloom.validation import Context


def about(context: Context, wish: AboutWish | None) -> About | None:
    """Return the declaration of the layer that `wish` names, and the output shapes of its node.

    The node can be missing: users can request the help of a layer in the palette, too.
    """
    if wish is None or wish["type"] not in registry():
        return None
    node = wish["node"]
    facts = context.nodes.get(node) if node is not None else None
    shapes = {port: str(spec) for port, spec in facts.outputs.items()} if facts else {}
    return {**_declared(wish["type"]), "node": node, "shapes": shapes}


@cache
def _declared(kind: str) -> About:
    layer = registry()[kind]
    return {
        "type": kind,
        "node": None,
        "formula": " ".join((vars(layer).get("__doc__") or "").split()),
        "url": layer.url,
        "fields": [_field(field) for field in form(layer)],
        "shapes": {},
    }


def _field(field: FormField) -> AboutField:
    """Return a parameter in words: its name, range, default and purpose."""
    return {"name": field.label, "range": _range(field), "default": _text(field.default), "text": field.description}


def _range(field: FormField) -> str:
    if field.choices:
        return ", ".join(field.choices)
    low, high = (None if bound is None else _text(bound) for bound in (field.minimum, field.maximum))
    if low is None and high is None:
        return ""
    above = "above" if field.exclusive_minimum else "from"
    return " ".join([f"{above} {low}" if low is not None else "", f"to {high}" if high is not None else ""]).strip()


def _text(value: Any) -> str:
    """Return the text of a value."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_text(part)}" for key, part in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
