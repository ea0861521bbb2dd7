"""The classes of generated code: one per network, with constructor arguments for values that differ between uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from netloom.compile.loop_class import LoopClass, LoopClasses
from netloom.core.text import natural
from netloom.document.expression import SIZE, ExpressionError, evaluate, names_in
from netloom.layers.code import Code
from netloom.layers.io import Input, Output
from netloom.layers.nn_source import public_names
from netloom.layers.subnetwork import Subnetwork
from netloom.validation import Analysis, Context
from netloom.validation.along_axis import example_shape
from netloom.validation.initial_weights import node_weights
from netloom.validation.measure import Measured
from netloom.validation.weight_matrices import InitialWeights

# Names that the generated code needs for Python's own functions and modules.
_RESERVED = frozenset({"range", "int", "float", "bool", "str", "tuple", "super", "math"})
# The argument with the number of repeats, and the suffix of a target whose repeats share their weights. The space keeps
# them apart from all parameters that people can define.
REPEAT = " repeat"
SHARED = " shared"


@dataclass(frozen=True)
class Construction:
    """The construction of a module: the class, and the values of its arguments, by name or by position.

    `initialized` are the weights that the code sets after the construction. With a `loop`, the target is the class of
    the network that it applies, and the last arguments are those of the loop.
    """

    target: str
    args: tuple[tuple[int | str, Any], ...] = ()
    code: str = ""
    initialized: InitialWeights | None = None
    loop: LoopClass | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """A key of the construction without its values: a single class can represent all uses with equal keys."""
        return (self.target, self.initialized, self.loop, *(position for position, _ in self.args))


@dataclass(eq=False)
class NetworkClass:
    """The class of a network, with the constructions of its modules in each of its uses."""

    name: str
    uses: list[Context]
    calls: list[dict[str, Construction]]
    arguments: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """The context of the first use; other uses have the same nodes and edges."""
        return self.uses[0]

    @cached_property
    def nodes(self) -> list[str]:
        """The nodes that become modules, in execution order."""
        return list(self.calls[0])

    @cached_property
    def _expressions(self) -> list[str]:
        """Expressions over parameters in the nodes' parameters, without those that are a parameter's name alone."""
        nodes = self.context.network.nodes.values()
        texts = (value for node in nodes for value in node.params.values() if isinstance(value, str))
        return [text for text in dict.fromkeys(texts) if not text.isidentifier()]

    def constructor_arguments(self, key: str) -> list[tuple[int | str, str]]:
        """The arguments of a node's construction as code."""
        return [
            (position, self._code(key, position, tuple(calls[key].args[number][1] for calls in self.calls)))
            for number, (position, _) in enumerate(self.calls[0][key].args)
        ]

    def arguments_for(self, use: Context) -> tuple[tuple[int | str, Any], ...]:
        """The constructor arguments of one use of the network."""
        position = self.uses.index(use)
        return tuple((name, column[position]) for name, column in self.arguments.items())

    def _code(self, key: str, position: int | str, column: tuple[Any, ...]) -> str:
        # With types, because 1 == 1.0 == True, but their code differs
        if len({(type(value), value) for value in column}) == 1:
            return repr(column[0])
        # The value differs between uses. The notation of the user reads best: a parameter, then an expression over
        # parameters. An additional argument for this value is the last resort.
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
        # Arguments of loops and repetitions begin with a space.
        name = f"shape_{position}" if call.code else _parameter(self.context, key, position).strip()
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


def build_classes(analysis: Analysis) -> list[NetworkClass]:
    """The classes of all networks that main contains, each after those that it uses; the last is Main."""
    ordered: list[NetworkClass] = []
    class_of: dict[int, NetworkClass] = {}
    loops = LoopClasses()
    all_uses = list(_uses_by_network(analysis.context))
    # Author code is part of the same module, so that its names are taken.
    codes = (layer for uses in all_uses for use in uses for layer in use.layers.values() if isinstance(layer, Code))
    reserved = {"Main"}.union(*(layer.names() for layer in codes))
    for uses in all_uses:
        by_shape: dict[tuple[object, ...], NetworkClass] = {}
        for use in uses:
            calls = {key: _call(use, key, class_of, loops, reserved) for key in contributing_nodes(use)}
            shape = tuple((key, call.shape) for key, call in calls.items())
            if shape not in by_shape:
                name = "Main" if use is analysis.context else _class_name(use.name, reserved)
                by_shape[shape] = NetworkClass(name, [], [])
            by_shape[shape].uses.append(use)
            by_shape[shape].calls.append(calls)
            class_of[id(use)] = by_shape[shape]
        # The arguments must be complete before a network that contains this one is converted.
        for network_class in by_shape.values():
            for key in network_class.nodes:
                network_class.constructor_arguments(key)  # collects the arguments of the class
        ordered += by_shape.values()
    return ordered


