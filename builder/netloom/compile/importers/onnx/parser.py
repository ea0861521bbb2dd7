"""Parsing of an ONNX file into a graph of plain values, with limited sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.onnx.external_data import read_external_data
from netloom.compile.importers.onnx.opsets import DOMAINS, with_functions_inlined, with_supported_opset
from netloom.core.text import plain

LIMIT = 2 * 2**30
MAX_OPERATORS = 20_000
MAX_INPUTS = 16
MAX_AXES = 8
MAX_LENGTH = 1_000_000
_FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.BFLOAT16,
}
_INTEGERS = {
    onnx.TensorProto.BOOL,
    *(onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.UINT16, onnx.TensorProto.INT16),
    *(onnx.TensorProto.UINT32, onnx.TensorProto.INT32, onnx.TensorProto.UINT64, onnx.TensorProto.INT64),
}


@dataclass(frozen=True)
class Operator:
    """One operator of the file, with its attributes as plain values."""

    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The graphs among the attributes, of loops and branches."""
        return tuple(value for value in self.attributes.values() if isinstance(value, Body))

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that the operator or its bodies read."""
        return (*self.inputs, *chain.from_iterable(body.reads for body in self.bodies))


@dataclass(frozen=True)
class Body:
    """The graph of a branch, or of one step of a loop. Its names differ from all others of the file."""

    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: dict[str, np.ndarray[Any, Any]]

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that its operators and outputs read."""
        return (*self.outputs, *chain.from_iterable(item.reads for item in self.operators))

    @property
    def reads_from_outside(self) -> tuple[str, ...]:
        """The tensors that it reads from the graph around it."""
        inside = {*self.inputs, *(key for item in with_inner(self.operators) for key in item.outputs)}
        inside.update(key for item in with_inner(self.operators) for body in item.bodies for key in body.inputs)
        return tuple(key for key in dict.fromkeys(self.reads) if key not in inside)


def with_inner(operators: Sequence[Operator]) -> Iterator[Operator]:
    """The operators, and those in their bodies."""
    for item in operators:
        yield item
        for body in item.bodies:
            yield from with_inner(body.operators)


@dataclass(frozen=True)
class InputInfo:
    """An input of the file; None is the length of a dynamic axis. `batch` is the axis of the batch."""

    name: str
    shape: tuple[int | None, ...]
    is_integer: bool
    batch: int = 0


@dataclass(frozen=True)
class Graph:
    """The graph of a file with its constant tensors by name."""

    opset: int
    name: str
    operators: tuple[Operator, ...]
    inputs: tuple[InputInfo, ...]
    outputs: tuple[str, ...]
    tensors: dict[str, np.ndarray[Any, Any]]
    preprocess: str = ""


