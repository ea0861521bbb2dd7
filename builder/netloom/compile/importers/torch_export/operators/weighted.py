"""Linear, convolution, pooling, normalization, reduction, embedding and recurrent operators."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.channels import per_channel
from netloom.compile.importers.layer_graph.values import (
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators import KINDS
from netloom.compile.importers.onnx.operators.normalization import batch_norm_axes, momentum
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


def _integers(values: Any) -> Constant:
    return Constant(np.asarray(values, np.int64))


def _constant(op: AtenCall, name: str) -> Constant | None:
    op.constant_array(name)
    argument = op.args.get(name)
    return argument if isinstance(argument, Constant) else None


@aten("linear")
def _linear(op: AtenCall) -> Any:
    weight, bias = op.args.get("weight"), op.args.get("bias")
    if not isinstance(weight, Constant):
        raise UnsupportedOperatorError("its weights must be constants in the file")
    if weight.array.ndim != 2:
        raise UnsupportedOperatorError("its weights must be a matrix")
    # (units, D) -> (D, units): a view, by whose memory the weight is still recognized
    transposed = replace(weight, array=weight.array.T)
    if bias is None:
        return _unbiased(op, weight)
    is_computed = weight.learned_values is not None and op.tensor("input").rank > 1
    if isinstance(bias, Constant) and (is_computed or (not bias.weight and bias.learned_values is not None)):
        # A bias that the program computes from parameters, as in BEiT: its layers are added to the product
        return op.apply("Add", _unbiased(op, weight)[0], bias)
    return op.apply("BiasedMatMul", op.tensor("input"), transposed, bias)


def _unbiased(op: AtenCall, weight: Constant) -> Any:
    if weight.learned_values is not None:
        return _computed_product(op, op.tensor("input"), weight, transposed=True)
    return op.apply("MatMul", op.tensor("input"), replace(weight, array=weight.array.T))


@aten("addmm")
def _addmm(op: AtenCall) -> Any:
    weight = _constant(op, "mat2")
    return op.apply(
        *("Gemm", op.tensor("mat1"), weight, op.value("self")),
        alpha=op.number("alpha", 1.0),
        beta=op.number("beta", 1.0),
    )


@aten("matmul", "mm", "bmm")
def _matmul(op: AtenCall) -> Any:
    values = [op.value("self"), op.value("other" if "other" in op.args else "mat2")]
    like = next(value for value in values if isinstance(value, Tensor))
    matrix = values[1]
    if isinstance(matrix, Constant) and matrix.array.ndim == 2 and matrix.learned_values is not None:
        return _computed_product(op, like, matrix)
    return op.apply("MatMul", *(_with_parameters(op, value, like) for value in values))


def _computed_product(op: AtenCall, tensor: Tensor, matrix: Constant, transposed: bool = False) -> Any:
    """The product with a matrix (D, units) that the program computes from parameters, which keep their nodes.

    Falls back to the weights of a layer, which then train instead of the parameters.
    """
    letters = "abcdefgh"[: tensor.rank - 1]
    equation = f"{letters}y,{'zy' if transposed else 'yz'}->{letters}z"
    try:
        return op.apply("Einsum", tensor, matrix, equation=equation)
    except UnsupportedOperatorError:
        op.builder.remark("its weights are computed from parameters; further training updates them directly.", op.name)
        weights = matrix.array.T if transposed else matrix.array
        return op.apply("MatMul", tensor, replace(matrix, array=weights))


def _with_parameters(op: AtenCall, value: Value, like: Tensor) -> Value:
    """A matrix that the program computes from parameters as a node that keeps these, instead of the weight of a
    layer; one that is repeated for parts of the batch, such as heads, as it is."""
    if isinstance(value, Constant) and value.learned_values:
        with suppress(UnsupportedOperatorError):
            return op.builder.add_constant(value, like)
    return value


@aten("outer", "ger", "mv", "dot")
def _vectors(op: AtenCall) -> Any:
    """Products of vectors; the axis of one of them is the batch."""
    equation, other = {"mv": ("ij,j->i", "vec"), "dot": ("i,i->", "tensor")}.get(op.type, ("i,j->ij", "vec2"))
    return op.apply("Einsum", op.value(), op.value(other), equation=equation)


@aten("baddbmm")
def _baddbmm(op: AtenCall) -> Any:
    product = op.apply("MatMul", op.value("batch1"), op.value("batch2"))[0]
    scaled = op.apply("Mul", product, Constant(np.asarray(op.number("alpha", 1.0), np.float32)))[0]
    factor = op.number("beta", 1.0)
    if factor == 0:
        return [scaled]
    added: Value | None = op.value("self")
    if factor != 1:
        added = op.apply("Mul", added, Constant(np.asarray(factor, np.float32)))[0]
    return op.apply("Add", scaled, added)


@aten("einsum")
def _einsum(op: AtenCall) -> Any:
    return op.apply("Einsum", *op.argument("tensors", []), equation=op.argument("equation", ""))


@aten("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _convolution(op: AtenCall) -> Any:
    tensor, weight = op.tensor("input"), _constant(op, "weight")
    if weight is None or weight.array.ndim not in KINDS or tensor.rank != weight.array.ndim:
        raise UnsupportedOperatorError("only a convolution over one to three axes with constant weights is supported")
    axes = weight.array.ndim - 2
    strides, dilations = op.per_axis("stride", axes, (1,)), op.per_axis("dilation", axes, (1,))
    padding = op.argument("padding", [0])
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": op.integer("groups", 1)}
    if isinstance(padding, str):
        attributes["auto_pad"] = "SAME_UPPER" if padding == "same" else "VALID"
    else:
        attributes["pads"] = op.per_axis("padding", axes, (0,)) * 2
    if op.type.startswith("conv_transpose") or op.flag("transposed"):
        extra = op.per_axis("output_padding", axes, (0,))
        return op.apply("ConvTranspose", tensor, weight, op.args.get("bias"), output_padding=extra, **attributes)
    return op.apply("Conv", tensor, weight, op.args.get("bias"), **attributes)


@aten(
    *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("max_pool2d_with_indices", "max_pool3d_with_indices"),
)
def _pool(op: AtenCall) -> Any:
    tensor = op.tensor()
    axes = int(op.type[op.type.index("pool") + 4])
    if tensor.rank != axes + 2:
        raise UnsupportedOperatorError("it processes an example without a batch axis")
    kernel = op.per_axis("kernel_size", axes)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": op.per_axis("stride", axes, kernel),
        "pads": op.per_axis("padding", axes, (0,)) * 2,
        "dilations": op.per_axis("dilation", axes, (1,)),
        "ceil_mode": int(op.flag("ceil_mode")),
    }
    if any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its maxima")
    if op.type.startswith("max"):
        return op.apply("MaxPool", tensor, **attributes)
    divisor = op.argument("divisor_override")
    if divisor is None:
        return op.apply("AveragePool", tensor, count_include_pad=int(op.flag("count_include_pad", True)), **attributes)
    if attributes["ceil_mode"]:
        raise UnsupportedOperatorError("it combines divisor_override with ceil_mode")
    # A mean that counts the padding divides each sum by the size of the window.
    mean = op.apply("AveragePool", tensor, count_include_pad=1, **attributes)[0]
    return op.apply("Mul", mean, Constant(np.asarray(math.prod(kernel) / op.integer("divisor_override"), np.float32)))


@aten(
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "_adaptive_avg_pool2d"),
)
def _adaptive(op: AtenCall) -> list[Any]:
    tensor = op.builder.to_batch_first(op.tensor())
    axes = tensor.rank - 2
    kind = "Avg" if "avg" in op.type else "Max"
    size = op.per_axis("output_size", axes)
    if any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its maxima")
    if len(set(size)) == 1:
        return [op.builder.add_layer(f"Adaptive{kind}Pool{axes}d", tensor, op.name, size=size[0])]
    lengths = tensor.shape[2:]
    if any(length % part for length, part in zip(lengths, size, strict=True)):
        raise UnsupportedOperatorError("its windows differ in length")
    # If the lengths are multiples of the output, the windows are equal and do not overlap.
    kernel = [length // part for length, part in zip(lengths, size, strict=True)]
    pool = "AveragePool" if kind == "Avg" else "MaxPool"
    return list(op.apply(pool, tensor, kernel_shape=kernel, strides=kernel))


# Normalization


def _constant_or(op: AtenCall, name: str, size: int, fill: float) -> Constant:
    return _constant(op, name) or Constant(np.full(size, fill, np.float32))


@aten("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm")
def _batch_norm(op: AtenCall) -> Any:
    if op.flag("training"):
        raise UnsupportedOperatorError("the program contains a network in training mode; export it after model.eval()")
    tensor, mean = op.tensor("input"), _constant(op, "running_mean")
    if mean is None:
        raise UnsupportedOperatorError("it has no running statistics, so it would mix the examples of a batch")
    size = mean.array.size
    weight, bias = _constant(op, "weight"), _constant(op, "bias")
    variance = _constant_or(op, "running_var", size, 1.0)
    # The ONNX operator always has a scale and a bias, so that the layer is added directly.
    if weight is None and bias is None:
        statistics = {
            "running_mean": mean.array,
            "running_var": variance.array,
            "num_batches_tracked": np.zeros((), np.int64),
        }
        params = {"affine": False, "epsilon": op.number("eps", 1e-5), **momentum(op.number("momentum", 0.1))}

        def add(channels: Tensor) -> Tensor:
            kind = f"BatchNorm{batch_norm_axes(channels)}"
            return op.builder.add_layer(kind, channels, op.name, weights=statistics, **params)

        return [per_channel(op.builder, tensor, add)]
    weight, bias = weight or _constant_or(op, "weight", size, 1.0), bias or _constant_or(op, "bias", size, 0.0)
    attributes = {"epsilon": op.number("eps", 1e-5), "momentum": 1 - op.number("momentum", 0.1)}
    return op.apply("BatchNormalization", tensor, weight, bias, mean, variance, **attributes)


@aten("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def _layer_norm(op: AtenCall) -> Any:
    tensor, shape = op.tensor("input"), op.integers("normalized_shape")
    rms = "rms" in op.type
    weight, bias = _constant(op, "weight"), _constant(op, "bias")
    # RMS norm has the machine epsilon of float32 as default.
    epsilon = op.number("eps", 1.1920928955078125e-07 if rms else 1e-5)
    tensor = op.builder.move_last(tensor, len(shape))
    kind = "RMSNorm" if rms else "LayerNorm"
    params = {"axes": len(shape), "epsilon": epsilon}
    if weight is not None:
        # The arrays of the file, by whose memory tied weights are recognized
        weights = {"weight": weight.array} | ({} if bias is None else {"bias": bias.array})
        params |= {} if rms or bias is not None else {"bias": False}
        name = op.as_onnx(kind, tensor, weight).module_name(1)
        return [op.builder.with_axes_of(op.builder.add_layer(kind, tensor, name, weights=weights, **params), tensor)]
    # The layer has no shift without a scale, which is a layer of its own.
    result: Any = op.elementwise(kind, tensor, affine=False, **params)
    return result if bias is None else op.apply("Add", result[0], bias)


@aten("group_norm")
def _group_norm(op: AtenCall) -> Any:
    tensor = op.tensor("input")
    if tensor.rank < 2:
        raise UnsupportedOperatorError("it has no channels")
    groups, epsilon = op.integer("num_groups", 1), op.number("eps", 1e-5)
    if _constant(op, "weight") is None and _constant(op, "bias") is None:
        # The ONNX operator always has a scale and a bias, so that the layer is added directly.
        tensor = op.builder.to_batch_first(tensor)
        return [op.builder.add_layer("GroupNorm", tensor, op.name, groups=groups, epsilon=epsilon, affine=False)]
    size = tensor.length(1)
    weight, bias = _constant_or(op, "weight", size, 1.0), _constant_or(op, "bias", size, 0.0)
    return op.apply("GroupNormalization", tensor, weight, bias, num_groups=groups, epsilon=epsilon)


@aten("instance_norm")
def _instance_norm(op: AtenCall) -> Any:
    if not op.flag("use_input_stats", True):
        raise UnsupportedOperatorError("it uses running statistics")
    tensor = op.tensor("input")
    weight, bias = _constant_or(op, "weight", tensor.length(1), 1.0), _constant_or(op, "bias", tensor.length(1), 0.0)
    return op.apply("InstanceNormalization", tensor, weight, bias, epsilon=op.number("eps", 1e-5))


# Reductions

_SUMS = {
    "mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


@aten(*_SUMS, "linalg_vector_norm", "norm")
def _reduce(op: AtenCall) -> Any:
    kind = _SUMS.get(op.type)
    if kind is None:
        order = op.number("ord" if "ord" in op.args else "p", 2.0)
        kind = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(order)
    if kind is None:
        raise UnsupportedOperatorError("only the L1 and L2 norms are supported")
    axes = op.integers("dim") or list(range(op.tensor().rank))
    return op.apply(kind, op.tensor(), axes=axes, keepdims=int(op.flag("keepdim")))


@aten("std_mean", "var_mean")
def _spread_and_mean(op: AtenCall) -> list[Value]:
    mean = _reduce(replace(op, type="mean"))
    return [*_variance(replace(op, type=op.type.removesuffix("_mean"))), *mean]


@aten("max", "min")
def _max(op: AtenCall) -> Any:
    if "other" in op.args:
        return op.apply("Max" if op.type == "max" else "Min", op.value(), op.value("other"))
    if "dim" not in op.args:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    keep, axis = int(op.flag("keepdim")), op.axis()
    outputs: list[Any] = []
    kind = "ReduceMax" if op.type == "max" else "ReduceMin"
    outputs += op.apply(kind, op.tensor(), axes=[axis], keepdims=keep) if op.used_outputs[0] else [None]
    if any(op.used_outputs[1:]):
        outputs += op.apply("ArgMax" if op.type == "max" else "ArgMin", op.tensor(), axis=axis, keepdims=keep)
    return outputs


@aten("argmax", "argmin")
def _arg_max(op: AtenCall) -> Any:
    if op.args.get("dim") is None:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    return op.apply(
        "ArgMax" if op.type == "argmax" else "ArgMin", op.tensor(), axis=op.axis(), keepdims=int(op.flag("keepdim"))
    )


@aten("cumsum")
def _cumulative_sum(op: AtenCall) -> Any:
    return op.apply("CumSum", op.tensor(), _integers([op.axis()]))


@aten("var", "std")
def _variance(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    axes = sorted(normalize_axis(axis, tensor.rank) for axis in op.integers("dim") or range(tensor.rank))
    port_axes = sorted(op.builder.single_axis(tensor, axis) for axis in axes)
    # Overloads of the operator have either `correction` or `unbiased`.
    unbiased = op.number("correction", 1.0) == 1 if "correction" in op.args else op.flag("unbiased", True)
    result = op.builder.add_layer(
        "Var" if op.type == "var" else "Std", tensor, op.name, axes=port_axes, unbiased=unbiased
    )
    remaining = [part for part in range(len(tensor.spec.shape)) if part not in port_axes]
    new_positions = {old: position for position, old in enumerate(remaining)}
    keep = op.flag("keepdim")
    groups = [
        () if axis in axes else tuple(new_positions[part] for part in group)
        for axis, group in enumerate(tensor.axes)
        if axis not in axes or keep
    ]
    return [Tensor(result.ref, result.spec, tuple(groups))]


# Embeddings


@aten("embedding")
def _embedding(op: AtenCall) -> Any:
    return op.apply("Gather", op.value("weight"), op.value("indices"), axis=0)