def loop_classes(analysis: Analysis) -> dict[str, LoopClass]:
    """The classes that apply a network once for each step, by their names in the source of the network."""
    calls = [call for network in build_classes(analysis) for call in network.calls[0].values()]
    return {call.loop.name: call.loop for call in calls if call.loop is not None}


def contributing_nodes(context: Context) -> list[str]:
    """The nodes that lead to an Output, in order, without the Inputs and Outputs themselves."""
    import networkx as nx

    outputs = context.of_type(Output)
    contributing = set(outputs).union(*(nx.ancestors(context.graph, node) for node in outputs))
    return [
        key for key in context.order if key in contributing and not isinstance(context.layers[key], (Input, Output))
    ]


def _uses_by_network(main: Context) -> Iterator[list[Context]]:
    """The uses of each network, inner networks before those that contain them."""
    import networkx as nx

    uses: dict[int, Context] = {}

    def visit(context: Context) -> None:
        for key in contributing_nodes(context):
            if key in context.inner and id(context.inner[key]) not in uses:
                visit(context.inner[key])
        uses[id(context)] = context

    visit(main)
    graph: nx.DiGraph[str] = nx.DiGraph()
    for context in uses.values():
        graph.add_node(context.name)
        graph.add_edges_from((inner.name, context.name) for inner in context.inner.values())
    # Sorted, because equal documents must give equal source
    for name in nx.lexicographical_topological_sort(graph, key=natural):
        yield [context for context in uses.values() if context.name == name]


def _call(
    context: Context, key: str, class_of: Mapping[int, NetworkClass], loops: LoopClasses, reserved: set[str]
) -> Construction:
    layer = context.layers[key]
    if isinstance(layer, Subnetwork):
        inner = context.inner[key]
        network_class = class_of[id(inner)]
        if layer.is_loop:
            loop = loops.add(
                layer, inner, network_class.name, has_auxiliary_loss(inner), lambda name: _unused(name, reserved)
            )
            ports = {node: port for port, node in layer.interface.inputs}
            states = inner.step(layer).states
            shapes = ((f" {state.shape}", example_shape(states[ports[state.name]])) for state in loop.stored_states)
            return Construction(network_class.name, (*network_class.arguments_for(inner), *shapes), loop=loop)
        repeated = ((REPEAT, layer.repeat),) if layer.repeat > 1 else ()
        target = f"{network_class.name}{SHARED if repeated and layer.shared else ''}"
        return Construction(target, (*network_class.arguments_for(inner), *repeated))
    call = layer.build(context.specs(key))
    setting = context.project.initialization(context.name, key)
    initialized = node_weights(context, key) if setting is not None else None
    return Construction(call.target, (*enumerate(call.args), *call.kwargs.items()), call.code, initialized)


def _renamed(text: str) -> str:
    """An expression as code, with its parameters replaced by the arguments of the class."""
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(getattr(node, "ctx", None), ast.Store):
            node.id = _free(node.id) if node.id not in ("min", "max", "round") else node.id
    return ast.unparse(tree)


def _parameter(context: Context, key: str, position: int | str) -> str:
    """The name of an argument of a node's module, given its name or its position."""
    if isinstance(position, str):
        return position
    names = context.measured[key].arguments
    return names[position] if position < len(names) else f"argument_{position + 1}"


def _free(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name


def has_statistics(context: Context, key: str) -> bool:
    """Whether a node, or any node inside it, updates running statistics during training."""
    return any(measured.has_statistics for measured in _layers_inside(context, key))


def has_auxiliary_loss(context: Context) -> bool:
    """Whether a module of a network, or of a network in it, adds a term to the loss."""
    return any(
        measured.has_auxiliary_loss for key in contributing_nodes(context) for measured in _layers_inside(context, key)
    )


def _layers_inside(context: Context, key: str) -> Iterator[Measured]:
    """Yield the measurement of a node, or of each layer inside it."""
    if key in context.inner:
        inner = context.inner[key]
        for other in contributing_nodes(inner):
            yield from _layers_inside(inner, other)
    else:
        yield context.measured[key]


def _class_name(network: str, reserved: set[str]) -> str:
    return _unused("".join(part[:1].upper() + part[1:] for part in network.split("_")) or "Network", reserved)


def _unused(base: str, reserved: set[str]) -> str:
    """The name, with a number if it is taken; it is added to `reserved`."""
    number, name = 1, base
    while name in reserved or name in public_names() or name in ("F", "None", "True", "False"):
        number += 1
        name = f"{base}{number}"
    reserved.add(name)
    return name