def text(value: str | bytes) -> str:
    """A name from the file as text; protobuf returns names with invalid UTF-8 as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def short(name: str) -> str:
    """A name from the file for a message, shortened and on one line."""
    return plain(text(name))[:60]


def read(content: bytes, folder: Path | None = None) -> Graph:
    """The graph of a file, with the operators of its functions in their places, and the weights in other files of its
    `folder`; without a folder, no other files are read.

    Raises:
        UnreadableModelError: The file is damaged, too large, or needs other files.
    """
    if len(content) > LIMIT:
        raise UnreadableModelError("The file is larger than 2 GiB, the limit of ONNX.")
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception:  # the exception classes of protobuf differ between its implementations
        raise UnreadableModelError("This is not an ONNX file, or it is damaged; export it again.") from None
    graph = model.graph
    if not graph.node and not graph.output:
        raise UnreadableModelError("The file contains no ONNX network; export it again.")
    if len(graph.node) > MAX_OPERATORS:
        raise UnreadableModelError(
            f"The network has {len(graph.node):,} operators; at most {MAX_OPERATORS:,} are supported."
        )
    if graph.sparse_initializer:
        raise UnreadableModelError(
            "The weights of the file are sparse tensors, which are not supported; export it with dense tensors."
        )
    if folder is not None:
        read_external_data(model, folder)
    model, opset = with_supported_opset(model)
    graph = with_functions_inlined(model).graph
    tensors = {text(item.name): array(item) for item in graph.initializer}
    # Older files list weights among the inputs as well (IR version 3 and earlier).
    inputs = [_entry(item) for item in graph.input if text(item.name) not in tensors]
    if not inputs or not graph.output:
        raise UnreadableModelError("The network has no input or no output, so there is nothing to import.")
    if max(len(inputs), len(graph.output)) > MAX_INPUTS:
        raise UnreadableModelError(
            f"This network has more than {MAX_INPUTS} inputs or outputs, which is too many to import."
        )
    scopes = count(1)
    operators = tuple(_operator(item, number, {}, scopes) for number, item in enumerate(graph.node))
    inner = list(with_inner(operators))
    if len(inner) > MAX_OPERATORS:
        raise UnreadableModelError(
            f"The network has {len(inner):,} operators; at most {MAX_OPERATORS:,} are supported."
        )
    tensors |= {key: value for item in inner for body in item.bodies for key, value in body.tensors.items()}
    return Graph(
        opset,
        plain(text(graph.name))[:200],
        operators,
        tuple(inputs),
        tuple(text(item.name) for item in graph.output),
        tensors,
        next((text(item.value) for item in model.metadata_props if item.key == "preprocess"), ""),
    )


def array(tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
    """A tensor of the file as an array.

    Raises:
        UnreadableModelError: It is in another file, has an unsupported data type, or does not match its shape.
    """
    name = short(tensor.name)
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise UnreadableModelError(
            f"The weights {name!r} are in another file, which is not read; export the network as a single file "
            "(external_data=False)."
        )
    if tensor.data_type not in _FLOATS | _INTEGERS:
        raise UnreadableModelError(f"The tensor {name!r} has a data type that is not supported; export it as float32.")
    dims = list(tensor.dims)
    # Checked before NumPy allocates memory for the claimed shape
    if len(dims) > MAX_AXES or any(not 0 <= size <= 2**40 for size in dims) or math.prod(dims) > LIMIT:
        raise UnreadableModelError(
            f"The tensor {name!r} has an impossible shape; the file is damaged, so export it again."
        )
    try:
        values = np.asarray(numpy_helper.to_array(tensor))
    except Exception:
        raise UnreadableModelError(
            f"The tensor {name!r} has a different number of values than its shape; the file is damaged."
        ) from None
    if tensor.data_type in _FLOATS:
        return values.astype(np.float32)
    return values if values.dtype == bool else values.astype(np.int64)


def _entry(item: onnx.ValueInfoProto) -> InputInfo:
    name, kind = short(item.name), item.type.tensor_type
    if not item.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise UnreadableModelError(f"The input {name!r} has no shape; export the network with example inputs.")
    if kind.elem_type not in _FLOATS | _INTEGERS:
        raise UnreadableModelError(
            f"The input {name!r} holds neither real numbers nor integers, so it cannot be imported."
        )
    shape: list[int | None] = []
    for axis in kind.shape.dim:
        fixed = axis.HasField("dim_value")
        if fixed and not 1 <= axis.dim_value <= MAX_LENGTH:
            raise UnreadableModelError(
                f"The input {name!r} has an axis of length {axis.dim_value}; 1 to {MAX_LENGTH:,} are supported."
            )
        shape.append(axis.dim_value if fixed else None)
    if not 2 <= len(shape) <= 6:
        raise UnreadableModelError(
            f"The input {name!r} has {len(shape)} axes; the batch axis and one to five more are supported."
        )
    return InputInfo(text(item.name), tuple(shape), kind.elem_type in _INTEGERS)


def _operator(node: onnx.NodeProto, number: int, scope: Mapping[str, str], scopes: Iterator[int]) -> Operator:
    """An operator; `scope` has the unique names of tensors of the bodies around it, `scopes` numbers bodies."""
    is_standard = node.domain in DOMAINS
    attributes: dict[str, Any] = {}
    for attribute in node.attribute if is_standard else ():
        is_graph = attribute.type == onnx.AttributeProto.GRAPH
        value = _body(attribute.g, scope, scopes) if is_graph else _plain(attribute)
        attributes[text(attribute.name)] = value
    kind = text(node.op_type) if is_standard else f"{text(node.domain)}.{text(node.op_type)}"
    inputs, outputs = (tuple(scope.get(name, name) for name in map(text, names)) for names in (node.input, node.output))
    return Operator(kind, text(node.name) or f"{kind}_{number}", inputs, outputs, attributes)


def _body(graph: onnx.GraphProto, scope: Mapping[str, str], scopes: Iterator[int]) -> Body:
    """A graph inside an operator. Two branches may use the same names; a number distinguishes their tensors."""
    defined = [item.name for item in (*graph.input, *graph.initializer)]
    defined += [name for node in graph.node for name in node.output if name]
    suffix = f"\0{next(scopes)}"  # no name of a file has it
    inner = {**scope, **{text(name): f"{text(name)}{suffix}" for name in defined}}
    return Body(
        tuple(_operator(node, number, inner, scopes) for number, node in enumerate(graph.node)),
        tuple(inner[text(item.name)] for item in graph.input),
        tuple(inner.get(text(item.name), text(item.name)) for item in graph.output),
        {inner[text(item.name)]: array(item) for item in graph.initializer},
    )


def _plain(attribute: onnx.AttributeProto) -> Any:
    kind = attribute.type
    if kind == onnx.AttributeProto.TENSOR:
        return array(attribute.t)
    if kind == onnx.AttributeProto.STRING:
        return text(attribute.s)
    if kind == onnx.AttributeProto.STRINGS:
        return [text(value) for value in attribute.strings]
    if kind == onnx.AttributeProto.INT:
        return int(attribute.i)
    if kind == onnx.AttributeProto.FLOAT:
        return float(attribute.f)
    if kind == onnx.AttributeProto.INTS:
        return [int(value) for value in attribute.ints]
    if kind == onnx.AttributeProto.FLOATS:
        return [float(value) for value in attribute.floats]
    return None
