"""A network as Python source that reads as if a person wrote it.

Nothing of a document enters the code but checked identifiers, literals, and titles as comments in printable characters.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache

from builder.check import Analysis, Issue, analyse, natural
from builder.graph import Project
from builder.layers import Call, TensorSpec
from builder.layers.io import Input, Output
from builder.text import plain


class CompileError(ValueError):
    """The project has errors, so no code can be written for it. `issues` lists all of them."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = issues
        super().__init__("The network cannot be compiled: " + " ".join(issue.message for issue in issues[:3]))


def source(project: Project, analysis: Analysis | None = None) -> str:
    """The Python module for the project's main network: imports torch alone and defines the class Main.

    `analysis` saves the time for another one, if it is at hand.

    Raises:
        CompileError: the network has errors.
    """
    analysis = analysis or analyse(project)
    if analysis.errors:
        raise CompileError(analysis.errors)
    steps = _Steps(analysis)
    parts = [_head(project.name), _imports(steps), *_own_modules(steps), _class(project, steps)]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def input_nodes(project: Project) -> list[str]:
    """The Input nodes in the order of the arguments of `forward`."""
    nodes = project.main_network.nodes
    return sorted((key for key, node in nodes.items() if node.type == "Input"), key=natural)


def input_fields(project: Project) -> list[str]:
    """The data's fields that the Input nodes read, in the order of the arguments of `forward`."""
    nodes = project.main_network.nodes
    return [str(nodes[key].params.get("field", "")) for key in input_nodes(project)]


def output_nodes(project: Project) -> list[str]:
    """The Output nodes in the order in which `forward` returns them."""
    nodes = project.main_network.nodes
    return sorted((key for key, node in nodes.items() if node.type == "Output"), key=natural)


class _Steps:
    """What the network does, in order: the nodes that lead to an Output, with their calls and inputs."""

    def __init__(self, analysis: Analysis) -> None:
        context = analysis.context
        self.context = context
        self.inputs = input_nodes(context.project)
        self.outputs = output_nodes(context.project)
        used = set(self.outputs).union(*(_ancestors(analysis, node) for node in self.outputs))
        self.nodes = [
            key for key in context.order if key in used and not isinstance(context.layers[key], (Input, Output))
        ]
        self.calls = {key: self._call(key) for key in self.nodes}

    def _call(self, key: str) -> Call:
        context = self.context
        specs = {}
        for port, edge in context.incoming[key].items():
            spec = context.spec(edge)
            if spec is not None:
                specs[port] = spec
        return context.layers[key].build(specs)

    def arguments(self, key: str) -> list[str]:
        """The names of the variables that a node reads, in the order of its ports."""
        edges = self.context.incoming[key]
        return [
            self.variable(edges[port.name].source_node, edges[port.name].source_port)
            for port in self.context.layers[key].inputs()
        ]

    def variable(self, key: str, port: str) -> str:
        """The name of the variable that holds what a port gives."""
        if len(self.context.layers[key].outputs()) == 1:
            return key
        name = f"{key}_{port}"
        while name in self.context.network.nodes:  # the variable of another node
            name += "_"
        return name

    def specs(self, key: str) -> list[TensorSpec]:
        measured = self.context.measured[key]
        return [measured.outputs[port.name] for port in self.context.layers[key].outputs()]


def _ancestors(analysis: Analysis, node: str) -> set[str]:
    import networkx as nx

    return set(nx.ancestors(analysis.context.graph, node))


def _head(name: str) -> str:
    title = comment(name).replace("\\", "/").replace('"', "'")
    return f'"""{title}\n\nMade with Netloom; needs PyTorch and nothing else.\n"""'


def _imports(steps: _Steps) -> str:
    text = "\n".join(_own_source(name) for name in _own_names(steps))
    lines = ["import math\n"] if "math." in text else []
    lines += ["import torch", "from torch import nn"]
    if "F." in text:
        lines.append("from torch.nn import functional as F")
    return "\n".join(lines)


def _own_modules(steps: _Steps) -> list[str]:
    return [_own_source(name) for name in _own_names(steps)]


def _own_names(steps: _Steps) -> list[str]:
    """The modules of builder.nn that the network uses, each after those that it uses itself."""
    names: list[str] = []
    for call in steps.calls.values():
        if "." not in call.target:
            for name in (*_own_needs(call.target), call.target):
                if name not in names:
                    names.append(name)
    return names


@cache
def _own_needs(name: str) -> tuple[str, ...]:
    import builder.nn

    used = {node.id for node in ast.walk(ast.parse(_own_source(name))) if isinstance(node, ast.Name)}
    needs = [other for other in builder.nn.__all__ if other in used and other != name]
    return tuple(dict.fromkeys(inner for need in needs for inner in (*_own_needs(need), need)))


@cache
def _own_source(name: str) -> str:
    import builder.nn

    text = inspect.getsource(getattr(builder.nn, name))
    return "\n".join(line.partition("  # type: ignore")[0] for line in text.splitlines())


def _class(project: Project, steps: _Steps) -> str:
    lines = ["class Main(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
    for key in steps.nodes:
        title = steps.context.network.nodes[key].title
        lines.append(_remark(f"        self.{key} = {steps.calls[key].source()}", comment(title)))
    lines += [
        f"        self.{key}.requires_grad_(False)"
        for key in steps.nodes
        if steps.context.network.nodes[key].frozen and steps.context.measured[key].parameters
    ]
    arguments = "".join(f", {key}: torch.Tensor" for key in steps.inputs)
    outputs = [steps.arguments(key)[0] for key in steps.outputs]
    result = "torch.Tensor" if len(outputs) == 1 else f"tuple[{', '.join(['torch.Tensor'] * len(outputs))}]"
    lines += ["", f"    def forward(self{arguments}) -> {result}:"]
    lines += [f"        # {key}: {steps.specs(key)[0]}" for key in steps.inputs]
    lines += [_step(steps, key) for key in steps.nodes]
    lines.append(f"        return {', '.join(outputs)}")
    return "\n".join(lines)


def _step(steps: _Steps, key: str) -> str:
    ports = steps.context.layers[key].outputs()
    results = ", ".join(steps.variable(key, port.name) for port in ports)
    shapes = ", ".join(str(spec) for spec in steps.specs(key))
    return _remark(f"        {results} = self.{key}({', '.join(steps.arguments(key))})", shapes)


def _remark(line: str, text: str) -> str:
    return f"{line}  # {text}" if text else line


def comment(text: str) -> str:
    """Free text made safe for one line of a comment."""
    return plain(text)[:100]
