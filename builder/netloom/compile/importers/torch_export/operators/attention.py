"""Attention as one operator of ATen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netloom.compile.importers.layer_graph.attention import Heads, add_attention, is_causal
from netloom.compile.importers.layer_graph.reshaping import broadcast_to
from netloom.compile.importers.layer_graph.values import Constant, Tensor, Value
from netloom.compile.importers.onnx.operators.attention import decompose_attention, repeat_heads
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


@aten("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu")
def _attention(op: AtenCall) -> Any:
    q, k, v = _with_learned(op, [op.value("query"), op.value("key"), op.value("value")])
    mask, causal = op.args.get("attn_mask"), op.flag("is_causal")
    if op.flag("enable_gqa"):
        k, v = (repeat_heads(op.builder, tensor, q.shape[-3]) for tensor in (k, v))
    if q.shape[-3:-2] != (1,):
        k, v = (_for_all_heads(op, tensor, q.shape[-3]) for tensor in (k, v))
    if isinstance(mask, Constant) and is_causal(mask.array):
        mask, causal = None, True
    width = (q.shape if isinstance(q, Tensor) else op.tensor("query").shape)[-1]
    scale = op.number("scale", 1 / math.sqrt(width))
    rate = round(op.number("dropout_p", 0.0), 9)
    if mask is None and all(isinstance(tensor, Tensor) and _headed(tensor) for tensor in (q, k, v)):
        heads = Heads(q, k, v, scale, causal, rate)  # type: ignore[arg-type]
        return [add_attention(op.builder, heads, heads.q, op.name)]
    if rate:
        op.builder.remark("Dropout inside attention with a mask is not imported; the predictions are the same.")
    # Its second product still becomes one layer if the mask has a form that the layer expresses.
    return decompose_attention(op.apply, q, k, v, mask, scale, causal)


def _with_learned(op: AtenCall, values: Sequence[Value]) -> list[Value]:
    """The values, with those that the program computes from parameters alone, such as learned queries, as tensors."""
    like = next((value for value in values if isinstance(value, Tensor)), None)
    return [
        op.builder.add_constant(value, like, op.name)
        if like is not None and isinstance(value, Constant) and (value.learned_values or value.weight)
        else value
        for value in op.without_recorded_batch(values)
        if value is not None
    ]


def _for_all_heads(op: AtenCall, value: Value, heads: int) -> Value:
    """Keys or values of one head, which PyTorch broadcasts, repeated for all heads of the queries."""
    if not isinstance(value, Tensor) or value.rank != 4 or value.length(1) != 1:
        return value
    return broadcast_to(op.builder, value, [*value.shape[:1], heads, *value.shape[2:]], op.name)


def _headed(tensor: Tensor) -> bool:
    """Whether a float tensor is (N, heads, T, width), where each axis of the file is at most one axis of the port."""
    return (
        tensor.rank == 4
        and tensor.axes[0] == (0,)
        and all(len(group) == 1 for group in (tensor.axes[2], tensor.axes[3]))
        and len(tensor.axes[1]) < 2
        and tensor.spec.dtype == "float"
    )
