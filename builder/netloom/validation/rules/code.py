"""Layers of Python code."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.layers import ParameterError, parse, registry
from netloom.layers.code import Code
from netloom.layers.nn_source import public_names
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage


class OwnCode(Rule):
    """Python code layers are allowed on this machine, and each name in them has one definition."""

    stage = Stage.CODE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, node in context.network.nodes.items():
            if node.type in registry() and (reason := registry()[node.type].refusal()):
                yield context.issue("own_code", f"{context.label(key)}: {reason}", key)
        yield from self._names(context)

    def _names(self, context: Context) -> Iterator[Issue]:
        """Yield issues for names that code layers define differently, or that belong to built-in modules of Netloom."""
        code_layers = {key: layer for key, layer in context.layers.items() if isinstance(layer, Code)}
        if not code_layers:
            return
        sources_by_name: dict[str, set[str]] = {}
        # All networks share one generated module, so a name must be unique across the project.
        for network in context.project.networks.values():
            for node in network.nodes.values():
                if node.type != Code.__name__:
                    continue
                try:
                    layer = parse(node)
                except ParameterError:
                    continue  # its own issue says why
                if isinstance(layer, Code):
                    for name in layer.names():
                        sources_by_name.setdefault(name, set()).add(layer.source)
        for key, layer in code_layers.items():
            for name in sorted(layer.names()):
                label = context.label(key)
                if len(sources_by_name[name]) > 1:
                    message = (
                        f"{label} defines {name}, but another Python code layer defines it "
                        "differently; rename one of them."
                    )
                    yield context.issue("own_code", message, key)
                elif name in public_names():
                    message = f"{label} defines {name}, which is the name of a built-in module of Netloom; rename it."
                    yield context.issue("own_code", message, key)
