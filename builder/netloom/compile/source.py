"""A network as Python source that reads as if a person wrote it.

Nothing of a document enters the code but checked identifiers, literals, and titles as comments in printable characters.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from typing import Any

from netloom.compile.network_classes import REPEAT, SHARED, NetworkClass, classes, used
from netloom.core.text import plain
from netloom.document import Project
from netloom.layers.author_code import MARK
from netloom.validation import Analysis, Context, Issue, analyse


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
    made = classes(analysis)
    own = _own_names(made)
    codes = _codes(made)
    parts = [_head(project.name, bool(codes)), _imports(own, codes), *codes, *map(_own_source, own), *map(_class, made)]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


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
    title = comment(name).replace("\\", "/").replace('"', "'")
    needs = "contains Python code by its author" if has_code else "needs only PyTorch"
    return f'"""{title}\n\nMade with Netloom; {needs}.\n"""'


def _codes(made: list[NetworkClass]) -> list[str]:
    """What authors wrote themselves, each once, under a mark that says so."""
    found = (call.code for network in made for call in network.calls[0].values() if call.code)
    return [f"{MARK}\n{code}" for code in dict.fromkeys(found)]


def _imports(own: list[str], codes: list[str]) -> str:
    text = "\n".join((*map(_own_source, own), *codes))
    lines = ["import math\n"] if re.search(r"\bmath\.\w", text) else []
    lines += ["import torch", "from torch import nn"]
    if re.search(r"\bF\.\w", text):
        lines.append("from torch.nn import functional as F")
    return "\n".join(lines)


def _own_names(made: list[NetworkClass]) -> list[str]:
    """The modules of netloom.nn that the networks use, each after those that it uses itself."""
    inner = {network.name for network in made}
    names: list[str] = []
    for network in made:
        wanted = []
        for key in network.nodes:
            call = network.calls[0][key]
            target = call.target.removesuffix(SHARED)
            if target not in inner and "." not in target and not call.code:
                wanted.append(target)
            if any(place == REPEAT for place, _ in network.calls[0][key].args) and target in inner:
                wanted.append("Repeated")
            if network.context.network.nodes[key].shares:
                wanted.append("tie")
            if network.context.network.nodes[key].frozen and _has_statistics(network.context, key):
                wanted.append("keep_statistics")
        for name in wanted:
            names += [other for other in (*_own_needs(name), name) if other not in names]
    return names


@cache
def _own_needs(name: str) -> tuple[str, ...]:
    import netloom.nn

    used = {node.id for node in ast.walk(ast.parse(_own_source(name))) if isinstance(node, ast.Name)}
    needs = [other for other in netloom.nn.__all__ if other in used and other != name]
    return tuple(dict.fromkeys(inner for need in needs for inner in (*_own_needs(need), need)))


@cache
def _own_source(name: str) -> str:
    import netloom.nn

    text = inspect.getsource(getattr(netloom.nn, name))
    return "\n".join(line.partition("  # type: ignore")[0] for line in text.splitlines())


def _class(made: NetworkClass) -> str:
    context, nodes = made.context, made.context.network.nodes
    built = []
    for key in made.nodes:
        built.append(_remark(f"        self.{key} = {_construction(made, key)}", comment(nodes[key].title)))
    built += [f"        tie(self.{key}, self.{nodes[key].shares})" for key in made.nodes if nodes[key].shares]
    built += [
        f"        self.{key}.requires_grad_(False)"
        for key in made.nodes
        if nodes[key].frozen and context.measured[key].parameters
    ]
    still = [key for key in made.nodes if nodes[key].frozen and _has_statistics(context, key)]
    keeping = [f"        keep_statistics(self.{key})" for key in still]
    arguments = "".join(f", {name}: {_annotation(column)}" for name, column in made.arguments.items())
    inputs, outputs = context.network.ports("Input"), context.network.ports("Output")
    taken = "".join(f", {key}: torch.Tensor" for key in inputs)
    given = [_arguments(context, key)[0] for key in outputs]
    result = "torch.Tensor" if len(given) == 1 else f"tuple[{', '.join(['torch.Tensor'] * len(given))}]"
    lines = [
        f"class {made.name}(nn.Module):",
        f"    def __init__(self{arguments}) -> None:",
        "        super().__init__()",
        *built,
        *keeping,
        "",
        *(_train(made.name, keeping) if keeping else ()),
        f"    def forward(self{taken}) -> {result}:",
        *(f"        # {key}: {_shapes(made, key)}" for key in inputs if _shapes(made, key)),
        *(_step(made, key) for key in made.nodes),
        f"        return {', '.join(given)}",
    ]
    return "\n".join(lines)


def _train(name: str, keeping: list[str]) -> list[str]:
    """The method that turns training on and off, which leaves the statistics of frozen parts alone."""
    head = f'    def train(self, mode: bool = True) -> "{name}":'
    return [head, "        super().train(mode)", *keeping, "        return self", ""]


def _has_statistics(context: Context, key: str) -> bool:
    """Whether a node, or any inside it, counts running statistics while it trains."""
    if key in context.inner:
        inner = context.inner[key]
        return any(_has_statistics(inner, other) for other in used(inner))
    import torch

    with torch.device("meta"):
        made = context.layers[key].build(context.specs(key)).build()
    return any(name.endswith("running_mean") for name, _ in made.named_buffers())


def _construction(made: NetworkClass, key: str) -> str:
    target = made.calls[0][key].target
    written = made.written(key)
    repeat = next((code for place, code in written if place == REPEAT), None) if _is_network(made, key) else None
    parts = [
        code if isinstance(place, int) else f"{place}={code}"
        for place, code in written
        if repeat is None or place != REPEAT
    ]
    one = f"{target.removesuffix(SHARED)}({', '.join(parts)})"
    if repeat is None:
        return one
    return f"Repeated([{one}], {repeat})" if target.endswith(SHARED) else f"Repeated([{one} for _ in range({repeat})])"


def _is_network(made: NetworkClass, key: str) -> bool:
    return key in made.context.inner


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
    """The name of the variable that holds what a port gives."""
    if len(context.layers[key].outputs()) == 1:
        return key
    name = f"{key}_{port}"
    while name in context.network.nodes:  # the variable of another node
        name += "_"
    return name


def _step(made: NetworkClass, key: str) -> str:
    context = made.context
    results = ", ".join(_variable(context, key, port.name) for port in context.layers[key].outputs())
    line = f"        {results} = self.{key}({', '.join(_arguments(context, key))})"
    return _remark(line, _shapes(made, key))


def _shapes(made: NetworkClass, key: str) -> str:
    """The shapes that a node gives, where they are the same in all uses of the network."""
    found = {
        ", ".join(str(use.measured[key].outputs[port.name]) for port in use.layers[key].outputs()) for use in made.uses
    }
    return found.pop() if len(found) == 1 else ""


def _remark(line: str, text: str) -> str:
    return f"{line}  # {text}" if text else line


def comment(text: str) -> str:
    """Free text made safe for one line of a comment."""
    return plain(text)[:100]
