"""Readable Python source of a network.

Only checked identifiers, literals, and titles as comments in printable characters enter the code from a document.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from netloom.compile.initialization_code import initialization_lines
from netloom.compile.network_classes import REPEAT, SHARED, NetworkClass, build_classes, has_statistics
from netloom.core.text import plain
from netloom.document import Project
from netloom.layers.author_code import MARK
from netloom.layers.nn_source import public_names, source_of
from netloom.validation import Analysis, Context, Issue, analyze


class CompileError(ValueError):
    """The project has errors, so that no code can be generated. `issues` lists all of them."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = issues
        super().__init__("The network cannot be compiled: " + " ".join(issue.message for issue in issues[:3]))


def source(project: Project, analysis: Analysis | None = None) -> str:
    """The Python module of the project's main network, which imports only PyTorch and defines the class Main.

    A caller that has already analyzed the project passes the `analysis`, because computing it again takes time.

    Raises:
        CompileError: The network has errors, other than those that prevent only its training.
    """
    analysis = analysis or analyze(project)
    if analysis.network_errors:
        raise CompileError(analysis.network_errors)
    network_classes = build_classes(analysis)
    helpers = _helper_names(network_classes)
    author_code = _author_code(network_classes)
    initializations = [initialization_lines(network_class, analysis.context) for network_class in network_classes]
    parts = [
        _head(project.name, bool(author_code)),
        _imports(helpers, author_code, [line for lines in initializations for line in lines]),
        *author_code,
        *map(_helper_source, helpers),
        *_class_sources(network_classes, initializations),
    ]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _class_sources(network_classes: list[NetworkClass], initializations: list[list[str]]) -> Iterator[str]:
    """Yield the code of each network's class, after the classes of the loops in it."""
    written: set[str] = set()
    for network_class, initialization in zip(network_classes, initializations, strict=True):
        for call in network_class.calls[0].values():
            if call.loop is not None and call.loop.name not in written:
                written.add(call.loop.name)
                yield call.loop.source
        yield _class(network_class, initialization)


def input_nodes(project: Project) -> list[str]:
    """The Input nodes in the order of the arguments of `forward`."""
    return list(project.main_network.ports("Input"))


def input_fields(project: Project) -> list[str]:
    """The data's fields that the Input nodes read, in the order of the arguments of `forward`."""
    nodes = project.main_network.nodes
    return [str(nodes[key].params.get("field", "")) for key in input_nodes(project)]


def output_nodes(project: Project) -> list[str]:
    """The Output nodes in the order in which `forward` returns them."""
    return list(project.main_network.ports("Output"))


def _head(name: str, has_code: bool) -> str:
    # The name comes from the document: a backslash or quotation mark could end the docstring and become code.
    title = comment(name).replace("\\", "/").replace('"', "'")
    needs = "contains Python code by its author" if has_code else "needs only PyTorch"
    return f'"""{title}\n\nMade with Netloom; {needs}.\n"""'


def _author_code(network_classes: list[NetworkClass]) -> list[str]:
    """The Python code of the author's layers, each once, below a comment that marks it."""
    codes = (call.code for network in network_classes for call in network.calls[0].values() if call.code)
    return [f"{MARK}\n{code}" for code in dict.fromkeys(codes)]


def _imports(helpers: list[str], author_code: list[str], initialization: list[str]) -> str:
    text = "\n".join((*map(_helper_source, helpers), *author_code, *initialization))
    lines = ["import math\n"] if re.search(r"\bmath\.\w", text) else []
    lines += ["import torch", "from torch import nn"]
    if re.search(r"\bF\.\w", text):
        lines.append("from torch.nn import functional as F")
    return "\n".join(lines)


def _helper_names(network_classes: list[NetworkClass]) -> list[str]:
    """The classes and functions of netloom.nn that the networks use, each after those on which it depends."""
    class_names = {network.name for network in network_classes}
    names: list[str] = []
    for network in network_classes:
        required = []
        for key in network.nodes:
            call = network.calls[0][key]
            target = call.target.removesuffix(SHARED)
            if target not in class_names and "." not in target and not call.code:
                required.append(target)
            if any(position == REPEAT for position, _ in network.calls[0][key].args) and target in class_names:
                required.append("Repeated")
            if call.loop is not None and call.loop.sums_auxiliary_losses:
                required.append("AuxiliaryLossSum")
            if network.context.network.nodes[key].shares:
                required.append("tie")
            if network.context.network.nodes[key].frozen and has_statistics(network.context, key):
                required.append("keep_statistics")
        for name in required:
            # Dependencies first: a class must be defined before a subclass of it.
            names += [helper for helper in (*_helper_dependencies(name), name) if helper not in names]
    return names


@cache
def _helper_dependencies(name: str) -> tuple[str, ...]:
    identifiers = {node.id for node in ast.walk(ast.parse(_helper_source(name))) if isinstance(node, ast.Name)}
    dependencies = [helper for helper in sorted(public_names()) if helper in identifiers and helper != name]
    return tuple(dict.fromkeys(inner for need in dependencies for inner in (*_helper_dependencies(need), need)))


@cache
def _helper_source(name: str) -> str:
    return "\n".join(line.partition("  # type: ignore")[0] for line in source_of(name).splitlines())


