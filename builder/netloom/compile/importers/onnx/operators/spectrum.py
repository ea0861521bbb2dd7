"""The discrete Fourier transform along the last axis, as a product with a constant matrix."""

from __future__ import annotations

import numpy as np

from netloom.compile.importers.layer_graph.values import (
    Array,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.operator import Call, operator

# Larger windows have matrices of more than half a gigabyte each.
MAX_WINDOW = 16_384


def dft_matrices(length: int, *, onesided: bool = True) -> tuple[Array, Array]:
    """Cosines and negative sines: the matrices of the real and the imaginary part.

    They are (length // 2 + 1, length) each, or (length, length) if they are not one-sided.

    Raises:
        UnsupportedOperatorError: They would be too large.
    """
    if not 1 <= length <= MAX_WINDOW:
        raise UnsupportedOperatorError(f"its windows have {length} values; 1 to {MAX_WINDOW:,} are supported")
    frequencies = np.arange(length // 2 + 1 if onesided else length)
    # Reduced modulo the length before the division, because large angles lose precision.
    angles = 2 * np.pi * (np.outer(frequencies, np.arange(length)) % length) / length
    return np.cos(angles).astype(np.float32), (-np.sin(angles)).astype(np.float32)


def multiply_frozen(call: Call, tensor: Tensor, weight: Array) -> Tensor:
    """The product of the last axis with a constant matrix (units, length), as a frozen Linear layer."""
    ready = call.builder.move_last(tensor)
    result = call.builder.add_layer(
        *("Linear", ready, call.name), units=len(weight), bias=False, weights={"weight": weight}, frozen=True
    )
    return call.builder.with_axes_of(result, ready)


@operator("DFT")
def _dft(call: Call) -> list[Value]:
    """The one-sided transform of real values, (…, length, 1) to (…, length // 2 + 1, 2)."""
    tensor = call.tensor()
    requested = call.scalar(2) if len(call.inputs) > 2 else call.attribute("axis", -2)
    axis = normalize_axis(int(-2 if requested is None else requested), tensor.rank)
    length = call.scalar(1) if len(call.inputs) > 1 else None
    if axis != tensor.rank - 2 or tensor.axes[-1] or call.attribute("inverse", 0) or not call.attribute("onesided", 0):
        raise UnsupportedOperatorError("only the one-sided transform of real numbers along the last axis is supported")
    if length is not None and int(length) != tensor.length(axis):
        raise UnsupportedOperatorError("it truncates or pads its input")
    signal = Tensor(tensor.ref, tensor.spec, tensor.axes[:-1])
    components = np.stack(dft_matrices(signal.length(-1)), axis=1)  # (frequencies, 2, length)
    transformed_ = multiply_frozen(call, signal, components.reshape(-1, components.shape[2]))
    shape = Constant(np.array([*transformed_.shape[:-1], len(components), 2]))
    return list(call.apply("Reshape", transformed_, shape))  # type: ignore[arg-type]
