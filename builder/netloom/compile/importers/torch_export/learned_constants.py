"""Layers for values that a program computes from its parameters alone, such as a position bias, so that they train.

Constant folding computes such a value as well; its layers are built only when a layer reads it. A value has no batch
axis in the program, so that its layers work on a tensor with the batch as an additional first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import owner
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.reshaping import reshape
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Learned,
    Tensor,
    UnsupportedOperatorError,
)
from netloom.compile.importers.torch_export.operators.table import OPERATORS, AtenCall
from netloom.compile.importers.torch_export.program import Module

# Operators that return a parameter as a value that does not train
_STOPPING = frozenset({"detach"})
# Arguments that stay constants, because they become weights of the layer
_WEIGHTS = frozenset({"weight", "bias", "running_mean", "running_var"})
_AXES = frozenset({"dim", "dim0", "dim1", "start_dim", "end_dim", "axis", "axis0", "axis1"})
# Operators on (N, C, …) or (N, heads, T, D), whose first axis is the batch, and their inputs
_PER_EXAMPLE = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "batch_norm"), ("input",)),
    "scaled_dot_product_attention": ("query", "key", "value"),
}
# Elementwise operators, whose values are aligned at their last axes
_BROADCASTING = frozenset("add sub rsub mul div pow maximum minimum where addcmul addcdiv eq lt le gt ge ne".split())
# Operators that reduce all axes if the program names none
# Operators that add axes in front of a value if the list in this argument is longer than its shape
_REPEATING = {"expand": "size", "repeat": "repeats"}
_REDUCTIONS = frozenset("sum mean amax amin prod logsumexp norm linalg_vector_norm var std".split())
_SHAPES = frozenset({"size", "shape"})
# Operators whose axis is 0 if the program does not set it
_DEFAULT_AXES = {
    **dict.fromkeys("cat stack unbind split split_with_sizes chunk slice".split(), "dim"),
    "flatten": "start_dim",
}


@dataclass
class LearnedConstants:
    """The values that a program computes from parameters; `trigger` is an input, which starts their layers."""

    builder: GraphBuilder
    trigger: Callable[[], Tensor]
    # Constants that layers read when they are built, which is after all writes into their memory
    read: list[Constant] = field(default_factory=list)

    def check_unread(self, written: Constant) -> None:
        """Refuse to write into a constant that the layers of a learned value still read.

        Raises:
            UnsupportedOperatorError: There is such a value.
        """
        if any(np.may_share_memory(written.array, value.array) for value in self.read):
            raise UnsupportedOperatorError("it changes a constant after its use; use torch.where or torch.cat instead")

    def mark(self, value: Constant) -> Constant:
        """A parameter as a value that trains, also if it is a single number."""
        return replace(value, learned=Learned(value.array, cache(lambda: self._leaf(value))))

    def results(self, kind: str, name: str, args: Mapping[str, Any], results: Sequence[Any]) -> list[Any]:
        """The folded results of an operator, which train if one of its arguments does."""
        arguments = [part for value in args.values() for part in _flattened(value)]
        trains = any(isinstance(part, Constant) and _trains(part) for part in arguments)
        if not trains:
            values = [part.array for part in _flattened(list(results)) if isinstance(part, Constant)]
            self.builder.untrained += [array for array in values if array.dtype == np.float32 and array.ndim > 1]
        if kind not in OPERATORS or not trains:
            return list(results)
        self.read += [part for part in arguments if isinstance(part, Constant) and not _trains(part)]
        build = cache(lambda: self._build(kind, name, args))

        def mark(value: Any, *path: int) -> Any:
            if isinstance(value, list):
                return [mark(part, *path, index) for index, part in enumerate(value)]
            if not isinstance(value, Constant) or value.array.dtype != np.float32:
                return value
            if kind in _STOPPING:
                value = Constant(value.array)
            elif self._is_view(value):
                return value
            return replace(value, learned=Learned(value.array, lambda: _picked(build(), path)))

        return [mark(value, index) for index, value in enumerate(results)]

    def trained(self, kind: str, name: str, args: Mapping[str, Any], result: Constant) -> Constant:
        """The result of an operator on constants, which trains if one of its arguments does."""
        (value,) = self.results(kind, name, args, [result])
        return value if isinstance(value, Constant) else result

    def _is_view(self, value: Constant) -> bool:
        """Whether a value is a part of a parameter, which becomes a slice of the whole parameter."""
        table = self.builder.weight_tables.get(value.weight)
        return table is not None and bool(owner({value.weight: table}, value.array))

    def _build(self, kind: str, name: str, args: Mapping[str, Any]) -> Sequence[Any]:
        looked_up = self._lookup(kind, name, args)
        if looked_up is not None:
            return [looked_up]
        if kind in _PER_EXAMPLE:
            return self._per_example(kind, name, args)
        data = {key: value for key, value in args.items() if key not in _WEIGHTS}
        # The input of a layer with weights may itself be a constant.
        everything = len(data) < len(args)
        converted = {key: self._tensors(value, everything) for key, value in data.items()}
        if kind in _REDUCTIONS and not args.get("dim") and isinstance(args["self"], Constant):
            args = {**args, "dim": list(range(len(args["self"].shape)))}
        if kind in _BROADCASTING:
            converted = _aligned(args, converted)
        elif kind in _REPEATING:
            converted["self"] = _with_rank(converted["self"], len(args[_REPEATING[kind]]) + 1)
        call = AtenCall(kind, name, _with_batch(kind, {**args, **converted}, data), self.builder, 0, (True,) * 16)
        return OPERATORS[kind](call)

    def _per_example(self, kind: str, name: str, args: Mapping[str, Any]) -> Sequence[Any]:
        """The layers of an operator such as a convolution if its constants are those of a single example (1, C, …)."""
        examples = {}
        for key in _PER_EXAMPLE[kind]:
            data = args.get(key)
            if not isinstance(data, Constant) or len(data.shape) < 2 or data.shape[0] != 1:
                raise UnsupportedOperatorError("it is not a single example")
            examples[key] = reshape(self.builder, self._tensors(data, True), [BATCH, *data.shape[1:]], True)
        call = AtenCall(kind, name, {**args, **examples}, self.builder, 0, (True,) * 16)
        return [
            replace(result, axes=(result.axes[0], (), *result.axes[1:])) if isinstance(result, Tensor) else result
            for result in OPERATORS[kind](call)
        ]

    def _tensors(self, value: Any, everything: bool) -> Any:
        if isinstance(value, list):
            return [self._tensors(part, everything) for part in value]
        if not isinstance(value, Constant) or not (everything or _trains(value)):
            return value
        learned = value.learned_values
        return learned.build() if learned is not None else self._leaf(value)

    def _leaf(self, value: Constant) -> Tensor:
        """A parameter, or another constant, as a node."""
        trigger = self.trigger()
        like = Tensor(trigger.ref, trigger.spec, ((0,), *((),) * len(value.shape)))
        if value.weight and value.array.size == 1:
            node = self.builder.add_parameter(value, like)
            return reshape(self.builder, node, [BATCH, *value.shape], True)
        return self.builder.add_constant(Constant(value.array[None], value.weight), like, value.weight)

    def _lookup(self, kind: str, name: str, args: Mapping[str, Any]) -> Tensor | None:
        """Rows or columns of a parameter at constant indices, such as relative positions, as an Embedding layer."""
        table, indices = args.get("weight" if kind == "embedding" else "self"), args.get("indices")
        columns = False
        if kind == "index" and isinstance(indices, list):
            columns = len(indices) == 2 and indices[0] is None
            indices = indices[-1] if columns or len(indices) == 1 else None
        if kind not in ("embedding", "index") or not isinstance(table, Constant) or not isinstance(indices, Constant):
            return None
        whole = self.builder.weight_tables.get(table.weight)
        if whole is None or whole.shape != table.shape or len(whole.shape) != 2 or indices.array.dtype != np.int64:
            return None
        values = table.array.T if columns else table.array
        rows = np.where(indices.array < 0, indices.array + len(values), indices.array).reshape(1, -1)
        trigger = self.trigger()
        like = Tensor(trigger.ref, trigger.spec, ((0,), ()))
        positions = self.builder.add_constant(Constant(rows), like, integer=True)
        if positions.axes != ((0,), (1,)):
            raise UnsupportedOperatorError("it looks up a single row")
        params = {"vocabulary": len(values), "dim": values.shape[1], "weight": table.weight}
        result = self.builder.add_layer("Embedding", positions, name, weights={"weight": values}, **params)
        looked_up = reshape(self.builder, result, [BATCH, *indices.shape, values.shape[1]], True)
        batch, *other_axes, last = looked_up.axes
        return replace(looked_up, axes=(batch, last, *other_axes)) if columns else looked_up


def merge_shared(builder: GraphBuilder, owners: dict[str, tuple[Module, ...]], trigger: Tensor) -> None:
    """Let modules that read the same parameter, such as relative positions, read one node outside of them.

    Networks of repeated modules can share weights as a whole only.
    """
    for key in [key for key, node in builder.nodes.items() if node.type == "Learned" and node.shares is None]:
        copies = [copy_key for copy_key, node in builder.nodes.items() if node.type == "Learned" and node.shares == key]
        stacks = [owners.get(copy_key, ()) for copy_key in (key, *copies)]
        if len(set(stacks)) == 1:
            continue
        owners[key] = tuple(
            first for first, *further in zip(*stacks, strict=False) if further.count(first) == len(further)
        )
        builder.reconnect(key, "in", trigger.ref)
        for reader, ports in [(reader, dict(builder.sources[reader])) for reader in builder.nodes]:
            for port, ref in ports.items():
                if ref in copies:
                    builder.reconnect(reader, port, key)


def _trains(value: Constant) -> bool:
    return bool(value.weight) or value.learned_values is not None


def _flattened(value: Any) -> list[Any]:
    return [part for item in value for part in _flattened(item)] if isinstance(value, list) else [value]


def _picked(results: Any, path: tuple[int, ...]) -> Tensor:
    for index in path:
        results = results[index]
    if not isinstance(results, Tensor):
        raise UnsupportedOperatorError("it is not computed from a parameter")
    return results


def _aligned(args: Mapping[str, Any], converted: dict[str, Any]) -> dict[str, Any]:
    """The tensors with axes of length 1 behind the batch, so that all values of an elementwise operator have the same
    number of axes: (N, D) beside a constant (T, T, D) becomes (N, 1, 1, D)."""
    rank = max(len(value.shape) for value in args.values() if isinstance(value, Constant))
    return {
        key: _with_rank(value, rank + 1) if isinstance(value, Tensor) else value for key, value in converted.items()
    }


def _with_rank(value: Tensor, rank: int) -> Tensor:
    """A tensor with axes of length 1 between its batch and its other axes, so that it has `rank` of them."""
    return replace(value, axes=(value.axes[0], *((),) * (rank - value.rank), *value.axes[1:]))


def _with_batch(kind: str, args: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for tensors with the batch as an additional first axis."""
    shifted = {name: _of_one_example(value) for name, value in args.items()}
    if kind in _DEFAULT_AXES:
        shifted.setdefault(_DEFAULT_AXES[kind], 0)
    for name, value in shifted.items():
        if name in _AXES or (name == "dims" and kind != "permute"):
            shifted[name] = [_behind(axis) for axis in value] if isinstance(value, list) else _behind(value)
        elif name == "dims":
            data = original["self"]
            shifted[name] = [0, *(axis % len(data.shape) + 1 for axis in value)]
        elif name in _SHAPES and isinstance(value, list):
            shifted[name] = [BATCH, *value]
        elif name == "repeats" and isinstance(value, list):
            shifted[name] = [1, *value]
        elif name == "indices" and isinstance(value, list):
            shifted[name] = [None, *value]
    return shifted


def _of_one_example(value: Any) -> Any:
    """Lengths and repetitions for a single example: constants have the length 1 in place of the batch."""
    if isinstance(value, list):
        return [_of_one_example(part) for part in value]
    return value // BATCH if type(value) is int and value and value % BATCH == 0 else value


def _behind(axis: Any) -> Any:
    return axis + 1 if type(axis) is int and axis >= 0 else axis
