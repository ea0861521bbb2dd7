"""The type and the parameters of each node."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.core.field_errors import nearest_name
from netloom.layers import registry
from netloom.validation import fixes
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage


class KnownLayer(Rule):
    """The type of every node is in the catalogue."""

    stage = Stage.PARAMETERS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, node in context.network.nodes.items():
            if node.type not in registry():
                nearest = nearest_name(node.type, registry())
                hint = f"; did you mean {nearest}?" if nearest else "."
                yield context.issue(
                    "unknown_layer",
                    f"{context.label(key)}: this version of Netloom has no layer type {node.type[:60]!r}{hint}",
                    key,
                    fix=fixes.remove(context.name, [key], [], "Remove it"),
                )


class Parameters(Rule):
    """The parameters of every node exist, have the right type, and are within bounds."""

    stage = Stage.PARAMETERS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, errors in context.parameter_errors.items():
            layer = registry().get(context.network.nodes[key].type)
            if layer is None or layer.refusal():  # see KnownLayer and OwnCode
                continue
            for error in errors:
                sentence = error.sentence("the parameters")
                yield context.issue("parameter", f"{context.label(key)}: {sentence}", key, field=error.field or None)
