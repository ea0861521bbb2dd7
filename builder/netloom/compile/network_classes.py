"""Which classes networks become: one for each network, whose arguments are what differs between its uses."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from netloom.core.text import natural
from netloom.document.expression import SIZE, ExpressionError, evaluate, names_in
from netloom.layers import resolve
from netloom.layers.code import Code
from netloom.layers.io import Input, Output
from netloom.layers.subnetwork import Subnetwork
from netloom.validation import Analysis, Context

# Names that the generated code uses itself.
_TAKEN = frozenset({"range", "int", "float", "bool", "str", "tuple", "super", "math"})
# The argument of a network that stands for several, and the mark of those that share their weights. No parameter of a
# person's can have these names.
REPEAT = " repeat"
SHARED = " shared"


@dataclass(frozen=True)
class Written:
    """How a module is constructed: the class, and its arguments as values, by name or by place."""

    target: str
    args: tuple[tuple[int | str, Any], ...] = ()
    code: str = ""

    @property
    def shape(self) -> tuple[object, ...]:
        """What has to be alike for two constructions to be written as one."""
        return (self.target, *(place for place, _ in self.args))


@dataclass(eq=False)
class NetworkClass:
    """The class of a network: what is constructed in each of its uses, all in the same way."""

    name: str
    uses: list[Context]
    calls: list[dict[str, Written]]
    arguments: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """The first of its uses; the others have the same nodes and edges."""
        return self.uses[0]

    @cached_property
    def nodes(self) -> list[str]:
        """The nodes that become modules, in the order in which they act."""
        return list(self.calls[0])

    @cached_property
    def _expressions(self) -> list[str]:
        """What people typed where numbers stand, other than a parameter's bare name."""
        nodes = self.context.network.nodes.values()
        texts = (value for node in nodes for value in node.params.values() if isinstance(value, str))
        return [text for text in dict.fromkeys(texts) if not text.isidentifier()]

    def written(self, key: str) -> list[tuple[int | str, str]]:
        """The arguments of a node's construction as code."""
        return [
            (place, self._code(key, place, tuple(calls[key].args[number][1] for calls in self.calls)))
            for number, (place, _) in enumerate(self.calls[0][key].args)
        ]

    def given(self, use: Context) -> tuple[tuple[int | str, Any], ...]:
        """The arguments with which one of its uses is constructed."""
        place = self.uses.index(use)
        return tuple((name, column[place]) for name, column in self.arguments.items())

    def _code(self, key: str, place: int | str, column: tuple[Any, ...]) -> str:
        if len({(type(value), value) for value in column}) == 1:
            return repr(column[0])
        for name in self.context.values:
            if self._column(name) == column:
                return self._argument(name, column)
        for text in self._expressions:
            if self._evaluated(text) == column:
                for name in sorted(names_in(text)):
                    self._argument(name, self._column(name))
                return _renamed(text)
        for name, known in self.arguments.items():
            if known == column:
                return name
        call = self.calls[0][key]
        name = f"shape_{place}" if call.code else _parameter(call.target, place)
        return self._argument(f"{key}_{name}", column)

    def _argument(self, name: str, column: tuple[Any, ...]) -> str:
        name = _free(name)
        self.arguments[name] = column
        return name

    def _column(self, name: str) -> tuple[Any, ...]:
        return tuple(use.values[name] for use in self.uses)

    def _evaluated(self, text: str) -> tuple[Any, ...] | None:
        try:
            if not names_in(text) <= set(self.context.values) or f"{SIZE}(" in text:
                return None
            return tuple(evaluate(text, use.values) for use in self.uses)
        except ExpressionError:
            return None


def classes(analysis: Analysis) -> list[NetworkClass]:
    """The classes of the networks that main is made of, each after those that it uses; the last is Main."""
    found: list[NetworkClass] = []
    home: dict[int, NetworkClass] = {}
    every = list(_by_network(analysis.context))
    codes = (layer for uses in every for use in uses for layer in use.layers.values() if isinstance(layer, Code))
    taken = {"Main"}.union(*(layer.names() for layer in codes))
    for uses in every:
        alike: dict[tuple[object, ...], NetworkClass] = {}
        for use in uses:
            calls = {key: _call(use, key, home) for key in used(use)}
            shape = tuple((key, call.shape) for key, call in calls.items())
            if shape not in alike:
                name = "Main" if use is analysis.context else _class_name(use.name, taken)
                alike[shape] = NetworkClass(name, [], [])
            alike[shape].uses.append(use)
            alike[shape].calls.append(calls)
            home[id(use)] = alike[shape]
        for made in alike.values():
            for key in made.nodes:
                made.written(key)  # so that the arguments are known to those who construct it
        found += alike.values()
    return found


def used(context: Context) -> list[str]:
    """The nodes that lead to an Output, in order, without the Inputs and Outputs themselves."""
    import networkx as nx

    ends = context.of_type(Output)
    leading = set(ends).union(*(nx.ancestors(context.graph, node) for node in ends))
    return [key for key in context.order if key in leading and not isinstance(context.layers[key], (Input, Output))]


def _by_network(main: Context) -> Iterator[list[Context]]:
    """The uses of each network, inner networks before those in which they stand."""
    import networkx as nx

    uses: dict[int, Context] = {}

    def visit(context: Context) -> None:
        for key in used(context):
            if key in context.inner and id(context.inner[key]) not in uses:
                visit(context.inner[key])
        uses[id(context)] = context

    visit(main)
    graph: nx.DiGraph[str] = nx.DiGraph()
    for context in uses.values():
        graph.add_node(context.name)
        graph.add_edges_from((inner.name, context.name) for inner in context.inner.values())
    for name in nx.lexicographical_topological_sort(graph, key=natural):
        yield [context for context in uses.values() if context.name == name]


def _call(context: Context, key: str, home: Mapping[int, NetworkClass]) -> Written:
    layer = context.layers[key]
    if isinstance(layer, Subnetwork):
        inner = context.inner[key]
        made = home[id(inner)]
        repeated = ((REPEAT, layer.repeat),) if layer.repeat > 1 else ()
        target = f"{made.name}{SHARED if repeated and layer.shared else ''}"
        return Written(target, (*made.given(inner), *repeated))
    call = layer.build(context.specs(key))
    return Written(call.target, (*enumerate(call.args), *call.kwargs.items()), call.code)


def _renamed(text: str) -> str:
    """An expression as code, with its parameters under the names that the class gives them."""
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(getattr(node, "ctx", None), ast.Store):
            node.id = _free(node.id) if node.id not in ("min", "max", "round") else node.id
    return ast.unparse(tree)


@cache
def _parameter(target: str, place: int | str) -> str:
    """What a class calls the argument at a place."""
    if isinstance(place, str):
        return place
    names = [name for name in inspect.signature(resolve(target).__init__).parameters if name != "self"]
    return names[place] if place < len(names) else f"argument_{place + 1}"


def _free(name: str) -> str:
    return f"{name}_" if name in _TAKEN else name


def _class_name(network: str, taken: set[str]) -> str:
    import netloom.nn

    base = "".join(part[:1].upper() + part[1:] for part in network.split("_")) or "Network"
    number, name = 1, base
    while name in taken or name in netloom.nn.__all__ or name in ("F", "None", "True", "False"):
        number += 1
        name = f"{base}{number}"
    taken.add(name)
    return name
