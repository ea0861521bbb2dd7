"""Constant folding: operators with constant inputs are computed by PyTorch during the import.

Only the operators listed here may run, so that a file cannot call others.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import contiguous_rows
from netloom.compile.importers.layer_graph.values import BATCH, Constant, UnsupportedOperatorError
from netloom.compile.importers.torch_export.archive import KINDS

MAX_SIZE = 2**27
_CREATION = (
    "arange zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full scalar_tensor eye linspace "
    "triu_indices tril_indices hann_window hamming_window blackman_window bartlett_window kaiser_window"
)
_VIEWS = (
    "view reshape _unsafe_view flatten unflatten squeeze unsqueeze permute transpose t movedim select slice narrow cat "
    "stack expand expand_as repeat index_select gather flip roll tril triu alias clone contiguous detach view_as "
    "lift_fresh_copy split split_with_sizes chunk unbind repeat_interleave meshgrid lift_fresh numpy_T mT to type_as "
    "swapaxes diagonal reshape_as"
)
_MATH = (
    "add sub mul div rsub pow neg abs exp log sqrt rsqrt reciprocal sin cos tan tanh sigmoid floor ceil round eq ne lt "
    "le gt ge logical_not logical_and logical_or bitwise_not bitwise_and bitwise_or where masked_fill cumsum sum mean "
    "maximum minimum clamp outer remainder floor_divide matmul mm bmm softmax log1p expm1 embedding index softplus "
    "linalg_vector_norm fmod _weight_norm amax amin relu erf sign __and__ __or__ __xor__ all any diff cumprod prod "
    "linear addmm log2 clamp_min clamp_max clip square var std logsumexp log_softmax norm addcmul addcdiv einsum "
    "max min argmax argmin atan gelu silu isin index_put copy fill zero bucketize layer_norm "
    "batch_norm conv1d conv2d conv3d hardsigmoid hardswish hardtanh leaky_relu elu "
    "affine_grid_generator scaled_dot_product_attention"
)
# They return what they get, in evaluation mode.
_UNCHANGED = frozenset("dropout alpha_dropout feature_dropout identity requires_grad float".split())
# Operators whose result is not defined, because the program writes all values before it reads one
_UNDEFINED = {"empty": "zeros", "empty_like": "zeros_like", "new_empty": "new_zeros"}
FOLDED = frozenset(f"{_CREATION} {_VIEWS} {_MATH}".split()) | _UNCHANGED | frozenset(_UNDEFINED)

_MOVING = frozenset(_VIEWS.split())

_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv, "neg": operator.neg,
    "truediv": operator.truediv, "mod": operator.mod, "eq": operator.eq, "ne": operator.ne, "le": operator.le,
    "lt": operator.lt, "ge": operator.ge, "gt": operator.gt, "sym_max": max, "sym_min": min, "sym_not": operator.not_,
    "sym_float": float, "sym_int": int, "and_": operator.and_, "or_": operator.or_,
}  # fmt: skip


def arithmetic(target: str) -> Callable[..., Any] | None:
    """The Python function of an operator on scalars, such as lengths; None for other operators."""
    head, _, name = target.rpartition(".")
    return _ARITHMETIC.get(name) if head in ("_operator", "torch", "math", "torch.sym") else None


def fold_constant(kind: str, args: Mapping[str, Any]) -> list[Any]:
    """The outputs of an operator on constants. In shapes, the batch has the length 1.

    Raises:
        UnsupportedOperatorError: The operator cannot be computed, or its result would be too large.
    """
    import torch

    if kind not in FOLDED:
        raise UnsupportedOperatorError("none of its inputs depends on the inputs of the network")
    if kind in _UNCHANGED:
        return [next(iter(args.values()))]
    kind = _UNDEFINED.get(kind, kind)
    arguments = {name: _plain(kind, name, value) for name, value in args.items() if name not in _DROPPED}
    if "dtype" in args and isinstance(args["dtype"], int):
        arguments["dtype"] = _dtype(args["dtype"])
    packet = getattr(torch.ops.aten, kind)
    try:
        with torch.no_grad():
            result = _embedding_rows(kind, args)
            if result is None:
                _check_size(packet, arguments)
                result = packet(**arguments)
    except UnsupportedOperatorError:
        raise
    except Exception as error:  # PyTorch raises exceptions of many classes
        raise UnsupportedOperatorError(f"PyTorch cannot compute it ({str(error).splitlines()[0][:100]})") from None
    origin = _origin(kind, args)
    parts = list(result) if isinstance(result, tuple | list) else [result]
    return (
        [[_constant(part, origin) for part in parts]]
        if isinstance(result, list)
        else [_constant(part, origin) for part in parts]
    )


def write_constant(kind: str, args: Mapping[str, Any], tensors: Iterable[np.ndarray[Any, Any]]) -> list[Any]:
    """Write the result of an operator such as copy_ into the memory of its first argument and of its views.

    Raises:
        UnsupportedOperatorError: The operator cannot be computed, or would change one of the `tensors` of the file.
    """
    target = next(iter(args.values()))
    if not isinstance(target, Constant) or any(np.may_share_memory(target.array, tensor) for tensor in tensors):
        raise UnsupportedOperatorError("it changes weights of the network")
    result = [0.0] if kind == "zero_" else [part.array for part in fold_constant(kind.rstrip("_"), args)]
    target.array[...] = result[0]
    return [Constant(target.array)]


def _embedding_rows(kind: str, args: Mapping[str, Any]) -> Any:
    """Consecutive rows of a table, such as position embeddings, as a view of it; None for other operators or rows."""
    table, indices = args.get("weight"), args.get("indices")
    if kind != "embedding" or not isinstance(table, Constant) or not isinstance(indices, Constant):
        return None
    rows = indices.array
    if rows.size > 1 and (rows == rows.flat[0]).all() and 0 <= rows.flat[0] < len(table.array):
        # One row for all positions, such as the segment of BERT: repeated without a copy
        selected = np.broadcast_to(table.array[int(rows.flat[0])], (*rows.shape, *table.shape[1:]))
        return _view(selected)
    if rows.ndim > 1 and (rows == rows[:1]).all():
        # The same rows for each example of the exported batch
        consecutive = contiguous_rows(table.array, rows[:1])
        return None if consecutive is None else _view(np.broadcast_to(consecutive, (*rows.shape, *table.shape[1:])))
    consecutive = contiguous_rows(table.array, rows)
    return None if consecutive is None else _view(consecutive)


def _origin(kind: str, args: Mapping[str, Any]) -> str:
    """The name of the weights whose values an operator only moves, so that they stay trainable; "" if there is none."""
    if kind not in _MOVING and kind != "embedding":
        return ""
    names = {value.weight for value in args.values() if isinstance(value, Constant) and value.weight}
    return names.pop() if len(names) == 1 else ""


_DROPPED = frozenset({"device", "layout", "pin_memory", "memory_format", "dtype", "non_blocking", "copy", "implicit"})


def _check_size(packet: Any, arguments: dict[str, Any]) -> None:
    """Refuse results that would take too much memory, without computing them.

    Raises:
        UnsupportedOperatorError: The result would be too large.
    """
    import torch

    def to_meta(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to("meta")
        return [to_meta(part) for part in value] if isinstance(value, list) else value

    for value in arguments.values():
        if isinstance(value, int) and abs(value) > 2**62:
            continue
        if isinstance(value, list) and all(type(part) is int for part in value) and math.prod(value) > MAX_SIZE:
            raise UnsupportedOperatorError("its result is too large")
    if packet is torch.ops.aten.arange or packet is torch.ops.aten.linspace or packet is torch.ops.aten.eye:
        # These have no tensor among their arguments, so that they would run on the CPU even here.
        sizes = [value for value in arguments.values() if isinstance(value, int | float)]
        if any(abs(size) > 2**24 for size in sizes) or 0 < abs(arguments.get("step", 1)) < 1e-3:
            raise UnsupportedOperatorError("its result is too large")
        return
    if packet is torch.ops.aten.triu_indices or packet is torch.ops.aten.tril_indices:
        if arguments["row"] * arguments["col"] > MAX_SIZE:
            raise UnsupportedOperatorError("its result is too large")
        return
    try:
        # On the meta device, PyTorch computes only the shape.
        result = packet(**{name: to_meta(value) for name, value in arguments.items()})
    except NotImplementedError:
        return
    parts = result if isinstance(result, tuple | list) else [result]
    if any(isinstance(part, torch.Tensor) and part.numel() > MAX_SIZE for part in parts):
        raise UnsupportedOperatorError("its result is too large")


def _plain(kind: str, name: str, value: Any) -> Any:
    if isinstance(value, Constant):
        return _view(value.array)
    if isinstance(value, list):
        return [_plain(kind, name, part) for part in value]
    if type(value) is int and value and value % BATCH == 0:
        # Constants have the length 1 in place of the batch.
        return value // BATCH
    return value


def _view(array: np.ndarray[Any, Any]) -> Any:
    """The array as a tensor in the same memory, so that operators that move values return views, by which weights are
    recognized."""
    import torch

    if any(step < 0 for step in array.strides):
        # torch.from_numpy does not support negative strides.
        array = np.array(array, order="C")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about read-only arrays, to which nothing here writes
        return torch.from_numpy(array)


def _dtype(kind: int) -> Any:
    import torch

    name = np.dtype(KINDS[kind]).name if kind in KINDS and kind != 13 else "float32"
    return getattr(torch, "float32" if name.startswith("float") else name)


def _constant(value: Any, origin: str = "") -> Constant:
    import torch

    if not isinstance(value, torch.Tensor):
        raise UnsupportedOperatorError("its result is not a tensor")
    array = value.detach().numpy()
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    is_supported = array.dtype == bool or array.dtype.kind == "f"
    return Constant(array if is_supported else array.astype(np.int64, copy=False), origin)
