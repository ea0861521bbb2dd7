"""Normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.channels import per_channel
from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, elementwise, operator


def momentum(momentum_: float) -> dict[str, float]:
    """The momentum of running statistics as a parameter of a layer; empty for the default.

    A momentum of 0 stands for a cumulative average (momentum=None in PyTorch), which no layer has: the default is used.
    """
    value = round(momentum_, 7)  # float32 in the file: 1 − 0.9 is read as 0.10000002
    return {"momentum": value} if 0 < value <= 1 and value != 0.1 else {}


def batch_norm_axes(tensor: Tensor) -> str:
    """The suffix of the BatchNorm layer for a tensor (N, C, …).

    Raises:
        UnsupportedOperatorError: There is none for its number of axes.
    """
    suffix = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}.get(tensor.rank)
    if suffix is None:
        raise UnsupportedOperatorError(f"it does not accept {tensor.rank} axes")
    return suffix


@operator("BatchNormalization")
def _batch_norm(call: Call) -> list[Value | None]:
    tensor = call.tensor()
    scale, bias, mean, var = (call.required_array(index).reshape(-1) for index in range(1, 5))
    if call.attribute("training_mode", 0):
        raise UnsupportedOperatorError("the file contains a network in training mode; export it after model.eval()")
    weights = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": var}

    def add(channels: Tensor) -> Tensor:
        return call.builder.add_layer(
            *(f"BatchNorm{batch_norm_axes(channels)}", channels, call.module_name(1)),
            # Rounded, because float32 in the file makes 1e-5 to 9.99999974e-06.
            epsilon=round(float(call.attribute("epsilon", 1e-5)), 12),
            weights={**weights, "num_batches_tracked": np.zeros((), np.int64)},
            # ONNX weights the old statistics by momentum, PyTorch the new ones.
            **momentum(1 - float(call.attribute("momentum", 0.9))),
        )

    result = per_channel(call.builder, tensor, add)
    return [result, None, None, None, None]


@operator("LayerNormalization", "RMSNormalization")
def _layer_norm(call: Call) -> list[Value | None]:
    tensor = call.tensor()
    axis_count = tensor.rank - call.axis(-1)
    tensor = call.builder.move_last(tensor, axis_count)
    shape = tuple(tensor.length(axis) for axis in range(tensor.rank - axis_count, tensor.rank))
    # Copies, because exporters write equal weights of different layers once, which does not tie them.
    weights = {"weight": np.broadcast_to(call.required_array(1), shape).copy()}
    kind, params = "RMSNorm", dict[str, Any]()
    if call.type == "LayerNormalization":
        kind, bias = "LayerNorm", call.constant_array(2)
        if bias is None:
            params["bias"] = False
        else:
            weights["bias"] = np.broadcast_to(bias, shape).copy()
    epsilon = round(float(call.attribute("epsilon", 1e-5)), 12)
    result = call.builder.add_layer(
        kind, tensor, call.module_name(1), epsilon=epsilon, axes=axis_count, weights=weights, **params
    )
    return [call.builder.with_axes_of(result, tensor), None, None]


@operator("InstanceNormalization")
def _instance_norm(call: Call) -> list[Value]:
    tensor = call.builder.to_batch_first(call.tensor())
    if tensor.rank not in KINDS:
        raise UnsupportedOperatorError(f"it does not accept {tensor.rank} axes")
    scale, bias = call.required_array(1).reshape(-1), call.required_array(2).reshape(-1)
    affine = bool(np.any(scale != 1) or np.any(bias != 0))
    weights = {"weight": scale, "bias": bias} if affine else None
    epsilon = round(float(call.attribute("epsilon", 1e-5)), 12)
    kind = f"InstanceNorm{KINDS[tensor.rank]}"
    return [call.builder.add_layer(kind, tensor, call.module_name(1), epsilon=epsilon, affine=affine, weights=weights)]


@operator("GroupNormalization")
def _group_norm(call: Call) -> list[Value]:
    tensor = call.builder.to_batch_first(call.tensor())
    groups, channels = int(call.attribute("num_groups", 1)), tensor.length(1)
    weights = {}
    for part, index in (("weight", 1), ("bias", 2)):
        per_group = call.required_array(index).reshape(-1)
        # Opset 18 has one scale per group, opset 21 one per channel.
        weights[part] = np.repeat(per_group, channels // per_group.size)
    epsilon = round(float(call.attribute("epsilon", 1e-5)), 12)
    return [
        call.builder.add_layer(
            "GroupNorm", tensor, call.module_name(1), groups=groups, epsilon=epsilon, weights=weights
        )
    ]


@operator("LRN")
def _response_norm(call: Call) -> list[Value]:
    size = int(call.attribute("size", 5))
    if size % 2 == 0:  # ONNX has one channel more after each channel than before it, PyTorch one more before it
        raise UnsupportedOperatorError(f"its size is even ({size}), and only odd sizes have the same window in PyTorch")
    params = {"size": size, "alpha": round(call.attribute("alpha", 1e-4), 9)}
    params |= {"beta": round(call.attribute("beta", 0.75), 9), "k": call.attribute("bias", 1.0)}
    return [
        call.builder.add_layer("LocalResponseNorm", call.builder.to_batch_first(call.tensor()), call.name, **params)
    ]


@operator("LpNormalization")
def _unit(call: Call) -> list[Value]:
    if call.attribute("p", 2) != 2:
        raise UnsupportedOperatorError("only the L2 norm is supported")
    tensor = call.tensor()
    return [
        elementwise(call.builder, "Normalize", tensor, call.name, axis=call.builder.single_axis(tensor, call.axis()))
    ]
