"""Operators on signals: sliding windows, Fourier transform, top-k and scatter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.spectrum import dft_matrices, multiply_frozen
from netloom.compile.importers.torch_export.operators.table import AtenCall, Spectrum, aten


@aten("unfold")
def _windows(op: AtenCall) -> Any:
    """Sliding windows of an axis, whose elements become the last axis: (…, L, …) -> (…, windows, …, size)."""
    tensor, axis = op.tensor(), op.axis("dimension", 0)
    size, step = op.integer("size", 1), op.integer("step", 1)
    starts = np.arange(0, tensor.length(axis) - size + 1, step)
    if size < 1 or not len(starts):
        raise UnsupportedOperatorError("its windows are longer than the axis")
    indices = Constant(starts[:, None] + np.arange(size))
    # (…, L, …) -> (…, windows, size, …)
    windows = op.apply("Gather", tensor, indices, axis=axis)[0]
    order = [*range(axis + 1), *range(axis + 2, tensor.rank + 1), axis + 1]
    return op.apply("Transpose", windows, perm=order)


@aten("fft_rfft")
def _rfft(op: AtenCall) -> list[Spectrum]:
    tensor = op.tensor()
    length = tensor.length(-1)
    if (
        op.axis() != tensor.rank - 1
        or op.integer("n", length) != length
        or op.argument("norm") not in (None, "backward")
    ):
        raise UnsupportedOperatorError(
            "only the transform along the whole last axis without normalization is supported"
        )
    parts = [multiply_frozen(op.as_onnx("DFT"), tensor, part) for part in dft_matrices(length)]
    return [Spectrum(*parts)]


@aten("stft")
def _stft(op: AtenCall) -> list[Spectrum]:
    """The spectrum (N, frequencies, T) of windows of a signal (N, L): two convolutions with constant filters."""
    signal, size = op.tensor(), op.integer("n_fft")
    window = op.constant_array("window")
    window = np.ones(op.integer("win_length", size), np.float32) if window is None else window
    if signal.rank != 2 or op.argument("return_complex") is False or op.flag("align_to_window"):
        raise UnsupportedOperatorError("only complex spectra of signals (N, L) are supported")
    missing = size - len(window)
    window = np.pad(window, (missing // 2, missing - missing // 2))
    window = window / np.sqrt(size) if op.flag("normalized") else window
    waves = op.builder.reshape(op.builder.to_batch_first(signal), [1, signal.length(1)])
    params = {"kernel_size": size, "stride": op.integer("hop_length", size // 4), "padding": 0, "bias": False}
    parts = []
    for matrix in dft_matrices(size, onesided=op.flag("onesided", True)):
        filters = (matrix * window)[:, None].astype(np.float32)
        parts.append(
            op.builder.add_layer(
                *("Conv1d", waves, op.name), filters=len(filters), weights={"weight": filters}, frozen=True, **params
            )
        )
    return [Spectrum(*parts)]


def _pairs(op: AtenCall, spectrum: Spectrum) -> Value | None:
    """The real and the imaginary part along an additional last axis."""
    parts = [op.apply("Unsqueeze", part, axes=[part.rank])[0] for part in (spectrum.real, spectrum.imaginary)]
    return op.apply("Concat", *parts, axis=spectrum.real.rank)[0]


@aten("view_as_real")
def _view_as_real(op: AtenCall) -> Any:
    value = op.args.get("self")
    if not isinstance(value, Spectrum):
        raise UnsupportedOperatorError("its input is not a spectrum")
    return [_pairs(op, value)]


@aten("real", "imag", "abs")
def _part(op: AtenCall) -> Any:
    value = op.args.get("self")
    if not isinstance(value, Spectrum):
        return op.elementwise("Function", function="abs") if op.type == "abs" else [op.tensor()]
    if op.type != "abs":
        return [value.real if op.type == "real" else value.imaginary]
    # The gradient of a norm is 0 in silence, where that of a square root is not defined.
    return op.apply("ReduceL2", _pairs(op, value), axes=[-1], keepdims=0)


@aten("topk")
def _topk(op: AtenCall) -> Any:
    count = Constant(np.asarray([op.integer("k", 1)]))
    return op.apply(
        "TopK", op.tensor(), count, axis=op.axis(), largest=int(op.flag("largest", True)), wanted=(True,) * 2
    )


@aten("scatter")
def _scatter(op: AtenCall) -> Any:
    values: Value = op.value("src" if "src" in op.args else "value")
    indices, base = op.tensor("index"), op.value()
    if isinstance(values, Constant):
        raise UnsupportedOperatorError("only computed values can be scattered")
    return op.apply("ScatterElements", base, indices, values, axis=op.axis("dim", 0, indices))


@aten("all", "any")
def _every(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    if not tensor.boolean:
        raise UnsupportedOperatorError("only boolean values can be reduced by all or any")
    axes = [axis % tensor.rank for axis in op.integers("dim", range(tensor.rank))]
    kind = "ReduceMin" if op.type == "all" else "ReduceMax"
    (reduced,) = op.apply(kind, tensor, axes=axes, keepdims=int(op.flag("keepdim")))
    if not isinstance(reduced, Tensor):
        raise UnsupportedOperatorError("its result is empty")
    return [replace(reduced, boolean=True)]
