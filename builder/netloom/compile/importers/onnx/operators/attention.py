"""The Attention operator, and its decomposition. https://onnx.ai/onnx/operators/onnx__Attention.html"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import Call, operator

Layer = Callable[..., Sequence[Value | None]]


@operator("Attention")
def _attention(call: Call) -> Sequence[Value | None]:
    q, k, v = (call.tensor(index) for index in range(3))
    mask = call.inputs[3] if len(call.inputs) > 3 else None
    if (
        any(call.used_outputs[1:])
        or any(value is not None for value in call.inputs[4:])
        or call.attribute("softcap", 0.0)
    ):
        raise UnsupportedOperatorError("attention with a cache of earlier steps or with a soft cap is not supported")
    merged = q.rank == 3
    if merged:
        heads = [int(call.attribute(name, 0)) for name in ("q_num_heads", "kv_num_heads")]
        q, k, v = (
            _split_heads(call, projection, count)
            for projection, count in zip((q, k, v), (heads[0], heads[1], heads[1]), strict=True)
        )
    keys_and_values = [repeat_heads(call.builder, projection, q.shape[-3]) for projection in (k, v)]
    scale = float(call.attribute("scale", 1 / math.sqrt(q.shape[-1])))
    outputs = decompose_attention(
        call.apply, q, keys_and_values[0], keys_and_values[1], mask, scale, bool(call.attribute("is_causal", 0))
    )
    if not merged:
        return outputs
    # (N, heads, T, width) -> (N, T, heads · width); a 0 in the shape keeps the length
    transposed = call.apply("Transpose", outputs[0], perm=[0, 2, 1, 3])[0]
    return call.apply("Reshape", transposed, Constant(np.array([0, 0, -1])))


def _split_heads(call: Call, tensor: Tensor, heads: int) -> Tensor:
    """(N, T, heads · width) -> (N, heads, T, width)."""
    tensor_4d = call.apply("Reshape", tensor, Constant(np.array([0, 0, heads, -1])))[0]
    if not isinstance(tensor_4d, Tensor):
        raise UnsupportedOperatorError("its heads cannot be distinguished")
    # Only the axes are renumbered: no layer is added for the transposition.
    return replace(tensor_4d, axes=tuple(tensor_4d.axes[axis] for axis in (0, 2, 1, 3)))


def repeat_heads(builder: GraphBuilder, value: Value, heads: int) -> Value:
    """Keys or values with each head repeated for the query heads that share it (grouped-query attention).

    Raises:
        UnsupportedOperatorError: The heads cannot be shared evenly.
    """
    repeats, remainder = divmod(heads, value.shape[-3])
    if remainder:
        raise UnsupportedOperatorError(f"{heads} heads of queries cannot share {value.shape[-3]} key heads evenly")
    if isinstance(value, Constant):
        return Constant(np.repeat(value.array, repeats, -3))
    if repeats == 1 or not value.axes[-3]:
        return value
    repeated_value = builder.add_layer(
        "Repeat", value, "repeat", axis=builder.single_axis(value, value.rank - 3), times=repeats, each=True
    )
    return builder.with_axes_of(repeated_value, value)


def decompose_attention(
    layer: Layer, q: Value, k: Value, v: Value, mask: Value | None, scale: float, causal: bool
) -> Sequence[Value | None]:
    """Attention as MatMul, masks, Softmax and MatMul; `layer` converts an operator.

    The second MatMul recognizes the pattern and replaces all of it by an attention layer where one exists.
    """
    rank = len(k.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    transposed = (
        layer("Transpose", k, perm=order)[0] if isinstance(k, Tensor) else Constant(np.swapaxes(k.array, -1, -2))
    )
    scores = layer("Mul", layer("MatMul", q, transposed)[0], Constant(np.asarray(scale, np.float32)))[0]
    if causal:
        visible = np.tril(np.ones((q.shape[-2], k.shape[-2]), bool))
        scores = layer("Add", scores, Constant(np.where(visible, 0, -np.inf).astype(np.float32)))[0]
    if isinstance(mask, Constant):
        if mask.array.dtype == bool:
            mask = Constant(np.where(mask.array, 0, -np.inf).astype(np.float32))
        scores = layer("Add", scores, mask)[0]
    elif isinstance(mask, Tensor) and mask.boolean:
        # The softmax of −1e9 is 0 in float32, as that of −inf, but not NaN for a row in which all scores are hidden.
        scores = layer("Where", mask, scores, Constant(np.asarray(-1e9, np.float32)))[0]
    elif isinstance(mask, Tensor):
        scores = layer("Add", scores, mask)[0]
    return layer("MatMul", layer("Softmax", scores, axis=-1)[0], v)