def _class(network_class: NetworkClass, initialization: list[str]) -> str:
    context, nodes = network_class.context, network_class.context.network.nodes
    constructions = []
    for key in network_class.nodes:
        constructions.append(
            _with_comment(f"        self.{key} = {_construction(network_class, key)}", comment(nodes[key].title))
        )
    # After all constructions, because a node can share the weights of one that is constructed later
    constructions += [
        f"        tie(self.{key}, self.{nodes[key].shares})" for key in network_class.nodes if nodes[key].shares
    ]
    constructions += initialization  # after `tie`, so that shared weights are set once, as their owner says
    constructions += [
        f"        self.{key}.requires_grad_(False)"
        for key in network_class.nodes
        if nodes[key].frozen and context.measured[key].parameters
    ]
    frozen_statistics = [key for key in network_class.nodes if nodes[key].frozen and has_statistics(context, key)]
    statistics_calls = [f"        keep_statistics(self.{key})" for key in frozen_statistics]
    arguments = "".join(f", {name}: {_annotation(column)}" for name, column in network_class.arguments.items())
    inputs, outputs = context.network.ports("Input"), context.network.ports("Output")
    inputs_signature = "".join(f", {key}: torch.Tensor" for key in inputs)
    returned = [_arguments(context, key)[0] for key in outputs]
    result = "torch.Tensor" if len(returned) == 1 else f"tuple[{', '.join(['torch.Tensor'] * len(returned))}]"
    lines = [
        f"class {network_class.name}(nn.Module):",
        f"    def __init__(self{arguments}) -> None:",
        "        super().__init__()",
        *constructions,
        *statistics_calls,
        "",
        *(_train_method(network_class.name, statistics_calls) if statistics_calls else ()),
        f"    def forward(self{inputs_signature}) -> {result}:",
        *(f"        # {key}: {_shapes(network_class, key)}" for key in inputs if _shapes(network_class, key)),
        *(_forward_line(network_class, key) for key in network_class.nodes),
        f"        return {', '.join(returned)}",
    ]
    return "\n".join(lines)


def _train_method(name: str, statistics_calls: list[str]) -> list[str]:
    """An override of `train`: `nn.Module.train` would let frozen batch normalization update its running statistics."""
    head = f'    def train(self, mode: bool = True) -> "{name}":'
    return [head, "        super().train(mode)", *statistics_calls, "        return self", ""]


def _construction(network_class: NetworkClass, key: str) -> str:
    call = network_class.calls[0][key]
    target = call.target
    arguments = network_class.constructor_arguments(key)
    # The names of arguments of loops and repetitions begin with a space.
    special = {
        str(position): code
        for position, code in arguments
        if _is_network(network_class, key) and str(position).startswith(" ")
    }
    parts = [
        code if isinstance(position, int) else f"{position}={code}"
        for position, code in arguments
        if str(position) not in special
    ]
    construction = f"{target.removesuffix(SHARED)}({', '.join(parts)})"
    if call.loop is not None:
        shapes = "".join(f", {name.strip()}={code}" for name, code in special.items())
        return f"{call.loop.name}({construction}{shapes})"
    repeat = special.get(REPEAT)
    if repeat is None:
        return construction
    # One module that is applied several times shares its weights; several modules have their own.
    return (
        f"Repeated([{construction}], {repeat})"
        if target.endswith(SHARED)
        else f"Repeated([{construction} for _ in range({repeat})])"
    )


def _is_network(network_class: NetworkClass, key: str) -> bool:
    return key in network_class.context.inner


def _annotation(column: tuple[Any, ...]) -> str:
    kinds = {type(value) for value in column}
    if tuple in kinds:
        return "tuple[int, ...]"
    return " | ".join(sorted("None" if kind is type(None) else kind.__name__ for kind in kinds))


def _arguments(context: Context, key: str) -> list[str]:
    """The names of the variables that a node reads, in the order of its ports."""
    edges = context.incoming[key]
    ports = context.layers[key].inputs()
    return [_variable(context, edges[port.name].source_node, edges[port.name].source_port) for port in ports]


def _variable(context: Context, key: str, port: str) -> str:
    """The name of the variable for the tensor of an output port."""
    # The node id itself: as every id is unique, only names with a port can collide.
    if len(context.layers[key].outputs()) == 1:
        return key
    name = f"{key}_{port}"
    while name in context.network.nodes:  # the variable of another node
        name += "_"
    return name


def _forward_line(network_class: NetworkClass, key: str) -> str:
    context = network_class.context
    results = ", ".join(_variable(context, key, port.name) for port in context.layers[key].outputs())
    line = f"        {results} = self.{key}({', '.join(_arguments(context, key))})"
    return _with_comment(line, _shapes(network_class, key))


def _shapes(network_class: NetworkClass, key: str) -> str:
    """The output shapes of a node, if they are equal in all uses of the network."""
    shapes = {
        ", ".join(str(use.measured[key].outputs[port.name]) for port in use.layers[key].outputs())
        for use in network_class.uses
    }
    return shapes.pop() if len(shapes) == 1 else ""


def _with_comment(line: str, text: str) -> str:
    return f"{line}  # {text}" if text else line


def comment(text: str) -> str:
    """Text for a comment: one line of at most 100 printable characters."""
    return plain(text)[:100]
