"""Parsing of an archive's JSON into a program of plain values, in which every reference has been checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.torch_export.archive import Archive, whole
from netloom.compile.importers.torch_export.nested_graphs import MAX_NODES, inlined

MAX_INPUTS = 16
MAX_LENGTH = 1_000_000
MAX_DEPTH = 64
WHOLE = frozenset({1, 2, 3, 4, 5, 12})
FLOATS = frozenset({6, 7, 8, 13})
ATEN = "torch.ops.aten."
_AGAIN = "save it again with torch.export.save"


@dataclass(frozen=True)
class Reference:
    """A reference to an input of the program or to the output of an earlier operator."""

    name: str


@dataclass(frozen=True)
class Module:
    """A call of a module in the source: its path, a key of the call, and its class."""

    path: str
    call: str
    kind: str

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2]


@dataclass(frozen=True)
class Body:
    """The graph of one step of a loop: its inputs are the states, a step of each sequence, and the other tensors; its
    outputs are the next states and the results. No other graph has its names."""

    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Operator:
    """One operator with its arguments by name: plain values, references, and lists of them.

    That of a loop over the steps of its `sequences` has a `body`.
    """

    target: str
    name: str
    args: dict[str, Any]
    outputs: tuple[str | tuple[str, ...], ...]
    stack: tuple[Module, ...] = ()
    body: Body | None = None

    @property
    def type(self) -> str:
        """The operator without its overload: torch.ops.aten.add.Tensor is add."""
        text = self.target.removeprefix(ATEN)
        return text.split(".")[0] if text != self.target else self.target

    def names(self) -> list[str]:
        """The names of all outputs."""
        return [name for output in self.outputs for name in ((output,) if isinstance(output, str) else output)]

    def reads(self) -> list[str]:
        """The names of all values among the arguments."""
        return [ref.name for value in self.args.values() for ref in _refs(value)]


@dataclass(frozen=True)
class InputInfo:
    """An input, with the lengths of its axes at export and whether each is dynamic.

    `batch_axis` is the axis of the batch if the program's operators show it.
    """

    name: str
    shape: tuple[int, ...]
    dynamic: tuple[bool, ...]
    is_integer: bool
    batch_axis: int | None = None

    @property
    def batch(self) -> int:
        """The batch axis: the only dynamic axis, or the first if none or several are dynamic."""
        if self.batch_axis is not None:
            return self.batch_axis
        return self.dynamic.index(True) if self.dynamic.count(True) == 1 else 0


@dataclass(frozen=True)
class Program:
    """A parsed program. `weights` maps values of the graph to the names of tensors in the module.

    `buffers` are those among them that are not parameters, and `frozen` the parameters without a gradient. `values` are
    the inputs that are not tensors, and `widths` the length of the last axis of each tensor.
    """

    operators: tuple[Operator, ...]
    inputs: tuple[InputInfo, ...]
    outputs: tuple[str, ...]
    weights: dict[str, str]
    buffers: frozenset[str]
    values: dict[str, Any] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()


def _refs(value: Any) -> list[Reference]:
    if isinstance(value, Reference):
        return [value]
    return [ref for part in value for ref in _refs(part)] if isinstance(value, list) else []


def with_inner(operators: Iterable[Operator]) -> Iterator[Operator]:
    """The operators, and those in the bodies of loops."""
    for item in operators:
        yield item
        if item.body is not None:
            yield from with_inner(item.body.operators)


def parse(archive: Archive, *, unrolls: bool = True) -> Program:
    """Parse the program of an archive, with loops as operators that have a body unless it `unrolls` them.

    Raises:
        UnreadableModelError: The program does not have the format of torch.export, or is too large.
    """
    try:
        return _program(archive, unrolls)
    except UnreadableModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError):
        raise UnreadableModelError(f"The program does not have the format of torch.export; {_AGAIN}.") from None


def _program(archive: Archive, unrolls: bool) -> Program:
    module = archive.model["graph_module"]
    graph, signature = inlined(module["graph"], unrolls=unrolls), module["signature"]
    if len(graph["nodes"]) > MAX_NODES:
        raise UnreadableModelError(
            f"This program has {len(graph['nodes']):,} operators; at most {MAX_NODES:,} are supported."
        )
    weights: dict[str, str] = {}
    buffers: set[str] = set()
    values: dict[str, Any] = {}
    inputs: list[InputInfo] = []
    for spec in signature["input_specs"]:
        # A union of the schema is a JSON object with one key.
        ((kind, body),) = spec.items()
        if kind == "user_input":
            argument = body["arg"]
            if "as_tensor" in argument:
                inputs.append(_entry(str(argument["as_tensor"]["name"]), graph))
            continue
        if kind == "constant_input":
            values[str(body["name"])] = _value(body["value"])
            continue
        key = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}.get(
            kind
        )
        if key is None:
            raise UnreadableModelError(f"The program contains a Python object ({quoted(kind)}), which is never loaded.")
        name, weight_name = str(body["arg"]["name"]), str(body[key])
        weights[name] = weight_name
        # Buffers and constant tensors of the module are not trainable.
        if kind != "parameter":
            buffers.add(name)
    outputs = []
    for spec in signature["output_specs"]:
        ((kind, body),) = spec.items()
        if kind == "user_output" and "as_tensor" in body["arg"]:
            outputs.append(str(body["arg"]["as_tensor"]["name"]))
        elif kind in ("buffer_mutation", "user_input_mutation"):
            raise UnreadableModelError("The program modifies its buffers or inputs; export it after model.eval().")
    if not inputs or not outputs:
        raise UnreadableModelError("The program has no tensor as input or output, so there is nothing to import.")
    if max(len(inputs), len(outputs)) > MAX_INPUTS:
        raise UnreadableModelError(
            f"This program has more than {MAX_INPUTS} inputs or outputs, which is too many to import."
        )
    operators = tuple(_operator(node) for node in graph["nodes"])
    _ordered(operators, {*weights, *values, *(entry.name for entry in inputs)})
    learned = [name for name in weights if name not in buffers]
    frozen = frozenset(name for name in learned if graph["tensor_values"][name].get("requires_grad") is False)
    return Program(
        operators, tuple(inputs), tuple(outputs), weights, frozenset(buffers), values, _widths(graph), frozen
    )


def _widths(graph: dict[str, Any]) -> dict[str, int]:
    sizes = {str(name): meta["sizes"] for name, meta in graph["tensor_values"].items()}
    return {
        name: dimensions[-1]["as_int"]
        for name, dimensions in sizes.items()
        if dimensions and "as_int" in dimensions[-1]
    }


def _ordered(operators: tuple[Operator, ...], constant_values: set[str]) -> None:
    """Refuse a program in which an operator reads a later value, or a name is defined twice.

    Raises:
        UnreadableModelError: The program is refused.
    """
    for item in operators:
        for name in item.names():
            if name in constant_values:
                raise UnreadableModelError(
                    f"The program computes {quoted(name)} twice; the file is damaged, so {_AGAIN}."
                )
            constant_values.add(name)
    available = constant_values - {name for item in operators for name in item.names()}
    for item in operators:
        for name in item.reads():
            if name not in available:
                raise UnreadableModelError(
                    f"{quoted(item.name)} reads {quoted(name)}, which no earlier operator computes; {_AGAIN}."
                )
        available.update(item.names())


def _entry(name: str, graph: dict[str, Any]) -> InputInfo:
    meta = graph["tensor_values"][name]
    shape, dynamic = [], []
    for size in meta["sizes"]:
        expression = size.get("as_expr")
        dynamic.append(expression is not None)
        shape.append(whole((expression or {}).get("hint") or 0) if expression is not None else whole(size))
    if meta["dtype"] not in WHOLE | FLOATS:
        raise UnreadableModelError(f"The input {quoted(name)} has a data type that is not supported.")
    if not 2 <= len(shape) <= 6:
        raise UnreadableModelError(
            f"The input {quoted(name)} has {len(shape)} axes; the batch axis and one to five more are supported."
        )
    if any(not 1 <= size <= MAX_LENGTH for size, is_free in zip(shape, dynamic, strict=True) if not is_free):
        raise UnreadableModelError(
            f"The input {quoted(name)} has an axis of an impossible length; 1 to {MAX_LENGTH:,} are supported."
        )
    return InputInfo(name, tuple(shape), tuple(dynamic), meta["dtype"] in WHOLE)


def _operator(node: dict[str, Any]) -> Operator:
    args = {str(item["name"]): _value(item["arg"]) for item in node["inputs"]}
    name = str(node.get("name") or "")
    return Operator(
        str(node["target"]),
        name,
        args,
        tuple(output_name for item in node["outputs"] if (output_name := _output_names(item)) is not None),
        _stack(str(node.get("metadata", {}).get("nn_module_stack", ""))),
        _body(node["body"]) if "body" in node else None,
    )


def _body(body: dict[str, Any]) -> Body:
    return Body(tuple(map(_operator, body["nodes"])), tuple(body["inputs"]), tuple(body["outputs"]))


def _output_names(item: dict[str, Any]) -> str | tuple[str, ...] | None:
    ((kind, body),) = item.items()
    if kind == "as_tensor":
        return str(body["name"])
    if kind == "as_tensors":
        return tuple(str(part["name"]) for part in body)
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return str(body["as_name"]) if "as_name" in body else None
    return None


def _value(arg: dict[str, Any]) -> Any:
    """An argument as a plain value."""
    ((kind, body),) = arg.items()
    if kind == "as_none":
        return None
    if kind in ("as_int", "as_float", "as_bool", "as_string", "as_scalar_type"):
        if not isinstance(body, int | float | str | bool):
            raise ValueError(kind)
        return float(body) if kind == "as_float" else body
    if kind in ("as_ints", "as_floats", "as_bools"):
        return [float(part) if kind == "as_floats" else whole(int(part)) for part in body]
    if kind == "as_tensor":
        return Reference(str(body["name"]))
    if kind == "as_tensors":
        return [Reference(str(part["name"])) for part in body]
    if kind == "as_optional_tensors":
        return [Reference(str(part["as_tensor"]["name"])) if "as_tensor" in part else None for part in body]
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return _symbol(body)
    if kind in ("as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [_symbol(part) for part in body]
    if kind in ("as_device", "as_layout", "as_memory_format"):
        return None
    return {"unknown": kind}


def _symbol(body: dict[str, Any]) -> Any:
    if "as_name" in body:
        return Reference(str(body["as_name"]))
    ((_, value),) = body.items()
    if type(value) not in (int, float, bool):
        raise ValueError("symbol")
    return value


def _stack(text: str) -> tuple[Module, ...]:
    """The stack of module calls from a text `key,path,class;…`, without the outermost module, which has no path."""
    modules = []
    for part in text.split(";")[:MAX_DEPTH]:
        key, _, remainder = part.partition(",")
        path, _, kind = remainder.rpartition(",")
        if key.startswith("L__self__") and path:
            modules.append(Module(path, key, kind))
    return tuple(modules)
