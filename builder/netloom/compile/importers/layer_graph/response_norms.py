"""Local response normalization, which PyTorch writes as a padded average of squares along the channels.

F.local_response_norm computes x / (k + α · a)^β, where a is the average of x² over a window of channels. torch.export
and torch.onnx record its operators, not its name. The paper has a sum instead of the average:
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import UnsupportedOperatorError
from netloom.layers import Layer, TensorSpec
from netloom.layers.catalogue import parse
from netloom.layers.convolution.padding import ZeroPad2d, ZeroPad3d
from netloom.layers.normalization import LocalResponseNorm
from netloom.layers.operations.arithmetic import Function, Power, ScaleShift
from netloom.layers.operations.merge import Divide, Multiply
from netloom.layers.operations.shape import Flatten, Reshape, Squeeze, Unsqueeze
from netloom.layers.pooling.pooling import AvgPool2d, AvgPool3d

# Layers that keep all values in their order
_RESHAPING = (Reshape, Flatten, Squeeze, Unsqueeze)


@dataclass(frozen=True)
class _Norm:
    """A local response normalization of a tensor, whose result is the output of the node `end`."""

    end: str
    source: str
    params: Mapping[str, Any]


def merge_response_norms(builder: GraphBuilder) -> dict[str, str]:
    """Replace the layers of each local response normalization by one layer.

    Returns:
        The last of the replaced layers, by the id of the new layer.
    """
    layers: dict[str, str] = {}
    for key in list(builder.nodes):
        norm = _Chain(builder, key).match()
        new = None if norm is None else _replace(builder, norm)
        if new is not None:
            layers[new] = key
    if not layers:
        return {}
    builder.prune()
    # The name of the module is free now.
    return {builder.rename(new, builder.nodes[new].title or new): last for new, last in layers.items()}


def _replace(builder: GraphBuilder, norm: _Norm) -> str | None:
    """Add the layer in the place of the last node; None if the layer does not accept the numbers of the file."""
    order, title = list(builder.nodes), builder.nodes[norm.end].title
    try:
        new = builder.add_layer(
            LocalResponseNorm.__name__, builder.tensor(norm.source), title or "lrn", **norm.params
        ).ref
    except UnsupportedOperatorError:
        return None
    for reader in order:
        for port, ref in list(builder.sources[reader].items()):
            if ref == norm.end:
                builder.reconnect(reader, port, new)
    position = order.index(norm.end)
    builder.nodes = {key: builder.nodes[key] for key in [*order[:position], new, *order[position:]]}
    return new


class _Chain:
    """Reads the layers before a node backwards, from the division to the square."""

    def __init__(self, builder: GraphBuilder, key: str) -> None:
        self.builder, self.end, self.ref = builder, key, key

    def match(self) -> _Norm | None:
        """The normalization that ends at this node; None if there is none."""
        ends = self._ends()
        if ends is None:
            return None
        source, self.ref, sign = ends
        spec = self.builder.specs.get(source)
        if spec is None or len(spec.shape) < 3 or spec != self.builder.specs.get(self.ref):
            return None
        beta = sign * self._exponent()
        alpha, k = self._affine()
        size = self._window(spec)
        if size is None or beta <= 0 or not self._is_square_of(source):
            return None
        return _Norm(self.end, source, {"size": size, "alpha": _short(alpha), "beta": _short(beta), "k": _short(k)})

    def _layer(self, ref: str) -> Layer | None:
        node = self.builder.nodes.get(ref)
        return None if node is None else parse(node)

    def _before(self) -> str:
        return self.builder.sources[self.ref]["in"]

    def _ends(self) -> tuple[str, str, int] | None:
        """The tensor, its divisor or factor, and the sign of the exponent: -1 for x · (k + α · a)^-β."""
        reads = self.builder.sources.get(self.end, {})
        layer = self._layer(self.end)
        if not isinstance(layer, Divide | Multiply) or set(reads) != {"a", "b"}:
            return None
        if isinstance(layer, Divide):
            return reads["a"], reads["b"], 1
        is_swapped = isinstance(self._layer(reads["a"]), Power)
        return (reads["b"], reads["a"], -1) if is_swapped else (reads["a"], reads["b"], -1)

    def _exponent(self) -> float:
        layer = self._layer(self.ref)
        if isinstance(layer, Power) and layer.exponent is not None and not layer.absolute:
            self.ref = self._before()
            return layer.exponent
        if isinstance(layer, Function) and layer.function in ("sqrt", "rsqrt"):
            self.ref = self._before()
            return 0.5 if layer.function == "sqrt" else -0.5
        return 1.0

    def _affine(self) -> tuple[float, float]:
        """The factor α and the constant k, which may be two layers."""
        scale, shift = 1.0, 0.0
        while isinstance(layer := self._layer(self.ref), ScaleShift):
            scale, shift = scale * layer.scale, shift + scale * layer.shift
            self.ref = self._before()
        return scale, shift

    def _window(self, spec: TensorSpec) -> int | None:
        """The number of channels of an average over the channels of `spec`, which are axis 2 behind an axis of 1."""
        self._skip_reshaping()
        pool = self._layer(self.ref)
        if not isinstance(pool, AvgPool2d | AvgPool3d):
            return None
        window, strides, borders = pool.windows, pool.steps, pool.borders
        size, back, front = window[0], borders[0], borders[0]
        if set(strides) != {1} or any(width != 1 for width in window[1:]) or any(borders[1:]):
            return None
        if pool.ceil_mode or (back and not pool.count_include_pad):
            return None
        self.ref = self._before()
        padding = self._layer(self.ref)
        if isinstance(padding, ZeroPad2d | ZeroPad3d):
            # Left, right, top, bottom, front, back: those of the channels are the last two.
            sides = padding.sides or (padding.padding,) * (2 * len(window))
            if any(sides[:-2]):
                return None
            front, back = front + sides[-2], back + sides[-1]
            self.ref = self._before()
        shape = self.builder.specs[self.ref].shape
        if (front, back) != (size // 2, (size - 1) // 2) or shape[1:3] != (1, spec.shape[1]):
            return None
        self._skip_reshaping()
        return size

    def _skip_reshaping(self) -> None:
        while isinstance(self._layer(self.ref), _RESHAPING):
            self.ref = self._before()

    def _is_square_of(self, source: str) -> bool:
        layer, reads = self._layer(self.ref), self.builder.sources.get(self.ref, {})
        if isinstance(layer, Multiply):
            return set(reads.values()) == {source} and len(reads) == 2
        is_square = (isinstance(layer, Power) and layer.exponent == 2) or (
            isinstance(layer, Function) and layer.function == "square"
        )
        return is_square and reads == {"in": source}


def _short(number: float) -> float:
    """The shortest number that is the same float32, because files have 0.0010000000474974513 for 0.001."""
    return float(str(np.float32(number)))
