"""Bags of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import BATCH, Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


@aten("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def _bag(op: AtenCall) -> list[Value | None]:
    """One bag for each example: the tokens of all examples in a row, and the place where each example begins."""
    table, indices, offsets = op.args.get("weight"), op.tensor("indices"), op.constant_array("offsets")
    if not isinstance(table, Constant) or offsets is None or op.argument("per_sample_weights") is not None:
        raise UnsupportedOperatorError("only unweighted bags of a table in the file are supported")
    group = indices.axes[0]
    length = indices.length(0) // BATCH
    starts = np.arange(len(offsets)) * length
    if indices.rank != 1 or group[:1] != (0,) or len(group) < 2 or not np.array_equal(offsets, starts):
        raise UnsupportedOperatorError("its bags differ in length")
    if op.flag("include_last_offset") or any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns more than the pooled vectors")
    tokens = op.builder.to_batch_first(Tensor(indices.ref, indices.spec, ((0,), group[1:])))
    params: dict[str, Any] = {"vocabulary": table.shape[0], "dim": table.shape[1]}
    params["mode"] = ("sum", "mean", "max")[op.integer("mode")]
    padding = op.argument("padding_idx")
    params |= {"padding_token": padding} if padding is not None and padding >= 0 else {}
    weights = {"weight": table.array}
    result = op.builder.add_layer("EmbeddingBag", tokens, op.name, weights=weights, weight=table.weight, **params)
    return [result, None, None, None]
